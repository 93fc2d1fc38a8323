"""Declarations of the marts about southbound flows, hot money and the scoreboard. Definitions stand in the columns."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema.core_flows import CHANNELS
from rally_pipeline.schema.declare import InTable, Matches, NoRule, OneOf, Range, column, table

_COMPUTED = NoRule("computed; its inputs are checked")


def _day() -> sa.Column[Any]:
    return column("session_date", sa.Date(), "Date of the southbound session.", InTable("core_session", "session_date"))


def _number(name: str, what: str, unit: str = "", *, low: float | None = None, nullable: bool = True) -> sa.Column[Any]:
    return column(name, sa.Double(), what, _COMPUTED if low is None else Range(low), unit=unit, nullable=nullable)


def _count(name: str, what: str, *, unit: str = "", nullable: bool = True, low: float = 1) -> sa.Column[Any]:
    return column(name, sa.Integer(), what, Range(low), unit=unit, nullable=nullable)


def _date(name: str, what: str, *, nullable: bool = True) -> sa.Column[Any]:
    return column(name, sa.Date(), what, _COMPUTED, nullable=nullable)


RECONCILIATION_STATES = ("agreed", "single_source", "differs")

mart_southbound_daily = table(
    "mart_southbound_daily",
    column("channel", sa.String(8), "Channel: total, Shanghai or Shenzhen.", OneOf(CHANNELS)),
    _day(),
    _number("buy_hkd_mn", "Bought by mainland investors (resolved source).", "HKD mn", low=0),
    _number("sell_hkd_mn", "Sold by mainland investors (resolved source).", "HKD mn", low=0),
    _number("net_buy_hkd_mn", "buy − sell; as printed where the source gives only that.", "HKD mn"),
    _number("turnover_hkd_mn", "buy + sell; as printed where the source gives only that.", "HKD mn", low=0),
    _number(
        "hkd_per_usd",
        "ECB cross rate of the day, or the last one before it that is at most five days old.",
        "HKD per USD",
        low=0,
    ),
    _number("net_buy_usd_mn", "net_buy_hkd_mn / hkd_per_usd.", "USD mn"),
    _number("turnover_usd_mn", "turnover_hkd_mn / hkd_per_usd.", "USD mn", low=0),
    _number("net_buy_ytd_hkd_mn", "Sum of net_buy_hkd_mn since 1 January, over the sessions that have one.", "HKD mn"),
    _number(
        "net_buy_5d_hkd_mn",
        "Sum over the last 5 southbound sessions with a net buy, this one included; NULL before the fifth, and "
        "without one.",
        "HKD mn",
    ),
    _number(
        "net_buy_20d_hkd_mn",
        "Sum over the last 20 southbound sessions with a net buy, this one included; NULL before the 20th, and "
        "without one.",
        "HKD mn",
    ),
    _number(
        "turnover_5d_hkd_mn",
        "Turnover over the last 5 southbound sessions with one; NULL before the fifth, and without one.",
        "HKD mn",
        low=0,
    ),
    _number(
        "turnover_20d_hkd_mn",
        "Turnover over the last 20 southbound sessions with one; NULL before the 20th, and without one.",
        "HKD mn",
        low=0,
    ),
    _count(
        "net_buy_rank_all_time",
        "Rank of net_buy_hkd_mn among all sessions up to this one, 1 = largest; equal values share a rank.",
    ),
    _count(
        "turnover_rank_all_time",
        "Rank of turnover_hkd_mn among all sessions up to this one, 1 = largest; equal values share a rank.",
    ),
    _count(
        "sessions_all_time", "Sessions of the channel with figures up to this one.", unit="sessions", nullable=False
    ),
    column("source", sa.String(90), "Source of the figures.", Matches(r".+")),
    column(
        "reconciliation_state",
        sa.String(16),
        "agreed: all other sources are within 0.5 % or HK$ 1 mn of the one believed, in net buy and turnover; "
        "differs: one is not, or lacks a figure; single_source: there is no other.",
        OneOf(RECONCILIATION_STATES),
    ),
    description="What mainland investors bought and sold in Hong Kong, day by day, with sums and ranks.",
    grain="channel × southbound session",
    key=("channel", "session_date"),
    date_column="session_date",
)

mart_southbound_since_event = table(
    "mart_southbound_since_event",
    column("event_id", sa.String(64), "Event.", InTable("core_event", "event_id")),
    _day(),
    _date("event_date", "Day of the event.", nullable=False),
    _date(
        "window_start_date",
        "First southbound session with a net buy of both channels together on or after the event's day.",
        nullable=False,
    ),
    _count(
        "sessions_since_event",
        "Southbound sessions with a net buy from window_start_date to this one.",
        unit="sessions",
        nullable=False,
    ),
    _number("net_buy_hkd_mn", "Cumulative net buy since the event, both channels.", "HKD mn"),
    _number("net_buy_usd_mn", "The same at the rate of the window's last day, as notes quote it.", "USD mn"),
    _number(
        "net_buy_sse_hkd_mn",
        "Cumulative net buy through Shanghai; NULL unless every session of the window has one.",
        "HKD mn",
    ),
    _number(
        "net_buy_szse_hkd_mn",
        "Cumulative net buy through Shenzhen; NULL unless every session of the window has one.",
        "HKD mn",
    ),
    _number(
        "turnover_hkd_mn",
        "Cumulative turnover since the event; NULL unless every session of the window has one.",
        "HKD mn",
        low=0,
    ),
    _count(
        "window_rank",
        "Rank of the net buy among all windows of as many sessions ending on or before this one, 1 = largest.",
    ),
    _count("window_count", "How many such windows there are.", unit="windows"),
    _number("window_percentile_pct", "Share of those windows with a net buy no larger.", "%", low=0),
    _number(
        "best_window_hkd_mn",
        "Largest net buy of a window of as many sessions that ended before window_start_date.",
        "HKD mn",
    ),
    _date("best_window_end_date", "Last session of that window; the latest on a tie."),
    _number("ratio_to_best_window", "net_buy_hkd_mn / best_window_hkd_mn; NULL unless that is positive."),
    description="Net buying since each event, and how it compares with every window of the same length before.",
    grain="event × southbound session",
    key=("event_id", "session_date"),
    date_column="session_date",
)

mart_southbound_best_window_monthly = table(
    "mart_southbound_best_window_monthly",
    _count("window_sessions", "Length of the window, 1 to 60.", unit="sessions", nullable=False),
    _date("month", "First day of the calendar month in which the window ends.", nullable=False),
    _number(
        "best_net_buy_hkd_mn",
        "Largest net buy of a window of that length ending in the month.",
        "HKD mn",
        nullable=False,
    ),
    _date("best_start_date", "First session of that window.", nullable=False),
    _date("best_end_date", "Last session of that window; the latest on a tie.", nullable=False),
    _number(
        "best_turnover_hkd_mn",
        "Largest turnover of a window of that length ending in the month, not necessarily of the same window.",
        "HKD mn",
        low=0,
    ),
    description="The best window of each length in each month: what 'comparable to September's rush' is measured by.",
    grain="window length × month",
    key=("window_sessions", "month"),
    date_column="month",
)

mart_southbound_top_stocks_daily = table(
    "mart_southbound_top_stocks_daily",
    column("symbol", sa.String(32), "Share in Yahoo notation.", Matches(r"\d{4,5}\.HK")),
    _day(),
    column("stock_name", sa.Text(), "Name as the exchange prints it.", Matches(r".+")),
    column(
        "channels",
        sa.String(12),
        "In whose list of ten it stands: sse, szse, or 'sse+szse'; the list of the most trusted source.",
        OneOf(("sse", "szse", "sse+szse")),
    ),
    _count("best_rank", "Best rank in a list.", nullable=False),
    _number("buy_hkd_mn", "Bought through the channels named.", "HKD mn", low=0),
    _number("sell_hkd_mn", "Sold through the channels named.", "HKD mn", low=0),
    _number("net_buy_hkd_mn", "buy − sell.", "HKD mn"),
    _number("turnover_hkd_mn", "buy + sell.", "HKD mn", low=0),
    _number("share_of_turnover_pct", "turnover / southbound turnover of that day, both channels.", "%", low=0),
    description="The shares most traded southbound.",
    grain="stock × southbound session",
    key=("symbol", "session_date"),
    date_column="session_date",
)

mart_hot_money_daily = table(
    "mart_hot_money_daily",
    _day(),
    _number(
        "southbound_share_of_turnover_pct",
        "(southbound buy + sell) / (2 × market turnover): both sides of every trade are counted above and below.",
        "%",
        low=0,
    ),
    _number("gross_to_net_ratio", "turnover / |net buy| of the day, both channels; NULL if net buy is zero.", low=0),
    _number(
        "reversal_share_10d_ratio",
        "Part of the net inflow given back in the last 10 sessions: −(sum of negative net buys) / (sum of positive "
        "ones); "
        "NULL if there was no inflow, and before the tenth session.",
        low=0,
    ),
    _number(
        "volume_surge_60d_ratio",
        "Southbound turnover / median turnover of the 60 southbound sessions before; NULL before the 61st session.",
        low=0,
    ),
    _number(
        "realised_volatility_20d_pct",
        "Sample standard deviation of the last 20 daily log returns of the Hang Seng Index (^HSI) × √252; NULL on a "
        "day without a close of it.",
        "%",
        low=0,
    ),
    _number(
        "chase_beta_5d",
        "Least-squares slope of net buy on the Hang Seng Index return (%) of the last session before, at most 7 days "
        "earlier, over the last 5 southbound sessions; NULL if one has none, or if all are equal.",
        "HKD mn per %",
    ),
    _number(
        "breadth_pct",
        "Of the catalog's Hong Kong shares with a close that day and an earlier one, the part that closed higher "
        "than at the last one before.",
        "%",
        low=0,
    ),
    _count("breadth_of_shares", "How many shares that is of.", unit="shares", low=0),
    description="Indicators of hot money, each by its own definition; no score.",
    grain="southbound session",
    key=("session_date",),
    date_column="session_date",
)

mart_rally_scoreboard = table(
    "mart_rally_scoreboard",
    column("event_id", sa.String(64), "Event.", InTable("core_event", "event_id")),
    column("symbol", sa.String(32), "Instrument in Yahoo notation.", InTable("core_instrument", "symbol")),
    column("event_name", sa.Text(), "Name of the event.", Matches(r".+")),
    _date("event_date", "Day of the event.", nullable=False),
    column("instrument_name", sa.Text(), "Name of the instrument.", Matches(r".+")),
    _date("session_date", "Latest session of the instrument since the event.", nullable=False),
    _number("close", "Close of that session.", "currency", low=0, nullable=False),
    column("currency", sa.String(3), "Currency of the close, ISO 4217.", Matches(r"[A-Z]{3}")),
    _number("return_since_event_pct", "Return since the last session before the event.", "%", low=-100),
    _count("sessions_since_event", "Sessions since then.", unit="sessions", low=0),
    _number("ytd_return_pct", "Year-to-date return.", "%", low=-100),
    column("ytd_rank", sa.Integer(), "Rank in the instrument's first leaderboard.", Range(1), nullable=True),
    _number("rise_from_trough_pct", "Rise from the lowest close of the last 60 sessions.", "%", low=0),
    _date("trough_date", "Day of that low."),
    column("is_3y_high", sa.Boolean(), "Whether the close is a three-year high.", _COMPUTED, nullable=True),
    _date("highest_since_date", "Last earlier session with a close at or above this one."),
    _number("southbound_net_buy_hkd_mn", "Southbound net buy since the event, up to session_date.", "HKD mn"),
    _count("southbound_sessions", "Southbound sessions since the event.", unit="sessions", low=0),
    _count("southbound_window_rank", "Rank of that net buy among windows of as many sessions."),
    description="The front page: each event and instrument as of its latest session.",
    grain="event × instrument",
    key=("event_id", "symbol"),
    date_column="session_date",
)

RECONCILIATION_CAUSES = (
    "none",
    "unit_tenfold",
    "currency",
    "stale_repeat",
    "restatement",
    "missing_session",
    "unknown",
)

ops_reconciliation = table(
    "ops_reconciliation",
    column(
        "subject",
        sa.String(40),
        "What is compared.",
        OneOf(("southbound", "southbound_sum", "broker_week", "broker_month", "broker_ytd")),
    ),
    column("channel", sa.String(8), "Channel.", OneOf(CHANNELS)),
    column(
        "measure",
        sa.String(16),
        "Figure compared; net_buy_avg is a broker's daily average against net buy / sessions of the period.",
        OneOf(("net_buy", "turnover", "net_buy_avg")),
    ),
    _date("period_start", "First day.", nullable=False),
    _date("period_end", "Last day; a day's comparison starts and ends on it.", nullable=False),
    column(
        "source", sa.String(60), "Who is checked: source, or broker; 'any' for a session nobody has.", Matches(r".+")
    ),
    column(
        "against_source",
        sa.String(90),
        "Whom it is checked against: the believed source, the source itself (sum of its channels), 'resolved' (days "
        "of a period), 'calendar' (missing session).",
        Matches(r".+"),
    ),
    _number("value_hkd_mn", "Figure of the source; NULL = it has none.", "HKD mn"),
    _number(
        "against_hkd_mn",
        "Figure it is checked against; NULL = there is none, for a period also if one of its sessions has none.",
        "HKD mn",
    ),
    _number("difference_hkd_mn", "value − against.", "HKD mn"),
    _number("difference_pct", "difference / |against|.", "%"),
    column(
        "is_break",
        sa.Boolean(),
        "Whether one side is missing, or the difference is above HK$ 1 mn and above 0.5 % (a broker's period: 1 %) "
        "of the counterpart.",
        _COMPUTED,
    ),
    column(
        "suspected_cause",
        sa.String(24),
        "Why they may differ, the first that fits: value is 10, 0.1, 100 or 0.01 times the counterpart (within 2 %); "
        "the day's HKD/CNY cross or its inverse (within 3 %); the source's figures are those of its session before; "
        "they were restated; a session is missing.",
        OneOf(RECONCILIATION_CAUSES),
    ),
    description="Sources against each other, the total against its channels, brokers' periods against the days.",
    grain="subject × channel × measure × period × source × counterpart",
    key=("subject", "channel", "measure", "period_end", "period_start", "source", "against_source"),
    date_column="period_end",
)
