"""`check_grad` and `check_vjp`: compare gradients with an oracle, and explain what is wrong.

The oracles stand in `slopes`, what is checked in `subject`, the claims beside the values in
`claims`, the names of mistakes in `mistakes`, and all of it meets in `examine`: one examination,
for Tensors and for functions with a vjp of any other origin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..sparse import Array
from ..tensor import as_plain
from .examine import Agreement as Agreement, Case
from .slopes import (
    bumped as bumped,
    complex_step as complex_step,
    draw_cotangent as draw_cotangent,
    draw_digits,
)
from .subject import GradientError as GradientError, Pair, Program, Subject, slope_along

Function = Callable[..., Any]


def check_grad(f: Function, *arrays: Any, ref: Function | None = None, order: int = 1,
               cotangent: Any = None, rtol: float | None = None, seed: int = 0) -> Agreement:
    """Compare the gradients of `f` at `arrays` with an oracle; GradientError if they differ.

    `f` takes Tensors and gives a Tensor. Arrays of integers and booleans are constants, handed on
    as they are. The cotangent is random, of mixed signs, drawn by `seed`. Checked in this order:

    1. `f` gives the same twice, and does not write to its operands;
    2. each gradient's type, shape and dtype;
    3. values, by ``|g − r| ≤ rtol · max|r|`` (1e-12 for float64), for the cotangent and for others
       with exact zeros in them, and, where it is small, the whole Jacobian. float32 is judged by
       the float64 truth for the same inputs. A difference no larger than what rounding the operands
       anew makes of it is no mistake;
    4. all memory layouts; zero in, zero out; twice the same; nothing written to, nothing shared.

    `order` 2 checks the second derivatives too: the gradient is a program, and its derivative is
    checked in the same way. `ref`: the same function in plain NumPy and analytic on complex
    numbers, if `f` is not (``abs``, ``logaddexp``); above order 1 it must take Tensors as well.
    Without it such an `f` is judged by extrapolated differences, which may be *inconclusive*: that
    is an error, too.

    The error names the likely mistake, the rule and its line, and how to see it again.

    >>> check_grad(lambda x, y: (x @ y).tanh(), np.ones((2, 3)), np.arange(3.0), order=2).compared
    18
    >>> import tinygrad_w2v as tg
    >>> cube = tg.rule(lambda x: x**3, x=lambda g, x: g * x**2)
    >>> try:
    ...     check_grad(cube, np.array([0.5, 2.0]))
    ... except GradientError as error:
    ...     print(error.mistake, error.operand, error.element)
    constant factor 0 (0,)
    """
    if order < 1:
        raise ValueError(f"order is {order}: it must be 1 or more, or nothing is checked")
    template, operands = sort_arguments(arrays, "f")
    subject = Program(f, template)
    rng = np.random.default_rng(seed)
    case = Case(subject, operands, ref and _reference(ref, template), rtol, seed)
    given = case.examine(rng, cotangent)
    if order == 1:
        return given
    u = case.u
    for level in range(2, order + 1):
        along = [draw_digits(rng, a.shape, a.dtype) for a in operands]
        f, ref = slope_along(f, u, along, template), ref and slope_along(ref, u, along, template)
        rng = np.random.default_rng(seed + level - 1)
        case = Case(Program(f, template), operands, ref and _reference(ref, template), rtol, seed,
                    level, case)
        more = case.examine(rng, None, thorough=False)
        u = case.u
        given = Agreement(given.compared + more.compared, given.oracle,
                          max(given.worst, more.worst), given.covered)
    return given


def check_vjp(f: Function, vjp: Function, *arrays: Any, ref: Function | None = None,
              cotangent: Any = None, rtol: float | None = None, seed: int = 0,
              layouts: bool = True) -> Agreement:
    """Check a vjp that you wrote, for any function of arrays; GradientError if it is wrong.

    ``vjp(g, *arrays)`` gets the cotangent g of ``f(*arrays)`` and gives the gradient, or a tuple
    with one for each operand (None: it has none). Which library they use does not matter: `f` and
    `vjp` take and give NumPy arrays. All that `check_grad` checks of a Tensor's gradient is checked
    here. ``layouts=False`` leaves out arrays that are reversed or otherwise not plain in memory,
    for functions that are not meant to take them.

    >>> check_vjp(np.tanh, lambda g, x: g * (1 - np.tanh(x)**2), [0.5, -1.5]).oracle
    'complex step'
    >>> try:
    ...     check_vjp(np.exp, lambda g, x: g * x, [0.5, -1.5])
    ... except GradientError as error:
    ...     print(error.mistake)
    operand for result
    """
    template, operands = sort_arguments(arrays, "f")
    case = Case(Pair(f, vjp, template), operands, ref and _reference(ref, template), rtol, seed)
    case.layouts = layouts
    return case.examine(np.random.default_rng(seed), cotangent)


def sort_arguments(arrays: Sequence[Any], who: str) -> tuple[list[Any] | None, list[Array]]:
    """Tell operands, which hold floats, from constants; give a template with the constants in it.

    >>> sort_arguments([[1.5, 2.0], np.array([0, 1])], "f")
    ([None, array([0, 1])], [array([1.5, 2. ])])
    """
    plain = [np.array(as_plain(a), order="C") for a in arrays]
    for k, a in enumerate(plain):
        if a.dtype.kind not in "biu" and a.dtype.char not in "fd":
            raise TypeError(f"argument {k} of {who} is {a.dtype}: operands hold "
                            "float32 or float64; integers and booleans are constants")
    operands = [a for a in plain if a.dtype.kind == "f"]
    if not operands:
        raise TypeError(f"no argument of {who} holds floats: integers and booleans are constants, "
                        "write 2.0 for 2")
    constant = len(operands) < len(plain)
    return [None if a.dtype.kind == "f" else a for a in plain] if constant else None, operands


def _reference(ref: Function, template: Sequence[Any] | None) -> Function:
    """A plain function of the operands alone."""
    bind = Subject(ref, template).bind
    return lambda *xs: np.asarray(as_plain(ref(*bind(xs))))
