"""What a failed check says is true: no name that does not fit, no rule that was not looked at."""

import numpy as np
import pytest

from tinygrad_w2v.testing import GradientError, check_vjp

X = np.array([0.5, -1.25, 2.0])


def told(check, *args, **options):
    with pytest.raises(GradientError) as caught:
        check(*args, **options)
    return caught.value


def test_an_inverted_slope_is_not_named_where_a_slope_is_zero():
    error = told(check_vjp, lambda x: np.maximum(x, 0), lambda g, x: g * 0.3, X)
    assert error.mistake != "slope inverted"
    assert told(check_vjp, np.exp, lambda g, x: g / np.exp(x), X).mistake == "slope inverted"


@pytest.mark.parametrize("x", [X, np.array([0.1, -0.3, 0.2, -0.25])], ids=["large", "small"])
def test_a_small_number_beside_a_divisor_is_no_cast(x):
    error = told(check_vjp, lambda x: np.log(x * x) / 2, lambda g, x: g / (x + 1e-8), x)
    assert error.mistake == "relative slip"
    assert "a step of differences" in str(error)


@pytest.mark.parametrize("f", [np.sin, lambda x: x**3])
def test_a_step_of_differences_is_no_cast(f):
    error = told(check_vjp, f, lambda g, x: g * (f(x + 1e-8) - f(x)) / 1e-8, X)
    assert error.mistake == "relative slip"


@pytest.mark.parametrize("vjp", [
    lambda g, x: g * np.cos(x).astype(np.float32),
    lambda g, x: g.astype(np.float32) * np.cos(x),
    lambda g, x: g * np.cos(x.astype(np.float32).astype(float)),
    lambda g, x: g * np.cos(x.astype(np.float32)).astype(float),
    lambda g, x: (g * np.cos(x)).astype(np.float32).astype(float),
    lambda g, x: g.astype(np.float32).astype(float) * np.cos(x).astype(np.float32)],
    ids=["slope", "cotangent", "operand", "computed", "gradient", "factors"])
def test_a_cast_is_called_so_wherever_it_was(vjp):
    x = X + np.pi / 64  # no number of float32
    assert told(check_vjp, np.sin, vjp, x).mistake == "float32 cast"


def test_a_vjp_whose_arguments_are_in_another_order_is_called_so():
    error = told(check_vjp, lambda x: x**3, lambda x, g: g * 3 * x**2, X)
    assert error.mistake == "arguments swapped"
    error = told(check_vjp, lambda x, y: x**2 * y, lambda x, y, g: (2 * g * x * y, g * x**2),
                 X, X[::-1].copy())
    assert error.mistake == "arguments swapped"
    error = told(check_vjp, lambda x, y: x**2 * y, lambda g, x, y: (g * x**2, 2 * g * x * y),
                 X, X[::-1].copy())
    assert error.mistake != "arguments swapped"


@pytest.mark.parametrize("n", [3, 5, 70])
@pytest.mark.parametrize(("factor", "name"), [
    (lambda n: (n - 1) / n, "(n−1)/n"), (lambda n: n / (n - 1), "n/(n−1)"),
    (lambda n: np.sqrt((n - 1) / n), "√((n−1)/n)"), (lambda n: np.sqrt(n / (n - 1)), "√(n/(n−1))")])
def test_degrees_of_freedom_are_named_among_the_factors(n, factor, name):
    x = np.linspace(-1.0, 2.0, n)
    error = told(check_vjp, lambda x: x.var(), lambda g, x: g * 2 * (x - x.mean()) / n * factor(n),
                 x)
    assert error.mistake == "constant factor"
    assert f", {name}, n the number of elements" in str(error)
