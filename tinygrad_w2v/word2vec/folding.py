"""Folding in: vectors of rare words, each found against the frequent ones, which stay as they are.

E1 over n words costs n² scores a pass. The most frequent k words, the *head*, are trained by E1
summed over themselves. Then every other word, one of the *tail*, gets the vectors that its own
pairs with the head ask for: the price of a word does not depend on n.

What a word c of the tail adds to E1 as a centre depends on v_c alone, and is convex in it:

    Σ_o C[c, o] (log Σ_x exp s_cx − s_co),   s_cx = u_xᵀ v_c + b_x,   o and x in the head

What a word o of the tail adds as an outside word, it adds to the normalisers Z_c = Σ_x exp s_cx of
the head: E1 has N'_c log(Z_c + Σ_o exp s_co) there, where N'_c are all pairs of c, and N_c those
with the head. The tangent of the logarithm, taken where the tail has the share that it has in the
text, is

    Σ_c N_c exp(s_co) / Z_c − Σ_c C[c, o] s_co   for each o, and a constant

A tangent lies above a logarithm: E1 is no more than this, and equal to it where P gives the tail
what the text gives it. (It is the likelihood of a Poisson regression.) Its slope by u_o is E5 with
the normaliser known, Σ_c (N_c P(o|c) − C[c, o]) v_c; its slope by the bias is 0 at

    b_o = log N_o − log Σ_c exp(u_oᵀ v_c + a_c),   a_c = log N_c − log Z_c

which put in leaves N_o log Σ_c exp(u_oᵀ v_c + a_c) − Σ_c C[c, o] u_oᵀ v_c: the loss of v_c again,
with V for U and a for b. So one function folds in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..rules import exp
from ..sparse import Array
from ..tensor import Tensor
from .counting import CoOccurrences
from .curvature import Settling
from .exact import ExactSoftmax, log_normaliser, shards
from .objective import sampled, weights
from .threads import in_order

DRAWN = 1024  # words of the head by which a normaliser is estimated, beside those seen
STEPS = 3  # Newton steps of a word
RAREST = 2500  # of the head
PAIRS = 1 << 14  # pairs of words that are folded in together
PRIOR = 20  # pairs as many as which ask a word to be as the head's rarest are on average
NARROW = 32  # pairs that a word counts for there, at least


def draw(share: Array, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw about `size` words, each at most once: their ids, ascending, and log q of each.

    q, the probability of being drawn, is proportional to `share` (n,), and at most 1: frequent
    words are certain. (Systematic sampling: words lie on a line, each as long as its q, and those
    are drawn in which one of the points r, r + 1, r + 2 … falls, with a random r.)

    >>> words, log_q = draw(np.array([0.5, 0.25, 0.25]), 3, np.random.default_rng(0))
    >>> words, np.exp(log_q)
    (array([0, 1, 2]), array([1., 1., 1.]))
    """
    q, left = np.zeros(len(share)), share > 0
    size = min(size, int(left.sum()))
    while np.any(left):  # who is certain leaves the others more
        q[left] = share[left] * ((size - np.sum(~left & (share > 0))) / share[left].sum())
        if not np.any(certain := left & (q >= 1)):
            break
        q[certain], left = 1, left & ~certain
    ends = np.cumsum(q) + rng.random()
    words = np.flatnonzero((np.floor(ends) > np.floor(np.append(ends[:1] - q[:1], ends[:-1])))
                           | (q == 1))
    return words, np.log(q[words])


class Seen:
    """The pairs of words of the tail with words of the head, in groups of words with about as many.

    `groups` are lists of words of the tail, which are folded in together.
    """

    def __init__(self, counts: CoOccurrences, k: int):
        self.counts, begin = counts, counts.starts[k]
        inside = np.append(0, np.cumsum(counts.outside[begin:] < k))
        self.widths = np.diff(inside[counts.starts[k:] - begin], prepend=0)[1:]
        self.k, order = k, np.argsort(self.widths, kind="stable")
        room = np.cumsum(np.maximum(self.widths[order], NARROW)) // PAIRS
        self.groups = np.split(k + order, np.flatnonzero(np.diff(room)) + 1)

    def __getitem__(self, words: Array) -> tuple[Array, Array]:
        """The words of the head beside each of `words`, and counts; filled up with a count of 0."""
        widths = self.widths[words - self.k]
        columns = np.arange(max(widths.max(), 1))
        there = columns < widths[:, None]  # a row of C has the head's words first
        places = np.where(there, self.counts.starts[words, None] + columns, 0)
        return (np.where(there, self.counts.outside[places], 0),
                np.where(there, self.counts.count[places], 0))


class Table:
    """A table of the head, with what folding in against it needs.

    `rows` (k, d) are its vectors, `bias` (k,) or None what is added to their scores, `like` the
    head's rows of the table that is folded into, `white` the inverse of the covariance of `rows`,
    `drawn` the words by which normalisers are estimated, with their log q.
    """

    def __init__(self, rows: Array, bias: Array | None, like: Array, white: Array,
                 drawn: tuple[Array, Array]):
        self.rows, (self.drawn, self.log_q) = rows, drawn
        self.bias = np.zeros(len(rows), rows.dtype) if bias is None else bias
        self.far = rows[self.drawn]
        self.far_bias = (self.bias[self.drawn] - self.log_q).astype(rows.dtype)
        self.settling = Settling(like[-RAREST:], white)

    def fold(self, seen: Array, counts: Array, free: bool) -> tuple[Array, Array]:
        """Find the vectors of words with these pairs, and their normalisers' logarithms.

        With `free`, the normaliser is for the word to choose, by its bias; else it is given.
        """
        near, near_bias = self.rows[seen], self.bias[seen]
        weight = weights(seen, counts, self.drawn, self.log_q, len(self.rows))
        totals = counts.sum(axis=1)

        def parts(x: Any) -> tuple[Any, Any]:
            return sampled(x, near, near_bias, self.far, self.far_bias, weight, counts)

        def loss(x: Tensor) -> Any:
            norm, observed = parts(x)
            return ((norm * totals).sum() if free else exp(norm).sum()) - observed

        x = self.settling.settle(loss, totals, np.full_like(totals, PRIOR), STEPS)
        return x, parts(x)[0]


class FoldedSoftmax:
    """Trains the first k words by E1, and folds the others in when that has ended.

    V, U and the bias are of all words; `folded` counts the groups of words that have been folded in
    since a step of the head.
    """

    name = "E1"

    def __init__(self, V: Array, U: Array, bias: Array | None, counts: CoOccurrences, k: int,
                 seed: int):
        self.V, self.U = leaf(V), leaf(U)
        self.bias = None if bias is None else leaf(bias)
        self.counts, self.k, self.seed = counts, k, seed
        first = None if bias is None else leaf(bias[:k])
        self.head = ExactSoftmax(leaf(V[:k]), leaf(U[:k]), first, counts.first(k), seed)
        self.seen, self.folded = Seen(counts, k), np.zeros(1, np.int64)

    @property
    def plan(self) -> list[int]:
        """The numbers on which it depends what a step is."""
        return [*self.head.plan, self.k, DRAWN, STEPS, PAIRS]

    @property
    def number(self) -> int:
        """Steps of the head."""
        return self.head.number

    @number.setter
    def number(self, steps: int) -> None:
        self.head.number = steps

    @property
    def state(self) -> dict[str, Array]:
        """The arrays that the training goes on with, to be written to."""
        return {**self.head.state, "folded": self.folded}

    def team(self, workers: int) -> AbstractContextManager[None]:
        """Work with so many threads in the block, or one for each core if those are more."""
        return self.head.team(workers)

    def steps(self, epoch: int, rate: Callable[[float], float], skip: int = 0
              ) -> Iterator[tuple[float, float, float]]:
        """Make the steps of a pass over the head."""
        for made in self.head.steps(epoch, rate, skip):
            self.folded[:] = 0
            yield made

    def closing(self) -> Iterator[float]:
        """Fold in the groups that have not been yet; gives the share of the tail that has."""
        groups = self.seen.groups[int(self.folded[0]) :]
        if not groups:
            return
        centre, outside = self.tables()
        by_bias = self.bias is not None

        def fold(words: Array) -> tuple[Array, Array, Array, Array]:
            seen, counts = self.seen[words]
            v, _ = centre.fold(seen, counts, True)
            u, norm = outside.fold(seen, counts, by_bias)
            return words, v, u, np.log(np.maximum(counts.sum(axis=1), 0.5)) - norm

        for words, v, u, b in in_order(fold, groups, self.head.workers):
            for tensor, rows in ((self.V, v), (self.U, u), (self.bias, b)):
                if tensor is not None:
                    with tensor.edit() as values:
                        values[words] = rows
            self.folded += 1
            yield float(self.folded[0]) / len(self.seen.groups)

    def tables(self) -> tuple[Table, Table]:
        """What centre vectors are folded in against, and what outside vectors are."""
        head = self.head
        V, U, totals = head.V.data, head.U.data, head.counts.totals
        bias = None if head.bias is None else head.bias.data
        drawn = draw(head.optimiser.share, DRAWN, np.random.default_rng([self.seed, 1 << 32]))
        tiles = head.tiles()
        norm = np.concatenate(list(in_order(lambda rows: log_normaliser(V[rows], tiles.plain()),
                                            shards(np.arange(self.k)), head.workers)))
        a = (np.log(np.maximum(totals, 0.5)) - norm).astype(V.dtype)
        return (Table(U, bias, V, head.optimiser.whitener(head.U), drawn),
                Table(V, a, U, head.optimiser.whitener(head.V, about_0=bias is None), drawn))


def leaf(array: Array) -> Tensor:
    """A Tensor to train, in the memory of `array`."""
    return Tensor(array, requires_grad=True, copy=False)
