"""Every table of the warehouse, declared once. Importing this package declares them all."""

from rally_pipeline.schema import (
    core,
    core_flows,
    core_notes,
    mart,
    mart_flows,
    mart_notes,
    mart_ratings,
    ops,
    ops_alerts,
    raw,
)
from rally_pipeline.schema.declare import column_info, metadata, table_info, value_columns

__all__ = [
    "column_info",
    "core",
    "core_flows",
    "core_notes",
    "mart",
    "mart_flows",
    "mart_notes",
    "mart_ratings",
    "metadata",
    "ops",
    "ops_alerts",
    "raw",
    "table_info",
    "value_columns",
]
