"""Pictures of graphs: they say what the engine knows, all of it and nothing else."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_w2v as tg
from tinygrad_w2v.draw import GraphvizError, graph, graphviz, keeping
from tinygrad_w2v.draw.graph import Drawing, Scene
from tinygrad_w2v.draw.shown import GLYPHS
from tinygrad_w2v.testing import strategies as draw

SVG = "{http://www.w3.org/2000/svg}"
EVIL = ["<b>bold</b>", 'quote"d', r"\N\G\L", "two\nlines", "a & b &amp;", "]]>", "é ∂ 漢",
        "\x00\x1b", "{a|b}", "'", "-->", "</svg><script>"]


def leaf(value=3.0, **settings):
    return tg.Tensor(value, requires_grad=True, **settings)


def edges(picture):
    """The arrows of a picture: where from, where to, and what is written at them."""
    return re.findall(r'(\w+) -> (\w+) \[id="\w+", label="([^"]*)"\]', picture.dot)


def statement(picture, id):
    """What DOT says of a vertex."""
    return next(line for line in picture.dot.split("\n") if line.strip().startswith(f"{id} ["))


def texts(svg):
    """For every part with an id its title, and its lines of text."""
    parts = ElementTree.fromstring(svg).iter(f"{SVG}g")
    return {part.get("id"): (part.findtext(f"{SVG}title"),
                             [t.text for t in part.findall(f"{SVG}text")]) for part in parts}


# ── what is drawn ─────────────────────────────────────────────────────────────────────────────────


def test_a_plus_a_has_two_edges_numbered_0_and_1():
    a = leaf()
    assert edges(graph(a + a)) == [("n0", "n1", "0"), ("n0", "n1", "1")]


def test_a_single_operand_needs_no_number():
    assert edges(graph(tg.exp(leaf()))) == [("n0", "n1", "")]


def test_leaves_constants_operations_and_results_differ_in_shape():
    x = leaf()
    picture = graph(tg.exp(x) * 2.0)
    shapes = [re.search(r"shape=.*?fillcolor", statement(picture, id))[0]
              for id in ("n0", "n1", "n2", "c2_1")]
    assert len(set(shapes)) == 4


def test_outputs_share_the_nodes_that_both_were_computed_from():
    x = leaf()
    y = tg.exp(x)
    picture = graph(y * 2.0, tg.log(y))
    assert picture.dot.count("= exp") == picture.dot.count("= leaf") == 1
    assert picture.dot.count("peripheries=2") == 2


def test_no_gradient_yet_is_not_shown_as_0():
    x = leaf()
    before = graph(x * 1.0)
    (x * 0.0).backward()
    after = graph(x * 1.0)
    assert "no gradient yet" in statement(before, "n0")
    assert "no gradient yet" not in statement(after, "n0")
    assert f"{GLYPHS['none']} no gradient yet" in str(before)
    assert f"{GLYPHS['zero']} 0" in str(after)


@pytest.mark.parametrize(("gradient", "glyph", "colour"), [
    (2.0, "▲", "positive-fill"), (-2.0, "▼", "negative-fill"), (0.0, "●", "card"),
    (np.nan, "✗", "accent"), (None, "○", "soft")])
def test_a_sign_shows_by_glyph_and_by_colour(gradient, glyph, colour):
    x = leaf()
    x.grad = gradient
    line = statement(graph(x * 1.0), "n0")
    assert glyph in line
    assert graphviz.LIGHT[colour] in line


@pytest.mark.parametrize(("x", "said"), [
    (leaf(np.zeros((0, 3), np.float32)), ["no elements", "float32 (0, 3)"]),
    (leaf(np.float32(0.1)), ["0.1", "float32 ()"]),
    (leaf(np.arange(10.0)), ["0 … 9", "float64 (10,)"]),
    (leaf([1.0, np.nan, np.inf, -1.0, 0.0]), ["-1 … 1 (1 of 5 nan, 1 of 5 inf)"]),
    (leaf([1e-9, -0.25]), ["[1e-09, -0.25]"])])
def test_values_are_short_with_type_and_shape(x, said):
    text = str(graph(x.sum(), names={"x": x}))
    assert all(part in text for part in said)


def test_the_gradient_of_looked_up_rows_says_how_many():
    table = leaf(np.ones((1000, 2)))
    tg.take(table, np.array([7, 7, 9])).sum().backward()
    assert "3 looked up: [[2, 2], [1, 1]]" in str(graph(tg.take(table, np.array([7])).sum()))


# ── what is known, and what is not ────────────────────────────────────────────────────────────────


def chain():
    """A graph of which no variable holds the middle, and no rule keeps it."""
    x = leaf(3.0)
    return x, x + 1.0 + 1.0


def test_a_value_that_nobody_kept_is_said_not_to_be():
    _, y = chain()
    lines = str(graph(y, names={"y": y})).split("\n")
    assert ["value not kept" in line for line in lines] == [True, True, False]


def test_a_value_that_a_rule_or_a_variable_holds_is_shown():
    x = leaf(3.0)
    y = tg.exp(x + 1.0) * 2.0
    assert str(graph(y, names={})).count("not kept") == 2  # exp keeps its result, add nothing
    assert str(graph(y, names={"x": x})).count("not kept") == 1


def test_in_a_block_of_keeping_every_value_constant_and_line_is_kept():
    with keeping() as kept:
        _, y = chain()
    picture = graph(y, kept=kept)
    assert str(picture).count("not kept") == 1  # the leaf was not computed
    assert "add(x0, 1)" in str(picture)
    assert "test_draw_graph.py" in picture.titles["n1"]


def test_what_was_kept_does_not_change_with_what_it_was_made_of():
    constant, x = np.array([1.0, 2.0]), leaf([5.0, 6.0])
    with keeping() as kept:
        y = tg.transpose(x) + constant
    constant[:] = 0
    with x.edit() as array:
        array[:] = 0
    assert "add(v1, [1, 2])" in str(graph(y, kept=kept, names={}))
    assert "v1 = transpose(x0)    float64 (2,)  [5, 6]" in str(graph(y, kept=kept, names={}))


def test_nodes_are_called_as_the_callers_variables():
    weight = leaf()
    middle = weight * 2.0
    text = str(graph(tg.exp(middle)))
    assert "weight = leaf" in text
    assert "middle = multiply(weight, 2)" in text
    assert "middle" not in str(graph(tg.exp(middle), names={"w": weight}))


def test_parameters_are_called_by_their_place_in_a_model_and_a_variable_goes_before():
    model, tables = tg.nn.MLP([2, 3]), {"in": [leaf(np.ones(2))]}
    weight = model.layers[0].weight
    text = str(graph(model(tables["in"][0]).sum()))
    assert "weight = leaf" in text
    assert "model.layers[0].bias = leaf" in text
    assert "tables['in'][0] = leaf" in text
    assert weight.grad is None


@pytest.mark.parametrize("names", [("v2", "x0"), ("a\n", "a↵"), ("a" * 90 + "1", "a" * 90 + "2")])
def test_two_nodes_never_have_one_name(names):
    x = leaf()
    y = tg.exp(x)
    scene = Scene([y + 1.0], dict(zip(names, (x, y), strict=True)), None)
    assert len(set(scene.names.values())) == 3


def test_a_line_is_known_of_what_was_computed_in_a_block_of_debug():
    x = leaf()
    with tg.debug():
        y = tg.exp(x)
    assert "`y = tg.exp(x)`" in graph(y).titles["n1"]


def test_titles_hold_the_rule_as_it_is_written():
    x = leaf()
    titles = graph(x * x).titles
    assert "operand 1 (y): lambda g, x: g * x" in titles["n1"]
    assert titles["e1_0"] == "operand 0 (x) of v1: lambda g, y: g * y"


def test_drawing_changes_nothing():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    before = x.grad.copy()
    str(graph(y)), graph(y).svg
    assert np.array_equal(x.grad, before)
    y.backward()
    assert np.array_equal(x.grad, 2 * before)


@given(draw.programs(max_steps=25))
def test_every_operation_and_edge_of_any_graph_is_drawn_once(program):
    x = [tg.Tensor(a, requires_grad=True) for a in program.inputs]
    loss = program(*x)
    scene = Scene([loss], {}, None)
    drawing = Drawing(scene, True, 1000)
    assert len([v for v in drawing.vertices if v.kind != "constant"]) == len(scene.nodes)
    wanted = [(f"n{scene.number[p]}", f"n{scene.number[node]}")
              for node in scene.nodes for p in node.parents if p]
    found = [(e.source, e.target) for e in drawing.edges if e.source[0] == "n"]
    assert sorted(found) == sorted(wanted)


# ── large graphs ──────────────────────────────────────────────────────────────────────────────────


def count_of(picture, what):
    return int(re.search(rf"… ([\d,]+) {what}", str(picture))[1].replace(",", ""))


@given(st.integers(2, 40), st.integers(1, 20))
def test_a_folded_graph_says_how_many_operations_are_not_drawn(n, limit):
    x = y = leaf()
    for _ in range(n):
        y = y + x
    picture = graph(y, limit=limit)
    drawn = picture.dot.count("= add")
    assert drawn == min(limit, n)
    assert drawn + (count_of(picture, "operation") if n > limit else 0) == n


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 20))
def test_as_many_operations_are_drawn_as_may_be_and_of_the_oldest_as_many_as_asked(n, limit, old):
    y = leaf()
    for _ in range(n):
        y = tg.tanh(y)
    drawing = Drawing(Scene([y], {}, None), False, limit, min(old, limit))
    drawn = [int(v.id[1:]) for v in drawing.vertices if v.kind in ("operation", "output")]
    young = range(1 + max(n - (limit - min(old, limit)), 0), n + 1)
    assert drawn == sorted({*range(1, n + 1)[:min(old, limit)], *young})


@given(draw.programs(max_steps=40), st.integers(1, 8))
def test_a_folded_graph_still_has_no_circle(program, limit):
    loss = program(*[tg.Tensor(a, requires_grad=True) for a in program.inputs])
    below = {}
    for a, b, _ in edges(graph(loss, limit=limit)):
        below.setdefault(b, set()).add(a)
    while below:
        first = [b for b, sources in below.items() if not sources & below.keys()]
        assert first
        for b in first:
            del below[b]


def test_of_ten_thousand_operations_the_ends_are_drawn():
    y = start = leaf()
    for _ in range(10_010):
        y = y * 1.0
    picture = graph(y)
    assert count_of(picture, "operations") == 9_950
    assert "… 9,950 operations more" in picture.dot
    assert "start = leaf" in str(graph(y, names={"start": start}))
    assert "y = multiply" in str(picture)
    assert len(picture.svg) < 200_000


def test_of_many_leaves_some_are_folded_too():
    total = sum(leaf(float(k)) for k in range(50))
    picture = graph(total, limit=10)
    assert picture.dot.count("= leaf") == 10
    assert count_of(picture, "leaves") == 40


# ── SVG ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", EVIL)
def test_a_name_stands_in_the_picture_as_it_is_and_is_nothing_else(name):
    x = leaf()
    picture = graph(x + x, names={name: x})
    shown = name.replace("\n", "↵").replace("\x00\x1b", "��")
    title, lines = texts(picture.svg)["n0"]
    assert title.startswith(f"{shown} = leaf")
    assert "".join(lines[:2]) == f"{shown} = leaf"
    assert "<script" not in picture.svg


def test_a_rule_of_the_users_is_named_and_quoted():
    cube = tg.rule(lambda x: x**3, x=lambda g, x: g * 3 * x**2)
    title, lines = texts(graph(cube(leaf(2.0))).svg)["n1"]
    assert "<lambda>" in "".join(lines)
    assert "lambda g, x: g * 3 * x**2" in title


def test_the_picture_asks_for_nothing_and_has_no_tooltip_elements_but_titles():
    svg = graph(leaf() * 2.0).svg
    assert svg.startswith("<svg ")
    assert svg.endswith("</svg>")
    assert "<a " not in svg
    assert set(re.findall(r"https?://[^\"]+", svg)) <= {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_every_colour_of_the_picture_has_a_dark_counterpart():
    x = leaf([1.0, -1.0])
    (x * x).sum().backward()
    svg = graph((x * x).sum()).bare
    used = set(re.findall(r'(?:fill|stroke)="(#\w+)"', svg))
    assert used <= set(graphviz.LIGHT.values())
    assert graphviz.LIGHT.keys() == graphviz.DARK.keys()


def test_without_graphviz_there_is_dot_and_an_error_that_names_the_extra(monkeypatch):
    monkeypatch.setattr(graphviz, "program", lambda: None)
    x = leaf()
    picture = graph(x + x)
    assert picture.dot.startswith("digraph")
    with pytest.raises(GraphvizError, match=re.escape('pip install "tinygrad-w2v[draw]"')):
        _ = picture.svg
    assert "tinygrad-w2v[draw]" in picture._repr_html_()
    assert "x = leaf" in picture._repr_html_()


def test_a_graphviz_that_fails_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setattr(graphviz, "program", lambda: sys.executable)
    with pytest.raises(GraphvizError, match="could not draw"):
        _ = graph(leaf() + 1.0).svg


def test_the_extras_graphviz_is_found_outside_the_path_and_goes_first(monkeypatch, tmp_path):
    path = tmp_path / "bin" / "graphviz-pure"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    files = [SimpleNamespace(locate=lambda: tmp_path / "METADATA"),
             SimpleNamespace(locate=lambda: path)]
    monkeypatch.setattr(graphviz.metadata, "files", lambda name: files)
    assert graphviz.program() == str(path)


def test_pictures_are_saved_by_what_the_name_ends_in(tmp_path):
    x = leaf()
    picture = graph(x + x)
    for name, begins in [("a.dot", "digraph"), ("a.gv", "digraph"), ("a.svg", "<svg"),
                         ("a.html", "<!doctype html>")]:
        picture.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
    with pytest.raises(ValueError, match=r"\.dot, \.gv, \.svg or \.html, not \.png"):
        picture.save(tmp_path / "a.png")


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: graph(), TypeError, "at least one"),
    (lambda: graph(tg.Tensor(1.0)), tg.GraphError, "argument 0 has no graph"),
    (lambda: graph(leaf(), np.ones(2)), TypeError, "argument 1 is ndarray, not a Tensor"),
    (lambda: graph(leaf(), names=["w"]), TypeError, "names= is a mapping.*not list"),
    (lambda: tg.trace(3.0), TypeError, "argument 0 is float, not a Tensor"),
    (lambda: graph(leaf(), limit=0), ValueError, "limit is at least 1"),
    (lambda: graph(leaf(), direction="up"), ValueError, "'up'")])
def test_what_cannot_be_drawn_is_an_error_that_says_why(call, error, says):
    with pytest.raises(error, match=says):
        call()


# ── a Tensor in a notebook ────────────────────────────────────────────────────────────────────────


def test_a_notebook_shows_shape_gradient_and_numbers():
    x = leaf([[1.5, -2.0], [0.0, np.inf]], dtype=np.float32)
    html = x._repr_html_()
    assert "float32 (2, 2), requires_grad" in html
    assert "○ no gradient yet" in html
    assert [re.sub("<.*?>", "", cell) for cell in re.findall("<td.*?</td>", html)] == [
        "1.5", "-2", "0", "inf"]


@pytest.mark.parametrize("shape", [(1000, 1000), (1_000_000,), (100, 100, 10, 10)])
def test_of_a_million_numbers_a_notebook_shows_a_few(shape):
    html = tg.Tensor(np.arange(1e6).reshape(shape))._repr_html_()
    assert len(html) < 8_000
    assert "0 … 999999" in html
    assert "…</td>" in html


@pytest.mark.parametrize("value", [2.0, np.zeros((0, 3)), np.zeros((2, 0, 3)), 1j, [1j, 2.0]])
def test_a_notebook_shows_any_tensor(value):
    assert "Tensor" in tg.Tensor(value)._repr_html_()


def test_nothing_of_this_is_loaded_before_it_is_asked_for():
    code = ("import sys, tinygrad_w2v as tg; x = tg.Tensor(1.0); "
            "print([n for n in sys.modules if n.startswith(('tinygrad_w2v.draw', "
            "'tinygrad_w2v.replay', 'tinygrad_w2v.testing'))]); "
            "print(x._repr_html_()[:4], tg.draw.__name__, tg.trace.__name__)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(tg.__file__).parent.parent)
    assert done.stdout.split("\n")[:2] == ["[]", "<div tinygrad_w2v.draw trace"]


def test_a_name_that_the_package_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = tg.nonsense
