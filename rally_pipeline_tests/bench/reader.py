"""What a BI tool does all day, with the database's own driver and nothing of this project: a program of its own.

``python reader.py URL-OF-THE-DRIVER READERS PAUSE-SECONDS SEED RESULT-FILE``. It says ``ready``, is told when to begin
and to end (seconds since the epoch), and writes what it saw: of each read the kind, when it began and how long it took;
errors; and torn reads, which are sets of rows that no committed transaction ever left behind.

Belongs here: the queries and the checks of one view. Does not belong here: writing, or what is made of the figures.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Rows = list[tuple[Any, ...]]
Ask = Callable[[str], Rows]

LEADERBOARD = """
SELECT leaderboard, ytd_rank, name, close, ytd_return_pct FROM mart_leaderboard_daily
WHERE as_of_date = (SELECT max(as_of_date) FROM mart_leaderboard_daily) ORDER BY leaderboard, ytd_rank
"""
SCOREBOARD = "SELECT * FROM mart_rally_scoreboard ORDER BY event_date DESC, symbol"
HISTORY = """
SELECT session_date, close, ytd_return_pct FROM mart_index_performance_daily
WHERE symbol = '{symbol}' ORDER BY session_date
"""
GROUP_BY = """
SELECT symbol, currency, count(*), min(close), max(close), avg(close), max(session_date)
FROM core_price_resolved_daily GROUP BY symbol, currency ORDER BY symbol
"""
FACTS = "SELECT symbol, session_date, close FROM core_price_daily WHERE known_to_at IS NULL"
SYMBOLS = "SELECT symbol, count(*) FROM core_price_resolved_daily GROUP BY symbol ORDER BY symbol"
#: Both sides of what must agree wherever nothing is marked as behind.
BEHIND = "SELECT count(*) FROM ops_stale"
OF_FACTS = "SELECT count(*), sum(close), max(session_date) FROM core_price_resolved_daily"
OF_MART = "SELECT count(*), sum(close), max(session_date) FROM mart_price_extremes_daily"
OUT_OF_STEP = """
SELECT count(*) FROM mart_leaderboard_daily b
JOIN mart_index_performance_daily p ON p.symbol = b.symbol AND p.session_date = b.session_date
WHERE p.close <> b.close
"""
#: Of every key one version is believed.
DOUBLED = """
SELECT count(*) FROM (SELECT 1 FROM core_price_daily WHERE known_to_at IS NULL
GROUP BY symbol, session_date, source HAVING count(*) > 1) twice
"""


def connect(url: str) -> tuple[Any, str]:
    """A connection in the way that is safe beside a run, and the statement that begins one view."""
    if url.startswith("postgresql"):
        import psycopg

        made = psycopg.connect(url, autocommit=True, application_name="reader")
        return made, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    import sqlite3

    return sqlite3.connect(f"file:{url}?mode=ro", uri=True, isolation_level=None, timeout=5), "BEGIN"


class Reader:
    """One reader: a connection, what it has seen, and the checks."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self.random = url, random.Random(seed)
        self.reads: list[tuple[str, float, float]] = []
        self.errors: list[str] = []
        self.torn: list[str] = []

    def run(self, begin_at: float, end_at: float, pause: float) -> None:
        """Reads until the end, with pauses of `pause` seconds on average."""
        try:
            connection, begin = connect(self.url)
        except Exception as error:
            self.errors.append(f"connect: {type(error).__name__}: {error}")
            return
        cursor = connection.cursor()

        def ask(query: str) -> Rows:
            began = time.time()
            rows: Rows = cursor.execute(query).fetchall()
            self.reads.append((kind, began, time.time() - began))
            return rows

        time.sleep(max(0.0, begin_at - time.time()))
        while time.time() < end_at:
            time.sleep(self.random.uniform(0, 2 * pause))
            kind = self.random.choice(("leaderboard", "scoreboard", "history", "group by", "one view", "open cursor"))
            try:
                getattr(self, f"_{kind.replace(' ', '_')}")(ask, cursor, begin)
            except Exception as error:
                self.errors.append(f"{kind}: {type(error).__name__}: {error}")
                connection.close()
                connection, begin = connect(self.url)
                cursor = connection.cursor()
        connection.close()

    def _leaderboard(self, ask: Ask, _cursor: Any, _begin: str) -> None:
        if not ask(LEADERBOARD):
            self.torn.append("the leaderboard is empty")

    def _scoreboard(self, ask: Ask, _cursor: Any, _begin: str) -> None:
        if not ask(SCOREBOARD):
            self.torn.append("the scoreboard is empty")

    def _history(self, ask: Ask, _cursor: Any, _begin: str) -> None:
        rows = ask(HISTORY.format(symbol=self.random.choice(("^HSI", "0700.HK", "9988.HK", "^GSPC"))))
        days = [row[0] for row in rows]
        if not days or len(set(days)) != len(days):
            self.torn.append(f"a history of {len(days)} rows, {len(set(days))} days")

    def _group_by(self, ask: Ask, _cursor: Any, _begin: str) -> None:
        if not ask(GROUP_BY):
            self.torn.append("no prices")

    def _one_view(self, ask: Ask, cursor: Any, begin: str) -> None:
        """A report of several queries in one transaction: they agree with each other, and stay as they are."""
        cursor.execute(begin)
        try:
            first = ask(OF_FACTS)
            if ask(BEHIND) == [(0,)]:
                mart = ask(OF_MART)
                if mart[0][0] != first[0][0] or abs(mart[0][1] - first[0][1]) > 1e-6 * abs(first[0][1]):
                    self.torn.append(f"facts {first}, mart {mart}")
                if (out := ask(OUT_OF_STEP)) != [(0,)]:
                    self.torn.append(f"{out[0][0]} rows of the leaderboard are not those of the performance")
            if (twice := ask(DOUBLED)) != [(0,)]:
                self.torn.append(f"{twice[0][0]} keys are believed twice")
            if (again := ask(OF_FACTS)) != first:
                self.torn.append(f"one view changed: {first}, {again}")
        finally:
            cursor.execute("ROLLBACK")

    def _open_cursor(self, ask: Ask, cursor: Any, begin: str) -> None:
        """A grid that is scrolled through slowly: read in pieces while others write."""
        cursor.execute(begin)
        try:
            wanted = sum(row[1] for row in ask(SYMBOLS))
            began, seen = time.time(), 0
            if self.url.startswith("postgresql"):
                cursor.execute("DECLARE grid NO SCROLL CURSOR FOR SELECT symbol, close FROM core_price_resolved_daily")

                def piece() -> Rows:
                    return list(cursor.execute("FETCH 2000 FROM grid").fetchall())
            else:
                cursor.execute("SELECT symbol, close FROM core_price_resolved_daily")

                def piece() -> Rows:
                    return list(cursor.fetchmany(2000))

            slept = 0.0
            while rows := piece():
                seen += len(rows)
                time.sleep(0.02)
                slept += 0.02
            self.reads.append(("open cursor", began, time.time() - began - slept))
            if seen != wanted:
                self.torn.append(f"an open cursor gave {seen} rows of {wanted}")
        finally:
            cursor.execute("ROLLBACK")


def main() -> None:
    url, count, pause, seed, result = sys.argv[1:]
    readers = [Reader(url, int(seed) * 1000 + number) for number in range(int(count))]
    connect(url)[0].close()  # the driver is imported
    print("ready", flush=True)
    begin_at, end_at = (float(text) for text in sys.stdin.readline().split())
    threads = [threading.Thread(target=one.run, args=(begin_at, end_at, float(pause))) for one in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = {name: [item for one in readers for item in getattr(one, name)] for name in ("reads", "errors", "torn")}
    Path(result).write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
