"""The reference tables, which follow from catalog and calendars, and the ops tables, which follow from every run.

Belongs here: their place in the graph. Opening the workspace writes the reference tables when the catalog or the
calendars changed, so their assets only say what they hold.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from rally_pipeline.marts import DERIVED
from rally_pipeline.orchestration import evidence
from rally_pipeline.orchestration.declared import declared
from rally_pipeline.orchestration.resources import WORKSPACE, RunWorkspace
from rally_pipeline.schema import core, core_flows, metadata, table_info


def reference_assets(database: str) -> dg.AssetsDefinition:
    """One asset per reference table, made by one step."""
    specs = [
        dg.AssetSpec(
            key=dg.AssetKey([table.name]), group_name="reference", kinds={"yaml", database}, **declared(table.name)
        )
        for table in core.REFERENCE
    ]

    @dg.multi_asset(name="reference_tables", specs=specs, can_subset=True, required_resource_keys={WORKSPACE})
    def reference_tables(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        run: RunWorkspace = context.resources.workspace
        with run.workspace.warehouse.read() as connection:
            for spec in specs:
                if spec.key in context.selected_asset_keys:
                    table = metadata.tables[spec.key.path[0]]
                    found = evidence.table_evidence(connection, table)
                    yield dg.MaterializeResult(
                        asset_key=spec.key, metadata={**found, "catalog_hash": run.workspace.catalog.content_hash}
                    )

    return reference_tables


def file_specs(database: str) -> list[dg.AssetSpec]:
    """Core tables that are only filled from files a person imports."""
    return [
        dg.AssetSpec(key=dg.AssetKey([table.name]), group_name="core", kinds={"csv", database}, **declared(table.name))
        for table in (core_flows.core_broker_flow,)
    ]


def ops_specs(facts: list[dg.AssetKey], database: str) -> list[dg.AssetSpec]:
    """The ops tables as external assets: they are written along with everything and never made by themselves."""
    computed = {derived.table.name for derived in DERIVED}
    after_load = {"ops_load", "ops_finding", "ops_quarantine", "ops_stale"}
    return [
        dg.AssetSpec(
            key=dg.AssetKey([name]),
            group_name="ops",
            kinds={database},
            deps=facts if name in after_load else [],
            **declared(name),
        )
        for name, table in metadata.tables.items()
        if table_info(table).layer == "ops" and name not in computed
    ]
