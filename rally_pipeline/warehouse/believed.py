"""Which rows of a delivery say what is believed already, told by reading instead of by writing.

Most of what is delivered was delivered before. To stage it for a join costs about as much as to load it; to read the
believed series and compare them column by column costs a fraction. What is left after that is staged and merged.

Belongs here: that comparison, of tables whose rows are one series of days per subject. Does not belong here: what
becomes of the rows that differ (`merge.py`).
"""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.schema import table_info, value_columns
from rally_pipeline.schema.declare import VERSION_COLUMNS, TableInfo
from rally_pipeline.warehouse.load import constant_columns, sqlite_list, sqlite_scalar
from rally_pipeline.warehouse.series import EPOCH, NO_INT, received, sent

#: Below this many rows a staged join is as fast.
FEWEST_ROWS = 1_000

#: So many rows are read at a time: bounds memory, however long the delivery is.
_BATCH_ROWS = 100_000

_COMPARABLE = (sa.Double, sa.Integer, sa.Boolean, sa.Date, sa.String)


def not_believed(
    connection: sa.Connection,
    table: sa.Table,
    frame: pd.DataFrame,
    *,
    subject_column: str,
    constants: Mapping[str, Any],
    known_by: dt.datetime | None = None,
) -> pd.DataFrame:
    """The rows of a delivery that differ from what is believed, or whose key is not known.

    Rows may be returned although they are believed: where the table is no series of days per subject, or a column of
    a type that cannot be compared here, that is all of them.

    Args:
        connection: any connection.
        table: a versioned table.
        frame: the facts, sorted by key; see `merge.merge`.
        subject_column: the key column whose values have a series each.
        constants: key or value columns equal in all rows.
        known_by: count only what was known at this time (aware) already.
    """
    info = table_info(table)
    assert info.date_column is not None
    if len(frame) < FEWEST_ROWS:
        return frame
    same = {name: _scalar(frame[name], table.c[name]) for name in constant_columns(frame) if name != subject_column}
    same |= {c.name: None for c in value_columns(table) if c.name not in frame.columns}
    same |= constants
    if {name for name in info.natural_key if name not in same} != {subject_column, info.date_column}:
        return frame
    compared = [c for c in value_columns(table) if c.name not in same]
    if not all(isinstance(c.type, _COMPARABLE) for c in compared) or not _is_series(frame, subject_column, info):
        return frame
    is_postgres = connection.dialect.name == "postgresql"

    where: list[sa.ColumnElement[bool]] = [table.c.known_to_at.is_(None)]
    if known_by is not None:
        where.append(table.c.known_from_at <= known_by)
    fixed = [c for c in table.columns if c.name in same and c.name not in VERSION_COLUMNS]
    where += [c.is_(None) if same[c.name] is None else c == same[c.name] for c in fixed]
    differs = (_differs_postgres if is_postgres else _differs_sqlite)(
        connection, table, frame, subject_column, table.c[info.date_column], compared, where
    )
    positions = [found for found in differs if len(found)]
    return frame.iloc[np.concatenate(positions)] if positions else frame.iloc[:0]


def _scalar(series: pd.Series[Any], column: sa.Column[Any]) -> Any:
    """The value that all rows have."""
    value: Any = series.iloc[0]
    if pd.isna(value):
        return None
    if isinstance(column.type, sa.Date):
        return value.date()
    if isinstance(column.type, sa.Boolean):
        return bool(value)
    if isinstance(column.type, sa.Integer):
        return int(value)
    return value.item() if isinstance(value, np.generic) else value


def _is_series(frame: pd.DataFrame, subject_column: str, info: TableInfo) -> bool:
    """Whether the rows of each subject stand together, their days rising."""
    assert info.date_column is not None
    codes, subjects = pd.factorize(frame[subject_column])
    steps, days = np.diff(codes), np.diff(frame[info.date_column].to_numpy().astype("datetime64[D]").astype("int64"))
    return int((steps != 0).sum()) == len(subjects) - 1 and bool((days[steps == 0] > 0).all())


def _series(frame: pd.DataFrame, subject_column: str) -> list[tuple[Any, int, int]]:
    """Each subject with its first position and the one behind its last."""
    codes, subjects = pd.factorize(frame[subject_column])
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    return [
        (subjects[codes[start]], int(start), int(end))
        for start, end in zip(starts, [*starts[1:], len(frame)], strict=True)
    ]


def _differs_postgres(
    connection: sa.Connection,
    table: sa.Table,
    frame: pd.DataFrame,
    subject_column: str,
    date: sa.Column[Any],
    compared: list[sa.Column[Any]],
    where: list[sa.ColumnElement[bool]],
) -> Iterator[npt.NDArray[np.intp]]:
    """Whole series as binary strings: one row per subject comes back, and numpy reads the numbers in it as they are."""
    subject = table.c[subject_column]
    ours = {column.name: _as_sent(frame[column.name], column) for column in (date, *compared)}
    for batch in _batches(_series(frame, subject_column)):
        first, last = batch[0][1], batch[-1][2]
        days = frame[date.name].iloc[first:last]
        rows = (
            sa.select(subject, date, *compared)
            .where(*where, subject.in_([one[0] for one in batch]), date.between(days.min().date(), days.max().date()))
            .order_by(subject, date)
            .subquery()
        )
        series = [sent(rows.c[c.name], c) for c in (date, *compared)]
        query = sa.select(rows.c[subject_column], *series).group_by(rows.c[subject_column])
        compiled = query.compile(connection, compile_kwargs={"render_postcompile": True})
        # Bytes cross as bytes only through a binary cursor.
        driver: Any = connection.connection.driver_connection
        with driver.cursor(binary=True) as cursor:
            cursor.execute(str(compiled), compiled.params)
            believed = {row[0]: row[1:] for row in cursor}
        for name, start, end in batch:
            if name not in believed:
                yield np.arange(start, end)
                continue
            theirs = [received(b, c) for b, c in zip(believed[name], (date, *compared), strict=True)]
            if (
                np.diff(theirs[0]) <= 0
            ).any():  # where sorting by subject spills, the server may lose the order of days
                order = np.argsort(theirs[0], kind="stable")
                theirs = [values[order] for values in theirs]
            at = np.searchsorted(theirs[0], ours[date.name][start:end])
            at[at == len(theirs[0])] = 0
            is_same = theirs[0][at] == ours[date.name][start:end]
            for column, values in zip(compared, theirs[1:], strict=True):
                mine, believed_values = ours[column.name][start:end], values[at]
                equal = mine == believed_values
                if mine.dtype.kind == "f":
                    equal |= np.isnan(mine) & np.isnan(believed_values)
                is_same &= equal
            yield start + np.flatnonzero(~is_same)


def _batches(series: list[tuple[Any, int, int]]) -> Iterator[list[tuple[Any, int, int]]]:
    batch: list[tuple[Any, int, int]] = []
    for one in series:
        if batch and one[2] - batch[0][1] > _BATCH_ROWS:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _as_sent(series: pd.Series[Any], column: sa.Column[Any]) -> npt.NDArray[Any]:
    """A column of the frame as the values that `series.sent` sends."""
    if isinstance(column.type, sa.String):
        return series.astype(object).where(series.notna(), None).to_numpy()
    if isinstance(column.type, sa.Double):
        return series.to_numpy("float64", na_value=np.nan)
    if isinstance(column.type, sa.Date):
        days = series.to_numpy().astype("datetime64[D]")
        return np.where(np.isnat(days), NO_INT, (days - EPOCH).astype("int64"))
    if series.dtype.kind in "iub":
        return series.to_numpy("int64")
    missing = series.isna().to_numpy()
    return np.where(missing, NO_INT, series.where(~missing, 0).to_numpy("float64").astype("int64"))


def _differs_sqlite(
    connection: sa.Connection,
    table: sa.Table,
    frame: pd.DataFrame,
    subject_column: str,
    date: sa.Column[Any],
    compared: list[sa.Column[Any]],
    where: list[sa.ColumnElement[bool]],
) -> Iterator[npt.NDArray[np.intp]]:
    """One read per subject, as the driver gives the rows: equal tuples are told at the speed of C."""
    subject = table.c[subject_column]
    columns = [date, *compared]
    query = (
        sa.select(*columns)
        .where(*where, subject == sa.bindparam("subject"), date.between(sa.bindparam("first"), sa.bindparam("last")))
        # No ORDER BY: it would sort what the primary key gives in order, and nothing rests on the order but the time.
        .compile(connection)
    )
    days = sqlite_list(frame[date.name], date)
    has_missing = {c.name: bool(frame[c.name].isna().any()) for c in compared}
    cursor: Any = connection.connection.cursor()
    for name, start, end in _series(frame, subject_column):
        part = [days[start:end]]
        for column in compared:
            values = sqlite_list(frame[column.name].iloc[start:end], column)
            part.append([None if v != v else v for v in values] if has_missing[column.name] else values)
        given = query.params | {"subject": name, "first": days[start], "last": days[end - 1]}
        values = [sqlite_scalar(given[key]) for key in query.positiontup or ()]
        # Row by row, each forgotten at once: to keep them takes Python longer than to read them.
        ours = zip(*part, strict=True)
        cursor.execute(str(query), values)
        if all(map(operator.eq, cursor, ours)) and next(ours, None) is None:
            continue
        cursor.execute(str(query), values)
        known = set(cursor)
        yield start + np.array([at for at, row in enumerate(zip(*part, strict=True)) if row not in known], np.intp)
    cursor.close()
