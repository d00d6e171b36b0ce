"""What the table of rules promises as a whole, row by row."""

import inspect

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v import rules
from tinygrad_w2v.graph import lineage, walk

PRIMITIVES = {name: op for name, op in vars(rules).items() if hasattr(op, "rule")}
ELEMENTWISE = {name for name, op in PRIMITIVES.items() if op.rule.elementwise}
NAN, INF = np.nan, np.inf


def only(test):
    return pytest.mark.parametrize("name", [name for name, op in PRIMITIVES.items()
                                            if test(op.rule)])


@only(lambda rule: rule.elementwise)
@pytest.mark.parametrize("poison", [NAN, INF, -INF, 0.0])
def test_an_elementwise_rule_lets_nothing_through_where_the_cotangent_is_0(name, poison):
    """Whatever an operand is there; and elsewhere the slope is what it is alone."""
    op = PRIMITIVES[name]
    n = len(op.rule.operands)
    for k in range(n):
        xs = np.full((n, 2), 0.5)
        xs[k, 0] = poison
        with np.errstate(all="ignore"):
            shares = tg.vjp(op, *xs)[1]([0.0, 1.0])
            alone = tg.vjp(op, *xs[:, 1:])[1]([1.0])
        for found, expected in zip(shares, alone, strict=True):
            assert found.tolist() == [0, expected.item()]


ROWS = {"logsumexp", "max", "min", "var", "std", "norm"}
MIXING = {name: (lambda x, op=PRIMITIVES[name]: op(x, axis=1), [1.0, 0.0]) for name in ROWS} | {
    "softmax": (tg.softmax, [[0.0, 1.0], [0.0, 0.0]]),
    "log_softmax": (tg.log_softmax, [[0.0, 1.0], [0.0, 0.0]]),
    "matmul": (lambda x: x @ np.array([[NAN, 1], [NAN, 1]]), [[1.0, 0.0], [0.0, 0.0]]),
    "matmul, right": (lambda x: np.array([[NAN, NAN], [1, 1]]) @ x.T, [[1.0, 0.0], [0.0, 0.0]]),
    "matmul_t": (lambda x: tg.matmul_t(x, np.array([[NAN, NAN], [1, 1]])), [[1.0, 0.0], [0, 0]]),
    "einsum": (lambda x: tg.einsum("ij,j->i", x, np.array([NAN, NAN])), [1.0, 0.0])}


@pytest.mark.parametrize("name", MIXING)
def test_a_rule_that_mixes_elements_hides_no_nan_beside_a_cotangent_of_0(name):
    """The first row of the gradient is of a cotangent that is not 0."""
    f, u = MIXING[name]
    with np.errstate(all="ignore"):
        [share] = tg.vjp(f, [[NAN, 1.0], [2.0, 3.0]])[1](u)
    assert np.isnan(share.data[0]).all()


@only(lambda rule: not isinstance(rule.fn, np.ufunc) and not rule.variadic)
def test_a_derivative_has_the_defaults_of_its_function(name):
    rule = PRIMITIVES[name].rule
    defaults = {k: p.default for k, p in inspect.signature(rule.fn).parameters.items()}
    for derivative in filter(None, rule.derivatives):
        for k, p in inspect.signature(derivative.fn).parameters.items():
            if p.default is not p.empty and "kwargs" not in defaults:
                assert defaults[k] in (p.default, np._NoValue), k


# ── what single rows promise at places that no random point hits ──────────────────────────────────


@pytest.mark.parametrize(("x", "y", "by_x", "by_y"), [
    (0.0, 1.0, 1, 0), (0.0, 2.0, 0, 0), (0.0, 0.5, INF, 0), (0.0, 0.0, 0, 0),
    (0.0, -1.0, -INF, -INF), (0.0, -0.5, -INF, -INF), (-2.0, 2.0, -4, NAN), (-2.0, 0.0, 0, NAN)])
def test_slopes_of_a_power_at_and_below_0(x, y, by_x, by_y):
    with np.errstate(all="ignore"):
        slopes = [g.item() for g in tg.grad(tg.power, (0, 1))(x, y)]
    np.testing.assert_array_equal(slopes, [by_x, by_y])


@pytest.mark.parametrize("x", [2.0, -2.0])
def test_the_slope_of_a_power_grows_with_its_exponent_from_0_on(x):
    """∂/∂y (y xʸ⁻¹) = 1 / x at y = 0, where the slope itself is 0."""
    assert tg.grad(lambda y: tg.grad(lambda x: tg.power(x, y))(x))(0.0).item() == 1 / x


@pytest.mark.parametrize("op", [tg.maximum, tg.minimum], ids=lambda op: op.__name__)
@pytest.mark.parametrize("u", [3.0, -3.0])
def test_a_tie_passes_half_of_any_cotangent_to_each(op, u):
    assert [g.item() for g in tg.vjp(op, 1.0, 1.0)[1](u)] == [u / 2, u / 2]


@pytest.mark.parametrize(("x", "low", "high", "expected"), [
    (-2, -1, 1, "low"), (-1, -1, 1, "x"), (0, -1, 1, "x"), (1, -1, 1, "x"), (2, -1, 1, "high"),
    (-3, 1, 1, "low"), (1, 1, 1, "x"), (3, 1, 1, "high"),
    (-3, 2, -2, "high"), (-2, 2, -2, "high"), (0, 2, -2, "high"), (3, 2, -2, "high")])
def test_clip_sends_its_cotangent_to_the_one_operand_that_is_the_result(x, low, high, expected):
    """At a bound to x; where the bounds are crossed to the upper one, as NumPy does."""
    operands = [float(x), float(low), float(high)]
    slopes = tg.grad(tg.clip, (0, 1, 2))(*operands)
    assert [g.item() for g in slopes] == [expected == name for name in ("x", "low", "high")]


@pytest.mark.parametrize(("slope", "expected"), [(-2.0, -2), (0.0, 0), (3.0, 3), (INF, INF)])
def test_leaky_relu_takes_any_slope(slope, expected):
    with np.errstate(invalid="ignore"):
        [share] = tg.vjp(lambda x: tg.leaky_relu(x, slope), [-1.0, -1.0, 2.0])[1]([0.0, 1.0, 1.0])
    assert share.tolist() == [0, expected, 1]


def test_relu_keeps_its_result_which_the_next_operation_keeps_anyway():
    out = tg.relu(tg.Tensor([-1.0, 2.0], requires_grad=True))
    assert [a.tolist() for a in out._node.saved if a is not None] == [[0, 2]]


@pytest.mark.parametrize(("x", "y"), [((3,), (2, 3)), ((2, 3), (3,)), ((), (2, 3)), ((3,), (3,))])
def test_matmul_t_refuses_vectors_on_either_side(x, y):
    with pytest.raises(ValueError, match="both need two axes or more"):
        tg.matmul_t(tg.Tensor(np.ones(x)), tg.Tensor(np.ones(y)))


@pytest.mark.parametrize("f", [lambda x: tg.max(x), lambda x: tg.min(x, axis=0), tg.norm, tg.var,
                               lambda x: tg.einsum("ii->", x), lambda x: tg.einsum("ij->", x),
                               tg.logsumexp, tg.softmax, tg.abs, tg.sigmoid, lambda x: x @ x])
def test_a_walk_in_single_precision_never_leaves_it(f):
    x = tg.Tensor(np.ones((3, 3)), requires_grad=True, dtype=np.float32)
    out = f(x)
    seed = tg.Tensor(np.ones(out.shape), requires_grad=True, dtype=np.float32)
    share = walk(out._node, seed)[x._node]
    assert {node.dtype for node in lineage(share._node)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("op", "first"), [(tg.softmax, [1, 0, 0]),
                                           (tg.log_softmax, [0, -INF, -INF])])
def test_a_row_with_an_infinite_number_changes_no_other_row(op, first):
    rows = np.array([[INF, 1.0, -INF], [1.0, 2.0, 0.5], [-INF, 1.0, 0.25]])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(op(rows)[1:], [op(row) for row in rows[1:]])
        np.testing.assert_array_equal(op(rows)[0], first)


def test_logsumexp_of_all_numbers_is_a_number():
    assert type(tg.logsumexp(np.ones(2))) is np.float64
    assert tg.logsumexp(np.ones(2), keepdims=True).shape == (1,)


@only(lambda rule: len(rule.operands) > 1 and not rule.variadic)
def test_shapes_that_do_not_fit_are_named_with_advice_where_sides_broadcast(name):
    op = PRIMITIVES[name]
    operands = [tg.Tensor(np.ones((2, side))) for side in (3, 4, 5)[: len(op.rule.operands)]]
    with pytest.raises(ValueError, match=r"of shape \(2, 3\) and \(2, 4\)") as caught:
        op(*operands)
    assert ("Sides must be equal or 1" in str(caught.value)) == (name in ELEMENTWISE)
