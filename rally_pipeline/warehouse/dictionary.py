"""The data dictionary: what is declared about every table and column, as rows of two tables.

Belongs here: the rows, and writing them when, and only when, they may have changed. Does not belong here: where columns
come from (`lineage/`, which is handed in), or showing any of it (`publish/dictionary.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema import column_info, core, metadata, ops, table_info
from rally_pipeline.schema.declare import rule_text, type_name
from rally_pipeline.warehouse.schema_version import derived_tables, read_statement, write_statement

#: Raise when the rows made from the same declarations change.
_REVISION = 1
_LAYERS = ("mart", "core", "raw", "ops")
_SEMANTICS = {
    "versioned": (
        "Every version of a fact is kept: what is believed now has known_to_at NULL; what was believed at T has "
        "known_from_at ≤ T and known_to_at NULL or > T."
    ),
    "reference": "Says what catalog, calendars or declarations say, and is written anew when they change.",
    "derived": "Computed from what is believed now, and again when what it is made of changes.",
    "record": "Written down as things happen; cannot be computed again.",
}


@dataclass(frozen=True)
class Upstream:
    """Where the columns of the tables come from.

    Attributes:
        columns: table → column → the columns and ends its own expression reads, as they are printed.
        tables: table → the tables that its columns or rows come from.
    """

    columns: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    tables: Mapping[str, Sequence[str]] = field(default_factory=dict)


def dictionary_tables(upstream: Upstream) -> list[dict[str, Any]]:
    """The rows of ``ops_dictionary_table``: marts first, then what they come from."""
    tables = sorted(metadata.tables.values(), key=lambda table: (_LAYERS.index(table_info(table).layer), table.name))
    return [_table_row(table, upstream) for table in tables]


def _table_row(table: sa.Table, upstream: Upstream) -> dict[str, Any]:
    info, kind = table_info(table), row_kind(table)
    return {
        "table_name": table.name,
        "layer": info.layer,
        "description": info.description,
        "grain": info.grain,
        "owner": info.owner,
        "key_columns": ", ".join(info.natural_key),
        "date_column": info.date_column,
        "is_versioned": info.versioned,
        "row_kind": kind,
        "row_semantics": _SEMANTICS[kind],
        "column_count": len(table.columns),
        "upstream": _json(upstream.tables.get(table.name, ())),
    }


def dictionary_columns(upstream: Upstream, table: sa.Table | None = None) -> list[dict[str, Any]]:
    """The rows of ``ops_dictionary_column``, of one table or of all, in order of table and position."""
    if table is None:
        return [row for one in dictionary_tables(upstream) for row in _column_rows(one["table_name"], upstream)]
    return _column_rows(table.name, upstream)


def _column_rows(name: str, upstream: Upstream) -> list[dict[str, Any]]:
    table, sources = metadata.tables[name], upstream.columns.get(name, {})
    rows = []
    for position, column in enumerate(table.columns, start=1):
        said = column_info(column)
        rows.append(
            {
                "table_name": name,
                "column_name": column.name,
                "position": position,
                "data_type": type_name(column.type),
                "description": said.description,
                "unit": said.unit,
                "is_nullable": bool(column.nullable),
                "is_key": column.name in table.primary_key.columns,
                "rules": "; ".join(text for rule in said.rules if (text := rule_text(rule))),
                "upstream": _json(sources.get(column.name, ())),
            }
        )
    return rows


def row_kind(table: sa.Table) -> str:
    """How the rows of a table come about: one of `ops.ROW_KINDS`."""
    if table_info(table).versioned:
        return "versioned"
    if table in core.REFERENCE or table in ops.DICTIONARY:
        return "reference"
    return "derived" if table in derived_tables() else "record"


def _json(names: Sequence[str]) -> str:
    return json.dumps(list(names), ensure_ascii=False)


def is_current(connection: sa.Connection, definitions: str) -> bool:
    """Whether the dictionary says what is declared; `definitions` as of `sync_dictionary`."""
    return read_statement(connection, "dictionary_hash") == f"{_REVISION}:{definitions}"


def sync_dictionary(
    connection: sa.Connection,
    definitions: str,
    upstream: Callable[[], Upstream],
    *,
    force: bool = False,
) -> bool:
    """Rewrites the dictionary if the declarations, or the definitions that say where columns come from, changed.

    Args:
        connection: with a transaction.
        definitions: digest of the declarations and of what `upstream` would say, without the work of saying it.
        upstream: asked only if something is written.
        force: write in any case.

    Returns:
        Whether anything was written.
    """
    if not force and is_current(connection, definitions):
        return False
    found = upstream()
    for table, rows in (
        (ops.ops_dictionary_table, dictionary_tables(found)),
        (ops.ops_dictionary_column, dictionary_columns(found)),
    ):
        connection.execute(sa.delete(table))
        connection.execute(sa.insert(table), rows)
    write_statement(connection, "dictionary_hash", f"{_REVISION}:{definitions}")
    return True
