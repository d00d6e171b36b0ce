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

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import tinygrad_w2v as tg

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import (
        Bundle,
        RuleBasedStateMachine,
        consumes,
        invariant,
        multiple,
        rule,
    )
except ImportError as error:
    raise ImportError("tinygrad_w2v.testing.strategies needs hypothesis: install the extra "
                      "tinygrad-w2v[test]") from error

from ..optim import SGD
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

Function = Callable[..., Any]
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
    """A cotangent: mixed signs, some exact zeros but never all, laid out in memory in any way.

    >>> from hypothesis import find
    >>> u = find(cotangents((2, 3)), lambda u: not u.flags.c_contiguous)
    >>> u.shape, bool((abs(u) < 1).all())
    ((2, 3), True)
    """
    rng = draw(GENERATORS)
    u = draw_cotangent(rng, shape, dtype)
    if draw(st.booleans()):
        first = np.arange(u.size).reshape(shape) == 0  # it stays: any gradient fits zeros alone
        u = np.where((rng.random(shape) < 0.3) & ~first, 0, u).astype(dtype)
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


# ── the package in any order, and a naive twin beside it ──────────────────────────────────────────
#
# All numbers are small integers, and all operations polynomials or made of pieces of lines: every
# value, slope and gradient is exact in either precision, and is compared bit for bit.


@dataclass(eq=False)
class LeafTwin:
    """A leaf: its array, which `edit` changes; how often it was changed; its gradient."""

    value: Array
    version: int = 0
    grad: Array | None = None


@dataclass
class Shadow:
    """A Tensor as the twin sees it: the value, and its slopes by every element of every leaf.

    `slopes[leaf]` has shape (leaf.value.size, *value.shape). `reads`: the leaves whose values a
    derivative on the way here needs, and the versions of them. `leaf`: in whose memory it lies.
    """

    value: Array
    slopes: dict[LeafTwin, Array] = field(default_factory=dict)
    reads: frozenset[tuple[LeafTwin, int]] = frozenset()
    leaf: LeafTwin | None = None
    growth: int = 1

    def moved(self, leaf: LeafTwin, e: int) -> Array:
        """The value, a complex step along element `e` of `leaf`."""
        if leaf not in self.slopes:
            return self.value
        return self.value.astype(complex) + np.asarray(self.slopes[leaf][e]) * (1j * H)

    @property
    def bound(self) -> int:
        """More than any value or slope here, or on the way here, in size."""
        own = int(np.max(np.abs(self.value))) + 1
        return own if self.leaf else max(own, self.growth)


class Move(NamedTuple):
    """An operation: on Tensors, on arrays, and what its derivative by each operand reads."""

    tensor: Function
    plain: Function
    reads: tuple[tuple[int, ...], ...] = ((), ())
    growth: Function = lambda *b: max(b)  # of the bounds of the operands


MOVES = {
    "+": Move(operator.add, operator.add, growth=lambda *b: sum(b)),
    "-": Move(operator.sub, operator.sub, growth=lambda *b: sum(b)),
    "*": Move(operator.mul, operator.mul, ((1,), (0,)), lambda a, b=1: a * b),
    "@": Move(operator.matmul, operator.matmul, ((1,), (0,)), lambda a, b=1: 6 * a * b),
    "concatenate": Move(lambda x, y: tg.concatenate([x, y]), lambda x, y: np.concatenate([x, y])),
    "where": Move(lambda x, y: tg.where(np.array([True, False]), x, y),
                  lambda x, y: np.where(np.array([True, False]), x, y)),
    "square": Move(tg.square, lambda x: x * x, ((0,),), lambda a: a * a),
    "relu": Move(tg.relu, lambda x: np.where(np.real(x) > 0, x, 0 * x)),
    "abs": Move(tg.abs, lambda x: x * np.sign(np.real(x)), ((0,),)),
    "negative": Move(operator.neg, operator.neg),
    "double": Move(lambda x: 2 * x, lambda x: 2 * x, growth=lambda a: 2 * a),
    "sum": Move(lambda x: x.sum(), np.sum, growth=lambda a: 12 * a),
    "sum over rows": Move(lambda x: x.sum(axis=-2), lambda x: x.sum(axis=-2),
                          growth=lambda a: 6 * a),
    "take": Move(lambda x: x.take([0, -1, 0]), lambda x: x[[0, -1, 0]]),
    "first": Move(lambda x: x[0], lambda x: x[0]),
    "reversed": Move(lambda x: x[::-1], lambda x: x[::-1]),
    "T": Move(lambda x: x.T, lambda x: x.T),
    "ravel": Move(lambda x: x.ravel(), lambda x: x.reshape(-1)),
}
BINARY = ("+", "-", "*", "@", "concatenate", "where")
VIEWS = ("first", "reversed", "T", "ravel")
H = 2.0**-300  # the step of the twin's complex step: a power of two rounds nothing
BOUND = 2**12  # of values that are computed with: so that sums of products stay exact in float32


def shadow_of(move: Move, operands: Sequence[Shadow], recorded: bool) -> Shadow:
    """Apply `move` in forward mode, by one complex step for each element of each leaf."""
    value = np.asarray(move.plain(*[x.value for x in operands]))
    growth = move.growth(*[x.bound for x in operands])
    leaves = [*{leaf: None for x in operands for leaf in x.slopes}] if recorded else []
    if not leaves:
        return Shadow(value.copy(), growth=growth)  # a constant does not change with a leaf
    slopes = {}
    for leaf in leaves:
        moved = [[x.moved(leaf, e) for x in operands] for e in range(leaf.value.size)]
        slopes[leaf] = np.array([np.imag(move.plain(*xs)) / H for xs in moved])
    owners = [x.leaf for x in operands if x.leaf and np.shares_memory(value, x.leaf.value)]
    wanted = {j for x, reads in zip(operands, move.reads, strict=False) if x.slopes for j in reads}
    read = [operands[j].leaf for j in wanted]
    reads = {(leaf, leaf.version) for leaf in read if leaf}.union(*[x.reads for x in operands])
    return Shadow(value, slopes, frozenset(reads), owners[0] if owners else None, growth)


def integers(seed: int, shape: Shape, dtype: Any = float) -> Array:
    """Small integers, some of them 0, as floats."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(dtype)


SEEDS = st.integers(0, 99)
FORMS = st.sampled_from([(2, 2), (2,), (2, 2), (), (2, 2), (3, 2)])  # most go together
DTYPES = st.sampled_from([np.float64, np.float64, np.float32])
RECORDED = st.sampled_from([True, True, True, True, False])


class GraphMachine(RuleBasedStateMachine):
    """Leaves, constants, operations, walks and changes in any order; a naive twin does the same.

    The twin keeps each value with its slopes by every element of every leaf, in forward mode and
    plain NumPy. After each step all values, shapes, dtypes, ``requires_grad`` and gradients agree;
    what must raise, does, and changes nothing.

    >>> from hypothesis import settings
    >>> from hypothesis.stateful import run_state_machine_as_test
    >>> run_state_machine_as_test(GraphMachine, settings=settings(max_examples=3, deadline=None))
    """

    tensors = Bundle("tensors")
    leaves = Bundle("leaves")

    def __init__(self) -> None:
        super().__init__()
        self.pairs = dict[int, tuple[tg.Tensor, Shadow]]()  # by number: a bundle never lets go
        self.made = 0

    def add(self, tensor: tg.Tensor, shadow: Shadow, walked: bool = False) -> int:
        """Take up a Tensor and its shadow, walk back from it if asked to; give their number."""
        self.made += 1
        self.pairs[self.made] = tensor, shadow
        if walked and shadow.slopes:
            self.walk(tensor, shadow, integers(self.made, tensor.shape))
        return self.made

    def raises(self, errors: Any, do: Function, why: str) -> None:
        """Require that `do` raises one of `errors`."""
        try:
            do()
        except errors:
            return
        raise AssertionError(f"nothing was raised, though {why}")

    # what there is to compute with

    @rule(targets=(tensors, leaves), seed=SEEDS, shape=FORMS, dtype=DTYPES)
    def leaf(self, seed: int, shape: Shape, dtype: Any) -> int:
        """Make a leaf."""
        value = integers(seed, shape, dtype)
        twin, eye = LeafTwin(value.copy()), np.eye(value.size).reshape(value.size, *shape)
        return self.add(tg.Tensor(value, requires_grad=True),
                        Shadow(twin.value, {twin: eye}, leaf=twin))

    @rule(target=tensors, seed=SEEDS, shape=FORMS, dtype=DTYPES)
    def constant(self, seed: int, shape: Shape, dtype: Any) -> int:
        """Make a constant."""
        value = integers(seed, shape, dtype)
        return self.add(tg.Tensor(value), Shadow(value.copy()))

    @rule(target=tensors, x=tensors)
    def detach(self, x: int) -> int:
        """Make a constant of a Tensor."""
        tensor, shadow = self.pairs[x]
        return self.add(tensor.detach(), Shadow(shadow.value.copy(), growth=shadow.bound))

    @rule(x=consumes(tensors))
    def delete(self, x: int) -> None:
        """Let go of a Tensor: what was computed from it stays."""
        if self.pairs[x][1].leaf is None:
            del self.pairs[x]

    # operations

    def move(self, name: str, recorded: bool, *numbers: int) -> Any:
        """Carry out an operation, or see it refused where NumPy refuses it."""
        move, pairs = MOVES[name], [self.pairs[k] for k in numbers]
        tensors, shadows = [t for t, _ in pairs], [s for _, s in pairs]
        try:
            shadow = shadow_of(move, shadows, recorded)
        except (ValueError, IndexError):
            self.raises((ValueError, IndexError), lambda: self.carry_out(move, tensors, recorded),
                        f"NumPy refuses {name} of shapes {[t.shape for t in tensors]}")
            return multiple()
        if shadow.value.size > 12 or shadow.bound > BOUND:
            return multiple()
        return self.add(self.carry_out(move, tensors, recorded), shadow, walked=True)

    def carry_out(self, move: Move, tensors: Sequence[tg.Tensor], recorded: bool) -> tg.Tensor:
        """Carry an operation out on Tensors, under ``no_grad`` if it is not to be recorded."""
        if recorded:
            return move.tensor(*tensors)  # type: ignore[no-any-return]
        with tg.no_grad():
            return move.tensor(*tensors)  # type: ignore[no-any-return]

    @rule(target=tensors, name=st.sampled_from(sorted({*MOVES} - {*BINARY, *VIEWS})), x=tensors,
          recorded=RECORDED)
    def one_operand(self, name: str, x: int, recorded: bool) -> Any:
        """Compute with one Tensor."""
        return self.move(name, recorded, x)

    @rule(target=tensors, name=st.sampled_from(VIEWS), x=tensors, recorded=RECORDED)
    def view(self, name: str, x: int, recorded: bool) -> Any:
        """Take a view: of a leaf it shows the leaf's own memory."""
        return self.move(name, recorded, x)

    @rule(target=tensors, name=st.sampled_from("+-"), x=tensors, y=tensors, recorded=RECORDED)
    def sum_of_two(self, name: str, x: int, y: int, recorded: bool) -> Any:
        """Add or subtract two Tensors, or one twice."""
        return self.move(name, recorded, x, y)

    @rule(target=tensors, name=st.sampled_from("*@"), x=tensors, y=tensors, recorded=RECORDED)
    def product_of_two(self, name: str, x: int, y: int, recorded: bool) -> Any:
        """Multiply two Tensors, or one by itself."""
        return self.move(name, recorded, x, y)

    @rule(target=tensors, name=st.sampled_from(["concatenate", "where"]), x=tensors, y=tensors,
          recorded=RECORDED)
    def join_of_two(self, name: str, x: int, y: int, recorded: bool) -> Any:
        """Put two Tensors together."""
        return self.move(name, recorded, x, y)

    @rule(target=tensors, x=tensors, seed=SEEDS)
    def times_an_array_that_changes_later(self, x: int, seed: int) -> Any:
        """Multiply by a caller's array, which the caller then writes to."""
        tensor, shadow = self.pairs[x]
        array = integers(seed, tensor.shape)
        expected = shadow_of(MOVES["*"], [shadow, Shadow(array.copy())], recorded=True)
        out = tensor * array
        array[...] = 99
        return multiple() if expected.bound > BOUND else self.add(out, expected, walked=True)

    # walks

    @rule(x=tensors, seed=SEEDS, times=st.sampled_from([1, 2]))
    def backward(self, x: int, seed: int, times: int) -> None:
        """Walk back from a Tensor, once or twice; or see that it cannot be."""
        tensor, shadow = self.pairs[x]
        for _ in range(times):
            self.walk(tensor, shadow, integers(seed, tensor.shape))

    @rule(x=tensors)
    def backward_without_a_seed_that_fits(self, x: int) -> None:
        """Walk back from a scalar; of any other Tensor it is refused, and so is any odd seed."""
        tensor, shadow = self.pairs[x]
        self.raises((ValueError, tg.GraphError), lambda: tensor.backward(np.ones((7, 5))),
                    "the seed has another shape")
        if tensor.size == 1:
            self.walk(tensor, shadow, None)
        else:
            self.raises((ValueError, tg.GraphError), tensor.backward, "there is no seed")

    def walk(self, tensor: tg.Tensor, shadow: Shadow, u: Array | None) -> None:
        """Walk back, or see it refused: for a constant, or where a saved value has changed."""
        walk = partial(tensor.backward, u)
        if not shadow.slopes:
            self.raises(tg.GraphError, walk, "it is a constant")
        elif any(leaf.version != version for leaf, version in shadow.reads):
            self.raises(tg.GraphError, walk, "a value that it saved has changed")
        else:
            walk()
            self.expect_gradients(shadow, np.ones(tensor.shape) if u is None else u)

    def walk_from_all(self) -> None:
        """Walk back from every Tensor, with a seed of 0, to see which graphs are stale."""
        for tensor, shadow in self.pairs.values():
            self.walk(tensor, shadow, np.zeros(tensor.shape))

    def expect_gradients(self, shadow: Shadow, u: Array) -> None:
        """Let the twin add u · slopes to the gradients."""
        for leaf, slopes in shadow.slopes.items():
            share = slopes.reshape(leaf.value.size, -1) @ u.reshape(-1)
            g = share.reshape(leaf.value.shape).astype(leaf.value.dtype)
            leaf.grad = g if leaf.grad is None else leaf.grad + g

    # changes

    def leaf_twin(self, x: int) -> LeafTwin:
        """The twin of a leaf."""
        leaf = self.pairs[x][1].leaf
        assert leaf is not None
        return leaf

    @rule(x=leaves)
    def zero_grad(self, x: int) -> None:
        """Forget a gradient."""
        self.pairs[x][0].zero_grad()
        self.leaf_twin(x).grad = None

    @rule(x=leaves, seed=SEEDS)
    def edit(self, x: int, seed: int) -> None:
        """Write to a leaf: views change with it, graphs that saved its values are stale."""
        tensor, leaf = self.pairs[x][0], self.leaf_twin(x)
        new = integers(seed, tensor.shape, tensor.dtype)
        with tensor.edit() as array:
            array[...] = new
        leaf.value[...] = new
        leaf.version += 1
        self.walk_from_all()

    @rule(chosen=st.lists(leaves, min_size=1, max_size=3, unique=True))
    def optimiser_step(self, chosen: list[int]) -> None:
        """Move leaves against their gradients; one that has none stays, and its graphs with it."""
        twins = [self.leaf_twin(x) for x in chosen]
        if any(leaf.grad is not None and np.max(np.abs(leaf.grad)) > 8 for leaf in twins):
            return
        SGD([self.pairs[x][0] for x in chosen], lr=1.0).step()
        for leaf in twins:
            if leaf.grad is not None:
                leaf.value -= leaf.grad
                leaf.version += 1
        self.walk_from_all()

    # what holds after every step

    @invariant()
    def tensors_agree(self) -> None:
        """Values, shapes, dtypes, and whether a gradient is asked for."""
        for number, (tensor, shadow) in self.pairs.items():
            value = shadow.value
            assert (tensor.shape, tensor.dtype) == (value.shape, value.dtype), f"Tensor {number}"
            assert np.array_equal(tensor.data, value), f"value of Tensor {number}"
            assert tensor.requires_grad == bool(shadow.slopes), f"requires_grad of Tensor {number}"

    @invariant()
    def gradients_agree(self) -> None:
        """The gradient of each leaf: None, or of its shape, dtype and value."""
        for number, (tensor, shadow) in self.pairs.items():
            if shadow.leaf is None or shadow.value is not shadow.leaf.value:
                continue
            expected, found = shadow.leaf.grad, tensor.grad
            assert (found is None) == (expected is None), f"gradient of leaf {number}"
            if found is not None and expected is not None:
                assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
                assert np.array_equal(np.asarray(found), expected), f"gradient of leaf {number}"
