"""Rare words are folded in against the frequent ones: what is minimised, and that it is."""

import itertools
import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import tinygrad_w2v as tg
from tests.test_skipgram import language
from tests.test_skipgram_exact import problem
from tests.test_training import ctrl_c as ctrl_c
from tinygrad_w2v.testing import check_grad
from tinygrad_w2v.word2vec import SkipGram, exact, folding, model as model_module
from tinygrad_w2v.word2vec.folding import FoldedSoftmax, Seen, draw
from tinygrad_w2v.word2vec.objective import exact_loss, sampled_loss

TEXT = language(1, groups=6, words=8, sentences=600)  # 48 words


def model(**given):
    return SkipGram(**{"vector_size": 8, "window": 3, "min_count": 1, "loss": "softmax",
                       "exact_words": 24, "seed": 4, **given})


def fitted(text=TEXT, *, run=None, **given):
    return model(**given).fit(text, progress=False, **(run or {}))


def tables(model):
    return [model.V.numpy(), model.U.numpy(), *([] if model.bias is None else [model.bias.numpy()])]


def assert_same(a, b):
    assert a.losses == b.losses
    for x, y in zip(tables(a), tables(b), strict=True):
        np.testing.assert_array_equal(x, y)


# ── sampled softmax ───────────────────────────────────────────────────────────────────────────────


def sampled_problem(n, d, seed, k=4, w=3, scale=1.0):
    """Vectors, and a few words seen beside each of k centre words, some rows filled up."""
    rng = np.random.default_rng(seed)
    V, U, bias = (scale * rng.normal(size=shape) for shape in ((k, d), (n, d), n))
    seen = np.stack([rng.permutation(n)[:w] for _ in range(k)])
    counts = rng.integers(0, 3, (k, w)).astype(float)
    dense = np.zeros((k, n))
    np.put_along_axis(dense, seen, counts, axis=1)
    return V, U, bias, seen, counts, dense


@settings(max_examples=40)
@given(st.integers(3, 9), st.integers(1, 4), st.integers(0, 2**32 - 1), st.booleans())
def test_with_all_words_drawn_for_certain_sampled_softmax_is_e1_and_so_is_its_gradient(
        n, d, seed, with_bias):
    V, U, bias, seen, counts, dense = sampled_problem(n, d, seed)

    def exactly(V, U, b):
        return exact_loss(V, U, b if with_bias else None, dense)

    def by_sample(V, U, b):
        return sampled_loss(V, U, b if with_bias else None, seen, counts, np.arange(n), np.zeros(n))

    np.testing.assert_allclose(by_sample(V, U, bias), exactly(V, U, bias), rtol=1e-12, atol=1e-12)
    found = [tg.grad(f, argnums=(0, 1, 2))(V, U, bias) for f in (by_sample, exactly)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-9, atol=1e-9)


def test_the_gradient_of_sampled_softmax_is_its_slope():
    V, U, bias, seen, counts, _ = sampled_problem(7, 3, 5)
    drawn, log_q = np.array([0, 3, 6]), np.log([0.9, 0.5, 0.25])
    check_grad(lambda V: sampled_loss(V, U, bias, seen, counts, drawn, log_q), V)
    check_grad(lambda U: sampled_loss(V, U, bias, seen, counts, drawn, log_q), U)
    check_grad(lambda b: sampled_loss(V, U, b, seen, counts, drawn, log_q), bias)


def test_the_error_of_the_sampled_gradient_falls_like_one_over_the_root_of_the_sample():
    n, draws, sizes = 4000, 60, (25, 100, 400)
    V, U, bias, seen, counts, dense = sampled_problem(n, 4, 6, scale=0.5)
    share, rng = np.random.default_rng(7).dirichlet(np.full(n, 5.0)), np.random.default_rng(8)
    true = tg.grad(lambda V: exact_loss(V, U, bias, dense))(V).data

    def estimate(drawn, log_q):
        return tg.grad(lambda V: sampled_loss(V, U, bias, seen, counts, drawn, log_q))(V).data

    def error(size):
        found = [estimate(*draw(share, size, rng)) - true for _ in range(draws)]
        return np.sqrt(np.mean(np.square(found)))

    errors = [error(size) for size in sizes]
    for before, after in itertools.pairwise(errors):
        assert 1.5 < before / after < 2.8  # 4 times the words: half the error


def test_without_logq_the_sampled_gradient_does_not_get_right():
    n = 400
    V, U, bias, seen, counts, dense = sampled_problem(n, 4, 9, scale=0.5)
    share = np.exp(U[:, 0])  # a sample that is not like the words
    true = tg.grad(lambda V: exact_loss(V, U, bias, dense))(V).data
    off, right = 0, 0
    for seed in range(200):
        drawn, log_q = draw(share, 100, np.random.default_rng(seed))
        for corrected in (False, True):
            g = tg.grad(lambda V, d=drawn, q=log_q * corrected: sampled_loss(
                V, U, bias, seen, counts, d, q))(V).data
            off, right = (off, right + g) if corrected else (off + g, right)
    assert np.abs(right / 200 - true).max() < 0.2 * np.abs(off / 200 - true).max()


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_draw_has_the_size_asked_for_and_each_word_once(n, size, seed):
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.ones(n)) * rng.integers(0, 2, n)
    words, log_q = draw(share, size, rng)
    possible = int(np.sum(share > 0))
    assert len(np.unique(words)) == len(words)
    assert abs(len(words) - min(size, possible)) <= 1  # one more or less, by rounding
    assert np.all(share[words] > 0)
    assert np.all(log_q <= 0)


def test_words_are_drawn_as_often_as_their_q_says():
    share, often = np.array([8.0, 4, 2, 1, 1, 0]), np.zeros(6)
    expected = np.array([1, 1, 0.5, 0.25, 0.25, 0])
    for seed in range(2000):
        words, log_q = draw(share, 3, np.random.default_rng(seed))
        often[words] += 1 / 2000
        np.testing.assert_allclose(np.exp(log_q), expected[words])
    np.testing.assert_allclose(often, expected, atol=0.04)


# ── what folding in minimises ─────────────────────────────────────────────────────────────────────


def dense_problem(k=6, tail=3, d=3, seed=1):
    """A head of k words, tables of it, and counts of all words with all."""
    V, U, bias, counts = problem(k + tail, d, seed)
    return V, U, bias, counts.dense(np.arange(k + tail)).astype(float) + 1


def poisson(u, b, V, norm, inside, C):
    """Σ_c N_c exp(s_co)/Z_c − Σ_c C[c, o] s_co, summed over the words o of the tail."""
    s = V @ u.T + b
    return (inside[:, None] * np.exp(s - norm[:, None]) - C * s).sum()


def test_the_loss_of_the_tails_outside_words_lies_above_e1_and_touches_it():
    V, U, bias, C = dense_problem()
    k, rng = 6, np.random.default_rng(2)
    V, seen = V[:k], C[:k, k:]
    inside, mass = C[:k, :k].sum(axis=1), C[:k].sum(axis=1)

    def e1(u, b, norm):  # of the centre words of the head, in all that depends on the tail
        s = V @ u.T + b
        return mass @ np.log(np.exp(norm) + np.exp(s).sum(axis=1)) - (seen * s).sum()

    def above(u, b, norm):
        constant = mass @ (norm + np.log(mass / inside)) - (mass - inside).sum()
        return poisson(u, b, V, norm, inside, seen) + constant

    norm = np.log(np.exp(V @ U[:k].T + bias[:k]).sum(axis=1))
    for _ in range(50):
        u, b = rng.normal(size=(3, 3)), rng.normal(size=3)
        assert e1(u, b, norm) <= above(u, b, norm) + 1e-9
    u, b = np.zeros((3, 3)), rng.normal(size=3)
    norm = np.log(np.exp(b).sum() / (mass / inside - 1))  # P gives the tail what the text does
    assert e1(u, b, norm) == pytest.approx(above(u, b, norm), rel=1e-12)


def test_with_its_best_bias_that_loss_is_the_one_of_centre_vectors_turned_round():
    V, U, bias, C = dense_problem(seed=3)
    k, u = 6, np.random.default_rng(4).normal(size=(3, 3))
    norm = np.log(np.exp(V[:k] @ U[:k].T + bias[:k]).sum(axis=1))
    inside, seen = C[:k, :k].sum(axis=1), C[:k, k:]
    a, totals = np.log(inside) - norm, seen.sum(axis=0)
    b = np.log(totals) - np.log(np.exp(u @ V[:k].T + a).sum(axis=1))
    g_u, g_b = tg.grad(poisson, argnums=(0, 1))(u, b, V[:k], norm, inside, seen)
    np.testing.assert_allclose(g_b.data, 0, atol=1e-10)
    turned = tg.grad(lambda u: exact_loss(u, V[:k], a, seen.T))(u)
    np.testing.assert_allclose(turned.data, g_u.data, atol=1e-10)
    expected = inside[:, None] * np.exp(V[:k] @ u.T + b - norm[:, None])  # E5, with Z_c known
    np.testing.assert_allclose(g_u.data, (expected - seen).T @ V[:k], atol=1e-10)


@pytest.mark.parametrize("bias", [True, False])
def test_many_steps_bring_the_gaps_of_e4_and_e5_to_0_for_words_of_the_tail(monkeypatch, bias):
    monkeypatch.setattr(folding, "STEPS", 3000)
    monkeypatch.setattr(folding, "PRIOR", 1e-3)
    rng = np.random.default_rng(5)
    text = [[str(w) for w in rng.choice(8, 600, p=np.arange(8, 0, -1) / 36)]]  # all pairs occur
    found = fitted(text, exact_words=5, vector_size=2, bias=bias)
    k, C = 5, found.counts.dense(np.arange(8)).astype(float)
    V, U = (x.astype(float) for x in tables(found)[:2])
    b = found.bias.data.astype(float) if bias else np.zeros(8)
    s = V @ U.T + b
    P = np.exp(s[:, :k]) / np.exp(s[:, :k]).sum(axis=1, keepdims=True)
    tail, inside = C[k:, :k], C[:k, :k].sum(axis=1)
    by_v = (tail - tail.sum(axis=1, keepdims=True) * P[k:]) @ U[:k]
    expected = inside[:, None] * np.exp(s[:k, k:]) / np.exp(s[:k, :k]).sum(axis=1, keepdims=True)
    by_u = (C[:k, k:] - expected).T @ V[:k]
    assert np.abs(by_v).max() < 1e-2 * tail.sum()
    assert np.abs(by_u).max() < 1e-2 * tail.sum()
    if bias:
        np.testing.assert_allclose(expected.sum(axis=0), C[:k, k:].sum(axis=0), rtol=1e-3)


def test_groups_have_every_pair_of_the_tail_with_the_head_once(monkeypatch):
    monkeypatch.setattr(folding, "PAIRS", 40)
    counts, k = problem(40, 2, 6)[3], 15
    seen, dense = Seen(counts, k), counts.dense(np.arange(40))
    assert sorted(np.concatenate(seen.groups)) == list(range(k, 40))
    assert len(seen.groups) > 3
    for words in seen.groups:
        ids, times = seen[words]
        found = np.zeros((len(words), k), np.float32)
        np.add.at(found, (np.arange(len(words))[:, None], ids), times)
        np.testing.assert_array_equal(found, dense[words, :k])


# ── training ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("given", [{}, {"bias": False}, {"shrink_windows": False}])
@pytest.mark.parametrize("exact_words", [24, 36])
def test_rare_words_become_neighbours_of_the_words_that_they_stand_with(given, exact_words):
    wv = fitted(exact_words=exact_words, **given).wv
    for word in wv.words:
        assert {near[:2] for near, _ in wv.most_similar(word, topn=4)} == {word[:2]}


def test_a_vocabulary_that_is_no_larger_is_trained_as_a_whole_to_the_same_bits():
    whole = fitted(exact_words=10**9)
    assert_same(whole, fitted(exact_words=48))
    assert_same(whole, fitted(exact_words=20_000))
    assert not isinstance(model(exact_words=48).start(TEXT)._trainer, FoldedSoftmax)
    assert isinstance(model(exact_words=47).start(TEXT)._trainer, FoldedSoftmax)


def test_the_head_is_trained_by_e1_summed_over_itself_alone():
    found = model(epochs=2).start(TEXT)
    V, U, bias = (x[:24].copy() for x in tables(found))
    alone = exact.ExactSoftmax(*(tg.Tensor(x, requires_grad=True) for x in (V, U, bias)),
                               found.counts.first(24), found.seed)
    with alone.team(1):
        for epoch in range(2):
            list(alone.steps(epoch, found._rate(epoch)))
    found.run(progress=False)
    for whole, head in zip(tables(found), (alone.V, alone.U, alone.bias), strict=True):
        np.testing.assert_array_equal(whole[:24], head.data)


def test_e1_of_the_whole_vocabulary_falls_when_the_tail_is_folded_in():
    before, found = [], model()
    found.fit(TEXT, progress=False,
              callbacks=[lambda made: before.append(made.model.objective(TEXT))])
    assert found.objective(TEXT) < min(before)


@pytest.mark.parametrize("bias", [True, False])
def test_any_number_of_threads_folds_in_the_same_bits(monkeypatch, bias):
    monkeypatch.setattr(folding, "PAIRS", 60)
    models = []
    for workers in (1, 2, 5):
        monkeypatch.setattr(exact, "cores", lambda workers=workers: workers)
        models.append(fitted(workers=workers, bias=bias))
    for other in models[1:]:
        assert_same(models[0], other)


@pytest.mark.parametrize("where", ["advance", "close"])
@pytest.mark.parametrize("after", [1, 3])
def test_training_goes_on_from_a_break_in_head_or_tail_to_the_same_bits(where, after, tmp_path,
                                                                        monkeypatch):
    monkeypatch.setattr(folding, "PAIRS", 60)
    whole, path, calls = fitted(epochs=4), tmp_path / "m", []

    def interrupt(shown, share):
        calls.append(share)
        if len(calls) == after:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(model_module.Progress, where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        fitted(epochs=4, run={"checkpoint": path})
    assert len(calls) == after
    monkeypatch.setattr(model_module.Progress, where, lambda shown, share: calls.append(share))
    again = fitted(epochs=4, run={"checkpoint": path})
    assert_same(whole, again)
    assert_same(SkipGram.load(path), whole)
    if where == "close":  # what was folded in before the break was not folded in again
        assert calls[after] > calls[after - 1]
        assert calls[-1] == 1


def test_a_finished_checkpoint_has_nothing_left_to_fold_in(tmp_path, monkeypatch):
    first = fitted(epochs=2, run={"checkpoint": tmp_path / "m"})
    monkeypatch.setattr(folding.Table, "fold", None)
    assert_same(first, fitted(epochs=2, run={"checkpoint": tmp_path / "m"}))


def test_a_training_that_ends_early_folds_in_too_and_may_go_on(tmp_path):
    path, whole = tmp_path / "m", fitted(epochs=4)
    start = model(epochs=4).start(TEXT).V.numpy()
    early = fitted(epochs=4, run={"checkpoint": path, "callbacks": [lambda made: True]})
    assert len(early.losses) == 1
    assert np.all(np.any(early.V.data != start, axis=1))
    assert_same(early, SkipGram.load(path))
    assert_same(whole, fitted(epochs=4, run={"checkpoint": path}))
    stopped = fitted(epochs=9, run={"tolerance": 0.9})
    assert len(stopped.losses) < 9
    assert np.all(np.any(stopped.V.data != start, axis=1))


def test_a_checkpoint_with_another_head_is_refused(tmp_path):
    fitted(epochs=1, run={"checkpoint": tmp_path / "m"})
    with pytest.raises(ValueError, match="was made with exact_words=24, not 30"):
        fitted(epochs=1, exact_words=30, run={"checkpoint": tmp_path / "m"})


def test_without_a_pass_nothing_is_folded_in():
    found = model(epochs=0).start(TEXT)
    before = tables(found)
    for x, y in zip(before, tables(found.run(progress=False)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_words_of_the_tail_that_never_stand_beside_the_head_get_finite_vectors():
    text = [*language(0, groups=2, words=4, sentences=200), ["x", "y"], ["y", "x"]]
    found = fitted(text, exact_words=4)
    assert all(np.isfinite(table).all() for table in tables(found))
    assert np.isfinite(found.objective(text))


def test_the_tail_is_reported_on_standard_error(capsys):
    model(epochs=1).fit(TEXT)
    assert capsys.readouterr().err.splitlines()[-1].startswith("rare words folded in")


@pytest.mark.parametrize("value", [1, 0, -5, 2.5, True, "all", None])
def test_a_head_of_no_words_is_refused(value):
    with pytest.raises(ValueError, match=f"exact_words is a whole number from 2 up, not {value!r}"):
        SkipGram(loss="softmax", exact_words=value)
