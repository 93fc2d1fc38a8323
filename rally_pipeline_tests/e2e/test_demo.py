"""The demo as a user runs it: the command, its last lines against the published figures, and a second run."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline.schema import metadata, table_info
from rally_pipeline.schema.core_notes import CLAIM_TYPES

pytestmark = pytest.mark.slow

#: Published closes and returns as of 2025-02-14: rank, close, base close, return to the printed digit, base date.
PUBLISHED = [
    (1, "22,513.42", "19,909.14", "+13.08", "2024-12-30"),
    (2, "22,620.33", "20,059.95", "+12.76", "2024-12-31"),
    (3, "6,114.63", "5,881.63", "+3.96", "2024-12-31"),
]


def demo(home: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RALLY_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-m", "rally_pipeline.cli", "demo"],
        env={**environment, "RALLY_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def core_rows(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every core table, versions and provenance included."""
    engine = sa.create_engine(f"sqlite:///{home / 'warehouse.sqlite'}")
    found = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table_info(table).layer == "core":
                query = sa.select(table).order_by(*table.primary_key.columns)
                found[table.name] = [tuple(row) for row in connection.execute(query)]
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    home = tmp_path_factory.mktemp("demo") / "home"
    return home, demo(home)


def test_leaderboard_is_the_published_one(demo_home: tuple[Path, str]) -> None:
    _, printed = demo_home
    rows = re.findall(
        r"^\s+(\d)\s+.+?\s+([\d,.]+) /\s+([\d,.]+) =\s+([+-][\d.]+) %   session 2025-02-14, base (\S+)$", printed, re.M
    )
    assert [(int(rank), *rest) for rank, *rest in rows] == PUBLISHED


def test_it_says_where_things_are_and_what_is_synthetic(demo_home: tuple[Path, str]) -> None:
    home, printed = demo_home
    assert str(home / "warehouse.sqlite") in printed
    assert "make ui" in printed
    assert "synthetic" in printed


def test_figures_of_the_article(demo_home: tuple[Path, str]) -> None:
    home, _ = demo_home
    engine = sa.create_engine(f"sqlite:///{home / 'warehouse.sqlite'}")

    def row(name: str, symbol: str, day: dt.date, column: str = "session_date") -> sa.Row:
        table = metadata.tables[name]
        with engine.connect() as connection:
            return connection.execute(sa.select(table).where(table.c.symbol == symbol, table.c[column] == day)).one()

    tech = row("mart_price_extremes_daily", "HSTECH.HK", dt.date(2025, 2, 14))
    assert (tech.trough_date, tech.trough_close) == (dt.date(2025, 1, 13), 4221.92)
    assert tech.rise_from_trough_pct == pytest.approx(30.89, abs=0.005)
    assert tech.highest_since_date == dt.date(2022, 2, 17)
    assert [row("mart_price_extremes_daily", "HSTECH.HK", dt.date(2025, 2, d)).is_3y_high for d in (14, 17, 18)] == [
        False,
        False,
        True,
    ]
    assert row("mart_index_performance_daily", "^GDAXI", dt.date(2025, 2, 17)).ytd_return_pct == pytest.approx(
        14.51, abs=0.005
    )
    alibaba = row("mart_index_performance_daily", "9988.HK", dt.date(2025, 2, 14))
    assert (alibaba.close, alibaba.base_close, alibaba.base_date) == (124.10, 82.85, dt.date(2024, 12, 31))
    flat = row("core_price_resolved_daily", "9988.HK", dt.date(2024, 12, 31))
    assert flat.is_flat_bar
    assert flat.volume_shares == 0
    february = row("mart_trading_volume_monthly", "9988.HK", dt.date(2025, 2, 1), "month")
    assert february.volume_shares == pytest.approx(3_878.9e6, abs=0.05e6)
    assert february.is_record_volume
    assert february.previous_record_month == dt.date(2024, 10, 1)
    partial = row("mart_trading_volume_daily", "9988.HK", dt.date(2025, 2, 17))
    assert partial.mtd_volume_shares == pytest.approx(1_981.8e6, abs=0.05e6)
    assert partial.previous_record_volume_shares == pytest.approx(2_023.3e6, abs=0.05e6)
    assert not partial.is_record_volume
    engine.dispose()


def test_southbound_figures_of_the_article(demo_home: tuple[Path, str]) -> None:
    home, printed = demo_home
    engine = sa.create_engine(f"sqlite:///{home / 'warehouse.sqlite'}")
    since = metadata.tables["mart_southbound_since_event"]
    query = sa.select(since).where(since.c.event_id == "lunar_new_year_2025").order_by(since.c.session_date)
    with engine.connect() as connection:
        days = {row.session_date: row for row in connection.execute(query)}
        best = metadata.tables["mart_southbound_best_window_monthly"]
        september = connection.execute(
            sa.select(best).where(best.c.window_sessions == 8, best.c.month == dt.date(2024, 9, 1))
        ).one()
        flow = metadata.tables["core_southbound_flow_daily"]
        closed = (dt.date(2025, 1, 28), dt.date(2025, 2, 3), dt.date(2025, 2, 4))
        on_closed_days = connection.scalar(
            sa.select(sa.func.count()).select_from(flow).where(flow.c.session_date.in_(closed))
        )
    engine.dispose()
    friday, monday = days[dt.date(2025, 2, 14)], days[dt.date(2025, 2, 17)]
    assert friday.sessions_since_event == 8
    assert friday.net_buy_hkd_mn == pytest.approx(26_598.41, abs=0.005)
    assert friday.net_buy_usd_mn / 1000 == pytest.approx(3.417, abs=0.0005)
    # The published days add up to these parts.
    assert friday.net_buy_sse_hkd_mn == pytest.approx(26_818.20, abs=0.005)
    assert friday.net_buy_szse_hkd_mn == pytest.approx(-219.79, abs=0.005)
    assert monday.net_buy_hkd_mn == pytest.approx(37_370.49, abs=0.005)
    assert (september.best_net_buy_hkd_mn, september.best_end_date) == (26_940.0, dt.date(2024, 9, 23))
    assert on_closed_days == 0
    assert "8 sessions, net buy HK$ 26,598.41 mn = US$ 3.417 bn" in printed


def _verdicts(home: Path, file_name: str) -> dict[tuple[str, str, str], str]:
    """Verdict by claim type, subject and unit or metric, of the claims of one demo note."""
    engine = sa.create_engine(f"sqlite:///{home / 'warehouse.sqlite'}")
    audit, note = metadata.tables["mart_claim_audit"], metadata.tables["core_note"]
    query = (
        sa.select(audit.c.claim_type, audit.c.subject_id, audit.c.unit, audit.c.verdict)
        .join(note, note.c.note_id == audit.c.note_id)
        .where(note.c.file_name == file_name, audit.c.is_latest, audit.c.repeat_of == "", note.c.known_to_at.is_(None))
    )
    with engine.connect() as connection:
        found = {(row.claim_type, row.subject_id, row.unit): row.verdict for row in connection.execute(query)}
    engine.dispose()
    return found


def test_claims_of_the_article_are_audited(demo_home: tuple[Path, str]) -> None:
    home, printed = demo_home
    article = _verdicts(home, "press_summary_hong_kong_rally.md")
    for subject in ("^HSI", "^GDAXI", "^GSPC", "HSTECH.HK", "9988.HK"):
        assert article[("performance", subject, "pct")] == "confirmed", subject
    assert article[("flow", "southbound", "HKD")] == "confirmed"
    assert article[("flow", "southbound", "USD")] == "confirmed"
    assert article[("extreme", "HSTECH.HK", "")] == "confirmed"  # it is about the 18th
    assert article[("flow_comparison", "southbound", "")] == "confirmed"
    assert {"positioning", "hot_money", "retail", "target_change", "policy", "event", "sentiment"} <= {
        claim_type for claim_type, _, _ in article
    }
    wrong = _verdicts(home, "wrong_on_purpose.md")
    assert wrong[("performance", "^HSI", "pct")] == "contradicted"
    assert wrong[("extreme", "HSTECH.HK", "")] in ("contradicted", "window_decides")
    assert wrong[("flow", "southbound", "HKD")] == "contradicted"
    assert wrong[("level", "^HSI", "points")] == "contradicted"
    assert wrong[("performance", "^GDAXI", "pct")] == "confirmed"
    assert "suspected unit error" in printed
    contradicted = re.findall(r"^  contradicted: (\S+?):", printed, re.M)
    assert set(contradicted) == {"wrong_on_purpose.md", "unit_error_zh_translation.txt"}


def test_every_document_was_read(demo_home: tuple[Path, str]) -> None:
    home, _ = demo_home
    engine = sa.create_engine(f"sqlite:///{home / 'warehouse.sqlite'}")
    note, claim = metadata.tables["core_note"], metadata.tables["core_note_claim"]
    with engine.connect() as connection:
        types = set(connection.scalars(sa.select(note.c.file_type)))
        languages = set(connection.scalars(sa.select(note.c.language)))
        claims = set(connection.scalars(sa.select(claim.c.claim_type)))
    engine.dispose()
    assert types == {"txt", "md", "html", "eml", "pdf", "docx", "csv", "jsonl"}
    assert languages == {"en", "zh"}
    assert claims == set(CLAIM_TYPES)
    assert not list((home / "inbox" / "notes" / "rejected").glob("*/*"))


def test_second_run_changes_nothing(demo_home: tuple[Path, str]) -> None:
    home, first = demo_home
    before = core_rows(home)
    assert sum(len(rows) for rows in before.values()) > 50_000
    second = demo(home)
    assert core_rows(home) == before
    assert first[first.index("leaderboard") :] == second[second.index("leaderboard") :]
