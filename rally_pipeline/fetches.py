"""The register of fetches: what was archived, what of it waits to be loaded, what need not be asked again.

Belongs here: rows of ``raw_fetch`` and questions about them. Does not belong here: asking upstreams or loading
(`ingest.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from rally_pipeline.archive import FetchRecord
from rally_pipeline.schema import ops, raw
from rally_pipeline.sources.base import Dataset, FetchRequest
from rally_pipeline.workspace import Workspace

#: A run that was not finished is taken up again for so long; after that its answers are old.
_RESUMED_WITHIN = dt.timedelta(days=3)


def already_answered(workspace: Workspace, requests: Sequence[FetchRequest]) -> list[FetchRecord | None]:
    """For each request what was answered to a run of the last three days that did not come to its end; else ``None``.

    A run that is started again after it was killed need not ask them a second time. Answers that were refused are not
    counted.
    """
    table, run, loaded = raw.raw_fetch, ops.ops_run, ops.ops_load
    query = (
        sa.select(table)
        .join(run, sa.and_(run.c.run_id == table.c.run_id, run.c.outcome != "ok"))
        .outerjoin(loaded, loaded.c.fetch_id == table.c.fetch_id)
        .where(
            table.c.fetched_at >= workspace.now() - _RESUMED_WITHIN,
            sa.func.coalesce(loaded.c.outcome, "loaded") == "loaded",
        )
        .order_by(table.c.known_at)
    )
    with workspace.warehouse.read() as connection:
        records = [_record_of(row) for row in connection.execute(query).mappings()]
    answered = {_identity(record.request): record for record in records}
    return [answered.get(_identity(request)) for request in requests]


def _identity(request: FetchRequest) -> tuple[Any, ...]:
    return (
        *(request.source, request.parser, request.dataset, request.subject, request.url, request.start, request.end),
        json.dumps(request.params, sort_keys=True),
    )


def register(connection: sa.Connection, record: FetchRecord) -> None:
    """Writes the index row of an archived fetch if it is not there."""
    table = raw.raw_fetch
    found = sa.select(sa.literal(1)).where(table.c.fetch_id == record.fetch_id)
    if connection.execute(found).first() is not None:
        return
    request = record.request
    connection.execute(
        sa.insert(table),
        {
            "fetch_id": record.fetch_id,
            "payload_id": record.payload_id,
            "source": request.source,
            "parser": request.parser,
            "dataset": request.dataset.value,
            "subject": request.subject,
            "url": request.url,
            "params": json.dumps(request.params, ensure_ascii=False, sort_keys=True),
            "start_date": request.start,
            "end_date": request.end,
            "status": record.status,
            "media_type": record.media_type,
            "byte_count": record.byte_count,
            "fetched_at": record.fetched_at,
            "known_at": record.known_at,
            "run_id": record.run_id,
        },
    )


def register_archived(workspace: Workspace, since: dt.date | None = None) -> int:
    """Registers archived fetches that ``raw_fetch`` does not know, and says how many.

    They are what a run that was killed between the two left behind (look at recent days then), or all of them for a new
    warehouse beside an old archive.
    """
    midnight = dt.datetime.combine(since, dt.time(), dt.UTC) if since else None
    recent = [] if midnight is None else [raw.raw_fetch.c.fetched_at >= midnight]
    with workspace.warehouse.write() as connection:
        known = set(connection.scalars(sa.select(raw.raw_fetch.c.fetch_id).where(*recent)))
        missing = [record for record in workspace.archive.records(since) if record.fetch_id not in known]
        for record in missing:
            register(connection, record)
    return len(missing)


def registered(workspace: Workspace) -> list[tuple[str, str]]:
    """Fetch and payload id of every fetch that the warehouse knows. What is archived later is not among them."""
    table = raw.raw_fetch
    with workspace.warehouse.read() as connection:
        rows = connection.execute(sa.select(table.c.fetch_id, table.c.payload_id).order_by(table.c.fetch_id))
        return [(row.fetch_id, row.payload_id) for row in rows]


def pending(
    connection: sa.Connection,
    *datasets: Dataset,
    subjects: Iterable[str] | None = None,
    parsers: Iterable[str] | None = None,
) -> list[FetchRecord]:
    """Fetches that are registered but neither loaded nor refused yet, oldest known time first."""
    of_dataset = raw.raw_fetch.c.dataset.in_([dataset.value for dataset in datasets])
    return records_where(connection, of_dataset, _not_loaded(), subjects=subjects, parsers=parsers)


def count_pending(connection: sa.Connection) -> int:
    """How many fetches wait to be loaded."""
    return connection.scalar(sa.select(sa.func.count()).select_from(raw.raw_fetch).where(_not_loaded())) or 0


def fetch_records(connection: sa.Connection, fetch_ids: Iterable[str]) -> list[FetchRecord]:
    """Registered fetches by id, oldest known time first."""
    return records_where(connection, raw.raw_fetch.c.fetch_id.in_(list(fetch_ids)))


def _not_loaded() -> sa.ColumnElement[bool]:
    return ~sa.exists(sa.select(sa.literal(1)).where(ops.ops_load.c.fetch_id == raw.raw_fetch.c.fetch_id))


def records_where(
    connection: sa.Connection,
    *conditions: sa.ColumnElement[bool],
    subjects: Iterable[str] | None = None,
    parsers: Iterable[str] | None = None,
) -> list[FetchRecord]:
    """Registered fetches that meet all conditions on ``raw_fetch``, oldest known time first."""
    table = raw.raw_fetch
    query = sa.select(table).where(*conditions).order_by(table.c.known_at, table.c.payload_id)
    if subjects is not None:
        query = query.where(table.c.subject.in_(list(subjects)))
    if parsers is not None:
        query = query.where(table.c.parser.in_(list(parsers)))
    return [_record_of(row) for row in connection.execute(query).mappings()]


def _record_of(row: Any) -> FetchRecord:
    request = FetchRequest(
        source=row["source"],
        parser=row["parser"],
        dataset=Dataset(row["dataset"]),
        subject=row["subject"],
        url=row["url"],
        params=json.loads(row["params"]),
        start=row["start_date"],
        end=row["end_date"],
    )
    return FetchRecord(
        fetch_id=row["fetch_id"],
        payload_id=row["payload_id"],
        request=request,
        status=row["status"],
        media_type=row["media_type"],
        byte_count=row["byte_count"],
        fetched_at=row["fetched_at"],
        known_at=row["known_at"],
        run_id=row["run_id"],
    )


def was_loaded(connection: sa.Connection, record: FetchRecord) -> bool:
    """Whether the payload of a fetch has been loaded before."""
    found = sa.select(sa.literal(1)).where(
        ops.ops_load.c.fetch_id == record.fetch_id, ops.ops_load.c.outcome == "loaded"
    )
    return connection.execute(found).first() is not None
