"""Declarations of the core layer for Stock Connect: flows, most active shares, what brokers print, market turnover."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema.declare import InTable, Matches, NoRule, OneOf, Range, Rule, UtcDateTime, column, table

CHANNELS = ("total", "sse", "szse")

_WHO = ("source", sa.String(40), "Who said so.", Matches(r".+"))


def _day(market: str) -> sa.Column[Any]:
    return column(
        "session_date", sa.Date(), f"Market-local date of a {market} session.", InTable("core_session", "session_date")
    )


def _channel() -> sa.Column[Any]:
    return column(
        "channel", sa.String(8), "Stock Connect channel: Shanghai, Shenzhen, or both together.", OneOf(CHANNELS)
    )


def _amount(name: str, what: str, unit: str, *, signed: bool = False, nullable: bool = True) -> sa.Column[Any]:
    rule = NoRule("signed; buy − sell is checked against it") if signed else Range(0)
    return column(name, sa.Double(), what, rule, unit=unit, nullable=nullable)


def _count(name: str, what: str) -> sa.Column[Any]:
    return column(name, sa.BigInteger(), what, Range(0), unit="trades", nullable=True)


core_southbound_flow_daily = table(
    "core_southbound_flow_daily",
    _channel(),
    _day("southbound"),
    column(*_WHO),
    _amount("buy_hkd_mn", "Bought in Hong Kong by mainland investors.", "HKD mn"),
    _amount("sell_hkd_mn", "Sold in Hong Kong by mainland investors.", "HKD mn"),
    _amount("net_buy_hkd_mn", "Net buy as the source prints it, or buy − sell.", "HKD mn", signed=True),
    _amount("turnover_hkd_mn", "Bought plus sold.", "HKD mn"),
    _count("buy_trade_count", "Trades on the buy side."),
    _count("sell_trade_count", "Trades on the sell side."),
    _amount("etf_turnover_hkd_mn", "Part of the turnover in exchange-traded funds.", "HKD mn"),
    description="Southbound Stock Connect flows as each source gave them, every version kept.",
    grain="channel × southbound session × source × version",
    key=("channel", "session_date", "source"),
    date_column="session_date",
    versioned=True,
)

core_northbound_turnover_daily = table(
    "core_northbound_turnover_daily",
    _channel(),
    column("session_date", sa.Date(), "Market-local date.", NoRule("the source's word; not used by any mart")),
    column(*_WHO),
    _amount("turnover_cny_mn", "Bought plus sold.", "CNY mn"),
    _amount("buy_cny_mn", "Bought on the mainland; not published since 2024-08-19.", "CNY mn"),
    _amount("sell_cny_mn", "Sold on the mainland; not published since 2024-08-19.", "CNY mn"),
    _amount("net_buy_cny_mn", "Net buy; not published since 2024-08-19.", "CNY mn", signed=True),
    _count("trade_count", "Trades."),
    description="Northbound Stock Connect turnover as each source gave it, every version kept.",
    grain="channel × day × source × version",
    key=("channel", "session_date", "source"),
    date_column="session_date",
    versioned=True,
)

core_southbound_top_stock_daily = table(
    "core_southbound_top_stock_daily",
    column("channel", sa.String(8), "Channel whose list it is.", OneOf(("sse", "szse"))),
    _day("southbound"),
    column("stock_code", sa.String(5), "Exchange code, five digits.", Matches(r"\d{5}")),
    column(*_WHO),
    column("symbol", sa.String(32), "Share in Yahoo notation.", Matches(r"\d{4,5}\.HK")),
    column("stock_name", sa.Text(), "Name as the exchange prints it.", Matches(r".+")),
    column("rank", sa.Integer(), "Rank by turnover in the channel's list.", Range(1, 10)),
    _amount("buy_hkd", "Bought by mainland investors.", "HKD"),
    _amount("sell_hkd", "Sold by mainland investors.", "HKD"),
    _amount("turnover_hkd", "Bought plus sold.", "HKD"),
    description="The ten shares most traded southbound through each channel, every version kept.",
    grain="channel × southbound session × stock × source × version",
    key=("channel", "session_date", "stock_code", "source"),
    date_column="session_date",
    versioned=True,
)

_BROKER_TEXTS: dict[str, tuple[str, Rule]] = {
    "period_basis": ("What kind of period it is.", OneOf(("mon_fri", "epfr_thu_wed", "mtd", "ytd"))),
    "flow_family": ("Which flow.", OneOf(("southbound", "northbound", "epfr", "etf", "broker_other"))),
    "channel": ("Channel.", OneOf(("total", "sse", "szse", "na"))),
    "market": ("Market the flow is into.", Matches(r"[a-z0-9_]{1,60}")),
    "style": ("Style of the funds.", OneOf(("active", "passive", "total", "na"))),
    "dimension": ("By what it is broken down.", OneOf(("total", "sector", "stock", "fund_domicile"))),
    "dimension_value": ("Which part of the breakdown; empty for the total.", Matches(r".{0,60}")),
    "metric": ("What is measured.", Matches(r"[a-z_]{1,60}")),
}

core_broker_flow = table(
    "core_broker_flow",
    column("broker", sa.String(60), "Who printed it.", Matches(r".{1,60}")),
    column("period_start", sa.Date(), "First day of the period.", NoRule("checked with the period's end")),
    column("period_end", sa.Date(), "Last day of the period.", NoRule("checked with the period's start")),
    *(column(name, sa.String(60), what, rule) for name, (what, rule) in _BROKER_TEXTS.items()),
    column(*_WHO),
    column("value", sa.Double(), "Figure as printed, in unit of currency.", NoRule("signed")),
    column(
        "unit",
        sa.String(12),
        "Unit of the figure.",
        OneOf(("abs", "thousand", "million", "100m", "billion", "pct", "shares")),
    ),
    column("currency", sa.String(3), "Currency; empty for percentages and shares.", Matches(r"([A-Z]{3})?")),
    column(
        "trading_days", sa.Integer(), "Sessions in the period, as printed.", Range(0), unit="sessions", nullable=True
    ),
    column("report_title", sa.Text(), "Title of the report.", NoRule("free text")),
    column("report_date", sa.Date(), "Date of the report.", NoRule("the broker's word"), nullable=True),
    column("published_text", sa.Text(), "When it was published, as entered.", NoRule("free text")),
    column("revision_of", sa.Text(), "Which earlier figure it corrects; empty if none.", NoRule("free text")),
    column("page_ref", sa.Text(), "Page or table in the report.", NoRule("free text")),
    column("entered_by", sa.Text(), "Who typed it in.", NoRule("free text")),
    column("note", sa.Text(), "Remark.", NoRule("free text")),
    description="Flow figures that brokers print, one a row; a correction stands beside what it corrects.",
    grain="broker × period × breakdown × metric × correction × source × version",
    key=(
        "broker",
        "period_start",
        "period_end",
        "period_basis",
        "flow_family",
        "channel",
        "market",
        "style",
        "dimension",
        "dimension_value",
        "metric",
        "revision_of",
        "source",
    ),
    date_column="period_end",
    versioned=True,
)

core_market_turnover_daily = table(
    "core_market_turnover_daily",
    column("market", sa.String(12), "Market.", OneOf(("HK",))),
    _day("market"),
    column(*_WHO),
    _amount("turnover_hkd_mn", "Value traded on the whole market, each trade counted once.", "HKD mn", nullable=False),
    description="Turnover of the whole Hong Kong market, every version kept.",
    grain="market × session × source × version",
    key=("market", "session_date", "source"),
    date_column="session_date",
    versioned=True,
)

core_southbound_resolved_daily = table(
    "core_southbound_resolved_daily",
    _channel(),
    _day("southbound"),
    column(
        "source",
        sa.String(90),
        "The source believed: HKEX, then the exchanges, then Eastmoney, then files; of a total made of two channels, "
        "both joined by '+' where they differ.",
        Matches(r".+"),
    ),
    _amount("buy_hkd_mn", "Bought in Hong Kong by mainland investors.", "HKD mn"),
    _amount("sell_hkd_mn", "Sold in Hong Kong by mainland investors.", "HKD mn"),
    _amount("net_buy_hkd_mn", "buy − sell; as printed where the source prints no buy and sell.", "HKD mn", signed=True),
    _amount("turnover_hkd_mn", "Bought plus sold; as printed where the source prints no buy and sell.", "HKD mn"),
    column(
        "known_from_at", UtcDateTime(), "Since when the believed figures are known.", NoRule("as in core"), unit="UTC"
    ),
    column(
        "source_count",
        sa.Integer(),
        "How many sources have figures for this channel and day; of the total, for any channel.",
        Range(1),
    ),
    description=(
        "One figure per channel and southbound session. The total is Shanghai plus Shenzhen wherever both are known."
    ),
    grain="channel × southbound session",
    key=("channel", "session_date"),
    date_column="session_date",
)

#: Tables derived inside the warehouse from versioned core facts, refreshed like marts.
RESOLVED = (core_southbound_resolved_daily,)
