"""The proof by mutation is tested too: mistakes are made, put in place, killed, and counted."""

import numpy as np
import pytest

import tinygrad_w2v as tg
from tests.mutation.equivalent import EQUIVALENT, EXCUSED
from tests.mutation.mutants import KINDS, Mutant, mutants, named
from tests.mutation.proof import Proof, in_part, options
from tests.mutation.rules import ENOUGH, every_mutant, main
from tests.mutation.trial import Coverage, Fate, Session, exchange, in_children, judge, path_of

SOURCE = path_of("rules").read_bytes()
RULES = named("rules", SOURCE)
ROWS = ("maximum", "multiply", "sum", "transpose", "softmax", "pad")


def on_trial(chosen, row=None, patience=60):
    """What becomes of each of these mutants, if one row is checked: that of its own rule."""
    tasks = []
    for mutant in chosen:
        coverage = Coverage(rows={row or mutant.owner: (1.0, {f"rules.{mutant.owner}"})})
        tasks.append((judge, mutant, coverage.plan(mutant), Session(lambda session: None)))
    found = {number: result for number, result, _ in in_children(tasks, 2, patience)}
    return [found[k] for k in range(len(tasks))]


def one_of_each_kind(owner):
    first = {m.kind: m for m in RULES.values() if m.owner == owner and "[::-1]" not in str(m)}
    return list(first.values())


@pytest.mark.parametrize("owner", ROWS)
def test_a_mistake_of_any_kind_is_made_and_killed(owner):
    chosen = [m for m in one_of_each_kind(owner) if m.kind not in ("elementwise", "constant")]
    assert len(chosen) > 3
    for mutant, (stage, why, *_) in zip(chosen, on_trial(chosen), strict=True):
        assert stage in ("claims", "import"), f"{mutant.diff(SOURCE)} survives"
        assert why


def test_what_is_no_mistake_survives():
    at = SOURCE.index(b"g * y", SOURCE.index(b"multiply = "))
    same = Mutant("rules", "operator", "multiply", ((at, at + 5, "y * g"),))
    assert on_trial([same]) == [Fate()]


def test_a_mistake_in_what_runs_while_loading_is_killed_and_the_parent_keeps_its_rules():
    at = SOURCE.index(b"[*self.operands, \"out\"]")
    nothing_kept = Mutant("rules", "argument", "Rule.__init__", ((at, at + 23, "[]"),))
    [(stage, *_)] = on_trial([nothing_kept], "multiply")
    assert stage in ("import", "claims")
    assert tg.grad(tg.multiply)(2.0, 3.0).item() == 3


def test_a_mutant_that_never_ends_is_killed():
    line = b"shape = like if isinstance(like, tuple) else like.shape"
    at = SOURCE.index(line, SOURCE.index(b"def spread"))
    endless = Mutant("rules", "branch", "spread", ((at, at + len(line), "while True: pass"),))
    assert on_trial([endless], "sum", patience=3) == [Fate("time", "it hangs")]


def test_every_kind_of_mistake_is_made_in_the_rules_and_no_text_twice():
    assert {m.kind for m in RULES.values()} == set(KINDS)
    texts = [m.text(SOURCE) for m in RULES.values()]
    assert len(set(texts)) == len(texts)
    assert SOURCE not in texts


@pytest.mark.parametrize(("text", "expected"), [
    (b"f = rule(np.exp, x=lambda g, out: g * out)", {
        "operator": 1, "operand dropped": 1, "cotangent": 3, "slope": 4, "variable": 1,
        "rules swapped": 1, "elementwise": 1}),
    (b"def f(x, n):\n    return x if x < n else -n", {
        "operator": 2, "sign": 1, "branch": 2, "arguments swapped": 1}),
    (b'def f(x):\n    """1 + 1"""\n    raise ValueError(f"{x + 1}" + "2")', {})])
def test_so_many_mistakes_can_be_made_in_it(text, expected):
    found = [m.kind for m in mutants("rules", text)]
    assert {kind: found.count(kind) for kind in found} == expected


def test_what_became_of_the_mutants_is_counted_and_judged():
    first, second, third, fourth = list(RULES)[:4]
    proof = Proof(RULES, {second: "it is the same", third: "it should be"}, {})
    for name, stage in (first, "tests"), (second, ""), (third, "claims"), (fourth, ""):
        proof.count(name, stage, "why")
    assert (proof.survivors, proof.share) == ([fourth], 2 / 3)
    assert proof.stale == [f"{third}: it is killed, by why"]
    assert "all                        4       2           1" in proof.report(0.0)


def counted(stages, reasons=(), excuses=()):
    """A proof of so many mutants, of which these became so; by their numbers, some have reasons."""
    names = list(RULES)
    proof = Proof(RULES, {names[k]: "why" for k in reasons}, {names[k]: "why" for k in excuses})
    for name, stage in zip(names, stages, strict=False):
        proof.count(name, stage, "why")
    return proof


def test_the_share_is_asked_of_a_whole_run_alone():
    """59 of 60, and the other one excused: too few of all, but nothing is wrong with a sample."""
    proof = counted(["", *["claims"] * 59], excuses=[0])
    assert proof.share < ENOUGH
    assert (proof.holds(ENOUGH, in_part=False), proof.holds(ENOUGH, in_part=True)) == (False, True)
    assert "no share is asked for" in proof.report(0.0, in_part=True)
    assert "no share is asked for" not in proof.report(0.0)
    assert counted(["", *["claims"] * 99], excuses=[0]).holds(ENOUGH, in_part=False)


@pytest.mark.parametrize("proof", [
    counted(["", *["claims"] * 999]),                  # survives, and nobody knows why
    counted(["claims"] * 1000, reasons=[0]),           # is said to be no mistake, and killed
    counted(["claims"] * 1000, excuses=[0])], ids=["survivor", "reason", "excuse"])
def test_each_mutant_counts_in_a_sample_as_in_a_whole_run(proof):
    assert proof.share > ENOUGH
    assert not proof.holds(ENOUGH, in_part=True)
    assert not proof.holds(ENOUGH, in_part=False)


def test_a_sample_and_some_names_are_a_part():
    every, some, few = [options("", words.split()) for words in ("", "--only tanh", "--sample 60")]
    assert [in_part(wanted) for wanted in (every, some, few)] == [False, True, True]


def test_every_reason_is_of_a_mutant_that_there_is(capsys):
    assert set(EQUIVALENT | EXCUSED) <= set(every_mutant())
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--only" in capsys.readouterr().out


def test_a_name_of_no_rule_is_no_proof():
    with pytest.raises(SystemExit, match="no mutant is of tanhh"):
        main(["--only", "tanhh"])


def after_exchange(mutant, text):
    namespace = {"tg": tg, "np": np}
    return exchange(mutant, path_of(mutant.module).read_bytes()) and eval(text, namespace)


@pytest.mark.parametrize(("module", "owner", "old", "new", "text", "expected"), [
    ("tensor", "Tensor.size", "self._data.size", "-1", "tg.Tensor([1.0]).size", -1),
    ("tensor", "Tensor.data", "self._data.view()", "5", "tg.Tensor([1.0]).data", 5),
    ("tensor", "Tensor.add", "rules.subtract,", "rules.add,",
     "tg.Tensor(3.0).subtract(1.0).item()", 4),
    ("tensor", "Tensor.edit", "yield window", "yield 7",
     "tg.Tensor(1.0, requires_grad=True).edit().__enter__()", 7),
    ("graph", "recording", "_recording.set(on)", "_recording.set(True)",
     "tg.no_grad().__enter__() or (tg.Tensor(1.0, requires_grad=True) * 2).requires_grad", True),
    ("derived", "clip", "low is None", "low is not None", "tg.clip(np.ones(1), 3, 4).item()", 1)])
def test_a_mutant_takes_the_place_of_properties_generators_and_names_of_a_class(
        module, owner, old, new, text, expected):
    source = path_of(module).read_bytes()
    at = source.index(old.encode(), source.index(f" {owner.rpartition('.')[2]}".encode()))
    mutant = Mutant(module, "operator", owner, ((at, at + len(old), new),))
    assert next(in_children([(after_exchange, mutant, text)], 1))[1] == expected


def test_a_statement_left_out_of_a_class_has_it_loaded_anew():
    source = path_of("tensor").read_bytes()
    [mutant] = [m for m in mutants("tensor", source)
                if m.kind == "statement" and m.owner == "Tensor.astype"]
    row = Coverage(rows={"take": (1.0, {"tensor.Tensor.astype"})})
    task = judge, mutant, row.plan(mutant), Session(lambda session: None)
    fate = next(in_children([task], 1))[1]
    assert fate.stage in ("import", "claims")
