"""What must hold for every operation, whatever it computes, and `check_op`, which checks it all.

An `OpSpec` describes an operation: NumPy's word on its values, where it is smooth, where it is
convex, and calls worth trying. Each function here whose name begins with `check_` states one claim
about one call and raises a `GradientError` where it does not hold.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..functional import grad, jvp, vjp
from ..graph import Node, lineage
from ..sparse import Array
from ..tensor import Tensor
from .claims import (
    inputs_unchanged,
    laid_out,
    layouts as layouts,
    linear,
    no_aliases,
    repeatable,
    same,
    zero_in_zero_out,
)
from .oracle import (
    GradientError as GradientError,
    bumped as bumped,
    check_grad as check_grad,
    complex_step as complex_step,
    draw_cotangent as draw_cotangent,
)
from .subject import Program, gradients as gradients_of

Function = Callable[..., Any]
Shape = tuple[int, ...]


class Interval(NamedTuple):
    """Where an operand may lie, for the operation to be defined and smooth; ends are not in it."""

    low: float
    high: float


REAL, POSITIVE, UNIT = Interval(-3, 3), Interval(0, 3), Interval(-1, 1)


@dataclass(frozen=True)
class Call:
    """One way to call an operation: a shape for each operand, and the keywords."""

    shapes: tuple[Shape, ...]
    keywords: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [str(s) for s in self.shapes] + [f"{k}={v!r}" for k, v in self.keywords.items()]
        return ", ".join(words)


def straight(op: Function, *operands: Any, **keywords: Any) -> Any:
    """Call `op` in the plainest way."""
    return op(*operands, **keywords)


@dataclass(frozen=True)
class OpSpec:
    """All that the checks need to know of an operation.

    `op` takes Tensors, or arrays; `value` is a plain NumPy reference for what it gives. `arrange`
    places the operands (``concatenate`` wants a list). `others`: other ways to write it, as the
    method of a Tensor and NumPy's function, to be called in the same way. `domain`: an Interval for
    each operand, the last one serves the rest. `analytic`: the same function in NumPy for complex
    numbers, if the operation itself is not analytic on them; it must take Tensors too, if `order`
    is above 1.
    `kinks`: values of an operand at which the slope jumps, and `convex` 1 or -1 where the operation
    is convex or concave, so that the sub-gradients there can be judged.
    """

    name: str
    op: Function
    value: Function
    calls: tuple[Call, ...]
    domain: tuple[Interval, ...] = (REAL,)
    arrange: Function = straight
    others: tuple[Function, ...] = ()
    analytic: Function | None = None
    kinks: tuple[float, ...] = ()
    convex: int = 0
    order: int = 2

    def __str__(self) -> str:
        return self.name

    def bind(self, call: Call, op: Function | None = None) -> Function:
        """Make a function of the operands alone: of the operation, or of `op` in its place."""
        return lambda *xs: self.arrange(op or self.op, *xs, **call.keywords)

    def draw(self, call: Call, rng: np.random.Generator, dtype: Any = float) -> list[Array]:
        """Draw operands on a lattice of half-odd steps, all different: no kink is near."""
        return lattice(rng, [(self.domain[min(k, len(self.domain) - 1)], shape)
                             for k, shape in enumerate(call.shapes)], dtype)


def lattice(rng: np.random.Generator, wanted: Sequence[tuple[Interval, Shape]], dtype: Any = float
            ) -> list[Array]:
    """Draw arrays whose elements are distinct numbers (2i + 1) / 32, over all arrays together.

    So each is at least 1/32 from every multiple of 1/16, 0 and ±1 among them, and in size 1/16 from
    every other. Where that gives too few numbers the steps are halved until there are enough.
    """
    steps, used, arrays = 32, set[float](), list[Array]()
    total = sum(int(np.prod(shape)) for _, shape in wanted)
    while any(_sizes(low, high) * steps / 2 < total for (low, high), _ in wanted):
        steps *= 2
    for (low, high), shape in wanted:
        odd = np.arange(2 * int(low * steps / 2) + 1, int(high * steps), 2)
        chosen = list[float]()
        for x in (rng.permutation(odd) / steps).tolist():
            if abs(x) not in used and len(chosen) < np.prod(shape):
                chosen.append(x)
                used.add(abs(x))
        arrays.append(np.reshape(chosen, shape).astype(dtype))
    return arrays


def _sizes(low: float, high: float) -> float:
    """Length of the interval of |x|."""
    return max(-low, high) - max(low, -high, 0)


def gradients(f: Function, arrays: Sequence[Array], u: Array) -> list[Array]:
    """Gradients of Σ u·f at `arrays`, by the everyday way: leaves, and backward."""
    return gradients_of(Program(f), arrays, u)


def at_call(spec: OpSpec, call: Call, rng: np.random.Generator
            ) -> tuple[Program, list[Array], Array]:
    """Make what the claims are about: a program, its operands, a cotangent."""
    f, arrays = spec.bind(call), spec.draw(call, rng)
    return Program(f), arrays, draw_cotangent(rng, f(*arrays).shape)


# ── the claims ────────────────────────────────────────────────────────────────────────────────────


def check_value(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """The value is NumPy's, in shape, dtype and number, in double and in single precision."""
    for dtype, rtol in (np.float64, 1e-13), (np.float32, 1e-5):
        arrays = spec.draw(call, rng, dtype)
        expected = np.asarray(spec.bind(call, spec.value)(*arrays))
        for kind, operands in ("Tensors", [Tensor(a) for a in arrays]), ("arrays", arrays):
            out = np.asarray(spec.bind(call)(*operands))
            same(f"value of {kind}", [out], [expected], rtol)


def check_gradient(spec: OpSpec, call: Call, rng: np.random.Generator) -> int:
    """The derivatives, of every order asked for, are the complex step's; it says how many."""
    ref = spec.analytic and spec.bind(call, spec.analytic)
    compared = 0
    for dtype in np.float64, np.float32:
        arrays = spec.draw(call, rng, dtype)
        done = check_grad(spec.bind(call), *arrays, ref=ref, order=spec.order,
                          seed=int(rng.integers(2**31)))
        if done.oracle != "complex step":
            raise GradientError(f"judged by {done.oracle} only: the spec needs analytic=")
        compared += done.compared
    return compared


def check_dtypes(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """A single-precision operand has a single-precision gradient, a double beside it or not."""
    doubles = spec.draw(call, rng)
    for k in range(len(doubles)):
        mixed = [a.astype(np.float32) if j == k else a for j, a in enumerate(doubles)]
        leaves = [Tensor(a, requires_grad=True) for a in mixed]
        out = spec.bind(call)(*leaves)
        out.backward(draw_cotangent(rng, out.shape))
        for leaf, a in zip(leaves, mixed, strict=True):
            if leaf.grad is not None and leaf.grad.dtype != a.dtype:
                raise GradientError(f"the gradient of a {a.dtype} operand is {leaf.grad.dtype}")


def check_inputs_unchanged(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """Neither the operands nor the cotangent are written to."""
    subject, arrays, u = at_call(spec, call, rng)
    inputs_unchanged(subject, subject.run(arrays), arrays, u)


def check_no_aliases(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """A gradient shares memory with no other gradient, operand, result or cotangent."""
    subject, arrays, u = at_call(spec, call, rng)
    run = subject.run(arrays)
    no_aliases(run, run.backward(u), [u, *arrays])


def check_linear(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """The gradient is linear in the cotangent; of zero it is zero."""
    subject, arrays, u = at_call(spec, call, rng)
    run = subject.run(arrays)
    linear(subject, run, arrays, u, draw_cotangent(rng, u.shape))
    zero_in_zero_out(run, arrays, u)


def check_repeatable(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """Twice the same: bit for bit; and a second backward adds the same once more."""
    subject, arrays, u = at_call(spec, call, rng)
    once = gradients_of(subject, arrays, u)
    repeatable(gradients_of(subject, arrays, u), once)
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    out = spec.bind(call)(*leaves)
    out.backward(u)
    out.backward(u)
    same("backward twice", [np.asarray(leaf.grad) for leaf in leaves if leaf.grad is not None],
         [2 * g for g, leaf in zip(once, leaves, strict=True) if leaf.grad is not None], rtol=1e-15)


def check_constants(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """An operand that is a constant changes no other gradient, and costs nothing."""
    f, arrays = spec.bind(call), spec.draw(call, rng)
    u = draw_cotangent(rng, f(*arrays).shape)
    every = [Tensor(a, requires_grad=True) for a in arrays]
    whole = cost(f(*every))
    expected = gradients(f, arrays, u)
    for k in range(len(arrays) * (len(arrays) > 1)):
        for constant in (arrays[k], Tensor(arrays[k])):
            leaves = [Tensor(a, requires_grad=True) for a in arrays]
            out = f(*[constant if j == k else leaf for j, leaf in enumerate(leaves)])
            if not all(a <= b for a, b in zip(cost(out), whole, strict=True)):
                raise GradientError(f"operand {k}, a constant, makes the graph larger: {cost(out)} "
                                    f"nodes, arrays and bytes instead of {whole}")
            rest = [leaf for j, leaf in enumerate(leaves) if j != k]
            same(f"with operand {k} constant", walked(out, rest, u),
                 [g for j, g in enumerate(expected) if j != k])


def walked(out: Tensor, leaves: Sequence[Tensor], u: Array) -> list[Array]:
    """Walk back from `out`; zeros for a leaf that nothing reaches."""
    if out.requires_grad:
        out.backward(u)
    return [np.zeros(x.shape, x.dtype) if x.grad is None else np.asarray(x.grad) for x in leaves]


def cost(out: Tensor) -> tuple[int, int, int]:
    """Count the nodes behind `out`, the arrays they keep, and the bytes of those."""
    nodes: list[Node] = lineage(out._node) if out._node else []
    kept = {id(a): a.nbytes for n in nodes for a in n.saved if isinstance(a, np.ndarray)}
    return len(nodes), len(kept), sum(kept.values())


def check_adjoint(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """⟨u, J v⟩ = ⟨Jᵀ u, v⟩: forwards and backwards are one linear map."""
    f, arrays = spec.bind(call), spec.draw(call, rng)
    along = [draw_cotangent(rng, a.shape) for a in arrays]
    value, forwards = jvp(f, tuple(arrays), tuple(along))
    if value.shape != forwards.shape:
        raise GradientError(f"jvp: J v has shape {forwards.shape}, the value {value.shape}")
    u = draw_cotangent(rng, value.shape)
    back = vjp(f, *arrays)[1](u)
    left = np.sum(u * forwards.data)
    right = sum(np.sum(g.data * v) for g, v in zip(back, along, strict=True))
    size = np.sum(np.abs(u * forwards.data))
    if not abs(left - right) <= 1e-11 * size:
        raise GradientError(f"⟨u, J v⟩ = {left}, but ⟨Jᵀ u, v⟩ = {right}")


def check_recorded(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """A walk that is itself recorded, for higher orders, gives the same gradient."""
    f, arrays = spec.bind(call), spec.draw(call, rng)
    u = draw_cotangent(rng, f(*arrays).shape)
    seen = list[list[Array]]()

    def program(*xs: Tensor) -> Tensor:
        found = vjp(f, *xs)[1](u)
        seen.append([g.detach().data for g in found])
        total = Tensor(0.0)
        for g in found:
            total = total + g.sum()
        return total

    grad(program, tuple(range(len(arrays))))(*arrays)
    same("recorded walk", seen[0], gradients(f, arrays, u))


def check_layouts(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """However operands and cotangent lie in memory, values and gradients are the same."""
    subject, arrays, u = at_call(spec, call, rng)
    run = subject.run(arrays)
    laid_out(subject, run, arrays, u, gradients_of(subject, arrays, u))


def check_same_tensor_twice(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """One Tensor as every operand receives the sum of what equal but distinct ones receive."""
    narrow = Interval(max(i.low for i in spec.domain), min(i.high for i in spec.domain))
    if len(call.shapes) < 2 or len(set(call.shapes)) > 1 or narrow.low >= narrow.high:
        return
    f, (x,) = spec.bind(call), lattice(rng, [(narrow, call.shapes[0])])
    n = len(call.shapes)
    u = draw_cotangent(rng, f(*[x] * n).shape)
    apart = gradients(f, [x] * n, u)
    same("one Tensor as all operands", gradients(lambda t: f(*[t] * n), [x], u),
         [np.sum(apart, axis=0)])


def check_spellings(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """As a method, and as NumPy's function, it is the same: value and gradient."""
    f, arrays = spec.bind(call), spec.draw(call, rng)
    u = draw_cotangent(rng, f(*arrays).shape)
    for spelled in spec.others:
        g = spec.bind(call, spelled)
        leaves = [Tensor(a, requires_grad=True) for a in arrays]
        same("value of another spelling", [g(*leaves).data], [np.asarray(f(*arrays))])
        same("gradient of another spelling", gradients(g, arrays, u), gradients(f, arrays, u))


def check_subgradient(spec: OpSpec, call: Call, rng: np.random.Generator) -> None:
    """At kinks: ``f(y) ≥ f(x) + ⟨s, y − x⟩`` for the gradient s of a convex f. No tolerance."""
    if not (spec.convex and spec.kinks):
        return
    f, halves = spec.bind(call), [*spec.kinks, -2.0, 2.0]  # binary, and so exact
    for pool in (spec.kinks, halves, halves):
        x = [np.asarray(rng.choice(pool, shape), float) for shape in call.shapes]
        u = spec.convex * np.asarray(rng.integers(1, 8, f(*x).shape) / 8)
        slopes = gradients(f, x, u)
        moves = [bumped(x, k, place, step) for k, shape in enumerate(call.shapes)
                 for place in np.ndindex(shape) for step in (-0.5, 0.5)]
        for y in (*moves, *[spec.draw(call, rng) for _ in range(3)]):
            rise = np.sum(u * (f(*y) - f(*x)))
            least = sum(np.sum(s * (b - a)) for s, a, b in zip(slopes, x, y, strict=True))
            if not rise >= least:
                raise GradientError(f"no sub-gradient at {x}: towards {y} the function rises by "
                                    f"{rise}, the gradient says at least {least}")


CHECKS: tuple[Function, ...] = (
    check_value, check_gradient, check_dtypes, check_inputs_unchanged, check_no_aliases,
    check_linear, check_repeatable, check_constants, check_adjoint, check_recorded, check_layouts,
    check_same_tensor_twice, check_spellings, check_subgradient)


def check_op(spec: OpSpec, checks: Sequence[Function] = CHECKS, seed: int = 0) -> int:
    """Check all of `spec`'s calls by `checks`; say how many derivatives an oracle confirmed.

    GradientError names the operation, the call and the claim that does not hold.

    >>> import tinygrad_w2v as tg
    >>> calls = (Call(((2, 3), (3,))), Call(((), (4,))))
    >>> check_op(OpSpec("hypot", lambda x, y: tg.sqrt(x * x + y * y), np.hypot, calls))
    56
    """
    compared = 0
    for call in spec.calls:
        for check in checks:
            rng = np.random.default_rng(seed)
            try:
                compared += check(spec, call, rng) or 0
            except Exception as error:
                claim = inspect.getdoc(check)
                raise GradientError(f"{spec.name}({call}) fails {check.__name__}(…, seed={seed})\n"
                                    f"claim: {claim}\n{error}") from error
    return compared
