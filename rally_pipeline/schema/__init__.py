"""Every table of the warehouse, declared once. Importing this package declares them all."""

from rally_pipeline.schema import core, core_flows, core_notes, mart, mart_flows, mart_notes, mart_ratings, ops, raw
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
    "raw",
    "table_info",
    "value_columns",
]
