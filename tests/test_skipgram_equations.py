"""E1–E6: what the code computes is what the notes say."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_w2v as tg
from tinygrad_w2v.word2vec import SkipGram, counting
from tinygrad_w2v.word2vec.corpus import Corpus, Vocabulary
from tinygrad_w2v.word2vec.derivation import (
    centre_gradient,
    differences,
    outside_gradient,
    probabilities,
)
from tinygrad_w2v.word2vec.objective import (
    CoOccurrences,
    exact_loss,
    log_probabilities,
    negative_loss,
)

texts = st.lists(st.lists(st.sampled_from("abcdef"), max_size=9), min_size=1, max_size=5).filter(
    lambda sentences: any(len(s) > 1 for s in sentences)
)


def pairs_of(sentences, window):
    """The double sum of E1, as it is written: every position t, every j ≠ 0 in the window."""
    for sentence in sentences:
        for t, centre in enumerate(sentence):
            for j in range(-window, window + 1):
                if j != 0 and 0 <= t + j < len(sentence):
                    yield centre, sentence[t + j], abs(j)


def started(sentences, seed=3, **settings):
    model = SkipGram(min_count=1, loss="softmax", seed=seed, **settings).start(sentences)
    with model.V.edit() as v, model.U.edit() as u:  # larger than the start, so that words differ
        v *= 20
        u *= 20
    return model


@given(texts, st.integers(1, 4), st.booleans(), st.booleans())
def test_objective_is_e1_by_the_double_sum(sentences, window, shrink, bias):
    model = started(sentences, vector_size=3, window=window, shrink_windows=shrink, bias=bias)
    V, U = model.V.numpy().astype(float), model.U.numpy().astype(float)
    b = model.bias.numpy().astype(float) if bias else np.zeros(len(U))
    index, J = model.vocabulary.index, 0.0
    for centre, outside, distance in pairs_of(sentences, window):
        scores = [float(u @ V[index[centre]]) + float(x) for u, x in zip(U, b, strict=True)]
        weight = (window - distance + 1) / window if shrink else 1
        J -= weight * (scores[index[outside]] - math.log(sum(map(math.exp, scores))))
    J /= sum(map(len, sentences))
    assert model.objective(sentences) == pytest.approx(J, rel=1e-5)  # the model is float32


def test_shrunk_windows_are_the_average_of_random_ones():
    sentences, window = [list("abcab"), list("ba")], 3
    drawn = np.zeros(4)
    for reach in range(1, window + 1):  # the original program draws each reach equally often
        for _, _, distance in pairs_of(sentences, window):
            drawn[distance] += (distance <= reach) / window
    vocabulary = Vocabulary.build(sentences, 1)
    counts = CoOccurrences.of(Corpus.encode(sentences, vocabulary), 3, window, True)
    assert counts.totals.sum() == pytest.approx(drawn.sum(), rel=1e-14)


def test_objective_of_equal_vectors_is_2m_log_n_within_its_window_edges():
    words, window = list("abcd") * 30, 3
    model = SkipGram(vector_size=5, window=window, min_count=1, loss="softmax", bias=False,
                     shrink_windows=False).start([words])
    with model.U.edit() as u:
        u[:] = 0
    edges = window * (window + 1) / len(words)  # windows cut short, per position
    assert model.objective([words]) == pytest.approx((2 * window - edges) * math.log(4), rel=1e-6)


def test_negative_sampling_starts_at_2m_log_n_as_all_outside_vectors_are_0():
    words, window = list("abcd") * 30, 3
    model = SkipGram(window=window, min_count=1, epochs=0, shrink_windows=False)
    edges = window * (window + 1) / len(words)
    reached = model.fit([words], progress=False).objective([words])
    assert reached == pytest.approx((2 * window - edges) * math.log(4), rel=1e-6)


@given(texts, st.integers(1, 4), st.booleans(), st.integers(1, 9))
def test_co_occurrences_are_those_of_the_double_sum_however_they_are_chunked(
    sentences, window, shrink, chunk
):
    vocabulary = Vocabulary.build(sentences, 1)
    n = len(vocabulary)
    expected = np.zeros((n, n))
    for centre, outside, distance in pairs_of(sentences, window):
        place = vocabulary.index[centre], vocabulary.index[outside]
        expected[place] += (window - distance + 1) / window if shrink else 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "CHUNK", chunk)
        counts = CoOccurrences.of(Corpus.encode(sentences, vocabulary), n, window, shrink)
    np.testing.assert_allclose(counts.dense(np.arange(n)), expected, rtol=1e-6)
    np.testing.assert_allclose(counts.totals, expected.sum(axis=1), rtol=1e-12)
    rows = np.arange(n)[::-2]
    np.testing.assert_array_equal(counts.dense(rows), counts.dense(np.arange(n))[rows])


vocabularies = st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(0, 2**32 - 1))


def drawn(vocabulary):
    n, d, seed = vocabulary
    rng = np.random.default_rng(seed)
    return rng.normal(size=d), rng.normal(size=(n, d)), int(rng.integers(n))


@given(vocabularies)
def test_e4_by_hand_is_autodiff_is_numeric(vocabulary):
    d = centre_gradient(*drawn(vocabulary))
    assert d.error < 1e-14
    np.testing.assert_allclose(d.by_autodiff, d.by_differences, atol=1e-8)


@given(vocabularies)
def test_e5_by_hand_is_autodiff_is_numeric(vocabulary):
    d = outside_gradient(*drawn(vocabulary))
    assert d.error < 1e-14
    np.testing.assert_allclose(d.by_autodiff, d.by_differences, atol=1e-8)


@given(vocabularies)
def test_e4_by_the_complex_step_to_the_last_digits(vocabulary):
    v, U, o = drawn(vocabulary)
    by_hand = U[o] - probabilities(v, U) @ U
    for k in range(len(v)):
        moved = v + 1e-100j * np.eye(len(v))[k]
        log_p = tg.Tensor(moved[None]) @ U.T
        slope = (log_p[0, o] - tg.logsumexp(log_p)).item().imag / 1e-100
        assert abs(slope - by_hand[k]) < 1e-13


@given(vocabularies)
def test_small_operations_and_the_fused_log_softmax_give_the_same_gradient(vocabulary):
    v, U, o = drawn(vocabulary)

    def small(v):  # E2, then its logarithm
        p = tg.exp(v @ U.T)
        return tg.log(p[o] / p.sum())

    fused = tg.grad(lambda v: log_probabilities(v.reshape(1, -1), U)[0, o])(v)
    np.testing.assert_allclose(tg.grad(small)(v).data, fused.data, rtol=1e-9, atol=1e-12)


@given(vocabularies)
def test_probabilities_of_all_words_sum_to_one(vocabulary):
    v, U, _ = drawn(vocabulary)
    assert np.exp(log_probabilities(v[None], U)).sum() == pytest.approx(1, rel=1e-14)
    np.testing.assert_allclose(np.exp(log_probabilities(v[None], U))[0], probabilities(v, U))


@given(vocabularies)
def test_gradient_of_the_exact_loss_is_its_slope_by_every_parameter(vocabulary):
    _, U, _ = drawn(vocabulary)
    rng = np.random.default_rng(vocabulary[2])
    V, b = rng.normal(size=(2, U.shape[1])), rng.normal(size=len(U))
    C = rng.integers(0, 4, (2, len(U))).astype(float)
    gradients = tg.grad(exact_loss, argnums=(0, 1, 2))(V, U, b, C)
    numeric = (differences(lambda V: exact_loss(V, U, b, C), V),
               differences(lambda U: exact_loss(V, U, b, C), U),
               differences(lambda b: exact_loss(V, U, b, C), b))
    for gradient, slope in zip(gradients, numeric, strict=True):
        np.testing.assert_allclose(gradient.data, slope, rtol=1e-6, atol=1e-6)


def test_e6_observed_minus_expected_shrinks_to_0_at_the_optimum():
    rng = np.random.default_rng(0)
    text = [[str(w) for w in rng.integers(0, 5, 400)]]  # every pair of the 5 words occurs
    model = SkipGram(vector_size=3, window=2, min_count=1, loss="softmax", epochs=1, bias=False,
                     seed=1)

    def gap():  # Σ over pairs of u_o − E[u], for each centre word, per pair
        V, U, counts = model.V.numpy(), model.U.numpy(), model.counts
        C = counts.dense(np.arange(5))
        P = np.exp(log_probabilities(V, U))
        return np.abs((C - counts.totals[:, None] * P) @ U / counts.totals[:, None]).max()

    model.start(text)
    with model.V.edit() as v, model.U.edit() as u:
        v *= 20
        u *= 20
    before = gap()
    model.epochs = 3000
    model.run(progress=False)
    assert gap() < 1e-4 < 0.1 < before


@given(vocabularies, st.integers(1, 6), st.integers(1, 4))
def test_negative_loss_is_its_formula_and_its_gradient_its_slope(vocabulary, pairs, k):
    n, d, seed = vocabulary
    rng = np.random.default_rng(seed)
    V, U = rng.normal(size=(2, n, d))
    c, o = rng.integers(n, size=(2, pairs))
    z = rng.integers(n, size=(pairs, k))

    def loss(V, U):
        return negative_loss(tg.Tensor(V), tg.Tensor(U), c, o, z).item()

    by_loops = 0.0
    for i in range(pairs):
        by_loops += math.log1p(math.exp(-(U[o[i]] @ V[c[i]])))
        by_loops += sum(math.log1p(math.exp(U[x] @ V[c[i]])) for x in z[i])
    assert loss(V, U) == pytest.approx(by_loops, rel=1e-12)
    gradients = tg.grad(lambda V, U: negative_loss(V, U, c, o, z), argnums=(0, 1))(V, U)
    slopes = differences(lambda V: loss(V, U), V), differences(lambda U: loss(V, U), U)
    for gradient, slope in zip(gradients, slopes, strict=True):
        np.testing.assert_allclose(gradient.data, slope, rtol=1e-6, atol=1e-7)
