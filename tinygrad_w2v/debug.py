"""`debug`: the first NaN or infinity is an error that names the operation and the user's line.

It watches (`watch.py`) and looks at every result. Where a result has a Node, the place in the
program it was computed at is hung on the Node, as the `site` of its keywords: it goes when the Node
goes, so that a training loop within one block takes no more memory than without it.
"""

from __future__ import annotations

import inspect
import linecache
import math
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import cache, wraps
from types import CodeType, FrameType, TracebackType
from typing import Any, NamedTuple

import numpy as np

from . import watch
from .functional import jvp
from .graph import Leaf, Node, Traced, recording
from .rules import Rule
from .sparse import Array, RowGrad, unbroadcast
from .tensor import Tensor

VARIABLE = "TINYGRAD_W2V_DEBUG"  # in the environment: worker processes watch, too
NOTE = "tg.debug(): "


class NonFiniteError(ArithmeticError):
    """A NaN or an infinity came up, in a block of `debug`.

    The message is the diagnosis. `operation` is the name of the operation; `backward` tells whether
    it was in its derivative; `filename` and `lineno` are the user's line that computed it.
    """

    operation: str = ""
    backward: bool = False
    filename: str | None = None
    lineno: int | None = None


# ── places in the program ─────────────────────────────────────────────────────────────────────────

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
ENGINE = {PACKAGE + f"{name}.py" for name in (
    "sparse", "stable", "graph", "rules", "derived", "tensor", "functional", "watch", "debug")}
NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
PROTOCOL = ("__array_function__", "__array_ufunc__", "_dispatch")  # on the way to an operation
ALONG = next(c for c in jvp.__code__.co_consts if getattr(c, "co_name", "") == "along")
CALLERS, DEPTH = 2, 40  # lines of the user's that are kept, beyond the first; frames looked at


@cache
def kind_of(filename: str) -> str:
    """Whose a file is: "engine", "package" (its models), "python", "installed" or "user".

    >>> kind_of(__file__), kind_of("/home/me/train.py")
    ('engine', 'user')
    """
    if filename.startswith("<"):  # "<stdin>" and its like are the user's
        return "python" if filename.startswith(("<frozen", "<__array_function__")) else "user"
    path = os.path.abspath(filename)
    if path.startswith(PACKAGE):
        return "engine" if path in ENGINE else "package"
    if path.startswith(NUMPY):
        return "python"
    if any(part in path for part in INSTALLED):
        return "installed"
    return "python" if path.startswith(STANDARD) else "user"


class Place(NamedTuple):
    """A point in a function: its code, and how far in it the instruction is."""

    code: CodeType
    instruction: int

    @property
    def span(self) -> tuple[int, int | None, int | None]:
        """The line, and the columns (in bytes) of the expression if it stands on that line."""
        for k, (line, last, begin, end) in enumerate(self.code.co_positions()):
            if 2 * k == self.instruction:
                known = line == last
                return line or 0, begin if known else None, end if known else None
        return self.code.co_firstlineno, None, None

    @property
    def source(self) -> str:
        """The text of the line; "" if the source is not there."""
        return linecache.getline(self.code.co_filename, self.span[0])

    def __str__(self) -> str:
        line, begin, end = self.span
        inside = f", in {self.code.co_qualname}" if self.code.co_name != "<module>" else ""
        text = f"{short(self.code.co_filename)}, line {line}{inside}"
        if not (source := self.source).strip():
            return text
        part = source.encode()[begin:end].decode(errors="replace") if end else ""
        whole = source.strip()
        return f"{text}: `{whole}`" + (f", at `{part}`" if part not in ("", whole) else "")


class Site(NamedTuple):
    """Where something was computed: the line in a library (`nn`), if any, the user's, its callers'.

    `step` is the step of a walk that it belonged to: the operation's name, and its site.
    """

    within: Place | None
    users: tuple[Place, ...]
    step: tuple[str, Site | None] | None = None

    @property
    def origin(self) -> Site:
        """The site of the operation that this belongs to, if it was recorded in a walk."""
        site = self
        while site.step and site.step[1]:
            site = site.step[1]
        return site

    @property
    def place(self) -> Place | None:
        """The line to look at first."""
        return self.users[0] if self.users else self.within

    def lines(self, verb: str = "in") -> Iterator[str]:
        """Say it, a line each."""
        places = [place for place in (self.within, *self.users) if place]
        for k, place in enumerate(places):
            yield f"{'called from' if k else verb} {place}"

    def __str__(self) -> str:
        return str(self.within or self.place or "a place that is not known")


def short(filename: str) -> str:
    """A path from the current folder, or from the package's own; others as they are."""
    for base in (os.path.dirname(PACKAGE.rstrip(os.sep)), os.getcwd()):
        if filename.startswith(base + os.sep):
            return os.path.relpath(filename, base)
    return filename


def site_of_frames(frames: Iterable[tuple[CodeType, int]]) -> Site:
    """Pick from frames, innermost first, those that a user wants to see."""
    within, users = None, list[Place]()
    for depth, (code, instruction) in enumerate(frames):
        kind = kind_of(code.co_filename)
        if kind == "user":
            users.append(Place(code, instruction))
        elif kind in ("package", "installed") and not within and not users:
            within = Place(code, instruction)
        if len(users) > CALLERS or (users and depth > DEPTH):
            break
    return Site(within, tuple(users))


def stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Go from a frame outwards."""
    while frame:
        yield frame
        frame = frame.f_back


def here() -> Site:
    """The site of the operation that is being carried out."""
    return site_of_frames((f.f_code, f.f_lasti) for f in stack(sys._getframe(1)))


class Located(dict[str, Any]):
    """The keywords of a Node, with the site that it was computed at."""

    __slots__ = ("site",)

    def __init__(self, meta: dict[str, Any], site: Site):
        super().__init__(meta)
        self.site = site


def site_of(node: Node | None) -> Site | None:
    """Where a Node was computed, if that was within a block."""
    return node.meta.site if node and isinstance(node.meta, Located) else None


def name_in_frames(value: Any) -> str | None:
    """The variable, or the attribute of one, that holds `value`, in the frames outside the engine.

    Only asked when there is an error to report.
    """
    outside = (f for f in stack(sys._getframe(1)) if kind_of(f.f_code.co_filename) != "engine")
    for _, frame in zip(range(8), outside, strict=False):
        for name, held in list(frame.f_locals.items()):
            if held is value:
                return name
            inside = {} if inspect.ismodule(held) else getattr(held, "__dict__", {})
            for attribute, inner in list(inside.items())[:64]:
                if inner is value:
                    return f"{name}.{attribute}"
    return None


# ── values ────────────────────────────────────────────────────────────────────────────────────────


def plain(value: Any) -> Any:
    """The array of a Tensor or the rows of a RowGrad; any other value as an array."""
    if isinstance(value, Traced):
        return value._data
    return value.rows if isinstance(value, RowGrad) else np.asarray(value)


def shown(value: Any) -> str:
    """A number as a reader wants it.

    >>> shown(np.float32(0.1)), shown(np.inf), shown(2)
    ('0.1', 'inf', '2')
    """
    return str(value) if isinstance(value, int | np.integer | bool | np.bool_) else f"{value:.6g}"


def ranging(array: Array) -> str:
    """The least and the largest finite element, and how many others there are."""
    if array.dtype.kind not in "fiu" or not array.size:
        return f"{array.dtype} of shape {array.shape}"
    fine = array[np.isfinite(array)]
    counts = {"nan": np.isnan(array).sum(), "inf": (array == np.inf).sum(),
              "-inf": (array == -np.inf).sum()}
    others = ", ".join(f"{n} of {array.size} {name}" for name, n in counts.items() if n)
    if not fine.size:
        span = "no finite element"
    elif fine.size == array.size and fine.min() == fine.max():
        span = f"{shown(fine.flat[0])} everywhere"
    else:
        span = f"range {shown(fine.min())} … {shown(fine.max())}"
    return f"{span} ({others})" if others else span


def element(array: Array, index: tuple[int, ...]) -> Any:
    """The element that broadcasting puts at `index`; None if it does not broadcast there."""
    if array.ndim > len(index):
        return None
    own = index[len(index) - array.ndim :]
    if any(i >= side != 1 for i, side in zip(own, array.shape, strict=True)):
        return None
    return array[tuple([0 if side == 1 else i for i, side in zip(own, array.shape, strict=True)])]


def located(index: tuple[int, ...], mask: Array, what: str) -> str:
    """Say which element, of how many."""
    if not mask.ndim:
        return ""
    place = ", ".join(map(str, index)) + ("," if len(index) == 1 else "")
    return f" at element ({place}) of shape {mask.shape} [{mask.sum()} of {mask.size} {what}]"


# ── advice, where the cause is known ──────────────────────────────────────────────────────────────

LOG_0 = ("log(0) is -inf: use log_softmax or log_sigmoid in place of the log of softmax or "
         "sigmoid, or add a small eps inside the log")
NEGATIVE = "of a negative number is not a real number"
OVERFLOWS = ("exp(x) is larger than {dtype} can hold from x = {limit:.1f} up: use logsumexp, "
             "softmax, log_softmax, sigmoid or softplus, or subtract the maximum first")
KINK = ("the slope of {name} at 0 is infinite: add a small eps inside, as in sqrt(x + 1e-12); "
        "norm() and std() have slope 0 there")


def forward_advice(name: str, there: list[Any], out: Any, dtype: np.dtype[Any]) -> str | None:
    """Say what to do, given the operands' elements (None: not known) that gave `out`."""
    x, y = (there + [None, None])[:2]
    if x is None or np.iscomplexobj(x):
        return too_large(there, out, dtype)
    if name in ("log", "log2", "log10", "log1p"):
        zero = -1 if name == "log1p" else 0
        return LOG_0 if x == zero else f"log {NEGATIVE}" if x < zero else None
    if name == "sqrt" and x < 0:
        return f"sqrt {NEGATIVE}: rounding may have taken a sum of squares below 0; maximum(x, 0)"
    if name in ("arcsin", "arccos") and abs(x) > 1:
        return f"{name} is defined from -1 to 1: clip(x, -1, 1)"
    if name in ("exp", "expm1", "sinh", "cosh") and np.isfinite(x):
        return OVERFLOWS.format(dtype=dtype, limit=math.log(np.finfo(dtype).max))
    if name == "reciprocal" and x == 0:
        return "1 / 0: the divisor must not be 0; add a small eps to it"
    return pair_advice(name, x, y) or too_large(there, out, dtype)


def pair_advice(name: str, x: Any, y: Any) -> str | None:
    """Say what to do about an operation on two numbers."""
    if y is None:
        return None
    if name == "divide" and y == 0:
        return (f"{shown(x)} / 0: the divisor must not be 0; add a small eps to it, or use where() "
                "on the divisor")
    if name in ("divide", "add", "subtract") and np.isinf(x) and np.isinf(y):
        sign = {"divide": "/", "add": "+", "subtract": "−"}[name]
        return (f"inf {sign} inf is not a number: look for what became infinite; in a softmax, a "
                "row of which nothing is left when it is masked")
    if name == "multiply" and (x == 0 or y == 0):
        return "0 · inf is not a number: where() leaves an element out, a factor of 0 does not"
    if name == "power" and x < 0 and np.isfinite(x):
        return "a negative number has no real power with a fraction: take abs() or maximum(x, 0)"
    if name == "power" and x == 0 and y < 0:
        return "0 to a negative power is 1 / 0: add a small eps to the base"
    return None


def too_large(there: list[Any], out: Any, dtype: np.dtype[Any], what: str = "result"
              ) -> str | None:
    """Say that a result is too large, if it is infinite and no operand is."""
    if dtype.kind != "f" or not np.isinf(out) or any(
            t is not None and not np.isfinite(t) for t in there):
        return None
    wider = " or use float64" if dtype == np.float32 else " or take logarithms"
    return (f"the {what} is larger than {dtype} can hold ({np.finfo(dtype).max:.1e}): scale the "
            f"values,{wider}; in training, a lower learning rate")


def backward_advice(name: str, i: int, there: list[Any], share: Any, dtype: np.dtype[Any]
                    ) -> str | None:
    """Say what to do about a slope, given the elements of what was saved and what was passed on."""
    x, y = (there + [None, None])[:2]
    if name == "sqrt" and there[-1] == 0:
        return KINK.format(name="sqrt")
    if name in ("log", "log2", "log10", "log1p") and x == (-1 if name == "log1p" else 0):
        return "the slope of log at 0 is 1 / 0. " + LOG_0
    if name == "divide" and y == 0:
        return "the slope of x / y is 1 / y, or −x / y²: the divisor must not be 0"
    if name == "reciprocal" and x == 0:
        return "the slope of 1 / x is −1 / x²: the divisor must not be 0"
    if name == "power" and i == 0 and x == 0:
        return KINK.format(name="a power below 1")
    if name == "power" and i == 1 and x is not None and x <= 0:
        return "the slope by the exponent is out · log(base): the base must be > 0"
    if name in ("arcsin", "arccos") and x is not None and abs(x) == 1:
        return f"the slope of {name} at ±1 is infinite: clip(x, -1 + 1e-6, 1 - 1e-6)"
    return too_large(there, share, dtype, "share")


# ── the watcher ───────────────────────────────────────────────────────────────────────────────────


class _Step(threading.local):
    """The step of a walk under way in this thread: names and sites, no arrays."""

    name: str = ""
    site: Site | None = None


class Inspector(watch.Watcher):
    """Looks at every result; holds its settings and nothing else, so that threads may share it."""

    quiet = alone = True
    _step = _Step()

    def __init__(self, inf: bool, strict: bool):
        self.inf, self.strict = inf, strict
        self.what = "not finite" if inf else "NaN"

    def is_fine(self, array: Any) -> bool:
        """Tell whether there is nothing to report."""
        return is_surely_finite(array) or not self.wrong(array).any()

    def wrong(self, array: Any) -> Any:
        """Mark the elements to report."""
        if array.dtype.kind not in "fc":
            return np.zeros(array.shape, bool)
        return np.asarray(~np.isfinite(array) if self.inf else np.isnan(array))

    # ── what it is shown ──

    def computed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], out: Any
                 ) -> None:
        """Look at a result, and note where it was computed."""
        walking, node = watch.in_walk(), out._node if isinstance(out, Traced) else None
        if node:
            site = here()
            if walking:
                site = site._replace(step=(self._step.name, self._step.site))
            node.meta = Located(node.meta, site)
        if not walking and not self.is_fine(values := plain(out)):
            self.report_forward(rule, operands, values)

    def failed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], error: Exception
               ) -> None:
        """Note on an error which operation it came from, and in which line."""
        shapes = " and ".join(str(np.shape(o)) for o in operands)
        annotate(error, f"{rule.name}() of shape {shapes}", here())

    def pulling(self, node: Node, i: int, g: Any) -> None:
        """Remember the step, for what is recorded in it."""
        if not watch.in_walk():
            self._step.name, self._step.site = node.rule.name, site_of(node)

    def pulled(self, node: Node, i: int, g: Any, share: Any) -> None:
        """Look at a share."""
        if watch.in_walk():  # within a derivative that takes derivatives: its share will be seen
            return
        values = plain(share)
        if isinstance(share, RowGrad) and not is_surely_finite(values):
            values = share.coalesce()[1]
        if not self.is_fine(values):
            self.report_backward(node, i, g, values)
        if self.strict and not isinstance(share, RowGrad) and np.any(plain(g) == 0):
            raw = slope(node, i, g, otherwise=values)
            if not self.is_fine(raw):
                self.report_backward(node, i, g, raw)

    def broke(self, node: Node, i: int, g: Any, error: Exception) -> None:
        """Note on an error which step of the walk it came from."""
        site = site_of(node)
        at = f", computed in {site.origin.place}" if site else ""
        annotate(error, f"the derivative of {node.rule.name}() by operand {i}{at}", here())

    def added(self, total: Any, share: Any, out: Any, to_grad: bool) -> None:
        """Look at a sum of shares."""
        if watch.in_walk() or self.is_fine(values := plain(out)):
            return
        self.report_sum(total, share, values, to_grad)

    def edited(self, leaf: Tensor) -> None:
        """Look at what an optimiser, or another program, left in a leaf."""
        if not self.is_fine(leaf._data):
            self.report_edit(leaf)

    # ── what it reports ──

    def first(self, rule: Rule, arrays: list[Array], out: Array
              ) -> tuple[tuple[int, ...], int | None]:
        """Choose an element of a result to report, and the operand that it came in with, if any."""
        mask = self.wrong(out)
        if not rule.elementwise or np.broadcast_shapes(*[a.shape for a in arrays]) != out.shape:
            sources = [k for k, a in enumerate(arrays) if self.wrong(a).any()]
            return first_of(mask), sources[0] if sources else None
        came = [np.broadcast_to(self.wrong(a), out.shape) for a in arrays]
        own = mask & ~np.logical_or.reduce(came)
        if own.any():
            return first_of(own), None
        index = first_of(mask)
        return index, next(k for k, c in enumerate(came) if c[index])

    def report_forward(self, rule: Rule, operands: tuple[Any, ...], out: Any) -> None:
        """Raise the error of an operation."""
        if any(f.f_code is ALONG for f in stack(sys._getframe(1))):
            return
        out, arrays = np.asarray(out), [plain(o) for o in operands]
        index, source = self.first(rule, arrays, out)
        there = [element(a, index) if rule.elementwise else None for a in arrays]
        at = located(index, self.wrong(out), self.what)
        lines = [f"{rule.name}() gave {shown(out[index])}{at}",
                 *[operand_line(k, o, there[k]) for k, o in enumerate(operands)]]
        if source is None:
            advice = forward_advice(rule.name, there, out[index], out.dtype)
        else:
            mask = self.wrong(arrays[source])
            came = first_of(mask)
            lines.append(f"operand {source} came in with {shown(arrays[source][came])}"
                         f"{located(came, mask, self.what)}; it is {past_of(operands[source])}")
            advice = None if np.isnan(arrays[source][came]) else (
                "if infinities are meant, as in a mask: tg.debug(inf=False)")
        site = here()
        self.fail(rule.name, False, site, [*lines, *([advice] if advice else []), *site.lines()])

    def report_backward(self, node: Node, i: int, g: Any, share: Any) -> None:
        """Raise the error of a step of a walk."""
        rule, cotangent, mask = node.rule, plain(g), self.wrong(share)
        index, raw = first_of(mask), slope(node, i, g, otherwise=share)
        lines = [f"the derivative of {rule.name}() by operand {i} gave {shown(share[index])}"
                 f"{located(index, mask, self.what)}"]
        spot = self.spot(node, raw, cotangent)
        values = {f"operand {j}": a for j, a in enumerate(node.saved[:-1]) if a is not None}
        values |= {} if node.saved[-1] is None else {"the result": node.saved[-1]}
        found = {name: None if spot is None else element(np.asarray(a), spot)
                 for name, a in values.items()}
        lines.append(value_line("the cotangent that came in", cotangent,
                                None if spot is None else element(cotangent, spot)))
        lines += [value_line(name, np.asarray(a), found[name]) for name, a in values.items()]
        lines += self.cause(node, i, cotangent, raw, share, index, found)
        site, caller = site_of(node), here()
        if site and site.step:
            lines.append(f"it was recorded as a part of the derivative of {site.step[0]}()")
        lines += (site.origin.lines("computed in") if site else
                  ["computed before this block was opened: the line is not known"])
        lines += caller.lines("backward from")
        self.fail(rule.name, True, site.origin if site else caller, lines)

    def spot(self, node: Node, raw: Array, g: Array) -> tuple[int, ...] | None:
        """Find the element of an elementwise result that a share is not finite for."""
        marked = self.wrong(raw)
        if not node.rule.elementwise or raw.shape != node.shape or not marked.any():
            return None
        alive = marked & (g != 0)  # the others count as 0
        return first_of(alive if alive.any() else marked)

    def cause(self, node: Node, i: int, g: Array, raw: Array, share: Array, index: tuple[int, ...],
              found: dict[str, Any]) -> list[str]:
        """Say why a share is not finite, if that is known."""
        fine = np.where(self.wrong(g), g.dtype.type(1), g)
        if self.wrong(g).any() and not self.wrong(slope(node, i, fine, otherwise=raw)).any():
            return ["the fault is in the cotangent that came in: in the seed"]
        if not self.wrong(raw).any():
            parent = node.parents[i]
            if node.rule.name == "take":
                return ["rows were looked up several times; the sum of what they received is "
                        f"larger than {raw.dtype} can hold"]
            wide = unbroadcast(raw, parent.shape) if raw.shape != parent.shape else raw
            return ["each element is finite; " + (
                f"their sum over the axes that were broadcast is larger than {raw.dtype} can hold"
                if wide is None or self.wrong(wide).any() else
                f"but not in {parent.dtype}, the operand's type: use one type throughout")]
        there = [found.get(f"operand {j}") for j in range(len(node.parents))]
        advice = backward_advice(node.rule.name, i, [*there, found.get("the result")],
                                 share[index], share.dtype)
        return [advice] if advice else []

    def report_sum(self, total: Any, share: Any, out: Array, to_grad: bool) -> None:
        """Raise the error of a sum of shares."""
        mask, caller = self.wrong(out), here()
        index = first_of(mask)
        what = "a gradient and the .grad that was there" if to_grad else "the shares of a cotangent"
        lines = [f"{what}, added up, gave {shown(out[index])}"
                 f"{located(index, mask, self.what)}",
                 value_line("one", plain(total), None), value_line("the other", plain(share), None)]
        advice = too_large([], out[index], out.dtype, "sum")
        lines += [advice] if advice else []
        if to_grad:
            lines += ["zero_grad() before backward() forgets the gradients of earlier steps",
                      *caller.lines("backward from")]
            return self.fail("backward", True, caller, lines)
        site = self._step.site
        lines.append(f"the last share is that of {self._step.name}()")
        lines += [*(site.origin.lines("computed in") if site else []),
                  *caller.lines("backward from")]
        return self.fail(self._step.name, True, site.origin if site else caller, lines)

    def report_edit(self, leaf: Tensor) -> None:
        """Raise the error of a leaf that was changed."""
        mask, site, name = self.wrong(leaf._data), here(), name_in_frames(leaf)
        index = first_of(mask)
        what = f"`{name}`" if name else "a leaf"
        at = located(index, mask, self.what)
        lines = [f"edit() left {shown(leaf._data[index])} in {what}{at}",
                 "a step of an optimiser was too large: lower its learning rate; or what was "
                 "written there was not finite", *site.lines()]
        self.fail("edit", False, site, lines)

    def fail(self, operation: str, backward: bool, site: Site, lines: list[str]) -> None:
        """Raise the error."""
        error = NonFiniteError("\n  ".join(dict.fromkeys(lines)))  # a caller of both once
        error.operation, error.backward = operation, backward
        if place := site.place:
            error.filename, error.lineno = place.code.co_filename, place.span[0]
        raise error


def first_of(mask: Array) -> tuple[int, ...]:
    """The index of the first element that is marked."""
    return tuple(int(k) for k in np.unravel_index(np.argmax(mask), mask.shape))


def operand_line(k: int, operand: Any, there: Any) -> str:
    """Say what an operand is, and where it was made if that is known."""
    name, node = name_in_frames(operand), operand._node if isinstance(operand, Traced) else None
    text = value_line(f"operand {k}" + (f", `{name}`" if name else ""), plain(operand), there)
    site = site_of(node)
    return f"{text}; from {node.rule.name}() in {site}" if node and site else text


def value_line(name: str, array: Array, there: Any) -> str:
    """Say what an array holds: at the element in question, and overall."""
    if not array.ndim:
        return f"{name}: {shown(array[()])}"
    span = ranging(array)
    return f"{name}: {span}" if there is None or span.endswith("everywhere") else (
        f"{name}: {shown(there)} there; {span}")


def past_of(operand: Any) -> str:
    """Say where the fault is to be looked for, in something that came in with a NaN."""
    node = operand._node if isinstance(operand, Traced) else None
    if isinstance(node, Leaf):
        return ("a leaf that was changed in place, by an optimiser's step or edit(), before this "
                "block looked" if node.version else
                "a leaf that was so when it was made, by the data or the initialisation")
    site = site_of(node)
    if node and site:
        return f"the result of {node.rule.name}() in {site}"
    return ("a result computed before this block was opened" if node else
            "a constant, and the fault is in the data")


def is_surely_finite(array: Any) -> bool:
    """Tell by the sum of squares: where that is finite, any other sum of the elements is, too."""
    return array.dtype.kind not in "fc" or math.isfinite(abs(np.vdot(array, array)))


def slope(node: Node, i: int, g: Any, otherwise: Array) -> Array:
    """Pull `g` through `node` once more, on arrays, without the strong zero.

    Gives `otherwise` if the rule, which may be the user's, does not take arrays.
    """
    derivative = node.rule.derivative(i)
    needs = range(len(node.parents)) if derivative.needs is None else derivative.needs
    keywords = derivative.keywords(node.meta, node.parents[i].shape, i)
    try:
        with recording(False), np.errstate(all="ignore"):
            share = derivative.fn(plain(g), *[node.saved[j] for j in needs], **keywords)
        return np.asarray(plain(share))
    except Exception:
        return otherwise


def annotate(error: BaseException, what: str, site: Site) -> None:
    """Add a note to an error, once."""
    noted = any(note.startswith(NOTE) for note in getattr(error, "__notes__", ()))
    if not noted and not isinstance(error, NonFiniteError):
        error.add_note("\n  ".join([NOTE + what, *site.lines()]))


# ── the block ─────────────────────────────────────────────────────────────────────────────────────


class Debug:
    """A block of `debug`: for ``with``, as often as is liked, and to decorate functions with."""

    def __init__(self, inf: bool = True, strict: bool = False):
        self.inspector, self.opened = Inspector(inf, strict), list[watch.Look]()
        self.setting = ",".join(["on", *([] if inf else ["nan"]), *(["strict"] if strict else [])])

    def __enter__(self) -> Debug:
        self.opened.append(watch.begin(self.inspector))
        _environment.open(self.setting)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        _environment.close(self.setting)
        mine = [look for look in watch.opened() if look in self.opened] or self.opened
        look = mine[-1]  # the innermost in this thread; a generator may be closed in another one
        self.opened.remove(look)
        watch.end(look)
        if isinstance(error, Exception):
            annotate_trace(error, trace)

    def __call__(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function, or a coroutine's: it runs within the block."""
        if inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f):
            raise TypeError(f"debug() cannot decorate the generator {f.__name__}(), which does its "
                            "work after the call: put `with tg.debug():` around the loop over it")
        if inspect.iscoroutinefunction(f):
            @wraps(f)
            async def later(*args: Any, **keywords: Any) -> Any:
                with self:
                    return await f(*args, **keywords)
            return later

        @wraps(f)
        def inside(*args: Any, **keywords: Any) -> Any:
            with self:
                return f(*args, **keywords)
        return inside


class _Environment:
    """Tells worker processes, by a variable of the environment, that a block is open."""

    def __init__(self) -> None:
        self.lock, self.settings = threading.Lock(), list[str]()
        self.before: str | None = None

    def open(self, setting: str) -> None:
        with self.lock:
            if not self.settings:
                self.before = os.environ.get(VARIABLE)
            self.settings.append(setting)
            os.environ[VARIABLE] = setting

    def close(self, setting: str) -> None:
        with self.lock:
            self.settings.remove(setting)
            last = self.settings[-1] if self.settings else self.before
            if last is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = last


_environment = _Environment()


def annotate_trace(error: Exception, trace: TracebackType | None) -> None:
    """Note on an error that came out of this package which function of it was called, and where.

    For what is refused before the operation begins, as a look-up of rows that are not there.
    """
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    kinds = [kind_of(frame.f_code.co_filename) for frame in frames]
    own = next((k for k in range(len(kinds), 0, -1) if kinds[k - 1] in ("user", "installed")), 0)
    called = [frame for frame, kind in zip(frames[own:], kinds[own:], strict=True)
              if kind in ("engine", "package") and frame.f_code.co_name not in PROTOCOL]
    if not called:  # it was raised in the user's own code
        return
    spec = called[0].f_locals.get("spec")
    name = spec.name if isinstance(spec, Rule) else called[0].f_code.co_qualname
    annotate(error, f"{name}()", site_of_trace(trace))


def site_of_trace(trace: TracebackType | None) -> Site:
    """The site of an error."""
    places = []
    while trace:
        places.append((trace.tb_frame.f_code, trace.tb_lasti))
        trace = trace.tb_next
    return site_of_frames(places[::-1])


def debug(inf: bool = True, strict: bool = False) -> Debug:
    """Report the first NaN or infinity in the block, with its operation and your line.

    Use it as ``with tg.debug(): …``, or as a decorator, ``@tg.debug()``. It holds in this thread or
    asyncio task, and in worker processes that are started meanwhile. Outside a block nothing is
    paid for it.

    Parameters
    ----------
    inf
        False: report NaN alone, where infinities are meant (masks of −inf; log(0) in a branch that
        a where() discards).
    strict
        Report also what a cotangent of 0 hides: an infinite slope in a branch that was not taken,
        which the walk lets count as 0.

    NonFiniteError (an ArithmeticError): the diagnosis. Errors of operations, such as shapes that do
    not fit, get a note with the operation and your line.

    >>> import tinygrad_w2v as tg
    >>> p = tg.Tensor([0.5, 0.0], requires_grad=True)
    >>> with debug():
    ...     loss = -np.log(p).sum()
    Traceback (most recent call last):
    tinygrad_w2v.debug.NonFiniteError: log() gave -inf at element (1,) ...
      operand 0, `p`: 0 there; range 0 … 0.5
      ...
    """
    return Debug(inf, strict)


if os.environ.get(VARIABLE, "0") not in ("", "0"):
    _words = os.environ[VARIABLE].split(",")
    watch.begin(debug(inf="nan" not in _words, strict="strict" in _words).inspector)
