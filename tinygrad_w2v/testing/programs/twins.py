"""Twins: the operations in plain NumPy, analytic where the real function is smooth.

On complex numbers the real part decides: which is larger, which is positive. Each is written for
itself, by its formula, and not as the engine has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_w2v as tg


def abs(x: Any) -> Any:
    """|x|, without the modulus of a complex number."""
    return np.where(np.real(x) > 0, x, -x)


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """Give x where x > 0, slope · x elsewhere."""
    return np.where(np.real(x) > 0, x, slope * x)


def maximum(x: Any, y: Any) -> Any:
    """The larger of two."""
    return np.where(np.real(x) > np.real(y), x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of two."""
    return np.where(np.real(x) < np.real(y), x, y)


def clip(x: Any, a_min: float | None = None, a_max: float | None = None) -> Any:
    """x, held between two bounds, of which either may be None."""
    low = x if a_min is None else maximum(x, a_min)
    return low if a_max is None else minimum(low, a_max)


def as_lines(x: Any, axis: Any) -> Any:
    """Bring the axes of a reduction together in a last one."""
    axes = [a % x.ndim for a in (range(x.ndim) if axis is None else np.ravel(axis).tolist())]
    rest = [a for a in range(x.ndim) if a not in axes]
    return x.transpose(rest + axes).reshape([x.shape[a] for a in rest] + [-1])


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The largest over axes: the first one, if some are equal."""
    lines = as_lines(x, axis)
    best = np.argmax(lines.real, axis=-1)[..., None]
    out = np.take_along_axis(lines, best, axis=-1)
    return out.reshape(np.sum(x, axis=axis, keepdims=keepdims).shape)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The smallest over axes."""
    return -max(-x, axis, keepdims)


def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Σ (x − mean)² / (n − ddof)."""
    n = as_lines(x, axis).shape[-1]
    mean = np.sum(x, axis=axis, keepdims=True) / n
    return np.sum((x - mean) ** 2, axis=axis, keepdims=keepdims) / (n - ddof)


def std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """The root of the variance."""
    return np.sqrt(var(x, axis, ddof, keepdims))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The 2-norm over axes, or the norm 1 or ∞."""
    if ord == np.inf:
        return max(abs(x), axis, keepdims)
    if ord == 1:
        return np.sum(abs(x), axis=axis, keepdims=keepdims)
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Give log Σ exp x."""
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def softmax(x: Any, axis: Any = -1) -> Any:
    """Give exp x / Σ exp x."""
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def matmul_t(x: Any, y: Any) -> Any:
    """Each row of x times each row of y."""
    return np.einsum("...id,...jd->...ij", x, y)


def scatter(x: Any, ids: Any, shape: Any, axis: int = 0) -> Any:
    """Add up the parts of x at their places in zeros, one by one."""
    whole = (shape, *x.shape[ids.ndim :]) if isinstance(shape, int) else shape
    out = np.zeros(whole, x.dtype)
    for place in np.ndindex(ids.shape):
        out[(slice(None),) * axis + (ids[place],)] += x[(slice(None),) * axis + place]
    return out


def analytic_abs(x: Any) -> Any:
    """Give |x| of a Tensor of complex numbers, without their modulus."""
    return tg.where(x > 0, x, -x)


def analytic_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Give the norm with such an absolute value."""
    if ord not in (1, np.inf):
        return tg.norm(x, ord, axis, keepdims)
    return (tg.sum if ord == 1 else tg.max)(analytic_abs(x), axis=axis, keepdims=keepdims)
