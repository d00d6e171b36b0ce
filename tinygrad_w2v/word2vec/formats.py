"""Files of word vectors, read strictly and written whole or not at all.

The native format is safetensors: an 8-byte length, a JSON header that names each array with its
type, shape and place, then the bytes of the arrays. Nothing in it can run; nothing is unpickled.
"""

from __future__ import annotations

import json
import math
import os
import struct
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..sparse import Array

DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}


class FormatError(ValueError):
    """A file is not what its format says it must be; the message says where."""


def write_atomically(path: Path, *content: bytes) -> None:
    """Write a file whole or not at all: to a new file beside it, which then takes its name."""
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(content)
        # mkstemp's file is for its owner's eyes only: give it what the old one had, or the usual.
        os.chmod(beside, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def check_writable(path: Path) -> None:
    """Raise OSError if no file could be written at `path`: before the work rather than after it.

    Folders that are not there yet will be made by `write_atomically`, and not before.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name a file in it")
    folder = next(p for p in path.absolute().parents if p.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise type(error)(f"cannot write {path.name} in {folder} ({error.strerror}): name another "
                          "place") from error


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_safetensors(path: Path, arrays: dict[str, Array], metadata: dict[str, str]) -> None:
    """Write named arrays, and texts about them, to a safetensors file.

    ValueError for arrays of another type than float32, float64 and int64.
    """
    names = {np.dtype(code): name for name, code in DTYPES.items()}
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<") not in names:
            raise ValueError(f"{name}: arrays of float32, float64 and int64 can be saved, not of "
                             f"{array.dtype}; convert it, as by astype(np.float32)")
    header: dict[str, Any] = {"__metadata__": metadata}
    parts, start = [], 0
    for name, array in arrays.items():
        parts.append(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
        end = start + array.nbytes
        header[name] = {"dtype": names[parts[-1].dtype], "shape": array.shape,
                        "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    body = [part.tobytes() for part in parts]
    write_atomically(path, struct.pack("<Q", len(text)), text, *body)


def read_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a safetensors file; FormatError, with the place, if it is damaged or says untruths.

    Nothing is allocated that the file does not hold.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        n = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if n > size - 8:
            raise FormatError(f"{path}: not a safetensors file: its header would be longer than "
                              f"the file ({size} bytes)")
        try:
            header = json.loads(file.read(n))
            metadata = header.pop("__metadata__", {})
            places = [Place(name, **entry) for name, entry in header.items()]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FormatError(f"{path}: the safetensors header is damaged: {error!r}") from error
        arrays, body = {}, size - 8 - n
        ends = sorted(place.data_offsets for place in places if place.fits(body))
        if any(b != 0 for b, _ in ends[:1]) or any(a[1] != b[0] for a, b in pairwise(ends)) or (
                len(ends) == len(places) and body != (ends[-1][1] if ends else 0)):
            raise FormatError(f"{path}: the arrays overlap, or there are gaps between them")
        for place in places:
            if not place.fits(body):
                raise FormatError(f"{path}: {place} is not true of a file with {body} bytes after "
                                  "the header")
            begin, end = place.data_offsets
            file.seek(8 + n + begin)
            arrays[place.name] = np.frombuffer(file.read(end - begin), DTYPES[place.dtype]
                                               ).reshape(place.shape)
    return arrays, metadata


@dataclass(frozen=True)
class Place:
    """What a safetensors header says of one array."""

    name: str
    dtype: str
    shape: list[int]
    data_offsets: list[int]

    def fits(self, body: int) -> bool:
        """Whether the array can lie where it is said to, in `body` bytes."""
        lists = isinstance(self.shape, list) and isinstance(self.data_offsets, list)
        if not lists or len(self.data_offsets) != 2 or str(self.dtype) not in DTYPES:
            return False
        if not all(type(x) is int and x >= 0 for x in self.shape + self.data_offsets):
            return False
        begin, end = self.data_offsets
        size = math.prod(self.shape) * int(DTYPES[self.dtype][-1])
        sane = len(self.shape) <= 8 and max(self.shape, default=0) < 1 << 40
        return sane and end <= body and end - begin == size
