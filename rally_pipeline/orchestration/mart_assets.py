"""One asset per derived table: the resolved facts and the marts.

Belongs here: their graph, read off the definitions. Does not belong here: the definitions or when a table is stale
(`marts/`).
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.lineage import table_lineage
from rally_pipeline.marts import DERIVED, Derived, Refreshed, refresh
from rally_pipeline.orchestration import evidence, plots
from rally_pipeline.orchestration.declared import LINEAGE, declared, lineage_metadata
from rally_pipeline.orchestration.ingest_assets import WRITER_POOL, core_keys
from rally_pipeline.orchestration.note_assets import FEED_RATINGS, NOTE_RATINGS
from rally_pipeline.orchestration.partitions import weekdays
from rally_pipeline.orchestration.resources import ROWS_COMPUTED, WORKSPACE, RunWorkspace
from rally_pipeline.schema import table_info
from rally_pipeline.warehouse.spans import day_span


def source_tables(derived: Derived) -> list[str]:
    """The declared tables that the definition reads, itself excepted: those of its select, in order of name."""
    lineage = table_lineage(derived)
    found = {one.source.table for one in lineage.rows.union(*lineage.columns.values())}
    return sorted((found | set(derived.inputs)) - {derived.table.name})


def mart_assets(markets: Sequence[str], database: str) -> list[dg.AssetsDefinition]:
    """The assets of all derived tables; `markets` are those whose core assets exist."""
    return [_mart_asset(derived, markets, database) for derived in DERIVED]


def asset_keys(table: str, markets: Sequence[str]) -> list[dg.AssetKey]:
    """The assets that hold a table: one for each market or way in, where it has several."""
    if table == "core_rating_action":
        return [NOTE_RATINGS, FEED_RATINGS]
    if table == "core_price_daily":
        sliced = {key for market in markets for key in core_keys(market)}
        # Currency pairs are instruments too, but their payloads go to core_fx_daily only.
        return [key for key in sorted(sliced) if key.path[0] == table]
    return [dg.AssetKey([table])]


def deps_of(tables: Iterable[str], markets: Sequence[str]) -> list[dg.AssetDep]:
    """The dependencies of an asset that reads these tables."""
    # A row looks back over all earlier days, and the days of markets and weekdays have different time zones.
    everything = dg.AllPartitionMapping()
    sliced = {key for market in markets for key in core_keys(market)}
    deps = []
    for name in tables:
        for key in asset_keys(name, markets):
            deps.append(dg.AssetDep(key, partition_mapping=everything) if key in sliced else dg.AssetDep(key))
    return deps


def _mart_asset(derived: Derived, markets: Sequence[str], database: str) -> dg.AssetsDefinition:
    table = derived.table
    about = declared(table.name)
    lineage = lineage_metadata(table.name, lambda name: asset_keys(name, markets))

    @dg.asset(
        key=dg.AssetKey([table.name]),
        deps=deps_of(source_tables(derived), markets),
        group_name={"mart": "marts"}.get(table_info(table).layer, table_info(table).layer),
        kinds={"sql", database},
        partitions_def=weekdays(),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WRITER_POOL,
        required_resource_keys={WORKSPACE},
        owners=about["owners"],
        metadata={**about["metadata"], LINEAGE: lineage},
        description=about["description"],
    )
    def mart_asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        return _refresh(context, derived, lineage)

    return mart_asset


def _refresh(
    context: dg.AssetExecutionContext, derived: Derived, lineage: dg.TableColumnLineage
) -> dg.MaterializeResult[Any]:
    run: RunWorkspace = context.resources.workspace
    warehouse = run.workspace.warehouse
    table = derived.table
    run.progress(f"computing {table.name}")
    with warehouse.write() as connection:
        done = refresh(connection, tables=[table.name])
    run.ledger.refreshed.extend(done)
    with warehouse.read() as connection:
        found = evidence.table_evidence(connection, table)
        last = _last_day(connection, table)
        plot = plots.derived_plot(connection, table, derived.subject, last) if last else None
    shown = {"last_year": plot} if plot else {}
    return evidence.materialized(context, {**shown, **found, **_what_was_done(done), LINEAGE: lineage})


def _what_was_done(done: Sequence[Refreshed]) -> dict[str, dg.MetadataValue]:
    start = "nothing was stale"
    if done:
        start = (
            "all history" if any(part.start is None for part in done) else str(min(p.start for p in done if p.start))
        )
    return {
        ROWS_COMPUTED: dg.MetadataValue.int(sum(part.rows for part in done)),
        "computed_from": dg.MetadataValue.text(start),
        "seconds": dg.MetadataValue.float(round(float(sum(part.seconds for part in done)), 3)),
    }


def _last_day(connection: sa.Connection, table: sa.Table) -> dt.date | None:
    span = day_span(connection, table)
    return span[1] if span else None
