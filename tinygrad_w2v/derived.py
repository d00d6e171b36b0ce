"""Operations made of operations: they need no derivative rule, for they have one by the chain rule.

Some are NumPy's calling conventions on top of a primitive (`concatenate`, `einsum`, `pad`, `take`);
some are short programs (`prod`, `tensordot`). All take arrays as well as Tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from . import rules
from .graph import Traced
from .rules import LETTERS, NUMPY, Function
from .sparse import Array
from .stable import count, shape_of


def stands_for(*functions: Function) -> Callable[[Function], Function]:
    """Use the decorated function where NumPy's `functions` are given a Tensor."""

    def register(ours: Function) -> Function:
        NUMPY.update(dict.fromkeys(functions, ours))
        return ours

    return register


def is_plain(x: Any) -> bool:
    """Tell whether `x` is no Tensor."""
    return not isinstance(x, Traced)


NUMPY.update({np.sum: rules.sum, np.amax: rules.max, np.amin: rules.min, np.var: rules.var,
              np.std: rules.std})

# ── elementwise and reductions ────────────────────────────────────────────────────────────────────


@stands_for(np.clip)
def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """Move each element of `x` into [a_min, a_max] (None: no bound). At a bound the slope is 1.

    >>> clip(np.array([-2.0, 0.5, 3.0]), 0, 1)
    array([0. , 0.5, 1. ])
    """
    low, high = a_min if min is None else min, a_max if max is None else max
    return rules.clip(x, -np.inf if low is None else low, np.inf if high is None else high)


@stands_for(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Length of vectors over `axis`: ``√Σx²`` (`ord` None or 2), ``Σ|x|`` (1), ``max|x|`` (np.inf).

    Without `axis`, `x` is one vector whatever its shape (`ord` None). Slope 0 at 0.

    >>> norm(np.array([3.0, 4.0]))
    np.float64(5.0)
    """
    if ord is None:
        return rules.norm(x, axis=axis, keepdims=keepdims)
    if ord not in (1, 2, np.inf) or isinstance(axis, tuple) or (axis is None and np.ndim(x) != 1):
        raise ValueError(
            f"norm() of shape {np.shape(x)} with ord={ord}, axis={axis}: only norms of vectors "
            "have a derivative here; give ord None, 1, 2 or np.inf, and one axis"
        )
    if ord == 2:
        return rules.norm(x, axis=axis, keepdims=keepdims)
    return (rules.sum if ord == 1 else rules.max)(rules.abs(x), axis=axis, keepdims=keepdims)


def _as_axes(axis: Any, ndim: int) -> list[int]:
    """The axes that are meant, counted from the left; AxisError if one is not there."""
    axes = range(ndim) if axis is None else np.ravel(axis).tolist()
    return list(normalize_axis_tuple(axes, ndim))


@stands_for(np.prod)
def prod(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """Product over `axis`: halves are multiplied until one is left. Zeros need no care.

    >>> prod(np.array([[2.0, 3.0], [0.0, 4.0]]), axis=1)
    array([6., 0.])
    """
    if is_plain(x):
        return np.prod(x, axis=axis, keepdims=keepdims)
    shape = x.shape
    axes = _as_axes(axis, len(shape))
    rest = [a for a in range(len(shape)) if a not in axes]
    n = count(shape, tuple(axes))
    x = np.reshape(np.transpose(x, (*rest, *axes)), (*[shape[a] for a in rest], n))
    while n > 1:
        n, odd = divmod(n, 2)
        product = x[..., :n] * x[..., n : 2 * n]
        x = np.concatenate([product, x[..., 2 * n :]], axis=-1) if odd else product
        n += odd
    x = x[..., 0] if n else np.sum(x, axis=-1) + 1
    return np.reshape(x, [1 if a in axes else s for a, s in enumerate(shape)]) if keepdims else x


@stands_for(np.cumprod)
def cumprod(x: Any, axis: int | None = None) -> Any:
    """Running product along `axis` (None: of the flattened array), in log₂ n multiplications.

    >>> cumprod(np.array([2.0, 0.0, 4.0]))
    array([2., 0., 0.])
    """
    if is_plain(x):
        return np.cumprod(x, axis)
    if axis is None:
        x, axis = np.reshape(x, -1), 0
    x, step = np.moveaxis(x, axis, -1), 1
    while step < x.shape[-1]:
        x = np.concatenate([x[..., :step], x[..., step:] * x[..., :-step]], axis=-1)
        step *= 2
    return np.moveaxis(x, -1, axis)


# ── products ──────────────────────────────────────────────────────────────────────────────────────


@stands_for(np.dot)
def dot(x: Any, y: Any) -> Any:
    """NumPy's ``dot``: numbers multiply, vectors and matrices as `matmul`, others by `tensordot`.

    >>> dot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    np.float64(11.0)
    """
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        return np.multiply(x, y)
    if np.ndim(y) == 1 or np.ndim(x) <= 2 >= np.ndim(y):
        return np.matmul(x, y)
    return np.tensordot(x, y, axes=([-1], [-2]))


@stands_for(np.outer)
def outer(x: Any, y: Any) -> Any:
    """All products of an element of `x` with one of `y`: shape (x.size, y.size).

    >>> outer(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    array([[3., 4.],
           [6., 8.]])
    """
    return np.reshape(x, (-1, 1)) * np.reshape(y, (1, -1))


@stands_for(np.tensordot)
def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """Sum products over the last `axes` of x and the first of y, or over a pair of axis lists.

    >>> tensordot(np.ones((2, 3, 4)), np.ones((3, 4, 5))).shape
    (2, 5)
    """
    shape_x, shape_y = np.shape(x), np.shape(y)
    if np.ndim(axes) == 0:
        axes = list(range(-axes, 0)), list(range(axes))
    over_x, over_y = _as_axes(axes[0], len(shape_x)), _as_axes(axes[1], len(shape_y))
    if [shape_x[a] for a in over_x] != [shape_y[a] for a in over_y]:
        raise ValueError(f"tensordot() of shape {shape_x} and {shape_y}: the sides of axes "
                         f"{over_x} and {over_y} differ")
    rest_x = [a for a in range(len(shape_x)) if a not in over_x]
    rest_y = [a for a in range(len(shape_y)) if a not in over_y]
    k = count(shape_x, tuple(over_x))
    left = np.reshape(np.transpose(x, rest_x + over_x), (count(shape_x, tuple(rest_x)), k))
    right = np.reshape(np.transpose(y, over_y + rest_y), (k, count(shape_y, tuple(rest_y))))
    return np.reshape(left @ right, [shape_x[a] for a in rest_x] + [shape_y[a] for a in rest_y])


@stands_for(np.einsum)
def einsum(subscripts: str, *operands: Any) -> Any:
    """Einstein's summation, as `numpy.einsum`: ellipses, diagonals, broadcast sides included.

    >>> einsum("ij,j->i", np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 10.0]))
    array([21., 43.])
    """
    if not isinstance(subscripts, str):
        raise TypeError("einsum() takes the subscripts first, as a string: einsum('ij,jk', a, b)")
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum({subscripts!r}) needs {len(terms)} operands, not {len(operands)}")
    dots = [np.ndim(o) - len(t.replace("...", "")) if "..." in t else 0
            for t, o in zip(terms, operands, strict=True)]
    spare = "".join(c for c in LETTERS if c not in subscripts)[: int(np.max(dots))]
    named = ",".join(t.replace("...", spare[len(spare) - n :])
                     for t, n in zip(terms, dots, strict=True))
    if not arrow:
        output = "..." + "".join(sorted(c for c in {*inputs} - {*",."} if inputs.count(c) == 1))
    return rules.einsum(*operands, subscripts=named + "->" + output.replace("...", spare))


# ── shape ─────────────────────────────────────────────────────────────────────────────────────────


@stands_for(np.ravel)
def ravel(x: Any) -> Any:
    """All elements in one row.

    >>> ravel(np.ones((2, 3))).shape
    (6,)
    """
    return np.reshape(x, -1)


@stands_for(np.pad)
def pad(x: Any, pad_width: Any, mode: str = "constant", *, constant_values: float = 0) -> Any:
    """Add elements at the edges: `pad_width` before and after each axis, as `numpy.pad`.

    `mode` is "constant", or "edge", "reflect", "symmetric" or "wrap", which repeat elements of x.

    >>> pad(np.array([1.0, 2.0]), (1, 2), "edge")
    array([1., 1., 2., 2., 2.])
    """
    widths = np.broadcast_to(pad_width, (np.ndim(x), 2)).tolist()
    if mode != "constant" and constant_values:
        raise ValueError(f"pad() takes constant_values for mode 'constant', not for {mode!r}")
    if mode == "constant":
        return rules.pad(x, pad_width=widths, constant_values=constant_values)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"pad() has no derivative for mode {mode!r}: use constant, edge, reflect, "
                         "symmetric or wrap")
    for axis, (before, after) in enumerate(widths):
        ids = np.arange(np.shape(x)[axis])
        x = take(x, np.pad(ids, (before, after), mode), axis)  # type: ignore[call-overload]
    return x


@stands_for(np.concatenate)
def concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Join arrays along an axis they have (None: flattened first).

    >>> concatenate([np.ones(2), np.zeros(1)])
    array([1., 1., 0.])
    """
    if not len(arrays):
        raise ValueError("concatenate() and stack() need at least one array to join")
    if axis is None:
        arrays, axis = [np.reshape(a, -1) for a in arrays], 0
    ndim = np.ndim(arrays[0])
    if not -ndim <= axis < ndim or any(np.ndim(a) != ndim for a in arrays):
        raise ValueError(f"concatenate() on axis {axis} of shapes {[np.shape(a) for a in arrays]}: "
                         "all must have that axis, and equally many; stack() adds a new one")
    axis %= ndim
    bounds = np.cumsum([0] + [np.shape(a)[axis] for a in arrays]).tolist()
    return rules.concatenate(*arrays, axis=axis, bounds=bounds)


@stands_for(np.stack)
def stack(arrays: Iterable[Any], axis: int = 0) -> Any:
    """Join arrays of one shape along a new axis.

    >>> stack([np.ones(2), np.zeros(2)]).shape
    (2, 2)
    """
    return concatenate([np.expand_dims(a, axis) for a in arrays], axis)


@stands_for(np.split)
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """Cut `x` along `axis` into so many equal sections, or at the given indices.

    >>> [part.tolist() for part in split(np.arange(5.0), [2])]
    [[0.0, 1.0], [2.0, 3.0, 4.0]]
    """
    axis = normalize_axis_index(axis, np.ndim(x))
    pieces = np.split(np.arange(np.shape(x)[axis]), indices_or_sections)
    bounds = [slice(p[0], p[-1] + 1) if len(p) else slice(0) for p in pieces]
    return [x[(*[slice(None)] * axis, bound)] for bound in bounds]


# ── looking up ────────────────────────────────────────────────────────────────────────────────────


def index(x: Any, key: Any) -> Any:
    """``x[key]``: slices, integers, masks, integer arrays, mixtures; repeats add gradients up.

    >>> index(np.array([1.0, 2.0, 3.0]), [2, 2, 0])
    array([3., 3., 1.])
    """
    keys = key if isinstance(key, tuple) else (key,)
    if any(isinstance(k, Traced) for k in keys):
        raise TypeError("a Tensor holds floats and cannot be an index: use an array of integers "
                        "or booleans")
    keys = tuple([_as_index(k) for k in keys])
    if len(keys) == 1 and isinstance(keys[0], np.ndarray) and keys[0].dtype.kind in "iu":
        return take(x, keys[0])
    return rules.index(x, key=keys)


def _as_index(key: Any) -> Any:
    """Make a copy, as an array, of what is a sequence: repeats must be seen."""
    if isinstance(key, np.ndarray) or not np.ndim(key):
        return key.copy() if isinstance(key, np.ndarray) else key
    return np.array(key, dtype=None if np.size(key) else np.intp)


def _ids(given: Any, n: int, what: str) -> Array:
    """Copy `ids` as integers in [0, n), counting negative ones from the end."""
    ids: Array = np.array(given, dtype=None if np.size(given) else np.intp)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{what} needs integer ids, not {ids.dtype}")
    if ids.size and not (-n <= ids.min() and ids.max() < n):
        raise IndexError(f"{what}: ids from {ids.min()} to {ids.max()}, but there are {n} places")
    return np.where(ids < 0, ids.astype(np.intp) + n, ids) if ids.size and ids.min() < 0 else ids


def take(x: Any, ids: Any, axis: int | None = 0) -> Any:
    """Look rows up: ``x[ids]`` for integer `ids` of any shape (or slices along `axis`).

    A row that is looked up k times receives the sum of k gradients; a leaf receives a `RowGrad`,
    which holds the rows looked up and no others. The default axis is 0, rows; `numpy.take` without
    an axis looks up in the flattened array, as `axis=None` does here.

    >>> take(np.array([[1.0, 2.0], [3.0, 4.0]]), [1, 1, 0])[:, 0]
    array([3., 3., 1.])
    """
    if axis is None:
        x, axis = np.reshape(x, -1), 0
    shape = shape_of(x)
    axis = normalize_axis_index(axis, len(shape))
    return rules.take(x, ids=_ids(ids, shape[axis], "take()"), axis=axis)


@stands_for(np.take)
def _numpy_take(a: Any, indices: Any, axis: int | None = None) -> Any:
    return take(a, indices, axis)


def scatter(x: Any, ids: Any, shape: int | tuple[int, ...], axis: int = 0) -> Any:
    """Undo `take`: zeros of `shape`, to which the slices of `x` are added at `ids` along `axis`.

    `shape` may be a number n: then the result has n rows.

    >>> scatter(np.array([1.0, 10.0, 100.0]), [2, 0, 2], 4)
    array([ 10.,   0., 101.,   0.])
    """
    whole = (shape, *np.shape(x)[np.ndim(ids) :]) if isinstance(shape, int) else tuple(shape)
    axis = normalize_axis_index(axis, len(whole))
    ids = _ids(ids, whole[axis], "scatter()")
    fitting = whole[:axis] + ids.shape + whole[axis + 1 :]
    if np.shape(x) != fitting:
        raise ValueError(f"scatter() of shape {np.shape(x)} to {whole}: ids of shape {ids.shape} "
                         f"need an operand of shape {fitting}")
    return rules.scatter(x, ids=ids, shape=whole, axis=axis)
