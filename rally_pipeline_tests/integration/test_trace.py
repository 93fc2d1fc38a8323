"""From a row to the bytes: what decided it is named, recomputes it, and its payloads are verified."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import re
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rally_pipeline.lineage.decisive import DECIDERS
from rally_pipeline.lineage.trace import Trace, TracedRow, trace, trace_json
from rally_pipeline.marts.refresh import DERIVED
from rally_pipeline.schema import core, metadata, table_info
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests import small_world
from rally_pipeline_tests.small_world import INDEX, KNOWN, RELEASED_DAY, RESTATED, SHARE
from rally_pipeline_tests.workspaces import environment, json_of, open_at, rows_of, run_cli_here, utc

DAY = small_world.LAST


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    url = request.getfixturevalue("postgres_url")() if request.param == "postgresql" else None
    workspace = open_at(tmp_path_factory.mktemp("trace") / "home", url)
    small_world.fill(workspace)
    yield workspace
    workspace.warehouse.engine.dispose()


def follow(world: Workspace, table: str, *columns: str, at: dt.datetime | None = None, **key: Any) -> Trace:
    conditions = [f"{name}={value}" for name, value in key.items()]
    return trace(world, table, conditions, at=at, columns=columns)


def cited(traced: Trace, *roles: str) -> list[TracedRow]:
    """The rows that decided the first one in these roles."""
    return [traced.rows[link.row] for link in traced.rows[0].inputs if link.role in roles]


def one(traced: Trace, role: str) -> TracedRow:
    (row,) = cited(traced, role)
    return row


def test_every_table_has_one_that_says_what_decided_it() -> None:
    computed = {derived.table.name for derived in DERIVED} | {"mart_claim_audit"}
    marts = {name for name, table in metadata.tables.items() if table_info(table).layer == "mart"}
    assert computed | marts <= set(DECIDERS)


def test_a_row_of_every_table_leads_to_verified_payloads(world: Workspace) -> None:
    for table in metadata.sorted_tables:
        info = table_info(table)
        if info.layer not in ("core", "mart") and table.name != "ops_reconciliation":
            continue
        rows = rows_of(world, table)
        for row in rows[:: max(1, len(rows) // 3)]:
            wanted = [f"{name}={row[name]}" for name in info.natural_key]
            if info.versioned:
                wanted.append(f"known_from_at={row['known_from_at'].isoformat()}")
            traced = trace(world, table.name, wanted, show_lines=True)
            assert traced.ok
            first = traced.rows[0]
            assert {**first.key, **first.values}.items() <= row.items()
            assert not [gone for step in traced.rows for gone in step.gone], table.name
            facts = [step for step in traced.rows if step.version is not None]
            assert facts or first.is_reference, table.name
            standing = {fact.version.payload_id for fact in facts if fact.version}
            assert standing == {payload.payload_id for payload in traced.payloads}
            assert all(payload.fetch is not None and payload.deliveries >= 1 for payload in traced.payloads)
            assert all(step.inputs or step.version or step.is_reference for step in traced.rows), table.name
            assert all(fact.lines for fact in facts)
            json.dumps(trace_json(traced))


def test_a_row_of_every_mart_is_traced_as_it_was_known(world: Workspace) -> None:
    """As of the end of all times that is what is traced now."""
    for name in DECIDERS:
        table = metadata.tables[name]
        believed = [table.c.known_to_at.is_(None)] if table_info(table).versioned else []
        rows = [row for row in rows_of(world, table, *believed) if row.get("is_latest", True)]
        for row in rows[-1:]:
            key = {part: row[part] for part in table_info(table).natural_key}
            now, then = (follow(world, name, at=at, **key) for at in (None, utc("2100-01-01")))
            assert [(step.table, step.key, step.version) for step in then.rows] == [
                (step.table, step.key, step.version) for step in now.rows
            ], name
            assert [step.inputs for step in then.rows] == [step.inputs for step in now.rows], name


def test_returns_follow_from_the_closes_named(world: Workspace) -> None:
    traced = follow(world, "mart_index_performance_daily", symbol=INDEX, session_date=DAY)
    row = traced.rows[0].values
    close, base = one(traced, "close").values["close"], one(traced, "base close of the year")
    assert base.key["session_date"] == dt.date(2024, 12, 31)
    assert row["ytd_return_pct"] == pytest.approx((close / base.values["close"] - 1) * 100)
    for role, name in (
        ("base close of the month", "mtd_return_pct"),
        ("close 1 sessions before", "return_1d_pct"),
        ("close 5 sessions before", "return_5d_pct"),
        ("close 20 sessions before", "return_20d_pct"),
    ):
        assert row[name] == pytest.approx((close / one(traced, role).values["close"] - 1) * 100), name
    now, then = (one(traced, role).values["units_per_usd"] for role in ("rate of the day", "rate of the base's day"))
    assert row["usd_ytd_return_pct"] == pytest.approx(((close / now) / (base.values["close"] / then) - 1) * 100)
    assert {step.table for step in traced.rows} >= {"core_fx_daily", "core_price_daily", "core_session"}


def test_only_what_decided_a_column(world: Workspace) -> None:
    traced = follow(world, "mart_index_performance_daily", "ytd_return_pct", symbol=INDEX, session_date=DAY)
    assert {link.role for link in traced.rows[0].inputs} == {"close", "base close of the year"}
    facts = [step for step in traced.rows if step.version is not None]
    assert {fact.key["session_date"] for fact in facts} == {DAY, dt.date(2024, 12, 31)}


def test_ranks_follow_from_the_returns_of_the_members(world: Workspace) -> None:
    key = {"leaderboard": "hk_shares", "as_of_date": DAY, "symbol": SHARE}
    traced = follow(world, "mart_leaderboard_daily", **key)
    others = [row.values["ytd_return_pct"] for row in cited(traced, "return of another member")]
    own = one(traced, "return").values["ytd_return_pct"]
    assert traced.rows[0].values["ytd_rank"] == 1 + sum(other > own for other in others)


def test_extremes_follow_from_the_bars_named(world: Workspace) -> None:
    for row in rows_of(world, "mart_price_extremes_daily")[3::7]:
        traced = follow(world, "mart_price_extremes_daily", symbol=row["symbol"], session_date=row["session_date"])
        close = one(traced, "close").values["close"]
        for side, word, best in (("high", "highest", max), ("low", "lowest", min)):
            for window in ("52w", "3y"):
                (before,) = [bar.values["close"] for bar in cited(traced, f"{word} close before, {window}")]
                assert row[f"{side}_{window}"] == best(close, before)
            since = [bar.key["session_date"] for bar in cited(traced, f"last close as {side} as this")]
            assert since == ([row[f"{word}_since_date"]] if row[f"{word}_since_date"] else [])
        assert row["trough_close"] == one(traced, "trough of 60 sessions").values["close"]
        assert row["peak_close"] == one(traced, "peak of 60 sessions").values["close"]


def test_volumes_follow_from_the_sessions_named(world: Workspace) -> None:
    traced = follow(world, "mart_trading_volume_daily", symbol=SHARE, session_date=DAY)
    sessions = cited(traced, "session", "session of the month before it")
    row = traced.rows[0].values
    assert row["mtd_volume_shares"] == sum(session.values["volume_shares"] for session in sessions)
    record = one(traced, "record month before it")
    assert (record.key["month"], record.values["volume_shares"]) == (
        row["previous_record_month"],
        row["previous_record_volume_shares"],
    )
    monthly = follow(world, "mart_trading_volume_monthly", symbol=SHARE, month="2025-01-01")
    days = cited(monthly, "session of the month")
    assert monthly.rows[0].values["volume_shares"] == sum(session.values["volume_shares"] for session in days)


def test_flows_follow_from_the_sessions_named(world: Workspace) -> None:
    traced = follow(world, "mart_southbound_daily", channel="total", session_date=DAY)
    row, net = traced.rows[0].values, "net_buy_hkd_mn"
    own = one(traced, "figures of the session").values[net]
    last_5 = [session.values[net] for session in cited(traced, "session of the last 5")]
    # both sums have this role: of net buys and of turnovers
    assert row["net_buy_5d_hkd_mn"] == pytest.approx(own + sum(last_5[:4]))
    year = [session.values[net] for session in cited(traced, "session of the year before it")]
    assert row["net_buy_ytd_hkd_mn"] == pytest.approx(own + sum(year))
    rank = follow(world, "mart_southbound_daily", "net_buy_rank_all_time", channel="total", session_date=DAY)
    assert row["net_buy_rank_all_time"] == 1 + len(cited(rank, "session that ranks above it"))
    since = follow(world, "mart_southbound_since_event", event_id="lunar_new_year_2025", session_date=DAY)
    sessions = cited(since, "session since the event")
    values = since.rows[0].values
    assert len(sessions) == values["sessions_since_event"]
    assert values["net_buy_hkd_mn"] == pytest.approx(sum(session.values[net] for session in sessions))
    best = cited(since, "session of the best window before")
    assert values["best_window_hkd_mn"] == pytest.approx(sum(session.values[net] for session in best))
    assert values["window_rank"] == 1 + len(cited(since, "end of a larger window"))
    for length, month in ((3, "2025-01-01"), (5, "2025-02-01")):
        window = follow(world, "mart_southbound_best_window_monthly", window_sessions=length, month=month)
        by_net = [row.values[net] for row in cited(window, "session of the best window")]
        traded = [row.values["turnover_hkd_mn"] for row in cited(window, "session of the best window by turnover")]
        assert len(by_net) == len(traded) == length
        assert window.rows[0].values["best_net_buy_hkd_mn"] == pytest.approx(sum(by_net))
        assert window.rows[0].values["best_turnover_hkd_mn"] == pytest.approx(sum(traded))


def test_hot_money_follows_from_the_sessions_named(world: Workspace) -> None:
    traced = follow(world, "mart_hot_money_daily", session_date=DAY)
    row = traced.rows[0].values
    net = [s.values["net_buy_hkd_mn"] for s in cited(traced, "session of the 10 looked at")]
    given, taken = sum(n for n in net if n > 0), -sum(n for n in net if n < 0)
    assert row["reversal_share_10d_ratio"] == pytest.approx(taken / given)
    closes = [bar.values["close"] for bar in cited(traced, "close of the index")]
    returns = [math.log(now / before) for now, before in itertools.pairwise(closes)]
    assert row["realised_volatility_20d_pct"] == pytest.approx(statistics.stdev(returns) * math.sqrt(252) * 100)
    assert len(cited(traced, "return of a share")) == row["breadth_of_shares"]


def test_a_restated_fact_shows_its_versions(world: Workspace) -> None:
    key = {"symbol": SHARE, "session_date": "2025-02-12", "source": "yahoo"}
    traced = follow(world, "core_price_daily", **key)
    (row,) = traced.rows
    assert [version.known_from_at for version in row.versions] == [KNOWN, KNOWN + dt.timedelta(days=1), RESTATED]
    assert row.version == row.versions[-1]
    (payload,) = traced.payloads
    assert payload.fetch is not None
    assert payload.fetch.known_at == RESTATED
    before = follow(world, "core_price_daily", at=KNOWN + dt.timedelta(days=2), **key)
    assert before.rows[0].version == row.versions[1]
    resolved = follow(world, "core_price_resolved_daily", at=KNOWN, symbol=SHARE, session_date="2025-02-12")
    (bar,) = cited(resolved, "bar of the believed source")
    assert bar.version == row.versions[0]
    assert resolved.rows[0].values["close"] == bar.values["close"]


def test_a_mart_row_as_it_was_known(world: Workspace) -> None:
    key = {"symbol": SHARE, "session_date": DAY}
    now, then = (
        follow(world, "mart_index_performance_daily", at=at, **key) for at in (None, KNOWN + dt.timedelta(hours=1))
    )
    for traced in (now, then):
        close, base = (one(traced, role).values["close"] for role in ("close", "base close of the year"))
        assert traced.rows[0].values["ytd_return_pct"] == pytest.approx((close / base - 1) * 100)
    assert now.rows[0].values["close"] == then.rows[0].values["close"] + 1


def test_a_released_row_is_traced_like_any_other(world: Workspace) -> None:
    traced = follow(world, "core_price_daily", symbol=SHARE, session_date=RELEASED_DAY, source="other")
    assert traced.rows[0].values["close"] == 442


def test_claims_lead_to_their_words_and_their_evidence(world: Workspace) -> None:
    audits = [row for row in rows_of(world, "mart_claim_audit") if row["evidence"] != "[]"]
    (audit,) = [row for row in audits if row["claim_type"] == "performance"]
    done = run_cli_here(
        ["trace", "mart_claim_audit", f"claim_id={audit['claim_id']}", "is_latest=true", "--open", "--json"],
        environment(world.settings.home, _url(world)),
    )
    assert done.returncode == 0, done.stderr
    (told,) = json_of(done)
    rows = told["rows"]
    links = {link["role"]: rows[link["row"]] for link in rows[0]["inputs"]}
    claim = links["claim"]
    assert claim["values"]["quote"] == audit["quote"]
    assert any(line["is_row"] and line["text"] == audit["quote"] for line in claim["payload_lines"])
    assert [rows[link["row"]]["table"] for link in claim["inputs"]] == ["core_note"]
    evidence = json.loads(audit["evidence"])
    assert evidence
    for piece in evidence:
        row = links[f"evidence, {piece['column']} {piece['value']} when audited"]
        assert row["table"] == piece["table"]
        assert row["values"][piece["column"]] == pytest.approx(piece["value"])


def test_rating_actions_lead_to_the_note_and_the_close(world: Workspace) -> None:
    (action,) = rows_of(world, "mart_rating_actions")
    traced = follow(world, "mart_rating_actions", action_id=action["action_id"])
    assert one(traced, "close of the day").values["close"] == action["close"]
    told = one(traced, "action")
    assert {traced.rows[link.row].table for link in told.inputs} == {"core_note", "core_note_claim"}
    (position,) = rows_of(world, "mart_positioning")
    traced = follow(world, "mart_positioning", claim_id=position["claim_id"])
    assert [step.table for step in traced.rows] == ["mart_positioning", "core_note_claim", "core_note"]


def _url(world: Workspace) -> str:
    return world.settings.resolved_warehouse_url


def test_the_command_shows_the_place_in_the_payload(world: Workspace) -> None:
    env = environment(world.settings.home, _url(world))
    key = [f"symbol={INDEX}", f"session_date={DAY}"]
    done = run_cli_here(["trace", "mart_index_performance_daily", *key, "--column", "ytd_return_pct", "--open"], env)
    assert done.returncode == 0, done.stderr
    assert "base close of the year" in done.stdout
    assert "SHA-256 verified" in done.stdout
    close = small_world.close_of(INDEX, DAY)
    (shown,) = [line for line in done.stdout.splitlines() if line.strip().startswith("> row") and str(DAY) in line]
    assert f",{close}," in shown


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["mart_index_performance_daily", "symbol=^HSI"], "several rows .*symbol=… session_date=…"),
        (["mart_index_performance_daily", "symbol=^HSI", "session_date=2025-02-15"], "no row .*session_date=…"),
        (["mart_index_performance_daily"], "which row .*symbol=… session_date=…"),
        (["core_price_daily", "colour=red"], "write COLUMN=VALUE .*symbol=… session_date=… source=…"),
        (["core_price_daily", "session_date=monday"], "is not a date.*source=…"),
        (["core_price_daily", "symbol"], "write COLUMN=VALUE"),
        (["mart_nothing", "a=b"], "no core or mart table"),
        (["core_instrument", "symbol=^HSI", "--column", "colour"], "has the columns symbol, name"),
        (["core_price_daily", "symbol=^HSI", "--as-of", "2000-01-01"], "no row .* as known at 2000-01-01"),
    ],
)
def test_wrong_questions(world: Workspace, arguments: list[str], what: str) -> None:
    done = run_cli_here(["trace", *arguments], environment(world.settings.home, _url(world)))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(what, done.stderr), done.stderr


@pytest.fixture
def damaged(world: Workspace, tmp_path: Path) -> Iterator[tuple[Workspace, str]]:
    """The world with one bit of the payload of the index flipped, and the id of that payload."""
    (payload_id,) = {row["payload_id"] for row in rows_of(world, core.core_price_daily) if row["symbol"] == INDEX}
    kept = tmp_path / "kept"
    path = small_world.damage(world, payload_id)
    shutil.copy(path, kept)
    yield world, payload_id
    body = bytearray(kept.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def test_a_damaged_payload_is_named_and_nothing_is_shown_of_it(
    damaged: tuple[Workspace, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, payload_id = damaged
    _forbid_parsing(monkeypatch)
    env = environment(world.settings.home, _url(world))
    key = [f"symbol={INDEX}", f"session_date={DAY}"]
    done = run_cli_here(["trace", "mart_index_performance_daily", *key, "--open", "--json"], env)
    assert done.returncode == 1
    (told,) = json_of(done)
    assert not told["is_verified"]
    (bad,) = [payload for payload in told["payloads"] if not payload["is_verified"]]
    assert bad["payload_id"] == payload_id
    assert payload_id in bad["damage"]
    for row in told["rows"]:
        assert row.get("payload_id") != payload_id or "payload_lines" not in row
    text = run_cli_here(["trace", "mart_index_performance_daily", *key, "--open"], env)
    assert (text.returncode, f"{payload_id}  " in text.stdout, "DAMAGED: payload" in text.stdout) == (1, True, True)
    # Another row does not rest on it.
    other = run_cli_here(["trace", "core_price_daily", f"symbol={SHARE}", "session_date=2025-01-02"], env)
    assert other.returncode == 0


def test_doctor_names_a_damaged_payload(damaged: tuple[Workspace, str], monkeypatch: pytest.MonkeyPatch) -> None:
    world, payload_id = damaged
    _forbid_parsing(monkeypatch)
    env = environment(world.settings.home, _url(world))
    done = run_cli_here(["doctor", "--json"], env)
    assert done.returncode == 1
    (found,) = [row for row in json_of(done) if row["what"] == f"archived {payload_id}"]
    assert found["state"] == "fail"
    assert payload_id in found["value"]
    (summary,) = [row for row in json_of(done) if row["what"] == "archive"]
    assert "1 damaged" in summary["value"]
    sampled = json_of(run_cli_here(["doctor", "--sample", "1", "--json"], env))
    assert any("1 of them, at random" in row["value"] for row in sampled if row["what"] == "archive")


def _forbid_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    from rally_pipeline import ingest

    def parsed(*_: object) -> Any:
        raise AssertionError("parsed")

    monkeypatch.setattr(ingest, "_read", parsed)
