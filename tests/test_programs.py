"""Random programs: reverse mode equals the complex step, at both orders; and the check can fail.

`tests/random_programs.py` does the same on a hundred thousand.
"""

import functools
import pathlib
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings

import tinygrad_w2v as tg
from tinygrad_w2v import graph, sparse
from tinygrad_w2v.testing import programs, strategies as draw
from tinygrad_w2v.testing.programs import OPERATIONS, Program, Step, draw_program

GRADIENT, HESSIAN = 1e-12, 1e-11


@functools.cache
def numbered(k):
    return draw_program(np.random.default_rng(k))


@functools.cache
def truth(k):
    return programs.complex_step(numbered(k))


def some(n):
    return [numbered(k) for k in range(n)]


def at_least(n):
    return settings(max_examples=max(n, settings.default.max_examples))


# ── the claim ─────────────────────────────────────────────────────────────────────────────────────


@at_least(200)
@given(draw.programs())
def test_reverse_mode_equals_the_complex_step(program):
    assert programs.gradient_deviation(program) <= GRADIENT


@at_least(100)
@given(draw.programs())
def test_hessian_vector_products_equal_the_complex_step_and_are_symmetric(program):
    assert programs.hessian_deviation(program, np.random.default_rng(0)) <= HESSIAN


def test_hessian_vector_products_equal_differences_that_the_engine_has_no_part_in():
    for program in some(10):
        assert programs.differences_deviation(program, np.random.default_rng(0)) <= HESSIAN


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "log_sigmoid", "tanh", "sinh", "arctan"])
def test_the_oracle_of_second_order_holds_at_exactly_0(name):
    program = Program((np.array([0.0, 1.0]),), (Step(name, (0,)), Step("*", (1, 1))),
                      ((2, np.array([1.25, -0.5])),))
    assert programs.hessian_deviation(program, np.random.default_rng(0)) <= HESSIAN
    assert programs.differences_deviation(program, np.random.default_rng(0)) <= HESSIAN


def test_a_program_computes_the_same_on_arrays_complex_arrays_and_tensors():
    for program in some(50):
        on_arrays = program.values(*program.inputs)
        on_tensors = program.values(*[tg.Tensor(x, requires_grad=True) for x in program.inputs])
        on_complex = program.values(*[x.astype(complex) for x in program.inputs])
        for a, t, c in zip(on_arrays, on_tensors, on_complex, strict=True):
            t = t.data if isinstance(t, tg.Tensor) else t
            assert np.shape(a) == np.shape(t) == np.shape(c)
            assert np.max(np.abs(a - t)) <= 1e-13 * max(1, np.max(np.abs(a)))
            assert np.max(np.abs(a - c)) <= 1e-13 * max(1, np.max(np.abs(a)))


def test_the_printed_code_gives_the_same_gradient():
    for program in some(20):
        found = []
        exec(str(program), {"print": lambda *grads, found=found: found.extend(grads)})
        mine = np.concatenate([np.asarray(g).ravel() for g in found])
        assert np.array_equal(mine, programs.backward(program))


# Found by random programs.
def test_a_number_of_numpys_may_be_an_operand_of_what_is_differentiated_twice():
    x, v = np.array([1.0, 2.0]), np.array([1.0, 0.0])
    assert tg.hvp(lambda x: (x * x * np.float64(2.0)).sum(), x, v).tolist() == [4.0, 0.0]
    assert tg.hvp(lambda x: (x ** np.float64(3.0)).sum(), x, v).tolist() == [6.0, 0.0]


# ── what is drawn ─────────────────────────────────────────────────────────────────────────────────


def test_every_operation_is_drawn_often():
    seen = Counter(name for program in some(200) for name in {s.op for s in program.steps})
    assert set(seen) == set(OPERATIONS)
    assert min(seen.values()) >= 10


def test_every_operation_of_the_package_is_in_the_table():
    spelled = {"[]": "index", "+": "add"}  # the operators have functions beside them
    drawn = {spelled.get(name, name) for name in OPERATIONS}
    no_ops = {"grad", "value_and_grad", "vjp", "jvp", "hvp", "jacobian", "hessian", "no_grad",
              "rule", "debug", "diagnose", "trace",
              "astype"}  # programs are float64 throughout
    public = {name for name in tg.__all__ if name.islower() and callable(getattr(tg, name))}
    assert public - no_ops <= drawn


def test_programs_have_islands_fan_out_and_one_value_as_both_operands():
    steps = [step for program in some(100) for step in program.steps]
    assert any(not step.recorded for step in steps)
    assert any(step.op == "detach" for step in steps)
    assert any(len(s.operands) == 2 and len(set(s.operands)) == 1 for s in steps)
    uses = [Counter(k for s in program.steps for k in s.operands) for program in some(20)]
    assert all(max(use.values()) >= 2 for use in uses)


def test_a_gradient_passes_through_most_steps():
    passed, count = 0, 0
    for program in some(50):
        known = program.values(*[tg.Tensor(x, requires_grad=True) for x in program.inputs])
        tensors = [v for v in known[len(program.inputs):] if isinstance(v, tg.Tensor)]
        passed += sum(v.requires_grad for v in tensors)
        count += len(tensors)
    assert passed > 0.8 * count


def test_a_program_of_n_steps_begins_as_one_of_more_does():
    short, long = (draw_program(np.random.default_rng(3), steps=n) for n in (10, 30))
    body = [s for s in short.steps if s.op != "square"]
    assert str(body[:8]) == str([s for s in long.steps if s.op != "square"][:8])


def test_constants_in_place_of_steps_change_no_value():
    for program in some(20):
        simpler = program.with_constants(range(0, len(program.steps), 3))
        assert simpler(*program.inputs) == pytest.approx(program(*program.inputs), rel=1e-13)
        assert programs.gradient_deviation(simpler) <= GRADIENT


# ── the check can fail ────────────────────────────────────────────────────────────────────────────

def rule_names():
    """Every primitive rule that the programs come to, by name."""
    seen = set()
    for program in some(150):
        loss = program(*[tg.Tensor(x, requires_grad=True) for x in program.inputs])
        seen |= {node.rule.name for node in graph.lineage(loss._node) if node.rule}
    return sorted(seen)


def noticed(n=150):
    """Whether one of n programs has a wrong gradient, or none at all."""
    for k in range(n):
        try:
            found = programs.backward(numbered(k))
        except Exception:
            return True
        if not programs.deviation(found, truth(k)) <= GRADIENT:
            return True
    return False


def test_nothing_is_noticed_where_nothing_is_wrong():
    assert not noticed()


@pytest.mark.parametrize("name", rule_names())
def test_a_slope_that_is_off_by_a_billionth_is_noticed_in(name, monkeypatch):
    honest = graph.pull

    def pull(node, i, g, careful):
        share = honest(node, i, g, careful)
        return share * (1 + 1e-9) if node.rule.name == name else share

    monkeypatch.setattr(graph, "pull", pull)
    assert noticed()


def last_alone(total, share):
    return share


def in_another_order(root, since=0, honest=graph.lineage):
    return [root, *honest(root, since)[:0:-1]]


def not_summed(share, shape):
    return share.reshape(-1)[: int(np.prod(shape))].reshape(shape)


def duplicates_lost(table, ids, rows):
    table[ids] = rows


@contextmanager
def always_recording(on):
    yield


PLANTED = {
    "the last consumer's share alone arrives": ((graph, "plus"), last_alone),
    "the walk goes in another order": ((graph, "lineage"), in_another_order),
    "shares are not summed over what was broadcast": ((graph, "unbroadcast"), not_summed),
    "rows that are looked up twice count once": ((sparse, "add_rows"), duplicates_lost),
    "no_grad records": ((programs.program, "recording"), always_recording),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_defect_is_noticed(what, monkeypatch):
    place, wrong = PLANTED[what]
    monkeypatch.setattr(*place, wrong)
    assert noticed()


def test_a_gradient_that_is_no_number_is_noticed(monkeypatch):
    monkeypatch.setattr(graph, "pull", lambda node, i, *_: np.full(node.parents[i].shape, np.nan))
    assert programs.gradient_deviation(some(1)[0]) == np.inf


def test_a_failing_program_is_made_short(monkeypatch):
    honest = graph.pull

    def pull(node, i, g, careful):
        return honest(node, i, g, careful) * (2 if node.rule.name == "tanh" else 1)

    monkeypatch.setattr(graph, "pull", pull)
    fails = lambda p: not programs.gradient_deviation(p) <= GRADIENT
    program = next(program for program in some(50) if fails(program))
    short = programs.smallest(program, fails)
    assert Counter(step.op for step in short.steps)["tanh"] == 1
    kept = [step.op for step in short.steps if step.op not in ("constant", "square", "tanh")]
    assert len(kept) <= 2


def test_the_command_prints_a_summary_and_exits_0():
    run = subprocess.run([sys.executable, "-m", "tests.random_programs", "--graphs", "30", "--hvps",
                          "10", "--jobs", "1"], capture_output=True, text=True, check=True,
                         cwd=pathlib.Path(__file__).parents[1])
    assert "0 mismatches" in run.stdout
    assert "30 graphs" in run.stdout


def test_a_program_written_by_hand_runs():
    x = np.array([1.0, 2.0])
    program = Program((x,), (Step("*", (0, 0)), Step("detach", (1,)), Step("*", (1, 2))),
                      ((3, np.array([1.0, 3.0])),))
    assert np.allclose(programs.backward(program), [2, 48])
    assert np.allclose(programs.complex_step(program), [2, 48])
