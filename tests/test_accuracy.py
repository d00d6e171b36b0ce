"""The functions of the losses are right to the last digits: against mpmath, at up to 4 units in the
last place, in value, gradient and second derivative, where forms not made for it lose all."""

import functools

import numpy as np
import pytest
from mpmath import mp, mpf

import tinygrad_w2v as tg
from tests.benchmarks.accuracy import (
    CASES,
    DIGITS,
    GRID,
    ORDERS,
    compared,
    on_the_grid,
    ulps,
)

BATCH = np.array([[[37.43, 0.0, 1.0], [-700.0, 20.0, 20.0]]])
NAMES = [f"{case.name}-{k}" for k, case in enumerate(CASES)]


@functools.cache
def on_the_whole_grid(k):
    """Of case k, at each row of the grid: the row, what the engine finds, and the truth."""
    with mp.workdps(DIGITS):
        return [(row, *pair) for row in on_the_grid(CASES[k]) for pair in [compared(CASES[k], row)]]


@pytest.mark.parametrize("k", range(len(CASES)), ids=NAMES)
def test_values_gradients_and_second_derivatives_are_within_4_ulp_on_the_grid(k):
    for row, found, truth in on_the_whole_grid(k):
        for order, f, t in zip(ORDERS, found, truth, strict=True):
            error = max(map(ulps, f, t))
            assert error <= 4, f"{order} of {NAMES[k]} at {row}: {error} ulp"


@pytest.mark.parametrize("k", range(len(CASES)), ids=NAMES)
def test_a_slope_that_vanishes_from_above_is_no_minus_0(k):
    for row, found, truth in on_the_whole_grid(k):
        orders = slice(1, 3 if len(row) == 1 else 2)
        for f, t in zip(np.concatenate(found[orders]), np.concatenate(truth[orders]), strict=True):
            assert not (t > 0 and f == 0 and np.signbit(f)), f"{NAMES[k]} at {row}"


def test_the_judge_counts_in_units_of_the_last_place_and_knows_infinities():
    assert [ulps(1 + 2**-52, mpf(1)), ulps(1.0, mpf(1)), ulps(-np.inf, -mp.inf)] == [1, 0, 0]
    assert [ulps(5e-324, mpf("1e-323")), ulps(0.0, mpf("1e-400")) < 1e-70] == [
        pytest.approx(1, abs=0.1), True]
    assert {ulps(np.inf, mpf(1)), ulps(1.0, mp.inf), ulps(np.nan, mpf(1)),
            ulps(np.inf, -mp.inf)} == {np.inf}


def test_the_grid_is_all_of_it():
    assert len(GRID) == 22
    assert all({np.inf, 1000.0, 1e-300} <= {abs(x) for row in on_the_grid(case) for x in row}
               for case in CASES if case.high == np.inf)


@pytest.mark.parametrize("f", [tg.logsumexp, tg.log_softmax, tg.softmax], ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [None, -1, 1, (0, 2), (0, 1, 2)])
def test_over_any_axes_it_is_what_it_is_over_one(f, axis):
    """A row at a time, or all at once: the same numbers, and the same gradients."""
    axes = (0, 1, 2) if axis is None else axis if isinstance(axis, tuple) else (axis % 3,)
    u = np.random.default_rng(0).normal(size=BATCH.shape)
    shrink = {"keepdims": True} if f is tg.logsumexp else {}

    def of_all(x):
        return (f(x, axis=axis, **shrink) * u).sum()

    def one_at_a_time(x):
        rest = [a for a in range(3) if a not in axes]
        rows = np.transpose(x, (*rest, *axes)).reshape(-1, np.prod([x.shape[a] for a in axes]))
        v = np.transpose(u, (*rest, *axes)).reshape(rows.shape)
        return sum((f(row, axis=0, **shrink) * w).sum() for row, w in zip(rows, v, strict=True))

    whole, parts = of_all(tg.Tensor(BATCH)), one_at_a_time(tg.Tensor(BATCH))
    np.testing.assert_allclose(whole.data, parts.data, 1e-14)
    np.testing.assert_allclose(tg.grad(of_all)(BATCH).data, tg.grad(one_at_a_time)(BATCH).data,
                               1e-14)


def test_ties_and_infinities_have_their_limits():
    with np.errstate(all="ignore"):
        assert tg.log_softmax(np.array([np.inf, 0.0, -np.inf])).tolist() == [0, -np.inf, -np.inf]
        assert tg.softmax(np.array([np.inf, 0.0])).tolist() == [1, 0]
        assert tg.softmax(np.array([-np.inf, 3.0, 3.0])).tolist() == [0, 0.5, 0.5]
        assert tg.logsumexp(np.array([-np.inf, -np.inf])) == -np.inf
        assert tg.logsumexp(np.array([np.inf, -np.inf])) == np.inf
        for f in (tg.log_softmax, tg.softmax, tg.logsumexp):
            assert np.isnan(f(np.array([np.nan, 0.0]))).all()
    assert tg.logsumexp(np.array([5.0, 5.0])) == 5 + np.log(2)
    assert tg.log_softmax(np.zeros((0, 3))).shape == (0, 3)
    assert tg.logsumexp(np.zeros(0)) == -np.inf


def test_a_row_with_an_infinity_that_does_not_count_spoils_no_other():
    x = np.array([[1.0, 2.0], [np.inf, 0.0]])
    for f in (lambda x: tg.logsumexp(x, axis=1)[:1],
              lambda x: tg.log_softmax(x)[:1], lambda x: tg.softmax(x)[0, 1]):
        g = tg.grad(lambda x, f=f: f(x).sum())(x).data
        assert g[0].any()
        assert np.array_equal(g[1], [0, 0])


def test_integers_are_numbers_here_too():
    for f in (tg.logsumexp, tg.log_softmax, tg.softmax):
        expected = f(np.array([1.0, 2.0, 250.0]))
        for dtype in (int, np.uint8):
            np.testing.assert_array_equal(f(np.array([1, 2, 250], dtype)), expected)


def test_a_loss_of_nothing_is_plus_0():
    for labels in (0, [1.0, 0.0]):
        assert not np.signbit(tg.nn.cross_entropy(np.array([1000.0, 0.0]), labels))
