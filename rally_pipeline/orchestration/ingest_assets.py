"""The assets of each market: what was fetched, and the facts that were loaded from it.

Belongs here: one raw and one core asset per market. Does not belong here: the steps themselves (`ingest.py`).
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.catalog import Catalog
from rally_pipeline.orchestration import evidence, plots
from rally_pipeline.orchestration.checks import check_events, check_specs
from rally_pipeline.orchestration.declared import declared
from rally_pipeline.orchestration.planning import (
    archived,
    last_finished_session,
    market_sources,
    plan_market,
)
from rally_pipeline.orchestration.resources import WORKSPACE, RunWorkspace
from rally_pipeline.quality.rules import TABLES
from rally_pipeline.schema import core, core_flows
from rally_pipeline.sources.base import Dataset
from rally_pipeline.sources.registry import MARKET_SOURCES

#: One step at a time in it: the warehouse has one writer.
WRITER_POOL = "warehouse_writer"
#: One step at a time in it: the pause between two requests to a host is kept within one process only.
FETCH_POOL = "upstream_fetch"

#: One more try for what may go away by itself; single requests have been tried several times by then.
_RETRY = dg.RetryPolicy(max_retries=1, delay=5)


#: Markets whose facts fill a core table of their own.
_WHOLE = {"FX": core.core_fx_daily, "SOUTHBOUND": core_flows.core_southbound_flow_daily}
#: Core tables that the same payloads fill besides.
_BESIDE = {
    "HK": (core_flows.core_market_turnover_daily,),
    "SOUTHBOUND": (core_flows.core_northbound_turnover_daily, core_flows.core_southbound_top_stock_daily),
}

#: What the rows of a core table are to the gate.
DATASETS = {table: dataset for dataset, table in TABLES.items()}


class IngestConfig(dg.Config):
    """What to ask: `sources` restricts it to these sources of the market; empty = all."""

    sources: list[str] = []  # noqa: RUF012 - pydantic copies it


def raw_key(market: str) -> dg.AssetKey:
    """The key of the asset that holds what was fetched for a market."""
    return dg.AssetKey(["raw_fetch", market.lower() if market in _WHOLE else f"price_{market.lower()}"])


def core_key(market: str) -> dg.AssetKey:
    """The key of the asset that holds the main facts of a market."""
    whole = _WHOLE.get(market)
    return dg.AssetKey([whole.name]) if whole is not None else dg.AssetKey(["core_price_daily", market.lower()])


def core_keys(market: str) -> list[dg.AssetKey]:
    """The keys of all assets that are loaded from what was fetched for a market."""
    return [core_key(market), *(dg.AssetKey([table.name]) for table in _BESIDE.get(market, ()))]


def ingest_assets(
    catalog: Catalog, partitions: Mapping[str, dg.PartitionsDefinition], database: str
) -> list[dg.AssetsDefinition]:
    """The raw and core assets of every market of `partitions`.

    Args:
        catalog: for the sources of a market.
        partitions: market → its sessions.
        database: kind of the warehouse, ``sqlite`` or ``postgresql``.
    """
    made = []
    for market, sessions in partitions.items():
        made.append(_raw_asset(market, sessions, market_sources(catalog, market), database))
        made.append(_core_asset(market, sessions, database))
    return made


def _raw_asset(
    market: str, sessions: dg.PartitionsDefinition, sources: Sequence[str], database: str
) -> dg.AssetsDefinition:
    about = declared("raw_fetch")

    @dg.asset(
        key=raw_key(market),
        group_name="ingest",
        kinds={"yfinance" if "yahoo" in sources else sources[0], database},
        partitions_def=sessions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=FETCH_POOL,
        retry_policy=_RETRY,
        required_resource_keys={WORKSPACE},
        owners=about["owners"],
        metadata={**about["metadata"], "market": market, "sources": ", ".join(sources)},
        description=(
            f"What {', '.join(sources)} answered about {market} for the sessions asked for. {about['description']}"
        ),
    )
    def raw_asset(context: dg.AssetExecutionContext, config: IngestConfig) -> dg.MaterializeResult[Any]:
        return _fetch(context, market, config.sources)

    return raw_asset


def _core_asset(market: str, sessions: dg.PartitionsDefinition, database: str) -> dg.AssetsDefinition:
    tables = [_WHOLE.get(market, core.core_price_daily), *_BESIDE.get(market, ())]
    specs = []
    for key, table in zip(core_keys(market), tables, strict=True):
        about = declared(table.name)
        specs.append(
            dg.AssetSpec(
                key=key,
                deps=[raw_key(market), dg.AssetKey(["core_instrument"]), dg.AssetKey(["core_session"])],
                group_name="core",
                kinds={"pandas", database},
                partitions_def=sessions,
                owners=about["owners"],
                metadata={**about["metadata"], "market": market},
                description=f"{market}: {about['description']}",
            )
        )

    @dg.multi_asset(
        name=f"load_{market.lower()}",
        specs=specs,
        check_specs=[
            check
            for key, table in zip(core_keys(market), tables, strict=True)
            for check in check_specs(key, DATASETS[table])
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=WRITER_POOL,
        required_resource_keys={WORKSPACE},
    )
    def core_assets(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from _load(context, market, list(zip(core_keys(market), tables, strict=True)))

    return core_assets


def _days(context: dg.AssetExecutionContext) -> tuple[dt.date, dt.date]:
    keys = context.partition_key_range
    return dt.date.fromisoformat(keys.start), dt.date.fromisoformat(keys.end)


def _fetch(context: dg.AssetExecutionContext, market: str, sources: Sequence[str]) -> dg.MaterializeResult[Any]:
    from rally_pipeline.errors import RateLimitedError, RetryableFetchError
    from rally_pipeline.fetches import already_answered
    from rally_pipeline.ingest import fetch_all

    run: RunWorkspace = context.resources.workspace
    workspace = run.workspace
    start, end = _days(context)
    finished = last_finished_session(workspace, market)
    if start > finished:
        raise dg.Failure(
            f"{market}: the session of {start} is not over yet; the last one that is over is {finished}.",
            allow_retries=False,
        )
    requests = plan_market(workspace, market, start, end, sources)
    if not requests:
        asked = ", ".join(sources) or "any source"
        raise dg.Failure(
            f"{market}: nothing of {start} … {end} can be asked of {asked}. Fix: choose other days or other sources.",
            allow_retries=False,
        )
    run.ledger.requests.extend(requests)
    before = already_answered(workspace, requests)
    resumed = [record for record in before if record is not None]
    requests = [request for request, record in zip(requests, before, strict=True) if record is None]
    if resumed:
        context.log.info(f"{len(resumed)} requests were answered to a run that was not finished; not asked again")
    told = 0

    def progress(request: Any, _: Any) -> None:
        nonlocal told
        told += 1
        run.progress(f"{market}: fetched {told} of {len(requests)} ({request.source} {request.subject})")

    with workspace.upstream() as upstream:
        records, failures = fetch_all(workspace, requests, upstream, run_id=context.run_id, progress=progress)
    for failure in failures:
        context.log.warning(f"{failure.request.source} {failure.request.subject}: {failure.error}")
    records = [*resumed, *records]
    if not records:
        # A source that says 429 is left alone for the rest of the run.
        may_help = any(
            isinstance(failure.error, RetryableFetchError) and not isinstance(failure.error, RateLimitedError)
            for failure in failures
        )
        if not may_help or context.retry_number >= _RETRY.max_retries:
            run.ledger.failures.extend(failures)
        raise dg.Failure(
            f"{market}: none of {len(requests)} requests was answered; first: {failures[0].error}",
            metadata=evidence.fetch_evidence(records, failures),
            allow_retries=may_help,
        )
    run.ledger.failures.extend(failures)
    run.ledger.records.extend(records)
    return evidence.materialized(
        context,
        {
            "dagster/row_count": len(records),
            "requests": len(requests),
            "requests_resumed": len(resumed),
            "requests_failed": len(failures),
            "bytes": sum(record.byte_count for record in records),
            "as_of_day": min(end, finished).isoformat(),
            **evidence.fetch_evidence(records, failures),
        },
    )


def _load(
    context: dg.AssetExecutionContext, market: str, made: Sequence[tuple[dg.AssetKey, sa.Table]]
) -> Iterator[Any]:
    from rally_pipeline.errors import ArchiveDamagedError
    from rally_pipeline.fetches import pending
    from rally_pipeline.ingest import load

    run: RunWorkspace = context.resources.workspace
    workspace = run.workspace
    start, end = _days(context)
    symbols = workspace.catalog.market_symbols(market)
    with workspace.warehouse.read() as connection:
        if market == "FX":
            waiting = pending(connection, Dataset.FX)
        elif market in MARKET_SOURCES:
            waiting = pending(connection, *Dataset, parsers=MARKET_SOURCES[market])
        else:
            waiting = pending(connection, Dataset.PRICE, subjects=symbols)
    # Nothing waits if only this asset was selected: what was archived for these days is then read again.
    is_replay = not waiting
    records = waiting or archived(workspace, market, start, end)
    outcomes, damaged = [], []
    for number, record in enumerate(records, start=1):
        try:
            outcome = load(workspace, record)
        except ArchiveDamagedError as error:
            # The others are loaded all the same; the step then fails, because nobody has decided what to do.
            damaged.append(str(error))
            continue
        outcomes.append(outcome)
        if not outcome.is_loaded:
            context.log.warning(f"{record.request.source} {record.request.subject} refused: {outcome.message}")
        run.progress(f"{market}: loaded {number} of {len(records)} ({record.request.source} {record.request.subject})")
    run.ledger.outcomes.extend(outcomes)
    about = {"sessions": f"{start} … {end}" if start != end else f"{start}", "is_replay": is_replay}
    checks = {key: list(check_events(key, DATASETS[table], outcomes, about)) for key, table in made}
    counts = evidence.load_counts(outcomes)
    details = evidence.load_evidence(outcomes)
    if damaged or (outcomes and not counts["payloads_loaded"]):
        # The step fails and nothing is made, but what was checked is told.
        for events in checks.values():
            yield from events
    if damaged:
        raise dg.Failure(f"{market}: {evidence.names(damaged, 1)}", metadata=details, allow_retries=False)
    if outcomes and not counts["payloads_loaded"]:
        raise dg.Failure(
            f"{market}: all {len(outcomes)} payloads were refused; first: {outcomes[0].message}",
            metadata=details,
            allow_retries=False,
        )
    with workspace.warehouse.read() as connection:
        for key, table in made:
            ours = [table.c.symbol.in_(symbols)] if table is core.core_price_daily else []
            found = evidence.table_evidence(connection, table, *ours)
            plot = plots.core_plot(connection, table, symbols, end)
            shown = {"last_year": plot} if plot else {}
            yield evidence.materialized(
                context, {**shown, **found, **counts, "is_replay": is_replay, **details}, asset_key=key
            )
            yield from checks[key]
