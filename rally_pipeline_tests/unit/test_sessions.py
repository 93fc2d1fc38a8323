"""Calendars: the facts that the rest of the project relies on, corrections, horizons and anchors."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline import sessions
from rally_pipeline.catalog.loader import load_catalog
from rally_pipeline.catalog.model import CalendarExtension, CalendarOverride, Event, Market
from rally_pipeline.errors import CalendarHorizonError, UsageError
from rally_pipeline.sessions import Calendars, SessionState, expand_events

DAY = dt.timedelta(days=1)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


@pytest.fixture(scope="module")
def calendars() -> Calendars:
    return Calendars.from_catalog(load_catalog())


def closed_weekdays(calendars: Calendars, market: str, year: int) -> list[str]:
    sessions = set(calendars.sessions(market, dt.date(year, 1, 1), dt.date(year, 12, 31)))
    days = [dt.date(year, 1, 1) + DAY * number for number in range(366)]
    return [f"{one:%m-%d}" for one in days if one.year == year and one.weekday() < 5 and one not in sessions]


def half_days(calendars: Calendars, market: str, year: int) -> list[str]:
    frame = calendars.session_frame(market, dt.date(year, 1, 1), dt.date(year, 12, 31))
    return list(frame.loc[frame.is_half_day, "session_date"].dt.strftime("%m-%d"))


@pytest.mark.parametrize(
    ("market", "closed", "half"),
    [
        (
            "HK",
            "01-01 02-17 02-18 02-19 04-03 04-06 04-07 05-01 05-25 06-19 07-01 10-01 10-19 12-25",
            "02-16 12-24 12-31",
        ),
        (
            "CN",
            "01-01 01-02 02-16 02-17 02-18 02-19 02-20 02-23 04-06 05-01 05-04 05-05 06-19 09-25 10-01 10-02 10-05 "
            "10-06 10-07",
            "",
        ),
        ("DE", "01-01 04-03 04-06 05-01 12-24 12-25 12-31", "12-30"),
        ("US", "01-01 01-19 02-16 04-03 05-25 06-19 07-03 09-07 11-26 12-25", "11-27 12-24"),
        ("FX", "01-01 04-03 04-06 05-01 12-25", ""),
    ],
)
def test_year_2026(calendars: Calendars, market: str, closed: str, half: str) -> None:
    assert closed_weekdays(calendars, market, 2026) == closed.split()
    assert half_days(calendars, market, 2026) == half.split()


def test_hong_kong_2027(calendars: Calendars) -> None:
    assert closed_weekdays(calendars, "HK", 2027) == [
        "01-01", "02-08", "02-09", "03-26", "03-29", "04-05", "05-13", "06-09", "07-01", "09-16", "10-01", "10-08",
        "12-27",
    ]  # fmt: skip
    assert half_days(calendars, "HK", 2027) == ["02-05", "12-24", "12-31"]


@pytest.mark.parametrize(
    ("year", "count"),
    [(2018, 223), (2020, 226), (2021, 224), (2022, 228), (2023, 231), (2024, 233), (2025, 237), (2026, 236)],
)
def test_southbound_sessions_per_year(calendars: Calendars, year: int, count: int) -> None:
    assert len(calendars.sessions("SOUTHBOUND", dt.date(year, 1, 1), dt.date(year, 12, 31))) == count


@pytest.mark.parametrize(
    "closed",
    [
        "2014-12-29",  # override: year-end settlement
        "2021-12-29",  # override: year-end settlement
        "2023-01-19",  # settlement in the mainland's new year holiday
        "2023-01-20",
        "2015-06-19",  # the next Hong Kong session is a mainland holiday although the one after is not
        "2024-09-06",  # signal 8
        "2024-09-16",
        "2024-09-17",
        "2024-10-02",
        "2024-10-03",
        "2024-10-04",
        "2024-10-07",
        "2025-01-28",
        "2025-02-03",
        "2025-02-04",
    ],
)
def test_southbound_closed(calendars: Calendars, closed: str) -> None:
    assert calendars.state("SOUTHBOUND", day(closed)) is SessionState.CLOSED


@pytest.mark.parametrize("opened", ["2014-11-17", "2015-06-17", "2023-09-28", "2024-09-30", "2025-01-27", "2025-02-05"])
def test_southbound_open(calendars: Calendars, opened: str) -> None:
    assert calendars.state("SOUTHBOUND", day(opened)) is SessionState.OPEN


def test_hong_kong_traded_while_southbound_did_not(calendars: Calendars) -> None:
    for text in ("2025-01-28", "2025-02-03", "2025-02-04", "2024-10-02"):
        assert calendars.state("HK", day(text)) is SessionState.OPEN


@pytest.mark.parametrize(
    "cancelled",
    ["2016-08-02", "2016-10-21", "2017-08-23", "2020-10-13", "2021-10-13", "2023-07-17", "2023-09-01", "2023-09-08",
     "2024-09-06"],
)  # fmt: skip
def test_hong_kong_weather(calendars: Calendars, cancelled: str) -> None:
    assert calendars.state("HK", day(cancelled)) is SessionState.CLOSED
    assert calendars.state("SOUTHBOUND", day(cancelled)) is SessionState.CLOSED


def test_hong_kong_trades_in_bad_weather_since_2024(calendars: Calendars) -> None:
    assert calendars.state("HK", day("2024-11-14")) is SessionState.OPEN


def test_southbound_weeks_of_2026_differ_in_length(calendars: Calendars) -> None:
    def length(friday: str) -> int:
        return len(calendars.sessions("SOUTHBOUND", day(friday) - 4 * DAY, day(friday)))

    assert [length(f"2026-{text}") for text in ("02-20", "10-09", "04-10", "05-08", "10-02")] == [0, 2, 3, 3, 3]


def test_last_session_of_2024(calendars: Calendars) -> None:
    year_end = day("2024-12-31")
    assert calendars.last_session_on_or_before("HK", year_end) == year_end
    assert calendars.last_session_on_or_before("US", year_end) == year_end
    assert calendars.last_session_on_or_before("DE", year_end) == day("2024-12-30")


def test_session_times(calendars: Calendars) -> None:
    half = calendars.session("HK", day("2024-12-31"))
    assert half.is_half_day
    assert half.open_at == dt.datetime(2024, 12, 31, 1, 30, tzinfo=dt.UTC)
    assert half.close_at == dt.datetime(2024, 12, 31, 4, 0, tzinfo=dt.UTC)
    assert calendars.session("SOUTHBOUND", day("2024-12-31")).close_at == half.close_at
    summer = calendars.session("FX", day("2025-07-01"))
    winter = calendars.session("FX", day("2025-02-14"))
    assert (summer.close_at.hour, winter.close_at.hour) == (14, 15)
    assert calendars.session("US", day("2026-11-27")).close_at == dt.datetime(2026, 11, 27, 18, 0, tzinfo=dt.UTC)


def test_session_on_a_closed_day_is_a_value_error(calendars: Calendars) -> None:
    with pytest.raises(ValueError, match="2025-02-01 is not a session of HK"):
        calendars.session("HK", day("2025-02-01"))


def test_neighbours(calendars: Calendars) -> None:
    assert calendars.previous_session("HK", day("2025-02-03")) == day("2025-01-28")
    assert calendars.next_session("HK", day("2025-01-28")) == day("2025-02-03")
    assert calendars.next_session("CN", day("2025-01-30")) == day("2025-02-05")
    assert calendars.next_session("HK", day("2003-12-31")) == day("2004-01-02")


class TestHorizon:
    def test_horizons_do_not_depend_on_today(self, calendars: Calendars) -> None:
        assert calendars.horizon("CN") >= day("2026-12-31")
        assert calendars.horizon("HK") == day("2030-12-31")
        assert calendars.horizon("SOUTHBOUND") == min(calendars.horizon("HK"), calendars.horizon("CN"))

    def test_first_days(self, calendars: Calendars) -> None:
        assert calendars.first_day("CN") == day("2004-01-01")
        assert calendars.first_day("SOUTHBOUND") == day("2014-11-17")

    @pytest.mark.parametrize("market", ["HK", "CN", "DE", "US", "JP", "GB", "FX", "SOUTHBOUND"])
    def test_outside_is_unknown(self, calendars: Calendars, market: str) -> None:
        beyond = calendars.horizon(market) + DAY
        assert calendars.state(market, beyond) is SessionState.UNKNOWN
        assert calendars.state(market, calendars.first_day(market) - DAY) is SessionState.UNKNOWN
        assert calendars.state(market, calendars.horizon(market)) is not SessionState.UNKNOWN
        for ask in (calendars.last_session_on_or_before, calendars.session, calendars.next_session):
            with pytest.raises(CalendarHorizonError):
                ask(market, beyond)
        with pytest.raises(CalendarHorizonError):
            calendars.last_session_on_or_before(market, calendars.first_day(market) - DAY)
        with pytest.raises(CalendarHorizonError):
            calendars.next_session(market, calendars.first_day(market) - 2 * DAY)

    def test_sessions_beyond_it_name_market_day_horizon_and_fix(self, calendars: Calendars) -> None:
        horizon = calendars.horizon("SOUTHBOUND")
        with pytest.raises(CalendarHorizonError) as caught:
            calendars.sessions("SOUTHBOUND", horizon - 30 * DAY, horizon + DAY)
        for part in ("SOUTHBOUND", str(horizon), str(horizon + DAY), "Upgrade", "calendar_extensions entry CN"):
            assert part in str(caught.value)

    def test_known_sessions_and_frames_are_clipped(self, calendars: Calendars) -> None:
        horizon = calendars.horizon("CN")
        known = calendars.known_sessions("CN", horizon - 10 * DAY, horizon + 400 * DAY)
        assert known
        assert known[-1] <= horizon
        assert len(calendars.session_frame("CN", horizon - 10 * DAY, horizon + 400 * DAY)) == len(known)

    def test_an_extension_moves_it(self) -> None:
        plain = Calendars()
        horizon = plain.horizon("CN")
        first, last = dt.date(horizon.year + 1, 1, 1), dt.date(horizon.year + 1, 12, 31)
        monday = first + DAY * ((7 - first.weekday()) % 7)
        extension = CalendarExtension(
            market=Market.CN, known_until=last, closed=(monday,), half_days=(monday + DAY,), reason="announced"
        )
        extended = Calendars(extensions=[extension])
        assert extended.horizon("CN") == last
        assert extended.horizon("SOUTHBOUND") == min(last, extended.horizon("HK"))
        assert extended.state("CN", monday) is SessionState.CLOSED
        assert extended.session("CN", monday + DAY).is_half_day
        assert not extended.session("CN", monday + 2 * DAY).is_half_day
        assert extended.sessions("CN", first, horizon) == []
        assert extended.known_sessions("CN", dt.date(2020, 1, 1), horizon) == plain.sessions(
            "CN", dt.date(2020, 1, 1), horizon
        )

    def test_an_extension_within_the_known_changes_nothing(self) -> None:
        extension = CalendarExtension(market=Market.HK, known_until=day("2026-12-31"), closed=(), reason="old")
        assert Calendars(extensions=[extension]).horizon("HK") == Calendars().horizon("HK")


def test_overrides_close_and_open_days() -> None:
    overrides = [
        CalendarOverride(market=Market.HK, date=day("2026-09-15"), is_session=False, reason="storm"),
        CalendarOverride(market=Market.HK, date=day("2026-09-19"), is_session=True, reason="Saturday session"),
        CalendarOverride(market=Market.HK, date=day("2026-09-16"), is_session=True, reason="already one"),
        CalendarOverride(market=Market.HK, date=day("2055-01-01"), is_session=True, reason="beyond the horizon"),
    ]
    plain, changed = Calendars(), Calendars(overrides)
    assert changed.state("HK", day("2026-09-15")) is SessionState.CLOSED
    assert changed.state("SOUTHBOUND", day("2026-09-15")) is SessionState.CLOSED
    assert changed.session("HK", day("2026-09-19")).open_at == dt.datetime(2026, 9, 19, 1, 30, tzinfo=dt.UTC)
    assert changed.state("HK", day("2055-01-01")) is SessionState.UNKNOWN
    everything = (day("2004-01-01"), day("2030-12-31"))
    difference = set(changed.sessions("HK", *everything)) ^ set(plain.sessions("HK", *everything))
    assert difference == {day("2026-09-15"), day("2026-09-19")}


def test_shipped_overrides_all_change_something(calendars: Calendars) -> None:
    """One that does not has been overtaken by a newer exchange_calendars and can go."""
    plain = Calendars()
    for override in load_catalog().calendar_overrides:
        wanted = SessionState.OPEN if override.is_session else SessionState.CLOSED
        assert calendars.state(override.market, override.date) is wanted
        assert plain.state(override.market, override.date) is not wanted, f"{override.market} {override.date}"


def test_unknown_market(calendars: Calendars) -> None:
    with pytest.raises(UsageError, match=r"no calendar 'XX'.*HK, CN"):
        calendars.state("XX", day("2025-01-02"))


def test_market_enum_and_text_are_the_same(calendars: Calendars) -> None:
    assert calendars.state(Market.HK, day("2025-01-02")) is SessionState.OPEN
    frame = calendars.session_frame(Market.HK, day("2025-01-02"), day("2025-01-02"))
    assert frame["market"].tolist() == ["HK"]


def test_lunar_new_year_reopenings(calendars: Calendars) -> None:
    found = calendars.lunar_new_year_reopenings(2019, 2026)
    assert [f"{found[year]:%m-%d}" for year in range(2019, 2027)] == [
        "02-11", "02-03", "02-18", "02-07", "01-30", "02-19", "02-05", "02-24",
    ]  # fmt: skip
    beyond = calendars.horizon("CN").year + 1
    assert calendars.lunar_new_year_reopenings(beyond, beyond) == {}


def test_expand_events(calendars: Calendars) -> None:
    events = load_catalog().events
    expanded = expand_events(events, calendars, 2024, 2025)
    assert [(event_id, str(date)) for event_id, _, date in expanded] == [
        ("lunar_new_year_2024", "2024-02-19"),
        ("stimulus_package", "2024-09-24"),
        ("deepseek_r1_release", "2025-01-20"),
        ("lunar_new_year_2025", "2025-02-05"),
        ("business_symposium", "2025-02-17"),
    ]
    assert expand_events(events.values(), calendars, 2024, 2025) == expanded
    own = Event(event_id="own", name="Own", date=day("2030-01-01"))
    assert expand_events([own], calendars, 2024, 2025) == [("own", "Own", day("2030-01-01"))]


class TestSessionFrame:
    def test_columns_and_types(self, calendars: Calendars) -> None:
        frame = calendars.session_frame("HK", day("2025-01-01"), day("2025-02-28"))
        dates = [name for name in frame if name.endswith(("_date", "_at", "_start"))]
        assert len(dates) == 8
        assert {str(frame[name].dtype) for name in dates} == {"datetime64[s]"}
        assert str(frame["market"].dtype) == "str"
        assert str(frame["session_no"].dtype) == "int64"
        assert str(frame["is_half_day"].dtype) == "bool"

    def test_anchors_of_2025_02_14(self, calendars: Calendars) -> None:
        row = calendars.session_frame("DE", day("2025-02-14"), day("2025-02-14")).iloc[0]
        assert row.year_base_date == pd.Timestamp("2024-12-30")
        assert row.month_base_date == pd.Timestamp("2025-01-31")
        assert row.ago_1y_date == pd.Timestamp("2024-02-14")
        assert row.window_52w_start == pd.Timestamp("2024-02-16")
        assert row.window_3y_start == pd.Timestamp("2022-02-14")
        assert row.open_at == pd.Timestamp("2025-02-14 08:00")
        assert row.close_at == pd.Timestamp("2025-02-14 16:30")

    def test_no_anchor_before_the_first_session(self, calendars: Calendars) -> None:
        frame = calendars.session_frame("SOUTHBOUND", day("2014-01-01"), day("2015-12-31"))
        first = frame.iloc[0]
        assert first.session_no == 1
        assert first.session_date == pd.Timestamp("2014-11-17")
        assert pd.isna(first.year_base_date)
        assert pd.isna(first.month_base_date)
        assert pd.isna(first.ago_1y_date)
        assert first.window_3y_start == pd.Timestamp("2011-11-17")
        assert frame.iloc[-1].year_base_date == pd.Timestamp("2014-12-24")

    def test_session_no_does_not_depend_on_the_start(self, calendars: Calendars) -> None:
        whole = calendars.session_frame("US", day("2004-01-01"), day("2025-12-31"))
        part = calendars.session_frame("US", day("2025-01-01"), day("2025-12-31"))
        pd.testing.assert_frame_equal(whole.tail(len(part)).reset_index(drop=True), part)
        assert (np.diff(whole.session_no) == 1).all()

    def test_empty(self, calendars: Calendars) -> None:
        full = calendars.session_frame("HK", day("2025-02-03"), day("2025-02-03"))
        for start, end in (("2025-02-01", "2025-02-02"), ("2025-02-05", "2025-02-03"), ("1990-01-01", "1991-01-01")):
            empty = calendars.session_frame("HK", day(start), day(end))
            assert empty.empty
            assert empty.dtypes.equals(full.dtypes)

    @settings(max_examples=60, deadline=None)
    @given(
        market=st.sampled_from(["HK", "CN", "DE", "US", "FX", "SOUTHBOUND"]),
        start=st.dates(dt.date(2004, 1, 1), dt.date(2026, 12, 1)),
    )
    def test_anchors_are_what_a_loop_finds(self, calendars: Calendars, market: str, start: dt.date) -> None:
        frame = calendars.session_frame(market, start, start + 10 * DAY)
        for row in frame.itertuples():
            session = row.session_date.date()

            def last(limit: dt.date) -> pd.Timestamp | None:
                try:
                    return pd.Timestamp(calendars.last_session_on_or_before(market, limit))
                except CalendarHorizonError:
                    return None

            expected = {
                "year_base_date": last(dt.date(session.year - 1, 12, 31)),
                "month_base_date": last(session.replace(day=1) - DAY),
                "ago_1y_date": last(session - relativedelta(months=12)),
                "window_52w_start": pd.Timestamp(session - dt.timedelta(weeks=52)),
                "window_3y_start": pd.Timestamp(session - relativedelta(months=36)),
            }
            for name, value in expected.items():
                found = getattr(row, name)
                assert pd.isna(found) if value is None else found == value, (session, name)

    def test_leap_day(self, calendars: Calendars) -> None:
        row = calendars.session_frame("HK", day("2024-02-29"), day("2024-02-29")).iloc[0]
        assert row.window_3y_start == pd.Timestamp("2021-02-28")
        assert row.ago_1y_date == pd.Timestamp("2023-02-28")


def test_import_is_light() -> None:
    code = "import sys, rally_pipeline.sessions; print({'exchange_calendars', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_calendar_that_was_kept_is_the_one_that_was_computed(tmp_path, monkeypatch) -> None:
    def known(market: str) -> pd.DataFrame:
        monkeypatch.setattr(sessions, "_known", {})
        kept = Calendars.from_catalog(load_catalog(), kept_in=tmp_path)
        frame = kept.session_frame(market, kept.first_day(market), kept.horizon(market))
        return frame.assign(horizon=kept.horizon(market))

    computed = known("DE")
    (path,) = tmp_path.glob("XETR-*.npz")
    with monkeypatch.context() as patched:
        patched.setattr(sessions, "_computed_table", None)
        pd.testing.assert_frame_equal(known("DE"), computed)
        patched.setattr(sessions, "LAST_KNOWN_DAY", dt.date(2029, 12, 31))  # what is kept answers another question
        with pytest.raises(TypeError):
            known("DE")
    for damaged in (path.read_bytes()[:1000], b""):
        path.write_bytes(damaged)
        pd.testing.assert_frame_equal(known("DE"), computed)
        assert path.read_bytes() != damaged  # and the next one finds a whole one
