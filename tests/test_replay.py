"""A trace shows the very walk that backward() does, and where other orders go wrong."""

import inspect
import json
import re
import sys

import numpy as np
import pytest
from hypothesis import given

import tinygrad_w2v as tg
from tinygrad_w2v import rules
from tinygrad_w2v.draw import keeping
from tinygrad_w2v.replay import ORDERS
from tinygrad_w2v.testing import strategies as draw


def leaf(value=3.0, **settings):
    return tg.Tensor(value, requires_grad=True, **settings)


def bits(gradient):
    """All that there is to tell two gradients apart by."""
    if gradient is None:
        return None
    if isinstance(gradient, tg.RowGrad):
        return "rows", gradient.ids.tolist(), bits(gradient.rows), gradient.shape
    return type(gradient), gradient.dtype, gradient.shape, gradient.tobytes()


def doubled(n):
    """x, and x = x + x, n times."""
    x = y = leaf(1.0)
    for _ in range(n):
        y = y + y
    return x, y


# ── the walk ──────────────────────────────────────────────────────────────────────────────────────


def assert_replays_to_the_last_bit(loss, leaves, seed=None):
    walked = tg.trace(loss, seed)
    assert [x.grad for x in leaves] == [None] * len(leaves)
    with np.errstate(all="ignore"):
        loss.backward(seed)
    for totals in (walked.replay(), walked.cotangents):
        assert [bits(totals.get(x._node)) for x in leaves] == [bits(x.grad) for x in leaves]


@given(draw.programs())
def test_replaying_all_steps_of_any_program_gives_every_gradient_bit_for_bit(program):
    leaves = [leaf(x) for x in program.inputs]
    assert_replays_to_the_last_bit(program(*leaves), leaves)


@given(draw.programs())
def test_and_in_single_precision(program):
    leaves = [leaf(x, dtype=np.float32) for x in program.inputs]
    assert_replays_to_the_last_bit(program(*leaves), leaves)


def looked_up():
    table = leaf(np.arange(12.0).reshape(6, 2))
    return (tg.take(table, np.array([1, 1, 4])) * 0.1).sum(), [table]


def looked_up_twice():
    table = leaf(np.arange(12.0).reshape(6, 2), dtype=np.float32)
    first, second = tg.take(table, np.array([1, 1])), tg.take(table, np.array([[4], [1]]))
    return (first * second).sum(), [table]


def looked_up_and_used_whole():
    table = leaf(np.arange(12.0).reshape(6, 2))
    return tg.take(table, np.array([1, 1])).sum() * table.mean() / 3.0, [table]


def broadcast():
    x, y = leaf(np.arange(3.0)), leaf([[1.0], [0.1]])
    return tg.exp(x * y - x).mean(), [x, y]


def repeated():
    x = leaf(0.1)
    return tg.where(True, x * x, x) * x + tg.concatenate([x.ravel(), x.ravel()]).sum(), [x]


def infinite_and_dead():
    x = leaf([4.0, 0.0, -1.0])
    return tg.where(x.data > 0, tg.sqrt(x) * 0.1, x).sum(), [x]


def infinite_and_alive():
    x = leaf([4.0, 0.0])
    return (tg.sqrt(x) * np.array([0.1, 0.7])).sum() + x.sum() / 3.0, [x]


def overflowing():
    x = leaf([1e200, 3.0])
    return (x * x.sum() * 1e200 * np.array([0.0, 1e-300])).sum(), [x]


def mixed_types():
    x, y = leaf([0.1, 0.2], dtype=np.float32), leaf([0.3, 0.4])
    return (x * y + x).sum(), [x, y]


def of_no_elements():
    x = leaf(np.zeros((0, 3)))
    return tg.exp(x).sum(), [x]


def not_reached():
    x, y = leaf(1.0), leaf(2.0)
    return tg.exp(x) + y.detach(), [x, y]


def a_leaf_alone():
    x = leaf(2.0)
    return x, [x]


@pytest.mark.parametrize("example", [
    looked_up, looked_up_twice, looked_up_and_used_whole, broadcast, repeated, infinite_and_dead,
    infinite_and_alive, overflowing, mixed_types, of_no_elements, not_reached, a_leaf_alone],
    ids=lambda f: f.__name__)
def test_replaying_all_steps_gives_every_gradient_bit_for_bit(example):
    with np.errstate(all="ignore"):
        loss, leaves = example()
    assert_replays_to_the_last_bit(loss, leaves)


def test_a_seed_begins_the_walk_as_it_begins_that_of_backward():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    assert_replays_to_the_last_bit(tg.exp(x) * x, [x], seed=[[0.1, -1.0], [0.0, 7.0]])


@given(draw.programs(max_steps=10))
def test_each_step_follows_from_the_one_before(program):
    walked = tg.trace(program(*[leaf(x) for x in program.inputs]))
    before = walked.replay(0)
    for k, step in enumerate(walked.steps, 1):
        after = walked.replay(k)
        assert bits(before.get(step.parent)) == bits(step.before)
        assert bits(after[step.parent]) == bits(step.after)
        assert bits(np.asarray(before[step.node])) == bits(step.upstream)
        assert {node for node in after if bits(after[node]) != bits(before.get(node))} <= {
            step.parent}
        before = after


@given(draw.programs(max_steps=30))
def test_no_node_hands_on_before_all_its_consumers_have(program):
    steps = tg.trace(program(*[leaf(x) for x in program.inputs])).steps
    last = {step.parent: k for k, step in enumerate(steps)}
    assert all(last.get(step.node, -1) < k for k, step in enumerate(steps))


@given(draw.programs(max_steps=20))
def test_the_rule_of_a_step_stands_so_in_the_table(program):
    table = " ".join(inspect.getsource(rules).split())
    walked = tg.trace(program(*[leaf(x) for x in program.inputs]))
    for step in walked.steps:
        assert " ".join(walked.scene.rule(step.node, step.operand).split()) in table


def test_of_several_lambdas_in_a_line_the_right_one_is_quoted():
    x, y = leaf(2.0), leaf(5.0)
    walked = tg.trace(x * y)
    assert [walked.scene.rule(s.node, s.operand) for s in walked.steps] == [
        "lambda g, y: g * y", "lambda g, x: g * x"]


def test_tracing_leaves_gradients_and_settings_as_they_are():
    x = leaf([1.0, 2.0])
    loss = (x * x).sum()
    loss.backward()
    before, grad = bits(x.grad), x.grad
    for order in ORDERS:
        tg.trace(loss, order=order)
    assert x.grad is grad
    assert bits(x.grad) == before
    assert not tg.graph.watched


def test_a_derivative_that_takes_derivatives_is_one_step():
    slope = tg.rule(lambda x: x**3, x=lambda g, x: g * tg.grad(lambda t: t * t * t)(x).data)
    x = leaf(2.0)
    assert_replays_to_the_last_bit(slope(x) * 2.0, [x])
    assert len(tg.trace(slope(x) * 2.0)) == 2


def test_a_trace_can_be_taken_in_a_block_of_debug():
    x = leaf(2.0)
    with tg.debug():
        walked = tg.trace(tg.exp(x) * x)
    assert len(walked) == 3


def test_a_graph_that_is_out_of_date_is_an_error_as_of_backward():
    x = leaf(2.0)
    loss = x * x
    with x.edit() as array:
        array[...] = 5.0
    for order in ORDERS:
        with pytest.raises(tg.GraphError, match="was changed"):
            tg.trace(loss, order=order)


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: tg.trace(tg.Tensor(1.0)), tg.GraphError, "no graph"),
    (lambda: tg.trace(leaf([1.0, 2.0])), ValueError, "scalar"),
    (lambda: tg.trace(leaf([1.0, 2.0]), 1.0), ValueError, "seed has shape"),
    (lambda: tg.trace(leaf(), order="random"), ValueError, "topological, recursion, paths"),
    (lambda: tg.trace(leaf()).replay(1), IndexError, "steps 0 to 0"),
    (lambda: tg.trace(leaf() + 1.0).replay(-1), IndexError, "steps 0 to 1"),
    (lambda: tg.trace(leaf()).save("trace.png"), ValueError, r"\.txt, \.json or \.html")])
def test_what_cannot_be_traced_is_an_error_that_says_why(call, error, says):
    with pytest.raises(error, match=says):
        call()


# ── the wrong orders ──────────────────────────────────────────────────────────────────────────────


def test_recursion_that_hands_totals_on_again_is_wrong_and_says_where():
    a = leaf()
    b = a + a
    c = b + b
    walked = tg.trace(c, order="recursion")
    assert walked.gradients == {"a": 8.0}
    assert walked.calls == 7
    notes = [(k, step.note) for k, step in enumerate(walked.steps, 1) if step.note]
    assert notes == [(5, "call 2 of b: it hands on 2, of which it has handed on 2 before")]
    assert walked.verdict() == ["a: ▲ 8  ✗ wrong: 4 is right"]
    assert "7 call(s) for 3 node(s)" in walked.text()


def test_recursion_down_every_path_is_right_but_takes_a_call_for_each():
    a = leaf()
    b = a + a
    c = b + b
    walked = tg.trace(c, order="paths")
    assert walked.gradients == {"a": 4.0}
    assert walked.calls == 7
    assert walked.verdict() == ["a: ▲ 4, and that is right"]
    assert [step.note for step in walked.steps if step.note] == [
        "call 2 of b: all below it is walked again"]


@pytest.mark.parametrize(("order", "gradient", "calls"), [
    ("topological", 1024.0, 11), ("paths", 1024.0, 2047), ("recursion", 2345233639424.0, 2047)])
def test_x_plus_x_ten_times(order, gradient, calls):
    x, y = doubled(10)
    walked = tg.trace(y, order=order)
    assert walked.cotangents[x._node] == gradient
    assert walked.calls == calls


@pytest.mark.parametrize("order", ["recursion", "paths"])
def test_a_recursion_cannot_hang(order):
    _, y = doubled(200)
    with pytest.raises(tg.GraphError, match=r"10,000 calls .* 201 nodes .* calls= allows more"):
        tg.trace(y, order=order)


def test_it_is_bounded_exactly():
    _, y = doubled(3)
    assert tg.trace(y, order="paths", calls=15).calls == 15
    with pytest.raises(tg.GraphError, match="14 calls"):
        tg.trace(y, order="paths", calls=14)


@pytest.mark.parametrize("order", ["recursion", "paths"])
def test_where_every_value_is_used_once_all_orders_agree(order):
    x = leaf([1.0, 2.0])
    walked = tg.trace((tg.exp(x) * 2.0).sum(), order=order)
    assert all("that is right" in line for line in walked.verdict())
    assert not any(step.note for step in walked.steps)


@given(draw.programs(max_steps=8))
def test_all_paths_together_are_the_chain_rule(program):
    loss = program(*[leaf(x) for x in program.inputs])
    try:
        walked = tg.trace(loss, order="paths", calls=2_000)
    except tg.GraphError:
        return  # too many paths: that is what the limit is for
    assert not any("✗" in line for line in walked.verdict())


@pytest.mark.parametrize("scale", [1e-12, 1e-200, 1.0, 1e200])
def test_a_wrong_gradient_is_called_wrong_however_small(scale):
    a = leaf([3.0, -3e-12])
    b = a * a
    c = ((b + b) * scale).sum()
    (line,) = tg.trace(c, order="recursion").verdict()
    assert "✗ wrong" in line
    (line,) = tg.trace(c, order="paths").verdict()
    assert line.endswith(", and that is right")


def test_a_wrong_element_among_larger_ones_is_called_wrong():
    a = leaf([3.0, 3.0])
    b = a[1:] * 1e-8
    loss = a[0] + (b + b).sum()  # of a[0] the recursion is right
    assert "✗ wrong" in tg.trace(loss, order="recursion").verdict()[0]
    assert tg.trace(loss, order="paths").verdict()[0].endswith("right")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shares_that_cancel_but_for_rounding_are_right(dtype):
    a = leaf(dtype(1.0))
    b = a * dtype(1.0)
    loss = b * dtype(0.1) + b * dtype(0.2) - b * dtype(0.3)
    (line,) = tg.trace(loss, order="paths").verdict()
    assert line.endswith(", and that is right")


def test_an_order_in_the_place_of_the_seed_is_told():
    with pytest.raises(TypeError, match="order='recursion'"):
        tg.trace(leaf() * 2, "recursion")


def test_a_recursion_deeper_than_pythons_limit_comes_to_its_end():
    y = leaf(1.0)
    for _ in range(2 * sys.getrecursionlimit()):
        y = y * 1.0
    walked = tg.trace(y, order="recursion")
    assert list(walked.gradients.values()) == [1.0]


# ── as text and as data ───────────────────────────────────────────────────────────────────────────


def test_a_plus_a_in_words():
    a = leaf()
    b = a + a
    said = str(tg.trace(b))
    assert "Step 1 of 2: b = add(a, a) has 1; operand 0 (x), a, gets 1. a: no gradient yet → 1." \
        in said
    assert "Step 2 of 2: b = add(a, a) has 1; operand 1 (y), a, gets 1. a: 1 → 2." in said
    assert said.count("    lambda g: g") == 2
    assert said.endswith("a: ▲ 2")


def test_a_leaf_that_only_zeros_come_to_has_a_gradient_of_0():
    a = leaf()
    assert tg.trace(a * 0.0).verdict() == ["a: ● 0"]


def test_json_says_it_all_and_can_be_read():
    table = leaf(np.ones((3, 1)), dtype=np.float32)
    loss = tg.take(table, np.array([1, 1])).sum()
    read = json.loads(tg.trace(loss).json())
    assert [step["to"] for step in read["steps"]] == ["v1", "table"]
    assert read["steps"][1]["after"] == {
        "shape": [3, 1], "dtype": "float32", "rows": [1, 1], "values": [[1.0], [1.0]]}
    assert read["steps"][0]["before"] is None
    assert read["gradients"]["table"] == read["steps"][1]["after"]
    assert read["left_out"] == 0
    assert {node["name"] for node in read["nodes"]} == {"table", "v1", "loss"}


def test_json_says_nan_and_infinity_in_words():
    x = leaf([0.0, 4.0])
    step = json.loads(tg.trace(tg.sqrt(x).sum()).json())["steps"][-1]
    assert step["share"]["values"] == ["inf", 0.25]


def test_json_of_a_large_array_holds_its_range():
    x = leaf(np.arange(2000.0))
    read = json.loads(tg.trace((x * x).sum()).json())
    assert read["gradients"]["x"] == {"shape": [2000], "dtype": "float64", "in_short": "0 … 3998"}


def test_a_hundred_thousand_operations_are_traced_and_what_is_left_out_is_said():
    y = leaf(1.0)
    for _ in range(100_000):
        y = y * 1.0
    walked = tg.trace(y)
    assert len(walked) == 100_000
    assert "… 99,900 steps more" in walked.text()
    assert len(walked.text()) < 20_000
    read = walked.to_dict()
    assert (len(read["steps"]), read["left_out"]) == (10_000, 90_000)
    assert len(read["nodes"]) == 10_001
    assert read["nodes_in_all"] == 100_001


def test_traces_are_saved_in_full(tmp_path):
    y = leaf(1.0)
    for _ in range(150):
        y = y * 1.0
    walked = tg.trace(y)
    for name in ("t.txt", "t.json", "t.html"):
        walked.save(tmp_path / name)
    assert (tmp_path / "t.txt").read_text(encoding="utf-8").count("Step ") == 150
    assert len(json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["steps"]) == 150
    assert (tmp_path / "t.html").read_text(encoding="utf-8") == walked.html()


def test_the_graph_of_a_trace_shows_what_operations_received():
    a = leaf()
    b = a + a
    walked = tg.trace(tg.exp(b))
    assert re.search(r"b = add\(a, a\).*▲ 403.429$", str(walked.graph()), re.MULTILINE)
    assert str(walked.graph(1)).count("○ no gradient yet") == 1
    assert str(walked.graph(0)).count("○ no gradient yet") == 2


def test_what_was_kept_is_shown_of_operations():
    with keeping() as kept:
        a = leaf()
        loss = tg.exp(a + 1.0)
    assert "v1 = add(a, 1)" in tg.trace(loss, kept=kept).text()


def test_a_notebook_shows_the_page_in_a_frame():
    a = leaf()
    shown = tg.trace(a + a)._repr_html_()
    assert shown.startswith("<iframe")
    assert shown.count('"') == 10  # nothing of the page ends an attribute
