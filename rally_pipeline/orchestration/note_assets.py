"""The assets of notes and ratings: documents from the inbox, ratings from upstream, and what was loaded from both.

Belongs here: their place in the graph and the evidence of a step. Does not belong here: reading documents (`notes/`),
moving files (`inbox.py`), the steps of an import (`ingest.py`), or auditing (`audit/`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from rally_pipeline.orchestration import evidence
from rally_pipeline.orchestration.checks import check_events, check_specs
from rally_pipeline.orchestration.declared import declared
from rally_pipeline.orchestration.ingest_assets import FETCH_POOL, WRITER_POOL
from rally_pipeline.orchestration.resources import WORKSPACE, RunWorkspace
from rally_pipeline.schema import core_notes, raw
from rally_pipeline.sources.base import Dataset
from rally_pipeline.sources.registry import RATINGS_SOURCE

RAW_NOTES = dg.AssetKey(["raw_fetch", "notes"])
RAW_RATINGS = dg.AssetKey(["raw_fetch", "ratings"])
NOTE_RATINGS = dg.AssetKey(["core_rating_action", "notes"])
FEED_RATINGS = dg.AssetKey(["core_rating_action", "ratings"])

_NOTE_TABLES = {
    dg.AssetKey(["core_note"]): (core_notes.core_note, Dataset.NOTE),
    dg.AssetKey(["core_note_mention"]): (core_notes.core_note_mention, Dataset.NOTE_MENTION),
    dg.AssetKey(["core_note_claim"]): (core_notes.core_note_claim, Dataset.NOTE_CLAIM),
    NOTE_RATINGS: (core_notes.core_rating_action, Dataset.RATING_ACTION),
}


def note_assets(database: str) -> list[dg.AssetsDefinition]:
    """Documents of the inbox and ratings from upstream, raw and loaded."""
    return [_documents(database), _raw_ratings(database), _feed_ratings(database)]


def note_keys() -> list[dg.AssetKey]:
    """What is made from the documents of the inbox."""
    return [RAW_NOTES, *_NOTE_TABLES]


def _spec(key: dg.AssetKey, group: str, kinds: set[str], deps: Sequence[dg.AssetKey], who: str = "") -> dg.AssetSpec:
    about = declared(key.path[0])
    return dg.AssetSpec(
        key=key,
        deps=deps,
        group_name=group,
        kinds=kinds,
        owners=about["owners"],
        metadata=about["metadata"],
        description=f"{who}{about['description']}",
    )


def _documents(database: str) -> dg.AssetsDefinition:
    catalog = [dg.AssetKey(["core_broker"]), dg.AssetKey(["core_instrument"]), dg.AssetKey(["core_event"])]
    specs = [
        _spec(RAW_NOTES, "ingest", {"file", database}, [], "Documents dropped into the inbox. "),
        *(_spec(key, "core", {"pandas", database}, [RAW_NOTES, *catalog]) for key in _NOTE_TABLES),
    ]

    @dg.multi_asset(
        name="load_notes",
        specs=specs,
        check_specs=[check for key, (_, dataset) in _NOTE_TABLES.items() for check in check_specs(key, dataset)],
        pool=WRITER_POOL,
        required_resource_keys={WORKSPACE},
    )
    def load_notes(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from rally_pipeline.fetches import pending
        from rally_pipeline.inbox import take_up
        from rally_pipeline.ingest import load, read_ahead

        run: RunWorkspace = context.resources.workspace
        workspace = run.workspace
        with workspace.warehouse.read() as connection:
            left = pending(connection, Dataset.NOTE)  # of a run that was killed
        report = take_up(workspace, ("notes",), refresh_marts=False, progress=run.progress, run_id=context.run.run_id)
        outcomes = [file.outcome for file in report.files if file.outcome is not None]
        outcomes += [load(workspace, record, ahead) for record, ahead in read_ahead(workspace, left)]
        run.ledger.outcomes.extend(outcomes)
        refused = [f"{file.name}: {file.message}" for file in report.files if not file.ok]
        for text in refused:
            context.log.warning(text)
        with workspace.warehouse.read() as connection:
            found = evidence.table_evidence(connection, raw.raw_fetch, raw.raw_fetch.c.dataset == Dataset.NOTE.value)
            about = {"files": len(report.files), "files_refused": len(refused)}
            yield dg.MaterializeResult(asset_key=RAW_NOTES, metadata={**found, **about})
            counts, details = evidence.load_counts(outcomes), evidence.load_evidence(outcomes)
            for key, (table, dataset) in _NOTE_TABLES.items():
                ours = [table.c.note_id != ""] if key == NOTE_RATINGS else []
                shown = evidence.table_evidence(connection, table, *ours)
                yield dg.MaterializeResult(asset_key=key, metadata={**shown, **counts, **details})
                yield from check_events(key, dataset, outcomes, about)

    return load_notes


def _raw_ratings(database: str) -> dg.AssetsDefinition:
    about = declared("raw_fetch")

    @dg.asset(
        key=RAW_RATINGS,
        group_name="ingest",
        kinds={"yfinance", database},
        pool=FETCH_POOL,
        retry_policy=dg.RetryPolicy(max_retries=1, delay=5),
        required_resource_keys={WORKSPACE},
        owners=about["owners"],
        metadata={**about["metadata"], "sources": RATINGS_SOURCE},
        description=f"What {RATINGS_SOURCE} answered about the shares of the catalog. {about['description']}",
    )
    def fetch_ratings(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        from rally_pipeline.market_run import fetch_ratings as fetch

        run: RunWorkspace = context.resources.workspace
        fetched = fetch(
            run.workspace,
            run_id=context.run.run_id,
            progress=lambda request, _: run.progress(f"ratings: {request.subject}"),
        )
        requests, records, failures = fetched.requests, fetched.records, fetched.failures
        run.ledger.requests.extend(requests)
        run.ledger.records.extend(records)
        run.ledger.failures.extend(failures)
        if requests and not records:
            raise dg.Failure(
                fetched.failure("ratings"),
                metadata=evidence.fetch_evidence(records, failures),
                allow_retries=fetched.may_help,
            )
        counts = {"dagster/row_count": len(records), "requests": len(requests), "requests_failed": len(failures)}
        return dg.MaterializeResult(metadata={**counts, **evidence.fetch_evidence(records, failures)})

    return fetch_ratings


def _feed_ratings(database: str) -> dg.AssetsDefinition:
    table = core_notes.core_rating_action

    @dg.multi_asset(
        name="load_ratings",
        specs=[_spec(FEED_RATINGS, "core", {"pandas", database}, [RAW_RATINGS], "From structured sources. ")],
        check_specs=check_specs(FEED_RATINGS, Dataset.RATING_ACTION),
        pool=WRITER_POOL,
        required_resource_keys={WORKSPACE},
    )
    def load_ratings(context: dg.AssetExecutionContext) -> Iterator[Any]:
        from rally_pipeline.market_run import load_ratings as load

        run: RunWorkspace = context.resources.workspace
        workspace = run.workspace
        outcomes = load(workspace)
        run.ledger.outcomes.extend(outcomes)
        counts, details = evidence.load_counts(outcomes), evidence.load_evidence(outcomes)
        with workspace.warehouse.read() as connection:
            found = evidence.table_evidence(connection, table, table.c.note_id == "")
            yield dg.MaterializeResult(asset_key=FEED_RATINGS, metadata={**found, **counts, **details})
        yield from check_events(FEED_RATINGS, Dataset.RATING_ACTION, outcomes, {})

    return load_ratings
