"""What is said: results on standard output, messages on standard error, an error in one line.

Any word can be printed, on any terminal: what would harm it, or is not in its alphabet, is shown as
an escape, and columns are aligned by the width of their letters.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import IO, Any


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
        hush(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise


def hush(stream: IO[str]) -> None:
    """Have what is printed from now on, and what Python flushes at its end, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show(document: Any, text: str, as_json: bool) -> None:
    """Print a result: its `text` for people, or with --json its `document` for programs."""
    text = json.dumps(document, indent=2, allow_nan=False) if as_json else text
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
