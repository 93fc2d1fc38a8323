"""When derived tables are computed: what a change makes stale, and how what is stale is computed again.

Belongs here: the order of the derived tables, the marks in ``ops_stale``, delete and insert of a scope. Does not belong
here: the definition of any table.

Marks are written in the transaction of the change itself and taken away in that of the refresh, so a crash between the
two loses nothing. Nothing here commits: the transaction is the caller's.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rally_pipeline.errors import UsageError
from rally_pipeline.marts import resolved
from rally_pipeline.marts.flows import DERIVED_FLOWS
from rally_pipeline.marts.in_bulk import fill, is_in_bulk
from rally_pipeline.marts.index_performance import INDEX_PERFORMANCE
from rally_pipeline.marts.inputs import Derived, Inputs, Scope, current_inputs
from rally_pipeline.marts.leaderboard import LEADERBOARD
from rally_pipeline.marts.positioning import POSITIONING
from rally_pipeline.marts.price_extremes import PRICE_EXTREMES
from rally_pipeline.marts.price_since_event import PRICE_SINCE_EVENT
from rally_pipeline.marts.rating_actions import RATING_ACTIONS
from rally_pipeline.marts.trading_volume import TRADING_VOLUME_DAILY, TRADING_VOLUME_MONTHLY
from rally_pipeline.schema import core, metadata, table_info
from rally_pipeline.schema.ops import ops_stale
from rally_pipeline.warehouse.written import note_written

#: The derived tables about prices and rates, each after all it depends on.
DERIVED_PRICES: tuple[Derived, ...] = (
    resolved.PRICES,
    resolved.FX,
    INDEX_PERFORMANCE,
    LEADERBOARD,
    PRICE_EXTREMES,
    PRICE_SINCE_EVENT,
    TRADING_VOLUME_MONTHLY,
    TRADING_VOLUME_DAILY,
)
#: Every derived table, after all it depends on.
DERIVED: tuple[Derived, ...] = (*DERIVED_PRICES, *DERIVED_FLOWS, RATING_ACTIONS, POSITIONING)
#: Subject of a mark that is about all of them.
ALL = "*"
#: Start of a mark that is about all of history.
ALWAYS = dt.date(1, 1, 1)

#: Subjects in one statement, well below what either engine takes.
_CHUNK = 1000
#: Statements per table a refresh may need because subjects are stale from different days on.
_GROUPS = 8
#: Starts so close together are computed as one.
_NEAR_DAYS = 7

Changes = Mapping[str, Mapping[str, dt.date]]


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did to one table: rows written, from which day on (None = all history), and how long it took."""

    table: str
    rows: int
    start: dt.date | None
    seconds: float


def downstream(base: str) -> list[Derived]:
    """Every derived table that depends on ``base``, directly or not, in the order of computation."""
    reached, found = {base}, []
    for derived in DERIVED:
        if reached.intersection(derived.inputs):
            reached.add(derived.table.name)
            found.append(derived)
    return found


def mark_stale(connection: sa.Connection, changes: Changes) -> None:
    """Notes that everything derived from the changed facts is behind.

    Args:
        changes: name of a base table → subject → first market date that changed. Subjects of ``core_price_daily`` are
            symbols; of ``core_fx_daily`` quote currencies (``USD`` and ``EUR`` stand for all, since other rates are
            crossed through them); of any other table whatever the caller likes, only the days count. ``"*"`` is every
            subject.

    Raises:
        UsageError: nothing is derived from a table of that name.
    """
    for base, subjects in changes.items():
        reached = downstream(base)
        if not reached:
            raise UsageError(f"nothing is derived from {base!r}")
        if not subjects:
            continue
        first = {ALL: min(subjects.values())}
        told = of_symbols = first
        if base == "core_price_daily":
            told = of_symbols = dict(subjects)
        elif base == "core_fx_daily":
            told = _crossed(subjects)
            of_symbols = _of_currencies(connection, told)
        for derived in reached:
            if derived.subject is None:
                _mark(connection, derived, first)
            else:
                _mark(connection, derived, of_symbols if derived.subject == "symbol" else told)


def _crossed(changes: Mapping[str, dt.date]) -> dict[str, dt.date]:
    """Changes by currency, where one of a currency through which others are crossed is one of all."""
    every = [day for currency, day in changes.items() if currency in ("USD", "EUR", ALL)]
    return {**changes, **({ALL: min(every)} if every else {})}


def _of_currencies(connection: sa.Connection, changes: Mapping[str, dt.date]) -> dict[str, dt.date]:
    """The same changes, told by the instruments priced in these currencies."""
    instrument = core.core_instrument
    rows = connection.execute(
        sa.select(instrument.c.symbol, instrument.c.currency).where(instrument.c.currency.in_(list(changes)))
    )
    every = {ALL: changes[ALL]} if ALL in changes else {}
    return {**{symbol: changes[currency] for symbol, currency in rows}, **every}


def mark_all_stale(connection: sa.Connection, start: dt.date = ALWAYS) -> None:
    """Notes that every derived table is behind from ``start`` on: catalog, calendars or definitions changed."""
    for derived in DERIVED:
        _mark(connection, derived, {ALL: start})


def _mark(connection: sa.Connection, derived: Derived, marks: Mapping[str, dt.date]) -> None:
    floor = derived.floor or (lambda day: day)
    marks = {subject: floor(day) for subject, day in marks.items()}
    every = marks.get(ALL)
    if every is not None:
        marks = {subject: day for subject, day in marks.items() if subject == ALL or day < every}
        connection.execute(
            sa.delete(ops_stale).where(
                ops_stale.c.table_name == derived.table.name,
                ops_stale.c.subject != ALL,
                ops_stale.c.from_date >= every,
            )
        )
    if not marks:
        return
    insert = (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(ops_stale)
    earlier = sa.case(
        (insert.excluded.from_date < ops_stale.c.from_date, insert.excluded.from_date), else_=ops_stale.c.from_date
    )
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[ops_stale.c.table_name, ops_stale.c.subject], set_={"from_date": earlier}
        ),
        [{"table_name": derived.table.name, "subject": s, "from_date": day} for s, day in sorted(marks.items())],
    )


def refresh(
    connection: sa.Connection,
    *,
    tables: Collection[str] | None = None,
    progress: Callable[[Refreshed], None] | None = None,
    inputs: Inputs | None = None,
) -> list[Refreshed]:
    """Computes again what is marked as stale, and only that, in the order of dependence.

    Args:
        tables: only these tables; the others stay marked, and so does a table that is computed from one of them.
        progress: told after each table.
        inputs: what is read, if not what is believed now.

    Raises:
        UsageError: no such derived table.
    """
    unknown = set(tables or ()) - {derived.table.name for derived in DERIVED}
    if unknown:
        raise UsageError(f"not a derived table: {', '.join(sorted(unknown))}")
    done = []
    for derived in DERIVED:
        if tables is not None and derived.table.name not in tables:
            continue
        began = time.perf_counter()
        # taken away before computing: a mark set meanwhile by another transaction survives
        marks = dict(
            connection.execute(
                sa.delete(ops_stale)
                .where(ops_stale.c.table_name == derived.table.name)
                .returning(ops_stale.c.subject, ops_stale.c.from_date)
            ).all()
        )
        if not marks:
            continue
        scopes = _scopes(connection, derived, marks)
        is_core = table_info(derived.table).layer == "core"
        if Scope() in scopes and is_core and connection.dialect.name == "postgresql":
            for table in (*(metadata.tables[name] for name in derived.inputs), *core.REFERENCE):
                connection.exec_driver_sql(f"ANALYZE {table.name}")
        rows = sum(_recompute(connection, derived, inputs or current_inputs(), scope) for scope in scopes)
        if tables is not None and _is_upstream_behind(connection, derived):
            # what it was computed from is still behind, and so is it
            _mark(connection, derived, marks)
        if any(scope.start is None for scope in scopes) and connection.dialect.name == "postgresql":
            # what comes next is planned by these figures, and autovacuum does not see an open transaction
            connection.exec_driver_sql(f"ANALYZE {derived.table.name}")
        starts = [scope.start for scope in scopes]
        start = None if None in starts else min(day for day in starts if day is not None)
        done.append(Refreshed(derived.table.name, rows, start, time.perf_counter() - began))
        if progress is not None:
            progress(done[-1])
    return done


def _is_upstream_behind(connection: sa.Connection, derived: Derived) -> bool:
    names, reached = {derived.table.name}, set[str]()
    for other in reversed(DERIVED):
        if other.table.name in names:
            names.update(other.inputs)
            reached.add(other.table.name)
    behind = sa.exists().where(ops_stale.c.table_name.in_(reached - {derived.table.name}))
    return bool(connection.scalar(sa.select(behind)))


def _recompute(connection: sa.Connection, derived: Derived, inputs: Inputs, scope: Scope) -> int:
    table = derived.table
    gone = sa.delete(table)
    # no condition where none is needed: SQLite then empties the table at once
    if scope.start is not None:
        gone = gone.where(scope.has_day(table.c[table_info(table).date_column or ""]))
    if derived.subject is not None and scope.subjects is not None:
        gone = gone.where(scope.has_subject(table.c[derived.subject]))
    connection.execute(gone)
    note_written(connection, table, scope.start)
    if is_in_bulk(derived, scope):
        return fill(connection, derived, inputs, scope, table)
    names = [column.name for column in table.columns]
    select = derived.select(inputs, scope)
    if scope.start is None and connection.dialect.name == "postgresql":
        # rows stay where they are put: a subject's history belongs into few pages, whatever order the plan gives it in
        select = select.order_by(*(sa.literal_column(str(names.index(c.name) + 1)) for c in table.primary_key))
    insert = sa.insert(table).from_select(names, select)
    rows = connection.execute(insert, execution_options={"preserve_rowcount": True}).rowcount
    if rows < 0:  # the SQLite driver does not count for a statement that begins with WITH
        rows = connection.scalar(sa.select(sa.func.changes())) or 0
    return rows


def _scopes(connection: sa.Connection, derived: Derived, marks: Mapping[str, dt.date]) -> list[Scope]:
    """Few scopes that cover all marks: all subjects first, then those which are stale from an earlier day on."""
    every = marks.get(ALL)
    if every == ALWAYS:
        return [Scope()]
    if derived.subject is None:
        start = min(marks.values())
        return [
            _scope_of_days(connection, derived, start if derived.reach is None else derived.reach(connection, start))
        ]
    single: dict[str, dt.date] = {}
    if derived.widen is not None:
        for start, group in _by_start({s: day for s, day in marks.items() if s != ALL}):
            for subject in derived.widen(connection, frozenset(group)):
                single[subject] = min(start, single.get(subject, start))
    else:
        single = {s: day for s, day in marks.items() if s != ALL}
    known = _known_subjects(connection, derived)
    if every is not None:
        # told by name, so that the primary key finds the rows
        single = {**dict.fromkeys(known, every), **{s: day for s, day in single.items() if day < every}}
    if not single:
        return []
    scopes: list[Scope] = []
    whole: set[str] = set()
    for start, group in _near(_by_start(single)):
        fresh = _without_history(connection, derived, start, group)
        if derived.widen is not None and fresh != set(group):
            fresh = set()  # all history of one would need all history of those it is computed with
        whole |= fresh
        scopes += (Scope(part, start) for part in _chunks(set(group) - fresh))
    if whole and whole >= known:
        return [Scope()]
    return [*(Scope(part) for part in _chunks(whole)), *scopes]


def _scope_of_days(connection: sa.Connection, derived: Derived, start: dt.date) -> Scope:
    """Everything from ``start`` on, which is everything if the table has no earlier rows."""
    day = derived.table.c[table_info(derived.table).date_column or ""]
    has_earlier = connection.scalar(sa.select(sa.exists().where(day < start)))
    return Scope(None, start) if has_earlier else Scope()


def _known_subjects(connection: sa.Connection, derived: Derived) -> set[str]:
    if derived.subject == "symbol":
        return set(connection.scalars(sa.select(core.core_instrument.c.symbol)))
    rate = core.core_fx_daily
    both = sa.union(sa.select(rate.c.base_currency), sa.select(rate.c.quote_currency))
    return set(connection.scalars(both)) - {"USD"}


def _without_history(connection: sa.Connection, derived: Derived, start: dt.date, group: Iterable[str]) -> set[str]:
    """Those of the group that have no earlier bars, so that from ``start`` on is all there is of them."""
    if not derived.has_full_plan:
        return set()
    price = core.core_price_resolved_daily
    found: set[str] = set()
    for part in _chunks(group):
        instrument = core.core_instrument
        earlier = sa.exists().where(price.c.symbol == instrument.c.symbol, price.c.session_date < start)
        found |= set(connection.scalars(sa.select(instrument.c.symbol).where(instrument.c.symbol.in_(part), ~earlier)))
    return found


def _by_start(marks: Mapping[str, dt.date]) -> list[tuple[dt.date, list[str]]]:
    groups: dict[dt.date, list[str]] = {}
    for subject, day in marks.items():
        groups.setdefault(day, []).append(subject)
    return sorted(groups.items())


def _near(groups: Sequence[tuple[dt.date, list[str]]]) -> list[tuple[dt.date, list[str]]]:
    """Groups with starts close together merged, then the closest of the rest until they are few."""
    merged: list[tuple[dt.date, list[str]]] = []
    for start, subjects in groups:
        if merged and (start - merged[-1][0]).days <= _NEAR_DAYS:
            merged[-1][1].extend(subjects)
        else:
            merged.append((start, list(subjects)))
    while len(merged) > _GROUPS:
        at = min(range(1, len(merged)), key=lambda i: merged[i][0] - merged[i - 1][0])
        merged[at - 1][1].extend(merged.pop(at)[1])
    return merged


def _chunks(subjects: Iterable[str]) -> list[tuple[str, ...]]:
    ordered = sorted(subjects)
    return [tuple(ordered[at : at + _CHUNK]) for at in range(0, len(ordered), _CHUNK)]
