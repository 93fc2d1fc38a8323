"""Dropped price files: every shape, the basis rule, and every refusal with its rule and its row."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import io
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog, Instrument
from rally_pipeline.errors import PayloadError, PermanentFetchError
from rally_pipeline.sources import delimited, price_files
from rally_pipeline.sources.base import PRICE_COLUMNS, Parsed, Payload, Severity

NOW = dt.datetime(2026, 11, 20, 9, 0, tzinfo=dt.UTC)


def _instrument(symbol: str, market: str, currency: str, kind: str, *aliases: str) -> Instrument:
    return Instrument.model_validate(
        {
            "symbol": symbol,
            "name": symbol,
            "market": market,
            "currency": currency,
            "kind": kind,
            "aliases": aliases,
            "base_currency": "USD" if kind == "fx" else None,
        }
    )


CATALOG = Catalog(
    instruments={
        item.symbol: item
        for item in (
            _instrument("^GSPC", "US", "USD", "index", "^SPX", "SPX"),
            _instrument("^HSI", "HK", "HKD", "index", "HSI"),
            _instrument("0700.HK", "HK", "HKD", "share"),
            _instrument("9988.HK", "HK", "HKD", "share"),
            _instrument("MCHI", "US", "USD", "etf"),
            _instrument("HKD=X", "FX", "HKD", "fx"),
            _instrument("BRK-B", "US", "USD", "share"),
        )
    },
    events={},
    calendar_overrides=(),
    content_hash="",
)


def parse(body: bytes | str, symbol: str | None = None, basis: price_files.PriceBasis | None = None) -> Parsed:
    data = body.encode() if isinstance(body, str) else body
    request = price_files.request_for("file.csv", symbol=symbol, price_basis=basis)
    return price_files.parse(Payload(request, data, "text/csv", 200, NOW), CATALOG)


def refused(body: bytes | str, symbol: str | None = None, basis: price_files.PriceBasis | None = None) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        parse(body, symbol, basis)
    return caught.value


def rules(parsed: Parsed) -> set[str]:
    assert all(finding.severity is Severity.WARN for finding in parsed.findings)
    return {finding.rule for finding in parsed.findings}


PLAIN = "date,open,high,low,close,volume\n2024-01-02,1,3,0.5,2,100\n2024-01-03,2,4,1,3,200\n"


def test_plain_file_gives_a_typed_sorted_frame() -> None:
    parsed = parse("date,close,volume\n2024-01-03,2.5,20\n2024-01-02,1.25,10\n", "^hsi")
    frame = parsed.frame
    assert list(frame.columns) == list(PRICE_COLUMNS)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == PRICE_COLUMNS
    assert frame["symbol"].tolist() == ["^HSI", "^HSI"]
    assert frame["session_date"].tolist() == [pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-03")]
    assert frame["close"].tolist() == [1.25, 2.5]
    assert frame["volume"].tolist() == [10.0, 20.0]
    assert frame["locator"].tolist() == ["row 3", "row 2"]
    assert frame["currency"].tolist() == ["HKD", "HKD"]
    assert frame["open"].isna().all()
    assert parsed.findings == ()


@pytest.mark.parametrize(
    "body",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", " , ").encode(),
        PLAIN.replace("date,open", " DATE ,Open").encode(),
        gzip.compress(PLAIN.encode(), mtime=0),
        gzip.compress(PLAIN[:30].encode(), mtime=0) + gzip.compress(PLAIN[30:].encode(), mtime=0),
        (PLAIN + ",,,,,\n\n").encode(),
        (PLAIN + "  ").encode(),
        (PLAIN + ",,,,,").encode(),
        PLAIN.rstrip().encode(),
        PLAIN.replace("2024-01-02", "02 January 2024").encode(),
        PLAIN.replace("2024-01-02", "20240102").encode(),
        PLAIN.replace("2024-01-02", '"Jan 2, 2024"').encode(),
        PLAIN.replace("2024-01-02", "2024-01-02 00:00:00+08:00").encode(),
        PLAIN.replace("2024-01-02", "2024-01-02T00:00:00Z").encode(),
        PLAIN.replace("100", '"100"').encode(),
        PLAIN.replace("date,", ",").encode(),
        PLAIN.replace("date,", "note,date,").replace("2024", ",2024").encode(),
    ],
)
def test_every_dress_of_a_plain_file_gives_the_same_rows(body: bytes) -> None:
    columns = ["session_date", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(parse(body, "^HSI").frame[columns], parse(PLAIN, "^HSI").frame[columns])


def test_date_written_in_the_market_is_the_date() -> None:
    frame = parse("Date,Close\n2024-07-01 00:00:00-04:00,5\n2024-01-02 00:00:00-05:00,4\n", "^GSPC").frame
    assert frame["session_date"].dt.strftime("%Y-%m-%d").tolist() == ["2024-01-02", "2024-07-01"]


def test_utc_times_are_not_taken_for_market_dates() -> None:
    error = refused("Date,Close\n2024-01-02 16:00:00+00:00,5\n", "^HSI")
    assert (error.rule, error.locator) == ("market_local_date", "row 2")
    assert len(parse("Date,Close\n2024-01-02 16:00:00+00:00,5\n", "HKD=X").frame) == 1


def test_numbers_are_exact_and_grouped_ones_are_read() -> None:
    exact = 0.1 + 0.2
    frame = parse(f'date,close,volume\n2024-01-02,{exact!r},"1,234,567"\n2024-01-03,"12,345.5",null\n', "^HSI").frame
    assert frame["close"].tolist() == [exact, 12345.5]
    assert frame["volume"].iloc[0] == 1234567.0
    assert np.isnan(frame["volume"].iloc[1])


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-Infinity", "1e400", "12a", "0x10", "1_000", "１２", "1.2.3"])
def test_text_that_is_no_number_is_named_with_row_and_column(text: str) -> None:
    error = refused(f"date,close,volume\n2024-01-02,5,1\n2024-01-03,5,{text}\n", "^HSI")
    assert (error.rule, error.locator) == ("number_valid", "row 3")
    assert "volume" in error.message
    assert repr(text) in error.message


@pytest.mark.parametrize("body", ["date;close\n2024-01-02;1,234\n", 'date,close\n2024-01-02,"1,5"\n'])
def test_decimal_comma_is_not_guessed(body: str) -> None:
    error = refused(body, "^HSI")
    assert error.rule == "number_valid"
    assert "decimal point" in error.fix


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("01/02/2024", "date_ambiguous"),
        ("2024-02-30", "date_valid"),
        ("1704153600", "date_valid"),
        ("0001-11-20", "date_valid"),
        ("", "date_valid"),
        ("13/13/2024", "date_valid"),
        ("2024-01-02 25:00:00", "date_valid"),
    ],
)
def test_bad_date_is_named_with_its_row(text: str, rule: str) -> None:
    error = refused(f"date,close\n2024-01-05,5\n{text},5\n", "^HSI")
    assert (error.rule, error.locator) == (rule, "row 3")


def test_row_without_date_is_not_taken_for_tickers() -> None:
    error = refused("Date,Open,Close\n,5.5,6\n2024-01-02,5,6\n", "^HSI")
    assert (error.rule, error.locator) == ("date_valid", "row 2")


def test_another_row_decides_day_first_or_month_first() -> None:
    day_first = parse("date,close\n01/02/2024,5\n31/01/2024,6\n", "^HSI").frame
    assert day_first["session_date"].dt.strftime("%m-%d").tolist() == ["01-31", "02-01"]
    month_first = parse("date,close\n01/02/2024,5\n01/31/2024,6\n", "^HSI").frame
    assert month_first["session_date"].dt.strftime("%m-%d").tolist() == ["01-02", "01-31"]
    assert refused("date,close\n31/01/2024,5\n01/31/2024,6\n01/02/2024,7\n", "^HSI").rule.startswith("date_")


# --- header levels and tickers -------------------------------------------------------------------------------------

TWO_ROWS = "Date,Close,High\n,0700.HK,0700.HK\n2024-01-02,2,3\n2024-01-03,3,4\n"
THREE_ROWS = "Price,Adj Close,Close\nTicker,^SPX,^SPX\nDate,,\n2024-01-02,2,3\n2024-01-03,3,4\n"
WIDE = (
    "Price,Close,Close,High,High\nTicker,0700.HK,9988.HK,0700.HK,9988.HK\nDate,,,,\n"
    "2024-01-02,2,20,3,30\n2024-01-03,3,,4,\n2024-01-04,4,40,5,50\n"
)


def test_two_header_rows() -> None:
    frame = parse(TWO_ROWS).frame
    assert frame["symbol"].tolist() == ["0700.HK"] * 2
    assert frame["locator"].tolist() == ["row 3", "row 4"]
    assert frame["adj_close"].tolist() == [2.0, 3.0]


def test_three_header_rows_and_an_alias() -> None:
    for symbol in (None, "^GSPC", "spx"):
        frame = parse(THREE_ROWS, symbol).frame
        assert frame["symbol"].tolist() == ["^GSPC"] * 2
        assert frame["locator"].tolist() == ["row 4", "row 5"]
        assert frame["close"].tolist() == [3.0, 4.0]
        assert frame["adj_close"].tolist() == [2.0, 3.0]


def test_several_tickers_side_by_side() -> None:
    parsed = parse(WIDE)
    assert parsed.frame["symbol"].tolist() == ["0700.HK"] * 3 + ["9988.HK"] * 2
    assert parsed.frame["adj_close"].tolist() == [2.0, 3.0, 4.0, 20.0, 40.0]
    assert rules(parsed) == {"no_close", "adjusted_only"}
    assert next(item for item in parsed.findings if item.rule == "no_close").rows == 1


def test_tickers_over_fields() -> None:
    swapped = WIDE.split("\n")
    swapped[0], swapped[1] = "Ticker," + swapped[1].partition(",")[2], "Price," + swapped[0].partition(",")[2]
    pd.testing.assert_frame_equal(parse("\n".join(swapped)).frame, parse(WIDE).frame)


def test_asking_for_one_of_several_tickers_says_what_is_left_out() -> None:
    parsed = parse(WIDE, "9988.HK")
    assert set(parsed.frame["symbol"]) == {"9988.HK"}
    assert "other_tickers" in rules(parsed)


def test_failed_download_of_one_ticker_is_noted() -> None:
    parsed = parse("Date,Close,Close\n,0700.HK,9988.HK\n2024-01-02,2,\n2024-01-03,3,\n")
    assert {"empty_ticker", "no_close"} <= rules(parsed)
    assert set(parsed.frame["symbol"]) == {"0700.HK"}


@pytest.mark.parametrize("asked", [None, "^HNX-INDEX", "BRK-B"])
def test_split_ticker(asked: str | None) -> None:
    first, second = ("BRK", "B") if asked == "BRK-B" else ("HNX", "INDEX")
    empty = "5" if asked == "BRK-B" else ""
    error = refused(f"Date,Close,Close\n,{first},{second}\n2024-01-02,{empty},36.5\n", asked)
    assert error.rule == "split_ticker"
    assert first in error.message
    assert second in error.message


def test_wrong_ticker_names_both() -> None:
    error = refused(TWO_ROWS, "9988.HK")
    assert error.rule == "ticker_matches"
    assert "0700.HK" in error.message
    assert "9988.HK" in error.message
    assert refused("date,symbol,close\n2024-01-02,0700.HK,5\n", "9988.HK").rule == "ticker_matches"


def test_symbol_must_be_known() -> None:
    error = refused(PLAIN)
    assert error.rule == "symbol_known"
    assert "--symbol" in error.fix
    for error in (refused(PLAIN, "NOPE"), refused("date,symbol,close\n2024-01-02,NOPE,5\n")):
        assert error.rule == "symbol_known"
        assert "NOPE" in error.message
        assert "instruments.yaml" in error.fix
    error = refused("date,symbol,close\n2024-01-02,^HSI,5\n2024-01-03,,5\n")
    assert (error.rule, error.locator) == ("symbol_known", "row 3")


def test_symbol_column() -> None:
    frame = parse("close,symbol,date\n5,spx,2024-01-02\n6,^HSI,2024-01-02\n7,^GSPC,2024-01-03\n").frame
    assert frame["symbol"].tolist() == ["^GSPC", "^GSPC", "^HSI"]
    assert frame["close"].tolist() == [5.0, 7.0, 6.0]
    assert frame["currency"].tolist() == ["USD", "USD", "HKD"]


def test_stated_currency_must_be_the_catalogs() -> None:
    assert len(parse("date,close,currency\n2024-01-02,5,HKD\n", "^HSI").frame) == 1
    error = refused("date,close,currency\n2024-01-02,5,HKD\n2024-01-03,5,USD\n", "^HSI")
    assert (error.rule, error.locator) == ("currency_matches", "row 3")


# --- price basis ---------------------------------------------------------------------------------------------------

YAHOO = (
    "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n2024-01-02,1,4,0.5,2,9,0.1,0\n2024-01-03,2,5,1,3,9,0,2\n"
)


@pytest.mark.parametrize("symbol", ["0700.HK", "MCHI"])
def test_yahoo_share_without_adj_close_is_adjusted(symbol: str) -> None:
    parsed = parse(YAHOO, symbol)
    frame = parsed.frame
    assert frame[["open", "high", "low", "close"]].isna().all().all()
    assert frame[["adj_open", "adj_high", "adj_low", "adj_close"]].iloc[0].tolist() == [1.0, 4.0, 0.5, 2.0]
    assert frame["dividend"].tolist() == [0.1, 0.0]
    assert frame["split_ratio"].tolist() == [0.0, 2.0]
    (finding,) = parsed.findings
    assert finding.rule == "adjusted_only"
    assert "price_basis=unadjusted" in finding.message


@pytest.mark.parametrize(
    ("body", "symbol", "basis"),
    [
        (YAHOO, "^HSI", None),
        (YAHOO, "HKD=X", None),
        (YAHOO, "0700.HK", "unadjusted"),
        (YAHOO.replace("Close", "close"), "0700.HK", None),
    ],
)
def test_the_rest_is_unadjusted(body: str, symbol: str, basis: price_files.PriceBasis | None) -> None:
    parsed = parse(body, symbol, basis)
    assert parsed.findings == ()
    assert parsed.frame["close"].tolist() == [2.0, 3.0]
    assert parsed.frame["adj_close"].isna().all()


def test_adj_close_column_makes_close_unadjusted() -> None:
    body = "Date,Close,Adj Close\n2024-01-02,5,4.5\n2024-01-03,6,5.5\n"
    parsed = parse(body, "0700.HK")
    assert parsed.findings == ()
    assert parsed.frame["close"].tolist() == [5.0, 6.0]
    assert parsed.frame["adj_close"].tolist() == [4.5, 5.5]
    assert refused(body, "0700.HK", "adjusted").rule == "price_basis_fits"


def test_basis_adjusted_overrides() -> None:
    parsed = parse(PLAIN, "0700.HK", "adjusted")
    assert parsed.findings == ()
    assert parsed.frame["close"].isna().all()
    assert parsed.frame["adj_close"].tolist() == [2.0, 3.0]


# --- rows ----------------------------------------------------------------------------------------------------------


def test_equal_duplicates_are_dropped_and_different_ones_refused() -> None:
    parsed = parse("date,close,volume\n2024-01-02,5,\n2024-01-03,6,\n2024-01-02,5,\n", "^HSI")
    assert len(parsed.frame) == 2
    assert [(item.rule, item.locator, item.rows) for item in parsed.findings] == [("duplicate_row", "row 4", 1)]
    error = refused("date,close,volume\n2024-01-02,5,1\n2024-01-03,6,\n2024-01-02,5,2\n", "^HSI")
    assert (error.rule, error.locator) == ("unique_session", "row 4")
    assert "row 2" in error.message


def test_rows_without_close_are_left_out_with_their_count() -> None:
    parsed = parse("date,close,volume\n2024-01-02,5,1\n2024-01-03,,7\n\n2024-01-04,-,7\n2024-01-05,6,1\n", "^HSI")
    assert parsed.frame["locator"].tolist() == ["row 2", "row 6"]
    assert [(item.rule, item.locator, item.rows) for item in parsed.findings] == [("no_close", "row 3", 2)]
    assert refused("date,close\n2024-01-02,\n", "^HSI").rule == "not_empty"


def test_one_row_is_data_with_a_warning() -> None:
    parsed = parse("date,close\n2024-01-02,5\n", "^HSI")
    assert len(parsed.frame) == 1
    assert rules(parsed) == {"one_row"}


# --- whole files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "not_empty"),
        (b" \r\n\n", "not_empty"),
        (b"\xef\xbb\xbf", "not_empty"),
        (b"date,close\n", "not_empty"),
        (gzip.compress(b"", mtime=0), "not_empty"),
        (b"<!DOCTYPE html><html></html>", "not_html"),
        (b"\n <HTML><body>429", "not_html"),
        (b"date,close\n2024-01-02,\x005\n", "no_nul_bytes"),
        (b"date,close\n2024-01-02,\xff\n", "text_encoding"),
        (b"\xff\xfed", "text_encoding"),
        (b"PK\x03\x04rest", "file_kind"),
        (b'{"dates": ["2024-01-02"], "close": [5]}', "header_known"),
        (b"day,price\n2024-01-02,5\n", "header_known"),
        (b"date,close,close\n2024-01-02,5,5\n", "header_known"),
        (b"2024-01-02,5\n", "header_known"),
        (b"date,close\n2024-01-02,5\n2024-01-03\n", "table_shape"),
        (b'date,close\n2024-01-02,"5\n2024-01-03,5\n', "table_shape"),
        (b"date,close," + b"x" * 200_000 + b"\n2024-01-02,5,\n", "table_shape"),
        (gzip.compress(PLAIN.encode() * 50, mtime=0)[:-9], "not_truncated"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-6] + b"\1\2\3\4\5\6", "not_damaged"),
        (gzip.compress(PLAIN.encode(), mtime=0) + b"rubbish", "not_damaged"),
    ],
)
def test_unusable_file_is_refused_by_rule(body: bytes, rule: str) -> None:
    error = refused(body, "^HSI")
    assert error.rule == rule
    assert error.message


def test_row_of_other_width_is_named() -> None:
    assert refused("date,close\n\n2024-01-02,5\n2024-01-03,5,6\n", "^HSI").locator == "row 4"


def test_gzip_bomb_stops_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_UNPACKED_BYTES", 1_000_000)
    assert refused(gzip.compress(b"0" * 50_000_000, mtime=0), "^HSI").rule == "size_bound"


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    for data in (body, b"date,close\n" + body, gzip.compress(body, mtime=0)):
        with contextlib.suppress(PayloadError):
            parse(data, "^HSI")


@given(st.text(alphabet='0123456789-,.;\t\n"Ee+/ TZ:', max_size=80))
def test_any_cells_are_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(PayloadError):
        frame = parse("date,close\n2024-01-02," + text, "^HSI").frame
        assert np.isfinite(frame["close"]).all()


# --- a frame written in each shape parses back to the same rows ----------------------------------------------------

_PRICE = st.floats(min_value=1e-9, max_value=1e9, allow_nan=False)


@st.composite
def _bars(draw: st.DrawFn) -> pd.DataFrame:
    days = draw(st.lists(st.dates(dt.date(1980, 1, 1), dt.date(2026, 12, 31)), min_size=1, max_size=6, unique=True))
    fields = {name: [draw(_PRICE) for _ in days] for name in ("Open", "High", "Low", "Close")}
    volume = [draw(st.integers(0, 10**11)) for _ in days]
    return pd.DataFrame({**fields, "Volume": volume}, index=pd.DatetimeIndex(days, name="Date"))


def _yahoo(bars: pd.DataFrame) -> str:
    return bars.to_csv()


def _tz_aware(bars: pd.DataFrame) -> str:
    return bars.tz_localize("Asia/Hong_Kong").to_csv()


def _two_level(bars: pd.DataFrame) -> str:
    columns = pd.MultiIndex.from_product([bars.columns, ["^HSI"]], names=["Price", "Ticker"])
    return bars.set_axis(columns, axis=1).to_csv()


def _two_level_swapped(bars: pd.DataFrame) -> str:
    columns = pd.MultiIndex.from_product([["^HSI"], bars.columns], names=["Ticker", "Price"])
    return bars.set_axis(columns, axis=1).to_csv()


def _two_level_unnamed(bars: pd.DataFrame) -> str:
    columns = pd.MultiIndex.from_product([bars.columns, ["^HSI"]])
    return bars.set_axis(columns, axis=1).to_csv()


def _two_row_header(bars: pd.DataFrame) -> str:
    head, _, rest = bars.to_csv().partition("\n")
    return f"{head}\n,{','.join(['^HSI'] * len(bars.columns))}\n{rest}"


def _plain(bars: pd.DataFrame) -> str:
    return bars.rename(columns=str.lower).assign(symbol="hsi").reset_index(names="date").to_csv(index=False)


def _semicolons(bars: pd.DataFrame) -> str:
    return bars.to_csv(sep=";", date_format="%d %B %Y")


@pytest.mark.parametrize(
    "write",
    [_yahoo, _tz_aware, _two_level, _two_level_swapped, _two_level_unnamed, _two_row_header, _plain, _semicolons],
    ids=lambda function: function.__name__.strip("_"),
)
@settings(max_examples=25)
@given(bars=_bars())
def test_round_trip(write: object, bars: pd.DataFrame) -> None:
    frame = parse(write(bars), "^HSI").frame  # type: ignore[operator]
    expected = bars.sort_index()
    assert frame["session_date"].tolist() == expected.index.tolist()
    for name in ("open", "high", "low", "close"):
        assert frame[name].tolist() == expected[name.title()].tolist()
    assert frame["volume"].tolist() == [float(value) for value in expected["Volume"]]


# --- files ---------------------------------------------------------------------------------------------------------


def test_request_has_no_folder_in_it() -> None:
    request = price_files.request_for("/home/me/a.csv", source="stooq", symbol="^HSI", price_basis="adjusted")
    assert request.params == {"file_name": "a.csv", "symbol": "^HSI", "price_basis": "adjusted"}
    assert (request.source, request.parser, request.subject) == ("stooq", "price_files", "^HSI")
    assert price_files.request_for("a.csv").subject == "a.csv"


def test_read_payload_keeps_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(PLAIN.encode(), mtime=0))
    request = price_files.request_for("a.csv.gz", symbol="^HSI")
    payload = price_files.read_payload(path, request, NOW)
    assert payload.body == path.read_bytes()
    assert payload.fetched_at == NOW
    assert len(price_files.parse(payload, CATALOG).frame) == 2
    monkeypatch.setattr(price_files, "MAX_FILE_BYTES", 10)
    with pytest.raises(PayloadError, match="size_bound"):
        price_files.read_payload(path, request, NOW)
    path.write_bytes(b"")
    with pytest.raises(PayloadError, match="not_empty"):
        price_files.read_payload(path, request, NOW)


def test_files_are_not_planned_or_fetched() -> None:
    day = dt.date(2026, 11, 20)
    assert price_files.plan(CATALOG, day, day, today=day) == []
    with pytest.raises(PermanentFetchError, match="imported"):
        price_files.fetch(price_files.request_for("a.csv"), None)  # type: ignore[arg-type]


def test_two_hundred_thousand_rows_are_fast() -> None:
    days = np.arange("1980-01-01", "2007-05-19", dtype="datetime64[D]").astype(str)[:10_000]
    text = io.StringIO()
    text.write("date,close,volume,symbol\n")
    for symbol in ("^HSI", "^GSPC", "0700.HK", "9988.HK", "MCHI") * 4:
        text.writelines(f"{day},12345.678901,1000,{symbol}\n" for day in days)
    began = time.perf_counter()
    frame = parse(text.getvalue()).frame
    # Half a second alone on a slow core; the margin is for a machine that does other things as well.
    assert time.perf_counter() - began < 5
    assert len(frame) == 50_000
