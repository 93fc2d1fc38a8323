"""The charts of the Superset dashboard, each a few words over a dataset.

Belongs here: which charts there are and their parameters, in Superset's terms. Does not belong here: where they stand
(`superset_dashboard.py`) or columns and metrics (`tables.py`, `metrics.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rally_pipeline.publish.bi.tables import BiTable, bi_tables
from rally_pipeline.publish.bi.words import d3_format

_DAY = "%d %b %Y"
_MONTH = "%b %Y"
#: A table sent to the browser at once; it is searched and paged there.
_ROWS = 1000


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        key: stable name; its UUID is made of it.
        title: for people.
        table: dataset.
        kind: Superset's ``viz_type``.
        params: Superset's parameters, without the dataset.
        description: what one should know to read it.
    """

    key: str
    title: str
    table: str
    kind: str
    params: Mapping[str, Any]
    description: str = ""


def _is(column: str, value: str) -> dict[str, Any]:
    return {
        "clause": "WHERE",
        "comparator": value,
        "expressionType": "SIMPLE",
        "operator": "==",
        "operatorId": "EQUALS",
        "subject": column,
    }


def _any_time(table: BiTable) -> list[dict[str, Any]]:
    """No restriction, but the place where a dashboard's period goes."""
    if table.date_column is None:
        return []
    return [
        {
            "clause": "WHERE",
            "comparator": "No filter",
            "expressionType": "SIMPLE",
            "operator": "TEMPORAL_RANGE",
            "subject": table.date_column,
        }
    ]


def _format(table: BiTable, column: str) -> str:
    found = table.columns[column]
    return d3_format(found.type, found.info) or "SMART_NUMBER"


def _lately(
    key: str, title: str, name: str, column: str, *where: dict[str, Any], sign: bool = False, description: str = ""
) -> Chart:
    """The last value of a column as a big number over its course."""
    table = bi_tables()[name]
    metric = next(m for m in (f"max_{column}", f"sum_{column}") if m in table.metrics)
    params = {
        "adhoc_filters": [*_any_time(table), *where],
        "color_picker": {"r": 11, "g": 92, "b": 138, "a": 1},
        "header_font_size": 0.3,
        "metric": metric,
        "rolling_type": "None",
        "show_timestamp": True,
        "show_trend_line": True,
        "start_y_axis_at_zero": False,
        "subheader_font_size": 0.15,
        "time_format": _DAY,
        "x_axis": table.date_column,
        "y_axis_format": ("+" if sign else "") + _format(table, column),
    }
    said = description or table.columns[column].info.description
    return Chart(key, title, name, "big_number", params, said)


def _rows(
    key: str,
    title: str,
    name: str,
    columns: Sequence[str],
    order: Sequence[tuple[str, bool]],
    *where: dict[str, Any],
    signed: Sequence[str] = (),
    page: int = 0,
    description: str = "",
) -> Chart:
    """Rows as they are; `order` has columns and whether the smallest comes first, `signed` get colours by sign."""
    table = bi_tables()[name]
    look: dict[str, Any] = {}
    for column in columns:
        made = d3_format(table.columns[column].type, table.columns[column].info)
        if made:
            look[column] = {"d3NumberFormat": made, "showCellBars": False, "colorPositiveNegative": column in signed}
    colours = [
        {
            "colorScheme": colour,
            "column": column,
            "operator": operator,
            "targetValue": 0,
            "objectFormatting": "TEXT_COLOR",
            "toTextColor": True,
            "useGradient": False,
        }
        for column in signed
        for operator, colour in ((">", "#0a6b4b"), ("<", "#ab3420"))
    ]
    params = {
        "adhoc_filters": [*_any_time(table), *where],
        "all_columns": list(columns),
        "color_pn": False,
        "column_config": look,
        "conditional_formatting": colours,
        "include_search": False,
        "order_by_cols": [_order(column, is_up) for column, is_up in order],
        "query_mode": "raw",
        "row_limit": _ROWS,
        "server_pagination": False,
        "page_length": page,
        "show_cell_bars": False,
        "table_timestamp_format": "%Y-%m-%d",
    }
    return Chart(key, title, name, "table", params, description or table.description)


def _order(column: str, is_up: bool) -> str:
    return f'["{column}", {"true" if is_up else "false"}]'


_SERIES: Mapping[str, Any] = {
    "color_scheme": "supersetColors",
    "legendOrientation": "top",
    "legendType": "scroll",
    "rich_tooltip": True,
    "row_limit": 50000,
    "show_legend": True,
    "sort_series_type": "max",
    "tooltipTimeFormat": _DAY,
    "truncateXAxis": False,
    "truncate_metric": True,
    "x_axis_time_format": _DAY,
    "y_axis_title_position": "Left",
}


def _performance() -> Chart:
    table = bi_tables()["rally_leaderboard_this_year"]
    params = {
        **_SERIES,
        "adhoc_filters": _any_time(table),
        "groupby": ["name"],
        "metrics": ["max_ytd_return_pct"],
        "legendOrientation": "right",
        "legendMargin": 190,
        "markerEnabled": False,
        "seriesType": "line",
        "sort_series_ascending": False,
        "x_axis": "as_of_date",
        "x_axis_time_format": "%d %b",
        "y_axis_format": "+,.0f",
        "y_axis_title": "% since year-end",
        "y_axis_title_margin": 40,
    }
    return Chart(
        "performance",
        "Index performance since year-end",
        table.name,
        "echarts_timeseries_line",
        params,
        "Price return in local currency since each market's last session of the year before.",
    )


def _two_axes(
    key: str,
    title: str,
    name: str,
    bars: str,
    line: str,
    where: Sequence[dict[str, Any]],
    description: str,
) -> Chart:
    """Bars on the left axis and a line on the right one, by day."""
    table = bi_tables()[name]
    filters = [*_any_time(table), *where]
    params = {
        **_SERIES,
        "adhoc_filters": filters,
        "adhoc_filters_b": filters,
        "groupby": [],
        "groupby_b": [],
        "metrics": [bars],
        "metrics_b": [line],
        "row_limit_b": _SERIES["row_limit"],
        "seriesType": "bar",
        "seriesTypeB": "line",
        "markerEnabledB": False,
        "truncate_metric_b": True,
        "x_axis": table.date_column,
        "x_axis_time_format": "%d %b",
        "yAxisIndex": 0,
        "yAxisIndexB": 1,
        "y_axis_format": ",.0f",
        "y_axis_format_secondary": ",.0f",
    }
    return Chart(key, title, name, "mixed_timeseries", params, description)


def _in_millions(column: str, label: str) -> dict[str, Any]:
    return {
        "expressionType": "SQL",
        "hasCustomLabel": True,
        "label": label,
        "optionName": f"metric_{column}_mn",
        "sqlExpression": f"SUM({column}) / 1000000.0",
    }


def _volume_by_month() -> Chart:
    table = bi_tables()["mart_trading_volume_monthly"]
    params = {
        **_SERIES,
        "adhoc_filters": [*_any_time(table), _is("symbol", "9988.HK")],
        "groupby": [],
        "metrics": [_in_millions("volume_shares", "Volume (mn shares)")],
        "orientation": "vertical",
        "show_legend": False,
        "x_axis": "month",
        "x_axis_time_format": _MONTH,
        "tooltipTimeFormat": _MONTH,
        "y_axis_format": ",.0f",
    }
    return Chart(
        "volume_by_month",
        "Alibaba: mn shares by month",
        table.name,
        "echarts_timeseries_bar",
        params,
        "Record months stand in is_record_volume of mart_trading_volume_monthly; the last month may be partial.",
    )


def _verdicts() -> Chart:
    table = bi_tables()["rally_claims"]
    params = {
        **_SERIES,
        "adhoc_filters": _any_time(table),
        "groupby": ["verdict"],
        "metrics": ["rows"],
        "orientation": "horizontal",
        "show_value": False,
        "stack": "Stack",
        "x_axis": "claim_type",
        "xAxisForceCategorical": True,
        "x_axis_sort": "rows",
        "x_axis_sort_asc": True,
        "y_axis_format": ",d",
    }
    return Chart(
        "verdicts",
        "Claims of brokerage notes by verdict",
        table.name,
        "echarts_timeseries_bar",
        params,
        table.description,
    )


def charts() -> list[Chart]:
    """All of them, in the order of the dashboard."""
    since, money = "rally_southbound_since_new_year", "rally_hot_money_lately"
    alibaba = [_is("symbol", "9988.HK")]
    board = "rally_leaderboard_this_year"
    hang_seng = [_is("symbol", "^HSI"), _is("leaderboard", "headline_indices")]
    return [
        _lately("hsi_ytd", "Hang Seng, year to date (%)", board, "ytd_return_pct", *hang_seng, sign=True),
        _lately(
            "hstech_rise",
            "HSTECH above its low (%)",
            "mart_price_extremes_daily",
            "rise_from_trough_pct",
            _is("symbol", "HSTECH.HK"),
            sign=True,
        ),
        _lately("new_year_hkd", "Net buy since New Year (HKD mn)", since, "cumulative_net_buy_hkd_mn"),
        _lately("new_year_usd", "Net buy since New Year (USD mn)", since, "cumulative_net_buy_usd_mn"),
        _rows(
            "leaderboard",
            "Leaderboard on the last day",
            "rally_leaderboard_last_day",
            ("ytd_rank", "name", "close", "ytd_return_pct", "session_date", "base_date"),
            [("leaderboard", True), ("ytd_rank", True)],
            signed=("ytd_return_pct",),
            description="Price return since each market's last session of the year before, in local currency.",
        ),
        _performance(),
        _rows(
            "scoreboard",
            "Since Lunar New Year",
            "rally_scoreboard_since_new_year",
            (
                *("instrument_name", "session_date", "close", "currency", "return_since_event_pct", "ytd_return_pct"),
                *("rise_from_trough_pct", "trough_date", "is_3y_high", "highest_since_date"),
            ),
            [("return_since_event_pct", False)],
            signed=("return_since_event_pct", "ytd_return_pct"),
            page=10,
        ),
        _two_axes(
            "southbound",
            "Southbound net buy since Lunar New Year: by day and summed up",
            since,
            "sum_day_net_buy_hkd_mn",
            "max_cumulative_net_buy_hkd_mn",
            (),
            "Both channels, as believed by the pipeline; a session without a figure is missing, not zero.",
        ),
        _lately("share", "Southbound share of turnover (%)", money, "southbound_share_of_turnover_pct"),
        _lately("surge", "Turnover / median of 60 sessions", money, "volume_surge_60d_ratio"),
        _lately("reversal", "Inflow given back in 10 sessions (ratio)", money, "reversal_share_10d_ratio"),
        _lately("gross_to_net", "Turnover / |net buy|", money, "gross_to_net_ratio"),
        _lately("volatility", "Hang Seng volatility, 20 sessions (% a year)", money, "realised_volatility_20d_pct"),
        _lately("breadth", "Hong Kong shares that rose (%)", money, "breadth_pct"),
        _two_axes(
            "alibaba",
            "Alibaba in Hong Kong: shares traded (mn) and close (HKD)",
            "rally_price_and_volume",
            "sum_volume_shares_mn",
            "max_close",
            alibaba,
            "Unadjusted close and volume of the resolved source.",
        ),
        _volume_by_month(),
        _verdicts(),
        _rows(
            "contradicted",
            "Claims that the warehouse contradicts",
            "rally_claims",
            ("as_of_date", "quote", "explanation", "broker_id"),
            [("as_of_date", False)],
            _is("verdict", "contradicted"),
            page=10,
        ),
        _rows(
            "ratings",
            "Ratings and price targets",
            "rally_ratings",
            (
                *("action_date", "broker_name", "instrument", "rating_action", "rating", "target_action"),
                *("target_price", "target_price_prior", "currency", "target_change_pct", "close", "implied_upside_pct"),
            ),
            [("action_date", False), ("broker_name", True)],
            signed=("target_change_pct", "implied_upside_pct"),
            page=10,
        ),
    ]
