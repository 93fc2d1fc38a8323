"""Bands, readings and the verdict they give, without a warehouse."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.audit.bands import Band, band, is_tenfold, last_digit, precision
from rally_pipeline.audit.facts import Dated, Facts
from rally_pipeline.audit.judge import Reading, Row, decide, result, soften
from rally_pipeline.audit.prices import check_level, check_return
from rally_pipeline.audit.readings import Abstain, as_of_days, months_before, named_days, price_starts, start_range
from rally_pipeline.audit.rows import claim_from_row, claim_sha256
from rally_pipeline.audit.run import audit_one
from rally_pipeline.audit.texts import explain, figure
from rally_pipeline.audit.verdict import REASONS, Reason, Verdict
from rally_pipeline.audit.volumes import month_from
from rally_pipeline.notes.records import AsOfBasis, Claim, ClaimType, Comparator, Direction, WindowKind
from rally_pipeline_tests.audited import claim, claim_columns, reference, window

D = dt.date.fromisoformat
REACH = Band(0.8, 1.25)


def _performance(value: float | None, tolerance: float | None = 0.5, **more: Any) -> Claim:
    more = {"as_of": "2025-02-14", "unit": "pct", **more}
    as_of = more.pop("as_of")
    return claim(ClaimType.PERFORMANCE, "^HSI", "return_pct", as_of, value=value, tolerance=tolerance, **more)


@pytest.mark.parametrize(
    ("stated", "low", "high"),
    [
        (_performance(13), 12.5, 13.5),
        (_performance(13.1, 0.05), 13.05, 13.15),
        (_performance(50, hedge="nearly", comparator=Comparator.APPROX), 45, 50.5),
        (_performance(50, hedge="almost", comparator=Comparator.AT_MOST), 45, 50.5),
        (_performance(50, hedge="接近"), 45, 50.5),
        (_performance(50, hedge="about", comparator=Comparator.APPROX), 47.5, 52.5),
        (_performance(50, hedge="约"), 47.5, 52.5),
        (_performance(4, hedge="around", comparator=Comparator.APPROX), 3.5, 4.5),
        (_performance(13, comparator=Comparator.AT_LEAST, hedge="more than"), 13, None),
        (_performance(13, comparator=Comparator.AT_MOST, hedge="up to"), -0.5, 13),
        (_performance(-2, comparator=Comparator.EQ, direction=Direction.DOWN), -2.5, -1.5),
        (_performance(2, comparator=Comparator.EQ, direction=Direction.DOWN), -2.5, -1.5),
        # "fell more than 2 %", as a signed value and as a size with a direction
        (_performance(-2, comparator=Comparator.AT_MOST, direction=Direction.DOWN), None, -2),
        (_performance(2, comparator=Comparator.AT_LEAST, direction=Direction.DOWN), None, -2),
    ],
)
def test_bands(stated: Claim, low: float | None, high: float | None) -> None:
    found = band(stated)
    assert found is not None
    assert found.signed == pytest.approx((low, high))


@given(
    value=st.floats(0.1, 500),
    digits=st.integers(0, 2),
    shift=st.floats(-3, 3),
    falls=st.booleans(),
)
def test_a_figure_is_borne_out_if_it_rounds_to_it(value: float, digits: int, shift: float, falls: bool) -> None:
    unit = 10.0**-digits
    printed = round(value, digits)
    stated = _performance(-printed if falls else printed, unit / 2, direction=Direction.DOWN if falls else Direction.UP)
    found = band(stated)
    assert found is not None
    sign = -1 if falls else 1
    assert found.holds(sign * value)
    moved = printed + shift * unit
    if abs(abs(shift) - 0.5) > 1e-6:
        assert found.holds(sign * moved) == (abs(shift) < 0.5)
    assert not found.holds(-sign * (value + unit))


@given(value=st.floats(1, 1e6), figure=st.floats(-1e6, 1e6), comparator=st.sampled_from(list(Comparator)))
def test_falls_mirror_rises(value: float, figure: float, comparator: Comparator) -> None:
    up = band(_performance(value, comparator=comparator, direction=Direction.UP))
    down = band(_performance(value, comparator=comparator, direction=Direction.DOWN))
    assert (up is None) == (down is None)
    if up is not None and down is not None:
        assert up.holds(figure) == down.holds(-figure)


@pytest.mark.parametrize(("value", "half"), [(13.0, 0.5), (13.1, 0.05), (26.6e9, 0.05e9), (20.0, 0.5), (18028, 0.5)])
def test_last_digit(value: float, half: float) -> None:
    assert last_digit(value) == pytest.approx(half)
    assert precision(_performance(value, half)) == pytest.approx(value / half)


def test_rounding_twice_is_no_contradiction() -> None:
    stated = _performance(1.9, 0.05)
    wanted = band(stated)
    assert wanted is not None
    for figure_, verdict in ((1.85, Verdict.CONFIRMED), (1.848, Verdict.NOT_CHECKABLE), (1.84, Verdict.CONTRADICTED)):
        checked = soften(stated, decide(stated, wanted, [_reading(figure_)]))
        assert checked.verdict is verdict
        assert (checked.reason is Reason.ROUNDING) == (verdict is Verdict.NOT_CHECKABLE)


def test_index_levels_may_be_cut_off() -> None:
    level = claim(ClaimType.LEVEL, "^HSI", "close", "2025-02-14", value=18028, tolerance=0.5)
    found = band(level, truncated=True)
    assert found is not None
    assert [found.holds(x) for x in (18027.4, 18027.6, 18028.9, 18029.1)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("stated", "words", "chinese", "observed", "is_slip"),
    [
        (2.66e9, "2.66 billion", False, 26.6e9, True),
        (26.6e9, "HK$26.6bn", False, 2.66e9, True),
        (266e9, "266亿", True, 26.6e9, True),
        (2.66e9, "26.6亿", True, 27.5e9, True),
        (2.66e9, "26.6亿", True, 28.5e9, False),
        (26.6e9, "266亿", True, 26.6e9, False),
        (2.66e6, "2.66 million", False, 26.6e6, False),
        (1.3, "1.3 percent", False, 13.0, False),
        (26.6e9, "26.6 billion", False, 0.0, False),
    ],
)
def test_tenfold(stated: float, words: str, chinese: bool, observed: float, is_slip: bool) -> None:
    made = _performance(stated, quote=words, is_scale_word_chinese=chinese)
    assert is_tenfold(made, observed) is is_slip
    assert is_tenfold(made, -observed) is is_slip


# ----------------------------------------------------------------------------------------------------------------------


def _reading(figure: float, rank: int = 0, day: str = "2025-02-14", **more: Any) -> Reading:
    return Reading(figure, D(day), rank=rank, **more)


@given(
    figures=st.lists(st.tuples(st.sampled_from([5.0, 13.0, 13.4, 20.0]), st.integers(0, 2)), min_size=1, max_size=8),
    tolerance=st.sampled_from([0.5, 0.05]),
)
@settings(max_examples=200)
def test_all_some_none(figures: list[tuple[float, int]], tolerance: float) -> None:
    stated = _performance(13, tolerance)
    wanted = band(stated)
    assert wanted is not None
    readings = [_reading(f, rank, f"2025-02-{10 + n}") for n, (f, rank) in enumerate(figures)]
    checked = decide(stated, wanted, readings)
    fits = {rank: [abs(f - 13) <= tolerance for f, r in figures if r == rank] for rank in (0, 1, 2)}
    if fits[0] and all(fits[0]):
        expected = Verdict.CONFIRMED
    elif any(fits[0]) or any(fits[1]) or (any(fits[2]) and tolerance == 0.05):
        expected = Verdict.WINDOW_DECIDES
    elif not fits[0]:
        expected = Verdict.NOT_CHECKABLE
    else:
        expected = Verdict.CONTRADICTED
    assert checked.verdict is expected
    twice = soften(stated, checked)
    assert twice.verdict is expected, "nothing excuses these"
    good = {r.day for r in readings if abs(r.figure - 13) <= tolerance}
    assert set(checked.days) <= good
    assert bool(checked.days) == (expected in (Verdict.CONFIRMED, Verdict.WINDOW_DECIDES))


def test_a_vague_start_is_read_from_its_turning_point() -> None:
    stated = _performance(31)
    wanted = band(stated)
    assert wanted is not None
    low = _reading(30.9, start=D("2025-01-13"), is_turning_point=True)
    other = _reading(27.0, start=D("2025-01-15"))
    checked = decide(stated, wanted, [low, other])
    assert (checked.verdict, checked.reason) == (Verdict.CONFIRMED, Reason.TURNING_POINT)
    checked = decide(stated, wanted, [dataclasses.replace(low, figure=35.0), dataclasses.replace(other, figure=31.2)])
    assert (checked.verdict, checked.reason, checked.days) == (
        Verdict.WINDOW_DECIDES,
        Reason.START_DECIDES,
        (D("2025-01-15"),),
    )


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"details": {"is_proxy": True}}, Reason.PROXY_SUBJECT),
        ({"as_of_basis": AsOfBasis.FILE_TIME}, Reason.AMBIGUOUS_DAY),
        ({"timing": "open"}, Reason.INTRADAY_NOT_KEPT),
        ({"timing": "intraday"}, Reason.INTRADAY_NOT_KEPT),
    ],
)
def test_what_may_not_be_contradicted(more: dict[str, Any], reason: Reason) -> None:
    stated = _performance(13, **more)
    wanted = band(stated)
    assert wanted is not None
    for size, verdict in ((13.0, Verdict.CONFIRMED), (20.0, Verdict.NOT_CHECKABLE)):
        checked = soften(stated, decide(stated, wanted, [_reading(size)]))
        assert checked.verdict is verdict
        assert (checked.reason is reason) == (verdict is Verdict.NOT_CHECKABLE)


def test_every_reason_is_described() -> None:
    assert set(REASONS) == set(Reason)
    assert all(text.endswith(".") and "\n" not in text for text in REASONS.values())
    assert max(len(reason.value) for reason in Reason) <= 24


# --- with a small world ----------------------------------------------------------------------------------------------


@functools.cache
def _world() -> Facts:
    """^HSI from 2024-01-02 to 2025-02-28: 100 on its first session, 1 more on each, 50 on 2025-01-13."""
    catalog, calendars = reference()
    facts = Facts(calendars, catalog, D("2025-02-28"))
    days = calendars.sessions("HK", D("2024-01-02"), D("2025-02-28"))
    closes = np.array([50.0 if day == D("2025-01-13") else 100.0 + n for n, day in enumerate(days)])
    known = np.array(["2025-03-01T00:00:00"] * len(days), dtype="M8[us]")
    columns = {name: closes.copy() for name in ("open", "high", "low", "close")}
    facts.prices["^HSI"] = Dated(
        "^HSI", "HK", [d.toordinal() for d in days], columns, known, "core_price_resolved_daily", "symbol=^HSI", "HKD",
        "index",
    )  # fmt: skip
    facts.events["lunar_new_year_2024"] = D("2024-02-19")
    facts.events["lunar_new_year_2025"] = D("2025-02-05")
    return facts


def _close(day: str) -> float:
    series = _world().prices["^HSI"]
    at = series.on(D(day))
    assert at is not None
    return series.value(at) or 0.0


def _checked(stated: Claim) -> tuple[Verdict, Reason]:
    found = audit_one("c", stated, _world())
    return found.verdict, found.reason


def test_days_of_a_note() -> None:
    facts = _world()

    def days(day: str, basis: AsOfBasis, **more: Any) -> list[tuple[str, int]]:
        stated = _performance(1, as_of=day, as_of_basis=basis)
        return [(str(a.day), a.rank) for a in as_of_days(stated, facts, "HK", **more) if a.rank < 2]

    assert days("2025-02-14", AsOfBasis.STATED) == [("2025-02-14", 0)]
    assert days("2025-02-16", AsOfBasis.STATED) == [("2025-02-14", 0)]
    assert days("2025-02-17", AsOfBasis.DOCUMENT_DATE) == [("2025-02-17", 0), ("2025-02-14", 1)]
    assert days("2025-02-17", AsOfBasis.LATEST_DATE_NAMED) == [
        ("2025-02-17", 0),
        ("2025-02-14", 1),
        ("2025-02-18", 1),
    ]
    assert days("2025-02-17", AsOfBasis.STATED, around=True) == [
        ("2025-02-17", 0),
        ("2025-02-14", 1),
        ("2025-02-18", 1),
    ]
    with pytest.raises(Abstain, match="future"):
        days("2025-03-01", AsOfBasis.STATED)
    with pytest.raises(Abstain, match="ambiguous_day"):
        as_of_days(dataclasses.replace(_performance(1), as_of_date=None), facts, "HK")


def test_a_window_of_one_day() -> None:
    facts = _world()
    today = window(WindowKind.DAY, "2025-02-14", last="2025-02-14")
    stated = _performance(1, window=today)
    assert [str(a.day) for a in named_days(stated, facts, "HK")] == ["2025-02-14"]
    own = dataclasses.replace(stated, as_of_basis=AsOfBasis.DOCUMENT_DATE)
    assert [(str(a.day), a.rank) for a in named_days(own, facts, "HK")] == [("2025-02-14", 0), ("2025-02-13", 1)]
    sunday = dataclasses.replace(stated, window=window(WindowKind.DAY, "2025-02-16"))
    assert [(str(a.day), a.rank) for a in named_days(sunday, facts, "HK")] == [("2025-02-14", 1)]
    wrong = dataclasses.replace(sunday, value=70.0, timing="close")
    assert _checked(wrong) == (Verdict.NOT_CHECKABLE, Reason.AMBIGUOUS_DAY), "no session, so nothing to hold against it"
    note = dataclasses.replace(wrong, as_of_date=D("2025-02-16"), as_of_basis=AsOfBasis.DOCUMENT_DATE)
    assert _checked(note)[0] is Verdict.CONTRADICTED, "a note of a Sunday speaks of Friday"


def test_starts() -> None:
    facts = _world()
    series = facts.prices["^HSI"]
    as_of = D("2025-02-14")

    def starts(made: Any, rank: int = 0) -> list[str]:
        found = price_starts(made, facts, series, as_of, falls=False)
        return [str(series.day(s.base)) for s in found if s.rank == rank]

    assert starts(window(WindowKind.YEAR_TO_DATE, "2025-01-01")) == ["2024-12-31"]
    assert starts(window(WindowKind.YEAR_TO_DATE)) == ["2024-12-31"]
    assert starts(window(WindowKind.MONTH_TO_DATE)) == ["2025-01-28"]
    assert starts(window(WindowKind.WEEK_TO_DATE)) == ["2025-02-07"]
    assert starts(window(WindowKind.SINCE_DATE, "2025-01-13", is_base_inclusive=None)) == ["2025-01-10", "2025-01-13"]
    assert starts(window(WindowKind.SINCE_DATE, "2025-01-13", is_base_inclusive=True)) == ["2025-01-13"]
    assert starts(window(WindowKind.SINCE_DATE, "2025-01-13")) == ["2025-01-10"]
    month, week = window(WindowKind.TRAILING, months=1), window(WindowKind.TRAILING, days=7)
    assert (starts(month), starts(month, 1)) == (["2025-01-14"], ["2025-01-13"])
    assert (starts(week), starts(week, 1)) == (["2025-02-07"], ["2025-02-05", "2025-02-06"])
    low = window(WindowKind.SINCE_LOW, "2025-01-01", "2025-01-31")
    assert (starts(low), starts(low, 1)) == (["2025-01-13"], ["2025-01-13"])
    # the mainland reopened on the 5th, Hong Kong after its own holiday on the 3rd
    event = window(WindowKind.SINCE_EVENT, event_id="lunar_new_year")
    assert (starts(event), starts(event, 1)) == (["2025-02-04"], ["2025-01-28"])
    vague = price_starts(window(WindowKind.SINCE_DATE, "2025-01-10", "2025-01-20"), facts, series, as_of, falls=False)
    assert [str(series.day(s.base)) for s in vague if s.is_turning_point] == ["2025-01-13"]
    with pytest.raises(Abstain, match="window_unknown"):
        start_range(window(WindowKind.SINCE_DATE), facts, as_of)
    with pytest.raises(Abstain, match="insufficient_history"):
        price_starts(window(WindowKind.SINCE_DATE, "2024-01-02"), facts, series, as_of, falls=False)


def test_returns_and_levels() -> None:
    year = window(WindowKind.YEAR_TO_DATE, "2025-01-01")
    rise = (_close("2025-02-14") / _close("2024-12-31") - 1) * 100
    assert _checked(_performance(round(rise, 1), 0.05, window=year)) == (Verdict.CONFIRMED, Reason.IN_BAND)
    assert _checked(_performance(round(rise) + 3, window=year)) == (Verdict.CONTRADICTED, Reason.OUT_OF_BAND)
    assert _checked(_performance(-round(rise, 1), 0.05, window=year))[0] is Verdict.CONTRADICTED
    other = claim(ClaimType.PERFORMANCE, "^HSI", "return_pct", "2025-02-14", value=5.0, unit="HKD", window=year)
    assert _checked(other) == (Verdict.NOT_CHECKABLE, Reason.UNIT_MISMATCH)
    day = window(WindowKind.DAY, "2025-02-14")
    points = claim(ClaimType.PERFORMANCE, "^HSI", "point_change", "2025-02-14", value=1.0, unit="points", window=day)
    assert _checked(points)[0] is Verdict.CONFIRMED
    level = claim(ClaimType.LEVEL, "^HSI", "close", "2025-02-14", value=_close("2025-02-14"), tolerance=0.5, window=day)
    assert _checked(level)[0] is Verdict.CONFIRMED
    wrong = dataclasses.replace(level, value=1.0)
    assert _checked(wrong) == (Verdict.NOT_CHECKABLE, Reason.INTRADAY_POSSIBLE)
    assert _checked(dataclasses.replace(wrong, timing="close"))[0] is Verdict.CONTRADICTED
    borrowed = dataclasses.replace(wrong, timing="close", window=dataclasses.replace(day, is_inherited=True))
    assert _checked(borrowed) == (Verdict.NOT_CHECKABLE, Reason.WINDOW_UNKNOWN), "the day is another sentence's"
    own = dataclasses.replace(borrowed, as_of_basis=AsOfBasis.DOCUMENT_DATE)
    assert _checked(own) == (Verdict.NOT_CHECKABLE, Reason.INTRADAY_POSSIBLE), "so may the hour be"
    assert _checked(dataclasses.replace(own, quote="closed at 1"))[0] is Verdict.CONTRADICTED
    assert _checked(dataclasses.replace(level, currency="USD")) == (Verdict.NOT_CHECKABLE, Reason.UNIT_MISMATCH)
    nothing = _performance(5.0)
    assert _checked(nothing) == (Verdict.NOT_CHECKABLE, Reason.NO_WINDOW)
    inherited = _performance(
        (_close("2025-02-14") / _close("2025-02-13") - 1) * 100,
        0.01,
        window=dataclasses.replace(year, is_inherited=True),
    )
    assert _checked(inherited) == (Verdict.NOT_CHECKABLE, Reason.WINDOW_UNKNOWN)


def test_a_split_in_the_window_is_no_contradiction() -> None:
    facts = dataclasses.replace(_world(), splits={"^HSI": [D("2025-02-03")]})
    year = window(WindowKind.YEAR_TO_DATE, "2025-01-01")
    found = check_return(_performance(90, window=year), facts)
    assert (found.verdict, found.reason) == (Verdict.NOT_CHECKABLE, Reason.SPLIT_IN_WINDOW)
    later = dataclasses.replace(facts, today=D("2025-12-31"))
    with pytest.raises(Abstain, match="stale_data"):
        check_level(claim(ClaimType.LEVEL, "^HSI", "close", "2025-06-30", value=1.0), later)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (_performance(5, stance="forecasts"), Reason.FORECAST),
        (_performance(5, stance="denies"), Reason.NOT_ASSERTED),
        (claim(ClaimType.SENTIMENT, "^HSI", "", "2025-02-14"), Reason.QUALITATIVE),
        (claim(ClaimType.POSITIONING, "^HSI", "net_exposure", "2025-02-14"), Reason.QUALITATIVE),
        (claim(ClaimType.TARGET_CHANGE, "9988.HK", "target_price", "2025-02-14", value=85.0), Reason.QUALITATIVE),
        (dataclasses.replace(_performance(5), subject_id=""), Reason.NO_INSTRUMENT),
        (dataclasses.replace(_performance(5), subject_id="^NDX"), Reason.NO_DATA),
        (dataclasses.replace(_performance(5), metric="volatility"), Reason.METRIC_UNDEFINED),
        (claim(ClaimType.LEVEL, "^HSI", "close", "2026-01-05", value=5.0), Reason.FUTURE),
    ],
)
def test_what_is_not_checked(made: Claim, reason: Reason) -> None:
    assert _checked(made) == (Verdict.NOT_CHECKABLE, reason)


@given(
    start=st.dates(D("2024-02-01"), D("2025-01-31")),
    length=st.integers(0, 20),
    end=st.integers(21, 60),
    error=st.sampled_from([0.0, 40.0, -40.0]),
    kind=st.sampled_from([WindowKind.SINCE_DATE, WindowKind.SINCE_EVENT, WindowKind.PERIOD]),
    inclusive=st.sampled_from([True, False, None]),
)
@settings(max_examples=150, deadline=None)
def test_truth_is_never_contradicted(
    start: dt.date, length: int, end: int, error: float, kind: WindowKind, inclusive: bool | None
) -> None:
    """Whatever base in the range a writer took, what he printed is not contradicted; what nobody could have printed is
    never confirmed."""
    facts, series = _world(), _world().prices["^HSI"]
    as_of = min(start + dt.timedelta(days=end), D("2025-02-28"))
    last = start + dt.timedelta(days=length)
    made = window(kind, str(start), str(last), is_base_inclusive=inclusive)
    bases = price_starts(made, facts, series, as_of, falls=False)
    at = series.at_or_before(as_of)
    assert at is not None
    truths = [(series.columns["close"][at] / series.columns["close"][s.base] - 1) * 100 for s in bases]
    for truth in truths[:3]:
        printed = round(truth + error, 1)
        stated = _performance(
            printed, 0.05, window=made, as_of=str(as_of), direction=Direction.UP if printed > 0 else Direction.DOWN
        )
        verdict, _ = _checked(stated)
        could = any(abs(t - printed) <= 0.05 + 1e-9 for t in truths)
        assert could == (verdict in (Verdict.CONFIRMED, Verdict.WINDOW_DECIDES))
        if error == 0:
            assert verdict is not Verdict.CONTRADICTED


@given(
    kind=st.sampled_from([None, *WindowKind]),
    first=st.none() | st.dates(),
    latest=st.none() | st.dates(),
    last=st.none() | st.dates(),
    months=st.none() | st.integers(0, 6000),
    days=st.none() | st.integers(0, 100_000),
    as_of=st.none() | st.dates(),
    basis=st.sampled_from([None, *AsOfBasis]),
    value=st.none() | st.floats(),
    comparator=st.sampled_from(list(Comparator)),
    claim_type=st.sampled_from(list(ClaimType)),
    subject=st.sampled_from(["^HSI", "southbound", "", "9988.HK", "nonsense"]),
    metric=st.sampled_from(["", "return_pct", "close", "net_buy", "turnover", "volume", "rank"]),
)
@settings(max_examples=200, deadline=None)
def test_any_claim_gets_a_result(**words: Any) -> None:
    """Whatever fields a claim has, the audit says something, and at once."""
    kind = words["kind"]
    made = None
    if kind is not None:
        made = dataclasses.replace(
            window(kind, months=words["months"], days=words["days"]),
            start_earliest=words["first"],
            start_latest=words["latest"],
            last=words["last"],
        )
    stated = dataclasses.replace(
        claim(words["claim_type"], words["subject"], words["metric"], None, value=words["value"], window=made),
        as_of_date=words["as_of"],
        as_of_basis=words["basis"],
        comparator=words["comparator"],
    )
    found = audit_one("c", stated, _world())
    assert explain(stated, found)
    assert found.observed_dates == tuple(sorted(set(found.observed_dates)))
    if found.verdict in (Verdict.CONFIRMED, Verdict.CONTRADICTED):
        assert found.evidence


# --- smaller things --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("September", "2024-09-01"),
        ("September's rush", "2024-09-01"),
        ("last January", "2025-01-01"),
        ("2024-09", "2024-09-01"),
        ("2024-09-15", "2024-09-01"),
        ("Oct 2023", "2023-10-01"),
        ("9月", "2024-09-01"),
        ("2023年12月", "2023-12-01"),
        ("the rush", None),
        ("", None),
        (None, None),
    ],
)
def test_months(text: object, month: str | None) -> None:
    assert month_from(text, D("2025-02-14")) == (D(month) if month else None)


@given(st.dates(D("1990-01-01"), D("2030-12-31")), st.integers(0, 240))
def test_months_before(day: dt.date, months: int) -> None:
    found = months_before(day, months)
    assert (day.year * 12 + day.month) - (found.year * 12 + found.month) == months
    assert found.day <= day.day
    assert found.day == day.day or (found + dt.timedelta(days=1)).day == 1


def test_a_claim_comes_back_from_its_row() -> None:
    made = _performance(
        13.1,
        0.05,
        direction=Direction.UP,
        window=window(WindowKind.SINCE_DATE, "2025-01-10", "2025-01-20", is_base_inclusive=None),
        details={"is_proxy": True},
    )
    back = claim_from_row(claim_columns(made))
    assert back.window is not None
    assert dataclasses.replace(back, window=made.window) == made
    assert dataclasses.replace(back.window, start=0, end=0) == made.window
    assert claim_sha256(back) == claim_sha256(made)
    assert claim_sha256(dataclasses.replace(made, broker_id="x", start=5)) == claim_sha256(made)
    assert claim_sha256(dataclasses.replace(made, value=13.2)) != claim_sha256(made)


def test_one_line() -> None:
    facts = _world()
    year = window(WindowKind.YEAR_TO_DATE, "2025-01-01")
    stated = _performance(8.0, window=year)
    line = explain(stated, audit_one("c", stated, facts))
    assert line.startswith("^HSI 2024-12-31 → 2025-02-14: +")
    assert "stated 8 % ± 0.50 %" in line
    assert "\n" not in line
    assert figure(26.6e9, "HKD") == "HKD 26.60 bn"
    assert figure(-2.1, "pct") == "-2.10 %"
    assert figure(22620.33, "points") == "22,620.33"
    assert explain(dataclasses.replace(stated, stance="forecasts"), audit_one("c", stated, facts))


def test_results_name_what_they_rest_on() -> None:
    series = _world().prices["^HSI"]
    reading = _reading(13.0, rows=(Row(series, 3),))
    stated = _performance(13)
    wanted = band(stated)
    assert wanted is not None
    found = result("c", stated, decide(stated, wanted, [reading]), D("2025-02-14"))
    assert found.subjects == ("^HSI",)
    assert found.data_known_at == dt.datetime(2025, 3, 1, tzinfo=dt.UTC)
    assert found.evidence[0]["table"] == "core_price_resolved_daily"
    assert found.evidence[0]["value"] == series.value(3)
