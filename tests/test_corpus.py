"""Text to numbers."""

import bz2
import gzip
import lzma

import numpy as np
import pytest

from tinygrad_w2v.word2vec.corpus import Corpus, Vocabulary, sentences_of


def test_words_are_ordered_by_count_then_alphabet():
    vocabulary = Vocabulary.build([list("bbacca")], min_count=1)
    assert vocabulary.words == ["a", "b", "c"]
    assert Vocabulary.build([list("abbcc")], 1).words == ["b", "c", "a"]


def test_seldom_words_are_dropped_and_counted():
    vocabulary = Vocabulary.build([list("aaab"), list("bc")], min_count=2)
    assert vocabulary.words == ["a", "b"]
    assert vocabulary.counts.tolist() == [3, 2]
    assert vocabulary.dropped == 1
    assert "a" in vocabulary
    assert "c" not in vocabulary


def test_unknown_words_are_left_out_before_windows_are_cut():
    vocabulary = Vocabulary(["a", "b"], [2, 2])
    corpus = Corpus.encode([list("axxb"), [], list("xx"), list("ba")], vocabulary)
    assert corpus.ids.tolist() == [0, 1, 1, 0]
    assert corpus.sentence.tolist() == [0, 0, 3, 3]
    assert corpus.ids.dtype == np.int32


def test_an_empty_corpus_is_encoded_as_nothing():
    assert len(Corpus.encode([], Vocabulary([], []))) == 0


@pytest.mark.parametrize(("ending", "opener"), [
    (".txt", open), (".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)])
def test_a_file_is_read_a_sentence_a_line_packed_or_not(tmp_path, ending, opener):
    path = tmp_path / f"text{ending}"
    with opener(path, "wt", encoding="utf-8") as file:
        file.write("to be  or\n\nnicht zu wörtlich\n")
    sentences = sentences_of(path)
    for _ in range(2):  # every pass reads it anew
        assert list(sentences) == [["to", "be", "or"], [], ["nicht", "zu", "wörtlich"]]
    assert list(sentences_of(str(path))) == list(sentences)


def test_an_iterator_is_read_into_memory_not_used_up():
    sentences = sentences_of(words for words in (["a"], ["b"]))
    assert list(sentences) == list(sentences) == [["a"], ["b"]]


def test_a_list_of_strings_is_refused_with_the_fix():
    with pytest.raises(TypeError, match=r"holds the string 'to be': split it"):
        sentences_of(["to be", "or not"])


def test_strings_and_iterators_are_found_wherever_they_stand():
    with pytest.raises(TypeError, match="holds the string 'hello'"):
        sentences_of([["a", "b"], "hello"])
    with pytest.raises(TypeError, match="holds an iterator"):
        sentences_of([["a"], iter(["b"])])


def test_a_byte_order_mark_is_no_part_of_a_word(tmp_path):
    (tmp_path / "text").write_text("a b", encoding="utf-8-sig")
    assert list(sentences_of(tmp_path / "text")) == [["a", "b"]]


def test_a_text_in_place_of_a_path_is_told():
    with pytest.raises(FileNotFoundError, match="no corpus at the quick"):
        sentences_of("the quick brown fox\n" * 500)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"no corpus at .*nowhere.txt"):
        sentences_of("nowhere.txt")
