"""The one resource: everything a run works with, opened once per run, and the run's row in ``ops_run``.

Belongs here: opening, and what the assets of one run share. Does not belong here: the work.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline import __version__
from rally_pipeline.made_with import made_with
from rally_pipeline.orchestration.run_steps import is_over
from rally_pipeline.schema import ops
from rally_pipeline.settings import Executor, Settings

if TYPE_CHECKING:
    from rally_pipeline.archive import FetchRecord
    from rally_pipeline.audit.store import AuditReport
    from rally_pipeline.ingest import FetchFailure
    from rally_pipeline.load_log import LoadOutcome
    from rally_pipeline.marts.refresh import Refreshed
    from rally_pipeline.orchestration.lineage_events import LineageEvents
    from rally_pipeline.sources.base import FetchRequest
    from rally_pipeline.workspace import Workspace

WORKSPACE = "workspace"
#: Metadata of a mart: how many rows the step computed; of the audits: how many stand that did not, or no longer do.
ROWS_COMPUTED, AUDITS_APPENDED, AUDITS_WITHDRAWN = "rows_computed", "audits_appended", "audits_withdrawn"
#: How many days back a run looks for what an earlier one archived and did not register.
_LOOK_BACK_DAYS = 7


@dataclass
class Ledger:
    """What the assets of a run did, for whoever started it in the same process. Nothing reads it back in a run."""

    requests: list[FetchRequest] = field(default_factory=list)
    records: list[FetchRecord] = field(default_factory=list)
    failures: list[FetchFailure] = field(default_factory=list)
    outcomes: list[LoadOutcome] = field(default_factory=list)
    refreshed: list[Refreshed] = field(default_factory=list)
    audits: list[AuditReport] = field(default_factory=list)

    @property
    def has_computed(self) -> bool:
        """Whether something that is published has changed."""
        return bool(self.refreshed) or any(audit.has_changed for audit in self.audits)


@dataclass(frozen=True)
class RunWorkspace:
    """What an asset gets as ``context.resources.workspace``."""

    workspace: Workspace
    ledger: Ledger = field(default_factory=Ledger)
    progress: Callable[[str], None] = lambda _: None


def workspace_resource(
    settings: Settings, opened: RunWorkspace | None = None, lineage: LineageEvents | None = None
) -> dg.ResourceDefinition:
    """The resource for `settings`; with `opened`, one that uses what is already open.

    With `lineage`, others are told about the run, from here on until all of its steps are done.
    """

    def open_for_run(context: dg.InitResourceContext) -> Iterator[RunWorkspace]:
        if opened is None:
            from rally_pipeline.workspace import open_workspace

            log = context.log
            run_workspace = RunWorkspace(open_workspace(settings, tell=(log.info if log else lambda _: None)))
            _take_up_archived(run_workspace.workspace)
        else:
            run_workspace = opened
        workspace, run = run_workspace.workspace, context.run
        if run is not None:
            record_start(workspace, run)
        listener = lineage.listen(context, workspace, run_workspace.ledger) if lineage is not None else None
        try:
            yield run_workspace
        finally:
            # Where each step has a process, most of them end before the run does.
            is_shared = opened is None and settings.executor is not Executor.IN_PROCESS
            is_last = not is_shared or run is None or context.instance is None or is_over(context.instance, run)
            if run is not None and context.instance is not None:
                failures = _failures(context.instance, run.run_id)
                if is_last:
                    record_end(workspace, run.run_id, failures)
                for problem in listener.close(failures, is_last=is_last) if listener else ():
                    if context.log:
                        context.log.warning(problem)
            if opened is None:
                if run is not None and is_last:
                    _write_quality(workspace, run.run_id, context)
                    if run_workspace.ledger.has_computed or _others_computed(settings, context, run.run_id):
                        _publish(workspace, context)
                workspace.warehouse.engine.dispose()

    return dg.ResourceDefinition(
        open_for_run, description="Settings, catalog, calendars, archive and warehouse, opened once per run."
    )


def _take_up_archived(workspace: Workspace) -> None:
    """What a run that was killed had archived but not registered is loaded with the rest."""
    from rally_pipeline.fetches import register_archived

    register_archived(workspace, since=workspace.now().date() - dt.timedelta(days=_LOOK_BACK_DAYS))


def _others_computed(settings: Settings, context: dg.InitResourceContext, run_id: str) -> bool:
    """`Ledger.has_computed` of the run's steps in other processes, of which this one's ledger knows nothing."""
    if settings.executor is Executor.IN_PROCESS or context.instance is None:
        return False
    entries: Any = context.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    found = (entry.dagster_event.step_materialization_data.materialization.metadata for entry in entries)
    said = (ROWS_COMPUTED, AUDITS_APPENDED, AUDITS_WITHDRAWN)
    return any(int(metadata[name].value) > 0 for metadata in found for name in said if name in metadata)


def _write_quality(workspace: Workspace, run_id: str, context: dg.InitResourceContext) -> None:
    """The quality page of a run started in the UI; the runner writes those of its own runs (`runner.py`)."""
    from rally_pipeline.publish.quality_report import write_reports

    try:
        write_reports(workspace, [run_id])
    except OSError as error:
        if context.log:
            context.log.warning(f"the quality report was not written: {error}")


def _publish(workspace: Workspace, context: dg.InitResourceContext) -> None:
    """Publishes what a run of the UI computed; the runner publishes once, after the last of its own."""
    from rally_pipeline.publish.renewal import renew

    for line in renew(workspace):
        if context.log:
            context.log.info(line)


def record_start(workspace: Workspace, run: dg.DagsterRun) -> None:
    """Writes the run's row as running; a run that is resumed, or goes on in another process, began when it began."""
    keys = [run.tags[name] for name in ("dagster/asset_partition_range_start", "dagster/partition") if name in run.tags]
    last = run.tags.get("dagster/asset_partition_range_end")
    span = f" {keys[0]}" + (f"…{last}" if last and last != keys[0] else "") if keys else ""
    table = ops.ops_run
    with workspace.warehouse.write() as connection:
        began = connection.scalar(sa.select(table.c.started_at).where(table.c.run_id == run.run_id))
        connection.execute(sa.delete(table).where(table.c.run_id == run.run_id))
        connection.execute(
            sa.insert(table).values(
                run_id=run.run_id,
                command=f"{run.job_name}{span}",
                started_at=began or workspace.now(),
                finished_at=None,
                outcome="running",
                message="",
                code_version=__version__,
                **made_with(workspace.catalog),
            )
        )


def record_end(workspace: Workspace, run_id: str, failures: list[str]) -> None:
    """Writes how the run ended: failed if a step failed."""
    table = ops.ops_run
    with workspace.warehouse.write() as connection:
        connection.execute(
            sa.update(table)
            .where(table.c.run_id == run_id)
            .values(
                finished_at=workspace.now(),
                outcome="failed" if failures else "ok",
                message=workspace.settings.masked("; ".join(failures))[:1000].replace("\n", " "),
            )
        )


def _failures(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    entries: Any = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return [failure_text(entry.dagster_event) for entry in entries if entry.dagster_event is not None]


def failure_text(event: dg.DagsterEvent) -> str:
    """One line about a failed step: what the failure says, or the error's own message."""
    data = event.step_failure_data
    user = data.user_failure_data
    if user is not None and user.description:
        return f"{event.step_key}: {user.description}"
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return f"{event.step_key}: {error.message.strip() if error else 'failed'}"
