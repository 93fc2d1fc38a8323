"""Which rows of a parsed payload may enter the warehouse: the rules that keep a wrong row out of core.

A row that breaks a rule is set aside with the rule's name, never dropped. Belongs here: rules about rows against the
calendar and the clock of the fetch. Does not belong here: reading payloads (`sources/`) or writing (`ingest.py`).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources.base import Dataset

#: A closing auction ends minutes after the close, and quotes are delayed: a bar counts as final only after this.
SETTLING = dt.timedelta(minutes=15)


@dataclass(frozen=True)
class Accepted:
    """`rows` may be loaded; `set_aside` holds the others, with the column ``rule`` naming the first rule each broke."""

    rows: pd.DataFrame
    set_aside: pd.DataFrame


def accept(
    dataset: Dataset, frame: pd.DataFrame, catalog: Catalog, calendars: Calendars, known_at: dt.datetime
) -> Accepted:
    """Splits a parsed frame into rows to load and rows to set aside.

    Args:
        dataset: which frame it is.
        frame: columns of `rally_pipeline.sources.base`.
        catalog: for the market of each symbol.
        calendars: the authority on sessions.
        known_at: aware time at which the rows were known; a session not over by then has no final bar.

    Raises:
        PayloadError: two rows are about the same thing.
    """
    rule = _RULES[dataset](frame, catalog, calendars, known_at)
    key = _KEYS[dataset]
    kept = frame[rule.isna()]
    doubled = kept[kept.duplicated(key, keep=False)]
    if not doubled.empty:
        first = doubled.iloc[0]
        raise PayloadError(
            rule="unique_session",
            message=f"{len(doubled)} rows repeat a key, first {' '.join(str(first[k]) for k in key)}",
            fix="keep one row per day",
            locator=str(first["locator"]),
        )
    return Accepted(kept.reset_index(drop=True), frame.assign(rule=rule)[rule.notna()].reset_index(drop=True))


def _price_rules(frame: pd.DataFrame, catalog: Catalog, calendars: Calendars, known_at: dt.datetime) -> pd.Series[str]:
    rule = pd.Series(None, index=frame.index, dtype="str")
    prices = frame[["open", "high", "low", "close", "adj_open", "adj_high", "adj_low", "adj_close"]].to_numpy()
    bad_price = ((prices <= 0) | np.isinf(prices)).any(axis=1)
    rule[bad_price] = "price_positive"
    rule[(frame["volume"] < 0) | np.isinf(frame["volume"])] = "volume_not_negative"
    markets = frame["symbol"].map({symbol: i.market.value for symbol, i in catalog.instruments.items()})
    instant = pd.Timestamp(known_at).tz_convert("UTC").tz_localize(None) - SETTLING
    for market, group in frame.groupby(markets, sort=False):
        days = group["session_date"]
        session_rule = _session_rule(str(market), days, calendars, instant)
        # The most telling rule wins: a row on a day that was no session needs no other reason.
        rule[session_rule.index[session_rule.notna()]] = session_rule.dropna()
    return rule


def _session_rule(
    market: str, days: pd.Series[pd.Timestamp], calendars: Calendars, instant: pd.Timestamp
) -> pd.Series[str]:
    rule = pd.Series(None, index=days.index, dtype="str")
    close_at = days.map(_closes(calendars, market))
    rule[close_at.isna()] = "bar_on_closed_day"
    begin, end = pd.Timestamp(calendars.first_day(market)), pd.Timestamp(calendars.horizon(market))
    rule[(days < begin) | (days > end)] = "session_unknown"
    rule[close_at > instant] = "session_not_over"
    return rule


@functools.lru_cache(maxsize=32)
def _closes(calendars: Calendars, market: str) -> pd.Series[pd.Timestamp]:
    """Closing times (naive UTC) by session date, as far as the calendar knows."""
    frame = calendars.session_frame(market, calendars.first_day(market), calendars.horizon(market))
    return frame.set_index("session_date")["close_at"]


def _fx_rules(frame: pd.DataFrame, catalog: Catalog, calendars: Calendars, known_at: dt.datetime) -> pd.Series[str]:
    rule = pd.Series(None, index=frame.index, dtype="str")
    rate = frame["rate"]
    rule[(rate <= 0) | np.isinf(rate) | rate.isna()] = "rate_positive"
    rule[frame["rate_date"] > pd.Timestamp(known_at.date())] = "day_not_over"
    return rule


def _southbound_rules(
    frame: pd.DataFrame, catalog: Catalog, calendars: Calendars, known_at: dt.datetime
) -> pd.Series[str]:
    return _flow_rules("SOUTHBOUND", frame, calendars, known_at)


def _northbound_rules(
    frame: pd.DataFrame, catalog: Catalog, calendars: Calendars, known_at: dt.datetime
) -> pd.Series[str]:
    # Northbound has trading days of its own, and no mart reads it.
    rule = _negative(frame)
    rule[frame["session_date"] > pd.Timestamp(known_at.date())] = "day_not_over"
    return rule


def _market_turnover_rules(
    frame: pd.DataFrame, catalog: Catalog, calendars: Calendars, known_at: dt.datetime
) -> pd.Series[str]:
    rule = _negative(frame)
    for market, group in frame.groupby("market", sort=False):
        rule.update(_flow_rules(str(market), group, calendars, known_at).dropna())
    return rule


def _broker_rules(frame: pd.DataFrame, catalog: Catalog, calendars: Calendars, known_at: dt.datetime) -> pd.Series[str]:
    rule = pd.Series(None, index=frame.index, dtype="str")
    rule[np.isinf(frame["value"]) | frame["value"].isna()] = "value_finite"
    rule[frame["period_start"] > pd.Timestamp(known_at.date())] = "period_not_begun"
    return rule


def _flow_rules(market: str, frame: pd.DataFrame, calendars: Calendars, known_at: dt.datetime) -> pd.Series[str]:
    rule = _negative(frame)
    instant = pd.Timestamp(known_at).tz_convert("UTC").tz_localize(None) - SETTLING
    session_rule = _session_rule(market, frame["session_date"], calendars, instant)
    rule[session_rule.notna()] = session_rule[session_rule.notna()]
    return rule


def _negative(frame: pd.DataFrame) -> pd.Series[str]:
    """Rows with a negative or infinite amount or count; a net may be negative."""
    rule = pd.Series(None, index=frame.index, dtype="str")
    numbers = frame.select_dtypes("number")
    signed = [name for name in numbers.columns if name.startswith("net_")]
    rule[(numbers.drop(columns=signed) < 0).any(axis=1)] = "amount_not_negative"
    rule[np.isinf(numbers.to_numpy(dtype="float64")).any(axis=1)] = "amount_finite"
    return rule


_Rules = Callable[[pd.DataFrame, Catalog, Calendars, dt.datetime], "pd.Series[str]"]

_RULES: dict[Dataset, _Rules] = {
    Dataset.PRICE: _price_rules,
    Dataset.FX: _fx_rules,
    Dataset.SOUTHBOUND_FLOW: _southbound_rules,
    Dataset.NORTHBOUND_TURNOVER: _northbound_rules,
    Dataset.TOP_STOCK: _southbound_rules,
    Dataset.BROKER_FLOW: _broker_rules,
    Dataset.MARKET_TURNOVER: _market_turnover_rules,
}
#: What identifies a row within one payload.
_KEYS: dict[Dataset, list[str]] = {
    Dataset.PRICE: ["symbol", "session_date"],
    Dataset.FX: ["base_currency", "quote_currency", "rate_date"],
    Dataset.SOUTHBOUND_FLOW: ["channel", "session_date"],
    Dataset.NORTHBOUND_TURNOVER: ["channel", "session_date"],
    Dataset.TOP_STOCK: ["channel", "session_date", "stock_code"],
    Dataset.BROKER_FLOW: [
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
    ],
    Dataset.MARKET_TURNOVER: ["market", "session_date"],
}
