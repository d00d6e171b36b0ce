"""Shared-curvature steps: the optimiser for the exact objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from ..sparse import Array, RowGrad
from ..tensor import Tensor


class SharedCurvature:
    """Newton steps on E1 with one d × d matrix for all rows of a table.

    The Hessian of E1 by the row v_c is N_c · Cov(U), the covariance of the outside vectors under
    P(·|c). With the words' own distribution q in place of P(·|c) it is the same matrix for every
    row but for the number N_c, and costs next to nothing to invert:

        Δv_c = −η_V · cap( g_c / (N_c + 1) · (Cov_q(U) + λ · tr/d · I)⁻¹ )

    and likewise Δu_o with Cov_q(V), while the bias moves by −½ η_U · g_o / (N_o + 1). `cap` holds
    the length of each row's step to 1. `totals` (n,) are the N_c. The gradients are the Tensors'
    own: `V` may bring a `RowGrad`, of which only the rows move.
    """

    def __init__(self, V: Tensor, U: Tensor, bias: Tensor | None, totals: Array, *,
                 lr_u: float = 1.0, lr_v: float = 1.0, damping: float = 0.1, refresh: int = 8):
        self.V, self.U, self.bias = V, U, bias
        self.totals = totals.astype(V.dtype)
        self.share = (totals / max(totals.sum(), 1)).astype(V.dtype)
        self.lr_u, self.lr_v, self.damping, self.refresh, self.steps = (
            lr_u, lr_v, damping, refresh, 0)
        self.white_u, self.white_v = np.zeros((2, V.shape[1], V.shape[1]), V.dtype)
        self.tables: list[Any] = []  # of the parameters that are being edited

    def whitener(self, table: Tensor, about_0: bool = False) -> Array:
        """Invert the damped covariance of the rows of `table` under the word distribution.

        `about_0`: of their second moment, as if their mean were 0.
        """
        rows = table.data
        mean, d = self.share @ rows * (not about_0), rows.shape[1]
        covariance = (rows.T * self.share) @ rows - np.outer(mean, mean)
        damping = self.damping * max(np.trace(covariance) / d, 1e-12)
        return np.linalg.inv(covariance + damping * np.eye(d)).astype(rows.dtype)

    def begin(self) -> None:
        """Begin a step: count it, and see to the matrices."""
        if self.steps % self.refresh == 0:
            self.white_u[:], self.white_v[:] = self.whitener(self.U), self.whitener(self.V)
        self.steps += 1

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Let the parameters be written to within the block."""
        with ExitStack() as stack:
            self.tables = [None if parameter is None else stack.enter_context(parameter.edit())
                           for parameter in (self.V, self.U, self.bias)]
            yield
        self.tables = []

    def move_v(self, rows: Any, g: Array, rate: float) -> None:
        """Move `rows` of V, none of them twice, by their gradient `g`."""
        self.tables[0][rows] -= self.newton(g, rows, self.white_u, rate * self.lr_v)

    def move_u(self, rows: Any, g: Array, rate: float) -> None:
        """Move `rows` of U by `g`, and those of the bias if `g` has a column more for it."""
        d, lr = self.U.shape[1], rate * self.lr_u
        self.tables[1][rows] -= self.newton(g[:, :d], rows, self.white_v, lr)
        if g.shape[1] > d:
            move = g[:, d] / (self.totals[rows] + 1)
            self.tables[2][rows] -= 0.5 * lr * np.clip(move, -1, 1)

    def newton(self, g: Array, rows: Any, white: Array, lr: float) -> Array:
        """Give the steps of rows by their gradients."""
        step = capped(g @ white, self.totals[rows] + 1)
        step *= lr
        return step

    def step(self, rate: float = 1.0) -> None:
        """Move V, U and the bias by their gradients; `rate` scales all steps."""
        self.begin()
        by_u = [np.asarray(self.U.grad)]
        if self.bias is not None:
            by_u.append(np.asarray(self.bias.grad)[:, None])
        with self.editing():
            self.move_v(*rows_of(self.V.grad), rate)
            self.move_u(slice(None), np.concatenate(by_u, axis=1), rate)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in (self.V, self.U, self.bias):
            if parameter is not None:
                parameter.zero_grad()


class Settling:
    """Finds rows that have a convex loss each, while all else stands still: by Newton steps.

    `white` is the inverse of the covariance that the rows share. They begin at the mean of the rows
    `like`, a table of their kind, and no step is longer than half the length that those have. As
    many pairs as a row's `prior` says ask it to stay there.
    """

    def __init__(self, like: Array, white: Array):
        self.start, self.white, self.spread = like.mean(axis=0), white, np.linalg.inv(white)
        length = float(np.sqrt(np.square(like).sum(axis=1)).mean())
        self.reach = np.asarray(max(length, 1e-6) / 2, like.dtype)

    def settle(self, loss: Callable[[Tensor], Any], totals: Array, prior: Array, steps: int
               ) -> Array:
        """Make steps on ``loss(rows)``; the curvature of a row is its `totals` times the shared."""
        x = np.tile(self.start, (len(totals), 1))
        for number in range(steps):
            rows = Tensor(x, requires_grad=True, copy=False)
            off = rows - self.start
            stay = ((off @ self.spread * off).sum(axis=1) * prior).sum() / 2
            (loss(rows) + stay).backward()
            step = capped(np.asarray(rows.grad) @ self.white / self.reach, totals + prior)
            x = x - self.reach / (1 + number / 2) * step
        return x


def rows_of(gradient: Array | RowGrad | None) -> tuple[Array | slice, Array]:
    """The rows that a gradient touches, and what they received."""
    if isinstance(gradient, RowGrad):
        return gradient.coalesce()
    return slice(None), np.asarray(gradient)


def capped(step: Array, scale: Any = 1.0) -> Array:
    """Divide each row of `step` by its `scale`, or by its length if that leaves it longer than 1.

    >>> capped(np.array([[3.0, 4.0], [3.0, 4.0]]), np.array([10.0, 2.0]))
    array([[0.3, 0.4],
           [0.6, 0.8]])
    """
    length = np.sqrt(np.einsum("ij,ij->i", step, step))
    shortened: Array = step / np.maximum(length, scale)[:, None]
    return shortened
