"""Naming mistakes: what must be wrong, for the gradient to be what it is.

Every likely mistake is a hypothesis, and a hypothesis says what the gradient would be. The true
Jacobian is known from an oracle: "the cotangent was squared" is ``(g * g) @ J``, "result for
operand" is J at another point. A name is given only if the wrong gradient *is* that, at several
points and for several cotangents; if nothing fits, nothing is named.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ..sparse import Array, unbroadcast
from .report import steps
from .slopes import draw_cotangent, everywhere, find_truth
from .subject import Pair, Program, Subject, pulled

LARGEST = 40_000  # entries of a Jacobian that is worth computing for a name
NOT_DYADIC = 1.1  # cotangents are drawn with few digits, and a cast would not change them
SECONDS = 2.0  # for a name
Candidates = Iterator[tuple[str, str, Any]]

CONSTANTS = {"ln 2": math.log(2), "ln 10": math.log(10), "π": math.pi, "√2": math.sqrt(2),
             "e": math.e, "180/π": 180 / math.pi, "√π": math.sqrt(math.pi)}


class Mistake(NamedTuple):
    """A likely mistake: its short name, and a sentence."""

    name: str
    says: str


class TooLargeError(ValueError):
    """The Jacobian is not worth computing for a name."""


class Scene:
    """One point and one cotangent: what the gradient by operand k is there, and what it should be.

    `jacobians[j]` has shape (m, size of operand j).
    """

    def __init__(self, subject: Subject, arrays: Sequence[Array], k: int, seed: int):
        self.subject, self.arrays, self.k = subject, list(arrays), k
        run = subject.run(self.arrays)
        if run.out.size * sum(a.size for a in arrays) > LARGEST:
            raise TooLargeError
        self.out = run.out.copy()
        drawn = draw_cotangent(np.random.default_rng(seed), self.out.shape, float)
        self.u = (drawn * NOT_DYADIC).astype(self.out.dtype).astype(float)
        self.x, self.shape = self.arrays[k], self.arrays[k].shape
        self.found = self.pull(self.arrays)
        self.jacobians = self.truth(self.arrays)
        self.jacobian = self.jacobians[k]
        self.right = self.through(self.u)

    def pull(self, arrays: Sequence[Array]) -> Array:
        """The gradient in question, taken at `arrays`."""
        run = self.subject.run(arrays)
        row = pulled(self.subject, run, arrays, self.u.reshape(1, -1))[self.k]
        return np.asarray(row.reshape(arrays[self.k].shape).astype(float))

    def truth(self, arrays: Sequence[Array]) -> list[Array]:
        """The true Jacobians at `arrays`; ValueError if the function has other values there."""
        wide = [a.astype(float) for a in arrays]
        value = self.subject.value(*wide)
        if value.size * sum(a.size for a in arrays) > LARGEST:
            raise TooLargeError
        truth, _ = find_truth(self.subject.value, wide, value, np.eye(value.size),
                              everywhere(arrays))
        return truth.slopes

    def through(self, u: Array, jacobian: Array | None = None, shape: Any = None) -> Array:
        """The gradient by operand k that the cotangent `u` should give."""
        j = self.jacobian if jacobian is None else jacobian
        return np.asarray((u.reshape(-1) @ j).reshape(self.shape if shape is None else shape))


def name_mistakes(subject: Subject, arrays: Sequence[Array], k: int) -> list[Mistake]:
    """Name what may be wrong in the gradient by operand `k`; the likeliest comes first.

    >>> from .subject import Pair
    >>> cube = Pair(lambda x: x**3, lambda g, x: g * 3 * x)
    >>> name_mistakes(cube, [np.array([0.5, 2.0])], 0)
    []
    >>> name_mistakes(Pair(np.exp, lambda g, x: g * x), [np.array([0.5, 2.0])], 0)[0].name
    'operand for result'
    """
    with np.errstate(all="ignore"):
        scenes = list(_scenes(subject, arrays, k))
        if not scenes:
            return []
        if not all(np.isfinite(scene.found).all() for scene in scenes):
            return [_not_finite(subject, arrays)]
        return _remove_echoes([*_nearly(scenes), *_fitting(scenes), *_factors(scenes)])


def _scenes(subject: Subject, arrays: Sequence[Array], k: int) -> Iterator[Scene]:
    """Look at the point twice, and at one close by."""
    rng = np.random.default_rng(12345)
    near = [np.asarray(a * rng.uniform(0.96, 1.04, a.shape), a.dtype) for a in arrays]
    began = perf_counter()
    for seed, point in enumerate([arrays, arrays, near]):
        if perf_counter() - began > SECONDS / 2:
            return
        try:
            scene = Scene(subject, point, k, seed)
        except TooLargeError:
            return
        except Exception:  # the point close by may be out of the domain, and no name is no harm
            continue
        if np.isfinite(scene.right).all() and not close(scene.found, scene.right, 1e-12):
            yield scene


def _not_finite(subject: Subject, arrays: Sequence[Array]) -> Mistake:
    """Name the rule that makes of a cotangent of 0 what is not finite, if there is one."""
    try:
        for step in steps(subject, arrays) if isinstance(subject, Program) else []:
            if (k := step.poisoned()) is not None:
                return Mistake("strong zero dropped", "a cotangent of 0 must give 0 even where the "
                               f"slope is infinite, and does not in {step.says(k)}")
    except Exception:  # a step that cannot be taken again is not accused
        pass
    return Mistake("not finite", "the gradient is not finite where the true one is")


def close(a: Array, b: Any, rtol: float) -> bool:
    """Tell whether `a` is `b`, which must be finite, to `rtol` of the largest."""
    b = np.asarray(b)
    return a.shape == b.shape and bool(np.all(np.isfinite(b))) and bool(
        np.all(np.abs(a - b) <= rtol * np.max(np.abs(b), initial=0)))


def is_permutation(jacobian: Array) -> bool:
    """Tell whether the results are operands in another order, each once: only places matter."""
    some = jacobian != 0
    return bool(np.all(some.sum(axis=0) <= 1) and np.all(some.sum(axis=1) == 1)
                and not np.all(np.diag(some)) and np.ptp(jacobian[some]) == 0)


def _fitting(scenes: list[Scene]) -> list[Mistake]:
    """Keep the hypotheses that hold in every scene, and are not the truth in every one."""
    single = any(a.dtype == np.float32 for a in scenes[0].arrays)
    rtol = 2e-5 if single else 1e-9
    fits, telling = list[dict[Mistake, None]](), set[Mistake]()
    for scene in scenes:
        here = dict[Mistake, None]()
        for name, says, candidate in _candidates(scene):
            left, right = candidate if isinstance(candidate, tuple) else (scene.found, candidate)
            if close(left, right, rtol):
                here[Mistake(name, says)] = None
                if isinstance(candidate, tuple) or not close(right, scene.right, 1e3 * rtol):
                    telling.add(Mistake(name, says))
        fits.append(here)
    return [m for m in fits[0] if m in telling and all(m in here for here in fits[1:])]


def _candidates(scene: Scene) -> Candidates:
    """Go through the hypotheses, until the time for one scene is over."""
    began = perf_counter()
    for family in (_lost, _cotangents, _unbroadcasts, _signs, _slopes, _orders, _operands,
                   _duplicates, _jacobians, _arguments, _shuffled):
        try:
            for candidate in family(scene):
                yield candidate
                if perf_counter() - began > SECONDS / 3:
                    return
        except Exception:  # a hypothesis that cannot be evaluated here explains nothing
            continue


# ── the hypotheses: a name, a sentence, and what the gradient would be ────────────────────────────


def _lost(s: Scene) -> Candidates:
    yield "gradient lost", (f"nothing arrives at operand {s.k}: its derivative is missing, or it "
                            "was detached"), np.zeros(s.shape)
    right = (s.found == s.right) | (np.abs(s.found - s.right)
                                    <= 1e-12 * np.max(np.abs(s.right), initial=0))
    if right.any() and not right.all():
        yield "gradient lost in part", ("some elements get nothing, the others what they should"), (
            np.where(right, s.found, 0))


def _cotangents(s: Scene) -> Candidates:
    u = s.u
    yield "cotangent ignored", "g does not enter: multiply by g", s.through(np.ones_like(u))
    yield "cotangent squared", "g enters twice", s.through(u * u)
    yield "cotangent's sign lost", "|g| in place of g", s.through(np.abs(u))
    yield "cotangent by its sign only", "sign(g) in place of g", s.through(np.sign(u))
    if u.size > 1:
        yield "cotangent summed", ("all of g is summed, or averaged, before it is used"), (
            s.through(np.full_like(u, u.sum())))
        yield "cotangent summed", ("the mean of g is used in place of g"), (
            s.through(np.full_like(u, u.mean())))


def _slopes(s: Scene) -> Candidates:
    for g in [] if is_permutation(s.jacobian) else _spread(s.u, s.shape):
        yield "slope forgotten", "the cotangent is passed on as it came", g
    if s.u.shape == np.broadcast_shapes(s.u.shape, s.shape):
        yield "value for slope", ("the function itself stands where its derivative belongs"), (
            unbroadcast(s.u * s.out, s.shape))
    if s.u.size == s.x.size and s.u.size:
        slope = np.diag(s.jacobian)
        if np.count_nonzero(s.jacobian) == np.count_nonzero(slope):
            yield "slope inverted", "g is divided by the slope, not multiplied", (
                (s.u.reshape(-1) / slope).reshape(s.shape))
            yield "slope squared", "the slope enters twice", (
                (s.u.reshape(-1) * slope**2).reshape(s.shape))


def _spread(u: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """Every plain way to give `u` the shape of an operand."""
    if (fitted := unbroadcast(u, shape)) is not None:
        yield fitted
    if u.size == math.prod(shape):
        yield u.reshape(shape)
    for n in range(1, len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), n):
            if tuple(s for a, s in enumerate(shape) if a not in axes) == u.shape:
                yield np.broadcast_to(np.expand_dims(u, axes), shape)


def _operands(s: Scene) -> Candidates:
    for j, other in enumerate(s.arrays):
        if j == s.k:
            continue
        if other.shape == s.shape:
            yield "operands swapped", f"this is the gradient by operand {j}", (
                s.through(s.u, s.jacobians[j]))
        yield "operands swapped", f"operands {s.k} and {j} change places", _swapped(s, j)
    for j, other in enumerate(s.arrays):
        if other.shape != s.out.shape:
            continue
        moved = [np.array(s.out if i == j else a, float) for i, a in enumerate(s.arrays)]
        yield "result for operand", f"the result stands where operand {j} belongs", (
            s.through(s.u, s.truth(moved)[s.k]))
        if s.subject.value(*moved).shape == s.out.shape:
            yield "operand for result", f"operand {j} stands where the result belongs", (
                s.pull(moved), s.right)


def _swapped(s: Scene, j: int) -> Any:
    """The true gradient by operand k with operands k and j exchanged, broadcast alike if needed."""
    pair = [s.arrays[s.k], s.arrays[j]]
    if pair[0].shape != pair[1].shape:
        pair = [np.array(np.broadcast_to(a, s.out.shape)) for a in pair]
    moved = list(s.arrays)
    moved[s.k], moved[j] = pair[1], pair[0]
    return unbroadcast(s.through(s.u, s.truth(moved)[s.k], moved[s.k].shape), s.shape)


def _unbroadcasts(s: Scene) -> Candidates:
    wholes = {s.out.shape, *[s.out.shape[:-n] + s.shape[-n:] for n in (1, 2) if len(s.shape) >= n]}
    for whole in sorted(wholes - {s.shape}):
        if unbroadcast(np.empty(whole), s.shape) is None:
            continue
        moved = [np.array(np.broadcast_to(a, whole) if i == s.k else a, float)
                 for i, a in enumerate(s.arrays)]
        if s.subject.value(*moved).shape != s.out.shape:
            continue
        g = s.through(s.u, s.truth(moved)[s.k], whole)
        lead = len(whole) - len(s.shape)
        axes = tuple([a for a, side in enumerate(whole)
                      if a < lead or (s.shape[a - lead] == 1 != side)])
        yield from _reduced(g, axes, s.shape)


def _reduced(g: Array, axes: tuple[int, ...], shape: tuple[int, ...]) -> Candidates:
    moved = np.moveaxis(g, axes, range(len(axes)))
    lines = moved.reshape(math.prod(g.shape[a] for a in axes), *shape)
    yield "un-broadcast by mean", "what came back is averaged: it is to be summed", lines.mean(0)
    yield "un-broadcast by first", "of what came back only the first is kept: sum it", lines[0]
    yield "un-broadcast by last", "of what came back only the last is kept: sum it", lines[-1]
    yield "un-broadcast by max", "of what came back the largest is kept: sum it", lines.max(0)
    for others in itertools.combinations(range(g.ndim), len(axes)):
        if others != axes and g.sum(axis=others).size == math.prod(shape):
            yield "un-broadcast over wrong axis", (
                f"what came back is summed over axis {others}, not {axes}"), (
                g.sum(axis=others).reshape(shape))


def _arguments(s: Scene) -> Candidates:
    """What a vjp gives if the cotangent is not passed first."""
    if not isinstance(s.subject, Pair):
        return
    given = s.subject.bind(s.arrays)
    for place in range(1, len(given) + 1):
        last = [*given[:place], s.u, *given[place:]]
        swapped = [s.u if i == place else a for i, a in enumerate([given[place - 1], *given])]
        for order in [last, swapped][:1 if place == 1 else 2]:
            copies = [np.array(a) if isinstance(a, np.ndarray) else a for a in order]
            try:
                found = s.subject.sort(s.subject.vjp(*copies), s.arrays)[s.k]
            except Exception:  # in this order they may not fit together
                continue
            yield "arguments swapped", (
                "with the cotangent in another place the gradient is right: a vjp is called with "
                "g first, vjp(g, *operands)"), (np.asarray(found, float), s.right)


def _duplicates(s: Scene) -> Candidates:
    terms = s.u.reshape(-1, 1) * s.jacobian
    used = terms != 0
    if not terms.size or used.sum(axis=0).max() < 2 or used.sum(axis=1).max() > 1:
        return  # nothing is used twice, or results are made of several elements
    m = len(terms)
    last, first = m - 1 - np.argmax(used[::-1], axis=0), np.argmax(used, axis=0)
    says = "a place that is named more than once keeps its {} share: add them up (np.add.at)"
    columns = np.arange(terms.shape[1])
    yield "duplicates lost", says.format("last"), terms[last, columns].reshape(s.shape)
    yield "duplicates lost", says.format("first"), terms[first, columns].reshape(s.shape)
    yield "duplicates averaged", "shares of one place are averaged: they are to be summed", (
        (terms.sum(axis=0) / np.maximum(used.sum(axis=0), 1)).reshape(s.shape))


def _orders(s: Scene) -> Candidates:
    shape = s.shape
    for order in itertools.permutations(range(len(shape))):
        if order != tuple(range(len(shape))) and len(shape) < 5:
            yield "transpose", "the axes are not put back in their order", (
                s.right.transpose(order).reshape(shape))
    for n in range(1, len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), n):
            yield "order not undone", f"what was reversed along axis {axes} is not turned back", (
                np.flip(s.right, axes))
    for axis, side in enumerate(shape):
        for shift in range(1, min(side, 9)):
            yield "order not undone", f"rolled along axis {axis}, and not back", (
                np.roll(s.right, shift, axis))
            yield "order not undone", f"rolled along axis {axis}, and not back", (
                np.roll(s.right, -shift, axis))


def _jacobians(s: Scene) -> Candidates:
    u, j = s.u, s.jacobian
    for i, a in enumerate(s.arrays):
        if a.ndim > 1 and a.shape[-1] == a.shape[-2]:
            moved = [np.array(b.swapaxes(-1, -2) if i == n else b) for n, b in enumerate(s.arrays)]
            yield "transpose", f"operand {i} is to be transposed", s.through(u, s.truth(moved)[s.k])
    if u.ndim > 1 and u.shape[-1] == u.shape[-2]:
        yield "transpose", "g is transposed, and should not be", (
            s.through(np.ascontiguousarray(u.swapaxes(-1, -2))))
    if u.size != s.x.size:
        return
    if not is_permutation(j):
        yield "transpose", "J g in place of Jᵀ g: the derivative is applied forwards", (
            (j @ u.reshape(-1)).reshape(s.shape))
    yield "diagonal only", ("each element's own share is there, what it does to the others is "
                            "forgotten"), (np.diag(j) * u.reshape(-1)).reshape(s.shape)
    yield "diagonal forgotten", "each element's own share is missing", (
        s.right - (np.diag(j) * u.reshape(-1)).reshape(s.shape))


def _signs(s: Scene) -> Candidates:
    yield "wrong sign", "the gradient is −1 times the true one", -s.right
    yield "sign of the slope lost", "|slope| in place of the slope", (
        s.through(s.u, np.abs(s.jacobian)))
    yield "wrong sign", "at some elements the sign is wrong", (
        np.abs(s.found), np.abs(s.right))


def _shuffled(s: Scene) -> Candidates:
    yield "order not undone", "these are the right numbers in the wrong places", (
        np.sort(s.found, axis=None), np.sort(s.right, axis=None))


# ── a constant factor, and what is nearly right ───────────────────────────────────────────────────


def _factors(scenes: list[Scene]) -> list[Mistake]:
    found = np.concatenate([s.found.reshape(-1) for s in scenes])
    right = np.concatenate([s.right.reshape(-1) for s in scenes])
    big = np.abs(right) > 1e-6 * np.max(np.abs(right), initial=0)
    if not big.any():
        return []
    ratio = float(np.median(found[big] / right[big]))
    single = any(a.dtype == np.float32 for a in scenes[0].arrays)
    if abs(ratio) < 1e-12 or not close(found, ratio * right, 2e-5 if single else 1e-9):
        return []
    if abs(ratio + 1) < 1e-9:
        return []  # named a wrong sign
    if abs(ratio - 1) < 0.02 and not _name_freedom(ratio, scenes[0]):
        return [Mistake("relative slip", f"off by a constant factor of 1 {ratio - 1:+.2g}: a "
                                        "constant with a slip in its digits?")]
    hint = ". A value that is used twice, and counts once?" if abs(ratio - 0.5) < 1e-9 else ""
    name = _name_number(ratio, scenes[0])
    return [Mistake("constant factor", f"the gradient is {name} times the true one{hint}")]


def _name_number(ratio: float, scene: Scene) -> str:
    """Say what number `ratio` is: a fraction, a famous constant, the length of a side."""
    sign, size = "−" if ratio < 0 else "", abs(ratio)
    sides = _sides(scene)
    names = {str(n): float(n) for n in (2, 3, 4)} | {
        "½": 0.5, "⅓": 1 / 3, "¼": 0.25} | CONSTANTS
    said = next((n for n, v in names.items() if abs(size - v) < 1e-5 * v), "")
    said = said or next((f"1/({n})" for n, v in CONSTANTS.items() if abs(size * v - 1) < 1e-5), "")
    more = next((f", n, {n}" for n, v in sides.items() if v > 1 and abs(size - v) < 1e-5 * v), "")
    more = more or next((f", 1/n, n {n}" for n, v in sides.items()
                         if v > 1 and abs(size * v - 1) < 1e-5), "")
    return f"{sign}{said or format(size, '.6g')}{more}{_name_freedom(size, scene)}"


def _sides(scene: Scene) -> dict[str, int]:
    """The lengths that a factor may be made of, and what they are called."""
    x, out = scene.x, scene.out
    sides = {"the number of elements": x.size, "the number of results": out.size,
             **{f"the length of axis {a}": side for a, side in enumerate(x.shape)}}
    if x.size and out.size:
        sides["the number of elements a result is made of"] = x.size // out.size
    return sides


def _name_freedom(size: float, scene: Scene) -> str:
    """Say so if `size` is (n−1)/n, or its inverse or root: of a variance with other freedom."""
    for name, n in _sides(scene).items():
        if n > 2:  # of two elements these are 2 and ½, which say nothing
            share = (n - 1) / n
            for said, value in {"(n−1)/n": share, "n/(n−1)": 1 / share,
                                "√((n−1)/n)": math.sqrt(share),
                                "√(n/(n−1))": math.sqrt(1 / share)}.items():
                if abs(size - value) < 1e-4 * abs(value - 1):
                    return f", {said}, n {name}: ddof?"
    return ""


def _nearly(scenes: list[Scene]) -> list[Mistake]:
    off = max(map(_off, scenes))
    if off > 5e-4 or _even(scenes, off):
        return []
    if off < 1e-6 and (where := _cast(scenes)):
        return [Mistake("float32 cast", f"{where} float32: something was cast")]
    return [Mistake("relative slip", f"off by {off:.1g} of the largest, differently in places: a "
                                    "step of differences, a small number added to a divisor, an "
                                    "approximation, a wrong digit?")]


def _cast(scenes: list[Scene]) -> str:
    """Say what is of float32, in every scene; "" if nothing is, or if all was from the start."""
    if any(a.dtype == np.float32 for a in scenes[0].arrays):
        return ""
    for says, as_cast in (("the values are those of", lambda s: _single(s.found)),
                          ("g is used as", lambda s: s.through(_single(s.u))),
                          ("the slope is of", lambda s: s.through(s.u, _single(s.jacobian))),
                          ("the operands are used as", _of_single_operands)):
        try:
            if all(close(s.found, as_cast(s), 1e-2 * _off(s)) for s in scenes):
                return says
        except Exception:  # operands that are rounded may be out of the domain
            continue
    return "off in places, up and down, as after a cast to" if _scattered(scenes) else ""


def _single(a: Array) -> Array:
    return a.astype(np.float32).astype(float)


def _of_single_operands(s: Scene) -> Array:
    return s.through(s.u, s.truth([_single(a) for a in s.arrays])[s.k])


def _off(s: Scene) -> float:
    """How far the gradient is off, relative to its largest element."""
    return float(np.max(np.abs(s.found - s.right), initial=0)
                 / np.max(np.abs(s.right), initial=1e-300))


def _scattered(scenes: list[Scene]) -> bool:
    """Tell whether elements are off as by rounding to 24 bits: both ways, each by about 6e-8.

    Rounding is another at a point close by; what a smooth function is off by is nearly the same.
    """
    slips = []
    for s in scenes:
        some = s.right != 0
        slips.append((np.where(some, s.found, 1) / np.where(some, s.right, 1) - 1).reshape(-1))
    slip = np.concatenate(slips)
    slip = slip[slip != 0]
    if slip.size < 6 or not 0.2 <= np.mean(slip > 0) <= 0.8:
        return False
    here, near = slips[0], slips[-1]
    smooth = np.all(np.abs(here - near) <= 0.3 * np.maximum(np.abs(here), np.abs(near)))
    return bool(np.median(np.abs(slip)) > 1.2e-8 and 3e-8 < np.max(np.abs(slip)) < 2.5e-7
                and not smooth)


def _even(scenes: list[Scene], off: float) -> bool:
    """Tell whether all is off by one factor, next to 1: `_factors` has the word for it."""
    found = np.concatenate([s.found.reshape(-1) for s in scenes])
    right = np.concatenate([s.right.reshape(-1) for s in scenes])
    factor = (found @ right) / (right @ right)
    return close(found, factor * right, 1e-3 * off) and off > 1e-11


def _remove_echoes(mistakes: list[Mistake]) -> list[Mistake]:
    """Keep the first of each name, and of names that say the same the sharper one."""
    first = dict[str, Mistake]()
    for mistake in mistakes:
        first.setdefault(mistake.name, mistake)
    if any(name.startswith("un-broadcast") for name in first):
        first.pop("duplicates lost", None)
        first.pop("duplicates averaged", None)
    for alone in ("relative slip", "float32 cast", "gradient lost"):
        if alone in first:
            return [first[alone]]
    if "constant factor" in first:  # where the slope is a constant, to forget it is a factor
        first = {"constant factor": first.pop("constant factor"), **first} if not any(
            name.startswith(("un-broadcast", "dup", "cotangent")) for name in first) else first
    return list(first.values())
