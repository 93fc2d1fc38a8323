"""Every derived table on both engines: against the independent computation, and refreshed parts against the whole."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import random
from collections.abc import Iterator

import pandas as pd
import pytest
import sqlalchemy as sa

from rally_pipeline.marts import EVERYTHING, current_inputs, mark_all_stale, mark_stale, refresh
from rally_pipeline.marts.asof import materialise
from rally_pipeline.marts.refresh import DERIVED_PRICES
from rally_pipeline.schema import core, metadata
from rally_pipeline.schema.ops import ops_stale
from rally_pipeline_tests import oracle

Row = oracle.Row


@functools.cache
def _world(seed: int) -> oracle.World:
    return oracle.random_world(seed)


@functools.cache
def _expected(seed: int) -> dict[str, pd.DataFrame]:
    return oracle.compute(_world(seed))


@pytest.fixture
def connection(warehouse_url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(warehouse_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _stored(connection: sa.Connection, table: sa.Table) -> pd.DataFrame:
    return oracle.frame(table.name, connection.execute(sa.select(table)).mappings())


def _defined(connection: sa.Connection) -> dict[str, pd.DataFrame]:
    """What each definition gives as a whole, computed from the tables as they stand."""
    found = {}
    for derived in DERIVED_PRICES:
        whole = sa.select(materialise(connection, derived, current_inputs()))
        found[derived.table.name] = oracle.frame(derived.table.name, connection.execute(whole).mappings())
    return found


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_all_of_history_is_as_computed_by_hand(connection: sa.Connection, seed: int) -> None:
    _world(seed).write(connection)
    mark_all_stale(connection)
    done = refresh(connection)
    assert [entry.table for entry in done][: len(DERIVED_PRICES)] == [derived.table.name for derived in DERIVED_PRICES]
    for derived in DERIVED_PRICES:
        got = _stored(connection, derived.table)
        assert len(got) > 0
        oracle.assert_same(derived.table.name, got, _expected(seed)[derived.table.name])
    assert connection.scalar(sa.select(sa.func.count()).select_from(ops_stale)) == 0
    assert refresh(connection) == []


def _change(connection: sa.Connection, rng: random.Random, latest: bool) -> dict[str, dict[str, dt.date]]:
    """Changes some believed rows, takes some away, adds a few; says which."""
    bar, rate = core.core_price_daily, core.core_fx_daily
    found: dict[str, dict[str, dt.date]] = {"core_price_daily": {}, "core_fx_daily": {}}
    prices = [dict(row) for row in connection.execute(sa.select(bar).order_by(*bar.primary_key)).mappings()]
    if latest:
        newest = max(row["session_date"] for row in prices)
        prices = [row for row in prices if (newest - row["session_date"]).days <= 5]
    for row in rng.sample(prices, rng.randint(1, 4)):
        where = (bar.c.symbol == row["symbol"], bar.c.session_date == row["session_date"])
        if rng.random() < 0.3:
            connection.execute(sa.delete(bar).where(*where))
        else:
            close = rng.choice((None, 20.0, rng.uniform(1, 80)))
            connection.execute(sa.update(bar).where(*where).values(close=close, volume_shares=rng.choice((7, 10**10))))
        day = found["core_price_daily"].get(row["symbol"], row["session_date"])
        found["core_price_daily"][row["symbol"]] = min(day, row["session_date"])
    rates = [dict(row) for row in connection.execute(sa.select(rate).order_by(*rate.primary_key)).mappings()]
    if latest:
        rates = rates[-6:]
    for row in rng.sample(rates, rng.randint(0, 1)):
        same = [rate.c[key] == row[key] for key in ("base_currency", "quote_currency", "rate_date", "source")]
        connection.execute(sa.update(rate).where(*same).values(rate=rate.c.rate * 1.1))
        found["core_fx_daily"][row["quote_currency"]] = row["rate_date"]
    return {table: subjects for table, subjects in found.items() if subjects}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_refreshing_what_changed_gives_the_whole(connection: sa.Connection, seed: int) -> None:
    rng = random.Random(seed)
    _world(1).write(connection)
    mark_all_stale(connection)
    refresh(connection)
    for step in range(4):
        changes = _change(connection, rng, latest=step % 2 == 0)
        mark_stale(connection, changes)
        refresh(connection)
        whole = _defined(connection)
        for derived in DERIVED_PRICES:
            name = derived.table.name
            oracle.assert_same(name, _stored(connection, derived.table), whole[name], relative=1e-12)


def _walk(sessions: int) -> list[float]:
    rng = random.Random(7)
    return [round(close, 2) for close in itertools.accumulate((rng.gauss(0, 1) for _ in range(sessions)), initial=500)]


_SERIES = {
    "RISES": [100 + n * 0.5 for n in range(800)],
    "FALLS": [500 - n * 0.5 for n in range(800)],
    "STAYS": [20.0] * 800,
    "SAW": [50 + (n % 7) - (n // 300) for n in range(800)],
    "SPIKES": [10 + (200 - n / 10 if n % 129 == 0 else n / 1000) for n in range(800)],
    "FEW": [5.0, 5.0, 4.0],
    "WALKS": _walk(800),
}


def test_extremes_of_awkward_series(connection: sa.Connection) -> None:
    """Rising, falling, level, toothed and random closes, longer than the blocks and windows of the plan: by hand, as a
    whole; the last days of each, looked up one by one, are the same rows; and so is all that the definition itself
    gives. A moving maximum of three years would not do there: SQLite 3.40.1 gets it wrong.
    """
    days = [day.date() for day in pd.bdate_range("2020-06-01", periods=830)]
    world = oracle.World()
    world.tables["core_session"] = oracle.session_rows("HK", days)
    instrument = dict.fromkeys(c.name for c in core.core_instrument.columns)
    for number, (symbol, closes) in enumerate(_SERIES.items()):
        more = {"symbol": symbol, "name": symbol, "market": "HK", "currency": "HKD", "kind": "share"}
        world.tables["core_instrument"].append({**instrument, **more})
        # each begins on another day, and lacks a close now and then
        for n, (day, close) in enumerate(zip(days[number * 5 :], closes, strict=False)):
            given = None if n % 50 == 49 else float(close)
            world.tables["core_price_daily"].append(oracle.price_row(symbol, day, "yahoo", given, "HKD"))
    world.write(connection)
    mark_all_stale(connection)
    refresh(connection)
    expected = oracle.compute(world)["mart_price_extremes_daily"]
    table = metadata.tables["mart_price_extremes_daily"]
    oracle.assert_same(table.name, _stored(connection, table), expected)
    mark_stale(connection, {"core_price_daily": dict.fromkeys(_SERIES, dt.date(2023, 6, 1))})
    refresh(connection)
    oracle.assert_same(table.name, _stored(connection, table), expected, relative=1e-12)
    (derived,) = (derived for derived in DERIVED_PRICES if derived.table is table)
    asked = connection.execute(derived.select(current_inputs(), EVERYTHING)).mappings()
    oracle.assert_same(table.name, oracle.frame(table.name, asked), expected, relative=1e-12)


@pytest.mark.slow
def test_growing_day_by_day_gives_the_whole(connection: sa.Connection) -> None:
    """A warehouse that was filled in steps, each refreshed, is the one that was filled at once."""
    world = _world(2)
    steps = [dt.date(2018, 1, 1), dt.date(2019, 7, 3), dt.date(2023, 1, 1), dt.date(2024, 2, 28)]
    steps += [dt.date(2024, 2, 29), dt.date(2024, 3, 1), dt.date(2024, 3, 4), dt.date(2024, 3, 16)]
    rest = oracle.World()
    rest.tables |= {k: v for k, v in world.tables.items() if k not in ("core_price_daily", "core_fx_daily")}
    rest.write(connection)
    for begin, end in itertools.pairwise(steps):
        part = oracle.World()
        changes: dict[str, dict[str, dt.date]] = {"core_price_daily": {}, "core_fx_daily": {}}
        for table, day, subject in (
            ("core_price_daily", "session_date", "symbol"),
            ("core_fx_daily", "rate_date", "quote_currency"),
        ):
            rows = [row for row in world.tables[table] if begin <= row[day] < end]
            part.tables[table] = rows
            for row in rows:
                marked = changes[table]
                marked[row[subject]] = min(row[day], marked.get(row[subject], row[day]))
        part.write(connection)
        mark_stale(connection, changes)
        refresh(connection)
    for derived in DERIVED_PRICES:
        name = derived.table.name
        oracle.assert_same(name, _stored(connection, derived.table), _expected(2)[name])
