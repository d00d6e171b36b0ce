"""Every operation keeps every promise, on every call of its row; and on inputs nobody chose."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_w2v as tg
from tinygrad_w2v.testing import OpSpec, check_grad, check_op, strategies as draw
from tinygrad_w2v.testing.invariants import CHECKS, REAL
from tinygrad_w2v.testing.ops import OPS


@pytest.mark.parametrize("claim", CHECKS, ids=lambda claim: claim.__name__.removeprefix("check_"))
@pytest.mark.parametrize("spec", OPS, ids=str)
def test_promise(spec: OpSpec, claim):
    check_op(spec, [claim])


def judged_exactly(f, *arrays, u=None, order=2):
    assert check_grad(f, *arrays, cotangent=u, order=order).oracle == "complex step"


@given(st.data())
def test_gradients_are_unbroadcast_for_any_pair_of_shapes(data):
    sides = data.draw(draw.broadcastable())
    x, y = data.draw(draw.operands(sides))
    u = data.draw(draw.cotangents(np.broadcast_shapes(*sides)))
    judged_exactly(lambda x, y: x * y - x / y, x, y, u=u)


@given(st.data())
def test_matmul_is_right_for_any_pair_of_shapes(data):
    x, y = data.draw(draw.operands(data.draw(draw.matmul_pairs())))
    judged_exactly(tg.matmul, x, y, u=data.draw(draw.cotangents((x @ y).shape)))


@pytest.mark.parametrize("reduce", ["sum", "prod", "norm", "logsumexp", "max"])
@given(data=st.data())
def test_reductions_are_right_over_any_axis(reduce, data):
    shape = data.draw(draw.shapes(sides=st.integers(1, 4)))
    x, axis = data.draw(draw.arrays(shape)), data.draw(draw.axes(len(shape)))
    keepdims = data.draw(st.booleans())
    op = getattr(tg, reduce)
    judged_exactly(lambda x: op(x, axis=axis, keepdims=keepdims), x, order=1)


@given(st.data())
def test_indexing_is_right_for_any_key(data):
    x = data.draw(draw.arrays(draw.shapes()))
    key = data.draw(draw.indices(x.shape))
    assert np.array_equal(tg.index(tg.Tensor(x), key).data, x[key])
    judged_exactly(lambda x: tg.index(x, key), x, u=data.draw(draw.cotangents(x[key].shape)))


@given(st.data())
def test_shapes_are_put_back_by_any_transpose(data):
    x = data.draw(draw.arrays(draw.shapes(max_dims=4)))
    order = data.draw(st.permutations(range(x.ndim)))
    judged_exactly(lambda x: tg.transpose(x, order) * 2, x,
                   u=data.draw(draw.cotangents(x.transpose(order).shape)))


@given(st.data())
def test_slopes_at_kinks_are_subgradients(data):
    """f(y) ≥ f(x) + ⟨s, y − x⟩ for a convex f: exact in binary, and so without a tolerance."""
    shape = data.draw(draw.shapes(sides=st.integers(1, 4), min_dims=1))
    x, y = data.draw(draw.kinked(shape)), data.draw(draw.arrays(shape))
    convex = data.draw(st.sampled_from([
        lambda x: tg.abs(x).sum(), lambda x: tg.relu(x).sum(), lambda x: tg.maximum(x, 1).sum(),
        lambda x: tg.maximum(x, x * 2).sum(), lambda x: -tg.minimum(x, -x).sum()]))
    s = tg.grad(convex)(x).data
    assert convex(y) - convex(x) >= np.sum(s * (y - x))


@given(st.data())
def test_lattice_arrays_stay_away_from_kinks(data):
    x, y = data.draw(draw.operands([(3, 2), (4,)], REAL))
    every = np.concatenate([x.ravel(), y])
    assert np.min(np.abs(every[:, None] - np.arange(-3, 4))) >= 1 / 32
    assert len(np.unique(every)) == every.size
