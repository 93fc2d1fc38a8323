"""Dagster's SQLite event log, with the events of many partitions written in one transaction.

A run over a range of partitions records for each of them that it is planned and that it is made. Dagster's own storage
opens two databases and commits three times for every event (about 10 ms); here a batch costs one commit to each.
Everything else, and the files themselves, are Dagster's: its own class reads what this one wrote.

Belongs here: that one method. Dagster calls it while ``DAGSTER_EVENT_BATCH_SIZE`` is set (see `instance.py`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dagster import DagsterEventType, EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData

from rally_pipeline.settings import load_settings

#: The events that come once per partition.
_BATCHED = (DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED)


class BatchSqliteEventLogStorage(SqliteEventLogStorage):
    """Needs no configuration: the files lie where Dagster puts its own, in ``DAGSTER_HOME`` or in the home's."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Called by Dagster: no fields."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> BatchSqliteEventLogStorage:
        """Called by Dagster with what ``dagster.yaml`` says."""
        home = os.environ.get("DAGSTER_HOME")
        base = Path(home).expanduser() if home else load_settings().dagster_home
        return cls(str(base / "history" / "runs"), inst_data)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores the events as `store_event` would one by one, in one transaction per database."""
        runs = {event.run_id for event in events}
        if len(runs) != 1 or len(events) < 2 or not all(_is_of_partition(event) for event in events):
            super().store_event_batch(events)
            return
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(runs.pop()) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        with self.index_transaction() as connection:
            result: Any = connection.execute(SqlEventLogStorageTable.insert().values(**rows[0]))
            first = result.inserted_primary_key[0]
            connection.execute(SqlEventLogStorageTable.insert(), rows[1:])
            # The first insert has taken the write lock, so nobody else's rows stand in between.
            ids = range(first, first + len(rows))
            self._store_asset_event_tags(connection, events, ids)
            # Of each asset only the last one stays in the table of assets.
            last = {event.get_dagster_event().asset_key: (event, i) for event, i in zip(events, ids, strict=True)}
            for event, event_id in last.values():
                self._store_asset_event(connection, event, event_id)


def _is_of_partition(event: EventLogEntry) -> bool:
    return event.is_dagster_event and event.dagster_event_type in _BATCHED
