"""Highs, lows, troughs and peaks of closes.

Belongs here: extremes over moving windows, and since when a level was last seen. Does not belong here: returns.

A moving maximum costs PostgreSQL the whole window for every row, which over three years of sessions is minutes for a
few million rows. Here the days are cut into blocks as long as the window. A window then touches at most two blocks:
its part in the own block is a running maximum from the block's first day, its part in the block before is a running
maximum from the block's last day backwards, taken at the first row of the window. All of these are linear. The window
of 60 sessions is short enough to be asked for directly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.index_performance import bars
from rally_pipeline.marts.inputs import BASE_TOLERANCE_DAYS, Derived, Inputs, Scope, days_between, output, pct
from rally_pipeline.schema import mart

#: 52 weeks, as days.
_52_WEEKS = 364
#: 36 months in ``month_day_no``, where every month has 31 days. The window includes the same day 36 months earlier;
#: that of a 29 February begins on 1 March when there was none.
_36_MONTHS = 36 * 31
#: Calendar days that surely hold the longest window.
_BACK_DAYS = 3 * 366 + 1
_TROUGH_SESSIONS = 60
#: Added to ``day_no`` so that it is positive for all of market history and integer division rounds one way.
_DAY_SHIFT = 365 * 300


@dataclass(frozen=True)
class _Window:
    """A moving window: its name, the column it is measured in, and how far back it reaches."""

    name: str
    position: str
    length: int

    @property
    def block(self) -> str:
        return f"block_{self.name}"


_WINDOWS = (
    _Window("52w", "day_no", _52_WEEKS),
    _Window("3y", "month_day_no", _36_MONTHS),
)
_SIDES = ("high", "low")


def _best(side: str) -> Any:
    return sa.func.max if side == "high" else sa.func.min


def _beats(side: str, one: sa.ColumnElement[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return one > other if side == "high" else one < other


def _better(side: str, one: sa.ColumnElement[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The better of two values of which either may be NULL."""
    return sa.case((sa.or_(one.is_(None), _beats(side, other, one)), other), else_=one)


def _numbered(inputs: Inputs, scope: Scope) -> sa.Subquery:
    """Bars with a close, from three years before the scope's start on, numbered within their symbol."""
    price, _instrument, session, joined, where = bars(inputs, scope, _BACK_DAYS)
    in_order: dict[str, Any] = {"partition_by": price.c.symbol, "order_by": price.c.session_date}
    last_60 = {**in_order, "rows": (1 - _TROUGH_SESSIONS, 0)}
    of_all: list[sa.ColumnElement[Any]] = []
    if scope.start is None:
        # what only the whole of history can say
        of_all = [sa.func.min(price.c.session_date).over(**in_order, rows=(None, 0)).label("first_date")]
        of_all += [
            _best(side)(price.c.close).over(**in_order, rows=(None, -1)).label(f"{side}_ever") for side in _SIDES
        ]
    return (
        sa.select(
            price.c.symbol,
            price.c.session_date,
            price.c.close,
            session.c.day_no,
            session.c.month_day_no,
            session.c.window_3y_start,
            sa.func.row_number(type_=sa.Integer()).over(**in_order).label("row_no"),
            sa.func.lag(price.c.close, type_=sa.Double()).over(**in_order).label("close_before"),
            sa.func.lag(price.c.session_date, type_=sa.Date()).over(**in_order).label("date_before"),
            *(_best(side)(price.c.close).over(**last_60).label(f"{side}_60") for side in _SIDES),
            *of_all,
        )
        .select_from(joined)
        .where(*where)
        .subquery("numbered")
    )


def _blocked(inputs: Inputs, scope: Scope) -> sa.Subquery:
    """Numbered bars with the block of each window they lie in."""
    bar = _numbered(inputs, scope)
    shift = {"day_no": _DAY_SHIFT}
    blocks = (
        ((bar.c[window.position] + shift.get(window.position, 0)) // (window.length + 1)).label(window.block)
        for window in _WINDOWS
    )
    return sa.select(*bar.c, *blocks).subquery("blocked")


def _running(inputs: Inputs, scope: Scope) -> sa.Subquery:
    """Blocked bars with the best close of their block before them (``head``), and from them on (``tail``)."""
    bar = _blocked(inputs, scope)
    columns: list[sa.ColumnElement[Any]] = []
    for window in _WINDOWS:
        block = (bar.c.symbol, bar.c[window.block])
        for side in _SIDES:
            best = _best(side)(bar.c.close)
            onward = {"partition_by": block, "order_by": bar.c.session_date}
            back = {"partition_by": block, "order_by": bar.c.session_date.desc()}
            columns.append(best.over(**onward, rows=(None, -1)).label(f"{side}_head_{window.name}"))
            columns.append(best.over(**back, rows=(None, 0)).label(f"{side}_tail_{window.name}"))
    return sa.select(*bar.c, *columns).subquery("running")


def _reaching(inputs: Inputs, scope: Scope) -> sa.Subquery:
    """Running bars with the block and the tail of the first row of each window."""
    bar = _running(inputs, scope)
    columns: list[sa.ColumnElement[Any]] = []
    for window in _WINDOWS:
        reach: dict[str, Any] = {
            "partition_by": bar.c.symbol,
            "order_by": bar.c[window.position],
            "range_": (-window.length, 0),
        }
        for name in (window.block, *(f"{side}_tail_{window.name}" for side in _SIDES)):
            first = sa.func.first_value(bar.c[name], type_=bar.c[name].type)
            columns.append(first.over(**reach).label(f"first_{name}"))
    return sa.select(*bar.c, *columns).subquery("reaching")


def _best_of_last_60(inputs: Inputs, bar: sa.FromClause, side: str) -> Any:
    """What the moving window says, asked of the table for a single row: for one whose last 60 sessions began before
    the rows that were read.
    """
    earlier = inputs.prices.alias(f"{side}_60_before")
    last = (
        sa.select(earlier.c.close)
        .where(
            earlier.c.symbol == bar.c.symbol,
            earlier.c.session_date <= bar.c.session_date,
            earlier.c.close.is_not(None),
        )
        .order_by(earlier.c.session_date.desc())
        .limit(_TROUGH_SESSIONS)
        .correlate(bar)
        .subquery(f"{side}_60_last")
    )
    return sa.select(_best(side)(last.c.close)).correlate(bar).scalar_subquery()


def _day_of(inputs: Inputs, bar: sa.FromClause, close: sa.ColumnElement[Any], name: str) -> Any:
    """Last session up to the row's with exactly this close; the search ends at the first one found."""
    earlier = inputs.prices.alias(name)
    return (
        sa.select(earlier.c.session_date)
        .where(
            earlier.c.symbol == bar.c.symbol,
            earlier.c.session_date <= bar.c.session_date,
            earlier.c.close == close,
        )
        .order_by(earlier.c.session_date.desc())
        .limit(1)
        .correlate(bar)
        .scalar_subquery()
    )


def _since(inputs: Inputs, bar: sa.FromClause, side: str, *, knows_all: bool) -> Any:
    """Last earlier session with a close at least as good: most often the one before, else looked for backwards, which
    ends at the first one found.
    """
    earlier = inputs.prices.alias(f"{side}_earlier")
    close = earlier.c.close
    found = (
        sa.select(earlier.c.session_date)
        .where(
            earlier.c.symbol == bar.c.symbol,
            earlier.c.session_date < bar.c.session_date,
            close >= bar.c.close if side == "high" else close <= bar.c.close,
        )
        .order_by(earlier.c.session_date.desc())
        .limit(1)
        .correlate(bar)
        .scalar_subquery()
    )
    branches: list[tuple[Any, Any]] = [(sa.not_(_beats(side, bar.c.close, bar.c.close_before)), bar.c.date_before)]
    if knows_all:
        ever = bar.c[f"{side}_ever"]
        is_record = sa.or_(ever.is_(None), _beats(side, bar.c.close, ever))
        branches.insert(0, (is_record, sa.cast(sa.null(), sa.Date())))
    return sa.case(*branches, else_=found)


def _with_extremes_of_60(inputs: Inputs, bar: sa.FromClause, scope: Scope) -> sa.Subquery:
    """The rows of the scope, with trough_close and peak_close."""
    columns = []
    for side, word in (("high", "peak"), ("low", "trough")):
        close: Any = bar.c[f"{side}_60"]
        if scope.start is not None:
            is_short = bar.c.row_no < _TROUGH_SESSIONS
            close = sa.case((is_short, _best_of_last_60(inputs, bar, side)), else_=close)
        columns.append(close.label(f"{word}_close"))
    return sa.select(*bar.c, *columns).where(scope.has_day(bar.c.session_date)).subquery("wanted")


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_price_extremes_daily``. Windows include their first day and the row itself; "highest" and "lowest" flags
    compare with the earlier rows of the window only and are NULL where history begins more than 7 calendar days after
    the window's first day.
    """
    bar = _with_extremes_of_60(inputs, _reaching(inputs, scope), scope)
    if scope.start is None:
        first_date: Any = bar.c.first_date
    else:
        history = inputs.prices.alias("history")
        first_date = (
            sa.select(history.c.session_date)
            .where(history.c.symbol == bar.c.symbol, history.c.close.is_not(None))
            .order_by(history.c.session_date)
            .limit(1)
            .correlate(bar)
            .scalar_subquery()
        )
    columns: dict[str, sa.ColumnElement[Any]] = {
        "symbol": bar.c.symbol,
        "session_date": bar.c.session_date,
        "close": bar.c.close,
        "first_session_date": first_date,
    }
    missing_days = {
        # what the window's first day is, in days; history may begin up to a week after it
        "52w": days_between(bar.c.session_date, first_date) >= _52_WEEKS - BASE_TOLERANCE_DAYS,
        "3y": days_between(first_date, bar.c.window_3y_start) <= BASE_TOLERANCE_DAYS,
    }
    for side in _SIDES:
        for window in _WINDOWS:
            name = window.name
            reaches_back = bar.c[f"first_{window.block}"] < bar.c[window.block]
            tail = sa.case((reaches_back, bar.c[f"first_{side}_tail_{name}"]))
            before = _better(side, bar.c[f"{side}_head_{name}"], tail)
            columns[f"{side}_{name}"] = sa.case((_beats(side, before, bar.c.close), before), else_=bar.c.close)
            is_best = sa.or_(before.is_(None), _beats(side, bar.c.close, before))
            columns[f"is_{name}_{side}"] = sa.case((missing_days[name], is_best))
        columns[f"{'highest' if side == 'high' else 'lowest'}_since_date"] = _since(
            inputs, bar, side, knows_all=scope.start is None
        )
        word = "peak" if side == "high" else "trough"
        columns[f"{word}_close"] = bar.c[f"{word}_close"]
        columns[f"{word}_date"] = sa.case(
            (bar.c.close == bar.c[f"{word}_close"], bar.c.session_date),
            else_=_day_of(inputs, bar, bar.c[f"{word}_close"], f"{word}_day"),
        )
    columns["rise_from_trough_pct"] = pct(bar.c.close, columns["trough_close"])
    columns["fall_from_peak_pct"] = pct(bar.c.close, columns["peak_close"])
    columns["drawdown_from_high_pct"] = pct(bar.c.close, columns["high_52w"])
    columns["rise_from_low_pct"] = pct(bar.c.close, columns["low_52w"])
    return sa.select(*output(mart.mart_price_extremes_daily, columns))


PRICE_EXTREMES = Derived(mart.mart_price_extremes_daily, inputs=("core_price_resolved_daily",), select=select)
