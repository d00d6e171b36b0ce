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
from pathlib import Path
from typing import Any

import numpy as np

from ..sparse import Array

DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}


class FormatError(ValueError):
    """A file is not what its format says it must be; the message says where."""


def write_atomically(path: Path, *content: bytes) -> None:
    """Write a file whole or not at all: to a new file beside it, which then takes its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(content)
        os.chmod(beside, 0o666 & ~_umask())  # mkstemp's file is for its owner's eyes only
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
    """Write named arrays, and texts about them, to a safetensors file."""
    names = {np.dtype(code): name for name, code in DTYPES.items()}
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
        if not lists or len(self.data_offsets) != 2 or self.dtype not in DTYPES:
            return False
        if not all(type(x) is int and x >= 0 for x in self.shape + self.data_offsets):
            return False
        begin, end = self.data_offsets
        return end <= body and end - begin == math.prod(self.shape) * int(DTYPES[self.dtype][-1])
