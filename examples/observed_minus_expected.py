"""Watch what one pair of words does: the step of v_c is observed minus expected (E4, E6).

    python examples/observed_minus_expected.py
    python examples/observed_minus_expected.py --to pictures

The gradient of log P(o|c) is taken by autodiff, before training and after each of four passes, and
is u_o − E[u] each time, or the program fails: the vector of the word seen, minus the mean of all
words' vectors as the model expects them. Where matplotlib is installed, observed_start.png and
observed_end.png show both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from tinygrad_w2v.draw import expectation_of, observed_minus_expected
from tinygrad_w2v.draw.expectation import Expectation
from tinygrad_w2v.word2vec import SkipGram, documentation

CENTRE, OUTSIDE, SIZE, PASSES, STEP = "monday", "sunday", 50, 4, 0.1


def line(label: str, found: Expectation) -> str:
    """Give the numbers of a pair: how likely, which place, how long the vectors, how exact."""
    sizes = [np.linalg.norm(x) for x in (found.observed, found.expected, found.gradient)]
    return (f"{label:<7}  {found.probabilities[found.o]:.6f}  {found.rank:>5}  "
            + "  ".join(f"{size:6.3f}" for size in sizes) + f"  {found.error:.0e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=Path(),
                        help="where to write the pictures (default: here)")
    folder = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)

    text, _ = documentation()
    model = SkipGram(vector_size=SIZE, loss="softmax", epochs=PASSES).start(text)
    seen = {"start": expectation_of(model, CENTRE, OUTSIDE)}
    print(f"c = {CENTRE!r}, o = {OUTSIDE!r}\n\n           P(o|c)    place   |u_o|  |E[u]|  "
          f"|step|  from u_o − E[u]\n{line('start', seen['start'])}")

    def look(made) -> None:
        found = seen[f"pass {made.epoch}"] = expectation_of(made.model, CENTRE, OUTSIDE)
        print(line(f"pass {made.epoch}", found))

    model.run(progress=False, callbacks=[look])
    worst = max(found.error for found in seen.values())
    if worst > 1e-12:
        raise SystemExit(f"this example claims equality, and found a difference of {worst:.1e}")

    last = seen[f"pass {PASSES}"]
    c = model.wv.index[CENTRE]
    bias = None if model.bias is None else model.bias.data
    moved = observed_minus_expected(model.V.data[c] + STEP * last.gradient, model.U.data, last.o,
                                    bias)
    print(f"\nA step of {STEP} times that gradient takes P(o|c) from "
          f"{last.probabilities[last.o]:.4f} to {moved.probabilities[last.o]:.4f}.\n")

    try:
        figures = {"observed_start.png": seen["start"].figure(), "observed_end.png": last.figure()}
    except ImportError as error:
        print(f"No figures: {error}")
        return
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=120)
        print(f"A figure is drawn in {folder / name}")


if __name__ == "__main__":
    main()
