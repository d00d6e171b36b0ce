"""Negative sampling by tiles: pairs and loss of the definition, steps by their formula."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_w2v as tg
from tinygrad_w2v.testing import check_grad
from tinygrad_w2v.word2vec import tiles as tiles_module
from tinygrad_w2v.word2vec.corpus import Corpus
from tinygrad_w2v.word2vec.objective import CoOccurrences, negative_loss
from tinygrad_w2v.word2vec.rows import RowGroups, SharedAdagrad
from tinygrad_w2v.word2vec.tiles import (
    NOISE,
    SHARING,
    TILE,
    band,
    pair_weights,
    tile_loss,
    tiles_of,
)

texts = st.lists(st.lists(st.integers(0, 5), max_size=40), min_size=1, max_size=6).filter(any)


def encoded(sentences):
    starts = np.cumsum([0, *map(len, sentences)])
    return Corpus(np.array([w for s in sentences for w in s], np.int32), starts)


def pairs_of(corpus, n, window, shrink_windows, keep=None, seed=0):
    """How often each pair stands in the tiles of a corpus, (n, n); and the number of tiles."""
    seen, number = np.zeros((n, n)), 0
    weights = band(TILE, window, shrink_windows)
    rng = np.random.default_rng(seed)
    for tiles, _ in tiles_of(corpus, np.ones(n) if keep is None else keep, np.ones(n), window, rng):
        w = pair_weights(tiles.sentence, weights)
        centre = np.broadcast_to(tiles.ids[:, window : window + TILE, None], w.shape)
        outside = np.broadcast_to(tiles.ids[:, None, :], w.shape)
        np.add.at(seen, (centre, outside), w)
        number += len(tiles)
    return seen, number


@given(texts, st.integers(1, 7), st.booleans(), st.integers(1, 90), st.integers(0, 9))
def test_tiles_have_the_pairs_of_the_double_sum_wherever_chunks_are_cut(
    sentences, window, shrink_windows, chunk, seed
):
    corpus = encoded(sentences)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles_module, "CHUNK", chunk)
        seen, number = pairs_of(corpus, 6, window, shrink_windows, seed=seed)
    counts = CoOccurrences.of(corpus, 6, window, shrink_windows)
    np.testing.assert_allclose(seen, counts.dense(np.arange(6)), rtol=1e-6)
    assert number % SHARING == 0
    assert number <= len(corpus) // TILE + SHARING


def test_frequent_words_are_thinned_before_windows_are_cut():
    sentence = [0] * 9 + [1]
    keep = np.array([0.3, 0.8])
    corpus = encoded([sentence] * 4000)
    seen, _ = pairs_of(corpus, 2, 1, False, keep)
    expected = 0.0  # neighbours after thinning: both kept, and all between them left out
    for i, j in itertools.combinations(range(10), 2):
        between = math.prod(1 - keep[w] for w in sentence[i + 1 : j])
        expected += 2 * keep[sentence[i]] * keep[sentence[j]] * between
    assert seen.sum() / 4000 == pytest.approx(expected, rel=0.05)


def test_tiles_come_in_another_order_for_every_generator_and_noise_by_its_weights():
    corpus = encoded([list(range(5)) * 4000])
    power = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    found = [next(tiles_of(corpus, np.ones(5), power, 2, np.random.default_rng(seed)))[0]
             for seed in (1, 1, 2)]
    np.testing.assert_array_equal(found[0].ids, found[1].ids)
    assert not np.array_equal(found[0].ids, found[2].ids)
    drawn = np.bincount(found[0].noise.reshape(-1), minlength=5)
    assert found[0].noise.shape == (len(found[0]) // SHARING, NOISE)
    share = power / power.sum()
    deviation = np.sqrt(share * (1 - share) / drawn.sum())
    assert drawn[0] == 0
    assert np.all(np.abs(drawn / drawn.sum() - share) <= 5 * deviation)
    assert not np.array_equal(np.sort(found[0].noise, axis=None), found[0].noise.reshape(-1))


def example(seed, k=2, b=3, m=2, groups=1, draws=4, d=3):
    rng = np.random.default_rng(seed)
    v, u, z = (rng.normal(size=shape) for shape in ((k, b, d), (k, b + 2 * m, d),
                                                    (groups, draws, d)))
    sentence = np.sort(rng.integers(0, 3, (k, b + 2 * m)), axis=1)
    return v, u, z, pair_weights(sentence, band(b, m)).astype(float)


@given(st.integers(0, 99), st.integers(1, 2), st.integers(1, 7))
def test_the_loss_of_tiles_is_that_of_their_pairs_and_of_k_noise_words_for_each(
    seed, groups, negative
):
    v, u, z, w = example(seed, groups=groups)
    k, draws = len(v), z.shape[1]
    total = 0.0
    for t in range(k):
        for i, j in np.argwhere(w[t]):
            total += w[t, i, j] * math.log1p(math.exp(-(u[t, j] @ v[t, i])))
            for x in z[t * groups // k]:
                total += w[t, i, j] * negative / draws * math.log1p(math.exp(x @ v[t, i]))
    assert tile_loss(v, u, z, w, negative).sum() == pytest.approx(total, rel=1e-12, abs=1e-12)


def test_with_as_many_noise_words_as_pairs_have_it_is_the_loss_of_pairs():
    rng = np.random.default_rng(3)
    V, U = rng.normal(size=(2, 9, 4))
    centre, outside, noise = 2, np.array([5, 7]), np.array([1, 8, 3])  # a tile of one word
    v, u, z = V[[[centre]]], U[[[outside[0], centre, outside[1]]]], U[noise][None]
    pairs = negative_loss(tg.Tensor(V), tg.Tensor(U), np.array([centre, centre]), outside,
                          np.array([noise, noise]))
    loss = tile_loss(v, u, z, band(1, 1)[None], 3)
    assert loss.shape == (1, 1)
    assert loss.item() == pytest.approx(pairs.item(), rel=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
def test_the_gradient_of_the_tiles_is_right(groups):
    v, u, z, w = example(5, groups=groups)
    check_grad(lambda v, u, z: tile_loss(v, u, z, w, 5), v, u, z)


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 4), st.integers(0, 9))
def test_rows_of_an_id_are_summed_and_parts_share_no_id(ids, parts, seed):
    ids = np.array(ids, np.int32)
    rows = np.random.default_rng(seed).normal(size=(len(ids), 3))
    expected = np.zeros((21, 3))
    np.add.at(expected, ids, rows)
    found, seen = np.zeros((21, 3)), []
    for share in range(parts):
        groups = RowGroups(ids, share, parts)
        found[groups.ids] = groups.sums(rows)
        seen += groups.ids.tolist()
    assert sorted(seen) == sorted(set(ids.tolist()))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_a_row_is_summed_in_order_whatever_the_part():
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 4, 5000).astype(np.int32) * 2
    rows = rng.normal(size=(5000, 2)).astype(np.float32)
    whole, part = RowGroups(ids), RowGroups(ids, 0, 2)
    np.testing.assert_array_equal(whole.ids, part.ids)
    np.testing.assert_array_equal(whole.sums(rows), part.sums(rows))


def adagrad(n, d):
    memory = SharedAdagrad.memory("V", n, d)
    optimiser = SharedAdagrad({name: np.zeros(*entry) for name, entry in memory.items()}, "V")
    optimiser.start()
    return optimiser


def test_shared_adagrad_steps_are_their_formula():
    rng = np.random.default_rng(2)
    n, d, lr = 7, 4, 0.5
    optimiser, table = adagrad(n, d), rng.normal(size=(n, d)).astype(np.float32)
    x, s, P, second = table.astype(float), np.ones(n), np.eye(d), np.zeros((d, d))
    for step in range(70):
        ids = rng.integers(0, n, 12).astype(np.int32)
        rows = (rng.normal(size=(12, d)) * [1, 2, 4, 8]).astype(np.float32)
        means = []
        for share in range(2):
            own = [i for i in range(n) if i % 2 == share and i in ids]
            g = np.array([rows[ids == i].astype(float).sum(axis=0) for i in own]).reshape(-1, d)
            unit = g / np.linalg.norm(g, axis=1, keepdims=True)
            means.append(unit.T @ unit / max(len(g), 1))
            for i, row in zip(own, g @ P, strict=True):
                s[i] += row @ row
                x[i] -= lr * row / np.sqrt(s[i])
            optimiser.move(table, RowGroups(ids, share, 2), rows, lr, step, share)
        optimiser.finish(step)
        if step % 4 == 0:
            second = 0.92 * second + 0.08 * np.mean(means, axis=0)
        if step % 32 == 0:
            values, vectors = np.linalg.eigh(second * d / np.trace(second))
            P = vectors @ np.diag(np.maximum(values, 1e-2) ** -0.25) @ vectors.T
        np.testing.assert_allclose(table, x, rtol=1e-4, atol=1e-4)
    assert P[3, 3] < 0.7 * P[0, 0]  # the direction of large gradients is slowed down


def test_no_step_is_longer_than_the_learning_rate_and_other_rows_rest():
    rng = np.random.default_rng(4)
    optimiser, table = adagrad(5, 3), np.zeros((5, 3), np.float32)
    rows = rng.normal(size=(2, 3)).astype(np.float32) * 1e6
    optimiser.move(table, RowGroups(np.array([1, 3], np.int32)), rows, 0.25, 1, 0)
    np.testing.assert_allclose(np.linalg.norm(table, axis=1), [0, 0.25, 0, 0.25, 0], rtol=1e-5)
    np.testing.assert_array_equal(optimiser.sums[[0, 2, 4]], 1)


def test_a_first_gradient_of_0_changes_nothing_and_harms_nothing():
    optimiser, table = adagrad(2, 3), np.ones((2, 3), np.float32)
    for step in range(33):
        optimiser.move(table, RowGroups(np.zeros(2, np.int32)), np.zeros((2, 3), np.float32), 1,
                       step, 0)
        optimiser.finish(step)
    np.testing.assert_array_equal(table, 1)
    np.testing.assert_array_equal(optimiser.P, np.eye(3))
