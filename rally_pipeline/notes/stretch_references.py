"""Words that take a stretch of time over from what was said before: "over the same period", "since then", 同期.

Belongs here: finding them and the window they stand for. Does not belong here: stretches that are named
(`windows.py`), and what a sentence takes over without a word for it (`claim_parts.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from rally_pipeline.notes.records import Passage, Window, WindowKind
from rally_pipeline.notes.stated_days import is_stated

#: How many sentences back the stretch may be named.
SENTENCES_BACK: Final = 2

_LENGTHS: Final = frozenset({WindowKind.LOOKBACK, WindowKind.ALL_TIME})
_FROM_THEN: Final = frozenset(
    {WindowKind.SINCE_DATE, WindowKind.SINCE_EVENT, WindowKind.SINCE_LOW, WindowKind.SINCE_HIGH}
)
_ENGLISH: Final = re.compile(
    r"\b(?:(?P<since>since then|since that (?:day|date|time))"
    r"|(?:over|in|during|for|across|within|throughout) (?:"
    r"(?:the|that|this) (?:same|very same|said|identical)"
    r" (?:(?!period|month|quarter|week|year|time|last|of)[\w-]+ ){0,2}?"
    r"(?:period|sessions?|days?|stretch|time|timeframe|weeks?|months?|quarter|year|span|window|interval|spell)"
    r"|(?:that|those) (?:[\w-]+ )?(?:period|stretch|time|timeframe|span|window|interval|spell|sessions|days|weeks)))\b"
    # "the same period last year", "a year earlier": another stretch than the one before.
    r"(?! (?:last|a|one|the (?:previous|prior|year)|of (?:last|the|\d+)"
    r"|in (?:the (?:previous|prior)|last|\d+)|\d+|earlier|when)\b)",
    re.IGNORECASE,
)
_CHINESE: Final = re.compile(
    r"(?P<since>自那时(?:起|以来)?|自那時(?:起|以來)?|自此|此后|此後|那之后|那之後)"
    r"|(?<![年月季周週比较較])同期(?!增|減|减|相比|比|下|上|的)|同一(?:时期|時期|期间|期間|时段|時段)|在?(?:此|这|這)(?:段)?(?:期间|期間|时间内|時間內)"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """Such words, and the window they stand for; ``None`` if that cannot be told."""

    start: int
    end: int
    window: Window | None


def reference(passage: Passage, start: int, end: int) -> Reference | None:
    """The first such words between two offsets of a sentence."""
    match = (_CHINESE if passage.is_chinese else _ENGLISH).search(passage.text, start, end)
    if match is None:
        return None
    return Reference(match.start(), match.end(), _meant(passage, match))


def _meant(passage: Passage, match: re.Match[str]) -> Window | None:
    before = [one for one in _stretches(passage) if one.end <= match.start()]
    earlier = passage.previous
    for _ in range(SENTENCES_BACK):
        if before or earlier is None:
            break
        before = _stretches(earlier)
        earlier = earlier.previous
    if not before:
        return None
    longer = [one for one in before if one.kind is not WindowKind.DAY]
    if not match["since"]:
        return replace((longer or before)[-1], is_inherited=True)
    last = before[-1]
    if last.kind in _FROM_THEN:
        return replace(last, is_inherited=True)
    if last.last is None or last.start_earliest is None:
        return None
    # After a day, or after a stretch that is over.
    return Window(
        start=match.start(),
        end=match.end(),
        kind=WindowKind.SINCE_DATE,
        start_earliest=last.last,
        start_latest=last.last,
        is_base_inclusive=None,
    )


def _stretches(passage: Passage) -> list[Window]:
    return [one for one in passage.windows if one.kind not in _LENGTHS and not is_stated(passage, one)]
