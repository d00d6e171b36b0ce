"""Values in forms that hold: what is done block by block, or by a view, is what it stands for."""

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v import rules, stable

BLOCKWISE = [stable.sigmoid, stable.sech2, stable.softplus, stable.log_sigmoid]
MANY = stable.LARGE + 7  # the last block is a short one


def one_by_one(f, x):
    """The values of f, asked for in pieces that are too small to be cut."""
    return np.concatenate([f(part) for part in np.array_split(x.reshape(-1), 50)]).reshape(x.shape)


@pytest.mark.parametrize("f", BLOCKWISE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_array_has_the_values_of_its_parts(f, dtype):
    x = np.random.default_rng(0).normal(0, 5, MANY).astype(dtype)
    before = x.copy()
    found = f(x)
    assert found.dtype == dtype
    assert np.array_equal(found, one_by_one(f, x))
    assert np.array_equal(x, before)


@pytest.mark.parametrize("layout", [
    lambda x: x.T, lambda x: x[:, ::-1], lambda x: x[::2],
    lambda x: np.broadcast_to(x[:1], x.shape)])
def test_a_large_array_may_lie_in_memory_in_any_way(layout):
    x = layout(np.random.default_rng(0).normal(0, 5, (1200, 600)))
    assert np.array_equal(stable.sigmoid(x), one_by_one(stable.sigmoid, x.copy()))


def test_a_large_array_may_hold_integers_and_complex_numbers():
    whole = np.arange(MANY) % 7 - 3
    assert np.array_equal(stable.sigmoid(whole), stable.sigmoid(whole.astype(float)))
    tilted = whole + 1e-3j
    assert np.array_equal(stable.sigmoid(tilted)[:100], stable.sigmoid(tilted[:100]))


def test_numbers_and_lists_are_arrays_of_one_and_few():
    assert stable.sigmoid(0.0) == 0.5
    assert stable.sech2(np.float32(0)) == 1
    assert stable.softplus(np.zeros(())) == np.log(2)


@pytest.mark.parametrize(("g", "shape"), [
    (np.array(2.0), (3, 2)), (np.array(2.0), ()), (np.array([[1.0], [2.0]]), (2, 3)),
    (np.array([[1.0, 2.0]]), (4, 2)), (np.array([1.0, 2.0]), (3, 2)), (np.ones((2, 1)), (2, 0)),
    (np.array([[1.0, 2.0], [3.0, 4.0]]).T, (5, 2, 2)), (np.arange(6.0)[::2], (2, 3))])
def test_repeat_is_broadcast_to(g, shape):
    found = stable.repeat(g, shape)
    assert found.shape == shape
    assert np.array_equal(found, np.broadcast_to(g, shape))
    assert not found.flags.writeable
    assert found.size == 0 or np.may_share_memory(found, g)


@pytest.mark.parametrize("mask", [np.array([True, False, True]), np.array([2, 0, -1]),
                                  np.array([[True], [False]]), [0.5, 0.0, -0.5], True, False])
@pytest.mark.parametrize("x", [np.array([-1.0, -2.0, 3.0]), np.array([np.inf, np.nan, 1.0]),
                               np.array([1.0, -np.inf, np.nan])])
def test_gate_is_where_with_0_elsewhere(x, mask):
    with np.errstate(invalid="ignore"):
        found = stable.gate(x, mask)
    expected = np.where(mask, x, 0)
    np.testing.assert_array_equal(found, expected)
    assert np.array_equal(np.signbit(found), np.signbit(expected))


def test_gate_keeps_the_type():
    assert stable.gate(np.ones(2, np.float32), np.array([1, 0])).dtype == np.float32


def test_a_gate_that_is_open_lets_the_gradient_of_0_pass():
    gated = lambda x: rules.gate(x, np.array([False, True, True])).sum()
    assert tg.grad(gated)([0.0, 0.0, 1.0]).tolist() == [0, 1, 1]


@pytest.mark.parametrize("subscripts", [
    "ij,ij->ij", "i,j->ij", "i,j->ji", "ij,j->ij", "ji,i->ij", "ij,k->kij", "ij,ij->i", "ii,i->i",
    "i,i->", "ij,jk->ik"])
def test_einsum_is_numpys_whether_it_sums_or_not(subscripts):
    sides, rng = {"i": 3, "j": 3, "k": 3}, np.random.default_rng(0)
    x, y = (rng.normal(size=[sides[a] for a in term])
            for term in subscripts.partition("->")[0].split(","))
    np.testing.assert_allclose(stable.einsum(x, y, subscripts=subscripts),
                               np.einsum(subscripts, x, y), rtol=1e-14)


def test_einsum_repeats_sides_of_1_as_numpy_does():
    x, y = np.arange(3.0).reshape(3, 1), np.arange(6.0).reshape(2, 3)
    assert np.array_equal(stable.einsum(x, y, subscripts="ij,ji->ij"),
                          np.einsum("ij,ji->ij", x, y))


def test_shape_of_asks_numpy_only_where_there_is_no_shape():
    assert stable.shape_of([[1.0, 2.0]]) == (1, 2)
    assert stable.shape_of(np.ones((2, 0))) == (2, 0)
    assert stable.shape_of(3.0) == ()


def test_logsumexp_takes_away_the_axis_it_was_asked_for_and_no_other():
    x = np.zeros((1, 3, 1))
    assert stable.logsumexp(x, axis=1).shape == (1, 1)
    assert stable.logsumexp(x, axis=(0, 1)).shape == (1,)
    assert stable.logsumexp(x).shape == ()


@pytest.mark.parametrize("keywords", [
    {}, {"axis": 0}, {"dtype": np.float32}, {"axis": 0, "out": np.zeros(3)}, {"keepdims": True},
    {"initial": 5.0}, {"where": np.array([True, False, True])}],
    ids=lambda k: " ".join(k) or "none")
def test_sum_is_numpys(keywords):
    x = np.arange(9.0).reshape(3, 3)
    found, expected = stable.sum(x, **keywords), np.sum(x, **keywords)
    assert np.array_equal(found, expected)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found is keywords.get("out", found)


@pytest.mark.parametrize(("subscripts", "shapes"), [
    ("i,j->ij", [(2,), (3,)]), ("j,i->ij", [(2,), (3,)]), ("ij,j->ij", [(3, 2), (2,)]),
    ("ij,ji->ji", [(3, 2), (2, 3)]), ("ik,jk->kji", [(3, 2), (4, 2)]), (",i->i", [(), (3,)]),
    ("ii,j->ij", [(2, 2), (3,)]), ("ij,k->ik", [(2, 3), (4,)]), ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("i,j,k->kij", [(2,), (3,), (4,)]), ("ij->ji", [(2, 3)])])
def test_einsum_is_numpys_whether_anything_is_summed_or_not(subscripts, shapes):
    operands = [np.random.default_rng(k).normal(size=shape) for k, shape in enumerate(shapes)]
    found = stable.einsum(*operands, subscripts=subscripts)
    assert found == pytest.approx(np.einsum(subscripts, *operands), rel=1e-14, abs=0)


@pytest.mark.parametrize("subscripts", ["ii,j->ij", "i,jj->ij", "ik,j->ikj", "i,j->ijk"])
def test_einsum_of_operands_with_too_few_axes_is_refused(subscripts):
    with pytest.raises(ValueError):  # noqa: PT011 (NumPy's own words)
        stable.einsum(np.ones(2), np.ones(3), subscripts=subscripts)
