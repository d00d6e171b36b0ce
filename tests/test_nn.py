"""Layers and losses against plain NumPy; their gradients against the complex step."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_w2v as tg
from tinygrad_w2v import nn

REFERENCES = {
    "identity": lambda z: z,
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "relu": lambda z: z * (z > 0),
    "sigmoid": lambda z: 0.5 + 0.5 * np.tanh(z / 2),
    "softplus": lambda z: np.logaddexp(z, 0),
    "tanh": np.tanh,
}


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# ── layers ────────────────────────────────────────────────────────────────────────────────────────


def test_each_neuron_of_a_linear_layer_is_the_sum_of_e9():
    layer = nn.Linear(3, 2, rng=1)
    with layer.bias.edit() as b:
        b[:] = [0.5, -2.0]
    x = np.random.default_rng(2).normal(size=(4, 3))
    w, b = layer.weight.data, layer.bias.data
    expected = [[sum(w[i, j] * row[i] for i in range(3)) + b[j] for j in range(2)] for row in x]
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(layer(tg.Tensor(x)).data, expected, rtol=1e-14, atol=1e-14)


def test_linear_keeps_the_leading_sides_of_its_input():
    layer = nn.Linear(3, 2)
    assert layer(np.ones(3)).shape == (2,)
    assert layer(np.ones((5, 4, 3))).shape == (5, 4, 2)
    assert layer(np.ones((0, 3))).shape == (0, 2)


def test_a_linear_layer_without_bias_has_one_parameter_and_maps_0_to_0():
    layer = nn.Linear(3, 2, bias=False)
    assert layer.bias is None
    assert layer.parameters() == [layer.weight]
    assert layer(np.zeros((1, 3))).tolist() == [[0.0, 0.0]]
    assert repr(layer) == "Linear(3, 2, bias=False)"


@pytest.mark.parametrize("shape", [(5, 4), (3, 5), (5,), ()])
def test_linear_names_both_shapes_if_they_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"Linear\(3, 2\) takes x of shape \(…, 3\)") as error:
        nn.Linear(3, 2)(np.ones(shape))
    assert str(shape) in str(error.value)


def test_a_layer_without_neurons_is_refused():
    for sizes in [(0, 2), (2, 0), (-1, 2)]:
        with pytest.raises(ValueError, match="1 input and 1 output or more"):
            nn.Linear(*sizes)


@pytest.mark.parametrize("name", REFERENCES)
def test_mlp_is_linear_layers_with_the_activation_between_and_none_at_the_end(name):
    model = nn.MLP([3, 5, 4, 2], activation=name, rng=3)
    h = x = np.random.default_rng(4).normal(size=(6, 3))
    for i, layer in enumerate(model.layers):
        h = h @ layer.weight.data + layer.bias.data
        h = h if i == 2 else REFERENCES[name](h)
    np.testing.assert_allclose(model(x).data, h, rtol=1e-13, atol=1e-14)


def test_every_activation_name_has_a_reference_here():
    assert REFERENCES.keys() == nn.ACTIVATIONS.keys()


def test_mlp_lists_the_parameters_of_all_layers_in_order():
    model = nn.MLP([2, 16, 16, 1])
    shapes = [(2, 16), (16,), (16, 16), (16,), (16, 1), (1,)]
    assert [p.shape for p in model.parameters()] == shapes
    assert model.parameters()[2] is model.layers[1].weight


def test_mlp_shows_its_sizes_and_its_activation():
    assert repr(nn.MLP([2, 8, 1], "relu")) == "MLP([2, 8, 1], activation='relu')"
    assert repr(nn.MLP([2, 1], tg.sin)) == "MLP([2, 1], activation=sin)"


def test_mlp_takes_any_function_as_activation():
    model = nn.MLP([2, 3, 1], activation=lambda z: tg.sin(z) * z, rng=0)
    x, (first, last) = np.ones((1, 2)), model.layers
    z = x @ first.weight.data
    expected = (np.sin(z) * z) @ last.weight.data
    np.testing.assert_allclose(model(x).data, expected, rtol=1e-14)


def test_an_unknown_activation_is_refused_with_the_list_of_names():
    with pytest.raises(ValueError, match="'swosh'") as error:
        nn.MLP([2, 2], activation="swosh")
    assert all(name in str(error.value) for name in nn.ACTIVATIONS)


def test_mlp_of_one_size_is_refused_with_an_example():
    with pytest.raises(ValueError, match=r"MLP\(\[2\]\).*MLP\(\[2, 16, 16, 1\]\)"):
        nn.MLP([2])


def test_a_plain_class_of_layers_is_a_model():
    class Gated:
        def __init__(self, rng):
            self.gate, self.value = nn.Linear(2, 4, rng=rng), nn.Linear(2, 4, rng=rng)

        def __call__(self, x):
            return (self.gate(x).sigmoid() * self.value(x)).sum(axis=1)

        def parameters(self):
            return self.gate.parameters() + self.value.parameters()

    rng = np.random.default_rng(0)
    model, x = Gated(rng), rng.normal(size=(64, 2))
    target = x[:, 0] * (x[:, 1] > 0)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(300):
        loss = nn.mse(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]


# ── first weights ─────────────────────────────────────────────────────────────────────────────────

VARIANCES = {  # of the papers, for 300 inputs and 200 outputs
    nn.lecun_normal: 1 / 300, nn.glorot_normal: 2 / 500, nn.glorot_uniform: 2 / 500,
    nn.he_normal: 2 / 300, nn.he_uniform: 2 / 300}


@pytest.mark.parametrize("init", VARIANCES, ids=lambda init: init.__name__)
def test_initialisers_have_the_variance_of_their_paper_and_mean_0(init):
    w, variance = init(300, 200, 0), VARIANCES[init]
    assert w.shape == (300, 200)
    assert abs(w.var() / variance - 1) < 4 * np.sqrt(2 / w.size)  # four standard errors
    assert abs(w.mean()) < 4 * np.sqrt(variance / w.size)


@pytest.mark.parametrize("init", [nn.glorot_uniform, nn.he_uniform], ids=lambda i: i.__name__)
def test_uniform_initialisers_fill_their_interval_and_stay_in_it(init):
    bound = np.sqrt(3 * VARIANCES[init])
    largest = np.abs(init(300, 200, 0)).max()
    assert 0.999 * bound < largest <= bound


@pytest.mark.parametrize(("activation", "init"), [
    ("relu", nn.he_normal), ("leaky_relu", nn.he_normal), (tg.relu, nn.he_normal),
    ("tanh", nn.glorot_uniform), ("sigmoid", nn.glorot_uniform), ("softplus", nn.glorot_uniform)])
def test_mlp_starts_as_he_for_relus_and_as_glorot_for_others(activation, init):
    model = nn.MLP([7, 5, 3], activation, rng=11)
    rng = np.random.default_rng(11)
    for layer in model.layers:
        np.testing.assert_array_equal(layer.weight.data, init(*layer.weight.shape, rng))
        np.testing.assert_array_equal(layer.bias.data, 0)


def test_mlp_takes_an_initialiser():
    model = nn.MLP([2, 3, 1], "relu", init=lambda n_in, n_out, rng: np.full((n_in, n_out), 0.5))
    assert all((layer.weight.data == 0.5).all() for layer in model.layers)


def test_an_initialiser_that_gives_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3\); it must give \(3, 2\)"):
        nn.Linear(3, 2, init=lambda n_in, n_out, rng: np.ones((n_out, n_in)))


def test_models_are_the_same_by_default_and_by_seed_and_differ_by_generator():
    def weights(*rngs):
        return [nn.MLP([4, 4, 4], rng=rng).layers[1].weight.tolist() for rng in rngs]

    default = nn.MLP([4, 4, 4]).layers[1].weight.tolist()
    generator = np.random.default_rng(0)
    zero, one, first, second = weights(0, 1, generator, generator)
    assert default == zero == first
    assert zero != one
    assert first != second


def test_layers_of_one_model_differ_though_they_have_one_shape():
    first, second, _ = nn.MLP([4, 4, 4, 1]).layers
    assert first.weight.tolist() != second.weight.tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_model_and_its_gradients_keep_their_dtype(name, dtype):
    model = nn.MLP([3, 4, 2], name, dtype=dtype)
    x, labels = np.ones((5, 3), dtype), np.array([0, 1, 1, 0, 1])
    z = model(x)
    ones = np.ones((5, 2))
    losses = [nn.cross_entropy(z, labels), nn.cross_entropy(z, ones / 2), nn.mse(z, ones),
              nn.mse(z, ones.astype(int)), nn.binary_cross_entropy(z, ones > 0)]
    assert {loss.dtype for loss in losses} == {np.dtype(dtype)}
    sum(losses).backward()
    assert {p.dtype for p in model.parameters()} == {np.dtype(dtype)}
    assert {p.grad.dtype for p in model.parameters()} == {np.dtype(dtype)}


# ── losses: values ────────────────────────────────────────────────────────────────────────────────


def test_cross_entropy_is_the_mean_of_minus_log_softmax_at_the_label():
    z, labels = np.random.default_rng(0).normal(size=(6, 4)), np.array([3, 0, 1, 1, 2, 0])
    expected = -np.mean([np.log(softmax(row)[label]) for row, label in zip(z, labels, strict=True)])
    assert nn.cross_entropy(tg.Tensor(z), labels).item() == pytest.approx(expected, rel=1e-14)
    assert nn.cross_entropy(z, labels.tolist()) == pytest.approx(expected, rel=1e-14)


def test_cross_entropy_of_a_distribution_is_the_mean_of_minus_q_log_softmax():
    rng = np.random.default_rng(1)
    z, q = rng.normal(size=(6, 4)), softmax(rng.normal(size=(6, 4)))
    expected = -(q * np.log(softmax(z))).sum() / 6
    assert nn.cross_entropy(tg.Tensor(z), q).item() == pytest.approx(expected, rel=1e-14)


def test_integer_labels_and_their_one_hot_rows_give_one_loss_and_one_gradient():
    z, labels = np.random.default_rng(2).normal(size=(5, 3)), np.array([0, 2, 1, 1, 2])
    by_label = tg.value_and_grad(lambda t: nn.cross_entropy(t, labels))(z)
    by_row = tg.value_and_grad(lambda t: nn.cross_entropy(t, np.eye(3, dtype=int)[labels]))(z)
    for a, b in zip(by_label, by_row, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-14, atol=1e-16)


def test_cross_entropy_takes_one_example_and_stacks_of_them():
    z, labels = np.random.default_rng(3).normal(size=(2, 3, 4)), np.array([[0, 1, 2], [3, 0, 1]])
    flat = nn.cross_entropy(z.reshape(6, 4), labels.reshape(6))
    assert nn.cross_entropy(tg.Tensor(z), labels).item() == pytest.approx(flat, rel=1e-14)
    assert nn.cross_entropy(z[0, 0], 2) == pytest.approx(-np.log(softmax(z[0, 0])[2]), rel=1e-14)


def test_mse_is_the_mean_of_squared_differences():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 5, 3))
    expected = sum((a - b) ** 2 for a, b in zip(x.flat, y.flat, strict=True)) / 15
    assert nn.mse(tg.Tensor(x), y).item() == pytest.approx(expected, rel=1e-14)
    assert nn.mse(x, tg.Tensor(y)).item() == pytest.approx(expected, rel=1e-14)


def test_binary_cross_entropy_is_minus_the_log_probability_of_the_target():
    rng = np.random.default_rng(5)
    z, t = rng.normal(size=(5, 3)), rng.uniform(size=(5, 3))
    p = 1 / (1 + np.exp(-z))
    for target in [t, (t > 0.5).astype(int), t > 0.5]:
        expected = -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p))
        found = nn.binary_cross_entropy(tg.Tensor(z), target)
        assert found.item() == pytest.approx(expected, rel=1e-13)
        assert nn.binary_cross_entropy(z, target) == pytest.approx(expected, rel=1e-13)


def test_losses_are_exact_for_logits_of_any_size():
    z = tg.Tensor([[1000.0, -1000.0]], requires_grad=True)
    assert nn.cross_entropy(z, [0]).item() == 0
    assert nn.cross_entropy(z, [1]).item() == 2000
    assert nn.binary_cross_entropy(z, [[1, 0]]).item() == 0
    assert nn.binary_cross_entropy(z, [[0, 1]]).item() == 1000
    right = nn.binary_cross_entropy(tg.Tensor([40.0]), [1]).item()  # 0 if 1 − σ(40) is rounded
    assert right == pytest.approx(np.exp(-40.0), rel=1e-15, abs=0)
    nn.cross_entropy(z, [1]).backward()
    assert z.grad.tolist() == [[1.0, -1.0]]


def test_a_masked_logit_of_minus_infinity_costs_nothing_where_q_is_0():
    z = tg.Tensor([[0.0, -np.inf, 0.0]], requires_grad=True)
    loss = nn.cross_entropy(z, [[0.5, 0.0, 0.5]])
    loss.backward()
    assert loss.item() == pytest.approx(np.log(2), rel=1e-15)
    np.testing.assert_allclose(z.grad, 0, atol=1e-16)


# ── losses: gradients ─────────────────────────────────────────────────────────────────────────────


@st.composite
def logits_and_labels(draw):
    n, k = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    z = draw(arrays(np.float64, (n, k), elements=st.floats(-700, 700)))
    return z, np.array(draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n)))


@settings(deadline=None)
@given(logits_and_labels())
def test_gradient_of_cross_entropy_is_softmax_minus_one_hot_over_n_and_its_rows_sum_to_0(case):
    z, labels = case
    n, k = z.shape
    logits = tg.Tensor(z, requires_grad=True)
    nn.cross_entropy(logits, labels).backward()
    expected = (softmax(z) - np.eye(k)[labels]) / n
    np.testing.assert_allclose(logits.grad, expected, rtol=0, atol=1e-12 / n)
    np.testing.assert_allclose(logits.grad.sum(axis=1), 0, rtol=0, atol=1e-12 / n)


@settings(deadline=None)
@given(arrays(np.float64, (4, 3), elements=st.floats(-700, 700)),
       arrays(np.float64, (4, 3), elements=st.floats(0, 1)))
def test_gradient_of_binary_cross_entropy_is_sigmoid_minus_target_over_size(z, t):
    logits = tg.Tensor(z, requires_grad=True)
    nn.binary_cross_entropy(logits, t).backward()
    expected = (0.5 + 0.5 * np.tanh(z / 2) - t) / z.size
    np.testing.assert_allclose(logits.grad, expected, rtol=0, atol=1e-14)


def test_cross_entropy_can_be_differentiated_by_the_distribution_also_where_it_is_0():
    z = np.random.default_rng(6).normal(size=(4, 4))
    for q in [softmax(z[::-1]), np.eye(4)]:
        gradient = tg.grad(nn.cross_entropy, argnums=1)(z, q)
        np.testing.assert_allclose(gradient.data, -np.log(softmax(z)) / 4, rtol=1e-13)


def slope(loss_of, holder, name, place):
    """∂loss/∂holder.name[place]: the complex step, vouched for by a central difference."""
    kept = getattr(holder, name)
    unit = np.zeros(kept.shape)
    unit[place] = 1

    def at(step):
        setattr(holder, name, tg.Tensor(kept.data + step * unit))
        return loss_of().data.item()

    value, stepped = at(0.0), at(1e-100j)
    central = (at(1e-6) - at(-1e-6)) / 2e-6
    setattr(holder, name, kept)
    assert stepped.real == pytest.approx(value, rel=1e-14)
    assert stepped.imag / 1e-100 == pytest.approx(central, rel=1e-4, abs=1e-8)
    return stepped.imag / 1e-100


LABELS = np.array([0, 1, 1, 0])
LOSSES = {
    "cross_entropy": lambda z: nn.cross_entropy(z, LABELS),
    "cross_entropy of distributions": lambda z: nn.cross_entropy(z, [[0.25, 0.75]] * 4),
    "mse": lambda z: nn.mse(z, np.arange(8.0).reshape(4, 2)),
    "binary_cross_entropy": lambda z: nn.binary_cross_entropy(z, np.eye(2)[LABELS]),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", REFERENCES)
def test_every_parameter_of_an_mlp_has_the_complex_step_slope_of_every_loss(activation, loss):
    model = nn.MLP([3, 4, 2], activation, rng=5)
    x = np.random.default_rng(6).normal(size=(4, 3))
    LOSSES[loss](model(x)).backward()
    for layer in model.layers:
        for name in ["weight", "bias"]:
            found = getattr(layer, name).grad
            expected = np.empty_like(found)
            for place in np.ndindex(found.shape):
                expected[place] = slope(lambda: LOSSES[loss](model(x)), layer, name, place)
            bound = 1e-12 * np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


# ── losses: what they refuse ──────────────────────────────────────────────────────────────────────

Z = tg.Tensor(np.zeros((4, 3)))


@pytest.mark.parametrize(("label", "row"), [(3, 2), (-1, 0), (100, 3)])
def test_a_label_out_of_range_is_refused_with_its_row_and_the_range(label, row):
    labels = np.zeros(4, int)
    labels[row] = label
    with pytest.raises(IndexError, match=f"label {label} in row {row}.*3 classes.*0 to 2"):
        nn.cross_entropy(Z, labels)


@pytest.mark.parametrize("labels", [np.zeros(4), np.zeros(4, bool), tg.Tensor(np.zeros(4))])
def test_labels_that_are_not_integers_are_refused_with_the_fix(labels):
    with pytest.raises(TypeError, match=r"integers, not of (float64|bool).*astype\(int\)"):
        nn.cross_entropy(Z, labels)


@pytest.mark.parametrize("shape", [(3,), (4, 1), (4, 2), (), (3, 4)])
def test_cross_entropy_names_both_shapes_if_they_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"logits of shape \(4, 3\)") as error:
        nn.cross_entropy(Z, np.zeros(shape, int))
    assert f"labels of shape {shape}" in str(error.value)


@pytest.mark.parametrize("row", [[0.5, 0.4, 0.0], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5]])
def test_a_row_that_is_no_distribution_is_refused_with_its_number(row):
    q = np.full((4, 3), 1 / 3)
    q[2] = row
    with pytest.raises(ValueError, match="row 2 of the labels"):
        nn.cross_entropy(Z, q)


@pytest.mark.parametrize("loss", [nn.mse, nn.binary_cross_entropy])
def test_elementwise_losses_do_not_broadcast(loss):
    with pytest.raises(ValueError, match=r"shape \(4, 1\) and target of shape \(4,\).*reshape"):
        loss(tg.Tensor(np.zeros((4, 1))), np.zeros(4))


@pytest.mark.parametrize("target", [-0.1, 1.1, np.nan])
def test_binary_targets_outside_0_to_1_are_refused(target):
    with pytest.raises(ValueError, match="probabilities, 0 to 1"):
        nn.binary_cross_entropy(tg.Tensor([0.0, 0.0]), [0.5, target])


def test_a_mean_over_nothing_is_refused():
    nothing = tg.Tensor(np.zeros((0, 3)))
    for loss in [nn.mse, nn.binary_cross_entropy, nn.cross_entropy]:
        with pytest.raises(ValueError, match=r"\(0, 3\).*nothing to average"):
            loss(nothing, np.zeros((0, 3)))
    with pytest.raises(ValueError, match="nothing to average"):
        nn.cross_entropy(nothing, np.zeros(0, int))
