"""Definitions for which no warehouse has a good plan, computed here on whole series and loaded in bulk.

Subjects go through a few at a time, so memory stays bounded however many there are. Belongs here: moving the rows there
and back, within the caller's transaction. Does not belong here: any definition.
"""

from __future__ import annotations

import sqlalchemy as sa

from rally_pipeline.marts.inputs import Derived, Inputs, Scope

#: Subjects computed at a time: twenty years of their sessions are some fifty thousand rows, which stay in the caches.
GROUP = 10


def is_in_bulk(derived: Derived, scope: Scope) -> bool:
    """Whether this part of the table is computed here."""
    return derived.in_bulk is not None and scope.start is None


def fill(connection: sa.Connection, derived: Derived, inputs: Inputs, scope: Scope, table: sa.Table) -> int:
    """Computes all history of the scope's subjects into `table`; returns how many rows.

    Args:
        connection: of the warehouse, in the caller's transaction.
        derived: with a plan for series.
        inputs: what they read.
        scope: without a start.
        table: where the rows go: that of `derived`, or one like it.
    """
    import pandas as pd

    from rally_pipeline.warehouse.load import bulk_load
    from rally_pipeline.warehouse.series import read_columns

    in_bulk = derived.in_bulk
    assert in_bulk is not None
    known = sa.select(inputs.instruments.c.symbol).where(scope.has_subject(inputs.instruments.c.symbol))
    symbols = sorted(connection.scalars(known))
    names = [column.name for column in table.columns]
    rows = 0
    for at in range(0, len(symbols), GROUP):
        given = read_columns(connection, in_bulk.read(inputs, Scope(tuple(symbols[at : at + GROUP]))))
        if len(next(iter(given.values()))):
            found = in_bulk.compute(given)
            rows += bulk_load(connection, table, pd.DataFrame({name: found[name] for name in names}, copy=False))
    return rows
