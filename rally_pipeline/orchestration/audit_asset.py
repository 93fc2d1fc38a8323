"""The asset of the audit: what the warehouse says of each claim of a note.

Belongs here: its place in the graph and the evidence of a step. Does not belong here: how a claim is
audited (`audit/`).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from rally_pipeline.lineage.audited import audit_lineage
from rally_pipeline.orchestration import evidence
from rally_pipeline.orchestration.declared import LINEAGE, declared, lineage_metadata
from rally_pipeline.orchestration.ingest_assets import WRITER_POOL
from rally_pipeline.orchestration.mart_assets import asset_keys, deps_of
from rally_pipeline.orchestration.partitions import weekdays
from rally_pipeline.orchestration.resources import AUDITS_APPENDED, AUDITS_WITHDRAWN, WORKSPACE, RunWorkspace
from rally_pipeline.schema import metadata

AUDIT = dg.AssetKey(["mart_claim_audit"])


def audit_asset(markets: Sequence[str], database: str) -> dg.AssetsDefinition:
    """The asset; `markets` are those whose core assets exist."""
    about = declared(AUDIT.path[0])
    lineage = lineage_metadata(AUDIT.path[0], lambda name: asset_keys(name, markets))

    @dg.asset(
        key=AUDIT,
        deps=deps_of(_read(), markets),
        group_name="marts",
        kinds={"pandas", database},
        partitions_def=weekdays(),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WRITER_POOL,
        required_resource_keys={WORKSPACE},
        owners=about["owners"],
        metadata={**about["metadata"], LINEAGE: lineage},
        description=about["description"],
    )
    def mart_claim_audit(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from rally_pipeline.audit.store import audit_stored

        run: RunWorkspace = context.resources.workspace
        run.progress("auditing claims")
        report = audit_stored(run.workspace)
        run.ledger.audits.append(report)
        with run.workspace.warehouse.read() as connection:
            found = evidence.table_evidence(connection, metadata.tables["mart_claim_audit"])
        said = {
            "claims": report.claims,
            "claims_audited": report.audited,
            AUDITS_APPENDED: report.appended,
            AUDITS_WITHDRAWN: report.withdrawn,
            **report.verdicts,
        }
        return evidence.materialized(context, {**found, **said, LINEAGE: lineage})

    return mart_claim_audit


def _read() -> list[str]:
    """The tables that the audit reads, in order of name."""
    lineage = audit_lineage()
    found = {one.source.table for one in lineage.rows.union(*lineage.columns.values())}
    return sorted(name for name in found - {AUDIT.path[0]} if name in metadata.tables)
