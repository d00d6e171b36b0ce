"""How good word vectors are: by people's judgements of word pairs, and by analogies.

Files and scores are those of word2vec's and gensim's evaluators. Words are looked up by their
upper case, unless told otherwise; of several spellings the first counts, by custom the most
frequent one. Words whose vectors are not finite count as unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..sparse import Array
from .files import FormatError, reading

SCORES = 1 << 25   # bytes of cosines that are held at once
LONGEST = 1 << 16  # bytes of a line


class WordPairs(NamedTuple):
    """How cosines agree with people's judgements: two correlations, in [−1, 1].

    `unknown` is the share of the file's pairs, in [0, 1], that are left out since a word of theirs
    has no vector; `used` is the number of the others. A correlation is NaN where all judgements, or
    all cosines, are equal.
    """

    pearson: float
    spearman: float
    unknown: float
    used: int


class Section(NamedTuple):
    """One section of an analogy file: `correct` answers out of `total` questions.

    `unknown` is the share of the section's questions that are left out of `total`.
    """

    name: str
    correct: int
    total: int
    unknown: float


class Analogies(NamedTuple):
    """Analogies solved: `score` is the share of all questions that could be asked, in [0, 1].

    `unknown` is the share of the file's questions that were left out since a word of theirs has no
    vector.
    """

    score: float
    unknown: float
    sections: list[Section]


def word_pairs(words: Sequence[str], unit: Array, path: Path, delimiter: str | None = "\t",
               case_insensitive: bool = True) -> WordPairs:
    """Correlate the cosines of the rows of `unit` (n, d) with a file's judgements.

    A line of the file is a word, a word, and a number, with `delimiter` between (None: white
    space). Empty lines and those that begin with # are passed over, and so is a first line whose
    third field is no number: it names the columns. FormatError, with the line, for any other;
    ValueError if less than two pairs can be used.

    Such files are WordSim-353 (Finkelstein et al., "Placing Search in Context", 2002) and
    SimLex-999 (Hill, Reichart, Korhonen, 2015).
    """
    known = Known(words, unit, case_insensitive)
    rows, judgements, total = list[tuple[int, int]](), list[float](), 0
    for first, number, line in _lines(path):
        fields = [field.strip() for field in line.split(delimiter)]
        value = _number(fields[2]) if len(fields) == 3 else None
        if value is None:
            if first and len(fields) == 3:
                continue
            between = "white space" if delimiter is None else repr(delimiter)
            raise FormatError(f"{path}, line {number}: {line[:60]!r} is not a word, a word and a "
                              f"number with {between} between them")
        total += 1
        pair = known.row(fields[0]), known.row(fields[1])
        if pair[0] >= 0 and pair[1] >= 0:
            rows.append(pair)
            judgements.append(value)
    if len(rows) < 2:
        raise ValueError(f"{path}: of {total} pairs {len(rows)} can be used, since the other words "
                         f"are not among these {len(words)}; a correlation needs two")
    a, b = np.array(rows).T
    cosines = np.einsum("ij,ij->i", unit[a], unit[b], dtype=float)
    people = np.array(judgements)
    return WordPairs(_correlation(people, cosines), _correlation(_ranks(people), _ranks(cosines)),
                     1 - len(rows) / total, len(rows))


def analogies(words: Sequence[str], unit: Array, path: Path,
              case_insensitive: bool = True) -> Analogies:
    """Ask a file's questions: `a` is to `b` as `c` is to what.

    A line ": name" begins a section; any other is four words, the last of which is the answer
    wanted. It is right if of all words, but for a, b and c in any spelling, it is the nearest to
    b − a + c, all at length 1 (3CosAdd). Empty lines and those that begin with # are passed over.
    FormatError, with the line, for a line that is neither; ValueError if no question can be asked.

    The file questions-words.txt is that of Mikolov et al., "Efficient Estimation of Word
    Representations in Vector Space" (2013).
    """
    known = Known(words, unit, case_insensitive)
    names, asked = list[str](), list[list[tuple[int, ...]]]()
    for _, number, line in _lines(path):
        if line.startswith(":"):
            names.append(line[1:].strip())
            asked.append([])
            continue
        if not names:
            raise FormatError(f"{path}, line {number}: a question stands before the first section; "
                              "a line such as ': capitals' begins one")
        if len(question := line.split()) != 4:
            raise FormatError(f"{path}, line {number}: {line[:60]!r} is not four words")
        asked[-1].append(tuple(map(known.row, question)))
    every = np.array([question for section in asked for question in section], int).reshape(-1, 4)
    possible: Array = np.all(every >= 0, axis=1)
    if not possible.any():
        raise ValueError(f"{path}: none of {len(every)} questions can be asked, since no question "
                         f"has all four words among these {len(words)}")
    right = np.zeros(len(every), bool)
    right[possible] = known.solve(every[possible])
    sections, start = [], 0
    for name, questions in zip(names, asked, strict=True):
        part = slice(start, start + len(questions))
        total, start = int(possible[part].sum()), part.stop
        sections.append(Section(name, int(right[part].sum()), total,
                                1 - total / len(questions) if questions else 0.0))
    return Analogies(float(right.sum() / possible.sum()), float(1 - possible.mean()), sections)


class Known:
    """The words that can be asked for, however they are spelt.

    `first` (n,) is, for each row, the first row with the same upper case; `others` gives the rows
    of the further spellings of a first row; `lost` the rows that are not finite.
    """

    def __init__(self, words: Sequence[str], unit: Array, case_insensitive: bool):
        self.unit, self.upper = unit, case_insensitive
        self.lost = np.flatnonzero(np.isnan(unit.sum(axis=1)))
        self.index: dict[str, int] = {}
        self.first, self.others = np.arange(len(words)), defaultdict[int, list[int]](list)
        unusable = set(self.lost.tolist())
        for i, word in enumerate(words):
            if i not in unusable and (first := self.index.setdefault(self._key(word), i)) != i:
                self.first[i] = first
                self.others[first].append(i)

    def _key(self, word: str) -> str:
        return word.upper() if self.upper else word

    def row(self, word: str) -> int:
        """The row of a word, −1 if it is not known."""
        return self.index.get(self._key(word), -1)

    def solve(self, questions: Array) -> Array:
        """Which of the questions (k, 4), rows of words, have their fourth word for an answer."""
        unit, right = self.unit, []
        block = max(1, SCORES // (unit.itemsize * (sum(unit.shape) + 1)))
        for start in range(0, len(questions), block):
            right.append(self._solve_block(questions[start:start + block]))
        return np.concatenate(right)

    def _solve_block(self, questions: Array) -> Array:
        unit, i = self.unit, np.arange(len(questions))
        a, b, c, wanted = questions.T
        scores = (unit[b] - unit[a] + unit[c]) @ unit.T
        scores[:, self.lost] = -np.inf
        for row in (a, b, c):
            scores[i, row] = -np.inf
        for k, question in enumerate(questions[:, :3].tolist()):
            for row in filter(self.others.__contains__, question):
                scores[k, self.others[row]] = -np.inf
        nearest = scores.argmax(axis=1)
        found = scores[i, nearest] > -np.inf
        return np.asarray(found & (self.first[nearest] == wanted))


def _lines(path: Path) -> Iterator[tuple[bool, int, str]]:
    """The lines that say something, with whether it is the first, and its number in the file."""
    first = True
    with reading(path) as file:
        for number, raw in enumerate(iter(lambda: file.readline(LONGEST), b""), 1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
            except UnicodeDecodeError as error:
                raise FormatError(f"{path}, line {number}: not UTF-8 from byte {error.start} of "
                                  "the line on") from None
            if line.strip() and not line.startswith("#"):
                yield first, number, line
                first = False
    if first:
        raise FormatError(f"{path} has no line that says anything")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _correlation(x: Array, y: Array) -> float:
    """Pearson's: Σ (x−x̄)(y−ȳ) / √(Σ (x−x̄)² · Σ (y−ȳ)²); NaN if one of them is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    x, y = x - x.mean(), y - y.mean()
    return float((x @ y) / np.sqrt((x @ x) * (y @ y)))


def _ranks(x: Array) -> Array:
    """Ranks from 1 up; equal numbers have the mean of the ranks they take up together."""
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks
