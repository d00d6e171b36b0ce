"""Tell the arms of three spirals apart: a multilayer perceptron on data that no line can divide.

    python examples/mlp_spirals.py
    python examples/mlp_spirals.py --plot spirals.png

It needs NumPy alone; the picture of what the model has learned needs matplotlib. At least 97 % of
fresh points are told rightly after a few seconds, or the program fails.
"""

from __future__ import annotations

import argparse

import numpy as np

import tinygrad_w2v as tg

STEPS, RATE, SEED = 600, 0.01, 0
COLOURS, MARKERS = ["#0072B2", "#E69F00", "#CC79A7"], ["o", "s", "^"]  # told apart by all eyes


def spirals(n: int, rng: np.random.Generator, noise: float = 0.025) -> tuple[np.ndarray, ...]:
    """Give n points on each of three arms, (3n, 2), of 1¼ turns each, and their arms (3n,)."""
    arms = np.repeat(np.arange(3), n)
    radius = np.sqrt(rng.uniform(0.02, 1, 3 * n))
    angle = 2 * np.pi * (1.25 * radius + arms / 3)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points + rng.normal(0, noise, points.shape), arms


def classify(model: tg.nn.MLP, points: np.ndarray) -> np.ndarray:
    """Give the arm that the model takes each point for."""
    with tg.no_grad():
        return np.argmax(model(points), axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the decision boundary to FILE, a PNG")
    options = parser.parse_args()

    rng = np.random.default_rng(SEED)
    points, arms = spirals(150, rng)
    fresh, fresh_arms = spirals(1000, rng)
    model = tg.nn.MLP([2, 32, 32, 3], activation="tanh", rng=rng)
    optimizer = tg.optim.Adam(model.parameters(), lr=RATE)
    print(f"{model}, {sum(p.size for p in model.parameters()):,} parameters; "
          f"{len(points)} points to learn from\n\n step     loss     train     fresh")

    for step in range(1, STEPS + 1):
        loss = tg.nn.cross_entropy(model(points), arms)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step == 1 or step % (STEPS // 5) == 0:
            print(f"{step:5}  {loss.item():7.4f}  {np.mean(classify(model, points) == arms):8.2%}  "
                  f"{np.mean(classify(model, fresh) == fresh_arms):8.2%}")

    final = float(np.mean(classify(model, fresh) == fresh_arms))
    print(f"\n{final:.2%} of {len(fresh):,} fresh points are told rightly.")
    if final < 0.97:
        raise SystemExit(f"this example claims 97 %, and reached {final:.2%}")
    if options.plot:
        draw(model, points, arms, final, options.plot)


def draw(model: tg.nn.MLP, points: np.ndarray, arms: np.ndarray, share: float, path: str) -> None:
    """Draw the points, and the regions the model divides the plane into."""
    try:
        import matplotlib  # noqa: PLC0415
    except ImportError:
        print('No picture: it needs matplotlib. pip install "tinygrad-w2v[draw]"')
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    side = np.linspace(-1.2, 1.2, 500)
    plane = np.stack(np.meshgrid(side, side), axis=-1)
    figure, axes = pyplot.subplots(figsize=(6.4, 6.4), layout="constrained")
    regions = classify(model, plane)
    axes.contourf(side, side, regions, levels=[-0.5, 0.5, 1.5, 2.5], colors=COLOURS, alpha=0.3)
    for arm, (colour, marker) in enumerate(zip(COLOURS, MARKERS, strict=True)):
        axes.contour(side, side, regions == arm, levels=[0.5], colors="white", linewidths=1.5)
        axes.scatter(*points[arms == arm].T, s=26, c=colour, marker=marker, edgecolors="white",
                     linewidths=0.6, label=f"arm {arm + 1}", zorder=3)
    axes.set(aspect="equal", xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), xlabel="$x_1$", ylabel="$x_2$")
    axes.set_title(f"Three spirals, divided by {model}\n{share:.2%} of fresh points told rightly",
                   fontsize=11)
    axes.legend(loc="upper right", framealpha=0.9)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    print(f"The decision boundary is drawn in {path}")


if __name__ == "__main__":
    main()
