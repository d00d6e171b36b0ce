"""What pictures by matplotlib share: how a figure is begun, and labels that do not overlap.

matplotlib comes with the extra `draw`; what is computed needs NumPy alone. Colours are of middle
lightness, to be seen on white and on black; all else is as the reader's own style of matplotlib
says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..sparse import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# To the right of a point, to the left, above, below, and at the corners.
PLACES = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)])
BLUE, ORANGE, PURPLE, GREY = "#2f7fd6", "#d9681a", "#a45fc9", "#8a9099"


def new_figure(width: float, height: float, layout: Any = "constrained") -> Figure:
    """Begin a figure of that many inches; ImportError, which names the extra, without matplotlib.

    It belongs to no window and to no list of open figures: ``figure.savefig("x.png")`` writes it.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ImportError('pictures of this kind need matplotlib: pip install "tinygrad-w2v[draw]"'
                          ) from error
    return Figure(figsize=(width, height), layout=layout)


def place_labels(points: Array, sizes: Array, bounds: Sequence[float], gap: float = 4) -> Array:
    """Find places beside points (n, 2) for labels of given sizes (n, 2), so that no two overlap.

    The first comes first. A label stands to the right of its point, or else to the left, above,
    below, or at a corner, `gap` from it, and as far from other labels; if it can, where it hides no
    point. One that finds no such place within `bounds` (left, bottom, right, top) is dropped. Gives
    lower left corners (n, 2), NaN for those that were dropped.

    >>> sizes = np.array([[30.0, 10.0]] * 3)
    >>> place_labels(np.array([[0.0, 50.0], [1, 55], [99, 50]]), sizes, (0, 0, 100, 100))
    array([[ 4., 45.],
           [ 5., 59.],
           [65., 45.]])
    """
    corners = np.full(np.shape(points), np.nan)
    taken = np.empty((len(corners), 4))  # left, bottom, right, top of what has been placed
    placed, inner, outer = 0, np.array(bounds[:2]), np.array(bounds[2:])
    for i, (point, size) in enumerate(zip(points, sizes, strict=True)):
        low = point + PLACES * gap + (PLACES - 1) / 2 * size  # (8, 2)
        high, others = low + size, taken[:placed]
        hits = np.all((low[:, None] < others[:, 2:] + gap) & (high[:, None] > others[:, :2] - gap),
                      axis=2).any(axis=1)
        fits = np.all((low >= inner) & (high <= outer), axis=1) & ~hits
        if not fits.any():
            continue
        hides = np.all((low[:, None] < points) & (high[:, None] > points), axis=2).any(axis=1)
        best = int(np.argmax(fits & ~hides if np.any(fits & ~hides) else fits))
        corners[i], taken[placed], placed = low[best], [*low[best], *high[best]], placed + 1
    return corners


def label_points(axes: Axes, points: Array, texts: Sequence[str], size: float = 8,
                 **look: Any) -> list[int]:
    """Write texts beside points of `axes`, as far as they find a place; gives which did.

    To be called last: the figure is laid out here, and what changes its layout later moves points
    away from their labels.
    """
    figure = axes.figure.figure
    assert figure is not None
    figure.draw_without_rendering()  # now it is known where a point stands, in pixels
    labels = [axes.annotate(text, (x, y), (0, 0), textcoords="offset points", fontsize=size,
                            ha="left", va="bottom", annotation_clip=False, parse_math=False, **look)
              for text, (x, y) in zip(texts, points, strict=True)]
    extents = [label.get_window_extent() for label in labels]
    sizes = np.array([[extent.width, extent.height] for extent in extents]).reshape(-1, 2)
    pixels = axes.transData.transform(np.reshape(points, (-1, 2)))
    frame = axes.get_window_extent()
    inside = frame.x0 + 2, frame.y0 + 2, frame.x1 - 2, frame.y1 - 2
    corners = place_labels(pixels, sizes, inside, gap=4 * figure.dpi / 100)
    kept = []
    for i, (label, corner, pixel) in enumerate(zip(labels, corners, pixels, strict=True)):
        label.set_in_layout(False)
        if np.isnan(corner[0]):
            label.remove()
            continue
        label.set_position(tuple((corner - pixel) * 72 / figure.dpi))
        kept.append(i)
    return kept
