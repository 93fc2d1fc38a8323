"""Running the jobs from the command line: in this process, on the same Dagster instance as the UI.

Belongs here: which jobs over which days, and the report. Does not belong here: what a job does.
"""

from __future__ import annotations

import datetime as dt
import gc
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline import locks
from rally_pipeline.errors import RallyError, UsageError
from rally_pipeline.orchestration.event_log import kept_connections
from rally_pipeline.orchestration.evidence import names
from rally_pipeline.orchestration.ingest_assets import raw_key
from rally_pipeline.orchestration.instance import end_dead_runs, open_instance, run_tags
from rally_pipeline.orchestration.jobs import MARTS_JOB, NOTES_JOB, RATINGS_JOB, build_definitions, ingest_job_name
from rally_pipeline.orchestration.partitions import INGEST_MARKETS
from rally_pipeline.orchestration.pool_watch import PoolWatch
from rally_pipeline.orchestration.printed import followed_here
from rally_pipeline.orchestration.resources import Ledger, RunWorkspace, failure_text
from rally_pipeline.planning import known_sources, last_finished_session, market_sources, plan_market
from rally_pipeline.schema import core_flows
from rally_pipeline.settings import Settings
from rally_pipeline.sources.registry import NOTHING, RATINGS_SOURCE

if TYPE_CHECKING:
    from rally_pipeline.catch_up import CatchUp
    from rally_pipeline.marts.refresh import Refreshed
    from rally_pipeline.workspace import Workspace

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
#: Held by the command whose job is running.
_RUN_LOCK = ".run-lock"
#: How many days back a run looks for what an earlier one archived and did not register.
_LOOK_BACK_DAYS = 7
#: The console belongs to the caller; Dagster keeps every event in its log anyway.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class PartReport:
    """What became of one part of a run, whatever it loads.

    Attributes:
        run_id: the Dagster run; empty if there was nothing to run.
        loaded: payloads read.
        refused: one line per payload refused as a whole.
        rows_new, rows_changed, rows_same, rows_set_aside: rows.
        error: why the run failed, or why there was nothing to run.
        ok: whether it succeeded, see the kinds of parts.
        seconds: how long it took.
    """

    run_id: str
    loaded: int
    refused: tuple[str, ...]
    rows_new: int
    rows_changed: int
    rows_same: int
    rows_set_aside: int
    error: str
    ok: bool
    seconds: float


@dataclass(frozen=True)
class MarketReport(PartReport):
    """What became of one market. It is ok if the run succeeded, every instrument got something, and nothing was refused
    but empty answers.

    Attributes:
        market: the market.
        start, end: first and last session asked for.
        sessions: how many.
        requests, records: requests made, and those that were answered.
        failures: one line per request that was not.
        unserved: instruments (of southbound, sessions) for which nothing was loaded, whatever the source.
    """

    market: str
    start: dt.date | None
    end: dt.date | None
    sessions: int
    requests: int
    records: int
    failures: tuple[str, ...]
    unserved: tuple[str, ...]


@dataclass(frozen=True)
class DocumentReport(PartReport):
    """What became of the ratings asked for, or of the documents in the inbox. It is ok if the run succeeded: a document
    that was refused lies in ``rejected/`` with its reason and fails nothing.

    Attributes:
        name: ``RATINGS`` or ``NOTES``.
    """

    name: str


@dataclass(frozen=True)
class RunReport:
    """What a run of the pipeline did.

    Attributes:
        start, end: the days asked for.
        markets: one report per market with anything to do.
        documents: one report for ratings, one for the notes in the inbox.
        skipped: why a market had nothing to do, one line each.
        ended: markets whose calendar ends before the last day asked for, one line each; the others go on.
        marts: tables computed again, with rows and seconds.
        marts_run_id: the Dagster run of the marts.
        marts_error: why it failed; empty if it did not.
        quality_page: the summary of quality over time; empty if it could not be written, which `quality_error` says.
        quality_error: why not.
        published: what was published, for people; empty if it could not be, which `publish_error` says.
        publish_error: why not.
        seconds: how long everything took.
    """

    start: dt.date
    end: dt.date
    markets: tuple[MarketReport, ...]
    documents: tuple[DocumentReport, ...]
    skipped: tuple[str, ...]
    ended: tuple[str, ...]
    marts: tuple[Refreshed, ...]
    marts_run_id: str
    marts_error: str
    quality_page: str
    quality_error: str
    published: tuple[str, ...]
    publish_error: str
    seconds: float

    @property
    def parts(self) -> tuple[PartReport, ...]:
        """All that was fetched and loaded."""
        return (*self.markets, *self.documents)

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for came and was computed."""
        return not self.marts_error and not self.ended and all(part.ok for part in self.parts)

    @property
    def run_ids(self) -> tuple[str, ...]:
        """All Dagster runs, in order."""
        return (*(part.run_id for part in self.parts if part.run_id), self.marts_run_id)

    @property
    def rows_new(self) -> int:
        """Facts that were not known before."""
        return sum(part.rows_new for part in self.parts)

    @property
    def rows_changed(self) -> int:
        """Facts that were restated."""
        return sum(part.rows_changed for part in self.parts)

    @property
    def rows_same(self) -> int:
        """Facts already known as they are."""
        return sum(part.rows_same for part in self.parts)

    @property
    def rows_set_aside(self) -> int:
        """Rows that were not believed."""
        return sum(part.rows_set_aside for part in self.parts)

    def lines(self) -> list[str]:
        """The report for people."""
        found = []
        for m in self.markets:
            state = "ok    " if m.ok else "FAILED"
            found.append(
                f"{m.market:<11}{state} {m.sessions:>5} sessions  {m.records}/{m.requests} requests answered  "
                f"rows: {m.rows_new} new, {m.rows_changed} changed, {m.rows_same} same, {m.rows_set_aside} set aside  "
                f"({m.seconds:.1f} s)"
            )
            if m.error:
                found.append(f"     {m.error}")
            found += [f"     not answered: {text}" for text in m.failures[:5]]
            if len(m.failures) > 5:
                found.append(f"     … and {len(m.failures) - 5} more not answered")
            found += [f"     refused: {text}" for text in m.refused[:5]]
            if len(m.refused) > 5:
                found.append(f"     … and {len(m.refused) - 5} more refused")
            if m.unserved:
                found.append(f"     nothing at all for: {names(m.unserved)}")
        for d in self.documents:
            found.append(
                f"{d.name:<11}{'ok    ' if d.ok else 'FAILED'} {d.loaded:>5} documents loaded  "
                f"rows: {d.rows_new} new, {d.rows_changed} changed, {d.rows_same} same, {d.rows_set_aside} set aside  "
                f"({d.seconds:.1f} s)"
            )
            if d.error:
                found.append(f"     {d.error}")
            found += [f"     refused: {text}" for text in d.refused[:5]]
            if len(d.refused) > 5:
                found.append(f"     … and {len(d.refused) - 5} more refused")
        found += [f"     {text}" for text in self.skipped]
        if self.ended:
            found += [f"     {text}" for text in self.ended]
            going_on = ", ".join(m.market for m in self.markets if m.ok) or "none of those asked for"
            found.append(f"     still working: {going_on}")
        if self.marts_error:
            found.append(f"marts FAILED: {self.marts_error}")
        else:
            rows = sum(part.rows for part in self.marts)
            computed = f"{len(self.marts)} tables computed again, {rows} rows" if self.marts else "nothing was stale"
            found.append(f"marts ok: {computed}")
        if self.quality_error:
            found.append(f"quality report not written: {self.quality_error}")
        else:
            found.append(f"quality report: {self.quality_page}")
        found += self.published
        if self.publish_error:
            found.append(f"not published: {self.publish_error}")
        found.append(f"{self.start} … {self.end} in {self.seconds:.1f} s, {'ok' if self.ok else 'with failures'}")
        return found


def run_pipeline(
    settings: Settings,
    start: dt.date | None,
    end: dt.date | None,
    *,
    sources: tuple[str, ...] | None = None,
    markets: tuple[str, ...] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> RunReport:
    """Fetches, loads and computes the days from `start` to `end`, both inclusive; without them, what is missing.

    Each market is one Dagster run over its own sessions, then the marts are one over the weekdays. A market that fails
    leaves the others alone. What is fetched is committed payload by payload, so a run that is killed is taken up by the
    next one.

    For a process that ends soon: once the jobs are done, Python's garbage collector leaves alone what there is.

    Args:
        settings: of the home to work in.
        start: first market date; ``None`` = whatever is missing, oldest first (`catch_up.py`); then `end` is ``None``.
        end: last market date; sessions that are not over yet are left out.
        sources: only these sources; ``None`` = all.
        markets: only these markets; ``None`` = all.
        progress: gets a line at every step.

    Raises:
        UsageError: there is no such market or source, or `start` is after `end`.
    """
    from rally_pipeline.fetches import register_archived
    from rally_pipeline.workspace import open_workspace

    began = time.monotonic()
    if start is not None and end is not None and start > end:
        raise UsageError(f"the first day {start} is after the last {end}")
    unknown = sorted(set(markets or ()) - set(INGEST_MARKETS))
    if unknown:
        raise UsageError(f"there is no market {', '.join(unknown)}; the markets are {', '.join(INGEST_MARKETS)}")
    workspace = open_workspace(settings)
    chosen = [market for market in INGEST_MARKETS if markets is None or market in markets]
    _check_sources(workspace, sources)
    opened = RunWorkspace(workspace, progress=progress)
    # What a run that was killed had archived but not registered is loaded with the rest.
    register_archived(workspace, since=workspace.now().date() - dt.timedelta(days=_LOOK_BACK_DAYS))
    with (
        open_instance(settings) as instance,
        kept_connections(instance),
        followed_here(instance),
        PoolWatch(instance, workspace.warehouse.tell),
    ):
        end_dead_runs(instance)
        definitions = build_definitions(settings, opened)
        reports: list[MarketReport] = []
        skipped: list[str] = []
        last = end or workspace.today()
        ended = [_ended(workspace, market) for market in chosen if last > workspace.calendars.horizon(market)]
        for market in chosen:
            progress(f"{market}: starting")
            if start is None:
                done = _catch_up(definitions, instance, opened, market, sources)
            else:
                done = _run_market(definitions, instance, opened, market, start, last, sources)
            if isinstance(done, str):
                skipped.append(f"{market}: {done}")
            else:
                reports.append(done)
        ledger = _take(opened.ledger)
        first = start or min((m.start for m in reports if m.start is not None), default=last)
        weekdays = _weekdays(first, min(last, workspace.today()))
        documents = [
            _run_documents(definitions, instance, opened, name, job, weekdays)
            for name, job in (("RATINGS", RATINGS_JOB), ("NOTES", NOTES_JOB))
            if markets is None and (sources is None or (name == "RATINGS" and RATINGS_SOURCE in sources))
        ]
        run_id, error = _execute(definitions, instance, opened, MARTS_JOB, weekdays, {})
        ledger = _take(opened.ledger)
    _leave_alone()
    progress("writing the quality report")
    parts: list[PartReport] = [*reports, *documents]
    ran = [part.run_id for part in parts if part.run_id]
    page, unwritten = _write_quality(workspace, [*ran, run_id])
    published, unpublished = _publish(workspace, progress, compute=not error)
    workspace.warehouse.engine.dispose()
    return RunReport(
        start=first,
        end=last,
        markets=tuple(reports),
        documents=tuple(documents),
        skipped=tuple(skipped),
        ended=tuple(ended),
        marts=tuple(ledger.refreshed),
        marts_run_id=run_id,
        marts_error=error,
        quality_page=page,
        quality_error=unwritten,
        published=published,
        publish_error=unpublished,
        seconds=time.monotonic() - began,
    )


def _leave_alone() -> None:
    """All that the jobs have imported and built stays until the process ends: Python does not look for garbage in it
    any more, which it would do several times while it ends. DuckDB is not imported by then; what of it is never
    collected, its binding calls a leak.
    """
    if "duckdb" not in sys.modules:
        gc.freeze()


def _write_quality(workspace: Workspace, run_ids: Sequence[str]) -> tuple[str, str]:
    """The summary's path, or why there is none: a full disk does not undo what was loaded."""
    from rally_pipeline.publish.quality_report import write_reports

    try:
        return str(write_reports(workspace, run_ids)[-1]), ""
    except OSError as error:
        return "", str(error)


def _publish(workspace: Workspace, progress: Callable[[str], None], *, compute: bool) -> tuple[tuple[str, ...], str]:
    """What was published, or why nothing was: the warehouse has it all the same.

    With `compute`, what somebody else loaded since the marts were computed is computed first.
    """
    from rally_pipeline.publish.publication import publish

    try:
        return tuple(publish(workspace, progress=progress, compute=compute).lines()), ""
    except RallyError as error:
        return (), str(error)


def _ended(workspace: Workspace, market: str) -> str:
    horizon = workspace.calendars.horizon(market)
    return (
        f"{market}: the calendar ends on {horizon}; whether later days are sessions is unknown, so nothing is asked "
        "for them. Fix: upgrade exchange_calendars, or announce the sessions in calendar_extensions of the catalog"
    )


def _check_sources(workspace: Workspace, sources: Sequence[str] | None) -> None:
    known = known_sources(workspace.catalog, INGEST_MARKETS)
    unknown = sorted(set(sources or ()) - set(known))
    if unknown:
        raise UsageError(f"there is no source {', '.join(unknown)}; the sources are {', '.join(known)}")


def _run_market(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    opened: RunWorkspace,
    market: str,
    start: dt.date,
    end: dt.date,
    sources: Sequence[str] | None,
) -> MarketReport | str:
    """Runs a market, or says why there is nothing to run."""
    began = time.monotonic()
    workspace = opened.workspace
    asked = [name for name in market_sources(workspace.catalog, market) if sources is None or name in sources]
    if not asked:
        return "has none of the sources asked for"
    last = min(end, last_finished_session(workspace, market))
    days = workspace.calendars.known_sessions(market, start, last)
    if not days:
        return f"no finished session in {start} … {end}"
    if not plan_market(workspace, market, days[0], days[-1], asked):
        return f"nothing of {days[0]} … {days[-1]} can be asked of {', '.join(asked)}"
    config = {} if sources is None else {raw_key(market).to_python_identifier(): {"config": {"sources": asked}}}
    run_id, error = _execute(definitions, instance, opened, ingest_job_name(market), (days[0], days[-1]), config)
    ledger = _take(opened.ledger)
    return _report(market, days, run_id, error, ledger, _unserved(workspace, market, days, ledger), began)


def _catch_up(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    opened: RunWorkspace,
    market: str,
    sources: Sequence[str] | None,
) -> MarketReport | str:
    """Runs a market over what is missing of it, or says that nothing is."""
    from rally_pipeline.catch_up import missing, plan_missing

    began = time.monotonic()
    workspace = opened.workspace
    todo = plan_missing(workspace, market, sources=sources or ())
    if not todo.asked and not todo.gone:
        waiting = missing(workspace, market)
        return "nothing is missing" if not waiting else f"{len(waiting)} are missing and were asked for not long ago"
    days = todo.days or sorted({one.day for one in todo.gone})
    asked = [name for name in market_sources(workspace.catalog, market) if sources is None or name in sources]
    config = {"ask": "missing", **({} if sources is None else {"sources": asked})}
    steps = {raw_key(market).to_python_identifier(): {"config": config}}
    run_id, error = _execute(definitions, instance, opened, ingest_job_name(market), (days[0], days[-1]), steps)
    return _report(market, days, run_id, error, _take(opened.ledger), _given_by_nobody(workspace, todo), began)


def _given_by_nobody(workspace: Workspace, todo: CatchUp) -> tuple[str, ...]:
    """Of what was asked for, what no source has given."""
    from rally_pipeline.catch_up import series_of

    found = []
    days = todo.days
    wanted = {(one.subject, one.day) for one in todo.asked}
    with workspace.warehouse.read() as connection:
        for one in {one.subject: one for one in series_of(workspace, todo.market)}.values():
            given = set(connection.scalars(one.given(days[0], days[-1], of_any_source=True))) if days else set()
            found += [f"{one.subject} {day}" for day in days if (one.subject, day) in wanted and day not in given]
    return tuple(found)


def _report(
    market: str,
    days: Sequence[dt.date],
    run_id: str,
    error: str,
    ledger: Ledger,
    unserved: tuple[str, ...],
    began: float,
) -> MarketReport:
    is_damaged = any(not outcome.is_loaded and outcome.rule != NOTHING for outcome in ledger.outcomes)
    refused = tuple(
        f"{outcome.record.request.source} {outcome.record.request.subject}: {outcome.message}"
        for outcome in ledger.outcomes
        if not outcome.is_loaded
    )
    return MarketReport(
        market=market,
        start=days[0],
        end=days[-1],
        sessions=len(days),
        run_id=run_id,
        requests=len(dict.fromkeys(id(request) for request in ledger.requests)),
        records=len(ledger.records),
        failures=tuple(f"{f.request.source} {f.request.subject}: {f.error}" for f in ledger.failures),
        unserved=unserved,
        refused=refused,
        **_loaded(ledger),
        error=error,
        ok=not (error or is_damaged or unserved),
        seconds=time.monotonic() - began,
    )


def _run_documents(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    opened: RunWorkspace,
    name: str,
    job: str,
    days: tuple[dt.date, dt.date],
) -> DocumentReport:
    began = time.monotonic()
    opened.progress(f"{name}: starting")
    run_id, error = _execute(definitions, instance, opened, job, days, {})
    ledger = _take(opened.ledger)
    return DocumentReport(
        name=name,
        run_id=run_id,
        refused=tuple(
            f"{outcome.record.request.subject}: {outcome.message}"
            for outcome in ledger.outcomes
            if not outcome.is_loaded and outcome.rule != NOTHING
        ),
        **_loaded(ledger),
        error=error,
        ok=not error,
        seconds=time.monotonic() - began,
    )


def _loaded(ledger: Ledger) -> dict[str, int]:
    """Payloads and rows that a part loaded, as the fields of `PartReport`."""
    outcomes = ledger.outcomes
    return {
        "loaded": sum(outcome.is_loaded for outcome in outcomes),
        "rows_new": sum(outcome.merged.new for outcome in outcomes),
        "rows_changed": sum(outcome.merged.changed for outcome in outcomes),
        "rows_same": sum(outcome.merged.same for outcome in outcomes),
        "rows_set_aside": sum(outcome.rows_set_aside for outcome in outcomes),
    }


def _unserved(workspace: Workspace, market: str, days: Sequence[dt.date], ledger: Ledger) -> tuple[str, ...]:
    """What nobody gave anything for: instruments, or sessions where a market's sources are asked day by day."""
    if market != "SOUTHBOUND":
        refused = {outcome.record.fetch_id for outcome in ledger.outcomes if not outcome.is_loaded}
        served = {record.request.subject for record in ledger.records if record.fetch_id not in refused}
        return tuple(dict.fromkeys(r.subject for r in ledger.requests if r.subject not in served))
    table = core_flows.core_southbound_flow_daily
    query = sa.select(table.c.session_date).where(
        table.c.known_to_at.is_(None), table.c.session_date.between(days[0], days[-1])
    )
    with workspace.warehouse.read() as connection:
        known = set(connection.scalars(query.distinct()))
    return tuple(day.isoformat() for day in days if day not in known)


def _execute(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    opened: RunWorkspace,
    job: str,
    days: tuple[dt.date, dt.date],
    ops: dict[str, Any],
) -> tuple[str, str]:
    """Runs a job over a range of partitions; returns the run's id and, if it failed, why."""
    tags = {_RANGE_START: days[0].isoformat(), _RANGE_END: days[1].isoformat(), **run_tags()}
    # Two commands take turns job by job: step by step, in Dagster's pools, each would pause up to 15 s for its place.
    home = opened.workspace.settings.home
    what, tell = f"another run of {home}", opened.workspace.warehouse.tell
    with locks.only_one(home / _RUN_LOCK, math.inf, what=what, tell=tell):
        end_dead_runs(instance)  # the one that was waited for may have been killed
        result = definitions.resolve_job_def(job).execute_in_process(
            run_config={**_QUIET, "ops": ops}, instance=instance, tags=tags, raise_on_error=False
        )
    if result.success:
        return result.run_id, ""
    failed = [event for event in result.all_events if event.is_step_failure]
    return result.run_id, "; ".join(failure_text(event) for event in failed) or "the run failed before its first step"


def _take(ledger: Ledger) -> Ledger:
    """What stands in the ledger, which is empty afterwards."""
    taken = Ledger(
        list(ledger.requests),
        list(ledger.records),
        list(ledger.failures),
        list(ledger.outcomes),
        list(ledger.refreshed),
    )
    for entries in (ledger.requests, ledger.records, ledger.failures, ledger.outcomes, ledger.refreshed):
        entries.clear()
    return taken


def _weekdays(start: dt.date, end: dt.date) -> tuple[dt.date, dt.date]:
    """First and last weekday of the days from `start` to `end`; if there is none, the weekday before."""
    last = max(start, end)
    last -= dt.timedelta(days=max(0, last.weekday() - 4))
    first = start + dt.timedelta(days=(7 - start.weekday()) % 7 if start.weekday() > 4 else 0)
    return min(first, last), last
