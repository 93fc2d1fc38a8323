"""Documents on their way into the warehouse: imported, dropped into the inbox, refused, repeated, corrected."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline import imports, inbox
from rally_pipeline.imports import ImportReport, note_payload
from rally_pipeline.schema import core_notes, mart_ratings, ops
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import open_at, rows_of

NOTE = """Example House
14 February 2025

Example House upgraded Tencent to Buy from Hold, and raised its target price to HK$480 from HK$400.
The Hang Seng Index has risen 13 percent this year.
Hedge funds' net exposure to China is near the highest in a year.
"""


@pytest.fixture
def workspace(tmp_path: Path, warehouse_url: str) -> Workspace:
    return open_at(tmp_path / "home", warehouse_url)


def bring(workspace: Workspace, *paths: Path, **declared: str) -> ImportReport:
    def read(path: Path, at: Workspace) -> imports.Payload:
        return note_payload(path, at, source="file", declared=declared)

    return imports.import_files(workspace, paths, read, known_at=None, refresh_marts=True)


def write(path: Path, text: str = NOTE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1_739_500_000, 1_739_500_000))
    return path


def drop(workspace: Workspace, name: str, text: str | bytes = NOTE) -> Path:
    path = workspace.settings.inbox_dir / "notes" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.utime(path, (1_739_500_000, 1_739_500_000))
    return path


def test_a_note_becomes_rows_whose_words_stand_where_they_say(workspace: Workspace, tmp_path: Path) -> None:
    report = bring(workspace, write(tmp_path / "a.txt"), broker="Goldman Sachs")
    assert report.ok, list(report.lines())
    (note,) = rows_of(workspace, core_notes.core_note)
    assert note["broker_id"] == "goldman_sachs"
    assert note["as_of_date"] == dt.date(2025, 2, 14)
    claims = rows_of(workspace, core_notes.core_note_claim)
    assert {claim["claim_type"] for claim in claims} >= {"rating_action", "target_change", "performance", "positioning"}
    assert note["claim_count"] == len(claims)
    for claim in claims:
        assert note["text"][claim["start_offset"] : claim["end_offset"]] == claim["quote"]
        assert note["text"].startswith(claim["prefix"], claim["start_offset"] - len(claim["prefix"]))
        assert note["text"].startswith(claim["suffix"], claim["end_offset"])
    for mention in rows_of(workspace, core_notes.core_note_mention):
        assert note["text"][mention["start_offset"] : mention["end_offset"]] == mention["mention_text"]


def test_ratings_and_positions_reach_their_marts(workspace: Workspace, tmp_path: Path) -> None:
    bring(workspace, write(tmp_path / "a.txt"))
    (action,) = rows_of(workspace, mart_ratings.mart_rating_actions)
    assert action["symbol"] == "0700.HK"
    assert (action["rating_action"], action["rating"], action["rating_prior"]) == ("Upgrade", "Buy", "Hold")
    assert (action["target_action"], action["target_price"], action["currency"]) == ("Increase", 480, "HKD")
    assert action["target_change_pct"] == pytest.approx(20)
    assert action["broker_id"] == ""
    assert action["broker_name"] == "Example House"
    assert action["implied_upside_pct"] is None  # no price is known
    (position,) = rows_of(workspace, mart_ratings.mart_positioning)
    assert position["metric"] == "net_exposure"
    assert position["comparator"] == "near_highest"


def test_the_same_document_again_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    bring(workspace, write(tmp_path / "a.txt"))
    before = rows_of(workspace, core_notes.core_note_claim)
    again = bring(workspace, write(tmp_path / "elsewhere" / "b.txt"))
    (file,) = again.files
    assert file.outcome is not None
    assert (file.outcome.merged.new, file.outcome.merged.changed) == (0, 0)  # its name is no part of it
    assert rows_of(workspace, core_notes.core_note_claim) == before


def test_what_a_side_car_corrects_is_a_new_version(workspace: Workspace, tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt")
    bring(workspace, path)
    path.with_name("a.txt.yaml").write_text("broker: UBS\ndate: 2025-02-13\n")
    report = bring(workspace, path)
    assert report.ok, list(report.lines())
    old, new = sorted(rows_of(workspace, core_notes.core_note), key=lambda row: row["known_from_at"])
    assert old["known_to_at"] == new["known_from_at"]
    assert (new["broker_id"], new["broker_basis"]) == ("ubs", "side_car")
    assert new["as_of_date"] == dt.date(2025, 2, 13)


def test_an_unknown_house_is_kept_as_text_and_told(workspace: Workspace, tmp_path: Path) -> None:
    report = bring(workspace, write(tmp_path / "a.txt"))
    (file,) = report.files
    assert file.outcome is not None
    assert "broker_not_in_catalog" in {finding.rule for finding in file.outcome.findings}
    missed = [r for r in file.outcome.results if r.rule == "unknown_broker" and not r.is_success]
    assert missed
    assert any("Example House" in json.dumps(r.examples) for r in missed)


def test_a_reprint_with_a_word_changed_is_flagged(workspace: Workspace, tmp_path: Path) -> None:
    long = NOTE + "".join(f"Sentence number {word} of a long note about nothing much.\n" for word in range(60))
    bring(workspace, write(tmp_path / "a.txt", long))
    (other,) = bring(workspace, write(tmp_path / "b.txt", long.replace("number 7 of", "number 7 in"))).files
    (far,) = bring(
        workspace, write(tmp_path / "c.txt", long.replace("Sentence", "Clause").replace("note", "text"))
    ).files
    assert other.outcome is not None
    assert far.outcome is not None
    flagged = {result.rule: result.is_success for result in other.outcome.results}
    assert not flagged["near_duplicate"]
    assert {result.rule: result.is_success for result in far.outcome.results}["near_duplicate"]


def test_the_inbox_is_taken_up_and_cleared(workspace: Workspace) -> None:
    good = drop(workspace, "good.txt")
    drop(workspace, "good.txt.yaml", "broker: Citi\n")
    bad = drop(workspace, "bad.pdf", b"%PDF-1.7\nnot a document at all")
    report = inbox.take_up(workspace, ("notes",))
    assert [file.ok for file in report.files] == [False, True]
    folder = good.parent
    assert sorted(path.name for path in folder.iterdir()) == ["processed", "rejected"]
    (processed,) = folder.glob("processed/*/good.txt")
    assert processed.with_name("good.txt.yaml").exists()
    (reason,) = folder.glob("rejected/*/bad.pdf.reason.txt")
    said = {row["file_name"]: row for row in rows_of(workspace, ops.ops_inbox_file)}
    assert said["bad.pdf"]["outcome"] == "refused"
    assert said["bad.pdf"]["rule"]
    assert said["bad.pdf"]["rule"] in reason.read_text()
    assert said["good.txt"]["outcome"] == "loaded"
    assert (folder / said["good.txt"]["moved_to"]).exists()
    assert rows_of(workspace, core_notes.core_note)[0]["broker_id"] == "citi"
    assert not bad.exists()
    assert not inbox.take_up(workspace, ("notes",)).files


def test_no_path_leads_out_of_the_inbox(workspace: Workspace, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(NOTE)
    folder = workspace.settings.inbox_dir / "notes"
    folder.mkdir(parents=True)
    (folder / "link.txt").symlink_to(secret)
    os.mkfifo(folder / "pipe.txt")
    report = inbox.take_up(workspace, ("notes",), settled_seconds=-5)
    assert {file.rule for file in report.files} == {"regular_file"}
    assert not rows_of(workspace, core_notes.core_note)
    assert secret.exists()
    assert {row["outcome"] for row in rows_of(workspace, ops.ops_inbox_file)} == {"refused"}


def test_a_side_car_does_not_link_out_of_the_inbox(workspace: Workspace, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("broker: UBS\n")
    path = drop(workspace, "good.txt")
    path.with_name("good.txt.yaml").symlink_to(secret)
    assert inbox.take_up(workspace, ("notes",)).ok
    assert rows_of(workspace, core_notes.core_note)[0]["broker_id"] == ""


def test_a_file_that_is_still_being_written_is_left(workspace: Workspace) -> None:
    path = drop(workspace, "fresh.txt")
    os.utime(path)
    assert not inbox.take_up(workspace, ("notes",)).files
    assert path.exists()


def test_names_that_are_taken_get_a_number(workspace: Workspace) -> None:
    for text in (NOTE, NOTE + "More.\n", NOTE + "More still.\n"):
        drop(workspace, "a.txt", text)
        inbox.take_up(workspace, ("notes",))
    names = {path.name for path in workspace.settings.inbox_dir.glob("notes/processed/*/*")}
    assert names == {"a.txt", "a (2).txt", "a (3).txt"}


def test_claims_of_an_older_extractor_do_not_count(workspace: Workspace, tmp_path: Path) -> None:
    bring(workspace, write(tmp_path / "a.txt"))
    claim = core_notes.core_note_claim
    with workspace.warehouse.write() as connection:
        connection.execute(sa.update(claim).values(extractor_version="0").where(claim.c.claim_type == "positioning"))
        from rally_pipeline.marts.refresh import mark_all_stale, refresh

        mark_all_stale(connection)
        refresh(connection)
    assert not rows_of(workspace, mart_ratings.mart_positioning)


def test_the_same_bytes_under_another_name_or_by_another_way_are_known(workspace: Workspace, tmp_path: Path) -> None:
    drop(workspace, "a.txt")
    assert inbox.take_up(workspace, ("notes",)).ok
    before = {
        table.name: len(rows_of(workspace, table)) for table in (core_notes.core_note, core_notes.core_note_claim)
    }
    (file,) = bring(workspace, write(tmp_path / "copy.txt")).files
    assert file.outcome is not None
    assert file.outcome.merged is not None
    assert (file.outcome.merged.new, file.outcome.merged.changed) == (0, 0)
    after = {table.name: len(rows_of(workspace, table)) for table in (core_notes.core_note, core_notes.core_note_claim)}
    assert after == before
    (note,) = rows_of(workspace, core_notes.core_note)
    assert (note["file_name"], note["source"]) == ("a.txt", "inbox")
