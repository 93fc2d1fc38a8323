"""Rows between a warehouse and a columnar engine: a query as an Arrow table, and a DuckDB relation into a table.

Both work within the caller's transaction. Belongs here: the conversion. Does not belong here: what is read, computed or
written; frames of facts go in through `load.py`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.warehouse.load import insert_lists

#: Rows fetched at a time: few enough for what Python makes of them to stay in the caches.
_FETCHED_ROWS = 2048
_BATCH_ROWS = 8192


def arrow_type(type_: sa.types.TypeEngine[Any]) -> pa.DataType:
    """The Arrow type of a declared type: dates are date32, instants are microseconds in UTC.

    Raises:
        TypeError: no table declares such a column.
    """
    if isinstance(type_, UtcDateTime):
        return pa.timestamp("us", tz="UTC")
    for known, found in (
        (sa.Boolean, pa.bool_()),
        (sa.Date, pa.date32()),
        (sa.BigInteger, pa.int64()),
        (sa.Integer, pa.int32()),
        (sa.Double, pa.float64()),
        (sa.String, pa.string()),
    ):
        if isinstance(type_, known):
            return found
    raise TypeError(f"no Arrow type for {type_!r}")


def read_arrow(connection: sa.Connection, query: sa.Select[Any]) -> pa.Table:
    """What a query gives, as an Arrow table with its column names.

    Raises:
        TypeError: a column is an instant: those are not computed with.
    """
    if instants := [column.name for column in query.selected_columns if isinstance(column.type, UtcDateTime)]:
        raise TypeError(f"instants are not read to be computed with: {', '.join(instants)}")
    schema = pa.schema([pa.field(column.name, arrow_type(column.type)) for column in query.selected_columns])
    if connection.dialect.name == "postgresql":
        return _copied_out(connection, query, schema)
    plain = sa.select(*(_plain(column) for column in query.subquery().c))
    text = str(plain.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
    # the driver's own cursor: what SQLAlchemy makes of a row costs more than reading it
    cursor = connection.connection.cursor()
    batches = []
    try:
        cursor.execute(text)
        while rows := cursor.fetchmany(_FETCHED_ROWS):
            cells = zip(*rows, strict=True)
            arrays = [_array(values, field.type) for values, field in zip(cells, schema, strict=True)]
            batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
    finally:
        cursor.close()
    return pa.Table.from_batches(batches, schema)


def _plain(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A column as SQLite stores it, without the work of making Python's dates of it."""
    return sa.type_coerce(column, sa.Text()) if isinstance(column.type, sa.Date) else column


def _array(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    return pa.array(values, pa.string()).cast(type_) if pa.types.is_date(type_) else pa.array(values, type_)


def _copied_out(connection: sa.Connection, query: sa.Select[Any], schema: pa.Schema) -> pa.Table:
    import pyarrow.csv as pa_csv

    text = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})).replace("%%", "%")
    sink = io.BytesIO()
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY ({text}) TO STDOUT (FORMAT csv)") as copy:
        for part in copy:
            sink.write(part)
    if not sink.tell():
        return schema.empty_table()
    sink.seek(0)
    # quoted texts are texts, even where they are empty; nothing between two commas is NULL
    convert = pa_csv.ConvertOptions(
        column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    return pa_csv.read_csv(sink, pa_csv.ReadOptions(column_names=schema.names), convert_options=convert)


def write_relation(connection: sa.Connection, table: sa.Table, relation: Any) -> int:
    """Appends what a DuckDB relation gives to a table with the same columns in the same order; returns how many rows.

    It loads fastest when ordered by the primary key.
    """
    if connection.dialect.name == "postgresql":
        return _copied_in(connection, table, relation)
    return _inserted(connection, table, relation)


def _inserted(connection: sa.Connection, table: sa.Table, relation: Any) -> int:
    # as SQLite stores them: dates are texts
    columns = (f'CAST("{c.name}" AS VARCHAR)' if isinstance(c.type, sa.Date) else f'"{c.name}"' for c in table.columns)
    names = [column.name for column in table.columns]
    rows = 0
    for batch in relation.project(", ".join(columns)).to_arrow_reader(_BATCH_ROWS):
        insert_lists(connection, table, names, [column.to_pylist() for column in batch.columns])
        rows += batch.num_rows
    return rows


def _copied_in(connection: sa.Connection, table: sa.Table, relation: Any) -> int:
    import pyarrow.csv as pa_csv

    options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
    statement = f"COPY {connection.dialect.identifier_preparer.format_table(table)} FROM STDIN (FORMAT csv)"
    cursor: Any = connection.connection.cursor()
    rows = 0
    with cursor, cursor.copy(statement) as copy:
        for batch in relation.to_arrow_reader(_BATCH_ROWS):
            sink = io.BytesIO()
            pa_csv.write_csv(batch, sink, options)
            copy.write(sink.getbuffer())
            rows += batch.num_rows
    return rows
