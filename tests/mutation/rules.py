"""Mutation proof of the rules: every mistake that `mutants` can plant must be noticed by a test.

    python tests/mutation/rules.py [--jobs 2] [--only tanh …] [--module rules] [--sample 100]

For each mutant of `tinygrad_w2v/rules.py`, and of what adds gradients up in `graph.py` and
`sparse.py`, the claims on operations and the gradient tests are tried until one fails (`trial`).
A mutant that survives must stand in `equivalent.py`, with the reason why it is no mistake; a reason
for a mutant that is not there, or that is killed, is an error too. Exit status 1 if a survivor
has no reason, or less than 99 % of all others are killed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.mutation.equivalent import RULES
from tests.mutation.mutants import KINDS, Mutant, named
from tests.mutation.trial import Session, coverage, in_children, judge, path_of, with_tests

# Of other modules, what every derivative relies on.
SHARED = {"graph": ("pull", "fit", "unbroadcast", "is_finite"),
          "sparse": ("add_rows", "is_owned", "plus", "RowGrad.coalesce", "RowGrad.dense"),
          "stable": ()}  # all of it
ENOUGH = 0.99


def chosen(module: str, only: list[str] | None) -> dict[str, Mutant]:
    """The mutants to be tried, by name: those of a module, with `only` of the owners so called."""
    found = {f"{m}.{name}": mutant for m in ([module, *SHARED] if module == "rules" else [module])
             for name, mutant in named(m, path_of(m).read_bytes()).items()
             if m == module or not SHARED[m] or mutant.owner in SHARED[m]}
    return {name: mutant for name, mutant in found.items() if not only or mutant.owner in only}


def table(kinds: Counter[str], killed: Counter[str], equal: Counter[str]) -> str:
    """How many of each kind were planted, killed, and are no mistakes."""
    rows = [f"{'mistake':<20}{'planted':>8}{'killed':>8}{'no mistake':>12}"]
    for kind in [k for k in KINDS if kinds[k]] + ["all"]:
        total = [c.total() if kind == "all" else c[kind] for c in (kinds, killed, equal)]
        rows.append(f"{kind:<20}{total[0]:>8}{total[1]:>8}{total[2]:>12}")
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--only", nargs="+", help="names of rules and functions")
    parser.add_argument("--module", default="rules", help="another module of the engine")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn at random")
    parser.add_argument("--verbose", action="store_true", help="say of each what killed it")
    options = parser.parse_args(arguments)
    return int(with_tests(lambda session: prove(options, session)))


def prove(options: argparse.Namespace, session: Session) -> int:
    """Plant the mistakes, one at a time; print what became of them."""
    began = time.monotonic()
    mutants = chosen(options.module, options.only)
    if options.sample:
        drawn = random.Random(0).sample(sorted(mutants), min(options.sample, len(mutants)))
        mutants = {name: mutants[name] for name in drawn}
    known = coverage(options.jobs, session)
    print(f"{len(mutants)} mutants; {len(known.rows)} rows of operations and {len(known.tests)} "
          f"tests pass without them, {time.monotonic() - began:.0f} s", flush=True)

    names, stages = list(mutants), Counter[str]()
    kinds, killed, equal = Counter[str](), Counter[str](), Counter[str]()
    survivors, stale = list[str](), list[str]()
    tasks = [(judge, mutants[name], known, session) for name in names]
    for number, (stage, why), seconds in in_children(tasks, options.jobs):
        name = names[number]
        kind = mutants[name].kind
        kinds[kind] += 1
        stages[stage] += 1
        killed[kind] += bool(stage)
        equal[kind] += not stage and name in RULES
        if not stage and name not in RULES:
            survivors.append(name)
            source = path_of(mutants[name].module).read_bytes()
            print(f"survives: {name}\n{mutants[name].diff(source)}", flush=True)
        elif stage and name in RULES:
            stale.append(f"{name}: it is killed, by {why}")
        if options.verbose:
            print(f"{seconds:6.2f} {stage or 'survives':<8} {name} | {why.partition(chr(10))[0]}",
                  flush=True)
    if options.module == "rules" and not (options.only or options.sample):
        stale += [f"{name}: there is no such mutant" for name in RULES if name not in mutants]

    print("\n" + table(kinds, killed, equal))
    print(f"\nkilled by: {', '.join(f'{stage} {n}' for stage, n in stages.items() if stage)}")
    for name in stale:
        print(f"the reason is out of date: {name}")
    for name in sorted(set(RULES) & set(mutants)):
        print(f"no mistake: {name}\n    {RULES[name]}")
    mistakes = kinds.total() - equal.total()
    share = killed.total() / mistakes if mistakes else 1.0
    print(f"\n{killed.total()} of {mistakes} mistakes killed: {share:.2%}; {len(survivors)} survive"
          f" without a reason; {time.monotonic() - began:.0f} s")
    return 1 if survivors or stale or share < ENOUGH else 0


if __name__ == "__main__":
    sys.exit(main())
