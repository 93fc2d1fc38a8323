"""No index of the session date on price versions: every question about a day asks for instruments too, which the key
answers, and a first load spent a fifth of its time on it.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Takes the index off."""
    op.drop_index(op.f("ix_core_price_daily_session_date"), table_name="core_price_daily")
