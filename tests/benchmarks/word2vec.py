"""Skip-gram against gensim and fastText: seconds, scores and memory, in turn on one machine.

    pip install -e '.[bench]'
    python tests/benchmarks/word2vec.py CORPUS [--seeds 0 1 2] [--peers gensim fasttext]

CORPUS is a text, a sentence a line. Every training runs in a process of its own and pays for
everything: reading the text, the vocabulary, training. One evaluator scores all: WordSim-353 and
SimLex-999 (Spearman) and Google's analogies (3CosAdd, the 30,000 most frequent words), from the
files inside the gensim package. Memory is the highest sum of the proportional set sizes of the
process and its children, sampled; it needs Linux.

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
    """tinygrad_w2v with its defaults."""
    from tinygrad_w2v.word2vec import SkipGram

    model = SkipGram(vector_size=100, window=5, min_count=5, loss="negative", workers=WORKERS,
                     seed=seed)
    model.fit(corpus, progress=False).wv.save_word2vec(output, binary=True)


def train_exact(corpus: str, output: str, seed: int) -> None:
    """The exact objective of tinygrad_w2v, of the words that occur 32 times."""
    from tinygrad_w2v.word2vec import SkipGram

    model = SkipGram(vector_size=100, window=5, min_count=32, loss="softmax", epochs=6, seed=seed)
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


TRAINERS = {"tinygrad_w2v": train_ours, "tinygrad_w2v (exact)": train_exact,
            "gensim": train_gensim, "fasttext": train_fasttext}


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


def scores(path: str, data: Path) -> list[float]:
    """WS-353, SimLex-999, analogies."""
    from tinygrad_w2v.word2vec import WordVectors

    wv = WordVectors.load_word2vec(path, binary=True)
    return [wv.evaluate_word_pairs(data / "wordsim353.tsv").spearman,
            wv.evaluate_word_pairs(data / "simlex999.txt").spearman,
            wv.evaluate_analogies(data / "questions-words.txt", restrict_vocab=30_000).score]


def evaluation_files() -> Path:
    """Where gensim keeps them."""
    import gensim

    return Path(gensim.__file__).parent / "test" / "test_data"


def main() -> None:
    """Run all in turn, print a line each, then the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--peers", nargs="*", default=["gensim", "fasttext"], choices=TRAINERS)
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
                results.setdefault(name, []).append((seconds, memory, *scores(output, data)))
                print(json.dumps({"seed": seed, "who": name, "seconds": round(seconds, 1),
                                  "MB": memory >> 20,
                                  "scores": [round(s, 3) for s in results[name][-1][2:]]}),
                      flush=True)
    print(f"\n{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores, Python "
          f"{platform.python_version()}, {WORKERS} workers, {len(given.seeds)} seed(s), means\n")
    print("| | seconds | of ours | WS-353 | SimLex-999 | analogies | peak MB |")
    print("|---|---|---|---|---|---|---|")
    ours = statistics.mean(row[0] for row in results["tinygrad_w2v"])
    for name, rows in results.items():
        seconds, memory, *found = [statistics.mean(column) for column in zip(*rows, strict=True)]
        print(f"| {name} | {seconds:.0f} | {seconds / ours:.1f} × | "
              + " | ".join(f"{score:.3f}" for score in found) + f" | {memory / 2**20:.0f} |")


if __name__ == "__main__":
    main()
