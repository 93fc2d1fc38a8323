"""The frame of every page: navigation, policy, style and script, and the notice that demo data need.

A page carries its style and script, and its policy allows these by hash and nothing else: it works from any folder, and
nothing that stands in the data can run or load anything. All values pass through templates that escape them. Belongs
here: rendering. Does not belong here: what a page shows.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rally_pipeline import __version__
from rally_pipeline.publish.site import formats
from rally_pipeline.publish.site.world import World

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Place:
    """A page of the navigation."""

    file: str
    name: str


PLACES = (
    Place("index.html", "Overview"),
    Place("leaderboard.html", "Leaderboard"),
    Place("prices.html", "Prices"),
    Place("southbound.html", "Southbound"),
    Place("hot-money.html", "Hot money"),
    Place("ratings.html", "Ratings"),
    Place("positioning.html", "Positioning"),
    Place("notes.html", "Notes"),
    Place("quality.html", "Quality"),
    Place("lineage.html", "Lineage"),
    Place("dictionary.html", "Dictionary"),
)


def render(world: World, template: str, *, title: str, place: str, values: Mapping[str, Any]) -> str:
    """A page as HTML.

    Args:
        world: for the frame.
        template: name of the page's template.
        title: of the page.
        place: file of the page in the navigation that it is or belongs to.
        values: what it shows.
    """
    style, script = _asset("site.css"), _asset("site.js")
    return (
        _environment()
        .get_template(template)
        .render(
            **values,
            title=title,
            place=place,
            places=PLACES,
            world=world,
            version=__version__,
            style=_safe(style),
            script=_safe(script),
            policy=(
                f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@functools.cache
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _safe(text: str) -> Markup:
    """Text that is markup already: the site's own style, script and drawings."""
    from markupsafe import Markup

    return Markup(text)


def embedded(value: Any) -> Markup:
    """A value as JSON inside a script element, which no text in it can end."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return _safe(text)


def _plain(value: Any) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value)}")


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": formats.number,
        "percent": formats.percent,
        "money": formats.money,
        "billions": formats.billions,
        "day": formats.day,
        "month": formats.month,
        "instant": formats.instant,
        "words": formats.words,
        "plural": formats.plural,
        "ordinal": formats.ordinal,
        "embedded": embedded,
        "svg": _safe,
    }
    return environment
