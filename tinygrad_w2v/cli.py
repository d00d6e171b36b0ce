"""The command line: ``tinygrad-w2v`` once installed, or ``python -m tinygrad_w2v``.

Results go to standard output, messages and progress to standard error. docs/command-line.md tells
all.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import json
import math
import os
import shlex
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from . import __version__
from .sparse import Array
from .word2vec import SkipGram, WordVectors, documentation
from .word2vec.derivation import centre_gradient, probabilities
from .word2vec.files import check_writable, reading
from .word2vec.formats import READERS, SUFFIXES, WRITERS
from .word2vec.model import EPOCHS, RATES
from .word2vec.objective import CoOccurrences
from .word2vec.vectors import UnknownWordError, read_vectors, write_vectors

Options = argparse.Namespace
Question = tuple[list[str], list[str]]  # words whose vectors are added, and subtracted

SHOWN = {
    "days": ["monday", "week"],
    "colours": ["red", "blue"],
    "numbers": ["two", "three", "integer"],
    "programming": ["exception", "file", "string", "list", "class", "true", "thread", "maximum"],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code: 0, 1 (something failed), 130 (Ctrl-C).

    Bad usage, and a request for help, raise SystemExit, with code 2 and 0.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0][:1] == "-" and given[0] not in ("-h", "--help", "--version")):
        given.insert(0, "demo")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Σ shows ?
    options = parser().parse_args(given)
    try:
        code: int = options.run(options)
    except BrokenPipeError:  # of standard error: `tell` sees to standard output
        _hush(sys.stderr)
        return 1
    except KeyboardInterrupt:
        note_stop("files are written whole or not at all")
        return 130
    except (OSError, ValueError, ArithmeticError, MemoryError) as error:
        complain(error)
        return 1
    return code


# ── what is said ──


def message(error: BaseException | str) -> str:
    """What an error says, in one line."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    return shown(" ".join(text.split()) or type(error).__name__)


def complain(error: BaseException | str) -> None:
    """Say what went wrong, in one line on standard error."""
    print(f"tinygrad-w2v: error: {message(error)}", file=sys.stderr)


def note_stop(text: str) -> None:
    """Say on standard error what became of the work that Ctrl-C ended."""
    start = "\n" if sys.stderr.isatty() else ""  # the line begins with ^C
    print(f"{start}stopped; {message(text)}", file=sys.stderr)


def tell(text: str) -> None:
    """Print a part of the result; it is no error if the reader has seen enough (`… | head`)."""
    try:
        print(text, flush=True)
    except OSError as error:
        _hush(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise


def _hush(stream: IO[str]) -> None:
    """Have what is printed from now on, and what Python flushes at its end, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show(options: Options, document: Any, text: str) -> None:
    """Print a result for people, or with --json for programs."""
    text = json.dumps(document, indent=2, allow_nan=False) if options.json else text
    if text:
        tell(text)


def shown(text: str) -> str:
    r"""`text` with what would harm a terminal, or is not in its alphabet, as escapes such as \x1b.

    >>> print(shown("caf\u00e9"), shown("\x1b[2J"))
    café \x1b[2J
    """
    for hidden in {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}:
        text = text.replace(hidden, hidden.encode("unicode_escape").decode())
    alphabet = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(alphabet, "backslashreplace").decode(alphabet)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Indented lines, the first column to the left, the others to the right.

    >>> print(table([["red", "0.5"], ["赤い", "-0.25"]]))
      red     0.5
      赤い  -0.25
    """
    rows = [[shown(cell) for cell in row] for row in rows]
    widths = [min(40, max(map(columns, cells))) for cells in zip(*rows, strict=True)]
    return "\n".join(f"  {row[0]}{' ' * (widths[0] - columns(row[0]))}" + "".join(
        f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows)


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian letters two, accents none."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else
               unicodedata.category(c) not in ("Mn", "Me", "Cf") for c in text)


# ── options ──


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that says in one line what is wrong, and takes no abbreviations."""

    def __init__(self, **settings: Any):
        super().__init__(allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        complain(f"{message}; for the usage: {self.prog} --help")
        self.exit(2)


def parser() -> Parser:
    """The commands and their options."""
    top = Parser(
        prog="tinygrad-w2v", description="Skip-gram word vectors through a teaching autodiff.",
        epilog="Without a command: demo. Each command tells more: tinygrad-w2v train --help")
    top.add_argument("--version", action="version", version=f"tinygrad-w2v {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(run: Callable[[Options], int], summary: str, description: str,
                examples: str) -> Parser:
        name = run.__name__
        added: Parser = commands.add_parser(
            name, help=summary, description=inspect.cleandoc(description),
            epilog="examples:\n" + "\n".join(f"  tinygrad-w2v {name} {line}".rstrip()
                                             for line in inspect.cleandoc(examples).split("\n")))
        added.set_defaults(run=run, usage=added.error)
        added.add_argument("--json", action="store_true", help="print the result as JSON")
        return added

    _demo_options(command(
        demo, "train on the documentation inside this Python, show neighbours",
        """Check E4 on a pair of words, train skip-gram with the exact objective on the
        documentation inside this Python and NumPy, save the vectors, and print
        neighbours. The extracted text is kept in the user's cache folder for the next
        run.""",
        "\n-o docs.safetensors --passes 5"))
    _train_options(command(
        train, "train word vectors on a text",
        """Train skip-gram word vectors on texts: a sentence a line, words between white
        space; .gz, .bz2 and .xz are unpacked. Ctrl-C leaves a checkpoint, and the same
        command goes on from it.""",
        """corpus.txt -o vectors.safetensors
        corpus.txt -o vectors.bin --window 10 --epochs 5
        corpus.txt -o exact.safetensors --loss softmax"""))
    _similar_options(command(
        similar, "print the nearest words of each word",
        """Print the words with the greatest cosines to each WORD, or to all together:
        to the sum of their vectors, each at length 1.""",
        """documentation.safetensors red monday
        documentation.safetensors red green --together --topn 5
        documentation.safetensors float --minus double"""))
    _analogy_options(command(
        analogy, "answer: A is to B as C is to what",
        """Print the words nearest to B − A + C, all at length 1: A is to B as C is to
        these.""",
        "documentation.safetensors true false left"))
    _evaluate_options(command(
        evaluate, "score vectors on word pairs and analogies",
        """Score vectors on files of word pairs, such as WordSim-353 (a word, a word and a
        judgement a line, between tabs, commas or white space), and of analogies, such
        as questions-words.txt (sections, a line ": name" each, of four words a line).
        Which it is, is seen from the first line.""",
        "vectors.safetensors wordsim353.tsv questions-words.txt"))
    _convert_options(command(
        convert, "write vectors in another format",
        f"""Read vectors in any format, and write them in another: in that of --to, or in
        the one that the name of OUT ends in:
        {', '.join(SUFFIXES)},
        all but the first also with .gz. What a format cannot hold (counts; how the
        vectors were made) is left out.""",
        """documentation.safetensors documentation.bin
        documentation.safetensors documentation.vec.gz
        documentation.safetensors plain --to glove"""))
    return top


def whole(least: int) -> Callable[[str], int]:
    """A type of options: whole numbers from `least` up."""
    def number(text: str) -> int:
        with contextlib.suppress(ValueError):
            if (value := int(text)) >= least:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} up")
    return number


def _vectors_options(added: Parser, name: str = "VECTORS") -> None:
    added.add_argument("vectors", metavar=name, help="a file of word vectors, of any format")
    added.add_argument("--from", dest="format", choices=READERS, metavar="FORMAT",
                       help=f"the format of {name}, if its first bytes mislead: "
                       f"{', '.join(READERS)}")


# ── demo ──


def _demo_options(added: Parser) -> None:
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
    show(options, {"output": str(output), "words": len(wv), "tokens": tokens, "passes": passes,
                   "e1_before": before, "e1": after, "seconds": seconds}, "")
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


# ── train ──

NUMBERS: dict[str, tuple[type, str]] = {  # options of `train` that are parameters of SkipGram
    "vector_size": (int, "numbers in a vector"),
    "window": (int, "how far to the left and right a word looks"),
    "min_count": (int, "words that occur less often are left out"),
    "negative": (int, "with --loss negative: words drawn for each pair"),
    "sample": (float, "with --loss negative: the share of the text above which a frequent word is "
               "thinned out; 0: never"),
    "ns_exponent": (float, "with --loss negative: the power of the counts by which words are "
                    "drawn"),
    "epochs": (int, "passes over the text"),
    "lr": (float, "learning rate"),
    "workers": (int, "processes that share the work of --loss negative; the result is the same for "
                "any number"),
    "seed": (int, "the same seed gives the same vectors"),
}
DEFAULTS: dict[str, Any] = {
    name: parameter.default for name, parameter in inspect.signature(SkipGram).parameters.items()}


def _train_options(added: Parser) -> None:
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
    _check_apart(corpus, output, checkpoint)
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
    show(options, {"output": str(output), "words": len(wv), "dropped": dropped,
                   "tokens": len(model.corpus), "passes": len(model.losses),
                   "losses": model.losses, "seconds": seconds, "settings": wv.settings},
         "\n".join(f"  {name:<8}  {text}" for name, text in lines.items()))
    return 0


def _check_apart(corpus: Sequence[Path], *written: Path) -> None:
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


# ── files of vectors ──


def read(options: Options) -> WordVectors:
    """The vectors that a command asks for."""
    try:
        return read_vectors(options.vectors, options.format)
    except ValueError as error:
        raise ValueError(str(error).replace("pass format=", "pass --from")) from error


def write(wv: WordVectors, path: Path, format: str | None) -> None:
    """Write vectors in a format, or in that of the file's name."""
    try:
        write_vectors(wv, path, format)
    except ValueError as error:
        raise ValueError(str(error).replace("pass format=", "pass --to")) from error


def check_output(path: Path, format: str | None) -> None:
    """Raise what writing vectors to `path` would: before the work rather than after it."""
    check_writable(path)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write(WordVectors(["word"], np.ones((1, 1))), Path(path.name), format)


def _convert_options(added: Parser) -> None:
    _vectors_options(added, "IN")
    added.add_argument("output", metavar="OUT", help="where to write them")
    added.add_argument("--to", choices=WRITERS, metavar="FORMAT",
                       help=f"the format to write: {', '.join(WRITERS)}; projector also writes "
                       "OUT_metadata.tsv, with the words")


def convert(options: Options) -> int:
    """Write vectors in another format."""
    output = Path(options.output)
    check_output(output, options.to)
    wv = read(options)
    write(wv, output, options.to)
    words, size = wv.vectors.shape
    show(options, {"output": str(output), "words": words, "vector_size": size},
         f"{words:,} vectors of {size} numbers written to {shown(str(output))}")
    return 0


# ── questions ──


def _similar_options(added: Parser) -> None:
    _vectors_options(added)
    added.add_argument("words", metavar="WORD", nargs="+",
                       help="a word; after -- also one that begins with -")
    added.add_argument("--together", action="store_true",
                       help="ask one question, for the words near to the sum of all")
    added.add_argument("--minus", metavar="WORD", action="append", default=[],
                       help="subtract a word from that sum; may be given several times")
    _topn_option(added)


def _topn_option(added: Parser) -> None:
    added.add_argument("--topn", type=whole(1), default=10, metavar="N",
                       help="how many words to print (default: %(default)s)")


def similar(options: Options) -> int:
    """Print the nearest words of words."""
    if options.together or options.minus:
        return answer(options, [(options.words, options.minus)])
    return answer(options, [([word], []) for word in options.words])


def _analogy_options(added: Parser) -> None:
    _vectors_options(added)
    for name in "abc":
        added.add_argument(name, metavar=name.upper(), help="a word")
    _topn_option(added)


def analogy(options: Options) -> int:
    """Answer what C is to as A is to B."""
    return answer(options, [([options.b, options.c], [options.a])])


def answer(options: Options, questions: Sequence[Question]) -> int:
    """Print the answers to all questions that have one, and say why others have none."""
    wv, answers, errors = read(options), list[dict[str, Any]](), list[str]()
    for plus, minus in questions:
        words = dict.fromkeys([*plus, *minus])
        if unknown := [str(UnknownWordError(word, wv)) for word in words if word not in wv]:
            errors += unknown
            continue
        try:
            near = wv.most_similar(plus, minus, options.topn)
        except ValueError as error:  # a vector that is not finite
            errors.append(str(error))
            continue
        answers.append({"plus": plus, "minus": minus, "neighbours": [
            {"word": word, "cosine": cosine} for word, cosine in near]})
    for text in errors:
        complain(text)
    show(options, {"answers": answers, "errors": errors}, "\n\n".join(map(answer_text, answers)))
    return 1 if errors else 0


def answer_text(answer: dict[str, Any]) -> str:
    """One answer as a table."""
    question = " − ".join([" + ".join(answer["plus"]), *answer["minus"]])
    return f"{shown(question)}\n" + table(
        [near["word"], f"{near['cosine']:.4f}"] for near in answer["neighbours"])


def _evaluate_options(added: Parser) -> None:
    _vectors_options(added)
    added.add_argument("files", metavar="FILE", nargs="+",
                       help="word pairs or analogies; .gz is unpacked")
    added.add_argument("--restrict-vocab", type=whole(1), default=300_000, metavar="N",
                       help="only the first N words are known (default: %(default)s)")
    added.add_argument("--case-sensitive", action="store_true",
                       help="look words up as they are spelt, not by their upper case")


def evaluate(options: Options) -> int:
    """Print scores on files of word pairs and of analogies."""
    wv, scores, errors = read(options), list[dict[str, Any]](), list[str]()
    for file in options.files:
        try:
            scores.append(score(wv, file, options.restrict_vocab, not options.case_sensitive))
        except (OSError, ValueError) as error:
            errors.append(message(error))
            complain(error)
    show(options, {"scores": scores, "errors": errors}, "\n\n".join(map(score_text, scores)))
    return 1 if errors else 0


def score(wv: WordVectors, file: str, known: int, fold: bool) -> dict[str, Any]:
    """What evaluating the vectors on a file gives; NaN is None."""
    kind, delimiter = kind_of(Path(file))
    if kind == "word pairs":
        pairs = wv.evaluate_word_pairs(file, delimiter, known, fold)
        values = {name: None if math.isnan(x) else x for name, x in pairs._asdict().items()}
        return {"file": file, "kind": kind, **values}
    solved = wv.evaluate_analogies(file, known, fold)
    return {"file": file, "kind": kind, **solved._asdict(),
            "sections": [section._asdict() for section in solved.sections]}


def kind_of(path: Path) -> tuple[str, str | None]:
    """Whether a file has "analogies" or "word pairs", and what stands between a pair's words."""
    with reading(path) as file:
        start = file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").splitlines()
    first = next((line for line in start if line.strip() and not line.startswith(b"#")), b"")
    delimiter = next((mark for mark in ("\t", ",") if mark.encode() in first), None)
    if first.startswith(b":") or (delimiter is None and len(first.split()) == 4):
        return "analogies", None
    return "word pairs", delimiter


def score_text(score: dict[str, Any]) -> str:
    """One file's scores as a table."""
    if score["kind"] == "word pairs":
        rows = [[name, "undefined" if score[name] is None else f"{score[name]:.4f}"]
                for name in ("spearman", "pearson")]
        rows += [["pairs used", f"{score['used']:,}"], ["unknown", f"{score['unknown']:.1%}"]]
    else:
        every = {"name": "all", "unknown": score["unknown"], **{
            name: sum(section[name] for section in score["sections"])
            for name in ("correct", "total")}}
        rows = [["section", "correct", "of", "share", "unknown"]]
        rows += [[part["name"], f"{part['correct']:,}", f"{part['total']:,}",
                  f"{part['correct'] / part['total']:.1%}" if part["total"] else "none",
                  f"{part['unknown']:.1%}"] for part in [*score["sections"], every]]
    return f"{shown(score['file'])}: {score['kind']}\n{table(rows)}"
