"""The asset of files that people drop into the inbox: prices, flows and exchange rates.

Belongs here: its place in the graph and the evidence of a step. Does not belong here: reading or moving files
(`inbox.py`), documents (`note_assets.py`).
As in the modules of assets, annotations are not postponed here: Dagster reads that of ``context``.
"""

from typing import Any

import dagster as dg

from rally_pipeline.orchestration import evidence
from rally_pipeline.orchestration.declared import declared
from rally_pipeline.orchestration.inbox_sensor import FILE_KINDS
from rally_pipeline.orchestration.ingest_assets import WRITER_POOL
from rally_pipeline.orchestration.resources import WORKSPACE, RunWorkspace
from rally_pipeline.schema import raw

RAW_FILES = dg.AssetKey(["raw_fetch", "files"])


def file_assets(database: str) -> dg.AssetsDefinition:
    """What was dropped; the facts in it go to the same core tables as what is fetched, and are loaded in this step."""
    about = declared("raw_fetch")

    @dg.asset(
        key=RAW_FILES,
        group_name="ingest",
        kinds={"file", database},
        pool=WRITER_POOL,
        required_resource_keys={WORKSPACE},
        owners=about["owners"],
        metadata=about["metadata"],
        description=f"Files dropped into {', '.join(f'inbox/{kind}' for kind in FILE_KINDS)}. {about['description']}",
    )
    def load_files(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from rally_pipeline.inbox import take_up

        run: RunWorkspace = context.resources.workspace
        workspace = run.workspace
        report = take_up(workspace, FILE_KINDS, refresh_marts=False, progress=run.progress)
        outcomes = [file.outcome for file in report.files if file.outcome is not None]
        run.ledger.outcomes.extend(outcomes)
        refused = [f"{file.name}: {file.message}" for file in report.files if not file.ok]
        for text in refused:
            context.log.warning(text)
        with workspace.warehouse.read() as connection:
            found = evidence.table_evidence(connection, raw.raw_fetch, raw.raw_fetch.c.url == "")
        counts, details = evidence.load_counts(outcomes), evidence.load_evidence(outcomes)
        about_files = {"files": len(report.files), "files_refused": len(refused)}
        return dg.MaterializeResult(metadata={**found, **about_files, **counts, **details})

    return load_files
