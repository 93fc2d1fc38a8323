"""Whole processes at once: runs of which one is killed while others wait, the same file twice, readers beside a run."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from rally_pipeline.comparison import compare
from rally_pipeline.rebuild import rebuild
from rally_pipeline.schema import core
from rally_pipeline.settings import Profile
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.bench.readers import measure
from rally_pipeline_tests.workspaces import ROOT, environment, open_at, price_csv, rows_of

pytestmark = pytest.mark.deep

#: A small part of a nightly run of the demo world, which needs no network.
RUN = ("run", "--from", "2025-02-13", "--to", "2025-02-14", "--markets", "DE")
PRICE = core.core_price_daily


def start(arguments: Sequence[object], env: Mapping[str, str]) -> subprocess.Popen[str]:
    """`rally-pipeline` in a process of its own, not waited for."""
    return program(["-m", "rally_pipeline.cli", *arguments], env)


def program(arguments: Sequence[object], env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Python in a process of its own, not waited for."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env=dict(env),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes: subprocess.Popen[str]) -> list[tuple[str, str]]:
    """What they wrote to standard output and error; none of them failed."""
    said = [process.communicate(timeout=400) for process in processes]
    for process, (out, err) in zip(processes, said, strict=True):
        assert process.returncode == 0, f"{out}\n{err}"
        assert "Traceback" not in err
    return said


def assert_as_if_by_one(workspace: Workspace, tmp_path: Path) -> None:
    """A warehouse that one process builds from the archive is the same, and nothing is believed twice or is behind."""
    again = f"sqlite:///{tmp_path / 'again.sqlite'}"
    assert rebuild(workspace.settings, again).ok
    different = [table for table in compare(workspace.settings.resolved_warehouse_url, again) if not table.is_equal]
    assert different == []
    believed = rows_of(workspace, PRICE, PRICE.c.known_to_at.is_(None))
    keys = [(row["symbol"], row["session_date"], row["source"]) for row in believed]
    assert len(keys) == len(set(keys)) > 0
    assert rows_of(workspace, "ops_stale") == []


#: A run that stops while it loads, holding its place in the pool.
_VICTIM = """
import sys, time
from pathlib import Path
import rally_pipeline.market_run as module
def block(*_arguments, **_more):
    Path(sys.argv[1]).touch()
    time.sleep(600)
module.load = block
from rally_pipeline.cli import main
main(sys.argv[2:])
"""


def test_runs_at_once_leave_what_one_would(tmp_path: Path) -> None:
    """Two wait for a third and say so; it is killed in the middle, they take turns, and both end well."""
    home, marker = tmp_path / "home", tmp_path / "blocked"
    env = environment(home, RALLY_PROFILE="demo")
    workspace = open_at(home, profile=Profile.DEMO)
    processes = [victim := program(["-c", _VICTIM, marker, *RUN], env)]
    try:
        deadline = time.monotonic() + 180
        while not marker.exists():
            assert victim.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        processes += [start(RUN, env), start(RUN, env)]
        for process in processes[1:]:
            assert process.stderr is not None
            line = next(line for line in process.stderr if "waiting for" in line)
            assert re.search(rf"another run of .*, PID {victim.pid} on .*, since ", line)
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        said = finish(*processes[1:])
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    assert all(re.search(r" s, ok$", out, re.MULTILINE) for out, _ in said), said
    assert_as_if_by_one(workspace, tmp_path)
    # Files of an upstream may hold a whole month.
    assert {row["session_date"].isoformat() for row in rows_of(workspace, PRICE)} >= {"2025-02-13", "2025-02-14"}
    workspace.warehouse.engine.dispose()


#: The steps of a run about a market, a file, and what follows, without Dagster and so without any order but the
#: warehouse's own.
_MARKET = """
import datetime as dt, sys
from pathlib import Path
from rally_pipeline.imports import import_files, price_payload
from rally_pipeline.market_run import fetch_market, load_market
from rally_pipeline.settings import load_settings
from rally_pipeline.workspace import open_workspace
workspace = open_workspace(load_settings())
span = (workspace, "DE", dt.date(2025, 2, 3), dt.date(2025, 2, 14))
assert not fetch_market(*span, run_id=sys.argv[1]).failures
load_market(*span, run_id=sys.argv[1])
def read(path, workspace):
    return price_payload(path, workspace, source="desk", symbol="0700.HK", price_basis=None)
report = import_files(workspace, [Path(sys.argv[2])], read, known_at=None, refresh_marts=True)
assert report.ok
print(report.files[0].outcome.merged)
"""


def test_two_processes_with_the_same_market_and_file_leave_what_one_would(tmp_path: Path, warehouse_url: str) -> None:
    """Both fetch, both load what both fetched, both compute; of the file, each row is there once."""
    home, file = tmp_path / "home", tmp_path / "0700.csv"
    env = environment(home, warehouse_url, RALLY_PROFILE="demo")
    workspace = open_at(home, warehouse_url, profile=Profile.DEMO)
    days = workspace.calendars.known_sessions("HK", dt.date(2024, 12, 2), dt.date(2025, 2, 14))
    file.write_bytes(price_csv([(day, 9, 13, 8, 10 + n / 100, 10 + n) for n, day in enumerate(days)]))
    said = finish(*(program(["-c", _MARKET, name, file], env) for name in ("one", "other")))
    counts = sorted(tuple(map(int, re.findall(r"(?:new|changed|same)=(\d+)", out)[-3:])) for out, _ in said)
    # Who archived first may load last: at the time of that delivery nothing was known, so to it all is new as well.
    assert counts in ([(0, 0, len(days)), (len(days), 0, 0)], [(len(days), 0, 0)] * 2)
    assert len(rows_of(workspace, PRICE, PRICE.c.source == "desk")) == len(days)
    assert rows_of(workspace, PRICE, PRICE.c.symbol == "^GDAXI") != []
    assert_as_if_by_one(workspace, tmp_path)
    workspace.warehouse.engine.dispose()


def test_readers_beside_a_run(tmp_path: Path, warehouse_url: str) -> None:
    """`make readers` in small: no error and no torn read. How fast they were says nothing here."""
    found = measure(warehouse_url, tmp_path / "home", readers=10, seconds=5, idle_seconds=1, pause=0.2, years=1)
    assert (found.errors, found.torn, found.writer_failures) == ({}, {}, [])
    assert found.nights >= 1
    assert set(found.by_kind) >= {"leaderboard", "scoreboard", "history", "group by", "one view", "open cursor"}
