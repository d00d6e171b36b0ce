"""The command line: ``python -m tinygrad_w2v``, or ``tinygrad-w2v`` once installed."""

from __future__ import annotations

import argparse
import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import __version__
from .sparse import Array
from .word2vec import SkipGram, WordVectors, documentation
from .word2vec.derivation import centre_gradient, probabilities
from .word2vec.formats import check_writable
from .word2vec.objective import CoOccurrences

SHOWN = {
    "days": ["monday", "week"],
    "colours": ["red", "blue"],
    "numbers": ["two", "three", "integer"],
    "programming": ["exception", "file", "string", "list", "class", "true", "thread", "maximum"],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0, 1 (it failed), 2 (usage), 130 (Ctrl-C)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] not in ("demo", "-h", "--help", "--version"):
        given.insert(0, "demo")
    options = parser().parse_args(given)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Σ shows ?
    try:
        demo(Path(options.output), options.passes, options.seed)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as in `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("\nstopped; files are written whole or not at all", file=sys.stderr)
        return 130
    except (OSError, ValueError, FloatingPointError) as error:
        print(f"tinygrad-w2v: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of the command line."""
    top = argparse.ArgumentParser(
        prog="tinygrad-w2v", description="Skip-gram word vectors through a teaching autodiff.",
        epilog="Without a command: demo, which takes -o FILE, --passes N and --seed N.")
    top.add_argument("--version", action="version", version=f"tinygrad-w2v {__version__}")
    commands = top.add_subparsers(metavar="command", required=True)
    demo = commands.add_parser(
        "demo", help="train on the documentation inside this Python, show neighbours",
        description="Check E4 on a pair of words, train skip-gram with the exact objective on the "
        "documentation inside this Python and NumPy, save the vectors, and print neighbours. The "
        "extracted text is kept in the user's cache folder for the next run.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    demo.add_argument("-o", "--output", default="documentation.safetensors", metavar="FILE",
                      help="where to save the vectors; a file that is there is replaced")
    demo.add_argument("--passes", type=int, default=10, metavar="N",
                      help="passes over the objective")
    demo.add_argument("--seed", type=int, default=0, metavar="N",
                      help="the same seed gives the same vectors")
    return top


def demo(output: Path, passes: int, seed: int) -> None:
    """Train on the embedded corpus, from the derivation to the table of neighbours."""
    if passes < 1:
        raise ValueError(f"--passes is a whole number from 1 up, not {passes}")
    model = SkipGram(loss="softmax", epochs=passes, seed=seed)
    check_writable(output)
    print("Reading the documentation inside this Python (some seconds, the first time) …",
          flush=True)
    text, remarks = documentation()
    for remark in remarks:
        print(f"  note: {remark}")
    model.start(text)
    print(f"  {sum(map(len, text)):,} words; {len(model.vocabulary):,} different ones occur "
          f"{model.min_count} times or more\n")
    print(derivation(model), flush=True)
    before = model.objective(text)
    print(f"\nMinimising E1, summed over all {len(model.vocabulary):,} words: {passes} "
          f"pass{'es' if passes > 1 else ''} …", flush=True)
    begun = time.perf_counter()
    model.run()
    seconds = time.perf_counter() - begun
    model.wv.save(output)
    print(f"  E1 fell from {before:.3f} to {model.objective(text):.3f} per position in "
          f"{seconds:.1f} s\n  (with an output bias, and windows weighted by distance: see "
          f"docs/equations.md)\n")
    print(neighbours(model.wv))
    print(f"""
Saved {len(model.wv):,} vectors of {model.vector_size} numbers to {output}.
To go on, in Python:

  from tinygrad_w2v.word2vec import WordVectors
  wv = WordVectors.load({str(output)!r})
  wv.most_similar("error")
  wv.analogy("true", "false", "left")
  wv.similarity("red", "blue")

Or train on a text of yours, a sentence a line:

  from tinygrad_w2v.word2vec import SkipGram
  wv = SkipGram(loss="softmax").fit("my.txt").wv""")


def derivation(model: SkipGram) -> str:
    """E4 for a pair of words of the model's corpus, in three ways, as a table."""
    c, o = closest_pair(model.counts)
    words = model.vocabulary.words
    v, U = model.V.numpy()[c].astype(float), model.U.numpy().astype(float)
    d = centre_gradient(v, U, o)
    lines = [
        "E4, checked: ∂ log P(o|c) / ∂v_c = u_o − Σ_x P(x|c) u_x, observed − expected,",
        f"for the centre word c = {words[c]!r} and the word o = {words[o]!r} beside it, at the "
        "start:",
        f"P(o|c) = {probabilities(v, U)[o]:.6f}, where 1/n = {1 / len(U):.6f}",
        "",
        f"  {'component':<16}" + "".join(f"{i:>11}" for i in range(1, 6)) + "  …",
    ]
    for name, values in (("by hand", d.by_hand), ("by autodiff", d.by_autodiff),
                         ("by differences", d.by_differences)):
        lines.append(f"  {name:<16}" + "".join(f"{x:>11.6f}" for x in values[:5]) + "  …")
    apart = np.max(np.abs(d.by_hand - d.by_differences))
    return "\n".join([*lines, "", f"  at most {d.error:.1e} from autodiff and {apart:.1e} from "
                      f"differences, in all {len(v)}"])


def closest_pair(counts: CoOccurrences) -> tuple[int, int]:
    """The two words, not among the 100 most frequent, that stand together most beyond chance."""
    centre = np.repeat(np.arange(counts.n), np.diff(counts.starts))
    chance = counts.totals[centre] * counts.totals[counts.outside] / counts.totals.sum()
    surplus: Array = counts.count * np.log(counts.count / chance)
    common = min(100, counts.n // 2)
    surplus[(centre == counts.outside) | (centre < common) | (counts.outside < common)] = 0
    best = int(np.argmax(surplus))
    return int(centre[best]), int(counts.outside[best])


def neighbours(wv: WordVectors) -> str:
    """A table of the nearest words of some words that a person can judge."""
    lines = []
    for title, words in SHOWN.items():
        lines.append(title)
        for word in filter(wv.__contains__, words):
            lines.append(f"  {word:<9}")
            for near, cosine in wv.most_similar(word, topn=5):
                if len(entry := f"  {near} {cosine:.2f}") + len(lines[-1]) <= 80:
                    lines[-1] += entry
    return "\n".join(lines)
