"""Text to numbers."""

import bz2
import errno
import gzip
import io
import lzma
import os
import random
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
from tinygrad_w2v.word2vec.sources import KnownWords, blocks_of, sentences_of

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


@given(st.one_of(texts.map(str.encode), st.binary(max_size=80)), st.integers(1, 50),
       st.integers(1, 3), in_memory)
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


@pytest.mark.parametrize("shift", range(4))
def test_what_is_cut_by_the_buffer_of_a_file_is_whole(a_file, shift):
    text = "x" * shift + "漢\r\n" * 9000  # 5 bytes, in buffers of 8192
    a_file.write_bytes(text.encode())
    assert words_of(Corpus.read(a_file, 1)) == [[word] for word in text.split()]


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


def test_a_word_of_any_length_is_read_in_linear_time(a_file):
    a_file.write_text("x" * 100_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "BLOCK", 1)
        blocks = list(blocks_of(a_file))
    assert len(blocks) < 20  # every one copies what is read of the word: it must double
    assert blocks == [b""] * (len(blocks) - 1) + [b"x" * 100_000]


# ── words met before ──

near = st.text("ab\0", min_size=1, max_size=20) | st.text("é漢", min_size=1, max_size=6)


@given(st.lists(st.lists(near), max_size=6), st.integers(1, 6), st.integers(0, 3))
@example([["a", "a\0", "\0", "\0" * 8, "\0" * 15, "\0" * 16]] * 2, 12, 0)
@example([["a" * n for n in range(1, 20)]] * 2, 12, 0)
@example([["a" * 300, "a" * 44, "a" * 255]] * 2, 12, 0)  # 300 and 44 are equal in one byte
def test_every_word_is_taken_for_itself_whatever_the_table_holds(blocks, bits, growth):
    distinct = list(dict.fromkeys(word for block in blocks for word in block))
    asked = Counter()

    def look_up(words):
        asked.update(words)
        return map(distinct.index, words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PLACES", range(bits, bits + growth + 1))
        words = KnownWords(look_up)
        for block in blocks:
            ids, _ = words.numbered(" ".join(block).encode())
            assert [distinct[i] for i in ids] == block
    assert set(asked) == set(distinct)


def test_only_new_words_are_asked_for_but_for_long_ones_and_some_that_share_a_place():
    asked = []
    words = KnownWords(lambda words: asked.append(words) or map(len, words))

    def ask(*some):
        words.numbered(" ".join(some).encode())
        return asked[-1]

    for start in range(0, 100_000, 1000):  # the table grows with them
        some = list(map(str, range(start, start + 1000)))
        assert ask(*some) == some
        assert len(ask(*some)) < 500
    assert ask("7" * 15, "8" * 16) == ["7" * 15, "8" * 16]
    assert ask("7" * 15, "8" * 16) == ["8" * 16]


def test_the_white_space_of_a_file_is_that_of_python():
    space = "".join(chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace())
    assert f"a{space}b".split() == ["a", "b"]
    for character in space:
        text = f"{character}a{character}b{character * 2}".encode()
        assert len(KnownWords(lambda words: map(ord, words)).numbered(text)[0]) == 2
    every = "x".join(map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]))
    found = []
    KnownWords(lambda words: found.extend(words) or map(len, words)).numbered(every.encode())
    assert found == every.split()


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


# ── sources ──


@pytest.mark.parametrize(("ending", "opener"), [(".txt", open), *PACKERS.items()])
def test_a_file_is_read_a_sentence_a_line_packed_or_not(tmp_path, ending, opener):
    path = tmp_path / f"text{ending}"
    with opener(path, "wt", encoding="utf-8") as file:
        file.write("to be  or\n\nnicht zu wörtlich\n")
    for source in (path, str(path), [path]):
        assert words_of(Corpus.read(source, 1)) == [["to", "be", "or"], ["nicht", "zu", "wörtlich"]]


@pytest.fixture
def folder(tmp_path):
    for name, text in {"b.txt": "b one\nb two", "a/z.md": "a z", "a.txt": "\ufeffa txt", "B": "B",
                       ".hidden": "no", "a/.git/config": "no", "a/nothing": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with gzip.open(tmp_path / "c.gz", "wt") as file:
        file.write("packed")
    return tmp_path


def test_a_folder_is_all_its_files_in_order_but_for_hidden_ones(folder):
    expected = [["B"], ["a", "z"], ["a", "txt"], ["b", "one"], ["b", "two"], ["packed"]]
    assert words_of(Corpus.read(folder, 1)) == expected
    assert words_of(Corpus.read(str(folder), 1)) == expected


def test_several_paths_are_read_in_the_order_given(folder):
    paths = [folder / "b.txt", folder / "a", folder / "B"]
    expected = [["b", "one"], ["b", "two"], ["a", "z"], ["B"]]
    assert words_of(Corpus.read(paths, 1)) == expected
    assert words_of(Corpus.read(tuple(paths), 1)) == expected
    assert words_of(Corpus.read([str(paths[0]), paths[1], str(paths[2])], 1)) == expected
    assert words_of(Corpus.read([str(paths[0]), str(paths[2])], 1)) == expected[:2] + expected[3:]


def test_a_folder_without_files_is_told(tmp_path):
    (tmp_path / ".hidden").touch()
    with pytest.raises(FileNotFoundError, match=r"no corpus in the folder .*no files but hidden"):
        Corpus.read(tmp_path)


@pytest.mark.parametrize("name", ["text8.zip", "wiki.TAR.gz", "books.zst"])
def test_an_archive_is_refused_before_anything_is_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK")
    for source in (tmp_path / name, tmp_path, [tmp_path]):
        with pytest.raises(ValueError, match=rf"{name} is an archive.* give the text in it"):
            sentences_of(source)


def test_a_missing_file_is_named(tmp_path):
    for source in ("nowhere.txt", [tmp_path, tmp_path / "nowhere.txt"]):
        (tmp_path / "text").touch()
        with pytest.raises(FileNotFoundError, match=r"no corpus at .*nowhere.txt"):
            Corpus.read(source)


@pytest.mark.parametrize("text", ["the quick brown fox\n" * 500, "the quick\0brown fox"])
def test_a_text_in_place_of_a_path_is_told(text):
    with pytest.raises(FileNotFoundError, match="no corpus at the quick"):
        Corpus.read(text)


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("harm", ["cut", "changed", "never packed"])
def test_a_damaged_file_is_named_with_the_reason(tmp_path, ending, harm):
    path = tmp_path / f"text{ending}"
    with PACKERS[ending](path, "wt") as file:
        draw = random.Random(0).random
        file.writelines(f"{draw()} {draw()}\n" for _ in range(5000))
    packed = bytearray(path.read_bytes())
    middle = len(packed) // 2
    if harm == "changed":
        packed[middle : middle + 100] = bytes(100)
    path.write_bytes({"cut": packed[:middle], "changed": packed, "never packed": b"to be"}[harm])
    vocabulary = Vocabulary(["a"], [1])
    for use in (Corpus.read, lambda path: Corpus.encode(path, vocabulary),
                Vocabulary.build):
        with pytest.raises(ValueError, match=rf"{ending} cannot be unpacked.* damaged: \w") as e:
            use(path)
        assert e.value.__cause__ is not None


def test_an_error_of_the_disk_is_not_taken_for_a_damaged_text(a_file, monkeypatch):
    class Broken(io.BytesIO):
        def read(self, size):
            raise OSError(5, "Input/output error")

    a_file.touch()
    monkeypatch.setattr(sources, "open", lambda *_, **__: Broken(), raising=False)
    with pytest.raises(OSError, match="Input/output error"):
        Corpus.read(a_file)


# ── what is no corpus ──


def test_a_list_of_strings_is_refused_with_the_fix_for_either_meaning(folder):
    with pytest.raises(TypeError, match=r"holds the string 'to be': split it.*no such file"):
        Corpus.read(["to be", "or not"])
    with pytest.raises(TypeError, match=r"holds the string '.*nowhere': .*no such file"):
        Corpus.read([str(folder / "B"), str(folder / "nowhere")])


@pytest.mark.parametrize(("strange", "what"), [
    ("hello", "the string 'hello'"), (3, "the int '3'"), (None, "the NoneType 'None'"),
    ({"text": "to be"}, "the dict .*text"), ({"to", "be"}, "the set .*be")])
def test_what_is_no_sentence_is_found_wherever_it_stands(strange, what):
    for source in ([["a", "b"], strange], iter([["a"], strange])):
        with pytest.raises(TypeError, match=f"its sentence 2 is {what}"):
            Corpus.read(source)


def test_paths_in_an_order_of_chance_are_refused(folder):
    with pytest.raises(TypeError, match=r"sentence 1 is the (Posix|Windows)Path .*paths, sorted"):
        Corpus.read(folder.glob("*.txt"))


@pytest.mark.parametrize(("strange", "what"), [
    (1, "'1', of type int"), (float("nan"), "'nan', of type float"), (b"c", "of type bytes"),
    (["c"], "of type list")])
def test_words_that_are_no_strings_are_told_with_their_sentence(strange, what):
    source = [["a", "b"], [], ["c", strange, "d"]]
    for use in (Corpus.read, Vocabulary.build, lambda s: Corpus.encode(s, Vocabulary(["a"], [1]))):
        with pytest.raises(TypeError, match=f"sentence 3 of the corpus holds .*{what}"):
            use(source)


@pytest.mark.parametrize("source", [None, 3])
def test_what_is_no_corpus_at_all_is_told(source):
    with pytest.raises(TypeError, match="a corpus is a path, a list of paths, or an iterable of"):
        Corpus.read(source)


def test_a_corpus_without_words_is_told(a_file):
    a_file.write_text(" \n\n")
    used_up = iter([["a"]])
    next(used_up)
    for source in ([], [[], []], used_up, a_file):
        with pytest.raises(ValueError, match=r"the corpus has no words: it is empty, or an iter"):
            Corpus.read(source)


def test_sentences_may_be_given_by_their_number():
    class DataSet:
        def __getitem__(self, i):
            return [["a"], ["b", "a"]][i]

    assert words_of(Corpus.read(DataSet(), 1)) == [["a"], ["b", "a"]]


def test_an_error_of_a_generator_passes_through():
    def sentences():
        yield ["a"]
        raise RuntimeError("the server has gone")

    with pytest.raises(RuntimeError, match="the server has gone"):
        Corpus.read(sentences())
