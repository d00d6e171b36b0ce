"""The exact objective: seconds to count, seconds a pass, and E1 reached by several optimisers.

    python tests/benchmarks/exact.py CORPUS [--words 20000] [--passes 10] [--only NAME …]
    python tests/benchmarks/exact.py CORPUS --words 30000 --passes 6 --fold 10000 20000 30000

CORPUS is a text, a sentence a line; its most frequent words are used, vectors have 100 numbers,
windows 5 words to each side. The first table sets the whole text beside its first million words: a
pass costs the same. The share of the machine's rate is of products of large matrices by all cores,
measured just before; a pass is 6 n² d operations. Beside it stands what the gradients of a pass
take that are written by hand in NumPy, shard by shard, in place, without a step: the same numbers,
and a bound for what a Tensor could reach. The second table has, after each pass of each
optimiser, E1 a pair of words (the mean over the pass), and at the end E1 itself and how far from an
optimum it is: the mean length of the gap of E6, observed minus expected context vector, over the
spread of the context vectors; the same for the centre vectors by which a row of U moves. Both are 0
at an optimum. With --passes 0 there is no second table.

With --fold K … there is another table instead: E1 is summed over the K most frequent words, and the
rest of the --words are folded in. Counts are those of the whole text, of all words that occur 5
times. E1 a pair is of all the words, however many were trained by it. The scores are of v + u, by
gensim's evaluation files (the `bench` extra).

Seconds are of the wall, with those of all cores' work in brackets: they agree on a quiet machine,
but for the number of cores.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from word2vec import evaluation_files, scores_of  # beside this file

from tinygrad_w2v import Tensor
from tinygrad_w2v.word2vec import WordVectors, exact
from tinygrad_w2v.word2vec.blas import one_thread
from tinygrad_w2v.word2vec.corpus import Corpus
from tinygrad_w2v.word2vec.counting import CoOccurrences
from tinygrad_w2v.word2vec.curvature import SharedCurvature
from tinygrad_w2v.word2vec.model import exact_trainer
from tinygrad_w2v.word2vec.threads import cores, in_order

D, WINDOW = 100, 5


class Momentum(SharedCurvature):
    """Shared-curvature steps, of which U keeps a share for the next ones."""

    keep = 0.5

    def move_u(self, rows, g, rate):
        """Move U by its step and what is left of those before."""
        if not hasattr(self, "speed"):
            self.speed = np.zeros_like(self.U.data)
        lr = rate * self.lr_u * (1 - self.keep)
        self.speed[rows] *= self.keep
        self.speed[rows] += self.newton(g[:, :D], rows, self.white_v, lr)
        self.tables[1][rows] -= self.speed[rows]
        move = g[:, D] / (self.totals[rows] + 1)
        self.tables[2][rows] -= 0.5 * rate * self.lr_u * np.clip(move, -1, 1)


class Adagrad(SharedCurvature):
    """Row-wise Adagrad: a row's step is lr · g over the root of the sum of its mean squares."""

    lr = 0.3

    def begin(self):
        """Count the step; there are no matrices."""
        if not self.steps:
            self.squares = np.zeros((3, len(self.totals)), np.float32)
        self.steps += 1

    def scaled(self, squares, rows, g):
        """Give the direction of a step."""
        squares[rows] += np.square(g).mean(axis=1)
        return self.lr * g / (np.sqrt(squares[rows]) + 1e-8)[:, None]

    def move_v(self, rows, g, rate):
        """Move rows of V."""
        self.tables[0][rows] -= rate * self.scaled(self.squares[0], rows, g)

    def move_u(self, rows, g, rate):
        """Move rows of U and the bias."""
        self.tables[1][rows] -= rate * self.scaled(self.squares[1], rows, g[:, :D])
        self.tables[2][rows] -= rate * self.scaled(self.squares[2], rows, g[:, D:])[:, 0]


class Adam(SharedCurvature):
    """Adam, of the rows that have a gradient."""

    lr = 0.02

    def begin(self):
        """Count the step; there are no matrices."""
        if not self.steps:
            n = len(self.totals)
            self.memory = {name: np.zeros((2, n, k), np.float32)
                           for name, k in (("v", D), ("u", D + 1))}
            self.times = np.zeros(n)
        self.steps += 1

    def moved(self, name, rows, g, times):
        """Give the direction of a step."""
        mean, square = self.memory[name]
        mean[rows] += 0.1 * (g - mean[rows])
        square[rows] += 0.001 * (g * g - square[rows])
        unbiased = np.sqrt(1 - 0.999**times) / (1 - 0.9**times)
        return self.lr * unbiased * mean[rows] / (np.sqrt(square[rows]) + 1e-8)

    def move_v(self, rows, g, rate):
        """Move rows of V, each by the number of its own steps."""
        self.times[rows] += 1
        self.tables[0][rows] -= rate * self.moved("v", rows, g, self.times[rows, None])

    def move_u(self, rows, g, rate):
        """Move rows of U and the bias."""
        step = rate * self.moved("u", rows, g[:, : D + 1], self.steps)
        self.tables[1][rows] -= step[:, :D]
        self.tables[2][rows] -= step[:, D]


OPTIMISERS = {
    "default": (SharedCurvature, {}, 512),
    "no joining": (SharedCurvature, {}, 512),
    "no warm-up": (SharedCurvature, {}, 512),
    "no warm-up, η_U .7": (SharedCurvature, {"lr_u": 0.7}, 512),
    "no warm-up, η_V .5": (SharedCurvature, {"lr_v": 0.5}, 512),
    "blocks of 256": (SharedCurvature, {}, 256),
    "blocks of 1024": (SharedCurvature, {}, 1024),
    "momentum": (Momentum, {}, 512),
    "row-wise Adagrad": (Adagrad, {}, 512),
    "Adam": (Adam, {}, 512),
}


COLD = {name for name in OPTIMISERS if name.startswith("no warm-up")}


def read(path: str, n: int, words: int | None = None) -> Corpus:
    """The corpus, or so many of its first words, of the n most frequent words."""
    corpus = Corpus.read(path, 5)
    ids = np.asarray(corpus.ids)[:words]
    starts = corpus.starts[corpus.starts <= len(ids)]
    keep = ids < n
    return Corpus(ids[keep], np.append(0, np.cumsum(keep))[starts])


def trainer_of(counts: CoOccurrences, kind=SharedCurvature, **settings) -> exact.ExactSoftmax:
    """A training at the start that `SkipGram` gives it."""
    rng, n = np.random.default_rng(0), counts.n
    V, U = (Tensor(rng.normal(0, 0.05, (n, D)), requires_grad=True, dtype="f4") for _ in "VU")
    share = np.log((counts.totals + 0.5) / (counts.totals.sum() + 0.5 * n))
    bias = Tensor(share, requires_grad=True, dtype="f4")
    trainer = exact.ExactSoftmax(V, U, bias, counts, 0)
    trainer.optimiser = kind(V, U, bias, counts.totals, **settings)
    return trainer


def rate_of_products() -> float:
    """Operations a second of a large product on all cores."""
    a, best = np.ones((4096, 4096), np.float32), np.inf
    for _ in range(5):
        begun = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - begun)
    return 2 * 4096**3 / best


def clock() -> np.ndarray:
    """Seconds of the wall, and of the cores' work."""
    return np.array([time.perf_counter(), time.process_time()])


def gaps(trainer: exact.ExactSoftmax) -> list[float]:
    """The mean length of the gap by V (E6) and by U, over the spread of the other table."""
    V, U, counts = trainer.V.data, trainer.U.data, trainer.counts
    tiles = exact.Tiles(U, trainer.bias.data, counts)

    def gradient(rows):
        v, words = Tensor(V[rows], requires_grad=True), tiles.leaves()
        tiles.loss(v, words, rows).backward()
        return v.grad, np.concatenate([w.grad for w in words])[:, :D]

    by_v, by_u = [], 0
    with one_thread():
        for v, u in in_order(gradient, exact.shards(np.arange(counts.n)), cores()):
            by_v.append(v)
            by_u = by_u + u
    share, found = counts.totals / counts.totals.sum(), []
    for g, other in ((np.concatenate(by_v), U), (by_u, V)):
        spread = np.sqrt(share @ np.square(other - share @ other).sum(axis=1))
        found.append(float(np.linalg.norm(g, axis=1).sum() / counts.totals.sum() / spread))
    return found


def by_hand(trainer: exact.ExactSoftmax) -> np.ndarray:
    """Seconds for the gradients of a pass that nobody differentiated: they were written by hand."""
    tiles, V = trainer.tiles(), trainer.V.data
    words = tiles.plain()

    def gradient(rows):
        v, norm, kept = exact.widened(V[rows], words[0]), 0, []
        for some in words:
            kept.append(v @ some.T)
            np.exp(kept[-1], out=kept[-1])
            norm = norm + kept[-1].sum(axis=1)
        scale = (tiles.counts.totals[rows] / norm).astype(np.float32)[:, None]
        by_v, by_words = 0, []
        for i, (some, p) in enumerate(zip(words, kept, strict=True)):
            p *= scale
            places, counts = tiles.pairs(rows, i)
            p.reshape(-1)[places] -= counts
            by_v = by_v + p @ some
            by_words.append(p.T @ v)
        return by_v[:, :D], by_words

    parts = exact.shards(np.arange(len(V)))
    v, leaves = Tensor(V[parts[0]], requires_grad=True), tiles.leaves()
    tiles.loss(v, leaves, parts[0]).backward()
    for mine, g in zip(gradient(parts[0]), (v.grad, [w.grad for w in leaves]), strict=True):
        assert all(np.allclose(a, b, rtol=1e-2, atol=1e-3 * np.abs(b).max())
                   for a, b in zip(mine, g, strict=True))
    begun = clock()
    for _ in in_order(gradient, parts, trainer.workers):
        pass
    return clock() - begun


def costs(path: str, n: int) -> CoOccurrences:
    """Print what counting and a pass cost, for the whole text and for a part; gives the counts."""
    print("| words of text | counting, s | pairs | a pass, s | gradients by hand, s | Gflop/s | "
          "products, Gflop/s |")
    print("|---" * 7 + "|")
    for words in (1_000_000, None):
        corpus = read(path, n, words)
        begun = clock()
        counts = CoOccurrences.of(corpus, n, WINDOW, True)
        counted, rate, trainer = clock() - begun, rate_of_products(), trainer_of(counts)
        with trainer.team(1):
            times = []
            for _ in range(2):
                begun = clock()
                for _ in trainer.steps(1, lambda share: 1.0):  # without the warm-up
                    pass
                times.append(clock() - begun)
            hand = np.min([by_hand(trainer) for _ in range(2)], axis=0)
        wall, work = np.min(times, axis=0)
        print(f"| {len(corpus):,} | {counted[0]:.1f} ({counted[1]:.1f}) | {len(counts.count):,} | "
              f"{wall:.2f} ({work:.2f}) | {hand[0]:.2f} ({hand[1]:.2f}) | "
              f"{6 * n * n * D / wall / 1e9:.0f} | {rate / 1e9:.0f} |", flush=True)
    return counts


def compare(counts: CoOccurrences, names: list[str], passes: int) -> None:
    """Print E1 a pair after each pass."""
    print("\n| | " + " | ".join(str(p + 1) for p in range(passes))
          + " | at the end | gap by V | by U | seconds |")
    print("|---" * (passes + 5) + "|")
    for name in names:
        kind, settings, block = OPTIMISERS[name]
        trainer, reached, scale = trainer_of(counts, kind, **settings), [], counts.totals.sum()
        if name in COLD:
            trainer.warm_up = lambda k, rate: None
        size = CoOccurrences.blocks.__globals__
        size["BLOCK"], before = block, size["BLOCK"]
        if name == "no joining":
            trainer.join = lambda first, k: None
        begun = clock()
        with trainer.team(1):
            for epoch in range(passes):
                fall = lambda share, epoch=epoch: 1 - 0.9 * (epoch + share) / passes
                reached.append(sum(loss for loss, _, _ in trainer.steps(epoch, fall)) / scale)
        seconds = clock() - begun
        size["BLOCK"] = before
        end = exact.objective(trainer.V.data, trainer.U.data, trainer.bias.data, counts) / scale
        print(f"| {name} | " + " | ".join(f"{e:.3f}" for e in reached) + f" | {end:.4f} | "
              + " | ".join(f"{gap:.4f}" for gap in gaps(trainer))
              + f" | {seconds[0]:.0f} ({seconds[1]:.0f}) |", flush=True)


def fold(path: str, n: int, heads: list[int], passes: int) -> None:
    """Print what it costs to fold words in, and the E1 of all words that it leads to."""
    corpus = Corpus.read(path, 5)
    counts = CoOccurrences.of(corpus, len(corpus.vocabulary), WINDOW, True).first(n)
    words = corpus.vocabulary.words[:n]
    print("| E1 over so many words | passes, s | folding in, s | E1 a pair, all words | WS-353 | "
          "SimLex-999 | analogies |")
    print("|---" * 7 + "|")
    for k in heads:
        rng = np.random.default_rng(0)
        tables = [rng.normal(0, 0.05, (n, D)).astype(np.float32) for _ in "VU"]
        trainer, times = exact_trainer(*tables, counts, True, k, 0), [clock()]
        with trainer.team(1):
            for epoch in range(passes):
                fall = lambda share, epoch=epoch: 1 - 0.9 * (epoch + share) / passes
                for _ in trainer.steps(epoch, fall):
                    pass
            times.append(clock())
            for _ in trainer.closing():
                pass
            times.append(clock())
        e1 = exact.objective(trainer.V.data, trainer.U.data, trainer.bias.data, counts)
        passed, folded = np.diff(times, axis=0)
        found = scores_of(WordVectors(words, trainer.V.data + trainer.U.data),
                          evaluation_files(), None)
        print(f"| {k:,} | {passed[0]:.0f} ({passed[1]:.0f}) | {folded[0]:.0f} ({folded[1]:.0f}) | "
              f"{e1 / counts.totals.sum():.3f} | " + " | ".join(f"{x:.3f}" for x in found) + " |",
              flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=OPTIMISERS, default=list(OPTIMISERS))
    parser.add_argument("--fold", type=int, nargs="+", metavar="K")
    given = parser.parse_args()
    if given.fold:
        fold(given.corpus, given.words, given.fold, given.passes)
        return
    counts = costs(given.corpus, given.words)
    if given.passes:
        compare(counts, given.only, given.passes)


if __name__ == "__main__":
    main()
