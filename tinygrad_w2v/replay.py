"""`trace`: the walk back through a graph, one step at a time, without changing anything.

A step is what one rule does for one operand: the cotangent of the result goes in, a share comes
out, and is added to what the operand had. The steps are those of the engine's own walk, which is
watched; the orders "recursion" and "paths" replay what is often written in its place, and show
where that goes wrong.
"""

from __future__ import annotations

import html
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import graph
from .draw.graph import Kept, Picture, Scene, picture, variables
from .draw.shown import NOTHING, brief, gradient
from .draw.stepper import stepper
from .graph import GraphError, Leaf, Node, walk
from .sparse import RowGrad
from .tensor import Tensor, start
from .watch import Watcher, added, in_walk, watching
from .word2vec.files import replacing, write_atomically

ORDERS = {"topological": "every node once, after all its consumers: what backward() does",
          "recursion": "each node hands on what it has to its operands, and calls itself for each "
                       "of them at once: totals are handed on again and again",
          "paths": "each node hands on what has just come, and calls itself for each operand: "
                   "right, but with a call for every path through the graph"}
CALLS = 10_000   # of an order that may take very many
TOLD = 100       # steps in a text
WRITTEN = 10_000  # steps in a JSON document
NUMBERS = 1_000  # numbers of one value there


class Step(NamedTuple):
    """The share of one operand: what came in, what came out, and the operand before and after.

    `before` is None if the operand had nothing yet. `note` says what is wrong about it, if anything
    is; `call` counts the calls of the recursion (of the walk: the nodes).
    """

    node: Node
    operand: int
    upstream: Any
    share: Any
    before: Any
    after: Any
    call: int
    note: str = ""

    @property
    def parent(self) -> Node:
        """The Node of the operand."""
        return self.node.parents[self.operand]  # type: ignore[no-any-return]


# ── the orders ────────────────────────────────────────────────────────────────────────────────────


class _Recorder(Watcher):
    """Writes down the steps of a walk."""

    def __init__(self) -> None:
        self.steps, self.totals = list[Step](), dict[Node, Any]()
        self.nodes = set[Node]()

    def pulled(self, node: Node, i: int, g: Any, share: Any) -> None:
        """Write down a share."""
        if in_walk():  # of a derivative that takes derivatives itself
            return
        self.nodes.add(node)
        self._append(Step(node, i, g, share, self.totals.get(node.parents[i]), share,
                          len(self.nodes)))

    def added(self, total: Any, share: Any, out: Any, to_grad: bool) -> None:
        """Write down what the operand has now, if it had something before."""
        if not in_walk():
            self._append(self.steps.pop()._replace(after=out))

    def _append(self, step: Step) -> None:
        self.steps.append(step)
        self.totals[step.parent] = step.after


def in_order(root: Node, seed: Any) -> tuple[list[Step], int]:
    """The steps of the engine's walk, and how many nodes it came to."""
    recorder = _Recorder()
    with watching(recorder):
        walk(root, seed)
    return recorder.steps, len({root, *recorder.totals})


def recursive(root: Node, seed: Any, order: str, calls: int, names: Mapping[Node, str]
              ) -> tuple[list[Step], int]:
    """The steps of a recursion from each node to its operands, and how many calls it makes.

    It is the recursion of a beginner's backward(), with a stack in place of calls of Python's.
    """
    steps, totals, visits, made = list[Step](), {root: seed}, Counter[Node](), 0
    handed = dict[Node, Any]()
    stack = [(root, seed)]
    while stack:
        node, came = stack.pop()
        made += 1
        if made > calls:
            raise GraphError(f"the order {order!r} has made {calls:,} calls and has not come to an "
                             f"end: {len(names):,} nodes can take more calls than there is time "
                             "for. calls= allows more")
        visits[node] += 1
        g = totals[node] if order == "recursion" else came
        g = g.dense() if isinstance(g, RowGrad) else g
        note, below = "", list[tuple[Node, Any]]()
        if visits[node] > 1 and any(node.parents):
            note = f"call {visits[node]} of {names[node]}: " + (
                f"it hands on {brief(g)}, of which it has handed on {brief(handed[node])} before"
                if order == "recursion" else "all below it is walked again")
        handed[node] = g
        for i, parent in enumerate(node.parents):
            if parent:
                share = graph.fit(graph.pull(node, i, g, careful=True), node, i, g)
                before = totals.get(parent)
                totals[parent] = share if before is None else added(before, share)
                steps.append(Step(node, i, g, share, before, totals[parent], made, note))
                below.append((parent, share))
                note = ""
        stack += reversed(below)
    return steps, made


# ── the trace ─────────────────────────────────────────────────────────────────────────────────────


class Trace:
    """All steps of a walk: to be printed, saved (``.txt .json .html``), or asked for one by one.

    `steps`, `order` and `seed` are what they say; `calls` is how many times a node was come to;
    `cotangents` maps every Node to what it received in all, and `gradients` the name of every leaf.
    """

    def __init__(self, scene: Scene, seed: Any, order: str, calls: int):
        self.scene, self.seed, self.order = scene, seed, order
        self.root: Node = scene.roots[0]
        with np.errstate(all="ignore"):
            right, nodes = in_order(self.root, seed)
            self.steps, self.calls = (right, nodes) if order == "topological" else recursive(
                self.root, seed, order, calls, scene.names)
        self.right = {self.root: seed} | {step.parent: step.after for step in right}

    def __len__(self) -> int:
        return len(self.steps)

    def replay(self, k: int | None = None) -> dict[Node, Any]:
        """What every Node has received after `k` steps (None: all), by adding the shares up again.

        >>> import tinygrad_w2v as tg
        >>> a = tg.Tensor(3.0, requires_grad=True)
        >>> walked = trace(a + a)
        >>> [float(walked.replay(k).get(a._node, 0)) for k in range(3)]
        [0.0, 1.0, 2.0]
        """
        totals = {self.root: self.seed}
        with np.errstate(all="ignore"):
            for step in self.steps[: self._checked(k)]:
                known = totals.get(step.parent)
                totals[step.parent] = step.share if known is None else added(known, step.share)
        return totals

    def _checked(self, k: int | None) -> int:
        if k is not None and not 0 <= k <= len(self.steps):
            raise IndexError(f"there are steps 0 to {len(self.steps)}, not {k}")
        return len(self.steps) if k is None else k

    @property
    def cotangents(self) -> dict[Node, Any]:
        """What every Node has received at the end."""
        return {self.root: self.seed} | {step.parent: step.after for step in self.steps}

    @property
    def gradients(self) -> dict[str, Any]:
        """What every leaf has received, by its name; a leaf that nothing came to is not there."""
        return {self.scene.names[node]: value for node, value in self.cotangents.items()
                if isinstance(node, Leaf)}

    def graph(self, k: int | None = None, **settings: Any) -> Picture:
        """Draw the graph with what each node has received after `k` steps (None: all)."""
        return picture(self.scene, self.replay(k), **settings)

    # ── as text ──

    def beginning(self) -> str:
        """Say what is there before the first step."""
        return f"The seed: {self.scene.names[self.root]} is given {brief(self.seed)}."

    def sentence(self, k: int) -> str:
        """Say in a sentence what step `k` (from 1) does."""
        step, scene = self.steps[k - 1], self.scene
        name = scene.names[step.parent]
        had = NOTHING if step.before is None else brief(step.before)
        return (f"Step {k} of {len(self.steps)}: {scene.names[step.node]} = "
                f"{scene.call(step.node)} has {brief(step.upstream)}; "
                f"{scene.place(step.node, step.operand)}, {name}, gets {brief(step.share)}. "
                f"{name}: {had} → {brief(step.after)}.")

    def verdict(self) -> list[str]:
        """Say of every leaf what it has received and, of another order, what is right."""
        lines, largest = [], dict[Node, float]()  # of each leaf, the largest number of any share
        for step in self.steps if self.order != "topological" else ():
            if isinstance(step.parent, Leaf):
                known = largest.get(step.parent, 0.0)
                largest[step.parent] = max(known, size(step.share))
        for node in self.scene.nodes:
            if not isinstance(node, Leaf):
                continue
            value = self.cotangents.get(node)
            line = f"{self.scene.names[node]}: {gradient(value)}"
            if self.order != "topological":
                agrees = close(value, self.right.get(node), largest.get(node, 0.0))
                line += ", and that is right" if agrees else (
                    f"  ✗ wrong: {brief(self.right[node])} is right")
            lines.append(line)
        return lines

    def lines(self, limit: int | None = TOLD) -> Iterator[str]:
        """The text, line by line: at most `limit` steps, then how many more there are."""
        yield f"order: {self.order}: {ORDERS[self.order]}"
        yield self.beginning()
        for k, step in enumerate(self.steps[:limit], 1):
            yield ""
            yield self.sentence(k)
            rule = self.scene.rule(step.node, step.operand).split("\n")
            yield from [f"    {line}" for line in rule]
            if step.note:
                yield f"  ✗ {step.note}"
        if limit is not None and len(self.steps) > limit:
            yield ""
            yield f"… {len(self.steps) - limit:,} steps more: .text(limit=None), or .save()"
        yield ""
        yield self.summary()
        yield from self.verdict()

    def summary(self) -> str:
        """Say how long it took."""
        nodes = len(self.scene.nodes)
        return (f"At the end, after {len(self.steps):,} step(s) and {self.calls:,} call(s) for "
                f"{nodes:,} node(s):")

    def text(self, limit: int | None = TOLD) -> str:
        """The steps in words, at most `limit` of them."""
        return "\n".join(self.lines(limit))

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<trace of {self.scene.names[self.root]}: {len(self.steps):,} steps>"

    # ── for programs ──

    def to_dict(self, limit: int | None = WRITTEN) -> dict[str, Any]:
        """All of it as dictionaries, lists, numbers and strings; at most `limit` steps.

        ``left_out`` says how many steps are not there. NaN and infinities are strings.
        """
        scene, shown = self.scene, self.steps[:limit]
        names = scene.names
        nodes = scene.nodes if limit is None or len(scene.nodes) <= limit else list(dict.fromkeys(
            node for step in shown for node in (step.node, step.parent)))
        return {
            "order": self.order, "calls": self.calls, "loss": names[self.root],
            "seed": as_json(self.seed), "nodes_in_all": len(scene.nodes),
            "nodes": [{"name": names[n], "is": scene.call(n), "shape": list(n.shape),
                       "dtype": str(n.dtype), "value": scene.value(n)} for n in nodes],
            "steps": [{"step": k, "call": step.call, "node": names[step.node],
                       "operand": step.operand, "to": names[step.parent],
                       "rule": scene.rule(step.node, step.operand),
                       "upstream": as_json(step.upstream), "share": as_json(step.share),
                       "before": as_json(step.before), "after": as_json(step.after),
                       "note": step.note} for k, step in enumerate(shown, 1)],
            "left_out": len(self.steps) - len(shown),
            "gradients": {name: as_json(value) for name, value in self.gradients.items()}}

    def json(self, limit: int | None = WRITTEN) -> str:
        """The same as a JSON document."""
        return json.dumps(self.to_dict(limit), ensure_ascii=False, allow_nan=False)

    # ── for readers ──

    def html(self) -> str:
        """One page, complete in itself: the picture, and buttons and keys to step with."""
        return stepper(self)

    def _repr_html_(self) -> str:
        """Be shown by a notebook: the page, in a frame of its own."""
        return (f'<iframe title="{html.escape(repr(self))}" sandbox="allow-scripts" width="100%" '
                f'height="640" srcdoc="{html.escape(self.html())}"></iframe>')

    def save(self, path: str | Path) -> None:
        """Write it to a file, in full: ``.txt``, ``.json``, or ``.html`` (a page is limited)."""
        path = Path(path)
        if path.suffix == ".txt":
            with replacing(path) as file:
                file.writelines(f"{line}\n".encode() for line in self.lines(None))
        elif path.suffix == ".json":
            write_atomically(path, self.json(None).encode())
        elif path.suffix == ".html":
            write_atomically(path, self.html().encode())
        else:
            raise ValueError(f"save() writes .txt, .json or .html, not {path.suffix or path}")


def close(value: Any, right: Any, largest: float = 0.0) -> bool:
    """Tell whether two gradients differ by rounding alone, if shares up to `largest` were added.

    Nothing is too small to differ: a gradient of 2e-12 is not 1e-12.
    """
    if value is None or right is None:
        return value is right
    rounding = 1e-4 if right.dtype == np.float32 else 1e-9
    left_by_cancelling = 100 * float(np.finfo(right.dtype).eps) * largest
    return bool(np.allclose(np.asarray(value), np.asarray(right), rtol=rounding,
                            atol=left_by_cancelling, equal_nan=True))


def size(value: Any) -> float:
    """The largest absolute value of the finite numbers, 0 if there are none."""
    array = np.abs(value.rows if isinstance(value, RowGrad) else value)
    return float(np.max(array, initial=0, where=np.isfinite(array)))


def as_json(value: Any) -> Any:
    """An array as JSON can hold it: all its numbers, of a large one the range."""
    if value is None:
        return None
    facts = {"shape": list(value.shape), "dtype": str(value.dtype)}
    if isinstance(value, RowGrad):
        if value.rows.size > NUMBERS:
            return facts | {"rows": len(value.ids), "in_short": brief(value)}
        return facts | {"rows": value.ids.tolist(), "values": _finite(value.rows.tolist())}
    if value.size > NUMBERS:
        return facts | {"in_short": brief(value)}
    return facts | {"values": _finite(value.tolist())}


def _finite(value: Any) -> Any:
    """Numbers in nested lists; those that JSON has not as strings."""
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value if isinstance(value, int | float) and math.isfinite(value) else str(value)


def trace(loss: Tensor, seed: Any = None, order: str = "topological", *,
          names: Mapping[str, Any] | None = None, kept: Kept | None = None, calls: int = CALLS
          ) -> Trace:
    """Replay what ``loss.backward(seed)`` does, step by step; no `.grad` is changed.

    Parameters
    ----------
    seed
        As of `backward`: what the walk begins with; 1 for a scalar.
    order
        "topological": as `backward` does it. "recursion": as it is often written first, each node
        calling itself for its operands, which hands totals on more than once, and is wrong.
        "paths": the recursion that is right, but takes a call for every path.
    names
        What Tensors are called, as ``{"w": w}`` or ``locals()``. None: as the caller's variables.
    kept
        What a block of `draw.keeping` has kept: values and lines of operations.
    calls
        GraphError if a recursion makes more calls than that.

    >>> import tinygrad_w2v as tg
    >>> a = tg.Tensor(3.0, requires_grad=True)
    >>> b = a + a
    >>> print(trace(b))
    order: topological: every node once, after all its consumers: what backward() does
    The seed: b is given 1.
    <BLANKLINE>
    Step 1 of 2: b = add(a, a) has 1; operand 0 (x), a, gets 1. a: no gradient yet → 1.
        lambda g: g
    <BLANKLINE>
    Step 2 of 2: b = add(a, a) has 1; operand 1 (y), a, gets 1. a: 1 → 2.
        lambda g: g
    <BLANKLINE>
    At the end, after 2 step(s) and 2 call(s) for 2 node(s):
    a: ▲ 2
    """
    if isinstance(seed, str):
        raise TypeError(f"trace(loss, seed, order): the seed is numbers; write order={seed!r}")
    if order not in ORDERS:
        raise ValueError(f"the orders are {', '.join(ORDERS)}, not {order!r}")
    scene = Scene([loss], variables(sys._getframe(1)) if names is None else names, kept)
    _, g = start(loss, seed, "trace()")
    return Trace(scene, g, order, calls)
