"""What BI tools get: every mart, the views over them, and the dictionary, in one shape.

Belongs here: which, and the columns and metrics of each. Does not belong here: how a tool spells them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from rally_pipeline.publish.bi.metrics import Metric, metrics_of
from rally_pipeline.publish.bi.views import View, views
from rally_pipeline.publish.bi.words import label
from rally_pipeline.schema import column_info, metadata, ops, table_info
from rally_pipeline.schema.declare import ColumnInfo


@dataclass(frozen=True)
class BiColumn:
    """A column: its name, type, what is declared of it, and its name for people."""

    name: str
    type: sa.types.TypeEngine[object]
    info: ColumnInfo
    label: str


@dataclass(frozen=True)
class BiTable:
    """A table or view as a tool is told of it.

    Attributes:
        name: in the database; of a view the name that the tool gives it.
        description: one line; what one row is comes after it.
        date_column: column by which days are chosen, if there is one.
        columns: by name, in order.
        metrics: by name.
        view: the select, if it is no table.
    """

    name: str
    description: str
    date_column: str | None
    columns: Mapping[str, BiColumn]
    metrics: Mapping[str, Metric]
    view: View | None = None


@functools.cache
def bi_tables() -> Mapping[str, BiTable]:
    """All of them by name: marts, views, dictionary."""
    tables = [table for table in metadata.tables.values() if table_info(table).layer == "mart"]
    made = [_of_table(table) for table in (*tables, *ops.DICTIONARY)]
    made[len(tables) : len(tables)] = [_of_view(view) for view in views()]
    return {one.name: one for one in made}


def _of_table(table: sa.Table) -> BiTable:
    info = table_info(table)
    columns = [(str(column.name), column.type, column_info(column)) for column in table.columns]
    return _made(str(table.name), f"{info.description} One row per {info.grain}.", info.date_column, columns, None)


def _of_view(view: View) -> BiTable:
    return _made(view.name, f"{view.description} One row per {view.grain}.", view.date_column, view.columns(), view)


def _made(
    name: str,
    description: str,
    date_column: str | None,
    columns: list[tuple[str, sa.types.TypeEngine[object], ColumnInfo]],
    view: View | None,
) -> BiTable:
    return BiTable(
        name,
        description,
        date_column,
        {key: BiColumn(key, type_, info, label(key, info)) for key, type_, info in columns},
        {metric.name: metric for metric in metrics_of(name, columns)},
        view,
    )
