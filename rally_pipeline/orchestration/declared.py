"""What Dagster is told about a table, all of it derived from the table's declaration.

Belongs here: column schema, description, owners, kinds. Does not belong here: what a run found (`evidence.py`).
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.schema import column_info, metadata, table_info
from rally_pipeline.schema.declare import InTable, Matches, OneOf, Range, Rule

#: Groups of the asset graph.
GROUPS = ("ingest", "core", "marts", "reference", "ops")


def table_schema(table: sa.Table) -> dg.TableSchema:
    """The column schema of a declared table: types, descriptions with units, rules as constraints."""
    key = table.primary_key.columns
    columns = []
    for column in table.columns:
        said = column_info(column)
        unit = f" [{said.unit}]" if said.unit else ""
        columns.append(
            dg.TableColumn(
                name=column.name,
                type=_type_name(column.type),
                description=f"{said.description}{unit}",
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


def rule_text(rule: Rule) -> str:
    """A rule of a column in words; empty where there is nothing to check."""
    if isinstance(rule, Range):
        low = "" if rule.low is None else f"{rule.low:g} {'<' if rule.strict_low else '≤'} "
        high = "" if rule.high is None else f" ≤ {rule.high:g}"
        return f"{low}value{high}" if low or high else ""
    if isinstance(rule, OneOf):
        return f"one of {', '.join(rule.values)}"
    if isinstance(rule, Matches):
        return f"matches {rule.regex}"
    if isinstance(rule, InTable):
        return f"in {rule.table}.{rule.column}"
    return ""


def _type_name(type_: sa.types.TypeEngine[Any]) -> str:
    if isinstance(type_, sa.types.TypeDecorator):
        return "TIMESTAMP (UTC)"
    return str(type_)


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
