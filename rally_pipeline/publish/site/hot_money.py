"""Hot-money indicators: each a small chart with its definition as declared. There is no score.

Belongs here: which indicators are shown and how their units are written. Does not belong here: computing them
(`marts/hot_money.py`) or defining them (`schema/mart_flows.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rally_pipeline.publish.site import formats
from rally_pipeline.publish.site.charts import Chart, Flag, Series, draw
from rally_pipeline.publish.site.world import Row, World
from rally_pipeline.schema import column_info, mart_flows

_SESSIONS_SHOWN = 250


@dataclass(frozen=True)
class Indicator:
    """How an indicator is shown: its column, name, unit for people, decimals, factor, and a level worth a line."""

    column: str
    name: str
    unit: str
    digits: int = 2
    factor: float = 1.0
    level: float | None = None
    is_signed: bool = False

    def text(self, value: float | None) -> str:
        """A value with its unit."""
        if value is None:
            return formats.NONE
        shown = formats.number(value * self.factor, self.digits, signed=self.is_signed)
        if self.unit.startswith("HK$"):
            return f"{formats.billions(value, 'HKD', self.digits)}{self.unit.removeprefix('HK$ bn')}"
        return f"{shown}\u00a0{self.unit}" if self.unit else shown

    @property
    def definition(self) -> str:
        """What is declared of the column."""
        return column_info(mart_flows.mart_hot_money_daily.c[self.column]).description


INDICATORS = (
    Indicator("southbound_share_of_turnover_pct", "Southbound share of turnover", "%", 1),
    Indicator("gross_to_net_ratio", "Gross to net", "×", 1),
    Indicator("reversal_share_10d_ratio", "Given back within 10 sessions", "%", 1, factor=100),
    Indicator("volume_surge_60d_ratio", "Turnover against its 60-session median", "×", 2, level=1.0),
    Indicator("realised_volatility_20d_pct", "Realised volatility, 20 sessions", "%", 1),
    Indicator("chase_beta_5d", "Chasing: net buy per 1 % of the session before", "HK$ bn per 1 %", 2, 0.001, 0.0, True),
    Indicator("breadth_pct", "Shares that rose", "%", 0, level=50.0),
)


def rows(world: World) -> list[Row]:
    """The mart up to the day told about, ascending."""
    money = mart_flows.mart_hot_money_daily
    return world.rows(sa.select(money).where(money.c.session_date <= world.as_of).order_by(money.c.session_date))


def page(world: World) -> dict[str, Any]:
    """What the page shows."""
    found = rows(world)
    shown = found[-_SESSIONS_SHOWN:]
    cards = []
    for indicator in INDICATORS:
        points = [
            (r["session_date"], r[indicator.column] * indicator.factor)
            for r in shown
            if r[indicator.column] is not None
        ]
        if len(points) < 2:
            continue
        last_day, last = points[-1]
        low, high = min(v for _, v in points), max(v for _, v in points)
        reach = _reach([value for _, value in points])
        chart = Chart(
            ident=f"c-{indicator.column.replace('_', '-')}",
            title=indicator.name,
            unit=indicator.unit,
            series=(Series(indicator.name, tuple(points)),),
            summary=(
                f"{indicator.text(last / indicator.factor)} on {formats.day(last_day)}; between "
                f"{indicator.text(low / indicator.factor)} and {indicator.text(high / indicator.factor)} in the "
                f"{len(points)} sessions since {formats.day(points[0][0])}."
            ),
            source=f"mart_hot_money_daily.{indicator.column}",
            digits=indicator.digits,
            is_signed=indicator.is_signed,
            level=indicator.level,
            reach=reach,
            flags=tuple(Flag(e.day, "") for e in world.events if e.day >= points[0][0]),
        )
        cards.append(
            {
                "indicator": indicator,
                "drawing": draw(chart, is_small=True),
                "value": indicator.text(last / indicator.factor),
                "day": last_day,
                "table": [(d, indicator.text(v / indicator.factor)) for d, v in points[-10:][::-1]],
                "is_cut": low < reach[0] or high > reach[1],
            }
        )
    return {"cards": cards, "last": found[-1] if found else None}


def _reach(values: Sequence[float]) -> tuple[float, float]:
    """Twice as wide as the middle 95 % of values."""
    ordered = sorted(values)
    cut = len(ordered) // 40
    low, high = ordered[cut], ordered[-1 - cut]
    room = ((high - low) or 1.0) / 2
    floor = low - room
    return max(floor, 0.0) if min(values) >= 0 else floor, high + room
