"""What people and programs are shown: times read, tables, JSON, CSV, progress."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline import console
from rally_pipeline.console import Progress, parse_instant, plain, write_csv, write_json, write_table
from rally_pipeline.errors import UsageError


def _utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "end_of_day", "expected"),
    [
        ("2025-02-14", False, _utc(2025, 2, 14)),
        ("2025-02-14", True, _utc(2025, 2, 14, 23, 59, 59, 999_999)),
        ("20250214", True, _utc(2025, 2, 14, 23, 59, 59, 999_999)),
        ("2025-02-14T16:30+08:00", True, _utc(2025, 2, 14, 8, 30)),
        ("2025-02-14T16:30Z", False, _utc(2025, 2, 14, 16, 30)),
        ("2025-02-14 16:30", True, _utc(2025, 2, 14, 16, 30)),
        ("9999-12-31", True, _utc(9999, 12, 31, 23, 59, 59, 999_999)),
    ],
)
def test_instant(text: str, end_of_day: bool, expected: dt.datetime) -> None:
    found = parse_instant(text, end_of_day=end_of_day)
    assert found == expected
    assert found.utcoffset() == dt.timedelta()


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2025-02-30", "14.02.2025", "2025-02-14T25:00", "0001-01-01T00:00+08:00"]
)
def test_no_instant(text: str) -> None:
    with pytest.raises(UsageError, match="is not a"):
        parse_instant(text, end_of_day=True)


def test_json_is_json_whatever_is_in_it() -> None:
    rows = [
        {"at": _utc(2025, 2, 14, 8), "day": dt.date(2025, 2, 14), "x": float("nan"), "y": float("inf"), "n": None},
        {"at": None, "day": None, "x": 0.1, "y": -1, "n": "恒生 \n\u2028\"'"},
    ]
    out = io.StringIO()
    write_json(iter(rows), out)
    assert json.loads(out.getvalue()) == [{k: plain(v) for k, v in row.items()} for row in rows]
    assert json.loads(out.getvalue())[0] == {
        "at": "2025-02-14T08:00:00Z",
        "day": "2025-02-14",
        "x": None,
        "y": None,
        "n": None,
    }
    empty = io.StringIO()
    write_json([], empty)
    assert json.loads(empty.getvalue()) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.none() | st.floats(allow_nan=False))))
def test_csv_is_read_back(rows: list[tuple[str, float | None]]) -> None:
    out = io.StringIO()
    write_csv(({"a": a, "b": b} for a, b in rows), ["a", "b"], out)
    found = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert found[0] == ["a", "b"]
    assert len(found) == len(rows) + 1
    for (text, number), (cell, value) in zip(rows, found[1:], strict=True):
        assert cell == text or cell == f"'{text}'"[:-1]
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert value == ("" if plain(number) is None else str(number))


def test_csv_leaves_negative_numbers_alone() -> None:
    out = io.StringIO()
    write_csv([{"a": -1.5, "b": "-1.5", "c": "^HSI"}], ["a", "b", "c"], out)
    assert out.getvalue() == "a,b,c\n-1.5,'-1.5,^HSI\n"


def test_table() -> None:
    out = io.StringIO()
    write_table([{"n": "^HSI", "x": 22620.33}, {"n": "HSTECH.HK", "x": None}], ["n", "x"], out)
    assert out.getvalue().splitlines() == [
        "n                  x",
        "---------  ---------",
        "^HSI       22,620.33",
        "HSTECH.HK          –",
    ]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_silent_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    progress = Progress(out)
    progress("working")
    progress.done()
    assert out.getvalue() == ""


def test_progress_waits_and_then_rewrites_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(console.time, "monotonic", lambda: now)
    out = _Terminal()
    progress: Any = Progress(out)
    now = 1.9
    progress("too soon")
    assert out.getvalue() == ""
    now = 3.0
    progress("x" * 500)
    progress("short")
    progress.done()
    written = out.getvalue()
    assert "\n" not in written
    assert "too soon" not in written
    screens = [""]
    for line in written.split("\r"):
        screens.append(line + screens[-1][len(line) :])
    assert [screen.rstrip() for screen in screens[2:4]] == [f"      3 s  {'x' * 107}", "      3 s  short"]
    assert screens[-1].strip() == ""
    assert max(map(len, screens)) <= 118
