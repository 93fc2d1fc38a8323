"""The way of one number up to core: plan, fetch, archive, parse, accept, merge.

One direction, no step skipped. A payload is archived and registered before it is read; what is not loaded yet is found
again by the next run, so a run that is killed loses nothing. Belongs here: the order of the steps and what is recorded
of them. Does not belong here: any one step, or Dagster.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.archive import FetchRecord
from rally_pipeline.errors import ArchiveDamagedError, FetchError, PayloadError
from rally_pipeline.fetches import records_where, register, was_loaded
from rally_pipeline.known_facts import broker_contradictions, known_facts
from rally_pipeline.load_log import (
    LoadOutcome,
    standing_results,
    state_of_facts,
    write_load,
    write_quarantine,
    write_restatements,
)
from rally_pipeline.marts.refresh import downstream, mark_stale
from rally_pipeline.quality.gate import Batch, Verdict, check, row_keys
from rally_pipeline.quality.results import QualityResult
from rally_pipeline.quality.suites import Broken, ExpectationFailedToRunError, validate_values
from rally_pipeline.schema import ops, raw
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
from rally_pipeline.targets import TARGETS, core_frame, with_empty_texts
from rally_pipeline.warehouse.merge import Delivery, MergeResult, is_untouched, merge, merge_late
from rally_pipeline.workspace import Workspace

#: Payloads of at most so many bytes are read ahead, so many at a time: what that holds in memory is little.
_SMALL_BYTES, _TOGETHER = 100_000, 40


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
    symbols = workspace.catalog.market_symbols(market)
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
    workspace.archive.state_profile(workspace.profile.value)
    record = workspace.archive.store(payload, known_at=known_at, run_id=run_id)
    with workspace.warehouse.write() as connection:
        register(connection, record)
    return record


@dataclass(frozen=True)
class Ahead:
    """A payload that was read before its turn, and what the gate says of its rows without looking at the warehouse."""

    findings: tuple[Finding, ...]
    frames: Mapping[Dataset, pd.DataFrame]
    values: Mapping[Dataset, Mapping[str, Broken]]


def read_ahead(workspace: Workspace, records: Sequence[FetchRecord]) -> Iterator[tuple[FetchRecord, Ahead | None]]:
    """The payloads in their order, for `load`: some dozens of small ones are read and judged together.

    A large one, and one that cannot be read, comes as it is: `load` reads it and says why it cannot be.
    """
    group: list[FetchRecord] = []
    for record in records:
        if len(group) == _TOGETHER or record.byte_count > _SMALL_BYTES:
            yield from _read_together(workspace, group)
            group = []
        if record.byte_count > _SMALL_BYTES:
            yield record, None
        else:
            group.append(record)
    yield from _read_together(workspace, group)


def _read_together(workspace: Workspace, records: Sequence[FetchRecord]) -> Iterator[tuple[FetchRecord, Ahead | None]]:
    came: list[tuple[tuple[Finding, ...], dict[Dataset, pd.DataFrame]] | None] = []
    for record in records:
        try:
            came.append(_read(workspace, record))
        except (ArchiveDamagedError, PayloadError):
            came.append(None)
    values: list[dict[Dataset, Mapping[str, Broken]]] = [{} for _ in records]
    for dataset in dict.fromkeys(dataset for one in came if one for dataset in one[1]):
        of_it = [number for number, one in enumerate(came) if one and dataset in one[1]]
        # A fault of the suite is told when it is the turn of the payload that shows it.
        with contextlib.suppress(ExpectationFailedToRunError):
            said = validate_values(dataset, [came[number][1][dataset] for number in of_it])  # type: ignore[index]
            for number, broken in zip(of_it, said, strict=True):
                values[number][dataset] = broken
    for record, one, judged in zip(records, came, values, strict=True):
        yield record, Ahead(*one, judged) if one else None


def load(
    workspace: Workspace,
    record: FetchRecord,
    ahead: Ahead | None = None,
    *,
    released: frozenset[tuple[str, str]] = frozenset(),
) -> LoadOutcome:
    """Parses an archived payload and merges it, with what was noticed, in one transaction.

    Every expectation's result is recorded. A payload that is refused leaves rows in ``ops_load`` and
    ``ops_quality_result`` saying why, and nothing in core. Rows set aside go to ``ops_quarantine`` in the same
    transaction as the others to core. Loading the same again changes nothing, unless it is read otherwise than before.

    Args:
        workspace: where.
        record: what.
        ahead: what `read_ahead` read of it, if it did.
        released: row keys, each with a rule, that a person released: those rows are loaded although they break that
            rule. What was released before stays so.

    Raises:
        ArchiveDamagedError: the archived bytes are not those that were stored; nothing is parsed.
        ExpectationFailedToRunError: an expectation could not be computed; nothing is written.
    """
    results: tuple[QualityResult, ...] = ()
    try:
        findings, frames = (ahead.findings, ahead.frames) if ahead else _read(workspace, record)
        values = ahead.values if ahead else {}
        # Judging takes much longer than merging and goes on beside other writers, unless it has to compute something.
        verdicts: dict[Dataset, Verdict] = {}
        seen: str | None = None
        is_judged = False
        if Dataset.BROKER_FLOW not in frames:
            with workspace.warehouse.read() as connection:
                seen = state_of_facts(connection)
                verdicts = _judge(workspace, connection, record, frames, values, released)
                is_judged = True
        with workspace.warehouse.write() as connection:
            if not is_judged or seen != state_of_facts(connection):
                # Somebody has loaded something meanwhile: what is merged is judged by what is known then.
                verdicts = _judge(workspace, connection, record, frames, values, released)
            results = tuple(result for verdict in verdicts.values() for result in verdict.results)
            for verdict in verdicts.values():
                if verdict.refusal:
                    raise verdict.refusal
            merged = {}
            for dataset, verdict in verdicts.items():
                with _refusing_what_does_not_fit(dataset):
                    merged[dataset] = _merge(workspace, connection, record, dataset, verdict.rows)
            outcome = LoadOutcome(
                record,
                "loaded",
                rows_parsed=sum(len(frame) for frame in frames.values()),
                rows_set_aside=sum(len(verdict.set_aside) for verdict in verdicts.values()),
                merged=_added_up(merged.values()),
                findings=findings,
                results=results,
                set_aside=_by_key(verdicts),
                written={dataset: result.new + result.changed for dataset, result in merged.items()},
            )
            for dataset, verdict in verdicts.items():
                write_quarantine(connection, record, dataset, verdict.set_aside)
                if merged[dataset].changed:
                    write_restatements(connection, record, dataset, verdict.rows)
            write_load(connection, outcome)
            for dataset, result in merged.items():
                table = TARGETS[dataset].table.name
                if result.first_changed and downstream(table):
                    mark_stale(connection, {table: result.first_changed})
    except PayloadError as error:
        outcome = LoadOutcome(record, "refused", error.rule, str(error), results=results)
        with workspace.warehouse.write() as connection:
            # What was loaded once stays loaded: its rows are in core, and later merges count on them.
            if not was_loaded(connection, record):
                write_load(connection, outcome)
    return outcome


@contextlib.contextmanager
def _refusing_what_does_not_fit(dataset: Dataset) -> Iterator[None]:
    """A value that no rule held back and the column cannot hold refuses its payload; the others go on."""
    try:
        yield
    except sa.exc.DataError as error:
        table, why = TARGETS[dataset].table.name, str(error.orig).strip().splitlines()[0]
        message = f"a value does not fit its column of {table}: {why}"
        raise PayloadError("value_fits", message, "correct the value in the file, and give it again") from error


def _read(workspace: Workspace, record: FetchRecord) -> tuple[tuple[Finding, ...], dict[Dataset, pd.DataFrame]]:
    """Parses an archived payload to its findings and its frames.

    Raises:
        ArchiveDamagedError, PayloadError: it cannot be read, or may not be believed.
    """
    payload = workspace.archive.payload(record)
    request = record.request
    parsed = source_module(request.parser).parse(payload, workspace.catalog)
    frames = {request.dataset: parsed.frame, **parsed.extra}
    return parsed.findings, {dataset: with_empty_texts(dataset, frame) for dataset, frame in frames.items()}


def _judge(
    workspace: Workspace,
    connection: sa.Connection,
    record: FetchRecord,
    frames: Mapping[Dataset, pd.DataFrame],
    values: Mapping[Dataset, Mapping[str, Broken]],
    released: frozenset[tuple[str, str]],
) -> dict[Dataset, Verdict]:
    """What the gate says of each frame, given what the warehouse knows; of a broker's weeks, within a transaction that
    writes.
    """
    released |= _released(connection, record)
    facts = {dataset: known_facts(connection, record, dataset, frame) for dataset, frame in frames.items()}
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
        failures = broker_contradictions(connection, frame) if dataset is Dataset.BROKER_FLOW and len(frame) else {}
        verdicts[dataset] = check(batch, released=released, failures=failures, values=values.get(dataset))
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
    frame = core_frame(dataset, rows)
    is_first = is_untouched(connection, target.table, subjects, target.subject_column, constants)
    if is_first:
        is_latest, others = True, []
    else:
        others = _deliveries_since(workspace, connection, record, dataset, subjects)
        is_latest = not others and not was_loaded(connection, record)
    if is_latest:
        return merge(
            connection,
            target.table,
            frame,
            subject_column=target.subject_column,
            known_at=record.known_at,
            payload_id=record.payload_id,
            constants=constants,
            is_first=is_first,
        )
    return merge_late(
        connection,
        target.table,
        Delivery(record.known_at, record.payload_id, frame),
        others,
        subject_column=target.subject_column,
        constants=constants,
    )


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
    found = records_where(
        connection,
        table.c.dataset.in_([carrier.value for carrier in TARGETS[dataset].carriers]),
        table.c.source == record.request.source,
        table.c.known_at >= record.known_at,
        table.c.fetch_id != record.fetch_id,
        is_loaded,
    )
    deliveries = []
    for other in found:
        if dataset is Dataset.PRICE and not _may_be_about(workspace, other.request, subjects):
            continue
        if record.request.dataset is Dataset.NOTE and other.payload_id != record.payload_id:
            continue  # a note is identified by its bytes, so other documents are about other notes
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
            deliveries.append(Delivery(other.known_at, other.payload_id, core_frame(dataset, rows)))
    return deliveries


def _accepted(connection: sa.Connection, record: FetchRecord, dataset: Dataset, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that were accepted when the payload was loaded: what came later is no judge of them."""
    result, held = standing_results(), ops.ops_quarantine
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
