"""Alerts: what is found in a warehouse, and that it arrives at a mail server and a webhook, or fails nothing."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from rally_pipeline.alerts import evaluate as looking
from rally_pipeline.alerts.evaluate import evaluate_home, look_home, open_for_look
from rally_pipeline.cli import cli
from rally_pipeline.doctor import examine
from rally_pipeline.orchestration.alert_sensor import alert_sensors, lost_runs
from rally_pipeline.schema import core, mart_flows, mart_notes, metadata, ops, raw
from rally_pipeline.schema.ops_alerts import ops_alert, ops_alert_notice
from rally_pipeline.settings import load_settings
from rally_pipeline.workspace import open_workspace
from rally_pipeline_tests.sinks import certificate, mail_server, webhook

NOW = dt.datetime(2025, 2, 14, 19, 30, tzinfo=dt.UTC)  # Friday; New York is open
HOOK_SECRET = "B0SECRETB0/x9SECRETx9SECRET"
PASSWORD = "p%40ss%2Fw0rd-secret"
PASSWORD_MEANT = "p@ss/w0rd-secret"


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in list(os.environ):
        if name.startswith("RALLY_"):
            monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path):
    """Settings of a home with an empty warehouse."""
    settings = load_settings(home=tmp_path / "home")
    open_workspace(settings).warehouse.engine.dispose()
    return settings


@pytest.fixture
def _any_day(monkeypatch):
    """The calendars are never about to end: for tests under today's date."""
    monkeypatch.delitem(looking.look_for_all.__globals__["KINDS"], "calendar_horizon")


def write(settings, *rows):
    with open_for_look(settings) as workspace, workspace.warehouse.write() as connection:
        for table, values in rows:
            connection.execute(sa.insert(table).values(values))


def a_run(run_id, command, started, outcome, message=""):
    return ops.ops_run, {
        "run_id": run_id,
        "command": command,
        "started_at": started,
        "finished_at": None if outcome == "running" else started + dt.timedelta(minutes=5),
        "outcome": outcome,
        "message": message,
        "code_version": "0",
    }


def a_fetch(number, source, subject, at, outcome, rule="", run_id="r"):
    """A fetch and what became of it."""
    identity = f"{number:064x}"
    fetch = {
        "fetch_id": identity,
        "payload_id": identity,
        "source": source,
        "parser": source,
        "dataset": "price",
        "subject": subject,
        "url": "https://example.invalid",
        "params": "{}",
        "start_date": None,
        "end_date": None,
        "status": 200,
        "media_type": "text/csv",
        "byte_count": 1,
        "fetched_at": at,
        "known_at": at,
        "run_id": run_id,
    }
    load = {
        "fetch_id": identity,
        "loaded_at": at,
        "outcome": outcome,
        "rule": rule,
        "message": "what was wrong" if rule else "",
        **dict.fromkeys(("rows_parsed", "rows_new", "rows_changed", "rows_same", "rows_set_aside"), 0),
    }
    return (raw.raw_fetch, fetch), (ops.ops_load, load)


def found(settings, now=NOW):
    return {(alert.kind, alert.key): alert for alert in look_home(settings, clock=lambda: now).problems}


# --- what is found


def test_nothing_is_wrong_with_a_new_warehouse(home) -> None:
    assert found(home) == {}


def test_without_a_warehouse_it_says_so(tmp_path) -> None:
    seen = evaluate_home(load_settings(home=tmp_path / "none"))
    assert "not made yet" in seen.note
    assert not (tmp_path / "none").exists()


def test_a_job_whose_last_run_failed(home) -> None:
    day = dt.timedelta(days=1)
    write(
        home,
        a_run("1", "ingest_hk 2025-02-11", NOW - 3 * day, "ok"),
        a_run("2", "ingest_hk 2025-02-12", NOW - 2 * day, "failed", "no answer"),
        a_run("3", "ingest_hk 2025-02-13", NOW - day, "failed", "no answer"),
        a_run("4", "ingest_hk 2025-02-14", NOW, "running"),
        a_run("5", "ingest_de 2025-02-12", NOW - 2 * day, "failed"),
        a_run("6", "ingest_de 2025-02-13", NOW - day, "ok"),
    )
    seen = found(home)
    assert list(seen) == [("failed_run", "ingest_hk")]
    alert = seen["failed_run", "ingest_hk"]
    assert alert.since == NOW - 2 * day
    assert "2 runs of ingest_hk in a row" in alert.text


def test_a_run_that_nobody_answered_is_told_as_the_source_that_fails(home) -> None:
    """And only then: what failed otherwise, or got something, is a failed run all the same."""
    hour = dt.timedelta(hours=1)
    failing = {
        **{"market": "HK", "source": "yahoo", "last_success_at": NOW - 9 * hour, "failing_since_at": NOW - 3 * hour},
        **{"last_failure_at": NOW - hour, "failure_kind": "retryable", "failure_message": "no answer"},
        **{"failed_run_id": "2", "missing_sessions": 1, "oldest_missing_date": None, "checked_at": NOW},
    }
    write(
        home,
        (ops.ops_health, failing),
        a_run("1", "ingest_hk 2025-02-14", NOW - 3 * hour, "failed", "no answer"),
        a_run("2", "ingest_hk 2025-02-14", NOW - hour, "failed", "no answer"),
        a_run("3", "ingest_de 2025-02-14", NOW - hour, "failed", "no answer"),
    )
    assert set(found(home)) == {("failing_source", "HK yahoo"), ("failed_run", "ingest_de")}
    write(home, *a_fetch(1, "hang_seng", "^HSI", NOW - hour, "loaded", run_id="2"))
    assert ("failed_run", "ingest_hk") in found(home)


def test_a_failed_check_stands_until_something_newer_passed(home) -> None:
    hour = dt.timedelta(hours=1)
    result = {
        "fetch_id": f"{3:064x}",
        "table_name": "core_price_daily",
        "rule": "level_jump",
        "run_id": "r",
        "severity": "error",
        "is_success": False,
        "observed_value": "{}",
        "row_count": 1,
        "unexpected_count": 1,
        "examples": "[]",
        "checked_at": NOW - hour,
    }
    write(
        home,
        *a_fetch(1, "yahoo", "^HSI", NOW - 3 * hour, "refused", "ticker_matches"),
        *a_fetch(2, "yahoo", "^GDAXI", NOW - 3 * hour, "refused", "ticker_matches"),
        *a_fetch(3, "yahoo", "^GSPC", NOW - hour, "loaded"),
        (ops.ops_quality_result, result),
        *a_fetch(4, "hkex", "southbound", NOW - hour, "refused", "not_empty"),  # it has nothing: no fault
        *a_fetch(5, "yahoo", "0700.HK", NOW - hour, "refused", "columns", run_id=None),  # a person who saw it
    )
    assert set(found(home)) == {
        ("failed_check", "yahoo price ticker_matches"),
        ("failed_check", "yahoo price level_jump"),
    }
    assert "^GDAXI, ^HSI" in found(home)["failed_check", "yahoo price ticker_matches"].title
    write(
        home,
        *a_fetch(6, "yahoo", "^HSI", NOW, "loaded"),
        *a_fetch(7, "yahoo", "^GSPC", NOW, "loaded"),
    )
    assert found(home)["failed_check", "yahoo price ticker_matches"].title.endswith(": ^GDAXI")
    assert ("failed_check", "yahoo price level_jump") not in found(home)


def _price(symbol, day, close=1.0):
    row = {c.name: None for c in core.core_price_resolved_daily.columns}
    known = {"known_from_at": NOW, "known_to_at": None, "payload_id": "0" * 64, "locator": ""}
    own = {"symbol": symbol, "session_date": day, "source": "yahoo", "close": close, "source_count": 1}
    for name in row:
        row[name] = {**known, **own}.get(name)
    row["is_flat_bar"] = False
    row |= {n: "" for n, c in core.core_price_resolved_daily.columns.items() if not c.nullable and row[n] is None}
    return core.core_price_resolved_daily, row


def test_a_session_without_figures_is_missing_some_hours_after_its_close(home) -> None:
    days = [dt.date(2025, 2, day) for day in (10, 11, 12)]
    write(home, *(_price(symbol, day) for symbol in ("^HSI", "0700.HK") for day in days))
    write(home, _price("^HSI", dt.date(2025, 2, 13)), _price("^GDAXI", dt.date(2025, 2, 12)))
    seen = found(home)
    assert {key for kind, key in seen if kind == "missing_session"} == {"HK 2025-02-13", "DE 2025-02-13"}
    assert "0700.HK" in seen["missing_session", "HK 2025-02-13"].title
    assert "all figures" in seen["missing_session", "DE 2025-02-13"].title
    # That of the 14th has closed eleven and a half hours ago in Hong Kong, three in Frankfurt.
    later = found(home, NOW + dt.timedelta(hours=12))
    assert ("missing_session", "HK 2025-02-14") in later
    assert ("missing_session", "DE 2025-02-14") in later


def test_a_missing_session_is_not_forgotten_when_ten_more_have_passed(home) -> None:
    days = [dt.date(2025, 1, 2) + dt.timedelta(days=n) for n in range(60)]
    gap = dt.date(2025, 1, 15)
    write(home, *(_price("^HSI", day) for day in days if day != gap))
    evaluate_home(home, clock=lambda: dt.datetime(2025, 1, 16, 20, tzinfo=dt.UTC))
    assert ("missing_session", "HK 2025-01-15") in found(home, dt.datetime(2025, 2, 27, tzinfo=dt.UTC))
    write(home, _price("^HSI", gap))
    assert found(home, dt.datetime(2025, 2, 27, tzinfo=dt.UTC)) == {}


def test_calendar_horizon_quarantine_and_waiting_tables(home) -> None:
    with open_for_look(home) as workspace:
        ends = workspace.calendars.horizon("CN")
    rows = [
        {
            **{"fetch_id": f"{n:064x}", "table_name": "core_price_daily", "row_key": f"k{n}", "rule": "level_jump"},
            **{"row_json": "{}", "payload_id": "0" * 64, "locator": "", "first_seen_at": NOW},
        }
        for n in range(12)
    ]
    same = {name: rows[0][name] for name in ("fetch_id", "table_name", "row_key", "rule")}
    action = {**same, "action_id": "0" * 64, "action": "discard", "reason": "x", "acted_by": "x", "acted_at": NOW}
    write(
        home,
        *((ops.ops_quarantine, row) for row in rows),
        (ops.ops_quarantine_action, {**action, "outcome": ""}),
        a_run("1", "marts", NOW - dt.timedelta(hours=3), "ok"),
        (ops.ops_stale, {"table_name": "mart_leaderboard_daily", "subject": "^HSI", "from_date": dt.date(2025, 2, 1)}),
    )
    low = home.model_copy(update={"alert_quarantine_rows": 10})
    seen = found(low)
    assert seen["quarantine", "core_price_daily"].title.startswith("11 rows")
    assert found(home.model_copy(update={"alert_quarantine_rows": 11})).keys() == {("stale_mart", "not computed")}
    before = dt.datetime.combine(ends, dt.time(12), dt.UTC) - dt.timedelta(days=30)
    assert found(home, before)["calendar_horizon", "CN"].severity == "warn"
    assert found(home, before + dt.timedelta(days=31))["calendar_horizon", "CN"].severity == "error"


def test_a_mart_that_is_sessions_behind(home) -> None:
    table = mart_flows.mart_southbound_daily
    row = {c.name: (1.0 if not c.nullable else None) for c in table.columns}
    row |= {"channel": "total", "session_date": dt.date(2025, 2, 7)}
    write(home, (table, row))
    assert found(home, dt.datetime(2025, 2, 12, 12, tzinfo=dt.UTC)) == {}  # the 10th and 11th
    seen = found(home, dt.datetime(2025, 2, 13, 12, tzinfo=dt.UTC))
    assert seen["stale_mart", "mart_southbound_daily SOUTHBOUND"].title.endswith(
        "3 sessions of SOUTHBOUND behind: it ends 2025-02-07"
    )


def test_breaks_between_sources_of_the_last_days(home) -> None:
    table = mart_flows.ops_reconciliation
    break_ = {
        **{"subject": "southbound", "channel": "total", "measure": "net_buy", "source": "eastmoney_flow"},
        **{"against_source": "hkex", "value_hkd_mn": 100.0, "against_hkd_mn": 10.0, "difference_hkd_mn": 90.0},
        **{"difference_pct": 900.0, "is_break": True, "suspected_cause": "unit_tenfold"},
    }
    write(
        home,
        *(
            (table, {**break_, "period_start": day, "period_end": day, "is_break": day.day != 12})
            for day in (dt.date(2025, 1, 6), dt.date(2025, 2, 11), dt.date(2025, 2, 12), dt.date(2025, 2, 13))
        ),
    )
    (alert,) = found(home).values()
    assert alert.kind == "reconciliation"
    assert "unit_tenfold" in alert.title
    assert "2025-02-11, 2025-02-13" in alert.text


def test_a_rejected_file_stands_until_it_is_gone_or_loaded(home) -> None:
    name = "<!channel> & \u202enote.txt"
    base = {"inbox": "notes", "rule": "readable", "message": "cannot be read", "byte_count": 1, "fetch_id": None}
    moved = f"rejected/2025-02-14/{name}"
    write(
        home,
        (ops.ops_inbox_file, {**base, "file_name": name, "handled_at": NOW, "outcome": "refused", "moved_to": moved}),
    )
    assert found(home) == {}
    path = home.inbox_dir / "notes" / moved
    path.parent.mkdir(parents=True)
    path.write_text("x")
    (alert,) = found(home).values()
    assert alert.kind == "rejected_file"
    loaded = {
        **base,
        "file_name": name,
        "handled_at": NOW + dt.timedelta(hours=1),
        "outcome": "loaded",
        "moved_to": "x",
    }
    write(home, (ops.ops_inbox_file, loaded))
    assert found(home) == {}


def test_contradicted_claims_only_if_asked_for(home) -> None:
    table = mart_notes.mart_claim_audit
    row = {}
    for column in table.columns:
        if not column.nullable:
            kind = column.type.python_type if not isinstance(column.type, sa.types.TypeDecorator) else dt.datetime
            row[column.name] = {int: 1, bool: True, dt.datetime: NOW, dt.date: NOW.date()}.get(kind, "")
    row |= {"verdict": "contradicted", "quote": "up 90 %", "explanation": "it was 9 %", "note_id": "a" * 64}
    write(home, (table, row))
    assert found(home) == {}
    (alert,) = found(home.model_copy(update={"alert_audits": True})).values()
    assert "up 90 %: it was 9 %" in alert.text


def test_a_kind_that_cannot_be_looked_for_is_a_problem_and_recovers_nothing(home, monkeypatch) -> None:
    write(home, a_run("1", "ingest_hk", NOW, "failed"))
    evaluate_home(home, clock=lambda: NOW)

    def broken(look):
        raise ValueError("out of order")

    monkeypatch.setitem(looking.look_for_all.__globals__["KINDS"], "failed_run", broken)
    seen = evaluate_home(home, clock=lambda: NOW + dt.timedelta(minutes=3))
    assert [(alert.kind, alert.key) for alert in seen.problems] == [("blind_spot", "failed_run")]
    assert (seen.new, seen.recovered) == (1, 0)


# --- that it arrives


@pytest.fixture
def sinks(tmp_path, monkeypatch):
    trusted, server_side = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with webhook() as hook, mail_server(server_side, ("bot", PASSWORD_MEANT)) as box:
        yield hook, box


def told_to(home, hook, box, **more):
    """The settings, from the environment as they are in life."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RALLY_ALERT_WEBHOOK_URL", f"http://127.0.0.1:{hook.port}/services/{HOOK_SECRET}")
        patch.setenv("RALLY_ALERT_SMTP_URL", f"smtp://bot:{PASSWORD}@localhost:{box.port}")
        patch.setenv("RALLY_ALERT_EMAIL_TO", "desk@example.org, night@example.org")
        patch.setenv("RALLY_ALERT_EMAIL_FROM", "bot@example.org")
        return load_settings(home=home.home, alert_timeout_seconds=3.0, **more)


def lines(settings):
    return [json.loads(line) for path in sorted(settings.alerts_dir.glob("*.jsonl")) for line in path.open()]


def test_problem_and_recovery_arrive_once_everywhere(home, sinks) -> None:
    hook, box = sinks
    settings = told_to(home, hook, box, alert_ui_url="http://127.0.0.1:3000")
    write(home, a_run("1", "ingest_hk 2025-02-14", NOW, "failed", "<!channel> & no answer"))
    for minute in range(3):
        seen = evaluate_home(settings, clock=lambda m=minute: NOW + dt.timedelta(minutes=m))
        assert seen.failures == {}
    write(home, a_run("2", "ingest_hk 2025-02-14", NOW + dt.timedelta(minutes=9), "ok"))
    evaluate_home(settings, clock=lambda: NOW + dt.timedelta(minutes=12))
    stages = [one["stage"] for one in lines(settings)]
    assert stages == ["heartbeat", "problem", "recovered"]
    heads = ["ALIVE", "PROBLEM", "RECOVERED"]
    assert [text.partition("*")[2].partition(":")[0] for text in hook.texts] == heads
    assert "&lt;!channel&gt; &amp; no answer" in hook.texts[1]
    assert "http://127.0.0.1:3000/runs/1" in hook.texts[1]
    assert hook.paths == [f"/services/{HOOK_SECRET}"] * 3
    assert [mail["Subject"].removeprefix("[rally-pipeline] ").partition(":")[0] for mail in box.mails] == heads
    assert box.logins == [("bot", PASSWORD_MEANT, True)] * 3  # over TLS
    assert box.recipients[0] == ["TO:<desk@example.org>", "TO:<night@example.org>"]
    assert box.mails[2]["In-Reply-To"] == box.mails[1]["Message-ID"]
    assert "a later run of the job ended well" in box.mails[2].get_content()
    with open_for_look(settings) as workspace, workspace.warehouse.read() as connection:
        (row,) = connection.execute(sa.select(ops_alert)).mappings().all()
    assert (row["sent_at"], row["recovered_at"]) == (NOW, NOW + dt.timedelta(minutes=12))


@pytest.mark.parametrize(
    ("hook_mode", "box_mode"),
    [("hang", "hang"), ("drip", "drip"), ("refuse", "greylist"), ("redirect", "quit"), ("ok", "hang")],
)
def test_a_target_that_fails_is_bounded_fails_nothing_and_gets_it_later(home, sinks, hook_mode, box_mode) -> None:
    hook, box = sinks
    settings = told_to(home, hook, box).model_copy(update={"alert_timeout_seconds": 1.0})
    hook.mode, box.mode = hook_mode, box_mode
    write(home, a_run("1", "ingest_hk", NOW, "failed"))
    began = time.monotonic()
    seen = evaluate_home(settings, clock=lambda: NOW, heartbeat=False)
    assert time.monotonic() - began < 3.5
    assert seen.delivered["log"] == 1
    assert set(seen.failures) == {"smtp"} | ({"webhook"} if hook_mode != "ok" else set())
    hook.mode = box.mode = "ok"
    again = evaluate_home(settings, clock=lambda: NOW + dt.timedelta(minutes=3), heartbeat=False)
    assert again.failures == {}
    assert len(box.mails) == len(hook.posted) == len(lines(settings)) == 1
    assert no_secret(seen.summary())


def test_nobody_at_home_is_bounded_too(home) -> None:
    class Closed:
        port = 9

    settings = told_to(home, Closed, Closed)
    began = time.monotonic()
    seen = evaluate_home(settings, clock=lambda: NOW, heartbeat=True)
    assert time.monotonic() - began < 4
    assert set(seen.failures) == {"webhook", "smtp"}
    assert no_secret(repr(seen))


def test_a_password_is_never_sent_in_clear(home, tmp_path) -> None:
    with webhook() as hook, mail_server(None, ("bot", PASSWORD_MEANT)) as box:
        seen = evaluate_home(told_to(home, hook, box), clock=lambda: NOW, heartbeat=True)
        assert "not sent in clear" in seen.failures["smtp"]
        assert box.logins == []


def test_a_certificate_that_is_not_trusted_gets_no_password(home, tmp_path) -> None:
    _, server_side = certificate(tmp_path)
    with webhook() as hook, mail_server(server_side, ("bot", PASSWORD_MEANT)) as box:
        seen = evaluate_home(told_to(home, hook, box), clock=lambda: NOW, heartbeat=True)
        assert "CERTIFICATE_VERIFY_FAILED" in seen.failures["smtp"]
        assert box.logins == []


def no_secret(text: str) -> bool:
    secrets = (HOOK_SECRET, "x9SECRET", PASSWORD, PASSWORD_MEANT, "w0rd-secret")
    return not any(secret in text for secret in secrets)


def test_secrets_are_in_no_output_file_or_table(home, sinks, monkeypatch) -> None:
    """A rude webhook and mail server repeat the secrets; nothing that is kept or shown has them."""
    hook, box = sinks
    box.login = ("bot", "another")
    hook.mode = "refuse"
    for name, value in (
        ("HOME", str(home.home)),
        ("ALERT_WEBHOOK_URL", f"http://127.0.0.1:{hook.port}/services/{HOOK_SECRET}"),
        ("ALERT_SMTP_URL", f"smtp://bot:{PASSWORD}@localhost:{box.port}"),
        ("ALERT_EMAIL_TO", "desk@example.org"),
        ("UPSTREAM_BASE", "http://bot:w0rd-secret@127.0.0.1:9"),
    ):
        monkeypatch.setenv(f"RALLY_{name}", value)
    write(home, a_run("1", "ingest_hk", NOW, "failed", f"cannot reach http://bot:{PASSWORD}@h/{HOOK_SECRET}"))
    settings = load_settings()
    shown = [repr(settings), str(settings)]
    shown += [CliRunner().invoke(cli, arguments).output for arguments in (["alerts"], ["alerts", "--send", "--json"])]
    shown += [CliRunner().invoke(cli, ["alerts", "--heartbeat"]).output, CliRunner().invoke(cli, ["doctor"]).output]
    shown += [str(one) for one in examine(settings)]
    assert len(hook.paths) >= 2
    assert "does not take user and password (535)" in shown[4]
    with open_for_look(settings) as workspace, workspace.warehouse.read() as connection:
        kept = [
            str(connection.execute(sa.select(metadata.tables[table.name])).all())
            for table in (ops_alert, ops_alert_notice)
        ]
    for text in (*shown, *kept):
        assert no_secret(text), text
    assert all(no_secret(path.read_text()) for path in settings.alerts_dir.iterdir())


def test_doctor_says_when_the_last_heartbeat_was_delivered(home, sinks) -> None:
    hook, box = sinks
    settings = told_to(home, hook, box)
    said = {one.what: one for one in examine(settings)}
    assert "no heartbeat yet" in said["alerts to smtp"].value
    evaluate_home(settings, heartbeat=True)
    said = {one.what: one for one in examine(settings)}
    assert said["alerts to smtp"].state == "ok"
    assert "last heartbeat delivered" in said["alerts to webhook"].value
    evaluate_home(settings, clock=lambda: dt.datetime.now(dt.UTC) - dt.timedelta(days=3), heartbeat=True)
    assert {one.what: one for one in examine(settings)}["alerts to smtp"].state == "ok"


# --- when the warehouse is away, or busy


@pytest.mark.usefixtures("_any_day")
def test_a_warehouse_that_is_away_is_told_once_and_its_return(home, sinks) -> None:
    hook, box = sinks
    settings = told_to(home, hook, box)
    database = Path(str(home.resolved_warehouse_url).removeprefix("sqlite:///"))
    good = database.read_bytes()
    database.write_bytes(b"this is no database" * 1000)
    for _ in range(3):
        evaluate_home(settings, heartbeat=False)
    assert [text.partition("*")[2].partition("*")[0] for text in hook.texts] == [
        "PROBLEM: the warehouse cannot be reached"
    ]
    database.write_bytes(good)
    for _ in range(2):
        evaluate_home(settings, heartbeat=False)
    assert len(hook.texts) == len(box.mails) == 2
    assert "RECOVERED" in hook.texts[1]


def test_a_busy_warehouse_is_not_waited_for_long(home, monkeypatch) -> None:
    monkeypatch.setattr(looking, "_LOCK_SECONDS", 0.3)
    with open_for_look(home) as workspace, workspace.warehouse.write():
        began = time.monotonic()
        seen = evaluate_home(home)
        assert time.monotonic() - began < 3
    assert "another writer" in seen.note


def test_on_both_engines(warehouse_url, tmp_path) -> None:
    settings = load_settings(home=tmp_path / "home", warehouse_url=warehouse_url)
    open_workspace(settings).warehouse.engine.dispose()
    write(settings, a_run("1", "ingest_hk", NOW, "failed"), *a_fetch(1, "yahoo", "^HSI", NOW, "refused", "columns"))
    write(settings, *(_price("^HSI", dt.date(2025, 2, day)) for day in (10, 11, 12)))
    first = evaluate_home(settings, clock=lambda: NOW)
    assert {alert.kind for alert in first.problems} == {"failed_run", "failed_check", "missing_session"}
    assert first.new == 3
    write(settings, a_run("2", "ingest_hk", NOW + dt.timedelta(minutes=10), "ok"))
    second = evaluate_home(settings, clock=lambda: NOW + dt.timedelta(minutes=20))
    assert (second.new, second.recovered, second.delivered["log"]) == (0, 1, 1)


# --- in Dagster


@pytest.mark.usefixtures("_any_day")
def test_the_sensors_tell_and_ask_for_no_run(home) -> None:
    write(home, a_run("1", "ingest_hk", dt.datetime.now(dt.UTC), "failed"))
    every_minutes, _ = alert_sensors(home)
    with dg.instance_for_test() as instance:
        context = dg.build_sensor_context(instance=instance)
        reason = every_minutes(context)
    assert isinstance(reason, dg.SkipReason)
    assert "1 problems, 1 new" in reason.skip_message


@pytest.mark.usefixtures("_any_day")
def test_a_run_that_was_lost_is_known_to_dagster_only(home) -> None:
    @dg.op
    def fail() -> None:
        raise RuntimeError("no")

    @dg.job
    def lost() -> None:
        fail()

    with dg.instance_for_test() as instance:
        result = lost.execute_in_process(instance=instance, raise_on_error=False)
        _, on_failure = alert_sensors(home)
        context = dg.build_run_status_sensor_context(
            sensor_name="alerts_on_run_failure",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()
        reason = on_failure(context)
        assert "1 problems, 1 new" in reason.skip_message
        # Whoever does not see Dagster's runs does not say that it is over.
        assert evaluate_home(home).recovered == 0
        write(home, a_run(result.run_id, "lost", dt.datetime.now(dt.UTC), "failed"))
        seen = evaluate_home(home, others=lost_runs(instance, home))
        assert [alert.kind for alert in seen.problems] == ["failed_run"]
        assert seen.recovered == 1


@pytest.mark.usefixtures("_any_day")
def test_the_command_line_lists_and_exits_with_what_was_found(home) -> None:
    environment = {"RALLY_HOME": str(home.home)}
    assert CliRunner().invoke(cli, ["alerts"], env=environment).output == "nothing is wrong\n"
    write(home, a_run("1", "ingest_hk 2025-02-14", dt.datetime.now(dt.UTC), "failed", "no answer"))
    listed = CliRunner().invoke(cli, ["alerts"], env=environment)
    assert (listed.exit_code, listed.output.split()[:2]) == (1, ["error", "failed_run"])
    with open_for_look(home) as workspace, workspace.warehouse.read() as connection:
        assert connection.execute(sa.select(ops_alert)).first() is None  # only looked
    (row,) = json.loads(CliRunner().invoke(cli, ["alerts", "--json"], env=environment).stdout)
    assert row["kind"] == "failed_run"
    assert row["since"].endswith("Z")
