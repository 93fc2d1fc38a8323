"""Which years of a derived table were written when, so that what did not change need not be read again.

Kept in ``ops_warehouse`` beside the other things a warehouse says of itself. Belongs here: noting and telling. Does not
belong here: writing the tables (`marts/refresh.py`) or who reads them (`publish/`).
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rally_pipeline.warehouse.schema_version import read_statement, write_statement


def note_written(connection: sa.Connection, table: sa.Table, start: dt.date | None) -> None:
    """Notes that rows of the table from `start` on (None = of any day) were written, in the same transaction."""
    year = 0 if start is None else start.year
    earlier = [[first, mark] for first, mark in marks_of(connection, table) if first < year]
    write_statement(connection, _name(table), json.dumps([*earlier, [year, uuid.uuid4().hex]]))


def mark_of_year(connection: sa.Connection, table: sa.Table, year: int) -> str | None:
    """A mark that is another one whenever rows of that year may have been written; None where nobody noted it."""
    found = [mark for first, mark in marks_of(connection, table) if first <= year]
    return found[-1] if found else None


def first_written(before: Sequence[Sequence[Any]], now: Sequence[Sequence[Any]]) -> dt.date:
    """The first day that may have been written between two readings of `marks_of`; `date.max` = none."""
    same = 0
    while same < min(len(before), len(now)) and tuple(before[same]) == tuple(now[same]):
        same += 1
    changed = [marks[same][0] for marks in (before, now) if same < len(marks)]
    return dt.date(max(min(changed), 1), 1, 1) if changed else dt.date.max


def marks_of(connection: sa.Connection, table: sa.Table) -> list[tuple[int, str]]:
    """First year and mark, in ascending order: a mark is about its first year and all later ones up to the next."""
    stated = read_statement(connection, _name(table))
    return [] if stated is None else [(first, mark) for first, mark in json.loads(stated)]


def _name(table: sa.Table) -> str:
    return f"written:{table.name}"
