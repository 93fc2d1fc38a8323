"""`rally-pipeline import`: files that a person hands over, good and bad, through the command line."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rally_pipeline import cli
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import (
    count,
    environment,
    fresh_copy,
    json_of,
    open_at,
    price_csv,
    rows_of,
    run_cli,
    run_cli_here,
    utc,
)

GOOD = price_csv([("2024-03-07", 10, 11, 9, 10.5, 100), ("2024-03-08", 10.5, 12, 10, 11.5, 200)])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_at(tmp_path_factory.mktemp("template"))


@dataclasses.dataclass(frozen=True)
class Shell:
    """Runs commands in this process: exit code, standard output, standard error."""

    workspace: Workspace
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        try:
            cli.main([str(a) for a in arguments])
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = self.capsys.readouterr()
        return code, out, err

    def file(self, name: str, body: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(body)
        return path


@pytest.fixture
def shell(
    template: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    workspace = fresh_copy(template, tmp_path / "home")
    for name, value in {"RALLY_HOME": str(tmp_path / "home"), "RALLY_WAREHOUSE_URL": "", "RALLY_PROFILE": ""}.items():
        monkeypatch.setenv(name, value)
    yield Shell(workspace, tmp_path, capsys)
    workspace.warehouse.engine.dispose()


def test_a_good_file(shell: Shell) -> None:
    file = shell.file("a.csv", GOOD)
    code, out, err = shell(
        "import", "prices", file, "--symbol", "700.HK", "--source", "desk", "--known-at", "2024-03-09"
    )
    assert (code, err) == (0, "")
    assert f"{file}: 2 new, 0 changed, 0 already known, 0 set aside" in out
    assert "computed mart_index_performance_daily: 2 rows" in out
    rows = rows_of(shell.workspace, "core_price_daily")
    assert [(r["symbol"], r["source"], r["close"], r["known_from_at"]) for r in rows] == [
        ("0700.HK", "desk", 10.5, utc("2024-03-09")),
        ("0700.HK", "desk", 11.5, utc("2024-03-09")),
    ]
    assert count(shell.workspace, "ops_stale") == 0

    code, out, _ = shell(
        "import", "prices", file, "--symbol", "0700.HK", "--source", "desk", "--known-at", "2024-03-09"
    )
    assert code == 0
    assert out == f"{file}: 0 new, 0 changed, 2 already known, 0 set aside\n"
    assert rows_of(shell.workspace, "core_price_daily") == rows


def test_json_and_no_marts(shell: Shell) -> None:
    file = shell.file("a.csv", GOOD)
    bad = shell.file("b.csv", b"<html>")
    code, out, err = shell("import", "prices", file, bad, "--symbol", "0700.HK", "--no-marts", "--json")
    assert (code, err) == (1, "")
    one, two = json.loads(out)
    assert (one["outcome"], one["rows_new"], one["rule"], one["findings"]) == ("loaded", 2, "", [])
    assert dt.datetime.fromisoformat(one["known_at"]).tzinfo is not None
    assert (two["outcome"], two["rows_new"], two["rule"]) == ("refused", 0, "not_html")
    assert "Fix" in two["message"] or two["message"]
    assert count(shell.workspace, "core_price_daily") == 2
    assert count(shell.workspace, "mart_index_performance_daily") == 0
    assert count(shell.workspace, "ops_stale") > 0


@pytest.mark.parametrize(
    ("name", "body", "symbol", "rule"),
    [
        ("cut.csv.gz", gzip.compress(GOOD * 50, mtime=0)[:-20], "0700.HK", "not_truncated"),
        ("page.csv", b"<!DOCTYPE html><html>Sorry</html>", "0700.HK", "not_html"),
        ("empty.csv", b"", "0700.HK", "not_empty"),
        ("header.csv", b"date,close\n", "0700.HK", "not_empty"),
        ("other.csv", b"date,close,symbol\n2024-03-08,10,9988.HK\n", "0700.HK", "ticker_matches"),
        ("wide.csv", b"Date,Close\n,9988.HK\n2024-03-08,10\n", "0700.HK", "ticker_matches"),
        ("split.csv", b"Date,Close,Close\n,HANG,SENG\n2024-03-08,,10\n", None, "split_ticker"),
        ("nobody.csv", b"date,close\n2024-03-08,10\n", None, "symbol_known"),
        ("stranger.csv", b"date,close,symbol\n2024-03-08,10,XYZ.HK\n", None, "symbol_known"),
        ("twice.csv", b"date,close\n2024-03-08,10\n2024-03-08,11\n", "0700.HK", "unique_session"),
        ("words.csv", b"date,close\n2024-03-08,ten\n", "0700.HK", "number_valid"),
        ("data.json", b'{"dates": []}', "0700.HK", "header_known"),
    ],
)
def test_a_bad_file_is_refused_by_name(shell: Shell, name: str, body: bytes, symbol: str | None, rule: str) -> None:
    file = shell.file(name, body)
    code, out, err = shell("import", "prices", file, *(["--symbol", symbol] if symbol else []))
    assert (code, err) == (1, "")
    assert out.startswith(f"{file}: refused, nothing loaded. ")
    assert f"[rule {rule}]" in out
    assert count(shell.workspace, "core_price_daily") == 0
    logged = rows_of(shell.workspace, "ops_load")
    if body:
        assert [(r["outcome"], r["rule"]) for r in logged] == [("refused", rule)]
        (fetch,) = rows_of(shell.workspace, "raw_fetch")
        assert shell.workspace.archive.read(fetch["payload_id"]) == body
    else:
        assert logged == []


def test_one_row_and_partial_bar_are_told(shell: Shell) -> None:
    file = shell.file("one.csv", b"date,close\n2024-03-08,10\n")
    code, out, _ = shell("import", "prices", file, "--symbol", "0700.HK", "--known-at", "2024-03-08T12:00+08:00")
    assert code == 0
    assert "0 new, 0 changed, 0 already known, 1 set aside" in out
    assert "[rule one_row]" in out
    (held,) = rows_of(shell.workspace, "ops_quarantine")
    assert (held["rule"], held["locator"]) == ("session_not_over", "row 2")
    (finding,) = rows_of(shell.workspace, "ops_finding")
    assert (finding["rule"], finding["severity"], finding["row_count"]) == ("one_row", "warn", 1)


def test_gzipped_is_plain(shell: Shell) -> None:
    files = [shell.file("a.csv", GOOD), shell.file("a.csv.gz", gzip.compress(GOOD, mtime=0))]
    code, out, _ = shell("import", "prices", *files, "--symbol", "0700.HK", "--known-at", "2024-03-10", "--no-marts")
    assert code == 0
    assert "2 new" in out
    (first, second) = rows_of(shell.workspace, "core_price_daily")
    # of two payloads of one time the greater id is named
    assert {first["payload_id"], second["payload_id"]} == {
        max(r["payload_id"] for r in rows_of(shell.workspace, "raw_fetch"))
    }


def test_fx(shell: Shell) -> None:
    file = shell.file("eurofxref.csv", b"Date, USD, HKD, \n08 March 2024, 1.0932, 8.5501, \n")
    code, out, _ = shell("import", "fx", file, "--known-at", "2024-03-09", "--json")
    assert code == 0
    assert json.loads(out)[0]["rows_new"] == 2
    rows = rows_of(shell.workspace, "core_fx_daily")
    assert {(r["source"], r["quote_currency"], r["rate"]) for r in rows} == {
        ("ecb", "USD", 1.0932),
        ("ecb", "HKD", 8.5501),
    }
    (rate,) = rows_of(shell.workspace, "core_fx_usd_daily")[1:] or [None]
    assert rate is None or rate["currency"] == "HKD"
    found = {r["currency"]: r["units_per_usd"] for r in rows_of(shell.workspace, "core_fx_usd_daily")}
    assert found["HKD"] == pytest.approx(8.5501 / 1.0932)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--symbol", "XYZ.HK"], "XYZ.HK is not in the catalog"),
        (["--source", "a b"], "is no name"),
        (["--source", ""], "is no name"),
        (["--source", "x" * 41], "is no name"),
        (["--known-at", "soon"], "is not a time"),
        (["--known-at", "2100-01-01"], "in the future"),
        (["--price-basis", "half"], "Invalid value"),
        (["--colour", "red"], "No such option"),
        (["/no/such/file.csv"], "does not exist"),
    ],
)
def test_wrong_use(shell: Shell, arguments: list[str], what: str) -> None:
    code, out, err = shell("import", "prices", shell.file("a.csv", GOOD), *arguments)
    assert (code, out) == (2, "")
    assert what in err
    assert "Traceback" not in err
    assert count(shell.workspace, "raw_fetch") == 0


def test_price_basis(shell: Shell) -> None:
    """A Yahoo-shaped file of a share without Adj Close is adjusted, and so has no unadjusted close."""
    body = b"Date,Open,High,Low,Close,Volume\n2024-03-08,10,11,9,10.5,100\n"
    file = shell.file("y.csv", body)
    shell("import", "prices", file, "--symbol", "0700.HK", "--source", "one")
    shell("import", "prices", file, "--symbol", "0700.HK", "--source", "two", "--price-basis", "unadjusted")
    rows: list[dict[str, Any]] = rows_of(shell.workspace, "core_price_daily")
    assert [(r["source"], r["close"], r["adj_close"], r["volume_shares"]) for r in rows] == [
        ("one", None, 10.5, 100),
        ("two", 10.5, None, 100),
    ]


def test_in_a_process_of_its_own(tmp_path: Path, warehouse_url: str) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(GOOD)
    env = environment(tmp_path / "home", warehouse_url)
    done = run_cli(["import", "prices", file, "--symbol", "0700.HK", "--known-at", "2024-03-09", "--json"], env)
    assert (done.returncode, done.stderr) == (0, "")
    assert json_of(done)[0]["rows_new"] == 2
    shown = run_cli(["as-of", "2024-03-09", "mart_index_performance_daily", "--json"], env)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [(row["session_date"], row["close"]) for row in json_of(shown)] == [
        ("2024-03-07", 10.5),
        ("2024-03-08", 11.5),
    ]
    before = run_cli_here(["as-of", "2024-03-08", "mart_index_performance_daily", "--csv"], env)
    assert before.returncode == 0
    assert len(before.stdout.splitlines()) == 1
