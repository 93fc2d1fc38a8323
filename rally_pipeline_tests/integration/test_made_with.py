"""Runs say what they were made with, also in a warehouse that is older than that."""

from __future__ import annotations

import datetime as dt
import hashlib
import platform
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command

from rally_pipeline import made_with
from rally_pipeline.catalog import load_catalog
from rally_pipeline.schema import column_info, ops
from rally_pipeline.schema.declare import Matches
from rally_pipeline.warehouse import schema_version
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline_tests.workspaces import ROOT

COLUMNS = ("lock_hash", "catalog_hash", "calendar_version", "python_version", "platform")


def test_the_lock_file_of_a_checkout_is_hashed() -> None:
    expected = hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()
    assert made_with.lock_hash() == f"lock:{expected}"


def test_without_a_lock_file_the_installed_packages_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made_with.lock_hash(tmp_path / "requirements.lock")
    assert re.fullmatch(r"env:[0-9a-f]{64}", first)
    assert made_with.lock_hash(tmp_path / "requirements.lock") == first
    installed = list(made_with.distributions())
    monkeypatch.setattr(made_with, "distributions", lambda: reversed(installed))
    assert made_with.lock_hash(tmp_path / "requirements.lock") == first, "the order does not matter"
    monkeypatch.setattr(made_with, "distributions", lambda: installed[1:])
    assert made_with.lock_hash(tmp_path / "requirements.lock") != first


def test_what_is_said_fits_its_columns() -> None:
    catalog = load_catalog(None)
    said = made_with.made_with(catalog)
    assert tuple(said) == COLUMNS
    assert said["catalog_hash"] == catalog.content_hash
    assert said["calendar_version"] == version("exchange_calendars")
    assert said["python_version"] == platform.python_version()
    for name, value in said.items():
        for rule in column_info(ops.ops_run.c[name]).rules:
            assert isinstance(rule, Matches)
            assert re.fullmatch(rule.regex, value), name


def test_an_older_warehouse_keeps_its_runs(warehouse_url: str) -> None:
    warehouse = open_warehouse(warehouse_url, lock_timeout_seconds=5)
    config = schema_version._config()
    run = {
        "run_id": "r",
        "command": "marts",
        "started_at": dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        "finished_at": None,
        "outcome": "running",
        "message": "",
        "code_version": "0.1",
    }
    with warehouse.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        old = sa.inspect(connection).get_columns("ops_run")
        assert not {column["name"] for column in old} & set(COLUMNS)
        bare = sa.Table("ops_run", sa.MetaData(), *(sa.Column(name, ops.ops_run.c[name].type) for name in run))
        connection.execute(sa.insert(bare), [run])
    said: list[str] = []
    schema_version.prepare(warehouse, None, said.append)
    assert any(f"from schema version 0004 to {schema_version.HEAD}" in line for line in said)
    with warehouse.read() as connection:
        (row,) = connection.execute(sa.select(ops.ops_run)).mappings()
    assert {name: row[name] for name in run} == run
    assert {row[name] for name in COLUMNS} == {None}
    warehouse.engine.dispose()
