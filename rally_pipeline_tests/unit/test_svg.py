"""What all pictures share: round numbers for axes, labels that do not meet, text that cannot become markup."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rally_pipeline.publish import svg

_FIRST = dt.date(2024, 9, 24)


@pytest.mark.parametrize(
    ("days", "count", "ticks"),
    [
        (3, 6, ["2024-09-24", "2024-09-25", "2024-09-26", "2024-09-27"]),
        (9, 6, ["2024-09-25", "2024-09-27", "2024-09-29", "2024-10-01", "2024-10-03"]),
        (30, 5, ["2024-09-29", "2024-10-06", "2024-10-13", "2024-10-20"]),
        (120, 5, ["2024-10-01", "2024-11-01", "2024-12-01", "2025-01-01"]),
        (400, 4, ["2024-10-01", "2025-01-01", "2025-04-01", "2025-07-01", "2025-10-01"]),
        (3653, 3, ["2025-01-01", "2030-01-01"]),
    ],
)
def test_days_on_an_axis_are_round(days, count, ticks):
    low = svg.milliseconds(_FIRST)
    found = svg.day_ticks(low, low + days * svg.DAY_MS, count)
    assert [svg.day_at(place).isoformat() for place in found] == ticks


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
@example(536870912.0, 1e-6, 7)
def test_numbers_on_an_axis_are_round_ascending_and_within_it(low, span, count):
    found = svg.ticks(low, low + span, count)
    assert len(found) <= 2.5 * count
    assert all(a < b for a, b in itertools.pairwise(found))
    slack = 1e-6 * max(span, abs(low))
    assert all(low - slack <= one <= low + span + slack for one in found)


def test_counts_are_whole_and_one_value_is_one_tick():
    assert svg.ticks(0, 3, 12, least=1) == [0, 1, 2, 3]
    assert svg.ticks(2.5, 2.5, 4) == [2.5]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30, unique=True).map(sorted))
def test_labels_that_are_shown_do_not_meet(places):
    texts = ["24 Sep"] * len(places)
    shown = [places[number] for number in svg.labels_apart(places, texts, 10)]
    assert shown[0] == places[0]
    assert all(b - a >= svg.text_width("24 Sep", 10) for a, b in itertools.pairwise(shown))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (2.41e9, "2.41G"), (17_000, "17k"), (-3.2, "−3.2"), (0.05, "0.05"), (2e-5, "20µ"), (105, "105")],
)
def test_a_number_is_short(value, shown):
    assert svg.with_prefix(value) == shown


def test_what_is_said_cannot_become_markup():
    assert svg.text("<b>&", 0, -0.04, fill='"x"') == '<text x="0" y="0" fill="&quot;x&quot;">&lt;b&gt;&amp;</text>'
