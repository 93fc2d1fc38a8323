"""All tables and columns with what they come from, as one graph, and the questions asked of it.

Belongs here: putting together what is derived and what is declared, following it up and down, printing and exporting
it. Does not belong here: how any of it is found, or how it is drawn (`drawing.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rally_pipeline.errors import UsageError
from rally_pipeline.lineage.audited import audit_lineage
from rally_pipeline.lineage.columns import table_lineage
from rally_pipeline.lineage.loaded import loaded_lineage, reference_lineage
from rally_pipeline.lineage.records import (
    NOTHING,
    RAW,
    ColumnRef,
    Dependencies,
    Dependency,
    LineageError,
    Subtype,
    TableLineage,
    sources,
)
from rally_pipeline.marts import DERIVED
from rally_pipeline.schema import metadata, table_info

Made = Literal["derived", "loaded", "reference", "computed", "fetched", "outside"]


@dataclass(frozen=True)
class LineageGraph:
    """Every column that data flows through, with what it depends on.

    Attributes:
        tables: lineage by table, from the ends to the marts.
        made: how each table comes about: *derived* by a select, *loaded* from payloads, *reference* written from
            catalog and calendars, *computed* by code, *fetched* (payloads and their index), *outside* the warehouse.
    """

    tables: Mapping[str, TableLineage]
    made: Mapping[str, Made]

    def dependencies(self, ref: ColumnRef) -> Dependencies:
        """What a column depends on directly; nothing for an end.

        Raises:
            UsageError: there is no such column.
        """
        table = self.tables.get(ref.table)
        if table is None or ref.column not in table.columns:
            raise UsageError(f"no column {str(ref)!r} in the lineage. Fix: {_known(self, ref.table)}.")
        return table.columns[ref.column]

    def upstream(self, ref: ColumnRef, *, only_values: bool = False) -> frozenset[ColumnRef]:
        """Everything a column depends on, directly or not; with ``only_values`` only what goes into its value."""
        return self._closure(ref, lambda at: _wanted(self.dependencies(at), only_values))

    def downstream(self, ref: ColumnRef, *, only_values: bool = False) -> frozenset[ColumnRef]:
        """Everything that depends on a column, directly or not."""
        self.dependencies(ref)
        return self._closure(ref, lambda at: _wanted(self._users.get(at, NOTHING), only_values))

    def roots(self, ref: ColumnRef) -> frozenset[ColumnRef]:
        """The ends a column comes from: fields of payloads, of the catalog, of the calendars."""
        return frozenset(at for at in self.upstream(ref) if not self.dependencies(at))

    @functools.cached_property
    def _users(self) -> dict[ColumnRef, Dependencies]:
        users: dict[ColumnRef, set[Dependency]] = {}
        for table in self.tables.values():
            for name, found in table.columns.items():
                for one in found:
                    users.setdefault(one.source, set()).add(Dependency(ColumnRef(table.table, name), one.subtype))
        return {ref: frozenset(found) for ref, found in users.items()}

    def users(self, ref: ColumnRef) -> Dependencies:
        """What depends on a column directly: as `dependencies`, the other way."""
        self.dependencies(ref)
        return self._users.get(ref, NOTHING)

    @staticmethod
    def _closure(ref: ColumnRef, step: Callable[[ColumnRef], frozenset[ColumnRef]]) -> frozenset[ColumnRef]:
        found: set[ColumnRef] = set()
        waiting = [ref]
        while waiting:
            new = step(waiting.pop()) - found
            found |= new
            waiting += new
        return frozenset(found)


def _wanted(dependencies: Dependencies, only_values: bool) -> frozenset[ColumnRef]:
    return sources(one for one in dependencies if one.subtype.is_direct or not only_values)


def _known(graph: LineageGraph, table: str) -> str:
    found = graph.tables.get(table)
    return f"one of {', '.join(found.columns if found else graph.tables)}"


@functools.cache
def lineage_graph() -> LineageGraph:
    """The graph of all tables of the raw, core and mart layers, and of the derived ones beside them; made once.

    Raises:
        LineageError: a core or mart table has no lineage, or one names a column that does not exist.
    """
    made: dict[str, Made] = {}
    tables: dict[str, TableLineage] = {}
    parts: tuple[tuple[Made, Iterable[TableLineage]], ...] = (
        ("loaded", loaded_lineage().values()),
        ("reference", reference_lineage().values()),
        ("derived", (table_lineage(derived) for derived in DERIVED)),
        ("computed", (audit_lineage(),)),
    )
    for how, found in parts:
        for lineage in found:
            tables[lineage.table], made[lineage.table] = lineage, how
    _check_complete(tables)
    ends: dict[str, dict[str, Dependencies]] = {
        RAW: {column.name: NOTHING for column in metadata.tables[RAW].columns},
    }
    for lineage in tables.values():
        for one in sorted(lineage.rows.union(*lineage.columns.values())):
            ref = one.source
            if ref.is_outside or ref.is_payload_field:
                ends.setdefault(ref.table, {})[ref.column] = NOTHING
            elif ref.table != RAW and ref.column not in tables[ref.table].columns:
                raise LineageError(f"{lineage.table} is said to come from {ref}, which does not exist")
    everything = {name: TableLineage(name, columns) for name, columns in ends.items()} | tables
    for name in ends:
        made[name] = "fetched" if name == RAW else "outside"
    return LineageGraph(everything, made)


def _check_complete(tables: Mapping[str, TableLineage]) -> None:
    for name, table in metadata.tables.items():
        if table_info(table).layer in ("core", "mart") and name not in tables:
            raise LineageError(f"{name}: it is no select and nothing says where its columns come from")
    for name, lineage in tables.items():
        declared = [column.name for column in metadata.tables[name].columns]
        if list(lineage.columns) != declared:
            raise LineageError(f"{name}: the lineage names {sorted(set(lineage.columns) ^ set(declared))} differently")


def upstream_of(table: str, column: str) -> frozenset[ColumnRef]:
    """Every column and end that a column depends on, directly or through others, by value or not.

    Raises:
        UsageError: there is no such column.
    """
    return lineage_graph().upstream(ColumnRef(table, column))


def parse_ref(text: str) -> tuple[str, str]:
    """Table and column of ``TABLE[.COLUMN]`` as it is printed; the column is empty where none is given.

    Raises:
        UsageError: there is no such table.
    """
    graph = lineage_graph()
    first, separator, rest = text.partition(":")
    if separator and first in graph.tables and "." not in first:
        return first, rest
    table, _, column = text.partition(".")
    if table not in graph.tables:
        raise UsageError(f"no table {table!r} in the lineage. Fix: one of {', '.join(graph.tables)}.")
    return table, column


# --- in words

_WORDS = {
    Subtype.IDENTITY: "",
    Subtype.TRANSFORMATION: "computed",
    Subtype.AGGREGATION: "aggregated",
    Subtype.CONDITIONAL: "condition",
    Subtype.WINDOW: "window",
    Subtype.JOIN: "join",
    Subtype.FILTER: "filter",
    Subtype.GROUP_BY: "grouping",
    Subtype.SORT: "order",
}
_ORDER = list(Subtype)


def by_source(dependencies: Iterable[Dependency]) -> dict[ColumnRef, list[Subtype]]:
    """Every source with the ways in which it counts; those whose value counts first, then in order of name."""
    found: dict[ColumnRef, list[Subtype]] = {}
    for one in sorted(dependencies, key=lambda one: (not one.subtype.is_direct, one.source, _ORDER.index(one.subtype))):
        found.setdefault(one.source, []).append(one.subtype)
    return found


def in_words(dependencies: Dependencies, most: int = 6) -> str:
    """``from a.b, c.d``: where a value comes from; where no value goes into it, what decides about it. Empty for an
    end.
    """
    values = [one for one in dependencies if one.subtype.is_direct]
    refs = [str(ref) for ref in by_source(values or dependencies)]
    if not refs:
        return ""
    more = f" and {len(refs) - most} more" if len(refs) > most else ""
    return f"{'from' if values else 'decided by'} {', '.join(refs[:most])}{more}"


def tree_lines(ref: ColumnRef, *, down: bool = False, only_values: bool = False) -> Iterator[str]:
    """The tree of what a column comes from (or, with ``down``, goes into), a line each; what was shown is not shown
    again.

    Raises:
        UsageError: there is no such column.
    """
    graph = lineage_graph()
    shown: set[ColumnRef] = set()

    def below(at: ColumnRef, indent: str) -> Iterator[str]:
        found = graph.users(at) if down else graph.dependencies(at)
        ways = by_source(one for one in found if one.subtype.is_direct or not only_values)
        for place, (other, subtypes) in enumerate(ways.items(), start=1):
            is_last = place == len(ways)
            words = ", ".join(word for subtype in subtypes if (word := _WORDS[subtype]))
            has_more = bool(graph.users(other) if down else graph.dependencies(other))
            is_again = other in shown and has_more
            note = f"  ({words})" if words else ""
            yield f"{indent}{'└─' if is_last else '├─'} {other}{note}{'  …' if is_again else ''}"
            if not is_again:
                shown.add(other)
                yield from below(other, f"{indent}{'   ' if is_last else '│  '}")

    graph.dependencies(ref)
    shown.add(ref)
    yield str(ref)
    yield from below(ref, "")


def table_lines(table: str) -> Iterator[str]:
    """Each column of a table with what it comes from, and what decides about its rows."""
    graph = lineage_graph()
    lineage = graph.tables[table]
    width = max(len(name) for name in lineage.columns)
    yield f"{table} ({graph.made[table]})"
    for name, found in lineage.columns.items():
        yield f"  {name:<{width}}  {in_words(found)}".rstrip()
    if lineage.rows:
        yield f"  {'rows':<{width}}  decided by {', '.join(map(str, by_source(lineage.rows)))}"


def overview_lines() -> Iterator[str]:
    """Each table with the tables it comes from."""
    graph = lineage_graph()
    width = max(len(name) for name in graph.tables)
    for name, lineage in graph.tables.items():
        tables = sorted({one.source.table for one in lineage.rows.union(*lineage.columns.values())})
        origin = f"from {', '.join(tables)}" if tables else graph.made[name]
        yield f"{name:<{width}}  {origin}"


def lines(name: str | None, *, down: bool = False, only_values: bool = False) -> Iterator[str]:
    """What is said of ``TABLE.COLUMN`` (a tree), ``TABLE`` (its columns) or, without a name, of all tables.

    Raises:
        UsageError: there is no such table or column, or only a column can be followed that way.
    """
    ref = _ref(name, needs_column=down or only_values)
    if ref is None:
        return overview_lines()
    return tree_lines(ref, down=down, only_values=only_values) if ref.column else table_lines(ref.table)


# --- as data


def edge_rows(name: str | None, *, down: bool = False, only_values: bool = False) -> list[dict[str, str]]:
    """Dependencies as flat rows: table, column, from_table, from_column, type, subtype.

    Args:
        name: ``TABLE.COLUMN``: all on the way to its ends (with ``down``, to what is made of it); ``TABLE``: the direct
            ones of its columns; None: of all. What decides about rows stands under the column ``*``.
        down: which way a column is followed.
        only_values: only what goes into values.

    Raises:
        UsageError: there is no such table or column.
    """
    graph = lineage_graph()
    ref = _ref(name, needs_column=down)
    wanted: frozenset[ColumnRef] | None = None
    if ref is not None and ref.column:
        wanted = (
            graph.downstream(ref, only_values=only_values) if down else graph.upstream(ref, only_values=only_values)
        )
        wanted |= {ref}
    return [
        {
            "table": table,
            "column": column,
            "from_table": one.source.table,
            "from_column": one.source.column,
            "type": one.subtype.type,
            "subtype": one.subtype.value,
        }
        for table, lineage in graph.tables.items()
        if ref is None or ref.column or table == ref.table
        for column, found in (*lineage.columns.items(), ("*", lineage.rows))
        if wanted is None or (ColumnRef(table, column) in wanted and not (down and ColumnRef(table, column) == ref))
        for one in sorted(found)
        if (one.subtype.is_direct or not only_values) and (wanted is None or one.source in wanted)
    ]


def _ref(name: str | None, *, needs_column: bool) -> ColumnRef | None:
    ref = ColumnRef(*parse_ref(name)) if name else None
    if needs_column and (ref is None or not ref.column):
        raise UsageError("only a column is followed that way. Fix: give TABLE.COLUMN.")
    return ref
