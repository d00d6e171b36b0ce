"""Counting pairs: the double loop's numbers, whatever is packed, merged, stored or shared out."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tinygrad_w2v.word2vec import counting
from tinygrad_w2v.word2vec.corpus import Corpus
from tinygrad_w2v.word2vec.counting import CoOccurrences, Packing, StoredRun
from tinygrad_w2v.word2vec.threads import in_order


def by_double_loop(corpus, n, window, shrink):
    """C as E1 has it, in fractions: every position, every other one in its window."""
    expected = np.full((n, n), Fraction(0))
    for begin, end in zip(corpus.starts[:-1], corpus.starts[1:], strict=True):
        sentence = corpus.ids[begin:end]
        for t, c in enumerate(sentence):
            for j in range(max(t - window, 0), min(t + window + 1, len(sentence))):
                if j != t:
                    weight = Fraction(window - abs(j - t) + 1, window) if shrink else Fraction(1)
                    expected[c, sentence[j]] += weight
    return expected


def assert_counts(counts, expected):
    n = len(expected)
    np.testing.assert_array_equal(counts.dense(np.arange(n)), expected.astype(np.float32))
    np.testing.assert_array_equal(counts.totals, expected.sum(axis=1).astype(float))
    rows = [np.flatnonzero(row) for row in expected]
    np.testing.assert_array_equal(counts.outside, np.concatenate(rows))
    np.testing.assert_array_equal(counts.starts, np.cumsum([0, *map(len, rows)]))


texts = st.tuples(st.integers(1, 9), st.integers(1, 60), st.integers(0, 2**32 - 1))


@settings(max_examples=60)
@given(texts, st.integers(1, 6), st.booleans(), st.integers(1, 20), st.integers(0, 30),
       st.integers(1, 5), st.integers(1, 3), st.integers(1, 4))
def test_counts_are_those_of_the_double_loop_to_the_last_bit(text, window, shrink, chunk, held,
                                                            piece, stride, workers):
    n, length, seed = text
    rng = np.random.default_rng(seed)
    ids = np.minimum(rng.geometric(0.3, length) - 1, n - 1).astype(np.int32)
    corpus = Corpus(ids, rng.integers(0, length + 1, length // 8))
    sizes = {"CHUNK": chunk, "HELD": held, "PIECE": piece, "STRIDE": stride}
    with pytest.MonkeyPatch.context() as patch:
        for name, size in sizes.items():
            patch.setattr(counting, name, size)
        counts = CoOccurrences.of(corpus, n, window, shrink, workers)
    assert_counts(counts, by_double_loop(corpus, n, window, shrink))


@pytest.mark.parametrize("bits", [3, 4, 7])
def test_counts_too_large_for_their_bits_are_still_exact(bits, monkeypatch):
    def narrow(packing, n, weight):
        packing.shift, packing.room = bits, 1 << bits

    monkeypatch.setattr(Packing, "__init__", narrow)
    monkeypatch.setattr(counting, "CHUNK", 50)
    corpus = Corpus(np.random.default_rng(0).integers(0, 3, 400).astype(np.int32), [100])
    assert_counts(CoOccurrences.of(corpus, 3, 4, True), by_double_loop(corpus, 3, 4, True))


def test_words_of_a_large_vocabulary_fit_in_the_packing():
    ids = np.array([0, 2**21 - 1, 2**21 - 2, 2**21 - 1], np.int32)
    counts = CoOccurrences.of(Corpus(ids, []), 2**21, 3, True)
    last = slice(counts.starts[-2], counts.starts[-1])
    np.testing.assert_array_equal(counts.outside[last], [0, 2**21 - 2, 2**21 - 1])
    np.testing.assert_array_equal(counts.count[last],
                                  np.array([4 / 3, 6 / 3, 4 / 3], np.float32))


def test_what_cannot_be_packed_is_refused():
    with pytest.raises(ValueError, match=r"pairs of 1,073,741,824 words with weights up to 9 do "
                                         "not fit 63 bits: raise min_count"):
        Packing(1 << 30, weight=9)
    Packing(1 << 30, weight=7)


def test_a_stored_run_is_searched_as_an_array_is(monkeypatch):
    monkeypatch.setattr(counting, "STRIDE", 4)
    packed = np.sort(np.random.default_rng(1).integers(0, 90, 51))
    run = StoredRun()
    for part in np.split(packed, [7, 8, 20, 20, 41]):
        run.append(part)
    values = np.arange(-1, 92)
    np.testing.assert_array_equal(run.searchsorted(values), np.searchsorted(packed, values))
    np.testing.assert_array_equal(run[3:44], packed[3:44])


def test_what_merging_does_not_make_small_goes_to_a_file(monkeypatch):
    stored = []
    monkeypatch.setattr(StoredRun, "append", lambda run, packed, append=StoredRun.append: (
        stored.append(len(packed)), append(run, packed)))
    monkeypatch.setattr(counting, "CHUNK", 64)
    monkeypatch.setattr(counting, "HELD", 500)
    corpus = Corpus(np.random.default_rng(2).integers(0, 60, 3000).astype(np.int32), [])
    counts = CoOccurrences.of(corpus, 60, 5, False)
    assert len(stored) > 3
    assert max(stored) <= 500 + 64 * 5
    assert_counts(counts, by_double_loop(corpus, 60, 5, False))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_an_error_in_a_thread_is_met_in_order_and_ends_the_others(workers):
    begun = []

    def work(x):
        begun.append(x)
        if x == 3:
            raise ZeroDivisionError(x)
        return x

    results = in_order(work, range(1000), workers)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError, match="3"):
        next(results)
    assert len(begun) < 20
