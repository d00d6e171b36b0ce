"""Map the words of a text: train vectors on the documentation inside this Python, and draw them.

    python examples/word_map.py
    python examples/word_map.py --to pictures

It writes word_map.html, a page with a search, and, where matplotlib is installed, word_map.png and
neighbours.png: who came near to "red" in which pass. A plane cannot show what is near in fifty
dimensions. How little of it the map keeps is counted, and printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_w2v.draw import NeighbourRecorder, word_map, words_around
from tinygrad_w2v.draw.words import WordMap
from tinygrad_w2v.word2vec import SkipGram, documentation

SIZE, PASSES, MARKED = 50, 4, ["monday", "red", "two"]


def nearest_on_map(drawn: WordMap, i: int, topn: int = 10) -> list[str]:
    """Give the words that stand nearest to word i in the plane."""
    far = np.linalg.norm(drawn.plane.coordinates - drawn.plane.coordinates[i], axis=1)
    far[i] = np.inf
    first = np.argpartition(far, topn)[:topn]
    return [drawn.words[j] for j in first[np.argsort(far[first])]]


def kept(drawn: WordMap) -> float:
    """Give the share of the ten nearest words that are also among the ten nearest on the map."""
    near = [{word for word, _ in drawn.near[i]} for i in range(len(drawn.words))]
    return float(np.mean([len(true.intersection(nearest_on_map(drawn, i))) / len(true)
                          for i, true in enumerate(near)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=Path(),
                        help="where to write the pictures (default: here)")
    folder = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)

    recorder = NeighbourRecorder(["red"], topn=6)
    text, _ = documentation()
    model = SkipGram(vector_size=SIZE, loss="softmax", epochs=PASSES)
    wv = model.fit(text, progress=False, callbacks=[recorder]).wv
    print(f"{len(wv):,} vectors of {SIZE} numbers\n\nNearest to 'red':\n{recorder.table('red')}\n")

    drawn = word_map(wv)
    red = drawn.words.index("red")
    print(f"A map of {len(drawn.words):,} words:\n  " + "\n  ".join(drawn.axes))
    print(f"Nearest to 'red' on the map: {', '.join(nearest_on_map(drawn, red, 6))}\n"
          f"Of the ten nearest words, the map keeps {kept(drawn):.1%} near.\n")
    page = folder / "word_map.html"
    page.write_text(drawn.page("Words of the documentation"), encoding="utf-8")
    print(f"The map with a search is {page}")

    around = words_around(wv, MARKED, 60)
    try:
        figures = {"word_map.png": word_map(wv, around).figure(MARKED),
                   "neighbours.png": recorder.figure("red")}
    except ImportError as error:
        print(f"No figures: {error}")
        return
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=120)
        print(f"A figure is drawn in {folder / name}")


if __name__ == "__main__":
    main()
