"""The label of an item in a list of movers: "Acme - Shares fell 3%".

Belongs here: finding the label. Does not belong here: what is said of it (`moves.py`).
"""

from __future__ import annotations

import re
from typing import Final

from rally_pipeline.notes.records import MentionKind, Passage

_LABEL: Final = re.compile(
    r"(?:^|(?<=[.:!?”\"\n])[ ]?)[ \"“]{0,2}"
    r"(?P<name>(?:[a-z]{2,6} )?[A-Z0-9][\w.&'’-]{0,30}(?: (?:[A-Z0-9&][\w.&'’-]{0,30}|of|and|de|the),?){0,6})"
    r"(?: [-–—] ?| {2})(?=[A-Z“\"])"
)


def label_before(passage: Passage, at: int) -> tuple[str, str] | None:
    """Name and symbol of the label of an item, "Acme - Shares fell 3%"; ``None`` without one."""
    text = passage.text
    begin = max(passage.start, at - 600)
    found: re.Match[str] | None = None
    for match in _LABEL.finditer(text[begin : at + 2]):
        if begin + match.end() <= at:
            found = match
    if found is None:
        return None
    start, end = begin + found.start("name"), begin + found.end("name")
    for mention in passage.mentions:
        if mention.start >= start and mention.end <= end:
            if mention.kind is MentionKind.INSTRUMENT:
                return mention.text, mention.entity_id
            symbol = next((one.partition(":")[2] for one in mention.also if one.startswith("instrument:")), "")
            if symbol:
                return mention.text, symbol
    return text[start:end].rstrip(","), ""
