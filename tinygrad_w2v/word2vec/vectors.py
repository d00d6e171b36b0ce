"""WordVectors: words and their vectors, and the questions one asks of them."""

from __future__ import annotations

import difflib
import heapq
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from ..sparse import Array
from . import evaluate, formats
from .evaluate import SCORES
from .files import FormatError

Query = str | Array | tuple[str | Array, float]

SUGGESTED = 100_000  # words, the most frequent ones, among which near spellings are looked for


class WordVectors:
    """A vector for each word: `vectors` (n, d), `words`, and `index` from a word to its row.

    Parameters
    ----------
    words, vectors
        n different words and n rows. The array is kept as it is, seen through a read-only view.
    counts
        (n,) how often each word occurred, if that is known.
    dropped
        The words that training left out for occurring too seldom, with their counts; None if that
        is not known. It serves to say why a word is missing.
    settings
        How the vectors were made: a dict that JSON can hold.

    Similarity is the cosine. A vector of length 0 has cosine 0 with all others. A vector that holds
    NaN or infinity has none: it is no answer to any question, and a question about it is a
    ValueError. Asked for a word that is not there, all methods raise a KeyError that says why and
    suggests near spellings.

    >>> wv = WordVectors(["red", "blue", "monday"], np.array([[1, 0], [1, 1], [0, -1.0]]))
    >>> wv.most_similar("red", topn=1)
    [('blue', 0.7071067811865475)]
    """

    def __init__(self, words: Sequence[str], vectors: Array, counts: Array | None = None, *,
                 dropped: Mapping[str, int] | None = None,
                 settings: Mapping[str, Any] | None = None):
        self.words = list(words)
        self.vectors: Array = np.asarray(vectors).view()
        self.vectors.flags.writeable = False
        self.counts = None if counts is None else np.asarray(counts)
        self.dropped, self.settings = dropped, dict(settings or {})
        if self.vectors.ndim != 2 or len(self.words) != len(self.vectors):
            raise ValueError(f"{len(self.words)} words need {len(self.words)} rows of vectors, not "
                             f"an array of shape {self.vectors.shape}")
        if self.vectors.dtype.kind not in "fiu":
            raise ValueError(f"vectors are real numbers, not {self.vectors.dtype}")
        if not all(isinstance(word, str) for word in self.words):
            raise ValueError("words must be strings")
        if self.counts is not None and self.counts.shape != (len(self.words),):
            raise ValueError(f"{len(self.words)} words need as many counts, not an array of shape "
                             f"{self.counts.shape}")
        if self.counts is not None and self.counts.dtype.kind not in "iu" and self.counts.size:
            raise ValueError(f"counts are whole numbers, not {self.counts.dtype}")
        self.index = {word: i for i, word in enumerate(self.words)}
        if len(self.index) < len(self.words):
            twice = next(w for i, w in enumerate(self.words) if self.index[w] != i)
            raise ValueError(f"the word {twice!r} stands in the list more than once")

    @cached_property
    def unit(self) -> Array:
        """The vectors at length 1 (n, d), made when first asked for.

        Zero vectors stay zero, and rows that are not finite are NaN. float32 for float32 vectors,
        else float64.
        """
        kind = np.float32 if self.vectors.dtype == np.float32 else float
        unit: Array = np.empty(self.vectors.shape, kind)
        for start in range(0, len(unit), 4096):
            rows = self.vectors[start:start + 4096].astype(float)
            rows = _over(rows, np.abs(rows).max(axis=1, initial=0))  # no square over- or underflows
            unit[start:start + 4096] = _over(rows, np.sqrt(np.square(rows).sum(axis=1)))
        unit.flags.writeable = False
        return unit

    @cached_property
    def _nowhere(self) -> Array:
        """The rows that point nowhere, since they hold NaN or infinity."""
        return np.flatnonzero(np.isnan(self.unit @ np.zeros(self.unit.shape[1], self.unit.dtype)))

    def __len__(self) -> int:
        return len(self.words)

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __repr__(self) -> str:
        return f"WordVectors({len(self):,} words, {self.vectors.shape[1]} numbers each)"

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word in self.index

    def __getitem__(self, word: str | Iterable[str]) -> Array:
        """The vector of a word (d,), or the vectors of a list of k words (k, d)."""
        rows = self._row(word) if isinstance(word, str) else self._rows(word)
        vectors: Array = self.vectors[rows]
        return vectors

    def _row(self, word: str) -> int:
        if word not in self:
            raise UnknownWordError(word, self)
        return self.index[word]

    def _rows(self, words: Iterable[str]) -> Array:
        return np.array([self._row(word) for word in words], np.intp)

    def _units(self, words: Iterable[str]) -> Array:
        """The unit vectors of `words` (k, d), in float64; ValueError if one points nowhere."""
        rows = self._rows(words)
        units: Array = self.unit[rows].astype(float)
        if lost := rows[np.isnan(units).any(axis=1)].tolist():
            raise ValueError(f"the vector of {self.words[lost[0]]!r} holds NaN or infinity, and so "
                             "has no direction to compare")
        return units

    def similarity(self, a: str, b: str) -> float:
        """Cosine of the vectors of two words, in [−1, 1]."""
        one, other = self._units([a, b])
        return _cosine(one, other)

    def n_similarity(self, a: Iterable[str], b: Iterable[str]) -> float:
        """Cosine of the mean vectors of two lists of words (of the vectors as they are)."""
        means = []
        for words in (a, b):
            rows = self._rows(words)
            if not len(rows):
                raise ValueError("n_similarity() needs words in both lists")
            means.append(self.vectors[rows].astype(float).mean(axis=0))
        return _cosine(_direction(means[0]), _direction(means[1]))

    def most_similar(self, positive: Query | Iterable[Query] = (),
                     negative: Query | Iterable[Query] = (), topn: int | None = 10,
                     restrict_vocab: int | None = None) -> list[tuple[str, float]]:
        """The `topn` words whose vectors are nearest, by cosine, to a weighted sum of vectors.

        The sum is Σ wᵢ qᵢ over all queries. A query is a word (q is then its vector at length 1), a
        vector (q is that vector, as long as it is), or a pair of either with its weight. Without a
        weight, w is 1 in `positive` and −1 in `negative`; a weight that is given holds in both as
        it stands (all this as in gensim).

        Words asked with are not among the answers. Gives (word, cosine) pairs, the nearest first,
        and of equally near ones the first in `words`; all words for ``topn=None``. With
        `restrict_vocab` only the first so many words, by custom the most frequent, are searched.

        >>> wv = WordVectors(list("abcd"), np.array([[1, 0], [0, 1], [1, 2.0], [-1, 0]]))
        >>> wv.most_similar([("a", 0.5), "b"])[0][0]
        'c'
        """
        return self._nearest([(positive, negative)], topn, restrict_vocab)[0]

    def most_similar_batch(self, queries: Iterable[Query | Iterable[Query]] | Array,
                           topn: int | None = 10, restrict_vocab: int | None = None) -> Neighbours:
        """Answer many questions at once, at the speed of a matrix product.

        Each of the k `queries` is what `most_similar` takes as `positive`, and is answered exactly
        as there: a word, a vector (so that the rows of an array (k, d) will do), or a list of them
        with weights. Memory stays bounded, whatever k and n.

        >>> wv = WordVectors(list("abcd"), np.array([[1, 0], [0, 1], [3, 4.0], [-1, 0]]))
        >>> near = wv.most_similar_batch(["a", [("a", -1), "b"]], topn=2)
        >>> near[0]
        [('c', 0.6), ('b', 0.0)]
        >>> near.ids
        array([[2, 1],
               [3, 2]])
        """
        if isinstance(queries, str):
            raise ValueError(f"most_similar_batch() takes a list of queries, not the word "
                             f"{queries!r}: use most_similar(), or [{queries!r}]")
        return self._nearest([(query, ()) for query in queries], topn, restrict_vocab)

    def analogy(self, a: str, b: str, c: str, topn: int | None = 10,
                restrict_vocab: int | None = None) -> list[tuple[str, float]]:
        """`a` is to `b` as `c` is to …: the words nearest to b − a + c, all at length 1 (3CosAdd).

        Mikolov, Yih, Zweig, "Linguistic Regularities in Continuous Space Word Representations"
        (2013).

        >>> wv = WordVectors(["man", "king", "woman", "queen"],
        ...                  np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1.0]]))
        >>> wv.analogy("man", "king", "woman", topn=1)[0][0]
        'queen'
        """
        return self.most_similar([b, c], [a], topn, restrict_vocab)

    def doesnt_match(self, words: Iterable[str]) -> str:
        """The one of `words` that is farthest from the mean of their unit vectors.

        >>> wv = WordVectors(["red", "blue", "four"], np.array([[3, 1.0], [2, 1], [-1, 1]]))
        >>> wv.doesnt_match(["red", "four", "blue"])
        'four'
        """
        words = list(words)
        if not words:
            raise ValueError("doesnt_match() needs words to choose from")
        unit = self._units(words)
        return words[int(np.argmin(unit @ unit.mean(axis=0)))]

    def _question(self, positive: Any, negative: Any) -> Question:
        """The direction that is asked for, and the rows of the words it is made of."""
        terms = [*_queries(positive, 1.0), *_queries(negative, -1.0)]
        if not terms:
            raise ValueError("most_similar() needs a word or a vector to start from")
        total = np.zeros(self.vectors.shape[1])
        for query, weight in terms:
            vector = self._units([query])[0] if isinstance(query, str) else _array(query)
            if vector.shape != total.shape:
                raise ValueError(f"a query vector has shape {vector.shape}, these {total.shape}")
            total += weight * vector
        if not np.isfinite(total).all():
            raise ValueError("a query vector or a weight is not a finite number")
        return Question(_direction(total), [self.index[q] for q, _ in terms if isinstance(q, str)])

    def _nearest(self, queries: Sequence[tuple[Any, Any]], topn: int | None,
                 restrict_vocab: int | None) -> Neighbours:
        """Answer a list of (positive, negative), a block at a time."""
        _check_numbers(topn=topn, restrict_vocab=restrict_vocab)
        table = self.unit[:restrict_vocab]
        width = len(table) if topn is None else min(topn, len(table))
        ids = np.full((len(queries), width), -1)
        cosines = np.full((len(queries), width), np.nan)
        block = max(1, SCORES // (table.itemsize * (sum(table.shape) + 1)))
        for start in range(0, len(queries), block):
            asked = [self._question(*query) for query in queries[start:start + block]]
            for i, (rows, cosine) in enumerate(self._answers(asked, table, width), start):
                ids[i, :len(rows)], cosines[i, :len(rows)] = rows, cosine
        return Neighbours(ids, cosines, self.words)

    def _answers(self, asked: Sequence[Question], table: Array,
                 width: int) -> Iterator[tuple[Array, Array]]:
        """The rows of `table` with the greatest cosines to each direction, and these cosines.

        A matrix product finds the candidates. How it rounds depends on the shapes, therefore their
        cosines are summed again in one order: answers and ties are the same in any company.
        """
        if not width:
            return
        scores = np.stack([q.direction for q in asked]).astype(table.dtype) @ table.T
        scores[:, self._nowhere[self._nowhere < len(table)]] = -np.inf
        for row, question in zip(scores, asked, strict=True):
            row[[i for i in question.words if i < len(table)]] = -np.inf
        limits = np.finfo(table.dtype)
        slack = 2 * (table.shape[1] + 2) * limits.eps  # twice what rounding can do to a product
        least = np.maximum(_lower_bounds(scores, width) - slack, limits.min)  # above −∞
        for row, bound, question in zip(scores, least, asked, strict=True):
            found = np.flatnonzero(row >= bound)
            cosine = (table[found] * question.direction).sum(axis=1)
            best = np.lexsort((found, -cosine))[:width]
            yield found[best], np.clip(cosine[best], -1, 1)

    def evaluate_word_pairs(self, path: str | os.PathLike[str], delimiter: str | None = "\t",
                            restrict_vocab: int | None = 300_000, case_insensitive: bool = True,
                            ) -> evaluate.WordPairs:
        r"""Correlate cosines with people's judgements, such as those of WordSim-353.

        A line of the file is a word, a word, and a number. (Of SimLex-999 that is what gensim's
        copy has; its own file has more columns.) Gives `pearson`, `spearman`, `unknown`,
        the share of pairs without vectors for both words, and `used`, the number of the others.
        Only the first `restrict_vocab` words are known (None: all). See `evaluate.word_pairs`.

        >>> import pathlib, tempfile
        >>> wv = WordVectors(["sea", "lake", "tax"], np.array([[3, 1.0], [2, 1], [-1, 1]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "pairs.tsv")
        ...     _ = path.write_text("sea\tlake\t8.5\nsea\ttax\t1\nsea\tfee\t1.5\n")
        ...     score = wv.evaluate_word_pairs(path)
        >>> score.spearman, score.used
        (1.0, 2)
        """
        _check_numbers(restrict_vocab=restrict_vocab)
        return evaluate.word_pairs(self.words[:restrict_vocab], self.unit[:restrict_vocab],
                                   Path(path), delimiter, case_insensitive)

    def evaluate_analogies(self, path: str | os.PathLike[str],
                           restrict_vocab: int | None = 300_000, case_insensitive: bool = True,
                           ) -> evaluate.Analogies:
        r"""Ask the questions of an analogy file, such as word2vec's questions-words.txt.

        A line of the file is four words, of which the last is to be found, or ": " and the name of
        a section. Gives the overall `score`, the share `unknown` of questions that have a word
        without a vector, and `sections`, each with its `name`, `correct`, `total` and `unknown`.
        Only the first `restrict_vocab` words are known (None: all). See `evaluate.analogies`.

        >>> import pathlib, tempfile
        >>> wv = WordVectors(["man", "king", "woman", "queen"],
        ...                  np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1.0]]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "questions.txt")
        ...     _ = path.write_text(": family\nman king woman queen\nking queen man woman\n")
        ...     wv.evaluate_analogies(path).sections
        [Section(name='family', correct=2, total=2, unknown=0.0)]
        """
        _check_numbers(restrict_vocab=restrict_vocab)
        return evaluate.analogies(self.words[:restrict_vocab], self.unit[:restrict_vocab],
                                  Path(path), case_insensitive)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all there is to a safetensors file, whole or not at all.

        Any words and numbers come back to the bit, and counts, dropped words and settings with
        them. ValueError for vectors of another type than float32 and float64.
        """
        formats.write_native(self._table(), Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WordVectors:
        """Read what `save` wrote; FormatError, saying where, if the file is not that."""
        return cls._of(formats.read_native(Path(path)), path)

    def save_word2vec(self, path: str | os.PathLike[str], binary: bool = False,
                      header: bool = True) -> None:
        """Write word2vec's text or binary format, or without header GloVe's; .gz packs it.

        The bytes are those that gensim writes. Text keeps float32 and float64 to the bit, binary is
        float32. ValueError, before anything is written, for a word that such a file cannot hold
        (empty, with white space, not UTF-8) and for vectors that are not finite.

        >>> import pathlib, tempfile
        >>> wv = WordVectors(["red", "blue"], np.array([[1, 0.5], [0.1, 2]], np.float32))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     wv.save_word2vec(f"{folder}/colours.txt")
        ...     print(pathlib.Path(folder, "colours.txt").read_text(), end="")
        2 2
        red 1.0 0.5
        blue 0.1 2.0
        """
        formats.write_word2vec(self._table(), Path(path), binary, header)

    @classmethod
    def load_word2vec(cls, path: str | os.PathLike[str], binary: bool = False, *,
                      header: bool | None = None, errors: str = "strict",
                      limit: int | None = None, dtype: Any = np.float32) -> WordVectors:
        """Read word2vec's text or binary format as any program writes it, or GloVe's; .gz unpacks.

        `header`: whether a text begins with a line ``n d`` (None: if its first line is two whole
        numbers, it does). `errors`: what Python does with words that are not UTF-8, such as
        "replace" or "surrogateescape". `limit`: how many words to read, from the first on.
        `dtype`: the type that holds the numbers of a text. FormatError, saying where, for a file
        that is damaged, cut off, or anything else.
        """
        if binary and header is False:
            raise ValueError("a binary file cannot be read without its header")
        table = (formats.read_word2vec_binary(Path(path), errors, limit) if binary else
                 formats.read_word2vec_text(Path(path), header, errors, limit, dtype))
        return cls._of(table, path)

    def save_projector(self, vectors: str | os.PathLike[str],
                       metadata: str | os.PathLike[str] | None = None) -> None:
        """Write two files for projector.tensorflow.org: the vectors, and words with their counts.

        The words go to `metadata`, by default beside the vectors: vectors.tsv → metadata.tsv, or
        else x.tsv → x_metadata.tsv.
        """
        words = None if metadata is None else Path(metadata)
        formats.write_projector(self._table(), Path(vectors), words)

    @classmethod
    def load_projector(cls, vectors: str | os.PathLike[str],
                       metadata: str | os.PathLike[str] | None = None) -> WordVectors:
        """Read what `save_projector` wrote, or the like."""
        words = None if metadata is None else Path(metadata)
        return cls._of(formats.read_projector(Path(vectors), words), vectors)

    def _table(self) -> formats.Table:
        return formats.Table(self.words, self.vectors, self.counts, self.dropped, self.settings)

    @classmethod
    def _of(cls, table: formats.Table, path: str | os.PathLike[str]) -> WordVectors:
        try:
            return cls(table.words, table.vectors, table.counts, dropped=table.dropped,
                       settings=table.settings)
        except ValueError as error:
            raise FormatError(f"{path}: these are no word vectors: {error}") from error


def read_vectors(path: str | os.PathLike[str], format: str | None = None) -> WordVectors:
    """Read a file of word vectors: in the named format, or in the one that it looks like.

    Formats are "safetensors", "word2vec-text", "word2vec-binary", "glove" and "projector".
    FormatError, saying where, if the file is damaged or looks like none of them.
    """
    return WordVectors._of(formats.read_table(Path(path), format), path)


def write_vectors(wv: WordVectors, path: str | os.PathLike[str], format: str | None = None) -> None:
    """Write word vectors: in the named format (see `read_vectors`), or in that of the file's name.

    Names end in .safetensors, .txt or .vec (word2vec's text), .bin, .glove, or .tsv (projector),
    all but the first also with .gz. ValueError if the name says nothing, or if the format cannot
    hold these words or numbers.
    """
    formats.write_table(wv._table(), Path(path), format)


@dataclass(frozen=True)
class Question:
    """A direction (d,) of length 1 (or 0) to look in, and rows that are no answer."""

    direction: Array
    words: list[int]


@dataclass(frozen=True)
class Neighbours:
    """Answers to k questions, the nearest first: `ids` (k, topn), `cosines` (k, topn).

    ``answers[i]`` lists the (word, cosine) pairs of question i. Where a question has less than
    `topn` answers, the rest of its row is −1 and NaN.
    """

    ids: Array
    cosines: Array
    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> list[tuple[str, float]]:
        pairs = zip(self.ids[i].tolist(), self.cosines[i].tolist(), strict=True)
        return [(self.words[row], cosine) for row, cosine in pairs if row >= 0]


class UnknownWordError(KeyError):
    """A word has no vector. The message, which says why, is worked out when it is looked at."""

    def __init__(self, word: object, vectors: WordVectors):
        super().__init__(word)
        self.vectors = vectors

    def __str__(self) -> str:
        word, wv = self.args[0], self.vectors
        why = "it may have occurred too seldom"
        if wv.dropped is not None:
            why = "it does not occur in the corpus"
        if not isinstance(word, str):
            why = "words are strings"
        elif wv.dropped is not None and word in wv.dropped:
            n, least = wv.dropped[word], wv.settings.get("min_count")
            why = (f"it occurs {n} time{'s' if n != 1 else ''} in the corpus, fewer than min_count"
                   + (f"={least}" if least is not None else ""))
        near = near_spellings(word, wv.words) if isinstance(word, str) else []
        return (f"the word {word!r} is not among these {len(wv)} words ({why})"
                + (f"; near spellings: {', '.join(near)}" if near else ""))

    def __reduce__(self) -> tuple[type[KeyError], tuple[str]]:
        return KeyError, (str(self),)  # to another process goes the message, not the vectors


def near_spellings(word: str, words: Sequence[str], most: int = 3) -> list[str]:
    """Up to `most` of the first 100,000 `words` that look like `word`, whatever their case.

    Comparing strings is slow: only the 200 of about the same length that differ in the fewest
    letters are compared.

    >>> near_spellings("Mondey", ["day", "monday", "money", "sun"])
    ['money', 'monday']
    """
    wanted = word.casefold()
    letters, found = set(wanted), dict[str, str]()
    for other in words[:SUGGESTED]:
        if abs(len(other) - len(word)) <= 2:
            found.setdefault(other.casefold(), other)
    close = heapq.nsmallest(200, found, key=lambda other: len(letters.symmetric_difference(other)))
    return [found[other] for other in difflib.get_close_matches(wanted, close, most)]


def _queries(given: Any, default: float) -> list[tuple[Any, float]]:
    """The (word or vector, weight) pairs that a caller may give in many ways."""
    vector = isinstance(given, np.ndarray) and given.ndim == 1
    queries = [given] if isinstance(given, str) or vector or _weighted(given) else given
    return [(q[0], float(q[1])) if _weighted(q) else (q, default) for q in queries]


def _weighted(query: Any) -> bool:
    return isinstance(query, tuple) and len(query) == 2 and isinstance(query[1], Real)


def _array(query: Any) -> Array:
    try:
        return np.asarray(query, float)
    except (TypeError, ValueError):
        raise ValueError("a query is a word, a vector, or a pair of either with its weight, not "
                         f"{query!r}") from None


def _check_numbers(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 0:
            raise ValueError(f"{name} is a number of words from 0 up, not {number}")


def _over(rows: Array, sizes: Array) -> Array:
    """Each row divided by its size, but those of size 0 as they are."""
    with np.errstate(invalid="ignore"):  # ∞/∞: the row becomes NaN, as it should
        quotient: Array = rows / np.where(sizes == 0, 1, sizes)[:, None]
    return quotient


def _direction(vector: Array) -> Array:
    """The vector at length 1; the zero vector as it is."""
    vector = _over(vector[None], np.abs(vector).max(keepdims=True, initial=0))
    unit: Array = _over(vector, np.sqrt(np.square(vector).sum(axis=1)))[0]
    return unit


def _cosine(one: Array, other: Array) -> float:
    return float(np.clip(one @ other, -1, 1))  # float32 vectors of length 1 may be 1e-7 longer


def _lower_bounds(scores: Array, width: int) -> Array:
    """For each row, a number that at least `width` of its scores reach, and few more.

    The width-th greatest of the maxima of 64-fold groups of columns is such a number, and found
    much sooner than the width-th greatest score.
    """
    groups = scores.shape[1] // 64
    if groups > 4 * width:
        scores = scores[:, :64 * groups].reshape(len(scores), 64, groups).max(axis=1)
    bounds: Array = np.asarray(np.partition(scores, -width, axis=1))[:, -width]
    return bounds
