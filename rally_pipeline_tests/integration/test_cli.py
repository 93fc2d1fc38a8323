"""The command line as a whole: help, doctor, settings that are wrong, and what it imports before it is needed."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa

from rally_pipeline import cli, doctor, fetches, ingest
from rally_pipeline.settings import Settings
from rally_pipeline_tests.workspaces import (
    ROOT,
    deliver,
    environment,
    json_of,
    open_at,
    price_csv,
    price_payload,
    run_cli,
    run_cli_here,
    settings_for,
    utc,
)


def _commands(group: click.Group = cli.cli, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in group.commands.items():
        found += _commands(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)]
    return found


@pytest.mark.parametrize("path", _commands(), ids=" ".join)
def test_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main([*path, "--help"])
    out = capsys.readouterr().out
    assert f"Usage: {' '.join(('rally-pipeline', *path))}" in out
    command: click.Command = cli.cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[0] in out
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["import", "prices", "--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\nfrom rally_pipeline.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split()) - {"LOADED"}
    heavy = {
        "pandas",
        "numpy",
        "sqlalchemy",
        "dagster",
        "yfinance",
        "pyarrow",
        "pydantic",
        "exchange_calendars",
        "alembic",
    }
    assert loaded & heavy == set()


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 2), (["nonsense"], 2), (["import"], 2), (["--version"], 0), (["import", "prices"], 2)]
)
def test_exit_codes_of_the_process(arguments: list[str], code: int, tmp_path: Path) -> None:
    done = run_cli(arguments, environment(tmp_path))
    assert done.returncode == code
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "command"),
    [
        ("RALLY_PROFILE", "prod", ["doctor"]),
        ("RALLY_WAREHOUSE_URL", "mysql://u:hunter2@h/d", ["as-of", "2025-01-01", "core_event"]),
        ("RALLY_WAREHOUSE_URL", "postgresql://u:hunter2@h:port/d", ["as-of", "2025-01-01", "core_event"]),
    ],
)
def test_wrong_settings_name_their_variable(tmp_path: Path, variable: str, value: str, command: list[str]) -> None:
    done = run_cli_here(command, environment(tmp_path, **{variable: value}))
    assert (done.returncode, done.stdout) == (2, "")
    assert variable in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert "hunter2" not in done.stderr


def test_a_warehouse_that_is_not_there(tmp_path: Path) -> None:
    """One line, exit 1 and no password, from a command and from doctor."""
    env = environment(tmp_path, "postgresql://u:hunter2@127.0.0.1:1/d?connect_timeout=2")
    for command in (["as-of", "2025-01-01", "core_event"], ["doctor"]):
        done = run_cli_here(command, env)
        assert done.returncode == 1
        assert "hunter2" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        line = next(text for text in (done.stdout + done.stderr).splitlines() if text.startswith(("error", "fail")))
        assert "127.0.0.1" in line
        assert "RALLY_WAREHOUSE_URL" in line


def test_another_writer(tmp_path: Path) -> None:
    """Waits as long as it was told to, then says so."""
    workspace = open_at(tmp_path)
    file = tmp_path / "a.csv"
    file.write_bytes(price_csv([("2024-03-08", 10)], "date,close"))
    with sqlite3.connect(tmp_path / "warehouse.sqlite", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        done = run_cli_here(
            ["import", "prices", file, "--symbol", "0700.HK"], environment(tmp_path, RALLY_LOCK_TIMEOUT_SECONDS="0.3")
        )
        assert done.returncode == 1
        assert "another writer" in done.stderr
        assert "Traceback" not in done.stderr
        # readers do not care
        with workspace.warehouse.read() as connection:
            assert fetches.count_pending(connection) == 0
    workspace.warehouse.engine.dispose()


# -- doctor ------------------------------------------------------------------------------------------------------------


def _found(settings: Settings) -> dict[str, doctor.Examined]:
    return {one.what: one for one in doctor.examine(settings)}


def test_doctor_on_a_machine_where_nothing_is(tmp_path: Path) -> None:
    home = tmp_path / "not" / "yet"
    done = run_cli_here(["doctor", "--json"], environment(home))
    rows = {row["what"]: row for row in json_of(done)}
    assert done.returncode == (1 if any(r["state"] == "fail" for r in rows.values()) else 0)
    assert rows["RALLY_HOME"]["value"] == str(home)
    assert "not made yet" in rows["warehouse"]["value"]
    assert not home.exists(), "looking changes nothing"
    assert {f"RALLY_{name.upper()}" for name in Settings.model_fields} - {"RALLY_WAREHOUSE_URL"} <= set(rows)
    assert {"rally-pipeline", "python", "dagster", "free disk", "catalog", "calendar HK", "calendar SOUTHBOUND"} <= set(
        rows
    )


def test_doctor_does_not_make_a_file_that_was_named(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "w.sqlite"
    assert "not made yet" in _found(settings_for(tmp_path, f"sqlite:///{file}"))["warehouse"].value
    assert not file.parent.exists()


def test_doctor_on_a_warehouse_with_work_to_do(tmp_path: Path, warehouse_url: str) -> None:
    workspace = open_at(tmp_path, warehouse_url)
    deliver(workspace, price_payload(price_csv([("2024-03-09", 10)], "date,close"), known_at=utc("2024-04-01")))
    deliver(workspace, price_payload(b"<html>", known_at=utc("2024-04-01")))
    ingest.keep(workspace, price_payload(price_csv([("2024-03-08", 10)], "date,close"), known_at=utc("2024-04-01")))
    found = _found(workspace.settings)
    assert (found["warehouse"].state, found["schema version"].state, found["profile"].value) == ("ok", "ok", "live")
    for what, number in (("payloads not loaded", 1), ("rows in quarantine", 1), ("payloads refused", 1)):
        assert found[what].value.startswith(f"{number}: ")
        assert found[what].state == "info"
    assert found["derived tables behind"].state == "info"
    done = run_cli_here(["doctor"], environment(tmp_path, warehouse_url))
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["state", "what", "value"]
    assert any(re.match(r"info +payloads refused +1: ", line) for line in lines)


def test_doctor_shows_no_password(tmp_path: Path, postgres_url: Any) -> None:
    url = sa.make_url(postgres_url()).set(password="hunter2")
    text = url.render_as_string(hide_password=False)
    env = environment(tmp_path, text, RALLY_UPSTREAM_BASE="https://user:hunter2@mirror.example/x")
    for arguments in (["doctor"], ["doctor", "--json"]):
        done = run_cli_here(arguments, env)
        assert "hunter2" not in done.stdout + done.stderr
        assert "mirror.example/x" in done.stdout
        assert "postgresql+psycopg://" in done.stdout
        assert "empty; the first run or import makes it" in done.stdout


@pytest.mark.parametrize(("days", "state"), [(-1, "fail"), (10, "warn"), (400, "ok")])
def test_doctor_looks_at_the_end_of_calendars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int, state: str
) -> None:
    from rally_pipeline.sessions import Calendars

    today = dt.datetime.now(dt.UTC).date()
    monkeypatch.setattr(Calendars, "horizon", lambda _self, _market: today + dt.timedelta(days=days))
    found = _found(settings_for(tmp_path))
    assert {found[f"calendar {market}"].state for market in ("HK", "CN", "SOUTHBOUND")} == {state}
    if state != "ok":
        assert "Fix: " in found["calendar HK"].value


def test_doctor_on_a_file_that_is_no_warehouse(tmp_path: Path) -> None:
    (tmp_path / "warehouse.sqlite").write_bytes(b"not a database, but long enough to be looked at " * 50)
    found = _found(settings_for(tmp_path))
    assert found["warehouse"].state == "fail"
    assert found["catalog"].state == "ok", "the rest is still looked at"


def test_doctor_on_a_catalog_with_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "instruments.yaml").write_text("instruments:\n  XYZ: {name: X}\n")
    done = run_cli_here(["doctor", "--json"], environment(tmp_path))
    assert done.returncode == 1
    failed = [row for row in json.loads(done.stdout) if row["state"] == "fail"]
    assert any("instruments.yaml" in row["value"] and "XYZ" in row["value"] for row in failed)


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    """`rally-pipeline … | head` ends without a complaint."""
    open_at(tmp_path).warehouse.engine.dispose()
    command = f"{sys.executable} -m rally_pipeline.cli as-of 2100-01-01 core_session --csv | head -n 2"
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command],
        env={**os.environ, **environment(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2
