"""Every fault in front of every source: the next runs recover, and nothing is lost or doubled.

Each cell is one evening of one source: the fault strikes, the machine tries, the fault goes away, the machine tries
again as its schedules would. Then the facts are those of an evening without a fault. `make soak` has all cells; here it
is every fault, and every source, at least once.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline import archive, ingest
from rally_pipeline.catch_up import missing
from rally_pipeline.demo.prices import DemoWorld
from rally_pipeline.demo.server import DemoAnswer, html_error
from rally_pipeline.errors import RallyError
from rally_pipeline.fetches import register_archived
from rally_pipeline.market_run import fetch_market, load_market
from rally_pipeline.quality import suites
from rally_pipeline.sessions import Calendars
from rally_pipeline.warehouse.engine import WarehouseError
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.simulated import (
    _HOSTS,
    Clock,
    LivingUpstream,
    Script,
    at,
    believed,
    simulated_workspace,
    small_catalog,
)

DAY = dt.date(2025, 2, 14)
EVENING = at("2025-02-15 07:00")
ROOT = Path(__file__).parents[2]
#: Source → the market whose run asks it.
SOURCES = {
    **{"hang_seng": "HK", "yahoo": "HK", "eastmoney": "US", "ecb": "FX"},
    **{"hkex": "SOUTHBOUND", "sse": "SOUTHBOUND", "szse": "SOUTHBOUND", "eastmoney_flow": "SOUTHBOUND"},
}
FAULTS = (
    "connect",
    "timeout",
    "429",
    "500",
    "truncated body",
    "wrong body",
    "disk full",
    "database gone",
    "kill -9",
    "clock jump",
)
CELLS = list(itertools.product(FAULTS, SOURCES))
#: Every fault once, every source at least once.
SAMPLE = [(fault, source) for fault, source in zip(FAULTS, itertools.cycle(SOURCES), strict=False)]
TABLE: dict[tuple[str, str], str] = {}

_VICTIM = """
import os, signal, sys, datetime as dt
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from rally_pipeline import ingest
from rally_pipeline.quality import suites
from rally_pipeline_tests.integration.test_faults import EVENING, only
from rally_pipeline_tests.simulated import Clock, simulated_workspace, small_catalog
home, base, source = Path(sys.argv[2]), sys.argv[3], sys.argv[4]
suites.validate = lambda *_: {}
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
ingest.register = die  # the bytes are archived, and nobody knows of them yet
workspace = simulated_workspace(home, base, Clock(EVENING), small_catalog())
only(workspace, source, "killed")
"""


class Faulty(LivingUpstream):
    """Upstreams of which one may answer badly."""

    fault: str = ""
    source: str = ""

    def _dispatch(self, host: str, path: str, params: Any) -> DemoAnswer:
        answer = super()._dispatch(host, path, params)
        if _HOSTS.get(host) != self.source:
            return answer
        if self.fault in ("429", "500"):
            return html_error(int(self.fault), "No")
        if self.fault == "timeout":
            import time

            time.sleep(0.5)
        if self.fault == "truncated body":
            return dataclasses.replace(answer, body=answer.body[: len(answer.body) // 2])
        if self.fault == "wrong body":
            return dataclasses.replace(answer, body=b"<html>We will be right back</html>", media_type="text/html")
        return answer


def only(workspace: Workspace, source: str, run_id: str) -> None:
    """One try, as the job of the market does it for one source."""
    market = SOURCES[source]
    register_archived(workspace)
    fetched = fetch_market(workspace, market, DAY, DAY, ask="missing", sources=[source], run_id=run_id)
    if fetched.records or run_id == "last":
        load_market(workspace, market, DAY, DAY, run_id=run_id)


@pytest.fixture(scope="module")
def world() -> DemoWorld:
    catalog = small_catalog()
    return DemoWorld(catalog, Calendars.from_catalog(catalog, start=dt.date(2021, 1, 1)))


@pytest.fixture(scope="module")
def upstream(world: DemoWorld) -> Iterator[Faulty]:
    with pytest.MonkeyPatch.context() as patched, Faulty(world, Clock(EVENING), Script()) as faulty:
        if os.environ.get("RALLY_SOAK", "quick") == "quick":
            patched.setattr(suites, "validate", lambda *_: {})
        yield faulty
    rows = ["", f"{'':15}" + "".join(f"{source:>25}" for source in SOURCES)]
    for fault in FAULTS:
        rows.append(f"{fault:15}" + "".join(f"{TABLE.get((fault, source), '·'):>25}" for source in SOURCES))
    print("\n".join(rows))


@pytest.fixture(scope="module")
def wanted(upstream: Faulty, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """For each source the facts of an evening without a fault; made when first asked for."""
    found: dict[str, Any] = {}

    class ByNeed(dict[str, Any]):
        def __missing__(self, source: str) -> Any:
            upstream.fault = ""
            workspace = _open(upstream, tmp_path_factory.mktemp("wanted"), Clock(EVENING))
            only(workspace, source, "ideal")
            self[source] = _facts(workspace)
            assert any(self[source].values())
            return self[source]

    return ByNeed(found)


def _open(upstream: Faulty, home: Path, clock: Clock) -> Workspace:
    upstream.clock = clock
    return simulated_workspace(home, upstream.base_url, clock, small_catalog())


def _facts(workspace: Workspace) -> dict[str, Any]:
    return {name: rows for name, rows in believed(workspace, DAY, DAY).items() if name.startswith("core_")}


@pytest.mark.parametrize(
    ("fault", "source"),
    CELLS if os.environ.get("RALLY_SOAK") else SAMPLE,
    ids=lambda value: str(value).replace(" ", "-"),
)
def test_recovered_and_nothing_lost(
    upstream: Faulty,
    wanted: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    source: str,
) -> None:
    ideal = wanted[source]
    clock = Clock(EVENING)
    workspace = _open(upstream, tmp_path, clock)
    upstream.fault, upstream.source = fault, source
    _strike(workspace, upstream, clock, fault, source, monkeypatch)
    upstream.fault = ""
    upstream.clock = clock
    workspace = dataclasses.replace(workspace, clock=clock)
    # Two looks, as there are many in an evening and one in the morning after.
    for name, later in (("again", dt.timedelta(hours=1)), ("last", dt.timedelta(hours=12))):
        clock.now = max(clock.now, EVENING) + later
        only(workspace, source, name)
    TABLE[fault, source] = "recovered"
    assert _facts(workspace) == ideal
    assert [one for one in missing(workspace, SOURCES[source]) if one.source == source] == []
    TABLE[fault, source] = "recovered, nothing lost"


def _strike(
    workspace: Workspace, upstream: Faulty, clock: Clock, fault: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One try under the fault; whatever it raises, the next is not to suffer from it."""
    if fault == "kill -9":
        arguments = [sys.executable, "-c", _VICTIM, str(ROOT), str(workspace.settings.home), upstream.base_url, source]
        killed = subprocess.run(arguments, check=False, capture_output=True, text=True, cwd=ROOT)
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
        return
    with monkeypatch.context() as patched:
        if fault == "disk full":

            def full(*_: Any) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            patched.setattr(archive, "_write_once", full)
        elif fault == "database gone":
            patched.setattr(ingest, "write_load", _gone)
        elif fault == "clock jump":
            clock.now = EVENING - dt.timedelta(days=2)
        elif fault in ("connect", "timeout"):
            # Nobody listens there; or the answer takes longer than anybody waits.
            base = "http://127.0.0.1:9" if fault == "connect" else upstream.base_url
            changed = workspace.settings.model_copy(update={"upstream_base": base, "http_timeout_seconds": 0.2})
            workspace = dataclasses.replace(workspace, settings=changed)
        try:
            only(workspace, source, "struck")
        except (RallyError, OSError, sa.exc.SQLAlchemyError):
            assert fault in ("disk full", "database gone")


def _gone(*_: Any) -> None:
    raise WarehouseError("the database is gone")


def test_the_sample_has_every_fault_and_every_source() -> None:
    assert {fault for fault, _ in SAMPLE} == set(FAULTS)
    assert {source for _, source in SAMPLE} == set(SOURCES)
