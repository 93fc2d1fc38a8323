"""Every fault in front of every source: the next looks recover, and nothing is lost or doubled.

Each cell is one evening of one source: the fault strikes while the machine tries, the fault goes away, the machine
tries again as its schedules would. Then the facts are those of an evening without a fault, what was wrong stands where
people look, and nothing half-written is left. `make soak` has all cells; here it is every fault and every source.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline import ingest
from rally_pipeline.alerts.evaluate import current_problems
from rally_pipeline.catch_up import missing
from rally_pipeline.demo.prices import DemoWorld
from rally_pipeline.errors import RallyError
from rally_pipeline.quality import suites
from rally_pipeline.schema import metadata, ops, raw, table_info
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources.registry import MARKET_SOURCES, PRICE_SOURCES, RATINGS_SOURCE
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests import faults
from rally_pipeline_tests.faults import EVENING, FILES, NEXT_EVENING, SOURCES, Faulty
from rally_pipeline_tests.simulated import HOW_IT_CAME, Clock, Script, small_catalog
from rally_pipeline_tests.workspaces import ROOT, fresh_copy, rows_of

pytestmark = pytest.mark.slow

IS_SOAK = bool(os.environ.get("RALLY_SOAK"))
NETWORK = ("connect", "timeout", "429", "500")
FAULTS = (*NETWORK, "truncated body", "wrong body", "disk full", "database gone", "kill -9", "clock jump")
COLUMNS = (*SOURCES, *FILES)
CELLS = [(fault, source) for fault in FAULTS for source in COLUMNS]
#: Every fault and every source at least once, and each fault of the machine itself for fetched and for dropped.
SAMPLE = [
    *zip(("connect", "timeout", "429", "500"), ("sse", "szse", "hang_seng", "yahoo"), strict=True),
    *(("truncated body", "ecb"), ("truncated body", "notes"), ("wrong body", "yahoo"), ("wrong body", "prices")),
    *(("disk full", "hkex"), ("disk full", "flows"), ("database gone", "eastmoney"), ("database gone", "fx")),
    *(("kill -9", "eastmoney_flow"), ("kill -9", "notes"), ("clock jump", "hkex"), ("clock jump", "yahoo")),
    *(("500", RATINGS_SOURCE), ("429", "prices")),
]
TABLE: dict[tuple[str, str], str] = {}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    catalog = small_catalog(faults.INSTRUMENTS)
    world = DemoWorld(catalog, Calendars.from_catalog(catalog, start=dt.date(2021, 1, 1)))
    with pytest.MonkeyPatch.context() as patched, Faulty(world, Clock(EVENING), Script()) as faulty:
        if os.environ.get("RALLY_SOAK", "quick") == "quick":
            patched.setattr(suites, "validate", lambda *_: {})
        yield faulty
    if IS_SOAK:
        print("\n".join(_table()))


def _table() -> Iterator[str]:
    yield ""
    yield f"{'':16}" + "".join(f"{fault:>15}" for fault in FAULTS)
    for source in COLUMNS:
        yield f"{source:16}" + "".join(f"{TABLE.get((fault, source), '·'):>15}" for fault in FAULTS)
    yield "ok: recovered, nothing lost; unaffected: nobody is asked for what is dropped, and it was loaded meanwhile"


@pytest.fixture(scope="module")
def template(upstream: Faulty, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return faults.open_at(upstream, tmp_path_factory.mktemp("template"), Clock(EVENING))


@pytest.fixture(scope="module")
def wanted(upstream: Faulty, template: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """For each source and time the facts of looks without a fault; made when first asked for."""
    found: dict[tuple[str, dt.datetime], Any] = {}

    def facts(source: str, until: dt.datetime) -> Any:
        if (source, until) not in found:
            upstream.fault = ""
            clock = Clock(EVENING)
            workspace = _at(template, upstream, tmp_path_factory.mktemp("wanted"), clock)
            faults.drop(workspace, source)
            for clock.now in [EVENING] if until == EVENING else [EVENING, until]:
                upstream.clock.now = clock.now
                faults.only(workspace, source, f"ideal {clock.now}")
            found[source, until] = _facts(workspace)
            assert any(found[source, until].values())
        return found[source, until]

    return facts


def _at(template: Workspace, upstream: Faulty, home: Path, clock: Clock) -> Workspace:
    """A fresh workspace by a clock; the upstreams live by the right time."""
    upstream.clock = Clock(clock.now)
    made = fresh_copy(template, home)
    settings = template.settings.model_copy(update={"home": home, "upstream_base": upstream.base_url})
    return dataclasses.replace(made, settings=settings, clock=clock)


def _facts(workspace: Workspace) -> dict[str, Any]:
    """All that is believed since the evening's session, without how and when it came."""
    found = {}
    with workspace.warehouse.read() as connection:
        for table in metadata.sorted_tables:
            info = table_info(table)
            if info.layer != "core" or not info.versioned:
                continue
            columns = [c for c in table.columns if c.name not in HOW_IT_CAME]
            query = sa.select(*columns).where(table.c.known_to_at.is_(None))
            if info.date_column in ("session_date", "rate_date"):
                query = query.where(table.c[info.date_column] >= faults.DAY)
            rows = connection.execute(query).all()
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return found


@pytest.mark.parametrize(
    ("fault", "source"), CELLS if IS_SOAK else SAMPLE, ids=lambda value: str(value).replace(" ", "-")
)
def test_recovered_and_nothing_lost(
    upstream: Faulty, template: Workspace, wanted: Any, tmp_path: Path, fault: str, source: str,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    TABLE[fault, source] = "FAILED"
    ideal = wanted(source, EVENING)
    clock = Clock(EVENING)
    workspace = _at(template, upstream, tmp_path / "home", clock)
    is_file = source in FILES
    if fault in NETWORK or fault.endswith("body"):
        upstream.fault, upstream.source = fault, source
        faults.drop(workspace, source, fault)
        if fault == "connect":
            # Nobody listens there.
            _try(_with(workspace, upstream_base="http://127.0.0.1:9"), source)
        else:
            _try(_with(workspace, http_timeout_seconds=0.3) if fault == "timeout" else workspace, source)
        if fault in NETWORK and is_file:
            assert _facts(workspace) == ideal
        else:
            _is_told(workspace, source, fault)
        upstream.fault = ""
        faults.drop(workspace, source)
    elif fault == "disk full":
        faults.drop(workspace, source)
        error = faults.with_full_disk(workspace, upstream, source)
        assert "space" in error or "full" in error or "too large" in error or "disk" in error, error
    elif fault == "database gone":
        faults.drop(workspace, source)
        with faults.locked(workspace):
            assert "another writer of" in _try(_with(workspace), source)
        _on_a_stopped_server(workspace, upstream, source, ideal, request, tmp_path)
    elif fault == "kill -9":
        faults.drop(workspace, source)
        faults.killed(workspace, upstream, source, faults.WHERE[COLUMNS.index(source) % len(faults.WHERE)])
    elif fault == "clock jump":
        for days in (-2, 10, 400):
            clock.now = EVENING + dt.timedelta(days=days)
            _try(workspace, source)
        faults.drop(workspace, source)

    for name, clock.now in (("again", EVENING + dt.timedelta(hours=1)), ("last", EVENING + dt.timedelta(hours=12))):
        upstream.clock.now = clock.now
        faults.only(workspace, source, name)
    assert _facts(workspace) == ideal
    _is_whole(workspace, source)
    if fault == "clock jump" and source in SOURCES and source != RATINGS_SOURCE:
        # What was given up for days that had not come is asked for when they come.
        clock.now = upstream.clock.now = NEXT_EVENING
        faults.only(workspace, source, "next")
        assert _facts(workspace) == wanted(source, NEXT_EVENING)
        _is_whole(workspace, source)
    if is_file and fault.endswith("body"):
        _reason_is_kept(workspace, source)
    TABLE[fault, source] = "unaffected" if fault in NETWORK and is_file else "ok"


def _with(workspace: Workspace, **changed: Any) -> Workspace:
    return dataclasses.replace(workspace, settings=workspace.settings.model_copy(update=changed))


def _try(workspace: Workspace, source: str) -> str:
    """One try under the fault; what it raises, if it does. Whatever that is, the next is not to suffer from it."""
    try:
        faults.only(workspace, source, "struck")
    except (RallyError, OSError, sa.exc.SQLAlchemyError) as error:
        return str(error)
    return ""


def _is_told(workspace: Workspace, source: str, fault: str) -> None:
    """What was wrong stands where people look, and becomes an alert."""
    told = current_problems(workspace, workspace.now())
    if source in FILES:
        (alert,) = told["rejected_file"]
        assert alert.key.startswith(f"{source}/")
        return
    market = SOURCES[source]
    (row,) = [row for row in rows_of(workspace, ops.ops_health) if (row["market"], row["source"]) == (market, source)]
    assert row["failing_since_at"] == EVENING, row
    assert row["failure_kind"] == {"429": "rate_limited"}.get(fault, row["failure_kind"])
    assert {"connect": "connection", "timeout": "0.3 s", "429": "429", "500": "500"}.get(fault, "") in row[
        "failure_message"
    ]
    assert [alert.key for alert in told["failing_source"]] == [f"{market} {source}"]


def _is_whole(workspace: Workspace, source: str) -> None:
    """Nothing is missing, doubled, half-written, set aside or in the wrong order, and nothing fails any more."""
    if source in SOURCES and source != RATINGS_SOURCE:
        assert [one for one in missing(workspace, SOURCES[source]) if one.source == source] == []
    assert [row["source"] for row in rows_of(workspace, ops.ops_health) if row["failing_since_at"]] == []
    assert rows_of(workspace, ops.ops_quarantine) == []
    assert rows_of(workspace, ops.ops_gap) == []
    assert list(workspace.archive.damages()) == []
    registered = {row["fetch_id"] for row in rows_of(workspace, raw.raw_fetch)}
    assert registered == {record.fetch_id for record in workspace.archive.records()}
    with workspace.warehouse.read() as connection:
        for table in metadata.sorted_tables:
            info = table_info(table)
            if not info.versioned:
                continue
            key = [table.c[name] for name in info.natural_key]
            doubled = sa.select(*key).where(table.c.known_to_at.is_(None)).group_by(*key).having(sa.func.count() > 1)
            assert connection.execute(doubled).all() == []
            backwards = sa.select(table).where(table.c.known_to_at <= table.c.known_from_at)
            assert connection.execute(backwards).all() == []
    assert list(faults.waiting_files(workspace)) == []


def _reason_is_kept(workspace: Workspace, source: str) -> None:
    refused = [row for row in rows_of(workspace, ops.ops_inbox_file) if row["outcome"] == "refused"]
    assert [bool(row["rule"] and row["message"]) for row in refused] == [True]
    (reason,) = (workspace.settings.inbox_dir / source / "rejected").glob("*/*.reason.txt")
    assert refused[0]["rule"] in reason.read_text()


def _on_a_stopped_server(
    workspace: Workspace, upstream: Faulty, source: str, ideal: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The same on PostgreSQL, whose server is really stopped between the archive and the load, and started again."""
    server: faults.Server = request.getfixturevalue("server")
    clock = Clock(EVENING)
    on_server = faults.open_at(upstream, tmp_path / "other", clock, warehouse_url=server.database())
    faults.drop(on_server, source)
    with pytest.MonkeyPatch.context() as patched:
        real: Callable[..., Any] = ingest.write_load

        def stop_first(*arguments: Any) -> Any:
            server.stop()
            return real(*arguments)

        patched.setattr(ingest, "write_load", stop_first)
        assert _try(on_server, source)
    # While it is away, a look says so.
    assert "cannot be" in _try(on_server, source) or "connection" in _try(on_server, source)
    server.start()
    clock.now = upstream.clock.now = EVENING + dt.timedelta(hours=1)
    faults.only(on_server, source, "again")
    assert _facts(on_server) == ideal
    _is_whole(on_server, source)
    on_server.warehouse.engine.dispose()
    upstream.clock.now = EVENING


@pytest.fixture(scope="module")
def server() -> Iterator[faults.Server]:
    with faults.own_server() as made:
        yield made


def test_all_sources_and_faults_are_in_it() -> None:
    fetched = {*PRICE_SOURCES, *(source for sources in MARKET_SOURCES.values() for source in sources), RATINGS_SOURCE}
    assert set(SOURCES) == fetched
    modules = {path.stem for path in (ROOT / "rally_pipeline" / "sources").glob("*.py")}
    helpers = {"__init__", "base", "delimited", "http", "registry", "stock_connect"}
    assert modules - helpers == fetched | {"price_files", "flow_files", "note_files"}
    assert {fault for fault, _ in SAMPLE} == set(FAULTS)
    assert {source for _, source in SAMPLE} == set(COLUMNS)


@pytest.mark.skipif(not IS_SOAK, reason="a whole run of the command; make soak has it")
def test_the_command_says_what_is_wrong_and_ends_with_1(tmp_path: Path) -> None:
    """Nobody answers: one line that names it, and the exit code of failed data."""
    home = tmp_path / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RALLY_", "DAGSTER_"))}
    environment = {
        **kept,
        "RALLY_HOME": str(home),
        "RALLY_PROFILE": "demo",
        "RALLY_UPSTREAM_BASE": "http://127.0.0.1:9",
        "RALLY_HTTP_ATTEMPTS": "1",
    }
    command = [sys.executable, "-m", "rally_pipeline.cli", "run", "--markets", "FX"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1, done.stderr
    assert "www.ecb.europa.eu" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
