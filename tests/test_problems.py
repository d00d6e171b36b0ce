"""The two problems as theorems, and where they end: E8, E9, E10."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_w2v as tg
from tinygrad_w2v.diagnose import Path, agreement, condition, diagnose, expected_condition

ACTIVATIONS = [tg.tanh, tg.sigmoid, tg.relu, tg.leaky_relu, tg.softplus, tg.positive, tg.exp,
               tg.sin, tg.square]  # E10 asks nothing of g: not even that it rises
SHAPES = st.tuples(st.integers(2, 6), st.integers(1, 4))  # inputs, neurons
SOME = st.floats(-4, 4).map(lambda v: round(v, 3))
POSITIVE = st.floats(0.001, 4).map(lambda v: round(v, 3))


@st.composite
def neurons(draw, inputs, examples=1):
    """Examples (k, n), weights (n, m), biases (m,), upstream gradients (k, m), an activation."""
    n, m = draw(SHAPES)
    x = draw(arrays(float, (examples, n), elements=inputs))
    w, b = (draw(arrays(float, shape, elements=SOME)) for shape in ((n, m), (m,)))
    upstream = draw(arrays(float, (examples, m), elements=SOME))
    return x, w, b, upstream, draw(st.sampled_from(ACTIVATIONS))


def gradient(x, w, b, upstream, g):
    """∂L/∂w of f = g(xw + b), whatever L is: `upstream` is ∂L/∂f (E9)."""
    weight = tg.Tensor(w, requires_grad=True)
    g(x @ weight + b).backward(seed=upstream)
    return weight.grad


# ── problem 2: the theorem ────────────────────────────────────────────────────────────────────────


@given(neurons(POSITIVE))
def test_positive_inputs_push_all_weights_of_a_neuron_one_way(case):
    """E10: ∂L/∂w_i = (∂L/∂g · ∂g/∂z) x_i, and what is in brackets is the same for all i."""
    for neuron in gradient(*case).T:
        assert (neuron >= 0).all() or (neuron <= 0).all()


@given(neurons(SOME), st.sampled_from([tg.sigmoid, tg.relu, tg.softplus, tg.exp]))
def test_so_it_is_behind_a_layer_whose_outputs_are_positive(case, before):
    x, *rest = case
    for neuron in gradient(before(x), *rest).T:
        assert (neuron >= 0).all() or (neuron <= 0).all()


@given(neurons(POSITIVE))
def test_the_sign_is_that_of_the_gradient_by_z(case):
    x, w, b, upstream, g = case
    bias = tg.Tensor(b, requires_grad=True)
    g(x @ tg.Tensor(w) + bias).backward(seed=upstream)  # ∂L/∂b = ∂L/∂z, for one example
    assert np.array_equal(np.sign(gradient(*case)), np.broadcast_to(np.sign(bias.grad), w.shape))


@given(neurons(POSITIVE))
def test_it_holds_of_any_loss_and_of_layers_in_between(case):
    x, w, b, _, g = case
    weight = tg.Tensor(w, requires_grad=True)
    above = tg.nn.MLP([w.shape[1], 5, 3], "tanh", rng=1)
    tg.nn.cross_entropy(above(g(x @ weight + b)), [2]).backward()
    assert all((column >= 0).all() or (column <= 0).all() for column in weight.grad.T)


@given(neurons(SOME))
def test_inputs_of_two_signs_push_weights_two_ways_wherever_a_gradient_arrives(case):
    """The counterexample for zero-centred inputs: any input of two signs is one."""
    x, w, b, upstream, g = case
    x[0, :2] = 1.5, -0.5
    found = gradient(x, w, b, upstream, g)
    moved = found.any(axis=0)
    assert (np.sign(found[0, moved]) == -np.sign(found[1, moved])).all()


def test_that_is_no_empty_claim():
    x = np.array([[1.5, -0.5]])
    assert gradient(x, np.ones((2, 1)), np.zeros(1), np.ones((1, 1)), tg.tanh).T[0] @ [1, 3] == 0
    assert gradient(x, np.ones((2, 1)), np.zeros(1), np.ones((1, 1)), tg.tanh)[0, 0] > 0.6


def test_the_theorem_is_of_one_example_for_two_positive_ones_may_differ():
    x, upstream = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[1.0], [-1.0]])
    found = gradient(x, np.zeros((2, 1)), np.zeros(1), upstream, tg.positive)
    assert found.tolist() == [[-1], [1]]


@given(neurons(POSITIVE, examples=3))
def test_diagnose_finds_agreement_1_for_positive_inputs(case):
    x, w, b, upstream, g = case
    weight = tg.Tensor(w, requires_grad=True)
    layer, = diagnose(lambda x: g(x @ weight + b), x, upstream, lambda a, u: (a * u).sum()).layers
    assert layer.agreement_example == 1 or math.isnan(layer.agreement_example)


# ── problem 2: what follows, and what does not ────────────────────────────────────────────────────


def descend(x, y, optimizer, steps=30, batch=1, until=-math.inf):
    w, rng = tg.Tensor(np.zeros(x.shape[1]), requires_grad=True), np.random.default_rng(0)
    step, path = optimizer([w]), Path([w], until)
    for _ in range(steps):
        if path.record(tg.nn.mse(x @ w, y)):
            break
        rows = rng.permutation(len(x))[:batch]
        step.zero_grad()
        tg.nn.mse(x[rows] @ w, y[rows]).backward()
        step.step()
    return path


@given(arrays(float, (8, 3), elements=POSITIVE), arrays(float, 8, elements=SOME))
def test_with_positive_inputs_every_step_lies_in_two_orthants(x, y):
    path = descend(x, y, lambda params: tg.optim.SGD(params, 0.01))
    assert path.one_sign == 1 or math.isnan(path.one_sign)


@pytest.mark.parametrize("optimizer", [
    lambda params: tg.optim.SGD(params, 0.05, momentum=0.9), lambda params: tg.optim.Adam(params)])
def test_an_optimiser_that_remembers_leaves_them(optimizer):
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 1, (50, 2))
    assert descend(x, x @ [1.0, -1.0], optimizer, steps=400).one_sign < 0.9


def test_centring_the_inputs_shortens_the_way():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (200, 2))
    positive, centred = (descend(v, v @ [1.0, -1.0], lambda p: tg.optim.SGD(p, 0.05), steps=5000,
                                 until=0.01 * np.mean((v @ [1.0, -1.0]) ** 2))
                         for v in (x, x - x.mean(axis=0)))
    assert positive.reached
    assert centred.reached
    assert positive.detour > 2 > 1.5 > centred.detour
    assert positive.one_sign == 1 > 0.7 > centred.one_sign


def test_overshoot_turns_back_at_every_step_with_centred_inputs_too():
    """So a zig-zag proves nothing: here the mean is exactly 0."""
    x = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1]])
    path = descend(x, x @ [1.0, -1.0], lambda p: tg.optim.SGD(p, 0.95), batch=4)
    assert x.mean() == 0
    assert path.turns[:5].min() > 170
    assert path.detour > 5


@pytest.mark.parametrize("n", [1, 2, 5, 8])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 0.2), (-3.0, 1.5)])
def test_the_condition_number_of_independent_inputs_is_1_plus_n_mean2_over_std2(n, mean, std):
    """All 2ⁿ corners of a cube: means, variances and covariances are exact."""
    corners = mean + std * np.array(list(itertools.product([-1.0, 1.0], repeat=n)))
    expected = 1 + n * mean**2 / std**2 if n > 1 else 1  # one number has one eigenvalue
    assert condition(corners) == pytest.approx(expected, rel=1e-9)
    assert expected_condition(mean, std, n) == pytest.approx(condition(corners), rel=1e-9)


@pytest.mark.parametrize("mean", [0.5, 2.0])
def test_descent_at_the_best_rate_leaves_the_same_share_of_the_way_at_each_step(mean):
    """(κ − 1) / (κ + 1), if the start has as much of the steepest as of the flattest direction."""
    x = mean + np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    wanted = vectors[:, 0] + vectors[:, -1]
    w = tg.Tensor(np.zeros(3), requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=2 / (values[0] + values[-1]))
    left = [np.linalg.norm(wanted)]
    for _ in range(5):
        optimizer.zero_grad()
        (0.5 * tg.nn.mse(x @ w, x @ wanted)).backward()
        optimizer.step()
        left.append(np.linalg.norm(w.data - wanted))
    k = condition(x)
    assert np.divide(left[1:], left[:-1]) == pytest.approx((k - 1) / (k + 1), rel=1e-9)


def test_a_bias_beside_inputs_with_a_mean_makes_the_condition_worse():
    corners = 0.5 + 0.2 * np.array(list(itertools.product([-1.0, 1.0], repeat=6)))
    with_bias = np.hstack([corners, np.ones((len(corners), 1))])
    assert condition(with_bias) > 4 * condition(corners)
    centred = with_bias - [*corners.mean(axis=0), 0]
    assert condition(centred) == pytest.approx(1 / 0.2**2, rel=1e-9)


def test_a_batch_of_relu_inputs_agrees_far_less_than_one_of_sigmoid_inputs():
    rng = np.random.default_rng(0)
    z, above = rng.normal(size=(64, 400)), rng.normal(size=(64, 400))

    def batch(f):
        weight = tg.Tensor(np.zeros((400, 400)), requires_grad=True)
        (f(z) @ weight).backward(seed=above)
        return agreement(weight.grad)

    assert batch(np.tanh) < 0.55 < 0.65 < batch(tg.relu) < 0.75 < 0.82 < batch(tg.sigmoid) < 0.92


# ── problem 1 ─────────────────────────────────────────────────────────────────────────────────────


@given(st.floats(-30, 30))
def test_one_threshold_serves_tanh_and_sigmoid(z):
    """σ(z) = ½ + ½ tanh(z/2), so that its slope, of ¼ at most, is as flat as tanh's at z/2."""
    limit = 1 - 0.97**2
    size = abs(np.tanh(z))
    if abs(size - 0.97) > 1e-9:
        assert (tg.grad(tg.tanh)(z).item() < limit) == (size > 0.97)
        assert (tg.grad(tg.sigmoid)(2 * z).item() < limit / 4) == (size > 0.97)


@given(st.floats(-40, 40), st.sampled_from([0.0, 1.0]))
def test_squared_error_waits_for_the_slope_and_cross_entropy_does_not(z, target):
    """E8: ∂L/∂z = σ′(z) · ∂L/∂σ. Cross-entropy's ∂L/∂σ has 1/σ′ in it."""
    error = tg.sigmoid(np.float64(z)) if target == 0 else -tg.sigmoid(np.float64(-z))  # σ − t
    slope = tg.grad(tg.sigmoid)(z).item()
    squared = tg.grad(lambda z: tg.nn.mse(tg.sigmoid(z), target))(z).item()
    entropy = tg.grad(lambda z: tg.nn.binary_cross_entropy(z, target))(z).item()
    assert squared == pytest.approx(2 * error * slope, rel=1e-12)
    assert entropy == pytest.approx(error, rel=1e-12)


@given(arrays(float, 20, elements=st.floats(-50, 50)))
def test_a_sigmoid_passes_a_quarter_on_at_most(z):
    g = tg.vjp(tg.sigmoid, z)[1](np.ones(20))[0].data
    assert ((g >= 0) & (g <= np.nextafter(0.25, 1))).all()  # rounded, in the last place


def dead_layer(activation):
    """One hidden layer, all of whose neurons are below 0 for all examples; and 20 steps of it."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 1))
    model = tg.nn.MLP([3, 6, 1], activation, rng=0)
    with model.layers[0].bias.edit() as bias:
        bias[:] = -50
    first = diagnose(model, x, y, tg.nn.mse).layers[0]
    before = model.layers[0].weight.numpy()
    optimizer = tg.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        tg.nn.mse(model(x), y).backward()
        optimizer.step()
    return first, np.abs(model.layers[0].weight.data - before).max()


def test_a_dead_relu_has_no_gradient_and_never_moves_again():
    first, moved = dead_layer("relu")
    assert (first.dead, first.gradient, first.weight_gradient, moved) == (6, 0, 0, 0)


def test_a_leaky_relu_moves_though_all_its_examples_are_on_the_flat_side():
    first, moved = dead_layer("leaky_relu")
    assert (first.dead, first.inactive) == (0, 1)
    assert first.weight_gradient > 0
    assert moved > 0.5


def test_large_weights_saturate_and_make_the_gradient_grow_all_the_same():
    rng = np.random.default_rng(0)
    model = tg.nn.MLP([60] * 5, "tanh", rng=rng,
                      init=lambda n, m, rng: 10 * tg.nn.lecun_normal(n, m, rng))
    x, above = rng.normal(size=(2, 50, 60))
    layers = diagnose(lambda x: tg.tanh(model(x)), x, above, lambda a, u: (a * u).sum()).layers
    assert all(layer.saturated > 0.75 for layer in layers)
    assert all(layer.ratio > 1.5 for layer in layers[:-1])
    assert all(layer.participation < 0.15 for layer in layers)
