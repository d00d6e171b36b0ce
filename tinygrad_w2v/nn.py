"""Layers, a multilayer perceptron and losses, all of them short programs of Tensors.

Nothing here has a derivative of its own: the table in `rules.py` has them all. A *model* is
anything that can be called on a Tensor, and its *parameters* are a list of the leaves in it, for an
optimiser to move. There is no base class to inherit from:

>>> class Residual:
...     def __init__(self, width, rng):
...         self.inner, self.outer = Linear(width, 8, rng=rng), Linear(8, width, rng=rng)
...     def __call__(self, x):
...         return x + self.outer(relu(self.inner(x)))
...     def parameters(self):
...         return self.inner.parameters() + self.outer.parameters()
>>> model = Residual(3, np.random.default_rng(0))
>>> model(np.ones((5, 3))).shape
(5, 3)

Wherever an `rng` is taken, it is a `numpy.random.Generator`, which moves on as it is drawn from, or
what `numpy.random.default_rng` makes one of. The default is the seed 0: the same numbers every
time, and the same in two layers of one shape. Give one Generator to all layers of a model, as `MLP`
does, and they differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .rules import (
    Function,
    leaky_relu,
    log_softmax,
    mean,
    negative,
    positive,
    relu,
    sigmoid,
    softplus,
    tanh,
)
from .sparse import Array
from .stable import shape_of
from .tensor import Tensor

ACTIVATIONS: dict[str, Function] = {
    "identity": positive, "leaky_relu": leaky_relu, "relu": relu, "sigmoid": sigmoid,
    "softplus": softplus, "tanh": tanh}

# ── initialisers: how large the first weights are, so that signals neither die nor blow up ────────


def lecun_normal(n_in: int, n_out: int, rng: Any = 0) -> Array:
    """Weights (n_in, n_out) from N(0, 1/n_in): Σ wᵢxᵢ varies as much as an x does (LeCun 1998).

    LeCun, Bottou, Orr, Müller, "Efficient BackProp". Made for inputs of mean 0 and variance 1.

    >>> w = lecun_normal(400, 300)
    >>> w.shape, round(float(w.std() * 400**0.5), 2)
    ((400, 300), 1.0)
    """
    return np.random.default_rng(rng).normal(0, math.sqrt(1 / n_in), (n_in, n_out))


def glorot_normal(n_in: int, n_out: int, rng: Any = 0) -> Array:
    """Weights (n_in, n_out) from N(0, 2/(n_in + n_out)), also named after Xavier (Glorot 2010).

    Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks": a
    balance between values that keep their size forwards (1/n_in) and gradients that keep theirs
    backwards (1/n_out), where the activation has slope 1 at 0, as tanh.

    >>> w = glorot_normal(400, 300)
    >>> w.shape, round(float(w.std() * (700 / 2) ** 0.5), 2)
    ((400, 300), 1.0)
    """
    return np.random.default_rng(rng).normal(0, math.sqrt(2 / (n_in + n_out)), (n_in, n_out))


def glorot_uniform(n_in: int, n_out: int, rng: Any = 0) -> Array:
    """Weights (n_in, n_out), uniform within ±√(6/(n_in + n_out)): `glorot_normal`'s variance.

    >>> w = glorot_uniform(4, 2)
    >>> bool(np.abs(w).max() <= 1)
    True
    """
    bound = math.sqrt(6 / (n_in + n_out))
    return np.random.default_rng(rng).uniform(-bound, bound, (n_in, n_out))


def he_normal(n_in: int, n_out: int, rng: Any = 0) -> Array:
    """Weights (n_in, n_out) from N(0, 2/n_in), for inputs that a ReLU has halved (He 2015).

    He, Zhang, Ren, Sun, "Delving deep into rectifiers": half of a ReLU's outputs are 0, and the
    factor 2 makes up for them.

    >>> w = he_normal(400, 300)
    >>> w.shape, round(float(w.std() * (400 / 2) ** 0.5), 2)
    ((400, 300), 1.0)
    """
    return np.random.default_rng(rng).normal(0, math.sqrt(2 / n_in), (n_in, n_out))


def he_uniform(n_in: int, n_out: int, rng: Any = 0) -> Array:
    """Weights (n_in, n_out), uniform within ±√(6/n_in): `he_normal`'s variance.

    >>> w = he_uniform(6, 2)
    >>> bool(np.abs(w).max() <= 1)
    True
    """
    bound = math.sqrt(6 / n_in)
    return np.random.default_rng(rng).uniform(-bound, bound, (n_in, n_out))


# ── layers ────────────────────────────────────────────────────────────────────────────────────────


class Linear:
    """The inside of a layer of neurons, z = xW + b; an activation g(z) makes it one (E9).

    Column j of `weight` (n_in, n_out) and entry j of `bias` (n_out,; None without one) are the w
    and the b of neuron j. `x` has shape (…, n_in), the result (…, n_out) (ValueError otherwise).
    `init` makes the first weights, as ``init(n_in, n_out, rng)``; biases start at 0.

    >>> layer = Linear(3, 2)
    >>> layer
    Linear(3, 2)
    >>> layer(np.ones((5, 3))).shape, [p.shape for p in layer.parameters()]
    ((5, 2), [(3, 2), (2,)])
    """

    def __init__(self, n_in: int, n_out: int, *, bias: bool = True, rng: Any = 0,
                 dtype: Any = float, init: Function = glorot_uniform):
        if n_in < 1 or n_out < 1:
            raise ValueError(f"Linear({n_in}, {n_out}): a layer needs 1 input and 1 output or more")
        weight = init(n_in, n_out, np.random.default_rng(rng))
        if np.shape(weight) != (n_in, n_out):
            raise ValueError(f"Linear({n_in}, {n_out}): init gave weights of shape "
                             f"{np.shape(weight)}; it must give {(n_in, n_out)}")
        self.weight = Tensor(weight, requires_grad=True, dtype=dtype)
        self.bias = Tensor(np.zeros(n_out), requires_grad=True, dtype=dtype) if bias else None

    def __call__(self, x: Any) -> Tensor:
        """Give xW + b, the z of E9 and E10."""
        if shape_of(x)[-1:] != self.weight.shape[:1]:
            raise ValueError(f"{self} takes x of shape (…, {self.weight.shape[0]}), a row for each "
                             f"example, not of shape {np.shape(x)}")
        z: Tensor = x @ self.weight
        return z if self.bias is None else z + self.bias

    def parameters(self) -> list[Tensor]:
        """The weight, and the bias if there is one."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def __repr__(self) -> str:
        n_in, n_out = self.weight.shape
        return f"Linear({n_in}, {n_out}{', bias=False' if self.bias is None else ''})"


class MLP:
    """A multilayer perceptron: layers g(xW + b), each fed to the next, the last without g (E9).

    `sizes`: the number of inputs, of neurons in each hidden layer, of outputs. `activation`: a name
    ("identity", "leaky_relu", "relu", "sigmoid", "softplus", "tanh") or any function of a Tensor.
    `init` is by default `he_normal` for ReLU and leaky ReLU, `glorot_uniform` for others. `x` has
    shape (…, sizes[0]), the result (…, sizes[-1]). ValueError: an unknown name, sizes that do not
    fit. NB: tanh and sigmoid saturate (E8); ReLU and sigmoid hand positive inputs on (E10).

    >>> model = MLP([2, 16, 16, 1], activation="tanh")
    >>> model
    MLP([2, 16, 16, 1], activation='tanh')
    >>> model(np.ones((5, 2))).shape, sum(p.size for p in model.parameters())
    ((5, 1), 337)
    """

    def __init__(self, sizes: Sequence[int], activation: str | Function = "tanh", *, rng: Any = 0,
                 dtype: Any = float, init: Function | None = None):
        if len(sizes) < 2:
            raise ValueError(f"MLP({list(sizes)}): give the number of inputs, of neurons in each "
                             "hidden layer, and of outputs, as in MLP([2, 16, 16, 1])")
        self.activation = as_activation(activation)
        if init is None:
            init = he_normal if self.activation in (relu, leaky_relu) else glorot_uniform
        rng = np.random.default_rng(rng)
        self.layers = [Linear(n_in, n_out, rng=rng, dtype=dtype, init=init)
                       for n_in, n_out in pairwise(sizes)]
        self._name = activation if isinstance(activation, str) else None

    def __call__(self, x: Any) -> Tensor:
        """Give the outputs: logits, for a classifier."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)

    def parameters(self) -> list[Tensor]:
        """The parameters of all layers, first to last."""
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        sizes = [self.layers[0].weight.shape[0], *[layer.weight.shape[1] for layer in self.layers]]
        g = repr(self._name) if self._name else getattr(self.activation, "__name__", "…")
        return f"MLP({sizes}, activation={g})"


def as_activation(activation: str | Function) -> Function:
    """Give the function of that name; a function is given back. ValueError lists the names.

    >>> as_activation("relu")(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation={activation!r}: the names are {', '.join(ACTIVATIONS)}; or "
                         "give a function of a Tensor")
    return ACTIVATIONS[activation]


# ── losses: one number, the mean over the examples (a Tensor of shape (), of Tensors) ─────────────


def cross_entropy(logits: Any, labels: Any) -> Any:
    """Mean over rows of −log softmax(logits)[label]: E3's log P, of a class instead of a word.

    `logits` (…, k) are any numbers. `labels` are integers 0 … k−1 of shape (…), or distributions q
    over the classes of shape (…, k), for which a row counts −Σ q log softmax. ∂L/∂logits is
    (softmax − q) / rows. Finite for logits of any size.

    ValueError: shapes that do not fit, no rows, or q that is no distribution. TypeError: labels
    that are no integers. IndexError: a label outside 0 … k−1.

    >>> logits = Tensor([[0.0, 0.0], [1000.0, 0.0]], requires_grad=True)
    >>> loss = cross_entropy(logits, [1, 0])
    >>> loss.backward()
    >>> round(loss.item(), 4), logits.grad.tolist()
    (0.3466, [[0.25, -0.25], [0.0, 0.0]])
    """
    shape, labels = shape_of(logits), labels if isinstance(labels, Tensor) else np.asarray(labels)
    if not shape or labels.shape not in (shape, shape[:-1]):
        raise ValueError(
            f"cross_entropy() of logits of shape {shape} and labels of shape {labels.shape}: the "
            f"labels are integers of shape {shape[:-1]}, or distributions of shape {shape}")
    if 0 in shape:
        raise ValueError(f"cross_entropy() of logits of shape {shape}: there is nothing to average")
    log_p = log_softmax(logits, axis=-1)
    if labels.shape == shape:
        q = _distributions(labels, like=logits)
        log_p = np.where((q == 0) & np.isinf(log_p), 0, log_p)  # 0 · log 0 is 0
        return np.mean(-np.sum(q * log_p, axis=-1))
    ids = _class_ids(labels, shape[-1])
    log_p = log_p if len(shape) == 2 else log_p.reshape(-1, shape[-1])
    return mean(negative(log_p[np.arange(ids.size), ids]))


def _class_ids(labels: Any, k: int) -> Array:
    if labels.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy() needs labels of integers, not of {labels.dtype}: round "
                        "and convert them, as by labels.astype(int)")
    ids: Array = labels.reshape(-1)
    wrong = np.flatnonzero((ids < 0) | (ids >= k))
    if wrong.size:
        raise IndexError(f"cross_entropy(): label {ids[wrong[0]]} in row {wrong[0]}, but logits of "
                         f"{k} classes have labels 0 to {k - 1}")
    return ids


def _distributions(labels: Any, like: Any) -> Any:
    q = _constant(labels, like)
    least, sums = np.min(_values(q), axis=-1), np.sum(_values(q), axis=-1)
    wrong = np.flatnonzero(~((least >= 0) & (np.abs(sums - 1) <= 1e-4)))
    if wrong.size:
        row = wrong[0]
        raise ValueError(f"cross_entropy(): row {row} of the labels sums to {sums.flat[row]:.6g}, "
                         f"its least is {least.flat[row]:.6g}; a distribution is ≥ 0 and sums to 1")
    return q


def mse(prediction: Any, target: Any) -> Any:
    """Mean squared error, mean (prediction − target)², over all elements.

    Shapes must be equal (ValueError), for (n, 1) minus (n,) would silently be (n, n).

    >>> prediction = Tensor([1.0, 2.0], requires_grad=True)
    >>> loss = mse(prediction, [0.0, 0.0])
    >>> loss.backward()
    >>> loss.item(), prediction.grad
    (2.5, array([1., 2.]))
    """
    _check_shapes("mse()", "prediction", prediction, target)
    return np.mean(np.square(prediction - _constant(target, like=prediction)))


def binary_cross_entropy(logits: Any, targets: Any) -> Any:
    """Mean over all elements of −t log σ(z) − (1 − t) log σ(−z), for logits z and targets t.

    `targets` are probabilities of "yes" in [0, 1] (ValueError): 0, 1, booleans, or in between.
    Shapes must be equal (ValueError). As −log σ(z) = softplus(−z), it is finite for any finite z.
    ∂L/∂z is (σ(z) − t) / size.

    >>> logits = Tensor([0.0, 1000.0], requires_grad=True)
    >>> loss = binary_cross_entropy(logits, [True, False])
    >>> loss.backward()
    >>> round(loss.item(), 4), logits.grad
    (500.3466, array([-0.25,  0.5 ]))
    """
    _check_shapes("binary_cross_entropy()", "logits", logits, targets)
    t = _constant(targets, like=logits)
    if not np.all((_values(t) >= 0) & (_values(t) <= 1)):
        raise ValueError(f"binary_cross_entropy(): targets from {np.min(_values(t)):.6g} to "
                         f"{np.max(_values(t)):.6g}, but they are probabilities, 0 to 1")
    return np.mean(t * softplus(np.negative(logits)) + (1 - t) * softplus(logits))


def _check_shapes(name: str, what: str, given: Any, target: Any) -> None:
    if np.shape(given) != np.shape(target):
        raise ValueError(f"{name} of {what} of shape {np.shape(given)} and target of shape "
                         f"{np.shape(target)}: they must be equal; reshape() one")
    if 0 in np.shape(given):
        raise ValueError(f"{name} of shape {np.shape(given)}: there is nothing to average")


def _constant(target: Any, like: Any) -> Any:
    """Give an array in the type of the Tensor `like`, so that float32 stays float32."""
    if isinstance(target, Tensor):
        return target
    return np.asarray(target, like.dtype if isinstance(like, Tensor) else float)


def _values(x: Any) -> Array:
    """Give the real numbers of an array or Tensor, to be looked at only."""
    return np.real(x.data if isinstance(x, Tensor) else x)
