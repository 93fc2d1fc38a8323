"""Eastmoney index history: what is asked, the order of a bar's cells, and what is refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog, Instrument
from rally_pipeline.errors import CatalogError, PayloadError
from rally_pipeline.sources import eastmoney
from rally_pipeline.sources.base import PRICE_COLUMNS, FetchRequest, Parsed, Payload

NOW = dt.datetime(2026, 11, 20, 13, 0, tzinfo=dt.UTC)
TODAY = dt.date(2026, 11, 20)


def _catalog(code: str = "124.HSTECH", symbol: str = "HSTECH.HK") -> Catalog:
    entries: list[dict[str, Any]] = [
        {
            "symbol": symbol,
            "name": "Index",
            "market": "HK",
            "currency": "HKD",
            "kind": "index",
            "price_sources": [{"source": "eastmoney", "code": code}],
        },
        {
            "symbol": "^IXIC",
            "name": "Nasdaq Composite",
            "market": "US",
            "currency": "USD",
            "kind": "index",
            "aliases": ["纳斯达克"],
        },
    ]
    instruments = {entry["symbol"]: Instrument.model_validate(entry) for entry in entries}
    return Catalog(instruments=instruments, events={}, calendar_overrides=(), content_hash="")


CATALOG = _catalog()
BARS = [
    "2026-11-18,5600.10,5650.50,5700.00,5590.20,1234567,98765432100.0,1.95,0.90,50.4,0.00,0,0,0",
    "2026-11-19,5650.00,5610.25,5660.00,5601.00,1234567,0.00,1.04,-0.71,-40.25,0.00,0,0,0",
]


def request() -> FetchRequest:
    (made,) = eastmoney.plan(CATALOG, dt.date(2026, 11, 18), dt.date(2026, 11, 19), today=TODAY)
    return made


def answer(bars: Any = BARS, **fields: Any) -> dict[str, Any]:
    data = {"code": "HSTECH", "market": 124, "name": "恒生科技指数", "decimal": 2, "klines": bars, **fields}
    return {"rc": 0, "rt": 17, "data": data}


def parse(body: Any) -> Parsed:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return eastmoney.parse(Payload(request(), data, "application/json", 200, NOW), CATALOG)


def refused(body: Any) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        parse(body)
    return caught.value


def test_plan_asks_for_bars_back_to_the_start() -> None:
    made = request()
    assert made.subject == "HSTECH.HK"
    assert made.params["secid"] == "124.HSTECH"
    assert made.params["fields2"].startswith("f51,f52,f53,")
    assert int(made.params["lmt"]) >= 3
    assert (made.start, made.end) == (dt.date(2026, 11, 18), dt.date(2026, 11, 19))
    (long,) = eastmoney.plan(CATALOG, dt.date(1950, 1, 1), TODAY, today=TODAY)
    assert long.params["lmt"] == "10000"
    assert eastmoney.plan(CATALOG, TODAY, TODAY, symbols=["^HSI"], today=TODAY) == []


def test_plan_refuses_a_code_of_another_index() -> None:
    with pytest.raises(CatalogError, match="Nasdaq Composite"):
        eastmoney.plan(_catalog("100.NDX", "^NDX"), TODAY, TODAY, today=TODAY)


def test_fetch_hands_the_bytes_on() -> None:
    seen: dict[str, Any] = {}

    def get(url: str, params: Any = None, headers: Any = None) -> SimpleNamespace:
        seen.update(url=url, params=params, headers=headers)
        return SimpleNamespace(body=b"{}", status=200, media_type="application/json", headers={}, fetched_at=NOW)

    payload = eastmoney.fetch(request(), SimpleNamespace(get=get))  # type: ignore[arg-type]
    assert payload.body == b"{}"
    assert seen["url"] == "https://push2his.eastmoney.com/api/qt/stock/kline/get"
    assert seen["params"]["secid"] == "124.HSTECH"


def test_close_stands_third() -> None:
    parsed = parse(answer())
    frame = parsed.frame
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == PRICE_COLUMNS
    assert frame["session_date"].dt.strftime("%Y-%m-%d").tolist() == ["2026-11-18", "2026-11-19"]
    assert frame[["open", "high", "low", "close"]].iloc[0].tolist() == [5600.10, 5700.00, 5590.20, 5650.50]
    assert frame["turnover"].iloc[0] == 98765432100.0
    assert frame["turnover"].isna().tolist() == [False, True]
    assert frame["volume"].isna().all()
    assert frame["locator"].tolist() == ["data.klines[0]", "data.klines[1]"]
    assert set(frame["symbol"]) == {"HSTECH.HK"}
    assert set(frame["currency"]) == {"HKD"}
    assert parsed.findings == ()


def test_bars_are_sorted_and_defects_noted() -> None:
    parsed = parse(answer([BARS[1], BARS[0], BARS[1], "2026-11-17,-,-,-,-"]))
    assert parsed.frame["locator"].tolist() == ["data.klines[1]", "data.klines[0]"]
    assert [(item.rule, item.rows) for item in parsed.findings] == [("no_close", 1), ("duplicate_row", 1)]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "not_empty"),
        (b"<html></html>", "not_html"),
        (b"{", "json_valid"),
        (b"[" * 100_000, "json_valid"),
        (b"\xff", "json_valid"),
        (b"[]", "json_valid"),
        ({"rc": 102, "data": None}, "not_empty"),
        ({"rc": 0, "data": None}, "not_empty"),
        ({**answer(), "rc": 1}, "not_empty"),
        (answer([]), "not_empty"),
        (answer(None), "not_empty"),
        (answer(["2026-11-17,-,-,-,-"]), "not_empty"),
        (answer(code="HSI"), "ticker_matches"),
        (answer(market=100), "ticker_matches"),
        (answer(name="纳斯达克"), "ticker_matches"),
        (answer([["2026-11-17", 1, 2, 3, 4]]), "bar_shape"),
        (answer(["2026-11-17,1,2,3"]), "bar_shape"),
        (answer(["0001-11-20,1,2,3,1"]), "date_valid"),
        (answer(["2026-11-17,1,nan,3,1"]), "number_valid"),
        (answer(["2026-11-17,1,1e999,3,1"]), "number_valid"),
        (answer([BARS[0], BARS[0].replace("5650.50", "5650.51")]), "unique_session"),
    ],
)
def test_unusable_payload_is_refused_by_rule(body: Any, rule: str) -> None:
    assert refused(body).rule == rule


def test_wrong_ticker_names_both() -> None:
    error = refused(answer(code="HSI", name="恒生指数"))
    assert "HSI" in error.message
    assert "124.HSTECH" in error.message


_LEVEL = st.floats(0.01, 1e6)


@given(st.dictionaries(st.dates(dt.date(1990, 1, 1), dt.date(2026, 12, 31)), st.tuples(*[_LEVEL] * 4), min_size=1))
def test_values_come_back_exactly(table: dict[dt.date, tuple[float, ...]]) -> None:
    frame = parse(answer([f"{day},{','.join(map(repr, values))}" for day, values in table.items()])).frame
    assert [stamp.date() for stamp in frame["session_date"]] == sorted(table)
    rows = frame[["open", "close", "high", "low"]].itertuples(index=False, name=None)
    assert list(rows) == [table[day] for day in sorted(table)]


@given(st.recursive(st.none() | st.integers() | st.text(max_size=30), lambda inner: st.lists(inner, max_size=3)))
def test_any_klines_are_parsed_or_refused(bars: Any) -> None:
    with contextlib.suppress(PayloadError):
        parse(answer(bars))
