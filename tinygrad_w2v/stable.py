"""Values in forms that hold everywhere: they neither overflow nor lose digits.

exp(1000) is not a number that a computer has, and 1 + exp(−40) is 1. So these forms take the exp of
nothing above 0, and log1p where a small number is added to 1. They are plain NumPy, of arrays that
they never change, and hold no derivative: those stand in `rules.py`. They take complex numbers too.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def minus_abs(x: Any) -> Any:
    """−|x|, without the modulus of a complex number."""
    return np.minimum(x, -1.0 * x)


def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(−x))``, elementwise. Its slope σ(x) σ(−x) → 0 for large |x| (E8).

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    t = np.exp(minus_abs(x))
    p = np.maximum(t, x >= 0)  # eˣ to the left of 0: there it is eˣ / (1 + eˣ)
    p /= 1 + t
    return p


def sech2(x: Any) -> Any:
    """``1 / cosh²(x)``, elementwise: the slope of tanh, and of the sigmoid, σ'(x) = sech²(x/2) / 4.

    >>> sech2(np.array([-1000.0, 0.0, 40.0]))
    array([0.00000000e+00, 1.00000000e+00, 7.21940555e-35])
    """
    t = np.exp(2 * minus_abs(x))
    below = 1 + t
    below *= below
    t *= 4
    t /= below
    return t


def softplus(x: Any) -> Any:
    """``log(1 + exp(x))``, elementwise. Its slope is the sigmoid.

    >>> softplus(np.array([-40.0, 1000.0]))
    array([4.24835426e-18, 1.00000000e+03])
    """
    return np.maximum(x, np.zeros_like(x)) + np.log1p(np.exp(minus_abs(x)))


def log_sigmoid(x: Any) -> Any:
    """``log(1 / (1 + exp(−x)))``, elementwise: finite where the log of a sigmoid is not.

    >>> log_sigmoid(np.array([-1000.0, 40.0]))
    array([-1.00000000e+03, -4.24835426e-18])
    """
    return -(np.log1p(np.exp(minus_abs(x))) - np.minimum(x, np.zeros_like(x)))


def below_peak(x: Any, axis: Any) -> Any:
    """Give x minus its maximum over `axis`, and the maximum: floats, also of integers.

    ∞ − ∞ counts as 0, as for a tie. Of nothing the maximum is −∞.
    """
    peak = np.maximum.reduce(x, axis, np.result_type(x, 1.0), keepdims=True, initial=-np.inf)
    if np.all(np.isfinite(peak)):
        return np.asarray(x - peak), peak
    with np.errstate(invalid="ignore"):
        return np.where(x == peak, 0, x - peak), peak


def others(below: Any, axis: Any) -> Any:
    """Σ exp over `axis`, but for one 1, the largest: added to it, the others would lose digits."""
    e = np.asarray(np.exp(below))
    ones = e == 1
    e[ones] = 0
    ties = np.count_nonzero(ones, axis=axis, keepdims=True) - (e.size > 0)
    return np.add(np.sum(e, axis=axis, keepdims=True), ties, dtype=e.dtype)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """``log Σ exp(x)`` over `axis`: the normaliser of E3. Its gradient is the softmax, E2.

    >>> logsumexp(np.array([-1000.0, -1040.0])) + 1000
    np.float64(0.0)
    """
    below, peak = below_peak(x, axis)
    total = peak + np.log1p(others(below, axis))
    return total if keepdims else np.squeeze(total, axis)[()]  # a number, not a 0-d array


def log_softmax(x: Any, axis: Any = -1) -> Any:
    """``x − log Σ exp(x)`` over `axis`: E3, for all words at once.

    >>> log_softmax(np.array([1000.0, 960.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    below, _ = below_peak(x, axis)
    below -= np.log1p(others(below, axis))
    return below


def softmax(x: Any, axis: Any = -1) -> Any:
    """``exp(x) / Σ exp(x)`` over `axis`: E2, for all words at once.

    >>> softmax(np.array([1000.0, 960.0]))
    array([1.00000000e+00, 4.24835426e-18])
    """
    e, _ = below_peak(x, axis)
    np.exp(e, out=e)
    e /= np.sum(e, axis=axis, keepdims=True)
    return e
