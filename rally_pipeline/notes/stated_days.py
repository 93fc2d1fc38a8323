"""The day up to which a sentence says it speaks: "by the close on Friday", "as of 14 February", 截至周五收盘.

Belongs here: finding such a day, also "by then" after a sentence that names one. Does not belong here: days on which
something happened (`windows_calendar.py`), and what a claim does with its day (`claim_parts.py`).

"By Friday" alone may mean the Friday to come; it counts only beside a past perfect ("by Friday it had risen") or where
the close is named. "to Friday" likewise needs the close, or a beginning before it ("from mid-January to Friday").
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

from rally_pipeline.notes.dates import MONTH, find_dates, last_of_month, month_number
from rally_pipeline.notes.records import Passage, Window, WindowKind
from rally_pipeline.notes.stretches import latest_month, latest_weekday
from rally_pipeline.notes.windows_words import WEEKDAY, WEEKDAYS, YEAR


@dataclass(frozen=True, slots=True)
class StatedDay:
    """The words, with their preposition, and the day."""

    start: int
    end: int
    day: dt.date


_CLOSE: Final = (
    r"(?:(?:the )?(?:market |trading )?(?:close|closing bell|end) (?:of (?:trad(?:e|ing)|business|the session|play)"
    r"(?: on)?|on|of)? ?)"
)
_ENGLISH: Final = re.compile(
    r"\b(?P<head>as (?:of|at)|by|through|thru|until|till|up (?:to|until)|to)(?P<and> and including)? "
    rf"(?P<close>{_CLOSE})?(?:the )?(?=\w)",
    re.IGNORECASE,
)
_ENGLISH_DAY: Final = re.compile(
    rf"(?:last |this )?(?P<weekday>{WEEKDAY})(?P<after>['’]s (?:close|closing|finish|settlement|session|end)\b)?"
    r"(?P<comma>,? \(?)?|(?P<rel>yesterday|today)(?P<after2>['’]s (?:close|closing|finish|session)\b)?"
    rf"|(?:end[- ](?:of )?|end of )(?P<month>(?-i:{MONTH}))(?: (?P<year>{YEAR}))?",
    re.IGNORECASE,
)
_AFTER_DATE: Final = re.compile(r"['’]s (?:close|closing|finish|settlement)\b|,? (?:at )?the close\b", re.IGNORECASE)
_FROM: Final = re.compile(r"\b(?:from|between|since)\b[^.;]{2,40}$", re.IGNORECASE)
_STRETCH_TO: Final = re.compile(
    r"\b(?:year|month|quarter|week|period|time|(?:years|months|quarters|weeks|days|sessions))\s*$", re.IGNORECASE
)
_PERFECT: Final = re.compile(r"\bhad\b|\bhas\b|\bhave\b", re.IGNORECASE)
_FUTURE: Final = re.compile(
    r"\b(?:will|would|could|should|might|may|expect\w*|forecast\w*|predict\w*|target\w*|due|must)\b", re.IGNORECASE
)
_CHINESE: Final = re.compile(
    r"(?:截至|截止到?|直至|直到|(?<![甚以乃直截开開升涨漲跌调調降])至)(?=[\d一二三四五六七八九十上本这這今昨去前星周週]|收)"
)
_CHINESE_DAY: Final = re.compile(
    r"(?P<last>上)?(?:本|这|這|今)?(?:周|週|星期)(?P<weekday>[一二三四五六日天])|(?P<rel>昨[日天]|今[日天])"
)
_CHINESE_TAIL: Final = re.compile(r"(?:收市|收盘|收盤|收)?(?:时|時|为止|為止|止|当日|當日)?")
_WEEKDAYS_ZH: Final = "一二三四五六日"
_THEN: Final = re.compile(
    r"\b(?:by|until|at|as of) (?:then|that (?:point|time|day|date|stage))\b"
    r"|\b(?:on )?(?:that (?:same )?day|the same day)\b"
    r"|到当时|到當時|截至当日|截至當日|截至当时|截至當時|截至该日|截至該日|当日收|當日收",
    re.IGNORECASE,
)
_THEN_HINTS: Final = ("then", "that ", "same day", "当", "當", "该日", "該日")


_PRICE_AFTER: Final = re.compile(r"(?: (?:price|level|value)\b)", re.IGNORECASE)
_YEAR_PRINTED: Final = re.compile(r"(?:19|20)\d\d")
#: A day without a year is the nearer of the last and the next one.
HALF_A_YEAR: Final = 183
#: Of a sentence at most so many are read: more stand only in hostile text.
MAX_DAYS: Final = 8

_last: tuple[Passage, tuple[StatedDay, ...]] | None = None


def stated_days(passage: Passage) -> tuple[StatedDay, ...]:
    """The days up to which a sentence says it speaks, in order. Kept for the grammars that follow on the passage."""
    global _last
    kept = _last
    if kept is not None and kept[0] is passage:
        return kept[1]
    made = tuple(_chinese(passage) if passage.is_chinese else _english(passage)) or _then(passage)
    _last = (passage, made)
    return made


def stated_day(passage: Passage, at: int) -> StatedDay | None:
    """The day that holds for words at an offset: the last one stated before it, else the first of the sentence."""
    found = stated_days(passage)
    before = [one for one in found if one.start <= at]
    return before[-1] if before else found[0] if found else None


def is_stated(passage: Passage, window: Window) -> bool:
    """Whether a DAY window of a sentence is such a day, and no day of its own: "as of Friday"."""
    if window.kind is not WindowKind.DAY or window.is_inherited:
        return False
    return any(one.start < window.end and window.start < one.end for one in stated_days(passage))


def _english(passage: Passage) -> list[StatedDay]:
    text, as_of = passage.text, passage.context.as_of
    made: list[StatedDay] = []
    for match in _ENGLISH.finditer(text, passage.start, passage.end):
        at = match.end()
        found = _day_at(text, at, passage.end, as_of)
        if found is None or (made and made[-1].end > match.start()):
            continue
        end, day, says_close = found
        if as_of is not None and (day > as_of or _is_rather_ahead(text, at, end, day, as_of)):
            continue
        if (not says_close and text[end : end + 1] in ("'", "’")) or _PRICE_AFTER.match(text, end):
            # "led by Friday's gains" names a day of its own.
            continue
        head = match["head"].lower()
        is_close = bool(match["close"]) or says_close
        is_open = head == "to" and not (match["and"] or is_close)
        before = text[max(passage.start, match.start() - 48) : match.start()]
        if is_open and not (_FROM.search(before) or _STRETCH_TO.search(before)):
            continue
        if head == "by" and not is_close and _PERFECT.search(text, passage.start, passage.end) is None:
            continue
        if head in ("by", "to", "until", "till") and _FUTURE.search(text, max(passage.start, match.start() - 60), at):
            continue
        made.append(StatedDay(match.start(), end, day))
        if len(made) == MAX_DAYS:
            break
    return made


def _is_rather_ahead(text: str, at: int, end: int, day: dt.date, as_of: dt.date) -> bool:
    """Whether a day printed without its year is rather the one to come: "does not open until January 20"."""
    return (as_of - day).days > HALF_A_YEAR and _YEAR_PRINTED.search(text, at, end) is None


def _day_at(text: str, at: int, stop: int, as_of: dt.date | None) -> tuple[int, dt.date, bool] | None:
    """End, day and whether the close is named, of a day printed at an offset."""
    match = _ENGLISH_DAY.match(text, at, stop)
    if match is None:
        dates = find_dates(text, at, min(stop, at + 28), as_of)
        if not dates or dates[0][0] != at:
            return None
        tail = _AFTER_DATE.match(text, dates[0][1], stop)
        return (tail.end() if tail else dates[0][1]), dates[0][2], tail is not None
    if match["month"]:
        month = month_number(match["month"])
        days = latest_month(month, as_of)
        year = int(match["year"]) if match["year"] else days[0].year if days else None
        return None if year is None else (match.end(), last_of_month(year, month), False)
    if match["rel"]:
        if as_of is None:
            return None
        ago = 1 if match["rel"].lower() == "yesterday" else 0
        return match.end(), as_of - dt.timedelta(days=ago), bool(match["after2"])
    if match["comma"]:
        dates = find_dates(text, match.end(), min(stop, match.end() + 28), as_of)
        if dates and dates[0][0] == match.end():
            tail = _AFTER_DATE.match(text, dates[0][1], stop)
            return (tail.end() if tail else dates[0][1]), dates[0][2], tail is not None
    day = latest_weekday(WEEKDAYS[match["weekday"][:3].lower()], as_of)
    end = match.end("after") if match["after"] else match.end("weekday")
    return None if day is None else (end, day, bool(match["after"]))


def _chinese(passage: Passage) -> list[StatedDay]:
    text, as_of = passage.text, passage.context.as_of
    made: list[StatedDay] = []
    for match in _CHINESE.finditer(text, passage.start, passage.end):
        at = match.end()
        named = _CHINESE_DAY.match(text, at, passage.end)
        day: dt.date | None = None
        end = at
        if named is not None and named["weekday"]:
            weekday = _WEEKDAYS_ZH.index(named["weekday"].replace("天", "日"))
            day, end = latest_weekday(weekday, as_of), named.end()
            if named["last"] and as_of is not None:
                day = as_of - dt.timedelta(days=as_of.weekday() + 7 - weekday)
        elif named is not None:
            end = named.end()
            day = None if as_of is None else as_of - dt.timedelta(days=1 if named["rel"][0] == "昨" else 0)
        else:
            dates = find_dates(text, at, min(passage.end, at + 14), as_of)
            if dates and dates[0][0] == at:
                end, day = dates[0][1], dates[0][2]
        if day is None or (as_of is not None and day > as_of):
            continue
        tail = _CHINESE_TAIL.match(text, end, passage.end)
        made.append(StatedDay(match.start(), tail.end() if tail else end, day))
        if len(made) == MAX_DAYS:
            break
    return made


def _then(passage: Passage) -> tuple[StatedDay, ...]:
    """Of "by then" and "on that day": the day stated, or the one day named, in the sentence before."""
    earlier = passage.previous
    if earlier is None or not _says_then(passage):
        return ()
    match = _THEN.search(passage.text, passage.start, passage.end)
    if match is None:
        return ()
    days = [one.day for one in (_chinese(earlier) if earlier.is_chinese else _english(earlier))] or [
        one.start_earliest
        for one in earlier.windows
        if one.kind is WindowKind.DAY and one.start_earliest is not None and one.start_earliest == one.start_latest
    ]
    return (StatedDay(match.start(), match.end(), days[-1]),) if days else ()


def _says_then(passage: Passage) -> bool:
    low = passage.text[passage.start : passage.end].lower()
    return any(hint in low for hint in _THEN_HINTS)
