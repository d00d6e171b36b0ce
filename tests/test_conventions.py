"""The derivative where there is none, or more than one: each row of the table of conventions."""

import numpy as np
import pytest

import tinygrad_w2v as tg

INF = np.inf


def slope(f, x, **keywords):
    """Gradient of the sum of f at x, as an array."""
    return tg.grad(lambda x: tg.sum(f(x)), **keywords)(x).data


def second(f, x):
    return slope(lambda x: tg.grad(lambda x: tg.sum(f(x)))(x), x)


# ── kinks ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("f", [tg.relu, tg.abs, tg.norm, tg.std], ids=lambda f: f.__name__)
@pytest.mark.parametrize("x", [[0.0], [0.0, 0.0, 0.0], [-0.0, 0.0]])
def test_slope_at_zero_is_0(f, x):
    assert np.array_equal(slope(f, x), np.zeros(len(x)))


def test_leaky_relu_at_zero_has_its_left_slope():
    assert slope(lambda x: tg.leaky_relu(x, 0.25), [0.0]) == [0.25]


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8, -3.3])
def test_std_of_a_constant_has_slope_0(value):
    assert np.array_equal(slope(tg.std, np.full(7, value)), np.zeros(7))


@pytest.mark.parametrize("f", [tg.maximum, tg.minimum], ids=lambda f: f.__name__)
def test_a_tie_of_two_gives_half_to_each(f):
    x, y = tg.grad(f, argnums=(0, 1))(1.0, 1.0)
    assert (x.item(), y.item()) == (0.5, 0.5)


@pytest.mark.parametrize("f", [tg.max, tg.min], ids=lambda f: f.__name__)
def test_ties_share_equally_and_the_shares_sum_to_the_cotangent(f):
    assert np.array_equal(slope(lambda x: -3 * f(x, axis=0), [[1.0, 2.0], [1.0, 2.0]]),
                          np.full((2, 2), -1.5))
    assert slope(f, np.ones(7)).sum() == pytest.approx(1, abs=1e-15)


def test_clip_has_slope_1_at_its_bounds():
    assert slope(lambda x: tg.clip(x, -1, 1), [-2.0, -1, 0, 1, 2]).tolist() == [0, 1, 1, 1, 0]


def test_infinite_slopes_are_as_numpy_says():
    with np.errstate(divide="ignore"):
        assert slope(tg.sqrt, [0.0]) == [INF]
        assert slope(tg.log, [0.0]) == [INF]


def test_x_to_the_0_is_constant_at_0_too():
    assert slope(lambda x: x**0, [0.0, -2.0, 3.0]).tolist() == [0, 0, 0]
    assert slope(lambda x: x**np.zeros(1), [0.0, 3.0]).tolist() == [0, 0]


def test_0_to_the_y_is_constant_in_y():
    assert slope(lambda y: tg.power(0.0, y), [2.0, 0.5]).tolist() == [0, 0]


# ── exactness where others divide ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("x", [[0.0, 2, 3], [0.0, 2, 0], [2.0, 0, 3, 5], [0.0], [0.0, 0, 0]])
def test_products_with_zeros_are_exact(x):
    others = [np.prod(np.delete(x, i)) for i in range(len(x))]
    assert slope(tg.prod, x).tolist() == others


def test_running_products_with_zeros_are_exact():
    x, u = np.array([2.0, 0.0, 3.0, 5.0]), np.array([1.0, 10.0, 100.0, 1000.0])
    expected = [sum(u[j] * np.prod(np.delete(x[: j + 1], i)) for j in range(i, 4))
                for i in range(4)]
    assert slope(lambda x: tg.cumprod(x) * u, x).tolist() == expected


def test_second_derivative_of_a_product_with_a_zero_is_exact():
    assert tg.hessian(tg.prod)([0.0, 2.0, 3.0]).tolist() == [[0, 3, 2], [3, 0, 0], [2, 0, 0]]


def test_duplicate_ids_are_summed():
    assert slope(lambda x: tg.take(x, [2, 2, 0]) * [1.0, 10, 100], np.ones(3)).tolist() == [
        100, 0, 11]
    assert slope(lambda x: x[[2, 2, 0], [1, 1, 1]], np.ones((3, 2))).tolist() == [
        [0, 1], [0, 0], [0, 2]]


@pytest.mark.parametrize("f", [
    lambda x: x[:0].sum(), lambda x: tg.mean(x[:, :0], axis=0).sum(), lambda x: tg.prod(x[:0]),
    lambda x: x[[]].sum(), lambda x: x[np.zeros(2, bool)].sum()])
def test_what_takes_no_element_has_slope_0(f):
    assert np.array_equal(slope(f, np.ones((2, 3))), np.zeros((2, 3)))


@pytest.mark.parametrize("f", [np.sign, np.floor, np.argmax, lambda x: x > 1, lambda x: x == x],
                         ids=["sign", "floor", "argmax", "greater", "equal"])
def test_what_is_constant_but_for_jumps_gives_plain_arrays(f):
    assert not isinstance(f(tg.Tensor([1.0, 2.0], requires_grad=True)), tg.Tensor)


# ── the strong zero: a cotangent of exactly 0 gives exactly 0 ─────────────────────────────────────

POISON = {
    "sqrt": (tg.sqrt, -1.0), "sqrt at 0": (tg.sqrt, 0.0), "log": (tg.log, 0.0),
    "log of less": (tg.log, -1.0), "divide": (lambda x: 1 / x, 0.0), "reciprocal": (
        tg.reciprocal, 0.0), "power": (lambda x: x**0.5, -1.0), "power by y": (
        lambda y: tg.power(-2.0, y), 0.5), "exp": (tg.exp, 1000.0), "log1p": (tg.log1p, -1.0),
    "arcsin": (tg.arcsin, 1.0), "arccos": (tg.arccos, 2.0), "sinh": (tg.sinh, 1000.0),
    "log2": (tg.log2, 0.0), "square": (tg.square, INF), "naive sigmoid": (
        lambda x: 1 / (1 + tg.exp(-x)), -1000.0), "tan": (tg.tan, INF), "multiply": (
        lambda x: x * INF, 1.0)}


@pytest.mark.parametrize("name", POISON)
@pytest.mark.parametrize("order", [slope, second], ids=["first", "second"])
def test_a_dead_branch_does_not_poison(name, order):
    f, x = POISON[name]
    with np.errstate(all="ignore"):
        found = order(lambda x: tg.where(np.array([False, True]), f(x), x**2), [x, 0.5])[0]
        plain = order(lambda x: x**2, [x])[0]
    assert found == plain


def test_a_dead_product_does_not_poison_an_operand_of_another_shape():
    x = tg.Tensor(np.ones((2, 3)), requires_grad=True)
    product = x @ np.full((3, 4), np.inf)
    (tg.where(np.zeros((2, 4), bool), product, 1.0).sum() + x.sum()).backward()
    assert np.array_equal(x.grad, np.ones((2, 3)))


def test_where_keeps_the_slope_of_the_branch_taken():
    with np.errstate(invalid="ignore"):
        assert slope(lambda x: tg.where(x > 0, tg.sqrt(x), x), [-1.0, 4.0]).tolist() == [1, 0.25]


def test_nan_is_not_hidden_where_the_cotangent_is_not_0():
    with np.errstate(invalid="ignore"):
        assert np.isnan(slope(tg.sqrt, [-1.0])).all()


# ── stable everywhere ─────────────────────────────────────────────────────────────────────────────

# f(x) for x far to the left, f'(x) there; the same far to the right
FAR = {tg.sigmoid: (0, 0, 1, 0), tg.log_sigmoid: (-1000, 1, 0, 0), tg.softplus: (0, 0, 1000, 1),
       tg.tanh: (-1, 0, 1, 0)}


@pytest.mark.parametrize("f", FAR, ids=lambda f: f.__name__)
def test_saturated_forms_are_finite_and_right_at_1000(f):
    left, left_slope, right, right_slope = FAR[f]
    x = np.array([-1000.0, 1000.0])
    assert f(x).tolist() == f(tg.Tensor(x)).tolist() == [left, right]
    assert slope(f, x).tolist() == [left_slope, right_slope]
    assert second(f, x).tolist() == [0, 0]


def test_the_slope_of_the_sigmoid_keeps_its_digits():
    """σ'(x) → e⁻ˣ; s(1 − s) would be exactly 0 from x = 37 on."""
    assert slope(tg.sigmoid, [50.0, -50.0]) == pytest.approx([np.exp(-50)] * 2, rel=1e-14)


@pytest.mark.parametrize("shift", [-1000.0, 0.0, 1000.0])
def test_log_softmax_and_logsumexp_do_not_depend_on_where_they_are(shift):
    x = np.array([1.0, 2.0, 4.0])
    p = np.exp(x) / np.exp(x).sum()
    assert tg.softmax(x + shift) == pytest.approx(p, rel=1e-13)
    assert tg.log_softmax(x + shift) == pytest.approx(np.log(p), rel=1e-13)
    assert slope(tg.logsumexp, x + shift) == pytest.approx(p, rel=1e-12)
    assert slope(lambda x: tg.log_softmax(x)[0], x + shift) == pytest.approx([1, 0, 0] - p,
                                                                            rel=1e-12)


def test_logs_of_vanishing_sums_are_finite():
    x = np.array([0.0, -1000.0, 1000.0])
    assert tg.log_softmax(x).tolist() == [-1000, -2000, 0]
    assert tg.logaddexp(x, -x).tolist() == pytest.approx([np.log(2), 1000, 1000])
    assert slope(lambda x: tg.logaddexp(x, 0), x).tolist() == [0.5, 0, 1]
    assert slope(tg.logsumexp, [-INF, 0.0]).tolist() == [0, 1]


def test_float32_stays_float32_beside_python_numbers():
    x = tg.Tensor([1.0, 2.0], requires_grad=True, dtype=np.float32)
    loss = ((x * 2.0 + 1) ** 2 / 3).mean() + x.max()
    loss.backward()
    assert (loss.dtype, x.grad.dtype) == (np.float32, np.float32)
