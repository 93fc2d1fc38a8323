"""Claims about an instrument's place among others.

Belongs here: ranks by return over a window, in the leaderboards of the catalog. Does not belong here: the returns of a
single instrument (`prices.py`).

Each member counts at its last session on or before the day, as in ``mart_leaderboard_daily``.
"""

from __future__ import annotations

import math
import re

from rally_pipeline.audit.facts import Facts
from rally_pipeline.audit.judge import Checked, Reading, Row, soften
from rally_pipeline.audit.prices import series_of
from rally_pipeline.audit.readings import Abstain, AsOf, as_of_days, end_of, price_starts
from rally_pipeline.audit.verdict import Evidence, Reason, Verdict
from rally_pipeline.marts.inputs import LAST_SESSION_DAYS
from rally_pipeline.notes.records import Claim, Comparator, Direction, Window, WindowKind

#: Words that speak of the world's markets, and of populations that no leaderboard is, whatever stands beside them or
#: unless the world does.
_WORLD = re.compile(r"world|globe|global|major|large|every|other|全球|世界|主要|各大", re.IGNORECASE)
_REGION = re.compile(
    r"asia|region|europe|emerging|sector|hang seng|s&p|\bdow\b|countr|city|continent|亚洲|亞洲|成份|成分|板块|板塊|恒",
    re.IGNORECASE,
)
_OTHERS = re.compile(r"share|stock(?! market)|index$|member|股份|个股|個股", re.IGNORECASE)
#: The leaderboard of one index a market, and that of all indices.
_HEADLINE, _WORLD_INDICES = "headline_indices", "world_indices"


def boards_of(claim: Claim, facts: Facts) -> tuple[list[tuple[str, ...]], bool]:
    """The populations that a claim may mean, narrow ones first, and whether it says which.

    Words about the world's markets mean the headline indices, or one index of every market: its headline index, or the
    claim's own.

    Raises:
        Abstain: it means none of the catalog's.
    """
    population = str(claim.details.get("population") or "").strip()
    if population in facts.members:
        found = [facts.members[population]]
    elif _REGION.search(population) or (_OTHERS.search(population) and not _WORLD.search(population)):
        raise Abstain(Reason.METRIC_UNDEFINED)
    elif not population or _WORLD.search(population):
        found = [facts.members.get(_HEADLINE, ()), _one_a_market(claim.subject_id, facts)]
    else:
        raise Abstain(Reason.METRIC_UNDEFINED)
    found = [members for members in found if claim.subject_id in members]
    if not found:
        raise Abstain(Reason.METRIC_UNDEFINED)
    return found, bool(population)


def _one_a_market(subject: str, facts: Facts) -> tuple[str, ...]:
    headline = facts.members.get(_HEADLINE, ())
    instruments = facts.catalog.instruments
    own = instruments[subject].market
    led = {instruments[symbol].market for symbol in headline} - {own}
    return tuple(
        symbol
        for symbol in facts.members.get(_WORLD_INDICES, ())
        if symbol == subject
        or (instruments[symbol].market != own and (symbol in headline or instruments[symbol].market not in led))
    )


def check_rank(claim: Claim, facts: Facts) -> Checked:
    """``rank``: the place of a subject by return, 1 = best (of a fall, or the lowest: 1 = worst). If the populations
    that the words may mean give different answers, the measure decides.
    """
    series_of(claim, facts)
    populations, is_said = boards_of(claim, facts)
    found = [_check_board(claim, facts, members) for members in populations]
    first = found[0]
    verdicts = {checked.verdict for checked in found}
    if len(verdicts) > 1:
        first = min(found, key=lambda checked: _ORDER[checked.verdict])
        if Verdict.CONTRADICTED in verdicts and first.verdict is not Verdict.NOT_CHECKABLE:
            first.verdict, first.reason = Verdict.WINDOW_DECIDES, Reason.MEASURE_DECIDES
        elif Verdict.NOT_CHECKABLE in verdicts:
            first.verdict, first.reason = Verdict.NOT_CHECKABLE, Reason.NO_DATA
    return soften(claim, first, excuse=None if is_said else Reason.METRIC_UNDEFINED)


_ORDER = {Verdict.CONFIRMED: 0, Verdict.WINDOW_DECIDES: 1, Verdict.NOT_CHECKABLE: 2, Verdict.CONTRADICTED: 3}


def _check_board(claim: Claim, facts: Facts, members: tuple[str, ...]) -> Checked:
    wanted = _wanted(claim)
    window = claim.window or Window(0, 0, WindowKind.YEAR_TO_DATE)
    if window.kind is WindowKind.DAY:
        raise Abstain(Reason.WINDOW_UNKNOWN)
    worst = claim.direction is Direction.DOWN or claim.comparator in (
        Comparator.LOWEST_IN_WINDOW,
        Comparator.NEAR_LOWEST,
    )
    market = facts.prices[claim.subject_id].market
    readings: list[Reading] = []
    missing: set[str] = set()
    boards: list[tuple[Evidence, ...]] = []
    for as_of in as_of_days(claim, facts, market):
        if as_of.rank > 1:
            continue
        if as_of.rank == 0 and claim.as_of_date is not None:
            # others may trade on the note's day where the subject does not
            as_of = AsOf(claim.as_of_date, 0)
        reading, lacking, board = _place(claim.subject_id, members, window, facts, as_of, worst=worst)
        missing |= lacking
        readings.append(reading)
        boards.append(board)
    if not readings:
        raise Abstain(Reason.NO_DATA)
    return _decide(readings, boards, wanted, len(members), missing, has_window=claim.window is not None)


def _wanted(claim: Claim) -> int:
    if claim.value is not None and math.isfinite(claim.value):
        return round(claim.value)
    if claim.comparator in (Comparator.HIGHEST_IN_WINDOW, Comparator.LOWEST_IN_WINDOW):
        return 1
    raise Abstain(Reason.QUALITATIVE)


def _place(
    subject: str, members: tuple[str, ...], window: Window, facts: Facts, as_of: AsOf, *, worst: bool
) -> tuple[Reading, set[str], tuple[Evidence, ...]]:
    """The subject's place on a day, the members without figures, and all returns."""
    returns: dict[str, float] = {}
    rows: dict[str, tuple[Row, ...]] = {}
    missing: set[str] = set()
    for symbol in members:
        series = facts.prices.get(symbol)
        end = end_of(window, facts, facts.catalog.instruments[symbol].market.value, as_of)
        at = series.at_or_before(end.day) if series is not None else None
        if series is None or at is None or end.day.toordinal() - series.days[at] > LAST_SESSION_DAYS:
            missing.add(symbol)
            continue
        try:
            starts = price_starts(window, facts, series, series.day(at), falls=worst)
        except Abstain:
            missing.add(symbol)
            continue
        base = next((s for s in starts if s.is_turning_point), starts[0]).base
        then = series.value(base) or 0.0
        returns[symbol] = ((series.value(at) or 0.0) / then - 1.0) * 100.0
        rows[symbol] = (Row(series, base), Row(series, at))
    if subject not in returns:
        raise Abstain(Reason.STALE_DATA if subject in missing else Reason.NO_DATA)
    own = returns[subject]
    ahead = sum(1 for value in returns.values() if (value < own if worst else value > own))
    board = tuple(row.evidence() for symbol in returns if symbol != subject for row in rows[symbol])
    every = tuple(row for symbol in (subject, *(s for s in returns if s != subject)) for row in rows[symbol])
    return Reading(float(ahead + 1), as_of.day, None, as_of.rank, rows=every), missing, board


def _decide(
    readings: list[Reading],
    boards: list[tuple[Evidence, ...]],
    wanted: int,
    size: int,
    missing: set[str],
    *,
    has_window: bool,
) -> Checked:
    true = [r for r in readings if r.figure == wanted]
    shown = readings[0]
    days = tuple(sorted({r.day for r in true}))
    if shown.figure == wanted:
        verdict, reason = Verdict.CONFIRMED, Reason.IN_BAND
    elif true:
        verdict, reason, shown = Verdict.WINDOW_DECIDES, Reason.DAY_DECIDES, true[0]
    else:
        verdict, reason = Verdict.CONTRADICTED, Reason.OUT_OF_BAND
    if missing:
        # those without figures could only push the subject down
        beaten = all(r.figure > wanted for r in readings)
        if not beaten:
            verdict, reason = Verdict.NOT_CHECKABLE, Reason.NO_DATA
    if verdict is Verdict.CONTRADICTED and not has_window:
        verdict, reason = Verdict.NOT_CHECKABLE, Reason.NO_WINDOW
    evidence = boards[readings.index(shown)] if size > 6 else ()
    return Checked(verdict, reason, None, readings, shown, days, evidence)
