"""What the engine costs, in bytecode instructions of its own: a count that no clock disturbs.

A regression check. Python 3.11 to 3.13 count differently; each limit is the largest of their
counts, and a twentieth. A change that needs more says why, and moves the limit; one that needs less
moves it down. `python tests/test_cost.py` prints today's counts.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v import graph
from tinygrad_w2v.word2vec.objective import negative_loss

PACKAGE = str(Path(tg.__file__).parent)


def instructions(run):
    """Count the bytecode instructions that `run` carries out within the package."""
    return (monitored if sys.version_info >= (3, 12) else traced)(run)


def is_ours(code):
    return code.co_filename.startswith(PACKAGE)


def monitored(run):
    monitoring, count = sys.monitoring, 0
    tool, event = 5, monitoring.events.INSTRUCTION

    def see(code, _):
        nonlocal count
        if not is_ours(code):
            return monitoring.DISABLE
        count += 1
        return None

    monitoring.use_tool_id(tool, "instructions")
    try:
        monitoring.register_callback(tool, event, see)
        monitoring.set_events(tool, event)
        run()
        monitoring.set_events(tool, 0)
    finally:
        monitoring.free_tool_id(tool)
    return count


def traced(run):
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if not is_ours(frame.f_code):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


def product():
    x, y = tg.Tensor(np.ones((2, 8)), requires_grad=True), tg.Tensor(np.ones(8), requires_grad=True)
    return lambda: (x * y).sum().backward()


def perceptron():
    model = tg.nn.MLP([4, 8, 3], "relu", dtype=np.float32)
    optimizer = tg.optim.SGD(model.parameters(), 0.1)
    x, labels = tg.Tensor(np.ones((5, 4), np.float32)), np.arange(5) % 3

    def step():
        loss = tg.nn.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def skip_gram():
    V, U = (tg.Tensor(np.ones((9, 4)), requires_grad=True) for _ in range(2))
    ids = np.arange(6)
    return lambda: negative_loss(V, U, ids, ids, np.stack([ids, ids], axis=1)).backward()


LIMITS = {product: 2150, perceptron: 8950, skip_gram: 11350}


@pytest.mark.parametrize("case", LIMITS, ids=lambda case: case.__name__)
def test_a_step_takes_no_more_instructions_than_it_did(case):
    run = case()
    run()  # what is done but once
    assert 0 < instructions(run) <= LIMITS[case]


def test_the_count_is_the_same_each_time():
    run = perceptron()
    run()
    assert instructions(run) == instructions(run)


def test_the_cost_of_an_operation_does_not_grow_with_the_graph():
    def chain(n):
        x = tg.Tensor(1.0, requires_grad=True)

        def run():
            y = x
            for _ in range(n):
                y = y * 0.999
            y.backward()

        return run

    instructions(chain(100))  # what is done but once
    few, more, many = (instructions(chain(n)) for n in (100, 200, 1600))
    assert many - more == 14 * (more - few)


@pytest.mark.parametrize(("f", "rounds"), [
    (lambda x: tg.sqrt(x).sum(), 1),  # finite: every edge is walked once
    (lambda x: tg.where(x > 1, tg.log(x - 1), x).sum(), 2)])  # 0 / 0: once more, with care
def test_a_walk_goes_a_second_time_only_if_what_arrives_is_not_finite(f, rounds, monkeypatch):
    pulled, honest = [], graph.pull

    def pull(node, i, g, careful):
        pulled.append((node, i))
        return honest(node, i, g, careful)

    x = tg.Tensor([1.0, 3.0], requires_grad=True)
    with np.errstate(all="ignore"):
        loss = f(x)
    edges = sum(parent is not None for node in graph.lineage(loss._node) for parent in node.parents)
    monkeypatch.setattr(graph, "pull", pull)
    loss.backward()
    assert len(pulled) == rounds * edges
    assert np.isfinite(x.grad).all()


if __name__ == "__main__":
    for case in LIMITS:
        run = case()
        run()
        print(f"{case.__name__}: {instructions(run)} (limit {LIMITS[case]})")
