"""The graph of a computation, drawn from the engine's own nodes.

An arrow runs from each operand to the result, with the operand's number where there are several:
``a + a`` has two. What stands in a node is what the engine knows. It keeps of the values only those
that a rule asked for; others are shown if a variable still holds them, or if they were computed in
a block of `keeping`. Gradients it keeps for leaves; `tg.trace` shows those of operations.
"""

from __future__ import annotations

import html
import inspect
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from ..debug import Site, here, plain, site_of
from ..graph import GraphError, Leaf, Node, lineage
from ..rules import Rule
from ..sparse import Array
from ..tensor import Tensor
from ..testing.report import source
from ..watch import Watcher, in_walk, watching
from ..word2vec.files import write_atomically
from .graphviz import LIGHT, RECOLOURED, GraphvizError, render, styled
from .page import page
from .shown import LEGEND, brief, clean, gradient, kind, sign

LIMIT = 60  # operations in a picture, and leaves
DEPTH, WIDTH = 4, 100  # how far into variables Tensors are looked for, to name them
POINT, CHARACTER = 10, 6  # the size of letters, and the width of each, in points
FILLS = {"positive": LIGHT["positive-fill"], "negative": LIGHT["negative-fill"]}
INKS = {"none": LIGHT["soft"], "nan": LIGHT["accent"]}  # on a fill letters are black, to be read

# ── what is known of a graph ──────────────────────────────────────────────────────────────────────


class Kept(Watcher):
    """The values of operations, and the lines that they were computed in, by Node.

    `constants` are the operands that no derivative is taken by, by Node and number.
    """

    def __init__(self) -> None:
        self.values, self.sites = dict[Node, Array](), dict[Node, Site]()
        self.constants = dict[tuple[Node, int], Array]()

    def computed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], out: Any
                 ) -> None:
        """Keep the result; a copy of what may yet be changed."""
        node = out._node if isinstance(out, Tensor) else None
        if in_walk() or not node:
            return
        self.values[node] = out._data.copy() if node.owner else out._data
        self.sites[node] = here()
        for i, operand in enumerate(operands):
            if not node.parents[i]:
                self.constants[node, i] = np.array(plain(operand))


@contextmanager
def keeping() -> Iterator[Kept]:
    """Keep the value and the line of every operation in the block, for a picture or a trace.

    >>> import tinygrad_w2v as tg
    >>> with keeping() as kept:
    ...     y = tg.Tensor(3.0, requires_grad=True) + 1.0 + 1.0
    >>> print(graph(y, kept=kept))
    x0 = leaf             float64 ()  value not kept  ○ no gradient yet
    v1 = add(x0, 1)       float64 ()  4
    y = add(v1, 1)        float64 ()  5
    """
    kept = Kept()
    with watching(kept):
        yield kept


def variables(frame: FrameType | None) -> dict[str, Any]:
    """The variables of a frame that may name a Tensor."""
    found = dict(frame.f_locals) if frame else {}
    return {name: value for name, value in found.items() if not name.startswith("_")}


def tensors_in(names: Mapping[str, Any]) -> dict[str, Tensor]:
    """The Tensors that variables hold, and lists, dicts and models in them; the nearest first.

    >>> import tinygrad_w2v as tg
    >>> list(tensors_in({"model": tg.nn.MLP([2, 3]), "x": Tensor(1.0), "n": 3}))
    ['x', 'model.layers[0].weight', 'model.layers[0].bias']
    """
    found, level = dict[str, Tensor](), dict(names)
    for _ in range(DEPTH):
        found |= {name: value for name, value in level.items() if isinstance(value, Tensor)}
        level = {name: inner for outer, value in level.items()
                 for name, inner in _parts(outer, value)}
    return found


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What stands in a list, a dict or a model, and how it is written."""
    if isinstance(value, list | tuple):
        yield from ((f"{name}[{k}]", part) for k, part in enumerate(value[:WIDTH]))
    elif isinstance(value, dict):
        yield from ((f"{name}[{k!r}]", part) for k, part in list(value.items())[:WIDTH])
    elif hasattr(value, "parameters") and not isinstance(value, type):
        yield from ((f"{name}.{k}", part) for k, part in getattr(value, "__dict__", {}).items())


def rule_text(rule: Rule, i: int) -> str:
    """The derivative by operand i as it is written: a lambda on one line, a function in full.

    >>> import tinygrad_w2v as tg
    >>> rule_text(tg.multiply.rule, 1)
    'lambda g, x: g * x'
    """
    fn = rule.derivative(i).fn
    if getattr(fn, "__name__", "") != "<lambda>" and hasattr(fn, "__code__"):
        try:
            return inspect.getsource(fn).rstrip()
        except (OSError, TypeError):
            return source(fn)
    return source(fn)


class Scene:
    """The nodes that some Tensors were computed from, the oldest first, and what is known of each.

    `names` maps to a Node what it is called: as the variable that holds it, else by its number.
    """

    def __init__(self, tensors: Sequence[Tensor], names: Mapping[str, Any], kept: Kept | None):
        for k, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"argument {k} is {type(tensor).__name__}, not a Tensor")
            if tensor._node is None:
                raise GraphError(f"argument {k} has no graph: it is a constant; nothing that it "
                                 "was computed from has requires_grad=True")
        if not isinstance(names, Mapping):
            raise TypeError('names= is a mapping, as {"w": w} or locals(), not '
                            f"{type(names).__name__}")
        self.roots: list[Any] = [tensor._node for tensor in tensors]
        found = {node for root in self.roots for node in lineage(root)}
        self.nodes = sorted(found, key=lambda node: node.serial)
        self.number = {node: k for k, node in enumerate(self.nodes)}
        held = tensors_in(names)
        self.values = dict(kept.values) if kept else {}
        self.values |= {t._node: t._data for t in (*held.values(), *tensors)
                        if t._node in self.number}
        self.sites, self.constants = (kept.sites, kept.constants) if kept else ({}, {})
        self.names = self._named(held)
        self._rules = dict[tuple[Rule, int], str]()
        for node in self.nodes:
            for known, value in zip((*node.parents, node), node.saved, strict=False):
                if known and value is not None:
                    self.values.setdefault(known, np.asarray(value))

    def _named(self, held: Mapping[str, Tensor]) -> dict[Node, str]:
        """Name every node, each by another name."""
        wanted = {node: f"{'v' if node.parents else 'x'}{k}" for k, node in enumerate(self.nodes)}
        own = dict[Node, str]()
        for name, tensor in held.items():
            if tensor._node in self.number:
                own.setdefault(tensor._node, clean(name))
        names, taken = dict[Node, str](), set[str]()
        for node, name in (own | {n: w for n, w in wanted.items() if n not in own}).items():
            while name in taken:
                name += "′"
            names[node] = name
            taken.add(name)
        return names

    def operand(self, node: Node, i: int) -> str:
        """What stands in an operand's place: a name, or a constant."""
        parent = node.parents[i]
        if parent:
            return self.names[parent]
        value = self.constant(node, i)
        return "constant" if value is None else brief(value)

    def constant(self, node: Node, i: int) -> Any:
        """The value of an operand that is a constant; None if nobody has kept it."""
        return self.constants.get((node, i), node.saved[i])

    def call(self, node: Node) -> str:
        """The operation as a call: ``add(a, 2)``."""
        if not node.parents:
            return "leaf"
        words = [self.operand(node, i) for i in range(len(node.parents))]
        words += [f"{k}={clean(str(v))}" for k, v in node.meta.items() if v is not None]
        return f"{clean(node.rule.name)}({', '.join(words)})"

    def rule(self, node: Node, i: int) -> str:
        """The rule by operand i, as written."""
        key = node.rule, 0 if node.rule.variadic else i
        if key not in self._rules:
            self._rules[key] = rule_text(*key)
        return self._rules[key]

    def place(self, node: Node, i: int) -> str:
        """Which operand it is: its number, and its name in the rule."""
        return f"operand {i}" + ("" if node.rule.variadic else f" ({node.rule.operands[i]})")

    def value(self, node: Node) -> str:
        """The value, in short; that it is not kept, if it is not."""
        return brief(self.values[node]) if node in self.values else "value not kept"

    def line(self, node: Node) -> str:
        """The line of the program that computed it; "" if that is not known."""
        site = self.sites.get(node) or site_of(node)
        return str(site.place or "") if site else ""


# ── what is drawn ─────────────────────────────────────────────────────────────────────────────────


class Vertex(NamedTuple):
    """Something with a place in the picture: its lines of text, the last the gradient if any."""

    id: str
    kind: str  # of SHAPES
    name: str
    what: str
    facts: tuple[str, ...]
    gradient: str = ""
    sign: str = ""
    tooltip: str = ""


class Edge(NamedTuple):
    """An arrow from an operand to a result."""

    id: str
    source: str
    target: str
    label: str
    tooltip: str


class Drawing:
    """Vertices and edges: of a large graph the oldest and the youngest, the others in one vertex.

    `gradients`: True for those of the leaves, or a mapping from Nodes. `oldest`: how many of the
    oldest operations, None for half. `at` tells where in the picture a Node is.
    """

    def __init__(self, scene: Scene, gradients: Any, limit: int, oldest: int | None = None):
        self.scene, self.gradients = scene, gradients
        operations = [node for node in scene.nodes if node.parents]
        leaves = [node for node in scene.nodes if not node.parents]
        oldest = (limit + 1) // 2 if oldest is None else oldest
        hidden = operations[oldest : max(oldest, len(operations) - (limit - oldest))]
        self.hidden = {"more": hidden, "leaves": leaves[limit:]}
        self.at = {node: f"n{k}" for k, node in enumerate(scene.nodes)}
        for place, nodes in self.hidden.items():
            self.at |= dict.fromkeys(nodes, place)
        self.vertices = [self._vertex(node) for node in scene.nodes
                         if self.at[node] not in self.hidden]
        self.vertices += [self._fold(place, nodes) for place, nodes in self.hidden.items() if nodes]
        self.edges = list[Edge]()
        bundles = Counter[tuple[str, str]]()
        for node in operations:
            for i, parent in enumerate(node.parents):
                self._edge(node, i, parent, bundles)
        self.edges += [Edge(f"{a}_{b}", a, b, f"×{n}" if n > 1 else "", f"{n} arrow(s)")
                       for (a, b), n in bundles.items()]

    def _vertex(self, node: Node) -> Vertex:
        scene = self.scene
        what = node.rule.name if node.parents else "leaf"
        shape = "output" if node in scene.roots else "operation" if node.parents else "leaf"
        told, mark = "", ""
        if isinstance(self.gradients, Mapping) or (self.gradients and isinstance(node, Leaf)):
            known: Any = (self.gradients.get(node) if isinstance(self.gradients, Mapping)
                          else node.grad)  # type: ignore[attr-defined]
            told, mark = gradient(known), sign(known)
        tooltip = [f"{scene.names[node]} = {scene.call(node)}", f"{kind(node)}"]
        tooltip += [f"{scene.place(node, i)}: {scene.rule(node, i)}"
                    for i, parent in enumerate(node.parents) if parent]
        tooltip += [f"computed in {line}"] if (line := scene.line(node)) else []
        return Vertex(self.at[node], shape, scene.names[node], clean(what),
                      (scene.value(node), kind(node)), told, mark, "\n".join(tooltip))

    def _fold(self, place: str, nodes: Sequence[Node]) -> Vertex:
        what = "operation" if place == "more" else "leaf"
        many = {"operation": "operations", "leaf": "leaves"}[what] if len(nodes) > 1 else what
        return Vertex(place, "fold", "", f"… {len(nodes):,} {many} more", (),
                      tooltip=f"{len(nodes):,} {many} that are not drawn")

    def _edge(self, node: Node, i: int, parent: Node | None, bundles: Counter[tuple[str, str]]
              ) -> None:
        target, scene = self.at[node], self.scene
        start = self.at[parent] if parent else f"c{scene.number[node]}_{i}"
        if target in self.hidden or start in self.hidden:
            if parent and start != target:
                bundles[start, target] += 1
            return
        label = str(i) if len(node.parents) > 1 else ""
        if not parent:
            value = scene.constant(node, i)
            facts = ("constant, not kept",) if value is None else (
                brief(value), kind(np.asarray(value)))
            self.vertices.append(Vertex(start, "constant", "", "", facts, tooltip="a constant"))
        rule = f": {scene.rule(node, i)}" if parent else ": a constant"
        self.edges.append(Edge(f"e{scene.number[node]}_{i}", start, target, label,
                               f"{scene.place(node, i)} of {scene.names[node]}{rule}"))

    def lines(self) -> Iterator[str]:
        """A list of the nodes, for those who have no picture."""
        for vertex in self.vertices:
            if vertex.kind == "constant":
                continue
            if vertex.kind == "fold":
                yield vertex.what
                continue
            node = self.scene.nodes[int(vertex.id[1:])]
            text = f"{vertex.name} = {self.scene.call(node)}"
            value, what = vertex.facts
            yield f"{text:20}  {what}  {value}  {vertex.gradient}".rstrip()


# ── DOT ───────────────────────────────────────────────────────────────────────────────────────────

SHAPES = {
    "leaf": 'shape=box, penwidth=2.5', "operation": 'shape=box, style="rounded,filled"',
    "output": 'shape=box, style="rounded,filled", peripheries=2',
    "constant": "shape=note", "fold": 'shape=box, style="rounded,dashed,filled"'}


def escaped(text: str) -> str:
    r"""Text for a label: no tag, and no escape of DOT's own, such as \N for the name of a node.

    >>> print(escaped("<x> \\N"))
    &lt;x&gt; \\N
    """
    return html.escape(text).replace("\\", "\\\\")


def _row(content: str, colour: str = "", width: int = 0) -> str:
    """A line of a label."""
    if colour:
        content = f'<FONT COLOR="{colour}">{content}</FONT>'
    wide = f' WIDTH="{width * CHARACTER}"' if width else ""
    return f'<TR><TD ALIGN="LEFT"{wide}>{content}</TD></TR>'


def _label(vertex: Vertex, room: int) -> str:
    """The text of a vertex, a line each, to the left: so the last may change and keep its place."""
    name, what = escaped(vertex.name), escaped(vertex.what)
    rows = [_row(f"<B>{name}</B> = {what}")] if name else [_row(what)] if what else []
    rows += [_row(escaped(fact), LIGHT["soft"] if k else "") for k, fact in enumerate(vertex.facts)]
    if vertex.gradient:
        rows.append(_row(escaped(vertex.gradient), INKS.get(vertex.sign, LIGHT["ink"]), room))
    return ('<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">'
            f"{''.join(rows)}</TABLE>>")


def dot_text(drawing: Drawing, direction: str, caption: str = "", room: int = 0) -> str:
    """The graph in the language of Graphviz. `room`: characters that a gradient may take."""
    ink, paper, card = LIGHT["ink"], LIGHT["paper"], LIGHT["card"]
    font = f'fontname="Courier", fontsize={POINT}, fontcolor="{ink}"'
    lines = [f'rankdir={direction}; bgcolor="{paper}"; nodesep=0.25; ranksep=0.4; margin=0.1;',
             f'node [{font}, color="{LIGHT["soft"]}", margin="0.08,0.05"];',
             f'edge [{font}, color="{LIGHT["soft"]}", arrowsize=0.7];']
    if caption:
        lines.append(f'label="{caption}"; labelloc=b; fontname="Courier"; fontsize={POINT}; '
                     f'fontcolor="{LIGHT["soft"]}";')
    for v in drawing.vertices:
        style = SHAPES[v.kind] + ("" if "style" in SHAPES[v.kind] else ", style=filled")
        lines.append(f'{v.id} [id="{v.id}", class="{v.kind}", {style}, '
                     f'fillcolor="{FILLS.get(v.sign, card)}", label={_label(v, room)}];')
    for e in drawing.edges:
        weight = ", weight=0" if e.source[0] == "c" else ""  # what has a past stands in a line
        lines.append(f'{e.source} -> {e.target} [id="{e.id}", label="{e.label}"{weight}];')
    return "digraph computation {\n  " + "\n  ".join(lines) + "\n}\n"


class Picture:
    """A graph as a picture: `.dot` always, `.svg` where there is a Graphviz; printed, a list."""

    def __init__(self, drawing: Drawing, direction: str = "LR", caption: str = "", room: int = 0):
        self.dot = dot_text(drawing, direction, caption, room)
        self._text = "\n".join(drawing.lines())
        self.titles = {vertex.id: vertex.tooltip for vertex in drawing.vertices}
        self.titles |= {edge.id: edge.tooltip for edge in drawing.edges}

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__

    @cached_property
    def bare(self) -> str:
        """The SVG element without a style, in the colours of a light page."""
        return render(self.dot, self.titles)

    @property
    def svg(self) -> str:
        """The SVG, light or dark as the reader's system is. GraphvizError without a Graphviz."""
        return styled(self.bare)

    def save(self, path: str | Path) -> None:
        """Write it to a file: ``.dot`` (or ``.gv``), ``.svg`` or ``.html``."""
        path = Path(path)
        if path.suffix in (".dot", ".gv"):
            text = self.dot
        elif path.suffix == ".svg":
            text = self.svg
        elif path.suffix == ".html":
            body = f'<h1>A graph</h1>\n<div class="scroll" tabindex="0">{self.bare}</div>'
            text = page("A graph", body, style=RECOLOURED + ".scroll { overflow: auto; }\n")
        else:
            raise ValueError(f"save() writes .dot, .gv, .svg or .html, not {path.suffix or path}")
        write_atomically(path, text.encode())

    def _repr_html_(self) -> str:
        """Be shown by a notebook: the picture, or the list and what is missing."""
        try:
            return f'<div style="overflow:auto">{self.svg}</div>'
        except GraphvizError as error:
            return f"<pre>{html.escape(str(self))}</pre><p>{html.escape(str(error))}</p>"


def graph(*tensors: Tensor, names: Mapping[str, Any] | None = None, gradients: Any = True,
          kept: Kept | None = None, limit: int = LIMIT, direction: str = "LR") -> Picture:
    r"""Draw the graph that `tensors` were computed by.

    Parameters
    ----------
    names
        What Tensors are called: ``{"w": w, "loss": loss}``, or ``locals()``; those in lists, dicts
        and models are found in them. None: as the caller's variables.
    gradients
        True: those of the leaves, their `.grad`. False: none. A mapping from Nodes, as
        ``tg.trace(loss).cotangents``: of operations, too.
    kept
        What a block of `keeping` has kept.
    limit
        Of more operations, or leaves, than that, some are drawn as one, with their number.
    direction
        "LR": from left to right; "TB": from the top down.

    >>> import tinygrad_w2v as tg
    >>> a = tg.Tensor(3.0, requires_grad=True)
    >>> b = a + a
    >>> print(graph(b))
    a = leaf              float64 ()  3  ○ no gradient yet
    b = add(a, a)         float64 ()  6
    >>> [line.split(" [")[0].strip() for line in graph(b).dot.split("\n") if "->" in line]
    ['n0 -> n1', 'n0 -> n1']
    """
    if not tensors:
        raise TypeError("graph() needs at least one Tensor")
    if limit < 1 or direction not in ("LR", "TB", "RL", "BT"):
        raise ValueError(f"limit is at least 1 and direction LR, TB, RL or BT, not {limit} and "
                         f"{direction!r}")
    scene = Scene(tensors, variables(sys._getframe(1)) if names is None else names, kept)
    return picture(scene, gradients, limit, direction)


def picture(scene: Scene, gradients: Any, limit: int = LIMIT, direction: str = "LR") -> Picture:
    """Draw a scene."""
    return Picture(Drawing(scene, gradients, limit), direction,
                   caption=LEGEND if gradients is not False else "")
