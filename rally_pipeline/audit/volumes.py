"""Claims that a month's or a day's trading volume is a record.

Belongs here: records of shares traded, by ``mart_trading_volume_monthly``'s definition. Does not belong here: flows.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

import numpy as np

from rally_pipeline.audit.facts import Dated, Facts
from rally_pipeline.audit.judge import Checked, Reading, Row, soften
from rally_pipeline.audit.readings import Abstain, AsOf, as_of_days, row_of
from rally_pipeline.audit.verdict import Evidence, Reason, Verdict
from rally_pipeline.marts.inputs import BASE_TOLERANCE_DAYS
from rally_pipeline.notes.records import Claim, Comparator, Window, WindowKind

_COLUMN = "volume_shares"
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH_NAME = re.compile(
    r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:[a-z]{0,7})\b|(?<!\d)(1[0-2]|[1-9])\s*月", re.IGNORECASE
)


def check_volume_record(claim: Claim, facts: Facts) -> Checked:
    """``volume`` of the month spoken of (or of the day, if that is said), the largest of all before it."""
    if claim.subject_id not in facts.catalog.instruments:
        raise Abstain(Reason.NO_INSTRUMENT)
    if claim.metric not in ("volume", "", "turnover") or claim.comparator is not Comparator.HIGHEST_IN_WINDOW:
        raise Abstain(Reason.METRIC_UNDEFINED)
    series = facts.volumes.get(claim.subject_id)
    if series is None:
        raise Abstain(Reason.NO_DATA)
    if claim.metric == "turnover":
        raise Abstain(Reason.METRIC_UNDEFINED)
    period = str(claim.details.get("period") or "month")
    if period == "day" or (claim.window is not None and claim.window.kind is WindowKind.DAY):
        return soften(claim, _of_day(claim, facts, series))
    if period != "month":
        raise Abstain(Reason.METRIC_UNDEFINED)
    return soften(claim, _of_month(claim, facts, series))


def month_from(text: object, as_of: dt.date) -> dt.date | None:
    """First day of the month in ``2025-02``, ``2025-02-01``, ``February``, ``February 2025`` or ``2月``; without a year
    the last such month that has begun.
    """
    if not isinstance(text, str) or not text.strip():
        return None
    text = text.strip()
    for form in ("%Y-%m-%d", "%Y-%m"):
        try:
            return dt.datetime.strptime(text, form).date().replace(day=1)  # noqa: DTZ007 - a date
        except ValueError:
            continue
    named = _MONTH_NAME.search(text)
    if named is None:
        return None
    month = _NAMES.index(named[1].casefold()) + 1 if named[1] else int(named[2])
    year = re.search(r"(?<!\d)(?:19|20)\d\d(?!\d)", text)
    if year is not None:
        return dt.date(int(year[0]), month, 1)
    return dt.date(as_of.year if month <= as_of.month else as_of.year - 1, month, 1)


def _month_of(claim: Claim, as_of: dt.date) -> dt.date:
    for name in ("period_start", "period_text"):
        if (found := month_from(claim.details.get(name), as_of)) is not None:
            return found
    window = claim.window
    if window is not None and window.kind in (WindowKind.PERIOD, WindowKind.MONTH_TO_DATE) and window.start_earliest:
        return window.start_earliest.replace(day=1)
    return as_of.replace(day=1)


def _since(window: Window | None, series: Dated) -> dt.date | None:
    """First day of the months or days compared with; ``None`` = since listing."""
    if window is None or window.kind in (WindowKind.ALL_TIME, WindowKind.PERIOD, WindowKind.MONTH_TO_DATE):
        return None
    if window.kind in (WindowKind.LOOKBACK, WindowKind.SINCE_DATE, WindowKind.SINCE_EVENT):
        return window.start_earliest
    return None


def _has_history(series: Dated, since: dt.date | None) -> bool:
    first = since if since is not None else series.listed
    return first is not None and series.days[0] <= first.toordinal() + BASE_TOLERANCE_DAYS


def _by_month(series: Dated, until: int) -> tuple[list[dt.date], list[float]]:
    """Months and their volumes over the rows up to position `until`, included."""
    months: dict[dt.date, float] = {}
    volumes = series.columns[_COLUMN]
    for at in range(until + 1):
        month = series.day(at).replace(day=1)
        months[month] = months.get(month, 0.0) + float(volumes[at])
    return list(months), list(months.values())


def _of_month(claim: Claim, facts: Facts, series: Dated) -> Checked:
    days = [a for a in as_of_days(claim, facts, series.market) if a.rank < 2]
    month = _month_of(claim, days[0].day)
    end = (month + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
    looked: list[tuple[AsOf, float, float, dt.date | None, int]] = []
    problem = Reason.NO_DATA
    for as_of in days:
        last = min(as_of.day, end)
        try:
            at = row_of(series, facts, as_of.day)
        except Abstain as abstain:
            problem = abstain.reason if as_of.rank == 0 else problem
            continue
        at = series.at_or_before(last) or 0
        months, volumes = _by_month(series, at)
        if not months or months[-1] != month:
            continue
        looked.append((as_of, *_against(months, volumes, claim.window, series), at))
    if not looked:
        raise Abstain(problem)
    readings = [
        Reading(volume, as_of.day, month, as_of.rank, rows=(Row(series, at, _COLUMN),))
        for as_of, volume, _, _, at in looked
    ]
    true = [a.day for a, volume, record, _, _ in looked if volume > record]
    evidence = _month_evidence(claim.subject_id, month, looked[0])
    first_true = looked[0][0].rank == 0 and looked[0][1] > looked[0][2]
    is_partial = any(a.day < end for a, *_ in looked)
    if first_true:
        verdict, reason = Verdict.CONFIRMED, Reason.IN_BAND
    elif true:
        verdict, reason = Verdict.WINDOW_DECIDES, Reason.DAY_DECIDES
    elif looked[0][0].rank != 0:
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.STALE_DATA
    elif is_partial and (later := _later_record(claim, facts, series, month, end)) is not None:
        verdict, reason, true = Verdict.WINDOW_DECIDES, Reason.DAY_DECIDES, [later]
    elif is_partial and facts.today < end:
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.PARTIAL_PERIOD
    else:
        verdict, reason = Verdict.CONTRADICTED, Reason.OUT_OF_BAND
    if true and not _has_history(series, _since(claim.window, series)):
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.INSUFFICIENT_HISTORY
    return Checked(verdict, reason, None, readings, readings[0], tuple(sorted(true)), evidence)


def _against(
    months: Sequence[dt.date], volumes: Sequence[float], window: Window | None, series: Dated
) -> tuple[float, float, dt.date | None]:
    """Volume of the last month, the record before it, and the month of that."""
    since = _since(window, series)
    earlier = [(v, m) for m, v in zip(months[:-1], volumes[:-1], strict=True) if since is None or m >= since]
    record, of = max(earlier, default=(-1.0, None))
    return volumes[-1], record, of


def _later_record(claim: Claim, facts: Facts, series: Dated, month: dt.date, end: dt.date) -> dt.date | None:
    """First day of the month on which the month so far is the record."""
    until = series.at_or_before(end)
    if until is None:
        return None
    months, volumes = _by_month(series, until)
    if months[-1] != month:
        return None
    _, record, _ = _against(months, volumes, claim.window, series)
    start = series.first_from(month)
    so_far = np.cumsum(series.columns[_COLUMN][start : until + 1])
    above = np.flatnonzero(so_far > record)
    return series.day(start + int(above[0])) if len(above) and record >= 0 else None


def _month_evidence(
    symbol: str, month: dt.date, looked: tuple[AsOf, float, float, dt.date | None, int]
) -> tuple[Evidence, ...]:
    as_of, volume, record, of, _ = looked
    table = "mart_trading_volume_daily"
    found: list[Evidence] = [
        {
            "table": table,
            "key": f"symbol={symbol}, session_date={as_of.day}",
            "column": "mtd_volume_shares",
            "value": volume,
        }
    ]
    if of is not None:
        monthly = "mart_trading_volume_monthly"
        found.append(
            {"table": monthly, "key": f"symbol={symbol}, month={of}", "column": "volume_shares", "value": record}
        )
    return tuple(found)


def _of_day(claim: Claim, facts: Facts, series: Dated) -> Checked:
    days = [a for a in as_of_days(claim, facts, series.market) if a.rank < 2]
    window = claim.window
    if window is not None and window.kind is WindowKind.DAY and window.start_earliest is not None:
        days = [AsOf(window.start_earliest, 0)]
    readings: list[Reading] = []
    true: list[Reading] = []
    volumes = series.columns[_COLUMN]
    problem = Reason.NO_DATA
    for as_of in days:
        try:
            at = row_of(series, facts, as_of.day)
        except Abstain as abstain:
            problem = abstain.reason if as_of.rank == 0 else problem
            continue
        reading = Reading(float(volumes[at]), as_of.day, None, as_of.rank, rows=(Row(series, at, _COLUMN),))
        readings.append(reading)
        since = _since(window, series)
        low = series.first_from(since) if since is not None else 0
        if at > low and volumes[at] > volumes[low:at].max():
            true.append(reading)
    if not readings:
        raise Abstain(problem)
    if any(r.rank == 0 for r in true):
        verdict, reason = Verdict.CONFIRMED, Reason.IN_BAND
    elif true:
        verdict, reason = Verdict.WINDOW_DECIDES, Reason.DAY_DECIDES
    else:
        verdict, reason = Verdict.CONTRADICTED, Reason.OUT_OF_BAND
    if true and not _has_history(series, _since(window, series)):
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.INSUFFICIENT_HISTORY
    return Checked(verdict, reason, None, readings, readings[0], tuple(sorted(r.day for r in true)))
