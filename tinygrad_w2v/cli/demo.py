"""`demo`: skip-gram on the documentation inside this Python, from the derivation to neighbours."""

from __future__ import annotations

import shlex
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from ..sparse import Array
from ..word2vec import SkipGram, WordVectors, documentation
from ..word2vec.derivation import centre_gradient, probabilities
from ..word2vec.files import check_writable
from ..word2vec.objective import CoOccurrences
from .options import Options, Parser, whole
from .terminal import show, tell

SHOWN = {
    "days": ["monday", "week"],
    "colours": ["red", "blue"],
    "numbers": ["two", "three", "integer"],
    "programming": ["exception", "file", "string", "list", "class", "true", "thread", "maximum"],
}


def demo_options(added: Parser) -> None:
    """Add what `demo` is told."""
    added.add_argument("-o", "--output", default="documentation.safetensors", metavar="FILE",
                       help="where to save the vectors; a file that is there is replaced "
                       "(default: %(default)s)")
    added.add_argument("--passes", type=whole(1), default=10, metavar="N",
                       help="passes over the objective (default: %(default)s)")
    added.add_argument("--seed", type=whole(0), default=0, metavar="N",
                       help="the same seed gives the same vectors (default: %(default)s)")


def demo(options: Options) -> int:
    """Train on the embedded corpus, from the derivation to the table of neighbours."""
    say = partial(print, file=sys.stderr) if options.json else tell
    output, passes = Path(options.output), options.passes
    model = SkipGram(loss="softmax", epochs=passes, seed=options.seed)
    check_writable(output)
    say("Reading the documentation inside this Python (some seconds, the first time) …")
    text, remarks = documentation()
    for remark in remarks:
        say(f"  note: {remark}")
    model.start(text)
    tokens = sum(map(len, text))
    say(f"  {tokens:,} words; {len(model.vocabulary):,} different ones occur {model.min_count} "
        "times or more\n")
    say(derivation(model))
    before = model.objective(text)
    say(f"\nMinimising E1, summed over all {len(model.vocabulary):,} words: {passes} "
        f"pass{'es' if passes > 1 else ''} …")
    begun = time.perf_counter()
    model.run()
    seconds = time.perf_counter() - begun
    wv, after = model.wv, model.objective(text)
    wv.save(output)
    say(f"  E1 fell from {before:.3f} to {after:.3f} per position in {seconds:.1f} s\n"
        "  (with an output bias, and windows weighted by distance: see docs/equations.md)\n")
    say(neighbours(wv))
    say(f"""
Saved {len(wv):,} vectors of {model.vector_size} numbers to {output}.
To go on, in a shell:

  tinygrad-w2v similar {shlex.quote(str(output))} error
  tinygrad-w2v train my.txt -o my.safetensors

or in Python:

  from tinygrad_w2v.word2vec import WordVectors
  wv = WordVectors.load({str(output)!r})
  wv.most_similar("error")
  wv.analogy("true", "false", "left")
  wv.similarity("red", "blue")

Or train on a text of yours, a sentence a line:

  from tinygrad_w2v.word2vec import SkipGram
  wv = SkipGram(loss="softmax").fit("my.txt").wv""")
    show({"output": str(output), "words": len(wv), "tokens": tokens, "passes": passes,
          "e1_before": before, "e1": after, "seconds": seconds}, "", options.json)
    return 0


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
