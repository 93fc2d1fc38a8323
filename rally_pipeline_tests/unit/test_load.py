"""Values on their way into the embedded engine: what is missing stays missing."""

from __future__ import annotations

import pandas as pd
import pytest
import sqlalchemy as sa

from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.warehouse.load import insert_lists, sqlite_list


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
