"""The price marts as one would write them without this project: plain SQL, and pandas with ``to_sql``.

They fill tables of their own (``hand_…``), shaped as ours, from the same facts. They are the peers of `marts.py` and
simpler than ours where that is in their favour: no tolerance for missing days, no rates older than the day. Belongs
here: the peers. Does not belong here: timing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import sqlalchemy as sa

from rally_pipeline.schema import metadata
from rally_pipeline.warehouse.engine import Warehouse

_PRICES = "hand_core_price_resolved_daily"


def copy_of(connection: sa.Connection, table: sa.Table) -> sa.Table:
    """An empty table like `table`, anew."""
    made = table.to_metadata(sa.MetaData(), name=f"hand_{table.name}")
    made.indexes.clear()
    for constraint in made.constraints:
        constraint.name = None
    made.drop(connection, checkfirst=True)
    made.create(connection)
    return made


def moving_maximum() -> str:
    """The highest close of three years' sessions before each row, and nothing else."""
    return (
        "SELECT max(h) FROM (SELECT max(close) OVER (PARTITION BY symbol ORDER BY session_date "
        "ROWS BETWEEN 755 PRECEDING AND CURRENT ROW) AS h FROM core_price_resolved_daily) AS made"
    )


def in_sql(warehouse: Warehouse) -> None:
    """Every price mart by an INSERT … SELECT a person would write."""
    is_sqlite = warehouse.dialect == "sqlite"
    month = "date(session_date, 'start of month')" if is_sqlite else "CAST(date_trunc('month', session_date) AS date)"
    ago = "date(p.session_date, '-364 days')" if is_sqlite else "(p.session_date - 364)"
    days = "CAST(julianday({0}) - julianday({1}) AS INTEGER)" if is_sqlite else "({0} - {1})"
    yes, no = ("1", "0") if is_sqlite else ("true", "false")
    # PostgreSQL computes a moving maximum from scratch for every row, so by hand one asks the index for each
    statements = {
        "core_price_resolved_daily": f"""
            SELECT b.symbol, b.session_date, b.source, b.open, b.high, b.low, b.close, b.adj_close, b.volume_shares,
                   b.turnover, b.currency, b.is_flat_bar, 1, b.known_from_at
            FROM core_price_daily b JOIN core_instrument i ON i.symbol = b.symbol
            JOIN core_session s ON s.market = i.market AND s.session_date = b.session_date
            WHERE b.known_to_at IS NULL AND b.is_flat_bar = {no}""",
        "mart_index_performance_daily": f"""
            SELECT p.symbol, p.session_date, p.close, p.currency, p.source, y.session_date, y.close,
                   (p.close / y.close - 1) * 100, (p.close / m.close - 1) * 100, (p.close / p.c1 - 1) * 100,
                   (p.close / p.c5 - 1) * 100, (p.close / p.c20 - 1) * 100, (p.close / a.close - 1) * 100,
                   NULL, p.leaderboard,
                   CASE WHEN p.leaderboard IS NOT NULL THEN rank() OVER (PARTITION BY p.leaderboard, p.session_date
                        ORDER BY p.close / y.close DESC) END, NULL
            FROM (SELECT r.*, i.leaderboard, s.year_base_date, s.month_base_date, s.ago_1y_date,
                         lag(close, 1) OVER w AS c1, lag(close, 5) OVER w AS c5, lag(close, 20) OVER w AS c20
                  FROM {_PRICES} r JOIN core_instrument i ON i.symbol = r.symbol
                  JOIN core_session s ON s.market = i.market AND s.session_date = r.session_date
                  WINDOW w AS (PARTITION BY r.symbol ORDER BY r.session_date)) p
            LEFT JOIN {_PRICES} y ON y.symbol = p.symbol AND y.session_date = p.year_base_date
            LEFT JOIN {_PRICES} m ON m.symbol = p.symbol AND m.session_date = p.month_base_date
            LEFT JOIN {_PRICES} a ON a.symbol = p.symbol AND a.session_date = p.ago_1y_date""",
        "mart_price_extremes_daily": f"""
            SELECT symbol, session_date, close, f, h52, CASE WHEN close = h52 THEN {yes} ELSE {no} END, h3,
                   CASE WHEN close = h3 THEN {yes} ELSE {no} END, since_high, low_day, l60, (close / l60 - 1) * 100,
                   (close / h52 - 1) * 100, l52, CASE WHEN close = l52 THEN {yes} ELSE {no} END, l3,
                   CASE WHEN close = l3 THEN {yes} ELSE {no} END, since_low, high_day, h60, (close / h60 - 1) * 100,
                   (close / l52 - 1) * 100
            FROM (SELECT p.*,
                    (SELECT max(q.session_date) FROM {_PRICES} q WHERE q.symbol = p.symbol
                     AND q.session_date <= p.session_date AND q.session_date > {ago} AND q.close = p.h60) AS high_day,
                    (SELECT max(q.session_date) FROM {_PRICES} q WHERE q.symbol = p.symbol
                     AND q.session_date <= p.session_date AND q.session_date > {ago} AND q.close = p.l60) AS low_day,
                    (SELECT q.session_date FROM {_PRICES} q WHERE q.symbol = p.symbol AND q.session_date <
                     p.session_date AND q.close >= p.close ORDER BY q.session_date DESC LIMIT 1) AS since_high,
                    (SELECT q.session_date FROM {_PRICES} q WHERE q.symbol = p.symbol AND q.session_date <
                     p.session_date AND q.close <= p.close ORDER BY q.session_date DESC LIMIT 1) AS since_low
                  FROM (SELECT r.symbol, r.session_date, r.close, min(r.session_date) OVER (PARTITION BY r.symbol) AS f,
                          max(close) OVER y AS h52, min(close) OVER y AS l52, max(close) OVER t AS h3,
                          min(close) OVER t AS l3, max(close) OVER s AS h60, min(close) OVER s AS l60
                        FROM {_PRICES} r
                        WINDOW y AS (PARTITION BY symbol ORDER BY session_date ROWS 251 PRECEDING),
                               t AS (PARTITION BY symbol ORDER BY session_date ROWS 755 PRECEDING),
                               s AS (PARTITION BY symbol ORDER BY session_date ROWS 59 PRECEDING)) p) z""",
        "mart_price_since_event_daily": f"""
            SELECT e.event_id, p.symbol, p.session_date, e.event_date, p.close, b.session_date, b.close,
                   (p.close / b.close - 1) * 100, 0, {days.format("p.session_date", "e.event_date")}
            FROM {_PRICES} p JOIN core_event e ON p.session_date >= e.event_date
                 AND (e.until_date IS NULL OR p.session_date < e.until_date)
            JOIN (SELECT e.event_id, p.symbol, max(p.session_date) AS base FROM core_event e
                  JOIN {_PRICES} p ON p.session_date < e.event_date GROUP BY e.event_id, p.symbol) x
                 ON x.event_id = e.event_id AND x.symbol = p.symbol
            JOIN {_PRICES} b ON b.symbol = p.symbol AND b.session_date = x.base""",
        "mart_trading_volume_monthly": f"""
            SELECT symbol, month, volume, NULL, NULL, n, last_day, {no}, volume > record, NULL, record,
                   volume * 1.0 / record, first_month
            FROM (SELECT m.*, max(volume) OVER (PARTITION BY symbol ORDER BY month
                         ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS record,
                         min(month) OVER (PARTITION BY symbol) AS first_month
                  FROM (SELECT symbol, {month} AS month, CAST(sum(volume_shares) AS bigint) AS volume,
                               count(*) AS n, max(session_date) AS last_day
                        FROM {_PRICES} GROUP BY symbol, {month}) m) z""",
        "mart_trading_volume_daily": f"""
            SELECT p.symbol, p.session_date, p.volume_shares, p.turnover, p.mtd, m.previous_record_month,
                   m.previous_record_volume_shares, p.mtd > m.previous_record_volume_shares,
                   p.mtd * 1.0 / m.previous_record_volume_shares
            FROM (SELECT r.*, {month} AS month, CAST(sum(volume_shares) OVER (PARTITION BY symbol, {month}
                         ORDER BY session_date) AS bigint) AS mtd FROM {_PRICES} r) p
            JOIN hand_mart_trading_volume_monthly m ON m.symbol = p.symbol AND m.month = p.month""",
    }
    with warehouse.write() as connection:
        for name, select in statements.items():
            made = copy_of(connection, metadata.tables[name])
            connection.exec_driver_sql(f"INSERT INTO {made.name} {select}")
            if not is_sqlite:
                connection.exec_driver_sql(f"ANALYZE {made.name}")


def in_pandas(warehouse: Warehouse) -> None:
    """Every price mart with pandas: read, computed with its group-wise methods, written with ``to_sql``."""
    with warehouse.write() as connection:
        raw = pd.read_sql("SELECT * FROM core_price_daily WHERE known_to_at IS NULL", connection)
        instruments = pd.read_sql("SELECT symbol, market, leaderboard FROM core_instrument", connection)
        sessions = pd.read_sql(
            "SELECT market, session_date, year_base_date, month_base_date, ago_1y_date FROM core_session", connection
        )
        events = pd.read_sql("SELECT event_id, event_date, until_date FROM core_event", connection)
        for frame in (raw, sessions, events):
            for name in frame.columns:
                if name.endswith("_date"):
                    frame[name] = pd.to_datetime(frame[name])
        prices = raw.merge(instruments, on="symbol").merge(sessions, on=["market", "session_date"])
        prices = prices.sort_values(["symbol", "session_date"], ignore_index=True)
        prices["source_count"] = 1
        prices["is_flat_bar"] = prices["is_flat_bar"].astype(bool)
        prices["known_from_at"] = pd.to_datetime(prices["known_from_at"], utc=True)
        _write(connection, "core_price_resolved_daily", prices)
        _write(connection, "mart_index_performance_daily", _performance(prices))
        _write(connection, "mart_price_extremes_daily", _extremes(prices))
        _write(connection, "mart_price_since_event_daily", _since_event(prices, events))
        monthly, daily = _volumes(prices)
        _write(connection, "mart_trading_volume_monthly", monthly)
        _write(connection, "mart_trading_volume_daily", daily)


def _write(connection: sa.Connection, name: str, frame: pd.DataFrame) -> None:
    made = copy_of(connection, metadata.tables[name])
    columns = [c.name for c in made.columns if c.name in frame.columns]
    frame = frame[columns].copy()
    for column in columns:
        if isinstance(made.c[column].type, sa.Date):
            frame[column] = frame[column].dt.date
    types = {column: made.c[column].type for column in columns}
    frame.to_sql(made.name, connection, if_exists="append", index=False, dtype=types, chunksize=50_000)


def _performance(prices: pd.DataFrame) -> pd.DataFrame:
    found = prices[["symbol", "session_date", "close", "currency", "source", "leaderboard"]].copy()
    closes = prices[["symbol", "session_date", "close"]]
    for name, day in (("base", "year_base_date"), ("month", "month_base_date"), ("year", "ago_1y_date")):
        then = prices[["symbol", day]].merge(
            closes, how="left", left_on=["symbol", day], right_on=["symbol", "session_date"]
        )
        found[f"{name}_close"] = then["close"].to_numpy()
        found[f"{name}_date"] = then["session_date"].to_numpy()
    found["ytd_return_pct"] = (found["close"] / found["base_close"] - 1) * 100
    found["mtd_return_pct"] = (found["close"] / found["month_close"] - 1) * 100
    found["return_1y_pct"] = (found["close"] / found["year_close"] - 1) * 100
    by_symbol = found.groupby("symbol")["close"]
    for sessions in (1, 5, 20):
        found[f"return_{sessions}d_pct"] = by_symbol.pct_change(sessions, fill_method=None) * 100
    found["ytd_rank"] = found.groupby(["leaderboard", "session_date"])["ytd_return_pct"].rank(ascending=False)
    return found


def _extremes(prices: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for _, part in prices.groupby("symbol", sort=False):
        close = part.set_index("session_date")["close"]
        found = pd.DataFrame({"symbol": part["symbol"].to_numpy(), "session_date": close.index})
        values = close.to_numpy()
        found["close"] = values
        found["first_session_date"] = close.index[0]
        for name, window in (("52w", "365D"), ("3y", "1097D")):
            rolling = close.rolling(window)
            found[f"high_{name}"], found[f"low_{name}"] = rolling.max().to_numpy(), rolling.min().to_numpy()
            found[f"is_{name}_high"] = values >= found[f"high_{name}"]
            found[f"is_{name}_low"] = values <= found[f"low_{name}"]
        last = close.rolling(60, min_periods=1)
        for word, side in (("peak", "max"), ("trough", "min")):
            found[f"{word}_close"] = getattr(last, side)().to_numpy()
            place = last.apply(np.argmax if side == "max" else np.argmin, raw=True).to_numpy()
            begin = np.maximum(np.arange(len(values)) - 59, 0)
            found[f"{word}_date"] = close.index[(begin + place).astype(int)]
        found["highest_since_date"] = _since(close, values)
        found["lowest_since_date"] = _since(close, -values)
        parts.append(found)
    whole = pd.concat(parts, ignore_index=True)
    for name, of in (
        ("rise_from_trough_pct", "trough_close"),
        ("fall_from_peak_pct", "peak_close"),
        ("drawdown_from_high_pct", "high_52w"),
        ("rise_from_low_pct", "low_52w"),
    ):
        whole[name] = (whole["close"] / whole[of] - 1) * 100
    return whole


def _since(close: pd.Series, values: np.ndarray) -> pd.Series:
    """The last earlier day with a value at least as great, by looking back from every row."""
    found: list[object] = []
    for at, value in enumerate(values):
        places = np.flatnonzero(values[:at] >= value)
        found.append(close.index[places[-1]] if len(places) else pd.NaT)
    return pd.Series(pd.to_datetime(found))


def _since_event(prices: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    parts = []
    closes = prices[["symbol", "session_date", "close"]]
    for event in events.itertuples():
        before = closes[closes["session_date"] < event.event_date].groupby("symbol").last()
        after = closes[closes["session_date"] >= event.event_date]
        if not pd.isna(event.until_date):
            after = after[after["session_date"] < event.until_date]
        base = before.rename(columns={"session_date": "base_date", "close": "base_close"})
        part = after.merge(base.reset_index(), on="symbol")
        days = (part["session_date"] - event.event_date).dt.days
        parts.append(
            part.assign(
                event_id=event.event_id,
                event_date=event.event_date,
                return_pct=(part["close"] / part["base_close"] - 1) * 100,
                sessions_since_event=part.groupby("symbol").cumcount() + 1,
                calendar_days_since_event=days,
            )
        )
    return pd.concat(parts, ignore_index=True)


def _volumes(prices: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    daily = prices[["symbol", "session_date", "volume_shares", "turnover"]].copy()
    daily["month"] = daily["session_date"].dt.to_period("M").dt.to_timestamp()
    monthly = (
        daily.groupby(["symbol", "month"])
        .agg(volume_shares=("volume_shares", "sum"), sessions=("session_date", "count"), last=("session_date", "max"))
        .reset_index()
        .rename(columns={"last": "last_session_date"})
    )
    of_symbol = monthly.groupby("symbol")
    monthly["first_month"] = of_symbol["month"].transform("min")
    monthly["previous_record_volume_shares"] = of_symbol["volume_shares"].transform(lambda v: v.cummax().shift())
    monthly["is_record_volume"] = monthly["volume_shares"] > monthly["previous_record_volume_shares"]
    monthly["ratio_to_previous_record"] = monthly["volume_shares"] / monthly["previous_record_volume_shares"]
    monthly["is_partial"] = False
    daily["mtd_volume_shares"] = daily.groupby(["symbol", "month"])["volume_shares"].cumsum()
    record = monthly[["symbol", "month", "previous_record_volume_shares"]]
    daily = daily.merge(record, on=["symbol", "month"])
    daily["is_record_volume"] = daily["mtd_volume_shares"] > daily["previous_record_volume_shares"]
    daily["ratio_to_previous_record"] = daily["mtd_volume_shares"] / daily["previous_record_volume_shares"]
    return monthly, daily
