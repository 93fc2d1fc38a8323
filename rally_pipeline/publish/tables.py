"""The tables that are published, as Parquet: one folder per table, by year where a table is large.

Rows stream from the warehouse in batches, in order of the primary key, so memory stays bounded and the same rows always
make the same bytes. Belongs here: their Arrow schema, writing them. Does not belong here: where the files
go (`publication.py`) or the DuckDB file (`duckdb_file.py`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from rally_pipeline import __version__
from rally_pipeline.files import digest, link_or_copy, settle
from rally_pipeline.publish.manifest import PublishedFile, PublishedTable, notice
from rally_pipeline.schema import column_info, table_info
from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.settings import Profile
from rally_pipeline.warehouse.arrow import arrow_type
from rally_pipeline.warehouse.spans import day_span
from rally_pipeline.warehouse.written import mark_of_year

#: Tables with more rows are split by the year of their date column.
LARGE_ROWS = 200_000
#: Rows of a batch, and of a row group: what is in memory at a time.
BATCH_ROWS = 65_536
_NO_DATE = "__HIVE_DEFAULT_PARTITION__"


def arrow_schema(table: sa.Table, profile: Profile) -> pa.Schema:
    """The schema of a published table: what is declared of table and columns is its metadata.

    Fields carry ``description`` and, where there is one, ``unit``; the schema ``table``, ``description``, ``grain``,
    ``key``, ``profile`` and, for demo data, ``notice``.
    """
    info = table_info(table)
    fields = []
    for column in table.columns:
        said = column_info(column)
        about = {"description": said.description} | ({"unit": said.unit} if said.unit else {})
        fields.append(pa.field(column.name, arrow_type(column.type), nullable=bool(column.nullable), metadata=about))
    about = {
        "table": table.name,
        "description": info.description,
        "grain": info.grain,
        "key": ", ".join(info.natural_key),
        "profile": profile.value,
        **({"notice": notice(profile)} if notice(profile) else {}),
    }
    return pa.schema(fields, metadata=about)


def record_batches(
    connection: sa.Connection, table: sa.Table, schema: pa.Schema, *where: sa.ColumnElement[bool]
) -> Iterator[pa.RecordBatch]:
    """The rows of a table that meet the conditions, in order of its primary key, a batch at a time."""
    is_sqlite = connection.dialect.name == "sqlite"
    columns = [_plain(column) if is_sqlite else column for column in table.columns]
    query = sa.select(*columns).where(*where).order_by(*table.primary_key.columns)
    result = connection.execution_options(yield_per=BATCH_ROWS).execute(query)
    for rows in result.partitions(BATCH_ROWS):
        cells = zip(*rows, strict=True)
        arrays = [_array(values, field.type) for values, field in zip(cells, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column as SQLite stores it, without the work of making Python's dates and truth values of it."""
    if isinstance(column.type, sa.Date | UtcDateTime):
        return sa.type_coerce(column, sa.Text())
    return sa.type_coerce(column, sa.Integer()) if isinstance(column.type, sa.Boolean) else column


def _array(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    stored = next((value for value in values if value is not None), None)
    if isinstance(stored, str) and not pa.types.is_string(type_):
        array = pa.array(values, pa.string())
        return array.cast(pa.timestamp("us")).cast(type_) if pa.types.is_timestamp(type_) else array.cast(type_)
    if pa.types.is_boolean(type_) and not isinstance(stored, bool):
        return pa.array(values, pa.int8()).cast(type_)
    return pa.array(values, type_)


def write_table(
    connection: sa.Connection,
    table: sa.Table,
    profile: Profile,
    folder: Path,
    before: Path | None = None,
    large_rows: int = LARGE_ROWS,
    held: Mapping[str, PublishedFile] = MappingProxyType({}),
) -> PublishedTable:
    """Writes a table below `folder`, durably, and says what was written. Years of a large table that were not written
    since they were published are not read again.

    Args:
        connection: one view of the warehouse for all tables.
        table: what to write.
        profile: whose data it is.
        folder: of the publication; the files go to ``folder/TABLE/``.
        before: folder of the publication before; a file that would be the same as there is linked, not kept twice.
        large_rows: with more rows, by year.
        held: the files in `before`, by path.
    """
    info = table_info(table)
    schema = arrow_schema(table, profile)
    parts: list[tuple[str, list[sa.ColumnElement[bool]]]] = [("", [])]
    # one row further on: to count them all would be to read them all
    more = sa.select(sa.literal(1)).select_from(table).limit(1).offset(large_rows)
    by_year = info.date_column is not None and connection.scalar(more) is not None
    if by_year:
        parts = _years(connection, table)
    files = []
    for part, where in parts:
        path = "/".join(name for name in (table.name, part, "part-0.parquet") if name)
        made_from = _made_from(connection, table, schema, part) if by_year else ""
        kept = held.get(path)
        if before and kept and made_from and kept.made_from == made_from and _is_whole(before / path, kept):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(before / path, folder / path)
            files.append(kept)
            continue
        rows = _write_file(folder / path, schema, record_batches(connection, table, schema, *where))
        files.append(dataclasses.replace(_keep(folder, path, rows, before), made_from=made_from))
    return PublishedTable(
        name=table.name,
        description=info.description,
        grain=info.grain,
        key=list(info.natural_key),
        date_column=info.date_column,
        partitioned_by="year" if by_year else None,
        rows=sum(file.rows for file in files),
        files=files,
    )


def _made_from(connection: sa.Connection, table: sa.Table, schema: pa.Schema, part: str) -> str:
    """What decides about the bytes of a year's file; empty where it is not known when its rows were written."""
    year = part.removeprefix("year=")
    mark = mark_of_year(connection, table, int(year)) if year.isdigit() else None
    if mark is None:
        return ""
    said = f"{mark} {__version__} {pa.__version__} {BATCH_ROWS} ".encode()
    return hashlib.sha256(said + schema.serialize().to_pybytes()).hexdigest()


def _is_whole(path: Path, kept: PublishedFile) -> bool:
    return path.is_file() and path.stat().st_size == kept.bytes and digest(path) == kept.sha256


def _years(connection: sa.Connection, table: sa.Table) -> list[tuple[str, list[sa.ColumnElement[bool]]]]:
    """Folder and condition of each year that has rows, and of the rows without a date."""
    day = table.c[table_info(table).date_column or ""]
    span = day_span(connection, table)
    found: list[tuple[str, list[sa.ColumnElement[bool]]]] = []
    for year in range(span[0].year, span[1].year + 1) if span else ():
        inside = day.between(dt.date(year, 1, 1), dt.date(year, 12, 31))
        if connection.scalar(sa.select(sa.exists().where(inside))):
            found.append((f"year={year}", [inside]))
    if day.nullable and connection.scalar(sa.select(sa.exists().where(day.is_(None)))):
        found.append((f"year={_NO_DATE}", [day.is_(None)]))
    return found


def _write_file(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = 0
    # Snappy is what every reader knows.
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=BATCH_ROWS)
            rows += batch.num_rows
    return rows


def _keep(folder: Path, path: str, rows: int, before: Path | None) -> PublishedFile:
    """Makes the file durable, or puts the one published before in its place if that has the same bytes."""
    new, old = folder / path, None if before is None else before / path
    found = digest(new)
    if old is not None and old.is_file() and old.stat().st_size == new.stat().st_size and digest(old) == found:
        new.unlink()
        link_or_copy(old, new)
    else:
        settle(new)
    return PublishedFile(path, rows, new.stat().st_size, found)
