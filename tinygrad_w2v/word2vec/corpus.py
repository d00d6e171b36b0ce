"""Text to numbers: tokens, the vocabulary, and a corpus as one array of word ids."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from itertools import chain, count, islice, repeat
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from ..sparse import Array

PathLike = str | os.PathLike[str]
Source = PathLike | Sequence[PathLike] | Iterable[Iterable[str]]
Batch = Iterable[list[str]]  # sentences; the last one may go on in the next batch
Piece = tuple[Array, Array]  # ids, -1 for a word that is not known; where among them sentences end

BLOCK = 1 << 17  # characters or words read at a time
OPENERS: dict[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
ARCHIVES = (".zip", ".zst", ".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


class Vocabulary:
    """Words and their counts, the most frequent first (equal counts: in alphabetical order).

    `words[i]` is the word with id i, `index[word]` its id, `counts` (n,) how often each occurs;
    `dropped` maps the words that occurred less than `min_count` times to their counts.

    >>> vocabulary = Vocabulary.build([["a", "b", "a"], ["b", "c"]], min_count=2)
    >>> vocabulary.words, vocabulary.counts, vocabulary.dropped
    (['a', 'b'], array([2, 2]), {'c': 1})
    """

    def __init__(self, words: Sequence[str], counts: Array | Sequence[int],
                 dropped: Mapping[str, int] | None = None):
        self.words, self.counts = list(words), np.asarray(counts, np.int64)
        self.dropped = {} if dropped is None else dropped
        self.index = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def build(cls, source: Source, min_count: int = 5) -> Vocabulary:
        """Count the words of a corpus and keep those that occur at least `min_count` times.

        `Corpus.read` does this and encodes the corpus in the same pass.
        """
        sentences = chain.from_iterable(_batches(source))
        return cls.from_counts(Counter(chain.from_iterable(sentences)), min_count)

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], min_count: int = 5) -> Vocabulary:
        """Keep the words that are counted at least `min_count` times.

        >>> Vocabulary.from_counts({"b": 1, "c": 2, "a": 1}, min_count=1).words
        ['c', 'a', 'b']
        """
        words = sorted(str(word) for word, times in counts.items() if times >= min_count)
        words.sort(key=counts.__getitem__, reverse=True)  # stable: ties stay in alphabetical order
        dropped = {str(word): times for word, times in counts.items() if times < min_count}
        return cls(words, [counts[word] for word in words], dropped)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index


class Corpus:
    """A text as word ids: `ids` (T,) in reading order, cut into sentences at `starts` (S + 1,).

    Sentence i is ``ids[starts[i]:starts[i + 1]]``. `starts` may be given in any order, with or
    without the ends 0 and T; a sentence without words is none. `vocabulary` has the words that the
    ids stand for (no words if it is not given). ValueError if a start lies outside the text.

    >>> corpus = Corpus(np.array([0, 1, 0]), [2])
    >>> corpus.starts, corpus.sentence
    (array([0, 2, 3]), array([0, 0, 1], dtype=int32))
    """

    def __init__(self, ids: Array, starts: Array | Sequence[int],
                 vocabulary: Vocabulary | None = None):
        self.ids = ids
        edges = np.sort(np.append(np.asarray(starts, np.int64), [0, len(ids)]))
        if edges[0] < 0 or edges[-1] > len(ids):
            raise ValueError(f"sentences start from {edges[0]} to {edges[-1]}, but the text goes "
                             f"from 0 to {len(ids)}")
        self.starts = edges[np.diff(edges, prepend=-1) > 0]
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

        Beside the ids, which take 4 bytes a word (8 while they are joined), only the distinct words
        are held.

        FileNotFoundError if there is nothing at the path; ValueError, naming the file, if it is cut
        short, damaged or an archive, and if the corpus has no words; TypeError, with the number of
        the sentence, for what is no list of words. Errors of a generator pass through.

        >>> corpus = Corpus.read([["to", "be"], ["or", "not"], ["to", "be"]], min_count=2)
        >>> corpus.vocabulary.words, corpus.ids, corpus.starts
        (['be', 'to'], array([1, 0, 1, 0], dtype=int32), array([0, 2, 4]))
        """
        number: defaultdict[str, int] = defaultdict(count().__next__)  # in order of appearance
        pieces = list(_numbered(source, lambda tokens: map(number.__getitem__, tokens)))
        if not number:
            raise ValueError("the corpus has no words: it is empty, or an iterator that was used "
                             "up before")
        counts = np.zeros(len(number), np.int64)
        for ids, _ in pieces:
            np.add.at(counts, ids, 1)
        vocabulary = Vocabulary.from_counts(dict(zip(number, counts.tolist(), strict=True)),
                                            min_count)
        final = np.fromiter(map(vocabulary.index.get, number, repeat(-1)), np.int32, len(number))
        for i, (ids, ends) in enumerate(pieces):  # one by one, to hold the text only once
            pieces[i] = _without_unknown(final[ids], ends)
        return cls._joined(pieces, vocabulary)

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
        numbered = _numbered(source, lambda tokens: map(look_up, tokens, repeat(-1)))
        return cls._joined([_without_unknown(*piece) for piece in numbered], vocabulary)

    @classmethod
    def _joined(cls, pieces: list[Piece], vocabulary: Vocabulary) -> Corpus:
        offsets = np.cumsum([0] + [len(ids) for ids, _ in pieces])
        starts = [ends + offset for (_, ends), offset in zip(pieces, offsets, strict=False)]
        return cls(np.concatenate([np.empty(0, np.int32)] + [ids for ids, _ in pieces]),
                   np.concatenate([np.empty(0, np.int64)] + starts), vocabulary)

    @property
    def sentence(self) -> Array:
        """The number of each word's sentence, (T,) of int32; computed anew whenever it is asked."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))

    def __len__(self) -> int:
        return len(self.ids)


def _numbered(source: Source, look_up: Callable[[list[str]], Iterable[int]]) -> Iterator[Piece]:
    for batch in _batches(source):
        ids: list[int] = []
        ends: list[int] = []
        for tokens in batch:
            ids += look_up(tokens)
            ends.append(len(ids))
        yield np.array(ids, np.int32), np.array(ends[:-1], np.int64)


def _without_unknown(ids: Array, ends: Array) -> Piece:
    known = ids >= 0
    return ids[known], np.append(0, np.cumsum(known))[ends]


def _batches(source: Source) -> Iterator[Batch]:
    """Give a corpus as batches of about `BLOCK` words or characters."""
    sentences = sentences_of(source)
    return sentences.batches() if isinstance(sentences, TextFiles) else _in_batches(sentences)


def _in_batches(sentences: Iterable[Iterable[str]]) -> Iterator[Batch]:
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


def sentences_of(source: Source) -> Iterable[Iterable[str]]:
    """Give the sentences of a corpus (see `Corpus.read`): the lines of its files, or itself.

    >>> list(sentences_of([["to", "be"], ["or"]]))
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


class TextFiles:
    """The lines of text files as token lists; every iteration reads the files anew."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = paths

    def __iter__(self) -> Iterator[list[str]]:
        for path in self.paths:
            with _opened(path) as file:
                for line in file:
                    yield line.split()

    def batches(self) -> Iterator[Batch]:
        """The same words, a block of text at a time: lines may be longer than memory."""
        for path in self.paths:
            with _opened(path) as file:
                cut = ""  # the last word, of which more may follow
                while text := file.read(max(BLOCK, len(cut))):  # linear time for any length of it
                    lines = (cut + text).split("\n")
                    cut = "" if text[-1].isspace() else lines[-1].rsplit(maxsplit=1)[-1]
                    lines[-1] = lines[-1].removesuffix(cut)
                    yield map(str.split, lines)
                yield [[cut], []] if cut else [[], []]


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """Open a text, packed or not; ValueError if it turns out that it cannot be unpacked."""
    opener: Any = OPENERS.get(path.suffix.lower(), open)
    with opener(path, "rt", encoding="utf-8-sig", errors="replace") as file:
        try:
            yield file
        except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            if opener is open:
                raise
            raise ValueError(f"{path} cannot be unpacked, it is cut short or damaged: "
                             f"{error}") from error
