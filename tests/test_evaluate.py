"""Scores of word vectors, on small files whose answers are known by hand."""

import gzip
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tinygrad_w2v.word2vec import FormatError, WordVectors, evaluate


def at(*degrees):
    """Unit vectors in the plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture
def wv():
    return WordVectors(["a", "b", "c", "d"], at(0, 10, 30, 80))


@pytest.fixture
def pairs(tmp_path):
    """Write a file of pairs and evaluate vectors on it."""
    def pairs(wv, text, **options):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "pairs.tsv").write_bytes(content)
        return wv.evaluate_word_pairs(tmp_path / "pairs.tsv", **options)
    return pairs


@pytest.fixture
def ask(tmp_path):
    """Write a file of questions and evaluate vectors on it."""
    def ask(wv, text, **options):
        (tmp_path / "questions.txt").write_text(text, encoding="utf-8")
        return wv.evaluate_analogies(tmp_path / "questions.txt", **options)
    return ask


def test_correlations_compare_cosines_with_judgements(wv, pairs):
    score = pairs(wv, "a\tb\t9\na\tc\t7.5\na\td\t1\n")
    cosines = np.cos(np.radians([10, 30, 80]))
    assert score.pearson == pytest.approx(np.corrcoef([9, 7.5, 1], cosines)[0, 1], abs=1e-6)
    assert score.spearman == pytest.approx(1)
    assert score[2:] == (0, 3)
    assert pairs(wv, "a\tb\t1\na\tc\t2\na\td\t3\n").spearman == pytest.approx(-1)


def test_equal_judgements_share_their_mean_rank(wv, pairs):
    score = pairs(wv, "a\tb\t9\na\tc\t9\na\td\t1\nb\td\t4\n")  # ranks 3½ 3½ 1 2 against 4 3 1 2
    assert score.spearman == pytest.approx(np.corrcoef([3.5, 3.5, 1, 2], [4, 3, 1, 2])[0, 1])


@given(st.lists(st.integers(0, 5) | st.floats(-1e9, 1e9), min_size=1, max_size=30))
def test_a_rank_is_one_more_than_the_smaller_numbers_and_half_of_the_equal_ones(numbers):
    x = np.array(numbers, float)
    wanted = [np.sum(x < y) + (np.sum(x == y) + 1) / 2 for y in x]
    np.testing.assert_array_equal(evaluate._ranks(x), wanted)


def test_comments_empty_lines_line_ends_and_names_of_columns_are_passed_over(wv, pairs):
    plain = pairs(wv, "a\tb\t9\na\tc\t1\n")
    text = "\ufeff# a comment\n\nword 1\tword 2\tmean\r\n a\tb \t9\r\n\r\na\tc\t1"
    assert pairs(wv, text) == plain
    assert pairs(wv, "a,b,9\na,c,1\n", delimiter=",") == plain
    assert pairs(wv, "a b  9\na c\t1\n", delimiter=None) == plain


def test_packed_files_are_read_too(wv, tmp_path):
    (tmp_path / "pairs.gz").write_bytes(gzip.compress(b"a\tb\t9\na\tc\t1\n"))
    assert wv.evaluate_word_pairs(tmp_path / "pairs.gz").used == 2


def test_pairs_with_unknown_words_are_left_out_and_counted(wv, pairs):
    text = "a\tb\t9\na\tc\t1\n"
    score = pairs(wv, text + "a\tx\t5\ny\tx\t5\n")
    assert score[:2] == pairs(wv, text)[:2]
    assert score[2:] == (0.5, 2)
    assert pairs(wv, text + "a\td\t5\n", restrict_vocab=3)[2:] == (pytest.approx(1 / 3), 2)


def test_case_is_folded_and_the_first_spelling_counts(pairs):
    wv = WordVectors(["one", "Two", "TWO", "three"], at(0, 20, 90, 40))
    folded = pairs(wv, "ONE\ttwo\t9\none\tThree\t1\n")
    assert folded.used == 2
    assert folded.spearman == pytest.approx(1)  # by "Two", not by "TWO"
    exact = pairs(wv, "one\tTWO\t9\none\tthree\t1\nONE\ttwo\t1\n", case_insensitive=False)
    assert exact.used == 2
    assert exact.spearman == pytest.approx(-1)


@pytest.mark.parametrize(("text", "message"), [
    ("a\tb\t9\na b 1\n", "line 2: 'a b 1' is not a word, a word and a number with '.t' between"),
    ("a\tb\t9\n# \na\tb\tx\n", "line 3: .* is not a word, a word and a number"),
    ("a\tb\t9\na\tb\tnan\n", "line 2"),
    ("a\tb\t9\na\tb\t1\t2\n", "line 2"),
    ("a b 9\n", "line 1"),
    ("a\tb\t7,5\na\tb\t7,5\n", "line 2"),  # the first one could be names
    (b"a\tb\t9\na\tr\xf6t\t9\n", "line 2: not UTF-8 from byte 3"),
    ("", "no line that says anything"),
    ("# nothing\n\n", "no line that says anything"),
    ("a" * 100_000, "line 1"),
])
def test_a_line_that_is_no_judgement_is_refused_with_its_number(wv, pairs, text, message):
    with pytest.raises(FormatError, match=message) as refusal:
        pairs(wv, text)
    assert "pairs.tsv" in str(refusal.value)


def test_a_line_without_end_costs_no_memory(wv, tmp_path):
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"a" * 20_000_000))
    for call in (wv.evaluate_word_pairs, wv.evaluate_analogies):
        tracemalloc.start()
        with pytest.raises(FormatError, match="line 1"):
            call(tmp_path / "bomb.gz")
        assert tracemalloc.get_traced_memory()[1] < 2e6
        tracemalloc.stop()


def test_a_correlation_needs_two_pairs_that_differ(wv, pairs):
    with pytest.raises(ValueError, match=r"of 2 pairs 1 can be used.*not among these 4; .* two"):
        pairs(wv, "a\tb\t9\na\tx\t9\n")
    score = pairs(wv, "a\tb\t9\na\tc\t9\n")
    assert math.isnan(score.pearson)
    assert math.isnan(score.spearman)


def test_words_whose_vectors_are_not_finite_are_unknown(pairs, ask):
    vectors = np.vstack([at(0, 10, 30, 80), [[np.nan, 1]], [[np.inf, 0]]])
    wv = WordVectors(["a", "b", "c", "d", "e", "f"], vectors)
    assert pairs(wv, "a\tb\t9\na\tc\t1\na\te\t1\nf\te\t1\n")[2:] == (0.5, 2)
    assert ask(wv, ": s\na b c d\na b c e\n") == (1, 0.5, [("s", 1, 1, 0.5)])


# a → A is a turn by 5 degrees, and so is each of the other pairs
TURNS = WordVectors(["one", "two", "three", "eins", "zwei", "drei", "Drei"],
                    at(0, 40, 100, 5, 45, 105, 103))


def test_an_analogy_is_right_if_the_nearest_word_is_the_fourth(ask):
    score = ask(TURNS, ": number\none eins two zwei\ntwo zwei three drei\none eins three two\n"
                       ": again\none eins two zwei\n: none\n")
    assert score.score == 3 / 4
    assert score.sections == [("number", 2, 3, 0), ("again", 1, 1, 0), ("none", 0, 0, 0)]
    assert [section.name for section in score.sections] == ["number", "again", "none"]
    assert score.unknown == 0


def test_the_words_asked_with_are_no_answers_in_any_spelling(ask):
    question = ": s\ntwo three drei zwei\n"  # three − two + drei is nearest to drei, then to Drei
    assert ask(TURNS, question).score == 1
    assert ask(TURNS, question, case_insensitive=False).score == 0
    assert ask(TURNS, ": s\ntwo three drei drei\n").score == 0


def test_any_spelling_of_the_answer_is_right(ask):
    wv = WordVectors(["one", "two", "eins", "zwei", "ZWEI"], at(0, 40, 5, 80, 45))
    assert ask(wv, ": s\nOne Eins Two Zwei\n").score == 1
    with pytest.raises(ValueError, match="none of 1 questions can be asked"):
        ask(wv, ": s\nOne Eins Two Zwei\n", case_insensitive=False)
    assert ask(wv, ": s\none eins two zwei\n", case_insensitive=False).score == 0


def test_questions_with_unknown_words_are_left_out_and_counted(ask):
    text = ": s\none eins two zwei\none eins two vier\n: t\nx y z w\n"
    assert ask(TURNS, text) == (1, pytest.approx(2 / 3), [("s", 1, 1, 0.5), ("t", 0, 0, 1)])
    with pytest.raises(ValueError, match=r"none of 3 questions .* among these 4"):
        ask(TURNS, text, restrict_vocab=4)


def test_two_words_leave_no_answer(ask):
    assert ask(WordVectors(["a", "b"], at(0, 9)), ": s\na b a b\na b b a\na a b a\n").score == 0


def test_blocks_of_questions_give_what_single_ones_do(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    wv = WordVectors([f"{'wW'[i % 2]}{i // 2}" for i in range(80)],
                     rng.normal(size=(80, 4)).astype(np.float32))
    quads = rng.integers(0, 80, (300, 4))
    (tmp_path / "q").write_text(": s\n" + "".join(
        " ".join(wv.words[i] for i in quad) + "\n" for quad in quads), encoding="utf-8")
    whole = wv.evaluate_analogies(tmp_path / "q")
    monkeypatch.setattr(evaluate, "SCORES", 1)
    assert wv.evaluate_analogies(tmp_path / "q") == whole
    assert whole.score > 0
    right = 0
    for a, b, c, wanted in quads:
        asked = {wv.words[i].upper() for i in (a, b, c)}
        first = [2 * (i // 2) for i in (a, b, c)]  # the spelling that counts
        names = [wv.words[i] for i in first]
        best = next((w for w, _ in wv.analogy(*names, topn=None) if w.upper() not in asked), "")
        right += best.upper() == wv.words[wanted].upper()
    assert whole.sections[0].correct == right


@pytest.mark.parametrize(("text", "message"), [
    ("one eins two zwei\n", "line 1: a question stands before the first section"),
    (": s\n\none eins two\n", "line 3: 'one eins two' is not four words"),
    (": s\none eins two zwei drei\n", "line 2: .* is not four words"),
    ("", "no line that says anything"),
])
def test_a_line_that_is_no_question_is_refused_with_its_number(ask, text, message):
    with pytest.raises(FormatError, match=message) as refusal:
        ask(TURNS, text)
    assert "questions.txt" in str(refusal.value)


def test_bad_options_and_paths_are_refused(wv, tmp_path):
    for call in (wv.evaluate_word_pairs, wv.evaluate_analogies):
        with pytest.raises(ValueError, match="restrict_vocab is a number of words from 0 up"):
            call(tmp_path / "nothing", restrict_vocab=-1)
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "nothing")
        with pytest.raises(FormatError, match="is a folder"):
            call(tmp_path)
