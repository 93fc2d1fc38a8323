"""Parts of the site by themselves: how numbers are printed, how a text is cut, what a chart draws."""

from __future__ import annotations

import datetime as dt
import json
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rally_pipeline.publish.site import formats
from rally_pipeline.publish.site.charts import Chart, Dot, Flag, Series, draw
from rally_pipeline.publish.site.notes import VERDICTS, ClaimView, pieces
from rally_pipeline.publish.site.shell import embedded
from rally_pipeline.publish.site.southbound import rush_month
from rally_pipeline.publish.site.world import ByDay

NBSP = "\u00a0"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (formats.number(1234567.891), "1,234,567.89"),
        (formats.number(-0.5, 1), "−0.5"),
        (formats.number(-0.001), "0.00"),
        (formats.number(None), "–"),
        (formats.percent(12.7636), f"+12.76{NBSP}%"),
        (formats.percent(-1.3), f"−1.30{NBSP}%"),
        (formats.percent(0.0), f"0.00{NBSP}%"),
        (formats.money(124.1, "HKD"), f"HK${NBSP}124.10"),
        (formats.money(-3.0, "XYZ", 0), f"−XYZ{NBSP}3"),
        (formats.money(85, "", 0), "85"),
        (formats.billions(26598.41, "HKD"), f"+HK${NBSP}26.60{NBSP}bn"),
        (formats.billions(None, "HKD"), "–"),
        (formats.millions(3_878_900_000), f"3,878.9{NBSP}mn"),
        (formats.day(dt.date(2025, 2, 4)), f"4{NBSP}Feb{NBSP}2025"),
        (formats.ordinal(1), "1st"),
        (formats.ordinal(12), "12th"),
        (formats.ordinal(1022), "1,022nd"),
        (formats.plural(1, "session"), f"1{NBSP}session"),
        (formats.plural(8, "session"), f"8{NBSP}sessions"),
    ],
)
def test_numbers_days_and_names_are_printed_one_way(text, shown):
    assert text == shown


def _claim(number, start, end, verdict="confirmed"):
    row = {"start_offset": start, "end_offset": end}
    return ClaimView(number, f"claim-{number}", row, None, VERDICTS[verdict], None)


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.sampled_from(list(VERDICTS))), max_size=6),
)
def test_a_text_cut_at_claims_is_the_text_and_every_claim_is_marked(text, spans):
    inside = [(min(a, b), max(a, b), v) for a, b, v in spans if max(a, b) <= len(text) and a != b]
    claims = [_claim(number, *span) for number, span in enumerate(inside, start=1)]
    found = pieces(text, claims)
    assert "".join(piece.text for piece in found) == text
    for claim in claims:
        marked = "".join(piece.text for piece in found if claim in piece.claims)
        assert marked == text[claim.start : claim.end]
        assert sum(claim in piece.ending for piece in found) == 1


def test_where_claims_overlap_the_worst_verdict_colours():
    claims = [_claim(1, 0, 10), _claim(2, 5, 8, "contradicted")]
    found = pieces("0123456789", claims)
    assert [(p.text, p.verdict.code) for p in found] == [
        ("01234", "confirmed"),
        ("567", "contradicted"),
        ("89", "confirmed"),
    ]


def _chart(**more):
    days = [dt.date(2025, 1, 1) + dt.timedelta(days=n) for n in range(40)]
    points = tuple((day, 100.0 + n) for n, day in enumerate(days))
    values = {
        "ident": "c",
        "title": "t",
        "unit": "u",
        "series": (Series("close", points),),
        "summary": "",
        "source": "",
    }
    return Chart(**{**values, **more})


def test_a_chart_is_drawn_once_per_width_in_the_pages_own_colours():
    evil = "<script>&\"'"
    drawing = draw(
        _chart(
            flags=(Flag(dt.date(2025, 1, 9), evil),),
            dots=(Dot(dt.date(2025, 1, 3), 102.0, "high", True, "up"),),
            narrow_days=20,
        )
    )
    assert [name for name, _ in drawing.pictures] == ["wide", "narrow"]
    for _, svg in drawing.pictures:
        root = ElementTree.fromstring(svg)
        assert root.get("aria-hidden") == "true"
        assert "var(--accent)" in svg
        assert "style=" not in svg
        assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"\d\.\d{2,}", re.sub(r"data-plot=\"[^\"]*\"", "", svg))
    wide, narrow = (json.loads(ElementTree.fromstring(svg).get("data-plot")) for _, svg in drawing.pictures)
    assert wide["x"][1] == narrow["x"][1]
    assert wide["x"][0] < narrow["x"][0]
    assert "&lt;script&gt;" in drawing.pictures[0][1]
    # What is before the narrow picture's first day is not drawn in it.
    assert "high" in drawing.pictures[0][1]
    assert "high" not in drawing.pictures[1][1]


def test_the_readout_has_every_point_and_the_axis_holds_them():
    drawing = draw(_chart(), is_small=True)
    ((name, svg),) = drawing.pictures
    assert name == "all"
    (series,) = drawing.data["series"]
    days = [sum(series["x"][: n + 1]) for n in range(40)]
    assert days[0] == (dt.date(2025, 1, 1) - dt.date(1970, 1, 1)).days
    assert days == list(range(days[0], days[0] + 40))
    low, high = json.loads(ElementTree.fromstring(svg).get("data-plot"))["y"]
    assert low <= 100.0 <= 139.0 <= high


def test_bars_stand_on_zero_and_nothing_to_draw_is_nothing():
    drawing = draw(_chart(kind="bar"))
    assert json.loads(ElementTree.fromstring(drawing.pictures[0][1]).get("data-plot"))["y"][0] == 0
    assert draw(_chart(series=())) is None
    assert draw(_chart(series=(Series("one", ((dt.date(2025, 1, 1), 1.0),)),))) is None


def test_json_cannot_end_its_script():
    text = str(embedded({"a": "</script><!--\u2028"}))
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--\u2028"}


def test_the_rush_is_the_last_september_that_is_over():
    assert rush_month(dt.date(2025, 2, 5)) == dt.date(2024, 9, 1)
    assert rush_month(dt.date(2025, 9, 30)) == dt.date(2024, 9, 1)
    assert rush_month(dt.date(2025, 10, 1)) == dt.date(2025, 9, 1)


def test_a_value_is_asked_for_as_of_a_day():
    values = ByDay([(dt.date(2025, 1, 2), "a"), (dt.date(2025, 1, 6), "b")])
    assert values.at(dt.date(2025, 1, 1)) is None
    assert values.at(dt.date(2025, 1, 5)) == "a"
    assert values.at(dt.date(2025, 1, 6)) == "b"
