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
    return {
        derived.table.name: oracle.frame(
            derived.table.name, connection.execute(derived.select(current_inputs(), EVERYTHING)).mappings()
        )
        for derived in DERIVED_PRICES
    }


@pytest.mark.parametrize("seed", [1, 2])
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
