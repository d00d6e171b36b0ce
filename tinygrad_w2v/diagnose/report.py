"""What `diagnose` found, as data and as tables."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class LayerReport:
    """What was measured in one layer, over all examples. None: it has no such thing. NaN: unknown.

    The way back (problem 1, E8): at the activation ∂L/∂z = g′(z) · ∂L/∂a.
    """

    number: int
    inputs: int
    outputs: int
    activation: str          # "identity" if none was made out
    saturated: float | None  # tanh, sigmoid: share of slopes below 0.0591 of the largest
    inactive: float | None   # ReLU and kin: share of slopes so small; others: of exactly 0
    dead: int | None         # neurons whose slope is 0 for every example
    gain: float              # rms of the slopes g′(z)
    arriving: float          # rms of ∂L/∂a
    gradient: float          # rms of ∂L/∂z
    participation: float     # least share of the entries of ∂L/∂z that hold 90 % of Σ|∂L/∂z|
    weight_gradient: float   # rms of ∂L/∂w
    step: float              # log10 of rms step / rms weight; about −3 is usual
    # What goes in (problem 2, E10): ∂L/∂w_ij = ∂L/∂z_j · x_i
    mean: float                # of the inputs, all together
    std: float
    condition: float           # of the mean of x xᵀ: largest over smallest eigenvalue
    condition_expected: float  # 1 + n mean²/std²: what the mean alone brings
    agreement_example: float   # share of a neuron's weights pushed the way of most, by one example
    agreement_batch: float     # and by all examples together
    agreement_expected: float  # and by a batch, to expect of such a mean, std and number
    ratio: float | None = None  # `gradient` over that of the next layer; None: the last


def in_short(activation: str) -> str:
    """Name an activation in a table; of more than four operations the last two, and how many."""
    ops = activation.split(" ∘ ")
    return activation if len(ops) <= 4 else f"{' ∘ '.join(ops[:2])} ∘ … {len(ops):,} operations"


def _text(value: float | None, form: str) -> str:
    """Format a measure: "–" if there is no such thing, "?" if it is not known."""
    if value is None:
        return "–"
    return "?" if math.isnan(value) else format(value, form).replace("inf", "∞")


@dataclass(frozen=True)
class _Column:
    head: str
    of: Callable[[LayerReport], str]
    meaning: str


def _column(head: str, field: str, form: str, meaning: str) -> _Column:
    return _Column(head, lambda row: _text(getattr(row, field), form), meaning)


LAYER = _Column(
    "layer", lambda row: f"{row.number}  {row.inputs} → {row.outputs}  {in_short(row.activation)}",
    "inputs → neurons, activation")
TABLES: dict[str, list[_Column]] = {
    "Problem 1, what comes back: ∂L/∂z = g′(z) · ∂L/∂a (E8)": [
        LAYER,
        _column("saturated", "saturated", ".1%", "slopes below 0.0591 of the largest possible"),
        _column("inactive", "inactive", ".1%", "the same, of ReLU and its kin"),
        _column("dead", "dead", "d", "neurons inactive for every example"),
        _column("∂L/∂a", "arriving", ".1e", "rms of the gradient that arrives"),
        _column("g′(z)", "gain", ".3f", "local gain: rms of the slopes"),
        _column("∂L/∂z", "gradient", ".1e", "rms of the gradient that comes through"),
        _column("/ next", "ratio", ".3g", "∂L/∂z, over that of the next layer"),
        _column("carried by", "participation", ".1%",
                "least share of the entries that hold 90 % of Σ|∂L/∂z|"),
        _column("step", "step", ".2f", "log10 of rms step / rms weight; −3 is usual")],
    "Problem 2, what goes in: ∂L/∂w_i = ∂L/∂z · x_i (E10)": [
        LAYER,
        _column("mean", "mean", ".3g", "of the inputs"),
        _column("std", "std", ".3g", "of the inputs"),
        _column("condition", "condition", ".3g", "of the inputs: largest over smallest eigenvalue"),
        _column("by the mean", "condition_expected", ".3g", "1 + n mean²/std²"),
        _column("one sign: example", "agreement_example", ".3f",
                "share of a neuron's weights that one example pushes the way of most"),
        _column("batch", "agreement_batch", ".3f", "the same, all examples together"),
        _column("expected", "agreement_expected", ".3f",
                "the same, by ½ + atan(mean/std)/π, and by chance")],
}


@dataclass(repr=False)
class Report:
    """What `diagnose` found: layers, in the order they were computed, and what it did not see."""

    examples: int
    loss: float
    layers: list[LayerReport]
    unseen: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Give all as plain numbers, texts and lists, as JSON takes them.

        What is not known is the text "not known", infinity is "inf" or "-inf".
        """
        return _plain(asdict(self))  # type: ignore[no-any-return]

    @property
    def _summary(self) -> str:
        return (f"{len(self.layers)} layer{'s' * (len(self.layers) != 1)}, {self.examples:,} "
                f"example{'s' * (self.examples != 1)}, loss {self.loss:.4g}")

    def __str__(self) -> str:
        parts = [self._summary]
        for title, columns in TABLES.items() if self.layers else ():
            parts += ["", title, aligned([c.head for c in columns],
                                         [[c.of(row) for c in columns] for row in self.layers])]
        if self.unseen:
            parts += ["", "Not shown:", *[f"- {line}" for line in self.unseen]]
        return "\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"<p>{html.escape(self._summary)}</p>"]
        for title, columns in TABLES.items() if self.layers else ():
            heads = "".join(_cell("th", c, c.head, f' scope="col" title="{html.escape(c.meaning)}"')
                            for c in columns)
            rows = "".join(f"<tr>{''.join(_cell('td', c, c.of(row)) for c in columns)}</tr>"
                           for row in self.layers)
            parts.append('<div style="overflow-x:auto;margin-bottom:1em"><table>'
                         f'<caption style="text-align:left">{html.escape(title)}</caption>'
                         f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>")
        if self.unseen:
            items = "".join(f"<li>{html.escape(line)}</li>" for line in self.unseen)
            parts.append(f"<p>Not shown:</p><ul>{items}</ul>")
        return "".join(parts)


def _cell(tag: str, column: _Column, text: str, attributes: str = "") -> str:
    side = "left" if column is LAYER else "right"
    style = f"text-align:{side};white-space:nowrap;padding:0.1em 0.6em"
    return f'<{tag}{attributes} style="{style}">{html.escape(text)}</{tag}>'


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Set texts as a table: the first column to the left, the others to the right.

    >>> print(aligned(["inputs", "steps"], [["sigmoid", "695"], ["tanh", "3"]]))
    inputs   steps
    sigmoid    695
    tanh         3
    """
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join("  ".join(f"{text:{'>' if k else '<'}{width}}" for k, (text, width) in
                               enumerate(zip(line, widths, strict=True)))
                     for line in (heads, *rows))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "not known" if math.isnan(value) else str(value)
    return value
