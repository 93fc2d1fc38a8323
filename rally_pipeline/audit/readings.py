"""Which days the words of a claim allow: the day it speaks of, and where its stretch of time begins.

Belongs here: days from claim, window and calendar. Does not belong here: figures (the module of each kind of claim) or
verdicts (`judge.py`).

**The day.** A day that is stated is that session, or the last one before it. A note's own date is the session of that
day first; a note written in the morning speaks of the session before, so that one is a second reading. Where the day is
only the latest one named in the text, or the time of a file, the session after is a second reading too.

**The start.** A calendar stretch is measured from the last close before it. Of "since 13 January" the base may be the
close of that day or the one before. Of a vague start ("since mid-January") every session in it is a reading, and the
turning point in it (the lowest close for a rise, the highest for a fall) is the one that the words most likely mean.
"In the past week" begins on the same day a week before; five sessions, or a day more, are second readings, as is the
lowest price of a session where the words say "from its low".
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rally_pipeline.audit.facts import Dated, Facts
from rally_pipeline.audit.verdict import Reason
from rally_pipeline.errors import CalendarHorizonError
from rally_pipeline.notes.records import AsOfBasis, Claim, Window, WindowKind

_DAY = dt.timedelta(days=1)
#: The note's day is its own date, or less: then the session before it is a reading too.
_OWN_DATE = (AsOfBasis.DOCUMENT_DATE, AsOfBasis.LATEST_DATE_NAMED, AsOfBasis.FILE_TIME, None)
#: The note may have been written after the day.
_MAYBE_LATER = (AsOfBasis.LATEST_DATE_NAMED, AsOfBasis.FILE_TIME, None)
#: A precise figure may be that of an earlier day, up to so many sessions before the note.
EARLIER_SESSIONS = 5
#: How far back a low or high is looked for where the words do not say.
_LOW_MONTHS = 12
#: A start within more days than these is no start; longest stretch in which a low is looked for.
_WIDEST = 2 * 366
#: From so many days on a length is of calendar days only.
_LONGEST_COUNT = 60


class Abstain(Exception):  # noqa: N818 - not an error: the audit says why it has no verdict
    """The claim cannot be checked, and why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AsOf:
    """A day of which a claim may speak. ``rank``: 0 = the first reading, 1 = a second one, 2 = up to a week before the
    note, believed only for precise figures.
    """

    day: dt.date
    rank: int


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stretch may begin: `base` is the position of the row it is measured from (of a flow, the first session
    counted). ``is_turning_point``: the extreme of a vague start. ``rank`` as of `AsOf`. ``column``: what of the row.
    """

    base: int
    is_turning_point: bool = False
    rank: int = 0
    column: str = "close"


def session_on_or_before(facts: Facts, market: str, day: dt.date) -> dt.date:
    """The last session; raises Abstain(calendar_unknown)."""
    try:
        return facts.calendars.last_session_on_or_before(market, day)
    except CalendarHorizonError:
        raise Abstain(Reason.CALENDAR_UNKNOWN) from None


def as_of_days(claim: Claim, facts: Facts, market: str, *, around: bool = False) -> list[AsOf]:
    """The sessions of which a claim may speak, first reading first.

    Args:
        claim: its day and the basis of it.
        facts: calendars and the last day about which anything is known.
        market: whose sessions.
        around: whether the sessions before and after a stated day are second readings ("touched … on 17 February").

    Raises:
        Abstain: no day, a day to come, or one that the calendar does not know.
    """
    day = claim.as_of_date
    if day is None:
        raise Abstain(Reason.AMBIGUOUS_DAY)
    if day > facts.today:
        raise Abstain(Reason.FUTURE)
    first = session_on_or_before(facts, market, day)
    found = [AsOf(first, 0)]
    basis = claim.as_of_basis
    if around or basis in _OWN_DATE:
        before = session_on_or_before(facts, market, first - _DAY)
        found.append(AsOf(before, 1))
        if basis in _OWN_DATE:
            for _ in range(EARLIER_SESSIONS - 1):
                before = session_on_or_before(facts, market, before - _DAY)
                found.append(AsOf(before, 2))
    if around or basis in _MAYBE_LATER:
        try:
            after = facts.calendars.next_session(market, first)
        except CalendarHorizonError:
            return found
        if after <= facts.today:
            found.append(AsOf(after, 1))
    return found


def named_days(claim: Claim, facts: Facts, market: str) -> list[AsOf]:
    """The sessions of a claim about one day: those the window names, else those of `as_of_days`.

    Of a window "today" in a note about another continent the session before is a second reading; of a day taken over
    from another sentence the sessions around it are.
    """
    window = claim.window
    if window is None or window.kind is not WindowKind.DAY or window.start_earliest is None:
        if window is not None and window.kind is WindowKind.DAY and window.last is not None:
            return [_known(facts, AsOf(session_on_or_before(facts, market, window.last), 0))]
        return as_of_days(claim, facts, market)
    first, last = window.start_earliest, window.start_latest or window.last or window.start_earliest
    if first > facts.today:
        raise Abstain(Reason.FUTURE)
    last = min(last, facts.today)
    days = facts.calendars.known_sessions(market, first, last)
    if not days:
        # no session on the day named: the one before is what the words may mean, not what they say
        is_note = claim.as_of_basis in _OWN_DATE and claim.as_of_date == first
        before = session_on_or_before(facts, market, first)
        if not is_note:
            return [AsOf(before, 1)]
        days = [before]
    found = [AsOf(day, 0) for day in days]
    if len(days) > 1:
        return found
    is_own = claim.as_of_basis in _OWN_DATE and claim.as_of_date == days[-1]
    if is_own or window.is_inherited:
        found.append(AsOf(session_on_or_before(facts, market, days[0] - _DAY), 1))
    if window.is_inherited and not is_own:
        # the day of another sentence: this one may be about the day after
        later = facts.calendars.known_sessions(market, days[0] + _DAY, min(days[0] + 7 * _DAY, facts.today))
        found += [AsOf(day, 1) for day in later[:1]]
    return found


def why_none(days: Sequence[AsOf]) -> Reason:
    """Why there is no figure of a first reading of the day: none is a session, or it has not been loaded."""
    return Reason.STALE_DATA if any(a.rank == 0 for a in days) else Reason.AMBIGUOUS_DAY


def _known(facts: Facts, as_of: AsOf) -> AsOf:
    if as_of.day > facts.today:
        raise Abstain(Reason.FUTURE)
    return as_of


def row_of(series: Dated, facts: Facts, day: dt.date) -> int:
    """Position of the row of a session; raises Abstain: stale_data if the warehouse ends before it, else no_data."""
    at = series.on(day)
    if at is not None:
        return at
    if not series.days or series.days[-1] < day.toordinal():
        raise Abstain(Reason.STALE_DATA)
    raise Abstain(Reason.NO_DATA)


def months_before(day: dt.date, months: int) -> dt.date:
    """The same day so many months earlier, or that month's last."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    if year < 1:
        return dt.date.min
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def days_before(day: dt.date, days: int) -> dt.date:
    """The day so many days earlier, or the first there is."""
    return day - dt.timedelta(days=min(days, (day - dt.date.min).days))


def period_start(window: Window, as_of: dt.date) -> dt.date:
    """First day of a stretch up to the day that begins with a calendar period.

    Raises:
        Abstain: the window is of another kind.
    """
    match window.kind:
        case WindowKind.YEAR_TO_DATE:
            return as_of.replace(month=1, day=1)
        case WindowKind.QUARTER_TO_DATE:
            return as_of.replace(month=(as_of.month - 1) // 3 * 3 + 1, day=1)
        case WindowKind.MONTH_TO_DATE:
            return as_of.replace(day=1)
        case WindowKind.WEEK_TO_DATE:
            return as_of - as_of.weekday() * _DAY
    raise Abstain(Reason.WINDOW_UNKNOWN)


TO_DATE = (
    WindowKind.YEAR_TO_DATE,
    WindowKind.QUARTER_TO_DATE,
    WindowKind.MONTH_TO_DATE,
    WindowKind.WEEK_TO_DATE,
)


def start_range(window: Window, facts: Facts, as_of: dt.date) -> tuple[dt.date, dt.date]:
    """First and last day at which a stretch ending on `as_of` may begin.

    Raises:
        Abstain: it cannot be turned into days, or begins after `as_of`.
    """
    first, last = window.start_earliest, window.start_latest
    if window.kind is WindowKind.SINCE_EVENT:
        day = facts.event_day(window.event_id, as_of) if window.event_id else None
        if day is not None:
            first = last = day
    if window.kind in TO_DATE and (first is None or not first <= as_of):
        first = last = period_start(window, as_of)
    if window.kind in (WindowKind.SINCE_LOW, WindowKind.SINCE_HIGH) and first is None:
        first, last = months_before(as_of, _LOW_MONTHS), as_of
    if first is None:
        raise Abstain(Reason.WINDOW_UNKNOWN)
    last = last or first
    if window.kind is WindowKind.PERIOD and window.last is None and last > first:
        last = first
    last = min(last, as_of)
    if first > as_of or (last - first).days > _WIDEST:
        raise Abstain(Reason.WINDOW_UNKNOWN)
    return first, last


def end_of(window: Window, facts: Facts, market: str, as_of: AsOf) -> AsOf:
    """The last session of a stretch: where it ends on a day of its own, that, else the day of the note."""
    if window.last is None or window.last >= as_of.day:
        return as_of
    return AsOf(session_on_or_before(facts, market, window.last), as_of.rank)


def price_starts(window: Window, facts: Facts, series: Dated, as_of: dt.date, *, falls: bool) -> list[Start]:
    """The rows from which a return up to `as_of` may be measured, in order of their days, each once.

    Args:
        window: the stretch.
        facts: events and calendars.
        series: closes.
        as_of: the last session.
        falls: whether the claim is of a fall, for the turning point.

    Raises:
        Abstain: no such row, or the window is not one of returns.
    """
    kind = window.kind
    if kind is WindowKind.TRAILING:
        return _trailing_starts(window, series, as_of)
    if kind in (WindowKind.LOOKBACK, WindowKind.ALL_TIME, WindowKind.DAY):
        raise Abstain(Reason.WINDOW_UNKNOWN)
    first, last = start_range(window, facts, as_of)
    until = series.first_from(as_of)
    if kind in (WindowKind.SINCE_LOW, WindowKind.SINCE_HIGH):
        low, high = series.first_from(first), min(series.first_from(last + _DAY), until)
        if low >= high:
            raise Abstain(_nothing_before(series, first))
        return _from_extreme(series, low, high, is_low=kind is WindowKind.SINCE_LOW)
    inclusive = window.is_base_inclusive
    if kind in TO_DATE or kind is WindowKind.PERIOD:
        inclusive = False if inclusive is None else inclusive
    bases: set[int] = set()
    at: int | None
    day = first
    while day <= last:
        for wanted in (days_before(day, 1), day):
            if (wanted == day and inclusive is False) or (wanted != day and inclusive is True):
                continue
            at = series.base(wanted)
            if at is not None and at < until:
                bases.add(at)
        day += _DAY
    if not bases:
        raise Abstain(_nothing_before(series, first))
    found = sorted(bases)
    turning = None
    if last > first:
        turning = (max if falls else min)(found, key=lambda at: float(series.columns["close"][at]))
    starts = [Start(at, at == turning) for at in found]
    if kind is WindowKind.SINCE_EVENT and (holiday := _before_holiday(series, first)) not in (None, *found):
        starts.append(Start(holiday or 0, rank=1))
    return starts


def _from_extreme(series: Dated, low: int, high: int, *, is_low: bool) -> list[Start]:
    """From the lowest close; some count from the lowest price of the session instead."""
    closes = series.columns["close"][low:high]
    found = [Start(low + int(closes.argmin() if is_low else closes.argmax()))]
    column = "low" if is_low else "high"
    prices = series.columns[column][low:high]
    if not np.isnan(prices).any():
        found.append(Start(low + int(prices.argmin() if is_low else prices.argmax()), rank=1, column=column))
    return found


def _before_holiday(series: Dated, day: dt.date) -> int | None:
    """Position of the last row before the market's own holiday around the day, if it has a longer one there: markets
    reopen on different days.
    """
    at = series.at_or_before(day)
    while at is not None and at > 0 and day.toordinal() - series.days[at] <= 14:
        if series.days[at] - series.days[at - 1] > 3:
            return at - 1
        at -= 1
    return None


def trailing_days(window: Window, as_of: dt.date) -> set[dt.date]:
    """Days on which a trailing stretch may begin; empty if its length is a number of days only to be counted.

    Raises:
        Abstain: it has no length.
    """
    first, last = window.start_earliest, window.start_latest
    if first is not None and last is not None and first < last and (last - first).days <= _WIDEST:
        return {first + n * _DAY for n in range((last - first).days + 1)}
    if window.months:
        return {months_before(as_of, window.months)}
    if window.days:
        return {days_before(as_of, window.days)}
    if first is not None:
        return {first}
    raise Abstain(Reason.WINDOW_UNKNOWN)


def _session_counts(window: Window) -> set[int]:
    """Five days, or a week, may be five sessions."""
    if not window.days or window.days >= _LONGEST_COUNT:
        return set()
    return {window.days, *([window.days // 7 * 5] if window.days % 7 == 0 else [])}


def _trailing_starts(window: Window, series: Dated, as_of: dt.date) -> list[Start]:
    until = series.first_from(as_of)
    days = trailing_days(window, as_of)
    first = {at for day in days if (at := series.base(day)) is not None and at < until}
    second = {at for day in days if (at := series.base(days_before(day, 1))) is not None and at < until}
    second |= {until - count for count in _session_counts(window) if 0 <= until - count < until}
    if not first:
        raise Abstain(Reason.INSUFFICIENT_HISTORY)
    return _ranked(first, second)


def _ranked(first: set[int], second: set[int]) -> list[Start]:
    return [Start(at, rank=0 if at in first else 1) for at in sorted(first | second)]


def _nothing_before(series: Dated, day: dt.date) -> Reason:
    return Reason.INSUFFICIENT_HISTORY if series.days and series.days[0] > day.toordinal() - 15 else Reason.NO_DATA


def flow_starts(window: Window, facts: Facts, series: Dated, as_of: dt.date) -> list[Start]:
    """The first sessions that a sum of flows up to `as_of` may count, in order, each once.

    Raises:
        Abstain: the window is not one of sums, or history begins after it.
    """
    kind = window.kind
    until = series.first_from(as_of)
    found: set[int] = set()
    second: set[int] = set()
    if kind is WindowKind.ALL_TIME:
        found = {0}
        first = as_of
    elif kind is WindowKind.TRAILING:
        days = trailing_days(window, as_of)
        first = min(days)
        found = {series.first_from(day + _DAY) for day in days}
        second = {series.first_from(day) for day in days}
        second |= {until - count + 1 for count in _session_counts(window) if until - count + 1 >= 0}
    elif kind in (WindowKind.SINCE_LOW, WindowKind.SINCE_HIGH, WindowKind.LOOKBACK, WindowKind.DAY):
        raise Abstain(Reason.WINDOW_UNKNOWN)
    else:
        first, last = start_range(window, facts, as_of)
        day = first
        while day <= last:
            inclusive = window.is_base_inclusive if kind is WindowKind.SINCE_DATE else False
            if inclusive is not True:
                found.add(series.first_from(day))
            if inclusive is not False:
                found.add(series.first_from(day + _DAY))
            day += _DAY
    if kind is not WindowKind.ALL_TIME and series.days and series.days[0] > first.toordinal() + 14:
        raise Abstain(Reason.INSUFFICIENT_HISTORY)
    found = {at for at in found if at <= until < len(series)}
    if not found:
        raise Abstain(Reason.NO_DATA)
    return _ranked(found, {at for at in second if at <= until})
