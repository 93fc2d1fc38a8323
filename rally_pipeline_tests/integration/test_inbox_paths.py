"""Nothing that is dropped into the inbox makes a run read or write outside of it, or keeps it from the other files:
links, names, members of archives."""

from __future__ import annotations

import datetime as dt
import io
import os
import zipfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline import inbox
from rally_pipeline.alerts.problems import Look, rejected_file
from rally_pipeline.errors import UsageError
from rally_pipeline.publish.quality_report import write_reports
from rally_pipeline.schema import ops
from rally_pipeline.settings import load_settings
from rally_pipeline.workspace import open_workspace

NOW = dt.datetime.now(dt.UTC)
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


NAMES = {"not UTF-8": b"caf\xe9", "as long as may be": "股".encode() * 83, "too long for a side-car": b"x" * 250}


@pytest.mark.parametrize("stem", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("kind", ["notes", "prices"])
def test_a_strange_name_keeps_nobody_from_being_loaded(workspace, kind: str, stem: bytes) -> None:
    strange = os.fsdecode(stem)
    good = {"notes": b"Tencent closed at HK$480 on 14 February 2025.", "prices": b"Date,Close\n2025-02-13,470\n"}[kind]
    bad = {"notes": b"%PDF-1.7 broken", "prices": b"Date,Close\nnonsense,1\n"}[kind]
    ending = {"notes": ".txt", "prices": ".csv"}[kind]
    drop(workspace, kind, "0700.HK.csv" if kind == "prices" else "a.txt", good)
    drop(workspace, kind, strange + ending, good.replace(b"Tencent", b"Alibaba"))
    drop(workspace, kind, strange + (".pdf" if kind == "notes" else ".CSV"), bad)
    report = inbox.take_up(workspace, (kind,), refresh_marts=False)
    assert len(report.files) == 3
    for line in report.lines():
        line.encode("utf-8")
    folder = workspace.settings.inbox_dir / kind
    assert [path.name for path in folder.iterdir() if path.is_file()] == []
    moved = [path for path in folder.rglob("*") if path.is_file()]
    reasons = [path for path in moved if path.name.endswith(".reason.txt")]
    refused = [file for file in report.files if not file.ok]
    assert len(moved) - len(reasons) == 3
    assert len(reasons) == len(refused) >= 1
    with workspace.warehouse.read() as connection:
        rows = connection.execute(sa.select(ops.ops_inbox_file)).all()
    assert len(rows) == 3
    for row in rows:
        assert (folder / row.moved_to).is_file()
    write_reports(workspace, None)
    with workspace.warehouse.read() as connection:
        told = rejected_file(Look(connection, workspace, NOW, NOW.date()))
    assert len(told) == len(refused)


def test_a_device_that_was_refused_is_told_of(workspace) -> None:
    folder = workspace.settings.inbox_dir / "notes"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.txt")
    os.utime(folder / "pipe.txt", (1_700_000_000, 1_700_000_000))
    inbox.take_up(workspace, ("notes",), refresh_marts=False)
    with workspace.warehouse.read() as connection:
        (told,) = rejected_file(Look(connection, workspace, NOW, NOW.date()))
    assert "pipe.txt" in told.title
