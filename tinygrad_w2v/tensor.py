"""Tensor: an array that remembers how it was made."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from . import derived, rules
from .graph import GraphError, Leaf, Node, Traced, walk
from .sparse import Array, RowGrad, is_owned, plus

_accumulating = threading.Lock()  # threads may share a leaf


def start(root: Traced, seed: Any, walking: str) -> tuple[Node, Array]:
    """Give where a walk from the Tensor `root` begins: its node, and `seed`, or 1 of a scalar."""
    if root._node is None:
        raise GraphError(f"{walking} from a constant: nothing that it was computed from has "
                         "requires_grad=True (or no_grad() or detach() came in between)")
    shape, dtype = root._data.shape, root._data.dtype
    if seed is None and root._data.size != 1:
        raise ValueError(f"{walking} needs a scalar, but this Tensor has shape {shape}. "
                         "Reduce it, e.g. .sum().backward(), or pass seed= of that shape.")
    g = np.array(1 if seed is None else as_plain(seed), dtype)
    g = g.reshape(shape) if seed is None else g
    if g.shape != shape:
        raise ValueError(f"the seed has shape {g.shape}, this Tensor has shape {shape}: "
                         "they must be equal")
    return root._node, g


class Tensor(Traced, NDArrayOperatorsMixin):
    """An array of floats that can be differentiated by.

    `data` (anything NumPy makes an array of) is copied, unless ``copy=False`` says that nobody will
    write to the array any more: then the Tensor is a view of it. `dtype` is float32 or float64;
    integers and booleans are constants, ids and masks, and stay NumPy arrays (TypeError). With
    ``requires_grad=True`` the Tensor is a *leaf*: `backward` of what is computed from it adds ∂L/∂x
    to its `.grad`. Operations are NumPy's, as methods, as functions of this package and as
    ``np.exp(x)``; none works in place.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> loss = (x * x).sum()
    >>> loss.backward()
    >>> x.grad
    array([2., 4., 6.])
    """

    __slots__ = ("__weakref__",)

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None, copy: Any = True):
        array = np.array(data, dtype) if copy else np.asarray(data, dtype).view()
        if array.dtype.char not in ("fd" if requires_grad else "fdgFDG"):
            what = "gradients are taken by" if requires_grad else "a Tensor holds"
            raise TypeError(f"{what} float32 or float64, not {array.dtype}: pass floats, or "
                            "dtype=float. Integer ids and masks stay NumPy arrays.")
        array.flags.writeable = False
        self._data, self._node = array, Leaf(array) if requires_grad else None

    # ── what it holds ─────────────────────────────────────────────────────────────────────────────

    @property
    def data(self) -> Array:
        """The values, as an array that cannot be written to (`edit` writes)."""
        return self._data.view()

    @property
    def grad(self) -> Array | RowGrad | None:
        """What `backward` has added up here; None: nothing yet. Only leaves have one."""
        return self._node.grad if isinstance(self._node, Leaf) else None

    @grad.setter
    def grad(self, value: Array | RowGrad | None) -> None:
        if not isinstance(self._node, Leaf):
            raise GraphError("only a Tensor made with requires_grad=True has a .grad")
        if value is not None and not isinstance(value, RowGrad):
            value = np.asarray(as_plain(value), self.dtype)
        if value is not None and value.shape != self.shape:
            raise ValueError(f"the gradient of a Tensor of shape {self.shape} has that shape, not "
                             f"{value.shape}")
        self._node.grad = value

    @property
    def requires_grad(self) -> bool:
        """Whether this is a leaf, or computed from one while recording."""
        return self._node is not None

    shape = property(lambda self: self._data.shape, doc="Lengths of the sides.")
    ndim = property(lambda self: self._data.ndim, doc="Number of axes.")
    size = property(lambda self: self._data.size, doc="Number of elements.")
    dtype = property(lambda self: self._data.dtype, doc="float32 or float64.")
    T = property(lambda self: self.transpose(), doc="The axes in reverse order.")
    mT = property(lambda self: self.swapaxes(-1, -2), doc="The last two axes swapped.")

    def numpy(self) -> Array:
        """A copy of the values, yours to change."""
        return self._data.copy()

    def item(self) -> float:
        """The one value of a Tensor of size 1, as a Python number."""
        return self._data.item()  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        """The values as nested lists."""
        return self._data.tolist()

    def detach(self) -> Tensor:
        """The same values as a constant: no gradient passes."""
        return self._of(self._data.copy() if self._node and self._node.owner else self._data, None)

    @contextmanager
    def edit(self) -> Iterator[Array]:
        """Write to a leaf's values in place: ``with w.edit() as array: array -= 0.1 * w.grad``.

        Graphs that saved other values notice: their `backward` raises a `GraphError`. The array can
        be written to within the block only; views of it that live on lose their hold, but not those
        of an array that was handed over by ``copy=False``.
        """
        leaf, data = self._node, self._data
        if not isinstance(leaf, Leaf):
            raise GraphError("only a Tensor made with requires_grad=True can be edited; compute a "
                             "new one instead")
        data.flags.writeable = True
        memory = np.asarray(data.data)  # all views of what is handed out hold on to this
        data.flags.writeable = False
        window = memory.view()
        holders = sys.getrefcount(memory)
        leaf.version += 1
        try:
            yield window
        finally:
            leaf.version += 1  # what was computed within the block may be out of date, too
            window.flags.writeable = False
            # A view was kept: leave it the old memory, if that is this Tensor's own.
            if data.base is None and sys.getrefcount(memory) > holders:
                self._data = data.copy()
                self._data.flags.writeable = False

    # ── gradients ─────────────────────────────────────────────────────────────────────────────────

    def backward(self, seed: Any = None) -> None:
        """Add ∂L/∂x to the `.grad` of every leaf x that this Tensor was computed from (E7).

        L is this Tensor if it is a scalar, else ``(seed * self).sum()``, where `seed` has its
        shape. Called twice, it adds the same gradient twice. If it raises, no `.grad` has changed.
        """
        for leaf, gradient in walk(*start(self, seed, "backward()")).items():
            whole = gradient if is_owned(gradient) else gradient.copy()
            with _accumulating:
                known = leaf.grad  # type: ignore[attr-defined]
                leaf.grad = whole if known is None else plus(whole, known)  # type: ignore[attr-defined]

    def zero_grad(self) -> None:
        """Forget the gradient: `.grad` is None again."""
        self.grad = None

    # ── operations ────────────────────────────────────────────────────────────────────────────────

    add, subtract, multiply, divide = rules.add, rules.subtract, rules.multiply, rules.divide
    negative, power, maximum, minimum = rules.negative, rules.power, rules.maximum, rules.minimum
    abs, sqrt, square, reciprocal = rules.abs, rules.sqrt, rules.square, rules.reciprocal
    exp, expm1, log, log1p, log2 = rules.exp, rules.expm1, rules.log, rules.log1p, rules.log2
    log10, logaddexp, log_sigmoid = rules.log10, rules.logaddexp, rules.log_sigmoid
    sin, cos, tan, sinh = rules.sin, rules.cos, rules.tan, rules.sinh
    arcsin, arccos, arctan = rules.arcsin, rules.arccos, rules.arctan
    cosh, tanh, sigmoid, softplus = rules.cosh, rules.tanh, rules.sigmoid, rules.softplus
    relu, leaky_relu, softmax = rules.relu, rules.leaky_relu, rules.softmax
    log_softmax, logsumexp = rules.log_softmax, rules.logsumexp
    sum, mean, max, min, prod = rules.sum, rules.mean, rules.max, rules.min, derived.prod
    var, std, norm, cumsum = rules.var, rules.std, derived.norm, rules.cumsum
    cumprod, matmul, matmul_t = derived.cumprod, rules.matmul, rules.matmul_t
    dot, outer, tensordot = derived.dot, derived.outer, derived.tensordot
    ravel, swapaxes, moveaxis = derived.ravel, rules.swapaxes, rules.moveaxis
    expand_dims, squeeze, broadcast_to = rules.expand_dims, rules.squeeze, rules.broadcast_to
    flip, roll, pad, split, clip = rules.flip, rules.roll, derived.pad, derived.split, derived.clip
    astype, take, scatter, __getitem__ = rules.astype, derived.take, derived.scatter, derived.index

    def reshape(self, *shape: Any) -> Tensor:
        """Give the elements another shape: ``x.reshape(2, 3)``, ``x.reshape((2, -1))``."""
        return rules.reshape(self, shape=shape[0] if len(shape) == 1 else shape)  # type: ignore[no-any-return]

    def transpose(self, *axes: Any) -> Tensor:
        """Put the axes in another order (none given: reversed)."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return rules.transpose(self, axes=order)  # type: ignore[no-any-return]

    # NDArrayOperatorsMixin makes the other operators, and the comparisons, of NumPy's functions.
    # There is no way to write to a Tensor, so that x += y means x = x + y.
    __add__ = __radd__ = __iadd__ = rules.add
    __mul__ = __rmul__ = __imul__ = rules.multiply
    __sub__ = __isub__ = rules.subtract
    __truediv__ = __itruediv__ = rules.divide
    __matmul__ = __imatmul__ = rules.matmul
    __neg__ = rules.negative

    def __pow__(self, y: Any) -> Tensor:
        return rules.square(self) if type(y) in (int, float) and y == 2 else rules.power(self, y)  # type: ignore[no-any-return]

    __ipow__ = __pow__

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError("a Tensor cannot be assigned to: use where(mask, new, x), or edit() for "
                        "the values of a leaf")

    # ── conversions ───────────────────────────────────────────────────────────────────────────────

    __hash__ = object.__hash__  # by identity, as for any object

    def argmax(self, axis: int | None = None) -> Any:
        """Say where the largest element stands, as `numpy.argmax`."""
        return self._data.argmax(axis)

    def argmin(self, axis: int | None = None) -> Any:
        """Say where the smallest element stands, as `numpy.argmin`."""
        return self._data.argmin(axis)

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"the truth of {self.size} values is ambiguous: use (x > 0).any() or "
                             "(x > 0).all()")
        return bool(self._data.item())

    def __float__(self) -> float:
        return float(self._data.item())

    def __int__(self) -> int:
        return int(self._data.item())

    def __format__(self, spec: str) -> str:
        return format(self._data.item() if spec and self.size == 1 else str(self), spec)

    def __repr__(self) -> str:
        text = np.array2string(self._data, separator=", ", prefix="Tensor(")
        kind = "" if self.dtype == np.float64 else f", dtype={self.dtype}"
        return f"Tensor({text}{kind}{', requires_grad=True' if self.requires_grad else ''})"

    def __reduce__(self) -> Any:
        if self._node is not None and not isinstance(self._node, Leaf):
            raise TypeError("a computed Tensor cannot be copied or pickled: detach() it first")
        return type(self), (self._data, self.requires_grad)

    # ── NumPy's protocols ─────────────────────────────────────────────────────────────────────────

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self._node is not None:
            raise TypeError("NumPy wants the plain array of a Tensor under differentiation, which "
                            "would lose its gradient. Use a function that has a rule, or say so: "
                            ".detach() (a constant) or .numpy() (a copy).")
        array = self._data.astype(dtype or self.dtype, copy=bool(copy))
        return array if copy else array.view()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if keywords:
            raise TypeError(f"{name} with a Tensor takes no {', '.join(keywords)}=: results are "
                            "new Tensors, in NumPy's own type for them")
        return self._dispatch(ufunc if method == "__call__" else None, name, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np")
        return self._dispatch(function, name, args, keywords)

    def _dispatch(self, function: Any, name: str, args: Any, keywords: Any) -> Any:
        if function in rules.NUMPY:
            return rules.NUMPY[function](*args, **keywords)
        if function in CONSTANT:
            return function(*as_plain(list(args)), **{k: as_plain(v) for k, v in keywords.items()})
        raise TypeError(f"{name} has no derivative rule. Write it with operations that have one, "
                        "declare a rule(), or drop the gradient with .detach() or .numpy().")


# NumPy's functions that have no slope: of Tensors they give plain arrays.
CONSTANT = {
    np.sign, np.floor, np.ceil, np.trunc, np.rint, np.round, np.isfinite, np.isnan, np.isinf,
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.argmax, np.argmin, np.argsort, np.all, np.any, np.count_nonzero, np.nonzero, np.searchsorted,
    np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.result_type,
    np.allclose, np.isclose, np.array_equal, np.array2string, np.array_repr, np.array_str}


def as_plain(value: Any) -> Any:
    """Give the array of a Tensor, in lists and tuples too; anything else as it is."""
    if isinstance(value, Traced):
        return value._data
    if isinstance(value, list | tuple):
        return type(value)([as_plain(v) for v in value])
    return value
