"""What every picture needs: round numbers for its axes, labels that do not meet, and elements of SVG.

Pictures are written here directly: a chart library that measures each label costs some fifty milliseconds a picture,
and the daily job draws half a hundred of them. Belongs here: what knows nothing of charts. Does not belong here: what a
picture shows (`site/charts.py`, and `plots.py` of the orchestration).
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

Attributes = dict[str, float | str]

SVG = "http://www.w3.org/2000/svg"
#: Milliseconds since 1970 are how places on an axis of days are said.
DAY_MS = 86_400_000
_EPOCH = dt.date(1970, 1, 1)
#: How wide a letter is, in sizes of its font: a little less than digits of the usual sans-serif fonts.
_LETTER = 0.53
#: Between two labels of an axis, in pixels.
_APART = 4.0
#: Steps between days, ascending: how long one is, and which days are on it.
_STEPS: tuple[tuple[int, Callable[[dt.date], bool]], ...] = (
    (1, lambda day: True),
    (2, lambda day: day.day % 2 == 1),
    (7, lambda day: day.isoweekday() == 7),
    (30, lambda day: day.day == 1),
    (90, lambda day: day.day == 1 and day.month % 3 == 1),
    (365, lambda day: day.day == 1 and day.month == 1),
)
_PREFIXES = {-3: "n", -2: "µ", -1: "m", 0: "", 1: "k", 2: "M", 3: "G", 4: "T"}


def milliseconds(day: dt.date) -> int:
    """A day as a place on an axis."""
    return (day - _EPOCH).days * DAY_MS


def day_at(place: int) -> dt.date:
    """The day of a place."""
    return _EPOCH + dt.timedelta(days=place // DAY_MS)


def day_ticks(low: int, high: int, count: int) -> list[int]:
    """Round days from `low` to `high`, about so many: days, Sundays, first days of months, quarters or years.

    Args:
        low, high: places in milliseconds.
        count: how many there is room for.
    """
    wanted = (high - low) / DAY_MS / max(1, count)
    lengths = [length for length, _ in _STEPS]
    above = next((number for number, length in enumerate(lengths) if length > wanted), len(lengths))
    if above == len(lengths):
        years = max(1, round(_round_step(wanted / 365)))
        first, last = day_at(low).year, day_at(high).year
        days: Iterable[dt.date] = (dt.date(y, 1, 1) for y in range(first, last + 1) if y % years == 0)
    else:
        # Of the step below and the one above, the one that is nearer.
        below = max(0, above - 1)
        chosen = below if wanted / lengths[below] < lengths[above] / wanted else above
        is_on = _STEPS[chosen][1]
        first_day = day_at(low)
        days = filter(is_on, (first_day + dt.timedelta(days=n) for n in range((high - low) // DAY_MS + 2)))
    return [place for place in map(milliseconds, days) if low <= place <= high]


def ticks(low: float, high: float, count: int, least: float = 0.0) -> list[float]:
    """Round numbers from `low` to `high`, about so many, `least` apart or more."""
    if high <= low:
        return [low]
    step = max(_round_step((high - low) / max(1, count)), least)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # Steps too small for numbers of that size would give the same one twice.
    return list(dict.fromkeys(round(number * step, 12) for number in range(first, last + 1)))


def _round_step(raw: float) -> float:
    """The nearest of 1, 2, 5 and 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(raw))
    share = raw / power
    return power * (
        10 if share >= math.sqrt(50) else 5 if share >= math.sqrt(10) else 2 if share >= math.sqrt(2) else 1
    )


def text_width(text: str, size: float) -> float:
    """About how wide a text is, in pixels."""
    return len(text) * _LETTER * size


def labels_apart(places: Sequence[float], texts: Sequence[str], size: float) -> list[int]:
    """Which labels of an axis are shown: all, every second, every fourth …, so that none meets the next."""
    shown = list(range(len(places)))
    while len(shown) > 1 and any(
        places[later] - places[number] < (text_width(texts[number], size) + text_width(texts[later], size)) / 2 + _APART
        for number, later in itertools.pairwise(shown)
    ):
        shown = shown[::2]
    return shown


def with_prefix(value: float) -> str:
    """A number for an axis: 2.41G, 17k, 0.5, 20µ."""
    if value == 0:
        return "0"
    power = min(4, max(-3, math.floor(math.log10(abs(value)) / 3 + 1e-12)))
    if power == -1 and abs(value) >= 0.01:
        power = 0
    text = f"{value / 1000**power:.6g}{_PREFIXES[power]}"
    return text.replace("-", "−")


def short(value: float) -> str:
    """A coordinate: tenths of a pixel are enough."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def line(points: Iterable[tuple[float, float]]) -> str:
    """The path through points, in pixels."""
    return "M" + "L".join(f"{short(x)},{short(y)}" for x, y in points)


def element(name: str, inside: str = "", /, **attributes: float | str) -> str:
    """An element with its attributes, ``_`` in their names for ``-``. `inside` is SVG already."""
    said = "".join(
        f' {key.replace("_", "-")}="{escape(value if isinstance(value, str) else short(value))}"'
        for key, value in attributes.items()
    )
    return f"<{name}{said}>{inside}</{name}>" if inside else f"<{name}{said}/>"


def text(said: str, x: float, y: float, **attributes: float | str) -> str:
    """A text at a place."""
    return element("text", escape(said, quote=False), x=x, y=y, **attributes)
