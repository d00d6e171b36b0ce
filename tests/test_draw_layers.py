"""Strips of layers: counts and shares are those of the arrays, gradients those of the loss."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_w2v as tg
from tinygrad_w2v.draw import layers_of, strips, strips_figure

numbers = hnp.arrays(float, st.integers(1, 40), elements=st.floats(-1e6, 1e6))


def run(activation, sizes=(5, 7, 6, 3), seed=0, **settings):
    rng = np.random.default_rng(seed)
    model = tg.nn.MLP(sizes, activation=activation, rng=rng, **settings)
    x, labels = rng.normal(size=(20, sizes[0])), rng.integers(0, sizes[-1], 20)
    return model, x, lambda y: tg.nn.cross_entropy(y, labels)


@given(st.dictionaries(st.text(max_size=3), numbers, min_size=1, max_size=4), st.booleans())
def test_every_number_is_counted_once_over_common_edges(arrays, log):
    found = strips(arrays, 7, log=log)
    for strip, (name, x) in zip(found, arrays.items(), strict=True):
        assert (strip.name, strip.size) == (name, x.size)
        np.testing.assert_array_equal(strip.edges, found[0].edges)
        assert strip.counts.sum() == (np.count_nonzero(x) if log else x.size)
        assert strip.zero == np.mean(x == 0)
        assert strip.rms == pytest.approx(np.sqrt(np.mean(x * x)))


def test_shares_beyond_limits_leave_the_limits_out():
    (strip,) = strips({"a": [-2, -1, 0, 1, 1.5]}, limits=(-1, 1))
    assert strip.beyond == 0.4


@pytest.mark.parametrize(("x", "message"), [([], "'a' has no numbers"), ([np.nan], "holds NaN")])
def test_what_has_no_strip_is_refused(x, message):
    with pytest.raises(ValueError, match=message):
        strips({"a": x})


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "softplus"])
def test_values_and_gradients_are_those_of_the_layers(activation):
    model, x, loss = run(activation)
    found = layers_of(model, x, loss)
    h = x
    for k, (layer, value) in enumerate(zip(model.layers, found.values.values(), strict=True), 1):
        z = layer(h).numpy()

        def rest(z, k=k):
            """The loss, from the z of layer k on."""
            if k == len(model.layers):
                return loss(z)
            y = model.activation(z)
            for later in model.layers[k:-1]:
                y = model.activation(later(y))
            return loss(model.layers[-1](y))

        np.testing.assert_allclose(found.gradients[f"layer {k}"], tg.grad(rest)(z).numpy(),
                                   atol=1e-15)
        h = z if k == len(model.layers) else model.activation(z)
        np.testing.assert_allclose(value, h, atol=1e-15)


def test_layers_of_another_model_are_refused_and_diagnose_is_named():
    with pytest.raises(TypeError, match=r"an nn\.MLP, not function; tg\.diagnose"):
        layers_of(lambda x: x, np.ones((2, 3)), lambda out: out.sum())


def test_the_model_is_left_as_it_was():
    model, x, loss = run("tanh")
    before = [p.numpy() for p in model.parameters()]
    layers_of(model, x, loss)
    assert all(p.grad is None for p in model.parameters())
    for p, values in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, values)


def test_float32_stays_float32():
    model, x, loss = run("tanh", dtype=np.float32)
    found = layers_of(model, x.astype(np.float32), loss)
    assert {a.dtype for a in [*found.values.values(), *found.gradients.values()]} == {
        np.dtype(np.float32)}


@pytest.mark.parametrize(("activation", "slope"), [
    ("tanh", lambda y: 1 - y * y), ("sigmoid", lambda y: 4 * y * (1 - y))])
def test_saturated_is_where_the_slope_is_below_6_percent_of_its_greatest(activation, slope):
    model, x, loss = run(activation, init=lambda *a: 5 * tg.nn.glorot_normal(*a))
    found = layers_of(model, x, loss)
    for strip in found.forward_strips()[:-1]:
        expected = np.mean(slope(found.values[strip.name]) < 1 - 0.97**2)
        assert strip.beyond == expected
        assert 0.05 < strip.beyond < 0.95


def test_a_relu_is_inactive_and_never_saturated():
    found = layers_of(*run("relu"))
    remarks = [axes.get_title(loc="right") for axes in found.figure().axes[::2]]
    zeros = [np.mean(found.values[name] == 0) for name in ("layer 1", "layer 2")]
    assert remarks == [*(f"{100 * share:.0f} % inactive" for share in zeros), "z, without g"]


def test_the_figure_has_a_row_for_each_layer_and_says_shares_and_sizes():
    found = layers_of(*run("tanh", init=lambda *a: 5 * tg.nn.glorot_normal(*a)))
    axes = found.figure("title $").axes
    assert [a.get_ylabel() for a in axes[::2]] == ["layer 1", "layer 2", "layer 3"]
    for a, strip in zip(axes[::2], found.forward_strips(), strict=True):
        heights = [bar.get_height() for bar in a.patches]
        np.testing.assert_allclose(heights, strip.counts / strip.counts.max())
    assert axes[0].get_title(loc="right") == (
        f"{100 * found.forward_strips()[0].beyond:.0f} % saturated")
    for a, gradient in zip(axes[1::2], found.gradients.values(), strict=True):
        assert a.get_title(loc="right") == f"rms {np.sqrt(np.mean(gradient**2)):.1e}"
    assert axes[1].get_xlim() == axes[5].get_xlim()
    found.figure().draw_without_rendering()


def test_a_model_of_one_layer_and_one_with_its_own_activation_are_drawn():
    layers_of(*run("tanh", sizes=(5, 3))).figure().draw_without_rendering()
    layers_of(*run(lambda x: x * x)).figure().draw_without_rendering()


def test_any_strips_are_drawn_with_their_sizes_and_what_is_beyond():
    arrays = {"$a": [-2, -1, 0, 1, 1.5], "b": [0.5] * 4}
    figure = strips_figure(strips(arrays, limits=(-1, 1)), (-1, 1), "number")
    first, second = figure.axes
    assert (first.get_ylabel(), second.get_xlabel()) == ("$a", "number")
    assert first.get_title(loc="right") == "rms 1.28, 40 % beyond the lines"
    assert second.get_title(loc="right") == "rms 0.5, 0 % beyond the lines"
    assert first.get_xlim() == second.get_xlim()
    figure.draw_without_rendering()


def test_the_size_of_gradients_that_vanish_is_told_though_their_squares_are_0():
    tiny = np.full(4, 1e-30, np.float32)
    strip, = strips({"layer 1": tg.Tensor(tiny)}, log=True)
    assert strip.rms == pytest.approx(1e-30)
