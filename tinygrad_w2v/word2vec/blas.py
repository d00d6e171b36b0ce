"""Holding NumPy's matrix products to one thread, while the program shares the work out itself."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

FOLDERS = ("../numpy.libs", ".dylibs", ".libs")  # where wheels keep their OpenBLAS: Linux, mac, old


_counting = threading.Lock()
_inside: list[None] = []  # blocks under way, in any thread: the number is one for all of them
_before: list[int] = []  # the number of threads before the first of them


@cache
def openblas() -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """Find how to ask for, and to set, the number of threads of the OpenBLAS in NumPy's wheel.

    None if NumPy was built otherwise. Its products may then run on threads of their own: set
    OMP_NUM_THREADS=1, or what its library reads, before Python starts.
    """
    package = Path(np.__file__).parent
    for path in (p for folder in FOLDERS for p in sorted((package / folder).glob("*openblas*"))):
        try:
            library = ctypes.CDLL(str(path))  # the one that NumPy has loaded, not a second one
        except OSError:
            continue
        for before, after in product(("scipy_", ""), ("64_", "")):
            get = getattr(library, f"{before}openblas_get_num_threads{after}", None)
            put = getattr(library, f"{before}openblas_set_num_threads{after}", None)
            if get and put:
                return get, put
    return None


@contextmanager
def one_thread() -> Iterator[None]:
    """Let matrix products run on the thread that asks for them, until the block ends.

    >>> with one_thread():
    ...     _ = np.ones((2, 2)) @ np.ones((2, 2))
    """
    found = openblas()
    if found is None:
        yield
        return
    get, put = found
    with _counting:
        if not _inside:
            _before.append(get())
            put(1)
        _inside.append(None)
    try:
        yield
    finally:
        with _counting:
            _inside.pop()
            if not _inside:
                put(_before.pop())
