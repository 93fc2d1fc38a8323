"""Two at once, of everything two people or programs may do at once, on both engines."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline import inbox, ingest, quarantine
from rally_pipeline.audit.store import audit_stored
from rally_pipeline.errors import SchemaVersionError
from rally_pipeline.marts.refresh import mark_all_stale, refresh
from rally_pipeline.publish.publication import publish
from rally_pipeline.publish.site import write_site
from rally_pipeline.schema import core, mart, metadata
from rally_pipeline.warehouse.schema_version import HEAD
from rally_pipeline.workspace import Workspace, open_workspace
from rally_pipeline_tests import small_world
from rally_pipeline_tests.workspaces import deliver, open_at, price_csv, price_payload, rows_of, settings_for, utc

BOARD, PERFORMANCE = mart.mart_leaderboard_daily, mart.mart_index_performance_daily


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A warehouse with nothing in it."""
    url = request.getfixturevalue("postgres_url")() if request.param == "postgresql" else None
    workspace = open_at(tmp_path_factory.mktemp("bare") / "home", url)
    yield workspace
    workspace.warehouse.engine.dispose()


# Filling it takes seconds, so the tests about it are among the long ones.
@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in ("sqlite", "postgresql")]
)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    url = request.getfixturevalue("postgres_url")() if request.param == "postgresql" else None
    workspace = open_at(tmp_path_factory.mktemp("world") / "home", url)
    small_world.fill(workspace)
    yield workspace
    workspace.warehouse.engine.dispose()


@contextlib.contextmanager
def another(world: Workspace, **more: Any) -> Iterator[Workspace]:
    """The same warehouse as another process has it."""
    opened = open_at(world.settings.home, world.settings.resolved_warehouse_url, **more)
    yield opened
    opened.warehouse.engine.dispose()


def compute_all(workspace: Workspace) -> None:
    with workspace.warehouse.write() as connection:
        mark_all_stale(connection)
        refresh(connection)


def at_once(*work: Callable[[], object]) -> None:
    """Does all of it at the same time; the first failure is raised."""
    failures: list[BaseException] = []

    def guarded(one: Callable[[], object]) -> None:
        try:
            one()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class _Undone(Exception):  # noqa: N818
    """Rolls a transaction back."""


def test_who_only_looks_waits_for_no_writer(bare: Workspace) -> None:
    """Opening a warehouse in which nothing is to be made takes no lock: every command that only reads opens it so."""
    count = len(rows_of(bare, "core_instrument"))
    with contextlib.suppress(_Undone), bare.warehouse.write() as connection:
        connection.execute(sa.delete(core.core_instrument))
        with another(bare, lock_timeout_seconds=0.1) as reader:
            assert len(rows_of(reader, "core_instrument")) == count > 10
        raise _Undone


def test_no_transaction_of_a_run_locks_out_readers(world: Workspace) -> None:
    """PostgreSQL: whatever is loaded, computed, audited and published, every lock lets others read."""
    if world.warehouse.dialect != "postgresql":
        pytest.skip("SQLite has no locks of tables")
    held: set[tuple[str, str]] = set()
    query = sa.text(
        "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
        "WHERE l.pid = pg_backend_pid() AND l.granted AND c.relpersistence = 'p' AND c.relname NOT LIKE 'pg\\_%'"
    )

    def look(connection: sa.Connection) -> None:
        held.update((row.relname, row.mode) for row in connection.execute(query))

    engine = world.warehouse.engine
    sa.event.listen(engine, "commit", look)
    try:
        with another(world) as dashboard, dashboard.warehouse.read() as connection:
            for table in metadata.tables.values():  # an open transaction that has looked at everything
                connection.execute(sa.select(table).limit(1)).all()
            small = open_workspace(settings_for(world.settings.home, world.settings.resolved_warehouse_url))
            small.warehouse.engine.dispose()
            late = price_csv([(day, 1, 3, 1, 2, 5) for day in small_world.sessions(world)])
            deliver(world, price_payload(late, small_world.SHARE, source="locks", known_at=utc("2025-03-01")))
            compute_all(world)
            audit_stored(world, only_stale=False)
            publish(world)
            write_site(world)
    finally:
        sa.event.remove(engine, "commit", look)
    modes = {mode for _, mode in held}
    assert {"RowExclusiveLock", "AccessShareLock"} <= modes
    assert ("mart_leaderboard_daily", "RowExclusiveLock") in held
    assert modes <= {"AccessShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"}, held


def test_what_is_published_while_others_write_is_of_one_state(world: Workspace, tmp_path: Path) -> None:
    """Every transaction puts the same value into two marts; every publication has the same value in both."""
    import pyarrow.parquet as pq

    is_over = threading.Event()
    written: list[int] = []

    def write() -> None:
        with another(world) as writer:
            for value in itertools.count(1):
                with writer.warehouse.write() as connection:
                    for table in (BOARD, PERFORMANCE):
                        connection.execute(sa.update(table).values(close=float(value)))
                written.append(value)
                if is_over.wait(0.01):
                    return

    found: list[set[float]] = []

    def report() -> None:
        try:
            while not written and not is_over.wait(0.05):
                pass
            for number in range(4):
                made = publish(world, str(tmp_path / f"p{number}")).manifest
                by_name = {table.name: table for table in made.tables}
                closes: set[float] = set()
                for table in (BOARD, PERFORMANCE):
                    for file in by_name[table.name].files:
                        path = tmp_path / f"p{number}" / made.folder / file.path
                        closes |= set(pq.read_table(path)["close"].to_pylist())
                found.append(closes)
        finally:
            is_over.set()

    try:
        at_once(write, report)
    finally:
        compute_all(world)
    assert [len(closes) for closes in found] == [1] * 4
    assert len(set.union(*found)) > 1  # it was written meanwhile
    assert len(written) >= 4


def test_a_payload_is_judged_by_what_is_known_when_it_is_merged(
    world: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process loads the days before while this one is at the gate: a hundredfold price does not slip in."""
    days = small_world.sessions(world)
    known_at = utc("2025-03-02")

    def bars(close: float, which: list[dt.date]) -> bytes:
        return price_csv([(day, close, close, close, close, 9 + day.toordinal() % 97) for day in which])

    first = ingest.keep(world, price_payload(bars(4, days[:-1]), "9618.HK", source="race", known_at=known_at))
    later = price_payload(bars(400, days[-1:]), "9618.HK", source="race", known_at=known_at + dt.timedelta(hours=1))
    second = ingest.keep(world, later)
    judge, has_come = ingest._judge, []

    def interrupted(*arguments: Any) -> Any:
        found = judge(*arguments)
        if not has_come:
            has_come.append(True)
            with another(world) as other:
                assert ingest.load(other, first).is_loaded
        return found

    monkeypatch.setattr(ingest, "_judge", interrupted)
    outcome = ingest.load(world, second)
    assert outcome.rows_set_aside == 1, outcome
    assert outcome.merged.new == 0


def test_a_row_that_somebody_else_released_meanwhile_is_not_discarded(world: Workspace) -> None:
    (row,) = quarantine.select(world, quarantine.Selection(rule="high_is_highest"))
    before_release = quarantine.dataclasses.replace(row, actions=())
    assert before_release.state is quarantine.State.OPEN
    (done,) = quarantine.discard(world, [before_release], "no").rows
    assert (done.ok, "released" in done.outcome) == (False, True)
    (done,) = quarantine.release(world, [before_release], "again").rows
    assert done.outcome == "already released"


def test_one_process_at_a_time_takes_up_the_inbox(world: Workspace) -> None:
    """Of two that do at once, one loads each file and the other finds nothing."""
    folder = world.settings.inbox_dir / "prices"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        bars = [(day, 5, 6, 4, 5 + n / 100, 10 + n) for n, day in enumerate(small_world.sessions(world))]
        text = price_csv(bars)
        (folder / f"0700.HK {number}.csv").write_bytes(
            text.replace(b"date,", b"symbol,date,").replace(b"\n2", b"\n0700.HK,2")
        )
    reports: list[Any] = []

    def take() -> None:
        with another(world) as mine:
            reports.append(inbox.take_up(mine, ("prices",), settled_seconds=-60, refresh_marts=False))

    before = len(rows_of(world, "ops_inbox_file"))
    at_once(take, take)
    assert sorted(len(report.files) for report in reports) == [0, 3]
    assert all(file.ok for report in reports for file in report.files), [list(r.lines()) for r in reports]
    assert len(rows_of(world, "ops_inbox_file")) - before == 3
    assert [path.name for path in folder.glob("*.csv")] == []


def test_the_same_file_twice_at_once_is_loaded_once(world: Workspace) -> None:
    body = price_csv([(day, 7, 8, 6, 7 + n / 100, 10 + n) for n, day in enumerate(small_world.sessions(world))])
    outcomes: list[Any] = []

    def load(hour: int) -> None:
        with another(world) as mine:
            payload = price_payload(
                body, "1810.HK", source="twice", known_at=utc("2025-03-03") + dt.timedelta(hours=hour)
            )
            outcomes.append(deliver(mine, payload).merged)

    at_once(lambda: load(1), lambda: load(2))
    table = metadata.tables["core_price_daily"]
    rows = rows_of(world, table, table.c.source == "twice")
    assert len(rows) == len(small_world.sessions(world))
    assert {row["known_from_at"] for row in rows} == {utc("2025-03-03T01:00")}
    assert sorted(merged.changed for merged in outcomes) == [0, 0]


@pytest.mark.deep
def test_all_that_people_do_at_once(world: Workspace) -> None:
    """Loading, computing, auditing, publishing, reporting and looking, each by somebody else: nobody fails."""
    days = small_world.sessions(world)

    def load() -> None:
        with another(world) as mine:
            for hour in range(3):
                bars = price_csv([(day, 9, 13, 8, 10 + hour + n / 100, 10 + n) for n, day in enumerate(days)])
                payload = price_payload(
                    bars, "0388.HK", source="many", known_at=utc("2025-03-04") + dt.timedelta(hours=hour)
                )
                assert deliver(mine, payload).is_loaded
                small_world.compute(mine)

    def report() -> None:
        with another(world) as mine:
            publish(mine, compute=True)
            write_site(mine)

    def decide() -> None:
        with another(world) as mine:
            rows = quarantine.select(mine, quarantine.Selection(state=quarantine.State.OPEN))
            quarantine.replay(mine, rows)

    at_once(load, report, report, decide)
    small_world.compute(world)
    table = metadata.tables["core_price_resolved_daily"]
    (row,) = rows_of(world, table, table.c.symbol == "0388.HK", table.c.session_date == days[-1])
    assert row["close"] == 12 + (len(days) - 1) / 100
    assert rows_of(world, "ops_stale") == []


def test_a_run_of_before_an_upgrade_writes_nothing_after_it(bare: Workspace) -> None:
    with another(bare) as old:
        with bare.warehouse.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        try:
            with pytest.raises(SchemaVersionError, match="upgraded to schema version 9999 while this was running"):
                compute_all(old)
        finally:
            with bare.warehouse.engine.begin() as connection:
                connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{HEAD}'")


def test_a_new_warehouse_is_made_by_one_of_those_who_open_it(warehouse_url: str, tmp_path: Path) -> None:
    opened: list[Workspace] = []
    at_once(*[lambda: opened.append(open_workspace(settings_for(tmp_path / "home", warehouse_url)))] * 3)
    for workspace in opened:
        assert len(rows_of(workspace, "core_instrument")) == len(workspace.catalog.instruments)
        workspace.warehouse.engine.dispose()
