"""RowGrad: the gradient of looking rows up; and how gradients are added up.

Looking up 3 rows of a table of 100,000 gives a gradient that is 0 in 99,997 rows. `RowGrad` holds
the rows that were touched and which they are; optimisers apply just those. Ask for the whole array
and you get it: `np.asarray(grad)`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

Array = NDArray[Any]


def add_rows(table: Array, ids: Array, rows: Array) -> None:
    """Do ``table[ids] += rows`` in place, rows of equal ids *summed* (plain ``+=`` keeps the last).

    `table` (n, …) must be contiguous; `ids` (k,) holds integers in [0, n); `rows` has shape (k, …).

    >>> table = np.zeros((3, 2))
    >>> add_rows(table, np.array([2, 0, 2]), np.ones((3, 2)))
    >>> table
    array([[1., 1.],
           [0., 0.],
           [2., 2.]])
    """
    width = table[:1].size  # np.add.at is several times faster on flat arrays than on rows
    flat = (ids.astype(np.intp)[:, None] * width + np.arange(width)).ravel()
    np.add.at(table.reshape(-1), flat, rows.reshape(-1))


def is_owned(total: Any) -> bool:
    """Tell whether `total` is a whole array that nothing else holds, and so may be added to.

    The walk marks a cotangent read-only when it hands it to a second owner.
    """
    return isinstance(total, np.ndarray) and total.base is None and total.flags.writeable


def plus(total: Any, share: Any) -> Any:
    """Add two gradients, in place where one is owned: `share` only if `total` is an array, too.

    A sum of 0-d arrays stays an array.
    """
    if not isinstance(total, np.ndarray):
        return total + share
    return np.asarray(np.add(total, share, out=next(filter(is_owned, (total, share)), None)))


def unbroadcast(share: Any, shape: tuple[int, ...]) -> Any:
    """Sum over what broadcasting repeated: one value was used k times, so k shares add up (E7).

    None if `shape` does not broadcast to `share.shape`.

    >>> unbroadcast(np.ones((4, 3)), (1, 3))
    array([[4., 4., 4.]])
    """
    padded = (1,) * (share.ndim - len(shape)) + shape
    if len(padded) != share.ndim or any(
            1 != side != had for side, had in zip(padded, share.shape, strict=True)):
        return None
    axes = tuple([k for k, side in enumerate(padded) if side == 1])
    return share.sum(axis=axes, keepdims=True).reshape(shape)


def is_finite(share: Any) -> bool:
    """Tell whether all entries are finite (fast; an overflow on the way counts as no)."""
    if type(share) is not np.ndarray:  # of a Tensor its array, of a RowGrad its rows
        share = getattr(share, "_data", getattr(share, "rows", share))
    return math.isfinite(abs(np.vdot(share, share)))


class RowGrad(NDArrayOperatorsMixin):
    """Gradient of a table of `shape` of which only the rows `ids` were looked up.

    `ids` (k,) may repeat: equal ids add up. `rows` (k, *shape[1:]) is what each look-up received.
    Arithmetic with anything but a number or another RowGrad gives the whole array, as `np.asarray`
    does.

    >>> grad = RowGrad(np.array([2, 0, 2]), np.ones((3, 2)), (4, 2))
    >>> ids, rows = grad.coalesce()
    >>> ids, rows[:, 0]
    (array([0, 2]), array([1., 2.]))
    >>> np.asarray(grad)[:, 0]
    array([1., 0., 2., 0.])
    """

    __slots__ = ("ids", "rows", "shape")

    def __init__(self, ids: Array, rows: Array, shape: tuple[int, ...]):
        self.ids, self.rows, self.shape = ids, rows, shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of one entry."""
        return self.rows.dtype

    def coalesce(self) -> tuple[Array, Array]:
        """The touched ids, ascending and each once, and the sum of what each received."""
        order = np.argsort(self.ids, kind="stable")
        ids = self.ids[order]
        first = np.flatnonzero(np.diff(ids, prepend=-1))
        return ids[first], np.add.reduceat(self.rows[order], first) if len(first) else self.rows

    def dense(self) -> Array:
        """The whole array, zeros where no row was looked up."""
        table = np.zeros(self.shape, self.dtype)
        add_rows(table, self.ids, self.rows)
        return table

    def astype(self, dtype: Any) -> RowGrad:
        """The same gradient in another floating type."""
        return RowGrad(self.ids, self.rows.astype(dtype), self.shape)

    def copy(self) -> RowGrad:
        """A RowGrad that shares no memory with this one."""
        return RowGrad(self.ids.copy(), self.rows.copy(), self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self.dense().astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs.get("out", (None,))[0], RowGrad):
            del kwargs["out"]  # grad /= 2 makes a new array, as all but += and *= do
        whole = [i.dense() if isinstance(i, RowGrad) else i for i in inputs]
        return getattr(ufunc, method)(*whole, **kwargs)

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, RowGrad):
            return super().__add__(other)
        ids = np.concatenate([self.ids, other.ids])
        return RowGrad(ids, np.concatenate([self.rows, other.rows]), self.shape)

    def __mul__(self, factor: Any) -> Any:
        if np.ndim(factor):
            return super().__mul__(factor)
        return RowGrad(self.ids, self.rows * factor, self.shape)

    __iadd__, __rmul__, __imul__ = __add__, __mul__, __mul__

    def __repr__(self) -> str:
        return f"RowGrad({len(self.ids)} row(s) looked up, of shape {self.shape})"
