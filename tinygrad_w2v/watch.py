"""Looking over the engine's shoulder: `watching` shows every operation and every step of a walk.

The engine itself has no hook, and so nothing is paid when nobody looks: while a `watching` block is
open, the few functions that all goes through (`record`, and the three that a walk is made of:
`pull`, `fit`, `plus`; and `Tensor.edit`) are replaced by twins that do the same and tell, and walks
are careful at every step. Each thread and asyncio task has its own watchers; one without any goes
through the twins unwatched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import graph, rules, tensor
from .graph import Node, fit, pull, record
from .rules import Rule
from .sparse import Array, plus
from .tensor import Tensor

edit = Tensor.edit


class Watcher:
    """What may be seen; each method does nothing unless a subclass says what to do.

    What a method raises comes out of the operation, or of the walk, that it was shown. What it
    computes itself it is not shown. With `quiet`, NumPy's warnings about zeros and overflows do not
    come out of operations: the watcher looks at the results. Of several watchers of a class that is
    `alone`, only the innermost is told: its settings take the place of the others'.
    """

    quiet = alone = False

    def computed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], out: Any
                 ) -> None:
        """See an operation: what it was given (Tensors or arrays, and keywords), what it gave."""

    def failed(self, rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any], error: Exception
               ) -> None:
        """See an operation that raised `error`, which goes on to the caller afterwards."""

    def pulling(self, node: Node, i: int, g: Any) -> None:
        """See a step of a walk begin: the cotangent `g` of `node` goes to its operand `i`.

        If the walk is recorded, the operations of the step are shown, too, before `pulled`.
        """

    def pulled(self, node: Node, i: int, g: Any, share: Any) -> None:
        """See a step of a walk: the cotangent `g` of `node`, and the share of its operand `i`.

        The share has the operand's shape and dtype.
        """

    def broke(self, node: Node, i: int, g: Any, error: Exception) -> None:
        """See a step of a walk that raised `error`, which goes on to the caller afterwards."""

    def added(self, total: Any, share: Any, out: Any, to_grad: bool) -> None:
        """See two shares of a cotangent added up: or, if `to_grad`, a gradient and a `.grad`."""

    def edited(self, leaf: Tensor) -> None:
        """See a leaf whose values were changed in place, as by an optimiser."""


class Look:
    """One `watching` block: who watches, and whether it is still open."""

    __slots__ = ("open", "watcher")

    def __init__(self, watcher: Watcher):
        self.watcher, self.open = watcher, True


class _Walking(threading.local):
    """Counts the steps of walks that are under way in this thread, one inside the other."""

    depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_: Any) -> None:
        self.depth -= 1


_looks: ContextVar[tuple[Look, ...]] = ContextVar("looks", default=())
_walking, _loud = _Walking(), nullcontext()
_lock = threading.Lock()
_open = 0


def opened() -> list[Look]:
    """List the blocks that are open in this thread or task, the innermost last."""
    return [look for look in _looks.get() if look.open]


def looks() -> list[Look]:
    """List those of the open blocks whose watchers are told, the innermost last."""
    if not (found := opened()) or len(found) == 1:
        return found
    last = {type(look.watcher): look for look in found}
    return [look for look in found if not look.watcher.alone or look is last[type(look.watcher)]]


def in_walk() -> bool:
    """Tell whether what is computed here belongs to a step of a walk."""
    return _walking.depth > 0


def _tell(seen: list[Look], method: str, *facts: Any) -> None:
    token = _looks.set(())
    try:
        for look in reversed(seen):
            getattr(look.watcher, method)(*facts)
    finally:
        _looks.reset(token)


def _quiet(seen: list[Look]) -> AbstractContextManager[Any]:
    quiet = any(look.watcher.quiet for look in seen)
    return np.errstate(all="ignore") if quiet else _loud


# ── the twins ─────────────────────────────────────────────────────────────────────────────────────


def _record(rule: Rule, operands: tuple[Any, ...], meta: dict[str, Any]) -> Any:
    seen = looks()
    if not seen:
        return record(rule, operands, meta)
    try:
        with _quiet(seen):
            out = record(rule, operands, meta)
    except Exception as error:
        _tell(seen, "failed", rule, operands, meta, error)
        raise
    _tell(seen, "computed", rule, operands, meta, out)
    return out


def _pull(node: Node, i: int, g: Any, careful: bool = False) -> Any:
    seen = looks()
    if not seen:
        return pull(node, i, g, careful)
    _tell(seen, "pulling", node, i, g)
    try:
        with _walking:
            return pull(node, i, g, careful)
    except Exception as error:
        _tell(seen, "broke", node, i, g, error)
        raise


def _fit(share: Any, node: Node, i: int, g: Any) -> Any:
    seen = looks()
    if not seen:
        return fit(share, node, i, g)
    try:
        with _walking:
            fitted = fit(share, node, i, g)
    except Exception as error:
        _tell(seen, "broke", node, i, g, error)
        raise
    _tell(seen, "pulled", node, i, g, fitted)
    return fitted


def added(total: Any, share: Any) -> Any:
    """Add two gradients as `plus` does, but never in place."""
    return np.asarray(total + share) if isinstance(total, np.ndarray) else total + share


def _plus(total: Any, share: Any, to_grad: bool = False) -> Any:
    seen = looks()
    if not seen:
        return plus(total, share)
    with _walking, _quiet(seen):  # not in place: `total` is to be seen, too
        out = added(total, share)
    _tell(seen, "added", total, share, out, to_grad)
    return out


def _plus_to_grad(total: Any, share: Any) -> Any:
    return _plus(total, share, to_grad=True)


@contextmanager
def _edit(leaf: Tensor) -> Iterator[Array]:
    with edit(leaf) as array:
        yield array
    if seen := looks():
        _tell(seen, "edited", leaf)


TWINS: tuple[tuple[Any, str, Any, Any], ...] = (
    (rules, "record", record, _record), (graph, "pull", pull, _pull), (graph, "fit", fit, _fit),
    (graph, "plus", plus, _plus), (tensor, "plus", plus, _plus_to_grad),
    (Tensor, "edit", edit, _edit))


def _count(change: int) -> None:
    """Count the blocks that are open; put the twins in their places for the first, back after."""
    global _open
    with _lock:
        before, _open = _open, _open + change
        if bool(before) != bool(_open):
            for place, name, own, twin in TWINS:
                setattr(place, name, twin if _open else own)
            graph.watched = _open > 0


# ── the block ─────────────────────────────────────────────────────────────────────────────────────


def begin(watcher: Watcher) -> Look:
    """Open a block for `watcher` in this thread or task; `end` closes it."""
    look = Look(watcher)
    _count(+1)
    _looks.set((*_looks.get(), look))
    return look


def end(look: Look) -> None:
    """Close a block, wherever it was opened, and whichever others have been since."""
    if look.open:
        look.open = False
        _looks.set(tuple([other for other in _looks.get() if other.open]))
        _count(-1)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Show `watcher` all that the engine does within the block, in this thread or task.

    Blocks nest: of several watchers each is shown everything, the innermost first. Threads that are
    started within the block are not watched; tasks are, for as long as the block is open.

    >>> import tinygrad_w2v as tg
    >>> class Namer(Watcher):
    ...     def computed(self, rule, operands, meta, out):
    ...         print(rule.name, end=" ")
    >>> with watching(Namer()):
    ...     x = tg.tanh(tg.Tensor(1.0)) * 2
    tanh multiply
    """
    look = begin(watcher)
    try:
        yield
    finally:
        end(look)
