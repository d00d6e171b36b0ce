"""The embedded corpus: the documentation that comes with Python and NumPy on every machine.

About half a million words of real English, with no download and no licence to ask: the docstrings
of the standard library and of NumPy, and Python's own help topics. Sources are read, never
imported: nothing runs, and `python -OO`, which strips docstrings, finds the same text.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .files import write_atomically

SKIPPED = {"__pycache__", "idlelib", "lib2to3", "site-packages", "test", "tests", "turtledemo"}
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


def documentation() -> tuple[list[list[str]], list[str]]:
    """The corpus, as paragraphs of lower-case words; and remarks on what was not there.

    The first call takes some seconds. Later ones read the text from the user's cache folder, if it
    could be written to.
    """
    library, arrays = Path(sysconfig.get_path("stdlib")), Path(np.__file__).parent
    version = f"1 {sys.version} {np.__version__} {library} {arrays}"
    name = f"documentation-{hashlib.sha256(version.encode()).hexdigest()[:16]}.txt"
    cache = cache_folder() / name
    try:
        if kept := cache.read_text(encoding="ascii").splitlines():
            return [line.split() for line in kept], []
    except (OSError, UnicodeDecodeError):
        pass  # not there yet, or damaged: it is made again
    paragraphs = list(extract(library, arrays))
    remarks = [f"{what} not found in {library}: the corpus is smaller than it could be"
               for what, file in (("the sources of the standard library", "ast.py"),
                                  ("Python's help topics", "pydoc_data/topics.py"))
               if not (library / file).is_file()]
    try:
        write_atomically(cache, "\n".join(paragraphs).encode("ascii"))
    except OSError as error:
        remarks.append(f"the extracted text could not be kept for the next run: {error}")
    return [paragraph.split() for paragraph in paragraphs], remarks


def cache_folder() -> Path:
    """The folder for what can be made again: $XDG_CACHE_HOME, or the system's usual place."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "tinygrad_w2v"


def extract(*roots: Path) -> Iterator[str]:
    """The paragraphs of all texts in the Python sources below `roots`, each text once."""
    files = (file for root in roots for file in python_files(root))
    for text in dict.fromkeys(text for file in files for text in texts_of(file)):
        lines = [line for line in text.splitlines() if not line.lstrip().startswith((">>>", "..."))]
        for paragraph in re.split(r"\n\s*\n", "\n".join(lines)):
            words = WORD.findall(paragraph.lower())
            if len(words) > 1:
                yield " ".join(words)


def python_files(root: Path) -> Iterator[Path]:
    """All sources below `root` that are not tests, in a fixed order."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(set(below) - SKIPPED)
        yield from (Path(folder, file) for file in sorted(files) if file.endswith(".py"))


def texts_of(file: Path) -> Iterator[str]:
    """The strings of several lines in a source: docstrings, and documentation kept in strings."""
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # a template or a broken file: no text lost that a reader would miss
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and len(text) > 60 and "\n" in text:
            yield text
