"""Text to numbers: tokens, the vocabulary, and a corpus as one array of word ids."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..sparse import Array

Source = str | os.PathLike[str] | Iterable[Sequence[str]]
OPENERS: dict[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


class Vocabulary:
    """Words and their counts, the most frequent first (equal counts: in alphabetical order).

    `words[i]` is the word with id i, `index[word]` its id, `counts` (n,) how often each occurs;
    `dropped` counts the distinct words that occurred less than `min_count` times.

    >>> vocabulary = Vocabulary.build([["a", "b", "a"], ["a", "c"]], min_count=1)
    >>> vocabulary.words, vocabulary.counts
    (['a', 'b', 'c'], array([3, 1, 1]))
    """

    def __init__(self, words: Sequence[str], counts: Array, dropped: int = 0):
        self.words, self.counts, self.dropped = list(words), np.asarray(counts, np.int64), dropped
        self.index = {word: i for i, word in enumerate(self.words)}

    @classmethod
    def build(cls, sentences: Iterable[Sequence[str]], min_count: int = 5) -> Vocabulary:
        """Count the words of `sentences` and keep those that occur at least `min_count` times."""
        counter: Counter[str] = Counter()
        for sentence in sentences:
            counter.update(sentence)
        kept = sorted((-count, word) for word, count in counter.items() if count >= min_count)
        counts = np.array([-count for count, _ in kept], np.int64)
        return cls([word for _, word in kept], counts, len(counter) - len(kept))

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index


class Corpus:
    """A text as word ids: `ids` (T,) in reading order, `sentence` (T,) the number of each sentence.

    Words that are not in the vocabulary are left out before any window is cut.

    >>> vocabulary = Vocabulary(["a", "b"], [2, 1])
    >>> corpus = Corpus.encode([["a", "x", "b"], ["a"]], vocabulary)
    >>> corpus.ids, corpus.sentence
    (array([0, 1, 0], dtype=int32), array([0, 0, 1], dtype=int32))
    """

    def __init__(self, ids: Array, sentence: Array):
        self.ids, self.sentence = ids, sentence

    @classmethod
    def encode(cls, sentences: Iterable[Sequence[str]], vocabulary: Vocabulary) -> Corpus:
        """Replace the words of `sentences` by their ids."""
        look_up, chunks, lengths = vocabulary.index.get, [], []
        for sentence in sentences:
            known = [i for i in map(look_up, sentence) if i is not None]
            chunks.append(np.array(known, np.int32))
            lengths.append(len(known))
        ids = np.concatenate(chunks) if chunks else np.empty(0, np.int32)
        return cls(ids, np.repeat(np.arange(len(lengths), dtype=np.int32), lengths))

    def __len__(self) -> int:
        return len(self.ids)


def sentences_of(source: Source) -> Iterable[Sequence[str]]:
    """Give the sentences of a corpus, as something that can be read more than once.

    `source` is a path (a sentence a line, words separated by white space, UTF-8 with what is no
    UTF-8 replaced by U+FFFD; .gz, .bz2 and .xz are unpacked), or an iterable of token lists (an
    iterator is read into memory, since a second pass over it would find nothing).

    >>> list(sentences_of([["to", "be"], ["or"]]))
    [['to', 'be'], ['or']]
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            found = path.is_file()
        except (OSError, ValueError):  # a text in place of a path is too long for one
            found = False
        if not found:
            raise FileNotFoundError(f"no corpus at {str(path)[:80]}: give a text file, a sentence "
                                    "a line, or an iterable of token lists")
        return TextFile(path)
    sentences = list(source) if isinstance(source, Iterator) else source
    for sentence in sentences:
        if isinstance(sentence, str):
            raise TypeError(f"a corpus is an iterable of token lists, but it holds the string "
                            f"{sentence[:40]!r}: split it into words, e.g. text.split()")
        if isinstance(sentence, Iterator):
            raise TypeError("a corpus is read twice, but it holds an iterator, which is used up "
                            "by the first time: give lists of tokens")
    return sentences


class TextFile:
    """The lines of a text file as token lists; every iteration reads the file anew."""

    def __init__(self, path: Path):
        self.path = path

    def __iter__(self) -> Iterator[list[str]]:
        opener: Any = OPENERS.get(self.path.suffix.lower(), open)
        with opener(self.path, "rt", encoding="utf-8-sig", errors="replace") as lines:
            for line in lines:
                yield line.split()
