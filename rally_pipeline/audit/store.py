"""Audits of the claims that the warehouse holds, and their history in ``mart_claim_audit``.

Belongs here: which claims have to be audited again, and appending what is new. Does not belong here: how a claim is
audited (`run.py`).

A claim is audited again when it is new or was read differently, when this project's version changed, when figures of
what it rests on became known that were not when it was audited, when figures that were missing may have come, and while
its day is so recent that days around it may still be to come. A row is appended only if something is said that the last
one did not say; what no longer stands loses ``is_latest``.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

import rally_pipeline
from rally_pipeline.audit.rows import AUDITED_COLUMNS, claim_from_row, claim_sha256, row_sha256
from rally_pipeline.audit.run import audit_claims
from rally_pipeline.audit.texts import evidence_json, explain
from rally_pipeline.audit.verdict import AuditResult, Reason
from rally_pipeline.catalog.model import Catalog
from rally_pipeline.notes.records import Claim
from rally_pipeline.schema import core, core_flows, core_notes
from rally_pipeline.schema.mart_notes import mart_claim_audit
from rally_pipeline.sessions import Calendars
from rally_pipeline.warehouse.schema_version import read_statement, write_statement
from rally_pipeline.warehouse.written import first_written, marks_of
from rally_pipeline.workspace import Workspace

#: Verdicts that more figures may change.
_OPEN_REASONS = frozenset(
    {
        *(Reason.STALE_DATA, Reason.FUTURE, Reason.PARTIAL_PERIOD, Reason.NO_DATA, Reason.INSUFFICIENT_HISTORY),
        *(Reason.CALENDAR_UNKNOWN, Reason.NO_INSTRUMENT),
    }
)
#: A claim is audited anew until so many days after its own had passed when it was last audited.
_SETTLED_DAYS = 10
_CHUNK = 500
#: Statement of the warehouse: how far the figures that audits rest on had been written when all were last looked at.
_LOOKED_AT = "audited"
_IDENTITY = ("audited_at", "audit_no", "is_latest", "data_known_at", "data_until_date", "asked_on_date")

#: Columns by which it is decided whether an audit still holds.
_HOLDS_WHILE = (
    *("claim_sha256", "code_version", "reason", "as_of_date", "asked_on_date"),
    *("data_known_at", "data_until_date", "subjects"),
)

Row = dict[str, Any]


@dataclass(frozen=True)
class AuditReport:
    """What an audit did.

    Attributes:
        claims: claims that stand.
        audited: how many of them were audited.
        appended: how many got a new row.
        withdrawn: audits that no longer stand because their claim does not.
        verdicts: claims by verdict, over all that stand.
    """

    claims: int
    audited: int
    appended: int
    withdrawn: int
    verdicts: Mapping[str, int] = field(default_factory=dict)

    @property
    def has_changed(self) -> bool:
        """Whether an audit stands now that did not before, or no longer does."""
        return bool(self.appended or self.withdrawn)


@dataclass(frozen=True)
class _Stored:
    """A claim as it stands in the warehouse."""

    claim: Claim
    sha256: str
    note_id: str
    repeat_of: str
    window_text: str


def audit_stored(
    workspace: Workspace, *, only_stale: bool = True, audited_at: dt.datetime | None = None
) -> AuditReport:
    """Audits the claims of the notes that stand, in one transaction.

    Args:
        workspace: its warehouse holds claims and figures; the last day it can know about is its `today`.
        only_stale: whether claims whose audit still holds are left out.
        audited_at: time that is written beside the verdicts; default: now.
    """
    at = audited_at or dt.datetime.now(dt.UTC)
    with workspace.warehouse.write() as connection:
        return audit_in(
            connection,
            workspace.calendars,
            workspace.catalog,
            today=workspace.today(),
            audited_at=at,
            only_stale=only_stale,
        )


def audit_in(
    connection: sa.Connection,
    calendars: Calendars,
    catalog: Catalog,
    *,
    today: dt.date,
    audited_at: dt.datetime,
    only_stale: bool = True,
) -> AuditReport:
    """As `audit_stored`, within the caller's transaction."""
    standing = _standing(connection)
    latest = _latest(connection)
    withdrawn = [claim_id for claim_id in latest if claim_id not in standing]
    _close(connection, withdrawn)
    wanted = standing.keys() - _settled(connection, standing, latest, today) if only_stale else standing.keys()
    claims = _stored_claims(connection, wanted)
    pairs = [(claim_id, stored.claim) for claim_id, stored in claims.items()]
    results = audit_claims(connection, calendars, catalog, pairs, today=today) if pairs else []
    said = _said(connection, [result.claim_id for result in results if result.claim_id in latest])
    new: list[Row] = []
    seen: list[Row] = []
    for result in results:
        row = _row(claims[result.claim_id], result, today)
        before = said.get(result.claim_id)
        if before is not None and all(before[name] == row[name] for name in row if name not in _IDENTITY):
            seen.append({f"_{name}": row[name] for name in ("claim_id", *_IDENTITY[3:])})
        else:
            row |= {"audited_at": audited_at, "audit_no": 1 if before is None else before["audit_no"] + 1}
            new.append(row)
    _close(connection, [row["claim_id"] for row in new if row["claim_id"] in latest])
    for part in _chunks(new):
        connection.execute(sa.insert(mart_claim_audit), list(part))
    _touch(connection, seen)
    _note_looked_at(connection)
    table = mart_claim_audit
    counted = connection.execute(
        sa.select(table.c.verdict, sa.func.count()).where(table.c.is_latest.is_(True)).group_by(table.c.verdict)
    )
    verdicts = {verdict: int(number) for verdict, number in counted}
    return AuditReport(len(standing), len(results), len(new), len(withdrawn), dict(sorted(verdicts.items())))


def _believed(columns: Iterable[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    """Of the believed claims of believed notes, read by the extractor that read the note last."""
    note, claim = core_notes.core_note, core_notes.core_note_claim
    is_of_it = sa.and_(note.c.note_id == claim.c.note_id, note.c.extractor_version == claim.c.extractor_version)
    return (
        sa.select(*columns)
        .select_from(claim.join(note, is_of_it))
        .where(claim.c.known_to_at.is_(None), note.c.known_to_at.is_(None))
    )


def _standing(connection: sa.Connection) -> dict[str, str]:
    """The claims that stand, each with the hash of what is audited."""
    claim = core_notes.core_note_claim
    query = _believed(claim.c[name] for name in ("claim_id", *AUDITED_COLUMNS))
    names = ("claim_id", *AUDITED_COLUMNS)
    rows = (dict(zip(names, row, strict=True)) for row in connection.execute(query))
    return {row["claim_id"]: row_sha256(row) for row in rows}


def _stored_claims(connection: sa.Connection, claim_ids: Collection[str]) -> dict[str, _Stored]:
    """These of the claims that stand, in order of place."""
    claim = core_notes.core_note_claim
    rows: list[Row] = []
    for part in _chunks(sorted(claim_ids)):
        query = _believed(claim.columns).where(claim.c.claim_id.in_(part))
        rows += [dict(row) for row in connection.execute(query).mappings()]
    rows.sort(key=lambda row: (row["note_id"], row["start_offset"], row["claim_id"]))
    found: dict[str, _Stored] = {}
    for row in rows:
        read = claim_from_row(row)
        found[row["claim_id"]] = _Stored(
            read, claim_sha256(read), row["note_id"], row["repeat_of"] or "", row["window_text"] or ""
        )
    return found


def _latest(connection: sa.Connection) -> dict[str, Row]:
    """Of every audit that stands what decides whether it still holds, by claim."""
    table = mart_claim_audit
    columns = (table.c[name] for name in ("claim_id", *_HOLDS_WHILE))
    rows = connection.execute(sa.select(*columns).where(table.c.is_latest.is_(True))).mappings()
    return {row["claim_id"]: dict(row) for row in rows}


def _said(connection: sa.Connection, claim_ids: Sequence[str]) -> dict[str, Row]:
    """The whole of the audits that stand, of these claims: texts and evidence are most of a row."""
    table = mart_claim_audit
    found: dict[str, Row] = {}
    for part in _chunks(claim_ids):
        rows = connection.execute(sa.select(table).where(table.c.claim_id.in_(part), table.c.is_latest.is_(True)))
        found |= {row["claim_id"]: dict(row) for row in rows.mappings()}
    return found


def _settled(
    connection: sa.Connection, standing: Mapping[str, str], latest: Mapping[str, Row], today: dt.date
) -> set[str]:
    """The claims whose audit still holds."""
    candidates = {
        claim_id: row
        for claim_id, row in latest.items()
        if row["claim_sha256"] == standing.get(claim_id)
        and row["code_version"] == rally_pipeline.__version__
        and row["reason"] not in _OPEN_REASONS
        and not _may_still_come(row, today)
    }
    changed = _changed_subjects(connection, candidates.values())
    return {claim_id for claim_id, row in candidates.items() if not _is_overtaken(row, changed)}


def _may_still_come(row: Row, today: dt.date) -> bool:
    """Whether days around the claim's own have become known about since it was audited."""
    day, asked = row["as_of_date"], row["asked_on_date"]
    return day is not None and asked < today and asked <= day + dt.timedelta(days=_SETTLED_DAYS)


Changed = dict[str, list[tuple[dt.datetime, dt.date]]]


def _changed_subjects(connection: sa.Connection, rows: Iterable[Row]) -> Changed:
    """For each subject of these audits the times at which something about it became known, after the earliest audit's,
    each with the first market date it was about.

    Years that were not written since all claims were last looked at are left out: what they say was known then.
    """
    after: dt.datetime | None = None
    subjects = set[str]()
    for row in rows:
        if (known := row["data_known_at"]) is not None:
            after = known if after is None else min(after, known)
            subjects.update(json.loads(row["subjects"]))
    if after is None:
        return {}
    looked_at = json.loads(read_statement(connection, _LOOKED_AT) or "{}")
    price, flow, rate = core.core_price_resolved_daily, core_flows.core_southbound_resolved_daily, core.core_fx_daily
    sources = (
        (price, price.c.symbol, price.c.session_date, ""),
        (flow, flow.c.channel, flow.c.session_date, "southbound:"),
        (rate, rate.c.quote_currency, rate.c.rate_date, "fx:"),
    )
    found: Changed = {}
    for table, subject, day, prefix in sources:
        names = sorted(name.removeprefix(prefix) for name in subjects if name.startswith(prefix))
        marks = looked_at.get(table.name)
        written = dt.date.min if marks is None else first_written(marks, marks_of(connection, table))
        for part in _chunks(names):
            query = (
                sa.select(subject, table.c.known_from_at, sa.func.min(day))
                .where(subject.in_(part), day >= written, table.c.known_from_at > after)
                .group_by(subject, table.c.known_from_at)
            )
            for name, at, first in connection.execute(query):
                found.setdefault(f"{prefix}{name}", []).append((at, first))
    return found


def _note_looked_at(connection: sa.Connection) -> None:
    """Notes up to which writing of the figures the audits that stand have been compared with them."""
    tables = (core.core_price_resolved_daily, core_flows.core_southbound_resolved_daily)
    marks = {table.name: marks_of(connection, table) for table in tables}
    write_statement(connection, _LOOKED_AT, json.dumps(marks))


def _is_overtaken(row: Row, changed: Changed) -> bool:
    """Whether something it rests on became known that was not when it was audited."""
    at, until = row["data_known_at"], row["data_until_date"]
    if at is None or until is None:
        return False
    return any(
        known > at and first <= until
        for subject in json.loads(row["subjects"])
        for known, first in changed.get(subject, ())
    )


def _row(stored: _Stored, result: AuditResult, today: dt.date) -> Row:
    claim = stored.claim
    return {
        "claim_id": result.claim_id,
        "is_latest": True,
        "verdict": result.verdict.value,
        "reason": result.reason.value,
        "explanation": explain(claim, result),
        **{name: getattr(result, name) for name in _FIGURES},
        "observed_dates": json.dumps([day.isoformat() for day in result.observed_dates]),
        "evidence": evidence_json(result.evidence),
        "suspicion": result.suspicion,
        "subjects": json.dumps(list(result.subjects)),
        "note_id": stored.note_id,
        "claim_type": claim.claim_type.value,
        "repeat_of": stored.repeat_of,
        **{name: getattr(claim, name) for name in _CLAIM_COLUMNS},
        "comparator": claim.comparator.value,
        "window_text": stored.window_text,
        "as_of_basis": claim.as_of_basis.value if claim.as_of_basis else "",
        "data_known_at": result.data_known_at,
        "data_until_date": result.data_until,
        "asked_on_date": today,
        "claim_sha256": stored.sha256,
        "code_version": rally_pipeline.__version__,
    }


_FIGURES = ("expected_low", "expected_high", "observed", "observed_low", "observed_high")
_CLAIM_COLUMNS = (
    *("subject_id", "subject_text", "metric", "value", "unit", "quote", "broker_id", "speaker", "as_of_date"),
)


def _chunks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (rows[at : at + _CHUNK] for at in range(0, len(rows), _CHUNK))


def _close(connection: sa.Connection, claim_ids: Sequence[str]) -> None:
    table = mart_claim_audit
    for part in _chunks(claim_ids):
        connection.execute(
            sa.update(table).where(table.c.claim_id.in_(part), table.c.is_latest.is_(True)).values(is_latest=False)
        )


def _touch(connection: sa.Connection, seen: Sequence[Row]) -> None:
    """Notes of audits that said the same again what they rested on."""
    if not seen:
        return
    table = mart_claim_audit
    statement = (
        sa.update(table)
        .where(table.c.claim_id == sa.bindparam("_claim_id"), table.c.is_latest.is_(True))
        .values({name: sa.bindparam(f"_{name}") for name in _IDENTITY[3:]})
    )
    for part in _chunks(seen):
        connection.execute(statement, list(part))
