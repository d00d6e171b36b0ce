"""Random programs: whole graphs of many operations, whose gradients an oracle confirms.

Operations that are right one by one can still be put together wrongly: a value used twice, a view
of a view, a constant in between, an order of the walk. A `Program` is such a graph as data: steps
over a few small arrays, and a weighted sum of what they computed. It runs on Tensors (the engine's
operations) and on plain arrays, real or complex (a *twin* of each operation in plain NumPy, which
is analytic, so that the complex step can judge it), and it prints itself as Python code.

`draw_program` draws one. It computes as it draws, and offers an operation only such operands as it
is smooth and well-conditioned at: no logarithm near 0, no tie closer than 1/1000, nothing that lets
rounding errors grow. So every program can be judged to the last digits, and none is thrown away.

>>> program = draw_program(np.random.default_rng(0), steps=20)
>>> gradient_deviation(program) < 1e-12
True

The value of an island (`detach`, ``no_grad``) is a constant: a twin keeps its real part only.
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

import tinygrad_w2v as tg

from ..graph import recording
from ..sparse import Array
from ..tensor import Tensor
from .oracle import GradientError, draw_cotangent

Function = Callable[..., Any]
Shape = tuple[int, ...]

STEP = 1e-100      # of the complex step: so small that its square vanishes
MARGIN = 1e-3      # how near a kink or a tie a value may come
LARGEST, STEEPEST = 4.0, 16.0  # what a value, and its slope, may be before it is scaled down
LIMIT = 24         # elements of a value at most


# ── programs ──────────────────────────────────────────────────────────────────────────────────────


class Step(NamedTuple):
    """One operation: its name in `OPERATIONS`, the numbers of its operands, its keywords.

    Values are numbered from 0: the inputs first, then what each step gives. A step that is not
    `recorded` runs under ``no_grad``.
    """

    op: str
    operands: tuple[int, ...] = ()
    keywords: dict[str, Any] = {}  # noqa: RUF012  (nobody writes to it)
    recorded: bool = True

    def run(self, known: Sequence[Any]) -> Any:
        """Compute it: with the engine if an operand is a Tensor, else with the twin."""
        if self.op == "constant":
            return self.keywords["value"]
        row, operands = OPERATIONS[self.op], [known[k] for k in self.operands]
        kinds = [x.dtype.kind for x in operands if isinstance(x, Tensor)]
        if not kinds:
            out = np.asarray(row.plain(*operands, **self.keywords))
            return out if self.recorded else out.real
        if "c" in kinds:  # the engine's walk is being judged by the complex step
            out = (row.analytic or row.tensor)(*operands, **self.keywords)
            return out if self.recorded else constant_tensor(out)
        with recording(self.recorded):
            return row.tensor(*operands, **self.keywords)

    def code(self, names: Sequence[str], number: int) -> str:
        """Write it in Python."""
        operands = [names[k] for k in self.operands]
        keywords = {k: code(v) for k, v in self.keywords.items()}
        template = OPERATIONS[self.op].code
        if template:
            text = template.format(*operands, every=", ".join(operands), **keywords)
        else:
            text = ", ".join(operands + [f"{k}={v}" for k, v in keywords.items()])
            text = f"tg.{self.op}({text})"
        line = f"{names[number]} = {text}"
        return line if self.recorded else f"with tg.no_grad():\n    {line}"


@dataclass(frozen=True, repr=False)
class Program:
    """Steps over `inputs`, and the loss: the sum of all elements of value × weights over `terms`.

    Call it with arrays, real or complex, or with Tensors in place of the inputs. `str` gives Python
    code that computes the loss and the gradients.

    >>> program = Program((np.array([1.0, 2.0]),), (Step("exp", (0,)), Step("*", (1, 0))),
    ...                   ((2, np.array([1.0, 0.5])),))
    >>> program(np.array([0.0, 1.0]))
    np.float64(1.3591409142295225)
    >>> print(program)
    import numpy as np
    import tinygrad_w2v as tg
    <BLANKLINE>
    x0 = tg.Tensor(np.array([1.0, 2.0]), requires_grad=True)
    v1 = tg.exp(x0)
    v2 = v1 * x0
    loss = (v2 * np.array([1.0, 0.5])).sum()
    loss.backward()
    print(x0.grad)
    """

    inputs: tuple[Array, ...]
    steps: tuple[Step, ...]
    terms: tuple[tuple[int, Array], ...]

    def values(self, *inputs: Any) -> list[Any]:
        """All values: the inputs, and what each step gives."""
        known = list(inputs)
        for step in self.steps:
            known.append(step.run(known))
        return known

    def __call__(self, *inputs: Any) -> Any:
        """The loss."""
        known = self.values(*inputs)
        return reduce(operator.add, [(known[k] * weights).sum() for k, weights in self.terms])

    def of_vector(self, vector: Any) -> Any:
        """The loss, as a function of all elements of all inputs in one vector."""
        ends = np.cumsum([x.size for x in self.inputs]).tolist()
        return self(*[np.reshape(vector[end - x.size : end], x.shape)
                      for end, x in zip(ends, self.inputs, strict=True)])

    @property
    def point(self) -> Array:
        """All elements of all inputs in one vector."""
        return np.concatenate([x.ravel() for x in self.inputs])

    def __str__(self) -> str:
        names = [f"x{k}" for k in range(len(self.inputs))]
        names += [f"v{k + len(names)}" for k in range(len(self.steps))]
        lines = ["import numpy as np", "import tinygrad_w2v as tg", ""]
        lines += [f"{names[k]} = tg.Tensor({code(x)}, requires_grad=True)"
                  for k, x in enumerate(self.inputs)]
        lines += [step.code(names, k) for k, step in enumerate(self.steps, len(self.inputs))]
        terms = [f"({names[k]} * {code(weights)}).sum()" for k, weights in self.terms]
        lines += [f"loss {'+=' if k else '='} {term}" for k, term in enumerate(terms)]
        grads = ", ".join([f"{name}.grad" for name in names[: len(self.inputs)]])
        return "\n".join([*lines, "loss.backward()", f"print({grads})"])

    __repr__ = __str__

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Be printed as code by hypothesis and IPython."""
        printer.text(str(self))

    def is_anchor(self, k: int) -> bool:
        """Tell whether value `k` is an input, or the square of one."""
        n = len(self.inputs)
        return k < n or (self.steps[k - n].op == "square" and self.steps[k - n].operands[0] < n)

    def with_constants(self, places: Sequence[int]) -> Program:
        """The same program with the results of some steps (by position) made constants.

        All other values stay what they are, and so no operation comes near a kink by it. Steps that
        nothing needs any more are left out.
        """
        known, n = self.values(*self.inputs), len(self.inputs)
        steps = list(self.steps)
        for k in places:
            steps[k] = Step("constant", (), {"value": np.array(known[n + k])})
        return replace(self, steps=tuple(steps)).without_the_unused()

    def without_the_unused(self) -> Program:
        """The same program without the steps that the loss does not depend on."""
        n, needed = len(self.inputs), {k for k, _ in self.terms}
        for k in reversed(range(len(self.steps))):
            if n + k in needed:
                needed.update(self.steps[k].operands)
        kept = [*range(n), *[n + k for k in range(len(self.steps)) if n + k in needed]]
        number = {old: new for new, old in enumerate(kept)}
        steps = [self.steps[k - n] for k in kept[n:]]
        return Program(self.inputs,
                       tuple([s._replace(operands=tuple([number[k] for k in s.operands]))
                              for s in steps]),
                       tuple([(number[k], weights) for k, weights in self.terms]))


def simpler(program: Program) -> Iterator[Program]:
    """Programs with a term less, a last step less, or the result of one step made a constant.

    What the loss holds of the inputs and their squares stays, for the size of the derivatives.
    """
    n, known = len(program.inputs), program.values(*program.inputs)
    for place, (k, weights) in enumerate(program.terms):
        if not program.is_anchor(k):
            rest = program.terms[:place] + program.terms[place + 1 :]
            before = [(j, np.resize(weights, np.shape(known[j])))
                      for j in program.steps[k - n].operands]
            yield replace(program, terms=rest).without_the_unused()
            yield replace(program, terms=(*rest, *before)).without_the_unused()
    for place, step in enumerate(program.steps):
        if step.op != "constant" and not program.is_anchor(n + place):
            yield program.with_constants([place])


def smallest(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Make the program simpler for as long as it still fails.

    >>> program = draw_program(np.random.default_rng(1), steps=20)
    >>> fails = lambda p: any(step.op == "tanh" for step in p.steps)
    >>> len(program.steps) >= 20, [step.op for step in smallest(program, fails).steps]
    (True, ['constant', 'tanh', 'square', 'square'])
    """
    while True:
        for candidate in simpler(program):
            if fails(candidate):
                program = candidate
                break
        else:
            return program


def code(value: Any) -> str:
    """Write a number, an array, or a tuple or list of them in Python, exactly.

    >>> code((np.array([1, 2]), slice(None), 0.1))
    '(np.array([1, 2]), slice(None, None, None), 0.1)'
    """
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()!r})"
    if isinstance(value, tuple):
        return f"({', '.join([code(v) for v in value])}{',' * (len(value) == 1)})"
    return "np.inf" if isinstance(value, float) and value == np.inf else repr(value)


def constant_tensor(x: Tensor) -> Tensor:
    """Make a constant of a Tensor: of a complex one, its real part."""
    return Tensor(x.data.real) if x.dtype.kind == "c" else x.detach()


# ── twins: the operations in plain NumPy, analytic where the real function is smooth ──────────────
#
# On complex numbers the real part decides: which is larger, which is positive. Each is written for
# itself, by its formula, and not as the engine has it.


def _abs(x: Any) -> Any:
    return np.where(np.real(x) > 0, x, -x)


def _leaky_relu(x: Any, slope: float = 0.01) -> Any:
    return np.where(np.real(x) > 0, x, slope * x)


def _maximum(x: Any, y: Any) -> Any:
    return np.where(np.real(x) > np.real(y), x, y)


def _minimum(x: Any, y: Any) -> Any:
    return np.where(np.real(x) < np.real(y), x, y)


def _clip(x: Any, a_min: float | None = None, a_max: float | None = None) -> Any:
    low = x if a_min is None else _maximum(x, a_min)
    return low if a_max is None else _minimum(low, a_max)


def as_lines(x: Any, axis: Any) -> Any:
    """Bring the axes of a reduction together in a last one."""
    axes = [a % x.ndim for a in (range(x.ndim) if axis is None else np.ravel(axis).tolist())]
    rest = [a for a in range(x.ndim) if a not in axes]
    return x.transpose(rest + axes).reshape([x.shape[a] for a in rest] + [-1])


def _max(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    lines = as_lines(x, axis)
    best = np.argmax(lines.real, axis=-1)[..., None]
    out = np.take_along_axis(lines, best, axis=-1)
    return out.reshape(np.sum(x, axis=axis, keepdims=keepdims).shape)


def _min(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return -_max(-x, axis, keepdims)


def _var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    n = as_lines(x, axis).shape[-1]
    mean = np.sum(x, axis=axis, keepdims=True) / n
    return np.sum((x - mean) ** 2, axis=axis, keepdims=keepdims) / (n - ddof)


def _std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    return np.sqrt(_var(x, axis, ddof, keepdims))


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord == np.inf:
        return _max(_abs(x), axis, keepdims)
    if ord == 1:
        return np.sum(_abs(x), axis=axis, keepdims=keepdims)
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def _logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def _softmax(x: Any, axis: Any = -1) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)


def _matmul_t(x: Any, y: Any) -> Any:
    return np.einsum("...id,...jd->...ij", x, y)


def _scatter(x: Any, ids: Any, shape: Any, axis: int = 0) -> Any:
    whole = (shape, *x.shape[ids.ndim :]) if isinstance(shape, int) else shape
    out = np.zeros(whole, x.dtype)
    for place in np.ndindex(ids.shape):
        out[(slice(None),) * axis + (ids[place],)] += x[(slice(None),) * axis + place]
    return out


def _pad(x: Any, pad_width: Any, **keywords: Any) -> Any:
    return np.pad(x, pad_width, **keywords)


def analytic_abs(x: Any) -> Any:
    """Give |x| of a Tensor of complex numbers, without their modulus."""
    return tg.where(x > 0, x, -x)


def analytic_norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Give the norm with such an absolute value."""
    if ord not in (1, np.inf):
        return tg.norm(x, ord, axis, keepdims)
    return (tg.sum if ord == 1 else tg.max)(analytic_abs(x), axis=axis, keepdims=keepdims)


# ── how operands are drawn ────────────────────────────────────────────────────────────────────────
#
# A family of operations has a function that draws operands and keywords for one of its members, or
# gives None: nothing that suits was found, and another operation is tried.

Drawn = tuple[tuple[int, ...], dict[str, Any]] | None
Draw = Callable[["Drawer"], Drawn]


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """The shape that two broadcast to, or None (`np.broadcast_shapes` takes far longer).

    >>> broadcast((3, 1), (2,)), broadcast((3,), (2,))
    ((3, 2), None)
    """
    n = max(len(a), len(b))
    pairs = list(zip((1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b, strict=True))
    if any(p != q and p != 1 and q != 1 for p, q in pairs):
        return None
    return tuple([q if p == 1 else p for p, q in pairs])


class Drawer:
    """A program while it is drawn: its steps, and at which point each value is.

    A point is complex: the real part is the value, the imaginary part (over STEP) is how far it
    moves along one direction of the inputs, where each step has added its own rounding error. So it
    bounds the slope and the error at once. `offered` are the values that a step may still use,
    `fresh` those of them that nothing has used.
    """

    def __init__(self, rng: np.random.Generator):
        self.rng, self.dice = rng, random.Random(int(rng.integers(2**62)))
        self.steps, self.points = list[Step](), list[Array]()
        self.offered, self.fresh = list[int](), list[int]()

    # draws

    def chance(self, p: float) -> bool:
        """True in a share `p` of all cases."""
        return self.dice.random() < p

    def numbers(self, shape: Shape) -> Array:
        """Draw numbers k/64 between 1/4 and 2, of either sign."""
        every = [self.dice.choice((-1, 1)) * self.dice.randint(17, 127) / 64
                 for _ in range(math.prod(shape))]
        return np.array(every).reshape(shape)

    def shape(self) -> Shape:
        """Draw a shape; sides of 1 are rarer."""
        ndim = self.dice.choice((0, 1, 1, 2, 2, 3))
        return tuple([self.dice.choice((2, 3, 2, 3, 4, 1)) for _ in range(ndim)])

    def axis(self, ndim: int) -> Any:
        """Draw what `axis` may be: None, a number of either sign, a tuple in any order."""
        kind = self.dice.random()
        if kind < 0.3 or not ndim:
            return None if ndim or kind < 0.5 else ()
        if kind < 0.8:
            return self.dice.randrange(-ndim, ndim)
        axes = self.dice.sample(range(ndim), self.dice.randint(1, ndim))
        return tuple([a - ndim * self.chance(0.3) for a in axes])

    def ids(self, n: int, shape: Shape) -> Array:
        """Draw ids of n places, of either sign, with repeats."""
        every = [self.dice.randrange(-n, n) for _ in range(math.prod(shape))]
        return np.array(every, np.intp).reshape(shape)

    def pick(self) -> int:
        """Draw one of the values: more often than not one that nothing has used."""
        pool = self.fresh if self.fresh and self.chance(0.7) else self.offered
        return self.dice.choice(pool)

    def search(self, suits: Callable[[Shape], bool]) -> int | None:
        """Draw a value of a shape that suits, None if there is none among the tried."""
        for _ in range(6):
            k = self.pick()
            if suits(self.points[k].shape):
                return k
        return None

    # the program

    def sides(self, k: int) -> Shape:
        """Shape of value `k`."""
        return self.points[k].shape

    def real(self, k: int) -> Array:
        """What value `k` is."""
        return self.points[k].real

    def constant(self, value: Any) -> int:
        """Append a constant: an array or a Python number."""
        self.steps.append(Step("constant", (), {"value": value}))
        self.points.append(np.asarray(value, complex))
        return len(self.points) - 1

    def partner(self, j: int) -> int:
        """A second operand that broadcasts with j: j again, a constant, or another value."""
        kind, shape = self.dice.random(), self.sides(j)
        if kind < 0.1:
            return j
        if kind < 0.2:
            return self.constant(self.dice.choice((0.5, -1.5, 2.0, 3, -0.25)))
        if kind < 0.3:
            kept = shape[self.dice.randint(0, len(shape)):]
            return self.constant(self.numbers(tuple([1 if self.chance(0.3) else s for s in kept])))
        found = self.search(lambda other: math.prod(broadcast(shape, other) or [99]) <= LIMIT)
        return j if found is None else found

    def extend(self, op: str, recorded: bool = True) -> bool:
        """Append one step of the kind `op`, if operands are found at which it is well-behaved."""
        before = len(self.steps)
        drawn = OPERATIONS[op].draw(self)
        if drawn is not None and self.append(Step(op, *drawn, recorded)):
            return True
        n = len(self.points) - len(self.steps) + before
        del self.steps[before:], self.points[n:]
        return False

    def append(self, step: Step) -> bool:
        """Append `step`, and one that scales its result down if that is large or steep."""
        out = np.asarray(step.run(self.points))
        size, slope = float(np.abs(out.real).max()), float(np.abs(out.imag).max()) / STEP
        if out.size > LIMIT or out.ndim > 4 or not (size < 1e4 and slope < 1e4):
            return False
        noise = np.abs(out.real) * SIGNS[: out.size].reshape(out.shape) * self.dice.choice((-1, 1))
        self.steps.append(step)
        self.points.append(out.real + 1j * (out.imag + STEP * noise))
        k = len(self.points) - 1
        self.fresh = [j for j in self.fresh if j not in step.operands]
        excess = max(size / LARGEST, slope / STEEPEST)
        if excess > 1:
            factor = 2.0 ** -math.ceil(math.log2(excess))
            return self.append(Step("scale", (k,), {"factor": factor}))
        self.offered.append(k)
        self.fresh.append(k)
        return True


SIGNS = np.random.default_rng(0).choice([-1.0, 1.0], LIMIT)


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
    return as_lines(x, axis).shape[-1] > 1 and bool(np.all(_std(x, axis) > 0.2))


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
        safe = np.all(_norm(x, axis=axis) > 0.2)
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


class Operation(NamedTuple):
    """The engine's operation and its twin, both called with operands and keywords.

    `draw` finds operands; `code` is the Python text, where it is not a plain call; `analytic` is to
    be used on Tensors of complex numbers where the engine's own is not analytic.
    """

    tensor: Function
    plain: Function
    draw: Draw
    code: str = ""
    analytic: Function | None = None


OPERATIONS: dict[str, Operation] = {}


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
op("maximum",     _maximum,      binary(apart))
op("minimum",     _minimum,      binary(apart))
op("where",       lambda x, y, condition: np.where(condition, x, y), _draw_where,
   lambda x, y, condition: tg.where(condition, x, y), code="tg.where({condition}, {0}, {1})")
op("where >",     lambda c, x, y: np.where(np.real(c) > 0, x, y), _draw_where_positive,
   lambda c, x, y: tg.where(c > 0, x, y), code="tg.where({0} > 0, {1}, {2})")

op("negative",    np.negative,       unary())
op("positive",    np.positive,       unary())
op("abs",         _abs,          unary(off_zero),
   analytic=analytic_abs)
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
op("leaky_relu",  _leaky_relu,   unary(off_zero))
op("clip",        _clip,         _draw_clip)
op("clip between", lambda x, low, high: _minimum(_maximum(x, low), high), _draw_clip_between,
   tg.clip, code="tg.clip({0}, {1}, {2})")
op("scale",       lambda x, factor: x * factor, nothing, lambda x, factor: x * factor,
   code="{0} * {factor}")

op("sum",         np.sum,            reduction())
op("mean",        np.mean,           reduction())
op("max",         _max,          reduction(untied))
op("min",         _min,          reduction(lambda x, axis: untied(-x, axis)))
op("prod",        np.prod,           reduction())
op("var",         _var,          reduction(
    lambda x, axis: as_lines(x, axis).shape[-1] > 1, ddof=True))
op("std",         _std,          reduction(spread_out, ddof=True))
op("norm",        _norm,         _draw_norm, analytic=analytic_norm)
op("logsumexp",   _logsumexp,    reduction())
op("softmax",     _softmax,      along(-1))
op("log_softmax", lambda x, axis=-1: np.log(_softmax(x, axis)), along(-1))
op("cumsum",      np.cumsum,         along(None))
op("cumprod",     np.cumprod,        along(None))

op("matmul",      np.matmul,         _draw_matmul)
op("matmul_t",    _matmul_t,     _draw_matmul_t)
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
op("pad",         _pad,          _draw_pad)
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
op("scatter",     _scatter,      _draw_scatter)

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


# ── the claims ────────────────────────────────────────────────────────────────────────────────────


def complex_step(program: Program, dtype: Any = complex, point: Any = None) -> Array:
    """The gradient at `point` (or at the program's own), by one run of the twins for each element.

    >>> program = Program((np.array([1.0, 2.0]),), (), ((0, np.array([0.5, -3.0])),))
    >>> complex_step(program)
    array([ 0.5, -3. ])
    """
    start = np.asarray(program.point if point is None else point, dtype)
    gradient = np.empty(start.shape, start.real.dtype)
    for k in range(start.size):
        moved = start.copy()
        moved[k] += 1j * STEP
        gradient[k] = program.of_vector(moved).imag / STEP
    return gradient


def backward(program: Program) -> Array:
    """The gradient by ``.backward()``; GradientError if one has not its input's shape and dtype."""
    leaves = [Tensor(x, requires_grad=True) for x in program.inputs]
    program(*leaves).backward()
    found = [np.asarray(leaf.grad) for leaf in leaves]
    for k, (g, x) in enumerate(zip(found, program.inputs, strict=True)):
        if (g.shape, g.dtype) != (x.shape, x.dtype):
            raise GradientError(f"the gradient by input {k} is {g.dtype} of shape {g.shape}, the "
                                f"input {x.dtype} of shape {x.shape}")
    return np.concatenate([g.ravel() for g in found])


def deviation(found: Array, truth: Array) -> float:
    """Largest difference, relative to the largest true element; infinite if not a number."""
    off, size = float(np.max(np.abs(found - truth))), float(np.max(np.abs(truth)))
    return 0.0 if off == 0 else off / size if off < np.inf and size else np.inf


def gradient_deviation(program: Program) -> float:
    """How far reverse mode is from the complex step."""
    return deviation(backward(program), complex_step(program))


def hessian_deviation(program: Program, rng: np.random.Generator) -> float:
    """How far two Hessian-vector products are from the complex step *through the backward pass*.

    And how far the Hessian is from symmetric, ⟨u, H v⟩ = ⟨v, H u⟩: the worst of all three.
    """
    x = program.point
    u, v = draw_cotangent(rng, x.shape), draw_cotangent(rng, x.shape)
    found = [tg.hvp(program.of_vector, x, w).data for w in (u, v)]
    truth = [tg.grad(program.of_vector)(Tensor(x + 1j * STEP * w)).data.imag / STEP for w in (u, v)]
    skew = abs(u @ found[1] - v @ found[0]) / (np.abs(u) @ np.abs(truth[1]))
    return max(deviation(found[0], truth[0]), deviation(found[1], truth[1]), float(skew))


def differences_deviation(program: Program, rng: np.random.Generator) -> float:
    """How far a Hessian-vector product is from differences of the complex step's gradient.

    No part of the engine takes part in these: the twins run in long double, and the error of the
    differences, of fourth order, is below 1e-13 where long double has 64 bits or more. The values
    of islands are put in as constants, for they must not move with the inputs.
    """
    islands = [k for k, s in enumerate(program.steps) if s.op == "detach" or not s.recorded]
    fixed, x = program.with_constants(islands), program.point
    v, h = draw_cotangent(rng, x.shape), np.longdouble(1e-5)
    ahead = [complex_step(fixed, np.clongdouble, x + k * h * v) for k in (1, -1, 2, -2)]
    truth = (8 * (ahead[0] - ahead[1]) - (ahead[2] - ahead[3])) / (12 * h)
    return deviation(tg.hvp(program.of_vector, x, v).data, truth)
