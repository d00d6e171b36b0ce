"""The derivation of the notes, checked: E4 and E5 by hand, by autodiff, by numeric differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..functional import grad
from ..sparse import Array
from .objective import log_probabilities


@dataclass(frozen=True)
class Derivation:
    """One gradient of log P(o|c), computed in three ways."""

    by_hand: Array
    by_autodiff: Array
    by_differences: Array

    @property
    def error(self) -> float:
        """Largest difference between by hand and by autodiff."""
        return float(np.max(np.abs(self.by_hand - self.by_autodiff)))


def centre_gradient(v: Array, U: Array, o: int) -> Derivation:
    """E4: ``∂ log P(o|c) / ∂v_c = u_o − Σ_x P(x|c) u_x``, observed minus expected (E6).

    `v` (d,) is the centre vector v_c, `U` (n, d) the outside vectors, `o` the id of the word seen.

    >>> d = centre_gradient(np.zeros(2), np.array([[1.0, 0.0], [0.0, 1.0]]), 0)
    >>> d.by_hand, bool(d.error < 1e-15)
    (array([ 0.5, -0.5]), True)
    """
    observed, expected = U[o], probabilities(v, U) @ U

    def log_p(v: Any) -> Any:
        return log_probabilities(v.reshape(1, -1), U)[0, o]

    return Derivation(observed - expected, grad(log_p)(v).numpy(), differences(log_p, v))


def outside_gradient(v: Array, U: Array, o: int) -> Derivation:
    """E5: ``∂ log P(o|c) / ∂u_w = (1[w = o] − P(w|c)) v_c``, for all words w at once: (n, d).

    >>> d = outside_gradient(np.array([2.0, 0.0]), np.zeros((2, 2)), 1)
    >>> d.by_hand[:, 0]
    array([-1.,  1.])
    """
    seen = np.eye(len(U))[o]

    def log_p(U: Any) -> Any:
        return log_probabilities(v.reshape(1, -1), U)[0, o]

    by_hand = (seen - probabilities(v, U))[:, None] * v
    return Derivation(by_hand, grad(log_p)(U).numpy(), differences(log_p, U))


def probabilities(v: Array, U: Array) -> Array:
    """E2, for all words: ``P(x|c) = exp(u_xᵀ v_c) / Σ_w exp(u_wᵀ v_c)``."""
    score = np.exp(U @ v - np.max(U @ v))
    whole: Array = score / score.sum()
    return whole


def differences(f: Any, x: Array, step: float = 1e-5) -> Array:
    """Slope of a scalar function by central differences, ``(f(x + h) − f(x − h)) / 2h``."""
    slope = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        moved = np.zeros(x.shape)
        moved[place] = step
        slope[place] = (float(f(x + moved)) - float(f(x - moved))) / (2 * step)
    return slope
