"""What became of a payload, and where that is written down: load, findings, results, restatements, quarantine.

Belongs here: the record of an outcome and its rows in the ``ops_`` tables, inside the caller's transaction. Does not
belong here: deciding any of it (`ingest.py`, `quality/`).
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
import sqlalchemy as sa

from rally_pipeline.archive import FetchRecord
from rally_pipeline.quality.results import QualityResult
from rally_pipeline.schema import ops, table_info
from rally_pipeline.sources.base import Dataset, Finding
from rally_pipeline.targets import TARGETS
from rally_pipeline.warehouse.merge import MergeResult
from rally_pipeline.warehouse.schema_version import read_statement, write_statement

#: Statement of the warehouse about itself that is another one after every load.
_STATE = "facts_state"


@dataclass(frozen=True)
class LoadOutcome:
    """What became of one payload.

    Attributes:
        record: which.
        outcome: ``loaded``, or ``refused`` as a whole.
        rule, message: what refused it.
        rows_parsed, rows_set_aside: how many rows it gave, and how many of them went to quarantine.
        merged: what changed in core.
        findings: what the parser noticed.
        results: every expectation on its rows; empty where the parser refused it.
        set_aside: rules under which rows are out, by table and row key.
        written: rows that were new or changed, by dataset.
    """

    record: FetchRecord
    outcome: str
    rule: str = ""
    message: str = ""
    rows_parsed: int = 0
    rows_set_aside: int = 0
    merged: MergeResult = field(default_factory=MergeResult)
    findings: tuple[Finding, ...] = ()
    results: tuple[QualityResult, ...] = ()
    set_aside: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    written: Mapping[Dataset, int] = field(default_factory=dict)

    @property
    def is_loaded(self) -> bool:
        """Whether the payload was read; ``False`` = refused as a whole."""
        return self.outcome == "loaded"


def standing_results() -> sa.Subquery:
    """The rows of ``ops_quality_result`` that stand: of each payload those of its last load, not of one before."""
    result, load = ops.ops_quality_result, ops.ops_load
    return (
        sa.select(result)
        .outerjoin(load, load.c.fetch_id == result.c.fetch_id)
        .where(sa.or_(load.c.fetch_id.is_(None), load.c.loaded_at == result.c.checked_at))
        .subquery("standing_result")
    )


def state_of_facts(connection: sa.Connection) -> str | None:
    """Something that differs whenever a payload was loaded, or a row decided about, in between."""
    return read_statement(connection, _STATE)


def note_change(connection: sa.Connection, now: dt.datetime) -> None:
    """Makes `state_of_facts` another one, within the caller's transaction."""
    write_statement(connection, _STATE, f"{now.isoformat()} {os.getpid()}")


def write_load(connection: sa.Connection, outcome: LoadOutcome) -> None:
    """Writes outcome and findings of a payload, in place of those of an earlier load, and appends its results."""
    fetch_id = outcome.record.fetch_id
    now = dt.datetime.now(dt.UTC)
    note_change(connection, now)
    for table in (ops.ops_finding, ops.ops_load):
        connection.execute(sa.delete(table).where(table.c.fetch_id == fetch_id))
    merged = outcome.merged
    connection.execute(
        sa.insert(ops.ops_load),
        {
            "fetch_id": fetch_id,
            "loaded_at": now,
            "outcome": outcome.outcome,
            "rule": outcome.rule,
            "message": outcome.message,
            "rows_parsed": outcome.rows_parsed,
            "rows_new": merged.new,
            "rows_changed": merged.changed,
            "rows_same": merged.same,
            "rows_set_aside": outcome.rows_set_aside,
        },
    )
    if outcome.findings:
        connection.execute(
            sa.insert(ops.ops_finding),
            [
                {
                    "fetch_id": fetch_id,
                    "finding_no": number,
                    "rule": finding.rule,
                    "severity": finding.severity.value,
                    "message": finding.message,
                    "locator": finding.locator,
                    "row_count": finding.rows,
                }
                for number, finding in enumerate(outcome.findings, start=1)
            ],
        )

    if outcome.results:
        held: dict[tuple[str, str], list[str]] = {}
        for (table_name, row_key), rules in outcome.set_aside.items():
            for rule in rules:
                held.setdefault((table_name, rule), []).append(row_key)
        observed = [
            # Which rows are out under a rule: what was accepted of a payload is told from it when it is read again.
            {**result.observed, **({"set_aside": out} if out else {})}
            for result in outcome.results
            for out in [held.get((TARGETS[result.dataset].table.name, result.rule))]
        ]
        connection.execute(
            sa.insert(ops.ops_quality_result),
            [
                {
                    "fetch_id": fetch_id,
                    "table_name": TARGETS[result.dataset].table.name,
                    "rule": result.rule,
                    "run_id": outcome.record.run_id,
                    "severity": result.severity.value,
                    "is_success": result.is_success,
                    "observed_value": json.dumps(seen, ensure_ascii=False) if seen else "{}",
                    "row_count": result.row_count,
                    "unexpected_count": result.unexpected_count,
                    "examples": json.dumps(result.examples, ensure_ascii=False) if result.examples else "[]",
                    "checked_at": now,
                }
                for result, seen in zip(outcome.results, observed, strict=True)
            ],
        )


#: Of each dataset: value columns of which a change is a restatement, with the tolerance: relative, or absolute.
_RESTATED: Mapping[Dataset, Mapping[str, tuple[float, float]]] = {
    Dataset.PRICE: {"close": (1e-4, 0), "adj_close": (1e-3, 0), "volume_shares": (0.01, 0)},
    Dataset.FX: {"rate": (1e-5, 0)},
    Dataset.SOUTHBOUND_FLOW: {f"{name}_hkd_mn": (0, 0.01 + 1e-9) for name in ("buy", "sell", "net_buy", "turnover")},
    Dataset.NORTHBOUND_TURNOVER: {
        f"{name}_cny_mn": (0, 0.01 + 1e-9) for name in ("buy", "sell", "net_buy", "turnover")
    },
    Dataset.MARKET_TURNOVER: {"turnover_hkd_mn": (0, 0.01 + 1e-9)},
    Dataset.TOP_STOCK: {f"{name}_hkd": (1e-4, 1) for name in ("buy", "sell", "turnover")},
    Dataset.BROKER_FLOW: {"value": (1e-4, 0)},
}


def write_restatements(connection: sa.Connection, record: FetchRecord, dataset: Dataset, rows: pd.DataFrame) -> None:
    """Writes which known values this payload's versions changed beyond tolerance, with both versions."""
    target, tolerances = TARGETS[dataset], _RESTATED.get(dataset, {})
    if not tolerances:  # what is read from documents: another reading is no restated figure
        return
    table, info = target.table, table_info(target.table)
    assert info.date_column is not None
    new, old, stated = table.alias("new"), table.alias("old"), ops.ops_restatement
    date = new.c[info.date_column]
    beyond = {
        name: sa.or_(
            new.c[name].is_(None),
            sa.func.abs(new.c[name] - old.c[name]) > relative * sa.func.abs(old.c[name]) + absolute,
        )
        for name, (relative, absolute) in tolerances.items()
    }
    query = (
        sa.select(
            *(new.c[name] for name in info.natural_key),
            *(value for name in tolerances for value in (old.c[name].label(f"{name}_old"), new.c[name])),
            old.c.payload_id.label("old_payload_id"),
        )
        .join(
            old,
            sa.and_(*(old.c[k] == new.c[k] for k in info.natural_key), old.c.known_to_at == new.c.known_from_at),
        )
        .where(
            new.c[target.subject_column].in_(rows[target.subject_column].unique().tolist()),
            new.c.source == record.request.source,
            date.between(rows[info.date_column].min().date(), rows[info.date_column].max().date()),
            new.c.known_from_at == record.known_at,
            new.c.payload_id == record.payload_id,
            sa.or_(*(sa.and_(old.c[name].is_not(None), is_beyond) for name, is_beyond in beyond.items())),
        )
    )
    of_this = sa.and_(stated.c.fetch_id == record.fetch_id, stated.c.table_name == table.name)
    known = {
        (row.row_key, row.column_name)
        for row in connection.execute(sa.select(stated.c.row_key, stated.c.column_name).where(of_this))
    }
    keys = [name for name in rows.columns if name in info.natural_key]
    found = []
    for row in connection.execute(query).mappings():
        row_key = " ".join(str(row[name]) for name in keys)
        for name, (relative, absolute) in tolerances.items():
            before, after = row[f"{name}_old"], row[name]
            if before is None or (row_key, name) in known:
                continue
            if after is not None and abs(after - before) <= relative * abs(before) + absolute:
                continue
            found.append(
                {
                    "fetch_id": record.fetch_id,
                    "table_name": table.name,
                    "row_key": row_key,
                    "column_name": name,
                    "subject": str(row[target.subject_column]),
                    "market_date": row[info.date_column],
                    "source": record.request.source,
                    "old_value": before,
                    "new_value": after,
                    "change_pct": (after / before - 1) * 100 if after is not None and before else None,
                    "old_payload_id": row["old_payload_id"],
                    "new_payload_id": record.payload_id,
                    "known_at": record.known_at,
                }
            )
    if found:
        connection.execute(sa.insert(stated), found)


def write_quarantine(connection: sa.Connection, record: FetchRecord, dataset: Dataset, set_aside: pd.DataFrame) -> None:
    """Appends rows that were set aside (with ``row_key`` and ``rule`` beside their own columns), each once."""
    if set_aside.empty:
        return
    table = ops.ops_quarantine
    target = TARGETS[dataset]
    query = sa.select(table.c.row_key, table.c.rule).where(table.c.fetch_id == record.fetch_id)
    known = {(row_key, rule) for row_key, rule in connection.execute(query)}
    rows = []
    for row in json.loads(set_aside.to_json(orient="records", date_format="iso", date_unit="s", double_precision=15)):
        row_key = row.pop("row_key")
        if (row_key, row["rule"]) in known:
            continue
        known.add((row_key, row["rule"]))
        rows.append(
            {
                "fetch_id": record.fetch_id,
                "table_name": target.table.name,
                "row_key": row_key,
                "rule": row.pop("rule"),
                "row_json": json.dumps(row, ensure_ascii=False, sort_keys=True),
                "payload_id": record.payload_id,
                "locator": row["locator"],
                "first_seen_at": dt.datetime.now(dt.UTC),
            }
        )
    if rows:
        connection.execute(sa.insert(table), rows)
