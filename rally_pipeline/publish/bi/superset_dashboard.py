"""The Superset dashboard: where each chart stands, what one can filter on, and the mark on demo data.

Belongs here: rows, widths, filters. Does not belong here: the charts (`superset_charts.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rally_pipeline.publish.bi.superset_charts import Chart

#: Rows of (charts with their width in twelfths), and the row's height in units of 8 pixels.
ROWS: Sequence[tuple[Sequence[tuple[str, int]], int]] = (
    ((("hsi_ytd", 3), ("hstech_rise", 3), ("new_year_hkd", 3), ("new_year_usd", 3)), 28),
    ((("leaderboard", 6), ("performance", 6)), 54),
    ((("scoreboard", 12),), 62),
    ((("southbound", 12),), 48),
    ((("share", 4), ("surge", 4), ("reversal", 4)), 28),
    ((("gross_to_net", 4), ("volatility", 4), ("breadth", 4)), 28),
    ((("alibaba", 8), ("volume_by_month", 4)), 48),
    ((("verdicts", 5), ("contradicted", 7)), 50),
    ((("ratings", 12),), 60),
)
#: Headings above rows, by the first chart of the row.
HEADINGS = {
    "hsi_ytd": "How far has it run, who is buying",
    "southbound": "Southbound",
    "share": "Hot money, each indicator by its own definition",
    "alibaba": "Alibaba",
    "verdicts": "What the brokers say, and whether it is true",
}
#: Colours of verdicts, as on the pages of the project.
_COLOURS = {"confirmed": "#0a6b4b", "contradicted": "#ab3420", "window_decides": "#c48a1a", "not_checkable": "#a9adb0"}
_LEADERBOARDS = ("leaderboard", "performance")
_DEFAULT_LEADERBOARD = "world_indices"


def position(title: str, charts: Mapping[str, Chart], uuids: Mapping[str, str], notice: str) -> dict[str, Any]:
    """The layout, as Superset keeps it.

    Args:
        title: of the dashboard.
        charts: by key.
        uuids: of the charts, by key.
        notice: shown on top; empty = nothing.
    """
    made: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]},
        "GRID_ID": {"id": "GRID_ID", "type": "GRID", "children": [], "parents": ["ROOT_ID"]},
        "HEADER_ID": {"id": "HEADER_ID", "type": "HEADER", "meta": {"text": title}},
    }
    numbers = {key: number for number, key in enumerate(charts, start=1)}
    if notice:
        _text_row(made, "ROW-notice", f"#### ⚠ DEMO DATA: not for any decision\n\n{notice}", 18)
    for number, (row, height) in enumerate(ROWS):
        if heading := HEADINGS.get(row[0][0]):
            made["GRID_ID"]["children"].append(f"HEADER-{number}")
            made[f"HEADER-{number}"] = {
                "id": f"HEADER-{number}",
                "type": "HEADER",
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID"],
                "meta": {"text": heading, "headerSize": "MEDIUM_HEADER", "background": "BACKGROUND_TRANSPARENT"},
            }
        name = f"ROW-{number}"
        _row(made, name, [f"CHART-{key}" for key, _ in row])
        for key, width in row:
            made[f"CHART-{key}"] = {
                "id": f"CHART-{key}",
                "type": "CHART",
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID", name],
                "meta": {
                    "chartId": numbers[key],
                    "uuid": uuids[key],
                    "sliceName": charts[key].title,
                    "width": width,
                    "height": height,
                },
            }
    return made


def _row(made: dict[str, Any], name: str, children: list[str]) -> None:
    made["GRID_ID"]["children"].append(name)
    made[name] = {
        "id": name,
        "type": "ROW",
        "children": children,
        "parents": ["ROOT_ID", "GRID_ID"],
        "meta": {"background": "BACKGROUND_TRANSPARENT"},
    }


def _text_row(made: dict[str, Any], name: str, text: str, height: int) -> None:
    _row(made, name, [f"MARKDOWN-{name}"])
    made[f"MARKDOWN-{name}"] = {
        "id": f"MARKDOWN-{name}",
        "type": "MARKDOWN",
        "children": [],
        "parents": ["ROOT_ID", "GRID_ID", name],
        "meta": {"code": text, "width": 12, "height": height},
    }


def metadata(charts: Mapping[str, Chart], dataset_uuids: Mapping[str, str]) -> dict[str, Any]:
    """Filters and colours, as Superset keeps them.

    Args:
        charts: by key.
        dataset_uuids: by table.
    """
    numbers = {key: number for number, key in enumerate(charts, start=1)}
    leaderboard = {
        "id": "NATIVE_FILTER-leaderboard",
        "name": "Leaderboard",
        "filterType": "filter_select",
        "targets": [
            {"column": {"name": "leaderboard"}, "datasetUuid": dataset_uuids[charts["leaderboard"].table]},
        ],
        "controlValues": {"multiSelect": False, "enableEmptyFilter": False, "defaultToFirstItem": False},
        "defaultDataMask": {
            "extraFormData": {"filters": [{"col": "leaderboard", "op": "IN", "val": [_DEFAULT_LEADERBOARD]}]},
            "filterState": {"value": [_DEFAULT_LEADERBOARD], "label": _DEFAULT_LEADERBOARD},
            "ownState": {},
        },
        "scope": {
            "rootPath": ["ROOT_ID"],
            "excluded": [number for key, number in numbers.items() if key not in _LEADERBOARDS],
        },
    }
    period = {
        "id": "NATIVE_FILTER-period",
        "name": "Period",
        "filterType": "filter_time",
        "targets": [{}],
        "controlValues": {"enableEmptyFilter": False},
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
        "scope": {"rootPath": ["ROOT_ID"], "excluded": []},
    }
    shared = {"cascadeParentIds": [], "description": "", "type": "NATIVE_FILTER"}
    return {
        "chart_configuration": {},
        "color_scheme": "supersetColors",
        "cross_filters_enabled": False,
        "default_filters": "{}",
        "expanded_slices": {},
        "filter_bar_orientation": "HORIZONTAL",
        "label_colors": _COLOURS,
        "native_filter_configuration": [{**shared, **leaderboard}, {**shared, **period}],
        "refresh_frequency": 0,
        "timed_refresh_immune_slices": [],
    }
