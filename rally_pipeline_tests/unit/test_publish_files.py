"""Moves on the disk by which readers see all or nothing; manifests; types of published columns."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import stat
import threading
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa

from rally_pipeline import files
from rally_pipeline.errors import BusyError, PublishError
from rally_pipeline.publish import manifest, remote, tables
from rally_pipeline.schema import column_info, metadata, ops, table_info
from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.schema.published import published_tables
from rally_pipeline.settings import Profile

PUBLISHED = published_tables()


def test_all_marts_and_the_dictionary_are_published() -> None:
    names = [table.name for table in PUBLISHED]
    assert len(names) == len(set(names))
    assert set(names) >= {t.name for t in metadata.tables.values() if table_info(t).layer == "mart"}
    assert set(names) >= {table.name for table in ops.DICTIONARY}


@pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table.name)
@pytest.mark.parametrize("profile", Profile)
def test_schema_says_what_is_declared(table: sa.Table, profile: Profile) -> None:
    schema = tables.arrow_schema(table, profile)
    assert schema.names == list(table.columns.keys())
    for field, column in zip(schema, table.columns, strict=True):
        assert field.nullable == column.nullable
        said = {key.decode(): text.decode() for key, text in field.metadata.items()}
        assert said.pop("description") == column_info(column).description
        assert said == ({"unit": column_info(column).unit} if column_info(column).unit else {})
    about = {key.decode(): text.decode() for key, text in schema.metadata.items()}
    assert about["description"] == table_info(table).description
    assert about["profile"] == profile.value
    assert ("notice" in about) == (profile is Profile.DEMO)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (sa.Date(), pa.date32()),
        (UtcDateTime(), pa.timestamp("us", tz="UTC")),
        (sa.Boolean(), pa.bool_()),
        (sa.Integer(), pa.int32()),
        (sa.BigInteger(), pa.int64()),
        (sa.Double(), pa.float64()),
        (sa.Text(), pa.string()),
        (sa.String(3), pa.string()),
    ],
)
def test_types(declared: sa.types.TypeEngine[object], expected: pa.DataType) -> None:
    assert tables.arrow_type(declared) == expected


def test_a_type_nobody_thought_of_is_an_error() -> None:
    with pytest.raises(TypeError, match="no Arrow type"):
        tables.arrow_type(sa.LargeBinary())


def test_replacing_leaves_open_files_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    for text in ("one", "two"):
        (tmp_path / text).write_text(text)
        files.settle(tmp_path / text)
    files.replace_by_link(tmp_path / "one", target)
    with target.open() as reader:
        files.replace_by_link(tmp_path / "two", target)
        files.replace_by_link(tmp_path / "two", target)  # the same again
        assert reader.read() == "one"
    assert target.read_text() == "two"
    assert stat.S_IMODE(target.stat().st_mode) == files.FILE_MODE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "target", "two"]


def test_without_hard_links_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(files.os, "link", refuse)
    (tmp_path / "one").write_text("one")
    files.link_or_copy(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two").read_text() == "one"
    assert (tmp_path / "two").stat().st_ino != (tmp_path / "one").stat().st_ino


def test_a_link_is_moved_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "two", "two"):
        (tmp_path / name).mkdir(exist_ok=True)
        files.point_to(tmp_path / "current", name)
        assert (tmp_path / "current").resolve() == tmp_path / name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "one", "two"]


def test_one_at_a_time(tmp_path: Path) -> None:
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with files.only_one(tmp_path / ".lock", 1):
            inside.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(5)
    with pytest.raises(BusyError, match="another process"), files.only_one(tmp_path / ".lock", 0.1):
        pass
    done.set()
    with files.only_one(tmp_path / ".lock", 5):
        pass
    holder.join()


def test_what_was_left_half_written_is_swept(tmp_path: Path) -> None:
    with files.folder_aside(tmp_path) as aside:
        (aside / "file").write_text("x")
        assert stat.S_IMODE(aside.stat().st_mode) == 0o755
    assert not aside.exists()
    with files.folder_aside(tmp_path) as aside:
        aside.rename(tmp_path / "kept")
    (tmp_path / f"{files.WRITING}a").mkdir()
    (tmp_path / f"{files.WRITING}b").write_text("")
    (tmp_path / f"{files.WRITING}c").symlink_to("kept")
    files.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def _manifest() -> manifest.Manifest:
    as_of = manifest.AsOf("2025-02-14T10:00:00Z", {"HK": "2025-02-14"})
    part = manifest.PublishedFile("mart_x/part-0.parquet", 3, 100, "a" * 64)
    table = manifest.PublishedTable("mart_x", "X.", "x", ["a", "b"], None, None, 3, [part])
    about = manifest.about_now(Profile.DEMO, as_of, "0123456789", dt.datetime(2025, 2, 14, 20, tzinfo=dt.UTC))
    return manifest.Manifest(about, [table], manifest.PublishedFile("rally.duckdb", 4, 200, "b" * 64))


def test_manifest_is_read_back() -> None:
    made = _manifest()
    assert manifest.read(made.to_text(), "m") == made
    assert made.about.version == "20250214T200000.000000Z-01234567"
    assert made.folder == f"tables/{made.about.version}"
    assert json.loads(made.to_text())["notice"].startswith("Demo data")
    later = {**json.loads(made.to_text()), "what_a_later_version_says": 1}
    assert manifest.read(json.dumps(later), "m") == made


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1}', '{"format": 1, "as_of": 3}', "null"]
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(PublishError, match="Fix"):
        manifest.read(text, "somewhere")


def test_digest_is_of_the_content_alone() -> None:
    made = _manifest()
    digest = manifest.content_digest(made.tables, made.about.as_of)
    assert digest == manifest.content_digest(list(made.tables), made.about.as_of)
    assert digest != manifest.content_digest([], made.about.as_of)
    other = dataclasses.replace(made.about.as_of, latest_known_at=None)
    assert digest != manifest.content_digest(made.tables, other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://bucket/path", "s3://bucket/path"),
        ("ftp://me:secret@host/path", "ftp://host/path"),
        ("failed for sftp://me@host/a and file:///b@c", "failed for sftp://host/a and file:///b@c"),
    ],
)
def test_no_password_is_shown(text: str, shown: str) -> None:
    assert remote.without_secrets(text) == shown
