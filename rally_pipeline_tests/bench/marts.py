"""Computing the price marts: all of history, and one new day on top of it.

Instruments are made up and stand in the catalog's tables beside the real ones; ten of them form a leaderboard. Belongs
here: the subjects. Does not belong here: the same marts written by hand and in pandas (`marts_by_hand.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.refresh import mark_all_stale, mark_stale, refresh
from rally_pipeline.schema import core, metadata
from rally_pipeline.warehouse.engine import Warehouse
from rally_pipeline.warehouse.load import bulk_load
from rally_pipeline_tests.bench import marts_by_hand as by_hand
from rally_pipeline_tests.bench.data import PAYLOAD, PRICE, SOURCE, START, Bench, deliver, price_frame
from rally_pipeline_tests.bench.measure import Beside, Figure, Goal, side_by_side

_SESSIONS = 5000
#: Instruments that get a new day, and all there are in the small history: 50,000 rows.
_NEW = 10
_EXTREMES = metadata.tables["mart_price_extremes_daily"]
_TABLES = (
    *("core_price_resolved_daily", "mart_index_performance_daily", "mart_leaderboard_daily"),
    *("mart_price_extremes_daily", "mart_price_since_event_daily"),
    *("mart_trading_volume_monthly", "mart_trading_volume_daily"),
)
#: Goals of seconds are stated for so many rows.
_GOAL_ROWS = 5_000_000
_GOAL_SECONDS = 10.0


def figures(bench: Bench) -> list[Figure]:
    found: list[Figure] = []
    for dialect in ("sqlite", "postgresql"):
        with bench.warehouses(dialect) as (large,), bench.warehouses(dialect) as (small,):
            symbols = _fill(large, bench.rows)
            _fill(small, _NEW * _SESSIONS)
            for warehouse in (large, small):
                _rebuild(warehouse)
            found.append(_one_day(bench, large, small))
            found.append(_extremes(bench, large))
            found.append(_whole(bench, large, symbols))
    return found


def _fill(warehouse: Warehouse, rows: int) -> list[str]:
    """Instruments and their prices, `rows` of them; returns the symbols."""
    frame = price_frame(rows)
    symbols = [str(symbol) for symbol in frame["symbol"].unique()]
    shared = {"market": "HK", "currency": "HKD", "kind": "share"}
    instruments = [
        {"symbol": s, "name": s, **shared, "leaderboard": "bench" if n < _NEW else None} for n, s in enumerate(symbols)
    ]
    members = [{"leaderboard": "bench", "symbol": symbol} for symbol in symbols[:_NEW]]
    with warehouse.write() as connection:
        connection.execute(sa.insert(core.core_instrument), instruments)
        connection.execute(sa.insert(core.core_leaderboard_member), members)
        bulk_load(connection, PRICE, frame, {"source": SOURCE, "known_from_at": START, "payload_id": PAYLOAD})
    return symbols


def _rebuild(warehouse: Warehouse, tables: Sequence[str] | None = None) -> None:
    with warehouse.write() as connection:
        mark_all_stale(connection)
        refresh(connection, tables=tables)


def _one_day(bench: Bench, large: Warehouse, small: Warehouse) -> Figure:
    """The last day of ten instruments, taken away before each run and delivered again."""
    frame = price_frame(_NEW * _SESSIONS)
    last = frame["session_date"].max()
    newest = frame[frame["session_date"] == last]
    warehouses = {"large": large, "small": small}
    changes = {PRICE.name: dict.fromkeys(newest["symbol"], last.date())}
    hours = iter(range(1, 1_000_000))

    def take_away(name: str) -> None:
        with warehouses[name].write() as connection:
            connection.execute(
                sa.delete(PRICE).where(PRICE.c.symbol.in_(list(newest["symbol"])), PRICE.c.session_date == last.date())
            )
            mark_stale(connection, changes)
            refresh(connection)

    def deliver_again(warehouse: Warehouse) -> None:
        deliver(warehouse, newest, next(hours))
        with warehouse.write() as connection:
            mark_stale(connection, changes)
            refresh(connection)

    taken = side_by_side(
        {name: lambda w=warehouse: deliver_again(w) for name, warehouse in warehouses.items()},  # type: ignore[misc]
        before=take_away,
        repeats=bench.repeats,
    )
    return Figure(
        f"one new day of {_NEW} instruments, marts included, {large.dialect}",
        bench.size,
        taken["large"],
        limits=(Beside(f"the same into {_NEW * _SESSIONS:,} rows", taken["small"], at_most=1.2),),
    )


def _extremes(bench: Bench, warehouse: Warehouse) -> Figure:
    """Three-year highs and all else in that mart, over all of history."""
    plain = by_hand.moving_maximum()

    def copy_rows() -> None:
        with warehouse.write() as connection:
            by_hand.copy_of(connection, _EXTREMES)
            connection.exec_driver_sql(f"INSERT INTO hand_{_EXTREMES.name} SELECT * FROM {_EXTREMES.name}")

    def move() -> None:
        with warehouse.read() as connection:
            connection.exec_driver_sql(plain).all()

    repeats = bench.repeats if bench.rows < 1_000_000 else min(3, bench.repeats)
    ways: dict[str, Any] = {
        "ours": lambda: _rebuild(warehouse, [_EXTREMES.name]),
        "copy": copy_rows,
    }
    taken = side_by_side(ways, repeats=repeats)
    taken |= side_by_side({"plain": move}, repeats=1)
    goals = (Goal("s", taken["ours"].median, _GOAL_SECONDS),) if bench.rows >= _GOAL_ROWS else ()
    note = "the plain moving maximum is one of the mart's twenty columns, once, and writes nothing"
    if warehouse.dialect == "sqlite":
        note += "; SQLite up to 3.40.1 at least gets it wrong once a frame holds more than some 256 rows"
    return Figure(
        f"mart_price_extremes_daily, all of history, {warehouse.dialect}",
        bench.size,
        taken["ours"],
        peers=(Beside("plain moving maximum", taken["plain"]),),
        limits=(Beside("INSERT … SELECT of finished rows", taken["copy"]),),
        goals=goals,
        note=note,
    )


def _whole(bench: Bench, warehouse: Warehouse, symbols: Sequence[str]) -> Figure:
    """All price marts from scratch; the alternatives once each, since they take minutes."""
    taken = side_by_side(
        {
            "ours": lambda: _rebuild(warehouse, _TABLES),
            "hand": lambda: by_hand.in_sql(warehouse),
            "pandas": lambda: by_hand.in_pandas(warehouse),
        },
        repeats=1 if bench.rows >= 1_000_000 else min(3, bench.repeats),
    )
    return Figure(
        f"full rebuild of the price marts, {warehouse.dialect}",
        bench.size,
        taken["ours"],
        peers=(Beside("pandas and to_sql", taken["pandas"], faster=10),),
        limits=(Beside("SQL by hand", taken["hand"], at_most=2),),
        note=f"{len(symbols)} instruments; once each from a million rows on, else the median of three",
    )
