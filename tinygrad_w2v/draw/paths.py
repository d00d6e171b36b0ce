"""Paths of optimisers: where two parameters go, step by step, over the contours of a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..diagnose import Path
from ..functional import no_grad
from ..optim import SGD, Optimizer
from ..sparse import Array
from ..tensor import Tensor
from .figures import ORANGE, PURPLE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Loss = Callable[[Any, Any], Any]


class Descent(Path):
    """A `Path` of two parameters that knows the loss `f` of both that it goes down."""

    def __init__(self, f: Loss, params: Sequence[Tensor]):
        super().__init__(params)
        self.f = f


def descend(f: Loss, start: Sequence[float], optimizer: Callable[[list[Tensor]], Optimizer] | None
            = None, steps: int = 50) -> Descent:
    """Follow an optimiser for some steps down f(x, y), of two Tensors of shape ().

    `optimizer` makes one of the two parameters, such as ``lambda params: Adam(params, lr=0.1)``; by
    default it is SGD with a rate of 0.1. FloatingPointError if a gradient is not finite.

    >>> path = descend(lambda x, y: x * x + 10 * y * y, (1.0, 1.0), lambda p: SGD(p, lr=0.05), 2)
    >>> path.points, np.round(path.losses, 3)
    (array([[1.  , 1.  ],
            [0.9 , 0.  ],
            [0.81, 0.  ]]), array([11.   ,  0.81 ,  0.656]))
    """
    params = [Tensor(float(value), requires_grad=True) for value in start]
    if len(params) != 2:
        raise ValueError(f"a path in the plane starts at two numbers, not at {len(params)}")
    moving = SGD(params, lr=0.1) if optimizer is None else optimizer(params)
    path = Descent(f, params)
    path.record(loss := f(*params))
    for _ in range(steps):
        moving.zero_grad()
        loss.backward()
        moving.step()
        path.record(loss := f(*params))
    return path


def surface(f: Loss, x: Array, y: Array) -> Array:
    """Compute f(x, y) on a grid, point by point: (len(y), len(x)).

    >>> surface(lambda x, y: x - y, np.array([0.0, 1.0]), np.array([0.0, 2.0, 4.0]))
    array([[ 0.,  1.],
           [-2., -1.],
           [-4., -3.]])
    """
    with no_grad():
        return np.array([[float(Tensor(f(a, b)).item()) for a in x.tolist()] for b in y.tolist()])


def frame(paths: Sequence[Descent], margin: float = 0.2) -> tuple[Array, float]:
    """The middle (2,) and half the side of a square that holds all paths, with a margin around."""
    points = np.concatenate([path.points for path in paths])
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, (0.5 + margin) * float((high - low).max()) or 1.0


def paths_figure(paths: Mapping[str, Descent], size: float = 4.5, names: Sequence[str] = ("x", "y"),
                 grid: int = 60, levels: int = 12) -> Figure:
    """Draw paths side by side, each under its name, over the contours of its loss.

    All panels show the same square, at the same scale along both axes, so that lengths and turns
    can be compared. Between two contours lies an equal share of a panel. The start is a circle, the
    end a square; the title says how far the loss fell.
    """
    if not paths:
        raise ValueError("paths_figure() needs a path, as {'SGD': descend(…)}")
    middle, half = frame([*paths.values()])
    x, y = (np.linspace(m - half, m + half, grid) for m in middle.tolist())
    figure = new_figure(size * len(paths), size + 0.7, "compressed")
    panels = figure.subplots(1, len(paths), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, path) in zip(panels, paths.items(), strict=True):
        _draw(axes, path, x, y, levels)
        steps = len(path.points) - 1
        axes.set_title(f"{title}\n{steps:,} steps, from {path.losses[0]:.3g} to "
                       f"{path.losses[-1]:.3g}", fontsize=10, parse_math=False)
        axes.set(aspect="equal", xlim=x[[0, -1]], ylim=y[[0, -1]], xlabel=names[0])
    panels[0].set_ylabel(names[1])
    panels[-1].legend(loc="upper right", fontsize=8)
    return figure


def _draw(axes: Axes, path: Descent, x: Array, y: Array, levels: int) -> None:
    import matplotlib  # noqa: PLC0415

    z = surface(path.f, x, y)
    heights = np.unique(np.quantile(z[np.isfinite(z)], np.linspace(0, 1, levels + 2)[1:-1]))
    if len(heights) > 1:
        shades = matplotlib.colormaps["viridis"](np.linspace(0.3, 0.8, len(heights)))
        axes.contour(x, y, z, levels=heights, colors=shades.tolist(), linewidths=0.8)
    points = path.points
    axes.plot(points[:, 0], points[:, 1], color=PURPLE, linewidth=1.8, marker=".", markersize=5)
    look: dict[str, Any] = {"linestyle": "none", "markersize": 9, "markeredgewidth": 2,
                            "zorder": 3, "markerfacecolor": "none", "color": ORANGE}
    axes.plot(*points[0], marker="o", label="start", **look)
    axes.plot(*points[-1], marker="s", label="end", **look)
