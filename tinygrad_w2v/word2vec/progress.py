"""How far a training has got, on standard error: a bar (tqdm) on a terminal, else plain lines."""

from __future__ import annotations

import importlib
import sys
import time
from types import TracebackType
from typing import Any, Self


class Progress:
    """Shows `passes` passes of `steps` steps each, the loss, and the time left.

    ``advance`` is called after every step, ``finish`` after every pass with the loss it saw. A pass
    may take fewer steps than was thought.
    """

    def __init__(self, passes: int, steps: int, show: bool = True):
        self.passes, self.steps, self.show = passes, steps, show
        self.done, self.passed, self.start = 0, 0, time.perf_counter()
        self.bar: Any = None

    def __enter__(self) -> Self:
        if self.show and sys.stderr.isatty():
            try:
                tqdm = importlib.import_module("tqdm").tqdm
                self.bar = tqdm(total=self.passes * self.steps, unit="block", file=sys.stderr,
                                dynamic_ncols=True)
            except ImportError:
                pass
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self) -> None:
        """Count a step."""
        self._count(self.done + 1)

    def _count(self, done: int) -> None:
        if self.bar is not None:
            self.bar.update(done - self.done)
        self.done = done

    def finish(self, name: str, loss: float) -> None:
        """Report the loss of a pass."""
        self.passed += 1
        self._count(self.passed * self.steps)
        if self.bar is not None:
            self.bar.set_postfix_str(f"{name} {loss:.4f}")
        elif self.show:
            spent = time.perf_counter() - self.start
            left = spent / max(self.done, 1) * (self.passes * self.steps - self.done)
            print(f"pass {self.passed}/{self.passes}  {name} {loss:.4f}  "
                  f"{spent:.1f} s, {left:.1f} s left", file=sys.stderr)
