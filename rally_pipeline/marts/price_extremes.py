"""Highs, lows, troughs and peaks of closes.

Belongs here: extremes over moving windows, and since when a level was last seen. Does not belong here: returns.

There are two plans, and they give the same rows. `select` has each row ask the prices it is about: a few hundred bars
by primary key, which is what the last days of a table need. For all of history that would be every bar a thousand
times, and neither SQLite nor PostgreSQL has a moving maximum that is linear, nor any way to the last greater value
before a row that does not look at the rows between; that of SQLite 3.40.1 is even wrong in long frames. So the whole is
computed by an embedded DuckDB (`columnar.py`, `compute`): windows by its segment trees; the last greater close in the
row's own block of sessions, else in the last earlier block whose best close is good enough; and the day of a trough by
packing the rank of a close and its day into one number.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.index_performance import bars
from rally_pipeline.marts.inputs import (
    BASE_TOLERANCE_DAYS,
    Columnar,
    Derived,
    Inputs,
    Scope,
    date_of,
    day_number,
    days_between,
    output,
    pct,
)
from rally_pipeline.schema import mart

#: 52 weeks, as days.
_52_WEEKS = 364
#: 36 months in ``month_day_no``, where every month has 31 days. The window includes the same day 36 months earlier;
#: that of a 29 February begins on 1 March, since there was none.
_36_MONTHS = 36 * 31
#: ``month_day_no`` of a 29 February, within its year.
_29_FEBRUARY = 31 + 28
_TROUGH_SESSIONS = 60
#: Added to a day's number so that it is positive for all of market history.
_DAY_SHIFT = 365 * 300
#: Shifted days are less, and a rank times this still fits an integer.
_DAYS = 2**20
#: Sessions in a block of the search backwards: about as many as there are blocks in twenty years.
_BLOCK = 64

_SIDES = ("high", "low")
#: What the calendar says of a session.
_OF_SESSION = ("day_no", "month_day_no", "window_52w_start", "window_3y_start")
#: What is known of a bar that is not made into something else.
_GIVEN = ("symbol", "session_date", "close", "month_day_no", "window_52w_start", "window_3y_start")
_OF_60 = {"high": "peak", "low": "trough"}


def _best(side: str) -> Any:
    return sa.func.max if side == "high" else sa.func.min


def _beats(side: str, one: Any, other: Any) -> Any:
    return one > other if side == "high" else one < other


def _reaches(side: str, one: Any, other: Any) -> Any:
    return one >= other if side == "high" else one <= other


def _is_29_february(month_day_no: Any) -> sa.ColumnElement[bool]:
    """Whether the session's window of three years begins the day after ``window_3y_start``."""
    return month_day_no % (12 * 31) == _29_FEBRUARY  # type: ignore[no-any-return]


def read(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """The bars of the scope that have a close, with their market."""
    price, instrument, _session, joined, where = bars(inputs, scope, 0)
    columns = (price.c.symbol, price.c.session_date, price.c.close, instrument.c.market)
    return sa.select(*columns).select_from(joined).where(*where)


def read_calendar(inputs: Inputs) -> sa.Select[Any]:
    """What the calendars say of the windows that end with a session."""
    session = inputs.sessions
    return sa.select(session.c.market, session.c.session_date, *(session.c[name] for name in _OF_SESSION))


# --- all of history


def _with_windows(given: sa.Select[Any]) -> sa.CTE:
    """Bars with everything that a window function says: of each side the best close of each window and of the last 60
    sessions, the latter packed with its day too.
    """
    bar = given.selected_columns
    rank = sa.func.dense_rank(type_=sa.BigInteger()).over(partition_by=bar.symbol, order_by=bar.close)
    ranked = given.add_columns(rank.label("close_rank")).subquery("ranked")
    close, day = ranked.c.close, day_number(ranked.c.session_date) + _DAY_SHIFT
    of_symbol: dict[str, Any] = {"partition_by": ranked.c.symbol}
    order: dict[str, Any] = {**of_symbol, "order_by": ranked.c.day_no}
    columns: list[sa.ColumnElement[Any]] = [
        sa.func.row_number(type_=sa.Integer()).over(**order).label("row_no"),
        sa.func.lag(close, type_=sa.Double()).over(**order).label("close_before"),
        sa.func.lag(ranked.c.session_date, type_=sa.Date()).over(**order).label("date_before"),
        sa.func.min(ranked.c.session_date).over(**of_symbol).label("first_date"),
    ]
    windows: dict[str, dict[str, Any]] = {
        "52w": {**order, "range_": (-_52_WEEKS, 0)},
        "3y": {**of_symbol, "order_by": ranked.c.month_day_no, "range_": (-_36_MONTHS, 0)},
        "60": {**order, "rows": (1 - _TROUGH_SESSIONS, 0)},
    }
    # the latest day on a tie: of equal ranks the greatest day, which is the smallest number left of a whole
    packed = {"high": ranked.c.close_rank * _DAYS + day, "low": ranked.c.close_rank * _DAYS + (_DAYS - 1 - day)}
    for side in _SIDES:
        best = _best(side)
        columns += [best(close).over(**how).label(f"{side}_{window}") for window, how in windows.items()]
        columns.append(best(packed[side]).over(**windows["60"]).label(f"{side}_60_packed"))
    made = sa.select(*ranked.c, *columns).subquery("windowed")
    block = (made.c.row_no // _BLOCK).label("block")
    return sa.select(*made.c, block).cte("bar").prefix_with("MATERIALIZED")


def _found_backwards(bar: sa.CTE, side: str) -> sa.Subquery:
    """Of the rows that beat the session before the last earlier session at least as good, if there is one."""
    earlier, sought = bar.alias(f"{side}_earlier"), bar.alias(f"{side}_sought")
    near = (
        sa.select(
            sought.c.symbol,
            sought.c.row_no,
            sought.c.close,
            sought.c.block,
            sa.func.max(earlier.c.session_date).label("since_date"),
        )
        .select_from(
            sought.outerjoin(
                earlier,
                sa.and_(
                    earlier.c.symbol == sought.c.symbol,
                    earlier.c.block == sought.c.block,
                    earlier.c.row_no < sought.c.row_no,
                    _reaches(side, earlier.c.close, sought.c.close),
                ),
            )
        )
        .where(_beats(side, sought.c.close, sought.c.close_before))
        .group_by(sought.c.symbol, sought.c.row_no, sought.c.close, sought.c.block)
        .cte(f"{side}_near")
        .prefix_with("MATERIALIZED")
    )
    blocks = (
        sa.select(bar.c.symbol, bar.c.block, _best(side)(bar.c.close).label("best"))
        .group_by(bar.c.symbol, bar.c.block)
        .subquery(f"{side}_block")
    )
    far = (
        sa.select(near.c.symbol, near.c.row_no, near.c.close, sa.func.max(blocks.c.block).label("block"))
        .select_from(
            near.join(
                blocks,
                sa.and_(
                    blocks.c.symbol == near.c.symbol,
                    blocks.c.block < near.c.block,
                    _reaches(side, blocks.c.best, near.c.close),
                ),
            )
        )
        .where(near.c.since_date.is_(None))
        .group_by(near.c.symbol, near.c.row_no, near.c.close)
        .subquery(f"{side}_far")
    )
    there = bar.alias(f"{side}_there")
    hit = (
        sa.select(far.c.symbol, far.c.row_no, sa.func.max(there.c.session_date).label("since_date"))
        .select_from(
            far.join(
                there,
                sa.and_(
                    there.c.symbol == far.c.symbol,
                    there.c.block == far.c.block,
                    _reaches(side, there.c.close, far.c.close),
                ),
            )
        )
        .group_by(far.c.symbol, far.c.row_no)
    )
    at_once = sa.select(near.c.symbol, near.c.row_no, near.c.since_date).where(near.c.since_date.is_not(None))
    return sa.union_all(at_once, hit).subquery(f"{side}_since")


def compute(given: sa.FromClause, calendar: sa.FromClause) -> sa.Select[Any]:
    """``mart_price_extremes_daily`` from all that `read` gives of the symbols that are in it, and `read_calendar`."""
    of_session = sa.and_(calendar.c.market == given.c.market, calendar.c.session_date == given.c.session_date)
    facts_of_bar = (given.c.symbol, given.c.session_date, given.c.close, *(calendar.c[name] for name in _OF_SESSION))
    bar = _with_windows(sa.select(*facts_of_bar).select_from(given.join(calendar, of_session)))
    joined: Any = bar
    facts: dict[str, Any] = {name: bar.c[name] for name in (*_GIVEN, "first_date")}
    for side in _SIDES:
        since = _found_backwards(bar, side)
        joined = joined.outerjoin(since, sa.and_(since.c.symbol == bar.c.symbol, since.c.row_no == bar.c.row_no))
        facts[f"{side}_since_date"] = sa.case(
            (sa.not_(_beats(side, bar.c.close, bar.c.close_before)), bar.c.date_before), else_=since.c.since_date
        )
        facts |= {name: bar.c[name] for name in (f"{side}_52w", f"{side}_3y", f"{side}_60")}
        place = bar.c[f"{side}_60_packed"] % _DAYS
        day = place - _DAY_SHIFT if side == "high" else _DAYS - 1 - place - _DAY_SHIFT
        facts[f"{side}_60_date"] = date_of(day)
    return _finished(facts).select_from(joined)


# --- row by row, for the last days


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_price_extremes_daily``, each row asking for the bars before it. Windows include their first day and the
    row itself; "highest" and "lowest" flags compare with the earlier rows of the window only and are NULL where history
    begins more than 7 calendar days after the window's first day.
    """
    price, _instrument, session, joined, where = bars(inputs, scope, 0)
    asked_about = (price.c.symbol, price.c.session_date, price.c.close, *(session.c[name] for name in _OF_SESSION[1:]))
    bar = sa.select(*asked_about).select_from(joined).where(*where).cte("bar").prefix_with("MATERIALIZED")

    def up_to_it(name: str) -> tuple[Any, sa.Select[Any]]:
        earlier = inputs.prices.alias(name)
        asked = sa.select(earlier.c.session_date).where(
            earlier.c.symbol == bar.c.symbol,
            earlier.c.session_date <= bar.c.session_date,
            earlier.c.close.is_not(None),
        )
        return earlier, asked.correlate(bar)

    facts: dict[str, Any] = {name: bar.c[name] for name in _GIVEN}
    first, asked = up_to_it("history")
    facts["first_date"] = asked.order_by(first.c.session_date).limit(1).scalar_subquery()
    for side in _SIDES:
        for window, start in (("52w", bar.c.window_52w_start), ("3y", bar.c.window_3y_start)):
            earlier, asked = up_to_it(f"{side}_{window}_bar")
            asked = asked.with_only_columns(_best(side)(earlier.c.close)).where(earlier.c.session_date >= start)
            if window == "3y":
                asked = asked.where(
                    sa.or_(earlier.c.session_date > start, sa.not_(_is_29_february(bar.c.month_day_no)))
                )
            facts[f"{side}_{window}"] = asked.scalar_subquery()
        earlier, asked = up_to_it(f"{side}_earlier")
        facts[f"{side}_since_date"] = (
            asked.where(earlier.c.session_date < bar.c.session_date, _reaches(side, earlier.c.close, bar.c.close))
            .order_by(earlier.c.session_date.desc())
            .limit(1)
            .scalar_subquery()
        )
        earlier, asked = up_to_it(f"{side}_60_bar")
        last = asked.with_only_columns(earlier.c.close).order_by(earlier.c.session_date.desc()).limit(_TROUGH_SESSIONS)
        of_60 = last.subquery(f"{side}_of_60")
        facts[f"{side}_60"] = sa.select(_best(side)(of_60.c.close)).correlate(bar).scalar_subquery()
    # materialised, or what was looked up would be looked up again wherever it is named
    found = sa.select(*(fact.label(name) for name, fact in facts.items())).cte("found").prefix_with("MATERIALIZED")
    facts = {name: found.c[name] for name in facts}
    for side in _SIDES:
        same = inputs.prices.alias(f"{side}_60_day")
        facts[f"{side}_60_date"] = (
            sa.select(same.c.session_date)
            .where(
                same.c.symbol == found.c.symbol,
                same.c.session_date <= found.c.session_date,
                same.c.close == found.c[f"{side}_60"],
            )
            .order_by(same.c.session_date.desc())
            .limit(1)
            .correlate(found)
            .scalar_subquery()
        )
    return _finished(facts)


# --- both


def _finished(facts: dict[str, Any]) -> sa.Select[Any]:
    """The columns of the table from what was found about each row."""
    close, day, first_date = facts["close"], facts["session_date"], facts["first_date"]
    columns: dict[str, sa.ColumnElement[Any]] = {
        "symbol": facts["symbol"],
        "session_date": day,
        "close": close,
        "first_session_date": first_date,
    }
    starts = {
        # a close at least as good lies before the window that begins with this day
        "52w": (facts["window_52w_start"], sa.false()),
        "3y": (facts["window_3y_start"], _is_29_february(facts["month_day_no"])),
    }
    has_history = {
        # what the window's first day is, in days; history may begin up to a week after it
        "52w": days_between(day, first_date) >= _52_WEEKS - BASE_TOLERANCE_DAYS,
        "3y": days_between(first_date, facts["window_3y_start"]) <= BASE_TOLERANCE_DAYS,
    }
    for side in _SIDES:
        since = facts[f"{side}_since_date"]
        for window, (start, begins_later) in starts.items():
            is_best = sa.or_(since.is_(None), since < start, sa.and_(since == start, begins_later))
            columns[f"is_{window}_{side}"] = sa.case((has_history[window], is_best))
            columns[f"{side}_{window}"] = facts[f"{side}_{window}"]
        columns[f"{'highest' if side == 'high' else 'lowest'}_since_date"] = since
        columns[f"{_OF_60[side]}_date"] = facts[f"{side}_60_date"]
        columns[f"{_OF_60[side]}_close"] = facts[f"{side}_60"]
    columns["rise_from_trough_pct"] = pct(close, facts["low_60"])
    columns["fall_from_peak_pct"] = pct(close, facts["high_60"])
    columns["drawdown_from_high_pct"] = pct(close, columns["high_52w"])
    columns["rise_from_low_pct"] = pct(close, columns["low_52w"])
    return sa.select(*output(mart.mart_price_extremes_daily, columns))


PRICE_EXTREMES = Derived(
    mart.mart_price_extremes_daily,
    inputs=("core_price_resolved_daily",),
    select=select,
    columnar=Columnar(read, read_calendar, compute),
)
