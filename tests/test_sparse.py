"""RowGrad: the gradient of looking rows up is the rows looked up, and equal to the whole array."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_w2v as tg
from tinygrad_w2v.sparse import add_rows
from tinygrad_w2v.testing import strategies as draw


def table(n=5, d=2):
    return tg.Tensor(np.arange(1.0, n * d + 1).reshape(n, d), requires_grad=True)


def looked_up(ids, weights=None):
    w = table()
    rows = tg.take(w, ids)
    (rows * (1.0 if weights is None else weights)).sum().backward()
    return w.grad


def test_a_lookup_gives_the_rows_looked_up_and_no_others():
    grad = looked_up([3, 1, 3])
    assert isinstance(grad, tg.RowGrad)
    assert (grad.ids.tolist(), grad.rows.shape, grad.shape, grad.dtype) == (
        [3, 1, 3], (3, 2), (5, 2), np.float64)


def test_it_costs_the_rows_not_the_table():
    w = tg.Tensor(np.zeros((100_000, 4)), requires_grad=True)
    w[[7, 7]].sum().backward()
    assert w.grad.rows.size == 8


def test_equal_ids_add_up():
    grad = looked_up([3, 1, 3], np.array([[1.0], [10.0], [100.0]]))
    assert np.asarray(grad)[:, 0].tolist() == [0, 10, 0, 101, 0]
    ids, rows = grad.coalesce()
    assert (ids.tolist(), rows[:, 0].tolist()) == ([1, 3], [10, 101])


def test_no_ids_give_no_rows():
    grad = looked_up([])
    ids, rows = grad.coalesce()
    assert (ids.shape, rows.shape, np.asarray(grad).any()) == ((0,), (0, 2), False)


def test_negative_ids_count_from_the_end():
    assert looked_up([-1]).ids.tolist() == [4]


def test_two_lookups_of_one_table_stay_rows_and_add_up():
    w = table()
    (tg.take(w, [0, 2]).sum() + 10 * tg.take(w, [2]).sum()).backward()
    assert isinstance(w.grad, tg.RowGrad)
    assert np.asarray(w.grad)[:, 0].tolist() == [1, 0, 11, 0, 0]


@pytest.mark.parametrize("rows_first", [True, False])
def test_a_lookup_and_a_whole_use_add_up_to_a_whole_array(rows_first):
    w = table()
    parts = [tg.take(w, [2, 2]).sum(), (w * 3).sum()]
    (parts[0] + parts[1] if rows_first else parts[1] + parts[0]).backward()
    assert isinstance(w.grad, np.ndarray)
    assert w.grad[:, 0].tolist() == [3, 3, 5, 3, 3]


def test_backward_twice_adds_the_rows_twice():
    w = table()
    loss = tg.take(w, [1]).sum()
    loss.backward()
    loss.backward()
    assert np.asarray(w.grad)[:, 0].tolist() == [0, 2, 0, 0, 0]


def test_a_lookup_in_something_computed_gives_a_whole_array():
    w = table()
    tg.take(w * 2, [1, 1]).sum().backward()
    assert isinstance(w.grad, np.ndarray)
    assert w.grad[:, 0].tolist() == [0, 4, 0, 0, 0]


def test_ids_changed_after_use_do_not_change_the_gradient():
    w, ids = table(), np.array([1, 1])
    loss = tg.take(w, ids).sum()
    ids[:] = 0
    loss.backward()
    assert np.asarray(w.grad)[:, 0].tolist() == [0, 2, 0, 0, 0]


def test_float32_rows_stay_float32():
    w = tg.Tensor(np.ones((3, 2)), requires_grad=True, dtype=np.float32)
    w[[0, 0]].sum().backward()
    assert (w.grad.dtype, np.asarray(w.grad).dtype) == (np.float32, np.float32)


@given(st.data())
def test_a_lookup_is_the_product_with_a_one_hot_matrix(data):
    w = data.draw(draw.arrays((5, 3)))
    ids = data.draw(st.lists(st.integers(-5, 4), max_size=6).map(lambda i: np.array(i, int)))
    u = data.draw(draw.cotangents((len(ids), 3)))
    leaf = tg.Tensor(w, requires_grad=True)
    tg.take(leaf, ids).backward(u)
    assert np.allclose(np.asarray(leaf.grad), np.eye(5)[ids].T @ u, rtol=1e-14, atol=1e-14)


@given(st.data())
def test_arithmetic_agrees_with_whole_arrays(data):
    ids = np.array(data.draw(st.lists(st.integers(0, 3), max_size=5)), int)
    grad = tg.RowGrad(ids, data.draw(draw.arrays((len(ids), 2))), (4, 2))
    other = tg.RowGrad(ids[:1], grad.rows[:1] * 3, (4, 2))
    whole, more = np.asarray(grad), np.asarray(other)
    for found, expected in [
            (grad + other, whole + more), (grad * 2.0, whole * 2), (2.0 * grad, whole * 2),
            (grad + whole, whole + whole), (whole - grad, whole - whole), (-grad, -whole),
            (grad * whole, whole * whole), (grad / 4, whole / 4), (np.abs(grad), abs(whole)),
            (grad.astype(np.float32), whole.astype(np.float32)), (grad.copy(), whole)]:
        assert np.allclose(np.asarray(found), expected, rtol=1e-12, atol=1e-12)
    ids, rows = grad.coalesce()
    assert np.all(np.diff(ids) > 0)
    assert np.allclose(np.asarray(tg.RowGrad(ids, rows, (4, 2))), whole)


def test_a_copy_shares_no_memory():
    grad = looked_up([1])
    copy = grad.copy()
    copy.rows[:] = 9
    assert np.asarray(grad).max() == 1


def test_add_rows_sums_where_plain_indexing_keeps_the_last():
    out = np.zeros((3, 2))
    add_rows(out, np.array([2, 2], np.uint8), np.ones((2, 2)))
    assert out.tolist() == [[0, 0], [0, 0], [2, 2]]


@pytest.mark.parametrize("ids", [[5], [-6]])
def test_ids_out_of_range_are_named(ids):
    with pytest.raises(IndexError, match="there are 5 places"):
        tg.take(table(), ids)


def test_ids_that_are_not_integers_are_refused():
    with pytest.raises(TypeError, match="integer ids, not float64"):
        tg.take(table(), [0.0])


def test_the_array_protocol_gives_the_type_that_is_asked_for():
    grad = looked_up([1])
    assert grad.__array__(np.float32).dtype == np.float32
    assert grad.__array__().dtype == np.float64
