"""Word maps: words in the plane in which their vectors vary most, with their true neighbours.

A plane shows little of a hundred dimensions, and a map says how much: the share of the variance is
on its axes. What is near on the map need not be near. So a word's neighbours are computed in the
full space, over the whole vocabulary, and stand beside it.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sparse import Array
from ..word2vec.vectors import Neighbours, WordVectors
from .figures import BLUE, GREY, ORANGE, label_points, new_figure
from .page import page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 4000          # words on a map, unless told otherwise
AROUND = 200          # the same of a map around a word
NAMES = 200_000       # bytes of words known by name alone, if neighbours do not take more
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Components:
    """Principal components: `coordinates` (n, k), and what share of the variance each has, (k,).

    `directions` (k, d) are of length 1 and at right angles; ``(x - mean) @ directions.T`` are the
    coordinates of x.
    """

    coordinates: Array
    shares: Array
    directions: Array
    mean: Array


def pca(vectors: Array, k: int = 2) -> Components:
    """Find the k directions in which the rows of `vectors` (n, d) vary most, by an SVD.

    The sign of a direction is free; here its entry of largest size is positive. A direction beyond
    the rank has coordinates and share 0. ValueError for numbers that are not finite, and for no
    rows.

    >>> found = pca(np.array([[0.0, 1.0], [4.0, 1.0], [2.0, 3.0], [2.0, -1.0]]) * [1, 0.5])
    >>> found.coordinates[:, 0], found.shares
    (array([-2.,  2.,  0.,  0.]), array([0.8, 0.2]))
    """
    vectors = np.asarray(vectors, float)
    if vectors.ndim != 2 or not len(vectors) or k < 1:
        raise ValueError(f"pca() finds 1 direction or more of 1 row or more, not {k} of an array "
                         f"of shape {vectors.shape}")
    if lost := np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist():
        raise ValueError(f"pca() of rows that hold NaN or infinity, the first of them row "
                         f"{lost[0]}: leave them out")
    mean = vectors.mean(axis=0)
    u, s, directions = np.linalg.svd(vectors - mean, full_matrices=False)
    s[s <= s[:1] * max(vectors.shape) * np.finfo(float).eps] = 0
    largest = np.abs(directions).argmax(axis=1)[:, None]
    signs = np.sign(np.take_along_axis(directions, largest, axis=1))[:, 0]
    total = np.square(s).sum()
    shares = np.square(s) / total if total else s
    missing = max(0, k - len(s))
    return Components(np.pad((u * s * signs)[:, :k], ((0, 0), (0, missing))),
                      np.pad(shares[:k], (0, missing)),
                      np.pad((directions * signs[:, None])[:k], ((0, missing), (0, 0))), mean)


@dataclass(frozen=True)
class WordMap:
    """Some `words` of `wv`, their `plane`, and their neighbours `near` in the full space.

    `chosen` says, for people, which words these are; `lost` are words that were left out, since
    their vectors are not finite.
    """

    wv: WordVectors
    words: list[str]
    plane: Components
    near: Neighbours
    chosen: str
    lost: list[str]

    @property
    def axes(self) -> list[str]:
        """What stands on the axes."""
        return [f"{name} component, {100 * share:.1f} % of the variance"
                for name, share in zip(("first", "second"), self.plane.shares, strict=True)]

    def figure(self, marked: str | Iterable[str] = (), size: float = 8) -> Figure:
        """Draw the map by matplotlib, `size` inches wide and high; some words may be marked.

        Marked words are labelled first, then the others in their order. Labels that find no place
        are dropped, and the title says how many did. (A word with letters that matplotlib's font
        lacks is drawn as boxes, with a warning; the page has the fonts of the browser.)
        """
        marked = listed(marked)
        rows = {word: i for i, word in enumerate(self.words)}
        if missing := [word for word in marked if word not in rows]:
            raise ValueError(f"not on this map: {', '.join(map(repr, missing))}")
        first = [rows[word] for word in marked]
        order = [*dict.fromkeys([*first, *range(len(self.words))])]
        figure = new_figure(size, size)
        axes = figure.add_subplot()
        points = self.plane.coordinates
        axes.axhline(0, color=GREY, linewidth=0.5, alpha=0.5)
        axes.axvline(0, color=GREY, linewidth=0.5, alpha=0.5)
        axes.scatter(points[:, 0], points[:, 1], s=6, color=BLUE, linewidths=0)
        axes.scatter(points[first, 0], points[first, 1], s=40, facecolors="none",
                     edgecolors=ORANGE, linewidths=1.5)
        axes.margins(0.06)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xlabel=self.axes[0], ylabel=self.axes[1])
        title = axes.set_title("0 words", fontsize=10)
        kept = label_points(axes, points[order], [self.words[i] for i in order])
        title.set_text(f"{len(kept):,} of {len(self.words):,} words labelled")
        return figure

    def page(self, title: str = "Word map") -> str:
        """Give the map as a page of one file, with a search, to look around and nearer in."""
        return page(title, self._body(title), style=_file("words.css"), script=_file("words.js"),
                    data=self._data())

    def _data(self) -> dict[str, Any]:
        """What the script needs: words by number, those on the map first."""
        names = dict.fromkeys(self.words)
        ids = self.near.ids.tolist()
        names.update(dict.fromkeys(self.near.words[i] for row in ids for i in row if i >= 0))
        room = NAMES - sum(map(_bytes, [*names][len(self.words):]))
        for word in self.wv.words:
            if word not in names:
                room -= _bytes(word)
                if room < 0:
                    break
                names[word] = None
        number = {name: i for i, name in enumerate(names)}
        near = [[number[self.near.words[i]] for i in row if i >= 0] for row in ids]
        cosines = [[int(f"{cosine:.4f}".replace(".", "")) for cosine in row[:len(numbers)]]
                   for row, numbers in zip(self.near.cosines.tolist(), near, strict=True)]  # · 10⁴
        extent = float(np.abs(self.plane.coordinates).max(initial=0)) or 1.0
        return {"words": list(names), "near": near, "cosines": cosines,
                "points": np.round(self.plane.coordinates / extent * 1e6).astype(int).tolist(),
                "vocabulary": len(self.wv), "complete": len(names) == len(self.wv)}

    def _body(self, title: str) -> str:
        n, d = self.wv.vectors.shape
        lost = (f" Left out, since their vectors hold NaN or infinity: {len(self.lost):,}."
                if self.lost else "")
        total = 100 * self.plane.shares.sum()
        return BODY.format(
            title=html.escape(title), across=self.axes[0], up=self.axes[1],
            about=html.escape(
                f"{len(self.words):,} of {n:,} words: {self.chosen}. A word's place is its vector "
                f"at length 1, of {d:,} numbers, seen in the plane in which these words vary most: "
                f"{total:.1f} % of their variance. What is near here need not be near: nearest "
                f"words are by cosine, in all {d:,} dimensions, among all {n:,} words.{lost}"))


def word_map(wv: WordVectors, words: int | Iterable[str] = SHOWN, topn: int = 10,
             chosen: str | None = None) -> WordMap:
    """Make a map of the first so many words of `wv`, by custom the most frequent, or of a list.

    The vectors are taken at length 1, as cosines take them. A word whose vector is not finite is
    left out. Each has its `topn` nearest words of the whole vocabulary. KeyError for words that are
    not there, as of all methods of `WordVectors`; ValueError if no word is left.

    >>> wv = WordVectors(["red", "blue", "monday"], np.array([[1, 0], [1, 1], [0, -1.0]]))
    >>> found = word_map(wv, topn=1)
    >>> found.near[0], found.axes[0]
    ([('blue', 0.7071067811865475)], 'first component, 90.8 % of the variance')
    """
    if isinstance(words, int | np.integer):
        if words < 1:
            raise ValueError(f"a map needs 1 word or more, not {words}")
        asked = wv.words[:words]
        chosen = chosen or ("all of them" if words >= len(wv) else "the first, by custom the most "
                            "frequent")
    else:
        asked = list(dict.fromkeys(listed(words)))
        if not asked:
            raise ValueError("a map needs 1 word or more, not an empty list")
        chosen = chosen or "a list"
    rows = wv._rows(asked)
    finite: Array = np.all(np.isfinite(wv.unit[rows]), axis=1)
    shown = [word for word, fine in zip(asked, finite, strict=True) if fine]
    if not shown:
        raise ValueError("there is no word with a finite vector to put on a map")
    return WordMap(wv, shown, pca(wv.unit[rows[finite]]), wv.most_similar_batch(shown, topn),
                   chosen, [word for word, fine in zip(asked, finite, strict=True) if not fine])


def listed(words: str | Iterable[str]) -> list[str]:
    """One word or several as a list: a text is a word, not its letters."""
    return [words] if isinstance(words, str) else list(words)


def words_around(wv: WordVectors, words: str | Iterable[str], n: int = AROUND) -> list[str]:
    """List n words for a map: the given one or several, and in turn each one's next nearest.

    >>> wv = WordVectors(list("abcd"), np.array([[1, 0], [0, 1], [3, 4.0], [-1, 0]]))
    >>> words_around(wv, ["a"], 3)
    ['a', 'c', 'b']
    """
    words = listed(words)
    near = wv.most_similar_batch(words, n).ids.T.tolist()
    return list(dict.fromkeys([*words, *(wv.words[i] for rank in near for i in rank if i >= 0)])
                )[:max(n, len(words))]


def _bytes(word: str) -> int:
    return len(word.encode("utf-8", "replace")) + 3  # with quotes and comma


def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


BODY = """<h1>{title}</h1>
<p class="about">{about}</p>
<div class="controls">
  <div class="search">
    <label for="search">Search for a word</label>
    <input id="search" type="text" role="combobox" aria-expanded="false" aria-controls="matches"
      aria-autocomplete="list" autocomplete="off" autocapitalize="none" spellcheck="false"
      dir="auto">
    <ul id="matches" role="listbox" aria-label="words that match" hidden></ul>
  </div>
  <div class="zoom" role="group" aria-label="zoom">
    <button id="nearer" type="button" aria-label="zoom in">+</button>
    <button id="farther" type="button" aria-label="zoom out">−</button>
    <button id="whole" type="button">Whole map</button>
  </div>
</div>
<p id="message" role="status"></p>
<div class="columns">
  <figure>
    <p class="axis">↑ {up}</p>
    <div id="map" tabindex="0" role="application" aria-label="Map of words"
      aria-describedby="keys"><svg id="picture" aria-hidden="true"></svg></div>
    <p class="axis across">{across} →</p>
    <figcaption><span id="count"></span>
      <span id="keys">Drag, turn the wheel or pinch; or, with the map in focus, use the arrow keys,
      + and −, 0 for the whole map, Escape to let go of a word.</span></figcaption>
  </figure>
  <section aria-labelledby="chosen">
    <h2 id="chosen">Nearest words</h2>
    <p id="hint">Search for a word, or click on one.</p>
    <ol id="near"></ol>
  </section>
</div>"""
