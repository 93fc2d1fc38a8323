"""English words that the grammars of stretches of time share: numbers, units, parts, superlatives.

Belongs here: those words and what a match of them says. Does not belong here: stretches (`windows_lengths.py`,
`windows_since.py`, `windows_calendar.py`).
"""

from __future__ import annotations

import bisect
import re

from rally_pipeline.notes.numerals import english_number
from rally_pipeline.notes.stretches import Scan
from rally_pipeline.notes.word_sets import words

NUMBER = (
    r"(?:\d{1,3}(?:\.\d)?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen"
    r"|fifteen|sixteen|eighteen|twenty"
    r"|thirty|forty|fifty|sixty|couple\s+of|half|several|few|multi|many)"
)
UNIT = (
    r"(?:(?:trading|calendar|straight|consecutive|full|whole|market)[\s-])?(?:days?|weeks?|months?|quarters?"
    r"|years?|decades?|sessions?|fortnight)"
)
MORE = (
    r"(?:(?P<more>(?:just |slightly |a little |well )?(?:more than|over|above)|at least)|(?P<nearly>nearly|almost"
    r"|close to|just under|less than)"
    r"|(?P<about>about|around|roughly|approximately|some|as much as|as many as|only|just|at least))\s+"
)
PART = r"(?:early|mid|late|the\s+(?:very\s+)?(?:start|beginning|end|middle|turn)\s+of|start\s+of|end\s+of|end)"
YEAR = r"(?:19[5-9]\d|20[0-6]\d)(?![\d%]|[.,]\d|\s?(?:points?|percent|per\s|shares))"
WEEKDAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern in which case does not matter."""
    return re.compile(pattern, re.IGNORECASE)


_SUPERLATIVES = words("least best worst record peak unseen fewest")
_AFTER_THE = words("the its their for")  # "the most since", "for the first time since"
_LEVELS = words("low lows high highs seen")  # only right before: "a high since"
# A move between the superlative and the stretch: the stretch belongs to the move
# ("the biggest lender rose 5% since …").
_MOVES = words(
    "rose risen fell fallen gained climbed jumped surged dropped slid slumped added lost soared rallied advanced "
    "up down returned outperformed"
    " underperformed declined tumbled plunged doubled tripled shed sank sunk rebounded recovered retreated"
)
_CLAUSE_END = re.compile(r"[,;:!?]|\.(?!\d)")
_NOT_SUPERLATIVE = words(
    "interest latest invest request suggest forest protest rest test west harvest contest reinvest arrest digest modest"
    " honest guest quest midwest northwest southwest conquest unrest manifest priest pest everest divest attest"
)
EXTREME_NOUN = (
    r"(?:(?:intra-?day|closing|trading|price|fresh|new)[\s-])?(?:highs?|lows?|peaks?|troughs?|bests?|worsts?"
    r"|tops?|bottoms?|nadir|maximum|minimum|records?)"
)
LOW = (
    r"(?:(?:intra-?day|closing|trading|recent|cycle|bear[\s-]market)[\s-])?(?:(?P<low>lows?|troughs?|bottoms?"
    r"|nadir)|(?P<high>highs?|peaks?|tops?))(?![\w-])"
)


def is_superlative(scan: Scan, at: int) -> bool:
    """Whether a superlative stands before `at` in the same clause, at most 72 characters away."""
    begin = max(scan.start, at - 72)
    for number in range(bisect.bisect_left(scan.tokens, at, key=_position) - 1, -1, -1):
        word, first = scan.tokens[number]
        if first < begin or word in _MOVES:
            return False
        before = scan.tokens[number - 1][0] if number else ""
        if (
            (word.endswith("est") and len(word) > 4 and word not in _NOT_SUPERLATIVE)
            or word in _SUPERLATIVES
            or (word in ("most", "first") and (before in _AFTER_THE or at - first < 7))
            or (word in _LEVELS and at - first - len(word) < 3)
            or (word == "any" and _is_more_than(scan, number))
        ):
            return _CLAUSE_END.search(scan.text, first, at) is None
    return False


def _is_more_than(scan: Scan, number: int) -> bool:
    """Whether "any" at a token ends "more than on any": a superlative in other words."""
    before = [word for word, _ in scan.tokens[max(0, number - 3) : number]]
    return "than" in before and not _MORE_LESS.isdisjoint(before)


_MORE_LESS = words("more less fewer higher lower bigger larger")


def _position(token: tuple[str, int]) -> int:
    return token[1]


def amount_of(words: str) -> float | None:
    """The number that a match of `NUMBER` states; ``None`` if it states none (``several``)."""
    lower = words.lower()
    if lower.startswith("couple"):
        return 2
    if lower == "half":
        return 0.5
    if lower in ("several", "few", "multi", "many"):
        return None
    if lower[0].isdigit():
        return float(lower)
    if lower in ("a", "an", ""):
        return 1
    return english_number(lower)


def unit_of(words: str) -> str:
    """The unit of a match of `UNIT` in the singular."""
    unit = re.split(r"[\s-]", words.lower())[-1].rstrip("s")
    return {"session": "session", "day": "day"}.get(unit, unit)


def hedge_of(match: re.Match[str]) -> str:
    """``more``, ``nearly``, ``about`` or ``""`` from the groups of `MORE`."""
    return "more" if match["more"] else "nearly" if match["nearly"] else "about" if match["about"] else ""


def part_of(words: str | None) -> str:
    """``early``, ``mid``, ``late``, ``start``, ``end`` or ``""`` from the words of a part."""
    lower = (words or "").lower()
    for part, marks in (
        ("early", ("early",)),
        ("mid", ("mid",)),
        ("late", ("late",)),
        ("start", ("start", "begin", "turn")),
        ("end", ("end",)),
    ):
        if any(mark in lower for mark in marks):
            return part
    return ""
