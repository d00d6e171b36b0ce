"""Graphviz: from DOT text to an SVG that is readable in light and in dark."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from .page import STYLE

PACKAGE, SYSTEM = "graphviz-pure", "dot"
SECONDS = 60
MISSING = ('pictures of graphs need Graphviz: pip install "tinygrad-w2v[draw]", or install its '
           "`dot` on the system. Without it there is the DOT text, .dot")


class GraphvizError(RuntimeError):
    """There is no Graphviz, or it could not draw."""


def program() -> str | None:
    """The path of Graphviz: that of the `draw` extra, else a `dot` on the system, else None.

    The extra's is found wherever pip has put it, in the path or not. It draws the same on every
    machine, and so goes first.
    """
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(os.path.abspath(str(file.locate())))
        if path.stem == PACKAGE and path.suffix in ("", ".exe") and os.access(path, os.X_OK):
            return str(path)
    return shutil.which(PACKAGE) or shutil.which(SYSTEM)


def render(dot: str, titles: Mapping[str, str]) -> str:
    """Draw DOT text as an SVG element; `titles` by the ids of its parts are the tooltips.

    GraphvizError if there is no Graphviz.
    """
    path = program()
    if not path:
        raise GraphvizError(MISSING)
    try:
        done = subprocess.run([path, "-Tsvg"], input=dot, capture_output=True, encoding="utf-8",
                              errors="replace", timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GraphvizError(f"{path} could not draw the graph: {error}") from error
    if done.returncode or "<svg" not in done.stdout:
        raise GraphvizError(f"{path} could not draw the graph: {done.stderr.strip()}")
    return tidy(done.stdout, titles)


PART = re.compile(r'(<g id="(\w+)" class="(?:node|edge)[^>]*>\n<title>)[^<]*')


def tidy(svg: str, titles: Mapping[str, str]) -> str:
    """Leave the element alone, and give its parts their titles.

    They are not handed over as DOT's tooltips, in which Graphviz reads escapes, once or twice.
    """
    svg = re.sub(r"<!--.*?-->\n?", "", svg[svg.index("<svg"):].strip(), flags=re.DOTALL)
    svg = PART.sub(lambda found: found[1] + html.escape(titles.get(found[2], "")), svg)
    return svg.replace("<svg ", '<svg class="graph" role="img" '
                       'aria-label="The graph of a computation" ', 1)


# ── colours: in DOT those of the light page; a style sheet gives each its dark counterpart ────────


def _colours(block: str) -> dict[str, str]:
    """The colours of a block of the page's style, with six digits each."""
    found = dict(re.findall(r"--([\w-]+): #(\w+)", block))
    return {name: "#" + (c if len(c) == 6 else "".join(2 * d for d in c))
            for name, c in found.items()}


LIGHT, DARK = map(_colours, STYLE.split("@media (prefers-color-scheme: dark)"))
FONT = 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'  # all 0.6 wide, as reckoned
RECOLOURED = f".graph text {{ font-family: {FONT}; white-space: pre; }}\n" + "\n".join(
    f'.graph [{what}="{colour}"] {{ {what}: var(--{name}); }}'
    for name, colour in LIGHT.items() for what in ("fill", "stroke")) + "\n"


def styled(svg: str) -> str:
    """The same with a style of its own, for a file or a notebook: light or dark as the system."""
    light, dark = ("; ".join(f"--{name}: {colour}" for name, colour in colours.items())
                   for colours in (LIGHT, DARK))
    style = (f".graph {{ {light} }}\n@media (prefers-color-scheme: dark) {{ .graph {{ {dark} }} }}"
             f"\n{RECOLOURED}")
    head, rest = svg.split(">", 1)
    return f"{head}>\n<style>{style}</style>{rest}"
