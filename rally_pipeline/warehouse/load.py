"""The one bulk path into a table: binary COPY on PostgreSQL, ``executemany`` of sorted tuples on SQLite.

Belongs here: moving rows of a frame into a table inside the caller's transaction. Does not belong here: deciding what
is new (`merge.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

_CHUNK_ROWS = 100_000
_SQLITE_CHUNK_ROWS = 20_000
#: From so many rows on, so many a statement: each costs the driver about as much as a row, but a longer one takes
#: longer to prepare.
_ROWS_A_STATEMENT = ((20_000, 128), (500, 32))
#: Fewer rows go one by one.
_SQLITE_MANY_ROWS = _ROWS_A_STATEMENT[-1][0]
#: From here on a number is none that 64 bits hold.
_NO_INTEGER = 2.0**63
#: What a flag is to SQLite: 0, 1, and at place 2 NULL.
_FLAGS = np.array([0, 1, None], object)


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


def constant_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that have one and the same value, or NULL, in every row of a frame that has rows."""
    found = []
    for name, series in frame.items():
        first = series.iloc[0]
        # The last row first: most columns that vary are told by it.
        if series.isna().all() if pd.isna(first) else series.iloc[-1] == first and bool((series == first).all()):
            found.append(str(name))
    return found


def _executemany(
    connection: sa.Connection,
    table: sa.Table,
    columns: list[sa.Column[Any]],
    frame: pd.DataFrame,
    constants: dict[str, Any],
) -> None:
    # What is equal in all rows is bound once a statement, not once a row.
    equal = constant_columns(frame.iloc[:, 1:]) if len(frame) >= _SQLITE_MANY_ROWS else []
    varying = [name for name in frame.columns if name not in equal]
    fixed = [value for name in equal for value in sqlite_list(frame[name].iloc[:1], table.c[name])]
    fixed = [None if value != value else value for value in fixed]
    fixed += [sqlite_scalar(value) for value in constants.values()]
    for start in range(0, len(frame), _SQLITE_CHUNK_ROWS):
        part = frame.iloc[start : start + _SQLITE_CHUNK_ROWS]
        with _as_sqlalchemy_error(connection, f"INSERT INTO {table.name}"):
            lists = [sqlite_list(part[name], table.c[name]) for name in varying]
        insert_lists(connection, table, [*varying, *equal, *constants], lists, fixed)


def insert_lists(
    connection: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    lists: Sequence[Sequence[Any]],
    fixed: Sequence[Any] = (),
) -> None:
    """Appends rows to a table of SQLite, many a statement.

    Args:
        connection: of pysqlite.
        table: the target.
        names: of the columns: those of `lists`, then those of `fixed`.
        lists: equally long, one per column that varies, as the driver stores values.
        fixed: what is the same in every row.

    Raises:
        sqlalchemy.exc.DBAPIError: the database refused a row.
    """
    preparer = connection.dialect.identifier_preparer
    columns = ", ".join(preparer.quote(name) for name in names)
    into = f"INSERT INTO {preparer.format_table(table)} ({columns}) VALUES "
    width, count = len(lists), len(lists[0])

    def statement(rows: int) -> str:
        """Inserts `rows` rows: their values one after the other, then the constants."""
        last = ", ".join(f"?{rows * width + number}" for number in range(1, len(fixed) + 1))
        marks = (
            ", ".join([*(f"?{row * width + number}" for number in range(1, width + 1)), *([last] if last else [])])
            for row in range(rows)
        )
        return into + ", ".join(f"({of_row})" for of_row in marks)

    values: list[Any] = [None] * (count * width)
    for number, cells in enumerate(lists):
        values[number::width] = cells
    at_once = next((rows for from_count, rows in _ROWS_A_STATEMENT if count >= from_count), 1)
    whole = count // at_once * at_once
    cursor = connection.connection.cursor()
    try:
        for rows, first, last in ((at_once, 0, whole), (count - whole, whole, count)):
            if not rows:
                continue
            step = rows * width
            given = ([*values[at : at + step], *fixed] for at in range(first * width, last * width, step))
            with _as_sqlalchemy_error(connection, statement(1)):
                cursor.executemany(statement(rows), given)  # type: ignore[arg-type]  # takes any iterable
    finally:
        cursor.close()


@contextlib.contextmanager
def _as_sqlalchemy_error(connection: sa.Connection, statement: str) -> Iterator[None]:
    """The driver's errors in the classes that SQLAlchemy has for them; what is too large for it is a `DataError`."""
    dbapi: Any = connection.dialect.dbapi
    try:
        yield
    except OverflowError as too_large:
        error = dbapi.DataError(str(too_large))
        raise sa.exc.DBAPIError.instance(statement, None, error, dbapi.Error, dialect=connection.dialect) from too_large
    except dbapi.Error as error:
        raise sa.exc.DBAPIError.instance(statement, None, error, dbapi.Error, dialect=connection.dialect) from error


def sqlite_list(series: pd.Series[Any], column: sa.Column[Any]) -> list[Any]:
    """Python values as the SQLite driver and SQLAlchemy's types store them."""
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        values = series.dt.tz_convert(None) if getattr(series.dt, "tz", None) is not None else series
        array = values.to_numpy()
        if isinstance(column.type, sa.Date):
            # Days repeat from subject to subject: each is made a text once. NaT has the code -1: the last one, None.
            codes, days = pd.factorize(array)
            texts = np.empty(len(days) + 1, object)
            texts[:-1] = np.datetime_as_string(days, unit="D")
            found: list[Any] = texts[codes].tolist()
            return found
        texts = np.datetime_as_string(array, unit="us").tolist()
        return [None if text == "NaT" else text.replace("T", " ") for text in texts]
    if isinstance(column.type, sa.BigInteger | sa.Integer) and not isinstance(column.type, sa.Boolean):
        if series.dtype.kind == "f":
            if (np.abs(series.to_numpy()) >= _NO_INTEGER).any():
                raise OverflowError(f"{column.name}: a number is too large for a whole one")
            if series.isna().any():
                return [None if value != value else int(value) for value in series.tolist()]
            return series.astype("int64").tolist()
        return series.tolist()
    if isinstance(column.type, sa.Boolean):
        if series.dtype.kind == "f":  # 1, 0, or NaN for NULL
            values = series.to_numpy()
            flags: list[Any] = _FLAGS[np.where(np.isnan(values), 2, values).astype("intp")].tolist()
            return flags
        return series.astype("int8").tolist()
    if series.dtype.kind == "f":
        return series.tolist()  # the driver binds NaN as NULL
    if series.isna().any():
        return series.astype(object).where(series.notna(), None).tolist()
    return series.tolist()


def sqlite_scalar(value: Any) -> Any:
    """One value as the driver stores it; times are aware."""
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
    # Binary rows: the server parses nothing, which takes it twice as long as storing them.
    import pyarrow as pa
    from pgpq import ArrowToPostgresBinaryEncoder

    from rally_pipeline.warehouse.arrow import arrow_type

    preparer = connection.dialect.identifier_preparer
    names = ", ".join(preparer.quote(column.name) for column in columns)
    statement = f"COPY {preparer.format_table(table)} ({names}) FROM STDIN (FORMAT binary)"
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in columns])
    encoder = ArrowToPostgresBinaryEncoder(schema)
    dbapi: Any = connection.dialect.dbapi
    cursor: Any = connection.connection.cursor()
    with _as_sqlalchemy_error(connection, statement), cursor, cursor.copy(statement) as copy:
        copy.write(encoder.write_header())
        for start in range(0, len(frame), _CHUNK_ROWS):
            part = frame.iloc[start : start + _CHUNK_ROWS]
            try:
                arrays = [_arrow_array(part[name], schema.field(name).type) for name in frame.columns]
                arrays += [pa.repeat(pa.scalar(v, schema.field(n).type), len(part)) for n, v in constants.items()]
            except pa.ArrowInvalid as error:  # an integer too large, a number where a day belongs
                raise dbapi.DataError(f"{table.name}: {error}") from error
            for batch in pa.table(arrays, schema=schema).combine_chunks().to_batches():
                copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())


def _arrow_array(series: pd.Series[Any], kind: Any) -> Any:
    import pyarrow as pa

    array = pa.Array.from_pandas(series)
    if pa.types.is_timestamp(array.type) and kind == pa.date32():
        array = array.cast(pa.timestamp("us"))
    return array if array.type == kind else array.cast(kind)
