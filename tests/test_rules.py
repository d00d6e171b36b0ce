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


@pytest.mark.parametrize("x", [2.0, -2.0, 6e-309, 1 / 1.797692e308])
def test_the_slope_of_a_power_grows_with_its_exponent_from_0_on(x):
    """∂/∂y (y xʸ⁻¹) = 1 / x at y = 0, where the slope itself is 0, as long as 1 / x is finite."""
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
    x = tg.Tensor([-1.0, 2.0], requires_grad=True)
    out = tg.relu(x)
    assert [a.tolist() for a in out._node.saved if a is not None] == [[0, 2]]
    out.sum().backward()
    assert x.grad.tolist() == [0, 1]


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
    assert "astype" not in {node.rule.name for node in lineage(share._node) if node.rule}


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


@pytest.mark.parametrize(("x", "y", "by_x"), [
    (INF, 1.0, 1), (1.0, INF, 0), (-INF, 1.0, 0), (1.0, -INF, 1), (-INF, INF, 0), (INF, -INF, 1),
    (INF, INF, 0.5), (-INF, -INF, 0.5)])
def test_slopes_of_logaddexp_beside_infinities_are_the_limits(x, y, by_x):
    with np.errstate(all="ignore"):
        assert [g.item() for g in tg.grad(tg.logaddexp, (0, 1))(x, y)] == [by_x, 1 - by_x]


def test_lines_of_equal_values_have_slope_0_each_by_itself():
    rows = np.repeat([[0.1], [3.3], [1e8], [-0.7]], 7, axis=1)
    for op in tg.std, tg.var:
        assert not tg.grad(lambda x, op=op: op(x, axis=1).sum())(rows).data.any()
        assert not op(rows, axis=1).any()


@pytest.mark.parametrize("op", [tg.sum, tg.max, tg.min], ids=lambda op: op.__name__)
@pytest.mark.parametrize("axis", [0, -1, None])
def test_a_number_may_be_reduced_over_axis_0_as_numpy_does(op, axis):
    assert tg.vjp(lambda x: op(x, axis=axis), 3.0)[1](2.0)[0].tolist() == 2


def test_the_slope_of_norm_is_x_where_the_squares_vanish():
    x = [1e-200, -2e-200]
    assert tg.grad(tg.norm)(x).tolist() == x
    assert tg.hessian(tg.norm)([0.0, 0.0]).tolist() == [[1, 0], [0, 1]]


def test_einsum_sends_an_infinite_cotangent_to_its_own_element_alone():
    u = [[INF, 1.0], [2.0, 3.0]]
    assert tg.vjp(lambda x: tg.einsum("ij->ji", x), np.ones((2, 2)))[1](u)[0].tolist() == [
        [INF, 2], [1, 3]]


def test_the_variance_of_nothing_is_no_number_and_needs_no_warning():
    x = tg.Tensor(np.zeros((2, 0)), requires_grad=True)
    with np.errstate(invalid="ignore"):
        out = tg.var(x, axis=1)
    out.sum().backward()
    assert np.isnan(out.data).all()
    assert x.grad.shape == (2, 0)


# ── how a rule is declared and called ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("fn", "derivatives"), [
    (lambda a, b: a - b, {"b": lambda g: -g, "a": lambda g: g}),
    (lambda a, b, axis=0: a - b, {"b": lambda g: -g, "a": lambda g: g}),
    (lambda b, a: b - a, {"a": lambda g: -g, "b": lambda g: g})])
def test_operands_in_another_order_than_the_functions_are_refused(fn, derivatives):
    with pytest.raises(TypeError, match="in this order"):
        tg.rule(fn, **derivatives)


@pytest.mark.parametrize("derivative", [lambda g, axis, x: g, lambda g, zeta, x: g])
def test_keywords_before_arrays_are_refused_whatever_their_names(derivative):
    with pytest.raises(TypeError, match="takes arrays first, then keywords"):
        tg.rule(lambda x, axis=0, zeta=0: x, x=derivative)


def test_rules_are_named_as_their_functions_are_called():
    assert {name for name, op in PRIMITIVES.items() if op.rule.name != name} == {"abs"}
    assert tg.abs.rule.name == "absolute"


def test_a_callable_object_is_named_after_its_class():
    class Twice:
        __module__ = None

        def __call__(self, x):
            return 2 * x

    twice = tg.rule(Twice(), x=lambda g: 2 * g)
    assert (twice.rule.name, tg.grad(twice)(1.0).item()) == ("Twice", 2)


def test_only_numpys_functions_and_ufuncs_are_dispatched_to_a_rule():
    mine, loop = lambda x: 2 * x, np.frompyfunc(lambda x: 2 * x, 1, 1)
    for fn in mine, loop:
        tg.rule(fn, x=lambda g: 2 * g)
    assert (mine in rules.NUMPY, loop in rules.NUMPY) == (False, True)
    del rules.NUMPY[loop]
    assert all(str(fn.__module__).startswith("numpy") for fn in rules.NUMPY)


def test_what_a_rule_knows_of_itself_is_no_keyword_of_the_operation():
    takes = r"einsum\(\) of a Tensor takes 1 operand\(s\) and subscripts"
    with pytest.raises(TypeError, match=takes):
        rules.einsum(tg.Tensor([1.0]), subscripts="i->i", i=0)


def test_operands_that_are_missing_are_counted():
    with pytest.raises(TypeError, match=r"add\(\) of a Tensor takes 2 operand\(s\)"):
        tg.add(tg.Tensor(1.0))


def test_none_for_a_keyword_without_a_rule_counts_as_not_given():
    x = tg.Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.sum(x, 0, None, None).tolist() == [4, 6]
    assert tg.softmax(x, None).numpy().sum() == pytest.approx(1)


@pytest.mark.parametrize(("flag", "shapes", "says"), [
    (True, [2], "refuse() of shape (2,): no"),
    (False, [2, 3], "refuse() of shape (2,) and (3,): no"),
    (True, [2, 3], "refuse() of shape (2,) and (3,): no. Sides must be equal or 1, from the right: "
     "reshape() or expand_dims() one")])
def test_an_error_names_the_operation_and_the_shapes_and_no_more(flag, shapes, says):
    def refuse(*xs):
        raise ValueError("no")

    names = ["x", "y"][: len(shapes)]
    op = tg.rule(refuse, flag, **{name: lambda g: g for name in names})
    with pytest.raises(ValueError, match="refuse") as caught:
        op(*[tg.Tensor(np.ones(side)) for side in shapes])
    assert str(caught.value) == says


@pytest.mark.parametrize("f", [tg.softmax, lambda x: tg.exp(tg.log_softmax(x))],
                         ids=["softmax", "log_softmax"])
def test_the_slope_of_a_sure_softmax_keeps_its_digits(f):
    slope = tg.grad(lambda x: f(x)[0])([40.0, 0.0]).numpy()  # p (1 − p), where p is 1 in floats
    np.testing.assert_allclose(slope, [np.exp(-40.0), -np.exp(-40.0)], rtol=1e-14)
