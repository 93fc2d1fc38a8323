"""Stock Connect: southbound flows, northbound turnover, most active shares, brokers' figures, market turnover."""

import sqlalchemy as sa
from alembic import op

from rally_pipeline.schema.declare import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "core_broker_flow",
        sa.Column("broker", sa.String(length=60), nullable=False),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("period_end", sa.Date(), nullable=False),
        sa.Column("period_basis", sa.String(length=60), nullable=False),
        sa.Column("flow_family", sa.String(length=60), nullable=False),
        sa.Column("channel", sa.String(length=60), nullable=False),
        sa.Column("market", sa.String(length=60), nullable=False),
        sa.Column("style", sa.String(length=60), nullable=False),
        sa.Column("dimension", sa.String(length=60), nullable=False),
        sa.Column("dimension_value", sa.String(length=60), nullable=False),
        sa.Column("metric", sa.String(length=60), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("unit", sa.String(length=12), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("trading_days", sa.Integer(), nullable=True),
        sa.Column("report_title", sa.Text(), nullable=False),
        sa.Column("report_date", sa.Date(), nullable=True),
        sa.Column("published_text", sa.Text(), nullable=False),
        sa.Column("revision_of", sa.Text(), nullable=False),
        sa.Column("page_ref", sa.Text(), nullable=False),
        sa.Column("entered_by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("known_from_at", UtcDateTime(), nullable=False),
        sa.Column("known_to_at", UtcDateTime(), nullable=True),
        sa.Column("payload_id", sa.String(length=64), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "broker",
            "period_start",
            "period_end",
            "period_basis",
            "flow_family",
            "channel",
            "market",
            "style",
            "dimension",
            "dimension_value",
            "metric",
            "revision_of",
            "source",
            "known_from_at",
            name=op.f("pk_core_broker_flow"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_core_broker_flow_current",
        "core_broker_flow",
        [
            "broker",
            "period_start",
            "period_end",
            "period_basis",
            "flow_family",
            "channel",
            "market",
            "style",
            "dimension",
            "dimension_value",
            "metric",
            "revision_of",
            "source",
        ],
        unique=True,
        sqlite_where=sa.text("known_to_at IS NULL"),
        postgresql_where=sa.text("known_to_at IS NULL"),
    )
    op.create_table(
        "core_market_turnover_daily",
        sa.Column("market", sa.String(length=12), nullable=False),
        sa.Column("session_date", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("turnover_hkd_mn", sa.Double(), nullable=False),
        sa.Column("known_from_at", UtcDateTime(), nullable=False),
        sa.Column("known_to_at", UtcDateTime(), nullable=True),
        sa.Column("payload_id", sa.String(length=64), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "market", "session_date", "source", "known_from_at", name=op.f("pk_core_market_turnover_daily")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_core_market_turnover_daily_current",
        "core_market_turnover_daily",
        ["market", "session_date", "source"],
        unique=True,
        sqlite_where=sa.text("known_to_at IS NULL"),
        postgresql_where=sa.text("known_to_at IS NULL"),
    )
    op.create_table(
        "core_northbound_turnover_daily",
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("session_date", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("turnover_cny_mn", sa.Double(), nullable=True),
        sa.Column("buy_cny_mn", sa.Double(), nullable=True),
        sa.Column("sell_cny_mn", sa.Double(), nullable=True),
        sa.Column("net_buy_cny_mn", sa.Double(), nullable=True),
        sa.Column("trade_count", sa.BigInteger(), nullable=True),
        sa.Column("known_from_at", UtcDateTime(), nullable=False),
        sa.Column("known_to_at", UtcDateTime(), nullable=True),
        sa.Column("payload_id", sa.String(length=64), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "channel", "session_date", "source", "known_from_at", name=op.f("pk_core_northbound_turnover_daily")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_core_northbound_turnover_daily_current",
        "core_northbound_turnover_daily",
        ["channel", "session_date", "source"],
        unique=True,
        sqlite_where=sa.text("known_to_at IS NULL"),
        postgresql_where=sa.text("known_to_at IS NULL"),
    )
    op.create_table(
        "core_southbound_flow_daily",
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("session_date", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("buy_hkd_mn", sa.Double(), nullable=True),
        sa.Column("sell_hkd_mn", sa.Double(), nullable=True),
        sa.Column("net_buy_hkd_mn", sa.Double(), nullable=True),
        sa.Column("turnover_hkd_mn", sa.Double(), nullable=True),
        sa.Column("buy_trade_count", sa.BigInteger(), nullable=True),
        sa.Column("sell_trade_count", sa.BigInteger(), nullable=True),
        sa.Column("etf_turnover_hkd_mn", sa.Double(), nullable=True),
        sa.Column("known_from_at", UtcDateTime(), nullable=False),
        sa.Column("known_to_at", UtcDateTime(), nullable=True),
        sa.Column("payload_id", sa.String(length=64), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "channel", "session_date", "source", "known_from_at", name=op.f("pk_core_southbound_flow_daily")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_core_southbound_flow_daily_current",
        "core_southbound_flow_daily",
        ["channel", "session_date", "source"],
        unique=True,
        sqlite_where=sa.text("known_to_at IS NULL"),
        postgresql_where=sa.text("known_to_at IS NULL"),
    )
    op.create_table(
        "core_southbound_top_stock_daily",
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("session_date", sa.Date(), nullable=False),
        sa.Column("stock_code", sa.String(length=5), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("stock_name", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("buy_hkd", sa.Double(), nullable=True),
        sa.Column("sell_hkd", sa.Double(), nullable=True),
        sa.Column("turnover_hkd", sa.Double(), nullable=True),
        sa.Column("known_from_at", UtcDateTime(), nullable=False),
        sa.Column("known_to_at", UtcDateTime(), nullable=True),
        sa.Column("payload_id", sa.String(length=64), nullable=False),
        sa.Column("locator", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "channel",
            "session_date",
            "stock_code",
            "source",
            "known_from_at",
            name=op.f("pk_core_southbound_top_stock_daily"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_core_southbound_top_stock_daily_current",
        "core_southbound_top_stock_daily",
        ["channel", "session_date", "stock_code", "source"],
        unique=True,
        sqlite_where=sa.text("known_to_at IS NULL"),
        postgresql_where=sa.text("known_to_at IS NULL"),
    )
