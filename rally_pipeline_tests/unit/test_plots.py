"""The pictures on the asset pages: well-formed, of the size they say, with every line inside the plot."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from defusedxml.ElementTree import fromstring

from rally_pipeline.orchestration.plots import line_svg

_SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("days", "values"),
    [
        (3, [2.4e9, 2.41e9, 2.38e9]),
        (2, [0.0, 0.0]),
        (365, [100.0 + number % 17 for number in range(365)]),
        (59, [-3.2 - 0.01 * number for number in range(59)]),
        (60, [1e-6 * number for number in range(60)]),
    ],
)
def test_every_point_is_inside_the_plot_and_every_number_on_the_scale(days: int, values: list[float]) -> None:
    last = dt.date(2025, 2, 14)
    points = [(last - dt.timedelta(days=days - 1 - number), value) for number, value in enumerate(values)]
    picture = fromstring(line_svg({"A&B <share>": points, "short": points[:2]}, "close & first"))
    assert (picture.get("width"), picture.get("height")) == ("560", "180")
    lines = [
        [tuple(map(float, point.split(","))) for point in re.split("[ML]", line.get("d"))[1:]]
        for line in picture.iter(f"{_SVG}path")
        if line.get("aria-roledescription") == "line mark"
    ]
    assert [len(line) for line in lines] == [days, 2]
    assert all(0 <= x <= 560 and 0 <= y <= 180 for line in lines for x, y in line)
    texts = [text.text for text in picture.iter(f"{_SVG}text")]
    assert {"close & first", "A&B <share>", "short"} <= set(texts)
    on_scale = [text for text in texts if re.fullmatch(r"[−\d.]+[a-zA-Zµ]?", text)]
    assert len(set(on_scale)) >= (2 if len(set(values)) > 1 else 1)
