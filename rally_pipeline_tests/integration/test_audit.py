"""Claims about the demo's world against its warehouse: the published figures, what the marts say, and the history."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from rally_pipeline.audit import AuditResult, Reason, Verdict, audit_claims
from rally_pipeline.audit.facts import Facts
from rally_pipeline.audit.ranks import boards_of
from rally_pipeline.audit.store import audit_in
from rally_pipeline.catalog import Catalog
from rally_pipeline.marts import mark_stale, refresh
from rally_pipeline.notes.records import AsOfBasis, Claim, ClaimType, Comparator, Direction, WindowKind
from rally_pipeline.schema import metadata, table_info
from rally_pipeline.schema.mart_notes import mart_claim_audit
from rally_pipeline.sessions import Calendars
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline_tests import oracle
from rally_pipeline_tests.audited import SYMBOLS, claim, reference, window, write_demo, write_notes

D = dt.date.fromisoformat
TODAY = D("2025-02-28")
AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
YTD = window(WindowKind.YEAR_TO_DATE, "2025-01-01")
SINCE_NEW_YEAR = window(WindowKind.SINCE_EVENT, "2025-02-05", event_id="lunar_new_year_2025")
MID_JANUARY = window(WindowKind.SINCE_DATE, "2025-01-10", "2025-01-20", is_base_inclusive=None)
THREE_YEARS = window(WindowKind.LOOKBACK, months=36)


@dataclasses.dataclass
class World:
    engine: sa.Engine
    catalog: Catalog
    calendars: Calendars

    def audit(self, claims: Sequence[Claim], today: dt.date = TODAY) -> list[AuditResult]:
        pairs = [(str(n), one) for n, one in enumerate(claims)]
        with self.engine.connect() as connection:
            return audit_claims(connection, self.calendars, self.catalog, pairs, today=today)

    def one(self, made: Claim) -> AuditResult:
        (found,) = self.audit([made])
        return found

    def rows(self, table: str, *where: Any) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [dict(r) for r in connection.execute(sa.select(metadata.tables[table]).where(*where)).mappings()]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")()
    else:
        url = f"sqlite:///{tmp_path_factory.mktemp('audit') / 'warehouse.sqlite'}"
    catalog, calendars = reference()
    warehouse = open_warehouse(url)
    with warehouse.write() as connection:
        write_demo(connection, catalog, calendars)
    yield World(warehouse.engine, catalog, calendars)
    warehouse.engine.dispose()


def _rise(symbol: str, value: float, tolerance: float, as_of: str, made: Any = YTD, **more: Any) -> Claim:
    direction = Direction.UP if value > 0 else Direction.DOWN
    more = {"unit": "pct", "direction": direction, **more}
    return claim(
        ClaimType.PERFORMANCE, symbol, "return_pct", as_of, value=value, tolerance=tolerance, window=made, **more
    )


def _flow(value: float, tolerance: float, as_of: str, currency: str = "HKD", **more: Any) -> Claim:
    more = {"window": SINCE_NEW_YEAR, "unit": currency or "HKD", "currency": currency, "metric": "net_buy", **more}
    subject, metric = more.pop("subject", "southbound"), more.pop("metric")
    return claim(ClaimType.FLOW, subject, metric, as_of, value=value, tolerance=tolerance, **more)


def _high(symbol: str, as_of: str, made: Any = THREE_YEARS, **more: Any) -> Claim:
    more = {"comparator": Comparator.HIGHEST_IN_WINDOW, **more}
    return claim(ClaimType.EXTREME, symbol, "close", as_of, window=made, **more)


def _article(as_of: str, basis: AsOfBasis) -> dict[str, Claim]:
    return {
        name: dataclasses.replace(made, as_of_basis=basis)
        for name, made in {
            "hsi": _rise("^HSI", 13, 0.5, as_of),
            "dax": _rise("^GDAXI", 13.1, 0.05, as_of),
            "spx": _rise("^GSPC", 4, 0.5, as_of),
            "hstech": _rise("HSTECH.HK", 31, 0.5, as_of, MID_JANUARY),
            "alibaba": _rise(
                "9988.HK",
                50,
                0.5,
                as_of,
                window(WindowKind.PERIOD, "2025-01-01"),
                hedge="nearly",
                comparator=Comparator.APPROX,
            ),
            "hkd": _flow(26.6e9, 0.05e9, as_of),
            "usd": _flow(3.4e9, 0.05e9, as_of, "USD"),
        }.items()
    }


@pytest.mark.parametrize("basis", [AsOfBasis.STATED, AsOfBasis.DOCUMENT_DATE])
def test_the_article_on_its_day(world: World, basis: AsOfBasis) -> None:
    claims = _article("2025-02-14", basis)
    found = dict(zip(claims, world.audit(list(claims.values())), strict=True))
    assert {name: r.verdict for name, r in found.items()} == dict.fromkeys(claims, Verdict.CONFIRMED)
    observed = {name: r.observed for name, r in found.items()}
    assert observed == {
        **{"hsi": pytest.approx(12.76, abs=0.005), "dax": pytest.approx(13.08, abs=0.005)},
        **{"spx": pytest.approx(3.96, abs=0.005), "hstech": pytest.approx(30.89, abs=0.005)},
        **{"alibaba": pytest.approx((124.10 / 82.85 - 1) * 100), "hkd": 26_598.41e6},
        "usd": pytest.approx(26_598.41e6 / (8.1554 / 1.0478)),
    }
    assert found["hstech"].reason is Reason.TURNING_POINT
    assert found["hkd"].subjects == ("southbound:total",)
    assert found["usd"].subjects == ("fx:HKD", "fx:USD", "southbound:total")
    assert {r.observed_dates for r in found.values()} == {(D("2025-02-14"),)}
    assert {r.data_known_at for r in found.values()} == {oracle.KNOWN}


def test_the_article_a_session_later(world: World) -> None:
    """What is no longer true on the 17th: contradicted if the note says the 17th, else the day before decides."""
    stated, dated = (
        dict(zip(claims, world.audit(list(claims.values())), strict=True))
        for claims in (_article("2025-02-17", basis) for basis in (AsOfBasis.STATED, AsOfBasis.DOCUMENT_DATE))
    )
    confirmed = {"hsi", "spx"}
    for name, result in stated.items():
        assert result.verdict is (Verdict.CONFIRMED if name in confirmed else Verdict.CONTRADICTED), name
    for name, result in dated.items():
        assert result.verdict is (Verdict.CONFIRMED if name in confirmed else Verdict.WINDOW_DECIDES), name
        if name not in confirmed:
            assert result.observed_dates == (D("2025-02-14"),)
    assert stated["hkd"].observed == 37_370.49e6
    assert stated["spx"].observed_dates == (D("2025-02-14"),), "New York was closed on the 17th"
    later = _article("2025-02-20", AsOfBasis.DOCUMENT_DATE)
    for name in ("hkd", "usd", "dax"):
        found = world.one(later[name])
        assert (found.verdict, found.reason) == (Verdict.WINDOW_DECIDES, Reason.EARLIER_DAY), name
        assert found.observed_dates == (D("2025-02-14"),)


def test_periods_that_are_over(world: World) -> None:
    year = window(WindowKind.PERIOD, "2024-01-01", last="2024-12-31")
    for basis in (AsOfBasis.STATED, AsOfBasis.DOCUMENT_DATE):
        for symbol, rise in (("^HSI", 17.7), ("^GDAXI", 18.8), ("^GSPC", 23.3)):
            found = world.one(_rise(symbol, rise, 0.05, "2025-02-14", year, as_of_basis=basis))
            assert found.verdict is Verdict.CONFIRMED
            assert found.observed_low == found.observed_high, "the note's day does not matter"
    assert world.one(_rise("^HSI", 17.7, 0.05, "2024-11-29", year)).verdict is Verdict.CONTRADICTED, "so far"
    trough = window(WindowKind.SINCE_LOW, "2025-01-01", "2025-01-31")
    assert world.one(_rise("HSTECH.HK", 30.9, 0.05, "2025-02-14", trough)).verdict is Verdict.CONFIRMED
    assert world.one(_rise("HSTECH.HK", 26.0, 0.5, "2025-02-14", trough)).verdict is Verdict.CONTRADICTED


def test_a_day_without_a_southbound_session(world: World) -> None:
    """Hong Kong traded on 3 February 2025, southbound did not."""
    day = window(WindowKind.DAY, "2025-02-03")
    found = world.one(_flow(5e9, 0.05e9, "2025-02-03", window=day))
    assert (found.verdict, found.reason) == (Verdict.NOT_CHECKABLE, Reason.AMBIGUOUS_DAY)
    assert world.one(_flow(30.0, 0.5, "2025-02-14", unit="pct", currency="")).reason is Reason.UNIT_MISMATCH
    long = world.one(_flow(1e9, 1e6, "2025-02-14", window=window(WindowKind.SINCE_DATE, "2024-11-01")))
    stretch = next(e for e in long.evidence if "2024-11-01..2025-02-14" in str(e["key"]))
    assert stretch["value"] == pytest.approx((long.observed or 0) / 1e6)


def test_three_year_high(world: World) -> None:
    found = {
        day: world.one(_high("HSTECH.HK", f"2025-02-{day}", as_of_basis=basis))
        for day, basis in (("14", AsOfBasis.STATED), ("17", AsOfBasis.STATED), ("18", AsOfBasis.STATED))
    }
    assert found["14"].verdict is not Verdict.CONFIRMED
    assert found["14"].observed_dates == ()
    assert found["17"].verdict is Verdict.WINDOW_DECIDES
    assert found["17"].observed_dates == (D("2025-02-18"),)
    assert found["18"].verdict is Verdict.CONFIRMED
    assert {
        "table": "mart_price_extremes_daily",
        "key": "symbol=HSTECH.HK, session_date=2025-02-18",
        "column": "is_3y_high",
        "value": 1.0,
    } in found["18"].evidence
    dated = world.one(_high("HSTECH.HK", "2025-02-21", as_of_basis=AsOfBasis.DOCUMENT_DATE, timing="close"))
    assert (dated.verdict, dated.observed_dates) == (Verdict.WINDOW_DECIDES, (D("2025-02-18"),))
    assert dated.reason is Reason.EARLIER_DAY
    since = window(WindowKind.LOOKBACK, "2022-02-01", "2022-02-28")
    assert world.one(_high("HSTECH.HK", "2025-02-18", since)).verdict is Verdict.CONFIRMED
    since = window(WindowKind.LOOKBACK, "2022-02-01", "2022-02-10")
    assert world.one(_high("HSTECH.HK", "2025-02-18", since)).verdict is not Verdict.CONFIRMED
    near = _high("HSTECH.HK", "2025-02-17", comparator=Comparator.NEAR_HIGHEST)
    assert world.one(near).verdict is Verdict.CONFIRMED, "5,499 of 5,662"
    far = dataclasses.replace(near, as_of_date=D("2025-01-13"))
    assert world.one(far).verdict is Verdict.CONTRADICTED
    year = window(WindowKind.LOOKBACK, months=12)
    assert world.one(dataclasses.replace(near, window=year)).verdict is Verdict.CONFIRMED
    assert world.one(_high("HSTECH.HK", "2025-02-17", year)).verdict is Verdict.WINDOW_DECIDES
    low = _high("HSTECH.HK", "2025-02-14", comparator=Comparator.LOWEST_IN_WINDOW, timing="close")
    assert (world.one(low).verdict, world.one(low).observed_dates) == (Verdict.CONTRADICTED, ())
    long = world.one(_high("HSTECH.HK", "2025-02-18", window(WindowKind.LOOKBACK, months=60)))
    assert long.verdict in (Verdict.NOT_CHECKABLE, Verdict.CONTRADICTED)
    ever = world.one(_high("^GSPC", "2025-02-19", window(WindowKind.ALL_TIME)))
    assert ever.verdict is not Verdict.CONFIRMED, "the demo does not reach back to the index's first day"


def test_comparable_to_september(world: World) -> None:
    made = claim(
        ClaimType.FLOW_COMPARISON,
        "southbound",
        "net_buy",
        "2025-02-14",
        comparator=Comparator.COMPARABLE_TO,
        window=SINCE_NEW_YEAR,
        details={"comparison_window_text": "September's rush"},
    )
    found = world.one(made)
    assert found.verdict is Verdict.CONFIRMED
    assert found.observed == pytest.approx(26_598.41 / 26_940, abs=0.001)
    months = {e["column"]: e for e in found.evidence if e["table"] == "mart_southbound_best_window_monthly"}
    assert set(months) == {"best_net_buy_hkd_mn", "best_turnover_hkd_mn"}, "both measures are answered"
    assert months["best_net_buy_hkd_mn"]["value"] == pytest.approx(26_940, abs=0.01)
    assert {str(e["key"]).split(":")[0] for e in found.evidence if e["column"] == "ratio"} == {"net_buy", "turnover"}
    turnover = world.one(dataclasses.replace(made, metric="turnover"))
    either = world.one(dataclasses.replace(made, metric=""))
    later = world.one(dataclasses.replace(made, as_of_date=D("2025-02-20"), as_of_basis=AsOfBasis.DOCUMENT_DATE))
    assert (later.reason, later.observed_dates[0]) == (Reason.EARLIER_DAY, D("2025-02-14"))
    assert turnover.evidence[2:] == either.evidence[2:] == found.evidence[2:]
    if turnover.verdict is not Verdict.CONFIRMED:
        assert either.reason is Reason.MEASURE_DECIDES
    november = world.one(
        dataclasses.replace(
            made, details={"comparison_window_start": "2024-11-01", "comparison_window_end": "2024-11-30"}
        )
    )
    assert november.verdict is Verdict.CONTRADICTED
    assert november.observed == pytest.approx(26_598.41 / 63_800, abs=0.001)
    unknown = world.one(dataclasses.replace(made, details={"comparison_window_text": "the rush"}))
    assert (unknown.verdict, unknown.reason) == (Verdict.NOT_CHECKABLE, Reason.WINDOW_UNKNOWN)


def test_a_slip_of_ten(world: World) -> None:
    slipped = [
        _flow(2.66e9, 0.05e8, "2025-02-14", quote="26.6亿港元", is_scale_word_chinese=True),
        _flow(266e9, 0.5e9, "2025-02-14", quote="HK$266 billion"),
    ]
    for found in world.audit(slipped):
        assert (found.verdict, found.suspicion) == (Verdict.CONTRADICTED, "suspected_unit_error")
    right = _flow(26.6e9, 0.05e9, "2025-02-14", quote="266亿港元", is_scale_word_chinese=True)
    assert (world.one(right).verdict, world.one(right).suspicion) == (Verdict.CONFIRMED, "")
    wrong = _flow(31e9, 0.5e9, "2025-02-14", quote="HK$31 billion")
    assert (world.one(wrong).verdict, world.one(wrong).suspicion) == (Verdict.CONTRADICTED, "")


def test_channels_measures_and_currencies(world: World) -> None:
    flow = "core_southbound_resolved_daily"
    table = metadata.tables[flow]
    rows = {r["channel"]: r for r in world.rows(flow, table.c.session_date == D("2025-02-14"))}
    day = window(WindowKind.DAY, "2025-02-14")
    claims, expected = [], []
    for channel, subject in (("total", "southbound"), ("sse", "southbound_sse"), ("szse", "southbound_szse")):
        for measure in ("net_buy", "turnover", "buy", "sell"):
            value = rows[channel][f"{measure}_hkd_mn"] * 1e6
            claims.append(_flow(value, 1e6, "2025-02-14", subject=subject, metric=measure, window=day))
            expected.append(value)
    for found, value in zip(world.audit(claims), expected, strict=True):
        assert (found.verdict, found.observed) == (Verdict.CONFIRMED, pytest.approx(value))
    since = [
        _flow(26.82e9, 0.005e9, "2025-02-14", subject="southbound_sse"),
        _flow(-0.22e9, 0.005e9, "2025-02-14", subject="southbound_szse"),
        _flow(0.22e9, 0.005e9, "2025-02-14", subject="southbound_szse", metric="net_sell"),
        _flow(26.6e9, 0.05e9, "2025-02-14", currency="$", quote="$26.6 billion"),
        _flow(3.4e9, 0.05e9, "2025-02-14", currency="$", quote="$3.4 billion"),
    ]
    assert [r.verdict for r in world.audit(since)] == [Verdict.CONFIRMED] * len(since)
    cny = 26_598.41e6 / 8.1554 * 7.6141
    assert world.one(_flow(cny, 1e7, "2025-02-14", "CNY")).verdict is Verdict.CONFIRMED
    assert world.one(_flow(1e9, 1e7, "2025-02-14", "EUR")).reason is Reason.UNIT_MISMATCH
    record = _flow(0, 0, "2025-02-14", comparator=Comparator.HIGHEST_IN_WINDOW, window=window(WindowKind.ALL_TIME))
    record = dataclasses.replace(record, value=None, details={"period": "day"})
    assert world.one(record).verdict is Verdict.CONTRADICTED
    assert world.one(dataclasses.replace(record, details={})).reason is Reason.METRIC_UNDEFINED


def test_rank_and_volume(world: World) -> None:
    def rank(symbol: str, place: float, day: str = "2025-02-14", **more: Any) -> Claim:
        more = {"details": {"population": "headline_indices"}, "window": YTD, **more}
        return claim(ClaimType.RANK, symbol, "rank", day, value=place, **more)

    claims = [rank("^GDAXI", 1), rank("^HSI", 2), rank("^GSPC", 3), rank("^GSPC", 1, direction=Direction.DOWN)]
    assert [r.verdict for r in world.audit(claims)] == [Verdict.CONFIRMED] * 4
    assert world.one(rank("^HSI", 1)).verdict is Verdict.CONTRADICTED
    wide = world.one(rank("HSTECH.HK", 1, details={"population": "world_indices"}))
    assert (wide.verdict, wide.reason) == (Verdict.NOT_CHECKABLE, Reason.NO_DATA), "some have no figures here"
    for words, verdict in (
        ("major markets globally", Verdict.CONTRADICTED),
        ("", Verdict.NOT_CHECKABLE),
        ("the region's markets", Verdict.NOT_CHECKABLE),
        ("亚洲主要股市", Verdict.NOT_CHECKABLE),
    ):
        assert world.one(rank("^GSPC", 2, details={"population": words})).verdict is verdict, words
    for words in ("the world's major markets", "全球主要股市"):
        # of the other markets nothing is known here, and they could only be ahead
        best = world.one(rank("^GDAXI", 1, details={"population": words}))
        assert (best.verdict, best.reason) == (Verdict.NOT_CHECKABLE, Reason.NO_DATA)
        assert world.one(rank("^HSI", 1, details={"population": words})).verdict is Verdict.CONTRADICTED
        assert world.one(rank("HSTECH.HK", 2, details={"population": words})).verdict is Verdict.NOT_CHECKABLE
    beaten = world.one(rank("^GDAXI", 1, details={"population": "world_indices"}))
    assert beaten.verdict is Verdict.CONTRADICTED, "one is ahead already"
    assert world.one(rank("HSTECH.HK", 1)).reason is Reason.METRIC_UNDEFINED

    def record(day: str, made: Any, **more: Any) -> AuditResult:
        more = {
            "comparator": Comparator.HIGHEST_IN_WINDOW,
            "details": {"period": "month", "period_start": "2025-02-01"},
            **more,
        }
        return world.one(claim(ClaimType.VOLUME_RECORD, "9988.HK", "volume", day, window=made, **more))

    since = window(WindowKind.LOOKBACK, "2022-01-01")
    assert record("2025-02-28", since).verdict is Verdict.CONFIRMED
    partial = record("2025-02-17", since)
    assert partial.verdict is Verdict.WINDOW_DECIDES
    assert partial.observed == 1_981_800_000
    assert min(partial.observed_dates) > D("2025-02-17")
    listed = record("2025-02-28", window(WindowKind.ALL_TIME))
    assert (listed.verdict, listed.reason) == (Verdict.NOT_CHECKABLE, Reason.INSUFFICIENT_HISTORY)
    assert record("2025-01-28", since, details={"period_start": "2025-01-01"}).verdict is Verdict.CONTRADICTED


def test_claims_made_of_the_marts_hold(world: World) -> None:
    """Whatever a mart says, printed to two digits, is confirmed; twice as much never is."""
    rng = random.Random(4)
    claims: list[Claim] = []
    performance = [r for r in world.rows("mart_index_performance_daily") if r["symbol"] in SYMBOLS]
    for row in rng.sample(performance, 150):
        day = str(row["session_date"])
        for column, made in (
            ("ytd_return_pct", window(WindowKind.YEAR_TO_DATE)),
            ("mtd_return_pct", window(WindowKind.MONTH_TO_DATE)),
            ("return_1d_pct", window(WindowKind.DAY, day)),
        ):
            if row[column] is not None and round(row[column], 2) != 0:
                claims.append(_rise(row["symbol"], round(row[column], 2), 0.005, day, made))
    since = [r for r in world.rows("mart_price_since_event_daily") if r["symbol"] in SYMBOLS]
    for row in rng.sample(since, 100):
        if abs(value := round(row["return_pct"], 2)) > 0.01:
            made = window(WindowKind.SINCE_EVENT, event_id=row["event_id"])
            claims.append(_rise(row["symbol"], value, 0.005, str(row["session_date"]), made))
    southbound = [r for r in world.rows("mart_southbound_daily") if r["session_date"].year > 2022]
    names = {"total": "southbound", "sse": "southbound_sse", "szse": "southbound_szse"}
    for row in rng.sample(southbound, 100):
        more = {"window": window(WindowKind.YEAR_TO_DATE), "subject": names[row["channel"]]}
        claims.append(_flow(row["net_buy_ytd_hkd_mn"] * 1e6, 1e4, str(row["session_date"]), **more))
    windows = [r for r in world.rows("mart_southbound_since_event") if r["event_date"].year > 2021]
    for row in rng.sample(windows, 100):
        made = window(WindowKind.SINCE_EVENT, event_id=row["event_id"])
        claims.append(_flow(row["net_buy_usd_mn"] * 1e6, 1e4, str(row["session_date"]), "USD", window=made))
    found = world.audit(claims)
    assert len(claims) > 600
    # a yearly event named by its id is the occurrence meant; other readings may differ
    for made, result in zip(claims, found, strict=True):
        assert result.verdict is Verdict.CONFIRMED, (made, result)
    doubled = world.audit([_doubled(c) for c in claims])
    assert not [r for r in doubled if r.verdict is Verdict.CONFIRMED]
    of_stretch = [r for c, r in zip(claims, doubled, strict=True) if c.window and c.window.kind is not WindowKind.DAY]
    contradicted = [r for r in of_stretch if r.verdict is Verdict.CONTRADICTED]
    assert len(contradicted) > 0.97 * len(of_stretch), "abstaining is not a way out"


def _doubled(made: Claim) -> Claim:
    return dataclasses.replace(made, value=(made.value or 0) * 2 + (5 if (made.value or 0) > 0 else -5))


def test_extremes_are_those_of_the_mart(world: World) -> None:
    rng = random.Random(5)
    rows = [r for r in world.rows("mart_price_extremes_daily") if r["is_52w_high"] is not None]
    rows = [r for r in rows if r["is_52w_high"] or r["is_52w_low"]] + rng.sample(rows, 200)
    for word, comparator in (("high", Comparator.HIGHEST_IN_WINDOW), ("low", Comparator.LOWEST_IN_WINDOW)):
        claims = [
            _high(
                r["symbol"],
                str(r["session_date"]),
                window(WindowKind.LOOKBACK, days=364),
                comparator=comparator,
                timing="close",
            )
            for r in rows
        ]
        for row, result in zip(rows, world.audit(claims), strict=True):
            assert (result.verdict is Verdict.CONFIRMED) == row[f"is_52w_{word}"], (row, result)
            assert result.verdict is not Verdict.NOT_CHECKABLE


def test_one_index_of_every_market(world: World) -> None:
    facts = Facts(world.calendars, world.catalog, TODAY)
    facts.members.update({n: world.catalog.leaderboard(n) for n in ("headline_indices", "world_indices")})
    made = claim(ClaimType.RANK, "^HSI", "rank", "2025-02-14", value=2.0, details={"population": "major markets"})
    (narrow, wide), is_said = boards_of(made, facts)
    assert (narrow, is_said) == (("^HSI", "^GDAXI", "^GSPC"), True)
    assert {"^HSI", "^GDAXI", "^GSPC", "^N225", "000300.SS"} <= set(wide)
    assert not {"HSTECH.HK", "^HSCE", "^NDX"} & set(wide)
    ((tech,), _) = boards_of(dataclasses.replace(made, subject_id="HSTECH.HK"), facts)
    assert "HSTECH.HK" in tech
    assert "^HSI" not in tech


def test_largest_daily_moves(world: World) -> None:
    rows = [r for r in world.rows("mart_index_performance_daily") if r["symbol"] == "^HSI"]
    of_2024 = [r for r in rows if r["session_date"].year == 2024 and r["return_1d_pct"] is not None]
    best = max(of_2024, key=lambda r: r["return_1d_pct"])
    year = window(WindowKind.YEAR_TO_DATE, "2024-01-01")
    made = _high("^HSI", str(best["session_date"]), year, details={"period": "day"})
    made = dataclasses.replace(made, metric="return_pct")
    found = world.one(made)
    assert (found.verdict, found.observed) == (Verdict.CONFIRMED, pytest.approx(best["return_1d_pct"]))
    assert len(found.evidence) == 2
    other = dataclasses.replace(made, as_of_date=of_2024[-1]["session_date"])
    assert world.one(other).verdict is Verdict.CONTRADICTED
    assert world.one(dataclasses.replace(made, details={"period": "week"})).reason is Reason.METRIC_UNDEFINED


def test_evidence_is_in_the_warehouse(world: World) -> None:
    """Every row named as evidence is there, with the value that was used."""
    claims = [
        *_article("2025-02-14", AsOfBasis.STATED).values(),
        _high("HSTECH.HK", "2025-02-18"),
        _high("^HSI", "2024-10-07", window(WindowKind.LOOKBACK, days=364)),
        claim(
            ClaimType.FLOW_COMPARISON,
            "southbound",
            "",
            "2025-02-14",
            comparator=Comparator.COMPARABLE_TO,
            window=SINCE_NEW_YEAR,
            details={"comparison_window_text": "2024-09"},
        ),
        claim(
            ClaimType.VOLUME_RECORD,
            "9988.HK",
            "volume",
            "2025-02-17",
            comparator=Comparator.HIGHEST_IN_WINDOW,
            window=window(WindowKind.ALL_TIME),
        ),
    ]
    seen: set[str] = set()
    for result in world.audit(claims):
        assert result.evidence
        for row in result.evidence:
            key = dict(part.split("=", 1) for part in str(row["key"]).split(", ") if "=" in part)
            if not row["table"] or any(".." in value for value in key.values()):
                continue
            table = metadata.tables[str(row["table"])]
            where = [table.c[name] == _typed(table.c[name], text) for name, text in key.items()]
            assert set(key) == set(table_info(table).natural_key)
            (stored,) = world.rows(table.name, *where)
            assert float(stored[str(row["column"])]) == pytest.approx(row["value"], rel=1e-9), row
            seen.add(table.name)
    assert len(seen) >= 5


def _typed(column: sa.Column[Any], text: str) -> Any:
    kind = column.type.python_type
    return D(text) if kind is dt.date else kind(text)


def test_what_is_to_come_or_missing(world: World) -> None:
    assert world.one(_rise("^HSI", 13, 0.5, "2025-03-14")).reason is Reason.FUTURE
    (late,) = world.audit([_rise("^HSI", 13, 0.5, "2025-03-14")], today=D("2025-04-01"))
    assert late.reason is Reason.STALE_DATA
    (own,) = world.audit(
        [_rise("^HSI", 99, 0.5, "2025-03-03", as_of_basis=AsOfBasis.DOCUMENT_DATE)], today=D("2025-04-01")
    )
    assert own.verdict is not Verdict.CONTRADICTED, "its own day has not been loaded"
    assert world.one(_rise("^N225", 3, 0.5, "2025-02-14")).reason is Reason.NO_DATA
    assert world.one(_rise("^HSI", 3, 0.5, "2021-11-05")).reason is Reason.INSUFFICIENT_HISTORY


def test_many_claims_are_read_in_one_go(world: World) -> None:
    some = list(_article("2025-02-14", AsOfBasis.DOCUMENT_DATE).values())
    some += [_high("HSTECH.HK", "2025-02-18"), _high("^HSI", "2024-10-07")]
    statements = []
    listener = lambda *args: statements.append(args[2])  # noqa: E731
    sa.event.listen(world.engine, "before_cursor_execute", listener)
    started = time.monotonic()
    found = world.audit([some[n % len(some)] for n in range(3000)])
    seconds = time.monotonic() - started
    sa.event.remove(world.engine, "before_cursor_execute", listener)
    assert len(found) == 3000
    assert len(statements) < 12
    assert seconds < 6, "10,000 in 20 s"


# --- the history ------------------------------------------------------------------------------------------------------


def _id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@pytest.fixture
def connection(world: World) -> Iterator[sa.Connection]:
    """A transaction that is undone."""
    with world.engine.connect() as connection:
        transaction = connection.begin()
        yield connection
        transaction.rollback()


def _audits(connection: sa.Connection) -> list[dict[str, Any]]:
    query = sa.select(mart_claim_audit).order_by(mart_claim_audit.c.claim_id, mart_claim_audit.c.audited_at)
    return [dict(row) for row in connection.execute(query).mappings()]


def test_history(world: World, connection: sa.Connection) -> None:
    claims = {_id(name): made for name, made in _article("2025-02-14", AsOfBasis.STATED).items()}
    claims[_id("mood")] = claim(ClaimType.SENTIMENT, "", "", "2025-02-14")
    write_notes(connection, list(claims.items()))

    def run(hour: int, **more: Any) -> Any:
        at = AT + dt.timedelta(hours=hour)
        more = {"today": TODAY, **more}
        return audit_in(connection, world.calendars, world.catalog, audited_at=at, **more)

    first = run(0)
    assert (first.claims, first.audited, first.appended, first.withdrawn) == (8, 8, 8, 0)
    assert first.verdicts == {"confirmed": 7, "not_checkable": 1}
    rows = _audits(connection)
    assert {r["audit_no"] for r in rows} == {1}
    assert all(r["is_latest"] for r in rows)
    usd = next(r for r in rows if r["claim_id"] == _id("usd"))
    assert json.loads(usd["observed_dates"]) == ["2025-02-14"]
    assert len(json.loads(usd["evidence"])) == 9
    assert usd["explanation"].startswith("southbound 2025-02-05 → 2025-02-14: USD 3.42 bn, stated USD 3.40 bn")

    again = run(1)
    assert (again.audited, again.appended) == (0, 0), "nothing is stale"
    every = run(2, only_stale=False)
    assert (every.audited, every.appended) == (8, 0), "the same is not said twice"
    assert _audits(connection) == rows

    # a rate and a flow are restated: what rests on them is looked at again, and told only if it changed
    flow = metadata.tables["core_southbound_flow_daily"]
    where = sa.and_(flow.c.channel == "sse", flow.c.session_date == D("2025-02-14"), flow.c.known_to_at.is_(None))
    old = dict(connection.execute(sa.select(flow).where(where)).mappings().one())
    connection.execute(sa.update(flow).where(where).values(known_to_at=AT))
    connection.execute(sa.insert(flow), [old | {"buy_hkd_mn": old["buy_hkd_mn"] + 5000, "known_from_at": AT}])
    mark_stale(connection, {"core_southbound_flow_daily": {"hkex": D("2025-02-14")}})
    refresh(connection)
    changed = run(3)
    assert (changed.audited, changed.appended) == (2, 2)
    assert changed.verdicts == {"confirmed": 5, "contradicted": 2, "not_checkable": 1}
    hkd = [r for r in _audits(connection) if r["claim_id"] == _id("hkd")]
    assert [(r["audit_no"], r["is_latest"], r["verdict"]) for r in hkd] == [
        (1, False, "confirmed"),
        (2, True, "contradicted"),
    ]
    assert hkd[1]["data_known_at"] == AT
    assert run(4).audited == 0

    # the notes are read anew: one claim differs, one is gone
    other = dict(list(claims.items())[1:])
    other[_id("dax")] = dataclasses.replace(other[_id("dax")], value=21.3)
    write_notes(connection, list(other.items()), version="2", known_at=AT)
    read = run(5)
    assert (read.claims, read.audited, read.appended, read.withdrawn) == (7, 1, 1, 1)
    gone = [r for r in _audits(connection) if r["claim_id"] == _id("hsi")]
    assert [r["is_latest"] for r in gone] == [False]
    latest = [r["claim_id"] for r in _audits(connection) if r["is_latest"]]
    assert sorted(latest) == sorted(other)


def test_what_comes_later_is_looked_at_again(world: World, connection: sa.Connection) -> None:
    """A high claimed for the 17th, audited before the 18th was known."""
    write_notes(connection, [(_id("high"), _high("HSTECH.HK", "2025-02-17"))])

    def run(hour: int, today: str) -> dict[str, Any]:
        at = AT + dt.timedelta(hours=hour)
        report = audit_in(connection, world.calendars, world.catalog, today=D(today), audited_at=at)
        return {**next(r for r in _audits(connection) if r["is_latest"]), "audited": report.audited}

    before = run(0, "2025-02-17")
    assert before["verdict"] != "window_decides" or before["reason"] == "length_decides"
    after = run(1, "2025-02-18")
    assert (after["verdict"], json.loads(after["observed_dates"])) == ("window_decides", ["2025-02-18"])
    assert run(2, "2025-02-20")["audited"] == 1, "while days around it may still come"
    assert run(3, "2025-03-10")["audited"] == 1
    assert run(4, "2025-03-11")["audited"] == 0
    assert len(_audits(connection)) == 2


def test_an_audit_of_everything_finds_nothing_that_was_left_out(world: World, connection: sa.Connection) -> None:
    """Days are restated and notes are read anew at random; then what was audited again is compared with all."""
    random_ = random.Random(1)
    price = metadata.tables["core_price_daily"]
    days = ["2024-02-14", "2024-10-03", "2024-12-31", "2025-01-13", "2025-02-05", "2025-02-14", "2025-02-20"]
    claims = {_id(f"{name} {day}"): made for day in days for name, made in _article(day, AsOfBasis.STATED).items()}
    claims |= {_id(f"high {day}"): _high(random_.choice(SYMBOLS), day) for day in days}
    write_notes(connection, list(claims.items()))
    appended, audited = 0, set[int]()
    for step in range(6):
        at = AT + dt.timedelta(hours=step)
        for symbol in random_.sample(SYMBOLS, step % 3):
            where = sa.and_(price.c.symbol == symbol, price.c.session_date <= D(random_.choice(days)))
            last = sa.select(sa.func.max(price.c.session_date)).where(where).scalar_subquery()
            believed = sa.and_(price.c.symbol == symbol, price.c.session_date == last, price.c.known_to_at.is_(None))
            old = dict(connection.execute(sa.select(price).where(believed)).mappings().one())
            connection.execute(sa.update(price).where(believed).values(known_to_at=at))
            connection.execute(sa.insert(price), [old | {"close": old["close"] * 1.2, "known_from_at": at}])
            mark_stale(connection, {price.name: {symbol: old["session_date"]}})
        refresh(connection)
        if step in (2, 4):
            one = random_.choice(sorted(claims))
            claims[one] = dataclasses.replace(claims[one], value=21.3)
            claims.pop(random_.choice(sorted(claims.keys() - {one})))
            write_notes(connection, list(claims.items()), version=str(step), known_at=at)
        incremental = audit_in(connection, world.calendars, world.catalog, today=TODAY, audited_at=at)
        audited.add(incremental.audited)
        appended += incremental.appended
        rows = _audits(connection)
        with connection.begin_nested() as aside:
            every = audit_in(connection, world.calendars, world.catalog, today=TODAY, audited_at=at, only_stale=False)
            assert (every.audited, every.appended, every.withdrawn) == (len(claims), 0, 0)
            assert every.verdicts == incremental.verdicts
            aside.rollback()
        assert _audits(connection) == rows
    assert appended > len(days) * 8, "something that was restated changed a verdict"
    assert min(audited) < len(claims) / 3, "something was left out"
