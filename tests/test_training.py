"""Training as a whole: workers, checkpoints, interruptions, callbacks."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_w2v as tg
from tests.test_skipgram import language
from tinygrad_w2v.word2vec import SkipGram, model as model_module, team as team_module
from tinygrad_w2v.word2vec.blas import one_thread, openblas
from tinygrad_w2v.word2vec.files import FormatError
from tinygrad_w2v.word2vec.safetensors import read_safetensors, write_safetensors
from tinygrad_w2v.word2vec.team import Team

TEXT = language(1, sentences=900)  # 7,200 words: a few steps of 1,024 words
LOSSES = ["negative", "softmax"]


@pytest.fixture(autouse=True)
def ctrl_c():
    """Ctrl-C as Python handles it, whatever was inherited: a job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def model(loss="negative", **settings):
    return SkipGram(**{"vector_size": 6, "min_count": 1, "loss": loss, "sample": 0, "epochs": 3,
                       "seed": 2, **settings})


def tables(model):
    return [model.V.numpy(), model.U.numpy()]


def assert_same(a, b):
    for x, y in zip(tables(a), tables(b), strict=True):
        np.testing.assert_array_equal(x, y)
    assert a.losses == b.losses


def test_any_number_of_workers_gives_the_same_bits():
    one, two, four = (model(workers=w).fit(TEXT, progress=False) for w in (1, 2, 4))
    assert_same(one, two)
    assert_same(one, four)


RUN = """
import sys
from tests.test_training import TEXT, model
if __name__ == "__main__":
    fitted = model(workers=int(sys.argv[1])).fit(TEXT, progress=False)
    print(fitted.wv.vectors.tobytes().hex(), fitted.losses)
"""


def test_another_process_with_another_hash_seed_gives_the_same_bits(tmp_path):
    script, root = tmp_path / "run.py", Path(__file__).parents[1]
    script.write_text(RUN)
    outputs = {subprocess.run([sys.executable, script, workers], capture_output=True, check=True,
                              env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
                              ).stdout for seed, workers in (("1", "1"), ("2", "2"))}
    assert len(outputs) == 1


def test_a_script_without_a_main_guard_may_use_workers(tmp_path):
    script, root = tmp_path / "run.py", Path(__file__).parents[1]
    script.write_text(RUN.replace('if __name__ == "__main__":', "if True:"))
    done = subprocess.run([sys.executable, script, "2"], capture_output=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(root)})
    assert done.stderr == b""


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("after", [1, 4, 7])  # in the middle of a pass, or between two
def test_training_goes_on_from_a_checkpoint_to_the_same_bits(loss, after, tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_w2v.word2vec.objective.CoOccurrences.blocks",
                        lambda counts, order: (order[i : i + 5] for i in range(0, 20, 5)))
    whole = model(loss).fit(TEXT, progress=False)
    path, steps = tmp_path / "a.checkpoint", []

    def interrupt(shown, share):
        steps.append(share)
        if len(steps) == after:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(model_module.Progress, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model(loss).fit(TEXT, progress=False, checkpoint=path)
    monkeypatch.setattr(model_module.Progress, "advance", lambda shown, share: None)
    again = model(loss).fit(TEXT, progress=False, checkpoint=path)
    assert_same(whole, again)


def test_a_finished_checkpoint_is_the_model(tmp_path):
    fitted = model("softmax").fit(TEXT, progress=False, checkpoint=tmp_path / "m")
    loaded = SkipGram.load(tmp_path / "m")
    assert_same(fitted, loaded)
    np.testing.assert_array_equal(fitted.bias.data, loaded.bias.data)
    assert loaded.settings == fitted.settings
    assert loaded.objective(TEXT) == fitted.objective(TEXT)
    assert loaded.vocabulary.words == fitted.vocabulary.words
    assert_same(model("softmax").fit(TEXT, progress=False, checkpoint=tmp_path / "m"), fitted)
    with pytest.raises(RuntimeError, match=r"go on with its training, use fit\(corpus, checkpoint"):
        loaded.run()


@pytest.mark.parametrize(("settings", "text", "message"), [
    ({"lr": 2.0}, TEXT, r"was made with lr=3.0, not 2.0: use the same settings"),
    ({"epochs": 4}, TEXT, r"was made with epochs=3, not 4"),
    ({}, TEXT[:-1], r"was made from another corpus"),
])
def test_a_checkpoint_of_another_training_is_refused(settings, text, message, tmp_path):
    model().fit(TEXT, progress=False, checkpoint=tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    with pytest.raises(ValueError, match=message):
        model(**settings).fit(text, progress=False, checkpoint=tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before


@pytest.mark.parametrize("damage", ["vectors", "settings", "shape", "cut"])
def test_a_damaged_checkpoint_is_refused_as_one(damage, tmp_path):
    path = tmp_path / "m"
    model(epochs=1).fit(TEXT, progress=False, checkpoint=path)
    arrays, told = read_safetensors(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        if damage == "vectors":
            del arrays["V"]
        elif damage == "settings":
            told["settings"] = json.dumps({"loss": "huffman"})
        else:
            arrays["U"] = arrays["U"][:-1]
        write_safetensors(path, arrays, told)
    for use in (lambda: SkipGram.load(path),
                lambda: model(epochs=1).fit(TEXT, progress=False, checkpoint=path)):
        with pytest.raises(FormatError, match="m:"):
            use()


@pytest.mark.parametrize(("words", "passes"), [(1000, 4), (9_000_000, 3), (40_000_000, 2)])
def test_longer_texts_take_fewer_passes_unless_told(words, passes, monkeypatch):
    monkeypatch.setattr(model_module, "ENOUGH", 30_000_000 * len(TEXT) * 8 // words)
    assert model(epochs=None).start(TEXT).epochs == passes
    assert model(epochs=7).start(TEXT).epochs == 7
    assert model("softmax", epochs=None).start(TEXT).epochs == 10


def test_callbacks_see_every_pass_and_may_end_the_training():
    seen = []

    def look(made):
        seen.append((made.epoch, made.epochs, made.loss, made.model.losses[-1]))
        assert made.words_per_second > 0
        return made.epoch == 2

    fitted = model(epochs=5).fit(TEXT, progress=False, callbacks=[look])
    assert [row[:2] for row in seen] == [(1, 5), (2, 5)]
    assert [row[2] for row in seen] == [row[3] for row in seen] == fitted.losses


def test_training_ends_when_the_loss_no_longer_falls():
    long = model("softmax", epochs=60).fit(TEXT, progress=False, tolerance=0.01)
    assert 2 <= len(long.losses) < 60
    falls = [1 - b / a for a, b in zip(long.losses, long.losses[1:], strict=False)]
    assert falls[-1] < 0.01
    assert all(fall >= 0.01 for fall in falls[:-1])
    with pytest.raises(ValueError, match="tolerance is a number from 0 up, not -1"):
        model().fit(TEXT, progress=False, tolerance=-1)


class Job:
    """What the teams of these tests do."""

    def __init__(self, arrays, number, of, *, scale):
        self.arrays, self.number, self.of, self.scale = arrays, number, of, scale

    def fill(self, value):
        self.arrays["a"][self.number] = value * self.scale

    def fail(self):
        if self.number:
            raise ValueError("no such thing")

    def die(self):
        if self.number:
            os._exit(7)

    def sleep(self):
        time.sleep(60 if self.number else 0)


LAYOUT = {"a": ((3, 2), "f4"), "b": ((5,), "i4")}


def team(workers):
    return Team(workers, LAYOUT, "tests.test_training:Job", {"scale": 2})


@pytest.mark.parametrize("workers", [1, 3])
def test_every_worker_does_its_share_of_the_same_arrays(workers):
    with team(workers) as crew:
        crew.call("fill", 1.5)
        np.testing.assert_array_equal(crew.arrays["a"], np.where(
            np.arange(3)[:, None] < workers, 3, 0) * np.ones(2))
        np.testing.assert_array_equal(crew.arrays["b"], 0)


@pytest.mark.parametrize(("deed", "message"), [
    ("fail", "ValueError: no such thing"), ("die", "exit code 7")])
def test_a_worker_that_dies_is_reported_and_nobody_waits(deed, message):
    with pytest.raises(ChildProcessError, match=message), team(2) as crew:
        crew.call(deed)
    assert crew.others == []


def test_workers_are_gone_after_an_error_even_while_they_work():
    begun = time.perf_counter()
    crew = team(2)
    other = crew.others[0]
    crew.tell(other, ["sleep"])
    crew.__exit__(ValueError, ValueError("in this process"), None)
    assert other.poll() is not None
    assert time.perf_counter() - begun < 20


def test_no_shared_file_stays_behind(monkeypatch):
    made, reserve = [], team_module.reserve
    monkeypatch.setattr(team_module, "reserve", lambda size: made.append(reserve(size)) or made[0])
    with team(2):
        assert not isinstance(made[0].name, str)  # nothing in a folder to stay behind
        assert made[0].closed


def test_no_room_for_shared_memory_is_said_at_once(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"no room for 128 bytes .* use workers=1, or set TMPDIR"):
        team(2)


def test_products_run_on_one_thread_while_training():
    found = openblas()
    assert found is not None, "NumPy's wheels bring OpenBLAS"
    get, _ = found
    before = get()
    with one_thread():
        assert get() == 1
    assert get() == before


def test_training_outside_the_main_thread_leaves_ctrl_c_alone():
    result = []
    thread = threading.Thread(target=lambda: result.append(
        model(epochs=1).fit(TEXT[:50], progress=False)))
    thread.start()
    thread.join()
    assert len(result) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ── what a hostile reader tried ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("attempt", [
    {"tolerance": -1}, {"callbacks": print}, {"callbacks": [None]}, {"checkpoint": "other"},
    {"checkpoint": "packed.gz"}, {"corpus": []}])
def test_a_fit_that_is_refused_leaves_the_model_as_it_was(attempt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model(lr=1.0, epochs=1).fit(TEXT, progress=False, checkpoint="other")
    fitted = model(epochs=1).fit(TEXT, progress=False)
    before = [*tables(fitted), fitted.losses]
    with pytest.raises((ValueError, TypeError)):
        fitted.fit(**{"corpus": TEXT, "progress": False, **attempt})
    for old, new in zip(before, [*tables(fitted), fitted.losses], strict=True):
        np.testing.assert_array_equal(old, new)


def test_only_true_ends_the_training():
    fitted = model().fit(TEXT, progress=False, callbacks=[lambda made: 1, lambda made: np.ones(3)])
    assert len(fitted.losses) == 3
    assert len(model().fit(TEXT, progress=False, callbacks=[lambda made: np.True_]).losses) == 1


@pytest.mark.parametrize("text", [[list("abcabc")], [["a", "b"]]])
def test_a_text_of_which_thinning_leaves_no_pair_is_refused(text):
    with pytest.raises(ValueError, match=r"sample=1e-06 left no two words .* use sample=0"):
        SkipGram(min_count=1, sample=1e-6).fit(text, progress=False)


def test_a_training_that_ended_by_itself_is_not_trained_further(tmp_path):
    given = {"progress": False, "checkpoint": tmp_path / "m", "tolerance": 0.01}
    first = model("softmax", epochs=60).fit(TEXT, **given)
    assert_same(first, model("softmax", epochs=60).fit(TEXT, **given))


def test_after_a_broken_step_neither_the_model_is_saved_nor_its_training_goes_on(tmp_path,
                                                                                 monkeypatch):
    broken = model().start(TEXT)
    monkeypatch.setattr("tinygrad_w2v.word2vec.rows.SharedAdagrad.finish",
                        lambda *_: (_ for _ in ()).throw(RuntimeError("in the middle")))
    with pytest.raises(RuntimeError, match="in the middle"):
        broken.run(progress=False)
    for use in (lambda: broken.save(tmp_path / "m"), broken.run):
        with pytest.raises(RuntimeError, match="broke off in the middle of a step: fit again"):
            use()
    assert not (tmp_path / "m").exists()
    monkeypatch.undo()
    assert_same(broken.fit(TEXT, progress=False), model().fit(TEXT, progress=False))


def test_ctrl_c_in_a_callback_ends_the_training_after_its_pass(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        model().fit(TEXT, progress=False, checkpoint=tmp_path / "m",
                    callbacks=[lambda made: os.kill(os.getpid(), signal.SIGINT)])
    assert len(SkipGram.load(tmp_path / "m").losses) == 1


def test_no_gradient_stays_behind():
    fitted = model("softmax").fit(TEXT, progress=False)
    assert [fitted.V.grad, fitted.U.grad, fitted.bias.grad] == [None, None, None]


DAMAGE = {
    "no state": lambda arrays, told: arrays.pop("state/V_sums"),
    "state of another shape": lambda arrays, told: arrays.update(
        {"state/V_sums": arrays["state/V_sums"][:1]}),
    "whole numbers": lambda arrays, told: arrays.update(U=arrays["U"].astype(np.int64)),
    "NaN": lambda arrays, told: arrays.update(V=arrays["V"] * np.float32(np.nan)),
    "losses": lambda arrays, told: told.update(losses='"abc"'),
    "partial": lambda arrays, told: told.update(partial="[1]"),
    "steps": lambda arrays, told: told.update(steps='"x"'),
    "no plan": lambda arrays, told: told.pop("plan"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_nothing_is_taken_from_a_checkpoint_that_is_not_whole(damage, tmp_path):
    path = tmp_path / "m"
    model(epochs=1).fit(TEXT, progress=False, checkpoint=path)
    arrays, told = read_safetensors(path)
    DAMAGE[damage](arrays, told)
    write_safetensors(path, arrays, told)
    fresh = model(epochs=1).start(TEXT)
    before = tables(fresh)
    with pytest.raises(FormatError, match="not a skip-gram model that was saved whole"):
        fresh.run(progress=False, checkpoint=path)
    for old, new in zip(before, tables(fresh), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_checkpoint_with_other_steps_is_refused(tmp_path, monkeypatch):
    model(epochs=1).fit(TEXT, progress=False, checkpoint=tmp_path / "m")
    monkeypatch.setattr("tinygrad_w2v.word2vec.sampling.CHUNK", 1 << 16)
    with pytest.raises(ValueError, match="by a version that cuts the text into other steps"):
        model(epochs=1).fit(TEXT, progress=False, checkpoint=tmp_path / "m")


def test_a_window_far_wider_than_a_chunk_fits_its_place(monkeypatch):
    for module in ("tiles", "sampling"):
        monkeypatch.setattr(f"tinygrad_w2v.word2vec.{module}.CHUNK", 2048)
    text = [[word for sentence in TEXT for word in sentence][:4096]]
    assert np.isfinite(model(window=400, epochs=1).fit(text, progress=False).losses[0])


def test_what_python_prints_when_it_starts_is_no_answer(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("print('done'); print('hello', end='')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with team(2) as crew:
        crew.call("fill", 1)
        np.testing.assert_array_equal(crew.arrays["a"][:2], 2)


def test_a_python_that_cannot_be_started_is_said_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ChildProcessError, match=r"'/nowhere/python' .*: use workers=1"):
        team(2)


def test_progress_needs_no_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert len(model(epochs=1).fit(TEXT).losses) == 1


def test_trainings_in_two_threads_give_the_threads_of_blas_back():
    get, put = openblas()
    put(2)
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert get() == 1
    second.__exit__(None, None, None)
    assert get() == 2


def test_a_graph_of_the_vectors_before_training_is_out_of_date_after_it():
    started = model(epochs=1).start(TEXT)
    loss = (started.V * started.V).sum()
    started.run(progress=False)
    with pytest.raises(tg.GraphError):
        loss.backward()


@pytest.mark.parametrize("power", [-1100.0, 1100.0])
def test_any_power_of_the_counts_can_be_drawn_by(power):
    assert np.isfinite(model(ns_exponent=power, epochs=1).fit(TEXT, progress=False).losses[0])
