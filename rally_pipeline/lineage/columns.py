"""Column lineage of the derived tables, from their definitions.

Belongs here: which select is walked, and what is made of it. Does not belong here: the walk (`select_walk.py`), tables
that are no select (`loaded.py`, `audited.py`).
"""

from __future__ import annotations

import functools

from rally_pipeline.lineage.records import ColumnRef, LineageError, TableLineage, sources
from rally_pipeline.lineage.select_walk import walk
from rally_pipeline.marts import EVERYTHING, Derived, Scope, current_inputs


def table_lineage(derived: Derived, scope: Scope = EVERYTHING) -> TableLineage:
    """The lineage of a derived table in columns of declared tables.

    Args:
        derived: its select is read over what is believed now.
        scope: the part that is computed; with a start some tables are read in other ways, and the table itself too.

    Raises:
        LineageError: part of the select is text or of a kind that is not known, or it gives other columns than the
            table has.
    """
    return _all_history(derived) if scope == EVERYTHING else _walked(derived, scope)


@functools.cache
def _all_history(derived: Derived) -> TableLineage:
    return _walked(derived, EVERYTHING)


def _walked(derived: Derived, scope: Scope) -> TableLineage:
    names = [column.name for column in derived.table.columns]
    outputs = walk(derived.select(current_inputs(), scope), derived.table.name)
    if len(outputs.columns) != len(names):
        raise LineageError(f"{derived.table.name}: its select gives {len(outputs.columns)} columns of {len(names)}")
    return TableLineage(derived.table.name, dict(zip(names, outputs.columns, strict=True)), outputs.rows)


def column_lineage(derived: Derived) -> dict[str, frozenset[ColumnRef]]:
    """For each column of a derived table the declared columns that its own expression reads, by value or not.

    What only decides which rows there are (`TableLineage.rows`) is left out, except for what counts or looks up rows.

    Raises:
        LineageError: see `table_lineage`.
    """
    return {name: sources(found) for name, found in table_lineage(derived).columns.items()}
