"""Inputs worth testing with, as hypothesis strategies.

Arrays come from a lattice of distinct half-odd steps, so that no kink is near *by construction*
and no example has to be thrown away; kinks are drawn on purpose, by `kinked`.
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
from .invariants import REAL, Interval, lattice, layouts
from .oracle import draw_cotangent

Shape = tuple[int, ...]
SIDES = st.sampled_from([2, 3, 4, 1, 0, 5])  # hypothesis prefers, and shrinks to, the first
GENERATORS = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def shapes(min_dims: int = 0, max_dims: int = 3, sides: Any = SIDES) -> st.SearchStrategy[Shape]:
    """Shapes with sides of 0 to 5, ``()`` among them."""
    return st.lists(sides, min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def broadcastable(draw: st.DrawFn, n: int = 2, max_dims: int = 3) -> tuple[Shape, ...]:
    """`n` shapes that broadcast together: some sides are 1, some leading ones missing."""
    whole = draw(shapes(max_dims=max_dims))

    def one() -> Shape:
        kept = whole[draw(st.integers(0, len(whole))):]
        return tuple([1 if draw(st.booleans()) else side for side in kept])

    return tuple([one() for _ in range(n)])


@st.composite
def matmul_pairs(draw: st.DrawFn) -> tuple[Shape, Shape]:
    """Shapes of x and y for ``x @ y``: vectors, matrices, stacks that broadcast."""
    n, k, m = draw(SIDES), draw(SIDES), draw(SIDES)
    x, y = draw(st.sampled_from([(k,), (n, k)])), draw(st.sampled_from([(k,), (k, m)]))
    lead_x, lead_y = draw(broadcastable(max_dims=2))
    return (lead_x if len(x) == 2 else ()) + x, (lead_y if len(y) == 2 else ()) + y


@st.composite
def axes(draw: st.DrawFn, ndim: int) -> int | tuple[int, ...] | None:
    """What `axis` may be: None, a number of either sign, a tuple in any order, ``()``."""
    each = st.integers(-ndim, ndim - 1) if ndim else st.nothing()
    several = st.lists(each, unique_by=lambda a: a % ndim, max_size=ndim).map(tuple)
    return draw(st.one_of(st.none(), each, several))


@st.composite
def arrays(draw: st.DrawFn, shape: Shape | st.SearchStrategy[Shape], domain: Interval = REAL,
           dtype: Any = float) -> Array:
    """An array of distinct numbers (2i + 1) / 32 in `domain`: at least 1/32 from any kink."""
    sides = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    return lattice(draw(GENERATORS), [(domain, sides)], dtype)[0]


@st.composite
def operands(draw: st.DrawFn, sides: Sequence[Shape], domain: Interval = REAL) -> list[Array]:
    """One array for each shape, all numbers in all of them distinct."""
    return lattice(draw(GENERATORS), [(domain, shape) for shape in sides])


@st.composite
def kinked(draw: st.DrawFn, shape: Shape) -> Array:
    """An array full of zeros and ties: where slopes jump."""
    rng = draw(GENERATORS)
    return np.asarray(rng.choice([0.0, 0.0, 1.0, 1.0, -1.0, 2.0], shape))


@st.composite
def cotangents(draw: st.DrawFn, shape: Shape, dtype: Any = float) -> Array:
    """A cotangent: mixed signs, some exact zeros, laid out in memory in any way."""
    rng = draw(GENERATORS)
    u = draw_cotangent(rng, shape, dtype)
    if draw(st.booleans()):
        u = np.where(rng.random(shape) < 0.3, 0, u).astype(dtype)
    return draw(st.sampled_from([u, *[laid for _, laid in layouts(u)]]))


@st.composite
def indices(draw: st.DrawFn, shape: Shape) -> Any:
    """A key for ``x[key]``: slices of either step, integers, masks, id arrays with repeats."""
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
