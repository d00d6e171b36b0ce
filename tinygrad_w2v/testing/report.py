"""What a failed check says beside the numbers: which rule, in which line, how to see it again."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..graph import GraphError, fit, pull, record
from ..rules import Rule
from ..sparse import Array
from ..tensor import Tensor
from ..watch import Watcher, watching
from .subject import Program, as_leaf, guess_shape

Function = Callable[..., Any]

SHOWN = 200     # numbers that a reproducer may be made of
ENOUGH = 30     # and to which it is shrunk, if it must be: fewer would tell less


# ── which rule ────────────────────────────────────────────────────────────────────────────────────


class Recorder(Watcher):
    """Keeps every operation that was carried out: its rule, operands, keywords and result."""

    def __init__(self) -> None:
        self.seen = list[tuple[Rule, tuple[Any, ...], dict[str, Any], Any]]()

    def computed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], out: Any
                 ) -> None:
        """Keep it."""
        self.seen.append((rule, operands, meta, out))


class Step(Program):
    """One operation of a program, as a program: at the operands and keywords it had there.

    `places` are the operands that were differentiated by, in the order of the operation's own.
    """

    def __init__(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any]):
        arrays = [o._data if isinstance(o, Tensor) else o for o in operands]
        self.places = [i for i, o in enumerate(operands)
                       if isinstance(o, Tensor) and o._node and o.dtype.kind == "f"]
        self.rule = rule
        self.operands = [np.array(arrays[i]) for i in self.places]
        super().__init__(lambda *xs: record(rule, xs, meta),
                         [None if i in self.places else a for i, a in enumerate(arrays)])

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


def steps(program: Program, arrays: Sequence[Array]) -> list[Step]:
    """List the operations of `program` at `arrays` that derivatives pass through, each once."""
    recorder, unlike = Recorder(), dict[Any, Step]()
    with watching(recorder), np.errstate(all="ignore"):
        program.run(arrays)
    for rule, operands, meta, out in recorder.seen:
        if isinstance(out, Tensor) and out.dtype.kind == "f":
            step = Step(rule, operands, meta)
            kind = (id(rule), str(sorted(meta.items(), key=str)),
                    *[np.shape(o) if isinstance(o, Tensor) else type(o) for o in operands])
            if step.places:
                unlike.setdefault((*kind, len(unlike) if len(unlike) < 50 else 0), step)
    return list(unlike.values())


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
    """Halve sides, those of equal length together, as long as `fails` still says so."""
    arrays = list(arrays)
    sides = sorted({side for a in arrays for side in a.shape if side > 1}, reverse=True)
    tries = 12
    while sides and sum(a.size for a in arrays) > ENOUGH and tries:
        side = sides.pop(0)
        for part in (slice(0, side // 2), slice(side // 2, side), slice(0, side - side // 4)):
            tries = max(tries - 1, 0)
            smaller = [np.array(a[tuple([part if s == side else slice(None) for s in a.shape])])
                       for a in arrays]
            if fails(smaller):
                arrays = smaller
                sides = sorted({s for a in arrays for s in a.shape if s > 1}, reverse=True)
                break
    return arrays


def show(array: Array) -> str:
    """Write an array so that it can be pasted, to the last digit; a large one by its shape."""
    if array.size > SHOWN:
        return f"<{array.dtype} of shape {array.shape}>"
    with np.printoptions(floatmode="unique", threshold=sys.maxsize, linewidth=100):
        return np.array_repr(array)
