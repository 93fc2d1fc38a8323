"""Tables as they were known: a mart as of T is the mart of a warehouse that never heard of anything later."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline.asof import read_as_of
from rally_pipeline.errors import UsageError
from rally_pipeline.marts.refresh import DERIVED, DERIVED_PRICES, refresh
from rally_pipeline.schema import core, metadata
from rally_pipeline.sources.base import Payload
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import deliver, fx_payload, open_at, price_csv, price_payload, rows_of, utc

SYMBOLS = ("^HSI", "^GDAXI", "0700.HK")
MARKETS = {"^HSI": "HK", "^GDAXI": "DE", "0700.HK": "HK"}
FIRST, LAST = dt.date(2023, 11, 20), dt.date(2024, 3, 8)
TIMES = [utc("2024-03-11") + dt.timedelta(hours=n) for n in range(6)]

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asof")


def _deliveries(workspace: Workspace) -> list[Payload]:
    """Prices and rates said, restated and confirmed at several times."""
    rng = random.Random(11)
    found = []
    for at in TIMES:
        for symbol in rng.sample(SYMBOLS, 2):
            days = workspace.calendars.known_sessions(MARKETS[symbol], FIRST, LAST)
            some = sorted(rng.sample(days, len(days) * 2 // 3))
            rows = [(day, rng.choice((100, 101, 120, 90)) + day.day, rng.choice((10, 2000))) for day in some]
            source = rng.choice(("yahoo", "file"))
            found.append(price_payload(price_csv(rows, "date,close,volume"), symbol, source=source, known_at=at))
        days = workspace.calendars.known_sessions("FX", FIRST, LAST)
        lines = [
            f"{day},{1.05 + rng.randrange(4) / 100},{8.2 + rng.randrange(4) / 10}," for day in rng.sample(days, 60)
        ]
        found.append(fx_payload("\n".join(["Date,USD,HKD,", *lines]).encode(), known_at=at))
    return found


def _as_of(workspace: Workspace, table: str, at: dt.datetime, **options: Any) -> Rows:
    with read_as_of(workspace, table, at, **options) as (columns, rows):
        found = [dict(row) for row in rows]
    assert columns == [c.name for c in metadata.tables[table].columns]
    assert all(list(row) == columns for row in found)
    return found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(
    request: pytest.FixtureRequest, homes: Path
) -> Iterator[tuple[Workspace, list[Payload], Callable[[str], Workspace]]]:
    """A warehouse that knows everything, its deliveries, and what makes another empty one of the same engine."""

    def make(name: str) -> Workspace:
        url = request.getfixturevalue("postgres_url")() if request.param == "postgresql" else None
        return open_at(homes / request.param / name, url)

    workspace = make("full")
    payloads = _deliveries(workspace)
    for payload in random.Random(3).sample(payloads, len(payloads)):
        assert deliver(workspace, payload).is_loaded
    with workspace.warehouse.write() as connection:
        refresh(connection)
    yield workspace, payloads, make
    workspace.warehouse.engine.dispose()


def test_marts_as_known_are_those_built_from_what_was_known(full: Any) -> None:
    workspace, payloads, make = full
    other = make("step by step")
    differing = 0
    for number, at in enumerate(TIMES):
        for payload in payloads:
            if payload.fetched_at == at:
                deliver(other, payload)
        if number % 2:
            continue
        with other.warehouse.write() as connection:
            refresh(connection)
        for derived in DERIVED:
            name = derived.table.name
            then = _as_of(workspace, name, at + dt.timedelta(minutes=30))
            built = rows_of(other, name)
            assert then == built, name
            assert then or name == "mart_price_since_event_daily" or number == 0 or derived not in DERIVED_PRICES
            differing += then != rows_of(workspace, name)
    other.warehouse.engine.dispose()
    assert differing >= 2 * len(DERIVED_PRICES), "nothing was restated, so nothing was tested"


def test_now_is_what_is_stored(full: Any) -> None:
    workspace, _, _ = full
    for name in [d.table.name for d in DERIVED]:
        assert _as_of(workspace, name, TIMES[-1]) == rows_of(workspace, name)
    stored = rows_of(workspace, core.core_price_daily, core.core_price_daily.c.known_to_at.is_(None))
    assert _as_of(workspace, "core_price_daily", TIMES[-1]) == stored


def test_before_everything_there_is_nothing(full: Any) -> None:
    workspace, _, _ = full
    for name in ("core_price_daily", *(d.table.name for d in DERIVED)):
        assert _as_of(workspace, name, utc("2000-01-01")) == []


def test_reading_changes_nothing(full: Any) -> None:
    workspace, _, _ = full
    before = {name: rows_of(workspace, name) for name in metadata.tables}
    for _ in range(2):  # the temporary tables of the first reading are not in the way of the second
        _as_of(workspace, "mart_leaderboard_daily", TIMES[2])
    assert {name: rows_of(workspace, name) for name in metadata.tables} == before


def test_conditions(full: Any) -> None:
    workspace, _, _ = full
    table, at = "core_price_daily", TIMES[-1]
    every = _as_of(workspace, table, at)

    def where(*conditions: str, **options: Any) -> Rows:
        return _as_of(workspace, table, at, conditions=conditions, **options)

    assert where("symbol=^HSI") == [r for r in every if r["symbol"] == "^HSI"] != []
    assert where("symbol=^HSI", "session_date=2024-02-29") == [
        r for r in every if r["symbol"] == "^HSI" and r["session_date"] == dt.date(2024, 2, 29)
    ]
    assert where("open=") == [r for r in every if r["open"] is None] == every
    assert where("is_flat_bar=false") == every
    assert where("is_flat_bar=TRUE") == []
    assert where("volume_shares=10") == [r for r in every if r["volume_shares"] == 10] != []
    assert where(f"known_from_at={TIMES[0].isoformat()}") == [r for r in every if r["known_from_at"] == TIMES[0]] != []
    assert where("symbol=^HSI'; DROP TABLE core_price_daily; --") == []
    assert where(limit=3) == every[:3]


@pytest.mark.parametrize(
    ("table", "condition", "what"),
    [
        ("raw_fetch", "", "no core or mart table 'raw_fetch'"),
        ("nothing", "", "one of core_broker, core_broker_flow"),
        ("core_price_daily", "symbol", "write COLUMN=VALUE"),
        ("core_price_daily", "colour=red", "write COLUMN=VALUE"),
        ("core_price_daily", "session_date=monday", "is not a date"),
        ("core_price_daily", "close=high", "is not a float"),
        ("core_price_daily", "volume_shares=1.5", "is not a int"),
        ("core_price_daily", "volume_shares=99999999999999999999", "is not a int"),
        ("core_price_daily", "is_flat_bar=perhaps", "is not a bool"),
        ("core_price_daily", "known_from_at=x", "is not a datetime"),
    ],
)
def test_wrong_questions(full: Any, table: str, condition: str, what: str) -> None:
    workspace, _, _ = full
    with pytest.raises(UsageError, match=what):
        _as_of(workspace, table, TIMES[0], conditions=[condition] if condition else [])


def test_reference_tables_are_shown_as_they_are(full: Any) -> None:
    workspace, _, _ = full
    assert _as_of(workspace, "core_instrument", utc("2000-01-01")) == rows_of(workspace, "core_instrument") != []


def test_a_reader_sees_one_state_while_a_writer_commits(full: Any) -> None:
    """Neither waits for the other."""
    workspace, _, _ = full
    with read_as_of(workspace, "core_price_daily", utc("2030-01-01")) as (_, rows):
        first = next(rows)
        later = price_payload(price_csv([("2024-03-07", 7)], "date,close"), "^HSI", source="other", known_at=TIMES[-1])
        deliver(workspace, later)
        seen = [first, *rows]
    assert not [row for row in seen if row["source"] == "other"]
    with workspace.warehouse.write() as connection:  # leave it as it was
        connection.execute(sa.delete(core.core_price_daily).where(core.core_price_daily.c.source == "other"))
