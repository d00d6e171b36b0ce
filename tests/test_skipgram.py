"""Training: both losses find what is known by construction, and say what is wrong."""

import os
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.word2vec import SkipGram
from tinygrad_w2v.word2vec.curvature import Settling, SharedCurvature, capped


def language(seed, groups=4, words=5, sentences=400):
    """Sentences that each draw from one group of words: the nearest words are of the same group."""
    rng = np.random.default_rng(seed)
    return [[f"g{group}w{w}" for w in rng.integers(0, words, 8)]
            for group in rng.integers(0, groups, sentences)]


@pytest.mark.parametrize("settings", [
    {"loss": "softmax"},
    {"loss": "softmax", "bias": False},
    {"loss": "softmax", "shrink_windows": False},
    {"loss": "negative", "sample": 0},
])
def test_words_that_stand_together_become_neighbours(settings):
    model = SkipGram(vector_size=8, window=3, min_count=1, seed=4, **settings)
    wv = model.fit(language(0), progress=False).wv
    for word in wv.words:
        assert {near[:2] for near, _ in wv.most_similar(word, topn=4)} == {word[:2]}
    assert model.losses[-1] < model.losses[0]


def test_a_stretch_of_text_without_a_pair_is_passed_over():
    lone = [list("abcd")] * 256 + [["a"]]  # 1025 words: the last one is a step of its own
    model = SkipGram(min_count=1, sample=0, epochs=1, vector_size=4).fit(lone, progress=False)
    assert np.isfinite(model.wv.vectors).all()


def test_a_failed_fit_leaves_the_model_as_it_was():
    model = SkipGram(vector_size=4, min_count=1, loss="softmax").fit([["a", "b"]], progress=False)
    with pytest.raises(ValueError, match="no two words"):
        model.fit([["y"], ["x"]])
    assert model.wv.words == ["a", "b"]


def test_settings_may_be_numpys_numbers():
    text = [["a", "b", "c"]] * 9
    a, b = (SkipGram(min_count=1, sample=0, window=w, lr=r, ns_exponent=e).fit(text, progress=False)
            for w, r, e in ((5, 0.5, -1.0), (np.uint8(5), np.float32(0.5), np.int64(-1))))
    np.testing.assert_array_equal(a.wv.vectors, b.wv.vectors)


def test_e1_falls_and_losses_report_it():
    model = SkipGram(vector_size=8, min_count=1, loss="softmax", epochs=6)
    text = language(1)
    before = model.start(text).objective(text)
    model.fit(text, progress=False)
    assert model.objective(text) < model.losses[-1] < model.losses[0] <= before


def test_softmax_beats_negative_sampling_at_its_own_objective():
    text = language(2)
    reached = {loss: SkipGram(vector_size=8, min_count=1, loss=loss, sample=0).fit(
        text, progress=False).objective(text) for loss in ("softmax", "negative")}
    assert reached["softmax"] < reached["negative"]


RUN = """
import sys; sys.path.insert(0, sys.argv[1])
from tests.test_skipgram import language
from tinygrad_w2v.word2vec import SkipGram
for loss in ("softmax", "negative"):
    model = SkipGram(vector_size=4, min_count=1, loss=loss, epochs=2, seed=9)
    print(model.fit(language(3), progress=False).wv.vectors.tobytes().hex())
"""


def test_the_same_seed_gives_the_same_bits_whatever_the_hash_seed():
    root = os.path.dirname(os.path.dirname(__file__))
    outputs = {
        subprocess.run([sys.executable, "-c", RUN, root], env={**os.environ, "PYTHONHASHSEED": h,
                                                               "PYTHONPATH": root},
                       capture_output=True, check=True).stdout
        for h in ("1", "2")}
    assert len(outputs) == 1


def test_another_seed_gives_other_vectors():
    a, b = (SkipGram(vector_size=4, min_count=1, loss="softmax", epochs=1, seed=seed).fit(
        language(3), progress=False).wv.vectors for seed in (1, 2))
    assert not np.allclose(a, b)


def test_vectors_may_be_centre_outside_or_their_sum():
    model = SkipGram(vector_size=4, min_count=1, loss="softmax", epochs=1)
    model.fit(language(3), progress=False)
    v, u = model.word_vectors("v").vectors, model.word_vectors("u").vectors
    np.testing.assert_array_equal(v, model.V.data)
    np.testing.assert_array_equal(u, model.U.data)
    np.testing.assert_array_equal(model.wv.vectors, v + u)
    with pytest.raises(ValueError, match="'v', 'u' or 'v\\+u', not 'w'"):
        model.word_vectors("w")


def test_progress_goes_to_standard_error_with_loss_and_time_left(capsys):
    SkipGram(vector_size=4, min_count=1, loss="softmax", epochs=2).fit(language(3))
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("pass 1/2  E1 ")
    assert "s left" in lines[0]


@pytest.mark.parametrize(("settings", "message"), [
    ({"loss": "hierarchical"}, "'softmax' or 'negative', not 'hierarchical'"),
    ({"vector_size": 0}, "vector_size is a whole number from 1 up, not 0"),
    ({"window": 2.5}, "window is a whole number"),
    ({"epochs": -1}, "epochs is a whole number from 0 up"),
    ({"lr": 0}, "lr is a number above 0"),
    ({"lr": float("nan")}, "lr is a number above 0"),
    ({"lr": "a"}, "lr is a number above 0"),
    ({"sample": -1}, "sample is a share of the text, or 0, not -1"),
    ({"ns_exponent": float("nan")}, "ns_exponent is a number"),
    ({"seed": -3}, "seed is a whole number from 0 up, not -3"),
])
def test_bad_settings_are_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        SkipGram(**settings)


@pytest.mark.parametrize("use", [lambda m: m.wv, lambda m: m.run(), lambda m: m.objective([["a"]])])
def test_a_model_that_was_not_fitted_says_so(use):
    with pytest.raises(RuntimeError, match=r"no vectors yet: call fit\(corpus\) first"):
        use(SkipGram())
    assert repr(SkipGram()).endswith("not fitted)")


@pytest.mark.parametrize("loss", ["softmax", "negative"])
def test_a_corpus_with_nothing_to_learn_is_refused(loss):
    with pytest.raises(ValueError, match=r"occurs 5 times \(2 occur less\): lower min_count"):
        SkipGram(loss=loss).fit([["a", "b"]])
    with pytest.raises(ValueError, match="no two words of the corpus stand in one sentence"):
        SkipGram(loss=loss, min_count=1).fit([["a"], ["b"]])
    with pytest.raises(ValueError, match="the corpus has no words"):
        SkipGram(loss=loss).fit([])


def test_a_corpus_of_strange_words_has_no_objective():
    model = SkipGram(vector_size=4, min_count=1, loss="softmax", epochs=1)
    model.fit(language(3), progress=False)
    with pytest.raises(ValueError, match="no word of this model's vocabulary"):
        model.objective([["unheard", "of"]])


def test_a_learning_rate_that_blows_up_is_named():
    with pytest.raises(FloatingPointError, match=r"loss became (nan|inf) in pass \d: lower lr"):
        SkipGram(vector_size=4, min_count=1, loss="softmax", lr=1e30).fit(
            language(3), progress=False)


def test_shared_curvature_steps_are_their_formula():
    rng = np.random.default_rng(6)
    n, d = 6, 3
    V, U = rng.normal(size=(2, n, d))
    b, totals = rng.normal(size=n), rng.integers(1, 9, n).astype(float)
    q = totals / totals.sum()

    def newton(g, table):
        centred = table - q @ table
        cov = sum(q[i] * np.outer(centred[i], centred[i]) for i in range(n))
        cov += 0.1 * np.trace(cov) / d * np.eye(d)
        step = np.stack([np.linalg.solve(cov, g[i] / (totals[i] + 1)) for i in range(n)])
        return np.stack([s / max(1, np.sqrt(s @ s)) for s in step])

    tensors = [tg.Tensor(x, requires_grad=True) for x in (V, U, b)]
    v, u, bias = tensors
    rows = [4, 0, 4]  # a row looked up twice moves by the sum, once
    ((tg.take(v, rows) @ u.T + bias) ** 2).sum().backward()
    g_v, g_u, g_b = np.asarray(v.grad), u.grad, bias.grad
    SharedCurvature(*tensors, totals).step(rate=0.5)
    np.testing.assert_allclose(v.data, V - 0.5 * newton(g_v, U), rtol=1e-10)
    np.testing.assert_allclose(u.data, U - 0.5 * newton(g_u, V), rtol=1e-10)
    np.testing.assert_allclose(bias.data, b - 0.25 * np.clip(g_b / (totals + 1), -1, 1))
    np.testing.assert_array_equal(v.data[[1, 2, 3, 5]], V[[1, 2, 3, 5]])


def test_capped_steps_have_length_at_most_1_and_keep_their_direction():
    steps = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    np.testing.assert_allclose(capped(steps), [[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])


def test_settling_finds_the_minimum_of_each_row():
    rng = np.random.default_rng(3)
    root, goal = rng.normal(size=(6, 4)), rng.normal(size=(5, 4))
    curvature = root.T @ root
    totals = rng.integers(1, 9, 5).astype(float)

    def loss(x):  # a row's curvature is its total times what all share
        off = x - goal
        return ((off @ curvature * off).sum(axis=1) * totals).sum() / 2

    settling = Settling(rng.normal(size=(7, 4)), np.linalg.inv(curvature))
    found = settling.settle(loss, totals, np.zeros(5), 1000)
    np.testing.assert_allclose(found, goal, atol=1e-3)
    prior = np.arange(5.0)
    found = settling.settle(loss, totals, prior, 1000)  # drawn back to the start by so many pairs
    share = (totals / (totals + prior))[:, None]
    np.testing.assert_allclose(found, share * goal + (1 - share) * settling.start, atol=1e-3)
