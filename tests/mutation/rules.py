"""Mutation proof of the rules: every mistake that `mutants` can plant must be noticed by a test.

    python tests/mutation/rules.py [--jobs 2] [--only tanh …] [--sample 100]

For each mutant of `tinygrad_w2v/rules.py`, of the values in `stable.py`, and of what adds gradients
up in `graph.py` and `sparse.py`, the claims on operations and the gradient tests are tried until
one fails (`trial`). A mutant that survives must stand in `equivalent.py`, with the reason why it is
no mistake, or the excuse why it is a small one; a reason for a mutant that is not there, or that is
killed, is an error too. Exit status 1 if a survivor has neither, if one of these is out of date, or
if less than 99 % of those that are mistakes, excused ones included, are killed. This last is judged
of a whole run alone: with --only or --sample each mutant counts, and a share of a few says nothing.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.mutation.equivalent import EQUIVALENT, EXCUSED
from tests.mutation.mutants import Mutant, named
from tests.mutation.proof import Proof, drawn, in_part, options, surveyed
from tests.mutation.trial import Session, path_of, with_tests

ENOUGH = 0.99
PARTS: dict[str, tuple[str, ...]] = {  # of a module, what every derivative relies on; (): all
    "rules": (), "stable": (), "graph": ("pull", "fit"),
    "sparse": ("add_rows", "is_owned", "plus", "unbroadcast", "is_finite", "RowGrad.coalesce",
               "RowGrad.dense")}


def every_mutant() -> dict[str, Mutant]:
    """All mutants of the rules and of what they rely on, by name."""
    return {f"{module}.{name}": mutant for module, part in PARTS.items()
            for name, mutant in named(module, path_of(module).read_bytes()).items()
            if not part or mutant.owner in part}


def main(arguments: list[str] | None = None) -> int:
    """Give the exit status."""
    wanted, began, mutants = options(__doc__, arguments), time.monotonic(), every_mutant()
    proof = Proof(drawn(mutants, wanted), EQUIVALENT, EXCUSED)
    if not proof.mutants:
        raise SystemExit(f"no mutant is of {', '.join(wanted.only)}")
    proof.stale += [f"{name}: there is no such mutant" for name in EQUIVALENT | EXCUSED
                    if name not in mutants]

    def work(session: Session) -> bool:
        known = surveyed(wanted.jobs, session)
        proof.stale += [f"{name} fails, and was left out" for name in known.failed]
        proof.run(known, session, wanted)
        return True

    with_tests(work)
    print(proof.report(began, in_part(wanted)))
    return 0 if proof.holds(ENOUGH, in_part(wanted)) else 1


if __name__ == "__main__":
    sys.exit(main())
