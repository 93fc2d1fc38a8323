"""How long Dagster remembers runs, without forgetting what they made.

Deleting a run with Dagster's own means deletes the events by which it knows that partitions are materialized. Here a
run that ended long ago loses its log, which is nearly all of it, and the events that later ones of the same kind have
replaced. What stays, and why:

- of each asset, partition and kind of event the latest: what is materialized, failed or planned follows from these;
- of each asset check and partition the latest execution and the latest completed one;
- the record of a run to which one of these points, the latest of each job and outcome, those of backfills, those that a
  sensor asked for by key (it would ask again), and the first and previous of those tried again;
- the last row of every table whose numbers SQLite would give again: cursors of sensors are such numbers.

Runs that have not ended are never touched. It works on the tables of Dagster's SQL storages, SQLite (ours and its own)
and PostgreSQL, since their interface knows no such deletion. Belongs here: what can go, and its going. Does not belong
here: when (`retention_job.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.asset_check_execution_record import COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunsTable, RunTagsTable, SnapshotsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.storage.tags import (
    BACKFILL_ID_TAG,
    PARENT_RUN_ID_TAG,
    ROOT_RUN_ID_TAG,
    RUN_KEY_TAG,
    SENSOR_NAME_TAG,
)

from rally_pipeline.errors import UsageError

_CHUNK = 500
_EVENTS, _TAGS, _CHECKS = SqlEventLogStorageTable, AssetEventTagsTable, AssetCheckExecutionsTable
#: Free pages from which a SQLite file is written anew, as a part of all.
_WORTH_SHRINKING = 0.1
_RUN_FILE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.db")


@dataclass
class Pruned:
    """What was removed; or would be, if `is_dry`.

    Attributes:
        before: runs that ended earlier (UTC) were looked at.
        is_dry: nothing was removed.
        runs_ended: how many those are.
        runs_removed: of these, gone altogether.
        runs_kept: of these, without their log, but still known.
        logs_removed: logs of runs: files of the event log, and what steps printed.
        events_removed: events in the log of all runs.
        checks_removed: executions of checks that later ones have replaced.
        snapshots_removed: descriptions of jobs that no run has any longer.
        bytes_before, bytes_after: of Dagster's SQLite files and logs of steps; 0 = they are somewhere else.
        notes: what could not be done, and why.
    """

    before: dt.datetime
    is_dry: bool
    runs_ended: int = 0
    runs_removed: int = 0
    runs_kept: int = 0
    logs_removed: int = 0
    events_removed: int = 0
    checks_removed: int = 0
    snapshots_removed: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {**vars(self), "before": self.before.isoformat()}

    def lines(self) -> Iterator[str]:
        """For people."""
        would = "would be " if self.is_dry else ""
        yield f"{self.runs_ended:,} runs ended before {self.before:%Y-%m-%d %H:%M} UTC"
        yield (
            f"{would}removed: {self.runs_removed:,} of them altogether, {self.logs_removed:,} logs, "
            f"{self.events_removed:,} events, {self.checks_removed:,} executions of checks, "
            f"{self.snapshots_removed:,} descriptions of jobs"
        )
        yield f"kept: {self.runs_kept:,} of these runs, by which Dagster knows what is materialized"
        if not self.is_dry and self.bytes_before:
            yield f"{self.bytes_before / 2**20:,.1f} MiB became {self.bytes_after / 2**20:,.1f} MiB"
        yield from self.notes


def prune(instance: dg.DagsterInstance, *, before: dt.datetime, dry_run: bool = False, own_run: str = "") -> Pruned:
    """Removes what is not needed of runs that ended before a time.

    Killed at any point it has removed nothing that is needed, and the next call goes on.

    Args:
        instance: of Dagster.
        before: aware time.
        dry_run: only count.
        own_run: the run in which this happens, if any; files are written anew only while no other is in progress.

    Raises:
        UsageError: the instance keeps its runs or events in storages that are not SQL.
    """
    events, runs = instance.event_log_storage, instance.run_storage
    if not isinstance(events, SqlEventLogStorage) or not isinstance(runs, SqlRunStorage):
        raise UsageError(
            f"Dagster keeps runs in {type(runs).__name__} and events in {type(events).__name__}, of which nothing is "
            "known here. Fix: use Dagster's SQLite or PostgreSQL storages, or prune with their own means."
        )
    done = Pruned(before.astimezone(dt.UTC), dry_run)
    files = _Files(instance, events)
    done.bytes_before = files.size()
    old = _ended(runs, done.before)
    done.runs_ended = len(old)
    pointed_at = _prune_events(events, old, done)
    removable = _removable(runs, old, pointed_at)
    done.runs_removed, done.runs_kept = len(removable), len(old) - len(removable)
    _prune_runs(runs, removable, done)
    for run_id in [*old, *files.orphans(runs, done.before)]:
        done.logs_removed += files.remove(run_id, dry_run=dry_run)
    if not dry_run:
        others = [run for run in instance.get_runs(dg.RunsFilter(statuses=_unfinished())) if run.run_id != own_run]
        if others:
            done.notes.append(f"files were not written anew: {len(others)} runs are in progress")
        else:
            done.notes += files.shrink()
    done.bytes_after = files.size()
    return done


def _unfinished() -> list[dg.DagsterRunStatus]:
    return [status for status in dg.DagsterRunStatus if status not in FINISHED_STATUSES]


def _ended(storage: SqlRunStorage, before: dt.datetime) -> list[str]:
    """Runs that ended before, oldest first."""
    query = (
        sa.select(RunsTable.c.run_id)
        .where(
            RunsTable.c.status.in_([status.value for status in FINISHED_STATUSES]),
            RunsTable.c.update_timestamp < before.replace(tzinfo=None),
            sa.func.coalesce(RunsTable.c.end_time, 0.0) < before.timestamp(),
        )
        .order_by(RunsTable.c.id)
    )
    with storage.connect() as connection:
        return list(connection.scalars(query))


# Events ---------------------------------------------------------------------------------------------------------------


def _temporary(name: str, type_: type[sa.types.TypeEngine[Any]]) -> sa.Table:
    return sa.Table(name, sa.MetaData(), sa.Column("id", type_, primary_key=True), prefixes=["TEMPORARY"])


_OLD = _temporary("rally_old_runs", sa.String)
_KEPT, _GOING = _temporary("rally_kept_events", sa.BigInteger), _temporary("rally_going_events", sa.BigInteger)
_KEPT_CHECKS = _temporary("rally_kept_checks", sa.BigInteger)


def _prune_events(storage: SqlEventLogStorage, old: Sequence[str], done: Pruned) -> set[str]:
    """Removes replaced events and executions of checks of these runs, all in one transaction.

    Returns:
        The runs to which what stays points.
    """
    is_old = [table.c.run_id.in_(sa.select(_OLD.c.id)) for table in (_EVENTS, _CHECKS)]
    with storage.index_transaction() as connection, _tables(connection):
        for start in range(0, len(old), _CHUNK):
            connection.execute(sa.insert(_OLD), [{"id": run_id} for run_id in old[start : start + _CHUNK]])
        _fill(connection, _KEPT, *_latest_events())
        _fill(connection, _KEPT_CHECKS, *_latest_checks())
        _fill(connection, _GOING, sa.select(_EVENTS.c.id).where(is_old[0], _EVENTS.c.id.not_in(sa.select(_KEPT.c.id))))
        going_checks = sa.and_(is_old[1], _CHECKS.c.id.not_in(sa.select(_KEPT_CHECKS.c.id)))
        done.events_removed = connection.scalar(sa.select(sa.func.count()).select_from(_GOING)) or 0
        done.checks_removed = connection.scalar(sa.select(sa.func.count()).where(going_checks)) or 0
        staying = (
            sa.select(_EVENTS.c.run_id).where(
                _EVENTS.c.asset_key.is_not(None), _EVENTS.c.id.in_(sa.select(_KEPT.c.id))
            ),
            sa.select(_CHECKS.c.run_id).where(_CHECKS.c.id.in_(sa.select(_KEPT_CHECKS.c.id))),
            sa.select(AssetKeyTable.c.last_run_id),
        )
        pointed_at = {run_id for query in staying for run_id in connection.scalars(query.distinct())}
        if not done.is_dry:
            gone = sa.select(_GOING.c.id)
            connection.execute(sa.delete(_TAGS).where(_TAGS.c.event_id.in_(gone)))
            connection.execute(sa.delete(_EVENTS).where(_EVENTS.c.id.in_(gone)))
            connection.execute(sa.delete(_CHECKS).where(going_checks))
    return pointed_at


@contextlib.contextmanager
def _tables(connection: sa.Connection) -> Iterator[None]:
    tables = (_OLD, _KEPT, _GOING, _KEPT_CHECKS)
    for table in tables:
        table.create(connection)
    yield
    # If something failed, they go with the transaction.
    for table in tables:
        table.drop(connection)


def _fill(connection: sa.Connection, table: sa.Table, *queries: sa.Select[Any]) -> None:
    connection.execute(sa.insert(table).from_select(["id"], sa.union(*queries) if len(queries) > 1 else queries[0]))


def _latest_events() -> list[sa.Select[Any]]:
    last = sa.func.max(_EVENTS.c.id)
    return [
        sa.select(last)
        .where(_EVENTS.c.asset_key.is_not(None))
        .group_by(_EVENTS.c.asset_key, _EVENTS.c.dagster_event_type, _EVENTS.c.partition),
        sa.select(last).having(last.is_not(None)),
    ]


def _latest_checks() -> list[sa.Select[Any]]:
    last = sa.func.max(_CHECKS.c.id)
    completed = [status.value for status in COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES]
    of_each = sa.select(last).group_by(_CHECKS.c.asset_key, _CHECKS.c.check_name, _CHECKS.c.partition)
    return [
        of_each,
        of_each.where(_CHECKS.c.execution_status.in_(completed)),
        of_each.where(_CHECKS.c.evaluation_event_storage_id.is_not(None)),
    ]


# Runs -----------------------------------------------------------------------------------------------------------------


def _removable(storage: SqlRunStorage, old: Sequence[str], pointed_at: set[str]) -> list[str]:
    """Those of the old runs that nothing points to any longer."""
    with storage.connect() as connection:
        last = sa.func.max(RunsTable.c.id)
        latest = sa.union(
            sa.select(last).group_by(RunsTable.c.pipeline_name, RunsTable.c.status),
            sa.select(last).having(last.is_not(None)),
        )
        needed = set(connection.scalars(sa.select(RunsTable.c.run_id).where(RunsTable.c.id.in_(latest))))
        needed |= set(connection.scalars(sa.select(RunsTable.c.run_id).where(RunsTable.c.backfill_id.is_not(None))))
        by_key = sa.intersect(
            sa.select(RunTagsTable.c.run_id).where(RunTagsTable.c.key == RUN_KEY_TAG),
            sa.select(RunTagsTable.c.run_id).where(RunTagsTable.c.key == SENSOR_NAME_TAG),
        )
        of_backfills = sa.select(RunTagsTable.c.run_id).where(RunTagsTable.c.key == BACKFILL_ID_TAG)
        needed |= set(connection.scalars(by_key)) | set(connection.scalars(of_backfills))
        family = sa.select(RunTagsTable.c.run_id, RunTagsTable.c.value).where(
            RunTagsTable.c.key.in_([ROOT_RUN_ID_TAG, PARENT_RUN_ID_TAG])
        )
        relatives = [(row.run_id, row.value) for row in connection.execute(family)]
    removable = set(old) - needed - pointed_at
    while elders := {elder for run_id, elder in relatives if run_id not in removable} & removable:
        removable -= elders
    return [run_id for run_id in old if run_id in removable]


def _prune_runs(storage: SqlRunStorage, run_ids: Sequence[str], done: Pruned) -> None:
    snapshots: set[str] = set()
    for start in range(0, len(run_ids), _CHUNK):
        chunk = run_ids[start : start + _CHUNK]
        with _transaction(storage) as connection:
            bodies = connection.execute(
                sa.select(RunsTable.c.snapshot_id, RunsTable.c.run_body).where(RunsTable.c.run_id.in_(chunk))
            )
            for row in bodies:
                snapshots |= {row.snapshot_id, json.loads(row.run_body).get("execution_plan_snapshot_id")}
            if not done.is_dry:
                connection.execute(sa.delete(RunTagsTable).where(RunTagsTable.c.run_id.in_(chunk)))
                connection.execute(sa.delete(RunsTable).where(RunsTable.c.run_id.in_(chunk)))
    snapshots.discard(None)
    if snapshots and not done.is_dry:
        with _transaction(storage) as connection:
            unused = sorted(snapshots - _named(connection, snapshots))
            connection.execute(sa.delete(SnapshotsTable).where(SnapshotsTable.c.snapshot_id.in_(unused)))
            done.snapshots_removed = len(unused)


def _named(connection: sa.Connection, snapshots: set[str]) -> set[str]:
    """Those that a run still has, or another snapshot comes from."""
    bodies = [
        row.run_body + (row.snapshot_id or "")
        for row in connection.execute(sa.select(RunsTable.c.run_body, RunsTable.c.snapshot_id))
    ]
    named = {one for one in snapshots if any(one in body for body in bodies)}
    others = sa.select(SnapshotsTable.c.snapshot_body).where(SnapshotsTable.c.snapshot_id.not_in(sorted(snapshots)))
    for body in connection.scalars(others):
        text = zlib.decompress(body).decode()
        named |= {one for one in snapshots - named if one in text}
    return named


@contextlib.contextmanager
def _transaction(storage: SqlRunStorage) -> Iterator[sa.Connection]:
    with storage.connect() as connection:
        if connection.in_transaction():  # SQLite
            yield connection
        else:
            connection = connection.execution_options(isolation_level="READ COMMITTED")  # else each statement is one
            with connection.begin():
                yield connection


# Files ----------------------------------------------------------------------------------------------------------------


class _Files:
    """The files of SQLite storages, and what steps printed; none of the former where the storage is PostgreSQL."""

    def __init__(self, instance: dg.DagsterInstance, events: SqlEventLogStorage) -> None:
        self._printed = instance.compute_log_manager
        self._events = events if isinstance(events, SqliteEventLogStorage) else None
        self._shards = Path(self._events.path_for_shard(INDEX_SHARD_NAME)).parent if self._events is not None else None
        home = Path(instance.root_directory)
        self._shared = [home / "history" / "runs.db", home / "schedules" / "schedules.db"]
        if self._shards is not None:
            self._shared.append(self._shards / f"{INDEX_SHARD_NAME}.db")
        base = getattr(self._printed, "_base_dir", None)
        self._printed_folder = Path(base) if base else None

    def size(self) -> int:
        """Bytes of all of them."""
        folders = [folder for folder in (self._shards, self._printed_folder) if folder is not None]
        inside = (path for folder in folders for path in folder.rglob("*"))
        total = 0
        for path in {*inside, *self._shared}:
            with contextlib.suppress(FileNotFoundError):
                total += path.lstat().st_size if path.is_file() else 0
        return total

    def remove(self, run_id: str, *, dry_run: bool) -> int:
        """Removes the log of a run; says whether there was one."""
        found = [Path(f"{self._path(run_id)}{end}") for end in ("", "-wal", "-shm")] if self._shards else []
        printed = self._printed_folder / run_id if self._printed_folder else None
        is_there = any(path.exists() for path in found) or (printed is not None and printed.exists())
        if is_there and not dry_run:
            for path in found:
                path.unlink(missing_ok=True)
            self._printed.delete_logs(prefix=[run_id])
            if self._events is not None:
                self._events._initialized_dbs.discard(run_id)  # it is made anew if somebody asks for the log
        return int(is_there)

    def _path(self, run_id: str) -> Path:
        assert self._events is not None
        return Path(self._events.path_for_shard(run_id))

    def orphans(self, runs: SqlRunStorage, before: dt.datetime) -> list[str]:
        """Runs of which there is a log and no record: what a process left that was killed here."""
        if self._shards is None or not self._shards.is_dir():
            return []
        old = [
            path.stem
            for path in self._shards.iterdir()
            if _RUN_FILE.fullmatch(path.name) and path.stat().st_mtime < before.timestamp()
        ]
        with runs.connect() as connection:
            known = set(connection.scalars(sa.select(RunsTable.c.run_id)))
        return sorted(set(old) - known)

    def shrink(self) -> list[str]:
        """Writes files anew that have become too large for what is in them; says which could not be."""
        return [note for path in self._shared if path.exists() for note in _shrunk(path)]


def _shrunk(path: Path) -> Iterable[str]:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
            free = connection.execute("PRAGMA freelist_count").fetchone()[0]
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            if free > _WORTH_SHRINKING * pages:
                connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        return [f"{path.name} was not written anew: {error}"]
    return []
