"""When the pipeline runs by itself: after every close, until everything is published, and again for restatements.

Each schedule looks at its market at fixed times in the market's own time zone, weekends and holidays included, and asks
for a run only if something is missing that can be there: on a closed day nothing is, unless an outage left something.
So the same look is the evening's fetch, the poll until HKEX has published, and the catch-up after an outage of any
length. Dagster evaluates only the last of the looks it missed, which is enough, because a look is about everything up
to the present. Belongs here: when, and for which sessions. Does not belong here: what is missing (`catch_up.py`).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from rally_pipeline.orchestration.ingest_assets import raw_key
from rally_pipeline.settings import Profile, Settings

if TYPE_CHECKING:
    from rally_pipeline.workspace import Workspace

#: Gives the workspace a schedule looks at.
Look = Callable[[], "Workspace"]

_RANGE_START, _RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
#: Sessions that are asked again every morning, and every week.
SWEPT, SWEPT_WEEKLY = 3, 10
#: In the middle of a long holiday there is nothing to sweep; the day after the last session there is.
_SWEPT_SINCE = dt.timedelta(days=2)

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dataclass(frozen=True)
class Times:
    """When a market is looked at, in its own time zone.

    Attributes:
        timezone: name of the zone.
        looks: cron expressions of the looks for what is missing.
        sweep: of the morning after, for restatements.
        weekly: of the wider sweep.
    """

    timezone: str
    looks: tuple[str, ...]
    sweep: str
    weekly: str


#: A look once each morning, closed or not, takes up what an outage left over a weekend or a holiday.
TIMES: Mapping[str, Times] = {
    # Prices come minutes after the close, the compiler's file of the indices in the evening.
    "HK": Times("Asia/Hong_Kong", ("45 16 * * 1-5", "15 18-21 * * 1-5", "0 7 * * *"), "30 7 * * 2-6", "0 9 * * 6"),
    # HKEX publishes at about 17:30; every quarter of an hour until it has, every half an hour later on.
    "SOUTHBOUND": Times(
        "Asia/Hong_Kong",
        ("35,50 17 * * 1-5", "5,20,35,50 18 * * 1-5", "20,50 19-21 * * 1-5", "5 7 * * *"),
        "40 7 * * 2-6",
        "10 9 * * 6",
    ),
    "CN": Times("Asia/Shanghai", ("45 15 * * 1-5", "0 18,21 * * 1-5", "10 7 * * *"), "35 7 * * 2-6", "20 9 * * 6"),
    "JP": Times("Asia/Tokyo", ("15 16 * * 1-5", "0 18,21 * * 1-5", "0 7 * * *"), "30 7 * * 2-6", "0 9 * * 6"),
    "GB": Times("Europe/London", ("15 17 * * 1-5", "0 19,22 * * 1-5", "0 7 * * *"), "30 7 * * 2-6", "0 9 * * 6"),
    "DE": Times("Europe/Berlin", ("15 18 * * 1-5", "0 20,22 * * 1-5", "0 7 * * *"), "30 7 * * 2-6", "0 9 * * 6"),
    "US": Times("America/New_York", ("45 16 * * 1-5", "0 18,21 * * 1-5", "0 7 * * *"), "30 7 * * 2-6", "0 9 * * 6"),
    # The fixing of 14:15 is published at about 16:00.
    "FX": Times("Europe/Berlin", ("20,50 16 * * 1-5", "0 18,21 * * 1-5", "5 7 * * *"), "35 7 * * 2-6", "5 9 * * 6"),
}
#: Ratings are known by the morning in New York; the whole history comes with every answer.
RATINGS_AT, RATINGS_TIMEZONE = "30 7 * * 1-5", "America/New_York"
#: How broken things are, every hour.
HEALTH_AT = "20 * * * *"


def market_schedules(
    settings: Settings, jobs: Mapping[str, str], look: Look | None = None
) -> list[dg.ScheduleDefinition]:
    """Three schedules for each market: what is missing, the morning after, and the week.

    Args:
        settings: of the home.
        jobs: market → name of the job that fetches and loads it.
        look: gives the workspace to look at; default: the home's, opened for reading.
    """
    look = look or home_look(settings)
    made = []
    for market, job in jobs.items():
        times = TIMES[market]
        name = market.lower()
        made.append(_schedule(f"{name}_missing", job, times.looks, times.timezone, look, _missing(market), market))
        made.append(_schedule(f"{name}_revisions", job, (times.sweep,), times.timezone, look, _swept(market), market))
        weekly = _swept(market, is_weekly=True)
        made.append(_schedule(f"{name}_revisions_weekly", job, (times.weekly,), times.timezone, look, weekly, market))
    return made


def job_schedule(name: str, job: str, cron: str, timezone: str, look: Look, description: str) -> dg.ScheduleDefinition:
    """A schedule of a job without partitions; the demo world does not move on, so nothing is asked of it."""

    def request(context: dg.ScheduleEvaluationContext, _: "Workspace") -> dg.RunRequest:
        return dg.RunRequest(run_key=_run_key(name, context))

    return _schedule(name, job, (cron,), timezone, look, request, description=description)


def home_look(settings: Settings) -> Look:
    """Opens the home for reading; makes its warehouse if there is none."""

    def look() -> "Workspace":
        from rally_pipeline.workspace import look_at, open_workspace

        return look_at(settings) or open_workspace(settings)

    return look


_Asked = dg.RunRequest | dg.SkipReason


def _schedule(
    name: str,
    job: str,
    crons: Sequence[str],
    timezone: str,
    look: Look,
    decide: Callable[[dg.ScheduleEvaluationContext, Any], _Asked],
    market: str = "",
    description: str = "",
) -> dg.ScheduleDefinition:
    said = {
        f"{market.lower()}_missing": f"Asks for what is missing of {market}, from the evening's session on back.",
        f"{market.lower()}_revisions": f"Asks again for the last {SWEPT} sessions of {market}, which may be restated.",
        f"{market.lower()}_revisions_weekly": f"Asks again for the last {SWEPT_WEEKLY} sessions of {market}.",
    }

    @dg.schedule(
        name=name,
        job_name=job,
        cron_schedule=crons[0] if len(crons) == 1 else list(crons),
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description or said.get(name),
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> _Asked:
        if _is_under_way(context, job):
            return dg.SkipReason(f"{job} is already running or waiting")
        workspace = look()
        try:
            if workspace.profile is Profile.DEMO:
                return dg.SkipReason("the demo world does not move on")
            return decide(context, workspace)
        finally:
            workspace.warehouse.engine.dispose()

    return evaluate


def _is_under_way(context: dg.ScheduleEvaluationContext, job: str) -> bool:
    filters = dg.RunsFilter(job_name=job, statuses=_UNFINISHED)
    return context.instance.get_runs_count(filters) > 0


def _run_key(name: str, context: dg.ScheduleEvaluationContext) -> str:
    return f"{name} {context.scheduled_execution_time.astimezone(dt.UTC):%Y-%m-%dT%H:%M}"


def _request(
    context: dg.ScheduleEvaluationContext, name: str, market: str, days: Sequence[dt.date], ask: str
) -> dg.RunRequest:
    step = raw_key(market).to_python_identifier()
    tags = {_RANGE_START: days[0].isoformat(), _RANGE_END: days[-1].isoformat(), "rally/ask": ask}
    return dg.RunRequest(
        run_key=_run_key(name, context), run_config={"ops": {step: {"config": {"ask": ask}}}}, tags=tags
    )


def _missing(market: str) -> Callable[[dg.ScheduleEvaluationContext, Any], _Asked]:
    def decide(context: dg.ScheduleEvaluationContext, workspace: "Workspace") -> _Asked:
        from rally_pipeline.catch_up import missing, plan_missing

        todo = plan_missing(workspace, market)
        if todo.asked or todo.gone:
            context.log.info(todo.line())
            days = todo.days or sorted({one.day for one in todo.gone})
            return _request(context, f"{market.lower()}_missing", market, days, "missing")
        waiting = missing(workspace, market)
        if waiting:
            return dg.SkipReason(f"{market}: {len(waiting)} are missing and were asked for not long ago")
        return dg.SkipReason(f"{_day_in_words(workspace, market)}; nothing that is published is missing")

    return decide


def _swept(market: str, *, is_weekly: bool = False) -> Callable[[dg.ScheduleEvaluationContext, Any], _Asked]:
    def decide(context: dg.ScheduleEvaluationContext, workspace: "Workspace") -> _Asked:
        from rally_pipeline.catch_up import history_start
        from rally_pipeline.planning import last_finished_session

        with workspace.warehouse.read() as connection:
            start = history_start(connection, workspace, market)
        if start is None:
            return dg.SkipReason(f"nothing is known of {market} yet that could be restated")
        last = last_finished_session(workspace, market)
        if not is_weekly and workspace.now().date() - last > _SWEPT_SINCE:
            return dg.SkipReason(f"{market}: no session since {last}, which was asked again then")
        count = SWEPT_WEEKLY if is_weekly else SWEPT
        first = max(start, last - dt.timedelta(days=3 * count + 14))
        days = workspace.calendars.known_sessions(market, first, last)[-count:]
        if not days:
            return dg.SkipReason(f"{market} has no session since {start}")
        name = f"{market.lower()}_revisions{'_weekly' if is_weekly else ''}"
        return _request(context, name, market, days, "again" if is_weekly else "latest")

    return decide


def _day_in_words(workspace: "Workspace", market: str) -> str:
    from rally_pipeline.sessions import SessionState, timezone_of

    today = workspace.now().astimezone(timezone_of(market)).date()
    state = workspace.calendars.state(market, today)
    if state is SessionState.OPEN:
        return f"{market}: {today} is a session"
    if state is SessionState.CLOSED:
        return f"{market} is closed on {today}"
    return f"nobody knows whether {market} trades on {today}"
