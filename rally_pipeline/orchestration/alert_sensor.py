"""The sensors that look for problems and tell them: every few minutes, and when a run has failed.

Belongs here: when it is done, and the problems that only Dagster knows. Does not belong here: the others, and the
telling (`alerts/`). As in the modules of assets, annotations are not postponed here: Dagster reads that of ``context``.
"""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.alerts.evaluate import Evaluation, Others, evaluate_home
from rally_pipeline.alerts.model import Alert, cut, one_line
from rally_pipeline.alerts.problems import job_of
from rally_pipeline.errors import RallyError
from rally_pipeline.schema import ops
from rally_pipeline.settings import Settings

ALERT_SENSOR = "alerts"
RUN_FAILURE_SENSOR = "alerts_on_run_failure"
#: How often problems are looked for.
_EVERY_SECONDS = 180
#: Runs that are looked at, the latest ones.
_RUNS = 200


def alert_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Both sensors. Neither asks for runs, and neither fails because a target does."""

    @dg.sensor(
        name=ALERT_SENSOR,
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks for problems; tells those that are new or gone, and gives a sign of life once a day.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(
            _told(lambda: evaluate_home(settings, others=lost_runs(context.instance, settings)), settings)
        )

    @dg.run_failure_sensor(
        name=RUN_FAILURE_SENSOR,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks for problems as soon as a run has failed.",
    )
    def alerts_on_run_failure(context: dg.RunFailureSensorContext) -> dg.SkipReason:
        return dg.SkipReason(
            _told(lambda: evaluate_home(settings, others=lost_runs(context.instance, settings)), settings)
        )

    return [alerts, alerts_on_run_failure]


def _told(look: Callable[[], Evaluation], settings: Settings) -> str:
    try:
        return look().summary()
    except (RallyError, sa.exc.SQLAlchemyError, OSError) as error:
        # Shown at the tick. A failed tick of the second sensor would never look at that run again.
        return settings.masked(f"could not look: {type(error).__name__}: {cut(one_line(str(error)), 300)}")


def lost_runs(instance: dg.DagsterInstance, settings: Settings) -> Others:
    """Jobs whose last run failed before it could say so in ``ops_run``: killed, or its code could not be loaded."""

    def look(connection: sa.Connection) -> Mapping[str, Sequence[Alert]]:
        latest: dict[str, dg.RunRecord] = {}
        finished = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
        for record in instance.get_run_records(dg.RunsFilter(statuses=finished), limit=_RUNS):
            latest.setdefault(record.dagster_run.job_name, record)
        failed = {
            record.dagster_run.run_id: record
            for record in latest.values()
            if record.dagster_run.status is dg.DagsterRunStatus.FAILURE
        }
        run = ops.ops_run
        said = sa.select(run.c.run_id).where(run.c.run_id.in_(list(failed)), run.c.outcome == "failed")
        for run_id in connection.scalars(said):
            del failed[run_id]
        base = settings.alert_ui_url
        return {
            "lost_run": [
                Alert(
                    kind="lost_run",
                    key=job_of(record.dagster_run.job_name),
                    severity="error",
                    title=f"run of {record.dagster_run.job_name} was lost",
                    text="It failed without coming to its end: it was killed, or could not start. Dagster knows more.",
                    since=record.create_timestamp,
                    link=f"{base}/runs/{run_id}" if base else "",
                )
                for run_id, record in failed.items()
            ]
        }

    return look
