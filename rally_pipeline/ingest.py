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
from rally_pipeline.quality.gate import Batch, Verdict, check, row_keys
from rally_pipeline.quality.known import LOOK_BACK_DAYS, KnownFacts
from rally_pipeline.quality.results import QualityResult
from rally_pipeline.quality.rules import RENAMES
from rally_pipeline.schema import core, core_flows, ops, raw, table_info
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
    """What became of one payload.

    Attributes:
        record: which.
        outcome: ``loaded``, or ``refused`` as a whole.
        rule, message: what refused it.
        rows_parsed, rows_set_aside: how many rows it gave, and how many of them went to quarantine.
        merged: what changed in core.
        findings: what the parser noticed.
        results: every expectation on its rows; empty where the parser refused it.
        set_aside: rules under which rows are out, by table and row key.
    """

    record: FetchRecord
    outcome: str
    rule: str = ""
    message: str = ""
    rows_parsed: int = 0
    rows_set_aside: int = 0
    merged: MergeResult = field(default_factory=MergeResult)
    findings: tuple[Finding, ...] = ()
    results: tuple[QualityResult, ...] = ()
    set_aside: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

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


def fetch_records(connection: sa.Connection, fetch_ids: Iterable[str]) -> list[FetchRecord]:
    """Registered fetches by id, oldest known time first."""
    return _records(connection, raw.raw_fetch.c.fetch_id.in_(list(fetch_ids)), None, None)


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


def load(
    workspace: Workspace, record: FetchRecord, *, released: frozenset[tuple[str, str]] = frozenset()
) -> LoadOutcome:
    """Parses an archived payload and merges it, with what was noticed, in one transaction.

    Every expectation's result is recorded. A payload that is refused leaves rows in ``ops_load`` and
    ``ops_quality_result`` saying why, and nothing in core. Rows set aside go to ``ops_quarantine`` in the same
    transaction as the others to core. Loading the same again changes nothing, unless it is read otherwise than before.

    Args:
        workspace: where.
        record: what.
        released: row keys, each with a rule, that a person released: those rows are loaded although they break that
            rule. What was released before stays so.

    Raises:
        ArchiveDamagedError: the archived bytes are not those that were stored; nothing is parsed.
        ExpectationFailedToRunError: an expectation could not be computed; nothing is written.
    """
    results: tuple[QualityResult, ...] = ()
    try:
        findings, frames = _read(workspace, record)
        verdicts = _judge(workspace, record, frames, released)
        results = tuple(result for verdict in verdicts.values() for result in verdict.results)
        for verdict in verdicts.values():
            if verdict.refusal:
                raise verdict.refusal
        with workspace.warehouse.write() as connection:
            merged = {
                dataset: _merge(workspace, connection, record, dataset, verdict.rows)
                for dataset, verdict in verdicts.items()
            }
            outcome = LoadOutcome(
                record,
                "loaded",
                rows_parsed=sum(len(frame) for frame in frames.values()),
                rows_set_aside=sum(len(verdict.set_aside) for verdict in verdicts.values()),
                merged=_added_up(merged.values()),
                findings=findings,
                results=results,
                set_aside=_by_key(verdicts),
            )
            for dataset, verdict in verdicts.items():
                _write_quarantine(connection, record, dataset, verdict.set_aside)
                if merged[dataset].changed:
                    _write_restatements(connection, record, dataset, verdict.rows)
            _write_load(connection, outcome)
            for dataset, result in merged.items():
                table = TARGETS[dataset].table.name
                if result.first_changed and downstream(table):
                    mark_stale(connection, {table: result.first_changed})
    except PayloadError as error:
        outcome = LoadOutcome(record, "refused", error.rule, str(error), results=results)
        with workspace.warehouse.write() as connection:
            # What was loaded once stays loaded: its rows are in core, and later merges count on them.
            if not _was_loaded(connection, record):
                _write_load(connection, outcome)
    return outcome


def _read(workspace: Workspace, record: FetchRecord) -> tuple[tuple[Finding, ...], dict[Dataset, pd.DataFrame]]:
    """Parses an archived payload to its findings and its frames.

    Raises:
        ArchiveDamagedError, PayloadError: it cannot be read, or may not be believed.
    """
    payload = workspace.archive.payload(record)
    request = record.request
    parsed = source_module(request.parser).parse(payload, workspace.catalog)
    return parsed.findings, {request.dataset: parsed.frame, **parsed.extra}


def _judge(
    workspace: Workspace,
    record: FetchRecord,
    frames: Mapping[Dataset, pd.DataFrame],
    released: frozenset[tuple[str, str]],
) -> dict[Dataset, Verdict]:
    """What the gate says of each frame, given what the warehouse knows."""
    with workspace.warehouse.read() as connection:
        released |= _released(connection, record)
        facts = {dataset: _known_facts(connection, record, dataset, frame) for dataset, frame in frames.items()}
    verdicts = {}
    for dataset, frame in frames.items():
        batch = Batch(
            dataset,
            frame,
            workspace.catalog,
            workspace.calendars,
            record.known_at,
            facts[dataset],
            record.request.start,
            record.request.end,
        )
        failures = _check_broker(workspace, frame) if dataset is Dataset.BROKER_FLOW and len(frame) else {}
        verdicts[dataset] = check(batch, released=released, failures=failures)
    return verdicts


def _released(connection: sa.Connection, record: FetchRecord) -> frozenset[tuple[str, str]]:
    table = ops.ops_quarantine_action
    query = sa.select(table.c.row_key, table.c.rule).where(
        table.c.fetch_id == record.fetch_id, table.c.action == "release", table.c.outcome == "loaded"
    )
    return frozenset((row.row_key, row.rule) for row in connection.execute(query))


def _by_key(verdicts: Mapping[Dataset, Verdict]) -> dict[tuple[str, str], frozenset[str]]:
    return {
        (TARGETS[dataset].table.name, row_key): frozenset({rule})
        for dataset, verdict in verdicts.items()
        for row_key, rule in zip(verdict.set_aside["row_key"], verdict.set_aside["rule"], strict=True)
    }


#: Of each dataset: what other sources' figures are compared by.
_COMPARED = {Dataset.PRICE: "close", Dataset.FX: "rate"}
#: Of a longer delivery only the latest days, so many rows of it, are compared with other sources: reading a million
#: rows of theirs would take longer than loading its own.
_COMPARED_ROWS = 100_000
#: Datasets whose rows are judged by those before them.
_CHAINED = (
    Dataset.PRICE,
    Dataset.FX,
    Dataset.SOUTHBOUND_FLOW,
    Dataset.NORTHBOUND_TURNOVER,
    Dataset.MARKET_TURNOVER,
)


def _known_facts(connection: sa.Connection, record: FetchRecord, dataset: Dataset, frame: pd.DataFrame) -> KnownFacts:
    """What is believed around a frame's days: as much as the frame spans, however long the history is."""
    if frame.empty:
        return KnownFacts()
    target = TARGETS[dataset]
    table, date_column = target.table, table_info(target.table).date_column
    assert date_column is not None
    date = table.c[date_column]
    first, last = frame[date_column].min().date(), frame[date_column].max().date()
    about = sa.and_(
        table.c[target.subject_column].in_(frame[target.subject_column].unique().tolist()),
        table.c.known_to_at.is_(None),
    )
    previous = others = pd.DataFrame()
    if dataset in _CHAINED:
        names = {name: RENAMES.get(dataset, {}).get(name, name) for name in frame.columns if name != "locator"}
        query = sa.select(*(table.c[stored].label(name) for name, stored in names.items())).where(
            about,
            table.c.source == record.request.source,
            date >= first - dt.timedelta(days=LOOK_BACK_DAYS),
            date < first,
        )
        previous = _frame_of(connection, query, date_column)
    if dataset in _COMPARED:
        keys = [name for name in frame.columns if name in table.primary_key.columns and name != "locator"]
        value = table.c[_COMPARED[dataset]]
        if len(frame) > _COMPARED_ROWS:
            first = frame[date_column].nlargest(_COMPARED_ROWS).iloc[-1].date()
        query = sa.select(*(table.c[name] for name in keys), value.label("value")).where(
            about, table.c.source != record.request.source, date.between(first, last), value.is_not(None)
        )
        others = _frame_of(connection, query, date_column)
    return KnownFacts(previous, others, _row_counts(connection, record, dataset))


def _frame_of(connection: sa.Connection, query: sa.Select[Any], date_column: str) -> pd.DataFrame:
    result = connection.execute(query)
    frame = pd.DataFrame(result.fetchall(), columns=list(result.keys()))
    if len(frame):
        frame[date_column] = pd.to_datetime(frame[date_column]).astype("datetime64[s]")
    return frame


def _row_counts(connection: sa.Connection, record: FetchRecord, dataset: Dataset) -> tuple[int, ...]:
    """Rows of the last payloads that answered a request like this one, about as many days long."""
    request, fetch, result = record.request, raw.raw_fetch, ops.ops_quality_result
    if request.start is None or request.end is None:
        return ()
    query = (
        sa.select(result.c.row_count, fetch.c.start_date, fetch.c.end_date)
        .join(result, result.c.fetch_id == fetch.c.fetch_id)
        .where(
            fetch.c.source == request.source,
            fetch.c.subject == request.subject,
            fetch.c.parser == request.parser,
            fetch.c.known_at < record.known_at,
            result.c.table_name == TARGETS[dataset].table.name,
            result.c.rule == "row_count_band",
        )
        .order_by(fetch.c.known_at.desc())
        .limit(20)
    )
    days = (request.end - request.start).days
    return tuple(
        row.row_count
        for row in connection.execute(query)
        if row.start_date and row.end_date and abs((row.end_date - row.start_date).days - days) <= 0.1 * days
    )


def _check_broker(workspace: Workspace, rows: pd.DataFrame) -> dict[str, str]:
    """Compares a broker's weeks with the days in the warehouse.

    Returns:
        For each rule that is not met (``suspected_unit_error``: off by a power of ten; ``week_matches``: by more than
        1 %) a message with both figures of the first week of which that is so.
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
    said: dict[str, str] = {}
    for finding in broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 and not said else ""
        said.setdefault(finding.rule, f"{finding.locator}: {finding.message}{more}")
    return said


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
            _, frames = _read(workspace, other)
        except PayloadError as error:
            raise PayloadError(
                rule="history_readable",
                message=f"payload {other.payload_id} of {other.request.subject}, known since "
                f"{other.known_at:%Y-%m-%d %H:%M} UTC and loaded before, can no longer be read: {error}",
                fix="restore the catalog entry it was read with, then import again",
            ) from error
        if dataset in frames and len(rows := _accepted(connection, other, dataset, frames[dataset])):
            deliveries.append(Delivery(other.known_at, other.payload_id, _core_frame(dataset, rows)))
    return deliveries


def _accepted(connection: sa.Connection, record: FetchRecord, dataset: Dataset, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that were accepted when the payload was loaded: what came later is no judge of them."""
    result, held = ops.ops_quality_result, ops.ops_quarantine
    table = TARGETS[dataset].table.name
    query = sa.select(result.c.severity, result.c.is_success, result.c.observed_value).where(
        result.c.fetch_id == record.fetch_id, result.c.table_name == table
    )
    said = connection.execute(query).all()
    if said:
        out = {
            row_key
            for severity, is_success, observed in said
            if severity == Severity.QUARANTINE.value and not is_success
            for row_key in json.loads(observed).get("set_aside", ())
        }
    else:  # loaded before results were kept
        keys = sa.select(held.c.row_key).where(held.c.fetch_id == record.fetch_id, held.c.table_name == table)
        out = set(connection.scalars(keys))
    if not out:
        return frame
    is_out = np.isin(np.array(row_keys(dataset, frame, np.arange(len(frame))), object), list(out))
    return frame[~is_out].reset_index(drop=True)


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
    for table in (ops.ops_finding, ops.ops_load, ops.ops_quality_result):
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

    if outcome.results:
        now = dt.datetime.now(dt.UTC)
        held: dict[tuple[str, str], list[str]] = {}
        for (table_name, row_key), rules in outcome.set_aside.items():
            for rule in rules:
                held.setdefault((table_name, rule), []).append(row_key)
        observed = [
            # Which rows are out under a rule: what was accepted of a payload is told from it when it is read again.
            {**result.observed, **({"set_aside": out} if out else {})}
            for result in outcome.results
            for out in [held.get((TARGETS[result.dataset].table.name, result.rule))]
        ]
        connection.execute(
            sa.insert(ops.ops_quality_result),
            [
                {
                    "fetch_id": fetch_id,
                    "table_name": TARGETS[result.dataset].table.name,
                    "rule": result.rule,
                    "run_id": outcome.record.run_id,
                    "severity": result.severity.value,
                    "is_success": result.is_success,
                    "observed_value": json.dumps(seen, ensure_ascii=False) if seen else "{}",
                    "row_count": result.row_count,
                    "unexpected_count": result.unexpected_count,
                    "examples": json.dumps(result.examples, ensure_ascii=False) if result.examples else "[]",
                    "checked_at": now,
                }
                for result, seen in zip(outcome.results, observed, strict=True)
            ],
        )


#: Of each dataset: value columns of which a change is a restatement, with the tolerance: relative, or absolute.
_RESTATED: Mapping[Dataset, Mapping[str, tuple[float, float]]] = {
    Dataset.PRICE: {"close": (1e-4, 0), "adj_close": (1e-3, 0), "volume_shares": (0.01, 0)},
    Dataset.FX: {"rate": (1e-5, 0)},
    Dataset.SOUTHBOUND_FLOW: {f"{name}_hkd_mn": (0, 0.01 + 1e-9) for name in ("buy", "sell", "net_buy", "turnover")},
    Dataset.NORTHBOUND_TURNOVER: {
        f"{name}_cny_mn": (0, 0.01 + 1e-9) for name in ("buy", "sell", "net_buy", "turnover")
    },
    Dataset.MARKET_TURNOVER: {"turnover_hkd_mn": (0, 0.01 + 1e-9)},
    Dataset.TOP_STOCK: {f"{name}_hkd": (1e-4, 1) for name in ("buy", "sell", "turnover")},
    Dataset.BROKER_FLOW: {"value": (1e-4, 0)},
}


def _write_restatements(connection: sa.Connection, record: FetchRecord, dataset: Dataset, rows: pd.DataFrame) -> None:
    """Writes which known values this payload's versions changed beyond tolerance, with both versions."""
    target, tolerances = TARGETS[dataset], _RESTATED[dataset]
    table, info = target.table, table_info(target.table)
    assert info.date_column is not None
    new, old, stated = table.alias("new"), table.alias("old"), ops.ops_restatement
    date = new.c[info.date_column]
    beyond = {
        name: sa.or_(
            new.c[name].is_(None),
            sa.func.abs(new.c[name] - old.c[name]) > relative * sa.func.abs(old.c[name]) + absolute,
        )
        for name, (relative, absolute) in tolerances.items()
    }
    query = (
        sa.select(
            *(new.c[name] for name in info.natural_key),
            *(value for name in tolerances for value in (old.c[name].label(f"{name}_old"), new.c[name])),
            old.c.payload_id.label("old_payload_id"),
        )
        .join(
            old,
            sa.and_(*(old.c[k] == new.c[k] for k in info.natural_key), old.c.known_to_at == new.c.known_from_at),
        )
        .where(
            new.c[target.subject_column].in_(rows[target.subject_column].unique().tolist()),
            new.c.source == record.request.source,
            date.between(rows[info.date_column].min().date(), rows[info.date_column].max().date()),
            new.c.known_from_at == record.known_at,
            new.c.payload_id == record.payload_id,
            sa.or_(*(sa.and_(old.c[name].is_not(None), is_beyond) for name, is_beyond in beyond.items())),
        )
    )
    of_this = sa.and_(stated.c.fetch_id == record.fetch_id, stated.c.table_name == table.name)
    known = {
        (row.row_key, row.column_name)
        for row in connection.execute(sa.select(stated.c.row_key, stated.c.column_name).where(of_this))
    }
    keys = [name for name in rows.columns if name in info.natural_key]
    found = []
    for row in connection.execute(query).mappings():
        row_key = " ".join(str(row[name]) for name in keys)
        for name, (relative, absolute) in tolerances.items():
            before, after = row[f"{name}_old"], row[name]
            if before is None or (row_key, name) in known:
                continue
            if after is not None and abs(after - before) <= relative * abs(before) + absolute:
                continue
            found.append(
                {
                    "fetch_id": record.fetch_id,
                    "table_name": table.name,
                    "row_key": row_key,
                    "column_name": name,
                    "subject": str(row[target.subject_column]),
                    "market_date": row[info.date_column],
                    "source": record.request.source,
                    "old_value": before,
                    "new_value": after,
                    "change_pct": (after / before - 1) * 100 if after is not None and before else None,
                    "old_payload_id": row["old_payload_id"],
                    "new_payload_id": record.payload_id,
                    "known_at": record.known_at,
                }
            )
    if found:
        connection.execute(sa.insert(stated), found)


def _write_quarantine(
    connection: sa.Connection, record: FetchRecord, dataset: Dataset, set_aside: pd.DataFrame
) -> None:
    if set_aside.empty:
        return
    table = ops.ops_quarantine
    target = TARGETS[dataset]
    known = set(
        connection.execute(sa.select(table.c.row_key, table.c.rule).where(table.c.fetch_id == record.fetch_id)).tuples()
    )
    rows = []
    for row in json.loads(set_aside.to_json(orient="records", date_format="iso", date_unit="s", double_precision=15)):
        row_key = row.pop("row_key")
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
