"""How far each instrument has run.

Belongs here: price returns over the usual windows, in local currency and in dollars. Does not belong here: how members
of a leaderboard are ranked (`leaderboard.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import (
    BASE_TOLERANCE_DAYS,
    LAST_SESSION_DAYS,
    RATE_TOLERANCE_DAYS,
    Derived,
    Inputs,
    Scope,
    days_between,
    output,
    pct,
)
from rally_pipeline.marts.leaderboard import co_members, ranking, widen
from rally_pipeline.schema import mart

#: Calendar days in which 20 sessions lie, long holidays included; who has fewer is looked up.
_LAG_DAYS = 60


def bars(inputs: Inputs, scope: Scope, back: int, *, together: bool = False) -> tuple[Any, ...]:
    """Aliases of price, instrument and session, their join, and the conditions of all price marts: a close, no
    currency pair, in the scope or up to ``back`` days before it. With ``together``, leaderboard co-members too.
    """
    price, instrument, session = (
        inputs.prices.alias("price"),
        inputs.instruments.alias("instrument"),
        inputs.sessions.alias("session"),
    )
    if together and scope.subjects is not None:
        subject: Any = instrument.c.symbol.in_(co_members(inputs, scope))
    else:
        subject = scope.has_subject(instrument.c.symbol)
    joined = price.join(instrument, instrument.c.symbol == price.c.symbol).join(
        session, sa.and_(session.c.market == instrument.c.market, session.c.session_date == price.c.session_date)
    )
    where = (
        price.c.close.is_not(None),
        instrument.c.kind != "fx",
        subject,
        scope.has_day(price.c.session_date, back),
    )
    return price, instrument, session, joined, where


def _base(inputs: Inputs, symbol: Any, day: Any, name: str) -> tuple[Any, Any, Any, Any]:
    """The bar on ``day``, or the last one before it with a close and at most 7 days older.

    Nearly always the day itself has one, which an ordinary join finds; only for the others is the table asked row by
    row. Gives the join's right side and condition, the date and the close.
    """
    base, earlier = inputs.prices.alias(name), inputs.prices.alias(f"{name}_before")
    on = sa.and_(base.c.symbol == symbol, base.c.session_date == day, base.c.close.is_not(None))

    def before(column: str) -> Any:
        in_time = days_between(day, earlier.c.session_date) <= BASE_TOLERANCE_DAYS
        return (
            sa.select(sa.case((in_time, earlier.c[column])))
            .where(earlier.c.symbol == symbol, earlier.c.session_date <= day, earlier.c.close.is_not(None))
            .order_by(earlier.c.session_date.desc())
            .limit(1)
            .correlate_except(earlier)
            .scalar_subquery()
        )

    return (
        base,
        on,
        sa.func.coalesce(base.c.session_date, before("session_date")),
        sa.func.coalesce(base.c.close, before("close")),
    )


def _units_per_usd(inputs: Inputs, currency: Any, day: Any, name: str) -> tuple[Any, Any, Any]:
    """Units of the currency per dollar on ``day``, or of the last day before it that is at most 5 days older."""
    rate, earlier = inputs.fx_usd.alias(name), inputs.fx_usd.alias(f"{name}_before")
    in_time = days_between(day, earlier.c.rate_date) <= RATE_TOLERANCE_DAYS
    before = (
        sa.select(sa.case((in_time, earlier.c.units_per_usd)))
        .where(earlier.c.currency == currency, earlier.c.rate_date <= day)
        .order_by(earlier.c.rate_date.desc())
        .limit(1)
        .correlate_except(earlier)
        .scalar_subquery()
    )
    units = sa.case((currency == "USD", 1.0), else_=sa.func.coalesce(rate.c.units_per_usd, before))
    return rate, sa.and_(rate.c.currency == currency, rate.c.rate_date == day), units


def _close_before(inputs: Inputs, bar: sa.FromClause, sessions: int) -> Any:
    earlier = inputs.prices.alias(f"price_{sessions}_before")
    return (
        sa.select(earlier.c.close)
        .where(
            earlier.c.symbol == bar.c.symbol,
            earlier.c.session_date < bar.c.session_date,
            earlier.c.close.is_not(None),
        )
        .order_by(earlier.c.session_date.desc())
        .limit(1)
        .offset(sessions - 1)
        .correlate_except(earlier)
        .scalar_subquery()
    )


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_index_performance_daily``. The base of a return is the last bar with a close on or before the day the
    calendar names, at most 7 calendar days older; without one the return is NULL.
    """
    price, instrument, session, joined, where = bars(inputs, scope, LAST_SESSION_DAYS + _LAG_DAYS, together=True)

    def lag(sessions: int) -> Any:
        window: Any = sa.func.lag(price.c.close, sessions, type_=sa.Double())
        return window.over(partition_by=price.c.symbol, order_by=price.c.session_date).label(f"close_{sessions}")

    bar = (
        sa.select(
            price.c.symbol,
            price.c.session_date,
            price.c.close,
            price.c.currency,
            price.c.source,
            instrument.c.leaderboard,
            session.c.year_base_date,
            session.c.month_base_date,
            session.c.ago_1y_date,
            *(lag(sessions) for sessions in (1, 5, 20)),
        )
        .select_from(joined)
        .where(*where)
        .subquery("bar")
    )
    base, on_base, base_date, base_close = _base(inputs, bar.c.symbol, bar.c.year_base_date, "year_base")
    based = (
        sa.select(*bar.c, base_date.label("base_date"), base_close.label("base_close"))
        .select_from(bar.outerjoin(base, on_base))
        .where(scope.has_day(bar.c.session_date, LAST_SESSION_DAYS))
        .subquery("based")
    )
    returns = sa.select(*based.c, pct(based.c.close, based.c.base_close).label("ytd_return_pct")).cte("ytd_return")
    # of members only, or databases would index the returns of everybody else too
    members = sa.select(inputs.leaderboard_members.c.symbol)
    of_members = sa.select(returns).where(returns.c.symbol.in_(members)).cte("return_of_member")
    ranked = ranking(inputs, of_members, scope).subquery("ranked")
    month, on_month, _, month_close = _base(inputs, returns.c.symbol, returns.c.month_base_date, "month_base")
    year, on_year, _, year_close = _base(inputs, returns.c.symbol, returns.c.ago_1y_date, "year_ago")
    now, on_now, units_now = _units_per_usd(inputs, returns.c.currency, returns.c.session_date, "rate_now")
    then, on_then, units_then = _units_per_usd(inputs, returns.c.currency, returns.c.base_date, "rate_then")

    def since(sessions: int) -> Any:
        close: Any = returns.c[f"close_{sessions}"]
        if scope.start is not None:
            close = sa.func.coalesce(close, _close_before(inputs, returns, sessions))
        return pct(returns.c.close, close)

    columns = {
        **{
            name: returns.c[name]
            for name in (
                "symbol",
                "session_date",
                "close",
                "currency",
                "source",
                "base_date",
                "base_close",
                "ytd_return_pct",
                "leaderboard",
            )
        },
        "mtd_return_pct": pct(returns.c.close, month_close),
        "return_1d_pct": since(1),
        "return_5d_pct": since(5),
        "return_20d_pct": since(20),
        "return_1y_pct": pct(returns.c.close, year_close),
        "usd_ytd_return_pct": pct(returns.c.close / units_now, returns.c.base_close / units_then),
        "ytd_rank": ranked.c.ytd_rank,
        "ytd_rank_of": sa.case((ranked.c.ytd_rank_of > 0, ranked.c.ytd_rank_of)),
    }
    return (
        sa.select(*output(mart.mart_index_performance_daily, columns))
        .select_from(
            returns.outerjoin(month, on_month)
            .outerjoin(year, on_year)
            .outerjoin(now, on_now)
            .outerjoin(then, on_then)
            .outerjoin(
                ranked,
                sa.and_(
                    ranked.c.leaderboard == returns.c.leaderboard,
                    ranked.c.as_of_date == returns.c.session_date,
                    ranked.c.symbol == returns.c.symbol,
                ),
            )
        )
        .where(scope.has_subject(returns.c.symbol), scope.has_day(returns.c.session_date))
    )


INDEX_PERFORMANCE = Derived(
    mart.mart_index_performance_daily,
    inputs=("core_price_resolved_daily", "core_fx_usd_daily"),
    select=select,
    widen=widen,
)
