"""Highs, lows, troughs and peaks of closes.

Belongs here: extremes over moving windows, and since when a level was last seen. Does not belong here: returns.

There are two plans, and they give the same rows. `select` has each row ask the prices it is about: a few hundred bars
by primary key, which is what the last days of a table need. For all of history that would be every bar a thousand
times, and neither SQLite nor PostgreSQL has a moving maximum that is linear, nor any way to the last greater value
before a row that does not look at the rows between; that of SQLite 3.40.1 is even wrong in long frames. So the whole is
computed on series of closes (`price_extremes_whole.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.index_performance import bars
from rally_pipeline.marts.inputs import (
    BASE_TOLERANCE_DAYS,
    TROUGH_SESSIONS,
    WINDOW_WEEKS,
    Derived,
    InBulk,
    Inputs,
    Scope,
    days_between,
    output,
    pct,
)
from rally_pipeline.marts.price_extremes_whole import compute
from rally_pipeline.schema import mart

#: ``month_day_no`` of a 29 February, within its year. A window of three years includes the same day 36 months earlier;
#: that of a 29 February begins on 1 March, since there was none.
_29_FEBRUARY = 31 + 28

_SIDES = ("high", "low")
#: What is known of a bar that is not made into something else.
_GIVEN = ("symbol", "session_date", "close", "month_day_no", "window_52w_start", "window_3y_start")
_OF_60 = {"high": "peak", "low": "trough"}


def _best(side: str) -> Any:
    return sa.func.max if side == "high" else sa.func.min


def _reaches(side: str, one: Any, other: Any) -> Any:
    return one >= other if side == "high" else one <= other


def _is_29_february(month_day_no: Any) -> sa.ColumnElement[bool]:
    """Whether the session's window of three years begins the day after ``window_3y_start``."""
    return month_day_no % (12 * 31) == _29_FEBRUARY  # type: ignore[no-any-return]


def read(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """The closes of the scope's series, as `price_extremes_whole.compute` takes them."""
    price, instrument = inputs.prices, inputs.instruments
    priced = sa.select(instrument.c.symbol).where(instrument.c.kind != "fx", scope.has_subject(instrument.c.symbol))
    return (
        sa.select(price.c.symbol, price.c.session_date, price.c.close)
        # asked of the bars themselves too, so that each engine goes through the key and reads no other subject
        .where(price.c.close.is_not(None), price.c.symbol.in_(priced), scope.has_subject(price.c.symbol))
        .order_by(price.c.symbol, price.c.session_date)
    )


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_price_extremes_daily``, each row asking for the bars before it. Windows include their first day and the
    row itself; "highest" and "lowest" flags compare with the earlier rows of the window only and are NULL where history
    begins more than 7 calendar days after the window's first day.
    """
    price, _instrument, session, joined, where = bars(inputs, scope, 0)
    asked_about = (price.c.symbol, price.c.session_date, price.c.close, *(session.c[name] for name in _GIVEN[3:]))
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
        last = asked.with_only_columns(earlier.c.session_date, earlier.c.close).limit(TROUGH_SESSIONS)
        of_60 = last.order_by(earlier.c.session_date.desc()).subquery(f"{side}_of_60")
        facts[f"{side}_60"] = sa.select(_best(side)(of_60.c.close)).correlate(bar).scalar_subquery()
        facts["start_60"] = sa.select(sa.func.min(of_60.c.session_date)).correlate(bar).scalar_subquery()
    # materialised, or what was looked up would be looked up again wherever it is named
    found = sa.select(*(fact.label(name) for name, fact in facts.items())).cte("found").prefix_with("MATERIALIZED")
    facts = {name: found.c[name] for name in facts}
    for side in _SIDES:
        same = inputs.prices.alias(f"{side}_60_day")
        facts[f"{side}_60_date"] = (
            sa.select(same.c.session_date)
            .where(
                same.c.symbol == found.c.symbol,
                same.c.session_date.between(found.c.start_60, found.c.session_date),
                same.c.close == found.c[f"{side}_60"],
            )
            .order_by(same.c.session_date.desc())
            .limit(1)
            .correlate(found)
            .scalar_subquery()
        )
    return _finished(facts)


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
        "52w": days_between(day, first_date) >= 7 * WINDOW_WEEKS - BASE_TOLERANCE_DAYS,
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
    in_bulk=InBulk(read, compute),
)
