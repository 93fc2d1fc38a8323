"""Move of each instrument since each event.

Belongs here: base and counting of days. Does not belong here: which events there are (the catalog).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.index_performance import bars
from rally_pipeline.marts.inputs import LAST_SESSION_DAYS, Derived, Inputs, Scope, days_between, output, pct
from rally_pipeline.schema import mart


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_price_since_event_daily``: sessions from the event's day on, until the event's next occurrence. The base
    is the last session with a close strictly before the event's day, at most 31 calendar days; without one an
    instrument has no rows for the event.
    """
    event, subject = inputs.events.alias("event"), inputs.instruments.alias("subject")
    earlier = inputs.prices.alias("earlier")
    last = (
        sa.select(earlier.c.session_date)
        .where(
            earlier.c.symbol == subject.c.symbol,
            earlier.c.session_date < event.c.event_date,
            earlier.c.close.is_not(None),
        )
        .order_by(earlier.c.session_date.desc())
        .limit(1)
        .correlate(subject, event)
        .scalar_subquery()
    )
    still_counts: sa.ColumnElement[bool] = sa.true()
    if scope.start is not None:
        still_counts = sa.or_(event.c.until_date.is_(None), event.c.until_date > scope.start)
    # materialised, or PostgreSQL would look up the base again for every session
    pair = (
        sa.select(
            event.c.event_id,
            event.c.event_date,
            event.c.until_date,
            subject.c.symbol,
            subject.c.market,
            last.label("base_date"),
        )
        .select_from(event.join(subject, sa.true()))
        .where(subject.c.kind != "fx", scope.has_subject(subject.c.symbol), still_counts)
        .cte("event_base")
        .prefix_with("MATERIALIZED")
    )
    base, base_session = inputs.prices.alias("base"), inputs.sessions.alias("base_session")
    price, _instrument, session, joined, where = bars(inputs, scope, 0)
    columns = {
        "event_id": pair.c.event_id,
        "symbol": price.c.symbol,
        "session_date": price.c.session_date,
        "event_date": pair.c.event_date,
        "close": price.c.close,
        "base_date": pair.c.base_date,
        "base_close": base.c.close,
        "return_pct": pct(price.c.close, base.c.close),
        "sessions_since_event": session.c.session_no - base_session.c.session_no,
        "calendar_days_since_event": days_between(price.c.session_date, pair.c.event_date),
    }
    return (
        sa.select(*output(mart.mart_price_since_event_daily, columns))
        .select_from(
            joined.join(
                pair,
                sa.and_(
                    pair.c.symbol == price.c.symbol,
                    price.c.session_date >= pair.c.event_date,
                    sa.or_(pair.c.until_date.is_(None), price.c.session_date < pair.c.until_date),
                ),
            )
            .join(base, sa.and_(base.c.symbol == pair.c.symbol, base.c.session_date == pair.c.base_date))
            .join(
                base_session,
                sa.and_(base_session.c.market == pair.c.market, base_session.c.session_date == pair.c.base_date),
            )
        )
        .where(*where, days_between(pair.c.event_date, pair.c.base_date) <= LAST_SESSION_DAYS)
    )


PRICE_SINCE_EVENT = Derived(
    mart.mart_price_since_event_daily, inputs=("core_price_resolved_daily",), select=select, has_full_plan=False
)
