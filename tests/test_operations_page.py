"""docs/operations.md says of each operation what the engine and the registry say today."""

import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest

import tinygrad_w2v as tg
from tinygrad_w2v import rules
from tinygrad_w2v.testing.ops import OPS

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "operations.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("operations_table", DOCS / "operations_table.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    yield spec.loader.exec_module(module) or module
    del sys.modules[spec.name]


def test_the_page_is_what_the_generator_writes_but_for_the_last_digits_of_deviations(generator):
    """Rules, what is kept, judges, orders, comparisons. Stale? python docs/operations_table.py."""
    assert without_figures(PAGE) == without_figures(generator.page(figures=False))


def without_figures(page):
    """A page with a dot for each deviation: the last three cells of a row of ten."""
    cell = r" (?:\d(?:e-\d+)?|–) \|"
    return re.sub(rf"^(\| `\w+` \|.*\|)({cell}{cell}{cell})$", r"\1 · |", page, flags=re.M)


def test_every_operation_has_its_place_on_the_page(generator):
    named = [name for names in generator.groups().values() for name in names]
    assert sorted(named) == sorted({spec.op.__name__ for spec in OPS} - {"absolute"} | {"abs"})
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.M) == named


def words(code):
    """All names and constants of compiled code in the order of their use, and those within it."""
    inner = [words(c) for c in code.co_consts if inspect.iscode(c)]
    consts = [c for c in code.co_consts if not inspect.iscode(c) and "<lambda>" not in str(c)]
    return code.co_varnames, code.co_names, consts, inner


def test_what_is_written_is_the_source_of_the_derivative(generator):
    """Compiled again, the text on the page has the names and constants of the derivative."""
    compared = 0
    for name in {spec.name.split()[0] for spec in OPS}:
        rule = generator.rule_of(name)
        for derivative in filter(None, rule.derivatives if rule else []):
            fn, text = derivative.fn, generator.written(derivative)
            if fn.__name__ == "<lambda>":
                names = ", ".join(inspect.signature(fn).parameters)
                again = eval(f"lambda {names}: (\n{text})", vars(rules))
                assert words(again.__code__) == words(fn.__code__)
                compared += 1
    assert compared > 60


def test_deviations_on_the_page_are_those_of_rounding():
    """A figure near the tolerance would be a mistake that the tolerance hides."""
    found = re.findall(r"\| (\S+) \| (\S+) \| (\S+) \|$", PAGE, flags=re.M)
    figures = [(a, b, c) for a, b, c in found if re.match(r"\de-|0$", a)]
    assert len(figures) == len(re.findall(r"^\| `\w+` \|", PAGE, flags=re.M))
    for first, second, single in figures:
        assert float(first) < 1e-13
        assert second == "–" or float(second) < 1e-12
        assert float(single) < 1e-5


def test_a_check_counts_what_the_page_says(generator):
    done = generator.check("tanh")
    assert done.compared == generator.comparisons("tanh") > 0
    assert done.worst.keys() == {(n, d) for n in (1, 2) for d in ("float64", "float32")}
    assert tg.tanh.rule.operands == ["x"]
