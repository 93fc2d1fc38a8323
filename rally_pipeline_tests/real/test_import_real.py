"""Every recorded price and rate file through `rally-pipeline import`, and what stands in core and marts afterwards."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rally_pipeline.asof import read_as_of
from rally_pipeline.schema import core, mart
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import count, environment, json_of, open_at, rows_of, run_cli, run_cli_here, utc

DATA = Path(__file__).parents[2].parent / "shared" / "data"
PRICES, FX = DATA / "prices", DATA / "fx"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"recorded data not there: {DATA.name}")

CLOSES = {"HSI": "^HSI", "HSTECH": "HSTECH.HK", "CSI300": "000300.SS"}
SHARES = ("0700.HK", "1810.HK", "3690.HK", "9988.HK")
FIRST, SECOND = "2025-07-18T12:00:00Z", "2026-02-27T12:00:00Z"
OLDER = "9988.HK_yahoo_tzaware_2025-07-18vintage_to_2024.csv"
NEWER = "9988.HK_yahoo_2row_header_2026-02-27vintage_to_2024.csv"


@dataclasses.dataclass
class Imported:
    workspace: Workspace
    env: dict[str, str]
    reports: dict[str, dict[str, Any]]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    """All of it by the command line, the last file of a kind in a process of its own; marts after the last."""
    folder = tmp_path_factory.mktemp("real")
    url = request.getfixturevalue("postgres_url")() if request.param == "postgresql" else None
    env = environment(folder / "home", url)
    reports: dict[str, dict[str, Any]] = {}

    def run(kind: str, files: list[Path], *options: str, how: Any = run_cli_here) -> None:
        done = how(["import", kind, *files, *options, "--json"], env)
        assert done.returncode == 0, done.stdout + done.stderr
        for file, report in zip(files, json_of(done), strict=True):
            assert (report["file"], report["outcome"]) == (str(file), "loaded")
            reports[file.name] = report

    for name, symbol in CLOSES.items():
        run("prices", [_as_csv(name, folder)], "--symbol", symbol, "--known-at", FIRST, "--no-marts")
    run("prices", [PRICES / "GDAXI_yahoo_to_2024.csv"], "--symbol", "^GDAXI", "--known-at", FIRST, "--no-marts")
    run("prices", [PRICES / "SPX_yahoo_3row_header_2010_2024.csv"], "--known-at", FIRST, "--no-marts")
    # the newer vintage first: order of arrival does not matter
    run("prices", [PRICES / NEWER], "--known-at", SECOND, "--no-marts")
    for symbol in SHARES:
        file = PRICES / f"{symbol}_yahoo_tzaware_2025-07-18vintage_to_2024.csv"
        how = run_cli if symbol == SHARES[-1] else run_cli_here
        run("prices", [file], "--symbol", symbol, "--known-at", FIRST, "--no-marts", how=how)
    run("fx", sorted(FX.glob("*.csv")), "--known-at", "2026-11-01", how=run_cli)
    workspace = open_at(folder / "home", url)
    yield Imported(workspace, env, reports)
    workspace.warehouse.engine.dispose()


def _as_csv(name: str, folder: Path) -> Path:
    found = json.loads((PRICES / f"{name}_close_val_to_2024.json").read_text())
    file = folder / f"{name}.csv"
    lines = [
        f"{day},{'' if close is None else close}" for day, close in zip(found["dates"], found["close"], strict=True)
    ]
    file.write_text("\n".join(["date,close", *lines, ""]))
    return file


def _one(workspace: Workspace, symbol: str, day: str) -> dict[str, Any]:
    table = mart.mart_index_performance_daily
    (row,) = rows_of(workspace, table, table.c.symbol == symbol, table.c.session_date == dt.date.fromisoformat(day))
    return row


def test_every_file_is_imported_and_every_row_accounted_for(imported: Imported) -> None:
    files = {f.name for f in (*PRICES.glob("*.csv"), *FX.glob("*.csv"))} | {f"{name}.csv" for name in CLOSES}
    assert set(imported.reports) == files
    assert len(files) == len(list(PRICES.iterdir())) + len(list(FX.iterdir()))
    workspace = imported.workspace
    for load in rows_of(workspace, "ops_load"):
        new, changed, same = load["rows_new"], load["rows_changed"], load["rows_same"]
        assert load["rows_parsed"] == new + changed + same + load["rows_set_aside"] > 0
    held = rows_of(workspace, "ops_quarantine")
    assert len(held) == sum(r["rows_set_aside"] for r in imported.reports.values())
    assert {row["rule"] for row in held} <= {"bar_on_closed_day"}
    assert count(workspace, "ops_stale") == 0


def test_index_returns(imported: Imported) -> None:
    row = _one(imported.workspace, "^HSI", "2024-12-31")
    assert round(row["close"], 2) == 20059.95
    assert round(row["base_close"], 2) == 17047.39
    assert row["base_date"] == dt.date(2023, 12, 29)
    assert row["ytd_return_pct"] == pytest.approx((row["close"] / row["base_close"] - 1) * 100, rel=1e-12)
    assert round(row["ytd_return_pct"], 2) == 17.67


def test_base_is_the_last_session_of_the_year_before(imported: Imported) -> None:
    """Frankfurt's last session of 2024 was the 30th; there is none of 2025 in the file, but the calendar knows."""
    workspace = imported.workspace
    session = core.core_session
    first = {
        market: rows_of(workspace, session, session.c.market == market, session.c.session_date == day)[0]
        for market, day in (("DE", dt.date(2025, 1, 2)), ("HK", dt.date(2025, 1, 2)), ("US", dt.date(2025, 1, 2)))
    }
    bases = {market: row["year_base_date"] for market, row in first.items()}
    assert bases == {"DE": dt.date(2024, 12, 30), "HK": dt.date(2024, 12, 31), "US": dt.date(2024, 12, 31)}
    dax = _one(workspace, "^GDAXI", "2024-12-30")
    assert (round(dax["close"], 2), dax["base_date"]) == (19909.14, dt.date(2023, 12, 29))
    assert round(_one(workspace, "^GSPC", "2024-12-31")["close"], 2) == 5881.63


def _vintage(name: str, skip: list[int] | None = None) -> pd.DataFrame:
    frame = pd.read_csv(PRICES / name, skiprows=skip)
    frame["day"] = pd.to_datetime(frame["Date"].str[:10]).dt.date
    return frame.set_index("day")


def _alibaba(workspace: Workspace, at: str) -> dict[dt.date, dict[str, Any]]:
    with read_as_of(workspace, "core_price_daily", utc(at), ["symbol=9988.HK"]) as (_, rows):
        return {row["session_date"]: dict(row) for row in rows}


def test_two_vintages(imported: Imported) -> None:
    """Dividend-adjusted closes were restated, volumes were not, and an unadjusted close was never said."""
    older, newer = _vintage(OLDER), _vintage(NEWER, [1])
    then, now = _alibaba(imported.workspace, "2026-01-01"), _alibaba(imported.workspace, "2026-11-01")
    held = {r["row_key"] for r in rows_of(imported.workspace, "ops_quarantine") if r["row_key"].startswith("9988.HK")}
    assert {day: row["adj_close"] for day, row in then.items()} == {
        day: close for day, close in older["Close"].items() if f"9988.HK {day}" not in held
    }
    both = sorted(set(older.index) & set(newer.index) & set(now))
    assert len(both) > 900
    for day in both:
        assert now[day]["adj_close"] == newer["Close"][day]
        assert now[day]["volume_shares"] == newer["Volume"][day]
        assert then[day]["volume_shares"] == older["Volume"][day]
        assert (then[day]["close"], now[day]["close"]) == (None, None)
    assert sum(then[day]["adj_close"] != now[day]["adj_close"] for day in both) > 900
    same_volume = [day for day in both if then[day]["volume_shares"] == now[day]["volume_shares"]]
    assert len(same_volume) >= len(both) - 2
    only_older = sorted(set(then) - set(newer.index))
    assert only_older
    assert all(now[day] == then[day] for day in only_older), "what the second left out stays as it was"
    assert _alibaba(imported.workspace, "2025-07-18T11:59:59") == {}


def test_before_the_second_the_first_is_shown_exactly(imported: Imported) -> None:
    done = run_cli(
        ["as-of", "2026-02-27T11:59:59Z", "core_price_daily", "--where", "symbol=9988.HK", "--json"], imported.env
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = json_of(done)
    then = _alibaba(imported.workspace, "2025-07-18T12:00:00")
    assert [row["adj_close"] for row in rows] == [row["adj_close"] for row in then.values()]
    assert {row["payload_id"] for row in rows} == {imported.reports[OLDER]["payload_id"]}


def test_half_days_are_flagged_and_kept(imported: Imported) -> None:
    last = _alibaba(imported.workspace, "2026-11-01")[dt.date(2024, 12, 31)]
    assert (last["is_flat_bar"], last["volume_shares"]) == (True, 0)


def test_rates(imported: Imported) -> None:
    rate = core.core_fx_daily
    rows = rows_of(imported.workspace, rate, rate.c.rate_date == dt.date(2024, 12, 31))
    found = {row["quote_currency"]: row["rate"] for row in rows}
    assert (found["USD"], found["HKD"], found["CNY"]) == (1.0389, 8.0686, 7.5833)
    daily = rows_of(imported.workspace, rate, rate.c.rate_date == dt.date(2026, 10, 30))
    assert {row["quote_currency"]: row["rate"] for row in daily}["HKD"] == 8.7652
    usd = core.core_fx_usd_daily
    (hkd,) = rows_of(imported.workspace, usd, usd.c.currency == "HKD", usd.c.rate_date == dt.date(2024, 12, 31))
    assert hkd["units_per_usd"] == pytest.approx(8.0686 / 1.0389, rel=1e-12)


def test_marts_as_known_before_the_rates(imported: Imported) -> None:
    """Without a rate nobody knew the return in dollars; in local currency it is the same."""
    where = ["symbol=^HSI", "session_date=2024-12-31"]
    with read_as_of(imported.workspace, "mart_index_performance_daily", utc("2026-10-01"), where) as (_, rows):
        (then,) = list(rows)
    now = _one(imported.workspace, "^HSI", "2024-12-31")
    assert then["usd_ytd_return_pct"] is None
    assert now["usd_ytd_return_pct"] is not None
    assert then == {**now, "usd_ytd_return_pct": None}


@pytest.mark.parametrize(
    ("name", "symbol", "rule"),
    [
        ("WRONGTICKER_0981.HK_holds_1810.csv", "9988.HK", "ticker_matches"),
        ("SPLITTICKER_HNX_INDEX.csv", None, "split_ticker"),
        ("ONEROW_000016.SS.csv", None, "symbol_known"),
    ],
)
def test_dirty_files_change_nothing(imported: Imported, name: str, symbol: str | None, rule: str) -> None:
    before = count(imported.workspace, "core_price_daily")
    options = ["--symbol", symbol] if symbol else []
    done = run_cli_here(["import", "prices", DATA / "dirty" / name, *options, "--json"], imported.env)
    assert done.returncode == 1
    assert json_of(done)[0]["rule"] == rule
    assert count(imported.workspace, "core_price_daily") == before
