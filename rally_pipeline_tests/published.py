"""Rows for the tables that are published, and reading back what was, for tests.

Belongs here: made-up rows of every declared type, readers of Parquet and DuckDB. Does not belong here: expected values.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
import sqlalchemy as sa

from rally_pipeline.marts import refresh
from rally_pipeline.publish.publication import current_manifest
from rally_pipeline.schema import core, metadata, ops, table_info
from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.workspace import Workspace

#: Texts that are a danger to somebody: to spreadsheets, to SQL, to XML, to encodings.
TEXTS = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", "it's; \"--", "恒生\U0001f4c8", "#N/A", "a\x0bb", "")


def marts() -> list[sa.Table]:
    """All marts."""
    return [table for table in metadata.tables.values() if table_info(table).layer == "mart"]


def value(column: sa.Column[Any], number: int) -> Any:
    """Value `number` of a column: another for every number; NULL at times where that is allowed."""
    if column.nullable and number % 3 == 2:
        return None
    if isinstance(column.type, UtcDateTime):
        return dt.datetime(2025, 2, 14, 8, 0, 0, 123456, dt.UTC) + dt.timedelta(hours=number)
    if isinstance(column.type, sa.Date):
        return dt.date(2023, 11, 1) + dt.timedelta(days=97 * number)
    if isinstance(column.type, sa.Boolean):
        return number % 2 == 0
    if isinstance(column.type, sa.BigInteger):
        return 2**53 + 1 + number
    if isinstance(column.type, sa.Integer):
        return number - 2
    if isinstance(column.type, sa.Double):
        return number / 3 - 1
    length = getattr(column.type, "length", None)
    text = TEXTS[number % len(TEXTS)] if length is None else ""
    return f"{text}{number}"[:length] if length is not None else f"{text}{number}" if column.primary_key else text


def rows(table: sa.Table, count: int) -> list[dict[str, Any]]:
    """So many rows."""
    return [{column.name: value(column, number) for column in table.columns} for number in range(count)]


def fill(workspace: Workspace, count: int, tables: Sequence[sa.Table] | None = None) -> None:
    """Puts rows into the marts as if they had been computed; nothing is behind afterwards."""
    with workspace.warehouse.write() as connection:
        refresh(connection)
        connection.execute(sa.delete(ops.ops_stale))
        for table in marts() if tables is None else tables:
            connection.execute(sa.delete(table))
            connection.execute(sa.insert(table), rows(table, count))


def shorten(workspace: Workspace) -> None:
    """Leaves few trading sessions, which are most rows of a small warehouse, to save time."""
    session = core.core_session
    with workspace.warehouse.write() as connection:
        kept = session.c.session_date.between(dt.date(2025, 1, 1), dt.date(2025, 2, 28))
        connection.execute(sa.delete(session).where(~kept))


def parquet_rows(place: Path, table: sa.Table) -> list[dict[str, Any]]:
    """The rows of a published table as Parquet has them, in order of its key."""
    manifest = current_manifest(place)
    assert manifest is not None
    found: list[dict[str, Any]] = ds.dataset(place / manifest.folder / table.name).to_table().to_pylist()
    return in_order(table, found)


def database_rows(path: Path, table: sa.Table) -> list[dict[str, Any]]:
    """The rows of a published table as the DuckDB database has them, in order of its key."""
    with duckdb.connect(str(path), read_only=True) as database:
        result = database.execute(f'SELECT * FROM "{table.name}"')
        names = [one[0] for one in result.description or ()]
        return in_order(table, [dict(zip(names, row, strict=True)) for row in result.fetchall()])


def in_order(table: sa.Table, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by their key, whatever an engine thinks of the order of letters."""
    return sorted(found, key=lambda row: [row[column.name] for column in table.primary_key.columns])
