"""The event log's connections, kept open for a command: how many are made, who sees what, and what is left behind."""

from __future__ import annotations

import threading
from pathlib import Path

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
            assert not list(shards.glob("*.db-wal"))
            assert dg.materialize([made], instance=instance).success
    finally:
        sa.event.remove(sa.Pool, "connect", note)
