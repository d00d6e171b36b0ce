"""A mutant on trial: in a process of its own, against the tests that run through what it changed.

The parent loads the package, the kit and the tests once, and forks. A child puts the mutant in
place: a rule, or the code of a function, is exchanged within the object that everybody holds; what
is used while the package is loaded makes it load anew. Then it tries, up to the first failure,

1. what killed other mutants of the same rule or function,
2. `check_op`, the kit's claims, on the row of the operation that is changed; on others that run the
   changed code, value and gradient of a first call,
3. the gradient tests that run the changed code, fast ones first,
4. the rest of the rows.

A mutant that cannot be loaded, crashes, or takes several times as long as the tests take without
it, is killed as well. At the end all that killed is tried without a mistake: it must pass.
"""

from __future__ import annotations
import __future__

import ast
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import multiprocessing
import os
import re
import resource
import signal
import sys
import textwrap
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from multiprocessing.connection import wait
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import Phase, settings

from tests.mutation.mutants import Mutant, definitions

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "tinygrad_w2v"
ENGINE = ("graph", "stable", "rules", "sparse", "derived", "tensor", "functional")
TESTS = ("conventions", "sharp_edges", "rules", "errors", "tensor", "numpy_protocol", "sparse",
         "functional", "derived", "graph", "engine", "user_rule", "ops", "accuracy", "nn",
         "skipgram_equations", "stable")
NOT_THESE = (  # the rows; what takes longer than all others; what lives on another test's results
    "test_promise[", "a_million_operations", "is_no_minus_0",
    "shrinks_to_0_at_the_optimum")
# What is run while the package is loaded.
WHILE_LOADING = ("rule", "Rule.__init__", "Derivative.__init__", "in_blocks")
# Where everything runs through what is changed, or loads it, these are tried first, or alone.
FIRST = ("rules", "stable", "user_rule", "errors", "engine", "sharp_edges", "conventions", "graph",
         "sparse")
BUDGET = 6  # seconds of processor for each stage of a trial
KILLERS = 6  # units that killed others of the same owner and are tried first
QUICK = 12  # rows of which something is checked before the tests are run
PATIENCE = 30  # seconds of processor for a test, or a claim on a call, before it is late
MEMORY = 4 << 30  # bytes of address space
Found = dict[str, tuple[float, set[str]]]  # what was run: its seconds, the owners it ran through


class Fate(NamedTuple):
    """What became of a mutant: which stage killed it ("": none), why, and by which unit.

    A unit is a test, by its name, or a claim on one call of a row: "tanh|check_gradient|0".
    """

    stage: str = ""
    why: str = ""
    unit: str = ""
    anew: bool = False  # all was loaded anew


class LateError(Exception):
    """A unit takes far longer than it does without a mistake."""


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
        broad = len(chosen) > len(found) / 2
        return dict(sorted(chosen.items(), key=lambda item: (
            item[0].split()[0] != mutant.owner, f"test_{mutant.module}.py" not in item[0],
            broad and not any(f"test_{word}.py" in item[0] for word in FIRST), item[1])))

    def plan(self, mutant: Mutant, killers: Sequence[str] = ()) -> list[list[str]]:
        """What to try, stage by stage: units, tests, and rows (of which all units are tried)."""
        rows, tests = self.through(self.rows, mutant), self.through(self.tests, mutant)
        own = [row for row in rows if row.split()[0] == mutant.owner]
        quick = [f"{row}|{check}|0" for row in list(rows)[:QUICK] if row not in own
                 for check in ("check_value", "check_gradient")]
        return [list(killers), own + quick, list(tests), list(rows)]


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
        settings.register_profile("mutation", max_examples=20, deadline=None, derandomize=True,
                                  phases=(Phase.explicit, Phase.generate))
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
                        "-Wignore::pytest.PytestAssertRewriteWarning", "--tb=native",
                        f"-c{ROOT / 'pyproject.toml'}", *files], plugins=[session])
    if session.error is not None:
        raise session.error
    if session.result is None:
        raise RuntimeError(f"the tests cannot be collected: pytest ends with {code!r}")
    return session.result


# ── in the child ──────────────────────────────────────────────────────────────────────────────────


def units_of(name: str) -> Iterator[str]:
    """All units of a row, value and gradient of each call first; of what is a unit, itself."""
    from tinygrad_w2v.testing.invariants import CHECKS  # noqa: PLC0415 (the mutant's)
    from tinygrad_w2v.testing.ops import OPS  # noqa: PLC0415

    calls = next((range(len(spec.calls)) for spec in OPS if str(spec) == name), None)
    if calls is None:
        yield name
        return
    first, rest = CHECKS[:2], CHECKS[2:]
    for checks in first, rest:
        for call in calls:
            for check in checks:
                yield f"{name}|{check.__name__}|{call}"


def check_unit(unit: str) -> str:
    """Check one claim on one call of a row; say what is wrong with it."""
    from tinygrad_w2v.testing import check_op, examine, invariants  # noqa: PLC0415 (the mutant's)
    from tinygrad_w2v.testing.ops import OPS  # noqa: PLC0415

    row, check, call = unit.split("|")
    spec = next(spec for spec in OPS if str(spec) == row)
    in_short = mock.patch.object(examine.Case, "explain", lambda case, error: error)
    with warnings.catch_warnings(), in_short:
        warnings.simplefilter("error")
        try:
            check_op(replace(spec, calls=(spec.calls[int(call)],)), [getattr(invariants, check)])
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return ""


def run_unit(unit: str, session: Session) -> str:
    """Try a test or a claim; say what is wrong."""
    if "::" not in unit:
        return check_unit(unit)
    return "it fails" if session.run(unit) else ""


def cover(names: Sequence[str], session: Session) -> Coverage:
    """Run some tests, and rows but for their gradients, and note what they run through.

    The gradients, which take most of the time, run through nothing that the other claims do not.
    """
    coverage, tracer = Coverage(), Tracer()
    for name in names:
        is_test = name in session.items
        with tracer.tracing(coverage.tests if is_test else coverage.rows, name):
            for unit in units_of(name):
                if not is_test and "|check_gradient|" in unit:
                    continue
                if (failure := run_unit(unit, session)) and not is_test:
                    raise RuntimeError(f"without any mistake planted, {unit} fails: {failure}")
    for name in dict.fromkeys(session.failed):
        del coverage.tests[name]
        coverage.failed.append(name)
    return coverage


def exchange(mutant: Mutant, source: bytes) -> bool:
    """Put a mutant in place of what it is a mutant of; False if that cannot be done to it."""
    module = importlib.import_module(f"{PACKAGE}.{mutant.module}")
    *outer, name = mutant.owner.split(".")
    home = getattr(module, outer[0]) if outer else module
    old = vars(home).get(name)
    node = statement_of(mutant, source)
    if (mutant.owner in WHILE_LOADING or isinstance(node, ast.Pass)
            or "super" in ast.dump(node)):
        return False  # what is left out cannot take the place of what is there
    if isinstance(node, ast.FunctionDef) and isinstance(old, FunctionType):
        node.decorator_list = []
        return same_object(inspect.unwrap(old), run_statement(node, mutant, module, {})[name])
    if hasattr(old, "rule") and not outer:
        vars(old.rule).update(vars(run_statement(node, mutant, module, {})[name].rule))
        return True
    if outer:  # a property, or what else belongs to a class
        before = dict(vars(home))
        for key, new in run_statement(node, mutant, module, dict(before)).items():
            if new is not before.get(key):
                setattr(home, key, new)
    return bool(outer)


def run_statement(node: Any, mutant: Mutant, module: Any, names: dict[str, Any]) -> dict[str, Any]:
    """Carry out a statement of a module, which sees `names` too; give all that it names."""
    exec(compile(ast.Module([node], []), str(path_of(mutant.module)), "exec", dont_inherit=True,
                 flags=__future__.annotations.compiler_flag), vars(module), names)
    return names


def same_object(old: Any, new: Any) -> bool:
    """Make a function, which others hold, do what another one does; False if that cannot be."""
    if len(old.__code__.co_freevars) != len(new.__code__.co_freevars):
        return False
    old.__code__, old.__defaults__ = new.__code__, new.__defaults__
    old.__kwdefaults__ = new.__kwdefaults__
    return True


def statement_of(mutant: Mutant, source: bytes) -> Any:
    """Parse the one statement that a mutant changes, with the lines it has in its module."""
    place = min(start for start, _, _ in mutant.change)
    line = source.count(b"\n", 0, place) + 1
    first, last = next((first, last) for owner, first, last in extents(source)
                       if owner == mutant.owner and first <= line <= last)
    before = source.splitlines(keepends=True)
    after = mutant.text(source).splitlines(keepends=True)
    lines = b"".join(after[first - 1 : last + len(after) - len(before)]).decode()
    [node] = ast.parse(textwrap.dedent(lines)).body
    return ast.increment_lineno(node, first - 1)


@lru_cache
def extents(source: bytes) -> list[tuple[str, int, int]]:
    """Of each statement that defines something, what it defines, its first and its last line."""
    return [(owner, min([node.lineno, *[d.lineno for d in getattr(node, "decorator_list", [])]]),
             node.end_lineno or node.lineno)
            for owner, node in definitions(ast.parse(source).body)]


def judge(mutant: Mutant, plan: list[list[str]], session: Session, budget: float = BUDGET) -> Fate:
    """Put a mutant in place, and try it.

    If all is loaded anew, so are the tests: those files that killed others, then those of `FIRST`.
    """
    limit = int(60 + 10 * budget)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    source = path_of(mutant.module).read_bytes()
    try:
        with in_time(PATIENCE):
            if anew := not exchange(mutant, source):
                load_anew(mutant, source)
    except Exception as error:
        return Fate("import", f"{type(error).__name__}: {error}")
    if not anew:
        return on_trial(plan, session, budget)
    fate = on_trial([[name for name in stage if "::" not in name] for stage in plan[:2]], session,
                    budget)
    every = [*FIRST, *{mutant.module} - {*FIRST}] if any("::" in t for s in plan for t in s) else []
    killers = list(dict.fromkeys(file_of(name) for name in plan[0] if "::" in name))
    for files, stages in (killers, plan[:1]), (every, plan):
        if files and not fate.stage:
            fate = with_tests(partial(on_trial, stages, budget=budget), files)
    return fate._replace(anew=True)


def file_of(test: str) -> str:
    """The word that is special in the name of the file of a test."""
    return test.partition("::")[0].rpartition("/test_")[2].removesuffix(".py")


def load_anew(mutant: Mutant, source: bytes) -> None:
    """Forget the package and the tests, and load the package with the mutant in it."""
    for name in list(sys.modules):
        if name.split(".")[0] == PACKAGE or name.startswith("tests.test_"):
            del sys.modules[name]
    sys.meta_path.insert(0, Finder(mutant.module, mutant.text(source)))
    importlib.import_module(f"{PACKAGE}.testing.ops")


def on_trial(plan: list[list[str]], session: Session, budget: float) -> Fate:
    """Try what is planned, stage by stage, each once, each stage as long as its budget lasts."""
    done = set[str]()
    for stage in plan:
        began = time.process_time()
        for unit in (unit for name in stage for unit in units_of(name) if unit not in done):
            done.add(unit)
            with in_time(PATIENCE):
                failure = run_unit(unit, session)
            if failure:
                return Fate("tests" if "::" in unit else "claims", f"{unit}: {failure}", unit)
            if time.process_time() - began > budget:
                break
    return Fate()


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """Raise an error in what takes longer, in seconds of processor."""
    def late(number: int, frame: Any) -> None:
        raise LateError(f"it takes longer than {seconds:.1f} s")

    signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def child(connection: Any, work: Callable[..., Any], *args: Any) -> None:
    """Do the work, in silence, and send what it gives."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    try:
        result = work(*args)
    except BaseException as error:
        result = Fate("crash", f"{type(error).__name__}: {error}")
    connection.send((result, time.process_time()))
    connection.close()


# ── in the parent ─────────────────────────────────────────────────────────────────────────────────


def in_children(tasks: Iterable[tuple[Any, ...]], jobs: int, patience: float = 900
                ) -> Iterator[tuple[int, Any, float]]:
    """Carry out tasks (function, *arguments), so many at a time: number, result, CPU seconds.

    A task is asked for when it can begin, and so may depend on results that came before.
    """
    fork, todo, running = multiprocessing.get_context("fork"), enumerate(tasks), dict[Any, Any]()
    gc.collect()
    gc.freeze()  # memory that is not touched is shared
    try:
        while True:
            while len(running) < jobs and (following := next(todo, None)):
                number, task = following
                ours, theirs = fork.Pipe(duplex=False)
                process = fork.Process(target=child, args=(theirs, *task))
                process.start()
                theirs.close()
                running[ours] = number, process, time.monotonic()
            if not running:
                return
            ready = wait(list(running), timeout=1)
            for pipe, (number, process, began) in list(running.items()):
                seconds = time.monotonic() - began
                if pipe not in ready and seconds < patience:
                    continue
                try:
                    if pipe in ready:
                        result, seconds = pipe.recv()
                    else:
                        result = Fate("time", "it hangs")
                except EOFError:
                    result = Fate("time", "it ran out of time, or crashed")
                process.kill()
                process.join()
                del running[pipe]
                yield number, result, seconds
    finally:
        for _, process, _ in running.values():
            process.kill()


def coverage(jobs: int, session: Session) -> Coverage:
    """Find out what runs through what; tests that fail without any mistake are left out."""
    from tinygrad_w2v.testing.ops import OPS  # noqa: PLC0415

    files = defaultdict[str, list[str]](list)
    for name in session.items:
        files[name.partition("::")[0]].append(name)
    rows = sorted([str(spec) for spec in OPS], key=len)
    parts = [*files.values(), *[rows[k::8] for k in range(8)]]
    whole = Coverage()
    for _, found, _ in in_children([(cover, part, session) for part in parts], jobs, patience=600):
        if not isinstance(found, Coverage):
            raise RuntimeError(f"{found}")
        whole.rows.update(found.rows)
        whole.tests.update(found.tests)
        whole.failed += found.failed
    return whole


class Trials:
    """The trials of mutants, each of which learns from those before."""

    def __init__(self, known: Coverage, session: Session, jobs: int):
        self.known, self.session, self.jobs = known, session, jobs
        self.killers = defaultdict[str, Counter[str]](Counter)  # of each owner
        self.units = {False: dict[str, None](), True: dict[str, None]()}  # loaded anew: killers
        check_unit("tanh|check_gradient|0")  # what it imports need not be imported in each child

    def run(self, mutants: Sequence[Mutant], budgets: Sequence[float]
            ) -> Iterator[tuple[int, Fate, float]]:
        """Try each mutant: its number, what became of it, CPU seconds."""
        tasks = ((judge, mutant, self.known.plan(mutant, self.tried_first(mutant)), self.session,
                  budget) for mutant, budget in zip(mutants, budgets, strict=True))
        for module in {mutant.module for mutant in mutants}:
            extents(path_of(module).read_bytes())  # once, not in each child
        for number, fate, seconds in in_children(tasks, self.jobs):
            if fate.unit:
                mutant = mutants[number]
                self.killers[f"{mutant.module}.{mutant.owner}"][fate.unit] += 1
                self.units[fate.anew][fate.unit] = None
            yield number, fate, seconds

    def tried_first(self, mutant: Mutant) -> list[str]:
        """What killed most mutants of the same owner."""
        killers = self.killers[f"{mutant.module}.{mutant.owner}"]
        return [unit for unit, _ in killers.most_common(KILLERS)]

    def controls(self) -> list[str]:
        """What killed mutants, but fails without a mistake, too."""
        tasks = [(judge, mutant, [list(units)], self.session, 600.0)
                 for mutant, units in zip(unharmed(), self.units.values(), strict=True)]
        wrong = list[str]()
        for _, fate, _ in in_children(tasks, self.jobs):
            wrong += [f"{fate.unit or fate.stage} fails without a mistake: {fate.why}"
                      ] * bool(fate.stage)
        return wrong


def unharmed() -> list[Mutant]:
    """Mutants that change nothing: one that is exchanged, one for which all is loaded anew."""
    source = path_of("rules").read_bytes()
    places = [(owner, source.index(text)) for owner, text in (
        ("spread", b"shape = like if"), ("Rule.__init__", b"self.fn, self.elementwise"))]
    return [Mutant("rules", "none", owner, ((at, at + 1, chr(source[at])),))
            for owner, at in places]
