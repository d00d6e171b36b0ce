"""Text to numbers."""

import bz2
import errno
import gzip
import io
import lzma
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from tinygrad_w2v.word2vec import corpus as module, sources
from tinygrad_w2v.word2vec.corpus import Corpus, StoredIds, Vocabulary, WordCounts

PACKERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
in_memory = st.sampled_from([0, 1, 7, 1 << 20])  # words; what is longer goes to a file


def words_of(corpus):
    """The sentences of a corpus as words."""
    return [[corpus.vocabulary.words[i] for i in corpus.ids[start:stop]]
            for start, stop in pairwise(corpus.starts)]


def without_rare(sentences, min_count):
    counts = Counter(word for sentence in sentences for word in sentence)
    kept = [[word for word in s if counts[word] >= min_count] for s in sentences]
    return [sentence for sentence in kept if sentence], counts


def lines_of(path):
    """What Python's own iteration over the lines of a file gives."""
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return [line.split() for line in file]


@pytest.fixture(scope="module")
def a_file(tmp_path_factory):
    return tmp_path_factory.mktemp("corpus") / "text"


# ── vocabulary ──


def test_words_are_ordered_by_count_then_alphabet():
    vocabulary = Vocabulary.build([list("bbacca")], min_count=1)
    assert vocabulary.words == ["a", "b", "c"]
    assert Vocabulary.build([list("abbcc")], 1).words == ["b", "c", "a"]


def test_seldom_words_are_dropped_and_counted():
    vocabulary = Vocabulary.build([list("aaab"), list("bcdd")], min_count=2)
    assert vocabulary.words == ["a", "b", "d"]
    assert vocabulary.counts.tolist() == [3, 2, 2]
    assert vocabulary.dropped == {"c": 1}
    assert "a" in vocabulary
    assert "c" not in vocabulary


@given(st.lists(st.lists(st.sampled_from("abcdef"))), st.integers(1, 4))
def test_a_vocabulary_is_the_same_counted_alone_or_while_encoding(sentences, min_count):
    alone = Vocabulary.build(sentences, min_count)
    with_c = Corpus.read([*sentences, ["c"]], min_count).vocabulary
    again = Vocabulary.build([*sentences, ["c"]], min_count)
    assert (with_c.words, with_c.counts.tolist(), with_c.dropped) == (
        again.words, again.counts.tolist(), again.dropped)
    assert alone.counts.sum() + sum(alone.dropped.values()) == sum(map(len, sentences))


def test_words_of_numpy_become_plain_strings():
    vocabulary = Corpus.read(np.array([["a", "b"], ["b", "b"]]), 2).vocabulary
    assert [type(word) for word in [*vocabulary.words, *vocabulary.dropped]] == [str, str]
    assert vocabulary.words == ["b"]


@given(st.dictionaries(st.text(st.characters(), max_size=3), st.integers(1, 1 << 40)),
       st.text(st.characters(), max_size=3))
def test_packed_counts_are_a_dict_in_alphabetical_order(counts, other):
    packed = WordCounts(counts)
    assert list(packed) == sorted(counts)
    assert dict(packed.items()) == {word: packed[word] for word in packed} == counts
    assert packed == counts
    assert len(packed) == len(counts)
    assert (packed.get(other), other in packed) == (counts.get(other), other in counts)
    assert {type(packed[word]) for word in packed} <= {int}
    assert 3 not in packed


def test_packed_counts_take_less_than_20_bytes_and_the_letters_for_a_word():
    counts = {f"word{i}": i for i in range(1000, 10_000)}
    tracemalloc.start()
    packed = WordCounts(counts)
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(packed) == 9000
    assert size < 9000 * (20 + len("word1000"))


# ── one pass ──


texts = st.text("abbé漢𝄞   \n\n\r\t\v\f\x1c\x1e\x85\xa0\u2028\u3000\x00", max_size=80)
# what UTF-8 is made of, whole or in pieces
pieces = st.lists(st.sampled_from([
    b"a", b" ", b"\n", b"\r", b"\xc2", b"\xa0", b"\x85", b"\xe2", b"\xe2\x80", b"\x83",
    b"\xe3\x80\x80", b"\xe1\x9a\x80", b"\xf0\x9f", b"\xef\xbb\xbf", b"\0", b"x" * 20]))


@given(st.one_of(texts.map(str.encode), st.binary(max_size=80), pieces.map(b"".join)),
       st.integers(1, 50), st.integers(1, 3), in_memory)
@example(b"a\r\nb\rc\n\nd", 2, 1, 0)
@example("é é".encode()[:-1], 1, 1, 0)  # the last character is cut
@example(b"\xef\xbb\xbfa\xef\xbb\xbf a", 1, 1, 0)  # a byte order mark, and one that is none
@example(b"a" * 50, 3, 1, 0)
def test_a_file_is_its_lines_without_the_rare_words_whatever_the_block_size(
    a_file, text, block, min_count, limit
):
    a_file.write_bytes(text + b"\nword " * 3)
    expected, counts = without_rare(lines_of(a_file), min_count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK", block)
        patch.setattr(module, "CHUNK", block)
        patch.setattr(module, "IN_MEMORY", limit)
        corpus = Corpus.read(a_file, min_count)
        encoded = Corpus.encode(a_file, corpus.vocabulary)
    assert words_of(corpus) == expected
    assert words_of(encoded) == expected
    assert corpus.vocabulary.dropped == {w: n for w, n in counts.items() if n < min_count}
    assert dict(zip(corpus.vocabulary.words, corpus.vocabulary.counts, strict=True)) == {
        word: n for word, n in counts.items() if n >= min_count}


@given(st.lists(st.lists(st.sampled_from(["a", "b", "ç", "two words", ""]))), st.integers(1, 9),
       st.integers(1, 3), st.booleans(), in_memory)
def test_sentences_are_themselves_without_the_rare_words_whatever_the_block_size(
    sentences, block, min_count, lazy, limit
):
    sentences = [*sentences, ["a"]]
    source = (iter(sentence) for sentence in sentences) if lazy else sentences
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK", block)
        patch.setattr(module, "CHUNK", block)
        patch.setattr(module, "IN_MEMORY", limit)
        corpus = Corpus.read(source, min_count)
    assert words_of(corpus) == without_rare(sentences, min_count)[0]
    assert isinstance(corpus.ids, StoredIds) == (len(corpus) > limit)
    assert np.concatenate([[], *corpus.chunks(3)]).tolist() == np.asarray(corpus.ids).tolist()
    assert corpus.ids.dtype == np.int32
    assert corpus.starts.dtype == np.int64


def test_unknown_words_are_left_out_before_windows_are_cut():
    vocabulary = Vocabulary(["a", "b"], [2, 2])
    corpus = Corpus.encode([list("axxb"), [], list("xx"), list("ba")], vocabulary)
    assert corpus.ids.tolist() == [0, 1, 1, 0]
    assert corpus.starts.tolist() == [0, 2, 4]  # what has no known word is no sentence
    assert corpus.sentence.tolist() == [0, 0, 1, 1]
    assert corpus.ids.dtype == corpus.sentence.dtype == np.int32


@given(st.lists(st.integers(0, 9)))
def test_starts_are_put_in_order_and_empty_sentences_vanish(starts):
    corpus = Corpus(np.arange(9), starts)
    assert corpus.starts.tolist() == sorted({0, 9, *starts})
    assert np.flatnonzero(np.diff(corpus.sentence)).tolist() == [s - 1 for s in corpus.starts[1:-1]]


@given(st.lists(st.integers(0, 9)), st.integers(-12, 12), st.integers(-12, 12))
def test_sentences_are_numbered_from_any_place_to_any_other(starts, start, stop):
    corpus = Corpus(np.arange(9), starts)
    some = corpus.sentence_numbers(start, stop)
    expected = [np.count_nonzero(corpus.starts <= place) - 1 for place in range(9)]
    assert some.tolist() == expected[start:stop]
    assert some.dtype == np.int32


@pytest.mark.parametrize("starts", [[-1, 2], [0, 4]])
def test_a_sentence_that_starts_outside_the_text_is_refused(starts):
    with pytest.raises(ValueError, match=r"the text goes from 0 to 3"):
        Corpus(np.arange(3), starts)


def test_an_empty_corpus_is_encoded_as_nothing():
    corpus = Corpus.encode([], Vocabulary([], []))
    assert len(corpus) == len(corpus.sentence) == 0
    assert corpus.starts.tolist() == [0]


def test_ids_do_not_depend_on_the_seed_of_pythons_hashes():
    program = ("from tinygrad_w2v.word2vec.corpus import Corpus\n"
               "c = Corpus.read([list('the quick brown fox'), list('jumps')], 2)\n"
               "print(c.ids, c.starts, c.vocabulary.words, c.vocabulary.dropped)")
    out = {subprocess.run([sys.executable, "-c", program], capture_output=True, check=True,
                          env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in "123"}
    assert len(out) == 1


def test_a_line_of_any_length_takes_8_bytes_a_word(a_file):
    count = 300_000
    a_file.write_text("word drow " * (count // 2))
    Corpus.read([["warm", "up"]], 1)
    tracemalloc.start()
    corpus = Corpus.read(a_file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert corpus.starts.tolist() == [0, count]
    assert peak < 8 * count + 4_000_000  # one split() of the line would take 65 bytes a word


# ── long texts ──


@pytest.fixture(params=[True, False], ids=["preadv", "no preadv"])
def stored(request, monkeypatch):
    """The ids 0 … 9999 in a file, read as POSIX has it, and as other systems have."""
    if not request.param:
        monkeypatch.delattr(os, "preadv", raising=False)
    ids = StoredIds()
    for some in np.split(np.arange(10_000, dtype=np.int32), [0, 1, 5000]):
        ids.append(some)
    return ids


def test_memory_does_not_grow_with_the_text(a_file, monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 1000)
    monkeypatch.setattr(module, "CHUNK", 10_000)
    peaks = []
    for count in (100, 200_000, 800_000):  # the first warms up
        a_file.write_text("word drow " * (count // 2) + "rare")
        tracemalloc.start()
        corpus = Corpus.read(a_file, 2)
        total = sum(int(ids.sum()) for ids in corpus.chunks(10_000))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert total == count // 2
    assert len(corpus) == count
    assert peaks[2] - peaks[1] < 600_000 / 40  # bytes; as an array the ids take 4 a word


def test_short_texts_need_no_disk(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    corpus = Corpus.read([["a"] * 1000] * 1000)
    assert isinstance(corpus.ids, np.ndarray)
    assert len(corpus) == 1_000_000
    with pytest.raises(TypeError):
        Corpus.read([["a"] * 1000] * 1049)


@pytest.mark.parametrize("where", [
    slice(None), slice(3), slice(4000, 6000), slice(-5, None), slice(9, 9), slice(7, 2),
    slice(9990, 20_000), slice(20_000, None), slice(0, 5, 1)])
def test_stored_ids_are_sliced_like_an_array(stored, where):
    some = stored[where]
    assert some.tolist() == list(range(10_000))[where]
    assert some.dtype == stored.dtype == np.int32
    assert some.flags.writeable  # it is a copy: the file does not change


def test_all_stored_ids_are_had_as_an_array(stored):
    assert stored.shape == (len(stored),) == (10_000,)
    assert np.array_equal(np.asarray(stored), np.arange(10_000))
    assert np.asarray(stored).dtype == np.int32
    assert np.asarray(stored, np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="cannot be had without a copy"):
        np.asarray(stored, copy=False)


@pytest.mark.parametrize("where", [3, slice(None, None, 2), slice(5, 2, -1), [1, 2], None])
def test_stored_ids_are_not_indexed_otherwise(stored, where):
    with pytest.raises(TypeError, match=r"read by slices, ids\[start:stop\].*np.asarray"):
        stored[where]


def test_threads_read_stored_ids_at_the_same_time(stored):
    def right(start):
        return all(np.array_equal(stored[i : i + 50], np.arange(i, i + 50))
                   for i in range(start, 9000, 40))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, range(40)))


def test_what_is_read_in_parts_is_whole(stored, monkeypatch):
    read = stored._read
    monkeypatch.setattr(stored, "_read", lambda rest, place: read(rest[:1001], place))
    assert np.array_equal(stored[1:], np.arange(1, 10_000))


def test_a_file_that_was_cut_is_no_endless_text(stored):
    os.truncate(stored._file.fileno(), 100)
    assert stored[:25].tolist() == list(range(25))
    with pytest.raises(OSError, match="was cut short"):
        stored[20:30]


def test_a_stored_text_goes_with_its_corpus(monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    corpus = Corpus.read([["a"]], 1)
    file = corpus.ids._file
    assert not file.closed
    del corpus
    assert file.closed


def test_nothing_is_said_at_the_end_of_a_program_that_has_a_stored_text():
    program = ("from tinygrad_w2v.word2vec import corpus\n"
               "corpus.IN_MEMORY = 0\n"
               "c = corpus.Corpus.read([['a']], 1)")
    run = subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", program],
                         capture_output=True, check=True)
    assert run.stderr == b""


class Disk(io.FileIO):
    """A file on a disk that has room for 40 bytes, and takes 3 at a time."""

    def write(self, data):
        if self.tell() >= 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data[: min(3, 40 - self.tell())])


def test_a_full_disk_is_told_with_its_folder_and_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Disk(tmp_path / "text", "w+"))
    assert words_of(Corpus.read([list("ab") * 5], 1)) == [list("ab") * 5]
    for use in (Corpus.read, lambda s: Corpus.encode(s, Vocabulary(["a"], [1]))):
        with pytest.raises(OSError, match=rf"to {tmp_path} \(No space.*set TMPDIR") as caught:
            use([["a"] * 11])
        assert caught.value.errno == errno.ENOSPC


def test_a_missing_folder_for_long_texts_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    with pytest.raises(FileNotFoundError, match=r"to .*nowhere \(No such.*set TMPDIR"):
        Corpus.read([["a"]])
