"""What may be summed and what may not: the metrics of each mart.

Belongs here: the choice, by table and unit. Does not belong here: how a tool spells a metric (`superset.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from rally_pipeline.publish.bi.words import digits, label
from rally_pipeline.schema.declare import ColumnInfo

#: Columns whose sum over rows means something; all other numbers are levels, returns, ranks or sums already.
ADDITIVE = {
    "mart_southbound_daily": (
        *("buy_hkd_mn", "sell_hkd_mn", "net_buy_hkd_mn", "turnover_hkd_mn"),
        *("net_buy_usd_mn", "turnover_usd_mn"),
    ),
    "mart_southbound_top_stocks_daily": ("buy_hkd_mn", "sell_hkd_mn", "net_buy_hkd_mn", "turnover_hkd_mn"),
    "mart_trading_volume_daily": ("volume_shares",),
    "mart_trading_volume_monthly": ("volume_shares", "sessions"),
    "rally_southbound_since_new_year": ("day_net_buy_hkd_mn", "day_turnover_hkd_mn"),
    "rally_price_and_volume": ("volume_shares", "volume_shares_mn"),
}
#: What makes a sum wrong unless it is filtered.
WARNINGS = {
    "mart_southbound_daily": "Filter on one channel, or leave out total: it is the sum of sse and szse.",
}
#: Words that make a number a name, an order or a version: there is nothing to aggregate.
_NO_MEASURE = {"rank", "no", "polarity", "age", "position"}

Columns = Sequence[tuple[str, sa.types.TypeEngine[object], ColumnInfo]]


@dataclass(frozen=True)
class Metric:
    """An aggregate of a table.

    Attributes:
        name: unique in the table.
        label: for people, with the unit.
        expression: SQL that every engine takes.
        description: one line.
        digits: shown after the point.
        warning: what to mind; empty = nothing.
    """

    name: str
    label: str
    expression: str
    description: str
    digits: int
    warning: str = ""


def metrics_of(table: str, columns: Columns) -> list[Metric]:
    """The metrics of a table: how many rows, sums of what is additive, of other numbers the highest and the average.

    At the grain of the table highest, average and the value are the same, which is what charts by day use.
    """
    found = [Metric("rows", "Rows", "COUNT(*)", "How many rows.", 0)]
    for name, type_, info in columns:
        places = digits(type_, info)
        if places is None or _NO_MEASURE & set(name.split("_")):
            continue
        called = label(name, info)
        if name in ADDITIVE.get(table, ()):
            found.append(
                Metric(f"sum_{name}", called, f"SUM({name})", info.description, places, WARNINGS.get(table, ""))
            )
        else:
            found.append(Metric(f"max_{name}", called, f"MAX({name})", f"Highest: {info.description}", places))
            found.append(
                Metric(
                    f"avg_{name}", f"{called}, average", f"AVG({name})", f"Average: {info.description}", max(places, 1)
                )
            )
    return found
