"""The safetensors format: an 8-byte length, a JSON header, then the bytes of arrays.

The header names each array with its type, shape and place, and may hold texts about them. Nothing
in it can run.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ..sparse import Array
from .files import FormatError, is_packed, reading, replacing

DTYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}


def write_safetensors(path: Path, arrays: dict[str, Array], metadata: dict[str, str]) -> None:
    """Write named arrays, and texts about them, to a safetensors file.

    ValueError for arrays of another type than float32, float64 and int64, and for a name in .gz.
    """
    if is_packed(path):
        raise ValueError(f"{path}: safetensors files are not packed; name it without .gz")
    names = {np.dtype(code): name for name, code in DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": metadata}
    start = 0
    for name, values in arrays.items():
        kind = values.dtype.newbyteorder("<")
        if kind not in names:
            raise ValueError(f"{name}: arrays of float32, float64 and int64 can be saved, not of "
                             f"{values.dtype}; convert it, as by astype(np.float32)")
        header[name] = {"dtype": names[kind], "shape": values.shape,
                        "data_offsets": [start, start + values.nbytes]}
        start += values.nbytes
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for values in arrays.values():
            file.write(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)


def read_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a safetensors file; FormatError, with the place, if it is damaged or says untruths.

    Nothing is allocated that the file does not hold.
    """
    if is_packed(path):
        raise FormatError(f"{path}: safetensors files are not packed: unpack it first")
    with reading(path) as file:
        size = path.stat().st_size
        start = file.read(8)
        n = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if n > size - 8:
            raise FormatError(f"{path}: not a safetensors file: its header would be longer than "
                              f"the file ({size} bytes)")
        try:
            header = json.loads(file.read(n), object_pairs_hook=object_once)
            metadata = header.pop("__metadata__", {})
            places = [Place(name, **entry) for name, entry in header.items()]
            if not all(isinstance(text, str) for text in metadata.values()):
                raise TypeError("its metadata are not texts")
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


def object_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError if it says something twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands in it twice")
    return found


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
