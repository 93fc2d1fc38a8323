"""The records of column lineage: a column, how another depends on it, the lineage of a table.

The kinds of dependency are those of OpenLineage's column lineage: *direct*, where the value goes into the value, and
*indirect*, where it only decides about it. Belongs here: records and how dependencies follow from one another. Does not
belong here: how any of them is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rally_pipeline.errors import RallyError

#: Tables in name only, for what comes from outside the warehouse.
CATALOG, CALENDAR, RUN = "catalog", "calendar", "run"
#: Table of payloads; a field of one is its column ``body:<dataset>.<field>``.
RAW = "raw_fetch"
_BODY = "body:"


class LineageError(RallyError):
    """Where a column comes from cannot be told; the message names the table and what stands in the way."""


@dataclass(frozen=True, order=True)
class ColumnRef:
    """A column of a declared table, or one of the ends outside the warehouse.

    Ends are a field of a payload (``raw_fetch.body:price.close``), of the catalog (``catalog:instruments.currency``),
    of the calendars (``calendar:session_date``) or of the run itself (``run:clock``).
    """

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}{':' if self.is_outside else '.'}{self.column}"

    @property
    def is_outside(self) -> bool:
        """Whether it is no column of a declared table and no payload."""
        return self.table in (CATALOG, CALENDAR, RUN)

    @property
    def is_payload_field(self) -> bool:
        """Whether it is a field of a raw payload."""
        return self.table == RAW and self.column.startswith(_BODY)

    @property
    def box(self) -> str:
        """Where it is drawn: its table, of a payload field its dataset, of the catalog its file."""
        if self.is_payload_field:
            return f"{RAW}.{self.column.split('.', 1)[0]}"
        return f"{CATALOG}:{self.column.split('.', 1)[0]}" if self.table == CATALOG else self.table

    @property
    def name_in_box(self) -> str:
        """What it is called there."""
        return self.column.split(".", 1)[1] if self.box != self.table else self.column


def payload_field(dataset: str, name: str) -> ColumnRef:
    """A field of the payloads of a dataset, by its name in the parsed frame."""
    return ColumnRef(RAW, f"{_BODY}{dataset}.{name}")


class Subtype(StrEnum):
    """How a column depends on another, in the words of OpenLineage."""

    IDENTITY = "IDENTITY"
    TRANSFORMATION = "TRANSFORMATION"
    AGGREGATION = "AGGREGATION"
    CONDITIONAL = "CONDITIONAL"
    WINDOW = "WINDOW"
    JOIN = "JOIN"
    FILTER = "FILTER"
    GROUP_BY = "GROUP_BY"
    SORT = "SORT"

    @property
    def is_direct(self) -> bool:
        """Whether the value itself goes into the other."""
        return self in _DIRECT

    @property
    def type(self) -> str:
        """``DIRECT`` or ``INDIRECT``."""
        return "DIRECT" if self.is_direct else "INDIRECT"


_DIRECT = (Subtype.IDENTITY, Subtype.TRANSFORMATION, Subtype.AGGREGATION)


@dataclass(frozen=True, order=True)
class Dependency:
    """That something depends on ``source``, and how."""

    source: ColumnRef
    subtype: Subtype

    def then(self, outer: Subtype) -> Dependency:
        """The dependency of what uses, by way of ``outer``, what has this one.

        What decides about something decides about all made of it; of direct steps the one that changes most counts.
        """
        if not outer.is_direct:
            return Dependency(self.source, outer)
        if not self.subtype.is_direct or _DIRECT.index(self.subtype) >= _DIRECT.index(outer):
            return self
        return Dependency(self.source, outer)


Dependencies = frozenset[Dependency]
NOTHING: Dependencies = frozenset()


def then(dependencies: Iterable[Dependency], outer: Subtype) -> Dependencies:
    """`Dependency.then` of all of them."""
    return frozenset(one.then(outer) for one in dependencies)


def sources(dependencies: Iterable[Dependency]) -> frozenset[ColumnRef]:
    """What they depend on, however they do."""
    return frozenset(one.source for one in dependencies)


@dataclass(frozen=True)
class TableLineage:
    """The lineage of a table.

    Attributes:
        table: its name.
        columns: each column with what its own expression depends on: values, conditions of CASE, windows, and of a
            scalar subquery what chooses its row.
        rows: what decides which rows there are: joins, filters, grouping. It is about all columns.
    """

    table: str
    columns: Mapping[str, Dependencies]
    rows: Dependencies = field(default=NOTHING)
