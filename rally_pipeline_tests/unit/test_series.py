"""Columns out of a warehouse, on both engines."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
import sqlalchemy as sa

from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline.warehouse.series import read_columns

_TABLE = sa.Table(
    "said",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(40)),
    sa.Column("day", sa.Date),
    sa.Column("value", sa.Double),
)
_ROWS = [
    ("plain", dt.date(2025, 2, 14), 0.1 + 0.2),
    ('O\'Neil, "quoted" %s\n恒生', dt.date(1969, 12, 31), None),
    ("", dt.date(1999, 12, 31), -1e-300),
]


def _read(warehouse_url: str, rows: list[tuple[str, dt.date, float | None]]) -> dict[str, np.ndarray]:
    warehouse = open_warehouse(warehouse_url)
    try:
        with warehouse.write() as connection:
            _TABLE.create(connection)
            for number, row in enumerate(rows):
                values = dict(zip(("name", "day", "value"), row, strict=True))
                connection.execute(sa.insert(_TABLE), {"number": number, **values})
            query = sa.select(_TABLE.c.name, _TABLE.c.day, _TABLE.c.value).where(_TABLE.c.name != "%nobody")
            return read_columns(connection, query.order_by(_TABLE.c.number))
    finally:
        warehouse.engine.dispose()


def test_what_was_written_comes_back(warehouse_url: str) -> None:
    rows = _ROWS * 1500  # more than are fetched at a time
    found = _read(warehouse_url, rows)
    assert found["name"].tolist() == [row[0] for row in rows]
    assert found["day"].dtype == np.dtype("M8[D]")
    assert found["day"].tolist() == [row[1] for row in rows]
    assert found["value"].dtype == np.dtype("f8")
    assert [None if value != value else value for value in found["value"].tolist()] == [row[2] for row in rows]


def test_nothing_is_three_empty_columns(warehouse_url: str) -> None:
    found = _read(warehouse_url, [])
    assert {name: (len(values), values.dtype.kind) for name, values in found.items()} == {
        "name": (0, "O"),
        "day": (0, "M"),
        "value": (0, "f"),
    }


def test_other_types_are_refused(warehouse_url: str) -> None:
    warehouse = open_warehouse(warehouse_url)
    try:
        with warehouse.read() as connection, pytest.raises(TypeError, match="number is neither"):
            read_columns(connection, sa.select(_TABLE.c.number))
    finally:
        warehouse.engine.dispose()
