"""What `tg.debug()` costs while a block is open, and that it costs nothing when none is.

    python tests/benchmarks/debug.py [--rounds 15]

Each program runs in turn without and with a block; times are medians over the rounds, after one
round that is not counted.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import tinygrad_w2v as tg
from tinygrad_w2v import graph, rules
from tinygrad_w2v.word2vec.tiles import TILE, band, tile_loss

RNG = np.random.default_rng(0)


def numbers() -> None:
    """Steps of a graph of single numbers, where the bookkeeping is all."""
    x = tg.Tensor(0.5, requires_grad=True)
    for _ in range(100):
        y = x
        for _ in range(5):
            y = y * x + 1.0
        y.backward()


def perceptron(batch: int) -> Callable[[], None]:
    """Steps of an MLP by Adam."""
    model = tg.nn.MLP([64, 128, 128, 10], activation="relu", dtype=np.float32)
    optimizer = tg.optim.Adam(model.parameters())
    x = RNG.normal(size=(batch, 64)).astype(np.float32)
    labels = RNG.integers(10, size=batch)

    def steps() -> None:
        for _ in range(10):
            optimizer.zero_grad()
            tg.nn.cross_entropy(model(x), labels).backward()
            optimizer.step()

    return steps


def tiles() -> None:
    """Loss and gradient of negative sampling on 1024 words of a text."""
    k, m, d = 64, 5, 100
    shapes = (k, TILE, d), (k, TILE + 2 * m, d), (k // 8, 64, d)
    v, u, z = (tg.Tensor(RNG.normal(size=s), requires_grad=True, dtype=np.float32) for s in shapes)
    loss = tile_loss(v, u, z, np.broadcast_to(band(TILE, m), (k, TILE, TILE + 2 * m)), 5)
    loss.backward(np.ones(loss.shape))


PROGRAMS = {"1,000 operations on single numbers, and backward": numbers,
            "10 steps of an MLP (64, 128, 128, 10) on 32 rows": perceptron(32),
            "10 steps of the same on 1,024 rows": perceptron(1024),
            "a shard of negative sampling, 1,024 words": tiles}


def seconds(program: Callable[[], None], block: Callable[[], object]) -> float:
    """Time a program in a block."""
    begin = time.perf_counter()
    with block():  # type: ignore[attr-defined]
        program()
    return time.perf_counter() - begin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, one thread; milliseconds")
    print("| | without | with | strict |\n|---|---|---|---|")
    blocks = nullcontext, tg.debug, lambda: tg.debug(strict=True)
    for name, program in PROGRAMS.items():
        times: list[list[float]] = [[], [], []]
        for _ in range(rounds + 1):
            for found, block in zip(times, blocks, strict=True):
                found.append(seconds(program, block))
        plain, *others = (1000 * statistics.median(found[1:]) for found in times)
        print(f"| {name} | {plain:.2f} | " + " | ".join(
            f"{t:.2f} ({t / plain:.2f} ×)" for t in others) + " |")
    same = rules.record is graph.record  # type: ignore[attr-defined]
    print(f"afterwards, rules.record is graph.record: {same}")


if __name__ == "__main__":
    main()
