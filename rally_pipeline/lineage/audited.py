"""Lineage of ``mart_claim_audit``, which is no select: claims are judged by code.

Belongs here: what each of its columns is made of, declared once; tests hold it to the code of the audit. Does not
belong here: how a claim is judged (`audit/`).
"""

from __future__ import annotations

from collections.abc import Iterable

from rally_pipeline.lineage.records import (
    CALENDAR,
    CATALOG,
    RUN,
    ColumnRef,
    Dependencies,
    Dependency,
    Subtype,
    TableLineage,
)
from rally_pipeline.schema.mart_notes import mart_claim_audit


def _refs(table: str, *columns: str) -> tuple[ColumnRef, ...]:
    return tuple(ColumnRef(table, column) for column in columns)


#: What is copied from the claim.
_COPIED = (
    *("claim_id", "note_id", "claim_type", "repeat_of", "subject_id", "subject_text", "metric", "comparator", "value"),
    *("unit", "window_text", "quote", "broker_id", "speaker", "as_of_date", "as_of_basis"),
)
#: The fields of a claim on which its verdict depends; ``claim_sha256`` is over them.
JUDGED = _refs(
    "core_note_claim",
    *("claim_type", "quote", "subject_id", "metric", "direction", "comparator", "value", "value_prior", "unit"),
    *("currency", "tolerance", "hedge", "is_scale_word_chinese", "as_of_date", "as_of_basis", "timing", "stance"),
    *("rating_action", "target_action", "action_text", "rating", "rating_prior", "is_conflict", "details"),
    *("window_kind", "window_start_earliest", "window_start_latest", "window_end", "window_event_id"),
    *("window_months", "window_days", "is_base_inclusive", "is_window_inherited"),
)
_STATED = frozenset({"value", "value_prior", "tolerance"})
#: The figures claims are compared with, and the days, names and kinds by which they are found.
FIGURES = (
    *_refs("core_price_resolved_daily", "open", "high", "low", "close", "volume_shares"),
    *_refs("core_southbound_resolved_daily", "net_buy_hkd_mn", "turnover_hkd_mn", "buy_hkd_mn", "sell_hkd_mn"),
    *_refs("core_fx_usd_daily", "units_per_usd"),
)
DAYS = (
    *_refs("core_price_resolved_daily", "session_date"),
    *_refs("core_southbound_resolved_daily", "session_date"),
    *_refs("core_fx_usd_daily", "rate_date"),
)
SUBJECTS = (
    *_refs("core_price_resolved_daily", "symbol"),
    *_refs("core_southbound_resolved_daily", "channel"),
    *_refs("core_fx_usd_daily", "currency"),
)
_CHOSEN_BY = (
    *_refs("core_price_daily", "symbol", "session_date", "split_ratio"),
    *_refs("core_event", "event_id", "event_date"),
    *_refs(
        CATALOG, *(f"instruments.{name}" for name in ("market", "currency", "kind", "listing_date", "leaderboards"))
    ),
    *_refs(CALENDAR, "session_date"),
    *_refs(RUN, "clock"),
)
_KNOWN = (
    *_refs("core_price_resolved_daily", "known_from_at"),
    *_refs("core_southbound_resolved_daily", "known_from_at"),
    *_refs("core_fx_daily", "known_from_at"),
)
_OF_RATES = _refs("core_fx_daily", "quote_currency", "rate_date")
#: What decides which claims stand: those of the extractor that read the note last.
_STANDING = (
    *_refs("core_note_claim", "note_id", "extractor_version", "known_to_at"),
    *_refs("core_note", "note_id", "extractor_version", "known_to_at"),
)


def _by(subtype: Subtype, refs: Iterable[ColumnRef]) -> Dependencies:
    return frozenset(Dependency(ref, subtype) for ref in refs)


def audit_lineage() -> TableLineage:
    """The lineage of ``mart_claim_audit``."""
    changed, decided = Subtype.TRANSFORMATION, Subtype.CONDITIONAL
    claim = _by(changed, (ref for ref in JUDGED if ref.column in _STATED)) | _by(
        decided, (ref for ref in JUDGED if ref.column not in _STATED)
    )
    found = _by(Subtype.FILTER, (*DAYS, *SUBJECTS, *_CHOSEN_BY)) | _by(decided, JUDGED)
    figures = _by(changed, FIGURES)
    judged = claim | figures | found
    clock = _by(Subtype.IDENTITY, _refs(RUN, "clock"))
    columns: dict[str, Dependencies] = {
        **{name: _by(Subtype.IDENTITY, _refs("core_note_claim", name)) for name in _COPIED},
        **dict.fromkeys(("verdict", "reason", "explanation", "suspicion", "is_latest"), judged),
        **dict.fromkeys(("expected_low", "expected_high"), claim),
        **dict.fromkeys(("observed", "observed_low", "observed_high"), figures | found),
        "observed_dates": _by(changed, DAYS) | _by(decided, FIGURES) | found,
        "evidence": _by(changed, (*FIGURES, *DAYS, *SUBJECTS)) | found,
        "subjects": _by(changed, SUBJECTS) | _by(decided, JUDGED),
        "data_known_at": _by(Subtype.AGGREGATION, _KNOWN) | _by(Subtype.FILTER, _OF_RATES) | found,
        "data_until_date": _by(Subtype.AGGREGATION, DAYS) | found,
        "claim_sha256": _by(changed, JUDGED),
        "audited_at": clock,
        # an audit is counted where it says something new
        "audit_no": _by(Subtype.AGGREGATION, _refs("core_note_claim", "claim_id")) | _by(decided, (*JUDGED, *FIGURES)),
        "asked_on_date": clock,
        "code_version": _by(Subtype.IDENTITY, _refs(RUN, "code_version")),
    }
    names = [column.name for column in mart_claim_audit.columns]
    return TableLineage(mart_claim_audit.name, {name: columns[name] for name in names}, _by(Subtype.FILTER, _STANDING))
