"""Any core or mart table as it was known at an instant, row by row.

Belongs here: finding the table, its conditions, and reading. Does not belong here: versions (`warehouse/asof.py`) or
marts over past facts (`marts/asof.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rally_pipeline.errors import UsageError
from rally_pipeline.marts.asof import derived_as_of
from rally_pipeline.marts.refresh import DERIVED
from rally_pipeline.schema import core, metadata, table_info
from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.warehouse.asof import as_of
from rally_pipeline.workspace import Workspace


@contextlib.contextmanager
def read_as_of(
    workspace: Workspace,
    table_name: str,
    at: dt.datetime,
    conditions: Sequence[str] = (),
    limit: int | None = None,
) -> Iterator[tuple[list[str], Iterator[Mapping[str, Any]]]]:
    """Opens the rows of a table as known at `at`, in order of its primary key.

    Args:
        workspace: the warehouse to read.
        table_name: a ``core_`` or ``mart_`` table. Reference tables have no past: they are shown as they are.
        at: aware instant.
        conditions: ``column=value``; ``column=`` means NULL.
        limit: at most so many rows.

    Yields:
        The column names, and the rows one at a time.

    Raises:
        UsageError: no such table or column, or a value that is not of the column's type.
    """
    table = _table(table_name)
    where = [_condition(table, text) for text in conditions]
    with workspace.warehouse.read() as connection:
        source: sa.FromClause
        if table_info(table).versioned:
            source = as_of(table, at)
        elif table in core.REFERENCE:
            source = table
        else:
            source = derived_as_of(connection, table.name, at)
        query = sa.select(source).order_by(*(source.c[c.name] for c in table.primary_key.columns))
        for name, value in where:
            query = query.where(source.c[name].is_(None) if value is None else source.c[name] == value)
        if limit is not None:
            query = query.limit(limit)
        rows = connection.execution_options(yield_per=2000).execute(query).mappings()
        yield [column.name for column in table.columns], (dict(row) for row in rows)


def _table(name: str) -> sa.Table:
    derived = {derived.table.name for derived in DERIVED}
    known = [n for n, t in metadata.tables.items() if table_info(t).layer in ("core", "mart") or n in derived]
    if name not in known:
        raise UsageError(f"no core or mart table {name!r}. Fix: one of {', '.join(sorted(known))}.")
    return metadata.tables[name]


def _condition(table: sa.Table, text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    name = name.strip()
    if not separator or name not in table.c:
        raise UsageError(
            f"--where {text!r}: write COLUMN=VALUE with a column of {table.name}: {', '.join(table.c.keys())}."
        )
    if value == "":
        return name, None
    type_ = table.c[name].type
    python_type: type[Any] = dt.datetime if isinstance(type_, UtcDateTime) else type_.python_type
    try:
        if python_type is bool:
            return name, {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        if python_type is dt.date:
            return name, dt.date.fromisoformat(value)
        if python_type is dt.datetime:
            instant = dt.datetime.fromisoformat(value)
            return name, instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)
        if python_type is int and not -(2**63) <= int(value) < 2**63:
            raise ValueError
        return name, python_type(value)
    except (KeyError, ValueError):
        raise UsageError(f"--where {text!r}: {value!r} is not a {python_type.__name__}.") from None
