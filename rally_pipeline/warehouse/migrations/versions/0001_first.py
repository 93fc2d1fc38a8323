"""First schema: archive index, prices and exchange rates with two clocks, operations."""

import sqlalchemy as sa
from alembic import op

from rally_pipeline.schema.declare import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "core_fx_daily",
        sa.Column("base_currency", sa.String(length=3), nullable=False),
        sa.Column("quote_currency", sa.String(length=3), nullable=False),
        sa.Column("rate_date", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("rate", sa.Double(), nullable=False),
        sa.Column("known_from_at", UtcDateTime(), nullable=False),
        sa.Column("known_to_at", UtcDateTime(), nullable=True),
        sa.Column("payload_id", sa.String(length=64), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "base_currency", "quote_currency", "rate_date", "source", "known_from_at", name=op.f("pk_core_fx_daily")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_core_fx_daily_current",
        "core_fx_daily",
        ["base_currency", "quote_currency", "rate_date", "source"],
        unique=True,
        sqlite_where=sa.text("known_to_at IS NULL"),
        postgresql_where=sa.text("known_to_at IS NULL"),
    )
    op.create_table(
        "core_price_daily",
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("session_date", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("open", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("close", sa.Double(), nullable=True),
        sa.Column("adj_open", sa.Double(), nullable=True),
        sa.Column("adj_high", sa.Double(), nullable=True),
        sa.Column("adj_low", sa.Double(), nullable=True),
        sa.Column("adj_close", sa.Double(), nullable=True),
        sa.Column("volume_shares", sa.BigInteger(), nullable=True),
        sa.Column("turnover", sa.Double(), nullable=True),
        sa.Column("dividend", sa.Double(), nullable=True),
        sa.Column("split_ratio", sa.Double(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("is_flat_bar", sa.Boolean(), nullable=False),
        sa.Column("known_from_at", UtcDateTime(), nullable=False),
        sa.Column("known_to_at", UtcDateTime(), nullable=True),
        sa.Column("payload_id", sa.String(length=64), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "session_date", "source", "known_from_at", name=op.f("pk_core_price_daily")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_core_price_daily_session_date"), "core_price_daily", ["session_date"], unique=False)
    op.create_index(
        "uq_core_price_daily_current",
        "core_price_daily",
        ["symbol", "session_date", "source"],
        unique=True,
        sqlite_where=sa.text("known_to_at IS NULL"),
        postgresql_where=sa.text("known_to_at IS NULL"),
    )
    op.create_table(
        "ops_finding",
        sa.Column("fetch_id", sa.String(length=64), nullable=False),
        sa.Column("finding_no", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=60), nullable=False),
        sa.Column("severity", sa.String(length=12), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fetch_id", "finding_no", name=op.f("pk_ops_finding")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ops_load",
        sa.Column("fetch_id", sa.String(length=64), nullable=False),
        sa.Column("loaded_at", UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("rule", sa.String(length=60), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("rows_parsed", sa.BigInteger(), nullable=False),
        sa.Column("rows_new", sa.BigInteger(), nullable=False),
        sa.Column("rows_changed", sa.BigInteger(), nullable=False),
        sa.Column("rows_same", sa.BigInteger(), nullable=False),
        sa.Column("rows_set_aside", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fetch_id", name=op.f("pk_ops_load")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ops_quarantine",
        sa.Column("fetch_id", sa.String(length=64), nullable=False),
        sa.Column("table_name", sa.String(length=60), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sa.Column("rule", sa.String(length=60), nullable=False),
        sa.Column("row_json", sa.Text(), nullable=False),
        sa.Column("payload_id", sa.String(length=64), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("fetch_id", "table_name", "row_key", "rule", name=op.f("pk_ops_quarantine")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ops_run",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("code_version", sa.String(length=60), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_ops_run")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ops_stale",
        sa.Column("table_name", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=32), nullable=False),
        sa.Column("from_date", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "subject", name=op.f("pk_ops_stale")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ops_warehouse",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_ops_warehouse")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "raw_fetch",
        sa.Column("fetch_id", sa.String(length=64), nullable=False),
        sa.Column("payload_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("parser", sa.String(length=40), nullable=False),
        sa.Column("dataset", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("start_date", sa.Date(), nullable=True),
        sa.Column("end_date", sa.Date(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("byte_count", sa.BigInteger(), nullable=False),
        sa.Column("fetched_at", UtcDateTime(), nullable=False),
        sa.Column("known_at", UtcDateTime(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("fetch_id", name=op.f("pk_raw_fetch")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_raw_fetch_source_subject_known_at"), "raw_fetch", ["source", "subject", "known_at"], unique=False
    )
