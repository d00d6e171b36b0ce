"""How far a training has got, on standard error: a bar (tqdm) on a terminal, else plain lines."""

from __future__ import annotations

import importlib
import sys
import time
from types import TracebackType
from typing import Any, Self


class Progress:
    """Shows how far `passes` passes over `words` words have got, the loss, and the time left.

    `advance` is called after every step with the share of the pass that is done, `finish` after
    every pass with the loss it saw, `close` while the work goes on that follows the last one.
    `done` counts passes that were made before.
    """

    def __init__(self, passes: int, words: int, show: bool = True, done: int = 0):
        self.passes, self.words = passes, words
        self.show = show and sys.stderr is not None
        self.first = self.passed = done
        self.start = time.perf_counter()
        self.bar: Any = None

    def __enter__(self) -> Self:
        if self.show and sys.stderr.isatty():
            try:
                tqdm = importlib.import_module("tqdm").tqdm
                self.bar = tqdm(total=self.passes * self.words, initial=self.first * self.words,
                                unit=" words", unit_scale=True, file=sys.stderr, dynamic_ncols=True)
            except ImportError:
                pass
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, share: float) -> None:
        """Say how much of the pass is done."""
        if self.bar is not None:
            self.bar.update(int((self.passed + share) * self.words) - self.bar.n)

    def close(self, share: float) -> None:
        """Say how much of the work behind the last pass is done."""
        if self.bar is not None:
            self.bar.set_postfix_str(f"rare words folded in: {share:.0%}")
        elif self.show and share == 1:
            spent = time.perf_counter() - self.start
            print(f"rare words folded in  {spent:.1f} s", file=sys.stderr)

    def finish(self, name: str, loss: float) -> None:
        """Report the loss of a pass."""
        self.advance(1)
        self.passed += 1
        if self.bar is not None:
            self.bar.set_postfix_str(f"{name} {loss:.4f}")
        elif self.show:
            spent, made = time.perf_counter() - self.start, self.passed - self.first
            left = spent / made * (self.passes - self.passed)
            print(f"pass {self.passed}/{self.passes}  {name} {loss:.4f}  {spent:.1f} s, "
                  f"{left:.1f} s left, {made * self.words / spent:,.0f} words/s", file=sys.stderr)
