"""The data dictionary for people: as text, Markdown or JSON, from the declarations alone; no warehouse is needed.

Belongs here: how it is shown. Does not belong here: what it says (`schema/`, `warehouse/dictionary.py`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rally_pipeline.errors import UsageError
from rally_pipeline.lineage.upstream import direct_upstream
from rally_pipeline.schema import metadata
from rally_pipeline.warehouse.dictionary import dictionary_columns, dictionary_tables

_LAYERS = {
    "mart": "Marts: what analysts read",
    "core": "Core: the facts, every version kept, and what is resolved from them",
    "raw": "Raw: what was fetched",
    "ops": "Operations: what was loaded, refused, set aside or described",
}
#: Sources named in a table of text.
_NAMED = 4


def entries(name: str | None = None) -> list[dict[str, Any]]:
    """Every table, or the named one, as ``ops_dictionary_table`` has it, with its columns under ``columns``.

    Raises:
        UsageError: there is no such table.
    """
    if name is not None and name not in metadata.tables:
        near = difflib.get_close_matches(name, metadata.tables, n=3, cutoff=0.5)
        fix = f"did you mean {', '.join(near)}?" if near else "`rally-pipeline dictionary` lists the tables."
        raise UsageError(f"no table {name!r}. Fix: {fix}")
    upstream = direct_upstream()
    found = []
    for table in dictionary_tables(upstream):
        if name in (None, table["table_name"]):
            columns = dictionary_columns(upstream, metadata.tables[table["table_name"]])
            found.append({**_parsed(table), "columns": [_parsed(column) for column in columns]})
    return found


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "upstream": json.loads(row["upstream"])}


def overview_rows() -> list[dict[str, Any]]:
    """One row per table: name, rows are, description."""
    return [
        {"table": one["table_name"], "one row per": one["grain"], "description": one["description"]}
        for one in entries()
    ]


def table_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    """What is said of a table as a whole."""
    yield f"{entry['table_name']}: {entry['description']}"
    yield f"one row per {entry['grain']}; key {entry['key_columns']}; owner {entry['owner']}"
    yield entry["row_semantics"] + (f" Days are in {entry['date_column']}." if entry["date_column"] else "")
    if entry["upstream"]:
        yield f"from {', '.join(entry['upstream'])}"


def column_rows(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per column, for a table of text."""
    return [
        {
            "column": column["column_name"] + (" *" if column["is_key"] else ""),
            "type": column["data_type"] + ("" if column["is_nullable"] else " NOT NULL"),
            "unit": column["unit"],
            "description": column["description"],
            "rules": column["rules"],
            "from": _short(column["upstream"]),
        }
        for column in entry["columns"]
    ]


def markdown_lines(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The entries as a Markdown document, by layer."""
    yield "# Data dictionary"
    layer = ""
    for entry in found:
        if entry["layer"] != layer:
            layer = entry["layer"]
            yield from ("", f"## {_LAYERS[layer]}")
        yield from ("", f"### {entry['table_name']}", "", entry["description"], "")
        yield f"- One row per {entry['grain']}; key: {_code(entry['key_columns'].split(', '))}."
        if entry["date_column"]:
            yield f"- Days are in {_code([entry['date_column']])}."
        yield f"- {entry['row_semantics']}"
        yield f"- Owner: {entry['owner']}."
        if entry["upstream"]:
            yield f"- Comes from {_code(entry['upstream'])}."
        yield from ("", "| Column | Type | Unit | Description | Rules | Comes from |", "|---|---|---|---|---|---|")
        for column in entry["columns"]:
            key = " (key)" if column["is_key"] else ""
            cells = (
                f"`{column['column_name']}`{key}",
                column["data_type"] + ("" if column["is_nullable"] else ", never NULL"),
                column["unit"],
                column["description"],
                column["rules"],
                _short(column["upstream"]),
            )
            yield f"| {' | '.join(map(_cell, cells))} |"


def _short(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cell(text: str) -> str:
    # A bar would end the cell, an angle bracket or asterisk would be markup; a backslash is one in a pattern.
    for sign in ("\\", "|", "*", "<", "["):
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")
