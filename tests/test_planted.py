"""Planted mistakes: every wrong rule is caught, and nearly every one is called by its name.

A row says which name is expected, what was done, and the rule. `rule` plants in a rule of this
package, `pair` in a plain function with a vjp; each is tried at several points and shapes.
"""

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.testing import GradientError, check_grad, check_vjp
from tinygrad_w2v.testing.invariants import lattice

from .no_false_alarm import PAIRS

RNG = np.random.default_rng(11)


def numbers(*shape, low=0.3, high=1.9, signs=(-1, 1)):
    """Numbers away from 0, of both signs."""
    a = np.round(RNG.uniform(low, high, shape) * 64) / 64 + 1 / 128
    return a * RNG.choice(signs, shape)


A = numbers
P = lambda *shape: numbers(*shape, signs=[1])
IDS, ROWS = np.array([2, 0, 2, 1, 2]), np.array([[1, 1], [0, 1], [1, 1]])
ANYWHERE = [(A(2, 3),), (A(4),), (A(4, 1, 2),)]


def rule(fn, *points, elementwise=None, **derivatives):
    return "rule", (tg.rule(fn, elementwise, **derivatives),), points


def pair(fn, vjp, *points):
    return "pair", (fn, vjp), points


def unary(fn, wrong, *points):
    """One wrong derivative, planted as a rule, and tried at several shapes unless told where."""
    return rule(fn, *(points or ANYWHERE), x=wrong)


def times(x=lambda g, y: g * y, y=lambda g, x: g * x):
    points = [(A(2, 3), A(3)), (A(4, 1, 2), A(3, 1))]
    return rule(lambda x, y: x * y, *points, x=x, y=y)


def softmax(x):
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


def put_last(g, x_shape):
    out = np.zeros(x_shape)
    out[IDS] = g
    return out


def put_first(g, x_shape):
    out = np.zeros(x_shape)
    out[IDS[::-1]] = g[::-1]
    return out


def add_at(g, x_shape):
    out = np.zeros(x_shape)
    np.add.at(out, IDS, g)
    return out


def onehot(ids, n):
    return np.eye(n)[ids]


def cross_entropy(z, ids):
    return -np.log(softmax(z))[np.arange(len(ids)), ids].mean()


def normalise(x):
    return (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 0.1)


SQUARE = [(A(3, 3), A(3, 3)), (P(2, 2), A(2, 2))]
MATS = [(A(2, 3), A(3, 4))]
TABLE = [
    # ── elementwise, one operand ──────────────────────────────────────────────────────────────────
    ("constant factor", "square without its 2", unary(lambda x: x**2, lambda g, x: g * x)),
    ("constant factor", "cube with a 2", unary(lambda x: x**3, lambda g, x: 2 * g * x**2)),
    ("constant factor", "log2 without its ln 2", unary(np.log2, lambda g, x: g / x, (P(2, 3),))),
    ("constant factor", "log10 with ln 2", unary(np.log10, lambda g, x: g / (x * np.log(2)),
                                                 (P(3),))),
    ("constant factor", "degrees", unary(lambda x: np.sin(np.pi / 180 * x), lambda g, x: g * np.cos(
        np.pi / 180 * x))),
    ("wrong sign", "cos without its minus", unary(np.cos, lambda g, x: g * np.sin(x))),
    ("wrong sign", "reciprocal without its minus", unary(np.reciprocal, lambda g, out: g * out**2)),
    ("wrong sign", "1 - x passed on", pair(lambda x: 1 - x, lambda g, x: g.copy(), (A(2, 3),))),
    ("slope forgotten", "exp passed on", unary(np.exp, lambda g: g)),
    ("slope forgotten", "a scale lost", pair(lambda x: np.tanh(x) + x**3, lambda g, x: g * 1.0,
                                             (A(3, 2),))),
    ("value for slope", "sin for cos", unary(np.sin, lambda g, x: g * np.sin(x))),
    ("value for slope", "log for 1/x", pair(np.log, lambda g, x: g * np.log(x), (P(5),))),
    ("operand for result", "exp of x", unary(np.exp, lambda g, x: g * x)),
    ("operand for result", "tanh: 1 - x²", unary(np.tanh, lambda g, x: g * (1 - x * x))),
    ("operand for result", "sqrt: 1 / 2x", unary(np.sqrt, lambda g, x: g / (2 * x), (P(2, 3),))),
    ("operand for result", "sigmoid: x (1 - x)", pair(
        lambda x: 1 / (1 + np.exp(-x)), lambda g, x: g * x * (1 - x), (A(2, 3),))),
    ("result for operand", "cube: 3 out²", unary(lambda x: x**3, lambda g, out: 3 * g * out**2)),
    ("result for operand", "sin: cos(out)", unary(np.sin, lambda g, out: g * np.cos(out))),
    ("result for operand", "expm1: exp(out)", unary(np.expm1, lambda g, out: g * np.exp(out))),
    ("slope inverted", "log: g · x", unary(np.log, lambda g, x: g * x, (P(2, 3),))),
    ("slope inverted", "tan: cos²", pair(np.tan, lambda g, x: g * np.cos(x)**2,
                                         (A(3, high=1.2),))),
    ("slope squared", "exp twice", unary(np.exp, lambda g, out: g * out * out)),
    ("sign of the slope lost", "|2x|", unary(np.square, lambda g, x: 2 * g * np.abs(x),
                                             (np.array([[0.5, -1.25, 2.0], [1.5, 0.75, -0.5]]),))),
    ("relative slip", "sin off by 1e-10", unary(np.sin, lambda g, x: g * np.cos(x) * (1 + 1e-10))),
    ("relative slip", "ln 2 with five digits", unary(
        np.log2, lambda g, x: g / (x * 0.69315), (P(4),))),
    ("relative slip", "a sigmoid's slope by a step", pair(
        np.tanh, lambda g, x: g * (np.tanh(x + 1e-5) - np.tanh(x)) / 1e-5, (A(2, 3),))),
    ("float32 cast", "the slope cast", unary(
        np.sin, lambda g, x: g * np.cos(x).astype(np.float32))),
    ("float32 cast", "the gradient cast", pair(
        np.exp, lambda g, x: (g * np.exp(x)).astype(np.float32).astype(float), (A(3),))),
    ("wrong dtype", "a gradient of float32", pair(
        np.exp, lambda g, x: (g * np.exp(x)).astype(np.float32), (A(3),))),

    # ── the cotangent ─────────────────────────────────────────────────────────────────────────────
    ("cotangent ignored", "2 for 2g", unary(lambda x: 2 * x, lambda g: 2 * np.ones(g.shape))),
    ("cotangent ignored", "a slope alone", pair(np.sin, lambda g, x: np.cos(x), (A(2, 3),))),
    ("cotangent squared", "g²", unary(lambda x: 2 * x, lambda g: 2 * g * g)),
    ("cotangent squared", "g twice in a product", pair(
        lambda x, y: x * y, lambda g, x, y: (g * g * y, g * x), (A(3), A(3)))),
    ("cotangent's sign lost", "|g|", unary(np.sin, lambda g, x: np.abs(g) * np.cos(x))),
    ("cotangent by its sign only", "sign(g)", unary(lambda x: 2 * x, lambda g: 2 * np.sign(g))),
    ("cotangent summed", "g.sum()", pair(np.tanh, lambda g, x: g.sum() * (1 - np.tanh(x)**2),
                                         (A(2, 3),))),
    ("cotangent summed", "g.mean()", unary(np.exp, lambda g, out: np.mean(g) * out)),

    ("not linear in the cotangent", "g clipped", unary(
        np.tanh, lambda g, out: np.clip(g, -1, 1) * (1 - out * out))),
    ("not linear in the cotangent", "a small g dropped", pair(
        np.exp, lambda g, x: np.where(np.abs(g) < 0.01, 0, g) * np.exp(x), (A(2, 3),))),

    # ── two operands ──────────────────────────────────────────────────────────────────────────────
    ("operands swapped", "x·y by x: g x", times(x=lambda g, x: g * x)),
    ("operands swapped", "both swapped", times(lambda g, x: g * x, lambda g, y: g * y)),
    ("operands swapped", "gradients in the wrong order", pair(
        lambda x, y: x * y, lambda g, x, y: (g * x, g * y), (A(2, 3), A(2, 3)))),
    ("operands swapped", "power", pair(
        np.power, lambda g, x, y: (g * x * y**(x - 1), g * x**y * np.log(x)), (P(3), P(3)))),
    ("wrong sign", "subtract: + for −", rule(np.subtract, (A(2, 3), A(3)), x=lambda g: g,
                                             y=lambda g: g)),
    ("wrong sign", "divide by y", rule(np.divide, (A(2, 1), A(3)), x=lambda g, y: g / y,
                                       y=lambda g, out, y: g * out / y)),
    ("gradient lost", "second operand without a derivative", times(y=None)),
    ("gradient lost", "second operand None", pair(
        lambda x, y: x * y, lambda g, x, y: (g * y, None), (A(4), A(4)))),
    ("result for operand", "divide: out for x", pair(
        lambda x, y: x / y, lambda g, x, y: (g / y, -g * (x / y) / y / y), (A(3), A(3)))),
    ("un-broadcast by mean", "y averaged", times(y=lambda g, x, y_shape: tg_unbroadcast(
        g * x, y_shape, np.mean))),
    ("un-broadcast by first", "y's first", times(y=lambda g, x, y_shape: tg_unbroadcast(
        g * x, y_shape, lambda a, axis, keepdims: a.take([0], axis[0]) if len(axis) == 1 else
        a.take([0], axis[0]).take([0], axis[1])))),
    ("un-broadcast by last", "y's last", pair(
        lambda x, b: x + b, lambda g, x, b: (g.copy(), g[-1].copy()), (A(2, 3), A(3)))),
    ("un-broadcast by max", "y's largest", pair(
        lambda x, b: x * b, lambda g, x, b: (g * b, (g * x).max(axis=0)), (A(4, 3), A(3)))),
    ("un-broadcast over wrong axis", "a bias summed along rows", pair(
        lambda x, b: x + b, lambda g, x, b: (g.copy(), g.sum(axis=1)), (A(3, 3), A(3)))),
    ("not un-broadcast", "a bias left as it came", pair(
        lambda x, b: x + b, lambda g, x, b: (g.copy(), g.copy()), (A(2, 3), A(3)))),
    ("wrong count", "one gradient for two", pair(
        lambda x, y: x * y, lambda g, x, y: g * y, (A(3), A(3)))),

    # ── reductions ────────────────────────────────────────────────────────────────────────────────
    ("constant factor", "mean without 1/n", pair(
        lambda x: x.mean(axis=1), lambda g, x: np.repeat(g[:, None], x.shape[1], 1), (A(2, 5),))),
    ("constant factor", "sum with 1/n", unary(np.sum, lambda g, x_shape: np.full(
        x_shape, 1.0) * g / np.prod(x_shape))),
    ("constant factor", "var without its 2", pair(
        lambda x: x.var(), lambda g, x: g * (x - x.mean()) / x.size, (A(5),))),
    ("slope forgotten", "norm", pair(
        lambda x: np.sqrt((x * x).sum(axis=1)), lambda g, x: np.repeat(g[:, None], 3, 1),
        (A(2, 3),))),
    ("tie rule", "max to each of the ties", rule(
        lambda x: np.max(x), (np.array([1.5, 0.5, 1.5]),), x=lambda g, x, out: g * (x == out))),
    ("tie rule", "maximum to both", rule(
        np.maximum, (np.array([0.5, 2.0]), np.array([0.5, 1.0])),
        x=lambda g, x, y: g * (x >= y), y=lambda g, x, y: g * (y >= x))),
    ("tie rule", "maximum to none", pair(
        np.maximum, lambda g, x, y: (g * (x > y), g * (y > x)), (np.ones(3), np.arange(3.0)))),
    ("tie rule", "relu with slope 2 at 0", rule(
        lambda x: np.maximum(x, 0), (np.array([0.0, 1.5]),),
        x=lambda g, x: np.where(x > 0, g, np.where(x == 0, 2 * g, 0)))),
    ("gradient lost in part", "prod of the others with a 0", pair(
        lambda x: np.array([x[1] * x[2], x[0] * x[2], x[0] * x[1]]),
        lambda g, x: np.array([g[1] * x[2] + g[2] * x[1], g[0] * x[2] + g[2] * x[0], 0.0]),
        (A(3),))),

    # ── matrices ──────────────────────────────────────────────────────────────────────────────────
    ("transpose", "x̄ = g y", rule(lambda x, y: x @ y, *SQUARE, x=lambda g, y: g @ y,
                                  y=lambda g, x: x.T @ g)),
    ("transpose", "ȳ = gᵀ x", rule(lambda x, y: x @ y, *SQUARE, x=lambda g, y: g @ y.T,
                                   y=lambda g, x: g.T @ x)),
    ("transpose", "ȳ = xᵀ gᵀ", pair(lambda x, y: x @ y, lambda g, x, y: (g @ y.T, x.T @ g.T),
                                    *SQUARE)),
    ("transpose", "A for Aᵀ", pair(lambda a, x: a @ x, lambda g, a, x: (np.outer(g, x), a @ g),
                                   (A(3, 3), A(3)))),
    ("transpose", "the shape of the transpose", pair(
        lambda x, y: x @ y, lambda g, x, y: ((g @ y.T).T, x.T @ g), *MATS)),
    ("transpose", "outer the wrong way round", pair(
        lambda a, x: a @ x, lambda g, a, x: (np.outer(x, g), a.T @ g), (A(3, 3), A(3)))),
    ("transpose", "cumsum not reversed", unary(
        lambda x: np.cumsum(x), lambda g: np.cumsum(g), (A(5),))),
    ("wrong shape", "half a gradient", pair(
        np.exp, lambda g, x: (g * np.exp(x))[:2], (A(3),))),
    ("un-broadcast by first", "one matrix for a stack", pair(
        lambda x, y: x @ y, lambda g, x, y: (g @ y.T, x[0].T @ g[0]), (A(5, 2, 3), A(3, 4)))),
    ("un-broadcast by mean", "one matrix for a stack", pair(
        lambda x, y: x @ y, lambda g, x, y: (g @ y.T, (x.swapaxes(1, 2) @ g).mean(axis=0)),
        (A(5, 2, 3), A(3, 4)))),

    # ── moving and looking up ─────────────────────────────────────────────────────────────────────
    ("transpose", "reshaped, not transposed back", rule(
        lambda x: np.transpose(x, (1, 2, 0)), (A(2, 3, 4),), x=lambda g: np.reshape(g, (2, 3, 4)))),
    ("transpose", "the same 3-cycle again", rule(
        lambda x: np.transpose(x, (1, 2, 0)), (A(3, 3, 3),),
        x=lambda g: np.transpose(g, (1, 2, 0)))),
    ("order not undone", "flip", unary(lambda x: x[::-1] * 2.0, lambda g: 2.0 * g, (A(5),))),
    ("order not undone", "roll", unary(lambda x: np.roll(x, 1), lambda g: np.roll(g, 1), (A(5),))),
    ("order not undone", "sort", pair(np.sort, lambda g, x: g.copy(), (np.array([2.0, 0.5, 1.25]),
                                                                       ))),
    ("order not undone", "a permutation again", pair(
        lambda x: x[[2, 0, 1, 4, 3]], lambda g, x: g[[2, 0, 1, 4, 3]], (A(5),))),
    ("duplicates lost", "out[ids] = g", unary(lambda x: x[IDS], put_last, (A(3),), (A(4, 2),))),
    ("duplicates lost", "the first of each", unary(lambda x: x[IDS], put_first, (A(3),))),
    ("duplicates lost", "+= once", pair(
        lambda x, ids: x[ids] * 3.0, lambda g, x, ids: increment(g * 3.0, x, ids), (A(4), IDS))),
    ("duplicates averaged", "the mean of each", pair(
        lambda x: x[IDS], lambda g, x: add_at(g, x.shape) / np.bincount(IDS), (A(3),))),
    ("constant factor", "a value used twice, once counted", pair(
        lambda x: x * x, lambda g, x: g * x, (A(3),))),
    ("gradient lost in part", "a slice too short", unary(
        lambda x: x[1:] * 2.0, lambda g, x_shape: np.concatenate([[0], 2 * g[:-1], [0]]),
        (A(5),))),
    ("gradient lost", "looked up in vain", unary(lambda x: x[IDS], lambda g, x_shape: np.zeros(
        x_shape), (A(3),))),

    # ── losses and layers ─────────────────────────────────────────────────────────────────────────
    ("diagonal only", "softmax: p (1 - p)", pair(
        softmax, lambda g, x: g * softmax(x) * (1 - softmax(x)), (A(3),), (A(2, 4),))),
    ("diagonal only", "softmax on a diagonal, as a rule", unary(
        softmax, lambda g, out: g * out * (1 - out), (A(4),))),
    ("constant factor", "cross-entropy without 1/n", pair(
        cross_entropy, lambda g, z, ids: g * (softmax(z) - onehot(ids, z.shape[1])),
        (A(4, 3), np.array([2, 0, 1, 2])))),
    ("wrong sign", "cross-entropy: y − p", pair(
        cross_entropy, lambda g, z, ids: g * (onehot(ids, z.shape[1]) - softmax(z)) / len(ids),
        (A(2, 3), np.array([2, 0])))),
    ("constant factor", "mse without its 2", pair(
        lambda x, y: ((x - y)**2).mean(), lambda g, x, y: (
            g * (x - y) / x.size, -2 * g * (x - y) / x.size), (A(2, 3), A(2, 3)))),
    ("wrong sign", "mse by the target", pair(
        lambda x, y: ((x - y)**2).mean(), lambda g, x, y: (
            2 * g * (x - y) / x.size, 2 * g * (x - y) / x.size), (A(2, 3), A(2, 3)))),
    ("diagonal only", "a norm taken for a constant", pair(
        lambda x: x * np.exp(x.sum()), lambda g, x: g * (1 + x) * np.exp(x.sum()), (A(3),))),
    ("layer norm: mean and variance for constants", "layer norm", pair(
        normalise, lambda g, x: g / np.sqrt(x.var(axis=-1, keepdims=True) + 0.1), (A(2, 4),))),
    ("log-softmax: p for the sum", "log_softmax without the sum", pair(
        lambda x: np.log(softmax(x)), lambda g, x: g - softmax(x), (A(4),))),

    # ── beside the values ─────────────────────────────────────────────────────────────────────────
    ("strong zero dropped", "sqrt at 0", rule(
        lambda x: np.sqrt(x), (np.array([0.0, 4.0]), {"cotangent": [0.0, 1.0]}),
        x=lambda g, out: g / (2 * out))),
    ("shared memory", "g itself", pair(lambda x: x + 1.0, lambda g, x: g, (A(3),))),
    ("shared memory", "one array for both", pair(
        lambda x, y: x + y, lambda g, x, y: (lambda c: (c, c))(g.copy()), (A(3), A(3)))),
    ("shared memory", "a view of g", pair(
        lambda x: x.reshape(6), lambda g, x: g.reshape(2, 3), (A(2, 3),))),
    ("input written to", "g *= x", pair(
        np.square, lambda g, x: np.multiply(g, 2 * x, out=g).copy(), (A(3),))),
    ("input written to", "x is clipped in place", pair(
        lambda x: np.clip(x, -0.5, 0.5, out=x).copy() + 0, lambda g, x: g * (np.abs(x) < 0.5),
        (A(3),))),
    ("random", "a dropout", pair(
        lambda x: x * (RNG.random(x.shape) < 0.5), lambda g, x: g * 0.5, (A(9),))),
    ("wrong type", "a list", pair(np.exp, lambda g, x: (g * np.exp(x)).tolist(), (A(3),))),
    ("not broadcast back", "a zero", pair(np.exp, lambda g, x: np.float64(0), (A(3),))),
    ("layout", "the order of memory is taken for that of axes", pair(
        lambda x: 2 * x, lambda g, x: 2 * np.asarray(
            g.ravel(order="K").reshape(g.shape)), (A(2, 3),))),
    ("not repeatable", "a running mean", pair(
        np.exp, (lambda seen: lambda g, x: g * np.exp(x) * (1 + (seen.append(0) or len(seen) > 6)
                                                            * 1e-3))([]), (A(3),))),
]


def increment(g, x, ids):
    out = np.zeros_like(x)
    out[ids] += g
    return out


def tg_unbroadcast(share, shape, reduce):
    lead = share.ndim - len(shape)
    inner = [a + lead for a, n in enumerate(shape) if n == 1 != share.shape[a + lead]]
    axes = (*range(lead), *inner)
    return reduce(share, axis=axes, keepdims=True).reshape(shape)


# What is caught, but has no name of its own, or not the one that was expected.
UNNAMED = {"layer norm", "log_softmax without the sum"}


def caught(kind, functions, point):
    """The error that a planted mistake gives, or None."""
    options = point[-1] if isinstance(point[-1], dict) else {}
    arrays = point[:-1] if options else point
    try:
        (check_grad if kind == "rule" else check_vjp)(*functions, *[
            a.copy() for a in arrays], **options)
    except GradientError as error:
        return error
    return None


ROWS_OF = [pytest.param(name, what, *entry, id=f"{name}: {what}") for name, what, entry in TABLE]


@pytest.mark.parametrize(("name", "what", "kind", "functions", "points"), ROWS_OF)
def test_a_planted_mistake_is_caught_and_named(name, what, kind, functions, points):
    for point in points:
        error = caught(kind, functions, point)
        assert error is not None, "not caught"
        assert "inconclusive" not in str(error)
        if what not in UNNAMED:
            assert error.mistake == name, error


ONE_IS_ALL = {"sum with 1/n", "g.mean()"}  # of a single number these are right
EVERYWHERE = [pytest.param(functions, id=what) for _, what, (_, functions, points) in TABLE
              if points[0] is ANYWHERE[0] and what not in ONE_IS_ALL]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("functions", EVERYWHERE)
def test_a_planted_mistake_is_caught_at_a_single_number(functions, shape):
    seen = [caught("rule", functions, (np.full(shape, x),)) for x in (0.3, -1.7)]
    assert any(seen)


@pytest.mark.parametrize("functions", EVERYWHERE)
def test_where_there_are_no_numbers_none_is_wrong(functions):
    assert caught("rule", functions, (np.zeros((2, 0, 3)),)) is None


@pytest.mark.parametrize("slip", [1e-6, 1e-10])
@pytest.mark.parametrize("name", PAIRS)
def test_the_slightest_slip_is_caught_in_any_vjp(name, slip):
    f, vjp, domain, *shapes = PAIRS[name]

    def slipped(g, *xs):
        found = vjp(g, *xs)
        several = found if isinstance(found, tuple) else (found,)
        return tuple(np.asarray(share * (1 + slip)) for share in several)

    for seed in range(3):
        arrays = lattice(np.random.default_rng(seed), [(domain, shape) for shape in shapes])
        with pytest.raises(GradientError, match="wrong gradient"):
            check_vjp(f, slipped, *arrays, seed=seed)


def test_there_are_enough_planted_mistakes_and_nearly_all_have_their_name():
    assert len(TABLE) >= 60
    assert len(UNNAMED) <= 0.1 * len(TABLE)
    assert {what for _, what, _ in TABLE} >= UNNAMED
