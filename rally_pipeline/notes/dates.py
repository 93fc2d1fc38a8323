"""Calendar dates printed in a text, and the date a note bears.

Belongs here: days, months and their arithmetic. Does not belong here: stretches of time (`windows.py`).

Readings: ``2025-02-17``, ``2025/2/17`` and ``2025年2月17日`` are year first; ``17.02.2025`` is day first. ``3/2/2025``
is day first or month first, whichever is possible; where both are, the only one that is not after the as-of day and at
most 400 days before it; where that does not decide, it is no date. A day without a year is the last one on or before
the as-of day. ``May`` and ``March`` must be capitalised.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re

from rally_pipeline.notes.numerals import chinese_number

MONTH_NUMBERS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
         "sep sept september", "oct october", "nov november", "dec december"), start=1,
    )
    for name in names.split()
}  # fmt: skip

_FULL = "January|February|March|April|May|June|July|August|September|October|November|December"
_SHORT = r"Sept\.?|Jan\.?|Feb\.?|Mar\.?|Apr\.?|Jun\.?|Jul\.?|Aug\.?|Sep\.?|Oct\.?|Nov\.?|Dec\.?"
_LOWER = "january|february|april|june|july|august|september|october|november|december"
#: A month, with the full stop of its abbreviation. Lower-case only where the word means nothing else.
MONTH = rf"(?:{_FULL}|{_SHORT}|{_FULL.upper()}|{_SHORT.upper()}|{_LOWER})(?![A-Za-z])"
_MONTH_TRIGGER = re.compile(
    "[JFMASONDjfasond](?:an|eb|ar|pr|ay|un|ul|ug|ep|ct|ov|ec|AN|EB|AR|PR|AY|UN|UL|UG|EP|CT|OV|EC)"
)

_ZH_NUMBER = r"(?:\d{1,2}|[一二三四五六七八九十]{1,3})"
_YEAR_BEHIND = r"(?:19|20)\d\d)(?![\d,]\d|\d|%)"
# Each pattern begins with a set of characters, which makes the search for it fast.
_DAY_FIRST = re.compile(
    rf"(?P<day>\d(?<![\d.,/$-]\d)\d?)(?:st|nd|rd"
    rf"|th)?(?:\s+of)?[ \u00a0-]{{1,2}}(?P<month>{MONTH})(?:,?[ \u00a0-](?P<year>{_YEAR_BEHIND})?"
)
_MONTH_FIRST = re.compile(
    rf"(?P<month>{MONTH})(?:[ \u00a0-]|(?<=\.))(?P<day>\d{{1,2}})(?:st|nd|rd|th)?"
    r"(?![\d%]|[.,:]\d|\s?(?:%|per\s?cent|pct|bps?\b|[mb]n\b|million|billion|points))"
    rf"(?:,?\s(?P<year>{_YEAR_BEHIND})?"
)
_YEAR_FIRST = re.compile(
    r"(?P<year>[12](?<![\d/.-][12])[09]\d\d)(?P<sign>[-/.])(?P<month>\d{1,2})(?P=sign)(?P<day>\d{1,2})(?!\d|[/.-]\d)"
)
_FIGURES = re.compile(
    r"(?P<first>\d(?<![\d/.-]\d)\d?)(?P<sign>[-/.])(?P<second>\d{1,2})(?P=sign)(?P<year>(?:19|20)\d\d|\d\d)(?!\d"
    r"|[/.-]\d|%)"
)
_CHINESE = re.compile(
    rf"(?:(?P<year>(?:19|20)\d\d|[二一][〇零○九][〇零○一二三四五六七八九]{{2}}|今|去"
    rf"|前)年)?(?<!\d)(?P<month>{_ZH_NUMBER})月"
    rf"(?P<day>{_ZH_NUMBER})[日号號]"
)
_FIGURE_TRIGGER = re.compile(r"\d[-/.]\d{1,2}[-/.]\d")


def month_number(name: str) -> int:
    """1 to 12 for an English name or abbreviation of a month in any case, with or without its full stop."""
    return MONTH_NUMBERS[name.lower().rstrip(".")]


def last_of_month(year: int, month: int) -> dt.date:
    """The last day of a month."""
    return dt.date(year, month, calendar.monthrange(year, month)[1])


def add_months(day: dt.date, months: int) -> dt.date:
    """The same day of the month some months later (earlier if negative); the month's last day where there is none."""
    years, month = divmod(day.month - 1 + months, 12)
    year = min(max(day.year + years, 1), 9999)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def make_date(year: int, month: int, day: int) -> dt.date | None:
    """A date, or ``None`` if there is no such day."""
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


def latest_day(month: int, day: int, as_of: dt.date | None) -> dt.date | None:
    """The last such day of a year on or before `as_of`."""
    if as_of is None:
        return None
    for year in range(as_of.year, max(as_of.year - 9, 0), -1):
        found = make_date(year, month, day)
        if found is not None and found <= as_of:
            return found
    return None


def _chinese_day(match: re.Match[str], as_of: dt.date | None) -> dt.date | None:
    month, day = _number(match["month"]), _number(match["day"])
    year = match["year"]
    if year is None:
        return latest_day(month, day, as_of)
    if year in "今去前":
        return None if as_of is None else make_date(as_of.year - "今去前".index(year), month, day)
    return make_date(int(year) if year.isdigit() else chinese_number(year) or 1, month, day)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else chinese_number(text) or 0


def _with_year(year: str | None, month: int, day: int, as_of: dt.date | None) -> dt.date | None:
    return latest_day(month, day, as_of) if year is None else make_date(int(year), month, day)


def _figures(first: int, second: int, year_text: str, separator: str, as_of: dt.date | None) -> dt.date | None:
    if len(year_text) == 2 and separator != "/":
        return None  # 1.2.25 and 1-2-25 may be anything
    year = int(year_text) + (2000 if len(year_text) == 2 else 0)
    day_first, month_first = make_date(year, second, first), make_date(year, first, second)
    if separator == "." or month_first is None or first == second:
        return day_first
    if day_first is None:
        return month_first
    if as_of is None:
        return None
    near = [day for day in (day_first, month_first) if 0 <= (as_of - day).days <= 400]
    return near[0] if len(near) == 1 else None


def has_date(text: str, start: int, end: int) -> bool:
    """Whether a date in figures or in Chinese may stand in a stretch of text; cheap."""
    return text.find("月", start, end) >= 0 or _FIGURE_TRIGGER.search(text, start, end) is not None


def find_dates(text: str, start: int, end: int, as_of: dt.date | None) -> list[tuple[int, int, dt.date]]:
    """Explicit calendar dates in ``text[start:end]``: ``(start, end, day)``, in order, not overlapping.

    A day and month without a year are resolved against `as_of`; without one they are left out.
    """
    found: list[tuple[int, int, dt.date | None]] = []
    if _MONTH_TRIGGER.search(text, start, end) is not None:
        for pattern in (_DAY_FIRST, _MONTH_FIRST):
            found += [
                (*match.span(), _with_year(match["year"], month_number(match["month"]), int(match["day"]), as_of))
                for match in pattern.finditer(text, start, end)
            ]
    if _FIGURE_TRIGGER.search(text, start, end) is not None:
        found += [
            (*match.span(), make_date(int(match["year"]), int(match["month"]), int(match["day"])))
            for match in _YEAR_FIRST.finditer(text, start, end)
        ]
        found += [
            (*match.span(), _figures(int(match["first"]), int(match["second"]), match["year"], match["sign"], as_of))
            for match in _FIGURES.finditer(text, start, end)
        ]
    if text.find("月", start, end) >= 0:
        found += [(*match.span(), _chinese_day(match, as_of)) for match in _CHINESE.finditer(text, start, end)]
    kept: list[tuple[int, int, dt.date]] = []
    for first, last, day in sorted(found, key=lambda item: (item[0], -item[1])):
        if day is not None and (not kept or first >= kept[-1][1]):
            kept.append((first, last, day))
    return kept


# ---------------------------------------------------------------- the date of a note
_LABEL = re.compile(
    r"(?im)^[ \t>*#|]{0,6}(?:date|dated|published(?:\s+on)?|publication\s+date|publish(?:ed)?\s+date"
    r"|issued?(?:\s+date)?|released?|posted|updated"
    r"|last\s+updated|report\s+date|日期|发布日期|發布日期|发布时间|發布時間|报告日期|報告日期|发表日期"
    r"|發表日期)\s{0,3}[:：|]?[*\s]{0,4}(?=[\dA-Za-z二])"
)
_DATELINE = re.compile(
    rf"(?m)^[A-Z][A-Z .,/'-]{{1,40}}?(?:,|\s)\s?(?:\([A-Za-z ]{{2,20}}\)\s)?(?={MONTH}\s\d|\d{{1,2}}\s{MONTH})"
    rf"|^[\u4e00-\u9fff]{{2,8}}(?=\d{{1,2}}月\d{{1,2}}日电|\d{{1,2}}月\d{{1,2}}日電|（|\()"
)
_PRICED = re.compile(
    r"(?i)\b(?:as\s+(?:of|at)|priced?|prices|close|closing|since|until|through|from|due|expir|founded|listed"
    r"|results? on|next)\b|截至|截止|收市|收盘|收盤|自"
)
_YEAR = re.compile(r"(?<!\d)20\d\d(?!\d)")
_WEEKDAY_ONLY = re.compile(
    r"(?i)^\W*(?:(?:mon|tues?|wed(?:nes)?|thur?s?|fri|sat(?:ur)?|sun)(?:day)?\b|星期[一二三四五六日天]"
    r"|周[一二三四五六日])?\W*$"
)


def note_date(text: str) -> tuple[dt.date, int, int] | None:
    """The day a note bears in its head (first 1,500 characters) or foot (last 300): ``(day, start, end)`` or ``None``.

    In order of trust: a labelled date (``Date: …``, ``Published …``, ``日期：…``); a dateline (``HONG KONG, Feb 17``);
    a line of at most 100 characters that begins or ends with a date or has it in a cell of its own. A line that speaks
    of prices, closings or stretches is passed over. A dateline without a year takes the one year the head and foot
    name.
    """
    head = min(len(text), 1500)
    foot = max(head, len(text) - 300)
    parts = [(0, head)] if foot >= len(text) else [(0, head), (foot, len(text))]
    guess = _only_year(text, parts)
    for start, end in parts:
        for label in _LABEL.finditer(text, start, end):
            stop = min(end, label.end() + 48)
            line_end = text.find("\n", label.end(), stop)
            found = find_dates(text, label.end(), line_end if line_end >= 0 else stop, guess)
            if found and found[0][0] - label.end() <= 16:
                return found[0][2], found[0][0], found[0][1]
    for start, end in parts:
        for dateline in _DATELINE.finditer(text, start, end):
            found = find_dates(text, dateline.end(), min(end, dateline.end() + 32), guess)
            if found and found[0][0] - dateline.end() <= 2:
                return found[0][2], found[0][0], found[0][1]
    for start, end in parts:
        at = start
        for line in text[start:end].split("\n"):
            if 6 <= len(line.strip()) <= 100 and _PRICED.search(line) is None:
                for first, last, day in find_dates(text, at, at + len(line), None):
                    left, right = text[at:first], text[last : at + len(line)]
                    if _is_edge(left) or _is_edge(right):
                        return day, first, last
            at += len(line) + 1
    return None


def _is_edge(part: str) -> bool:
    """Whether nothing, a weekday or a time of day stands between a date and the edge of its line or cell."""
    cell = re.split(r"[|｜•·\t]", part)
    return any(
        _WEEKDAY_ONLY.match(re.sub(r"\d{1,2}:\d\d(?::\d\d)?|[+-]\d{4}|\b[A-Z]{2,4}\b|[apAP]\.?[mM]\.?", "", side))
        is not None
        for side in (cell[0], cell[-1])
    )


def _only_year(text: str, parts: list[tuple[int, int]]) -> dt.date | None:
    years = {match.group() for start, end in parts for match in _YEAR.finditer(text, start, end)}
    return dt.date(int(years.pop()), 12, 31) if len(years) == 1 else None
