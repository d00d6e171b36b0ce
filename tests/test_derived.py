"""Operations made of operations: NumPy's values for every way to call them, and its refusals."""

import numpy as np
import pytest

import tinygrad_w2v as tg

NUMBERS = np.array([1.5, -0.5, 2.0, 0.25, -3.0, 1.25, 4.0, -0.75, 0.5])
CUBE = np.arange(24.0).reshape(2, 3, 4) / 8 - 1


def same(ours, numpys):
    assert isinstance(ours, tg.Tensor)
    assert ours.shape == np.shape(numpys)
    np.testing.assert_allclose(ours.data, numpys, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("n", range(10))
def test_products_of_any_number_of_elements_and_their_slopes_are_right(n):
    x = NUMBERS[:n]
    same(tg.prod(tg.Tensor(x)), np.prod(x))
    same(tg.cumprod(tg.Tensor(x)), np.cumprod(x))
    same(tg.grad(tg.prod)(x), [np.prod(np.delete(x, k)) for k in range(n)])


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, 0), (1, 0, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_products_over_any_axes_are_numpys(axis, keepdims):
    same(tg.prod(tg.Tensor(CUBE), axis, keepdims=keepdims), np.prod(CUBE, axis, keepdims=keepdims))


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_running_products_along_any_axis_are_numpys(axis):
    same(tg.cumprod(tg.Tensor(CUBE), axis), np.cumprod(CUBE, axis))


@pytest.mark.parametrize(("x", "y"), [
    ((), (3,)), ((2, 3), ()), ((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((3,), (3, 4)),
    ((5, 2, 3), (3,)), ((2, 3), (4, 3, 2)), ((5, 2, 3), (4, 3, 2)), ((3,), (4, 3, 2)),
    ((5, 2, 3), (3, 4))])
def test_dot_is_numpys_for_operands_of_any_number_of_axes(x, y):
    x, y = np.arange(1.0, np.prod(x) + 1).reshape(x), np.arange(2.0, np.prod(y) + 2).reshape(y)
    same(tg.dot(tg.Tensor(x), y), np.dot(x, y))
    same(tg.dot(x, tg.Tensor(y)), np.dot(x, y))


@pytest.mark.parametrize("axes", [0, 1, 2, ([0], [2]), ([0, 2], [2, 1]), (-1, 1), ([1, 2], [0, 1]),
                                  ([2, 1], [1, 0]), ([], [])])
def test_tensordot_is_numpys_over_any_axes(axes):
    y = np.arange(24.0).reshape(3, 4, 2)
    x = CUBE if axes != 1 else CUBE.reshape(2, 4, 3)
    same(tg.tensordot(tg.Tensor(x), y, axes), np.tensordot(x, y, axes))


@pytest.mark.parametrize("subscripts", [
    "ij,jk", "ij,jk->ki", "...j,jk->...k", "ij,j...->i...", "i...,...i", "ij , jk -> ik", "ij,jk->",
    "ba,ac", "...ij,...jk->...ik"])
def test_einsum_is_numpys_however_its_subscripts_are_written(subscripts):
    x, y = NUMBERS.reshape(3, 3), np.arange(9.0).reshape(3, 3)
    same(tg.einsum(subscripts, tg.Tensor(x), y), np.einsum(subscripts, x, y))


@pytest.mark.parametrize(("x", "y"), [((2, 3, 3), (3, 3)), ((3, 3), (2, 3, 3)),
                                      ((4, 2, 3, 3), (2, 3, 3)), ((1, 3, 3), (2, 3, 3))])
def test_ellipses_of_einsum_stand_for_different_numbers_of_axes(x, y):
    x, y = np.arange(1.0, np.prod(x) + 1).reshape(x), np.arange(2.0, np.prod(y) + 2).reshape(y)
    for subscripts in "...ij,...jk->...ik", "...ij,...jk":
        same(tg.einsum(subscripts, tg.Tensor(x), y), np.einsum(subscripts, x, y))
    same(tg.einsum("...ij->...", tg.Tensor(x)), np.einsum("...ij->...", x))


@pytest.mark.parametrize("ord", [None, 1, 2, np.inf])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_norms_of_vectors_are_numpys(ord, axis, keepdims):
    x = NUMBERS.reshape(3, 3)
    same(tg.norm(tg.Tensor(x), ord, axis, keepdims), np.linalg.norm(x, ord, axis, keepdims))
    same(np.linalg.norm(tg.Tensor(NUMBERS), ord), np.linalg.norm(NUMBERS, ord))


@pytest.mark.parametrize(("x", "ord", "axis"), [
    (np.ones((2, 2)), 2, None), (np.ones((2, 2)), 1, (0, 1)), (np.ones(3), 3, None),
    (np.ones(3), -np.inf, 0), (np.ones((2, 2)), "fro", None)])
def test_norms_of_matrices_and_of_other_orders_are_refused_by_name(x, ord, axis):
    with pytest.raises(ValueError, match=r"norm\(\) of shape .* ord=.*axis=.*norms of vectors"):
        tg.norm(tg.Tensor(x), ord, axis)


@pytest.mark.parametrize("low", [None, -1.0])
@pytest.mark.parametrize("high", [None, 1.0])
def test_clip_takes_its_bounds_by_place_or_by_name(low, high):
    expected = np.clip(NUMBERS, -np.inf if low is None else low, np.inf if high is None else high)
    same(tg.clip(tg.Tensor(NUMBERS), low, high), expected)
    same(tg.clip(tg.Tensor(NUMBERS), min=low, max=high), expected)
    same(tg.clip(tg.Tensor(NUMBERS), 9.0, 9.0, min=-np.inf if low is None else low,
                 max=np.inf if high is None else high), expected)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("width", [1, (1, 2), ((1, 0), (0, 2))])
def test_pad_is_numpys_in_every_mode(mode, width):
    x = NUMBERS.reshape(3, 3)
    same(tg.pad(tg.Tensor(x), width, mode), np.pad(x, width, mode))


def test_pad_refuses_a_value_where_it_has_no_place_and_modes_without_a_derivative():
    x = tg.Tensor(NUMBERS)
    with pytest.raises(ValueError, match="constant_values for mode 'constant', not for 'edge'"):
        tg.pad(x, 1, "edge", constant_values=2)
    with pytest.raises(ValueError, match="no derivative for mode 'median'"):
        tg.pad(x, 1, "median")
    same(tg.pad(x, 1, constant_values=2), np.pad(NUMBERS, 1, constant_values=2))


@pytest.mark.parametrize("axis", [None, 0, 1, -1, -2])
def test_arrays_are_joined_along_any_axis_as_numpy_does(axis):
    x, y = np.ones((2, 2)), np.zeros((2, 2))
    same(tg.concatenate([tg.Tensor(x), y], axis), np.concatenate([x, y], axis))
    if axis is not None:
        same(tg.stack([tg.Tensor(x), y], axis), np.stack([x, y], axis))


@pytest.mark.parametrize(("shapes", "axis"), [([(2,), (2, 1)], 0), ([(2,), (2,)], 1),
                                              ([(2,), (2,)], -2), ([(2, 1), (2,)], -1)])
def test_arrays_that_cannot_be_joined_are_named(shapes, axis):
    with pytest.raises(ValueError, match=rf"concatenate\(\) on axis {axis} of shapes"):
        tg.concatenate([tg.Tensor(np.ones(shape)) for shape in shapes], axis)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_split_cuts_along_any_axis_as_numpy_does(axis):
    for cuts in 2, [1], [0, 1, 1]:
        x = np.arange(16.0).reshape(4, 4)
        for ours, numpys in zip(tg.split(tg.Tensor(x), cuts, axis), np.split(x, cuts, axis),
                                strict=True):
            same(ours, numpys)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_take_looks_up_along_any_axis_and_scatter_undoes_it(axis):
    x, ids = CUBE, np.array([[1, 0, -1], [-2, 1, 1]])
    same(tg.take(tg.Tensor(x), ids, axis), np.take(x, ids, axis))
    same(np.take(tg.Tensor(x), ids, axis), np.take(x, ids, axis))
    if axis is not None:
        found = np.take(x, [1, 0], axis)
        same(tg.take(tg.scatter(tg.Tensor(found), [1, 0], x.shape, axis), [1, 0], axis), found)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("ids", [[-4], [3], [0, 7], [-1, -9]])
def test_ids_that_are_not_there_are_refused_with_their_range(n, ids):
    with pytest.raises(IndexError, match=f"ids from {min(ids)} to {max(ids)}.*{n} places"):
        tg.take(tg.Tensor(np.ones((n, 2))), ids)
    with pytest.raises(IndexError, match=rf"scatter\(\): ids from .* {n} places"):
        tg.scatter(tg.Tensor(np.ones((len(ids), 2))), ids, n)


def test_ids_at_both_ends_are_there():
    x = tg.Tensor(NUMBERS)
    assert x[[-9, 8, 0, -1]].tolist() == NUMBERS[[-9, 8, 0, -1]].tolist()


@pytest.mark.parametrize("key", [[1, 1], (1, 1), [True, False, True], [], np.array([2, 0]),
                                 ([0, 1], [1, 1]), (slice(None), [0, 0]), 1, ..., None])
def test_a_key_of_any_kind_gives_numpys_elements(key):
    x = NUMBERS.reshape(3, 3)
    expected = x[np.array(key, int) if isinstance(key, list) and not key else key]
    same(tg.index(tg.Tensor(x), key), expected)


def test_a_tensor_is_no_index():
    with pytest.raises(TypeError, match="cannot be an index"):
        tg.index(tg.Tensor(NUMBERS), tg.Tensor([1.0]))
    with pytest.raises(TypeError, match="cannot be an index"):
        tg.index(tg.Tensor(CUBE), (0, tg.Tensor([1.0])))


def test_what_does_not_fit_is_refused_by_einsum_and_tensordot():
    x = tg.Tensor(NUMBERS)
    with pytest.raises(TypeError, match="subscripts first, as a string"):
        tg.einsum(x, "i->i")
    with pytest.raises(ValueError, match="needs 2 operands, not 1"):
        tg.einsum("i,i", x)
    with pytest.raises(ValueError, match=r"sides of axes \[0\] and \[1\] differ"):
        tg.tensordot(x, np.ones((9, 2)), ([0], [1]))
