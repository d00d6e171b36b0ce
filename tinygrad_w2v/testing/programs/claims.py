"""What is claimed of every program, and how far it is from true."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_w2v as tg

from ...sparse import Array
from ...tensor import Tensor
from ..oracle import GradientError, draw_cotangent
from .drawer import STEP
from .program import Program


def complex_step(program: Program, dtype: Any = complex, point: Any = None) -> Array:
    """The gradient at `point` (or at the program's own), by one run of the twins for each element.

    >>> program = Program((np.array([1.0, 2.0]),), (), ((0, np.array([0.5, -3.0])),))
    >>> complex_step(program)
    array([ 0.5, -3. ])
    """
    start = np.asarray(program.point if point is None else point, dtype)
    gradient = np.empty(start.shape, start.real.dtype)
    for k in range(start.size):
        moved = start.copy()
        moved[k] += 1j * STEP
        gradient[k] = program.of_vector(moved).imag / STEP
    return gradient


def backward(program: Program) -> Array:
    """The gradient by ``.backward()``; GradientError if one has not its input's shape and dtype."""
    leaves = [Tensor(x, requires_grad=True) for x in program.inputs]
    program(*leaves).backward()
    found = [np.asarray(leaf.grad) for leaf in leaves]
    for k, (g, x) in enumerate(zip(found, program.inputs, strict=True)):
        if (g.shape, g.dtype) != (x.shape, x.dtype):
            raise GradientError(f"the gradient by input {k} is {g.dtype} of shape {g.shape}, the "
                                f"input {x.dtype} of shape {x.shape}")
    return np.concatenate([g.ravel() for g in found])


def deviation(found: Array, truth: Array) -> float:
    """Largest difference, relative to the largest true element; infinite if not a number."""
    off, size = float(np.max(np.abs(found - truth))), float(np.max(np.abs(truth)))
    return 0.0 if off == 0 else off / size if off < np.inf and size else np.inf


def gradient_deviation(program: Program) -> float:
    """How far reverse mode is from the complex step."""
    return deviation(backward(program), complex_step(program))


def hessian_deviation(program: Program, rng: np.random.Generator) -> float:
    """How far two Hessian-vector products are from the complex step *through the backward pass*.

    And how far the Hessian is from symmetric, ⟨u, H v⟩ = ⟨v, H u⟩: the worst of all three.
    """
    x = program.point
    u, v = draw_cotangent(rng, x.shape), draw_cotangent(rng, x.shape)
    found = [tg.hvp(program.of_vector, x, w).data for w in (u, v)]
    truth = [tg.grad(program.of_vector)(Tensor(x + 1j * STEP * w)).data.imag / STEP for w in (u, v)]
    skew = abs(u @ found[1] - v @ found[0]) / (np.abs(u) @ np.abs(truth[1]))
    return max(deviation(found[0], truth[0]), deviation(found[1], truth[1]), float(skew))


def differences_deviation(program: Program, rng: np.random.Generator) -> float:
    """How far a Hessian-vector product is from differences of the complex step's gradient.

    No part of the engine takes part in these: the twins run in long double, and the error of the
    differences, of fourth order, is below 1e-13 where long double has 64 bits or more. The values
    of islands are put in as constants, for they must not move with the inputs.
    """
    islands = [k for k, s in enumerate(program.steps) if s.op == "detach" or not s.recorded]
    fixed, x = program.with_constants(islands), program.point
    v, h = draw_cotangent(rng, x.shape), np.longdouble(1e-5)
    ahead = [complex_step(fixed, np.clongdouble, x + k * h * v) for k in (1, -1, 2, -2)]
    truth = (8 * (ahead[0] - ahead[1]) - (ahead[2] - ahead[3])) / (12 * h)
    return deviation(tg.hvp(program.of_vector, x, v).data, truth)
