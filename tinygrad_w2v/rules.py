"""THE TABLE: every primitive operation and its derivatives.

A line of the table says, for each operand, how the cotangent ``g`` of the result becomes that
operand's own:

    rule(np.multiply, x=lambda g, y: g * y, y=lambda g, x: g * x)

The parameters of a derivative name what it needs, and only that is kept alive until the walk: an
operand's name for its value, ``out`` for the result, then, by keyword, ``x_shape`` for the shape of
operand x, and any keyword of the operation itself (``axis``). The bodies are plain NumPy. Given
arrays they compute a gradient; given Tensors they record one, and so the same line serves
derivatives of every order.

No line un-broadcasts or casts: the walk does, once for all (`graph.fit`). No line guards 0 · ∞
either: where an elementwise slope is not finite, the walk lets a cotangent of exactly 0 give 0.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import stable
from .graph import Traced, record
from .sparse import Array, RowGrad, add_rows
from .stable import centred, count, freedom, unless_0

Function = Callable[..., Any]
NUMPY: dict[Function, Function] = {}  # NumPy's function → ours, for np.exp(tensor)

# ── how a line is read ────────────────────────────────────────────────────────────────────────────


class Derivative:
    """The derivative by one operand, with what its signature asks for, read once."""

    __slots__ = ("fn", "local", "needs", "shape", "wants")

    def __init__(self, fn: Function, operand: str, arrays: list[str]):
        plain = inspect.isfunction(fn)  # the quick way, of all that stand in the table
        spec = inspect.getargs(fn.__code__) if plain else inspect.getfullargspec(fn)
        names = spec.args[1:] + getattr(spec, "kwonlyargs", [])
        if names != sorted(names, key=lambda name: name not in arrays):
            raise TypeError(f"the derivative by {operand} takes arrays first, then keywords, not "
                            f"{', '.join(names)}")
        self.fn, self.shape, every = fn, f"{operand}_shape", spec.varargs is not None
        self.needs = None if every else tuple([arrays.index(n) for n in names if n in arrays])
        self.wants = [n for n in names if n not in arrays]
        self.local = self.needs != ()  # its slope depends on where it is taken

    def keywords(self, meta: dict[str, Any], shape: tuple[int, ...], i: int) -> dict[str, Any]:
        """Gather the keywords of the derivative: the operation's own, and facts on operand `i`."""
        if not self.wants:
            return {}
        facts = {self.shape: shape, "i": i} | meta
        return {name: facts[name] for name in self.wants if name in facts}


class Rule:
    """A primitive: a function of arrays, and a derivative for each operand that has one."""

    def __init__(self, fn: Function, derivatives: dict[str, Any], elementwise: bool):
        self.fn, self.elementwise, self.operands = fn, elementwise, list(derivatives)
        self.variadic = self.operands == ["each"]  # one derivative for any number of operands
        self.name = getattr(fn, "__name__", type(fn).__name__).strip("_")
        self.derivatives = [d and Derivative(d, operand, [*self.operands, "out"])
                            for operand, d in derivatives.items()]
        known = {name for d in self.derivatives if d for name in d.wants}
        self.known = known - {"i", *[f"{operand}_shape" for operand in self.operands]}
        self._wanted: dict[tuple[bool, ...], set[int]] = {}

    def derivative(self, i: int) -> Any:
        """Give the Derivative by operand `i`, or None if it has none."""
        return self.derivatives[0 if self.variadic else i]

    def differentiable(self, nodes: list[Any]) -> tuple[Any, ...]:
        """Give the nodes of those operands that have a derivative; None for the others."""
        return tuple(nodes) if None not in self.derivatives else tuple(
            [d and n for d, n in zip(self.derivatives, nodes, strict=True)])

    def wanted(self, parents: tuple[Any, ...]) -> set[int]:
        """Say which operands (the last number: the result) the derivatives by `parents` need."""
        tracked = (*map(bool, parents),)
        if tracked not in self._wanted:
            asked = [(i, self.derivative(i).needs) for i, yes in enumerate(tracked) if yes]
            others = [{*range(len(parents))} - {i} if a is None else a for i, a in asked]
            self._wanted[tracked] = {j for other in others for j in other}
        return self._wanted[tracked]

    def suited(self, value: Array, j: int, dtype: Any) -> Array:
        """Give operand j in the type of the result, in which rules compute, but ids and masks."""
        if value.dtype in (bool, dtype) or not self.derivative(j):
            return value
        return value.astype(np.promote_types(value.dtype, dtype))[...]  # a view: see `record`

    def bind(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Tell operands from keywords, however written; refuse what no derivative knows of."""
        n = len(args) if self.variadic else len(self.operands)
        if len(args) == n and self.known.issuperset(keywords):
            return args, keywords
        takes = (f"{self.name}() of a Tensor takes {n} operand(s) and "
                 f"{', '.join(sorted(self.known)) or 'no keywords'}")
        try:
            bound = list(inspect.signature(self.fn).bind(*args, **keywords).arguments.items())
        except (TypeError, ValueError) as error:  # ValueError: a function without a signature
            raise TypeError(f"{takes}: {error}") from error
        given = {k: v for k, v in bound[n:] if k in self.known or v is not None}
        if unknown := given.keys() - self.known:
            raise TypeError(f"{takes}, not {', '.join(sorted(unknown))}")
        return tuple([v for _, v in bound[:n]]), given

    def explain(self, error: Exception, arrays: Sequence[Any]) -> Exception:
        """Say of the same error which operation met which shapes, and what to do."""
        shapes = " and ".join(str(np.shape(a)) for a in arrays)
        advice = ("" if not self.elementwise or len(arrays) == 1 else
                  ". Sides must be equal or 1, from the right: reshape() or expand_dims() one")
        kind = type(error) if type(error) in (IndexError, np.exceptions.AxisError) else ValueError
        return kind(f"{self.name}() of shape {shapes}: {error}{advice}")


def rule(fn: Function, /, elementwise: bool | None = None, **derivatives: Any) -> Function:
    """Declare a primitive: `fn` on arrays, and for each operand, in order, its derivative.

    None in place of a derivative: there is none. The result is to be used in place of `fn`: on
    plain arrays it is the same, on Tensors it is recorded and differentiable, to any order if the
    derivative is written with operations that have rules. `elementwise` (known for NumPy's ufuncs)
    promises that element i of the result depends on element i of the operands alone; then an
    infinite slope times a cotangent of 0 counts as 0. A derivative called ``each`` serves any
    number of operands: it takes ``*operands``, of which its own is only there if another one wants
    it, and ``i``. All must return arrays of their own, not an operand or something they keep.

    >>> import tinygrad_w2v as tg
    >>> cube = tg.rule(lambda x: x**3, x=lambda g, x: g * 3 * x**2)
    >>> tg.grad(cube)(2.0), tg.grad(tg.grad(cube))(2.0)
    (Tensor(12.), Tensor(12.))
    """
    if not derivatives:
        raise TypeError("rule(fn, x=lambda g, x: …) needs a derivative for each operand, or None")
    ufunc = isinstance(fn, np.ufunc)
    own = [p for p in getattr(fn, "__code__", rule.__code__).co_varnames if p in derivatives]
    if set(own) == set(derivatives) and own != list(derivatives):
        raise TypeError(f"rule() was given {', '.join(derivatives)}; the function takes them in "
                        f"this order: {', '.join(own)}")
    if isinstance(fn, np.ufunc) and fn.nin != len(derivatives):
        raise TypeError(f"np.{fn.__name__} has {fn.nin} operand(s), not {len(derivatives)}")
    known = ufunc and fn is not np.matmul
    spec = Rule(fn, derivatives, known if elementwise is None else elementwise)

    n = None if spec.variadic else len(spec.operands)

    def op(*args: Any, **keywords: Any) -> Any:
        if keywords or len(args) != n:
            args, keywords = spec.bind(args, keywords)
        return record(spec, args, keywords)

    op.__name__ = op.__qualname__ = spec.name
    op.__doc__, op.rule = fn.__doc__, spec  # type: ignore[attr-defined]
    if ufunc or str(getattr(fn, "__module__", "")).startswith("numpy"):
        NUMPY.setdefault(fn, op)  # a second rule for np.exp does not change what np.exp means
        op.__doc__ = (f"``numpy.{spec.name}`` of {', '.join(spec.operands)}, for Tensors too.\n\n"
                      f"Keywords: {', '.join(sorted(spec.known)) or 'none'}. The derivatives are "
                      "its line in the table of rules.py.")
    return op


# ── elementwise ───────────────────────────────────────────────────────────────────────────────────

add = rule(np.add, x=lambda g: g, y=lambda g: g)
subtract = rule(np.subtract, x=lambda g: g, y=lambda g: -g)
multiply = rule(np.multiply, x=lambda g, y: g * y, y=lambda g, x: g * x)
divide = rule(np.divide, x=lambda g, y: g / y, y=lambda g, out, y: -g * out / y)
negative = rule(np.negative, x=lambda g: -g)
positive = rule(np.positive, x=lambda g: g)
reciprocal = rule(np.reciprocal, x=lambda g, out: -g * out * out)
square = rule(np.square, x=lambda g, x: 2 * g * x)
sqrt = rule(np.sqrt, x=lambda g, out: g / (2 * out + 0))                   # −0 + 0 is 0: slope ∞
abs = rule(np.absolute, x=lambda g, x: np.where(x > 0, g, np.where(x < 0, -g, 0)))
power = rule(np.power,  # x**0 is constant, also where 1/x is no number; so is 0**y
             x=lambda g, x, y: g * np.where((y == 0) & ~np.isfinite(1 / x), 0, y * x ** (y - 1.0)),
             y=lambda g, x, y, out: g * np.where((x == 0) & (y >= 0), 0, out * np.log(x)))

exp = rule(np.exp, x=lambda g, out: g * out)
expm1 = rule(np.expm1, x=lambda g, x: g * np.exp(x))
log = rule(np.log, x=lambda g, x: g / x)                                   # E4: ∂ log f = f'/f
log1p = rule(np.log1p, x=lambda g, x: g / (1 + x))
log2 = rule(np.log2, x=lambda g, x: g / (x * math.log(2)))
log10 = rule(np.log10, x=lambda g, x: g / (x * math.log(10)))
logaddexp = rule(np.logaddexp, x=lambda g, x, y: g * sigmoid(lead(x, y)),
                 y=lambda g, x, y: g * sigmoid(lead(y, x)))

sin = rule(np.sin, x=lambda g, x: g * np.cos(x))
cos = rule(np.cos, x=lambda g, x: -g * np.sin(x))
tan = rule(np.tan, x=lambda g, out: g * (1 + out * out))
arcsin = rule(np.arcsin, x=lambda g, x: g / np.sqrt((1 - x) * (1 + x)))
arccos = rule(np.arccos, x=lambda g, x: -g / np.sqrt((1 - x) * (1 + x)))
arctan = rule(np.arctan, x=lambda g, x: g / (1 + x * x))
sinh = rule(np.sinh, x=lambda g, x: g * np.cosh(x))
cosh = rule(np.cosh, x=lambda g, x: g * np.sinh(x))

maximum = rule(np.maximum,  # at a tie, half to each
               x=lambda g, x, y: np.where(x == y, g / 2, np.where(x > y, g, 0)),
               y=lambda g, x, y: np.where(x == y, g / 2, np.where(x < y, g, 0)))
minimum = rule(np.minimum,
               x=lambda g, x, y: np.where(x == y, g / 2, np.where(x < y, g, 0)),
               y=lambda g, x, y: np.where(x == y, g / 2, np.where(x > y, g, 0)))
where = rule(np.where, condition=None, x=lambda g, condition: gate(g, condition),
             y=lambda g, condition: gate(g, np.equal(condition, 0)))
gate: Function = rule(stable.gate, x=lambda g, open: gate(g, open), open=None)


clip = rule(np.clip, elementwise=True,  # at a bound: 1
            x=lambda g, x, low, high: gate(g, (low <= x) & (x <= high)),
            low=lambda g, x, low, high: gate(g, (x < low) & (low <= high)),
            high=lambda g, x, low, high: gate(g, (x > high) | (low > high)))

# ── activations: `stable` has their values in forms that neither overflow nor lose digits ─────────


def lead(x: Any, y: Any) -> Any:
    """Say how far x is above y: ``x − y``, but 0 for equal infinities, as for any tie."""
    return np.where((x == y) & np.isinf(x), 0, x - y)


def balanced(share: Any, sure: Any, axis: Any) -> Any:
    """Replace a share whose p > ½ by minus the sum of the others, for those of a row sum to 0.

    Its own formula holds a difference, of which nothing is left when p is nearly 1. At most one
    entry of a row is that `sure`.
    """
    if not np.any(sure):
        return share
    return np.where(sure, 0 - np.sum(np.where(sure, 0, share), axis=axis, keepdims=True), share)


def _log_softmax_x(g: Any, x: Any, axis: Any = -1) -> Any:
    """``g − p Σg``, where p is the softmax of x: what was seen, minus what was expected (E6)."""
    p = softmax(x, axis=axis)
    sure = p > 0.5
    p *= np.sum(g, axis=axis, keepdims=True)  # in place, if an array: a block of E1 is large
    return balanced(g - p, sure, axis)


# tanh' is 1 − tanh² and σ' is σ (1 − σ), but where these saturate nothing would be left of 1 − 1.
sech2: Function = rule(stable.sech2, elementwise=True,
                       x=lambda g, x, out: -2 * g * out * np.tanh(x))
tanh = rule(np.tanh, x=lambda g, x: g * sech2(x))                          # E8: → 0 for large |x|
sigmoid: Function = rule(stable.sigmoid, elementwise=True,
                         x=lambda g, x: g * sech2(x / 2) / 4)              # E8
softplus = rule(stable.softplus, elementwise=True, x=lambda g, x: g * sigmoid(x))
log_sigmoid = rule(stable.log_sigmoid, elementwise=True, x=lambda g, x: g * sigmoid(-x))
relu = rule(stable.relu, elementwise=True, x=lambda g, out: gate(g, out > 0))
leaky_relu = rule(stable.leaky_relu, elementwise=True,
                  x=lambda g, x, slope=0.01: np.where(x > 0, g, slope * g))
logsumexp = rule(stable.logsumexp, x=lambda g, x, out, axis=None, keepdims=False:
                 spread(np.where(out == -np.inf, 0, g), x, axis, keepdims) * softmax(x, axis=axis))
log_softmax = rule(stable.log_softmax, x=_log_softmax_x)
softmax: Function = rule(stable.softmax, x=lambda g, out, axis=-1: balanced(
    out * (g - np.sum(g * out, axis=axis, keepdims=True)), out > 0.5, axis))

# ── reductions: `spread` puts the reduced axes back, and repeats g along them ─────────────────────


def spread(g: Any, like: Any, axis: Any, keepdims: bool) -> Any:
    """Undo the loss of shape in a reduction over `axis`: repeat `g` to the shape of (or) `like`."""
    shape = like if isinstance(like, tuple) else like.shape
    if shape and axis is not None and not keepdims:  # NumPy reduces a number over axis 0, too
        axes = {a % len(shape) for a in (axis if isinstance(axis, tuple) else (axis,))}
        g = g.reshape(tuple([1 if a in axes else side for a, side in enumerate(shape)]))
    return stable.repeat(g, shape) if isinstance(g, np.ndarray) else np.broadcast_to(g, shape)


def _extreme(g: Any, x: Any, out: Any, axis: Any = None, keepdims: bool = False) -> Any:
    best = x == spread(out, x, axis, keepdims)
    ties = np.sum(best, axis=axis, keepdims=keepdims, dtype=g.dtype)
    return spread(g / ties, x, axis, keepdims) * best  # ties share equally


sum = rule(stable.sum, x=lambda g, x_shape, axis=None, keepdims=False:
           spread(g, x_shape, axis, keepdims))
mean = rule(np.mean, x=lambda g, x_shape, axis=None, keepdims=False:
            spread(g / count(x_shape, axis), x_shape, axis, keepdims))
max = rule(np.max, x=_extreme)
min = rule(np.min, x=_extreme)
var = rule(stable.var, x=lambda g, x, axis=None, ddof=0, keepdims=False:
           spread(g * 2 / freedom(x.shape, axis, ddof), x, axis, keepdims) * centred(x, axis))
std = rule(stable.std, x=lambda g, x, out, axis=None, ddof=0, keepdims=False:
           spread(g / unless_0(out) / freedom(x.shape, axis, ddof), x, axis, keepdims)
           * centred(x, axis))
norm = rule(stable.norm, x=lambda g, x, out, axis=None, keepdims=False:
            spread(g / unless_0(out), x, axis, keepdims) * x)
cumsum = rule(np.cumsum, x=lambda g, x_shape, axis=None:
              np.reshape(np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis), x_shape))

# ── linear algebra ────────────────────────────────────────────────────────────────────────────────


def _matmul_x(g: Any, y: Any, x_shape: tuple[int, ...]) -> Any:
    if y.ndim == 1:
        return np.expand_dims(g, -1) * y
    if len(x_shape) == 1:
        return (g[..., None, :] @ y.mT)[..., 0, :]
    return g @ y.mT


def _matmul_y(g: Any, x: Any, y_shape: tuple[int, ...]) -> Any:
    if x.ndim == 1:
        return x * g if len(y_shape) == 1 else x[:, None] * g[..., None, :]
    if len(y_shape) == 1:
        return (x.mT @ g[..., None])[..., 0]
    if len(y_shape) == 2 < x.ndim:  # one matrix for a stack: one large product, no sum of a stack
        n = math.prod(x.shape[:-1])
        x, g = np.reshape(x, (n, x.shape[-1])), np.reshape(g, (n, g.shape[-1]))
    return x.mT @ g


def _einsum_each(g: Any, *operands: Any, i: int, each_shape: Any, subscripts: str) -> Any:
    """The gradient of an einsum is an einsum: operand i and the output change places."""
    inputs, output = subscripts.split("->")
    terms, target, others = inputs.split(","), "", [(output, g)]
    others += [(t, o) for k, (t, o) in enumerate(zip(terms, operands, strict=True)) if k != i]
    for letter, side in zip(terms[i], each_shape, strict=True):
        name = letter
        if letter in target:  # a diagonal: the gradient lives on the diagonal
            name = next(c for c in LETTERS if c not in subscripts + target)
            others.append((letter + name, np.eye(side, dtype=g.dtype)))
        elif not any(letter in term for term, _ in others):  # summed away: all received the same
            others.append((letter, np.ones(side, g.dtype)))
        target += name
    gradient = einsum(*[o for _, o in others],
                      subscripts=",".join([t for t, _ in others]) + "->" + target)
    shape = np.broadcast_shapes(gradient.shape, each_shape)
    return gradient if gradient.shape == shape else np.broadcast_to(gradient, shape)


LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
matmul = rule(np.matmul, x=_matmul_x, y=_matmul_y)
matmul_t = rule(stable.matmul_t, x=lambda g, y: g @ y, y=lambda g, x: g.mT @ x)
einsum: Function = rule(stable.einsum, each=_einsum_each)

# ── shape: what moved one way moves back ──────────────────────────────────────────────────────────


astype = rule(stable.astype, x=lambda g, dtype: g)  # the walk casts back
broadcast_to = rule(np.broadcast_to, x=lambda g, shape: g)  # the walk un-broadcasts
reshape = rule(np.reshape, x=lambda g, x_shape, shape: np.reshape(g, x_shape))
squeeze = rule(np.squeeze, x=lambda g, x_shape, axis=None: np.reshape(g, x_shape))
expand_dims = rule(np.expand_dims, x=lambda g, x_shape, axis: np.reshape(g, x_shape))
swapaxes = rule(np.swapaxes, x=lambda g, axis1, axis2: np.swapaxes(g, axis1, axis2))
moveaxis = rule(np.moveaxis, x=lambda g, source, destination: np.moveaxis(g, destination, source))
transpose = rule(np.transpose, x=lambda g, axes=None: np.transpose(
    g, axes if axes is None else np.argsort([a % g.ndim for a in axes])))
flip = rule(np.flip, x=lambda g, axis=None: np.flip(g, axis))
roll = rule(np.roll, x=lambda g, shift, axis=None: np.roll(g, -np.asarray(shift, np.intp), axis))
pad = rule(np.pad, x=lambda g, x_shape, pad_width, constant_values=0: g[tuple(
    [slice(before, before + side) for (before, _), side in zip(pad_width, x_shape, strict=True)])])
concatenate = rule(stable.concatenate, each=lambda g, i, axis, bounds: g[
    (*[slice(None)] * axis, slice(bounds[i], bounds[i + 1]))])

# ── looking up, and its adjoint: putting back, where what comes to one place adds up ──────────────


def _index(x: Any, key: tuple[Any, ...]) -> Any:
    return x[key]


def _put(x: Any, key: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    if any(isinstance(k, np.ndarray) and k.dtype != bool for k in key):
        np.add.at(out, key, x)
    else:
        out[key] = x  # slices, numbers and masks never name a place twice
    return out


def _take(x: Any, ids: Array, axis: int) -> Any:
    return np.take(x, ids, axis)


def _scatter(x: Any, ids: Array, shape: tuple[int, ...], axis: int) -> Any:
    if axis:
        return _put(x, (*[slice(None)] * axis, ids), shape)
    out = np.zeros(shape, x.dtype)
    add_rows(out, ids.reshape(-1), x.reshape(ids.size, *shape[1:]))
    return out


def _take_x(g: Any, x_shape: tuple[int, ...], ids: Array, axis: int) -> Any:
    if axis or isinstance(g, Traced):
        return scatter(g, ids=ids, shape=x_shape, axis=axis)
    return RowGrad(ids.reshape(-1), g.reshape(ids.size, *x_shape[1:]), x_shape)


index = rule(_index, x=lambda g, x_shape, key: put(g, key=key, shape=x_shape))
put: Function = rule(_put, x=lambda g, key, shape: g[key])
take = rule(_take, x=_take_x)
scatter = rule(_scatter, x=lambda g, ids, shape, axis: take(g, ids=ids, axis=axis))
