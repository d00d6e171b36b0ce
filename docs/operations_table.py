"""Write docs/operations.md: every operation, its derivatives as the table has them, and its checks.

Run it as ``python docs/operations_table.py``. What the page says of a rule is read from the rule
that the engine uses; the figures come from checking it.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
import operator
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinygrad_w2v as tg
from tinygrad_w2v import rules
from tinygrad_w2v.rules import Derivative, Rule
from tinygrad_w2v.testing import Call, OpSpec, check_grad
from tinygrad_w2v.testing.ops import OPS
from tinygrad_w2v.watch import Watcher, watching

Function = Callable[..., Any]
HERE = Path(__file__).parent
PAGE = HERE / "operations.md"
SEEDS = range(3)
INTRODUCTION = """\
# The operations, one by one

`python docs/operations_table.py` writes this page from the engine itself, and a test fails when it
says of a rule or of a check what is no longer so.

**The rules** are the text of [`rules.py`](../tinygrad_w2v/rules.py). `g` is the cotangent of the
result, ∂L/∂out, and `x: …` is then the cotangent of operand x. `np` means NumPy on arrays, and the
operations on this page on Tensors. What is *made of* others has a derivative by the chain rule. Two
things stand in no rule, because the walk does them for all: a cotangent is summed over what
broadcasting had repeated, and cast to its operand's type.

**Kept** is what the graph keeps alive for the way back: the operands that a rule names, the result
(`out`), or nothing. Shapes are always known.

**Judged by** says which oracle knew the right derivative:

- *complex step*: Im f(x + ih) / h with h = 1e-100, of the operation itself, exact to rounding;
- *twin*: the same of a formula in NumPy, where the operation is not analytic for complex numbers;
- *+ kinks*: besides, at kinks and ties, the inequality that makes a slope a sub-gradient.

**Compared** is how many derivatives were, over all orders, in double and in single precision.
**Worst** is the largest deviation among them, relative to the largest derivative by the same
operand: for first and second derivatives in double precision (its unit of rounding is 1e-16), and
for both in single (6e-8), where the oracle computes in double.
"""


# ── the rules, as they are written ────────────────────────────────────────────────────────────────

SOURCE = inspect.getsource(rules)
LAMBDAS = [node for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Lambda)]


def written(derivative: Derivative) -> str:
    """What stands to the right of the colon: the body of a lambda, or a call of a function."""
    fn = derivative.fn
    if fn.__name__ != "<lambda>":
        return f"{fn.__name__}({', '.join(inspect.signature(fn).parameters)})"
    first, *more = (ast.get_source_segment(SOURCE, lambda_of(fn).body) or "").split("\n")
    return "\n".join([first, *textwrap.dedent("\n".join(more)).split("\n")[: len(more)]])


def lambda_of(fn: Function) -> ast.Lambda:
    """The lambda in the source of rules.py that `fn` was made by."""
    places = [(line, column) for line, _, column, end in fn.__code__.co_positions()
              if line is not None and column is not None and end]
    around = [node for node in LAMBDAS if _start(node.body) <= min(places)
              and max(places) <= (node.body.end_lineno, node.body.end_col_offset)]
    return max(around, key=lambda node: _start(node.body))  # the innermost


def _start(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def helpers(texts: list[str], known: set[str]) -> Iterator[str]:
    """The sources of the functions of rules.py that `texts` call, and of those that these call."""
    for name in dict.fromkeys(re.findall(r"\b\w+(?=\()", "\n".join(texts))):
        fn = getattr(rules, name, None)
        if inspect.isfunction(fn) and fn.__module__ == rules.__name__ and not hasattr(fn, "rule") \
                and name not in known:
            known.add(name)
            source = inspect.getsource(fn).rstrip()
            yield source
            yield from helpers([source.split("\n", 1)[1]], known)


def rule_of(name: str) -> Rule | None:
    """The rule called `name`, if there is one: of the operation, or of the primitive below it."""
    found = getattr(getattr(tg, name), "rule", None) or getattr(
        getattr(rules, name, None), "rule", None)
    return found if isinstance(found, Rule) else None


class Namer(Watcher):
    """Notes which rules are used."""

    def __init__(self) -> None:
        self.used: dict[str, None] = {}

    def computed(self, rule: Rule, operands: Any, meta: Any, out: Any) -> None:
        """Note the rule."""
        self.used[rule.name] = None


def parts(name: str) -> list[str]:
    """The rules that an operation goes through in the calls of its rows, besides its own."""
    namer, rng = Namer(), np.random.default_rng(0)
    for spec in rows(name):
        for call in spec.calls:
            operands = [tg.Tensor(a) for a in spec.draw(call, rng)]
            with watching(namer):
                _call(spec, call, getattr(tg, name), operands)
    own = rule_of(name)
    return ["abs" if used == "absolute" else used for used in namer.used
            if own is None or used != own.name]


def _call(spec: OpSpec, call: Call, op: Function, operands: list[Any]) -> None:
    if spec.name == "split":  # its row joins what it has split
        op(*operands, *call.keywords.values())
    else:
        spec.bind(call, op)(*operands)


def rule_lines(rule: Rule) -> list[str]:
    """The derivatives of a rule, a line for each operand, or more."""
    lines = list[str]()
    for operand, derivative in zip(rule.operands, rule.derivatives, strict=True):
        first, *more = written(derivative).split("\n") if derivative else ["none"]
        lines += [f"{operand}: {first}", *["    " + line for line in more]]
    return lines


def entry(name: str) -> list[str]:
    """What the page says of an operation: its rule, or what it is made of, or both."""
    rule, through = rule_of(name), parts(name)
    lines = rule_lines(rule) if rule else []
    if through:
        lines.append(("also made of " if rule else "made of ") + ", ".join(through))
    return lines


def hidden(texts: list[str]) -> dict[str, Rule]:
    """The rules that `texts` call and that are no operation of the package."""
    names = dict.fromkeys(re.findall(r"\b\w+(?=\()", "\n".join(texts)))
    found = {name: getattr(getattr(rules, name, None), "rule", None) for name in names}
    return {name: rule for name, rule in found.items() if rule and not hasattr(tg, name)}


def kept(name: str) -> str:
    """What the derivatives of an operation want again."""
    rule = rule_of(name)
    if rule is None:
        return "as its parts do"
    wants = [d.needs for d in rule.derivatives if d]
    if None in wants:
        return "the other operands"
    names = [*rule.operands, "out"]
    every = sorted({i for needs in wants for i in needs or ()})
    return ", ".join(f"`{names[i]}`" for i in every) or "nothing"


# ── the checks ────────────────────────────────────────────────────────────────────────────────────


class Checked(NamedTuple):
    """How an operation was checked: the deviations of each order and precision, the worst."""

    judges: str
    orders: int
    compared: int
    worst: dict[tuple[int, str], float]


def rows(name: str) -> list[OpSpec]:
    """The rows of an operation in the registry."""
    return [spec for spec in OPS if spec.op is getattr(tg, name)]


def judges(name: str) -> str:
    """Which oracles judge an operation."""
    specs = rows(name)
    by = {"twin" if spec.analytic else "complex step" for spec in specs}
    kinked = any(spec.kinks and spec.convex for spec in specs)
    return ", ".join(sorted(by)) + (" + kinks" if kinked else "")


def comparisons(name: str) -> int:
    """How many derivatives are compared: of all operands, orders, precisions and seeds."""
    return sum(2 * len(SEEDS) * spec.order * sum(math.prod(shape) for shape in call.shapes)
               for spec in rows(name) for call in spec.calls)


def slope(f: Function, u: np.ndarray, along: list[np.ndarray]) -> Function:
    """The derivative of Σ u·f in the direction `along`, as a function of the operands."""

    def sloped(*xs: Any) -> Any:
        tensors = [x if isinstance(x, tg.Tensor) else tg.Tensor(x) for x in xs]
        shares = zip(tg.vjp(f, *tensors)[1](u), along, strict=True)
        return functools.reduce(operator.add, [(g * v).sum() for g, v in shares])

    return sloped


def check(name: str) -> Checked:
    """Check an operation over all calls of its rows, and keep the largest deviations."""
    worst: dict[tuple[int, str], float] = {}
    compared = 0
    for spec in rows(name):
        for call, seed, dtype in ((c, s, d) for c in spec.calls for s in SEEDS
                                  for d in ("float64", "float32")):
            rng = np.random.default_rng(seed)
            operands = spec.draw(call, rng, dtype)
            f, ref = spec.bind(call), spec.analytic and spec.bind(call, spec.analytic)
            shape = np.shape(f(*operands))
            u = np.asarray(rng.integers(1, 64, shape) / 64, dtype)
            along = [np.asarray(rng.integers(1, 64, a.shape) / 64, dtype) for a in operands]
            for order in range(1, spec.order + 1):
                done = check_grad(f, *operands, ref=ref, cotangent=u, seed=seed)
                if done.oracle != "complex step":
                    raise AssertionError(f"{spec.name}({call}) was judged by {done.oracle}")
                key = order, dtype
                worst[key] = max(worst.get(key, 0.0), float(done.worst))
                compared += done.compared
                f, ref = slope(f, u, along), ref and slope(ref, u, along)
                u = np.asarray(1, dtype)
    if compared != comparisons(name):
        raise AssertionError(f"{name}: {compared} compared, not {comparisons(name)}")
    return Checked(judges(name), max(spec.order for spec in rows(name)), compared, worst)


def figure(worst: dict[tuple[int, str], float], *keys: tuple[int, str]) -> str:
    """The largest of the deviations of `keys`, to one digit."""
    sizes = [worst[key] for key in keys if key in worst]
    return f"{max(sizes):.0e}".replace("e-0", "e-") if any(sizes) else "0" if sizes else "–"


# ── the page ──────────────────────────────────────────────────────────────────────────────────────


def groups() -> dict[str, list[str]]:
    """The operations in the groups, and the order, of README's table."""
    found: dict[str, list[str]] = {}
    for line in (HERE.parent / "README.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = [name for name in re.findall(r"\w+", cells[-1]) if rows_named(name)]
        if len(cells) == 2 and len(names) > 1 and line.startswith("|"):
            found[cells[0]] = ["index", *names] if cells[0] == "looking up" else names
    return found


def rows_named(name: str) -> bool:
    """Tell whether there is an operation of this name."""
    return any(spec.op is getattr(tg, name, None) for spec in OPS)


def conventions(names: list[str]) -> Iterator[str]:
    """The lines of the table of conventions that speak of any of these operations."""
    text = (HERE / "conventions.md").read_text(encoding="utf-8").split("```")[0]
    for line in text.splitlines():
        codes = re.findall(r"`([^`]*)`", line.strip("|").split("|")[0])
        spoken = {re.split(r"\W", code)[0] for code in codes}
        spoken |= {"power" for code in codes if "**" in code}
        spoken |= {"index" for code in codes if "[" in code}
        if line.startswith("|") and spoken.intersection(names):
            yield line


def block(names: list[str]) -> str:
    """The rules of a group, aligned; then those that these call."""
    entries = {name: entry(name) for name in names}
    lines = [line for given in entries.values() for line in given]
    while more := {name: rule_lines(rule) for name, rule in hidden(lines).items()
                   if name not in entries}:
        entries |= more
        lines += [line for given in more.values() for line in given]
    width = max(map(len, entries)) + 2
    aligned = [("" if k else name).ljust(width) + line
               for name, given in entries.items() for k, line in enumerate(given)]
    return "\n".join(["```text", *aligned, "```"])


def table(names: list[str], figures: bool) -> str:
    """How the operations of a group were checked; without `figures`, a 0 for each deviation."""
    lines = ["| operation | kept | judged by | orders | compared | worst: 1st | 2nd | single |",
             "|---|---|---|---|---|---|---|---|"]
    for name in names:
        order = max(spec.order for spec in rows(name))
        done = check(name) if figures else Checked(judges(name), order, comparisons(name), {})
        cells = [figure(done.worst, (1, "float64")), figure(done.worst, (2, "float64")),
                 figure(done.worst, (1, "float32"), (2, "float32"))]
        lines.append(f"| `{name}` | {kept(name)} | {done.judges} | {done.orders} | "
                     f"{done.compared:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def page(figures: bool = True) -> str:
    """The whole page."""
    parts, known = [INTRODUCTION], set[str]()
    for group, names in groups().items():
        rules_text = block(names)
        parts.append(f"## {group.capitalize()}\n\n{rules_text}\n")
        if sources := list(helpers([rules_text], known)):
            parts.append("with\n\n```python\n" + "\n\n".join(sources) + "\n```\n")
        parts.append(table(names, figures) + "\n")
        if chosen := list(conventions(names)):
            parts.append("By [convention](conventions.md):\n")
            parts.append("\n".join(["| where | derivative | why |", "|---|---|---|", *chosen, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PAGE.write_text(page(), encoding="utf-8")
