"""Training by the exact objective: E1 itself, a block of centre words at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from ..derived import take
from ..sparse import Array
from ..tensor import Tensor
from .curvature import SharedCurvature
from .objective import CoOccurrences, exact_loss


class ExactSoftmax:
    """Moves V, U and the bias by E1, which it knows from the co-occurrence counts of a corpus.

    `seed` makes the order of the words in all passes. `state` is what the optimiser remembers.
    """

    name = "E1"

    @property
    def plan(self) -> list[int]:
        """The number on which it depends what a step is: the words in a block."""
        return [len(next(self.counts.blocks(np.arange(self.counts.n))))]

    def __init__(self, V: Tensor, U: Tensor, bias: Tensor | None, counts: CoOccurrences, seed: int):
        self.V, self.U, self.bias, self.counts, self.seed = V, U, bias, counts, seed
        self.optimiser = SharedCurvature(V, U, bias, counts.totals)

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
        """Do nothing: the products of matrices are large enough for BLAS to share them out."""
        yield

    def steps(self, epoch: int, rate: Callable[[float], float], skip: int = 0
              ) -> Iterator[tuple[float, float, float]]:
        """Make the steps of a pass, but for the first `skip`, which were made before.

        `rate` scales the steps, by the share of the pass that is done. Each step gives its part of
        E1 times T, its part of T, and the share of the pass that is done then.
        """
        self.optimiser.zero_grad()
        rng, n, done = np.random.default_rng([self.seed, epoch]), self.counts.n, 0
        for number, rows in enumerate(self.counts.blocks(rng.permutation(n))):
            begin, done = done, done + len(rows)
            if number < skip:
                continue
            counts = Tensor(self.counts.dense(rows))
            loss = exact_loss(take(self.V, rows), self.U, self.bias, counts)
            if not np.isfinite(value := loss.item()):
                raise FloatingPointError(f"the loss became {value}")
            loss.backward()
            self.optimiser.step(rate(begin / n))
            self.optimiser.zero_grad()
            yield value, self.counts.positions * len(rows) / n, done / n
