"""Market rules on small series written by hand: what each one flags, and what it leaves alone."""

from __future__ import annotations

import datetime as dt
import functools
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rally_pipeline.catalog.model import Catalog, Instrument
from rally_pipeline.quality import suites
from rally_pipeline.quality.gate import Batch, Verdict, check, row_keys
from rally_pipeline.quality.known import KnownFacts
from rally_pipeline.quality.rules import batch_checks_for, checks_for, severity_of
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources.base import Dataset, Severity, typed_frame

NOW = dt.datetime(2024, 6, 3, 12, 0, tzinfo=dt.UTC)
_KINDS = {"SHARE.HK": "share", "FUND.HK": "etf", "^INDEX": "index"}
CATALOG = Catalog(
    instruments={
        symbol: Instrument.model_validate(
            {"symbol": symbol, "name": symbol, "market": "HK", "currency": "HKD", "kind": kind}
        )
        for symbol, kind in _KINDS.items()
    },
    events={},
    calendar_overrides=(),
    content_hash="",
)


@functools.cache
def calendars() -> Calendars:
    return Calendars.from_catalog(CATALOG)


def sessions(count: int, market: str = "HK", first: dt.date = dt.date(2024, 3, 4)) -> list[dt.date]:
    return calendars().known_sessions(market, first, first + dt.timedelta(days=2 * count + 10))[:count]


def bars(closes: Sequence[float], symbol: str = "SHARE.HK", first: dt.date = dt.date(2024, 3, 4), **more: Any) -> Any:
    close = np.array(closes, float)
    columns: dict[str, Any] = {
        "symbol": [symbol] * len(close),
        "session_date": pd.to_datetime(sessions(len(close), first=first)),
        **dict.fromkeys(("open", "close", "adj_open", "adj_close"), close),
        **dict.fromkeys(("high", "adj_high"), close * 1.01),
        **dict.fromkeys(("low", "adj_low"), close * 0.99),
        "volume": 1000.0 + np.arange(len(close)),
        "currency": ["HKD"] * len(close),
        "locator": [f"row {number}" for number in range(1, len(close) + 1)],
    }
    return typed_frame(Dataset.PRICE, columns | more)


def judge(frame: pd.DataFrame, dataset: Dataset = Dataset.PRICE, **facts: Any) -> Verdict:
    return check(Batch(dataset, frame, CATALOG, calendars(), NOW, KnownFacts(**facts)))


def broken(verdict: Verdict) -> dict[str, int]:
    return {result.rule: result.unexpected_count for result in verdict.results if not result.is_success}


def aside(verdict: Verdict) -> dict[str, list[int]]:
    """Rows set aside by rule, as numbers of their locators."""
    found: dict[str, list[int]] = {}
    for rule, locator in zip(verdict.set_aside["rule"], verdict.set_aside["locator"], strict=True):
        found.setdefault(rule, []).append(int(locator.split()[1]) - 1)
    return found


STEADY = [100 + 0.3 * number for number in range(20)]


def test_a_quiet_month_breaks_nothing() -> None:
    assert broken(judge(bars(STEADY))) == {}


@pytest.mark.parametrize(
    ("changes", "flagged"),
    [
        ({7: 100}, [7]),
        ({7: 0.01}, [7]),
        ({0: 100}, [0]),
        ({19: 0.01}, [19]),
        ({7: 100, 13: 0.01}, [7, 13]),
        (dict.fromkeys(range(10), 100), list(range(20))),  # half and half: nobody can say
    ],
)
def test_hundredfold(changes: dict[int, float], flagged: list[int]) -> None:
    closes = [close * changes.get(number, 1) for number, close in enumerate(STEADY)]
    assert aside(judge(bars(closes))) == {"hundredfold_error": flagged}


def test_hundredfold_against_what_is_known() -> None:
    known = bars([99.0], first=dt.date(2024, 3, 1))
    closes = [close * (100 if number < 15 else 1) for number, close in enumerate(STEADY)]
    assert aside(judge(bars(closes), previous=known)) == {"hundredfold_error": list(range(15))}
    assert aside(judge(bars([close * 0.01 for close in STEADY]), previous=known)) == {
        "hundredfold_error": list(range(20))
    }


def test_one_price_of_a_bar_a_hundred_times() -> None:
    frame = bars(STEADY)
    frame.loc[4, "high"] *= 100
    assert aside(judge(frame)) == {"hundredfold_error": [4]}


def test_splits() -> None:
    ratio = [0.0] * 20
    ratio[10] = 5.0
    unadjusted = [close * (5 if number < 10 else 1) for number, close in enumerate(STEADY)]
    assert aside(judge(bars(unadjusted, split_ratio=ratio))) == {"missing_split_adjust": list(range(10))}
    one = [close * (5 if number in (3, 4) else 1) for number, close in enumerate(STEADY)]
    assert aside(judge(bars(one, split_ratio=ratio))) == {"bad_split": [3, 4]}
    assert broken(judge(bars(STEADY, split_ratio=ratio))) == {}
    # known before the split, on the old footing: no fault of the payload
    known = bars([500.0], first=dt.date(2024, 3, 1))
    first = [5.0, *[0.0] * 19]
    assert "level_jump" not in broken(judge(bars(STEADY, split_ratio=first), previous=known))


def test_dividends() -> None:
    paid = [0.0] * 20
    paid[10] = 4.0
    closes = [close - (4 if number >= 10 else 0) for number, close in enumerate(STEADY)]
    factor = 1 - 4 / closes[9]
    adjusted = [close * (factor if number < 10 else 1) for number, close in enumerate(closes)]
    right = {"dividend": paid, "adj_close": adjusted, "adj_open": np.nan, "adj_high": np.nan, "adj_low": np.nan}
    assert broken(judge(bars(closes, **right))) == {}
    assert aside(judge(bars(closes, **right | {"adj_close": closes}))) == {"missing_dividend_adjust": [10]}
    hundred = [value * 100 for value in paid]
    assert aside(judge(bars(closes, **right | {"dividend": hundred}))) == {"bad_dividend": [10]}
    hundredth = [value / 100 for value in paid]
    assert aside(judge(bars(closes, **right | {"dividend": hundredth}))) == {"bad_dividend": [10]}


def test_a_special_dividend_is_no_jump() -> None:
    """Half of the value is paid out, and the price falls with it."""
    closes = [close - (90 if number >= 10 else 0) for number, close in enumerate(STEADY)]
    paid = [0.0] * 20
    paid[10] = 90.0
    assert broken(judge(bars(closes, dividend=paid, adj_close=np.nan))) == {}


@pytest.mark.parametrize(
    ("symbol", "factor", "rules"),
    [
        ("^INDEX", 1.10, {}),
        ("^INDEX", 1.20, {"large_move": 1}),
        ("^INDEX", 1.30, {"large_move": 1, "level_jump": 1}),
        ("^INDEX", 0.70, {"large_move": 1, "level_jump": 1}),
        ("FUND.HK", 1.30, {"large_move": 1}),
        ("FUND.HK", 1.45, {"large_move": 1, "level_jump": 1}),
        ("SHARE.HK", 0.5, {"large_move": 1}),
        ("SHARE.HK", 6.0, {"large_move": 1, "level_jump": 1}),
    ],
)
def test_level_jump_by_class(symbol: str, factor: float, rules: dict[str, int]) -> None:
    known = bars([100.0], symbol, first=dt.date(2024, 3, 1))
    assert broken(judge(bars([100 * factor], symbol), previous=known)) == rules


def test_after_a_month_without_data_nothing_is_compared() -> None:
    known = bars([50.0], "^INDEX", first=dt.date(2024, 1, 15))
    assert broken(judge(bars([100.0], "^INDEX"), previous=known)) == {}


def test_a_spike_is_one_row_and_a_new_level_too() -> None:
    spike = [close * (2 if number == 8 else 1) for number, close in enumerate(STEADY)]
    assert aside(judge(bars(spike, "^INDEX"))) == {"level_jump": [8]}
    level = [close * (2 if number >= 8 else 1) for number, close in enumerate(STEADY)]
    assert aside(judge(bars(level, "^INDEX"))) == {"level_jump": [8]}
    odd_first = [close * (2 if number == 0 else 1) for number, close in enumerate(STEADY)]
    assert aside(judge(bars(odd_first, "^INDEX"))) == {"level_jump": [0]}


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"high": 99.0, "open": 98.5, "low": 98.0}, {"high_is_highest"}),
        ({"low": 101.0, "open": 101.2, "high": 102.0}, {"low_is_lowest"}),
        ({"open": 101.5}, {"open_within_range"}),
        ({"open": 104.0}, {"open_within_range", "high_is_highest"}),
        ({"high": 100.0 - 1e-6, "open": 99.5}, set()),
    ],
)
def test_the_shape_of_a_bar(changes: dict[str, float], rules: set[str]) -> None:
    frame = bars([100.0] * 1, adj_open=np.nan, adj_high=np.nan, adj_low=np.nan)
    for name, value in changes.items():
        frame.loc[0, name] = value
    assert set(broken(judge(frame))) == rules


def test_stale_repeat() -> None:
    frame = bars(STEADY)
    figures = ["open", "high", "low", "close", "adj_open", "adj_high", "adj_low", "adj_close", "volume"]
    frame.loc[6, figures] = frame.loc[5, figures]
    assert aside(judge(frame)) == {"stale_repeat": [6]}
    frame.loc[[5, 6], "volume"] = 0  # nothing traded: the same price is no news
    assert aside(judge(frame)) == {}


def test_flat_bars() -> None:
    flat = dict.fromkeys(("open", "high", "low", "close", "adj_open", "adj_high", "adj_low", "adj_close"), 100.0)
    half, full = pd.to_datetime(["2024-02-09"]), pd.to_datetime(["2024-02-08"])
    half_day = judge(bars([100.0], **flat, volume=0.0, session_date=half))
    assert (broken(half_day), len(half_day.rows)) == ({"flat_zero_volume_half_day": 1}, 1)
    full_day = judge(bars([100.0], **flat, volume=0.0, session_date=full))
    assert broken(full_day) == {"zero_volume_full_session": 1}
    index = judge(bars([100.0], "^INDEX", volume=0.0, session_date=full))
    assert broken(index) == {}, "indices have no volume"


def test_days() -> None:
    frame = bars([100.0] * 4, volume=[1.0, 2, 3, 4], adj_close=[100.0, 101, 102, 103], close=[100.0, 101, 102, 103],
                 session_date=pd.to_datetime(["2024-03-04", "2024-03-09", "2024-06-03", "2024-06-04"]))  # fmt: skip
    frame[["high", "adj_high"]] = 104.0
    frame[["low", "adj_low"]] = 99.0
    verdict = check(Batch(Dataset.PRICE, frame, CATALOG, calendars(), NOW.replace(hour=3)))
    assert aside(verdict) == {"bar_on_closed_day": [1], "session_not_over": [2, 3]}
    far = frame.assign(session_date=pd.to_datetime(["1999-03-04", "2024-03-05", "2024-03-06", "2024-03-07"]))
    assert aside(judge(far)) == {"session_unknown": [0]}


def flows(count: int = 12, **more: Any) -> pd.DataFrame:
    number = np.arange(count)
    buy, sell = 9000 + 11.11 * number, 8000 + 7.07 * number
    columns: dict[str, Any] = {
        "channel": ["sse"] * count,
        "session_date": pd.to_datetime(sessions(count, "SOUTHBOUND")),
        "buy_hkd_mn": buy,
        "sell_hkd_mn": sell,
        "net_buy_hkd_mn": buy - sell,
        "turnover_hkd_mn": buy + sell,
        "locator": [f"row {i + 1}" for i in number],
    }
    return typed_frame(Dataset.SOUTHBOUND_FLOW, columns | more)


def test_flows_add_up() -> None:
    assert broken(judge(flows(), Dataset.SOUTHBOUND_FLOW)) == {}
    frame = flows()
    frame.loc[3, "turnover_hkd_mn"] += 0.05
    frame.loc[4, "net_buy_hkd_mn"] *= -1
    frame.loc[5, "turnover_hkd_mn"] += 0.015
    assert aside(judge(frame, Dataset.SOUTHBOUND_FLOW)) == {
        "turnover_is_buy_and_sell": [3],
        "net_is_buy_less_sell": [4],
    }


def test_totals_of_channels() -> None:
    sse, szse = flows(), flows(channel=["szse"] * 12)
    total = flows(channel=["total"] * 12)
    for name in ("buy_hkd_mn", "sell_hkd_mn", "net_buy_hkd_mn", "turnover_hkd_mn"):
        total[name] = sse[name] + szse[name]
    whole = pd.concat([sse, szse, total], ignore_index=True)
    assert broken(judge(whole, Dataset.SOUTHBOUND_FLOW)) == {}
    total.loc[2, ["buy_hkd_mn", "turnover_hkd_mn", "net_buy_hkd_mn"]] += 5
    whole = pd.concat([sse, szse, total], ignore_index=True)
    assert broken(judge(whole, Dataset.SOUTHBOUND_FLOW)) == {"total_is_channels": 1}


def test_units_of_flows() -> None:
    known = flows(8, session_date=pd.to_datetime(sessions(8, "SOUTHBOUND", dt.date(2024, 2, 16))))
    scaled = flows()
    names = ["buy_hkd_mn", "sell_hkd_mn", "net_buy_hkd_mn", "turnover_hkd_mn"]
    scaled[names] *= 100
    verdict = judge(scaled, Dataset.SOUTHBOUND_FLOW, previous=known)
    assert aside(verdict)["unit_plausible"][:5] == [0, 1, 2, 3, 4]


def test_row_count_band() -> None:
    assert broken(judge(bars(STEADY), row_counts=(20, 19, 20, 21, 20))) == {}
    assert broken(judge(bars(STEADY), row_counts=(60, 61, 62, 61, 60))) == {"row_count_band": 1}
    assert broken(judge(bars(STEADY), row_counts=(60, 61))) == {}, "too few to say"


def test_severities() -> None:
    assert severity_of(Dataset.PRICE, "unique_session") is Severity.ERROR
    assert severity_of(Dataset.PRICE, "hundredfold_error") is Severity.QUARANTINE
    assert severity_of(Dataset.FX, "fx_peg_band") is Severity.WARN
    with pytest.raises(KeyError):
        severity_of(Dataset.FX, "high_is_highest")


def test_two_rows_about_one_fact_refuse_the_payload() -> None:
    frame = bars([100.0, 101.0])
    frame.loc[1, "session_date"] = frame.loc[0, "session_date"]
    refusal = judge(frame).refusal
    assert refusal is not None
    assert (refusal.rule, refusal.locator) == ("unique_session", "row 1")
    assert "SHARE.HK 2024-03-04" in refusal.message


def test_a_wrong_type_refuses_the_payload() -> None:
    frame = bars(STEADY).astype({"volume": "float32"})
    refusal = judge(frame).refusal
    assert refusal is not None
    assert (refusal.rule, "volume" in refusal.message) == ("column_types", True)


def test_every_row_that_breaks_a_rule_is_reported() -> None:
    frame = bars([100.0 + number % 7 for number in range(1500)], first=dt.date(2015, 1, 5))
    frame.loc[frame.index % 2 == 0, "volume"] = -1.0
    verdict = judge(frame)
    assert broken(verdict)["volume_not_negative"] == len(verdict.set_aside) == 750
    (result,) = (r for r in verdict.results if r.rule == "volume_not_negative")
    assert len(result.examples) == 10
    assert result.unexpected_count == 750


def test_row_keys_are_text() -> None:
    assert row_keys(Dataset.PRICE, bars([1.0, 2.0]), [1]) == ["SHARE.HK 2024-03-05"]


def test_a_fault_of_the_suite_is_no_finding() -> None:
    """Great Expectations says only *not met* where an expectation cannot be computed."""
    frame = bars(STEADY)
    with pytest.raises(suites.ExpectationFailedToRunError):
        suites.validate(Dataset.PRICE, frame, pd.DataFrame(index=frame.index))


def test_the_prepared_suite_says_what_great_expectations_says_itself() -> None:
    """The kept graph against an ephemeral context's own validation of every expectation, rows included."""
    frame = bars(STEADY)
    frame.loc[3, ["close", "volume", "high"]] = [-5.0, -1.0, 90.0]
    frame.loc[7, "currency"] = "hkd"
    frame.loc[9, "symbol"] = None
    verdicts = {c.columns[0]: np.arange(20) != 11 for c in checks_for(Dataset.PRICE) if c.kind == "verdict"}
    whole = {c.columns[0]: np.ones(20, bool) for c in batch_checks_for(Dataset.PRICE)}
    judged = pd.DataFrame(verdicts | whole)
    found = {rule: set(one.positions) for rule, one in suites.validate(Dataset.PRICE, frame, judged).items()}
    expected: dict[str, set[int]] = {}
    together = pd.concat([frame, judged], axis=1)
    for one, positions in suites._complete(Dataset.PRICE, checks_for(Dataset.PRICE), together):
        if positions:
            expected.setdefault(one.rule, set()).update(positions)
    assert found == expected
    assert {"price_positive": {3}, "currency_format": {7}, "symbol_present": {9}}.items() <= found.items()


@pytest.mark.parametrize("spoiled", [None, "range", "key", "key_missing", "type"])
def test_payloads_judged_together_are_judged_as_each_alone(spoiled: str | None) -> None:
    """Among them the same keys in two payloads, which are no repetition, and a payload of another type or of no row."""
    frames = [bars(STEADY), bars(STEADY), bars([100.0, 101.0]), bars(STEADY).iloc[:0]]
    if spoiled == "range":
        frames[1].loc[[2, 5], "close"] = -1.0
    elif spoiled == "key":
        frames[2].loc[1, "session_date"] = frames[2].loc[0, "session_date"]
    elif spoiled == "key_missing":
        frames[0].loc[4, "symbol"] = None
    elif spoiled == "type":
        frames[2]["volume"] = frames[2]["volume"].astype("int64")
    alone = [suites.validate_values(Dataset.PRICE, [frame])[0] for frame in frames]
    assert suites.validate_values(Dataset.PRICE, frames) == alone
    expected = [suites._values_broken(Dataset.PRICE, frame) if len(frame) else {} for frame in frames]
    assert alone == expected
    assert any(alone) is (spoiled is not None)


def test_what_no_expectation_uses_is_imported_by_whoever_asks_for_it() -> None:
    code = textwrap.dedent(
        """
        import sys
        from rally_pipeline.quality import suites
        suites.imported("great_expectations.expectations")
        assert not {"altair", "scipy.stats"} & set(sys.modules), "imported"
        from great_expectations.expectations.core import expect_column_kl_divergence_to_be_less_than as module
        assert module.stats.entropy([1.0]) == 0 and module.alt.Chart
        from scipy import stats
        import altair
        assert stats.norm.cdf(0) == 0.5 and altair.Chart is module.alt.Chart
        """
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
