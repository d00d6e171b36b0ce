"""The examination: one function, its pullback and one point; all that is checked, and the report.

Values are judged by the ladder of oracles, the claims beside them by `claims`. What is wrong is
explained: the likely mistake, the rule and its line, and the call that shows it again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..graph import GraphError
from ..sparse import Array
from ..tensor import as_plain
from .claims import (
    ROUNDS,
    inputs_unchanged,
    kept,
    laid_out,
    no_aliases,
    nudged,
    pure,
    repeatable,
    untouched,
    zero_in_zero_out,
)
from .mistakes import Mistake, name_mistakes
from .report import SHOWN, Step, Steps, show, shrink, source, steps, where
from .slopes import (
    COMPLEX,
    LONG,
    STEP,
    NotAnalyticError,
    Truth,
    complex_slopes,
    draw_cotangent,
    draw_digits,
    everywhere,
    find_truth,
    one_sided,
    ridders,
    run_complex,
)
from .subject import (
    RTOL,
    GradientError,
    Pair,
    Program,
    Run,
    Subject,
    check_types,
    dense,
    pulled,
    slope_along,
)

Function = Callable[..., Any]

LARGE = 1024.0       # a cotangent that somebody might clip; its inverse somebody might drop
SAYS = {
    "tie rule": "where values are equal, the shares must add up to what moving them together does",
    "not a number": "the function has finite slopes on all sides: choose one where the rule "
                    "divides 0 by 0",
    "strong zero dropped": "a cotangent of 0 must give 0 even where the slope is infinite: "
                           "np.where(g == 0, 0, …), or elementwise=True"}
ORDINALS = {2: "second", 3: "third"}
UNITS = 256          # entries of a Jacobian that is compared whole
EVERY = 500          # elements that are compared each
WORK = 1_000_000     # elements times size of the largest array
SAMPLE = 64          # elements compared of each operand, where they are too many
ROUNDED = 200_000    # elements that are rounded anew, over all rounds
DIRECTIONS = 8       # and directions through all of them


class Agreement(NamedTuple):
    """What a passed check has shown: how many derivatives, judged by what, how far off the worst.

    `worst` is relative to the largest derivative by the same operand, whatever rounding excuses;
    only where that derivative is itself no more than rounding, all terms having cancelled, it is
    measured in tolerances of what rounding makes of them. `covered` says what has been
    compared: "the whole Jacobian", "every element", or how many elements and directions of a
    problem too large for that.
    """

    compared: int
    oracle: str
    worst: float
    covered: str = "every element"


class WrongGradientError(GradientError):
    """A value is wrong: for the operand, the element, and the cotangent `u`."""

    u: Array


@dataclass
class Case:
    """One function at one point: what is checked, against what, and all that has been found out."""

    subject: Subject
    operands: list[Array]
    ref: Function | None
    rtol: float | None
    seed: int
    level: int = 1
    below: Case | None = None
    layouts: bool = True
    u: Array = field(init=False)
    given: Any = None

    def examine(self, rng: np.random.Generator, cotangent: Any, thorough: bool = True) -> Agreement:
        """Check all there is, values first; explain what is wrong."""
        try:
            return self._examine(rng, cotangent, thorough)
        except GradientError as error:
            raise self.explain(error) from error.__cause__
        except GraphError as error:
            raise self.explain(self.wrong_shape(error)) from error

    def _examine(self, rng: np.random.Generator, cotangent: Any, thorough: bool) -> Agreement:
        run = self.start(thorough)
        drawn = draw_cotangent(rng, run.out.shape, run.out.dtype)
        self.u = drawn if cotangent is None else self.accept(cotangent, run.out)
        alive = np.ones(run.out.size, bool) if cotangent is None else (self.u != 0).reshape(-1)
        with np.errstate(all="ignore"):
            found = run.backward(self.u.copy())
            check_types(self.subject, found, self.operands)
            agreement = self.judge(run, dense(found, self.operands), alive, rng, thorough)
            if thorough:
                self.keep_promises(run, found)
        return agreement

    def start(self, thorough: bool) -> Run:
        """Run the function once, or twice to see that it is one; its result must be of floats."""
        try:
            with np.errstate(all="ignore"):
                run = (pure(self.subject, self.operands) if thorough
                       else self.subject.run(self.operands))
        except GradientError:
            raise
        except Exception as error:
            shapes = ", ".join(f"{a.dtype} {a.shape}" for a in self.operands)
            error.add_note(f"raised by the function to be checked, at operands of {shapes}")
            raise
        if run.out.dtype.kind != "f":
            raise GradientError(f"the function gave {run.out.dtype}: only floats can be "
                                "differentiated", mistake="gradient lost")
        return run

    def accept(self, cotangent: Any, out: Array) -> Array:
        """Take the cotangent that was passed, in the shape and dtype of the result."""
        u = np.array(as_plain(cotangent), out.dtype)
        if u.shape != out.shape:
            raise ValueError(f"the cotangent has shape {u.shape}, the function gave {out.shape}: "
                             "they must be equal")
        if u.size and not u.any():
            raise ValueError("the cotangent is zero everywhere: any gradient would pass. Pass one "
                             "that is not, or none")
        self.given = u
        return u

    def keep_promises(self, run: Run, found: list[Any]) -> None:
        """Check all that must hold beside the values."""
        arrays, u, known = self.operands, self.u, dense(found, self.operands)
        cotangent = u.copy()
        again = run.backward(cotangent)
        untouched(self.subject.name, [*arrays, cotangent], [*arrays, u])
        no_aliases(run, again, [cotangent, *arrays])
        if np.all(np.isfinite(run.out)):
            zero_in_zero_out(run, arrays, u)
        repeatable(dense(again, arrays), known)
        inputs_unchanged(self.subject, run, arrays, u.copy())
        kept(run, u)
        if self.layouts and sum(a.size for a in arrays) <= EVERY:
            laid_out(self.subject, run, arrays, u, known, together=True)

    # ── values ────────────────────────────────────────────────────────────────────────────────────

    def judge(self, run: Run, found: list[Array], alive: Array, rng: np.random.Generator,
              thorough: bool) -> Agreement:
        """Compare gradients with the truth for the same inputs in float64, by the best oracle."""
        wide = [a.astype(float) for a in self.operands]
        program = self.ref or self.subject.value
        value = self.value_at(wide, run, alive)
        weights, covered = self.weigh(run, alive, rng, thorough)
        n, m = sum(a.size for a in wide), value.size
        places = everywhere(wide)
        if n > EVERY or n * max(n, m) > WORK:
            places = [_some(rng, a.size) for a in wide]
            chosen = sum(map(len, places))
            covered = f"{chosen} of {n} elements, and {DIRECTIONS} directions through all"
        if self.ref is not None and np.finfo(value.dtype).eps > np.finfo(float).eps:
            value = self.finer(value, np.asarray(self.ref(*wide)))
        truth, why = find_truth(program, wide, value, weights, places)
        if why is not None and self.ref is not None:
            raise GradientError(f"ref cannot serve as a reference: {why}") from why
        rows = [[g.reshape(1, -1)[:, p]] for g, p in zip(found, places, strict=True)]
        if len(weights) > 1:
            others = pulled(self.subject, run, self.operands, weights[1:])
            rows = [[*row, g[:, p]] for row, g, p in zip(rows, others, places, strict=True)]
        judged = [np.concatenate(row) for row in rows]
        worst = self.compare(judged, truth, weights, places, why)
        if chosen_only := covered.startswith(f"{sum(map(len, places))} of"):
            if truth.oracle == COMPLEX:
                self.each_element(program, wide, value, found, rng, worst)
            self.follow_directions(program, wide, found, rng, truth.oracle, worst)
        compared = sum(map(len, places)) if chosen_only else n
        return Agreement(compared, truth.oracle, worst, covered)

    def value_at(self, wide: list[Array], run: Run, alive: Array) -> Array:
        """The function's value in double; GradientError where it is used and not finite."""
        value = np.asarray(self.subject.value(*wide))
        used = alive.reshape(run.out.shape) if value.shape == run.out.shape else True
        for place in np.argwhere(~np.isfinite(value) & used).tolist():
            at = tuple(place)
            raise GradientError(f"the function itself is not finite: its result at {at} is "
                                f"{value[at]}. Move the point into its domain", element=at,
                                mistake="function not finite")
        return value

    def finer(self, value: Array, other: Array) -> Array:
        """Take the value of the reference, which has more digits, if it is the same function."""
        near = RTOL["float32"] * np.max(np.abs(value), initial=0)
        if other.shape != value.shape:
            return value.astype(float)
        close = (np.abs(other - value) <= near) | (other == value)
        return other if np.all(close) else value.astype(float)

    def weigh(self, run: Run, alive: Array, rng: np.random.Generator, thorough: bool
              ) -> tuple[Array, str]:
        """Choose the cotangents, one a row: the main one, a large one with zeros, a small one.

        And, if there are few, all units. The large one has all the digits that its type has, so
        that no narrower type can hold it.
        """
        m, n = run.out.size, sum(a.size for a in self.operands)
        rows = [self.u.reshape(1, -1).astype(float)]
        if m:
            some = ((np.arange(m) + rng.integers(3)) % 3 != 0) * alive  # a zero among three
            rows.append(draw_digits(rng, (1, m), self.u.dtype).astype(float) * some * LARGE)
            rows += [draw_cotangent(rng, (1, m)) * alive / LARGE] * thorough
        covered = "every element"
        if thorough and 0 < m * n <= UNITS and alive.all():
            rows.append(np.eye(m))
            covered = "the whole Jacobian"
        if not alive.all():
            covered += f", for a cotangent with {m - np.count_nonzero(alive)} zeros among {m}"
        return np.concatenate(rows), covered

    def compare(self, found: list[Array], truth: Truth, weights: Array, places: Sequence[Array],
                why: NotAnalyticError | None) -> float:
        """Compare row by row; GradientError for the first element that is not right."""
        worst = 0.0
        for k, (g, r, error) in enumerate(zip(found, truth.slopes, truth.errors, strict=True)):
            if not g.size:
                continue
            limit = self.limit(k)
            fine = _verdicts(g, r, error, limit, truth.oracle) == 0
            size = np.max(np.abs(r[0]), initial=0)
            if not fine.all():
                for rounds in ROUNDS, 16 * ROUNDS:  # what is seldom seen is sought longer
                    floors = self.floors(weights, places, truth, rounds)[k]
                    verdicts = _verdicts(g, r, error, limit, truth.oracle, floors)
                    if _far(np.abs(g - r)[verdicts > 0], floors):
                        break
                if verdicts.any():
                    self.fail(k, g, r, error, verdicts, weights, places[k], truth, why)
                if size <= floors[0, 0]:
                    size = float(floors[0, 0]) / limit
            if size:
                worst = max(worst, float(np.max(np.abs(g[0] - r[0])) / size))
        return worst

    def limit(self, k: int | None = None) -> float:
        """How far gradients by operand k (None: by any) may be off, relative to the largest."""
        return self.precision(k) if self.rtol is None else self.rtol

    def precision(self, k: int | None = None) -> float:
        """The tolerance that belongs to the types of operand k (None: all) and of the result."""
        operands = self.operands if k is None else [self.operands[k]]
        return max(RTOL[a.dtype.name] for a in (*operands, self.u))

    def floors(self, weights: Array, places: Sequence[Array], truth: Truth, rounds: int
               ) -> list[Array]:
        """How far gradients may be off because numbers are rounded; one for each row of weights.

        Operands and cotangents are rounded anew, again and again. What is counted is how far the
        true gradient moves by that, and how the distance between gradient and truth scatters: a
        wrong gradient keeps its distance, rounding does not. But what scatters need not be
        rounding, so `most_scatter` bounds the second part. Nothing is learnt from the point itself.
        """
        rng = np.random.default_rng(1)
        truths, scatter, highest = list[list[Array]](), list[list[Array]](), 0.0
        affordable = max(4, ROUNDED // (1 + sum(a.size for a in self.operands)))
        for _ in range(min(rounds, affordable)):
            *moved, w = nudged(rng, [*self.operands, weights.astype(self.u.dtype)])
            wide, w = [a.astype(float) for a in moved], w.astype(float)
            try:
                run = self.subject.run(moved)
                highest = max(highest, float(np.max(np.abs(run.out), initial=0)))
                rows = pulled(self.subject, run, moved, w)
                found = [g[:, p].astype(float) for g, p in zip(rows, places, strict=True)]
                true = [np.zeros(g.shape) for g in found]
                if truth.oracle == COMPLEX:
                    program, value = self.ref or self.subject.value, self.subject.value(*wide)
                    true = complex_slopes(program, wide, value, w, places,
                                          STEP * rng.uniform(1, 2), guarded=False).slopes
            except Exception:  # beside the point the function may not be defined
                continue
            truths.append(true)
            scatter.append([g - r for g, r in zip(found, true, strict=True)])
        none = [np.zeros((len(weights), 1)) for _ in self.operands]
        if len(truths) < 2:
            return none
        sizes = np.max(np.abs(weights), axis=1, keepdims=True, initial=0)
        most = [self.most_scatter(k, r, sizes * max(1.0, highest))
                for k, r in enumerate(truth.slopes)]
        return [np.nan_to_num(np.minimum(4 * _span(s, sizes), limit) + 2 * _span(t, sizes),
                              nan=0, posinf=0)
                for s, t, limit in zip(zip(*scatter, strict=True), zip(*truths, strict=True), most,
                                       strict=True)]

    def most_scatter(self, k: int, r: Array, terms: Array) -> Array:
        """How far rounding may move a gradient by operand k further than the truth, row by row.

        No more than 1000 tolerances of the largest derivative. Where that is rounding itself, all
        terms have cancelled: then `terms`, as large as weights times values, give the scale.
        """
        size, x = np.max(np.abs(r), axis=1, keepdims=True, initial=0), np.abs(self.operands[k])
        tolerance = self.precision()
        rounded = tolerance * terms * max(1.0, 1 / float(np.min(x, where=x > 0, initial=1)))
        return np.asarray(1000 * tolerance * size + np.where(size <= rounded, 1000, 1) * rounded)

    def fail(self, k: int, g: Array, r: Array, error: Array, verdicts: Array, weights: Array,
             chosen: Array, truth: Truth, why: NotAnalyticError | None) -> None:
        """Raise the error for what is wrong; if nothing is, for what is inconclusive."""
        wrong = bool((verdicts == 2).any())
        row, column = np.argwhere(verdicts == (2 if wrong else 1))[0]
        place = tuple(map(int, np.unravel_index(chosen[column], self.operands[k].shape)))
        u = weights[row].reshape(self.u.shape)
        have, want = g[row, column], r[row, column]
        if not wrong:
            self.look_at_sides()
            said = f"by {truth.oracle} it is {want} ± {error[row, column]}"
            if truth.oracle == COMPLEX:
                said = ("on complex numbers the element has no effect, and rounding hides slopes "
                        f"below {error[row, column]:.1g}")
            raise GradientError(
                f"inconclusive: the derivative by operand {k} at element {place} may be {have}, "
                f"but {said}. "
                + ("" if np.isfinite(have) else "The slope there is infinite, or not a number. ")
                + (f"The complex step cannot tell: {why}. " if why else "")
                + "Is the point at a kink or at the edge of the domain? Move it, or pass ref=, an "
                "analytic reference", operand=k, element=place, mistake="inconclusive")
        count = int((verdicts[row] == 2).sum())
        told = WrongGradientError(
            f"wrong gradient by operand {k} at element {place}, one of {count} wrong among "
            f"{g.shape[1]}\n  {self.subject.name}: {have}\n  {truth.oracle}: {want}"
            + ("" if row == 0 else f"\n  for the cotangent {show(u.astype(self.u.dtype))}"),
            operand=k, element=place)
        told.u = u.astype(self.u.dtype)
        if not np.isfinite(have) and np.isfinite(want) and np.any(u == 0):
            told.mistake = "strong zero dropped"
        raise told

    # ── at kinks, and where there is too much to look at ──────────────────────────────────────────

    def look_at_sides(self) -> None:
        """At a kink: a gradient must lie between the slopes on its sides, in every direction.

        For one output at a time: of a sum with weights of both signs that is not true. Along an
        axis the slopes at points close by count, too; where equal numbers move together, a rule for
        ties has no choice.
        """
        wide = [a.astype(float) for a in self.operands]
        n, m = sum(a.size for a in wide), self.u.size
        if n * m > UNITS:
            return
        rows = np.concatenate(pulled(self.subject, self.subject.run(self.operands), self.operands,
                                     np.eye(m)), axis=1)
        flat = np.concatenate([a.reshape(-1) for a in wide])
        cuts = np.cumsum([a.size for a in wide])[:-1]
        around = flat + 2.0**-11 * np.random.default_rng(3).choice([-1, 1], (12, n)) * (
            1 + np.arange(n) / (2 * n))

        def at(point: Array) -> Array:
            parts = [p.reshape(a.shape) for p, a in zip(np.split(point, cuts), wide, strict=True)]
            return np.asarray(self.subject.value(*parts), float).reshape(-1)

        for v, kind in _directions(flat):
            places = [flat, *around] if np.count_nonzero(v) == 1 else [flat]
            sides = [one_sided(functools.partial(step_along, at, x, v), step)
                     for x in places for step in (2.0**-14, 2.0**-22)]
            slopes = np.array([side for left, right, _ in sides for side in (left, right)])
            low, high = slopes.min(axis=0), slopes.max(axis=0)
            claimed, doubt = rows @ v, np.max([doubt for *_, doubt in sides], axis=0)
            margin = 1e-3 * (high - low) + 1e-6 * (np.abs(low) + np.abs(high)) + 10 * doubt
            outside = ~((claimed >= low - margin) & (claimed <= high + margin))
            if outside.any() and np.all(np.isfinite(margin)):
                self._no_subgradient(int(np.argmax(outside)), v, kind, claimed, low, high,
                                     np.eye(m), cuts)

    def _no_subgradient(self, c: int, v: Array, kind: str, claimed: Array, low: Array, high: Array,
                        weights: Array, cuts: Array) -> None:
        first = int(np.flatnonzero(v)[0])
        k = int(np.searchsorted(cuts, first, side="right"))
        local = first - (int(cuts[k - 1]) if k else 0)
        place = tuple(map(int, np.unravel_index(local, self.operands[k].shape)))
        told = WrongGradientError(
            f"wrong gradient by operand {k} at element {place}, at a kink: {kind}, the function "
            f"has slopes from {low[c]} to {high[c]}\n  {self.subject.name}: {claimed[c]}, which is "
            "no sub-gradient", operand=k, element=place, mistake="tie rule")
        if np.isnan(claimed[c]):
            told.mistake = "not a number"
        told.u = weights[c].reshape(self.u.shape).astype(self.u.dtype)
        raise told

    def each_element(self, program: Function, wide: list[Array], value: Array, found: list[Array],
                     rng: np.random.Generator, worst: float) -> None:
        """Compare every element by every operand whose Jacobian is seen to be diagonal."""
        for k, (a, g) in enumerate(zip(wide, found, strict=True)):
            if a.shape != value.shape:
                continue

            def along(v: Any, k: int = k) -> Array:
                moved = [b + 1j * STEP * v * (j == k) for j, b in enumerate(wide)]
                return np.asarray(run_complex(program, moved).imag / STEP)

            v, diagonal = draw_cotangent(rng, a.shape), along(1.0)
            size = np.max(np.abs(diagonal), initial=0)
            if not np.all(np.abs(along(v) - v * diagonal) <= 1e-12 * size):
                continue
            r = self.u.astype(float) * diagonal
            off = np.abs(g - r)
            off[~np.isfinite(off)] = np.inf
            if np.any(off > max(self.limit(k), 4 * worst) * np.max(np.abs(r), initial=0)):
                place = tuple(map(int, np.unravel_index(np.argmax(off), a.shape)))
                raise self._wrong_along(k, place, float(g[place]), float(r[place]), COMPLEX)

    def follow_directions(self, program: Function, wide: list[Array], found: list[Array],
                          rng: np.random.Generator, oracle: str, worst: float) -> None:
        """Compare slopes along directions through all elements; narrow a wrong one down to one.

        The directions have random signs, so that rounding adds up as √n, not as n does; unless it
        has been seen to be large.
        """
        u, limit = self.u.astype(float), self.limit()
        largest = max((float(np.max(np.abs(g), initial=0)) for g in found), default=0.0)

        def off(along: list[Array]) -> tuple[bool, float, float]:
            said = float(sum(np.sum(g * v) for g, v in zip(found, along, strict=True)))
            size = float(sum(np.sum(np.abs(g * v)) for g, v in zip(found, along, strict=True)))
            if oracle == COMPLEX:
                out = run_complex(program, [a + 1j * STEP * v
                                            for a, v in zip(wide, along, strict=True)])
                true, error = float(np.sum(u * out.imag) / STEP), 0.0
            else:
                def line(t: float) -> Any:
                    moved = [a + t * v for a, v in zip(wide, along, strict=True)]
                    return np.sum(u * np.asarray(program(*moved)))

                true, error = ridders(line)
                error = 10 * error + 1e-9 * size
            if worst > limit:
                return not abs(said - true) <= limit * max(size, abs(true)) + error, said, true
            square = sum(np.sum((g * v)**2) + np.sum((largest * v)**2) / 100 for g, v in zip(
                found, along, strict=True))
            allowed = limit * float(np.sqrt(square)) + 8 * np.finfo(float).eps * size + error
            return not abs(said - true) <= allowed, said, true

        for _ in range(DIRECTIONS):
            along = [draw_cotangent(rng, a.shape) for a in wide]
            if off(along)[0]:
                k, place, said, true = _narrow(along, off)
                raise self._wrong_along(k, place, said, true, oracle)

    def _wrong_along(self, k: int, place: tuple[int, ...], said: float, true: float, oracle: str
                     ) -> WrongGradientError:
        told = WrongGradientError(f"wrong gradient by operand {k} at element {place}, among "
                     f"{self.operands[k].size}\n  {self.subject.name}: {said}\n  {oracle}: {true}",
                     operand=k, element=place)
        told.u = self.u
        return told

    def wrong_shape(self, error: GraphError) -> GradientError:
        """Say which rule gave what the walk refused."""
        for step in _steps(self.subject, self.operands):
            for k in range(len(step.operands)):
                if guess := step.refused(k):
                    return GradientError(f"{error}: {guess}", mistake=guess.rstrip("?"), operand=k,
                                         rule=step.says(k))
        return GradientError(str(error), mistake="wrong shape")

    # ── the report ────────────────────────────────────────────────────────────────────────────────

    def explain(self, error: GradientError) -> GradientError:
        """Add what is known to an error: the likely mistake, the rule, and how to see it again."""
        text, names, rule, note = [str(error)], list[Mistake](), error.rule, ""
        small = self.smaller(error)
        if isinstance(self.subject, Pair):
            rule = _line(self.subject)
        if isinstance(error, WrongGradientError):
            names, found, note = small.diagnose(error)
            rule = found or rule
            if error.mistake:
                names = [Mistake(error.mistake, SAYS[error.mistake])]
        mistake = error.mistake or (names[0].name if names else "")
        if self.level > 1 and isinstance(error, WrongGradientError):
            text[0] = f"order {self.level}: {text[0]}"
            mistake = f"{ORDINALS.get(self.level, 'higher')} derivative"
        if names:
            text.append(f"  likely mistake: {names[0].name}: {names[0].says}")
            text += [f"  or: {other.name}: {other.says}" for other in names[1:2]]
        elif isinstance(error, WrongGradientError):
            text.append("  likely mistake: none of those known fits")
        text += [f"  rule: {rule}"] * bool(rule) + [f"  {note}"] * bool(note)
        text.append(f"reproduce: {small.call(error)}")
        return GradientError("\n".join(text), mistake=mistake, operand=error.operand,
                             element=error.element, rule=rule)

    def smaller(self, error: GradientError) -> Case:
        """The same mistake with fewer numbers, if there are many, and if it is still there."""
        if (not isinstance(error, WrongGradientError) or sum(a.size for a in self.operands) <= SHOWN
                or self.level > 1):
            return self

        def fails(arrays: list[Array]) -> bool:
            try:
                other = Case(self.subject, arrays, self.ref, self.rtol, self.seed)
                other._examine(np.random.default_rng(self.seed), None, False)
            except WrongGradientError:
                return True
            except Exception:  # fewer numbers may not fit together
                return False
            return False

        arrays = shrink(self.operands, fails)
        if sum(a.size for a in arrays) == sum(a.size for a in self.operands):
            return self
        small = Case(self.subject, arrays, self.ref, self.rtol, self.seed, self.level, self.below)
        small.u = np.empty(0)
        return small

    def diagnose(self, error: WrongGradientError) -> tuple[list[Mistake], str, str]:
        """Name the likely mistake, and the rule that is wrong by itself; or say that none is."""
        used = _steps(self.subject, self.operands)
        for step in used:
            k = wrong_operand(step, step.operands)
            if k is None and (k := step.poisoned()) is not None:
                name = "strong zero dropped"
                return [Mistake(name, SAYS[name])], step.says(k), ""
            if k is not None:
                names = name_mistakes(step, step.operands, k)
                bent = Case(step, step.operands, None, None, 0)
                return names or bent.name_bent(k), step.says(k), ""
        if self.level > 1 and (rule := self._wrong_at_second_order()):
            return [], rule, "this derivative is right, but its own derivative is not"
        names = name_mistakes(self.subject, self.operands, error.operand or 0)
        names = names or self.name_bent(error.operand or 0)
        if isinstance(self.subject, Pair) or error.mistake:
            return names, "", ""
        return names, "", used.says()

    def name_bent(self, k: int) -> list[Mistake]:
        """Say so if the gradient by operand k is not linear in the cotangent."""
        try:
            run = self.subject.run(self.operands)
            w = draw_cotangent(np.random.default_rng(5), (1, run.out.size))
            with np.errstate(all="ignore"):
                pairs = [(pulled(self.subject, run, self.operands, w * c)[k], c)
                         for c in (1, LARGE, 1 / LARGE)]
        except Exception:  # no name is no harm
            return []
        once = pairs[0][0]
        limit = 1e-4 * np.max(np.abs(once), initial=0)
        if not np.isfinite(limit) or all(np.all(np.abs(g / c - once) <= limit) for g, c in pairs):
            return []
        return [Mistake("not linear in the cotangent", "g times a number does not give the "
                        "gradient times that number: is g clipped, or dropped where it is small?")]

    def _wrong_at_second_order(self) -> str:
        """The first rule of the function itself whose derivative has a wrong derivative."""
        first: Case = self
        while first.below is not None:
            first = first.below
        if not isinstance(first.subject, Program):
            return ""
        for step in _steps(first.subject, self.operands):
            try:
                rng = np.random.default_rng(0)
                u = draw_cotangent(rng, step.run(step.operands).out.shape)
                along = [draw_cotangent(rng, a.shape) for a in step.operands]
                slope = Program(slope_along(step.f, u, along, step.template), step.template)
                if wrong_operand(slope, step.operands) is not None:
                    return step.says(0)
            except Exception:  # a step that cannot be judged is not accused
                continue
        return ""

    def call(self, error: GradientError) -> str:
        """Write the call that shows the same error again."""
        template = self.subject.template
        arrays = iter(self.operands)
        given = [show(next(arrays) if c is None else c)
                 for c in (template or [None] * len(self.operands))]
        words = []
        if isinstance(self.subject, Program):
            words.append(f"order={self.level}")
        first: Case = self
        while first.below is not None:
            first = first.below
        u = getattr(error, "u", None) if first is self else first.given
        if u is not None and getattr(self, "u", u).shape == u.shape:
            words.append(f"cotangent={show(u)}")
        elif first.given is not None and first is self:
            words.append(f"cotangent={show(first.given)}")
        if self.rtol is not None:
            words.append(f"rtol={self.rtol!r}")
        if self.ref is not None:
            words.append("ref=ref")
        name = "check_grad(f" if isinstance(self.subject, Program) else "check_vjp(f, vjp"
        return f"{name}, {', '.join([*given, *words])}, seed={self.seed})"


# ── helpers of the examination ────────────────────────────────────────────────────────────────────


def _verdicts(g: Array, r: Array, error: Array, rtol: float, oracle: str, floors: Any = 0.0
              ) -> Array:
    """Say 0 (right), 1 (inconclusive) or 2 (wrong) of each element."""
    size, off = np.max(np.abs(r), axis=1, keepdims=True, initial=0), np.abs(g - r)
    if oracle == COMPLEX:
        right = off <= rtol * size + floors
        return np.where(right, 0, np.where(off <= error, 1, 2))
    least = 1e-11 if oracle == LONG else 1e-9
    right = off <= 10 * error + max(rtol, least) * size + floors
    return np.where(error <= 1e-6 * size, np.where(right, 0, 2), 1)


def _far(off: Array, floors: Array) -> bool:
    """Tell whether any of the distances is beyond all rounding; or there are none."""
    return bool(not off.size or not np.all(off <= 100 * np.max(floors, initial=1e-12)))


def _span(moves: Any, sizes: Array) -> Array:
    """How far numbers range over repetitions: the largest of each row, of shape (c, 1).

    A row in which nothing moved, where rounding was seen in others, is given as much for its size.
    """
    rows = np.max(np.ptp(np.asarray(moves), axis=0), axis=1, keepdims=True, initial=0)
    some = sizes > 0
    most = np.max(rows[some] / sizes[some], initial=0)
    return np.asarray(np.where(rows == 0, most * sizes, rows))


def _some(rng: np.random.Generator, size: int) -> Array:
    """Choose elements of so many: the first, the last, and others at random."""
    if size <= SAMPLE:
        return np.arange(size)
    return np.unique([0, size - 1, *rng.integers(0, size, SAMPLE - 2)])


def _directions(flat: Array) -> Iterator[tuple[Array, str]]:
    """Ways to leave a point: along each axis, with equal numbers moving together, all alike."""
    for i in range(flat.size):
        yield np.eye(flat.size)[i], "along one element"
    for number in np.unique(flat):
        if np.count_nonzero(flat == number) > 1:
            yield (flat == number).astype(float), "where elements that are equal stay equal"
    yield np.ones(flat.size), "where all elements move alike"


def step_along(at: Function, x: Array, v: Array, t: float) -> Any:
    """Evaluate `at` where one comes to from x along v."""
    return at(x + t * v)


def _narrow(along: list[Array], off: Function) -> tuple[int, tuple[int, ...], float, float]:
    """Halve a direction in which the gradient is wrong, until one element is left of it."""
    indices = np.arange(sum(v.size for v in along))
    cuts = np.cumsum([v.size for v in along])[:-1]
    flat = np.concatenate([v.reshape(-1) for v in along])

    def only(chosen: Array) -> list[Array]:
        part = np.zeros(flat.size)
        part[chosen] = flat[chosen]
        return [p.reshape(v.shape) for p, v in zip(np.split(part, cuts), along, strict=True)]

    while len(indices) > 1:
        half = indices[: len(indices) // 2]
        indices = half if off(only(half))[0] else indices[len(indices) // 2:]
    _, said, true = off(only(indices))
    i = int(indices[0])
    k = int(np.searchsorted(cuts, i, side="right"))
    local = i - (int(cuts[k - 1]) if k else 0)
    place = tuple(map(int, np.unravel_index(local, along[k].shape)))
    return k, place, said / flat[i], true / flat[i]


def _steps(subject: Subject, arrays: Sequence[Array]) -> Steps:
    try:
        return steps(subject, arrays) if isinstance(subject, Program) else Steps()
    except Exception:  # a report that cannot be made better is still a report
        return Steps()


def wrong_operand(subject: Subject, arrays: Sequence[Array]) -> int | None:
    """The first operand whose gradient is wrong, or None: no more than the values are looked at."""
    case = Case(subject, list(arrays), None, None, 0)
    try:
        case._examine(np.random.default_rng(7), None, False)
    except WrongGradientError as error:
        return error.operand
    except Exception:  # what cannot be judged is not accused
        if isinstance(subject, Step):
            subject.unjudged = True
        return None
    return None


def _line(pair: Subject) -> str:
    """Where the vjp of the user is written."""
    vjp = pair.vjp if isinstance(pair, Pair) else pair.f
    return f"{where(vjp)}: {source(vjp)}"
