"""Draw docs/tiles.svg: a tile of text, its band of weights, and the noise words beside it.

Run it as ``python docs/tiles_picture.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinygrad_w2v.word2vec.tiles import band, pair_weights

TEXT = ["the", "cat", "sat", "on", "the", "mat", ".", "a", "dog", "barked", "at", "it", "all"]
TILE, WINDOW, NOISE = 6, 3, ["river", "of", "seven", "green"]
CELL, LEFT, TOP = 34, 92, 84


def picture() -> str:
    """The SVG: a row for each word of the tile, a column for each word around it, and noise."""
    sentence = np.cumsum([0, *[word == "." for word in TEXT[:-1]]])
    words = TEXT[1 : 1 + TILE + 2 * WINDOW]
    weights = pair_weights(sentence[None, 1 : 1 + len(words)], band(TILE, WINDOW))[0]
    share = weights.sum(axis=1) * 5 / len(NOISE)
    wide, right = LEFT + CELL * len(words), LEFT + CELL * (len(words) + len(NOISE)) + 30
    width, height = right + 20, TOP + CELL * TILE + 62
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="sans-serif" font-size="12" aria-label="A tile of six words against the '
        'twelve words around it: weights in a band, and four noise words">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]

    def text(x: float, y: float, content: str, more: str = "") -> None:
        parts.append(f'<text x="{x:g}" y="{y:g}" fill="#222222" {more}>{content}</text>')

    def cell(x: float, y: float, shade: float, colour: str, label: str) -> None:
        parts.append(f'<rect x="{x:g}" y="{y:g}" width="{CELL - 2}" height="{CELL - 2}" rx="3" '
                     f'fill="{colour}" fill-opacity="{shade:.2f}" stroke="#bbbbbb"/>')
        text(x + CELL / 2 - 1, y + CELL / 2 + 3, label, 'text-anchor="middle" font-size="10"')

    for j, word in enumerate(words):
        x, inside = LEFT + CELL * j + CELL / 2, WINDOW <= j < WINDOW + TILE
        weight = ' font-weight="bold"' if inside else ""
        text(x, TOP - 8, word, f'transform="rotate(-50 {x:g} {TOP - 8})"{weight}')
    for k, word in enumerate(NOISE):
        x = wide + 30 + CELL * k + CELL / 2
        text(x, TOP - 8, word, f'transform="rotate(-50 {x:g} {TOP - 8})" font-style="italic"')
    for i in range(TILE):
        y = TOP + CELL * i
        text(LEFT - 10, y + CELL / 2 + 3, words[WINDOW + i], 'text-anchor="end" font-weight="bold"')
        for j in range(len(words)):
            value = float(weights[i, j])
            label = "·" if j == i + WINDOW else f"{value:.2g}" if value else ""
            cell(LEFT + CELL * j, y, 0.75 * value, "#1f77b4", label)
        for k in range(len(NOISE)):
            cell(wide + 30 + CELL * k, y, 0.12 * share[i], "#d62728", f"{share[i]:.1f}")
    below = TOP + CELL * TILE
    text(LEFT, below + 22, "v uᵀ, weighed by the band: (m − k + 1)/m at distance k, m = 3;")
    text(LEFT, below + 40, "0 beyond, and across the end of the sentence")
    text(wide + 30, below + 22, "v zᵀ: noise words,")
    text(wide + 30, below + 40, "5 for each pair")
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("tiles.svg").write_text(picture(), encoding="utf-8")
