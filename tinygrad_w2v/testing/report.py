"""What a failed check says beside the numbers: which rule, in which line, how to see it again."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ..graph import GraphError, Node, fit, pull, record
from ..rules import Rule
from ..sparse import Array
from ..tensor import Tensor
from ..watch import Watcher, watching
from .subject import Program, as_leaf, guess_shape

Function = Callable[..., Any]

SHOWN = 200     # numbers that a reproducer may be made of
ENOUGH = 30     # and to which it is shrunk, if it must be: fewer would tell less
FEW = 50        # operations that are looked at in their order: of more, one of each kind first
SECONDS = 2.0   # to look at them all
SHRINKING = 1.5  # seconds


# ── which rule ────────────────────────────────────────────────────────────────────────────────────


class Recorder(Watcher):
    """Keeps every operation that was carried out, and the cotangents of a walk back.

    `seen`: rule, operands, keywords and result of each; `received`: the cotangent of each node.
    """

    def __init__(self) -> None:
        self.seen = list[tuple[Rule, tuple[Any, ...], dict[str, Any], Any]]()
        self.received = dict[Node, Any]()

    def computed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], out: Any
                 ) -> None:
        """Keep it."""
        self.seen.append((rule, operands, meta, out))

    def pulled(self, node: Node, i: int, g: Any, share: Any) -> None:
        """Keep the cotangent."""
        self.received[node] = g


class Step(Program):
    """One operation of a program, as a program: at the operands and keywords it had there.

    `places` are the operands that were differentiated by, in the order of the operation's own;
    `received` is the cotangent that came to its result, if one did. `unjudged` says that it could
    not be found right or wrong at this point: its result is not finite, or whoever tried says so.
    """

    def __init__(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any],
                 received: Any = None, unjudged: bool = False):
        self.received, self.unjudged = received, unjudged
        arrays = [o._data if isinstance(o, Tensor) else o for o in operands]
        self.places = [i for i, o in enumerate(operands)
                       if isinstance(o, Tensor) and o._node and o.dtype.kind == "f"]
        self.rule = rule
        self._given = [arrays[i] for i in self.places]
        super().__init__(lambda *xs: record(rule, xs, meta),
                         [None if i in self.places else a for i, a in enumerate(arrays)])

    @cached_property
    def operands(self) -> list[Array]:
        """The arrays it was differentiated at: copies, made when somebody looks at the step."""
        return [np.array(a) for a in self._given]

    def poisoned(self) -> int | None:
        """The operand to which a cotangent of 0 brought what is not finite; None if none did."""
        g = self.received
        if not isinstance(g, np.ndarray) or np.all(g) or not np.all(np.isfinite(g)):
            return None
        with np.errstate(all="ignore"):
            run = self.run(self.operands)
            for k, (share, nothing) in enumerate(zip(
                    run.pull(g.copy()), run.pull(np.zeros_like(g)), strict=True)):
                if not isinstance(share, np.ndarray) or np.all(fine := np.isfinite(share)):
                    continue
                if fine.shape == g.shape and np.all(fine | (g == 0)):
                    return k  # what is not finite stands where the cotangent is 0, and only there
                if not np.all(np.isfinite(nothing)):
                    return k
        return None

    def refused(self, k: int) -> str:
        """Say what is wrong with the shape of the derivative by operand k; "" if it fits."""
        with np.errstate(all="ignore"):
            out: Any = self.f(*self.bind([as_leaf(a) for a in self.operands]))
            if not out.requires_grad or out._node.parents[self.places[k]] is None:
                return ""
            try:
                share = pull(out._node, self.places[k], np.ones(out.shape, out.dtype))
            except Exception as error:
                return f"the rule raised {type(error).__name__}"
            try:
                fit(share, out._node, self.places[k], np.ones(out.shape, out.dtype))
            except GraphError:
                return guess_shape(np.shape(share), self.operands[k].shape)
        return ""

    def says(self, k: int) -> str:
        """Name the rule for operand k of this step, and the line it is written in."""
        place = self.places[k]
        return describe(self.rule, place)


class Steps(list[Step]):
    """Operations to be looked at one after another, until `SECONDS` are over; the first always is.

    `left` counts those that nobody came to, `unjudged` those seen that could not be judged.
    """

    def __init__(self, found: Sequence[Step] = ()):
        super().__init__(found)
        self.left, self.unjudged = len(self), 0

    def __iter__(self) -> Iterator[Step]:
        began = perf_counter()
        self.left, self.unjudged = len(self), 0
        for step in super().__iter__():
            if self.left < len(self) and perf_counter() - began > SECONDS:
                return
            self.left -= 1
            yield step
            self.unjudged += step.unjudged

    def says(self) -> str:
        """Say, after a look at the steps that found none wrong, what that means."""
        where_to = ("look between them, for detach(), numpy(), no_grad(), or a constant made of an "
                    "operand")
        if not self:
            return f"no operation was seen that derivatives pass through: {where_to}"
        doubts = [f"{self.unjudged} could not be judged at this point"] * bool(self.unjudged) + [
            f"{self.left} were not looked at, for want of time"] * bool(self.left)
        if doubts:
            return (f"no rule was found wrong by itself, but of {len(self)} operations "
                    f"{' and '.join(doubts)}")
        return f"every rule that was used is right by itself: {where_to}"


def steps(program: Program, arrays: Sequence[Array]) -> Steps:
    """List the operations of `program` at `arrays` that derivatives pass through.

    In their order; of more than `FEW`, the first and the last of each kind come first.
    """
    recorder, found, kinds = Recorder(), list[Step](), list[Any]()
    with watching(recorder), np.errstate(all="ignore"):
        run = program.run(arrays)
        with suppress(Exception):  # what a rule raises is not told here; the others are listed
            run.pull(np.ones(run.out.shape, run.out.dtype))
    for rule, operands, meta, out in recorder.seen:
        if isinstance(out, Tensor) and out.dtype.kind == "f":
            received = recorder.received.get(out._node) if out._node else None
            step = Step(rule, operands, meta, received, not np.all(np.isfinite(out._data)))
            if step.places:
                found.append(step)
                kinds.append((id(rule), str(sorted(meta.items(), key=str)), *[
                    np.shape(o) if isinstance(o, Tensor) else type(o) for o in operands]))
    if len(found) <= FEW:
        return Steps(found)
    first = {kind: i for i, kind in reversed(list(enumerate(kinds)))}
    last = {kind: i for i, kind in enumerate(kinds)}
    ends = {*first.values(), *last.values()}
    return Steps([found[i] for i in sorted(range(len(found)), key=lambda i: (i not in ends, i))])


def describe(rule: Rule, i: int) -> str:
    """Say where the derivative of `rule` by operand i is written, and what it is.

    >>> import tinygrad_w2v as tg
    >>> describe(tg.multiply.rule, 1)
    '...rules.py:...: multiply, by y: lambda g, x: g * x'
    """
    operand = f"operand {i}" if rule.variadic else rule.operands[i]
    derivative = rule.derivative(i)
    if derivative is None:
        return f"{where(rule.fn)}: {rule.name}, by {operand}: no derivative was given"
    return f"{where(derivative.fn)}: {rule.name}, by {operand}: {source(derivative.fn)}"


def where(fn: Any) -> str:
    """File and line of a function; its name, if it was not written in Python."""
    code = getattr(fn, "__code__", None)
    return f"{_short(code.co_filename)}:{code.co_firstlineno}" if code else repr(fn)


def _short(filename: str) -> str:
    """The last parts of a path: enough to find it."""
    parts = Path(filename).parts
    return filename if len(parts) < 4 else "/".join(("…", *parts[-2:]))


def source(fn: Any) -> str:
    """The source of a lambda, on one line; of a function its first line."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return str(getattr(fn, "__name__", fn))
    line = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    if code.co_name != "<lambda>":
        return line.rstrip(":") or str(code.co_name)
    text = "".join(linecache.getlines(code.co_filename))
    around = [node for node in _lambdas(text) if _holds(node, code)]
    if around:
        segment = ast.get_source_segment(text, max(around, key=lambda n: (n.lineno, n.col_offset)))
        return " ".join((segment or line).split())
    return line or "a lambda"


@cache
def _lambdas(text: str) -> list[ast.Lambda]:
    try:
        return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Lambda)]
    except SyntaxError:  # a line of a session, or a notebook's magic
        return []


def _holds(node: ast.Lambda, code: Any) -> bool:
    """Tell whether `code` was compiled of this lambda: several may stand in one line."""
    start, end = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
    spans = [((line, column), (last, until)) for line, last, column, until in code.co_positions()
             if None not in (line, last, column, until) and until]
    return bool(spans) and all(start <= a and b <= end for a, b in spans)


# ── how to see it again ───────────────────────────────────────────────────────────────────────────


def shrink(arrays: Sequence[Array], fails: Function) -> list[Array]:
    """Cut sides, those of equal length together, as long as `fails` still says so.

    Of large arrays a corner is tried first, then a larger one: to look at little takes little time.
    After that sides are halved, until `SHRINKING` seconds are over.
    """
    began, tries = perf_counter(), 12
    arrays = _corner(list(arrays), fails, began)
    sides = _long(arrays)
    while sides and sum(a.size for a in arrays) > ENOUGH and tries:
        side = sides.pop(0)
        for part in (slice(0, side // 2), slice(side // 2, side), slice(0, side - side // 4)):
            tries = max(tries - 1, 0)
            if perf_counter() - began > SHRINKING:
                return arrays
            smaller = [np.array(a[tuple([part if s == side else slice(None) for s in a.shape])])
                       for a in arrays]
            if fails(smaller):
                arrays, sides = smaller, _long(smaller)
                break
    return arrays


def _long(arrays: Sequence[Array]) -> list[int]:
    """The sides that can be cut, the longest first."""
    return sorted({side for a in arrays for side in a.shape if side > 1}, reverse=True)


def _corner(arrays: list[Array], fails: Function, began: float) -> list[Array]:
    """The smallest corner of large arrays that fails; all, if none does."""
    size = sum(a.size for a in arrays)
    for length in (32, 256, 2048):
        corner = [np.array(a[tuple([slice(0, length)] * a.ndim)]) for a in arrays]
        if sum(a.size for a in corner) > size // 8 or perf_counter() - began > SHRINKING:
            return arrays
        if fails(corner):
            return corner
    return arrays


def show(array: Array) -> str:
    """Write an array so that it can be pasted, to the last digit; a large one by its shape."""
    if array.size > SHOWN:
        return f"<{array.dtype} of shape {array.shape}>"
    with np.printoptions(floatmode="unique", threshold=sys.maxsize, linewidth=100):
        return np.array_repr(array)
