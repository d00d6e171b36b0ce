"""Files of vectors: how commands read and write them, and `convert`, which does just that.

A place that cannot be written is refused before the work.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from ..word2vec import WordVectors
from ..word2vec.files import check_writable
from ..word2vec.formats import WRITERS
from ..word2vec.vectors import read_vectors, write_vectors
from .options import Options, Parser, vectors_options
from .terminal import show, shown


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


def convert_options(added: Parser) -> None:
    """Add what `convert` is told."""
    vectors_options(added, "IN")
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
    show({"output": str(output), "words": words, "vector_size": size},
         f"{words:,} vectors of {size} numbers written to {shown(str(output))}", options.json)
    return 0
