"""Notes with their claims marked in place, each with its verdict and the evidence.

A text is cut at every edge of a claim, so claims may overlap; a mark carries the numbers of all claims it is part of.
Belongs here: cutting and shaping. Does not belong here: reading notes (`notes/`) or judging (`audit/`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from rally_pipeline.audit.verdict import REASONS, Reason
from rally_pipeline.publish.site import formats
from rally_pipeline.publish.site.world import Row, World, current_notes, note_house, note_page, note_title
from rally_pipeline.schema import core_notes, mart_notes, metadata

#: Notes that get a page, the latest first; the warehouse has them all.
PAGES = 400
_EVIDENCE_SHOWN = 24
_DATES_SHOWN = 12
_UNITS = {"pct": "%", "rank": "(rank)", "bp": "basis points"}


@dataclass(frozen=True)
class Verdict:
    """How a verdict looks: its code, sign and words."""

    code: str
    sign: str
    text: str


VERDICTS = {
    "contradicted": Verdict("contradicted", "✕", "contradicted"),
    "window_decides": Verdict("window_decides", "◐", "window decides"),
    "confirmed": Verdict("confirmed", "✓", "confirmed"),
    "not_checkable": Verdict("not_checkable", "–", "not checkable"),
    "": Verdict("none", "·", "not audited"),
}
_WORST_FIRST = {verdict.code: place for place, verdict in enumerate(VERDICTS.values())}


@dataclass(frozen=True)
class ClaimView:
    """A claim on its note's page; ``number`` counts from 1 in the order of the text."""

    number: int
    anchor: str
    row: Row
    audit: Row | None
    verdict: Verdict
    repeat_of: int | None

    @property
    def start(self) -> int:
        """Where the quote begins."""
        return int(self.row["start_offset"])

    @property
    def end(self) -> int:
        """Where it ends, exclusive."""
        return int(self.row["end_offset"])

    @property
    def kind(self) -> str:
        """What kind of statement."""
        return formats.words(self.row["claim_type"])

    @property
    def who(self) -> str:
        """Who says so."""
        names = [self.row["speaker"], self.row["speaker_role"], self.row["broker_text"]]
        return ", ".join(name for name in names if name) or self.row["source_kind"]

    @property
    def explanation(self) -> str:
        """The verdict in one line."""
        return self.audit["explanation"] if self.audit else "No audit of this claim stands in the warehouse."

    @property
    def reason(self) -> str:
        """Why, where it is neither confirmed nor contradicted."""
        code = self.audit["reason"] if self.audit else ""
        return REASONS.get(Reason(code), "") if code in {reason.value for reason in Reason} else ""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was stated and what was found, with units and days."""
        if self.audit is None:
            return []
        unit = _UNITS.get(self.audit["unit"] or self.row["unit"], self.audit["unit"] or self.row["unit"])
        found: list[tuple[str, str]] = []
        if self.row["value"] is not None:
            prior = f" (before: {_figure(self.row['value_prior'], '')})" if self.row["value_prior"] is not None else ""
            found.append(("stated", f"{_figure(self.row['value'], unit)}{prior}"))
        low, high = self.audit["expected_low"], self.audit["expected_high"]
        if low is not None or high is not None:
            found.append(("bears it out", _band(low, high, unit)))
        if self.audit["observed"] is not None:
            found.append(("observed", _figure(self.audit["observed"], unit)))
        low, high = self.audit["observed_low"], self.audit["observed_high"]
        if low is not None and high is not None and low != high:
            found.append(("over all readings", _band(low, high, unit)))
        if self.row["window_text"]:
            found.append(("window", self.row["window_text"]))
        if self.row["as_of_date"]:
            found.append(
                ("speaks of", f"{formats.day(self.row['as_of_date'])} ({formats.words(self.row['as_of_basis'])})")
            )
        dates = _listed(self.audit["observed_dates"])
        if dates:
            more = f" and {len(dates) - _DATES_SHOWN} more" if len(dates) > _DATES_SHOWN else ""
            found.append(("true on", ", ".join(map(str, dates[:_DATES_SHOWN])) + more))
        if self.audit["suspicion"]:
            found.append(("suspicion", formats.words(self.audit["suspicion"])))
        if self.audit["data_until_date"]:
            found.append(("data until", formats.day(self.audit["data_until_date"])))
        if self.audit["data_known_at"]:
            found.append(("known since", formats.instant(self.audit["data_known_at"])))
        return found

    @property
    def evidence(self) -> list[dict[str, str]]:
        """The rows it rests on: table, key, column, value."""
        rows = _listed(self.audit["evidence"]) if self.audit else []
        return [
            {
                "table": str(row.get("table", "")),
                "key": str(row.get("key", "")),
                "column": str(row.get("column", "")),
                "value": _plain(row.get("value")),
                "anchor": str(row.get("table", "")) if row.get("table") in metadata.tables else "",
            }
            for row in rows[:_EVIDENCE_SHOWN]
            if isinstance(row, Mapping)
        ]

    @property
    def evidence_left_out(self) -> int:
        """Rows that are not shown."""
        return max(0, len(_listed(self.audit["evidence"])) - _EVIDENCE_SHOWN) if self.audit else 0


@dataclass(frozen=True)
class Piece:
    """A stretch of a note's text: the claims it is part of, the verdict it is coloured by, and claims that end here."""

    text: str
    claims: tuple[ClaimView, ...]
    verdict: Verdict | None
    ending: tuple[ClaimView, ...]


def _listed(text: str | None) -> list[Any]:
    try:
        value = json.loads(text or "[]")
    except ValueError:
        return []
    return value if isinstance(value, list) else []


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value:,}"
    return "NULL" if value is None else str(value)


def _figure(value: float, unit: str) -> str:
    text = _plain(float(value)).replace("-", "−")
    return f"{text}\u00a0{unit}" if unit else text


def _band(low: float | None, high: float | None, unit: str) -> str:
    if low is None or high is None:
        return f"at least {_figure(low, unit)}" if low is not None else f"at most {_figure(high or 0.0, unit)}"
    return f"{_figure(low, '')} to {_figure(high, unit)}"


def listing(world: World) -> dict[str, Any]:
    """What the page of all notes shows."""
    notes = current_notes(world)
    views = _claims_of(world, notes)
    entries = []
    totals: Counter[str] = Counter()
    for at, note in enumerate(notes):
        claims = [c for c in views[note["note_id"]] if c.repeat_of is None]
        counts = Counter(claim.verdict.code for claim in claims)
        totals += counts
        entries.append(
            {
                "title": note_title(note),
                "page": note_page(note["note_id"]) if at < PAGES else "",
                "day": note["as_of_date"],
                "house": note_house(note),
                "file": note["file_name"],
                "part": note["part"],
                "lang": note["language"],
                "counts": [(counts[v.code], v) for v in VERDICTS.values() if counts[v.code]],
                "claims": len(claims),
            }
        )
    return {
        "notes": entries,
        "totals": [(totals[v.code], v) for v in VERDICTS.values()],
        "verdicts": list(VERDICTS.values()),
    }


def pages(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    """File name, title and content of each note's page, the latest first."""
    notes = current_notes(world)[:PAGES]
    views = _claims_of(world, notes)
    found = []
    for note in notes:
        claims = views[note["note_id"]]
        counts = Counter(claim.verdict.code for claim in claims if claim.repeat_of is None)
        found.append(
            (
                note_page(note["note_id"]),
                note_title(note),
                {
                    "note": note,
                    "house": note_house(note),
                    "pieces": pieces(note["text"], claims),
                    "claims": claims,
                    "counts": [(counts[v.code], v) for v in VERDICTS.values() if counts[v.code]],
                    "warnings": [str(one) for one in _listed(note["warnings"])],
                },
            )
        )
    return found


def _claims_of(world: World, notes: Sequence[Row]) -> dict[str, list[ClaimView]]:
    claim, audit = core_notes.core_note_claim, mart_notes.mart_claim_audit
    audits = {row["claim_id"]: row for row in world.rows(sa.select(audit).where(audit.c.is_latest.is_(True)))}
    rows = world.rows(
        sa.select(claim)
        .where(claim.c.known_to_at.is_(None))
        .order_by(claim.c.note_id, claim.c.start_offset, claim.c.end_offset, claim.c.claim_id)
    )
    versions = {note["note_id"]: note["extractor_version"] for note in notes}
    found: dict[str, list[Row]] = {note_id: [] for note_id in versions}
    for row in rows:
        # Claims of an earlier reading of the note stand until the note is read again; only those of this one count.
        if versions.get(row["note_id"]) == row["extractor_version"]:
            found[row["note_id"]].append(row)
    return {note_id: _views(claims, audits) for note_id, claims in found.items()}


def _views(claims: Sequence[Row], audits: Mapping[str, Row]) -> list[ClaimView]:
    numbers = {row["claim_id"]: number for number, row in enumerate(claims, start=1)}
    views = []
    for row in claims:
        audit = audits.get(row["claim_id"]) or audits.get(row["repeat_of"])
        verdict = VERDICTS.get(audit["verdict"] if audit else "", VERDICTS[""])
        number = numbers[row["claim_id"]]
        anchor = f"claim-{row['claim_id'][:12]}"
        views.append(ClaimView(number, anchor, row, audit, verdict, numbers.get(row["repeat_of"])))
    return views


def pieces(text: str, claims: Sequence[ClaimView]) -> list[Piece]:
    """A text cut at every edge of a claim; joined again, the pieces are the text."""
    edges = sorted({0, len(text), *(c.start for c in claims), *(c.end for c in claims)})
    edges = [edge for edge in edges if 0 <= edge <= len(text)]
    found = []
    for start, end in pairwise(edges):
        inside = tuple(c for c in claims if c.start <= start and end <= c.end)
        ending = tuple(c for c in claims if c.end == end and c.start < end)
        worst = min((c.verdict for c in inside), key=lambda v: _WORST_FIRST[v.code], default=None)
        found.append(Piece(text[start:end], inside, worst, ending))
    return found
