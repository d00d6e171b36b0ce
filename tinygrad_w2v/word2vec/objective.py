"""The objective of skip-gram: E1–E3 as Tensor expressions, and the counts that make E1 cheap.

E1 sums log P(o|c) over the positions of a text, but a pair (c, o) contributes the same wherever it
stands. With C[c, o] the number of times o stands within m words of c,

    J = −(1/T) Σ_c Σ_o C[c, o] · log P(o|c)

so that one pass over the text counts, and every pass over the objective after that costs the same
however long the text was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..derived import take
from ..rules import log_sigmoid, log_softmax
from ..sparse import Array
from ..tensor import Tensor
from .corpus import Corpus

CHUNK = 1 << 20  # positions counted at a time


class CoOccurrences:
    """How often each word stands within the window of each other: the sparse matrix C of (n, n).

    Row c has its non-zero entries in `outside[starts[c]:starts[c + 1]]` (word ids, ascending) and
    `count` (float64). `totals` (n,) are the row sums N_c, `positions` is T.
    """

    def __init__(self, keys: Array, count: Array, n: int, positions: int):
        centre, self.outside = np.divmod(keys, n)
        self.starts = np.searchsorted(centre, np.arange(n + 1))
        self.count, self.n, self.positions = count, n, positions
        self.totals = np.bincount(centre, count, minlength=n)

    @classmethod
    def of(cls, corpus: Corpus, n: int, window: int, shrink_windows: bool) -> CoOccurrences:
        """Count the pairs of a corpus over `n` words.

        With `shrink_windows` a pair at distance k counts (m − k + 1)/m: what it counts on average
        in the original program, which draws each position's window from 1 … m. Without, it counts
        1, as E1 has it.

        >>> corpus = Corpus(np.array([0, 1, 0]), [0])
        >>> counts = CoOccurrences.of(corpus, 2, window=1, shrink_windows=False)
        >>> counts.dense(np.arange(2))
        array([[0., 2.],
               [2., 0.]], dtype=float32)
        """
        parts: list[tuple[Array, Array]] = [(np.empty(0, np.int64), np.empty(0))]
        for start in range(0, len(corpus), CHUNK):
            end = min(start + CHUNK + window, len(corpus))
            ids, sentence = corpus.ids[start:end], corpus.sentence_numbers(start, end)
            for distance in range(1, window + 1):
                stop = max(0, min(CHUNK, len(ids) - distance))
                here, there = slice(0, stop), slice(distance, stop + distance)
                near = sentence[here] == sentence[there]
                a, b = ids[here][near].astype(np.int64), ids[there][near]
                weight = (window - distance + 1) / window if shrink_windows else 1.0
                keys, times = np.unique(np.concatenate([a * n + b, b * np.int64(n) + a]),
                                        return_counts=True)
                parts.append((keys, times * weight))
        keys, place = np.unique(np.concatenate([k for k, _ in parts]), return_inverse=True)
        count = np.bincount(place, np.concatenate([c for _, c in parts]), minlength=len(keys))
        return cls(keys, count, n, len(corpus))

    def dense(self, rows: Array) -> Array:
        """The rows of C for the centre words `rows`, zeros included: (len(rows), n) of float32."""
        widths = self.starts[rows + 1] - self.starts[rows]
        first = np.repeat(self.starts[rows] - np.cumsum(widths) + widths, widths)
        places = first + np.arange(len(first))
        block = np.zeros((len(rows), self.n), np.float32)
        block[np.repeat(np.arange(len(rows)), widths), self.outside[places]] = self.count[places]
        return block

    def blocks(self, order: Array) -> Iterator[Array]:
        """Cut `order`, a list of centre words, into blocks: 256 to 512 rows, by what a cache holds.

        U moves after every block, so that small blocks learn a little more in a pass, and large
        ones take less time for it.
        """
        size = max(256, min(512, (1 << 21) // max(self.n, 1)))
        return iter([order[i : i + size] for i in range(0, len(order), size)])


def log_probabilities(v: Any, U: Any, bias: Any = None) -> Any:
    """Give log P(o|c) for the centre vectors `v` (k, d) and every word o of `U` (n, d): (k, n).

    E3: ``u_oᵀ v_c − log Σ_x exp(u_xᵀ v_c)``, with ``+ bias_o`` in the exponents if there is one.

    >>> log_probabilities(np.zeros((1, 3)), np.ones((2, 3)))
    array([[-0.69314718, -0.69314718]])
    """
    scores = v @ np.transpose(U)
    return log_softmax(scores if bias is None else scores + bias, axis=1)


def exact_loss(v: Any, U: Any, bias: Any, counts: Any) -> Any:
    """−Σ_c Σ_o C[c, o] log P(o|c) for a block of centre words (E1, not yet divided by T).

    `v` (k, d), `U` (n, d), `bias` (n,) or None, `counts` (k, n).

    >>> float(exact_loss(np.zeros((1, 3)), np.ones((2, 3)), None, np.array([[1.0, 3.0]])))
    2.772588722239781
    """
    return 0 - (counts * log_probabilities(v, U, bias)).sum()  # of nothing: 0, where −0 is not


def negative_loss(V: Tensor, U: Tensor, centre: Array, outside: Array, noise: Array) -> Tensor:
    """−Σ log σ(u_oᵀ v_c) − Σ log σ(−u_xᵀ v_c): negative sampling (Mikolov et al. 2013, eq. 4).

    It replaces the sum over all words in E2 by k words x drawn at random for each pair (c, o).
    `centre`, `outside` (pairs,) and `noise` (pairs, k) are word ids.
    """
    v = take(V, centre[:, None])
    drawn = (v * take(U, noise)).sum(axis=2)
    together = (v * take(U, outside[:, None])).sum(axis=2)
    loss: Tensor = 0 - log_sigmoid(together).sum() - log_sigmoid(-drawn).sum()
    return loss
