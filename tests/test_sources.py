"""Where a text comes from, and its words as numbers."""

import bz2
import gzip
import io
import lzma
import random
import sys
from collections import Counter

import pytest
from hypothesis import example, given, strategies as st

from tinygrad_w2v.word2vec import sources
from tinygrad_w2v.word2vec.corpus import Corpus, Vocabulary
from tinygrad_w2v.word2vec.sources import KnownWords, sentences_of

from .test_corpus import words_of

PACKERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@pytest.fixture
def a_file(tmp_path):
    return tmp_path / "text"


# ── words met before ──

near = st.text("ab\0", min_size=1, max_size=20) | st.text("é漢", min_size=1, max_size=6)


@given(st.lists(st.lists(near), max_size=6), st.integers(1, 6), st.integers(0, 3))
@example([["a", "a\0", "\0", *("\0" * n for n in (8, 16, 23, 24))]] * 2, 12, 0)
@example([["a" * n for n in range(1, 28)]] * 2, 12, 0)
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
            ids, *_ = words.numbered(" ".join(block).encode())
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
    assert ask("7" * 23, "8" * 24) == ["7" * 23, "8" * 24]
    assert ask("7" * 23, "8" * 24) == ["8" * 24]


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


# ── files ──


@pytest.mark.parametrize("shift", range(4))
def test_what_is_cut_by_the_buffer_of_a_file_is_whole(a_file, shift):
    text = "x" * shift + "漢\r\n" * 9000  # 5 bytes, in buffers of 8192
    a_file.write_bytes(text.encode())
    assert words_of(Corpus.read(a_file, 1)) == [[word] for word in text.split()]


@pytest.fixture
def texts(monkeypatch):
    """The texts that are split, with how many bytes of each are left over."""
    seen, split = [], KnownWords.numbered

    def numbered(self, text, more=False):
        found = split(self, text, more)
        seen.append((len(text), len(found[2])))
        return found

    monkeypatch.setattr(KnownWords, "numbered", numbered)
    return seen


def test_a_word_of_any_length_is_read_in_linear_time(a_file, texts, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 1)
    a_file.write_text("x" * 100_000)
    assert words_of(Corpus.read(a_file, 1)) == [["x" * 100_000]]
    assert len(texts) < 20  # every one copies what is read of the word: it must double


@pytest.mark.parametrize("space", [" ", "\n", "\x1c", "\xa0", "\x85", "\u3000", "\u2028"])
def test_a_text_is_cut_at_white_space_of_any_kind(a_file, texts, monkeypatch, space):
    monkeypatch.setattr(sources, "BLOCK", 1000)
    a_file.write_text(f"ab{space}" * 10_000, encoding="utf-8", newline="")
    assert len(Corpus.read(a_file, 1)) == 10_000
    assert max(size for size, _ in texts) < 2000
    assert max(cut for _, cut in texts) < 5


def test_small_files_are_split_together(tmp_path, texts):
    for k in range(50):
        (tmp_path / f"{k:02}").write_text(f"file {k}")
    assert words_of(Corpus.read(tmp_path, 1)) == [["file", str(k)] for k in range(50)]
    assert len(texts) == 1


def test_a_file_of_nothing_but_a_byte_order_mark_or_a_part_of_one_has_no_words(tmp_path):
    for k, content in enumerate([b"", b"\xef", b"\xef\xbb", b"\xef\xbb\xbf", b"\xefa", b"a"]):
        (tmp_path / str(k)).write_bytes(content)
    assert words_of(Corpus.read(tmp_path, 1)) == [["\ufffda"], ["a"]]


def test_where_lines_end_is_said_once():
    words = KnownWords(lambda words: map(len, words))
    assert words.numbered(b"\r\n\na b\r\n\r\nc\n")[1].tolist() == [0, 2, 3]


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
