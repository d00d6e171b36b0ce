"""The examples run as a reader runs them: as programs, with warnings as errors."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
WITHOUT = "import runpy, sys; sys.modules[{!r}] = None; runpy.run_path({!r}, run_name='__main__')"


def run(folder, *arguments):
    """Run Python in an empty folder, and give what came of it."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8",
                   "OPENBLAS_NUM_THREADS": "1"}  # threads on busy cores wait for each other
    return subprocess.run([sys.executable, "-W", "error", *map(str, arguments)], cwd=folder,
                          env=environment, capture_output=True, encoding="utf-8", timeout=120,
                          check=False)


def share(output):
    """Give the last percentage that a program printed."""
    return float(re.findall(r"([\d.]+)%", output)[-1])


def without_seconds(output):
    return re.sub(r" +[\d.]+$", "", output, flags=re.MULTILINE)


def test_mlp_digits_reads_97_percent_of_the_held_out_digits_and_the_same_twice(tmp_path):
    first, second = [run(tmp_path, EXAMPLES / "mlp_digits.py") for _ in range(2)]
    assert first.returncode == 0, first.stderr
    assert share(first.stdout) >= 97
    assert without_seconds(first.stdout) == without_seconds(second.stdout)
    assert list(tmp_path.iterdir()) == []


def test_mlp_digits_without_scikit_learn_names_the_extra_to_install(tmp_path):
    done = run(tmp_path, "-c", WITHOUT.format("sklearn", str(EXAMPLES / "mlp_digits.py")))
    assert done.returncode == 1
    assert 'pip install "tinygrad-w2v[demo]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_mlp_spirals_tells_97_percent_of_fresh_points_and_leaves_no_file(tmp_path):
    done = run(tmp_path, EXAMPLES / "mlp_spirals.py")
    assert done.returncode == 0, done.stderr
    assert share(done.stdout) >= 97
    assert list(tmp_path.iterdir()) == []


def test_mlp_spirals_draws_its_decision_boundary_where_it_is_told(tmp_path):
    done = run(tmp_path, EXAMPLES / "mlp_spirals.py", "--plot", tmp_path / "boundary.png")
    assert done.returncode == 0, done.stderr
    assert share(done.stdout) >= 97
    pixels = imread(tmp_path / "boundary.png")[..., :3]
    assert pixels.shape[0] == pixels.shape[1]
    for red, green, blue in [(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0xCC, 0x79, 0xA7)]:
        region = 1 - 0.3 * (1 - np.array([red, green, blue]) / 255)  # a pale shade of the points'
        assert np.mean(np.abs(pixels - region).max(axis=-1) < 0.01) > 0.1


def test_mlp_spirals_without_matplotlib_says_so_and_still_trains(tmp_path):
    program = WITHOUT.format("matplotlib", str(EXAMPLES / "mlp_spirals.py"))
    done = run(tmp_path, "-c", program, "--plot", "boundary.png")
    assert done.returncode == 0, done.stderr
    assert share(done.stdout) >= 97
    assert 'No picture: it needs matplotlib. pip install "tinygrad-w2v[draw]"' in done.stdout
    assert list(tmp_path.iterdir()) == []


PROBLEMS = ["problem1_saturation.py", "problem2_zero_centred.py"]
COLOURS = [(0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00), (0x00, 0x9E, 0x73)]  # told apart by all eyes


def claims(name):
    return (EXAMPLES / name).read_text(encoding="utf-8").count("    claim(")


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_holds_all_its_claims_and_is_drawn_where_it_is_told(name, tmp_path):
    done = run(tmp_path, EXAMPLES / name, "--to", "figures")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("  → ") == claims(name)
    [written] = tmp_path.glob("*/*")
    assert written == tmp_path / "figures" / name.replace(".py", ".png")
    pixels = imread(written)[..., :3]
    for colour in COLOURS:
        assert np.sum(np.abs(pixels - np.array(colour) / 255).max(axis=-1) < 0.02) > 200


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_needs_numpy_alone_and_says_so_when_it_cannot_draw(name, tmp_path):
    program = WITHOUT.format("matplotlib", str(EXAMPLES / name))
    done = run(tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("  → ") == claims(name)
    assert 'No picture: it needs matplotlib. pip install "tinygrad-w2v[draw]"' in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_whose_claim_does_not_hold_ends_with_an_error(name):
    claim = runpy.run_path(str(EXAMPLES / name))["claim"]
    with pytest.raises(SystemExit, match=r"this example claims: 2 is 3\. It was not so"):
        claim(False, "2 is 3")


def test_problem_1_reproduces_the_figures_of_the_design(capsys):
    example = runpy.run_path(str(EXAMPLES / "problem1_saturation.py"))
    steps = [[len(example["learn"](loss, z)) - 1 for z in (0.0, 4.0, 8.0)]
             for loss in example["LOSSES"].values()]
    assert steps == [[71, 141, 3081], [10, 15, 19]]
    sigmoids, tanhs = example["vanishing"]().layers, example["gain_trap"]()
    assert sigmoids[-1].arriving / sigmoids[0].arriving == pytest.approx(1400, rel=0.1)
    assert round(example["saturated"](tanhs[10.0]), 2) in (0.82, 0.83)
    assert round(tanhs[1.0].layers[-1].participation, 2) == 0.64
    assert round(tanhs[10.0].layers[-1].participation, 2) == 0.10
    assert "4. " not in capsys.readouterr().out


def test_problem_2_reproduces_the_figures_of_the_design():
    example = runpy.run_path(str(EXAMPLES / "problem2_zero_centred.py"))
    paths, batches, ways = (example[f]() for f in ("staircase", "a_batch", "what_it_costs"))
    steep, flat = paths["sigmoid"], paths["sigmoid, centred"]
    assert steep.one_sign == 1
    assert flat.one_sign == pytest.approx(0.55, abs=0.07)
    assert steep.detour == pytest.approx(3.1, abs=0.15)
    assert flat.detour == pytest.approx(1.3, abs=0.1)
    assert [batches[name, 64] for name in ("sigmoid", "relu", "tanh")] == pytest.approx(
        [0.874, 0.691, 0.5], abs=0.015)
    steps = [len(ways[name]) - 1 for name in ("sigmoid", "relu", "sigmoid, centred")]
    assert steps[0] == pytest.approx(695, rel=0.02)
    assert steps[1] == pytest.approx(58, abs=1)
    assert steps[2] in (2, 3)


def drawn(monkeypatch, example, *arguments):
    """Give the figure that `draw` of an example draws."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    example["draw"](*arguments)
    monkeypatch.undo()
    return figures[0]


def test_pictures_of_problem_1_count_steps_as_its_table_does(monkeypatch, tmp_path):
    example = runpy.run_path(str(EXAMPLES / "problem1_saturation.py"))
    runs = {(name, z): [0.9, 0.5, 0.05] for name in example["LOSSES"] for z in example["STARTS"]}
    sigmoids, tanhs = example["vanishing"](), example["gain_trap"]()
    figure = drawn(monkeypatch, example, runs, sigmoids, tanhs,
                   {"relu": [1.0], "leaky_relu": [1.0]}, tmp_path / "x.png")
    assert [line.get_xdata()[-1] for line in figure.axes[0].lines[:-1]] == [2] * len(runs)


def test_pictures_of_problem_2_count_steps_as_its_table_does(monkeypatch, tmp_path):
    example = runpy.run_path(str(EXAMPLES / "problem2_zero_centred.py"))
    trap = example["the_trap"]()
    ways = {name: [1.0, 0.1, 0.01] for name in (*example["BEFORE"], "sigmoid, centred")}
    figure = drawn(monkeypatch, example, {"sigmoid": trap, "sigmoid, centred": trap},
                   {(name, 64): 0.5 for name in example["BEFORE"]}, ways, trap, tmp_path / "x.png")
    lines = figure.axes[2].lines
    assert [line.get_xdata()[-1] for line in lines] == [2] * 4
    assert all(": 2 steps" in line.get_label() for line in lines)


def test_the_picture_of_the_tiles_is_what_its_program_draws():
    draw = runpy.run_path(str(ROOT / "docs" / "tiles_picture.py"))["picture"]
    assert (ROOT / "docs" / "tiles.svg").read_text(encoding="utf-8") == draw()


def test_step_through_shows_the_right_order_and_the_wrong_one_and_leaves_no_file(tmp_path):
    done = run(tmp_path, EXAMPLES / "step_through.py")
    assert done.returncode == 0, done.stderr
    assert "a: ▲ 4\n" in done.stdout
    assert "a: ▲ 8  ✗ wrong: 4 is right" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_step_through_writes_its_graphs_and_pages_where_it_is_told(tmp_path):
    done = run(tmp_path, EXAMPLES / "step_through.py", "--to", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = ("diamond", "network", "recursion")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{name}.{kind}" for name in names for kind in ("dot", "html", "svg"))


def test_step_through_without_graphviz_writes_the_graphs_as_dot_and_says_what_is_missing(tmp_path):
    program = ("import tinygrad_w2v.draw.graphviz as g; g.program = lambda: None; "
               "import runpy, sys; sys.argv[1:] = ['--to', 'out']; "
               f"runpy.run_path({str(EXAMPLES / 'step_through.py')!r}, run_name='__main__')")
    done = run(tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr
    assert 'No diamond.svg: pictures of graphs need Graphviz: pip install "tinygrad-w2v[draw]"' in \
        done.stdout
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [
        ".dot"] * 3 + [".html"] * 3


def test_word_map_writes_its_page_and_figures_where_it_is_told(tmp_path):
    done = run(tmp_path, EXAMPLES / "word_map.py", "--to", "pictures")
    assert done.returncode == 0, done.stderr
    written = sorted(path.name for path in tmp_path.glob("pictures/*"))
    assert written == ["neighbours.png", "word_map.html", "word_map.png"]
    assert all(f"pictures/{name}" in done.stdout for name in written)
    assert re.search(r"^pass 4  .*\bblue\b", done.stdout, re.MULTILINE)
    assert share(done.stdout) < 20  # a plane keeps little of what is near
    assert imread(tmp_path / "pictures" / "word_map.png").shape[:2] == (960, 960)


def test_observed_minus_expected_is_the_gradient_and_raises_the_probability(tmp_path):
    done = run(tmp_path, EXAMPLES / "observed_minus_expected.py")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "observed_end.png", "observed_start.png"]
    rows = re.findall(r"^(?:start|pass \d) +(\S+) +(\d+) .* (\S+)$", done.stdout, re.MULTILINE)
    assert len(rows) == 5
    assert all(float(error) < 1e-12 for _, _, error in rows)
    assert int(rows[0][1]) > 100 > int(rows[-1][1])  # the place of "sunday" beside "monday"
    before, after = re.search(r"P\(o\|c\) from (\S+) to (\S+)\.\n", done.stdout).groups()
    assert float(after) > float(before)


@pytest.mark.parametrize(("example", "written"), [
    ("word_map.py", ["word_map.html"]), ("observed_minus_expected.py", [])])
def test_pictures_of_words_without_matplotlib_say_so_and_write_the_rest(tmp_path, example, written):
    done = run(tmp_path, "-c", WITHOUT.format("matplotlib", str(EXAMPLES / example)))
    assert done.returncode == 0, done.stderr
    assert 'pip install "tinygrad-w2v[draw]"' in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == written
