"""Runs as OpenLineage events: what an asset's step reads, makes and found, in the words of the specification.

Names follow its naming rules: ``postgres://HOST:PORT`` and ``DATABASE.SCHEMA.TABLE``; SQLite has none there, so it is
named likewise, ``sqlite://PATH`` and the table. Assets that are slices of one table (``core_price_daily/hk``) are jobs
of their own that write the same dataset. Results of the gate stand at the raw dataset: the specification has them on
inputs, and the gate judges what was fetched before anything is written.

Belongs here: what an event says. Does not belong here: when (`orchestration/lineage_events.py`) or where to
(`event_delivery.py`). The package ``openlineage`` is only imported when an event is made.
"""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rally_pipeline import __version__
from rally_pipeline.lineage.graph import lineage_graph
from rally_pipeline.lineage.records import RAW, ColumnRef, Dependencies, LineageError
from rally_pipeline.schema import column_info, metadata, table_info
from rally_pipeline.schema.declare import type_name

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent
    from openlineage.client.facet_v2 import DatasetFacet, InputDatasetFacet, JobFacet, OutputDatasetFacet, RunFacet
    from openlineage.client.generated.column_lineage_dataset import InputField

#: Who says so, as the specification wants it: a URI. No address is known under which this code can be read by everyone.
PRODUCER = f"pkg:generic/rally-pipeline@{__version__}"
#: What runs the steps.
ENGINE = "Dagster"
_DEFAULT_PORT = 5432
#: A message longer than this is cut.
_MESSAGE = 2000


@dataclass(frozen=True)
class Naming:
    """How tables of a warehouse are called in events: the namespace of the warehouse, and what precedes the table."""

    namespace: str
    prefix: str = ""

    def name(self, table: str) -> str:
        """The name of a table within the namespace."""
        return f"{self.prefix}{table}"


def naming_of(url: sa.URL, schema: str | None = None) -> Naming:
    """The names of a warehouse's tables; user, password and options of the URL are left out.

    Args:
        url: of the warehouse.
        schema: PostgreSQL's schema that holds the tables; default: ``public``.
    """
    if url.get_backend_name() == "postgresql":
        from openlineage.client.naming.dataset import Postgres

        # A socket's directory is a host to PostgreSQL and a path to everyone else.
        host = url.host or "localhost"
        named = Postgres(host, str(url.port or _DEFAULT_PORT), url.database or "postgres", schema or "public", "-")
        return Naming(named.get_namespace(), named.get_name().removesuffix("-"))
    return Naming(f"{url.get_backend_name()}://{url.database or ':memory:'}")


@dataclass(frozen=True)
class AssetJob:
    """What an event says of an asset whatever happens.

    Attributes:
        name: of the job: the asset's key with dots.
        table: what it makes.
        inputs: the tables it reads.
        description: of the asset.
        path: the file of its definition, from the top of the repository.
    """

    name: str
    table: str
    inputs: tuple[str, ...]
    description: str
    path: str


@dataclass(frozen=True)
class Assertion:
    """One expectation of the gate, over all that a step loaded.

    Attributes:
        rule: its name.
        expectation: what is asserted, in the words of Great Expectations.
        is_success: whether it was met.
        column: the column it is about; ``None`` = the rows, or several columns.
        severity: *error*, *quarantine* or *warn*.
        description: what must hold.
        actual: what was seen.
        table: whose rows were judged.
    """

    rule: str
    expectation: str
    is_success: bool
    column: str | None
    severity: str
    description: str
    actual: str
    table: str


@dataclass(frozen=True)
class Found:
    """What a step found: rows and bytes written, as far as they are known, and the results of the gate."""

    rows: int | None = None
    size: int | None = None
    assertions: tuple[Assertion, ...] = ()


@dataclass(frozen=True)
class RunFacts:
    """What all events of a run share.

    Attributes:
        run_id: of the run that the steps belong to.
        job: name of its job.
        namespace: of the jobs.
        naming: of the datasets.
        engine_version: of Dagster.
        nominal: per asset job, start and end (exclusive) of the days that it is about, aware.
    """

    run_id: str
    job: str
    namespace: str
    naming: Naming
    engine_version: str
    nominal: Mapping[str, tuple[dt.datetime, dt.datetime]] = field(default_factory=dict)


def asset_run_id(run_id: str, job: str) -> str:
    """The id of an asset's part of a run: always the same for the same run and job."""
    return str(uuid.uuid5(uuid.UUID(run_id), job))


def asset_event(
    facts: RunFacts, job: AssetJob, state: str, at: dt.datetime, found: Found | None = None, message: str = ""
) -> RunEvent:
    """What happened to an asset.

    Args:
        facts: of the run.
        job: the asset.
        state: ``START``, ``COMPLETE``, ``FAIL`` or ``ABORT``.
        at: when, aware.
        found: what the step found; only a finished asset is described in full.
        message: why it failed.
    """
    from openlineage.client.event_v2 import RunEvent, RunState

    found = found or Found()
    is_complete = state == "COMPLETE"
    inputs = [_input(facts.naming, table, found.assertions if table == RAW else ()) for table in job.inputs]
    return RunEvent(
        eventTime=_utc(at),
        producer=_producer(),
        run=_run(facts, job, message),
        job=_job(facts.namespace, job),
        eventType=RunState[state],
        inputs=inputs,
        outputs=[_output(facts.naming, job.table, found, is_complete=is_complete)],
    )


def run_event(facts: RunFacts, state: str, at: dt.datetime, message: str = "") -> RunEvent:
    """What happened to the run as a whole: the parent of its assets' events; arguments as of `asset_event`."""
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import job_type_job

    producer = _producer()
    kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration=ENGINE.upper(), jobType="JOB")
    facets = {**_engine(facts), **_error(message)}
    return RunEvent(
        eventTime=_utc(at),
        producer=producer,
        run=Run(runId=facts.run_id, facets=facets),
        job=Job(namespace=facts.namespace, name=facts.job, facets={"jobType": kind}),
        eventType=RunState[state],
    )


def _producer() -> str:
    from openlineage.client.facet_v2 import set_producer

    set_producer(PRODUCER)  # else every facet names the package as its producer
    return PRODUCER


def _utc(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- run and job


def _run(facts: RunFacts, job: AssetJob, message: str) -> Run:
    from openlineage.client.event_v2 import Run
    from openlineage.client.facet_v2 import nominal_time_run, parent_run

    facets: dict[str, RunFacet] = {
        "parent": parent_run.ParentRunFacet(
            run=parent_run.Run(runId=facts.run_id),
            job=parent_run.Job(namespace=facts.namespace, name=facts.job),
        ),
        **_engine(facts),
        **_error(message),
    }
    if job.name in facts.nominal:
        start, end = facts.nominal[job.name]
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(start.isoformat(), end.isoformat())
    return Run(runId=asset_run_id(facts.run_id, job.name), facets=facets)


def _engine(facts: RunFacts) -> dict[str, RunFacet]:
    from openlineage.client.facet_v2 import processing_engine_run

    return {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=facts.engine_version, name=ENGINE, openlineageAdapterVersion=__version__
        )
    }


def _error(message: str) -> dict[str, RunFacet]:
    from openlineage.client.facet_v2 import error_message_run

    # No stack trace: it would tell a server elsewhere about paths and values of this machine.
    text = message[:_MESSAGE]
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(text, "python")} if message else {}


def _job(namespace: str, job: AssetJob) -> Job:
    from openlineage.client.event_v2 import Job
    from openlineage.client.facet_v2 import documentation_job, job_type_job, source_code_location_job

    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet(processingType="BATCH", integration=ENGINE.upper(), jobType="ASSET"),
        "sourceCodeLocation": source_code_location_job.SourceCodeLocationJobFacet(
            type="package", url=f"{PRODUCER}#{job.path}", path=job.path, version=__version__
        ),
    }
    if job.description:
        facets["documentation"] = documentation_job.DocumentationJobFacet(job.description)
    return Job(namespace=namespace, name=job.name, facets=facets)


# --- datasets


def _input(naming: Naming, table: str, assertions: Sequence[Assertion]) -> InputDataset:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    facets: dict[str, InputDatasetFacet] = {}
    if assertions:
        facets["dataQualityAssertions"] = quality.DataQualityAssertionsDatasetFacet(
            [
                quality.Assertion(
                    assertion=one.expectation,
                    success=one.is_success,
                    column=one.column,
                    severity=one.severity,
                    name=one.rule,
                    description=one.description,
                    actual=one.actual,
                    params={"table": one.table},
                )
                for one in assertions
            ]
        )
    return InputDataset(naming.namespace, naming.name(table), facets=_source(naming), inputFacets=facets)


def _output(naming: Naming, table: str, found: Found, *, is_complete: bool) -> OutputDataset:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    facets = _source(naming)
    told: dict[str, OutputDatasetFacet] = {}
    if is_complete:
        facets |= _declared(naming, table)
        if found.rows is not None or found.size is not None:
            told["outputStatistics"] = statistics.OutputStatisticsOutputDatasetFacet(
                rowCount=found.rows, size=found.size
            )
    return OutputDataset(naming.namespace, naming.name(table), facets=facets, outputFacets=told)


def _source(naming: Naming) -> dict[str, DatasetFacet]:
    from openlineage.client.facet_v2 import datasource_dataset

    return {"dataSource": datasource_dataset.DatasourceDatasetFacet(name=naming.namespace, uri=naming.namespace)}


@functools.cache
def _declared(naming: Naming, table: str) -> Mapping[str, DatasetFacet]:
    """What follows from the declaration of a table, and where its columns come from."""
    from openlineage.client.facet_v2 import documentation_dataset, ownership_dataset, schema_dataset

    made, info = metadata.tables[table], table_info(metadata.tables[table])
    fields = []
    for number, column in enumerate(made.columns, start=1):
        said = column_info(column)
        unit = f" [{said.unit}]" if said.unit else ""
        fields.append(
            schema_dataset.SchemaDatasetFacetFields(
                name=column.name,
                type=type_name(column.type),
                description=f"{said.description}{unit}",
                ordinal_position=number,
            )
        )
    facets: dict[str, DatasetFacet] = {
        "schema": schema_dataset.SchemaDatasetFacet(fields),
        "documentation": documentation_dataset.DocumentationDatasetFacet(info.description),
        "ownership": ownership_dataset.OwnershipDatasetFacet([ownership_dataset.Owner(info.owner, "OWNER")]),
    }
    columns = _column_lineage(naming, table)
    return facets if columns is None else {**facets, "columnLineage": columns}


def _column_lineage(naming: Naming, table: str) -> DatasetFacet | None:
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    try:
        known = lineage_graph().tables.get(table)
    except LineageError:
        return None  # `open_workspace` says so; the rest of the event is true all the same
    if known is None:
        return None
    fields = {
        name: lineage.Fields(inputFields)
        for name, found in known.columns.items()
        if (inputFields := _input_fields(naming, found))
    }
    rows = _input_fields(naming, known.rows)
    return lineage.ColumnLineageDatasetFacet(fields, dataset=rows) if fields or rows else None


def _input_fields(naming: Naming, dependencies: Dependencies) -> list[InputField]:
    """A field per source with the ways in which it counts. Catalog, calendars and clocks are no datasets."""
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage

    ways: dict[ColumnRef, list[Any]] = {}
    for one in sorted(dependencies):
        if not one.source.is_outside:
            way = lineage.Transformation(type=one.subtype.type, subtype=one.subtype.value)
            ways.setdefault(one.source, []).append(way)
    return [
        lineage.InputField(naming.namespace, naming.name(ref.table), ref.column, transformations)
        for ref, transformations in ways.items()
    ]


def tables_read(keys: Iterable[str], own: str) -> tuple[str, ...]:
    """The tables of a job's inputs, each once, without its own."""
    return tuple(sorted(set(keys) - {own}))
