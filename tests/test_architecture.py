"""The house: imports run one way, and the package brings NumPy alone."""

import ast
import pathlib
import subprocess
import sys

import pytest

import tinygrad_w2v

ROOT = pathlib.Path(tinygrad_w2v.__file__).parent
ORDER = ["sparse", "stable", "graph", "rules", "derived", "tensor", "functional", "watch",
         "debug", "nn", "optim", "testing", "word2vec", "diagnose", "draw", "replay", "cli"]
OPTIONAL = {"hypothesis", "matplotlib", "sklearn", "tqdm"}


def imports(path):
    """The modules that a file imports when it is loaded: ("tinygrad_w2v.graph", whether inside)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {id(n) for block in ast.walk(tree) if isinstance(block, ast.If)
                   and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
                   for n in ast.walk(block)}
    package = ["tinygrad_w2v", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (".".join([*base, name]) for name in names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def place(name):
    """The position of a module of the package in the order of imports."""
    part = name.split(".")[1]
    return ORDER.index(part) if part in ORDER else None


FILES = sorted(p for p in ROOT.rglob("*.py") if p.name not in ("__init__.py", "__main__.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    mine = place("tinygrad_w2v." + path.relative_to(ROOT).parts[0].removesuffix(".py"))
    assert mine is not None, "a new module needs its place in ORDER"
    for name in imports(path):
        if name.startswith("tinygrad_w2v."):
            assert (place(name) or 0) <= mine, f"{path.name} imports {name}"


def test_the_package_needs_numpy_and_the_standard_library_alone():
    known = {"numpy", "tinygrad_w2v", *sys.stdlib_module_names}
    found = {name.split(".")[0] for path in ROOT.rglob("*.py") for name in imports(path)}
    assert found - known <= OPTIONAL


def test_importing_the_package_loads_no_other_third_party_module():
    code = ("import sys, numpy; before = set(sys.modules); import tinygrad_w2v; "
            "print(*{n.split('.')[0] for n in set(sys.modules) - before})")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         cwd=ROOT.parent).stdout.split()
    assert set(out) <= {"tinygrad_w2v", "numpy", *sys.stdlib_module_names}
