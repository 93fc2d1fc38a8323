"""Two processes load the same market at the same moment: nothing is lost, nothing is there twice.

Dagster's pools keep them apart; this is about the day when they do not (two instances on one warehouse, a slot that was
freed by hand). Belongs here: `market_run.load_market` against itself. Does not belong here: Dagster.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rally_pipeline import ingest
from rally_pipeline.comparison import compare
from rally_pipeline.fetches import count_pending
from rally_pipeline.rebuild import rebuild
from rally_pipeline.schema import core, ops
from rally_pipeline.settings import load_settings
from rally_pipeline_tests import small_world
from rally_pipeline_tests.workspaces import ROOT, environment, open_at, price_csv, price_payload, rows_of

pytestmark = pytest.mark.deep

_LOADER = """
import sys, time
from pathlib import Path
import datetime as dt
from rally_pipeline.market_run import load_market
from rally_pipeline.settings import load_settings
from rally_pipeline.workspace import open_workspace
import rally_pipeline.quality.gate, great_expectations

workspace, mine, go = open_workspace(load_settings()), Path(sys.argv[1]), Path(sys.argv[2])
mine.touch()
while not go.exists():
    time.sleep(0.001)
loaded = load_market(workspace, "HK", dt.date(2025, 2, 3), dt.date(2025, 2, 14), run_id=mine.name)
assert not loaded.is_replay, "the other one had loaded everything before this one looked"
assert not loaded.damaged
"""


def test_two_loads_at_once(warehouse_url: str, tmp_path: Path) -> None:
    workspace = open_at(tmp_path / "home", warehouse_url)
    for number in range(4):
        # Each says the last days otherwise than the one before; and there are rows that cannot be.
        for symbol in (small_world.INDEX, small_world.SHARE):
            bars = small_world._bars(workspace, symbol)
            said = [(day, o, h, low, c + number / 4, v) for day, o, h, low, c, v in bars[-6:]]
            payload = price_payload(
                price_csv([*bars[:-6], *said]),
                symbol,
                source="yahoo",
                known_at=small_world.KNOWN.replace(hour=12 + number),
            )
            ingest.keep(workspace, payload)
        wrong = [(small_world.LAST, 440, 441, 435, 442 + number, 10)]
        known = small_world.KNOWN.replace(hour=12 + number, minute=30)
        ingest.keep(workspace, price_payload(price_csv(wrong), small_world.SHARE, source="other", known_at=known))
    go = tmp_path / "go"
    marks = [tmp_path / "one", tmp_path / "two"]
    env = environment(workspace.settings.home, warehouse_url)
    loaders = [
        subprocess.Popen(
            [sys.executable, "-c", _LOADER, str(mark), str(go)], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        for mark in marks
    ]
    until = time.monotonic() + 180
    while not all(mark.exists() for mark in marks):
        assert all(loader.poll() is None for loader in loaders), [
            loader.stderr and loader.stderr.read() for loader in loaders
        ]
        assert time.monotonic() < until
        time.sleep(0.05)
    go.touch()
    said = [loader.communicate(timeout=180)[1] for loader in loaders]
    assert [loader.returncode for loader in loaders] == [0, 0], "\n".join(said)[-4000:]

    with workspace.warehouse.read() as connection:
        assert count_pending(connection) == 0
    loads = rows_of(workspace, ops.ops_load)
    assert len(loads) == len({row["fetch_id"] for row in loads}) == 12
    believed = rows_of(workspace, core.core_price_daily, core.core_price_daily.c.known_to_at.is_(None))
    keys = [(row["symbol"], row["session_date"], row["source"]) for row in believed]
    assert len(keys) == len(set(keys))
    assert rows_of(workspace, ops.ops_quarantine)
    # What one process makes of the same payloads.
    other = f"sqlite:///{tmp_path / 'one_process.sqlite'}"
    assert rebuild(load_settings(home=workspace.settings.home, warehouse_url=warehouse_url), other).ok
    found = {one.table: one for one in compare(warehouse_url, other)}
    facts = ("core_price_daily", "raw_fetch", "ops_quarantine", "ops_load")
    assert [found[name].to_json() for name in facts if not found[name].is_equal] == []
    workspace.warehouse.engine.dispose()
