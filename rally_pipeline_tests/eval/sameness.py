"""When two values count as the same: names without legal form, ratings without hyphens, numbers to nine digits.

Belongs here: comparison of two values. Does not belong here: which finding belongs to which label (`scoring.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: Catalog id of a printed house, ``""`` if it is in no catalog.
BrokerId = Callable[[str], str]
#: Offsets of a stretch of text, end exclusive.
Span = tuple[int, int]

_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_CORPORATE = _words(
    "inc incorporated corp corporation co company ltd limited plc llc lp nv sa ag se group holding holdings hldgs",
    "the common stock stocks share shares s of",
)
#: Words that stand for a house or a company named elsewhere.
GENERIC_HOUSE = _words(
    "firm bank broker brokerage house we wall street analyst analysts it the its his her their",
    "该行 該行 大行 券商",
)
GENERIC_SUBJECT = _words(
    "stock shares share company the it its them they name equity price firm maker provider giant bank retailer",
    "该股 該股 公司 股价 股價",
)


def plain(text: str) -> str:
    """Words of a name or phrase, lower case, without quotes, hyphens and other punctuation."""
    text = text.casefold().replace("’", "'").replace("'s", "").replace("&", " ")
    return " ".join(re.findall(r"[^\W_]+", text))


def name_words(text: str) -> tuple[str, ...]:
    """Words of a company's name without its legal form; the plain words if nothing else is left."""
    words = tuple(plain(text).split())
    kept = tuple(word for word in words if word not in _CORPORATE)
    return kept or words


def is_generic(text: str, words: frozenset[str]) -> bool:
    """Whether a text names nobody ("the firm", "the stock")."""
    return all(word in words for word in plain(text).split())


def same_rating(one: str, other: str) -> bool:
    """Whether two printed ratings are the same apart from case, hyphens, quotes and the word rating."""
    keys = [re.sub(r"rating|评级|評級", "", plain(text)).replace(" ", "") for text in (one, other)]
    return keys[0] == keys[1]


def same_name(one: str, other: str) -> bool:
    """Whether two printed names mean the same: equal without legal form, or one begins with all words of the other."""
    a, b = name_words(one), name_words(other)
    if not a or not b:
        return a == b
    short, long_ = sorted((a, b), key=len)
    if "".join(a) == "".join(b) or long_[: len(short)] == short:
        return True
    # Chinese is written without spaces, so that a shorter form of a name is a part of a word.
    return _CHINESE.search(one) is not None and ("".join(short) in "".join(long_) or "".join(long_) in "".join(short))


def same_broker(one: str, other: str, broker_id: BrokerId) -> bool:
    """Whether two printed houses are the same by catalog id or by name."""
    ids = broker_id(one), broker_id(other)
    return (bool(ids[0]) and ids[0] == ids[1]) or same_name(one, other)


def same_number(one: float | None, other: float | None) -> bool:
    """Whether two numbers are equal to nine digits; None equals None."""
    if one is None or other is None:
        return one is other
    return abs(one - other) <= 1e-9 * max(abs(one), abs(other), 1e-9)


_CURRENCY_READINGS = {"$": {"$", "USD"}, "¥": {"¥", "JPY", "CNY"}, "GBX": {"GBX", "GBP", "GBp"}}


def same_currency(expected: str, found: str) -> bool:
    """Whether a found currency is one that the printed sign can mean."""
    return found in _CURRENCY_READINGS.get(expected, {expected})


def overlaps(one: Span, other: Span) -> bool:
    """Whether two spans share a character."""
    return one[0] < other[1] and other[0] < one[1]
