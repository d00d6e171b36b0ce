"""Step through backward: why a + a has two arrows, and why an order matters.

    python examples/step_through.py
    python examples/step_through.py --to FOLDER

It needs NumPy alone. With --to it writes graphs as DOT and pages to step through with the keys
← → Home End into FOLDER; for pictures it needs a Graphviz: pip install "tinygrad-w2v[draw]".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import tinygrad_w2v as tg
from tinygrad_w2v import draw

SEED = 0


def diamond() -> tuple:
    """The smallest graph on which a naive backward fails, c = 4a: traced in three orders."""
    a = tg.Tensor(3.0, requires_grad=True)
    b = a + a
    c = b + b
    return tg.trace(c), tg.trace(c, order="recursion"), tg.trace(c, order="paths")


def network():
    """Two layers and a loss, on four points, traced; every value is kept to be shown."""
    rng = np.random.default_rng(SEED)
    x, labels = rng.normal(size=(4, 3)), np.array([0, 1, 1, 0])
    w1 = tg.Tensor(rng.normal(size=(3, 5)), requires_grad=True)
    b1 = tg.Tensor(np.zeros(5), requires_grad=True)
    w2 = tg.Tensor(rng.normal(size=(5, 2)), requires_grad=True)
    with draw.keeping() as kept:
        hidden = tg.tanh(x @ w1 + b1)
        scores = hidden @ w2
        loss = tg.nn.cross_entropy(scores, labels)
    walked = tg.trace(loss, kept=kept)
    loss.backward()
    for name, parameter in {"w1": w1, "b1": b1, "w2": w2}.items():
        if not np.array_equal(walked.gradients[name], parameter.grad):
            raise SystemExit(f"the trace and backward() differ in {name}")
    return walked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="write pictures and pages there")
    options = parser.parse_args()

    right, wrong, paths = diamond()
    walked = network()
    print(right, "\n\nThe same by recursion:\n", wrong, sep="\n")
    print(f"\nDown every path it is right again, by {paths.calls} calls for {right.calls}.\n")
    print(f"A small network: {walked.summary()}", *walked.verdict(), sep="\n")
    if options.to:
        write({"diamond": right, "recursion": wrong, "network": walked}, options.to)


def write(traces: dict, folder: Path) -> None:
    """Write each trace as a page, and its graph as DOT, and as a picture if it can be drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, walked in traces.items():
        walked.save(folder / f"{name}.html")
        picture = walked.graph()
        picture.save(folder / f"{name}.dot")
        try:
            picture.save(folder / f"{name}.svg")
        except draw.GraphvizError as error:
            print(f"No {name}.svg: {error}")
    print(f"\nWritten to {folder}: " + ", ".join(sorted(path.name for path in folder.iterdir())))


if __name__ == "__main__":
    main()
