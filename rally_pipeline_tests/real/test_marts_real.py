"""Marts over recorded index closes, on both engines: against the independent computation and published figures."""

from __future__ import annotations

import datetime as dt
import functools
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from rally_pipeline.marts import mark_all_stale, refresh
from rally_pipeline.marts.refresh import DERIVED_PRICES
from rally_pipeline.schema import mart, metadata
from rally_pipeline.sessions import Calendars
from rally_pipeline_tests import oracle

PRICES = Path(__file__).parents[2].parent / "shared" / "data" / "prices"
INDICES = {"^HSI": ("Hang Seng", "HK", "HKD"), "^GDAXI": ("DAX", "DE", "EUR"), "^GSPC": ("S&P 500", "US", "USD")}

pytestmark = pytest.mark.skipif(not PRICES.is_dir(), reason=f"no recorded prices at {PRICES.name}")


def _closes() -> dict[str, list[tuple[dt.date, float, int | None]]]:
    hang_seng = json.loads((PRICES / "HSI_close_val_to_2024.json").read_text())
    found: dict[str, list[tuple[dt.date, float, int | None]]] = {
        "^HSI": [
            (dt.date.fromisoformat(day), float(close), None)
            for day, close in zip(hang_seng["dates"], hang_seng["close"], strict=True)
            if close is not None
        ]
    }
    for symbol, name, skip in (
        ("^GDAXI", "GDAXI_yahoo_to_2024.csv", None),
        ("^GSPC", "SPX_yahoo_3row_header_2010_2024.csv", [1, 2]),
    ):
        frame = pd.read_csv(PRICES / name, skiprows=skip)
        frame = frame.rename(columns={"Price": "Date"})
        found[symbol] = [
            (dt.date.fromisoformat(day[:10]), float(close), int(volume))
            for day, close, volume in zip(frame["Date"], frame["Close"], frame["Volume"], strict=True)
        ]
    return found


@functools.cache
def _world() -> oracle.World:
    world = oracle.World()
    calendars = Calendars()
    for symbol, (name, market, currency) in INDICES.items():
        sessions = calendars.session_frame(market, dt.date(2009, 1, 1), dt.date(2025, 3, 31))
        for row in sessions.to_dict("records"):
            world.tables["core_session"].append(_session(row))
        world.tables["core_instrument"].append(
            {
                **{"symbol": symbol, "name": name, "market": market, "currency": currency, "kind": "index"},
                **{"leaderboard": "major_indices", "listing_date": None, "base_currency": None},
            }
        )
        world.tables["core_leaderboard_member"].append({"leaderboard": "major_indices", "symbol": symbol})
    for symbol, rows in _closes().items():
        world.tables["core_price_daily"] += [
            oracle.price_row(symbol, day, "file", close, INDICES[symbol][2], volume_shares=volume)
            for day, close, volume in rows
        ]
    world.tables["core_fx_daily"] += [
        oracle.fx_row("EUR", quote, day, "ecb", rate)
        for day, rates in ((dt.date(2024, 12, 31), (1.0389, 8.0686)), (dt.date(2023, 12, 29), (1.105, 8.6314)))
        for quote, rate in zip(("USD", "HKD"), rates, strict=True)
    ]
    world.tables["core_event"] += [
        {
            "event_id": "stimulus_package",
            "name": "Stimulus package",
            "event_date": dt.date(2024, 9, 24),
            "until_date": None,
        }
    ]
    return world


def _session(row: dict[str, Any]) -> dict[str, Any]:
    made = {
        name: (None if pd.isna(value) else value.date()) if isinstance(value, type(pd.NaT) | pd.Timestamp) else value
        for name, value in row.items()
        if name not in ("open_at", "close_at")
    }
    day = made["session_date"]
    return {
        **made,
        "open_at": row["open_at"].to_pydatetime().replace(tzinfo=dt.UTC),
        "close_at": row["close_at"].to_pydatetime().replace(tzinfo=dt.UTC),
        "day_no": (day - dt.date(1970, 1, 1)).days,
        "month_day_no": (12 * day.year + day.month - 1) * 31 + day.day - 1,
    }


@functools.cache
def _expected() -> dict[str, pd.DataFrame]:
    return oracle.compute(_world())


def test_recorded_indices(warehouse_url: str) -> None:
    engine = sa.create_engine(warehouse_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        _world().write(connection)
        mark_all_stale(connection)
        refresh(connection)
        for derived in DERIVED_PRICES:
            name = derived.table.name
            got = oracle.frame(name, connection.execute(sa.select(derived.table)).mappings())
            oracle.assert_same(name, got, _expected()[name], relative=1e-9)
        performance, extremes = mart.mart_index_performance_daily, mart.mart_price_extremes_daily
        year_end = {
            row["symbol"]: row
            for row in connection.execute(
                sa.select(performance)
                .where(performance.c.session_date.between(dt.date(2024, 12, 30), dt.date(2025, 1, 1)))
                .order_by(performance.c.session_date)
            ).mappings()
        }
        high = (
            connection.execute(
                sa.select(extremes).where(extremes.c.symbol == "^HSI", extremes.c.session_date == dt.date(2024, 10, 7))
            )
            .mappings()
            .one()
        )
    engine.dispose()
    hang_seng, dax, spx = (year_end[symbol] for symbol in INDICES)
    assert hang_seng["session_date"] == dt.date(2024, 12, 31)
    assert hang_seng["base_date"] == dt.date(2023, 12, 29)
    assert hang_seng["ytd_return_pct"] == pytest.approx(17.67, abs=0.005)
    assert dax["session_date"] == dt.date(2024, 12, 30)
    assert dax["ytd_return_pct"] == pytest.approx((19909.14 / 16751.64 - 1) * 100, abs=0.005)
    assert spx["ytd_return_pct"] == pytest.approx((5881.63 / 4769.83 - 1) * 100, abs=0.005)
    assert hang_seng["usd_ytd_return_pct"] == pytest.approx(
        (20059.95 / (8.0686 / 1.0389) / (17047.39 / (8.6314 / 1.105)) - 1) * 100, abs=0.005
    )
    assert [row["ytd_rank"] for row in (spx, dax, hang_seng)] == [1, 2, 3]
    # 23,099.78 was last exceeded in February 2022
    assert high["is_52w_high"] is True
    assert dt.date(2022, 2, 1) <= high["highest_since_date"] <= dt.date(2022, 3, 1)
    assert high["is_3y_high"] is False
