"""A real Dagster daemon launches what a schedule asks for; the run fails, and a mail server and a webhook are told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from rally_pipeline.orchestration.instance import dagster_home, open_instance, ui_command
from rally_pipeline.settings import load_settings
from rally_pipeline.workspace import open_workspace
from rally_pipeline_tests.sinks import Hook, Mailbox, mail_server, webhook

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: The project's own definitions with one schedule more, made as the others are, that is due every minute.
_EVERY_MINUTE = """
import dagster as dg
from rally_pipeline.orchestration.jobs import RATINGS_JOB, build_definitions
from rally_pipeline.orchestration.schedules import home_look, job_schedule
from rally_pipeline.settings import load_settings

settings = load_settings()
often = job_schedule("every_minute", RATINGS_JOB, "* * * * *", "UTC", home_look(settings), "Due every minute.")
defs = dg.Definitions.merge(build_definitions(settings), dg.Definitions(schedules=[often]))
"""
_TITLE = "source yahoo_ratings fails for RATINGS"


def test_the_daemon_runs_a_schedule_and_delivers_the_alert_of_its_run(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home")
    open_workspace(settings).warehouse.engine.dispose()
    (tmp_path / "often.py").write_text(_EVERY_MINUTE)
    with webhook() as hook, mail_server() as box:
        _, environment = ui_command(settings, 3999)
        environment |= {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "RALLY_ALERT_WEBHOOK_URL": f"http://127.0.0.1:{hook.port}/services/x9SECRETx9SECRET",
            "RALLY_ALERT_SMTP_URL": f"smtp://127.0.0.1:{box.port}",
            "RALLY_ALERT_EMAIL_TO": "desk@example.org",
            "RALLY_ALERT_UI_URL": "http://dagster.example",
            # Nobody listens there: every request of the run fails, and none leaves this machine.
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
                while time.monotonic() < until and not (_posted(hook) and _mailed(box)):
                    assert daemon.poll() is None, log.read_text()
                    time.sleep(0.3)
            finally:
                daemon.terminate()
                daemon.wait(timeout=60)
        assert _posted(hook), log.read_text()[-4000:]
        assert _mailed(box), log.read_text()[-4000:]
        assert "x9SECRET" not in log.read_text()
        with open_instance(settings) as instance:
            runs = instance.get_runs(dg.RunsFilter(job_name="ratings", tags={"dagster/schedule_name": "every_minute"}))
        by_schedule = {f"http://dagster.example/runs/{run.run_id}" for run in runs}
        # What was told points to a run that the schedule asked for.
        assert any(link in _posted(hook)[0] for link in by_schedule)
        assert any(link in _mailed(box)[0].get_content() for link in by_schedule)
        assert len(_posted(hook)) == len(_mailed(box)) == 1


def _posted(hook: Hook) -> list[str]:
    return [text for text in hook.texts if f"PROBLEM: {_TITLE}" in text]


def _mailed(box: Mailbox) -> list:
    return [mail for mail in box.mails if f"PROBLEM: {_TITLE}" in mail["Subject"]]
