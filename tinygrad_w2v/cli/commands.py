"""All commands on a page: their names, what their help says, and how the program ends."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from ..word2vec.formats import SUFFIXES
from .asking import analogy, analogy_options, similar, similar_options
from .demo import demo, demo_options
from .files import convert, convert_options
from .mapping import map_, map_options
from .options import Options, Parser
from .scoring import evaluate, evaluate_options
from .terminal import complain, hush, note_stop
from .training import train, train_options


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
        hush(sys.stderr)
        return 1
    except KeyboardInterrupt:
        note_stop("files are written whole or not at all")
        return 130
    except (OSError, ValueError, ArithmeticError, MemoryError) as error:
        complain(error)
        return 1
    return code


def parser() -> Parser:
    """The commands and their options."""
    top = Parser(
        prog="tinygrad-w2v", description="Skip-gram word vectors through a teaching autodiff.",
        epilog="Without a command: demo. Each command tells more: tinygrad-w2v train --help")
    top.add_argument("--version", action="version", version=f"tinygrad-w2v {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(run: Callable[[Options], int], summary: str, description: str,
                examples: str) -> Parser:
        name = run.__name__.rstrip("_")
        added: Parser = commands.add_parser(
            name, help=summary, description=inspect.cleandoc(description),
            epilog="examples:\n" + "\n".join(f"  tinygrad-w2v {name} {line}".rstrip()
                                             for line in inspect.cleandoc(examples).split("\n")))
        added.set_defaults(run=run, usage=added.error)
        added.add_argument("--json", action="store_true", help="print the result as JSON")
        return added

    demo_options(command(
        demo, "train on the documentation inside this Python, show neighbours",
        """Check E4 on a pair of words, train skip-gram with the exact objective on the
        documentation inside this Python and NumPy, save the vectors, and print
        neighbours. The extracted text is kept in the user's cache folder for the next
        run.""",
        "\n-o docs.safetensors --passes 5"))
    train_options(command(
        train, "train word vectors on a text",
        """Train skip-gram word vectors on texts: a sentence a line, words between white
        space; .gz, .bz2 and .xz are unpacked. Ctrl-C leaves a checkpoint, and the same
        command goes on from it.""",
        """corpus.txt -o vectors.safetensors
        corpus.txt -o vectors.bin --window 10 --epochs 5
        corpus.txt -o exact.safetensors --loss softmax"""))
    similar_options(command(
        similar, "print the nearest words of each word",
        """Print the words with the greatest cosines to each WORD, or to all together:
        to the sum of their vectors, each at length 1.""",
        """documentation.safetensors red monday
        documentation.safetensors red green --together --topn 5
        documentation.safetensors float --minus double"""))
    analogy_options(command(
        analogy, "answer: A is to B as C is to what",
        """Print the words nearest to B − A + C, all at length 1: A is to B as C is to
        these.""",
        "documentation.safetensors true false left"))
    evaluate_options(command(
        evaluate, "score vectors on word pairs and analogies",
        """Score vectors on files of word pairs, such as WordSim-353 (a word, a word and a
        judgement a line, between tabs, commas or white space), and of analogies, such
        as questions-words.txt (sections, a line ": name" each, of four words a line).
        Which it is, is seen from the first line.""",
        "vectors.safetensors wordsim353.tsv questions-words.txt"))
    convert_options(command(
        convert, "write vectors in another format",
        f"""Read vectors in any format, and write them in another: in that of --to, or in
        the one that the name of OUT ends in:
        {', '.join(SUFFIXES)},
        all but the first also with .gz. What a format cannot hold (counts; how the
        vectors were made) is left out.""",
        """documentation.safetensors documentation.bin
        documentation.safetensors documentation.vec.gz
        documentation.safetensors plain --to glove"""))
    map_options(command(
        map_, "draw a map of words, as a page with a search",
        """Write a page of one file, for any browser and without a network: words in the
        plane in which their vectors vary most, to look around and nearer in, and to
        search. Beside the map stand the nearest words of a word, by cosine, in all
        dimensions, over the whole vocabulary.""",
        """documentation.safetensors -o map.html
        documentation.safetensors -o near.html --around monday red
        documentation.safetensors -o few.html --only monday sunday"""))
    return top
