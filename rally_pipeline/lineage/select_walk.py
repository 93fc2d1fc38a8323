"""What each output column of a select depends on, read off its expression tree.

A column object of SQLAlchemy knows the table, alias, subquery or CTE it is of, so following it needs no names and no
scopes. Every kind of element is listed here; one that is not, and any text in place of an expression, is refused: it
would be lineage that looks complete and is not. Belongs here: the walk. Does not belong here: which selects there are
(`columns.py`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import elements, functions, selectable

from rally_pipeline.lineage.records import NOTHING, ColumnRef, Dependencies, Dependency, LineageError, Subtype, then
from rally_pipeline.schema import metadata

#: Functions that make one value of many rows.
_AGGREGATES = frozenset({"avg", "count", "max", "min", "sum"})
#: Words allowed before a CTE or select; they choose a plan and no value.
_PLAN_WORDS = frozenset({"MATERIALIZED", "NOT MATERIALIZED"})
_CONSTANTS = (elements.BindParameter, elements.Null, elements.True_, elements.False_, elements.CollationClause)
#: What stands in a FROM under a name of its own.
_NAMED = (sa.Alias, sa.Subquery, sa.CTE, sa.Lateral)
_TEXTS = (elements.AbstractTextClause, selectable.TextualSelect, elements._textual_label_reference)
#: Where SQLAlchemy keeps text that is put into a statement as it is.
_TEXT_PLACES = ("_prefixes", "_suffixes", "_hints", "_statement_hints", "_independent_ctes")


@dataclass(frozen=True)
class Outputs:
    """What a query gives: its columns in order, and what decides about its rows."""

    columns: tuple[Dependencies, ...]
    rows: Dependencies


@dataclass(frozen=True)
class _Where:
    """Where in a query an expression stands: the tables in sight, what decides about the rows, and whether it is only
    asked if there are any.
    """

    in_sight: frozenset[sa.FromClause] = frozenset()
    rows: Dependencies = NOTHING
    is_exists: bool = False


def walk(query: selectable.SelectBase, name: str) -> Outputs:
    """What the columns and the rows of a query depend on, in columns of declared tables.

    Args:
        query: a select, or several joined by UNION [ALL].
        name: what it defines, for messages.

    Raises:
        LineageError: part of it is text, or of a kind whose lineage is not known.
    """
    _refuse_text(query, name)
    return _Walk(name).query(query, _Where())


def _refuse_text(query: selectable.SelectBase, name: str) -> None:
    for element in _elements(query):
        if isinstance(element, _TEXTS):
            raise LineageError(f"{name}: its select holds the text {str(element)!r}; write it as an expression")
        if isinstance(element, elements.ColumnClause) and element.is_literal and element.name != "*":
            raise LineageError(f"{name}: its select holds literal_column({element.name!r}); write it as an expression")
        for place in _TEXT_PLACES:
            for text in element.__dict__.get(place, ()):
                first = text[0] if isinstance(text, tuple) else text
                if str(first).upper() not in _PLAN_WORDS:
                    raise LineageError(f"{name}: its select holds {str(first)!r} in {place.strip('_')}")


def _elements(query: selectable.SelectBase) -> Iterator[Any]:
    """Every element of a query once, however many ways lead to it."""
    seen: dict[int, Any] = {}  # held, or another could get the number of one that is gone
    waiting: list[Any] = [query]
    while waiting:
        element = waiting.pop()
        if id(element) not in seen:
            seen[id(element)] = element
            yield element
            if not isinstance(element, sa.Table):
                waiting += element.get_children()


@dataclass
class _Walk:
    """One walk: what was found of each query in a FROM, so that each is walked once."""

    name: str
    found: dict[selectable.SelectBase, Outputs] = field(default_factory=dict)
    #: Of a recursive CTE, what is known so far of its columns.
    assumed: dict[str, Outputs] = field(default_factory=dict)

    # --- queries

    def query(self, query: Any, where: _Where) -> Outputs:
        """What a query gives; ``where`` is where it stands, if it may refer to what is around it."""
        if isinstance(query, selectable.SelectStatementGrouping | selectable.ScalarSelect):
            return self.query(query.element, where)
        if isinstance(query, sa.Select):
            return self._select(query, where)
        if isinstance(query, sa.CompoundSelect):
            return self._compound(query, where)
        raise self._unknown(query)

    def _select(self, query: sa.Select[Any], around: _Where) -> Outputs:
        froms = [source for source in _final_froms(query) if not _leaves(source) <= around.in_sight]
        in_sight = around.in_sight.union(*(_leaves(source) for source in froms))
        here = _Where(in_sight)
        rows: set[Dependency] = set()
        for source in froms:
            rows |= self._source(source, here)
        conditions: tuple[tuple[Iterable[Any], Subtype], ...] = (
            (query._where_criteria, Subtype.FILTER),
            (query._group_by_clauses, Subtype.GROUP_BY),
            (query._having_criteria, Subtype.FILTER),
            (query._order_by_clauses, Subtype.SORT),
            (query._distinct_on, Subtype.GROUP_BY),
        )
        for clauses, subtype in conditions:
            rows |= self._all(clauses, subtype, _Where(in_sight, frozenset(rows)))
        here = _Where(in_sight, frozenset(rows))
        wanted = [c for c in query.selected_columns if not (around.is_exists and _is_star(c))]
        columns = tuple(self.value(column, here) for column in wanted)
        if query._distinct and not query._distinct_on:
            rows |= then(_union(columns), Subtype.GROUP_BY)
        return Outputs(columns, frozenset(rows))

    def _compound(self, query: sa.CompoundSelect[Any], around: _Where) -> Outputs:
        keyword = query.keyword.name
        if keyword not in ("UNION", "UNION_ALL"):
            raise LineageError(f"{self.name}: the lineage of {keyword} is not known")
        parts = [self.query(part, around) for part in query.selects]
        columns = tuple(_union(alike) for alike in zip(*(part.columns for part in parts), strict=True))
        rows = _union(part.rows for part in parts)
        # of a column that is a constant in each part, what chooses the rows of the parts chooses the value
        columns = tuple(column or rows for column in columns)
        if keyword == "UNION":
            rows |= then(_union(columns), Subtype.GROUP_BY)
        if query._order_by_clauses:
            raise LineageError(f"{self.name}: the lineage of ORDER BY behind a UNION is not known; order a subquery")
        return Outputs(columns, rows)

    def _source(self, source: Any, where: _Where) -> Dependencies:
        """What decides about the rows of something in a FROM."""
        if isinstance(source, selectable.Join):
            on = NOTHING if source.onclause is None else then(self.value(source.onclause, where), Subtype.JOIN)
            return self._source(source.left, where) | self._source(source.right, where) | on
        if isinstance(source, selectable.FromGrouping):
            return self._source(source.element, where)
        if isinstance(source, sa.Table):
            return NOTHING
        if isinstance(source, _NAMED):
            inner = source.element
            return self._named(source, where).rows if isinstance(inner, sa.SelectBase) else self._source(inner, where)
        raise self._unknown(source)

    def _named(self, source: Any, where: _Where) -> Outputs:
        """What a query in a FROM gives."""
        if source.name in self.assumed:
            return self.assumed[source.name]
        query = source.element
        if query not in self.found:
            if isinstance(source, sa.CTE) and source.recursive and isinstance(query, sa.CompoundSelect):
                self.found[query] = self._recursive(source.name, query, where)
            else:
                outputs = self.query(query, where)
                if self.assumed:
                    return outputs  # what it is made of may still become more
                self.found[query] = outputs
        return self.found[query]

    def _recursive(self, name: str, query: sa.CompoundSelect[Any], where: _Where) -> Outputs:
        known = self.query(query.selects[0], where)
        while True:
            self.assumed[name] = known
            try:
                more = self.query(query, where)
            finally:
                del self.assumed[name]
            if more == known:
                return known
            known = more

    # --- expressions

    def value(self, element: Any, where: _Where) -> Dependencies:
        """What a value depends on."""
        if isinstance(element, _CONSTANTS):
            return NOTHING
        if isinstance(element, elements.ColumnClause):
            return self._column(element, where)
        if isinstance(element, elements.Label | elements.Grouping | elements._label_reference):
            return self.value(element.element, where)
        if isinstance(element, elements.TypeCoerce):
            return self.value(element.clause, where)
        if isinstance(element, selectable.Exists):
            return self.query(element.element, dataclasses.replace(where, is_exists=True)).rows
        if isinstance(element, selectable.ScalarSelect | sa.SelectBase):
            inner = self.query(element, where)
            return inner.rows.union(*inner.columns)
        if isinstance(element, elements.Case):
            return self._case(element, where)
        if isinstance(element, elements.Over):
            ways = ((element.partition_by, Subtype.WINDOW), (element.order_by, Subtype.WINDOW))
            over = (self._all([clause], way, where) for clause, way in ways if clause is not None)
            return self.value(element.element, where).union(*over)
        if isinstance(element, elements.FunctionFilter):
            condition = then(self.value(element.criterion, where), Subtype.CONDITIONAL)
            return self.value(element.func, where) | condition
        if isinstance(element, functions.FunctionElement):
            return self._function(element, where)
        return then(self._parts(element, where), Subtype.TRANSFORMATION)

    def _parts(self, element: Any, where: _Where) -> Dependencies:
        """What the operands of an expression depend on."""
        parts: tuple[Any, ...]
        if isinstance(element, elements.Cast | elements.TryCast):
            parts = (element.clause,)
        elif isinstance(element, elements.Extract):
            parts = (element.expr,)
        elif isinstance(element, elements.BinaryExpression):
            parts = (element.left, element.right)
        elif isinstance(element, elements.UnaryExpression):
            parts = (element.element,)
        elif isinstance(element, elements.ClauseList | elements.ExpressionClauseList):
            parts = tuple(element.clauses)
        else:
            raise self._unknown(element)
        return _union(self.value(part, where) for part in parts)

    def _case(self, element: elements.Case[Any], where: _Where) -> Dependencies:
        conditions = [condition for condition, _ in element.whens]
        values = [value for _, value in element.whens]
        if element.value is not None:
            conditions.append(element.value)
        if element.else_ is not None:
            values.append(element.else_)
        return self._all(conditions, Subtype.CONDITIONAL, where) | self._all(values, Subtype.TRANSFORMATION, where)

    def _function(self, element: functions.FunctionElement[Any], where: _Where) -> Dependencies:
        if isinstance(element, functions.ScalarFunctionColumn | functions.FunctionAsBinary | functions.next_value):
            raise self._unknown(element)
        name = str(getattr(element, "name", ""))
        arguments = list(element.clauses)
        if name == "count" and all(_is_star(argument) for argument in arguments):
            return where.rows  # no value is counted but the rows that there are
        way = Subtype.AGGREGATION if name in _AGGREGATES else Subtype.TRANSFORMATION
        return self._all(arguments, way, where)

    def _column(self, column: Any, where: _Where) -> Dependencies:
        source: Any = column.table
        if column.is_literal or source is None:
            raise LineageError(f"{self.name}: its select holds {str(column)!r}, which is a column of no table")
        if isinstance(source, sa.Table):
            if source.name not in metadata.tables:
                raise LineageError(f"{self.name}: its select reads {source.name}, which is not a declared table")
            return frozenset({Dependency(ColumnRef(source.name, column.name), Subtype.IDENTITY)})
        if not isinstance(source, _NAMED):
            raise self._unknown(source)
        inner: Any = source.element
        if not isinstance(inner, sa.SelectBase):
            return self._column(inner.c[column.key], where)
        given = self._named(source, where).columns
        names: list[str] = list(source.c.keys())
        if len(given) != len(names):
            raise LineageError(f"{self.name}: two columns of {source.name} have the same name")
        return given[names.index(column.key)]

    def _all(self, clauses: Iterable[Any], way: Subtype, where: _Where) -> Dependencies:
        return _union(then(self.value(clause, where), way) for clause in clauses)

    def _unknown(self, element: object) -> LineageError:
        return LineageError(f"{self.name}: the lineage of {type(element).__name__} ({element}) is not known")


@functools.cache
def _compiler() -> Any:
    return sa.select(sa.literal(1))._default_compiler()


def _final_froms(query: sa.Select[Any]) -> Iterable[sa.FromClause]:
    """What ``query.get_final_froms()`` gives, without compiling the query to make a compiler for the question: that
    would be most of the work of a walk.
    """
    state: Any = query._compile_state_factory(query, _compiler())
    froms: Iterable[sa.FromClause] = state._get_display_froms()
    return froms


def _union(parts: Iterable[Dependencies]) -> Dependencies:
    return NOTHING.union(*parts)


def _is_star(element: Any) -> bool:
    return isinstance(element, elements.ColumnClause) and element.is_literal and element.name == "*"


def _leaves(source: sa.FromClause) -> frozenset[sa.FromClause]:
    """The tables, aliases and subqueries of a join."""
    if isinstance(source, selectable.Join):
        return _leaves(source.left) | _leaves(source.right)
    return frozenset({source})
