"""Waiting for other processes: by name, with a word, and never for one that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rally_pipeline import locks
from rally_pipeline.errors import BusyError
from rally_pipeline.locks import FileLock, only_one, wait_for
from rally_pipeline_tests.workspaces import ROOT

_HOLD = "import sys, time; from pathlib import Path; from rally_pipeline.locks import FileLock\n"
_HOLD += "assert FileLock(Path(sys.argv[1])).acquire(0); print('held', flush=True); time.sleep(600)"


@pytest.fixture
def other(tmp_path: Path):
    """Another process that holds the lock, and the lock."""
    path = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", _HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process, path
    process.kill()
    process.communicate()


def test_a_lock_names_the_process_that_holds_it(other) -> None:
    process, path = other
    said: list[str] = []
    lock = FileLock(path)
    assert not lock.acquire(0)
    with (
        pytest.raises(BusyError, match=rf"the thing did not finish within 0\.1 s: .*PID {process.pid} on .*, since "),
        only_one(path, 0.1, what="the thing", tell=said.append),
    ):
        pass
    assert said == []  # not worth a word


def test_a_killed_process_holds_nothing(other) -> None:
    process, path = other
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    lock = FileLock(path)
    assert lock.acquire(0)
    assert f"PID {os.getpid()} on " in lock.holder()
    assert not FileLock(path).acquire(0)
    lock.release()
    assert FileLock(path).acquire(0)


def test_a_long_wait_says_for_whom_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "QUIET_SECONDS", 0.01)
    said: list[str] = []
    answers = iter([False, True])
    waited = wait_for(
        lambda seconds: next(answers), lambda: "somebody", what="the thing", timeout_seconds=5, tell=said.append
    )
    assert 0 <= waited < 5
    assert said[0] == "waiting for the thing: somebody; for at most 5 s"
    assert said[1].startswith("waited 0.")
    with pytest.raises(BusyError, match=r"somebody\. Fix: .*RALLY_LOCK_TIMEOUT_SECONDS"):
        wait_for(lambda _: False, lambda: "somebody", what="the thing", timeout_seconds=5, tell=said.append)


def test_what_a_file_says_that_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("{")
    assert FileLock(path).holder() == FileLock(tmp_path / "none").holder() == "a process that does not say who it is"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/opt/venv/bin/rally-pipeline", "import", "prices", "secret.csv"], "rally-pipeline import prices"),
        (["/src/rally_pipeline/cli.py", "run", "--from", "2024-01-01"], "rally-pipeline run"),
        (["/lib/dagster/__main__.py", "api", "execute_run", "{}"], "dagster api execute_run"),
        (["-c"], "c"),
        ([""], "python"),
    ],
)
def test_what_a_process_does_is_told_without_its_arguments(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    assert locks.command() == said
