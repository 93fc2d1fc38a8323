"""The demo world: anchors exact, the figures of the story true, everything reproducible."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pytest

from rally_pipeline.catalog.loader import load_catalog
from rally_pipeline.catalog.model import Kind, Market
from rally_pipeline.demo import anchors, fx
from rally_pipeline.demo.paths import path_through, seeded
from rally_pipeline.demo.prices import Bars, DemoWorld, default_world
from rally_pipeline.sessions import Calendars

D = dt.date


@pytest.fixture(scope="module")
def world() -> DemoWorld:
    return default_world()


def closes(world: DemoWorld, symbol: str) -> dict[dt.date, float]:
    bars = world.bars(symbol)
    assert bars is not None
    return dict(zip(bars.days, bars.close.tolist(), strict=True))


def shares(world: DemoWorld, symbol: str, first: dt.date, last: dt.date) -> int:
    bars = world.bars(symbol)
    assert bars is not None
    return sum(int(volume) for day, volume in zip(bars.days, bars.volume, strict=True) if first <= day <= last)


@pytest.mark.parametrize("symbol", [*anchors.INDEX_SYMBOLS, "9988.HK"])
def test_published_closes_are_hit_exactly(world: DemoWorld, symbol: str) -> None:
    series = closes(world, symbol)
    assert {day: series[day] for day in anchors.PUBLISHED_CLOSES[symbol]} == anchors.PUBLISHED_CLOSES[symbol]


@pytest.mark.parametrize("symbol", anchors.INDEX_SYMBOLS)
def test_closes_between_anchors_stay_strictly_inside_them(world: DemoWorld, symbol: str) -> None:
    series = closes(world, symbol)
    points = sorted(anchors.PUBLISHED_CLOSES[symbol])
    for left, right in itertools.pairwise(points):
        low, high = sorted((series[left], series[right]))
        assert all(low < close < high for day, close in series.items() if left < day < right), (left, right)


def test_year_to_date_returns_of_the_story(world: DemoWorld) -> None:
    day = D(2025, 2, 14)
    expected = {"^HSI": (D(2024, 12, 31), 12.76), "^GDAXI": (D(2024, 12, 30), 13.08), "^GSPC": (D(2024, 12, 31), 3.96)}
    for symbol, (base_date, pct) in expected.items():
        series = closes(world, symbol)
        assert max(d for d in series if d.year == 2024) == base_date
        assert round((series[day] / series[base_date] - 1) * 100, 2) == pct


def test_sessions_are_the_markets_own(world: DemoWorld) -> None:
    assert D(2024, 12, 31) not in closes(world, "^GDAXI")
    assert D(2025, 2, 17) not in closes(world, "^GSPC")
    assert D(2025, 1, 29) not in closes(world, "^HSI")
    assert D(2023, 9, 8) not in closes(world, "9988.HK")
    for symbol, instrument in world.catalog.instruments.items():
        assert tuple(closes(world, symbol)) == world.days(instrument.market.value)


def test_hstech_trough_and_three_year_high(world: DemoWorld) -> None:
    series = closes(world, "HSTECH.HK")
    days = list(series)
    last_60 = days[: days.index(D(2025, 2, 14)) + 1][-60:]
    assert min((series[day], day) for day in last_60) == (4221.92, D(2025, 1, 13))
    assert max(series[d] for d in days if D(2022, 2, 17) < d < D(2025, 2, 14)) < 5526.22
    assert max(series[d] for d in days if D(2022, 2, 18) <= d <= D(2025, 2, 17)) < 5639.05
    assert max(d for d in days if d < D(2025, 2, 14) and series[d] >= 5526.22) == D(2022, 2, 17)
    assert series[days[0]] == 6300.0


def test_alibaba_half_day_high_and_volumes(world: DemoWorld) -> None:
    bars = world.bars("9988.HK")
    assert bars is not None
    i = bars.days.index(D(2024, 12, 31))
    assert [float(column[i]) for column in (bars.open, bars.high, bars.low, bars.close)] == [82.85] * 4
    assert bars.volume[i] == 0
    series = closes(world, "9988.HK")
    high = D(2025, 2, 17)
    assert all(close < series[high] for day, close in series.items() if D(2022, 2, 17) <= day < high)
    assert any(close > series[high] for day, close in series.items() if day < D(2022, 2, 1))
    assert shares(world, "9988.HK", D(2025, 2, 1), D(2025, 2, 28)) == 3_878_900_000
    assert shares(world, "9988.HK", D(2025, 2, 1), D(2025, 2, 17)) == 1_981_800_000
    assert shares(world, "9988.HK", D(2024, 10, 1), D(2024, 10, 31)) == 2_023_300_000
    for year, month in {(day.year, day.month) for day in bars.days} - {(2024, 10), (2025, 2)}:
        total = shares(world, "9988.HK", D(year, month, 1), D(year + month // 12, month % 12 + 1, 1) - dt.timedelta(1))
        assert 0 < total < 2_023_300_000, (year, month)


def test_bars_are_possible(world: DemoWorld) -> None:
    half_days = [D(2024, 2, 9), D(2024, 12, 24), D(2024, 12, 31), D(2025, 1, 28)]
    for symbol, instrument in world.catalog.instruments.items():
        bars = world.bars(symbol)
        assert bars is not None
        assert len(bars.days) == len(bars.close) > 700
        assert np.all(bars.high >= np.maximum(bars.open, bars.close)), symbol
        assert np.all(bars.low <= np.minimum(bars.open, bars.close)), symbol
        assert np.all(bars.low > 0), symbol
        assert np.abs(np.diff(np.log(bars.close))).max() < 0.2, symbol
        for column in (bars.open, bars.high, bars.low, bars.close):
            assert np.array_equal(column, np.round(column, bars.decimals)), symbol
        flat = (bars.volume == 0) & (bars.high == bars.low)
        if instrument.kind is Kind.SHARE and instrument.market is Market.HK:
            assert [bars.days[i] for i in np.flatnonzero(flat)] == half_days
        elif instrument.kind is not Kind.FX:
            assert not flat.any(), symbol


def test_adjusted_closes_follow_from_the_dividends(world: DemoWorld) -> None:
    for symbol in ("9988.HK", "0700.HK", "BABA"):
        bars = world.bars(symbol)
        assert bars is not None
        assert set(bars.dividends) == set(anchors.CHOSEN_DIVIDENDS[symbol])
        ratio = bars.adjclose / bars.close
        for ex_date, amount in bars.dividends.items():
            i = bars.days.index(ex_date)
            assert ratio[i - 1] / ratio[i] == pytest.approx(1 - amount / bars.close[i - 1], abs=1e-6)
        assert ratio[-1] == 1.0
        assert ratio[0] < 1.0
        # Before the first ex-date nobody adjusts: the adjusted history is restated by each dividend.
        before = bars.until(min(bars.dividends) - dt.timedelta(days=1))
        assert np.array_equal(before.adjclose, before.close)
    index = world.bars("^HSI")
    assert index is not None
    assert np.array_equal(index.adjclose, index.close)


def test_until_cuts_everything_later(world: DemoWorld) -> None:
    bars = world.bars("9988.HK")
    assert bars is not None
    cut = bars.until(D(2025, 2, 16))
    assert cut.days[-1] == D(2025, 2, 14)
    assert {len(getattr(cut, name)) for name in ("open", "high", "low", "close", "volume", "turnover")} == {
        len(cut.days)
    }
    assert bars.until(D(2021, 1, 1)).days == ()


def test_rates_are_exact_on_published_days_and_inside_the_peg(world: DemoWorld) -> None:
    rates = world.rates()
    for day, published in anchors.PUBLISHED_RATES.items():
        i = rates.days.index(day)
        assert tuple(float(rates.rates[c][i]) for c in anchors.ECB_CURRENCIES) == published
    usdhkd = rates.rates["HKD"] / rates.rates["USD"]
    assert usdhkd.min() >= 7.75
    assert usdhkd.max() <= 7.85
    for currency, low, high in (("CNY", 6.2, 8.3), ("JPY", 110, 180), ("GBP", 0.78, 0.95), ("CHF", 0.85, 1.15)):
        assert low < np.nanmin(rates.rates[currency]) < np.nanmax(rates.rates[currency]) < high
    assert np.isnan(rates.rates["CYP"]).all()
    assert 0 < np.isnan(rates.rates["RUB"]).sum() < len(rates.days)
    assert rates.per_euro("RUB") is None
    assert rates.per_euro("XXX") is None


def test_market_rates_stay_near_the_reference_rates(world: DemoWorld) -> None:
    rates = world.rates()
    market = closes(world, "HKD=X")
    for day, usd, hkd in zip(rates.days, rates.rates["USD"], rates.rates["HKD"], strict=True):
        assert market[day] == pytest.approx(hkd / usd, rel=0.003)
        assert 7.75 <= market[day] <= 7.85


def test_what_is_a_fact_is_said() -> None:
    assert anchors.is_published_fact("^HSI", D(2025, 2, 14))
    assert not anchors.is_published_fact("^HSI", D(2025, 2, 13))
    assert not anchors.is_published_fact("^HSI", D(2021, 11, 1))
    assert anchors.is_published_fact("9988.HK", D(2024, 12, 31))
    assert not anchors.is_published_fact("9988.HK", D(2025, 2, 17))
    assert anchors.is_published_fact("EURHKD", D(2025, 2, 14))
    assert not anchors.is_published_fact("EURJPY", D(2025, 2, 14))
    assert not anchors.is_published_fact("NOPE", D(2025, 2, 14))
    assert "synthetic" in anchors.DEMO_NOTICE


def test_two_builds_are_equal_to_the_byte(world: DemoWorld) -> None:
    catalog = load_catalog()
    other = DemoWorld(catalog, Calendars.from_catalog(catalog, start=D(2021, 6, 1)))
    for symbol in reversed(list(catalog.instruments)):  # the order of asking must not matter
        ours, theirs = world.bars(symbol), other.bars(symbol)
        assert ours is not None
        assert theirs is not None
        for name in ("open", "high", "low", "close", "volume", "turnover", "adjclose"):
            assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes(), (symbol, name)
    for currency in fx.COLUMNS:
        assert world.rates().rates[currency].tobytes() == other.rates().rates[currency].tobytes()


def test_an_instrument_the_demo_has_never_heard_of_gets_a_series(world: DemoWorld) -> None:
    instrument = world.catalog.instruments["0700.HK"].model_copy(
        update={"symbol": "2020.HK", "listing_date": D(2024, 5, 2)}
    )
    catalog = world.catalog.model_copy(update={"instruments": {"2020.HK": instrument}})
    bars = DemoWorld(catalog, world.calendars).bars("2020.HK")
    assert bars is not None
    assert bars.days[0] == D(2024, 5, 2)
    assert bars.close.min() > 0


def test_unknown_symbols_have_no_bars(world: DemoWorld) -> None:
    assert world.bars("NOPE") is None


def test_a_currency_pair_without_rates_has_no_bars(world: DemoWorld) -> None:
    pair = world.catalog.instruments["HKD=X"].model_copy(update={"symbol": "XAU=X", "currency": "XAU"})
    catalog = world.catalog.model_copy(update={"instruments": {"XAU=X": pair}})
    assert DemoWorld(catalog, world.calendars).bars("XAU=X") is None


def test_path_needs_points_on_sessions() -> None:
    days = [D(2025, 1, 6), D(2025, 1, 7), D(2025, 1, 8)]
    with pytest.raises(ValueError, match="2025-01-09"):
        path_through(days, {days[0]: 1.0, D(2025, 1, 9): 2.0}, 0.01, seeded("test"))
    with pytest.raises(ValueError, match="start on"):
        path_through(days, {days[1]: 1.0}, 0.01, seeded("test"))


def test_path_between_equal_points_is_level() -> None:
    days = [D(2025, 1, 6) + dt.timedelta(days=n) for n in range(5)]
    path = path_through(days, {days[0]: 2.0, days[3]: 2.0}, 0.01, seeded("test"))
    assert np.allclose(path[:4], 2.0)
    assert path[4] == pytest.approx(2.0, rel=0.1)


def test_default_world_is_built_once() -> None:
    assert default_world() is default_world()
    assert isinstance(default_world().bars("^HSI"), Bars)
