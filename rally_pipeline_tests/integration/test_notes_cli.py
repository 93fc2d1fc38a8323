"""The commands about notes: extract, audit, import notes, and what they say of files that cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rally_pipeline_tests.workspaces import (
    deliver,
    environment,
    json_of,
    open_at,
    price_csv,
    price_payload,
    run_cli_here,
    utc,
)

NOTE = """Monday morning
14 February 2025

The Hang Seng Index has risen 10 percent this year.
The Hang Seng Index closed at 22,000.00 on Friday.
Hot money has been coming in for two weeks, said Steven Leung of UOB Kay Hian.
"""


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text(NOTE)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose warehouse knows the Hang Seng Index at the turn of the year and in February."""
    workspace = open_at(tmp_path / "home")
    rows = [
        ("2024-12-31", 20000, 20000, 20000, 20000, 1e9),
        ("2025-02-13", 21900, 21900, 21900, 21900, 1e9),
        ("2025-02-14", 22000, 22000, 22000, 22000, 1e9),
    ]
    deliver(workspace, price_payload(price_csv(rows), "^HSI", known_at=utc("2025-02-15")))
    from rally_pipeline.marts.refresh import refresh

    with workspace.warehouse.write() as connection:
        refresh(connection)
    return tmp_path / "home"


def test_extract_prints_one_claim_a_line_and_keeps_ids(tmp_path: Path) -> None:
    lines = [
        {"id": "a/1", "text": "The Hang Seng Index has risen 10 percent this year.", "date": "2025-02-14"},
        {"id": 7, "headline": "UBS upgrades Tencent to Buy from Neutral", "date": "2025-02-14"},
        {"id": "none", "text": "It rained."},
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    done = run_cli_here(["extract", "--jsonl", path], environment(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    claims = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(claim["id"], claim["claim_type"]) for claim in claims] == [("a/1", "performance"), ("7", "rating_action")]
    assert claims[0]["value"] == 10
    assert claims[0]["window_start_earliest"] == "2025-01-01"
    assert claims[1]["broker_id"] == "ubs"
    assert not (tmp_path / "home" / "warehouse.sqlite").exists()


def test_extract_reads_a_document_without_a_warehouse(tmp_path: Path, note: Path) -> None:
    done = run_cli_here(["extract", note, "--broker", "Citi"], environment(tmp_path / "home"))
    claims = [json.loads(line) for line in done.stdout.splitlines()]
    assert {claim["claim_type"] for claim in claims} == {"performance", "level", "hot_money"}
    for claim in claims:
        assert NOTE[claim["start_offset"] : claim["end_offset"]] == claim["quote"]
    assert {claim["broker_id"] for claim in claims} == {"citi", "uob_kay_hian"}


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "Fine."}\n{"text": \n')
    done = run_cli_here(["extract", "--jsonl", path], environment(tmp_path / "home"))
    assert done.returncode == 1
    assert "line 2" in done.stderr


def test_audit_says_what_is_true(home: Path, note: Path) -> None:
    rows = json_of(run_cli_here(["audit", note, "--json"], environment(home)))
    by_type = {row["claim_type"]: row for row in rows}
    assert by_type["performance"]["verdict"] == "confirmed"
    assert by_type["performance"]["observed"] == pytest.approx(10)
    assert by_type["performance"]["evidence"]
    assert by_type["level"]["verdict"] == "confirmed"
    assert by_type["hot_money"]["verdict"] == "not_checkable"
    note.write_text(NOTE.replace("10 percent", "20 percent"))
    rows = json_of(run_cli_here(["audit", note, "--json"], environment(home)))
    assert {row["claim_type"]: row["verdict"] for row in rows}["performance"] == "contradicted"


def test_audit_prints_a_table(home: Path, note: Path) -> None:
    done = run_cli_here(["audit", note], environment(home))
    assert done.returncode == 0, done.stderr
    assert "2025-02-14" in done.stdout
    assert "confirmed" in done.stdout
    assert "Steven Leung" in done.stdout


def test_import_audits_and_audits_again_when_figures_change(home: Path, note: Path) -> None:
    os.utime(note, (1_739_500_000, 1_739_500_000))
    done = run_cli_here(["import", "notes", note], environment(home))
    assert done.returncode == 0, done.stderr
    assert "2 confirmed" in done.stdout
    prices = note.with_name("hsi.csv")
    prices.write_bytes(price_csv([("2024-12-31", 19000, 19000, 19000, 19000, 1e9)]))
    again = run_cli_here(["import", "prices", prices, "--symbol", "^HSI"], environment(home))
    assert again.returncode == 0, again.stderr
    rows = json_of(run_cli_here(["as-of", "2100-01-01", "mart_claim_audit", "--json"], environment(home)))
    verdicts = {
        row["claim_type"]: row["verdict"] for row in rows if row["is_latest"] and row["claim_type"] == "performance"
    }
    assert verdicts == {"performance": "contradicted"}


def test_a_note_that_cannot_be_read_is_refused_and_the_others_are_loaded(home: Path, note: Path) -> None:
    broken = note.with_name("broken.docx")
    broken.write_bytes(b"PK\x03\x04 not a document")
    done = run_cli_here(["import", "notes", broken, note, "--json"], environment(home))
    assert done.returncode == 1
    rows = {Path(row["file"]).name: row for row in json_of(done)}
    assert rows["broken.docx"]["outcome"] == "refused"
    assert rows["broken.docx"]["rule"]
    assert rows["note.txt"]["outcome"] == "loaded"


def test_without_files_the_inbox_is_taken_up(home: Path) -> None:
    env = environment(home)
    assert "nothing in the inbox" in run_cli_here(["import", "notes"], env).stdout
    path = home / "inbox" / "notes" / "note.txt"
    path.write_text(NOTE)
    os.utime(path, (1_739_500_000, 1_739_500_000))
    done = run_cli_here(["import", "notes"], env)
    assert done.returncode == 0, done.stderr
    assert not path.exists()
    assert run_cli_here(["import", "notes", "--broker", "UBS"], env).returncode == 2
