"""Partitions say what the calendars say, and not more."""

from __future__ import annotations

import datetime as dt
import json

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from dagster._core.definitions.partitions.snap import TimeWindowPartitionsSnap

from rally_pipeline.catalog import load_catalog
from rally_pipeline.orchestration import partitions
from rally_pipeline.orchestration.partitions import (
    INGEST_MARKETS,
    TIMEZONES,
    calendar_days,
    market_partitions,
    session_partitions,
    weekdays,
)
from rally_pipeline.sessions import Calendars
from rally_pipeline.settings import load_settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return load_settings(home=tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def calendars():
    return Calendars.from_catalog(load_catalog())


@pytest.mark.parametrize("market", INGEST_MARKETS)
def test_partitions_are_the_sessions(settings, calendars, market):
    keys = market_partitions(settings)[market].get_partition_keys(current_time=dt.datetime(2025, 3, 3, tzinfo=dt.UTC))
    sessions = [day.isoformat() for day in calendars.known_sessions(market, dt.date(2004, 1, 1), dt.date(2025, 2, 28))]
    assert [key for key in keys if key <= "2025-02-28"] == sessions


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (dt.datetime(2025, 1, 28, 12, tzinfo=dt.UTC), "2025-01-28"),  # half-day before the holidays, after the close
        (dt.datetime(2025, 1, 30, 12, tzinfo=dt.UTC), "2025-02-03"),  # holiday: the next session shows already
        (dt.datetime(2025, 2, 7, 12, tzinfo=dt.UTC), "2025-02-07"),  # Friday evening in Hong Kong
        (dt.datetime(2025, 2, 8, 12, tzinfo=dt.UTC), "2025-02-10"),  # Saturday: Monday's shows already
    ],
)
def test_last_partition_is_the_running_or_next_session(settings, now, last):
    assert market_partitions(settings)["HK"].get_partition_keys(current_time=now)[-1] == last


def test_no_partition_beyond_the_horizon(settings, calendars):
    horizon = calendars.horizon("CN")
    after = dt.datetime.combine(horizon + dt.timedelta(days=400), dt.time(), dt.UTC)
    keys = market_partitions(settings)["CN"].get_partition_keys(current_time=after)
    assert keys[-1] == calendars.last_session_on_or_before("CN", horizon).isoformat()


def test_days_are_those_of_the_market(settings):
    for market, definition in market_partitions(settings).items():
        assert definition.timezone == TIMEZONES[market]
        window = definition.time_window_for_partition_key("2025-02-14")
        assert (window.start.hour, (window.end - window.start).total_seconds()) == (0, 86400)


def test_weekdays_have_no_weekend():
    keys = weekdays().get_partition_keys(current_time=dt.datetime(2025, 2, 15, tzinfo=dt.UTC))
    days = [dt.date.fromisoformat(key) for key in keys]
    assert days[0] == dt.date(2004, 1, 1)
    assert all(day.weekday() < 5 for day in days)
    assert len(days) == len(set(days))


def test_closed_days_are_computed_once(settings, monkeypatch):
    market_partitions(settings)
    (path,) = settings.dagster_home.glob("closed-days-*.json")
    known = json.loads(path.read_text())
    assert "2025-01-29" in known["HK"]["closed"]
    market_partitions.cache_clear()
    monkeypatch.setattr(partitions, "calendar_days", lambda *_: pytest.fail("computed again"))
    assert market_partitions(settings)["HK"].has_partition_key("2025-02-14")


def test_a_damaged_cache_is_made_anew(settings):
    (path,) = settings.dagster_home.glob("closed-days-*.json")
    path.write_text("{")
    market_partitions.cache_clear()
    assert market_partitions(settings)["HK"].has_partition_key("2025-02-14")
    assert json.loads(path.read_text())["HK"]


def test_an_override_changes_the_partitions(tmp_path):
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "calendars.yaml").write_text(
        "calendar_overrides:\n"
        "  HK:\n"
        "    2025-02-13: {is_session: false, reason: typhoon}\n"
        "    2025-02-15: {is_session: true, reason: Saturday session}\n"
    )
    definition = market_partitions(load_settings(home=tmp_path))["HK"]
    at = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)
    keys = definition.get_partition_keys(current_time=at)
    assert "2025-02-13" not in keys
    assert "2025-02-15" in keys
    assert "2025-02-16" not in keys
    assert "2025-02-08" not in keys


def test_definitions_survive_the_way_to_the_ui():
    days = calendar_days(load_catalog(), "DE")
    definition = session_partitions("DE", days)
    snapshot = dg.deserialize_value(dg.serialize_value(TimeWindowPartitionsSnap.from_def(definition)))
    at = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)
    received = snapshot.get_partitions_definition()
    assert received.get_partition_keys(current_time=at) == definition.get_partition_keys(current_time=at)


@pytest.mark.parametrize("market", [*INGEST_MARKETS, "weekdays"])
def test_days_are_listed_as_dagster_lists_them(settings, market):
    partitions_def = weekdays() if market == "weekdays" else market_partitions(settings)[market]
    for now in ("2003-06-01", "2004-01-01", "2014-11-17", "2025-02-08T12:00", "2026-12-31T23:30", "2040-01-01"):
        with partition_loading_context(dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)):
            theirs = dg.DailyPartitionsDefinition.get_partition_keys(partitions_def)
            assert partitions_def.get_partition_keys() == theirs
