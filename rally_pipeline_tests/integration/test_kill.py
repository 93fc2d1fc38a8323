"""kill -9 in the middle: the warehouse is as before, nothing is forgotten, and the next run completes the work.

Where the process stands when it is killed is not left to chance: a trigger on the table lets it write some rows of the
load and then blocks it there, inside the transaction.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline import fetches, ingest, load_log
from rally_pipeline.marts.refresh import refresh
from rally_pipeline.schema import metadata
from rally_pipeline.sources.base import Dataset
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import (
    ROOT,
    core_rows,
    deliver,
    environment,
    open_at,
    price_csv,
    price_payload,
    rows_of,
    utc,
)

_LAST_BEFORE_BLOCK = "2021-06-01"

#: Runs in the process to be killed: a load in which the database blocks at a certain row until a file appears.
_VICTIM = """
import os, sys, time
from pathlib import Path
import sqlalchemy as sa
from rally_pipeline import fetches, ingest, load_log
from rally_pipeline.marts.refresh import refresh
from rally_pipeline.settings import load_settings
from rally_pipeline.sources.base import Dataset
from rally_pipeline.workspace import open_workspace

what, marker = sys.argv[1], Path(sys.argv[2])
workspace = open_workspace(load_settings())

def block(*_):
    marker.touch()
    time.sleep(600)

if workspace.warehouse.dialect == "sqlite":
    @sa.event.listens_for(workspace.warehouse.engine, "connect")
    def _(connection, _record):
        connection.create_function("block", 0, block)
    workspace.warehouse.engine.dispose()

if what == "archive":
    import rally_pipeline.ingest as module
    module.load = block
    from rally_pipeline.cli import main
    main(sys.argv[3:])
elif what == "register":
    import rally_pipeline.ingest as module
    module.register = block
    from rally_pipeline.cli import main
    main(sys.argv[3:])
elif what == "refresh":
    with workspace.warehouse.write() as connection:
        refresh(connection)
else:
    with workspace.warehouse.read() as connection:
        (record,) = fetches.pending(connection, Dataset.PRICE)
    ingest.load(workspace, record)
"""


@pytest.fixture
def workspace(tmp_path: Path, warehouse_url: str) -> Iterator[Workspace]:
    opened = open_at(tmp_path / "home", warehouse_url)
    yield opened
    opened.warehouse.engine.dispose()


def _big_file(workspace: Workspace, close: float = 10) -> bytes:
    days = workspace.calendars.known_sessions("HK", *(utc(d).date() for d in ("2020-01-01", "2023-12-31")))
    return price_csv([(day, close + n % 7, 1000 + n) for n, day in enumerate(days)], "date,close,volume")


def _set_trap(workspace: Workspace, table: str, column: str, day: str) -> Callable[[], None]:
    """Blocks whoever inserts this day; returns what takes the trap away."""
    with workspace.warehouse.write() as connection:
        if workspace.warehouse.dialect == "sqlite":
            connection.exec_driver_sql(
                f"CREATE TRIGGER trap BEFORE INSERT ON {table} WHEN NEW.{column} = '{day}' BEGIN SELECT block(); END"
            )
        else:
            connection.exec_driver_sql(
                "CREATE FUNCTION block() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_advisory_lock(4711); RETURN NEW; END $$"
            )
            connection.exec_driver_sql(
                f"CREATE TRIGGER trap BEFORE INSERT ON {table} FOR EACH ROW WHEN (NEW.{column} = '{day}') "
                "EXECUTE FUNCTION block()"
            )

    def remove() -> None:
        on = "" if workspace.warehouse.dialect == "sqlite" else f" ON {table}"
        with workspace.warehouse.write() as connection:
            connection.exec_driver_sql(f"DROP TRIGGER trap{on}")

    return remove


def _kill_in(workspace: Workspace, tmp_path: Path, what: str, *arguments: str) -> None:
    """Runs the victim until it stands blocked, and kills it there."""
    marker = tmp_path / "blocked"
    env = environment(workspace.settings.home, workspace.settings.resolved_warehouse_url)
    postgres = workspace.warehouse.dialect == "postgresql"
    with workspace.warehouse.engine.connect() as guard:
        if postgres:
            guard.exec_driver_sql("SELECT pg_advisory_lock(4711)")
            guard.commit()
        victim = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, what, str(marker), *arguments],
            env=env,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 60
            while not (marker.exists() or (postgres and _is_somebody_waiting(guard))):
                assert victim.poll() is None, victim.stderr and victim.stderr.read().decode()
                assert time.monotonic() < deadline, "never got to the trap"
                time.sleep(0.05)
        finally:
            os.kill(victim.pid, signal.SIGKILL)
            victim.communicate()
        assert victim.returncode == -signal.SIGKILL
        if postgres:
            _await_end_of_session(guard)
            guard.exec_driver_sql("SELECT pg_advisory_unlock(4711)")


def _is_somebody_waiting(guard: sa.Connection) -> bool:
    found = guard.exec_driver_sql(
        "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
    ).first()
    guard.commit()
    return found is not None


def _await_end_of_session(guard: sa.Connection) -> None:
    """The server learns of the death of a client that waits for a lock only when it looks; here it is told."""
    guard.exec_driver_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
    )
    guard.commit()
    deadline = time.monotonic() + 20
    while _is_somebody_waiting(guard):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _everything(workspace: Workspace) -> dict[str, object]:
    return {name: rows_of(workspace, name) for name in metadata.tables}


def _complete(workspace: Workspace) -> list[load_log.LoadOutcome]:
    """What the next run does."""
    with workspace.warehouse.read() as connection:
        waiting = fetches.pending(connection, Dataset.PRICE)
    outcomes = [ingest.load(workspace, record) for record in waiting]
    with workspace.warehouse.write() as connection:
        refresh(connection)
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize("is_restatement", [False, True], ids=["first load", "restatement"])
def test_killed_in_the_middle_of_a_load(workspace: Workspace, tmp_path: Path, is_restatement: bool) -> None:
    if is_restatement:
        deliver(workspace, price_payload(_big_file(workspace, 50), known_at=utc("2024-01-01")))
    record = ingest.keep(workspace, price_payload(_big_file(workspace), known_at=utc("2024-02-01")))
    before = _everything(workspace)
    remove = _set_trap(workspace, "core_price_daily", "session_date", _LAST_BEFORE_BLOCK)
    _kill_in(workspace, tmp_path, "load")
    remove()
    assert _everything(workspace) == before

    (outcome,) = _complete(workspace)
    assert outcome.record == record
    assert outcome.merged.changed + outcome.merged.new == outcome.rows_parsed > 900
    assert _everything(workspace)["ops_stale"] == []
    assert len(rows_of(workspace, "core_price_resolved_daily")) == outcome.rows_parsed
    assert _complete(workspace) == []


def test_killed_while_marts_are_computed(workspace: Workspace, tmp_path: Path) -> None:
    """What was behind is still marked as behind."""
    deliver(workspace, price_payload(_big_file(workspace), known_at=utc("2024-02-01")))
    before = _everything(workspace)
    remove = _set_trap(workspace, "mart_price_extremes_daily", "session_date", _LAST_BEFORE_BLOCK)
    _kill_in(workspace, tmp_path, "refresh")
    remove()
    assert _everything(workspace) == before
    assert before["ops_stale"]
    assert _complete(workspace) == []
    assert len(rows_of(workspace, "mart_price_extremes_daily")) == len(rows_of(workspace, "core_price_daily"))


@pytest.mark.parametrize("where", ["archive", "register"])
def test_killed_between_archive_and_load(workspace: Workspace, tmp_path: Path, where: str) -> None:
    """The bytes are there; the next run loads what was registered, the next import what was not."""
    file = tmp_path / "0700.csv"
    file.write_bytes(_big_file(workspace))
    arguments = ["import", "prices", str(file), "--symbol", "0700.HK", "--known-at", "2024-02-01"]
    if workspace.warehouse.dialect == "postgresql":
        _kill_by_marker(workspace, tmp_path, where, arguments)
    else:
        _kill_in(workspace, tmp_path, where, *arguments)
    (record,) = workspace.archive.records()
    assert core_rows(workspace) == {"core_price_daily": [], "core_fx_daily": []}
    assert [r["fetch_id"] for r in rows_of(workspace, "raw_fetch")] == ([record.fetch_id] if where == "archive" else [])
    if where == "register":
        assert fetches.register_archived(workspace) == 1
        assert fetches.register_archived(workspace) == 0
    (outcome,) = _complete(workspace)
    assert outcome.record.fetch_id == record.fetch_id
    assert outcome.merged.new > 900


def _kill_by_marker(workspace: Workspace, tmp_path: Path, what: str, arguments: list[str]) -> None:
    """Like `_kill_in`, where Python and not the database blocks."""
    marker = tmp_path / "blocked"
    env = environment(workspace.settings.home, workspace.settings.resolved_warehouse_url)
    victim = subprocess.Popen(
        [sys.executable, "-c", _VICTIM, what, str(marker), *arguments], env=env, cwd=ROOT, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 60
        while not marker.exists():
            assert victim.poll() is None, victim.stderr and victim.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        os.kill(victim.pid, signal.SIGKILL)
        victim.communicate()
