"""Definitions for which neither warehouse has a good plan, computed by an embedded DuckDB and loaded in bulk.

Such a definition is SQLAlchemy too; only where it runs differs. Subjects go through in groups, so memory stays bounded
however many there are. Belongs here: moving the rows there and back, within the caller's transaction. Does not belong
here: any definition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGDialect

from rally_pipeline.marts.inputs import Derived, Inputs, Scope

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
        derived: with a plan for this engine.
        inputs: what they read.
        scope: without a start.
        table: where the rows go: that of `derived`, or one like it.
    """
    import duckdb

    from rally_pipeline.warehouse.arrow import write_relation

    columnar = derived.columnar
    assert columnar is not None
    config: dict[str, Any] = {"memory_limit": _MEMORY, "autoinstall_known_extensions": "false"}
    rows = 0
    with duckdb.connect(":memory:", config=config) as engine:
        engine.execute("SET integer_division = true")  # as both warehouses divide integers
        shared = _registered(engine, "shared", connection, columnar.read_shared(inputs))
        for part in _groups(connection, inputs, scope):
            given = _registered(engine, "given", connection, columnar.read(inputs, part))
            made = columnar.compute(given, shared)
            dialect = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]  # DuckDB reads PostgreSQL's SQL
            text = str(made.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            key = ", ".join(str(place) for place, column in enumerate(table.columns, 1) if column.primary_key)
            rows += write_relation(connection, table, engine.sql(f"{text} ORDER BY {key}"))
    return rows


def _registered(engine: Any, name: str, connection: sa.Connection, query: sa.Select[Any]) -> sa.TableClause:
    """What the warehouse answers, as a table of the engine; it replaces the one of that name."""
    from rally_pipeline.warehouse.arrow import read_arrow

    engine.register(name, read_arrow(connection, query))
    return sa.table(name, *(sa.column(column.name, column.type) for column in query.selected_columns))


def _groups(connection: sa.Connection, inputs: Inputs, scope: Scope) -> Iterator[Scope]:
    instrument = inputs.instruments
    known = sa.select(instrument.c.symbol).where(scope.has_subject(instrument.c.symbol))
    symbols = sorted(connection.scalars(known))
    for at in range(0, len(symbols), GROUP):
        yield Scope(tuple(symbols[at : at + GROUP]))
