"""Rating and target changes: what houses did, newest first, with the price of the day.

Belongs here: reading and shaping the table. Does not belong here: deciding what an action was (`marts/`, `notes/`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import sqlalchemy as sa

from rally_pipeline.publish.site import formats
from rally_pipeline.publish.site.world import Row, World
from rally_pipeline.schema import mart_ratings

_ROWS_SHOWN = 400
_RECENT_DAYS = 30
_ICONS = {"Upgrade": "▲", "Downgrade": "▼", "Increase": "▲", "Decrease": "▼", "Initiate": "+", "Drop": "✕"}
_TONES = {"Upgrade": "up", "Downgrade": "down", "Increase": "up", "Decrease": "down"}


def page(world: World) -> dict[str, Any]:
    """What the page shows."""
    found = rows(world)
    start = world.as_of - dt.timedelta(days=_RECENT_DAYS)
    recent = [row for row in found if row["action_date"] > start]
    ratings = Counter(row["rating_action"] for row in recent if row["rating_action"])
    targets = Counter(row["target_action"] for row in recent if row["target_action"])
    return {
        "rows": [action(world, row) for row in found[:_ROWS_SHOWN]],
        "count": len(found),
        "recent_days": _RECENT_DAYS,
        "ratings": [
            (ratings[n], n, _ICONS.get(n, "●"), _TONES.get(n, "")) for n in ("Upgrade", "Downgrade", "Initiate")
        ],
        "targets": [(targets[n], n, _ICONS.get(n, "●"), _TONES.get(n, "")) for n in ("Increase", "Decrease")],
        "conflicts": sum(bool(row["is_conflict"]) for row in recent),
    }


def rows(world: World) -> list[Row]:
    """The mart up to the day told about, newest first."""
    table = mart_ratings.mart_rating_actions
    return world.rows(
        sa.select(table)
        .where(table.c.action_date <= world.as_of)
        .order_by(table.c.action_date.desc(), table.c.broker_name, table.c.action_id)
    )


def action(world: World, row: Row) -> dict[str, Any]:
    """An action as text."""
    currency = row["currency"] or ""
    target, prior = (
        formats.money(row[name], currency) if row[name] is not None else ""
        for name in ("target_price", "target_price_prior")
    )
    return {
        "day": row["action_date"],
        "who": row["broker_name"] or row["analyst"] or "not named",
        "what": row["instrument_name"] or row["subject_text"] or "not named",
        "symbol": row["symbol"],
        "rating": row["rating"],
        "rating_prior": row["rating_prior"] if row["rating_prior"] != row["rating"] else "",
        "rating_action": row["rating_action"],
        "rating_icon": _ICONS.get(row["rating_action"], "●"),
        "rating_tone": _TONES.get(row["rating_action"], ""),
        "target": target,
        "prior": prior,
        "unit": "" if currency else ("no currency stated" if target else ""),
        "target_action": row["target_action"],
        "target_icon": _ICONS.get(row["target_action"], "●"),
        "target_tone": _TONES.get(row["target_action"], ""),
        "change": formats.percent(row["target_change_pct"], 1),
        "close": formats.money(row["close"], row["price_currency"]) if row["close"] is not None else "",
        "close_date": row["close_date"],
        "upside": formats.percent(row["implied_upside_pct"], 1),
        "is_conflict": bool(row["is_conflict"]),
        "words": row["action_text"],
        "source": row["source"],
        "note": world.claim_link(row["note_id"], row["claim_id"]),
    }
