"""The calendars against days on which there really was trading, as recorded by others."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path

import pytest

from rally_pipeline.catalog.loader import load_catalog
from rally_pipeline.sessions import Calendars

DATA = Path(__file__).parents[2].parent / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the recorded data (../shared/data) is not here")

#: Sessions without a value in a file, each looked into: the calendar is right.
KNOWN_GAPS = {
    # A typhoon cancelled the morning; Hong Kong traded in the afternoon, and the Hang Seng Index has a close.
    "HSTECH_close_val_to_2024.json": {dt.date(2020, 8, 19)},
}


@pytest.fixture(scope="module")
def calendars() -> Calendars:
    return Calendars.from_catalog(load_catalog())


def file_of(*parts: str) -> Path:
    path = DATA.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the recorded data")
    return path


def assert_same_days(
    calendars: Calendars, market: str, days: set[dt.date], gaps: frozenset[dt.date] | set[dt.date]
) -> None:
    sessions = set(calendars.sessions(market, min(days), max(days)))
    assert sorted(sessions - days - gaps) == [], "sessions without data"
    assert sorted(days - sessions) == [], "data without a session"


@pytest.mark.parametrize("mutual_type", ["6", "2", "4"])
def test_southbound_days_with_turnover(calendars: Calendars, mutual_type: str) -> None:
    with file_of("flows", "stock_connect_history_2014_2024.csv").open(newline="") as file:
        days = {
            dt.date.fromisoformat(row["date"])
            for row in csv.DictReader(file)
            if row["mutual_type"] == mutual_type and row["buy"]
        }
    assert len(days) > 1800
    assert_same_days(calendars, "SOUTHBOUND", days, set())


@pytest.mark.parametrize(
    ("name", "market"),
    [
        ("HSI_close_val_to_2024.json", "HK"),
        ("HSTECH_close_val_to_2024.json", "HK"),
        ("CSI300_close_val_to_2024.json", "CN"),
    ],
)
def test_index_closes(calendars: Calendars, name: str, market: str) -> None:
    content = json.loads(file_of("prices", name).read_text())
    pairs = zip(content["dates"], content["close"], strict=True)
    days = {dt.date.fromisoformat(text) for text, close in pairs if close is not None}
    assert len(days) > 1000
    assert_same_days(calendars, market, days, KNOWN_GAPS.get(name, set()))


@pytest.mark.parametrize(
    ("name", "market"),
    [
        ("GDAXI_yahoo_to_2024.csv", "DE"),
        ("SPX_yahoo_3row_header_2010_2024.csv", "US"),
        ("0700.HK_yahoo_tzaware_2025-07-18vintage_to_2024.csv", "HK"),
        ("9988.HK_yahoo_2row_header_2026-02-27vintage_to_2024.csv", "HK"),
    ],
)
def test_price_bars(calendars: Calendars, name: str, market: str) -> None:
    with file_of("prices", name).open(newline="") as file:
        days = {dt.date.fromisoformat(row[0][:10]) for row in csv.reader(file) if row and row[0][:2] == "20"}
    assert len(days) > 700
    assert_same_days(calendars, market, days, set())


def test_ecb_reference_rates(calendars: Calendars) -> None:
    with file_of("fx", "ecb_eurofxref-hist_2014_2024.csv").open(newline="") as file:
        days = {dt.date.fromisoformat(row["Date"]) for row in csv.DictReader(file)}
    assert len(days) > 2700
    assert_same_days(calendars, "FX", days, set())
