"""Worker processes that share arrays with this one, and do what it says, each its share.

NumPy holds Python's global lock while it gathers and scatters rows, so threads do not help much;
processes do. Each runs this module's `serve`: it maps one file of arrays into its memory, and reads
calls, a line of JSON each, from its standard input. It dies when that ends, whatever became of the
process that started it.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from ..sparse import Array

Layout = dict[str, tuple[tuple[int, ...], str]]  # name: shape and dtype
START = ("import os, sys; answers = os.fdopen(os.dup(1), 'w'); os.dup2(2, 1); "  # prints go to 2
         "sys.path[:] = sys.argv[1:]; from tinygrad_w2v.word2vec.team import serve; serve(answers)")
ANSWER = "\x1e tinygrad_w2v "  # begins an answer, behind what Python may print when it starts
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
LINE = 64  # arrays start at multiples of a cache line


def size_of(layout: Layout) -> int:
    """Count the bytes that the arrays of `layout` take.

    >>> size_of({"a": ((3,), "f4"), "b": ((2, 2), "f8")})
    128
    """
    return sum(-(-math.prod(shape) * np.dtype(kind).itemsize // LINE) * LINE
               for shape, kind in layout.values())


def carve(memory: Array, layout: Layout) -> dict[str, Array]:
    """Cut `memory`, an array of bytes, into the arrays of `layout`."""
    arrays, start = {}, 0
    for name, (shape, kind) in layout.items():
        stop = start + math.prod(shape) * np.dtype(kind).itemsize
        arrays[name] = memory[start:stop].view(kind).reshape(shape)
        start += -(-(stop - start) // LINE) * LINE
    return arrays


class Team:
    """The process itself and ``workers − 1`` others, which work on the arrays of `layout`.

    `job` names a class, "module:class". Every process makes one, with the arrays (`arrays`, zeros
    at first), its own number, how many there are, and `settings`. `call` has all call a method of
    theirs at once. Use it in a ``with`` block, at whose end the others are gone.

    On Windows there is one process, whatever `workers` says. ChildProcessError: a worker could not
    be started, died, or could not do its share; no call waits for ever.
    """

    def __init__(self, workers: int, layout: Layout, job: str, settings: dict[str, Any]):
        self.others: list[subprocess.Popen[str]] = []
        workers = workers if os.name == "posix" else 1
        size = size_of(layout)
        if workers == 1:
            memory = np.zeros(size + LINE, np.uint8)
            begin = -memory.ctypes.data % LINE  # aligned as a file is: BLAS may depend on it
            self.arrays = carve(memory[begin : begin + size], layout)
        else:
            with reserve(size) as file:  # without a name: it is gone with the last process
                self.arrays = carve(np.memmap(file, mode="r+"), layout)
                self.start(workers, {"file": file.fileno(), "layout": layout, "job": job,
                                     "settings": settings, "of": workers})
        self.own = load(job)(self.arrays, 0, workers, **settings)

    def start(self, workers: int, given: dict[str, Any]) -> None:
        """Start the other processes, and wait until they are ready."""
        package = Path(__file__).parents[2]  # this one, and no other that the folder here may have
        paths = [str(package), *map(os.path.abspath, sys.path)]
        try:
            for number in range(1, workers):
                self.others.append(subprocess.Popen(
                    [sys.executable or "python", "-c", START, *paths], text=True, bufsize=1,
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[given["file"]],
                    start_new_session=True, env={**os.environ, **ONE_THREAD}))
                self.tell(self.others[-1], {**given, "number": number})
            for other in self.others:
                self.hear(other)
        except OSError as error:
            self.__exit__(type(error), error, None)
            if isinstance(error, ChildProcessError):
                raise
            raise ChildProcessError(f"a worker process could not be started by "
                                    f"{sys.executable!r} ({error}): use workers=1") from error
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def call(self, method: str, *arguments: Any) -> None:
        """Have every process call `method` of its job; returns when all have."""
        for other in self.others:
            self.tell(other, [method, *arguments])
        getattr(self.own, method)(*arguments)
        for other in self.others:
            self.hear(other)

    def tell(self, other: subprocess.Popen[str], message: Any) -> None:
        """Send a line to a worker."""
        try:
            other.stdin.write(json.dumps(message) + "\n")  # type: ignore[union-attr]
        except OSError:
            self.hear(other)

    def hear(self, other: subprocess.Popen[str]) -> None:
        """Wait for a worker's answer."""
        line = "nothing yet"
        while line and ANSWER not in line:
            line = other.stdout.readline()  # type: ignore[union-attr]
        answer = line.partition(ANSWER)[2]
        if answer != "done\n":
            why = json.loads(answer) if answer.endswith("\n") else f"exit code {other.wait()}"
            raise ChildProcessError("a worker process of the training died (workers=1 does without "
                                    f"them): {why}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for other in self.others:
            if error is None:
                with suppress(OSError):
                    other.stdin.write("null\n")  # type: ignore[union-attr]
                with suppress(subprocess.TimeoutExpired):
                    other.wait(timeout=10)
            other.kill()  # it may be in the middle of its share
            with suppress(OSError):
                other.stdin.close()  # type: ignore[union-attr]
            other.wait()
            other.stdout.close()  # type: ignore[union-attr]
        self.others = []


def reserve(size: int) -> IO[bytes]:
    """Make a file of `size` bytes for processes to share: in memory if the system has room."""
    for folder in ("/dev/shm", None):  # None: the usual place of temporary files
        file = None
        try:
            file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the caller's to close
            allocate = getattr(os, "posix_fallocate", lambda number, _, n: os.ftruncate(number, n))
            allocate(file.fileno(), 0, size)
            return file
        except OSError as error:
            problem = error
            if file:
                file.close()
    raise OSError(f"no room for {size:,} bytes that worker processes share ({problem}): use "
                  "workers=1, or set TMPDIR to another folder") from problem


def load(job: str) -> Any:
    """Import what "module:name" names."""
    module, name = job.split(":")
    return getattr(importlib.import_module(module), name)


def serve(answers: IO[str]) -> None:
    """Be a worker: make the job that the first line describes, and do what the others say."""
    try:
        given = json.loads(sys.stdin.readline())
        layout = {name: (tuple(shape), kind) for name, (shape, kind) in given["layout"].items()}
        with os.fdopen(given["file"], "r+b") as file:
            arrays = carve(np.memmap(file, mode="r+"), layout)
        job = load(given["job"])(arrays, given["number"], given["of"], **given["settings"])
        print(ANSWER + "done", file=answers, flush=True)
        for line in sys.stdin:
            if (message := json.loads(line)) is None:
                break
            method, *arguments = message
            getattr(job, method)(*arguments)
            print(ANSWER + "done", file=answers, flush=True)
    except Exception:
        with suppress(OSError):  # nobody may be there to hear it
            print(ANSWER + json.dumps(traceback.format_exc()), file=answers, flush=True)
        os._exit(1)
