"""The one bulk path into a table: COPY on PostgreSQL, ``executemany`` of sorted tuples on SQLite.

Belongs here: moving rows of a frame into a table inside the caller's transaction. Does not belong here: deciding what
is new (`merge.py`).
"""

from __future__ import annotations

import datetime as dt
import io
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

_CHUNK_ROWS = 100_000


def bulk_load(
    connection: sa.Connection, table: sa.Table, frame: pd.DataFrame, constants: Mapping[str, Any] | None = None
) -> int:
    """Appends the rows of `frame` to `table` within the connection's transaction; returns how many.

    Args:
        connection: of SQLite (pysqlite) or PostgreSQL (psycopg 3).
        table: the target; columns in neither `frame` nor `constants` take their default.
        frame: columns named as in `table`; naive datetime64 for dates, NaN/None for NULL. Sorted by primary key it
            loads up to twice as fast on SQLite.
        constants: columns that have the same value in every row (aware datetimes for instants).

    Raises:
        sqlalchemy.exc.DBAPIError: the database refused a row; nothing of the call remains after rollback.
    """
    constants = dict(constants or {})
    if frame.empty:
        return 0
    columns = [table.c[name] for name in (*frame.columns, *constants)]
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns, frame, constants)
    else:
        _executemany(connection, table, columns, frame, constants)
    return len(frame)


def _executemany(
    connection: sa.Connection,
    table: sa.Table,
    columns: list[sa.Column[Any]],
    frame: pd.DataFrame,
    constants: dict[str, Any],
) -> None:
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(quote(column.name) for column in columns)
    # A constant is one bound value of the statement, not one a row: less to convert.
    marks = ", ".join(f"?{i}" for i in range(1, len(columns) + 1))
    statement = f"INSERT INTO {connection.dialect.identifier_preparer.format_table(table)} ({names}) VALUES ({marks})"
    fixed = [_sqlite_scalar(value) for value in constants.values()]
    cursor = connection.connection.cursor()
    try:
        for start in range(0, len(frame), _CHUNK_ROWS):
            part = frame.iloc[start : start + _CHUNK_ROWS]
            lists: list[Iterable[Any]] = [_sqlite_list(part[name], table.c[name]) for name in frame.columns]
            lists.extend(itertools.repeat(value) for value in fixed)
            try:
                cursor.executemany(statement, zip(*lists, strict=False))  # type: ignore[arg-type]  # takes any iterable
            except Exception as error:
                dbapi = connection.dialect.dbapi
                assert dbapi is not None
                raise sa.exc.DBAPIError.instance(
                    statement, None, error, dbapi.Error, dialect=connection.dialect
                ) from error
    finally:
        cursor.close()


def _sqlite_list(series: pd.Series[Any], column: sa.Column[Any]) -> list[Any]:
    """Python values as the SQLite driver and SQLAlchemy's types store them."""
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        values = series.dt.tz_localize(None) if getattr(series.dt, "tz", None) is not None else series
        array = values.to_numpy()
        if isinstance(column.type, sa.Date):
            texts = np.datetime_as_string(array, unit="D").tolist()
            return [None if text == "NaT" else text for text in texts] if series.hasnans else texts
        texts = np.datetime_as_string(array, unit="us").tolist()
        return [None if text == "NaT" else text.replace("T", " ") for text in texts]
    if isinstance(column.type, sa.BigInteger | sa.Integer) and not isinstance(column.type, sa.Boolean):
        if series.dtype.kind == "f":
            if series.isna().any():
                return [None if value != value else int(value) for value in series.tolist()]
            return series.astype("int64").tolist()
        return series.tolist()
    if isinstance(column.type, sa.Boolean):
        if series.dtype.kind == "f":  # 1, 0, or NaN for NULL
            return [None if value != value else int(value) for value in series.tolist()]
        return series.astype("int8").tolist()
    if series.dtype.kind == "f":
        return series.tolist()  # the driver binds NaN as NULL
    if series.isna().any():
        return series.astype(object).where(series.notna(), None).tolist()
    return series.tolist()


def _sqlite_scalar(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    return value


def _copy(
    connection: sa.Connection,
    table: sa.Table,
    columns: list[sa.Column[Any]],
    frame: pd.DataFrame,
    constants: dict[str, Any],
) -> None:
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    preparer = connection.dialect.identifier_preparer
    names = ", ".join(preparer.quote(column.name) for column in columns)
    statement = f"COPY {preparer.format_table(table)} ({names}) FROM STDIN (FORMAT csv)"
    options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(statement) as copy:
        for start in range(0, len(frame), _CHUNK_ROWS):
            part = frame.iloc[start : start + _CHUNK_ROWS]
            arrays = [_arrow_array(part[name], table.c[name]) for name in frame.columns]
            arrays.extend(_arrow_constant(value, len(part)) for value in constants.values())
            batch = pa.table(arrays, names=[column.name for column in columns])
            sink = io.BytesIO()
            pa_csv.write_csv(batch, sink, options)
            copy.write(sink.getbuffer())


def _arrow_array(series: pd.Series[Any], column: sa.Column[Any]) -> Any:
    import pyarrow as pa

    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        kind = pa.date32() if isinstance(column.type, sa.Date) else pa.timestamp("us", tz="UTC")
        return pa.Array.from_pandas(series, type=pa.timestamp("us", tz=None)).cast(
            pa.timestamp("us") if kind != pa.date32() else pa.date32()
        )
    if isinstance(column.type, sa.Integer) and series.dtype.kind == "f":
        return pa.Array.from_pandas(series, type=pa.float64()).cast(pa.int64())
    if isinstance(column.type, sa.Boolean) and series.dtype.kind == "f":
        return pa.Array.from_pandas(series, type=pa.float64()).cast(pa.bool_())
    return pa.Array.from_pandas(series)


def _arrow_constant(value: Any, length: int) -> Any:
    import pyarrow as pa

    if isinstance(value, dt.datetime):
        value = value.astimezone(dt.UTC).isoformat(sep=" ", timespec="microseconds")
    elif isinstance(value, dt.date):
        value = value.isoformat()
    return pa.repeat(pa.scalar(value), length)
