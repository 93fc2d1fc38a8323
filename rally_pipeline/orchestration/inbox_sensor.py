"""The sensors that take up files as they are dropped, and that let the marts follow what changed.

Belongs here: when a run is asked for. Does not belong here: taking up (`inbox.py`), or what is stale
(`marts/refresh.py`).
"""

import datetime as dt
import hashlib
from collections.abc import Sequence

import dagster as dg

from rally_pipeline.settings import Settings

NOTES_SENSOR = "notes_inbox"
FILES_SENSOR = "files_inbox"
MARTS_SENSOR = "marts_follow"
#: Folders of the inbox whose files a person drops beside what is fetched.
FILE_KINDS = ("prices", "flows", "fx")
#: How often the inbox and the warehouse are looked at.
_EVERY_SECONDS = 30
#: Marts whose run failed are tried again no sooner, and at once if something else has changed.
_AGAIN_AFTER = dt.timedelta(minutes=15)
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def inbox_sensor(settings: Settings, job: str) -> dg.SensorDefinition:
    """Asks for a run of `job` on today's weekday when documents lie in the inbox."""
    return _inbox_sensor(
        settings, NOTES_SENSOR, job, ("notes",), "Reads documents dropped into inbox/notes.", is_partitioned=True
    )


def files_sensor(settings: Settings, job: str) -> dg.SensorDefinition:
    """Asks for a run of `job` when files of prices, flows or exchange rates lie in the inbox."""
    return _inbox_sensor(
        settings,
        FILES_SENSOR,
        job,
        FILE_KINDS,
        "Loads files dropped into inbox/prices, inbox/flows and inbox/fx.",
        is_partitioned=False,
    )


def _inbox_sensor(
    settings: Settings, name: str, job: str, kinds: Sequence[str], description: str, *, is_partitioned: bool
) -> dg.SensorDefinition:
    # The run key is made of names, sizes and times of the files: the same files are asked for once, whether or not they
    # could be moved away.
    @dg.sensor(
        name=name,
        job_name=job,
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def inbox(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from rally_pipeline.inbox import waiting

        files = [one for kind in kinds for one in waiting(settings, kind)]
        if not files:
            return dg.SkipReason(f"nothing in {', '.join(f'inbox/{kind}' for kind in kinds)}")
        said = "\n".join(f"{one.path.parent.name} {one.path.name} {one.size} {one.changed_ns}" for one in files)
        key = hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return dg.RunRequest(
            run_key=key,
            partition_key=_weekday().isoformat() if is_partitioned else None,
            tags={"inbox/files": str(len(files))},
        )

    return inbox


def marts_sensor(settings: Settings, job: str) -> dg.SensorDefinition:
    """Asks for a run of `job` when derived tables are behind.

    What is behind stands in ``ops_stale``, written in the transaction of the change itself. A payload that failed a
    blocking check changed nothing, so nothing follows from it; everything else does, however it came in, and also
    after a crash.
    """

    @dg.sensor(
        name=MARTS_SENSOR,
        job_name=job,
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Computes what is stale of the marts as soon as facts have changed.",
    )
    def marts_follow(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        stale = _stale(settings)
        if not stale:
            return dg.SkipReason("nothing is stale")
        instance = context.instance
        if instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=_UNFINISHED)):
            return dg.SkipReason("the marts are being computed already")
        said = hashlib.sha256("\n".join(stale).encode()).hexdigest()[:16]
        last = instance.get_run_records(dg.RunsFilter(job_name=job), limit=1)
        if last and last[0].dagster_run.status is dg.DagsterRunStatus.FAILURE:
            ended = dt.datetime.fromtimestamp(last[0].end_time or last[0].create_timestamp.timestamp(), dt.UTC)
            is_same = last[0].dagster_run.tags.get("rally/stale") == said
            if is_same and dt.datetime.now(dt.UTC) - ended < _AGAIN_AFTER:
                return dg.SkipReason(f"the last run failed at {ended:%H:%M} UTC; tried again {_AGAIN_AFTER} later")
        return dg.RunRequest(partition_key=_weekday().isoformat(), tags={"rally/stale": said})

    return marts_follow


def _stale(settings: Settings) -> list[str]:
    """What is behind, one line each; nothing where there is no warehouse."""
    import sqlalchemy as sa

    from rally_pipeline.schema.ops import ops_stale
    from rally_pipeline.workspace import look_at

    workspace = look_at(settings)
    if workspace is None:
        return []
    try:
        with workspace.warehouse.read() as connection:
            rows = connection.execute(sa.select(ops_stale).order_by(ops_stale.c.table_name, ops_stale.c.subject))
            return [f"{row.table_name} {row.subject} {row.from_date}" for row in rows]
    finally:
        workspace.warehouse.engine.dispose()


def _weekday() -> dt.date:
    """Today, or the Friday before."""
    today = dt.datetime.now(dt.UTC).date()
    return today - dt.timedelta(days=max(0, today.weekday() - 4))
