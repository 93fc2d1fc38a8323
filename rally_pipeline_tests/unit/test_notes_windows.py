"""Stretches of time, printed dates and the date of a note; English and Chinese; hostile input."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.notes.dates import add_months
from rally_pipeline.notes.records import WindowKind
from rally_pipeline.notes.windows import find_dates, find_windows, note_date

K = WindowKind
AS_OF = dt.date(2025, 2, 20)  # a Thursday
EVENTS = {
    "lunar_new_year_2024": dt.date(2024, 2, 19),
    "lunar_new_year_2025": dt.date(2025, 2, 5),
    "lunar_new_year_2026": dt.date(2026, 2, 24),
    "stimulus_package": dt.date(2024, 9, 24),
    "deepseek_r1_release": dt.date(2025, 1, 20),
}


def windows(text, as_of=AS_OF):
    return find_windows(text, 0, len(text), as_of, EVENTS)


def day(month, number, year=2025):
    return dt.date(year, month, number)


YEAR = (day(1, 1), day(1, 1), None)
MONTH = (day(2, 1), day(2, 1), None)
WEEK = (day(2, 17), day(2, 17), None)


@pytest.mark.parametrize(
    ("text", "words", "kind", "days"),
    [
        ("up 13% year to date", "year to date", K.YEAR_TO_DATE, YEAR),
        ("YTD gain of 4%", "YTD", K.YEAR_TO_DATE, YEAR),
        ("has risen so far this year", "so far this year", K.YEAR_TO_DATE, YEAR),
        ("since the start of the year", "since the start of the year", K.YEAR_TO_DATE, YEAR),
        ("gained 50% in 2025", "in 2025", K.YEAR_TO_DATE, YEAR),
        ("since January 1, it rose", "since January 1", K.YEAR_TO_DATE, YEAR),
        ("since the end of last year", "since the end of last year", K.YEAR_TO_DATE, YEAR),
        ("恒指年初至今升", "年初至今", K.YEAR_TO_DATE, YEAR),
        ("今年以來升", "今年以來", K.YEAR_TO_DATE, YEAR),
        ("自2024年底以来", "自2024年底以来", K.YEAR_TO_DATE, YEAR),
        ("so far in February", "so far in February", K.MONTH_TO_DATE, MONTH),
        ("month-to-date loss", "month-to-date", K.MONTH_TO_DATE, MONTH),
        ("本月以来", "本月以来", K.MONTH_TO_DATE, MONTH),
        ("down this quarter", "this quarter", K.QUARTER_TO_DATE, (day(1, 1), day(1, 1), None)),
        ("rose 3% this week", "this week", K.WEEK_TO_DATE, WEEK),
        ("ended 3% higher for the week", "for the week", K.WEEK_TO_DATE, WEEK),
        ("本周累跌", "本周", K.WEEK_TO_DATE, WEEK),
        ("swung throughout the week", "throughout the week", K.WEEK_TO_DATE, WEEK),
        ("bought since the holiday", "since the holiday", K.SINCE_EVENT, (day(2, 5), day(2, 5), None)),
        ("since the week-long holiday", "since the week-long holiday", K.SINCE_EVENT, (day(2, 5), day(2, 5), None)),
        ("since the new year break", "since the new year break", K.SINCE_EVENT, (day(2, 5), day(2, 5), None)),
        (
            "between January 13 and Friday",
            "between January 13 and Friday",
            K.PERIOD,
            (day(1, 13), day(1, 13), day(2, 14)),
        ),
        ("恒指自1月13日至2月14日升", "自1月13日至2月14日", K.PERIOD, (day(1, 13), day(1, 13), day(2, 14))),
        ("2月10日至14日，恒指升", "2月10日至14日", K.PERIOD, (day(2, 10), day(2, 10), day(2, 14))),
        ("恒指昨收市跌", "昨", K.DAY, (day(2, 19), day(2, 19), day(2, 19))),
        ("up 31% since mid-January", "since mid-January", K.SINCE_DATE, (day(1, 10), day(1, 20), None)),
        ("1月中旬以来", "1月中旬以来", K.SINCE_DATE, (day(1, 10), day(1, 20), None)),
        ("since early February", "since early February", K.SINCE_DATE, (day(2, 1), day(2, 10), None)),
        ("since late December", "since late December", K.SINCE_DATE, (day(12, 21, 2024), day(12, 31, 2024), None)),
        ("since 13 January", "since 13 January", K.SINCE_DATE, (day(1, 13), day(1, 13), None)),
        ("自1月13日以來", "自1月13日以來", K.SINCE_DATE, (day(1, 13), day(1, 13), None)),
        ("since Friday", "since Friday", K.SINCE_DATE, (day(2, 14), day(2, 14), None)),
        ("since September", "since September", K.SINCE_DATE, (day(9, 1, 2024), day(9, 30, 2024), None)),
        ("rebounded from its January low", "from its January low", K.SINCE_LOW, (day(1, 1), day(1, 31), None)),
        ("from a low on 13 January", "from a low on 13 January", K.SINCE_LOW, (day(1, 13), day(1, 13), None)),
        ("自1月低位反彈", "自1月低位", K.SINCE_LOW, (day(1, 1), day(1, 31), None)),
        (
            "down from its October 2024 peak",
            "from its October 2024 peak",
            K.SINCE_HIGH,
            (day(10, 1, 2024), day(10, 31, 2024), None),
        ),
        (
            "compared with September's rush",
            "September's",
            K.PERIOD,
            (day(9, 1, 2024), day(9, 1, 2024), day(9, 30, 2024)),
        ),
        ("fell last week", "last week", K.PERIOD, (day(2, 10), day(2, 10), day(2, 16))),
        ("上周跌", "上周", K.PERIOD, (day(2, 10), day(2, 10), day(2, 16))),
        ("lost 4% last year", "last year", K.PERIOD, (day(1, 1, 2024), day(1, 1, 2024), day(12, 31, 2024))),
        ("in 2023", "in 2023", K.PERIOD, (day(1, 1, 2023), day(1, 1, 2023), day(12, 31, 2023))),
        (
            "in the third quarter of 2024",
            "in the third quarter of 2024",
            K.PERIOD,
            (day(7, 1, 2024), day(7, 1, 2024), day(9, 30, 2024)),
        ),
        ("3Q24 sales", "3Q24", K.PERIOD, (day(7, 1, 2024), day(7, 1, 2024), day(9, 30, 2024))),
        ("2024年9月净流入", "2024年9月", K.PERIOD, (day(9, 1, 2024), day(9, 1, 2024), day(9, 30, 2024))),
        ("去年第四季", "去年第四季", K.PERIOD, (day(10, 1, 2024), day(10, 1, 2024), day(12, 31, 2024))),
        (
            "from January 13 to February 17",
            "from January 13 to February 17",
            K.PERIOD,
            (day(1, 13), day(1, 13), day(2, 17)),
        ),
        ("the week ended February 14", "the week ended February 14", K.PERIOD, (day(2, 10), day(2, 10), day(2, 14))),
        ("in the past two weeks", "in the past two weeks", K.TRAILING, (day(2, 6), day(2, 6), None)),
        ("over the last 12 months", "over the last 12 months", K.TRAILING, (day(2, 20, 2024), day(2, 20, 2024), None)),
        ("过去两周净买入", "过去两周", K.TRAILING, (day(2, 6), day(2, 6), None)),
        ("over the past year", "over the past year", K.TRAILING, (day(2, 20, 2024), day(2, 20, 2024), None)),
        ("hit a three-year high", "three-year high", K.LOOKBACK, (day(2, 20, 2022), day(2, 20, 2022), None)),
        ("三年新高", "三年新高", K.LOOKBACK, (day(2, 20, 2022), day(2, 20, 2022), None)),
        (
            "its highest since October 2021",
            "since October 2021",
            K.LOOKBACK,
            (day(10, 1, 2021), day(10, 31, 2021), None),
        ),
        ("2022年2月以来最高", "2022年2月以来", K.LOOKBACK, (day(2, 1, 2022), day(2, 28, 2022), None)),
        ("the highest level in a year", "in a year", K.LOOKBACK, (day(2, 20, 2024), day(2, 20, 2024), None)),
        (
            "most in more than three years",
            "in more than three years",
            K.LOOKBACK,
            (day(2, 20, 2021), day(2, 20, 2022), None),
        ),
        ("touched this year's high", "this year's high", K.LOOKBACK, YEAR),
        ("年内新高", "年内新高", K.LOOKBACK, YEAR),
        ("an all-time high", "all-time high", K.ALL_TIME, (None, None, None)),
        ("歷史新高", "歷史新高", K.ALL_TIME, (None, None, None)),
        ("the biggest gain ever", "ever", K.ALL_TIME, (None, None, None)),
        (
            "busiest since listing in late 2019",
            "since listing in late 2019",
            K.ALL_TIME,
            (day(10, 1, 2019), day(12, 31, 2019), None),
        ),
        ("上市以来最大", "上市以来最大", K.ALL_TIME, (None, None, None)),
        ("fell on Monday", "on Monday", K.DAY, (day(2, 17),) * 3),
        ("from yesterday", "yesterday", K.DAY, (day(2, 19),) * 3),
        ("周五收市", "周五收市", K.DAY, (day(2, 14),) * 3),
        ("昨日急升", "昨日", K.DAY, (day(2, 19),) * 3),
        ("on Monday, February 17, it rose", "on Monday, February 17", K.DAY, (day(2, 17),) * 3),
        ("as of 14 February", "as of 14 February", K.DAY, (day(2, 14),) * 3),
        ("2月17日触及", "2月17日", K.DAY, (day(2, 17),) * 3),
        (
            "since the Lunar New Year holiday",
            "since the Lunar New Year holiday",
            K.SINCE_EVENT,
            (day(2, 5), day(2, 5), None),
        ),
        ("農曆新年假期後", "農曆新年假期後", K.SINCE_EVENT, (day(2, 5), day(2, 5), None)),
        (
            "since returning from the Chinese New Year break",
            "since returning from the Chinese New Year break",
            K.SINCE_EVENT,
            (day(2, 5), day(2, 5), None),
        ),
        ("since DeepSeek's launch", "since DeepSeek's launch", K.SINCE_EVENT, (day(1, 20), day(1, 20), None)),
    ],
)
def test_window(text, words, kind, days):
    (window,) = windows(text)
    assert text[window.start : window.end] == words
    assert window.kind is kind
    assert (window.start_earliest, window.start_latest, window.last) == days


@pytest.mark.parametrize(
    "text",
    [
        "up 5% year on year",
        "down from a year earlier",
        "later this year",
        "opens next week",
        "a track record",
        "the record date is set",
        "annual profit",
        "it may rise",
        "on the march",
        "will start in three months",
        "同比增长5%",
        "明年",
        "recorded a gain",
        "The S&P 500 fell",
        "by 2030",
    ],
)
def test_no_window(text):
    assert windows(text) == []


def test_event_ids_and_lengths():
    assert windows("since the Spring Festival")[0].event_id == "lunar_new_year_2025"
    assert windows("since the Spring Festival", dt.date(2025, 1, 10))[0].event_id == "lunar_new_year_2024"
    assert find_windows("since the Spring Festival", 0, 25, AS_OF, {})[0].event_id == "lunar_new_year_2025"
    assert windows("a 52-week high")[0].months == 12
    assert windows("a two-and-a-half-year peak")[0].months == 30
    assert windows("a 10-day low")[0].days == 10
    assert windows("the last 12 months")[0].months == 12


def test_base_of_a_since_date_has_two_readings():
    assert windows("since 13 January")[0].is_base_inclusive is None
    assert windows("from its January low")[0].is_base_inclusive is True
    assert windows("year to date")[0].is_base_inclusive is False


def test_a_move_keeps_its_stretch_from_the_superlative_before():
    assert windows("The largest lender rose 5% since Friday")[0].kind is K.SINCE_DATE
    assert windows("Its largest daily gain since Friday")[0].kind is K.LOOKBACK


def test_without_a_day_only_stated_days_are_resolved():
    text = "since mid-January, year to date, since October 2021, in 2023, on Friday"
    assert [(w.kind, w.start_earliest) for w in windows(text, None)] == [
        (K.SINCE_DATE, None),
        (K.YEAR_TO_DATE, None),
        (K.SINCE_DATE, day(10, 1, 2021)),
        (K.PERIOD, day(1, 1, 2023)),
        (K.DAY, None),
    ]


@pytest.mark.parametrize(
    ("text", "words", "kind", "first", "last"),
    [
        (
            "in the first nine months of 2024",
            "in the first nine months of 2024",
            K.PERIOD,
            day(1, 1, 2024),
            day(9, 30, 2024),
        ),
        ("2024年前九个月净流入", "2024年前九个月", K.PERIOD, day(1, 1, 2024), day(9, 30, 2024)),
        ("between 13 January and 17 February", "between 13 January and 17 February", K.PERIOD, day(1, 13), day(2, 17)),
        ("as of end-January", "as of end-January", K.DAY, day(1, 25), day(1, 31)),
        ("fell from a 3½-year high", "from a 3½-year high", K.SINCE_HIGH, day(8, 20, 2021), None),
        ("a level last seen in 2015", "in 2015", K.LOOKBACK, day(1, 1, 2015), None),
        ("接近一年最高水平", "一年最高", K.LOOKBACK, day(2, 20, 2024), None),
        ("创2021年1月以来单周新高", "2021年1月以来", K.LOOKBACK, day(1, 1, 2021), None),
        ("in the week to Feb. 12", "in the week to Feb. 12", K.PERIOD, day(2, 10), day(2, 12)),
        ("more than the previous year's tally", "the previous year", K.PERIOD, day(1, 1, 2024), day(12, 31, 2024)),
        ("up 3.4% on Tue", "on Tue", K.DAY, day(2, 18), day(2, 18)),
    ],
)
def test_further_window(text, words, kind, first, last):
    (window,) = windows(text)
    assert (text[window.start : window.end], window.kind) == (words, kind)
    assert (window.start_earliest, window.last) == (first, last)


# ---------------------------------------------------------------- properties
MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
dates_near = st.dates(dt.date(1990, 1, 1), dt.date(2060, 12, 31))


@given(
    st.dates(dt.date(2000, 1, 1), dt.date(2059, 12, 31)),
    st.sampled_from(
        [
            "{d} {M} {y}",
            "{d}{th} {M} {y}",
            "{M} {d}, {y}",
            "{m}. {d}, {y}",
            "{M} {d}{th}, {y}",
            "{y}-{mm}-{dd}",
            "{y}年{n}月{d}日",
            "{dd}.{mm}.{y}",
            "{y}/{mm}/{dd}",
            "{d} {m} {y}",
        ]
    ),
    st.sampled_from(["{}", "on {} the gauge rose", "({})", "截至{}收市", "dated {}."]),
)
def test_printed_date_comes_back(date, style, frame):
    name = MONTHS[date.month - 1]
    th = "th" if 10 <= date.day <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(date.day % 10, "th")
    short = name[:3]
    if name == "May" and "{m}." in style:
        return
    printed = style.format(
        d=date.day, dd=f"{date.day:02d}", mm=f"{date.month:02d}", n=date.month, y=date.year, M=name, m=short, th=th
    )
    text = frame.format(printed)
    assert [(text[start:end], day) for start, end, day in find_dates(text, 0, len(text), None)] == [(printed, date)]


@given(dates_near, st.integers(0, 360))
def test_a_day_without_year_is_the_last_one(as_of, ago):
    date = as_of - dt.timedelta(days=ago)
    text = f"since {date.day} {MONTHS[date.month - 1]}"
    assert [day for _, _, day in find_dates(text, 0, len(text), as_of)] == [date]
    if date.month == date.day == 1:
        return
    (window,) = find_windows(text, 0, len(text), as_of, {})
    assert (window.start_earliest, window.start_latest, window.kind) == (date, date, K.SINCE_DATE)


@given(
    dates_near,
    st.integers(2, 60),
    st.sampled_from(["year", "month", "week", "day"]),
    st.sampled_from(["a {n}-{u} high", "the highest in {n} {u}s", "its lowest level in {n} {u}s", "the past {n} {u}s"]),
)
def test_length_comes_back(as_of, count, unit, style):
    text = style.format(n=count, u=unit)
    (window,) = find_windows(text, 0, len(text), as_of, {})
    assert window.kind is (K.TRAILING if "past" in style else K.LOOKBACK)
    months = {"year": 12, "month": 1}.get(unit)
    if months is not None:
        assert window.months == months * count
        assert window.start_latest == add_months(as_of, -months * count)
    elif (unit, count) == ("week", 52):
        assert window.months == 12
    else:
        assert window.days == count * (7 if unit == "week" else 1)
        assert window.start_latest == as_of - dt.timedelta(days=window.days)


@given(dates_near, st.sampled_from(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]))
def test_weekday_is_the_last_one(as_of, name):
    text = f"it rose on {name} again"
    (window,) = find_windows(text, 0, len(text), as_of, {})
    assert text[window.start : window.end] == f"on {name}"
    assert window.start_earliest.strftime("%A") == name
    assert 0 <= (as_of - window.start_earliest).days <= 6


words = st.lists(
    st.sampled_from(
        [
            "since",
            "the",
            "highest",
            "in",
            "3",
            "three",
            "years",
            "year",
            "month",
            "week",
            "last",
            "this",
            "January",
            "13",
            "2024",
            "mid-",
            "early",
            "low",
            "high",
            "record",
            "ever",
            "to",
            "date",
            "on",
            "Monday",
            "from",
            "年初至今",
            "三年",
            "新高",
            "以来",
            "1月",
            "自",
            "去年",
            "上周",
            "two-week",
            "'",
            "'s",
            ",",
            ".",
            "-",
            "quarter",
            "first",
            "half",
            "Q1",
            "past",
            "日",
            "周五",
            "春节",
            "后",
            "Lunar",
            "New",
            "Year",
            "\n",
        ]
    ),
    max_size=14,
)


@given(words, st.sampled_from(["", " "]), st.data())
def test_windows_lie_inside_in_order_without_overlap(pieces, blank, data):
    text = blank.join(pieces)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for as_of in (AS_OF, None):
        at = start
        for window in find_windows(text, start, end, as_of, EVENTS):
            assert at <= window.start < window.end <= end
            at = window.end
            if window.start_earliest is not None:
                assert window.start_earliest <= window.start_latest
                assert as_of is None or window.start_earliest <= as_of


def test_ambiguous_figures():
    assert find_dates("03/02/2025", 0, 10, dt.date(2025, 2, 10)) == [(0, 10, day(2, 3))]
    assert find_dates("03/02/2025", 0, 10, dt.date(2025, 5, 10)) == []
    assert find_dates("17/02/2025", 0, 10, None) == [(0, 10, day(2, 17))]
    assert find_dates("02/17/2025", 0, 10, None) == [(0, 10, day(2, 17))]
    assert find_dates("30/02/2025", 0, 10, None) == []
    assert find_dates("28 Feb, then 29 Feb", 0, 19, AS_OF) == [(0, 6, day(2, 28, 2024)), (13, 19, day(2, 29, 2024))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HONG KONG, Feb 17 — Shares rose. (c) 2025", day(2, 17)),
        ("Date: 17 February 2025\nPrices as of 14 February 2025", day(2, 17)),
        ("Title\nPublished: Tue, 09 Apr 2024 09:42:00 +0800\n\nText", day(4, 9, 2024)),
        ("17 February 2025 | Equity research\n\nSince 13 January 2025 it rose.", day(2, 17)),
        ("晨报\n2025年2月17日\n恒指上升", day(2, 17)),
        ("日期：2025-02-17\n恒指", day(2, 17)),
        ("Closing prices of 14 February 2025\n\nMonday, 17 February 2025\n", day(2, 17)),
        ("The gauge has risen since 13 January 2025 and stayed there for the rest of a long and quiet month.", None),
        ("No date here", None),
    ],
)
def test_note_date(text, expected):
    found = note_date(text)
    assert (found[0] if found else None) == expected
    if found:
        assert [date for _, _, date in find_dates(text, found[1], found[2], dt.date(2025, 12, 31))] == [expected]


@pytest.mark.parametrize(
    "piece",
    [
        "Jan 1 ",
        "since ",
        "in three months ",
        "近三年",
        "record ",
        "year ",
        "highest in ",
        "1月",
        "自",
        "last ",
        "二〇",
        "since Jan 1 ",
        "1/2/",
        "in the ",
        "Since The Lunar ",
        "more than ",
        "2024 ",
        "- ",
    ],
)
def test_time_grows_with_length_only(piece):
    def seconds(length):
        text = piece * (length // len(piece))
        begin = time.thread_time()
        windows(text)
        note_date(text)
        return time.thread_time() - begin

    short = min(seconds(5_000) for _ in range(2))
    assert seconds(20_000) < 12 * short + 0.2


def test_months_up_to_one_that_is_over():
    (found,) = windows("in the nine months to November")
    assert (found.kind, found.start_earliest, found.last) == (K.PERIOD, day(3, 1, 2024), day(11, 30, 2024))
    # Written in a February: whether the one that runs or that of last year is meant, is left open.
    (found,) = windows("in the three months to February")
    assert (found.kind, found.start_earliest) == (K.PERIOD, None)


def test_since_another_holiday_is_known_to_have_no_day():
    (found,) = windows("since the Golden Week break", dt.date(2024, 11, 20))
    assert (found.kind, found.start_earliest) == (K.SINCE_EVENT, None)


def test_a_day_beside_the_name_of_an_event():
    text = "since the port strike (7 January 2025)"
    (found,) = windows(text)
    assert (found.kind, found.start_earliest, text[found.start : found.end]) == (K.SINCE_DATE, day(1, 7), text)
