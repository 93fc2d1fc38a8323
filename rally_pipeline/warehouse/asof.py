"""Reading facts as they were known: the current state, or that of any past instant.

Belongs here: the condition that picks versions. Does not belong here: merging (`merge.py`) or the marts' selects.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from rally_pipeline.schema import table_info
from rally_pipeline.schema.declare import UtcDateTime


def as_of(table: sa.Table, at: dt.datetime | None) -> sa.Subquery:
    """The rows of a versioned table as known at `at` (aware; ``None`` = now), under the table's own name.

    Raises:
        ValueError: the table has no versions, or `at` has no time zone.
    """
    if not table_info(table).versioned:
        raise ValueError(f"{table.name} keeps no versions")
    return sa.select(table).where(known_at(table, at)).subquery(table.name)


def known_at(table: sa.Table, at: dt.datetime | None) -> sa.ColumnElement[bool]:
    """The condition that a version was believed at `at` (``None`` = is believed now)."""
    if at is None:
        return table.c.known_to_at.is_(None)
    instant = sa.literal(at, UtcDateTime())
    return sa.and_(
        table.c.known_from_at <= instant, sa.or_(table.c.known_to_at.is_(None), table.c.known_to_at > instant)
    )
