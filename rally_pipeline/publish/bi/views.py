"""The few selects over several marts that charts and analysts need, each defined once and spelled for every engine.

Belongs here: the selects, the words for their columns, and their SQL. Does not belong here: definitions of figures
(`marts/`), or how a tool is told of a select (`superset.py`, `powerbi.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rally_pipeline.errors import UsageError
from rally_pipeline.schema import column_info, mart, mart_flows, mart_notes, mart_ratings
from rally_pipeline.schema.declare import ColumnInfo, NoRule

#: Sessions that are shown of a price, and of the indicators.
PRICE_SESSIONS = 250
INDICATOR_SESSIONS = 120
_LUNAR_NEW_YEAR = "lunar_new_year_"
_MADE = (NoRule("computed from a mart"),)
#: Spells of a select for an engine; DuckDB takes what PostgreSQL does.
_DIALECTS: dict[str, Callable[[], sa.Dialect]] = {
    "sqlite": lambda: sqlite.dialect(paramstyle="named"),
    "postgresql": lambda: postgresql.dialect(paramstyle="named"),  # type: ignore[no-untyped-call]
    "duckdb": lambda: postgresql.dialect(paramstyle="named"),  # type: ignore[no-untyped-call]
}
ENGINES = tuple(_DIALECTS)


@dataclass(frozen=True)
class View:
    """A select that a tool treats as a table.

    Attributes:
        name: as tools show it.
        description: one line.
        grain: what one row is.
        date_column: column of the market date, if there is one.
        select: the rows.
        said: columns that are no columns of a mart, or mean something else here → description and unit.
    """

    name: str
    description: str
    grain: str
    date_column: str | None
    select: sa.Select[Any]
    said: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def columns(self) -> list[tuple[str, sa.types.TypeEngine[Any], ColumnInfo]]:
        """Name, type, and what is said of each column, in order."""
        found = []
        for column in self.select.selected_columns:
            name = str(column.key)
            if name in self.said:
                description, unit = self.said[name]
                info = ColumnInfo(description, unit, _MADE)
            else:
                info = column_info(next(iter(column.base_columns)))  # type: ignore[arg-type]
            found.append((name, column.type, info))
        return found

    def sql(self, engine: str) -> str:
        """The select as text, without parameters.

        Args:
            engine: ``sqlite``, ``postgresql`` or ``duckdb``.
        """
        text = str(self.select.compile(dialect=_DIALECTS[engine](), compile_kwargs={"literal_binds": True}))
        return "\n".join(line.rstrip() for line in text.splitlines())


def _is_new_year(table: sa.FromClause) -> sa.ColumnElement[bool]:
    return sa.func.substr(table.c.event_id, 1, len(_LUNAR_NEW_YEAR)) == _LUNAR_NEW_YEAR


def _last_days() -> sa.CTE:
    """The last day of each leaderboard, and the latest base of a return on it."""
    board = mart.mart_leaderboard_daily.alias("one")
    last = (
        sa.select(board.c.leaderboard, sa.func.max(board.c.as_of_date).label("last_date"))
        .group_by(board.c.leaderboard)
        .subquery("newest")
    )
    on_it = mart.mart_leaderboard_daily.alias("other")
    return (
        sa.select(last.c.leaderboard, last.c.last_date, sa.func.max(on_it.c.base_date).label("year_end"))
        .join_from(last, on_it, (on_it.c.leaderboard == last.c.leaderboard) & (on_it.c.as_of_date == last.c.last_date))
        .group_by(last.c.leaderboard, last.c.last_date)
        .cte("last_days")
    )


def _latest_leaderboard() -> View:
    board, last = mart.mart_leaderboard_daily, _last_days()
    return View(
        "rally_leaderboard_last_day",
        "Each leaderboard on its last day.",
        "leaderboard × instrument",
        "as_of_date",
        sa.select(*board.c)
        .join(last, last.c.leaderboard == board.c.leaderboard)
        .where(board.c.as_of_date == last.c.last_date),
    )


def _year_to_date() -> View:
    board, last = mart.mart_leaderboard_daily, _last_days()
    return View(
        "rally_leaderboard_this_year",
        "Leaderboards day by day since the year-end before their last day.",
        "leaderboard × day × instrument",
        "as_of_date",
        sa.select(*board.c)
        .join(last, last.c.leaderboard == board.c.leaderboard)
        # a member that has not traded yet this year still shows its return of the last one
        .where(board.c.session_date > last.c.year_end),
    )


def _since_new_year() -> View:
    since, daily = mart_flows.mart_southbound_since_event, mart_flows.mart_southbound_daily
    other = since.alias("other")
    last = sa.select(sa.func.max(other.c.event_date)).where(_is_new_year(other)).scalar_subquery()
    return View(
        "rally_southbound_since_new_year",
        "Southbound buying since the mainland reopened after the last Lunar New Year, day by day and summed up.",
        "southbound session",
        "session_date",
        sa.select(
            since.c.event_id,
            since.c.session_date,
            since.c.window_start_date,
            since.c.sessions_since_event,
            daily.c.net_buy_hkd_mn.label("day_net_buy_hkd_mn"),
            daily.c.turnover_hkd_mn.label("day_turnover_hkd_mn"),
            since.c.net_buy_hkd_mn.label("cumulative_net_buy_hkd_mn"),
            since.c.net_buy_usd_mn.label("cumulative_net_buy_usd_mn"),
            since.c.net_buy_sse_hkd_mn.label("cumulative_net_buy_sse_hkd_mn"),
            since.c.net_buy_szse_hkd_mn.label("cumulative_net_buy_szse_hkd_mn"),
            since.c.window_rank,
            since.c.window_count,
            since.c.window_percentile_pct,
        )
        .join_from(since, daily, (daily.c.session_date == since.c.session_date) & (daily.c.channel == "total"))
        .where(_is_new_year(since), since.c.event_date == last),
        {
            "day_net_buy_hkd_mn": ("Net buy of the session, both channels.", "HKD mn"),
            "day_turnover_hkd_mn": ("Turnover of the session, both channels.", "HKD mn"),
        },
    )


def _scoreboard() -> View:
    board = mart_flows.mart_rally_scoreboard
    other = board.alias("other")
    last = sa.select(sa.func.max(other.c.event_date)).where(_is_new_year(other)).scalar_subquery()
    return View(
        "rally_scoreboard_since_new_year",
        "Each instrument since the mainland reopened after the last Lunar New Year, as of its latest session.",
        "instrument",
        "session_date",
        sa.select(*board.c).where(_is_new_year(board), board.c.event_date == last),
    )


def _hot_money() -> View:
    money = mart_flows.mart_hot_money_daily
    other = money.alias("other")
    days = sa.select(other.c.session_date).order_by(other.c.session_date.desc()).limit(INDICATOR_SESSIONS)
    return View(
        "rally_hot_money_lately",
        f"The indicators of hot money over the last {INDICATOR_SESSIONS} southbound sessions.",
        "southbound session",
        "session_date",
        sa.select(*money.c).where(money.c.session_date.in_(days)),
    )


def _price_and_volume() -> View:
    price, volume, board = (
        mart.mart_index_performance_daily,
        mart.mart_trading_volume_daily,
        mart.mart_leaderboard_daily,
    )
    newest_first = sa.func.row_number().over(partition_by=price.c.symbol, order_by=price.c.session_date.desc())
    wanted = ("symbol", "session_date", "close", "currency", "return_1d_pct", "ytd_return_pct")
    numbered = sa.select(*(price.c[name] for name in wanted), newest_first.label("age")).subquery("price")
    # the names stand only in the leaderboards, which all instruments are not in
    any_name = sa.func.min(board.c.name).label("name")
    named = sa.select(board.c.symbol, any_name).group_by(board.c.symbol).subquery("named")
    info = {"age": ("1 = last session.", "sessions"), "name": ("Name for people; the symbol where there is none.", "")}
    return View(
        "rally_price_and_volume",
        f"Close and shares traded of each instrument over its last {PRICE_SESSIONS} sessions.",
        "instrument × session",
        "session_date",
        sa.select(
            numbered.c.symbol,
            sa.func.coalesce(named.c.name, numbered.c.symbol).label("name"),
            numbered.c.session_date,
            numbered.c.age,
            numbered.c.close,
            numbered.c.currency,
            numbered.c.return_1d_pct,
            numbered.c.ytd_return_pct,
            volume.c.volume_shares,
            (volume.c.volume_shares / 1e6).label("volume_shares_mn"),
        )
        .select_from(
            numbered.outerjoin(named, named.c.symbol == numbered.c.symbol).outerjoin(
                volume,
                (volume.c.symbol == numbered.c.symbol) & (volume.c.session_date == numbered.c.session_date),
            )
        )
        .where(numbered.c.age <= PRICE_SESSIONS),
        {**info, "volume_shares_mn": ("Shares traded in the session.", "mn shares")},
    )


def _standing_claims() -> View:
    audit = mart_notes.mart_claim_audit
    names = (
        *("claim_id", "as_of_date", "broker_id", "speaker", "claim_type", "verdict", "reason", "suspicion", "quote"),
        *("explanation", "subject_id", "value", "observed", "unit", "repeat_of", "note_id", "audited_at"),
    )
    return View(
        "rally_claims",
        "What the warehouse says now of each claim of the notes; a claim that repeats one of its note is left out.",
        "claim",
        "as_of_date",
        sa.select(*(audit.c[name] for name in names)).where(audit.c.is_latest.is_(True), audit.c.repeat_of == ""),
    )


def _ratings() -> View:
    action = mart_ratings.mart_rating_actions
    named = sa.func.coalesce(action.c.instrument_name, action.c.subject_text).label("instrument")
    names = (
        *("action_date", "symbol", "broker_name", "analyst", "rating_action", "rating", "rating_prior"),
        *("target_action", "target_price", "target_price_prior", "currency", "target_change_pct"),
        *("close_date", "close", "price_currency", "implied_upside_pct", "is_conflict", "source", "action_id"),
    )
    return View(
        "rally_ratings",
        "What houses did to ratings and price targets, under one name for each instrument.",
        "house × instrument × action × source",
        "action_date",
        sa.select(named, *(action.c[name] for name in names)),
        {"instrument": ("Name in the catalog, else as printed.", "")},
    )


@functools.cache
def views() -> tuple[View, ...]:
    """All of them."""
    return (
        _latest_leaderboard(),
        _year_to_date(),
        _scoreboard(),
        _since_new_year(),
        _hot_money(),
        _price_and_volume(),
        _standing_claims(),
        _ratings(),
    )


def view(name: str) -> View:
    """The view of that name.

    Raises:
        UsageError: there is none.
    """
    found = {one.name: one for one in views()}
    if name not in found:
        raise UsageError(f"no view {name!r}. Fix: one of {', '.join(found)}.")
    return found[name]
