"""Slopes without a derivative rule: the ladder of oracles, for plain functions of plain arrays.

1. **Complex step.** ``Im f(x + ih) / h`` for h = 1e-100 is f'(x) to the last bit: nothing is
   subtracted, so nothing cancels. It needs f to be analytic; guards notice if it is not.
2. **Extrapolated central differences in long double**, if f keeps long double and this machine's
   has more digits than double has.
3. **Extrapolated central differences** in double.

Differences estimate their own error, so they can say that they do not know. Each rung gives the
slopes of every output at once, and so of any number of weighted sums of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..sparse import Array

Function = Callable[..., Any]

STEP = 1e-100       # of the complex step: so small that its square vanishes
EPS = float(np.finfo(float).eps)
COMPLEX, LONG, DOUBLE = ("complex step", "extrapolated differences in long double",
                         "extrapolated differences")


class NotAnalyticError(Exception):
    """The complex step cannot judge this function; the message says why."""


class Truth(NamedTuple):
    """What an oracle says: by operand, the slopes of c weighted sums of the outputs, and errors.

    Both have shape (c, number of elements asked for). An infinite error: no derivative was found.
    """

    oracle: str
    slopes: list[Array]
    errors: list[Array]


def draw_cotangent(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = float) -> Array:
    """Draw a cotangent of mixed signs, never 0 or ±1: k/64, which no precision rounds."""
    sizes, signs = rng.integers(17, 56, shape) / 64, rng.choice([-1.0, 1.0], shape)
    return np.asarray(sizes * signs, dtype)


def draw_digits(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = float) -> Array:
    """Draw a cotangent with all the digits that `dtype` has: no narrower type can hold it."""
    return np.asarray(draw_cotangent(rng, shape) * (1 + rng.uniform(0, 1 / 64, shape)), dtype)


def bumped(arrays: Sequence[Array], k: int, place: tuple[int, ...], step: complex) -> list[Array]:
    """Copy `arrays`, with `step` added to one element of number `k`."""
    moved = [np.array(a, complex if isinstance(step, complex) else float) for a in arrays]
    moved[k][place] += step
    return moved


def everywhere(arrays: Sequence[Array]) -> list[Array]:
    """Name every element of every array, by its number in reading order."""
    return [np.arange(a.size) for a in arrays]


def project(weights: Array, column: Array) -> Array:
    """Σ w·column for each row w of `weights`, where a weight of exactly 0 gives 0 even times ∞."""
    if np.isfinite(column).all():
        return np.asarray(weights @ column)
    return np.asarray(np.sum(np.where(weights == 0, 0, weights * column), axis=1))


def find_truth(f: Function, arrays: Sequence[Array], value: Array, weights: Array,
               places: Sequence[Array] | None = None) -> tuple[Truth, NotAnalyticError | None]:
    """Ask the ladder for the slopes of ``weights @ f(arrays).ravel()``; say why not rung 1, if so.

    `places`: the elements asked for, of each array (None: all).

    >>> truth, _ = find_truth(np.square, [np.array([1.0, 2.0])], np.array([1.0, 4.0]), np.eye(2))
    >>> truth.oracle, truth.slopes[0].tolist()
    ('complex step', [[2.0, 0.0], [0.0, 4.0]])
    """
    places = everywhere(arrays) if places is None else places
    with np.errstate(all="ignore"):
        try:
            return complex_slopes(f, arrays, value, weights, places), None
        except NotAnalyticError as error:
            why = error
            if np.finfo(value.dtype).eps > EPS:
                why = NotAnalyticError(f"{error}; and the function gives {value.dtype} for float64,"
                                       " too coarse for differences")
        precise = None
        if np.finfo(np.longdouble).eps < EPS:
            precise = difference_slopes(f, arrays, value, weights, places, np.longdouble)
        return precise or difference_slopes(f, arrays, value, weights, places, float), why


# ── rung 1: the complex step ──────────────────────────────────────────────────────────────────────


def complex_step(f: Function, arrays: Sequence[Array], u: Array, value: Array) -> list[Array]:
    """Gradients of Σ u·f by every element of `arrays`, exact to rounding.

    `f` takes and gives plain arrays; `value` is what it should give. NotAnalyticError if `f` cannot
    be judged so.

    >>> x = np.array([1.0, 2.0])
    >>> complex_step(lambda x: x**3, [x], np.ones(2), x**3)
    [array([ 3., 12.])]
    """
    with np.errstate(all="ignore"):
        truth = complex_slopes(f, arrays, value, u.reshape(1, -1), everywhere(arrays))
    return [slope[0].reshape(a.shape) for slope, a in zip(truth.slopes, arrays, strict=True)]


def run_complex(f: Function, arrays: Sequence[Array]) -> Array:
    """Run `f` on complex numbers; NotAnalyticError if it cannot, or drops the imaginary part."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            return np.asarray(f(*arrays))
    except Exception as error:
        raise NotAnalyticError(f"it does not take complex numbers: {error}") from error


def complex_slopes(f: Function, arrays: Sequence[Array], value: Array, weights: Array,
                   places: Sequence[Array], step: float = STEP, guarded: bool = True) -> Truth:
    """Rung 1 of the ladder; NotAnalyticError if `f` is not analytic at `arrays`, as far as seen."""
    moved = [a.astype(complex, order="C") for a in arrays]  # reshape(-1) is a view
    doubt = guard(f, arrays, moved, value) if guarded else np.zeros(value.size)
    slopes = [np.zeros((len(weights), len(chosen))) for chosen in places]
    errors = [np.zeros(slope.shape) for slope in slopes]
    for k, chosen in enumerate(places):
        flat = moved[k].reshape(-1)
        for j, place in enumerate(chosen):
            before = flat[place]
            flat[place] = before + 1j * step
            column = np.asarray(f(*moved)).imag.reshape(-1) / step
            slopes[k][:, j] = project(weights, column)
            flat[place] = before
            if doubt.any() and not column.any():  # no effect seen: did it drop the imaginary part?
                errors[k][:, j] = np.abs(weights) @ doubt
    if not all(np.all(np.isfinite(slope)) for slope in slopes):
        raise NotAnalyticError("the complex step gives a derivative that is not finite")
    return Truth(COMPLEX, slopes, errors)


def guard(f: Function, arrays: Sequence[Array], moved: Sequence[Array], value: Array) -> Array:
    """Raise NotAnalyticError for ``abs``, ``real``, ``conj``, finite and wrong; and for kinks.

    Gives, for each output, how large a slope its rounding would hide from this guard, 0 where that
    is next to nothing.
    """
    plain = run_complex(f, moved)
    if plain.shape != value.shape:
        raise NotAnalyticError(f"on complex numbers it has shape {plain.shape}, not {value.shape}")
    if plain.dtype.kind == "c" and np.finfo(plain.dtype).eps > EPS:
        raise NotAnalyticError(f"it gives {plain.dtype} for complex128")
    size = np.max(np.abs(value), initial=0)
    rng = np.random.default_rng(0)
    along = [draw_cotangent(rng, a.shape) for a in arrays]

    def line(t: float) -> Array:
        return np.asarray(f(*[a + t * v for a, v in zip(arrays, along, strict=True)]), float)

    def lean(h: float) -> Array:
        out = run_complex(f, [a + 1j * h * v for a, v in zip(arrays, along, strict=True)])
        return np.asarray(out.imag / h)

    if not np.all((np.abs(plain.real - value) <= 1e-9 * size) | (plain.real == value)):
        around = [line(t) for t in rng.uniform(-1, 1, 30) * 2.0**-50]
        moves = np.ptp(around, axis=0)
        if not np.all(np.abs(plain.real - value) <= 1e-9 * size + 8 * np.max(moves, initial=0)):
            raise NotAnalyticError("on complex numbers the real part of its value is another")
    slope = lean(STEP)
    loose = np.zeros(slope.shape)  # how far rounding moves the slope itself
    for step, reach, tries in (2.0**-16, 2.0**-33, 3), (2.0**-16, 2.0**-33, 30), (
            2.0**-30, 2.0**-40, 30):
        # Rounding may not show at once; and what bends a lot is straight enough close by only.
        difference = (line(step) - line(-step)) / (2 * step)
        wide, narrow = bend(line, 64 * step, value), bend(line, 8 * step, value)
        steep = np.abs(slope) + np.abs(difference)
        strays = [np.abs(line(t) - value - t * slope)
                  for t in rng.uniform(-1, 1, tries) * reach]
        noise = 4 * EPS * np.abs(value) + np.max(strays, axis=0 if tries == 3 else None, initial=0)
        allowed = 1e-4 * steep + 1e-7 * np.max(steep, initial=0) + 4 * noise / step + 4 * loose
        contradicted = ~(np.abs(difference - slope) <= allowed) & np.isfinite(slope)
        bent = ~((narrow <= 0.5 * wide) | (narrow <= 1e-6 * steep + 4 * noise / step))
        if not np.any(contradicted | (bent & np.isfinite(slope))):
            break
        loose = np.ptp([lean(STEP * h) for h in rng.uniform(1, 2, 6)], axis=0)
    else:
        raise NotAnalyticError("a central difference contradicts the complex step"
                               if contradicted.any() else
                               "the slopes to the left and to the right differ: a kink")
    small_terms(line, slope, noise)
    doubt = 4 * noise / step
    return np.where(doubt > 1e-12 * size, doubt, 0).reshape(-1)


def small_terms(line: Callable[[float], Array], slope: Array, noise: Array) -> None:
    """Raise NotAnalyticError where finer differences contradict `slope`: a penalty, |x|/10000.

    From far and from near: what oscillates fast looks straight from too far away.
    """
    contradicted, judged = np.isfinite(slope), np.zeros(slope.shape, bool)
    size = np.max(np.abs(slope), initial=0, where=contradicted)
    for step in 2.0**-6, 2.0**-11, 2.0**-16:
        difference, error = ridders(line, step)
        allowed = 10 * error + 1e-8 * size + 2.0**9 * noise / step
        known = np.isfinite(error) & np.isfinite(difference)
        contradicted &= ~known | (np.abs(difference - slope) > allowed)
        judged |= known
    if np.any(contradicted & judged):
        raise NotAnalyticError("an extrapolated difference contradicts the complex step")


def bend(line: Callable[[float], Any], step: float, middle: Any = None) -> Any:
    """The slope to the right minus the slope to the left: it vanishes with `step`, save at kinks.

    >>> bend(abs, 1e-3), bend(lambda t: t * t, 2**-10)
    (2.0, 0.001953125)
    """
    middle = line(0.0) if middle is None else middle
    return abs(line(step) - 2 * middle + line(-step)) / step


# ── rungs 2 and 3: extrapolated differences ───────────────────────────────────────────────────────


def differences(f: Function, arrays: Sequence[Array], u: Array) -> tuple[list[Array], list[Array]]:
    """Gradients of Σ u·f by central differences extrapolated to step 0 (Ridders), and errors.

    The error is what the last extrapolations differ by; infinite where the slopes to the left and
    to the right do not approach each other: a kink.

    >>> x = np.array([1.0, 2.0])
    >>> (gradient,), (error,) = differences(np.exp, [x], np.ones(2))
    >>> bool(np.all(np.abs(gradient - np.exp(x)) < 1e-9)), bool(np.all(error < 1e-9))
    (True, True)
    """
    with np.errstate(all="ignore"):
        truth = difference_slopes(f, arrays, np.asarray(f(*arrays)), u.reshape(1, -1),
                                  everywhere(arrays), float)
    if truth is None:
        raise NotAnalyticError("the function does not give float64 for float64")
    return ([s[0].reshape(a.shape) for s, a in zip(truth.slopes, arrays, strict=True)],
            [e[0].reshape(a.shape) for e, a in zip(truth.errors, arrays, strict=True)])


def difference_slopes(f: Function, arrays: Sequence[Array], value: Array, weights: Array,
                      places: Sequence[Array], dtype: Any) -> Any:
    """Rungs 2 and 3 of the ladder; None where `f` does not keep `dtype`, or is not itself in it."""
    moved = [np.array(a, dtype, order="C") for a in arrays]
    if dtype is not float:
        try:
            start = np.asarray(f(*moved))
        except Exception:  # a function that cannot take long double is asked in double
            return None
        size = np.max(np.abs(value), initial=0)
        if start.dtype != dtype or start.shape != value.shape or not np.all(
                (np.abs(start - value) <= 1e-9 * size) | (start == value)):
            return None
    slopes = [np.zeros((len(weights), len(chosen))) for chosen in places]
    errors = [np.zeros(slope.shape) for slope in slopes]
    for k, chosen in enumerate(places):
        flat = moved[k].reshape(-1)
        for j, place in enumerate(chosen):
            before = flat[place]

            def line(h: float, flat: Array = flat, place: int = place, before: Any = before) -> Any:
                flat[place] = before + h
                out = np.array(f(*moved)).reshape(-1)
                flat[place] = before
                return out

            column, error = best_ridders(line, float(before))
            slopes[k][:, j] = project(weights, column)
            errors[k][:, j] = project(np.abs(weights), error)
    return Truth(DOUBLE if dtype is float else LONG, slopes, errors)


def best_ridders(line: Callable[[float], Array], x: float) -> tuple[Array, Array]:
    """Extrapolate from a step fit for numbers about 1; where that fails, from one fit for `x`."""
    scale = 2.0 ** np.floor(np.log2(max(abs(x), 1.0)))
    column, error = ridders(line, scale / 64)
    if x and not np.all(error <= 1e-9 * np.abs(column)):
        other, doubt = ridders(line, 2.0 ** np.floor(np.log2(abs(x))) / 16)
        closer = doubt < error
        column, error = np.where(closer, other, column), np.where(closer, doubt, error)
    tiny = np.finfo(np.result_type(column, float)).eps * scale
    if (own := np.finfo(np.asarray(line(0.0)).dtype).eps) > EPS:
        # Rounding is larger than what so small a step shows; unless nothing at all is rounded.
        steps = [scale / 2.0**k for k in range(6, 14)]
        chords = np.array([(line(h) - line(-h)) / (2 * h) for h in steps])
        beside = np.max(np.abs([line(steps[0]), line(-steps[0])]), axis=0)
        error = error + np.where(np.ptp(chords, axis=0) == 0, 0, 64 * own * beside / scale)
    scatter = np.ptp([line(k * tiny) for k in (-3, -2, -1, 0, 1, 2, 3)], axis=0)
    return column, error + 1024 * scatter / scale


def ridders(line: Callable[[float], Any], step: float = 1 / 64, rows: int = 8) -> tuple[Any, Any]:
    """Derivative of `line` at 0, and an estimate of its error; elementwise, if it gives arrays."""
    for _ in range(40):  # near the edge of its domain the function stands on narrow ground
        if np.all(np.isfinite(line(step))) and np.all(np.isfinite(line(-step))):
            break
        step /= 2
    table, middle = list[Any](), line(0.0)
    best, error = np.full(np.shape(middle), np.nan), np.full(np.shape(middle), np.inf)
    for row in range(rows):
        h = step / 2**row
        fresh = [np.asarray((line(h) - line(-h)) / (2 * h))]
        for order, coarse in enumerate(table, 1):
            fresh.append(fresh[-1] + (fresh[-1] - coarse) / (4**order - 1))
            doubt = np.maximum(np.abs(fresh[-1] - fresh[-2]), np.abs(fresh[-1] - coarse))
            best, error = np.where(doubt < error, fresh[-1], best), np.fmin(doubt, error)
        table = fresh
    wide, narrow = bend(line, step, middle), bend(line, step / 8, middle)
    rounding = 64 * np.finfo(np.asarray(middle).dtype).eps * np.abs(middle) / step
    smooth = (narrow <= 0.5 * wide) | (narrow <= 1e-6 * np.abs(best) + rounding)
    return best, np.where(smooth, error, np.inf)


def verdict(gradient: float, estimate: float, error: float, size: float,
            rtol: float = 1e-9) -> str:
    """Say right, wrong or inconclusive of one derivative; `size` is the largest one beside it.

    >>> verdict(1.0, 1.0, 1e-10, 1.0), verdict(1.1, 1.0, 1e-10, 1.0), verdict(1.0, 1.0, 0.1, 1.0)
    ('right', 'wrong', 'inconclusive')
    """
    if not error <= 1e-6 * size:
        return "inconclusive"
    return "right" if abs(gradient - estimate) <= 10 * error + rtol * size else "wrong"


# ── at a kink: one-sided slopes ───────────────────────────────────────────────────────────────────


def one_sided(line: Callable[[float], Array], step: float = 2.0**-14
              ) -> tuple[Array, Array, Array]:
    """Slopes of `line` to the left and to the right of 0, and how far both are to be trusted.

    >>> [float(s) for s in one_sided(lambda t: np.abs(np.float64(t)) + t)[:2]]
    [0.0, 2.0]
    """
    middle, steps = line(0.0), [step, step / 2, step / 4]
    sides, errors = list[Array](), list[Array]()
    for sign in (-1.0, 1.0):
        a, b, c = [sign * (line(sign * h) - middle) / h for h in steps]
        finer, fine = 2 * c - b, 2 * b - a      # the term linear in h goes
        sides.append((4 * finer - fine) / 3)    # and the quadratic one
        errors.append(np.abs(sides[-1] - finer))
    rounding = 64 * EPS * np.abs(middle) / steps[-1]
    return sides[0], sides[1], errors[0] + errors[1] + rounding
