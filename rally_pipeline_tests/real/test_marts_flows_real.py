"""Flow marts over ten years of recorded Stock Connect history, on both engines: against the independent computation
and published figures."""

from __future__ import annotations

import bisect
import csv
import datetime as dt
import functools
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from rally_pipeline.marts import mark_all_stale, mark_stale, refresh
from rally_pipeline.marts.flows import DERIVED_FLOWS
from rally_pipeline.schema import mart_flows, metadata
from rally_pipeline.sessions import Calendars
from rally_pipeline_tests import oracle, oracle_flows

DATA = Path(__file__).parents[2].parent / "shared" / "data"
HISTORY = DATA / "flows" / "stock_connect_history_2014_2024.csv"
_CHANNELS = {"2": "sse", "4": "szse", "6": "total"}
_START, _END = dt.date(2014, 1, 1), dt.date(2025, 3, 31)

pytestmark = pytest.mark.skipif(not HISTORY.is_file(), reason="no recorded flows at data/flows")


def flows() -> list[oracle.Row]:
    """The recorded southbound rows, closed days included, as core rows of a file."""
    found = []
    with HISTORY.open(newline="") as file:
        for row in csv.DictReader(file):
            channel = _CHANNELS.get(row["mutual_type"])
            if channel is not None:
                net, buy, sell, total = (
                    float(row[name]) if row[name] else None for name in ("net_buy", "buy", "sell", "total")
                )
                found.append(
                    oracle_flows.flow_row(channel, dt.date.fromisoformat(row["date"]), "file", buy, sell, net, total)
                )
    return found


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
def world() -> oracle.World:
    made = oracle.World()
    calendars = Calendars()
    for market in ("HK", "SOUTHBOUND"):
        sessions = calendars.session_frame(market, _START, _END)
        made.tables["core_session"] += [_session(row) for row in sessions.to_dict("records")]
    made.tables["core_instrument"].append(
        {
            **{"symbol": "^HSI", "name": "Hang Seng", "market": "HK", "currency": "HKD", "kind": "index"},
            **{"leaderboard": None, "listing_date": None, "base_currency": None},
        }
    )
    index = json.loads((DATA / "prices" / "HSI_close_val_to_2024.json").read_text())
    made.tables["core_price_daily"] += [
        oracle.price_row("^HSI", dt.date.fromisoformat(day), "file", float(close), "HKD")
        for day, close in zip(index["dates"], index["close"], strict=True)
        if close is not None and day >= _START.isoformat()
    ]
    with (DATA / "fx" / "ecb_eurofxref-hist_2014_2024.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for quote in ("USD", "HKD", "CNY"):
                if row[quote].strip() != "N/A":
                    day = dt.date.fromisoformat(row["Date"])
                    made.tables["core_fx_daily"].append(oracle.fx_row("EUR", quote, day, "ecb", float(row[quote])))
    reopenings = calendars.lunar_new_year_reopenings(2014, 2025)
    events = [(f"lunar_new_year_{year}", reopenings[year], reopenings.get(year + 1)) for year in sorted(reopenings)]
    events += [("stimulus_package", dt.date(2024, 9, 24), None), ("shenzhen_opened", dt.date(2016, 12, 5), None)]
    made.tables["core_event"] = [
        {"event_id": name, "name": name, "event_date": day, "until_date": until} for name, day, until in events
    ]
    made.tables["core_southbound_flow_daily"] = flows()
    return made


@functools.cache
def _expected() -> dict[str, pd.DataFrame]:
    return oracle_flows.compute(world())


@pytest.mark.slow
def test_recorded_flows(warehouse_url: str) -> None:
    engine = sa.create_engine(warehouse_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        world().write(connection)
        mark_all_stale(connection)
        refresh(connection)
        got = {
            d.table.name: oracle.frame(d.table.name, connection.execute(sa.select(d.table)).mappings())
            for d in DERIVED_FLOWS
        }
        # computing the last session again changes nothing and takes no time to speak of
        mark_stale(connection, {"core_southbound_flow_daily": {"total": dt.date(2024, 12, 31)}})
        done = refresh(connection)
        again = {
            d.table.name: oracle.frame(d.table.name, connection.execute(sa.select(d.table)).mappings())
            for d in DERIVED_FLOWS
        }
    engine.dispose()
    assert sum(entry.seconds for entry in done) < 5
    for name, frame in got.items():
        oracle.assert_same(name, frame, _expected()[name], relative=1e-9)
        pd.testing.assert_frame_equal(again[name], frame, obj=name)
    _published(got)


def _published(got: dict[str, pd.DataFrame]) -> None:
    resolved = got["core_southbound_resolved_daily"]
    days = sorted(set(resolved["session_date"]))
    recorded = {row["session_date"] for row in flows()}
    wide = resolved.pivot(index="session_date", columns="channel", values="net_buy_hkd_mn").astype(float)
    both = wide.dropna()
    assert len(both) > 1_800
    assert (both["sse"] + both["szse"] - both["total"]).abs().max() < 1e-6
    closed = [dt.date(2024, 9, n) for n in (6, 16, 17)] + [dt.date(2024, 10, n) for n in range(2, 8)]
    assert not set(closed) & set(days)
    checks = got["ops_reconciliation"]
    missing = checks[checks["suspected_cause"] == "missing_session"]["period_end"].tolist()
    assert not set(missing) & recorded
    # the total a source prints is the sum of its channels
    sums = checks[checks["subject"] == "southbound_sum"]
    assert len(sums) == 2 * len(both)
    assert not sums["is_break"].any()

    best = got["mart_southbound_best_window_monthly"].set_index(["window_sessions", "month"])
    september = best.loc[(8, dt.date(2024, 9, 1))]
    assert september["best_net_buy_hkd_mn"] == pytest.approx(26_940, abs=5)
    assert september["best_end_date"] == dt.date(2024, 9, 23)
    november = best.loc[(8, dt.date(2024, 11, 1))]
    assert november["best_net_buy_hkd_mn"] == pytest.approx(63_800, abs=50)
    assert november["best_end_date"] == dt.date(2024, 11, 14)
    assert best.loc[(8, dt.date(2021, 1, 1))]["best_net_buy_hkd_mn"] == pytest.approx(152_000, abs=500)
    daily = got["mart_southbound_daily"].set_index(["channel", "session_date"])
    record = daily.loc[("total", dt.date(2024, 10, 8))]
    assert record["turnover_hkd_mn"] == pytest.approx(280_300, abs=50)
    assert record["turnover_rank_all_time"] == 1


@pytest.mark.slow
def test_rank_of_every_window_of_8_sessions() -> None:
    """The rank of every such window since 2014, each as of its last day: from an event on every session."""
    length = 8
    made = oracle.World()
    made.tables |= {
        name: rows for name, rows in world().tables.items() if name in ("core_session", "core_southbound_flow_daily")
    }
    sessions = {r["session_date"] for r in made.tables["core_session"] if r["market"] == "SOUTHBOUND"}
    totals = {
        r["session_date"]: round(r["net_buy_hkd_mn"] * 100)
        for r in made.tables["core_southbound_flow_daily"]
        if r["channel"] == "total" and r["session_date"] in sessions
    }
    days = sorted(totals)
    made.tables["core_event"] = [
        {
            **{"event_id": f"e{n}", "name": "x", "event_date": day},
            "until_date": days[n + length] if n + length < len(days) else None,
        }
        for n, day in enumerate(days)
    ]
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        made.write(connection)
        mark_all_stale(connection)
        refresh(connection, tables=["core_southbound_resolved_daily", "mart_southbound_since_event"])
        since = mart_flows.mart_southbound_since_event
        rows = connection.execute(
            sa.select(since.c.session_date, since.c.net_buy_hkd_mn, since.c.window_rank, since.c.window_count).where(
                since.c.sessions_since_event == length
            )
        ).all()
    engine.dispose()
    assert len(rows) == len(days) - length + 1 > 2_290
    seen: list[int] = []
    for at, (day, net, rank, count) in enumerate(sorted(rows)):
        cents = sum(totals[d] for d in days[at : at + length])
        bisect.insort(seen, -cents)
        assert day == days[at + length - 1]
        assert net == pytest.approx(cents / 100, rel=1e-9, abs=1e-9)
        assert (rank, count) == (bisect.bisect_left(seen, -cents) + 1, at + 1)
