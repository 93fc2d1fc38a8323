"""Recorded Stock Connect payloads of other people: each gives the stated figures."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pandas as pd
import pytest

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.sources import eastmoney_flow, flow_files, hkex
from rally_pipeline.sources.base import Dataset, Parsed, Payload

DATA = Path(__file__).parents[2].parent / "shared" / "data"
NOW = dt.datetime(2026, 11, 20, 9, 0, tzinfo=dt.UTC)
CATALOG = Catalog(instruments={}, events={}, calendar_overrides=(), content_hash="")
HISTORY_ROWS = 13_034

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"recorded data not there: {DATA}")


def test_hkex_day() -> None:
    day = dt.date(2026, 7, 16)
    (request,) = hkex.plan(CATALOG, day, day, today=day)
    body = (DATA / "payloads" / "hkex_data_tab_daily_20260716e.js").read_bytes()
    parsed = hkex.parse(Payload(request, body, "application/x-javascript", 200, NOW), CATALOG)
    frame = parsed.frame.set_index("channel")
    assert (frame.loc["sse", "buy_hkd_mn"], frame.loc["sse", "sell_hkd_mn"]) == (43220.65, 41218.87)
    assert (frame.loc["szse", "buy_hkd_mn"], frame.loc["szse", "sell_hkd_mn"]) == (29102.58, 26064.88)
    assert frame["net_buy_hkd_mn"].sum() == pytest.approx(5039.48, abs=1e-6)
    assert (frame.loc["sse", "buy_trade_count"], frame.loc["szse", "sell_trade_count"]) == (758736, 447949)
    assert (frame["session_date"] == pd.Timestamp(day)).all()
    north = parsed.extra[Dataset.NORTHBOUND_TURNOVER].set_index("channel")
    assert north.loc["sse", "turnover_cny_mn"] == 162732.74
    assert list(parsed.extra[Dataset.TOP_STOCK]["symbol"]) == ["2513.HK", "0700.HK"]
    assert parsed.findings == ()


def test_eastmoney_rows() -> None:
    rows = json.loads((DATA / "payloads" / "eastmoney_RPT_MUTUAL_DEAL_HISTORY_rows_excerpt.json").read_text("utf-8"))
    requests = eastmoney_flow.plan(CATALOG, dt.date(2026, 1, 1), NOW.date(), today=NOW.date())
    for code, expected in {"001": [142256.09, 101257.88], "005": [286248.93], "006": [119184.75]}.items():
        mine = [row for row in rows if row["MUTUAL_TYPE"] == code]
        body = json.dumps({"success": True, "code": 0, "result": {"pages": 1, "count": len(mine), "data": mine}})
        request = next(item for item in requests if item.subject.endswith(code))
        parsed = eastmoney_flow.parse(Payload(request, body.encode(), "application/json", 200, NOW), CATALOG)
        column = "turnover_hkd_mn" if code == "006" else "turnover_cny_mn"
        assert list(parsed.frame[column]) == expected
        assert not parsed.findings
        if code == "006":
            assert parsed.frame.iloc[0]["net_buy_hkd_mn"] == -10412.07


@pytest.fixture(scope="module")
def history() -> Parsed:
    path = DATA / "flows" / "stock_connect_history_2014_2024.csv"
    return flow_files.parse(flow_files.read_payload(path, flow_files.request_for(path.name), NOW), CATALOG)


def test_history_is_read_whole(history: Parsed) -> None:
    north = history.extra[Dataset.NORTHBOUND_TURNOVER]
    assert len(history.frame) + len(north) == HISTORY_ROWS
    assert history.findings == ()
    assert history.frame["session_date"].min() == pd.Timestamp("2014-11-17")
    assert history.frame["session_date"].max() == pd.Timestamp("2024-12-31")
    # Sides of northbound ended on 2024-08-16; its turnover did not.
    undisclosed = north[north["net_buy_cny_mn"].isna()]["session_date"]
    assert undisclosed[undisclosed > pd.Timestamp("2024-01-01")].min() == pd.Timestamp("2024-08-19")
    assert north["turnover_cny_mn"].notna().all()


def test_history_total_is_the_sum_of_the_channels(history: Parsed) -> None:
    for column in ("buy_hkd_mn", "sell_hkd_mn", "net_buy_hkd_mn", "turnover_hkd_mn"):
        wide = history.frame.pivot_table(index="session_date", columns="channel", values=column)
        off = (wide["sse"] + wide["szse"].fillna(0) - wide["total"]).abs()
        assert len(off) == 2310
        assert wide["szse"].notna().sum() == 1843
        # The total of this provider is computed from the channels: nothing but binary noise.
        assert off.max() < 1e-6


def test_history_adds_up(history: Parsed) -> None:
    frame = history.frame
    assert (frame["buy_hkd_mn"] + frame["sell_hkd_mn"] - frame["turnover_hkd_mn"]).abs().max() < 1e-6
    assert (frame["buy_hkd_mn"] - frame["sell_hkd_mn"] - frame["net_buy_hkd_mn"]).abs().max() < 1e-6


def test_history_has_no_closed_day(history: Parsed) -> None:
    days = set(history.frame["session_date"].dt.strftime("%Y-%m-%d"))
    closed = {"2024-09-06", "2024-09-16", "2024-09-17"} | {f"2024-10-0{day}" for day in range(2, 8)}
    assert not days & closed
    assert {"2024-09-05", "2024-09-09", "2024-09-30", "2024-10-08"} <= days
