"""NumPy's own functions and operators work on Tensors, and never lose the graph silently."""

import operator

import numpy as np
import pytest

import tinygrad_w2v as tg

A, B = np.array([1.5, 0.5, 2.0]), np.array([[0.25, 3.0, 1.0], [2.0, 0.75, 4.0]])


def leaf(values=A):
    return tg.Tensor(values, requires_grad=True)


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv,
                                operator.pow], ids=lambda op: op.__name__)
@pytest.mark.parametrize("other", [2.0, 2, True, np.float64(2), np.float32(2), A + 1, B,
                                   [1.0, 2, 3], np.array(2.0)], ids=repr)
def test_operators_are_numpys_on_either_side(op, other):
    for found, expected in [(op(leaf(), other), op(A, other)), (op(other, leaf()), op(other, A))]:
        assert isinstance(found, tg.Tensor)
        assert found.requires_grad
        assert np.allclose(found.data, expected, rtol=1e-15)
        assert found.dtype == np.float64


@pytest.mark.parametrize("f", [
    lambda x, y: x @ y, np.matmul, np.dot, lambda x, y: np.tensordot(x, y, 1)])
def test_an_array_on_the_left_of_a_product_keeps_the_graph(f):
    x = leaf()
    f(B, x).sum().backward()
    assert x.grad.tolist() == B.sum(axis=0).tolist()


def test_two_tensors_and_unary_operators():
    x = leaf()
    for found, expected in [(-x, -A), (+x, A), (abs(x), A), (x @ x, A @ A), (x**x, A**A),
                            (2**x, 2**A), (x**-1, A**-1), (x / x, A / A)]:
        assert found.requires_grad
        assert np.allclose(found.data, expected)


def test_python_numbers_are_weak_and_arrays_are_not():
    x = tg.Tensor(A, requires_grad=True, dtype=np.float32)
    assert {(x * 2.0).dtype, (2 / x).dtype, (x**2).dtype, tg.maximum(x, 0.0).dtype,
            tg.where(A > 1, x, 0.0).dtype, tg.clip(x, 0, 1).dtype, x.mean().dtype,
            tg.logaddexp(x, 0.0).dtype, x.std(ddof=1).dtype} == {np.dtype(np.float32)}
    assert (x * A).dtype == np.float64
    y = x * A
    y.sum().backward()
    assert x.grad.dtype == np.float32


@pytest.mark.parametrize("compare", [operator.gt, operator.ge, operator.lt, operator.le,
                                     operator.eq, operator.ne], ids=lambda op: op.__name__)
def test_comparisons_give_plain_arrays(compare):
    for found, expected in [(compare(leaf(), 1.5), compare(A, 1.5)),
                            (compare(B, leaf()), compare(B, A)), (compare(leaf(), leaf()),
                                                                  compare(A, A))]:
        assert type(found) is np.ndarray
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("f", [
    np.sign, np.floor, np.isfinite, np.argmax, np.argsort, np.shape, np.ndim, np.size,
    np.zeros_like, np.ones_like, np.nonzero, np.any, lambda x: np.allclose(x, A),
    lambda x: np.array_equal(A, x), np.result_type, np.array_repr], ids=str)
def test_what_has_no_slope_is_plain_numpy(f):
    assert str(f(leaf())) == str(f(A))
    assert not isinstance(f(leaf()), tg.Tensor)


@pytest.mark.parametrize("f", [
    lambda x: np.concatenate([x, A]), lambda x: np.concatenate([A, x]), lambda x: np.stack((x, A)),
    lambda x: np.where(A > 1, x, 0), lambda x: np.where(A > 1, 0, x), lambda x: np.clip(x, 0, 1),
    lambda x: np.linalg.norm(x), lambda x: np.einsum("i,i->", A, x), lambda x: np.split(x, 3)[1],
    lambda x: np.pad(x, 1), lambda x: np.outer(A, x), lambda x: np.amax(x), lambda x: np.cumsum(x),
    lambda x: np.expand_dims(x, 0), lambda x: np.take(x, [0, 0]), lambda x: np.maximum(A, x),
    lambda x: np.add(A, x), lambda x: np.var(x), lambda x: np.squeeze(x), lambda x: np.ravel(x)])
def test_numpys_functions_keep_the_graph_and_give_numpys_value(f):
    out = f(leaf())
    assert isinstance(out, tg.Tensor)
    assert out.requires_grad
    assert np.allclose(out.data, f(A), rtol=1e-15)


def test_functions_of_the_package_on_arrays_are_numpy():
    for name in ("exp", "sum", "matmul", "concatenate", "take", "where", "softmax", "einsum"):
        args = {"matmul": (B, A), "concatenate": ([A, A],), "take": (A, [0]),
                "where": (A > 1, A, 0), "einsum": ("i->", A)}.get(name, (A,))
        assert not isinstance(getattr(tg, name)(*args), tg.Tensor)


def test_a_constant_tensor_is_an_array_to_numpy():
    c = tg.Tensor(A)
    assert np.array_equal(np.asarray(c), A)
    assert np.asarray(c, dtype=np.float32).dtype == np.float32
    assert np.array(c).flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(c)[0] = 9


def test_a_tensor_among_lists_of_tensors_can_be_stacked_but_not_made_an_array():
    assert np.stack([leaf(), leaf()]).shape == (2, 3)
    with pytest.raises(TypeError, match="would lose its gradient"):
        np.array([leaf(), leaf()])


def test_it_behaves_as_a_sequence_and_a_number():
    x = leaf()
    assert (len(x), [t.item() for t in x], float(x[0]), int(x[2])) == (3, A.tolist(), 1.5, 2)
    assert (bool(x[0]), f"{x[0]:.2f}", x.tolist()) == (True, "1.50", A.tolist())
    assert {x: 1}[x] == 1
    assert next(iter(x)).requires_grad
    with pytest.raises(TypeError):
        len(x[0])
