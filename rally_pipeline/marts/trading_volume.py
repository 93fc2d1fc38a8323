"""Shares traded, by calendar month and day by day, and how they compare with the record month.

Belongs here: both volume marts. Does not belong here: which bar is believed (`resolved.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import Derived, Inputs, Scope, day_start_of_month, month_start, output
from rally_pipeline.schema import mart


def _traded(inputs: Inputs, scope: Scope) -> tuple[Any, Any, Any, tuple[Any, ...]]:
    """Aliases of price and instrument, their join, and the conditions: a volume, no currency pair, and from the first
    day of the scope's first month on. A flat bar has volume 0, so it counts as a session and adds nothing.
    """
    price, instrument = inputs.prices.alias("price"), inputs.instruments.alias("instrument")
    where = [
        price.c.volume_shares.is_not(None),
        instrument.c.kind != "fx",
        scope.has_subject(instrument.c.symbol),
    ]
    if scope.start is not None:
        where.append(price.c.session_date >= day_start_of_month(scope.start))
    return price, instrument, price.join(instrument, instrument.c.symbol == price.c.symbol), tuple(where)


def _shares(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(value, sa.BigInteger)


def _ratio(now: sa.ColumnElement[Any], then: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(now, sa.Double) / sa.func.nullif(sa.cast(then, sa.Double), 0.0)


def _given_for_all(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.case((sa.func.count(value) == sa.func.count(), sa.func.sum(value)))


def select_monthly(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_trading_volume_monthly``: sums over the sessions with a volume. Turnover is NULL unless each of them has
    one, the estimate unless each with a volume above zero has a close. With a start, earlier months are taken from
    the table itself.
    """
    price, instrument, joined, where = _traded(inputs, scope)
    month = month_start(price.c.session_date)
    estimate = sa.case((price.c.volume_shares == 0, 0.0), else_=price.c.close * price.c.volume_shares)
    bar = (
        sa.select(
            price.c.symbol,
            instrument.c.market,
            price.c.session_date,
            month.label("month"),
            price.c.volume_shares,
            price.c.turnover,
            estimate.label("estimate"),
        )
        .select_from(joined)
        .where(*where)
        .subquery("bar")
    )
    months = sa.select(
        bar.c.symbol,
        bar.c.market,
        bar.c.month,
        _shares(sa.func.sum(bar.c.volume_shares)).label("volume_shares"),
        _given_for_all(bar.c.turnover).label("turnover"),
        _given_for_all(bar.c.estimate).label("turnover_estimate"),
        sa.cast(sa.func.count(), sa.Integer).label("sessions"),
        sa.func.max(bar.c.session_date).label("last_session_date"),
    ).group_by(bar.c.symbol, bar.c.market, bar.c.month)
    if scope.start is not None:
        own = inputs.volume_monthly.alias("earlier_month")
        before = sa.select(
            own.c.symbol,
            sa.cast(sa.null(), sa.String(12)).label("market"),
            own.c.month,
            own.c.volume_shares,
            own.c.turnover,
            own.c.turnover_estimate,
            own.c.sessions,
            own.c.last_session_date,
        ).where(scope.has_subject(own.c.symbol), own.c.month < day_start_of_month(scope.start))
        by_month = sa.union_all(months, before).subquery("by_month")
    else:
        by_month = months.subquery("by_month")
    so_far: dict[str, Any] = {"partition_by": by_month.c.symbol, "order_by": by_month.c.month}
    compared = sa.select(
        *by_month.c,
        sa.func.max(by_month.c.volume_shares).over(**so_far, rows=(None, -1)).label("record"),
        sa.func.min(by_month.c.month).over(**so_far, rows=(None, 0)).label("first_month"),
    ).subquery("compared")
    # a month that reaches the record so far holds it from then on, so the last such month is the record month
    reaches = sa.or_(compared.c.record.is_(None), compared.c.volume_shares >= compared.c.record)
    record_month = sa.func.max(sa.case((reaches, compared.c.month))).over(
        partition_by=compared.c.symbol, order_by=compared.c.month, rows=(None, -1)
    )
    known = sa.select(*compared.c, record_month.label("record_month")).subquery("known")
    session = inputs.sessions.alias("session")
    next_session = (
        sa.select(sa.func.min(session.c.session_date))
        .where(session.c.market == known.c.market, session.c.session_date > known.c.last_session_date)
        .correlate(known)
        .scalar_subquery()
    )
    columns = {
        **{
            name: known.c[name]
            for name in (
                "symbol",
                "month",
                "volume_shares",
                "turnover",
                "turnover_estimate",
                "sessions",
                "last_session_date",
                "first_month",
            )
        },
        "is_partial": sa.func.coalesce(month_start(next_session) == known.c.month, sa.false()),
        "is_record_volume": known.c.volume_shares > known.c.record,
        "previous_record_month": known.c.record_month,
        "previous_record_volume_shares": known.c.record,
        "ratio_to_previous_record": _ratio(known.c.volume_shares, known.c.record),
    }
    chosen = sa.select(*output(mart.mart_trading_volume_monthly, columns))
    if scope.start is not None:
        chosen = chosen.where(known.c.month >= day_start_of_month(scope.start))
    return chosen


def select_daily(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_trading_volume_daily``: sessions with a volume, and the record before their month from
    ``mart_trading_volume_monthly``.
    """
    price, _instrument, joined, where = _traded(inputs, scope)
    month = month_start(price.c.session_date)
    running = sa.func.sum(price.c.volume_shares).over(
        partition_by=(price.c.symbol, month), order_by=price.c.session_date, rows=(None, 0)
    )
    bar = (
        sa.select(
            price.c.symbol,
            price.c.session_date,
            price.c.volume_shares,
            price.c.turnover,
            month.label("month"),
            _shares(running).label("mtd_volume_shares"),
        )
        .select_from(joined)
        .where(*where)
        .subquery("bar")
    )
    record = inputs.volume_monthly.alias("record")
    columns = {
        **{name: bar.c[name] for name in ("symbol", "session_date", "volume_shares", "turnover", "mtd_volume_shares")},
        "previous_record_month": record.c.previous_record_month,
        "previous_record_volume_shares": record.c.previous_record_volume_shares,
        "is_record_volume": bar.c.mtd_volume_shares > record.c.previous_record_volume_shares,
        "ratio_to_previous_record": _ratio(bar.c.mtd_volume_shares, record.c.previous_record_volume_shares),
    }
    return (
        sa.select(*output(mart.mart_trading_volume_daily, columns))
        .select_from(bar.join(record, sa.and_(record.c.symbol == bar.c.symbol, record.c.month == bar.c.month)))
        .where(scope.has_day(bar.c.session_date))
    )


TRADING_VOLUME_MONTHLY = Derived(
    mart.mart_trading_volume_monthly,
    inputs=("core_price_resolved_daily",),
    select=select_monthly,
    floor=day_start_of_month,
)
TRADING_VOLUME_DAILY = Derived(
    mart.mart_trading_volume_daily,
    inputs=("core_price_resolved_daily", "mart_trading_volume_monthly"),
    select=select_daily,
    has_full_plan=False,
)
