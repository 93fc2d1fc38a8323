"""Whose money a sentence about flows speaks of.

Belongs here: finding the channel, investors or funds, in the sentence or carried over from those before. Does not
belong here: amounts (`flows.py`) and comparisons (`flow_comparisons.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from rally_pipeline.notes import claim_parts
from rally_pipeline.notes.flow_words import NORTHBOUND, SOUTHBOUND, SUBJECT, ZH_SUBJECT
from rally_pipeline.notes.records import Passage

#: So many sentences before may say of which time a flow is.
FLOW_SENTENCES_BACK: Final = 2
_LEAD: Final = re.compile(r"(?:(?:via|through|in|on|of) )?(?:the )?", re.IGNORECASE)
_FLOW_IDS: Final = {
    **{"sse": "southbound_sse", "szse": "southbound_szse", "south": "southbound"},
}


@dataclass(frozen=True, slots=True)
class Flow:
    """Whose money.

    Attributes:
        start, end, text: as printed; all empty for what is carried over from a sentence before.
        flow_id: ``southbound``, ``southbound_sse``, ``southbound_szse`` or ``""``.
    """

    start: int
    end: int
    text: str
    flow_id: str


def subjects_in(passage: Passage) -> list[Flow]:
    """The flows a sentence names, in order."""
    pattern = ZH_SUBJECT if passage.is_chinese else SUBJECT
    made: list[Flow] = []
    for match in pattern.finditer(passage.text, passage.start, passage.end):
        flow_id = _FLOW_IDS.get(match.lastgroup or "", "")
        # "via the Shanghai link": the channel is named without its preposition.
        lead = _LEAD.match(match.group())
        start = match.start() + (lead.end() if lead is not None else 0)
        made.append(Flow(start, match.end(), passage.text[start : match.end()], flow_id))
    if len(made) > 1:
        # "EPFR data showed that equity funds took in": who counts it is not whose money it is.
        made = [one for one in made if not one.text.startswith("EPFR")] or made
    if any(one.flow_id.startswith("southbound_") for one in made) and _is_northbound(passage):
        # Both directions use the channels.
        made = [replace(one, flow_id="") if one.flow_id.startswith("southbound_") else one for one in made]
    return made


def _is_northbound(passage: Passage) -> bool:
    """Whether the sentence, or else the nearest before it that names a direction, speaks of northbound money alone."""
    for number, one in enumerate((passage, *claim_parts.earlier_passages(passage))):
        if number > FLOW_SENTENCES_BACK or SOUTHBOUND.search(one.text, one.start, one.end):
            return False
        if NORTHBOUND.search(one.text, one.start, one.end):
            return True
    return False


def carried_from(passage: Passage) -> list[Flow]:
    """Whose flow the sentence before spoke of: "They bought a net HK$3 billion"."""
    for number, earlier in enumerate(claim_parts.earlier_passages(passage)):
        if number >= 2:
            break
        found = subjects_in(earlier)
        if found:
            return [Flow(0, 0, found[-1].text, found[-1].flow_id)]
    return []


def flow_at(subjects: list[Flow], carried: list[Flow], at: int) -> Flow | None:
    """Whose flow words at an offset speak of: the last one named before, else the first named, else what is carried."""
    before = [one for one in subjects if one.start < at]
    if before:
        # A channel named in the same breath is what the amount is of: "southbound … via Shanghai".
        return before[-1]
    return next(iter(subjects or carried), None)
