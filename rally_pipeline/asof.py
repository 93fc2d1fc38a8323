"""Any core or mart table as it was known at an instant: as something to select from, or row by row.

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
from rally_pipeline.schema import core, core_notes, metadata, table_info
from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.schema.mart_notes import mart_claim_audit
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
    table = known_table(table_name)
    where = [condition(table, text) for text in conditions]
    with workspace.warehouse.read(scratch=True) as connection:
        source = selectable(connection, table, at)
        yield [column.name for column in table.columns], rows_where(connection, table, source, where, limit)


def rows_where(
    connection: sa.Connection,
    table: sa.Table,
    source: sa.FromClause,
    where: Sequence[tuple[str, Any]],
    limit: int | None = None,
) -> Iterator[Mapping[str, Any]]:
    """The rows of `source`, which has the columns of `table`, one at a time in order of the table's primary key.

    Args:
        connection: open until the last row is read; whatever it is asked later streams as well.
        table: gives the key.
        source: is selected from.
        where: column and value, as `condition` gives them; ``None`` means NULL.
        limit: at most so many rows.
    """
    query = sa.select(source).order_by(*(source.c[c.name] for c in table.primary_key.columns))
    for name, value in where:
        query = query.where(source.c[name].is_(None) if value is None else source.c[name] == value)
    if limit is not None:
        query = query.limit(limit)
    rows = connection.execution_options(yield_per=2000).execute(query).mappings()
    return (dict(row) for row in rows)


def selectable(connection: sa.Connection, table: str | sa.Table, at: dt.datetime) -> sa.FromClause:
    """A core or mart table as known at `at`, with the table's columns, to select from and to join.

    Facts are a subquery that picks versions. Marts are computed from the facts known then into temporary tables of the
    connection, so a selectable of one is good until the next one is asked for on it. Reference tables have no past and
    are given as they are.

    Args:
        connection: an open connection to the warehouse, as `Warehouse.read` gives; for marts with ``scratch=True``.
        table: the table or its name.
        at: aware instant.

    Raises:
        UsageError: no such table, or `at` has no time zone.
    """
    found = known_table(table if isinstance(table, str) else table.name)
    if at.tzinfo is None:
        raise UsageError(f"{at} has no time zone. Fix: give an aware time.")
    if table_info(found).versioned:
        return as_of(found, at)
    if found in core.REFERENCE:
        return found
    if found is mart_claim_audit:
        return _audits_as_of(at)
    return derived_as_of(connection, found.name, at)


def _audits_as_of(at: dt.datetime) -> sa.Subquery:
    """Of each claim the last audit made until then; it stands (``is_latest``) if the claim stood then."""
    audit = mart_claim_audit
    place = sa.func.row_number(type_=sa.Integer()).over(
        partition_by=audit.c.claim_id, order_by=audit.c.audited_at.desc()
    )
    instant = sa.literal(at, UtcDateTime())
    ordered = sa.select(audit, place.label("place")).where(audit.c.audited_at <= instant).subquery("audits")
    note, claim = (as_of(made, at) for made in (core_notes.core_note, core_notes.core_note_claim))
    stands = sa.exists(
        sa.select(sa.literal(1))
        .select_from(claim.join(note, note.c.note_id == claim.c.note_id))
        .where(claim.c.claim_id == ordered.c.claim_id, claim.c.extractor_version == note.c.extractor_version)
        .correlate(ordered)
    )
    columns = {c.name: ordered.c[c.name] for c in audit.columns} | {"is_latest": stands}
    return (
        sa.select(*(column.label(name) for name, column in columns.items()))
        .where(ordered.c.place == 1)
        .subquery(audit.name)
    )


def known_table(name: str) -> sa.Table:
    """The core or mart table of that name, or one that is computed like a mart.

    Raises:
        UsageError: there is none.
    """
    derived = {derived.table.name for derived in DERIVED}
    known = [n for n, t in metadata.tables.items() if table_info(t).layer in ("core", "mart") or n in derived]
    if name not in known:
        raise UsageError(f"no core or mart table {name!r}. Fix: one of {', '.join(sorted(known))}.")
    return metadata.tables[name]


def condition(table: sa.Table, text: str, option: str = "--where ") -> tuple[str, Any]:
    """Column and value of ``COLUMN=VALUE``; an empty value means NULL, or the empty text where there is no NULL.

    Args:
        table: whose column.
        text: what was written.
        option: where, for messages.

    Raises:
        UsageError: no such column, or the value is not of its type.
    """
    name, separator, value = text.partition("=")
    name = name.strip()
    if not separator or name not in table.c:
        raise UsageError(
            f"{option}{text!r}: write COLUMN=VALUE with a column of {table.name}: {', '.join(table.c.keys())}."
        )
    if value == "":
        is_text = isinstance(table.c[name].type, sa.String)
        return name, "" if is_text and not table.c[name].nullable else None
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
        raise UsageError(f"{option}{text!r}: {value!r} is not a {python_type.__name__}.") from None
