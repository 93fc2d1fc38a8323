"""The derived tables about flows, in the order in which they are computed.

Belongs here: the order, and what of them a past instant needs. Does not belong here: any definition.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from rally_pipeline.marts.hot_money import HOT_MONEY
from rally_pipeline.marts.inputs import Derived
from rally_pipeline.marts.rally_scoreboard import RALLY_SCOREBOARD
from rally_pipeline.marts.reconciliation import RECONCILIATION
from rally_pipeline.marts.southbound import SOUTHBOUND_DAILY
from rally_pipeline.marts.southbound_resolved import SOUTHBOUND_RESOLVED
from rally_pipeline.marts.southbound_since_event import SOUTHBOUND_BEST_WINDOW_MONTHLY, SOUTHBOUND_SINCE_EVENT
from rally_pipeline.marts.southbound_top_stocks import SOUTHBOUND_TOP_STOCKS
from rally_pipeline.schema import core_flows
from rally_pipeline.warehouse.asof import as_of

#: Every derived table about flows, after all it depends on; to stand after those about prices and rates.
DERIVED_FLOWS: tuple[Derived, ...] = (
    SOUTHBOUND_RESOLVED,
    RECONCILIATION,
    SOUTHBOUND_DAILY,
    SOUTHBOUND_SINCE_EVENT,
    SOUTHBOUND_BEST_WINDOW_MONTHLY,
    SOUTHBOUND_TOP_STOCKS,
    HOT_MONEY,
    RALLY_SCOREBOARD,
)

#: Which input of a definition a derived table serves.
SERVES_FLOWS = {
    "core_southbound_resolved_daily": "southbound",
    "ops_reconciliation": "reconciliation",
    "mart_southbound_since_event": "southbound_since_event",
    "mart_price_since_event_daily": "price_since_event",
    "mart_price_extremes_daily": "price_extremes",
}


def flow_inputs_as_of(at: dt.datetime) -> dict[str, sa.FromClause]:
    """The facts about flows that definitions read, as known at ``at`` (aware)."""

    def closed(table: sa.Table, alias: str) -> sa.FromClause:
        return sa.select(table).where(table.c.known_to_at <= at).subquery(alias)

    return {
        "southbound_raw": as_of(core_flows.core_southbound_flow_daily, at),
        "southbound_closed": closed(core_flows.core_southbound_flow_daily, "southbound_closed"),
        "top_stocks_raw": as_of(core_flows.core_southbound_top_stock_daily, at),
        "broker_flows_raw": as_of(core_flows.core_broker_flow, at),
        "broker_flows_closed": closed(core_flows.core_broker_flow, "broker_flow_closed"),
        "market_turnover_raw": as_of(core_flows.core_market_turnover_daily, at),
    }
