"""Opening a warehouse: one engine per URL, with the settings under which a reader never disturbs a writer.

Belongs here: URLs, connections, transactions and locks. Does not belong here: schema versions (`schema_version.py`)
or what is written (`load.py`, `merge.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rally_pipeline import locks
from rally_pipeline.errors import BusyError, RallyError, UsageError
from rally_pipeline.locks import FileLock, Tell, holder_text, say, wait_for

#: Key of the PostgreSQL advisory lock that makes writers of one warehouse wait for each other.
_WRITER_LOCK = 0x72616C6C79  # "rally"
#: Beside a SQLite file: who writes into it. SQLite itself cannot say.
_WRITER_FILE = "-writer"
#: SQLite's log is emptied after a transaction that leaves it larger: an open reader keeps it from being used again.
WAL_LIMIT_BYTES = 64 * 2**20
_CHECKPOINT_SECONDS = 0.2
#: PostgreSQL cuts longer names of sessions.
_SESSION_NAME_LENGTH = 63
_LOCK_NOT_AVAILABLE = "55P03"


class WarehouseError(RallyError):
    """The warehouse cannot be reached, or is in use by another writer for longer than we wait."""


@dataclass(frozen=True)
class Warehouse:
    """An opened warehouse. ``engine`` is for reading; write through `write` only.

    Attributes:
        engine: of SQLAlchemy.
        lock_timeout_seconds: how long a writer waits for another.
        tell: gets a line when a writer has to wait long enough to wonder.
        guard: looks at every writing transaction before anything is written in it, and may refuse by raising.
        view: the one view that is read, see `one_view`; ``None`` = every reading is of the state of its time.
    """

    engine: sa.Engine
    lock_timeout_seconds: float = 60.0
    tell: Tell = say
    guard: Callable[[sa.Connection], None] = lambda _: None
    view: sa.Connection | None = None

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    @property
    def display_url(self) -> str:
        """The URL without its password, for people."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def read(self, *, scratch: bool = False) -> Iterator[sa.Connection]:
        """A connection with one consistent view of the warehouse for as long as it is open, which waits for no writer
        and makes none wait. Nothing can be written by it.

        Args:
            scratch: temporary tables can be made, as marts of a past time need them.
        """
        if self.view is not None:
            yield self.view
            return
        options: dict[str, Any] = {"rally_access": "scratch" if scratch else "read"}
        if self.dialect == "postgresql":
            options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": not scratch}
        with self._connect(**options) as connection:
            try:
                with connection.begin():
                    yield connection
            except sa.exc.OperationalError as error:
                if not _is_locked(error):
                    raise
                raise WarehouseError(
                    f"{self.display_url} could not be read within {self.lock_timeout_seconds:g} s ({_reason(error)}): "
                    "its schema is being changed. Fix: try again when that is done."
                ) from error

    @contextlib.contextmanager
    def one_view(self) -> Iterator[Warehouse]:
        """The warehouse as it is now, for a report of several parts: whatever is read through it is of one state."""
        with self.read() as connection:
            yield dataclasses.replace(self, view=connection)

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """The writing transaction: one at a time per warehouse, committed as a whole or not at all.

        SQLite takes the write lock at the start (``BEGIN IMMEDIATE``), so that a transaction which began by reading
        cannot fail later; PostgreSQL takes an advisory lock. Both wait up to the lock time-out, and say for whom.

        Raises:
            WarehouseError: another writer did not finish in time; names it.
        """
        with contextlib.ExitStack() as stack:
            turn = (_PostgresTurn if self.dialect == "postgresql" else _SqliteTurn)(self, stack)
            try:
                wait_for(
                    turn.take,
                    turn.holder,
                    what=f"another writer of {self.display_url}",
                    timeout_seconds=self.lock_timeout_seconds,
                    tell=self.tell,
                )
            except BusyError as error:
                raise WarehouseError(str(error)) from None
            connection = turn.connection
            assert connection is not None
            try:
                with turn.transaction:
                    self.guard(connection)
                    yield connection
            except sa.exc.OperationalError as error:
                if self.dialect == "sqlite" or not _is_locked(error):
                    raise
                raise WarehouseError(
                    f"{self.display_url}: a table is in use and was not free within {self.lock_timeout_seconds:g} s "
                    f"({_reason(error)}); open transactions: {self._open_transactions()}. "
                    "Fix: end them, or raise RALLY_LOCK_TIMEOUT_SECONDS."
                ) from error
            if self.dialect == "sqlite":
                _empty_log(connection)

    def _connect(self, **options: Any) -> sa.Connection:
        try:
            return self.engine.connect().execution_options(**options)
        except sa.exc.DBAPIError as error:
            raise WarehouseError(
                f"{self.display_url} cannot be opened: {_reason(error)}. "
                "Fix: see that it is there and running, or correct RALLY_WAREHOUSE_URL."
            ) from error

    def _open_transactions(self) -> str:
        """Who has a transaction open in this PostgreSQL database."""
        query = sa.text(
            "SELECT pid, application_name, xact_start FROM pg_stat_activity WHERE datname = current_database() "
            "AND xact_start IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 5"
        )
        return "; ".join(_session_text(row) for row in self._ask(query)) or "none any more"

    def _ask(self, query: sa.TextClause) -> list[Any]:
        """Rows about sessions, asked on a connection of its own; none if they cannot be had."""
        try:
            with self._connect() as connection, connection.begin():
                return list(connection.execute(query).all())
        except (WarehouseError, sa.exc.DBAPIError):
            return []


class _SqliteTurn:
    """Getting one's turn to write into a SQLite file.

    The file beside the database is a queue of this project's processes, and says who writes; ``BEGIN IMMEDIATE`` waits
    for anybody else.
    """

    transaction: sa.RootTransaction

    def __init__(self, warehouse: Warehouse, stack: contextlib.ExitStack) -> None:
        self._warehouse, self._stack = warehouse, stack
        self._queue = FileLock(Path(f"{warehouse.engine.url.database}{_WRITER_FILE}"))
        self._is_stranger = False
        self.connection: sa.Connection | None = None
        stack.callback(self._queue.release)

    def take(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        try:
            if not self._queue.acquire(seconds):
                return False
        except OSError:  # not ours to write; SQLite keeps order all the same
            pass
        left = max(0.0, deadline - time.monotonic())
        connection = self._warehouse._connect(rally_access="write", rally_busy_seconds=left)
        try:
            self.transaction = connection.begin()
        except sa.exc.OperationalError as error:
            connection.close()
            self._queue.release()
            if not _is_locked(error):
                raise WarehouseError(
                    f"{self._warehouse.display_url} cannot be written: {_reason(error)}. "
                    "Fix: see that the file, its folder and the disk can be written."
                ) from error
            self._is_stranger = True
            return False
        self.connection = self._stack.enter_context(connection)
        return True

    def holder(self) -> str:
        if self._is_stranger:
            return "a program that is not rally-pipeline has begun a transaction that writes"
        return self._queue.holder()


class _PostgresTurn:
    """Getting one's turn to write into a PostgreSQL database: an advisory lock, which PostgreSQL gives in order."""

    transaction: sa.RootTransaction

    def __init__(self, warehouse: Warehouse, stack: contextlib.ExitStack) -> None:
        self._warehouse, self._stack = warehouse, stack
        self.connection: sa.Connection | None = None

    def take(self, seconds: float) -> bool:
        if self.connection is None:
            self.connection = self._stack.enter_context(self._warehouse._connect(rally_access="write"))
        self.transaction = self.connection.begin()
        try:
            self._wait_at_most(seconds)
            self.connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER_LOCK)))
        except sa.exc.OperationalError as error:
            self.transaction.rollback()
            if _is_locked(error):
                return False
            raise WarehouseError(
                f"{self._warehouse.display_url} cannot be written: {_reason(error)}. "
                "Fix: see that it is running, then try again."
            ) from error
        self._wait_at_most(self._warehouse.lock_timeout_seconds)
        return True

    def _wait_at_most(self, seconds: float) -> None:
        assert self.connection is not None
        # 0 would be for ever.
        milliseconds = str(max(1, int(seconds * 1000)))
        self.connection.execute(sa.select(sa.func.set_config("lock_timeout", milliseconds, True)))

    def holder(self) -> str:
        query = sa.text(
            "SELECT a.pid, a.application_name, a.xact_start FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
            "WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database() "
            f"AND l.classid = {_WRITER_LOCK >> 32} AND l.objid = {_WRITER_LOCK & 0xFFFFFFFF} AND l.objsubid = 1"
        )
        found = self._warehouse._ask(query)
        return "; ".join(_session_text(row) for row in found) or "it has just finished"


def _session_text(row: Any) -> str:
    # What another role does, PostgreSQL tells only members of pg_read_all_stats.
    name = row.application_name or "a program without a name"
    who = f"{name} (session {row.pid})"
    return holder_text(who, row.xact_start) if row.xact_start is not None else who


def _session_name() -> str:
    """How PostgreSQL calls this process's sessions, for whoever has to wait for one."""
    who = f", PID {os.getpid()} on {socket.gethostname()}"
    return f"{locks.command()[: max(14, _SESSION_NAME_LENGTH - len(who))]}{who}"[:_SESSION_NAME_LENGTH]


def _empty_log(connection: sa.Connection) -> None:
    """Empties SQLite's log if it has grown long because of an open reader, as far as readers allow; never an error."""
    log = Path(f"{connection.engine.url.database}-wal")
    try:
        if log.stat().st_size <= WAL_LIMIT_BYTES:
            return
    except OSError:
        return
    cursor = connection.connection.cursor()
    try:
        (before,) = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {int(_CHECKPOINT_SECONDS * 1000)}")
        # Its answer says if a reader was in the way: then the next one does it.
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        cursor.execute(f"PRAGMA busy_timeout = {int(before)}")
    except Exception:  # noqa: S110
        pass
    finally:
        cursor.close()


def _is_locked(error: sa.exc.DBAPIError) -> bool:
    """Whether somebody else has what was asked for."""
    said = getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE
    return said or getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _reason(error: sa.exc.DBAPIError) -> str:
    """The driver's own words, on one line; neither psycopg nor SQLite repeats a password."""
    return " ".join(str(error.orig).split())


def normalise_url(url: str) -> sa.URL:
    """The URL with the driver this project uses: pysqlite for SQLite, psycopg (version 3) for PostgreSQL.

    Raises:
        UsageError: not a URL, or of another database or driver.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise UsageError(
            "RALLY_WAREHOUSE_URL is not a SQLAlchemy URL. "
            "Fix: write sqlite:////path/to/file or postgresql+psycopg://user@host/database."
        ) from None
    if parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        return parsed.set(drivername="sqlite+pysqlite")
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise UsageError(
        f"RALLY_WAREHOUSE_URL names {parsed.drivername!r}; a warehouse is SQLite or PostgreSQL. "
        "Fix: write sqlite:////path/to/file or postgresql+psycopg://user@host/database."
    )


def open_warehouse(url: str, *, lock_timeout_seconds: float = 60.0, tell: Tell = say) -> Warehouse:
    """Opens the warehouse at `url` without touching its schema; the directory of a SQLite file is made.

    Args:
        url: of SQLite or PostgreSQL.
        lock_timeout_seconds: how long a writer waits for another.
        tell: gets a line when it waits long enough to wonder; default: standard error.

    Raises:
        UsageError: the URL cannot be used.
    """
    parsed = normalise_url(url)
    if parsed.drivername.startswith("sqlite"):
        if parsed.database in (None, "", ":memory:"):
            raise UsageError("a warehouse needs a file. Fix: write sqlite:////path/to/file.")
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{Path(parsed.database).parent} cannot be made: {error.strerror}.") from None
        engine = sa.create_engine(parsed, connect_args={"timeout": lock_timeout_seconds})
        _configure_sqlite(engine, lock_timeout_seconds)
    else:
        arguments = {"options": f"-c lock_timeout={int(lock_timeout_seconds * 1000)} -c timezone=UTC"}
        if "application_name" not in parsed.query:
            arguments["application_name"] = _session_name()
        engine = sa.create_engine(parsed, connect_args=arguments, pool_pre_ping=True)
    return Warehouse(engine, lock_timeout_seconds, tell)


def _or_null(function: Callable[[float], float]) -> Callable[[float | None], float | None]:
    """The function as SQL has it: NULL for NULL and outside of its domain."""

    def call(value: float | None) -> float | None:
        try:
            return None if value is None else function(value)
        except ValueError:
            return None

    return call


def _configure_sqlite(engine: sa.Engine, lock_timeout_seconds: float) -> None:
    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions on its own: `_on_begin` says which kind is wanted.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        # What is emptied by itself does not stay as large on the disk as it once was.
        cursor.execute(f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.execute("PRAGMA cache_size=-65536")
        has_mathematics = cursor.execute("SELECT 1 FROM pragma_function_list WHERE name = 'ln'").fetchone()
        cursor.close()
        if not has_mathematics:
            # SQLite may be built without its mathematical functions; the indicators need these two.
            connection.create_function("ln", 1, _or_null(math.log), deterministic=True)
            connection.create_function("sqrt", 1, _or_null(math.sqrt), deterministic=True)

    @sa.event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        access = options.get("rally_access")
        connection.exec_driver_sql(f"PRAGMA query_only={int(access == 'read')}")
        if access != "write":
            connection.exec_driver_sql("BEGIN")
            return
        connection.exec_driver_sql(f"PRAGMA busy_timeout={int(options['rally_busy_seconds'] * 1000)}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={int(lock_timeout_seconds * 1000)}")
