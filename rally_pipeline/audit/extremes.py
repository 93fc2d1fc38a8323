"""Claims that a close is the highest, the lowest, or near it, of a stretch of time.

Belongs here: highs and lows of closes. Does not belong here: records of volume (`volumes.py`) and flows (`flows.py`).

An extreme is strict: the close is above every earlier one of the window, the window's first day included, as in
``mart_price_extremes_daily``. It is confirmed only where history reaches the window's first day.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass

import numpy as np

from rally_pipeline.audit.facts import Dated, Facts
from rally_pipeline.audit.judge import INTRADAY, Checked, Reading, Row, soften
from rally_pipeline.audit.prices import series_of
from rally_pipeline.audit.readings import Abstain, AsOf, as_of_days, days_before, months_before, row_of, start_range
from rally_pipeline.audit.verdict import Evidence, Reason, Verdict
from rally_pipeline.marts.inputs import BASE_TOLERANCE_DAYS
from rally_pipeline.notes.records import AsOfBasis, Claim, Comparator, Direction, Window, WindowKind

_DAY = dt.timedelta(days=1)
#: Within this part of the extreme is near it.
NEAR = 0.03
#: A length is rounded: three years less a month are enough for the words, not for a confirmation.
_ROUNDED = 0.97
#: A moment of the session may reach this far beyond the close, where the day's range is not known.
_DAY_RANGE = 0.03
_LOWEST = (Comparator.LOWEST_IN_WINDOW, Comparator.NEAR_LOWEST)
_NEAR_COMPARATORS = (Comparator.NEAR_HIGHEST, Comparator.NEAR_LOWEST)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The earlier days with which a day is compared: from `first` on; ``None`` = all of history. `rounded`: the first
    day if the length stated is a rounded one.
    """

    first: dt.date | None
    rounded: dt.date | None = None


def is_lowest(claim: Claim) -> bool:
    """Whether the claim is of a low."""
    return claim.comparator in _LOWEST or (
        claim.direction is Direction.DOWN and claim.comparator is not Comparator.HIGHEST_IN_WINDOW
    )


def stretch_of(claim: Claim, facts: Facts, day: dt.date) -> Stretch:
    """With which earlier days `day` is compared.

    Raises:
        Abstain: the window does not say.
    """
    window = claim.window
    months, days = _length(claim, window)
    kind = window.kind if window is not None else None
    if kind is WindowKind.ALL_TIME:
        return Stretch(None)
    if window is not None and kind is WindowKind.LOOKBACK and (months or days):
        first, last = window.start_earliest, window.start_latest
        if first is not None and last is not None and first < last < day:
            # "nearly", "more than three years": the shortest length that the words allow
            return Stretch(last)
    if months:
        first = months_before(day, months)
        return Stretch(first, days_before(day, int((day - first).days * _ROUNDED)))
    if days:
        return Stretch(days_before(day, days), days_before(day, int(days * _ROUNDED)) if days > 31 else None)
    if window is None or kind is WindowKind.DAY:
        raise Abstain(Reason.NO_WINDOW)
    if kind is WindowKind.LOOKBACK or kind is WindowKind.SINCE_DATE:
        since = window.start_latest or window.start_earliest
        if since is None or since >= day:
            raise Abstain(Reason.WINDOW_UNKNOWN)
        # "highest since October 2021": every close after that month was lower
        return Stretch(since + _DAY)
    first, _ = start_range(window, facts, day)
    return Stretch(first)


def _length(claim: Claim, window: Window | None) -> tuple[int | None, int | None]:
    if window is not None and (window.months or window.days):
        return window.months, window.days
    found = []
    for name in ("lookback_months", "lookback_days"):
        value = claim.details.get(name)
        found.append(int(value) if isinstance(value, int | float) and value > 0 else None)
    return found[0], found[1]


def check_extreme(claim: Claim, facts: Facts, of: Dated | None = None) -> Checked:
    """``close`` highest, lowest or near it in a window; of the series given instead of the subject's closes."""
    series = series_of(claim, facts) if of is None else of
    if claim.comparator is Comparator.COMPARABLE_TO:
        raise Abstain(Reason.METRIC_UNDEFINED)
    if claim.timing in ("open",):
        raise Abstain(Reason.INTRADAY_NOT_KEPT)
    days = extreme_days(claim, facts, series)
    looks: list[_Look] = []
    problem: Reason | None = None
    for as_of in days:
        try:
            at = row_of(series, facts, as_of.day)
            looks.append(_look(claim, facts, series, at, as_of))
        except Abstain as abstain:
            if as_of.rank == 0:
                problem = abstain.reason
                if problem is not Reason.STALE_DATA:
                    raise
    if not looks:
        raise Abstain(problem or Reason.NO_DATA)
    return soften(claim, _decide(claim, facts, series, looks))


def check_largest_move(claim: Claim, facts: Facts) -> Checked:
    """``return_pct`` of a day, the largest rise or fall of a stretch: "biggest daily gain since March 2022"."""
    if str(claim.details.get("period") or "day") != "day" or claim.comparator in _NEAR_COMPARATORS:
        raise Abstain(Reason.METRIC_UNDEFINED)
    closes = series_of(claim, facts)
    if len(closes) < 2:
        raise Abstain(Reason.INSUFFICIENT_HISTORY)
    values = closes.columns["close"]
    moves = np.concatenate(([0.0], (values[1:] / values[:-1] - 1.0) * 100.0))
    series = dataclasses.replace(closes, columns={**closes.columns, "close": moves, "printed_close": values})
    checked = check_extreme(dataclasses.replace(claim, metric="close", timing="close"), facts, series)
    rows = [(closes, r.rows[0].at) for r in ([checked.shown] if checked.shown is not None else [])]
    found = [Row(of, n) for of, at in rows for n in (at - 1, at) if n >= 0]
    if checked.shown is not None:
        checked.shown = dataclasses.replace(checked.shown, rows=tuple(found))
    checked.evidence = ()
    return checked


def extreme_days(claim: Claim, facts: Facts, series: Dated) -> list[AsOf]:
    """The days that may be the extreme: the one spoken of, those around it, and if no day is named those of a week
    before the note, since an extreme is told of for days.
    """
    window = claim.window
    if window is not None and window.kind in (WindowKind.DAY, WindowKind.LOOKBACK, WindowKind.ALL_TIME):
        day = window.last
        if day is None and window.kind is WindowKind.DAY:
            day = window.start_latest or window.start_earliest
        if day is not None:
            # a named day, as if it were the claim's
            claim = dataclasses.replace(claim, as_of_date=day, as_of_basis=AsOfBasis.STATED)
    around = claim.as_of_basis is AsOfBasis.STATED
    return as_of_days(claim, facts, series.market, around=around)


@dataclass(frozen=True, slots=True)
class _Look:
    """One day against its window: `limit` is the position of the best earlier close, ``None`` if there is none."""

    at: int
    as_of: AsOf
    limit: int | None
    is_extreme: bool
    is_rounded: bool
    has_history: bool


def _look(claim: Claim, facts: Facts, series: Dated, at: int, as_of: AsOf) -> _Look:
    lowest = is_lowest(claim)
    stretch = stretch_of(claim, facts, as_of.day)
    if stretch.first is None:
        low = 0
        listed = series.listed
        has_history = listed is not None and series.days[0] <= listed.toordinal() + BASE_TOLERANCE_DAYS
    else:
        low = series.first_from(stretch.first)
        has_history = series.days[0] <= stretch.first.toordinal() + BASE_TOLERANCE_DAYS
    limit = _best(series, low, at, lowest)
    is_near = claim.comparator in _NEAR_COMPARATORS
    is_extreme = _is_extreme(series, at, limit, lowest=lowest, is_near=is_near)
    is_rounded = False
    if not is_extreme and stretch.rounded is not None:
        nearer = _best(series, series.first_from(stretch.rounded), at, lowest)
        is_rounded = _is_extreme(series, at, nearer, lowest=lowest, is_near=is_near)
    return _Look(at, as_of, limit, is_extreme, is_rounded, has_history)


def _is_extreme(series: Dated, at: int, limit: int | None, *, lowest: bool, is_near: bool) -> bool:
    """Whether a close is beyond, or near to, the best earlier one."""
    if limit is None:
        return True
    closes = series.columns["close"]
    now, then = float(closes[at]), float(closes[limit])
    if is_near:
        return now <= then * (1 + NEAR) if lowest else now >= then * (1 - NEAR)
    return now < then if lowest else now > then


def _best(series: Dated, low: int, high: int, lowest: bool) -> int | None:
    if low >= high:
        return None
    closes = series.columns["close"][low:high]
    return low + int(closes.argmin() if lowest else closes.argmax())


def _decide(claim: Claim, facts: Facts, series: Dated, looks: list[_Look]) -> Checked:
    first = [look for look in looks if look.as_of.rank == 0]
    true = [look for look in looks if look.is_extreme]
    shown = first[0] if first else looks[0]
    if first and first[0].is_extreme:
        verdict, reason, days = Verdict.CONFIRMED, Reason.IN_BAND, [first[0]]
    elif true:
        near = [look for look in true if look.as_of.rank == 1]
        days = near or true
        reason = Reason.DAY_DECIDES if near else Reason.EARLIER_DAY
        verdict, shown = Verdict.WINDOW_DECIDES, days[0]
    elif not first:
        verdict, reason, days = Verdict.NOT_CHECKABLE, Reason.STALE_DATA, []
    elif first[0].is_rounded:
        verdict, reason, days = Verdict.WINDOW_DECIDES, Reason.LENGTH_DECIDES, []
    else:
        verdict, reason, days = Verdict.CONTRADICTED, Reason.OUT_OF_BAND, []
    near_day = [look for look in looks if look.as_of.rank < 2]
    if days and not all(look.has_history for look in days):
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.INSUFFICIENT_HISTORY
    if verdict is Verdict.CONTRADICTED and claim.timing != "close" and _may_touch(claim, series, near_day):
        intraday = claim.timing in INTRADAY
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.INTRADAY_NOT_KEPT if intraday else Reason.INTRADAY_POSSIBLE
    readings = [_reading(series, look) for look in looks if look.as_of.rank < 2 or look in days]
    limit: tuple[Evidence, ...] = ()
    if shown.limit is not None:
        limit = (series.evidence(shown.limit),)
    return Checked(
        verdict,
        reason,
        None,
        readings,
        _reading(series, shown),
        tuple(sorted(look.as_of.day for look in days)),
        (*limit, *_mart_row(claim, series, shown)),
    )


def _reading(series: Dated, look: _Look) -> Reading:
    return Reading(series.value(look.at) or 0.0, look.as_of.day, None, look.as_of.rank, rows=(Row(series, look.at),))


def _may_touch(claim: Claim, series: Dated, looks: list[_Look]) -> bool:
    """Whether a moment of the session may have been the extreme though its close is not."""
    lowest = is_lowest(claim)
    column = "low" if lowest else "high"
    for look in looks:
        if look.limit is None:
            continue
        bound = series.value(look.limit) or 0.0
        reached = series.value(look.at, column)
        if reached is None:
            close = series.value(look.at) or 0.0
            reached = close * (1 - _DAY_RANGE if lowest else 1 + _DAY_RANGE)
        if reached < bound if lowest else reached > bound:
            return True
    return False


def _mart_row(claim: Claim, series: Dated, shown: _Look) -> tuple[Evidence, ...]:
    """The flag of the mart where it is about the very same window."""
    window = claim.window
    months = window.months if window is not None else None
    days = window.days if window is not None else None
    if claim.comparator in _NEAR_COMPARATORS or not shown.has_history:
        return ()
    word = "low" if is_lowest(claim) else "high"
    column = f"is_3y_{word}" if months == 36 else f"is_52w_{word}" if days == 364 else None
    if column is None:
        return ()
    key = f"symbol={series.subject}, session_date={series.day(shown.at)}"
    value = float(shown.is_extreme)
    return ({"table": "mart_price_extremes_daily", "key": key, "column": column, "value": value},)
