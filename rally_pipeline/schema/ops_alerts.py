"""Declarations of the tables of alerts: what was wrong from when to when, and who was told.

Belongs here: names, types, descriptions, grain. Does not belong here: what is a problem, or how it is told (`alerts/`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rally_pipeline.schema.declare import Matches, NoRule, OneOf, Range, UtcDateTime, column, table

#: What can be wrong.
ALERT_KINDS = (
    "failed_run",
    "lost_run",
    "failed_check",
    "failing_source",
    "missing_session",
    "stale_mart",
    "calendar_horizon",
    "quarantine",
    "reconciliation",
    "rejected_file",
    "audit",
    "blind_spot",
)
#: Kind of the notices that are about no problem.
HEARTBEAT = "heartbeat"
ALERT_SEVERITIES = ("error", "warn")
NOTICE_STAGES = ("problem", "reminder", "recovered", HEARTBEAT)
ALERT_TARGETS = ("log", "webhook", "smtp")

_TEXT = NoRule("free text")


def _clock(name: str, what: str, *, nullable: bool = False) -> sa.Column[Any]:
    return column(name, UtcDateTime(), what, NoRule("the clock's word"), unit="UTC", nullable=nullable)


ops_alert = table(
    "ops_alert",
    column("kind", sa.String(24), "What is wrong.", OneOf(ALERT_KINDS)),
    column("problem", sa.String(200), "What it is about; identifies the problem within its kind.", Matches(r"[\s\S]+")),
    _clock("first_seen_at", "When it was first seen."),
    _clock("last_seen_at", "When it was last seen."),
    column("severity", sa.String(8), "How bad, as last seen.", OneOf(ALERT_SEVERITIES)),
    column("title", sa.Text(), "It in a line, as last seen.", Matches(r"[\s\S]+")),
    column("text", sa.Text(), "More about it, as last seen.", _TEXT),
    _clock("since_at", "Since when it is so, as far as can be told; NULL = unknown.", nullable=True),
    column("link", sa.Text(), "Where to look; empty = nowhere in particular.", _TEXT),
    column("notice_count", sa.Integer(), "How often it was told: once, and the reminders.", Range(1)),
    _clock("last_notice_at", "When it was last told or told again."),
    _clock("sent_at", "When every target had been told of it; NULL = not yet.", nullable=True),
    _clock("recovered_at", "When it was first seen to be gone; NULL = it is still there.", nullable=True),
    description="Problems that alerts told of, each time they appeared, and when they were gone.",
    grain="problem × appearance",
    key=("kind", "problem", "first_seen_at"),
)

_OPEN = ops_alert.c.recovered_at.is_(None)
#: A problem cannot appear while it is there.
sa.Index(
    "uq_ops_alert_open",
    ops_alert.c.kind,
    ops_alert.c.problem,
    unique=True,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)

ops_alert_notice = table(
    "ops_alert_notice",
    column("notice_id", sa.String(64), "SHA-256 of what is told; the same at every try.", Matches(r"[0-9a-f]{64}")),
    column("target", sa.String(12), "Who is told.", OneOf(ALERT_TARGETS)),
    column("kind", sa.String(24), "Kind of the problem, or heartbeat.", OneOf((*ALERT_KINDS, HEARTBEAT))),
    column("problem", sa.String(200), "The problem, as in ops_alert; of a heartbeat its day.", Matches(r"[\s\S]+")),
    _clock("first_seen_at", "When the problem was first seen; of a heartbeat when it was made."),
    column("stage", sa.String(12), "What is told of it.", OneOf(NOTICE_STAGES)),
    column("severity", sa.String(8), "How bad.", OneOf(ALERT_SEVERITIES)),
    column("title", sa.Text(), "It in a line.", Matches(r"[\s\S]+")),
    column("text", sa.Text(), "More about it.", _TEXT),
    column("link", sa.Text(), "Where to look; empty = nowhere in particular.", _TEXT),
    _clock("made_at", "When there was something to tell."),
    column("attempts", sa.Integer(), "How often it was tried.", Range(0)),
    _clock("claimed_until_at", "Until when somebody is telling it; NULL = nobody is.", nullable=True),
    _clock("delivered_at", "When the target had taken it; NULL = not yet.", nullable=True),
    _clock("given_up_at", "When it was given up; NULL = it was not.", nullable=True),
    column("failure", sa.Text(), "Why the last try failed; empty = it did not.", _TEXT),
    description="What was told to whom about problems and their end, and the daily sign of life.",
    grain="notice × target",
    key=("notice_id", "target"),
)

sa.Index(None, ops_alert_notice.c.made_at)
