"""Stretches of time named in a text: the entry point, and which reading wins where several fit.

Belongs here: the order of the rules and the cheap tests before them. Does not belong here: the English words
(`windows_lengths.py`, `windows_since.py`, `windows_calendar.py`), the Chinese (`windows_chinese.py`), printed dates
(`dates.py`), the arithmetic of days and what "mid-January" spans (`stretches.py`).

Decisions:

- The span holds the words that state the stretch with their preposition: ``since mid-January``, ``in September``,
  ``three-year high``, ``year to date``, ``on February 17``; not the superlative before it (``highest`` *since October
  2021*).
- A length or ``since`` behind a superlative of the same clause (``highest in three years``, ``most since 2021``) is a
  LOOKBACK, otherwise TRAILING or SINCE.
- ``this year's high`` and ``highest this year`` are LOOKBACKs from 1 January; ``record``, ``all-time``, ``ever`` and
  ``since listing`` are ALL_TIME.
- ``since the end of last year`` is the year to date: the last close of December is the base of both.
- ``year on year``, ``a year earlier``, ``annual``, ``next week`` and ``later this year`` give nothing.
- Names of months and weekdays mean the last one on or before the as-of day. Without an as-of day the kind is still
  given, its days only where the text states them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping

from rally_pipeline.notes.dates import find_dates, has_date, note_date
from rally_pipeline.notes.records import Window
from rally_pipeline.notes.stretches import WORD, Scan
from rally_pipeline.notes.windows_calendar import (
    dates,
    days_named,
    first_months_named,
    lengths_ended,
    periods,
    to_dates,
    unit_highs,
    weeks_ended,
)
from rally_pipeline.notes.windows_lengths import ever, length_highs, records, streaks, trailings
from rally_pipeline.notes.windows_since import dated_events, holidays, lows, named_events, new_years, sinces
from rally_pipeline.notes.word_sets import words

__all__ = ["find_dates", "find_windows", "note_date"]

_FIGURE = re.compile(r"\d")
_YEAR = re.compile(r"[12](?<!\d[12])[09]\d\d(?!\d)")
_MONTH_WORDS = words(
    "january february march april may june july august september october november december jan feb mar apr jun "
    "jul aug sep sept oct nov dec"
)
_UNIT_WORDS = words(
    "day days week weeks month months quarter quarters year years decade decades session sessions fortnight"
)
_WEEKDAY_WORDS = words(
    "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thurs fri"
    " today yesterday morning afternoon evening"
)
_LEVEL_WORDS = words(
    "high highs low lows peak peaks trough troughs bottom bottoms top tops nadir best bests worst record records "
    "maximum minimum"
)

_EXTREME_WORDS = words("highest lowest biggest largest strongest weakest")
_TO_DATE_WORDS = words("ytd mtd qtd wtd date this start beginning turn outset since far current the new jan january")
_TO_DATE_UNITS = words("year month quarter week ytd mtd qtd wtd far date jan january")
_STREAK_WORDS = words(
    "streak rally run advance slide slump rout rebound surge selloff decline drop gain climb fall period stretch "
    "return performance"
    " losing winning"
)
_RECORD_WORDS = words(
    "record unprecedented time history listing listed debut debuted debuts ipo inception public records "
    "data lifetime flotation"
)
_BEGIN_WORDS = words("since from off above below beneath")
_AFTER_WORDS = words("since after following post wake")

#: Most specific first: words once taken are not read again. A rule runs if the text has a word of each set.
_RULES: tuple[tuple[frozenset[str], frozenset[str] | None, Callable[[Scan], None]], ...] = (
    (_RECORD_WORDS, None, records),
    (_LEVEL_WORDS, _BEGIN_WORDS, lows),
    (_LEVEL_WORDS, _UNIT_WORDS, length_highs),
    (frozenset({"year", "month", "week", "quarter", "ytd", "yearly", "s"}), _LEVEL_WORDS | _EXTREME_WORDS, unit_highs),
    (frozenset({"year", "festival", "cny"}), _AFTER_WORDS, new_years),
    (frozenset({"holiday", "holidays", "festival", "golden", "break"}), _AFTER_WORDS, holidays),
    (frozenset({"deepseek", "stimulus", "symposium"}), _AFTER_WORDS, named_events),
    (frozenset({"ended", "ending", "to", "through", "until"}), _UNIT_WORDS, weeks_ended),
    (frozenset({"ended", "ending", "to", "through", "until"}), _MONTH_WORDS, lengths_ended),
    (frozenset({"first"}), frozenset({"months", "quarters"}), first_months_named),
    (_TO_DATE_WORDS, _TO_DATE_UNITS, to_dates),
    (frozenset({"since", "from", "dating", "between"}), None, sinces),
    (frozenset({"since"}), _MONTH_WORDS, dated_events),
    (_STREAK_WORDS, _UNIT_WORDS, streaks),
    (_UNIT_WORDS, None, trailings),
    (frozenset({"ever"}), None, ever),
)  # fmt: skip
_RULE_WORDS = frozenset(word for triggers, also, _ in _RULES for word in triggers | (also or frozenset()))
_CHINESE_TRIGGER = re.compile("[年月日周週季天昨今史歷历来來節节低高新紀纪]")


def find_windows(
    text: str, start: int, end: int, as_of: dt.date | None, events: Mapping[str, dt.date] | None = None
) -> list[Window]:
    """The stretches of time named in ``text[start:end]``, in order of position, not overlapping.

    Args:
        as_of: the day the text is written for; without it only dated words are resolved.
        events: expanded event ids and their dates, as `SINCE_EVENT` is resolved against.
    """
    scan = Scan(text, start, end, as_of, events or {})
    found = set(map(str.lower, WORD.findall(text, start, end)))
    _stretches(scan, found & _RULE_WORDS)
    if not text.isascii() and _CHINESE_TRIGGER.search(text, start, end) is not None:
        from rally_pipeline.notes.windows_chinese import read_chinese

        read_chinese(scan)
    _calendar(scan, found)
    return scan.windows


def _stretches(scan: Scan, found: set[str]) -> None:
    """English stretches, the more specific before the rest."""
    if not found:
        return
    for triggers, also, rule in _RULES:
        if not found.isdisjoint(triggers) and (also is None or not found.isdisjoint(also)):
            rule(scan)


def _calendar(scan: Scan, found: set[str]) -> None:
    """Dates, calendar periods and days of the week: what no stretch has taken."""
    has_months = not found.isdisjoint(_MONTH_WORDS)
    has_figures = _FIGURE.search(scan.text, scan.start, scan.end) is not None
    if (has_months and has_figures) or has_date(scan.text, scan.start, scan.end):
        dates(scan)
    has_year = has_figures and _YEAR.search(scan.text, scan.start, scan.end) is not None
    if (
        has_months
        or has_year
        or not found.isdisjoint(("half", "quarter"))
        or (has_figures and not found.isdisjoint("hq"))
    ):
        periods(scan)
    if not found.isdisjoint(_WEEKDAY_WORDS):
        days_named(scan)
