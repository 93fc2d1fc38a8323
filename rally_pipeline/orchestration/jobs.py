"""All definitions together: assets, jobs, resource, executor.

Belongs here: how they are put together from settings and catalog. Does not belong here: any one of them.
"""

from __future__ import annotations

import warnings

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.catalog import load_catalog
from rally_pipeline.orchestration.alert_sensor import alert_sensors
from rally_pipeline.orchestration.audit_asset import AUDIT, audit_asset
from rally_pipeline.orchestration.executors import executor_for, run_tags_for
from rally_pipeline.orchestration.file_assets import RAW_FILES, file_assets
from rally_pipeline.orchestration.file_checks import file_checks
from rally_pipeline.orchestration.health_checks import health_checks
from rally_pipeline.orchestration.inbox_sensor import files_sensor, inbox_sensor, marts_sensor
from rally_pipeline.orchestration.ingest_assets import core_keys, ingest_assets, raw_key
from rally_pipeline.orchestration.lineage_events import LineageEvents
from rally_pipeline.orchestration.mart_assets import mart_assets
from rally_pipeline.orchestration.note_assets import FEED_RATINGS, RAW_RATINGS, note_assets, note_keys
from rally_pipeline.orchestration.partitions import INGEST_MARKETS, market_partitions
from rally_pipeline.orchestration.reference_assets import file_specs, ops_specs, reference_assets
from rally_pipeline.orchestration.resources import WORKSPACE, RunWorkspace, workspace_resource
from rally_pipeline.orchestration.retention_job import housekeeping_job, housekeeping_schedule
from rally_pipeline.orchestration.schedules import (
    HEALTH_AT,
    RATINGS_AT,
    RATINGS_TIMEZONE,
    Look,
    home_look,
    job_schedule,
    market_schedules,
)
from rally_pipeline.settings import Settings
from rally_pipeline.warehouse.engine import normalise_url

MARTS_JOB = "marts"
NOTES_JOB = "notes"
RATINGS_JOB = "ratings"
FILES_JOB = "files"
HEALTH_JOB = "health"
#: Marts about notes, computed in the run that read them.
_OF_NOTES = (dg.AssetKey(["mart_rating_actions"]), dg.AssetKey(["mart_positioning"]))


def ingest_job_name(market: str) -> str:
    """The job that fetches and loads a market."""
    return f"ingest_{market.lower()}"


def build_definitions(settings: Settings, opened: RunWorkspace | None = None) -> dg.Definitions:
    """Everything Dagster is shown; with `opened`, runs use what is already open.

    Raises:
        UsageError: a setting or the catalog is wrong.
    """
    with warnings.catch_warnings():
        # backfill_policy is marked beta; the versions of Dagster that are allowed all have it.
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        return _build(settings, opened)


def _build(settings: Settings, opened: RunWorkspace | None) -> dg.Definitions:
    database = _database(normalise_url(settings.resolved_warehouse_url))
    catalog = load_catalog(settings.home)
    fetched_and_loaded = ingest_assets(catalog, market_partitions(settings), database)
    derived = [*mart_assets(INGEST_MARKETS, database), audit_asset(INGEST_MARKETS, database)]
    documents = note_assets(database)
    reference = reference_assets(database)
    of_files = file_checks()
    dropped, health = file_assets(database), health_checks()
    facts = [key for market in INGEST_MARKETS for key in core_keys(market)]
    tags = run_tags_for(settings)
    jobs = [
        dg.define_asset_job(
            ingest_job_name(market),
            selection=dg.AssetSelection.assets(raw_key(market), *core_keys(market)),
            description=f"Fetch {market} for the sessions of the partition and load what came.",
            tags=tags,
        )
        for market in INGEST_MARKETS
    ]
    marts = dg.define_asset_job(
        MARTS_JOB,
        selection=dg.AssetSelection.assets(*derived, reference) | dg.AssetSelection.checks(*of_files),
        description="Compute what is stale of the resolved facts and of the marts.",
        tags=tags,
    )
    jobs += [
        dg.define_asset_job(
            NOTES_JOB,
            selection=dg.AssetSelection.assets(*note_keys(), *_OF_NOTES, AUDIT),
            description="Read the documents in the inbox and audit what they claim.",
            tags=tags,
        ),
        dg.define_asset_job(
            RATINGS_JOB,
            selection=dg.AssetSelection.assets(RAW_RATINGS, FEED_RATINGS),
            description="Fetch and load ratings and price targets.",
            tags=tags,
        ),
        dg.define_asset_job(
            FILES_JOB,
            selection=dg.AssetSelection.assets(RAW_FILES) | dg.AssetSelection.checks(*of_files),
            description="Load the files of prices, flows and exchange rates in the inbox.",
            tags=tags,
        ),
        dg.define_asset_job(
            HEALTH_JOB,
            selection=dg.AssetSelection.checks(health),
            description="Look at what is broken right now, and at how fresh the marts are.",
            tags=tags,
        ),
    ]
    facts += [*note_keys()[1:], FEED_RATINGS]
    lineage = LineageEvents(settings, [*fetched_and_loaded, *documents, dropped, *derived, reference])
    return dg.Definitions(
        assets=[
            *fetched_and_loaded,
            *documents,
            dropped,
            *derived,
            reference,
            *file_specs(database),
            *ops_specs(facts, database),
        ],
        asset_checks=[*of_files, health],
        jobs=[*jobs, marts, housekeeping_job(settings)],
        sensors=[
            inbox_sensor(settings, NOTES_JOB),
            files_sensor(settings, FILES_JOB),
            marts_sensor(settings, MARTS_JOB),
            *alert_sensors(settings),
        ],
        schedules=[*schedules(settings), housekeeping_schedule()],
        resources={WORKSPACE: workspace_resource(settings, opened, lineage)},
        executor=executor_for(settings),
    )


def schedules(settings: Settings, look: Look | None = None) -> list[dg.ScheduleDefinition]:
    """When everything runs by itself; `look` gives another workspace to look at than the home's."""
    look = look or home_look(settings)
    return [
        *market_schedules(settings, {market: ingest_job_name(market) for market in INGEST_MARKETS}, look),
        job_schedule("ratings_daily", RATINGS_JOB, RATINGS_AT, RATINGS_TIMEZONE, look, "Asks for ratings."),
        job_schedule("health_hourly", HEALTH_JOB, HEALTH_AT, "UTC", look, "Looks at what is broken right now."),
    ]


def _database(url: sa.URL) -> str:
    return url.get_backend_name()
