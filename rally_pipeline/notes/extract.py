"""From a note to its claims: the order in which the layers read it, identity, repeats.

Belongs here: the order of the steps, what happens where two grammars read the same words, and the ids. Does not belong
here: any grammar, reading a file format (`readers/`), or whether a claim is true (`audit/`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rally_pipeline.notes import (
    attribution,
    extremes,
    flows,
    levels,
    performance,
    ranks,
    ratings,
    statements,
    volumes,
)
from rally_pipeline.notes.boilerplate import is_boilerplate
from rally_pipeline.notes.lexicon import Lexicon
from rally_pipeline.notes.quantities import find_quantities
from rally_pipeline.notes.records import (
    AsOfBasis,
    Claim,
    ClaimType,
    Mention,
    NoteContext,
    Passage,
    ReadNote,
)
from rally_pipeline.notes.sentences import is_chinese, sentences
from rally_pipeline.notes.windows import find_windows

#: Words kept on either side of a quote, so that it can be found again in another rendering of the text
#: (W3C TextQuoteSelector).
CONTEXT_CHARACTERS = 32
#: A sentence longer than this is no sentence (a table without line ends, hostile input); it is read in pieces.
MAX_SENTENCE = 4_000

_NUMERIC = (performance.find, levels.find, extremes.find, ranks.find, volumes.find, flows.find)
_RATING_TYPES = frozenset({ClaimType.RATING_ACTION, ClaimType.TARGET_CHANGE})
_HIGHS = frozenset({ClaimType.EXTREME, ClaimType.FLOW_COMPARISON})
_PRICE_TYPES = frozenset({ClaimType.PERFORMANCE, ClaimType.LEVEL, ClaimType.EXTREME, ClaimType.RANK})


@dataclass(frozen=True)
class ExtractedClaim:
    """A claim with its identity.

    Attributes:
        claim_id: SHA-256 of document, span, type and metric, hexadecimal.
        claim: the claim.
        repeat_of: ``claim_id`` of the first claim of the note that says the same; ``""`` if it is the first.
        page: page of the document on which it begins, from 1.
        prefix, suffix: up to `CONTEXT_CHARACTERS` characters on either side.
    """

    claim_id: str
    claim: Claim
    repeat_of: str
    page: int
    prefix: str
    suffix: str


@dataclass(frozen=True)
class Extraction:
    """All that was found in a note, in order of place."""

    note: ReadNote
    context: NoteContext
    passages: tuple[Passage, ...]
    mentions: tuple[Mention, ...]
    claims: tuple[ExtractedClaim, ...]


def extract_note(
    note: ReadNote,
    context: NoteContext,
    lexicon: Lexicon,
    *,
    events: Mapping[str, dt.date] | None = None,
    document: str = "",
) -> Extraction:
    """Reads a note.

    Args:
        note: the canonical text and what the document says of itself.
        context: day, house and author, see `context.context_of`.
        lexicon: names of the catalog.
        events: event id → date, for windows since an event; looked at only where a text names one.
        document: hash of the document and part, which tells claims from those of other notes; default: the text's.
    """
    text = note.canonical.text
    passages = passages_of(text, context, lexicon, events or {})
    found: list[Claim] = []
    for passage in passages:
        if not passage.is_heading and is_boilerplate(passage.sentence):
            continue
        found += _claims(passage, lexicon)
    claims = attribution.attribute(passages, found, context, lexicon) if found else []
    claims = [_dated(claim, context) for claim in claims]
    identity = document or note.canonical.sha256
    mentions = tuple(mention for passage in passages for mention in passage.mentions)
    return Extraction(note, context, tuple(passages), mentions, tuple(_identified(claims, note, identity)))


def passages_of(
    text: str, context: NoteContext, lexicon: Lexicon, events: Mapping[str, dt.date] | None = None
) -> list[Passage]:
    """The sentences of a text with what the lexical layers find in each."""
    passages: list[Passage] = []
    for start, end, is_heading in _bounded(sentences(text)):
        passages.append(
            Passage(
                text=text,
                start=start,
                end=end,
                index=len(passages),
                is_chinese=is_chinese(text, start, end),
                is_heading=is_heading,
                mentions=tuple(lexicon.find(text, start, end)),
                quantities=tuple(find_quantities(text, start, end)),
                windows=tuple(find_windows(text, start, end, context.as_of, events or {})),
                context=context,
                previous=passages[-1] if passages else None,
            )
        )
    return passages


def _bounded(spans: Iterable[tuple[int, int, bool]]) -> Iterable[tuple[int, int, bool]]:
    for start, end, is_heading in spans:
        for at in range(start, end, MAX_SENTENCE):
            yield at, min(end, at + MAX_SENTENCE), is_heading


def _claims(passage: Passage, lexicon: Lexicon) -> list[Claim]:
    """What the grammars find in a sentence; where two read the same words, the more telling reading stays."""
    rated = ratings.find(passage, lexicon)
    others = [claim for find in _NUMERIC for claim in find(passage)] + statements.find(passage)
    if not (rated or others):
        return others
    if rated:
        # "raises target to HK$85, implying 20 % upside": what stands in a rating is no move of the market.
        inside = [(claim.start, claim.end) for claim in rated]
        others = [
            claim
            for claim in others
            if claim.claim_type not in _PRICE_TYPES
            or not any(start <= claim.start and claim.end <= end for start, end in inside)
        ]
    placed = [(claim.start, claim.end) for claim in others if claim.claim_type is ClaimType.POSITIONING]
    if placed:
        # "net exposure is near the highest in a year" is no high of a price or a flow.
        others = [
            claim
            for claim in others
            if claim.claim_type not in _HIGHS
            or not any(start < claim.end and claim.start < end for start, end in placed)
        ]
    unique: dict[tuple[object, ...], Claim] = {}
    for claim in (*rated, *others):
        said = (claim.claim_type, claim.start, claim.end, claim.metric, claim.value, claim.subject_text)
        unique.setdefault(said, claim)
    return sorted(unique.values(), key=lambda claim: (claim.start, claim.end))


def _dated(claim: Claim, context: NoteContext) -> Claim:
    if claim.as_of_date is not None or context.as_of is None:
        return claim
    return replace(claim, as_of_date=context.as_of, as_of_basis=context.as_of_basis or AsOfBasis.DOCUMENT_DATE)


def _identified(claims: Sequence[Claim], note: ReadNote, document: str) -> list[ExtractedClaim]:
    text = note.canonical.text
    made: list[ExtractedClaim] = []
    first: dict[tuple[object, ...], str] = {}
    taken: set[str] = set()
    for claim in claims:
        if text[claim.start : claim.end] != claim.quote:
            raise ValueError(f"rule {claim.rule_id}: the quote is not the text from {claim.start} to {claim.end}")
        identity = f"{document}\0{claim.start}\0{claim.end}\0{claim.claim_type}\0{claim.metric}"
        number = 0
        while (claim_id := hashlib.sha256(f"{identity}\0{number}".encode()).hexdigest()) in taken:
            number += 1
        taken.add(claim_id)
        repeat_of = first.setdefault(_fact(claim), claim_id)
        made.append(
            ExtractedClaim(
                claim_id=claim_id,
                claim=claim,
                repeat_of="" if repeat_of == claim_id else repeat_of,
                page=note.canonical.page(claim.start),
                prefix=text[max(0, claim.start - CONTEXT_CHARACTERS) : claim.start],
                suffix=text[claim.end : claim.end + CONTEXT_CHARACTERS],
            )
        )
    return made


def _fact(claim: Claim) -> tuple[object, ...]:
    """What two claims share if they say the same."""
    window = claim.window
    about = claim.subject_id or claim.subject_text.casefold()
    return (
        *(claim.claim_type, about, claim.metric, claim.direction, claim.comparator, claim.value, claim.unit),
        *((window.kind, window.start_earliest, window.last, window.months) if window else ()),
        *(claim.as_of_date, claim.rating_action, claim.target_action, claim.rating.casefold(), claim.stance),
        *((claim.broker_id or claim.broker_text.casefold()) if claim.claim_type in _RATING_TYPES else "",),
        # Statements without a number are the same only where the words are.
        *((claim.quote,) if claim.value is None and claim.claim_type not in _RATING_TYPES else ()),
    )


@dataclass(frozen=True)
class RatingRecord:
    """One action of a house on an instrument, put together from the claims about it. Fields as in
    ``core_rating_action``.
    """

    claim_id: str
    rating: Claim | None
    target: Claim | None
    details: Mapping[str, str | float | int | bool | None] = field(default_factory=dict)

    @property
    def claim(self) -> Claim:
        """The claim that says most of it."""
        found = self.rating or self.target
        assert found is not None
        return found


def rating_records(extraction: Extraction) -> list[RatingRecord]:
    """The rating actions of a note, each once: repeats in headline and body are left out."""
    groups: dict[tuple[object, ...], dict[str, tuple[str, Claim]]] = {}
    for one in extraction.claims:
        claim = one.claim
        if claim.claim_type not in _RATING_TYPES or one.repeat_of:
            continue
        # The lines of a side box say one thing together; elsewhere a sentence does.
        is_box = claim.rule_id.startswith("ratings.box")
        passage = -1 if is_box else next((p.index for p in extraction.passages if p.start <= claim.start < p.end), -1)
        key = (
            passage,
            claim.details.get("action_no"),
            claim.broker_id or claim.broker_text,
            claim.subject_id or claim.subject_text,
        )
        groups.setdefault(key, {}).setdefault(claim.claim_type.value, (one.claim_id, claim))
    records = []
    for group in groups.values():
        rating, target = group.get(ClaimType.RATING_ACTION.value), group.get(ClaimType.TARGET_CHANGE.value)
        first = rating or target
        assert first is not None
        details = {**(target[1].details if target else {}), **(rating[1].details if rating else {})}
        records.append(RatingRecord(first[0], rating[1] if rating else None, target[1] if target else None, details))
    return records
