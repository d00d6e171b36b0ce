"""Observed − expected: what one pair of words does to v_c, in numbers and as a picture (E4, E6).

The gradient of log P(o|c) is taken by `backward`. That it is u_o − E[u], the vector of the word
seen minus the mean of all words' vectors as the model expects them, is then there to be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sparse import Array
from ..tensor import Tensor
from ..word2vec import SkipGram
from ..word2vec.objective import log_probabilities
from .figures import BLUE, GREY, ORANGE, PURPLE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Expectation:
    """A centre word c, a word o seen beside it, and what the model expected.

    `probabilities` (n,) are P(x|c) for all words x (E2), `vectors` (n, d) all u_x. `observed` is
    u_o, `expected` E[u] = Σ_x P(x|c) u_x, and `gradient` ∂ log P(o|c) / ∂v_c, computed by
    `backward`: all (d,).
    """

    words: Sequence[str]
    centre: str
    o: int
    probabilities: Array
    vectors: Array
    gradient: Array

    @property
    def observed(self) -> Array:
        """u_o, the vector of the word that was seen."""
        row: Array = self.vectors[self.o]
        return row

    @property
    def expected(self) -> Array:
        """E[u], the mean of all words' vectors, each weighed by its probability."""
        mean: Array = self.probabilities @ self.vectors
        return mean

    @property
    def error(self) -> float:
        """How far the gradient is from observed − expected, at most, in any component."""
        return float(np.max(np.abs(self.gradient - (self.observed - self.expected))))

    @property
    def rank(self) -> int:
        """The place of the word seen among all words by probability, from 1 up."""
        return 1 + int(np.sum(self.probabilities > self.probabilities[self.o]))

    def plane(self) -> Array:
        """Two axes at right angles (2, d) whose plane holds u_o, E[u] and so their difference.

        ``x @ plane.T`` are coordinates there. Lengths and angles of these three vectors are exact.
        The first axis points along u_o, and E[u] lies on the upper side of it.
        """
        across = _unit(self.observed)
        rest = self.expected - (self.expected @ across) * across
        if np.linalg.norm(rest) <= 1e-12 * np.linalg.norm(self.expected):
            rest = np.zeros_like(rest)  # both on one line
        return np.stack([across, _unit(rest)])

    def top(self, k: int = 12) -> list[int]:
        """The k most probable words, the likeliest first, and the word seen if it is not there."""
        first = np.argsort(-self.probabilities, kind="stable")[:k].tolist()
        return first if self.o in first else [*first, self.o]

    def figure(self, bars: int = 12, size: float = 5) -> Figure:
        """Draw P(x|c) as bars, and beside it u_o, E[u] and their difference, the step of v_c.

        The arrows lie in the plane of u_o and E[u], in which they have their true lengths and
        angles. Dots are other words' u_x, seen in that plane, as large as P(x|c): their mean, so
        weighed, is the tip of E[u] exactly, for a projection keeps means.
        """
        figure = new_figure(2.2 * size, size)
        left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
        observed = self.words[self.o]
        figure.suptitle(f"{self.centre!r}, with {observed!r} seen beside it", parse_math=False)
        self._draw_bars(left, self.top(bars))
        self._draw_arrows(right)
        return figure

    def _draw_bars(self, axes: Axes, top: list[int]) -> None:
        p = self.probabilities[top]
        places = np.arange(len(top), dtype=float)
        if self.rank > len(top):
            places[-1] += 0.6  # others stand between
        axes.barh(places, p, color=[BLUE if i == self.o else ORANGE for i in top])
        for place, value in zip(places, p, strict=True):
            axes.annotate(f" {value:.3g}", (value, place), va="center", fontsize=8)
        axes.set_yticks(places, [self.words[i] if i != self.o or self.rank <= len(top) else
                                 f"{self.words[i]} (no. {self.rank:,})" for i in top])
        for label in axes.get_yticklabels():
            label.set_parse_math(False)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, 1.2 * float(p.max()))
        others = len(self.words) - len(top)
        rest = f"\n{others:,} other words have {1 - p.sum():.3f} together" if others else ""
        axes.set_xlabel(f"P(x|c), what the model expects; blue was seen{rest}", fontsize=9)

    def _draw_arrows(self, axes: Axes) -> None:
        plane = self.plane()
        u, mean = plane @ self.observed, plane @ self.expected
        dots = self.vectors @ plane.T
        axes.scatter(dots[:, 0], dots[:, 1], color=GREY, alpha=0.6, linewidths=0,
                     s=2 + 300 * self.probabilities)
        for start, end, colour, name in ((0 * u, u, BLUE, "$u_o$, observed"),
                                         (0 * u, mean, ORANGE, "$E[u]$, expected"),
                                         (mean, u, PURPLE, "$u_o - E[u]$")):
            axes.annotate("", tuple(end), tuple(start), arrowprops={
                "arrowstyle": "-|>,head_width=0.35,head_length=0.7", "color": colour,
                "linewidth": 2.2, "shrinkA": 0, "shrinkB": 0})
            axes.plot([], [], color=colour, linewidth=2.2, label=name)
        axes.annotate("$u_o$", tuple(u), (0, -6), textcoords="offset points", ha="center",
                      va="top", color=BLUE)
        axes.annotate("$E[u]$", tuple(mean), (0, 6), textcoords="offset points", ha="center",
                      va="bottom", color=ORANGE,
                      bbox={"facecolor": axes.get_facecolor(), "alpha": 0.7, "linewidth": 0,
                            "pad": 1})
        corners = np.stack([0 * u, u, mean])
        middle = (corners.max(axis=0) + corners.min(axis=0)) / 2
        half = 0.75 * float(np.ptp(corners, axis=0).max()) or 1.0
        axes.set(aspect="equal", xlim=(middle[0] - half, middle[0] + half),
                 ylim=(middle[1] - half, middle[1] + half))
        axes.axhline(0, color=GREY, linewidth=0.5, alpha=0.5, zorder=0)
        axes.axvline(0, color=GREY, linewidth=0.5, alpha=0.5, zorder=0)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False,
                    fontsize=8, columnspacing=1, handlelength=1.5)
        axes.set_ylabel("across it, where $E[u]$ points", fontsize=9)
        axes.set_xlabel(
            "along $u_o$; dots are all words' $u_x$, as large as $P(x|c)$\n"
            f"gradient of $\\log P(o|c)$: length {np.linalg.norm(self.gradient):.3g}, at most "
            f"{self.error:.0e} from $u_o - E[u]$", fontsize=9)


def observed_minus_expected(v: Array, U: Array, o: int, bias: Array | None = None, *,
                            words: Sequence[str] | None = None, centre: str = "c") -> Expectation:
    """Take the gradient of log P(o|c) with respect to v_c, by `backward`, with what it is made of.

    `v` (d,) is v_c, `U` (n, d) all u_x, `o` the word seen, `bias` (n,) an output bias, if the model
    has one: P(x|c) is then that of the model with it. All is float64, whatever the model is.

    >>> U = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> found = observed_minus_expected(np.zeros(2), U, 0)
    >>> found.observed, found.expected
    (array([1., 0.]), array([0.66666667, 0.66666667]))
    >>> found.gradient, found.error < 1e-15
    (array([ 0.33333333, -0.66666667]), True)
    """
    U, centre_vector = np.asarray(U, float), Tensor(v, requires_grad=True, dtype=float)
    if not 0 <= o < len(U):
        raise IndexError(f"there is no word {o}: these are {len(U)}")
    offset = None if bias is None else np.asarray(bias, float)
    log_p = log_probabilities(centre_vector.reshape(1, -1), U, offset)[0]
    log_p[o].backward()
    gradient: Any = centre_vector.grad
    named = [f"word {i}" for i in range(len(U))] if words is None else words
    return Expectation(named, centre, o, np.exp(log_p.numpy()), U, gradient)


def expectation_of(model: SkipGram, centre: str, outside: str) -> Expectation:
    """Take a pair of words of a model: `outside` is seen beside `centre`.

    KeyError, with near spellings, for words that are not there.
    """
    wv = model.wv
    c, o = (wv._row(word) for word in (centre, outside))
    bias = None if model.bias is None else model.bias.data
    return observed_minus_expected(model.V.data[c], model.U.data, o, bias,
                                   words=model.vocabulary.words, centre=centre)


def _unit(x: Array) -> Array:
    length = np.linalg.norm(x)
    unit: Array = x / length if length else x
    return unit
