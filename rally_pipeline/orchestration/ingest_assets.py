"""The assets of each market: what was fetched, and the facts that were loaded from it.

Belongs here: one raw and one core asset per market. Does not belong here: the steps themselves (`ingest.py`).
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.catalog import Catalog
from rally_pipeline.orchestration import evidence, plots
from rally_pipeline.orchestration.checks import check_events, check_specs
from rally_pipeline.orchestration.declared import declared
from rally_pipeline.orchestration.resources import WORKSPACE, RunWorkspace
from rally_pipeline.planning import last_finished_session, market_sources
from rally_pipeline.quality.rules import TABLES
from rally_pipeline.schema import core, core_flows

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
    """What to ask: `sources` restricts it to these sources of the market; empty = all.

    `ask` is ``days`` (the sessions of the partitions, whatever is known of them), ``missing`` (only what is missing,
    see `catch_up.py`), ``latest`` (again for restatements: files of one day only for the last session, all else for
    all) or ``again`` (everything again).
    """

    sources: list[str] = []  # noqa: RUF012 - pydantic copies it
    ask: Literal["days", "missing", "latest", "again"] = "days"


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
        # Nothing published yet: then nothing is made, what comes after is skipped, and the run is no failure.
        output_required=False,
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
    def raw_asset(context: dg.AssetExecutionContext, config: IngestConfig) -> Iterator[dg.MaterializeResult[Any]]:
        yield from _fetch(context, market, config)

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


def _fetch(context: dg.AssetExecutionContext, market: str, config: IngestConfig) -> Iterator[dg.MaterializeResult[Any]]:
    from rally_pipeline.market_run import fetch_market

    run: RunWorkspace = context.resources.workspace
    workspace = run.workspace
    start, end = _days(context)
    finished = last_finished_session(workspace, market)
    if start > finished:
        raise dg.Failure(
            f"{market}: the session of {start} is not over yet; the last one that is over is {finished}.",
            allow_retries=False,
        )
    told = 0

    def progress(request: Any, _: Any, count: int) -> None:
        nonlocal told
        told += 1
        run.progress(f"{market}: fetched {told} of {count} ({request.source} {request.subject})")

    fetched = fetch_market(
        *(workspace, market, start, end),
        ask=config.ask,
        sources=config.sources,
        run_id=context.run.run_id,
        progress=progress,
    )
    if fetched.line:
        context.log.info(fetched.line)
        run.progress(fetched.line)
    if not fetched.requests:
        if config.ask == "missing":
            return
        asked = ", ".join(config.sources) or "any source"
        raise dg.Failure(
            f"{market}: nothing of {start} … {end} can be asked of {asked}. Fix: choose other days or other sources.",
            allow_retries=False,
        )
    run.ledger.requests.extend(fetched.requests)
    records, failures = fetched.records, fetched.failures
    if fetched.resumed:
        context.log.info(
            f"{len(fetched.resumed)} requests were answered to a run that was not finished; not asked again"
        )
    for failure in failures:
        context.log.warning(f"{failure.request.source} {failure.request.subject}: {failure.error}")
    asked_now = len(fetched.requests) - len(fetched.resumed)
    if not records:
        if fetched.is_unpublished:
            run.ledger.failures.extend(failures)
            text = f"{market}: no source has it, or not yet; first: {failures[0].error}"
            context.log.info(text)
            run.progress(text)
            return
        if not fetched.may_help or context.retry_number >= _RETRY.max_retries:
            run.ledger.failures.extend(failures)
        raise dg.Failure(
            fetched.failure(market),
            metadata=evidence.fetch_evidence(records, failures),
            allow_retries=fetched.may_help,
        )
    run.ledger.failures.extend(failures)
    run.ledger.records.extend(records)
    yield evidence.materialized(
        context,
        {
            "dagster/row_count": len(records),
            "requests": asked_now,
            "requests_resumed": len(fetched.resumed),
            "requests_failed": len(failures),
            "bytes": sum(record.byte_count for record in records),
            "as_of_day": min(end, finished).isoformat(),
            **({"missing": fetched.line} if fetched.line else {}),
            **evidence.fetch_evidence(records, failures),
        },
    )


def _load(
    context: dg.AssetExecutionContext, market: str, made: Sequence[tuple[dg.AssetKey, sa.Table]]
) -> Iterator[Any]:
    from rally_pipeline.market_run import load_market

    run: RunWorkspace = context.resources.workspace
    workspace = run.workspace
    start, end = _days(context)
    symbols = workspace.catalog.market_symbols(market)
    told = 0

    def progress(outcome: Any, count: int) -> None:
        nonlocal told
        told += 1
        request = outcome.record.request
        if not outcome.is_loaded:
            context.log.warning(f"{request.source} {request.subject} refused: {outcome.message}")
        run.progress(f"{market}: loaded {told} of {count} ({request.source} {request.subject})")

    loaded = load_market(workspace, market, start, end, run_id=context.run.run_id, progress=progress)
    outcomes, is_replay = loaded.outcomes, loaded.is_replay
    run.ledger.outcomes.extend(outcomes)
    if loaded.still:
        still = evidence.names(sorted({f"{one.day} {one.source}" for one in loaded.still}))
        context.log.info(f"{market}: still missing: {still}")
    about = {"sessions": f"{start} … {end}" if start != end else f"{start}", "is_replay": is_replay}
    checks = {key: list(check_events(key, DATASETS[table], outcomes, about)) for key, table in made}
    counts = evidence.load_counts(outcomes)
    details = evidence.load_evidence(outcomes)
    if failure := loaded.failure(market):
        # The step fails and nothing is made, but what was checked is told.
        for events in checks.values():
            yield from events
        raise dg.Failure(failure, metadata=details, allow_retries=False)
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
