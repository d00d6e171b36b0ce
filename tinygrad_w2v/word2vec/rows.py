"""Moving rows of a table: gradient rows that belong together are summed, and each row steps once.

A step of negative sampling looks thousands of rows up, many of them several times. *Which* is known
before any gradient is: `RowGroups` sorts that out, in parts that share no row, so that several
workers can sum and move rows at the same time, with the same result for any number of workers.
"""

from __future__ import annotations

import numpy as np

from ..sparse import Array
from .team import Layout

PARTS = 4  # parts of the words, by their ids, in which the rows of a table are moved


class RowGroups:
    """Which of many rows belong to the same id: `ids` (k,), each once, and the sums of their rows.

    Of the ids of all rows it takes those that leave the rest `share` when divided by `parts`: such
    parts share no id. Ids that occur equally often stand together, and so do their rows, which are
    summed by one call.

    >>> groups = RowGroups(np.array([4, 1, 2, 7, 2]), share=0, parts=2)
    >>> groups.ids, groups.sums(np.arange(5.0)[:, None])
    (array([4, 2]), array([[0.],
           [6.]]))
    """

    def __init__(self, ids: Array, share: int = 0, parts: int = 1):
        places = np.flatnonzero(ids % parts == share)
        keys = np.sort((ids[places].astype(np.int64) << 32) | places)  # rows of an id stay in order
        ranked, places = keys >> 32, keys & 0xFFFFFFFF
        first = np.flatnonzero(np.diff(ranked, prepend=-1))
        times = np.diff(first, append=len(keys))
        first = first[np.argsort(times, kind="stable")]
        often, count = np.unique(times, return_counts=True)
        self.ids, self.sizes = ranked[first], list(zip(often.tolist(), count.tolist(), strict=True))
        # In a group of k ids with r rows each: the first rows of all, then their second rows …
        begin = np.cumsum(count) - count
        ks, starts = np.repeat(count, often * count), np.repeat(begin, often * count)
        rank, of = np.divmod(np.arange(len(keys)) - np.repeat(
            np.cumsum(often * count) - often * count, often * count), ks)
        self.places = places[first[starts + of] + rank]

    def sums(self, rows: Array) -> Array:
        """The sum of the `rows` (r, d) of each id: (k, d)."""
        sums = np.empty((len(self.ids), rows.shape[1]), rows.dtype)
        row = group = 0
        for size, count in self.sizes:
            places, out = self.places[row : row + size * count], sums[group : group + count]
            if size == 1:
                np.take(rows, places, axis=0, out=out, mode="clip")  # unlike "raise", no copy
            else:
                block = np.take(rows, places, axis=0).reshape(size, count, -1)
                np.add.reduce(block, axis=0, out=out)
            row, group = row + size * count, group + count
        return sums


class SharedAdagrad:
    """Adagrad for a table of vectors: one number for each row, one d × d matrix for all rows.

        s ← s + |g P|²;   x ← x − lr · g P / √s        for each row x with the gradient g

    s, which starts at 1 for every row, is row-wise Adagrad (Duchi, Hazan, Singer 2011): a rare word
    keeps a large step, and no step is longer than `lr`. P is what Shampoo (Gupta, Koren, Singer
    2018) does on the side of the columns: the inverse fourth root of the mean of ĝᵀĝ over gradient
    rows ĝ of length 1, by which directions that few gradients point in move as fast as others. The
    mean is taken over every 4th step, the root every 32nd.

    Its arrays, which `memory` lists and processes may share, begin with the name of the table:
    `sums` (n,), the s; `P`; `second` (d, d), the running mean; `seen` (PARTS, d, d), what the parts
    of a step add to it.
    """

    DECAY, EVERY, REFRESH, FLOOR, POWER = 0.92, 4, 32, 1e-2, -0.25

    def __init__(self, arrays: dict[str, Array], table: str):
        self.sums, self.P, self.second, self.seen = (
            arrays[f"{table}_{name}"] for name in ("sums", "P", "second", "seen"))

    @staticmethod
    def memory(table: str, n: int, d: int) -> Layout:
        """Shape and dtype of the arrays for a table of (n, d), by their names."""
        return {f"{table}_sums": ((n,), "f4"), f"{table}_P": ((d, d), "f4"),
                f"{table}_second": ((d, d), "f8"), f"{table}_seen": ((PARTS, d, d), "f8")}

    def start(self) -> None:
        """Fill the arrays for a first step."""
        self.sums[:], self.P[:] = 1, np.eye(len(self.P))

    def move(self, table: Array, groups: RowGroups, rows: Array, lr: float, step: int, share: int
             ) -> None:
        """Move the rows of `table` that `groups` name, by the sums of the gradient's `rows`."""
        g, ids = groups.sums(rows), groups.ids
        if step % self.EVERY == 0:
            unit = g / np.sqrt(np.maximum(squares(g), 1e-30))[:, None]
            np.divide(unit.T @ unit, max(len(g), 1), out=self.seen[share])
        g = g @ self.P
        sums = np.take(self.sums, ids) + squares(g)
        self.sums[ids] = sums
        g *= (lr / np.sqrt(sums))[:, None]
        table[ids] = np.subtract(np.take(table, ids, axis=0), g, out=g)

    def finish(self, step: int) -> None:
        """End a step, once all its parts have moved."""
        if step % self.EVERY == 0:
            self.second += (1 - self.DECAY) * (self.seen.mean(axis=0) - self.second)
        mean = np.trace(self.second) / len(self.second)
        if step % self.REFRESH == 0 and mean > 0:
            values, vectors = np.linalg.eigh(self.second / mean)
            root = np.maximum(values, self.FLOOR) ** self.POWER
            self.P[:] = (vectors * root) @ vectors.T


def squares(rows: Array) -> Array:
    """The squared length of each row: (k, d) to (k,).

    >>> squares(np.array([[3.0, 4.0], [0.0, 1.0]]))
    array([25.,  1.])
    """
    lengths: Array = np.einsum("ij,ij->i", rows, rows)
    return lengths
