"""That what is missing are days, whatever else was given: a row on a day that is no session stands for no lost one."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog.model import CalendarOverride
from rally_pipeline.catch_up import (
    Asked,
    Series,
    last_published,
    missing,
    note_gaps,
    note_history_start,
    plan_missing,
    series_of,
)
from rally_pipeline.health import look, source_problems
from rally_pipeline.schema import ops
from rally_pipeline.sessions import Calendars
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.simulated import SYMBOLS, Clock, at, closure, simulated_workspace, small_catalog
from rally_pipeline_tests.workspaces import rows_of

#: Christmas, New Year and the weekends lie between them, and the days before are before the warehouse's first.
BEFORE, FIRST, LAST = dt.date(2024, 12, 12), dt.date(2024, 12, 16), dt.date(2025, 1, 10)
ALL_DAYS = [BEFORE + dt.timedelta(days=number) for number in range((LAST - BEFORE).days + 1)]
WEEKDAYS = [day for day in ALL_DAYS if day.weekday() < 5 and day >= FIRST]
#: What else a row of the three tables needs.
_FILLED = {"currency": "HKD", "is_flat_bar": False, "close": 1.0, "rate": 7.8, "payload_id": "0" * 64, "locator": ""}


@pytest.fixture
def workspace(tmp_path: Path, warehouse_url: str) -> Iterator[Workspace]:
    # In the evening of the last day some of Hong Kong's sources have published, and others not yet.
    clock, catalog = (
        Clock(at("2025-01-10 17:00")),
        small_catalog({**SYMBOLS, "EURUSD=X": ["yahoo"], "HKD=X": ["yahoo"]}),
    )
    listed = catalog.instruments["^GSPC"].model_copy(update={"listing_date": dt.date(2024, 12, 20)})
    catalog = catalog.model_copy(update={"instruments": {**catalog.instruments, "^GSPC": listed}})
    opened = simulated_workspace(tmp_path, "http://127.0.0.1:9", clock, catalog, warehouse_url=warehouse_url)
    for market in ("HK", "US", "FX", "SOUTHBOUND"):
        note_history_start(opened, market, FIRST)
    yield opened
    opened.warehouse.engine.dispose()


def _row(workspace: Workspace, one: Series, day: dt.date, **more: Any) -> dict[str, Any]:
    said = {**_FILLED, **one.key, one.day: day, "source": one.source, "known_from_at": workspace.now(), **more}
    return {column.name: said.get(column.name) for column in one.table.columns}


def _give(workspace: Workspace, one: Series, days: Collection[dt.date], **more: Any) -> None:
    if days:
        with workspace.warehouse.write() as connection:
            connection.execute(sa.insert(one.table), [_row(workspace, one, day, **more) for day in sorted(days)])


def _give_up(workspace: Workspace, market: str, one: Series, days: Collection[dt.date]) -> None:
    now = workspace.now()
    row = {"market": market, "source": one.source, "subject": one.subject, "state": "not_served", "asked_count": 3}
    row |= {"first_asked_at": now, "last_asked_at": now, "message": "answered without it"}
    if days:
        with workspace.warehouse.write() as connection:
            connection.execute(sa.insert(ops.ops_gap), [row | {"session_date": day} for day in sorted(days)])


def _found(workspace: Workspace, market: str) -> set[tuple[str, str, dt.date]]:
    return {(one.source, one.subject, one.day) for one in missing(workspace, market)}


def _with_closed(workspace: Workspace, *overrides: CalendarOverride) -> Workspace:
    calendars = Calendars((*workspace.catalog.calendar_overrides, *overrides))
    return dataclasses.replace(workspace, calendars=calendars)


# --- as it happened -----------------------------------------------------------------------------------------------


def test_rates_of_holidays_hide_no_lost_day(workspace):
    """Yahoo has currencies on TARGET holidays too; the gate lets them pass, for the days are the source's own."""
    days = workspace.calendars.known_sessions("FX", FIRST, LAST - dt.timedelta(days=1))
    holidays = [day for day in WEEKDAYS if day not in days and day < LAST]
    assert holidays == [dt.date(2024, 12, 25), dt.date(2024, 12, 26), dt.date(2025, 1, 1)]
    lost = days[-2:]
    for one in series_of(workspace, "FX"):
        _give(workspace, one, days if one.source == "ecb" else [*(set(days) - set(lost)), *holidays])
    yahoo = {("yahoo", one.subject, day) for one in series_of(workspace, "FX") if one.source == "yahoo" for day in lost}
    assert yahoo
    assert _found(workspace, "FX") == yahoo

    todo = plan_missing(workspace, "FX")
    assert todo.days == lost
    assert {(request.source, request.start, request.end) for request in todo.requests} == {("yahoo", *lost)}
    look(workspace, ["FX"])
    (health,) = rows_of(workspace, ops.ops_health, ops.ops_health.c.market == "FX", ops.ops_health.c.source == "yahoo")
    assert (health["missing_sessions"], health["oldest_missing_date"]) == (2, lost[0])
    assert any(f"2 sessions missing since {lost[0]}" in one.message for one in source_problems(workspace))
    with workspace.warehouse.write() as connection:
        note_gaps(connection, workspace, "FX", Asked(answered=todo.requests), workspace.now())
    marks = rows_of(workspace, ops.ops_gap, ops.ops_gap.c.market == "FX")
    assert {(row["source"], row["subject"], row["session_date"]) for row in marks} == yahoo


def test_a_day_declared_closed_afterwards_hides_no_lost_day(workspace):
    """A morning lost to weather: the bar of the day stays, the session goes."""
    days = workspace.calendars.known_sessions("HK", FIRST, LAST)
    storm, given_up, lost = days[3], days[5], days[-2]
    yahoo, hang_seng = (
        next(one for one in series_of(workspace, "HK") if one.source == source) for source in ("yahoo", "hang_seng")
    )
    _give(workspace, yahoo, set(days) - {lost, given_up})
    # What was given up on that day, and what was given up and came after all, count for nothing either.
    _give_up(workspace, "HK", yahoo, [given_up, storm, days[6]])
    # The last day came before anybody expected it, and the storm's own was lost.
    _give(workspace, hang_seng, set(days) - {lost, storm})
    assert _found(workspace, "HK") == {
        ("yahoo", "^HSI", lost),
        ("hang_seng", "^HSI", lost),
        ("hang_seng", "^HSI", storm),
    }
    closed = _with_closed(workspace, closure(storm))
    assert _found(closed, "HK") == {("yahoo", "^HSI", lost), ("hang_seng", "^HSI", lost)}
    assert plan_missing(closed, "HK").days == [lost]


# --- whatever was given -------------------------------------------------------------------------------------------

_MARKETS = ("HK", "US", "FX", "SOUTHBOUND")
_days = st.sets(st.sampled_from(ALL_DAYS), max_size=6)


@dataclasses.dataclass(frozen=True)
class Given:
    """Of one series: sessions lost, other days given, sessions only an older version had, and sessions given up."""

    lost: set[dt.date]
    extra: set[dt.date]
    withdrawn: set[dt.date]
    given_up: set[dt.date]


_given = st.builds(Given, _days, _days, st.sets(st.sampled_from(ALL_DAYS), max_size=2), _days)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    # which part of an example matters takes minutes to find out, and says nothing that the smallest does not
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
@given(
    market=st.sampled_from(_MARKETS),
    drawn=st.lists(_given, min_size=8, max_size=8),
    overrides=st.dictionaries(st.sampled_from(WEEKDAYS), st.booleans(), max_size=3),
)
def test_what_is_missing_is_the_difference_of_two_sets(
    workspace: Workspace, market: str, drawn: list[Given], overrides: Mapping[dt.date, bool]
) -> None:
    before = set(workspace.calendars.known_sessions(market, BEFORE, LAST))
    changed = _with_closed(
        workspace,
        *(
            CalendarOverride(market=market, date=day, is_session=is_session, reason="announced late")
            for day, is_session in overrides.items()
        ),
    )
    sessions = set(changed.calendars.known_sessions(market, FIRST, LAST))
    series = series_of(workspace, market)
    with workspace.warehouse.write() as connection:
        connection.execute(sa.delete(ops.ops_gap))
        connection.execute(sa.delete(series[0].table))
    expected = set()
    for one, what in zip(series, drawn, strict=False):
        rows = (before - what.lost) | what.extra
        believed = rows - what.withdrawn
        _give(workspace, one, believed)
        _give(workspace, one, rows & what.withdrawn, known_to_at=workspace.now() + dt.timedelta(hours=1))
        _give_up(workspace, market, one, what.given_up)
        last = last_published(changed, market, one.source, workspace.now()) or dt.date.min
        for day in sessions - believed - what.given_up:
            if one.first <= day <= last:
                expected.add((one.source, one.subject, day))
    for one in series[len(drawn) :]:
        _give(workspace, one, sessions)
    assert _found(changed, market) == expected
