"""SkipGram: word vectors from a text, by the notes' objective or by negative sampling."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from ..sparse import Array
from ..tensor import Tensor
from .corpus import Corpus, Vocabulary
from .counting import CoOccurrences
from .exact import ExactSoftmax, objective
from .files import FormatError, check_writable
from .folding import FoldedSoftmax
from .progress import Progress
from .safetensors import read_safetensors, write_safetensors
from .sampling import NegativeSampling
from .sources import Source
from .vectors import WordVectors

EPOCHS = {"softmax": 10, "negative": 2}
ENOUGH = 30_000_000  # words that negative sampling sees in all its passes, if 4 are enough
RATES = {"softmax": 1.0, "negative": 3.0}


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)  # NumPy's numbers, too


@dataclass(frozen=True)
class Pass:
    """What a callback is told after a pass: which it was, of how many, its loss, and the model.

    `seconds` since the training began, and how many words of the corpus a second went by. Words
    that `exact_words` leaves for the end are folded in after the last pass, and not before.
    """

    epoch: int
    epochs: int
    loss: float
    seconds: float
    words_per_second: float
    model: SkipGram


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
        "negative" sets each pair of words against a few words drawn at random (negative sampling),
        a text tile by tile: see docs/tiles.md. "softmax" minimises E1 itself, the sum over the
        whole vocabulary included, from co-occurrence counts.
    negative, sample, ns_exponent
        For "negative" alone: words drawn for each pair, on average; the share of a text above which
        a frequent word is thinned out (0: never), keeping it with probability ``√(t/f) + t/f``; and
        the power of the counts by which words are drawn.
    shrink_windows
        Weigh a pair at distance k by (m − k + 1)/m, on average what the original program does.
        False is E1 to the letter.
    epochs
        Passes over the data. By default 10 for "softmax"; for "negative" 2, or as many up to 4 as
        show it 30 million words. 0 leaves the vectors at their random start.
    exact_words
        For "softmax" alone: E1 is summed over so many of the most frequent words. The rarer ones
        are folded in after the last pass, each against those: see docs/exact.md. A vocabulary that
        is no larger is trained by E1 as a whole.
    lr
        Learning rate, falling over the run. For "negative": the longest step that a word's vector
        can take, 3 by default. For "softmax": a factor on the shared-curvature steps, 1.
    bias
        For "softmax" alone: log P(o|c) = u_oᵀ v_c + b_o − …, so that word frequency need not be
        carried by a direction of U and V. False is E2 to the letter.
    workers
        How many processes share the work ("negative"), or threads ("softmax", which takes as many
        as NumPy's matrix products would if that is more). The result has the same bits for any
        number.
    seed
        The same seed gives the same vectors.

    After `fit`: `vocabulary`, `corpus`, the Tensors `V` (n, d), `U` (n, d) and `bias` (n,) or None,
    `losses` (one a pass: E1 for "softmax", summed over `exact_words`; the mean over pairs for
    "negative"), and the vectors `wv`.

    >>> text = [["red", "and", "blue"], ["blue", "and", "red"]] * 10
    >>> model = SkipGram(vector_size=4, window=1, min_count=1, loss="softmax", seed=1)
    >>> model.fit(text, progress=False).wv.most_similar("red")[0][0]
    'blue'
    """

    def __init__(self, vector_size: int = 100, window: int = 5, min_count: int = 5,
                 loss: str = "negative", negative: int = 5, sample: float = 1e-3,
                 ns_exponent: float = 0.75, shrink_windows: bool = True,
                 epochs: int | None = None, lr: float | None = None, bias: bool = True,
                 exact_words: int = 20_000, workers: int = 1, seed: int = 0):
        if loss not in EPOCHS:
            raise ValueError(f"loss is 'softmax' or 'negative', not {loss!r}")
        for name, value, least in (("vector_size", vector_size, 1), ("window", window, 1),
                                   ("min_count", min_count, 1), ("negative", negative, 1),
                                   ("epochs", EPOCHS[loss] if epochs is None else epochs, 0),
                                   ("exact_words", exact_words, 2), ("workers", workers, 1),
                                   ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
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
        self.ns_exponent, self.shrink_windows = float(ns_exponent), bool(shrink_windows)
        self.epochs = EPOCHS[loss] if epochs is None else int(epochs)
        self._by_length = epochs is None and loss == "negative"  # `start` knows how many epochs
        self.lr, self.seed = float(RATES[loss] if lr is None else lr), int(seed)
        self.exact_words = int(exact_words)
        self.with_bias, self.workers = bool(bias) and loss == "softmax", int(workers)
        self.losses: list[float] = []
        self._partial = (0, 0.0, 0.0)  # of the pass under way: steps, loss, weight of its pairs
        self._whole = True  # not in the middle of a step

    @property
    def settings(self) -> dict[str, Any]:
        """The settings on which the result depends, as they may be given to `SkipGram`."""
        names = ("vector_size", "window", "min_count", "loss", "negative", "sample", "ns_exponent",
                 "shrink_windows", "epochs", "lr", "bias", "exact_words", "seed")
        return {name: self.with_bias if name == "bias" else getattr(self, name) for name in names}

    def fit(self, corpus: Source, progress: bool = True,
            checkpoint: str | os.PathLike[str] | None = None,
            callbacks: Sequence[Callable[[Pass], Any]] = (), tolerance: float | None = None,
            ) -> SkipGram:
        """Learn vectors from a corpus.

        Parameters
        ----------
        corpus
            A path (a text, a sentence a line; .gz, .bz2 and .xz are unpacked), several paths, a
            folder, or an iterable of token lists, read once: `Corpus.read` tells all.
        progress
            Show loss, words a second and the time left on standard error.
        checkpoint
            A file that is written after every pass, and when Ctrl-C ends the training after the
            step under way. If it is there at the start, the training goes on from it, to the same
            bits as without the break. `load` makes a model of it.
        callbacks
            Functions that are called with a `Pass` after every pass; if one gives True, it was the
            last.
        tolerance
            End the training when the loss has fallen by less than this share of itself in a pass
            (or has risen, as it may where the learning rate is still high).

        ValueError if no word is frequent enough or no two words stand together, or if the
        checkpoint was made with other settings or from another corpus (in all these cases the model
        is left as it was), or thinning leaves no pair; FormatError if the checkpoint is damaged;
        FloatingPointError if the loss stops being a number; ChildProcessError if a worker dies.
        """
        fresh = copy.copy(self)  # until all is read and checked, this model stays as it is
        fresh._check(checkpoint, callbacks, tolerance)
        fresh.start(corpus)
        fresh._resume(checkpoint)
        self.__dict__.update(fresh.__dict__)
        del fresh  # and with it the tables, which make place for those that workers share
        return self._train(progress, checkpoint, callbacks, tolerance)

    def run(self, progress: bool = True, checkpoint: str | os.PathLike[str] | None = None,
            callbacks: Sequence[Callable[[Pass], Any]] = (), tolerance: float | None = None,
            ) -> SkipGram:
        """Train, after `start`; `fit` is `start` and `run`."""
        if self._check_started()._trainer is None:
            raise RuntimeError("this SkipGram was loaded from a file: to go on with its training, "
                               "use fit(corpus, checkpoint=file)")
        self._check_whole()
        self._check(checkpoint, callbacks, tolerance)
        self._resume(checkpoint)
        return self._train(progress, checkpoint, callbacks, tolerance)

    def _train(self, progress: bool, checkpoint: str | os.PathLike[str] | None,
               callbacks: Sequence[Callable[[Pass], Any]], tolerance: float | None) -> SkipGram:
        """Make the passes that are still to be made."""
        trainer, begun, first = self._trainer, time.perf_counter(), len(self.losses)
        with (trainer.team(self.workers), noted_interrupts() as noted,
              Progress(self.epochs, len(self.corpus), progress, first) as shown):
            self.V, self.U = trainer.V, trainer.U  # in the memory that workers share
            for epoch in range(first, self.epochs):
                if tolerance is not None and len(self.losses) > 1 and (
                        self.losses[-2] - self.losses[-1] < tolerance * abs(self.losses[-2])):
                    break
                for done in self._pass(epoch):
                    shown.advance(done)
                    if noted:
                        break
                else:
                    self._end_pass()
                if checkpoint is not None:
                    self.save(checkpoint)
                if noted:
                    raise KeyboardInterrupt
                shown.finish(trainer.name, self.losses[-1])
                seconds = time.perf_counter() - begun
                made = Pass(epoch + 1, self.epochs, self.losses[-1], seconds,
                            (epoch + 1 - first) * len(self.corpus) / seconds, self)
                answers = [callback(made) for callback in callbacks]
                if noted:
                    raise KeyboardInterrupt
                if any(isinstance(answer, bool | np.bool_) and answer for answer in answers):
                    break
            self._close(shown, checkpoint, noted)
        return self

    def _close(self, shown: Progress, checkpoint: str | os.PathLike[str] | None, noted: list[int]
               ) -> None:
        """Do what is left when passes have been made and no more will be."""
        made = 0.0
        for made in self._trainer.closing() if self.losses else ():
            shown.close(made)
            if noted:
                break
        if made and checkpoint is not None:
            self.save(checkpoint)
        if noted:
            raise KeyboardInterrupt

    def _pass(self, epoch: int) -> Iterator[float]:
        """Make the steps that a pass still needs; gives the share of it that is done."""
        steps = self._trainer.steps(epoch, self._rate(epoch), self._partial[0])
        while True:
            self._whole = False  # until the step has ended
            try:
                with np.errstate(over="ignore", invalid="ignore"):  # the loss tells
                    made = next(steps, None)
            except FloatingPointError as error:
                raise FloatingPointError(f"{error} in pass {epoch + 1}: lower lr (it is "
                                         f"{self.lr})") from None
            self._whole = True
            if made is None:
                return
            loss, weight, done = made
            step, total, weights = self._partial
            self._partial = step + 1, total + loss, weights + weight
            yield done

    def _end_pass(self) -> None:
        _, total, weights = self._partial
        if not weights:
            raise ValueError(f"sample={self.sample} left no two words of a sentence together: this "
                             "text is too short to be thinned; use sample=0")
        self.losses.append(total / weights)
        self._partial = (0, 0.0, 0.0)

    def _check(self, checkpoint: Any, callbacks: Any, tolerance: Any) -> None:
        """Refuse what cannot be used later, before the work."""
        if tolerance is not None and not (_is_number(tolerance) and tolerance >= 0):
            raise ValueError(f"tolerance is a number from 0 up, not {tolerance!r}")
        if not isinstance(callbacks, list | tuple) or not all(map(callable, callbacks)):
            raise TypeError("callbacks is a list of functions of a Pass, such as [print]")
        if checkpoint is not None:
            check_writable(Path(checkpoint))
            if Path(checkpoint).suffix == ".gz":
                raise ValueError(f"{checkpoint}: a checkpoint is not packed; name it otherwise")

    def _check_whole(self) -> None:
        if not self._whole:
            raise RuntimeError("the training broke off in the middle of a step: fit again, or go "
                               "on from a checkpoint by fit(corpus, checkpoint=file)")

    def _rate(self, epoch: int) -> Callable[[float], float]:
        """The learning rate in a pass, by the share of it that is done."""
        fall = {"softmax": lambda t: 1 - 0.9 * t, "negative": lambda t: max(1 - t, 1e-4) ** 0.5}
        return lambda share: self.lr * fall[self.loss]((epoch + share) / self.epochs)

    def start(self, source: Source) -> SkipGram:
        """Read the corpus, build the vocabulary, and put V and U at their random start."""
        corpus = Corpus.read(source, self.min_count)
        vocabulary = corpus.vocabulary
        if not len(vocabulary):
            raise ValueError(f"no word of the corpus occurs {self.min_count} times "
                             f"({len(vocabulary.dropped)} occur less): lower min_count, or give "
                             "more text")
        if not np.any(np.diff(corpus.starts) > 1):
            raise ValueError("no two words of the corpus stand in one sentence: there is nothing "
                             "to learn from")
        if self._by_length:
            self.epochs = int(np.clip(ENOUGH // len(corpus), EPOCHS["negative"], 4))
        rng, n, d = np.random.default_rng(self.seed), len(vocabulary), self.vector_size
        self.vocabulary, self.corpus, self.losses = vocabulary, corpus, []
        self._partial, self._whole = (0, 0.0, 0.0), True
        self.bias: Tensor | None = None
        if self.loss == "softmax":
            v, u = (rng.normal(0, 0.05, (n, d)).astype(np.float32) for _ in "VU")
            self.counts = CoOccurrences.of(corpus, n, self.window, self.shrink_windows)
            self._trainer: Any = exact_trainer(v, u, self.counts, self.with_bias, self.exact_words,
                                               self.seed)
            self.V, self.U, self.bias = self._trainer.V, self._trainer.U, self._trainer.bias
            return self
        v = (rng.random((n, d), np.float32) - np.float32(0.5)) / np.float32(d)
        self._tables(v, np.zeros((n, d), np.float32))
        share, keep = vocabulary.counts / vocabulary.counts.sum(), np.ones(n)
        step = min(max(len(corpus) // 850, 256), 16384)  # words: many steps, or large ones
        shard = min(step // 2, 1024)  # words: what a cache holds, and enough for NumPy
        odds = self.ns_exponent * np.log(vocabulary.counts)
        if self.sample:
            keep = np.minimum(1, np.sqrt(self.sample / share) + self.sample / share)
        self._trainer = NegativeSampling(
            self.V, self.U, corpus, keep=keep, window=self.window, negative=self.negative,
            power=np.exp(odds - odds.max()),
            shrink_windows=self.shrink_windows, seed=self.seed, shard=shard,
            shards=-(-step // shard))
        return self

    def _tables(self, v: Array, u: Array) -> None:
        self.V, self.U = Tensor(v, requires_grad=True), Tensor(u, requires_grad=True)

    def _check_started(self) -> SkipGram:
        if not hasattr(self, "V"):
            raise RuntimeError("this SkipGram has no vectors yet: call fit(corpus) first")
        return self

    def __repr__(self) -> str:
        size = f", {len(self.vocabulary):,} words" if hasattr(self, "V") else ", not fitted"
        return (f"SkipGram(vector_size={self.vector_size}, window={self.window}, "
                f"loss={self.loss!r}{size})")

    # ── files ─────────────────────────────────────────────────────────────────────────────────────

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, and how far its training has got, to a safetensors file.

        `load` reads it; ``fit(corpus, checkpoint=path)`` goes on with the training. (The vectors
        alone are ``wv.save(path)``.)
        """
        trainer = self._check_started()._trainer
        if trainer is None:
            raise RuntimeError("this SkipGram was loaded from a file, and is still what is there")
        self._check_whole()
        arrays = {"V": self.V.data, "U": self.U.data, "counts": self.vocabulary.counts,
                  **({} if self.bias is None else {"bias": self.bias.data}),
                  **{f"state/{name}": array for name, array in trainer.state.items()}}
        told = {"settings": self.settings, "losses": self.losses, "partial": self._partial,
                "steps": trainer.number, "plan": trainer.plan,
                "corpus": fingerprint(self.corpus),
                "words": self.vocabulary.words,
                "dropped": dict(self.vocabulary.dropped.items())}
        write_safetensors(Path(path), arrays, {"format": "tinygrad_w2v skip-gram model"} | {
            name: json.dumps(value, ensure_ascii=False) for name, value in told.items()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SkipGram:
        """Read a model that `save`, or training with a checkpoint, has written.

        It has vectors, losses and `objective`, but no corpus. FormatError if the file is damaged.
        """
        arrays, told = read_model(Path(path))
        model = cls(**told["settings"])
        model.vocabulary = Vocabulary(told["words"], arrays["counts"], told["dropped"])
        model._tables(arrays["V"], arrays["U"])
        model.bias = (Tensor(arrays["bias"], requires_grad=True) if "bias" in arrays else None)
        model.losses, model._trainer = told["losses"], None
        return model

    def _resume(self, checkpoint: str | os.PathLike[str] | None) -> None:
        """Take over vectors and progress from a checkpoint, if there is one, of this training."""
        if checkpoint is None or not Path(checkpoint).exists():
            return
        path = Path(checkpoint)
        arrays, told = read_model(path)
        for name, value in self.settings.items():
            if (other := told["settings"].get(name)) != value:
                raise ValueError(f"{path}: this checkpoint was made with {name}={other!r}, not "
                                 f"{value!r}: use the same settings, name another file, or delete "
                                 "it to start anew")
        if told["corpus"] != fingerprint(self.corpus):
            raise ValueError(f"{path}: this checkpoint was made from another corpus: name another "
                             "file, or delete it to start anew")
        if told["plan"] != self._trainer.plan:
            raise ValueError(f"{path}: this checkpoint was made by a version that cuts the text "
                             "into other steps: name another file, or delete it to start anew")
        for name, array in self._trainer.state.items():
            found = arrays.get(f"state/{name}", np.empty(0))
            if (found.shape, found.dtype) != (array.shape, array.dtype):
                raise FormatError(f"{path}: not a skip-gram model that was saved whole: "
                                  f"state/{name} is missing or of another shape")
        tables = [(self.V, "V"), (self.U, "U"), (self.bias, "bias")]
        for tensor, name in tables:
            if tensor is not None:
                with tensor.edit() as values:
                    values[...] = arrays[name]
        for name, array in self._trainer.state.items():
            array[...] = arrays[f"state/{name}"]
        self._trainer.number = told["steps"]
        self.losses, self._partial = told["losses"], tuple(told["partial"])

    # ── what it knows ─────────────────────────────────────────────────────────────────────────────

    def objective(self, corpus: Source) -> float:
        """E1 of this model on `corpus`, exactly: −(1/T) Σ_t Σ_j log P(w_{t+j} | w_t).

        T counts the words of `corpus` that are in the vocabulary. P is this model's, with its bias
        if it has one; pairs are weighed by `shrink_windows` as in training. It is defined for every
        model, however it was trained.
        """
        self._check_started()
        encoded = Corpus.encode(corpus, self.vocabulary)
        if not len(encoded):
            raise ValueError("the corpus has no word of this model's vocabulary")
        n = len(self.vocabulary)
        counts = CoOccurrences.of(encoded, n, self.window, self.shrink_windows)
        bias = None if self.bias is None else self.bias.data
        return objective(self.V.data, self.U.data, bias, counts) / len(encoded)

    @property
    def wv(self) -> WordVectors:
        """The vectors v + u, which score better than either alone, after both losses."""
        return self.word_vectors("v+u")

    def word_vectors(self, which: str) -> WordVectors:
        """The centre vectors "v", the outside vectors "u", or their sum "v+u"."""
        self._check_started()
        tables = {"v": lambda: self.V.numpy(), "u": lambda: self.U.numpy(),
                  "v+u": lambda: self.V.data + self.U.data}
        if which not in tables:
            raise ValueError(f"word vectors are 'v', 'u' or 'v+u', not {which!r}")
        return WordVectors(self.vocabulary.words, tables[which](), self.vocabulary.counts,
                           dropped=self.vocabulary.dropped,
                           settings={**self.settings, "vectors": which})


def exact_trainer(v: Array, u: Array, counts: CoOccurrences, with_bias: bool, k: int, seed: int
                  ) -> ExactSoftmax | FoldedSoftmax:
    """What trains tables by E1, which start at `v` and `u`, over the first k words at most."""
    bias = None
    if with_bias:
        share = np.log((counts.totals + 0.5) / (counts.totals.sum() + 0.5 * counts.n))
        bias = share.astype(np.float32)
    if counts.n > k:
        return FoldedSoftmax(v, u, bias, counts, k, seed)
    V, U = Tensor(v, requires_grad=True), Tensor(u, requires_grad=True)
    return ExactSoftmax(V, U, None if bias is None else Tensor(bias, requires_grad=True), counts,
                        seed)


def fingerprint(corpus: Corpus) -> str:
    """A short text that differs for different corpora."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (*corpus.chunks(), corpus.starts):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of a model's file, and what else is told there."""
    arrays, metadata = read_safetensors(path)
    try:
        told = {name: json.loads(metadata[name]) for name in
                ("settings", "losses", "partial", "steps", "plan", "corpus", "words", "dropped")}
        model = SkipGram(**told["settings"])
        n, d = len(told["words"]), model.vector_size
        expected: dict[str, Any] = {"V": (n, d), "U": (n, d), "counts": (n,)}
        if model.with_bias:
            expected["bias"] = (n,)
        for name, shape in expected.items():
            kind = np.dtype(np.int64 if name == "counts" else np.float32)
            if (arrays[name].shape, arrays[name].dtype) != (shape, kind):
                raise ValueError(f"{name} is {arrays[name].dtype} of shape {arrays[name].shape}, "
                                 f"not {kind} of shape {shape}")
            if not np.all(np.isfinite(arrays[name])):
                raise ValueError(f"{name} holds NaN or infinity")
        step, *sums = told["partial"]
        numbers = [*told["losses"], *sums, step, told["steps"], *told["dropped"].values()]
        if len(sums) != 2 or not all(map(_is_number, numbers)) or not all(
                isinstance(count, int) for count in (step, told["steps"])):
            raise ValueError("its losses and counts are no numbers")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise FormatError(f"{path}: not a skip-gram model that was saved whole: "
                          f"{error!r}") from error
    return arrays, told


@contextmanager
def noted_interrupts() -> Iterator[list[int]]:
    """Note Ctrl-C in a list, so that a step can end, instead of raising KeyboardInterrupt.

    The second one raises. Outside the main thread, or where a program handles Ctrl-C itself,
    nothing is changed.
    """
    noted: list[int] = []
    if (threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler):
        yield noted
        return

    def note(number: int, frame: Any) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
