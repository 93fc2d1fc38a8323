"""Rows into a warehouse, on both engines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.warehouse.engine import Warehouse, open_warehouse
from rally_pipeline.warehouse.load import bulk_load, insert_lists, sqlite_list

_TABLE = sa.Table(
    "loaded",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(40)),
    sa.Column("text", sa.Text),
    sa.Column("day", sa.Date),
    sa.Column("at", UtcDateTime()),
    sa.Column("value", sa.Double),
    sa.Column("count", sa.Integer),
    sa.Column("shares", sa.BigInteger),
    sa.Column("is_flat", sa.Boolean),
)
_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
_CELLS: dict[str, st.SearchStrategy[Any]] = {
    "name": _TEXT,
    "text": _TEXT,
    "day": st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)),
    "at": st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    "value": st.floats(allow_nan=False),
    "count": st.integers(-(2**31), 2**31 - 1),
    "shares": st.integers(-(2**53), 2**53),
    "is_flat": st.booleans(),
}
_ROWS = st.lists(st.fixed_dictionaries({n: st.none() | cells for n, cells in _CELLS.items()}), min_size=1, max_size=30)


@pytest.fixture
def warehouse(warehouse_url: str) -> Iterator[Warehouse]:
    opened = open_warehouse(warehouse_url)
    with opened.write() as connection:
        _TABLE.create(connection)
    yield opened
    opened.engine.dispose()


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The dtypes that parsers give: NaN and NaT for NULL, strings as pandas has them."""
    frame = pd.DataFrame(rows, columns=list(_CELLS), dtype=object)
    frame.insert(0, "number", range(len(rows)))
    frame["day"] = np.array([row["day"] for row in rows], "M8[s]")
    instants = [row["at"] and row["at"].replace(tzinfo=None) for row in rows]
    frame["at"] = pd.Series(np.array(instants, "M8[us]")).dt.tz_localize("UTC")
    for name in ("value", "count", "shares", "is_flat"):
        if name == "value" or frame[name].isna().any():
            frame[name] = frame[name].astype("float64")
        else:
            frame[name] = frame[name].astype("bool" if name == "is_flat" else "int64")
    frame[["name", "text"]] = frame[["name", "text"]].astype("str").where(frame[["name", "text"]].notna(), None)
    return frame


@given(rows=_ROWS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_loaded_is_what_is_read(warehouse: Warehouse, rows: list[dict[str, Any]]) -> None:
    with warehouse.write() as connection:
        connection.execute(sa.delete(_TABLE))
        assert bulk_load(connection, _TABLE, _frame(rows)) == len(rows)
    with warehouse.read() as connection:
        found = [dict(row) for row in connection.execute(sa.select(_TABLE).order_by(_TABLE.c.number)).mappings()]
    assert found == [{"number": number, **row} for number, row in enumerate(rows)]


def test_constants_stand_in_every_row_of_every_piece(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rally_pipeline.warehouse.load._CHUNK_ROWS", 7)
    monkeypatch.setattr("rally_pipeline.warehouse.load._SQLITE_CHUNK_ROWS", 7)
    at = dt.datetime(2025, 2, 14, 8, tzinfo=dt.timezone(dt.timedelta(hours=8)))
    constants = {"name": "恒生", "day": dt.date(2025, 2, 14), "at": at, "count": 3, "is_flat": True, "value": 0.1}
    with warehouse.write() as connection:
        bulk_load(connection, _TABLE, pd.DataFrame({"number": range(20), "shares": range(20)}), constants)
    with warehouse.read() as connection:
        found = connection.execute(sa.select(_TABLE).order_by(_TABLE.c.number)).mappings().all()
    assert [dict(row) for row in found] == [{"number": n, "shares": n, "text": None, **constants} for n in range(20)]


def test_a_key_twice_is_the_databases_error_and_leaves_nothing(warehouse: Warehouse) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        _load(warehouse, pd.DataFrame({"number": [0, 1, 0]}))
    assert _count(warehouse) == 0


@pytest.mark.parametrize(("column", "value"), [("count", 2**31), ("count", 1.5), ("name", "x" * 41), ("text", "a\0b")])
@pytest.mark.parametrize("warehouse_url", ["postgresql"], indirect=True)  # SQLite holds nothing to its declared type
def test_what_a_column_cannot_hold_is_a_data_error_and_leaves_nothing(
    warehouse: Warehouse, column: str, value: Any
) -> None:
    frame = pd.DataFrame({"number": [0, 1], "count": [1, 2], "name": ["a", "b"], "text": ["a", "b"]})
    frame[column] = [frame[column].iloc[0], value]
    with pytest.raises(sa.exc.DataError):
        _load(warehouse, frame)
    assert _count(warehouse) == 0


def _load(warehouse: Warehouse, frame: pd.DataFrame) -> None:
    with warehouse.write() as connection:
        bulk_load(connection, _TABLE, frame)


def _count(warehouse: Warehouse) -> int:
    with warehouse.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(_TABLE)) or 0


@pytest.mark.parametrize(
    ("type_", "values", "stored"),
    [
        (UtcDateTime(), [pd.Timestamp("2025-02-14T08:00", tz="UTC"), pd.NaT], ["2025-02-14 08:00:00.000000", None]),
        (sa.Date(), [pd.Timestamp("2025-02-14"), pd.NaT], ["2025-02-14", None]),
        (sa.BigInteger(), [2.0, float("nan")], [2, None]),
        (sa.Boolean(), [1.0, float("nan")], [1, None]),
        (sa.Text(), ["", None], ["", None]),
    ],
)
def test_a_missing_value_is_null(
    type_: sa.types.TypeEngine[object], values: list[object], stored: list[object]
) -> None:
    assert sqlite_list(pd.Series(values), sa.Column("x", type_)) == stored


@pytest.mark.parametrize("count", [1, 499, 500, 512, 1003])
@pytest.mark.parametrize("fixed", [[], ["same", None]])
def test_rows_arrive_whole_however_many_share_a_statement(count: int, fixed: list[object]) -> None:
    """A last statement with fewer rows included; what is the same in all rows stands behind what varies."""
    table = sa.Table("t", sa.MetaData(), *(sa.Column(name, sa.Text()) for name in ("c", "d", "b", "a")))
    rows = [(f"a{n}", None if n % 3 else f"b{n}", *fixed) for n in range(count)]
    names = ["a", "b", "c", "d"][: 2 + len(fixed)]
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        table.create(connection)
        insert_lists(connection, table, names, [[row[0] for row in rows], [row[1] for row in rows]], fixed)
        assert connection.execute(sa.select(*(table.c[name] for name in names))).all() == rows
    engine.dispose()
