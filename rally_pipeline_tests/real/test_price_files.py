"""Recorded price and rate files of other people: each gives the stated outcome."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from rally_pipeline.catalog.model import Catalog, Instrument
from rally_pipeline.errors import PayloadError
from rally_pipeline.sources import ecb, price_files
from rally_pipeline.sources.base import Parsed

DATA = Path(__file__).parents[2].parent / "shared" / "data"
NOW = dt.datetime(2026, 11, 20, 9, 0, tzinfo=dt.UTC)

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"recorded data not there: {DATA}")

_MARKETS = {
    "^GSPC": ("US", "USD", "index"),
    "^GDAXI": ("DE", "EUR", "index"),
    "000016.SS": ("CN", "CNY", "index"),
    "0700.HK": ("HK", "HKD", "share"),
    "0981.HK": ("HK", "HKD", "share"),
    "1398.HK": ("HK", "HKD", "share"),
    "1810.HK": ("HK", "HKD", "share"),
    "3690.HK": ("HK", "HKD", "share"),
    "9988.HK": ("HK", "HKD", "share"),
    "CALM": ("US", "USD", "share"),
    "8TRA.DE": ("DE", "EUR", "share"),
    # Paris and Johannesburg have no calendar here; for reading a file the market does not matter.
    "ALPHA.PA": ("DE", "EUR", "share"),
    "SSW.JO": ("DE", "EUR", "share"),
    "AET.L": ("GB", "GBP", "share"),
    "CNE.L": ("GB", "GBP", "share"),
}
CATALOG = Catalog(
    instruments={
        symbol: Instrument.model_validate(
            {
                "symbol": symbol,
                "name": symbol,
                "market": market,
                "currency": currency,
                "kind": kind,
                "aliases": ("^SPX",) if symbol == "^GSPC" else (),
            }
        )
        for symbol, (market, currency, kind) in _MARKETS.items()
    },
    events={},
    calendar_overrides=(),
    content_hash="",
)


def load(path: str, symbol: str | None) -> Parsed:
    request = price_files.request_for(path, symbol=symbol)
    return price_files.parse(price_files.read_payload(DATA / path, request, NOW), CATALOG)


#: File, symbol asked (None = the file says), symbol got, rows, first date, last date, findings.
GOOD = [
    (f"prices/{code}.HK_yahoo_tzaware_2025-07-18vintage_to_2024.csv", f"{code}.HK", f"{code}.HK", 1230, "2020-01-02",
     "2024-12-31", {"adjusted_only"})
    for code in ("0700", "1810", "3690", "9988")
] + [
    ("prices/9988.HK_yahoo_2row_header_2026-02-27vintage_to_2024.csv", None, "9988.HK", 944, "2021-03-01",
     "2024-12-31", {"adjusted_only"}),
    ("prices/GDAXI_yahoo_to_2024.csv", "^GDAXI", "^GDAXI", 706, "2022-03-28", "2024-12-30", set()),
    ("prices/SPX_yahoo_3row_header_2010_2024.csv", None, "^GSPC", 3774, "2010-01-04", "2024-12-31", set()),
    ("prices/SPX_yahoo_3row_header_2010_2024.csv", "^GSPC", "^GSPC", 3774, "2010-01-04", "2024-12-31", set()),
    ("dirty/ONEROW_000016.SS.csv", None, "000016.SS", 1, "2026-02-27", "2026-02-27", {"one_row"}),
    ("dirty/WRONGTICKER_0981.HK_holds_1810.csv", None, "1810.HK", 1646, "2018-07-09", None, {"adjusted_only"}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "asked", "symbol", "rows", "first", "last", "rules"), GOOD)
def test_readable_file(
    path: str, asked: str | None, symbol: str, rows: int, first: str, last: str | None, rules: set[str]
) -> None:
    parsed = load(path, asked)
    frame = parsed.frame
    assert set(frame["symbol"]) == {symbol}
    assert len(frame) == rows
    assert str(frame["session_date"].iloc[0].date()) == first
    assert last is None or str(frame["session_date"].iloc[-1].date()) == last
    assert {finding.rule for finding in parsed.findings} == rules
    close = "adj_close" if "adjusted_only" in rules else "close"
    assert (frame[close] > 0).all()
    assert frame["close"].isna().all() == ("adjusted_only" in rules)


@pytest.mark.parametrize(
    ("path", "asked", "rule", "words"),
    [
        ("dirty/WRONGTICKER_0981.HK_holds_1810.csv", "0981.HK", "ticker_matches", ("0981.HK", "1810.HK")),
        ("dirty/SPLITTICKER_HNX_INDEX.csv", None, "split_ticker", ("HNX", "INDEX")),
        ("dirty/SPLITTICKER_HNX_INDEX.csv", "^HNX-INDEX", "split_ticker", ("HNX", "INDEX")),
        ("prices/GDAXI_yahoo_to_2024.csv", None, "symbol_known", ("--symbol",)),
        ("prices/CSI300_close_val_to_2024.json", "000016.SS", "header_known", ("JSON",)),
        ("prices/HSI_close_val_to_2024.json", "000016.SS", "header_known", ("JSON",)),
        ("prices/HSTECH_close_val_to_2024.json", "000016.SS", "header_known", ("JSON",)),
    ],
)
def test_refused_file(path: str, asked: str | None, rule: str, words: tuple[str, ...]) -> None:
    with pytest.raises(PayloadError) as caught:
        load(path, asked)
    assert caught.value.rule == rule
    assert all(word in str(caught.value) for word in words)


#: Wrong as prices, but readable: what is wrong with them is for the gate to find. Rows, and findings.
REPAIRS = {
    "1398-HK-1d-bad-div": ("1398.HK", 647, {"no_close"}),
    "8TRA-DE-1d-missing-div-adjust": ("8TRA.DE", 5, set()),
    "AET-L-1d-100x-error": ("AET.L", 23, set()),
    "ALPHA-PA-1d-bad-stock-split": ("ALPHA.PA", 29, set()),
    "CALM-1d-no-bad-divs": ("CALM", 662, set()),
    "CNE-L-1d-bad-stock-split": ("CNE.L", 10, set()),
    "SSW-JO-1d-100x-error": ("SSW.JO", 29, set()),
}


# The control has no repaired twin.
@pytest.mark.parametrize("name", [*REPAIRS, *(f"{name}-fixed" for name in REPAIRS if name != "CALM-1d-no-bad-divs")])
def test_files_with_adj_close_are_unadjusted(name: str) -> None:
    path = f"dirty/yfinance_price_repair/{name}.csv"
    symbol, rows, rules = REPAIRS[name.removesuffix("-fixed")]
    parsed = load(path, symbol)
    assert len(parsed.frame) == rows
    assert {finding.rule for finding in parsed.findings} == rules
    assert parsed.frame["close"].notna().all()
    assert parsed.frame["adj_close"].notna().all()
    assert parsed.frame["session_date"].is_monotonic_increasing


def test_every_file_of_the_folders_is_covered() -> None:
    named = {path for path, *_ in GOOD} | {
        "dirty/SPLITTICKER_HNX_INDEX.csv",
        "prices/CSI300_close_val_to_2024.json",
        "prices/HSI_close_val_to_2024.json",
        "prices/HSTECH_close_val_to_2024.json",
    }
    there = {f"{folder}/{path.name}" for folder in ("prices", "dirty") for path in (DATA / folder).glob("*.*")}
    assert there == named
    repairs = {path.stem.removesuffix("-fixed") for path in (DATA / "dirty/yfinance_price_repair").glob("*.csv")}
    assert repairs == set(REPAIRS)


def test_two_downloads_of_one_share_differ_where_a_dividend_came_between() -> None:
    early = load("prices/9988.HK_yahoo_tzaware_2025-07-18vintage_to_2024.csv", "9988.HK").frame
    late = load("prices/9988.HK_yahoo_2row_header_2026-02-27vintage_to_2024.csv", None).frame
    both = early.merge(late, on="session_date", suffixes=("_early", "_late"))
    assert len(both) > 900
    assert (both["adj_close_early"] != both["adj_close_late"]).mean() > 0.9


@pytest.mark.parametrize(
    ("name", "rows", "last", "usd", "hkd"),
    [
        ("ecb_eurofxref-hist_2014_2024.csv", 88_085, "2024-12-31", 1.0389, 8.0686),
        ("ecb_eurofxref_daily.csv", 29, "2026-10-30", 1.1172, 8.7652),
    ],
)
def test_reference_rates(name: str, rows: int, last: str, usd: float, hkd: float) -> None:
    payload = price_files.read_payload(DATA / "fx" / name, ecb.request_for(name), NOW)
    frame = ecb.parse(payload, CATALOG).frame
    assert len(frame) == rows
    latest = frame[frame["rate_date"] == last].set_index("quote_currency")["rate"]
    assert (latest["USD"], latest["HKD"]) == (usd, hkd)
    assert frame["rate_date"].is_monotonic_increasing
