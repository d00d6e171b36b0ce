"""A mutant on trial: in a process of its own, against the tests that run through what it changed.

The parent loads the package, the kit and the tests once, and forks. A child puts the mutant in
place: a rule, or the code of a function, is exchanged within the object that everybody holds; what
is used while the package is loaded makes it load anew. Then it tries

1. `check_op`, the kit's claims, on the rows of operations that run the changed code,
2. the gradient tests that run the changed code, fast ones first,

up to the first failure. A mutant that cannot be loaded, crashes, or takes several times as long as
the tests take without it, is killed as well.
"""

from __future__ import annotations
import __future__

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from hypothesis import settings

from tests.mutation.mutants import Mutant, definitions

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "tinygrad_w2v"
ENGINE = ("graph", "stable", "rules", "sparse", "derived", "tensor", "functional")
TESTS = ("conventions", "sharp_edges", "rules", "errors", "tensor", "numpy_protocol", "sparse",
         "functional", "graph", "engine", "user_rule", "ops", "accuracy", "nn",
         "skipgram_equations")
NOT_THESE = (  # the rows; what takes longer than all others; what lives on another test's results
    "test_promise[", "a_million_operations", "is_no_minus_0")
WHILE_LOADING = ("rule", "Rule.__init__", "Derivative.__init__")  # run when the package is loaded
# Where everything runs through what is changed, or loads it, these are tried first, or alone.
FIRST = ("rules", "user_rule", "errors", "engine", "sharp_edges", "conventions", "graph", "sparse")
BUDGET = 8  # seconds of rows, and of tests, for one mutant
QUICK = 12  # rows that are checked before the tests are run
MEMORY = 4 << 30  # bytes of address space
Found = dict[str, tuple[float, set[str]]]  # what was run: its seconds, the owners it ran through


class Finder(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Loads one module of the package from the text of a mutant."""

    def __init__(self, module: str, text: bytes):
        super().__init__(f"{PACKAGE}.{module}", str(path_of(module)))
        self.text = text

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        return (importlib.util.spec_from_file_location(fullname, self.path, loader=self)
                if fullname == self.name else None)

    def get_code(self, fullname: str) -> Any:
        return compile(self.text, self.path, "exec", dont_inherit=True)


def path_of(module: str) -> Path:
    return ROOT / PACKAGE / f"{module}.py"


# ── what runs through what ────────────────────────────────────────────────────────────────────────


@dataclass
class Coverage:
    """For each row of operations, and each test: the seconds it takes and the code it runs."""

    rows: Found = field(default_factory=dict)
    tests: Found = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def through(self, found: Found, mutant: Mutant) -> dict[str, float]:
        """What runs through the code that a mutant changes, quick things first.

        And what reads the engine without running it. Everything, if nothing is known to run there.
        """
        owner = f"{mutant.module}.{mutant.owner}"
        also = "rules.Rule.explain" if mutant.kind == "elementwise" else owner  # reads the promise
        known = mutant.owner not in WHILE_LOADING and any(
            owner in owners for _, owners in (*self.rows.values(), *self.tests.values()))
        chosen = {name: seconds for name, (seconds, owners) in found.items()
                  if owner in owners or also in owners or not owners or not known}
        spent, few = 0.0, dict[str, float]()
        broad = len(chosen) > len(found) / 2
        for name, seconds in sorted(chosen.items(), key=lambda item: (
                item[0].split()[0] != mutant.owner,
                broad and not any(f"test_{word}.py" in item[0] for word in FIRST), item[1])):
            spent += seconds
            if spent < BUDGET:
                few[name] = seconds
        return few


class Tracer:
    """Notes which statements of the engine are run."""

    def __init__(self) -> None:
        self.owners: dict[str, dict[int, str]] = {}
        self.seen = set[Any]()
        for module in ENGINE:
            lines = self.owners[str(path_of(module))] = {}
            for owner, node in definitions(ast.parse(path_of(module).read_bytes()).body):
                first = min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", [])]])
                for line in range(first, (node.end_lineno or first) + 1):
                    lines[line] = f"{module}.{owner}"

    def __call__(self, frame: Any, event: str, arg: Any) -> None:
        self.seen.add(frame.f_code)

    @contextmanager
    def tracing(self, found: Found, name: str) -> Iterator[None]:
        self.seen.clear()
        sys.settrace(self)
        began = time.process_time()
        try:
            yield
        finally:
            sys.settrace(None)
            lines = [(self.owners.get(code.co_filename), code.co_firstlineno) for code in self.seen]
            owners = {known[line] for known, line in lines if known and line in known}
            found[name] = time.process_time() - began, owners


class Session:
    """A pytest plugin: does `work` with the tests that were collected, instead of running them."""

    def __init__(self, work: Callable[[Session], Any]):
        self.work, self.items, self.failed = work, dict[str, Any](), list[str]()
        self.result: Any = None
        self.error: Exception | None = None

    def pytest_collection(self) -> None:
        """Try the same examples each time, and remember none: see conftest for other profiles."""
        settings.register_profile("mutation", max_examples=20, deadline=None, derandomize=True)
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {named(item): item for item in session.items if not any(
            word in item.nodeid for word in NOT_THESE)}
        try:
            self.result = self.work(self)
        except Exception as error:
            self.error = error
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def run(self, name: str) -> bool:
        """Run one test, if there is one of that name; tell whether it failed."""
        if item := self.items.get(name):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return bool(self.failed)


def named(item: pytest.Item) -> str:
    """Name a test, without the addresses of objects, which differ when all is loaded anew."""
    return re.sub(r" at 0x\w+", "", item.nodeid)


def with_tests(work: Callable[[Session], Any], tests: Sequence[str] = TESTS) -> Any:
    """Collect the tests, and do `work` among them."""
    files = [str(p) for t in tests if (p := ROOT / "tests" / f"test_{t}.py").exists()]
    session = Session(work)
    code = pytest.main(["-q", "-s", "--no-header", "--no-summary", "-pno:cacheprovider",
                        "-pno:faulthandler", "-oaddopts=", f"--rootdir={ROOT}",
                        "-Wignore::pytest.PytestAssertRewriteWarning",
                        f"-c{ROOT / 'pyproject.toml'}", *files], plugins=[session])
    if session.error is not None:
        raise session.error
    if session.result is None:
        raise RuntimeError(f"the tests cannot be collected: pytest ends with {code!r}")
    return session.result


# ── in the child ──────────────────────────────────────────────────────────────────────────────────


def check_rows(names: Sequence[str] | None, found: Found, tracer: Tracer | None) -> str | None:
    """Check rows of operations, claim by claim; say which claim failed."""
    from tinygrad_w2v.testing import check_op  # noqa: PLC0415 (the mutant's)
    from tinygrad_w2v.testing.invariants import CHECKS  # noqa: PLC0415
    from tinygrad_w2v.testing.ops import OPS  # noqa: PLC0415

    rows = {str(spec): spec for spec in OPS}
    for name in rows if names is None else names:
        with tracer.tracing(found, name) if tracer else warnings.catch_warnings():
            warnings.simplefilter("error")
            for check in CHECKS:
                try:
                    check_op(rows[name], [check])
                except Exception as error:
                    return f"{check.__name__} of {name}: {type(error).__name__}: {error}"
    return None


def run_tests(names: Sequence[str], session: Session) -> str | None:
    """Run tests by pytest; say which one failed."""
    return next((name for name in names if session.run(name)), None)


def cover(part: str, session: Session) -> Coverage:
    """Run the rows or the tests without a mistake, and note what they run through."""
    coverage, tracer = Coverage(), Tracer()
    if part == "rows" and (failure := check_rows(None, coverage.rows, tracer)):
        raise RuntimeError(f"without any mistake planted, {failure}")
    for name in session.items if part == "tests" else []:
        with tracer.tracing(coverage.tests, name):
            session.run(name)
    for name in dict.fromkeys(session.failed):
        del coverage.tests[name]
        coverage.failed.append(name)
    return coverage


def exchange(mutant: Mutant, source: bytes) -> bool:
    """Put a mutant in place of what it is a mutant of; False if that cannot be done to it."""
    module = importlib.import_module(f"{PACKAGE}.{mutant.module}")
    *outer, name = mutant.owner.split(".")
    home = vars(getattr(module, outer[0]) if outer else module)
    old = home.get(name)
    place = min(start for start, _, _ in mutant.change)
    line = source.count(b"\n", 0, place) + 1
    node = next(node for owner, node in definitions(ast.parse(mutant.text(source)).body)
                if owner == mutant.owner and node.lineno <= line <= (node.end_lineno or line))
    plain = isinstance(node, ast.FunctionDef) and isinstance(old, FunctionType)
    if mutant.owner in WHILE_LOADING or not (plain or hasattr(old, "rule")):
        return False
    if isinstance(node, ast.FunctionDef):
        node.decorator_list = []
        if "super" in ast.dump(node):
            return False
    space = vars(module)
    kept = space.get(name)
    exec(compile(ast.Module([node], []), str(path_of(mutant.module)), "exec", dont_inherit=True,
                 flags=__future__.annotations.compiler_flag), space)
    new, space[name] = space[name], kept
    if hasattr(old, "rule"):
        vars(old.rule).update(vars(new.rule))
    else:
        old.__code__, old.__defaults__ = new.__code__, new.__defaults__
        old.__kwdefaults__ = new.__kwdefaults__
    return True


def judge(mutant: Mutant, coverage: Coverage, session: Session) -> tuple[str, str]:
    """Say which stage killed a mutant ("" if none), and what of it."""
    rows = coverage.through(coverage.rows, mutant)
    tests = coverage.through(coverage.tests, mutant)
    limit = int(30 + 5 * (sum(rows.values()) + sum(tests.values())))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    source = path_of(mutant.module).read_bytes()
    try:
        if exchange(mutant, source):
            return on_trial(list(rows), list(tests), session)
        for name in list(sys.modules):
            if name.split(".")[0] == PACKAGE or name.startswith("tests.test_"):
                del sys.modules[name]
        sys.meta_path.insert(0, Finder(mutant.module, mutant.text(source)))
        importlib.import_module(f"{PACKAGE}.testing.ops")
    except Exception as error:
        return "import", f"{type(error).__name__}: {error}"
    if failure := check_rows(list(rows)[:QUICK], {}, None):
        return "claims", failure
    return with_tests(lambda anew: on_trial(list(rows)[QUICK:], list(tests), anew), FIRST)


def on_trial(rows: list[str], tests: list[str], session: Session) -> tuple[str, str]:
    """Check some rows, run the tests, check the rest of the rows."""
    if failure := check_rows(rows[:QUICK], {}, None):
        return "claims", failure
    if failure := run_tests(tests, session):
        return "tests", failure
    failure = check_rows(rows[QUICK:], {}, None)
    return ("claims", failure) if failure else ("", "")


def child(connection: Any, work: Callable[..., Any], *args: Any) -> None:
    """Do the work, in silence, and send what it gives."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        result = work(*args)
    except BaseException as error:
        result = ("crash", f"{type(error).__name__}: {error}")
    connection.send(result)
    connection.close()


# ── in the parent ─────────────────────────────────────────────────────────────────────────────────


def in_children(tasks: Sequence[tuple[Any, ...]], jobs: int, patience: float = 900
                ) -> Iterator[tuple[int, Any, float]]:
    """Carry out tasks (function, *arguments), so many at a time: number, result, seconds."""
    fork, todo, running = multiprocessing.get_context("fork"), list(enumerate(tasks))[::-1], {}
    try:
        while todo or running:
            while todo and len(running) < jobs:
                number, task = todo.pop()
                ours, theirs = fork.Pipe(duplex=False)
                process = fork.Process(target=child, args=(theirs, *task))
                process.start()
                theirs.close()
                running[ours] = number, process, time.monotonic()
            ready = wait(list(running), timeout=1)
            for pipe, (number, process, began) in list(running.items()):
                seconds = time.monotonic() - began
                if pipe not in ready and seconds < patience:
                    continue
                try:
                    result = pipe.recv() if pipe in ready else ("time", "it hangs")
                except EOFError:
                    result = ("time", "it ran out of time, or crashed")
                process.kill()
                process.join()
                del running[pipe]
                yield number, result, seconds
    finally:
        for _, process, _ in running.values():
            process.kill()


def coverage(jobs: int, session: Session) -> Coverage:
    """Find out what runs through what; tests that fail without any mistake are left out."""
    whole, parts = Coverage(), [(cover, part, session) for part in ("tests", "rows")]
    for _, found, _ in in_children(parts, jobs, patience=600):
        if not isinstance(found, Coverage):
            raise RuntimeError(f"{found}")
        whole.rows.update(found.rows)
        whole.tests.update(found.tests)
        whole.failed += found.failed
    controls = [(judge, mutant, whole, session) for mutant in unharmed()]
    for number, (stage, why), _ in in_children(controls, jobs):
        if stage:
            raise RuntimeError(f"control {number}, where nothing is changed, fails: {stage}, {why}")
    return whole


def unharmed() -> list[Mutant]:
    """Mutants that change nothing: one that is exchanged, one for which all is loaded anew."""
    source = path_of("rules").read_bytes()
    places = [(owner, source.index(text)) for owner, text in (
        ("count", b"return math.prod"), ("Rule.__init__", b"self.fn, self.elementwise"))]
    return [Mutant("rules", "none", owner, ((at, at + 1, chr(source[at])),))
            for owner, at in places]
