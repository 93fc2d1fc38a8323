"""Whole leaderboards, day by day.

Belongs here: who is ranked on which day, and how. Does not belong here: the return that is ranked
(`index_performance.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.marts.inputs import (
    LAST_SESSION_DAYS,
    Derived,
    Inputs,
    Scope,
    by_code_point,
    days_between,
    output,
)
from rally_pipeline.schema import core, mart


def co_members(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """Symbols of the scope and of everybody ranked together with one of them; for a scope with subjects."""
    one, other = inputs.leaderboard_members.alias("one"), inputs.leaderboard_members.alias("other")
    together = (
        sa.select(other.c.symbol)
        .select_from(one.join(other, other.c.leaderboard == one.c.leaderboard))
        .where(scope.has_subject(one.c.symbol))
    )
    itself = sa.select(inputs.instruments.c.symbol).where(scope.has_subject(inputs.instruments.c.symbol))
    return sa.select(sa.union(together, itself).subquery("together").c.symbol)


def widen(connection: sa.Connection, subjects: frozenset[str]) -> frozenset[str]:
    """The subjects and everybody ranked together with one of them."""
    member = core.core_leaderboard_member
    boards = sa.select(member.c.leaderboard).where(member.c.symbol.in_(subjects))
    found = connection.scalars(sa.select(member.c.symbol).where(member.c.leaderboard.in_(boards)).distinct())
    return subjects | frozenset(found)


def ranking(inputs: Inputs, returns: sa.FromClause, scope: Scope) -> sa.Select[Any]:
    """Every leaderboard on every day from the scope's start on which a member has a session: each member at its last
    session, at most 31 days old.

    ``returns`` has symbol, session_date, close, base_date, base_close and ytd_return_pct of all members from 31 days
    before the scope's start. Gives these and leaderboard, as_of_date, name, ytd_rank and ytd_rank_of (NULL and the
    number of the ranked others where there is no return).
    """
    member, instrument = inputs.leaderboard_members, inputs.instruments
    day = (
        sa.select(member.c.leaderboard, returns.c.session_date.label("as_of_date"))
        .select_from(member.join(returns, returns.c.symbol == member.c.symbol))
        .where(scope.has_day(returns.c.session_date, LAST_SESSION_DAYS))
        .distinct()
        .subquery("ranking_day")
    )
    own = returns.alias("own_session")
    everyone = inputs.leaderboard_members.alias("everyone")
    carried = ("session_date", "close", "base_date", "base_close", "ytd_return_pct")
    # a member's sessions counted so far: days with the same count belong to the same last session
    counted = (
        sa.select(
            day.c.leaderboard,
            day.c.as_of_date,
            everyone.c.symbol,
            *(own.c[name] for name in carried),
            sa.func.count(own.c.session_date)
            .over(partition_by=(day.c.leaderboard, everyone.c.symbol), order_by=day.c.as_of_date, rows=(None, 0))
            .label("session_count"),
        )
        .select_from(
            day.join(everyone, everyone.c.leaderboard == day.c.leaderboard).outerjoin(
                own, sa.and_(own.c.symbol == everyone.c.symbol, own.c.session_date == day.c.as_of_date)
            )
        )
        .subquery("counted")
    )
    same: dict[str, Any] = {
        "partition_by": (counted.c.leaderboard, counted.c.symbol, counted.c.session_count),
        "order_by": counted.c.as_of_date,
    }
    last = sa.select(
        counted.c.leaderboard,
        counted.c.as_of_date,
        counted.c.symbol,
        *(
            sa.func.first_value(counted.c[name], type_=counted.c[name].type).over(**same).label(name)
            for name in carried
        ),
    ).subquery("last_session")
    is_ranked = last.c.ytd_return_pct.is_not(None)
    place = sa.func.row_number(type_=sa.Integer()).over(
        partition_by=(last.c.leaderboard, last.c.as_of_date, sa.case((is_ranked, 1), else_=0)),
        order_by=(last.c.ytd_return_pct.desc(), by_code_point(instrument.c.name), by_code_point(last.c.symbol)),
    )
    count = sa.func.count(last.c.ytd_return_pct).over(partition_by=(last.c.leaderboard, last.c.as_of_date))
    return (
        sa.select(
            last.c.leaderboard,
            last.c.as_of_date,
            last.c.symbol,
            instrument.c.name,
            last.c.session_date,
            last.c.close,
            last.c.base_date,
            last.c.base_close,
            last.c.ytd_return_pct,
            sa.case((is_ranked, place)).label("ytd_rank"),
            count.label("ytd_rank_of"),
        )
        .select_from(last.join(instrument, instrument.c.symbol == last.c.symbol))
        .where(
            scope.has_day(last.c.as_of_date),
            days_between(last.c.as_of_date, last.c.session_date) <= LAST_SESSION_DAYS,
        )
    )


def select(inputs: Inputs, scope: Scope) -> sa.Select[Any]:
    """``mart_leaderboard_daily``, from the returns of ``mart_index_performance_daily``."""
    performance = inputs.index_performance
    returns = sa.select(
        *(
            performance.c[name]
            for name in ("symbol", "session_date", "close", "base_date", "base_close", "ytd_return_pct")
        )
    ).where(scope.has_day(performance.c.session_date, LAST_SESSION_DAYS))
    if scope.subjects is not None:
        returns = returns.where(performance.c.symbol.in_(co_members(inputs, scope)))
    ranked = ranking(inputs, returns.cte("ytd_return"), scope).subquery("ranked")
    return sa.select(
        *output(mart.mart_leaderboard_daily, {c.name: ranked.c[c.name] for c in mart.mart_leaderboard_daily.columns})
    ).where(scope.has_subject(ranked.c.symbol))


LEADERBOARD = Derived(mart.mart_leaderboard_daily, inputs=("mart_index_performance_daily",), select=select, widen=widen)
