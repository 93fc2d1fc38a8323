"""The flow marts computed a second time, row by row, from their definitions in words; shares nothing with the selects.

Deliberately slow and literal. Amounts are `Decimal` of whole HK$, so that sums are exact. The price marts it builds on
are those of `oracle`.
"""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from rally_pipeline_tests import oracle
from rally_pipeline_tests.oracle import DAY, KNOWN, Row, World

CHANNELS = ("total", "sse", "szse")
_TRUST = {"hkex": 1, "sse": 2, "szse": 2, "eastmoney": 3, "eastmoney_flow": 3}
_SIDES = ("buy_hkd_mn", "sell_hkd_mn", "net_buy_hkd_mn", "turnover_hkd_mn")


def flow_row(
    channel: str,
    day: dt.date,
    source: str,
    buy: float | None = None,
    sell: float | None = None,
    net: float | None = None,
    turnover: float | None = None,
    **more: Any,
) -> Row:
    row = {
        **{"channel": channel, "session_date": day, "source": source, "buy_hkd_mn": buy, "sell_hkd_mn": sell},
        **{"net_buy_hkd_mn": net, "turnover_hkd_mn": turnover},
        **{"buy_trade_count": None, "sell_trade_count": None, "etf_turnover_hkd_mn": None},
    }
    return oracle.version(**row) | more


def broker_row(broker: str, start: dt.date, end: dt.date, basis: str, metric: str, value: float, **more: Any) -> Row:
    row = {
        **{"broker": broker, "period_start": start, "period_end": end, "period_basis": basis, "metric": metric},
        **{"flow_family": "southbound", "channel": "total", "market": "hk", "style": "na", "dimension": "total"},
        **{"dimension_value": "", "source": "flow_files", "value": value, "unit": "million", "currency": "HKD"},
        **{"trading_days": None, "report_title": "t", "report_date": None, "published_text": "", "revision_of": ""},
        **{"page_ref": "", "entered_by": "x", "note": ""},
    }
    return oracle.version(**row) | more


def _hkd(value: float | None) -> int | None:
    """HK$ mn as whole HK$."""
    return None if value is None else round(value * 1e6)


def _mn(amount: int | None) -> float | None:
    return None if amount is None else amount / 1e6


def _believed(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row["known_to_at"] is None]


def _order(source: str) -> tuple[int, str]:
    return _TRUST.get(source, 9), source


def _southbound_days(world: World) -> list[dt.date]:
    return sorted(r["session_date"] for r in world.tables["core_session"] if r["market"] == "SOUTHBOUND")


def compute(world: World) -> dict[str, pd.DataFrame]:
    """Every derived table about flows, by name; and those about prices."""
    believed = World()
    believed.tables |= {k: _believed(v) if v and "known_to_at" in v[0] else v for k, v in world.tables.items()}
    prices = oracle.compute(believed)
    rates = {
        (r["currency"], r["rate_date"]): r["units_per_usd"] for r in prices["core_fx_usd_daily"].to_dict("records")
    }

    def rate(currency: str, day: dt.date) -> float | None:
        found = [rates[currency, day - n * DAY] for n in range(6) if (currency, day - n * DAY) in rates]
        return found[0] if found else None

    raw = _raw(believed)
    resolved = _resolved(raw)
    checks = _reconciliation(world, believed, raw, resolved, rate)
    daily = _daily(resolved, checks, rate)
    since = _since_event(believed, resolved, rate)
    found = {
        "core_southbound_resolved_daily": resolved,
        "ops_reconciliation": checks,
        "mart_southbound_daily": daily,
        "mart_southbound_since_event": since,
        "mart_southbound_best_window_monthly": _monthly(resolved),
        "mart_southbound_top_stocks_daily": _top(believed, resolved),
        "mart_hot_money_daily": _hot(believed, resolved, prices),
        "mart_rally_scoreboard": _scoreboard(believed, prices, since),
    }
    return prices | {name: oracle.frame(name, rows) for name, rows in found.items()}


def _raw(world: World) -> dict[tuple[str, dt.date], dict[str, Row]]:
    """channel, day → source → figures, on southbound sessions, without rows that have none."""
    days = set(_southbound_days(world))
    found: dict[tuple[str, dt.date], dict[str, Row]] = defaultdict(dict)
    for row in world.tables["core_southbound_flow_daily"]:
        buy, sell, net, turnover = (row[name] for name in _SIDES)
        if row["session_date"] not in days or {buy, sell, net, turnover} == {None}:
            continue
        if buy is not None and sell is not None:
            net, turnover = _mn(round((buy - sell) * 1e6)), _mn(round((buy + sell) * 1e6))
        found[row["channel"], row["session_date"]][row["source"]] = {
            **{"buy_hkd_mn": buy, "sell_hkd_mn": sell, "net_buy_hkd_mn": net, "turnover_hkd_mn": turnover},
            **{"source": row["source"], "known_from_at": row["known_from_at"]},
        }
    return found


def _resolved(raw: dict[tuple[str, dt.date], dict[str, Row]]) -> list[Row]:
    best = {key: of[min(of, key=_order)] | {"source_count": len(of)} for key, of in raw.items()}
    found = []
    for day in sorted({day for _, day in raw}):
        parts = [best.get((channel, day)) for channel in ("sse", "szse")]
        for channel, part in zip(("sse", "szse"), parts, strict=True):
            if part:
                found.append({"channel": channel, "session_date": day, **part})
        everybody = {source for channel in CHANNELS for source in raw.get((channel, day), {})}
        total: Row | None = best.get(("total", day))
        one, other = parts
        if one and other:
            total = {
                name: None if None in (one[name], other[name]) else _mn(round((one[name] + other[name]) * 1e6))
                for name in _SIDES
            }
            total["source"] = "+".join(dict.fromkeys((one["source"], other["source"])))
            total["known_from_at"] = max(one["known_from_at"], other["known_from_at"])
        if total:
            found.append({"channel": "total", "session_date": day, **total, "source_count": len(everybody)})
    return found


def _of_channel(resolved: list[Row], channel: str) -> list[Row]:
    return sorted((r for r in resolved if r["channel"] == channel), key=lambda r: r["session_date"])


def _daily(resolved: list[Row], checks: list[Row], rate: Any) -> list[Row]:
    breaks: dict[tuple[str, dt.date], set[bool]] = defaultdict(set)
    for check in checks:
        if check["subject"] == "southbound" and check["value_hkd_mn"] is not None:
            breaks[check["channel"], check["period_end"]].add(check["is_break"])
    found = []
    for channel in CHANNELS:
        rows = _of_channel(resolved, channel)
        sorted_values: dict[str, list[float]] = {"net_buy": [], "turnover": []}
        seen: dict[str, list[int]] = {"net_buy": [], "turnover": []}
        year, year_net = 0, None
        for number, row in enumerate(rows, start=1):
            day = row["session_date"]
            units = rate("HKD", day)
            made: Row = {name: row[name] for name in ("channel", "session_date", "source", *_SIDES)}
            if day.year != year:
                year, year_net = day.year, None
            for name in ("net_buy", "turnover"):
                value = row[f"{name}_hkd_mn"]
                made[f"{name}_usd_mn"] = None if value is None or units is None else value / units
                made[f"{name}_rank_all_time"] = None
                if value is not None:
                    seen[name].append(_hkd(value))  # type: ignore[arg-type]
                    bisect.insort(sorted_values[name], -value)
                    made[f"{name}_rank_all_time"] = bisect.bisect_left(sorted_values[name], -value) + 1
                for n in (5, 20):
                    is_known = value is not None and len(seen[name]) >= n
                    made[f"{name}_{n}d_hkd_mn"] = _mn(sum(seen[name][-n:])) if is_known else None
            if row["net_buy_hkd_mn"] is not None:
                year_net = (year_net or 0) + round(row["net_buy_hkd_mn"] * 1e6)
            states = breaks.get((channel, day), set())
            found.append(
                {
                    **made,
                    "hkd_per_usd": units,
                    "net_buy_ytd_hkd_mn": _mn(year_net),
                    "sessions_all_time": number,
                    "reconciliation_state": "differs" if True in states else "agreed" if states else "single_source",
                }
            )
    return found


def _net_sessions(resolved: list[Row]) -> tuple[list[dt.date], np.ndarray]:
    """Sessions with a net buy of both channels together, and their net buys in whole HK$."""
    rows = [r for r in _of_channel(resolved, "total") if r["net_buy_hkd_mn"] is not None]
    return [r["session_date"] for r in rows], np.array([round(r["net_buy_hkd_mn"] * 1e6) for r in rows], dtype=np.int64)


def _windows(values: np.ndarray, length: int) -> np.ndarray:
    """Sums of all windows of the length, by their last element, added up one by one."""
    sums = values[: len(values) - length + 1].copy()
    for shift in range(1, length):
        sums = sums + values[shift : len(values) - length + 1 + shift]
    return sums


def _since_event(world: World, resolved: list[Row], rate: Any) -> list[Row]:
    days, values = _net_sessions(resolved)
    by_key = {(r["channel"], r["session_date"]): r for r in resolved}
    windows: dict[int, np.ndarray] = {}
    found = []
    for event in world.tables["core_event"]:
        start = bisect.bisect_left(days, event["event_date"])
        last = len(days) if event["until_date"] is None else bisect.bisect_left(days, event["until_date"])
        sums: dict[str, int | None] = dict.fromkeys(("total", "sse", "szse", "turnover"), 0)
        for at in range(start, last):
            day, length = days[at], at - start + 1
            for name in sums:
                channel, figure = ("total", "turnover_hkd_mn") if name == "turnover" else (name, "net_buy_hkd_mn")
                value = by_key.get((channel, day), {}).get(figure)
                total = sums[name]
                sums[name] = None if value is None or total is None else total + round(value * 1e6)
            if length not in windows:
                windows[length] = _windows(values, length)
            ours = sums["total"]
            assert ours is not None
            so_far = windows[length][: at - length + 2]
            before = windows[length][: max(0, start - length + 1)]
            best = int(before.max()) if len(before) else None
            best_at = int(np.flatnonzero(before == best)[-1]) + length - 1 if best is not None else None
            units = rate("HKD", day)
            found.append(
                {
                    "event_id": event["event_id"],
                    "session_date": day,
                    "event_date": event["event_date"],
                    "window_start_date": days[start],
                    "sessions_since_event": length,
                    "net_buy_hkd_mn": _mn(ours),
                    "net_buy_usd_mn": None if units is None else ours / 1e6 / units,
                    "net_buy_sse_hkd_mn": _mn(sums["sse"]),
                    "net_buy_szse_hkd_mn": _mn(sums["szse"]),
                    "turnover_hkd_mn": _mn(sums["turnover"]),
                    "window_rank": int((so_far > ours).sum()) + 1,
                    "window_count": len(so_far),
                    "window_percentile_pct": float((so_far <= ours).sum()) / len(so_far) * 100,
                    "best_window_hkd_mn": _mn(best),
                    "best_window_end_date": None if best_at is None else days[best_at],
                    "ratio_to_best_window": ours / best if best is not None and best > 0 else None,
                }
            )
    return found


def _monthly(resolved: list[Row]) -> list[Row]:
    days, values = _net_sessions(resolved)
    turnover = {r["session_date"]: r["turnover_hkd_mn"] for r in _of_channel(resolved, "total")}
    found = []
    for length in range(1, min(60, len(days)) + 1):
        sums = _windows(values, length)
        best: dict[dt.date, tuple[int, int]] = {}
        traded: dict[dt.date, list[int]] = defaultdict(list)
        for at in range(length - 1, len(days)):
            month = days[at].replace(day=1)
            best[month] = max(best.get(month, (int(sums[at - length + 1]), at)), (int(sums[at - length + 1]), at))
            of_window = [turnover[d] for d in days[at - length + 1 : at + 1]]
            if None not in of_window:
                traded[month].append(sum(round(v * 1e6) for v in of_window))
        for month, (amount, at) in best.items():
            found.append(
                {
                    "window_sessions": length,
                    "month": month,
                    "best_net_buy_hkd_mn": _mn(amount),
                    "best_start_date": days[at - length + 1],
                    "best_end_date": days[at],
                    "best_turnover_hkd_mn": _mn(max(traded[month])) if traded[month] else None,
                }
            )
    return found


def _top(world: World, resolved: list[Row]) -> list[Row]:
    sessions = set(_southbound_days(world))
    lists: dict[tuple[str, dt.date], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in world.tables["core_southbound_top_stock_daily"]:
        if row["session_date"] in sessions:
            lists[row["channel"], row["session_date"]][row["source"]].append(row)
    stocks: dict[tuple[str, dt.date], list[Row]] = defaultdict(list)
    for (_, day), of in sorted(lists.items()):
        for row in of[min(of, key=_order)]:
            stocks[row["symbol"], day].append(row)
    totals = {r["session_date"]: r["turnover_hkd_mn"] for r in _of_channel(resolved, "total")}
    found = []
    for (symbol, day), rows in stocks.items():
        buy, sell = (
            None if None in (given := [r[name] for r in rows]) else sum(given) / 1e6 for name in ("buy_hkd", "sell_hkd")
        )
        turnovers = [
            r["turnover_hkd"] if None in (r["buy_hkd"], r["sell_hkd"]) else r["buy_hkd"] + r["sell_hkd"] for r in rows
        ]
        turnover = None if None in turnovers else sum(turnovers) / 1e6
        total = totals.get(day)
        found.append(
            {
                "symbol": symbol,
                "session_date": day,
                "stock_name": rows[0]["stock_name"],
                "channels": "+".join(r["channel"] for r in rows),
                "best_rank": min(r["rank"] for r in rows),
                "buy_hkd_mn": buy,
                "sell_hkd_mn": sell,
                "net_buy_hkd_mn": None if buy is None or sell is None else buy - sell,
                "turnover_hkd_mn": turnover,
                "share_of_turnover_pct": turnover / total * 100 if turnover is not None and total else None,
            }
        )
    return found


def _hot(world: World, resolved: list[Row], prices: dict[str, pd.DataFrame]) -> list[Row]:
    market: dict[dt.date, dict[str, float]] = defaultdict(dict)
    for row in world.tables["core_market_turnover_daily"]:
        market[row["session_date"]][row["source"]] = row["turnover_hkd_mn"]
    bars = prices["core_price_resolved_daily"]
    bars = bars[bars["close"].notna()]
    index = bars[bars["symbol"] == "^HSI"].sort_values("session_date")
    index_days, closes = list(index["session_date"]), [float(c) for c in index["close"]]
    shares = {r["symbol"] for r in world.tables["core_instrument"] if r["market"] == "HK" and r["kind"] == "share"}
    moves: dict[dt.date, list[bool]] = defaultdict(list)
    for _, of in bars[bars["symbol"].isin(shares)].sort_values("session_date").groupby("symbol"):
        series = list(zip(of["session_date"], of["close"], strict=True))
        for (_, before), (day, close) in itertools.pairwise(series):
            moves[day].append(close > before)
    nets: list[tuple[dt.date, float]] = []
    turnovers: list[float] = []
    found = []
    for row in _of_channel(resolved, "total"):
        day, net, turnover = row["session_date"], row["net_buy_hkd_mn"], row["turnover_hkd_mn"]
        of_market = market.get(day, {})
        whole = of_market[min(of_market, key=_order)] if of_market else None
        made: Row = dict.fromkeys(
            ("reversal_share_10d_ratio", "volume_surge_60d_ratio", "realised_volatility_20d_pct", "chase_beta_5d")
        )
        if turnover is not None:
            if len(turnovers) >= 60:
                middle = statistics.median(turnovers[-60:])
                made["volume_surge_60d_ratio"] = turnover / middle if middle else None
            turnovers.append(turnover)
        if net is not None:
            nets.append((day, net))
            last = [value for _, value in nets[-10:]]
            inflow = math.fsum(v for v in last if v > 0)
            if len(last) == 10 and inflow:
                made["reversal_share_10d_ratio"] = math.fsum(-v for v in last if v < 0) / inflow
            if len(nets) >= 5:
                made["chase_beta_5d"] = _slope(nets[-5:], index_days, closes)
        at = bisect.bisect_left(index_days, day)
        if at < len(index_days) and index_days[at] == day and at >= 20:
            returns = [math.log(closes[k] / closes[k - 1]) for k in range(at - 19, at + 1)]
            made["realised_volatility_20d_pct"] = statistics.stdev(returns) * math.sqrt(252) * 100
        up = moves.get(day, [])
        found.append(
            {
                **made,
                "session_date": day,
                "southbound_share_of_turnover_pct": turnover / (2 * whole) * 100
                if whole and turnover is not None
                else None,
                "gross_to_net_ratio": turnover / abs(net) if net and turnover is not None else None,
                "breadth_pct": sum(up) / len(up) * 100 if up else None,
                "breadth_of_shares": len(up),
            }
        )
    return found


def _slope(nets: list[tuple[dt.date, float]], index_days: list[dt.date], closes: list[float]) -> float | None:
    xs = []
    for day, _ in nets:
        at = bisect.bisect_left(index_days, day) - 1
        if at < 1 or (day - index_days[at]).days > 7:
            return None
        xs.append((closes[at] / closes[at - 1] - 1) * 100)
    if max(xs) == min(xs):
        return None
    return float(statistics.linear_regression(xs, [net for _, net in nets]).slope)


def _scoreboard(world: World, prices: dict[str, pd.DataFrame], since: list[Row]) -> list[Row]:
    catalog = {r["symbol"]: r for r in world.tables["core_instrument"]}
    events = {r["event_id"]: r for r in world.tables["core_event"]}
    performance, extremes = (
        {(r["symbol"], r["session_date"]): r for r in prices[name].to_dict("records")}
        for name in ("mart_index_performance_daily", "mart_price_extremes_daily")
    )
    flows: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(since, key=lambda r: r["session_date"]):
        flows[row["event_id"]].append(row)
    latest: dict[tuple[str, str], Row] = {}
    for row in prices["mart_price_since_event_daily"].to_dict("records"):
        key = (row["event_id"], row["symbol"])
        if key not in latest or row["session_date"] > latest[key]["session_date"]:
            latest[key] = row
    found = []
    for (event_id, symbol), row in latest.items():
        key = (symbol, row["session_date"])
        flow = next((f for f in reversed(flows[event_id]) if f["session_date"] <= row["session_date"]), None)
        found.append(
            {
                **{name: row[name] for name in ("event_id", "symbol", "event_date", "session_date", "close")},
                "event_name": events[event_id]["name"],
                "instrument_name": catalog[symbol]["name"],
                "return_since_event_pct": row["return_pct"],
                "sessions_since_event": row["sessions_since_event"],
                **{name: performance[key][name] for name in ("currency", "ytd_return_pct", "ytd_rank")},
                **{
                    name: extremes[key][name]
                    for name in ("rise_from_trough_pct", "trough_date", "is_3y_high", "highest_since_date")
                },
                "southbound_net_buy_hkd_mn": flow and flow["net_buy_hkd_mn"],
                "southbound_sessions": flow and flow["sessions_since_event"],
                "southbound_window_rank": flow and flow["window_rank"],
            }
        )
    return found


# ---------------------------------------------------------------------------------------------------------------------


def _reconciliation(
    world: World, believed: World, raw: dict[tuple[str, dt.date], dict[str, Row]], resolved: list[Row], rate: Any
) -> list[Row]:
    days = _southbound_days(world)
    best = {(r["channel"], r["session_date"]): r for r in resolved}
    restated = {
        (r["channel"], r["session_date"], r["source"])
        for r in world.tables["core_southbound_flow_daily"]
        if r["known_to_at"] is not None
    }
    found = []

    def repeats(channel: str, day: dt.date, source: str) -> bool:
        at = bisect.bisect_left(days, day)
        before = raw.get((channel, days[at - 1]), {}).get(source) if at else None
        now = raw[channel, day][source]
        return before is not None and all(before[n] == now[n] for n in ("net_buy_hkd_mn", "turnover_hkd_mn"))

    for (channel, day), of in raw.items():
        for source, figure in of.items():
            told = {
                "is_repeat": repeats(channel, day, source),
                "is_restated": (channel, day, source) in restated,
            }
            base = (channel, day, best[channel, day]["source"])
            for measure in ("net_buy", "turnover"):
                value = figure[f"{measure}_hkd_mn"]
                against = best[channel, day][f"{measure}_hkd_mn"]
                if source != best[channel, day]["source"] and not (value is None and against is None):
                    found.append(
                        _check("southbound", channel, measure, day, day, source, best[channel, day]["source"], value,
                               against, rate, 0.005, is_repeat=told["is_repeat"],
                               is_restated=told["is_restated"] or base in restated)
                    )  # fmt: skip
                parts = [raw.get((c, day), {}).get(source, {}).get(f"{measure}_hkd_mn") for c in ("sse", "szse")]
                if channel == "total" and value is not None and None not in parts:
                    total = round(sum(parts) * 1e6) / 1e6
                    found.append(
                        _check("southbound_sum", channel, measure, day, day, source, source, value, total, rate, 0.005,
                               **told)
                    )  # fmt: skip
    known = {day for _, day in best}
    for day in days:
        if known and min(known) <= day <= max(known) and day not in known:
            found.append(
                _check("southbound", "total", "net_buy", day, day, "any", "calendar", None, None, rate, 0.005)
                | {"suspected_cause": "missing_session"}
            )
    return found + _brokers(world, believed, days, best, rate)


def _brokers(
    world: World, believed: World, days: list[dt.date], best: dict[tuple[str, dt.date], Row], rate: Any
) -> list[Row]:
    factors = {"abs": 1e-6, "thousand": 1e-3, "million": 1, "100m": 100, "billion": 1000}
    key = (
        *("broker", "period_start", "period_end", "period_basis", "channel", "market", "style", "metric"),
        *("revision_of", "source"),
    )
    closed = {tuple(r[k] for k in key) for r in world.tables["core_broker_flow"] if r["known_to_at"] is not None}
    found: dict[tuple[Any, ...], Row] = {}
    rows = sorted(
        believed.tables["core_broker_flow"],
        key=lambda r: (
            r["metric"] == "cum_ytd",
            r["revision_of"] == "",
            -r["known_from_at"].timestamp(),
            *(r[k] for k in ("period_basis", "style", "market", "dimension_value", "source", "period_start")),
        ),
    )
    for row in rows:
        if row["flow_family"] != "southbound" or row["dimension"] != "total" or row["currency"] != "HKD":
            continue
        if row["channel"] not in CHANNELS or row["unit"] not in factors:
            continue
        end = row["period_end"]
        if row["metric"] == "cum_ytd":
            subject, start = "broker_ytd", end.replace(month=1, day=1)
        elif row["period_basis"] in ("mon_fri", "mtd", "ytd"):
            subject = {"mon_fri": "broker_week", "mtd": "broker_month", "ytd": "broker_ytd"}[row["period_basis"]]
            start = row["period_start"]
        else:
            continue
        measures = {"net_flow": "net_buy", "cum_ytd": "net_buy", "turnover": "turnover", "daily_avg": "net_buy_avg"}
        if row["metric"] not in measures:
            continue
        measure = measures[row["metric"]]
        of = [best.get((row["channel"], d), {}) for d in days if start <= d <= end]
        values = [r.get("turnover_hkd_mn" if measure == "turnover" else "net_buy_hkd_mn") for r in of]
        against = None
        if values and None not in values:
            against = sum(round(v * 1e6) for v in values) / 1e6
            if measure == "net_buy_avg":
                against /= len(values)
        place = (subject, row["channel"], measure, end, start, row["broker"])
        if place not in found:
            found[place] = _check(
                subject, row["channel"], measure, start, end, row["broker"], "resolved",
                round(row["value"] * factors[row["unit"]] * 1e6) / 1e6, against, rate, 0.01,
                is_restated=tuple(row[k] for k in key) in closed, is_missing=against is None,
            )  # fmt: skip
    return list(found.values())


def _check(
    subject: str, channel: str, measure: str, start: dt.date, end: dt.date, source: str, against_source: str,
    value: float | None, against: float | None, rate: Any, tolerance: float, *, is_repeat: bool = False,
    is_restated: bool = False, is_missing: bool = False,
) -> Row:  # fmt: skip
    difference = None if value is None or against is None else round((value - against) * 1e6) / 1e6
    is_break = difference is None or abs(difference) > max(1.0, tolerance * abs(against or 0.0))
    ratio = value / against if value is not None and against else None
    hkd, cny = rate("HKD", end), rate("CNY", end)
    cross = hkd / cny if hkd and cny else None
    cause = "unknown"
    if not is_break:
        cause = "none"
    elif ratio is not None and any(abs(ratio / n - 1) <= 0.02 for n in (10, 0.1, 100, 0.01)):
        cause = "unit_tenfold"
    elif ratio is not None and cross and (abs(ratio / cross - 1) <= 0.03 or abs(ratio * cross - 1) <= 0.03):
        cause = "currency"
    elif is_repeat:
        cause = "stale_repeat"
    elif is_restated:
        cause = "restatement"
    elif is_missing:
        cause = "missing_session"
    return {
        **{"subject": subject, "channel": channel, "measure": measure, "period_start": start, "period_end": end},
        **{"source": source, "against_source": against_source, "value_hkd_mn": value, "against_hkd_mn": against},
        "difference_hkd_mn": difference,
        "difference_pct": difference / abs(against) * 100 if difference is not None and against else None,
        "is_break": is_break,
        "suspected_cause": cause,
    }


# ---------------------------------------------------------------------------------------------------------------------


def random_world(seed: int, start: dt.date = dt.date(2019, 11, 1), end: dt.date = dt.date(2021, 6, 30)) -> World:
    """A world of prices with flows in it: several sources that err in all the ways there are causes for, figures that
    lack one side, gaps, days without anything, closed days with figures, restatements, lists of ten, brokers."""
    rng = random.Random(seed)
    world = oracle.random_world(seed, start, end)
    tables = world.tables
    _hang_seng(rng, world, end)
    weekdays = [d.date() for d in pd.bdate_range(start, end + 60 * DAY)]
    # a mainland holiday of two weeks, as in 2020
    sessions = [d for d in weekdays if rng.random() > 0.04 and not dt.date(2020, 1, 23) <= d <= dt.date(2020, 2, 7)]
    tables["core_session"] += oracle.session_rows("SOUTHBOUND", sessions)
    for day in (d for d in weekdays if d <= end):
        if rng.random() < 0.3:
            tables["core_fx_daily"].append(oracle.fx_row("EUR", "CNY", day, "ecb", rng.uniform(7.6, 7.9)))
        for source in ("hkex", "hang_seng"):
            if rng.random() < 0.7:
                amount = rng.uniform(80_000, 200_000)
                tables["core_market_turnover_daily"].append(
                    oracle.version(market="HK", session_date=day, source=source, turnover_hkd_mn=amount)
                )
        if day not in sessions and rng.random() < 0.5:
            tables["core_southbound_flow_daily"].append(flow_row("total", day, "flow_files", 10.0, 5.0))
    printed: dict[tuple[str, str], tuple[float, float]] = {}
    for day in (d for d in sessions if d <= end):
        tables["core_southbound_flow_daily"] += _flows(rng, day, printed)
        tables["core_southbound_top_stock_daily"] += _lists(rng, day)
    _print_periods(rng, world, [d for d in sessions if d <= end])
    return world


def _hang_seng(rng: random.Random, world: World, end: dt.date) -> None:
    tables = world.tables
    tables["core_instrument"].append(
        {
            **{"symbol": "^HSI", "name": "Hang Seng", "market": "HK", "currency": "HKD", "kind": "index"},
            **{"leaderboard": "world", "listing_date": None, "base_currency": None},
        }
    )
    tables["core_leaderboard_member"].append({"leaderboard": "world", "symbol": "^HSI"})
    close = 20_000.0
    for row in tables["core_session"]:
        if row["market"] != "HK" or row["session_date"] > end or rng.random() < 0.02:
            continue
        # now and then nothing moves for days
        close *= 1 if dt.date(2020, 8, 1) < row["session_date"] < dt.date(2020, 9, 10) else rng.uniform(0.97, 1.03)
        tables["core_price_daily"].append(oracle.price_row("^HSI", row["session_date"], "one", round(close, 2), "HKD"))


def _flows(rng: random.Random, day: dt.date, printed: dict[tuple[str, str], tuple[float, float]]) -> list[Row]:
    if rng.random() < 0.04:
        return []
    # coarse steps make ties frequent
    truth = {c: (100.0 * rng.randint(20, 80), 100.0 * rng.randint(20, 80)) for c in ("sse", "szse")}
    truth["total"] = (truth["sse"][0] + truth["szse"][0], truth["sse"][1] + truth["szse"][1])
    chance = {"hkex": 0.6, "sse": 0.5, "szse": 0.5, "eastmoney_flow": 0.8, "flow_files": 0.3, "another": 0.2}
    found = []
    for source, likely in chance.items():
        for channel, (buy, sell) in truth.items():
            if channel == "total" and source in ("hkex", "sse", "szse"):
                continue
            if {source, channel} == {"sse", "szse"} or rng.random() > likely:
                continue
            way = rng.choice(("right",) * 8 + ("tenfold", "hundredth", "currency", "repeat", "wrong", "net", "none"))
            factor = {"tenfold": 10.0, "hundredth": 0.01, "currency": 1 / 1.1}.get(way, 1.0)
            buy, sell = round(buy * factor, 2), round(sell * factor, 2)
            if way == "wrong":
                buy = round(buy + rng.uniform(-300, 300), 2)
            if way == "repeat":
                buy, sell = printed.get((source, channel), (buy, sell))
            printed[source, channel] = (buy, sell)
            row = flow_row(channel, day, source, buy, sell, round(buy - sell, 2), round(buy + sell, 2))
            row["known_from_at"] = KNOWN + dt.timedelta(days=rng.randint(0, 3))
            if way == "net":
                row = flow_row(channel, day, source, net=round(buy - sell, 2))
            if way == "none":
                row = flow_row(channel, day, source, turnover=rng.choice((None, 1234.5)))
            if rng.random() < 0.1:
                before = {"known_from_at": KNOWN - DAY, "known_to_at": row["known_from_at"], "buy_hkd_mn": 1.0}
                found.append(row | before)
            found.append(row)
    return found


def _lists(rng: random.Random, day: dt.date) -> list[Row]:
    found = []
    for channel in ("sse", "szse"):
        for source in ("hkex", "flow_files"):
            if rng.random() < 0.6:
                continue
            for rank, code in enumerate(rng.sample(range(1, 16), 10), start=1):
                buy, sell = float(rng.randint(0, 10**9)), float(rng.randint(0, 10**9))
                lacks = rng.random() < 0.05
                found.append(
                    oracle.version(
                        channel=channel,
                        session_date=day,
                        stock_code=f"{code:05d}",
                        source=source,
                        symbol=f"{code:04d}.HK",
                        stock_name=f"STOCK {code} {channel}",
                        rank=rank,
                        buy_hkd=None if lacks else buy,
                        sell_hkd=sell,
                        turnover_hkd=None if rng.random() < 0.03 else buy + sell,
                    )
                )
    return found


def _print_periods(rng: random.Random, world: World, sessions: list[dt.date]) -> None:
    rows = world.tables["core_broker_flow"]
    weeks = sorted({d - d.weekday() * DAY for d in sessions})
    for monday in weeks:
        friday = monday + 4 * DAY
        for channel in CHANNELS:
            of = [
                r
                for r in world.tables["core_southbound_flow_daily"]
                if r["known_to_at"] is None
                and r["source"] == ("hkex" if channel != "total" else "eastmoney_flow")
                and r["channel"] == channel
                and monday <= r["session_date"] <= friday
                and r["buy_hkd_mn"] is not None
            ]
            net = sum(r["buy_hkd_mn"] - r["sell_hkd_mn"] for r in of) * rng.choice((1, 1, 1, 1.005, 10, 1.1, 0.5))
            unit, factor = rng.choice((("million", 1.0), ("100m", 0.01), ("billion", 0.001), ("abs", 1e6)))
            printed = {"channel": channel, "unit": unit}
            row = broker_row("CICC", monday, friday, "mon_fri", "net_flow", net * factor, **printed)
            if rng.random() < 0.2:
                rows.append(row | {"value": 1.0, "known_from_at": KNOWN - DAY, "known_to_at": KNOWN})
            rows.append(row)
            if of:
                rows.append(broker_row("CICC", monday, friday, "mon_fri", "daily_avg", net / len(of), channel=channel))
    rows.append(broker_row("CICC", weeks[3], weeks[3] + 4 * DAY, "mon_fri", "cum_ytd", 1e5))
    rows.append(broker_row("CICC", weeks[3].replace(month=1, day=1), weeks[3] + 4 * DAY, "ytd", "net_flow", 2e5))
    rows.append(broker_row("CICC", weeks[40], weeks[40] + 4 * DAY, "mon_fri", "cum_ytd", 1e5, source="another"))
    rows.append(broker_row("CICC", weeks[9], weeks[9] + 20 * DAY, "mtd", "turnover", 9e5))
    rows.append(broker_row("Other", weeks[9], weeks[9] + 20 * DAY, "mtd", "turnover", 9.0, unit="pct", currency=""))
    rows.append(broker_row("Other", weeks[9], weeks[9] + 4 * DAY, "epfr_thu_wed", "net_flow", 9.0))
    rows.append(broker_row("Other", weeks[9], weeks[9] + 4 * DAY, "mon_fri", "net_flow", 9.0, flow_family="etf"))
    rows.append(broker_row("Other", weeks[9], weeks[9] + 4 * DAY, "mon_fri", "net_flow", 9.0, currency="USD"))
    rows.append(broker_row("Other", weeks[9], weeks[9] + 4 * DAY, "mon_fri", "hold_value", 9.0))
