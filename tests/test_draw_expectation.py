"""Observed − expected: the gradient is that, and the picture shows it at its true size."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tinygrad_w2v.draw import expectation_of, observed_minus_expected
from tinygrad_w2v.word2vec import SkipGram
from tinygrad_w2v.word2vec.derivation import centre_gradient

TEXT = [["the", "red", "rose"], ["the", "blue", "rose"], ["a", "loud", "drum"]] * 20


def example(seed, n=9, d=4, biased=False):
    rng = np.random.default_rng(seed)
    v, U = rng.normal(size=d), rng.normal(size=(n, d))
    return observed_minus_expected(v, U, seed % n, rng.normal(size=n) if biased else None), v, U


@pytest.fixture(scope="module", params=["softmax", "negative"])
def model(request):
    return SkipGram(vector_size=6, window=2, min_count=1, loss=request.param, epochs=2).fit(
        TEXT, progress=False)


@given(st.integers(0, 999), st.booleans())
def test_the_gradient_of_backward_is_observed_minus_expected(seed, biased):
    found, _, U = example(seed, biased=biased)
    np.testing.assert_array_equal(found.observed, U[found.o])
    np.testing.assert_allclose(found.expected, found.probabilities @ U, atol=1e-14)
    np.testing.assert_allclose(found.gradient, found.observed - found.expected, atol=1e-13)
    assert found.error < 1e-13


@given(st.integers(0, 999))
def test_without_a_bias_it_is_e4_of_the_derivation(seed):
    found, v, U = example(seed)
    checked = centre_gradient(v, U, found.o)
    np.testing.assert_allclose(found.gradient, checked.by_autodiff, atol=1e-14)
    np.testing.assert_allclose(found.gradient, checked.by_differences, atol=1e-8)


@given(st.integers(0, 999))
def test_in_their_plane_the_vectors_have_their_true_lengths_and_angles(seed):
    found, _, _ = example(seed)
    plane = found.plane()
    np.testing.assert_allclose(plane @ plane.T, np.eye(2), atol=1e-12)
    three = np.stack([found.observed, found.expected, found.gradient])
    seen = three @ plane.T
    np.testing.assert_allclose(seen @ seen.T, three @ three.T, atol=1e-12)
    assert seen[0, 1] == pytest.approx(0, abs=1e-12)
    assert seen[1, 1] >= 0


@given(st.integers(0, 999))
def test_the_mean_of_the_dots_is_the_tip_of_the_expectation(seed):
    found, _, U = example(seed)
    plane = found.plane()
    np.testing.assert_allclose(found.probabilities @ (U @ plane.T), plane @ found.expected,
                               atol=1e-13)


@pytest.mark.parametrize("U", [np.zeros((3, 2)), np.ones((3, 2)), np.array([[1.0, 0], [-1, 0]])])
def test_vectors_on_one_line_or_none_have_a_plane_and_a_picture(U):
    found = observed_minus_expected(np.zeros(2), U, 0)
    plane = found.plane()
    np.testing.assert_allclose(plane.T @ (plane @ found.observed), found.observed, atol=1e-15)
    np.testing.assert_allclose(plane.T @ (plane @ found.expected), found.expected, atol=1e-15)
    found.figure().draw_without_rendering()


def test_a_models_pair_is_that_of_its_tables(model):
    found = expectation_of(model, "red", "rose")
    index = model.wv.index
    V, U = model.V.numpy().astype(float), model.U.numpy().astype(float)
    score = U @ V[index["red"]] + (0 if model.bias is None else model.bias.numpy())
    p = np.exp(score) / np.exp(score).sum()
    np.testing.assert_allclose(found.probabilities, p, rtol=1e-12)
    np.testing.assert_allclose(found.gradient, U[index["rose"]] - p @ U, atol=1e-14)


def test_unknown_words_are_named_with_near_spellings(model):
    with pytest.raises(KeyError, match=r"'rosa' is not among these.*near spellings: rose"):
        expectation_of(model, "red", "rosa")
    with pytest.raises(IndexError, match="no word 9"):
        observed_minus_expected(np.zeros(2), np.zeros((3, 2)), 9)


def test_the_top_words_are_the_likeliest_and_the_word_seen_is_always_there():
    U = np.arange(30.0)[:, None]
    found = observed_minus_expected(np.array([0.1]), U, 3)
    assert found.top(4) == [29, 28, 27, 26, 3]
    assert found.rank == 27
    found = observed_minus_expected(np.array([0.1]), U, 28)
    assert found.top(4) == [29, 28, 27, 26]
    assert found.rank == 2


def test_the_bars_are_the_probabilities_and_the_rest_is_told():
    found = observed_minus_expected(np.array([0.1]), np.arange(30.0)[:, None], 3)
    bars, _ = found.figure(bars=4).axes
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches],
                               found.probabilities[[29, 28, 27, 26, 3]])
    assert [label.get_text() for label in bars.get_yticklabels()] == [
        "word 29", "word 28", "word 27", "word 26", "word 3 (no. 27)"]
    rest = 1 - found.probabilities[[29, 28, 27, 26, 3]].sum()
    assert f"25 other words have {rest:.3f} together" in bars.get_xlabel()


def test_the_arrows_are_observed_expected_and_their_difference():
    found, _, _ = example(5)
    _, arrows = found.figure().axes
    u, mean = found.plane() @ found.observed, found.plane() @ found.expected
    ends = [(text.xyann, text.xy) for text in arrows.texts if text.arrow_patch]
    for drawn, expected in zip(ends, [((0, 0), u), ((0, 0), mean), (mean, u)], strict=True):
        np.testing.assert_allclose(np.array(drawn), np.array(expected))
    assert f"length {np.linalg.norm(found.gradient):.3g}" in arrows.get_xlabel()
    assert arrows.get_aspect() == 1


def test_words_with_dollars_are_no_formulas():
    found = observed_minus_expected(np.zeros(2), np.eye(2), 0, words=["$\\frac", "$x$"],
                                    centre="$\\b")
    found.figure().draw_without_rendering()
