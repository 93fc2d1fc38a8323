"""Declarations of the marts about brokerage notes: what became of each claim.

Belongs here: names, types, descriptions, grain. Does not belong here: how a verdict is reached (`audit/`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema.core_notes import AS_OF_BASES, CLAIM_TYPES
from rally_pipeline.schema.declare import Matches, NoRule, OneOf, Range, UtcDateTime, column, table

VERDICTS = ("confirmed", "contradicted", "window_decides", "not_checkable")

_COMPUTED = NoRule("computed; its inputs are checked")
_CLAIM = NoRule("that of the claim")


def _number(name: str, what: str) -> sa.Column[Any]:
    return column(name, sa.Double(), what, _COMPUTED, unit="see unit", nullable=True)


def _text(name: str, what: str, rule: Any = _CLAIM) -> sa.Column[Any]:
    return column(name, sa.Text(), what, rule)


mart_claim_audit = table(
    "mart_claim_audit",
    column("claim_id", sa.String(64), "The claim, as in core_note_claim.", Matches(r"[0-9a-f]{64}")),
    column("audited_at", UtcDateTime(), "When it was audited.", NoRule("the clock's word"), unit="UTC"),
    column("audit_no", sa.Integer(), "Running number of the audits of this claim that said something new.", Range(1)),
    column(
        "is_latest",
        sa.Boolean(),
        "Whether it is what the warehouse says of the claim now; none is of a claim that a later reading of the note "
        "no longer makes.",
        NoRule("set by the audit"),
    ),
    column("verdict", sa.String(16), "What the warehouse says of it.", OneOf(VERDICTS)),
    column("reason", sa.String(24), "Why, as a code; the documentation describes each.", Matches(r"[a-z_]+")),
    _text("explanation", "One line about it, for people.", _COMPUTED),
    _number("expected_low", "Least figure that bears the claim out; NULL = open."),
    _number("expected_high", "Greatest figure that bears the claim out; NULL = open."),
    _number("observed", "Figure by the first reading of the words; NULL = none."),
    _number("observed_low", "Least figure over all readings that the words allow."),
    _number("observed_high", "Greatest figure over all readings that the words allow."),
    _text(
        "observed_dates",
        "JSON list of the days that satisfy it; where the start decides, of the start days.",
        Matches(r"\[[0-9\", -]*\]"),
    ),
    _text(
        "evidence",
        "JSON list of the rows that were used: table, key, column, value.",
        Matches(r"\[[\s\S]*\]"),
    ),
    column("suspicion", sa.String(24), "A tenfold disagreement in words of scale, or empty.", Matches(r"[a-z_]*")),
    _text("subjects", "JSON list of the instruments, flow channels and rates it rests on.", Matches(r"\[[\s\S]*\]")),
    column("note_id", sa.String(64), "Note it stands in.", Matches(r"[0-9a-f]{64}")),
    column("claim_type", sa.String(20), "What kind of statement.", OneOf(CLAIM_TYPES)),
    column("repeat_of", sa.String(64), "Earlier claim of the note that says the same; empty = none.", _CLAIM),
    column("subject_id", sa.String(64), "What it is about, in the catalog; empty = not in it.", _CLAIM),
    _text("subject_text", "What it is about, as printed."),
    column("metric", sa.String(40), "What is measured.", _CLAIM),
    column("comparator", sa.String(20), "How the value relates to the fact.", _CLAIM),
    _number("value", "Stated value; falls and outflows are negative."),
    column("unit", sa.String(12), "Unit of the figures.", _CLAIM),
    _text("window_text", "The stretch of time as printed."),
    _text("quote", "The words."),
    column("broker_id", sa.String(60), "House that says so; empty = none, or not in the catalog.", _CLAIM),
    _text("speaker", "Person or company that speaks."),
    column("as_of_date", sa.Date(), "Day it speaks of.", _CLAIM, nullable=True),
    column("as_of_basis", sa.String(20), "Where that day comes from.", OneOf(("", *AS_OF_BASES))),
    column(
        "data_known_at",
        UtcDateTime(),
        "Since when the latest of the rows it rests on was known; NULL = it rests on none.",
        _COMPUTED,
        unit="UTC",
        nullable=True,
    ),
    column("data_until_date", sa.Date(), "Last market date that was looked at.", _COMPUTED, nullable=True),
    column("asked_on_date", sa.Date(), "Last day about which the warehouse could know then.", _COMPUTED),
    column("claim_sha256", sa.String(64), "SHA-256 of what was audited: the claim's fields.", Matches(r"[0-9a-f]{64}")),
    column("code_version", sa.String(60), "Version of this project.", Matches(r".+")),
    description="What the warehouse says of each claim of a note; a new row where a later audit says something else.",
    grain="claim × audit",
    key=("claim_id", "audited_at"),
    date_column="as_of_date",
)

_LATEST = mart_claim_audit.c.is_latest.is_(True)
#: At most one audit of a claim is what stands.
sa.Index(
    "uq_mart_claim_audit_latest",
    mart_claim_audit.c.claim_id,
    unique=True,
    sqlite_where=_LATEST,
    postgresql_where=_LATEST,
)
