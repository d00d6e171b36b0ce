"""`evaluate`: scores of vectors on files of word pairs and of analogies."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..word2vec import WordVectors
from ..word2vec.files import reading
from .files import read
from .options import Options, Parser, vectors_options, whole
from .terminal import complain, message, show, shown, table


def evaluate_options(added: Parser) -> None:
    """Add what `evaluate` is told."""
    vectors_options(added)
    added.add_argument("files", metavar="FILE", nargs="+",
                       help="word pairs or analogies; .gz is unpacked")
    added.add_argument("--restrict-vocab", type=whole(1), default=300_000, metavar="N",
                       help="only the first N words are known (default: %(default)s)")
    added.add_argument("--case-sensitive", action="store_true",
                       help="look words up as they are spelt, not by their upper case")


def evaluate(options: Options) -> int:
    """Print scores on files of word pairs and of analogies."""
    wv, scores, errors = read(options), list[dict[str, Any]](), list[str]()
    for file in options.files:
        try:
            scores.append(score(wv, file, options.restrict_vocab, not options.case_sensitive))
        except (OSError, ValueError) as error:
            errors.append(message(error))
            complain(error)
    show({"scores": scores, "errors": errors}, "\n\n".join(map(score_text, scores)), options.json)
    return 1 if errors else 0


def score(wv: WordVectors, file: str, known: int, fold: bool) -> dict[str, Any]:
    """What evaluating the vectors on a file gives; NaN is None."""
    kind, delimiter = kind_of(Path(file))
    if kind == "word pairs":
        pairs = wv.evaluate_word_pairs(file, delimiter, known, fold)
        values = {name: None if math.isnan(x) else x for name, x in pairs._asdict().items()}
        return {"file": file, "kind": kind, **values}
    solved = wv.evaluate_analogies(file, known, fold)
    return {"file": file, "kind": kind, **solved._asdict(),
            "sections": [section._asdict() for section in solved.sections]}


def kind_of(path: Path) -> tuple[str, str | None]:
    """Whether a file has "analogies" or "word pairs", and what stands between a pair's words."""
    with reading(path) as file:
        start = file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").splitlines()
    first = next((line for line in start if line.strip() and not line.startswith(b"#")), b"")
    delimiter = next((mark for mark in ("\t", ",") if mark.encode() in first), None)
    if first.startswith(b":") or (delimiter is None and len(first.split()) == 4):
        return "analogies", None
    return "word pairs", delimiter


def score_text(score: dict[str, Any]) -> str:
    """One file's scores as a table."""
    if score["kind"] == "word pairs":
        rows = [[name, "undefined" if score[name] is None else f"{score[name]:.4f}"]
                for name in ("spearman", "pearson")]
        rows += [["pairs used", f"{score['used']:,}"], ["unknown", f"{score['unknown']:.1%}"]]
    else:
        every = {"name": "all", "unknown": score["unknown"], **{
            name: sum(section[name] for section in score["sections"])
            for name in ("correct", "total")}}
        rows = [["section", "correct", "of", "share", "unknown"]]
        rows += [[part["name"], f"{part['correct']:,}", f"{part['total']:,}",
                  f"{part['correct'] / part['total']:.1%}" if part["total"] else "none",
                  f"{part['unknown']:.1%}"] for part in [*score["sections"], every]]
    return f"{shown(score['file'])}: {score['kind']}\n{table(rows)}"
