"""Run a model once, look on, and measure every layer that is found in the graph."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from .. import rules
from ..functional import node_of
from ..graph import GraphError, Leaf, Node, lineage, recording, walk
from ..optim import Optimizer
from ..rules import Rule
from ..sparse import Array
from ..tensor import Tensor
from ..watch import Watcher, watching
from .layers import PRODUCTS, Layer, find, rule_of
from .measures import (
    UNKNOWN,
    agreement,
    agreement_of_examples,
    condition,
    expected_agreement,
    expected_condition,
    mean_and_std,
    participation,
    rms,
)
from .report import LayerReport, Report, in_short

EDGE = 0.97  # |tanh| beyond it is saturated, and a sigmoid as near to its ends
SATURATED = 1 - EDGE**2  # the slope there, over the largest
LARGEST_SLOPE = {rule_of(op): slope for op, slope in (
    (rules.tanh, 1.0), (rules.sigmoid, 0.25),
    (rules.relu, 1.0), (rules.leaky_relu, 1.0), (rules.softplus, 1.0))}
FLAT_ON_BOTH_SIDES = {rule_of(rules.tanh), rule_of(rules.sigmoid)}
WIDEST = 2048  # inputs of a layer for which a condition number is computed: it takes n³ steps


class _Look(Watcher):
    """Keeps what `diagnose` needs of a run: the nodes the model made, cotangents, gradients."""

    def __init__(self) -> None:
        self.in_model, self.inside = True, set[Node]()
        self.constants = 0  # products that left no node behind
        self.parameters = dict[Node, Tensor]()
        self.cotangents = dict[Node, Any]()           # of what is expected
        self.gradients = dict[tuple[Node, int], Any]()  # by an operand of a node

    def expect(self, layers: list[Layer]) -> None:
        """Ask for the cotangents of activations and of what goes into them, and for gradients."""
        for layer in layers:
            self.cotangents.update({layer.z: None, layer.a: None})
            self.gradients[layer.product, layer.place] = None

    def computed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], out: Any
                 ) -> None:
        """Note the node, and the leaves that went in."""
        self.parameters.update({x._node: x for x in operands if isinstance(node_of(x), Leaf)})
        node = node_of(out)
        if node and self.in_model:
            self.inside.add(node)
        elif rule in PRODUCTS and self.in_model:
            self.constants += 1

    def pulled(self, node: Node, i: int, g: Any, share: Any) -> None:
        """Keep the cotangent of a node, and the share of an operand, if they are expected."""
        if node in self.cotangents:
            self.cotangents[node] = g
        if (node, i) in self.gradients:
            self.gradients[node, i] = share


def diagnose(model: Callable[[Any], Any], X: Any, y: Any,  # noqa: N803 - its name in every book
             loss: Callable[[Any, Any], Any], *, lr: float | None = None,
             optimizer: Optimizer | None = None) -> Report:
    """Measure problems 1 and 2 in every layer of a model, on the examples X, y.

    The model is any function of X made of Tensors; ``loss(model(X), y)`` must be one number. It is
    called once, with all of X, and its gradient is taken once. The graph holds all that the model
    computes, as for `backward`: of a large data set, give some thousand examples. Parameters keep
    their values and their `.grad`. (What the model itself changes when it is called, as a running
    mean, changes.)

    A layer is a product of X, or of something computed, with a parameter (``x @ w``, ``x @ w.T``,
    ``w @ x``, ``einsum``, …), a bias if one is added, and the elementwise operations that follow in
    the model; what the loss does, a sigmoid in it, too, is the loss's. `Report.unseen` lists what
    else there is. Nothing is known of what the model does outside Tensors.

    Parameters
    ----------
    X, y
        The examples, one for each entry of the first axis.
    lr, optimizer
        How a step is made, to tell how far it would move the weights: the learning rate of plain
        gradient descent, or an optimiser with what it remembers. Neither: not known.

    Returns
    -------
    Report
        Prints as tables; `LayerReport` says what is measured.

    TypeError: a model or a loss that cannot be called, or gives no Tensor. ValueError: X and y of
    different lengths, or with NaN or infinity; a loss that is not one number. GraphError: no
    parameter reaches the loss. FloatingPointError: the loss or a gradient is not finite.

    >>> import tinygrad_w2v as tg
    >>> w = Tensor([[1.0, -1.0], [0.5, 2.0]], requires_grad=True)
    >>> report = diagnose(lambda x: tg.relu(x @ w), [[1.0, 2.0], [3.0, 1.0]], np.zeros((2, 2)),
    ...                   tg.nn.mse, lr=0.01)
    >>> layer, = report.layers
    >>> layer.inactive, layer.dead, layer.agreement_example
    (0.25, 0, 1.0)
    """
    _check_functions(model, loss)
    _check_step(lr, optimizer)
    examples, targets = _check_data(X, y)
    look = _Look()
    with recording(True), watching(look):
        out = model(examples)
        look.in_model = False
        value = _check_loss(loss(out, targets), out)
        root, data = node_of(value), {node_of(examples), node_of(targets)} - {None}
        if root is None or not any(isinstance(n, Leaf) and n not in data for n in lineage(root)):
            raise GraphError("diagnose(): no parameter reaches the loss: nothing it was computed "
                             "from was made with requires_grad=True (or detach(), .numpy() or "
                             "no_grad() came in between)")
        found = find(root, look.inside, data)
        look.expect(found.layers)
        gradients = walk(root, np.ones(value.shape, value.dtype))
    steps = _steps([(look.parameters[w], gradients[w]) for w in {x.weight for x in found.layers}],
                   lr, optimizer)
    rows = [_measure(k, layer, look, len(examples), steps.get(layer.weight, UNKNOWN))
            for k, layer in enumerate(found.layers, 1)]
    for row, after in pairwise(rows):
        row.ratio = row.gradient / after.gradient if after.gradient else UNKNOWN
    unseen = [*found.unseen, *_unreached(look, model, data | gradients.keys()),
              *_shared(found.layers), *_unknown(rows)]
    return Report(len(examples), value.item(), rows, unseen)


# ── what cannot be diagnosed ──────────────────────────────────────────────────────────────────────


def _check_functions(model: Any, loss: Any) -> None:
    for name, f, called in (("model", model, "model(X)"), ("loss", loss, "loss(model(X), y)")):
        if name == "model" and isinstance(f, type):
            raise TypeError(f"diagnose(model, X, y, loss): model is the class {f.__name__}: make "
                            f"one, as {f.__name__}(…)")
        if not callable(f):
            raise TypeError(f"diagnose(model, X, y, loss): {name} is called, as {called}, but this "
                            f"is {type(f).__name__}")


def _check_step(lr: Any, optimizer: Any) -> None:
    if lr is not None and optimizer is not None:
        raise ValueError("diagnose() takes lr= or optimizer=, which has its own lr, not both")
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError("diagnose(): optimizer= is an Optimizer, as tg.optim.SGD(params, lr), not "
                        f"{type(optimizer).__name__}")
    if lr is not None and not isinstance(lr, int | float | np.number):
        raise TypeError(f"diagnose(): lr= is a number, not {type(lr).__name__}; optimizer= takes "
                        "an Optimizer")
    if lr is not None and not 0 < lr < math.inf:
        raise ValueError(f"diagnose(): lr={lr}, but a learning rate is > 0, and finite")


def _check_data(x: Any, y: Any) -> tuple[Any, Any]:
    """Give the examples and targets as arrays or Tensors; `y` may be None, for the loss."""
    x, y = (v if hasattr(v, "shape") or v is None else np.asarray(v) for v in (x, y))
    if x is None or not x.shape or not len(x):
        what = "None" if x is None else f"of shape {x.shape}"
        raise ValueError(f"diagnose(): X is {what}; it has an entry of its first axis for each "
                         "example, one at least")
    if y is not None and y.shape and len(y) != len(x):
        raise ValueError(f"diagnose(): X has {len(x)} examples, of shape {x.shape}, but y has "
                         f"{len(y)}, of shape {y.shape}: they must be as many")
    for name, v in (("X", x), ("y", y)):
        array = v.data if isinstance(v, Tensor) else np.asarray(v)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
            raise ValueError(f"diagnose(): {name} is {array[place]} at {place}: drop or fill such "
                             "examples")
    return x, y


def _check_loss(value: Any, out: Any) -> Tensor:
    """Give the loss, if it is a Tensor of one finite number."""
    if not isinstance(value, Tensor):
        raise TypeError(f"diagnose(): loss(model(X), y) gave {type(value).__name__}, not a Tensor "
                        f"(model(X) gave {type(out).__name__}): compute both with Tensors")
    if value.size != 1:
        raise ValueError(f"diagnose(): the loss has shape {value.shape}, but must be one number: "
                         "take the .mean() over the examples")
    if not math.isfinite(value.item()):
        raise FloatingPointError(f"diagnose(): the loss is {value.item()}; `with tg.debug():` "
                                 "around the call names the operation")
    return value


# ── measuring a layer ─────────────────────────────────────────────────────────────────────────────


def _measure(number: int, layer: Layer, look: _Look, examples: int, step: float) -> LayerReport:
    x, weight_gradient = layer.inputs, layer.weights(look.gradients[layer.product, layer.place])
    arriving, g = (layer.outputs(look.cotangents[node]) for node in (layer.a, layer.z))
    slopes = layer.outputs(_slopes(layer))
    if not np.isfinite(g).all() or not np.isfinite(weight_gradient).all():
        raise FloatingPointError(f"diagnose(): the gradient in layer {number} is not finite; `with "
                                 "tg.debug():` around the call names the operation")
    rows, n = x.reshape(-1, x.shape[-1]), x.shape[-1]
    mean, std = mean_and_std(x)
    by_example = x.ndim > 1 and len(x) == len(g) == examples
    return LayerReport(
        number, n, g.shape[-1], " ∘ ".join(op.name for op in reversed(layer.ops)) or "identity",
        *_flatness(layer.ops, slopes), gain=rms(slopes), arriving=rms(arriving), gradient=rms(g),
        participation=participation(g), weight_gradient=rms(weight_gradient), step=step,
        mean=mean, std=std, condition=condition(rows) if n <= WIDEST else UNKNOWN,
        condition_expected=expected_condition(mean, std, n),
        agreement_example=agreement_of_examples(x, g) if by_example else UNKNOWN,
        agreement_batch=agreement(weight_gradient),
        agreement_expected=expected_agreement(mean, std, n))


def _slopes(layer: Layer) -> Array:
    """Give g′(z), element by element: what a cotangent of ones becomes between a and z."""
    ones = np.ones(layer.a.shape, layer.a.dtype)
    return np.asarray(walk(layer.a, ones, [layer.z])[layer.z])


def _flatness(ops: tuple[Rule, ...], slopes: Array
              ) -> tuple[float | None, float | None, int | None]:
    """Give the shares of saturated and of inactive entries, and the number of dead neurons."""
    if not ops:
        return None, None, None
    dead = int((slopes.reshape(-1, slopes.shape[-1]) == 0).all(axis=0).sum())
    if len(ops) > 1 or ops[0] not in LARGEST_SLOPE:  # how large its slope can get is not known
        return UNKNOWN, float(np.mean(slopes == 0)), dead
    flat = float(np.mean(np.abs(slopes) < SATURATED * LARGEST_SLOPE[ops[0]]))
    return (flat, None, None) if ops[0] in FLAT_ON_BOTH_SIDES else (None, flat, dead)


def _steps(weights: list[tuple[Tensor, Any]], lr: float | None, optimizer: Optimizer | None
           ) -> dict[Node | None, float]:
    """Give log10 of the rms of the step that each weight would make, over its own rms."""
    found = dict[Node | None, float]()
    for weight, gradient in weights:
        g = np.asarray(gradient)
        moved = lr * g if lr is not None else optimizer and _would_move(optimizer, weight, g)
        if moved is not None:
            step, size = rms(moved), rms(weight.data)
            found[weight._node] = (
                -math.inf if not step else math.log10(step / size) if size else math.inf)
    return found


def _would_move(optimizer: Optimizer, weight: Tensor, g: Array) -> Array | None:
    """Try an update on copies of all that it changes; None if it is not the optimiser's."""
    for p, memory in zip(optimizer.params, optimizer.state, strict=True):
        if p._node is weight._node:
            after = weight.numpy()
            copy.copy(optimizer).update(after, g, **{k: m.copy() for k, m in memory.items()})
            return after - weight.data
    return None


# ── what the tables do not show ───────────────────────────────────────────────────────────────────


def _unreached(look: _Look, model: Any, reached: set[Any]) -> Iterator[str]:
    if look.constants:
        yield f"{look.constants} product(s) of constants, as of frozen layers: no gradient."
    known = getattr(model, "parameters", ())
    listed = [*(known() if callable(known) else known), *look.parameters.values()]
    missing = {node: p for p in listed if isinstance(node := node_of(p), Leaf)}
    shapes = [str(p.shape) for node, p in missing.items() if node not in reached]
    if shapes:
        yield f"{len(shapes)} parameter(s) do not reach the loss: of shape {', '.join(shapes)}."


def _shared(layers: list[Layer]) -> Iterator[str]:
    uses = dict[Node, list[str]]()
    for number, layer in enumerate(layers, 1):
        uses.setdefault(layer.weight, []).append(str(number))
    for numbers in uses.values():
        if len(numbers) > 1:
            yield (f"Layers {', '.join(numbers)} share a weight: each row shows its own part of "
                   "the gradient, the step is that of the whole.")


def _unknown(rows: list[LayerReport]) -> Iterator[str]:
    for row in rows:
        if math.isnan(row.agreement_example):
            yield (f"Layer {row.number}: agreement of single examples. Its rows are not the "
                   "examples, or no weight gets a gradient.")
        if row.inputs > WIDEST:
            yield f"Layer {row.number}: the condition number of more than {WIDEST} inputs."
        if row.saturated is not None and math.isnan(row.saturated):
            yield (f"Layer {row.number}: which share is saturated, for how steep "
                   f"{in_short(row.activation)} can get is not known. Inactive are slopes of "
                   "exactly 0.")
    numbers = [str(row.number) for row in rows if math.isnan(row.step)]
    if numbers:
        yield (f"Layer {', '.join(numbers)}: how far a step moves the weight. Give lr=, or an "
               "optimizer= that has it.")
