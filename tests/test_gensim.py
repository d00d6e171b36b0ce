"""The same vectors give the same answers, scores and files as in gensim."""

import importlib.util
import pathlib
import tempfile

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from hypothesis.extra import numpy as arrays

from tinygrad_w2v.word2vec import WordVectors

KeyedVectors = pytest.importorskip("gensim.models.keyedvectors").KeyedVectors

# gensim leaves a file without header open
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

DATA = pathlib.Path(importlib.util.find_spec("gensim").origin).parent / "test" / "test_data"
EPS = float(np.finfo(np.float32).eps)
WORDS = [f"w{i}" for i in range(12)]


def keyed(wv):
    """gensim's object of the same words and vectors."""
    kv = KeyedVectors(wv.vectors.shape[1], dtype=wv.vectors.dtype)
    kv.add_vectors(wv.words, np.array(wv.vectors))
    return kv


@st.composite
def vectors(draw):
    """Twelve words, with vectors that differ and none of which is zero."""
    d = draw(st.integers(1, 6))
    element = st.integers(-64, 64).map(lambda x: x / 8) if draw(st.booleans()) else st.floats(
        -100, 100, width=32)
    table = draw(arrays.arrays(np.float32, (len(WORDS), d), elements=element))
    assume((np.abs(table).max(axis=1) > 0.01).all())
    return WordVectors(WORDS, table)


def queries(d):
    weight = st.sampled_from([-2.0, -0.5, 0.25, 1.0, 3.0])
    number = st.integers(-400, 400).map(lambda x: x / 100)  # gensim's float32 norms underflow
    vector = arrays.arrays(np.float32, d, elements=number)
    query = st.sampled_from(WORDS) | vector
    return st.lists(query | st.tuples(query, weight), max_size=4)


def same_neighbours(ours, theirs, cosine, tolerance):
    """Ours are theirs, but that words nearer to each other than rounding goes may be exchanged."""
    assert len(ours) == len(theirs)
    for (word, score), (other, theirs_score) in zip(ours, theirs, strict=True):
        assert score == pytest.approx(theirs_score, abs=tolerance)
        assert word == other or abs(cosine[word] - cosine[other]) <= 2 * tolerance


@given(st.data(), vectors(), st.integers(1, 12), st.none() | st.integers(1, 12))
def test_most_similar(data, wv, topn, restrict):
    positive = data.draw(queries(wv.vectors.shape[1]), "positive")
    negative = data.draw(queries(wv.vectors.shape[1]), "negative")
    terms = [q if isinstance(q, tuple) else (q, w)
             for qs, w in ((positive, 1), (negative, -1)) for q in qs]
    assume(terms)
    terms = [(wv.unit[wv.index[q]] if isinstance(q, str) else q, w) for q, w in terms]
    size = sum(abs(w) * np.linalg.norm(q) for q, w in terms)
    length = np.linalg.norm(sum(w * q.astype(float) for q, w in terms))
    assume(length > 1e-3 * size)  # else rounding, gensim's and ours, decides on the direction
    tolerance = 8 * (len(terms) + wv.vectors.shape[1]) * EPS * size / length
    cosine = dict(wv.most_similar(positive, negative, topn=None, restrict_vocab=restrict))
    same_neighbours(wv.most_similar(positive, negative, topn, restrict),
                    keyed(wv).most_similar(positive, negative, topn, restrict_vocab=restrict),
                    cosine, tolerance)


@given(vectors(), st.sampled_from(WORDS), st.integers(1, 12))
def test_one_word_or_one_vector_is_a_query_too(wv, word, topn):
    kv, cosine = keyed(wv), dict(wv.most_similar(wv[word], topn=None))
    for query in (word, wv[word], (word, 2.0)):
        theirs = kv.most_similar([query] if isinstance(query, tuple) else query, topn=topn)
        same_neighbours(wv.most_similar(query, topn=topn), theirs, cosine, 100 * EPS)


@given(vectors(), st.sampled_from(WORDS), st.sampled_from(WORDS))
def test_similarity(wv, a, b):
    assert wv.similarity(a, b) == pytest.approx(float(keyed(wv).similarity(a, b)), abs=16 * EPS)


@given(vectors(), *2 * [st.lists(st.sampled_from(WORDS), min_size=1, max_size=4)])
def test_n_similarity(wv, a, b):
    for words in (a, b):  # vectors that cancel leave rounding alone
        assume(np.linalg.norm(wv[words].mean(axis=0)) > 0.01 * np.abs(wv[words]).max())
    assert wv.n_similarity(a, b) == pytest.approx(float(keyed(wv).n_similarity(a, b)), abs=1e-4)


@given(vectors(), st.lists(st.sampled_from(WORDS), min_size=1, unique=True))
def test_doesnt_match(wv, words):
    unit = wv.unit[[wv.index[word] for word in words]].astype(float)
    scores = unit @ unit.mean(axis=0)
    ours, theirs = wv.doesnt_match(words), keyed(wv).doesnt_match(words)
    assert abs(scores[words.index(ours)] - scores[words.index(theirs)]) < 100 * EPS


@given(vectors(), *3 * [st.sampled_from(WORDS)])
def test_analogy(wv, a, b, c):
    unit = [wv.unit[wv.index[word]].astype(float) for word in (a, b, c)]
    length = np.linalg.norm(unit[1] - unit[0] + unit[2])
    assume(length > 1e-3)
    cosine = dict(wv.analogy(a, b, c, topn=None))
    same_neighbours(wv.analogy(a, b, c, 5), keyed(wv).most_similar([b, c], [a], 5), cosine,
                    100 * EPS / length)


# ── files ──

TEXT = st.text(min_size=1).filter(lambda word: word.split() == [word])


@st.composite
def tables(draw, dtype):
    words = draw(st.lists(TEXT, unique=True, min_size=1, max_size=5))
    elements = arrays.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False)
    shape = (len(words), draw(st.integers(1, 4)))
    return WordVectors(words, draw(arrays.arrays(dtype, shape, elements=elements)))


OPTIONS = [(False, True), (False, False), (True, True)]


@given(tables(np.float32) | tables(np.float64), st.sampled_from(OPTIONS),
       st.sampled_from(["", ".gz"]))
def test_files_are_the_same_byte_by_byte(wv, options, gz):
    binary, header = options
    assume(not binary or wv.vectors.dtype == np.float32)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = pathlib.Path(folder, "ours" + gz), pathlib.Path(folder, "theirs" + gz)
        wv.save_word2vec(ours, binary, header)
        keyed(wv).save_word2vec_format(str(theirs), binary=binary, write_header=header)
        if not gz:
            assert ours.read_bytes() == theirs.read_bytes()
        back = WordVectors.load_word2vec(theirs, binary, header=header, dtype=wv.vectors.dtype)
        kv = KeyedVectors.load_word2vec_format(str(ours), binary=binary, no_header=not header,
                                               datatype=wv.vectors.dtype.type)
    assert back.words == kv.index_to_key == wv.words
    assert back.vectors.tobytes() == kv.vectors.tobytes() == wv.vectors.tobytes()


def test_100_000_numbers_of_any_size_are_written_as_gensim_writes_them(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2**32, 100_000, dtype=np.uint32)
    numbers = bits.view(np.float32)
    numbers = np.where(np.isfinite(numbers), numbers, np.float32(0.1)).reshape(-1, 100)
    wv = WordVectors([str(i) for i in range(len(numbers))], numbers)
    wv.save_word2vec(tmp_path / "ours")
    keyed(wv).save_word2vec_format(str(tmp_path / "theirs"))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    np.testing.assert_array_equal(WordVectors.load_word2vec(tmp_path / "ours").vectors, numbers)


@pytest.mark.parametrize(("name", "options"), [
    ("crime-and-punishment.vec", {}),  # fastText's
    ("lee_fasttext.vec", {}),
    ("toy-model.vec", {}),
    ("euclidean_vectors.bin", {"binary": True}),
    ("high_precision.kv.bin", {"binary": True}),
    ("high_precision.kv.txt", {}),
    ("EN.1-10.cbow1_wind5_hs0_neg10_size300_smpl1e-05.txt", {}),
    ("test_glove.txt", {"header": False}),
])
def test_files_of_other_programs_are_read_alike(name, options):
    ours = WordVectors.load_word2vec(DATA / name, **options)
    theirs = KeyedVectors.load_word2vec_format(
        str(DATA / name), binary="binary" in options, no_header="header" in options)
    assert ours.words == theirs.index_to_key
    np.testing.assert_array_equal(ours.vectors, theirs.vectors)


# ── scores ──


@pytest.fixture(scope="module")
def english():
    """Vectors for most words of gensim's test sets, some in two spellings, by topic."""
    rng = np.random.default_rng(0)
    lines = (DATA / "questions-words.txt").read_text("utf-8").splitlines()
    questions = [line.split() for line in lines if not line.startswith(":")]
    pairs = [line.split()[:2] for name in ("wordsim353.tsv", "simlex999.txt")
             for line in (DATA / name).read_text("utf-8").splitlines()]
    words = sorted({w for ws in [*questions, *pairs] for w in ws})
    words = [w for w in words if rng.random() < 0.95]
    place = {w: rng.normal(size=25) for w in words}
    for a, b, *_ in questions:  # the two words of a pair of a section differ by about the same
        if a in place and b in place:
            place[b] = place[a] + np.roll(np.eye(25)[0], len(b) % 3)
    spelt = words + [w.upper() for w in words if rng.random() < 0.2 and w.upper() not in place]
    table = np.array([place.get(w, rng.normal(size=25)) for w in spelt], np.float32)
    table += rng.normal(size=table.shape, scale=0.1)  # no two are equally near to a third
    order = rng.permutation(len(spelt))
    return WordVectors([spelt[i] for i in order], table[order])


@pytest.mark.parametrize("name", ["wordsim353.tsv", "simlex999.txt"])
@pytest.mark.parametrize("options", [{}, {"case_insensitive": False}, {"restrict_vocab": 700}])
def test_word_pairs(english, name, options):
    ours = english.evaluate_word_pairs(DATA / name, **options)
    pearson, spearman, unknown = keyed(english).evaluate_word_pairs(str(DATA / name), **options)
    assert ours.pearson == pytest.approx(pearson.statistic, abs=1e-6)
    assert ours.spearman == pytest.approx(spearman.statistic, abs=1e-6)
    assert 100 * ours.unknown == pytest.approx(unknown)
    assert 10 < ours.used < len((DATA / name).read_text("utf-8").splitlines())


@pytest.mark.parametrize("options", [{}, {"case_insensitive": False}, {"restrict_vocab": 700}])
def test_analogies(english, tmp_path, options):
    lines = (DATA / "questions-words.txt").read_text("utf-8").splitlines(keepends=True)
    some = [line for i, line in enumerate(lines) if line.startswith(":") or i % 5 == 0]
    (tmp_path / "questions").write_text("".join(some), "utf-8")
    ours = english.evaluate_analogies(tmp_path / "questions", **options)
    score, sections = keyed(english).evaluate_word_analogies(str(tmp_path / "questions"), **options)
    assert ours.score == score
    assert [(s.name, s.correct, s.total) for s in ours.sections] == [
        (s["section"], len(s["correct"]), len(s["correct"]) + len(s["incorrect"]))
        for s in sections[:-1]]
    if not options:
        assert 0.05 < score < 0.95
        assert 0 < ours.unknown < 1
