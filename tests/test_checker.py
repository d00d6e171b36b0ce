"""The checker is tested too: what it must catch, and what it must not call wrong."""

import math
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.sparse import RowGrad
from tinygrad_w2v.testing import Call, GradientError, OpSpec, check_grad, check_op, check_vjp
from tinygrad_w2v.testing.invariants import check_subgradient
from tinygrad_w2v.testing.slopes import find_truth, ridders

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
    "slope only relative slip": unary(np.sin, lambda g, x: g * np.cos(x) * (1 + 1e-10)),
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


# ── nothing but rounding is forgiven ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("f", [
    lambda x: tg.softmax(x).sum(), lambda x: tg.sin(x)**2 + tg.cos(x)**2, lambda x: x - x.sum() - x,
    lambda x: x * 3.3 - x * 1.1 - x * 2.2, lambda x: (x - x.mean()).sum(), lambda x: x / x],
    ids=["softmax", "pythagoras", "sum", "linear", "mean", "ratio"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", range(5))
def test_where_all_cancels_what_is_left_of_rounding_is_no_mistake(f, dtype, seed):
    x = np.random.default_rng(seed).uniform(-3, 3, (2, 3)).astype(dtype)
    assert check_grad(f, x, seed=seed).oracle == "complex step"


@pytest.mark.parametrize("slip", [1e-6, 1e-10])
@pytest.mark.parametrize("wave", [1, 100, 1e4])
def test_a_slip_is_caught_however_steep_the_function(slip, wave):
    f = tg.rule(lambda x: np.sin(wave * x), x=lambda g, x: g * wave * np.cos(wave * x) * (1 + slip))
    with pytest.raises(GradientError, match="wrong gradient"):
        check_grad(f, X)


def test_a_tiny_slope_beside_a_large_constant_is_judged_and_not_lost():
    plain = lambda x: x * 1e-9 + 1e6
    assert check_grad(plain, X).oracle == "complex step"
    for wrong in 2e-9, 0.0, 1.0001e-9:
        with pytest.raises(GradientError, match="wrong gradient"):
            check_grad(tg.rule(plain, x=lambda g, wrong=wrong: g * wrong), X)


def test_a_wrong_gradient_where_the_true_one_is_zero_is_caught():
    f = tg.rule(lambda x: np.sin(x)**2 + np.cos(x)**2, x=lambda g, x: g * 1e-9 * x)
    with pytest.raises(GradientError, match="wrong gradient"):
        check_grad(f, X)


def test_a_mistake_at_a_single_number_is_not_taken_for_rounding():
    f = tg.rule(np.sin, x=lambda g, x: np.where(x == 0.5, 0, g * np.cos(x)))
    with pytest.raises(GradientError, match="one of 1 wrong among 6") as caught:
        check_grad(f, X)
    assert (caught.value.element, caught.value.mistake) == ((0, 0), "gradient lost in part")


def test_operands_of_two_precisions_are_judged_by_the_lower():
    assert check_grad(lambda x, y: tg.exp(x) * y, X.astype(np.float32), Y, order=2).worst > 1e-12


# ── the ladder ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(np.finfo(np.longdouble).eps >= np.finfo(float).eps,
                    reason="long double is double on this machine")
@pytest.mark.parametrize("f", [tg.abs, lambda x: tg.logaddexp(x, 1.0)], ids=["abs", "logaddexp"])
def test_in_long_double_differences_are_as_good_as_the_complex_step(f):
    done = check_grad(f, X)
    assert done.oracle == "extrapolated differences in long double"
    assert done.worst < 1e-14


def test_a_function_that_drops_long_double_is_asked_in_double():
    done = check_vjp(lambda x: np.array([math.erf(t) for t in x]),
                     lambda g, x: g * 2 / math.sqrt(math.pi) * np.exp(-x * x), Y)
    assert done.oracle == "extrapolated differences"


def test_a_small_slope_that_the_complex_step_cannot_see_is_inconclusive():
    with pytest.raises(GradientError, match="rounding hides slopes"):
        check_grad(lambda x: tg.abs(x) * 1e-9 + 1e6, X)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[::-1, ::-1],
                                    lambda a: np.broadcast_to(a[0], a.shape)])
def test_an_oracle_reads_operands_in_any_order_of_memory(layout):
    x = layout(X)
    truth, _ = find_truth(np.sin, [x], np.sin(x), np.eye(6))
    np.testing.assert_allclose(truth.slopes[0], np.diag(np.cos(x).ravel()), rtol=1e-15)


# ── at kinks ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("f", "x"), [
    (tg.max, [1.5, 0.5, 1.5]), (tg.relu, [0.0, 0, 1]), (tg.abs, [0.0, 2]), (tg.norm, [0.0, 0]),
    (lambda x: (tg.relu(x) * Y).sum(), [0.0, 0, 0]), (lambda x: tg.maximum(x, x[::-1]), [1.0, 1]),
    (lambda x: tg.clip(x, 0, 1), [0.0, 1]), (lambda x: tg.relu(x[0]) - tg.relu(x[1]), [0.0, 0])])
def test_a_subgradient_is_not_called_wrong(f, x):
    with pytest.raises(GradientError, match="inconclusive"):
        check_grad(f, np.array(x))


def test_a_tie_rule_that_is_no_subgradient_is_wrong_and_says_in_which_direction():
    both = tg.rule(np.maximum, x=lambda g, x, y: g * (x >= y), y=lambda g, x, y: g * (y >= x))
    with pytest.raises(GradientError, match="where elements that are equal stay equal") as caught:
        check_grad(lambda x, y: both(x, y) * 2, np.array([0.5, 2.0]), np.array([0.5, 1.0]))
    assert caught.value.mistake == "tie rule"
    assert "by x: lambda g, x, y: g * (x >= y)" in caught.value.rule


# ── any function, any vjp ─────────────────────────────────────────────────────────────────────────


def test_a_vjp_may_give_an_array_a_tuple_a_list_none_or_a_number():
    dot = lambda x, y: x @ y
    check_vjp(dot, lambda g, x, y: (g * y, g * x), Y, 2 * Y)
    check_vjp(dot, lambda g, x, y: [g * y, g * x], Y, 2 * Y)
    check_vjp(lambda x, y: x * 1.0, lambda g, x, y: (g.copy(), None), Y, 2 * Y)
    check_vjp(lambda x: x**2, lambda g, x: 2 * float(g) * float(x), 1.5)
    check_vjp(tg.tanh, lambda g, x: tg.vjp(tg.tanh, x)[1](g)[0], Y)


@pytest.mark.parametrize("wanted", ["none", "omitted"])
def test_constants_are_handed_on_and_need_no_gradient(wanted):
    def vjp(g, x, ids):
        out = np.zeros_like(x)
        np.add.at(out, ids, g)
        return (out, None) if wanted == "none" else out

    assert check_vjp(lambda x, ids: x[ids], vjp, Y, IDS).compared == 3
    assert check_grad(lambda x, ids: x[ids] * x[0], Y, IDS, order=2).compared == 6
    assert check_grad(lambda x, m, y: tg.where(m, x * y, y**3), Y, Y > 0, Y + 4, order=2
                      ).compared == 12


@pytest.mark.parametrize(("vjp", "mistake"), [
    (lambda g, x, y: g * y, "wrong count"), (lambda g, x, y: (g * y, 0), "wrong type"),
    (lambda g, x, y: (g * y, (g * x).tolist()), "wrong type"),
    (lambda g, x, y: (g * y, g.sum()), "not broadcast back"),
    (lambda g, x, y: (g * y, (g * x).astype(int)), "wrong dtype"),
    (lambda g, x, y: (g * y, (g * x)[None]), "not un-broadcast"),
    (lambda g, x, y: (g * y, None), "gradient lost")])
def test_what_a_vjp_gives_is_looked_at_before_its_values(vjp, mistake):
    with pytest.raises(GradientError) as caught:
        check_vjp(np.multiply, vjp, Y, 2 * Y)
    assert caught.value.mistake == mistake
    assert "test_checker.py" in caught.value.rule


def test_a_function_for_plain_memory_only_can_say_so():
    f = lambda x: np.frombuffer(memoryview(x).cast("B").cast("d")).reshape(x.shape) * 2
    with pytest.raises(GradientError, match="were no trouble") as caught:
        check_vjp(f, lambda g, x: 2 * g, Y)
    assert caught.value.mistake == "layout"
    check_vjp(f, lambda g, x: 2 * g, Y, layouts=False)


@pytest.mark.parametrize("arrays", [(np.arange(3),), (X * 1j,), (X > 0, np.arange(2)), ("x",)])
def test_only_floats_are_differentiated_by(arrays):
    with pytest.raises(TypeError, match="float"):
        check_vjp(lambda *xs: xs[0] * 1.0, lambda g, *xs: g, *arrays)


def test_lists_numbers_and_tensors_are_operands_too():
    assert check_grad(lambda x, y, z: x * y + z, [1.5, 2.0], 3.5, tg.Tensor([0.5])).compared == 4


# ── what the function itself does ─────────────────────────────────────────────────────────────────


def test_a_random_function_is_called_so():
    rng = np.random.default_rng(0)
    with pytest.raises(GradientError, match="dropout") as caught:
        check_grad(lambda x: x * (rng.random(6).reshape(2, 3) < 0.5), X)
    assert caught.value.mistake == "random"


def test_a_function_that_changes_its_operands_is_called_so():
    def f(x):
        x += 1
        return x * 2

    with pytest.raises(GradientError, match="the function wrote to what it was given"):
        check_vjp(f, lambda g, x: 2 * g, Y)


def test_an_error_of_the_function_itself_passes_with_a_note():
    with pytest.raises(ValueError, match="matmul") as caught:
        check_grad(lambda x: x @ x, X)
    assert "operands of float64 (2, 3)" in caught.value.__notes__[0]


def test_a_function_that_is_not_finite_says_where():
    with pytest.raises(GradientError, match=r"result at \(0, 1\) is nan"):
        check_grad(tg.log, X)


def test_an_infinite_slope_is_inconclusive_unless_no_cotangent_reaches_it():
    with pytest.raises(GradientError, match="slope there is infinite"):
        check_grad(tg.sqrt, [0.0, 4.0])
    for f in tg.sqrt, tg.log:
        check_grad(f, [0.0, 4.0], cotangent=[0.0, 1.0])


@pytest.mark.parametrize("f", [lambda x: x[:0] * 2, lambda x: x[:0].sum(), lambda x: x[None] * 1])
@pytest.mark.parametrize("shape", [(0,), (3,), (0, 2), (1, 1)])
def test_empty_operands_and_results_are_no_trouble(f, shape):
    check_grad(f, np.ones(shape), order=2)


def test_a_constant_result_has_gradient_zero():
    assert check_grad(lambda x: tg.Tensor([1.0, 2.0]), X).compared == 6
    assert check_grad(lambda x: x, X, order=2).compared == 12


def test_operands_may_lie_anyhow_in_memory():
    check_grad(tg.tanh, np.arange(1.0, 13).reshape(3, 4).T[::2])


def test_a_cotangent_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2,\), the function gave \(2, 3\)"):
        check_grad(tg.tanh, X, cotangent=[1.0, 2.0])


# ── large problems ────────────────────────────────────────────────────────────────────────────────

LARGE = np.linspace(0.1, 2, 30_000).reshape(100, 300)


def test_of_a_large_problem_elements_are_sampled_and_directions_go_through_all():
    done = check_grad(tg.tanh, LARGE)
    assert done.compared == 64
    assert done.covered == "64 of 30000 elements, and 8 directions through all"
    assert check_grad(tg.tanh, X).covered == "the whole Jacobian"


@pytest.mark.parametrize("f", [np.tanh, np.cbrt], ids=["complex", "differences"])
def test_a_single_wrong_element_of_a_large_problem_is_found(f):
    slope = {np.tanh: lambda x: 1 - np.tanh(x)**2, np.cbrt: lambda x: np.cbrt(x)**-2.0 / 3}[f]

    def vjp(g, x):
        out = g * slope(x)
        out[17, 53] *= 1.01
        return out

    with pytest.raises(GradientError) as caught:
        check_vjp(f, vjp, LARGE[:30, :100])
    assert (caught.value.operand, caught.value.element) == (0, (17, 53))


def test_the_reproducer_of_a_large_problem_is_made_small():
    wrong = tg.rule(np.tanh, x=lambda g, out: g * (1 - out))
    with pytest.raises(GradientError) as caught:
        check_grad(wrong, LARGE)
    call = str(caught.value).partition("reproduce: ")[2]
    assert len(call) < 2000
    with pytest.raises(GradientError, match="wrong gradient"):
        eval(call, {"check_grad": check_grad, "f": wrong, "array": np.array})


# ── reports ───────────────────────────────────────────────────────────────────────────────────────


def test_the_rule_that_is_wrong_is_found_among_right_ones():
    scale = tg.rule(lambda x, y: x * y, x=lambda g, y: g * y, y=lambda g, x: -g * x)
    f = lambda x, w: tg.tanh(scale(tg.exp(x), w) + x).sum(axis=1)
    with pytest.raises(GradientError) as caught:
        check_grad(f, X, Y)
    assert caught.value.mistake == "wrong sign"
    line = test_the_rule_that_is_wrong_is_found_among_right_ones.__code__.co_firstlineno + 1
    assert f"test_checker.py:{line}: " in caught.value.rule
    assert caught.value.rule.endswith("by y: lambda g, x: -g * x")


def test_where_every_rule_is_right_the_error_says_so():
    with pytest.raises(GradientError, match="every rule that was used is right") as caught:
        check_grad(lambda x: x * x.detach(), X)
    assert (caught.value.mistake, caught.value.rule) == ("constant factor", "")


def test_a_rule_whose_second_derivative_is_lost_is_named():
    lost = tg.rule(lambda x: np.sin(x), x=lambda g, x: g * np.cos(getattr(x, "data", x)))
    with pytest.raises(GradientError, match="order 2: wrong") as caught:
        check_grad(lambda x: lost(x) * 2, X, order=2)
    assert caught.value.mistake == "second derivative"
    assert "by x: lambda g, x: g * np.cos(getattr" in caught.value.rule


def test_a_mistake_without_a_name_is_said_to_have_none():
    with pytest.raises(GradientError, match="none of those known fits") as caught:
        check_vjp(np.tanh, lambda g, x: g * np.exp(-x * x), Y)
    assert caught.value.mistake == ""


def test_the_call_that_shows_a_vjps_error_again_can_be_pasted():
    vjp = lambda g, x, ids: (-g * ids, None)
    with pytest.raises(GradientError) as caught:
        check_vjp(np.multiply, vjp, Y.astype(np.float32), IDS, seed=3)
    call = str(caught.value).partition("reproduce: ")[2]
    names = {"check_vjp": check_vjp, "f": np.multiply, "vjp": vjp, "array": np.array,
             "float32": np.float32}
    with pytest.raises(GradientError) as again:
        eval(call, names)
    assert str(again.value) == str(caught.value)


# ── what it costs to import ───────────────────────────────────────────────────────────────────────


def test_importing_the_kit_does_not_import_hypothesis():
    code = "import sys, tinygrad_w2v.testing; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_hypothesis_is_explained():
    code = ("import sys; sys.modules['hypothesis'] = None\n"
            "from tinygrad_w2v.testing import strategies")
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "tinygrad-w2v[test]" in run.stderr
