"""What the gate does to a load, on both engines: what enters core, what is set aside, what is written about it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline import fetches, ingest
from rally_pipeline.load_log import standing_results
from rally_pipeline.quality import gate, suites
from rally_pipeline.quality.rules import rules_for
from rally_pipeline.schema import core, ops
from rally_pipeline.sources.base import Dataset, Severity
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import count, deliver, fx_payload, open_at, price_csv, price_payload, rows_of, utc

KNOWN = utc("2024-03-20T12:00")
WEEK = [f"2024-03-{day:02}" for day in (4, 5, 6, 7, 8)]
NEXT = [f"2024-03-{day:02}" for day in (11, 12, 13, 14, 15)]


@pytest.fixture
def workspace(tmp_path: Path, warehouse_url: str) -> Iterator[Workspace]:
    made = open_at(tmp_path / "home", warehouse_url)
    yield made
    made.warehouse.engine.dispose()


def bar(day: str, close: float, volume: int = 1000) -> tuple[object, ...]:
    return (day, close - 1, close + 2, close - 2, close, volume)


def week(days: list[str] = WEEK, first: float = 300) -> list[tuple[object, ...]]:
    return [bar(day, first + number, 1000 + number) for number, day in enumerate(days)]


def prices(rows: list[tuple[object, ...]], **options: Any) -> Any:
    return price_payload(price_csv(rows), known_at=options.pop("known_at", KNOWN), **options)


def closes(workspace: Workspace) -> dict[str, float]:
    table = core.core_price_daily
    return {str(r["session_date"]): r["close"] for r in rows_of(workspace, table, table.c.known_to_at.is_(None))}


def held(workspace: Workspace) -> list[tuple[str, str]]:
    return [(row["row_key"], row["rule"]) for row in rows_of(workspace, "ops_quarantine")]


def results(workspace: Workspace, **equal: Any) -> dict[str, dict[str, Any]]:
    table = ops.ops_quality_result
    where = [table.c[name] == value for name, value in equal.items()]
    return {row["rule"]: row for row in rows_of(workspace, table, *where)}


def test_every_expectation_is_kept_met_or_not(workspace: Workspace) -> None:
    outcome = deliver(workspace, prices(week()))
    kept = results(workspace)
    assert list(kept) == sorted(info.rule for info in rules_for(Dataset.PRICE))
    assert [result.rule for result in outcome.results] == [info.rule for info in rules_for(Dataset.PRICE)]
    assert all(row["is_success"] and row["row_count"] == 5 and row["unexpected_count"] == 0 for row in kept.values())
    assert {row["table_name"] for row in kept.values()} == {"core_price_daily"}
    assert {row["fetch_id"] for row in kept.values()} == {outcome.record.fetch_id}


def test_a_row_that_breaks_a_rule_is_set_aside_and_the_others_are_loaded(workspace: Workspace) -> None:
    rows = week()
    rows[2] = (WEEK[2], 289, 290, 288, 302, 1002)  # its high is below its close
    outcome = deliver(workspace, prices(rows))
    assert (outcome.merged.new, outcome.rows_set_aside) == (4, 1)
    assert outcome.set_aside == {("core_price_daily", f"0700.HK {WEEK[2]}"): frozenset({"high_is_highest"})}
    assert held(workspace) == [(f"0700.HK {WEEK[2]}", "high_is_highest")]
    (row,) = rows_of(workspace, "ops_quarantine")
    said = json.loads(row["row_json"])
    assert (said["close"], said["locator"], row["locator"], row["payload_id"]) == (
        302,
        row["locator"],
        row["locator"],
        outcome.record.payload_id,
    )
    broken = results(workspace, is_success=False)
    assert set(broken) == {"high_is_highest"}
    assert broken["high_is_highest"]["unexpected_count"] == 1
    (example,) = json.loads(broken["high_is_highest"]["examples"])
    assert (example["session_date"], example["high"], example["locator"]) == (WEEK[2], 290, row["locator"])


def test_an_error_refuses_the_payload_and_says_so(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from rally_pipeline.sources import price_files

    parse = price_files.parse

    def dollars(payload: Any, catalog: Any) -> Any:
        import dataclasses

        parsed = parse(payload, catalog)
        return dataclasses.replace(parsed, frame=parsed.frame.assign(currency="USD"))

    monkeypatch.setattr(price_files, "parse", dollars)
    outcome = deliver(workspace, prices(week()))
    assert (outcome.outcome, outcome.rule) == ("refused", "currency_matches")
    assert (count(workspace, "core_price_daily"), count(workspace, "ops_quarantine")) == (0, 0)
    (load,) = rows_of(workspace, "ops_load")
    assert (load["outcome"], load["rule"]) == ("refused", "currency_matches")
    assert set(results(workspace, is_success=False)) == {"currency_matches"}
    assert {r.rule for r in outcome.results if not r.is_success} == {"currency_matches"}


def test_a_warning_is_recorded_and_the_row_is_loaded(workspace: Workspace) -> None:
    rows = week()
    del rows[2]
    outcome = deliver(workspace, prices(rows))
    assert (outcome.merged.new, outcome.rows_set_aside, outcome.findings) == (4, 0, ())
    (broken,) = results(workspace, is_success=False).values()
    assert (broken["rule"], broken["severity"]) == ("expected_sessions_present", "warn")
    assert json.loads(broken["observed_value"])["missing"] == {"0700.HK": [WEEK[2]]}


@pytest.mark.parametrize(
    ("close", "rule"), [(30100.0, "hundredfold_error"), (3.02, "hundredfold_error"), (1300.0, "level_jump")]
)
def test_the_next_day_is_judged_by_what_is_known(workspace: Workspace, close: float, rule: str) -> None:
    deliver(workspace, prices(week()))
    deliver(workspace, prices([bar(NEXT[0], close)], known_at=KNOWN + dt.timedelta(hours=1)))
    assert held(workspace) == [(f"0700.HK {NEXT[0]}", rule)]
    assert NEXT[0] not in closes(workspace)
    later = deliver(workspace, prices([bar(NEXT[1], 306)], known_at=KNOWN + dt.timedelta(hours=2)))
    assert later.rows_set_aside == 0, "what was set aside is no measure for what follows"


def test_yesterdays_bar_under_a_new_date_is_set_aside(workspace: Workspace) -> None:
    deliver(workspace, prices(week()))
    again = (NEXT[0], *week()[-1][1:])
    deliver(workspace, prices([again], known_at=KNOWN + dt.timedelta(hours=1)))
    assert held(workspace) == [(f"0700.HK {NEXT[0]}", "stale_repeat")]


def test_a_close_far_from_another_source_is_a_warning(workspace: Workspace) -> None:
    deliver(workspace, prices(week()))
    rows = week()
    rows[3] = bar(WEEK[3], 320)
    outcome = deliver(workspace, prices(rows, source="paper", known_at=KNOWN + dt.timedelta(hours=1)))
    broken = results(workspace, is_success=False, fetch_id=outcome.record.fetch_id)
    assert set(broken) == {"far_from_other_sources"}
    assert outcome.merged.new == 5
    assert [row["session_date"] for row in json.loads(broken["far_from_other_sources"]["examples"])] == [WEEK[3]]


def test_the_dollar_is_held_against_its_peg(workspace: Workspace) -> None:
    body = b"Date,USD,HKD,JPY\n2024-03-08,1.0932,8.5525,160.8\n2024-03-07,1.0895,8.9000,161.2\n"
    outcome = deliver(workspace, fx_payload(body, known_at=KNOWN))
    broken = results(workspace, is_success=False)
    assert set(broken) == {"fx_peg_band"}
    assert outcome.merged.new == 6
    assert json.loads(broken["fx_peg_band"]["examples"])[0]["rate_date"] == "2024-03-07"


def test_a_released_row_is_loaded_and_stays(workspace: Workspace) -> None:
    deliver(workspace, prices(week()))
    jumped = deliver(workspace, prices([bar(NEXT[0], 1300)], known_at=KNOWN + dt.timedelta(hours=1)))
    key = f"0700.HK {NEXT[0]}"
    assert jumped.rows_set_aside == 1
    jumped_row = results(workspace, is_success=False, fetch_id=jumped.record.fetch_id)["level_jump"]
    released = ingest.load(workspace, jumped.record, released=frozenset({(key, "level_jump")}))
    assert (released.merged.new, released.rows_set_aside) == (1, 0)
    assert closes(workspace)[NEXT[0]] == 1300
    assert held(workspace) == [(key, "level_jump")], "quarantine is append-only"
    broken = results(workspace, is_success=False, fetch_id=jumped.record.fetch_id)
    assert json.loads(jumped_row["observed_value"]) == {"set_aside": [key]}
    assert json.loads(broken["level_jump"]["observed_value"]) == {}
    # a late delivery about the same day makes all later ones be read again: the released row is among them
    late = prices([bar(NEXT[0], 305)], known_at=KNOWN + dt.timedelta(minutes=30))
    deliver(workspace, late)
    assert closes(workspace)[NEXT[0]] == 1300


def test_released_under_one_rule_is_not_released_under_another(workspace: Workspace) -> None:
    rows = week()
    rows[2] = (WEEK[2], 289, 290, 288, -302, 1002)
    outcome = deliver(workspace, prices(rows))
    assert held(workspace) == [(f"0700.HK {WEEK[2]}", "price_positive")]
    again = ingest.load(workspace, outcome.record, released=frozenset({(f"0700.HK {WEEK[2]}", "price_positive")}))
    assert set(again.set_aside.values()) == {frozenset({"low_is_lowest"})}


def test_what_was_released_is_remembered(workspace: Workspace) -> None:
    deliver(workspace, prices(week()))
    jumped = deliver(workspace, prices([bar(NEXT[0], 1300)], known_at=KNOWN + dt.timedelta(hours=1)))
    with workspace.warehouse.write() as connection:
        connection.execute(
            sa.insert(ops.ops_quarantine_action).values(
                action_id="a" * 64,
                fetch_id=jumped.record.fetch_id,
                table_name="core_price_daily",
                row_key=f"0700.HK {NEXT[0]}",
                rule="level_jump",
                action="release",
                reason="a takeover",
                acted_by="someone",
                acted_at=KNOWN,
                outcome="loaded",
            )
        )
    assert ingest.load(workspace, jumped.record).rows_set_aside == 0


def test_loading_again_changes_nothing(workspace: Workspace) -> None:
    rows = week()
    rows[2] = (WEEK[2], 289, 290, 288, 302, 1002)
    outcome = deliver(workspace, prices(rows))
    tables = ("core_price_daily", "ops_quarantine", "ops_restatement")
    before = {name: rows_of(workspace, name) for name in tables}
    again = ingest.load(workspace, outcome.record)
    assert (again.merged.new, again.merged.changed, again.merged.same, again.rows_set_aside) == (0, 0, 4, 1)
    assert {name: rows_of(workspace, name) for name in tables} == before
    assert len(results(workspace)) == len(rules_for(Dataset.PRICE))


@pytest.mark.parametrize("step", ["write_quarantine", "write_load", "_merge"])
def test_a_crash_between_quarantine_and_load_loses_neither(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    rows = week()
    rows[2] = (WEEK[2], 289, 290, 288, 302, 1002)
    record = ingest.keep(workspace, prices(rows))
    real = getattr(ingest, step)

    def killed(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ingest, step, killed)
        with pytest.raises(KeyboardInterrupt):
            ingest.load(workspace, record)
    for name in ("core_price_daily", "ops_quarantine", "ops_load", "ops_quality_result"):
        assert count(workspace, name) == 0
    with workspace.warehouse.read() as connection:
        assert fetches.pending(connection, Dataset.PRICE) == [record]
    ingest.load(workspace, record)
    assert (count(workspace, "core_price_daily"), count(workspace, "ops_quarantine")) == (4, 1)


def test_a_fault_of_the_suite_stops_the_load(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    record = ingest.keep(workspace, prices(week()))

    def faulty(*_: Any) -> Any:
        raise suites.ExpectationFailedToRunError("no such column")

    monkeypatch.setattr(gate.suites, "validate", faulty)
    with pytest.raises(suites.ExpectationFailedToRunError):
        ingest.load(workspace, record)
    assert (count(workspace, "core_price_daily"), count(workspace, "ops_load")) == (0, 0)


def test_a_change_to_what_was_known_is_a_restatement(workspace: Workspace) -> None:
    first = deliver(workspace, prices(week()))
    rows = week()
    rows[1] = (*rows[1][:4], 301.02, 1001)  # by 7e-5: rounding
    rows[2] = (*rows[2][:4], 303.5, 1002)
    rows[3] = (*rows[3][:5], 1500)
    second = deliver(workspace, prices(rows, known_at=KNOWN + dt.timedelta(hours=1)))
    assert second.merged.changed == 3
    stated = rows_of(workspace, "ops_restatement")
    assert [(r["row_key"], r["column_name"], r["old_value"], r["new_value"]) for r in stated] == [
        (f"0700.HK {WEEK[2]}", "close", 302, 303.5),
        (f"0700.HK {WEEK[3]}", "volume_shares", 1003, 1500),
    ]
    assert stated[0]["change_pct"] == pytest.approx((303.5 / 302 - 1) * 100)
    assert (stated[0]["old_payload_id"], stated[0]["new_payload_id"]) == (
        first.record.payload_id,
        second.record.payload_id,
    )
    assert (stated[0]["market_date"], stated[0]["source"], stated[0]["known_at"]) == (
        dt.date(2024, 3, 6),
        "file",
        KNOWN + dt.timedelta(hours=1),
    )
    ingest.load(workspace, second.record)
    assert rows_of(workspace, "ops_restatement") == stated


def test_a_late_delivery_is_judged_and_does_not_undo_what_was_set_aside(workspace: Workspace) -> None:
    """Those that follow it are read again; what was set aside of them then stays out."""
    deliver(workspace, prices(week(), known_at=KNOWN))
    rows = [bar(WEEK[4], 304), bar(NEXT[0], 1300)]
    deliver(workspace, prices(rows, known_at=KNOWN + dt.timedelta(hours=2)))
    assert held(workspace) == [(f"0700.HK {NEXT[0]}", "level_jump")]
    late = [bar(WEEK[4], 304), bar(NEXT[0], 306)]
    deliver(workspace, prices(late, known_at=KNOWN + dt.timedelta(hours=1)))
    assert closes(workspace)[NEXT[0]] == 306


def test_severities_follow_from_the_rules(workspace: Workspace) -> None:
    deliver(workspace, prices(week()))
    severities = {info.rule: info.severity for info in rules_for(Dataset.PRICE)}
    assert {rule: Severity(row["severity"]) for rule, row in results(workspace).items()} == severities


def test_results_of_every_load_are_kept_and_the_last_ones_stand(workspace: Workspace) -> None:
    rows = [("2024-03-04", 300.0, 303.0, 297.0, 301.0, 1000), ("2024-03-05", 301.0, 304.0, 298.0, 302.0, 1000)]
    record = ingest.keep(workspace, price_payload(price_csv(rows), known_at=utc("2024-03-06T12:00")))
    first = ingest.load(workspace, record)
    second = ingest.load(workspace, record)
    assert first.results == second.results
    assert first.results
    kept = rows_of(workspace, "ops_quality_result")
    assert len(kept) == 2 * len(first.results)
    assert len({row["checked_at"] for row in kept}) == 2
    with workspace.warehouse.read() as connection:
        standing = connection.execute(sa.select(standing_results())).mappings().all()
    assert len(standing) == len(second.results)
    assert {row["checked_at"] for row in standing} == {max(row["checked_at"] for row in kept)}
