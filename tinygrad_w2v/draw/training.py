"""Neighbours of words while the vectors are trained: who comes near, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..word2vec import WordVectors
from ..word2vec.model import Pass
from .figures import BLUE, GREY, new_figure
from .words import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 7  # of a figure


@dataclass
class NeighbourRecorder:
    """A callback of `SkipGram.fit` that keeps some words' nearest words after every pass.

    They are computed in the full space, over the whole vocabulary. `kept` maps the number of a pass
    to the neighbours of each word, as `most_similar` gives them. A word that the vocabulary does
    not have is a KeyError after the first pass. To have the random start too, ``keep(0, model.wv)``
    between `start` and `run`.

    >>> from tinygrad_w2v.word2vec import SkipGram
    >>> text = [["red", "and", "blue"], ["blue", "and", "red"]] * 10
    >>> near = NeighbourRecorder(["red"], topn=1)
    >>> model = SkipGram(vector_size=4, window=1, min_count=1, loss="softmax", epochs=3, seed=1)
    >>> wv = model.fit(text, progress=False, callbacks=[near]).wv
    >>> near.kept[3]["red"] == wv.most_similar("red", topn=1)
    True
    >>> print(near.table("red"))
    pass 1  blue 0.99
    pass 2  blue 0.90
    pass 3  blue 0.98
    """

    words: str | Sequence[str]
    topn: int = 5
    kept: dict[int, dict[str, list[tuple[str, float]]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.words = listed(self.words)

    def __call__(self, made: Pass) -> None:
        """Keep the neighbours after a pass."""
        self.keep(made.epoch, made.model.wv)

    def keep(self, epoch: int, wv: WordVectors) -> None:
        """Keep the neighbours of these vectors under the number of a pass."""
        near = wv.most_similar_batch(listed(self.words), self.topn)
        self.kept[epoch] = {word: near[i] for i, word in enumerate(self.words)}

    def table(self, word: str) -> str:
        """A line for each pass: the nearest words and their cosines."""
        self._check(word)
        wide = len(str(max(self.kept)))
        return "\n".join(f"pass {epoch:>{wide}}  " + "  ".join(
            f"{near} {cosine:.2f}" for near, cosine in found[word])
            for epoch, found in sorted(self.kept.items()))

    def figure(self, word: str) -> Figure:
        """Draw who was nearest when: a column for each pass, lines between places of one word.

        Of more than seven passes seven are shown, the first and the last among them.
        """
        self._check(word)
        epochs = sorted(self.kept)
        if len(epochs) > COLUMNS:
            places = np.linspace(0, len(epochs) - 1, COLUMNS).round().astype(int)
            epochs = [epochs[i] for i in places.tolist()]
        columns = [[near for near, _ in self.kept[epoch][word]] for epoch in epochs]
        last = columns[-1]
        longest = max((len(near) for column in columns for near in column), default=1)
        figure = new_figure((0.5 + 0.085 * min(longest, 24)) * len(columns) + 0.8,
                            0.9 + 0.4 * self.topn)
        axes = figure.add_subplot()
        for k, column in enumerate(columns):
            for rank, near in enumerate(column, 1):
                colour = BLUE if near in last else GREY
                before = columns[k - 1] if k else []
                if near in before:
                    axes.plot([k - 1, k], [before.index(near) + 1, rank], color=colour,
                              linewidth=1.2, alpha=0.7, zorder=1)
                axes.text(k, rank, _cut(near), ha="center", va="center", fontsize=8,
                          parse_math=False, zorder=2, color=colour,
                          weight="bold" if near in last else "normal",
                          bbox={"facecolor": axes.get_facecolor(), "linewidth": 0, "pad": 1.5})
        axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(self.topn + 0.5, 0.5),
                 yticks=range(1, self.topn + 1), ylabel="place by cosine")
        axes.set_xticks(range(len(columns)), [f"pass {epoch}" for epoch in epochs])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(f"Nearest to {word!r}; in bold, who is there at the end", fontsize=10,
                       parse_math=False)
        return figure

    def _check(self, word: str) -> None:
        if word not in self.words:
            raise KeyError(f"{word!r} is not one of the words kept: {', '.join(self.words)}")
        if not self.kept:
            raise ValueError("nothing has been kept yet: give this to fit(…, callbacks=[…])")


def _cut(word: str, most: int = 24) -> str:
    return word if len(word) <= most else word[:most - 1] + "…"
