"""The engine can be read in one sitting: so many lines of code and no more."""

import ast
from pathlib import Path

import tinygrad_w2v

ENGINE = ["graph", "rules", "tensor", "functional", "sparse"]
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(name: str) -> int:
    """Lines that are neither blank, nor a comment, nor part of a docstring."""
    source = Path(tinygrad_w2v.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    words = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            words.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return sum(1 for number, line in enumerate(source.splitlines(), 1)
               if line.strip() and not line.strip().startswith("#") and number not in words)


def test_the_graph_is_at_most_160_lines_of_code():
    assert 0 < code_lines("graph") <= 160


def test_the_engine_is_at_most_800_lines_of_code():
    assert 0 < sum(map(code_lines, ENGINE)) <= 800
