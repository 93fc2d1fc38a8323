"""Runs say what they were made with: lock file, catalog, calendars, Python, platform."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the columns; of earlier runs nothing is known."""
    for name in ("lock_hash", "catalog_hash", "calendar_version", "python_version", "platform"):
        op.add_column("ops_run", sa.Column(name, sa.Text(), nullable=True))
