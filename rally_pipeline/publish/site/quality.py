"""Data quality in short: the last runs, what is not as expected, how fresh each source is, where sources disagree.

Belongs here: a summary, and the way to the full report. Does not belong here: the report itself (`quality_report.py`)
or checking (`quality/`).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from rally_pipeline.load_log import standing_results
from rally_pipeline.publish.site.world import World
from rally_pipeline.quarantine import Selection, State, read_rows
from rally_pipeline.schema import mart_flows, ops, raw

_DAYS = 60
_BREAKS_SHOWN = 60
_SEVERITIES = {"error": ("✕", "down"), "quarantine": ("◆", "warn"), "warn": ("!", "warn")}


def page(world: World, *, has_report: bool) -> dict[str, Any]:
    """What the page shows; `has_report`: whether there is a full report to link to."""
    result = standing_results()
    failed = sa.case((result.c.is_success, 0), else_=1)
    by_rule = world.rows(
        sa.select(
            result.c.table_name,
            result.c.rule,
            result.c.severity,
            sa.func.count().label("payloads"),
            sa.func.sum(failed).label("not_met"),
            sa.func.sum(result.c.unexpected_count).label("rows"),
            sa.func.max(result.c.checked_at).label("checked_at"),
        )
        .group_by(result.c.table_name, result.c.rule, result.c.severity)
        .order_by(result.c.table_name, result.c.rule)
    )
    unmet = [row for row in by_rule if row["not_met"]]
    order = list(_SEVERITIES)
    unmet.sort(key=lambda row: (order.index(row["severity"]) if row["severity"] in order else 9, -row["not_met"]))
    restated = world.connection.scalar(sa.select(sa.func.count()).select_from(ops.ops_restatement)) or 0
    aside = [row for row in read_rows(world.connection, Selection()) if row.state is State.OPEN]
    return {
        "tiles": [
            ("rules", len(by_rule), ""),
            ("rules met by every payload", len(by_rule) - len(unmet), ""),
            ("rows open in quarantine", len(aside), "warn" if aside else ""),
            ("values restated", restated, "warn" if restated else ""),
        ],
        "unmet": [{**row, "sign": _SEVERITIES.get(row["severity"], ("·", ""))} for row in unmet],
        "sources": _sources(world),
        "breaks": _breaks(world),
        "has_report": has_report,
    }


def _sources(world: World) -> list[dict[str, Any]]:
    """Each source: payloads, how many were refused, when the last was fetched."""
    fetch, load = raw.raw_fetch, ops.ops_load
    return [
        dict(row)
        for row in world.rows(
            sa.select(
                fetch.c.source,
                sa.func.count().label("payloads"),
                sa.func.sum(sa.case((load.c.outcome == "refused", 1), else_=0)).label("refused"),
                sa.func.sum(load.c.rows_parsed).label("parsed"),
                sa.func.max(fetch.c.fetched_at).label("fetched_at"),
            )
            .outerjoin(load, load.c.fetch_id == fetch.c.fetch_id)
            .group_by(fetch.c.source)
            .order_by(fetch.c.source)
        )
    ]


def _breaks(world: World) -> dict[str, Any]:
    """Where sources of flows disagree in the last weeks, and how often."""
    table = mart_flows.ops_reconciliation
    start = world.as_of - dt.timedelta(days=_DAYS)
    inside = table.c.period_end.between(start, world.as_of)
    total = world.connection.scalar(sa.select(sa.func.count()).select_from(table).where(inside)) or 0
    query = (
        sa.select(table)
        .where(inside, table.c.is_break.is_(True))
        .order_by(table.c.period_end.desc(), table.c.subject, table.c.channel, table.c.source)
    )
    rows = world.rows(query)
    return {"rows": rows[:_BREAKS_SHOWN], "count": len(rows), "compared": total, "days": _DAYS, "start": start}
