"""One writer at a time and any number of readers, on both engines: waiting, one view, open cursors, killed writers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline.warehouse import engine as engine_module
from rally_pipeline.warehouse.engine import Warehouse, WarehouseError, open_warehouse
from rally_pipeline_tests.workspaces import ROOT

ROWS = 5_000
ONE, TWO = (
    sa.Table(name, sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("v", sa.Integer))
    for name in ("one", "two")
)


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    """Two tables that always hold the same value in every row; every transaction leaves them so."""
    opened = open_warehouse(warehouse_url, lock_timeout_seconds=30)
    with opened.write() as connection:
        for table in (ONE, TWO):
            table.create(connection)
            connection.execute(sa.insert(table), [{"k": k, "v": 0} for k in range(ROWS)])
    yield opened
    opened.engine.dispose()


def put(warehouse: Warehouse, value: int, seconds: float = 0) -> None:
    """Replaces both tables as a refresh does, by delete and insert."""
    with warehouse.write() as connection:
        for table in (ONE, TWO):
            connection.execute(sa.delete(table))
            connection.execute(sa.insert(table), [{"k": k, "v": value} for k in range(ROWS)])
        time.sleep(seconds)


def values(connection: sa.Connection, table: sa.Table) -> set[int]:
    return set(connection.scalars(sa.select(table.c.v).distinct()))


@contextlib.contextmanager
def being_written(warehouse: Warehouse) -> Iterator[None]:
    """Another writer holds the warehouse."""
    has_begun, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with warehouse.write() as connection:
            connection.execute(sa.update(ONE).values(v=99))
            has_begun.set()
            is_over.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert has_begun.wait(20)
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_writer_waits_and_says_for_whom(warehouse: Warehouse, warehouse_url: str) -> None:
    said: list[str] = []
    other = open_warehouse(warehouse_url, lock_timeout_seconds=30, tell=said.append)
    with contextlib.ExitStack() as stack:
        stack.enter_context(being_written(warehouse))
        threading.Timer(1.5, stack.close).start()
        with other.write() as connection:
            assert values(connection, ONE) == {99}  # what the other committed, not what was there before it
    first, last = said
    assert first.startswith("waiting for another writer of ")
    assert f"PID {os.getpid()}" in first
    assert "UTC; for at most 30 s" in first
    assert last.startswith("waited ")
    other.engine.dispose()


def test_a_wait_that_is_too_long_names_the_other_and_the_setting(warehouse: Warehouse, warehouse_url: str) -> None:
    other = open_warehouse(warehouse_url, lock_timeout_seconds=0.3)
    with being_written(warehouse):
        began = time.monotonic()
        with pytest.raises(WarehouseError, match=r"within 0\.3 s: .*PID \d+.*RALLY_LOCK_TIMEOUT_SECONDS") as raised:
            put(other, 1)
        assert time.monotonic() - began < 5
        assert raised.value.exit_code == 1
    put(other, 1)
    other.engine.dispose()


def test_readers_wait_for_nobody_and_see_one_state(warehouse: Warehouse, warehouse_url: str) -> None:
    other = open_warehouse(warehouse_url, lock_timeout_seconds=0.1)
    with being_written(warehouse), other.read() as connection:
        assert values(connection, ONE) == {0}
    with other.one_view() as seen:
        with seen.read() as connection:
            assert values(connection, ONE) == {99}
        put(warehouse, 5)
        with seen.read() as connection:
            assert values(connection, ONE) == {99}
            assert values(connection, TWO) == {0}
        with warehouse.read() as connection:
            assert values(connection, TWO) == {5}
    other.engine.dispose()


def test_what_reads_cannot_write(warehouse: Warehouse) -> None:
    for statement in (sa.delete(ONE), sa.text("CREATE TABLE three (k int)"), sa.text("CREATE TEMP TABLE t (k int)")):
        with pytest.raises(sa.exc.DBAPIError, match=r"read-?only"), warehouse.read() as connection:
            connection.execute(statement)
    with warehouse.read(scratch=True) as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE t (k int)")
    put(warehouse, 3)


#: A program of somebody else, with the driver alone: reads the half of a table, waits, reads the rest, looks again.
_SQLITE_READER = """
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
def cursor(): return db.execute("SELECT v FROM one ORDER BY k")
"""
_POSTGRES_READER = """
import psycopg, sys
db = psycopg.connect(sys.argv[1])
def cursor():
    made = db.cursor(name="dashboard")
    made.itersize = 10
    return made.execute("SELECT v FROM one ORDER BY k")
"""
_READ = """
open_one = cursor()
seen = [row[0] for row in open_one.fetchmany(100)]
print("half", flush=True)
sys.stdin.readline()
seen += [row[0] for row in open_one.fetchall()]
open_one.close()
db.rollback()
again = [row[0] for row in cursor().fetchall()]
print(len(seen), sorted(set(seen)), len(again), sorted(set(again)), flush=True)
"""


@contextlib.contextmanager
def dashboard(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process with an open cursor, half read."""
    parsed = sa.make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    place = str(parsed.database) if is_sqlite else parsed.set(drivername="postgresql").render_as_string(False)
    program = (_SQLITE_READER if is_sqlite else _POSTGRES_READER) + _READ
    process = subprocess.Popen(
        [sys.executable, "-c", program, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    yield process
    process.kill()
    process.communicate()


def test_an_open_cursor_sees_the_old_state_to_its_end(warehouse: Warehouse, warehouse_url: str) -> None:
    """And keeps no writer waiting: several replace the table meanwhile, in less than a lock would be waited for."""
    hasty = open_warehouse(warehouse_url, lock_timeout_seconds=2)
    with dashboard(warehouse_url) as process:
        for value in range(1, 6):
            put(hasty, value)
        out, _ = process.communicate("\n", timeout=30)
    assert out == f"{ROWS} [0] {ROWS} [5]\n"
    assert process.returncode == 0
    hasty.engine.dispose()


def test_the_log_is_emptied_when_the_reader_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite: an open cursor lets the log grow; nothing fails, and it does not stay that large."""
    limit = 100_000
    monkeypatch.setattr(engine_module, "WAL_LIMIT_BYTES", limit)
    monkeypatch.setattr(engine_module, "_CHECKPOINT_SECONDS", 0.01)
    url = f"sqlite:///{tmp_path / 'w.sqlite'}"
    warehouse = open_warehouse(url)
    with warehouse.write() as connection:
        for table in (ONE, TWO):
            table.create(connection)
    log = tmp_path / "w.sqlite-wal"
    put(warehouse, 0)
    with dashboard(url) as process:
        for value in range(1, 5):
            put(warehouse, value)
        assert log.stat().st_size > 2 * limit
        out, _ = process.communicate("\n", timeout=30)
    assert out == f"{ROWS} [0] {ROWS} [4]\n"
    put(warehouse, 9)
    assert log.stat().st_size <= limit
    with warehouse.read() as connection:
        assert values(connection, ONE) == values(connection, TWO) == {9}
    warehouse.engine.dispose()


_VICTIM = """
import sys, time
import sqlalchemy as sa
from rally_pipeline.warehouse.engine import open_warehouse
with open_warehouse(sys.argv[1]).write() as connection:
    connection.execute(sa.text("UPDATE one SET v = -1"))
    print("written", flush=True)
    time.sleep(600)
"""


def test_a_killed_writer_holds_nothing(warehouse: Warehouse, warehouse_url: str) -> None:
    said: list[str] = []
    other = open_warehouse(warehouse_url, lock_timeout_seconds=20, tell=said.append)
    victim = subprocess.Popen([sys.executable, "-c", _VICTIM, warehouse_url], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"written\n"
        threading.Timer(1.3, os.kill, (victim.pid, signal.SIGKILL)).start()
        put(other, 7)
    finally:
        victim.kill()
        victim.communicate()
    assert f"PID {victim.pid}" in said[0]
    with warehouse.read() as connection:
        assert values(connection, ONE) == values(connection, TWO) == {7}
    other.engine.dispose()


def test_many_writers_at_once_each_get_their_turn(warehouse: Warehouse, warehouse_url: str) -> None:
    """Each adds to what it reads: nothing is lost if one waits for the other, and none fails."""
    failures: list[BaseException] = []

    def add() -> None:
        mine = open_warehouse(warehouse_url, lock_timeout_seconds=60)
        try:
            for _ in range(10):
                with mine.write() as connection:
                    before = connection.scalar(sa.select(TWO.c.v).where(TWO.c.k == 0))
                    connection.execute(sa.update(TWO).where(TWO.c.k == 0).values(v=(before or 0) + 1))
        except BaseException as error:
            failures.append(error)
        finally:
            mine.engine.dispose()

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with warehouse.read() as connection:
        assert connection.scalar(sa.select(TWO.c.v).where(TWO.c.k == 0)) == 60


def test_a_transaction_of_another_program_is_waited_for(tmp_path: Path) -> None:
    """SQLite cannot say who it is; that it is none of ours is said."""
    import sqlite3

    said: list[str] = []
    warehouse = open_warehouse(f"sqlite:///{tmp_path / 'w.sqlite'}", lock_timeout_seconds=1.3, tell=said.append)
    with warehouse.write() as connection:
        ONE.create(connection)
    stranger = sqlite3.connect(tmp_path / "w.sqlite", isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(WarehouseError, match="not rally-pipeline"), warehouse.write():
        pass
    assert "not rally-pipeline" in said[0]
    stranger.execute("ROLLBACK")
    stranger.close()
    with warehouse.write() as connection:
        connection.execute(sa.insert(ONE), {"k": 1, "v": 1})
    warehouse.engine.dispose()


def test_a_table_that_is_in_use_is_named_with_who_uses_it(postgres_url) -> None:
    """PostgreSQL, a change of the schema behind an open dashboard: one error, no traceback, and who it is."""
    url = postgres_url()
    warehouse = open_warehouse(url, lock_timeout_seconds=0.5)
    with warehouse.write() as connection:
        ONE.create(connection)
    reader = sa.create_engine(url, connect_args={"application_name": "dashboard 7"})
    with reader.connect() as connection:
        connection.execute(sa.select(ONE)).all()
        with pytest.raises(WarehouseError, match=r"dashboard 7 \(session \d+\), since "), warehouse.write() as writing:
            writing.execute(sa.text("DROP TABLE one"))
    reader.dispose()
    with warehouse.write() as connection:
        connection.execute(sa.text("DROP TABLE one"))
    warehouse.engine.dispose()


def test_a_reader_behind_a_change_of_the_schema_is_told_so(postgres_url) -> None:
    url = postgres_url()
    warehouse, hasty = open_warehouse(url), open_warehouse(url, lock_timeout_seconds=0.3)
    with warehouse.write() as connection:
        ONE.create(connection)
    with warehouse.write() as connection:
        connection.execute(sa.text("ALTER TABLE one ADD COLUMN w int"))
        with pytest.raises(WarehouseError, match="schema is being changed"), hasty.read() as reading:
            reading.execute(sa.select(ONE)).all()
    with hasty.read() as reading:
        assert reading.execute(sa.select(ONE)).all() == []
    for one in (warehouse, hasty):
        one.engine.dispose()
