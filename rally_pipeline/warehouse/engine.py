"""Opening a warehouse: one engine per URL, with the settings under which a reader never disturbs a writer.

Belongs here: URLs, connections, transactions and locks. Does not belong here: schema versions (`schema_version.py`)
or what is written (`load.py`, `merge.py`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rally_pipeline.errors import RallyError, UsageError

#: Key of the PostgreSQL advisory lock that makes writers of one warehouse wait for each other.
_WRITER_LOCK = 0x72616C6C79  # "rally"


class WarehouseError(RallyError):
    """The warehouse cannot be reached, or is in use by another writer for longer than we wait."""


@dataclass(frozen=True)
class Warehouse:
    """An opened warehouse. ``engine`` is for reading; write through `write` only."""

    engine: sa.Engine

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.engine.dialect.name

    @property
    def display_url(self) -> str:
        """The URL without its password, for people."""
        return self.engine.url.render_as_string(hide_password=True)

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection with one consistent view of the warehouse for as long as it is open."""
        level = "REPEATABLE READ" if self.dialect == "postgresql" else "SERIALIZABLE"
        with self._connect(isolation_level=level) as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """The writing transaction: one at a time per warehouse, committed as a whole or not at all.

        SQLite takes the write lock at the start (``BEGIN IMMEDIATE``), so that a transaction which began by reading
        cannot fail later; PostgreSQL takes an advisory lock. Both wait up to the lock time-out.

        Raises:
            WarehouseError: another writer did not finish in time.
        """
        with self._connect(rally_write=True) as connection:
            try:
                transaction = connection.begin()
                if self.dialect == "postgresql":
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER_LOCK)))
            except sa.exc.OperationalError as error:
                raise WarehouseError(
                    f"{self.display_url}: another writer did not finish in time ({_reason(error)}). "
                    "Fix: try again when it is done, or raise RALLY_LOCK_TIMEOUT_SECONDS."
                ) from error
            with transaction:
                yield connection

    def _connect(self, **options: Any) -> sa.Connection:
        try:
            return self.engine.connect().execution_options(**options)
        except sa.exc.DBAPIError as error:
            raise WarehouseError(
                f"{self.display_url} cannot be opened: {_reason(error)}. "
                "Fix: see that it is there and running, or correct RALLY_WAREHOUSE_URL."
            ) from error


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


def open_warehouse(url: str, *, lock_timeout_seconds: float = 60.0) -> Warehouse:
    """Opens the warehouse at `url` without touching its schema; the directory of a SQLite file is made.

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
        _configure_sqlite(engine)
    else:
        options = f"-c lock_timeout={int(lock_timeout_seconds * 1000)} -c timezone=UTC"
        engine = sa.create_engine(parsed, connect_args={"options": options}, pool_pre_ping=True)
    return Warehouse(engine)


def _or_null(function: Callable[[float], float]) -> Callable[[float | None], float | None]:
    """The function as SQL has it: NULL for NULL and outside of its domain."""

    def call(value: float | None) -> float | None:
        try:
            return None if value is None else function(value)
        except ValueError:
            return None

    return call


def _configure_sqlite(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions on its own: `_on_begin` says which kind is wanted.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
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
        writing = connection.get_execution_options().get("rally_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
