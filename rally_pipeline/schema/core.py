"""Declarations of the core layer: facts with two clocks, and the reference tables written from the catalog.

``core_*`` facts are versioned (known from, known to) and never updated in place beyond the closing of a version.
Reference tables (instrument, event, session …) say what the catalog and the calendars say today.
"""

from __future__ import annotations

import sqlalchemy as sa

from rally_pipeline.schema.declare import InTable, Matches, NoRule, OneOf, Range, UtcDateTime, column, table

MARKETS = ("HK", "CN", "DE", "US", "JP", "GB", "FX", "SOUTHBOUND")
KINDS = ("index", "share", "etf", "fx")

_SYMBOL = Matches(r"[\^A-Z0-9][A-Z0-9.=\-]{0,31}")
_ANY_PRICE = Range(0, strict_low=True)


def _symbol() -> sa.Column[str]:
    return column(
        "symbol", sa.String(32), "Instrument in Yahoo notation.", _SYMBOL, InTable("core_instrument", "symbol")
    )


def _price(name: str, what: str, *, nullable: bool = True) -> sa.Column[float]:
    return column(name, sa.Double(), what, _ANY_PRICE, unit="currency", nullable=nullable)


core_instrument = table(
    "core_instrument",
    column("symbol", sa.String(32), "Instrument in Yahoo notation.", _SYMBOL),
    column("name", sa.Text(), "Name for people.", Matches(r".+")),
    column("market", sa.String(12), "Market whose sessions it trades on.", OneOf(MARKETS)),
    column("currency", sa.String(3), "Currency of its prices, ISO 4217.", Matches(r"[A-Z]{3}")),
    column("kind", sa.String(8), "Index, share, fund or currency pair.", OneOf(KINDS)),
    column(
        "leaderboard",
        sa.String(60),
        "Leaderboard it is first of all ranked in; NULL = none.",
        NoRule("the catalog's word"),
        nullable=True,
    ),
    column(
        "listing_date",
        sa.Date(),
        "First day of listing or of calculation; NULL = not stated.",
        NoRule("the catalog's word"),
        nullable=True,
    ),
    column(
        "base_currency",
        sa.String(3),
        "Of a currency pair, the currency of which one unit is priced.",
        Matches(r"[A-Z]{3}"),
        nullable=True,
    ),
    description="Instruments of the catalog.",
    grain="instrument",
    key=("symbol",),
)

core_instrument_source = table(
    "core_instrument_source",
    _symbol(),
    column("source", sa.String(40), "Source of prices.", Matches(r".+")),
    column("trust_rank", sa.Integer(), "1 = most trusted.", Range(1)),
    description="Price sources of each instrument in order of trust; sources not listed come after all that are.",
    grain="instrument × source",
    key=("symbol", "source"),
)

core_leaderboard_member = table(
    "core_leaderboard_member",
    column("leaderboard", sa.String(60), "Leaderboard.", Matches(r"[a-z0-9_]+")),
    _symbol(),
    description="Who is ranked against whom.",
    grain="leaderboard × instrument",
    key=("leaderboard", "symbol"),
)

core_broker = table(
    "core_broker",
    column("broker_id", sa.String(60), "House.", Matches(r"[a-z][a-z0-9_]*")),
    column("name", sa.Text(), "Name for people.", Matches(r".+")),
    column("kind", sa.String(20), "What it is.", OneOf(("bank", "independent", "rating_agency"))),
    column("country", sa.String(2), "Seat, ISO 3166.", Matches(r"[A-Z]{2}")),
    column(
        "symbol",
        sa.String(32),
        "The house's own share, if it is listed; need not be in the catalog.",
        NoRule("the catalog's word"),
        nullable=True,
    ),
    description="Houses of the catalog.",
    grain="house",
    key=("broker_id",),
)

core_event = table(
    "core_event",
    column("event_id", sa.String(64), "Event; a yearly one carries its year.", Matches(r"[a-z][a-z0-9_]*")),
    column("name", sa.Text(), "Name for people.", Matches(r".+")),
    column("event_date", sa.Date(), "Day of the event, or of the reopening after it.", NoRule("the catalog's word")),
    column(
        "until_date",
        sa.Date(),
        "First day that no longer counts as after it: the next occurrence of a yearly event; NULL = open.",
        NoRule("follows from the calendar"),
        nullable=True,
    ),
    description="Events against which moves are measured.",
    grain="event",
    key=("event_id",),
)

core_session = table(
    "core_session",
    column("market", sa.String(12), "Market.", OneOf(MARKETS)),
    column("session_date", sa.Date(), "Market-local date of a trading session.", NoRule("the calendar's word")),
    column("session_no", sa.Integer(), "Running number of the session in its market.", Range(1)),
    column("day_no", sa.Integer(), "Days since 1970-01-01, for windows over calendar days.", NoRule("arithmetic")),
    column(
        "month_day_no",
        sa.Integer(),
        "(12 × year + month − 1) × 31 + day − 1: 31 × n less is the same day n months earlier, for windows over "
        "calendar months.",
        NoRule("arithmetic"),
    ),
    column("is_half_day", sa.Boolean(), "Whether the session closes early.", NoRule("either")),
    column("open_at", UtcDateTime(), "Opening.", NoRule("the calendar's word"), unit="UTC"),
    column("close_at", UtcDateTime(), "Closing.", NoRule("the calendar's word"), unit="UTC"),
    *(
        column(name, sa.Date(), what, NoRule("follows from the calendar"), nullable=True)
        for name, what in (
            ("year_base_date", "Last session on or before 31 December of the year before."),
            ("month_base_date", "Last session on or before the end of the month before."),
            ("ago_1y_date", "Last session on or before the day twelve months earlier."),
            ("window_52w_start", "Calendar day 52 weeks earlier: first day of the 52-week window."),
            ("window_3y_start", "Calendar day 36 months earlier: first day of the three-year window."),
        )
    ),
    description="Trading sessions of every market as far as its calendar knows.",
    grain="market × session",
    key=("market", "session_date"),
    date_column="session_date",
)

core_price_daily = table(
    "core_price_daily",
    _symbol(),
    column("session_date", sa.Date(), "Market-local date.", InTable("core_session", "session_date")),
    column("source", sa.String(40), "Who said so.", Matches(r".+")),
    _price("open", "First price, unadjusted."),
    _price("high", "Highest price, unadjusted."),
    _price("low", "Lowest price, unadjusted."),
    _price("close", "Closing price, unadjusted; NULL where the source only gives adjusted prices."),
    _price("adj_open", "First price, adjusted for dividends as the source saw them."),
    _price("adj_high", "Highest price, adjusted for dividends as the source saw them."),
    _price("adj_low", "Lowest price, adjusted for dividends as the source saw them."),
    _price("adj_close", "Closing price, adjusted for dividends as the source saw them."),
    column("volume_shares", sa.BigInteger(), "Shares traded.", Range(0), unit="shares", nullable=True),
    column("turnover", sa.Double(), "Value traded.", Range(0), unit="currency", nullable=True),
    column("dividend", sa.Double(), "Dividend per share going ex that day.", Range(0), unit="currency", nullable=True),
    column("split_ratio", sa.Double(), "New shares per old share; NULL = no split.", _ANY_PRICE, nullable=True),
    column("currency", sa.String(3), "Currency of the prices, ISO 4217.", Matches(r"[A-Z]{3}")),
    column(
        "is_flat_bar",
        sa.Boolean(),
        "One price all day and no volume: printed, but nothing traded in it (half-days at Yahoo).",
        NoRule("either"),
    ),
    description="Daily bars as each source gave them, every version kept.",
    grain="instrument × session × source × version",
    key=("symbol", "session_date", "source"),
    date_column="session_date",
    versioned=True,
)

core_fx_daily = table(
    "core_fx_daily",
    column("base_currency", sa.String(3), "Currency of which one unit is priced.", Matches(r"[A-Z]{3}")),
    column("quote_currency", sa.String(3), "Currency in which it is priced.", Matches(r"[A-Z]{3}")),
    column("rate_date", sa.Date(), "Day of the rate in the source's own days.", NoRule("the source's word")),
    column("source", sa.String(40), "Who said so.", Matches(r".+")),
    column("rate", sa.Double(), "Units of quote currency per unit of base currency.", _ANY_PRICE),
    description="Daily exchange rates as each source gave them, every version kept.",
    grain="currency pair × day × source × version",
    key=("base_currency", "quote_currency", "rate_date", "source"),
    date_column="rate_date",
    versioned=True,
)

core_price_resolved_daily = table(
    "core_price_resolved_daily",
    _symbol(),
    column("session_date", sa.Date(), "Market-local date.", InTable("core_session", "session_date")),
    column("source", sa.String(40), "The source believed for this day.", Matches(r".+")),
    _price("open", "First price, unadjusted."),
    _price("high", "Highest price, unadjusted."),
    _price("low", "Lowest price, unadjusted."),
    _price("close", "Closing price, unadjusted; NULL where no source gives one."),
    _price("adj_close", "Closing price, adjusted for dividends as the source saw them."),
    column("volume_shares", sa.BigInteger(), "Shares traded.", Range(0), unit="shares", nullable=True),
    column("turnover", sa.Double(), "Value traded.", Range(0), unit="currency", nullable=True),
    column("currency", sa.String(3), "Currency of the prices, ISO 4217.", Matches(r"[A-Z]{3}")),
    column("is_flat_bar", sa.Boolean(), "One price all day and no volume.", NoRule("either")),
    column("source_count", sa.Integer(), "How many sources have a bar for this day.", Range(1)),
    column("known_from_at", UtcDateTime(), "Since when the believed bar is known.", NoRule("as in core"), unit="UTC"),
    description="One bar per instrument and session of its market: that of the most trusted source which has an "
    "unadjusted close, else of the most trusted one.",
    grain="instrument × session",
    key=("symbol", "session_date"),
    date_column="session_date",
)

core_fx_usd_daily = table(
    "core_fx_usd_daily",
    column("currency", sa.String(3), "Currency, ISO 4217.", Matches(r"[A-Z]{3}")),
    column("rate_date", sa.Date(), "Day of the rate.", NoRule("the source's word")),
    column("units_per_usd", sa.Double(), "Units of the currency per US dollar.", _ANY_PRICE, unit="currency per USD"),
    column("source", sa.String(40), "The source believed for this day.", Matches(r".+")),
    description="One dollar rate per currency and day: cross rate through the euro or quote against the dollar of one "
    "source, the ECB first, then by name.",
    grain="currency × day",
    key=("currency", "rate_date"),
    date_column="rate_date",
)

#: Reference tables, rewritten from catalog and calendars.
REFERENCE = (
    *(core_instrument, core_instrument_source, core_leaderboard_member, core_event, core_session),
    core_broker,
)
#: Tables derived inside the warehouse from versioned core facts, refreshed like marts.
RESOLVED = (core_price_resolved_daily, core_fx_usd_daily)
