"""SkipGram: word vectors from a text, by the notes' objective or by negative sampling."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np

from ..derived import take
from ..functional import no_grad
from ..optim import Adagrad
from ..sparse import Array
from ..tensor import Tensor
from .corpus import Corpus, Source, Vocabulary, sentences_of
from .curvature import SharedCurvature
from .objective import CoOccurrences, exact_loss, negative_loss
from .progress import Progress
from .vectors import WordVectors

BATCH = 1024  # positions in a step of negative sampling
EPOCHS = {"softmax": 10, "negative": 5}
RATES = {"softmax": 1.0, "negative": 0.25}


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)  # NumPy's numbers, too


class SkipGram:
    """The skip-gram model: every word predicts the words around it (Mikolov et al. 2013; E1–E6).

    Parameters
    ----------
    vector_size
        d, the length of a vector.
    window
        m, how far to the left and right a word looks.
    min_count
        Words that occur less often are left out.
    loss
        "softmax" minimises E1 itself, the sum over the whole vocabulary included, from
        co-occurrence counts. "negative" replaces that sum by a few words drawn at random.
    negative, sample, ns_exponent
        For "negative" alone: words drawn for each pair; the share of a text above which a frequent
        word is thinned out (0: never), keeping it with probability ``√(t/f) + t/f``; and the power
        of the counts by which words are drawn.
    shrink_windows
        Weigh a pair at distance k by (m − k + 1)/m, on average what the original program does.
        False is E1 to the letter.
    epochs
        Passes over the data; by default 10 ("softmax") or 5 ("negative"). 0 leaves the vectors at
        their random start.
    lr
        Learning rate, falling over the run: for "softmax" a factor on the shared-curvature steps,
        1 by default; for "negative" that of a row-wise Adagrad, 0.25 by default.
    bias
        For "softmax" alone: log P(o|c) = u_oᵀ v_c + b_o − …, so that word frequency need not be
        carried by a direction of U and V. False is E2 to the letter.
    seed
        The same seed gives the same vectors.

    After `fit`: `vocabulary`, `corpus`, the Tensors `V` (n, d), `U` (n, d) and `bias` (n,) or None,
    `losses` (one a pass: E1 for "softmax", the mean over pairs for "negative"), and the vectors
    `wv`.

    >>> text = [["red", "and", "blue"], ["blue", "and", "red"]] * 10
    >>> model = SkipGram(vector_size=4, window=1, min_count=1, loss="softmax", seed=1)
    >>> model.fit(text, progress=False).wv.most_similar("red")[0][0]
    'blue'
    """

    def __init__(self, vector_size: int = 100, window: int = 5, min_count: int = 5,
                 loss: str = "negative", negative: int = 5, sample: float = 1e-3,
                 ns_exponent: float = 0.75, shrink_windows: bool = True,
                 epochs: int | None = None, lr: float | None = None, bias: bool = True,
                 seed: int = 0):
        if loss not in EPOCHS:
            raise ValueError(f"loss is 'softmax' or 'negative', not {loss!r}")
        for name, value, least in (("vector_size", vector_size, 1), ("window", window, 1),
                                   ("min_count", min_count, 1), ("negative", negative, 1),
                                   ("epochs", EPOCHS[loss] if epochs is None else epochs, 0),
                                   ("seed", seed, 0)):
            if not isinstance(value, int | np.integer) or value < least:
                raise ValueError(f"{name} is a whole number from {least} up, not {value!r}")
        if lr is not None and not (_is_number(lr) and 0 < lr < np.inf):
            raise ValueError(f"lr is a number above 0, not {lr!r}")
        if not (_is_number(sample) and 0 <= sample < np.inf):
            raise ValueError(f"sample is a share of the text, or 0, not {sample!r}")
        if not (_is_number(ns_exponent) and np.isfinite(ns_exponent)):
            raise ValueError(f"ns_exponent is a number, such as 0.75, not {ns_exponent!r}")
        self.vector_size, self.window = int(vector_size), int(window)
        self.min_count = int(min_count)
        self.loss, self.negative, self.sample = loss, int(negative), float(sample)
        self.ns_exponent, self.shrink_windows = float(ns_exponent), shrink_windows
        self.epochs = EPOCHS[loss] if epochs is None else int(epochs)
        self.lr, self.seed = float(RATES[loss] if lr is None else lr), int(seed)
        self.with_bias = bias and loss == "softmax"
        self.losses: list[float] = []

    def fit(self, corpus: Source, progress: bool = True) -> SkipGram:
        """Learn vectors from `corpus`: a path (a sentence a line), or an iterable of token lists.

        ValueError if no word is frequent enough or no two words stand together; FloatingPointError
        if the loss stops being a number (the learning rate is too high).
        """
        return self.start(corpus).run(progress)

    def run(self, progress: bool = True) -> SkipGram:
        """Train, after `start`; `fit` is `start` and `run`."""
        self._check_started()
        train = self._exact_pass if self.loss == "softmax" else self._negative_pass
        with (Progress(self.epochs, self._steps, progress) as shown,
              np.errstate(over="ignore", invalid="ignore")):  # `_backward` says it
            for epoch in range(self.epochs):
                self.losses.append(train(epoch, shown))
                shown.finish("E1" if self.loss == "softmax" else "loss", self.losses[-1])
        return self

    def start(self, source: Source) -> SkipGram:
        """Read the corpus, build the vocabulary, and put V and U at their random start."""
        sentences = sentences_of(source)
        vocabulary = Vocabulary.build(sentences, self.min_count)
        if not len(vocabulary):
            raise ValueError(f"no word of the corpus occurs {self.min_count} times "
                             f"({vocabulary.dropped} occur less): lower min_count, or give more "
                             "text")
        corpus = Corpus.encode(sentences, vocabulary)
        if not np.any(corpus.sentence[1:] == corpus.sentence[:-1]):
            raise ValueError("no two words of the corpus stand in one sentence: there is nothing "
                             "to learn from")
        self.vocabulary, self.corpus = vocabulary, corpus
        self._rng, self.losses = np.random.default_rng(self.seed), []
        n, d = len(self.vocabulary), self.vector_size
        if self.loss == "softmax":
            v, u = self._rng.normal(0, 0.05, (2, n, d))
            self.counts = CoOccurrences.of(self.corpus, n, self.window, self.shrink_windows)
        else:
            v, u = self._rng.uniform(-0.5 / d, 0.5 / d, (n, d)), np.zeros((n, d))
        self.V = Tensor(v, requires_grad=True, dtype=np.float32)
        self.U = Tensor(u, requires_grad=True, dtype=np.float32)
        self.bias: Tensor | None = None
        if self.with_bias:
            totals = self.counts.totals
            share = np.log((totals + 0.5) / (totals.sum() + 0.5 * n))
            self.bias = Tensor(share, requires_grad=True, dtype=np.float32)
        self._optimiser: Any = (
            SharedCurvature(self.V, self.U, self.bias, self.counts.totals)
            if self.loss == "softmax" else Adagrad([self.V, self.U], self.lr, rowwise=True))
        return self

    def _check_started(self) -> None:
        if not hasattr(self, "V"):
            raise RuntimeError("this SkipGram has no vectors yet: call fit(corpus) first")

    def __repr__(self) -> str:
        size = f", {len(self.vocabulary):,} words" if hasattr(self, "V") else ", not fitted"
        return (f"SkipGram(vector_size={self.vector_size}, window={self.window}, "
                f"loss={self.loss!r}{size})")

    @property
    def _steps(self) -> int:
        """How many steps `fit` counts in a pass."""
        if self.loss == "softmax":
            return len(list(self.counts.blocks(np.arange(self.counts.n))))
        return -(-len(self.corpus) // BATCH)

    def _exact_pass(self, epoch: int, shown: Progress) -> float:
        """One pass over E1, a block of centre words at a time; gives E1 as seen on the way."""
        total, done = 0.0, 0
        for rows in self.counts.blocks(self._rng.permutation(self.counts.n)):
            counts = Tensor(self.counts.dense(rows))
            loss = exact_loss(take(self.V, rows), self.U, self.bias, counts)
            total += self._backward(loss, epoch)
            fraction = (epoch + done / self.counts.n) / self.epochs
            self._optimiser.step(self.lr * (1 - 0.9 * fraction))
            done += len(rows)
            shown.advance()
        return total / self.counts.positions

    def _negative_pass(self, epoch: int, shown: Progress) -> float:
        """One pass of negative sampling; gives the mean loss of a pair."""
        counts = self.vocabulary.counts
        power = np.cumsum((counts / counts.max()) ** self.ns_exponent)
        total, pairs = 0.0, 0
        for end, centre, outside in self._pairs():
            if not len(centre):
                continue
            draws = self._rng.random((len(centre), self.negative)) * power[-1]
            noise = np.searchsorted(power, draws, side="right")
            total += self._backward(negative_loss(self.V, self.U, centre, outside, noise), epoch)
            fraction = (epoch + end / len(self.corpus)) / self.epochs
            self._optimiser.lr = self.lr * max(1 - fraction, 1e-3)
            self._optimiser.step()
            pairs += len(centre)
            shown.advance()
        return total / max(pairs, 1)

    def _backward(self, loss: Tensor, epoch: int) -> float:
        """Make the gradients of a step; gives the value of its loss."""
        if not np.isfinite(value := loss.item()):
            raise FloatingPointError(f"the loss became {value} in pass {epoch + 1}: lower lr (it "
                                     f"is {self.lr})")
        self._optimiser.zero_grad()
        loss.backward()
        return value

    def _pairs(self) -> Iterator[tuple[int, Array, Array]]:
        """Draw the pairs of a pass, a stretch of text at a time: its end, centres, outsides."""
        share = self.vocabulary.counts / max(self.vocabulary.counts.sum(), 1)
        keep = np.ones(len(share))
        if self.sample:
            keep = np.minimum(1, np.sqrt(self.sample / share) + self.sample / share)
        kept = np.flatnonzero(self._rng.random(len(self.corpus)) < keep[self.corpus.ids])
        ids, sentence = self.corpus.ids[kept], self.corpus.sentence[kept]
        reach = np.full(len(ids), self.window)
        if self.shrink_windows:
            reach = self._rng.integers(1, self.window + 1, len(ids))
        distances = [j for j in range(-self.window, self.window + 1) if j]
        for start in range(0, len(ids), BATCH):
            here = np.arange(start, min(start + BATCH, len(ids)))
            centre, outside = [], []
            for j in distances:
                c = here[(reach[here] >= abs(j)) & (here + j >= 0) & (here + j < len(ids))]
                c = c[sentence[c] == sentence[c + j]]
                centre.append(ids[c])
                outside.append(ids[c + j])
            yield int(here[-1]) + 1, np.concatenate(centre), np.concatenate(outside)

    def objective(self, corpus: Source) -> float:
        """E1 of this model on `corpus`, exactly: −(1/T) Σ_t Σ_j log P(w_{t+j} | w_t).

        T counts the words of `corpus` that are in the vocabulary. P is this model's, with its bias
        if it has one; pairs are weighed by `shrink_windows` as in training. It is defined for every
        model, however it was trained.
        """
        self._check_started()
        encoded = Corpus.encode(sentences_of(corpus), self.vocabulary)
        n = len(self.vocabulary)
        counts = CoOccurrences.of(encoded, n, self.window, self.shrink_windows)
        if not len(encoded):
            raise ValueError("the corpus has no word of this model's vocabulary")
        with no_grad():
            total: float = sum(
                exact_loss(take(self.V, rows), self.U, self.bias, counts.dense(rows)).item()
                for rows in counts.blocks(np.arange(n)))
        return total / len(encoded)

    @property
    def wv(self) -> WordVectors:
        """The vectors: v + u after "softmax", v after "negative" (what scores best for each)."""
        return self.word_vectors("v+u" if self.loss == "softmax" else "v")

    def word_vectors(self, which: str) -> WordVectors:
        """The centre vectors "v", the outside vectors "u", or their sum "v+u"."""
        self._check_started()
        tables = {"v": self.V.data, "u": self.U.data, "v+u": self.V.data + self.U.data}
        if which not in tables:
            raise ValueError(f"word vectors are 'v', 'u' or 'v+u', not {which!r}")
        return WordVectors(self.vocabulary.words, tables[which].copy(), self.vocabulary.counts)
