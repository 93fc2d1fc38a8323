"""Recovery: what sources have not given, and what is broken right now."""

import sqlalchemy as sa
from alembic import op

from rally_pipeline.schema.declare import UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "ops_gap",
        sa.Column("market", sa.String(length=12), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("session_date", sa.Date(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("asked_count", sa.Integer(), nullable=False),
        sa.Column("first_asked_at", UtcDateTime(), nullable=False),
        sa.Column("last_asked_at", UtcDateTime(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("market", "source", "subject", "session_date", name=op.f("pk_ops_gap")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ops_health",
        sa.Column("market", sa.String(length=12), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("last_success_at", UtcDateTime(), nullable=True),
        sa.Column("failing_since_at", UtcDateTime(), nullable=True),
        sa.Column("last_failure_at", UtcDateTime(), nullable=True),
        sa.Column("failure_kind", sa.String(length=12), nullable=False),
        sa.Column("failure_message", sa.Text(), nullable=False),
        sa.Column("failed_run_id", sa.String(length=64), nullable=True),
        sa.Column("missing_sessions", sa.Integer(), nullable=False),
        sa.Column("oldest_missing_date", sa.Date(), nullable=True),
        sa.Column("checked_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("market", "source", name=op.f("pk_ops_health")),
        sqlite_with_rowid=False,
    )
