"""What is checked: a function and its pullback, on plain arrays.

A check never asks where a gradient comes from. `Program` is a function of Tensors, whose pullback
is the walk; `Pair` is any function with a vjp that somebody wrote. Both are run in one way, so that
every claim about gradients is stated once.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..functional import vjp as pull_back
from ..graph import Leaf, walk
from ..sparse import Array, RowGrad
from ..tensor import Tensor, as_plain

Function = Callable[..., Any]
Pull = Callable[[Array], list[Any]]

RTOL = {"float64": 1e-12, "float32": 2e-5}


class GradientError(AssertionError):
    """A gradient is not what an oracle says it is, or no oracle can tell.

    `mistake` is the short name of the likely mistake ("" if none fits), `operand` and `element` say
    where, `rule` names the wrong rule and its source line, as far as they are known.
    """

    def __init__(self, text: str = "", *, mistake: str = "", operand: int | None = None,
                 element: tuple[int, ...] | None = None, rule: str = ""):
        super().__init__(text)
        self.mistake, self.operand, self.element, self.rule = mistake, operand, element, rule


class Run(NamedTuple):
    """One evaluation: the value, and two ways back.

    `pull` hands on the very array it is given; `backward` is the everyday way. Each gives what came
    for each operand, None for nothing.
    """

    out: Array
    pull: Pull
    backward: Pull


class Subject:
    """A function and its pullback; `template` holds constants, None for each operand."""

    name = "the gradient"

    def __init__(self, f: Function, template: Sequence[Any] | None = None):
        self.f, self.template = f, template

    def bind(self, operands: Sequence[Any]) -> list[Any]:
        """Put the operands between the constants."""
        if self.template is None:
            return list(operands)
        rest = iter(operands)
        return [next(rest) if constant is None else constant for constant in self.template]

    def value(self, *arrays: Array) -> Array:
        """The function on plain arrays of any type, unrecorded: what the oracles ask."""
        raise NotImplementedError

    def run(self, arrays: Sequence[Array]) -> Run:
        """Evaluate at `arrays`, in the memory they lie in."""
        raise NotImplementedError


def as_leaf(array: Array) -> Tensor:
    """Make a leaf on the memory of `array`, in its own layout; Tensor() would copy it."""
    return Tensor._of(array.view(), Leaf(array))


class Program(Subject):
    """A function of Tensors that gives a Tensor; its pullback is the walk."""

    name = "backward"

    def value(self, *arrays: Array) -> Array:
        """Run the program on constants, which may be complex or of long double."""
        operands = [Tensor._of(np.asarray(a).view(), None) for a in arrays]
        return np.asarray(as_plain(self.f(*self.bind(operands))))

    def run(self, arrays: Sequence[Array]) -> Run:
        """Run the program on leaves; GradientError if what it gives is no Tensor."""
        leaves = [as_leaf(a) for a in arrays]
        out = self.f(*self.bind(leaves))
        if not isinstance(out, Tensor):
            raise GradientError(
                f"the function gave {type(out).__name__}, not a Tensor: the graph is lost. Keep to "
                "operations on Tensors, without .numpy(), .data, .item() or float()",
                mistake="gradient lost")
        nodes: list[Any] = [leaf._node for leaf in leaves]

        def pull(u: Array) -> list[Any]:
            if out._node is None:
                return [None] * len(nodes)
            found: dict[Any, Any] = walk(out._node, u)
            return [found.get(node) for node in nodes]

        def backward(u: Array) -> list[Any]:
            for node in nodes:
                node.grad = None
            if out.requires_grad:
                out.backward(u)
            return [node.grad for node in nodes]

        return Run(out._data, pull, backward)


class Pair(Subject):
    """A function of arrays, and a vjp: ``vjp(g, *arrays)`` gives a gradient for each operand."""

    name = "vjp"

    def __init__(self, f: Function, vjp: Function, template: Sequence[Any] | None = None):
        super().__init__(f, template)
        self.vjp = vjp

    def value(self, *arrays: Array) -> Array:
        """Run the function."""
        return np.asarray(as_plain(self.f(*self.bind([np.asarray(a) for a in arrays]))))

    def run(self, arrays: Sequence[Array]) -> Run:
        """Run the function; the vjp is called with the same arrays."""
        given = self.bind(arrays)
        out = self.f(*given)

        def pull(u: Array) -> list[Any]:
            return self.sort(self.vjp(u, *given), arrays)

        return Run(np.asarray(as_plain(out)), pull, pull)

    def sort(self, found: Any, arrays: Sequence[Array]) -> list[Any]:
        """Tell which operand each gradient belongs to; GradientError if their number is wrong."""
        n = len(arrays)
        whole = n if self.template is None else len(self.template)
        several = isinstance(found, tuple) or (isinstance(found, list) and (
            len(found) in (n, whole) and all(hasattr(g, "shape") or g is None for g in found)))
        if not several:
            found = (found,)
        if len(found) == whole != n and self.template is not None:
            found = [g for g, constant in zip(found, self.template, strict=True)
                     if constant is None]
        if len(found) != n:
            raise GradientError(
                f"the vjp gave {len(found)} gradient(s) for {n} operand(s): return a tuple with "
                "one for each, None for an operand that has none", mistake="wrong count")
        return [as_plain(g) for g in found]


def check_types(subject: Subject, found: Sequence[Any], arrays: Sequence[Array]) -> None:
    """Each gradient is an array, with the shape and the dtype of its operand; or there is none."""
    for k, (g, a) in enumerate(zip(found, arrays, strict=True)):
        if g is None:
            continue
        if not isinstance(g, np.ndarray | np.generic | RowGrad) and not (
                type(g) is float and not a.ndim):
            raise GradientError(f"the gradient by operand {k} is of type {type(g).__name__}, not "
                                "an array: return np.asarray(…) of it", mistake="wrong type",
                                operand=k)
        shape, dtype = np.shape(g) if isinstance(g, float) else g.shape, np.dtype(
            getattr(g, "dtype", float))
        if shape != a.shape:
            raise GradientError(
                f"the gradient by operand {k} has shape {shape}, the operand {a.shape}: "
                f"{guess_shape(shape, a.shape)}",
                mistake=guess_shape(shape, a.shape).rstrip("?"), operand=k)
        if dtype != a.dtype and not (type(g) is float and not a.ndim):
            raise GradientError(f"the gradient by operand {k} is {dtype}, the operand is {a.dtype}",
                                mistake="wrong dtype", operand=k)


def guess_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Guess why a gradient has `shape`, and not the one that is wanted."""
    if shape == wanted[::-1]:
        return "transpose?"
    try:
        common = np.broadcast_shapes(shape, wanted)
    except ValueError:
        return "wrong shape"
    return {shape: "not un-broadcast?", wanted: "not broadcast back?"}.get(common, "wrong shape")


def dense(found: Sequence[Any], arrays: Sequence[Array]) -> list[Array]:
    """Give each gradient as an array, zeros where nothing came."""
    return [np.zeros(a.shape, a.dtype) if g is None else np.asarray(g)
            for g, a in zip(found, arrays, strict=True)]


def gradients(subject: Subject, arrays: Sequence[Array], u: Array) -> list[Array]:
    """Gradients of Σ u·f at `arrays`, by the everyday way."""
    return dense(subject.run(arrays).backward(u), arrays)


def pulled(subject: Subject, run: Run, arrays: Sequence[Array], weights: Array) -> list[Array]:
    """Gradients of the sums of outputs that the rows of `weights` weigh, of shape (c, size)."""
    rows = [np.empty((len(weights), a.size), a.dtype) for a in arrays]
    for c, w in enumerate(weights):
        found = run.pull(w.reshape(run.out.shape).astype(run.out.dtype))
        check_types(subject, found, arrays)
        for row, g in zip(rows, dense(found, arrays), strict=True):
            row[c] = g.reshape(-1)
    return rows


def slope_along(f: Function, u: Array, along: Sequence[Array],
                template: Sequence[Any] | None = None) -> Function:
    """The gradient of Σ u·f, made a function of one number again: its component along `along`.

    It takes what `f` takes; constants stay constants.
    """
    bind = Subject(f, template).bind
    places = [i for i, c in enumerate(template or along) if template is None or c is None]

    def slope(*xs: Any) -> Tensor:
        operands = [xs[i] if isinstance(xs[i], Tensor) else Tensor(xs[i]) for i in places]
        _, pull = pull_back(lambda *ys: f(*bind(ys)), *operands)
        parts = [(g * v).sum() for g, v in zip(pull(u), along, strict=True)]
        total: Tensor = functools.reduce(operator.add, parts)
        return total

    return slope
