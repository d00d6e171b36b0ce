"""Problem 2, measured: what inputs that are always positive do to a neuron's gradient (E10).

    python examples/problem2_zero_centred.py [--to FOLDER]

Five experiments, each with a claim that is checked, or the program fails. All gradients are the
Tensor's. It takes a few seconds; NumPy is enough, but for the picture, which needs matplotlib.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_w2v as tg
from tinygrad_w2v.diagnose import (
    Path,
    agreement,
    aligned,
    condition,
    expected_agreement,
    expected_condition,
)
from tinygrad_w2v.draw.figures import new_figure

SEED = 0
BLUE, ORANGE, PINK, GREEN = "#0072B2", "#E69F00", "#CC79A7", "#009E73"  # told apart by all eyes
BEFORE: dict[str, Callable[[Any], Any]] = {  # what the layer before does to N(0, 1)
    "sigmoid": tg.sigmoid, "relu": tg.relu, "tanh": np.tanh}


def claim(holds: bool, what: str) -> None:
    """Print what was found; end the program if it was not."""
    if not holds:
        raise SystemExit(f"this example claims: {what}. It was not so")
    print(f"  → {what}")


def centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(axis=0)


# ── one example ───────────────────────────────────────────────────────────────────────────────────


def one_example() -> None:
    print("1. One example: the share of a neuron's weights that are pushed the way of most\n")
    rng = np.random.default_rng(SEED)
    z, y = rng.normal(size=(200, 50)), rng.normal(size=(200, 20))
    inputs = {name: f(z) for name, f in BEFORE.items()}
    inputs["sigmoid, centred"] = centred(inputs["sigmoid"])
    rows, found = [], dict[str, float]()
    for name, x in inputs.items():
        neurons = tg.nn.Linear(50, 20, rng=rng)
        layer, = tg.diagnose(lambda x, f=neurons: tg.tanh(f(x)), x, y, tg.nn.mse).layers
        found[name] = layer.agreement_example
        rows.append([name, f"{layer.mean:.3f}", f"{layer.std:.3f}", f"{found[name]:.3f}"])
    print(aligned(["inputs", "mean", "std", "agreement"], rows))
    claim(found["sigmoid"] == found["relu"] == 1,
          "positive inputs: all weights of a neuron, in every example, one way. It is a theorem")
    claim(found["tanh"] < 0.6 > found["sigmoid, centred"],
          "zero-centred inputs: about one half, and what chance adds among 50")


# ── the staircase ─────────────────────────────────────────────────────────────────────────────────


def descend(x: np.ndarray, wanted: np.ndarray, optimizer: Callable[[list[Any]], tg.optim.Optimizer],
            batch: int = 1, until: float = 0.01) -> Path:
    """Learn the weights `wanted` from 0 by squared error, until `until` of the first loss."""
    w, y, rng = tg.Tensor(0 * wanted, requires_grad=True), x @ wanted, np.random.default_rng(SEED)
    step, path = optimizer([w]), Path([w], until * np.mean(y**2))
    while not path.record(tg.nn.mse(x @ w, y)):
        rows = rng.permutation(len(x))[:batch]
        step.zero_grad()
        (0.5 * tg.nn.mse(x[rows] @ w, y[rows])).backward()
        step.step()
    return path


def sgd(lr: float) -> Callable[[list[Any]], tg.optim.Optimizer]:
    return lambda params: tg.optim.SGD(params, lr)


def staircase() -> dict[str, Path]:
    print("\n2. The staircase: two weights, from (0, 0) to (1, −1), one example at a time\n")
    rng, wanted = np.random.default_rng(SEED), np.array([1.0, -1.0])
    z = rng.normal(size=(200, 2))
    runs = {"sigmoid": (tg.sigmoid(z), sgd(0.1)),
            "sigmoid, centred": (centred(tg.sigmoid(z)), sgd(0.1)),
            "relu": (tg.relu(z), sgd(0.1)), "relu, centred": (centred(tg.relu(z)), sgd(0.1)),
            "sigmoid, Adam": (tg.sigmoid(z), lambda params: tg.optim.Adam(params, 0.01))}
    paths = {name: descend(x, wanted, optimizer) for name, (x, optimizer) in runs.items()}
    print(aligned(["inputs", "steps", "in two orthants", "path / straight", "mean turn"],
                  [[name, str(len(path.steps)), f"{path.one_sign:.0%}", f"{path.detour:.2f}",
                    f"{path.turns.mean():.0f}°"] for name, path in paths.items()]))
    steep, flat = paths["sigmoid"], paths["sigmoid, centred"]
    claim(steep.one_sign == 1 and steep.detour > 2.5,
          "positive inputs: each step goes up in both weights, or down in both, and the way to "
          f"(1, −1) is {steep.detour:.1f} times as long as a straight one")
    claim(flat.one_sign < 0.7 and flat.detour < 1.5,
          f"its centred twin steps in all directions: {flat.detour:.1f} times")
    claim(paths["relu"].one_sign == 1 and paths["relu"].detour < 0.75 * steep.detour,
          f"with a ReLU before, milder: {paths['relu'].detour:.1f} times. An input that is 0 "
          "moves one weight alone")
    claim(paths["sigmoid, Adam"].one_sign < 0.75 and paths["sigmoid, Adam"].detour < 2,
          "Adam remembers earlier examples: not in two orthants, "
          f"{paths['sigmoid, Adam'].detour:.1f} times")
    return paths


# ── a batch ───────────────────────────────────────────────────────────────────────────────────────


def a_batch(inputs: int = 1000, neurons: int = 100) -> dict[tuple[str, int], float]:
    print("\n3. A batch: agreement, where signs from above are random; 1,000 inputs\n")
    rng, rounds = np.random.default_rng(SEED), {1: 100, 8: 50, 64: 10}  # of a size of batch
    layer = tg.nn.Linear(inputs, neurons, bias=False)
    rows, found, expected = [], dict[tuple[str, int], float](), dict[str, float]()
    for name, f in BEFORE.items():
        x = f(rng.normal(size=100_000))
        expected[name] = expected_agreement(x.mean(), x.std())
        for size, times in rounds.items():
            shares = []
            for _ in range(times):
                layer.weight.zero_grad()
                out = layer(f(rng.normal(size=(size, inputs))))
                out.backward(seed=rng.normal(size=out.shape))
                shares.append(agreement(layer.weight.grad))
            found[name, size] = float(np.mean(shares))
        rows.append([name, f"{x.mean():.3f}", f"{x.std():.3f}", f"{expected[name]:.3f}",
                     *[f"{found[name, size]:.3f}" for size in rounds]])
    print(aligned(["inputs", "mean", "std", "½ + atan(mean/std)/π",
                   *[f"batch of {size}" for size in rounds]], rows))
    claim(all(abs(found[name, size] - expected[name]) < 0.03 for name in BEFORE
              for size in (8, 64)),
          "a batch does not cure it, nor does a larger one: the formula tells how much is left")
    claim(found["relu", 64] < 0.72, f"for ReLU that is mild: {found['relu', 64]:.2f}")
    return found


# ── what it costs ─────────────────────────────────────────────────────────────────────────────────


def best_descent(x: np.ndarray, rng: np.random.Generator) -> list[float]:
    """Descend with all examples at the best rate, to 1 % of the first distance; the distances."""
    wanted = rng.normal(size=x.shape[1])
    eigenvalues = np.linalg.eigvalsh(x.T @ x / len(x))
    w, y = tg.Tensor(0 * wanted, requires_grad=True), x @ wanted
    optimizer = tg.optim.SGD([w], lr=2 / (eigenvalues[0] + eigenvalues[-1]))
    distances = [1.0]
    while distances[-1] > 0.01:
        optimizer.zero_grad()
        (0.5 * tg.nn.mse(x @ w, y)).backward()
        optimizer.step()
        distances.append(float(np.linalg.norm(w.data - wanted) / np.linalg.norm(wanted)))
    return distances


def what_it_costs(n: int = 50, examples: int = 5000) -> dict[str, list[float]]:
    print(f"\n4. What it costs: {n} inputs, {examples:,} examples, best-rate descent to 1 %\n")
    z = np.random.default_rng(SEED).normal(size=(examples, n))
    inputs = {name: f(z) for name, f in BEFORE.items()}
    inputs["sigmoid, centred"] = centred(inputs["sigmoid"])
    ways = {name: best_descent(x, np.random.default_rng(SEED)) for name, x in inputs.items()}
    steps = {name: len(way) - 1 for name, way in ways.items()}
    print(aligned(["inputs", "1 + n mean²/std²", "condition number", "steps"],
                  [[name, f"{expected_condition(x.mean(), x.std(), n):.1f}", f"{condition(x):.1f}",
                    str(steps[name])] for name, x in inputs.items()]))
    claim(steps["sigmoid"] > 100 * steps["sigmoid, centred"],
          f"the mean alone makes {steps['sigmoid']} steps of {steps['sigmoid, centred']}; "
          f"with ReLU inputs {steps['relu']}")
    biased = condition(np.hstack([inputs["sigmoid"], np.ones((examples, 1))]))
    claim(biased > condition(inputs["sigmoid"]),
          "a bias does not take the mean away: it is one more input that is always positive, and "
          f"the condition number {biased:,.0f}")
    return ways


# ── the trap ──────────────────────────────────────────────────────────────────────────────────────


def the_trap() -> Path:
    print("\n5. The trap: all examples at once, centred inputs of unequal spread, a high rate\n")
    x = centred(np.random.default_rng(SEED).normal(size=(200, 2)) * [1.0, 0.2])
    fastest = 2 / np.linalg.eigvalsh(x.T @ x / len(x))[-1]
    path = descend(x, np.array([1.0, -1.0]), sgd(0.97 * fastest), batch=len(x), until=0.001)
    print(f"  {path}")
    claim(path.detour > 5 and path.turns.mean() > 150,
          "it zig-zags without any positive input: a picture of a zig-zag proves nothing; "
          "count orthants, and compare with the centred twin")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", metavar="FOLDER", type=pathlib.Path, default=pathlib.Path(),
                        help="where the picture is written (default: here)")
    options = parser.parse_args()
    one_example()
    found = staircase(), a_batch(), what_it_costs(), the_trap()
    draw(*found, options.to / "problem2_zero_centred.png")


def draw(paths: dict[str, Path], batches: dict[tuple[str, int], float],
         ways: dict[str, list[float]], trap: Path, path: pathlib.Path) -> None:
    """Draw the experiments, side by side."""
    try:
        figure = new_figure(10, 9.2)
    except ImportError:
        print('No picture: it needs matplotlib. pip install "tinygrad-w2v[draw]"')
        return
    axes = figure.subplots(2, 2)
    plane, angle, descents, zigzag = axes.flat

    for name, colour, line in (("sigmoid", ORANGE, "-"), ("sigmoid, centred", BLUE, "-")):
        found = paths[name]
        plane.plot(*found.points.T, line, color=colour, linewidth=1,
                   label=f"{name}: {found.detour:.2f} × straight, "
                         f"{found.one_sign:.0%} of steps in two orthants")
    plane.plot([0, 1], [0, -1], ":", color="black", linewidth=1)
    plane.plot(0, 0, "o", color="black")
    plane.plot(1, -1, "*", color="black", markersize=12)
    plane.set(aspect="equal", xlabel="$w_1$", ylabel="$w_2$", xlim=(-0.5, 1.5), ylim=(-1.2, 0.45),
              title="2. An example at a time, from ● to ★")
    plane.legend(fontsize=8, loc="upper center")

    ratio = np.linspace(0, 4, 200)
    angle.plot(ratio, [expected_agreement(r, 1) for r in ratio], color="black",
               label="½ + atan(mean/std)/π")
    for (name, f), colour, marker in zip(BEFORE.items(), (ORANGE, PINK, BLUE), "o^s", strict=True):
        x = f(np.random.default_rng(SEED).normal(size=100_000))
        angle.plot(abs(x.mean()) / x.std(), batches[name, 64], marker, color=colour, markersize=9,
                   label=f"{name} inputs, batches of 64")
    angle.set(xlabel="mean / std of the inputs", ylabel="weights pushed the way of most",
              ylim=(0.45, 1), title="3. What a batch leaves of it")
    angle.legend(fontsize=8, loc="lower right")

    styles = zip((ORANGE, PINK, BLUE, GREEN), ("-", "--", "-.", ":"), strict=True)
    for (name, way), (colour, line) in zip(ways.items(), styles, strict=True):
        descents.plot(way, linestyle=line, color=colour,
                      label=f"{name}: {len(way) - 1} steps")
    descents.set(xscale="symlog", yscale="log", xlabel="steps made", ylabel="distance left",
                 ylim=(0.0008, 1.5), title="4. Descent at the best rate, 50 inputs")
    descents.legend(fontsize=8, loc="lower left")

    zigzag.plot(*trap.points.T, ".-", color=GREEN, linewidth=0.8, markersize=3,
                label=f"centred inputs, all at once: {trap.detour:.0f} × straight")
    zigzag.plot(0, 0, "o", color="black")
    zigzag.plot(1, -1, "*", color="black", markersize=12)
    zigzag.set(xlabel="$w_1$", ylabel="$w_2$", ylim=(-1.15, 0.25),
               title="5. The trap: this zig-zag is none of problem 2")
    zigzag.legend(fontsize=8, loc="upper center")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"\nThe experiments are drawn in {path}")


if __name__ == "__main__":
    main()
