"""The words that soften or bound a number: "nearly", "more than", "as much as", 逾, 约, 以上.

Belongs here: those words and what they make of a number. Does not belong here: the number.
"""

from __future__ import annotations

import re

from rally_pipeline.notes.records import Comparator

_ADVERBS = ("", "just ", "slightly ", "a little ", "little ", "well ", "far ", "much ", "marginally ", "a touch ")
_BEFORE = {
    Comparator.APPROX: "nearly|almost|about|around|roughly|some|approximately|approx|approx.|circa|ca.|close to|near"
    "|an estimated|estimated|in the region of|to the tune of|in the neighbourhood of|in the neighborhood of"
    "|~|～|≈|约为|約為"
    "|大约|大約|约|約|近乎|将近|將近"
    "|接近|近|大概|大致",
    Comparator.AT_LEAST: "|".join(f"{adverb}{word}" for adverb in _ADVERBS for word in ("more than", "over", "above"))
    + "|in excess of|upwards of|upward of|north of|at least|no less than|not less than|no fewer than|a minimum of"
    "|exceeding"
    "|topping|>|>=|≥|＞|逾|超逾|超过|超過|超出|超|至少"
    "|不少于|不少於|最少|不低于|不低於|高于|高於|多于|多於|突破",
    Comparator.AT_MOST: "|".join(
        f"{adverb}{word}" for adverb in _ADVERBS for word in ("less than", "under", "below", "fewer than")
    )
    + "|no more than|not more than|at most|as much as|as many as|as high as|up to|just shy of|shy of|a maximum of"
    "|<|<=|≤|＜|不到|不足"
    "|少于|少於|低于|低於|未及|不及|最多|至多|不超过|不超過|未到",
}  # fmt: skip
_MEANING = {word: comparator for comparator, words in _BEFORE.items() for word in words.split("|")}


def _by_last_word() -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for word in sorted(_MEANING, key=len, reverse=True):
        if word.isascii() and word[0].isalpha():
            found.setdefault(word.rsplit(" ", 1)[-1], []).append(word)
    return {last: tuple(words) for last, words in found.items()}


#: English hedges by their last word, the longest first; and those written without blanks.
_ENGLISH = _by_last_word()
_OTHERS = tuple(
    sorted((word for word in _MEANING if not (word.isascii() and word[0].isalpha())), key=len, reverse=True)
)
_LAST_OF_OTHERS = frozenset(word[-1] for word in _OTHERS)
_ARTICLES = frozenset({"a", "an", "the", "its", "another"})
_WIDEST = max(map(len, _MEANING)) + 12
_BLANKS = {ord(char): " " for char in "\n\t\u00a0\u2009\u202f"}
# "went up to 85", "moved close to": then "up to" is where the number goes, not its bound.
_MOTION = re.compile(
    r"(?:moved|went|going|gone|goes|push(?:ed|es)?|back|edged|crept|climbed|shot|bid|bumped|it|them|marked|add(?:s|ed|ing)?|sum(?:s|med)?|tot(?:s|ted))\s\Z"
)
_AFTER = re.compile(
    r"\s?(?P<approx>左右|上下|or so\b|or thereabouts\b|-ish\b)|\s?(?P<at_least>以上|之上|or more\b|or higher\b|or "
    r"above\b|and above\b|\+(?!\s?[\d.])(?![A-Za-z]))"
    r"|\s?(?P<at_most>以下|之下|or less\b|or lower\b|or below\b)",
    re.IGNORECASE,
)


def hedge_before(text: str, start: int, at: int) -> tuple[str, int, Comparator] | None:
    """The hedge that ends before `at` (not reaching back beyond `start`): its words, where it begins, what it means."""
    begin = max(start, at - _WIDEST)
    part = text[begin:at].translate(_BLANKS).rstrip(" ")
    if not part or at - begin - len(part) > 2:
        return None
    tail = part.lower()
    if len(tail) != len(part):
        return None  # a letter whose lower case is longer: no hedge has one
    last = _last_word(tail)
    if last in _ARTICLES:
        tail = tail[: -len(last)].rstrip(" ")
        last = _last_word(tail)
    words = _ENGLISH.get(last) or (_OTHERS if tail[-1:] in _LAST_OF_OTHERS else ())
    for word in words:
        if not tail.endswith(word):
            continue
        first = len(tail) - len(word)
        if (
            first
            and word[0].isascii()
            and word[0].isalpha()
            and tail[first - 1].isascii()
            and tail[first - 1].isalnum()
        ):
            continue
        if word == "up to" and _MOTION.search(tail, 0, first) is not None:
            return None
        return part[first : len(tail)], begin + first, _MEANING[word]
    return None


def _last_word(tail: str) -> str:
    """The English letters (and full stop) at the end."""
    word = tail.rpartition(" ")[2]
    if word.isascii():
        return word.lstrip("(\"'-")
    at = len(word)
    while at and word[at - 1].isascii() and word[at - 1].isalpha():
        at -= 1
    return word[at:]


def hedge_after(text: str, at: int, stop: int) -> tuple[str, Comparator] | None:
    """The hedge that follows at `at`: ``50%+``, ``or more``, ``左右``."""
    match = _AFTER.match(text, at, stop)
    if match is None:
        return None
    return match.group().strip(), Comparator(match.lastgroup or "eq")
