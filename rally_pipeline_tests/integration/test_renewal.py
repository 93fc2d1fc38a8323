"""What is published follows imports and decisions about quarantine, where something is published at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from rally_pipeline.audit.store import AuditReport
from rally_pipeline.orchestration.resources import Ledger
from rally_pipeline.publish.publication import current_manifest, publish
from rally_pipeline.schema import mart
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests import small_world
from rally_pipeline_tests.published import parquet_rows
from rally_pipeline_tests.workspaces import count, environment, fresh_copy, json_of, open_at, price_csv, run_cli_here

GOOD = [("2024-03-07", 10, 11, 9, 10.5, 100), ("2024-03-08", 10.5, 12, 10, 11.5, 200)]
#: Its high is below its close.
SET_ASIDE = ("2024-03-11", 10, 10.4, 9, 10.6, 110)
PERFORMANCE = mart.mart_index_performance_daily


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_at(tmp_path_factory.mktemp("template"))


@pytest.fixture
def home(template: Workspace, tmp_path: Path) -> Workspace:
    return fresh_copy(template, tmp_path / "home")


def _import(workspace: Workspace, folder: Path, rows: list[tuple[Any, ...]], *options: str) -> str:
    file = folder / "700.csv"
    file.write_bytes(price_csv(rows))
    done = run_cli_here(
        ["import", "prices", file, "--symbol", "0700.HK", *options], environment(workspace.settings.home)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _published(workspace: Workspace) -> list[Any]:
    return [row["session_date"].isoformat() for row in parquet_rows(workspace.settings.published_dir, PERFORMANCE)]


def test_an_import_publishes_what_it_changed(home: Workspace, tmp_path: Path) -> None:
    publish(home, compute=True)
    first = current_manifest(home.settings.published_dir)
    assert first is not None
    assert _published(home) == []
    said = _import(home, tmp_path, GOOD)
    assert "published: " in said
    assert "report: " in said
    assert _published(home) == ["2024-03-07", "2024-03-08"]
    version = current_manifest(home.settings.published_dir)
    assert "published" not in _import(home, tmp_path, GOOD), "nothing changed"
    assert current_manifest(home.settings.published_dir) == version
    later = [*GOOD, ("2024-03-12", 11, 12, 10, 11.5, 50)]
    for option in ("--no-publish", "--no-marts"):
        assert "published" not in _import(home, tmp_path, later, option)
        assert current_manifest(home.settings.published_dir) == version
    assert count(home, PERFORMANCE.name) == 3


def test_where_nothing_is_published_nothing_is(home: Workspace, tmp_path: Path) -> None:
    assert "published" not in _import(home, tmp_path, GOOD)
    assert not home.settings.published_dir.exists()


@pytest.mark.slow
@pytest.mark.parametrize("action", ["release", "discard"])
def test_a_decision_that_changes_marts_is_published(home: Workspace, tmp_path: Path, action: str) -> None:
    _import(home, tmp_path, [*GOOD, SET_ASIDE])
    publish(home)
    before = current_manifest(home.settings.published_dir)
    env = environment(home.settings.home)
    (row,) = json_of(run_cli_here(["quarantine", "list", "--json"], env))
    done = run_cli_here(["quarantine", action, row["row"], "--reason", "so the exchange prints it"], env)
    assert done.returncode == 0, done.stderr
    assert ("published: " in done.stdout) is (action == "release")
    assert _published(home)[2:] == (["2024-03-11"] if action == "release" else [])
    assert (current_manifest(home.settings.published_dir) == before) is (action == "discard")


@pytest.mark.slow
def test_dropped_notes_are_published(home: Workspace) -> None:
    publish(home, compute=True)
    folder = home.settings.inbox_dir / "notes"
    folder.mkdir(parents=True)
    (folder / "note.txt").write_text(small_world.NOTE)
    os.utime(folder / "note.txt", (1_700_000_000, 1_700_000_000))
    done = run_cli_here(["import", "notes"], environment(home.settings.home))
    assert "published: " in done.stdout, done.stderr
    audits = [
        table for table in current_manifest(home.settings.published_dir).tables if table.name == "mart_claim_audit"
    ]
    assert audits[0].rows > 0


def test_a_run_that_only_audited_publishes_too() -> None:
    ledger = Ledger()
    assert not ledger.has_computed
    ledger.audits.append(AuditReport(claims=3, audited=3, appended=0, withdrawn=0))
    assert not ledger.has_computed
    ledger.audits.append(AuditReport(claims=3, audited=3, appended=1, withdrawn=0))
    assert ledger.has_computed
