"""The dictionary with search: every table and column as declared.

Belongs here: shaping it for the page. Does not belong here: what it says (`schema/`, `publish/dictionary.py`).
"""

from __future__ import annotations

from typing import Any

from rally_pipeline.publish import dictionary

_LAYERS = {
    "mart": "Marts: what analysts read",
    "core": "Core: the facts, every version kept",
    "raw": "Raw: what was fetched",
    "ops": "Operations: what was loaded, refused, set aside",
}


def page(entries: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """What the page shows: tables by layer, each with its columns."""
    found = dictionary.entries() if entries is None else entries
    layers: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        layers.setdefault(one["layer"], []).append(one)
    return {
        "layers": [(_LAYERS[layer], layers[layer]) for layer in _LAYERS if layer in layers],
        "tables": len(found),
        "columns": sum(len(one["columns"]) for one in found),
    }
