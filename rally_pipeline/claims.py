"""Claims of a file that need not be in the warehouse: listed, or audited against it at once.

Belongs here: what `rally-pipeline extract` and `rally-pipeline audit` show. Does not belong here: reading
(`notes/`), judging (`audit/`), or keeping what was found (`ingest.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.notes.extract import ExtractedClaim, Extraction
from rally_pipeline.sources import note_files

# Listing claims needs neither warehouse nor pandas, and should start at once.
if TYPE_CHECKING:
    from rally_pipeline.audit import AuditResult
    from rally_pipeline.workspace import Workspace


@dataclass(frozen=True)
class AuditedClaim:
    """A claim of a file with what the warehouse says of it."""

    extraction: Extraction
    claim: ExtractedClaim
    result: AuditResult

    @property
    def explanation(self) -> str:
        """The result in one line."""
        from rally_pipeline.audit.texts import explain

        return explain(self.claim.claim, self.result)


def extract_file(path: Path, catalog: Catalog, *, declared: Mapping[str, str] | None = None) -> list[Extraction]:
    """The notes of a document with what is found in them.

    Raises:
        PayloadError: the document cannot be read, or not within bounds.
    """
    payload = note_files.payload_of(path, dt.datetime.now(dt.UTC), source="file", declared=declared)
    return [extraction for extraction, _ in note_files.extractions(payload, catalog)]


def extract_lines(lines: Iterable[str], catalog: Catalog) -> Iterator[Extraction]:
    """The same for texts that come one JSON object a line; nothing is held, so the stream may be endless.

    Raises:
        PayloadError: a line is no JSON object with a text; ``locator`` names it.
    """
    from rally_pipeline.notes.context import context_of
    from rally_pipeline.notes.extract import extract_note
    from rally_pipeline.notes.lexicon import Lexicon
    from rally_pipeline.notes.readers.headlines import note_of_line

    lexicon, events = Lexicon.from_catalog(catalog), note_files.EventDates(catalog)
    for number, line in enumerate(lines, start=1):
        note = note_of_line(line, number)
        if note is not None:
            context, _ = context_of(note, None, lexicon)
            yield extract_note(note, context, lexicon, events=events, document=f"{number}\0{note.canonical.text}")


def claim_rows(extraction: Extraction) -> Iterator[dict[str, Any]]:
    """Each claim as JSON types: ``id`` (of the input), ``part``, then the fields of ``core_note_claim``."""
    note = extraction.note
    for fields in note_files.claim_fields(extraction):
        yield {"id": note.declared.get("id", ""), "part": note.part, **fields}


def audit_file(workspace: Workspace, path: Path, *, declared: Mapping[str, str] | None = None) -> list[AuditedClaim]:
    """Audits every claim of a document; nothing is stored. Repeats are left out.

    Raises:
        PayloadError: the document cannot be read, or not within bounds.
    """
    from rally_pipeline.audit import audit_claims

    found = [
        (extraction, claim)
        for extraction in extract_file(path, workspace.catalog, declared=declared)
        for claim in extraction.claims
        if not claim.repeat_of
    ]
    with workspace.warehouse.read() as connection:
        results = audit_claims(
            connection,
            workspace.calendars,
            workspace.catalog,
            [(claim.claim_id, claim.claim) for _, claim in found],
            today=workspace.today(),
        )
    by_id = {result.claim_id: result for result in results}
    return [AuditedClaim(extraction, claim, by_id[claim.claim_id]) for extraction, claim in found]


def audit_rows(audited: Sequence[AuditedClaim]) -> Iterator[dict[str, Any]]:
    """Each audited claim as JSON types: the claim's fields, then the verdict's."""
    fields = {
        row["claim_id"]: row
        for extraction in {id(one.extraction): one.extraction for one in audited}.values()
        for row in claim_rows(extraction)
    }
    for one in audited:
        result = one.result
        yield {
            **fields[one.claim.claim_id],
            "verdict": result.verdict.value,
            "reason": result.reason.value,
            "explanation": one.explanation,
            "expected_low": result.expected_low,
            "expected_high": result.expected_high,
            "observed": result.observed,
            "observed_low": result.observed_low,
            "observed_high": result.observed_high,
            "observed_dates": [day.isoformat() for day in result.observed_dates],
            "evidence": list(result.evidence),
            "suspicion": result.suspicion,
            "data_known_at": result.data_known_at,
        }


def audit_table(audited: Sequence[AuditedClaim]) -> Iterator[dict[str, Any]]:
    """Each audited claim as a row of a table for people."""
    for one in audited:
        claim, result = one.claim.claim, one.result
        yield {
            "verdict": result.verdict.value,
            "claim": " ".join(claim.quote.split())[:90],
            "type": claim.claim_type.value,
            "who": claim.speaker or claim.broker_text or claim.source_kind.value,
            "why": one.explanation + (f" [{result.suspicion}]" if result.suspicion else ""),
        }


def title_of(extraction: Extraction) -> str:
    """What a note is called, with its day and house."""
    note, context = extraction.note, extraction.context
    day = context.as_of.isoformat() if context.as_of else "no date"
    house = context.broker_text or context.newspaper or "no house named"
    return f"{note.title or note.part or 'untitled'} ({house}, {day})"


def standing_lines(workspace: Workspace) -> Iterator[str]:
    """The verdicts that stand in the warehouse, counted, and each claim that is contradicted."""
    import sqlalchemy as sa

    from rally_pipeline.schema import core_notes, mart_notes

    audit, note = mart_notes.mart_claim_audit, core_notes.core_note
    stands = sa.and_(audit.c.is_latest, audit.c.repeat_of == "")
    verdict = audit.c.verdict
    counts = sa.select(verdict, sa.func.count()).where(stands).group_by(verdict).order_by(verdict)
    wrong = (
        sa.select(note.c.file_name, audit.c.quote, audit.c.explanation)
        .join(note, sa.and_(note.c.note_id == audit.c.note_id, note.c.known_to_at.is_(None)))
        .where(stands, audit.c.verdict == "contradicted")
        .order_by(note.c.file_name, audit.c.claim_id)
    )
    with workspace.warehouse.read() as connection:
        found = connection.execute(counts).all()
        contradicted = connection.execute(wrong).all()
    if not found:
        return
    said = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in found)
    yield f"Claims of the notes, audited against the warehouse: {said}"
    for row in contradicted:
        yield f"  contradicted: {row.file_name}: {' '.join(row.quote.split())[:80]} – {row.explanation}"
