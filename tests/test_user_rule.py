"""Users declare primitives of their own with `rule`, and they are like any other."""

from functools import partial

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.testing import check_grad

X = np.array([0.5, -1.25, 2.0])

hypot = tg.rule(np.hypot, x=lambda g, x, out: g * x / out, y=lambda g, y, out: g * y / out)
cube = tg.rule(lambda x: x**3, x=lambda g, x: g * 3 * x**2)
scale = tg.rule(lambda x, factor=2.0: x * factor, x=lambda g, factor=2.0: g * factor)
longest = tg.rule(lambda *xs: np.add.reduce(xs), each=lambda g, *xs, i: g)


def test_a_rule_is_differentiable_to_any_order():
    assert check_grad(cube, X, order=3).compared == 9
    assert [f(tg.Tensor(2.0)).item() for f in (cube, tg.grad(cube), tg.grad(tg.grad(cube)))] == [
        8, 12, 12]


def test_a_rule_broadcasts_and_is_unbroadcast_without_saying_so():
    ref = lambda x, y: np.sqrt(x * x + y * y)
    assert check_grad(hypot, X, X[:, None] + 4, ref=ref, order=2).compared == 12


def test_a_rule_for_a_numpy_function_serves_numpys_name():
    x = tg.Tensor(3.0, requires_grad=True)
    np.hypot(x, 4.0).backward()
    assert x.grad == pytest.approx(0.6)


def test_a_rule_on_plain_arrays_is_plain_numpy():
    assert isinstance(cube(X), np.ndarray)


def test_keywords_reach_the_derivative_and_their_defaults_hold():
    assert tg.grad(scale)(1.0).item() == 2
    assert tg.grad(lambda x: scale(x, factor=5.0))(1.0).item() == 5
    assert tg.grad(lambda x: scale(x, 5.0))(1.0).item() == 5


def test_one_derivative_serves_any_number_of_operands():
    assert check_grad(lambda *xs: longest(*xs), X, X + 4, X - 4).compared == 9


def test_an_operand_without_a_derivative_gets_nothing():
    gate = tg.rule(lambda x, y: x * y, x=lambda g, y: g * y, y=None)
    x, y = (tg.Tensor(3.0, requires_grad=True) for _ in range(2))
    gate(x, y).backward()
    assert (x.grad, y.grad) == (3, None)


def test_a_rule_keeps_alive_what_its_derivatives_name_alone():
    x = tg.Tensor(X, requires_grad=True)
    assert [a is not None for a in cube(x)._node.saved] == [True, False]
    assert [a is not None for a in scale(x)._node.saved] == [False, False]


def test_a_second_rule_for_a_numpy_function_does_not_change_it_for_everybody():
    wrong = tg.rule(np.tanh, x=lambda g: 7 * g)
    assert tg.grad(wrong)(0.0).item() == 7
    assert tg.grad(np.tanh)(0.0).item() == 1


def test_elementwise_rules_have_the_strong_zero_if_they_say_so():
    for promised, expected in (True, 0), (False, np.nan):
        root = tg.rule(lambda x: np.sqrt(x), elementwise=promised, x=lambda g, out: g / (2 * out))
        found = tg.grad(lambda x, root=root: (root(x) * np.array([0.0, 1.0])).sum())([0.0, 4.0])
        np.testing.assert_equal(found.tolist(), [expected, 0.25])


@pytest.mark.parametrize(("share", "says"), [
    (np.ones((2, 2)), r"operand 0 gave float64 of\s+shape \(2, 2\)"),
    (np.ones(3, complex), "gave complex128"), (np.array(["a"] * 3), "gave <U1")])
def test_a_rule_of_the_wrong_shape_or_type_is_named(share, says):
    broken = tg.rule(lambda x: x * 1.0, x=lambda g: share)
    x = tg.Tensor(X, requires_grad=True)
    with pytest.raises(tg.GraphError, match=says):
        broken(x).sum().backward()
    assert x.grad is None


def test_an_operation_has_the_name_of_its_function():
    double = tg.rule(np.positive, x=lambda g: g)
    assert (double.__name__, double.__qualname__) == ("positive", "positive")
    assert tg.relu.__name__ == "relu"


def test_a_derivative_may_be_a_partial_function():
    slope = lambda g, x, n: g * n * x ** (n - 1)
    for n in 2, 3:
        power = tg.rule(lambda x, n=n: x**n, x=partial(slope, n=n))
        assert tg.grad(power)(2.0).item() == n * 2 ** (n - 1)
        assert tg.grad(lambda x, power=power: power(x, n=5))(2.0).item() == 5 * 2**4


def test_a_result_that_is_not_of_floats_is_refused():
    sign = tg.rule(lambda x: x > 0, x=lambda g: g)
    with pytest.raises(TypeError, match="gave bool"):
        sign(tg.Tensor(X))
