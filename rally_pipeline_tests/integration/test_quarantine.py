"""The life of quarantined rows: listed, explained, released, replayed, discarded; nothing vanishes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rally_pipeline import fetches, ingest, quarantine
from rally_pipeline.errors import UsageError
from rally_pipeline.excerpt import excerpt
from rally_pipeline.publish.quality_report import write_reports
from rally_pipeline.quarantine import Selection, State
from rally_pipeline.settings import load_settings
from rally_pipeline.sources import price_files
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import (
    deliver,
    environment,
    fresh_copy,
    json_of,
    open_at,
    price_csv,
    price_payload,
    rows_of,
    run_cli_here,
    utc,
)

DAYS = ["2024-03-04", "2024-03-05", "2024-03-06", "2024-03-07", "2024-03-08"]
#: Of five sessions, one whose high is below its close and one that is negative; and a Saturday.
BAD = price_csv(
    [
        (DAYS[0], 10, 11, 9, 10.5, 100),
        (DAYS[1], 10, 10.4, 9, 10.6, 110),
        (DAYS[2], 10, 11, 9, -10.7, 120),
        (DAYS[3], 10, 11, 9, 10.4, 130),
        ("2024-03-09", 10, 11, 9, 10.3, 140),
    ]
)
KNOWN = utc("2024-03-20")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_at(tmp_path_factory.mktemp("template"))


@pytest.fixture
def workspace(template: Workspace, tmp_path: Path) -> Workspace:
    made = fresh_copy(template, tmp_path / "home")
    deliver(made, price_payload(BAD, known_at=KNOWN))
    return made


@pytest.fixture
def shell(workspace: Workspace):
    def run(*arguments: object, **more: str):
        return run_cli_here(["quarantine", *arguments], environment(workspace.settings.home, RALLY_USER="ada", **more))

    return run


def _by_rule(workspace: Workspace) -> dict[str, quarantine.QuarantinedRow]:
    return {row.rule: row for row in quarantine.select(workspace)}


def _days_in_core(workspace: Workspace) -> list[str]:
    return [str(row["session_date"]) for row in rows_of(workspace, "core_price_daily")]


def test_list_filters(workspace, shell):
    rows = json_of(shell("list", "--json"))
    assert {row["rule"] for row in rows} == {"high_is_highest", "price_positive", "bar_on_closed_day"}
    assert all(row["state"] == "open" and row["locator"].startswith("row ") for row in rows)
    assert len({row["row"] for row in rows}) == 3
    assert all(len(row["row"]) == 12 for row in rows)
    (one,) = json_of(shell("list", "--json", "--rule", "price_positive"))
    assert one["values"]["close"] == -10.7
    assert json_of(shell("list", "--json", "--table", "core_fx_daily")) == []
    assert json_of(shell("list", "--json", "--since", "2100-01-01")) == []
    assert len(json_of(shell("list", "--json", "--since", "2020-01-01", "--state", "all"))) == 3
    assert json_of(shell("list", "--json", "--state", "discarded")) == []
    assert "no released rows" in shell("list", "--state", "released").stdout
    text = shell("list").stdout
    assert "3 rows" in text
    assert "0700.HK 2024-03-05" in text


def test_ids_are_computed_from_what_the_row_is(workspace):
    row = _by_rule(workspace)["high_is_highest"]
    assert row.row_id == quarantine.row_id(row.fetch_id, row.table, row.row_key, row.rule)
    assert row.row_id != quarantine.row_id(row.fetch_id, row.table, row.row_key, "other")


def test_show_gives_the_place_in_the_payload(workspace, shell):
    row = _by_rule(workspace)["high_is_highest"]
    done = shell("show", row.row_id[:6])
    assert done.returncode == 0
    assert "> row 3" in done.stdout
    assert f"{DAYS[1]},10,10.4,9,10.6,110" in done.stdout
    assert row.payload_id in done.stdout
    assert "file_name" in done.stdout
    (data,) = json_of(shell("show", row.row_id, "--json"))
    assert [line["is_row"] for line in data["payload_lines"]].count(True) == 1
    assert data["request"]["source"] == "file"


def test_explain_gives_rule_and_what_is_believed(workspace, shell):
    good = price_csv([(DAYS[1], 10, 11, 9, 10.6, 100)])
    deliver(workspace, price_payload(good, known_at=utc("2024-03-21"), source="other"))
    row = _by_rule(workspace)["high_is_highest"]
    text = shell("explain", row.row_id).stdout
    assert "High is not below" in text
    assert "believed about the same key" in text
    assert "other" in text
    assert "the days before, from file" in text
    assert DAYS[0] in text


def test_release_loads_the_row_and_the_marts(workspace, shell):
    row = _by_rule(workspace)["high_is_highest"]
    assert DAYS[1] not in _days_in_core(workspace)
    done = shell("release", row.row_id, "--reason", "the exchange says so")
    assert done.returncode == 0, done.stderr
    assert "loaded" in done.stdout
    assert DAYS[1] in _days_in_core(workspace)
    assert [r["close"] for r in rows_of(workspace, "core_price_resolved_daily") if str(r["session_date"]) == DAYS[1]]
    (action,) = rows_of(workspace, "ops_quarantine_action")
    assert (action["action"], action["acted_by"], action["reason"]) == ("release", "ada", "the exchange says so")
    assert action["outcome"] == "loaded"
    (listed,) = json_of(shell("list", "--json", "--state", "released"))
    assert listed["actions"][0]["reason"] == "the exchange says so"
    # The others stay out, and the same again changes nothing.
    assert set(_days_in_core(workspace)) == {DAYS[0], DAYS[1], DAYS[3]}
    again = shell("release", row.row_id, "--reason", "again")
    assert again.returncode == 0
    assert "already released" in again.stdout
    assert len(rows_of(workspace, "ops_quarantine_action")) == 1


def test_a_released_row_stays_through_what_comes_late(workspace):
    """A delivery known earlier, about the same day, that comes later: the released version is still there."""
    row = _by_rule(workspace)["high_is_highest"]
    quarantine.release(workspace, [row], "seen")
    earlier = price_csv([(DAYS[1], 10, 11, 9, 10.2, 100)])
    deliver(workspace, price_payload(earlier, known_at=utc("2024-03-10")))
    ingest.load(workspace, _record(workspace, row.fetch_id))
    versions = [r["close"] for r in rows_of(workspace, "core_price_daily") if str(r["session_date"]) == DAYS[1]]
    assert versions == [10.2, 10.6]


def _record(workspace, fetch_id):
    with workspace.warehouse.read() as connection:
        return fetches.fetch_records(connection, [fetch_id])[0]


def test_a_row_that_breaks_two_rules_enters_when_both_are_released(template, tmp_path):
    workspace = fresh_copy(template, tmp_path / "two")
    crossed = price_csv([(DAYS[0], 10, 11, 9, 10.5, 1), (DAYS[1], 10.1, 9.9, 10.3, 10.2, 1)])
    deliver(workspace, price_payload(crossed, known_at=KNOWN))
    (first,) = quarantine.select(workspace)
    report = quarantine.release(workspace, [first], "one")
    assert not report.ok
    other = next(row for row in quarantine.select(workspace) if row.rule != first.rule)
    assert other.rule in report.rows[0].outcome
    assert quarantine.release(workspace, [other], "two").ok
    assert {row.state for row in quarantine.select(workspace)} == {State.RELEASED}
    assert DAYS[1] in _days_in_core(workspace)
    # Loaded again without anybody releasing anything, it is still in.
    outcome = ingest.load(workspace, _record(workspace, first.fetch_id))
    assert outcome.rows_set_aside == 0


def test_replay_loads_what_passes_now(workspace, shell, monkeypatch):
    real = price_files.parse

    def mended(payload, catalog):
        parsed = real(payload, catalog)
        return dataclasses.replace(parsed, frame=parsed.frame.assign(close=parsed.frame["close"].abs()))

    before = shell("replay", "--all")
    assert before.returncode == 1
    assert before.stdout.count("still set aside") == 3
    monkeypatch.setattr(price_files, "parse", mended)
    done = shell("replay", "--all", "--reason", "sign mended")
    assert done.returncode == 1  # two of three still fail
    assert done.stdout.count("still set aside") == 2
    states = {row.rule: row.state for row in quarantine.select(workspace)}
    assert states == {
        "price_positive": State.RELEASED,
        "high_is_highest": State.OPEN,
        "bar_on_closed_day": State.OPEN,
    }
    assert DAYS[2] in _days_in_core(workspace)
    actions = rows_of(workspace, "ops_quarantine_action")
    assert len(actions) == 6
    assert {a["reason"] for a in actions} == {"read again with today's code", "sign mended"}


def test_discard_keeps_out_and_is_marked(workspace, shell):
    done = shell("discard", "--rule", "bar_on_closed_day", "--reason", "a Saturday")
    assert done.returncode == 0
    (listed,) = json_of(shell("list", "--json", "--state", "discarded"))
    assert listed["rule"] == "bar_on_closed_day"
    assert shell("discard", listed["row"], "--reason", "again").stdout.count("already discarded") == 1
    assert len(rows_of(workspace, "ops_quarantine_action")) == 1
    assert "2024-03-09" not in _days_in_core(workspace)
    # A row in core cannot be discarded: no mark takes it out again.
    row = _by_rule(workspace)["high_is_highest"]
    assert shell("release", row.row_id, "--reason", "fine").returncode == 0
    refused = shell("discard", row.row_id, "--reason", "no")
    assert refused.returncode == 1
    assert "is in core" in refused.stdout
    # A person may think better of a discarded one.
    assert shell("release", listed["row"], "--reason", "there was a session").returncode == 0


def test_both_engines_release_and_report(warehouse_url, tmp_path):
    made = open_at(tmp_path / "home", warehouse_url)
    deliver(made, price_payload(BAD, known_at=KNOWN))
    (row,) = quarantine.select(made, Selection(rule="high_is_highest", table="core_price_daily", state=State.OPEN))
    assert quarantine.release(made, [row], "seen").ok
    assert quarantine.explain(made, row.row_id).known
    assert DAYS[1] in _days_in_core(made)
    page, index = (path.read_text() for path in write_reports(made))
    assert "1 released" in page
    assert "bar_on_closed_day" in index
    assert str(float(row.values["close"])) in page


def test_an_action_shows_in_the_quality_report(workspace, shell):
    folder = workspace.settings.published_dir / "quality"
    shell("discard", "--rule", "price_positive", "--reason", "before there was a page")
    assert not folder.exists()
    write_reports(workspace)
    assert shell("discard", "--rule", "bar_on_closed_day", "--reason", "a <Saturday>").returncode == 0
    (page,) = folder.glob("run-*.html")
    assert "a &lt;Saturday&gt;" in page.read_text()
    done = run_cli_here(["quality-report", "--json"], environment(workspace.settings.home))
    assert [Path(entry["path"]).name for entry in json_of(done)][-1] == "index.html"
    missing = run_cli_here(["quality-report", "--run", "nobody"], environment(workspace.settings.home))
    assert missing.returncode == 2
    assert "checked nothing" in missing.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("release", "--all"),
        ("release", "--all", "--reason", " "),
        ("release", "--reason", "x"),
        ("release", "abcd", "--all", "--reason", "x"),
        ("discard", "ffffffffffff", "--reason", "x"),
        ("show", "abc"),
        ("explain", "ffffffffffff"),
        ("list", "--state", "lost"),
        ("list", "--since", "yesterday"),
    ],
)
def test_wrong_use_is_told(shell, workspace, arguments):
    done = shell(*arguments)
    assert done.returncode == 2
    assert done.stderr
    assert rows_of(workspace, "ops_quarantine_action") == []


def test_an_ambiguous_id_is_refused(workspace, monkeypatch):
    monkeypatch.setattr(quarantine, "row_id", lambda *identity: f"aaaa{len(identity[3]):08d}")
    with pytest.raises(UsageError, match="fits 3 rows"):
        quarantine.select(workspace, Selection(row_ids=("aaaa",)))


def test_damaged_bytes_are_not_read(workspace, shell):
    row = _by_rule(workspace)["price_positive"]
    path = next(workspace.settings.archive_dir.glob(f"objects/*/{row.payload_id}"))
    path.write_bytes(b"date,close\n2024-03-04,1\n")
    done = shell("release", row.row_id, "--reason", "x")
    assert done.returncode == 1
    assert "SHA-256" in done.stdout
    assert shell("show", row.row_id).returncode == 1
    assert _by_rule(workspace)["price_positive"].state is State.OPEN


def test_killed_between_load_and_record_loses_neither(workspace, monkeypatch):
    row = _by_rule(workspace)["high_is_highest"]

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(quarantine, "_write", die)
        with pytest.raises(KeyboardInterrupt):
            quarantine.release(workspace, [row], "first")
    assert _by_rule(workspace)["high_is_highest"].state is State.OPEN
    before = rows_of(workspace, "core_price_daily")
    assert quarantine.release(workspace, [row], "second").ok
    assert rows_of(workspace, "core_price_daily") == before
    assert _by_rule(workspace)["high_is_highest"].state is State.RELEASED


def test_the_user_is_the_setting_or_that_of_the_process(monkeypatch, tmp_path):
    monkeypatch.delenv("RALLY_USER", raising=False)
    monkeypatch.setenv("USER", "grace")
    monkeypatch.setenv("LOGNAME", "grace")
    assert load_settings(home=tmp_path).acting_user == "grace"
    monkeypatch.setenv("RALLY_USER", "ada")
    assert load_settings(home=tmp_path).acting_user == "ada"


@pytest.mark.parametrize(
    ("body", "locator", "target"),
    [
        (b"h\n1\n2\n3\n4\n5\n", "row 4", "3"),
        (b'{"rows":[[1],[2],[3]],"meta":1}', "rows[1]", "[2]"),
        (b'{"data":{"klines":["a","b"]}}', "data.klines[1]", '"b"'),
        (b'tabData = [{"market":"X","content":[1]},{"market":"Y"}];', "SSE Southbound[1]", '{"market": "Y"}'),
        (b"<Cube time='2025-02-14'>\n<Cube currency='USD'/>", "Cube[2025-02-14] USD", "<Cube time='2025-02-14'>"),
    ],
)
def test_excerpts_find_the_row(body, locator, target):
    assert [line.text for line in excerpt(body, locator) if line.is_target] == [target]


@pytest.mark.parametrize("body", [b"", b"\x1f\x8bbroken", b"PK\x03\x04xl/broken", b"\xff\xfe\x00", b"[" * 100_000])
def test_excerpts_of_anything_are_text(body):
    lines = excerpt(body, "row 7")
    assert lines
    assert all(line.text.isprintable() for line in lines)


def test_a_terminal_gets_no_control_characters():
    (line,) = excerpt(b"\x1b[31mred\x1b[0m \x07", "row 1")
    assert "\x1b" not in line.text
    assert "\\x1b[31mred" in line.text
