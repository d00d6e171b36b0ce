"""Word vectors and the questions one asks of them."""

import difflib
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from tinygrad_w2v.word2vec import WordVectors, vectors
from tinygrad_w2v.word2vec.vectors import SCORES


@pytest.fixture
def wv():
    rng = np.random.default_rng(1)
    words = ["red", "blue", "green", "monday", "sunday", "three", "four"]
    return WordVectors(words, rng.normal(size=(7, 5)).astype(np.float32), np.arange(7, 0, -1))


def cosine(a, b):
    return a @ b / np.sqrt(a @ a * (b @ b))


def test_look_up_by_word(wv):
    np.testing.assert_array_equal(wv["blue"], wv.vectors[wv.index["blue"]])
    assert "blue" in wv
    assert "bleu" not in wv
    assert ["blue"] not in wv
    assert len(wv) == 7
    assert list(wv) == wv.words


def test_look_up_by_a_list_of_words(wv):
    np.testing.assert_array_equal(wv[["blue", "red", "blue"]], wv.vectors[[1, 0, 1]])
    assert wv[[]].shape == (0, 5)
    with pytest.raises(KeyError, match="'bleu'"):
        wv[["red", "bleu"]]


def test_vectors_cannot_change_under_their_unit_copy(wv):
    for array in (wv.vectors, wv["red"], wv.unit):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7


def test_nothing_is_copied_before_the_first_question():
    vectors = np.ones((1000, 100), np.float32)
    tracemalloc.start()
    wv = WordVectors([str(i) for i in range(1000)], vectors)
    assert np.shares_memory(wv.vectors, vectors)
    assert tracemalloc.get_traced_memory()[1] < vectors.nbytes
    tracemalloc.stop()


def test_a_missing_word_suggests_near_spellings(wv):
    with pytest.raises(KeyError, match=r"'mondey' is not among these 7 words.*near.*monday"):
        wv["mondey"]
    with pytest.raises(KeyError, match="too seldom"):
        wv.most_similar("zzz")
    with pytest.raises(KeyError, match="near spellings: monday"):
        wv.similarity("red", "MONDAY")
    with pytest.raises(KeyError, match="words are strings"):
        wv.similarity("red", 7)


@pytest.mark.parametrize(("word", "why"), [
    ("rare", r"occurs 3 times in the corpus, fewer than min_count=5"),
    ("once", r"occurs 1 time in the corpus, fewer than min_count=5"),
    ("zebra", r"does not occur in the corpus"),
])
def test_a_missing_word_says_whether_it_was_left_out_or_never_seen(word, why):
    wv = WordVectors(["red"], np.ones((1, 2)), dropped={"rare": 3, "once": 1, "redd": 2},
                     settings={"min_count": 5})
    with pytest.raises(KeyError, match=f"'{word}' is not among these 1 words .*{why}") as missing:
        wv[word]
    assert "redd" not in str(missing.value)  # what was left out is no suggestion


def test_of_100_000_words_few_are_compared_letter_by_letter(monkeypatch):
    compared, honest = [], difflib.get_close_matches

    def counting(word, possibilities, *rest):
        compared.extend(possibilities)
        return honest(word, possibilities, *rest)

    monkeypatch.setattr(difflib, "get_close_matches", counting)
    words = [f"{i:05d}word"[::-1] for i in range(100_000)]
    wv = WordVectors(words, np.ones((100_000, 1), np.float32))
    with pytest.raises(KeyError, match="near spellings: drow"):
        wv["drow999x9"]
    assert 0 < len(compared) <= 200


def test_a_missed_word_is_looked_for_only_if_its_message_is_read(wv, monkeypatch):
    searches = []
    monkeypatch.setattr(vectors, "near_spellings", lambda *_: searches.append(1) or [])
    with pytest.raises(KeyError) as missing:
        wv["wort"]
    assert not searches
    assert "wort" in str(missing.value)
    assert searches


def test_the_message_of_a_missing_word_goes_from_process_to_process(wv):
    with pytest.raises(KeyError) as missing:
        wv["mondey"]
    there = pickle.loads(pickle.dumps(missing.value))
    assert there.args == (str(missing.value),)


def test_similarity_is_the_cosine(wv):
    assert wv.similarity("red", "four") == pytest.approx(cosine(wv["red"], wv["four"]), abs=1e-6)


def test_most_similar_sorts_by_cosine_and_leaves_the_question_out(wv):
    answers = wv.most_similar("red", topn=10)
    assert [w for w, _ in answers] == sorted(
        (w for w in wv.words if w != "red"), key=lambda w: -cosine(wv["red"], wv[w]))
    for word, score in answers:
        assert score == pytest.approx(cosine(wv["red"], wv[word]), abs=1e-6)
    assert wv.most_similar("red", topn=2) == answers[:2]


def test_most_similar_takes_lists_vectors_and_weights(wv):
    unit = {w: wv[w] / np.sqrt(wv[w] @ wv[w]) for w in wv.words}
    wanted = unit["red"] + 0.5 * unit["blue"] - unit["four"]
    answers = wv.most_similar(["red", ("blue", 0.5)], ["four"], topn=9)
    for word, score in answers:
        assert score == pytest.approx(cosine(wanted, unit[word]), abs=1e-6)
    assert {w for w, _ in answers} == {"green", "monday", "sunday", "three"}
    assert wv.most_similar(wv["red"] * 7, topn=1)[0][0] == "red"  # a vector excludes no word
    assert wv.most_similar(("red", 2.0)) == wv.most_similar("red")
    assert wv.most_similar("red", [("four", -0.5)]) == wv.most_similar(["red", ("four", -0.5)])


def test_words_count_at_length_1_and_vectors_as_long_as_they_are(wv):
    unit = {w: wv[w] / np.sqrt(wv[w] @ wv[w]) for w in wv.words}
    for word, score in wv.most_similar(["red", 3 * unit["blue"]], topn=9):
        assert score == pytest.approx(cosine(unit["red"] + 3 * unit["blue"], unit[word]), abs=1e-6)


def test_all_words_are_answers_where_topn_is_none(wv):
    assert wv.most_similar("red", topn=None) == wv.most_similar("red", topn=6)
    assert wv.most_similar("red", topn=0) == []


def test_a_restricted_search_looks_at_the_first_words_alone(wv):
    assert [w for w, _ in wv.most_similar("four", topn=9, restrict_vocab=3)] == [
        w for w, _ in wv.most_similar("four", topn=9) if w in ("red", "blue", "green")]
    assert wv.most_similar("red", restrict_vocab=0) == []


def test_equally_near_words_come_in_the_order_of_the_vocabulary():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(3, 7)).astype(np.float32)
    wv = WordVectors([str(i) for i in range(2000)], few[np.arange(2000) % 3])
    assert [int(w) for w, _ in wv.most_similar("3", topn=5)] == [0, 6, 9, 12, 15]
    assert [int(w) for w, _ in wv.most_similar("1", topn=700)][:666] == list(range(4, 2000, 3))


def test_analogy_is_3cosadd(wv):
    assert wv.analogy("red", "blue", "three") == wv.most_similar(["blue", "three"], ["red"])


def test_the_similarity_of_two_lists_is_the_cosine_of_their_means(wv):
    assert wv.n_similarity(["red", "blue"], ["four"]) == pytest.approx(
        cosine(wv["red"] + wv["blue"], wv["four"]), abs=1e-6)


def test_doesnt_match_is_the_word_farthest_from_the_mean():
    wv = WordVectors(["a", "b", "c"], np.array([[1, 0.1], [1, -0.1], [-1, 0.0]]))
    assert wv.doesnt_match(["a", "b", "c"]) == "c"


def test_vectors_of_length_0_are_similar_to_nothing():
    wv = WordVectors(["a", "b"], np.array([[0.0, 0], [1, 0]]))
    assert wv.most_similar("b") == [("a", 0.0)]


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float32])
def test_similarity_is_a_cosine_for_vectors_of_any_type(dtype):
    big = 1e20 if dtype == np.float32 else 100
    wv = WordVectors(["a", "b"], np.array([[big, big], [big, 0]], dtype))
    assert wv.similarity("a", "b") == pytest.approx(0.5**0.5, rel=1e-6)


def test_no_cosine_is_beyond_1():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(100, 5)).astype(np.float32)
    wv = WordVectors([str(i) for i in range(200)], np.concatenate([rows, 2 * rows]))
    assert max(np.square(wv.unit, dtype=float).sum(axis=1)) > 1  # rounding alone would be
    assert max(wv.similarity(word, word) for word in wv) == 1
    assert max(wv.n_similarity([word], [word]) for word in wv) <= 1
    assert np.max(wv.most_similar_batch(wv.words, topn=1).cosines) == 1


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e200, 1e308])
def test_a_cosine_neither_over_nor_underflows(size):
    wv = WordVectors(["a", "b"], np.array([[1, 1], [1, 0]]) * size)
    assert wv.similarity("a", "b") == pytest.approx(0.5**0.5, rel=1e-3 if size < 1e-300 else 1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_vector_that_is_not_finite_is_no_answer_and_no_question(bad, dtype):
    wv = WordVectors(list("abc"), np.array([[1.0, 0], [bad, 1], [1, 0.1]], dtype))
    for topn in (1, 2, 3):
        assert [w for w, _ in wv.most_similar("a", topn=topn)] == ["c"]
    for ask in (lambda: wv.most_similar("b"), lambda: wv.similarity("a", "b"),
                lambda: wv.doesnt_match(["a", "b"]), lambda: wv.most_similar_batch(["a", "b"])):
        with pytest.raises(ValueError, match=r"'b' holds NaN or infinity"):
            ask()


def by_one(wv, queries, **options):
    return [wv.most_similar(query, **options) for query in queries]


def test_many_questions_at_once_have_the_answers_they_have_one_by_one(wv):
    queries = ["red", wv["blue"], ["red", ("four", -1)], ("red", 2.0), [wv["red"], "blue"], "red"]
    for options in ({}, {"topn": 2}, {"topn": None}, {"restrict_vocab": 4}, {"topn": 0}):
        assert list(wv.most_similar_batch(queries, **options)) == by_one(wv, queries, **options)
    assert list(wv.most_similar_batch(wv.vectors)) == by_one(wv, wv.vectors)


@given(st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]), st.integers(1, 30),
       st.sampled_from([1, 3, 100]))
def test_company_changes_no_bit_of_an_answer(seed, dtype, d, topn):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-3, 4, (20, d)).astype(dtype)
    wv = WordVectors([str(i) for i in range(500)], rows[rng.integers(0, 20, 500)])  # full of ties
    queries = [*wv.words[:20], *rng.normal(size=(5, d))]
    assert list(wv.most_similar_batch(queries, topn)) == by_one(wv, queries, topn=topn)


def test_a_batch_gives_its_answers_as_arrays_too(wv):
    near = wv.most_similar_batch(["red", wv["blue"]], topn=7)
    assert near.ids.shape == near.cosines.shape == (2, 7)
    for i in range(2):
        assert near[i] == [(wv.words[row], cosine) for row, cosine
                           in zip(near.ids[i], near.cosines[i], strict=True) if row >= 0]
    assert near.ids[0, 6] == -1  # "red" itself is no answer
    assert np.isnan(near.cosines[0, 6])
    assert len(wv.most_similar_batch([])) == 0


def test_a_batch_holds_a_block_of_cosines_and_not_all():
    rng = np.random.default_rng(0)
    wv = WordVectors([str(i) for i in range(20_000)],
                     rng.normal(size=(20_000, 4)).astype(np.float32))
    queries = wv.words[:1500]  # 120 MB of cosines
    wv.unit  # noqa: B018 (made before memory is measured)
    tracemalloc.start()
    wv.most_similar_batch(queries, topn=3)
    assert tracemalloc.get_traced_memory()[1] < 1.7 * SCORES < 64e6
    tracemalloc.stop()


@pytest.mark.parametrize(("call", "message"), [
    (lambda wv: wv.most_similar([]), "a word or a vector"),
    (lambda wv: wv.most_similar(np.ones(3)), r"shape \(3,\), these \(5,\)"),
    (lambda wv: wv.doesnt_match([]), "needs words"),
    (lambda wv: wv.n_similarity(["red"], []), "needs words in both"),
    (lambda wv: wv.most_similar([np.full(5, np.nan)]), "not a finite number"),
    (lambda wv: wv.most_similar(("red", np.inf)), "not a finite number"),
    (lambda wv: wv.most_similar_batch("red"), "a list of queries, not the word 'red'"),
    (lambda wv: wv.most_similar_batch(np.ones((2, 3))), r"shape \(3,\), these \(5,\)"),
    (lambda wv: wv.most_similar([("red", "blue")]), r"a query is a word, .* not \('red', 'blue'\)"),
    (lambda wv: wv.most_similar([None]), r"shape \(\), these"),
    (lambda wv: wv.most_similar("red", topn=-1), "topn is a number of words from 0 up, not -1"),
    (lambda wv: wv.most_similar_batch(["red"], restrict_vocab=-1), "restrict_vocab is a number"),
    (lambda wv: WordVectors(["a"], np.ones((2, 3))), "1 words need 1 rows"),
    (lambda wv: WordVectors(["a"], np.ones((1, 2)), np.ones(2, int)), "1 words need as many count"),
    (lambda wv: WordVectors(["a"], np.ones((1, 2)), [0.5]), "counts are whole numbers, not float"),
    (lambda wv: WordVectors(["a"], np.array([["x"]])), "vectors are real numbers, not <U1"),
    (lambda wv: WordVectors([7], np.ones((1, 2))), "words must be strings"),
    (lambda wv: WordVectors(["a", "a"], np.ones((2, 3))), "'a' stands in the list more than once"),
])
def test_bad_questions_say_what_is_wrong(wv, call, message):
    with pytest.raises(ValueError, match=message):
        call(wv)
