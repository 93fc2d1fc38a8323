"""The sensor that takes up documents as they are dropped.

Belongs here: when a run is asked for. Does not belong here: taking up (`inbox.py`).
"""

import datetime as dt
import hashlib

import dagster as dg

from rally_pipeline.settings import Settings

NOTES_SENSOR = "notes_inbox"
#: How often the inbox is looked at.
_EVERY_SECONDS = 30


def inbox_sensor(settings: Settings, job: str) -> dg.SensorDefinition:
    """Asks for a run of `job` on today's weekday when documents lie in the inbox.

    The run key is made of names, sizes and times of the files: the same files are asked for once, whether or not they
    could be moved away.
    """

    @dg.sensor(
        name=NOTES_SENSOR,
        job_name=job,
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reads documents dropped into inbox/notes.",
    )
    def notes_inbox(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from rally_pipeline.inbox import waiting

        files = waiting(settings, "notes")
        if not files:
            return dg.SkipReason("no document in inbox/notes")
        said = "\n".join(f"{one.path.name} {one.size} {one.changed_ns}" for one in files)
        key = hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return dg.RunRequest(run_key=key, partition_key=_weekday().isoformat(), tags={"inbox/files": str(len(files))})

    return notes_inbox


def _weekday() -> dt.date:
    """Today, or the Friday before."""
    today = dt.datetime.now(dt.UTC).date()
    return today - dt.timedelta(days=max(0, today.weekday() - 4))
