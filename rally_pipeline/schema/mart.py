"""Declarations of the marts: what analysts read. Definitions stand in the column descriptions.

Belongs here: names, types, descriptions, grain. Does not belong here: how a mart is computed (`marts/`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema.declare import InTable, Matches, NoRule, Range, column, table

_COMPUTED = NoRule("computed; its inputs are checked")
_MINUS_100 = Range(low=-100)


def _symbol() -> sa.Column[Any]:
    return column("symbol", sa.String(32), "Instrument in Yahoo notation.", InTable("core_instrument", "symbol"))


def _session_date() -> sa.Column[Any]:
    return column(
        "session_date", sa.Date(), "Market-local date of the session.", InTable("core_session", "session_date")
    )


def _close(
    name: str = "close", what: str = "Unadjusted close of the resolved source.", *, nullable: bool = False
) -> Any:
    return column(name, sa.Double(), what, Range(0, strict_low=True), unit="currency", nullable=nullable)


def _date(name: str, what: str) -> sa.Column[Any]:
    return column(name, sa.Date(), what, _COMPUTED, nullable=True)


def _pct(name: str, what: str) -> sa.Column[Any]:
    return column(name, sa.Double(), what, _MINUS_100, unit="%", nullable=True)


def _flag(name: str, what: str, *, nullable: bool = True) -> sa.Column[Any]:
    return column(name, sa.Boolean(), what, _COMPUTED, nullable=nullable)


def _count(name: str, what: str, *, unit: str = "", nullable: bool = True, low: float = 0) -> sa.Column[Any]:
    return column(name, sa.Integer(), what, Range(low), unit=unit, nullable=nullable)


def _shares(name: str, what: str) -> sa.Column[Any]:
    return column(name, sa.BigInteger(), what, Range(0), unit="shares", nullable=True)


_CURRENCY = ("currency", sa.String(3), "Currency of the close, ISO 4217.", Matches(r"[A-Z]{3}"))

mart_index_performance_daily = table(
    "mart_index_performance_daily",
    _symbol(),
    _session_date(),
    _close(),
    column(*_CURRENCY),
    column("source", sa.String(40), "Source of the close.", Matches(r".+")),
    _date(
        "base_date",
        "Base of the year-to-date return: the last session of the year before, or the last one with a close at most 7 "
        "calendar days before it; NULL = none.",
    ),
    _close("base_close", "Close on base_date.", nullable=True),
    _pct("ytd_return_pct", "close / base_close − 1: price return since the last session of the year before."),
    _pct("mtd_return_pct", "Price return since the last session of the month before, base as for base_date."),
    _pct("return_1d_pct", "Price return over the last session with a close."),
    _pct("return_5d_pct", "Price return over the last 5 sessions that have a close."),
    _pct("return_20d_pct", "Price return over the last 20 sessions that have a close."),
    _pct(
        "return_1y_pct",
        "Price return since the last session on or before the day twelve months earlier, base as for base_date.",
    ),
    _pct(
        "usd_ytd_return_pct",
        "Year-to-date return in US dollars: both closes converted at the rate of their day, or the last one before it "
        "that is at most five days old.",
    ),
    column(
        "leaderboard",
        sa.String(60),
        "Leaderboard in which the instrument is ranked here (its first); NULL = none.",
        NoRule("the catalog's word"),
        nullable=True,
    ),
    _count(
        "ytd_rank",
        "Rank by ytd_return_pct, 1 = best, among the leaderboard's members, each at its last session on or before the "
        "day and at most 31 days old; ties by name.",
        low=1,
    ),
    _count("ytd_rank_of", "How many members were ranked.", low=1),
    description="How far each instrument has run: price returns over the usual windows, and its rank.",
    grain="instrument × session",
    key=("symbol", "session_date"),
    date_column="session_date",
)

mart_leaderboard_daily = table(
    "mart_leaderboard_daily",
    column("leaderboard", sa.String(60), "Leaderboard.", InTable("core_leaderboard_member", "leaderboard")),
    column("as_of_date", sa.Date(), "Day of the ranking: any day on which a member has a session.", _COMPUTED),
    _symbol(),
    column("name", sa.Text(), "Name for people.", Matches(r".+")),
    _session_date(),
    _close(),
    _date("base_date", "Base of the year-to-date return."),
    _close("base_close", "Close on base_date.", nullable=True),
    _pct("ytd_return_pct", "Year-to-date price return at session_date."),
    _count("ytd_rank", "Rank by ytd_return_pct, 1 = best; ties by name.", low=1),
    description="Whole leaderboards, day by day: each member at its last session on or before the day.",
    grain="leaderboard × day × instrument",
    key=("leaderboard", "as_of_date", "symbol"),
    date_column="as_of_date",
)

sa.Index(None, mart_leaderboard_daily.c.as_of_date)


def _extremes(word: str, side: str, window: str, months: str) -> list[sa.Column[Any]]:
    comparison = "above" if word == "high" else "below"
    return [
        _close(
            f"{word}_{window}",
            f"{side.capitalize()} close in the {months} ending that day, as far as history goes (see "
            "first_session_date).",
        ),
        _flag(
            f"is_{window}_{word}",
            f"Whether close is strictly {comparison} every earlier close in the {months} ending that day, first day "
            "included; NULL when history begins more than 7 calendar days after that first day.",
        ),
    ]


mart_price_extremes_daily = table(
    "mart_price_extremes_daily",
    _symbol(),
    _session_date(),
    _close(),
    column("first_session_date", sa.Date(), "First session with a close: extremes cannot look behind it.", _COMPUTED),
    *_extremes("high", "highest", "52w", "52 weeks"),
    *_extremes("high", "highest", "3y", "36 calendar months"),
    _date(
        "highest_since_date",
        "Last earlier session with a close at or above this one; NULL = highest on record.",
    ),
    _date("trough_date", "Day of the lowest close of the last 60 sessions; the latest on a tie."),
    _close("trough_close", "Lowest close of the last 60 sessions."),
    column("rise_from_trough_pct", sa.Double(), "close / trough_close − 1.", Range(0), unit="%"),
    column("drawdown_from_high_pct", sa.Double(), "close / high_52w − 1: zero or negative.", Range(-100, 0), unit="%"),
    *_extremes("low", "lowest", "52w", "52 weeks"),
    *_extremes("low", "lowest", "3y", "36 calendar months"),
    _date(
        "lowest_since_date",
        "Last earlier session with a close at or below this one; NULL = lowest on record.",
    ),
    _date("peak_date", "Day of the highest close of the last 60 sessions; the latest on a tie."),
    _close("peak_close", "Highest close of the last 60 sessions."),
    column("fall_from_peak_pct", sa.Double(), "close / peak_close − 1: zero or negative.", Range(-100, 0), unit="%"),
    column("rise_from_low_pct", sa.Double(), "close / low_52w − 1.", Range(0), unit="%"),
    description="Highs, lows, troughs and peaks of closes, and since when a level was last seen.",
    grain="instrument × session",
    key=("symbol", "session_date"),
    date_column="session_date",
)

mart_price_since_event_daily = table(
    "mart_price_since_event_daily",
    column("event_id", sa.String(64), "Event.", InTable("core_event", "event_id")),
    _symbol(),
    _session_date(),
    column("event_date", sa.Date(), "Day of the event.", InTable("core_event", "event_date")),
    _close(),
    column(
        "base_date",
        sa.Date(),
        "Base: last session with a close before the event's day, at most 31 days before it.",
        _COMPUTED,
    ),
    _close("base_close", "Close on base_date."),
    column("return_pct", sa.Double(), "close / base_close − 1.", _MINUS_100, unit="%"),
    _count(
        "sessions_since_event",
        "Sessions of the instrument's market since the base, by the calendar.",
        unit="sessions",
        nullable=False,
    ),
    _count("calendar_days_since_event", "Calendar days since the event's day.", unit="days", nullable=False),
    description="Move of each instrument since each event, until the event's next occurrence if it is a yearly one.",
    grain="instrument × event × session",
    key=("event_id", "symbol", "session_date"),
    date_column="session_date",
)

sa.Index(None, mart_price_since_event_daily.c.session_date)

_ESTIMATE = "Sum of close × volume, an estimate of value traded; NULL if a session with shares has no close."

mart_trading_volume_daily = table(
    "mart_trading_volume_daily",
    _symbol(),
    _session_date(),
    _shares("volume_shares", "Shares traded in the session."),
    column("turnover", sa.Double(), "Value traded as the source gives it.", Range(0), unit="currency", nullable=True),
    _shares("mtd_volume_shares", "Shares traded in the month so far."),
    _date("previous_record_month", "Month before this one with the largest volume; the latest on a tie."),
    _shares("previous_record_volume_shares", "Volume of that month."),
    _flag(
        "is_record_volume", "Whether the month so far already is strictly above every earlier month in the warehouse."
    ),
    column(
        "ratio_to_previous_record",
        sa.Double(),
        "mtd_volume_shares / previous_record_volume_shares.",
        Range(0),
        nullable=True,
    ),
    description="Shares traded day by day, and how the month so far compares with the record month.",
    grain="instrument × session",
    key=("symbol", "session_date"),
    date_column="session_date",
)

mart_trading_volume_monthly = table(
    "mart_trading_volume_monthly",
    _symbol(),
    column("month", sa.Date(), "First calendar day of the month.", _COMPUTED),
    _shares("volume_shares", "Shares traded in the month, over the sessions with a volume."),
    column(
        "turnover",
        sa.Double(),
        "Value traded; NULL unless given for each session with a volume.",
        Range(0),
        unit="currency",
        nullable=True,
    ),
    column("turnover_estimate", sa.Double(), _ESTIMATE, Range(0), unit="currency", nullable=True),
    _count("sessions", "Sessions with a volume.", unit="sessions", nullable=False),
    column("last_session_date", sa.Date(), "Last session that is counted.", _COMPUTED),
    _flag("is_partial", "Whether the calendar has sessions of this month after last_session_date.", nullable=False),
    _flag(
        "is_record_volume",
        "Whether volume is strictly above that of every earlier month in the warehouse (since listing if "
        "first_month reaches back so far); NULL for the first month.",
    ),
    _date("previous_record_month", "Month before this one with the largest volume; the latest on a tie."),
    _shares("previous_record_volume_shares", "Volume of that month."),
    column("ratio_to_previous_record", sa.Double(), "volume / previous record.", Range(0), nullable=True),
    column("first_month", sa.Date(), "First month with a volume: a record cannot look behind it.", _COMPUTED),
    description="Volume by calendar month, and whether a month is a record.",
    grain="instrument × month",
    key=("symbol", "month"),
    date_column="month",
)
