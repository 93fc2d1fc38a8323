"""Claims about southbound flows: sums, records, and comparisons with another stretch.

Belongs here: net buy, buying, selling and turnover through Stock Connect southbound. Does not belong here: volumes of
shares (`volumes.py`).

A sum counts the southbound sessions of its stretch that have the figure, as ``mart_southbound_since_event`` does. An
amount in dollars is converted at the rate of the last day, as notes quote it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass

import numpy as np

from rally_pipeline.audit.bands import CONVERSION, Band, band
from rally_pipeline.audit.facts import CHANNELS, Dated, Facts
from rally_pipeline.audit.judge import LISTED, Checked, Reading, Row, decide, soften
from rally_pipeline.audit.readings import (
    Abstain,
    AsOf,
    Start,
    as_of_days,
    days_before,
    end_of,
    flow_starts,
    months_before,
    named_days,
    row_of,
    session_on_or_before,
    start_range,
    why_none,
)
from rally_pipeline.audit.verdict import Evidence, Reason, Verdict
from rally_pipeline.audit.volumes import month_from
from rally_pipeline.marts.inputs import BASE_TOLERANCE_DAYS
from rally_pipeline.notes.records import Claim, Comparator, Direction, Window, WindowKind
from rally_pipeline.sessions import SOUTHBOUND, SOUTHBOUND_START

_MN = 1e6
_NOT_MONEY = ("pct", "bp", "points", "shares", "times", "rank")
#: Running totals are often told some days late, and two digits tell them apart: they are precise from so many on.
_PRECISE = 50.0
#: Ratios that are comparable.
COMPARABLE = (0.8, 1.25)
#: Longest window of ``mart_southbound_best_window_monthly``.
_MART_LONGEST = 60
_LOOKBACK_DAYS = 366
_HIGHEST = (Comparator.HIGHEST_IN_WINDOW, Comparator.NEAR_HIGHEST)
_LOWEST = (Comparator.LOWEST_IN_WINDOW, Comparator.NEAR_LOWEST)


@dataclass(frozen=True, slots=True)
class _Measure:
    """A column of flows, and the sign by which a stated outflow or selling becomes it."""

    column: str
    sign: int


_MEASURES = {
    "net_buy": _Measure("net_buy", 1),
    "net_inflow": _Measure("net_buy", 1),
    "net_sell": _Measure("net_buy", -1),
    "net_outflow": _Measure("net_buy", -1),
    "turnover": _Measure("turnover", 1),
    "buy": _Measure("buy", 1),
    "sell": _Measure("sell", 1),
}


def series_of(claim: Claim, facts: Facts) -> Dated:
    """The flows of a claim's channel.

    Raises:
        Abstain: not a southbound flow, or nothing is known of it.
    """
    channel = CHANNELS.get(claim.subject_id)
    if channel is None:
        raise Abstain(Reason.NO_INSTRUMENT)
    series = facts.flows.get(channel)
    if series is None:
        raise Abstain(Reason.NO_DATA)
    return series


def check_flow(claim: Claim, facts: Facts) -> Checked:
    """A sum over a stretch, or a record."""
    series = series_of(claim, facts)
    measure = _MEASURES.get(claim.metric)
    if measure is None:
        raise Abstain(Reason.METRIC_UNDEFINED)
    if claim.comparator in (*_HIGHEST, *_LOWEST):
        return _check_record(claim, facts, series, measure)
    if claim.comparator is Comparator.COMPARABLE_TO:
        return check_comparison(claim, facts)
    if claim.value is None:
        raise Abstain(Reason.QUALITATIVE)
    currency = claim.currency or (claim.unit if len(claim.unit) == 3 else "") or "HKD"
    # a bare dollar sign may be either dollar
    currencies = ("HKD", "USD") if currency == "$" else (currency,)
    if claim.unit in _NOT_MONEY or any(name not in ("HKD", "USD", "CNY") for name in currencies):
        raise Abstain(Reason.UNIT_MISMATCH)
    found = [_check_sum(claim, facts, series, measure, name) for name in currencies]
    best = min(found, key=lambda checked: _ORDER[checked.verdict])
    if best.verdict is Verdict.CONTRADICTED and claim.details.get("is_net_stated") is False:
        # "bought HK$ 10 bn of shares" may be the buying alone
        side = _Measure("sell" if claim.direction is Direction.DOWN else "buy", 1)
        gross = dataclasses.replace(claim, value=abs(claim.value), details={}, metric=side.column)
        other = [_check_sum(gross, facts, series, side, name) for name in currencies]
        fitting = [c for c in other if c.verdict in (Verdict.CONFIRMED, Verdict.WINDOW_DECIDES)]
        if fitting:
            fitting[0].verdict, fitting[0].reason = Verdict.WINDOW_DECIDES, Reason.MEASURE_DECIDES
            return fitting[0]
    return best


_ORDER = {
    Verdict.CONFIRMED: 0,
    Verdict.WINDOW_DECIDES: 1,
    Verdict.NOT_CHECKABLE: 2,
    Verdict.CONTRADICTED: 3,
}


def _check_sum(claim: Claim, facts: Facts, series: Dated, measure: _Measure, currency: str) -> Checked:
    signed = claim
    if measure.sign < 0:
        # "net sold 2.1 bn" is a net buy of −2.1 bn, whatever direction was read
        signed = dataclasses.replace(claim, direction=Direction.DOWN)
    elif measure.column != "net_buy":
        signed = dataclasses.replace(claim, direction=None)
    wanted = band(signed, widen=0.0 if currency == "HKD" else CONVERSION)
    if wanted is None:
        raise Abstain(Reason.QUALITATIVE)
    readings, rates, gaps = _sums(claim, facts, series, measure.column, currency)
    is_day = claim.window is not None and claim.window.kind is WindowKind.DAY
    missing = why_none(named_days(claim, facts, SOUTHBOUND)) if is_day else Reason.STALE_DATA
    checked = decide(claim, wanted, readings, precise=_PRECISE, missing=missing)
    if checked.shown is not None:
        shown = checked.shown = _with_all_rows(checked.shown, measure.column)
        total = _total_evidence(series, measure.column, shown)
        checked.evidence = (*total, *_rate_evidence(currency, rates.get(shown.day)))
    if currency != "HKD":
        through = sorted({"HKD", "USD", currency})
        checked.subjects = tuple(f"fx:{name}" for name in through)
        last = max(r.day for r in readings)
        known = (facts.rates.known_until(name, last) for name in through)
        checked.known = tuple(moment for moment in known if moment is not None)
    excuse = None
    if claim.window is None:
        excuse = Reason.NO_WINDOW
    elif gaps:
        excuse = Reason.NO_DATA
    elif claim.window.is_inherited and is_day:
        # no time is named beside the amount, which may be that of a longer stretch
        excuse = Reason.WINDOW_UNKNOWN
    elif claim.window.is_inherited and _is_of_day(wanted, series, measure.column, readings):
        excuse = Reason.WINDOW_UNKNOWN
    return soften(claim, checked, excuse=excuse)


def _is_of_day(wanted: Band, series: Dated, column: str, readings: list[Reading]) -> bool:
    return any(
        wanted.holds(figure * _MN)
        for r in readings
        if r.rank < 2 and (figure := series.value(r.rows[-1].at, column)) is not None
    )


def _sums(
    claim: Claim, facts: Facts, series: Dated, column: str, currency: str
) -> tuple[list[Reading], dict[dt.date, tuple[float, dt.date]], bool]:
    """Every reading; the rate used for each day; whether sessions of a stretch lack the figure."""
    window = claim.window
    is_day = window is None or window.kind is WindowKind.DAY
    ends = named_days(claim, facts, SOUTHBOUND) if is_day else _ends(claim, window, facts)
    readings: list[Reading] = []
    rates: dict[dt.date, tuple[float, dt.date]] = {}
    problem: Reason | None = None
    gaps = False
    for as_of in ends:
        try:
            at = row_of(series, facts, as_of.day)
            starts = [Start(at)] if is_day or window is None else flow_starts(window, facts, series, as_of.day)
        except Abstain as abstain:
            if as_of.rank == 0:
                problem = abstain.reason
                if problem is not Reason.STALE_DATA:
                    raise
            continue
        units = _units(facts, currency, as_of.day)
        if units is None:
            problem = problem or Reason.NO_DATA
            continue
        rates[as_of.day] = units
        for begin in starts:
            start, rank = begin.base, max(as_of.rank, begin.rank)
            total, known = series.total(column, start, at)
            if not known:
                problem = problem or Reason.NO_DATA
                continue
            if rank == 0 and not gaps:
                sessions = facts.calendars.known_sessions(SOUTHBOUND, series.day(start), as_of.day)
                gaps = known < len(sessions)
            rows = (Row(series, start, f"{column}_hkd_mn"), Row(series, at, f"{column}_hkd_mn"))
            readings.append(Reading(total * _MN / units[0], as_of.day, series.day(start), rank, rows=rows))
    if not readings:
        raise Abstain(problem or Reason.NO_DATA)
    return readings, rates, gaps


def _ends(claim: Claim, window: Window | None, facts: Facts) -> list[AsOf]:
    if window is not None and window.last is not None and claim.as_of_date is None:
        if window.last > facts.today:
            raise Abstain(Reason.FUTURE)
        return [AsOf(session_on_or_before(facts, SOUTHBOUND, window.last), 0)]
    found: dict[dt.date, AsOf] = {}
    for as_of in as_of_days(claim, facts, SOUTHBOUND):
        end = as_of if window is None else end_of(window, facts, SOUTHBOUND, as_of)
        if window is not None and window.start_earliest is not None and end.day < window.start_earliest:
            continue
        found.setdefault(end.day, end)
    if not found:
        raise Abstain(Reason.FUTURE)
    return list(found.values())


def _units(facts: Facts, currency: str, day: dt.date) -> tuple[float, dt.date] | None:
    """HK$ per unit of the currency, with the day of the rate."""
    if currency == "HKD":
        return 1.0, day
    hkd, other = facts.rates.units_per_usd("HKD", day), facts.rates.units_per_usd(currency, day)
    if hkd is None or other is None:
        return None
    return hkd[0] / other[0], hkd[1]


def _with_all_rows(shown: Reading, column: str) -> Reading:
    """The reading with every row it counts, if they are not too many to be listed."""
    first, last = shown.rows
    if last.at - first.at >= LISTED:
        return shown
    every = (Row(first.series, at, first.column) for at in range(first.at, last.at + 1))
    return dataclasses.replace(shown, rows=tuple(row for row in every if row.series.value(row.at, column) is not None))


def _total_evidence(series: Dated, column: str, shown: Reading) -> tuple[Evidence, ...]:
    """The sum, where its days are too many to be listed."""
    first, last = shown.rows[0].at, shown.rows[-1].at
    if last - first < LISTED:
        return ()
    key = f"{series.key}, session_date={shown.start}..{shown.day}"
    total, _ = series.total(column, first, last)
    return ({"table": series.table, "key": key, "column": f"{column}_hkd_mn", "value": total},)


def _rate_evidence(currency: str, rate: tuple[float, dt.date] | None) -> tuple[Evidence, ...]:
    if currency != "USD" or rate is None:
        return ()
    key = f"currency=HKD, rate_date={rate[1]}"
    return ({"table": "core_fx_usd_daily", "key": key, "column": "units_per_usd", "value": rate[0]},)


def _check_record(claim: Claim, facts: Facts, series: Dated, measure: _Measure) -> Checked:
    """A day's flow, the largest (or smallest) of all days of a stretch before it."""
    granularity = str(claim.details.get("period") or "")
    if granularity not in ("", "day", "daily"):
        raise Abstain(Reason.METRIC_UNDEFINED)
    lowest = (claim.comparator in _LOWEST) != (measure.sign < 0)
    window = claim.window
    days = [a for a in as_of_days(claim, facts, SOUTHBOUND) if a.rank < 2]
    if window is not None and window.kind is WindowKind.DAY and window.start_earliest is not None:
        days = [AsOf(session_on_or_before(facts, SOUTHBOUND, window.start_earliest), 0)]
    values = series.columns[measure.column]
    readings: list[Reading] = []
    true: list[Reading] = []
    best: int | None = None
    has_history = True
    problem = Reason.NO_DATA
    for as_of in days:
        try:
            at = row_of(series, facts, as_of.day)
            first = _record_start(claim, facts, as_of.day)
        except Abstain as abstain:
            if as_of.rank == 0:
                problem = abstain.reason
                if problem is not Reason.STALE_DATA:
                    raise
            continue
        figure = series.value(at, measure.column)
        if figure is None:
            continue
        low = 0 if first is None else series.first_from(first)
        reach = SOUTHBOUND_START if first is None else max(first, SOUTHBOUND_START)
        reading = Reading(
            figure * _MN, as_of.day, None, as_of.rank, rows=(Row(series, at, f"{measure.column}_hkd_mn"),)
        )
        readings.append(reading)
        earlier = values[low:at]
        limit = None
        if len(earlier) and not np.isnan(earlier).all():
            limit = low + int(np.nanargmin(earlier) if lowest else np.nanargmax(earlier))
        if best is None:
            best = limit
        if limit is None or (figure < values[limit] if lowest else figure > values[limit]):
            true.append(reading)
            has_history &= series.days[0] <= reach.toordinal() + BASE_TOLERANCE_DAYS
    if not readings:
        raise Abstain(problem)
    if any(r.rank == 0 for r in true):
        verdict, reason = Verdict.CONFIRMED, Reason.IN_BAND
    elif true:
        verdict, reason = Verdict.WINDOW_DECIDES, Reason.DAY_DECIDES
    elif readings[0].rank:
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.STALE_DATA
    else:
        verdict, reason = Verdict.CONTRADICTED, Reason.OUT_OF_BAND
    if true and not has_history:
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.INSUFFICIENT_HISTORY
    evidence = () if best is None else (series.evidence(best, f"{measure.column}_hkd_mn"),)
    checked = Checked(
        verdict, reason, None, readings, readings[0], tuple(sorted(r.day for r in true)), evidence, (series,)
    )
    # "a record inflow" may be a week's or a month's; and near is not defined for flows
    is_near = claim.comparator in (Comparator.NEAR_HIGHEST, Comparator.NEAR_LOWEST)
    says_day = bool(granularity) or (window is not None and window.kind is WindowKind.DAY)
    return soften(claim, checked, excuse=None if says_day and not is_near else Reason.METRIC_UNDEFINED)


def _record_start(claim: Claim, facts: Facts, day: dt.date) -> dt.date | None:
    """First day of the stretch a record is of; ``None`` = since the start of Stock Connect."""
    window = claim.window
    if window is None or window.kind in (WindowKind.ALL_TIME, WindowKind.DAY):
        return None
    if window.months:
        return months_before(day, window.months)
    if window.days:
        return days_before(day, window.days)
    if window.kind in (WindowKind.LOOKBACK, WindowKind.SINCE_DATE):
        since = window.start_latest or window.start_earliest
        if since is None or since >= day:
            raise Abstain(Reason.WINDOW_UNKNOWN)
        return since + dt.timedelta(days=1)
    return start_range(window, facts, day)[0]


def check_comparison(claim: Claim, facts: Facts) -> Checked:
    """A record; or the flow of a stretch against the best stretch of as many sessions that ended in another one. Both
    net buy and turnover are answered in the evidence; the claim's own measure decides, and if it names none, both must
    hold.
    """
    if claim.comparator in (*_HIGHEST, *_LOWEST):
        return check_flow(claim, facts)
    series = series_of(claim, facts)
    window = claim.window
    if window is None or window.kind in (WindowKind.DAY, WindowKind.LOOKBACK):
        raise Abstain(Reason.NO_WINDOW)
    measures = {"net_buy": ("net_buy",), "net_inflow": ("net_buy",), "turnover": ("turnover",)}.get(claim.metric)
    if claim.metric and measures is None:
        raise Abstain(Reason.METRIC_UNDEFINED)
    readings: list[tuple[Reading, dict[str, bool], tuple[Evidence, ...]]] = []
    problem: Reason | None = None
    for as_of in _ends(claim, window, facts):
        try:
            at = row_of(series, facts, as_of.day)
            start = next(s.base for s in flow_starts(window, facts, series, as_of.day) if s.rank == 0)
            span = _compared(claim, as_of.day)
        except Abstain as abstain:
            if as_of.rank == 0:
                problem = abstain.reason
                if problem is not Reason.STALE_DATA:
                    raise
            continue
        holds: dict[str, bool] = {}
        evidence: list[Evidence] = []
        ratios: dict[str, float] = {}
        for name in ("net_buy", "turnover"):
            found = _best_window(series, name, at - start + 1, span)
            now = float(series.columns[name][start : at + 1].sum())
            if found is None or now != now:
                continue
            best, end = found
            ratios[name] = now / best if best > 0 else float("nan")
            holds[name] = best > 0 and COMPARABLE[0] <= ratios[name] <= COMPARABLE[1]
            evidence += _best_evidence(series, name, start, at, now, best, end, ratios[name])
        if not holds and as_of.rank:
            continue
        if not holds:
            raise Abstain(Reason.INSUFFICIENT_HISTORY)
        first = (measures or tuple(holds))[0]
        rows = (Row(series, start, "net_buy_hkd_mn"), Row(series, at, "net_buy_hkd_mn"))
        reading = Reading(ratios.get(first, float("nan")), as_of.day, series.day(start), as_of.rank, rows=rows)
        readings.append((reading, holds, tuple(evidence)))
    if not readings:
        raise Abstain(problem or Reason.NO_DATA)
    return soften(claim, _decide_comparison(readings, measures))


def _decide_comparison(
    readings: list[tuple[Reading, dict[str, bool], tuple[Evidence, ...]]], measures: tuple[str, ...] | None
) -> Checked:
    def verdicts(holds: dict[str, bool]) -> list[bool]:
        return [holds[name] for name in measures or tuple(holds) if name in holds]

    true = [r for r, holds, _ in readings if all(verdicts(holds)) and verdicts(holds)]
    some = [r for r, holds, _ in readings if any(verdicts(holds))]
    reading, holds, evidence = readings[0]
    days = true
    if not verdicts(holds):
        raise Abstain(Reason.INSUFFICIENT_HISTORY)
    if reading in true:
        verdict, reason = Verdict.CONFIRMED, Reason.IN_BAND
    elif true:
        near = [r for r in true if r.rank == 1]
        verdict, reason = Verdict.WINDOW_DECIDES, Reason.DAY_DECIDES if near else Reason.EARLIER_DAY
        days = near or true
        reading, evidence = next((r, e) for r, _, e in readings if r is days[0])
    elif some:
        verdict, reason, days = Verdict.WINDOW_DECIDES, Reason.MEASURE_DECIDES, some
    elif reading.rank:
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.STALE_DATA
    else:
        verdict, reason = Verdict.CONTRADICTED, Reason.OUT_OF_BAND
    found = tuple(sorted({r.day for r in days}))
    return Checked(verdict, reason, Band(*COMPARABLE), [r for r, _, _ in readings], reading, found, evidence)


def _compared(claim: Claim, as_of: dt.date) -> tuple[dt.date, dt.date]:
    """First and last day in which the other stretch ends."""
    details = claim.details
    first = _date(details.get("comparison_window_start"))
    last = _date(details.get("comparison_window_end"))
    if first is None:
        first, last = month_from(details.get("comparison_window_text"), as_of), None
    if first is None:
        raise Abstain(Reason.WINDOW_UNKNOWN)
    if last is None or last <= first:
        last = (first.replace(day=1) + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
    return first, last


def _date(value: object) -> dt.date | None:
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _best_window(series: Dated, name: str, length: int, span: tuple[dt.date, dt.date]) -> tuple[float, dt.date] | None:
    """Greatest sum over so many sessions ending in the span, and its last day, the latest on a tie."""
    values = series.columns[name]
    low, high = series.first_from(span[0]), series.first_from(span[1] + dt.timedelta(days=1))
    sums = [
        (round(float(values[end - length + 1 : end + 1].sum()), 6), end)
        for end in range(max(low, length - 1), high)
        if not np.isnan(values[end - length + 1 : end + 1]).any()
    ]
    if not sums or low < length - 1:
        return None
    best, end = max(sums)
    return best, series.day(end)


def _best_evidence(
    series: Dated, name: str, start: int, at: int, now: float, best: float, end: dt.date, ratio: float
) -> list[Evidence]:
    length = at - start + 1
    stretch = f"{series.key}, session_date={series.day(start)}..{series.day(at)}"
    found: list[Evidence] = [
        {"table": series.table, "key": stretch, "column": f"{name}_hkd_mn", "value": round(now, 6)}
    ]
    if length <= _MART_LONGEST and series.key == "channel=total":
        key = f"window_sessions={length}, month={end.replace(day=1)}"
        table = "mart_southbound_best_window_monthly"
        found.append({"table": table, "key": key, "column": f"best_{name}_hkd_mn", "value": best})
    else:
        key = f"{series.key}, session_date=..{end}, sessions={length}"
        found.append({"table": series.table, "key": key, "column": f"{name}_hkd_mn", "value": best})
    found.append({"table": "", "key": f"{name}: ratio to the window ending {end}", "column": "ratio", "value": ratio})
    return found
