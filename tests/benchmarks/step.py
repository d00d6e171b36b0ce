"""A step of negative sampling: what the autodiff engine costs, and where the time goes.

    python tests/benchmarks/step.py [--rounds 12]

The same step is made with gradients by the engine and by hand, in turn, on a made-up text with
words as frequent as in English (Zipf's law), in one process, by one thread. A round is 32 steps, so
that it has all that is not done in every step. The parts are timed inside the steps, as they run.
Times are means over the middle half of the rounds, the slowest and the fastest quarter left out, so
that parts add up to their whole.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from operator import itemgetter
from typing import Any
from unittest.mock import patch

import numpy as np

from tinygrad_w2v import Tensor
from tinygrad_w2v.word2vec import sampling
from tinygrad_w2v.word2vec.blas import one_thread
from tinygrad_w2v.word2vec.corpus import Corpus
from tinygrad_w2v.word2vec.rows import RowGroups, SharedAdagrad
from tinygrad_w2v.word2vec.sampling import NegativeSampling
from tinygrad_w2v.word2vec.tiles import TILE, pair_weights, tiles_of

N, D, WINDOW, SHARD, SHARDS = 50_000, 100, 5, 1024, 8
STEPS = SharedAdagrad.REFRESH  # in a round

# The rows of the table; the parts of a whole, and the functions in which their time is spent.
WHOLES = {"engine": "loss and gradient, by the engine", "by hand": "loss and gradient, by hand",
          "move": "moving the rows"}
PARTS: dict[str, dict[str, tuple[Any, str]]] = {
    "engine": {"weights of the pairs": (sampling, "pair_weights"), "look-ups": (np, "take"),
               "forward": (sampling, "tile_loss"), "backward": (Tensor, "backward")},
    "by hand": {},
    "move": {"grouping the ids": (sampling, "RowGroups"), "summing rows": (RowGroups, "sums")},
}
REST = {"engine": "gradients to their places", "move": "the step of each row"}


class Stopwatch:
    """Seconds spent in functions; one that is called within another is a part of that other."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.running = False

    def on(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed under a name."""
        def timed(*arguments: Any, **settings: Any) -> Any:
            if self.running:
                return function(*arguments, **settings)
            self.running = True
            before = time.perf_counter()
            try:
                return function(*arguments, **settings)
            finally:
                self.spent[name] += time.perf_counter() - before
                self.running = False
        return timed


def timed(call: Callable[[], None], parts: dict[str, tuple[Any, str]]) -> dict[str, float]:
    """The seconds of a call: of each of its parts, of the rest, and of the "whole"."""
    watch = Stopwatch()
    with ExitStack() as patches:
        for name, (place, function) in parts.items():
            patches.enter_context(
                patch.object(place, function, watch.on(name, getattr(place, function))))
        before = time.perf_counter()
        call()
        whole = time.perf_counter() - before
    return {**watch.spent, "rest": whole - sum(watch.spent.values()), "whole": whole}


def trainer() -> NegativeSampling:
    """A training under way, in this process alone."""
    rng = np.random.default_rng(0)
    share = 1 / (np.arange(N) + 2.7)
    share /= share.sum()
    text = rng.choice(N, 400_000, p=share).astype(np.int32)
    keep = np.minimum(1, np.sqrt(1e-3 / share) + 1e-3 / share)
    V, U = (Tensor(rng.normal(0, 0.1, (N, D)), requires_grad=True, dtype=np.float32)
            for _ in range(2))
    return NegativeSampling(V, U, Corpus(text, np.arange(0, 400_000, 35)), keep=keep,
                            power=share**0.75, window=WINDOW, negative=5, shrink_windows=True,
                            seed=0, shard=SHARD, shards=SHARDS)


def by_hand(job: sampling.Shards, start: int, stop: int) -> None:
    """What `Shards.gradients` does, its gradient written out."""
    middle = slice(WINDOW, WINDOW + TILE)
    V, U, losses = (job.arrays[name] for name in ("V", "U", "losses"))
    places = job.places(stop - start)
    for shard in range(SHARDS):
        first = start + shard * job.tiles
        part = job.chunk.part(first, min(first + job.tiles, stop))
        w = pair_weights(part.sentence, job.band)
        v, u, z = (np.take(table, ids, axis=0) for table, ids in
                   ((V, part.ids[:, middle]), (U, part.ids), (U, part.noise)))
        grouped = v.reshape(len(z), -1, D)
        near, far = v @ u.swapaxes(1, 2), grouped @ z.swapaxes(1, 2)
        of_pairs = np.minimum(near, 0) - np.log1p(np.exp(-np.abs(near)))
        of_noise = np.maximum(far, 0) + np.log1p(np.exp(-np.abs(far)))
        share = w.sum(axis=2) * (job.negative / z.shape[1])
        loss = of_noise.sum(axis=2).reshape(share.shape) * share - (of_pairs * w).sum(axis=2)
        attract = w * np.expm1(of_pairs)  # −w σ(−x)
        repel = -np.expm1(-of_noise) * share.reshape(len(z), -1, 1)  # w σ(x)
        to_v = attract @ u
        to_v += (repel @ z).reshape(v.shape)
        gradients = to_v, attract.swapaxes(1, 2) @ v, repel.swapaxes(1, 2) @ grouped
        for gradient, rows in zip(gradients, places, strict=True):
            begin = shard * len(gradient)
            rows[begin : begin + len(gradient)] = gradient
        losses[shard] = loss.sum(dtype=np.float64), w.sum(dtype=np.float64)


def move(job: sampling.Shards, start: int, stop: int, step: int) -> None:
    """The second half of a step: the rows move, the optimisers note what they saw."""
    job.move(start, stop, 0.01, step)
    for optimiser in job.optimisers.values():
        optimiser.finish(step)


def main() -> None:
    """Check that both give the same, then time them in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    rounds = parser.parse_args().rounds
    training = trainer()
    with one_thread(), training.team(workers=1):
        job = training._team.own
        chunk, _ = next(tiles_of(training.corpus, training.keep, training.power, WINDOW,
                                 np.random.default_rng(1)))
        for name, array in zip(("ids", "sentence", "noise"), chunk, strict=True):
            job.arrays[name][: len(array)] = array
        stop = SHARDS * training.tiles
        outcomes = []
        for gradients in (job.gradients, partial(by_hand, job)):
            gradients(0, stop)
            outcomes.append([job.arrays[name].copy() for name in ("v_rows", "u_rows", "losses")])
        for ours, theirs in zip(*outcomes, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        rounds_of: dict[str, list[dict[str, float]]] = {name: [] for name in WHOLES}
        for _ in range(rounds):
            spent = {name: dict[str, float]() for name in WHOLES}
            for step in range(STEPS):
                begin = step % (len(chunk) // stop) * stop
                span = begin, begin + stop
                calls = {"engine": partial(job.gradients, *span),
                         "by hand": partial(by_hand, job, *span),
                         "move": partial(move, job, *span, step)}
                for name, call in calls.items():
                    for part, seconds in timed(call, PARTS[name]).items():
                        spent[name][part] = spent[name].get(part, 0) + seconds / STEPS
            for name, parts in spent.items():
                rounds_of[name].append(parts)
    report(rounds_of, stop * TILE)


def report(rounds_of: dict[str, list[dict[str, float]]], words: int) -> None:
    """Print the table, the parts below their whole, and what the engine costs."""
    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, Python "
          f"{platform.python_version()}, NumPy {np.__version__}; a step of {words:,} words, one "
          "worker\n")
    for whole, rounds in rounds_of.items():
        quarter = len(rounds) // 4
        middle = sorted(rounds, key=itemgetter("whole"))[quarter : len(rounds) - quarter]
        rows = {WHOLES[whole]: "whole"} | {f"  {part}": part for part in PARTS[whole]}
        if whole in REST:
            rows[f"  the rest: {REST[whole]}"] = "rest"
        for text, part in rows.items():
            seconds = statistics.mean(spent[part] for spent in middle)
            print(f"{text:<40}{seconds * 1e3:8.2f} ms{seconds / words * 1e9:8.0f} ns a word")
    engine, hand, move = ([spent["whole"] for spent in rounds_of[name]] for name in WHOLES)
    ratio = statistics.median((a + m) / (b + m) for a, b, m in zip(engine, hand, move, strict=True))
    print(f"\nthe step with the engine costs {ratio:.2f} times the step by hand")


if __name__ == "__main__":
    main()
