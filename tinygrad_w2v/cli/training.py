"""`train`: word vectors of a text. Every parameter of `SkipGram` is an option.

What cannot be written is refused before the work; Ctrl-C leaves a checkpoint to go on from.
"""

from __future__ import annotations

import inspect
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..word2vec import SkipGram
from ..word2vec.files import check_writable
from ..word2vec.formats import SUFFIXES, WRITERS
from ..word2vec.model import EPOCHS, RATES
from .files import check_output, write
from .options import Options, Parser
from .terminal import note_stop, show, shown

NUMBERS: dict[str, tuple[type, str]] = {  # options of `train` that are parameters of SkipGram
    "vector_size": (int, "numbers in a vector"),
    "window": (int, "how far to the left and right a word looks"),
    "min_count": (int, "words that occur less often are left out"),
    "negative": (int, "with --loss negative: words drawn for each pair"),
    "sample": (float, "with --loss negative: the share of the text above which a frequent word is "
               "thinned out; 0: never"),
    "ns_exponent": (float, "with --loss negative: the power of the counts by which words are "
                    "drawn"),
    "exact_words": (int, "with --loss softmax: the objective is summed over so many of the most "
                    "frequent words; rarer ones are folded in afterwards"),
    "epochs": (int, "passes over the text"),
    "lr": (float, "learning rate"),
    "workers": (int, "processes that share the work of --loss negative; the result is the same for "
                "any number"),
    "seed": (int, "the same seed gives the same vectors"),
}
DEFAULTS: dict[str, Any] = {
    name: parameter.default for name, parameter in inspect.signature(SkipGram).parameters.items()}


def train_options(added: Parser) -> None:
    """Add what `train` is told."""
    added.add_argument("corpus", metavar="CORPUS", nargs="+",
                       help="a text, or a folder of texts; - alone is standard input")
    added.add_argument("-o", "--output", required=True, metavar="FILE",
                       help="where to write the vectors; the format is --format, or what the name "
                       f"ends in: {', '.join(SUFFIXES)}, all but the first also with .gz")
    added.add_argument("--format", "--to", choices=WRITERS, metavar="FORMAT",
                       help=f"the format of the vectors: {', '.join(WRITERS)}")
    added.add_argument("--vectors", choices=("v", "u", "v+u"),
                       help="centre vectors, outside vectors, or their sum (default: "
                       "what scores best)")
    added.add_argument("--loss", choices=EPOCHS, default=DEFAULTS["loss"],
                       help="negative sampling, or softmax: the exact objective (default: "
                       "%(default)s)")
    for name, (kind, text) in NUMBERS.items():
        default = DEFAULTS[name]
        about = str(default)
        if name == "workers":
            default = usable_processors()
            about = f"{default}, the processors that can be used"
        elif default is None:
            about = ", ".join(f"{value} for {loss}" for loss, value in RATES.items())
            if name == "epochs":
                about = (f"{EPOCHS['softmax']} for softmax; {EPOCHS['negative']} for negative, up "
                         "to 4 for short texts")
        added.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default,
                           metavar="N" if kind is int else "X", help=f"{text} (default: {about})")
    added.add_argument("--no-shrink-windows", dest="shrink_windows", action="store_false",
                       help="weigh all words of a window alike, not near ones more")
    added.add_argument("--no-bias", dest="bias", action="store_false",
                       help="with --loss softmax: no output bias, which is E2 to the letter")
    added.add_argument("--tolerance", type=float, metavar="X",
                       help="end when the loss falls by less than this share of itself in a pass")
    added.add_argument("--checkpoint", metavar="FILE",
                       help="where the training is kept after every pass and on Ctrl-C, to go on "
                       "from (default: OUTPUT.checkpoint, which is removed at the end; one that is "
                       "named here is kept)")
    added.add_argument("--quiet", action="store_true", help="show no progress")


def usable_processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def train(options: Options) -> int:
    """Train on a text, and write the vectors."""
    names = (*NUMBERS, "loss", "shrink_windows", "bias")
    try:
        model = SkipGram(**{name: getattr(options, name) for name in names})
    except ValueError as error:  # it begins with the name of the parameter
        name, _, rest = str(error).partition(" ")
        options.usage(f"--{name.replace('_', '-')} {rest}")
    if options.tolerance is not None and not options.tolerance >= 0:
        options.usage(f"--tolerance is a number from 0 up, not {options.tolerance}")
    output = Path(options.output)
    checkpoint = Path(options.checkpoint or f"{output}.checkpoint")
    corpus = [] if options.corpus == ["-"] else [Path(path) for path in options.corpus]
    check_apart(corpus, output, checkpoint)
    check_output(output, options.format)
    check_writable(checkpoint)
    if checkpoint.exists() and not options.quiet:
        print(f"going on from {checkpoint}", file=sys.stderr)
    begun = time.perf_counter()
    try:
        model.fit(corpus or lines_of_input(), not options.quiet, checkpoint,
                  tolerance=options.tolerance)
        wv = model.word_vectors(options.vectors) if options.vectors else model.wv
        write(wv, output, options.format)
    except KeyboardInterrupt:
        note_stop(f"the training so far is in {checkpoint}: the same command goes on from there"
                  if checkpoint.exists() else "there was nothing to keep yet")
        return 130
    if options.checkpoint is None:
        checkpoint.unlink(missing_ok=True)
    seconds, dropped = time.perf_counter() - begun, len(model.vocabulary.dropped)
    lines = {
        "words": f"{len(wv):,} ({dropped:,} rarer ones left out)",
        "tokens": f"{len(model.corpus):,}",
        "passes": f"{len(model.losses)}",
        "loss": f"{model.losses[-1]:.4f}" if model.losses else "none",
        "seconds": f"{seconds:.1f}",
        "vectors": f"{wv.settings['vectors']}, {model.vector_size} numbers each",
        "file": shown(str(output)),
    }
    show({"output": str(output), "words": len(wv), "dropped": dropped,
          "tokens": len(model.corpus), "passes": len(model.losses), "losses": model.losses,
          "seconds": seconds, "settings": wv.settings},
         "\n".join(f"  {name:<8}  {text}" for name, text in lines.items()), options.json)
    return 0


def check_apart(corpus: Sequence[Path], *written: Path) -> None:
    """ValueError if a file that will be written is the corpus, or would become a part of it."""
    places = [path.resolve() for path in written]
    if len({*places}) < len(places):
        raise ValueError(f"vectors and checkpoint would both be {written[0]}: name two files")
    for source in corpus:
        for path, place in zip(written, places, strict=True):
            if source.resolve() in (place, *place.parents):
                raise ValueError(f"{path} would be written into the corpus {source}: name another "
                                 "place")


def lines_of_input() -> Iterator[list[str]]:
    """The sentences on standard input."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="replace")
    for line in sys.stdin:
        yield line.split()
