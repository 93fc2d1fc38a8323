"""Rating and target changes beside the price of the day.

Belongs here: what is joined to an action and what follows from both. Does not belong here: where actions come from
(`notes/`, `sources/yahoo_ratings.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import BASE_TOLERANCE_DAYS, Derived, Inputs, Scope, days_between, output, pct
from rally_pipeline.schema import mart_ratings

#: A bare "$" is one of these, whichever the share is priced in.
_DOLLARS = ("USD", "HKD", "AUD", "CAD", "SGD", "TWD", "NZD")


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_rating_actions``: every believed action, with the last close on or before it."""
    action, instrument, broker = inputs.rating_actions_raw, inputs.instruments, inputs.brokers
    price, bar = inputs.prices.alias("price"), inputs.prices.alias("bar")
    close_date = (
        sa.select(bar.c.session_date)
        .where(bar.c.symbol == action.c.symbol, bar.c.session_date <= action.c.action_date, bar.c.close.is_not(None))
        .order_by(bar.c.session_date.desc())
        .limit(1)
        .correlate(action)
        .scalar_subquery()
    )
    same_currency = sa.or_(
        action.c.currency == instrument.c.currency,
        # of an index, points
        sa.and_(action.c.currency == "", instrument.c.kind == "index"),
        sa.and_(action.c.currency == "$", instrument.c.currency.in_(_DOLLARS)),
    )
    same = ("action_id", "action_date", "symbol", "subject_text", "broker_id", "analyst", "rating_action", "rating")
    others = ("rating_prior", "target_action", "action_text", "target_price", "target_price_prior", "currency")
    rest = ("is_conflict", "note_id", "claim_id", "source")
    columns = {
        **{name: action.c[name] for name in (*same, *others, *rest)},
        "instrument_name": instrument.c.name,
        "broker_name": sa.func.coalesce(broker.c.name, action.c.broker_text),
        "target_change_pct": pct(action.c.target_price, action.c.target_price_prior),
        "close_date": price.c.session_date,
        "close": price.c.close,
        "price_currency": sa.case((price.c.close.is_not(None), instrument.c.currency)),
        "implied_upside_pct": sa.case((same_currency, pct(action.c.target_price, price.c.close))),
    }
    return (
        sa.select(*output(mart_ratings.mart_rating_actions, columns))
        .select_from(
            action.outerjoin(instrument, instrument.c.symbol == action.c.symbol)
            .outerjoin(broker, broker.c.broker_id == action.c.broker_id)
            .outerjoin(
                price,
                sa.and_(
                    price.c.symbol == action.c.symbol,
                    price.c.session_date == close_date,
                    days_between(action.c.action_date, price.c.session_date) <= BASE_TOLERANCE_DAYS,
                ),
            )
        )
        .where(scope.has_day(action.c.action_date))
    )


RATING_ACTIONS = Derived(
    mart_ratings.mart_rating_actions,
    inputs=("core_rating_action", "core_price_resolved_daily"),
    select=select,
    subject=None,
)
