"""Optimisers against twins that move one number at a time, and rows against the whole array."""

import math
import tracemalloc

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.optim import SGD, Adagrad, Adam, Optimizer

# ── twins: plain Python, one number and its list of gradients at a time ───────────────────────────


def sgd(x, gradients, lr):
    for g in gradients:
        x = x - lr * g
    return x


def momentum(x, gradients, lr):
    v = 0.0
    for g in gradients:
        v = 0.9 * v + g
        x = x - lr * v
    return x


def nesterov(x, gradients, lr):
    v = 0.0
    for g in gradients:
        v = 0.9 * v + g
        x = x - lr * (g + 0.9 * v)
    return x


def adagrad(x, gradients, lr):
    squares = []
    for g in gradients:
        squares.append(g**2)
        x = x - lr * g / (math.sqrt(math.fsum(squares)) + 1e-10)
    return x


def adam(x, gradients, lr):
    for t in range(1, len(gradients) + 1):  # m̂ and v̂ as the weighted means that they are
        past = gradients[:t]
        m = sum(0.1 * 0.9 ** (t - 1 - i) * g for i, g in enumerate(past)) / (1 - 0.9**t)
        v = sum(0.001 * 0.999 ** (t - 1 - i) * g**2 for i, g in enumerate(past)) / (1 - 0.999**t)
        x = x - lr * m / (math.sqrt(v) + 1e-8)
    return x


OPTIMISERS = {
    "SGD": (SGD, {}, sgd),
    "momentum": (SGD, {"momentum": 0.9}, momentum),
    "Nesterov": (SGD, {"momentum": 0.9, "nesterov": True}, nesterov),
    "Adagrad": (Adagrad, {}, adagrad),
    "Adam": (Adam, {}, adam),
}
EACH = pytest.mark.parametrize("name", OPTIMISERS)
ALL = {**OPTIMISERS, "rowwise Adagrad": (Adagrad, {"rowwise": True}, None)}
EVERY = pytest.mark.parametrize("name", ALL)


def make(name, params, lr):
    kind, options, _ = ALL[name]
    return kind(params, lr=lr, **options)


def leaf(shape, seed=0, dtype=np.float64):
    return tg.Tensor(np.random.default_rng(seed).normal(size=shape), True, dtype)


@EACH
@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 3, 2), (0, 3)])
def test_seven_steps_are_those_of_the_formula_number_by_number(name, shape):
    p, twin = leaf(shape), OPTIMISERS[name][2]
    start, gradients = p.numpy(), np.random.default_rng(1).normal(size=(7, *shape))
    optimizer = make(name, [p], lr=0.1)
    for g in gradients:
        p.grad = g
        optimizer.step()
    expected = np.empty(shape)
    for place in np.ndindex(shape):
        expected[place] = twin(start[place], gradients[(slice(None), *place)].tolist(), 0.1)
    np.testing.assert_allclose(p.data, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 3, 2)])
def test_rowwise_adagrad_divides_a_row_by_the_root_of_its_summed_mean_squares(shape):
    p = leaf(shape)
    start, gradients = p.numpy(), np.random.default_rng(1).normal(size=(7, *shape))
    optimizer = Adagrad([p], lr=0.1, rowwise=True)
    for g in gradients:
        p.grad = g
        optimizer.step()
    x, g = (a.reshape(*a.shape[:a.ndim - len(shape)], *shape[:1] or (1,), -1)
            for a in (start, gradients))
    for i, row in enumerate(x):
        s = 0.0
        for step in g:
            s += sum(step[i] ** 2) / len(row)
            row -= 0.1 * step[i] / (math.sqrt(s) + 1e-10)
    np.testing.assert_allclose(p.data, x.reshape(shape), rtol=1e-12)
    assert optimizer.state[0]["s"].size == math.prod(shape[:1])


@EACH
def test_float32_parameters_stay_float32_and_so_does_what_is_remembered(name):
    p, twin = leaf((4, 3), dtype=np.float32), OPTIMISERS[name][2]
    start, gradients = p.numpy(), np.random.default_rng(1).normal(size=(5, 4, 3))
    optimizer = make(name, [p], lr=0.1)
    for g in gradients:
        p.grad = g.astype(np.float32)
        optimizer.step()
    assert p.dtype == np.float32
    kinds = {memory.dtype for memory in optimizer.state[0].values() if memory.dtype.kind == "f"}
    assert kinds <= {np.dtype(np.float32)}
    for place in np.ndindex(4, 3):
        found = twin(float(start[place]), gradients[(slice(None), *place)].tolist(), 0.1)
        assert p.data[place] == pytest.approx(found, rel=1e-5, abs=1e-6)


@EVERY
def test_every_optimiser_finds_the_minimum_of_a_bowl(name):
    p, low = leaf((3, 2)), np.array([[1.0, -2.0], [0.5, 3.0], [0.0, -0.25]])
    optimizer = make(name, [p], lr={"Adagrad": 1.0, "rowwise Adagrad": 1.0}.get(name, 0.05))
    for step in range(600):
        optimizer.lr = optimizer.lr * (0.99 if step > 300 else 1)
        optimizer.zero_grad()
        (np.square(p - low) * np.array([1.0, 2.0])).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(p.data, low, rtol=0, atol=1e-3)


# ── the loop ──────────────────────────────────────────────────────────────────────────────────────


@EVERY
def test_a_parameter_without_gradient_is_skipped(name):
    moved, still = leaf((2, 2)), leaf((2, 2))
    before = still.numpy()
    optimizer = make(name, [still, moved], lr=0.1)
    graph = (still * still).sum()
    (moved * moved).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(still.data, before)
    assert not np.array_equal(moved.data, before)
    assert all(not memory.any() for memory in optimizer.state[0].values())
    graph.backward()  # it was not written to, so its graph is good
    np.testing.assert_array_equal(still.grad, 2 * before)


@EVERY
def test_a_step_between_forward_and_backward_raises_graph_error(name):
    p = leaf((2, 2))
    loss = (p * p).sum()
    loss.backward()
    make(name, [p], lr=0.1).step()
    with pytest.raises(tg.GraphError, match="optimiser step"):
        loss.backward()


def test_a_step_on_looked_up_rows_between_forward_and_backward_raises_graph_error():
    p = leaf((4, 2))
    loss = np.square(p.take([1, 2]) @ p.T).sum()
    p.take([0]).sum().backward()
    SGD([p], lr=0.1).step()
    with pytest.raises(tg.GraphError, match="optimiser step"):
        loss.backward()


@EVERY
def test_a_step_leaves_the_gradient_as_it_was(name):
    p = leaf((3, 2))
    optimizer = make(name, [p], lr=0.1)
    p.grad = g = np.random.default_rng(1).normal(size=(3, 2))
    kept = g.copy()
    optimizer.step()
    optimizer.step()
    assert p.grad is g
    np.testing.assert_array_equal(g, kept)


def test_parameters_cannot_be_written_to_after_a_step():
    p = leaf((2,))
    p.grad = np.ones(2)
    SGD([p], lr=0.1).step()
    with pytest.raises(ValueError, match="read-only"):
        p.data[0] = 1


def test_zero_grad_forgets_every_gradient():
    p, table = leaf((2, 2)), leaf((3, 2))
    ((p * p).sum() + table.take([1, 1]).sum()).backward()
    optimizer = SGD([p, table], lr=0.1)
    assert isinstance(table.grad, tg.RowGrad)
    optimizer.zero_grad()
    assert p.grad is None
    assert table.grad is None


@EVERY
def test_the_learning_rate_can_be_changed_between_steps(name):
    p = leaf((3, 2))
    optimizer = make(name, [p], lr=0.1)
    optimizer.lr = 0.025
    assert optimizer.lr == 0.025
    start, p.grad = p.numpy(), np.ones((3, 2))
    optimizer.step()
    size = 0.025 * (1.9 if name == "Nesterov" else 1)
    np.testing.assert_allclose(start - p.data, size, rtol=1e-6)


def test_an_optimiser_is_a_subclass_with_an_update():
    class Clipped(Optimizer):
        def update(self, x, g):
            x -= self.lr * np.clip(g, -1, 1)

    p = tg.Tensor([0.0, 0.0], requires_grad=True)
    optimizer = Clipped([p], lr=0.5)
    p.grad = np.array([0.5, -100.0])
    optimizer.step()
    assert p.tolist() == [-0.25, 0.5]


def test_an_optimiser_without_update_says_so():
    p = leaf((2,))
    p.grad = np.ones(2)
    with pytest.raises(NotImplementedError, match="Optimizer has no update"):
        Optimizer([p], lr=0.1).step()


# ── looking rows up ───────────────────────────────────────────────────────────────────────────────

IDS = [[5, 1, 5, 5], [1, 2], [5, 0, 0, 2], [], [2]]  # rows 3 and 4 of 6 are never looked up


def row_grads(shape, seed=1):
    """Give gradients in 64ths: their sums are exact, in whatever order they are summed."""
    rng = np.random.default_rng(seed)
    for ids in IDS:
        rows = rng.integers(-64, 65, size=(len(ids), *shape[1:])) / 64
        yield tg.RowGrad(np.array(ids, int), rows, shape)


@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 2, 2)])
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "rowwise Adagrad"])
def test_row_gradients_move_a_table_as_their_dense_array_does_to_the_bit(name, shape):
    by_rows, dense = leaf(shape), leaf(shape)
    rows_optimizer, dense_optimizer = make(name, [by_rows], 0.1), make(name, [dense], 0.1)
    for g in row_grads(shape):
        by_rows.grad, dense.grad = g, g.dense()
        rows_optimizer.step()
        dense_optimizer.step()
        np.testing.assert_array_equal(by_rows.data, dense.data)


@EVERY
@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 2, 2)])
def test_rows_that_were_not_looked_up_keep_every_bit_and_so_does_their_memory(name, shape):
    p = leaf(shape)
    optimizer = make(name, [p], 0.1)
    p.grad = np.ones(shape)
    optimizer.step()  # now all rows have something to remember
    for g in row_grads(shape):
        before, kept = p.numpy(), {k: m.copy() for k, m in optimizer.state[0].items()}
        rest = np.setdiff1d(np.arange(6), g.ids)
        p.grad = g
        optimizer.step()
        assert p.data[rest].tobytes() == before[rest].tobytes()
        for key, memory in optimizer.state[0].items():
            assert memory[rest].tobytes() == kept[key][rest].tobytes()
        changed = np.flatnonzero((p.data != before).reshape(6, -1).any(axis=1))
        np.testing.assert_array_equal(changed, np.unique(g.ids))


@EACH
def test_a_row_moves_as_if_the_steps_that_did_not_look_it_up_had_never_been(name):
    shape, twin = (6, 3), OPTIMISERS[name][2]
    p = leaf(shape)
    optimizer, start = make(name, [p], 0.1), p.numpy()
    for g in row_grads(shape):
        p.grad = g
        optimizer.step()
    for i, j in np.ndindex(shape):
        seen = [g.dense()[i, j] for g in row_grads(shape) if i in g.ids]
        assert p.data[i, j] == pytest.approx(twin(start[i, j], seen, 0.1), rel=1e-12)


@EVERY
def test_looking_up_all_rows_is_a_dense_step(name):
    by_rows, dense = leaf((4, 3)), leaf((4, 3))
    rows_optimizer, dense_optimizer = make(name, [by_rows], 0.1), make(name, [dense], 0.1)
    for _ in range(4):
        for p, optimizer in [(by_rows, rows_optimizer), (dense, dense_optimizer)]:
            optimizer.zero_grad()
            (p.take([3, 1, 0, 2]) if p is by_rows else p).exp().sum().backward()
            optimizer.step()
    np.testing.assert_allclose(by_rows.data, dense.data, rtol=1e-14)


@EVERY
def test_dense_and_row_gradients_may_alternate(name):
    p = leaf((6, 3))
    optimizer = make(name, [p], 0.1)
    for g in row_grads((6, 3)):
        for gradient in (g, np.ones((6, 3))):
            p.grad = gradient
            optimizer.step()
    if name == "Adam":
        counts = optimizer.state[0]["t"].ravel().tolist()
        assert counts == [5 + sum(i in ids for ids in IDS) for i in range(6)]
    assert np.isfinite(p.data).all()


@EVERY
def test_a_step_on_few_rows_of_a_large_table_makes_no_array_of_its_size(name):
    p = tg.Tensor(np.zeros((100_000, 20), np.float32), requires_grad=True)
    optimizer = make(name, [p], 0.1)
    p.take([5, 70_000, 5]).sum().backward()
    tracemalloc.start()
    try:
        optimizer.step()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000  # bytes; one byte a row
    assert np.flatnonzero(p.data.any(axis=1)).tolist() == [5, 70_000]


# ── what they refuse ──────────────────────────────────────────────────────────────────────────────


@EVERY
@pytest.mark.parametrize("lr", [0, -0.1, math.nan, math.inf])
def test_a_learning_rate_that_is_not_positive_and_finite_is_refused(name, lr):
    with pytest.raises(ValueError, match="learning rate must be > 0"):
        make(name, [leaf((2,))], lr=lr)
    optimizer = make(name, [leaf((2,))], lr=0.1)
    with pytest.raises(ValueError, match="learning rate must be > 0"):
        optimizer.lr = lr
    assert optimizer.lr == 0.1


def test_no_parameters_are_refused():
    with pytest.raises(ValueError, match="at least one parameter"):
        SGD([], lr=0.1)
    used_up = iter([leaf((2,))])
    next(used_up)
    with pytest.raises(ValueError, match="used up"):
        SGD(used_up, lr=0.1)


def test_a_parameter_given_twice_is_refused_with_both_places():
    p, q = leaf((2,)), leaf((2,))
    with pytest.raises(ValueError, match=r"params\[2\].*is params\[0\] again"):
        SGD([p, q, p], lr=0.1)


@pytest.mark.parametrize("p", [tg.Tensor([1.0]), leaf((1,)) * 2, leaf((1,)).detach()],
                         ids=["constant", "computed", "detached"])
def test_a_tensor_that_is_no_leaf_is_refused(p):
    with pytest.raises(ValueError, match=r"params\[1\], of shape \(1,\), is no leaf"):
        SGD([leaf((2,)), p], lr=0.1)


def test_what_is_no_list_of_tensors_is_refused_with_the_fix():
    with pytest.raises(TypeError, match=r"not one Tensor: \[w\]"):
        SGD(leaf((2, 2)), lr=0.1)
    with pytest.raises(TypeError, match=r"not one MLP: .*model.parameters\(\)"):
        SGD(tg.nn.MLP([2, 1]), lr=0.1)
    with pytest.raises(TypeError, match=r"params\[0\] is of ndarray"):
        SGD([np.ones(2)], lr=0.1)


@EVERY
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("by_rows", [False, True])
def test_a_gradient_that_is_not_finite_is_refused_before_anything_moves(name, bad, by_rows):
    first, second = leaf((3, 2)), leaf((3, 2))
    optimizer = make(name, [first, second], lr=0.1)
    first.grad, rows = np.ones((3, 2)), np.array([[1.0, bad]])
    second.grad = (tg.RowGrad(np.array([1]), rows, (3, 2)) if by_rows
                   else np.concatenate([np.ones((2, 2)), rows]))
    before = first.numpy()
    with pytest.raises(FloatingPointError, match=r"params\[1\], of shape \(3, 2\), holds NaN"):
        optimizer.step()
    for p, memory in zip([first, second], optimizer.state, strict=True):
        np.testing.assert_array_equal(p.data, before)
        assert all(not m.any() for m in memory.values())


def test_a_large_finite_gradient_is_taken():
    p = tg.Tensor(np.zeros(2, np.float32), requires_grad=True)
    p.grad = np.array([1e30, -1e30], np.float32)  # its squares overflow float32
    SGD([p], lr=1e-30).step()
    np.testing.assert_allclose(p.data, [-1, 1], rtol=1e-6)


@pytest.mark.parametrize(("kind", "options", "message"), [
    (SGD, {"momentum": 1.0}, "momentum=1.0"), (SGD, {"momentum": -0.1}, "momentum=-0.1"),
    (SGD, {"nesterov": True}, "nesterov=True needs momentum"),
    (Adagrad, {"eps": 0.0}, "eps=0.0"), (Adam, {"eps": -1e-8}, "eps=-1e-08"),
    (Adam, {"betas": (0.9, 1.0)}, "betas"), (Adam, {"betas": (0.9,)}, "betas")])
def test_settings_out_of_their_range_are_refused_by_name(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind([leaf((2,))], lr=0.1, **options)
