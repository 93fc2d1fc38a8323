"""A real Dagster daemon looks for problems by itself and tells a mail server and a webhook on this machine."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline.alerts.evaluate import open_for_look
from rally_pipeline.orchestration.instance import dagster_home, ui_command
from rally_pipeline.schema import ops
from rally_pipeline.settings import load_settings
from rally_pipeline.workspace import open_workspace
from rally_pipeline_tests.sinks import mail_server, webhook

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_daemon_delivers_an_alert(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home")
    open_workspace(settings).warehouse.engine.dispose()
    failed = {
        **{"run_id": "1", "command": "ingest_hk 2025-02-14", "started_at": dt.datetime.now(dt.UTC)},
        **{"finished_at": dt.datetime.now(dt.UTC), "outcome": "failed", "message": "no answer", "code_version": "0"},
    }
    with open_for_look(settings) as workspace, workspace.warehouse.write() as connection:
        connection.execute(sa.insert(ops.ops_run).values(failed))
    with webhook() as hook, mail_server() as box:
        _, environment = ui_command(settings, 3999)
        environment |= {
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            "RALLY_ALERT_WEBHOOK_URL": f"http://127.0.0.1:{hook.port}/services/x9SECRETx9SECRET",
            "RALLY_ALERT_SMTP_URL": f"smtp://127.0.0.1:{box.port}",
            "RALLY_ALERT_EMAIL_TO": "desk@example.org",
        }
        workspace_file = dagster_home(settings) / "workspace.yaml"
        start = "from dagster._daemon.cli import main; main()"  # what the command dagster-daemon does
        command = [sys.executable, "-c", start, "run", "-w", str(workspace_file)]
        log = tmp_path / "daemon.log"
        with log.open("wb") as sink:
            daemon = subprocess.Popen(
                command, cwd=tmp_path, env=environment, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                until = time.monotonic() + 120
                while time.monotonic() < until and not (_told(hook.texts) and box.mails):
                    assert daemon.poll() is None, log.read_text()
                    time.sleep(0.3)
            finally:
                daemon.terminate()
                daemon.wait(timeout=60)
        assert _told(hook.texts), log.read_text()
        assert any("run ingest_hk 2025-02-14 failed" in mail["Subject"] for mail in box.mails)
        assert "x9SECRET" not in log.read_text()


def _told(texts: list[str]) -> bool:
    return any("PROBLEM: run ingest_hk 2025-02-14 failed" in text for text in texts)
