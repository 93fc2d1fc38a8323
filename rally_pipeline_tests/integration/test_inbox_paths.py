"""Nothing that is dropped into the inbox makes a run read or write outside of it: links, names, members of archives."""

from __future__ import annotations

import datetime as dt
import io
import os
import zipfile
from pathlib import Path

import pytest

from rally_pipeline import inbox
from rally_pipeline.errors import UsageError
from rally_pipeline.publish.quality_report import write_reports
from rally_pipeline.settings import load_settings
from rally_pipeline.workspace import open_workspace

RATES = "Date,USD,HKD,\n2025-02-14,1.0478,8.1557,\n2025-02-13,1.0437,8.1289,\n"


@pytest.fixture
def workspace(tmp_path: Path):
    made = open_workspace(load_settings(home=tmp_path / "home"))
    yield made
    made.warehouse.engine.dispose()


def drop(workspace, kind: str, name: str, body: bytes) -> Path:
    folder = workspace.settings.inbox_dir / kind
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(body)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def files_outside(tmp_path: Path) -> set[Path]:
    inside = tmp_path / "home"
    return {path for path in tmp_path.rglob("*") if path.is_file() and inside not in path.parents}


@pytest.mark.parametrize("member", ["../../../evil.csv", "/tmp/evil.csv", "..\\..\\evil.csv", "a/../../../evil.csv"])
def test_members_of_archives_are_never_written_by_their_name(workspace, tmp_path: Path, member: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, RATES)
    drop(workspace, "fx", "rates.zip", buffer.getvalue())
    (file,) = inbox.take_up(workspace, ("fx",), refresh_marts=False).files
    assert file.ok, file.message
    assert files_outside(tmp_path) == set()
    assert not list((tmp_path / "home").rglob("evil*"))
    assert not Path("/tmp/evil.csv").exists()


@pytest.mark.parametrize("level", ["rejected", "rejected/day"])
def test_a_folder_that_was_replaced_by_a_link_gets_nothing(workspace, tmp_path: Path, level: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path = drop(workspace, "prices", "bad.csv", b"\0\0\0")
    rejected = path.parent / "rejected"
    if level == "rejected":
        rejected.symlink_to(outside)
    else:
        rejected.mkdir()
        (rejected / f"{dt.datetime.now(dt.UTC):%Y-%m-%d}").symlink_to(outside)
    with pytest.raises(UsageError, match="leads out of the inbox"):
        inbox.take_up(workspace, ("prices",), refresh_marts=False)
    assert path.exists()
    assert files_outside(tmp_path) == set()


def test_a_reason_is_not_written_through_a_link(workspace, tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("keep me")
    path = drop(workspace, "prices", "bad.csv", b"\0\0\0")
    folder = path.parent / "rejected" / f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    folder.mkdir(parents=True)
    (folder / "bad.csv.reason.txt").symlink_to(victim)
    (file,) = inbox.take_up(workspace, ("prices",), refresh_marts=False).files
    assert not file.ok
    assert victim.read_text() == "keep me"
    assert (folder / "bad (2).csv.reason.txt").is_file()


def test_hostile_file_names_stay_text_on_pages(workspace) -> None:
    evil = "<img src=x onerror=alert(1)>&\"'{{7*7}}.csv"
    drop(workspace, "prices", evil, b"Date,Close\nnonsense,1\n")
    drop(workspace, "prices", "=cmd|' '!A1 <script>alert(1)<∕script>.csv", b"Date,Close\n2025-02-14,x\n")
    inbox.take_up(workspace, ("prices",), refresh_marts=False)
    pages = write_reports(workspace, None)
    assert pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "<img src=x" not in text
        assert "<script>alert" not in text
        assert "49.csv" not in text
