"""The Arrow types of declared columns.

Belongs here: that map. Does not belong here: reading or writing rows (`series.py`, `load.py`).
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rally_pipeline.schema.declare import UtcDateTime


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
