"""Charts: Vega-Lite specifications, drawn to SVG when the site is written.

Vega draws once per width, so a page needs no chart library to open: the script of the site only moves a crosshair over
what is there. Colours are the page's own custom properties, so one drawing serves light and dark. Every chart comes
with the figures under the crosshair and a sentence; the page adds a table. Belongs here: specifications and the
clean-up of what Vega draws. Does not belong here: which figures a page shows.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

_SVG = "http://www.w3.org/2000/svg"
_EPOCH = dt.date(1970, 1, 1)
_DAY_MS = 86_400_000
#: Outer widths in pixels of a full-width chart, of the same on a phone, and of a small one.
WIDE, NARROW, SMALL = 1048, 346, 400
#: Pixels that the number of an event needs.
_LABEL_ROOM = 9
_LONG_NUMBER = re.compile(r"-?\d+\.\d{2,}")

Tone = Literal["accent", "ink", "dim", "up", "down"]


@dataclass(frozen=True)
class Series:
    """A line, or bars.

    Attributes:
        name: what it is.
        points: place on the axis (a day, or a count) and value, ascending.
        tone: which of the page's colours.
        label: printed at its end; empty = nothing.
        is_thin: drawn thin, as something to compare with.
    """

    name: str
    points: tuple[tuple[dt.date | int, float], ...]
    tone: Tone = "accent"
    label: str = ""
    is_thin: bool = False


@dataclass(frozen=True)
class Flag:
    """A line across the chart with a short label at its top: an event."""

    day: dt.date
    label: str


@dataclass(frozen=True)
class Dot:
    """A point that is named: a high or a trough. ``is_above`` puts the label above it."""

    day: dt.date
    value: float
    label: str
    is_above: bool
    tone: Tone = "ink"


@dataclass(frozen=True)
class Chart:
    """What is drawn.

    Attributes:
        ident: of the figure on its page.
        title: a heading.
        unit: of the values, for the axis and the readout.
        series: what is drawn; the first is what the readout leads with.
        kind: lines, or bars from zero.
        flags, dots: what is marked.
        digits: decimals in the readout.
        summary: what it shows, in a sentence with numbers and days.
        source: where the figures are from and of which day.
        axis: what the axis below is, where it is not days.
        has_zero: whether zero is on the scale.
        is_signed: whether values carry their sign.
        level: a value drawn as a line across, e.g. 1.
        narrow_days: days shown on a phone; 0 = all.
        reach: values beyond run out of the picture, so that one wild day does not flatten the rest.
    """

    ident: str
    title: str
    unit: str
    series: tuple[Series, ...]
    summary: str
    source: str
    kind: Literal["line", "bar"] = "line"
    flags: tuple[Flag, ...] = ()
    dots: tuple[Dot, ...] = ()
    digits: int = 2
    axis: str = ""
    has_zero: bool = False
    is_signed: bool = False
    level: float | None = None
    narrow_days: int = 0
    reach: tuple[float, float] | None = None


@dataclass(frozen=True)
class Drawing:
    """A chart that is drawn: one SVG per width, and what the crosshair says, as JSON."""

    chart: Chart
    pictures: tuple[tuple[str, str], ...]
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> str:
        """Where the axis begins, for people."""
        return _place_text(min(s.points[0][0] for s in self.chart.series if s.points))

    @property
    def last(self) -> str:
        """Where it ends."""
        return _place_text(max(s.points[-1][0] for s in self.chart.series if s.points))


def _place_text(place: dt.date | int) -> str:
    return place.isoformat() if isinstance(place, dt.date) else str(place)


def draw(chart: Chart, *, is_small: bool = False, height: int = 300) -> Drawing | None:
    """Draws a chart; ``None`` if there is nothing to draw.

    Args:
        chart: what.
        is_small: once, for a card; else for a wide and for a narrow page.
        height: of the plot on a wide page, in pixels.
    """
    if not any(len(series.points) > 1 for series in chart.series):
        return None
    if is_small:
        pictures: tuple[tuple[str, str], ...] = (("all", _picture(chart, SMALL, 150, 0)),)
    else:
        narrow = _picture(chart, NARROW, min(height, 220), chart.narrow_days)
        pictures = (("wide", _picture(chart, WIDE, height, 0)), ("narrow", narrow))
    drawn = [{"name": s.name, "tone": s.tone, **_points(s, max(chart.digits, 2))} for s in chart.series if s.points]
    data = {
        "unit": chart.unit,
        "digits": chart.digits,
        "signed": chart.is_signed,
        "days": chart.axis == "",
        "axis": chart.axis,
        "series": drawn,
    }
    return Drawing(chart, pictures, data)


def _points(series: Series, digits: int) -> dict[str, list[Any]]:
    """Places and values; of the places, the steps, which are shorter than days since 1970."""
    places = [_x(place) for place, _ in series.points]
    return {
        "x": [place - before for place, before in zip(places, [0, *places], strict=False)],
        "y": [round(value, digits) for _, value in series.points],
    }


def _x(place: dt.date | int) -> int:
    return (place - _EPOCH).days if isinstance(place, dt.date) else place


def _ms(place: dt.date | int) -> int:
    return _x(place) * _DAY_MS if isinstance(place, dt.date) else place


def _picture(chart: Chart, outer: int, height: int, last_days: int) -> str:
    import vl_convert

    places = [_ms(place) for series in chart.series for place, _ in series.points]
    low, high = min(places), max(places)
    if last_days:
        low = max(low, high - last_days * _DAY_MS)
    values = [y for series in chart.series for place, y in series.points if _ms(place) >= low]
    if chart.reach is not None:
        values = [min(max(value, chart.reach[0]), chart.reach[1]) for value in values]
    ticks = _ticks([*values, *(d.value for d in chart.dots if _ms(d.day) >= low)], chart)
    if chart.axis == "" and chart.kind == "bar":
        low, high = low - _DAY_MS, high + _DAY_MS
    bottom, top = ticks[0], ticks[-1]
    left, right = _left(bottom, top), _right(chart, outer)
    width = outer - left - right
    spec = _spec(chart, width, height, (low, high), ticks)
    svg = vl_convert.vegalite_to_svg(spec)
    meta = {"x": [low, high], "y": [bottom, top], "w": width, "h": height, "day": chart.axis == ""}
    return _clean(svg, outer, height + 52, left, meta)


def _left(bottom: float, top: float) -> int:
    longest = max(len(_tick_text(value)) for value in (bottom, top))
    return 14 + 7 * longest


def _tick_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.1f}"


def _right(chart: Chart, outer: int) -> int:
    longest = max((len(series.label) for series in chart.series), default=0)
    return max(16, min(int(longest * 6.4) + 12, outer // 3))


def _ticks(values: Sequence[float], chart: Chart) -> list[float]:
    """Round values that hold all others between the first and the last of them."""
    low, high = min(values), max(values)
    if chart.has_zero or chart.kind == "bar":
        low, high = min(low, 0.0), max(high, 0.0)
    if chart.level is not None:
        low, high = min(low, chart.level), max(high, chart.level)
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(n for n in (1, 2, 2.5, 5, 10) if span / (step * n) <= 5)
    room = 0.04 * span
    # A label below a low must not meet those of the axis, nor one above a high those of events.
    below = 0.12 * span if any(not dot.is_above for dot in chart.dots) else room
    above = 0.1 * span if any(dot.is_above for dot in chart.dots) else room
    bottom = math.floor((low - (0 if low == 0 else below)) / step) * step
    top = math.ceil((high + above) / step) * step
    # No room where there can be no value.
    if low >= 0:
        bottom = max(bottom, 0.0)
    if chart.unit == "%" and high <= 100:
        top = min(top, 100.0)
    return [round(bottom + n * step, 9) for n in range(round((top - bottom) / step) + 1)]


def _spec(chart: Chart, width: int, height: int, span: tuple[int, int], ticks: Sequence[float]) -> dict[str, Any]:
    is_time = chart.axis == ""
    scale = {"type": "utc", "domain": list(span), "nice": False} if is_time else {"domain": list(span), "nice": False}
    x: dict[str, Any] = {"field": "x", "type": "temporal" if is_time else "quantitative", "scale": scale}
    days = (span[1] - span[0]) / _DAY_MS
    x["axis"] = {
        "title": chart.axis or None,
        "grid": False,
        "tickCount": max(2, min(int(width / 66), 12 if not is_time else 40)),
        "labelOverlap": True,
        **({"format": "%b %Y" if days > 250 else "%-d %b"} if is_time else {"format": "d", "tickMinStep": 1}),
    }
    y = {
        "field": "y",
        "type": "quantitative",
        "scale": {"domain": [ticks[0], ticks[-1]], "nice": False, "zero": False},
        "axis": {"title": None, "values": list(ticks), "format": ",.0f" if max(map(abs, ticks)) >= 10 else ",.1f"},
    }
    inside = {"filter": f"datum.x >= {span[0]} && datum.x <= {span[1]}"}
    layers: list[dict[str, Any]] = []

    def layer(mark: dict[str, Any], rows: list[dict[str, Any]], **encoding: Any) -> None:
        layers.append({"data": {"values": rows}, "transform": [inside], "mark": mark, "encoding": encoding})

    if chart.level is not None:
        rule: dict[str, Any] = {"type": "rule", "stroke": "var(--dim)", "strokeDash": [3, 3]}
        layers.append({"data": {"values": [{"y": chart.level}]}, "mark": rule, "encoding": {"y": y}})
    if chart.flags:
        rows = [{"x": _ms(flag.day)} for flag in chart.flags]
        layer({"type": "rule", "stroke": "var(--dim)", "strokeDash": [2, 3], "opacity": 0.7}, rows, x=x)
        rows = _flag_labels(chart.flags, span, width)
        label = {"type": "text", "fill": "var(--dim)", "fontSize": 11, "dy": -8, "fontWeight": 600}
        layer(label, rows, x=x, y={"value": 0}, text={"field": "text"})
    if chart.kind == "bar":
        _bars(chart, layer, x, y, width, span)
    else:
        _lines(chart, layer, x, y)
    _dots(chart, layer, x, y, span, width)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": width,
        "height": height,
        "padding": 0,
        "autosize": {"type": "none"},
        "background": None,
        "config": _CONFIG,
        "layer": layers,
    }


def _flag_labels(flags: Sequence[Flag], span: tuple[int, int], width: int) -> list[dict[str, Any]]:
    """Labels of events; those of events too near each other to be told apart become one, from the first to the last."""
    near = _LABEL_ROOM * (span[1] - span[0]) / width
    groups: list[list[Flag]] = []
    for flag in flags:
        if groups and _ms(flag.day) - _ms(groups[-1][-1].day) < near:
            groups[-1].append(flag)
        else:
            groups.append([flag])
    return [
        {
            "x": (_ms(group[0].day) + _ms(group[-1].day)) // 2,
            "text": group[0].label if len(group) == 1 else f"{group[0].label}–{group[-1].label}".strip("–"),
        }
        for group in groups
    ]


_CONFIG = {
    "view": {"stroke": None},
    "axis": {
        **{"labelColor": "var(--dim)", "titleColor": "var(--dim)", "labelFontSize": 11.5, "titleFontSize": 11.5},
        **{"titleFontWeight": 400, "gridColor": "var(--line)", "domain": False, "ticks": False, "labelPadding": 8},
    },
}


def _lines(chart: Chart, layer: Any, x: Any, y: Any) -> None:
    for series in sorted(chart.series, key=lambda s: not s.is_thin):
        rows = [{"x": _ms(place), "y": value} for place, value in series.points]
        mark = {"type": "line", "stroke": f"var(--{series.tone})", "strokeWidth": 1.1 if series.is_thin else 1.8}
        layer({**mark, "strokeJoin": "round", "clip": True}, rows, x=x, y=y)
        if series.label and rows:
            ink = series.tone if series.tone != "accent" else "accent"
            weight = 400 if series.is_thin else 600
            text = {"type": "text", "align": "left", "dx": 6, "fill": f"var(--{ink})", "fontSize": 11.5}
            row = [{**rows[-1], "text": series.label}]
            layer({**text, "fontWeight": weight}, row, x=x, y=y, text={"field": "text"})


def _bars(chart: Chart, layer: Any, x: Any, y: Any, width: int, span: tuple[int, int]) -> None:
    for series in chart.series:
        thickness = max(1.0, 0.68 * width * _DAY_MS / (span[1] - span[0]))
        for tone in ("accent", "down"):
            points = [(place, value) for place, value in series.points if (value < 0) == (tone == "down")]
            rows = [{"x": _ms(place), "y": value} for place, value in points]
            mark = {"type": "bar", "fill": f"var(--{tone})", "width": thickness, "clip": True}
            layer(mark, rows, x=x, y=y, y2={"datum": 0})
    layer({"type": "rule", "stroke": "var(--dim)", "strokeWidth": 1}, [{"x": span[0]}], y={"datum": 0})


def _dots(chart: Chart, layer: Any, x: Any, y: Any, span: tuple[int, int], width: int) -> None:
    rows = []
    for dot in chart.dots:
        place = (_ms(dot.day) - span[0]) / max(1, span[1] - span[0]) * width
        half = len(dot.label) * 3.3
        align, dx = ("right", 6) if place > width - half else ("left", -6) if place < half else ("center", 0)
        dy = -12 if dot.is_above else 15
        look: dict[str, Any] = {"fill": f"var(--{dot.tone})", "align": align, "dx": dx, "dy": dy}
        rows.append({"x": _ms(dot.day), "y": dot.value, "text": dot.label, **look})
    if not rows:
        return
    # One layer for all: what Vega needs to draw grows with the layers.
    as_said = {name: {"expr": f"datum.{name}"} for name in ("fill", "align", "dx", "dy")}
    mark = {"type": "point", "filled": True, "size": 46, "fill": as_said["fill"], "opacity": 1}
    layer({**mark, "stroke": "var(--card)", "strokeWidth": 1.5}, rows, x=x, y=y)
    layer({"type": "text", "fontSize": 11.5, **as_said}, rows, x=x, y=y, text={"field": "text"})


def _clean(svg: str, width: int, height: int, left: int, meta: Mapping[str, Any]) -> str:
    """Vega's drawing without what a picture on a page does not need: roles, fonts, invisible frames, long fractions."""
    from xml.etree import ElementTree

    from defusedxml.ElementTree import fromstring

    ElementTree.register_namespace("", _SVG)
    root = fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            name = child.get("class") or ""
            if name in ("background", "foreground") or child.get("display") == "none":
                parent.remove(child)
    for element in root.iter():
        for name in list(element.attrib):
            if name.startswith("aria-") or name in ("role", "font-family", "pointer-events", "class", "cursor"):
                del element.attrib[name]
        for name in ("d", "transform", "x2", "y2"):
            if name in element.attrib:
                short = _LONG_NUMBER.sub(
                    lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), element.attrib[name]
                )
                element.set(name, short)
        if element.get("opacity") == "1":
            del element.attrib["opacity"]
    top = 22
    for child in root:
        child.set("transform", f"translate({left},{top})")
    root.attrib.clear()
    root.set("viewBox", f"0 0 {width} {height}")
    root.set("aria-hidden", "true")
    root.set("focusable", "false")
    root.set("data-plot", json.dumps({**meta, "left": left, "top": top}, separators=(",", ":")))
    return str(ElementTree.tostring(root, encoding="unicode"))
