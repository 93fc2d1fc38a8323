"""What Dagster is told about a table, all of it derived from the table's declaration or definition.

Belongs here: column schema, column lineage, description, owners, kinds. Does not belong here: what a run found
(`evidence.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.lineage.graph import by_source, in_words, lineage_graph
from rally_pipeline.schema import column_info, metadata, table_info
from rally_pipeline.schema.declare import rule_text, type_name

#: Where Dagster looks for the lineage of columns.
LINEAGE = "dagster/column_lineage"
#: Groups of the asset graph.
GROUPS = ("ingest", "core", "marts", "reference", "ops")


def table_schema(table: sa.Table) -> dg.TableSchema:
    """The column schema of a declared table: types, descriptions with units and where a column comes from, which the
    open-source UI shows nowhere else, rules as constraints.
    """
    key = table.primary_key.columns
    lineage = lineage_graph().tables.get(table.name)
    columns = []
    for column in table.columns:
        said = column_info(column)
        unit = f" [{said.unit}]" if said.unit else ""
        source = in_words(lineage.columns[column.name]) if lineage else ""
        columns.append(
            dg.TableColumn(
                name=column.name,
                type=type_name(column.type),
                description=f"{said.description}{unit}{f' ← {source}' if source else ''}",
                constraints=dg.TableColumnConstraints(
                    nullable=bool(column.nullable),
                    unique=len(key) == 1 and column.name in key,
                    other=[text for rule in said.rules if (text := rule_text(rule))],
                ),
                tags={"key": "primary"} if column.name in key else {},
            )
        )
    info = table_info(table)
    constraints = [f"one row per {info.grain}", f"primary key ({', '.join(c.name for c in key)})"]
    return dg.TableSchema(columns=columns, constraints=dg.TableConstraints(other=constraints))


def lineage_metadata(name: str, keys: Callable[[str], Iterable[dg.AssetKey]]) -> dg.TableColumnLineage:
    """The column lineage of table `name`: every column of another table that a column's own expression reads.

    Args:
        name: a table whose columns come from other tables.
        keys: the assets that hold a table; a column of it is named with each of them.
    """
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(key, ref.column)
                for ref in by_source(found)
                if ref.table in metadata.tables
                for key in keys(ref.table)
            ]
            for column, found in lineage_graph().tables[name].columns.items()
        }
    )


def declared(name: str) -> dict[str, Any]:
    """The keyword arguments of an asset or an `AssetSpec` which follow from the declaration of table `name`."""
    table = metadata.tables[name]
    info = table_info(table)
    versions = " Every version is kept, with known_from_at and known_to_at." if info.versioned else ""
    return {
        "description": f"{info.description}{versions}\n\nOne row per {info.grain}.",
        "owners": [info.owner],
        "metadata": {
            "dagster/column_schema": table_schema(table),
            "dagster/table_name": name,
            "grain": info.grain,
            **({"day_column": info.date_column} if info.date_column else {}),
        },
    }
