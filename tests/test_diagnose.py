"""`diagnose` measures what it says, in any model of Tensors; it changes and hides nothing."""

import html.parser
import inspect
import json
import math
import subprocess
import sys
from pathlib import Path as File

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v import diagnose as module
from tinygrad_w2v.diagnose import (
    Path,
    agreement,
    condition,
    diagnose,
    expected_agreement,
    expected_condition,
    participation,
)
from tinygrad_w2v.diagnose.measures import agreement_of_examples, rms
from tinygrad_w2v.watch import Watcher, watching

RNG = np.random.default_rng(7)
X, LABELS = RNG.normal(size=(60, 5)), RNG.integers(3, size=60)


def leaf(*shape, scale=1.0, dtype=float):
    return tg.Tensor(RNG.normal(0, scale, shape), requires_grad=True, dtype=dtype)


def mlp(activation, sizes=(5, 8, 7, 3), gain=1.0):
    return tg.nn.MLP(sizes, activation, rng=3,
                     init=lambda n, m, rng: gain * tg.nn.lecun_normal(n, m, rng))


def of(model, x=X, y=LABELS, loss=tg.nn.cross_entropy, **keywords):
    return tg.diagnose(model, x, y, loss, **keywords)


def by_name(report, *fields):
    return [tuple(getattr(layer, field) for field in fields) for layer in report.layers]


def unlike(found, expected):
    """How far apart two lists of numbers are, of the largest."""
    return np.abs(np.subtract(found, expected)).max() / np.abs(expected).max()


# ── one name, one meaning ─────────────────────────────────────────────────────────────────────────


PROGRAMS = {
    "attribute": "import tinygrad_w2v as tg; d = tg.diagnose",
    "name": "from tinygrad_w2v import diagnose as d",
    "module": "import tinygrad_w2v.diagnose as d",
    "function": "from tinygrad_w2v.diagnose import diagnose as d",
    "module, then attribute": "import tinygrad_w2v.diagnose, tinygrad_w2v as tg; d = tg.diagnose",
    "function, then name": ("from tinygrad_w2v.diagnose import diagnose\n"
                            "from tinygrad_w2v import diagnose as d"),
    "star": "from tinygrad_w2v import *; d = diagnose",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_however_it_is_imported_diagnose_is_called_with_a_model(name):
    program = PROGRAMS[name] + (
        "\nimport tinygrad_w2v as tg, numpy as np\n"
        "print(len(d(tg.nn.MLP([2, 3, 1]), np.ones((4, 2)), np.ones((4, 1)), tg.nn.mse).layers))")
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True,
                          text=True, cwd=File(tg.__file__).parent.parent, check=False)
    assert (done.stdout.strip(), done.stderr) == ("2", "")


def test_the_module_holds_the_function_and_its_kin():
    assert module.diagnose is diagnose
    assert tg.diagnose is module is sys.modules["tinygrad_w2v.diagnose"]
    assert tg.diagnose.Path is Path


def test_importing_the_package_does_not_load_it():
    program = ("import sys, tinygrad_w2v as tg; assert 'diagnose' in dir(tg) and 'diagnose' in "
               "tg.__all__; print([m for m in sys.modules if 'diagnose' in m])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          cwd=File(tg.__file__).parent.parent, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tinygrad_w2v' has no attribute 'diagnos'"):
        tg.diagnos  # noqa: B018


# ── the way back, compared with computing by hand ─────────────────────────────────────────────────


def hidden_values(model, x=X):
    """The z of every layer of an MLP, by NumPy."""
    values = []
    for layer in model.layers:
        values.append(x @ layer.weight.data + layer.bias.data)
        x = model.activation(values[-1])
    return values


def test_tanh_is_saturated_where_its_absolute_value_is_above_097():
    model = mlp("tanh", gain=4)
    expected = [np.mean(np.abs(np.tanh(z)) > 0.97) for z in hidden_values(model)[:2]]
    assert by_name(of(model), "saturated") == [(e,) for e in expected] + [(None,)]
    assert 0.2 < expected[0] < 0.8


def test_a_sigmoid_is_saturated_by_the_same_threshold():
    model = mlp("sigmoid", gain=8)
    expected = [np.mean(np.abs(2 * tg.sigmoid(z) - 1) > 0.97) for z in hidden_values(model)[:2]]
    assert by_name(of(model), "saturated") == [(e,) for e in expected] + [(None,)]
    assert 0.2 < expected[0] < 0.8


def test_a_relu_is_inactive_or_dead_but_never_saturated():
    model = mlp("relu")
    with model.layers[0].bias.edit() as bias:
        bias[[2, 5]] = -100
    z = hidden_values(model)
    first, second, last = of(model).layers
    assert (first.saturated, second.saturated, last.saturated) == (None, None, None)
    assert (first.inactive, second.inactive) == (np.mean(z[0] <= 0), np.mean(z[1] <= 0))
    assert (first.dead, second.dead, last.dead) == (2, np.sum((z[1] <= 0).all(axis=0)), None)


def test_a_leaky_relu_may_be_inactive_but_is_never_dead():
    model = mlp("leaky_relu")
    with model.layers[0].bias.edit() as bias:
        bias[:] = -100
    first = of(model).layers[0]
    assert (first.saturated, first.inactive, first.dead) == (None, 1.0, 0)
    assert first.gain == pytest.approx(0.01, rel=1e-12)


def test_a_softplus_is_inactive_where_its_slope_is_below_the_threshold():
    model = mlp("softplus", gain=5)
    expected = np.mean(tg.sigmoid(hidden_values(model)[0]) < 1 - 0.97**2)
    first = of(model).layers[0]
    assert (first.saturated, first.inactive, first.dead) == (None, expected, 0)
    assert expected > 0.1


def test_the_identity_has_slope_1_and_can_be_neither():
    for layer in of(mlp("identity")).layers:
        assert (layer.activation, layer.saturated, layer.inactive, layer.dead) == (
            "identity", None, None, None)
        assert layer.gain == 1
        assert layer.arriving == layer.gradient


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "leaky_relu", "softplus"])
def test_the_gradient_of_z_is_the_slope_times_that_of_a(activation):
    model = mlp(activation, gain=2)
    report = of(model)
    z = [tg.Tensor(value) for value in hidden_values(model)]
    for k, layer in enumerate(report.layers[:2]):
        def rest(values, k=k):  # the loss, as a function of what layer k gives
            for later in model.layers[k + 1:-1]:
                values = model.activation(later(values))
            return tg.nn.cross_entropy(model.layers[-1](values), LABELS)
        arriving = tg.grad(rest)(model.activation(z[k])).data
        g = tg.grad(lambda v, rest=rest: rest(model.activation(v)))(z[k]).data
        slopes = tg.vjp(model.activation, z[k])[1](np.ones(z[k].shape))[0].data
        assert unlike([layer.arriving, layer.gradient, layer.gain],
                      [rms(arriving), rms(g), rms(slopes)]) < 1e-12
        assert layer.participation == participation(g)


def test_the_ratio_is_of_a_layers_gradient_to_that_of_the_next():
    layers = of(mlp("sigmoid")).layers
    assert layers[0].ratio == layers[0].gradient / layers[1].gradient < 0.5
    assert layers[-1].ratio is None


def test_a_gradient_whose_square_is_no_number_is_measured():
    assert of(mlp("tanh"), loss=lambda z, y: 1e-250 * tg.nn.cross_entropy(z, y)
              ).layers[0].gradient == pytest.approx(1e-250 * of(mlp("tanh")).layers[0].gradient)
    assert rms([0.0, 0.0]) == 0
    assert rms([3e200, 4e200]) == pytest.approx(math.sqrt(12.5) * 1e200)


def test_participation_is_the_least_share_that_holds_90_percent():
    assert participation([8.0, -1.0, 0.5, 0.5]) == 0.5  # 8 + 1 are 90 % of 10
    assert participation([8.0, -0.9, 0.6, 0.5]) == 0.75
    assert participation(np.zeros(4)) == 0
    normal = np.random.default_rng(0).normal(size=100_000)
    assert participation(normal) == pytest.approx(0.646, abs=0.005)  # P(|x| > √(−2 log 0.9))


# ── problem 2, compared with one backward for each example ────────────────────────────────────────


def gradients_of_examples(model, weights, x, y, loss):
    """The gradients by `weights` of each example alone, by a loop: lists of (n_in, n_out)."""
    found = []
    for i in range(len(x)):
        for w in weights:
            w.zero_grad()
        loss(model(x[i : i + 1]), y[i : i + 1]).backward()
        found.append([np.asarray(w.grad) for w in weights])
        for w in weights:
            w.zero_grad()
    return [np.stack(column) for column in zip(*found, strict=True)]


def majorities(gradients):
    """The mean share of the majority sign, over examples and neurons, entry by entry."""
    shares = []
    for one in gradients:
        for column in one.T:
            signs = [v > 0 for v in column if v != 0]
            if signs:
                shares.append(max(sum(signs), len(signs) - sum(signs)) / len(signs))
    return np.mean(shares)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "leaky_relu", "identity"])
def test_agreement_of_single_examples_is_that_of_a_loop_over_them(activation):
    model = mlp(activation)
    weights = [layer.weight for layer in model.layers]
    alone = gradients_of_examples(model, weights, X, LABELS, tg.nn.cross_entropy)
    found = by_name(of(model), "agreement_example")
    assert unlike(found, [[majorities(g)] for g in alone]) < 1e-12


def test_the_gradient_of_the_batch_is_the_mean_over_the_examples():
    model = mlp("relu")
    weights = [layer.weight for layer in model.layers]
    alone = gradients_of_examples(model, weights, X, LABELS, tg.nn.cross_entropy)
    means = [g.mean(axis=0) for g in alone]
    found = np.array(by_name(of(model), "agreement_batch", "weight_gradient"))
    assert unlike(found[:, 0], [majorities([g]) for g in means]) < 1e-12
    assert unlike(found[:, 1], [rms(g) for g in means]) < 1e-12


class Recurrent:
    """Weights that are used at every step, and add up: rows of x are sequences."""

    def __init__(self):
        self.w, self.u, self.v = leaf(4, 6), leaf(6, 6, scale=0.4), leaf(6, 2)

    def __call__(self, x):
        h = tg.tanh(x[:, 0] @ self.w)
        for t in range(1, x.shape[1]):
            h = tg.tanh(x[:, t] @ self.w + h @ self.u)
        return h @ self.v


def test_examples_that_are_several_rows_have_the_sum_of_their_gradients():
    w, v = leaf(4, 6), leaf(6, 2)
    x, y = RNG.normal(size=(30, 3, 4)), RNG.normal(size=(30, 2))

    def model(x):
        return tg.tanh(x @ w).mean(axis=1) @ v

    alone = gradients_of_examples(model, [w, v], x, y, tg.nn.mse)
    found = by_name(of(model, x, y, tg.nn.mse), "agreement_example")
    assert unlike(found, [[majorities(g)] for g in alone]) < 1e-12


def test_examples_are_taken_in_parts_without_a_trace(monkeypatch):
    x, g = RNG.normal(size=(30, 3, 4)), RNG.normal(size=(30, 3, 6))
    g[4] = 0
    whole = agreement_of_examples(x, g)
    monkeypatch.setattr("tinygrad_w2v.diagnose.measures.BLOCK", 50)
    assert agreement_of_examples(x, g) == pytest.approx(whole, rel=1e-14)
    assert whole == pytest.approx(majorities([a.T @ b for a, b in zip(x, g, strict=True)]))


def test_zeros_have_no_sign_and_examples_without_a_gradient_do_not_count():
    assert agreement([[1.0], [0.0], [2.0], [-1.0]]) == 2 / 3
    assert math.isnan(agreement(np.zeros((3, 2))))
    x = np.array([[1.0, 2.0, -1.0], [1.0, 0.0, 1.0], [5.0, -1.0, -1.0], [0.0, 0.0, 0.0]])
    g = np.array([[1.0, -1.0], [0.0, 3.0], [0.0, 0.0], [1.0, 1.0]])
    assert agreement_of_examples(x, g) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert math.isnan(agreement_of_examples(x, 0 * g))


@pytest.mark.parametrize(("mean", "std"), [
    (0.0, 1.0), (0.5, 0.208), (0.399, 0.584), (-1.0, 2.0)])
def test_the_expected_agreement_tends_to_one_half_plus_an_angle(mean, std):
    limit = 0.5 + math.atan(abs(mean) / std) / math.pi
    assert expected_agreement(mean, std) == pytest.approx(limit, abs=1e-15)
    assert expected_agreement(mean, std, 1) == pytest.approx(1, abs=1e-12)
    distances = [expected_agreement(mean, std, n) - limit for n in (2, 10, 100, 10_000)]
    assert distances == sorted(distances, reverse=True)
    assert 0 < distances[-1] < 0.005


@pytest.mark.parametrize(("mean", "std", "n"), [(0.0, 1.0, 2), (0.5, 0.5, 5), (1.0, 0.5, 50)])
def test_the_expected_agreement_is_what_random_batches_show(mean, std, n):
    rng = np.random.default_rng(0)
    x, g = rng.normal(mean, std, (200, n)), rng.normal(size=(200, 20_000))
    shown = np.mean([agreement(rng.normal(mean, std, (40, n)).T @ rng.normal(size=(40, 50)))
                     for _ in range(1000)])
    assert shown == pytest.approx(expected_agreement(mean, std, n), abs=0.004)
    assert agreement(x.T @ g) == pytest.approx(shown, abs=0.03)  # batches of another size


def test_inputs_that_never_vary_agree_altogether():
    assert expected_agreement(2.0, 0.0) == expected_agreement(2.0, 0.0, 7) == 1
    assert expected_condition(2.0, 0.0, 7) == math.inf


def test_the_condition_number_is_that_of_the_second_moments():
    x = RNG.normal(1, 0.5, (40_000, 10))
    assert condition(x) == pytest.approx(np.linalg.cond(x.T @ x), rel=1e-9)
    assert condition(x) == pytest.approx(expected_condition(1, 0.5, 10), rel=0.05)
    assert condition(x.astype(np.float32)) == pytest.approx(condition(x), rel=1e-4)


@pytest.mark.parametrize("x", [np.ones((2, 3)), np.ones((9, 3)), np.zeros((9, 3)),
                               RNG.normal(size=(9, 3)) * [1, 1, 0]])
def test_the_condition_number_of_dependent_inputs_is_infinite(x):
    assert condition(x) == math.inf


def test_the_condition_number_of_float32_is_not_lost_where_it_is_large():
    x = (RNG.normal(size=(900, 50)) * np.geomspace(1, 1e-3, 50)).astype(np.float32)
    assert 1e5 < condition(x) < 1e8


def test_the_condition_number_is_summed_up_in_parts(monkeypatch):
    x = RNG.normal(size=(100, 4))
    whole = condition(x)
    monkeypatch.setattr("tinygrad_w2v.diagnose.measures.BLOCK", 30)
    assert condition(x) == pytest.approx(whole, rel=1e-12)


def test_mean_and_std_are_of_the_inputs_of_each_layer():
    model = mlp("sigmoid")
    hidden = [X, *[tg.sigmoid(z) for z in hidden_values(model)[:2]]]
    found = by_name(of(model), "mean", "std", "condition_expected", "inputs")
    assert unlike(found, [(h.mean(), h.std(), 1 + h.shape[1] * h.mean()**2 / h.std()**2, h.shape[1])
                          for h in hidden]) < 1e-12


# ── steps ─────────────────────────────────────────────────────────────────────────────────────────


def moved(model, step):
    """log10 of how far `step` moves each weight, relative to it."""
    before = [layer.weight.numpy() for layer in model.layers]
    step()
    return [math.log10(rms(layer.weight.data - w) / rms(w))
            for layer, w in zip(model.layers, before, strict=True)]


@pytest.mark.parametrize("make", [
    lambda params: tg.optim.SGD(params, lr=0.1),
    lambda params: tg.optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True),
    lambda params: tg.optim.Adagrad(params, lr=0.1), lambda params: tg.optim.Adam(params, lr=0.01)])
def test_a_step_is_as_large_as_the_one_the_optimiser_then_takes(make):
    model = mlp("tanh")
    optimizer = make(model.parameters())
    for _ in range(3):
        expected = by_name(of(model, optimizer=optimizer), "step")
        optimizer.zero_grad()
        tg.nn.cross_entropy(model(X), LABELS).backward()
        assert unlike(expected, [[m] for m in moved(model, optimizer.step)]) < 1e-9


def test_with_a_learning_rate_a_step_is_that_of_gradient_descent():
    model = mlp("tanh")
    sgd = tg.optim.SGD(model.parameters(), lr=0.3)
    assert unlike(by_name(of(model, lr=0.3), "step"),
                  by_name(of(model, optimizer=sgd), "step")) < 1e-12


def test_without_either_a_step_is_not_known_and_the_report_says_what_to_give():
    model = mlp("tanh")
    report = of(model)
    assert all(math.isnan(layer.step) for layer in report.layers)
    assert "Layer 1, 2, 3: how far a step moves the weight. Give lr=" in str(report)
    partly = of(model, optimizer=tg.optim.SGD(model.layers[0].parameters(), lr=1))
    assert [math.isnan(layer.step) for layer in partly.layers] == [False, True, True]
    assert "Layer 2, 3: how far a step" in str(partly)


def test_a_weight_of_zeros_steps_infinitely_far_and_no_gradient_no_step():
    w = tg.Tensor(np.zeros((5, 1)), requires_grad=True)
    v = leaf(5, 1)
    report = of(lambda x: x @ w + tg.relu(x @ v - 1e6), y=np.ones((60, 1)), loss=tg.nn.mse, lr=1)
    assert by_name(report, "step") == [(math.inf,), (-math.inf,)]


# ── any model ─────────────────────────────────────────────────────────────────────────────────────


W, B, V = leaf(5, 8), leaf(8), leaf(8, 3)
SPELLINGS = {
    "matmul": lambda x: tg.tanh(x @ W + B) @ V,
    "methods": lambda x: tg.Tensor(x).matmul(W).add(B).tanh().matmul(V),
    "bias first": lambda x: np.tanh(B + np.matmul(x, W)) @ V,
    "dot": lambda x: np.dot(np.tanh(np.dot(x, W) + B), V),
    "transposed": lambda x: tg.tanh(x @ W_T.T + B) @ V_T.mT,
    "matmul_t": lambda x: tg.matmul_t(tg.tanh(tg.matmul_t(x, W_T) + B), V_T),
    "columns": lambda x: (V_T @ tg.tanh(W_T @ x.T + B.reshape(8, 1))).T,
    "columns by matmul_t": lambda x: tg.matmul_t(
        V_T, tg.tanh(tg.matmul_t(W_T, x) + B.reshape(8, 1)).T).T,
    "einsum": lambda x: np.einsum("bh,ho->bo", np.tanh(np.einsum("bi,ih->bh", x, W) + B), V),
    "einsum, weight first": lambda x: np.einsum(
        "oh,bh->bo", V_T, np.tanh(np.einsum("hi,bi->bh", W_T, x) + B)),
    "einsum, columns": lambda x: np.einsum(
        "hb,ho->ob", np.tanh(np.einsum("ib,ih->hb", x.T, W) + B.reshape(8, 1)), V).T,
    "tensordot": lambda x: np.tensordot(np.tanh(np.tensordot(x, W, 1) + B), V, 1),
}
W_T, V_T = (tg.Tensor(p.data.T, requires_grad=True) for p in (W, V))
MEASURES = list(module.LayerReport.__dataclass_fields__)


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_model_means_the_same_however_it_is_written(name):
    expected, found = (of(SPELLINGS[key], lr=0.1).to_dict()["layers"] for key in ("matmul", name))
    assert len(found) == 2
    for mine, its in zip(found, expected, strict=True):
        assert (mine["inputs"], mine["outputs"], mine["activation"]) == (
            its["inputs"], its["outputs"], its["activation"])
        for field in set(MEASURES) - {"activation"}:
            assert mine[field] == (its[field] if its[field] is None else pytest.approx(
                its[field], rel=1e-9)), field


def test_one_neuron_with_a_vector_of_weights_is_a_layer():
    w = leaf(5)
    y = RNG.normal(size=60)
    models = [lambda x: tg.sigmoid(x @ w), lambda x: tg.sigmoid(w @ x.T),
              lambda x: tg.sigmoid(np.einsum("bi,i->b", x, w))]
    found = [of(model, y=y, loss=tg.nn.mse, lr=1).to_dict()["layers"] for model in models]
    assert (found[0][0]["inputs"], found[0][0]["outputs"]) == (5, 1)
    for layers in found:
        assert layers[0]["saturated"] == found[0][0]["saturated"]
        numbers = [v for v in layers[0].values() if isinstance(v, float)]
        assert numbers == pytest.approx([v for v in found[0][0].values() if isinstance(v, float)])


class Residual:
    """A model with a class of its own, that inherits from nothing."""

    def __init__(self):
        self.into, self.deep, self.out = leaf(5, 8), leaf(8, 8), leaf(8, 3)

    def __call__(self, x):
        x = x @ self.into
        return (x + tg.relu(x @ self.deep)) @ self.out


def test_a_model_with_a_class_of_its_own_and_a_bypass():
    report = of(Residual())
    assert by_name(report, "inputs", "outputs", "activation") == [
        (5, 8, "identity"), (8, 8, "relu"), (8, 3, "identity")]
    assert not [line for line in report.unseen if "activation" in line]


def test_float32_and_a_leaf_for_data_are_taken():
    model = tg.nn.MLP([5, 4, 3], "tanh", dtype=np.float32)
    x = tg.Tensor(X, requires_grad=True, dtype=np.float32)
    report = of(model, x)
    assert by_name(report, "inputs", "activation") == [(5, "tanh"), (4, "identity")]
    assert x.grad is None
    assert len(report.unseen) == 1  # the steps


def test_it_works_where_nothing_is_recorded():
    with tg.no_grad():
        report = of(mlp("tanh"))
        assert not (leaf(1) * 2).requires_grad
    assert str(report) == str(of(mlp("tanh")))


def test_a_shared_weight_has_a_row_for_each_use_and_the_shares_add_up():
    model = Recurrent()
    x, y = RNG.normal(size=(30, 3, 4)), RNG.normal(size=(30, 2))
    report = of(model, x, y, tg.nn.mse, lr=1)
    assert [(r.inputs, r.outputs) for r in report.layers] == [(4, 6), (4, 6), (6, 6), (4, 6),
                                                              (6, 6), (6, 2)]
    assert [r.activation for r in report.layers] == ["tanh"] * 5 + ["identity"]
    assert "Layers 1, 2, 4 share a weight" in str(report)
    assert "Layers 3, 5 share a weight" in str(report)
    tg.nn.mse(model(x), y).backward()
    for k, w in ((0, model.w), (1, model.w), (2, model.u), (3, model.w), (5, model.v)):
        assert report.layers[k].step == pytest.approx(math.log10(rms(w.grad) / rms(w.data)))


def test_a_tied_weight_has_each_uses_own_share():
    w = leaf(5, 4)
    report = of(lambda x: tg.tanh(x @ w) @ w.T, y=X, loss=tg.nn.mse)
    u, v = tg.Tensor(w.data, requires_grad=True), tg.Tensor(w.data.T, requires_grad=True)
    apart = of(lambda x: tg.tanh(x @ u) @ v, y=X, loss=tg.nn.mse)
    fields = [f for f in MEASURES if f not in ("step", "activation", "saturated", "inactive",
                                               "dead", "ratio")]
    assert unlike(by_name(report, *fields), by_name(apart, *fields)) < 1e-12
    assert "Layers 1, 2 share a weight" in str(report)


# ── activations ───────────────────────────────────────────────────────────────────────────────────


def swish(z):
    return z * tg.sigmoid(z)


HAND_MADE = {
    "sigmoid by hand": (lambda z: 1 / (1 + np.exp(-z)), "divide ∘ add ∘ exp ∘ negative"),
    "swish": (swish, "multiply ∘ sigmoid"),
    "maximum": (lambda z: np.maximum(z, 0), "maximum"),
    "where": (lambda z: tg.where(z.data > 0, z, 0.1 * z), "where ∘ multiply"),
    "scaled": (lambda z: 1.7 * tg.tanh(0.6 * z), "multiply ∘ tanh ∘ multiply"),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_an_activation_of_several_operations_is_followed_and_its_slope_measured(name):
    g, expected = HAND_MADE[name]
    model = mlp(g)
    layer, *_ = of(model).layers
    z = hidden_values(mlp(tg.positive))[0]
    h = 1e-6
    slopes = (g(tg.Tensor(z + h)).data - g(tg.Tensor(z - h)).data) / (2 * h)
    assert layer.activation == expected
    assert layer.gain == pytest.approx(rms(slopes), rel=1e-6)
    assert math.isnan(layer.saturated)
    assert "which share is saturated" in str(of(model))


def test_what_is_exactly_flat_is_inactive_in_any_activation():
    z = hidden_values(mlp(tg.positive))[0]
    layer, *_ = of(mlp(lambda z: np.maximum(z, 0))).layers
    assert layer.inactive == np.mean(z < 0)


def test_a_rule_of_ones_own_is_an_activation_if_it_promises_to_be_elementwise():
    def softsign(x):
        return x / (1 + np.abs(x))

    derivative = {"x": lambda g, x: g / (1 + np.abs(x)) ** 2}
    kept, unknown = (tg.rule(softsign, elementwise=e, **derivative) for e in (True, None))
    assert of(mlp(kept)).layers[0].activation == "softsign"
    report = of(mlp(unknown))
    assert report.layers[0].activation == "identity"
    assert ("Layer 1: no activation made out. softsign() follows, which takes other values in, "
            "too, moves elements, or is a rule() that does not promise elementwise=True."
            ) in report.unseen


def test_a_rule_of_ones_own_is_not_judged_by_its_name():
    def tanh(x):
        return 5 * x

    mine = tg.rule(tanh, elementwise=True, x=lambda g: 5 * g)
    layer = of(mlp(mine)).layers[0]
    assert (layer.activation, layer.gain) == ("tanh", 5)
    assert math.isnan(layer.saturated)


def test_a_threshold_that_is_taken_off_is_a_bias_and_so_is_a_constant():
    for model in (lambda x: tg.tanh(x @ W - B) @ V, lambda x: tg.tanh(1.5 + (x @ W - B)) @ V):
        report = of(model, lr=1)
        assert by_name(report, "activation") == [("tanh",), ("identity",)]
        assert report.unseen == []


def test_a_product_that_is_taken_off_is_turned_by_its_activation():
    layer = of(lambda x: tg.tanh(B - x @ W) @ V).layers[0]
    assert layer.activation == "tanh ∘ subtract"
    turned = tg.Tensor(-W.data, requires_grad=True)
    assert layer.gradient == pytest.approx(of(lambda x: tg.tanh(x @ turned + B) @ V
                                              ).layers[0].gradient, rel=1e-12)


def test_what_the_loss_adds_to_the_outputs_is_the_losss():
    shift, w = leaf(3), leaf(5, 3)
    said(lambda x: x @ w, "(3,) is used by add(), and in no layer",
         loss=lambda z, y: tg.nn.cross_entropy(z + shift, y))


def test_an_activation_of_what_was_transposed_is_said_to_be_unclear():
    assert any(line.startswith("Layer 1: no activation made out. transpose() follows")
               for line in of(lambda x: tg.tanh((W_T @ x.T).T + B) @ V).unseen)


def test_what_the_loss_does_is_no_activation():
    w = leaf(5, 1)
    report = of(lambda x: x @ w, y=np.ones((60, 1)), loss=lambda z, y: tg.nn.mse(tg.sigmoid(z), y))
    assert report.layers[0].activation == "identity"


def test_a_gate_is_seen_and_its_linear_half_is_said_to_be_unclear():
    u, v, out = leaf(5, 4), leaf(5, 4), leaf(4, 3)
    report = of(lambda x: (tg.sigmoid(x @ u) * (x @ v)) @ out)
    assert by_name(report, "activation") == [("sigmoid",), ("identity",), ("identity",)]
    assert any(line.startswith("Layer 2: no activation made out. multiply()")
               for line in report.unseen)


def test_an_activation_that_leaves_at_two_places_is_said_to_be_unclear():
    u, v = leaf(5, 4), leaf(8, 3)

    def crelu(x):
        z = x @ u
        return np.concatenate([tg.relu(z), tg.relu(-z)], axis=1) @ v

    assert any(line.startswith("Layer 1: no activation made out. relu, negative, relu follow")
               for line in of(crelu).unseen)


# ── what is not seen is said ──────────────────────────────────────────────────────────────────────


def said(model, *words, x=X, y=LABELS, loss=tg.nn.cross_entropy):
    lines = of(model, x, y, loss, lr=1).unseen
    assert any(all(word in line for word in words) for line in lines), lines
    assert all(f"- {line}" in str(of(model, x, y, loss, lr=1)) for line in lines)


@pytest.mark.parametrize("after", [
    lambda a: X + a, lambda a: a + X, lambda a: a - X, lambda a: a + leaf(5)],
    ids=["residual", "constant", "subtracted", "parameter"])
def test_what_is_added_to_an_activation_does_not_hide_it(after):
    w = leaf(5, 5, scale=3)
    plain, moved = (of(lambda x, f=f: f(tg.tanh(x @ w)), y=X, loss=tg.nn.mse).layers[0]
                    for f in (lambda a: a, after))
    assert moved.activation == "tanh"
    assert (moved.saturated, moved.gain) == (plain.saturated, plain.gain)
    assert plain.saturated > 0


def test_what_an_activation_is_subtracted_from_is_in_its_name():
    w = leaf(5, 5)
    assert of(lambda x: 1 - tg.relu(x @ w), y=X, loss=tg.nn.mse
              ).layers[0].activation == "subtract ∘ relu"


def test_a_table_that_is_looked_up_is_said_to_be_no_layer():
    table, w = leaf(9, 4), leaf(4, 3)
    ids = RNG.integers(9, size=60)
    said(lambda ids: table[ids] @ w, "(9, 4)", "take()", x=ids)
    assert by_name(of(lambda ids: table[ids] @ w, x=ids), "inputs") == [(4,)]


def test_a_parameter_that_no_product_uses_is_said_to_be_in_no_layer():
    w, scale = leaf(5, 3), leaf(3)
    said(lambda x: (x @ w) * scale, "(3,)", "multiply()")


def test_a_penalty_on_a_weight_is_said_to_be_beside_its_layer():
    w = leaf(5, 3)
    said(lambda x: x @ w, "(5, 3)", "also used by square()",
         loss=lambda z, y: tg.nn.cross_entropy(z, y) + np.square(w).sum())


def test_a_weight_that_is_computed_is_said_to_make_no_layer():
    w, h = leaf(5, 3), leaf(3, 3)
    said(lambda x: tg.tanh(x @ w) @ (h * h), "matmul()", "with a weight that is computed")
    said(lambda x: x @ (w / tg.norm(w)), "matmul()", "one operand is a constant")


def test_attention_is_said_to_have_no_weight():
    q, k = leaf(5, 4), leaf(5, 4)
    said(lambda x: tg.softmax(tg.matmul_t(x @ q, x @ k)).sum(axis=1), "matmul_t()",
         "as in attention", y=np.ones(60), loss=tg.nn.mse)


def test_products_of_parameters_and_stacks_are_said_to_be_no_layers():
    u, v, stack = leaf(5, 4), leaf(4, 3), leaf(2, 5, 3)
    said(lambda x: x @ (u @ v), "a product of parameters")
    said(lambda x: (x @ stack).sum(axis=0), "(2, 5, 3) is a stack")


def test_an_einsum_that_is_no_neuron_is_said_to_be_none():
    w = leaf(5, 5)
    said(lambda x: np.einsum("bi,ii->bi", x, w), "bi,ii->bi is no sum", y=X, loss=tg.nn.mse)


def test_frozen_layers_are_counted():
    frozen, w = tg.Tensor(np.ones((5, 4))), leaf(4, 3)
    said(lambda x: tg.tanh(tg.Tensor(x) @ frozen) @ w, "1 product(s) of constants")


def test_parameters_that_do_not_reach_the_loss_are_named():
    class Forgetful:
        used, forgotten = leaf(5, 3), leaf(7)

        def __call__(self, x):
            return x @ self.used

        def parameters(self):
            return [self.used, self.forgotten]

    said(Forgetful(), "1 parameter(s) do not reach the loss: of shape (7,).")


def test_a_parameter_that_is_detached_on_its_way_is_said_not_to_reach_the_loss():
    u, v = leaf(5, 4), leaf(4, 3)
    said(lambda x: tg.tanh(x @ u).detach() @ v,
         "1 parameter(s) do not reach the loss: of shape (5, 4)")


def test_rows_that_are_not_the_examples_are_said_to_be_none():
    w = leaf(4, 3)
    x = RNG.normal(size=(30, 2, 4))
    said(lambda x: (x.reshape(-1, 4) @ w).reshape(30, -1), "Layer 1: agreement of single examples",
         x=x, y=np.ones((30, 6)), loss=tg.nn.mse)


def test_the_condition_number_of_very_many_inputs_is_said_to_be_left_out(monkeypatch):
    monkeypatch.setattr("tinygrad_w2v.diagnose.diagnosis.WIDEST", 4)
    w = leaf(5, 3)
    said(lambda x: x @ w, "the condition number of more than 4 inputs")


def test_a_model_without_a_layer_has_none_and_says_why():
    scale = leaf(1)
    report = of(lambda x: x * scale, y=X, loss=tg.nn.mse)
    assert report.layers == []
    assert str(report).startswith("0 layers, 60 examples, loss")
    assert "multiply()" in str(report)


# ── nothing is changed ────────────────────────────────────────────────────────────────────────────


def state(model, optimizer):
    return [(p.data.tobytes(), id(p.data.base), None if p.grad is None else p.grad.tobytes())
            for p in model.parameters()] + [m.tobytes() for s in optimizer.state
                                            for m in s.values()]


def test_values_gradients_and_optimisers_are_as_before():
    model = mlp("tanh")
    optimizer = tg.optim.Adam(model.parameters())
    tg.nn.cross_entropy(model(X), LABELS).backward()
    model.layers[1].weight.zero_grad()
    optimizer.step()
    before, x, y = state(model, optimizer), X.copy(), LABELS.copy()
    of(model, optimizer=optimizer)
    assert state(model, optimizer) == before
    assert np.array_equal(x, X)
    assert np.array_equal(y, LABELS)


@pytest.mark.parametrize("where", ["model", "loss", "walk", "after"])
def test_after_an_exception_too(where, monkeypatch):
    model = mlp("tanh")
    optimizer = tg.optim.Adam(model.parameters())
    tg.nn.cross_entropy(model(X), LABELS).backward()
    before = state(model, optimizer)

    def fail(*_):
        raise KeyError(where)

    poison = tg.rule(lambda x: x + 0, x=fail)
    calls = {"model": (lambda x: fail(model(x)), tg.nn.cross_entropy),
             "loss": (model, lambda z, y: fail(tg.nn.cross_entropy(z, y))),
             "walk": (model, lambda z, y: tg.nn.cross_entropy(poison(z), y)),
             "after": (model, tg.nn.cross_entropy)}
    if where == "after":
        monkeypatch.setattr("tinygrad_w2v.diagnose.diagnosis._measure", fail)
    with pytest.raises(KeyError, match=where):
        tg.diagnose(calls[where][0], X, LABELS, calls[where][1], optimizer=optimizer)
    assert state(model, optimizer) == before
    assert not tg.graph.watched
    assert (leaf(1) * 2).requires_grad


def test_the_model_is_called_once_with_the_examples_themselves():
    seen = []
    w = leaf(5, 3)

    def model(x):
        seen.append(x)
        return x @ w

    of(model)
    assert len(seen) == 1
    assert seen[0] is X


def test_other_watchers_see_the_run_too():
    class Names(Watcher):
        def __init__(self):
            self.names = []

        def computed(self, rule, operands, meta, out):
            self.names.append(rule.name)

    names = Names()
    with watching(names), tg.debug():
        of(mlp("tanh"))
    assert names.names[:3] == ["matmul", "add", "tanh"]


@pytest.mark.parametrize("exponent", [-1060, -600, -100, 100, 600])
def test_problem_2_does_not_depend_on_the_unit_of_the_inputs(exponent):
    w, x, unit = leaf(5, 2), np.abs(X) + 1, 2.0**exponent
    one, other = (of(lambda x: x @ w, x * scale, None, lambda z, y: z.mean()).layers[0]
                  for scale in (1, unit))
    rounding = 1e-2 if exponent < -1022 else 1e-12  # so small numbers have few digits
    for field in ("condition", "condition_expected", "agreement_expected"):
        assert getattr(other, field) == pytest.approx(getattr(one, field), rel=rounding), field
    assert other.std / unit == pytest.approx(one.std, rel=rounding)


@pytest.mark.parametrize("mean", [1e-200, 1.0, 1e200])
def test_expected_conditions_of_any_numbers_are_numbers(mean):
    assert expected_condition(mean, 2 * mean, 8) == 3
    assert expected_condition(mean, 1e-320, 8) > 1e200


def test_inputs_that_are_all_one_number_have_no_spread():
    w = leaf(3, 2)
    (row,) = of(lambda x: x @ w, np.full((6, 3), 0.1), None, lambda z, y: z.mean()).layers
    assert (row.std, row.condition, row.condition_expected) == (0, math.inf, math.inf)
    assert row.agreement_expected == row.agreement_batch == 1


def test_of_inputs_that_are_all_0_no_agreement_is_expected():
    assert math.isnan(expected_agreement(0, 0))
    assert math.isnan(expected_agreement(0, 0, 5))
    w = leaf(3, 2)
    report = of(lambda x: x @ w, np.zeros((6, 3)), None, lambda z, y: z.mean())
    (row,) = report.layers
    assert math.isnan(row.agreement_expected)
    assert math.isnan(row.agreement_batch)
    assert any("no weight gets a gradient" in line for line in report.unseen)


def test_the_callable_module_tells_the_signature_of_its_function_and_where_its_text_is():
    assert inspect.signature(tg.diagnose) == inspect.signature(diagnose)
    assert "help(tg.diagnose.diagnose)" in tg.diagnose.__call__.__doc__
    assert tg.diagnose.diagnose is diagnose


# ── what cannot be diagnosed ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("arguments", "error", "words"), [
    (([1, 2], X, LABELS, tg.nn.mse), TypeError, "model is called, as model(X), but this is list"),
    ((tg.nn.MLP, X, LABELS, tg.nn.mse), TypeError, "model is the class MLP: make one"),
    ((mlp("tanh"), X, LABELS, 0.5), TypeError, "loss is called, as loss(model(X), y), but this is"),
    ((mlp("tanh"), X, LABELS[:-1], tg.nn.cross_entropy), ValueError,
     "X has 60 examples, of shape (60, 5), but y has 59"),
    ((mlp("tanh"), 3.0, LABELS, tg.nn.cross_entropy), ValueError, "X is of shape ();"),
    ((mlp("tanh"), None, LABELS, tg.nn.cross_entropy), ValueError, "X is None"),
    ((mlp("tanh"), X[:0], LABELS[:0], tg.nn.cross_entropy), ValueError, "X is of shape (0, 5);"),
    ((mlp("tanh"), np.where(X > 2, np.nan, X), LABELS, tg.nn.cross_entropy), ValueError,
     "X is nan at ("),
    ((mlp("tanh"), X, np.full((60, 3), np.inf), tg.nn.mse), ValueError, "y is inf at (0, 0)"),
    ((mlp("tanh"), X, LABELS, lambda z, y: z), ValueError, "the loss has shape (60, 3)"),
    ((mlp("tanh"), X, LABELS, lambda z, y: 1.0), TypeError, "loss(model(X), y) gave float"),
    ((lambda x: x, X, X, lambda z, y: tg.nn.mse(tg.Tensor(z), y)), tg.GraphError,
     "no parameter reaches the loss"),
    ((lambda x: tg.Tensor(x), X, X, tg.nn.mse), tg.GraphError, "no parameter reaches the loss"),
    ((lambda x: mlp("tanh")(x).detach(), X, LABELS, tg.nn.cross_entropy), tg.GraphError,
     "detach(), .numpy()"),
    ((lambda x: x, tg.Tensor(X, requires_grad=True), X, tg.nn.mse), tg.GraphError,
     "no parameter reaches the loss"),
    ((mlp("tanh"), X, LABELS, lambda z, y: tg.nn.cross_entropy(z, y) * np.inf), FloatingPointError,
     "the loss is inf"),
    ((mlp("tanh"), X, LABELS, lambda z, y: tg.sqrt(0 * tg.nn.cross_entropy(z, y))),
     FloatingPointError, "the gradient in layer 1 is not finite"),
])
def test_what_cannot_be_diagnosed_is_refused(arguments, error, words):
    with pytest.raises(error) as caught:
        tg.diagnose(*arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(("keywords", "error", "words"), [
    ({"lr": 0.0}, ValueError, "lr=0.0"), ({"lr": math.inf}, ValueError, "lr=inf"),
    ({"lr": math.nan}, ValueError, "lr=nan"), ({"lr": "0.1"}, TypeError, "not str"),
    ({"lr": tg.optim.SGD([W], lr=1)}, TypeError, "optimizer= takes"),
    ({"optimizer": 0.1}, TypeError, "not float"),
    ({"lr": 0.1, "optimizer": tg.optim.SGD([W], lr=1)}, ValueError, "not both")])
def test_a_step_that_is_none_is_refused(keywords, error, words):
    with pytest.raises(error, match=words):
        of(mlp("tanh"), **keywords)


def test_y_may_be_none_for_a_loss_that_needs_none_and_lists_will_do():
    w = leaf(2, 1)
    report = tg.diagnose(lambda x: x @ w, [[1.0, 2.0]], None, lambda z, y: z.sum())
    assert (report.examples, report.layers[0].mean) == (1, 1.5)


# ── what is printed ───────────────────────────────────────────────────────────────────────────────


def test_the_table_is_aligned_and_no_wider_than_a_page():
    text = str(of(mlp("leaky_relu"), lr=0.1))
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("Problem")]
    assert len(tables) == 2
    for title, *lines in tables:
        assert len(title) <= 100
        assert len({len(line) for line in lines}) == 1 <= len(lines[0]) <= 100
        assert len(lines) == 4
    assert repr(of(mlp("leaky_relu"), lr=0.1)) == text


def test_what_a_layer_does_not_have_is_a_dash_and_what_is_not_known_a_question_mark():
    row = str(of(mlp("tanh"))).splitlines()[4].split()
    assert row[:5] == ["1", "5", "→", "8", "tanh"]
    assert row[6:8] == ["–", "–"]
    assert row[-1] == "?"


def test_an_activation_of_many_operations_is_whole_as_data_and_short_in_print():
    w = leaf(5, 3)
    def gelu(x):
        z = x @ w
        return 0.5 * z * (1 + tg.tanh(0.8 * (z + 0.045 * z**3)))
    report = of(gelu, lr=0.1)
    assert report.layers[0].activation.count(" ∘ ") == 7
    assert "1  5 → 3  multiply ∘ add ∘ … 8 operations" in str(report)
    assert "how steep multiply ∘ add ∘ … 8 operations can get" in str(report)
    assert "multiply ∘ add ∘ … 8 operations" in report._repr_html_()


def test_infinities_of_either_sign_are_said_alike():
    text = str(of(mlp("tanh"), np.zeros((60, 5)), lr=0.1))  # no weight moves
    assert "-∞" in text
    assert "∞ " in text
    assert "inf" not in text


def test_the_report_is_a_table_of_html_that_holds_the_same_texts():
    class Texts(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.cells, self.open = [], []

        def handle_starttag(self, tag, attributes):
            self.open.append(tag)

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

        def handle_data(self, data):
            if self.open[-1] in ("td", "th", "li"):
                self.cells.append(data)

    def mean_absolute(z):
        return tg.abs(z) + 1

    report, parser = of(mlp(mean_absolute)), Texts()
    parser.feed(report._repr_html_())
    assert parser.open == []
    assert all(cell in str(report) for cell in parser.cells)
    assert len(parser.cells) == 4 * (10 + 8) + len(report.unseen)


def test_html_escapes_the_name_of_an_activation():
    strange = tg.rule(lambda x: x * 1, elementwise=True, x=lambda g: g)
    strange.rule.name = "<b>"
    assert "<b>" not in of(mlp(strange))._repr_html_()
    assert "&lt;b&gt;" in of(mlp(strange))._repr_html_()


def test_a_report_is_json_without_loss():
    report = of(mlp(swish))
    copy = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert copy == report.to_dict()
    assert copy["layers"][0]["step"] == "not known"
    assert copy["layers"][1]["gradient"] == report.layers[1].gradient
    assert set(copy["layers"][0]) == set(MEASURES)
    few = of(mlp("tanh"), X[:3], LABELS[:3]).to_dict()
    assert few["layers"][0]["condition"] == "inf"


# ── paths ─────────────────────────────────────────────────────────────────────────────────────────


def walked(points, losses, until=-math.inf):
    w = tg.Tensor(np.zeros(len(points[0])), requires_grad=True)
    path, answers = Path([w], until), []
    for point, loss in zip(points, losses, strict=True):
        with w.edit() as values:
            values[:] = point
        answers.append(path.record(loss))
    return path, answers


def test_a_path_has_the_length_the_turns_and_the_orthants_of_its_steps():
    path, _ = walked([[0, 0], [3, 0], [3, 4], [3, 4], [2, 5], [4, 7]], range(6))
    assert path.length == pytest.approx(3 + 4 + 0 + math.sqrt(2) + math.sqrt(8))
    assert path.distance == pytest.approx(math.sqrt(65))
    assert path.detour == pytest.approx(path.length / math.sqrt(65))
    assert path.turns == pytest.approx([90, 45, 90])
    assert path.one_sign == 3 / 4
    assert path.points.shape == (6, 2)


def test_a_path_ends_where_the_loss_is_first_reached():
    path, answers = walked([[0.0], [1.0], [2.0], [1.5]], [9, 1, 0.5, 3], until=1)
    assert answers == [False, True, True, True]
    assert path.points.tolist() == [[0], [1]]
    assert path.losses == [9, 1]
    assert path.reached


def test_a_path_takes_tensors_for_losses_and_all_its_parameters():
    u, v = leaf(2, 2), leaf(3)
    path = Path([u, v])
    assert not path.record((u * u).sum())
    assert path.points.tolist() == [[*u.data.ravel(), *v.data]]
    assert repr(path) == "Path(1 record(s), no step)"


def test_a_path_keeps_what_was_there_when_it_is_changed_later():
    path, _ = walked([[1.0, 2.0], [5.0, 6.0]], [1, 1])
    assert path.points.tolist() == [[1, 2], [5, 6]]


def test_a_path_that_stands_still_has_no_detour_and_no_turns():
    path, _ = walked([[1.0, 2.0], [1.0, 2.0]], [1, 1])
    assert (path.detour, path.turns.size) == (1, 0)
    assert math.isnan(path.one_sign)
    there_and_back, _ = walked([[0.0], [1.0], [0.0]], [1, 1, 1])
    assert there_and_back.detour == math.inf
    assert there_and_back.turns == [180]


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**-600, 1.0, 2.0**600])
def test_a_path_looks_the_same_at_any_scale(unit):
    w = tg.Tensor([0.0, 0.0], requires_grad=True)
    path = Path([w])
    for place in ([0, 0], [3, 4], [3, 1], [4, 1], [-4, 3]):
        with w.edit() as array:
            array[:] = np.multiply(place, unit)
        path.record(1.0)
    assert path.length / unit == 9 + math.sqrt(68)
    assert path.distance == 5 * unit
    assert path.turns[:2] == pytest.approx([90 + math.degrees(math.asin(0.8)), 90])


def test_a_straight_path_turns_nowhere_though_cosines_are_rounded():
    points = np.outer(np.arange(200.0), [0.1, 0.2, 0.3])
    units = np.diff(points, axis=0)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert (units[1:] * units[:-1]).sum(axis=1).max() > 1
    path, _ = walked(points, range(200))
    assert path.turns.max() < 1e-5
    assert path.detour == pytest.approx(1)


def test_a_path_refuses_what_it_cannot_record():
    with pytest.raises(ValueError, match=r"call record\(loss\) before the first step"):
        Path([W]).points  # noqa: B018
    with pytest.raises(FloatingPointError, match="the loss is NaN after 0 records"):
        Path([W]).record(math.nan)
    with pytest.raises(TypeError, match="takes a list of Tensors"):
        Path(W)
