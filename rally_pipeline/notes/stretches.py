"""How words for time become days: the arithmetic behind `windows.py`.

Belongs here: the start and end of named stretches of time, given the as-of day. Does not belong here: finding the
words.

Parts of a month: early = 1st to 10th, mid = 10th to 20th, late = 21st to the last; "the start of" = 1st to 5th, "the
end of" = 25th to the last. Parts of a year: early = January to March, mid = May to August, late = October to December;
start = January, end = December. Weeks begin on Monday.
"""

from __future__ import annotations

import bisect
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rally_pipeline.notes.dates import add_months, last_of_month
from rally_pipeline.notes.records import Window, WindowKind

Span = tuple[dt.date, dt.date]
_TO_DATE_KINDS = {
    "year": WindowKind.YEAR_TO_DATE,
    "month": WindowKind.MONTH_TO_DATE,
    "quarter": WindowKind.QUARTER_TO_DATE,
    "week": WindowKind.WEEK_TO_DATE,
}


def _start(window: Window) -> int:
    return window.start


#: A word or number of a text, as `Scan.tokens` has them.
WORD = re.compile(r"[A-Za-z]+|\d+")


@dataclass(slots=True)
class Scan:
    """One call of `find_windows`: its text and day, and the windows accepted so far, by their start.

    `tokens` are the English words in lower case and where each begins; every number is ``#``. Most texts name no
    stretch and are never cut.
    """

    text: str
    start: int
    end: int
    as_of: dt.date | None
    events: Mapping[str, dt.date]
    windows: list[Window] = field(default_factory=list)
    _tokens: list[tuple[str, int]] | None = None

    @property
    def tokens(self) -> list[tuple[str, int]]:
        """See the class."""
        if self._tokens is None:
            self._tokens = [
                ("#" if token.group()[0].isdigit() else token.group().lower(), token.start())
                for token in WORD.finditer(self.text, self.start, self.end)
            ]
        return self._tokens

    def matches(self, pattern: re.Pattern[str], first_words: frozenset[str]) -> Iterator[re.Match[str]]:
        """Matches of a pattern that begin at one of these words, left to right, not overlapping."""
        floor = self.start
        for word, at in self.tokens:
            if word in first_words and at >= floor:
                match = pattern.match(self.text, at, self.end)
                if match is not None:
                    yield match
                    floor = match.end()

    def add(self, window: Window) -> None:
        """Accept a window unless its words are taken already."""
        at = bisect.bisect_right(self.windows, window.start, key=_start)
        if at and self.windows[at - 1].end > window.start:
            return
        if at < len(self.windows) and self.windows[at].start < window.end:
            return
        self.windows.insert(at, window)

    def span(self, start: int, end: int, kind: WindowKind, within: Span | None, **more: object) -> None:
        """Accept a window that begins in `within`."""
        first, latest = within if within is not None else (None, None)
        self.add(Window(start, end, kind, first, latest, **more))  # type: ignore[arg-type]

    def period(self, start: int, end: int, days: Span | None) -> None:
        """Accept a closed stretch with both its ends; one that has not ended yet is open."""
        if days is None:
            self.add(Window(start, end, WindowKind.PERIOD))
            return
        first, last = days
        if self.as_of is not None and first > self.as_of:
            return  # the future is no window of a market return
        closed = None if self.as_of is not None and last > self.as_of else last
        self.add(Window(start, end, WindowKind.PERIOD, first, first, closed))

    def day(self, start: int, end: int, day: dt.date | None) -> None:
        """Accept one day."""
        self.add(Window(start, end, WindowKind.DAY, day, day, day))


def year_span(year: int) -> Span:
    """First and last day of a year."""
    return dt.date(year, 1, 1), dt.date(year, 12, 31)


def month_span(year: int, month: int) -> Span:
    """First and last day of a month."""
    return dt.date(year, month, 1), last_of_month(year, month)


def quarter_span(year: int, quarter: int) -> Span:
    """First and last day of a quarter."""
    return dt.date(year, quarter * 3 - 2, 1), last_of_month(year, quarter * 3)


def half_span(year: int, half: int) -> Span:
    """First and last day of a half-year."""
    return dt.date(year, 1 if half == 1 else 7, 1), last_of_month(year, half * 6)


def first_months(year: int, count: int) -> Span:
    """First and last day of the first months of a year."""
    return dt.date(year, 1, 1), last_of_month(year, min(max(count, 1), 12))


def week_span(day: dt.date) -> Span:
    """Monday and Sunday of the week of a day."""
    monday = day - dt.timedelta(days=day.weekday())
    return monday, monday + dt.timedelta(days=6)


def month_part(part: str, year: int, month: int) -> Span:
    """The days that ``early``, ``mid``, ``late``, ``start`` or ``end`` of a month can mean."""
    first, last = month_span(year, month)
    low, high = {"early": (1, 10), "mid": (10, 20), "late": (21, last.day), "start": (1, 5), "end": (25, last.day)}[
        part
    ]
    return first.replace(day=low), first.replace(day=high)


def year_part(part: str, year: int) -> Span:
    """The days that ``early``, ``mid``, ``late``, ``start`` or ``end`` of a year can mean."""
    low, high = {"early": (1, 3), "mid": (5, 8), "late": (10, 12), "start": (1, 1), "end": (12, 12)}[part]
    return dt.date(year, low, 1), last_of_month(year, high)


def latest_month(month: int, as_of: dt.date | None) -> Span | None:
    """The last such month that has begun by the as-of day."""
    if as_of is None:
        return None
    return month_span(as_of.year if month <= as_of.month else as_of.year - 1, month)


def latest_ended_month(month: int, as_of: dt.date | None) -> Span | None:
    """``last September``: the last such month that is over."""
    if as_of is None:
        return None
    return month_span(as_of.year if month < as_of.month else as_of.year - 1, month)


def latest_weekday(weekday: int, as_of: dt.date | None, is_before: bool = False) -> dt.date | None:
    """The last such day of the week (Monday = 0) on or before the as-of day; with `is_before`, before it."""
    if as_of is None:
        return None
    back = (as_of.weekday() - weekday) % 7
    return as_of - dt.timedelta(days=back or (7 if is_before else 0))


def back(as_of: dt.date | None, months: int | None, days: int | None) -> dt.date | None:
    """The day that lies a length of time before the as-of day."""
    if as_of is None:
        return None
    if months is not None:
        return add_months(as_of, -months)
    return None if days is None else as_of - dt.timedelta(days=min(days, 100_000))


def length_of(number: float, unit: str) -> tuple[int | None, int | None]:
    """``(months, days)`` of a length: years, quarters, decades and months in months; weeks, days, sessions in days."""
    per_month = {"year": 12, "month": 1, "quarter": 3, "decade": 120}.get(unit)
    if per_month is not None:
        return min(int(number * per_month + 0.5), 6000), None
    return None, min(int(number * {"week": 7, "fortnight": 14}.get(unit, 1) + 0.5), 100_000)


def lookback_span(as_of: dt.date | None, number: float, unit: str, hedge: str) -> Span | None:
    """When a stretch of about this length may have begun; `hedge` is ``more``, ``nearly``, ``about`` or ``""``."""
    months, days = length_of(number, unit)
    exact = back(as_of, months, days)
    if exact is None or as_of is None or not hedge:
        return None if exact is None else (exact, exact)
    step_months, step_days = length_of(1, unit)
    longer = back(exact, step_months, step_days) or exact
    half_days = max(1, (exact - longer).days // 2)
    if hedge == "more":
        return longer, exact
    if hedge == "nearly":
        return exact, min(as_of, exact + dt.timedelta(days=half_days))
    return exact - dt.timedelta(days=half_days), min(as_of, exact + dt.timedelta(days=half_days))


def event_of(stem: str, events: Mapping[str, dt.date], as_of: dt.date | None) -> tuple[str, dt.date | None]:
    """The latest event on or before the as-of day whose id begins with or holds `stem`: its id and date.

    ``("", None)`` if there is none; for the Lunar New Year then the id of the as-of year (or without a year).
    """
    found = sorted((day, key) for key, day in events.items() if stem in key and (as_of is None or day <= as_of))
    if found and as_of is not None:
        return found[-1][1], found[-1][0]
    if stem == "lunar_new_year":
        return (stem if as_of is None else f"{stem}_{as_of.year}"), None
    if len(found) == 1:
        return found[0][1], found[0][0]
    return "", None


def current_start(unit: str, as_of: dt.date | None) -> dt.date | None:
    """First day of the year, quarter, month or week of the as-of day."""
    if as_of is None:
        return None
    if unit == "week":
        return week_span(as_of)[0]
    return as_of.replace(day=1, month={"year": 1, "month": as_of.month}.get(unit, (as_of.month - 1) // 3 * 3 + 1))


def to_date(scan: Scan, start: int, end: int, unit: str, is_lookback: bool = False) -> None:
    """Accept a stretch from the first day of the current year, quarter, month or week."""
    first = current_start(unit, scan.as_of)
    kind = WindowKind.LOOKBACK if is_lookback else _TO_DATE_KINDS[unit]
    scan.span(start, end, kind, None if first is None else (first, first))


def previous(unit: str, as_of: dt.date | None) -> Span | None:
    """First and last day of the year, quarter, month or week before that of the as-of day."""
    first = current_start(unit, as_of)
    if first is None:
        return None
    last = first - dt.timedelta(days=1)
    if unit == "week":
        return week_span(last)
    if unit == "month":
        return month_span(last.year, last.month)
    return year_span(last.year) if unit == "year" else quarter_span(last.year, (last.month + 2) // 3)


def month_days(as_of: dt.date | None, month: int, year: str | None, part: str) -> Span | None:
    """First and last day of a month, or of its `part`; `year` as printed (``2024``, ``last year``) or ``None``."""
    if year and year[0].isdigit():
        number: int | None = int(year)
    elif year and as_of is not None:
        number = as_of.year - (1 if year.lower().startswith("last") else 0)
    else:
        days = latest_month(month, as_of)
        number = None if days is None else days[0].year
        if number is not None and part and as_of is not None and month_part(part, number, month)[0] > as_of:
            number -= 1
    if number is None:
        return None
    return month_part(part, number, month) if part else month_span(number, month)


def quarter_days(as_of: dt.date | None, quarter: int, year: str | None) -> Span | None:
    """First and last day of a quarter; `year` as printed (``2024``, ``24``, ``last year``) or ``None``."""
    if year and year[0].isdigit():
        return quarter_span(int(year if len(year) == 4 else "20" + year), quarter)
    if as_of is None:
        return None
    if year:
        return quarter_span(as_of.year - (1 if year.lower().startswith("last") else 0), quarter)
    days = quarter_span(as_of.year, quarter)
    return days if days[0] <= as_of else quarter_span(as_of.year - 1, quarter)


def month_window(scan: Scan, start: int, end: int, days: Span | None) -> None:
    """Accept a month; the current one is month to date."""
    as_of = scan.as_of
    if days is not None and as_of is not None and days[0] <= as_of <= days[1]:
        to_date(scan, start, end, "month")
    else:
        scan.period(start, end, days)


def year_window(scan: Scan, start: int, end: int, year: int) -> None:
    """Accept a year; the current one is year to date."""
    if scan.as_of is not None and year == scan.as_of.year:
        to_date(scan, start, end, "year")
    else:
        scan.period(start, end, year_span(year))
