"""Oracles: three ways to know a derivative without a derivative rule, and `check_grad`, which asks.

1. **Complex step.** ``Im f(x + ih) / h`` for h = 1e-100 is f'(x) to the last bit: nothing is
   subtracted, so nothing cancels. It needs f to be analytic; three guards notice if it is not.
2. **Extrapolated central differences**, with an estimate of their own error. They say right, wrong
   or *inconclusive*, and inconclusive is never a pass.
3. At a kink there is no derivative to be compared with: there the sub-gradient inequality decides,
   see `invariants.check_subgradient`.

Order 2 differentiates the backward pass itself, as a program like any other.
"""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..functional import vjp
from ..sparse import Array, RowGrad
from ..tensor import Tensor, as_plain

Function = Callable[..., Any]

STEP = 1e-100       # of the complex step: so small that its square vanishes
RTOL = {"float64": 1e-12, "float32": 2e-5}


class GradientError(AssertionError):
    """A gradient is not what an oracle says it is, or no oracle can tell."""


class NotAnalyticError(Exception):
    """The complex step cannot judge this function; the message says why."""


class Agreement(NamedTuple):
    """What a passed check has shown: how many derivatives, judged by what, how far off the worst.

    `worst` is relative to the largest derivative by the same operand.
    """

    compared: int
    oracle: str
    worst: float


def draw_cotangent(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = float) -> Array:
    """Draw a cotangent of mixed signs, never 0 or ±1: k/64, which no precision rounds."""
    sizes, signs = rng.integers(17, 56, shape) / 64, rng.choice([-1.0, 1.0], shape)
    return np.asarray(sizes * signs, dtype)


# ── the two numerical oracles ─────────────────────────────────────────────────────────────────────


def bumped(arrays: Sequence[Array], k: int, place: tuple[int, ...], step: complex) -> list[Array]:
    """Copy `arrays`, with `step` added to one element of number `k`."""
    moved = [np.array(a, complex if isinstance(step, complex) else float) for a in arrays]
    moved[k][place] += step
    return moved


def complex_step(f: Function, arrays: Sequence[Array], u: Array, value: Array) -> list[Array]:
    """Gradients of Σ u·f by every element of `arrays`, exact to rounding.

    `f` takes and gives plain arrays; `value` is what it should give. NotAnalyticError if `f` cannot
    be judged so.

    >>> x = np.array([1.0, 2.0])
    >>> complex_step(lambda x: x**3, [x], np.ones(2), x**3)
    [array([ 3., 12.])]
    """
    try:
        plain = np.asarray(f(*[a.astype(complex) for a in arrays]))
    except TypeError as error:
        raise NotAnalyticError(f"it does not take complex numbers: {error}") from error
    if plain.shape != value.shape:
        raise NotAnalyticError(f"on complex numbers it has shape {plain.shape}, not {value.shape}")
    size = np.max(np.abs(value), initial=0)
    if not np.all(np.abs(plain.real - value) <= 1e-9 * size):
        raise NotAnalyticError("on complex numbers the real part of its value is another")
    gradients = [np.zeros(a.shape) for a in arrays]
    for k, gradient in enumerate(gradients):
        for place in np.ndindex(gradient.shape):
            out = np.asarray(f(*bumped(arrays, k, place, 1j * STEP)))
            gradient[place] = np.sum(u * out.imag) / STEP
    if not all(np.all(np.isfinite(g)) for g in gradients):
        raise NotAnalyticError("the complex step gives a derivative that is not finite")
    _check_by_differences(f, arrays, u, gradients)
    return gradients


def _check_by_differences(f: Function, arrays: Sequence[Array], u: Array,
                          gradients: list[Array]) -> None:
    """Guard against ``abs``, ``real``, ``conj``, finite on complex numbers and wrong; and kinks."""
    rng = np.random.default_rng(0)
    along = [draw_cotangent(rng, a.shape) for a in arrays]

    def line(t: float) -> float:
        moved = [a + t * v for a, v in zip(arrays, along, strict=True)]
        return float(np.sum(u * np.asarray(f(*moved))))

    step = 1e-5
    difference = (line(step) - line(-step)) / (2 * step)
    slopes = [np.sum(g * v) for g, v in zip(gradients, along, strict=True)]
    size = max(sum(np.sum(np.abs(g * v)) for g, v in zip(gradients, along, strict=True)),
               abs(difference))
    if not abs(difference - sum(slopes)) <= 1e-4 * size:
        raise NotAnalyticError("a central difference contradicts the complex step")
    wide, narrow = bend(line, 2.0**-10), bend(line, 2.0**-13)
    if not (narrow <= 0.5 * wide or narrow <= 1e-6 * (size + abs(line(0.0)))):
        raise NotAnalyticError("the slopes to the left and to the right differ: a kink")


def bend(line: Callable[[float], float], step: float) -> float:
    """The slope to the right minus the slope to the left: it vanishes with `step`, save at kinks.

    >>> bend(abs, 1e-3), bend(lambda t: t * t, 2**-10)
    (2.0, 0.001953125)
    """
    return abs(line(step) - 2 * line(0.0) + line(-step)) / step


def differences(f: Function, arrays: Sequence[Array], u: Array) -> tuple[list[Array], list[Array]]:
    """Gradients of Σ u·f by central differences extrapolated to step 0 (Ridders), and errors.

    The error is what the last extrapolations differ by; infinite where the slopes to the left and
    to the right do not approach each other: a kink.

    >>> x = np.array([1.0, 2.0])
    >>> (gradient,), (error,) = differences(np.exp, [x], np.ones(2))
    >>> bool(np.all(np.abs(gradient - np.exp(x)) < 1e-9)), bool(np.all(error < 1e-9))
    (True, True)
    """
    gradients = [np.zeros(a.shape) for a in arrays]
    errors = [np.zeros(a.shape) for a in arrays]
    for k, gradient in enumerate(gradients):
        for place in np.ndindex(gradient.shape):
            line = functools.partial(_along, f, arrays, u, k, place)
            gradient[place], errors[k][place] = ridders(line)
    return gradients, errors


def _along(f: Function, arrays: Sequence[Array], u: Array, k: int, place: tuple[int, ...],
           step: float) -> float:
    return float(np.sum(u * np.asarray(f(*bumped(arrays, k, place, step)))))


def ridders(line: Callable[[float], float], step: float = 1 / 64, rows: int = 8
            ) -> tuple[float, float]:
    """Derivative of `line` at 0, and an estimate of its error."""
    table, best, error = list[float](), np.nan, np.inf
    for row in range(rows):
        h = step / 2**row
        ahead, behind = line(h), line(-h)
        fresh = [(ahead - behind) / (2 * h)]
        for order, coarse in enumerate(table, 1):
            fresh.append(fresh[-1] + (fresh[-1] - coarse) / (4**order - 1))
            doubt = max(abs(fresh[-1] - fresh[-2]), abs(fresh[-1] - coarse))
            if doubt < error:
                best, error = fresh[-1], doubt
        table = fresh
    wide, narrow = bend(line, step), bend(line, step / 8)
    smooth = narrow <= 0.5 * wide or narrow <= 1e-6 * (abs(best) + abs(line(0.0)))
    return best, error if smooth else np.inf


def verdict(gradient: float, estimate: float, error: float, size: float,
            rtol: float = 1e-9) -> str:
    """Say right, wrong or inconclusive of one derivative; `size` is the largest one beside it.

    >>> verdict(1.0, 1.0, 1e-10, 1.0), verdict(1.1, 1.0, 1e-10, 1.0), verdict(1.0, 1.0, 0.1, 1.0)
    ('right', 'wrong', 'inconclusive')
    """
    if not error <= 1e-6 * size:
        return "inconclusive"
    return "right" if abs(gradient - estimate) <= 10 * error + rtol * size else "wrong"


# ── the check ─────────────────────────────────────────────────────────────────────────────────────


def check_grad(f: Function, *arrays: Any, ref: Function | None = None, order: int = 1,
               cotangent: Any = None, rtol: float | None = None, seed: int = 0) -> Agreement:
    """Compare the gradients of `f` at `arrays` with an oracle; GradientError if they differ.

    `f` takes Tensors and gives a Tensor. The cotangent is random, of mixed signs, drawn by `seed`.
    Type, shape and dtype are compared before values, values by ``|g − r| ≤ rtol · max|r|``; `rtol`
    is 1e-12 for float64 by the complex step. float32 is judged by the float64 truth for the same
    inputs. `order` 2 checks the second derivatives too: the gradient is a program, and its
    derivative is checked in the same way.

    `ref`: the same function in plain NumPy and analytic on complex numbers, if `f` is not (``abs``,
    ``logaddexp``); above order 1 it must take Tensors as well. Without it such an `f` is judged by
    extrapolated differences.

    >>> check_grad(lambda x, y: (x @ y).tanh(), np.ones((2, 3)), np.arange(3.0), order=2).compared
    18
    """
    operands = [np.asarray(a) for a in arrays]
    rng = np.random.default_rng(seed)
    leaves = [Tensor(a, requires_grad=True) for a in operands]
    out = f(*leaves)
    if not isinstance(out, Tensor):
        raise GradientError(f"the function gave {type(out).__name__}, not a Tensor: the graph is "
                            "lost")
    u = (draw_cotangent(rng, out.shape, out.dtype) if cotangent is None
         else np.array(cotangent, out.dtype))
    found = backward(out, u, leaves)
    report = Report(operands, u, seed, order)
    agreement = judge(found, ref, lambda *xs: f(*[Tensor(x) for x in xs]), report, rtol)
    if order == 1:
        return agreement
    along = [draw_cotangent(rng, a.shape, a.dtype) for a in operands]
    higher = check_grad(slope_along(f, u, along), *operands, ref=ref and slope_along(ref, u, along),
                        order=order - 1, rtol=rtol, seed=seed + 1)
    return Agreement(agreement.compared + higher.compared, agreement.oracle,
                     max(agreement.worst, higher.worst))


def slope_along(f: Function, u: Array, along: Sequence[Array]) -> Function:
    """The gradient of Σ u·f, made a function of one number again: its component along `along`."""

    def slope(*xs: Any) -> Tensor:
        _, pull = vjp(f, *[x if isinstance(x, Tensor) else Tensor(x) for x in xs])
        parts = [(g * v).sum() for g, v in zip(pull(u), along, strict=True)]
        total: Tensor = functools.reduce(operator.add, parts)
        return total

    return slope


def backward(out: Tensor, u: Array, leaves: Sequence[Tensor]) -> list[Array]:
    """Walk back from `out` with `u`; give what arrived at `leaves`, zeros where nothing did.

    GradientError unless it has the leaf's shape and dtype.
    """
    if out.requires_grad:
        out.backward(u)
    for k, leaf in enumerate(leaves):
        g = leaf.grad
        if g is None:
            continue
        if not isinstance(g, np.ndarray | RowGrad):
            raise GradientError(f"the gradient by operand {k} is a {type(g).__name__}")
        if g.shape != leaf.shape:
            raise GradientError(f"the gradient by operand {k} has shape {g.shape}, the operand "
                                f"{leaf.shape}: not un-broadcast?")
        if g.dtype != leaf.dtype:
            raise GradientError(f"the gradient by operand {k} is {g.dtype}, the operand is "
                                f"{leaf.dtype}")
    return [np.zeros(x.shape, x.dtype) if x.grad is None else np.asarray(x.grad) for x in leaves]


class Report(NamedTuple):
    """What it takes to repeat a check."""

    operands: Sequence[Array]
    u: Array
    seed: int
    order: int

    def error(self, what: str) -> GradientError:
        """Make the error that says `what`, and how to see it again."""
        with np.printoptions(floatmode="unique", threshold=sys.maxsize):
            given = ", ".join(np.array_repr(a) for a in self.operands)
            u = np.array_repr(self.u)
        return GradientError(f"{what}\nreproduce: check_grad(f, {given}, order={self.order}, "
                             f"cotangent={u}, seed={self.seed})")


def judge(found: list[Array], ref: Function | None, f: Function, report: Report,
          rtol: float | None) -> Agreement:
    """Compare gradients with the truth for the same inputs in float64, by the best oracle."""
    arrays, u = [a.astype(float) for a in report.operands], report.u.astype(float)
    program = _plain(ref or f)
    value = np.asarray(_plain(f)(*arrays))
    try:
        truth, oracle = complex_step(program, arrays, u, value), "complex step"
        errors = [np.zeros(a.shape) for a in arrays]
    except NotAnalyticError as why:
        if ref is not None:
            raise report.error(f"ref cannot serve as a reference: {why}") from why
        truth, errors = differences(program, arrays, u)
        oracle = "extrapolated differences"
    worst = 0.0
    for k, (g, r, error) in enumerate(zip(found, truth, errors, strict=True)):
        limit = RTOL[g.dtype.name] if rtol is None else rtol
        worst = max(worst, _compare(k, g, r, error, limit, oracle, report))
    return Agreement(sum(a.size for a in arrays), oracle, worst)


def _plain(program: Function) -> Function:
    """Make a program that may give a Tensor one that gives an array."""
    return lambda *arrays: np.asarray(as_plain(program(*arrays)))


def _compare(k: int, g: Array, r: Array, error: Array, rtol: float, oracle: str,
             report: Report) -> float:
    if not g.size:
        return 0.0
    size, off = np.max(np.abs(r)), np.abs(g - r)
    if oracle == "complex step":
        verdicts = np.where(off <= rtol * size, "right", "wrong")
    else:
        verdicts = np.vectorize(verdict, otypes=[object])(g, r, error, size, max(rtol, 1e-9))
    for place in map(tuple, np.argwhere(verdicts == "inconclusive").tolist()):
        raise report.error(
            f"inconclusive: the derivative by operand {k} at element {place} may be {g[place]}, "
            f"the {oracle} say {r[place]} ± {error[place]}. Is the point at a kink or at the edge "
            "of the domain? Move it, or pass ref=, an analytic reference")
    wrong = np.argwhere(verdicts == "wrong").tolist()
    for place in map(tuple, wrong):
        raise report.error(
            f"wrong gradient by operand {k} at element {place}, one of {len(wrong)} wrong among "
            f"{g.size}\n  backward: {g[place]}\n  {oracle}: {r[place]}")
    return float(np.max(off) / size) if size else 0.0
