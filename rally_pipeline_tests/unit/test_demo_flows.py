"""The demo's Stock Connect world: published figures exact, comparisons of the story true, sums to the cent."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from rally_pipeline.catalog.loader import load_catalog
from rally_pipeline.demo import anchors
from rally_pipeline.demo.flows import NORTHBOUND_UNDISCLOSED, Flows, build_flows
from rally_pipeline.demo.prices import DemoWorld, default_world
from rally_pipeline.sessions import Calendars

D = dt.date
CUT_OFF = pd.Timestamp("2025-02-14")


@pytest.fixture(scope="module")
def world() -> DemoWorld:
    return default_world()


@pytest.fixture(scope="module")
def flows(world: DemoWorld) -> Flows:
    return build_flows(world.days("SOUTHBOUND"))


@pytest.fixture(scope="module")
def table(flows: Flows) -> pd.DataFrame:
    """One row a session, HK$ mn: buy, sell and turnover of each channel and the total."""
    rows = {}
    for day in flows.days:
        figures = {channel: flows.southbound_day(channel, day) for channel in ("sse", "szse", "total")}
        rows[pd.Timestamp(day)] = {
            f"{channel}_{name}": getattr(flow, name)
            for channel, flow in figures.items()
            for name in ("buy", "sell", "turnover", "net")
        }
    return pd.DataFrame.from_dict(rows, orient="index").sort_index()


@pytest.fixture(scope="module")
def windows(table: pd.DataFrame) -> pd.Series[float]:
    """Net buy of both channels over eight sessions, by the last one; from buy and sell, not from `net`."""
    return (table["total_buy"] - table["total_sell"]).rolling(8).sum().round(2)


def test_published_days_are_exact(flows: Flows) -> None:
    assert len(anchors.PUBLISHED_SOUTHBOUND) == 10
    for day, figures in anchors.PUBLISHED_SOUTHBOUND.items():
        sse, szse = flows.southbound_day("sse", day), flows.southbound_day("szse", day)
        assert (sse.buy, sse.sell, szse.buy, szse.sell) == figures
        for channel in ("sse", "szse", "total"):
            assert anchors.is_published_fact(f"southbound_{channel}", day)
    assert not anchors.is_published_fact("southbound_sse", D(2025, 2, 19))
    assert not anchors.is_published_fact("southbound_szse", D(2024, 11, 14))
    assert "Southbound" in anchors.DEMO_NOTICE


def test_net_buy_since_the_reopening(table: pd.DataFrame) -> None:
    since = table["2025-02-05":]
    assert len(since[:CUT_OFF]) == 8
    total = (since["total_buy"] - since["total_sell"]).cumsum().round(2)
    assert total[CUT_OFF] == 26_598.41
    assert total[pd.Timestamp("2025-02-17")] == 37_370.49
    # The days add up to this split over the channels; it is also quoted as +26,817.88 / -219.47, which is 0.32 off in
    # opposite directions with the same sum. The days are what the demo restates.
    net = {name: (since[f"{name}_buy"] - since[f"{name}_sell"]).cumsum().round(2)[CUT_OFF] for name in ("sse", "szse")}
    assert net == {"sse": 26_818.20, "szse": -219.79}


def test_best_window_of_september_2024(windows: pd.Series[float]) -> None:
    september = windows["2024-09-01":"2024-09-30"]
    assert september.idxmax() == pd.Timestamp("2024-09-23")
    assert round(september.max() / 1000, 2) == 26.94
    assert (september == september.max()).sum() == 1


def test_largest_window_of_all_up_to_the_cut_off(windows: pd.Series[float]) -> None:
    until = windows[:CUT_OFF]
    assert until.idxmax() == pd.Timestamp("2024-11-14")
    assert round(until.max() / 1000, 1) == 63.8
    assert (until == until.max()).sum() == 1
    assert windows.max() == until.max()
    # "Comparable" has something to be compared with: some windows are larger than the story's, most are not.
    assert 0.01 < (until > 26_598.41).mean() < 0.25


def test_record_turnover(table: pd.DataFrame) -> None:
    turnover = table["total_turnover"][:CUT_OFF]
    assert turnover.idxmax() == pd.Timestamp("2024-10-08")
    assert round(turnover.max() / 1000, 1) == 280.3
    assert turnover.drop(turnover.idxmax()).max() < 160_000


def test_days_without_a_published_figure_are_plausible(table: pd.DataFrame) -> None:
    facts = {pd.Timestamp(day) for day in (*anchors.PUBLISHED_SOUTHBOUND, *anchors.PUBLISHED_SOUTHBOUND_TURNOVER)}
    other = table[~table.index.isin(facts)]
    assert other["total_turnover"].between(20_000, 150_000).all()
    assert other["total_net"].between(-8_000, 15_000).all()
    assert other["total_net"].between(-8_000, -100).mean() > 0.15
    assert (other[["sse_buy", "sse_sell", "szse_buy", "szse_sell"]] > 1_000).all().all()
    # No figure stands out by being repeated, as a cut-off one would.
    assert other["total_net"].value_counts().max() <= 2
    assert other["total_turnover"].value_counts().max() <= 2


def test_sums_hold_to_the_cent(flows: Flows) -> None:
    for direction in (flows.southbound, flows.northbound):
        for name in ("buy", "sell", "buy_count", "sell_count", "etf"):
            parts = [getattr(direction[channel], name) for channel in ("sse", "szse")]
            assert (getattr(direction["total"], name) == parts[0] + parts[1]).all()
            assert parts[0].dtype == np.int64
    for day in flows.days[::7]:
        for channel in ("sse", "szse", "total"):
            for flow in (flows.southbound_day(channel, day), flows.northbound_day(channel, day)):
                assert round(flow.buy + flow.sell, 2) == flow.turnover == round(flow.turnover, 2)
                assert flow.net == round(flow.net, 2)
                assert 0 < flow.etf_turnover < 0.03 * flow.turnover
                assert min(flow.buy_count, flow.sell_count) > 1_000


def test_sessions_are_those_of_the_calendar(flows: Flows, world: DemoWorld) -> None:
    assert flows.days == world.days("SOUTHBOUND")
    assert (flows.days[0], flows.days[-1]) == (anchors.WORLD_START, anchors.WORLD_END)
    for day in (D(2025, 1, 28), D(2025, 2, 3), D(2025, 2, 4), D(2024, 9, 6), D(2025, 2, 15)):
        assert not flows.is_session(day)
        with pytest.raises(KeyError):
            flows.southbound_day("total", day)
    assert not any(flows.is_session(day) for day in anchors.CLOSED_DAY_ROWS)
    assert all(day.weekday() < 5 for day in anchors.CLOSED_DAY_ROWS)


def test_most_active_shares(flows: Flows) -> None:
    for day in flows.days[::23]:
        for channel in ("sse", "szse"):
            top = flows.top_stocks(channel, day)
            assert len({stock.code for stock in top}) == 10
            assert [stock.turnover for stock in top] == sorted((stock.turnover for stock in top), reverse=True)
            assert all(len(stock.code) == 5 and min(stock.buy, stock.sell) > 1_000_000 for stock in top)
            whole = flows.southbound_day(channel, day)
            assert 0.2 < sum(stock.turnover for stock in top) / (whole.turnover * 1e6) < 0.5
            assert sum(stock.buy for stock in top) < whole.buy * 1e6
            assert sum(stock.sell for stock in top) < whole.sell * 1e6
            north = flows.northbound_top_stocks(channel, day)
            assert len({stock.code for stock in north}) == 10
            assert {stock.code[0] == "6" for stock in north} == {channel == "sse"}
    # Alibaba could be bought southbound from 2024-09-10 on.
    codes = {day: {stock.code for stock in flows.top_stocks("sse", day)} for day in flows.days[-140:]}
    assert all("09988" not in codes[day] for day in codes if day < D(2024, 9, 10))
    assert "09988" in codes[D(2025, 2, 14)]


def test_market_turnover(flows: Flows, world: DemoWorld) -> None:
    days = world.days("HK")
    turnover = {day: flows.market_turnover(day) for day in days}
    assert all(value == round(value) for value in turnover.values())
    assert all(150_000 <= value <= 350_000 for day, value in turnover.items() if day >= D(2025, 2, 1))
    for day in flows.days:
        # Each trade is counted once in the market's turnover, and as a purchase or a sale in southbound's.
        share = flows.southbound_day("total", day).turnover / 2 / turnover[day]
        assert 0.05 < share < 0.4


def test_the_cut_of_disclosure_is_the_published_one() -> None:
    assert D(2024, 8, 19) == NORTHBOUND_UNDISCLOSED


def test_two_builds_are_equal_to_the_byte(flows: Flows) -> None:
    catalog = load_catalog()
    days = DemoWorld(catalog, Calendars.from_catalog(catalog, start=D(2021, 6, 1))).days("SOUTHBOUND")
    other = build_flows.__wrapped__(days)
    assert other is not flows
    for ours, theirs in ((flows.southbound, other.southbound), (flows.northbound, other.northbound)):
        for channel in ("sse", "szse", "total"):
            for name in ("buy", "sell", "buy_count", "sell_count", "etf"):
                assert getattr(ours[channel], name).tobytes() == getattr(theirs[channel], name).tobytes()
    day = D(2025, 2, 14)
    assert flows.top_stocks("sse", day) == other.top_stocks("sse", day)
    assert flows.market_turnover(day) == other.market_turnover(day)
    assert build_flows(flows.days) is flows


def test_published_figures_must_be_on_sessions(flows: Flows) -> None:
    days = tuple(day for day in flows.days if day != D(2025, 2, 12))
    with pytest.raises(ValueError, match="2025-02-12"):
        build_flows(days)
