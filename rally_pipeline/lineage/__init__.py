"""Where every column comes from: derived from the selects, never typed by hand where there is a select.

Belongs here: walking a select (`select_walk.py`), the lineage of derived tables (`columns.py`), of what is loaded or
computed by code (`loaded.py`, `audited.py`), the whole graph (`graph.py`) and its page (`drawing.py`). Does not belong
here: computing anything, or telling Dagster (`orchestration/`).
"""

from rally_pipeline.lineage.columns import column_lineage, table_lineage
from rally_pipeline.lineage.graph import LineageGraph, lineage_graph, upstream_of
from rally_pipeline.lineage.records import ColumnRef, Dependency, LineageError, Subtype, TableLineage

__all__ = [
    "ColumnRef",
    "Dependency",
    "LineageError",
    "LineageGraph",
    "Subtype",
    "TableLineage",
    "column_lineage",
    "lineage_graph",
    "table_lineage",
    "upstream_of",
]
