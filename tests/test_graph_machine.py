"""The package used in any order agrees with a naive twin; and the machine can fail."""

import contextvars
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import tinygrad_w2v as tg
from tinygrad_w2v import functional, graph, sparse, tensor
from tinygrad_w2v.testing.strategies import BINARY, MOVES, GraphMachine, LeafTwin, Shadow, shadow_of


class TestGraphMachine(GraphMachine.TestCase):
    settings = settings(max_examples=max(100, settings.default.max_examples),
                        stateful_step_count=40)


# ── the machine can fail ──────────────────────────────────────────────────────────────────────────

LOOK = settings(max_examples=4000, stateful_step_count=40, derandomize=True, database=None,
                phases=[Phase.generate], report_multiple_bugs=False, deadline=None,
                suppress_health_check=list(HealthCheck))


def assigned(whole, known):
    return whole


def in_place_always(total, share):
    if isinstance(total, np.ndarray) and total.base is None:
        total.flags.writeable = True
        return np.add(total, share, out=total)
    return total + share


def without_versions(node, i, g, careful=False, honest=graph.pull):
    kept, node.versions = node.versions, ()
    try:
        return honest(node, i, g, careful)
    finally:
        node.versions = kept


@contextmanager
def never_reset(on):
    graph._recording.set(on)
    yield


@contextmanager
def not_reset_by_an_error(on):
    graph._recording.set(on)
    yield
    graph._recording.set(True)


@contextmanager
def never_off(on):
    yield


def oldest_first(root, since=0, honest=graph.lineage):
    return [root, *honest(root, since)[:0:-1]]


def by_breadth(root, since=0):
    order, seen = [root], {root}
    for node in order:
        fresh = [p for p in node.parents if p and p.serial >= since and p not in seen]
        order += dict.fromkeys(fresh)
        seen.update(fresh)
    return order


def sharing(self):
    return self._of(self._data, None)


@contextmanager
def unnoticed(self):
    self._data.flags.writeable = True
    yield self._data
    self._data.flags.writeable = False


def keeping_the_type(share, node, i, g, honest=graph.fit):
    fitted = honest(share, node, i, g)
    return fitted.astype(float)


def first_of(share, shape):
    return share.reshape(-1)[: int(np.prod(shape))].reshape(shape)


def last_row(table, ids, rows):
    table[ids] = rows


def not_forgotten(self):
    if self.grad is not None:
        self.grad = np.asarray(self.grad) * 0


def remembered(root, seed, targets=(), honest=graph.walk, memory={}):  # noqa: B006
    found = honest(root, seed, targets)
    for node, share in found.items():  # what came to a leaf from this root before, comes again
        before = memory.get((root, node))
        memory[root, node] = found[node] = share if before is None else share + before
    return found


def without_owner(rule, operands, meta, honest=graph.record):
    out = honest(rule, operands, meta)
    if getattr(out, "_node", None) and not isinstance(out._node, graph.Leaf):
        out._node.owner = None
    return out


def keeping_arrays(rule, operands, meta, honest=graph.record):
    out = honest(rule, operands, meta)
    node = getattr(out, "_node", None)
    if node and rule.name == "multiply" and isinstance(operands[1], np.ndarray):
        node.saved = (node.saved[0], operands[1], *node.saved[2:])
    return out


def half_done(root, seed, targets=(), honest=graph.walk):
    try:
        return honest(root, seed, targets)
    except graph.GraphError:
        for node in graph.lineage(root):
            if isinstance(node, graph.Leaf):
                node.grad = np.ones(node.shape, node.dtype)
        raise


DEFECTS = {
    "a gradient is assigned, not added": ((tensor, "plus"), assigned),
    "shares of one cotangent are added to in place": ((graph, "plus"), in_place_always),
    "one consumer's share replaces the others": ((graph, "plus"), lambda total, share: share),
    "versions are not compared": ((graph, "pull"), without_versions),
    "no_grad does not end": ((functional, "recording"), never_reset),
    "no_grad does not end with an error": ((functional, "recording"), not_reset_by_an_error),
    "no_grad records": ((functional, "recording"), never_off),
    "the walk goes from old to young": ((graph, "lineage"), oldest_first),
    "the walk goes by breadth": ((graph, "lineage"), by_breadth),
    "detach shares a leaf's memory": ((tg.Tensor, "detach"), sharing),
    "edit does not count": ((tg.Tensor, "edit"), unnoticed),
    "a float32 leaf has a float64 gradient": ((graph, "fit"), keeping_the_type),
    "what was broadcast is not summed": ((graph, "unbroadcast"), first_of),
    "rows that are looked up twice count once": ((sparse, "add_rows"), last_row),
    "zero_grad gives zeros": ((tg.Tensor, "zero_grad"), not_forgotten),
    "a second walk adds the first once more": ((tensor, "walk"), remembered),
    "a view of a leaf is taken for a result": (("tinygrad_w2v.rules", "record"), without_owner),
    "a caller's array is saved uncopied": (("tinygrad_w2v.rules", "record"), keeping_arrays),
    "a walk that fails leaves gradients behind": ((tensor, "walk"), half_done),
}


class Fresh(GraphMachine):
    """Starts with recording on, whatever a defect did to it in the run before."""

    def __init__(self):
        graph._recording.set(True)
        super().__init__()


@pytest.mark.parametrize("what", DEFECTS)
def test_the_machine_finds_that(what, monkeypatch):
    place, wrong = DEFECTS[what]
    monkeypatch.setattr(*place if not isinstance(place[0], str) else (".".join(place),), wrong)
    broken = AssertionError, tg.GraphError, KeyError, AttributeError  # or the walk itself breaks
    with pytest.raises(broken):
        contextvars.copy_context().run(run_state_machine_as_test, Fresh, settings=LOOK)


def test_the_machine_finds_nothing_where_nothing_is_wrong():
    run_state_machine_as_test(GraphMachine, settings=settings(LOOK, max_examples=50))


# ── the twin is right by itself ───────────────────────────────────────────────────────────────────


def leaf(*values):
    twin = LeafTwin(np.array(values))
    return twin, Shadow(twin.value, {twin: np.eye(len(values))}, leaf=twin)


def test_the_twins_slopes_are_those_of_the_notes():
    a, x = leaf(2.0, -3.0)
    b, y = leaf(5.0, 7.0)
    product = shadow_of(MOVES["*"], [x, y], recorded=True)
    assert product.slopes[a].tolist() == [[5.0, 0.0], [0.0, 7.0]]
    assert product.slopes[b].tolist() == [[2.0, 0.0], [0.0, -3.0]]
    square = shadow_of(MOVES["square"], [product], recorded=True)
    assert square.slopes[a].tolist() == [[2 * 10 * 5.0, 0.0], [0.0, 2 * -21 * 7.0]]
    dot = shadow_of(MOVES["@"], [x, y], recorded=True)
    assert dot.slopes[b].tolist() == [2.0, -3.0]


def test_the_twin_knows_which_values_a_walk_reads():
    a, x = leaf(2.0, -3.0)
    b, y = leaf(5.0, 7.0)
    assert shadow_of(MOVES["+"], [x, y], recorded=True).reads == frozenset()
    assert shadow_of(MOVES["*"], [x, y], recorded=True).reads == {(a, 0), (b, 0)}
    assert shadow_of(MOVES["*"], [x, y], recorded=False).reads == frozenset()
    view = shadow_of(MOVES["reversed"], [x], recorded=True)
    assert view.leaf is a
    assert shadow_of(MOVES["square"], [view], recorded=True).reads == {(a, 0)}


def test_every_operation_of_the_machine_agrees_with_its_twin_once():
    for name, move in MOVES.items():
        _, x = leaf(2.0, -3.0)
        n = 1 + (name in BINARY)
        if name == "sum over rows":
            continue  # of a matrix
        tensors = [tg.Tensor(x.value, requires_grad=True) for _ in range(n)]
        out = move.tensor(*tensors)
        shadow = shadow_of(move, [x] * n, recorded=True)
        assert np.array_equal(out.data, shadow.value)
        out.backward(np.ones(out.shape))
        (slopes,) = shadow.slopes.values()
        assert np.array_equal(sum(np.asarray(t.grad) for t in tensors),
                              slopes.reshape(2, -1).sum(axis=1))


# Found by the machine.
@pytest.mark.parametrize("name", ["sum", "max", "min", "norm", "logsumexp"])
def test_a_reduction_of_a_number_over_axis_0_is_refused_or_has_a_gradient(name):
    x = tg.Tensor(3.0, requires_grad=True)
    try:
        out = getattr(tg, name)(x, axis=0)  # NumPy lets some of these pass
    except ValueError:
        return
    out.backward()
    assert x.grad == 1
