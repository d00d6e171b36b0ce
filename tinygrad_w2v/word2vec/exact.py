"""Training by the exact objective: E1 itself, a block of centre words at a time.

The loss of a block is written for *tiles* of words, so that what it computes stays in the
processor's cache, and for *shards* of its centre words, which threads share out. What a tile and a
shard are does not depend on the number of threads, gradients are added in the order of the shards,
and matrix products run on one thread each: the result has the same bits for any number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ..derived import concatenate, take
from ..functional import no_grad
from ..rules import exp, log, matmul_t
from ..sparse import Array
from ..tensor import Tensor, as_plain
from .blas import one_thread
from .counting import CoOccurrences
from .curvature import Settling, SharedCurvature
from .objective import exact_loss
from .threads import cores, in_order

TILE = 1024  # words o
SHARD = 256  # words c
LANES = 8  # a row of numbers is as wide as a multiple of it: products of matrices are faster so
WARM = 4  # passes over the most frequent words, one in so many of all, before the first
JOIN = 2  # steps by which the others join them
FEW = 1 << 11  # words that need no such passes
SOME = 3 << 11  # words that need none to join: a pass costs little then
SMALL = 1 << 21  # scores in a block, below which threads are not worth their start

Pairs = tuple[Array, Array]  # places (in a matrix of scores, flattened), counts


def tiled_loss(v: Any, tiles: Sequence[Any], totals: Array, pairs: Sequence[Pairs]) -> Any:
    """−Σ_c Σ_o C[c, o] log P(o|c), as Σ_c N_c log Σ_x exp s_cx − Σ_co C[c, o] s_co (E3).

    The scores are ``s = v uᵀ``, or ``s = (v, 1) (u, b)ᵀ`` if the words have a column more, the
    bias. `v` (k, d) are k centre words, `tiles` the words, some rows each, `totals` (k,) the N_c;
    `pairs` has, for each tile, the places of its scores that were counted, and the counts.

    >>> pairs = [(np.array([0, 1]), np.array([1.0, 3.0]))]
    >>> float(tiled_loss(np.zeros((1, 3)), [np.ones((2, 3))], np.array([4.0]), pairs))
    2.772588722239781
    """
    with np.errstate(over="ignore"):
        normaliser, observed = scored(v, tiles, pairs)
    if not np.all((normaliser > 1e-30) & (normaliser < 1e30)):  # exp met its limits
        normaliser, observed = scored(v, tiles, pairs, highest(v, tiles))
    return (log(normaliser) * totals).sum() - observed


def scored(v: Any, tiles: Sequence[Any], pairs: Sequence[Pairs], peak: Any = None
           ) -> tuple[Any, Any]:
    """Give Σ_x exp(s_cx − peak_c) of each row, and Σ_co C[c, o] (s_co − peak_c)."""
    normaliser, observed, v = 0, 0, widened(v, tiles[0])
    for words, (places, counts) in zip(tiles, pairs, strict=True):
        scores = matmul_t(v, words)
        if peak is not None:
            scores = scores - peak
        normaliser = normaliser + exp(scores).sum(axis=1)
        observed = observed + (take(scores.reshape(-1), places) * counts).sum()
    return normaliser, observed


def log_normaliser(v: Array, tiles: Sequence[Array]) -> Array:
    """Give log Σ_x exp s_cx of each row.

    >>> log_normaliser(np.zeros((1, 3)), [np.ones((2, 3)), np.ones((2, 3))])
    array([1.38629436])
    """
    none = [(np.empty(0, np.int64), np.empty(0, v.dtype))] * len(tiles)
    with np.errstate(over="ignore", divide="ignore"):
        total: Array = log(scored(v, tiles, none)[0])
    if not np.all(np.abs(total) < 69):  # exp met its limits: 1e30 is exp(69)
        peak = highest(v, tiles)
        total = log(scored(v, tiles, none, peak)[0]) + peak[:, 0]
    return total


def highest(v: Any, tiles: Sequence[Any]) -> Any:
    """The highest score of each row, as a constant: P does not depend on what is taken off."""
    with no_grad():
        v = widened(v, tiles[0])
        return np.max([as_plain(matmul_t(v, words)).max(axis=1) for words in tiles],
                      axis=0)[:, None]


def widened(v: Any, words: Any) -> Any:
    """(v, 1, 0 …), as wide as the words are, which have a bias behind their vector, then zeros."""
    if v.shape[1] == words.shape[1]:
        return v
    more = np.zeros((len(v), words.shape[1] - v.shape[1]), v.dtype)
    more[:, 0] = 1
    return concatenate([v, more], axis=1)


class Tiles:
    """The table of words o, U with the bias as a last column, in tiles, and the pairs in them."""

    def __init__(self, U: Array, bias: Array | None, counts: CoOccurrences):
        self.counts = counts
        d = U.shape[1]
        width = d if bias is None else -(-(d + 1) // LANES) * LANES
        self.table = np.zeros((len(U), width), U.dtype)
        self.parts = [slice(i, min(i + TILE, len(U))) for i in range(0, len(U), TILE)]
        self.fill(U, bias)
        # where in a row of C the words of a tile begin
        self.edges = np.empty((counts.n, len(self.parts) + 1), np.int64)
        self.edges[:, 0], self.edges[:, -1] = counts.starts[:-1], counts.starts[1:]
        for c in range(counts.n if len(self.parts) > 1 else 0):
            row = counts.outside[counts.starts[c] : counts.starts[c + 1]]
            inner = [part.start for part in self.parts[1:]]
            self.edges[c, 1:-1] = counts.starts[c] + np.searchsorted(row, inner)

    def fill(self, U: Array, bias: Array | None) -> None:
        """Take over all rows of U and the bias, of which `refresh` takes over some again."""
        self.U, self.bias = U, bias
        for part in self.parts:
            self.refresh(part)

    def refresh(self, part: slice) -> None:
        """Take over rows of U and the bias."""
        self.table[part, : self.U.shape[1]] = self.U[part]
        if self.bias is not None:
            self.table[part, self.U.shape[1]] = self.bias[part]

    def leaves(self) -> list[Tensor]:
        """The tiles as Tensors to differentiate by."""
        return [Tensor(self.table[part], requires_grad=True, copy=False) for part in self.parts]

    def plain(self) -> list[Array]:
        """The tiles as arrays."""
        return [self.table[part] for part in self.parts]

    def pairs(self, rows: Array, tile: int) -> Pairs:
        """The pairs of the centre words `rows` with the words of a tile."""
        part = self.parts[tile]
        first, last = self.edges[rows, tile], self.edges[rows, tile + 1]
        widths = last - first
        where = np.repeat(first - np.cumsum(widths) + widths, widths)
        where += np.arange(len(where))
        places = np.repeat(np.arange(len(rows)) * (part.stop - part.start) - part.start, widths)
        places += self.counts.outside[where]
        return places, self.counts.count[where]

    def loss(self, v: Any, tiles: Sequence[Any], rows: Array) -> Any:
        """The part of E1, times T, of the centre words `rows`, whose vectors are `v`."""
        return tiled_loss(v, tiles, self.counts.totals[rows].astype(self.table.dtype),
                          [self.pairs(rows, i) for i in range(len(tiles))])


def shards(rows: Array) -> list[Array]:
    """Cut a block into shards of about equal size."""
    return np.array_split(rows, -(-len(rows) // SHARD))


def objective(V: Array, U: Array, bias: Array | None, counts: CoOccurrences) -> float:
    """Give E1, times T, as it is written."""
    workers = cores() if counts.n**2 > SMALL else 1
    with one_thread():
        return sum(in_order(lambda rows: float(exact_loss(V[rows], U, bias, counts.dense(rows))),
                            shards(np.arange(counts.n)), workers))


class ExactSoftmax:
    """Moves V, U and the bias by E1, which it knows from the co-occurrence counts of a corpus.

    `seed` makes the order of the words in all passes. `state` is what the optimiser remembers.
    """

    name = "E1"

    @property
    def plan(self) -> list[int]:
        """The numbers on which it depends what a step is: words in a block, a shard, a tile."""
        return [len(next(self.counts.blocks(np.arange(self.counts.n)))), SHARD, TILE]

    def __init__(self, V: Tensor, U: Tensor, bias: Tensor | None, counts: CoOccurrences, seed: int):
        self.V, self.U, self.bias, self.counts, self.seed = V, U, bias, counts, seed
        self.optimiser = SharedCurvature(V, U, bias, counts.totals)
        self.workers = 1
        self.known: Tiles | None = None

    def tiles(self) -> Tiles:
        """The tiles of U and the bias as they are now."""
        bias = None if self.bias is None else self.bias.data
        if self.known is None:
            self.known = Tiles(self.U.data, bias, self.counts)
        else:
            self.known.fill(self.U.data, bias)
        return self.known

    @property
    def number(self) -> int:
        """Steps made."""
        return self.optimiser.steps

    @number.setter
    def number(self, steps: int) -> None:
        self.optimiser.steps = steps

    @property
    def state(self) -> dict[str, Array]:
        """The matrices that the optimiser goes on with, to be written to."""
        return {"white_u": self.optimiser.white_u, "white_v": self.optimiser.white_v}

    @contextmanager
    def team(self, workers: int) -> Iterator[None]:
        """Work with so many threads in the block, or with one for each core if those are more."""
        self.workers = max(workers, cores())
        # glibc gives large blocks back to the system, which clears them when they are wanted again.
        # What is large it learns from the blocks that it sees freed: this one keeps the others.
        np.empty(31 << 20, np.uint8)
        with one_thread():
            yield

    def steps(self, epoch: int, rate: Callable[[float], float], skip: int = 0
              ) -> Iterator[tuple[float, float, float]]:
        """Make the steps of a pass, but for the first `skip`, which were made before.

        `rate` scales the steps, by the share of the pass that is done. Each step gives its part of
        E1 times T, its part of T, and the share of the pass that is done then.
        """
        rng, n, done = np.random.default_rng([self.seed, epoch]), self.counts.n, 0
        if epoch == skip == 0 and n > FEW:
            self.warm_up(n // WARM, rate)
        tiles = self.tiles()
        for number, rows in enumerate(self.counts.blocks(rng.permutation(n))):
            begin, done = done, done + len(rows)
            if number >= skip:
                value = self.step(tiles, rows, rate(begin / n))
                yield value, self.counts.positions * len(rows) / n, done / n

    def closing(self) -> Iterator[float]:
        """Do what is left to do after the last pass: nothing."""
        return iter(())

    def warm_up(self, k: int, rate: Callable[[float], float]) -> None:
        """Make passes over the first k words alone.

        From a random start, U and V each wait for the other to learn. The most frequent words find
        their places against each other for (k/n)² of the price, and the others then against them:
        a step of theirs is (k/n) of the price of a pass, or less.
        """
        V, U = (Tensor(table.data[:k], requires_grad=True) for table in (self.V, self.U))
        bias = None if self.bias is None else Tensor(self.bias.data[:k], requires_grad=True)
        first = ExactSoftmax(V, U, bias, self.counts.first(k), self.seed)
        first.workers = self.workers
        for number in range(WARM):
            for _ in first.steps(number + 1, lambda _: rate(0)):
                pass
        with self.V.edit() as v, self.U.edit() as u:
            v[:k], u[:k] = V.data, U.data
        if self.counts.n > SOME:
            self.join(first, k)

    def join(self, first: ExactSoftmax, k: int) -> None:
        """Give the words from k on the vectors that fit the first k words: see `folding`."""
        counts = self.counts.beside(k, self.counts.n)
        bias = None if self.bias is None else self.bias.data[:k]  # what it is at the start
        words = Tiles(first.U.data, bias, first.counts)
        norm = np.concatenate(list(in_order(
            lambda rows: log_normaliser(first.V.data[rows], words.plain()),
            shards(np.arange(k)), self.workers)))
        a = (np.log(np.maximum(first.counts.totals, 0.5)) - norm).astype(self.V.dtype)
        sides = []
        for like, other, more in ((first.V, first.U, bias), (first.U, first.V, a)):
            white = first.optimiser.whitener(other)
            sides.append((Settling(like.data, white), Tiles(other.data, more, counts)))

        def settled(rows: Array) -> tuple[Array, ...]:
            totals = counts.totals[rows].astype(self.V.dtype)
            later = self.counts.totals[rows].astype(self.V.dtype) - totals  # pairs with each other
            return rows, *[settling.settle(partial(tiles.loss, tiles=tiles.plain(), rows=rows),
                                           totals, later + 1, JOIN) for settling, tiles in sides]

        with self.V.edit() as v, self.U.edit() as u:
            for rows, *found in in_order(settled, shards(np.arange(k, self.counts.n)),
                                         self.workers):
                v[rows], u[rows] = found

    def step(self, tiles: Tiles, rows: Array, rate: float) -> float:
        """Move V in the words `rows`, U and the bias by the gradient of their part of E1."""
        workers = self.workers if len(rows) * self.counts.n > SMALL else 1

        def gradient(shard: Array) -> tuple[float, Any, list[Any]]:
            v = Tensor(self.V.data[shard], requires_grad=True, copy=False)
            words = tiles.leaves()
            loss = tiles.loss(v, words, shard)
            loss.backward()
            return loss.item(), v.grad, [w.grad for w in words]

        found = list(in_order(gradient, shards(rows), workers))
        if not np.isfinite(value := sum(loss for loss, *_ in found)):
            raise FloatingPointError(f"the loss became {value}")

        def move(tile: int) -> None:
            g, *others = [by_words[tile] for _, _, by_words in found]
            for other in others:
                g += other
            self.optimiser.move_u(tiles.parts[tile], g, rate)
            tiles.refresh(tiles.parts[tile])

        self.optimiser.begin()
        with self.optimiser.editing():
            self.optimiser.move_v(rows, np.concatenate([by_v for _, by_v, _ in found]), rate)
            for _ in in_order(move, range(len(tiles.parts)), workers):
                pass
        return value
