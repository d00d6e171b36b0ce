"""The table of operations: each with its twin, and how its operands are drawn.

A family of operations has a function that draws operands and keywords for one of its members, or
gives None: nothing that suits was found, and another operation is tried.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

import tinygrad_w2v as tg

from ...sparse import Array
from . import twins
from .drawer import SIGNS, STEP, Drawer, Shape, broadcast
from .program import OPERATIONS, Draw, Drawn, Function, Operation, Program, Step, constant_tensor
from .twins import as_lines

MARGIN = 1e-3      # how near a kink or a tie a value may come


def unary(safe: Function | None = None) -> Draw:
    """Operations of one operand, all of whose elements `safe` must approve of."""

    def draw(d: Drawer) -> Drawn:
        k = d.pick()
        return ((k,), {}) if safe is None or np.all(safe(d.real(k))) else None

    return draw


def binary(safe: Function | None = None) -> Draw:
    """Operations of two operands that broadcast; `safe` sees both."""

    def draw(d: Drawer) -> Drawn:
        j = d.pick()
        pair = (j, d.partner(j))
        pair = pair if d.chance(0.5) else pair[::-1]
        safe_here = safe is None or np.all(safe(d.real(pair[0]), d.real(pair[1])))
        return (pair, {}) if safe_here else None

    return draw


def reduction(safe: Function | None = None, ddof: bool = False) -> Draw:
    """Operations over axes; `safe` sees x and the axis. Half the defaults are left out."""

    def draw(d: Drawer) -> Drawn:
        k = d.pick()
        axis = d.axis(d.points[k].ndim)
        keywords = {"axis": axis} if axis is not None or d.chance(0.3) else {}
        if d.chance(0.4):
            keywords["keepdims"] = d.chance(0.8)
        if ddof and d.chance(0.5):
            keywords["ddof"] = 1
        return ((k,), keywords) if safe is None or safe(d.real(k), axis) else None

    return draw


def along(default: Any) -> Draw:
    """Operations along one axis; `default` is what they take when none is given."""

    def draw(d: Drawer) -> Drawn:
        k = d.pick()
        ndim = d.points[k].ndim
        if default is not None and not ndim:
            return None
        if not ndim or d.chance(0.3):
            return (k,), {}
        return (k,), {"axis": d.dice.randrange(-ndim, ndim)}

    return draw


def off_zero(x: Array) -> Any:
    """Tell where x is not near 0."""
    return np.abs(x) > MARGIN


def apart(x: Array, y: Array) -> Any:
    """Tell where x is not near y."""
    return np.abs(x - y) > MARGIN


def untied(x: Array, axis: Any) -> bool:
    """Tell whether the largest is larger than the second by a margin, in every line."""
    two = np.sort(as_lines(x, axis))[..., -2:]
    return two.shape[-1] < 2 or bool(np.all(two[..., 1] - two[..., 0] > MARGIN))


def spread_out(x: Array, axis: Any) -> bool:
    """Tell whether no line is of nearly equal values."""
    return as_lines(x, axis).shape[-1] > 1 and bool(np.all(twins.std(x, axis) > 0.2))


def _draw_power(d: Drawer) -> Drawn:
    k, exponent = d.pick(), d.dice.choice((2, 3, 2.0, 1, 0, 0.5, -1, -2.0, 1.5))
    safe = exponent in (0, 1, 2, 3) or np.all(
        (d.real(k) if exponent % 1 else np.abs(d.real(k))) > 0.25)
    return ((k,), {"exponent": exponent}) if safe else None


def _draw_clip(d: Drawer) -> Drawn:
    k = d.pick()
    low, high = sorted([round(d.dice.uniform(-2, 2), 2), round(d.dice.uniform(-2, 2), 2)])
    keywords = {name: v for name, v in (("a_min", low), ("a_max", high)) if d.chance(0.8)}
    safe = all(np.all(apart(d.real(k), np.asarray(v))) for v in keywords.values())
    return ((k,), keywords) if safe else None


def _draw_clip_between(d: Drawer) -> Drawn:
    x, low = d.pick(), d.pick()
    high = d.partner(low)
    if np.all(d.real(low) > d.real(high)):
        low, high = high, low
    fits = broadcast(d.sides(x), broadcast(d.sides(low), d.sides(high)) or ()) is not None
    safe = fits and np.all(d.real(low) + MARGIN < d.real(high)) and all(
        np.all(apart(d.real(x), d.real(bound))) for bound in (low, high))
    return ((x, low, high), {}) if safe else None


def _draw_where(d: Drawer) -> Drawn:
    j = d.pick()
    k = d.partner(j)
    shape = broadcast(d.sides(j), d.sides(k)) or ()
    kept = shape[d.dice.randint(0, len(shape)):]
    condition = np.array([d.chance(0.5) for _ in range(math.prod(kept))]).reshape(kept)
    return (j, k), {"condition": condition}


def _draw_where_positive(d: Drawer) -> Drawn:
    j = d.pick()
    pair = (j, d.partner(j))
    shape = broadcast(d.sides(pair[0]), d.sides(pair[1])) or ()
    i = d.search(lambda other: broadcast(shape, other) == shape)
    safe = i is not None and np.all(off_zero(d.real(i)))
    return ((i, *pair), {}) if i is not None and safe else None


def _draw_norm(d: Drawer) -> Drawn:
    k = d.pick()
    x, ndim = d.real(k), d.points[k].ndim
    order = d.dice.choice((None, None, 2, 1, np.inf))
    single = ndim > 0 and (order is not None or d.chance(0.5))
    axis = d.dice.randrange(-ndim, ndim) if single else None
    if order is not None and not ndim:
        return None
    keywords = {name: v for name, v in (("ord", order), ("axis", axis)) if v is not None}
    if d.chance(0.3):
        keywords["keepdims"] = True
    if order in (1, np.inf):
        safe = np.all(off_zero(x)) and (order == 1 or untied(np.abs(x), axis))
    else:
        safe = np.all(twins.norm(x, axis=axis) > 0.2)
    return ((k,), keywords) if safe else None


def _draw_matmul(d: Drawer) -> Drawn:
    j = d.pick()
    shape = d.sides(j)
    if not shape:
        return None
    inner = shape[-1]
    k = d.search(lambda other: (
        len(other) > 0 and other[max(len(other) - 2, 0)] == inner
        and broadcast(shape[:-2], other[:-2]) is not None))
    if k is None or d.chance(0.2):
        k = d.constant(d.numbers((inner, *d.dice.choice(((), (2,), (3,), (1,))))))
    return (j, k), {}


def _draw_matmul_t(d: Drawer) -> Drawn:
    j = d.search(lambda shape: len(shape) > 1)
    if j is None:
        return None
    shape = d.sides(j)
    k = j if d.chance(0.2) else d.search(lambda other: (
        len(other) > 1 and other[-1] == shape[-1]
        and broadcast(shape[:-2], other[:-2]) is not None))
    k = d.constant(d.numbers((d.dice.randint(1, 3), shape[-1]))) if k is None else k
    return ((j, k) if d.chance(0.5) else (k, j)), {}


def _draw_dot(d: Drawer) -> Drawn:
    number = d.search(lambda shape: not shape) if d.chance(0.3) else None
    return _draw_matmul(d) if number is None else ((number, d.pick()), {})


def _draw_einsum(d: Drawer) -> Drawn:
    """Any subscripts: letters are shared where sides agree (or one is 1), repeated, summed away."""
    operands = tuple([d.pick() for _ in range(d.dice.choice((1, 2, 2, 2, 3)))])
    sides, terms = dict[str, int](), list[str]()
    for k in operands:
        term = ""
        for side in d.sides(k):
            known = [c for c, s in sides.items() if s == side or (1 in (s, side) and c not in term)]
            if known and d.chance(0.7):
                letter = d.dice.choice(known)
            else:
                letter = "ijklmnopqrstuvw"[len(sides)]
            sides[letter] = max(side, sides.get(letter, 1))
            term += letter
        terms.append(term)
    output = "".join(d.dice.sample(sorted(sides), d.dice.randint(0, min(3, len(sides)))))
    if any(len(set(term)) < len(term) and any(  # a diagonal has one length
            sides[c] != s for c, s in zip(term, d.sides(k), strict=True))
            for term, k in zip(terms, operands, strict=True)):
        return None
    first = terms[0][:1]
    if first and "".join(terms).count(first) == 1 and d.chance(0.2):
        terms[0], output = "..." + terms[0][1:], "..." + output.replace(first, "")
    arrow = "" if d.chance(0.15) else "->" + output
    return operands, {"subscripts": ",".join(terms) + arrow}


def _draw_tensordot(d: Drawer) -> Drawn:
    j, k = d.pick(), d.pick()
    left, right = d.sides(j), d.sides(k)
    n = d.dice.randint(0, 2)
    if n <= min(len(left), len(right)) and left[len(left) - n:] == right[:n]:
        return (j, k), {"axes": n}
    pairs = [(a, b) for a, s in enumerate(left) for b, t in enumerate(right) if s == t]
    if not pairs:
        return None
    first = d.dice.choice(pairs)
    others = [(a, b) for a, b in pairs if a != first[0] and b != first[1]]
    chosen = [first] + d.dice.sample(others, min(len(others), d.dice.randint(0, 1)))
    return (j, k), {"axes": ([a for a, _ in chosen], [b - len(right) for _, b in chosen])}


def _draw_reshape(d: Drawer) -> Drawn:
    k = d.pick()
    rest, shape = d.points[k].size, list[int]()
    for _ in range(d.dice.randint(0, 2)):
        side = d.dice.choice([s for s in (1, 2, 3, 4) if rest % s == 0])
        shape.append(side)
        rest //= side
    if rest > 1 or d.chance(0.3):
        shape.insert(d.dice.randint(0, len(shape)), -1 if d.chance(0.5) else rest)
    return (k,), {"shape": tuple(shape)}


def _draw_transpose(d: Drawer) -> Drawn:
    k = d.pick()
    n = d.points[k].ndim
    if d.chance(0.3):
        return (k,), {}
    return (k,), {"axes": tuple([a - n * d.chance(0.3) for a in d.dice.sample(range(n), n)])}


def _draw_swapaxes(d: Drawer) -> Drawn:
    k = d.search(lambda shape: len(shape) > 1)
    if k is None:
        return None
    n = d.points[k].ndim
    return (k,), {"axis1": d.dice.randrange(-n, n), "axis2": d.dice.randrange(-n, n)}


def _draw_moveaxis(d: Drawer) -> Drawn:
    k = d.search(lambda shape: len(shape) > 1)
    if k is None:
        return None
    n = d.points[k].ndim
    if d.chance(0.5):
        return (k,), {"source": d.dice.randrange(-n, n), "destination": d.dice.randrange(-n, n)}
    return (k,), {"source": tuple(d.dice.sample(range(n), 2)),
                  "destination": tuple(d.dice.sample(range(n), 2))}


def _draw_expand_dims(d: Drawer) -> Drawn:
    k = d.search(lambda shape: len(shape) < 3)
    if k is None:
        return None
    n = d.points[k].ndim
    if d.chance(0.7) or n > 1:
        return (k,), {"axis": d.dice.randrange(-n - 1, n + 1)}
    return (k,), {"axis": tuple(d.dice.sample(range(n + 2), 2))}


def _draw_squeeze(d: Drawer) -> Drawn:
    k = d.search(lambda shape: 1 in shape)
    if k is None:
        return None
    ones = [a for a, side in enumerate(d.sides(k)) if side == 1]
    return (k,), {} if d.chance(0.4) else {"axis": d.dice.choice([ones[0], tuple(ones)])}


def _draw_broadcast_to(d: Drawer) -> Drawn:
    k = d.pick()
    wide = [d.dice.choice((1, 2, 3)) if side == 1 else side for side in d.sides(k)]
    lead = [d.dice.choice((1, 2, 3))] if d.chance(0.6) and len(wide) < 3 else []
    return (k,), {"shape": (*lead, *wide)}


def _draw_flip(d: Drawer) -> Drawn:
    k = d.pick()
    axis = d.axis(d.points[k].ndim)
    return (k,), {} if axis is None else {"axis": axis}


def _draw_roll(d: Drawer) -> Drawn:
    k = d.pick()
    n = d.points[k].ndim
    if d.chance(0.3) or not n:
        return (k,), {"shift": d.dice.randint(-3, 3)}
    if d.chance(0.6):
        return (k,), {"shift": d.dice.randint(-3, 3), "axis": d.dice.randrange(-n, n)}
    axes = tuple(d.dice.sample(range(n), n))
    return (k,), {"shift": tuple([d.dice.randint(-2, 2) for _ in axes]), "axis": axes}


def _draw_pad(d: Drawer) -> Drawn:
    k = d.pick()
    if not d.sides(k):
        return None
    widths = tuple([(d.dice.randint(0, 1), d.dice.randint(0, 2)) for _ in d.sides(k)])
    mode = d.dice.choice(("constant", "constant", "edge", "reflect", "symmetric", "wrap"))
    if mode != "constant":
        return (k,), {"pad_width": widths, "mode": mode}
    return (k,), {"pad_width": widths, "constant_values": d.dice.choice((0, 0.5, -1))}


def _draw_join(d: Drawer) -> Drawn:
    """Operands of `concatenate`: equal but for one side, the same one twice among them."""
    j = d.search(lambda shape: len(shape) > 0)
    if j is None:
        return None
    shape, axis = d.sides(j), d.dice.randrange(len(d.sides(j)))
    more = [d.search(lambda other: (len(other) == len(shape) and all(
        s == t for a, (s, t) in enumerate(zip(shape, other, strict=True)) if a != axis)))
        for _ in range(d.dice.randint(0, 2))]
    every = [j, *[j if k is None else k for k in more]]
    if d.chance(0.2):
        every.append(d.constant(d.numbers(shape)))
    return tuple(every), {"axis": d.dice.choice((axis, axis - len(shape)))}


def _draw_join_flat(d: Drawer) -> Drawn:
    return tuple([d.pick() for _ in range(2)]), {"axis": None}


def _draw_stack(d: Drawer) -> Drawn:
    j = d.pick()
    shape = d.sides(j)
    more = [d.search(lambda other: other == shape) for _ in range(d.dice.randint(0, 2))]
    n = len(shape)
    return (j, *[j if k is None else k for k in more]), {"axis": d.dice.randrange(-n - 1, n + 1)}


def _draw_split(d: Drawer) -> Drawn:
    k = d.search(lambda shape: max(shape, default=0) > 1)
    if k is None:
        return None
    shape = d.sides(k)
    axis = d.dice.choice([a for a, side in enumerate(shape) if side > 1])
    side = shape[axis]
    given = d.dice.choice((axis, axis - len(shape)))
    if d.chance(0.5):
        cut = d.dice.choice([c for c in (1, 2, 3, 4) if side % c == 0])
        return (k,), {"cut": cut, "axis": given, "part": d.dice.randrange(cut)}
    return (k,), {"cut": [d.dice.randrange(1, side)], "axis": given, "part": d.dice.randint(0, 1)}


def _draw_index(d: Drawer) -> Drawn:
    """All ways to index: slices of either step, numbers, None, …, masks, ids, mixtures."""
    k = d.pick()
    shape = d.sides(k)
    if shape and d.chance(0.15):
        mask = np.array([d.chance(0.6) for _ in range(math.prod(shape))]).reshape(shape)
        mask.flat[d.dice.randrange(mask.size)] = True
        return (k,), {"key": mask}
    length, key = (d.dice.randint(1, 3),), list[Any]()
    for side in shape[: d.dice.randint(0, len(shape))]:
        kind = d.dice.random()
        if kind < 0.35:
            key.append(slice(None, None, d.dice.choice((None, 1, -1, 2, -2))))
        elif kind < 0.45 and side > 1:
            key.append(slice(d.dice.randint(0, 1), side - d.dice.randint(0, side > 2)))
        elif kind < 0.65:
            key.append(d.dice.randrange(-side, side))
        else:
            ids = d.ids(side, length if d.chance(0.8) else (2, *length))
            key.append(ids.tolist() if d.chance(0.2) else ids)
    if d.chance(0.2):
        key.insert(d.dice.randint(0, len(key)), None)
    if d.chance(0.2):
        key.append(...)
    return (k,), {"key": key[0] if len(key) == 1 and d.chance(0.5) else tuple(key)}


def _draw_take(d: Drawer) -> Drawn:
    k = d.search(lambda shape: len(shape) > 0)
    if k is None:
        return None
    shape = d.sides(k)
    axis = d.dice.choice((None, 0, 0, *range(-len(shape), len(shape))))
    n = math.prod(shape) if axis is None else shape[axis]
    ids = d.ids(n, d.dice.choice(((), (2,), (3,), (2, 2), (4,))))
    return (k,), {"ids": ids, "axis": axis}


def _draw_scatter(d: Drawer) -> Drawn:
    k = d.search(lambda shape: len(shape) > 0)
    if k is None:
        return None
    shape = d.sides(k)
    axis = d.dice.randrange(len(shape))
    last = axis + d.dice.randint(1, 1 + (axis + 1 < len(shape)))  # ids stand on one axis or two
    n = d.dice.randint(1, 4)
    whole = (*shape[:axis], n, *shape[last:])
    ids = d.ids(n, shape[axis:last])
    if axis == 0 and d.chance(0.5):
        return (k,), {"ids": ids, "shape": n}
    return (k,), {"ids": ids, "shape": whole, "axis": axis}


def nothing(d: Drawer) -> Drawn:
    """Draw nothing: for what is not chosen as the others are."""
    return None


# ── the table ─────────────────────────────────────────────────────────────────────────────────────


def op(name: str, plain: Function, draw: Draw, tensor: Function | None = None, **more: Any) -> None:
    """One row; the engine's operation is found by its name unless given."""
    OPERATIONS[name] = Operation(tensor or getattr(tg, name), plain, draw, **more)


op("+",           operator.add,      binary(), operator.add, code="{0} + {1}")
op("-",           operator.sub,      binary(), operator.sub, code="{0} - {1}")
op("*",           operator.mul,      binary(), operator.mul, code="{0} * {1}")
op("/",           operator.truediv,  binary(lambda x, y: np.abs(y) > 0.2), operator.truediv,
   code="{0} / {1}")
op("@",           operator.matmul,   _draw_matmul, operator.matmul, code="{0} @ {1}")
op("**",          lambda x, exponent: x**exponent, _draw_power, lambda x, exponent: x**exponent,
   code="{0} ** {exponent}")
op("add",         np.add,            binary())
op("subtract",    np.subtract,       binary())
op("multiply",    np.multiply,       binary())
op("divide",      np.divide,         binary(lambda x, y: np.abs(y) > 0.2))
op("power",       np.power,          binary(lambda x, y: np.abs(y) + 4 * (x < 0.25) < 3))
op("logaddexp",   lambda x, y: np.log(np.exp(x) + np.exp(y)), binary(),
   analytic=lambda x, y: tg.log(tg.exp(x) + tg.exp(y)))
op("maximum",     twins.maximum,     binary(apart))
op("minimum",     twins.minimum,     binary(apart))
op("where",       lambda x, y, condition: np.where(condition, x, y), _draw_where,
   lambda x, y, condition: tg.where(condition, x, y), code="tg.where({condition}, {0}, {1})")
op("where >",     lambda c, x, y: np.where(np.real(c) > 0, x, y), _draw_where_positive,
   lambda c, x, y: tg.where(c > 0, x, y), code="tg.where({0} > 0, {1}, {2})")

op("negative",    np.negative,       unary())
op("positive",    np.positive,       unary())
op("abs",         twins.abs,         unary(off_zero), analytic=twins.analytic_abs)
op("sqrt",        np.sqrt,           unary(lambda x: x > 0.1))
op("square",      np.square,         unary())
op("reciprocal",  np.reciprocal,     unary(lambda x: np.abs(x) > 0.2))
op("exp",         np.exp,            unary(lambda x: x < 3))
op("expm1",       np.expm1,          unary(lambda x: x < 3))
op("log",         np.log,            unary(lambda x: x > 0.1))
op("log1p",       np.log1p,          unary(lambda x: x > -0.9))
op("log2",        np.log2,           unary(lambda x: x > 0.1))
op("log10",       np.log10,          unary(lambda x: x > 0.1))
op("sin",         np.sin,            unary())
op("cos",         np.cos,            unary())
op("tan",         np.tan,            unary(lambda x: np.abs(x) < 1.2))
op("arcsin",      np.arcsin,         unary(lambda x: np.abs(x) < 0.9))
op("arccos",      np.arccos,         unary(lambda x: np.abs(x) < 0.9))
op("arctan",      np.arctan,         unary())
op("sinh",        np.sinh,           unary(lambda x: np.abs(x) < 3))
op("cosh",        np.cosh,           unary(lambda x: np.abs(x) < 3))
op("tanh",        np.tanh,           unary())
# The engine's stable forms of the next three choose a branch at 0: on real numbers both agree, on
# 0 + ih they do not.
op("sigmoid",     lambda x: 1 / (1 + np.exp(-x)), unary(),
   analytic=lambda x: 1 / (1 + np.exp(-x)))
op("softplus",    lambda x: np.log(1 + np.exp(x)), unary(),
   analytic=lambda x: np.log(1 + np.exp(x)))
op("log_sigmoid", lambda x: -np.log(1 + np.exp(-x)), unary(),
   analytic=lambda x: -np.log(1 + np.exp(-x)))
op("relu",        lambda x: np.where(np.real(x) > 0, x, 0 * x), unary(off_zero))
op("leaky_relu",  twins.leaky_relu,  unary(off_zero))
op("clip",        twins.clip,        _draw_clip)
op("clip between", lambda x, low, high: twins.minimum(twins.maximum(x, low), high),
   _draw_clip_between, tg.clip, code="tg.clip({0}, {1}, {2})")
op("scale",       lambda x, factor: x * factor, nothing, lambda x, factor: x * factor,
   code="{0} * {factor}")

op("sum",         np.sum,            reduction())
op("mean",        np.mean,           reduction())
op("max",         twins.max,         reduction(untied))
op("min",         twins.min,         reduction(lambda x, axis: untied(-x, axis)))
op("prod",        np.prod,           reduction())
op("var",         twins.var,         reduction(
    lambda x, axis: as_lines(x, axis).shape[-1] > 1, ddof=True))
op("std",         twins.std,         reduction(spread_out, ddof=True))
op("norm",        twins.norm,        _draw_norm, analytic=twins.analytic_norm)
op("logsumexp",   twins.logsumexp,   reduction())
op("softmax",     twins.softmax,     along(-1))
op("log_softmax", lambda x, axis=-1: np.log(twins.softmax(x, axis)), along(-1))
op("cumsum",      np.cumsum,         along(None))
op("cumprod",     np.cumprod,        along(None))

op("matmul",      np.matmul,         _draw_matmul)
op("matmul_t",    twins.matmul_t,    _draw_matmul_t)
op("dot",         np.dot,            _draw_dot)
op("outer",       np.outer,          lambda d: ((d.pick(), d.pick()), {}))
op("einsum",      lambda *xs, subscripts: np.einsum(subscripts, *xs), _draw_einsum,
   lambda *xs, subscripts: tg.einsum(subscripts, *xs), code="tg.einsum({subscripts}, {every})")
op("tensordot",   np.tensordot,      _draw_tensordot)

op("reshape",     lambda x, shape: np.reshape(x, shape), _draw_reshape)
op("ravel",       np.ravel,          unary())
op("transpose",   np.transpose,      _draw_transpose)
op("swapaxes",    np.swapaxes,       _draw_swapaxes)
op("moveaxis",    np.moveaxis,       _draw_moveaxis)
op("expand_dims", np.expand_dims,    _draw_expand_dims)
op("squeeze",     np.squeeze,        _draw_squeeze)
op("broadcast_to", np.broadcast_to,  _draw_broadcast_to)
op("flip",        np.flip,           _draw_flip)
op("roll",        np.roll,           _draw_roll)
op("pad",         np.pad,            _draw_pad)
op("concatenate", lambda *xs, axis: np.concatenate(xs, axis), _draw_join,
   lambda *xs, axis: tg.concatenate(xs, axis), code="tg.concatenate([{every}], axis={axis})")
op("concatenate flat", lambda *xs, axis: np.concatenate(xs, axis), _draw_join_flat,
   lambda *xs, axis: tg.concatenate(xs, axis), code="tg.concatenate([{every}], axis={axis})")
op("stack",       lambda *xs, axis: np.stack(xs, axis), _draw_stack,
   lambda *xs, axis: tg.stack(xs, axis), code="tg.stack([{every}], axis={axis})")
op("split",       lambda x, cut, axis, part: np.split(x, cut, axis)[part], _draw_split,
   lambda x, cut, axis, part: tg.split(x, cut, axis)[part],
   code="tg.split({0}, {cut}, {axis})[{part}]")
op("[]",          lambda x, key: x[key], _draw_index, lambda x, key: x[key], code="{0}[{key}]")
op("take",        lambda x, ids, axis: np.take(x, ids, axis), _draw_take)
op("scatter",     twins.scatter,     _draw_scatter)

op("constant",    lambda value: value, nothing, lambda value: value, code="{value}")
op("detach",      np.real,           unary(), constant_tensor, code="{0}.detach()")

# What is drawn from: islands and scaling come in by themselves, and some are worth having often.
DRAWN = (*[name for name in OPERATIONS if OPERATIONS[name].draw is not nothing],
         "+", "*", "-", "@", "[]", "[]", "concatenate", "stack", "take", "einsum", "sum")


def draw_program(rng: np.random.Generator, steps: int | None = None) -> Program:
    """Draw a program of so many operations (constants and scaling not counted), or of 5 to 60.

    One of n steps begins as one of n + 1 steps from the same `rng` does. The loss holds, beside all
    that nothing else has used, each input and its square, so that neither its gradient nor its
    Hessian vanishes: a deviation has a size to be compared with.

    >>> program = draw_program(np.random.default_rng(1), steps=5)
    >>> program.inputs[0].shape, len(program.terms) > 1, program(*program.inputs).shape
    ((1, 4), True, ())
    """
    d = Drawer(rng)
    n = d.dice.randint(5, 60)
    inputs = [d.numbers(shape) for shape in draw_shapes(d)]
    for x in inputs:
        d.points.append(x + 1j * STEP * SIGNS[: x.size].reshape(x.shape))
    d.offered, d.fresh = [*range(len(inputs))], [*range(len(inputs))]
    for _ in range(n if steps is None else steps):
        while not d.extend(d.dice.choice(DRAWN), recorded=not d.chance(0.04)):
            pass
    for k in range(len(inputs)):
        d.append(Step("square", (k,)))
    ends = [*range(len(inputs)), *[k for k in d.fresh if k >= len(inputs)]]
    terms = [(k, d.numbers(d.sides(k))) for k in ends]
    return Program(tuple(inputs), tuple(d.steps), tuple(terms))


def draw_shapes(d: Drawer) -> list[Shape]:
    """Draw the shapes of one to three inputs, of two to twelve elements in all."""
    shapes = [d.shape() for _ in range(d.dice.choice((1, 2, 2, 3)))]
    total = sum(math.prod(shape) for shape in shapes)
    return shapes if 2 <= total <= 12 else draw_shapes(d)
