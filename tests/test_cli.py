"""The command line, as a person meets it."""

import inspect
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_w2v import cli
from tinygrad_w2v.cli import demo, scoring
from tinygrad_w2v.word2vec import SkipGram, WordVectors
from tinygrad_w2v.word2vec.formats import WRITERS
from tinygrad_w2v.word2vec.vectors import read_vectors

ROOT = Path(__file__).parent.parent
SMALL = ["--vector-size", "8", "--min-count", "1", "--workers", "1"]
SUFFIX = {"safetensors": ".safetensors", "word2vec-text": ".txt", "word2vec-binary": ".bin",
          "glove": ".glove", "projector": ".tsv"}

# The demo, but for the reading of the documentation, which takes most of its time.
QUICK_DEMO = """
import sys
from tinygrad_w2v import cli
from tinygrad_w2v.cli import demo
text = [["the", "red", "rose"], ["the", "blue", "rose"], ["a", "loud", "drum"]] * 20
demo.documentation = lambda: (text, ["a remark"])
sys.exit(cli.main())
"""


def language(seed, groups=4, words=5, sentences=400):
    """A text whose lines each draw from one group of words, which become neighbours."""
    rng = np.random.default_rng(seed)
    return "\n".join(" ".join(f"g{group}w{w}" for w in rng.integers(0, words, 8))
                     for group in rng.integers(0, groups, sentences))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "80",
            "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


def start(arguments, environment, folder, python=("-m", "tinygrad_w2v"), stdout=subprocess.PIPE,
          stderr=subprocess.PIPE):
    # A shell's background job, such as this test may be, has its children ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([sys.executable, *python, *map(str, arguments)], cwd=folder,
                                env=environment, text=True, encoding="utf-8", stdout=stdout,
                                stderr=stderr)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command line here, in a folder of its own: its exit code, what it printed where."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments):
        capsys.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()
    return call


def one_line(err):
    """The one line of an error, without the name of the program."""
    return re.fullmatch(r"tinygrad-w2v: error: (.*)\n", err).group(1)


# ── demo ──


ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}  # threads on busy cores wait for each other


@pytest.fixture(scope="module")
def run(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    process = start([], environment | ONE_THREAD, folder)
    out, err = process.communicate()
    return folder, process.returncode, out, err


def test_without_a_word_it_trains_and_saves_vectors(run):
    folder, code, _, _ = run
    assert code == 0
    wv = WordVectors.load(folder / "documentation.safetensors")
    assert len(wv) > 3000
    assert np.isfinite(wv.vectors).all()
    assert os.listdir(folder) == ["documentation.safetensors"]


def test_it_opens_with_a_checked_derivation(run):
    out = run[2]
    e4 = re.search(r"by hand(.*)…\n.*by autodiff(.*)…\n.*by differences(.*)…", out)
    by_hand, by_autodiff, by_differences = ([float(x) for x in g.split()] for g in e4.groups())
    assert by_hand == by_autodiff == by_differences
    assert any(by_hand)
    error, numeric = re.search(r"most (\S+) from autodiff and (\S+) from diff", out).groups()
    assert float(error) < 1e-14
    assert float(numeric) < 1e-8


def test_e1_falls_and_the_progress_shows_it_with_the_time_left(run):
    before, after = map(float, re.search(r"E1 fell from (\S+) to (\S+) per", run[2]).groups())
    assert after < 0.95 * before
    lines = run[3].splitlines()
    assert len(lines) == 10
    assert all(re.match(r"pass \d+/10  E1 \S+  \S+ s, \S+ s left", line) for line in lines)


@pytest.mark.parametrize(("word", "sensible"), [
    ("monday", {"sunday", "day", "days", "week"}),
    ("red", {"blue", "green"}),
    ("two", {"three"}),
    ("exception", {"raised", "raise"}),
    ("true", {"false"}),
    ("maximum", {"minimum"}),
])
def test_neighbours_are_those_a_person_expects(run, word, sensible):
    near = re.search(rf"^  {word} +(.*)$", run[2], re.MULTILINE).group(1).split()[::2]
    assert sensible & set(near)


def test_it_says_where_the_vectors_are_and_the_code_it_offers_runs(run):
    folder, _, out, _ = run
    assert "Saved" in out
    code = "\n".join(line[2:] for line in out.splitlines() if re.match(r"  (from|wv)", line))
    code = code.split("from tinygrad_w2v.word2vec import SkipGram")[0]
    here = os.getcwd()
    os.chdir(folder)
    try:
        exec(code, {})  # what the person is told to type
    finally:
        os.chdir(here)


def test_lines_fit_a_terminal_of_80_columns(run):
    assert max(map(len, run[2].splitlines())) <= 80


def test_ctrl_c_leaves_no_file_and_exits_130(environment, tmp_path):
    process = start(["--passes", "100000"], environment | ONE_THREAD, tmp_path,
                    ["-c", QUICK_DEMO])
    try:
        while "Minimising" not in process.stdout.readline():
            pass
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "stopped; files are written whole or not at all"
    assert "Traceback" not in err
    assert os.listdir(tmp_path) == []


def test_a_reader_that_leaves_early_loses_no_vectors(environment, tmp_path):
    process = start(["--passes", "200"], environment | ONE_THREAD, tmp_path,
                    ["-c", QUICK_DEMO])
    while "Minimising" not in process.stdout.readline():
        pass
    process.stdout.close()
    with process.stderr as errors:
        assert "Traceback" not in errors.read()
    assert process.wait(timeout=120) == 0
    assert len(WordVectors.load(tmp_path / "documentation.safetensors")) == 7


def test_a_terminal_without_greek_letters_is_no_obstacle(environment, tmp_path):
    process = start([], environment | ONE_THREAD | {"PYTHONIOENCODING": "ascii"}, tmp_path,
                    ["-c", QUICK_DEMO])
    out, _ = process.communicate()
    assert process.returncode == 0
    assert "E4, checked: ? log P(o|c)" in out
    assert "note: a remark" in out


def test_the_demo_gives_its_numbers_as_json(call, monkeypatch):
    text = [["red", "rose"], ["blue", "rose"]] * 20
    monkeypatch.setattr(demo, "documentation", lambda: (text, []))
    code, out, err = call("demo", "--json", "--passes", 3, "-o", "v.safetensors")
    result = json.loads(out)
    assert (code, result["words"], result["tokens"], result["passes"]) == (0, 3, 80, 3)
    assert result["e1"] < result["e1_before"]
    assert "E4, checked" in err
    assert len(WordVectors.load(result["output"])) == 3


# ── usage ──


@pytest.mark.parametrize(("arguments", "message"), [
    (["--nonsense"], "unrecognized arguments: --nonsense"),
    (["--passes", "many"], "argument --passes: 'many' is not a whole number from 1 up"),
    (["--passes", "0"], "argument --passes: '0' is not a whole number from 1 up"),
    (["similr", "v.bin", "red"], "invalid choice: 'similr'"),
    (["similar", "v.bin"], "the following arguments are required: WORD"),
    (["similar", "v.bin", "red", "--top", "3"], "unrecognized arguments: --top"),
    (["similar", "v.bin", "red", "--topn", "0"], "'0' is not a whole number from 1 up"),
    (["convert", "v.bin", "v.x", "--to", "zip"], "invalid choice: 'zip'"),
    (["train", "corpus.txt"], "the following arguments are required: -o/--output"),
    (["train", "corpus.txt", "-o", "v.bin", "--window", "0"],
     "--window is a whole number from 1 up, not 0"),
    (["train", "corpus.txt", "-o", "v.bin", "--vector-size", "-1"],
     "--vector-size is a whole number from 1 up, not -1"),
    (["train", "corpus.txt", "-o", "v.bin", "--tolerance", "nan"],
     "--tolerance is a number from 0 up, not nan"),
])
def test_bad_usage_is_told_in_one_line_with_exit_code_2(call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in one_line(err)
    assert "for the usage: tinygrad-w2v" in err
    assert os.listdir() == []


COMMANDS = ["demo", "train", "similar", "analogy", "evaluate", "convert", "map"]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([c, "-h"] for c in COMMANDS)])
def test_help_and_version(call, arguments):
    code, out, err = call(*arguments)
    assert (code, err) == (0, "")
    assert "tinygrad-w2v" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_run(call, run, command, monkeypatch):
    examples = re.findall(r"^  tinygrad-w2v (.*)$", call(command, "-h")[1], re.MULTILINE)
    assert examples
    monkeypatch.setattr(demo, "documentation", lambda: ([["to", "be"]] * 9, []))
    Path("corpus.txt").write_text(language(0), encoding="utf-8")
    Path("questions-words.txt").write_text(": s\ntrue false left right\n", encoding="utf-8")
    Path("wordsim353.tsv").write_text("red\tblue\t9\nred\tmonday\t1\n", encoding="utf-8")
    for name in ("documentation", "vectors"):
        shutil.copy(run[0] / "documentation.safetensors", f"{name}.safetensors")
    for example in examples:
        code, out, err = call(*shlex.split(example))
        assert code == 0, err
        assert out


PAGE = ROOT / "docs" / "command-line.md"


def test_the_commands_of_the_page_run(call, run):
    shutil.copy(run[0] / "documentation.safetensors", ".")
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE.read_text(encoding="utf-8"),
                        re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^\$ (.*)$", "".join(blocks), re.MULTILINE)
    ran = set()
    for line in lines:
        name, *arguments = shlex.split(line.split(" > ")[0])
        if name == "printf":
            subprocess.run(line, shell=True, check=True)
        elif name == "tinygrad-w2v" and arguments[:1] in ([], ["train"]):
            cli.parser().parse_args(arguments or ["demo"])  # it has run above
        elif name == "tinygrad-w2v":
            code, out, err = call(*arguments)
            assert (code, err, bool(out)) == (0, "", True), line
            ran.add(arguments[0])
    assert ran == {"similar", "analogy", "evaluate", "convert", "map"}


def keys(document):
    """All keys of a JSON document, but for those of settings."""
    if isinstance(document, list):
        return set().union(*map(keys, document))
    if not isinstance(document, dict):
        return set()
    return set(document).union(*(keys(v) for k, v in document.items() if k != "settings"))


def test_the_page_tells_all_keys_of_all_json_documents(call, run, monkeypatch):
    rows = PAGE.read_text(encoding="utf-8").split("|---|---|\n")[-1].split("\n\n")[0].splitlines()
    monkeypatch.setattr(demo, "documentation", lambda: ([["to", "be"]] * 9, []))
    shutil.copy(run[0] / "documentation.safetensors", "v.safetensors")
    for name, text in {"corpus": language(0), "questions": ": s\ntrue false left right\n",
                       "pairs": "red\tblue\t9\nred\tmonday\t1\n"}.items():
        Path(name).write_text(text, encoding="utf-8")
    for line in ("demo -o demo", "train corpus -o out.bin", "similar v.safetensors red",
                 "analogy v.safetensors true false left", "convert v.safetensors v.bin",
                 "evaluate v.safetensors pairs questions", "map v.safetensors -o map.html"):
        code, out, err = call(*line.split(), "--json")
        assert code == 0, err
        row = next(row for row in rows if f"`{line.split()[0]}`" in row.split("|")[1])
        assert keys(json.loads(out)) <= set(re.findall(r"`(\w+)`", row))


# ── questions ──


@pytest.fixture
def wv():
    words = ["man", "king", "woman", "queen", "-er", "lost"]
    vectors = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1], [0.8, -0.6, 0], [np.nan] * 3])
    return WordVectors(words, vectors.astype(np.float32))


@pytest.fixture
def ask(call, wv, tmp_path):
    """Ask the vectors `wv`, for people and as JSON: the code, both answers, the errors."""
    def ask(command, *arguments):
        wv.save(tmp_path / "v.safetensors")
        code, text, err = call(command, "v.safetensors", *arguments)
        again, document, same = call(command, "v.safetensors", "--json", *arguments)
        assert (again, same) == (code, err)
        return code, text, json.loads(document), err
    return ask


def test_each_word_is_a_question_and_answers_are_aligned(ask, wv):
    code, text, document, err = ask("similar", "man", "queen", "--topn", 2)
    assert (code, err) == (0, "")
    assert text == ("man\n  -er   0.8000\n  king  0.7071\n\n"
                    "queen\n  woman  0.7071\n  king   0.5000\n")
    assert document["errors"] == []
    assert [(a["plus"], a["minus"]) for a in document["answers"]] == [
        (["man"], []), (["queen"], [])]
    for a in document["answers"]:
        assert [(n["word"], n["cosine"]) for n in a["neighbours"]] == wv.most_similar(
            a["plus"], topn=2)


def test_several_words_can_be_one_question_added_and_subtracted(ask, wv):
    _, text, document, _ = ask("similar", "man", "woman", "--together", "--topn", 1)
    assert text == "man + woman\n  king  0.5000\n"
    assert document["answers"][0]["plus"] == ["man", "woman"]
    _, text, document, _ = ask("similar", "king", "woman", "--minus", "man", "--topn", 1)
    assert text.startswith("king + woman − man\n  queen  ")
    assert document["answers"][0]["minus"] == ["man"]


def test_an_analogy_is_answered_as_word_vectors_do(ask, wv):
    code, text, document, _ = ask("analogy", "man", "king", "woman")
    assert code == 0
    near = document["answers"][0]["neighbours"]
    assert [(n["word"], n["cosine"]) for n in near] == wv.analogy("man", "king", "woman")
    assert text.splitlines()[:2] == ["king + woman − man", f"  queen   {near[0]['cosine']:.4f}"]


def test_unknown_words_are_each_reported_and_the_others_answered(ask):
    code, text, document, err = ask("similar", "mann", "queen", "x", "--topn", 1)
    assert code == 1
    assert text == "queen\n  woman  0.7071\n"
    assert re.findall(r"^tinygrad-w2v: error: the word '(\w+)' is not among these 6 words",
                      err, re.MULTILINE) == ["mann", "x"]
    assert "near spellings: man" in err
    assert [f"tinygrad-w2v: error: {text}" for text in document["errors"]] == err.splitlines()
    assert len(document["answers"]) == 1
    code, text, document, err = ask("analogy", "x", "king", "y")
    assert (code, text, document["answers"], len(err.splitlines())) == (1, "", [], 2)


def test_a_vector_without_a_direction_is_an_error_of_its_question_alone(ask):
    code, text, document, err = ask("similar", "lost", "queen", "--topn", 1)
    assert (code, text) == (1, "queen\n  woman  0.7071\n")
    assert one_line(err) == document["errors"][0]
    assert "the vector of 'lost' holds NaN" in err


def test_after_two_dashes_words_may_begin_with_one(ask):
    _, _, document, _ = ask("similar", "--topn", "1", "--", "-er")
    assert document["answers"][0]["neighbours"][0]["word"] == "man"


def test_words_of_any_script_are_aligned_and_cannot_command_the_terminal(ask, wv):
    wv.words[:4] = ["a", "赤い", "e\u0301te\u0301", "\x1b[2J"]
    _, text, document, _ = ask("similar", "a")
    assert text.splitlines()[1:] == ["  -er      0.8000", "  赤い     0.7071",
                                     "  e\u0301te\u0301      0.0000", "  \\x1b[2J  0.0000"]
    assert document["answers"][0]["neighbours"][3]["word"] == "\x1b[2J"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_any_word_can_be_printed_in_any_encoding(call, wv, monkeypatch, encoding):
    wv.words[:3] = ["a", "ça", "赤\udc80"]
    wv.save("v.safetensors")
    shown = []
    for options in ([], ["--json"]):
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "stdout", out)
        assert cli.main(["similar", "v.safetensors", "a", *options]) == 0
        shown.append(out.buffer.getvalue().decode(encoding))
    assert "  赤\udc80".encode("ascii", "backslashreplace").decode() in shown[0]
    assert ("ça" if encoding == "cp1252" else "\\xe7a") in shown[0]
    near = json.loads(shown[1])["answers"][0]["neighbours"]
    assert [n["word"] for n in near[1:3]] == wv.words[1:3]


@pytest.mark.parametrize(("arguments", "message"), [
    (["similar", "none.bin", "a"], "none.bin: No such file or directory"),
    (["similar", ".", "a"], ". is a folder, not a file"),
    (["similar", "empty", "a"], "empty is empty"),
    (["similar", "text", "a"], "text: its first bytes b'to be' are of no format known here"),
    (["similar", "text", "a", "--from", "glove"], "text, line 1"),
    (["similar", "liar", "a"], "word2vec-text; pass --from if it is something else"),
    (["convert", "text", "v.unknown"], "v.unknown: no format goes by that name; pass --to, one of"),
    (["evaluate", "a\nb", "c"], "a b: No such file or directory"),
])
def test_bad_files_are_told_in_one_line_with_exit_code_1(call, arguments, message):
    Path("empty").touch()
    Path("text").write_text("to be", encoding="utf-8")
    Path("liar").write_text("3 1\na 1.5\n", encoding="utf-8")
    code, out, err = call(*arguments)
    assert (code, out) == (1, "")
    assert message in one_line(err)


def test_a_reader_of_answers_may_leave_early(environment, wv, tmp_path):
    wv.save(tmp_path / "v.safetensors")
    process = start(["similar", "v.safetensors", *["man"] * 9999], environment, tmp_path)
    assert process.stdout.readline() == "man\n"
    process.stdout.close()
    with process.stderr as errors:
        assert errors.read() == ""
    assert process.wait(timeout=60) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_result_that_cannot_be_written_down_is_an_error(environment, wv, tmp_path):
    wv.save(tmp_path / "v.safetensors")
    with open("/dev/full", "w") as full:
        process = start(["similar", "v.safetensors", "man"], environment, tmp_path, stdout=full)
        _, err = process.communicate()
    assert process.returncode == 1
    assert one_line(err).endswith("No space left on device")


# ── scores ──

PAIRS = "man\tking\t9\nman\twoman\t1\nwoman\tqueen\t5\nman\tx\t3\n"
ANALOGIES = ": royal\nman king woman queen\nking man queen woman\n: other\nman x woman y\n"


@pytest.fixture
def files(call):
    for name, text in {"pairs": PAIRS, "questions": ANALOGIES}.items():
        Path(name).write_text(text, encoding="utf-8")


def test_scores_are_those_of_word_vectors_for_either_kind_of_file(ask, wv, files):
    code, text, document, err = ask("evaluate", "pairs", "questions")
    assert (code, err, document["errors"]) == (0, "", [])
    pairs, questions = document["scores"]
    assert pairs == {"file": "pairs", "kind": "word pairs",
                     **wv.evaluate_word_pairs("pairs")._asdict()}
    analogies = wv.evaluate_analogies("questions")
    assert questions == {"file": "questions", "kind": "analogies", **analogies._asdict(),
                         "sections": [section._asdict() for section in analogies.sections]}
    assert text == f"""\
pairs: word pairs
  spearman    {pairs["spearman"]:.4f}
  pearson     {pairs["pearson"]:.4f}
  pairs used       3
  unknown      25.0%

questions: analogies
  section  correct  of   share  unknown
  royal          2   2  100.0%     0.0%
  other          0   0    none   100.0%
  all            2   2  100.0%    33.3%
"""


@pytest.mark.parametrize(("text", "kind", "delimiter"), [
    (PAIRS, "word pairs", "\t"),
    ("\ufeff# a comment\n\nnew york\tthe city\t7\n", "word pairs", "\t"),
    ("Word 1,Word 2,Human (mean)\nman,king,9\n", "word pairs", ","),
    ("man king 9\n", "word pairs", None),
    ("# a comment\n\n: s\nman king woman queen\n", "analogies", None),
    ("\ufeff: s\n", "analogies", None),
    ("man king woman queen\n", "analogies", None),  # it lacks a section, which is said later
])
def test_the_first_line_tells_the_kind_of_a_file(tmp_path, text, kind, delimiter):
    (tmp_path / "file").write_text(text, encoding="utf-8")
    assert scoring.kind_of(tmp_path / "file") == (kind, delimiter)


def test_a_file_that_cannot_be_scored_is_reported_and_the_others_are_scored(ask, files):
    Path("short").write_text("man\tking\n", encoding="utf-8")
    code, text, document, err = ask("evaluate", "none", "short", "pairs")
    assert code == 1
    assert [score["file"] for score in document["scores"]] == ["pairs"]
    assert text.startswith("pairs: word pairs\n")
    assert "none: No such file or directory\n" in err
    assert "short, line 1: 'man\\tking' is not a word, a word and a number" in err
    assert [f"tinygrad-w2v: error: {text}" for text in document["errors"]] == err.splitlines()


def test_only_known_words_count_and_case_may(ask, files):
    Path("upper").write_text(PAIRS.upper(), encoding="utf-8")
    assert ask("evaluate", "upper")[2]["scores"][0]["used"] == 3
    assert "of 4 pairs 0 can be used" in ask("evaluate", "upper", "--case-sensitive")[3]
    assert ask("evaluate", "pairs", "--restrict-vocab", 3)[2]["scores"][0]["used"] == 2


def test_a_correlation_that_is_not_defined_is_null(ask, files):
    Path("equal").write_text("man\tking\t1\nman\twoman\t1\n", encoding="utf-8")
    _, text, document, _ = ask("evaluate", "equal")
    assert document["scores"][0]["spearman"] is document["scores"][0]["pearson"] is None
    assert "spearman    undefined\n" in text


# ── files ──


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("to", SUFFIX)
def test_vectors_are_converted_to_every_format_and_back(call, wv, to, by_name):
    finite = WordVectors(wv.words[:5], wv.vectors[:5])
    finite.save("v.safetensors")
    out = f"out{SUFFIX[to]}" if by_name else "out.tsv.x" if to == "projector" else "out"
    code, said, err = call("convert", "v.safetensors", out, *([] if by_name else ["--to", to]))
    assert (code, said, err) == (0, f"5 vectors of 3 numbers written to {out}\n", "")
    code, said, _ = call("convert", out, "back.safetensors", "--json",
                         *([] if by_name else ["--from", to]))
    assert json.loads(said) == {"output": "back.safetensors", "words": 5, "vector_size": 3}
    back = read_vectors("back.safetensors")
    assert back.words == finite.words
    np.testing.assert_array_equal(back.vectors, finite.vectors)


def test_every_format_that_can_be_written_is_tried_here():
    assert set(SUFFIX) == set(WRITERS)


@pytest.mark.parametrize(("output", "message"), [
    ("v", "v: no format goes by that name; pass --to"),
    ("v.safetensors.gz", "v.safetensors.gz: safetensors files are not packed"),
    ("folder", "folder is a folder: name a file in it"),
    ("text/v.bin", "cannot write v.bin"),
])
@pytest.mark.parametrize("command", [["convert", "missing"], ["train", "missing", "-o"]])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(call, command, output, message):
    Path("folder").mkdir()
    Path("text").touch()
    code, out, err = call(*command, output)
    assert (code, out) == (1, "")
    assert message in one_line(err)  # not that the corpus or the vectors are missing
    assert sorted(os.listdir()) == ["folder", "text"]


def test_the_demo_too_refuses_a_place_before_the_work(call, tmp_path):
    code, out, err = call("-o", tmp_path)
    assert (code, out) == (1, "")
    assert one_line(err) == f"{tmp_path} is a folder: name a file in it"


# ── train ──


@pytest.fixture
def corpus(call):
    Path("corpus.txt").write_text(language(1), encoding="utf-8")
    return "corpus.txt"


def test_a_text_becomes_vectors_and_a_summary(call, corpus):
    code, out, err = call("train", corpus, "-o", "v.safetensors", *SMALL, "--loss", "softmax")
    assert code == 0
    wv = WordVectors.load("v.safetensors")
    assert out.splitlines()[:3] == ["  words     20 (0 rarer ones left out)", "  tokens    3,200",
                                    "  passes    10"]
    assert out.splitlines()[-1] == "  file      v.safetensors"
    assert len(err.splitlines()) == 10
    assert sorted(os.listdir()) == [corpus, "v.safetensors"]  # no checkpoint is left
    for word in wv.words:
        assert {near[:2] for near, _ in wv.most_similar(word, topn=4)} == {word[:2]}


OTHER = {"vector_size": 4, "window": 2, "min_count": 150, "negative": 3, "sample": 0.01,
         "ns_exponent": 0.5, "exact_words": 30, "epochs": 2, "lr": 0.5, "seed": 7,
         "workers": 1, "loss": "negative", "shrink_windows": False}


def flags(settings):
    """The options that give SkipGram these settings."""
    for name, value in settings.items():
        flag = name.replace("_", "-")
        yield from ([f"--no-{flag}"] if value is False else [f"--{flag}", str(value)])


def test_every_setting_of_skip_gram_is_an_option(call, corpus):
    assert {*OTHER, "bias"} == set(inspect.signature(SkipGram).parameters)
    assert not any(inspect.signature(SkipGram).parameters[k].default == v for k, v in OTHER.items()
                   if k not in ("workers", "loss"))
    code, out, err = call("train", corpus, "-o", "v.safetensors", "--quiet", "--json",
                          *flags(OTHER))
    model = SkipGram(**OTHER).fit(corpus, progress=False)
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert result["settings"] == {**model.settings, "vectors": "v+u"}
    assert result["losses"] == model.losses
    assert result["seconds"] > 0
    assert (result["words"], result["dropped"], result["tokens"], result["passes"]) == (
        len(model.wv), len(model.vocabulary.dropped), len(model.corpus), 2)
    assert 0 < result["dropped"] < 20
    model.wv.save("same.safetensors")
    assert Path("same.safetensors").read_bytes() == Path(result["output"]).read_bytes()


@pytest.mark.parametrize(("options", "bias"), [([], True), (["--no-bias"], False)])
def test_the_output_bias_can_be_left_out(call, corpus, options, bias):
    call("train", corpus, "-o", "v.safetensors", *SMALL, "--loss", "softmax", *options)
    assert WordVectors.load("v.safetensors").settings["bias"] is bias


def test_rare_words_are_folded_in_against_so_many_exact_ones(call, corpus):
    assert call("train", corpus, "-o", "v.safetensors", *SMALL, "--loss", "softmax",
                "--exact-words", "10")[0] == 0
    wv = WordVectors.load("v.safetensors")
    assert wv.settings["exact_words"] == 10 < len(wv)


def test_centre_and_outside_vectors_can_be_chosen_and_any_format(call, corpus):
    for which in ("v", "u", "v+u"):
        assert call("train", corpus, "-o", f"{which}.vec.gz", *SMALL, "--vectors", which)[0] == 0
    assert call("train", corpus, "-o", "named", *SMALL, "--format", "glove")[0] == 0
    v, u, both, named = (read_vectors(f).vectors for f in ("v.vec.gz", "u.vec.gz", "v+u.vec.gz",
                                                          "named"))
    np.testing.assert_array_equal(v + u, both)
    np.testing.assert_array_equal(named, both)
    assert np.any(v != u)


def test_a_corpus_may_be_files_folders_or_standard_input(call, corpus, monkeypatch):
    lines = Path(corpus).read_text(encoding="utf-8").splitlines(keepends=True)
    Path("folder").mkdir()
    Path("folder", "a.txt").write_text("".join(lines[:100]), encoding="utf-8")
    Path("b.txt").write_text("".join(lines[100:]), encoding="utf-8")
    data = io.BytesIO(b"\xef\xbb\xbf" + Path(corpus).read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data, encoding="ascii"))
    written = set()
    for source in ([corpus], ["folder", "b.txt"], ["-"]):
        code, _, err = call("train", *source, "-o", "v.bin", *SMALL)
        assert code == 0, err
        written.add(Path("v.bin").read_bytes())
    assert len(written) == 1


def test_training_ends_early_when_the_loss_hardly_falls(call, corpus):
    _, out, _ = call("train", corpus, "-o", "v.bin", *SMALL, "--tolerance", 0.5, "--json")
    assert json.loads(out)["passes"] == 2


@pytest.mark.parametrize(("arguments", "message"), [
    (["none.txt", "-o", "v.bin"], "no corpus at none.txt"),
    (["corpus.txt", "-o", "v.bin", "--min-count", "999"], "no word of the corpus occurs 999 t"),
    (["corpus.txt", "-o", "v.bin", "--lr", "1e30", "--loss", "softmax", *SMALL],
     "lower lr"),
    (["corpus.txt", "-o", "corpus.txt"], "would be written into the corpus corpus.txt"),
    (["corpus.txt", "-o", "v.bin", "--checkpoint", "corpus.txt"], "into the corpus corpus.txt"),
    ([".", "-o", "v.bin"], "v.bin would be written into the corpus ."),
    (["corpus.txt", "-o", "v.bin", "--checkpoint", "./v.bin"], "name two files"),
])
def test_what_cannot_be_trained_is_told_in_one_line(call, corpus, arguments, message):
    before = Path(corpus).read_bytes()
    code, out, err = call("train", *arguments, "--quiet")
    assert (code, out) == (1, "")
    assert message in one_line(err)
    assert Path(corpus).read_bytes() == before
    assert not Path("v.bin").exists()


def test_a_checkpoint_that_is_named_is_kept_and_refuses_other_settings(call, corpus):
    options = ["train", corpus, "-o", "v.bin", "--checkpoint", "model", *SMALL]
    assert call(*options)[0] == 0
    assert SkipGram.load("model").wv.words == read_vectors("v.bin").words
    kept = Path("model").read_bytes(), Path("v.bin").read_bytes()
    code, out, err = call(*options)
    assert (code, err) == (0, "going on from model\n")  # and nothing is left to do
    assert "passes    4" in out
    code, _, err = call(*options, "--window", 4, "--quiet")
    assert (code, "model: this checkpoint was made with window=5" in one_line(err)) == (1, True)
    assert (Path("model").read_bytes(), Path("v.bin").read_bytes()) == kept


@pytest.mark.parametrize("loss", ["softmax", "negative"])
def test_after_ctrl_c_the_same_command_goes_on_to_the_same_bits(call, corpus, environment,
                                                               tmp_path, loss):
    options = [corpus, "--loss", loss, "--epochs", 60, *SMALL[:4]]
    assert call("train", *options, "-o", "whole.safetensors")[0] == 0
    process = start(["train", *options, "-o", "v.safetensors"], environment, tmp_path)
    try:
        for _ in range(3):
            process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == ("stopped; the training so far is in v.safetensors.checkpoint: "
                                    "the same command goes on from there")
    assert "Traceback" not in err
    made = len(SkipGram.load("v.safetensors.checkpoint").losses)
    assert 3 <= made < 60
    assert not Path("v.safetensors").exists()
    code, _, err = call("train", *options, "-o", "v.safetensors")
    lines = err.splitlines()
    assert (code, lines[0]) == (0, "going on from v.safetensors.checkpoint")
    assert lines[1].startswith(f"pass {made + 1}/60")
    assert Path("v.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()
    assert not Path("v.safetensors.checkpoint").exists()


def test_ctrl_c_before_there_is_a_checkpoint_says_so(call, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt
    monkeypatch.setattr(SkipGram, "fit", interrupted)
    code, out, err = call("train", "corpus.txt", "-o", "v.bin")
    assert (code, out, err) == (130, "", "stopped; there was nothing to keep yet\n")


def test_training_whose_messages_nobody_reads_any_more_ends_with_1(corpus, environment, tmp_path):
    process = start(["train", corpus, "-o", "v.bin", *SMALL, "--epochs", 60], environment,
                    tmp_path, stderr=subprocess.STDOUT)
    assert process.stdout.readline().startswith("pass 1/60")
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert sorted(os.listdir(tmp_path)) == [corpus, "v.bin.checkpoint"]
