"""Every table of the warehouse, declared once. Importing this package declares them all."""

from rally_pipeline.schema import core, mart, ops, raw
from rally_pipeline.schema.declare import column_info, metadata, table_info, value_columns

__all__ = ["column_info", "core", "mart", "metadata", "ops", "raw", "table_info", "value_columns"]
