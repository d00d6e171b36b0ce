"""Files that are read strictly, and written whole or not at all."""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


class FormatError(ValueError):
    """A file is not what its format says it must be; the message says where."""


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacked if its name ends in .gz; FormatError if it is damaged."""
    if path.is_dir():
        raise FormatError(f"{path} is a folder, not a file")
    try:
        opener: Any = gzip.open if is_packed(path) else open
        with opener(path, "rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"{path}: the gzip data is damaged or cut off: {error}") from error


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file beside `path`, which takes its name if the block ends well, else is removed.

    Packed if the name ends in .gz, without a date: the same content gives the same bytes.
    """
    packed, path = is_packed(path), Path(os.path.realpath(path))
    _check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            if packed:
                with gzip.GzipFile("", "wb", 6, file, mtime=0) as gz:
                    yield gz  # type: ignore[misc] # typeshed: a GzipFile is no IO[bytes]
            else:
                yield file
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the new name on an empty file
        # mkstemp's file is for its owner's eyes only: give it what the old one had, or the usual.
        os.chmod(beside, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def write_atomically(path: Path, *content: bytes) -> None:
    """Write a file whole or not at all, by `replacing`."""
    with replacing(path) as file:
        file.writelines(content)


def check_writable(path: Path) -> None:
    """Raise OSError if no file could be written at `path`: before the work rather than after it.

    Folders that are not there yet will be made when it is written, and not before.
    """
    _check_replaceable(path)
    folder = next(p for p in path.absolute().parents if p.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(f"cannot write {path.name} in {folder} ({error.strerror}): name another "
                          "place") from error


def _check_replaceable(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is a device or the like, which no file can replace: name a file")


def is_packed(path: Path) -> bool:
    """Whether the name says that the content is packed by gzip."""
    return path.suffix.lower() == ".gz"


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
