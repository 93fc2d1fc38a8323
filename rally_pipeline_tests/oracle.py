"""The marts computed a second time: row by row, with pandas and plain Python, from their definitions in words.

Deliberately slow and literal, and independent of the selects it checks: it shares nothing with `rally_pipeline.marts`.
"""

from __future__ import annotations

import bisect
import datetime as dt
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.schema import metadata

Row = dict[str, Any]
DAY = dt.timedelta(days=1)
KNOWN = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


@dataclass
class World:
    """Rows of the base tables, by table name; ``core_price_daily`` and ``core_fx_daily`` hold believed rows only."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))

    def write(self, connection: sa.Connection) -> None:
        for name, rows in self.tables.items():
            if rows:
                connection.execute(sa.insert(metadata.tables[name]), rows)


def version(**values: Any) -> Row:
    return {**values, "known_from_at": KNOWN, "known_to_at": None, "payload_id": "0" * 64, "locator": "row 1"}


def price_row(symbol: str, day: dt.date, source: str, close: float | None, currency: str, **more: Any) -> Row:
    row = dict.fromkeys(
        (
            *("open", "high", "low", "close", "adj_open", "adj_high", "adj_low", "adj_close"),
            *("volume_shares", "turnover", "dividend", "split_ratio"),
        )
    )
    row |= {"symbol": symbol, "session_date": day, "source": source, "close": close, "currency": currency}
    return version(**{**row, "is_flat_bar": False, **more})


def fx_row(base: str, quote: str, day: dt.date, source: str, rate: float) -> Row:
    return version(base_currency=base, quote_currency=quote, rate_date=day, source=source, rate=rate)


def months_earlier(day: dt.date, months: int) -> dt.date:
    """The same day so many months earlier, or the month's last."""
    return (pd.Timestamp(day) - pd.DateOffset(months=months)).date()


def session_rows(market: str, days: Iterable[dt.date]) -> list[Row]:
    """Rows of ``core_session`` for the given days."""
    known = sorted(days)
    rows = []
    for number, day in enumerate(known, start=1):
        rows.append(
            {
                "market": market,
                "session_date": day,
                "session_no": number,
                "day_no": (day - dt.date(1970, 1, 1)).days,
                "month_day_no": (12 * day.year + day.month - 1) * 31 + day.day - 1,
                "is_half_day": False,
                "open_at": dt.datetime.combine(day, dt.time(1), dt.UTC),
                "close_at": dt.datetime.combine(day, dt.time(8), dt.UTC),
                "year_base_date": _last(known, dt.date(day.year - 1, 12, 31)),
                "month_base_date": _last(known, day.replace(day=1) - DAY),
                "ago_1y_date": _last(known, months_earlier(day, 12)),
                "window_52w_start": day - 364 * DAY,
                "window_3y_start": months_earlier(day, 36),
            }
        )
    return rows


def _last(days: list[dt.date], until: dt.date) -> dt.date | None:
    at = bisect.bisect_right(days, until)
    return days[at - 1] if at else None


# ---------------------------------------------------------------------------------------------------------------------


def compute(world: World) -> dict[str, pd.DataFrame]:
    """Every derived table, by name."""
    prices = _resolved(world)
    fx = _fx(world)
    performance = _performance(world, prices, fx)
    boards = _boards(world, performance)
    place = {(r["leaderboard"], r["as_of_date"], r["symbol"]): r for r in boards}
    for row in performance:
        ranked = place.get((row["leaderboard"], row["session_date"], row["symbol"]))
        row["ytd_rank"] = ranked and ranked["ytd_rank"]
        row["ytd_rank_of"] = ranked and (ranked["ytd_rank_of"] or None)
    for row in boards:
        del row["ytd_rank_of"]
    monthly, daily = _volume(world, prices)
    found = {
        "core_price_resolved_daily": prices,
        "core_fx_usd_daily": [
            {"currency": c, "rate_date": d, "units_per_usd": rate, "source": source}
            for (c, d), (rate, source) in fx.items()
        ],
        "mart_index_performance_daily": performance,
        "mart_leaderboard_daily": boards,
        "mart_price_extremes_daily": _extremes(world, prices),
        "mart_price_since_event_daily": _since_event(world, prices),
        "mart_trading_volume_monthly": monthly,
        "mart_trading_volume_daily": daily,
    }
    return {name: frame(name, rows) for name, rows in found.items()}


def frame(table: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame of objects with the table's columns, ordered by its key."""
    made = metadata.tables[table]
    names = [column.name for column in made.columns]
    found = pd.DataFrame([{name: row[name] for name in names} for row in rows], columns=names, dtype=object)
    return found.sort_values([c.name for c in made.primary_key.columns]).reset_index(drop=True)


def assert_same(table: str, got: pd.DataFrame, expected: pd.DataFrame, relative: float = 1e-9) -> None:
    """Both frames hold the same rows: exactly, but for floats, which may differ by ``relative``."""
    key = [column.name for column in metadata.tables[table].primary_key.columns]
    got_keys, expected_keys = (set(map(tuple, f[key].to_numpy().tolist())) for f in (got, expected))
    assert got_keys == expected_keys, (
        f"{table}: {len(got_keys - expected_keys)} rows too many, {len(expected_keys - got_keys)} missing: "
        f"{sorted(got_keys ^ expected_keys)[:3]}"
    )
    for name in expected.columns:
        for at, (one, other) in enumerate(zip(got[name], expected[name], strict=True)):
            if one is None or other is None or not isinstance(other, float):
                same = one == other
            else:
                same = abs(one - other) <= relative * max(1.0, abs(other))
            assert same, f"{table}.{name}: {one!r}, expected {other!r} in {expected.loc[at].to_dict()}"


def _by_symbol(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: (r["symbol"], r["session_date"])):
        found[row["symbol"]].append(row)
    return found


def _catalog(world: World) -> dict[str, Row]:
    return {row["symbol"]: row for row in world.tables["core_instrument"]}


def _sessions(world: World) -> dict[tuple[str, dt.date], Row]:
    return {(row["market"], row["session_date"]): row for row in world.tables["core_session"]}


def _calendar(world: World) -> dict[str, list[dt.date]]:
    found: dict[str, list[dt.date]] = defaultdict(list)
    for market, day in sorted(_sessions(world)):
        found[market].append(day)
    return found


def _closes(world: World, prices: list[Row]) -> dict[str, list[Row]]:
    """Resolved rows with a close of everything that is not a currency pair."""
    catalog = _catalog(world)
    return _by_symbol(r for r in prices if r["close"] is not None and catalog[r["symbol"]]["kind"] != "fx")


def _resolved(world: World) -> list[Row]:
    catalog, sessions = _catalog(world), _sessions(world)
    trust = {(r["symbol"], r["source"]): r["trust_rank"] for r in world.tables["core_instrument_source"]}
    groups: dict[tuple[str, dt.date], list[Row]] = defaultdict(list)
    for row in world.tables["core_price_daily"]:
        instrument = catalog.get(row["symbol"])
        if instrument and (instrument["market"], row["session_date"]) in sessions:
            groups[row["symbol"], row["session_date"]].append(row)
    resolved = []
    for rows in groups.values():
        rows.sort(key=lambda r: (trust.get((r["symbol"], r["source"]), 10**9), r["source"]))
        best = next((r for r in rows if r["close"] is not None), rows[0])
        resolved.append({**best, "source_count": len(rows)})
    return resolved


def _fx(world: World) -> dict[tuple[str, dt.date], tuple[float, str]]:
    quotes = {
        (r["source"], r["rate_date"], r["base_currency"], r["quote_currency"]): r["rate"]
        for r in world.tables["core_fx_daily"]
    }
    found: dict[tuple[str, dt.date], list[tuple[Any, float]]] = defaultdict(list)
    for (source, day, base, quote), rate in quotes.items():
        order = (source != "ecb", source)
        dollar = quotes.get((source, day, "EUR", "USD"))
        if base == "EUR" and quote != "USD" and dollar:
            found[quote, day].append(((*order, 1), rate / dollar))
        if base == "USD":
            found[quote, day].append(((*order, 2), rate))
        if quote == "USD":
            found[base, day].append(((*order, 3), 1 / rate))
    return {key: (min(ways)[1], min(ways)[0][1]) for key, ways in found.items()}


def _at_or_before(rows: list[Row], day: dt.date | None, tolerance: int) -> Row | None:
    if day is None:
        return None
    at = bisect.bisect_right(rows, day, key=lambda r: r["session_date"])
    return rows[at - 1] if at and rows[at - 1]["session_date"] >= day - tolerance * DAY else None


def _pct(now: float, then: float | None) -> float | None:
    return None if then is None else (now / then - 1) * 100


def _performance(world: World, prices: list[Row], fx: Mapping[tuple[str, dt.date], tuple[float, str]]) -> list[Row]:
    catalog, sessions = _catalog(world), _sessions(world)

    def dollars(amount: float, currency: str, day: dt.date) -> float | None:
        if currency == "USD":
            return amount
        rates = [fx[currency, day - n * DAY][0] for n in range(6) if (currency, day - n * DAY) in fx]
        return amount / rates[0] if rates else None

    found = []
    for symbol, rows in _closes(world, prices).items():
        for at, row in enumerate(rows):
            instrument, close, day = catalog[symbol], row["close"], row["session_date"]
            session = sessions[instrument["market"], day]
            near = rows[max(0, at - 300) : at + 1]
            base = _at_or_before(near, session["year_base_date"], 7)
            month = _at_or_before(near, session["month_base_date"], 7)
            year = _at_or_before(near, session["ago_1y_date"], 7)
            now = dollars(close, row["currency"], day)
            then = base and dollars(base["close"], row["currency"], base["session_date"])
            found.append(
                {
                    "symbol": symbol,
                    "session_date": day,
                    "close": close,
                    "currency": row["currency"],
                    "source": row["source"],
                    "base_date": base and base["session_date"],
                    "base_close": base and base["close"],
                    "ytd_return_pct": _pct(close, base and base["close"]),
                    "mtd_return_pct": _pct(close, month and month["close"]),
                    **{f"return_{n}d_pct": _pct(close, rows[at - n]["close"] if at >= n else None) for n in (1, 5, 20)},
                    "return_1y_pct": _pct(close, year and year["close"]),
                    "usd_ytd_return_pct": _pct(now, then) if now is not None else None,
                    "leaderboard": instrument["leaderboard"],
                }
            )
    return found


def _boards(world: World, performance: list[Row]) -> list[Row]:
    catalog, of = _catalog(world), _by_symbol(performance)
    members: dict[str, list[str]] = defaultdict(list)
    for row in world.tables["core_leaderboard_member"]:
        members[row["leaderboard"]].append(row["symbol"])
    found = []
    dates = {symbol: [r["session_date"] for r in rows] for symbol, rows in of.items()}
    for board, symbols in members.items():
        for day in sorted({r["session_date"] for s in symbols for r in of.get(s, [])}):
            standing = []
            for symbol in symbols:
                rows = of.get(symbol, [])
                at = bisect.bisect_right(dates.get(symbol, []), day)
                if at and (day - rows[at - 1]["session_date"]).days <= 31:
                    standing.append(rows[at - 1])
            ranked = sorted(
                (r for r in standing if r["ytd_return_pct"] is not None),
                key=lambda r: (-r["ytd_return_pct"], catalog[r["symbol"]]["name"].encode(), r["symbol"]),
            )
            rank = {r["symbol"]: n for n, r in enumerate(ranked, start=1)}
            found += [
                {
                    **{k: r[k] for k in ("symbol", "session_date", "close", "base_date", "base_close")},
                    "ytd_return_pct": r["ytd_return_pct"],
                    "leaderboard": board,
                    "as_of_date": day,
                    "name": catalog[r["symbol"]]["name"],
                    "ytd_rank": rank.get(r["symbol"]),
                    "ytd_rank_of": len(ranked),
                }
                for r in standing
            ]
    return found


def _extremes(world: World, prices: list[Row]) -> list[Row]:
    found = []
    for symbol, rows in _closes(world, prices).items():
        days = [r["session_date"] for r in rows]
        numbers = np.array([d.toordinal() for d in days])
        closes = np.array([r["close"] for r in rows], dtype=float)
        for at, day in enumerate(days):
            close = rows[at]["close"]
            row: Row = {"symbol": symbol, "session_date": day, "close": close, "first_session_date": days[0]}
            three_years = months_earlier(day, 36)
            # what has no 29 February begins its window on 1 March
            begin = three_years if three_years.day == day.day else three_years + DAY
            for name, start, anchor in (("52w", day - 364 * DAY, day - 364 * DAY), ("3y", begin, three_years)):
                first = int(np.searchsorted(numbers, start.toordinal()))
                window, earlier = closes[first : at + 1], closes[first:at]
                enough = days[0] <= anchor + 7 * DAY
                row[f"high_{name}"], row[f"low_{name}"] = float(window.max()), float(window.min())
                row[f"is_{name}_high"] = bool((close > earlier).all()) if enough else None
                row[f"is_{name}_low"] = bool((close < earlier).all()) if enough else None
            above, below = np.flatnonzero(closes[:at] >= close), np.flatnonzero(closes[:at] <= close)
            row["highest_since_date"] = days[above[-1]] if len(above) else None
            row["lowest_since_date"] = days[below[-1]] if len(below) else None
            last = rows[max(0, at - 59) : at + 1]
            trough = min(last, key=lambda r: (r["close"], -r["session_date"].toordinal()))
            peak = min(last, key=lambda r: (-r["close"], -r["session_date"].toordinal()))
            row["trough_date"], row["trough_close"] = trough["session_date"], trough["close"]
            row["peak_date"], row["peak_close"] = peak["session_date"], peak["close"]
            row["rise_from_trough_pct"] = _pct(close, trough["close"])
            row["fall_from_peak_pct"] = _pct(close, peak["close"])
            row["drawdown_from_high_pct"] = _pct(close, row["high_52w"])
            row["rise_from_low_pct"] = _pct(close, row["low_52w"])
            found.append(row)
    return found


def _since_event(world: World, prices: list[Row]) -> list[Row]:
    catalog, calendar = _catalog(world), _calendar(world)
    found = []
    for event in world.tables["core_event"]:
        for symbol, rows in _closes(world, prices).items():
            base = _at_or_before(rows, event["event_date"] - DAY, 30)
            if base is None:
                continue
            market = catalog[symbol]["market"]
            for row in rows:
                day = row["session_date"]
                if day >= event["event_date"] and (event["until_date"] is None or day < event["until_date"]):
                    passed = bisect.bisect_right(calendar[market], day)
                    passed -= bisect.bisect_right(calendar[market], base["session_date"])
                    found.append(
                        {
                            "event_id": event["event_id"],
                            "symbol": symbol,
                            "session_date": day,
                            "event_date": event["event_date"],
                            "close": row["close"],
                            "base_date": base["session_date"],
                            "base_close": base["close"],
                            "return_pct": _pct(row["close"], base["close"]),
                            "sessions_since_event": passed,
                            "calendar_days_since_event": (day - event["event_date"]).days,
                        }
                    )
    return found


def _volume(world: World, prices: list[Row]) -> tuple[list[Row], list[Row]]:
    catalog, monthly, daily = _catalog(world), [], []
    calendar = _calendar(world)
    traded = (r for r in prices if r["volume_shares"] is not None and catalog[r["symbol"]]["kind"] != "fx")
    for symbol, rows in _by_symbol(traded).items():
        months: dict[dt.date, list[Row]] = defaultdict(list)
        for row in rows:
            months[row["session_date"].replace(day=1)].append(row)
        so_far: dict[dt.date, int] = {}
        for month, of_month in months.items():
            total = sum(r["volume_shares"] for r in of_month)
            record = max((m for m in so_far), key=lambda m: (so_far[m], m), default=None)
            volume = so_far[record] if record else None
            last = of_month[-1]["session_date"]
            turnovers = [r["turnover"] for r in of_month]
            estimates = [
                0.0 if r["volume_shares"] == 0 else r["close"] and r["close"] * r["volume_shares"] for r in of_month
            ]
            compared = {"previous_record_month": record, "previous_record_volume_shares": volume}
            monthly.append(
                {
                    "symbol": symbol,
                    "month": month,
                    "volume_shares": total,
                    "turnover": None if None in turnovers else float(sum(turnovers)),
                    "turnover_estimate": None if None in estimates else float(sum(estimates)),
                    "sessions": len(of_month),
                    "last_session_date": last,
                    "is_partial": max(d for d in calendar[catalog[symbol]["market"]] if d.replace(day=1) == month)
                    > last,
                    "is_record_volume": None if volume is None else total > volume,
                    **compared,
                    "ratio_to_previous_record": total / volume if volume else None,
                    "first_month": min(months),
                }
            )
            running = 0
            for row in of_month:
                running += row["volume_shares"]
                daily.append(
                    {
                        **{k: row[k] for k in ("symbol", "session_date", "volume_shares", "turnover")},
                        "mtd_volume_shares": running,
                        **compared,
                        "is_record_volume": None if volume is None else running > volume,
                        "ratio_to_previous_record": running / volume if volume else None,
                    }
                )
            so_far[month] = total
    return monthly, daily


# ---------------------------------------------------------------------------------------------------------------------

_MARKETS = {"HK": "HKD", "DE": "EUR", "US": "USD", "FX": "USD"}


def random_world(seed: int, start: dt.date = dt.date(2018, 1, 1), end: dt.date = dt.date(2024, 3, 15)) -> World:
    """A small world with what real data has: gaps, ties, half-days, several sources, sources without an unadjusted
    close, different holidays, a share suspended for long, a hardly traded one, a late listing, unknown instruments."""
    rng = random.Random(seed)
    world = World()
    tables = world.tables
    weekdays = [d.date() for d in pd.bdate_range(start, end + 60 * DAY)]
    sessions: dict[str, list[dt.date]] = {}
    for market in _MARKETS:
        holidays = set(rng.sample(weekdays, len(weekdays) // 30))
        # the end of a year is where bases are
        holidays |= {d for d in weekdays if d.month == 12 and d.day >= 29 and rng.random() < 0.4}
        sessions[market] = [d for d in weekdays if d not in holidays]
        tables["core_session"] += session_rows(market, sessions[market])
    symbols = [
        ("^AAA", "Beta", "HK", "index", "world"),
        ("BBB.DE", "Alpha", "DE", "share", "world"),
        ("CCC", "Äther", "US", "share", "world"),
        ("DDD.HK", "Zulu", "HK", "share", "asia"),
        ("EEE.HK", "alpha", "HK", "etf", None),
        ("HKD=X", "Dollar", "FX", "fx", None),
        ("NIL.HK", "Nothing", "HK", "share", "asia"),
    ]
    for symbol, name, market, kind, board in symbols:
        tables["core_instrument"].append(
            {
                "symbol": symbol,
                "name": name,
                "market": market,
                "currency": "HKD" if kind == "fx" else _MARKETS[market],
                "kind": kind,
                "leaderboard": board,
                "listing_date": None,
                "base_currency": "USD" if kind == "fx" else None,
            }
        )
        tables["core_instrument_source"] += [
            {"symbol": symbol, "source": "two", "trust_rank": 1},
            {"symbol": symbol, "source": "one", "trust_rank": 2},
        ]
    boards = {"world": ("^AAA", "BBB.DE", "CCC"), "asia": ("^AAA", "DDD.HK", "NIL.HK", "CCC")}
    tables["core_leaderboard_member"] = [
        {"leaderboard": board, "symbol": symbol} for board, members in boards.items() for symbol in members
    ]
    yearly = [dt.date(year, 2, rng.randint(1, 20)) for year in range(start.year, end.year + 1)]
    for at, day in enumerate(yearly):
        until = yearly[at + 1] if at + 1 < len(yearly) else None
        tables["core_event"].append(
            {"event_id": f"new_year_{day.year}", "name": "New year", "event_date": day, "until_date": until}
        )
    tables["core_event"].append(
        {"event_id": "fixed", "name": "Fixed", "event_date": dt.date(2022, 5, 14), "until_date": None}
    )
    for symbol, _, market, _, _ in symbols:
        if symbol == "NIL.HK":
            continue
        price = rng.uniform(10, 50)
        drift = rng.choice((-0.0005, 0.0, 0.0008))
        for day in (d for d in sessions[market] if d <= end):
            if symbol == "DDD.HK" and (day < dt.date(2019, 3, 9) or dt.date(2021, 1, 5) < day < dt.date(2022, 9, 1)):
                continue
            if symbol == "EEE.HK" and rng.random() < 0.97:
                continue
            # coarse steps make ties frequent
            price = max(1.0, round(price * (1 + rng.gauss(drift, 0.02)) * 4) / 4)
            tables["core_price_daily"] += _bars(rng, symbol, market, day, price)
    tables["core_price_daily"] += [
        price_row("GONE", sessions["US"][100], "one", 1.0, "USD"),
        price_row("CCC", dt.date(2023, 6, 3), "one", 1.0, "USD"),  # a Saturday
    ]
    for day in (d for d in weekdays if d <= end):
        tables["core_fx_daily"] += _rates(rng, day)
    return world


def _bars(rng: random.Random, symbol: str, market: str, day: dt.date, price: float) -> list[Row]:
    found = []
    currency = _MARKETS[market]
    for source, chance in (("one", 0.95), ("two", 0.6), ("zero", 0.1)):
        if rng.random() < chance:
            close = None if source == "two" and rng.random() < 0.5 else price + 0.25 * rng.choice((0, 0, 1))
            volume = None if rng.random() < 0.05 else rng.choice((1, 2, 3, 5)) * 10**9
            flat = rng.random() < 0.03
            found.append(
                price_row(
                    symbol,
                    day,
                    source,
                    close,
                    currency,
                    adj_close=price * 0.9,
                    volume_shares=0 if flat else volume,
                    turnover=None if rng.random() < 0.01 else price * 1e6,
                    is_flat_bar=flat,
                )
            )
    return found


def _rates(rng: random.Random, day: dt.date) -> list[Row]:
    found = []
    if rng.random() < 0.4:
        found += [fx_row("EUR", "USD", day, "ecb", rng.uniform(1, 1.2)), fx_row("EUR", "HKD", day, "ecb", 8.5)]
    if rng.random() < 0.2:
        found.append(fx_row("USD", "HKD", day, "yahoo", rng.uniform(7.75, 7.85)))
    if rng.random() < 0.1:
        found.append(fx_row("GBP", "USD", day, "yahoo", rng.uniform(1.2, 1.3)))
        found.append(fx_row("EUR", "USD", day, "another", rng.uniform(1, 1.2)))
        found.append(fx_row("EUR", "HKD", day, "another", rng.uniform(8, 9)))
    return found
