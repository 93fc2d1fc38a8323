"""Hang Seng Indexes daily files: which are asked for, where, and what is read or refused."""

from __future__ import annotations

import contextlib
import datetime as dt
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog, Instrument
from rally_pipeline.errors import CatalogError, PayloadError, PermanentFetchError, RetryableFetchError
from rally_pipeline.sources import hang_seng
from rally_pipeline.sources.base import MARKET_TURNOVER_COLUMNS, PRICE_COLUMNS, Dataset, FetchRequest, Parsed, Payload

NOW = dt.datetime(2026, 11, 20, 13, 0, tzinfo=dt.UTC)
TODAY = dt.date(2026, 11, 20)


def _catalog(**codes: str) -> Catalog:
    symbols = {"hsi": "^HSI", "hscei": "^HSCE", "hstech": "HSTECH.HK"}
    instruments = {
        symbol: Instrument.model_validate(
            {
                "symbol": symbol,
                "name": symbol,
                "market": "HK",
                "currency": "HKD",
                "kind": "index",
                "price_sources": [{"source": "hang_seng", "code": codes.get(series, series)}],
            }
        )
        for series, symbol in symbols.items()
    }
    other = {"symbol": "^GSPC", "name": "S&P", "market": "US", "currency": "USD", "kind": "index"}
    instruments["^GSPC"] = Instrument.model_validate(other)
    return Catalog(instruments=instruments, events={}, calendar_overrides=(), content_hash="")


CATALOG = _catalog()
CHINESE = "交易日期\t指數\t指數貨幣\t每日最高\t每日最低\t收市指數\t點數變動\t百分比變動\t周息率\t市盈率\t成交額"
ENGLISH = (
    "Trade Date\tIndex\tIndex Currency\tDaily High\tDaily Low\tIndex Close\tPoint Change\t% Change\t"
    "Dividend Yield (%)\tPE Ratio (times)\tIndex Turnover (Mn)\tMarket Turnover (Mn)\tIndex Currency to HKD"
)


def row(day: str = "20261119", name: str = "Hang Seng Index 恒生指數", currency: str = "HKD", **cells: str) -> str:
    values = {
        "high": "25563.88",
        "low": "25121.46",
        "close": "25277.32",
        "turnover": "152100",
        "market": "342518",
        **cells,
    }
    return "\t".join(
        [day, name, currency, values["high"], values["low"], values["close"], "-223.26", "-0.88", "3.04", "13.34",
         values["turnover"], values["market"], "1"]
    )  # fmt: skip


def body(*rows: str, header: str = ENGLISH) -> bytes:
    return "\r\n".join([CHINESE, header, *rows, ""]).encode("utf-16")


def request(day: dt.date = dt.date(2026, 11, 19), symbol: str = "^HSI") -> FetchRequest:
    (made,) = hang_seng.plan(CATALOG, day, day, symbols={symbol}, today=TODAY)
    return made


def parse(data: bytes, asked: FetchRequest | None = None) -> Parsed:
    return hang_seng.parse(Payload(asked or request(), data, "text/csv", 200, NOW), CATALOG)


def refused(data: bytes, asked: FetchRequest | None = None) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        parse(data, asked)
    return caught.value


def test_plan_asks_per_index_and_session() -> None:
    requests = hang_seng.plan(CATALOG, dt.date(2026, 11, 5), dt.date(2026, 11, 6), today=TODAY)
    assert [(item.subject, item.start) for item in requests] == [
        (symbol, dt.date(2026, 11, day)) for symbol in ("^HSI", "^HSCE", "HSTECH.HK") for day in (5, 6)
    ]
    # The day has no leading zero.
    assert requests[0].url == "https://www.hsi.com.hk/static/uploads/contents/en/indexes/report/hsi/idx_5Nov26.csv"
    assert requests[0].params["resource"].endswith("/report/hsi/idx_5Nov26.csv")
    assert all(item.start == item.end for item in requests)


def test_plan_goes_back_25_sessions_and_not_beyond_today() -> None:
    requests = hang_seng.plan(CATALOG, dt.date(2020, 1, 1), dt.date(2030, 1, 1), symbols={"^HSI"}, today=TODAY)
    assert len(requests) == 25
    assert requests[0].start == dt.date(2026, 10, 19)
    assert requests[-1].start == TODAY
    assert hang_seng.plan(CATALOG, dt.date(2026, 10, 1), dt.date(2026, 10, 16), today=TODAY) == []


def test_plan_uses_the_calendar_it_is_given() -> None:
    asked: list[str] = []

    def sessions(market: str, start: dt.date, end: dt.date) -> list[dt.date]:
        asked.append(market)
        return [dt.date(2026, 11, 18), dt.date(2026, 11, 20)]

    requests = hang_seng.plan(CATALOG, dt.date(2026, 11, 17), TODAY, symbols=["^HSI"], today=TODAY, sessions=sessions)
    assert [item.start for item in requests] == [dt.date(2026, 11, 18), TODAY]
    assert asked == ["HK"]


def test_plan_refuses_an_unknown_series() -> None:
    with pytest.raises(CatalogError, match="hsx"):
        hang_seng.plan(_catalog(hsi="hsx"), TODAY, TODAY, today=TODAY)


class _Site:
    """Answers by a word in the address; an exception is raised, bytes are given."""

    def __init__(self, gateway: Any, static: Any) -> None:
        self.answers = {"gcs/download": gateway, "static/uploads": static}
        self.asked: list[str] = []

    def get(self, url: str, params: Any = None, headers: Any = None) -> SimpleNamespace:
        key = next(key for key in self.answers if key in url)
        self.asked.append(key)
        answer = self.answers[key]
        if isinstance(answer, Exception):
            raise answer
        media_type = "text/html" if answer.startswith(b"<") else "text/csv"
        return SimpleNamespace(body=answer, status=200, media_type=media_type, headers={}, fetched_at=NOW)


GONE = PermanentFetchError("404")


@pytest.mark.parametrize(
    ("gateway", "static", "asked"),
    [(b"x", GONE, 1), (GONE, b"x", 2), (b"<html>start page", b"x", 2)],
)
def test_fetch_tries_both_addresses(gateway: Any, static: Any, asked: int) -> None:
    site = _Site(gateway, static)
    assert hang_seng.fetch(request(), site).body == b"x"  # type: ignore[arg-type]
    assert len(site.asked) == asked


def test_fetch_passes_failures_on() -> None:
    with pytest.raises(PermanentFetchError):
        hang_seng.fetch(request(), _Site(GONE, GONE))  # type: ignore[arg-type]
    site = _Site(RetryableFetchError("503"), b"x")
    with pytest.raises(RetryableFetchError):
        hang_seng.fetch(request(), site)  # type: ignore[arg-type]
    assert site.asked == ["gcs/download"]


def test_parse_takes_the_index_and_turns_millions_into_units() -> None:
    sub_indices = (row(name="Hang Seng Index - Finance 恒生指數 - 金融", close="1"), row(currency="USD", close="2"))
    parsed = parse(body(sub_indices[0], row(), sub_indices[1]))
    frame = parsed.frame
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == PRICE_COLUMNS
    assert len(frame) == 1
    bar = frame.iloc[0]
    assert (bar["symbol"], bar["currency"], bar["locator"]) == ("^HSI", "HKD", "row 4")
    assert bar["session_date"] == pd.Timestamp("2026-11-19")
    assert (bar["high"], bar["low"], bar["close"]) == (25563.88, 25121.46, 25277.32)
    assert bar["turnover"] == 152_100_000_000.0
    assert frame[["open", "volume", "adj_close"]].isna().all().all()
    assert parsed.findings == ()


def test_turnover_of_the_market_is_an_extra_of_the_main_row() -> None:
    others = (row(name="Hang Seng Index - Finance 恒生指數 - 金融", market="1"), row(currency="USD", market="2"))
    parsed = parse(body(others[0], row(market="342,518"), others[1]))
    (dataset,) = parsed.extra
    frame = parsed.extra[dataset]
    assert dataset is Dataset.MARKET_TURNOVER
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == MARKET_TURNOVER_COLUMNS
    assert frame.to_dict("records") == [
        {
            "market": "HK",
            "session_date": pd.Timestamp("2026-11-19"),
            "turnover_hkd_mn": 342518.0,
            "locator": "row 4",
        }
    ]


@pytest.mark.parametrize(
    ("data", "symbol"),
    [
        (body(row(name="Hang Seng TECH Index 恒生科技指數")), "HSTECH.HK"),
        (body(row(name="Hang Seng China Enterprises Index")), "^HSCE"),
        (body(row(market="-")), "^HSI"),
        (body(row(market="0")), "^HSI"),
        (body(row(), header=ENGLISH.replace("Market Turnover (Mn)", "Other")), "^HSI"),
    ],
)
def test_no_turnover_of_the_market_is_no_row(data: bytes, symbol: str) -> None:
    parsed = parse(data, request(symbol=symbol))
    assert len(parsed.frame) == 1
    assert parsed.extra == {}


def test_columns_are_found_by_name() -> None:
    header = "Extra\tTrade Date 交易日期\tIndex 指數\tIndex Close 收市指數"
    frame = parse(body("a\t20261119\tHANG SENG INDEX\t5,000.5", header=header)).frame
    assert frame["close"].tolist() == [5000.5]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "not_empty"),
        (b"<!DOCTYPE html><html></html>", "not_html"),
        (body(), "not_empty"),
        (body(row())[:-1], "text_encoding"),
        (body(row())[2:], "text_encoding"),
        (body(row(name="Hang Seng TECH Index 恒生科技指數")), "ticker_matches"),
        (body(row(name="Hang Seng Index Futures")), "ticker_matches"),
        (body(row(currency="USD")), "currency_matches"),
        (body(row(day="20261118")), "date_matches"),
        (body(row(day="2026")), "date_valid"),
        (body(row(close="-")), "not_empty"),
        (body(row(close="x")), "number_valid"),
        (body(row(), row(close="1")), "unique_session"),
        (body(row().rpartition("\t")[0]), "table_shape"),
        (body(row(), header=ENGLISH.replace("Index Close", "Level")), "header_known"),
        (body(row(), header="only Chinese"), "header_known"),
    ],
)
def test_unusable_payload_is_refused_by_rule(data: bytes, rule: str) -> None:
    assert refused(data).rule == rule


def test_wrong_index_names_both() -> None:
    error = refused(body(row()), request(symbol="HSTECH.HK"))
    assert error.rule == "ticker_matches"
    assert "Hang Seng TECH Index" in error.message
    assert "恒生指數" in error.message


@given(st.floats(1, 1e6), st.integers(0, 10**7))
def test_values_come_back_exactly(close: float, turnover: int) -> None:
    bar = parse(body(row(close=repr(close), turnover=f"{turnover:,}"))).frame.iloc[0]
    assert bar["close"] == close
    assert bar["turnover"] == turnover * 1_000_000


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    for candidate in (data, body()[:-4] + data):
        with contextlib.suppress(PayloadError):
            parse(candidate)
