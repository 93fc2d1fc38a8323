"""Dropped flow files: daily figures, broker tables with every rejection rule, Eastmoney's history, CSV and Excel."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import io
import math
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError, PermanentFetchError
from rally_pipeline.sources import flow_files
from rally_pipeline.sources.base import COLUMNS, Dataset, Parsed, Payload
from rally_pipeline.sources.flow_files import check_against_weeks, to_hkd_mn

NOW = dt.datetime(2026, 7, 27, 10, 0, tzinfo=dt.UTC)
CATALOG = Catalog(instruments={}, events={}, calendar_overrides=(), content_hash="")


def parse(content: str | bytes, dataset: Dataset = Dataset.SOUTHBOUND_FLOW, **options: Any) -> Parsed:
    body = content if isinstance(content, bytes) else content.encode()
    request = flow_files.request_for("drop/flows.csv", source="desk", dataset=dataset, **options)
    return flow_files.parse(Payload(request, body, "text/csv", 200, NOW), CATALOG)


def refusal(content: str | bytes, **options: Any) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        parse(content, **options)
    assert caught.value.fix or caught.value.rule == "not_empty"
    return caught.value


def workbook(rows: list[list[Any]], title: str = "flows", others: tuple[str, ...] = ()) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for row in rows:
        sheet.append(row)
    for other in others:
        book.create_sheet(other)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


# --- files ---------------------------------------------------------------------------------------------------------


def test_request_and_payload(tmp_path: Path) -> None:
    request = flow_files.request_for("some/where/f.csv", source="desk", unit="million", currency="HKD")
    assert (request.source, request.parser, request.subject) == ("desk", "flow_files", "f.csv")
    assert request.params == {"file_name": "f.csv", "unit": "million", "currency": "HKD"}
    path = tmp_path / "f.xlsx"
    path.write_bytes(workbook([["a"]]))
    assert flow_files.read_payload(path, request, NOW).media_type.endswith("sheet")
    path.write_bytes(b"")
    with pytest.raises(PayloadError, match="not_empty"):
        flow_files.read_payload(path, request, NOW)
    assert flow_files.plan(CATALOG, dt.date(2026, 1, 1), dt.date(2026, 1, 2), today=dt.date(2026, 1, 2)) == []
    with pytest.raises(PermanentFetchError):
        flow_files.fetch(request, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [(1, "abs", 1e-6), (43_220_650_000, "abs", 43220.65), (1500, "thousand", 1.5), (7.25, "million", 7.25),
     (512.1, "100m", 51210.0), (51.21, "billion", 51210.0), (13.89, "billion", 13890.0)],
)  # fmt: skip
def test_to_hkd_mn(value: float, unit: str, expected: float) -> None:
    assert to_hkd_mn(value, unit) == expected


@given(st.integers(-(10**9), 10**9))
def test_100m_and_billion_agree(hundredths: int) -> None:
    assert to_hkd_mn(hundredths / 100, "100m") == hundredths
    assert to_hkd_mn(hundredths / 1000, "billion") == hundredths


@pytest.mark.parametrize("unit", ["pct", "shares", "", "bn", "亿"])
def test_to_hkd_mn_refuses_other_units(unit: str) -> None:
    with pytest.raises(ValueError, match="no unit of money"):
        to_hkd_mn(1.0, unit)


# --- daily figures -------------------------------------------------------------------------------------------------

DAILY = """date,channel,buy,sell,net,unit,currency
2026-07-17,szse,291.03,260.65,30.38,100m,HKD
2026-07-17,sse,43.22,41.22,2.00,billion,HKD
2026-07-16,total,72323.23,67283.75,,million,hkd
"""


def test_daily() -> None:
    frame = parse(DAILY).frame
    assert list(frame["channel"]) == ["total", "sse", "szse"]
    assert list(frame["buy_hkd_mn"]) == [72323.23, 43220.0, 29103.0]
    assert list(frame["net_buy_hkd_mn"]) == [5039.48, 2000.0, 3038.0]
    assert list(frame["turnover_hkd_mn"]) == [139606.98, 84440.0, 55168.0]
    assert list(frame["locator"]) == ["row 4", "row 3", "row 2"]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == COLUMNS[Dataset.SOUTHBOUND_FLOW]


@pytest.mark.parametrize("body", [gzip.compress(DAILY.encode(), mtime=0),
                                  b"\xef\xbb\xbf" + DAILY.replace("\n", "\r\n").encode(),
                                  DAILY.replace(",", ";").encode(), DAILY.replace(",", "\t").encode("utf-16"),
                                  b"\n\n" + DAILY.encode()])  # fmt: skip
def test_daily_encodings(body: bytes) -> None:
    assert parse(body).frame["buy_hkd_mn"].equals(parse(DAILY).frame["buy_hkd_mn"])


def test_daily_in_a_workbook() -> None:
    rows = [
        ["Date", "Channel", "Buy", "Sell", "Net", "Unit", "Currency"],
        [dt.date(2026, 7, 17), "SZSE", 291.03, 260.65, "30.38", "100m", "HKD"],
        [None] * 7,
        [dt.datetime.fromisoformat("2026-07-17"), "sse", "43.22", 41.22, 2, "billion", "HKD"],
        ["2026-07-16", "total", "72,323.23", 67283.75, None, "million", "HKD"],
    ]
    parsed = parse(workbook(rows))
    assert parsed.frame.drop(columns="locator").equals(parse(DAILY).frame.drop(columns="locator"))
    assert list(parsed.frame["locator"]) == ["row 5", "row 4", "row 2"]
    assert parse(workbook(rows, title="Tabelle1")).frame.equals(parsed.frame)
    assert parse(workbook(rows, others=("notes",))).frame.equals(parsed.frame)
    assert refusal(workbook(rows, title="x", others=("notes",))).rule == "sheet_known"
    assert refusal(workbook(rows[:1])).rule == "not_empty"
    assert refusal(workbook([])).rule == "not_empty"
    assert refusal(workbook([*rows, ["2026-07-15", "sse", 1, 1, 0, "million", "HKD", "stray"]])).rule == "table_shape"


def test_workbooks_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = workbook([["a"], ["b"]])
    assert refusal(whole[: len(whole) // 2]).rule in ("file_kind", "not_damaged")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "x")
    assert refusal(out.getvalue()).rule in ("file_kind", "not_damaged")
    monkeypatch.setattr(flow_files, "MAX_SHEET_ROWS", 3)
    assert refusal(workbook([["date"], ["a"], ["b"], ["c"]])).rule == "size_bound"
    monkeypatch.setattr(flow_files, "MAX_UNPACKED_BYTES", 100)
    assert refusal(whole).rule == "size_bound"


def test_workbook_with_entities_is_refused() -> None:
    source = zipfile.ZipFile(io.BytesIO(workbook([["date", "channel", "buy", "sell"], ["x", "y", 1, 2]])))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for item in source.infolist():
            data = source.read(item)
            if item.filename == "xl/worksheets/sheet1.xml":
                data = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + data.replace(b"<v>1<", b"<v>&b;<")
            archive.writestr(item, data)
    assert refusal(out.getvalue()).rule == "not_damaged"


def test_unit_and_currency_may_come_with_the_request() -> None:
    text = "date,channel,buy,sell\n2026-07-17,sse,432.2,412.1\n"
    assert parse(text, unit="100m", currency="HKD").frame.iloc[0]["buy_hkd_mn"] == 43220.0
    assert refusal(text, currency="HKD").rule == "unit_given"
    assert refusal(text, unit="100m").rule == "currency_given"


def daily(cells: str) -> PayloadError:
    return refusal(f"date,channel,buy,sell,net,unit,currency\n2026-07-16,sse,1,1,0,million,HKD\n{cells}\n")


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ("2026-07-17,sse,3,1,2,million,", "currency_given"),
        ("2026-07-17,sse,3,1,2,million,CNY", "currency_not_hkd"),
        ("2026-07-17,sse,3,1,2,,HKD", "unit_given"),
        ("2026-07-17,sse,3,1,2,bn,HKD", "unit_known"),
        ("2026-07-17,sse,3,1,2,pct,HKD", "unit_known"),
        ("2026-07-17,northbound,3,1,2,million,HKD", "channel_known"),
        ("2026-07-17,sse,3,1,20,million,HKD", "net_is_difference"),
        ("2026-07-17,sse,3,1,-2,million,HKD", "net_is_difference"),
        ("2026-07-17,sse,3.00,1.00,2.02,million,HKD", "net_is_difference"),
        ("2026-07-17,sse,3,(1),4,million,HKD", "flow_not_negative"),
        ("2026-07-17,sse,3,,3,million,HKD", "both_sides"),
        ("2026-07-17,sse,3,x,2,million,HKD", "number_valid"),
        ("soon,sse,3,1,2,million,HKD", "date_valid"),
        (",sse,3,1,2,million,HKD", "date_valid"),
        ("2026-07-16,sse,3,1,2,million,HKD", "unique_session"),
    ],
)
def test_daily_refusals_name_the_row(cells: str, rule: str) -> None:
    error = daily(cells)
    assert (error.rule, error.locator) == (rule, "row 3")


def test_net_may_be_off_by_rounding() -> None:
    assert len(parse("date,channel,buy,sell,net,unit,currency\n2026-07-17,sse,43.2,41.2,2.1,billion,HKD\n").frame) == 1


@given(st.integers(0, 10**8), st.integers(0, 10**8), st.sampled_from(flow_files.MONEY_UNITS))
def test_daily_figures_are_exact(buy: int, sell: int, unit: str) -> None:
    cells = ",".join(f"{value // 100}.{value % 100:02d}" for value in (buy, sell))
    frame = parse(f"date,channel,buy,sell,unit,currency\n2026-07-17,sse,{cells},{unit},HKD\n").frame
    scale = {"abs": -8, "thousand": -5, "million": -2, "100m": 0, "billion": 1}[unit]
    expected = [float(round(Decimal(value).scaleb(scale), 6)) for value in (buy, sell)]
    assert [frame.iloc[0]["buy_hkd_mn"], frame.iloc[0]["sell_hkd_mn"]] == pytest.approx(expected, abs=1.1e-6)


def test_daily_findings() -> None:
    text = DAILY.replace("currency\n", "currency,mood\n").replace("HKD\n", "HKD,x\n").replace("hkd\n", "HKD,x\n")
    text += "2026-07-01,sse,-,—,0,million,HKD,x\n2026-07-17,sse,43.22,41.22,2.00,billion,HKD,x\n"
    parsed = parse(text)
    assert len(parsed.frame) == 3
    assert [finding.rule for finding in parsed.findings] == ["unknown_column", "no_figures", "duplicate_row"]
    nothing = parse("date,channel,buy,sell,unit,currency\n2026-07-01,sse,,,million,HKD\n")
    assert len(nothing.frame) == 0


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "date,close\n2026-01-01,1\n", "date,date,channel,buy,sell\n1,2,3,4,5\n"]
)
def test_other_headers(text: str) -> None:
    assert refusal(text).rule == "header_known"


# --- Eastmoney's history -------------------------------------------------------------------------------------------

HISTORY = """date,mutual_type,type_name,net_buy,buy,sell,total,fund_inflow,quota_balance,accum_buy
2026-09-30,2,x,20.5,60.5,40.0,100.5,,,1
2026-09-30,6,x,20.5,60.5,40.0,100.5,,,1
2026-09-30,001,x,,,,900.25,,,
2026-10-01,2,x,0.0,,,,,,1
2026-10-01,6,x,0.0,,,0,,,1
2026-10-08,006,x,20.5,60.5,40.0,100.5,,,1
2026-10-08,5,x,12.0,12.0,,12.0,,,
"""


def test_history() -> None:
    parsed = parse(HISTORY)
    assert list(parsed.frame["channel"]) == ["sse", "total"]
    assert list(parsed.frame["net_buy_hkd_mn"]) == [20.5, 20.5]
    north = parsed.extra[Dataset.NORTHBOUND_TURNOVER]
    assert list(north["turnover_cny_mn"]) == [900.25, 12.0]
    assert list(north["buy_cny_mn"].isna()) == [True, False]
    closed, stale = parsed.findings
    assert (closed.rule, closed.rows) == ("closed_day_row", 2)
    assert (stale.rule, stale.locator) == ("stale_repeat", "row 7")
    as_north = parse(HISTORY, Dataset.NORTHBOUND_TURNOVER)
    assert as_north.frame.equals(north)
    assert as_north.extra[Dataset.SOUTHBOUND_FLOW].equals(parsed.frame)


def test_history_refusals() -> None:
    error = refusal(HISTORY + "2026-10-09,7,x,0,1,1,2,,,\n")
    assert (error.rule, error.locator) == ("type_known", "row 9")
    assert refusal(HISTORY + "2026-09-30,6,x,0,1,1,2,,,\n").rule == "unique_session"
    assert refusal("date,mutual_type,buy,sell,total\n2026-09-30,6,1,2,3\n").rule == "header_known"


# --- broker tables -------------------------------------------------------------------------------------------------

HEADER = [
    *("schema_version", "source", "report_title", "report_date", "published_at", "period_start", "period_end"),
    *("period_basis", "flow_family", "channel", "market", "style", "dimension", "dimension_value", "metric", "value"),
    *("unit", "currency", "trading_days", "revision_of", "page_ref", "entered_by", "note"),
]
ROW = dict.fromkeys(HEADER, "") | {
    "schema_version": "1",
    "source": "House",
    "report_title": "Weekly flows",
    "report_date": "2026-07-20",
    "period_start": "2026-07-13",
    "period_end": "2026-07-17",
    "period_basis": "mon_fri",
    "flow_family": "southbound",
    "channel": "total",
    "market": "hk",
    "style": "na",
    "dimension": "total",
    "metric": "net_flow",
    "value": "13.88",
    "unit": "billion",
    "currency": "HKD",
    "trading_days": "4",
}


def broker(*rows: dict[str, str], header: list[str] = HEADER) -> str:
    lines = [",".join(header)]
    for row in rows:
        cells = {**ROW, **row}
        lines.append(",".join(f'"{cells[name]}"' for name in header))
    return "\n".join(lines) + "\n"


def read(*rows: dict[str, str]) -> Parsed:
    return parse(broker(*rows), Dataset.BROKER_FLOW)


def test_broker_table() -> None:
    parsed = read(
        {"published_at": "2026-07-20T08:30:00+08:00"},
        {"metric": "daily_avg", "value": "3.47"},
        {"metric": "turnover_share", "value": "31", "unit": "pct", "currency": ""},
        {"dimension": "stock", "dimension_value": "00700", "value": "(1,234.5)", "unit": "million"},
        {"dimension": "stock", "dimension_value": "09988", "value": "−2", "unit": "100m"},
        {"dimension": "stock", "dimension_value": "03690", "value": "—"},
        {"dimension": "stock", "dimension_value": "01810", "value": "-"},
        {"dimension": "stock", "dimension_value": "00981", "value": ""},
    )
    frame = parsed.frame
    assert list(frame["value"]) == [13.88, 3.47, 31.0, -1234.5, -2.0]
    assert list(frame["dimension_value"])[3:] == ["00700", "09988"]
    assert list(frame["broker"].unique()) == ["House"]
    assert frame.iloc[0]["published_at"] == "2026-07-20T08:30:00+08:00"
    assert frame["note"].isna().all()
    assert pd.isna(frame.iloc[2]["currency"])
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == COLUMNS[Dataset.BROKER_FLOW]
    assert [(finding.rule, finding.rows, finding.locator) for finding in parsed.findings] == [("no_value", 3, "row 7")]


def test_broker_table_imported_as_daily_figures_is_an_extra() -> None:
    parsed = parse(broker({}))
    assert len(parsed.frame) == 0
    assert len(parsed.extra[Dataset.BROKER_FLOW]) == 1


def test_broker_workbook() -> None:
    cells: dict[str, Any] = ROW | {"schema_version": 1, "value": 13.88, "trading_days": 4.0}
    for name in ("report_date", "period_start", "period_end"):
        cells[name] = dt.datetime.fromisoformat(ROW[name])
    rows = [HEADER, [cells[name] or None for name in HEADER]]
    assert parse(workbook(rows), Dataset.BROKER_FLOW).frame.equals(read({}).frame)
    cells |= {"dimension": "stock", "dimension_value": 700}
    error = refusal(workbook([HEADER, [cells[name] or None for name in HEADER]]))
    assert (error.rule, error.locator) == ("code_is_text", "row 2")


def test_optional_columns_may_be_absent_and_others_not() -> None:
    short = [name for name in HEADER if name not in ("published_at", "revision_of", "page_ref", "entered_by", "note")]
    assert len(parse(broker({}, header=short), Dataset.BROKER_FLOW).frame) == 1
    assert refusal(broker({}, header=[name for name in HEADER if name != "unit"])).rule == "header_known"
    assert refusal(broker({}).replace("revision_of", "revison_of")).rule == "header_known"


EPFR = {
    "flow_family": "epfr",
    "period_basis": "epfr_thu_wed",
    "currency": "USD",
    "trading_days": "",
    "market": "hk_adr",
}


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ({"schema_version": "2"}, "schema_version_known"),
        ({"schema_version": ""}, "schema_version_known"),
        ({"source": ""}, "field_given"),
        ({"market": ""}, "field_given"),
        ({"market": "Hong Kong"}, "word_known"),
        ({"unit": ""}, "unit_given"),
        ({"unit": "bn"}, "unit_known"),
        ({"currency": ""}, "currency_given"),
        ({"currency": "HK$"}, "currency_known"),
        ({"metric": "netflow"}, "word_known"),
        ({"channel": "both"}, "word_known"),
        ({"unit": "pct", "currency": ""}, "unit_fits_metric"),
        ({"metric": "pct_aum"}, "unit_fits_metric"),
        ({"period_end": "2026-07-10"}, "period_order"),
        ({"period_end": "2026-07-19"}, "mon_fri_week"),
        ({"period_end": "2026-07-20", "period_start": "2026-07-14"}, "mon_fri_week"),
        (EPFR | {"period_start": "2026-07-13", "period_end": "2026-07-17"}, "epfr_week"),
        (EPFR | {"period_start": "2026-07-09", "period_end": "2026-07-16"}, "epfr_week"),
        (EPFR | {"period_start": "2026-07-02", "period_end": "2026-07-15"}, "epfr_week"),
        ({"dimension": "stock", "dimension_value": "700"}, "code_is_text"),
        ({"dimension": "stock", "dimension_value": "00700.HK"}, "code_is_text"),
        ({"dimension": "sector"}, "field_given"),
        ({"value": "about 5"}, "number_valid"),
        ({"trading_days": "9"}, "trading_days_fit"),
        ({"trading_days": "3.5"}, "trading_days_fit"),
        ({"report_date": ""}, "date_valid"),
        ({"published_at": "this morning"}, "date_valid"),
        ({"value": "14"}, "unique_figure"),
    ],
)
def test_broker_refusals_name_row_and_fix(row: dict[str, str], rule: str) -> None:
    error = refusal(broker({}, row))
    assert (error.rule, error.locator) == (rule, "row 3")
    assert "row 3" in str(error)
    assert f"rule {rule}" in str(error)
    assert "Fix:" in str(error) or rule in ("number_valid",)


def test_epfr_week_is_read() -> None:
    row = EPFR | {"period_start": "2026-07-09", "period_end": "2026-07-15", "style": "active"}
    assert len(read(row).frame) == 1


def sectors(*values: str, total: str = "10.0") -> list[dict[str, str]]:
    parts = [{"dimension": "sector", "dimension_value": f"s{index}", "value": value}
             for index, value in enumerate(values)]  # fmt: skip
    return [{"value": total, "trading_days": ""}, *parts]


def test_sector_sum() -> None:
    assert len(read(*sectors("6.0", "4.4")).frame) == 3
    assert len(read(*sectors("-6.00", "-4.00", total="-10.00")).frame) == 3
    error = refusal(broker(*sectors("6.00", "4.60", total="10.00")))
    assert (error.rule, error.locator) == ("sector_sum", "row 2")
    assert "10,600.00" in error.message
    assert refusal(broker(*sectors("6.00", "-4.00", total="10.00"))).rule == "sector_sum"
    # Another style is another sum.
    other = {"dimension": "sector", "dimension_value": "s9", "value": "99", "style": "active"}
    assert len(read(*sectors("6.0", "4.0"), other).frame) == 4


def test_channel_sum() -> None:
    def rows(total: str, sse: str, szse: str) -> list[dict[str, str]]:
        values = {"total": total, "sse": sse, "szse": szse}
        return [{"channel": channel, "value": value} for channel, value in values.items()]

    assert len(read(*rows("13.88", "8.00", "5.88")).frame) == 3
    assert len(read(*rows("13.9", "8.0", "5.8")).frame) == 3
    assert refusal(broker(*rows("13.88", "8.00", "5.60"))).rule == "channel_sum"
    assert refusal(broker(*rows("13.88", "80.0", "58.8"))).rule == "channel_sum"


@pytest.mark.parametrize(
    ("average", "unit", "days", "ok"),
    [("3.47", "billion", "4", True), ("34.7", "100m", "4", True), ("3.47", "billion", "5", False),
     ("34.7", "billion", "4", False), ("3.60", "billion", "4", False), ("3.47", "billion", "", False)],
)  # fmt: skip
def test_daily_average(average: str, unit: str, days: str, ok: bool) -> None:
    rows = [{"trading_days": days}, {"metric": "daily_avg", "value": average, "unit": unit, "trading_days": days}]
    if ok:
        assert len(read(*rows).frame) == 2
    else:
        error = refusal(broker(*rows))
        assert (error.rule, error.locator) == ("daily_average", "row 3")


def test_corrections_and_repeats() -> None:
    parsed = read({}, {"value": "14.1", "revision_of": "Weekly flows p. 3"}, {})
    assert list(parsed.frame["value"]) == [13.88, 14.1]
    assert [finding.rule for finding in parsed.findings] == ["duplicate_row"]


# --- against computed weeks ----------------------------------------------------------------------------------------


def weeks(**columns: Any) -> pd.DataFrame:
    row = {"channel": "total", "week_start": pd.Timestamp("2026-07-13"), "net_buy_hkd_mn": 13_880.0, "session_count": 4}
    return pd.DataFrame([row | columns])


@pytest.mark.parametrize(
    ("value", "unit", "rule"),
    [
        ("13.88", "billion", None),
        ("13.95", "billion", None),
        ("138.8", "100m", None),
        ("14.20", "billion", "week_matches"),
        ("-13.88", "billion", "week_matches"),
        ("138.8", "billion", "suspected_unit_error"),
        ("13.88", "100m", "suspected_unit_error"),
        ("13880", "billion", "suspected_unit_error"),
        ("1.39", "billion", "suspected_unit_error"),
    ],
)
def test_against_weeks(value: str, unit: str, rule: str | None) -> None:
    findings = check_against_weeks(read({"value": value, "unit": unit}).frame, weeks())
    assert [finding.rule for finding in findings] == ([rule] if rule else [])
    for finding in findings:
        assert str(finding.severity) == "quarantine"
        assert finding.locator == "row 2"
        assert "13,880.00 HK$ mn" in finding.message
        assert f"{to_hkd_mn(float(value), unit):,.2f} HK$ mn" in finding.message


def test_against_weeks_other_metrics_and_rows() -> None:
    def rules(row: dict[str, str], totals: pd.DataFrame) -> list[str]:
        return [finding.rule for finding in check_against_weeks(read(row).frame, totals)]

    average = {"metric": "daily_avg", "value": "3.47"}
    assert rules(average, weeks()) == []
    assert rules(average, weeks(session_count=5)) == ["week_matches"]
    assert rules(average, weeks().drop(columns="session_count")) == ["week_not_known"]
    assert rules({}, weeks(channel="sse")) == ["week_not_known"]
    assert rules({}, weeks(net_buy_hkd_mn=math.nan)) == ["week_not_known"]
    assert rules({}, weeks().iloc[:0]) == ["week_not_known"]
    assert rules({}, weeks(net_buy_hkd_mn=0.0)) == ["week_matches"]
    # A small figure is held to the digits it was printed with.
    assert rules({"value": "0.1"}, weeks(net_buy_hkd_mn=104.0)) == []
    assert rules({"period_start": "2026-07-15", "trading_days": "3"}, weeks()) == []
    assert rules({"period_basis": "mtd"}, weeks()) == []
    assert rules({"metric": "cum_ytd", "value": "999"}, weeks()) == []
    assert rules({"currency": "USD", "value": "99"}, weeks()) == []


# --- anything ------------------------------------------------------------------------------------------------------

_CELL = st.sampled_from(["", "-", "—", "(", "()", "(-1)", "1,2", "1e9", "nan", "inf", "00700", "2026-07-17", "x", "€"])


@settings(max_examples=50)
@given(st.sampled_from(HEADER), _CELL | st.text("0123456789.,-()e ", max_size=8))
def test_any_cell_gives_a_payload_error(name: str, cell: str) -> None:
    with contextlib.suppress(PayloadError):
        read({}, {name: cell, "dimension": "fund_domicile", "dimension_value": "US"})


@given(st.binary(max_size=120))
def test_any_bytes_give_a_payload_error(body: bytes) -> None:
    for content in (body, b"date,channel,buy,sell,unit,currency\n" + body, b"PK\x03\x04" + body):
        with contextlib.suppress(PayloadError):
            parse(content)
