"""The command line, as a person meets it."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tinygrad_w2v.cli import main
from tinygrad_w2v.word2vec import WordVectors

ROOT = os.path.dirname(os.path.dirname(__file__))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return {**os.environ, "PYTHONPATH": ROOT, "PYTHONUNBUFFERED": "1",
            "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


def start(arguments, environment, folder):
    return subprocess.Popen([sys.executable, "-m", "tinygrad_w2v", *arguments], cwd=folder,
                            env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def run(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    process = start([], environment, folder)
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
    assert all(re.fullmatch(r"pass \d+/10  E1 \S+  \S+ s, \S+ s left", line) for line in lines)


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


def test_ctrl_c_leaves_no_file_and_exits_130(environment, tmp_path):
    # A shell's background job, such as this test may be, has its children ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = start(["--passes", "100000"], environment, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        while "Minimising" not in process.stdout.readline():
            pass
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "stopped; files are written whole or not at all"
    assert "Traceback" not in err
    assert os.listdir(tmp_path) == []


def test_a_reader_that_leaves_early_loses_no_vectors(environment, tmp_path):
    process = start(["--passes", "1"], environment, tmp_path)
    while "Minimising" not in process.stdout.readline():
        pass
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    with process.stderr as errors:
        assert "Traceback" not in errors.read()
    assert len(WordVectors.load(tmp_path / "documentation.safetensors")) > 3000


def test_a_terminal_without_greek_letters_is_no_obstacle(environment, tmp_path):
    process = start(["--passes", "1"], {**environment, "PYTHONIOENCODING": "ascii"}, tmp_path)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert "E4, checked: ? log P(o|c)" in out


def test_lines_fit_a_terminal_of_80_columns(run):
    assert max(map(len, run[2].splitlines())) <= 80


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys):
    assert main(["-o", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"tinygrad-w2v: .* is a folder: name a file in it\n", shown.err)


def test_bad_numbers_are_one_line_without_a_traceback(tmp_path, capsys):
    assert main(["--passes", "0", "-o", str(tmp_path / "v")]) == 1
    assert capsys.readouterr().err == (
        "tinygrad-w2v: --passes is a whole number from 1 up, not 0\n")


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--passes", "many"]])
def test_bad_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["--version"]])
def test_help_and_version(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert "tinygrad-w2v" in capsys.readouterr().out
