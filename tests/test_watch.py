"""`watching` shows everything to those whom it belongs to; while nobody looks, it is not there."""

import asyncio
import contextvars
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v import graph, rules, sparse, tensor, watch
from tinygrad_w2v.watch import Watcher, watching


class Log(Watcher):
    """Keeps what it is shown, as short texts."""

    def __init__(self):
        self.seen = []

    def computed(self, rule, operands, meta, out):
        self.seen.append(rule.name)

    def failed(self, rule, operands, meta, error):
        self.seen.append(f"{rule.name} failed: {type(error).__name__}")

    def pulling(self, node, i, g):
        self.seen.append(f"{node.rule.name}/{i}?")

    def pulled(self, node, i, g, share):
        self.seen.append(f"{node.rule.name}/{i}")

    def broke(self, node, i, g, error):
        self.seen.append(f"{node.rule.name}/{i} broke: {type(error).__name__}")

    def added(self, total, share, out, to_grad):
        self.seen.append(f"{total} + {share} = {out}" + (" to .grad" if to_grad else ""))

    def edited(self, leaf):
        self.seen.append(f"edited {leaf.tolist()}")


def leaf(values, **keywords):
    return tg.Tensor(values, requires_grad=True, **keywords)


def shown(work):
    log = Log()
    with watching(log):
        work()
    return log.seen


def is_shown(log):
    """Whether an operation that is carried out now reaches the log."""
    before = len(log.seen)
    tg.exp(tg.Tensor(1.0))
    return len(log.seen) > before


# ── what is replaced, and when ────────────────────────────────────────────────────────────────────


def functions():
    return {f"{place.__name__}.{name}": vars(place)[name] for place, name, _, _ in watch.TWINS}


OWN = functions()


def test_while_no_block_is_open_the_functions_are_the_engines_own():
    def check():
        assert functions() == OWN
        assert rules.record is graph.record
        assert graph.pull is watch.pull
        assert graph.fit is watch.fit
        assert graph.plus is tensor.plus is sparse.plus
        assert {name: f.__module__ for name, f in OWN.items()} == {
            "tinygrad_w2v.rules.record": "tinygrad_w2v.graph",
            "tinygrad_w2v.graph.pull": "tinygrad_w2v.graph",
            "tinygrad_w2v.graph.fit": "tinygrad_w2v.graph",
            "tinygrad_w2v.graph.plus": "tinygrad_w2v.sparse",
            "tinygrad_w2v.tensor.plus": "tinygrad_w2v.sparse",
            "Tensor.edit": "tinygrad_w2v.tensor"}

    check()
    with watching(Watcher()):
        assert not set(functions().values()) & set(OWN.values())
    check()
    with pytest.raises(KeyError), watching(Watcher()), watching(Watcher()):
        raise KeyError
    check()


def test_no_other_module_has_caught_a_function_that_is_replaced():
    replaced = {id(own): name for _, name, own, _ in watch.TWINS if name != "edit"}
    places = {(place.__name__, name) for place, name, _, _ in watch.TWINS}
    homes = {("tinygrad_w2v.graph", "record"), ("tinygrad_w2v.sparse", "plus"),
             *[("tinygrad_w2v.watch", name) for name in ("record", "pull", "fit", "plus")]}
    import sys  # noqa: PLC0415 - to be asked when all is loaded
    caught = {(module, name) for module, loaded in list(sys.modules.items())
              if module.startswith("tinygrad_w2v") and ".testing" not in module
              for name, value in vars(loaded).items() if id(value) in replaced}
    assert caught == places - {("Tensor", "edit")} | homes


# ── what is shown ─────────────────────────────────────────────────────────────────────────────────


def test_operations_and_steps_are_shown_in_order():
    x = leaf([1.0, 2.0])
    assert shown(lambda: (x * x).sum().backward()) == [
        "multiply", "sum", "sum/0?", "sum/0", "multiply/0?", "multiply/0", "multiply/1?",
        "multiply/1", "[1. 2.] + [1. 2.] = [2. 4.]"]
    assert shown(lambda: x.sum().backward())[-1] == "[1. 1.] + [2. 4.] = [3. 5.] to .grad"
    assert x.grad.tolist() == [3, 5]


def test_a_share_is_shown_as_its_operand_gets_it():
    class Shapes(Watcher):
        def pulled(self, node, i, g, share):
            found.append((i, share.shape, share.dtype.name))

    found, x, y = [], leaf(np.ones((2, 3)), dtype=np.float32), leaf(np.ones(3))
    with watching(Shapes()):
        (x + y).sum().backward()
    assert found[1:] == [(0, (2, 3), "float32"), (1, (3,), "float64")]


def test_rows_that_are_looked_up_are_shown():
    V = leaf(np.ones((3, 2)))
    assert shown(lambda: (V[[0, 0]] + V[[1, 2]]).sum().backward())[-2].startswith("take/0")


def test_recorded_walks_are_shown_with_the_operations_in_them():
    seen = shown(lambda: tg.grad(tg.grad(lambda x: x * x * x))(2.0))
    first = seen.index("multiply/0?")
    assert seen[first : first + 3] == ["multiply/0?", "multiply", "multiply/0"]


def test_errors_are_shown_and_go_on():
    def mismatch():
        with pytest.raises(ValueError, match="add"):
            leaf([1.0]) + leaf([1.0, 2.0]) + np.ones(3)

    wrong = tg.rule(lambda x: x + 0.0, x=lambda g: np.ones(7))

    def misshapen():
        with pytest.raises(tg.GraphError):
            wrong(leaf([1.0, 2.0])).backward(np.ones(2))

    assert shown(mismatch)[-1] == "add failed: ValueError"
    assert shown(misshapen)[-1] == "<lambda>/0 broke: GraphError"


def test_changes_of_leaves_are_shown():
    w = leaf([1.0, 2.0])

    def change():
        with w.edit() as values:
            values *= 2

    assert shown(change) == ["edited [2.0, 4.0]"]
    optimizer = tg.optim.SGD([w], lr=0.5)
    w.sum().backward()
    assert shown(optimizer.step) == ["edited [1.5, 3.5]"]


def test_a_leaf_keeps_its_memory_when_it_is_edited_within_a_block():
    w = leaf([1.0, 2.0])
    before = w.data
    with watching(Watcher()), w.edit() as values:
        values *= 2
    assert np.shares_memory(before, w.data)
    with watching(Watcher()), w.edit() as window:
        kept = window[:]
    assert not np.shares_memory(kept, w.data)


def test_a_change_that_fails_is_not_shown():
    w = leaf([1.0])

    def fail():
        with pytest.raises(KeyError), w.edit():
            raise KeyError

    assert shown(fail) == []


def test_what_a_watcher_raises_comes_out_and_ends_nothing_else():
    class Refuses(Watcher):
        def computed(self, rule, operands, meta, out):
            raise PermissionError(rule.name)

    log = Log()
    with watching(log):
        with pytest.raises(PermissionError, match="exp"), watching(Refuses()):
            tg.exp(tg.Tensor(1.0))
        assert is_shown(log)
    assert not is_shown(log)


def test_what_a_watcher_computes_itself_is_not_shown():
    class Doubles(Log):
        def computed(self, rule, operands, meta, out):
            super().computed(rule, operands, meta, out)
            tg.exp(out)

    log = Doubles()
    with watching(log):
        tg.sin(tg.Tensor(1.0))
        tg.cos(tg.Tensor(1.0))
    assert log.seen == ["sin", "cos"]


def test_gradients_have_the_same_bits_when_they_are_watched():
    def gradient():
        rng = np.random.default_rng(0)
        model = tg.nn.MLP([3, 8, 2], rng=0, dtype=np.float32)
        x, V = rng.normal(size=(9, 3)).astype(np.float32), leaf(rng.normal(size=(5, 2)))
        y = model(x) * V[[0, 1, 1, 2, 0, 0, 3, 1, 2]] + V[[4] * 9]
        for _ in range(2):
            tg.nn.cross_entropy(y, [0, 1, 0, 1, 1, 0, 0, 1, 1]).backward()
        return b"".join(np.asarray(p.grad).tobytes() for p in [*model.parameters(), V])

    plain = gradient()
    with watching(Watcher()):
        assert gradient() == plain


def test_nothing_is_kept_of_what_was_shown():
    gc.collect()
    with watching(Log()):
        for order in tg.grad, lambda f: tg.grad(tg.grad(f)):
            order(lambda x: (x**3).sum())(2.0)
        gc.disable()
        try:
            nodes = sum(isinstance(o, graph.Node) for o in gc.get_objects())
            (leaf([1.0]) * 2).sum().backward()
            assert sum(isinstance(o, graph.Node) for o in gc.get_objects()) == nodes
        finally:
            gc.enable()


# ── several blocks ────────────────────────────────────────────────────────────────────────────────


def test_an_inner_watcher_does_not_hide_an_outer_one():
    outer, inner = Log(), Log()
    with watching(outer):
        tg.sin(tg.Tensor(1.0))
        with watching(inner):
            tg.cos(tg.Tensor(1.0))
        tg.tanh(tg.Tensor(1.0))
    assert (outer.seen, inner.seen) == (["sin", "cos", "tanh"], ["cos"])


def test_the_innermost_is_told_first():
    class Named(Watcher):
        def __init__(self, name):
            self.name = name

        def computed(self, rule, operands, meta, out):
            told.append(self.name)

    told = []
    with watching(Named("outer")), watching(Named("inner")):
        tg.sin(tg.Tensor(1.0))
    assert told == ["inner", "outer"]


def test_of_a_class_that_is_alone_only_the_innermost_is_told():
    class Alone(Log):
        alone = True

    outer, inner, other = Alone(), Alone(), Log()
    with watching(outer), watching(other):
        with watching(inner):
            tg.sin(tg.Tensor(1.0))
        tg.cos(tg.Tensor(1.0))
    assert (outer.seen, inner.seen, other.seen) == (["cos"], ["sin"], ["sin", "cos"])


def test_blocks_may_end_in_another_order_than_they_began():
    first, second = Log(), Log()
    one, two = watching(first), watching(second)
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    assert (is_shown(first), is_shown(second)) == (False, True)
    two.__exit__(None, None, None)
    assert (is_shown(first), is_shown(second)) == (False, False)
    assert rules.record is graph.record


def test_nothing_is_kept_of_a_block_that_has_ended():
    with watching(Watcher()):
        before = watch._looks.get()
        for _ in range(10):
            with watching(Watcher()):
                pass
        assert watch._looks.get() == before
    assert watch._looks.get() == ()


def test_one_watcher_in_two_blocks_is_told_twice():
    log = Log()
    with watching(log), watching(log):
        tg.sin(tg.Tensor(1.0))
    assert log.seen == ["sin", "sin"]


# ── threads, tasks, generators ────────────────────────────────────────────────────────────────────


def test_threads_do_not_see_one_another():
    logs, barrier = {"sin": Log(), "cos": Log()}, threading.Barrier(3)

    def work(name):
        with watching(logs[name]):
            barrier.wait(10)
            for _ in range(100):
                getattr(tg, name)(tg.Tensor(1.0))
            barrier.wait(10)

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(work, name) for name in logs]
        barrier.wait(10)  # both blocks are open; this thread has none
        x = leaf(1.0)
        tg.tan(x).backward()
        barrier.wait(10)
        for future in done:
            future.result()
    assert {name: log.seen for name, log in logs.items()} == {
        "sin": ["sin"] * 100, "cos": ["cos"] * 100}
    assert rules.record is graph.record


def test_many_threads_leave_the_functions_in_their_places():
    def work(_):
        log = Log()
        for _ in range(50):
            with watching(log):
                tg.sin(tg.Tensor(1.0))
        return log.seen

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [["sin"] * 50] * 8
    assert functions() == OWN


def test_tasks_do_not_see_one_another():
    async def work(name):
        log = Log()
        with watching(log):
            for _ in range(3):
                getattr(tg, name)(tg.Tensor(1.0))
                await asyncio.sleep(0)
        return log.seen

    async def both():
        return await asyncio.gather(work("sin"), work("cos"))

    assert asyncio.run(both()) == [["sin"] * 3, ["cos"] * 3]


def test_a_task_begun_within_a_block_is_watched_until_the_block_ends():
    log = Log()

    async def later(ended):
        tg.sin(tg.Tensor(1.0))
        await ended.wait()
        tg.cos(tg.Tensor(1.0))

    async def main():
        ended = asyncio.Event()
        with watching(log):
            task = asyncio.create_task(later(ended))
            await asyncio.sleep(0)
        ended.set()
        await task

    asyncio.run(main())
    assert log.seen == ["sin"]


@pytest.mark.parametrize("elsewhere", [
    lambda close: contextvars.Context().run(close),
    lambda close: ThreadPoolExecutor(1).submit(close).result()], ids=["context", "thread"])
@pytest.mark.parametrize("block", [watching, lambda log: tg.debug()], ids=["watching", "debug"])
def test_a_generator_that_is_closed_elsewhere_ends_its_block_everywhere(block, elsewhere):
    log = Log()

    def steps():
        with block(log):
            yield

    generator = steps()
    next(generator)
    elsewhere(generator.close)
    assert not is_shown(log)
    assert rules.record is graph.record
    assert not watch.opened()


def test_a_block_that_a_generator_holds_open_ends_with_it():
    log = Log()

    def steps():
        with watching(log):
            yield 1
            yield 2

    for _ in steps():
        assert is_shown(log)
    assert not is_shown(log)
