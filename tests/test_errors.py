"""Each error says what went wrong, where, and how to put it right; and comes when it should."""

import numpy as np
import pytest

import tinygrad_w2v as tg


def leaf(values=(1.0, 2.0)):
    return tg.Tensor(values, requires_grad=True)


X, M = leaf(), leaf([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

WRONG = {
    "backward from many values": (
        lambda: (X * 2).backward(), ValueError, r"shape \(2,\).*\.sum\(\)\.backward\(\).*seed="),
    "backward from a constant": (
        lambda: tg.Tensor([1.0]).sum().backward(), tg.GraphError, "requires_grad=True"),
    "seed of another shape": (
        lambda: (X * 2).backward(np.ones(3)), ValueError, r"seed has shape \(3,\).*\(2,\)"),
    "sides that do not broadcast": (
        lambda: X + M, ValueError, r"add\(\) of shape \(2,\) and \(2, 3\).*reshape\(\)"),
    "bounds that do not broadcast": (
        lambda: tg.clip(X, np.zeros(3), 1.0), ValueError,
        r"clip\(\) of shape.*Sides must be equal"),
    "matrices that do not fit": (
        lambda: M @ M, ValueError, r"matmul\(\) of shape \(2, 3\) and \(2, 3\)"),
    "concatenate of unlike shapes": (
        lambda: tg.concatenate([X, M]), ValueError, r"shapes \[\(2,\), \(2, 3\)\].*stack\(\)"),
    "reshape to another size": (
        lambda: M.reshape(4), ValueError, r"reshape\(\) of shape \(2, 3\)"),
    "an index out of range": (
        lambda: X[5], IndexError, r"index\(\) of shape \(2,\).*out of bounds"),
    "a Tensor as an index": (
        lambda: X[X], TypeError, "cannot be an index.*integers"),
    "a leaf of integers": (
        lambda: leaf([1, 2]), TypeError, "float32 or float64, not int64: pass floats, or dtype="),
    "a constant of booleans": (
        lambda: tg.Tensor([True]), TypeError, "not bool.*NumPy arrays"),
    "a complex leaf": (
        lambda: leaf([1j]), TypeError, "not complex128"),
    "np.asarray of what is differentiated": (
        lambda: np.asarray(X), TypeError, r"\.detach\(\).*\.numpy\(\)"),
    "np.array of what is differentiated": (
        lambda: np.array([X * 2, X]), TypeError, r"\.detach\(\)"),
    "assignment": (
        lambda: X.__setitem__(0, 1.0), TypeError, r"cannot be assigned to.*where\(.*edit\(\)"),
    "a NumPy function with no rule": (
        lambda: np.linalg.svd(M), TypeError,
        r"np\.linalg\.svd has no derivative rule.*rule\(\).*\.detach"),
    "a ufunc with no rule": (
        lambda: np.arctan2(X, X), TypeError, r"np\.arctan2 has no derivative rule"),
    "a reduction of a ufunc": (
        lambda: np.add.reduce(X), TypeError, r"np\.add\.reduce has no derivative rule"),
    "truth of many values": (
        lambda: bool(X), ValueError, r"2 values is ambiguous.*\.any\(\)"),
    "out=": (
        lambda: np.exp(X, out=np.zeros(2)), TypeError, r"np\.exp.*out="),
    "where= of a ufunc": (
        lambda: np.exp(X, where=True), TypeError, r"np\.exp.*where="),
    "out= of a reduction": (
        lambda: np.sum(X, out=np.zeros(())), TypeError, r"sum\(\).*takes.*not out"),
    "where= of a reduction": (
        lambda: np.mean(X, where=np.array([True, False])), TypeError, "takes.*not where"),
    "a keyword that is not there": (
        lambda: tg.sum(X, dim=0), TypeError, "dim"),
    "dtype= of a reduction": (
        lambda: np.sum(X, dtype=np.float32), TypeError, r"sum\(\).*axis, keepdims, not dtype"),
    "too many operands": (
        lambda: tg.exp(X, X), TypeError, r"exp\(\).*1 operand"),
    "ndarray.dot of a Tensor": (
        lambda: np.ones(2).dot(X), TypeError, r"\.detach\(\)"),
    "in-place arithmetic on an array": (
        lambda: np.add(np.ones(2), X, out=np.ones(2)), TypeError, "out="),
    "einsum without its subscripts": (
        lambda: tg.einsum(X, "i"), TypeError, "subscripts first"),
    "einsum with too few operands": (
        lambda: tg.einsum("i,i", X), ValueError, "needs 2 operands, not 1"),
    "tensordot of unlike sides": (
        lambda: tg.tensordot(X, M, 1) + tg.tensordot(M, M, 1), ValueError, "the sides.*differ"),
    "a norm that is not a vector's": (
        lambda: tg.norm(M, ord=2), ValueError, "only norms of vectors"),
    "a mode of pad": (
        lambda: tg.pad(X, 1, "mean"), ValueError, "no derivative for mode 'mean': use constant"),
    "grad set on a result": (
        lambda: setattr(X * 2, "grad", None), tg.GraphError, "requires_grad=True"),
    "grad of another shape": (
        lambda: setattr(leaf(), "grad", np.ones(3)), ValueError, r"\(2,\).*\(3,\)"),
    "edit of a result": (
        lambda: (X * 2).edit().__enter__(), tg.GraphError, "requires_grad=True"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_error_says_what_where_and_the_fix(mistake):
    work, kind, says = WRONG[mistake]
    with pytest.raises(kind, match=f"(?s){says}"):
        work()


def test_in_place_operators_make_a_new_tensor():
    x = leaf()
    y = x
    y += 1
    assert y is not x
    assert x.tolist() == [1, 2]
    assert tg.grad(lambda x: x.sum())(x).tolist() == [1, 1]


def test_an_array_cannot_swallow_a_tensor_in_place():
    a = np.ones(2)
    a_then = a
    with pytest.raises(TypeError, match="out="):
        a += leaf()
    assert a_then.tolist() == [1, 1]
