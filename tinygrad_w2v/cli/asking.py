"""`similar` and `analogy`: questions to vectors, and the words that are nearest as answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..word2vec.vectors import UnknownWordError
from .files import read
from .options import Options, Parser, vectors_options, whole
from .terminal import complain, show, shown, table

Question = tuple[list[str], list[str]]  # words whose vectors are added, and subtracted


def similar_options(added: Parser) -> None:
    """Add what `similar` is told."""
    vectors_options(added)
    added.add_argument("words", metavar="WORD", nargs="+",
                       help="a word; after -- also one that begins with -")
    added.add_argument("--together", action="store_true",
                       help="ask one question, for the words near to the sum of all")
    added.add_argument("--minus", metavar="WORD", action="append", default=[],
                       help="subtract a word from that sum; may be given several times")
    _topn_option(added)


def _topn_option(added: Parser) -> None:
    added.add_argument("--topn", type=whole(1), default=10, metavar="N",
                       help="how many words to print (default: %(default)s)")


def similar(options: Options) -> int:
    """Print the nearest words of words."""
    if options.together or options.minus:
        return answer(options, [(options.words, options.minus)])
    return answer(options, [([word], []) for word in options.words])


def analogy_options(added: Parser) -> None:
    """Add what `analogy` is told."""
    vectors_options(added)
    for name in "abc":
        added.add_argument(name, metavar=name.upper(), help="a word")
    _topn_option(added)


def analogy(options: Options) -> int:
    """Answer what C is to as A is to B."""
    return answer(options, [([options.b, options.c], [options.a])])


def answer(options: Options, questions: Sequence[Question]) -> int:
    """Print the answers to all questions that have one, and say why others have none."""
    wv, answers, errors = read(options), list[dict[str, Any]](), list[str]()
    for plus, minus in questions:
        words = dict.fromkeys([*plus, *minus])
        if unknown := [str(UnknownWordError(word, wv)) for word in words if word not in wv]:
            errors += unknown
            continue
        try:
            near = wv.most_similar(plus, minus, options.topn)
        except ValueError as error:  # a vector that is not finite
            errors.append(str(error))
            continue
        answers.append({"plus": plus, "minus": minus, "neighbours": [
            {"word": word, "cosine": cosine} for word, cosine in near]})
    for text in errors:
        complain(text)
    show({"answers": answers, "errors": errors}, "\n\n".join(map(answer_text, answers)),
         options.json)
    return 1 if errors else 0


def answer_text(answer: dict[str, Any]) -> str:
    """One answer as a table."""
    question = " − ".join([" + ".join(answer["plus"]), *answer["minus"]])
    return f"{shown(question)}\n" + table(
        [near["word"], f"{near['cosine']:.4f}"] for near in answer["neighbours"])
