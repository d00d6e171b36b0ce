"""The mistakes: what may be wrong in a rule, and every place of a module where it may be so.

A `Mutant` is a small change of the text of a module. Each function below whose name is in `KINDS`
makes one kind of mistake; it is shown a node of the syntax tree and yields the changes it knows of.
Docstrings, annotations, decorators, f-strings and the messages of errors are left alone.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

Change = list[tuple[int, int, str]]  # from where, to where (bytes), the text to put there
NUDGE = "(1 + 1e-6)"  # a factor that only a test of all digits notices

OPERATORS: dict[type, list[str]] = {
    ast.Add: ["-"], ast.Sub: ["+"], ast.Mult: ["/"], ast.Div: ["*"], ast.Pow: ["*"],
    ast.Mod: ["//"], ast.FloorDiv: ["/", "%"], ast.BitAnd: ["|"], ast.BitOr: ["&"],
    ast.Lt: ["<=", ">"], ast.LtE: ["<", ">="], ast.Gt: [">=", "<"], ast.GtE: [">", "<="],
    ast.Eq: ["!=", "<="], ast.NotEq: ["==", "<"], ast.Is: ["is not"], ast.IsNot: ["is"],
    ast.In: ["not in"], ast.NotIn: ["in"], ast.And: ["or"], ast.Or: ["and"]}
SYMBOLS = {  # as patterns
    ast.Add: r"\+", ast.Sub: "-", ast.Mult: r"\*", ast.Div: "/", ast.Pow: r"\*\*", ast.Mod: "%",
    ast.FloorDiv: "//", ast.BitAnd: "&", ast.BitOr: r"\|", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
    ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: r"is\s+not",
    ast.In: "in", ast.NotIn: r"not\s+in", ast.And: "and", ast.Or: "or"}
NEIGHBOURS = {
    "sum": ["mean", "max"], "mean": ["sum"], "max": ["min"], "min": ["max"], "exp": ["expm1"],
    "expm1": ["exp"], "log": ["log1p"], "log1p": ["log"], "sin": ["cos"], "cos": ["sin"],
    "sinh": ["cosh"], "cosh": ["sinh"], "sqrt": ["square"], "square": ["abs"],
    "maximum": ["minimum"], "minimum": ["maximum"], "cumsum": ["cumprod"], "add": ["maximum"],
    "any": ["all"], "all": ["any"], "is_finite": ["np.any"], "reduceat": ["at"],
    "zeros_like": ["ones_like"], "zeros": ["ones"], "ones": ["zeros"], "eye": ["ones"]}

UNSEEN = {"strict", "doc"}  # zip's assertion, words for people
SYMMETRIC = {"add", "maximum", "minimum", "swapaxes", "result_type", "promote_types",
             "broadcast_shapes", "may_share_memory"}


@dataclass(frozen=True)
class Mutant:
    """A change of the text of `module`, within the statement that defines `owner`."""

    module: str
    kind: str
    owner: str
    change: tuple[tuple[int, int, str], ...]

    def text(self, source: bytes) -> bytes:
        """Give the text of the module with the mistake in it."""
        for start, end, new in sorted(self.change, reverse=True):
            source = source[:start] + new.encode() + source[end:]
        return source

    def lines(self, source: bytes) -> tuple[str, str]:
        """Give the lines that change, as they were and as they are."""
        first, last = min(c[0] for c in self.change), max(c[1] for c in self.change)
        first = source.rfind(b"\n", 0, first) + 1
        last = len(source) if (end := source.find(b"\n", last)) < 0 else end
        after = self.text(source)
        return (source[first:last].decode(),
                after[first : last + len(after) - len(source)].decode())

    def diff(self, source: bytes) -> str:
        """Show the change as a diff."""
        before, after = [text.splitlines() for text in self.lines(source)]
        return "\n".join(line for line in difflib.ndiff(before, after) if line[0] in "+-")

    def name(self, source: bytes) -> str:
        """Name the mutant by its text: the owner, and what became what, between their neighbours.

        >>> m = Mutant("rules", "operator", "add", ((2, 3, "-"),))
        >>> m.name(b"a + b")
        'add: a [+ → -] b'
        """
        before, after = [" ".join(text.split()) for text in self.lines(source)]
        same = 0
        while same < min(len(before), len(after)) and before[same] == after[same]:
            same += 1
        rest = 0
        while rest < min(len(before), len(after)) - same and before[-1 - rest] == after[-1 - rest]:
            rest += 1
        end = len(before) - rest
        return (f"{self.owner}: {before[max(0, same - 24):same]}"
                f"[{before[same:end]} → {after[same:len(after) - rest]}]{before[end:end + 24]}")


@dataclass(frozen=True)
class Site:
    """A node of a module, and where it stands."""

    source: bytes
    starts: Sequence[int]  # of the lines
    node: Any
    parent: Any
    statement: ast.stmt     # of the top level
    derivative: Any         # the lambda or function around it whose first parameter is g
    value: bool             # within a function of values

    def span(self, node: Any) -> tuple[int, int]:
        """Say where the text of `node` begins and ends."""
        return (self.starts[node.lineno - 1] + node.col_offset,
                self.starts[node.end_lineno - 1] + node.end_col_offset)

    def of(self, node: Any) -> str:
        """Give the text of `node`."""
        start, end = self.span(node)
        return self.source[start:end].decode()

    def put(self, node: Any, new: str) -> Change:
        """Put `new` in the place of `node`."""
        return [(*self.span(node), new)]

    def between(self, left: Any, right: Any, symbol: str, new: str) -> Change:
        """Put `new` in the place of the operator between two nodes."""
        start, end = self.span(left)[1], self.span(right)[0]
        found = re.search(rf"\s*{symbol}\s*", self.source[start:end].decode())
        assert found
        inner = found.group()
        lead, trail = inner[: len(inner) - len(inner.lstrip())], inner[len(inner.rstrip()):]
        return [(start + found.start(), start + found.end(), f"{lead}{new}{trail}")]


def called(node: Any) -> str:
    """The last name of the function that a call calls; "" for what is no call."""
    return last_name(node.func) if isinstance(node, ast.Call) else ""


def last_name(node: Any) -> str:
    """The name that a dotted name ends with."""
    return getattr(node, "attr", getattr(node, "id", ""))


def names_in(node: Any) -> set[str]:
    """All plain names within."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


# ── mistakes in any code ──────────────────────────────────────────────────────────────────────────


def operator(site: Site) -> Iterator[Change]:
    """Another operator: + for −, < for ≤, or for and."""
    node = site.node
    if isinstance(node, ast.BinOp):
        pairs = [(node.left, node.op, node.right)]
    elif isinstance(node, ast.Compare):
        pairs = list(zip([node.left, *node.comparators], node.ops, node.comparators, strict=False))
    elif isinstance(node, ast.BoolOp):
        pairs = [(a, node.op, b) for a, b in pairwise(node.values)]
    else:
        pairs = []
    for left, op, right in pairs:
        for new in OPERATORS.get(type(op), []):
            yield site.between(left, right, SYMBOLS[type(op)], new)
    if isinstance(node, ast.AugAssign):
        for new in OPERATORS.get(type(node.op), []):
            yield site.between(node.target, node.value, SYMBOLS[type(node.op)] + "=", new + "=")


def constant(site: Site) -> Iterator[Change]:
    """Another number, truth value or string; a number where there was None."""
    node = site.node
    if not isinstance(node, ast.Constant):
        return
    if node.value is None:
        if not isinstance(site.parent, ast.Compare | ast.keyword | ast.Subscript | ast.Tuple):
            yield site.put(node, "0")
    elif isinstance(node.value, bool):
        yield site.put(node, str(not node.value))
    elif isinstance(node.value, int | float):
        yield site.put(node, f"{node.value + 1}")
        yield site.put(node, f"({node.value - 1})")
        if node.value and (isinstance(node.value, float) or isinstance(site.parent, ast.BinOp)
                           or called(site.parent) == "where"):
            yield site.put(node, f"({node.value} * {NUDGE})")
    elif isinstance(node.value, str):
        yield site.put(node, '""' if node.value else '"?"')


def sign(site: Site) -> Iterator[Change]:
    """A minus or a not dropped; the sign of a number, or of an axis."""
    node = site.node
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield site.put(node, f"({site.of(node.operand)})")
    elif (isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value
          and not isinstance(site.parent, ast.UnaryOp)):
        yield site.put(node, f"(-{node.value})")


def operand_dropped(site: Site) -> Iterator[Change]:
    """One side of an operation alone."""
    node = site.node
    if isinstance(node, ast.BinOp):
        for side in (node.left, node.right):
            yield site.put(node, f"({site.of(side)})")
    elif isinstance(node, ast.BoolOp):
        for k in range(len(node.values)):
            word = " and " if isinstance(node.op, ast.And) else " or "
            rest = word.join(f"({site.of(v)})" for j, v in enumerate(node.values) if j != k)
            yield site.put(node, f"({rest})")


def argument(site: Site) -> Iterator[Change]:
    """An argument left out."""
    node = site.node
    if not isinstance(node, ast.Call) or called(node) == "rule":
        return
    every = [*node.args, *node.keywords]
    for k in range(len(every)):
        if getattr(every[k], "arg", "") in UNSEEN:
            continue
        rest = ", ".join(site.of(a) for j, a in enumerate(every) if j != k)
        if len(every) > 1 or isinstance(every[k], ast.keyword):
            yield site.put(node, f"{site.of(node.func)}({rest})")


def arguments_swapped(site: Site) -> Iterator[Change]:
    """Two neighbouring arguments, branches, or sides of an operation that does not commute."""
    node = site.node
    if isinstance(node, ast.Call):
        pairs = list(pairwise(node.args))
    elif isinstance(node, ast.BinOp) and not isinstance(
            node.op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr):
        pairs = [(node.left, node.right)]
    elif isinstance(node, ast.IfExp):
        pairs = [(node.body, node.orelse)]
    else:
        pairs = []
    for a, b in pairs:
        if (site.of(a) != site.of(b) and not isinstance(b, ast.Starred)
                and (called(node) not in SYMMETRIC or a is not node.args[-2])):
            yield site.put(a, f"({site.of(b)})") + site.put(b, f"({site.of(a)})")


def branch(site: Site) -> Iterator[Change]:
    """A condition that always or never holds."""
    node = site.node
    if isinstance(node, ast.If | ast.IfExp | ast.While | ast.comprehension):
        tests = node.ifs if isinstance(node, ast.comprehension) else [node.test]
        for test in tests:
            yield site.put(test, "True")
            if not isinstance(node, ast.While):
                yield site.put(test, "False")


def statement(site: Site) -> Iterator[Change]:
    """A statement left out; ``=`` where something is added to."""
    node = site.node
    if isinstance(node, ast.AugAssign):
        yield site.put(node, f"{site.of(node.target)} = {site.of(node.value)}")
    changes = isinstance(node, ast.Assign) and not (
        isinstance(node.targets[0], ast.Name) and node.targets[0].id not in names_in(node.value))
    if isinstance(node, ast.Expr | ast.AugAssign | ast.Continue) or changes:
        yield site.put(node, "pass")


def accumulate(site: Site) -> Iterator[Change]:
    """The last of several shares for one place, or the first, instead of their sum."""
    node = site.node
    if isinstance(node, ast.Call) and site.of(node.func) == "np.add.at":
        table, ids, rows = [site.of(a) for a in node.args]
        yield site.put(node, f"{table}[{ids}] = {rows}")
        yield site.put(node, f"{table}[{ids}] += {rows}")
    elif isinstance(node, ast.Call) and site.of(node.func) == "np.add.reduceat":
        yield site.put(node, f"{site.of(node.args[0])}[{site.of(node.args[1])}]")
    elif isinstance(node, ast.Call) and called(node) == "plus":
        for share in node.args:
            yield site.put(node, site.of(share))
    elif isinstance(node, ast.Call) and site.of(node.func) == "share.sum":
        yield site.put(node, "share[tuple([slice(0, 1) if k in axes else slice(None)"
                             " for k in range(share.ndim)])]")


def neighbour(site: Site) -> Iterator[Change]:
    """A function that is much like another: cos for sin, the mean for the sum."""
    node = site.node
    if isinstance(node, ast.Call):
        for new in NEIGHBOURS.get(called(node), []):
            name = site.of(node.func)
            yield site.put(node.func, new if "." in new else
                           name[: len(name) - len(called(node))] + new)


def call_dropped(site: Site) -> Iterator[Change]:
    """What goes into a function, instead of what comes out: no transpose, no un-broadcast."""
    node = site.node
    if isinstance(node, ast.Call) and node.args and not isinstance(node.args[0], ast.Starred):
        if called(node) != "rule":
            yield site.put(node, f"({site.of(node.args[0])})")
    elif (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
          and not isinstance(site.parent, ast.Expr)):
        yield site.put(node, f"({site.of(node.func.value)})")
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        yield site.put(node, f"({site.of(node.value)})")
    if isinstance(node, ast.Slice):
        for end in (node.lower, node.upper, node.step):
            if end is not None:
                yield site.put(end, "None")


def order(site: Site) -> Iterator[Change]:
    """Ids, axes or operands in another order."""
    node, parent = site.node, site.parent
    if isinstance(parent, ast.Compare) or called(parent) in ("len", "ndim", "set", "sorted"):
        return  # where no order counts
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in (
            "ids", "key", "axes", "others", "operands", "order", "first"):
        yield site.put(node, f"{node.id}[::-1]")


# ── mistakes in a derivative ──────────────────────────────────────────────────────────────────────


def cotangent(site: Site) -> Iterator[Change]:
    """The cotangent ignored, squared, or without its sign; at all its places and at each."""
    if site.node is not site.derivative:
        return
    facts = {n.value if isinstance(n, ast.Attribute) else n.args[0] for n in ast.walk(site.node)
             if isinstance(n, ast.Attribute) or called(n) == "isinstance"}  # g.dtype, its class
    uses = [n for n in ast.walk(site.node) if isinstance(n, ast.Name) and n.id == "g"
            and isinstance(n.ctx, ast.Load) and n not in facts]
    for new in ("np.ones_like(g)", "(g * g)", "np.abs(g)"):
        for places in [uses, *([[use] for use in uses] if len(uses) > 1 else [])]:
            yield [change for use in places for change in site.put(use, new)]


def slope(site: Site) -> Iterator[Change]:
    """A whole derivative a millionth too large, with the other sign, 0, the cotangent itself."""
    if site.node is not site.derivative:
        return
    for body in bodies(site.node):
        text = site.of(body)
        for new in (f"({text}) * {NUDGE}", f"-({text})", f"({text}) * 0"):
            yield site.put(body, new)
        if text != "g":
            yield site.put(body, "g")


def product(site: Site) -> Iterator[Change]:
    """A product, quotient or value of a function a millionth too large."""
    node = site.node
    if (site.derivative or site.value) and not isinstance(site.parent, ast.Expr) and (
            (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.Pow))
            or (isinstance(node, ast.Call) and site.of(node.func).startswith("np.")
                and called(node) in ("exp", "log", "log1p", "expm1", "sin", "cos", "sinh", "cosh",
                                     "sqrt", "square", "sum", "mean", "max", "divide", "where"))):
        yield site.put(node, f"({site.of(node)} * {NUDGE})")


def variable(site: Site) -> Iterator[Change]:
    """Another operand than the one that is meant: out for x, y for x."""
    node, names = site.node, arrays_of(site)
    if isinstance(node, ast.Lambda) and node is site.derivative:
        own = [a.arg for a in node.args.args[1:] if a.arg in names]
        for old in own:
            for new in names:
                swap = {old: new, new: old} if new in own else {old: new}
                if new != old and not (new in own and old > new):
                    yield [c for n in ast.walk(node) for c in renamed(site, n, swap, new in own)]


def renamed(site: Site, node: Any, swap: dict[str, str], body_only: bool) -> Change:
    if isinstance(node, ast.Name) and node.id in swap:
        return site.put(node, swap[node.id])
    if isinstance(node, ast.arg) and node.arg in swap and not body_only:
        return site.put(node, swap[node.arg])
    return []


def rules_swapped(site: Site) -> Iterator[Change]:
    """The derivatives of two operands exchanged; a derivative forgotten."""
    node = site.node
    if not isinstance(node, ast.Call) or called(node) != "rule":
        return
    own = [k.value for k in node.keywords if k.arg != "elementwise"]
    for a, b in pairwise(own):
        if site.of(a) != site.of(b):
            yield site.put(a, site.of(b)) + site.put(b, site.of(a))
    for d in own:
        if not (isinstance(d, ast.Constant) and d.value is None):
            yield site.put(d, "None")


def elementwise(site: Site) -> Iterator[Change]:
    """The promise that places do not mix, where it does not hold, or not given where it does."""
    node = site.node
    if not isinstance(node, ast.Call) or called(node) != "rule" or not node.args:
        return
    own = [k for k in node.keywords if k.arg != "elementwise"]
    fn = getattr(np, last_name(node.args[0]), None)
    known = isinstance(fn, np.ufunc) and fn is not np.matmul
    asks = {*(k.arg for k in own), "out"}
    local = any(not isinstance(k.value, ast.Lambda)
                or asks & {a.arg for a in k.value.args.args} for k in own)
    if len(own) == len(node.keywords) and (local or len(own) > 1):  # else nobody reads the flag
        end = site.span(node)[1] - 1
        yield [(end, end, f", elementwise={not known}")]


KINDS = {f.__name__.replace("_", " "): f for f in (
    operator, constant, sign, operand_dropped, argument, arguments_swapped, branch, statement,
    neighbour, call_dropped, order, accumulate, cotangent, slope, product, variable, rules_swapped,
    elementwise)}


# ── where they may be ─────────────────────────────────────────────────────────────────────────────


def bodies(function: Any) -> list[Any]:
    """What a derivative gives: the body of a lambda, all that a function returns."""
    if isinstance(function, ast.Lambda):
        return [function.body]
    return [n.value for n in ast.walk(function) if isinstance(n, ast.Return)]


def arrays_of(site: Site) -> list[str]:
    """The names of the arrays that a derivative may ask for."""
    call = getattr(site.statement, "value", None)
    if not isinstance(call, ast.Call) or called(call) != "rule":
        return []
    return [k.arg for k in call.keywords if k.arg not in (None, "elementwise", "each")] + ["out"]


def owner_of(node: Any) -> str | None:
    """The name that a statement defines; None if it is no matter of mutation."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    if isinstance(target, ast.Tuple):
        target = target.elts[0]
    return target.id if isinstance(target, ast.Name) and node.value is not None else None


def definitions(body: Sequence[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """Give the statements that define something, methods by themselves."""
    for node in body:
        owner = owner_of(node)
        if owner in (None, "__slots__", "__repr__", "Versions", "Function", "Array", "Pullback"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from definitions(node.body, f"{owner}.")
        else:
            yield prefix + str(owner), node


def sites(source: bytes, node: Any, parent: Any, statement: ast.stmt, starts: Sequence[int],
          derivative: Any = None) -> Iterator[Site]:
    """Give all nodes below `node` where a mistake may be made."""
    if isinstance(node, ast.Raise | ast.JoinedStr) or is_docstring(node, parent):
        return
    if isinstance(node, ast.keyword) and node.arg in UNSEEN:
        return
    if isinstance(node, ast.Lambda | ast.FunctionDef):
        first = node.args.args[0].arg if node.args.args else ""
        derivative = node if first == "g" else derivative
    value = isinstance(statement, ast.FunctionDef) and not derivative
    yield Site(source, starts, node, parent, statement, derivative, value)
    for name, field in ast.iter_fields(node):
        if name in ("returns", "annotation", "decorator_list", "targets", "target", "ctx"):
            continue
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.operator | ast.cmpop):
                yield from sites(source, child, node, statement, starts, derivative)


def is_docstring(node: Any, parent: Any) -> bool:
    """Tell whether a statement is words for people: a docstring, or puts one together."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Assign) and "__doc__" in ast.dump(node.targets[0])


def mutants(module: str, source: bytes) -> list[Mutant]:
    """List all mutants of a module, each text once.

    >>> for m in mutants("rules", b"negative = rule(np.negative, x=lambda g: -g)"):
    ...     if m.kind == "cotangent":
    ...         print(m.name(b"negative = rule(np.negative, x=lambda g: -g)"))
    negative: .negative, x=lambda g: -[g → np.ones_like(g)])
    negative: .negative, x=lambda g: -[g → (g * g)])
    negative: .negative, x=lambda g: -[g → np.abs(g)])
    """
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found, seen = [], set[str]()
    for owner, statement in definitions(ast.parse(source).body):
        first, last = starts[statement.lineno - 1], starts[statement.end_lineno or 0]
        margin = len(source[first:last]) - len(source[first:last].lstrip())
        seen.add(f"{owner}{ast.dump(statement)}")
        for site in sites(source, statement, None, statement, starts):
            for kind, mistakes in KINDS.items():
                for change in mistakes(site):
                    mutant = Mutant(module, kind, owner, tuple(change))
                    local = [(a - first, b - first, new) for a, b, new in change]
                    text = Mutant(module, kind, owner, tuple(local)).text(source[first:last])
                    tree = parsed(text, margin)
                    if tree and f"{owner}{tree}" not in seen:
                        seen.add(f"{owner}{tree}")
                        found.append(mutant)
    return found


def named(module: str, source: bytes) -> dict[str, Mutant]:
    """Give all mutants of a module by their names; where two have the same, by a number too."""
    count, names = Counter[str](), dict[str, Mutant]()
    for mutant in mutants(module, source):
        name = mutant.name(source)
        count[name] += 1
        names[name if count[name] == 1 else f"{name} #{count[name]}"] = mutant
    return names


def parsed(text: bytes, margin: int) -> str | None:
    """Give the syntax of a statement; None if it is none."""
    lines = text.decode().splitlines()
    try:
        return ast.dump(ast.parse("\n".join(line[margin:] for line in lines)).body[0])
    except SyntaxError:
        return None
