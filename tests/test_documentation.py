"""The embedded corpus: found on any machine, read and never run."""

import os
import subprocess
import sys
import sysconfig
from collections import Counter

import pytest

from tinygrad_w2v.word2vec import documentation as extracted
from tinygrad_w2v.word2vec.documentation import cache_folder, extract, texts_of


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))


SOURCE = '''
"""The module. Its first paragraph,
in two lines.

    >>> example(1)
    2

Don't stop: the second PARAGRAPH.
"""
raise SystemExit("sources are read, not run")
short = "no docs"
def f():
    """The module's function has a docstring of some length,

    too.
    """
'''


@pytest.fixture
def library(tmp_path):
    root = tmp_path / "library"
    (root / "test").mkdir(parents=True)
    (root / "a.py").write_text(SOURCE)
    (root / "b.py").write_text(SOURCE)
    (root / "broken.py").write_text("def (")
    (root / "test" / "c.py").write_text(SOURCE.replace("module", "never"))
    return root


def test_docstrings_become_paragraphs_of_words_each_text_once(library):
    assert list(extract(library)) == [
        "the module its first paragraph in two lines",
        "don't stop the second paragraph",
        "the module's function has a docstring of some length",
    ]


def test_a_broken_file_is_passed_over(library):
    assert list(texts_of(library / "broken.py")) == []
    assert list(texts_of(library / "missing.py")) == []


def test_the_corpus_is_half_a_million_words_of_english():
    paragraphs, remarks = extracted()
    words = Counter(word for paragraph in paragraphs for word in paragraph)
    assert remarks == []
    assert sum(words.values()) > 400_000
    assert all(words[w] >= 20 for w in ("the", "array", "exception", "string"))
    assert words["monday"] >= 5
    assert os.listdir(cache_folder())
    assert extracted() == (paragraphs, [])  # from the cache


@pytest.mark.parametrize("damage", [b"", b"caf\xc3\xa9"])
def test_a_damaged_cache_is_made_again(library, monkeypatch, damage):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(library))
    paragraphs, _ = extracted()
    (kept,) = cache_folder().iterdir()
    kept.write_bytes(damage)
    assert extracted()[0] == paragraphs
    assert kept.read_bytes() != damage


def test_a_library_without_sources_gives_a_remark_and_a_smaller_corpus(library, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(library))
    paragraphs, remarks = extracted()
    assert ["don't", "stop", "the", "second", "paragraph"] in paragraphs
    assert len(paragraphs) > 1000  # NumPy's are there
    assert any("sources of the standard library not found" in remark for remark in remarks)
    assert any("help topics not found" in remark for remark in remarks)


def test_a_cache_that_cannot_be_written_is_remarked_not_fatal(tmp_path, library, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(library))
    _, remarks = extracted()
    assert any("could not be kept" in remark for remark in remarks)


@pytest.mark.parametrize("flag", ["-O", "-OO"])
def test_stripped_docstrings_are_found_all_the_same(library, flag):
    code = ("import sys, pathlib; from tinygrad_w2v.word2vec.documentation import extract; "
            "print(*extract(pathlib.Path(sys.argv[1])), sep='\\n')")
    root = os.path.dirname(os.path.dirname(__file__))
    run = subprocess.run([sys.executable, flag, "-c", code, str(library)], text=True, check=True,
                         capture_output=True, env={**os.environ, "PYTHONPATH": root})
    assert run.stdout.splitlines() == list(extract(library))
