"""Checks of core tables that no step loads: they are filled from files a person imports.

The gate ran with the import, which knows no Dagster and left its results in the warehouse; these checks tell them. They
run with the marts, and whenever somebody presses Execute. What an error rule refused is not in core, and the marts go
on without it, so none of them blocks.

Belongs here: reading the stored results. Does not belong here: the shape of a check (`checks.py`).
As in the modules of assets, annotations are not postponed here: Dagster reads that of ``context``.
"""

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.orchestration.checks import check_results, check_specs
from rally_pipeline.orchestration.resources import WORKSPACE, RunWorkspace
from rally_pipeline.quality.results import QualityResult
from rally_pipeline.quality.rules import TABLES
from rally_pipeline.schema import core_flows, ops, raw
from rally_pipeline.sources.base import Dataset, Severity

if TYPE_CHECKING:
    from rally_pipeline.load_log import LoadOutcome

#: Core tables filled from files only, and what their rows are to the gate.
FILE_TABLES = {core_flows.core_broker_flow: Dataset.BROKER_FLOW}
#: The source that reads dropped files of flows.
_PARSER = "flow_files"
#: Payloads that are looked at, the latest ones.
_PAYLOADS = 50


def file_checks() -> list[dg.AssetChecksDefinition]:
    """One set of checks per table."""
    return [_checks(table, dataset) for table, dataset in FILE_TABLES.items()]


def _checks(table: sa.Table, dataset: Dataset) -> dg.AssetChecksDefinition:
    key = dg.AssetKey([table.name])

    @dg.multi_asset_check(
        name=f"check_{table.name}",
        specs=check_specs(key, dataset, may_block=False),
        required_resource_keys={WORKSPACE},
        description=f"What the gate said of the latest {_PAYLOADS} files for {table.name}.",
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Any:
        run: RunWorkspace = context.resources.workspace
        with run.workspace.warehouse.read() as connection:
            outcomes = stored_outcomes(connection, dataset)
        yield from check_results(key, dataset, outcomes, {})

    return checks


def stored_outcomes(connection: sa.Connection, dataset: Dataset) -> "list[LoadOutcome]":
    """What became of the latest payloads of a dataset, with every expectation's stored result."""
    from rally_pipeline.fetches import fetch_records
    from rally_pipeline.load_log import LoadOutcome, standing_results

    load, result, fetch = ops.ops_load, standing_results(), raw.raw_fetch
    # What a dropped file is about shows when it is read; of one that cannot be read nobody knows.
    was_checked = sa.exists().where(result.c.fetch_id == load.c.fetch_id, result.c.table_name == TABLES[dataset].name)
    latest = (
        sa.select(load)
        .join(fetch, fetch.c.fetch_id == load.c.fetch_id)
        .where(fetch.c.parser == _PARSER, sa.or_(was_checked, load.c.outcome == "refused"))
        .order_by(load.c.loaded_at.desc())
        .limit(_PAYLOADS)
    )
    loads = {row["fetch_id"]: row for row in connection.execute(latest).mappings()}
    results: dict[str, list[QualityResult]] = defaultdict(list)
    query = sa.select(result).where(result.c.fetch_id.in_(list(loads)), result.c.table_name == TABLES[dataset].name)
    for row in connection.execute(query).mappings():
        results[row["fetch_id"]].append(_result(row, dataset))
    return [
        LoadOutcome(record, row["outcome"], row["rule"], row["message"], results=tuple(results[record.fetch_id]))
        for record in fetch_records(connection, loads)
        for row in (loads[record.fetch_id],)
    ]


def _result(row: Any, dataset: Dataset) -> QualityResult:
    return QualityResult(
        rule=row["rule"],
        dataset=dataset,
        severity=Severity(row["severity"]),
        is_success=row["is_success"],
        row_count=row["row_count"],
        unexpected_count=row["unexpected_count"],
        observed=json.loads(row["observed_value"]),
        examples=tuple(json.loads(row["examples"])),
    )
