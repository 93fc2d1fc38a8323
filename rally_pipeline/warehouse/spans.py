"""The first and the last day that a table has rows of, found through its key instead of by reading all of it.

Neither engine skips from one value of a key's first column to the next by itself: a plain ``max`` of the second reads
the whole index. Belongs here: those two days. Does not belong here: which days there should be.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema import table_info


def is_second_in_key(table: sa.Table, day: sa.ColumnElement[Any]) -> bool:
    """Whether a column is the second of the primary key, so that each value of the first has its days in order."""
    key = list(table.primary_key.columns)
    return len(key) > 1 and key[1] is day


def day_span(connection: sa.Connection, table: sa.Table) -> tuple[dt.date, dt.date] | None:
    """First and last day of a table with a date column; ``None`` = no row has one."""
    day = table.c[table_info(table).date_column or ""]
    query = sa.select(sa.func.min(day), sa.func.max(day))
    if is_second_in_key(table, day):
        subject = next(iter(table.primary_key.columns))
        each = sa.select(sa.func.min(subject).label("subject")).cte("each", recursive=True)
        following = sa.select(sa.func.min(subject)).where(subject > each.c.subject).scalar_subquery()
        each = each.union_all(sa.select(following).where(each.c.subject.is_not(None)))
        first = sa.select(sa.func.min(day)).where(subject == each.c.subject).scalar_subquery()
        last = sa.select(sa.func.max(day)).where(subject == each.c.subject).scalar_subquery()
        query = sa.select(sa.func.min(first), sa.func.max(last)).select_from(each)
    found = connection.execute(query).one()
    return None if found[0] is None else (found[0], found[1])
