"""Dagster's SQLite event log, with the events of many partitions and of many checks written in one transaction.

A run over a range of partitions records for each of them that it is planned and that it is made; a step with asset
checks records for each of them an output and a result. Dagster's own storage opens up to two databases and commits up
to three times for every event (about 10 ms); here a batch costs one commit to each. Everything else, and the files
themselves, are Dagster's: its own class reads what this one wrote.

Partitions come as batches already, while ``DAGSTER_EVENT_BATCH_SIZE`` is set (see `instance.py`). Results of checks
come one by one; they are held back until something else happens in the run, which a step's end always is. A process
that is killed in between loses them, and the step is then run again.

It also opens and closes a connection each time, and closing the last one of a database moves its journal into the
file, which takes longer than the writing. `kept_connections` keeps them open for the length of a command.

Belongs here: the writing of these events. Does not belong here: what they say.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster import AssetCheckEvaluation, DagsterEventType, DagsterInstance, EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData

from rally_pipeline.files import write_new
from rally_pipeline.settings import load_settings

#: The events that come once per partition.
_OF_PARTITIONS = (DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
#: Those that come once per check, and stand in the index too.
_OF_CHECKS = (DagsterEventType.ASSET_CHECK_EVALUATION, DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
_INDEXED = (*_OF_PARTITIONS, *_OF_CHECKS)
#: Those that are held back: a check's result, and the output that Dagster records before it.
_HELD = (DagsterEventType.ASSET_CHECK_EVALUATION, DagsterEventType.STEP_OUTPUT)
_MOST_HELD = 500
#: As SQLite makes its files: who may read the folder may read the runs.
_DATABASE_MODE = 0o644


class BatchSqliteEventLogStorage(SqliteEventLogStorage):
    """Needs no configuration: the files lie where Dagster puts its own, in ``DAGSTER_HOME`` or in the home's."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._kept: dict[str, sa.Connection] | None = None
        self._there: set[tuple[str, str]] = set()
        self._empty = b""
        super().__init__(base_dir, inst_data)  # connects
        self._held: dict[str, list[EventLogEntry]] = defaultdict(list)
        self._held_lock = threading.RLock()

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

    @contextlib.contextmanager
    def kept_connections(self) -> Iterator[None]:
        """Keeps the connection to each database open; closed at the end. Every commit survives the process.

        Which tables, columns and migrations there are is asked once: Dagster asks with every event of an asset.
        """
        self._kept = {}
        try:
            yield
        finally:
            with self._db_lock:
                kept, self._kept = self._kept, None
                self._there.clear()
                for connection in kept.values():
                    connection.close()

    @contextlib.contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        kept = self._kept
        if kept is None or shard not in self._initialized_dbs:  # Dagster's own makes the tables
            with super()._connect(shard) as connection:
                yield connection
            return
        with self._db_lock:
            if shard not in kept:
                waits = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
                engine = sa.create_engine(self.conn_string_for_shard(shard), poolclass=sa.NullPool, connect_args=waits)
                _as_durable_as_the_warehouse(engine)
                kept[shard] = engine.connect()
            with kept[shard].begin():
                yield kept[shard]

    def has_table(self, table_name: str) -> bool:
        """Called by Dagster, as are those below."""
        return self._is_there("table", table_name, super().has_table)

    def has_secondary_index(self, name: str) -> bool:
        """Whether a migration of data is done."""
        return self._is_there("migration", name, super().has_secondary_index)

    def has_asset_key_col(self, column_name: str) -> bool:
        """Whether the table of assets has a column."""
        return self._is_there("column", column_name, super().has_asset_key_col)

    def _has_asset_key_col_on_connection(self, conn: sa.Connection, column_name: str) -> bool:
        ask = super()._has_asset_key_col_on_connection
        return self._is_there("column", column_name, lambda name: ask(conn, name))

    def _is_there(self, kind: str, name: str, ask: Callable[[str], bool]) -> bool:
        """What is there stays; what is not may be made meanwhile."""
        if (kind, name) in self._there:
            return True
        is_there = ask(name)
        if is_there and self._kept is not None:
            self._there.add((kind, name))
        return is_there

    def _initdb(self, engine: sa.Engine, for_index_shard: bool = False) -> None:
        """Makes the tables of a database; each run has its own, and they begin as copies of the first one made here."""
        path = Path(engine.url.database or "")
        if for_index_shard or path.exists():
            super()._initdb(engine, for_index_shard)
        elif not self._empty:
            super()._initdb(engine, for_index_shard)
            with contextlib.closing(sqlite3.connect(path)) as connection:
                self._empty = connection.serialize()
        else:
            with contextlib.suppress(OSError):  # what is wrong with the disk, Dagster's own way tells
                if write_new(path, self._empty, _DATABASE_MODE):
                    return
            super()._initdb(engine, for_index_shard)

    def store_event(self, event: EventLogEntry) -> None:
        """Stores an event, after those that were held back; outputs and results of checks are held back."""
        with self._held_lock:
            if _is_one_of(event, _HELD):
                self._held[event.run_id].append(event)
                if len(self._held[event.run_id]) < _MOST_HELD:
                    return
                self._store_held(event.run_id)
                return
            self._store_held(event.run_id)
        if _is_one_of(event, _OF_CHECKS):
            self._store_together([event])
        else:
            super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores the events as `store_event` would one by one, in one transaction per database."""
        runs = {event.run_id for event in events}
        if len(runs) != 1 or len(events) < 2 or not all(_is_one_of(event, _INDEXED) for event in events):
            for event in events:
                self.store_event(event)
            return
        with self._held_lock:
            self._store_held(next(iter(runs)))
        self._store_together(events)

    def dispose(self) -> None:
        """Stores what is held back."""
        with self._held_lock:
            for run_id in list(self._held):
                self._store_held(run_id)
        super().dispose()

    def _store_held(self, run_id: str) -> None:
        if held := self._held.pop(run_id, None):
            self._store_together(held)

    def _store_together(self, events: Sequence[EventLogEntry]) -> None:
        events = [_without_days(event) for event in events]
        rows = [self._event_to_row(event) for event in events]
        with self.run_connection(events[0].run_id) as connection:
            connection.execute(SqlEventLogStorageTable.insert(), rows)
        indexed = [(event, row) for event, row in zip(events, rows, strict=True) if _is_one_of(event, _INDEXED)]
        if not indexed:
            return
        with self.index_transaction() as connection:
            result: Any = connection.execute(SqlEventLogStorageTable.insert().values(**indexed[0][1]))
            first = result.inserted_primary_key[0]
            if len(indexed) > 1:
                connection.execute(SqlEventLogStorageTable.insert(), [row for _, row in indexed[1:]])
            # The first insert has taken the write lock, so nobody else's rows stand in between.
            numbered = [(event, first + number) for number, (event, _) in enumerate(indexed)]
            made = [(event, i) for event, i in numbered if _is_one_of(event, _OF_PARTITIONS)]
            if made:
                self._store_asset_event_tags(connection, [event for event, _ in made], [i for _, i in made])
                # Of each asset only the last one stays in the table of assets.
                last = {event.get_dagster_event().asset_key: (event, i) for event, i in made}
                for event, event_id in last.values():
                    self._store_asset_event(connection, event, event_id)
            texts = [row["event"] for _, row in indexed]
            of_checks = [
                (*one, text) for one, text in zip(numbered, texts, strict=True) if _is_one_of(one[0], _OF_CHECKS)
            ]
            _store_checks(connection, of_checks)


@contextlib.contextmanager
def kept_connections(instance: DagsterInstance) -> Iterator[None]:
    """Lets an instance that writes its events with this module keep its connections; of any other nothing changes.

    For one command that runs jobs and ends. A daemon would gather a file handle with every run it sees, and what
    retention deletes would stay on the disk.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, BatchSqliteEventLogStorage):
        yield
        return
    with storage.kept_connections(), _kept_runs(instance.run_storage):
        yield


@contextlib.contextmanager
def _kept_runs(storage: Any) -> Iterator[None]:
    """The same for the database of runs, of which Dagster makes a new engine each time."""
    if type(storage) is not SqliteRunStorage:
        yield
        return
    with storage.connect() as connection:
        engine = sa.create_engine(connection.engine.url, poolclass=sa.QueuePool)
    _as_durable_as_the_warehouse(engine)
    storage.connect = engine.begin  # type: ignore[method-assign]
    try:
        yield
    finally:
        del storage.connect
        engine.dispose()


def _as_durable_as_the_warehouse(engine: sa.Engine) -> None:
    """Has commits survive the end of the process, but the disk is not waited for at each.

    When the power fails, the last of them may be missing, as in the warehouse, which is written the same way
    (`warehouse/engine.py`): what the log lacks is run again, and what is loaded already is loaded once.
    """

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")


def _is_one_of(event: EventLogEntry, types: Sequence[DagsterEventType]) -> bool:
    return event.is_dagster_event and event.dagster_event_type in types


def _without_days(event: EventLogEntry) -> EventLogEntry:
    """The event, but a planned check without the run's days.

    Dagster 1.13.27 gives them to every check, even to one without partitions such as all of ours (`checks.py`). It
    would plan it once for each day, and its one result would leave them planned for good: the UI would show them as
    skipped. And it would write them with every holiday of their calendar, twenty times what the event is without.
    """
    if event.dagster_event_type is not DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
        return event
    told = event.get_dagster_event()
    planned = told.asset_check_planned_data
    without = AssetCheckEvaluationPlanned(asset_key=planned.asset_key, check_name=planned.check_name)
    return event._replace(dagster_event=told._replace(event_specific_data=without))


_CHECKS = AssetCheckExecutionsTable.c
#: The row of a check in a run. Made once, since there are hundreds of results.
_UPDATE_CHECK = AssetCheckExecutionsTable.update().where(
    _CHECKS.asset_key == sa.bindparam("of_asset"),
    _CHECKS.check_name == sa.bindparam("of_name"),
    _CHECKS.run_id == sa.bindparam("of_run"),
    _CHECKS.partition.is_not_distinct_from(sa.bindparam("of_partition")),
)


def _store_checks(connection: sa.Connection, numbered: Sequence[tuple[EventLogEntry, int, str]]) -> None:
    """The rows of the table of checks, as `store_asset_check_event` writes them one by one.

    Each event comes with its number in the index and its text, which takes longer to make than to store.
    """
    table = AssetCheckExecutionsTable
    planned: list[dict[str, Any]] = []
    for event, event_id, text in numbered:
        said = event.get_dagster_event().event_specific_data
        common = {
            "evaluation_event": text,
            "evaluation_event_timestamp": datetime.fromtimestamp(event.timestamp, UTC).replace(tzinfo=None),
            "evaluation_event_storage_id": event_id,
        }
        if isinstance(said, AssetCheckEvaluationPlanned):
            planned.append(
                {
                    "asset_key": said.asset_key.to_string(),
                    "check_name": said.check_name,
                    "partition": None,
                    "run_id": event.run_id,
                    "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
                    **common,
                }
            )
            continue
        assert isinstance(said, AssetCheckEvaluation)
        status = AssetCheckExecutionRecordStatus.SUCCEEDED if said.passed else AssetCheckExecutionRecordStatus.FAILED
        target = said.target_materialization_data
        values = {
            **common,
            "execution_status": status.value,
            "materialization_event_storage_id": target.storage_id if target else None,
            "partition": said.partition,
        }
        asset = said.asset_key.to_string()
        which = {"of_asset": asset, "of_name": said.check_name, "of_run": event.run_id, "of_partition": said.partition}
        if not connection.execute(_UPDATE_CHECK, {**values, **which}).rowcount:
            identity = {"asset_key": asset, "check_name": said.check_name, "run_id": event.run_id}
            connection.execute(table.insert().values({**identity, **values}))
    if planned:
        connection.execute(table.insert(), planned)
