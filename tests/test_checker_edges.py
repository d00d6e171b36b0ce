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
