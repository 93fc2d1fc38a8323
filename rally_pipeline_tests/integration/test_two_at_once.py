"""Whole processes at once: two runs, one that is killed while another waits, imports, readers beside a run."""

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

pytestmark = pytest.mark.slow

#: A small part of a nightly run of the demo world, which needs no network.
RUN = ("run", "--from", "2025-02-12", "--to", "2025-02-14", "--markets", "DE,FX")
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
    said = [process.communicate(timeout=300) for process in processes]
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


def test_two_runs_at_once_leave_what_one_would(tmp_path: Path) -> None:
    """Both end well, and one says that it waited. They take turns job by job, whatever the engine is."""
    home = tmp_path / "home"
    env = environment(home, RALLY_PROFILE="demo")
    workspace = open_at(home, profile=Profile.DEMO)
    said = finish(start(RUN, env), start(RUN, env))
    assert any(re.search(r"waiting for another run of .*, PID \d+ on ", err) for _, err in said), said
    assert all(re.search(r" s, ok$", out, re.MULTILINE) for out, _ in said), said
    assert_as_if_by_one(workspace, tmp_path)
    assert {row["outcome"] for row in rows_of(workspace, "ops_run")} == {"ok"}
    workspace.warehouse.engine.dispose()


#: The steps of a run about a market, and what follows, without Dagster and so without its pools.
_MARKET = """
import datetime as dt, sys
from rally_pipeline.market_run import fetch_market, load_market
from rally_pipeline.marts.refresh import refresh
from rally_pipeline.settings import load_settings
from rally_pipeline.workspace import open_workspace
workspace = open_workspace(load_settings())
for market in ("DE", "FX"):
    span = (workspace, market, dt.date(2025, 2, 3), dt.date(2025, 2, 14))
    assert not fetch_market(*span, run_id=sys.argv[1]).failures
    assert not load_market(*span, run_id=sys.argv[1]).still
with workspace.warehouse.write() as connection:
    refresh(connection)
"""


def test_two_processes_with_the_same_market_leave_what_one_would(tmp_path: Path, warehouse_url: str) -> None:
    """The warehouse itself keeps them apart: without pools, both fetch, both load what both fetched, both compute."""
    home = tmp_path / "home"
    env = environment(home, warehouse_url, RALLY_PROFILE="demo")
    workspace = open_at(home, warehouse_url, profile=Profile.DEMO)
    finish(*(program(["-c", _MARKET, name], env) for name in ("one", "other")))
    assert_as_if_by_one(workspace, tmp_path)
    workspace.warehouse.engine.dispose()


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


def test_a_run_goes_on_when_the_one_it_waits_for_is_killed(tmp_path: Path) -> None:
    home, marker = tmp_path / "home", tmp_path / "blocked"
    env = environment(home, RALLY_PROFILE="demo")
    victim = subprocess.Popen([sys.executable, "-c", _VICTIM, str(marker), *RUN], env=env, cwd=ROOT)
    waiting = None
    try:
        deadline = time.monotonic() + 120
        while not marker.exists():
            assert victim.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        waiting = start(RUN, env)
        assert waiting.stderr is not None
        first = next(line for line in waiting.stderr if "waiting for" in line)
        assert f"PID {victim.pid} on " in first
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        finish(waiting)
    finally:
        for process in (victim, waiting):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
    workspace = open_at(home)
    assert {row["session_date"].isoformat() for row in rows_of(workspace, PRICE)} == {
        "2025-02-12",
        "2025-02-13",
        "2025-02-14",
    }
    workspace.warehouse.engine.dispose()


def test_the_same_file_by_two_processes_and_another_during_a_run(tmp_path: Path, warehouse_url: str) -> None:
    home, file = tmp_path / "home", tmp_path / "0700.csv"
    env = environment(home, warehouse_url, RALLY_PROFILE="demo")
    workspace = open_at(home, warehouse_url, profile=Profile.DEMO)
    days = workspace.calendars.known_sessions("HK", dt.date(2024, 12, 2), dt.date(2025, 2, 14))
    file.write_bytes(price_csv([(day, 9, 13, 8, 10 + n / 100, 10 + n) for n, day in enumerate(days)]))
    arguments = ("import", "prices", file, "--symbol", "0700.HK", "--source", "desk")
    _, *imports = finish(start(RUN, env), start(arguments, env), start(arguments, env))
    counts = sorted(
        tuple(map(int, re.search(r": (\d+) new, (\d+) changed, (\d+) already known", out).groups()))  # type: ignore[union-attr]
        for out, _ in imports
    )
    assert counts == [(0, 0, len(days)), (len(days), 0, 0)]
    assert len(rows_of(workspace, PRICE, PRICE.c.source == "desk")) == len(days)
    assert rows_of(workspace, PRICE, PRICE.c.symbol == "^GDAXI") != []
    assert rows_of(workspace, "ops_stale") == []
    workspace.warehouse.engine.dispose()


def test_readers_beside_a_run(tmp_path: Path, warehouse_url: str) -> None:
    """`make readers` in small: no error and no torn read. How fast they were says nothing here."""
    found = measure(warehouse_url, tmp_path / "home", readers=10, seconds=5, idle_seconds=1, pause=0.2, years=1)
    assert (found.errors, found.torn, found.writer_failures) == ({}, {}, [])
    assert found.nights >= 1
    assert set(found.by_kind) >= {"leaderboard", "scoreboard", "history", "group by", "one view", "open cursor"}
