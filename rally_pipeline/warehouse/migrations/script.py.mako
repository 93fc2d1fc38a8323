"""${message}"""

import sqlalchemy as sa
from alembic import op

from rally_pipeline.schema.declare import UtcDateTime

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
