"""Extremes on whole series against what one would look up by hand, day by day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.marts.price_extremes_whole import compute


def _months_before(day: dt.date, months: int) -> tuple[dt.date, bool]:
    """The same day so many months earlier, else that month's last; and whether it is the latter."""
    number = day.year * 12 + day.month - 1 - months
    year, month = number // 12, number % 12 + 1
    last = (dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(days=1)).day
    return dt.date(year, month, min(day.day, last)), day.day > last


def _by_hand(series: Sequence[tuple[dt.date, float]]) -> list[dict[str, Any]]:
    rows = []
    for at, (day, close) in enumerate(series):
        so_far = series[: at + 1]
        row: dict[str, Any] = {"session_date": day, "close": close, "first_session_date": series[0][0]}
        three_years, is_shorter = _months_before(day, 36)
        starts = {
            "52w": (day - dt.timedelta(days=364), False),
            "3y": (three_years, is_shorter),
        }
        for side, best, word in (("high", max, "highest"), ("low", min, "lowest")):
            for name, (start, is_after) in starts.items():
                inside = [(d, c) for d, c in so_far if (d > start if is_after else d >= start)]
                row[f"{side}_{name}"] = best(c for _, c in inside)
                others = [c for d, c in inside if d < day]
                is_best = all(close > c if side == "high" else close < c for c in others)
                known = (series[0][0] - start).days <= 7
                row[f"is_{name}_{side}"] = is_best if known else None
            as_good = [d for d, c in series[:at] if (c >= close if side == "high" else c <= close)]
            row[f"{word}_since_date"] = as_good[-1] if as_good else None
            last = so_far[-60:]
            level = best(c for _, c in last)
            other = "peak" if side == "high" else "trough"
            row[f"{other}_close"], row[f"{other}_date"] = level, [d for d, c in last if c == level][-1]
        rows.append(row)
    return rows


def _check(of_symbols: dict[str, list[tuple[dt.date, float]]]) -> None:
    rows = [(symbol, day, close) for symbol, series in of_symbols.items() for day, close in series]
    found = compute(
        {
            "symbol": np.array([row[0] for row in rows], object),
            "session_date": np.array([row[1] for row in rows], "M8[D]"),
            "close": np.array([row[2] for row in rows]),
        }
    )
    expected = [{"symbol": symbol, **row} for symbol, series in of_symbols.items() for row in _by_hand(series)]
    for name in expected[0]:
        got = found[name].tolist()
        if name.startswith("is_"):
            got = [None if value != value else bool(value) for value in got]
        assert got == [row[name] for row in expected], name
    for name, of in (("rise_from_trough_pct", "trough_close"), ("drawdown_from_high_pct", "high_52w")):
        assert found[name].tolist() == [(row["close"] / row[of] - 1.0) * 100.0 for row in expected]


_series = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 6)),  # few levels: ties, and runs of equal closes
    min_size=1,
    max_size=130,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_series, min_size=1, max_size=3), st.integers(0, 2000))
def test_any_series(drawn: list[list[tuple[int, int]]], start: int) -> None:
    of_symbols = {}
    for number, steps in enumerate(drawn):
        day, series = dt.date(2015, 1, 1) + dt.timedelta(days=start + number), []
        for gap, level in steps:
            series.append((day, float(level)))
            day += dt.timedelta(days=gap)
        of_symbols[f"S{number}"] = series
    _check(of_symbols)


@pytest.mark.parametrize("first", [dt.date(2017, 2, 24), dt.date(2016, 12, 1)])
def test_a_window_of_three_years_that_ends_on_a_29_february(first: dt.date) -> None:
    """It begins on 1 March: a higher close on 28 February three years before is outside of it."""
    days = [first + dt.timedelta(days=n) for n in range((dt.date(2020, 3, 3) - first).days + 1)]
    closes = [100.0 if day == dt.date(2017, 2, 28) else 10.0 + 0.001 * n for n, day in enumerate(days)]
    _check({"S": list(zip(days, closes, strict=True))})


def test_one_bar() -> None:
    _check({"A": [(dt.date(2024, 2, 29), 5.0)], "B": [(dt.date(2024, 2, 29), 5.0)]})
