"""The DuckDB database with the published tables, for those who want one file and SQL.

It is made of the Parquet files of the same publication, so the two cannot differ. Belongs here: making it. Does not
belong here: putting it in its place (`publication.py`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rally_pipeline.files import digest, settle
from rally_pipeline.publish.manifest import DATABASE_NAME, About, PublishedFile, PublishedTable
from rally_pipeline.schema import column_info, metadata, table_info
from rally_pipeline.warehouse.arrow import arrow_type

#: The file is written so that drivers built into BI tools, which are older than the library here, can read it.
STORAGE_VERSION = "v1.0.0"
#: Says what the file is, since tools show nothing but tables.
PUBLICATION = "ops_publication"
_MEMORY = "512MB"
_TYPES = {
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
}
_ABOUT = (
    ("version", "VARCHAR", "Name of the publication."),
    ("published_at", "TIMESTAMPTZ", "When it was made. [UTC]"),
    ("profile", "VARCHAR", "demo or live."),
    ("notice", "VARCHAR", "What must be known before any number is used; empty for live data."),
    ("code_version", "VARCHAR", "Version of rally_pipeline."),
    ("latest_known_at", "TIMESTAMPTZ", "Since when the newest fact counts as known; NULL = there is none. [UTC]"),
    ("latest_sessions", "VARCHAR", "Last session with a value, by market, as JSON."),
)


def write_database(folder: Path, tables: Sequence[PublishedTable], about: About) -> PublishedFile:
    """Writes ``rally.duckdb`` into the folder of a publication, durably, from its Parquet files."""
    import duckdb

    path = folder / DATABASE_NAME
    config: dict[str, Any] = {
        "storage_compatibility_version": STORAGE_VERSION,
        "memory_limit": _MEMORY,
        "threads": 1,
        "temp_directory": str(folder / ".spill"),
        "autoinstall_known_extensions": "false",
    }
    with duckdb.connect(str(path), config=config) as database:
        database.execute("BEGIN")
        for table in tables:
            for statement in _statements(folder, table, metadata.tables[table.name], about):
                database.execute(statement)
        for statement in _about_statements(about):
            database.execute(statement)
        database.execute("COMMIT")
        database.execute("CHECKPOINT")
    shutil.rmtree(folder / ".spill", ignore_errors=True)
    settle(path)
    rows = sum(table.rows for table in tables) + 1
    return PublishedFile(DATABASE_NAME, rows, path.stat().st_size, digest(path))


def _statements(folder: Path, published: PublishedTable, table: sa.Table, about: About) -> list[str]:
    info = table_info(table)
    name = _name(table.name)
    columns = ", ".join(
        f"{_name(c.name)} {_TYPES[arrow_type(c.type)]}{'' if c.nullable else ' NOT NULL'}" for c in table.columns
    )
    files = ", ".join(_text(str(folder / file.path)) for file in published.files)
    named = ", ".join(_name(c.name) for c in table.columns)
    return [
        f"CREATE TABLE {name} ({columns})",
        *([f"INSERT INTO {name} SELECT {named} FROM read_parquet([{files}], hive_partitioning = false)"] * bool(files)),
        f"COMMENT ON TABLE {name} IS {_text(f'{_mark(about)}{info.description} One row per {info.grain}.')}",
        *(f"COMMENT ON COLUMN {name}.{_name(c.name)} IS {_text(_described(c))}" for c in table.columns),
    ]


def _about_statements(about: About) -> list[str]:
    columns = ", ".join(f"{_name(name)} {type_}" for name, type_, _ in _ABOUT)
    values = [
        *(about.version, about.published_at, about.profile, about.notice, about.code_version),
        about.as_of.latest_known_at,
        json.dumps(about.as_of.latest_sessions),
    ]
    said = ", ".join("NULL" if value is None else _text(value) for value in values)
    what = f"{_mark(about)}What this database is: when it was made, of what, and as of when. One row."
    return [
        f"CREATE TABLE {PUBLICATION} ({columns})",
        f"INSERT INTO {PUBLICATION} VALUES ({said})",
        f"COMMENT ON TABLE {PUBLICATION} IS {_text(what)}",
        *(f"COMMENT ON COLUMN {PUBLICATION}.{_name(name)} IS {_text(text)}" for name, _, text in _ABOUT),
    ]


def _mark(about: About) -> str:
    return "DEMO DATA, not observed. " if about.notice else ""


def _described(column: sa.Column[Any]) -> str:
    said = column_info(column)
    return f"{said.description} [{said.unit}]" if said.unit else said.description


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
