"""WordVectors: words and their vectors, and the questions one asks of them."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from ..sparse import Array
from .formats import FormatError, read_safetensors, write_safetensors

Query = str | Array | tuple[str | Array, float]


class WordVectors:
    """A vector for each word: `vectors` (n, d), `words`, and `index` from a word to its row.

    `counts` (n,), how often each word occurred, is kept if known. Similarity is the cosine.

    >>> wv = WordVectors(["red", "blue", "monday"], np.array([[1, 0], [1, 1], [0, -1.0]]))
    >>> wv.most_similar("red", topn=1)
    [('blue', 0.7071067811865475)]
    """

    def __init__(self, words: Sequence[str], vectors: Array, counts: Array | None = None):
        self.words, self.vectors, self.counts = list(words), np.asarray(vectors), counts
        if self.vectors.ndim != 2 or len(self.words) != len(self.vectors):
            raise ValueError(f"{len(self.words)} words need {len(self.words)} rows of vectors, not "
                             f"an array of shape {self.vectors.shape}")
        if not all(isinstance(word, str) for word in self.words):
            raise ValueError("words must be strings")
        if counts is not None and np.shape(counts) != (len(self.words),):
            raise ValueError(f"{len(self.words)} words need as many counts, not an array of shape "
                             f"{np.shape(counts)}")
        self.index = {word: i for i, word in enumerate(self.words)}
        if len(self.index) < len(self.words):
            twice = next(w for i, w in enumerate(self.words) if self.index[w] != i)
            raise ValueError(f"the word {twice!r} stands in the list more than once")
        length = np.sqrt(np.square(self.vectors, dtype=float).sum(axis=1, keepdims=True))
        kind = np.float32 if self.vectors.dtype == np.float32 else float
        self._unit = (self.vectors / np.where(length == 0, 1, length)).astype(kind)

    def __len__(self) -> int:
        return len(self.words)

    def __repr__(self) -> str:
        return f"WordVectors({len(self):,} words, {self.vectors.shape[1]} numbers each)"

    def __contains__(self, word: object) -> bool:
        return word in self.index

    def __getitem__(self, word: str) -> Array:
        """The vector of `word`; KeyError, with near spellings, if it is not known."""
        vector: Array = self.vectors[self._row(word)]
        return vector

    def _row(self, word: str) -> int:
        try:
            return self.index[word]
        except KeyError:
            near = difflib.get_close_matches(word, self.words, 3) if isinstance(word, str) else []
            hint = f"; near spellings: {', '.join(near)}" if near else ""
            raise KeyError(f"the word {word!r} is not among these {len(self)} words (it may have "
                           f"occurred too seldom){hint}") from None

    def similarity(self, a: str, b: str) -> float:
        """Cosine of the vectors of two words, in [−1, 1]."""
        return float(self._unit[self._row(a)] @ self._unit[self._row(b)])

    def most_similar(self, positive: Query | Iterable[Query],
                     negative: Query | Iterable[Query] = (), topn: int = 10,
                     ) -> list[tuple[str, float]]:
        """The words nearest to the mean of the `positive` unit vectors, minus the `negative` ones.

        A query is a word, a vector, or a pair of either with a weight. Words asked with are not
        among the answers. Gives (word, cosine) pairs, the nearest first.
        """
        if topn < 0:
            raise ValueError(f"topn is a number of answers from 0 up, not {topn}")
        terms = [*_queries(positive, 1.0), *_queries(negative, -1.0)]
        if not terms:
            raise ValueError("most_similar() needs a word or a vector to start from")
        total = np.zeros(self.vectors.shape[1])
        asked = [self._row(q) for q, _ in terms if isinstance(q, str)]
        for query, weight in terms:
            vector = self._unit[self._row(query)] if isinstance(query, str) else np.asarray(query)
            if vector.shape != total.shape:
                raise ValueError(f"a query vector has shape {vector.shape}, these {total.shape}")
            total += weight * vector / (1 if isinstance(query, str) else _length(vector))
        cosine = self._unit @ (total / _length(total))
        others = np.setdiff1d(np.flatnonzero(np.isfinite(cosine)), asked)
        distance = -cosine[others]
        if topn < len(others):
            nearest = np.argpartition(distance, topn)[:topn]
            others, distance = others[nearest], distance[nearest]
        best = others[np.lexsort((others, distance))]
        return [(self.words[i], float(cosine[i])) for i in best]

    def analogy(self, a: str, b: str, c: str, topn: int = 10) -> list[tuple[str, float]]:
        """`a` is to `b` as `c` is to …: the words nearest to b − a + c (3CosAdd)."""
        return self.most_similar([b, c], [a], topn)

    def doesnt_match(self, words: Sequence[str]) -> str:
        """The one of `words` that is farthest from their mean."""
        if not len(words):
            raise ValueError("doesnt_match() needs words to choose from")
        unit = self._unit[[self._row(word) for word in words]]
        return words[int(np.argmin(unit @ unit.mean(axis=0)))]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write words, vectors and counts to a safetensors file, whole or not at all."""
        arrays = {"vectors": self.vectors}
        if self.counts is not None:
            arrays["counts"] = np.asarray(self.counts, np.int64)
        write_safetensors(Path(path), arrays, {"format": "tinygrad_w2v word vectors",
                                               "words": json.dumps(self.words)})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WordVectors:
        """Read what `save` wrote; FormatError, saying where, if the file is not that."""
        arrays, metadata = read_safetensors(Path(path))
        try:
            words = json.loads(metadata["words"])
            if not isinstance(words, list):
                raise TypeError("its words are no list")
            return cls(words, arrays["vectors"], arrays.get("counts"))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise FormatError(f"{path}: a safetensors file, but not of word vectors: "
                              f"{error}") from error


def _queries(given: Any, sign: float) -> list[tuple[Any, float]]:
    """The (word or vector, weight) pairs that a caller may give in many ways."""
    vector = isinstance(given, np.ndarray) and given.ndim == 1
    pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Real)
    queries = [given] if isinstance(given, str) or vector or pair else given
    return [(q[0], sign * q[1]) if isinstance(q, tuple) else (q, sign) for q in queries]


def _length(vector: Array) -> float:
    return float(np.sqrt(vector @ vector)) or 1.0
