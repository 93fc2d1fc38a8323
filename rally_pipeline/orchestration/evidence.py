"""What a run found, as Dagster metadata: counts, payload ids, tables of failures and findings.

Belongs here: the shape of metadata. Does not belong here: plots (`plots.py`) or what follows from the declaration alone
(`declared.py`). What a run over many partitions found stands at the last of them: it is about all of them together, and
Dagster would store it once for each.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.schema import table_info
from rally_pipeline.warehouse.spans import day_span

if TYPE_CHECKING:
    from rally_pipeline.archive import FetchRecord
    from rally_pipeline.ingest import FetchFailure
    from rally_pipeline.load_log import LoadOutcome

#: Rows shown of a table of failures or findings; all of them are in the ops tables.
_SHOWN = 50


def records_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dg.TableMetadataValue:
    """A table of at most 50 rows."""
    records = [dg.TableRecord({name: _cell(row.get(name)) for name in columns}) for row in rows[:_SHOWN]]
    schema = dg.TableSchema([dg.TableColumn(name, "text") for name in columns])
    return dg.MetadataValue.table(records, schema)


def _cell(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else "" if value is None else str(value)


def materialized(
    context: dg.AssetExecutionContext, found: Mapping[str, Any], *, asset_key: dg.AssetKey | None = None
) -> dg.MaterializeResult[Any]:
    """The result of a partitioned asset, with what was found at the last partition of the run.

    ``asset_key`` says which asset it is where a step makes several.
    """
    context.add_asset_metadata(
        {**found, "partitions_in_run": len(context.partition_keys)},
        asset_key=asset_key,
        partition_key=context.partition_keys[-1],
    )
    return dg.MaterializeResult(asset_key=asset_key)


def fetch_evidence(records: Sequence[FetchRecord], failures: Sequence[FetchFailure]) -> dict[str, Any]:
    """What was fetched and what failed."""
    found: dict[str, Any] = {
        "payloads": records_table(
            [
                {
                    "source": record.request.source,
                    "subject": record.request.subject,
                    "payload_id": record.payload_id,
                    "bytes": record.byte_count,
                    "start": record.request.start,
                    "end": record.request.end,
                }
                for record in records
            ],
            ("source", "subject", "bytes", "start", "end", "payload_id"),
        )
    }
    if failures:
        found["failures"] = records_table(
            [
                {
                    "source": failure.request.source,
                    "subject": failure.request.subject,
                    "error": type(failure.error).__name__,
                    "message": str(failure.error),
                }
                for failure in failures
            ],
            ("source", "subject", "error", "message"),
        )
    return found


def load_counts(outcomes: Sequence[LoadOutcome]) -> dict[str, int]:
    """How many payloads and rows."""
    return {
        "payloads_loaded": sum(outcome.is_loaded for outcome in outcomes),
        "payloads_refused": sum(not outcome.is_loaded for outcome in outcomes),
        "rows_new": sum(outcome.merged.new for outcome in outcomes),
        "rows_changed": sum(outcome.merged.changed for outcome in outcomes),
        "rows_same": sum(outcome.merged.same for outcome in outcomes),
        "rows_set_aside": sum(outcome.rows_set_aside for outcome in outcomes),
    }


def load_evidence(outcomes: Sequence[LoadOutcome]) -> dict[str, Any]:
    """Every payload with what became of it, and the findings."""
    found: dict[str, Any] = {
        "payloads": records_table(
            [
                {
                    "source": outcome.record.request.source,
                    "subject": outcome.record.request.subject,
                    "payload_id": outcome.record.payload_id,
                    "outcome": outcome.outcome,
                    "new": outcome.merged.new,
                    "changed": outcome.merged.changed,
                    "same": outcome.merged.same,
                    "set_aside": outcome.rows_set_aside,
                }
                for outcome in outcomes
            ],
            ("source", "subject", "outcome", "new", "changed", "same", "set_aside", "payload_id"),
        )
    }
    refused = [outcome for outcome in outcomes if not outcome.is_loaded]
    if refused:
        found["refused"] = records_table(
            [
                {
                    "source": outcome.record.request.source,
                    "subject": outcome.record.request.subject,
                    "rule": outcome.rule,
                    "message": outcome.message,
                    "payload_id": outcome.record.payload_id,
                }
                for outcome in refused
            ],
            ("source", "subject", "rule", "message", "payload_id"),
        )
    findings = [(outcome, finding) for outcome in outcomes for finding in outcome.findings]
    if findings:
        found["findings"] = records_table(
            [
                {
                    "source": outcome.record.request.source,
                    "subject": outcome.record.request.subject,
                    "rule": finding.rule,
                    "severity": finding.severity.value,
                    "message": finding.message,
                    "locator": finding.locator,
                    "rows": finding.rows,
                }
                for outcome, finding in findings
            ],
            ("source", "subject", "rule", "severity", "message", "locator", "rows"),
        )
    return found


def table_evidence(connection: sa.Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> dict[str, Any]:
    """``dagster/row_count`` (believed rows of a versioned table) and the last day the table has."""
    conditions = list(where)
    if table_info(table).versioned:
        conditions.append(table.c.known_to_at.is_(None))
    day_column = table_info(table).date_column
    if conditions or not day_column:
        day = sa.func.max(table.c[day_column]) if day_column else sa.literal(None)
        count, last = connection.execute(sa.select(sa.func.count(), day).select_from(table).where(*conditions)).one()
    else:
        count = connection.scalar(sa.select(sa.func.count()).select_from(table))
        last = (day_span(connection, table) or (None, None))[1]
    return {"dagster/row_count": count, **({"as_of_day": last.isoformat()} if isinstance(last, dt.date) else {})}


def names(values: Iterable[object], shown: int = 5) -> str:
    """A few of the values for a message, and how many more there are."""
    texts = [str(value) for value in values]
    more = f" and {len(texts) - shown} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more
