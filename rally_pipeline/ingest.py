"""The way of one number up to core: plan, fetch, archive, parse, accept, merge.

One direction, no step skipped. A payload is archived and registered before it is read; what is not loaded yet is found
again by the next run, so a run that is killed loses nothing. Belongs here: the order of the steps and what is recorded
of them. Does not belong here: any one step, or Dagster.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.archive import FetchRecord
from rally_pipeline.errors import FetchError, PayloadError
from rally_pipeline.marts.refresh import downstream, mark_stale, refresh
from rally_pipeline.quality.acceptance import Accepted, accept
from rally_pipeline.schema import core, core_flows, ops, raw
from rally_pipeline.sources import price_files
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Payload, Severity
from rally_pipeline.sources.http import Upstream
from rally_pipeline.sources.registry import (
    HKEX_KEPT_DAYS,
    MARKET_SOURCES,
    PRICE_SOURCES,
    SECOND_OPINIONS,
    SESSION_SOURCES,
)
from rally_pipeline.warehouse.merge import Delivery, MergeResult, is_untouched, merge, merge_late
from rally_pipeline.workspace import Workspace


@dataclass(frozen=True)
class Target:
    """Where a dataset's rows go.

    Attributes:
        table: the core table.
        subject_column: key column by which changes are reported.
        carriers: datasets of the requests whose answers may hold such rows.
        renames: frame columns that are named otherwise in the table.
    """

    table: sa.Table
    subject_column: str
    carriers: tuple[Dataset, ...]
    renames: Mapping[str, str] = field(default_factory=dict)


#: A run that was not finished is taken up again for so long; after that its answers are old.
_RESUMED_WITHIN = dt.timedelta(days=3)
_FLOWS = (Dataset.SOUTHBOUND_FLOW, Dataset.NORTHBOUND_TURNOVER, Dataset.BROKER_FLOW)

TARGETS = {
    Dataset.PRICE: Target(core.core_price_daily, "symbol", (Dataset.PRICE,), {"volume": "volume_shares"}),
    Dataset.FX: Target(core.core_fx_daily, "quote_currency", (Dataset.FX,)),
    Dataset.SOUTHBOUND_FLOW: Target(core_flows.core_southbound_flow_daily, "channel", _FLOWS),
    Dataset.NORTHBOUND_TURNOVER: Target(core_flows.core_northbound_turnover_daily, "channel", _FLOWS),
    Dataset.TOP_STOCK: Target(core_flows.core_southbound_top_stock_daily, "channel", _FLOWS),
    Dataset.BROKER_FLOW: Target(core_flows.core_broker_flow, "broker", _FLOWS, {"published_at": "published_text"}),
    Dataset.MARKET_TURNOVER: Target(core_flows.core_market_turnover_daily, "market", (Dataset.PRICE,)),
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


def plan(
    workspace: Workspace, market: str, start: dt.date, end: dt.date, *, sources: Sequence[str] | None = None
) -> list[FetchRequest]:
    """What to ask about one market's instruments for the days from `start` to `end`, most trusted source first.

    Args:
        workspace: gives catalog, calendars and the last day that can be asked about.
        market: one of `catalog.model.Market` or ``SOUTHBOUND``; ``FX`` asks for exchange rates.
        start, end: first and last market date, inclusive.
        sources: only these; ``None`` = all.
    """
    symbols = market_symbols(workspace, market)
    today = workspace.today()
    requests: list[FetchRequest] = []
    for name in (*MARKET_SOURCES.get(market, ()), *(PRICE_SOURCES if symbols else ())):
        if sources is not None and name not in sources:
            continue
        first = max(start, today - dt.timedelta(days=HKEX_KEPT_DAYS)) if name in SECOND_OPINIONS else start
        if first > end:
            continue
        options = {"sessions": workspace.calendars.known_sessions} if name in SESSION_SOURCES else {}
        requests += source_module(name).plan(workspace.catalog, first, end, symbols=symbols, today=today, **options)
    return requests


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
            table.c.fetched_at >= dt.datetime.now(dt.UTC) - _RESUMED_WITHIN,
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


def pending(
    connection: sa.Connection,
    *datasets: Dataset,
    subjects: Iterable[str] | None = None,
    parsers: Iterable[str] | None = None,
) -> list[FetchRecord]:
    """Fetches that are registered but neither loaded nor refused yet, oldest known time first."""
    of_dataset = raw.raw_fetch.c.dataset.in_([dataset.value for dataset in datasets])
    return _records(connection, of_dataset, _not_loaded(), subjects, parsers)


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
        read = _read(workspace, record)
        if Dataset.BROKER_FLOW in read.accepted:
            _check_broker(workspace, read.accepted[Dataset.BROKER_FLOW].rows)
        with workspace.warehouse.write() as connection:
            merged = {
                dataset: _merge(workspace, connection, record, dataset, accepted.rows)
                for dataset, accepted in read.accepted.items()
            }
            outcome = LoadOutcome(
                record,
                "loaded",
                rows_parsed=read.row_count,
                rows_set_aside=sum(len(accepted.set_aside) for accepted in read.accepted.values()),
                merged=_added_up(merged.values()),
                findings=read.findings,
            )
            for dataset, accepted in read.accepted.items():
                _write_quarantine(connection, record, dataset, accepted.set_aside)
            _write_load(connection, outcome)
            for dataset, result in merged.items():
                table = TARGETS[dataset].table.name
                if result.first_changed and downstream(table):
                    mark_stale(connection, {table: result.first_changed})
    except PayloadError as error:
        outcome = LoadOutcome(record, "refused", error.rule, str(error))
        with workspace.warehouse.write() as connection:
            # What was loaded once stays loaded: its rows are in core, and later merges count on them.
            if not _was_loaded(connection, record):
                _write_load(connection, outcome)
    return outcome


@dataclass(frozen=True)
class _Read:
    """What an archived payload says: its findings, how many rows, and which of each dataset may enter."""

    findings: tuple[Finding, ...]
    row_count: int
    accepted: dict[Dataset, Accepted]


def _read(workspace: Workspace, record: FetchRecord) -> _Read:
    """Parses an archived payload and splits its rows.

    Raises:
        ArchiveDamagedError, PayloadError: it cannot be read, or may not be believed.
    """
    payload = workspace.archive.payload(record)
    request = record.request
    parsed = source_module(request.parser).parse(payload, workspace.catalog)
    frames = {request.dataset: parsed.frame, **parsed.extra}
    accepted = {
        dataset: accept(dataset, frame, workspace.catalog, workspace.calendars, record.known_at)
        for dataset, frame in frames.items()
    }
    return _Read(parsed.findings, sum(len(frame) for frame in frames.values()), accepted)


def _check_broker(workspace: Workspace, rows: pd.DataFrame) -> None:
    """Compares a broker's weeks with the days in the warehouse.

    Raises:
        PayloadError: a figure is off by a power of ten (``suspected_unit_error``) or by more than 1 %
            (``week_matches``); the message has both figures.
    """
    from rally_pipeline.sources.flow_files import check_against_weeks

    table = core_flows.core_southbound_resolved_daily
    columns = ["buy_hkd_mn", "sell_hkd_mn", "net_buy_hkd_mn", "turnover_hkd_mn"]
    first, last = rows["period_start"].min().date(), rows["period_end"].max().date()
    monday = first - dt.timedelta(days=first.weekday())
    query = sa.select(table.c.channel, table.c.session_date, *(table.c[name] for name in columns)).where(
        table.c.session_date.between(monday, last + dt.timedelta(days=6))
    )
    with workspace.warehouse.write() as connection:
        # The comparison rests on a derived table, which must not be behind the facts.
        refresh(connection, tables=[table.name])
        days = pd.DataFrame(connection.execute(query).mappings().all(), columns=["channel", "session_date", *columns])
    days["session_date"] = pd.to_datetime(days["session_date"])
    days["week_start"] = days["session_date"] - pd.to_timedelta(days["session_date"].dt.day_of_week, unit="D")
    weeks = days.groupby(["channel", "week_start"], as_index=False).agg(
        **{name: (name, "sum") for name in columns}, session_count=("session_date", "count")
    )
    broken = [f for f in check_against_weeks(rows, weeks) if f.severity is Severity.QUARANTINE]
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise PayloadError(
            rule=broken[0].rule,
            message=broken[0].message + more,
            fix="correct the figure or its unit, or leave the row out, and import again",
            locator=broken[0].locator,
        )


def _added_up(results: Iterable[MergeResult]) -> MergeResult:
    results = list(results)
    firsts: dict[str, dt.date] = {}
    for result in results:
        for subject, day in result.first_changed.items():
            firsts[subject] = min(day, firsts.get(subject, day))
    return MergeResult(
        new=sum(result.new for result in results),
        changed=sum(result.changed for result in results),
        same=sum(result.same for result in results),
        first_changed=firsts,
    )


def _merge(
    workspace: Workspace, connection: sa.Connection, record: FetchRecord, dataset: Dataset, rows: pd.DataFrame
) -> MergeResult:
    if rows.empty:
        return MergeResult()
    target = TARGETS[dataset]
    subjects = rows[target.subject_column].unique().tolist()
    constants = {"source": record.request.source}
    frame = _core_frame(dataset, rows)
    if is_untouched(connection, target.table, subjects, target.subject_column, constants):
        is_latest, others = True, []
    else:
        others = _deliveries_since(workspace, connection, record, dataset, subjects)
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
    workspace: Workspace, connection: sa.Connection, record: FetchRecord, dataset: Dataset, subjects: Sequence[str]
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
        table.c.dataset.in_([carrier.value for carrier in TARGETS[dataset].carriers]),
        table.c.source == record.request.source,
        table.c.known_at >= record.known_at,
        table.c.fetch_id != record.fetch_id,
        is_loaded,
        None,
        None,
    )
    deliveries = []
    for other in found:
        if dataset is Dataset.PRICE and not _may_be_about(workspace, other.request, subjects):
            continue
        try:
            accepted = _read(workspace, other).accepted.get(dataset)
        except PayloadError as error:
            raise PayloadError(
                rule="history_readable",
                message=f"payload {other.payload_id} of {other.request.subject}, known since "
                f"{other.known_at:%Y-%m-%d %H:%M} UTC and loaded before, can no longer be read: {error}",
                fix="restore the catalog entry it was read with, then import again",
            ) from error
        if accepted is not None:
            deliveries.append(Delivery(other.known_at, other.payload_id, _core_frame(dataset, accepted.rows)))
    return deliveries


def _may_be_about(workspace: Workspace, request: FetchRequest, subjects: Sequence[str]) -> bool:
    """Whether a payload may hold prices of the subjects; only a file that says so itself must be opened to know."""
    if request.parser == price_files.SOURCE and "symbol" not in request.params:
        return True
    return workspace.catalog.resolve_symbol(request.subject) in subjects


def _core_frame(dataset: Dataset, rows: pd.DataFrame) -> pd.DataFrame:
    """Accepted rows in the columns of the core table."""
    target = TARGETS[dataset]
    frame = rows.rename(columns=dict(target.renames))
    # A text that was left empty is an empty text where the table knows no NULL: parts of a key are never unknown.
    empty = [c.name for c in target.table.columns if not c.nullable and isinstance(c.type, sa.String)]
    frame = frame.fillna({name: "" for name in empty if name in frame})
    if dataset is Dataset.PRICE:
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


def _write_quarantine(
    connection: sa.Connection, record: FetchRecord, dataset: Dataset, set_aside: pd.DataFrame
) -> None:
    if set_aside.empty:
        return
    table = ops.ops_quarantine
    target = TARGETS[dataset]
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
