"""Claims of level: an index or price stood at so much, at the close, the open or in between.

Belongs here: making LEVEL claims of the levels read in a sentence. Does not belong here: reading them (`moves.py`,
`moves_zh.py`), targets and forecasts of a level (`ratings.py`).
"""

from __future__ import annotations

from rally_pipeline.notes import claim_parts
from rally_pipeline.notes.performance import all_readings, timing_of, window_of
from rally_pipeline.notes.records import Claim, ClaimType, Comparator, Direction, Passage, QuantityKind, WindowKind

_LEVELS = frozenset({QuantityKind.POINTS, QuantityKind.NUMBER, QuantityKind.MONEY})
_COMPARATORS = {
    "above": Comparator.AT_LEAST,
    "over": Comparator.AT_LEAST,
    "past": Comparator.AT_LEAST,
    "below": Comparator.AT_MOST,
    "under": Comparator.AT_MOST,
    "near": Comparator.APPROX,
    "around": Comparator.APPROX,
}


def find(passage: Passage) -> list[Claim]:
    """The claims of level in a sentence, metric ``close``."""
    if not any(quantity.kind in _LEVELS for quantity in passage.quantities):
        return []
    found = all_readings(passage)
    made = []
    for reading in found:
        if reading.role != "level":
            continue
        quantity, subject = reading.quantity, reading.subject
        window = window_of(passage, reading, found)
        if window is not None and window.kind is not WindowKind.DAY:
            # "up 13% this year at 22,620": the level is that of the day.
            window = claim_parts.day_window(passage, quantity.start, quantity.end, is_daily=True)
        as_of_date, basis = claim_parts.as_of(passage, window, quantity.start)
        session = claim_parts.session(passage.text, reading.clause_start, reading.clause_end)
        unit, currency = claim_parts.unit_of(quantity)
        if (
            currency == "CNY"
            and subject.symbol.endswith(".HK")
            and "人" not in passage.text[quantity.start : quantity.end]
        ):
            unit = currency = "HKD"
        details: dict[str, str | float | int | bool | None] = {}
        if subject.is_proxy:
            details["is_proxy"] = True
        if subject.instrument:
            details["instrument"] = subject.instrument
        if subject.asset:
            details["asset_class"] = subject.asset
        if session:
            details["session"] = session
        comparator = _COMPARATORS.get(reading.comparator_word, quantity.comparator)
        made.append(
            Claim(
                claim_type=ClaimType.LEVEL,
                rule_id=f"level.{reading.rule.removeprefix('level_')}",
                start=reading.start,
                end=reading.end,
                quote=passage.text[reading.start : reading.end],
                subject_text=subject.text,
                subject_id="" if session or subject.instrument else subject.symbol,
                metric="close",
                direction=claim_parts.direction(reading.sign) if reading.sign else _flat(reading.rule),
                comparator=comparator,
                value=quantity.value,
                unit=unit or ("" if subject.asset or subject.symbol.endswith(".HK") else "points"),
                currency=currency,
                tolerance=quantity.tolerance,
                hedge=quantity.hedge or reading.comparator_word,
                is_scale_word_chinese=quantity.is_scale_word_chinese,
                window=window,
                as_of_date=as_of_date,
                as_of_basis=basis,
                timing=timing_of(passage, reading),
                stance=reading.stance,
                details=details,
            )
        )
    return made


def _flat(rule: str) -> Direction | None:
    return Direction.FLAT if rule == "level_flat" else None
