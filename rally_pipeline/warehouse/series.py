"""Columns of many rows out of a warehouse, as arrays of numpy.

What a driver makes of a row costs more than reading it. PostgreSQL sends a column as one binary string, which numpy
reads as it is; SQLite's rows come as the driver's bare tuples. Belongs here: that way out. Does not belong here: what
is read, or the way in (`load.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from rally_pipeline.warehouse.load import sqlite_scalar

#: Days of PostgreSQL's binary dates begin here.
EPOCH = np.datetime64("2000-01-01", "D")
#: Stands for NULL among integers and days.
NO_INT = np.iinfo(np.int64).min
#: Rows of SQLite fetched at a time: few enough for what Python makes of them to stay in the caches.
_FETCHED_ROWS = 2048


def read_columns(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, npt.NDArray[Any]]:
    """What a query gives, a column an array, all equally long and in the query's order.

    Dates come as datetime64[D], numbers as float64 with NaN for NULL, texts as objects. No date may be NULL.

    Raises:
        TypeError: a column is of another type.
    """
    columns = list(query.selected_columns)
    for column in columns:
        if not isinstance(column.type, sa.Date | sa.Double | sa.String):
            raise TypeError(f"{column.name} is neither a date nor a number nor a text")
    read = _read_postgres if connection.dialect.name == "postgresql" else _read_sqlite
    return dict(zip([column.name for column in columns], read(connection, query, columns), strict=True))


def _read_postgres(
    connection: sa.Connection, query: sa.Select[Any], columns: Sequence[sa.ColumnElement[Any]]
) -> list[npt.NDArray[Any]]:
    rows = query.subquery()
    series = sa.select(*(sent(rows.c[column.name], column) for column in columns))
    compiled = series.compile(connection, compile_kwargs={"render_postcompile": True})
    driver: Any = connection.connection.driver_connection
    with driver.cursor(binary=True) as cursor:  # bytes cross as bytes only through a binary cursor
        found = cursor.execute(str(compiled), compiled.params).fetchone()
    values = [received(b"" if value is None else value, column) for value, column in zip(found, columns, strict=True)]
    return [
        EPOCH + v if isinstance(c.type, sa.Date) else v.astype(v.dtype.newbyteorder("="))
        for v, c in zip(values, columns, strict=True)
    ]


def _read_sqlite(
    connection: sa.Connection, query: sa.Select[Any], columns: Sequence[sa.ColumnElement[Any]]
) -> list[npt.NDArray[Any]]:
    compiled = query.compile(connection, compile_kwargs={"render_postcompile": True})
    parts: list[list[npt.NDArray[Any]]] = [[] for _ in columns]
    cursor = connection.connection.cursor()
    try:
        given = [sqlite_scalar(compiled.params[name]) for name in compiled.positiontup or ()]
        cursor.execute(str(compiled), given)
        while rows := cursor.fetchmany(_FETCHED_ROWS):
            for part, values, column in zip(parts, zip(*rows, strict=True), columns, strict=True):
                part.append(_array(values, column.type))
    finally:
        cursor.close()
    return [np.concatenate(part or [_array((), column.type)]) for part, column in zip(parts, columns, strict=True)]


def _array(values: Sequence[Any], type_: sa.types.TypeEngine[Any]) -> npt.NDArray[Any]:
    if isinstance(type_, sa.Date):
        return np.array(values, "M8[D]")
    return np.array(values, "float64" if isinstance(type_, sa.Double) else object)


def sent(value: sa.ColumnElement[Any], column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A column of PostgreSQL as one value: texts as an array, all else as bytes, of equal length for every value and
    NULL. `received` reads it.
    """
    if isinstance(column.type, sa.String):
        return sa.func.array_agg(value)
    if isinstance(column.type, sa.Double):
        one = sa.func.float8send(sa.func.coalesce(value, sa.literal_column("'NaN'::float8")))
    else:
        if isinstance(column.type, sa.Date):
            value = value.op("-")(sa.literal_column("date '2000-01-01'"))
        elif isinstance(column.type, sa.Boolean):
            value = sa.cast(value, sa.Integer)
        missing: sa.ColumnElement[int] = sa.literal_column(f"({NO_INT + 1} - 1)::int8")
        one = sa.func.int8send(sa.func.coalesce(sa.cast(value, sa.BigInteger), missing))
    return sa.func.string_agg(one, sa.literal_column("''::bytea"))


def received(value: Any, column: sa.ColumnElement[Any]) -> npt.NDArray[Any]:
    """What `sent` gave: texts as objects, numbers as float64 with NaN for NULL, all else as int64, of dates the days
    since `EPOCH`, with `NO_INT` for NULL.
    """
    if isinstance(column.type, sa.String):
        return np.array(list(value), object)
    return np.frombuffer(value, ">f8" if isinstance(column.type, sa.Double) else ">i8")
