"""Files of word vectors, read strictly and written whole or not at all.

==================  ==============================================================================
safetensors         the native format: an 8-byte length, a JSON header that names each array with
                    its type, shape and place, then the bytes of the arrays
word2vec-text       a line ``n d``, then n lines: a word and d decimal numbers, one space between
                    (word2vec.c and fastText leave a space at the end of a line, gensim does not)
word2vec-binary     a line ``n d``, then n times: a word, a space, d little-endian float32 numbers
                    (word2vec.c ends each with a line end, gensim does not)
glove               as word2vec-text, without the first line
projector           the Embedding Projector's two files: a line of numbers between tabs for each
                    vector, and a line for each word
==================  ==============================================================================

A name that ends in .gz means a packed file; safetensors files are not packed. Nothing in any of
them can run; nothing is unpickled. The vectors of all but the native format must be finite: a NaN
in a file is damage, and is not written.
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..sparse import Array
from .files import FormatError, is_packed, reading, replacing
from .safetensors import object_once, read_safetensors, write_safetensors

SUFFIXES = {".safetensors": "safetensors", ".txt": "word2vec-text", ".vec": "word2vec-text",
            ".bin": "word2vec-binary", ".glove": "glove", ".tsv": "projector"}

LONGEST_WORD = 1 << 16  # bytes; what goes on for longer is no word
LONGEST_LINE = 1 << 24
PIECE = 1 << 20         # bytes read at once
ROWS = 1024             # vectors written at once
HINT = " (header=True or False says whether the first line is a header)"


@dataclass(frozen=True)
class Table:
    """What a file holds: `words`, `vectors` (n, d), and what else is known (see WordVectors)."""

    words: list[str]
    vectors: Array
    counts: Array | None = None
    dropped: Mapping[str, int] | None = None
    settings: Mapping[str, Any] | None = None


# ── any format ──


def read_table(path: Path, format: str | None = None) -> Table:
    """Read a file in the named format, or in the one that its first bytes tell."""
    if format is not None:
        _check_known(format)
        return READERS[format](path)
    found = recognise(path)
    try:
        return READERS[found](path)
    except FormatError as error:
        raise FormatError(f"{error} (its first bytes are those of {found}; pass format= if it is "
                          "something else)") from error


def write_table(table: Table, path: Path, format: str | None = None) -> None:
    """Write a file in the named format, or in the one that the name ends in."""
    if format is None:
        suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
        format = SUFFIXES.get(suffixes[-1]) if suffixes else None
        if format is None:
            raise ValueError(f"{path}: no format goes by that name; pass format=, one of "
                             f"{', '.join(WRITERS)}, or end the name in one of "
                             f"{', '.join(SUFFIXES)}")
    _check_known(format)
    WRITERS[format](table, path)


def _check_known(format: str) -> None:
    if format not in READERS:
        raise ValueError(f"no format is called {format!r}: use one of {', '.join(READERS)}")


def recognise(path: Path) -> str:
    """The name of a file's format, by its first bytes (and for projector by its name)."""
    with reading(path) as file:
        start = file.read(PIECE)
    if not start:
        raise FormatError(f"{path} is empty")
    if ".tsv" in (suffix.lower() for suffix in path.suffixes[-2:]):
        return "projector"
    if start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] < 1 << 40:
        return "safetensors"
    if start[:1] == b"\x80":
        raise FormatError(f"{path} is a pickle, which could run anything on loading: save the "
                          "vectors with gensim's save_word2vec_format() and read that")
    first, _, rest = start.partition(b"\n")
    second, ended, _ = rest.partition(b"\n")
    if size := _header(first):
        numeric = _numeric(second.rstrip(b"\r ").split(b" ")[1:None if ended else -1])
        return "word2vec-text" if numeric or size[0] == 0 else "word2vec-binary"
    if _numeric(first.rstrip(b"\r ").split(b" ")[1:]):
        return "glove"
    raise FormatError(f"{path}: its first bytes {start[:20]!r} are of no format known here "
                      f"({', '.join(READERS)})")


def _numeric(fields: Sequence[bytes]) -> bool:
    """Whether there are fields, and all of them are numbers."""
    try:
        list(map(float, fields))
    except ValueError:
        return False
    # Python's float takes 1_0 for 10: nobody writes that, and no other reader takes it.
    return bool(fields) and not any(b"_" in field for field in fields)


# ── word2vec, text and binary; GloVe ──


def read_word2vec_text(path: Path, header: bool | None = None, errors: str = "strict",
                       limit: int | None = None, dtype: Any = np.float32) -> Table:
    """Read word2vec's text format, or GloVe's, which has no header.

    `header` says whether the first line is ``n d``; None: if it looks like that. `errors` is
    Python's, for words that are not UTF-8; only the first `limit` words are read. Numbers are held
    as `dtype`, float32 or float64. FormatError, with the line, for anything else than a table of
    finite numbers with different words. Memory grows with what is there, not with what is claimed.
    """
    _check_options(errors, limit)
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"numbers are held as float32 or float64, not {np.dtype(dtype)}")
    numbers: array[float] = array(np.dtype(dtype).char)
    words: dict[str, int] = {}
    n = d = None
    with reading(path) as file:
        lines: Iterator[tuple[int, bytes]] = enumerate(_lines(file, path), 1)
        _, first = next(lines)
        size = _header(first) if header is not False else None
        if size:
            n, d = size
        elif header:
            raise FormatError(f"{path}, line 1: {first[:40]!r} is no header 'n d'")
        else:
            lines = itertools.chain([(1, first)], lines)
        for i, line in lines:
            if len(words) in (n, limit):
                if len(words) == limit:
                    break
                raise FormatError(f"{path}, line {i}: the header says {n} words of {d} numbers, "
                                  f"but more lines follow them{HINT}")
            raw, _, rest = line.rstrip(b" ").partition(b" ")
            word = _enter(raw, words, errors, path, "line", i)
            d = _append(numbers, rest, b" ", d, f"{path}, line {i}, the vector of {word[:40]!r}",
                        HINT if size or i == 2 else "")
    if n is not None and len(words) < min(n, n if limit is None else limit):
        raise FormatError(f"{path}: the header says {n} words, but the file ends after "
                          f"{len(words)}{HINT}")
    vectors = np.asarray(numbers).reshape(len(words), d or 1)
    return _finite(Table(list(words), vectors), f"{path}, line", words)


def read_word2vec_binary(path: Path, errors: str = "strict", limit: int | None = None) -> Table:
    """Read word2vec's binary format; `errors`, `limit` and refusals as for the text format."""
    _check_options(errors, limit)
    numbers, words = bytearray(), dict[str, int]()
    with reading(path) as file:
        n, d, offset = _binary_header(file, path)
        data, at = b"", 0  # what is read, from `offset` on, and how far it is used
        while len(words) < n and len(words) != limit:
            space = data.find(b" ", at, at + LONGEST_WORD + 2)
            where = f"{path}, byte {offset + at}"
            if space < 0 and len(data) - at > LONGEST_WORD + 1:
                raise FormatError(f"{where}: the word does not end: the vectors have another "
                                  f"length than the {d} of the header, or this is no such file")
            if space < 0 or len(data) < space + 1 + 4 * d:
                if not (more := file.read(max(PIECE, len(data) - at))):
                    raise FormatError(f"{where}: the file ends in word {len(words) + 1} of {n}")
                data, at, offset = data[at:] + more, 0, offset + at
                continue
            raw = data[at:space].removeprefix(b"\n")
            if b"\n" in raw:
                raise FormatError(f"{where}: the word {raw[:40]!r} holds a line end: the vectors "
                                  f"have another length than the {d} of the header")
            _enter(raw, words, errors, path, "byte", offset + at)
            at = space + 1 + 4 * d
            numbers += data[space + 1:at]
        if len(words) == n and (rest := data[at:] + file.read(2)) not in (b"", b"\n"):
            raise FormatError(f"{path}, byte {offset + at}: {rest[:20]!r} follows after the {n} "
                              "words of the header")
    vectors = np.frombuffer(numbers, "<f4").astype(np.float32, copy=False).reshape(len(words), d)
    return _finite(Table(list(words), vectors), f"{path}, byte", words)


def write_word2vec(table: Table, path: Path, binary: bool = False, header: bool = True) -> None:
    """Write word2vec's text or binary format, byte by byte what gensim writes.

    Text has the fewest decimals that give the same number back, of float32 and float64; binary is
    float32. ValueError, before anything is written, for words that are empty, hold white space, or
    cannot be written as UTF-8, for vectors that are not finite, and for a binary without header.
    """
    if binary and not header:
        raise ValueError("the binary format cannot be read without its header")
    _check_words(table.words, str.split, "holds white space")
    n, d = table.vectors.shape
    blocks = _blocks(table, "<f4" if binary else None)
    with replacing(path) as file:
        file.write(f"{n} {d}\n".encode() if header else b"")
        for words, rows in blocks:
            if binary:
                file.writelines(b"%b %b" % (word.encode(), row.tobytes())
                                for word, row in zip(words, rows, strict=True))
            else:
                file.writelines(f"{word} {' '.join(numbers)}\n".encode()
                                for word, numbers in zip(words, _decimals(rows), strict=True))


def _check_options(errors: str, limit: int | None) -> None:
    codecs.lookup_error(errors)  # LookupError for a name that Python does not know
    if limit is not None and limit < 0:
        raise ValueError(f"limit is a number of words from 0 up, not {limit}")


def _lines(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """The lines of a text, without their ends; FormatError if one has none."""
    for i in itertools.count(1):
        if not (line := file.readline(LONGEST_LINE)):
            if i == 1:
                raise FormatError(f"{path} is empty")
            return
        if not line.endswith(b"\n"):
            raise FormatError(f"{path}, line {i}: no line end after {len(line)} bytes: the file is "
                              "cut off (or no text, or somebody forgot the last line end)")
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _header(line: bytes) -> tuple[int, int] | None:
    """The numbers n and d of a header line, if it is one."""
    match = re.fullmatch(rb"(\d{1,15}) ([1-9]\d{0,14})[ \r]*", line)
    return (int(match[1]), int(match[2])) if match else None


def _binary_header(file: IO[bytes], path: Path) -> tuple[int, int, int]:
    """The numbers n and d with which a binary file begins, and the length of that line."""
    first = file.readline(64)
    size = _header(first[:-1]) if first.endswith(b"\n") else None
    if not size:
        raise FormatError(f"{path}: {first[:40]!r} is not the line 'n d', n words of d numbers, "
                          "with which a binary file begins")
    n, d = size
    if not is_packed(path) and path.is_file() and n * (4 * d + 2) > path.stat().st_size:
        raise FormatError(f"{path}: the header says {n} words of {d} numbers, for which "
                          f"{path.stat().st_size} bytes are too few: it lies, or the file is cut "
                          "off")
    return n, d, len(first)


def _enter(raw: bytes, words: dict[str, int], errors: str, path: Path, unit: str,
           place: int) -> str:
    """Enter a new word into `words`, with its place in the file, and give it."""
    where = f"{path}, {unit} {place}"
    try:
        word = raw.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: the word {raw[:40]!r} is not UTF-8 from its byte "
                          f"{error.start} on; pass errors='replace' to read it with U+FFFD there, "
                          "or errors='surrogateescape'") from None
    if not word:
        raise FormatError(f"{where}: an empty word")
    if words.setdefault(word, place) != place:
        raise FormatError(f"{where}: the word {word[:40]!r} stands in the file already, at "
                          f"{unit} {words[word]}")
    return word


def _append(numbers: array[float], text: bytes, separator: bytes, d: int | None, where: str,
            hint: str = "") -> int:
    """Append the d numbers of a text to `numbers`, and give d; FormatError if they are not that."""
    fields = text.split(separator) if text else []
    if not fields or len(fields) != (d or len(fields)):
        raise FormatError(f"{where}: {len(fields)} numbers, not {d or 'one or more'}{hint}")
    try:
        numbers.extend(map(float, fields))
        good = b"_" not in text
    except ValueError:
        good = False
    if not good:
        bad = next(field for field in fields if not _numeric([field]))
        raise FormatError(f"{where}: {bad[:40]!r} is not a number")
    return len(fields)


def _finite(table: Table, where: str, places: Mapping[str, int]) -> Table:
    """The table; FormatError, with the place of the word, if a number is not finite."""
    bad = np.flatnonzero(~np.isfinite(table.vectors).all(axis=1))
    if len(bad):
        word = table.words[bad[0]]
        raise FormatError(f"{where} {places[word]}: the vector of {word[:40]!r} holds NaN, or a "
                          "number beyond its type")
    return table


def _check_words(words: Iterable[str], split: Callable[[str], list[str]], what: str) -> None:
    """ValueError, with the word, for words that no reader would find again."""
    for word in words:
        problem = what if split(word) != [word] else ""
        try:
            if not word:
                problem = "is empty"
            elif len(word) > LONGEST_WORD // 4 and len(word.encode()) > LONGEST_WORD:
                problem = f"is longer than {LONGEST_WORD} bytes"
            elif not word.isascii():
                word.encode()
        except UnicodeEncodeError:
            problem = "cannot be written as UTF-8"
        if problem:
            raise ValueError(f"the word {word[:40]!r} {problem}: this format cannot hold it. Leave "
                             "it out, or save() the vectors, which keeps any word")


def _blocks(table: Table, dtype: str | None = None) -> Iterator[tuple[list[str], Array]]:
    """The table in blocks of rows, as float32 (float64 if it is, and no type is given).

    ValueError at once, before the first block, if there is a number that is not finite, or none.
    """
    kind = np.dtype(dtype or np.result_type(table.vectors.dtype, np.float32))
    n, d = table.vectors.shape
    if d == 0:
        raise ValueError("vectors of no numbers cannot be written")

    def block(i: int) -> tuple[list[str], Array]:
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity: seen below
            return table.words[i:i + ROWS], table.vectors[i:i + ROWS].astype(kind, copy=False)

    for words, rows in map(block, range(0, n, ROWS)):
        if not np.isfinite(rows).all():
            word = words[int(np.argmin(np.isfinite(rows).all(axis=1)))]
            raise ValueError(f"the vector of {word!r} holds NaN, or a number beyond {kind.name}: "
                             "no reader of this format takes that. save() keeps any number")
    return map(block, range(0, n, ROWS))


def _decimals(rows: Array) -> Iterable[Iterable[str]]:
    """The numbers of each row with the fewest digits that give the same number back."""
    if rows.dtype == np.float64:
        return (map(repr, row) for row in rows.tolist())
    return (map(str, row) for row in rows)


# ── the Embedding Projector ──


def metadata_beside(path: Path) -> Path:
    """Where the words go if nothing is said: vectors.tsv → metadata.tsv, x.tsv → x_metadata.tsv."""
    if "vectors" in path.name:
        return path.with_name(path.name.replace("vectors", "metadata"))
    name, dot, suffixes = path.name.partition(".")
    return path.with_name(f"{name}_metadata{dot}{suffixes}")


def read_projector(path: Path, metadata: Path | None = None) -> Table:
    """Read the Embedding Projector's files: of the metadata the first column, and one "count"."""
    metadata = metadata or metadata_beside(path)
    numbers, d = array("f"), None
    with reading(path) as file:
        for i, line in enumerate(_lines(file, path), 1):
            d = _append(numbers, line, b"\t", d, f"{path}, line {i}")
    words, counts = dict[str, int](), array("q")
    with reading(metadata) as file:
        lines = enumerate(_lines(file, metadata), 1)
        first = next(lines)
        columns = first[1].split(b"\t")  # a header, if there is more than one
        for i, line in lines if len(columns) > 1 else itertools.chain([first], lines):
            fields, where = line.split(b"\t"), f"{metadata}, line {i}"
            if len(fields) != len(columns):
                raise FormatError(f"{where}: {len(fields)} fields, not {len(columns)}")
            _enter(fields[0], words, "strict", metadata, "line", i)
            if b"count" in columns[1:]:
                count = fields[columns.index(b"count", 1)]
                if not re.fullmatch(rb"\d{1,18}", count):
                    raise FormatError(f"{where}: the count {count[:40]!r} is no whole number")
                counts.append(int(count))
    vectors = np.asarray(numbers).reshape(-1, d or 1)
    if len(words) != len(vectors):
        raise FormatError(f"{metadata} has {len(words)} words for the {len(vectors)} vectors of "
                          f"{path}")
    return _finite(Table(list(words), vectors, np.asarray(counts) if counts else None),
                   f"{metadata}, line", words)


def write_projector(table: Table, path: Path, metadata: Path | None = None) -> None:
    """Write the Embedding Projector's files, each whole or not at all.

    ValueError, before anything is written, as for `write_word2vec`; but of white space only tabs
    and line ends are refused.
    """
    _check_words(table.words, lambda word: re.split(r"[\t\r\n]", word), "holds a tab or line end")
    blocks, metadata = _blocks(table), metadata or metadata_beside(path)
    if metadata == path:
        raise ValueError(f"{path}: vectors and words go to two files")
    with replacing(path) as numbers, replacing(metadata) as about:
        for _, rows in blocks:
            numbers.writelines(("\t".join(row) + "\n").encode() for row in _decimals(rows))
        if table.counts is None:
            about.writelines(f"{word}\n".encode() for word in table.words)
        else:
            about.write(b"word\tcount\n")
            about.writelines(f"{word}\t{count}\n".encode()
                             for word, count in zip(table.words, table.counts, strict=True))


# ── the native format ──


def write_native(table: Table, path: Path) -> None:
    """Write all of a table to a safetensors file: words, dropped words and settings as JSON."""
    arrays = {"vectors": table.vectors}
    if table.counts is not None:
        arrays["counts"] = np.asarray(table.counts, np.int64)
    dropped = table.dropped and {word: int(count) for word, count in table.dropped.items()}
    about = {"words": table.words, "dropped": dropped, "settings": table.settings}
    texts = {name: _json(name, value) for name, value in about.items() if value is not None}
    write_safetensors(path, arrays, {"format": "tinygrad_w2v word vectors", **texts})


def _json(name: str, value: Any) -> str:
    try:
        text = json.dumps(dict(value) if isinstance(value, Mapping) else value, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape
        return json.dumps(value)
    except TypeError as error:
        raise ValueError(f"{name} cannot be saved: {error}") from None
    return text


def read_native(path: Path) -> Table:
    """Read what `write_native` wrote; FormatError, saying where, if the file is not that."""
    arrays, metadata = read_safetensors(path)
    try:
        words, vectors, counts = metadata["words"], arrays["vectors"], arrays.get("counts")
        about = {name: json.loads(metadata[name], object_pairs_hook=object_once)
                 for name in ("words", "dropped", "settings") if name in metadata}
        words, dropped, settings = about["words"], about.get("dropped"), about.get("settings")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("its words are no list of strings")
        if not isinstance(dropped, dict | None) or not all(
                type(count) is int for count in (dropped or {}).values()):
            raise ValueError("its dropped words have no counts")
        if not isinstance(settings, dict | None):
            raise ValueError("its settings have no names")
        if vectors.dtype == np.int64:
            raise ValueError("its vectors are whole numbers")
    except (KeyError, ValueError, RecursionError) as error:
        raise FormatError(f"{path}: a safetensors file, but not of word vectors: "
                          f"{error}") from error
    return Table(words, vectors, counts, dropped, settings)


READERS: dict[str, Callable[[Path], Table]] = {
    "safetensors": read_native,
    "word2vec-text": lambda path: read_word2vec_text(path, header=True),
    "word2vec-binary": read_word2vec_binary,
    "glove": lambda path: read_word2vec_text(path, header=False),
    "projector": read_projector,
}
WRITERS: dict[str, Callable[[Table, Path], None]] = {
    "safetensors": write_native,
    "word2vec-text": write_word2vec,
    "word2vec-binary": lambda table, path: write_word2vec(table, path, binary=True),
    "glove": lambda table, path: write_word2vec(table, path, header=False),
    "projector": write_projector,
}
