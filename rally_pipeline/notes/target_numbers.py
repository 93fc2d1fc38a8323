"""Tells new numbers from old ones around a target: lists of them, remarks in brackets, "versus Rs 740 earlier".

Belongs here: questions about places of numbers in the words of a sentence. Does not belong here: whose target it is
(`targets.py`), how a number is printed (`rating_numbers.py`).
"""

from __future__ import annotations

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_tokens import BREAK, NUMBER, TARGET, VERB, Words
from rally_pipeline.notes.records import QuantityKind

COUNTS = frozenset((QuantityKind.MONEY, QuantityKind.NUMBER, QuantityKind.POINTS))
_KEPT = rw.word_set("""maintained unchanged unch unch. reiterated retained same reaffirmed kept affirmed""")
_OLD_WORDS = rw.word_set("""earlier was before formerly prev prev. previously prior old""")
_TOLD_BEFORE = frozenset(("earlier", "before", "previously", "prior", "formerly"))


def series(words: Words, first: int) -> list[int]:
    """The places of the numbers of a list that begins at `first`: "HK$5, HK$6 and HK$7"."""
    if first < 0:
        return []
    places = [first]
    k = first + 1
    while k + 1 < len(words) and words.low[k] in (",", "and", "&") and len(places) < 8:
        k += 1
        if words.low[k] == "and" and k + 1 < len(words):
            k += 1
        if words.kind[k] != NUMBER:
            break
        places.append(k)
        k += 1
    return places


def priors(words: Words, first: int, news: list[int]) -> list[int]:
    """The places of the old numbers of a list of new ones, -1 where none are told; `first` is the one found already."""
    after = news[-1] + 1
    while words.low[after : after + 1] in ([","], ["respectively"], ["each"]):
        after += 1
    is_from = words.low[after : after + 1] == ["from"] and words.kind[after + 1 : after + 2] == [NUMBER]
    old = series(words, after + 1 if is_from else first)
    return old if len(old) == len(news) else [-1] * len(news)


def index_prior(words: Words, new: int) -> int:
    """Place of the points an index target had before: "at 28,000 in a year, up from 26,500"; -1 if none is told."""
    for k in range(new + 1, min(len(words) - 1, new + 12)):
        if words.kind[k] in (BREAK, TARGET, VERB):
            break
        number = words.numbers.get(k + 1)
        if words.low[k] == "from" and number is not None:
            is_led = words.low[k - 1] in ("up", "down", "raised", "lowered", "cut", "higher", "lower", ",", "(")
            is_like = number.kind in COUNTS and not number.currency and number.value >= 100
            return k + 1 if is_like and (is_led or k == new + 1 or is_told_before(words, k + 1)) else -1
    return -1


def is_kept(words: Words, new: int) -> bool:
    """Whether a remark in brackets says that a target is the old one: "TP IDR 11,200 (maintained)", "(unch.)"."""
    return words.low[new + 1 : new + 2] == ["("] and words.low[new + 2 : new + 3] != [] and words.low[new + 2] in _KEPT


def is_old(words: Words, n: int, new: int) -> bool:
    """Whether the bracket around the number at `n` says that it held before: "(Earlier 15,300)", "(was $2.60)"."""
    k = n - 1
    while k > new and words.low[k] == ":":
        k -= 1
    return k - 1 > new - 1 and words.low[k] in _OLD_WORDS and words.low[k - 1] == "("


def is_told_before(words: Words, n: int) -> bool:
    """Whether the word after the number at `n` says that it held before: "versus Rs 740 earlier"."""
    if words.kind[n : n + 1] != [NUMBER] or words.low[n + 1 : n + 2] == []:
        return False
    lead = words.low[n - 1]
    return lead in ("versus", "vs", "against", "from") and words.low[n + 1] in _TOLD_BEFORE
