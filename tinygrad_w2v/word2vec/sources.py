"""Where a text comes from, files or lists of words, and its words as numbers.

A text is read in blocks, and most of its words were met before. Of files, NumPy finds them in the
bytes: where they begin and end, and in a table which numbers they have. Only those that are not
there become strings of Python, which is what takes time.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from ..sparse import Array

PathLike = str | os.PathLike[str]
Source = PathLike | Sequence[PathLike] | Iterable[Iterable[str]]
LookUp = Callable[[list[str]], Iterable[int]]  # words to ids, -1 for a word that is not known
Piece = tuple[Array, Array]  # ids of words in reading order; where among them sentences end

BLOCK = 1 << 17  # bytes or words read at a time
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
ARCHIVES = (".zip", ".zst", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")

# The white space of `str.split` that is no ASCII, in UTF-8: bytes as digits
WIDE_SPACE = np.array([int.from_bytes(chr(code).encode()) for code in (
    0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000)])
FIRST_BYTES = np.array([(1 << 8 * k) - 1 for k in range(9)], np.uint64)  # of 8, by how many
PARTS = 3  # numbers of 8 bytes that a word in the table is made of, its length among them
SHORT = 8 * PARTS  # bytes; shorter words have a place in the table
PLACES = range(12, 21)  # bits: the table has 2¹² to 2²⁰ places, 28 bytes each
MIX = 0x9E3779B97F4A7C15  # 2⁶⁴ over the golden ratio: products spread over their upper bits
NOWHERE = 0xFF << 56  # the last number of a word that is too long for the table


def numbered(source: Source, look_up: LookUp) -> Iterator[Piece]:
    """Read a corpus a block at a time; `look_up` gives the ids of words that the table has not.

    >>> next(numbered([["to", "be"], ["or"]], lambda words: map(["be", "or", "to"].index, words)))
    (array([2, 0, 1], dtype=int32), array([2, 3]))
    """
    sentences = sentences_of(source)
    if isinstance(sentences, TextFiles):
        yield from sentences.numbered(look_up)
        return
    for batch in _in_batches(sentences):
        ids: list[int] = []
        ends: list[int] = []
        for tokens in batch:
            ids += look_up(tokens)
            ends.append(len(ids))
        yield np.array(ids, np.int32), np.array(ends[:-1], np.int64)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────


class TextFiles:
    """Text files; every time that they are `numbered` they are read anew."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = paths

    def numbered(self, look_up: LookUp) -> Iterator[Piece]:
        """Their words, many at a time: lines, and texts, may be longer than memory."""
        words, held, size = KnownWords(look_up), [b""], 0
        for block in self.blocks():
            held.append(block)
            size += len(block)
            if size >= max(BLOCK, 2 * len(held[0])):  # linear time for any length of a word
                ids, ends, cut = words.numbered(b"".join(held), more=True)
                yield ids, ends
                held, size = [cut], len(cut)
        yield words.numbered(b"".join(held))[:2]

    def blocks(self) -> Iterator[bytes]:
        """Their bytes, as they come, a line's end behind each file."""
        for path in self.paths:
            with _opened(path) as file:
                mark = file.read(len(codecs.BOM_UTF8))
                yield b"" if codecs.BOM_UTF8.startswith(mark) else mark
                while block := file.read(BLOCK):
                    yield block
            yield b"\n"


class KnownWords:
    r"""The words met so far, many of which are looked up at once: a table in front of `look_up`.

    A word of less than 24 bytes is three numbers, of its bytes and its length. They say where in
    the table it stands, and, compared with what stands there, whether it does. A word that is new,
    too long, or has its place taken by an earlier one is asked of `look_up`.

    >>> words = KnownWords(lambda words: map(["be", "or", "to"].index, words))
    >>> words.numbered(b"to be or\nto be")
    (array([2, 0, 1, 2, 0], dtype=int32), array([3]), b'')
    """

    def __init__(self, look_up: LookUp):
        self.look_up = look_up
        self.clear(PLACES[0])

    def clear(self, bits: int) -> None:
        """Forget all words, and have 2^bits places for others."""
        self.bits, self.used = bits, 0
        self.words = np.zeros((PARTS, 1 << bits), np.uint64)  # an empty place has the length 0
        self.ids = np.zeros(1 << bits, np.int32)

    def numbered(self, text: bytes, more: bool = False) -> tuple[Array, Array, bytes]:
        """Split UTF-8 into words as `str.split` does; give their ids, and where lines end.

        If there is `more` to come, a last word with nothing behind it is left over, and given too.
        """
        letters = np.frombuffer(b"".join((b" ", text, b" " * SHORT)), np.uint8)
        space = self.spaces(letters)
        edges = np.flatnonzero(space[1:] != space[:-1]) + 1
        lines = np.flatnonzero((letters == 10) | (letters == 13))
        cut = b""
        if more and len(edges) and edges[-1] == len(text) + 1:
            cut, edges = text[edges[-2] - 1 :], edges[:-2]
        starts, stops = edges[::2], edges[1::2]
        word = self.parts(letters, starts, stops - starts)
        places = self.places(word)
        ids = self.ids[places]
        unlike = np.zeros(len(ids), bool)
        for there, part in zip(self.words, word, strict=True):  # as a whole it takes far longer
            unlike |= there[places] != part
        new = np.flatnonzero(unlike)
        if new.size:
            strings = [text[start - 1 : stop - 1].decode(errors="replace") for start, stop in zip(
                starts[new].tolist(), stops[new].tolist(), strict=True)]
            ids[new] = np.fromiter(self.look_up(strings), np.int32, len(new))
            self.remember(word[:, new], ids[new])
        return ids, np.unique(np.searchsorted(starts, lines)), cut

    def places(self, words: Array) -> Array:
        """Say where in the table words would stand."""
        mixed = words[0]
        for part in words[1:]:
            mixed = mixed * MIX ^ part
        places: Array = (mixed * MIX >> 64 - self.bits).astype(np.intp)
        return places

    def remember(self, words: Array, ids: Array) -> None:
        """Put words into the table, where there is room; the first of those for one place."""
        places = self.places(words)
        free = np.flatnonzero((self.words[-1, places] == 0) & (words[-1] != NOWHERE))
        places, first = np.unique(places[free], return_index=True)
        self.words[:, places], self.ids[places] = words[:, free[first]], ids[free[first]]
        self.used += len(places)
        if 4 * self.used > len(self.ids) and self.bits + 1 in PLACES:
            words, ids, known = self.words, self.ids, self.words[-1] > 0
            self.clear(self.bits + 1)
            self.remember(words[:, known], ids[known])

    @staticmethod
    def spaces(letters: Array) -> Array:
        """Say which bytes are white space."""
        space: Array = (letters - 9 < 5) | (letters - 28 < 5)  # \t\n\v\f\r, separators, the blank
        first = np.flatnonzero((letters == 0xC2) | (letters - 0xE1 < 3))
        if first.size:
            two = letters[first].astype(int) * 256 + letters[first + 1]
            for length, code in (2, two), (3, two * 256 + letters[first + 2]):
                places = first[np.isin(code, WIDE_SPACE)]
                space[places[:, None] + np.arange(length)] = True
        return space

    @staticmethod
    def parts(letters: Array, starts: Array, lengths: Array) -> Array:
        """Give the numbers of words, (PARTS, words): their bytes; the last has the length, too."""
        eight = np.ndarray(len(letters) - 7, "<u8", letters, strides=(1,))  # from each byte on
        parts = np.zeros((PARTS, len(starts)), np.uint64)
        for k, part in enumerate(parts):
            there = np.flatnonzero(lengths > 8 * k) if k else slice(None)
            part[there] = eight[starts[there] + 8 * k] & FIRST_BYTES[
                np.minimum(lengths[there] - 8 * k, 8)]
        parts[-1] |= lengths.astype(np.uint64) << 56
        parts[-1, lengths >= SHORT] = NOWHERE
        return parts


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a text, packed or not; ValueError if it turns out that it cannot be unpacked."""
    opener = OPENERS.get(path.suffix.lower(), open)
    with opener(path, "rb") as file:
        try:
            yield file
        except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            if opener is open:
                raise
            raise ValueError(f"{path} cannot be unpacked, it is cut short or damaged: "
                             f"{error}") from error


def sentences_of(source: Source) -> TextFiles | Iterable[Iterable[str]]:
    """Say what a corpus is (see `Corpus.read`): files, or an iterable of sentences.

    >>> sentences_of([["to", "be"], ["or"]])
    [['to', 'be'], ['or']]
    """
    if isinstance(source, str | os.PathLike):
        return TextFiles(_files_at(source))
    if isinstance(source, list | tuple) and source and all(
            isinstance(path, str | os.PathLike) for path in source):
        missing = [path for path in source if not os.path.isfile(path)]
        if missing and all(isinstance(path, str) for path in source):
            raise TypeError("a corpus is an iterable of token lists, but it holds the string "
                            f"{str(missing[0])[:200]!r}: split it into words, e.g. text.split(). "
                            "(If it is meant as the name of a file: there is no such file.)")
        return TextFiles([file for path in source for file in _files_at(path)])
    if not isinstance(source, Iterable) and not hasattr(source, "__getitem__"):
        raise TypeError("a corpus is a path, a list of paths, or an iterable of token lists, not "
                        f"the {type(source).__name__} {source!r}")
    sentences: Iterable[Any] = source
    return sentences


def _files_at(path: PathLike) -> list[Path]:
    """The file at `path`, or all that are in the folder there."""
    files = [Path(path)]
    if os.path.isdir(path):
        files = []
        for folder, folders, names in os.walk(path, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            files += [Path(folder, name) for name in names if not name.startswith(".")]
        files.sort(key=lambda file: file.parts)
        if not files:
            raise FileNotFoundError(f"no corpus in the folder {path}: it has no files but hidden "
                                    "ones, if any")
    elif not os.path.exists(path):  # nor is a text in place of a path, however long
        raise FileNotFoundError(f"no corpus at {str(path)[:200]}: give a text file, a sentence a "
                                "line, a folder of them, or an iterable of token lists")
    for file in files:
        if file.name.lower().endswith(ARCHIVES):
            raise ValueError(f"{file} is an archive, which is not unpacked here: give the text in "
                             f"it, as it is or as {', '.join(OPENERS)}")
    return files


def _raise(error: OSError) -> NoReturn:
    raise error


# ── sentences ─────────────────────────────────────────────────────────────────────────────────────


def _in_batches(sentences: Iterable[Iterable[str]]) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = [[]]
    size = 0
    for number, sentence in enumerate(sentences, 1):
        # the keys of a mapping are not its text, and words of a set stand in no order
        if isinstance(sentence, str | Mapping | Set) or not isinstance(sentence, Iterable):
            what = "string" if isinstance(sentence, str) else type(sentence).__name__
            raise TypeError(f"a corpus is an iterable of token lists, but its sentence {number} is "
                            f"the {what} {str(sentence)[:40]!r}: split a text into words, e.g. "
                            "text.split(); give several files as a list of paths, sorted")
        words = iter(sentence)
        while some := list(islice(words, BLOCK)):
            for kind in set(map(type, some)):
                if not issubclass(kind, str):
                    strange = next(word for word in some if type(word) is kind)
                    raise TypeError(f"words are strings, but sentence {number} of the corpus holds "
                                    f"{str(strange)[:40]!r}, of type {kind.__name__}: convert it, "
                                    "e.g. list(map(str, sentence))")
            batch[-1] += some
            size += len(some)
            if size >= BLOCK:
                yield batch
                batch, size = [[]], 0
        batch.append([])
    yield batch
