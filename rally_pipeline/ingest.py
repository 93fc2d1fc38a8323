"""The way of one number up to core: plan, fetch, archive, parse, accept, merge.

One direction, no step skipped. A payload is archived and registered before it is read; what is not loaded yet is found
again by the next run, so a run that is killed loses nothing. Belongs here: the order of the steps and what is recorded
of them. Does not belong here: any one step, or Dagster.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.archive import FetchRecord
from rally_pipeline.catalog.model import Market
from rally_pipeline.errors import FetchError, PayloadError
from rally_pipeline.marts.refresh import mark_stale
from rally_pipeline.quality.acceptance import Accepted, accept
from rally_pipeline.schema import core, ops, raw
from rally_pipeline.sources import price_files
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Payload
from rally_pipeline.sources.http import Upstream
from rally_pipeline.warehouse.merge import Delivery, MergeResult, is_untouched, merge, merge_late
from rally_pipeline.workspace import Workspace


@dataclass(frozen=True)
class Target:
    """Where a dataset's rows go: table, the column by which changes are reported, frame columns named otherwise."""

    table: sa.Table
    subject_column: str
    renames: dict[str, str]
    dropped: tuple[str, ...] = ()


TARGETS = {
    Dataset.PRICE: Target(core.core_price_daily, "symbol", {"volume": "volume_shares"}),
    Dataset.FX: Target(core.core_fx_daily, "quote_currency", {}),
}


@dataclass(frozen=True)
class LoadOutcome:
    """What became of one payload."""

    record: FetchRecord
    outcome: str
    rule: str = ""
    message: str = ""
    rows_parsed: int = 0
    rows_set_aside: int = 0
    merged: MergeResult = field(default_factory=MergeResult)
    findings: tuple[Finding, ...] = ()

    @property
    def is_loaded(self) -> bool:
        """Whether the payload was read; ``False`` = refused as a whole."""
        return self.outcome == "loaded"


@dataclass(frozen=True)
class FetchFailure:
    """A request that got no usable answer."""

    request: FetchRequest
    error: FetchError


def source_module(name: str) -> ModuleType:
    """The module with ``plan``, ``fetch`` and ``parse`` of a source."""
    import importlib

    return importlib.import_module(f"rally_pipeline.sources.{name}")


#: Sources asked for each market's prices, and for exchange rates. The FX market's Yahoo pairs are prices of FX kind.
PRICE_SOURCES = ("hang_seng", "eastmoney", "yahoo")
FX_SOURCES = ("ecb", "yahoo")


def plan(
    workspace: Workspace, market: str, start: dt.date, end: dt.date, *, sources: Sequence[str] | None = None
) -> list[FetchRequest]:
    """What to ask about one market's instruments for the days from `start` to `end`, most trusted source first.

    Args:
        workspace: gives catalog, calendars and the last day that can be asked about.
        market: one of `catalog.model.Market`; ``FX`` asks for exchange rates.
        start, end: first and last market date, inclusive.
        sources: only these; ``None`` = all.
    """
    symbols = market_symbols(workspace, market)
    requests: list[FetchRequest] = []
    for name in FX_SOURCES if market == Market.FX else PRICE_SOURCES:
        if sources is not None and name not in sources:
            continue
        module = source_module(name)
        options = {"sessions": workspace.calendars.known_sessions} if name == "hang_seng" else {}
        requests += module.plan(workspace.catalog, start, end, symbols=symbols, today=workspace.today(), **options)
    return requests


def market_symbols(workspace: Workspace, market: str) -> list[str]:
    """Symbols of the instruments of a market."""
    return [symbol for symbol, i in workspace.catalog.instruments.items() if i.market == market]


def fetch_all(
    workspace: Workspace,
    requests: Sequence[FetchRequest],
    upstream: Upstream,
    *,
    run_id: str | None = None,
    progress: Callable[[FetchRequest, FetchRecord | FetchError], None] = lambda *_: None,
) -> tuple[list[FetchRecord], list[FetchFailure]]:
    """Asks each request once and archives what comes; a failure of one leaves the others alone."""
    records: list[FetchRecord] = []
    failures: list[FetchFailure] = []
    for request in requests:
        try:
            payload = source_module(request.parser).fetch(request, upstream)
        except FetchError as error:
            failures.append(FetchFailure(request, error))
            progress(request, error)
            continue
        record = keep(workspace, payload, run_id=run_id)
        records.append(record)
        progress(request, record)
    return records, failures


def keep(
    workspace: Workspace, payload: Payload, *, known_at: dt.datetime | None = None, run_id: str | None = None
) -> FetchRecord:
    """Archives a payload and registers it in ``raw_fetch``; keeping the same again changes nothing."""
    record = workspace.archive.store(payload, known_at=known_at, run_id=run_id)
    with workspace.warehouse.write() as connection:
        register(connection, record)
    return record


def register(connection: sa.Connection, record: FetchRecord) -> None:
    """Writes the index row of an archived fetch if it is not there."""
    table = raw.raw_fetch
    found = sa.select(sa.literal(1)).where(table.c.fetch_id == record.fetch_id)
    if connection.execute(found).first() is not None:
        return
    request = record.request
    connection.execute(
        sa.insert(table).values(
            fetch_id=record.fetch_id,
            payload_id=record.payload_id,
            source=request.source,
            parser=request.parser,
            dataset=request.dataset.value,
            subject=request.subject,
            url=request.url,
            params=json.dumps(request.params, ensure_ascii=False, sort_keys=True),
            start_date=request.start,
            end_date=request.end,
            status=record.status,
            media_type=record.media_type,
            byte_count=record.byte_count,
            fetched_at=record.fetched_at,
            known_at=record.known_at,
            run_id=record.run_id,
        )
    )


def register_archived(workspace: Workspace) -> int:
    """Registers every archived fetch that ``raw_fetch`` does not know, and says how many: what a run that was killed
    between the two left behind, or all of it for a new warehouse beside an old archive.
    """
    with workspace.warehouse.write() as connection:
        known = set(connection.scalars(sa.select(raw.raw_fetch.c.fetch_id)))
        missing = [record for record in workspace.archive.records() if record.fetch_id not in known]
        for record in missing:
            register(connection, record)
    return len(missing)


def pending(
    connection: sa.Connection,
    dataset: Dataset,
    *,
    subjects: Iterable[str] | None = None,
    parsers: Iterable[str] | None = None,
) -> list[FetchRecord]:
    """Fetches that are registered but neither loaded nor refused yet, oldest known time first."""
    return _records(connection, raw.raw_fetch.c.dataset == dataset.value, _not_loaded(), subjects, parsers)


def count_pending(connection: sa.Connection) -> int:
    """How many fetches wait to be loaded."""
    return connection.scalar(sa.select(sa.func.count()).select_from(raw.raw_fetch).where(_not_loaded())) or 0


def _not_loaded() -> sa.ColumnElement[bool]:
    return ~sa.exists(sa.select(sa.literal(1)).where(ops.ops_load.c.fetch_id == raw.raw_fetch.c.fetch_id))


def _records(
    connection: sa.Connection,
    *where: sa.ColumnElement[bool] | Iterable[str] | None,
) -> list[FetchRecord]:
    *conditions, subjects, parsers = where
    table = raw.raw_fetch
    query = sa.select(table).where(*conditions).order_by(table.c.known_at, table.c.payload_id)  # type: ignore[arg-type]
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


def load(workspace: Workspace, record: FetchRecord) -> LoadOutcome:
    """Parses an archived payload and merges it, with what was noticed, in one transaction.

    A payload that is refused leaves a row in ``ops_load`` saying why, and nothing in core. Loading the same again
    changes nothing, unless it is read otherwise than before.

    Raises:
        ArchiveDamagedError: the archived bytes are not those that were stored; nothing is parsed.
    """
    try:
        findings, parsed_rows, accepted = _read(workspace, record)
        with workspace.warehouse.write() as connection:
            merged = _merge(workspace, connection, record, accepted.rows)
            outcome = LoadOutcome(
                record,
                "loaded",
                rows_parsed=parsed_rows,
                rows_set_aside=len(accepted.set_aside),
                merged=merged,
                findings=findings,
            )
            _write_quarantine(connection, record, accepted.set_aside)
            _write_load(connection, outcome)
            if merged.first_changed:
                mark_stale(connection, {TARGETS[record.request.dataset].table.name: merged.first_changed})
    except PayloadError as error:
        outcome = LoadOutcome(record, "refused", error.rule, str(error))
        with workspace.warehouse.write() as connection:
            # What was loaded once stays loaded: its rows are in core, and later merges count on them.
            if not _was_loaded(connection, record):
                _write_load(connection, outcome)
    return outcome


def _read(workspace: Workspace, record: FetchRecord) -> tuple[tuple[Finding, ...], int, Accepted]:
    """What an archived payload says: findings, how many rows, and which of them may enter.

    Raises:
        ArchiveDamagedError, PayloadError: it cannot be read, or may not be believed.
    """
    payload = workspace.archive.payload(record)
    request = record.request
    parsed = source_module(request.parser).parse(payload, workspace.catalog)
    accepted = accept(request.dataset, parsed.frame, workspace.catalog, workspace.calendars, record.known_at)
    return parsed.findings, len(parsed.frame), accepted


def _merge(workspace: Workspace, connection: sa.Connection, record: FetchRecord, rows: pd.DataFrame) -> MergeResult:
    if rows.empty:
        return MergeResult()
    target = TARGETS[record.request.dataset]
    subjects = rows[target.subject_column].unique().tolist()
    constants = {"source": record.request.source}
    frame = _core_frame(record, rows)
    if is_untouched(connection, target.table, subjects, target.subject_column, constants):
        is_latest, others = True, []
    else:
        others = _deliveries_since(workspace, connection, record, subjects)
        is_latest = not others and not _was_loaded(connection, record)
    if is_latest:
        return merge(
            connection,
            target.table,
            frame,
            subject_column=target.subject_column,
            known_at=record.known_at,
            payload_id=record.payload_id,
            constants=constants,
        )
    return merge_late(
        connection,
        target.table,
        Delivery(record.known_at, record.payload_id, frame),
        others,
        subject_column=target.subject_column,
        constants=constants,
    )


def _was_loaded(connection: sa.Connection, record: FetchRecord) -> bool:
    found = sa.select(sa.literal(1)).where(
        ops.ops_load.c.fetch_id == record.fetch_id, ops.ops_load.c.outcome == "loaded"
    )
    return connection.execute(found).first() is not None


def _deliveries_since(
    workspace: Workspace, connection: sa.Connection, record: FetchRecord, subjects: Sequence[str]
) -> list[Delivery]:
    """What else was loaded about these subjects from this source and is known since the same time or a later one.

    Deliveries that only confirmed what was known left no trace in core, so they are read again from the archive.

    Raises:
        PayloadError: one of them can no longer be read, so nobody could say what was believed after this delivery.
    """
    table = raw.raw_fetch
    is_loaded = sa.exists(
        sa.select(sa.literal(1)).where(ops.ops_load.c.fetch_id == table.c.fetch_id, ops.ops_load.c.outcome == "loaded")
    )
    found = _records(
        connection,
        table.c.dataset == record.request.dataset.value,
        table.c.source == record.request.source,
        table.c.known_at >= record.known_at,
        table.c.fetch_id != record.fetch_id,
        is_loaded,
        None,
        None,
    )
    deliveries = []
    for other in found:
        if not _may_be_about(workspace, other.request, subjects):
            continue
        try:
            rows = _read(workspace, other)[2].rows
        except PayloadError as error:
            raise PayloadError(
                rule="history_readable",
                message=f"payload {other.payload_id} of {other.request.subject}, known since "
                f"{other.known_at:%Y-%m-%d %H:%M} UTC and loaded before, can no longer be read: {error}",
                fix="restore the catalog entry it was read with, then import again",
            ) from error
        deliveries.append(Delivery(other.known_at, other.payload_id, _core_frame(other, rows)))
    return deliveries


def _may_be_about(workspace: Workspace, request: FetchRequest, subjects: Sequence[str]) -> bool:
    """Whether a payload may hold rows of the subjects; only a file that says so itself must be opened to know."""
    says_so_itself = request.parser == price_files.SOURCE and "symbol" not in request.params
    if request.dataset is not Dataset.PRICE or says_so_itself:
        return True
    return workspace.catalog.resolve_symbol(request.subject) in subjects


def _core_frame(record: FetchRecord, rows: pd.DataFrame) -> pd.DataFrame:
    """Accepted rows in the columns of the core table."""
    frame = rows.rename(columns=TARGETS[record.request.dataset].renames)
    if record.request.dataset is Dataset.PRICE:
        frame = frame.assign(
            is_flat_bar=_is_flat_bar(rows), split_ratio=rows["split_ratio"].where(rows["split_ratio"] > 0)
        )
    return frame


def _is_flat_bar(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    flat = np.zeros(len(rows), dtype=bool)
    for prefix in ("", "adj_"):
        bar = rows[[f"{prefix}{name}" for name in ("open", "high", "low", "close")]].to_numpy()
        flat |= bar.max(axis=1) == bar.min(axis=1)  # NaN is equal to nothing, so an incomplete bar is not flat
    flat &= rows["volume"].to_numpy() == 0
    return flat


def _write_load(connection: sa.Connection, outcome: LoadOutcome) -> None:
    fetch_id = outcome.record.fetch_id
    for table in (ops.ops_finding, ops.ops_load):
        connection.execute(sa.delete(table).where(table.c.fetch_id == fetch_id))
    merged = outcome.merged
    connection.execute(
        sa.insert(ops.ops_load).values(
            fetch_id=fetch_id,
            loaded_at=dt.datetime.now(dt.UTC),
            outcome=outcome.outcome,
            rule=outcome.rule,
            message=outcome.message,
            rows_parsed=outcome.rows_parsed,
            rows_new=merged.new,
            rows_changed=merged.changed,
            rows_same=merged.same,
            rows_set_aside=outcome.rows_set_aside,
        )
    )
    if outcome.findings:
        connection.execute(
            sa.insert(ops.ops_finding),
            [
                {
                    "fetch_id": fetch_id,
                    "finding_no": number,
                    "rule": finding.rule,
                    "severity": finding.severity.value,
                    "message": finding.message,
                    "locator": finding.locator,
                    "row_count": finding.rows,
                }
                for number, finding in enumerate(outcome.findings, start=1)
            ],
        )


def _write_quarantine(connection: sa.Connection, record: FetchRecord, set_aside: pd.DataFrame) -> None:
    if set_aside.empty:
        return
    table = ops.ops_quarantine
    target = TARGETS[record.request.dataset]
    keys = [name for name in set_aside.columns if name in target.table.primary_key.columns]
    known = set(
        connection.execute(sa.select(table.c.row_key, table.c.rule).where(table.c.fetch_id == record.fetch_id)).tuples()
    )
    rows = []
    for row in json.loads(set_aside.to_json(orient="records", date_format="iso", date_unit="s", double_precision=15)):
        row_key = " ".join(str(row[k])[:10] if k.endswith("_date") else str(row[k]) for k in keys)
        if (row_key, row["rule"]) in known:
            continue
        known.add((row_key, row["rule"]))
        rows.append(
            {
                "fetch_id": record.fetch_id,
                "table_name": target.table.name,
                "row_key": row_key,
                "rule": row.pop("rule"),
                "row_json": json.dumps(row, ensure_ascii=False, sort_keys=True),
                "payload_id": record.payload_id,
                "locator": row["locator"],
                "first_seen_at": dt.datetime.now(dt.UTC),
            }
        )
    if rows:
        connection.execute(sa.insert(table), rows)
