"""The checker is tested too: what it must catch, and what it must not call wrong."""

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.sparse import RowGrad
from tinygrad_w2v.testing import Call, GradientError, OpSpec, check_grad, check_op
from tinygrad_w2v.testing.invariants import check_subgradient
from tinygrad_w2v.testing.slopes import ridders

X, Y = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.5]]), np.array([0.25, 1.75, -2.5])
IDS = np.array([2, 0, 2])


def unary(fn, derivative):
    return tg.rule(fn, x=derivative), (X,)


def multiply(x=lambda g, y: g * y, y=lambda g, x: g * x):
    return tg.rule(lambda x, y: x * y, x=x, y=y), (X, Y)


def lose_duplicates(g, x_shape):
    out = np.zeros(x_shape)
    out[IDS] = g
    return out


WRONG = {
    "factor 2 missing": unary(lambda x: x**2, lambda g, x: g * x),
    "wrong sign": unary(np.cos, lambda g, x: g * np.sin(x)),
    "cotangent ignored": unary(lambda x: 2 * x, lambda g: 2 * np.ones(g.shape)),
    "cotangent by its sign only": unary(lambda x: 2 * x, lambda g: 2 * np.sign(g)),
    "cotangent squared": unary(lambda x: 2 * x, lambda g: 2 * g * g),
    "out for x": unary(lambda x: x**3, lambda g, out: 3 * g * out**2),
    "x for out": unary(np.exp, lambda g, x: g * x),
    "operands swapped": multiply(lambda g, x, y: g * x, lambda g, x, y: g * y),
    "second operand forgotten": multiply(y=None),
    "second operand's sign": multiply(y=lambda g, x: -g * x),
    "un-broadcast by a mean": multiply(y=lambda g, x: (g * x).mean(axis=0)),
    "un-broadcast by the first row": multiply(y=lambda g, x: (g * x)[0]),
    "duplicates lost": (tg.rule(lambda x: x[IDS], x=lose_duplicates), (Y,)),
    "not transposed back": (tg.rule(lambda x: np.transpose(x, (1, 2, 0)), x=lambda g: np.reshape(
        g, (2, 3, 4))), (np.arange(24.0).reshape(2, 3, 4),)),
    "slope only nearly right": unary(np.sin, lambda g, x: g * np.cos(x) * (1 + 1e-10)),
    "one element of many": unary(lambda x: x * 1.0, lambda g: g * np.where(
        np.arange(3) == 1, 1.5, 1)),
    "a row that is not there": (tg.rule(lambda x: x[IDS], x=lambda g, x_shape: RowGrad(
        IDS[:2], g[:2], x_shape)), (Y,)),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_planted_mistake_is_caught(mistake):
    f, arrays = WRONG[mistake]
    with pytest.raises(GradientError, match="wrong gradient by operand"):
        check_grad(f, *arrays)


def test_a_wrong_shape_is_caught_by_the_walk_and_its_rule_is_named():
    f, arrays = multiply(y=lambda g, x: (g * x)[:, :2])
    with pytest.raises(GradientError, match=r"operand 1 gave float64 of\s+shape \(2") as caught:
        check_grad(f, *arrays)
    assert caught.value.mistake == "wrong shape"
    assert "by y: lambda g, x: (g * x)[:, :2]" in caught.value.rule


def test_a_mistake_in_the_second_derivative_alone_is_caught():
    half = tg.rule(lambda x: np.sin(x), x=lambda g, x: g * half_slope(x))
    half_slope = tg.rule(lambda x: np.cos(x), x=lambda g, x: -g * np.sin(x) / 2)
    check_grad(half, X)
    with pytest.raises(GradientError, match="wrong gradient"):
        check_grad(half, X, order=2)


def test_a_mistake_in_single_precision_is_caught_and_rounding_is_not_one():
    f, _ = unary(np.sin, lambda g, x: g * np.cos(x) * (1 + 1e-3))
    with pytest.raises(GradientError):
        check_grad(f, X.astype(np.float32))
    assert check_grad(tg.sin, X.astype(np.float32)).worst > 1e-12


def test_the_error_says_operand_element_values_oracle_and_how_to_see_it_again():
    f, arrays = WRONG["second operand's sign"]
    with pytest.raises(GradientError) as caught:
        check_grad(f, *arrays, seed=7)
    text = str(caught.value)
    assert "operand 1 at element (0,), one of 3 wrong among 3" in text
    assert "backward: " in text
    assert "complex step: " in text
    array = np.array
    call = text.partition("reproduce: ")[2]
    with pytest.raises(GradientError) as again:
        eval(call, {"check_grad": check_grad, "f": f, "array": array})
    assert str(again.value) == text


def test_check_op_names_the_operation_the_call_and_the_claim():
    f, _ = multiply(y=lambda g, x: -g * x)
    spec = OpSpec("times", f, np.multiply, (Call(((2, 3), (3,))),))
    with pytest.raises(GradientError, match=r"times\(\(2, 3\), \(3,\)\) fails check_gradient"):
        check_op(spec)


def test_a_wrong_choice_at_a_kink_is_no_subgradient():
    good = OpSpec("hinge", tg.relu, tg.relu, (Call(((7,),)),), kinks=(0,), convex=1)
    check_op(good, [check_subgradient])
    bad = tg.rule(lambda x: np.maximum(x, 0), x=lambda g, x: np.where(x >= 0, g * (x != 0), 0)
                  + 2 * g * (x == 0))
    with pytest.raises(GradientError, match="no sub-gradient"):
        check_op(OpSpec("hinge", bad, tg.relu, good.calls, kinks=(0,), convex=1),
                 [check_subgradient])


def test_a_result_that_lost_its_graph_is_an_error():
    with pytest.raises(GradientError, match="graph is lost"):
        check_grad(lambda x: x.numpy(), X)


def test_a_detached_operand_is_caught():
    with pytest.raises(GradientError, match="wrong gradient"):
        check_grad(lambda x: x * x.detach(), X)


# ── the oracles ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("f", [
    tg.abs, lambda x: tg.rule(lambda x: np.real(x) ** 2, x=lambda g, x: 2 * g * x)(x),
    lambda x: tg.rule(lambda x: (x * np.conj(x)).real, x=lambda g, x: 2 * g * x)(x)],
    ids=["abs", "real", "conj"])
def test_what_is_not_analytic_is_judged_by_differences(f):
    assert check_grad(f, X).oracle.startswith("extrapolated differences")


def test_differences_find_a_mistake_too():
    wrong = tg.rule(np.absolute, x=lambda g, x: g * np.sign(x) * 1.001)
    with pytest.raises(GradientError, match="wrong gradient"):
        check_grad(wrong, X)


@pytest.mark.parametrize("f", [tg.abs, tg.relu, tg.norm, lambda x: tg.maximum(x, -x)])
def test_a_kink_is_inconclusive_never_a_pass(f):
    with pytest.raises(GradientError, match="inconclusive"):
        check_grad(f, np.zeros(2))


def test_the_edge_of_the_domain_is_inconclusive():
    root = tg.rule(lambda x: np.sqrt(np.abs(x)), x=lambda g, x: g * 0.0)
    with pytest.raises(GradientError, match="inconclusive"):
        check_grad(root, np.zeros(1))


def test_a_reference_that_is_not_analytic_or_another_function_is_refused():
    with pytest.raises(GradientError, match="cannot serve as a reference"):
        check_grad(tg.abs, X, ref=np.abs)
    with pytest.raises(GradientError, match="real part of its value is another"):
        check_grad(tg.sin, X, ref=lambda x: 2 * np.sin(x))


def test_extrapolation_knows_its_own_error():
    estimate, error = ridders(np.exp)
    assert abs(estimate - 1) <= 10 * error < 1e-9
    assert ridders(abs)[1] == np.inf


# ── what it costs to import ───────────────────────────────────────────────────────────────────────


def test_importing_the_kit_does_not_import_hypothesis():
    code = "import sys, tinygrad_w2v.testing; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_hypothesis_is_explained():
    code = ("import sys; sys.modules['hypothesis'] = None\n"
            "from tinygrad_w2v.testing import strategies")
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "tinygrad-w2v[test]" in run.stderr
