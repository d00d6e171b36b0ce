"""Files of word vectors."""

import json
import os
import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tinygrad_w2v.word2vec import FormatError, WordVectors
from tinygrad_w2v.word2vec.formats import check_writable, read_safetensors, write_safetensors


def header(**entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.fixture
def wv():
    rng = np.random.default_rng(1)
    words = ["red", "blue", "green", "monday", "sunday", "three", "four"]
    return WordVectors(words, rng.normal(size=(7, 5)).astype(np.float32), np.arange(7, 0, -1))


def test_saving_keeps_permissions_and_links(wv, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    wv.save(real)
    real.chmod(0o600)
    link.symlink_to(real)
    real.write_bytes(b"")
    wv.save(link)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert WordVectors.load(real).words == wv.words


def test_types_that_cannot_be_saved_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"vectors: arrays of float32.* not of float16"):
        WordVectors(["a"], np.ones((1, 2), np.float16)).save(tmp_path / "v")


F = {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}
WORDS = {"words": '["a", "b"]'}


@pytest.mark.parametrize("entries", [
    {"vectors": {**F, "dtype": ["F32"]}},
    {"vectors": {**F, "shape": [0, 10**30], "data_offsets": [0, 0]}},
    {"vectors": {**F, "shape": [1] * 100 + [2]}},
    {"vectors": F, "__metadata__": {"words": "[" * 200000}},
    {"vectors": F, "__metadata__": {"words": "[1, 2]"}},
    {"vectors": F, "__metadata__": {"words": '{"a": 1, "b": 2}'}},
    {"vectors": F, "counts": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}},
    {"vectors": {**F, "shape": [2], "data_offsets": [0, 8]}},
    {"vectors": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}},
])
def test_a_file_with_false_contents_is_refused(tmp_path, entries):
    (tmp_path / "v").write_bytes(header(**{"__metadata__": WORDS, **entries}) + bytes(8))
    with pytest.raises(FormatError):
        WordVectors.load(tmp_path / "v")


def test_saved_vectors_come_back_to_the_bit(wv, tmp_path):
    wv.save(tmp_path / "v.safetensors")
    back = WordVectors.load(tmp_path / "v.safetensors")
    assert back.words == wv.words
    assert back.vectors.dtype == np.float32
    np.testing.assert_array_equal(back.vectors, wv.vectors)
    np.testing.assert_array_equal(back.counts, wv.counts)


@given(st.lists(st.text(min_size=1), unique=True))
def test_any_words_survive_saving(words):
    import tempfile  # noqa: PLC0415 (hypothesis and pytest's tmp_path do not go together)

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "v")
        WordVectors(words, np.ones((len(words), 2))).save(path)
        assert WordVectors.load(path).words == words


def test_a_failed_save_leaves_the_old_file_and_nothing_else(wv, tmp_path, monkeypatch):
    path = tmp_path / "v.safetensors"
    wv.save(path)
    before = path.read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        wv.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["v.safetensors"]


def test_a_saved_file_has_the_usual_permissions(wv, tmp_path):
    wv.save(tmp_path / "v")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "v").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(("content", "message"), [
    (b"", "longer than the file"),
    (b"\x00" * 7, "longer than the file"),
    (struct.pack("<Q", 1 << 62), "longer than the file"),
    (struct.pack("<Q", 4) + b"nope", "header is damaged"),
    (struct.pack("<Q", 2) + b"[]", "header is damaged"),
    (header(v=3), "header is damaged"),
    (header(v={"dtype": "F32"}), "header is damaged"),
    (header(v={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}), "is not true of a file"),
    (header(v={"dtype": "F32", "shape": [2], "data_offsets": [0, 7]}) + b"1234567", "is not true"),
    (header(v={"dtype": "F32", "shape": [-2], "data_offsets": [8, 0]}) + bytes(8), "is not true"),
    (header(v={"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}) + bytes(8), "is not true"),
    (header(v={"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}) + b"1234", "is not true"),
    (header(v={"dtype": "F32", "shape": [1 << 60], "data_offsets": [0, 1 << 62]}), "is not true"),
])
def test_a_damaged_file_is_refused_with_the_place(tmp_path, content, message):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as refusal:
        read_safetensors(path)
    assert str(path) in str(refusal.value)


def test_every_truncation_of_a_file_is_noticed(wv, tmp_path):
    path = tmp_path / "v"
    wv.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            WordVectors.load(path)


def test_other_safetensors_files_are_not_word_vectors(tmp_path):
    write_safetensors(tmp_path / "v", {"weight": np.ones(3)}, {})
    with pytest.raises(FormatError, match="not of word vectors"):
        WordVectors.load(tmp_path / "v")


def test_a_place_that_cannot_be_written_to_is_known_beforehand(tmp_path):
    check_writable(tmp_path / "new" / "v")
    assert os.listdir(tmp_path) == []
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_writable(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"cannot write v in .*file.*: name another place"):
        check_writable(tmp_path / "file" / "v")
