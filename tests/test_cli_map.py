"""`tinygrad-w2v map`: what it is told, what it writes, and what it says when it cannot."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from tests.test_cli import call, one_line  # noqa: F401
from tinygrad_w2v.word2vec import WordVectors

WORDS = ["man", "king", "woman", "queen", "red", "monday", "lost"]


@pytest.fixture
def draw(call, tmp_path):  # noqa: F811
    """Write vectors, and run `map` on them."""
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)
    vectors[-1] = np.nan
    wv = WordVectors(WORDS, vectors)
    wv.save(tmp_path / "v.safetensors")

    def draw(*arguments):
        return call("map", "v.safetensors", "-o", "map.html", *arguments)
    draw.wv = wv
    return draw


def data_of(path="map.html"):
    """What the script of a page is given."""
    text = Path(path).read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL).group(1))


def on_map(path="map.html"):
    data = data_of(path)
    return data["words"][:len(data["points"])]


def test_the_page_has_the_words_and_their_neighbours(draw):
    code, out, err = draw()
    assert (code, err) == (0, "")
    assert out.startswith("6 of 7 words written to map.html\n  first component, ")
    assert "left out, since their vectors are not finite: lost" in out
    data = data_of()
    assert on_map() == WORDS[:-1]
    for i, word in enumerate(WORDS[:-1]):
        assert [(data["words"][j], cosine) for j, cosine in
                zip(data["near"][i], data["cosines"][i], strict=True)] == [
            (near, round(cosine * 1e4)) for near, cosine in draw.wv.most_similar(word)]


def test_as_json_it_says_the_same(draw):
    _, text, _ = draw()
    code, out, err = draw("--json")
    result = json.loads(out)
    shares = result.pop("variance")
    assert (code, err) == (0, "")
    assert result == {"output": "map.html", "words": 6, "vocabulary": 7, "lost": ["lost"],
                      "errors": []}
    for name, share in zip(("first", "second"), shares, strict=True):
        assert f"{name} component, {100 * share:.1f} % of the variance" in text


def test_words_says_how_many(draw):
    assert draw("--words", 3)[1].startswith("3 of 7 words")
    assert on_map() == WORDS[:3]
    assert set(data_of()["words"]) == {*WORDS}  # the others are known by name


def test_only_shows_these_words(draw):
    assert draw("--only", "red", "man", "red")[0] == 0
    assert on_map() == ["red", "man"]


def test_around_shows_words_and_those_nearest_in_turn(draw):
    assert draw("--around", "red", "man", "--words", 4)[0] == 0
    first = [draw.wv.most_similar(word, topn=3) for word in ("red", "man")]
    expected = ["red", "man"]
    for rank in zip(*first, strict=True):
        expected += [word for word, _ in rank if word not in expected]
    assert on_map() == expected[:4]
    assert "those around red, man" in Path("map.html").read_text(encoding="utf-8")


def test_topn_says_how_many_neighbours(draw):
    draw("--topn", 2)
    assert {len(row) for row in data_of()["near"]} == {2}


def test_any_format_is_read_and_folders_are_made(draw, call):  # noqa: F811
    WordVectors(["a", "b"], np.eye(2)).save_word2vec("v.bin", binary=True)
    code, _, err = call("map", "v.bin", "-o", "new/folder/map.html")
    assert (code, err) == (0, "")
    assert on_map("new/folder/map.html") == ["a", "b"]


def test_unknown_words_are_reported_and_the_others_shown(draw):
    code, out, err = draw("--only", "kin", "red", "man")
    assert code == 1
    assert one_line(err).startswith("the word 'kin' is not among these 7 words")
    assert "near spellings: king" in err
    assert on_map() == ["red", "man"]
    assert draw("--around", "lost", "red", "--words", 3)[0] == 1
    assert on_map()[0] == "red"
    code, out, _ = draw("--only", "kin", "red", "--json")
    assert (code, len(json.loads(out)["errors"])) == (1, 1)


@pytest.mark.parametrize("option", ["--only", "--around"])
def test_nothing_is_written_if_no_word_is_known(draw, option):
    code, out, err = draw(option, "kin", "quen")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 2
    assert os.listdir() == ["v.safetensors"]
    result = json.loads(draw(option, "kin", "--json")[1])
    assert (result["output"], result["words"]) == (None, 0)


@pytest.mark.parametrize(("arguments", "message"), [
    (["none.bin", "-o", "map.html"], "none.bin: No such file or directory"),
    (["v.safetensors", "-o", "v.safetensors"], "v.safetensors holds the vectors"),
    (["v.safetensors", "-o", "map.png"], "map.png: a map is a page, and its name ends in .html"),
    (["v.safetensors", "-o", "map.JSON"], "map.JSON: a map is a page"),
    (["v.safetensors", "-o", "."], ". is a folder: name a file in it"),
    (["v.safetensors", "-o", "v.safetensors/map.html"], "cannot write map.html in "),
    (["v.safetensors", "-o", "map.html", "--only", "lost"], "the vector of 'lost' holds NaN"),
    (["v.safetensors", "-o", "map.html", "--around", "lost"], "the vector of 'lost' holds NaN"),
])
def test_what_cannot_be_drawn_is_told_in_one_line(draw, call, arguments, message):  # noqa: F811
    before = Path("v.safetensors").read_bytes()
    code, out, err = call("map", *arguments)
    assert (code, out) == (1, "")
    assert message in one_line(err)
    assert os.listdir() == ["v.safetensors"]
    assert Path("v.safetensors").read_bytes() == before


@pytest.mark.parametrize(("arguments", "message"), [
    (["v.bin"], "the following arguments are required: -o/--output"),
    (["v.bin", "-o", "m.html", "--words", "0"], "argument --words: '0' is not a whole number"),
    (["v.bin", "-o", "m.html", "--only", "a", "--around", "b"], "not allowed with argument"),
    (["v.bin", "-o", "m.html", "--only", "a", "--words", "3"], "--words: not allowed with --only"),
    (["v.bin", "-o", "m.html", "--only"], "argument --only: expected at least one argument"),
])
def test_bad_usage_is_told_in_one_line_with_exit_code_2(call, arguments, message):  # noqa: F811
    code, out, err = call("map", *arguments)
    assert (code, out) == (2, "")
    assert message in one_line(err)
    assert os.listdir() == []


def test_a_map_that_cannot_be_written_whole_leaves_the_old_one(draw, monkeypatch):
    draw()
    before = Path("map.html").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr("os.fsync", full)
    code, _, err = draw("--words", 3)
    assert (code, one_line(err)) == (1, "[Errno 28] No space left on device")
    assert Path("map.html").read_bytes() == before
    assert sorted(os.listdir()) == ["map.html", "v.safetensors"]


@pytest.mark.parametrize("n", [5_000, 50_000])
def test_a_page_of_a_small_or_a_large_vocabulary_is_smaller_than_a_megabyte(call, n):  # noqa: F811
    vectors = np.random.default_rng(1).normal(size=(n, 4)).astype(np.float32)
    WordVectors([f"word{i:07}" for i in range(n)], vectors).save("many.safetensors")
    assert call("map", "many.safetensors", "-o", "map.html")[0] == 0
    assert 1e5 < Path("map.html").stat().st_size < 1e6


def test_words_of_any_script_and_words_that_are_not_utf8_are_written(draw, call):  # noqa: F811
    evil = ["</script><b>", "שלום", "🙂", "\udc80", "\x1b[2J"]
    WordVectors(evil, np.random.default_rng(0).normal(size=(5, 3))).save("evil.safetensors")
    code, out, _ = call("map", "evil.safetensors", "-o", "map.html", "--around", "\x1b[2J")
    assert code == 0
    assert "\x1b" not in out
    assert sorted(on_map()) == sorted(evil)
