"""Files of word vectors: any dialect is read, damage is named, nothing is half-written."""

import gzip
import json
import os
import pathlib
import struct
import tempfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from tinygrad_w2v.word2vec import FormatError, WordVectors
from tinygrad_w2v.word2vec.files import check_writable, replacing
from tinygrad_w2v.word2vec.formats import PIECE, READERS, SUFFIXES
from tinygrad_w2v.word2vec.safetensors import read_safetensors, write_safetensors
from tinygrad_w2v.word2vec.vectors import read_vectors, write_vectors

FORMATS = [*READERS, "word2vec-text.gz", "word2vec-binary.gz", "glove.gz", "projector.gz"]
NAMES = {format: "v" + suffix for suffix, format in SUFFIXES.items()}


def header(**entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def binary(*entries, end=b""):
    return b"".join(word + b" " + np.array(v, "<f4").tobytes() + end for word, v in entries)


@pytest.fixture
def wv():
    rng = np.random.default_rng(1)
    words = ["red", "blue", "green", "monday", "sunday", "three", "four"]
    return WordVectors(words, rng.normal(size=(7, 5)).astype(np.float32), np.arange(7, 0, -1))


@pytest.fixture
def load(tmp_path):
    """Read bytes as a word2vec file."""
    def load(content, name="v", **options):
        (tmp_path / name).write_bytes(content)
        return WordVectors.load_word2vec(tmp_path / name, **options)
    return load


def same(one, other):
    assert one.words == other.words
    assert one.vectors.dtype == other.vectors.dtype
    np.testing.assert_array_equal(one.vectors, other.vectors)


# ── what is read ──

TABLE = [("a", [0.5, -2]), ("b,", [1e-10, 3])]
BYTES = [(word.encode(), v) for word, v in TABLE]


@pytest.mark.parametrize(("content", "options"), [
    (b"2 2\na 0.5 -2\nb, 1e-10 3\n", {}),                               # gensim
    (b"2 2\na 0.5 -2 \nb, 1e-10 3 \n", {}),                             # word2vec.c, fastText
    (b"2 2\r\na 0.5 -2\r\nb, 1e-10 3\r\n", {}),                        # Windows
    (b"a 0.5 -2\nb, 1e-10 3\n", {}),                                    # GloVe
    (b"a 0.5 -2\nb, 1e-10 3\n", {"header": False}),
    (b"2 2\na 0.5 -2\nb, 1e-10 3\n", {"header": True}),
    (b"2 2\n" + binary(*BYTES), {"binary": True}),                      # gensim
    (b"2 2\n" + binary(*BYTES, end=b"\n"), {"binary": True}),           # word2vec.c
])
@pytest.mark.parametrize("name", ["v", "v.gz"])
def test_every_dialect_is_read(load, content, options, name):
    wv = load(gzip.compress(content) if name.endswith("gz") else content, name, **options)
    assert wv.words == ["a", "b,"]
    np.testing.assert_array_equal(wv.vectors, np.array([v for _, v in TABLE], np.float32))


def test_words_end_at_a_space_and_at_nothing_else(load):
    words = ["a\tb", "c\u00a0d", "e\u2028f", "g\x1ch", "\ufefft"]
    text = "".join(f"{word} 1\n" for word in words)
    assert load(f"5 1\n{text}".encode()).words == words
    assert load(b"5 1\n" + binary(*((w.encode(), [1]) for w in words)), binary=True).words == words


def test_a_first_line_of_two_whole_numbers_is_a_header_unless_told_otherwise(load):
    content = b"1 1\n2 7\n"
    assert load(content).words == ["2"]
    assert load(content, header=False).words == ["1", "2"]
    with pytest.raises(FormatError, match=r"the file ends after 1 \(header=True or False"):
        load(b"5 1\n2 7\n")  # a header and a file cut off? GloVe's of one number? it is not guessed
    with pytest.raises(FormatError, match=r"line 2, the vector of '2': 1 numbers, not 3 \(header="):
        load(b"1 3\n2 7\n")
    with pytest.raises(FormatError, match=r"line 2, the vector of 'b': 2 numbers, not 1 \(header="):
        load(b"1 -1\nb 3 4\n")
    with pytest.raises(FormatError, match=r"line 1: b'a 0.5' is no header"):
        load(b"a 0.5\n", header=True)


def test_the_first_words_alone_are_read_if_so_asked(load):
    damaged_later = b"3 1\na 1\nb 2\nc x\n"
    assert load(damaged_later, limit=2).words == ["a", "b"]
    assert load(damaged_later.replace(b"3 1\n", b""), limit=1).words == ["a"]
    assert load(b"3 1\n" + binary((b"a", [1]), (b"b", [2])) + bytes(6), binary=True, limit=2
                ).words == ["a", "b"]
    assert len(load(damaged_later, limit=0)) == 0
    with pytest.raises(ValueError, match="limit is a number of words from 0 up, not -1"):
        load(damaged_later, limit=-1)


@pytest.mark.parametrize("content", [b"1 1\nr\xf6t 1\n", b"1 1\n" + binary((b"r\xf6t", [1]))])
def test_words_that_are_not_utf_8_are_read_as_the_caller_says(load, content):
    options = {"binary": b"\x00" in content}
    with pytest.raises(FormatError, match=r"b'r.xf6t' is not UTF-8 from its byte 1 on; pass"):
        load(content, **options)
    assert load(content, errors="replace", **options).words == ["r\ufffdt"]
    assert load(content, errors="surrogateescape", **options).words == ["r\udcf6t"]
    with pytest.raises(LookupError, match="unknown error handler name 'nonsense'"):
        load(content, errors="nonsense", **options)


# ── what is refused ──

BIG = 10**12


@pytest.mark.parametrize(("content", "message"), [
    (b"", "is empty"),
    (b"\n", r"line 1: an empty word"),
    (b"2 2\na 1 2\n", "the header says 2 words, but the file ends after 1"),
    (b"%d 2\na 1 2\n" % BIG, "the header says 1000000000000 words, but the file ends after 1"),
    (b"1 %d\na 1 2\n" % BIG, "line 2, the vector of 'a': 2 numbers, not 1000000000000"),
    (b"1 2\na 1 2\nb 1 2\n", "line 3: the header says 1 words of 2 numbers, but more lines"),
    (b"1 2\na 1 2\n\n", "line 3: the header says 1 words"),
    (b"2 2\na 1 2\nb 1\n", "line 3, the vector of 'b': 1 numbers, not 2"),
    (b"a 1 2\nb 1\n", "line 2, the vector of 'b': 1 numbers, not 2"),
    (b"a 1 2\nb 1 2 3\n", "line 2, the vector of 'b': 3 numbers, not 2"),
    (b"2 2\na 1 2\nb\n", "line 3, the vector of 'b': 0 numbers, not 2"),
    (b"hello\n", "line 1, the vector of 'hello': 0 numbers, not one or more"),
    (b"2 2\na 1 2\nb  1 2\n", "line 3, the vector of 'b': 3 numbers, not 2"),
    (b"2 2\na 1 2\n 1 2\n", "line 3: an empty word"),
    (b"1 2\na 1 abc\n", r"line 2, the vector of 'a': b'abc' is not a number"),
    (b"1 2\na 1 1_0\n", "b'1_0' is not a number"),
    (b"1 2\na nan x\n", "b'x' is not a number"),
    (b"1 2\na 1 nan\n", "line 2: the vector of 'a' holds NaN"),
    (b"1 2\na 1 -inf\n", "line 2: the vector of 'a' holds NaN, or a number beyond its type"),
    (b"1 2\na 1 1e39\n", "a number beyond its type"),
    (b"2 1\na 1\na 2\n", "line 3: the word 'a' stands in the file already, at line 2"),
    (b"1 1\na 1", "line 2: no line end after 3 bytes"),
    (b"1 1\n" + b"a" * (1 << 25), "line 2: no line end after 16777216 bytes"),
])
def test_a_text_that_is_no_table_of_vectors_is_refused_with_the_line(load, content, message):
    with pytest.raises(FormatError, match=message) as refusal:
        load(content)
    assert "/v" in str(refusal.value)


A, B = (b"a", [1, 2]), (b"b", [3, 4])


@pytest.mark.parametrize(("content", "message"), [
    (b"", "b'' is not the line 'n d'"),
    (b"2 2", "is not the line 'n d'"),
    (b"2 x\n", "is not the line 'n d'"),
    (b"2 0\n", "is not the line 'n d'"),
    (b"2 2\n" + binary(A, B)[:-1], "byte 14: the file ends in word 2 of 2"),
    (b"2 2\n" + binary(A), "2 words of 2 numbers, for which 14 bytes are too few"),
    (b"%d 2\n" % BIG + binary(A), "too few"),
    (b"1 %d\n" % BIG + binary(A), "too few"),
    (b"1 2\n" + binary(A, B), "byte 14: .* follows after the 1 words"),
    (b"1 2\n" + binary(A) + b"\n\n", r"byte 14: b'\\n\\n' follows after the 1 words"),
    (b"2 2\n" + binary(A, A), "byte 14: the word 'a' stands in the file already, at byte 4"),
    (b"2 2\n" + binary(A, (b"", [1, 2])), "byte 14: an empty word"),
    (b"2 2\n" + binary(A, (b"c\nd", [1, 2])), r"b'c\\nd' holds a line end"),
    (b"1 2\n" + binary((b"a", [1, np.nan])), "byte 4: the vector of 'a' holds NaN"),
    (b"1 2\n" + binary((b"a", [np.inf, 1])), "byte 4: the vector of 'a' holds NaN"),
    (b"1 2\n" + b"a" * (1 << 17), "byte 4: the word does not end"),
])
def test_a_binary_that_is_no_table_of_vectors_is_refused_with_the_byte(load, content, message):
    with pytest.raises(FormatError, match=message) as refusal:
        load(content, binary=True)
    assert "/v" in str(refusal.value)


def test_what_follows_a_binary_is_noticed_at_the_edge_of_a_piece_too(load):
    d = PIECE // 4 - 1
    content = b"1 %d\n" % d + b"abc " + bytes(4 * d)
    assert load(content + b"\n", binary=True).words == ["abc"]
    with pytest.raises(FormatError, match=f"byte {len(content)}: b'x' follows"):
        load(content + b"x", binary=True)


@pytest.mark.parametrize("options", [{}, {"binary": True}])
def test_a_packed_file_is_refused_where_it_is_damaged_or_cut_off(load, options):
    content = b"2 2\n" + (binary(A, B) if options else b"a 1 2\nb 3 4\n")
    packed = gzip.compress(content)
    for damaged in (packed[:-9], packed[:20], packed[:-6] + b"\0\0" + packed[-4:], content):
        with pytest.raises(FormatError, match=r"v.gz: the gzip data is damaged or cut off"):
            load(damaged, "v.gz", **options)
    with pytest.raises(FormatError):
        load(packed + b"more", "v.gz", **options)
    for lie in (b"%d 2\n" % BIG, b"2 %d\n" % BIG):
        with pytest.raises(FormatError):
            load(gzip.compress(lie + content[4:]), "v.gz", **options)


@pytest.mark.parametrize("lie", [b"%d 2\n" % BIG, b"2 %d\n" % BIG, b"2 2\n"])
@pytest.mark.parametrize("name", ["v", "v.gz"])
@pytest.mark.parametrize("options", [{}, {"binary": True}])
def test_no_claim_of_a_file_allocates_memory(load, lie, name, options):
    content = lie + b"a " + bytes(100) + b"\n"
    if name == "v.gz":
        content = gzip.compress(lie + bytes(10_000_000))  # 10 kB that unpack to a word of 10 MB
    tracemalloc.start()
    with pytest.raises(FormatError):
        load(content, name, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (60e6 if name == "v.gz" else 3e6)  # lines of up to 16 MB are looked at


@pytest.mark.parametrize("read", [
    read_vectors, WordVectors.load, WordVectors.load_word2vec, WordVectors.load_projector,
    lambda path: WordVectors.load_word2vec(path, binary=True),
])
def test_a_folder_is_no_file_and_a_missing_file_is_missing(tmp_path, read):
    with pytest.raises(FormatError, match="is a folder, not a file"):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing")


def test_a_binary_without_header_is_neither_written_nor_read(wv, tmp_path):
    with pytest.raises(ValueError, match="without its header"):
        wv.save_word2vec(tmp_path / "v", binary=True, header=False)
    with pytest.raises(ValueError, match="without its header"):
        WordVectors.load_word2vec(tmp_path / "v", binary=True, header=False)
    assert os.listdir(tmp_path) == []


# ── what is written ──

FINITE = {dtype: arrays.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False)
          for dtype in (np.float32, np.float64)}
WORD = st.text(min_size=1).filter(lambda word: word.split() == [word])


@st.composite
def tables(draw, dtype=np.float32):
    words = draw(st.lists(WORD, unique=True, min_size=1, max_size=5))
    shape = (len(words), draw(st.integers(1, 4)))
    return WordVectors(words, draw(arrays.arrays(dtype, shape, elements=FINITE[dtype])))


@given(tables(), st.sampled_from(FORMATS))
def test_any_vectors_come_back_from_any_format_to_the_bit(wv, format):
    format, _, gz = format.partition(".")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, NAMES[format] + (gz and "." + gz))
        write_vectors(wv, path, format)
        back = read_vectors(path, format)
        same(back, wv)
        assert back.vectors.tobytes() == wv.vectors.tobytes()  # −0.0, too


@given(tables(np.float64))
def test_float64_comes_back_from_a_text_to_the_bit(wv):
    with tempfile.TemporaryDirectory() as folder:
        wv.save_word2vec(f"{folder}/v")
        same(WordVectors.load_word2vec(f"{folder}/v", dtype=np.float64), wv)


@pytest.mark.parametrize("format", FORMATS)
def test_the_format_is_told_by_name_for_writing_and_by_content_for_reading(wv, tmp_path, format):
    format, _, gz = format.partition(".")
    path = tmp_path / (NAMES[format] + (gz and "." + gz))
    write_vectors(wv, path)
    same(read_vectors(path), wv)
    if format != "projector":
        path = path.rename(tmp_path / ("x" + (gz and "." + gz)))
        same(read_vectors(path), wv)
    elsewhere = [name for name in READERS if name != format and not (gz and name == "safetensors")]
    for name in elsewhere:  # not even the next of kin is taken for it
        with pytest.raises((FormatError, FileNotFoundError)):
            read_vectors(path, name)


@pytest.mark.parametrize("format", ["word2vec-text", "word2vec-binary"])
def test_an_empty_table_is_a_file_of_its_header(tmp_path, format):
    write_vectors(WordVectors([], np.ones((0, 3), np.float32)), tmp_path / "v", format)
    assert (tmp_path / "v").read_bytes() == b"0 3\n"
    assert read_vectors(tmp_path / "v").vectors.shape == (0, 3)


def test_the_same_vectors_give_the_same_packed_bytes(wv, tmp_path, monkeypatch):
    wv.save_word2vec(tmp_path / "a.gz")
    monkeypatch.setattr("time.time", lambda: 1e9)
    wv.save_word2vec(tmp_path / "other.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "other.gz").read_bytes()


@pytest.mark.parametrize(("name", "message"), [
    ("v", r"no format goes by that name; pass format=, one of safetensors, .*\.tsv"),
    ("v.npz", "no format goes by that name"),
    ("v.gz", "no format goes by that name"),
    ("v.safetensors.gz", "not packed"),
])
def test_a_name_that_tells_no_format_is_refused(wv, tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        write_vectors(wv, tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_what_looks_like_no_format_is_refused(wv, tmp_path):
    for content, message in ((b"", "is empty"), (b"\x80\x04\x95", "is a pickle, which could run"),
                             (b"PK\x03\x04", "of no format known here")):
        (tmp_path / "v").write_bytes(content)
        with pytest.raises(FormatError, match=message):
            read_vectors(tmp_path / "v")
    (tmp_path / "v").write_bytes(b"1 2\nred 1 2 3\n")
    with pytest.raises(FormatError, match="its first bytes are those of word2vec-text; pass"):
        read_vectors(tmp_path / "v")
    for call in (lambda: read_vectors(tmp_path / "v", "npz"),
                 lambda: write_vectors(wv, tmp_path / "w", "npz")):
        with pytest.raises(ValueError, match="no format is called 'npz': use one of safetensor"):
            call()


FOREIGN = ["word2vec-text", "word2vec-binary", "glove", "projector"]


@pytest.mark.parametrize("format", FOREIGN)
@pytest.mark.parametrize(("word", "why"), [
    ("", "is empty"), ("a\nb", "holds"), ("a\tb", "holds"), ("a\r", "holds"),
    ("\udcf6", "cannot be written as UTF-8"), ("a" * 65537, "is longer than 65536 bytes"),
    *((f"a{space}b", "holds white space") for space in " \x0b\x1c\x85\u00a0\u2028\u3000"),
])
def test_a_word_that_a_format_cannot_hold_is_refused_by_name(tmp_path, format, word, why):
    wv = WordVectors(["red", word], np.ones((2, 3), np.float32))
    if format == "projector" and why == "holds white space":  # it goes by tabs
        write_vectors(wv, tmp_path / "v.tsv")
        same(read_vectors(tmp_path / "v.tsv"), wv)
        return
    with pytest.raises(ValueError, match=why) as refusal:
        write_vectors(wv, tmp_path / "v", format)
    assert repr(word[:40]) in str(refusal.value)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format", FOREIGN)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_numbers_that_are_not_finite_are_kept_by_the_native_format_alone(tmp_path, format, bad):
    words = [str(i) for i in range(3000)]
    wv = WordVectors(words, np.where(np.arange(3000)[:, None] == 2999, [[1, bad]], 1.0))
    if bad == 1e39 and format != "word2vec-binary":  # the texts hold float64
        write_vectors(wv, tmp_path / "v", format)
        return
    with pytest.raises(ValueError, match="the vector of '2999' holds NaN, or a number beyond"):
        write_vectors(wv, tmp_path / "v", format)
    assert os.listdir(tmp_path) == []
    wv.save(tmp_path / "v")
    same(WordVectors.load(tmp_path / "v"), wv)


@pytest.mark.parametrize(("dtype", "written"), [(np.int8, b"1.0"), (np.float16, b"1.0"),
                                                (np.int64, b"1.0"), (">f4", b"1.0")])
def test_vectors_of_any_type_can_be_written_for_others(tmp_path, dtype, written):
    wv = WordVectors(["a"], np.ones((1, 1), dtype))
    wv.save_word2vec(tmp_path / "v")
    assert (tmp_path / "v").read_bytes() == b"1 1\na %b\n" % written
    wv.save_word2vec(tmp_path / "v", binary=True)
    assert WordVectors.load_word2vec(tmp_path / "v", binary=True)["a"] == 1


def test_vectors_of_no_numbers_are_not_written_for_others(tmp_path):
    with pytest.raises(ValueError, match="vectors of no numbers"):
        WordVectors(["a"], np.ones((1, 0))).save_word2vec(tmp_path / "v")


@pytest.mark.parametrize("save", [WordVectors.save, WordVectors.save_word2vec,
                                  lambda wv, path: wv.save_word2vec(path, binary=True)])
def test_a_large_table_is_written_piece_by_piece(tmp_path, save):
    wv = WordVectors([str(i) for i in range(20_000)], np.ones((20_000, 20), np.float32))
    words = 20_000 * 120  # a word, as an object and in JSON
    tracemalloc.start()
    save(wv, tmp_path / "v")
    assert tracemalloc.get_traced_memory()[1] < wv.vectors.nbytes / 2 + words
    tracemalloc.stop()


# ── the Embedding Projector ──


def test_the_projector_gets_numbers_in_one_file_and_words_in_the_other(wv, tmp_path):
    few = WordVectors(["a b", "c"], np.array([[1, 0.5], [-2, 1e-7]], np.float32), [3, 1])
    few.save_projector(tmp_path / "vectors.tsv")
    assert (tmp_path / "vectors.tsv").read_bytes() == b"1.0\t0.5\n-2.0\t1e-07\n"
    assert (tmp_path / "metadata.tsv").read_bytes() == b"word\tcount\na b\t3\nc\t1\n"
    back = WordVectors.load_projector(tmp_path / "vectors.tsv")
    same(back, few)
    np.testing.assert_array_equal(back.counts, [3, 1])
    WordVectors(few.words, few.vectors).save_projector(tmp_path / "x.tsv")
    assert (tmp_path / "x_metadata.tsv").read_bytes() == b"a b\nc\n"
    wv.save_projector(tmp_path / "n.tsv", tmp_path / "w.tsv")
    same(WordVectors.load_projector(tmp_path / "n.tsv", tmp_path / "w.tsv"), wv)
    with pytest.raises(ValueError, match="two files"):
        wv.save_projector(tmp_path / "n.tsv", tmp_path / "n.tsv")


@pytest.mark.parametrize(("numbers", "words", "message"), [
    (b"1\t2\n3\t4\n", b"a\n", "metadata.tsv has 1 words for the 2 vectors"),
    (b"1\t2\n3\n", b"a\nb\n", "vectors.tsv, line 2: 1 numbers, not 2"),
    (b"1\tx\n", b"a\n", "vectors.tsv, line 1: b'x' is not a number"),
    (b"1\n2\n", b"a\na\n", "metadata.tsv, line 2: the word 'a' stands in the file already"),
    (b"1\nnan\n", b"a\nb\n", "metadata.tsv, line 2: the vector of 'b' holds NaN"),
    (b"1\n", b"word\tcount\na\n", "metadata.tsv, line 2: 1 fields, not 2"),
    (b"1\n", b"word\tcount\na\tmany\n", "line 2: the count b'many' is no whole number"),
    (b"1\n", b"", "metadata.tsv is empty"),
    (b"1\n", b"r\xf6t\n", "metadata.tsv, line 1: .* is not UTF-8"),
])
def test_projector_files_that_do_not_fit_are_refused(tmp_path, numbers, words, message):
    (tmp_path / "vectors.tsv").write_bytes(numbers)
    (tmp_path / "metadata.tsv").write_bytes(words)
    with pytest.raises(FormatError, match=message):
        read_vectors(tmp_path / "vectors.tsv")


# ── damage of any kind ──


@st.composite
def damaged(draw):
    """A file in some format, a few bytes of which are changed, put in, or cut off."""
    format = draw(st.sampled_from(FORMATS))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    words = ["red", "blau", "grün", "日"]
    wv = WordVectors(words, rng.normal(size=(4, 3)).astype(np.float32), np.arange(4))
    format, _, gz = format.partition(".")
    with tempfile.TemporaryDirectory() as folder:
        write_vectors(wv, pathlib.Path(folder, "v" + (gz and ".gz")), format)
        files = {path.name: bytearray(path.read_bytes()) for path in pathlib.Path(folder).iterdir()}
    content = files[draw(st.sampled_from(sorted(files)))]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        telling = st.sampled_from([b"", b" ", b"\n", b"9", b"\xff", b"\0", b"{", b'"', b"\t", b"e"])
        new = draw(telling | st.binary(max_size=4))
        content[at:at + draw(st.integers(0, 3) | st.just(len(content)))] = new
    return format, files


@given(damaged())
def test_a_damaged_file_is_read_sanely_or_refused_and_costs_no_memory(damage):
    format, files = damage
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            pathlib.Path(folder, name).write_bytes(content)
        path = pathlib.Path(folder, min(files, key=len))
        for asked in (format, None):
            tracemalloc.start()
            try:
                wv = read_vectors(path, asked)
            except FormatError as error:
                assert str(folder) in str(error)  # noqa: PT017 (it may well be read)
            else:
                assert wv.vectors.shape == (len(set(wv.words)), wv.vectors.shape[1])
                assert wv.vectors.dtype in (np.float32, np.float64)
                assert len(wv) <= 6
            finally:
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            assert peak < 6e6


# ── safetensors ──


def test_all_that_is_known_of_the_words_is_saved(wv, tmp_path):
    more = WordVectors(wv.words, wv.vectors, wv.counts, dropped={"rare": np.int64(3), "ö": 1},
                       settings={"min_count": 5, "loss": "softmax", "lr": None})
    more.save(tmp_path / "v")
    back = WordVectors.load(tmp_path / "v")
    assert back.dropped == {"rare": 3, "ö": 1}
    assert back.settings == more.settings
    with pytest.raises(KeyError, match="occurs 3 times in the corpus, fewer than min_count=5"):
        back["rare"]
    wv.save(tmp_path / "v")
    assert WordVectors.load(tmp_path / "v").dropped is None


def test_settings_that_json_cannot_hold_are_refused(wv, tmp_path):
    with pytest.raises(ValueError, match=r"settings cannot be saved: .*set"):
        WordVectors(wv.words, wv.vectors, settings={"a": {1}}).save(tmp_path / "v")
    assert os.listdir(tmp_path) == []


def test_words_stand_in_the_header_as_they_are(tmp_path):
    WordVectors(["日", "\ud800"], np.ones((2, 1))).save(tmp_path / "half a pair")
    assert WordVectors.load(tmp_path / "half a pair").words == ["日", "\ud800"]
    WordVectors(["日"], np.ones((1, 1))).save(tmp_path / "v")
    assert "日".encode() in (tmp_path / "v").read_bytes()


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
    {"vectors": {"dtype": "I64", "shape": [1, 1], "data_offsets": [0, 8]},
     "__metadata__": {"words": '["a"]'}},
    {"vectors": F, "__metadata__": {"words": '["a", "a"]'}},
    {"vectors": F, "__metadata__": {**WORDS, "dropped": '{"c": "x"}'}},
    {"vectors": F, "__metadata__": {**WORDS, "dropped": '{"c": 1, "c": 2}'}},
    {"vectors": F, "__metadata__": {**WORDS, "settings": '[1]'}},
    {"vectors": F, "__metadata__": {**WORDS, "settings": 1}},
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
    for save in (wv.save, wv.save_word2vec, lambda path: wv.save_projector(tmp_path / "x", path)):
        with pytest.raises(KeyboardInterrupt):
            save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["v.safetensors"]


@pytest.mark.parametrize("name", ["v", "v.gz"])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, name):
    (tmp_path / name).write_bytes(b"old")
    def failing():
        yield b"new" * (1 << 20)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(tmp_path / name) as file:
        file.writelines(failing())
    assert (tmp_path / name).read_bytes() == b"old"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such files")
def test_a_device_is_not_replaced_by_a_file(wv, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for write in (wv.save, wv.save_word2vec, check_writable):
        with pytest.raises(OSError, match="pipe is a device or the like"):
            write(tmp_path / "pipe")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        wv.save(tmp_path)
    assert os.listdir(tmp_path) == ["pipe"]


def test_bytes_are_on_the_disk_before_the_name_is_given(wv, tmp_path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, lambda *_, name=name: done.append(name))
    wv.save(tmp_path / "v")
    assert done == ["fsync", "replace"]


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
    (struct.pack("<Q", 14) + b'{"v":1, "v":1}', "header is damaged.*a name stands in it twice"),
    (header(__metadata__={"a": 1}), "header is damaged"),
    (header(__metadata__=None), "header is damaged"),
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
