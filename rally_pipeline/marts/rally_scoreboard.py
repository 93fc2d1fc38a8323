"""The front page: each event and instrument as of its latest session.

Belongs here: which rows of other marts stand side by side. Does not belong here: any figure of its own.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import Derived, Inputs, Scope, output
from rally_pipeline.marts.leaderboard import widen
from rally_pipeline.schema import mart_flows


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_rally_scoreboard``: a row for each event and instrument with rows in ``mart_price_since_event_daily``."""
    event, instrument = inputs.events.alias("event"), inputs.instruments.alias("instrument")
    any_day, flow_day = inputs.price_since_event.alias("any_day"), inputs.southbound_since_event.alias("flow_day")
    last_day = (
        sa.select(any_day.c.session_date)
        .where(any_day.c.event_id == event.c.event_id, any_day.c.symbol == instrument.c.symbol)
        .order_by(any_day.c.session_date.desc())
        .limit(1)
        .correlate(event, instrument)
        .scalar_subquery()
    )
    last_flow_day = (
        sa.select(flow_day.c.session_date)
        .where(flow_day.c.event_id == event.c.event_id, flow_day.c.session_date <= last_day)
        .order_by(flow_day.c.session_date.desc())
        .limit(1)
        .correlate(event, instrument)
        .scalar_subquery()
    )
    # materialised, or the days would be looked up again in every join
    pair = (
        sa.select(
            event.c.event_id,
            event.c.name.label("event_name"),
            instrument.c.symbol,
            instrument.c.name.label("instrument_name"),
            last_day.label("last_day"),
            last_flow_day.label("last_flow_day"),
        )
        .select_from(event.join(instrument, sa.true()))
        .where(instrument.c.kind != "fx", scope.has_subject(instrument.c.symbol))
        .cte("pair")
        .prefix_with("MATERIALIZED")
    )
    since, flow = inputs.price_since_event.alias("since"), inputs.southbound_since_event.alias("flow")
    performance, extremes = inputs.index_performance.alias("performance"), inputs.price_extremes.alias("extremes")

    def same_bar(other: sa.FromClause) -> sa.ColumnElement[bool]:
        return sa.and_(other.c.symbol == pair.c.symbol, other.c.session_date == pair.c.last_day)

    columns = {
        **{name: pair.c[name] for name in ("event_id", "symbol", "event_name", "instrument_name")},
        **{name: since.c[name] for name in ("event_date", "session_date", "close", "sessions_since_event")},
        "return_since_event_pct": since.c.return_pct,
        **{name: performance.c[name] for name in ("currency", "ytd_return_pct", "ytd_rank")},
        **{
            name: extremes.c[name]
            for name in ("rise_from_trough_pct", "trough_date", "is_3y_high", "highest_since_date")
        },
        "southbound_net_buy_hkd_mn": flow.c.net_buy_hkd_mn,
        "southbound_sessions": flow.c.sessions_since_event,
        "southbound_window_rank": flow.c.window_rank,
    }
    return (
        sa.select(*output(mart_flows.mart_rally_scoreboard, columns))
        .select_from(
            pair.join(since, sa.and_(since.c.event_id == pair.c.event_id, same_bar(since)))
            .join(performance, same_bar(performance))
            .outerjoin(extremes, same_bar(extremes))
            .outerjoin(flow, sa.and_(flow.c.event_id == pair.c.event_id, flow.c.session_date == pair.c.last_flow_day))
        )
        .where(scope.has_day(since.c.session_date))
    )


def _all_of_it(day: dt.date) -> dt.date:
    """A later session moves a row to another day, so rows of every day are computed again."""
    return dt.date.min


RALLY_SCOREBOARD = Derived(
    mart_flows.mart_rally_scoreboard,
    inputs=(
        "mart_price_since_event_daily",
        "mart_index_performance_daily",
        "mart_price_extremes_daily",
        "mart_southbound_since_event",
    ),
    select=select,
    widen=widen,
    floor=_all_of_it,
    has_full_plan=False,
)
