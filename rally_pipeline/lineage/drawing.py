"""The lineage page: every table and column in layers, and the way of each column up and down.

One file that needs nothing beside it and no internet; its policy allows its own script, by hash, and nothing else.
Texts reach the page as data and are put into it as text only. Belongs here: what the page shows and writing it. Does
not belong here: its looks and behaviour (`drawing.html`, `drawing.js`), or how lineage is found.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

from rally_pipeline.files import write_over
from rally_pipeline.lineage.graph import LineageGraph, lineage_graph
from rally_pipeline.lineage.records import CALENDAR, CATALOG, RUN, ColumnRef, Dependencies, Subtype
from rally_pipeline.schema import column_info, metadata, table_info

#: The layers of the drawing, from left to right.
LANES = ("outside", "core", "resolved", "marts")
_KINDS = list(Subtype)
_ABOUT = {
    CATALOG: "What is said in the catalog's file.",
    CALENDAR: "What the trading calendars say.",
    RUN: "What a run knows of itself.",
}


def write_page(folder: Path) -> Path:
    """Writes ``index.html`` to a folder, made if need be; readers see the old page or the new one.

    Raises:
        OSError: the folder cannot be written to.
    """
    path = folder / "index.html"
    write_over(path, page().encode())
    return path


def page(graph: LineageGraph | None = None) -> str:
    """The page as HTML."""
    files = resources.files(__package__)
    script = files.joinpath("drawing.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    data = json.dumps(drawn(graph or lineage_graph()), ensure_ascii=False, separators=(",", ":"))
    # inside a script element only "<" could end it; the others are for good measure
    for sign in "<>&\u2028\u2029":
        data = data.replace(sign, f"\\u{ord(sign):04x}")
    html = files.joinpath("drawing.html").read_text(encoding="utf-8")
    return html.replace("@HASH@", f"sha256-{digest}").replace("@DATA@", data).replace("@SCRIPT@", script)


def drawn(graph: LineageGraph) -> dict[str, Any]:
    """What the script draws.

    ``boxes`` have a lane, columns with name, description and numbers of dependencies, and dependencies of their rows; a
    dependency is the number of a column, counted over all boxes in order, and that of its kind in ``kinds``.
    """
    boxes: dict[str, list[ColumnRef]] = {}
    for name, lineage in graph.tables.items():
        for column in lineage.columns:
            ref = ColumnRef(name, column)
            boxes.setdefault(ref.box, []).append(ref)
    ordered = sorted(boxes, key=lambda box: LANES.index(_lane(graph, boxes[box][0].table)))
    number = {ref: at for at, ref in enumerate(ref for box in ordered for ref in boxes[box])}

    def edges(dependencies: Dependencies) -> list[list[int]]:
        return [[number[one.source], _KINDS.index(one.subtype)] for one in sorted(dependencies)]

    return {
        "kinds": [{"name": kind.value, "direct": kind.is_direct} for kind in _KINDS],
        "boxes": [
            {
                "name": box,
                "lane": LANES.index(_lane(graph, boxes[box][0].table)),
                "made": graph.made[boxes[box][0].table],
                "about": _about_table(box, boxes[box][0].table),
                "columns": [
                    {
                        "name": ref.name_in_box,
                        "id": str(ref),
                        "about": _about_column(ref),
                        "from": edges(graph.dependencies(ref)),
                    }
                    for ref in boxes[box]
                ],
                "rows": edges(graph.tables[box].rows) if box in graph.tables else [],
            }
            for box in ordered
        ],
    }


def _lane(graph: LineageGraph, table: str) -> str:
    if graph.made[table] in ("fetched", "outside"):
        return "outside"
    if graph.made[table] in ("loaded", "reference"):
        return "core"
    return "marts" if table_info(metadata.tables[table]).layer == "mart" else "resolved"


def _about_table(box: str, table: str) -> str:
    if table in metadata.tables:
        return table_info(metadata.tables[table]).description if box == table else f"Fields of payloads: {box}."
    return _ABOUT[table]


def _about_column(ref: ColumnRef) -> str:
    table = metadata.tables.get(ref.table)
    if table is None or ref.column not in table.columns:
        return ""
    said = column_info(table.columns[ref.column])
    return f"{said.description}{f' [{said.unit}]' if said.unit else ''}"
