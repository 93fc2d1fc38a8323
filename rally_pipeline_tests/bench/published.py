"""Questions of a BI tool to the published DuckDB file, with as many rows in its large marts as the bench has.

The file is made by the code that publishes, from Parquet files cut and ordered as a publication's are; the rows in them
are made up by DuckDB, since what is measured is the reading. Belongs here: the questions. Does not belong here: how
long publishing takes.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from rally_pipeline.publish.duckdb_file import write_database
from rally_pipeline.publish.manifest import About, AsOf, PublishedFile, PublishedTable
from rally_pipeline.publish.tables import arrow_schema
from rally_pipeline.schema import metadata, table_info
from rally_pipeline.settings import Profile
from rally_pipeline_tests.bench.data import Bench
from rally_pipeline_tests.bench.measure import Beside, Figure, Goal, Taken, side_by_side

_GOAL_MS = 50.0
_SESSIONS = 5000
#: Each question is asked so often in a run, since once takes too little time to be timed.
_TIMES = 10
_EVENT_SESSIONS = 2500

#: Made-up values of columns that are no key, by Arrow type: of day number n and instrument s.
_VALUES = {
    "double": "CAST(100 + 50 * sin(n / 100.0 + s) + s % 7 AS DOUBLE)",
    "bool": "(n + s) % 9 = 0",
    "date32[day]": "day - 30",
    "int32": "CAST((n * 7 + s) % 500 AS INTEGER)",
    "int64": "CAST(n * 1000 AS BIGINT)",
    "string": "'HKD'",
}
_DAYS = """
    SELECT day, row_number() OVER (ORDER BY day) AS n
    FROM (SELECT CAST(generate_series AS DATE) AS day
          FROM generate_series(DATE '2003-01-01', DATE '2024-12-31', INTERVAL 1 DAY))
    WHERE isodow(day) < 6 ORDER BY day DESC LIMIT {sessions}
"""
_QUESTIONS = {
    "year-to-date rank of every instrument": """
        SELECT symbol, ytd_return_pct, rank() OVER (ORDER BY ytd_return_pct DESC) AS place
        FROM mart_index_performance_daily
        WHERE session_date = (SELECT max(session_date) FROM mart_index_performance_daily)
        ORDER BY place""",
    "three-year high of a session, every instrument": """
        SELECT symbol, close, high_3y, is_3y_high, highest_since_date
        FROM mart_price_extremes_daily
        WHERE session_date = DATE '2024-12-31' ORDER BY symbol""",
    "rolling three-year high, one instrument": """
        SELECT session_date, close, high_3y, is_3y_high
        FROM mart_price_extremes_daily WHERE symbol = 'S00007' ORDER BY session_date""",
    "cumulative flow since an event": """
        SELECT session_date, net_buy_hkd_mn, net_buy_usd_mn, window_rank
        FROM mart_southbound_since_event WHERE event_id = 'event' ORDER BY session_date""",
}
#: The same from raw closes, as it would be asked without the mart.
_WITHOUT_MART = {
    "rolling three-year high, one instrument": """
        SELECT session_date, close, max(close) OVER (
            ORDER BY session_date RANGE BETWEEN INTERVAL 36 MONTHS PRECEDING AND CURRENT ROW)
        FROM mart_index_performance_daily WHERE symbol = 'S00007' ORDER BY session_date""",
    "three-year high of a session, every instrument": """
        SELECT symbol, max(close) FROM mart_index_performance_daily
        WHERE session_date BETWEEN DATE '2021-12-31' AND DATE '2024-12-31' GROUP BY symbol ORDER BY symbol""",
}


def figures(bench: Bench) -> list[Figure]:
    import duckdb

    symbols = max(10, bench.rows // _SESSIONS)
    folder = bench.folder / "published"
    folder.mkdir()
    tables = [
        _made(folder, "mart_index_performance_daily", symbols, _SESSIONS),
        _made(folder, "mart_price_extremes_daily", symbols, _SESSIONS),
        _made(folder, "mart_southbound_since_event", 1, _EVENT_SESSIONS),
    ]
    about = About("bench", "2025-01-01T00:00:00Z", Profile.LIVE.value, "", "bench", AsOf(None, {}))
    database = folder / write_database(folder, tables, about).path
    found = []
    with duckdb.connect(str(database), read_only=True) as connection:
        for name, question in _QUESTIONS.items():
            asked = {"ours": question} | ({"without": _WITHOUT_MART[name]} if name in _WITHOUT_MART else {})
            taken = side_by_side(
                {key: lambda text=text: _ask(connection, text) for key, text in asked.items()},  # type: ignore[misc]
                repeats=bench.repeats,
            )
            each = {key: Taken(tuple(s / _TIMES for s in one.seconds), one.peak_mb) for key, one in taken.items()}
            peers = (Beside("the same from closes", each["without"]),) if "without" in each else ()
            ms = statistics.median(each["ours"].seconds) * 1000
            found.append(
                Figure(
                    f"published DuckDB: {name}",
                    f"{symbols * _SESSIONS:,} rows",
                    each["ours"],
                    peers=peers,
                    goals=(Goal("ms", ms, _GOAL_MS),),
                )
            )
    return found


def _ask(connection: Any, question: str) -> None:
    for _ in range(_TIMES):
        assert connection.execute(question).fetchall()


def _made(folder: Path, name: str, symbols: int, sessions: int) -> PublishedTable:
    """Parquet files of made-up rows, by year and in order of the primary key."""
    import duckdb

    table = metadata.tables[name]
    info = table_info(table)
    values = {"symbol": "printf('S%05d', s)", "event_id": "'event'", "session_date": "day"}
    columns = ", ".join(
        f'{values.get(field.name, _VALUES[str(field.type)])} AS "{field.name}"'
        for field in arrow_schema(table, Profile.LIVE)
    )
    key = ", ".join(info.natural_key)
    files, rows = [], 0
    with duckdb.connect(":memory:") as engine:
        engine.execute(f"CREATE TABLE day AS {_DAYS.format(sessions=sessions)}")
        for (year,) in engine.execute("SELECT DISTINCT year(day) FROM day ORDER BY 1").fetchall():
            path = f"{name}/year={year}/part-0.parquet"
            (folder / path).parent.mkdir(parents=True)
            query = f"SELECT {columns} FROM day, range({symbols}) r(s) WHERE year(day) = {year} ORDER BY {key}"
            engine.execute(f"COPY ({query}) TO '{folder / path}' (FORMAT parquet, ROW_GROUP_SIZE 65536)")
            count = engine.execute(f"SELECT count(*) FROM '{folder / path}'").fetchall()[0][0]
            files.append(PublishedFile(path, count, (folder / path).stat().st_size, ""))
            rows += count
    return PublishedTable(
        name, info.description, info.grain, list(info.natural_key), info.date_column, "year", rows, files
    )
