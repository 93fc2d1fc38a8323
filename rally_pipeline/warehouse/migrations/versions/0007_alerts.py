"""Alerts: problems from when they were seen to when they were gone, and what was told of them to whom."""

import sqlalchemy as sa
from alembic import op

from rally_pipeline.schema.declare import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "ops_alert",
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("problem", sa.String(length=200), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("since_at", UtcDateTime(), nullable=True),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("notice_count", sa.Integer(), nullable=False),
        sa.Column("last_notice_at", UtcDateTime(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("recovered_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "problem", "first_seen_at", name=op.f("pk_ops_alert")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_ops_alert_open",
        "ops_alert",
        ["kind", "problem"],
        unique=True,
        sqlite_where=sa.text("recovered_at IS NULL"),
        postgresql_where=sa.text("recovered_at IS NULL"),
    )
    op.create_table(
        "ops_alert_notice",
        sa.Column("notice_id", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("problem", sa.String(length=200), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("stage", sa.String(length=12), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_until_at", UtcDateTime(), nullable=True),
        sa.Column("delivered_at", UtcDateTime(), nullable=True),
        sa.Column("given_up_at", UtcDateTime(), nullable=True),
        sa.Column("failure", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("notice_id", "target", name=op.f("pk_ops_alert_notice")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_ops_alert_notice_made_at"), "ops_alert_notice", ["made_at"])
