"""Problem 1, measured: where the gradient of a neuron gets close to 0, and what cures it (E8).

    python examples/problem1_saturation.py [--to FOLDER]

Four experiments, each with a claim that is checked, or the program fails. All gradients are the
Tensor's. It takes a few seconds; NumPy is enough, but for the picture, which needs matplotlib.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_w2v as tg
from tinygrad_w2v.diagnose import Report, aligned
from tinygrad_w2v.draw.figures import new_figure

SEED, RATE, REACHED = 0, 0.5, 0.1
STARTS = [0.0, 4.0, 8.0]  # z of the neuron at its first step: its output should be 0
WIDTH, LAYERS, EXAMPLES = 100, 6, 200
BLUE, ORANGE, PINK, GREEN = "#0072B2", "#E69F00", "#CC79A7", "#009E73"  # told apart by all eyes
Loss = Callable[[Any, Any], Any]


def claim(holds: bool, what: str) -> None:
    """Print what was found; end the program if it was not."""
    if not holds:
        raise SystemExit(f"this example claims: {what}. It was not so")
    print(f"  → {what}")


# ── one neuron on the wrong side ──────────────────────────────────────────────────────────────────


def half_squared_error(z: Any, target: Any) -> Any:
    """½ (σ(z) − t)², whose gradient by z is (σ − t) σ′(z): small where the neuron is saturated."""
    return 0.5 * tg.nn.mse(tg.sigmoid(z), target)


LOSSES: dict[str, Loss] = {"squared error": half_squared_error,
                           "cross-entropy": tg.nn.binary_cross_entropy}


def learn(loss: Loss, start: float) -> list[float]:
    """Train σ(wx + b) on x = 1, target 0, from w = `start`; give its output before every step."""
    neuron = tg.nn.Linear(1, 1, init=lambda *_: np.full((1, 1), start))
    optimizer = tg.optim.SGD(neuron.parameters(), lr=RATE)
    x, target, outputs = np.ones((1, 1)), np.zeros((1, 1)), list[float]()
    while not outputs or outputs[-1] >= REACHED:
        z = neuron(x)
        outputs.append(tg.sigmoid(z).item())
        optimizer.zero_grad()
        loss(z, target).backward()
        optimizer.step()
    return outputs


def wrong_side() -> dict[tuple[str, float], list[float]]:
    print(f"1. One neuron on the wrong side: x = 1, target 0, rate {RATE}; steps until the output "
          f"is < {REACHED}\n")
    runs = {(name, z): learn(loss, z) for name, loss in LOSSES.items() for z in STARTS}
    steps = {key: len(outputs) - 1 for key, outputs in runs.items()}
    slopes = [tg.grad(tg.sigmoid)(z).item() for z in STARTS]
    print(aligned(["z at first", "σ′(z)", *LOSSES],
                  [[f"{z:g}", f"{slope:.5f}", *[str(steps[name, z]) for name in LOSSES]]
                   for z, slope in zip(STARTS, slopes, strict=True)]))
    claim(steps["squared error", 8.0] > 40 * steps["squared error", 0.0],
          "squared error waits for the slope: from z = 8 it takes over 40 times as long")
    claim(steps["cross-entropy", 8.0] <= 2 * steps["cross-entropy", 0.0],
          "cross-entropy has no σ′ in its gradient: at most twice as long")
    return runs


# ── deep ones ─────────────────────────────────────────────────────────────────────────────────────


def deep(activation: str, gain: float) -> Report:
    """Diagnose six layers of 100, W ~ N(0, gain²/100), under a random gradient from above."""
    rng = np.random.default_rng(SEED)
    hidden = tg.nn.MLP([WIDTH] * (LAYERS + 1), activation, rng=rng,
                       init=lambda n, m, rng: gain * tg.nn.lecun_normal(n, m, rng))
    x, above = rng.normal(size=(2, EXAMPLES, WIDTH))
    return tg.diagnose(lambda x: hidden.activation(hidden(x)), x, above,
                       lambda a, above: (a * above).sum())


def saturated(report: Report) -> float:
    """Give the share of saturated neurons, the mean over layers."""
    return float(np.mean([layer.saturated for layer in report.layers]))


def vanishing() -> Report:
    print(f"\n2. Vanishing without saturation: {LAYERS} sigmoid layers of {WIDTH}, gain 1\n")
    report = deep("sigmoid", 1.0)
    first, last = report.layers[0], report.layers[-1]
    print(aligned(["layer", "saturated", "∂L/∂a", "σ′", "∂L/∂z"],
                  [[str(layer.number), f"{layer.saturated:.1%}", f"{layer.arriving:.1e}",
                    f"{layer.gain:.3f}", f"{layer.gradient:.1e}"] for layer in report.layers]))
    fall = last.arriving / first.arriving
    most = max(layer.saturated or 0 for layer in report.layers)
    claim(most < 0.001 and fall > 1000,
          f"{most:.1%} saturated, and yet what arrives falls {fall:,.0f}-fold: σ′ ≤ ¼")
    return report


def gain_trap() -> dict[float, Report]:
    print("\n3. The trap: tanh with large weights is saturated, and its gradient grows\n")
    reports = {gain: deep("tanh", gain) for gain in (1.0, 10.0)}
    print(aligned(["gain", "layer", "saturated", "∂L/∂z", "over last", "carried by"],
                  [[f"{gain:g}", str(layer.number), f"{layer.saturated:.1%}",
                    f"{layer.gradient:.2g}", f"{layer.gradient / report.layers[-1].gradient:.2g}",
                    f"{layer.participation:.1%}"]
                   for gain, report in reports.items() for layer in report.layers]))
    small, large = reports[1.0].layers, reports[10.0].layers
    claim(all(0.8 < layer.saturated < 0.85 for layer in large if layer.saturated is not None),
          f"gain 10: {saturated(reports[10.0]):.0%} saturated")
    claim(large[0].gradient > 50 * large[-1].gradient and small[0].gradient < small[-1].gradient,
          f"yet its gradient grows {large[0].gradient / large[-1].gradient:.0f}-fold on the way "
          "back: W multiplies that, too")
    claim(small[-1].participation > 0.6 and large[-1].participation < 0.12,
          "what collapses is who carries it: 90 % of it sits in "
          f"{small[-1].participation:.0%} of the entries at gain 1, in "
          f"{large[-1].participation:.0%} at gain 10")
    return reports


# ── dead ReLUs ────────────────────────────────────────────────────────────────────────────────────


def train(model: tg.nn.MLP, x: np.ndarray, inside: np.ndarray, steps: int) -> list[float]:
    optimizer, losses = tg.optim.Adam(model.parameters(), lr=0.05), list[float]()
    for _ in range(steps):
        loss = tg.nn.cross_entropy(model(x), inside)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def dead() -> dict[str, list[float]]:
    print("\n4. Dead ReLUs: 32 neurons with biases of −10, as a step too large leaves them\n")
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(400, 2))
    inside = (np.square(x).sum(axis=1) < 1.2).astype(int)

    def count(model: tg.nn.MLP) -> int:
        """Count the neurons that are 0 for all examples, as ReLUs."""
        relus = lambda x: model.layers[1](tg.relu(model.layers[0](x)))
        return tg.diagnose(relus, x, inside, tg.nn.cross_entropy).layers[0].dead or 0

    losses, rows, counts = dict[str, list[float]](), [], dict[str, int]()
    for activation in ("relu", "leaky_relu"):
        model = tg.nn.MLP([2, 32, 2], activation, rng=SEED)
        with model.layers[0].bias.edit() as bias:
            bias[:] = -10
        before = count(model)
        losses[activation] = train(model, x, inside, 400)
        counts[activation] = count(model)
        rows.append([activation, str(before), str(counts[activation]),
                     f"{losses[activation][0]:.3f}", f"{losses[activation][-1]:.3f}"])
    print(aligned(["trained as", "dead before", "after 400 steps", "loss before", "after"], rows))
    share = inside.mean()
    guess = -share * np.log(share) - (1 - share) * np.log(1 - share)
    claim(counts["relu"] == 32 and abs(losses["relu"][-1] - guess) < 0.01,
          f"a dead ReLU stays dead: the loss is that of always guessing, {guess:.3f}")
    claim(counts["leaky_relu"] <= 16 and losses["leaky_relu"][-1] < 0.2,
          f"a slope of 0.01 on the left is a way back: {32 - counts['leaky_relu']} of 32 are alive "
          "again, as ReLUs")
    return losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=Path(),
                        help="where the picture is written (default: here)")
    options = parser.parse_args()
    found = wrong_side(), vanishing(), gain_trap(), dead()
    draw(*found, options.to / "problem1_saturation.png")


def draw(runs: dict[tuple[str, float], list[float]], sigmoids: Report, tanhs: dict[float, Report],
         losses: dict[str, list[float]], path: Path) -> None:
    """Draw the four experiments, side by side."""
    try:
        figure = new_figure(10, 7.6)
    except ImportError:
        print('No picture: it needs matplotlib. pip install "tinygrad-w2v[draw]"')
        return
    axes = figure.subplots(2, 2)
    neuron, back, carriers, relus = axes.flat

    styles = zip(LOSSES, (ORANGE, BLUE), ("--", "-"), strict=True)
    for name, colour, line in styles:
        for start, marker in zip(STARTS, "os^", strict=True):
            outputs = runs[name, start]
            neuron.plot(outputs, line, color=colour, marker=marker,
                        markevery=[0, len(outputs) - 1], label=f"{name}, from z = {start:g}")
    neuron.axhline(REACHED, color="grey", linewidth=0.8)
    neuron.set(xscale="symlog", xlabel="steps made", ylabel="output σ(z), target 0",
               xlim=(-0.4, 6000), ylim=(0, 1.62), title="1. One neuron on the wrong side")
    neuron.set_yticks([0, 0.25, 0.5, 0.75, 1])
    neuron.legend(fontsize=8, loc="upper center", ncols=2)

    numbers = range(1, LAYERS + 1)
    series = [("sigmoid, gain 1", sigmoids, BLUE, "o-"), ("tanh, gain 1", tanhs[1.0], GREEN, "s-."),
              ("tanh, gain 10", tanhs[10.0], ORANGE, "^--")]
    for label, report, colour, line in series:
        back.plot(numbers, [layer.gradient for layer in report.layers], line, color=colour,
                  label=f"{label}: {saturated(report):.0%} saturated")
        carriers.plot(numbers, [100 * layer.participation for layer in report.layers], line,
                      color=colour, label=label)
    back.set(yscale="log", xlabel="layer", ylabel="rms of ∂L/∂z", ylim=(5e-5, 3e3),
             title="2. Vanishing without saturation, and the trap")
    back.legend(fontsize=8, loc="upper right")
    carriers.set(xlabel="layer", ylabel="entries that hold 90 % of it, %", ylim=(0, 100),
                 title="3. Who carries the gradient ∂L/∂z")
    carriers.legend(fontsize=8, loc="upper right")

    for (name, values), colour, line in zip(losses.items(), (ORANGE, BLUE), ("--", "-"),
                                            strict=True):
        relus.plot(values, line, color=colour, label=f"trained as {name}")
    relus.set(xlabel="step of Adam", ylabel="cross-entropy", ylim=(0, 0.85),
              title="4. 32 dead ReLUs")
    relus.legend(fontsize=8, loc="lower left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"\nThe four experiments are drawn in {path}")


if __name__ == "__main__":
    main()
