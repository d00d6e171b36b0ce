"""Optimisers: how a parameter moves, once its gradient is known.

`Optimizer` has the loop: it fetches gradients and writes to parameters. Each optimiser has the
formula: an `update` that changes a parameter x in place, given its gradient g and what the
optimiser remembers of it.

**Looking rows up.** The gradient of a table of which a few rows were looked up is a `RowGrad`. The
same formula is then applied to those rows, and to their part of the memory; no other row is read or
written. For SGD without momentum and for Adagrad that is the step of the dense gradient. Momentum
and Adam would move a row even where its gradient is 0; here a row that is not looked up rests, and
its memory with it: it moves as if the steps that did not look it up had never been.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .graph import Leaf
from .sparse import Array, RowGrad, is_finite
from .tensor import Tensor


class Optimizer:
    """The loop that all optimisers share; a subclass has `update`, and `memory` if it remembers.

    `params`: leaf Tensors, each once. `lr`, the learning rate, is > 0 and may be set at any time.
    `state[i]` is what is remembered of `params[i]`: arrays by name.

    TypeError: `params` is no collection of Tensors. ValueError: it is empty, has one twice, or one
    that was computed; or lr is not > 0.

    >>> class SignDescent(Optimizer):
    ...     def update(self, x, g):
    ...         x -= self.lr * np.sign(g)
    >>> x = Tensor([1.0, -1.0], requires_grad=True)
    >>> optimizer = SignDescent([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([ 0.75, -0.75], requires_grad=True)
    """

    def __init__(self, params: Iterable[Tensor], lr: float):
        self.params, self.lr = as_parameters(params), lr
        self.state = [self.memory(p.data) for p in self.params]

    @property
    def lr(self) -> float:
        """The learning rate: the length of a step, for a gradient of 1."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        check(0 < value < math.inf, f"lr={value}: the learning rate must be > 0, and finite")
        self._lr = float(value)

    def memory(self, x: Array) -> dict[str, Array]:
        """Make the arrays that `update` takes and changes, one row for each row of `x`."""
        return {}

    def update(self, x: Array, g: Array, **memory: Array) -> None:
        """Change `x` and the memory in place. All have as many rows, of the parameter or some."""
        raise NotImplementedError(f"{type(self).__name__} has no update(): write one")

    def step(self) -> None:
        """Move all parameters once, by their `.grad`; one whose `.grad` is None stays as it is.

        FloatingPointError if a gradient holds a NaN or an infinity; then none has moved.
        """
        gradients = [fetch(p.grad, i) for i, p in enumerate(self.params)]
        for p, memory, gradient in zip(self.params, self.state, gradients, strict=True):
            if gradient is None:
                continue
            ids, g = gradient
            with p.edit() as array:
                if ids is None:
                    self.update(array, g, **memory)
                    continue
                x, part = array[ids], {name: m[ids] for name, m in memory.items()}
                self.update(x, g, **part)
                array[ids] = x
                for name in memory:
                    memory[name][ids] = part[name]

    def zero_grad(self) -> None:
        """Forget all gradients: `backward` adds to what is there."""
        for p in self.params:
            p.zero_grad()


class SGD(Optimizer):
    """Gradient descent, stochastic if g is that of a mini-batch, and with momentum (Polyak 1964).

        x ← x − lr·g
        v ← μ v + g;   x ← x − lr·v             momentum=μ
        v ← μ v + g;   x ← x − lr·(g + μ v)     momentum=μ, nesterov=True

    Polyak, "Some methods of speeding up the convergence of iteration methods"; Nesterov's variant
    (1983) in the form of Sutskever et al. 2013. ValueError unless 0 ≤ μ < 1, and > 0 for Nesterov.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([0.5, 1. ], requires_grad=True)
    """

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.0,
                 nesterov: bool = False):
        check(0 <= momentum < 1, f"momentum={momentum} must be in [0, 1)")
        check(momentum > 0 or not nesterov, "nesterov=True needs momentum > 0, as 0.9")
        self.momentum, self.nesterov = momentum, nesterov
        super().__init__(params, lr)

    def memory(self, x: Array) -> dict[str, Array]:
        """Make the velocity, if there is momentum."""
        return {"v": np.zeros_like(x)} if self.momentum else {}

    def update(self, x: Array, g: Array, v: Array | None = None) -> None:  # type: ignore[override]
        """Move x against g, or along v, which remembers earlier ones."""
        if v is not None:
            v *= self.momentum
            v += g
            g = g + self.momentum * v if self.nesterov else v
        x -= self.lr * g


class Adagrad(Optimizer):
    """Steps that shrink where gradients have been large (Duchi, Hazan, Singer 2011).

        s ← s + g²;   x ← x − lr·g / (√s + ε)     elementwise

    "Adaptive subgradient methods for online learning and stochastic optimization". A rare word
    keeps a large step, which suits embeddings. With ``rowwise=True`` a row shares one s, to which
    the mean of g² over the row is added: a row of d numbers steps along its gradient, whatever its
    axes, for 1/d of the memory. ValueError unless ε > 0.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = Adagrad([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([0.75, 1.75], requires_grad=True)
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 0.01, eps: float = 1e-10,
                 rowwise: bool = False):
        check(eps > 0, f"eps={eps} must be > 0: it keeps 0 / 0 away")
        self.eps, self.rowwise = eps, rowwise
        super().__init__(params, lr)

    def memory(self, x: Array) -> dict[str, Array]:
        """Make the sum of squares, of each element or each row."""
        return {"s": np.zeros(row_shape(x) if self.rowwise else x.shape, x.dtype)}

    def update(self, x: Array, g: Array, s: Array) -> None:  # type: ignore[override]
        """Add g² up, and divide by its root."""
        s += row_means(g * g) if self.rowwise else g * g
        x -= self.lr * g / (np.sqrt(s) + self.eps)


class Adam(Optimizer):
    """Momentum, in units of the gradient's own size (Kingma & Ba 2015, Algorithm 1).

        t ← t + 1;   m ← β₁ m + (1 − β₁) g;   v ← β₂ v + (1 − β₂) g²
        m̂ = m / (1 − β₁ᵗ);   v̂ = v / (1 − β₂ᵗ);   x ← x − lr·m̂ / (√v̂ + ε)

    "Adam: a method for stochastic optimization". m and v start at 0, and the divisors of m̂ and v̂
    make up for it. The count t is kept for each row: a row of a table that is looked up in 3 steps
    of 100 has t = 3 and moves as 3 steps of Adam would move it. NB: PyTorch's SparseAdam counts all
    100, and so divides a rare row's first m and v by too much. ValueError unless 0 ≤ β < 1, ε > 0.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = Adam([x], lr=0.25)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.numpy().round(6)
    array([0.75, 1.75])
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 0.001,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8):
        check(len(betas) == 2 and all(0 <= b < 1 for b in betas),
              f"betas={betas} must be two numbers in [0, 1)")
        check(eps > 0, f"eps={eps} must be > 0: it keeps 0 / 0 away")
        self.betas, self.eps = betas, eps
        super().__init__(params, lr)

    def memory(self, x: Array) -> dict[str, Array]:
        """Make the two running means, and the steps that each row has taken."""
        return {"m": np.zeros_like(x), "v": np.zeros_like(x), "t": np.zeros(row_shape(x), int)}

    def update(self, x: Array, g: Array, m: Array, v: Array, t: Array) -> None:  # type: ignore[override]
        """Follow the mean gradient, divided by the root of the mean square."""
        b1, b2 = self.betas
        t += 1
        m += (1 - b1) * (g - m)
        v += (1 - b2) * (g * g - v)
        m_hat = m / (1 - b1**t).astype(x.dtype)
        v_hat = v / (1 - b2**t).astype(x.dtype)
        x -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


def check(ok: bool, message: str) -> None:
    """Raise a ValueError with `message` unless `ok`."""
    if not ok:
        raise ValueError(message)


def row_shape(x: Array) -> tuple[int, ...]:
    """Give the shape of one number for each row of `x`, which broadcasts to x.

    >>> row_shape(np.ones((5, 3, 2)))
    (5, 1, 1)
    """
    return tuple([1 if axis else side for axis, side in enumerate(x.shape)])


def row_means(x: Array) -> Array:
    """Take the mean over all axes but the first; they stay, as sides of 1.

    >>> row_means(np.array([[1.0, 3.0], [2.0, 2.0]]))
    array([[2.],
           [2.]])
    """
    means: Array = x.mean(axis=tuple(range(1, x.ndim)), keepdims=True)
    return means


def as_parameters(params: Iterable[Tensor]) -> list[Tensor]:
    """List the parameters, if they are leaves, and each is there once."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise TypeError(f"an optimiser takes a list of Tensors, not one {type(params).__name__}: "
                        "[w], or model.parameters()")
    found: dict[int, int] = {}
    listed = list(params)
    check(len(listed) > 0, "an optimiser needs at least one parameter, but the list is empty (was "
                           "it an iterator that is used up?)")
    for i, p in enumerate(listed):
        if not isinstance(p, Tensor):
            raise TypeError(f"params[{i}] is of {type(p).__name__}, not a Tensor")
        check(isinstance(p._node, Leaf),
              f"params[{i}], of shape {p.shape}, is no leaf: an optimiser moves Tensors made with "
              "requires_grad=True, not constants and not what is computed from Tensors")
        first = found.setdefault(id(p._node), i)
        check(first == i, f"params[{i}], of shape {p.shape}, is params[{first}] again: it would "
                          "move twice in a step; list it once")
    return listed


def fetch(grad: Any, i: int) -> tuple[Array | None, Array] | None:
    """Give (ids, rows) of a RowGrad, (None, g) of a dense gradient; refuse NaN and infinity."""
    if grad is None:
        return None
    ids, g = grad.coalesce() if isinstance(grad, RowGrad) else (None, np.asarray(grad))
    if not is_finite(g) and not np.isfinite(g).all():
        raise FloatingPointError(
            f"the gradient of params[{i}], of shape {grad.shape}, holds NaN or infinity, and no "
            "parameter has moved. Look for a log or sqrt of 0 and an overflowing exp in the loss, "
            "or lower lr; `with tg.debug():` around the loop names the operation. zero_grad() "
            "drops the gradients")
    return ids, g
