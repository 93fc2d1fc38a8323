"""The gate on recorded data: every damaged file is caught under the right name, real history has true findings only."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml

from rally_pipeline.catalog.model import Catalog, Instrument
from rally_pipeline.quality.gate import Batch, Verdict, check
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources import ecb, flow_files, price_files
from rally_pipeline.sources.base import Dataset, Payload, Severity
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import environment, json_of, open_at, rows_of, run_cli_here

DATA = Path(__file__).parents[2].parent / "shared" / "data"
DIRTY, REPAIR = DATA / "dirty", DATA / "dirty" / "yfinance_price_repair"
NOW = dt.datetime(2026, 11, 20, 9, 0, tzinfo=dt.UTC)

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"recorded data not there: {DATA.name}")

#: Symbols of the damaged files: market, currency, kind. Paris and Johannesburg have no calendar here; on the days in
#: the files Frankfurt was open as well.
MARKETS = {
    "1398.HK": ("HK", "HKD", "share"),
    "8TRA.DE": ("DE", "EUR", "share"),
    "AET.L": ("GB", "GBP", "share"),
    "ALPHA.PA": ("DE", "EUR", "share"),
    "CALM": ("US", "USD", "share"),
    "CNE.L": ("GB", "GBP", "share"),
    "SSW.JO": ("DE", "EUR", "share"),
    "000016.SS": ("CN", "CNY", "index"),
    "0981.HK": ("HK", "HKD", "share"),
}
#: File, symbol asked, and the rule under which it is caught; ``None`` = passes.
FILES: list[tuple[str, str | None, str | None]] = [
    ("yfinance_price_repair/AET-L-1d-100x-error.csv", "AET.L", "hundredfold_error"),
    ("yfinance_price_repair/SSW-JO-1d-100x-error.csv", "SSW.JO", "hundredfold_error"),
    ("yfinance_price_repair/ALPHA-PA-1d-bad-stock-split.csv", "ALPHA.PA", "bad_split"),
    ("yfinance_price_repair/CNE-L-1d-bad-stock-split.csv", "CNE.L", "bad_split"),
    ("yfinance_price_repair/8TRA-DE-1d-missing-div-adjust.csv", "8TRA.DE", "missing_dividend_adjust"),
    # Its dividend of 2024-07-08 is right; what is wrong is that no adjusted close before it knows of it.
    ("yfinance_price_repair/1398-HK-1d-bad-div.csv", "1398.HK", "missing_dividend_adjust"),
    ("WRONGTICKER_0981.HK_holds_1810.csv", "0981.HK", "ticker_matches"),
    ("SPLITTICKER_HNX_INDEX.csv", None, "split_ticker"),
    ("ONEROW_000016.SS.csv", None, "one_row"),
    ("yfinance_price_repair/AET-L-1d-100x-error-fixed.csv", "AET.L", None),
    ("yfinance_price_repair/SSW-JO-1d-100x-error-fixed.csv", "SSW.JO", None),
    ("yfinance_price_repair/ALPHA-PA-1d-bad-stock-split-fixed.csv", "ALPHA.PA", None),
    ("yfinance_price_repair/CNE-L-1d-bad-stock-split-fixed.csv", "CNE.L", None),
    ("yfinance_price_repair/8TRA-DE-1d-missing-div-adjust-fixed.csv", "8TRA.DE", None),
    ("yfinance_price_repair/1398-HK-1d-bad-div-fixed.csv", "1398.HK", None),
    ("yfinance_price_repair/CALM-1d-no-bad-divs.csv", "CALM", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("dirty")
    entries = {
        symbol: {"name": symbol, "market": market, "currency": currency, "kind": kind}
        for symbol, (market, currency, kind) in MARKETS.items()
        if symbol not in _catalog().instruments
    }
    (home / "catalog").mkdir()
    (home / "catalog" / "instruments.yaml").write_text(yaml.safe_dump({"instruments": entries}))
    return environment(home)


@functools.cache
def _catalog() -> Catalog:
    from rally_pipeline.catalog import load_catalog

    return load_catalog(None)


@functools.cache
def _calendars() -> Calendars:
    return Calendars.from_catalog(_catalog())


def _blocking(workspace: Workspace, fetch_id: str) -> set[str]:
    """Rules that refused the payload or set rows of it aside."""
    load = rows_of(workspace, "ops_load")
    refused = {row["rule"] for row in load if row["fetch_id"] == fetch_id and row["rule"]}
    held = {row["rule"] for row in rows_of(workspace, "ops_quarantine") if row["fetch_id"] == fetch_id}
    return refused | held


def test_every_damaged_file_is_caught_under_its_name(
    env: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Precision and recall over the folder, each file imported by the command line as a person would."""
    workspace = open_at(Path(env["RALLY_HOME"]))
    assert {name for name, _, _ in FILES} == {str(path.relative_to(DIRTY)) for path in DIRTY.rglob("*.csv")}
    lines, right, wrong, missed = [], 0, 0, 0
    for name, symbol, rule in FILES:
        done = run_cli_here(
            ["import", "prices", DIRTY / name, *(["--symbol", symbol] if symbol else []), "--no-marts", "--json"], env
        )
        (report,) = json_of(done)
        fetch_id = _fetch_of(workspace, report)
        found = _blocking(workspace, fetch_id) if fetch_id else set()
        found |= {report["rule"]} if report["rule"] else set()
        # a download that broke off is no error of what it holds: it is named, and loaded
        named = {text.split(":")[0] for text in report["findings"]} & {"one_row"}
        found |= named
        lines.append(f"{name.split('/')[-1]:48} expected {rule or '-':24} got {', '.join(sorted(found)) or '-'}")
        right += rule in found
        missed += rule is not None and rule not in found
        wrong += len(found - {rule})
    precision, recall = right / (right + wrong), right / (right + missed)
    with capsys.disabled():
        print("\n" + "\n".join(lines))
        print(f"precision {precision:.2f}, recall {recall:.2f} over {len(FILES)} files")
    assert (precision, recall) == (1.0, 1.0), "\n".join(lines)
    workspace.warehouse.engine.dispose()


def _fetch_of(workspace: Workspace, report: dict[str, str]) -> str | None:
    fetches = rows_of(workspace, "raw_fetch")
    found = [row["fetch_id"] for row in fetches if row["payload_id"] == report.get("payload_id")]
    return found[-1] if found else None


def _twin(name: str) -> pd.DataFrame:
    """A repaired file's frame, as the parser gives it."""
    file, symbol, _ = next(entry for entry in FILES if entry[0].endswith(name))
    assert symbol is not None
    return _parsed(DIRTY / file, symbol)


@functools.cache
def _all_symbols() -> Catalog:
    extra = {
        symbol: Instrument.model_validate(
            {"symbol": symbol, "name": symbol, "market": market, "currency": currency, "kind": kind}
        )
        for symbol, (market, currency, kind) in MARKETS.items()
    }
    shipped = _catalog()
    return Catalog(
        instruments={**extra, **shipped.instruments},
        events={},
        calendar_overrides=shipped.calendar_overrides,
        content_hash="",
    )


def _parsed(path: Path, symbol: str | None) -> pd.DataFrame:
    request = price_files.request_for(path.name, symbol=symbol)
    return price_files.parse(price_files.read_payload(path, request, NOW), _all_symbols()).frame


def judge(dataset: Dataset, frame: pd.DataFrame) -> Verdict:
    return check(Batch(dataset, frame, _all_symbols(), _calendars(), NOW))


def test_exactly_the_rows_that_were_repaired_are_set_aside() -> None:
    """Where a file says itself which rows are wrong; in two it does not: then none of them is believed."""
    for name, days in (
        ("CNE-L-1d-bad-stock-split.csv", ["2023-05-09"]),
        ("ALPHA-PA-1d-bad-stock-split.csv", ["2023-05-08"]),
    ):
        held = judge(Dataset.PRICE, _twin(name)).set_aside
        assert held["session_date"].dt.strftime("%Y-%m-%d").tolist() == days


def test_with_a_known_close_a_hundredfold_error_is_told_from_what_is_right() -> None:
    damaged, repaired = _twin("SSW-JO-1d-100x-error.csv"), _twin("SSW-JO-1d-100x-error-fixed.csv")
    first = repaired.iloc[:1].assign(session_date=pd.Timestamp("2023-04-28"))
    batch = Batch(Dataset.PRICE, damaged, _all_symbols(), _calendars(), NOW)
    facts = dataclasses.replace(batch.facts, previous=first)
    held = check(dataclasses.replace(batch, facts=facts)).set_aside
    both = damaged.merge(repaired, on="session_date")
    wrong = set(both.loc[(both["close_x"] / both["close_y"] - 1).abs() > 1, "session_date"])
    assert set(held["session_date"]) == wrong
    assert len(wrong) == 22


#: What the gate finds in real history, with how many rows; nothing else may be found.
PRICE_HISTORY: list[tuple[str, str | None, dict[str, int]]] = [
    # Half-days are flat at Yahoo: one price, no volume. A few full sessions have no volume either: holes upstream.
    ("0700.HK_yahoo_tzaware_2025-07-18vintage_to_2024.csv", "0700.HK", {"flat_zero_volume_half_day": 6}),
    ("1810.HK_yahoo_tzaware_2025-07-18vintage_to_2024.csv", "1810.HK",
     {"flat_zero_volume_half_day": 7, "zero_volume_full_session": 1}),
    # Meituan rose by 32 % on 2022-03-16.
    ("3690.HK_yahoo_tzaware_2025-07-18vintage_to_2024.csv", "3690.HK",
     {"flat_zero_volume_half_day": 7, "zero_volume_full_session": 1, "large_move": 1}),
    ("9988.HK_yahoo_tzaware_2025-07-18vintage_to_2024.csv", "9988.HK",
     {"flat_zero_volume_half_day": 7, "zero_volume_full_session": 1}),
    ("9988.HK_yahoo_2row_header_2026-02-27vintage_to_2024.csv", "9988.HK",
     {"flat_zero_volume_half_day": 4, "zero_volume_full_session": 1}),
    ("GDAXI_yahoo_to_2024.csv", "^GDAXI", {}),
    # The S&P 500 fell by 12 % on 2020-03-16.
    ("SPX_yahoo_3row_header_2010_2024.csv", "^GSPC", {"large_move": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "symbol", "expected"), PRICE_HISTORY)
def test_real_price_history_has_true_findings_only(name: str, symbol: str, expected: dict[str, int]) -> None:
    frame = _parsed(DATA / "prices" / name, symbol)
    verdict = judge(Dataset.PRICE, frame)
    assert found_in(verdict) == expected
    assert (len(verdict.set_aside), verdict.refusal) == (0, None)
    for result in verdict.results:
        if result.rule == "flat_zero_volume_half_day" and not result.is_success:
            assert all(row["session_date"][5:] >= "12-23" or row["session_date"][5:7] in ("01", "02")
                       for row in result.examples)  # fmt: skip


def found_in(verdict: Verdict) -> dict[str, int]:
    return {result.rule: result.unexpected_count for result in verdict.results if not result.is_success}


@pytest.mark.parametrize(
    ("name", "symbol", "nulls", "expected"),
    [
        ("HSI", "^HSI", 63, {}),
        # Three moves beyond 12 % (two in March 2022, the reopening of 2024-10-08), and 2020-08-19, whose
        # morning was cancelled for weather and is missing at the provider.
        ("HSTECH", "HSTECH.HK", 51, {"large_move": 3, "expected_sessions_present": 1}),
        ("CSI300", "000300.SS", 0, {}),
    ],
)
def test_real_closes_with_holiday_nulls(name: str, symbol: str, nulls: int, expected: dict[str, int]) -> None:
    said = json.loads((DATA / "prices" / f"{name}_close_val_to_2024.json").read_text())
    lines = [f"{day},{'' if close is None else close}" for day, close in zip(said["dates"], said["close"], strict=True)]
    body = "\n".join(["date,close", *lines, ""]).encode()
    request = price_files.request_for(f"{name}.csv", symbol=symbol)
    parsed = price_files.parse(Payload(request, body, "text/csv", 200, NOW), _catalog())
    assert sum(f.rows for f in parsed.findings if f.rule == "no_close") == nulls
    verdict = judge(Dataset.PRICE, parsed.frame)
    assert (found_in(verdict), len(verdict.set_aside)) == (expected, 0)


def test_real_flows_pass() -> None:
    path = DATA / "flows" / "stock_connect_history_2014_2024.csv"
    parsed = flow_files.parse(flow_files.read_payload(path, flow_files.request_for(path.name), NOW), _catalog())
    for dataset, frame in {Dataset.SOUTHBOUND_FLOW: parsed.frame, **parsed.extra}.items():
        verdict = judge(dataset, frame)
        assert found_in(verdict) == {}
        assert len(verdict.rows) == len(frame) > 6000


def test_real_rates_pass() -> None:
    """Ten years of reference rates, Swiss francs in 2015 and Turkish lira in 2021 among them."""
    for path in sorted((DATA / "fx").glob("*.csv")):
        payload = price_files.read_payload(path, ecb.request_for(path.name), NOW)
        verdict = judge(Dataset.FX, ecb.parse(payload, _catalog()).frame)
        assert found_in(verdict) == {}
        assert verdict.refusal is None


def test_restated_adjusted_closes_are_recorded_with_both_versions(tmp_path: Path) -> None:
    """Between two downloads of Alibaba a dividend was paid: every adjusted close before it changed, no volume did."""
    env = environment(tmp_path / "home")
    older = DATA / "prices" / "9988.HK_yahoo_tzaware_2025-07-18vintage_to_2024.csv"
    newer = DATA / "prices" / "9988.HK_yahoo_2row_header_2026-02-27vintage_to_2024.csv"
    for path, known_at in ((older, "2025-07-18T12:00:00Z"), (newer, "2026-02-27T12:00:00Z")):
        run_cli_here(["import", "prices", path, "--symbol", "9988.HK", "--known-at", known_at, "--no-marts"], env)
    workspace = open_at(tmp_path / "home")
    stated = rows_of(workspace, "ops_restatement")
    by_column = Counter(row["column_name"] for row in stated)
    assert by_column["adj_close"] > 900
    assert by_column["volume_shares"] <= 2
    payloads = {row["payload_id"] for row in rows_of(workspace, "raw_fetch")}
    for row in stated:
        assert {row["old_payload_id"], row["new_payload_id"]} == payloads
        assert row["old_value"] != row["new_value"]
        assert row["change_pct"] == pytest.approx((row["new_value"] / row["old_value"] - 1) * 100)
        assert row["subject"] == "9988.HK"
    workspace.warehouse.engine.dispose()


def test_quarantine_severities_are_those_that_hold_rows_back() -> None:
    verdict = judge(Dataset.PRICE, _twin("AET-L-1d-100x-error.csv"))
    held = {
        result.rule for result in verdict.results if result.severity is Severity.QUARANTINE and result.unexpected_count
    }
    assert set(verdict.set_aside["rule"]) == held == {"hundredfold_error"}
