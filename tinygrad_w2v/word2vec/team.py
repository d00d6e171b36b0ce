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
import mmap
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

    ChildProcessError: a worker died, or could not do its share; no call waits for ever.
    """

    def __init__(self, workers: int, layout: Layout, job: str, settings: dict[str, Any]):
        self.others: list[subprocess.Popen[str]] = []
        if workers == 1:
            memory = mmap.mmap(-1, size_of(layout))  # aligned as in a file: BLAS may depend on it
            self.arrays = carve(np.frombuffer(memory, np.uint8), layout)
        else:
            path = reserve(size_of(layout))
            try:
                self.arrays = carve(np.memmap(path, mode="r+"), layout)
                given = {"path": str(path), "layout": layout, "job": job, "settings": settings,
                         "of": workers}
                for number in range(1, workers):
                    self.others.append(subprocess.Popen(
                        [sys.executable, "-c", START, *sys.path], text=True, bufsize=1,
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        start_new_session=True, env={**os.environ, **ONE_THREAD}))
                    self.tell(self.others[-1], {**given, "number": number})
                for other in self.others:
                    self.hear(other)
            except BaseException:
                self.__exit__(None, None, None)
                raise
            finally:
                path.unlink(missing_ok=True)  # the memory stays until the last process ends
        self.own = load(job)(self.arrays, 0, workers, **settings)

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
        answer = other.stdout.readline()  # type: ignore[union-attr]
        if answer != "done\n":
            why = json.loads(answer) if answer.endswith("\n") else f"exit code {other.wait()}"
            raise ChildProcessError(f"a worker process of the training died: {why}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        for other in self.others:
            if error is not None:
                other.kill()  # it may be in the middle of its share
            with suppress(OSError):
                other.stdin.close()  # type: ignore[union-attr]
            other.wait()
            other.stdout.close()  # type: ignore[union-attr]
        self.others = []


def reserve(size: int) -> Path:
    """Make a file of `size` bytes for processes to share: in memory if the system has room."""
    for folder in ("/dev/shm", tempfile.gettempdir()):
        try:
            handle, name = tempfile.mkstemp(prefix="tinygrad_w2v-", dir=folder)
        except OSError as error:
            problem = error
            continue
        try:
            allocate = getattr(os, "posix_fallocate", lambda file, _, n: os.ftruncate(file, n))
            allocate(handle, 0, size)
            return Path(name)
        except OSError as error:
            problem = error
            os.unlink(name)
        finally:
            os.close(handle)
    raise OSError(f"no room for {size:,} bytes that worker processes share in "
                  f"{tempfile.gettempdir()} ({problem.strerror}): use workers=1, or set TMPDIR to "
                  "another folder") from problem


def load(job: str) -> Any:
    """Import what "module:name" names."""
    module, name = job.split(":")
    return getattr(importlib.import_module(module), name)


def serve(answers: IO[str]) -> None:
    """Be a worker: make the job that the first line describes, and do what the others say."""
    try:
        given = json.loads(sys.stdin.readline())
        layout = {name: (tuple(shape), kind) for name, (shape, kind) in given["layout"].items()}
        arrays = carve(np.memmap(given["path"], mode="r+"), layout)
        job = load(given["job"])(arrays, given["number"], given["of"], **given["settings"])
        print("done", file=answers, flush=True)
        for line in sys.stdin:
            method, *arguments = json.loads(line)
            getattr(job, method)(*arguments)
            print("done", file=answers, flush=True)
    except Exception:
        print(json.dumps(traceback.format_exc()), file=answers, flush=True)
        sys.exit(1)
