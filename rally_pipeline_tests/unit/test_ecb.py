"""ECB reference rates: which file is asked for, every format, and what is refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import zipfile
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.sources import delimited, ecb
from rally_pipeline.sources.base import FX_COLUMNS, Parsed, Payload

NOW = dt.datetime(2026, 11, 20, 17, 0, tzinfo=dt.UTC)
CATALOG = Catalog(instruments={}, events={}, calendar_overrides=(), content_hash="")
FRIDAY = dt.date(2026, 11, 20)


def parse(body: bytes | str) -> Parsed:
    data = body.encode() if isinstance(body, str) else body
    return ecb.parse(Payload(ecb.request_for("rates.csv"), data, "", 200, NOW), CATALOG)


def refused(body: bytes | str) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        parse(body)
    return caught.value


def xml(*days: tuple[str, dict[str, str]], prolog: str = "") -> str:
    cubes = "".join(
        f"<Cube time='{day}'>"
        + "".join(f"<Cube currency='{name}' rate='{rate}'/>" for name, rate in rates.items())
        + "</Cube>"
        for day, rates in days
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}<gesmes:Envelope '
        'xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" '
        'xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"><gesmes:subject>Reference rates</gesmes:subject>'
        f"<Cube>{cubes}</Cube></gesmes:Envelope>"
    )


def zipped(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "."), text)
    return buffer.getvalue()


HIST = "Date,USD,HKD,CYP,\n2024-12-31,1.0389,8.0686,N/A,\n2024-12-30,1.0444,,0.5,\n"


@pytest.mark.parametrize(
    ("start", "end", "today", "name"),
    [
        # Friday evening or morning: today's rate is in the daily file or nowhere.
        ((2026, 11, 20), (2026, 11, 20), (2026, 11, 20), "eurofxref-daily"),
        # The daily file may already be Friday's, so Thursday needs the longer one.
        ((2026, 11, 19), (2026, 11, 19), (2026, 11, 20), "eurofxref-hist-90d"),
        ((2026, 11, 19), (2026, 11, 20), (2026, 11, 20), "eurofxref-hist-90d"),
        # On a weekend Friday's is the last.
        ((2026, 11, 20), (2026, 11, 20), (2026, 11, 21), "eurofxref-daily"),
        ((2026, 11, 20), (2026, 11, 22), (2026, 11, 22), "eurofxref-daily"),
        ((2026, 11, 19), (2026, 11, 20), (2026, 11, 22), "eurofxref-hist-90d"),
        # Monday: the weekend has no rates of its own.
        ((2026, 11, 21), (2026, 11, 23), (2026, 11, 23), "eurofxref-daily"),
        ((2026, 11, 20), (2026, 11, 20), (2026, 11, 23), "eurofxref-hist-90d"),
        ((2026, 8, 27), (2026, 11, 20), (2026, 11, 20), "eurofxref-hist-90d"),
        ((2026, 8, 26), (2026, 8, 26), (2026, 11, 20), "eurofxref-hist"),
        ((2024, 12, 31), (2026, 12, 31), (2026, 11, 20), "eurofxref-hist"),
    ],
)
def test_plan_takes_the_smallest_file_that_covers(
    start: tuple[int, int, int], end: tuple[int, int, int], today: tuple[int, int, int], name: str
) -> None:
    (request,) = ecb.plan(CATALOG, dt.date(*start), dt.date(*end), today=dt.date(*today))
    assert request.subject == name
    assert request.url.startswith(f"https://www.ecb.europa.eu/stats/eurofxref/{name}.")


def test_plan_asks_nothing_for_days_without_rates() -> None:
    assert ecb.plan(CATALOG, dt.date(2026, 11, 21), dt.date(2026, 11, 22), today=dt.date(2026, 11, 23)) == []
    assert ecb.plan(CATALOG, dt.date(2026, 11, 24), dt.date(2026, 11, 24), today=FRIDAY) == []


@given(st.integers(0, 400), st.integers(0, 30), st.integers(0, 800))
def test_plan_never_leaves_a_weekday_uncovered(back: int, length: int, offset: int) -> None:
    today = dt.date(2025, 1, 1) + dt.timedelta(days=offset)
    start = today - dt.timedelta(days=back)
    end = min(start + dt.timedelta(days=length), today)
    asked = [start + dt.timedelta(days=n) for n in range((end - start).days + 1)]
    weekdays = [day for day in asked if day.weekday() < 5]
    requests = ecb.plan(CATALOG, start, end, today=today)
    assert bool(requests) == bool(weekdays)
    if requests and requests[0].subject == "eurofxref-daily":
        assert len(weekdays) == 1
        assert not any((weekdays[0] + dt.timedelta(days=n)).weekday() < 5 for n in range(1, (today - weekdays[0]).days))
        assert today.weekday() >= 5 or weekdays[0] == today


def test_fetch_hands_the_bytes_on() -> None:
    seen: list[str] = []

    def get(url: str, **_: Any) -> SimpleNamespace:
        seen.append(url)
        return SimpleNamespace(body=b"x", status=200, media_type="text/xml", headers={}, fetched_at=NOW)

    (request,) = ecb.plan(CATALOG, FRIDAY, FRIDAY, today=FRIDAY)
    payload = ecb.fetch(request, SimpleNamespace(get=get))  # type: ignore[arg-type]
    assert (payload.body, payload.media_type, payload.fetched_at) == (b"x", "text/xml", NOW)
    assert seen == ["https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"]


def test_xml() -> None:
    frame = parse(
        xml(("2026-07-10", {"USD": "1.1435", "HKD": "8.9700"}), ("2026-07-09", {"USD": "1.14", "RUB": "N/A"}))
    ).frame
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == FX_COLUMNS
    assert frame["rate_date"].dt.strftime("%m-%d").tolist() == ["07-09", "07-10", "07-10"]
    assert frame["quote_currency"].tolist() == ["USD", "HKD", "USD"]
    assert frame["rate"].tolist() == [1.14, 8.97, 1.1435]
    assert set(frame["base_currency"]) == {"EUR"}
    assert frame["locator"].iloc[0] == "Cube[2026-07-09] USD"


@pytest.mark.parametrize("body", [HIST, HIST.replace("\n", "\r\n"), zipped(**{"eurofxref-hist__csv": HIST})])
def test_history_csv(body: bytes | str) -> None:
    frame = parse(body).frame
    assert frame["rate_date"].dt.strftime("%Y-%m-%d").tolist() == ["2024-12-30"] * 2 + ["2024-12-31"] * 2
    assert frame["quote_currency"].tolist() == ["CYP", "USD", "HKD", "USD"]
    assert frame["rate"].tolist() == [0.5, 1.0444, 8.0686, 1.0389]
    assert frame["locator"].tolist() == ["row 3", "row 3", "row 2", "row 2"]


def test_daily_csv_has_blanks_and_a_written_month() -> None:
    frame = parse("Date, USD, JPY, HKD, \n30 October 2026, 1.1172, 175.68, 8.7652, \n").frame
    assert frame["rate_date"].unique().tolist() == [pd.Timestamp("2026-10-30")]
    assert dict(zip(frame["quote_currency"], frame["rate"], strict=True)) == {
        "HKD": 8.7652,
        "JPY": 175.68,
        "USD": 1.1172,
    }


ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("", "not_empty"),
        ("<!doctype html><html></html>", "not_html"),
        (xml(), "not_empty"),
        (xml(("2026-07-09", {"USD": "1"}), prolog=ENTITIES), "xml_safe"),
        (xml(("2026-07-09", {"USD": "1"}))[:-20], "xml_valid"),
        (xml(("yesterday", {"USD": "1"})), "date_valid"),
        (xml(("2026-07-09", {"dollar": "1"})), "header_known"),
        (xml(("2026-07-09", {"USD": "one"})), "number_valid"),
        (xml(("2026-07-09", {"USD": "nan"})), "number_valid"),
        (xml(("2026-07-09", {"USD": "-1.1"})), "rate_positive"),
        (xml(("2026-07-09", {"USD": "1"}), ("2026-07-09", {"USD": "2"})), "unique_rate"),
        ("Date,USD,\n", "not_empty"),
        ("Date,USD,\n2024-12-31,N/A,\n", "not_empty"),
        ("Day,USD,\n2024-12-31,1,\n", "header_known"),
        ("Date,Dollar,\n2024-12-31,1,\n", "header_known"),
        ("Date,USD,USD,\n2024-12-31,1,1,\n", "header_known"),
        ("Date,USD,\n2024-12-31,1\n", "table_shape"),
        ("Date,USD,\n2024-12-31,1,\n2024-12-31,2,\n", "unique_rate"),
        (zipped(), "one_member"),
        (zipped(a__csv=HIST, b__csv=HIST), "one_member"),
        (zipped(a__csv=HIST)[:-30], "not_damaged"),
    ],
)
def test_unusable_payload_is_refused_by_rule(body: bytes | str, rule: str) -> None:
    assert refused(body).rule == rule


@pytest.mark.parametrize(("cell", "rule"), [("0", "rate_positive"), ("-1", "rate_positive"), ("x", "number_valid")])
def test_bad_rate_is_named_with_its_row(cell: str, rule: str) -> None:
    error = refused(f"Date,USD,HKD,\n2024-12-31,1,8,\n2024-12-30,1,{cell},\n")
    assert (error.rule, error.locator) == (rule, "row 3")
    assert "HKD" in error.message


def test_zip_bomb_stops_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_UNPACKED_BYTES", 1_000_000)
    assert refused(zipped(a__csv="0" * 20_000_000)).rule == "size_bound"


def test_member_path_is_not_trusted() -> None:
    assert len(parse(zipped(**{"../../../etc/rates__csv": HIST})).frame) == 4


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    for data in (body, b"<a>" + body, b"PK\x03\x04" + body, b"Date,USD\n" + body):
        with contextlib.suppress(PayloadError):
            parse(data)


_DAYS = st.dates(dt.date(1999, 1, 4), dt.date(2026, 12, 31))
_RATES = st.dictionaries(st.sampled_from(["USD", "HKD", "CNY"]), st.floats(1e-6, 1e6), min_size=1)


@given(st.dictionaries(_DAYS, _RATES, min_size=1, max_size=5))
def test_xml_and_csv_of_the_same_rates_agree(table: dict[dt.date, dict[str, float]]) -> None:
    days = sorted(table, reverse=True)
    rows = "".join(
        f"{day},{','.join(repr(table[day].get(n, 'N/A')) for n in ('USD', 'HKD', 'CNY'))},\n" for day in days
    )
    from_csv = parse("Date,USD,HKD,CNY,\n" + rows.replace("'", "")).frame.drop(columns="locator")
    from_xml = parse(
        xml(*((day.isoformat(), {name: repr(rate) for name, rate in table[day].items()}) for day in days))
    ).frame.drop(columns="locator")
    assert from_csv.to_dict("list") == from_xml.to_dict("list")
    assert from_csv["rate"].tolist() == [table[day][name] for day in sorted(table) for name in sorted(table[day])]
