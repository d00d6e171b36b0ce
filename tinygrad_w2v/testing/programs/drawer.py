"""A program while it is drawn: values are known at once, and each step keeps them in bounds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from ...sparse import Array
from .program import OPERATIONS, Step

Shape = tuple[int, ...]

STEP = 1e-100      # of the complex step: so small that its square vanishes
LARGEST, STEEPEST = 4.0, 16.0  # what a value, and its slope, may be before it is scaled down
LIMIT = 24         # elements of a value at most
SIGNS = np.random.default_rng(0).choice([-1.0, 1.0], LIMIT)


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """The shape that two broadcast to, or None (`np.broadcast_shapes` takes far longer).

    >>> broadcast((3, 1), (2,)), broadcast((3,), (2,))
    ((3, 2), None)
    """
    n = max(len(a), len(b))
    pairs = list(zip((1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b, strict=True))
    if any(p != q and p != 1 and q != 1 for p, q in pairs):
        return None
    return tuple([q if p == 1 else p for p, q in pairs])


class Drawer:
    """A program while it is drawn: its steps, and at which point each value is.

    A point is complex: the real part is the value, the imaginary part (over STEP) is how far it
    moves along one direction of the inputs, where each step has added its own rounding error. So it
    bounds the slope and the error at once. `offered` are the values that a step may still use,
    `fresh` those of them that nothing has used.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng, self.dice = rng, random.Random(int(rng.integers(2**62)))
        self.steps, self.points = list[Step](), list[Array]()
        self.offered, self.fresh = list[int](), list[int]()

    # draws

    def chance(self, p: float) -> bool:
        """True in a share `p` of all cases."""
        return self.dice.random() < p

    def numbers(self, shape: Shape) -> Array:
        """Draw numbers k/64 between 1/4 and 2, of either sign."""
        every = [self.dice.choice((-1, 1)) * self.dice.randint(17, 127) / 64
                 for _ in range(math.prod(shape))]
        return np.array(every).reshape(shape)

    def shape(self) -> Shape:
        """Draw a shape; sides of 1 are rarer."""
        ndim = self.dice.choice((0, 1, 1, 2, 2, 3))
        return tuple([self.dice.choice((2, 3, 2, 3, 4, 1)) for _ in range(ndim)])

    def axis(self, ndim: int) -> Any:
        """Draw what `axis` may be: None, a number of either sign, a tuple in any order."""
        kind = self.dice.random()
        if kind < 0.3 or not ndim:
            return None if ndim or kind < 0.5 else ()
        if kind < 0.8:
            return self.dice.randrange(-ndim, ndim)
        axes = self.dice.sample(range(ndim), self.dice.randint(1, ndim))
        return tuple([a - ndim * self.chance(0.3) for a in axes])

    def ids(self, n: int, shape: Shape) -> Array:
        """Draw ids of n places, of either sign, with repeats."""
        every = [self.dice.randrange(-n, n) for _ in range(math.prod(shape))]
        return np.array(every, np.intp).reshape(shape)

    def pick(self) -> int:
        """Draw one of the values: more often than not one that nothing has used."""
        pool = self.fresh if self.fresh and self.chance(0.7) else self.offered
        return self.dice.choice(pool)

    def search(self, suits: Callable[[Shape], bool]) -> int | None:
        """Draw a value of a shape that suits, None if there is none among the tried."""
        for _ in range(6):
            k = self.pick()
            if suits(self.points[k].shape):
                return k
        return None

    # the program

    def sides(self, k: int) -> Shape:
        """Shape of value `k`."""
        return self.points[k].shape

    def real(self, k: int) -> Array:
        """What value `k` is."""
        return self.points[k].real

    def constant(self, value: Any) -> int:
        """Append a constant: an array or a Python number."""
        self.steps.append(Step("constant", (), {"value": value}))
        self.points.append(np.asarray(value, complex))
        return len(self.points) - 1

    def partner(self, j: int) -> int:
        """A second operand that broadcasts with j: j again, a constant, or another value."""
        kind, shape = self.dice.random(), self.sides(j)
        if kind < 0.1:
            return j
        if kind < 0.2:
            return self.constant(self.dice.choice((0.5, -1.5, 2.0, 3, -0.25)))
        if kind < 0.3:
            kept = shape[self.dice.randint(0, len(shape)):]
            return self.constant(self.numbers(tuple([1 if self.chance(0.3) else s for s in kept])))
        found = self.search(lambda other: math.prod(broadcast(shape, other) or [99]) <= LIMIT)
        return j if found is None else found

    def extend(self, op: str, recorded: bool = True) -> bool:
        """Append one step of the kind `op`, if operands are found at which it is well-behaved."""
        before = len(self.steps)
        drawn = OPERATIONS[op].draw(self)
        if drawn is not None and self.append(Step(op, *drawn, recorded)):
            return True
        n = len(self.points) - len(self.steps) + before
        del self.steps[before:], self.points[n:]
        return False

    def append(self, step: Step) -> bool:
        """Append `step`, and one that scales its result down if that is large or steep."""
        out = np.asarray(step.run(self.points))
        size, slope = float(np.abs(out.real).max()), float(np.abs(out.imag).max()) / STEP
        if out.size > LIMIT or out.ndim > 4 or not (size < 1e4 and slope < 1e4):
            return False
        noise = np.abs(out.real) * SIGNS[: out.size].reshape(out.shape) * self.dice.choice((-1, 1))
        self.steps.append(step)
        self.points.append(out.real + 1j * (out.imag + STEP * noise))
        k = len(self.points) - 1
        self.fresh = [j for j in self.fresh if j not in step.operands]
        excess = max(size / LARGEST, slope / STEEPEST)
        if excess > 1:
            factor = 2.0 ** -math.ceil(math.log2(excess))
            return self.append(Step("scale", (k,), {"factor": factor}))
        self.offered.append(k)
        self.fresh.append(k)
        return True
