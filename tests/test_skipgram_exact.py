"""Training by E1 in tiles and shards: the same loss, gradient and bits as without."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import tinygrad_w2v as tg
from tests.test_skipgram import language
from tinygrad_w2v.testing import check_grad
from tinygrad_w2v.word2vec import SkipGram, exact
from tinygrad_w2v.word2vec.corpus import Corpus
from tinygrad_w2v.word2vec.counting import CoOccurrences
from tinygrad_w2v.word2vec.exact import Tiles
from tinygrad_w2v.word2vec.objective import exact_loss


def problem(n, d, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    counts = CoOccurrences.of(Corpus(rng.integers(0, n, 6 * n).astype(np.int32), [n]), n, 2, True)
    V, U = rng.normal(size=(2, n, d)) * scale
    return V, U, rng.normal(size=n), counts


def in_tiles(v, U, bias, counts, rows):
    """The loss as training computes it, of the whole tables as one argument each."""
    tiles = Tiles(U, bias, counts)
    table = U if bias is None else np.concatenate([U, bias[:, None]], axis=1)
    return lambda v, words=table: tiles.loss(v, [words[part] for part in tiles.parts], rows)


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**32 - 1), st.integers(1, 13),
       st.booleans(), st.sampled_from([0.1, 1.0, 30.0]))
def test_the_loss_in_tiles_and_its_gradient_are_those_of_the_formula(n, d, seed, tile, with_bias,
                                                                     scale):
    V, U, bias, counts = problem(n, d, seed, scale)
    bias = bias if with_bias else None
    rows = np.random.default_rng(seed).permutation(n)[: n // 2 + 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "TILE", tile)
        loss = in_tiles(V[rows], U, bias, counts, rows)
        table = U if bias is None else np.concatenate([U, bias[:, None]], axis=1)

        def formula(v, words):
            b = None if bias is None else words[:, d]
            return exact_loss(v, words[:, :d], b, counts.dense(rows))

        v = V[rows]
        np.testing.assert_allclose(loss(v, table), formula(v, table), rtol=1e-6, atol=1e-9)
        found = [tg.grad(f, argnums=(0, 1))(v, table) for f in (loss, formula)]
        for tiled, whole in zip(*found, strict=True):
            np.testing.assert_allclose(tiled.data, whole.data, rtol=1e-6, atol=1e-6 * scale)


def test_the_gradient_of_the_loss_in_tiles_is_its_slope():
    V, U, bias, counts = problem(7, 3, 1)
    rows = np.array([4, 0, 6])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "TILE", 3)
        loss = in_tiles(V[rows], U, bias, counts, rows)
        check_grad(loss, V[rows])
        check_grad(lambda words: loss(V[rows], words), np.concatenate([U, bias[:, None]], axis=1))


@pytest.mark.parametrize("shift", [-3000.0, -200.0, 200.0, 3000.0])
def test_scores_beyond_the_limits_of_exp_have_their_loss(shift):
    V, U, bias, counts = problem(9, 3, 2)
    rows = np.arange(9)
    V, U, bias = (x.astype(np.float32) for x in (V, U, bias))
    near, far = (float(in_tiles(V, U, b, counts, rows)(V)) for b in (bias, bias + shift))
    assert far == pytest.approx(near, rel=1e-3)  # float32 has 4 digits behind the point at 3000


@pytest.fixture
def small(monkeypatch):
    """Several tiles and shards of a small vocabulary, and threads for them."""
    for name, value in (("TILE", 7), ("SHARD", 3), ("SMALL", 0), ("FEW", 9), ("SOME", 9)):
        monkeypatch.setattr(exact, name, value)


@pytest.mark.parametrize("bias", [True, False])
def test_any_number_of_threads_gives_the_same_bits(small, bias, monkeypatch):
    found = set()
    for workers in (1, 2, 5):
        monkeypatch.setattr(exact, "cores", lambda workers=workers: workers)
        model = SkipGram(vector_size=5, min_count=1, loss="softmax", epochs=3, bias=bias)
        model.fit(language(5), progress=False)
        found.add((model.V.data.tobytes(), model.U.data.tobytes(), tuple(model.losses)))
        found.add(("E1", model.objective(language(5))))
    assert len(found) == 2


@pytest.mark.parametrize("k", [1, 4, 9])
def test_the_first_words_counts_are_those_among_all(k):
    counts = problem(9, 2, 3)[3]
    first = counts.first(k)
    np.testing.assert_array_equal(first.dense(np.arange(k)), counts.dense(np.arange(k))[:, :k])
    np.testing.assert_allclose(first.totals, counts.dense(np.arange(k))[:, :k].sum(axis=1))


def test_passes_over_the_most_frequent_words_first_make_e1_fall_sooner(monkeypatch):
    text, losses = language(7, groups=20), []
    for few in (1 << 11, 20):
        monkeypatch.setattr(exact, "FEW", few)
        model = SkipGram(vector_size=8, min_count=1, loss="softmax", epochs=2)
        losses.append(model.fit(text, progress=False).losses[0])
    assert losses[1] < losses[0]


def test_a_training_that_warmed_up_goes_on_from_a_checkpoint_to_the_same_bits(tmp_path, small,
                                                                            monkeypatch):
    monkeypatch.setattr(exact, "FEW", 5)

    def fitted(**given):
        model = SkipGram(vector_size=5, min_count=1, loss="softmax", epochs=3)
        return model.fit(language(5), progress=False, **given)

    whole, path = fitted(), tmp_path / "m"
    fitted(checkpoint=path, callbacks=[lambda made: True])
    assert len(SkipGram.load(path).losses) == 1
    again = fitted(checkpoint=path)
    np.testing.assert_array_equal(whole.V.data, again.V.data)
    np.testing.assert_array_equal(whole.U.data, again.U.data)


def test_tiles_and_shards_change_nothing_but_rounding(monkeypatch):
    text, fitted = language(6), []
    for tile, shard in ((2048, 256), (7, 3)):
        monkeypatch.setattr(exact, "TILE", tile)
        monkeypatch.setattr(exact, "SHARD", shard)
        model = SkipGram(vector_size=5, min_count=1, loss="softmax", epochs=2)
        fitted.append(model.fit(text, progress=False))
    np.testing.assert_allclose(fitted[0].V.data, fitted[1].V.data, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fitted[0].losses, fitted[1].losses, rtol=1e-5)


def test_a_checkpoint_made_with_other_tiles_is_refused(tmp_path, monkeypatch):
    def fit():
        SkipGram(vector_size=5, min_count=1, loss="softmax", epochs=2).fit(
            language(6), progress=False, checkpoint=tmp_path / "m")

    fit()
    monkeypatch.setattr(exact, "TILE", 7)
    with pytest.raises(ValueError, match="by a version that cuts the text into other steps"):
        fit()


def test_words_that_join_the_first_ones_start_nearer_to_the_optimum(monkeypatch):
    text, losses = language(7, groups=20), []
    for name in ("FEW", "SOME"):
        monkeypatch.setattr(exact, name, 20)
    for steps in (0, 2):
        monkeypatch.setattr(exact, "JOIN", steps)
        model = SkipGram(vector_size=8, min_count=1, loss="softmax", epochs=1)
        losses.append(model.fit(text, progress=False).losses[0])
    assert losses[1] < losses[0]


@pytest.mark.parametrize(("k", "rows"), [(1, 9), (4, 9), (9, 5), (9, 9)])
def test_counts_beside_the_first_words_are_those_among_all(k, rows):
    counts = problem(9, 2, 3)[3]
    beside, whole = counts.beside(k, rows), counts.dense(np.arange(rows))
    whole[:, k:] = 0
    assert beside.n == rows
    for row in range(rows):
        part = slice(beside.starts[row], beside.starts[row + 1])
        np.testing.assert_array_equal(beside.outside[part], np.flatnonzero(whole[row]))
        np.testing.assert_array_equal(beside.count[part], whole[row][whole[row] > 0])
    np.testing.assert_allclose(beside.totals, whole.sum(axis=1))
