"""Verifying and compacting the archive: nothing is lost or taken for whole that is not, killed anywhere or not."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline import archive_care, packs
from rally_pipeline.archive import ORPHAN_SECONDS, Archive, FetchRecord
from rally_pipeline.errors import ArchiveDamagedError, BusyError, UsageError
from rally_pipeline.files import WRITING
from rally_pipeline.sources.base import Dataset, FetchRequest, Payload

JANUARY, FEBRUARY, MARCH = (dt.datetime(2024, month, 15, 9, tzinfo=dt.UTC) for month in (1, 2, 3))
BEFORE_MARCH = dt.date(2024, 3, 1)


def keep(archive: Archive, body: bytes, at: dt.datetime = JANUARY, subject: str = "0700.HK") -> FetchRecord:
    request = FetchRequest("file", "price_files", Dataset.PRICE, subject)
    return archive.store(Payload(request, body, "text/csv", 200, at))


def compact(archive: Archive, **more: object) -> archive_care.Compaction:
    return archive_care.compact(archive, before=BEFORE_MARCH, **more)  # type: ignore[arg-type]


def everything(archive: Archive) -> dict[str, bytes]:
    return {record.fetch_id: archive.payload(record).body for record in archive.records()}


def fill(archive: Archive) -> dict[str, bytes]:
    for number in range(12):
        keep(archive, f"row {number} ".encode() * 200, (JANUARY, FEBRUARY, MARCH)[number % 3])
    keep(archive, os.urandom(2000))
    keep(archive, b"", FEBRUARY)
    return everything(archive)


@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(0, 2)), max_size=12), st.integers(0, 4))
@settings(max_examples=10)
def test_packed_reads_as_before(tmp_path_factory: pytest.TempPathFactory, deliveries, again) -> None:
    archive = Archive(tmp_path_factory.mktemp("archive"))
    for number, (body, month) in enumerate(deliveries):
        keep(archive, body, (JANUARY, FEBRUARY, MARCH)[month], f"s{number}")
        if number == again:
            compact(archive)
    before, ids = everything(archive), archive.payload_ids()
    done = compact(archive)
    assert done.ok
    assert everything(archive) == everything(Archive(archive.directory)) == before
    assert archive.payload_ids() == ids
    assert archive_care.verify(archive).ok
    # a payload lies where it was fetched first; those of March are not packed yet
    first = {body: min(m for b, m in deliveries if b == body) for body, _ in deliveries}
    assert len(list(archive.loose_ids())) <= sum(month == 2 for month in first.values())
    assert compact(archive).to_json() == archive_care.Compaction().to_json(), "idempotent"


def test_a_pack_is_a_zip_that_any_tool_opens(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    bodies = set(fill(archive).values())
    done = compact(archive)
    assert len(done.packs) == 2
    assert [name[:7] for name in done.packs] == ["2024-01", "2024-02"]
    assert done.bytes_after < done.bytes_before
    found, methods = set(), set()
    for name in done.packs:
        with zipfile.ZipFile(tmp_path / "packs" / name) as pack:
            assert pack.testzip() is None
            assert pack.namelist() == sorted(pack.namelist())
            found |= {pack.read(member) for member in pack.namelist()}
            methods |= {member.compress_type for member in pack.infolist()}
    assert found < bodies
    assert methods == {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}, "what does not shrink is kept as it is"
    assert done.packed + len(list(archive.loose_ids())) == len(bodies)


def test_the_same_payloads_make_the_same_pack(tmp_path: Path) -> None:
    made = []
    for name in ("one", "other"):
        archive = Archive(tmp_path / name)
        for number in range(5):
            keep(archive, bytes([number]) * 100)
        (pack,) = compact(archive).packs
        made.append((pack, (archive.packs.folder / pack).read_bytes()))
    assert made[0] == made[1]


def test_storing_what_is_packed_writes_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    keep(archive, b"a" * 50)
    compact(archive)
    assert keep(archive, b"a" * 50, MARCH).payload_id in archive.payload_ids()
    assert list(archive.loose_ids()) == []
    assert list(Archive(tmp_path).loose_ids()) == []


def test_one_payload_is_read_without_reading_the_pack(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for number in range(100):
        keep(archive, f"{number} ".encode() * 300)
    (pack,) = compact(archive).packs
    payload_id = archive.payload_ids()[50]
    place = archive.packs.find(payload_id)
    assert place is not None
    assert place.stored < 200
    assert place.offset > 50 * 100
    assert len(place.read()) == place.size
    packs.index_path(tmp_path / "packs" / pack).unlink()
    assert Archive(tmp_path).packs.find(payload_id) == place, "the index follows from the pack"
    compact(archive)
    assert packs.index_path(tmp_path / "packs" / pack).exists(), "and is written again"


# Damage ---------------------------------------------------------------------------------------------------------------


def _flip(path: Path, at: int) -> None:
    path.chmod(0o644)
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(body)


@pytest.mark.parametrize("damage", ["data", "name", "directory", "truncated", "gone", "index", "link"])
def test_a_damaged_pack_is_found_and_never_believed(tmp_path: Path, damage: str) -> None:
    archive = Archive(tmp_path / "archive")
    before = fill(archive)
    name = compact(archive).packs[0]
    pack = archive.packs.folder / name
    if damage == "data":
        _flip(pack, 100)
    elif damage == "name":
        _flip(pack, 80)
    elif damage == "directory":
        _flip(pack, pack.stat().st_size - 60)
    elif damage == "truncated":
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:-30])
    elif damage == "gone":
        pack.unlink()
    elif damage == "index":
        packs.index_path(pack).chmod(0o644)
        packs.index_path(pack).write_bytes(b"nonsense")
    else:
        pack.rename(tmp_path / "elsewhere.zip")
        pack.symlink_to(tmp_path / "elsewhere.zip")
    again = Archive(tmp_path / "archive")
    found = archive_care.verify(again)
    if damage == "index":
        assert found.ok, "it follows from the pack"
        assert everything(again) == before
        return
    assert not found.ok
    assert all(problem.fix for problem in found.problems)
    if damage == "gone":
        assert {problem.kind for problem in found.problems} == {"missing"}
    else:
        assert any(name in problem.message or name in problem.what for problem in found.problems)
    wrong = 0
    for record in again.records():
        try:
            assert again.payload(record).body == before[record.fetch_id]
        except ArchiveDamagedError:
            wrong += 1
    assert wrong or damage in ("name", "directory", "truncated")  # the index beside it still leads to every payload
    assert keep(again, b"new").payload_id, "a damaged pack stops nobody from storing"


def test_an_index_of_another_pack_is_found(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    before = fill(archive)
    one, other = (archive.packs.folder / name for name in compact(archive).packs)
    packs.index_path(one).chmod(0o644)
    packs.index_path(one).write_bytes(packs.index_path(other).read_bytes())
    again = Archive(tmp_path)
    assert any("index" in problem.message for problem in archive_care.verify(again).problems)
    assert set(before) == {record.fetch_id for record in again.records()}


def test_what_verify_says_of_each_kind(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    ids = [keep(archive, bytes([number]) * 9).payload_id for number in range(5)]
    archive.object_path(ids[0]).unlink()
    _flip(archive.object_path(ids[1]), 3)
    target = tmp_path / "elsewhere"
    archive.object_path(ids[2]).rename(target)
    archive.object_path(ids[2]).symlink_to(target)
    orphan = keep(archive, b"orphan").fetch_id
    next((archive.directory / "fetches").rglob(f"{orphan}.json")).unlink()
    record = next((archive.directory / "fetches").rglob("*.json"))
    known = [(item.fetch_id, item.payload_id) for item in archive.records()] + [("ab" * 32, "cd" * 32)]
    found = archive_care.verify(archive, registered=known)
    kinds = {problem.kind for problem in found.problems}
    assert kinds == {"missing", "damaged", "link", "unarchived"}, "an orphan of now may be a fetch under way"
    with pytest.raises(ArchiveDamagedError, match="is a link"):
        archive.read(ids[2])
    old = time.time() - 7200
    for path in (archive.directory / "objects").rglob("*"):
        os.utime(path, (old, old), follow_symlinks=False)
    record.write_text("{}")
    found = archive_care.verify(archive, registered=known)
    assert {problem.kind for problem in found.problems} == {*kinds, "orphan", "record"}
    text = "\n".join(found.lines())
    assert all(payload_id in text for payload_id in ids[:3])
    assert text.count("Fix: ") == len(found.problems)


def test_a_sample_hashes_less_and_misses_nothing_that_is_gone(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    ids = [keep(archive, bytes([number]) * 9).payload_id for number in range(20)]
    assert archive_care.verify(archive, sample=3).hashed == 3
    archive.object_path(ids[7]).unlink()
    (problem,) = archive_care.verify(archive, sample=1).problems
    assert (problem.kind, problem.what) == ("missing", f"payload {ids[7]}")


def test_a_damaged_payload_is_not_packed(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    good, bad = keep(archive, b"good"), keep(archive, b"bad")
    _flip(archive.object_path(bad.payload_id), 0)
    done = compact(archive)
    assert not done.ok
    assert done.packed == 1
    assert list(archive.loose_ids()) == [bad.payload_id]
    assert archive.payload(good).body == b"good"


def test_a_full_disk_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(tmp_path)
    before = fill(archive)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packs, "write", fails)
    with pytest.raises(OSError, match="No space"):
        compact(archive)
    monkeypatch.setattr(packs, "write", lambda path, _: path.write_bytes(b""))
    with pytest.raises(ArchiveDamagedError):
        compact(archive)
    assert everything(archive) == before
    assert list(archive.packs.folder.glob(f"{WRITING}*")) == []


# Orphans --------------------------------------------------------------------------------------------------------------


def _orphan(archive: Archive, body: bytes, age: float) -> Path:
    record = keep(archive, body)
    next((archive.directory / "fetches").rglob(f"{record.fetch_id}.json")).unlink()
    path = archive.object_path(record.payload_id)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_orphans_stay_unless_asked_for_and_old(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    keep(archive, b"named")
    old, young = _orphan(archive, b"old", 40 * 86400), _orphan(archive, b"young", 3600)
    assert compact(archive).orphans == 2
    done = compact(archive, remove_orphans_older_than=dt.timedelta(days=30))
    assert (done.orphans, done.orphans_removed) == (1, 1)
    assert not old.exists()
    assert young.exists()
    with pytest.raises(UsageError, match="younger than a day"):
        compact(archive, remove_orphans_older_than=dt.timedelta(hours=1))


def test_an_orphan_that_is_fetched_again_is_young_again(tmp_path: Path) -> None:
    """Whoever finds the bytes there relies on them."""
    archive = Archive(tmp_path)
    path = _orphan(archive, b"old", ORPHAN_SECONDS * 3)
    orphans = [path.name]
    record = keep(archive, b"old", MARCH)  # between the look of the compaction and the removal
    assert archive_care._remove_orphans(archive, orphans, ORPHAN_SECONDS) == 0
    assert archive.payload(record).body == b"old"


def test_an_orphan_half_removed_comes_back(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    path = _orphan(archive, b"old", 10)
    path.rename(path.with_name(f"{WRITING}orphan-{path.name}"))
    compact(archive)
    assert path.read_bytes() == b"old"


# Killed, and at the same time -----------------------------------------------------------------------------------------


def _killed_at(step: int, work: Callable[[], object]) -> bool:
    """Runs the work in a process that is killed at its `step`-th move on the disk; says whether it was."""
    child = os.fork()
    if child == 0:
        moves = 0

        def count(event: str, _: object) -> None:
            nonlocal moves
            if event in ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir"):
                moves += 1
                if moves == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.deep
def test_killed_anywhere_it_has_lost_nothing(tmp_path: Path) -> None:
    step = stops = 0
    while True:
        step += 1
        archive = Archive(tmp_path / str(step))
        for number in range(4):
            keep(archive, bytes([number]) * 60, (JANUARY, FEBRUARY)[number % 2])
        before = everything(archive)
        was_killed = _killed_at(step, lambda archive=archive: compact(archive))
        again = Archive(archive.directory)
        assert everything(again) == before
        assert archive_care.verify(again).ok
        assert compact(again).ok
        assert everything(again) == everything(Archive(archive.directory)) == before
        assert list(again.loose_ids()) == []
        assert list(archive.directory.rglob(f"{WRITING}*")) == []
        if not was_killed:
            break
        stops += 1
    assert stops > 25


def test_others_store_and_read_while_it_packs(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    known = [(keep(archive, f"first {number}".encode() * 20), number) for number in range(60)]
    failed: list[BaseException] = []
    finished = threading.Event()

    def write() -> None:
        own, number = Archive(tmp_path), 0
        try:
            while not finished.is_set():
                number += 1
                record = keep(own, f"later {number % 60}".encode() * 20, FEBRUARY, f"s{number}")
                assert own.payload(record).body == f"later {number % 60}".encode() * 20
        except BaseException as error:
            failed.append(error)

    def read() -> None:
        own = Archive(tmp_path)
        try:
            while not finished.is_set():
                for record, number in known:
                    assert own.payload(record).body == f"first {number}".encode() * 20
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        compact(archive)
        time.sleep(0.02)
    finished.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert archive_care.verify(Archive(tmp_path)).ok


def test_one_at_a_time(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    keep(archive, b"a")
    with archive_care.only_one(archive, 1), pytest.raises(BusyError, match="another process"):
        compact(archive, lock_timeout_seconds=0.1)
    assert compact(archive).packed == 1
