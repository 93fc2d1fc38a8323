"""Claims as rows of ``core_note_claim``, and back.

Belongs here: the mapping of columns to fields. Does not belong here: reading from or writing to the warehouse.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rally_pipeline.notes.records import (
    AsOfBasis,
    Claim,
    ClaimType,
    Comparator,
    Direction,
    QuoteKind,
    SourceKind,
    Window,
    WindowKind,
)

#: Fields of a claim that stand in a column of the same name, as they are.
_PLAIN = (
    *("rule_id", "quote", "subject_text", "subject_id", "metric", "value", "value_prior", "unit", "currency"),
    *("tolerance", "hedge", "is_scale_word_chinese", "as_of_date", "timing", "broker_id", "broker_text", "speaker"),
    *("speaker_role", "stance", "rating_action", "target_action", "action_text", "rating", "rating_prior", "analyst"),
    *("is_conflict",),
)


def claim_from_row(row: Mapping[str, Any]) -> Claim:
    """The claim that a row of ``core_note_claim`` holds. Where its time is printed is not kept: the window's offsets
    are those of the quote.

    Raises:
        ValueError: a word that is not one of its field's.
    """
    plain = {name: row[name] for name in _PLAIN}
    return Claim(
        claim_type=ClaimType(row["claim_type"]),
        start=row["start_offset"],
        end=row["end_offset"],
        direction=Direction(row["direction"]) if row["direction"] else None,
        comparator=Comparator(row["comparator"]),
        window=_window(row),
        as_of_basis=AsOfBasis(row["as_of_basis"]) if row["as_of_basis"] else None,
        source_kind=SourceKind(row["source_kind"]),
        quote_kind=QuoteKind(row["quote_kind"]),
        details=json.loads(row["details"] or "{}"),
        **plain,
    )


def _window(row: Mapping[str, Any]) -> Window | None:
    if not row["window_kind"]:
        return None
    return Window(
        row["start_offset"],
        row["end_offset"],
        WindowKind(row["window_kind"]),
        start_earliest=row["window_start_earliest"],
        start_latest=row["window_start_latest"],
        last=row["window_end"],
        event_id=row["window_event_id"] or "",
        months=row["window_months"],
        days=row["window_days"],
        is_base_inclusive=row["is_base_inclusive"],
        is_inherited=bool(row["is_window_inherited"]),
    )


#: Fields on which no verdict depends.
_NOT_AUDITED = frozenset(
    {
        *("start", "end", "rule_id", "broker_id", "broker_text", "speaker", "speaker_role", "quote_kind"),
        *("source_kind", "analyst", "subject_text"),
    }
)
_AUDITED = tuple(field.name for field in dataclasses.fields(Claim) if field.name not in _NOT_AUDITED)
_OF_WINDOW = tuple(field.name for field in dataclasses.fields(Window) if field.name not in ("start", "end"))
_PLAIN_AUDITED = tuple(name for name in _PLAIN if name not in _NOT_AUDITED)
_WINDOW_COLUMNS = (
    *("window_start_earliest", "window_start_latest", "window_end", "window_event_id", "window_months", "window_days"),
    *("is_base_inclusive", "is_window_inherited"),
)
#: Columns of ``core_note_claim`` of which `row_sha256` is.
AUDITED_COLUMNS = (
    *_PLAIN_AUDITED,
    *("claim_type", "direction", "comparator", "as_of_basis", "details", "window_kind"),
    *_WINDOW_COLUMNS,
)


def claim_sha256(claim: Claim) -> str:
    """SHA-256 over the fields on which a verdict depends."""
    fields = {name: getattr(claim, name) for name in _AUDITED}
    if claim.window is not None:
        fields["window"] = {name: getattr(claim.window, name) for name in _OF_WINDOW}
    return _sha256(fields)


def row_sha256(row: Mapping[str, Any]) -> str:
    """``claim_sha256(claim_from_row(row))``, of a row with `AUDITED_COLUMNS`, without making the claim: most claims
    that stand are read only to see that they are as they were.
    """
    fields = {name: row[name] for name in _PLAIN_AUDITED}
    fields["claim_type"], fields["comparator"] = row["claim_type"], row["comparator"]
    fields["direction"], fields["as_of_basis"] = row["direction"] or None, row["as_of_basis"] or None
    fields["details"] = json.loads(row["details"] or "{}")
    kind, window = row["window_kind"], None
    if kind:
        first, latest, last, event_id, months, days, is_inclusive, is_inherited = (row[n] for n in _WINDOW_COLUMNS)
        window = {
            "kind": kind,
            "start_earliest": first,
            "start_latest": latest,
            "last": last,
            "event_id": event_id or "",
            "months": months,
            "days": days,
            "is_base_inclusive": is_inclusive,
            "is_inherited": bool(is_inherited),
        }
    return _sha256(fields | {"window": window})


def _sha256(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, default=_text, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)
