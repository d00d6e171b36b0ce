"""What is measured, of arrays: how flat, how large, how shared out, of how many signs."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from .. import rules
from ..sparse import Array
from .layers import rule_of

BLOCK = 1 << 22  # numbers that are held at a time, beside those that the graph holds anyway
UNKNOWN = math.nan


def rms(x: Any) -> float:
    """Give the root of the mean square, also of numbers whose squares are too small or too large.

    >>> rms([3e-200, 4e-200]) / 1e-200
    3.5355339059327373
    """
    largest = float(np.max(np.abs(x), initial=0))
    if not 0 < largest < math.inf:
        return largest
    return largest * math.sqrt(np.mean(np.square(np.asarray(x, float) / largest)))


def unit_of(x: Array) -> int:
    """Give the exponent of the power of 2 over which no |x| is above 1: no square overflows."""
    return int(np.frexp(np.max(np.abs(x), initial=0))[1])


def mean_and_std(x: Array) -> tuple[float, float]:
    """Give both, of all numbers together; of numbers that are all one, 0 and no rounding.

    >>> mean_and_std(np.array([0.1, 0.1, 0.1])), mean_and_std(np.array([3.0, 5.0]))
    ((0.1, 0.0), (4.0, 1.0))
    """
    if not x.size or x.min() == x.max():
        return float(x.flat[0]) if x.size else 0.0, 0.0
    unit = unit_of(x)
    scaled = x.astype(float)
    np.ldexp(scaled, -unit, out=scaled)
    return math.ldexp(scaled.mean(), unit), math.ldexp(scaled.std(), unit)


def participation(gradient: Any, part: float = 0.9) -> float:
    """Give the least share of entries that hold `part` of Σ|g|: how many carry the gradient.

    It is 0.9 if all are alike, 0.646 if they are normal, 1/n if one has it all; 0 of zeros.

    >>> participation([5, 0, 0, 0]), participation(np.ones(10))
    (0.25, 0.9)
    """
    sizes = np.sort(np.abs(gradient), axis=None)[::-1]
    sums = np.cumsum(sizes, dtype=float)
    if not sizes.size or not sums[-1]:
        return 0.0
    return float(np.searchsorted(sums, part * sums[-1] * (1 - 1e-12)) + 1) / sizes.size


def agreement(gradients: Any, axis: int = 0) -> float:
    """Give how many along `axis`, on average, have the sign that most of them have.

    Entries of exactly 0 have no sign, and are not counted. NaN if there are no others.

    >>> agreement([[1.0, 1.0], [2.0, -1.0], [3.0, -1.0], [0.0, -1.0]])
    0.875
    """
    gradients = np.asarray(gradients)
    up, down = (gradients > 0).sum(axis=axis), (gradients < 0).sum(axis=axis)
    counted = up + down
    moved = counted > 0
    majority = np.maximum(up, down)[moved] / counted[moved]
    return float(majority.mean()) if majority.size else UNKNOWN


def expected_agreement(mean: float, std: float, n: int | None = None) -> float:
    """Give the share of a neuron's weights that a batch pushes the way of the majority (E10).

    For independent inputs of that mean and standard deviation, and ∂L/∂z of signs that are
    independent of them. The gradient of weight i is Σ ∂L/∂z (mean + std ξᵢ): a part that all
    weights share, and one of its own. For many weights it tends to

        ½ + atan(|mean| / std) / π

    whatever the size of the batch. Of `n` weights, few, a majority agrees by chance: of 2 inputs of
    mean 0, at least one half, and all with probability one half.

    >>> expected_agreement(0.5, 0.5), expected_agreement(0, 1, n=2)
    (0.75, 0.75)

    NaN for a mean and a std of 0: inputs that are 0 push nothing.
    """
    if not mean and not std:
        return UNKNOWN
    if n is None:
        return 0.5 + math.atan2(abs(mean), std) / math.pi
    # Given the common part A ~ N(0, 1), a weight is pushed A's way with probability Φ(A mean/std).
    normal, points = NormalDist(), 400
    common = [normal.inv_cdf(0.5 + (k + 0.5) / (2 * points)) for k in range(points)]
    p = np.array([normal.cdf(a * abs(mean) / std) if std else 1.0 for a in common])[:, None]
    n = min(n, 10_000)  # beyond that chance adds less than 0.004
    k = np.arange(n + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    with np.errstate(divide="ignore", invalid="ignore"):
        log_p = np.where(k > 0, k * np.log(p), 0) + np.where(k < n, (n - k) * np.log1p(-p), 0)
    weight = np.exp(logs[n] - logs[k] - logs[n - k] + log_p)
    return float((weight * np.maximum(k, n - k) / n).sum(axis=1).mean())


def expected_condition(mean: float, std: float, n: int) -> float:
    """Give 1 + n · mean² / std²: the condition number of n > 1 independent inputs with that mean.

    >>> expected_condition(1.0, 0.5, 50)
    201.0
    """
    if n == 1:
        return 1.0
    ratio = mean / std if std else math.inf  # its square may be infinite, and is no error so
    return 1 + n * ratio * ratio


def condition(x: Array) -> float:
    """Give the largest eigenvalue of the mean of x xᵀ over the rows of `x`, over the smallest.

    It is that of the Hessian of a linear neuron with squared error: descent at the best rate takes
    about so many steps. Infinite for fewer rows than columns, or columns that depend on each other.

    >>> condition(np.array([[2.0, 0.0], [0.0, 1.0]]))
    4.0
    """
    n = x.shape[1]
    if len(x) < n:
        return math.inf
    total, rows, unit = np.zeros((n, n)), max(BLOCK // n, 1), unit_of(x)
    for i in range(0, len(x), rows):
        block = np.ldexp(x[i : i + rows].astype(float), -unit)
        total += block.T @ block
    values = np.linalg.eigvalsh(total)
    dependent = values[0] <= n * np.finfo(float).eps * values[-1]
    return math.inf if dependent else float(values[-1] / values[0])


def agreement_of_examples(x: Array, g: Array) -> float:
    """Give the `agreement` of the gradients of single examples, the mean over these and neurons.

    `x` (examples, …, n_in), `g` (examples, …, n_out). Where an example is one row, weight i of
    neuron j has the gradient g_j x_i (E10): which signs agree x alone tells, if g_j is not 0. Where
    it is several, their sum is asked of the rule of `matmul`, for some examples at a time.
    """
    if x.ndim == 2:
        up, down, neurons = (x > 0).sum(axis=1), (x < 0).sum(axis=1), (g != 0).sum(axis=1)
        neurons = neurons * (up + down > 0)
        majority = np.maximum(up, down) / np.maximum(up + down, 1)
        return float(majority @ neurons / neurons.sum()) if neurons.any() else UNKNOWN
    x, g = (a.reshape(len(a), -1, a.shape[-1]) for a in (x, g))
    shape, by_weight = (x.shape[-1], g.shape[-1]), rule_of(rules.matmul).derivative(1).fn
    some = max(BLOCK // math.prod(shape), 1)
    sums = np.zeros(2)
    for i in range(0, len(x), some):
        rows = slice(i, i + some)
        gradients = by_weight(g[rows], x[rows], y_shape=(len(x[rows]), *shape))
        moved = int(gradients.any(axis=1).sum())
        sums += (agreement(gradients, axis=1) * moved, moved) if moved else 0
    return float(sums[0] / sums[1]) if sums[1] else UNKNOWN
