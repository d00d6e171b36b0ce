"""`map`: words and their neighbours as a page of one file, with a search."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..draw.words import AROUND, SHOWN, word_map, words_around
from ..word2vec import WordVectors
from ..word2vec.files import check_writable, write_atomically
from ..word2vec.vectors import UnknownWordError
from .files import read
from .options import Options, Parser, vectors_options, whole
from .terminal import complain, show, shown

PAGES = {".html", ".htm", ""}  # what the name of a page may end in


def map_options(added: Parser) -> None:
    """Add what `map` is told."""
    vectors_options(added)
    added.add_argument("-o", "--output", required=True, metavar="FILE",
                       help="where to write the page, such as map.html")
    added.add_argument("--words", type=whole(1), metavar="N",
                       help=f"how many words to show: the first in the file, by custom the most "
                       f"frequent (default: {SHOWN:,}), or those around others (default: {AROUND})")
    which = added.add_mutually_exclusive_group()
    which.add_argument("--around", nargs="+", metavar="WORD",
                       help="show these words, and those nearest to them")
    which.add_argument("--only", nargs="+", metavar="WORD", help="show these words, and no others")
    added.add_argument("--topn", type=whole(1), default=10, metavar="N",
                       help="how many nearest words to list of each (default: %(default)s)")


def map_(options: Options) -> int:
    """Write a map of words as a page; words that are not known are reported and left out."""
    if options.only and options.words:
        options.usage("--words: not allowed with --only, which shows as many as it names")
    source, output = Path(options.vectors), Path(options.output)
    if output.exists() and source.exists() and output.samefile(source):
        raise ValueError(f"{output} holds the vectors: name another file for the map")
    if output.suffix.lower() not in PAGES:
        raise ValueError(f"{output}: a map is a page, and its name ends in .html")
    check_writable(output)
    wv = read(options)
    errors, known = sort_out(wv, options.around or options.only or ())
    for text in errors:
        complain(text)
    if errors and not known:
        show({"output": None, "words": 0, "vocabulary": len(wv), "variance": [], "lost": [],
              "errors": errors}, "", options.json)
        return 1
    if options.around:
        made = word_map(wv, words_around(wv, known, options.words or AROUND), options.topn,
                        f"those around {', '.join(known)}")
    else:
        made = word_map(wv, known or options.words or SHOWN, options.topn)
    page = made.page(f"Word map of {source.name}")
    write_atomically(output, page.encode())
    lines = [f"{len(made.words):,} of {len(wv):,} words written to {output}",
             *(f"  {axis}" for axis in made.axes)]
    if made.lost:
        lines.append(f"  left out, since their vectors are not finite: {', '.join(made.lost)}")
    show({"output": str(output), "words": len(made.words), "vocabulary": len(wv),
          "variance": made.plane.shares.tolist(), "lost": made.lost, "errors": errors},
         "\n".join(map(shown, lines)), options.json)
    return 1 if errors else 0


def sort_out(wv: WordVectors, words: Iterable[str]) -> tuple[list[str], list[str]]:
    """What is to be said of words that have no vector, or none that is finite, and the others."""
    errors, known = [], []
    for word in dict.fromkeys(words):
        try:
            wv.most_similar(word, topn=0)
            known.append(word)
        except (UnknownWordError, ValueError) as error:
            errors.append(str(error))
    return errors, known
