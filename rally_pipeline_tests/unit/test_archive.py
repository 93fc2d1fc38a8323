"""The archive: written once, verified on every reading, whole after a crash at any point."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.archive import ActionRecord, Archive, FetchRecord
from rally_pipeline.errors import ArchiveDamagedError
from rally_pipeline.sources.base import Dataset, FetchRequest, Payload

AT = dt.datetime(2024, 3, 4, 9, 30, 0, 123456, tzinfo=dt.UTC)
REQUEST = FetchRequest("file", "price_files", Dataset.PRICE, "0700.HK", params={"file_name": "价格.csv"})


def payload(body: bytes = b"date,close\n", request: FetchRequest = REQUEST, at: dt.datetime = AT) -> Payload:
    return Payload(request, body, "text/csv", 200, at)


def files(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def test_what_is_stored_is_read_back(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    record = archive.store(payload(), known_at=AT + dt.timedelta(days=1), run_id="r")
    assert archive.payload(record) == payload()
    assert list(archive.records()) == [record]
    assert record.known_at == AT + dt.timedelta(days=1)


def test_storing_twice_changes_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    first = archive.store(payload())
    before = files(tmp_path)
    times = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert archive.store(payload()) == first
    assert files(tmp_path) == before
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == times


def test_the_same_bytes_to_two_questions_are_kept_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    other = FetchRequest("other", "price_files", Dataset.PRICE, "0700.HK")
    records = [archive.store(payload()), archive.store(payload(request=other))]
    assert records[0].payload_id == records[1].payload_id
    assert len(list((tmp_path / "objects").rglob("*"))) == 2  # folder and file
    assert {r.fetch_id for r in archive.records()} == {r.fetch_id for r in records}


def test_records_come_in_order_of_known_time(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    late = archive.store(payload(b"late", at=AT), known_at=AT + dt.timedelta(days=9))
    early = archive.store(payload(b"early", at=AT + dt.timedelta(days=3)))
    assert list(archive.records()) == [early, late]


@pytest.mark.parametrize("damage", ["flip", "truncate", "append", "delete", "empty"])
def test_damaged_bytes_are_never_given(tmp_path: Path, damage: str) -> None:
    archive = Archive(tmp_path)
    record = archive.store(payload(b"0123456789"))
    (path,) = (p for p in (tmp_path / "objects").rglob("*") if p.is_file())
    body = bytearray(path.read_bytes())
    if damage == "delete":
        path.unlink()
    else:
        changed = {"flip": bytes([body[0] ^ 1, *body[1:]]), "truncate": body[:-1], "append": body + b"x", "empty": b""}
        path.write_bytes(changed[damage])
    for read in (lambda: archive.read(record.payload_id), lambda: archive.payload(record)):
        with pytest.raises(ArchiveDamagedError, match=record.payload_id):
            read()


@pytest.mark.parametrize("crash", ["before bytes", "between", "after"])
def test_a_crash_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: str) -> None:
    """A record never points to bytes that are not there, and the next attempt completes what is missing."""
    archive = Archive(tmp_path)
    calls = 0
    link = os.link

    def dies(source: Path, target: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == {"before bytes": 1, "between": 2}.get(crash):
            raise KeyboardInterrupt
        link(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", dies)  # what gives a finished file its name
        if crash == "after":
            archive.store(payload())
        else:
            with pytest.raises(KeyboardInterrupt):
                archive.store(payload())
    for record in archive.records():
        archive.read(record.payload_id)
    assert len(list(archive.records())) == (1 if crash == "after" else 0)
    record = archive.store(payload())
    assert list(archive.records()) == [record]
    assert archive.payload(record) == payload()


def test_an_unfinished_file_is_no_record(tmp_path: Path) -> None:
    """What a killed process was writing beside the record is not taken for one."""
    archive = Archive(tmp_path)
    record = archive.store(payload())
    (path,) = (tmp_path / "fetches").rglob("*.json")
    path.with_name(".writing-abc").write_text('{"half')
    assert list(archive.records()) == [record]


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_TIMES = st.datetimes(timezones=st.just(dt.UTC))


@settings(max_examples=40, deadline=None)
@given(
    body=st.binary(max_size=64),
    subject=_TEXT,
    params=st.dictionaries(_TEXT, _TEXT, max_size=3),
    start=st.none() | st.dates(),
    fetched_at=_TIMES,
    known_at=st.none() | _TIMES,
)
def test_records_survive_the_way_through_json(
    tmp_path_factory: pytest.TempPathFactory,
    body: bytes,
    subject: str,
    params: dict[str, str],
    start: dt.date | None,
    fetched_at: dt.datetime,
    known_at: dt.datetime | None,
) -> None:
    archive = Archive(tmp_path_factory.mktemp("a"))
    request = FetchRequest("s", "p", Dataset.FX, subject, params=params, start=start)
    record = archive.store(Payload(request, body, "", 200, fetched_at), known_at=known_at)
    assert list(archive.records()) == [record]
    assert archive.read(record.payload_id) == body
    assert FetchRecord.from_json(record.to_json()) == record


def test_times_of_other_zones_are_the_same_fetch(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    hong_kong = AT.astimezone(dt.timezone(dt.timedelta(hours=8)))
    assert archive.store(payload(), known_at=AT) == archive.store(payload(), known_at=hong_kong)


ACTION = ActionRecord(
    action_id="a" * 64,
    fetch_id="f" * 64,
    table_name="core_price_daily",
    row_key="0700.HK 2024-03-05",
    rule="high_is_highest",
    action="release",
    reason="the exchange says so",
    acted_by="ada",
    acted_at=AT,
    outcome="loaded",
)


def test_decisions_are_read_back_in_order(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    assert archive.actions() == []
    later = dataclasses.replace(ACTION, action_id="b" * 64, acted_at=AT + dt.timedelta(days=40))
    for action in (later, ACTION, ACTION):
        archive.store_action(action)
    assert archive.actions() == [ACTION, later]
    for path in tmp_path.glob("actions/*/*/*/*.json"):
        path.write_text("{}")
    with pytest.raises(ArchiveDamagedError, match=r"action [ab]{64}"):
        archive.actions()


def test_whose_data_it_is_is_said_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    assert archive.profile is None
    archive.state_profile("demo")
    archive.state_profile("live")
    assert archive.profile == "demo"


def test_damages_are_named(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    records = [archive.store(payload(body)) for body in (b"one", b"two", b"three")]
    assert list(archive.damages()) == []
    one, two, three = (record.payload_id for record in records)
    (tmp_path / "objects" / one[:2] / one).write_bytes(b"0ne")
    (tmp_path / "objects" / two[:2] / two).unlink()
    assert {identity for identity, _ in archive.damages()} == {one, two}
    assert all(identity in text for identity, text in archive.damages())
    assert len(archive.payload_ids()) == 2
    assert len(list(archive.damages(sample=3))) == 2
    assert len(list(archive.damages(sample=1))) <= 1
    (path,) = tmp_path.glob(f"fetches/*/*/*/{records[2].fetch_id}.json")
    path.write_text(path.read_text().replace(three, one))
    assert records[2].fetch_id in {identity for identity, _ in archive.damages()}
    with pytest.raises(ArchiveDamagedError, match=records[2].fetch_id):
        list(archive.records())
    path.write_text("not JSON")
    with pytest.raises(ArchiveDamagedError, match=records[2].fetch_id):
        list(archive.records())
