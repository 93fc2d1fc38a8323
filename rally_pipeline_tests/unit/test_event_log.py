"""The event log's connections, kept open for a command: how many are made, who sees what, and what is left behind."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from rally_pipeline.orchestration.event_log import kept_connections
from rally_pipeline.orchestration.instance import open_instance
from rally_pipeline.settings import load_settings


@dg.asset
def made() -> None:
    pass


def test_kept_connections_show_others_everything_and_leave_no_journal(tmp_path: Path) -> None:
    opened: list[str] = []

    def note(connection: object, _record: object) -> None:
        opened.append(str(connection))

    sa.event.listen(sa.Pool, "connect", note)
    try:
        with open_instance(load_settings(home=tmp_path)) as instance:
            shards = Path(instance.event_log_storage.path_for_shard("index")).parent  # type: ignore[attr-defined]
            dg.materialize([made], instance=instance)
            each_time = len(opened)
            with kept_connections(instance):
                opened.clear()
                done = dg.materialize([made], instance=instance)
                assert len(opened) < each_time / 2
                # What is written is Dagster's own class's to read while the connections are open …
                theirs = SqliteEventLogStorage(str(shards)).get_logs_for_run(done.run_id)
                assert len(theirs) == len(instance.all_logs(done.run_id)) > 5
                # … and another thread's.
                seen: list[int] = []
                thread = threading.Thread(target=lambda: seen.append(len(instance.all_asset_keys())))
                thread.start()
                thread.join()
                assert seen == [1]
                assert list(shards.glob("*.db-wal"))
            assert not list(tmp_path.rglob("*.db-wal"))
            assert dg.materialize([made], instance=instance).success
    finally:
        sa.event.remove(sa.Pool, "connect", note)


def test_what_is_there_is_asked_once_and_what_is_not_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def note(*about: object) -> None:
        asked.append(str(about[2]))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        with open_instance(load_settings(home=tmp_path)) as instance, kept_connections(instance):
            storage: Any = instance.event_log_storage
            for ask, name, is_there in (
                (storage.has_table, "asset_event_tags", True),
                (storage.has_table, "nothing", False),
                (storage.has_asset_key_col, "cached_status_data", True),
                (storage.has_asset_key_col, "nothing", False),
                (storage.has_secondary_index, "asset_key_table", True),
                (storage.has_secondary_index, "nothing", False),
            ):
                assert ask(name) is is_there
                asked.clear()
                assert ask(name) is is_there
                assert bool(asked) is not is_there, name
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@dg.asset(
    partitions_def=dg.DailyPartitionsDefinition("2025-01-01"), check_specs=[dg.AssetCheckSpec("fine", asset="days")]
)
def days():  # type: ignore[no-untyped-def]
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


def test_a_planned_check_has_no_days_and_later_runs_begin_as_the_first(tmp_path: Path) -> None:
    with open_instance(load_settings(home=tmp_path)) as instance:
        runs = [dg.materialize([days], instance=instance, partition_key=f"2025-01-0{day}") for day in (2, 3)]
        for run in runs:
            (planned,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
            assert planned.get_dagster_event().asset_check_planned_data.partitions_subset is None
        assert instance.get_materialized_partitions(dg.AssetKey("days")) == {"2025-01-02", "2025-01-03"}
        schemas = []
        for run in runs:
            path = instance.event_log_storage.path_for_shard(run.run_id)  # type: ignore[attr-defined]
            with contextlib.closing(sqlite3.connect(path)) as connection:
                assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
                schemas.append(connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall())
                schemas[-1] += connection.execute("SELECT * FROM alembic_version").fetchall()
        assert schemas[0] == schemas[1]


def test_what_a_run_prints_stands_in_its_files_and_on_the_console(tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import os, pathlib, subprocess, sys
        import dagster as dg
        from rally_pipeline.orchestration.instance import open_instance
        from rally_pipeline.orchestration.printed import followed_here
        from rally_pipeline.settings import load_settings

        @dg.asset
        def loud():
            print("said in Python")
            os.write(1, b"said below it\\n")
            print("complained", file=sys.stderr)

        subprocess.Popen = None
        with open_instance(load_settings(home=pathlib.Path(sys.argv[1]))) as instance, followed_here(instance):
            quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
            done = dg.materialize([loud], instance=instance, run_config=quiet)
            print("after it")
            (captured,) = instance.all_logs(done.run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
            data = captured.get_dagster_event().logs_captured_data
            key = [done.run_id, "compute_logs", data.file_key]
            logs = instance.compute_log_manager.get_log_data(key)
            assert instance.compute_log_manager.is_capture_complete(key)
        assert sorted(logs.stdout.decode().splitlines()) == ["said below it", "said in Python"], logs.stdout
        assert "complained" in logs.stderr.decode()
        """
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["after it", "said below it", "said in Python"]
    assert done.stdout.splitlines()[-1] == "after it"
    assert done.stderr.count("complained") == 1
