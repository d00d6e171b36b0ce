"""Reverse mode on random graphs: does it equal the complex step, at first and at second order?

    python tests/random_programs.py --graphs 100000 --hvps 10000 --jobs 2 --seed 0

Every graph's gradient is compared with the complex step of its twin in plain NumPy, within 1e-12 of
the largest element. Of the first `hvps` graphs two Hessian-vector products are compared with the
complex step through the backward pass, within 1e-11, and ⟨u, H v⟩ with ⟨v, H u⟩; of every tenth of
them one with differences, in long double, of the twin's gradient. Prints a summary; exits 1 at a
mismatch, and prints the program, made as short as it can be, as code.
"""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from tinygrad_w2v.testing import programs

GRADIENT, HESSIAN = 1e-12, 1e-11
CHUNK = 500  # graphs that a worker judges at a time


def gradient(program, rng):
    return programs.gradient_deviation(program)


# What is claimed, of each how far off it may be, and of how many graphs it is asked: of one in n.
CLAIMS = {
    "gradient": (gradient, GRADIENT, 1),
    "Hessian-vector product": (programs.hessian_deviation, HESSIAN, 1),
    "the same, by differences": (programs.differences_deviation, HESSIAN, 10),
}


class Mismatch(NamedTuple):
    seed: int
    number: int
    claim: str
    deviation: float
    error: str


class Found:
    """What a chunk of graphs has shown; chunks add up."""

    def __init__(self):
        self.graphs, self.derivatives, self.seconds = 0, 0, 0.0
        self.ops, self.has, self.judged = Counter(), Counter(), Counter()
        self.worst, self.mismatches = {}, []

    def add(self, other):
        self.graphs += other.graphs
        self.derivatives += other.derivatives
        self.seconds += other.seconds
        for mine, more in (self.ops, other.ops), (self.has, other.has), (self.judged, other.judged):
            mine.update(more)
        for claim, worst in other.worst.items():
            self.worst[claim] = max(self.worst.get(claim, (0.0, 0)), worst)
        self.mismatches += other.mismatches


def draw(seed, number):
    return programs.draw_program(np.random.default_rng([seed, number]))


def judge(claim, program, number):
    """How far off a program is; infinitely if it raises, and then what."""
    try:
        return CLAIMS[claim][0](program, np.random.default_rng(number)), ""
    except Exception as raised:
        return np.inf, f"{type(raised).__name__}: {raised}"


def judge_chunk(seed, first, last, hvps):
    found, start = Found(), time.process_time()
    for number in range(first, last):
        program = draw(seed, number)
        names = [step.op for step in program.steps]
        found.graphs += 1
        found.derivatives += program.point.size
        found.ops.update(names)
        found.has.update(set(names))
        for claim, (_, limit, one_in) in CLAIMS.items():
            if claim != "gradient" and (number >= hvps or number % one_in):
                continue
            found.judged[claim] += 1
            off, error = judge(claim, program, number)
            found.worst[claim] = max(found.worst.get(claim, (0.0, 0)), (off, number))
            if not off <= limit:
                found.mismatches.append(Mismatch(seed, number, claim, off, error))
    found.seconds = time.process_time() - start
    return found


def judge_all(seed, graphs, hvps, jobs):
    found, starts = Found(), range(0, graphs, CHUNK)
    ends = [min(start + CHUNK, graphs) for start in starts]
    n = len(starts)
    with ProcessPoolExecutor(jobs) as pool:
        for chunk in pool.map(judge_chunk, [seed] * n, starts, ends, [hvps] * n):
            found.add(chunk)
    return found


def print_summary(found, seed, seconds):
    total = found.ops.total() - found.ops["constant"]
    print(f"{found.graphs:,} graphs of {total / found.graphs:.1f} operations "
          f"({found.ops['constant'] / found.graphs:.1f} constants beside them), "
          f"{found.derivatives:,} derivatives, in {seconds:.0f} s "
          f"({found.seconds:.0f} s of processor time)")
    for claim, count in found.judged.items():
        off, number = found.worst[claim]
        print(f"{claim}: {count:,} graphs, worst deviation {off:.1e} (allowed {CLAIMS[claim][1]}), "
              f"graph {number}")
    print("graphs that hold an operation, in %:")
    shares = [f"{name} {100 * found.has[name] / found.graphs:.0f}"
              for name in sorted(programs.OPERATIONS)]
    for k in range(0, len(shares), 5):
        print("  " + "".join(f"{share:<20}" for share in shares[k : k + 5]))


def print_mismatch(mismatch):
    program = draw(mismatch.seed, mismatch.number)
    limit = CLAIMS[mismatch.claim][1]
    short = programs.smallest(
        program, lambda p: not judge(mismatch.claim, p, mismatch.number)[0] <= limit)
    off, error = judge(mismatch.claim, short, mismatch.number)
    print(f"\nMISMATCH, {mismatch.claim} of graph {mismatch.number} (seed {mismatch.seed}): off by "
          f"{mismatch.deviation:.1e}; made short, by {off:.1e} {error}\n\n{short}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=100_000)
    parser.add_argument("--hvps", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print the worst program, too")
    options = parser.parse_args()
    start = time.perf_counter()
    found = judge_all(options.seed, options.graphs, options.hvps, options.jobs)
    print_summary(found, options.seed, time.perf_counter() - start)
    if options.show:
        _, number = found.worst["gradient"]
        print(f"\nThe worst, graph {number}:\n\n{draw(options.seed, number)}")
    for mismatch in found.mismatches[:5]:
        print_mismatch(mismatch)
    print(f"\n{len(found.mismatches)} mismatches")
    sys.exit(bool(found.mismatches))


if __name__ == "__main__":
    main()
