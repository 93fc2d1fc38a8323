"""Where columns come from, in the shape the data dictionary wants it, and when that may have changed.

Belongs here: names of direct sources. Does not belong here: finding them (`graph.py`) or writing them
(`warehouse/dictionary.py`).
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from rally_pipeline import marts, schema, targets
from rally_pipeline.lineage.graph import lineage_graph
from rally_pipeline.lineage.records import RAW, sources
from rally_pipeline.warehouse.dictionary import Upstream


@functools.cache
def definitions_hash() -> str:
    """A digest of the code that says where columns come from: reading it costs far less than following it."""
    digest = hashlib.sha256()
    own, others = Path(__file__).parent, (Path(str(package.__file__)).parent for package in (schema, marts))
    for folder in (own, *others):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    digest.update(Path(str(targets.__file__)).read_bytes())
    return digest.hexdigest()


def direct_upstream() -> Upstream:
    """What every column's own expression reads, and the tables that each table comes from.

    Raises:
        LineageError: where a column comes from cannot be told.
    """
    graph = lineage_graph()
    columns = {
        name: {column: [str(ref) for ref in sorted(sources(found))] for column, found in table.columns.items()}
        for name, table in graph.tables.items()
    }
    tables = {
        name: sorted(
            {one.source.table for one in table.rows.union(*table.columns.values()) if not one.source.is_outside}
        )
        for name, table in graph.tables.items()
        if name != RAW
    }
    return Upstream(columns, tables)
