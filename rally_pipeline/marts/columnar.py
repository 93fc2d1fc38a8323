"""Definitions for which neither warehouse has a good plan, computed by an embedded DuckDB and loaded in bulk.

The definition is the same SQLAlchemy select; only where its second half runs differs. Subjects go through in groups, so
memory stays bounded however long history is. Belongs here: moving the rows there and back, within the caller's
transaction. Does not belong here: any definition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from rally_pipeline.marts.inputs import Columnar, Derived, Inputs, Scope
from rally_pipeline.warehouse.arrow import read_arrow, write_relation

#: Subjects computed at a time: twenty years of their sessions are about a million rows.
GROUP = 200
_MEMORY = "2GB"


def is_columnar(derived: Derived, scope: Scope) -> bool:
    """Whether this part of the table is computed here."""
    return derived.columnar is not None and scope.start is None


def fill(connection: sa.Connection, derived: Derived, inputs: Inputs, scope: Scope, table: sa.Table) -> int:
    """Computes all history of the scope's subjects into `table`; returns how many rows.

    Args:
        connection: of the warehouse, in the caller's transaction.
        derived: with both halves of its definition.
        inputs: what they read.
        scope: without a start.
        table: where the rows go: that of `derived`, or one like it.
    """
    import duckdb

    columnar = derived.columnar
    assert columnar is not None
    config: dict[str, Any] = {"memory_limit": _MEMORY, "autoinstall_known_extensions": "false"}
    rows = 0
    with duckdb.connect(":memory:", config=config) as engine:
        engine.execute("SET integer_division = true")  # as both warehouses divide integers
        for part in _groups(connection, inputs, scope):
            rows += _fill_part(connection, engine, columnar, inputs, part, table)
    return rows


def _fill_part(
    connection: sa.Connection, engine: Any, columnar: Columnar, inputs: Inputs, part: Scope, table: sa.Table
) -> int:
    query = columnar.read(inputs, part)
    given = sa.table("given", *(sa.column(column.name, column.type) for column in query.selected_columns))
    engine.register("given", read_arrow(connection, query))
    made = columnar.compute(given)
    dialect = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]  # DuckDB reads PostgreSQL's SQL
    text = str(made.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    key = ", ".join(str(place) for place, column in enumerate(table.columns, 1) if column.primary_key)
    try:
        return write_relation(connection, table, engine.sql(f"{text} ORDER BY {key}"))
    finally:
        engine.unregister("given")


def _groups(connection: sa.Connection, inputs: Inputs, scope: Scope) -> Iterator[Scope]:
    instrument = inputs.instruments
    known = sa.select(instrument.c.symbol).where(scope.has_subject(instrument.c.symbol))
    symbols = sorted(connection.scalars(known))
    for at in range(0, len(symbols), GROUP):
        yield Scope(tuple(symbols[at : at + GROUP]))
