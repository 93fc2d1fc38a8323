"""From readings to a verdict: the rules common to all claims about a figure.

Belongs here: when all, some or no readings bear a claim out, and when the audit abstains instead of contradicting. Does
not belong here: days (`readings.py`) and figures (the module of each kind of claim).

The worst error is a false *contradicted*. So that verdict is given only if no reading bears the claim out *and* nothing
that the warehouse cannot see would: a moment during the session, a window taken over from another clause, an instrument
that only stands for what is meant, a day guessed from a file.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rally_pipeline.audit.bands import Band, is_tenfold, precision
from rally_pipeline.audit.facts import Dated
from rally_pipeline.audit.verdict import SUSPECTED_UNIT_ERROR, AuditResult, Evidence, Reason, Verdict
from rally_pipeline.notes.records import AsOfBasis, Claim

#: From so many distinguishable figures on a number is precise: that it is an earlier day's is then no chance.
PRECISE = 200.0
#: Timings of which the warehouse keeps nothing but the day's range.
INTRADAY = ("open", "intraday", "midday")
#: Rows that are listed as evidence; of longer stretches the first and the last.
LISTED = 12


@dataclass(frozen=True, slots=True)
class Row:
    """A row that a reading used."""

    series: Dated
    at: int
    column: str = "close"

    def evidence(self) -> Evidence:
        """As stored."""
        return self.series.evidence(self.at, self.column)


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure as the words allow it.

    Attributes:
        figure: signed, in the claim's unit.
        day: the as-of day.
        start: day of the base, or first day counted.
        rank: 0 = first reading of the day, 1 = second, 2 = up to a week before.
        is_turning_point: the start is the turning point of a vague one.
        rows: what was used.
    """

    figure: float
    day: dt.date
    start: dt.date | None = None
    rank: int = 0
    is_turning_point: bool = False
    rows: tuple[Row, ...] = ()


@dataclass
class Checked:
    """A verdict before it is made a record."""

    verdict: Verdict
    reason: Reason
    band: Band | None = None
    readings: Sequence[Reading] = ()
    shown: Reading | None = None
    days: tuple[dt.date, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    series: tuple[Dated, ...] = ()
    subjects: tuple[str, ...] = ()
    observed: float | None = None
    suspicion: str = ""
    known: tuple[dt.datetime, ...] = field(default=())


def decide(
    claim: Claim,
    band: Band,
    readings: Sequence[Reading],
    *,
    precise: float = PRECISE,
    missing: Reason = Reason.STALE_DATA,
) -> Checked:
    """The verdict by the readings alone; `soften` then says whether a contradiction stands.

    All first readings inside: confirmed. Some: window_decides, unless the start is vague and the turning point in it is
    among them: confirmed. None, but a second reading: window_decides with its days; so also a precise figure that is
    that of an earlier day (`precise`: from how many distinguishable figures on). Otherwise contradicted, unless there
    is no first reading at all: then `missing` says why nothing can be held against the claim.
    """
    first = [r for r in readings if r.rank == 0]
    inside = [r for r in first if band.holds(r.figure)]
    turning = [r for r in first if r.is_turning_point]
    is_turned = bool(turning) and all(band.holds(r.figure) for r in turning)
    if first and len(inside) == len(first):
        return _made(Verdict.CONFIRMED, Reason.IN_BAND, band, readings, first[0], _days(inside))
    if is_turned:
        return _made(Verdict.CONFIRMED, Reason.TURNING_POINT, band, readings, turning[0], _days(turning))
    if inside:
        days = {r.day for r in first}
        by_start = len(days) == 1
        satisfied = _starts(inside) if by_start else _days(inside)
        reason = Reason.START_DECIDES if by_start else Reason.DAY_DECIDES
        return _made(Verdict.WINDOW_DECIDES, reason, band, readings, inside[0], satisfied)
    second = [r for r in readings if r.rank == 1 and band.holds(r.figure)]
    if second and first and second[0].day == first[0].day:
        return _made(Verdict.WINDOW_DECIDES, Reason.START_DECIDES, band, readings, second[0], _starts(second))
    if second:
        return _made(Verdict.WINDOW_DECIDES, Reason.DAY_DECIDES, band, readings, second[0], _days(second))
    earlier = [r for r in readings if r.rank == 2 and band.holds(r.figure)]
    if earlier and precision(claim) >= precise and band.high is not None:
        return _made(Verdict.WINDOW_DECIDES, Reason.EARLIER_DAY, band, readings, earlier[0], _days(earlier))
    if not first:
        return Checked(Verdict.NOT_CHECKABLE, missing, band, [r for r in readings if r.rank < 2])
    shown = turning[0] if turning else first[0]
    return _made(Verdict.CONTRADICTED, Reason.OUT_OF_BAND, band, readings, shown, ())


def _made(
    verdict: Verdict,
    reason: Reason,
    band: Band,
    readings: Sequence[Reading],
    shown: Reading,
    days: tuple[dt.date, ...],
) -> Checked:
    kept = [r for r in readings if r.rank < 2 or r is shown]
    return Checked(verdict, reason, band, kept, shown, days)


def _days(readings: Iterable[Reading]) -> tuple[dt.date, ...]:
    return tuple(sorted({r.day for r in readings}))


def _starts(readings: Iterable[Reading]) -> tuple[dt.date, ...]:
    return tuple(sorted({r.start or r.day for r in readings}))


def soften(claim: Claim, checked: Checked, *, excuse: Reason | None = None) -> Checked:
    """A contradiction turned into an abstention where something not seen may bear the claim out.

    Args:
        claim: timing, window, basis and ``details['is_proxy']`` are looked at.
        checked: the verdict so far.
        excuse: a further reason, found where the figures were.
    """
    if checked.verdict is not Verdict.CONTRADICTED:
        return checked
    if any(is_tenfold(claim, r.figure) for r in checked.readings if r.rank < 2):
        checked.suspicion = SUSPECTED_UNIT_ERROR
    reason = excuse
    tolerance = claim.tolerance or 0.0
    wanted = checked.band
    if wanted is not None and any(wanted.nearly_holds(r.figure, tolerance) for r in checked.readings if r.rank == 0):
        reason = Reason.ROUNDING
    if claim.details.get("is_proxy"):
        reason = Reason.PROXY_SUBJECT
    elif claim.as_of_basis is AsOfBasis.FILE_TIME:
        reason = Reason.AMBIGUOUS_DAY
    elif claim.timing in INTRADAY:
        reason = Reason.INTRADAY_NOT_KEPT
    if reason is not None:
        checked.verdict, checked.reason = Verdict.NOT_CHECKABLE, reason
    return checked


def result(claim_id: str, claim: Claim, checked: Checked, until: dt.date | None) -> AuditResult:
    """The record of a verdict."""
    figures = [r.figure for r in checked.readings]
    shown = checked.shown
    rows = list(shown.rows) if shown is not None else []
    if len(rows) > LISTED:
        rows = [rows[0], rows[-1]]
    series = {row.series.subject: row.series for r in checked.readings for row in r.rows}
    series |= {s.subject: s for s in checked.series}
    known = [
        moment for s in series.values() if until is not None and (moment := s.known_until(until)) is not None
    ] + list(checked.known)
    low, high = checked.band.signed if checked.band is not None else (None, None)
    observed = checked.observed if checked.observed is not None else (shown.figure if shown is not None else None)
    return AuditResult(
        claim_id=claim_id,
        verdict=checked.verdict,
        reason=checked.reason,
        expected_low=low,
        expected_high=high,
        observed=observed,
        observed_low=min(figures) if figures else observed,
        observed_high=max(figures) if figures else observed,
        observed_dates=checked.days,
        evidence=(*(row.evidence() for row in rows), *checked.evidence),
        suspicion=checked.suspicion,
        unit=claim.unit,
        data_known_at=max(known) if known else None,
        data_until=until,
        subjects=tuple(sorted({*series, *checked.subjects})),
    )


def abstained(claim_id: str, claim: Claim, reason: Reason, until: dt.date | None = None) -> AuditResult:
    """The record of a claim that is not checked."""
    subject = claim.subject_id
    return AuditResult(
        claim_id=claim_id,
        verdict=Verdict.NOT_CHECKABLE,
        reason=reason,
        unit=claim.unit,
        data_until=until,
        subjects=(subject,) if subject else (),
    )
