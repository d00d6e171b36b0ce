"""Threads that share work out: NumPy lets go of Python's lock while it computes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from .blas import openblas

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Say how many threads to use: as many as NumPy's matrix products do, or one for each core."""
    found = openblas()
    return found[0]() if found else os.cpu_count() or 1


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int
             ) -> Iterator[Result]:
    """Give ``function(item)`` of each item, in order, computed by `workers` threads.

    No more than two items a thread are under way or waiting, and none is begun when an error has
    been met. Threads inherit the context: NumPy's `errstate`, and whether a graph is recorded.

    >>> list(in_order(lambda x: x * x, [1, 2, 3], workers=2))
    [1, 4, 9]
    """
    if workers == 1:
        yield from map(function, items)
        return
    ahead: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                ahead.append(pool.submit(copy_context().run, function, item))
                if len(ahead) == 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
