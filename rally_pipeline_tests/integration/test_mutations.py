"""Good files damaged in one way each: parser and gate together catch every damage that changes what the file says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from rally_pipeline.catalog import load_catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.quality.gate import Batch, check
from rally_pipeline.quality.known import KnownFacts
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources import ecb, flow_files, price_files
from rally_pipeline.sources.base import Dataset, Payload

NOW = dt.datetime(2024, 4, 1, 12, 0, tzinfo=dt.UTC)
Rows = list[list[str]]


@functools.cache
def _catalog() -> Any:
    return load_catalog(None)


@functools.cache
def _calendars() -> Calendars:
    return Calendars.from_catalog(_catalog())


# --- good files -------------------------------------------------------------------------------------------------------

SPLIT, DIVIDEND = 12, 18  # rows on which something happens


def _days(market: str, first: dt.date, last: dt.date) -> list[str]:
    return [day.isoformat() for day in _calendars().known_sessions(market, first, last)]


@functools.cache
def _price_rows() -> tuple[tuple[str, ...], ...]:
    """A share for a month, 5 sessions before it known: split 2 for 1 (all on one footing), a dividend of 2 %."""
    days = _days("HK", dt.date(2024, 2, 19), dt.date(2024, 3, 28))
    rows = []
    for number, day in enumerate(days):
        close = 300 * (1 + 0.02 * math.sin(number * 1.3) + 0.004 * number)
        factor = 1 - 0.02 if number < DIVIDEND + 5 else 1.0
        opened = close * (1.015 if number % 2 else 0.985)
        high, low = max(opened, close) * 1.01, min(opened, close) * 0.99
        volume = 20_000_000 + 137_531 * number
        rows.append((day, *(f"{v:.4f}" for v in (opened, high, low, close, close * factor)), str(volume)))
    before = float(rows[DIVIDEND + 4][4])
    made = []
    for number, row in enumerate(rows):
        dividend = f"{before * 0.02:.4f}" if number == DIVIDEND + 5 else "0"
        made.append((*row, dividend, "2" if number == SPLIT + 5 else "0"))
    return tuple(made)


PRICE_HEADER = ["Date", "Open", "High", "Low", "Close", "Adj Close", "Volume", "Dividends", "Stock Splits"]
DAY, OPEN, HIGH, LOW, CLOSE, ADJ, VOLUME, DIV, SPL = range(9)


def price_rows() -> Rows:
    return [list(row) for row in _price_rows()[5:]]


def flow_rows() -> Rows:
    rows: Rows = []
    for number, day in enumerate(_days("SOUTHBOUND", dt.date(2024, 3, 1), dt.date(2024, 3, 28))):
        sse = (9_000 + 311.37 * number, 8_000 + 123.11 * number)
        szse = (5_000 + 57.91 * number, 5_500 + 41.77 * number)
        for channel, (buy, sell) in (("sse", sse), ("szse", szse), ("total", (sse[0] + szse[0], sse[1] + szse[1]))):
            rows.append([day, channel, f"{buy:.2f}", f"{sell:.2f}", f"{buy - sell:.2f}", "million", "HKD"])
    return rows


FLOW_HEADER = ["date", "channel", "buy", "sell", "net", "unit", "currency"]
BUY, SELL, NET, UNIT, CURRENCY = 2, 3, 4, 5, 6


def fx_rows() -> Rows:
    days = _days("FX", dt.date(2024, 3, 4), dt.date(2024, 3, 28))
    rates = {"USD": 1.09, "JPY": 163.0, "GBP": 0.855, "CNY": 7.84, "CHF": 0.96, "SEK": 11.3}
    rows = []
    for number, day in enumerate(reversed(days)):
        drift = 1 + 0.0011 * number
        usd = rates["USD"] * drift
        rest = [rates[name] * drift * (1 + 0.001 * i) for i, name in enumerate(rates) if name != "USD"]
        rows.append([day, *(f"{value:.4f}" for value in (usd, usd * 7.82, *rest))])
    return rows


FX_HEADER = ["Date", "USD", "HKD", "JPY", "GBP", "CNY", "CHF", "SEK"]


def csv(header: list[str], rows: Rows, separator: str = ",") -> bytes:
    def quoted(cell: str) -> str:
        return f'"{cell}"' if separator in cell else cell

    return "\n".join(separator.join(map(quoted, row)) for row in [header, *rows, []]).encode()


# --- what parser and gate say -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Said:
    rules: frozenset[str]
    frame: pd.DataFrame | None


_KINDS: dict[str, tuple[Dataset, Callable[[], Rows], list[str]]] = {
    "price": (Dataset.PRICE, price_rows, PRICE_HEADER),
    "flow": (Dataset.SOUTHBOUND_FLOW, flow_rows, FLOW_HEADER),
    "fx": (Dataset.FX, fx_rows, FX_HEADER),
}


def _parse(kind: str, body: bytes) -> Any:
    if kind == "price":
        request = price_files.request_for("a.csv", symbol="0700.HK")
        return price_files.parse(Payload(request, body, "text/csv", 200, NOW), _catalog())
    if kind == "flow":
        return flow_files.parse(Payload(flow_files.request_for("a.csv"), body, "text/csv", 200, NOW), _catalog())
    return ecb.parse(Payload(ecb.request_for("eurofxref.csv"), body, "text/csv", 200, NOW), _catalog())


@functools.cache
def _facts(kind: str) -> KnownFacts:
    if kind == "price":
        previous = _parse(kind, csv(PRICE_HEADER, [list(row) for row in _price_rows()[:5]])).frame
        others = _parse(kind, csv(PRICE_HEADER, price_rows())).frame
        value = others.assign(value=others["close"] * 1.0004)[["symbol", "session_date", "value"]]
        return KnownFacts(previous, value)
    if kind == "flow":
        rows = [row for row in flow_rows() if row[0] < "2024-03-12"]
        moved = [[_earlier(row[0]), *row[1:]] for row in rows]
        for number, row in enumerate(moved):
            row[2:5] = [f"{float(row[2]) * 0.9 + number:.2f}", f"{float(row[3]) * 0.9:.2f}", ""]
            row[4] = f"{float(row[2]) - float(row[3]):.2f}"
        return KnownFacts(_parse(kind, csv(FLOW_HEADER, moved)).frame)
    moved = [[_earlier(row[0]), *row[1:]] for row in fx_rows()[-3:]]
    return KnownFacts(_parse(kind, csv(FX_HEADER, moved)).frame)


def _earlier(day: str) -> str:
    return (dt.date.fromisoformat(day) - dt.timedelta(days=14)).isoformat()


def said(kind: str, body: bytes) -> Said:
    """Every rule that parser or gate named, and what would be loaded."""
    try:
        parsed = _parse(kind, body)
    except PayloadError as error:
        return Said(frozenset({error.rule}), None)
    dataset = _KINDS[kind][0]
    verdict = check(Batch(dataset, parsed.frame, _catalog(), _calendars(), NOW, _facts(kind)))
    rules = {finding.rule for finding in parsed.findings}
    rules |= {result.rule for result in verdict.results if not result.is_success}
    return Said(frozenset(rules), None if verdict.refusal else verdict.rows)


# --- damages ----------------------------------------------------------------------------------------------------------

Change = Callable[[Rows], Rows]


def cell(row: int, column: int, change: Callable[[str], str]) -> Change:
    def changed(rows: Rows) -> Rows:
        rows[row][column] = change(rows[row][column])
        return rows

    return changed


def column(number: int, change: Callable[[str], str]) -> Change:
    def changed(rows: Rows) -> Rows:
        return [[change(value) if at == number else value for at, value in enumerate(row)] for row in rows]

    return changed


def columns(
    numbers: tuple[int, ...], change: Callable[[str], str], where: Callable[[int], bool] = lambda _: True
) -> Change:
    def changed(rows: Rows) -> Rows:
        return [
            [change(value) if at in numbers and where(i) else value for at, value in enumerate(row)]
            for i, row in enumerate(rows)
        ]

    return changed


def swapped(one: int, other: int, where: Callable[[int], bool] = lambda _: True) -> Change:
    def changed(rows: Rows) -> Rows:
        for i, row in enumerate(rows):
            if where(i):
                row[one], row[other] = row[other], row[one]
        return rows

    return changed


def times(factor: float) -> Callable[[str], str]:
    return lambda text: f"{float(text) * factor:.6f}"


def days_later(days: int) -> Callable[[str], str]:
    return lambda text: (dt.date.fromisoformat(text[:10]) + dt.timedelta(days=days)).isoformat()


def copied(row: int, cells: slice, into: int) -> Change:
    def changed(rows: Rows) -> Rows:
        rows[into][cells] = rows[row][cells]
        return rows

    return changed


PRICES = (OPEN, HIGH, LOW, CLOSE, ADJ)

#: Kind of file, what is done to it, and how.
DAMAGES: list[tuple[str, str, Change | None, Callable[[bytes], bytes] | None]] = [
    ("price", "one close empty", cell(7, CLOSE, lambda _: ""), None),
    ("price", "every close empty", columns((CLOSE, ADJ), lambda _: ""), None),
    ("price", "one open empty", cell(7, OPEN, lambda _: ""), None),
    ("price", "one volume empty", cell(7, VOLUME, lambda _: ""), None),
    ("price", "a word for a price", cell(7, CLOSE, lambda _: "n.m."), None),
    ("price", "infinite price", cell(7, CLOSE, lambda _: "inf"), None),
    ("price", "price of zero", cell(7, LOW, lambda _: "0"), None),
    ("price", "sign of one close", cell(7, CLOSE, lambda v: "-" + v), None),
    ("price", "sign of all prices", columns(PRICES, lambda v: "-" + v), None),
    ("price", "sign of one volume", cell(7, VOLUME, lambda v: "-" + v), None),
    ("price", "one close ten times", cell(7, CLOSE, times(10)), None),
    ("price", "one bar ten times", columns(PRICES, times(10), lambda i: i == 7), None),
    ("price", "one bar a hundred times", columns(PRICES, times(100), lambda i: i == 7), None),
    ("price", "a week a hundredth", columns(PRICES, times(0.01), lambda i: 5 <= i < 10), None),
    ("price", "all in cents", columns(PRICES, times(100)), None),
    ("price", "all in another currency", columns(PRICES, times(1 / 7.8)), None),
    ("price", "volume in thousands", column(VOLUME, times(0.001)), None),
    ("price", "two digits of one close changed about", cell(7, CLOSE, lambda v: v[1] + v[0] + v[2:]), None),
    ("price", "high and low swapped", swapped(HIGH, LOW), None),
    ("price", "open and close swapped", swapped(OPEN, CLOSE), None),
    ("price", "close and adjusted close swapped", swapped(CLOSE, ADJ), None),
    ("price", "close and volume swapped", swapped(CLOSE, VOLUME), None),
    ("price", "a day twice, differing", lambda rows: [*rows, [*rows[7][:CLOSE], "301", *rows[7][ADJ:]]], None),
    ("price", "all days one later", column(DAY, days_later(1)), None),
    ("price", "all days one earlier", column(DAY, days_later(-1)), None),
    ("price", "all days a year later", column(DAY, days_later(366)), None),
    ("price", "two days changed about", lambda rows: _change_about(rows, 6, 9), None),
    ("price", "days in UTC of the evening before", column(DAY, lambda v: days_later(-1)(v) + " 16:00:00+00:00"), None),
    ("price", "one session left out", lambda rows: rows[:7] + rows[8:], None),
    ("price", "yesterday's bar again", copied(6, slice(OPEN, DIV), 7), None),
    ("price", "split not applied before it", columns(PRICES, times(2), lambda i: i < SPLIT), None),
    ("price", "one bar without the split", columns(PRICES, times(2), lambda i: i == SPLIT - 4), None),
    ("price", "dividend not applied", lambda rows: [[*r[:ADJ], r[CLOSE], *r[VOLUME:]] for r in rows], None),
    ("price", "dividend a hundred times", cell(DIVIDEND, DIV, times(100)), None),
    ("price", "dividend a hundredth", cell(DIVIDEND, DIV, times(0.01)), None),
    ("price", "decimal commas", columns(PRICES, lambda v: v.replace(".", ",")), None),
    ("price", "another ticker", None,
     lambda b: b.replace(b"Date,Open", b"Ticker,Date,Open", 1).replace(b"\n2024", b"\n9988.HK,2024")),
    ("price", "cut off within a row", None, lambda b: b[: len(b) - 40]),
    ("price", "a web page", None, lambda b: b"<!DOCTYPE html><html><body>Sign in</body></html>"),
    ("price", "nothing", None, lambda b: b""),
    ("price", "only the header", lambda rows: [], None),
    ("price", "bytes of another encoding", None, lambda b: b.replace(b"Date", b"D\xe4te")),
    ("flow", "one amount a hundred times", cell(9, BUY, times(100)), None),
    ("flow", "all amounts in hundreds of millions", columns((BUY, SELL, NET), times(0.01)), None),
    ("flow", "unit named wrongly", column(UNIT, lambda _: "billion"), None),
    ("flow", "another currency", column(CURRENCY, lambda _: "CNY"), None),
    ("flow", "sign of one net", cell(9, NET, lambda v: v[1:] if v.startswith("-") else "-" + v), None),
    ("flow", "sign of one buy", cell(9, BUY, lambda v: "-" + v), None),
    ("flow", "buy and sell swapped", swapped(BUY, SELL), None),
    ("flow", "channels swapped on one day", lambda rows: _swap_channels(rows, 9), None),
    ("flow", "channel unknown", cell(9, 1, lambda _: "hkex"), None),
    ("flow", "total is one channel", copied(0, slice(BUY, UNIT), 2), None),
    ("flow", "yesterday's figures again", lambda rows: _repeat_day(rows, 4), None),
    ("flow", "all days one later", column(0, days_later(1)), None),
    ("flow", "a day to come", cell(9, 0, lambda _: "2024-05-02"), None),
    ("flow", "a sell empty", cell(9, SELL, lambda _: ""), None),
    ("flow", "a day twice, differing",
     lambda rows: [*rows, [*rows[9][:BUY], "1.00", "1.00", "0.00", *rows[9][UNIT:]]], None),
    ("fx", "one rate the other way round", column(3, lambda v: f"{1 / float(v):.6f}"), None),
    ("fx", "two currencies swapped", swapped(1, 2), None),
    ("fx", "one rate a hundred times", cell(4, 3, times(100)), None),
    ("fx", "Hong Kong dollar off its peg", column(2, times(1.03)), None),
    ("fx", "rate of zero", cell(4, 3, lambda _: "0"), None),
    ("fx", "a word for a rate", cell(4, 3, lambda _: "closed"), None),
    ("fx", "yesterday's rates again", copied(5, slice(1, None), 4), None),
    ("fx", "all days a year later", column(0, days_later(366)), None),
]  # fmt: skip

#: Nothing is changed by these but the look of the file.
HARMLESS: list[tuple[str, str, Change | None, Callable[[bytes], bytes] | None]] = [
    ("price", "newest first", lambda rows: rows[::-1], None),
    ("price", "a row twice, the same", lambda rows: [*rows[:8], *rows[7:]], None),
    ("price", "months and days in another order", column(DAY, lambda v: f"{v[8:10]}/{v[5:7]}/{v[:4]}"), None),
    ("price", "byte-order mark", None, lambda b: b"\xef\xbb\xbf" + b),
    ("price", "Windows line ends", None, lambda b: b.replace(b"\n", b"\r\n")),
    ("price", "thousands separated", column(VOLUME, lambda v: f"{int(v):,}"), None),
    ("flow", "thousands separated", column(BUY, lambda v: f"{float(v):,.2f}"), None),
    ("flow", "rows in another order", lambda rows: sorted(rows, key=lambda row: row[1]), None),
]  # fmt: skip


def _change_about(rows: Rows, one: int, other: int) -> Rows:
    rows[one][DAY], rows[other][DAY] = rows[other][DAY], rows[one][DAY]
    return rows


def _swap_channels(rows: Rows, at: int) -> Rows:
    rows[at][1:], rows[at + 2][1:] = ["total", *rows[at][2:]], ["sse", *rows[at + 2][2:]]
    return rows


def _repeat_day(rows: Rows, day: int) -> Rows:
    for channel in range(3):
        rows[3 * day + channel][BUY:UNIT] = rows[3 * (day - 1) + channel][BUY:UNIT]
    return rows


def _damaged(kind: str, change: Change | None, edit: Callable[[bytes], bytes] | None) -> bytes:
    _, good, header = _KINDS[kind]
    body = csv(header, change(good()) if change else good())
    return edit(body) if edit else body


@pytest.mark.parametrize("kind", list(_KINDS))
def test_good_files_pass(kind: str) -> None:
    result = said(kind, _damaged(kind, None, None))
    assert result.rules == frozenset()
    assert result.frame is not None


def test_every_damage_that_changes_meaning_is_caught(capsys: pytest.CaptureFixture[str]) -> None:
    lines, missed = [], []
    for kind, what, change, edit in DAMAGES:
        result = said(kind, _damaged(kind, change, edit))
        lines.append(f"{kind:5} {what:40} {', '.join(sorted(result.rules)) or '—'}")
        if not result.rules:
            missed.append(f"{kind}: {what}")
    with capsys.disabled():
        print(f"\n{len(DAMAGES)} damages, caught by\n" + "\n".join(lines))
    assert len(DAMAGES) >= 40
    assert missed == []


@pytest.mark.parametrize(("kind", "what", "change", "edit"), HARMLESS, ids=[f"{k}-{w}" for k, w, _, _ in HARMLESS])
def test_what_only_looks_otherwise_says_the_same(
    kind: str, what: str, change: Change | None, edit: Callable[[bytes], bytes] | None
) -> None:
    good = said(kind, _damaged(kind, None, None)).frame
    result = said(kind, _damaged(kind, change, edit))
    if result.frame is None:  # refused rather than read wrongly
        return
    assert result.rules <= {"duplicate_row"}
    assert good is not None
    key = [name for name in good.columns if name not in ("locator",)]
    pd.testing.assert_frame_equal(
        good[key].sort_values(key[:3], ignore_index=True), result.frame[key].sort_values(key[:3], ignore_index=True)
    )
