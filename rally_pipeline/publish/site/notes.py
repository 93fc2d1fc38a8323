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
from rally_pipeline.publish.site.world import Row, World, note_house, note_page, note_title, paged_notes
from rally_pipeline.schema import core_notes, mart_notes, metadata

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
        code = str(self.audit["unit"] or self.row["unit"])
        unit = _UNITS.get(code, code)
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
    if len(unit) == 3 and unit.isupper() and abs(value) >= 1e6:
        power, word = (1e9, "bn") if abs(value) >= 1e9 else (1e6, "mn")
        return f"{formats.money(value / power, unit, 3)}\u00a0{word}"
    text = _plain(float(value)).replace("-", "−")
    return f"{text}\u00a0{unit}" if unit else text


def _band(low: float | None, high: float | None, unit: str) -> str:
    if low is None or high is None:
        return f"at least {_figure(low, unit)}" if low is not None else f"at most {_figure(high or 0.0, unit)}"
    return f"{_figure(low, '' if unit == '%' else unit)} to {_figure(high, unit)}"


def verdict_counts(world: World) -> Counter[str]:
    """How many claims of notes up to the day told about have each verdict, repeats left out."""
    audit, note = mart_notes.mart_claim_audit, core_notes.core_note
    rows = world.rows(
        sa.select(audit.c.verdict, sa.func.count().label("claims"))
        .join(note, sa.and_(note.c.note_id == audit.c.note_id, note.c.known_to_at.is_(None)))
        .where(audit.c.is_latest.is_(True), audit.c.repeat_of == "", note.c.as_of_date <= world.as_of)
        .group_by(audit.c.verdict)
    )
    return Counter({row["verdict"]: row["claims"] for row in rows})


def read(world: World) -> list[tuple[Row, list[ClaimView]]]:
    """The notes that get a page, the latest first, each with its claims in the order of the text."""
    notes = world.rows(paged_notes(world.as_of))
    ids = paged_notes(world.as_of, core_notes.core_note.c.note_id).subquery()
    claim, audit = core_notes.core_note_claim, mart_notes.mart_claim_audit
    chosen = sa.select(ids.c.note_id)
    audited = sa.select(audit).where(audit.c.is_latest.is_(True), audit.c.note_id.in_(chosen))
    audits = {row["claim_id"]: row for row in world.rows(audited)}
    query = (
        sa.select(claim)
        .where(claim.c.known_to_at.is_(None), claim.c.note_id.in_(chosen))
        .order_by(claim.c.note_id, claim.c.start_offset, claim.c.end_offset, claim.c.claim_id)
    )
    versions = {note["note_id"]: note["extractor_version"] for note in notes}
    found: dict[str, list[Row]] = {note_id: [] for note_id in versions}
    for row in world.rows(query):
        # Claims of an earlier reading of the note stand until the note is read again; only those of this one count.
        if versions.get(row["note_id"]) == row["extractor_version"]:
            found[row["note_id"]].append(row)
    return [(note, _views(found[note["note_id"]], audits)) for note in notes]


def listing(world: World, notes: Sequence[tuple[Row, list[ClaimView]]]) -> dict[str, Any]:
    """What the page of all notes shows."""
    note = core_notes.core_note
    count = sa.select(sa.func.count()).where(note.c.known_to_at.is_(None), note.c.as_of_date <= world.as_of)
    totals = verdict_counts(world)
    return {
        "notes": [
            {
                "title": note_title(row),
                "page": note_page(row["note_id"]),
                "day": row["as_of_date"],
                "house": note_house(row),
                "file": row["file_name"],
                "part": row["part"],
                "lang": row["language"],
                "counts": _counts(claims),
            }
            for row, claims in notes
        ],
        "count": world.connection.scalar(count) or 0,
        "totals": [(totals[v.code], v) for v in VERDICTS.values() if v.code != "none"],
    }


def _counts(claims: Sequence[ClaimView]) -> list[tuple[int, Verdict]]:
    counts = Counter(claim.verdict.code for claim in claims if claim.repeat_of is None)
    return [(counts[v.code], v) for v in VERDICTS.values() if counts[v.code]]


def page(row: Row, claims: Sequence[ClaimView]) -> dict[str, Any]:
    """What the page of a note shows."""
    return {
        "note": row,
        "house": note_house(row),
        "pieces": pieces(row["text"], claims),
        "claims": claims,
        "counts": _counts(claims),
        "warnings": [str(one) for one in _listed(row["warnings"])],
    }


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
