"""When old things go by themselves: every week, when no run is in progress.

Belongs here: the job, its schedule, and the commands' way to the instance. Does not belong here: what goes
(`retention.py` for Dagster's part, `retired.py` for files).
As in the modules of assets, annotations are not postponed here: Dagster reads that of ``context``.
"""

import datetime as dt

import dagster as dg

from rally_pipeline.orchestration.instance import end_dead_runs, open_instance
from rally_pipeline.orchestration.retention import Pruned, prune
from rally_pipeline.retired import Retired, retire
from rally_pipeline.settings import Settings

HOUSEKEEPING_JOB = "housekeeping"
HOUSEKEEPING_SCHEDULE = "housekeeping_weekly"
#: Looked at several times on Sundays, since it waits for a time when nothing runs.
_CRON = "40 1-6 * * 0"
#: Once it was done, the other looks of that Sunday pass it over.
_AGAIN_AFTER = dt.timedelta(days=2)
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def prune_home(settings: Settings, days: int, *, dry_run: bool = False) -> tuple[Pruned, Retired]:
    """What the command does: Dagster's runs that ended more than `days` ago, and old files beside them."""
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    with open_instance(settings) as instance:
        end_dead_runs(instance)
        pruned = prune(instance, before=before, dry_run=dry_run)
    return pruned, retire(settings, before, dry_run=dry_run)


def housekeeping_job(settings: Settings) -> dg.JobDefinition:
    """The job with one step that does the same to the instance it runs on."""

    @dg.op(name="prune", description="Removes logs of old runs; what is materialized stays known.")
    def remove_old(context: dg.OpExecutionContext) -> None:
        before = dt.datetime.now(dt.UTC) - dt.timedelta(days=settings.keep_runs_days)
        pruned = prune(context.instance, before=before, own_run=context.run_id)
        retired = retire(settings, before)
        for line in (*pruned.lines(), *retired.lines()):
            context.log.info(line)
        context.add_output_metadata(
            {name: str(value) for name, value in (pruned.to_json() | retired.to_json()).items()}
        )

    @dg.job(name=HOUSEKEEPING_JOB, description="Remove logs of old runs, and old files that nobody needs.")
    def housekeeping() -> None:
        remove_old()

    return housekeeping


def housekeeping_schedule() -> dg.ScheduleDefinition:
    """Asks for the job when nothing is in progress."""

    @dg.schedule(
        name=HOUSEKEEPING_SCHEDULE,
        job_name=HOUSEKEEPING_JOB,
        cron_schedule=_CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Removes logs of old runs, once on a Sunday, when no run is in progress.",
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        instance = context.instance
        if count := instance.get_runs_count(dg.RunsFilter(statuses=_UNFINISHED)):
            return dg.SkipReason(f"{count} runs are in progress")
        at = context.scheduled_execution_time.astimezone(dt.UTC)
        recent = dg.RunsFilter(
            job_name=HOUSEKEEPING_JOB, statuses=[dg.DagsterRunStatus.SUCCESS], created_after=at - _AGAIN_AFTER
        )
        if instance.get_runs_count(recent):
            return dg.SkipReason("done already this week")
        return dg.RunRequest(run_key=f"{HOUSEKEEPING_SCHEDULE} {at:%Y-%m-%dT%H:%M}")

    return evaluate
