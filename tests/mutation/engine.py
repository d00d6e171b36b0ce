"""Mutation score of the rest of the engine: how many mistakes the tests notice, file by file.

    python tests/mutation/engine.py [--jobs 2] [--only walk …] [--sample 100]

As `rules.py` does, but for `graph.py`, `sparse.py`, `functional.py`, `tensor.py` and `derived.py`,
and without a proof: survivors are shown as diffs. Exit status 1 if less than 90 % of a file's
mistakes are killed. (Tools for any program leave decorated functions and properties out, which
these files are full of, and plant no mistake in a derivative.)
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.mutation.mutants import named
from tests.mutation.proof import Proof, drawn, options, surveyed
from tests.mutation.trial import Session, path_of, with_tests

ENOUGH = 0.9
FILES = ("sparse", "graph", "functional", "tensor", "derived")


def main(arguments: list[str] | None = None) -> int:
    """Give the exit status."""
    wanted, began, scores = options(__doc__, arguments), time.monotonic(), dict[str, float]()

    def work(session: Session) -> bool:
        known = surveyed(wanted.jobs, session)
        for module in FILES:
            proof = Proof(drawn(named(module, path_of(module).read_bytes()), wanted), {}, {})
            if proof.mutants:
                proof.run(known, session, wanted)
                print(f"\n{module}.py\n\n{proof.report(began)}", flush=True)
                scores[module] = proof.share
        return True

    with_tests(work)
    print(*[f"{module + '.py':<16}{share:>8.2%}" for module, share in scores.items()], sep="\n")
    return 1 if min(scores.values(), default=0) < ENOUGH else 0


if __name__ == "__main__":
    sys.exit(main())
