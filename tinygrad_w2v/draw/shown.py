"""How an array is said in a few characters: its numbers or their range, and its sign by a glyph."""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np

from ..debug import plain, ranging, shown
from ..sparse import Array, RowGrad
from ..tensor import Tensor

FEW = 4     # numbers that are written out; of more, the range
SIDE = 3    # rows and columns at either end of a large table
GLYPHS = {"positive": "▲", "negative": "▼", "mixed": "◆", "zero": "●", "nan": "✗", "none": "○"}
LEGEND = "▲ ≥ 0, ▼ ≤ 0, ◆ both signs, ● exactly 0, ○ no gradient yet, ✗ not a number"
NOTHING = "no gradient yet"


def sign(value: Any) -> str:
    """The sign of all elements together, a key of `GLYPHS`; "none" if there is no value at all.

    >>> [sign(v) for v in (None, 0.0, 2.0, [1.0, 0.0], [1.0, -1.0], np.nan)]
    ['none', 'zero', 'positive', 'positive', 'mixed', 'nan']
    """
    if value is None:
        return "none"
    array = plain(value)
    if array.dtype.kind == "c":
        return "mixed" if np.any(array) else "zero"
    if np.isnan(array).any():
        return "nan"
    above, below = bool((array > 0).any()), bool((array < 0).any())
    return "mixed" if above and below else "positive" if above else "negative" if below else "zero"


def brief(value: Any) -> str:
    """The number; a few numbers; of more the least and the largest.

    >>> brief(2.0), brief(np.array([1, -0.5])), brief(np.arange(9.0)), brief(np.zeros((0, 3)))
    ('2', '[1, -0.5]', '0 … 8', 'no elements')
    """
    array = plain(value)
    if isinstance(value, RowGrad):
        return f"{len(value.ids)} looked up" + (
            f": {brief(value.coalesce()[1])}" if array.size else "")
    if not array.size:
        return "no elements"
    if array.size <= FEW:
        return _nested(array)
    return ranging(array).removeprefix("range ")


def _nested(array: Array) -> str:
    """Write the numbers out, in brackets as NumPy does."""
    if not array.ndim:
        return shown(array[()])
    return f"[{', '.join([_nested(part) for part in array])}]"


def gradient(value: Any) -> str:
    """A gradient, with the glyph of its sign; that there is none yet is not the same as 0.

    >>> gradient(None), gradient(0.0), gradient(np.float32(-1.5))
    ('○ no gradient yet', '● 0', '▼ -1.5')
    """
    return f"{GLYPHS[sign(value)]} {NOTHING if value is None else brief(value)}"


def kind(value: Any) -> str:
    """The type and the shape.

    >>> kind(np.zeros((2, 3), np.float32))
    'float32 (2, 3)'
    """
    return f"{value.dtype} {value.shape}"


def clean(text: Any) -> str:
    r"""A name as it can stand in a line, a picture or a page: no control characters, not empty.

    >>> clean("two\nlines"), clean("")
    ('two↵lines', '?')
    """
    text = str(text).replace("\r\n", "↵").replace("\n", "↵")
    text = "".join([c if c.isprintable() else "�" for c in text])
    return (text if len(text) <= 40 else f"{text[:39]}…") or "?"


# ── a Tensor in a notebook ────────────────────────────────────────────────────────────────────────

CELL = "padding:.15em .6em;text-align:right;font-family:monospace"
SHADES = {"positive": "rgba(31,95,174,.18)", "negative": "rgba(179,73,10,.2)"}


def tensor_html(tensor: Tensor) -> str:
    """What a notebook shows of a Tensor: type, shape and gradient, and a table of its numbers.

    Of a large one the corners; of more than two axes the first matrix. Cells are shaded by sign.
    """
    array = tensor._data
    facts = [kind(tensor), *(["requires_grad"] if tensor.requires_grad else [])]
    if array.size > FEW:
        facts.append(brief(tensor))
    if tensor._node and not tensor._node.parents:
        facts.append(f"gradient: {gradient(tensor.grad)}")
    if array.ndim > 2 and array.size:
        first = (0,) * (array.ndim - 2)
        facts.append(f"the matrix at {first}, of {math.prod(array.shape[:-2]):,}")
        array = array[first]
    title = html.escape(f"Tensor: {', '.join(facts)}")
    table = _table(array) if array.size else ""
    return ('<div style="overflow:auto"><div style="font-family:monospace">'
            f"{title}</div>{table}</div>")


def _table(array: Array) -> str:
    """A table of numbers, of a large one the ends of its sides."""
    rows = np.atleast_2d(array)
    lines = []
    for i in _ends(rows.shape[0]):
        cells = "".join([_cell(rows, i, j) for j in _ends(rows.shape[1])])
        lines.append(f"<tr>{cells}</tr>")
    return f'<table style="border-collapse:collapse">{"".join(lines)}</table>'


def _ends(side: int) -> list[int]:
    """The places along a side that are shown; -1 is the gap."""
    if side <= 2 * SIDE + 1:
        return list(range(side))
    return [*range(SIDE), -1, *range(side - SIDE, side)]


def _cell(rows: Array, i: int, j: int) -> str:
    """One number, shaded by its sign."""
    if i < 0 or j < 0:
        return f'<td style="{CELL}">…</td>'
    shade = SHADES.get(sign(rows[i, j]))
    style = CELL + (f";background:{shade}" if shade else "")
    return f'<td style="{style}">{shown(rows[i, j])}</td>'
