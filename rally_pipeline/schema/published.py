"""Which tables are for analysts: what is published, and what a reader of the warehouse may see.

Belongs here: that list. Does not belong here: publishing (`publish/`) or granting (`warehouse/roles.py`).
"""

from __future__ import annotations

import sqlalchemy as sa

from rally_pipeline.schema import core, mart_flows, metadata, ops, table_info


def published_tables() -> list[sa.Table]:
    """The marts and the reconciliation, the reference tables with what their keys stand for, and the dictionary."""
    marts = [table for table in metadata.tables.values() if table_info(table).layer == "mart"]
    return [*marts, mart_flows.ops_reconciliation, *core.REFERENCE, *ops.DICTIONARY]
