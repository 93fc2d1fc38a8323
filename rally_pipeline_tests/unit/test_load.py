"""Values on their way into the embedded engine: what is missing stays missing."""

from __future__ import annotations

import pandas as pd
import pytest
import sqlalchemy as sa

from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.warehouse.load import sqlite_list


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
