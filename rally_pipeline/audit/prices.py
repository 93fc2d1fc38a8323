"""Claims about returns, changes in points and levels of one instrument.

Belongs here: the figures of those claims, by every reading of their words. Does not belong here: extremes
(`extremes.py`), ranks, volumes, flows.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from rally_pipeline.audit.bands import Band, band
from rally_pipeline.audit.facts import Dated, Facts
from rally_pipeline.audit.judge import INTRADAY, Checked, Reading, Row, decide, soften
from rally_pipeline.audit.readings import (
    Abstain,
    AsOf,
    as_of_days,
    end_of,
    named_days,
    price_starts,
    row_of,
    session_on_or_before,
    why_none,
)
from rally_pipeline.audit.verdict import Reason
from rally_pipeline.notes.records import AsOfBasis, Claim, Direction, Window, WindowKind

_CLOSE_WORDS = re.compile(r"\b(?:clos|end(?:ed|s|ing)?\b|finish|settl)|收", re.IGNORECASE)
_RETURN_UNITS = {"pct": 1.0, "": 1.0, "bp": 0.01, "pp": 1.0}


def series_of(claim: Claim, facts: Facts) -> Dated:
    """The closes of a claim's subject.

    Raises:
        Abstain: it is not in the catalog, or has no closes.
    """
    if claim.subject_id not in facts.catalog.instruments:
        raise Abstain(Reason.NO_INSTRUMENT)
    series = facts.prices.get(claim.subject_id)
    if series is None:
        raise Abstain(Reason.NO_DATA)
    return series


def check_return(claim: Claim, facts: Facts) -> Checked:
    """``return_pct`` and ``point_change``."""
    series = series_of(claim, facts)
    in_points = claim.metric == "point_change"
    if not in_points and claim.unit not in _RETURN_UNITS:
        raise Abstain(Reason.UNIT_MISMATCH)
    factor = 1.0 if in_points else _RETURN_UNITS[claim.unit]
    # points are printed cut off as often as rounded
    wanted = band(claim, factor=factor, truncated=in_points)
    if wanted is None or claim.value is None:
        raise Abstain(Reason.QUALITATIVE)
    if claim.direction is Direction.FLAT:
        wanted = dataclasses.replace(wanted, sign=0)
    window = claim.window
    if window is None or window.kind is WindowKind.DAY:
        return _of_day(claim, facts, series, wanted, in_points)
    readings = _of_stretch(claim, window, facts, series, in_points)
    checked = decide(claim, wanted, readings)
    return soften(claim, checked, excuse=_excuse(claim, window, facts, series, wanted, readings, in_points))


def _change(now: float, then: float, in_points: bool) -> float:
    return now - then if in_points else (now / then - 1.0) * 100.0


def _of_day(claim: Claim, facts: Facts, series: Dated, wanted: Band, in_points: bool) -> Checked:
    readings: list[Reading] = []
    problem = Reason.NO_DATA
    days = named_days(claim, facts, series.market)
    for as_of in days:
        try:
            at = row_of(series, facts, as_of.day)
        except Abstain as abstain:
            problem = abstain.reason if as_of.rank == 0 else problem
            continue
        before = at - 1
        if before < 0 or series.days[at] - series.days[before] > 14:
            continue
        then = series.value(before) or 0.0
        columns = ("open", "close") if claim.timing == "open" else ("close",)
        for column in columns:
            now = series.value(at, column)
            if now is not None and then > 0:
                rows = (Row(series, before), Row(series, at, column))
                figure = _change(now, then, in_points)
                readings.append(Reading(figure, as_of.day, series.day(before), as_of.rank, rows=rows))
    if not readings:
        raise Abstain(problem)
    if claim.timing in INTRADAY:
        readings = _matching(wanted, readings)
    checked = decide(claim, wanted, readings, missing=why_none(days))
    excuse = Reason.NO_WINDOW if claim.window is None else _of_moment(claim)
    return soften(claim, checked, excuse=_split(claim, facts, readings) or excuse)


def _of_moment(claim: Claim) -> Reason | None:
    """Why a claim about one day may not be contradicted by its close, if it may not.

    Where the day is that of another sentence, or no day is named at all, the hour too may be that of another sentence:
    then the claim's own words have to speak of the close.
    """
    window = claim.window
    if claim.timing != "close":
        return Reason.INTRADAY_POSSIBLE
    if window is not None and window.is_inherited:
        if claim.as_of_basis is AsOfBasis.STATED:
            return Reason.WINDOW_UNKNOWN
        if _CLOSE_WORDS.search(claim.quote) is None:
            return Reason.INTRADAY_POSSIBLE
    return None


def _matching(wanted: Band, readings: list[Reading]) -> list[Reading]:
    """Of a moment in the session open and close are both readings; the one that fits is enough."""
    fitting = [r for r in readings if wanted.holds(r.figure)]
    return fitting or readings


def _of_stretch(claim: Claim, window: Window, facts: Facts, series: Dated, in_points: bool) -> list[Reading]:
    readings: list[Reading] = []
    problem: Reason | None = None
    falls = claim.direction is Direction.DOWN or (claim.direction is None and (claim.value or 0) < 0)
    for as_of in _ends(claim, window, facts, series):
        try:
            at = row_of(series, facts, as_of.day)
            starts = price_starts(window, facts, series, as_of.day, falls=falls)
        except Abstain as abstain:
            if as_of.rank == 0:
                problem = abstain.reason
            if as_of.rank == 0 and abstain.reason is not Reason.STALE_DATA:
                break
            continue
        now = series.value(at) or 0.0
        for start in starts:
            then = series.value(start.base, start.column) or 0.0
            if then <= 0:
                continue
            rows = (Row(series, start.base, start.column), Row(series, at))
            rank = max(as_of.rank, start.rank)
            day = series.day(start.base)
            readings.append(Reading(_change(now, then, in_points), as_of.day, day, rank, start.is_turning_point, rows))
    if not readings:
        raise Abstain(problem or Reason.NO_DATA)
    return readings


def _ends(claim: Claim, window: Window, facts: Facts, series: Dated) -> list[AsOf]:
    """The last sessions of a stretch, each once."""
    if claim.as_of_date is None and window.last is not None:
        if window.last > facts.today:
            raise Abstain(Reason.FUTURE)
        return [AsOf(session_on_or_before(facts, series.market, window.last), 0)]
    found: dict[object, AsOf] = {}
    for as_of in as_of_days(claim, facts, series.market):
        end = end_of(window, facts, series.market, as_of)
        if window.kind is WindowKind.PERIOD and window.start_earliest is not None and end.day < window.start_earliest:
            # the note is older than the period, as far as it goes
            continue
        found.setdefault(end.day, end)
    if not found:
        raise Abstain(Reason.FUTURE)
    return list(found.values())


def _excuse(
    claim: Claim,
    window: Window,
    facts: Facts,
    series: Dated,
    wanted: Band,
    readings: Sequence[Reading],
    in_points: bool,
) -> Reason | None:
    """What the closes of the readings do not see."""
    if (split := _split(claim, facts, readings)) is not None:
        return split
    near = [r for r in readings if r.rank < 2]
    is_over = window.last is not None and claim.as_of_date is not None and window.last < claim.as_of_date
    # "as of 17 February" means that day's close; a note's own date may mean any moment of it
    is_moment = claim.timing != "close" and claim.as_of_basis is not AsOfBasis.STATED
    if is_moment and not is_over and near:
        seen = []
        for reading in near:
            base, last = reading.rows
            then = base.series.value(base.at, base.column) or 0.0
            prices = (last.series.value(last.at, name) for name in ("close", "low", "high"))
            seen += [_change(now, then, in_points) for now in prices if now is not None and then > 0]
        if wanted.meets(min(seen), max(seen)):
            return Reason.INTRADAY_POSSIBLE
    # the time may belong to other words ("fell 0.7 percent, snapping a seven-day run"): then it is the day's change
    for reading in near:
        at = reading.rows[-1].at
        if at > 0 and wanted.holds(_change(series.value(at) or 0.0, series.value(at - 1) or 1.0, in_points)):
            return Reason.WINDOW_UNKNOWN
    return None


def _split(claim: Claim, facts: Facts, readings: Sequence[Reading]) -> Reason | None:
    for day in facts.splits.get(claim.subject_id, ()):
        if any(r.start is not None and r.start < day <= r.day for r in readings):
            return Reason.SPLIT_IN_WINDOW
    return None


def check_level(claim: Claim, facts: Facts) -> Checked:
    """``close``: an index level, a share price or a rate. The direction of the move is not the level's."""
    series = series_of(claim, facts)
    currency = claim.currency or (claim.unit if len(claim.unit) == 3 and claim.unit.isupper() else "")
    if currency not in ("", "$", series.currency) or claim.unit in ("pct", "bp", "shares", "times", "rank"):
        raise Abstain(Reason.UNIT_MISMATCH)
    # indices are printed cut off as often as rounded
    is_cut = series.kind == "index"
    wanted = band(dataclasses.replace(claim, direction=None), truncated=is_cut)
    if wanted is None:
        raise Abstain(Reason.QUALITATIVE)
    readings: list[Reading] = []
    problem = Reason.NO_DATA
    columns = ("open", "close") if claim.timing == "open" else ("close",)
    days = _level_days(claim, facts, series)
    for as_of in days:
        try:
            at = row_of(series, facts, as_of.day)
        except Abstain as abstain:
            problem = abstain.reason if as_of.rank == 0 else problem
            continue
        for column in columns:
            figure = series.value(at, column)
            if figure is not None:
                row = Row(series, at, column)
                readings.append(Reading(figure, as_of.day, None, as_of.rank, rows=(row,)))
    if not readings:
        raise Abstain(problem)
    if claim.timing in INTRADAY:
        readings = _matching(wanted, readings)
    checked = decide(claim, wanted, readings, missing=why_none(days))
    return soften(claim, checked, excuse=_of_moment(claim))


def _level_days(claim: Claim, facts: Facts, series: Dated) -> list[AsOf]:
    window = claim.window
    if window is not None and window.kind is WindowKind.PERIOD and window.last is not None:
        as_of = claim.as_of_date
        last = window.last if as_of is None else min(window.last, as_of)
        if last > facts.today:
            raise Abstain(Reason.FUTURE)
        return [AsOf(session_on_or_before(facts, series.market, last), 0)]
    return named_days(claim, facts, series.market)
