"""Which rows decided a row of a computed table: one small function per table.

A return was decided by two closes and a rank by the returns of the members; of a moving maximum the row itself and the
best one before it decide, not the whole window. Columns say which value was decided by what, so that a walk follows
only what it needs. Belongs here: these functions. Does not belong here: definitions (`marts/`, from which windows and
tolerances are taken), the walk (`trace.py`).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from rally_pipeline.asof import condition
from rally_pipeline.errors import UsageError
from rally_pipeline.lineage.known import Known, Row
from rally_pipeline.marts.hot_money import HANG_SENG
from rally_pipeline.marts.inputs import BASE_TOLERANCE_DAYS, LAST_SESSION_DAYS, RATE_TOLERANCE_DAYS
from rally_pipeline.marts.southbound_resolved import trust_order
from rally_pipeline.schema import metadata, table_info

PRICE, FLOW, RATE = "core_price_resolved_daily", "core_southbound_resolved_daily", "core_fx_usd_daily"
PERFORMANCE, MONTHLY = "mart_index_performance_daily", "mart_trading_volume_monthly"
_DAY = dt.timedelta(days=1)
#: Windows larger than the one in question that are named.
_LARGER_WINDOWS = 20


@dataclass(frozen=True)
class Cited:
    """A row that decided.

    Attributes:
        role: as what: ``base close``.
        table: its table; empty if it is no row of the warehouse.
        row: the row as known; ``None`` if it is not there any more.
        decides: columns of the citing row that it decided.
        uses: its own columns that were used; empty = all.
        key: what identifies it, where there is no row.
    """

    role: str
    table: str
    row: Row | None
    decides: tuple[str, ...]
    uses: tuple[str, ...] = ()
    key: str = ""


Columns = Collection[str]
Decide = Callable[[Known, Row, Columns], Iterator[Cited]]


def _cite(
    role: str, table: str, rows: Iterable[Row | None], decides: Iterable[str], wanted: Columns, *uses: str
) -> Iterator[Cited]:
    """The rows that were found, if they decided one of the columns wanted."""
    decided = tuple(name for name in decides if name in wanted)
    if decided:
        yield from (Cited(role, table, row, decided, uses) for row in rows if row is not None)


def _bar(known: Known, symbol: str, day: dt.date | None) -> Row | None:
    return None if day is None else known.one(PRICE, symbol=symbol, session_date=day)


def _base(known: Known, symbol: str, day: dt.date | None) -> list[Row]:
    """The last bar with a close up to a day, as the marts take a base."""
    return [] if day is None else known.latest(PRICE, day, within=BASE_TOLERANCE_DAYS, has="close", symbol=symbol)


def _rate(known: Known, currency: str, day: dt.date | None) -> list[Row]:
    if day is None or currency == "USD":
        return []
    return known.latest(RATE, day, within=RATE_TOLERANCE_DAYS, currency=currency)


def _session(known: Known, symbol: str, day: dt.date) -> Row:
    instrument = known.one("core_instrument", symbol=symbol)
    found = known.one("core_session", market=instrument["market"], session_date=day) if instrument else None
    return found or {}


# --- resolved


def resolved_price(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The bar of the believed source; beside it those of the other sources."""
    bars = known.rows("core_price_daily", symbol=row["symbol"], session_date=row["session_date"])
    taken = set(row) - {"source_count"}
    believed = [bar for bar in bars if bar["source"] == row["source"]]
    yield from _cite("bar of the believed source", "core_price_daily", believed, taken, wanted)
    others = [bar for bar in bars if bar["source"] != row["source"]]
    yield from _cite("bar of another source", "core_price_daily", others, ("source", "source_count"), wanted, "source")


def resolved_rate(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """Both rates of a cross through the euro, or the quote against the dollar."""
    day = {"rate_date": row["rate_date"], "source": row["source"]}

    def quote(base: str, other: str) -> Row | None:
        return known.one("core_fx_daily", base_currency=base, quote_currency=other, **day)

    cross = [quote("EUR", row["currency"]), quote("EUR", "USD")]
    found = next(
        (ways for ways in (cross, [quote("USD", row["currency"])], [quote(row["currency"], "USD")]) if all(ways)), []
    )
    role = "rate against the euro" if found is cross else "rate against the dollar"
    yield from _cite(role, "core_fx_daily", found, row, wanted)


def resolved_flow(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The figures of the believed source; of a total both channels where both are known."""
    day = row["session_date"]
    if row["channel"] == "total":
        parts = [known.one(FLOW, channel=channel, session_date=day) for channel in ("sse", "szse")]
        if all(parts):
            yield from _cite("channel of the total", FLOW, parts, row, wanted, *(set(wanted) - {"source_count"}))
            return
    every = known.rows("core_southbound_flow_daily", channel=row["channel"], session_date=day)
    believed = [one for one in every if one["source"] == row["source"]]
    table = "core_southbound_flow_daily"
    yield from _cite("figures of the believed source", table, believed, set(row) - {"source_count"}, wanted)
    others = [one for one in every if one["source"] != row["source"]]
    yield from _cite("figures of another source", table, others, ("source", "source_count"), wanted, "source")


# --- prices


def index_performance(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The close, the base of each return, the rates of the dollar return, the returns of the others ranked."""
    symbol, day, base = row["symbol"], row["session_date"], row["base_date"]
    returns = [name for name in row if name.endswith("return_pct")]
    session = _session(known, symbol, day)
    yield from _cite(
        "close", PRICE, [_bar(known, symbol, day)], ("close", "currency", "source", *returns), wanted, "close", "source"
    )
    year = ("base_date", "base_close", "ytd_return_pct", "usd_ytd_return_pct")
    yield from _cite("base close of the year", PRICE, [_bar(known, symbol, base)], year, wanted, "close")
    for role, column, of in (
        ("base close of the month", "month_base_date", "mtd_return_pct"),
        ("close twelve months earlier", "ago_1y_date", "return_1y_pct"),
    ):
        if of in wanted:
            yield from _cite(role, PRICE, _base(known, symbol, session.get(column)), (of,), wanted, "close")
    for count in (1, 5, 20):
        of = f"return_{count}d_pct"
        if of in wanted:
            before = known.latest(PRICE, day - _DAY, has="close", count=count, symbol=symbol)
            last = before[count - 1 : count]
            yield from _cite(f"close {count} sessions before", PRICE, last, (of,), wanted, "close")
    if "usd_ytd_return_pct" in wanted and base is not None:
        dollars = ("usd_ytd_return_pct",)
        yield from _cite("rate of the day", RATE, _rate(known, row["currency"], day), dollars, wanted)
        yield from _cite("rate of the base's day", RATE, _rate(known, row["currency"], base), dollars, wanted)
    calendar = ("base_date", "mtd_return_pct", "return_1y_pct")
    yield from _cite("session, for its base days", "core_session", [session or None], calendar, wanted)
    if row["leaderboard"] and not {"ytd_rank", "ytd_rank_of"}.isdisjoint(wanted):
        for member in known.rows("core_leaderboard_member", leaderboard=row["leaderboard"]):
            if member["symbol"] != symbol:
                last = known.latest(PERFORMANCE, day, within=LAST_SESSION_DAYS, symbol=member["symbol"])
                ranks = ("ytd_rank", "ytd_rank_of")
                yield from _cite("return of another member", PERFORMANCE, last, ranks, wanted, "ytd_return_pct")


def leaderboard(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The member's return, and those of the others."""
    own = known.one(PERFORMANCE, symbol=row["symbol"], session_date=row["session_date"])
    figures = ("close", "base_date", "base_close", "ytd_return_pct")
    yield from _cite("return", PERFORMANCE, [own], (*figures, "session_date", "ytd_rank"), wanted, *figures)
    yield from _cite(
        "instrument", "core_instrument", [known.one("core_instrument", symbol=row["symbol"])], ["name"], wanted
    )
    if "ytd_rank" in wanted:
        board = {"leaderboard": row["leaderboard"], "as_of_date": row["as_of_date"]}
        for other in known.rows("mart_leaderboard_daily", **board):
            if other["symbol"] != row["symbol"]:
                found = known.one(PERFORMANCE, symbol=other["symbol"], session_date=other["session_date"])
                yield from _cite(
                    "return of another member", PERFORMANCE, [found], ["ytd_rank"], wanted, "ytd_return_pct"
                )


def price_extremes(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The close, the best close before it in each window, and the days that are named."""
    symbol, day = row["symbol"], row["session_date"]
    yield from _cite("close", PRICE, [_bar(known, symbol, day)], row, wanted, "close")
    starts = {"52w": day - dt.timedelta(days=364)}
    if any("3y" in name for name in wanted):
        starts["3y"] = _session(known, symbol, day).get("window_3y_start") or day
    for side, best, distance in (
        ("high", "highest", "drawdown_from_high_pct"),
        ("low", "lowest", "rise_from_low_pct"),
    ):
        for window, start in starts.items():
            columns = [f"{side}_{window}", f"is_{window}_{side}", *([distance] if window == "52w" else [])]
            if not set(columns).isdisjoint(wanted):
                earlier = known.between(PRICE, start, day - _DAY, has="close", symbol=symbol)
                pick = max if side == "high" else min
                found = [pick(reversed(earlier), key=lambda bar: bar["close"])] if earlier else []
                yield from _cite(f"{best} close before, {window}", PRICE, found, columns, wanted, "close")
        since = f"{best}_since_date"
        named = [_bar(known, symbol, row[since])]
        yield from _cite(f"last close as {side} as this", PRICE, named, [since], wanted, "close")
    for word, distance in (("trough", "rise_from_trough_pct"), ("peak", "fall_from_peak_pct")):
        columns = [f"{word}_date", f"{word}_close", distance]
        yield from _cite(
            f"{word} of 60 sessions", PRICE, [_bar(known, symbol, row[f"{word}_date"])], columns, wanted, "close"
        )
    first = [_bar(known, symbol, row["first_session_date"])]
    flags = [name for name in row if name.startswith("is_")]
    yield from _cite("first close there is", PRICE, first, ["first_session_date", *flags], wanted, "close")


def price_since_event(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The close and the last one before the event."""
    symbol = row["symbol"]
    moved = ("close", "return_pct")
    yield from _cite("close", PRICE, [_bar(known, symbol, row["session_date"])], moved, wanted, "close")
    base = ("base_date", "base_close", "return_pct", "sessions_since_event")
    yield from _cite(
        "base close before the event", PRICE, [_bar(known, symbol, row["base_date"])], base, wanted, "close"
    )
    dated = ("event_date", "base_date", "calendar_days_since_event")
    yield from _cite("event", "core_event", [known.one("core_event", event_id=row["event_id"])], dated, wanted)


def volume_daily(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The session, those of the month before it, and the record month."""
    symbol, day = row["symbol"], row["session_date"]
    own = ("volume_shares", "turnover")
    so_far = ("mtd_volume_shares", "is_record_volume", "ratio_to_previous_record")
    yield from _cite("session", PRICE, [_bar(known, symbol, day)], (*own, *so_far), wanted, *own)
    if not set(so_far).isdisjoint(wanted):
        month = known.between(PRICE, day.replace(day=1), day - _DAY, has="volume_shares", symbol=symbol)
        yield from _cite("session of the month before it", PRICE, month, so_far, wanted, "volume_shares")
    yield from _record_month(known, row, wanted)


def volume_monthly(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The sessions of the month, and the record month before it."""
    symbol, month = row["symbol"], row["month"]
    sums = ("volume_shares", "turnover", "turnover_estimate", "sessions", "last_session_date", "is_record_volume")
    if not {*sums, "ratio_to_previous_record"}.isdisjoint(wanted):
        days = known.between(PRICE, month, row["last_session_date"], has="volume_shares", symbol=symbol)
        used = ("volume_shares", "turnover", "close")
        yield from _cite("session of the month", PRICE, days, (*sums, "ratio_to_previous_record"), wanted, *used)
    yield from _record_month(known, row, wanted)
    if row["first_month"] != month:
        first = known.one(MONTHLY, symbol=symbol, month=row["first_month"])
        yield from _cite("first month there is", MONTHLY, [first], ["first_month"], wanted, "last_session_date")


def _record_month(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    if row["previous_record_month"] is not None:
        record = known.one(MONTHLY, symbol=row["symbol"], month=row["previous_record_month"])
        names = ("month", "volume_shares")
        decided = (
            *(f"previous_record_{name}" for name in names),
            "is_record_volume",
            "ratio_to_previous_record",
        )
        yield from _cite("record month before it", MONTHLY, [record], decided, wanted, "volume_shares")


# --- flows


def southbound_daily(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The day's figures, the sessions of each sum, those that rank above it, the rate, the comparison of sources."""
    channel, day = row["channel"], row["session_date"]
    net, turnover = "net_buy_hkd_mn", "turnover_hkd_mn"
    computed = {name for name in row if name.endswith(("_usd_mn", "d_hkd_mn", "_all_time")) or "ytd" in name}
    own = set(row) - {"hkd_per_usd", "reconciliation_state"}
    today = known.one(FLOW, channel=channel, session_date=day)
    plain = tuple(name for name in row if name in metadata.tables[FLOW].c and name not in ("channel", "session_date"))
    yield from _cite("figures of the session", FLOW, [today], own | computed, wanted, *plain)
    dollars = ("hkd_per_usd", "net_buy_usd_mn", "turnover_usd_mn")
    if not set(dollars).isdisjoint(wanted):
        yield from _cite("rate of the day", RATE, _rate(known, "HKD", day), dollars, wanted)
    for name, value in (("net_buy", net), ("turnover", turnover)):
        for count in (5, 20):
            of = f"{name}_{count}d_hkd_mn"
            if of in wanted and row[of] is not None:
                before = known.latest(FLOW, day - _DAY, has=value, count=count - 1, channel=channel)
                yield from _cite(f"session of the last {count}", FLOW, before, [of], wanted, value)
        of = f"{name}_rank_all_time"
        if of in wanted and row[of] is not None:
            larger = known.rows(
                FLOW,
                lambda t, value=value: [t.c.session_date <= day, t.c[value] > row[value]],  # type: ignore[misc]
                channel=channel,
            )
            yield from _cite("session that ranks above it", FLOW, larger, [of], wanted, value)
    if "net_buy_ytd_hkd_mn" in wanted:
        since = known.between(FLOW, day.replace(month=1, day=1), day - _DAY, has=net, channel=channel)
        yield from _cite("session of the year before it", FLOW, since, ["net_buy_ytd_hkd_mn"], wanted, net)
    if "reconciliation_state" in wanted:
        checks = known.rows("ops_reconciliation", subject="southbound", channel=channel, period_end=day)
        yield from _cite("comparison of sources", "ops_reconciliation", checks, ["reconciliation_state"], wanted)


def southbound_since_event(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The sessions of the window and of the best one before it, the windows that rank above it, the rate."""
    start, day, length = row["window_start_date"], row["session_date"], row["sessions_since_event"]
    best = ("best_window_hkd_mn", "best_window_end_date", "ratio_to_best_window")
    sums = {name for name in row if name.endswith("_mn") and name not in best}
    decided = {*sums, "window_start_date", "sessions_since_event", "ratio_to_best_window", "window_rank"}
    value = "net_buy_hkd_mn"
    used = (value, "turnover_hkd_mn")
    if not decided.isdisjoint(wanted):
        window = known.between(FLOW, start, day, has=value, channel="total")
        yield from _cite("session since the event", FLOW, window, decided, wanted, *used)
    if "net_buy_usd_mn" in wanted:
        yield from _cite("rate of the last day", RATE, _rate(known, "HKD", day), ["net_buy_usd_mn"], wanted)
    if row["best_window_end_date"] is not None and not set(best).isdisjoint(wanted):
        before = known.latest(FLOW, row["best_window_end_date"], has=value, count=length, channel="total")
        yield from _cite("session of the best window before", FLOW, before[::-1], best, wanted, value)
    ranks = ("window_rank", "window_count", "window_percentile_pct")
    if not set(ranks).isdisjoint(wanted):
        every = known.latest(FLOW, day, has=value, count=100_000, channel="total")[::-1]
        ends = [every[at] for at in _larger(every, length)]
        yield from _cite("end of a larger window", FLOW, ends[:_LARGER_WINDOWS], ranks, wanted, value)
    event = known.one("core_event", event_id=row["event_id"])
    yield from _cite("event", "core_event", [event], ("event_date", "window_start_date"), wanted)


def _window_sums(rows: list[Row], value: str, length: int) -> dict[int, int]:
    """Position of the last row of each window → its sum in whole HK$; windows without a figure are left out."""
    amounts = [None if row[value] is None else round(row[value] * 1e6) for row in rows]
    sums = [0, *accumulate(amount or 0 for amount in amounts)]
    lacks = [0, *accumulate(amount is None for amount in amounts)]
    ends = range(length - 1, len(rows))
    return {at: sums[at + 1] - sums[at + 1 - length] for at in ends if lacks[at + 1] == lacks[at + 1 - length]}


def _larger(rows: list[Row], length: int) -> list[int]:
    """Positions at which windows larger than the last one end, the largest first."""
    sums = _window_sums(rows, "net_buy_hkd_mn", length)
    own = sums.get(len(rows) - 1, 0)
    return sorted((at for at, total in sums.items() if total > own), key=lambda at: -sums[at])


def best_window_monthly(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The sessions of the best window by net buy, and of that by turnover."""
    value = "net_buy_hkd_mn"
    best = ("best_net_buy_hkd_mn", "best_start_date", "best_end_date")
    if not set(best).isdisjoint(wanted):
        days = known.between(FLOW, row["best_start_date"], row["best_end_date"], has=value, channel="total")
        yield from _cite("session of the best window", FLOW, days, best, wanted, value)
    if "best_turnover_hkd_mn" in wanted and row["best_turnover_hkd_mn"] is not None:
        length, month = row["window_sessions"], row["month"]
        end = (month + dt.timedelta(days=31)).replace(day=1) - _DAY
        days = known.latest(FLOW, end, has=value, count=length + 31, channel="total")[::-1]
        sums = _window_sums(days, "turnover_hkd_mn", length)
        ends = [at for at in sums if days[at]["session_date"] >= month]
        if ends:
            at = max(ends, key=lambda at: sums[at])
            window = days[at + 1 - length : at + 1]
            of = ("best_turnover_hkd_mn",)
            yield from _cite("session of the best window by turnover", FLOW, window, of, wanted, "turnover_hkd_mn")


def top_stocks(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The entries in the lists of the most trusted source, and the turnover of the day."""
    table, day = "core_southbound_top_stock_daily", row["session_date"]
    own = set(row) - {"symbol", "session_date"}
    for channel in row["channels"].split("+"):
        most_trusted = known.rows(
            table, order=lambda t: [*trust_order(t.c.source)], limit=1, channel=channel, session_date=day
        )
        for first in most_trusted:
            place = {"channel": channel, "session_date": day, "source": first["source"]}
            entries = known.rows(table, symbol=row["symbol"], **place)
            yield from _cite(f"entry in the list of {channel}", table, entries, own, wanted)
    total = known.one(FLOW, channel="total", session_date=day)
    share = ("share_of_turnover_pct",)
    yield from _cite("turnover of both channels", FLOW, [total], share, wanted, "turnover_hkd_mn")


def hot_money(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The sessions of each indicator's window."""
    day, net, traded = row["session_date"], "net_buy_hkd_mn", "turnover_hkd_mn"
    of_day = ("southbound_share_of_turnover_pct", "gross_to_net_ratio", "volume_surge_60d_ratio")
    today = known.one(FLOW, channel="total", session_date=day)
    yield from _cite("figures of the session", FLOW, [today], of_day, wanted, net, traded)
    market = known.rows(
        "core_market_turnover_daily",
        order=lambda t: [*trust_order(t.c.source)],
        limit=1,
        market="HK",
        session_date=day,
    )
    yield from _cite("turnover of the market", "core_market_turnover_daily", market, of_day[:1], wanted)
    for of, value, count, since in (
        ("reversal_share_10d_ratio", net, 10, day),
        ("volume_surge_60d_ratio", traded, 60, day - _DAY),
    ):
        if of in wanted and row[of] is not None:
            sessions = known.latest(FLOW, since, has=value, count=count, channel="total")
            yield from _cite(f"session of the {count} looked at", FLOW, sessions, [of], wanted, value)
    of = "realised_volatility_20d_pct"
    if of in wanted and row[of] is not None:
        closes = known.latest(PRICE, day, has="close", count=21, symbol=HANG_SENG)
        yield from _cite("close of the index", PRICE, closes, [of], wanted, "close")
    of = "chase_beta_5d"
    if of in wanted and row[of] is not None:
        for session in known.latest(FLOW, day, has=net, count=5, channel="total"):
            yield from _cite("session chased", FLOW, [session], [of], wanted, net)
            closes = known.latest(PRICE, session["session_date"] - _DAY, has="close", count=2, symbol=HANG_SENG)
            yield from _cite("close of the index before a session", PRICE, closes, [of], wanted, "close")
    breadth = ("breadth_pct", "breadth_of_shares")
    if not set(breadth).isdisjoint(wanted):
        for share in known.rows("core_instrument", market="HK", kind="share"):
            bar = known.one(PERFORMANCE, symbol=share["symbol"], session_date=day)
            if bar is not None and bar["return_1d_pct"] is not None:
                yield from _cite("return of a share", PERFORMANCE, [bar], breadth, wanted, "return_1d_pct")


def scoreboard(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The rows of the other marts that stand side by side."""
    event, symbol, day = row["event_id"], row["symbol"], row["session_date"]
    bar = {"symbol": symbol, "session_date": day}
    since = known.one("mart_price_since_event_daily", event_id=event, **bar)
    moved = ("event_date", "session_date", "close", "return_since_event_pct", "sessions_since_event")
    used = ("close", "return_pct", "sessions_since_event", "event_date", "base_close")
    yield from _cite("move since the event", "mart_price_since_event_daily", [since], moved, wanted, *used)
    year = ("currency", "ytd_return_pct", "ytd_rank")
    yield from _cite("performance", PERFORMANCE, [known.one(PERFORMANCE, **bar)], year, wanted, *year)
    highs = ("rise_from_trough_pct", "trough_date", "is_3y_high", "highest_since_date")
    table = "mart_price_extremes_daily"
    yield from _cite("highs and troughs", table, [known.one(table, **bar)], highs, wanted, *highs)
    flows = ("southbound_net_buy_hkd_mn", "southbound_sessions", "southbound_window_rank")
    table = "mart_southbound_since_event"
    if not set(flows).isdisjoint(wanted):
        last = known.latest(table, day, event_id=event)
        figures = ("net_buy_hkd_mn", "sessions_since_event", "window_rank")
        yield from _cite("southbound since the event", table, last, flows, wanted, *figures)
    named = [known.one("core_instrument", symbol=symbol)]
    yield from _cite("instrument", "core_instrument", named, ["instrument_name"], wanted)
    yield from _cite("event", "core_event", [known.one("core_event", event_id=event)], ["event_name"], wanted)


def reconciliation(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """Both sides of a comparison."""
    table, day, channel = "core_southbound_flow_daily", row["period_end"], row["channel"]
    figures = [name for name in row if name not in table_info(metadata.tables["ops_reconciliation"]).natural_key]
    subject = row["subject"]
    if subject == "southbound":
        own = known.rows(table, channel=channel, session_date=day, source=row["source"])
        yield from _cite("figures of the source", table, own, figures, wanted)
        believed = known.one(FLOW, channel=channel, session_date=day)
        yield from _cite("figures believed", FLOW, [believed], figures, wanted)
    elif subject == "southbound_sum":
        parts = known.rows(table, session_date=day, source=row["source"])
        yield from _cite("figures of the source", table, parts, figures, wanted)
    else:
        printed = known.rows("core_broker_flow", broker=row["source"], period_end=day, channel=channel)
        of_flow = [one for one in printed if one["flow_family"] == "southbound" and one["dimension"] == "total"]
        yield from _cite("figure that the broker prints", "core_broker_flow", of_flow, figures, wanted)
        days = known.between(FLOW, row["period_start"], day, channel=channel)
        used = ("turnover_hkd_mn" if row["measure"] == "turnover" else "net_buy_hkd_mn",)
        yield from _cite("session of the period", FLOW, days, figures, wanted, *used)
    if row["suspected_cause"] == "currency":
        for currency in ("HKD", "CNY"):
            yield from _cite("rate of the day", RATE, _rate(known, currency, day), ["suspected_cause"], wanted)


# --- notes


def rating_actions(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The action, and the close it is compared with."""
    table = "core_rating_action"
    close = {"close_date", "close", "price_currency", "implied_upside_pct"}
    of_catalog = {"instrument_name"}
    own = (set(row) - close - of_catalog) | {"implied_upside_pct"}
    yield from _cite("action", table, [known.one(table, action_id=row["action_id"])], own, wanted)
    yield from _cite("close of the day", PRICE, [_bar(known, row["symbol"], row["close_date"])], close, wanted, "close")
    instrument = known.one("core_instrument", symbol=row["symbol"])
    yield from _cite("instrument", "core_instrument", [instrument], ("instrument_name", "price_currency"), wanted)
    if row["broker_id"]:
        house = known.one("core_broker", broker_id=row["broker_id"])
        yield from _cite("house", "core_broker", [house], ["broker_name"], wanted)


def positioning(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The claim."""
    found = known.one("core_note_claim", note_id=row["note_id"], claim_id=row["claim_id"])
    yield from _cite("claim", "core_note_claim", [found], row, wanted)
    if row["broker_id"]:
        house = known.one("core_broker", broker_id=row["broker_id"])
        yield from _cite("house", "core_broker", [house], ["broker_name"], wanted)


def of_note(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """Of what was read in a note: the note, and of an action the claim."""
    if row.get("claim_id") and "action_id" in row:
        claim = known.one("core_note_claim", note_id=row["note_id"], claim_id=row["claim_id"])
        yield from _cite("claim it was made from", "core_note_claim", [claim], row, wanted)
    if row["note_id"]:
        note = known.one("core_note", note_id=row["note_id"])
        yield from _cite("note it stands in", "core_note", [note], row, wanted, "title", "file_name", "text")


def claim_audit(known: Known, row: Row, wanted: Columns) -> Iterator[Cited]:
    """The claim, and the rows that were the evidence, each with the figure that was seen then."""
    found = known.one("core_note_claim", note_id=row["note_id"], claim_id=row["claim_id"])
    yield from _cite("claim", "core_note_claim", [found], row, wanted)
    decided = ("verdict", "reason", "explanation", "observed", "observed_low", "observed_high", "evidence")
    if set(decided).isdisjoint(wanted):
        return
    for piece in json.loads(row["evidence"]):
        column, value = str(piece["column"]), piece["value"]
        role = f"evidence, {column} {value} when audited"
        table = str(piece["table"])
        rows = _rows_of_key(known, table, str(piece["key"])) if table in metadata.tables else []
        if rows:
            yield from _cite(role, table, rows, decided, wanted, column)
        else:
            yield Cited(role, table, None, decided, (column,), str(piece["key"]))


def _rows_of_key(known: Known, table: str, key: str) -> list[Row]:
    """The rows of ``column=value, column=first..last``; none if it is not of that form."""
    equal: dict[str, Any] = {}
    spans: dict[str, tuple[Any, Any]] = {}
    try:
        for part in key.split(", "):
            name, _, text = part.partition("=")
            first, dots, last = text.partition("..")
            if dots:
                ends = [condition(metadata.tables[table], f"{name}={end}")[1] for end in (first, last)]
                spans[name] = (ends[0], ends[1])
            else:
                equal[name] = condition(metadata.tables[table], part)[1]
    except UsageError:
        return []
    return known.rows(table, lambda t: [t.c[name].between(*ends) for name, ends in spans.items()], **equal)


#: Of each computed table, and each fact that stands in a note, what decided it.
DECIDERS: Mapping[str, Decide] = {
    PRICE: resolved_price,
    RATE: resolved_rate,
    FLOW: resolved_flow,
    PERFORMANCE: index_performance,
    "mart_leaderboard_daily": leaderboard,
    "mart_price_extremes_daily": price_extremes,
    "mart_price_since_event_daily": price_since_event,
    "mart_trading_volume_daily": volume_daily,
    MONTHLY: volume_monthly,
    "mart_southbound_daily": southbound_daily,
    "mart_southbound_since_event": southbound_since_event,
    "mart_southbound_best_window_monthly": best_window_monthly,
    "mart_southbound_top_stocks_daily": top_stocks,
    "mart_hot_money_daily": hot_money,
    "mart_rally_scoreboard": scoreboard,
    "ops_reconciliation": reconciliation,
    "mart_rating_actions": rating_actions,
    "mart_positioning": positioning,
    "mart_claim_audit": claim_audit,
    "core_rating_action": of_note,
    "core_note_claim": of_note,
    "core_note_mention": of_note,
}
