"""What commands are told: their parser, types of options, options that several commands have."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from typing import Any, NoReturn

from ..word2vec.formats import READERS
from .terminal import complain

Options = argparse.Namespace


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that says in one line what is wrong, and takes no abbreviations."""

    def __init__(self, **settings: Any):
        super().__init__(allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        complain(f"{message}; for the usage: {self.prog} --help")
        self.exit(2)


def whole(least: int) -> Callable[[str], int]:
    """A type of options: whole numbers from `least` up."""
    def number(text: str) -> int:
        with contextlib.suppress(ValueError):
            if (value := int(text)) >= least:
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} up")
    return number


def vectors_options(added: Parser, name: str = "VECTORS") -> None:
    """Add the file of vectors that a command reads, and --from."""
    added.add_argument("vectors", metavar=name, help="a file of word vectors, of any format")
    added.add_argument("--from", dest="format", choices=READERS, metavar="FORMAT",
                       help=f"the format of {name}, if its first bytes mislead: "
                       f"{', '.join(READERS)}")
