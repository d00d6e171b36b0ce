"""Values of operations that NumPy lacks, in forms that neither overflow nor lose digits.

exp(1000) is not a number that a computer has, and 1 + exp(−40) is 1. So these forms take the exp of
nothing above 0, and log1p where a small number is added to 1. They are plain NumPy, of arrays that
they never change, and hold no derivative: those stand in `rules.py`. They take complex numbers too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

BLOCK = 1 << 14  # elements: with what is computed on the way they fit into a core's own cache
LARGE = 1 << 18  # elements: from here on blocks are worth their while


def in_blocks(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Apply `f`, elementwise, to a large array block by block, as memory is slower than a cache."""

    @wraps(f)
    def blockwise(x: Any) -> Any:
        if np.size(x) < LARGE or x.dtype.kind != "f" or not x.flags.c_contiguous:
            return f(x)
        out = np.empty_like(x)
        to, flat = out.reshape(-1), x.reshape(-1)
        for i in range(0, x.size, BLOCK):
            to[i : i + BLOCK] = f(flat[i : i + BLOCK])
        return out

    return blockwise


def minus_abs(x: Any) -> Any:
    """−|x|, without the modulus of a complex number."""
    return np.minimum(x, -1.0 * x)


def relu(x: Any) -> Any:
    """``max(x, 0)``, elementwise. Slope 0 at 0."""
    return np.maximum(x, np.zeros_like(x))  # NumPy is several times slower with a number than so


def leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """``x`` where x > 0, ``slope · x`` elsewhere."""
    return np.where(x > 0, x, slope * x)


def gate(x: Any, open: Any) -> Any:
    """``where(open, x, 0)``, elementwise; many times faster than np.where, which looks at each one.

    >>> with np.errstate(invalid="ignore"):  # as in a walk
    ...     gate(np.array([-1.0, np.inf, 2.0]), [False, False, True])
    array([0., 0., 2.])
    """
    mask = np.asarray(open)
    let = np.asarray(x * (mask if mask.dtype.kind == "b" else mask != 0))
    let += 0  # −1 · 0 is −0
    return let if math.isfinite(abs(np.vdot(let, let))) else np.where(mask, x, 0)


@in_blocks
def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(−x))``, elementwise. Its slope σ(x) σ(−x) → 0 for large |x| (E8).

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    t = np.exp(minus_abs(x))
    p = np.maximum(t, x >= 0)  # eˣ to the left of 0: there it is eˣ / (1 + eˣ)
    p /= 1 + t
    return p


@in_blocks
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


@in_blocks
def softplus(x: Any) -> Any:
    """``log(1 + exp(x))``, elementwise. Its slope is the sigmoid.

    >>> softplus(np.array([-40.0, 1000.0]))
    array([4.24835426e-18, 1.00000000e+03])
    """
    return np.maximum(x, np.zeros_like(x)) + np.log1p(np.exp(minus_abs(x)))


@in_blocks
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
    e -= ones
    ties = np.add.reduce(ones, axis, np.intp, keepdims=True) - (e.size > 0)
    return np.add(np.add.reduce(e, axis, keepdims=True), ties, dtype=e.dtype)


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
    e /= np.add.reduce(e, axis, keepdims=True)
    return e


# ── over axes, and products ───────────────────────────────────────────────────────────────────────


def sum(x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False,
         initial: Any = 0, where: Any = True) -> Any:
    """``numpy.sum``, without what it does before."""
    add: Any = np.add.reduce
    return add(x, axis, dtype, out, keepdims, initial, where)


def var(x: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """Mean squared distance from the mean over `axis`, the sum divided by n − ddof."""
    squares = np.square(centred(x, axis))
    return np.sum(squares, axis=axis, keepdims=keepdims) / freedom(x.shape, axis, ddof)


def std(x: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    """Square root of `var`. Slope 0 where all values are equal."""
    return np.sqrt(var(x, axis, ddof=ddof, keepdims=keepdims))


def norm(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Length over `axis`, reckoned in floats: the squares of small integers would wrap."""
    return np.sqrt(np.sum(np.square(x, dtype=np.result_type(x, 1.0)), axis=axis, keepdims=keepdims))


def centred(x: Any, axis: Any) -> Any:
    """Subtract the mean over `axis`. Of equal values it leaves exactly 0: their mean is rounded."""
    x = x - 1.0 * np.max(x, axis=axis, keepdims=True) if x.size else x  # 1.0: integers would wrap
    return x - np.mean(x, axis=axis, keepdims=True) if x.size else x


def shape_of(x: Any) -> tuple[int, ...]:
    """``numpy.shape``, but of what has a shape at once, without asking NumPy."""
    return x.shape if hasattr(x, "shape") else np.shape(x)


def count(shape: tuple[int, ...], axis: Any) -> int:
    """Count the elements that a reduction over `axis` takes together."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return math.prod([shape[a] for a in axes])


def freedom(shape: tuple[int, ...], axis: Any, ddof: float) -> float:
    """Give n − ddof, at least 0, where n elements are taken together: what `var` divides by."""
    return float(np.maximum(count(shape, axis) - ddof, 0))


def unless_0(x: Any) -> Any:
    """Put 1 for 0 in a divisor, where the dividend is 0 too."""
    return np.where(x == 0, 1, x)


def repeat(g: Any, shape: tuple[int, ...]) -> Any:
    """``numpy.broadcast_to`` in a fraction of the time: a view that repeats `g` to fill `shape`.

    >>> repeat(np.array([[1.0], [2.0]]), (2, 3))
    array([[1., 1., 1.],
           [2., 2., 2.]])
    """
    if not g.flags.c_contiguous:
        return np.broadcast_to(g, shape)
    steps = [0 if side == 1 else g.strides[axis] for axis, side in enumerate(g.shape)]
    view = np.ndarray(shape, g.dtype, g, 0, [0] * (len(shape) - g.ndim) + steps)
    view.setflags(write=False)
    return view


def matmul_t(x: Any, y: Any) -> Any:
    """``x @ yᵀ``: each row of x (…, i, d) times each row of y (…, j, d), as u_oᵀ v_c in E1."""
    if np.ndim(x) < 2 or np.ndim(y) < 2:
        raise ValueError("both need two axes or more: (…, i, d) and (…, j, d)")
    return x @ y.mT


def einsum(*operands: Any, subscripts: str) -> Any:
    """``numpy.einsum``, the operands first; of two of which nothing is summed, their product.

    >>> einsum(np.array([1.0, 2.0]), np.array([3.0, 4.0]), subscripts="i,j->ij")
    array([[3., 4.],
           [6., 8.]])
    """
    inputs, output = subscripts.split("->")
    terms = inputs.split(",")
    plain = all(np.ndim(x) == len({*term}) == len(term)
                for x, term in zip(operands, terms, strict=True))
    if len(terms) != 2 or not plain or {*output} != {*"".join(terms)}:
        return np.einsum(subscripts, *operands)
    x, y = (np.transpose(x, [term.index(axis) for axis in output if axis in term])[
        tuple([slice(None) if axis in term else None for axis in output])]
        for x, term in zip(operands, terms, strict=True))
    return x * y


def astype(x: Any, dtype: Any) -> Any:
    """The same numbers in another floating type."""
    return x.astype(dtype)


def concatenate(*arrays: Any, axis: int, bounds: Any) -> Any:
    """``numpy.concatenate``; `bounds`, where each array begins, are for the way back."""
    return np.concatenate(arrays, axis=axis)
