"""The engine at its edges: what graphs, Tensors and derivatives of functions do where few look."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.graph import walk
from tinygrad_w2v.sparse import RowGrad, plus

T = tg.Tensor
X = np.arange(24.0).reshape(2, 3, 4)


def leaf(values):
    return T(values, requires_grad=True)


# ── rules that give odd shares ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("x", "share"), [
    (np.ones(0), np.ones(3)), (np.ones((1, 1)), np.ones(())), (np.ones((2, 1)), np.ones(2)),
    (np.ones(3), np.ones(0))])
def test_a_share_that_does_not_broadcast_to_its_operand_is_refused(x, share):
    odd = tg.rule(lambda x: x * 1.0, x=lambda g: share)
    with pytest.raises(tg.GraphError, match="for operand 0 gave float64"):
        odd(leaf(x)).backward(np.ones(x.shape))


def test_a_share_may_be_a_number():
    double = tg.rule(lambda x: 2 * x, x=lambda g: 2.0)
    x = leaf(1.0)
    double(x).backward()
    assert (x.grad, type(x.grad)) == (2, np.ndarray)


def test_a_share_may_be_a_plain_array_in_a_recorded_walk_too():
    step = tg.rule(lambda x: np.sign(x), x=lambda g: np.zeros(2))
    for f in lambda x: (step(x) + x**2).sum(), lambda x: (x**2 + step(x)).sum():
        assert tg.hessian(f)([1.0, 2.0]).tolist() == [[2, 0], [0, 2]]


@pytest.mark.parametrize("share", [0.0, np.zeros(()), 0])
def test_a_constant_share_is_a_constant_tensor_in_a_recorded_walk(share):
    step = tg.rule(lambda x: np.sign(x), x=lambda g: share)
    x = leaf(2.0)
    found = walk(step(x)._node, leaf(1.0))[x._node]
    assert (type(found), found.requires_grad, found.item()) == (T, False, 0)


@pytest.mark.parametrize("share", [np.array([1, 2]), np.array([1.0, 2.0], np.float32)])
@pytest.mark.parametrize("x", [np.ones(2), np.ones(2, np.float32), np.ones(2, complex)])
def test_a_share_of_integers_or_of_other_floats_is_cast(x, share):
    odd = tg.rule(lambda x: x * 1, x=lambda g: share)
    found = tg.vjp(odd, T(x))[1](x)[0]
    assert (found.dtype, found.tolist()) == (x.dtype, [1, 2])


# ── sparse gradients ──────────────────────────────────────────────────────────────────────────────


def test_an_owned_array_is_added_to_in_place_and_no_other():
    total = np.ones(2)
    assert plus(total, np.ones(2)) is total
    view = total[:]
    assert plus(view, np.ones(2)) is not view
    assert total.tolist() == [2, 2]


def test_a_copy_of_row_gradients_shares_neither_ids_nor_rows():
    grad = RowGrad(np.array([1]), np.ones((1, 2)), (3, 2))
    twin = grad.copy()
    twin.ids[:], twin.rows[:] = 0, 9
    assert (grad.ids.tolist(), grad.rows.tolist()) == ([1], [[1, 1]])


def test_row_gradients_become_whole_in_their_own_type_or_the_one_asked_for():
    grad = RowGrad(np.array([1]), np.ones((1, 2), np.float32), (3, 2))
    assert (grad.dense().dtype, np.asarray(grad, np.float64).dtype) == (np.float32, np.float64)
    assert np.add(grad, 1, dtype=np.float64).dtype == np.float64


# ── Tensors ───────────────────────────────────────────────────────────────────────────────────────


def test_axes_of_transpose_may_be_listed_or_given_one_by_one():
    for axes in ((2, 0, 1), ((2, 0, 1),), ([2, 0, 1],)):
        assert T(X).transpose(*axes).shape == (4, 2, 3)
    assert T(X).transpose().shape == T(X).T.shape == (4, 3, 2)
    assert T(X).mT.shape == (2, 4, 3)
    assert T([1.0, 2.0]).transpose(0).tolist() == [1, 2]


def test_shape_may_be_listed_or_given_one_by_one():
    assert T(X).reshape(6, 4).shape == T(X).reshape((6, 4)).shape == T(X).reshape([6, -1]).shape
    assert T(X).reshape(-1).shape == (24,)


def test_positions_of_extremes_are_of_all_elements_or_along_an_axis():
    x = T([[3.0, 1.0], [0.0, 5.0]])
    assert (x.argmax(), x.argmin()) == (3, 2)
    assert (x.argmax(0).tolist(), x.argmin(1).tolist()) == ([0, 1], [1, 0])


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_number_converts_whatever_its_shape(shape):
    x = T(np.full(shape, 2.5))
    assert (float(x), int(x), bool(x), x.item()) == (2.5, 2, True, 2.5)
    assert f"{x:.1f}" == "2.5"


def test_copies_of_constants_are_constants():
    x = T([1.0, 2.0])
    for twin in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert (twin.requires_grad, twin.tolist()) == (False, [1, 2])


def test_detach_copies_the_memory_of_a_leaf_and_nothing_else():
    w = leaf([1.0, 2.0])
    y = w * 2
    assert np.shares_memory(y.detach().data, y.data)
    assert not np.shares_memory(w.detach().data, w.data)
    assert not np.shares_memory(w[:1].detach().data, w.data)


@pytest.mark.parametrize(("make", "says"), [
    (lambda: leaf([1]), "gradients are taken by float32 or float64, not int64"),
    (lambda: T([1]), "a Tensor holds float32 or float64, not int64")])
def test_the_error_says_whether_leaf_or_constant(make, says):
    with pytest.raises(TypeError, match=says):
        make()


# ── derivatives of functions ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("constant", [3, 3.0, True, np.float32(3), np.array(3), np.array([3.0])])
def test_a_function_may_give_a_constant_of_any_kind(constant):
    value, slope = tg.value_and_grad(lambda x: constant)(2.0)
    assert (value.item(), value.dtype, slope.item()) == (np.sum(constant), np.float64, 0)


def test_a_function_of_nothing_has_no_gradients():
    value, pull = tg.vjp(lambda: T(1.0))
    assert (value.item(), pull(1.0)) == (1, ())


def test_under_no_grad_a_leaf_may_be_differentiated_by():
    w = leaf(3.0)
    with tg.no_grad():
        slope = tg.grad(lambda x: x * x)(w)
    assert (slope.item(), slope.requires_grad, w.grad) == (6, False, None)


def test_under_no_grad_a_pullback_gives_constants():
    _, pull = tg.vjp(lambda x: x * x, leaf([1.0, 2.0]))
    u = leaf([1.0, 1.0])
    assert pull(u)[0].requires_grad
    with tg.no_grad():
        assert not pull(u)[0].requires_grad


def test_a_result_that_is_an_outer_argument_keeps_its_derivative():
    assert tg.grad(lambda a: tg.vjp(lambda x: a, 1.0)[0] * a)(3.0).item() == 6
    assert tg.grad(lambda a: tg.vjp(lambda x: a * 1.0, 1.0)[0] * a)(3.0).item() == 6


def test_jvp_keeps_single_precision():
    x = np.ones(2, np.float32)
    value, forwards = tg.jvp(lambda x: x * x, x, np.ones(2))
    assert (value.dtype, forwards.dtype) == (np.float32, np.float32)


def test_a_hessian_times_a_vector_can_be_differentiated_by_the_vector():
    by_v = tg.grad(lambda v: tg.hvp(lambda x: (x**3).sum(), [1.0, 2.0], v).sum())([1.0, 1.0])
    assert by_v.tolist() == [6, 12]


def test_derivatives_by_another_argument_than_the_first():
    f = lambda x, y: (x * y**2).sum()
    assert tg.hessian(f, 1)([2.0], [3.0]).tolist() == [[4]]
    assert tg.hessian(f, -1)([2.0], [3.0]).tolist() == [[4]]
    both = tg.jacobian(lambda x, y: x * y, (0, 1))([2.0], [3.0])
    assert isinstance(both, tuple)
    assert [j.tolist() for j in both] == [[[3]], [[2]]]
    assert isinstance(tg.grad(lambda x, y: x * y, (1,))(2.0, 3.0), tuple)
