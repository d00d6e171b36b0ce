"""How many digits the functions of the losses keep: values, gradients and second derivatives.

    python tests/benchmarks/accuracy.py [--points 2000]

Against mpmath, in units in the last place (ulp) of the truth: at points where forms that are not
made for it overflow or lose all digits (±0, 1e-300, … 1000, ∞), and at random points in [−40, 40],
where arguments are rounded before anything is computed of them, and a little is lost. Of functions
of vectors, all entries of Jacobian and Hessian are judged.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from mpmath import mp, mpf

import tinygrad_w2v as tg
from tinygrad_w2v.word2vec.objective import exact_loss, negative_loss
from tinygrad_w2v.word2vec.tiles import band, tile_loss

SIZES = [0, 1e-300, 1e-8, 1, 20, 37.43, 88, 709, 745, 1000, np.inf]
GRID = [sign * float(size) for size in SIZES for sign in (1, -1)]
ORDERS = ["value", "gradient", "second derivative"]
DIGITS = 1000  # 1 − exp(−2000) has 868 nines
INFINITY = mpf(10) ** 400  # beyond all floats, and still a number: limits come out by themselves

# ── the truth: value, gradient and second derivative as closed forms ──────────────────────────────

Truth = tuple[Any, Any, Any]


def exact(row: Any) -> list[Any]:
    """The numbers of a row without rounding."""
    return [mpf(x) if abs(x) < np.inf else mp.sign(x) * INFINITY for x in row]


def sigma(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def softplus(x: Any, by: Any = 1, weight: Any = 1) -> Truth:
    """weight · log(1 + exp(by · x)), and its derivatives by x."""
    x = by * x
    slope, bend = sigma(x), sigma(x) * sigma(-x)
    return weight * mp.log1p(mp.exp(x)), weight * by * slope, weight * by**2 * bend


def plus(*parts: Truth) -> Truth:
    """The sum of functions of one number."""
    value, slope, bend = (sum(each) for each in zip(*parts, strict=True))
    return value, slope, bend


def elementwise(f: Callable[[Any], Truth], g: Callable[[Any], Truth] | None = None
                ) -> Callable[[Any], Truth]:
    """The truth of f(first) + Σ g(others), for a row of numbers."""
    def truth(row: Any) -> Truth:
        values, slopes, bends = zip(*[(g if g and i else f)(x) for i, x in enumerate(exact(row))],
                                    strict=True)
        return sum(values), list(slopes), diagonal(bends)
    return truth


def diagonal(entries: Any) -> list[list[Any]]:
    return [[x if i == j else mpf(0) for j in range(len(entries))] for i, x in enumerate(entries)]


def log(x: float, shift: int = 0) -> Truth:
    """log(shift + x), where 1/0 is infinite, with the sign of the zero."""
    y = shift + mpf(x)
    if y == 0:
        return -mp.inf, mpf(np.copysign(np.inf, x if shift == 0 else 1)), -mp.inf
    return mp.log(y), 1 / y, -1 / y**2


def logsumexp(row: Any) -> Truth:
    x = exact(row)
    if all(xi == -INFINITY for xi in x):  # by convention
        return -INFINITY, [mpf(0)] * len(x), diagonal([mpf(0)] * len(x))
    total = mp.log(sum(map(mp.exp, x)))
    p = [mp.exp(xi - total) for xi in x]
    return total, p, [[p[i] * ((i == j) - p[j]) for j in range(len(p))] for i in range(len(p))]


def log_softmax(row: Any) -> Truth:
    x = [xi + INFINITY for xi in exact(row)] if np.max(row) == -np.inf else exact(row)
    total, p, hessian = logsumexp(x)
    n = range(len(p))
    return ([xi - total for xi in x], [[(i == j) - p[j] for j in n] for i in n],
            [[[-h for h in line] for line in hessian] for _ in n])


def surprise(label: int) -> Callable[[Any], Truth]:
    """−log softmax(x)[label]: E3."""
    def truth(row: Any) -> Truth:
        value, slope, bend = (part[label] for part in log_softmax(row))
        return -value, [-s for s in slope], [[-h for h in line] for line in bend]
    return truth


# ── the functions ─────────────────────────────────────────────────────────────────────────────────


class Case(NamedTuple):
    """A function of a row of numbers, the truth, and the rows of a point on the grid.

    `low` and `high` bound the numbers x for which it is defined: the losses of skip-gram are sums
    of products, in which 0 · ∞ is no number.
    """

    name: str
    f: Callable[[Any], Any]
    truth: Callable[[Any], Truth]
    rows: Callable[[float], list[list[float]]]
    low: float = -np.inf
    high: float = np.inf


def alone(x: float) -> list[list[float]]:
    return [[x]]


def pairs(x: float) -> list[list[float]]:
    return [[x, 0.0], [0.0, x], [x, x]]


def beside_others(x: float) -> list[list[float]]:
    return [*pairs(x), [x, -x, 1.0]]


def of_rows(x: Any) -> Any:
    """A matrix of one column."""
    return tg.reshape(x, (-1, 1))


def surprises(name: str, f: Callable[[Any, int], Any], **bounds: float) -> list[Case]:
    """−log softmax, a case for each label. Not all rows have a third entry."""
    return [Case(name, lambda x, k=k: f(x, k), surprise(k),
                 lambda x, k=k: [row for row in beside_others(x) if k < len(row)], **bounds)
            for k in range(3)]


def one_hot(x: Any, k: int) -> Any:
    return np.eye(x.size)[k]


def near(x: Any) -> Any:
    """A tile of one word with x and x′ beside it; the word itself, in between, does not count."""
    u = tg.concatenate([x[:1], np.zeros(1), x[1:]])
    return tile_loss(np.ones((1, 1, 1)), tg.reshape(u, (1, 3, 1)), tg.Tensor(np.ones((1, 1, 1))),
                     band(1, 1)[None], negative=0).sum()


def far(x: Any) -> Any:
    """A tile against noise words x, each counted 2 · 4/n; its own pairs are so sure they cost 0."""
    return tile_loss(tg.Tensor(np.ones((1, 1, 1))), np.full((1, 3, 1), 2000.0),
                     tg.reshape(x, (1, -1, 1)), band(1, 1)[None], negative=4).sum()


def centre(x: Any) -> Any:
    """A tile by its centre word: outside words 1 and ½, the noise words −1 count 2 · 2."""
    return tile_loss(tg.reshape(x, (1, 1, 1)), np.array([[[1.0], [1.0], [0.5]]]),
                     tg.Tensor(-np.ones((1, 1, 1))), band(1, 1)[None], negative=2).sum()


CASES = [
    Case("exp", tg.exp, elementwise(lambda x: (mp.exp(x),) * 3), alone),
    Case("log", tg.log, lambda row: log(row[0]), alone, low=0),
    Case("log1p", tg.log1p, lambda row: log(row[0], 1), alone, low=-1),
    Case("tanh", tg.tanh, elementwise(lambda x: (
        mp.tanh(x), 4 * sigma(2 * x) * sigma(-2 * x),
        -8 * sigma(2 * x) * sigma(-2 * x) * mp.tanh(x))), alone),
    Case("sigmoid", tg.sigmoid, elementwise(lambda x: (
        sigma(x), sigma(x) * sigma(-x), -sigma(x) * sigma(-x) * mp.tanh(x / 2))), alone),
    Case("log_sigmoid", tg.log_sigmoid, elementwise(lambda x: softplus(x, -1, -1)), alone),
    Case("softplus", tg.softplus, elementwise(softplus), alone),
    Case("logsumexp", tg.logsumexp, logsumexp, beside_others),
    Case("log_softmax", tg.log_softmax, log_softmax, beside_others),
    *surprises("cross_entropy", tg.nn.cross_entropy),
    *surprises("cross_entropy of q", lambda x, k: tg.nn.cross_entropy(x, one_hot(x, k))),
    *surprises("exact_loss by U", lambda x, k: exact_loss(
        np.ones((1, 1)), of_rows(x), None, one_hot(x, k)), low=-1000, high=1000),
    *surprises("exact_loss by bias", lambda x, k: exact_loss(
        np.ones((1, 1)), np.zeros((x.size, 1)), x, one_hot(x, k)), low=-1000, high=1000),
    Case("exact_loss by v", lambda x: exact_loss(
        of_rows(x), np.array([[1.0], [-1.0]]), None, np.array([[1.0, 0.0]])),
        elementwise(lambda x: softplus(x, -2)), alone, low=-1000, high=1000),
    Case("negative_loss by V", lambda x: negative_loss(
        of_rows(x), tg.Tensor([[1.0], [-0.5], [-1.0]]), np.array([0]), np.array([0]),
        np.array([[1, 2]])), elementwise(lambda x: plus(
            softplus(x, -1, 2), softplus(x, mpf(-0.5)))), alone),
    Case("negative_loss by U", lambda x: negative_loss(
        tg.Tensor([[1.0]]), of_rows(x), np.array([0]), np.array([0]), np.arange(1, x.size)[None]),
        elementwise(lambda x: softplus(x, -1), softplus), beside_others),
    Case("tile_loss by v", centre, elementwise(lambda x: plus(
        softplus(x, -1, 5), softplus(x, mpf(-0.5)))), alone, low=-1000, high=1000),
    Case("tile_loss by u", near, elementwise(lambda x: softplus(x, -1)), pairs),
    Case("tile_loss by z", far, elementwise(lambda x: softplus(x, 1, 4)), pairs),
]

# ── how far off ───────────────────────────────────────────────────────────────────────────────────


def ulps(found: float, truth: Any) -> float:
    """How far `found` is from the truth, in units in the last place of the truth.

    Where the truth is below all normal floats, the unit is the step between floats there. What is
    finite is infinitely far off from what is not, and the opposite.
    """
    nearest = float(truth)
    if not (np.isfinite(nearest) and np.isfinite(found)):
        return 0.0 if found == nearest else np.inf
    return float(abs(mpf(float(found)) - truth) / mpf(float(np.spacing(abs(nearest)))))


def derivatives(f: Callable[[Any], Any], row: list[float]) -> Iterator[Any]:
    """Value, Jacobian and the Jacobian of that, by the engine."""
    with np.errstate(all="ignore"):
        yield f(tg.Tensor(row)).data
        yield tg.jacobian(f)(row).data
        yield tg.jacobian(tg.jacobian(f))(row).data


def compared(case: Case, row: list[float]) -> tuple[list[Any], list[Any]]:
    """All entries of value, gradient and second derivative, as found, and in truth."""
    return ([found.ravel() for found in derivatives(case.f, row)],
            [np.array(truth, dtype=object).ravel() for truth in case.truth(row)])


def errors(case: Case, row: list[float]) -> list[float]:
    """The largest error among the entries of value, gradient and second derivative, in ulp."""
    return [max(map(ulps, *pair)) for pair in zip(*compared(case, row), strict=True)]


def on_the_grid(case: Case) -> Iterator[list[float]]:
    """The rows of all points where the function is defined."""
    for x in GRID:
        if case.low <= x <= case.high:
            yield from case.rows(x)


def at_random(case: Case, points: int) -> Iterator[list[float]]:
    """As many rows, of one to three numbers as on the grid, between −40 and 40."""
    rng = np.random.default_rng(0)
    width = max(len(row) for row in case.rows(1.0))
    yield from rng.uniform(np.maximum(case.low, -40), 40, (points, width)).tolist()


def worst(case: Case, rows: Iterator[list[float]]) -> list[tuple[float, str]]:
    """For each order the largest error, and at which row."""
    found = [(errors(case, row), row) for row in rows]
    return [max((e[order], ", ".join(f"{x:g}" for x in row)) for e, row in found)
            for order in range(len(ORDERS))]


def main() -> None:
    """Print a line for each function and order; functions of a name are taken together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=2000)
    points = parser.parse_args().points
    print(f"{'':20} {'':18} {'grid, ulp':>9}  {'at':22} {'random, ulp':>11}  at")
    for name in dict.fromkeys(case.name for case in CASES):
        cases = [case for case in CASES if case.name == name]
        with mp.workdps(DIGITS):
            grid = [worst(case, on_the_grid(case)) for case in cases]
        with mp.workdps(100):
            random = [worst(case, at_random(case, points // len(cases))) for case in cases]
        for order, what in enumerate(ORDERS):
            (bad, where), (off, there) = (max(w[order] for w in found) for found in (grid, random))
            print(f"{name:20} {what:18} {bad:9.2f}  {where:22} {off:11.2f}  {there}", flush=True)


if __name__ == "__main__":
    main()
