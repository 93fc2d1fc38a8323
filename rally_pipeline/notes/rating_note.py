"""Finds the share a whole note is about: the one its heading names, for lines and sentences that name none.

Belongs here: reading headings above a rating ("Tencent (700 HK): ads recover"). Does not belong here: subjects inside
the sentence (`rating_subjects.py`), anaphora of other claims (`subjects.py`).
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from rally_pipeline.notes.records import MentionKind, Passage

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

_LOOK_BACK = 400  # passages above a line in which a heading is looked for
_HEAD = 4  # passages at the top of a note that may be its title
_LONGEST = 300  # characters of a heading
_TICKER = re.compile(
    r"[ \t\u00a0]?[(（](?:(?:NYSE|NASDAQ|Nasdaq|HKEX|SEHK|HKG|SSE|SZSE|LON|TSE|SGX|BBG|RIC)[: ]\s?)?"
    r"(?P<ticker>\d{3,6}(?:[ .](?:HK|SS|SZ|SH|CH|TT|TW|KS|JP|T|C1|C2))?|[A-Z]{1,5}(?:[ .][A-Z]{1,2})?)"
    r"(?:[,;/ ][^()（）\n]{0,40})?[)）]"
)
#: What a bracket of capitals holds beside tickers.
_NO_TICKER = re.compile(
    r"(?:TP|PT|PO|USD|HKD|CNY|RMB|EUR|GBP|YOY|QOQ|YTD|MTD|AI|IPO|ETF|EV|US|UK|EU|HK|CH|FY|GDP|CPI|PMI|AFP|AP|"
    r"N|B|S|OW|UW|EW|OP|MP|19\d\d|20\d\d)\b"
)
_SEPARATOR = re.compile(r"[:：|｜\n,，;；—–]|\s-\s|^[\s•*#\-\d.]+")
_NAMED = re.compile(
    r"[\s•*#]*(?P<name>[A-Z][\w&.’'-]*(?: (?:[A-Z&][\w&.’'-]*|of|and)){0,4})[ \u00a0]?(?:[:：]| [-–—|] )[ \u00a0]?\S"
)
_GENERIC = re.compile(
    r"\b(?:research|daily|weekly|monthly|note|update|report|equit\w+|strategy|economics|sector|market|markets|morning|"
    r"flash|view|rating|ratings|target|price|date|analysts?|author|source|subject|title|summary|from|to|re|internet|"
    r"china|hong kong|asia|stocks|shares|global|key|risks?|valuation|outlook|flows?|prior|previous|close|upside|"
    r"investment|thesis|recommendation|company|sales|trading|desk)\b",
    re.IGNORECASE,
)


def note_subject(passage: Passage, lexicon: Lexicon) -> tuple[str, str]:
    """Text and catalog id of the share named by the nearest heading above a passage, else by the top of the note.

    A heading names a share with a ticker in brackets; the top of the note also as the only share in it, or before a
    colon. ``("", "")`` if none does.
    """
    before = passage.previous
    top: list[Passage] = []
    steps = 0
    while before is not None and steps < _LOOK_BACK:
        if before.is_heading or before.index == 0:
            found = _with_ticker(before, lexicon)
            if found is not None:
                return found
        if before.index < _HEAD:
            top.append(before)
        before, steps = before.previous, steps + 1
    for one in reversed(top):
        if not (one.is_heading or one.index == 0):
            continue
        shares = {m.entity_id: m for m in reversed(one.mentions) if _is_share(m.kind, m.entity_id)}
        if len(shares) == 1:
            ((entity, mention),) = shares.items()
            return mention.text, entity
    for one in reversed(top):
        named = _NAMED.match(one.text, one.start, min(one.end, one.start + _LONGEST)) if one.is_heading else None
        if named is not None and not _GENERIC.search(named["name"]) and not lexicon.broker(named["name"]):
            return named["name"], lexicon.instrument(named["name"])
    return "", ""


def _is_share(kind: MentionKind, entity: str) -> bool:
    return kind is MentionKind.INSTRUMENT and bool(entity) and not entity.startswith("^") and "=" not in entity


def _with_ticker(passage: Passage, lexicon: Lexicon) -> tuple[str, str] | None:
    found = _bracketed(passage.text[passage.start : min(passage.end, passage.start + _LONGEST)])
    if found is None:
        return None
    at, name, ticker = found
    for mention in passage.mentions:
        if mention.kind is MentionKind.INSTRUMENT and 0 <= passage.start + at - mention.end < 4:
            return mention.text, mention.entity_id
    return name, lexicon.instrument(name) or lexicon.instrument(ticker)


@functools.lru_cache(maxsize=2 * _LOOK_BACK)  # every line of a note asks for the headings above it
def _bracketed(heading: str) -> tuple[int, str, str] | None:
    """Place of the first ticker in brackets, the name before it, and the ticker."""
    for bracket in _TICKER.finditer(heading):
        if _NO_TICKER.fullmatch(bracket["ticker"]):
            continue
        begin = max(0, bracket.start() - 60)
        for separator in _SEPARATOR.finditer(heading, begin, bracket.start()):
            begin = separator.end()
        name = heading[begin : bracket.start()].strip()
        if len(name) > 1 and not name.isdigit() and len(name.split()) <= 8:
            return bracket.start(), name, bracket["ticker"]
    return None
