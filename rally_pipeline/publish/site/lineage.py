"""Where every table comes from, and the way to the drawing of every column.

Belongs here: the list of tables with what they are made from; the drawing inside the site, marked as the rest of it.
Does not belong here: finding lineage or drawing it (`lineage/`).
"""

from __future__ import annotations

from typing import Any

from markupsafe import escape

from rally_pipeline.lineage import drawing
from rally_pipeline.publish import dictionary

#: File name of the drawing.
DRAWING = "lineage-graph.html"
_HEADER = "<header>\n"
_LAYERS = {"mart": "Marts", "core": "Core", "ops": "Operations", "raw": "Raw"}


def page(entries: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """What the page shows: per layer, each table with the tables it comes from and those it goes into."""
    found = dictionary.entries() if entries is None else entries
    into: dict[str, list[str]] = {}
    for one in found:
        for source in one["upstream"]:
            into.setdefault(source, []).append(one["table_name"])
    layers: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        layers.setdefault(one["layer"], []).append(
            {
                "name": one["table_name"],
                "about": one["description"],
                "from": one["upstream"],
                "into": into.get(one["table_name"], []),
            }
        )
    names = {one["table_name"] for one in found}
    return {"layers": [(_LAYERS[layer], layers[layer]) for layer in _LAYERS if layer in layers], "names": names}


def drawn(notice: str) -> str:
    """The drawing as a page of the site: with the way back, and what must be said of the data."""
    html = drawing.page()
    if html.count(_HEADER) != 1:
        raise ValueError("the drawing has no place for the way back")
    mark = f' <strong title="{escape(notice)}">Demo data</strong>' if notice else ""
    back = '<a href="lineage.html" style="color: inherit">← Rally report</a>'
    bar = f'<nav aria-label="Site" class="tools note">{back}{mark}</nav>'
    return html.replace(_HEADER, f"{_HEADER}  {bar}\n")
