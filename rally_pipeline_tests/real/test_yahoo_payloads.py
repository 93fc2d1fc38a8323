"""Recorded Yahoo answers, served again by the loopback upstream and read end to end."""

from __future__ import annotations

import datetime as dt
import json
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rally_pipeline.catalog.model import Catalog, Instrument, Kind, Market, PriceSource
from rally_pipeline.errors import PayloadError
from rally_pipeline.sources import yahoo
from rally_pipeline.sources.base import FetchRequest, Parsed
from rally_pipeline.sources.http import Upstream
from rally_pipeline_tests.upstream import Answer, FakeUpstream

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "payloads"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data in {DATA}")


def read(
    file: str,
    symbol: str,
    start: dt.date,
    end: dt.date,
    *,
    currency: str,
    market: Market = Market.US,
    kind: Kind = Kind.SHARE,
    base_currency: str | None = None,
    fetched_at: dt.datetime | None = None,
) -> Parsed:
    """Fetches and parses a recorded answer as if asked at the time it was recorded."""
    recorded: dict[str, Any] = json.loads((DATA / file).read_text(encoding="utf-8"))
    body = recorded
    if "response" in recorded:
        body = recorded["response"]["bodyJson"]
        fetched_at = parsedate_to_datetime(recorded["response"]["headers"]["date"])
    assert fetched_at is not None
    now: dt.datetime = fetched_at
    instrument = Instrument(
        symbol=symbol,
        name=symbol,
        market=market,
        currency=currency,
        kind=kind,
        base_currency=base_currency,
        price_sources=(PriceSource(source="yahoo"),),
    )
    catalog = Catalog(instruments={symbol: instrument}, events={}, calendar_overrides=(), content_hash="0" * 64)
    (request,) = yahoo.plan(catalog, start, end, today=now.date())
    assert isinstance(request, FetchRequest)
    with FakeUpstream() as fake, Upstream(base=fake.base, clock=lambda: now) as upstream:
        fake.route("query2.finance.yahoo.com", f"/v8/finance/chart/{symbol}", Answer(body))
        payload = yahoo.fetch(request, upstream)
        assert payload == yahoo.fetch(request, upstream)
    return yahoo.parse(payload, catalog)


def test_tencent_five_days() -> None:
    parsed = read(
        "yahoo_v8_0700.HK_5d_2026-08-07.json",
        "0700.HK",
        dt.date(2026, 8, 3),
        dt.date(2026, 8, 7),
        currency="HKD",
        market=Market.HK,
        fetched_at=dt.datetime(2026, 8, 7, 13, 0, tzinfo=dt.UTC),
    )
    frame = parsed.frame
    assert not parsed.findings
    assert frame["session_date"].dt.strftime("%m-%d").tolist() == ["08-03", "08-04", "08-05", "08-06", "08-07"]
    assert frame["close"].round(1).tolist() == [490.4, 487.6, 492.2, 479.2, 478.8]
    assert frame["volume"].iloc[-1] == 16_320_039
    assert frame["adj_close"].isna().all(), "this answer carries no adjusted closes"


def test_tencent_while_the_last_session_may_still_run() -> None:
    parsed = read(
        "yahoo_v8_0700.HK_5d_2026-08-07.json",
        "0700.HK",
        dt.date(2026, 8, 3),
        dt.date(2026, 8, 7),
        currency="HKD",
        market=Market.HK,
        fetched_at=dt.datetime(2026, 8, 7, 8, 15, tzinfo=dt.UTC),
    )
    assert [f.rule for f in parsed.findings] == ["partial_bar"]
    assert len(parsed.frame) == 4


def test_nvidia_split() -> None:
    parsed = read(
        "yahoo_v8_historical-via-chart-NVDA-split-2021-02-01-to-2022-01-31.csv.json",
        "NVDA",
        dt.date(2021, 2, 1),
        dt.date(2022, 1, 30),
        currency="USD",
    )
    frame = parsed.frame
    assert not parsed.findings
    assert len(frame) == 252
    split = frame[frame["split_ratio"] != 0]
    assert split["session_date"].tolist() == [pd.Timestamp(2021, 7, 20)]
    assert split["split_ratio"].tolist() == [4]
    assert frame["session_date"].is_monotonic_increasing
    assert frame["session_date"].min() == pd.Timestamp(2021, 2, 1)
    assert (frame["high"] >= frame["low"]).all()
    # The closes are already adjusted for splits: no step of 4 on the day.
    assert frame["close"].pct_change().abs().max() < 0.2


def test_apple_dividend_and_split_on_the_first_day() -> None:
    frame = read(
        "yahoo_v8_chart-AAPL-2020-08-31-to-2020-11-07.json",
        "AAPL",
        dt.date(2020, 8, 31),
        dt.date(2020, 11, 6),
        currency="USD",
    ).frame
    assert len(frame) == 49
    assert frame.loc[frame["split_ratio"] > 0, "session_date"].tolist() == [pd.Timestamp(2020, 8, 31)]
    paid = frame[frame["dividend"] > 0]
    assert paid["session_date"].tolist() == [pd.Timestamp(2020, 11, 6)]
    assert paid["dividend"].tolist() == [0.205]
    assert (frame["adj_close"] < frame["close"]).all()


def test_empty_weekend() -> None:
    with pytest.raises(PayloadError) as raised:
        read(
            "yahoo_v8_chart-AAPL-2025-02-01-to-2025-02-02-includePrePost-false-interval-1m.json",
            "AAPL",
            dt.date(2025, 2, 1),
            dt.date(2025, 2, 2),
            currency="USD",
        )
    assert raised.value.rule == "not_empty"


def test_alibaba_in_new_york() -> None:
    frame = read(
        "yahoo_v8_chart-BABA-2020-01-01-to-2020-01-03.json",
        "BABA",
        dt.date(2020, 1, 1),
        dt.date(2020, 1, 2),
        currency="USD",
    ).frame
    assert frame["session_date"].tolist() == [pd.Timestamp(2020, 1, 2)]
    assert frame["close"].round(2).tolist() == [219.77]
    assert frame["adj_close"].round(2).tolist() == [212.24]


def test_ocado_in_pence_is_refused_by_name() -> None:
    with pytest.raises(PayloadError, match=r"OCDO\.L is quoted in pence \(GBp\)") as raised:
        read(
            "yahoo_v8_chart-OCDO.L-2020-01-01-to-2020-01-03.json",
            "OCDO.L",
            dt.date(2020, 1, 1),
            dt.date(2020, 1, 2),
            currency="GBP",
            market=Market.GB,
        )
    assert raised.value.rule == "currency_matches"


def test_euro_in_dollars() -> None:
    parsed = read(
        "yahoo_v8_chart-EURUSD=X-2020-01-01-to-2020-01-03.json",
        "EURUSD=X",
        dt.date(2020, 1, 1),
        dt.date(2020, 1, 3),
        currency="USD",
        market=Market.FX,
        kind=Kind.FX,
        base_currency="EUR",
    )
    assert not parsed.findings
    assert list(parsed.frame.columns) == ["base_currency", "quote_currency", "rate_date", "rate", "locator"]
    assert parsed.frame["rate_date"].dt.day.tolist() == [1, 2, 3]
    assert parsed.frame["rate"].round(4).tolist() == [1.1221, 1.1221, 1.1171]


def test_fund_type_with_capital_gains_column() -> None:
    parsed = read(
        "yahoo_v8_chart-WSKT.JK-2020-01-01-to-2020-01-03.json",
        "WSKT.JK",
        dt.date(2020, 1, 1),
        dt.date(2020, 1, 2),
        currency="IDR",
        market=Market.HK,
    )
    assert parsed.frame["close"].tolist() == [1505]
    assert parsed.frame["session_date"].tolist() == [pd.Timestamp(2020, 1, 2)]
