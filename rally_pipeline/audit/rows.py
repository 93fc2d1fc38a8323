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


def claim_sha256(claim: Claim) -> str:
    """SHA-256 over the fields on which a verdict depends."""
    fields = {k: v for k, v in dataclasses.asdict(claim).items() if k not in _NOT_AUDITED}
    if fields["window"] is not None:
        fields["window"] = {k: v for k, v in fields["window"].items() if k not in ("start", "end")}
    text = json.dumps(fields, sort_keys=True, default=_text, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)
