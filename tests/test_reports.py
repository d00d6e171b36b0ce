"""What a failed check says is true: no name that does not fit, no rule that was not looked at."""

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.testing import GradientError, check_grad, check_vjp, mistakes, report
from tinygrad_w2v.testing.report import shrink, steps
from tinygrad_w2v.testing.subject import Pair, Program

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


def test_the_rule_that_drops_the_strong_zero_is_named():
    root = tg.rule(lambda x: np.sqrt(x), x=lambda g, x: g * 0.5 / tg.sqrt(x))
    error = told(check_grad, lambda x: tg.where(x > 0, root(x), x), np.array([-1.0, 2.0]))
    assert error.mistake == "strong zero dropped"
    assert "g * 0.5 / tg.sqrt(x)" in str(error)


def test_the_cotangent_that_a_step_received_is_kept():
    program = Program(lambda x: tg.where(x > 0, tg.sqrt(x), x))
    root = next(step for step in steps(program, [np.array([-1.0, 2.0])])
                if step.rule.name == "sqrt")
    assert root.received.tolist() == [0, 1]
    assert root.unjudged
    assert root.poisoned() is None


def test_every_rule_is_right_only_if_every_step_was_judged():
    finite, not_finite = np.array([1.0, 2.0]), np.array([-1.0, 2.0])
    for at, said in ((finite, "every rule that was used is right"),
                     (not_finite, "1 could not be judged")):
        found = steps(Program(lambda x: tg.where(x > 0, tg.sqrt(x), x)), [at])
        assert len(list(found)) == 2
        assert said in found.says()
    assert steps(Program(lambda x: x.detach() + 1), [finite]).says().startswith("no operation")


def test_of_many_steps_the_ends_of_each_kind_come_first_and_what_is_left_is_counted(monkeypatch):
    def long(x):
        for _ in range(100):
            x = tg.sin(x)
        return tg.exp(x) * x

    found = steps(Program(long), [X])
    everything = list(found)
    assert [step.rule.name for step in everything[:4]] == ["sin", "sin", "exp", "multiply"]
    assert len(everything) == len(found) == 102
    assert everything[0].operands[0].tolist() == X.tolist()
    assert "right by itself" in found.says()
    monkeypatch.setattr(report, "SECONDS", -1)
    assert len(list(found)) == 1
    assert "of 102 operations 101 were not looked at" in found.says()


def test_large_arrays_are_shrunk_by_a_corner_and_not_by_halves():
    sizes = []

    def fails(arrays):
        sizes.append(arrays[0].size)
        return True

    small, = shrink([np.ones((1000, 1000))], fails)
    assert max(sizes) == 32 * 32
    assert small.size <= 30


def test_a_mistake_outside_every_corner_is_still_shrunk():
    a = np.zeros(100_000)
    a[-1] = 1
    small, = shrink([a], lambda arrays: bool(arrays[0].any()))
    assert small.any()
    assert small.size < a.size


def test_when_time_is_over_shrinking_stops_and_gives_what_fails(monkeypatch):
    monkeypatch.setattr(report, "SHRINKING", -1)
    small, = shrink([np.ones(1000)], lambda arrays: pytest.fail("looked again"))
    assert small.size == 1000


def test_a_name_is_not_sought_when_time_is_over(monkeypatch):
    monkeypatch.setattr(mistakes, "SECONDS", -1)
    wrong = Pair(np.exp, lambda g, x: -g * np.exp(x))
    assert mistakes.name_mistakes(wrong, [X], 0) == []
    monkeypatch.undo()
    assert mistakes.name_mistakes(wrong, [X], 0)[0].name == "wrong sign"


def test_a_jacobian_too_large_is_not_computed_and_the_vjp_not_asked():
    wrong = Pair(np.exp, lambda g, x: pytest.fail("asked"))
    assert mistakes.name_mistakes(wrong, [np.ones(1000)], 0) == []


def test_where_the_slope_is_truly_infinite_no_zero_was_dropped():
    root = tg.rule(lambda x: np.sqrt(x), x=lambda g, x: g * 0.5 / tg.sqrt(x))
    for x, poisoned in (([1.0, 0.0], None), ([0.0, 1.0], 0)):
        step, = [step for step in steps(Program(lambda x: root(x) * np.array([0.0, 1.0])),
                                        [np.array(x)]) if step.rule is root.rule]
        assert step.poisoned() == poisoned
