"""The way that an optimiser takes: how long it is, how it turns, into which orthants it steps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..optim import as_parameters
from ..sparse import Array


class Path:
    """Where `params` have been, from the first `record` to the one whose loss is at most `until`.

    Call `record` before the first step and after each; it says whether to stop. What comes after
    the loss has been reached is not kept, so that two paths with the same `until` are compared at
    the same loss. It keeps a copy of all numbers of `params` for each record: give it the ones
    that you want to see, a neuron's weights.

    >>> from tinygrad_w2v import Tensor, optim
    >>> w = Tensor([4.0, -2.0], requires_grad=True)
    >>> optimizer, path = optim.SGD([w], lr=0.25), Path([w], until=0.1)
    >>> while not path.record(loss := (w * w).sum()):
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    >>> path
    Path(4 steps, 1.00 × the straight line; turns 0° on average; 0 % with all parts of one sign)
    """

    def __init__(self, params: Iterable[Any], until: float = -np.inf):
        self.params, self.until = as_parameters(params), float(until)
        self.losses = list[float]()
        self._points = list[Array]()
        self.reached = False

    def record(self, loss: Any) -> bool:
        """Keep where the parameters are; tell whether the loss is, or has been, reached."""
        value = float(loss)
        if np.isnan(value):
            raise FloatingPointError(f"Path.record(): the loss is NaN after {len(self.losses)} "
                                     "records; `with tg.debug():` around the loop says why")
        if not self.reached:
            self.losses.append(value)
            self._points.append(np.concatenate([p.data.ravel() for p in self.params]))
            self.reached = value <= self.until
        return self.reached

    @property
    def points(self) -> Array:
        """The positions, (records, numbers)."""
        if not self._points:
            raise ValueError("this Path is empty: call record(loss) before the first step, and "
                             "after each")
        return np.stack(self._points)

    @property
    def steps(self) -> Array:
        """The moves from each position to the next, (records − 1, numbers)."""
        return np.diff(self.points, axis=0)

    @property
    def length(self) -> float:
        """The length of all steps together."""
        return float(_lengths(self.steps).sum())

    @property
    def distance(self) -> float:
        """The length of the straight line from the first position to the last."""
        return float(_lengths(self.points[-1:] - self.points[:1])[0])

    @property
    def detour(self) -> float:
        """How many times longer the path is than the straight line: 1 is straight."""
        return self.length / self.distance if self.distance else np.inf if self.length else 1.0

    @property
    def turns(self) -> Array:
        """The angle between each step and the next, 0° (straight on) to 180° (back)."""
        moves = self._moves
        units = moves / _lengths(moves)[:, None]
        cosines = (units[1:] * units[:-1]).sum(axis=1)
        angles: Array = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
        return angles

    @property
    def one_sign(self) -> float:
        """Share of the steps of which no two parts have opposite signs: the two orthants of E10.

        Of d independent parts it is 2/2ᵈ. Steps that move nothing are not counted; NaN: none moved.
        """
        moves = self._moves
        mixed = (moves > 0).any(axis=1) & (moves < 0).any(axis=1)
        return 1 - float(np.mean(mixed)) if len(moves) else np.nan

    @property
    def _moves(self) -> Array:
        """The steps that move something."""
        return self.steps[self.steps.any(axis=1)]

    def __repr__(self) -> str:
        if len(self._points) < 2:
            return f"Path({len(self._points)} record(s), no step)"
        turns = f"{np.mean(self.turns):.0f}°" if len(self.turns) else "none"
        one_sign = "–" if np.isnan(self.one_sign) else f"{self.one_sign:.0%}".replace("%", " %")
        return (f"Path({len(self.steps)} steps, {self.detour:.2f} × the straight line; turns "
                f"{turns} on average; {one_sign} with all parts of one sign)")


def _lengths(moves: Array) -> Array:
    """The length of each row, also of numbers whose squares are too small or too large."""
    units = np.ldexp(1.0, np.frexp(np.abs(moves).max(axis=1, initial=0))[1] - 1)
    lengths: Array = units * np.linalg.norm(moves / units[:, None], axis=1)
    return lengths
