"""Auditing many claims at once.

Belongs here: which kind of claim is checked by what, and which are not checked at all. Does not belong here: how any
kind is checked, or where results are kept (`store.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from rally_pipeline.audit.extremes import check_extreme, check_largest_move
from rally_pipeline.audit.facts import CHANNELS, Facts, load
from rally_pipeline.audit.flows import check_comparison, check_flow
from rally_pipeline.audit.judge import Checked, abstained, result
from rally_pipeline.audit.prices import check_level, check_return
from rally_pipeline.audit.ranks import check_rank
from rally_pipeline.audit.readings import Abstain
from rally_pipeline.audit.verdict import AuditResult, Reason
from rally_pipeline.audit.volumes import check_volume_record
from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import CalendarHorizonError
from rally_pipeline.notes.records import Claim, ClaimType, Comparator, WindowKind
from rally_pipeline.sessions import Calendars

#: Readings reach so many days beyond the note's day, and so many further back than its window.
_AFTER_DAYS, _BEFORE_DAYS = 45, 800
#: Days in other years are misread.
_YEARS = (1900, 2200)
_RETURNS = ("return_pct", "point_change", "")
_EXTREMES = (
    Comparator.HIGHEST_IN_WINDOW,
    Comparator.LOWEST_IN_WINDOW,
    Comparator.NEAR_HIGHEST,
    Comparator.NEAR_LOWEST,
)

Check = Callable[[Claim, Facts], Checked]


def check_of(claim: Claim) -> Check:
    """What checks a claim.

    Raises:
        Abstain: nothing does, and why.
    """
    if claim.stance == "forecasts" or claim.metric == "index_target":
        raise Abstain(Reason.FORECAST)
    if claim.stance != "asserts":
        raise Abstain(Reason.NOT_ASSERTED)
    if claim.claim_type not in _CHECKS:
        raise Abstain(Reason.QUALITATIVE)
    if not claim.subject_id:
        raise Abstain(Reason.NO_INSTRUMENT)
    if any(not _YEARS[0] <= day.year <= _YEARS[1] for day in _days_of(claim)):
        raise Abstain(Reason.WINDOW_UNKNOWN)
    return _CHECKS[claim.claim_type]


def _days_of(claim: Claim) -> list[dt.date]:
    window = claim.window
    days = [claim.as_of_date]
    if window is not None:
        days += [window.start_earliest, window.start_latest, window.last]
    return [day for day in days if day is not None]


def _performance(claim: Claim, facts: Facts) -> Checked:
    if claim.metric not in _RETURNS:
        raise Abstain(Reason.METRIC_UNDEFINED)
    if claim.comparator in _EXTREMES:
        raise Abstain(Reason.METRIC_UNDEFINED)
    return check_return(claim, facts)


def _level(claim: Claim, facts: Facts) -> Checked:
    if claim.metric not in ("close", "level", ""):
        raise Abstain(Reason.METRIC_UNDEFINED)
    return check_extreme(claim, facts) if claim.comparator in _EXTREMES else check_level(claim, facts)


def _extreme(claim: Claim, facts: Facts) -> Checked:
    if claim.subject_id in CHANNELS:
        return check_flow(claim, facts)
    if claim.metric == "volume":
        return check_volume_record(claim, facts)
    if claim.comparator not in _EXTREMES:
        raise Abstain(Reason.QUALITATIVE)
    if claim.metric == "return_pct":
        return check_largest_move(claim, facts)
    if claim.metric not in ("close", "level", ""):
        raise Abstain(Reason.METRIC_UNDEFINED)
    return check_extreme(claim, facts)


_CHECKS: dict[ClaimType, Check] = {
    ClaimType.PERFORMANCE: _performance,
    ClaimType.LEVEL: _level,
    ClaimType.EXTREME: _extreme,
    ClaimType.RANK: check_rank,
    ClaimType.VOLUME_RECORD: check_volume_record,
    ClaimType.FLOW: check_flow,
    ClaimType.FLOW_COMPARISON: check_comparison,
}


def audit_claims(
    connection: sa.Connection,
    calendars: Calendars,
    catalog: Catalog,
    claims: Sequence[tuple[str, Claim]],
    *,
    today: dt.date,
) -> list[AuditResult]:
    """Audits claims against the warehouse, in their order.

    Args:
        connection: of the warehouse; only read from.
        calendars, catalog: of the workspace.
        claims: claim_id and claim.
        today: last day about which the warehouse can know; claims about later ones are not checked (``future``).
    """
    facts = load_for(connection, calendars, catalog, [claim for _, claim in claims], today=today)
    return [audit_one(claim_id, claim, facts) for claim_id, claim in claims]


def load_for(
    connection: sa.Connection, calendars: Calendars, catalog: Catalog, claims: Sequence[Claim], *, today: dt.date
) -> Facts:
    """The facts that these claims may need, in a handful of queries whatever their number."""
    symbols: set[str] = set()
    has_flows = False
    starts: list[dt.date] = []
    ends: list[dt.date] = []
    needs_all = False
    for claim in claims:
        try:
            check_of(claim)
        except Abstain:
            continue
        if claim.subject_id in CHANNELS:
            has_flows = True
            continue
        symbols.add(claim.subject_id)
        if claim.claim_type is ClaimType.RANK:
            symbols.update(symbol for symbol in catalog.instruments if _shares_board(catalog, claim.subject_id, symbol))
        window, days = claim.window, _days_of(claim)
        if not days:
            continue
        needs_all |= claim.claim_type is ClaimType.VOLUME_RECORD or (
            window is not None and window.kind is WindowKind.ALL_TIME
        )
        months = max(window.months or 0 if window is not None else 0, _number(claim, "lookback_months"))
        length = max(window.days or 0 if window is not None else 0, _number(claim, "lookback_days"))
        back = min(months * 31 + length + _BEFORE_DAYS, min(days).toordinal() - 1)
        starts.append(min(days) - dt.timedelta(days=back))
        ends.append(min(max(days) + dt.timedelta(days=_AFTER_DAYS), today) if max(days) < today else today)
    return load(
        connection,
        calendars,
        catalog,
        symbols,
        today=today,
        has_flows=has_flows,
        start=None if needs_all or not starts else min(starts),
        end=max(ends) if ends else today,
    )


def _shares_board(catalog: Catalog, one: str, other: str) -> bool:
    """Whether two instruments are ranked against each other anywhere."""
    found = catalog.instruments.get(one)
    return found is not None and not set(found.leaderboards).isdisjoint(catalog.instruments[other].leaderboards)


def _number(claim: Claim, name: str) -> int:
    value = claim.details.get(name)
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def audit_one(claim_id: str, claim: Claim, facts: Facts) -> AuditResult:
    """Audits one claim against loaded facts."""
    try:
        checked = check_of(claim)(claim, facts)
    except Abstain as abstain:
        return abstained(claim_id, claim, abstain.reason, _until(claim, facts))
    except CalendarHorizonError:
        return abstained(claim_id, claim, Reason.CALENDAR_UNKNOWN)
    days = [r.day for r in checked.readings] + [r.start for r in checked.readings if r.start is not None]
    until = max([*days, *checked.days], default=None)
    return result(claim_id, claim, checked, until)


def _until(claim: Claim, facts: Facts) -> dt.date | None:
    return min(claim.as_of_date, facts.today) if claim.as_of_date is not None else None
