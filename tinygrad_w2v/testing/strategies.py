"""Inputs worth testing gradients with, as hypothesis strategies; and a machine that builds graphs.

Arrays come from a lattice of distinct half-odd steps, so that no kink is near *by construction*
and no example has to be thrown away; kinks are drawn on purpose, by `kinked`. All shrink towards
few and small sides. To property-test a gradient of your own, draw its operands, and hand them to
`check_grad`:

>>> import tinygrad_w2v as tg
>>> from hypothesis import given, settings
>>> from tinygrad_w2v.testing import check_grad, strategies as draw
>>> cube = tg.rule(lambda x: x**3, elementwise=True, x=lambda g, x: g * 3 * x**2)
>>> @settings(max_examples=10, deadline=None)
... @given(draw.arrays(draw.shapes()))
... def test_the_gradient_of_cube(x):
...     check_grad(cube, x, order=2)
>>> test_the_gradient_of_cube()

Where slopes depend on shapes, draw shapes that go together (`broadcastable`, `matmul_pairs`), what
`axis` may be (`axes`), what may stand in brackets (`indices`, `ids`). `programs` draws whole random
programs, and `GraphMachine` uses the package in any order, with a naive twin beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("tinygrad_w2v.testing.strategies needs hypothesis: install the extra "
                      "tinygrad-w2v[test]") from error

from ..sparse import Array
from .invariants import (
    POSITIVE as POSITIVE,
    REAL as REAL,
    UNIT as UNIT,
    Interval as Interval,
    lattice,
    layouts,
)
from .oracle import draw_cotangent
from .programs import Program, draw_program

Shape = tuple[int, ...]
SIDES = st.sampled_from([2, 3, 4, 1, 0, 5])  # hypothesis prefers, and shrinks to, the first
GENERATORS = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def shapes(min_dims: int = 0, max_dims: int = 3, sides: Any = SIDES) -> st.SearchStrategy[Shape]:
    """Shapes with sides of 0 to 5, ``()`` among them.

    >>> from hypothesis import find
    >>> find(shapes(), lambda shape: len(shape) == 2)
    (2, 2)
    """
    return st.lists(sides, min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def broadcastable(draw: st.DrawFn, n: int = 2, max_dims: int = 3) -> tuple[Shape, ...]:
    """`n` shapes that broadcast together: some sides are 1, some leading ones missing.

    >>> from hypothesis import find
    >>> find(broadcastable(), lambda pair: len(pair[0]) > len(pair[1]) > 0)
    ((2, 2), (2,))
    """
    whole = draw(shapes(max_dims=max_dims))

    def one() -> Shape:
        kept = whole[draw(st.integers(0, len(whole))):]
        return tuple([1 if draw(st.booleans()) else side for side in kept])

    return tuple([one() for _ in range(n)])


@st.composite
def matmul_pairs(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Shapes of x and y for ``x @ y``: vectors, matrices, stacks that broadcast.

    >>> from hypothesis import find
    >>> find(matmul_pairs(), lambda pair: len(pair[0]) == 2)
    ((2, 2), (2,))
    """
    n, k, m = draw(SIDES), draw(SIDES), draw(SIDES)
    x, y = draw(st.sampled_from([(k,), (n, k)])), draw(st.sampled_from([(k,), (k, m)]))
    lead_x, lead_y = draw(broadcastable(max_dims=2))
    return (lead_x if len(x) == 2 else ()) + x, (lead_y if len(y) == 2 else ()) + y


@st.composite
def axes(draw: st.DrawFn, ndim: int) -> int | tuple[int, ...] | None:
    """What `axis` may be: None, a number of either sign, a tuple in any order, ``()``.

    >>> from hypothesis import find
    >>> find(axes(3), lambda axis: isinstance(axis, tuple) and len(axis) == 2)
    (0, 1)
    """
    each = st.integers(-ndim, ndim - 1) if ndim else st.nothing()
    several = st.lists(each, unique_by=lambda a: a % ndim, max_size=ndim).map(tuple)
    return draw(st.one_of(st.none(), each, several))


@st.composite
def arrays(draw: st.DrawFn, shape: Shape | st.SearchStrategy[Shape], domain: Interval = REAL,
           dtype: Any = float, kinks: Sequence[float] = ()) -> Array:
    """An array of distinct numbers (2i + 1) / 32 in `domain`: 1/32 from 0 and any other k/16.

    And, for the kinks of your own function, as far from each of `kinks`, wherever they are. (In a
    narrow domain, and for large shapes, the steps are finer than 1/32.)

    >>> from hypothesis import find
    >>> x = find(arrays((8,), domain=UNIT, kinks=[0.3]), lambda x: True)
    >>> bool((abs(x) < 1).all() and (abs(x - 0.3) >= 1/32).all()), len(set(x.tolist()))
    (True, 8)
    """
    sides = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    size = int(np.prod(sides))
    (drawn,) = lattice(draw(GENERATORS), [(domain, (size + len(kinks),))])
    # Each kink has at most one number nearer than half a step: without them, all keep away.
    near = np.min(abs(drawn[:, None] - np.array(kinks)), axis=1, initial=np.inf)
    kept = np.sort(np.argsort(near)[len(kinks):])
    return drawn[kept].reshape(sides).astype(dtype)


@st.composite
def operands(draw: st.DrawFn, sides: Sequence[Shape], domain: Interval = REAL) -> list[Array]:
    """One array for each shape, all numbers in all of them distinct.

    >>> from hypothesis import find
    >>> x, y = find(operands([(2,), (3,)]), lambda pair: True)
    >>> x.shape, y.shape, len({*x.tolist(), *y.tolist()})
    ((2,), (3,), 5)
    """
    return lattice(draw(GENERATORS), [(domain, shape) for shape in sides])


@st.composite
def kinked(draw: st.DrawFn, shape: Shape) -> Array:
    """An array full of zeros and ties: where slopes jump.

    >>> from hypothesis import find
    >>> find(kinked((4,)), lambda x: len(set(x.tolist())) < 4).shape
    (4,)
    """
    rng = draw(GENERATORS)
    return np.asarray(rng.choice([0.0, 0.0, 1.0, 1.0, -1.0, 2.0], shape))


@st.composite
def cotangents(draw: st.DrawFn, shape: Shape, dtype: Any = float) -> Array:
    """A cotangent: mixed signs, some exact zeros, laid out in memory in any way.

    >>> from hypothesis import find
    >>> u = find(cotangents((2, 3)), lambda u: not u.flags.c_contiguous)
    >>> u.shape, bool((abs(u) < 1).all())
    ((2, 3), True)
    """
    rng = draw(GENERATORS)
    u = draw_cotangent(rng, shape, dtype)
    if draw(st.booleans()):
        u = np.where(rng.random(shape) < 0.3, 0, u).astype(dtype)
    return draw(st.sampled_from([u, *[laid for _, laid in layouts(u)]]))


def ids(n: int, shape: Shape | st.SearchStrategy[Shape] | None = None
        ) -> st.SearchStrategy[Array]:
    """Ids of `n` places for `take` and its kin, of either sign, with repeats where there can be.

    >>> from hypothesis import find
    >>> find(ids(3, (4,)), lambda i: len(set(i.tolist())) == 2)
    array([0, 0, 0, 1])
    """
    return _ids(n, shapes(max_dims=2) if shape is None else shape)


@st.composite
def _ids(draw: st.DrawFn, n: int, shape: Shape | st.SearchStrategy[Shape]) -> Array:
    sides = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    places, size = st.integers(-n, n - 1), int(np.prod(sides))
    every = draw(st.lists(places, min_size=size, max_size=size))
    if size > 1 and len({place % n for place in every}) == size and draw(st.booleans()):
        every[-1] = every[0]
    return np.array(every, np.intp).reshape(sides)


@st.composite
def indices(draw: st.DrawFn, shape: Shape) -> Any:
    """A key for ``x[key]``: slices of either step, integers, masks, id arrays with repeats.

    >>> from hypothesis import find
    >>> find(indices((3, 2)), lambda key: isinstance(key, np.ndarray)).shape  # a mask
    (3, 2)
    """
    if shape and draw(st.integers(0, 4)) == 0:
        return draw(GENERATORS).random(shape) < 0.5
    keys = [draw(_key(side)) for side in shape[: draw(st.integers(0, len(shape)))]]
    if len([k for k in keys if isinstance(k, np.ndarray)]) > 1:  # of one length, or no broadcasting
        keys = [k[:1] if isinstance(k, np.ndarray) else k for k in keys]
    if len(keys) < len(shape) and draw(st.booleans()):
        keys.append(...)
    return tuple(keys)


def _key(side: int) -> st.SearchStrategy[Any]:
    steps = st.sampled_from([None, 1, 2, -1, -2])
    ends = st.one_of(st.none(), st.integers(-side - 1, side + 1))
    spans = st.builds(slice, ends, ends, steps)
    if side == 0:
        return spans
    places = st.integers(-side, side - 1)
    ids = st.lists(places, min_size=1, max_size=4).map(lambda i: np.array(i, np.intp))
    return st.one_of(spans, places, ids)


@st.composite
def programs(draw: st.DrawFn, max_steps: int = 60) -> Program:
    """A whole random program (see `programs.draw_program`), well-conditioned by construction.

    It shrinks towards few steps, the results of the others being made constants, and prints itself
    as Python code.

    >>> from hypothesis import given, settings
    >>> from tinygrad_w2v.testing.programs import gradient_deviation
    >>> @settings(max_examples=5, deadline=None)
    ... @given(programs())
    ... def test_backward_is_right(program):
    ...     assert gradient_deviation(program) < 1e-12
    >>> test_backward_is_right()
    """
    program = draw_program(draw(GENERATORS), draw(st.integers(1, max_steps)))
    n = len(program.inputs)
    # Where 0 is drawn, which hypothesis shrinks to, a term is left out, a step's result constant.
    keep = draw(st.lists(st.integers(0, 15), min_size=len(program.terms),
                         max_size=len(program.terms)))
    terms = tuple([term for term, kept in zip(program.terms, keep, strict=True)
                   if kept or program.is_anchor(term[0])])
    program = Program(program.inputs, program.steps, terms).without_the_unused()
    keep = draw(st.lists(st.integers(0, 15), min_size=len(program.steps),
                         max_size=len(program.steps)))
    return program.with_constants([k for k, kept in enumerate(keep)
                                   if not kept and not program.is_anchor(n + k)])
