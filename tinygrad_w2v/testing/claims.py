"""What must hold for every function and its pullback, whatever they compute.

Each function here states one claim about a `Subject` at one point, and raises a `GradientError`
where it does not hold. `check_grad`, `check_vjp` and `check_op` all ask these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ..sparse import Array, RowGrad
from .subject import RTOL, GradientError, Run, Subject, dense, gradients

ROUNDS = 16  # how often rounding is provoked, to see how large it is


def same(what: str, found: Sequence[Array], expected: Sequence[Array], rtol: float = 1e-12,
         floors: Sequence[float] | None = None, mistake: str = "") -> None:
    """Require arrays to agree: in shape and dtype, and in value to `rtol` of the largest.

    `floors`: for each array, a difference that is rounding.
    """
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            raise GradientError(f"{what}: number {k} is {a.dtype} of shape {a.shape}, expected "
                                f"{b.dtype} of shape {b.shape}", mistake=mistake, operand=k)
        if np.array_equal(a, b):
            continue
        with np.errstate(all="ignore"):
            limit = rtol * np.max(np.abs(b), initial=0) + (floors[k] if floors else 0)
            fits = (np.abs(a - b) <= limit) | (a == b) | (np.isnan(a) & np.isnan(b))
        for place in map(tuple, np.argwhere(~fits).tolist()):
            raise GradientError(f"{what}: number {k} at {place} is {a[place]}, expected {b[place]}",
                                mistake=mistake, operand=k, element=place)


def nudged(rng: np.random.Generator, arrays: Sequence[Array]) -> list[Array]:
    """Move every number by a few units in its last place, never by none; 0 stays."""
    steps = [rng.integers(1, 17, a.shape) * rng.choice([-1, 1], a.shape) for a in arrays]
    return [np.asarray(np.where(a == 0, a, a + step * np.spacing(a)), a.dtype)
            for a, step in zip(arrays, steps, strict=True)]


def rounding(what: Callable[[list[Array]], list[Array]], arrays: Sequence[Array]) -> list[float]:
    """How far the numbers that `what` gives move when the operands are rounded anew: the largest.

    All of them lie in plain order: what another layout changes is no rounding.
    """
    rng = np.random.default_rng(0)
    seen = [what([np.array(a, order="C") for a in nudged(rng, arrays)]) for _ in range(2 * ROUNDS)]
    with np.errstate(all="ignore"):
        return [4 * float(np.max(np.ptp(np.asarray(moves), axis=0), initial=0))
                for moves in zip(*seen, strict=True)]


def agree(claim: str, found: Sequence[Array], expected: Sequence[Array],
          what: Callable[[list[Array]], list[Array]], arrays: Sequence[Array], mistake: str = ""
          ) -> None:
    """Require two ways to ``what(arrays)`` to agree, but for rounding."""
    if all(map(identical, found, expected)):
        return
    rtol = max([RTOL.get(g.dtype.name, 0) for g in expected], default=0)
    try:
        same(claim, found, expected, rtol)
    except GradientError:
        floors = rounding(what, arrays)  # perhaps all is cancelled, and rounding is left
        if np.all(np.isfinite(floors)):
            same(claim, found, expected, rtol, floors, mistake)


def identical(a: Array, b: Array) -> bool:
    """Tell whether two arrays hold the same numbers (nan being nan)."""
    return a.shape == b.shape and a.dtype == b.dtype and (
        a.tobytes() == b.tobytes() or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))


def layouts(a: Array) -> Iterator[tuple[str, Array]]:
    """Lay the values of `a` out in memory in every way there is."""
    a = np.ascontiguousarray(a).reshape(a.shape)
    frozen = a.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen
    if a.ndim:
        yield "reversed", np.flip(np.flip(a).copy())
        yield "with gaps", np.repeat(a, 2, axis=-1)[..., ::2]
        order = np.roll(np.arange(a.ndim), 1)  # a 3-cycle is not its own inverse
        yield "transposed", a.transpose(order).copy().transpose(np.argsort(order))
    first = a.reshape(-1)[0] if a.size else a.dtype.type(0)
    yield "repeated by stride 0", np.broadcast_to(first, a.shape)


# ── the claims ────────────────────────────────────────────────────────────────────────────────────


def pure(subject: Subject, arrays: Sequence[Array]) -> Run:
    """The function gives the same again, and leaves its operands as they were."""
    before = [a.copy() for a in arrays]
    run = subject.run(arrays)
    value = run.out.copy()
    untouched("the function", arrays, before)
    again = subject.run(arrays)
    if not identical(again.out, value):
        raise GradientError(
            "the function gave two results for the same operands: it draws random numbers (a "
            "dropout?) or keeps a state. Fix the seed, or pass what is drawn as an argument",
            mistake="random")
    if not identical(run.out, value):
        raise GradientError("a second call changed the result of the first: the function gives "
                            "out the same memory again", mistake="random")
    return run


def untouched(who: str, arrays: Sequence[Array], before: Sequence[Array]) -> None:
    """What was handed over has not been written to."""
    for k, (a, old) in enumerate(zip(arrays, before, strict=True)):
        if not identical(a, old):
            what = f"operand {k} or the cotangent"
            raise GradientError(f"{who} wrote to what it was given: {what} was written to. Work on "
                                "a copy", mistake="input written to", operand=k)


def inputs_unchanged(subject: Subject, run: Run, arrays: Sequence[Array], u: Array) -> list[Any]:
    """Neither the operands nor the cotangent are written to on the way back."""
    before = [a.copy() for a in (*arrays, u, run.out)]
    found = run.pull(u)
    untouched(subject.name, (*arrays, u, run.out), before)
    return found


def no_aliases(run: Run, found: Sequence[Any], others: Sequence[Array]) -> None:
    """A gradient shares memory with no other gradient, operand, result or cotangent."""
    parts = [(k, g.rows if isinstance(g, RowGrad) else g) for k, g in enumerate(found)
             if isinstance(g, np.ndarray | RowGrad)]
    for (j, a), (k, b) in combinations(parts, 2):
        if np.may_share_memory(a, b) and np.shares_memory(a, b):
            raise GradientError(f"two gradients share memory, by operands {j} and {k}: a later "
                                "addition to one would change the other. Return copies",
                                mistake="shared memory", operand=k)
    for k, a in parts:
        if any(np.may_share_memory(a, b) and np.shares_memory(a, b) for b in (*others, run.out)):
            raise GradientError(f"a gradient shares memory with an operand, the result or the "
                                f"cotangent: the one by operand {k}. Return a copy",
                                mistake="shared memory", operand=k)


def kept(run: Run, u: Array) -> None:
    """A gradient stays what it is when another one is asked for."""
    first = [g.rows if isinstance(g, RowGrad) else g for g in run.backward(u.copy())]
    before = [np.array(g) for g in first if isinstance(g, np.ndarray)]
    second = [g.rows if isinstance(g, RowGrad) else g for g in run.backward(2 * u)]
    firsts = [(k, g) for k, g in enumerate(first) if isinstance(g, np.ndarray)]
    for (k, g), old in zip(firsts, before, strict=True):
        if not identical(g, old) or any(isinstance(h, np.ndarray) and np.shares_memory(g, h)
                                        for h in second):
            raise GradientError(f"two calls give out the same memory: the gradient by operand {k} "
                                "is that of the last call. Return a new array each time",
                                mistake="shared memory", operand=k)


def linear(subject: Subject, run: Run, arrays: Sequence[Array], u: Array, w: Array) -> None:
    """The gradient is linear in the cotangent; of zero it is zero."""
    mixed = 2 * u - 3 * w
    parts = zip(dense(run.pull(u), arrays), dense(run.pull(w), arrays), strict=True)
    agree("gradient of 2u - 3w", dense(run.pull(mixed), arrays),
          [np.asarray(2 * a - 3 * b) for a, b in parts],
          lambda xs: gradients(subject, xs[:-1], xs[-1]), [*arrays, mixed],
          "not linear in the cotangent")
    zero_in_zero_out(run, arrays, u)


def zero_in_zero_out(run: Run, arrays: Sequence[Array], u: Array) -> None:
    """The gradient of a cotangent of zeros is zero, even where the slope is infinite."""
    for k, g in enumerate(dense(run.pull(np.zeros_like(u)), arrays)):
        if np.any(g) and np.all(np.isfinite(g)):
            raise GradientError(f"gradient of a zero cotangent: by operand {k} it is not zero",
                                mistake="cotangent ignored", operand=k)
        if not np.all(g == 0):
            raise GradientError(
                f"gradient of a zero cotangent: by operand {k} it is not finite. What cannot reach "
                "the loss must not poison it: np.where(g == 0, 0, …)",
                mistake="strong zero dropped", operand=k)


def repeatable(again: Sequence[Array], once: Sequence[Array]) -> None:
    """Twice the same: bit for bit."""
    if not all(map(identical, again, once)):
        same("the same again", again, once, 0, mistake="not repeatable")


def laid_out(subject: Subject, run: Run, arrays: Sequence[Array], u: Array,
             expected: Sequence[Array], together: bool = False) -> None:
    """However operands and cotangent lie in memory, values and gradients are the same.

    Each operand and the cotangent in every layout, the others plain. `together` is quicker: all are
    laid out at once, each in another way, and one by one only if something is wrong.
    """
    with np.errstate(all="ignore"):
        if together:
            try:
                for name, laid in _together([*arrays, u]):
                    _compare(name, subject, laid, run, [*arrays, u], expected)
            except GradientError:
                laid_out(subject, run, arrays, u, expected)
                raise
            return
        for name, laid in _apart([*arrays, u]):
            _compare(name, subject, laid, run, [*arrays, u], expected)
        for name, zeros in layouts(np.zeros_like(u)):
            nothing = dense(run.pull(np.zeros_like(u)), arrays)
            _compare(f"cotangent of zeros, {name}", subject, [*arrays, zeros], run,
                     [*arrays, np.zeros_like(u)], nothing)


def _compare(name: str, subject: Subject, laid: Sequence[Array], run: Run, known: Sequence[Array],
             expected: Sequence[Array]) -> None:
    """Compare value and gradients of operands and cotangent (the last) `laid` out with plain ones.

    `known` are those at which the value is that of `run`, and the gradients are `expected`.
    """
    plain, value = list(known), run.out
    if not all(map(identical, laid, known)):
        plain = [np.array(a, order="C") for a in laid]
        try:
            other = subject.run(plain[:-1])
            value, expected = other.out, dense(other.pull(plain[-1].copy()), plain[:-1])
        except Exception:  # equal numbers may be out of the domain of the function
            return
        if not np.all(np.isfinite(value)) or value.shape != run.out.shape:
            return
    there = _run_laid(name, lambda: subject.run(laid[:-1]))
    agree(f"value, {name}", [there.out], [value], lambda xs: [subject.run(xs).out], plain[:-1],
          "layout")
    found = _run_laid(name, lambda: dense(there.pull(laid[-1]), laid[:-1]))
    agree(name, found, expected, lambda xs: gradients(subject, xs[:-1], xs[-1]), plain, "layout")
    untouched(f"{name}: {subject.name}", laid, plain)


def _run_laid(name: str, run: Any) -> Any:
    try:
        return run()
    except GradientError:
        raise
    except Exception as error:
        raise GradientError(f"{name}: {type(error).__name__}: {error}. The same numbers in plain "
                            "order were no trouble (check_vjp: if they need not be, layouts=False)",
                            mistake="layout") from error


def _apart(arrays: Sequence[Array]) -> Iterator[tuple[str, list[Array]]]:
    for k, a in enumerate(arrays):
        who = "cotangent" if k == len(arrays) - 1 else f"operand {k}"
        for name, laid in layouts(a):
            yield f"{who} {name}", [laid if j == k else b.copy() for j, b in enumerate(arrays)]


def _together(arrays: Sequence[Array]) -> Iterator[tuple[str, list[Array]]]:
    ways = [list(layouts(a)) for a in arrays]
    for turn in range(1, max(map(len, ways))):
        chosen = [way[-1] if turn > 3 or len(way) < 3 else way[1 + (turn + k) % 3]
                  for k, way in enumerate(ways)]
        for _, laid in chosen:
            laid.flags.writeable = False
        name = ", ".join(f"operand {k} {name}" for k, (name, _) in enumerate(chosen[:-1]))
        yield f"{name}, cotangent {chosen[-1][0]}, all read-only", [laid for _, laid in chosen]
