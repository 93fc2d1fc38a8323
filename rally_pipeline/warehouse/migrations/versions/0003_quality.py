"""The gate: every expectation's result, restatements, and what people did with rows in quarantine."""

import sqlalchemy as sa
from alembic import op

from rally_pipeline.schema.declare import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "ops_quality_result",
        sa.Column("fetch_id", sa.String(length=64), nullable=False),
        sa.Column("table_name", sa.String(length=60), nullable=False),
        sa.Column("rule", sa.String(length=60), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("severity", sa.String(length=12), nullable=False),
        sa.Column("is_success", sa.Boolean(), nullable=False),
        sa.Column("observed_value", sa.Text(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("unexpected_count", sa.BigInteger(), nullable=False),
        sa.Column("examples", sa.Text(), nullable=False),
        sa.Column("checked_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("fetch_id", "table_name", "rule", "checked_at", name=op.f("pk_ops_quality_result")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_ops_quality_result_checked_at"), "ops_quality_result", ["checked_at"])
    op.create_table(
        "ops_restatement",
        sa.Column("fetch_id", sa.String(length=64), nullable=False),
        sa.Column("table_name", sa.String(length=60), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sa.Column("column_name", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=40), nullable=False),
        sa.Column("market_date", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("old_value", sa.Double(), nullable=True),
        sa.Column("new_value", sa.Double(), nullable=True),
        sa.Column("change_pct", sa.Double(), nullable=True),
        sa.Column("old_payload_id", sa.String(length=64), nullable=False),
        sa.Column("new_payload_id", sa.String(length=64), nullable=False),
        sa.Column("known_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("fetch_id", "table_name", "row_key", "column_name", name=op.f("pk_ops_restatement")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ops_quarantine_action",
        sa.Column("action_id", sa.String(length=64), nullable=False),
        sa.Column("fetch_id", sa.String(length=64), nullable=False),
        sa.Column("table_name", sa.String(length=60), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sa.Column("rule", sa.String(length=60), nullable=False),
        sa.Column("action", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("acted_by", sa.Text(), nullable=False),
        sa.Column("acted_at", UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_ops_quarantine_action")),
        sqlite_with_rowid=False,
    )
