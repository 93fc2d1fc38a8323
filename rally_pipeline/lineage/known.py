"""Tables as they were known, read by key: what the walk from a row to its payloads asks.

Belongs here: choosing the selectable of a table and fetching rows of it. Does not belong here: which rows decided
(`decisive.py`), payloads (`trace.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rally_pipeline.asof import selectable
from rally_pipeline.marts.asof import derived_chain_as_of
from rally_pipeline.marts.refresh import DERIVED
from rally_pipeline.schema import metadata, table_info

Row = Mapping[str, Any]
#: Conditions or an order, given the selectable.
Clauses = Callable[[sa.FromClause], Sequence[Any]]

_DERIVED = frozenset(derived.table.name for derived in DERIVED)


class Known:
    """What is believed now, or was believed at an instant; over one connection, which must not be written through."""

    def __init__(self, connection: sa.Connection, at: dt.datetime | None) -> None:
        self.connection = connection
        self.at = at
        self._sources: dict[str, sa.FromClause] = {}
        self._found: dict[tuple[Any, ...], list[Row]] = {}

    def source(self, name: str) -> sa.FromClause:
        """The table as known, with its own columns."""
        if name not in self._sources:
            self._sources.update(self._made(name))
        return self._sources[name]

    def _made(self, name: str) -> Mapping[str, sa.FromClause]:
        table = metadata.tables[name]
        if self.at is not None:
            if name in _DERIVED:
                # computed once, with all that it is computed from
                return derived_chain_as_of(self.connection, name, self.at)
            return {name: selectable(self.connection, table, self.at)}
        if table_info(table).versioned:
            return {name: sa.select(table).where(table.c.known_to_at.is_(None)).subquery(name)}
        return {name: table}

    def rows(
        self,
        name: str,
        where: Clauses | None = None,
        order: Clauses | None = None,
        limit: int | None = None,
        **key: Any,
    ) -> list[Row]:
        """Rows whose columns are `key` and which meet `where`, in order of the primary key unless `order` is given."""
        source = self.source(name)
        query = sa.select(source)
        for column, value in key.items():
            query = query.where(source.c[column].is_(None) if value is None else source.c[column] == value)
        if where is not None:
            query = query.where(*where(source))
        by = order(source) if order else [source.c[c.name] for c in metadata.tables[name].primary_key.columns]
        query = query.order_by(*by)
        if limit is not None:
            query = query.limit(limit)
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def one(self, name: str, **key: Any) -> Row | None:
        """The row of a whole key, or the first of several; ``None`` if there is none."""
        identity = (name, *sorted(key.items()))
        if identity not in self._found:
            self._found[identity] = self.rows(name, limit=1, **key)
        return next(iter(self._found[identity]), None)

    def latest(
        self, name: str, day: dt.date, *, within: int | None = None, has: str | None = None, count: int = 1, **key: Any
    ) -> list[Row]:
        """The last rows up to a day, latest first.

        Args:
            name: a table with a date column.
            day: last day that counts.
            within: only rows at most so many calendar days older.
            has: only rows in which this column is not NULL.
            count: how many.
            key: further columns.
        """
        date = table_info(metadata.tables[name]).date_column or ""

        def where(source: sa.FromClause) -> list[Any]:
            found = [source.c[date] <= day]
            if within is not None:
                found.append(source.c[date] >= day - dt.timedelta(days=within))
            if has is not None:
                found.append(source.c[has].is_not(None))
            return found

        return self.rows(name, where, lambda source: [source.c[date].desc()], count, **key)

    def between(self, name: str, first: dt.date, last: dt.date, *, has: str | None = None, **key: Any) -> list[Row]:
        """The rows of a stretch of days, both included, oldest first."""
        date = table_info(metadata.tables[name]).date_column or ""

        def where(source: sa.FromClause) -> list[Any]:
            found = [source.c[date].between(first, last)]
            return [*found, source.c[has].is_not(None)] if has else found

        return self.rows(name, where, lambda source: [source.c[date]], **key)
