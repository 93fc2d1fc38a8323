"""Runs the extractor on texts and reduces what it gives to the records of `scoring.py`.

Belongs here: everything that knows the extractor's records. Does not belong here: labels and scores.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rally_pipeline.catalog import Catalog, load_catalog
from rally_pipeline.notes.records import AsOfBasis, CanonicalText, NoteContext, ReadNote
from rally_pipeline.sessions import Calendars, expand_events
from rally_pipeline_tests.eval.claim_scoring import FoundClaim, FoundWindow
from rally_pipeline_tests.eval.gold import Item
from rally_pipeline_tests.eval.scoring import Amount, FoundAction

_RATINGS = frozenset({"rating_action", "target_change"})


@dataclass(frozen=True)
class Extractor:
    """`read` gives an Extraction for text, date and ticker; `broker_id` the catalog id of a printed house."""

    read: Callable[[str, dt.date | None, str], Any]
    broker_id: Callable[[str], str]


def open_extractor() -> Extractor:
    """The project's extractor on the packaged catalog."""
    from rally_pipeline.notes.extract import extract_note
    from rally_pipeline.notes.lexicon import Lexicon

    catalog = load_catalog()
    lexicon = Lexicon.from_catalog(catalog)
    events = _events(catalog)

    def read(text: str, day: dt.date | None, ticker: str) -> Any:
        note = ReadNote(part="", canonical=CanonicalText(text), file_type="jsonl", title="")
        basis = AsOfBasis.DOCUMENT_DATE if day else None
        return extract_note(note, NoteContext(as_of=day, as_of_basis=basis, ticker=ticker), lexicon, events=events)

    return Extractor(read, lexicon.broker)


def _events(catalog: Catalog) -> dict[str, dt.date]:
    """Event id → date over the years that notes of the last fifteen years speak of."""
    this_year = dt.datetime.now(tz=dt.UTC).year
    events = expand_events(catalog.events, Calendars.from_catalog(catalog), this_year - 15, this_year)
    return {event_id: day for event_id, _, day in events}


def found_actions(extraction: Any) -> list[FoundAction]:
    """The rating actions of a note, each once, joined from the claims about rating and target."""
    groups: dict[tuple[object, ...], dict[str, Any]] = {}
    for one in extraction.claims:
        claim = one.claim
        if claim.claim_type.value not in _RATINGS or one.repeat_of:
            continue
        key = (
            claim.details.get("action_no"),
            claim.broker_id or claim.broker_text,
            claim.subject_id or claim.subject_text,
        )
        groups.setdefault(key, {}).setdefault(claim.claim_type.value, claim)
    return [_joined(group.get("rating_action"), group.get("target_change")) for group in groups.values()]


def _joined(rating: Any, target: Any) -> FoundAction:
    first = rating if rating is not None else target
    return FoundAction(
        broker=first.broker_text or first.broker_id,
        subject=first.subject_text,
        rating_action=first.rating_action,
        rating=first.rating,
        rating_prior=first.rating_prior,
        target_action=target.target_action if target is not None else first.target_action,
        target=target.value if target is not None else None,
        target_prior=target.value_prior if target is not None else None,
        currency=(target.currency or target.unit) if target is not None else "",
    )


def found_claims(extraction: Any) -> list[FoundClaim]:
    """The claims of a note but for ratings and repeats."""
    return [
        _claim(one.claim)
        for one in extraction.claims
        if one.claim.claim_type.value not in _RATINGS and not one.repeat_of
    ]


def _claim(claim: Any) -> FoundClaim:
    kind = claim.source_kind.value
    window = claim.window
    return FoundClaim(
        span=(claim.start, claim.end),
        type=claim.claim_type.value,
        subject=claim.subject_text,
        value=claim.value,
        unit=claim.unit or claim.currency,
        direction=claim.direction.value if claim.direction else "",
        comparator=claim.comparator.value,
        as_of=claim.as_of_date,
        window=window
        and FoundWindow(
            span=(window.start, window.end),
            kind=window.kind.value,
            start_earliest=window.start_earliest,
            start_latest=window.start_latest,
            last=window.last,
            months=window.months,
            days=window.days,
            is_inherited=window.is_inherited,
        ),
        source_kind=kind,
        source_name=claim.speaker if kind == "speaker" else claim.broker_text or claim.broker_id,
    )


def found_quantities(extraction: Any) -> list[Amount]:
    """The quantities of a note in order of place."""
    return [
        Amount((q.start, q.end), q.value, q.kind.value, q.currency)
        for passage in extraction.passages
        for q in passage.quantities
    ]


@dataclass
class Sweep:
    """What a run over many unlabelled texts gave.

    Attributes:
        notes, claims: counts; `by_type` claims by type.
        crashes: id → error.
        spans, wrong_spans: claims, and those whose words are not the text at their place.
        seconds: processor time of the extraction alone.
    """

    notes: int = 0
    claims: int = 0
    by_type: Counter[str] = field(default_factory=Counter)
    crashes: dict[str, str] = field(default_factory=dict)
    spans: int = 0
    wrong_spans: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def notes_per_second(self) -> float:
        return self.notes / self.seconds if self.seconds else float("nan")


def sweep(extractor: Extractor, texts: Iterable[tuple[str, str, dt.date | None, str]]) -> Sweep:
    """Reads (id, text, date, ticker) and checks what must hold for any text."""
    result = Sweep()
    for id_, text, day, ticker in texts:
        result.notes += 1
        start = time.process_time()
        try:
            extraction = extractor.read(text, day, ticker)
        except Exception as error:  # a crash on any text is a finding of its own
            result.seconds += time.process_time() - start
            result.crashes[id_] = f"{type(error).__name__}: {error}"
            continue
        result.seconds += time.process_time() - start
        for one in extraction.claims:
            claim = one.claim
            result.claims += 1
            result.by_type[claim.claim_type.value] += 1
            result.spans += 1
            if text[claim.start : claim.end] != claim.quote or not claim.quote:
                result.wrong_spans.append(id_)
        for mention in extraction.mentions:
            result.spans += 1
            if text[mention.start : mention.end] != mention.text:
                result.wrong_spans.append(id_)
    return result


def read_item(extractor: Extractor, item: Item) -> Any:
    """The extraction of a labelled text."""
    return extractor.read(item.text, item.date, item.ticker)
