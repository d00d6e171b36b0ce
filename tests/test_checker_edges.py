"""The checker has no gaps that are known: wrong gradients that hide are found, right ones pass."""

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.testing import GradientError, check_grad, check_vjp

X3 = np.array([0.5, -1.25, 2.0])
X23 = np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.5]])


def mistake_of(f, vjp, *arrays, **options):
    with pytest.raises(GradientError) as caught:
        check_vjp(f, vjp, *arrays, **options)
    return caught.value.mistake


# ── cotangents ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("narrow", ["f2", "f4"])
def test_a_cotangent_rounded_to_fewer_digits_is_found(narrow):
    assert mistake_of(np.sin, lambda g, x: g.astype(narrow).astype("f8") * np.cos(x),
                      X3) != "inconclusive"


def test_a_cotangent_rounded_in_the_second_derivative_is_found():
    def rounded(g):
        return g if isinstance(g, tg.Tensor) else np.asarray(g).astype("f4").astype("f8")

    cosine = tg.rule(np.cos, x=lambda g, x: -rounded(g) * np.sin(x))
    sine = tg.rule(np.sin, x=lambda g, x: g * cosine(x))
    with pytest.raises(GradientError):
        check_grad(sine, X3, order=2)


def test_a_cotangent_of_zeros_shows_nothing_and_is_refused():
    with pytest.raises(ValueError, match="zero"):
        check_vjp(np.sin, lambda g, x: g * 7, X3, cotangent=np.zeros(3))


def test_an_order_below_one_is_refused():
    with pytest.raises(ValueError, match="order"):
        check_grad(tg.sin, X3, order=0)


def test_a_cotangent_with_zeros_does_not_cover_every_element():
    done = check_vjp(np.sin, lambda g, x: g * np.cos(x), X3, cotangent=np.array([1.0, 0, 0]))
    assert done.covered == "every element, for a cotangent with 2 zeros among 3"


# ── memory ────────────────────────────────────────────────────────────────────────────────────────


def test_a_gradient_in_a_buffer_that_is_used_again_is_found():
    b = np.empty(3)
    assert mistake_of(np.sin, lambda g, x: np.multiply(g, np.cos(x), out=b), X3) == "shared memory"


def test_a_gradient_that_is_wrong_for_another_layout_is_found():
    assert mistake_of(np.sin, lambda g, x: g * np.cos(x) * (1 if x.flags.c_contiguous else 2),
                      X23) == "layout"


# ── rounding excuses rounding alone ───────────────────────────────────────────────────────────────


def test_an_error_that_scatters_with_the_last_bits_is_found():
    mistake_of(np.sin, lambda g, x: g * np.cos(x) * (1 + np.sin(1e17 * x)), X3)


def test_a_gradient_by_differences_with_a_tiny_step_is_found():
    mistake_of(np.sin, lambda g, x: g * (np.sin(x + 1e-12) - np.sin(x - 1e-12)) / 2e-12, X3)


def test_the_worst_deviation_is_the_true_one():
    shift = 3e-13
    done = check_vjp(np.sin, lambda g, x: g * np.cos(x) * (1 + shift), X3)
    assert shift / 1.01 < done.worst < shift * 1.01


@pytest.mark.parametrize("f", [
    lambda x: tg.softmax(x).sum(), lambda x: tg.sin(x)**2 + tg.cos(x)**2, lambda x: x / x,
    lambda x: x * 3.3 - x * 1.1 - x * 2.2], ids=["softmax", "sin² + cos²", "x/x", "3.3x"])
def test_a_derivative_that_cancels_to_zero_is_right(f):
    check_grad(f, X3)


def test_a_gradient_that_is_not_a_number_is_wrong():
    assert mistake_of(lambda x: np.sqrt((x * x).sum()),
                      lambda g, x: g * x / np.sqrt((x * x).sum()),
                      np.zeros(2)) == "not a number"


# ── small terms, large arrays, mixed types ────────────────────────────────────────────────────────

L1 = 1e-6


def regularised(w):
    return ((w - 0.3)**2).sum() + L1 * np.abs(w).sum()


def test_a_small_term_that_is_not_analytic_is_noticed():
    done = check_grad(lambda w: ((w - 0.3)**2).sum() + L1 * tg.abs(w).sum(), X3)
    assert done.oracle != "complex step"


def test_a_small_term_that_is_dropped_is_found():
    check_vjp(regularised, lambda g, w: g * (2 * (w - 0.3) + L1 * np.sign(w)), X3)
    mistake_of(regularised, lambda g, w: g * 2 * (w - 0.3), X3)


def spoilt(factor, at):
    def vjp(g, x):
        out = g * np.cos(x)
        out[at] *= factor
        return out

    return vjp


@pytest.mark.parametrize(("n", "factor", "dtype"), [
    (10**6, 0, "f4"), (10**5, 3, "f4"), (20_000, 1.15, "f4"), (10**5, 1 + 1e-4, "f4"),
    (10**5, 1 + 1e-10, "f8")])
def test_one_wrong_element_among_many_is_found(n, factor, dtype):
    x = np.linspace(0.5, 1.5, n, dtype=dtype)
    with pytest.raises(GradientError) as caught:
        check_vjp(np.sin, spoilt(factor, n // 3), x)
    assert caught.value.element is not None


def test_one_wrong_element_of_a_sum_over_many_is_found():
    def vjp(g, x):
        return spoilt(1.15, 7000)(g, x)

    mistake_of(lambda x: np.sin(x).sum(), vjp, np.linspace(0.5, 1.5, 20_000, dtype="f4"))


def test_many_right_elements_are_right():
    for dtype in "f4", "f8":
        x = np.linspace(0.5, 1.5, 20_000, dtype=dtype)
        check_vjp(np.sin, lambda g, x: g * np.cos(x), x)
        check_vjp(lambda x: np.sin(x).sum(), lambda g, x: g * np.cos(x), x)


def test_a_double_operand_is_judged_in_double_beside_a_single_one():
    y = np.array([0.75, 1.5, -0.5], "f4")
    check_vjp(lambda x, y: np.sin(x) + y, lambda g, x, y: (g * np.cos(x), g.astype("f4")), X3, y)
    mistake_of(lambda x, y: np.sin(x) + y,
               lambda g, x, y: (g * np.cos(x) * (1 + 1e-6), g.astype("f4")), X3, y)
    check_vjp(lambda x, y: x * np.sin(y), lambda g, x, y: (
        g * np.sin(y), (g * x * np.cos(y)).astype("f4")), X3, y)


# ── functions in single precision ─────────────────────────────────────────────────────────────────


def single(x):
    return np.sin(np.asarray(x).astype("f4"))


def test_a_function_that_gives_single_precision_is_not_judged_by_its_own_rounding():
    def vjp(g, x):
        return (g * np.cos(x)).astype(x.dtype)

    for dtype in "f4", "f8":
        x = X3.astype(dtype)
        assert mistake_of(single, vjp, x) == "inconclusive"
        check_vjp(single, vjp, x, ref=np.sin)
        mistake_of(single, lambda g, x: 1.001 * vjp(g, x), x, ref=np.sin)
