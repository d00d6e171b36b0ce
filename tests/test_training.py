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

from tests.test_skipgram import language
from tinygrad_w2v.word2vec import SkipGram, model as model_module, team as team_module
from tinygrad_w2v.word2vec.blas import one_thread, openblas
from tinygrad_w2v.word2vec.formats import FormatError, read_safetensors, write_safetensors
from tinygrad_w2v.word2vec.team import Team

TEXT = language(1, sentences=900)  # 7,200 words: a few steps of 1,024 words
LOSSES = ["negative", "softmax"]


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
