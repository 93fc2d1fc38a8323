"""Charts, drawn to SVG when the site is written.

They are drawn once per width, so a page needs no chart library to open: the script of the site only moves a crosshair
over what is there. Colours are the page's own custom properties, so one drawing serves light and dark. Every chart
comes with the figures under the crosshair and a sentence; the page adds a table. Belongs here: what is drawn where.
Does not belong here: which figures a page shows.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rally_pipeline.publish.svg import (
    DAY_MS,
    SVG,
    Attributes,
    day_at,
    day_ticks,
    element,
    labels_apart,
    line,
    milliseconds,
    short,
    text,
    text_width,
    ticks,
)

#: Outer widths in pixels of a full-width chart, of the same on a phone, and of a small one.
WIDE, NARROW, SMALL = 1048, 346, 400
#: Pixels that the number of an event needs.
_LABEL_ROOM = 9
#: Of labels, in pixels.
_SMALL_TEXT = 11.5
#: Room above a plot, in pixels.
_TOP = 22

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
    return milliseconds(place) // DAY_MS if isinstance(place, dt.date) else place


def _ms(place: dt.date | int) -> int:
    return milliseconds(place) if isinstance(place, dt.date) else place


def _picture(chart: Chart, outer: int, height: int, last_days: int) -> str:
    places = [_ms(place) for series in chart.series for place, _ in series.points]
    low, high = min(places), max(places)
    if last_days:
        low = max(low, high - last_days * DAY_MS)
    values = [y for series in chart.series for place, y in series.points if _ms(place) >= low]
    if chart.reach is not None:
        values = [min(max(value, chart.reach[0]), chart.reach[1]) for value in values]
    grid = _ticks([*values, *(d.value for d in chart.dots if _ms(d.day) >= low)], chart)
    if chart.axis == "" and chart.kind == "bar":
        low, high = low - DAY_MS, high + DAY_MS
    bottom, top = grid[0], grid[-1]
    left, right = _left(bottom, top), _right(chart, outer)
    plot = _Plot((low, high), (bottom, top), outer - left - right, height, f"clip-{chart.ident}-{outer}")
    drawn = "".join((_axes(chart, plot, grid), _level_and_flags(chart, plot), _marks(chart, plot), _dots(chart, plot)))
    meta = {"x": [low, high], "y": [bottom, top], "w": plot.width, "h": height, "day": chart.axis == ""}
    frame: Attributes = {"viewBox": f"0 0 {outer} {height + _TOP + 30}", "aria_hidden": "true", "focusable": "false"}
    return element(
        "svg",
        element("g", drawn, fill="none", transform=f"translate({left},{_TOP})"),
        xmlns=SVG,
        **frame,
        data_plot=json.dumps({**meta, "left": left, "top": _TOP}, separators=(",", ":")),
    )


@dataclass(frozen=True)
class _Plot:
    """Where the axes cross: what is on them, how large they are in pixels, and what cuts off what runs out of them."""

    span: tuple[int, int]
    values: tuple[float, float]
    width: int
    height: int
    clip: str

    def x(self, place: float) -> float:
        return (place - self.span[0]) / max(1, self.span[1] - self.span[0]) * self.width

    def y(self, value: float) -> float:
        return (1 - (value - self.values[0]) / (self.values[1] - self.values[0])) * self.height

    def holds(self, place: int) -> bool:
        return self.span[0] <= place <= self.span[1]

    def cut(self, drawn: str) -> str:
        if not drawn:
            return ""
        frame = element("rect", width=self.width, height=self.height)
        cut = element("defs", element("clipPath", frame, id=self.clip))
        return cut + element("g", drawn, clip_path=f"url(#{self.clip})")


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


def _axes(chart: Chart, plot: _Plot, grid: Sequence[float]) -> str:
    """Lines across with their values, and days or counts below."""
    words: Attributes = {"font_size": _SMALL_TEXT, "fill": "var(--dim)"}
    digits = 0 if max(map(abs, grid)) >= 10 else 1
    drawn = []
    for value in grid:
        at = plot.y(value)
        drawn.append(element("path", d=f"M0,{round(at) + 0.5}h{plot.width}", stroke="var(--line)"))
        drawn.append(text(f"{value:,.{digits}f}".replace("-", "−"), -7.5, at + 3.5, text_anchor="end", **words))
    low, high = plot.span
    if chart.axis == "":
        below = day_ticks(low, high, max(2, min(plot.width // 66, 12)))
        is_long = (high - low) / DAY_MS > 250
        texts = [f"{day:%b %Y}" if is_long else f"{day.day} {day:%b}" for day in map(day_at, below)]
    else:
        below = [round(one) for one in ticks(low, high, max(2, min(plot.width // 66, 40)), least=1)]
        texts = [str(one) for one in below]
    for number in labels_apart([plot.x(place) for place in below], texts, _SMALL_TEXT):
        at = plot.x(below[number])
        anchor = "start" if at < 1 else "end" if at > plot.width - 1 else "middle"
        drawn.append(text(texts[number], at + 0.5, plot.height + 17.5, text_anchor=anchor, **words))
    if chart.axis:
        drawn.append(text(chart.axis, plot.width / 2, plot.height + 33, text_anchor="middle", **words))
    return "".join(drawn)


def _level_and_flags(chart: Chart, plot: _Plot) -> str:
    drawn = []
    if chart.level is not None:
        path = f"M0,{short(plot.y(chart.level))}h{plot.width}"
        drawn.append(element("path", d=path, stroke="var(--dim)", stroke_dasharray="3,3"))
    for flag in chart.flags:
        if plot.holds(_ms(flag.day)):
            path = f"M{short(plot.x(_ms(flag.day)))},0v{plot.height}"
            drawn.append(element("path", d=path, stroke="var(--dim)", stroke_dasharray="2,3", opacity=0.7))
    for place, label in _flag_labels(chart.flags, plot):
        if plot.holds(place):
            look: Attributes = {"text_anchor": "middle", "font_size": 11, "font_weight": "600", "fill": "var(--dim)"}
            drawn.append(text(label, plot.x(place), -5, **look))
    return "".join(drawn)


def _flag_labels(flags: Sequence[Flag], plot: _Plot) -> list[tuple[int, str]]:
    """Labels of events; those of events too near each other to be told apart become one, from the first to the last."""
    near = _LABEL_ROOM * (plot.span[1] - plot.span[0]) / plot.width
    groups: list[list[Flag]] = []
    for flag in flags:
        if groups and _ms(flag.day) - _ms(groups[-1][-1].day) < near:
            groups[-1].append(flag)
        else:
            groups.append([flag])
    return [
        (
            (_ms(group[0].day) + _ms(group[-1].day)) // 2,
            group[0].label if len(group) == 1 else f"{group[0].label}–{group[-1].label}".strip("–"),
        )
        for group in groups
    ]


def _marks(chart: Chart, plot: _Plot) -> str:
    return _bars(chart, plot) if chart.kind == "bar" else _lines(chart, plot)


def _lines(chart: Chart, plot: _Plot) -> str:
    paths, labels = [], []
    for series in sorted(chart.series, key=lambda s: not s.is_thin):
        seen = [(plot.x(_ms(place)), plot.y(y)) for place, y in series.points if plot.holds(_ms(place))]
        if not seen:
            continue
        look: Attributes = {"stroke": f"var(--{series.tone})", "stroke_linejoin": "round"}
        paths.append(element("path", d=line(seen), stroke_width=1.1 if series.is_thin else 1.8, **look))
        if series.label:
            (x, y), weight = seen[-1], "400" if series.is_thin else "600"
            words: Attributes = {"font_size": _SMALL_TEXT, "font_weight": weight, "fill": f"var(--{series.tone})"}
            labels.append(text(series.label, x + 6, y + 3.5, **words))
    return plot.cut("".join(paths)) + "".join(labels)


def _bars(chart: Chart, plot: _Plot) -> str:
    thickness = max(1.0, 0.68 * plot.width * DAY_MS / (plot.span[1] - plot.span[0]))
    zero, drawn = plot.y(0.0), []
    for series in chart.series:
        for place, value in series.points:
            if plot.holds(_ms(place)):
                at, tone = plot.y(value), "down" if value < 0 else "accent"
                corner: Attributes = {"x": plot.x(_ms(place)) - thickness / 2, "y": min(at, zero)}
                size: Attributes = {"width": thickness, "height": abs(at - zero)}
                drawn.append(element("rect", **corner, **size, fill=f"var(--{tone})"))
    return plot.cut("".join(drawn)) + element("path", d=f"M0,{short(zero)}h{plot.width}", stroke="var(--dim)")


def _dots(chart: Chart, plot: _Plot) -> str:
    points, labels = [], []
    for dot in chart.dots:
        x, y, half = plot.x(_ms(dot.day)), plot.y(dot.value), text_width(dot.label, _SMALL_TEXT) / 2
        if not plot.holds(_ms(dot.day)):
            continue
        anchor, dx = ("end", 6) if x > plot.width - half else ("start", -6) if x < half else ("middle", 0)
        look: Attributes = {"fill": f"var(--{dot.tone})", "stroke": "var(--card)", "stroke_width": 1.5}
        points.append(element("circle", cx=x, cy=y, r=3.4, **look))
        words: Attributes = {"text_anchor": anchor, "font_size": _SMALL_TEXT, "fill": f"var(--{dot.tone})"}
        labels.append(text(dot.label, x + dx, y + (-9 if dot.is_above else 18), **words))
    return "".join((*points, *labels))
