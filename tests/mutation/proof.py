"""What both commands do: plant mistakes, one at a time, and tell what became of them."""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter

from tests.mutation.mutants import KINDS, Mutant
from tests.mutation.trial import BUDGET, Coverage, Session, Trials, coverage, path_of


def options(words: str, arguments: list[str] | None) -> argparse.Namespace:
    """Read the options of a command."""
    parser = argparse.ArgumentParser(description=words.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--only", nargs="+", help="names of rules and functions")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn at random")
    parser.add_argument("--verbose", action="store_true", help="say of each what killed it")
    return parser.parse_args(arguments)


def drawn(mutants: dict[str, Mutant], wanted: argparse.Namespace) -> dict[str, Mutant]:
    """Those of the mutants that are wanted."""
    names = [name for name, m in mutants.items() if not wanted.only or m.owner in wanted.only]
    if wanted.sample and wanted.sample < len(names):
        names = random.Random(0).sample(sorted(names), wanted.sample)
    return {name: mutants[name] for name in names}


def in_part(wanted: argparse.Namespace) -> bool:
    """Tell whether some mutants only are wanted."""
    return bool(wanted.only or wanted.sample)


def surveyed(jobs: int, session: Session) -> Coverage:
    """Find out what runs through what, and say so."""
    began, known = time.monotonic(), coverage(jobs, session)
    print(f"{len(known.rows)} rows of operations and {len(known.tests)} tests pass without "
          f"mistakes; {time.monotonic() - began:.0f} s", flush=True)
    for name in known.failed:
        print(f"left out, for it fails: {name}", flush=True)
    return known


class Proof:
    """The trial of some mutants.

    `reasons`: why a survivor is no mistake, by its name; `excuses`: why it is a small one, which
    no test is for. It counts as a survivor all the same.
    """

    def __init__(self, mutants: dict[str, Mutant], reasons: dict[str, str],
                 excuses: dict[str, str]):
        self.mutants, self.reasons, self.excuses = mutants, reasons, excuses
        self.kinds, self.killed, self.equal = Counter[str](), Counter[str](), Counter[str]()
        self.seconds = 0.0  # of processor
        self.stages, self.survivors, self.stale = Counter[str](), list[str](), list[str]()

    def run(self, known: Coverage, session: Session, wanted: argparse.Namespace) -> None:
        """Plant each mutant; say of each survivor at once what it is.

        Those with a reason or an excuse are tried less long.
        """
        names, trials = list(self.mutants), Trials(known, session, wanted.jobs)
        budgets = [BUDGET / 4 if name in self.reasons | self.excuses else BUDGET for name in names]
        for number, fate, seconds in trials.run(list(self.mutants.values()), budgets):
            name, stage, why = names[number], fate.stage, fate.why
            self.count(name, stage, why)
            self.seconds += seconds
            if name in self.survivors:
                mutant = self.mutants[name]
                source = path_of(mutant.module).read_bytes()
                print(f"survives: {name}\n{mutant.diff(source)}", flush=True)
            if wanted.verbose:
                print(f"{seconds:6.2f} {stage or 'survives':<8} {name} | {why[:200]!r}", flush=True)
        self.stale += trials.controls()

    def count(self, name: str, stage: str, why: str) -> None:
        """Note what became of a mutant."""
        kind = self.mutants[name].kind
        self.kinds[kind] += 1
        self.stages[stage] += 1
        self.killed[kind] += bool(stage)
        self.equal[kind] += not stage and name in self.reasons
        if not stage and name not in self.reasons | self.excuses:
            self.survivors.append(name)
        if stage and name in self.reasons | self.excuses:
            self.stale.append(f"{name}: it is killed, by {why}")

    @property
    def share(self) -> float:
        """How many of the mistakes were killed."""
        mistakes = self.kinds.total() - self.equal.total()
        return self.killed.total() / mistakes if mistakes else 1.0

    def holds(self, enough: float, in_part: bool) -> bool:
        """Judge: none survives without a reason or an excuse, and none of these is out of date.

        And `enough` were killed, if these were all mutants. A share says nothing `in_part`: of 60
        mutants, a single one that is excused is more than 1 %.
        """
        return not self.survivors and not self.stale and (in_part or self.share >= enough)

    def report(self, began: float, in_part: bool = False) -> str:
        """The table, and what is wrong with the table of reasons."""
        lines = [f"{'mistake':<20}{'planted':>8}{'killed':>8}{'no mistake':>12}"]
        for kind in [k for k in KINDS if self.kinds[k]] + ["all"]:
            total = [c.total() if kind == "all" else c[kind]
                     for c in (self.kinds, self.killed, self.equal)]
            lines.append(f"{kind:<20}{total[0]:>8}{total[1]:>8}{total[2]:>12}")
        stages = ", ".join(f"{stage} {n}" for stage, n in sorted(self.stages.items()) if stage)
        lines += ["", f"killed by: {stages}"]
        lines += [f"out of date: {name}" for name in self.stale]
        lines += [f"no mistake: {name}\n    {self.reasons[name]}"
                  for name in self.mutants if name in self.reasons]
        lines += [f"excused: {name}\n    {self.excuses[name]}"
                  for name in self.mutants if name in self.excuses]
        mistakes = self.kinds.total() - self.equal.total()
        lines += ["", f"{self.killed.total()} of {mistakes} mistakes killed: {self.share:.2%}; "
                  f"{len(self.survivors)} survive without a reason; "
                  f"{time.monotonic() - began:.0f} s, {self.seconds:.0f} CPU seconds of trials",
                  *["(a part of the mutants: judged one by one, no share is asked for)"] * in_part,
                  ""]
        return "\n".join(lines)
