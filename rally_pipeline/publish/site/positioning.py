"""What notes say about the positions of investors, day by day.

Belongs here: reading and shaping the timeline. Does not belong here: reading statements out of notes (`notes/`).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from rally_pipeline.publish.site import formats
from rally_pipeline.publish.site.world import Row, World
from rally_pipeline.schema import mart_ratings

_ROWS_SHOWN = 300
_POLARITY = {1: ("▲", "bullish", "up"), -1: ("▼", "bearish", "down")}


def page(world: World) -> dict[str, Any]:
    """What the page shows: days, newest first, each with its statements."""
    found = [statement(world, row) for row in rows(world)[:_ROWS_SHOWN]]
    days: dict[dt.date, list[dict[str, Any]]] = {}
    for one in found:
        days.setdefault(one["day"], []).append(one)
    counts = {word: sum(one["word"] == word for one in found) for word in ("bullish", "bearish", "neutral")}
    return {"days": list(days.items()), "counts": counts, "count": len(found)}


def rows(world: World) -> list[Row]:
    """The mart up to the day told about, newest first."""
    table = mart_ratings.mart_positioning
    return world.rows(
        sa.select(table)
        .where(table.c.as_of_date <= world.as_of)
        .order_by(table.c.as_of_date.desc(), table.c.statement_class, table.c.claim_id)
    )


def statement(world: World, row: Row) -> dict[str, Any]:
    """A statement as text."""
    icon, word, tone = _POLARITY.get(row["polarity"], ("●", "neutral", ""))
    who = (
        row["broker_name"]
        or row["speaker"]
        or ("a newspaper" if row["source_kind"] == "newspaper" else "not attributed")
    )
    value = formats.number(row["value"]) if row["value"] is not None else ""
    return {
        "day": row["as_of_date"],
        "icon": icon,
        "word": word,
        "tone": tone,
        "class": formats.words(row["statement_class"]),
        "investors": row["investors"],
        "subject": row["subject_text"],
        "who": f"{row['speaker']}, {row['broker_name']}" if row["speaker"] and row["broker_name"] else who,
        "quote": " ".join(row["quote"].split()),
        "value": f"{value} {row['unit']}".strip(),
        "window": row["window_text"],
        "stance": row["stance"],
        "note": world.claim_link(row["note_id"], row["claim_id"]),
    }
