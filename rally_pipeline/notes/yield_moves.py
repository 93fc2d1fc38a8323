"""Claims that the yield of a bond rose or fell by so many basis points.

Belongs here: PERFORMANCE claims of yields, English. Does not belong here: prices (`performance.py`), highs and lows of
yields (`extremes.py`), forecasts of rates.
"""

from __future__ import annotations

import re
from typing import Final

from rally_pipeline.notes import claim_parts
from rally_pipeline.notes import numeric_words as words
from rally_pipeline.notes.claim_parts import STRETCHES
from rally_pipeline.notes.records import Claim, ClaimType, Passage, QuantityKind, WindowKind

YIELD: Final = re.compile(
    r"\b[Yy]ields? (?:on|of) (?:the )?(?:[\w.&-]+ ){0,6}?(?:notes?|bonds?|bunds?|gilts?|Treasur(?:y|ies)|JGBs?"
    r"|debt|paper)\b"
    r"(?: notes?| bonds?)?"
    r"|\b(?:(?:(?!The\b)[A-Z][\w.&-]*|\d+-year|benchmark|long-term|short-term|sovereign|government) ){0,4}"
    r"(?:(?:bond|[Tt]reasury|note|gilt|bund) )?(?:\([A-Z]{2,5}\) )?[Yy]ields?\b"
)
_MOVED: Final = re.compile(
    r",? (?:(?:has|have|had|was|were|is|are|also|then|now) ){0,2}(?P<verb>[a-z]+)(?: (?:up|down|higher|lower))?"
    r"(?: (?:by|some|about|around|roughly|nearly|almost|more than|another|a further|as much as|at least|over)){0,2} ?"
)
#: Of a sentence at most so many numbers are looked at.
MAX_NUMBERS: Final = 8


def find(passage: Passage) -> list[Claim]:
    """The claims of a move of a yield; metric ``point_change``, unit ``bp``, signed."""
    if passage.is_chinese:
        return []
    moved = [one for one in passage.quantities if one.kind is QuantityKind.BASIS_POINT][:MAX_NUMBERS]
    if not moved:
        return []
    text = passage.text
    made: list[Claim] = []
    for quantity in moved:
        begin = max(passage.start, quantity.start - 140)
        found = None
        for match in YIELD.finditer(text, begin, quantity.start):
            found = match
        if found is None:
            continue
        verb = _MOVED.fullmatch(text, found.end(), quantity.start)
        if verb is None:
            continue
        low = verb["verb"]
        sign = (
            1
            if low in words.UP_MOVES or low in words.UP_ADVERBS
            else -1
            if low in words.DOWN_MOVES or low in words.DOWN_ADVERBS
            else 0
        )
        between = verb.group()
        if re.search(r"\b(?:up|higher)\b", between):
            sign = 1
        elif re.search(r"\b(?:down|lower)\b", between):
            sign = -1
        if not sign:
            continue
        own = next(
            (
                one
                for one in passage.windows
                if one.kind in STRETCHES
                and (one.end <= found.start() or 0 <= one.start - quantity.end <= 24)
                and not re.search(r"[,;:]", text[quantity.end : max(quantity.end, one.start)])
            ),
            None,
        )
        window = own or claim_parts.day_window(passage, quantity.start, quantity.end)
        as_of_date, basis = claim_parts.as_of(passage, window, quantity.start)
        is_day = window is None or window.kind is WindowKind.DAY
        made.append(
            Claim(
                claim_type=ClaimType.PERFORMANCE,
                rule_id="performance.yield",
                start=found.start(),
                end=quantity.end,
                quote=text[found.start() : quantity.end],
                subject_text=found.group(),
                metric="point_change",
                direction=claim_parts.direction(sign),
                comparator=claim_parts.flipped(quantity.comparator, sign),
                value=abs(quantity.value) * sign,
                unit="bp",
                tolerance=quantity.tolerance,
                hedge=quantity.hedge,
                window=window,
                as_of_date=as_of_date,
                as_of_basis=basis,
                timing=claim_parts.timing(text, found.start(), quantity.end) if is_day else "unknown",
                details={"asset_class": "yield"},
            )
        )
    return made
