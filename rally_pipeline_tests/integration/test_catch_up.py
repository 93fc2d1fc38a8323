"""What is missing, what is asked for it, what is given up, and what is said to be broken."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa

from rally_pipeline.catch_up import Asked, missing, missing_sessions, note_gaps, note_history_start, plan_missing
from rally_pipeline.errors import BlockedFetchError, PermanentFetchError, RetryableFetchError
from rally_pipeline.health import current_problems, freshness, look, note_failures, settle, source_problems
from rally_pipeline.ingest import FetchFailure
from rally_pipeline.orchestration import inbox_sensor, schedules
from rally_pipeline.orchestration.health_checks import FRESH_TABLES
from rally_pipeline.orchestration.jobs import build_definitions
from rally_pipeline.orchestration.partitions import TIMEZONES
from rally_pipeline.schema import core, ops
from rally_pipeline.sessions import MARKETS, timezone_of
from rally_pipeline.settings import load_settings
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.simulated import Clock, at, simulated_workspace, small_catalog
from rally_pipeline_tests.workspaces import rows_of

FRIDAY = dt.date(2025, 2, 14)


@pytest.fixture
def clock() -> Clock:
    return Clock(at("2025-02-15 08:00"))


@pytest.fixture
def workspace(tmp_path: Path, clock: Clock) -> Iterator[Workspace]:
    opened = simulated_workspace(tmp_path, "http://127.0.0.1:9", clock, small_catalog())
    yield opened
    opened.warehouse.engine.dispose()


def _give(workspace: Workspace, days: list[dt.date], source: str = "yahoo", symbol: str = "^HSI") -> None:
    row = dict.fromkeys(core.core_price_daily.c.keys())
    row |= {
        "symbol": symbol,
        "source": source,
        "currency": "HKD",
        "is_flat_bar": False,
        "payload_id": "0" * 64,
        "locator": "",
        "close": 1.0,
    }
    row |= {"known_from_at": workspace.now()}
    with workspace.warehouse.write() as connection:
        connection.execute(sa.insert(core.core_price_daily), [row | {"session_date": day} for day in days])


def test_a_new_warehouse_asks_for_its_last_session_only(workspace):
    for market in ("HK", "US", "FX", "SOUTHBOUND"):
        # It is Friday evening in New York, where the session is over.
        assert missing_sessions(workspace, market) == [FRIDAY]


def test_the_setting_says_how_far_back(workspace):
    settings = workspace.settings.model_copy(update={"history_start": dt.date(2025, 1, 27)})
    far = dataclasses.replace(workspace, settings=settings)
    sessions = workspace.calendars.known_sessions("HK", dt.date(2025, 1, 27), FRIDAY)
    assert missing_sessions(far, "HK") == sessions
    assert dt.date(2025, 1, 30) not in sessions


def test_exactly_the_missing_sessions_oldest_first_and_said(workspace):
    days = workspace.calendars.known_sessions("HK", dt.date(2025, 2, 3), FRIDAY)
    note_history_start(workspace, "HK", days[0])
    note_history_start(workspace, "HK", days[3])  # a later day changes nothing
    _give(workspace, [day for day in days if day not in (days[2], days[3], days[6])])
    _give(workspace, days, source="hang_seng")
    todo = plan_missing(workspace, "HK")
    assert [(r.source, r.start, r.end) for r in todo.requests] == [
        ("yahoo", days[2], days[3]),
        ("yahoo", days[6], days[6]),
    ]
    assert todo.days == [days[2], days[3], days[6]]
    assert todo.line() == f"HK: 3 sessions missing, {days[2]} … {days[6]}, oldest first, from yahoo"
    assert missing_sessions(workspace, "HK") == todo.days


def test_what_is_not_published_yet_is_not_missing(workspace, clock):
    clock.now = at("2025-02-14 16:20")
    assert {one.day for one in missing(workspace, "HK")} == {dt.date(2025, 2, 13)}
    clock.now = at("2025-02-14 16:40")
    assert {(one.source, one.day) for one in missing(workspace, "HK")} == {("yahoo", FRIDAY)}


def test_what_a_source_no_longer_keeps_is_marked_and_the_next_one_counts(workspace):
    day = dt.date(2024, 6, 3)
    note_history_start(workspace, "SOUTHBOUND", day)
    todo = plan_missing(workspace, "SOUTHBOUND")
    # HKEX keeps half a year; Eastmoney has it all.
    assert {(one.source, one.day) for one in todo.gone if one.day == day} == {("hkex", day)}
    assert any(r.source == "eastmoney_flow" and r.start == day for r in todo.requests)
    settle(workspace, "SOUTHBOUND", "run")
    marked = rows_of(workspace, ops.ops_gap, ops.ops_gap.c.session_date == day)
    assert {(row["source"], row["state"], row["message"]) for row in marked} == {
        ("hkex", "not_served", "the source no longer keeps it")
    }
    again = plan_missing(workspace, "SOUTHBOUND")
    assert again.gone == ()
    assert {r.source for r in again.requests if r.start == day} == {"eastmoney_flow"}


def _answer(workspace, error=None):
    todo = plan_missing(workspace, "HK", sources=["yahoo"])
    answered = todo.requests if error is None else ()
    failed = tuple(FetchFailure(request, error) for request in todo.requests) if error else ()
    with workspace.warehouse.write() as connection:
        note_gaps(connection, workspace, "HK", Asked(answered=answered, failed=failed), workspace.now())
    return len(todo.requests)


def test_a_source_that_answers_without_it_is_given_up_in_the_end(workspace, clock):
    note_history_start(workspace, "HK", FRIDAY)
    requests = plan_missing(workspace, "HK", sources=["yahoo"]).requests
    asked = []
    for hours in range(0, 24 * 5, 3):
        clock.now = at("2025-02-14 17:00") + dt.timedelta(hours=hours)
        lacking = [one for one in missing(workspace, "HK") if one.source == "yahoo" and one.day == FRIDAY]
        if lacking and lacking[0].is_askable(clock.now):
            asked.append(hours)
        _answer(workspace)
    (row,) = rows_of(workspace, ops.ops_gap, ops.ops_gap.c.session_date == FRIDAY)
    assert (row["state"], row["source"]) == ("not_served", "yahoo")
    assert len(asked) < 10
    # It comes after all, in an answer to who asks again for restatements.
    _give(workspace, [FRIDAY])
    with workspace.warehouse.write() as connection:
        note_gaps(connection, workspace, "HK", Asked(answered=requests), clock.now)
    assert rows_of(workspace, ops.ops_gap, ops.ops_gap.c.session_date == FRIDAY) == []


def test_an_outage_gives_nothing_up(workspace, clock):
    note_history_start(workspace, "HK", FRIDAY)
    for error in (RetryableFetchError("down"), PermanentFetchError("status 403")):
        for days in range(1, 20):
            clock.now = at("2025-02-14 17:00") + dt.timedelta(days=days)
            _answer(workspace, error)
        assert FRIDAY in {one.day for one in missing(workspace, "HK") if one.source == "yahoo"}
    assert not rows_of(workspace, ops.ops_gap, ops.ops_gap.c.state == "not_served")


def test_who_does_not_let_us_in_has_said_nothing_of_what_it_has(workspace, clock):
    """A page instead of data is a failure, also of a request for one day, and gives nothing up."""
    note_history_start(workspace, "HK", FRIDAY)
    (request,) = plan_missing(workspace, "HK", sources=["yahoo"]).requests
    assert request.start == request.end
    failure = FetchFailure(request, BlockedFetchError("status 403"))
    for days in range(1, 12):
        clock.now = at("2025-02-14 17:00") + dt.timedelta(days=days)
        note_failures(workspace, "HK", [failure], f"run {days}")
        settle(workspace, "HK", f"run {days}", failures=[failure])
    assert rows_of(workspace, ops.ops_gap, ops.ops_gap.c.source == "yahoo") == []
    assert [one.subject for one in source_problems(workspace) if one.kind == "source_failing"] == ["HK yahoo"]


def test_what_a_clock_that_was_ahead_gave_up_is_asked_for(workspace, clock):
    note_history_start(workspace, "HK", FRIDAY)
    right = clock.now
    clock.now = right + dt.timedelta(days=20)
    _answer(workspace)
    assert rows_of(workspace, ops.ops_gap, ops.ops_gap.c.state == "not_served")
    clock.now = right
    assert FRIDAY in {one.day for one in missing(workspace, "HK") if one.source == "yahoo"}
    assert FRIDAY in plan_missing(workspace, "HK", sources=["yahoo"]).days
    look(workspace)
    _answer(workspace)
    assert rows_of(workspace, ops.ops_gap, ops.ops_gap.c.last_asked_at > right) == []


def test_health_says_what_is_broken_and_since_when(workspace, clock):
    note_history_start(workspace, "HK", FRIDAY)
    (request,) = plan_missing(workspace, "HK", sources=["yahoo"]).requests
    since = clock.now
    note_failures(workspace, "HK", [FetchFailure(request, RetryableFetchError("no answer"))], "run 1")
    clock.now += dt.timedelta(hours=3)
    note_failures(workspace, "HK", [FetchFailure(request, RetryableFetchError("still none"))], "run 2")
    look(workspace)
    (row,) = rows_of(workspace, ops.ops_health, ops.ops_health.c.source == "yahoo", ops.ops_health.c.market == "HK")
    assert (row["failing_since_at"], row["failure_kind"], row["failure_message"]) == (since, "retryable", "still none")
    assert (row["missing_sessions"], row["oldest_missing_date"], row["last_success_at"]) == (1, FRIDAY, None)
    (problem,) = [one for one in source_problems(workspace) if one.kind == "source_failing"]
    assert problem.subject == "HK yahoo"
    assert problem.since == since
    assert "still none" in problem.message
    assert problem in current_problems(workspace)


def test_freshness_counts_sessions(workspace, clock):
    days = workspace.calendars.known_sessions("HK", dt.date(2025, 1, 20), FRIDAY)
    _give(workspace, days[:-3])
    assert freshness(workspace) == []  # of files alone nobody expects that they go on
    note_history_start(workspace, "HK", days[0])
    from rally_pipeline.marts.refresh import mark_all_stale, refresh

    with workspace.warehouse.write() as connection:
        mark_all_stale(connection)
        refresh(connection)
    found = {(one.table, one.market): one for one in freshness(workspace)}
    one = found["mart_price_extremes_daily", "HK"]
    assert (one.behind, one.ok, one.last_day) == (3, False, days[-4])
    assert {one.table for one in freshness(workspace)} <= set(FRESH_TABLES)
    assert any(problem.kind == "mart_behind" for problem in current_problems(workspace))


# --- schedules and sensors ----------------------------------------------------------------------------------------


def test_every_market_is_looked_at_in_its_own_zone():
    assert {market: times.timezone for market, times in schedules.TIMES.items()} == TIMEZONES
    assert {market: timezone_of(market).key for market in MARKETS} == TIMEZONES


def test_schedules_and_sensors_are_on(tmp_path):
    definitions = build_definitions(load_settings(home=tmp_path))
    assert {one.default_status for one in definitions.schedules} == {dg.DefaultScheduleStatus.RUNNING}
    assert {one.default_status for one in definitions.sensors} == {dg.DefaultSensorStatus.RUNNING}
    jobs = {job.name for job in definitions.resolve_all_job_defs()}
    assert {one.job_name for one in definitions.schedules} <= jobs


def test_a_job_that_is_under_way_is_not_asked_for_again(tmp_path, workspace):
    (schedule, *_) = schedules.market_schedules(workspace.settings, {"HK": "ingest_hk"}, lambda: workspace)
    with dg.instance_for_test() as instance:
        tick = dg.build_schedule_context(instance=instance, scheduled_execution_time=workspace.now())
        (request,) = schedule.evaluate_tick(tick).run_requests
        assert request.tags["dagster/asset_partition_range_start"] == "2025-02-14"
        assert request.run_config["ops"]["raw_fetch__price_hk"]["config"] == {"ask": "missing"}
        run = dg.DagsterRun("ingest_hk", run_id="1" * 32, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        again = dg.build_schedule_context(instance=instance, scheduled_execution_time=workspace.now())
        assert "already" in (schedule.evaluate_tick(again).skip_message or "")


def test_marts_follow_what_is_stale(workspace):
    from rally_pipeline.marts.refresh import mark_all_stale

    settings = workspace.settings
    sensor = inbox_sensor.marts_sensor(settings, "marts")
    with dg.instance_for_test() as instance:
        with workspace.warehouse.write() as connection:
            connection.execute(sa.delete(ops.ops_stale))
        assert "nothing is stale" in (sensor(dg.build_sensor_context(instance=instance)).skip_message or "")
        with workspace.warehouse.write() as connection:
            mark_all_stale(connection)
        asked = sensor(dg.build_sensor_context(instance=instance))
        assert dt.date.fromisoformat(asked.partition_key).weekday() < 5
        failed = dg.DagsterRun("marts", run_id="2" * 32, status=dg.DagsterRunStatus.FAILURE, tags=asked.tags)
        instance.add_run(failed)
        assert "failed" in (sensor(dg.build_sensor_context(instance=instance)).skip_message or "")
