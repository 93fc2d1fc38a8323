"""Years of a large table that were not written again are not read again, and what is published is the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline import files
from rally_pipeline.publish import tables
from rally_pipeline.publish.manifest import PublishedTable
from rally_pipeline.schema import metadata, ops
from rally_pipeline.settings import Profile
from rally_pipeline.warehouse.written import mark_of_year, note_written
from rally_pipeline_tests.published import rows

TABLE = metadata.tables["mart_trading_volume_daily"]
DAYS = [dt.date(year, 1, day) for year in (2021, 2022, 2023) for day in (4, 5)]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'warehouse.sqlite'}")
    with engine.begin() as connection:
        metadata.create_all(connection, [TABLE, ops.ops_warehouse])
        some = rows(TABLE, len(DAYS))
        connection.execute(sa.insert(TABLE), [r | {"session_date": day} for r, day in zip(some, DAYS, strict=True)])
        yield connection
    engine.dispose()


def _written(
    connection: sa.Connection, tmp_path: Path, name: str, before: PublishedTable | None = None, old: str = ""
) -> PublishedTable:
    held = {} if before is None else {file.path: file for file in before.files}
    folder = None if before is None else tmp_path / old
    return tables.write_table(connection, TABLE, Profile.LIVE, tmp_path / name, folder, 3, held)


def test_only_years_that_were_written_are_read(
    connection: sa.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_written(connection, TABLE, None)
    first = _written(connection, tmp_path, "one")
    read: list[str] = []
    write = tables._write_file

    def watched(path: Path, *more: Any) -> int:
        read.append(path.parent.name)
        return write(path, *more)

    monkeypatch.setattr(tables, "_write_file", watched)
    assert _written(connection, tmp_path, "two", first, "one") == first
    assert read == []

    where = TABLE.c.session_date == DAYS[-1]
    connection.execute(sa.update(TABLE).where(where).values(turnover=12.5))
    note_written(connection, TABLE, dt.date(2023, 1, 5))
    third = _written(connection, tmp_path, "three", first, "one")
    assert read == ["year=2023"]
    assert [a == b for a, b in zip(first.files, third.files, strict=True)] == [True, True, False]
    assert third == _written(connection, tmp_path, "anew")

    read.clear()
    spoilt = tmp_path / "three" / third.files[0].path
    spoilt.chmod(0o644)
    spoilt.write_bytes(b"not what was published")
    assert _written(connection, tmp_path, "four", third, "three") == third
    assert read == ["year=2021"]
    assert all(files.digest(tmp_path / "four" / file.path) == file.sha256 for file in third.files)


def test_rows_nobody_noted_are_always_read(connection: sa.Connection, tmp_path: Path) -> None:
    first = _written(connection, tmp_path, "one")
    assert {file.made_from for file in first.files} == {""}
    connection.execute(sa.update(TABLE).where(TABLE.c.session_date == DAYS[0]).values(turnover=12.5))
    second = _written(connection, tmp_path, "two", first, "one")
    assert [a == b for a, b in zip(first.files, second.files, strict=True)] == [False, True, True]


def test_a_mark_is_about_its_year_and_all_later_ones(connection: sa.Connection) -> None:
    def marks() -> list[str | None]:
        return [mark_of_year(connection, TABLE, year) for year in (2020, 2021, 2022, 2023)]

    assert marks() == [None] * 4
    note_written(connection, TABLE, None)
    whole = marks()
    assert len(set(whole)) == 1
    note_written(connection, TABLE, dt.date(2022, 6, 1))
    later = marks()
    assert later[:2] == whole[:2]
    assert later[2] == later[3] != whole[3]
    note_written(connection, TABLE, dt.date(2023, 6, 1))
    note_written(connection, TABLE, dt.date(2021, 6, 1))
    last = marks()
    assert last[0] == whole[0]
    assert len(set(last[1:])) == 1
    assert last[1] not in {*whole, *later}
