"""What the graph promises: what it keeps, how long, and that it is never silently wrong."""

import asyncio
import gc
import subprocess
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.graph import lineage

BIG = 100_000
leaf = lambda data=(1.0, 2.0): tg.Tensor(data, requires_grad=True)


def kept(out):
    """The arrays that the graph behind `out` keeps alive, leaves' own values apart."""
    return [a for n in lineage(out._node) for a in n.saved if isinstance(a, np.ndarray)]


# ── memory ────────────────────────────────────────────────────────────────────────────────────────


def test_a_chain_of_additions_keeps_no_intermediate_alive():
    x = leaf(np.ones(BIG))
    tracemalloc.start()
    try:
        y = x
        for _ in range(100):
            y = y + 1.0
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept(y) == []
    assert held < 2 * 8 * BIG  # the result, not a hundred of them


@pytest.mark.parametrize(("make", "expected"), [
    (lambda x, y: tg.exp(x), ["out"]), (lambda x, y: x * y, ["x", "y"]),
    (lambda x, y: x * 3.0, []), (lambda x, y: x - y, []), (lambda x, y: tg.tanh(x), ["x"]),
    (lambda x, y: tg.log(x), ["x"]), (lambda x, y: x.sum(), []), (lambda x, y: -x.T.mean(), []),
    (lambda x, y: tg.relu(x), ["out"]), (lambda x, y: x * y.detach(), ["y"]),
    (lambda x, y: x[0], [])])
def test_an_operation_keeps_what_its_derivatives_name_and_no_more(make, expected):
    x, y = leaf([1.0, 2.0]), leaf([3.0, 5.0])
    out = make(x, y)
    named = {"x": x.data, "y": y.data, "out": out.data}
    found = kept(out)
    assert len(found) == len(expected)
    assert all(np.array_equal(a, named[n]) for a, n in zip(found, expected, strict=True))


def clear():
    """Collect what other tests have left behind: what is freed can leave more to be freed."""
    while gc.collect():
        pass


def test_a_graph_is_freed_with_its_last_tensor_without_the_garbage_collector():
    clear()
    gc.disable()
    try:
        x = leaf(np.ones(BIG))
        tracemalloc.start()
        try:
            sizes = []
            for _ in range(5):
                loss = tg.log_softmax(tg.tanh(x * x + 1) / tg.exp(x)).sum()
                loss.backward()
                x.zero_grad()
                sizes.append(tracemalloc.get_traced_memory()[0])
                del loss
        finally:
            tracemalloc.stop()
        assert max(sizes) - min(sizes) < BIG
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("work", [
    lambda x: (x * x).sum().backward(),
    lambda x: tg.grad(tg.grad(lambda y: (x * y).sum() ** 3))(1.0),
    lambda x: tg.jvp(lambda y: y * x, [1.0, 2.0], [1.0, 1.0]),
    lambda x: tg.hessian(lambda y: (y * x).prod())([1.0, 2.0]), lambda x: tg.prod(x[[0, 0]])],
    ids=["backward", "grad of grad", "jvp", "hessian", "forward"])
def test_there_is_no_reference_cycle(work):
    x = leaf()
    work(x)  # what is imported or cached once is not a cycle
    clear()
    gc.disable()
    try:
        work(x)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_intermediate_tensor_dies_when_its_name_does():
    x = leaf()
    y = x * 2
    z = y + 1
    died = weakref.ref(y)
    del y
    assert died() is None
    z.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_a_million_operations_run_and_are_freed_at_the_default_recursion_limit():
    code = """
import sys, tinygrad_w2v as tg
assert sys.getrecursionlimit() == 1000
x = tg.Tensor(0.0, requires_grad=True)
y = x
for _ in range(1_000_000):
    y = y + 1.0
y.backward()
assert (y.item(), x.grad.item()) == (1e6, 1.0)
del y
"""
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


# ── accumulation ──────────────────────────────────────────────────────────────────────────────────


def test_backward_twice_adds_the_same_again_and_to_leaves_alone():
    x = leaf()
    y = x * x
    loss = (y * 3).sum()
    loss.backward()
    first = x.grad.copy()
    loss.backward()
    assert np.array_equal(x.grad, 2 * first)
    assert y.grad is None
    assert loss.grad is None


def test_gradients_of_several_losses_add_up():
    x = leaf()
    (x * 2).sum().backward()
    x.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_shared_subexpressions_are_walked_once_and_add_up():
    calls = []
    double = tg.rule(lambda x: 2 * x, x=lambda g: calls.append(1) or 2 * g)
    x = leaf(1.0)
    y = double(x)
    for _ in range(10):
        y = y + y
    y.backward()
    assert x.grad == 2 * 2**10
    assert len(calls) == 1


def test_if_a_rule_raises_no_gradient_has_changed():
    fine, bad = leaf(), leaf()

    def refuse(g):
        raise ArithmeticError("no")

    refusing = tg.rule(lambda x: x * 1.0, x=refuse)
    loss = (refusing(bad) + fine * 2).sum()
    fine.grad = np.ones(2)
    with pytest.raises(ArithmeticError):
        loss.backward()
    assert fine.grad.tolist() == [1, 1]
    assert bad.grad is None
    assert tg.grad(lambda x: x * x)(3.0).item() == 6  # and the next derivative is right


def test_the_gradient_is_the_users_own_array():
    x, y = leaf(), leaf()
    (x + y).sum().backward()
    x.grad[0] = 99
    assert y.grad.tolist() == [1, 1]
    (x + y).sum().backward()
    assert x.grad.tolist() == [100, 2]


@pytest.mark.parametrize("second", [lambda x: (x * x).sum(), lambda x: x[np.array([0])].sum()],
                         ids=["whole", "rows"])
@pytest.mark.parametrize("first", [lambda x: (x * x).sum(), lambda x: x[np.array([0])].sum()],
                         ids=["whole", "rows"])
def test_a_gradient_that_was_read_stays_what_it_was_when_another_is_added(first, second):
    x = leaf()
    first(x).backward()
    read, values = x.grad, np.array(x.grad)
    second(x).backward()
    assert np.asarray(read).tolist() == values.tolist()
    alone = tg.grad(second)(x.numpy())
    assert np.asarray(x.grad).tolist() == (values + np.asarray(alone)).tolist()


@pytest.mark.parametrize("f", [lambda x: (tg.exp(x) + x).sum(), lambda x: (x + tg.exp(x)).sum(),
                               lambda x: (x + tg.exp(x).reshape(-1)).sum()],
                         ids=["owned first", "owned last", "after a view"])
def test_shares_of_a_gradient_are_added_up_in_the_memory_of_one_of_them(f):
    x = leaf(np.zeros(BIG))
    loss = f(x)
    tracemalloc.start()
    loss.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert x.grad[0] == 2
    assert peak < 1.1 * x.data.nbytes


@pytest.mark.parametrize("w", [np.array([3.0, 4.0]), np.array([3.0, 4.0], np.float32)], ids=str)
def test_a_saved_constant_is_not_added_to_where_a_rule_returns_it(w):
    product = tg.rule(lambda x, w: x * w, x=lambda g, w: w if (g == 1).all() else g * w, w=None)
    x = leaf()
    loss = (x + product(x, w)).sum()
    for _ in range(2):
        x.zero_grad()
        loss.backward()
        assert x.grad.tolist() == [4, 5]


def test_the_seed_is_not_written_to_and_not_kept():
    x, seed = leaf(), np.array([1.0, 2.0])
    (x + 0.0).backward(seed)
    x.grad[:] = 7
    assert seed.tolist() == [1, 2]


# ── never silently wrong ──────────────────────────────────────────────────────────────────────────


def test_a_constant_array_changed_after_use_does_not_change_the_gradient():
    x, c = leaf(), np.array([3.0, 3.0])
    loss = (x * c).sum()
    c[:] = 99
    loss.backward()
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize("key", [np.array([1, 1]), np.array([True, False]), [0, 1]], ids=str)
def test_an_index_changed_after_use_does_not_change_the_gradient(key):
    x, own = leaf(), (list(key) if isinstance(key, list) else key.copy())
    loss = x[own].sum()
    expected = tg.grad(lambda x: x[key].sum())([1.0, 2.0]).tolist()
    own[:] = [0] * len(own)
    loss.backward()
    assert np.asarray(x.grad).tolist() == expected


def test_a_mask_changed_after_use_does_not_change_the_gradient():
    x, mask = leaf(), np.array([True, False])
    loss = tg.where(mask, x, 0).sum()
    mask[:] = True
    loss.backward()
    assert x.grad.tolist() == [1, 0]


def test_an_array_changed_after_the_tensor_was_made_does_not_change_the_tensor():
    a = np.array([1.0, 2.0])
    view = a[:1]
    x = leaf(a)
    y = (x * x).sum()
    a[:], view[:] = 9, 9
    y.backward()
    assert x.data.tolist() == [1, 2]
    assert x.grad.tolist() == [2, 4]


@pytest.mark.parametrize("make", [leaf, lambda: leaf() * 2, lambda: tg.Tensor([1.0, 2.0]),
                                  lambda: leaf().detach(), lambda: leaf()[::-1]],
                         ids=["leaf", "result", "constant", "detached", "view"])
def test_data_can_be_neither_written_nor_made_writable(make):
    data = make().data
    with pytest.raises(ValueError, match="read-only"):
        data[0] = 9
    with pytest.raises(ValueError, match="WRITEABLE"):
        data.flags.writeable = True


def test_numpy_gives_a_copy_to_write_to():
    x = leaf()
    x.numpy()[:] = 9
    assert x.data.tolist() == [1, 2]


EDITED = {
    "the leaf": lambda w: w * w, "its transpose": lambda w: w.T @ w.T,
    "a row": lambda w: w[0] * w[0], "a reshape": lambda w: tg.square(w.reshape(-1)),
    "a reversed slice": lambda w: tg.exp(w[::-1] * 1.0) * w[::-1],
    "a view of a view": lambda w: tg.log(w.T[0].reshape(2, 1)),
    "its own values": lambda w: tg.positive(w).T * tg.broadcast_to(w, (3, 2, 2))}


@pytest.mark.parametrize("how", EDITED)
def test_an_edit_between_forward_and_backward_is_an_error_that_names_the_parameter(how):
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    loss = EDITED[how](w).sum()
    with w.edit() as values:
        values -= 0.5
    with pytest.raises(tg.GraphError, match=r"a saved parameter of shape \(2, 2\) was changed"):
        loss.backward()
    assert w.grad is None


def test_an_edit_does_not_disturb_a_graph_that_saved_nothing_of_it():
    w, x = leaf(), leaf()
    loss = (w * 3 + tg.exp(x)).sum()
    with w.edit() as values:
        values[:] = 9
    loss.backward()
    assert w.grad.tolist() == [3, 3]


def test_edit_bars_writing_again_when_its_block_ends_in_an_error():
    w = leaf()
    with pytest.raises(KeyError), w.edit():
        raise KeyError
    with pytest.raises(ValueError, match="read-only"):
        w.data[0] = 1


@pytest.mark.parametrize("constant", [
    lambda w: w.detach(), lambda w: w.T.detach(), lambda w: w[0].detach(),
    lambda w: tg.no_grad()(lambda: w.T)(), lambda w: tg.no_grad()(lambda: w[::-1])(),
    lambda w: tg.no_grad()(lambda: w.reshape(-1))(), lambda w: w.T.reshape(-1)[1:].detach()])
def test_constants_do_not_change_when_the_leaf_they_came_from_is_edited(constant):
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    c = constant(w)
    before = c.numpy()
    with w.edit() as values:
        values[:] = -9
    assert np.array_equal(c.data, before)


# ── recording: one switch ─────────────────────────────────────────────────────────────────────────


def recorded():
    return (leaf() * 2).requires_grad


def test_no_grad_holds_for_its_block_and_ends_with_an_error_too():
    with tg.no_grad():
        assert not recorded()
        with tg.no_grad():
            assert not recorded()
        assert not recorded()
    assert recorded()
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert recorded()


def test_no_grad_decorates_a_function_and_can_be_used_again():
    silent = tg.no_grad()(recorded)
    assert [silent(), silent(), recorded()] == [False, False, True]


def in_threads(n, work):
    results = [None] * n
    barrier = threading.Barrier(n)

    def run(i):
        barrier.wait()
        results[i] = work(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_no_grad_is_a_matter_of_one_thread():
    with tg.no_grad():
        assert in_threads(2, lambda i: recorded()) == [True, True]


def test_no_grad_is_a_matter_of_one_task():
    async def quiet(started, done):
        with tg.no_grad():
            started.set()
            await done.wait()
            return recorded()

    async def both():
        started, done = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(quiet(started, done))
        await started.wait()
        beside = recorded()
        done.set()
        return beside, await task

    assert asyncio.run(both()) == (True, False)


def test_nested_derivatives_in_four_threads_are_right():
    def work(i):
        found = [tg.grad(tg.grad(lambda x: x**4))(float(i + 1)).item() for _ in range(50)]
        return set(found)

    assert in_threads(4, work) == [{12.0 * (i + 1) ** 2} for i in range(4)]


def test_a_result_that_is_read_only_by_itself_is_not_taken_for_the_memory_of_a_leaf():
    def frozen(x):
        out = x * 2
        out.flags.writeable = False
        return out

    x = tg.Tensor([1.0, 3.0], requires_grad=True)
    y = tg.rule(frozen, x=lambda g, out: g * out)(x).sum()
    with x.edit() as values:
        values += 1
    y.backward()
    assert x.grad.tolist() == [2, 6]


def test_no_derivative_is_computed_that_leads_to_no_argument():
    def never(g):
        raise AssertionError("nobody asked for this")

    w = tg.Tensor([1.0, 3.0], requires_grad=True)
    constant = tg.rule(lambda x: x * 1, x=never)
    assert tg.grad(lambda x: (x * constant(w * 2)).sum())(2.0).item() == 8


def test_what_is_kept_of_a_result_is_its_own_array_and_no_copy():
    y = leaf() * 2
    z = y * tg.exp(y)
    assert z._node.saved[0] is y._data
