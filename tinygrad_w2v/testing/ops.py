"""THE OTHER TABLE: what every operation of this package promises, to be checked by `check_op`.

A row names an operation and says: NumPy's word on its values (its namesake, unless said), the calls
to try, where its operands may lie, an analytic twin for the complex step where the operation itself
is not analytic, and the kinks at which a convex operation must give a sub-gradient.

>>> from tinygrad_w2v.testing import check_op
>>> [check_op(row) > 0 for row in OPS if row.op is tg.tanh]
[True]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_w2v as tg

from ..sparse import Array
from .invariants import POSITIVE, REAL, UNIT, Call, Interval, OpSpec

Function = Callable[..., Any]


def c(*shapes: tuple[int, ...], **keywords: Any) -> Call:
    """One call: ``c((2, 3), axis=0)``, ``c((2, 3), (3,))``."""
    return Call(shapes, keywords)


def row(name: str, calls: Sequence[Call], domain: Interval | tuple[Interval, ...] = REAL,
        value: Function | None = None, note: str = "", **more: Any) -> OpSpec:
    """One row; `note` tells rows of one operation apart. Spellings are found by name."""
    method, numpy = getattr(tg.Tensor, name, None), getattr(np, name, None)
    more.setdefault("others", tuple([f for f in (method, numpy) if f]))
    domain = (domain,) if isinstance(domain, Interval) else domain
    return OpSpec(f"{name} {note}".strip(), getattr(tg, name), value or getattr(np, name),
                  tuple(calls), domain, **more)


# ── calls worth trying: sides all different, of length 1 and 0, no side at all ────────────────────

UNARY = [c(()), c((3,)), c((2, 3)), c((4, 1, 2)), c((1,)), c((0,)), c((2, 0, 3))]
BINARY = [c((), ()), c((3,), ()), c((), (2, 3)), c((2, 3), (3,)), c((2, 1), (1, 3)), c((3,), (3,)),
          c((4, 1, 2), (3, 1)), c((2, 3), (2, 3)), c((0,), (1,)), c((2, 1), (0,))]
TERNARY = [c((2, 3), (3,), ()), c((3,), (2, 1), (2, 3)), c((), (4,), (1,)), c((3,), (3,), (3,))]
LINES = [c((3,)), c((2, 3)), c((2, 3), axis=-1), c((2, 3), keepdims=True), c((0, 3), axis=1),
         c((2, 3), axis=1, keepdims=True), c((4, 3, 2), axis=(0, 2)),
         c((4, 3, 2), axis=(-1, 1), keepdims=True)]
POINTS = [c(()), c((2, 3), axis=()), c((1, 3), axis=0), c((2, 3), axis=0)]  # lines of one or two
REDUCE = LINES + POINTS
EMPTY = [c((0,)), c((2, 0), axis=1), c((0, 3), axis=0, keepdims=True)]
SPREAD = [c((4,), ddof=1), c((3, 4), axis=1, ddof=1), c((2, 3, 4), axis=(2, 0), ddof=1)]
ALONG = [c((3,)), c((2, 3)), c((4, 3), axis=0), c((2, 3, 2), axis=-2), c((1, 3), axis=0),
         c((0, 3), axis=1)]
LAST = [c((5,)), c((2, 3)), c((4, 3), axis=0), c((2, 3, 2), axis=1), c((3, 1)), c((0, 3))]
MATMUL = [c((3,), (3,)), c((2, 3), (3,)), c((3,), (3, 4)), c((2, 3), (3, 4)), c((3, 3), (3, 3)),
          c((1, 1), (1, 1)), c((2, 0), (0, 3)), c((0, 2), (2, 3))]
STACKS = [c((5, 2, 3), (3, 4)), c((2, 3), (5, 3, 4)), c((5, 1, 2, 3), (4, 3, 2)),
          c((5, 2, 3), (3,)), c((3,), (5, 3, 2)), c((1, 2, 3), (4, 3, 2)), c((0, 2, 3), (3, 2))]

AT = np.array
KEYS = [
    c((4,), key=1), c((4,), key=-1), c((4, 3), key=2), c((5,), key=slice(None, None, -2)),
    c((4, 3), key=(slice(1, 3), 0)), c((4, 3), key=(..., None, slice(None, None, 2))),
    c((), key=()), c((4,), key=AT([], int)), c((4, 3), key=(slice(2, 2), slice(None))),
    c((4,), key=AT([2, 0, 2, 2])), c((4, 3), key=AT([[1, -1], [1, 0]])), c((3,), key=[0, 0]),
    c((4, 3), key=(AT([0, 3, 0]), AT([1, 2, 1]))), c((4, 3), key=(slice(None), AT([2, 2, 0]))),
    c((4, 3, 2), key=(AT([1, 1]), slice(None, None, -1), 0)),
    c((4, 3), key=(AT([[0], [2]]), [1, 1])),
    c((4,), key=AT([True, False, True, False])), c((2, 3), key=AT([[True, False, True]] * 2)),
    c((4, 3), key=(AT([True, False, True, True]), AT([0, 0, 2])))]
TAKE = [
    c((4,), ids=AT([2, 0, 2])), c((4, 3), ids=AT([1, 1, -1])), c((4, 3), ids=AT([[0, 3], [3, 3]])),
    c((4, 3), ids=[2, 2, 0], axis=1), c((2, 3, 4), ids=AT([[1, 1], [0, 2]]), axis=-2),
    c((4, 3), ids=2), c((2, 3), ids=AT([5, 5, 0]), axis=None), c((4, 3), ids=AT([], int))]
SCATTER = [
    c((3,), ids=AT([2, 0, 2]), shape=4), c((3, 2), ids=AT([1, 1, -1]), shape=(4, 2)),
    c((2, 2, 3), ids=AT([[0, 3], [3, 3]]), shape=4), c((2, 3), ids=[1, 1, 0], shape=(2, 4), axis=1),
    c((0, 3), ids=AT([], int), shape=(2, 3)), c((2, 3, 2), ids=[1, 1], shape=(2, 3, 4), axis=2)]
TRANSPOSED = [c((2, 3), (4, 3)), c((1, 3), (1, 3)), c((2, 3), (0, 3)), c((5, 2, 3), (5, 4, 3)),
              c((5, 2, 3), (4, 3)), c((2, 3), (5, 4, 3)), c((5, 1, 2, 3), (3, 4, 3))]
EINSUM = [
    c((2, 3), (3, 4), subscripts="ij,jk->ik"), c((2, 3), subscripts="ij->ji"),
    c((3, 3), subscripts="ii->i"), c((3, 3), subscripts="ii"), c((2, 3), subscripts="ij->j"),
    c((2, 3), subscripts="ij->"), c((3,), (3,), subscripts="i,i"),
    c((2,), (3,), subscripts="i,j->ij"),
    c((4, 2, 3), (4, 3, 2), subscripts="bij,bjk->bik"), c((2, 3), (3,), subscripts="...i,i->..."),
    c((4, 2, 3), (3, 5), subscripts="...ij,...jk"), c((2, 3), (4,), subscripts="ij,k->jk"),
    c((2, 3), (3, 4), (4, 2), subscripts="ij,jk,kl"), c((), (3,), subscripts=",i"),
    c((2, 1), (2, 3), subscripts="ij,ij->ij"), c((3, 3, 2), (3,), subscripts="iij,i->j"),
    c((3, 2), subscripts="ba"), c((2, 3), (2, 3), subscripts="ij,ij->i"),
    c((0, 3), (3, 2), subscripts="ij,jk->ik"), c((3,), (1,), subscripts="i,i"),
    c((2, 2), subscripts="aa"), c((2, 2, 2), (2,), subscripts="aaa,b->ab")]
TENSORDOT = [
    c((2, 3, 4), (3, 4, 5), axes=2), c((2, 3), (3, 4), axes=1), c((2,), (3,), axes=0),
    c((2, 3, 4), (4, 2, 5), axes=([0, 2], [1, 0])), c((3, 2), (3, 4), axes=(0, 0)),
    c((2, 3), (3, 2), axes=([-1, 0], [0, -1])), c((0, 2), (2, 3), axes=1)]
PAD = [
    c((3,), pad_width=1), c((2, 3), pad_width=((1, 2), (0, 3))), c((2, 3), pad_width=(2, 1)),
    c((3,), pad_width=(2, 1), mode="edge"), c((4, 3), pad_width=2, mode="reflect"),
    c((2, 3), pad_width=((0, 2), (3, 1)), mode="symmetric"), c((3,), pad_width=4, mode="wrap"),
    c((2,), pad_width=1, constant_values=2.5), c((0, 2), pad_width=1)]


# ── twins: the same values in NumPy where it has no namesake, or that are analytic ────────────────


def analytic_abs(x: Any) -> Any:
    """|x| without the modulus of a complex number."""
    return np.where(x > 0, x, -x)


def plain_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The 1-norm or the ∞-norm."""
    return (np.sum if ord == 1 else np.max)(analytic_abs(x), axis=axis, keepdims=keepdims)


def plain_logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The formula as in E3."""
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def plain_leaky_relu(x: Any, slope: float = 0.01) -> Any:
    """Slope 1 to the right of 0, `slope` to the left."""
    return np.where(x > 0, x, slope * x)


def plain_softmax(x: Any, axis: int = -1) -> Any:
    """The formula as in E2."""
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def plain_scatter(x: Array, ids: Any, shape: Any, axis: int = 0) -> Array:
    """One slice after the other."""
    ids = np.asarray(ids)
    whole = (shape, *x.shape[ids.ndim:]) if isinstance(shape, int) else shape
    out = np.zeros(whole, x.dtype)
    for place in np.ndindex(ids.shape):
        out[(slice(None),) * axis + (ids[place],)] += x[(slice(None),) * axis + place]
    return out


def lookup(x: Any, key: Any) -> Any:
    """Look up by brackets."""
    return x[key]


def joined(op: Function, x: Any, cut: Any, axis: int = 0) -> Any:
    """Split, weigh the parts, and join them: so that one result shows what became of each part."""
    return np.concatenate([part * (k + 2) for k, part in enumerate(op(x, cut, axis))], axis)


def in_list(op: Function, *operands: Any, **keywords: Any) -> Any:
    """Call with the operands in a list."""
    return op(list(operands), **keywords)


CLIPPED = (REAL, Interval(-2, 0), Interval(0, 2))
WHERE = [c((2, 3), (3,), condition=AT([True, False, True])),
         c((), (3,), condition=AT([[True], [False]])),
         c((3,), (3,), condition=AT([False, True, True])), c((2, 1), (), condition=False),
         c((0,), (1,), condition=AT([], bool))]
JOIN = [c((2, 3), (4, 3)), c((2, 3), (2, 1), (2, 2), axis=1), c((2, 3), (3,), axis=None), c((3,),),
        c((2, 3), (2, 3), axis=-2), c((0, 3), (2, 3)), c((3,), (3,))]
STACK = [c((2, 3), (2, 3)), c((2, 3), (2, 3), axis=1), c((3,), (3,), (3,), axis=-1), c((), ()),
         c((0,), (0,))]
SPLIT = [c((6,), cut=3), c((5, 2), cut=[1, 3]), c((2, 6), cut=2, axis=-1), c((3,), cut=[0, 3])]
NORM = [*LINES, c((3,), ord=2), c((2, 3), ord=2, axis=1)]
KINKED = [c((3,), ord=1), c((3,), ord=np.inf), c((2, 3), ord=1, axis=0, keepdims=True),
          c((2, 3), ord=np.inf, axis=-1)]
POWERS = [c((3,), y=2), c((2, 3), y=3), c((3,), y=-2.0), c((3,), y=0),
          c((2, 1), y=AT([1.0, 2, -1]))]
CLIPS = [c((2, 3), a_min=-1, a_max=1), c((7,), a_min=None, a_max=0), c((7,), a_min=0.5, a_max=None)]
MOVE = [c((2, 3, 4), source=0, destination=-1), c((2, 3, 4), source=(0, 1), destination=(2, 0))]
TRANSPOSE = [c((2, 3)), c(()), c((2, 3), axes=(1, 0)), c((2, 3, 4), axes=(1, 2, 0)),
             c((2, 3, 4), axes=(-1, 0, 1)), c((2, 0, 3), axes=(2, 0, 1))]
RESHAPE = [c((2, 3), shape=(3, 2)), c((2, 3), shape=-1), c((1,), shape=()), c((), shape=(1, 1)),
           c((4, 3), shape=(2, -1, 3)), c((0, 3), shape=(2, 0))]
BROADCAST = [c((3,), shape=(2, 3)), c((2, 1), shape=(4, 2, 3)), c((), shape=(3,)),
             c((1,), shape=(0,)), c((2, 3), shape=(2, 3))]
ROLL = [c((5,), shift=2), c((2, 3), shift=-1), c((2, 3), shift=4, axis=1), c((0,), shift=1),
        c((4, 3), shift=(1, -1), axis=(0, 1))]

# ── the table ─────────────────────────────────────────────────────────────────────────────────────

OPS: tuple[OpSpec, ...] = (
    row("add", BINARY),
    row("subtract", BINARY),
    row("multiply", BINARY),
    row("divide", BINARY),
    row("power", BINARY, (POSITIVE, REAL)),
    row("power", POWERS, note="to whole exponents", arrange=lambda op, x, y: op(x, y)),
    row("negative", UNARY),
    row("positive", UNARY),
    row("abs", UNARY, analytic=analytic_abs, kinks=(0,), convex=1),
    row("sqrt", UNARY, POSITIVE),
    row("square", UNARY),
    row("reciprocal", UNARY),
    row("exp", UNARY),
    row("expm1", UNARY),
    row("log", UNARY, POSITIVE),
    row("log1p", UNARY, POSITIVE),
    row("log2", UNARY, POSITIVE),
    row("log10", UNARY, POSITIVE),
    row("sin", UNARY),
    row("cos", UNARY),
    row("tan", UNARY, UNIT),
    row("arcsin", UNARY, UNIT),
    row("arccos", UNARY, UNIT),
    row("arctan", UNARY),
    row("sinh", UNARY),
    row("cosh", UNARY),
    row("tanh", UNARY),
    row("logaddexp", BINARY, analytic=lambda x, y: np.log(np.exp(x) + np.exp(y))),
    row("maximum", BINARY, kinks=(0, 1), convex=1),
    row("minimum", BINARY, kinks=(0, 1), convex=-1),
    row("where", WHERE, arrange=lambda op, x, y, condition: op(condition, x, y)),
    row("clip", TERNARY, CLIPPED),
    row("clip", CLIPS, note="between numbers"),

    row("sum", REDUCE + EMPTY),
    row("mean", REDUCE),
    row("max", REDUCE, kinks=(0, 1), convex=1),
    row("min", REDUCE, kinks=(0, 1), convex=-1),
    row("prod", REDUCE + EMPTY),
    row("var", REDUCE + SPREAD),
    row("std", LINES + SPREAD),
    row("std", POINTS, note="of one or two numbers", kinks=(0,), convex=1, order=1),  # linear there
    row("norm", NORM, value=np.linalg.norm, kinks=(0,), convex=1,
        others=(tg.Tensor.norm, np.linalg.norm)),
    row("norm", [c(()), c((1, 3), axis=0)], value=np.linalg.norm, note="of one number", order=1,
        kinks=(0,), convex=1, others=(tg.Tensor.norm, np.linalg.norm)),
    row("norm", KINKED, value=np.linalg.norm, note="of order 1 and inf", analytic=plain_norm,
        kinks=(0,), convex=1, others=(tg.Tensor.norm, np.linalg.norm)),
    row("logsumexp", REDUCE, value=plain_logsumexp),
    row("cumsum", ALONG),
    row("cumprod", ALONG),

    row("matmul", MATMUL + STACKS),
    row("matmul_t", TRANSPOSED, value=lambda x, y: np.einsum("...id,...jd->...ij", x, y)),
    row("dot", [*MATMUL, c((), (3,)), c((2, 3), ()), c((5, 2, 3), (3,)), c((5, 2, 3), (4, 3, 2)),
                c((3,), (4, 3, 2))]),
    row("outer", [c((3,), (4,)), c((2, 3), (2,)), c((), (3,)), c((0,), (3,)), c((3,), (3,))]),
    row("einsum", EINSUM, others=(np.einsum,),
        arrange=lambda op, *xs, subscripts: op(subscripts, *xs)),
    row("tensordot", TENSORDOT),

    row("reshape", RESHAPE, arrange=lambda op, x, shape: op(x, shape)),
    row("ravel", UNARY),
    row("transpose", TRANSPOSE, arrange=lambda op, x, axes=None: op(x, axes)),
    row("swapaxes", [c((2, 3), axis1=0, axis2=1), c((2, 3, 4), axis1=-1, axis2=0)]),
    row("moveaxis", MOVE),
    row("expand_dims", [c((3,), axis=0), c((2, 3), axis=-1), c((2, 3), axis=(0, 2)),
                        c((), axis=0)]),
    row("squeeze", [c((1, 3, 1)), c((1, 3, 1), axis=0), c((1, 3, 1), axis=(0, -1)), c((1, 0))]),
    row("broadcast_to", BROADCAST),
    row("concatenate", JOIN, arrange=in_list),
    row("stack", STACK, arrange=in_list),
    row("split", SPLIT, arrange=joined),
    row("flip", [c((3,)), c((2, 3)), c((2, 3), axis=1), c((2, 3, 4), axis=(0, -1)),
                 c((0, 2), axis=0)]),
    row("roll", ROLL, arrange=lambda op, x, shift, axis=None: op(x, shift, axis)),
    row("pad", PAD),

    row("index", KEYS, value=lookup, others=(lookup,)),
    row("take", TAKE, arrange=lambda op, x, ids, axis=0: op(x, ids, axis)),
    row("scatter", SCATTER, value=plain_scatter),
    row("astype", [c((3,), dtype=np.float32), c((2, 3), dtype=np.float64), c((), dtype="float32")],
        value=lambda x, dtype: x.astype(dtype), analytic=lambda x, dtype: x,
        others=(tg.Tensor.astype,)),

    row("relu", UNARY, value=lambda x: np.where(x > 0, x, np.zeros_like(x)), kinks=(0,), convex=1),
    row("leaky_relu", UNARY, value=plain_leaky_relu),
    row("leaky_relu", [c((2, 3), slope=0.25), c((), slope=0.5)], value=plain_leaky_relu,
        note="with a slope", kinks=(0,), convex=1),
    row("sigmoid", UNARY, value=lambda x: 1 / (1 + np.exp(-x))),
    row("log_sigmoid", UNARY, value=lambda x: -np.log(1 + np.exp(-x))),
    row("softplus", UNARY, value=lambda x: np.log(1 + np.exp(x))),
    row("softmax", LAST, value=plain_softmax),
    row("log_softmax", LAST, value=lambda x, axis=-1: np.log(plain_softmax(x, axis))),
)
