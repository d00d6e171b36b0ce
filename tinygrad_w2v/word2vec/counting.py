"""Counting which words stand together, for E1: pairs are packed into numbers, sorted, and added up.

A pair is one number, its two words above and its weight below, so that sorting numbers brings equal
pairs together. Chunks of a text give sorted runs of pairs, each pair once. Where the runs become
too many they are merged, and what merging does not make small goes to a temporary file: memory does
not grow with the text, only with the number of different pairs. Weights are whole numbers, so that
neither chunks nor threads change a count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..sparse import Array
from .corpus import Corpus, StoredIds
from .threads import cores, in_order

BLOCK = 512  # centre words between two steps
CHUNK = 1 << 20  # positions counted at a time
HELD = 1 << 26  # packed pairs in memory, 8 bytes each; more of them are merged or go to a file
PIECE = 1 << 22  # packed pairs merged at a time by a thread
STRIDE = 1 << 14  # of so many pairs in a file, one stays in memory, to search by


class Packing:
    """Pairs (a, b) of words below n as ``(a · n + b) << shift | weight``, in int64.

    A weight of `room` or more takes several numbers, of which the weights add up to it: no count is
    too large. ValueError if there are so many words that the weight of one pair leaves no room.

    >>> packing = Packing(4, weight=1)
    >>> packed = packing.pack(np.array([5, 5, 2]), np.array([1, 2, 7]))
    >>> packing.add_up(np.sort(packed))
    (array([2, 5]), array([7, 3]))
    """

    def __init__(self, n: int, weight: int):
        self.shift = 63 - (n * n - 1).bit_length()
        self.room = 1 << max(self.shift, 0)
        if weight >= self.room:
            raise ValueError(f"pairs of {n:,} words with weights up to {weight} do not fit 63 bits:"
                             " raise min_count, or look less far by window")

    def pack(self, keys: Array, weights: Array) -> Array:
        """Join keys ``a · n + b`` and weights (both int64, which may be written to)."""
        if np.max(weights, initial=0) >= self.room:
            most = self.room - 1
            times = np.maximum(-(-weights // most), 1)
            last = np.cumsum(times) - 1
            pieces = np.full(last[-1] + 1, most)
            pieces[last] = weights - (times - 1) * most
            keys, weights = np.repeat(keys, times), pieces
        keys <<= self.shift
        keys |= weights
        return keys

    def add_up(self, packed: Array) -> tuple[Array, Array]:
        """Split sorted numbers into keys, each once, and the sums of their weights."""
        keys = packed >> self.shift
        last = np.flatnonzero(np.append(keys[1:] != keys[:-1], True)[: len(keys)])
        packed = packed & (self.room - 1)
        np.cumsum(packed, out=packed)
        return keys[last], np.diff(packed[last], prepend=0)

    def merge(self, packed: Array) -> Array:
        """Sort numbers, in place, and make one of those with equal keys."""
        packed.sort()
        return self.pack(*self.add_up(packed))


class StoredRun:
    """A sorted run of packed pairs in a temporary file."""

    def __init__(self) -> None:
        self.stored, self.index, self.size = StoredIds(), [np.empty(0, np.int64)], 0

    def append(self, packed: Array) -> None:
        """Write pairs behind the others, which are smaller."""
        self.stored.append(packed.view(np.int32))
        self.index.append(packed[-self.size % STRIDE :: STRIDE].copy())
        self.size += len(packed)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> Array:
        return self.stored[2 * part.start : 2 * part.stop].view(np.int64)

    def searchsorted(self, values: Array) -> Array:
        """The places of the first pairs that are not below `values`."""
        index, places = np.concatenate(self.index), []
        for value in values:
            begin = max(int(np.searchsorted(index, value)) - 1, 0) * STRIDE
            near = self[begin : min(begin + STRIDE, self.size)]
            places.append(begin + int(np.searchsorted(near, value)))
        return np.array(places, np.int64)


Run = Array | StoredRun


def pairs_of(corpus: Corpus, start: int, packing: Packing, n: int, weights: Sequence[int]) -> Array:
    """Give the run of the pairs whose left word is one of a chunk's: smaller id, then larger.

    A pair at distance k weighs ``weights[k - 1]``.
    """
    end = min(start + CHUNK + len(weights), len(corpus))
    ids, sentence = corpus.ids[start:end], corpus.sentence_numbers(start, end)
    packed, size = np.empty(CHUNK * len(weights), np.int64), 0
    for distance, weight in enumerate(weights, 1):
        stop = max(0, min(CHUNK, len(ids) - distance))
        a, b = ids[:stop], ids[distance : stop + distance]
        keys = np.minimum(a, b).astype(np.int64)
        keys *= n
        keys += np.maximum(a, b)
        keys <<= packing.shift
        keys |= weight
        near = keys[sentence[:stop] == sentence[distance : stop + distance]]
        packed[size : size + len(near)] = near
        size += len(near)
    return packing.merge(packed[:size])


def merged(runs: Sequence[Run], packing: Packing, workers: int,
           then: Callable[[Array, Array], Any] = lambda keys, sums: (keys, sums)) -> Iterator[Any]:
    """Merge runs: keys and sums of weights, ascending, a piece at a time, as `then` makes them."""
    longest = max(runs, key=len)
    step = max(PIECE * len(longest) // max(sum(map(len, runs)), 1), 1)
    cuts = [longest[i : i + 1] >> packing.shift for i in range(step, len(longest), step)]
    values = np.unique(np.concatenate([np.empty(0, np.int64), *cuts])) << packing.shift
    places = [np.concatenate([[0], run.searchsorted(values), [len(run)]]) for run in runs]

    def piece(i: int) -> Any:
        packed = np.concatenate([run[place[i] : place[i + 1]]
                                 for run, place in zip(runs, places, strict=True)])
        packed.sort()
        return then(*packing.add_up(packed))

    return in_order(piece, range(len(values) + 1), workers)


def runs_of(corpus: Corpus, packing: Packing, n: int, weights: Sequence[int], workers: int
            ) -> list[Run]:
    """Count chunk after chunk; what does not fit into `HELD` pairs, merged, goes to files."""
    stored: list[StoredRun] = []
    held = [np.empty(0, np.int64)]
    for run in in_order(lambda start: pairs_of(corpus, start, packing, n, weights),
                        range(0, len(corpus), CHUNK), workers):
        held.append(run)
        if sum(map(len, held)) > HELD:
            pieces = [packing.pack(*piece) for piece in merged(held, packing, workers)]
            held = [np.concatenate(pieces)]
            if len(held[0]) > HELD // 2:
                stored.append(StoredRun())
                stored[-1].append(held[0])
                held = [held[0][:0].copy()]
    return [*stored, *held]


class CoOccurrences:
    """How often each word stands within the window of each other: the sparse matrix C of (n, n).

    Row c has its non-zero entries in `outside[starts[c]:starts[c + 1]]` (word ids, ascending) and
    `count` (float32). `totals` (n,) are the row sums N_c, `positions` is T.
    """

    def __init__(self, outside: Array, count: Array, starts: Array, totals: Array, positions: int):
        self.outside, self.count, self.starts, self.totals = outside, count, starts, totals
        self.n, self.positions = len(totals), positions

    @classmethod
    def of(cls, corpus: Corpus, n: int, window: int, shrink_windows: bool,
           workers: int | None = None) -> CoOccurrences:
        """Count the pairs of a corpus over `n` words.

        With `shrink_windows` a pair at distance k counts (m − k + 1)/m: what it counts on average
        in the original program, which draws each position's window from 1 … m. Without, it counts
        1, as E1 has it. `workers` threads (None: one for each core) count, to the same bits.

        The result takes 8 bytes for each pair (c, o) that occurs. Counting takes about three times
        that, no more than that and 2 GB if the text is long, and room for temporary files.

        >>> corpus = Corpus(np.array([0, 1, 0]), [0])
        >>> counts = CoOccurrences.of(corpus, 2, window=1, shrink_windows=False)
        >>> counts.dense(np.arange(2))
        array([[0., 2.],
               [2., 0.]], dtype=float32)
        """
        workers = cores() if workers is None else workers
        unit = window if shrink_windows else 1  # weights are whole numbers of 1/unit
        weights = [window - k if shrink_windows else 1 for k in range(window)]
        packing = Packing(n, max(weights))
        runs = runs_of(corpus, packing, n, weights, workers)
        return cls(*both_ways(runs, packing, n, unit, workers), len(corpus))

    def dense(self, rows: Array) -> Array:
        """The rows of C for the centre words `rows`, zeros included: (len(rows), n) of float32."""
        block = np.zeros((len(rows), self.n), np.float32)
        for line, row in zip(block, rows, strict=True):
            here = slice(self.starts[row], self.starts[row + 1])
            line[self.outside[here]] = self.count[here]
        return block

    def first(self, k: int) -> CoOccurrences:
        """The pairs of the first k words with each other."""
        return self.beside(k, k)

    def beside(self, k: int, rows: int) -> CoOccurrences:
        """The pairs of the first `rows` words with the first k."""
        stop = self.starts[rows]
        keep = self.outside[:stop] < k
        starts = np.append(0, np.cumsum(keep))[self.starts[: rows + 1]]
        count = self.count[:stop][keep]
        totals = np.bincount(np.repeat(np.arange(rows), np.diff(starts)), count, rows)
        return CoOccurrences(self.outside[:stop][keep], count, starts, totals, self.positions)

    def blocks(self, order: Array) -> Iterator[Array]:
        """Cut `order`, a list of centre words, into blocks of 512.

        U moves after every block, so that small blocks learn a little more in a pass, and large
        ones take less time for it.
        """
        return iter([order[i : i + BLOCK] for i in range(0, len(order), BLOCK)])


def both_ways(runs: Sequence[Run], packing: Packing, n: int, unit: int, workers: int
              ) -> tuple[Array, Array, Array, Array]:
    """Give C from the sorted pairs {a ≤ b}: outside words, counts, starts of rows, row sums.

    Row c has the pairs whose larger word is c, then those whose smaller word is c: both are sorted.
    """

    def turned(keys: Array, sums: Array) -> tuple[Array, ...]:
        low = keys // n
        high = keys - low * n
        same = low == high
        sums[same] *= 2  # a word beside itself is seen from both
        other = packing.pack((high * n + low)[~same], sums[~same])
        other.sort()
        return low.astype(np.int32), high.astype(np.int32), sums, other

    def rows_and_counts(keys: Array, sums: Array) -> tuple[Array, Array, Array]:
        rows = keys // n
        return rows.astype(np.int32), (keys - rows * n).astype(np.int32), scaled(sums)

    def scaled(sums: Array) -> Array:
        return (sums / unit).astype(np.float32)

    upper, others = [], [np.empty(0, np.int64)]
    widths, totals = np.zeros((2, n), np.int64), np.zeros(n)
    for low, high, sums, other in merged(runs, packing, workers, turned):
        different = low != high
        widths[1] += np.bincount(low, minlength=n)
        widths[0] += np.bincount(high[different], minlength=n)
        totals += np.bincount(low, sums, n)  # whole numbers below 2⁵³
        totals += np.bincount(high[different], sums[different], n)
        upper.append((low, high, scaled(sums)))
        others.append(other)
    starts = np.append(0, np.cumsum(widths.sum(axis=0)))
    outside, count = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    for part, pieces in enumerate((merged(others, packing, workers, rows_and_counts), upper)):
        first = starts[:-1] + widths[0] * part - (np.cumsum(widths[part]) - widths[part])
        done = 0
        for rows, words, counts in pieces:
            places = first[rows]
            places += np.arange(done, done + len(rows))
            outside[places], count[places] = words, counts
            done += len(rows)
    return outside, count, starts, totals / unit
