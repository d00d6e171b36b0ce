"""Where an engine like this one goes wrong without a word: each claim was once broken, here or
elsewhere."""

import math
import threading
import warnings

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.word2vec import objective

T = tg.Tensor


def leaf(values):
    return T(values, requires_grad=True)


# ── the strong zero must not take derivatives away ────────────────────────────────────────────────


def test_a_cotangent_of_0_with_a_finite_slope_keeps_its_own_derivative():
    c = np.array([1.0, 1e20], np.float32)  # the square of the second overflows: nothing else does
    x = np.array([1.0, 2.0], np.float32)
    hessian = tg.hessian(lambda x: ((x - 1) * np.exp(x) * c).sum())(x)
    assert hessian.data[0, 0] == pytest.approx(2 * np.e, rel=1e-6)
    with np.errstate(divide="ignore", invalid="ignore"):
        hessian = tg.hessian(lambda x: ((x - 1) * np.log(x)).sum())([1.0, 0.0])
    assert hessian.data[0, 0] == 2


def test_jvp_does_not_mistake_cancelling_results_for_dead_ones():
    def f(x):
        with np.errstate(divide="ignore"):
            z = np.log(x)
        return np.stack([z, -z])

    _, tangent = tg.jvp(f, [2.0, 0.0], [1.0, 0.0])
    np.testing.assert_array_equal(tangent.data[:, 0], [0.5, -0.5])


def test_a_whole_branch_that_is_not_taken_reaches_no_gradient():
    with np.errstate(over="ignore"):
        g = tg.grad(lambda x: tg.where(False, np.dot(np.exp(x), np.exp(x)), x.sum()))([1000.0, 1.0])
    np.testing.assert_array_equal(g.data, [1, 1])


def test_logsumexp_of_nothing_but_minus_infinity_has_slope_0():
    x = np.array([[1.0, 2.0], [-np.inf, -np.inf]])
    with np.errstate(divide="ignore"):
        g = tg.grad(lambda x: tg.where([True, False], tg.logsumexp(x, axis=1), 0.0).sum())(x)
        assert tg.grad(tg.logsumexp)([-np.inf, -np.inf]).tolist() == [0, 0]
    np.testing.assert_array_equal(g.data[1], [0, 0])
    assert g.data[0].sum() == pytest.approx(1)


# ── indices, axes and shapes ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", [((0, 0), slice(None)), ((0, 0, 1),), (range(2),),
                                 (np.array([0, 1, 1], np.uint8),), ([0, 1, 1],)])
def test_any_sequence_of_indices_adds_repeats_up(key):
    x = np.arange(6.0).reshape(3, 2)
    expected = np.zeros((3, 2))
    np.add.at(expected, tuple(np.asarray(k) if np.ndim(k) else k for k in key), 1.0)
    np.testing.assert_array_equal(tg.grad(lambda x: x[key].sum())(x).data, expected)


@pytest.mark.parametrize("call", [
    lambda t: np.prod(t, axis=2), lambda t: np.split(t, 2, axis=3), lambda t: tg.take(t, [0], 2),
    lambda t: tg.take(t, [0], -3), lambda t: tg.concatenate([t, t], 2), lambda t: tg.stack([t], 4),
    lambda t: np.tensordot(t, t, axes=([3], [2])), lambda t: tg.scatter(t, [0, 1], (4, 2), 2),
    lambda t: T(1.0)[np.array([0])], lambda t: np.cumprod(t, 2)])
def test_an_axis_that_is_not_there_is_refused(call):
    with pytest.raises((ValueError, IndexError), match=r"axis|dimension"):
        call(leaf(np.ones((2, 2))))


def test_axes_may_be_given_as_arrays():
    t = tg.tensordot(T(np.ones((2, 3))), T(np.ones((3, 2))), axes=np.array([[1], [0]]))
    assert t.tolist() == [[3, 3], [3, 3]]


@pytest.mark.parametrize("cuts", [[3, 1], [-2], [7], [0, 0], 5])
def test_split_gives_numpys_pieces_for_any_cuts(cuts):
    x = np.arange(5.0)
    pieces = np.split(T(x), cuts)
    assert [p.tolist() for p in pieces] == [p.tolist() for p in np.split(x, cuts)]


def test_small_id_types_do_not_overflow():
    x = np.arange(300.0)
    assert T(x)[np.array([-1, 3], np.int8)].tolist() == [299, 3]


def test_scatter_refuses_operands_that_do_not_fit_their_ids():
    with pytest.raises(ValueError, match=r"shape \(3, 2\).*\(2, 3\)"):
        tg.scatter(T(np.ones((3, 2))), [0, 1], (4, 3))


@pytest.mark.parametrize(("x", "y"), [((2, 3, 0), (0, 4)), ((2, 3, 4), (4, 0))])
def test_products_over_nothing_have_gradients_of_their_operands_shape(x, y):
    gx, gy = tg.grad(lambda x, y: (x @ y).sum(), argnums=(0, 1))(np.ones(x), np.ones(y))
    assert (gx.shape, gy.shape) == (x, y)
    assert not gx.data.any()
    assert not gy.data.any()


# ── constants of any kind ─────────────────────────────────────────────────────────────────────────


def test_nested_derivatives_pass_through_integer_and_boolean_constants():
    A = np.array([[1, 2], [3, 4]])  # noqa: N806
    hessian = tg.hessian(lambda x: ((A @ x) ** 2).sum())([1.0, 2.0])
    np.testing.assert_allclose(hessian.data, 2 * A.T @ A)
    assert tg.jvp(lambda x: (A > 1) @ x, [1.0, 2.0], [1.0, 0.0])[1].tolist() == [0, 1]
    hessian = tg.hessian(lambda x: (x ** np.array([2, 3])).sum())([1.0, 2.0])
    np.testing.assert_allclose(hessian.data, [[2, 0], [0, 12]])


def test_unsigned_integers_do_not_wrap():
    w = np.array([1.0, 2.0, 3.0])
    g = tg.grad(lambda x: (np.roll(x, np.uint8(1)) * w).sum())([1.0, 2.0, 3.0])
    assert g.tolist() == [2, 3, 1]
    y = np.array([0, 1], np.uint8)
    assert tg.grad(lambda x: (x**y).sum())([20.0, 20.0]).tolist() == [0, 1]
    for f in (tg.sigmoid, tg.softplus, tg.log_sigmoid):
        np.testing.assert_allclose(f(np.array([1, 2], np.uint8)), f(np.array([1.0, 2.0])))
    assert tg.prod(np.array([100, 100], np.int8)) == 10000


def test_lists_and_arrays_that_say_how_may_change_after_use():
    w = np.arange(6.0).reshape(2, 3)
    for use, change in ((lambda a, s: np.roll(a, s, 1), np.array([1])),
                        (lambda a, s: np.transpose(a, s), [1, 0])):
        a = leaf(w)
        out = use(a, change)
        weight = w.reshape(out.shape)
        expected = tg.grad(lambda a, u=use, c=change, v=weight: (u(a, c) * v).sum())(w)
        change[0] = 0
        if len(change) == 2:
            change[1] = 1
        (out * weight).sum().backward()
        np.testing.assert_array_equal(a.grad, expected.data)


def test_einsum_keeps_only_the_operands_its_derivatives_use():
    x, w = np.ones((2, 3)), leaf(np.ones(3))
    loss = np.einsum("ij,j->", x, w)
    with w.edit() as values:
        values += 1  # the derivative by w uses x alone
    loss.backward()
    assert w.grad.tolist() == [2, 2, 2]
    assert np.einsum("ij->i", leaf(x))._node.saved == (None, None)


# ── nothing is lost or kept silently ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("f", [
    lambda a: tg.grad(lambda v: (v**3).sum())([a, 2 * a]).sum(),
    lambda a: tg.hvp(lambda v: (v**3).sum(), [a, a], [1.0, 1.0]).sum(),
    lambda a: tg.vjp(lambda v: v * v, [1.0, 2.0])[1]([a, a])[0].sum(),
    lambda a: (np.full_like(np.ones(2), a) * a).sum(),
    lambda a: (np.full_like(T([1.0, 2.0]), a) * a).sum()])
def test_tensors_in_lists_and_fill_values_are_refused_not_stripped(f):
    with pytest.raises(TypeError, match=r"detach\(\)"):
        tg.grad(f)(1.0)


def test_results_of_nested_derivatives_are_constants_once_all_are_done():
    r = tg.grad(lambda a: tg.grad(lambda x: a * x * x)(1.0))(2.0)
    assert r.requires_grad is False
    assert np.asarray(r) == 2
    value, tangent = tg.jvp(lambda a: tg.jvp(lambda x: a * x * x, 3.0, 1.0)[1], 2.0, 1.0)
    assert (value.requires_grad, tangent.requires_grad) == (False, False)
    assert (value.item(), tangent.item()) == (12, 6)


def test_under_no_grad_values_are_constants_and_gradients_right():
    w = leaf([2.0, 3.0])
    with tg.no_grad():
        value, g = tg.value_and_grad(lambda x: (w * x).sum())([1.0, 1.0])
    assert (value.requires_grad, g.requires_grad) == (False, False)
    assert g.tolist() == [2, 3]


@pytest.mark.parametrize(("f", "message"), [
    (lambda v: None, "gave None"), (lambda v: (v, v), "gave tuple")])
def test_a_function_that_gives_no_number_is_refused(f, message):
    with pytest.raises(TypeError, match=message):
        tg.grad(f)(1.0)


def test_argnums_may_be_numpys_but_not_twice_the_same():
    assert tg.grad(lambda x, y: x * y, np.int64(1))(2.0, 3.0).item() == 2
    for twice in ((0, 0), (0, -2)):
        with pytest.raises(ValueError, match="twice"):
            tg.grad(lambda x, y: x * y, twice)(2.0, 3.0)
    with pytest.raises(ValueError, match="by position"):
        tg.grad(lambda x: x * x)(x=1.0)


def test_threads_that_share_a_parameter_lose_no_gradient():
    w = leaf(np.zeros(20000))

    def work():
        for _ in range(100):
            (w * 1.0).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(w.grad.tolist()) == {400.0}


def test_row_gradients_can_be_scaled_and_added_to_in_place():
    t = leaf(np.ones((4, 2)))
    tg.take(t, [0, 0, 2]).sum().backward()
    t.grad *= 2
    assert isinstance(t.grad, tg.RowGrad)
    t.grad += t.grad
    t.grad /= 4
    t.grad -= 1.0
    assert np.asarray(t.grad)[:, 0].tolist() == [1, -1, 0, -1]


def test_the_history_is_not_walked_again_by_each_inner_derivative():
    from tinygrad_w2v import functional, graph  # noqa: PLC0415

    visited = []
    real = graph.lineage

    def counting(*args):
        nodes = real(*args)
        visited.append(len(nodes))
        return nodes

    def unrolled(x):
        for _ in range(50):
            x = x - 0.01 * tg.grad(lambda y: (y**3).sum())(x)
        return x.sum()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "lineage", counting)
        patch.setattr(graph, "lineage", counting)
        tg.grad(unrolled)([1.0, 2.0])
    *inner, whole = sorted(visited)
    assert whole > 300  # the outer walk sees it all, once or twice
    assert sum(n > 20 for n in inner) <= 1


# ── rules and calls ───────────────────────────────────────────────────────────────────────────────


def test_a_rule_names_its_operands_in_the_order_of_its_function():
    with pytest.raises(TypeError, match=r"b, a.*in this order: a, b"):
        tg.rule(lambda a, b: a - b, b=lambda g: -g, a=lambda g: g)
    with pytest.raises(TypeError, match="a derivative for each operand"):
        tg.rule(lambda x: x)
    with pytest.raises(TypeError, match=r"np\.hypot has 2 operand\(s\), not 1"):
        tg.rule(np.hypot, x=lambda g, out: g * out)
    with pytest.raises(TypeError, match=r"derivative by x takes arrays first.*axis, x"):
        tg.rule(lambda x, axis: x, x=lambda g, axis, x: g * x)


def test_errors_with_strange_constructors_are_still_explained():
    class OddError(ValueError):
        def __init__(self, what, where):
            super().__init__(f"{what} at {where}")

    def bad(x):
        raise OddError("trouble", "noon")

    with pytest.raises(ValueError, match=r"bad\(\) of shape \(2,\): trouble at noon"):
        tg.rule(bad, x=lambda g: g)(leaf([1.0, 2.0]))


@pytest.mark.parametrize(("call", "message"), [
    (lambda t: np.prod(t, 0, np.float64), "prod"),
    (lambda t: np.var(t, 0, np.float64), r"var\(\) of a Tensor.*takes.*ddof"),
    (lambda t: np.var(t, dtype=float), r"var\(\) of a Tensor.*dtype"),
    (lambda t: np.pad(t, 1, "edge", constant_values=3.0), "constant_values"),
    (lambda t: np.sum(t, where=[True]), r"sum\(\) of a Tensor takes.*, not where"),
    (lambda t: np.linalg.inv(t), r"np\.linalg\.inv has no derivative rule"),
])
def test_keywords_that_no_derivative_knows_are_refused_by_name(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(leaf(np.ones((2, 2))))


def test_nothing_to_join_is_refused():
    for join in (tg.concatenate, tg.stack):
        with pytest.raises(ValueError, match="at least one"):
            join([])


# ── rules compute in the type of the result ───────────────────────────────────────────────────────

NARROW = [np.bool_, np.int8, np.uint8, np.int16, np.float16, np.float32]
PAIRED = {
    "power": tg.power, "power of a constant": lambda x, c: tg.power(c, x),
    "logaddexp": tg.logaddexp, "logaddexp, swapped": lambda x, c: tg.logaddexp(c, x),
    "multiply": tg.multiply, "divide": tg.divide, "divide a constant": lambda x, c: tg.divide(c, x),
    "subtract": tg.subtract, "maximum": tg.maximum, "minimum": tg.minimum,
    "clip": lambda x, c: tg.clip(x, c, 9),
    "where": lambda x, c: tg.where([True, False, True], x * x, c),
    "matmul": lambda x, c: tg.matmul(x, np.stack([c, c[::-1], c], 1)),
    "dot": lambda x, c: tg.dot(np.stack([c, c[::-1], c]), x),
    "tensordot": lambda x, c: tg.tensordot(x, c, 1),
    "matmul_t": lambda x, c: tg.matmul_t(np.reshape(x, (1, 3)), np.reshape(c, (1, 3))),
    "einsum": lambda x, c: tg.einsum("i,i,i->", x, c, x)}


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize("narrow", NARROW, ids=lambda t: t.__name__)
def test_a_constant_of_a_narrow_type_gives_the_slopes_of_the_same_numbers_as_float64(name, narrow):
    f, x = PAIRED[name], np.array([1.5, 2.75, 0.625])
    c = np.array([2.703125, 3.3, 1.01]).astype(narrow)
    for derivative in (tg.jacobian(lambda x, c: f(x, c) * x), tg.hessian(
            lambda x, c: (f(x, c) * x).sum())):
        np.testing.assert_allclose(derivative(x, c).data, derivative(x, c.astype(float)).data,
                                   rtol=1e-14)


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize("narrow", [0, 1])
def test_a_float32_operand_beside_a_float64_one_gives_the_slopes_of_float64(name, narrow):
    f = PAIRED[name]
    xs = [np.array([1.5, 2.75, 0.625]), np.array([2.703125, 3.3, 1.01])]
    xs[narrow] = xs[narrow].astype(np.float32)
    wide = [x.astype(float) for x in xs]

    def sloped(x, y):
        return (f(x, y) * x).sum()

    def twice(x, y):
        return sum(((g * g).sum() for g in tg.grad(sloped, argnums=(0, 1))(x, y)), 0.0)

    for function in (sloped, twice):
        found = tg.grad(function, argnums=(0, 1))(*xs)
        expected = tg.grad(function, argnums=(0, 1))(*wide)
        assert [g.dtype for g in found] == [x.dtype for x in xs]
        for g, r in zip(found, expected, strict=True):  # of `twice`, the inner gradient is rounded
            eps = 1e-14 if function is sloped and g.dtype == float else 2.0**-23
            np.testing.assert_allclose(g.data, r.data, rtol=0, atol=eps * np.abs(r.data).max())


def test_masks_and_ids_are_kept_as_they_are():
    picked = tg.rule(lambda x, ids: x[ids],
                     x=lambda g, ids, x_shape: tg.scatter(g, ids, x_shape), ids=None)
    ids, mask = np.array([2, 0, 2], np.uint8), np.array([True, False, True])
    x = leaf([1.0, 2.0, 3.0])
    assert picked(x, ids)._node.saved[1].dtype == np.uint8
    assert (x * mask)._node.saved[1].dtype == bool
    assert tg.grad(lambda x: picked(x, ids).sum())(x.data).tolist() == [1, 0, 2]


# ── zeros of either sign, infinities, and nothing at all ──────────────────────────────────────────


@pytest.mark.parametrize("x", [5e-324, -5e-324, 1e-310, 0.0, -0.0, 1e-300, np.inf, np.nan])
@pytest.mark.parametrize("y", [0, 0.0, np.zeros(1), T([0.0])], ids=repr)
def test_x_to_the_0_has_slope_0_wherever_x_is(x, y):
    slope = tg.grad(lambda x: tg.power(x, y).sum())
    assert slope([x]).tolist() == tg.grad(lambda x: slope(x).sum())([x]).tolist() == [0]


def test_the_slope_of_x_to_the_y_still_depends_on_y_where_y_is_0():
    by_x = tg.grad(lambda x, y: tg.power(x, y))
    by_y = tg.grad(lambda x, y: tg.power(x, y), argnums=1)
    for x in (3.0, 0.25, 1e-300):
        assert tg.grad(by_x, argnums=1)(x, 0.0).item() == pytest.approx(1 / x, rel=1e-15)
        assert tg.grad(by_y, argnums=0)(x, 0.0).item() == pytest.approx(1 / x, rel=1e-15)


def test_the_slope_of_sqrt_at_minus_0_is_that_at_0():
    slope = tg.grad(lambda x: tg.sqrt(x).sum())
    assert slope([-0.0, 0.0]).tolist() == [np.inf, np.inf]
    assert tg.grad(lambda x: slope(x).sum())([-0.0, 0.0]).tolist() == [-np.inf, -np.inf]


@pytest.mark.parametrize("f", [tg.log, tg.log2, tg.log10], ids=lambda f: f.__name__)
def test_the_slope_of_a_log_at_0_goes_by_the_sign_of_the_zero(f):
    with np.errstate(divide="ignore"):
        assert tg.grad(lambda x: f(x).sum())([0.0, -0.0]).tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("tie", [-np.inf, np.inf])
def test_logaddexp_of_equal_infinities_has_slope_half_to_each(tie):
    x, y = tg.grad(tg.logaddexp, argnums=(0, 1))(tie, tie)
    assert (x.item(), y.item()) == (0.5, 0.5)
    by_x = tg.grad(tg.logaddexp)
    assert tg.grad(by_x)(tie, tie).item() == 0


@pytest.mark.parametrize(("x", "y"), [(1.0, 1.0), (0.0, -0.0), (2.0, -1.0), (-np.inf, 3.0)])
def test_second_derivatives_of_logaddexp_are_those_of_a_sigmoid(x, y):
    hessian = np.stack([[d.item() for d in tg.grad(tg.grad(tg.logaddexp, i), (0, 1))(x, y)]
                        for i in (0, 1)])
    slope = np.exp(x - y) / (1 + np.exp(x - y)) ** 2
    np.testing.assert_allclose(hessian, [[slope, -slope], [-slope, slope]], rtol=1e-14)


@pytest.mark.parametrize("f", [tg.softmax, tg.log_softmax], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("shape", "axis"), [((3, 0), -1), ((0, 3), 0), ((0, 0), 1), ((0, 3), 1)])
def test_a_softmax_of_no_elements_has_no_elements(f, shape, axis):
    for x in (np.zeros(shape), np.zeros(shape, np.float32), np.zeros(shape, int)):
        assert f(x, axis=axis).shape == shape
    for order in (tg.grad(lambda x: f(x, axis=axis).sum()), tg.grad(
            lambda x: tg.grad(lambda x: f(x, axis=axis).sum())(x).sum())):
        assert order(np.zeros(shape)).shape == shape


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 0), ((0, 3), None), ((0, 3), (0, 1))])
def test_logsumexp_of_nothing_is_the_log_of_0(shape, axis, keepdims):
    def f(x):
        return tg.logsumexp(x, axis=axis, keepdims=keepdims)

    with np.errstate(divide="ignore"):
        expected = np.log(np.sum(np.exp(np.zeros(shape)), axis, keepdims=keepdims))
    for x in (np.zeros(shape), np.zeros(shape, int), T(np.zeros(shape))):
        np.testing.assert_array_equal(f(x) if not isinstance(x, T) else f(x).data, expected)
    assert tg.grad(lambda x: f(x).sum())(np.zeros(shape)).shape == shape


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize(("shape", "axis"), [((0, 3), 0), ((3, 0), 1), ((0, 3), None), ((0, 3), 1)])
@pytest.mark.parametrize("ddof", [0, 1])
def test_spread_of_nothing_is_nan_as_numpys(name, shape, axis, ddof):
    f, numpys = (lambda x: getattr(tg, name)(x, axis=axis, ddof=ddof)), getattr(np, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = numpys(np.zeros(shape), axis=axis, ddof=ddof)
        np.testing.assert_array_equal(f(np.zeros(shape)), expected)
        assert tg.grad(lambda x: f(x).sum())(np.zeros(shape)).shape == shape
        assert tg.grad(lambda x: tg.grad(lambda x: f(x).sum())(x).sum())(
            np.zeros(shape)).shape == shape
    if np.size(expected):
        with pytest.warns(RuntimeWarning):
            f(np.zeros(shape))


@pytest.mark.parametrize("ddof", [1, 2, 3, 3.5, 5])
def test_var_with_no_degrees_of_freedom_left_is_numpys(ddof):
    for x in ([1.0, 2.0, 4.0], [3.0]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            np.testing.assert_allclose(tg.var(np.array(x), ddof=ddof), np.var(x, ddof=ddof))


@pytest.mark.parametrize("narrow", [bool, np.int8, np.uint8, np.int64, np.float32])
@pytest.mark.parametrize(("ours", "numpys"), [
    (tg.var, np.var), (tg.std, np.std), (tg.norm, np.linalg.norm)], ids=["var", "std", "norm"])
def test_lengths_and_spreads_of_small_integers_do_not_wrap(ours, numpys, narrow):
    for x in ([0, 1, 1], [0, 1, 100], [-128, 127, 16]):
        x = np.array(x).astype(narrow)
        expected = numpys(x.astype(float))
        np.testing.assert_allclose(ours(x), expected, rtol=1e-6 if narrow is np.float32 else 1e-15)


def test_var_of_float32_stays_float32():
    x = T(np.ones(3, np.float32))
    assert tg.var(x, ddof=1).dtype == tg.std(x, ddof=0.5).dtype == np.float32


def test_a_loss_of_nothing_is_plus_0():
    v, U = np.ones((1, 2)), np.ones((1, 2))
    for counts in (np.zeros((1, 1)), np.ones((1, 1)), np.zeros((1, 0))):
        loss = objective.exact_loss(T(v), U[: counts.shape[1]], None, counts)
        assert math.copysign(1, loss.item()) == 1
    V, none = T(np.ones((2, 3))), np.zeros(0, int)
    loss = objective.negative_loss(V, V, none, none, np.zeros((0, 5), int))
    assert math.copysign(1, loss.item()) == 1
