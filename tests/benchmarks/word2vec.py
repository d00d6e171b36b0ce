"""Skip-gram against gensim and fastText: seconds, scores and memory, in turn on one machine.

    pip install -e '.[bench]'
    python tests/benchmarks/word2vec.py CORPUS [--seeds 0 1 2] [--peers gensim fasttext]
    python tests/benchmarks/word2vec.py CORPUS --peers exact --known 10000

CORPUS is a text, a sentence a line. Every training runs in a process of its own and pays for
everything: reading the text, the vocabulary, training. All by negative sampling have vectors of 100
numbers, windows of 5 words to each side, words that occur 5 times, 5 noise words a pair, frequent
words thinned out (gensim and ours from a share of 1e-3 of the text, fastText from 1e-4), and two
threads or processes. gensim and fastText make 5 passes, ours as many as it has by default. What is
not named has each program's default. The peer "exact" is our own `loss="softmax"`, the sum over
all words, of those that occur 100 times.

One evaluator scores all: WordSim-353 and SimLex-999 (Spearman) and Google's analogies (3CosAdd, the
30,000 most frequent words), from the files inside the gensim package. Vocabularies that differ are
asked different questions: with --known N, all are scored on the N most frequent words. Memory is
the highest sum of the proportional set sizes of the process and its children, sampled; it needs
Linux.

Other runs on the machine spoil the seconds: compare within one run, on a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKERS = 2


def train_ours(corpus: str, output: str, seed: int) -> None:
    """Our negative sampling, with its own defaults but for the number of processes."""
    from tinygrad_w2v.word2vec import SkipGram

    model = SkipGram(vector_size=100, window=5, min_count=5, loss="negative", workers=WORKERS,
                     seed=seed)
    model.fit(corpus, progress=False).wv.save_word2vec(output, binary=True)


def train_exact(corpus: str, output: str, seed: int) -> None:
    """Our exact objective (E1), of the words that occur 100 times, with its own defaults."""
    from tinygrad_w2v.word2vec import SkipGram

    model = SkipGram(vector_size=100, window=5, min_count=100, loss="softmax", seed=seed)
    model.fit(corpus, progress=False).wv.save_word2vec(output, binary=True)


def train_gensim(corpus: str, output: str, seed: int) -> None:
    """gensim's Word2Vec, skip-gram with negative sampling."""
    from gensim.models.word2vec import LineSentence, Word2Vec

    model = Word2Vec(LineSentence(corpus), sg=1, vector_size=100, window=5, negative=5,
                     min_count=5, sample=1e-3, workers=WORKERS, epochs=5, seed=seed + 1)
    model.wv.save_word2vec_format(output, binary=True)


def train_fasttext(corpus: str, output: str, seed: int) -> None:
    """fastText's skip-gram, without parts of words. (It takes no seed; threads make chance.)"""
    import fasttext
    import numpy as np

    model = fasttext.train_unsupervised(
        corpus, model="skipgram", dim=100, ws=5, neg=5, minCount=5, maxn=0, epoch=5,
        thread=WORKERS, verbose=0)
    words = [word for word in model.words if word != "</s>"]
    from tinygrad_w2v.word2vec import WordVectors

    table = np.stack([model.get_word_vector(word) for word in words])
    WordVectors(words, table).save_word2vec(output, binary=True)


PEERS = {"gensim": train_gensim, "fasttext": train_fasttext, "exact": train_exact}
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


def run(name: str, corpus: str, seed: int, output: str) -> tuple[float, int]:
    """Train in a new process; gives its seconds, and the most memory it held."""
    begun = time.perf_counter()
    # The seconds end where training ends: writing the vectors is not a part of it.
    child = subprocess.Popen([sys.executable, __file__, corpus, "--train", name, "--seeds",
                              str(seed), "--output", output], stdout=subprocess.PIPE, text=True)
    peak = 0
    while child.poll() is None:
        peak = max(peak, memory_of(child.pid))
        time.sleep(0.25)
    if child.returncode:
        sys.exit(f"training with {name} failed")
    return time.perf_counter() - begun, peak


def scores(path: str, data: Path, known: int | None) -> list[float]:
    """WS-353, SimLex-999, analogies; of the `known` most frequent words, if it is given."""
    from tinygrad_w2v.word2vec import WordVectors

    wv = WordVectors.load_word2vec(path, binary=True)
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
    parser.add_argument("--train", choices=TRAINERS, help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        TRAINERS[given.train](given.corpus, given.output, given.seeds[0])
        return
    names, results = ["tinygrad_w2v", *given.peers], {}
    data = evaluation_files()
    with tempfile.TemporaryDirectory() as folder:
        for seed in given.seeds:
            for name in names:
                output = os.path.join(folder, "vectors.bin")
                seconds, memory = run(name, given.corpus, seed, output)
                found = scores(output, data, given.known)
                results.setdefault(name, []).append((seconds, memory, *found))
                print(json.dumps({"seed": seed, "who": name, "seconds": round(seconds, 1),
                                  "MB": memory >> 20,
                                  "scores": [round(score, 3) for score in found]}),
                      flush=True)
    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, Python "
          f"{platform.python_version()}, {WORKERS} workers, {len(given.seeds)} seed(s), means"
          + (f", scores of {given.known:,} words" if given.known else "") + "\n")
    print("| | seconds | of ours | WS-353 | SimLex-999 | analogies | peak MB |")
    print("|---|---|---|---|---|---|---|")
    ours = statistics.mean(row[0] for row in results["tinygrad_w2v"])
    for name, rows in results.items():
        seconds, memory, *found = [statistics.mean(column) for column in zip(*rows, strict=True)]
        print(f"| {name} | {seconds:.0f} | {seconds / ours:.1f} × | "
              + " | ".join(f"{score:.3f}" for score in found) + f" | {memory / 2**20:.0f} |")


if __name__ == "__main__":
    main()
