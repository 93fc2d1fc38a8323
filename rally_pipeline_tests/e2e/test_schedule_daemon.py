"""A real Dagster daemon launches what a schedule and a sensor ask for, without anybody doing anything."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline.orchestration.instance import dagster_home, ui_command
from rally_pipeline.schema import core, mart, ops
from rally_pipeline.settings import load_settings
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline.workspace import open_workspace
from rally_pipeline_tests.workspaces import price_csv

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: The project's own definitions with one schedule more, made as the others are, that is due every minute.
_EVERY_MINUTE = """
import dagster as dg
from rally_pipeline.orchestration.jobs import HEALTH_JOB, build_definitions
from rally_pipeline.orchestration.schedules import home_look, job_schedule
from rally_pipeline.settings import load_settings

settings = load_settings()
often = job_schedule("every_minute", HEALTH_JOB, "* * * * *", "UTC", home_look(settings), "Due every minute.")
defs = dg.Definitions.merge(build_definitions(settings), dg.Definitions(schedules=[often]))
"""


@pytest.mark.daemon
def test_the_daemon_runs_what_is_due(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home")
    open_workspace(settings).warehouse.engine.dispose()
    (tmp_path / "often.py").write_text(textwrap.dedent(_EVERY_MINUTE))
    inbox = settings.inbox_dir / "prices"
    inbox.mkdir(parents=True)
    days = [dt.date(2024, 3, day) for day in (4, 5, 6, 7)]
    rows = [("0700.HK", day, 10, 11, 9, 10 + n / 10, 1000 + n) for n, day in enumerate(days)]
    (inbox / "tencent.csv").write_bytes(price_csv(rows, "symbol,date,open,high,low,close,volume"))
    _, environment = ui_command(settings, 3998)
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        # Nobody listens there: what the other schedules might ask for leaves this machine never.
        "RALLY_UPSTREAM_BASE": "http://127.0.0.1:9",
        "RALLY_HTTP_ATTEMPTS": "1",
    }
    workspace_file = dagster_home(settings) / "often.yaml"
    workspace_file.write_text(f"load_from:\n  - python_file: {tmp_path / 'often.py'}\n")
    start = "from dagster._daemon.cli import main; main()"  # what the command dagster-daemon does
    command = [sys.executable, "-c", start, "run", "-w", str(workspace_file)]
    log = tmp_path / "daemon.log"
    with log.open("wb") as sink:
        daemon = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            until = time.monotonic() + 300
            # The marts of a new warehouse are behind from the start: they may run before the file, and again after it.
            while time.monotonic() < until and not (
                {"files", "marts", "health"} <= _done(settings) and _settled(settings)
            ):
                assert daemon.poll() is None, log.read_text()
                time.sleep(0.5)
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)
    assert {"files", "marts", "health"} <= _done(settings), log.read_text()[-4000:]
    warehouse = open_warehouse(settings.resolved_warehouse_url)
    with warehouse.read() as connection:
        loaded = connection.scalars(sa.select(core.core_price_daily.c.session_date).order_by(sa.text("1"))).all()
        computed = connection.scalar(sa.select(sa.func.count()).select_from(mart.mart_price_extremes_daily))
        assert loaded == days
        assert computed == len(days)
        assert connection.scalar(sa.select(sa.func.count()).select_from(ops.ops_stale)) == 0
        assert connection.scalar(sa.select(sa.func.count()).select_from(ops.ops_health)) > 0
    warehouse.engine.dispose()
    assert list((inbox / "processed").glob("*/tencent.csv"))


def _settled(settings) -> bool:
    """Whether marts were computed from the file and nothing is behind."""
    warehouse = open_warehouse(settings.resolved_warehouse_url)
    with warehouse.read() as connection:
        computed = connection.scalar(sa.select(sa.func.count()).select_from(mart.mart_price_extremes_daily))
        behind = connection.scalar(sa.select(sa.func.count()).select_from(ops.ops_stale))
    warehouse.engine.dispose()
    return bool(computed) and not behind


def _done(settings) -> set[str]:
    """The jobs that have come to their end."""
    warehouse = open_warehouse(settings.resolved_warehouse_url)
    with warehouse.read() as connection:
        commands = connection.scalars(sa.select(ops.ops_run.c.command).where(ops.ops_run.c.outcome == "ok")).all()
    warehouse.engine.dispose()
    return {command.split()[0] for command in commands}
