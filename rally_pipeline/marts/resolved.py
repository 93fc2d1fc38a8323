"""One bar per instrument and session, one dollar rate per currency and day: what the marts compute with.

Belongs here: which source is believed. Does not belong here: returns, ranks or anything else read by analysts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import Derived, Inputs, Scope, by_code_point, output
from rally_pipeline.schema import core

#: Rank of a source that the instrument does not list: after every one it does.
_UNLISTED = 1_000_000


def select_prices(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``core_price_resolved_daily``: of all bars of a session the one with a close whose source is trusted most; if no
    source has a close the most trusted bar, so that its volume is kept. Bars on days that are no session of the
    instrument's market, and of instruments not in the catalog, are not believed.
    """
    # sessions of which several bars are believed; few, and only they need to be put in order
    counted = inputs.prices_raw.alias("counted")
    contested = (
        sa.select(counted.c.symbol, counted.c.session_date, sa.func.count(type_=sa.Integer()).label("source_count"))
        .where(scope.has_subject(counted.c.symbol), scope.has_day(counted.c.session_date))
        .group_by(counted.c.symbol, counted.c.session_date)
        .having(sa.func.count() > 1)
        .cte("contested")
        .prefix_with("MATERIALIZED")
    )
    names = [c.name for c in core.core_price_resolved_daily.columns]
    given = [name for name in names if name != "source_count"]

    bar = inputs.prices_raw.alias("bar")
    is_contested = sa.and_(contested.c.symbol == bar.c.symbol, contested.c.session_date == bar.c.session_date)
    alone = (
        sa.select(*output(core.core_price_resolved_daily, _columns(bar, given, sa.literal(1, sa.Integer()))))
        .select_from(_of_sessions(inputs, bar).outerjoin(contested, is_contested))
        .where(contested.c.symbol.is_(None), scope.has_subject(bar.c.symbol), scope.has_day(bar.c.session_date))
    )

    one, trust = inputs.prices_raw.alias("one_of_several"), inputs.instrument_sources
    is_contested = sa.and_(contested.c.symbol == one.c.symbol, contested.c.session_date == one.c.session_date)
    best = sa.func.row_number(type_=sa.Integer()).over(
        partition_by=(one.c.symbol, one.c.session_date),
        order_by=(
            sa.case((one.c.close.is_not(None), 0), else_=1),
            sa.func.coalesce(trust.c.trust_rank, _UNLISTED),
            by_code_point(one.c.source),
        ),
    )
    ordered = (
        sa.select(*(one.c[name] for name in given), contested.c.source_count, best.label("best"))
        .select_from(
            _of_sessions(inputs, one)
            .join(contested, is_contested)
            .outerjoin(trust, sa.and_(trust.c.symbol == one.c.symbol, trust.c.source == one.c.source))
        )
        .subquery("ordered")
    )
    chosen = sa.select(*output(core.core_price_resolved_daily, _columns(ordered, given, ordered.c.source_count))).where(
        ordered.c.best == 1
    )
    rows = sa.union_all(alone, chosen).subquery("resolved")
    return sa.select(*output(core.core_price_resolved_daily, {name: rows.c[name] for name in names}))


def _columns(rows: sa.FromClause, given: Sequence[str], source_count: Any) -> dict[str, Any]:
    return {**{name: rows.c[name] for name in given}, "source_count": source_count}


def _of_sessions(inputs: Inputs, bar: sa.FromClause) -> sa.FromClause:
    """The bars of instruments in the catalog, on days that are sessions of their market."""
    instrument, session = inputs.instruments, inputs.sessions
    return bar.join(instrument, instrument.c.symbol == bar.c.symbol).join(
        session, sa.and_(session.c.market == instrument.c.market, session.c.session_date == bar.c.session_date)
    )


def select_fx(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``core_fx_usd_daily``: the cross rate through the euro within one source, else that source's quote against the
    dollar; the ECB before all other sources, these by name. The dollar itself has no rows.
    """
    rate = inputs.fx_raw
    euro, dollar = rate.alias("euro_rate"), rate.alias("euro_dollar")
    day = scope.has_day
    cross = (
        sa.select(
            euro.c.quote_currency.label("currency"),
            euro.c.rate_date,
            euro.c.source,
            (euro.c.rate / dollar.c.rate).label("units_per_usd"),
            sa.literal(1, sa.Integer).label("way"),
        )
        .select_from(
            euro.join(dollar, sa.and_(dollar.c.rate_date == euro.c.rate_date, dollar.c.source == euro.c.source))
        )
        .where(
            euro.c.base_currency == "EUR",
            dollar.c.base_currency == "EUR",
            dollar.c.quote_currency == "USD",
            euro.c.quote_currency != "USD",
            scope.has_subject(euro.c.quote_currency),
            day(euro.c.rate_date),
            day(dollar.c.rate_date),
        )
    )
    direct = sa.select(
        rate.c.quote_currency.label("currency"),
        rate.c.rate_date,
        rate.c.source,
        rate.c.rate.label("units_per_usd"),
        sa.literal(2, sa.Integer).label("way"),
    ).where(
        rate.c.base_currency == "USD",
        rate.c.quote_currency != "USD",
        scope.has_subject(rate.c.quote_currency),
        day(rate.c.rate_date),
    )
    inverse = sa.select(
        rate.c.base_currency.label("currency"),
        rate.c.rate_date,
        rate.c.source,
        (1.0 / rate.c.rate).label("units_per_usd"),
        sa.literal(3, sa.Integer).label("way"),
    ).where(
        rate.c.quote_currency == "USD",
        rate.c.base_currency != "USD",
        scope.has_subject(rate.c.base_currency),
        day(rate.c.rate_date),
    )
    candidate = sa.union_all(cross, direct, inverse).subquery("candidate")
    ordered = sa.select(
        candidate,
        sa.func.row_number(type_=sa.Integer())
        .over(
            partition_by=(candidate.c.currency, candidate.c.rate_date),
            order_by=(
                sa.case((candidate.c.source == "ecb", 0), else_=1),
                by_code_point(candidate.c.source),
                candidate.c.way,
            ),
        )
        .label("best"),
    ).subquery("ordered")
    names = [c.name for c in core.core_fx_usd_daily.columns]
    return sa.select(*output(core.core_fx_usd_daily, {name: ordered.c[name] for name in names})).where(
        ordered.c.best == 1
    )


PRICES = Derived(
    core.core_price_resolved_daily, inputs=("core_price_daily",), select=select_prices, has_full_plan=False
)
FX = Derived(
    core.core_fx_usd_daily, inputs=("core_fx_daily",), select=select_fx, subject="currency", has_full_plan=False
)
