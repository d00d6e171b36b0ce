"""The page to step through a trace with: the picture, the step, and a table of all nodes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .graph import INKS, LIMIT, Drawing, Picture
from .graphviz import LIGHT, RECOLOURED, GraphvizError
from .page import page
from .shown import GLYPHS, LEGEND, NOTHING, gradient, kind, sign

if TYPE_CHECKING:
    from ..graph import Node
    from ..replay import Step, Trace

LARGEST = 300_000  # bytes of a page
CUTS = ((300, LIMIT), (200, 45), (100, 30), (40, 12), (10, 6))  # steps, operations in the picture
NODES = 150  # in the table
COLUMNS = ("node", "has received", "value", "is", "type, shape")
EMPTY = f"{GLYPHS['none']} {NOTHING}"

STYLE = RECOLOURED + """
.controls { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .75rem 0; }
button { font: inherit; padding: .3rem .8rem; color: var(--ink); background: var(--card);
  border: 1px solid var(--soft); border-radius: .4rem; cursor: pointer; }
button[aria-disabled="true"] { color: var(--soft); border-style: dashed; cursor: default; }
input[type="range"] { flex: 1 1 8rem; min-width: 6rem; accent-color: var(--accent); }
.scroll { overflow: auto; margin: .75rem 0; border: 1px solid var(--line); border-radius: .4rem; }
figure.scroll { max-height: 30rem; padding: .25rem; }
.graph { display: block; }
.graph .now > path, .graph .now > polygon { stroke: var(--accent); stroke-width: 3; }
.graph .gets > path, .graph .gets > polygon { stroke: var(--accent); stroke-width: 3;
  stroke-dasharray: 6 3; }
.graph .edge.now polygon { fill: var(--accent); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .8rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
pre, code, td, dd { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { margin: 0; white-space: pre-wrap; }
#said { min-height: 3em; margin: .5rem 0; }
.wrong { color: var(--negative); font-weight: 600; }
.wrong:empty { display: none; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; white-space: nowrap; padding: .2rem .6rem;
  border-bottom: 1px solid var(--line); }
tr.now td, tr.gets td { background: var(--card); }
tr.now td:first-child { box-shadow: inset 4px 0 var(--accent); }
tr.gets td:first-child { box-shadow: inset 1px 0 var(--accent); }
.positive { color: var(--positive); } .negative { color: var(--negative); }
.none { color: var(--soft); } .nan { color: var(--accent); }
.soft { color: var(--soft); font-size: .9rem; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .4rem; }
  button { flex: 1 1 40%; } }
"""

SCRIPT = """
const data = JSON.parse(document.getElementById("data").textContent);
const steps = data.steps, last = steps.length - 1, by = id => document.getElementById(id);
let at = 0;

function state(k) {  // what every node has after step k
  const known = {};
  for (const step of steps.slice(0, k + 1))
    for (const [node, text, sign] of step.sets) known[node] = [text, sign];
  return known;
}

function write(node, [text, sign]) {
  const cell = by("g" + node);
  if (cell) { cell.textContent = text; cell.className = sign; }
  const part = by("n" + node), lines = part ? part.querySelectorAll("text") : [];
  if (!lines.length) return;
  lines[lines.length - 1].textContent = text;
  lines[lines.length - 1].setAttribute("fill", data.inks[sign] || data.ink);
  for (const shape of part.querySelectorAll(":scope > path, :scope > polygon"))
    if (shape.getAttribute("fill") !== "none")
      shape.setAttribute("fill", data.fills[sign] || data.card);
}

function mark(name, ids) {
  for (const id of ids) { const part = by(id); if (part) part.classList.add(name); }
}

function bring(id) {  // into view, within the picture alone
  const part = by(id), frame = document.querySelector("figure");
  if (!part || !frame) return;
  const a = part.getBoundingClientRect(), b = frame.getBoundingClientRect();
  frame.scrollLeft += a.left + a.width / 2 - b.left - b.width / 2;
  frame.scrollTop += a.top + a.height / 2 - b.top - b.height / 2;
}

function go(k) {
  at = Math.max(0, Math.min(last, k));
  const step = steps[at], known = state(at);
  for (const node of data.nodes) write(node, known[node] || [data.empty, "none"]);
  for (const part of document.querySelectorAll(".now, .gets")) part.classList.remove("now", "gets");
  mark("now", step.now || []);
  mark("gets", step.gets || []);
  by("said").textContent = step.said;
  by("wrong").textContent = step.note ? "\\u2717 " + step.note : "";
  for (const name of ["rule", "upstream", "share", "before", "after"])
    by(name).textContent = name === "rule" ? data.rules[step.rule] || "\\u2013"
                                           : step[name] || "\\u2013";
  by("slider").value = at;
  by("slider").setAttribute("aria-valuetext", "step " + at + " of " + last);
  by("count").textContent = at + " of " + last;
  for (const id of ["first", "back"]) by(id).setAttribute("aria-disabled", at === 0);
  for (const id of ["on", "last"]) by(id).setAttribute("aria-disabled", at === last);
  bring((step.gets || step.now || [])[0]);
}

by("first").addEventListener("click", () => go(0));
by("back").addEventListener("click", () => go(at - 1));
by("on").addEventListener("click", () => go(at + 1));
by("last").addEventListener("click", () => go(last));
by("slider").addEventListener("input", event => go(Number(event.target.value)));
document.addEventListener("keydown", event => {
  const keys = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last};
  if (!(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey)
    return;
  event.preventDefault();
  go(keys[event.key]);
});
go(0);
"""

CONTROLS = """<div class="controls" role="group" aria-label="Steps">
<button type="button" id="first" aria-keyshortcuts="Home">|◀ Start</button>
<button type="button" id="back" aria-keyshortcuts="ArrowLeft">◀ Back</button>
<button type="button" id="on" aria-keyshortcuts="ArrowRight">Forward ▶</button>
<button type="button" id="last" aria-keyshortcuts="End">End ▶|</button>
<input type="range" id="slider" min="0" max="{last}" value="0" aria-label="Step">
<span id="count"></span></div>
<noscript><p>To step, this page needs its script.</p></noscript>
<p id="said" role="status" aria-live="polite"></p>
<p id="wrong" class="wrong" role="status" aria-live="polite"></p>
<dl><dt>the rule, as written</dt><dd><pre id="rule"></pre></dd>
<dt>upstream, g</dt><dd id="upstream"></dd><dt>the operand's share</dt><dd id="share"></dd>
<dt>the operand had</dt><dd id="before"></dd><dt>and has now</dt><dd id="after"></dd></dl>"""


def stepper(trace: Trace) -> str:
    """Give the page, with as many steps and operations as there is room for."""
    text = ""
    for count, limit in CUTS:
        text = cut(trace, count, limit)
        if len(text.encode()) <= LARGEST:
            break
    return text


def cut(trace: Trace, count: int, limit: int) -> str:
    """Give the page with the first `count` steps, what comes after them being one more."""
    scene = trace.scene
    shown, rest = trace.steps[:count], len(trace.steps) - count
    drawing = Drawing(scene, trace.cotangents, limit, oldest=0)  # those that the steps come to
    nodes = table_nodes(trace, shown)
    rules = dict[str, int]()
    steps = [_start(trace, drawing)]
    for k, step in enumerate(shown, 1):
        rule = rules.setdefault(scene.rule(step.node, step.operand), len(rules))
        steps.append(_step(trace, drawing, k, step, rule))
    if rest > 0:
        steps.append(_others(trace, nodes, rest))
    body = [f"<h1>Backward, step by step: {html.escape(scene.names[trace.root])}</h1>",
            f'<p>{html.escape(about(trace, rest))} <span class="soft">Keys: ← → Home End.</span>'
            "</p>", CONTROLS.format(last=len(steps) - 1), _figure(drawing, steps),
            f'<p class="soft">{LEGEND}. Arrows run from operands to results; shares go against '
            "them, from the framed node to the dashed one.</p>", _table(trace, nodes), _end(trace)]
    data = {"steps": steps, "rules": list(rules), "nodes": [scene.number[n] for n in nodes],
            "empty": EMPTY, "inks": INKS, "ink": LIGHT["ink"], "card": LIGHT["card"],
            "fills": {s: LIGHT[f"{s}-fill"] for s in ("positive", "negative")}}
    return page(f"Backward: {scene.names[trace.root]}", "\n".join(body), style=STYLE,
                script=SCRIPT, data=data)


def about(trace: Trace, rest: int) -> str:
    """Say what is walked, how, and what is not on the page."""
    text = (f"{len(trace.scene.nodes):,} node(s), {len(trace.steps):,} step(s). Order: "
            f"{trace.order}.")
    if rest > 0:
        text += f" The last {rest:,} steps are taken as one here; .text() and .json() have each."
    return text


def table_nodes(trace: Trace, shown: Sequence[Step]) -> list[Node]:
    """The nodes of the table, the oldest first: those of the steps and of the picture, and leaves.

    Of very many the leaves and the first that the steps come to.
    """
    scene = trace.scene
    leaves = [node for node in scene.nodes if not node.parents][:NODES // 2]
    found = dict.fromkeys([*leaves, trace.root,
                           *[node for step in shown for node in (step.node, step.parent)]])
    return sorted(list(found)[:NODES], key=lambda node: node.serial)


def _told(trace: Trace, node: Node, value: Any) -> list[Any]:
    """What the page writes into a node."""
    return [trace.scene.number[node], gradient(value), sign(value)]


def _start(trace: Trace, drawing: Drawing) -> dict[str, Any]:
    return {"said": trace.beginning(), "now": [drawing.at[trace.root], _row(trace, trace.root)],
            "after": gradient(trace.seed), "sets": [_told(trace, trace.root, trace.seed)]}


def _step(trace: Trace, drawing: Drawing, k: int, step: Step, rule: int) -> dict[str, Any]:
    node, parent = step.node, step.parent
    edge = f"e{trace.scene.number[node]}_{step.operand}"
    return {"said": trace.sentence(k), "rule": rule, "note": step.note,
            "upstream": gradient(step.upstream), "share": gradient(step.share),
            "before": gradient(step.before), "after": gradient(step.after),
            "now": [drawing.at[node], edge, _row(trace, node)],
            "gets": [drawing.at[parent], _row(trace, parent)],
            "sets": [_told(trace, parent, step.after)]}


def _others(trace: Trace, nodes: list[Node], count: int) -> dict[str, Any]:
    """All steps that are not on the page, as one."""
    totals = trace.cotangents
    return {"said": f"The other {count:,} steps, taken at once: what every node has at the end.",
            "sets": [_told(trace, node, totals[node]) for node in nodes if node in totals]}


def _row(trace: Trace, node: Node) -> str:
    return f"r{trace.scene.number[node]}"


def _figure(drawing: Drawing, steps: list[dict[str, Any]]) -> str:
    """The picture, with room in each node for all that will be written there."""
    room = max(len(EMPTY), *[len(text) for step in steps for _, text, _ in step["sets"]])
    try:
        svg = Picture(drawing, room=room).bare
    except GraphvizError as error:
        return f'<p class="soft">No picture: {html.escape(str(error))}.</p>'
    return f'<figure class="scroll" tabindex="0" aria-label="The graph">{svg}</figure>'


def _table(trace: Trace, nodes: list[Node]) -> str:
    scene = trace.scene
    rows = []
    for node in nodes:
        number = scene.number[node]
        facts = "".join(f"<td>{html.escape(text)}</td>" for text in (
            scene.value(node), scene.call(node), kind(node)))
        rows.append(f'<tr id="r{number}"><td>{html.escape(scene.names[node])}</td>'
                    f'<td id="g{number}"></td>{facts}</tr>')
    more = len(scene.nodes) - len(nodes)
    note = f'<p class="soft">… {more:,} node(s) more.</p>' if more else ""
    return ('<div class="scroll" tabindex="0" role="group" aria-label="All nodes"><table><thead>'
            f"<tr>{''.join(f'<th scope=col>{title}</th>' for title in COLUMNS)}</tr></thead>"
            f'<tbody>{"".join(rows)}</tbody></table></div>{note}')


def _end(trace: Trace) -> str:
    """What the leaves have at the end, of another order beside what is right."""
    lines = trace.verdict()
    items = "".join(f'<li{" class=wrong" if "✗ wrong" in line else ""}>{html.escape(line)}</li>'
                    for line in lines[:NODES])
    more = f"<li>… {len(lines) - NODES:,} more</li>" if len(lines) > NODES else ""
    return (f'<h2>The end</h2><p>{html.escape(trace.summary())}</p><ul id="end">{items}{more}</ul>')
