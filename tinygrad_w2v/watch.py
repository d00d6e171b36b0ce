"""Looking over the engine's shoulder: `watching` shows every operation and every step of a walk.

The engine itself has no hook, and so nothing is paid when nobody looks: while a `watching` block is
open, the two functions that all goes through, `graph.record` and `graph.pull`, are replaced by
twins that do the same and tell. Each thread and asyncio task has its own watcher; a thread without
one goes through the twins unwatched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from . import graph, rules
from .graph import Node, pull, record
from .rules import Rule


class Watcher:
    """What may be seen; each method does nothing unless a subclass says what to do.

    What a method raises comes out of the operation, or of the walk, that it was shown.
    """

    def computed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], out: Any
                 ) -> None:
        """See an operation: what it was given (Tensors or arrays, and keywords), what it gave."""

    def failed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], error: Exception
               ) -> None:
        """See an operation that raised `error`, which goes on to the caller afterwards."""

    def pulled(self, node: Node, i: int, g: Any, share: Any) -> None:
        """See a step of a walk: the cotangent `g` of `node`, and the share of its operand `i`."""


_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)
_lock = threading.Lock()
_open = 0


def _record(rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any]) -> Any:
    watcher = _watcher.get()
    if watcher is None:
        return record(rule, operands, meta)
    try:
        out = record(rule, operands, meta)
    except Exception as error:
        watcher.failed(rule, operands, meta, error)
        raise
    watcher.computed(rule, operands, meta, out)
    return out


def _pull(node: Node, i: int, g: Any) -> Any:
    share, watcher = pull(node, i, g), _watcher.get()
    if watcher is not None:
        watcher.pulled(node, i, g, share)
    return share


def _look(change: int) -> None:
    """Count the blocks that are open; put the twins in their places for the first, back after."""
    global _open
    with _lock:
        _open += change
        rules.record = _record if _open else record  # type: ignore[attr-defined]
        graph.pull = _pull if _open else pull


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Show `watcher` all that the engine does within the block, in this thread or task.

    >>> import tinygrad_w2v as tg
    >>> class Namer(Watcher):
    ...     def computed(self, rule, operands, meta, out):
    ...         print(rule.name, end=" ")
    >>> with watching(Namer()):
    ...     x = tg.tanh(tg.Tensor(1.0)) * 2
    tanh multiply
    """
    token = _watcher.set(watcher)
    _look(+1)
    try:
        yield
    finally:
        _look(-1)
        _watcher.reset(token)
