"""Text to numbers: tokens, the vocabulary, and a corpus as one array of word ids.

A text is encoded once, in one pass. What is long goes to a temporary file, from which slices of ids
are read as they are needed: memory does not grow with the text.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, ItemsView, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, count, repeat
from typing import Any

import numpy as np

from ..sparse import Array
from .sources import Piece, Source, numbered

CHUNK = 1 << 18  # word ids of a stored text held at a time
IN_MEMORY = 1 << 20  # words; a longer text is stored in a file


class PackedWords:
    """Strings one behind the other: 8 bytes and the letters for each, where a list takes 64.

    >>> list(PackedWords(["one", "a"]))
    ['one', 'a']
    """

    def __init__(self, words: Collection[str]):
        lengths = (len(word.encode(errors="surrogatepass")) for word in words)
        self._ends = array("q", accumulate(lengths, initial=0))
        self._letters = "".join(words).encode(errors="surrogatepass")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, i: int) -> str:
        return self._letters[self._ends[i] : self._ends[i + 1]].decode(errors="surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))


class WordCounts(Mapping[str, int]):
    """Words and their counts in alphabetical order, packed; a word is looked up by bisection.

    It takes less than 20 bytes and the letters for each word, where a dict takes about 100.

    >>> counts = WordCounts({"one": 1, "a": 2})
    >>> counts, counts["one"], "two" in counts
    ({'a': 2, 'one': 1}, 1, False)
    """

    def __init__(self, counts: Mapping[str, int]):
        words = sorted(counts)
        self._words = PackedWords(words)
        self._counts = array("q", map(counts.__getitem__, words))

    def __getitem__(self, word: str) -> int:
        if isinstance(word, str):
            i = bisect_left(self._words, word)
            if i < len(self) and self._words[i] == word:
                return self._counts[i]
        raise KeyError(word)

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def items(self) -> ItemsView[str, int]:
        """All words with their counts, without a search for each: ``dict(counts.items())``."""
        return dict(zip(self, self._counts, strict=True)).items()

    def __repr__(self) -> str:
        return repr(dict(self.items()))


class Vocabulary:
    """Words and their counts, the most frequent first (equal counts: in alphabetical order).

    `words[i]` is the word with id i, `index[word]` its id, `counts` (n,) how often each occurs;
    `dropped` maps the words that occurred less than `min_count` times to their counts.

    >>> vocabulary = Vocabulary.build([["a", "b", "a"], ["b", "c"]], min_count=2)
    >>> vocabulary.words, vocabulary.counts, vocabulary.dropped
    (['a', 'b'], array([2, 2]), {'c': 1})
    """

    def __init__(self, words: Iterable[str], counts: Array | Sequence[int],
                 dropped: Mapping[str, int] | None = None):
        self.words, self.counts = list(words), np.asarray(counts, np.int64)
        self.dropped: Mapping[str, int] = dropped or {}
        self.index = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def build(cls, source: Source, min_count: int = 5) -> Vocabulary:
        """Count the words of a corpus and keep those that occur at least `min_count` times.

        `Corpus.read` does this and encodes the corpus in the same pass.
        """
        number, counts = _in_order_of_appearance(), np.zeros(0, np.int64)
        for ids, _ in numbered(source, lambda tokens: map(number.__getitem__, tokens)):
            if len(counts) < len(number):
                counts = np.append(counts, np.zeros(len(number), np.int64))  # or more
            np.add.at(counts, ids, 1)
        return cls.from_counts(dict(zip(number, counts.tolist(), strict=False)), min_count)

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], min_count: int = 5) -> Vocabulary:
        """Keep the words that are counted at least `min_count` times.

        >>> Vocabulary.from_counts({"b": 1, "c": 2, "a": 1}, min_count=1).words
        ['c', 'a', 'b']
        """
        words = sorted(str(word) for word, times in counts.items() if times >= min_count)
        words.sort(key=counts.__getitem__, reverse=True)  # stable: ties stay in alphabetical order
        dropped = {str(word): times for word, times in counts.items() if times < min_count}
        return cls(words, [counts[word] for word in words], WordCounts(dropped))

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index


class StoredIds:
    """Word ids (T,) of int32 in a temporary file without a name; slices of it are arrays.

    ``ids[start:stop]`` reads that part (threads and forked processes may do so at the same time),
    ``np.asarray(ids)`` all. The file goes when the object does. OSError if the disk is full.

    >>> ids = StoredIds()
    >>> ids.append(np.array([3, 1, 2], np.int32))
    >>> ids.shape, ids[1:]
    ((3,), array([1, 2], dtype=int32))
    """

    # NB: mapping the file would be shorter, but pages that were read count as memory of the process

    dtype = np.dtype(np.int32)

    def __init__(self) -> None:
        self._size, self._lock = 0, threading.Lock()
        with self._explained():
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (the next line closes)
        weakref.finalize(self, self._file.close)

    def append(self, ids: Array) -> None:
        """Write ids behind the others."""
        rest = ids.astype(self.dtype, copy=False).view(np.uint8).data
        with self._explained(), self._lock:
            self._file.seek(0, os.SEEK_END)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._size += len(ids)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        folder = tempfile.gettempdir()
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, "cannot write a text that is longer than memory should hold "
                          f"to {folder} ({error.strerror}): set TMPDIR to a folder with more room, "
                          "4 to 8 bytes a word") from error

    def __len__(self) -> int:
        return self._size

    @property
    def shape(self) -> tuple[int]:
        """(T,)."""
        return (self._size,)

    def __getitem__(self, where: slice) -> Array:
        if not isinstance(where, slice) or where.step not in (None, 1):
            raise TypeError(f"a stored text is read by slices, ids[start:stop], not ids[{where!r}];"
                            " np.asarray(ids) reads all of it")
        start, stop, _ = where.indices(len(self))
        ids = np.empty(max(stop - start, 0), self.dtype)
        rest, place = ids.view(np.uint8).data, start * self.dtype.itemsize
        while rest:
            if not (got := self._read(rest, place)):
                raise OSError("the temporary file of the corpus was cut short")
            rest, place = rest[got:], place + got
        return ids

    def _read(self, memory: memoryview, place: int) -> int:
        if hasattr(os, "preadv"):  # it moves no position that others share
            return os.preadv(self._file.fileno(), [memory], place)
        with self._lock:
            self._file.seek(place)
            return self._file.readinto(memory)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("a stored text is no array: it cannot be had without a copy")
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)


class Corpus:
    """A text as word ids: `ids` (T,) in reading order, cut into sentences at `starts` (S + 1,).

    Sentence i is ``ids[starts[i]:starts[i + 1]]``. `starts` may be given in any order, with or
    without the ends 0 and T; a sentence without words is none. `vocabulary` has the words that the
    ids stand for (no words if it is not given). `ids` are an array, or `StoredIds` if the text is
    long: both have slices, ``ids[start:stop]``. ValueError if a start lies outside the text.

    >>> corpus = Corpus(np.array([0, 1, 0]), [2])
    >>> corpus.starts, corpus.sentence
    (array([0, 2, 3]), array([0, 0, 1], dtype=int32))
    """

    def __init__(self, ids: Array | StoredIds, starts: Array | Sequence[int],
                 vocabulary: Vocabulary | None = None):
        self.ids = ids
        edges = np.append(np.asarray(starts, np.int64), [0, len(ids)])
        edges.sort()
        if edges[0] < 0 or edges[-1] > len(ids):
            raise ValueError(f"sentences start from {edges[0]} to {edges[-1]}, but the text goes "
                             f"from 0 to {len(ids)}")
        self.starts = edges[np.append(True, edges[1:] > edges[:-1])]
        self.vocabulary = Vocabulary([], []) if vocabulary is None else vocabulary

    @classmethod
    def read(cls, source: Source, min_count: int = 5) -> Corpus:
        """Read a corpus in one pass: its `vocabulary`, and its words as ids.

        Words that occur less than `min_count` times are left out before any window is cut.

        `source` is one of

        - a path: a text with a sentence a line, of any length, words separated by white space;
          UTF-8, where what is no UTF-8 becomes U+FFFD; .gz, .bz2 and .xz are unpacked;
        - a folder: all files in it and in its folders, in the order of their paths, whatever their
          suffix; those whose name (or whose folder's name) starts with a dot are left out;
        - a list or tuple of paths. (Strings are taken for paths if each of them names a file.)
        - an iterable of sentences, each an iterable of words. It is gone through once, so that it
          may be a generator.

        Memory holds the distinct words and the places where sentences end. A text of more than
        `IN_MEMORY` words (a million) goes to the folder for temporary files (see `tempfile`), which
        needs 4 bytes a word, 8 while it is read: `ids` are then `StoredIds`, to be read by slices.

        FileNotFoundError if there is nothing at the path; ValueError, naming the file, if it is cut
        short, damaged or an archive, and if the corpus has no words; TypeError, with the number of
        the sentence, for what is no list of words; OSError if the text cannot be stored. Errors of
        a generator pass through.

        >>> corpus = Corpus.read([["to", "be"], ["or", "not"], ["to", "be"]], min_count=2)
        >>> corpus.vocabulary.words, corpus.ids, corpus.starts
        (['be', 'to'], array([1, 0, 1, 0], dtype=int32), array([0, 2, 4]))
        """
        number = _in_order_of_appearance()
        text = cls._joined(numbered(source, lambda tokens: map(number.__getitem__, tokens)))
        if not number:
            raise ValueError("the corpus has no words: it is empty, or an iterator that was used "
                             "up before")
        counts = np.zeros(len(number), np.int64)
        for ids in text.chunks():
            np.add.at(counts, ids, 1)
        for word, times in zip(number, counts.tolist(), strict=True):
            number[word] = times  # from here on it counts: a second dict would be as large
        seen = Vocabulary.from_counts(number, min_count)
        final = np.fromiter(map(seen.index.get, number, repeat(-1)), np.int32, len(number))
        # its words stand among those that go: as copies, made afterwards, they stand close
        # together, and the memory of the others can be given back
        parts = PackedWords(seen.words), seen.counts, seen.dropped
        number.clear()
        del seen
        return cls._joined((_without_unknown(final[ids], ends) for ids, ends in text._pieces()),
                           Vocabulary(*parts))

    @classmethod
    def encode(cls, source: Source, vocabulary: Vocabulary) -> Corpus:
        """Read a corpus as ids of a given `vocabulary`; words that it has not are left out.

        `source` and the errors are those of `read`, but there may be no words.

        >>> vocabulary = Vocabulary(["a", "b"], [2, 1])
        >>> corpus = Corpus.encode([["a", "x", "b"], ["a"]], vocabulary)
        >>> corpus.ids, corpus.starts
        (array([0, 1, 0], dtype=int32), array([0, 2, 3]))
        """
        look_up = vocabulary.index.get
        pieces = numbered(source, lambda tokens: map(look_up, tokens, repeat(-1)))
        return cls._joined((_without_unknown(*piece) for piece in pieces), vocabulary)

    @classmethod
    def _joined(cls, pieces: Iterable[Piece], vocabulary: Vocabulary | None = None) -> Corpus:
        size, held, starts = 0, [np.empty(0, np.int32)], [np.empty(0, np.int64)]
        stored: StoredIds | None = None
        for ids, ends in pieces:
            starts.append(ends + size)
            held.append(ids)
            size += len(ids)
            if size > IN_MEMORY:
                stored = StoredIds() if stored is None else stored
                for some in held:
                    stored.append(some)
                held.clear()
        return cls(np.concatenate(held) if stored is None else stored, np.concatenate(starts),
                   vocabulary)

    def chunks(self, size: int = CHUNK) -> Iterator[Array]:
        """The ids, `size` of them at a time."""
        return (self.ids[start : start + size] for start in range(0, len(self), size))

    def _pieces(self) -> Iterator[Piece]:
        for start in range(0, len(self), CHUNK):
            ids = self.ids[start : start + CHUNK]
            first, last = np.searchsorted(self.starts, [start, start + len(ids)])
            yield ids, self.starts[first:last] - start

    def sentence_numbers(self, start: int, stop: int) -> Array:
        """The number of the sentence of each word of ``ids[start:stop]``, int32.

        >>> Corpus(np.zeros(5, np.int32), [2, 3]).sentence_numbers(1, 5)
        array([0, 1, 2, 2], dtype=int32)
        """
        start, stop, _ = slice(start, stop).indices(len(self))
        stop = max(start, stop)
        first = np.searchsorted(self.starts, start, side="right") - 1
        last = np.searchsorted(self.starts, stop, side="left")
        bounds = np.clip(self.starts[first : last + 1], start, stop)
        return np.repeat(np.arange(first, last, dtype=np.int32), np.diff(bounds))

    @property
    def sentence(self) -> Array:
        """The number of each word's sentence, (T,) of int32; computed anew whenever it is asked."""
        return self.sentence_numbers(0, len(self))

    def __len__(self) -> int:
        return len(self.ids)


def _in_order_of_appearance() -> defaultdict[str, int]:
    """Numbers for words, 0 for the first that is asked for."""
    return defaultdict(count().__next__)


def _without_unknown(ids: Array, ends: Array) -> Piece:
    return ids[ids >= 0], ends - np.searchsorted(np.flatnonzero(ids < 0), ends)
