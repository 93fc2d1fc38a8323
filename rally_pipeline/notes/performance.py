"""Claims of performance: an index, share, sector, market or currency rose or fell by so much.

Belongs here: making PERFORMANCE claims of the moves read in a sentence. Does not belong here: reading them (`moves.py`,
`moves_zh.py`), levels (`levels.py`), highs and lows (`extremes.py`).

The value is signed: "fell 2 percent" is -2. "more than" keeps its comparator in the direction of the move: "fell more
than 2 percent" is at most -2.
"""

from __future__ import annotations

import bisect
from dataclasses import replace

from rally_pipeline.notes import claim_parts, moves, moves_zh, yield_moves
from rally_pipeline.notes.claim_parts import STRETCHES
from rally_pipeline.notes.move_parts import Reading
from rally_pipeline.notes.records import Claim, ClaimType, Passage, QuantityKind, Window, WindowKind
from rally_pipeline.notes.stated_days import is_stated, stated_day
from rally_pipeline.notes.stretch_references import reference

_CHANGES = frozenset({QuantityKind.PERCENT, QuantityKind.POINTS, QuantityKind.MONEY, QuantityKind.NUMBER})

#: A sentence with more numbers than this is a table or hostile; its numbers are not compared with each other.
MAX_LIST = 16
_SURE = frozenset({QuantityKind.PERCENT, QuantityKind.POINTS})
_TARGETS = (" target", " pt ", " tp ", "price objective", "目标价", "目標價")


def find(passage: Passage) -> list[Claim]:
    """The claims of performance in a sentence: ``return_pct`` and ``point_change``."""
    if not passage.quantities:
        return []
    found = all_readings(passage)
    return [_claim(passage, one, found) for one in found if one.role != "level"] + yield_moves.find(passage)


def all_readings(passage: Passage) -> list[Reading]:
    """Moves and levels of a sentence in either language."""
    kinds = {quantity.kind for quantity in passage.quantities}
    if kinds.isdisjoint(_CHANGES):
        return []
    if kinds.isdisjoint(_SURE) and claim_parts.says_any(passage, _TARGETS):
        # "Raises target to $70": a price that is aimed at.
        return []
    return moves_zh.readings(passage) if passage.is_chinese else moves.readings(passage)


def window_of(passage: Passage, reading: Reading, found: list[Reading]) -> Window | None:
    """The time a reading is about: its own, that of a clause before, that of the report."""
    own = own_window(passage, reading)
    is_of_period = reading.period in ("weekly", "monthly", "quarterly")
    if own is not None and not (is_of_period and own.kind is WindowKind.DAY):
        return own
    # "in that time": a clause ends before "that".
    meant = reference(passage, reading.clause_start, min(passage.end, reading.clause_end + len(" that time period")))
    if meant is not None:
        return meant.window
    if reading.period:
        return claim_parts.period_window(passage, reading.period, reading.quantity.start, reading.quantity.end)
    if reading.has_base or reading.is_earlier:
        return None
    for other in _before(reading, found):
        window = own_window(passage, other)
        if window is not None:
            return replace(window, is_inherited=True)
        if other.period:
            window = claim_parts.period_window(passage, other.period, other.quantity.start, other.quantity.end)
            return None if window is None else replace(window, is_inherited=True)
    stated = stated_day(passage, reading.quantity.start)
    for window in passage.windows[:MAX_LIST]:
        # What a sentence begins with holds for all of it; a day named before the number too.
        if window.start >= reading.quantity.start:
            break
        is_first = window.start - passage.start <= 12
        is_day = window.kind.value == "day"
        if (
            window.kind in STRETCHES
            and (stated is None or not is_stated(passage, window))
            and not _is_aside(passage, window)
            and (is_first or is_day or moves.is_of_market(passage, window))
        ):
            return replace(window, is_inherited=True)
    if passage.text.startswith("with ", reading.clause_start):
        # "was the best performer last year, with a gain of 20%"
        before = [one for one in passage.windows[:MAX_LIST] if one.end <= reading.clause_start]
        if before and before[-1].kind in STRETCHES and not _is_aside(passage, before[-1]):
            return replace(before[-1], is_inherited=True)
    shared = _shared_window(passage, reading, found)
    if shared is not None:
        return replace(shared, is_inherited=True)
    is_beside_level = any(one.role == "level" for one in found[:MAX_LIST])
    if stated is not None and reading.role == "return" and not is_beside_level:
        # "As of Friday the index was up 13%": over which stretch, the words do not tell.
        return claim_parts.stretch_before(passage)
    if reading.tense and reading.role == "return" and not is_beside_level:
        # "The DAX has gained 13% this year. The S&P 500 is up 4%": a state runs on over the stretch named before.
        stretch = claim_parts.stretch_before(passage)
        if stretch is not None or reading.tense == "perfect":
            return stretch
    if claim_parts.has_open_beginning(passage, reading.clause_start, reading.clause_end):
        return None
    is_daily = any(one.role == "level" and one.subject == reading.subject for one in found[:MAX_LIST])
    return claim_parts.day_window(passage, reading.quantity.start, reading.quantity.end, is_daily=is_daily)


def _before(reading: Reading, found: list[Reading]) -> list[Reading]:
    """The readings before one, nearest first, at most `MAX_LIST`."""
    at = bisect.bisect_left(found, reading.quantity.start, key=lambda one: one.quantity.start)
    return [one for one in reversed(found[max(0, at - MAX_LIST) : at]) if not one.is_earlier]


def _shared_window(passage: Passage, reading: Reading, found: list[Reading]) -> Window | None:
    """The time at the end of a list of different names: "the Dow rose 1%, the S&P 2% and the Nasdaq 3% this year"."""
    if len(found) > MAX_LIST:
        return None
    returns = [one for one in found if one.role == "return"]
    if not 2 <= len(returns) <= MAX_LIST or len(returns) != len(found) or reading is returns[-1]:
        return None
    if len({one.subject.text for one in returns}) != len(returns) or len({one.clause_start for one in returns}) > 1:
        return None
    return own_window(passage, returns[-1])


def _is_aside(passage: Passage, window: Window) -> bool:
    return moves_zh.is_aside(passage, window) if passage.is_chinese else moves.is_aside(passage, window)


def own_window(passage: Passage, reading: Reading) -> Window | None:
    """The time printed in the clause of a reading."""
    if reading.window_index < 0:
        return None
    return passage.windows[reading.window_index]


def timing_of(passage: Passage, reading: Reading) -> str:
    """The hour of the session: from the clause, else, for the day of the report, from the sentences before."""
    for start in (reading.clause_start, max(passage.start, reading.clause_end - 400)):
        found = claim_parts.timing(passage.text, start, reading.clause_end)
        if found != "unknown":
            return found
    return claim_parts.timing_in_note(passage)


def _claim(passage: Passage, reading: Reading, found: list[Reading]) -> Claim:
    quantity, subject = reading.quantity, reading.subject
    window = window_of(passage, reading, found)
    is_day = window is not None and window.kind.value == "day"
    session = claim_parts.session(passage.text, reading.clause_start, reading.clause_end)
    as_of_date, basis = claim_parts.as_of(passage, window, quantity.start)
    sign = reading.sign
    unit, currency = claim_parts.unit_of(quantity)
    if reading.role == "change" and quantity.kind is QuantityKind.NUMBER:
        unit = "points"
    details: dict[str, str | float | int | bool | None] = {}
    if subject.is_proxy:
        details["is_proxy"] = True
    if subject.instrument:
        details["instrument"] = subject.instrument
    if subject.asset:
        details["asset_class"] = subject.asset
    if subject.is_reference:
        details["is_reference"] = True
    if session:
        details["session"] = session
    if reading.is_earlier:
        details["is_earlier"] = True
    if reading.has_base:
        details["has_other_base"] = True
    value = abs(quantity.value) * (sign or 1)
    return Claim(
        claim_type=ClaimType.PERFORMANCE,
        rule_id=f"performance.{reading.rule}",
        start=reading.start,
        end=reading.end,
        quote=passage.text[reading.start : reading.end],
        subject_text=subject.text,
        subject_id="" if session or subject.instrument else subject.symbol,
        metric="return_pct" if reading.role == "return" else "point_change",
        direction=claim_parts.direction(sign),
        comparator=claim_parts.flipped(quantity.comparator, sign),
        value=value,
        unit=unit,
        currency=currency,
        tolerance=quantity.tolerance,
        hedge=quantity.hedge,
        is_scale_word_chinese=quantity.is_scale_word_chinese,
        window=window,
        as_of_date=as_of_date,
        as_of_basis=basis,
        timing=timing_of(passage, reading)
        if is_day or window is None
        else claim_parts.timing(passage.text, reading.clause_start, reading.clause_end),
        stance=reading.stance,
        details=details,
    )
