"""What a derived table reads, for which part of it, and the few expressions on which the two engines differ.

Belongs here: `Inputs`, `Scope`, `Derived`, and constructs that render differently on SQLite and PostgreSQL. Does not
belong here: the definition of any table (its own module) or when it is computed (`refresh.py`).

Every definition is a SQLAlchemy select over `Inputs`, so the same one serves the warehouse as it is believed now and as
it was known at any earlier time: only the selectables differ. Definitions look back, never forward: a row of day *t*
depends on inputs up to *t* alone (and on the catalog and the calendars), so what changed on day *d* is repaired by
computing again from *d* on. With a `Scope` a definition reads just enough before ``start``; where "enough" cannot be
said in days (the 20th last session of a share that was suspended for a year) it asks the table itself, for that row.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from rally_pipeline.schema import core, core_flows, core_notes, mart, mart_flows

#: Longest distance, in calendar days, between the day asked for and the bar taken for it.
BASE_TOLERANCE_DAYS = 7
#: Longest age of an exchange rate, in calendar days.
RATE_TOLERANCE_DAYS = 5
#: Longest age of a member's last session in a ranking, and of the session before an event, in calendar days.
LAST_SESSION_DAYS = 31
#: The windows of extremes: so many weeks, so many calendar months, and so many sessions for a trough or a peak.
WINDOW_WEEKS, WINDOW_MONTHS, TROUGH_SESSIONS = 52, 36, 60


@dataclass(frozen=True)
class Inputs:
    """The selectables a definition reads, with the columns of the tables they stand for.

    ``prices_raw`` and ``fx_raw`` are the believed versions of ``core_price_daily`` and ``core_fx_daily``, one row per
    natural key. Everything a definition looks up row by row (``prices``, ``fx_usd``, ``sessions``) should be a table
    with its primary key, not a query. ``volume_monthly`` is read by its own definition for the months before
    ``Scope.start``, so without a start it may be empty. Of the flow tables, ``*_raw`` are believed versions and
    ``*_closed`` the versions no longer believed.
    """

    prices_raw: sa.FromClause
    fx_raw: sa.FromClause
    prices: sa.FromClause
    fx_usd: sa.FromClause
    instruments: sa.FromClause
    instrument_sources: sa.FromClause
    leaderboard_members: sa.FromClause
    events: sa.FromClause
    sessions: sa.FromClause
    index_performance: sa.FromClause
    volume_monthly: sa.FromClause
    price_extremes: sa.FromClause
    price_since_event: sa.FromClause
    southbound_raw: sa.FromClause
    southbound_closed: sa.FromClause
    top_stocks_raw: sa.FromClause
    broker_flows_raw: sa.FromClause
    broker_flows_closed: sa.FromClause
    market_turnover_raw: sa.FromClause
    southbound: sa.FromClause
    southbound_since_event: sa.FromClause
    reconciliation: sa.FromClause
    notes_raw: sa.FromClause
    note_claims_raw: sa.FromClause
    rating_actions_raw: sa.FromClause
    brokers: sa.FromClause

    def replace(self, **changes: sa.FromClause) -> Inputs:
        """The same inputs with some of them exchanged."""
        return dataclasses.replace(self, **changes)


def current_inputs() -> Inputs:
    """What is believed now."""
    return Inputs(
        prices_raw=_versions(core.core_price_daily, "price_believed"),
        fx_raw=_versions(core.core_fx_daily, "fx_believed"),
        prices=core.core_price_resolved_daily,
        fx_usd=core.core_fx_usd_daily,
        instruments=core.core_instrument,
        instrument_sources=core.core_instrument_source,
        leaderboard_members=core.core_leaderboard_member,
        events=core.core_event,
        sessions=core.core_session,
        index_performance=mart.mart_index_performance_daily,
        volume_monthly=mart.mart_trading_volume_monthly,
        price_extremes=mart.mart_price_extremes_daily,
        price_since_event=mart.mart_price_since_event_daily,
        southbound_raw=_versions(core_flows.core_southbound_flow_daily, "southbound_believed"),
        southbound_closed=_versions(core_flows.core_southbound_flow_daily, "southbound_closed", believed=False),
        top_stocks_raw=_versions(core_flows.core_southbound_top_stock_daily, "top_stock_believed"),
        broker_flows_raw=_versions(core_flows.core_broker_flow, "broker_flow_believed"),
        broker_flows_closed=_versions(core_flows.core_broker_flow, "broker_flow_closed", believed=False),
        market_turnover_raw=_versions(core_flows.core_market_turnover_daily, "market_turnover_believed"),
        southbound=core_flows.core_southbound_resolved_daily,
        southbound_since_event=mart_flows.mart_southbound_since_event,
        reconciliation=mart_flows.ops_reconciliation,
        notes_raw=_versions(core_notes.core_note, "note_believed"),
        note_claims_raw=_versions(core_notes.core_note_claim, "note_claim_believed"),
        rating_actions_raw=_versions(core_notes.core_rating_action, "rating_action_believed"),
        brokers=core.core_broker,
    )


def _versions(table: sa.Table, name: str, *, believed: bool = True) -> sa.FromClause:
    end = table.c.known_to_at
    return sa.select(table).where(end.is_(None) if believed else end.is_not(None)).subquery(name)


@dataclass(frozen=True)
class Scope:
    """The part of a table that is wanted: these subjects (symbols, or currencies), and days from ``start`` on.

    None means all. A definition gives exactly the rows of the whole table that lie in the scope.
    """

    subjects: tuple[str, ...] | None = None
    start: dt.date | None = None

    def back(self, days: int) -> dt.date | None:
        """The day so many calendar days before ``start``; None if there is no start."""
        if self.start is None:
            return None
        return self.start - dt.timedelta(days=min(days, (self.start - dt.date.min).days))

    def has_subject(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Condition that ``column`` is one of the subjects."""
        return sa.true() if self.subjects is None else column.in_(self.subjects)

    def has_day(self, column: sa.ColumnElement[Any], back: int = 0) -> sa.ColumnElement[bool]:
        """Condition that ``column`` is not before ``start`` less ``back`` days."""
        day = self.back(back)
        return sa.true() if day is None else column >= day


EVERYTHING = Scope()

Select = Callable[[Inputs, Scope], "sa.Select[Any]"]
Widen = Callable[[sa.Connection, frozenset[str]], frozenset[str]]


@dataclass(frozen=True)
class InBulk:
    """All of history by another plan than `Derived.select`, on whole series (`in_bulk.py`), with the same rows.

    Attributes:
        read: what is read from the warehouse, some subjects at a time: those of one together, in order of days.
        compute: the table's columns from those of `read`, as arrays of numpy.
    """

    read: Select
    compute: Callable[[Mapping[str, npt.NDArray[Any]]], Mapping[str, npt.NDArray[Any]]]


@dataclass(frozen=True)
class Derived:
    """A table computed inside the warehouse.

    Attributes:
        table: the declaration; its ``date_column`` is what ``Scope.start`` is about.
        inputs: names of the tables whose changes make this one stale, direct ones only (reference tables excepted:
            when they change, everything is stale).
        select: the definition; its columns are those of the table, in the same order.
        subject: column by which changes are told apart; None = only days count.
        widen: which further subjects change along with the given ones.
        floor: first day of the row that holds a day, for tables whose rows are longer than one day.
        reach: first day of which rows may change when inputs change from the given day on, where that is earlier; for
            tables without a subject.
        has_full_plan: whether computing all history of a subject is cheaper when it is asked for without a start.
        in_bulk: how all of history is computed, where the warehouse's own engine has no good plan.
    """

    table: sa.Table
    inputs: tuple[str, ...]
    select: Select
    subject: str | None = "symbol"
    widen: Widen | None = None
    floor: Callable[[dt.date], dt.date] | None = None
    reach: Callable[[sa.Connection, dt.date], dt.date] | None = None
    has_full_plan: bool = True
    in_bulk: InBulk | None = None


def output(table: sa.Table, columns: Mapping[str, sa.ColumnElement[Any]]) -> list[sa.ColumnElement[Any]]:
    """Labelled output columns in the order of ``table``.

    Raises:
        ValueError: a column is missing or not one of the table's.
    """
    names = [column.name for column in table.columns]
    if set(names) != set(columns):
        raise ValueError(f"{table.name}: columns differ: {sorted(set(names) ^ set(columns))}")
    return [columns[name].label(name) for name in names]


def pct(now: sa.ColumnElement[Any], then: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Change from ``then`` to ``now`` in per cent; NULL if either is."""
    return (now / then - 1.0) * 100.0


def day_start_of_month(day: dt.date) -> dt.date:
    """First day of the month of ``day``."""
    return day.replace(day=1)


class days_between(FunctionElement[int]):  # noqa: N801 - reads as a function
    """Calendar days from the second date to the first: ``days_between(later, earlier)``."""

    name = "days_between"
    type = sa.Integer()
    inherit_cache = True


@compiles(days_between)
def _days_between(element: days_between, compiler: SQLCompiler, **kw: Any) -> str:
    later, earlier = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({later} - {earlier})"


@compiles(days_between, "sqlite")
def _days_between_sqlite(element: days_between, compiler: SQLCompiler, **kw: Any) -> str:
    later, earlier = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(julianday({later}) - julianday({earlier}) AS INTEGER)"


class month_start(FunctionElement[dt.date]):  # noqa: N801 - reads as a function
    """First day of the month of a date."""

    name = "month_start"
    type = sa.Date()
    inherit_cache = True


@compiles(month_start)
def _month_start(element: month_start, compiler: SQLCompiler, **kw: Any) -> str:
    # make_date and not date_trunc, which would go through a timestamp with the session's time zone
    (day,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"make_date(CAST(EXTRACT(year FROM {day}) AS INTEGER), CAST(EXTRACT(month FROM {day}) AS INTEGER), 1)"


@compiles(month_start, "sqlite")
def _month_start_sqlite(element: month_start, compiler: SQLCompiler, **kw: Any) -> str:
    (day,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"date({day}, 'start of month')"


class year_start(FunctionElement[dt.date]):  # noqa: N801 - reads as a function
    """1 January of the year of a date."""

    name = "year_start"
    type = sa.Date()
    inherit_cache = True


@compiles(year_start)
def _year_start(element: year_start, compiler: SQLCompiler, **kw: Any) -> str:
    (day,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"make_date(CAST(EXTRACT(year FROM {day}) AS INTEGER), 1, 1)"


@compiles(year_start, "sqlite")
def _year_start_sqlite(element: year_start, compiler: SQLCompiler, **kw: Any) -> str:
    (day,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"date({day}, 'start of year')"


class by_code_point(FunctionElement[str]):  # noqa: N801 - reads as a function
    """A text to sort by, in the order of its code points: databases differ in their default order."""

    name = "by_code_point"
    type = sa.Text()
    inherit_cache = True


@compiles(by_code_point)
def _by_code_point(element: by_code_point, compiler: SQLCompiler, **kw: Any) -> str:
    (text,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f'({text} COLLATE "C")'


@compiles(by_code_point, "sqlite")
def _by_code_point_sqlite(element: by_code_point, compiler: SQLCompiler, **kw: Any) -> str:
    (text,) = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({text} COLLATE BINARY)"


#: HK$ in one HK$ mn.
_HKD = 1e6


def in_hkd(millions: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """HK$ mn as whole HK$: sums of integers do not depend on the order of summation, and equal ones are equal."""
    return sa.cast(sa.func.round(millions * _HKD, type_=sa.Double()), sa.BigInteger)


def in_mn(amount: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Whole HK$ as HK$ mn."""
    return sa.cast(amount, sa.Double) / _HKD


def to_hkd(millions: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """HK$ mn rounded to whole HK$, so that equal differences are equal numbers."""
    return sa.func.round(millions * _HKD, type_=sa.Double()) / _HKD
