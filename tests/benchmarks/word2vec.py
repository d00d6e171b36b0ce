"""Skip-gram against gensim and fastText: seconds, scores and memory, in turn on one machine.

    pip install -e '.[bench]'
    python tests/benchmarks/word2vec.py CORPUS [--seeds 0 1 2] [--peers gensim fasttext]
    python tests/benchmarks/word2vec.py CORPUS --min-count 36 --peers exact exact-3 gensim fasttext

CORPUS is a text, a sentence a line. Every training runs in a process of its own and pays for
everything: reading the text, the vocabulary, training. All have vectors of 100 numbers, windows of
5 words to each side, words that occur --min-count times (5), and two threads or processes; all by
negative sampling 5 noise words a pair, and frequent words thinned out (gensim and ours from a share
of 1e-3 of the text, fastText from 1e-4). gensim and fastText make 5 passes, ours as many as it has
by default. What is not named has each program's default. The peers "exact" are our own
`loss="softmax"`, the sum over all words: with 10 passes; "exact-3" with 3, and so on; "exact-10k"
with 10 over the 10,000 most frequent words, against which the others are folded in, "exact-10k-3"
with 3.

One evaluator scores all: WordSim-353 and SimLex-999 (Spearman) and Google's analogies (3CosAdd, the
30,000 most frequent words), from the files inside the gensim package. Vocabularies that differ are
asked different questions: with --known N, all are scored on the N most frequent words. Of our own
models, the centre vectors `v`, the outside vectors `u` and their sum are scored. Memory is the
highest sum of the proportional set sizes of the process and its children, sampled; it needs Linux.

"seconds" are of the wall, "of cores" those that all cores worked, "passes" those of the wall
without reading and counting, where a program tells. Other runs on the machine spoil the first and
the last: compare within one run, on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKERS = 2


Training = float | None  # seconds of the passes, without reading and counting, if they are known
VECTORS = ("v+u", "v", "u")


def train_skip_gram(corpus: str, output: str, **settings) -> Training:
    """Train one of our own models; writes v + u, v and u."""
    from tinygrad_w2v.word2vec import SkipGram

    model = SkipGram(vector_size=100, window=5, workers=WORKERS, **settings).start(corpus)
    begun = time.perf_counter()
    model.run(progress=False)
    seconds = time.perf_counter() - begun
    for which, end in zip(VECTORS, ("", ".v", ".u"), strict=True):
        model.word_vectors(which).save_word2vec(output + end, binary=True)
    return seconds


def train_ours(corpus: str, output: str, seed: int, min_count: int) -> Training:
    """Our negative sampling, with its own defaults but for the number of processes."""
    return train_skip_gram(corpus, output, loss="negative", seed=seed, min_count=min_count)


def exact(**settings):
    """Our exact objective (E1), with its own defaults but for `settings`."""
    def train(corpus: str, output: str, seed: int, min_count: int) -> Training:
        return train_skip_gram(corpus, output, loss="softmax", seed=seed, min_count=min_count,
                               **settings)
    return train


def train_gensim(corpus: str, output: str, seed: int, min_count: int) -> Training:
    """gensim's Word2Vec, skip-gram with negative sampling."""
    from gensim.models.word2vec import LineSentence, Word2Vec

    model = Word2Vec(LineSentence(corpus), sg=1, vector_size=100, window=5, negative=5,
                     min_count=min_count, sample=1e-3, workers=WORKERS, epochs=5, seed=seed + 1)
    model.wv.save_word2vec_format(output, binary=True)


def train_fasttext(corpus: str, output: str, seed: int, min_count: int) -> Training:
    """fastText's skip-gram, without parts of words. (It takes no seed; threads make chance.)"""
    import fasttext
    import numpy as np

    model = fasttext.train_unsupervised(
        corpus, model="skipgram", dim=100, ws=5, neg=5, minCount=min_count, maxn=0, epoch=5,
        thread=WORKERS, verbose=0)
    words = [word for word in model.words if word != "</s>"]
    from tinygrad_w2v.word2vec import WordVectors

    table = np.stack([model.get_word_vector(word) for word in words])
    WordVectors(words, table).save_word2vec(output, binary=True)


PEERS = {"gensim": train_gensim, "fasttext": train_fasttext, "exact": exact(),
         **{f"exact-{passes}": exact(epochs=passes) for passes in (2, 3, 4, 6)},
         "exact-10k": exact(exact_words=10_000),
         "exact-10k-3": exact(exact_words=10_000, epochs=3)}
TRAINERS = {"tinygrad_w2v": train_ours, **PEERS}


def memory_of(pid: int) -> int:
    """Bytes that a process and its descendants hold, shared ones counted once."""
    total, todo = 0, [pid]
    while todo:
        process = todo.pop()
        try:
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
            for task in Path(f"/proc/{process}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        except (OSError, ValueError):  # it has ended meanwhile
            continue
    return total


def run(name: str, corpus: str, seed: int, min_count: int, output: str) -> dict[str, float]:
    """Train in a new process; gives its seconds, and the most memory it held."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.Popen([sys.executable, __file__, corpus, "--train", name, "--seeds",
                              str(seed), "--min-count", str(min_count), "--output", output],
                             stdout=subprocess.PIPE, text=True)
    peak = 0
    while child.poll() is None:
        peak = max(peak, memory_of(child.pid))
        time.sleep(0.25)
    if child.returncode:
        sys.exit(f"training with {name} failed")
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    passes = json.loads(child.stdout.read().splitlines()[-1])
    return {"seconds": seconds, "passes": float("nan") if passes is None else passes,
            "cores": sum(after[:2]) - sum(before[:2]), "MB": peak / 2**20}


def scores(path: str, data: Path, known: int | None) -> list[float]:
    """The scores of vectors in a file: see `scores_of`."""
    from tinygrad_w2v.word2vec import WordVectors

    return scores_of(WordVectors.load_word2vec(path, binary=True), data, known)


def scores_of(wv, data: Path, known: int | None) -> list[float]:
    """WS-353, SimLex-999, analogies; of the `known` most frequent words, if it is given."""
    pairs, analogies = known or 300_000, known or 30_000
    return [wv.evaluate_word_pairs(data / "wordsim353.tsv", restrict_vocab=pairs).spearman,
            wv.evaluate_word_pairs(data / "simlex999.txt", restrict_vocab=pairs).spearman,
            wv.evaluate_analogies(data / "questions-words.txt", restrict_vocab=analogies).score]


def evaluation_files() -> Path:
    """Where gensim keeps them."""
    import gensim

    return Path(gensim.__file__).parent / "test" / "test_data"


def main() -> None:
    """Run all in turn, print a line each, then the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--peers", nargs="*", default=["gensim", "fasttext"], choices=PEERS)
    parser.add_argument("--known", type=int, metavar="N", help="score the N most frequent words")
    parser.add_argument("--min-count", type=int, default=5)
    parser.add_argument("--train", choices=TRAINERS, help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        print(json.dumps(TRAINERS[given.train](given.corpus, given.output, given.seeds[0],
                                               given.min_count)))
        return
    names, costs, found = ["tinygrad_w2v", *given.peers], {}, {}
    data = evaluation_files()
    for seed in given.seeds:
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                output = os.path.join(folder, "vectors.bin")
                cost = run(name, given.corpus, seed, given.min_count, output)
                costs.setdefault(name, []).append(cost)
                for which, end in zip(VECTORS, ("", ".v", ".u"), strict=True):
                    if os.path.exists(output + end):
                        points = scores(output + end, data, given.known)
                        found.setdefault((name, which), []).append(points)
                        print(json.dumps({"seed": seed, "who": name, "vectors": which, **cost,
                                          "scores": [round(point, 3) for point in points]}),
                              flush=True)
    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, Python "
          f"{platform.python_version()}, {WORKERS} workers, {len(given.seeds)} seed(s), means, "
          f"words that occur {given.min_count} times"
          + (f", scores of {given.known:,} words" if given.known else "") + "\n")
    report(costs, found)


def report(costs: dict[str, list[dict[str, float]]], found: dict[tuple[str, str], list]) -> None:
    """Print the table: a line for each program, and for each kind of vectors that it has."""
    print("| | vectors | seconds | of ours | of cores | passes | WS-353 | SimLex-999 | analogies | "
          "peak MB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    means = {name: {key: statistics.mean(row[key] for row in rows) for key in rows[0]}
             for name, rows in costs.items()}
    for (name, which), rows in found.items():
        cost, points = means[name], [statistics.mean(column) for column in zip(*rows, strict=True)]
        kind = which if (name, "v") in found else ""
        passes = "" if math.isnan(cost["passes"]) else f"{cost['passes']:.0f}"
        print(f"| {name} | {kind} | {cost['seconds']:.0f} | "
              f"{cost['seconds'] / means['tinygrad_w2v']['seconds']:.1f} × | {cost['cores']:.0f} | "
              f"{passes} | " + " | ".join(f"{point:.3f}" for point in points)
              + f" | {cost['MB']:.0f} |")


if __name__ == "__main__":
    main()
