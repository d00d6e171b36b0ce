"""Strips of layers: what goes forwards and what comes back, as a histogram for each layer (E8).

Values that crowd at the ends of tanh or the sigmoid are saturated: the slope there is nearly 0.
Gradients that move to the left from strip to strip, on an axis of powers of ten, vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..diagnose.diagnosis import EDGE
from ..diagnose.measures import rms
from ..functional import grad
from ..nn import MLP
from ..rules import relu, sigmoid, tanh
from ..sparse import Array
from ..tensor import Tensor
from .figures import BLUE, GREY, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Beyond these the slope of tanh, and of the sigmoid, is below 1 − 0.97² = 5.91 % of its greatest.
LIMITS = {tanh: (-EDGE, EDGE), sigmoid: ((1 - EDGE) / 2, (1 + EDGE) / 2)}
OTHER = (-np.inf, np.inf)


@dataclass(frozen=True)
class Strip:
    """The numbers of one layer: `counts` (k,) of them between `edges` (k + 1,), of `size` in all.

    `beyond` is the share outside of given limits, `zero` the share that is exactly 0, `rms` the
    root of the mean square. On an axis of powers of ten (`strips` with `log`), edges and counts are
    of log₁₀|x|, and zeros are in no count.
    """

    name: str
    edges: Array
    counts: Array
    size: int
    beyond: float
    zero: float
    rms: float


def strips(arrays: Mapping[str, Any], bins: int = 60, *, log: bool = False,
           limits: tuple[float, float] = OTHER) -> list[Strip]:
    """Make a histogram of each array, all over the same edges, so that they can be compared.

    With `log` it is one of log₁₀|x|. `limits`: what share lies outside, in `beyond`. ValueError for
    an array without numbers, and for numbers that are not finite.

    >>> first, second = strips({"1": [-1.0, 0.0, 0.5], "2": [0.99, 1.0]}, 2, limits=(-0.97, 0.97))
    >>> first.edges, first.counts, second.counts, round(first.beyond, 3), second.beyond
    (array([-1.,  0.,  1.]), array([1, 2]), array([0, 2]), 0.333, 1.0)
    """
    flat = {name: np.ravel(x.data if isinstance(x, Tensor) else np.asarray(x, float))
            for name, x in arrays.items()}
    for name, x in flat.items():
        if not x.size:
            raise ValueError(f"{name!r} has no numbers, of which to draw a strip")
        if not np.isfinite(x).all():
            raise ValueError(f"{name!r} holds NaN or infinity: tg.debug() says where they come "
                             "from")
    scaled = {name: np.log10(np.abs(x[x != 0])) if log else x for name, x in flat.items()}
    every = np.concatenate([*scaled.values()] or [np.empty(0)])
    low, high = (every.min(), every.max()) if every.size else (0, 1)
    edges = np.histogram_bin_edges([], bins, (low, high))  # wider, if low is high
    return [Strip(name, edges, np.histogram(scaled[name], edges)[0], x.size,
                  float(np.mean((x < limits[0]) | (x > limits[1]))), float(np.mean(x == 0)),
                  rms(x)) for name, x in flat.items()]


def strips_figure(found: Sequence[Strip], limits: tuple[float, float] = OTHER,
                  label: str = "value", width: float = 5) -> Figure:
    """Draw any strips below each other, over one axis; what is beyond `limits` is orange.

    >>> figure = strips_figure(strips({"weights": [0.1, -0.2], "gradients": [0.0, 0.5]}))
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['weights', 'gradients']
    """
    figure = new_figure(width, 0.7 + 0.95 * len(found))
    column = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    for axes, strip in zip(column, found, strict=True):
        beyond = "" if limits == OTHER else f", {_percent(strip.beyond)} beyond the lines"
        _draw(axes, strip, f"rms {strip.rms:.3g}{beyond}", limits)
        _name(axes, strip)
        axes.tick_params(labelbottom=axes is column[-1])
    column[-1].set_xlabel(label, fontsize=9)
    return figure


@dataclass(frozen=True)
class Layers:
    """What went through the layers of a model: arrays by the names of layers, first to last.

    `values` are the outputs g(z), of the last layer z itself; `gradients` are ∂L/∂z. `limits` are
    those of the activation, beyond which it is saturated; `rectifier`, whether it is a ReLU, whose
    zeros are inactive, which is not the same.
    """

    values: dict[str, Array]
    gradients: dict[str, Array]
    limits: tuple[float, float] = OTHER
    rectifier: bool = False

    def forward_strips(self, bins: int = 60) -> list[Strip]:
        """The values, a strip for each layer; the last one, of values without g, on its own."""
        *hidden, last = self.values
        return [*strips({name: self.values[name] for name in hidden}, bins, limits=self.limits),
                *strips({last: self.values[last]}, bins)]

    def backward_strips(self, bins: int = 60) -> list[Strip]:
        """The gradients, in powers of ten, a strip for each layer."""
        return strips(self.gradients, bins, log=True)

    def figure(self, title: str = "", width: float = 9) -> Figure:
        """Draw the strips: forwards to the left, backwards to the right, a row for each layer.

        Saturated values are orange.
        """
        forwards, backwards = self.forward_strips(), self.backward_strips()
        rows = len(forwards)
        figure = new_figure(width, 1.2 + 0.95 * rows)
        grid = figure.subplots(rows, 2, squeeze=False)
        for k, (strip, axes) in enumerate(zip(forwards, grid[:, 0], strict=True)):
            _draw(axes, strip, self._remark(strip, k == rows - 1),
                  OTHER if k == rows - 1 else self.limits)
            _name(axes, strip)
            axes.tick_params(labelbottom=k >= rows - 2)
        for k, (strip, axes) in enumerate(zip(backwards, grid[:, 1], strict=True)):
            zero = f", {_percent(strip.zero)} are 0" if strip.zero else ""
            _draw(axes, strip, f"rms {strip.rms:.1e}{zero}", OTHER)
            axes.tick_params(labelbottom=k == rows - 1)
        grid[0, 0].set_title("forwards: g(z)", fontsize=10, loc="left")
        grid[0, 1].set_title("backwards: ∂L/∂z", fontsize=10, loc="left")
        grid[-1, 0].set_xlabel("value", fontsize=9)
        grid[-1, 1].set_xlabel("$\\log_{10}$ of |gradient|", fontsize=9)
        if title:
            figure.suptitle(title, parse_math=False)
        return figure

    def _remark(self, strip: Strip, last: bool) -> str:
        if last:
            return "z, without g"
        if self.rectifier:
            return f"{_percent(strip.zero)} inactive"
        return "" if self.limits == OTHER else f"{_percent(strip.beyond)} saturated"


def layers_of(model: MLP, x: Any, loss: Callable[[Tensor], Any]) -> Layers:
    """Run `x` forwards through a perceptron and `loss`, a function of its outputs, and back.

    Nothing of the model changes: its parameters' `.grad` neither.

    >>> from tinygrad_w2v.nn import mse
    >>> found = layers_of(MLP([2, 3, 1]), np.ones((5, 2)), lambda y: mse(y, np.zeros((5, 1))))
    >>> {name: array.shape for name, array in found.gradients.items()}
    {'layer 1': (5, 3), 'layer 2': (5, 1)}
    """
    if not isinstance(model, MLP):
        raise TypeError(f"layers_of() takes an nn.MLP, not {type(model).__name__}; tg.diagnose "
                        "measures any model of Tensors")
    names = [f"layer {k}" for k in range(1, len(model.layers) + 1)]
    values: dict[str, Array] = {}

    def forwards(*nudges: Any) -> Any:
        h = x
        for name, layer, nudge in zip(names, model.layers, nudges, strict=True):
            z = layer(h) + nudge  # 0, and so ∂L/∂z is the gradient by it
            h = z if layer is model.layers[-1] else model.activation(z)
            values[name] = np.array(h.data)
        return loss(h)

    nudges = [np.zeros((*np.shape(x)[:-1], layer.weight.shape[1]), layer.weight.dtype)
              for layer in model.layers]
    found: Sequence[Any] = grad(forwards, tuple(range(len(nudges))))(*nudges)
    gradients = {name: g.numpy() for name, g in zip(names, found, strict=True)}
    return Layers(values, gradients, LIMITS.get(model.activation, OTHER),
                  model.activation is relu)


def _draw(axes: Axes, strip: Strip, remark: str, limits: tuple[float, float]) -> None:
    """Draw a strip, its highest bar as high as that of any other."""
    middles = (strip.edges[1:] + strip.edges[:-1]) / 2
    beyond = (middles < limits[0]) | (middles > limits[1])
    axes.bar(strip.edges[:-1], strip.counts / max(1, strip.counts.max()), np.diff(strip.edges),
             align="edge", color=np.where(beyond, ORANGE, BLUE).tolist())
    for limit in limits:
        if np.isfinite(limit):
            axes.axvline(limit, color=GREY, linewidth=1, linestyle="--")
    axes.set(yticks=[], ylim=(0, 1.1), xlim=(strip.edges[0], strip.edges[-1]))
    axes.margins(x=0.02)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.set_title(remark, loc="right", fontsize=8, pad=2)


def _name(axes: Axes, strip: Strip) -> None:
    axes.set_ylabel(strip.name, rotation=0, ha="right", va="center", fontsize=9, parse_math=False)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
