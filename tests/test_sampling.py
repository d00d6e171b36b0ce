"""Training by negative sampling against its definition, a position at a time in float64.

The reference shares the draws with the package (`tiles_of` with the same generator: which words
stay, in which order the tiles come, the noise), and nothing else.
"""

import os
import sys
from collections import Counter

import numpy as np
import pytest

import tinygrad_w2v as tg
from tinygrad_w2v.word2vec import SkipGram, model as model_module, sampling, tiles as tiles_module
from tinygrad_w2v.word2vec.blas import openblas
from tinygrad_w2v.word2vec.team import Team
from tinygrad_w2v.word2vec.tiles import tiles_of

SHARD = 256  # words: two draws of noise


def zipf_text(words, n=60, seed=5):
    """Sentences of 1 to 12 words; the k-th word is about 1/k as frequent as the first."""
    rng, odds = np.random.default_rng(seed), 1 / np.arange(1, n + 1)
    drawn = [f"w{i}" for i in rng.choice(n, words, p=odds / odds.sum())]
    cuts = np.cumsum(rng.integers(1, 13, words))
    return [drawn[a:b] for a, b in zip([0, *cuts], cuts, strict=False) if a < words]


def started(text, **settings):
    return SkipGram(**{"vector_size": 5, "window": 2, "min_count": 1, "negative": 3,
                       "sample": 0.05, "ns_exponent": 0.5, "epochs": 2, "lr": 0.3, "seed": 8,
                       **settings}).start(text)


# ── the definition ────────────────────────────────────────────────────────────────────────────────


def gradient(V, U, ids, sentence, noise, m, negative, shrink_windows):
    """Loss, weight of the pairs, and the gradient by V and U, of some tiles at the same V and U."""
    loss, pairs, by_v, by_u = 0.0, 0.0, np.zeros(V.shape), np.zeros(U.shape)
    tiles_a_draw = len(ids) // len(noise)
    for t, place in np.ndindex(len(ids), ids.shape[1] - 2 * m):
        i = m + place
        near = [j for j in range(i - m, i + m + 1) if j != i and sentence[t, j] == sentence[t, i]]
        weights = [(m - abs(i - j) + 1) / m if shrink_windows else 1.0 for j in near]
        drawn = noise[t // tiles_a_draw]
        of_noise = negative * sum(weights) / len(drawn)
        centre, others = ids[t, i], np.concatenate([ids[t, near], drawn])
        w = np.array([*weights, *[of_noise] * len(drawn)])
        sign = np.array([-1.0] * len(near) + [1.0] * len(drawn))
        x = sign * (U[others] @ V[centre])  # −log σ(∓x) is log(1 + e^±x)
        loss += w @ np.log1p(np.exp(x))
        pairs += sum(weights)
        slope = w * sign / (1 + np.exp(-x))
        by_v[centre] += slope @ U[others]
        np.add.at(by_u, others, np.outer(slope, V[centre]))
    return loss, pairs, by_v, by_u


class Adagrad:
    """s ← s + |g P|²; x ← x − lr · g P / √s, with a P that knows the directions of gradients."""

    def __init__(self, n, d):
        self.s, self.P, self.second = np.ones(n), np.eye(d), np.zeros((d, d))

    def step(self, x, g, seen, lr, step):
        P, d = self.P, len(self.P)
        if step % 4 == 0:
            of_parts = []
            for part in range(4):
                rows = [g[word] for word in seen if word % 4 == part]
                units = [row / np.sqrt(row @ row) for row in rows if row.any()]
                of_parts.append(sum(map(np.outer, units, units), np.zeros((d, d)))
                                / max(len(rows), 1))
            self.second = 0.92 * self.second + 0.08 * sum(of_parts) / 4
        if step % 32 == 0 and self.second.any():
            values, vectors = np.linalg.eigh(self.second * d / np.trace(self.second))
            self.P = vectors @ np.diag(np.maximum(values, 1e-2) ** -0.25) @ vectors.T
        for word in seen:
            row = g[word] @ P
            self.s[word] += row @ row
            x[word] -= lr * row / np.sqrt(self.s[word])


def reference(model, text, step_words, chunk):
    """Train as `model` should; a dict for each step, the mean loss of each pass, and the memory."""
    m, length = model.window, sum(map(len, text))
    counts = Counter(word for sentence in text for word in sentence)
    counts = np.array([counts[word] for word in model.vocabulary.words])
    t = (model.sample or np.inf) * length / counts  # 0 is no thinning
    keep, noise_weights = np.minimum(1, np.sqrt(t) + t), counts**model.ns_exponent
    V, U = model.V.numpy().astype(float), np.zeros(model.V.shape)
    of_v, of_u = Adagrad(*V.shape), Adagrad(*V.shape)
    steps, losses = [], []
    for epoch in range(model.epochs):
        rng, total, weights = np.random.default_rng([model.seed, epoch]), 0.0, 0.0
        chunks = tiles_of(model.corpus, keep.astype(np.float32), noise_weights, m, rng)
        for number, ((ids, sentence, noise), _) in enumerate(chunks):
            size, tiles_a_draw = step_words // (ids.shape[1] - 2 * m), len(ids) // len(noise)
            read = [min(chunk * k, length) / length for k in (number, number + 1)]
            for a in range(0, len(ids), size):
                b = min(a + size, len(ids))
                begin, done = np.interp([a, b], [0, len(ids)], read)
                drawn = noise[a // tiles_a_draw : b // tiles_a_draw]
                loss, weight, by_v, by_u = gradient(V, U, ids[a:b], sentence[a:b], drawn, m,
                                                    model.negative, model.shrink_windows)
                lr = model.lr * np.sqrt(1 - (epoch + begin) / model.epochs)
                of_v.step(V, by_v, {*ids[a:b, m:-m].flat}, lr, len(steps))
                of_u.step(U, by_u, {*ids[a:b].flat, *drawn.flat}, lr, len(steps))
                steps.append({"loss": loss, "weight": weight, "done": done, "lr": lr,
                              "V": V.copy(), "U": U.copy()})
                total, weights = total + loss, weights + weight
        losses.append(total / weights)
    memory = {f"{table}_{name}": array for table, of in (("V", of_v), ("U", of_u))
              for name, array in (("sums", of.s), ("P", of.P), ("second", of.second))}
    return steps, losses, memory


# ── the package ───────────────────────────────────────────────────────────────────────────────────


def watched(model):
    """A list that takes a dict for each step that `model` makes."""
    steps, seen = model._trainer.steps, []

    def watching(epoch, rate, *skip):
        rates = []
        noted = lambda share: rates.append(rate(share)) or rates[-1]
        for loss, weight, done in steps(epoch, noted, *skip):
            seen.append({"loss": loss, "weight": weight, "done": done, "lr": rates[-1],
                         "V": model.V.numpy(), "U": model.U.numpy()})
            yield loss, weight, done

    model._trainer.steps = watching
    return seen


CASES = {  # shards in a step, words in a chunk, words in the text; what differs from `started`
    "small steps": (2, 1900, 9000, {}),
    "even windows, no thinning": (2, 1300, 3000, {"shrink_windows": False, "window": 3,
                                                  "sample": 0, "negative": 6}),
    "two workers": (8, 3100, 7000, {"workers": 2, "window": 5}),
}


@pytest.mark.parametrize("case", CASES)
def test_training_is_its_definition(case, monkeypatch):
    shards, chunk, words, settings = CASES[case]
    of_shards = sampling.NegativeSampling
    monkeypatch.setattr(model_module, "NegativeSampling",
                        lambda *given, **named: of_shards(
                            *given, **{**named, "shard": SHARD, "shards": shards}))
    for module in (tiles_module, sampling):
        monkeypatch.setattr(module, "CHUNK", chunk)
    text = zipf_text(words)
    model = started(text, **settings)
    expected, losses, memory = reference(model, text, shards * SHARD, chunk)
    seen = watched(model)
    model.run(progress=False)

    assert len(seen) > 36 or case != "small steps"  # the second P, of 32 steps, is put to use
    for name in ("lr", "done"):
        np.testing.assert_allclose([step[name] for step in seen],
                                   [step[name] for step in expected], rtol=1e-12, err_msg=name)
    for step, right in zip(seen, expected, strict=True):
        rtol = 5e-6 if right is expected[0] else 3e-5
        for name in ("V", "U"):  # against the longest entry: what cancels is rounded before
            np.testing.assert_allclose(step[name], right[name], rtol=rtol, err_msg=name,
                                       atol=rtol * np.abs(right[name]).max())
        assert step["loss"] == pytest.approx(right["loss"], rel=1e-6)
        assert step["weight"] == pytest.approx(right["weight"], rel=1e-6)
    np.testing.assert_array_equal(model.V.data, seen[-1]["V"])
    np.testing.assert_array_equal(model.U.data, seen[-1]["U"])
    assert model.losses == pytest.approx(losses, rel=1e-6)
    for name, right in memory.items():
        np.testing.assert_allclose(model._trainer.state[name], right, rtol=3e-5, err_msg=name,
                                   atol=3e-5 * np.abs(right).max())


def test_graphs_from_before_a_step_notice_it():
    model, before = started(zipf_text(600)), []

    def look(made):
        if not before:
            before.extend((table * table).sum() for table in (made.model.V, made.model.U))
            return
        for graph in before:
            with pytest.raises(tg.GraphError):
                graph.backward()

    model.run(progress=False, callbacks=[look])
    assert len(model.losses) == 2


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("table", ["V", "U"])
def test_a_loss_that_is_no_number_is_an_error_that_names_pass_and_rate(epoch, table):
    model = started(zipf_text(600))

    def spoil(made=None):
        with getattr(model, table).edit() as values:
            values[...] = np.nan

    if epoch == 1:
        spoil()
    message = rf"the loss became nan in pass {epoch}: lower lr \(it is 0\.3\)"
    with pytest.raises(FloatingPointError, match=message):
        model.run(progress=False, callbacks=[spoil])
    assert len(model.losses) == epoch - 1


# ── threads and processes ─────────────────────────────────────────────────────────────────────────


def test_a_step_runs_on_one_thread_and_the_number_from_before_comes_back(monkeypatch):
    get, put = openblas()
    number, within, loss = get(), [], sampling.tile_loss
    monkeypatch.setattr(sampling, "tile_loss", lambda *given: within.append(get()) or loss(*given))
    put(2)
    try:
        started(zipf_text(600)).run(progress=False, callbacks=[lambda _: within.append(get())])
        assert get() == 2
        with pytest.raises(ZeroDivisionError):
            started(zipf_text(600)).run(progress=False, callbacks=[lambda _: 1 / 0])
        assert get() == 2
    finally:
        put(number)
    assert set(within) == {1}


LIBRARIES = ["OPENBLAS", "OMP", "MKL"]


class Threads:
    """A job that notes how many threads its process may use."""

    def __init__(self, arrays, number, of):
        self.row = arrays["threads"][number]

    def note(self):
        told = [int(os.environ.get(f"{library}_NUM_THREADS", 0)) for library in LIBRARIES]
        self.row[:] = [*told, openblas()[0]()]


def test_workers_use_one_thread_each_whatever_the_environment_says(monkeypatch):
    for library in LIBRARIES:
        monkeypatch.setenv(f"{library}_NUM_THREADS", "2")
    with Team(3, {"threads": ((3, 4), "i4")}, f"{__name__}:Threads", {}) as crew:
        crew.call("note")
        np.testing.assert_array_equal(crew.arrays["threads"][1:], 1)


def test_workers_find_what_lies_in_the_folder_that_the_program_runs_in(tmp_path, monkeypatch):
    (tmp_path / "job_of_this_folder.py").write_text(
        "class Job:\n"
        "    def __init__(self, arrays, number, of):\n"
        "        arrays['a'][number] = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")  # as in `python -c` and at the prompt
    try:
        with Team(2, {"a": ((2,), "i4")}, "job_of_this_folder:Job", {}) as crew:
            np.testing.assert_array_equal(crew.arrays["a"], 7)
    finally:
        sys.modules.pop("job_of_this_folder", None)
