"""What is declared, what is asserted and what is reported cannot drift apart."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys

import pytest

from rally_pipeline.catalog import load_catalog
from rally_pipeline.quality.market import Batch, batch_observations, row_verdicts
from rally_pipeline.quality.rules import (
    REFERENCE_RULES,
    RENAMES,
    SET_BY_LOADER,
    TABLES,
    batch_checks_for,
    checks_for,
    rules_for,
)
from rally_pipeline.schema import metadata, table_info
from rally_pipeline.schema.declare import InTable, NoRule, Range, column_info
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources.base import COLUMNS, Dataset, typed_frame

#: Rules that compare with days in the warehouse; ingest judges them.
_JUDGED_ELSEWHERE = {"suspected_unit_error", "week_matches"}


def test_every_table_and_column_has_description_and_rule() -> None:
    for table in metadata.tables.values():
        info = table_info(table)
        assert info.description, table.name
        assert info.grain, table.name
        assert info.owner, table.name
        for column in table.columns:
            said = column_info(column)
            assert said.description, f"{table.name}.{column.name}"
            assert said.rules, f"{table.name}.{column.name}"
            for rule in said.rules:
                assert not isinstance(rule, NoRule) or rule.why, f"{table.name}.{column.name}"


def test_every_versioned_core_table_is_behind_the_gate() -> None:
    versioned = {table for table in metadata.tables.values() if table_info(table).versioned}
    assert set(TABLES.values()) == versioned
    assert set(TABLES) == set(Dataset)


@pytest.mark.parametrize("dataset", list(Dataset))
def test_every_column_is_asserted(dataset: Dataset) -> None:
    """A column of a fact is a frame column with all its declared rules asserted, or the loader's own."""
    table, renames = TABLES[dataset], RENAMES.get(dataset, {})
    brought = {renames.get(name, name): name for name in COLUMNS[dataset]}
    rules = {info.rule for info in rules_for(dataset)}
    by_column: dict[str, set[str]] = {}
    for check in checks_for(dataset):
        for column in check.columns:
            by_column.setdefault(column, set()).add(check.kind)
    for declared in table.columns:
        if declared.name in SET_BY_LOADER:
            assert declared.name not in brought
            continue
        name = brought[declared.name]
        kinds = by_column[name]
        assert "type" in kinds
        assert ("present" in kinds) == (not declared.nullable), f"{table.name}.{declared.name}"
        for rule in column_info(declared).rules:
            if isinstance(rule, InTable):
                by_rule = REFERENCE_RULES[declared.name]
                assert by_rule in rules, f"{table.name}.{declared.name} refers to {rule.table} and nobody looks"
            elif isinstance(rule, Range):
                assert "range" in kinds
            elif not isinstance(rule, NoRule):
                assert kinds & {"listed", "format"}
    assert set(brought) <= set(table.columns.keys())


@pytest.mark.parametrize("dataset", list(Dataset))
def test_every_rule_maps_to_one_check(dataset: Dataset) -> None:
    infos = rules_for(dataset)
    names = [info.rule for info in infos]
    assert len(names) == len(set(names))
    for info in infos:
        assert re.fullmatch(r"[a-z][a-z0-9_]{1,59}", info.rule)
        assert info.description.endswith("."), info
        assert info.dataset is dataset
    rows = {check.rule for check in checks_for(dataset)}
    whole = {check.rule for check in batch_checks_for(dataset)}
    assert rows | whole == set(names), "an expectation without a rule, or a rule without an expectation"
    assert not rows & whole


@pytest.mark.parametrize("dataset", list(Dataset))
def test_every_verdict_is_computed_and_every_computed_one_is_a_rule(dataset: Dataset) -> None:
    catalog = load_catalog(None)
    counts = {name: [1] for name, dtype in COLUMNS[dataset].items() if dtype == "int64"}
    frame = typed_frame(dataset, {"locator": ["row 1"], **counts})
    batch = Batch(dataset, frame, catalog, Calendars.from_catalog(catalog), dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    computed = set(row_verdicts(batch))
    asked = {check.columns[0] for check in checks_for(dataset) if check.kind == "verdict"}
    assert computed == asked
    assert set(batch_observations(batch)) == {check.rule for check in batch_checks_for(dataset)} - _JUDGED_ELSEWHERE


def test_knowing_the_rules_costs_no_import_of_the_validator() -> None:
    code = (
        "import sys, rally_pipeline.quality.rules as r, rally_pipeline.ingest;"
        "[r.rules_for(d) for d in r.Dataset];"
        "sys.exit('great_expectations' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
