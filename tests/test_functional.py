"""Derivatives of functions: right, nested to any order, and never confused with each other."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_w2v as tg
from tinygrad_w2v.testing import strategies as draw

X, Y = np.array([0.5, -1.25, 2.0]), np.array([[1.5, 0.25, -0.75], [0.125, 2.5, 1.0]])


def close(found, expected):
    found = found.data
    assert found.shape == np.shape(expected)
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-14)


# ── each does what it says ────────────────────────────────────────────────────────────────────────


def test_grad_takes_arrays_lists_numbers_and_tensors():
    f = lambda x: (x * x).sum()
    for x in X, X.tolist(), tg.Tensor(X), tg.Tensor(X, requires_grad=True):
        close(tg.grad(f)(x), 2 * X)
    close(tg.grad(f)(3.0), 6.0)


def test_grad_does_not_touch_the_grad_of_its_argument():
    x = tg.Tensor(X, requires_grad=True)
    tg.grad(lambda x: (x * x).sum())(x)
    assert x.grad is None


def test_value_and_grad_gives_both():
    value, gradient = tg.value_and_grad(lambda x: (x**3).sum())(X)
    close(value, (X**3).sum())
    close(gradient, 3 * X**2)


def test_argnums_choose_the_argument_or_several():
    f = lambda x, y, z=1.0: (x * y * z).sum()
    close(tg.grad(f, 1)(X, Y), np.broadcast_to(X, Y.shape))
    close(tg.grad(f, -1)(X, Y), np.broadcast_to(X, Y.shape))
    first, second = tg.grad(f, (0, 1))(X, Y, z=2.0)
    close(first, 2 * Y.sum(axis=0))
    close(second, 2 * np.broadcast_to(X, Y.shape))
    assert isinstance(tg.grad(f, (0,))(X, Y), tuple)


def test_arguments_that_are_not_differentiated_are_passed_as_they_are():
    seen = []
    tg.grad(lambda x, how: seen.append(how) or x * 1.0)(2.0, {"any": "thing"})
    assert seen == [{"any": "thing"}]


def test_the_gradient_has_the_shape_and_dtype_of_its_argument():
    g = tg.grad(lambda x: (x * np.ones(3)).sum())(np.ones((2, 1), np.float32))
    assert (g.shape, g.dtype) == ((2, 1), np.float32)


def test_an_argument_that_does_not_matter_has_slope_0():
    close(tg.grad(lambda x, y: x.sum(), 1)(X, Y), np.zeros_like(Y))
    close(tg.grad(lambda x: tg.Tensor(3.0))(X), np.zeros(3))
    close(tg.grad(lambda x: 3.0)(X), np.zeros(3))


def test_vjp_pulls_any_cotangent_back_and_again():
    value, pull = tg.vjp(lambda x, w: w @ x, X, Y)
    close(value, Y @ X)
    for u in np.array([1.0, -2.0]), np.array([0.5, 3.0]):
        by_x, by_w = pull(u)
        close(by_x, Y.T @ u)
        close(by_w, np.outer(u, X))


def test_jvp_pushes_a_tangent_forwards():
    value, forwards = tg.jvp(lambda x: Y @ (x * x), X, np.array([1.0, 10.0, 100.0]))
    close(value, Y @ X**2)
    close(forwards, Y @ (2 * X * [1, 10, 100]))
    _, forwards = tg.jvp(lambda x, w: w @ x, (X, Y), (np.ones(3), Y))
    close(forwards, Y.sum(axis=1) + Y @ X)


def test_jvp_of_integers_as_tangents_and_of_a_constant():
    close(tg.jvp(lambda x: x * x, X, [1, 0, 0])[1], [1.0, 0, 0])
    close(tg.jvp(lambda x: tg.Tensor(X), X, X)[1], np.zeros(3))


def test_jacobian_is_of_the_shape_of_the_value_and_of_the_argument():
    close(tg.jacobian(lambda x: Y @ x)(X), Y)
    assert tg.jacobian(lambda x: x[None] * Y)(X).shape == (2, 3, 3)
    assert tg.jacobian(lambda x: x[:0])(X).shape == (0, 3)
    by_x, by_y = tg.jacobian(lambda x, y: y @ x, (0, 1))(X, Y)
    close(by_x, Y)
    close(by_y, np.einsum("ij,k->ijk", np.eye(2), X))


def test_hessian_and_hvp_agree_with_mathematics():
    f = lambda x: (x**3).sum() + x[0] * x[1]
    expected = np.diag(6 * X) + [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    close(tg.hessian(f)(X), expected)
    close(tg.hvp(f, X, [1.0, 2.0, 3.0]), expected @ [1, 2, 3])


@given(st.data())
def test_forwards_and_backwards_are_one_jacobian(data):
    x, v = data.draw(draw.operands([(3,), (3,)]))
    u = data.draw(draw.cotangents((2,)))
    f = lambda x: tg.tanh(Y @ x) * x[0]
    matrix = tg.jacobian(f)(x).data
    close(tg.jvp(f, x, v)[1], matrix @ v)
    close(tg.vjp(f, x)[1](u)[0], u @ matrix)


# ── nesting ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("f", "derivatives"), [
    (lambda x: x**5, [80, 160, 240, 240]),
    (tg.exp, [np.exp(2.0)] * 4),
    (tg.sin, [np.cos(2), -np.sin(2), -np.cos(2), np.sin(2)]),
    (lambda x: 1 / x, [-1 / 4, 2 / 8, -6 / 16, 24 / 32]),
    (tg.log, [1 / 2, -1 / 4, 2 / 8, -6 / 16])], ids=["x**5", "exp", "sin", "1/x", "log"])
def test_derivatives_nest_to_order_4(f, derivatives):
    for expected in derivatives:
        f = tg.grad(f)
        close(f(2.0), expected)


def test_forwards_over_backwards_over_forwards():
    forwards = lambda f: lambda x: tg.jvp(f, x, 1.0)[1]
    close(forwards(forwards(lambda x: x**4))(2.0), 48.0)
    close(tg.grad(forwards(lambda x: x**4))(2.0), 48.0)
    close(forwards(tg.grad(lambda x: x**4))(2.0), 48.0)
    close(forwards(tg.grad(forwards(lambda x: x**4)))(2.0), 48.0)


def test_perturbations_are_not_confused():
    """∂/∂x (x · ∂/∂y (x + y)) is 1; confusing the two derivatives gives 2."""
    close(tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(1.0), 1.0)
    close(tg.grad(lambda x: x * tg.jvp(lambda y: x + y, 1.0, 1.0)[1])(1.0), 1.0)
    close(tg.grad(lambda x: x * tg.grad(lambda y: x * y)(3.0))(5.0), 10.0)
    close(tg.grad(lambda x: tg.grad(lambda y: x * x * y * y)(x))(2.0), 24.0)


def test_a_derivative_inside_a_loss_reaches_outer_leaves():
    """A gradient penalty: the loss holds ∂f/∂x, and its own gradient goes to w."""
    w = tg.Tensor(Y, requires_grad=True)
    penalty = (tg.grad(lambda x: tg.square(w @ x).sum())(X) ** 2).sum()
    penalty.backward()
    expected = tg.grad(lambda w: ((2 * w.T @ (w @ X)) ** 2).sum())(Y)
    close(expected, w.grad)


def test_closures_over_outer_leaves_give_values_that_hang_on_them():
    w = tg.Tensor(2.0, requires_grad=True)
    value, gradient = tg.value_and_grad(lambda x: w * x * x)(3.0)
    (value + gradient).backward()
    assert w.grad == 9 + 6
    (x_slope,) = tg.vjp(lambda x: w * x, 3.0)[1](1.0)
    assert x_slope.requires_grad


def test_cotangents_can_be_differentiated_by():
    f = lambda u: tg.vjp(lambda x: x**3, X)[1](u)[0].sum()
    close(tg.grad(f)(np.ones(3)), 3 * X**2)


def test_results_that_hang_on_nothing_are_constants_numpy_may_have():
    value, gradient = tg.value_and_grad(lambda x: (x * x).sum())(X)
    for result in (value, gradient, tg.hessian(lambda x: (x**3).sum())(X), tg.jvp(
            tg.sin, X, X)[1], tg.vjp(tg.sin, X)[1](X)[0], tg.jacobian(tg.sin)(X),
            tg.hvp(lambda x: (x**3).sum(), X, X)):
        assert not result.requires_grad
        assert np.asarray(result).shape == result.shape


def test_derivatives_are_the_same_under_no_grad_and_hang_on_nothing():
    w = tg.Tensor(2.0, requires_grad=True)
    with tg.no_grad():
        found = tg.grad(lambda x: w * x * x)(3.0)
        second = tg.grad(tg.grad(lambda x: w * x**3))(3.0)
    assert (found.item(), second.item()) == (12, 36)
    assert not found.requires_grad


def test_an_error_inside_leaves_the_next_derivative_right():
    def fails(x):
        raise KeyError

    with pytest.raises(KeyError):
        tg.grad(lambda x: x * tg.grad(fails)(x))(1.0)
    close(tg.grad(tg.grad(lambda x: x**3))(2.0), 12.0)
    with tg.no_grad():
        with pytest.raises(KeyError):
            tg.grad(fails)(1.0)
        assert not (tg.Tensor(1.0, requires_grad=True) * 2).requires_grad


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


def test_a_function_of_many_values_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"one number.*shape \(3,\).*jacobian\(\) or vjp\(\)"):
        tg.grad(lambda x: x * x)(X)


def test_integers_are_refused():
    for derivative in tg.grad, tg.jacobian, tg.hessian:
        with pytest.raises(TypeError, match="float32 or float64, not int64"):
            derivative(lambda x: (x * x).sum())(np.arange(3))
    with pytest.raises(TypeError, match="not bool"):
        tg.vjp(lambda x: x * 1.0, np.array([True]))


@pytest.mark.parametrize("argnums", [1, -2, (0, 3)])
def test_an_argument_that_is_not_there_is_refused(argnums):
    with pytest.raises(ValueError, match=r"argnums=.* 1 argument"):
        tg.grad(lambda x: x * x, argnums)(1.0)


def test_a_cotangent_or_tangent_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"cotangent has shape \(2,\).*\(3,\)"):
        tg.vjp(tg.sin, X)[1](np.ones(2))
    with pytest.raises(ValueError, match=r"tangents of shape \[\(2,\)\].*\[\(3,\)\]"):
        tg.jvp(tg.sin, X, np.ones(2))


def test_the_identity_gives_its_value_as_a_constant():
    value, pull = tg.vjp(lambda x: x, X)
    assert not value.requires_grad
    close(pull(Y[0])[0], Y[0])
