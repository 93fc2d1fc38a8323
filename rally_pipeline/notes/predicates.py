"""What a phrase like "its highest since May" or "the best-performing market" is said of.

Belongs here: finding the subject of a noun phrase that is said of something, by the verb, owner or name before it. Does
not belong here: the phrases (`extremes.py`, `ranks.py`), or numbers (`moves.py`).
"""

from __future__ import annotations

import bisect
from typing import Final

from rally_pipeline.notes import numeric_words as words
from rally_pipeline.notes.clauses import MAX_PIECE, Clauses, Token, clauses
from rally_pipeline.notes.noun_phrases import Found, Subject, judge
from rally_pipeline.notes.records import Passage
from rally_pipeline.notes.subject_phrases import inherited, phrase_start, subjects_before

SKIP: Final = frozenset(
    {
        "a",
        "an",
        "its",
        "their",
        "the",
        "fresh",
        "new",
        "latest",
        "at",
        "to",
        "near",
        "around",
        "nearly",
        "about",
        "by",
        "in",
    }
    | {
        "on",
        "close",
        "just",
        "more",
        "than",
        "over",
        "another",
        "multi-year",
        "closing",
        "intraday",
        "all-time",
        "of",
        "level",
    }
    | {"within", "striking", "distance", "shy", "into", "levels", "for", "up", "as", "all", "time", "roughly", "almost"}
    | {
        "toward",
        "towards",
        "with",
        "high",
        "its",
        "highs",
        "highest",
        "levels",
        "well",
        "slightly",
        "biggest",
        "since",
        "as",
    }
    | {"series", "string", "of", "raft", "consecutive", "straight", "successive"}
)
VERB_KINDS: Final = frozenset({"move", "trade", "close", "open", "either", "be", "light"})


def token_at(found: Clauses, offset: int) -> int:
    """Index of the first token that ends behind an offset."""
    return min(bisect.bisect_right(found.tokens, offset, key=_end), len(found.tokens) - 1)


def _end(token: Token) -> int:
    return token.end


def piece_bounds(passage: Passage, offset: int) -> tuple[int, int]:
    """Where the piece of the sentence around an offset begins and ends."""
    found = clauses(passage)
    if not found.tokens:
        return passage.start, passage.end
    tokens, piece = found.tokens, found.piece
    at = token_at(found, offset)
    first = last = at
    while first > 0 and piece[first - 1] == piece[at] and at - first < MAX_PIECE:
        first -= 1
    while last + 1 < len(tokens) and piece[last + 1] == piece[at] and last - at < MAX_PIECE:
        last += 1
    return tokens[first].start, tokens[last].end


def subjects_of(passage: Passage, first: int, last: int, *, is_beside: bool = True) -> Found:
    """What the phrase between two offsets is said of.

    Args:
        passage: an English sentence.
        first, last: the phrase.
        is_beside: whether a name may stand directly before it without a verb ("Hong Kong shares at two-month low").
    """
    found = clauses(passage)
    tokens = found.tokens
    if not tokens:
        return None
    at = token_at(found, first)
    index = at - 1
    while (
        index >= 0
        and (tokens[index].low in SKIP or tokens[index].kind in ("win", "qty"))
        and tokens[index].kind != "sub"
    ):
        index -= 1
    result: Found = None
    if index >= 0:
        if tokens[index].kind in VERB_KINDS:
            result = subjects_before(found, index, passage) or inherited(found, passage, index)
        elif tokens[index].kind == "poss" and index:
            begin = phrase_start(found, index - 1, found.piece[index - 1])
            judged = judge(tokens[begin:index], passage) if begin < index else None
            result = [judged] if isinstance(judged, Subject) else judged
        elif tokens[index].low == "(" and index and tokens[index - 1].kind in ("sub", "cap", "word"):
            # "the rupee (at a record low)"
            begin = phrase_start(found, index - 1, found.piece[index - 1])
            judged = judge(tokens[begin:index], passage) if begin < index else None
            result = [judged] if isinstance(judged, Subject) else judged
        elif tokens[index].kind in ("sub", "cap", "word") and (is_beside or index >= at - 3):
            begin = phrase_start(found, index, found.piece[index])
            judged = judge(tokens[begin : index + 1], passage) if begin <= index else None
            result = [judged] if isinstance(judged, Subject) else _by_verb(found, passage, index)
        else:
            result = inherited(found, passage, index + 1 if index + 1 < len(tokens) else index)
    return _after(found, passage, last) if result is None else result


def _by_verb(found: Clauses, passage: Passage, index: int) -> Found:
    """The subject of the nearest verb before, in the same piece."""
    here = found.piece[index]
    while index >= 0 and found.piece[index] == here:
        if found.tokens[index].kind in VERB_KINDS:
            return subjects_before(found, index, passage) or inherited(found, passage, index)
        index -= 1
    return None


def _after(found: Clauses, passage: Passage, offset: int) -> Found:
    tokens = found.tokens
    at = next((index for index, token in enumerate(tokens) if token.start >= offset), None)
    if at is None or tokens[at].low not in ("for", "in", "by"):
        return None
    last = at + 1
    while last < len(tokens) and last - at < 8 and tokens[last].kind in ("sub", "cap", "word", "poss"):
        if tokens[last].low in words.BREAKS or tokens[last].low in ("and", "at", "to"):
            break
        last += 1
    judged = judge(tokens[at + 1 : last], passage) if last > at + 1 else None
    return [judged] if isinstance(judged, Subject) else None


def stance_before(found: Clauses, at: int) -> str:
    """``forecasts`` or ``denies`` if a word before token `at` in its piece says so, else ``asserts``."""
    here = found.piece[at]
    index = at - 1
    while index >= 0 and found.piece[index] == here and at - index < 12:
        low = found.tokens[index].low
        if (low in words.MODALS and low not in ("set", "due", "seen")) or low in ("if", "unless"):
            return "forecasts"
        if low in words.DENIALS:
            return "denies"
        index -= 1
    return "asserts"
