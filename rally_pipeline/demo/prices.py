"""The demo's daily bars: published closes hit exactly, synthetic days between them, reproducible to the byte.

Belongs here: how bars are computed from the anchors. Does not belong here: the anchors (`anchors.py`), currency rates
(`fx.py`) or any upstream's format (`server.py`).
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rally_pipeline.catalog.model import Catalog, Instrument, Kind, Market
from rally_pipeline.demo import anchors, fx
from rally_pipeline.demo.paths import path_through, seeded

FloatArray = NDArray[np.float64]

#: From this year on Yahoo prints Hong Kong half-days of shares and funds as one flat bar without volume.
FLAT_HALF_DAYS_SINCE = 2024


class SessionSource(Protocol):
    """What the demo needs of `sessions.Calendars`."""

    def sessions(self, market: str, start: dt.date, end: dt.date) -> list[dt.date]:
        """Sessions of `market` from `start` to `end`, both inclusive."""
        ...

    def session(self, market: str, day: dt.date) -> _SessionLike:
        """The session of `market` on `day`."""
        ...


class _SessionLike(Protocol):
    @property
    def is_half_day(self) -> bool: ...


@dataclass(frozen=True)
class Bars:
    """Daily bars of one symbol, oldest first; all arrays have the length of `days`.

    Attributes:
        days: market-local session dates.
        open, high, low, close: unadjusted, in the instrument's currency, rounded to its tick.
        volume: shares (int64).
        turnover: in whole units of the instrument's currency.
        dividends: ex-date -> amount per share.
        decimals: digits after the point (Yahoo's ``priceHint``).
    """

    days: tuple[dt.date, ...]
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: NDArray[np.int64]
    turnover: FloatArray
    dividends: Mapping[dt.date, float] = field(default_factory=dict)
    decimals: int = 2

    def until(self, end: dt.date) -> Bars:
        """The bars up to and including `end`, with the dividends known by then."""
        n = int(np.searchsorted(_ordinals(self.days), end.toordinal(), side="right"))
        return Bars(
            days=self.days[:n],
            open=self.open[:n],
            high=self.high[:n],
            low=self.low[:n],
            close=self.close[:n],
            volume=self.volume[:n],
            turnover=self.turnover[:n],
            dividends={day: amount for day, amount in self.dividends.items() if day <= end},
            decimals=self.decimals,
        )

    @property
    def adjclose(self) -> FloatArray:
        """Closes times ``1 - dividend / close before the ex-date`` for every later ex-date, as Yahoo adjusts."""
        factor = np.ones(len(self.days))
        for ex_date, amount in self.dividends.items():
            i = int(np.searchsorted(_ordinals(self.days), ex_date.toordinal()))
            if i > 0:
                factor[:i] *= 1.0 - amount / self.close[i - 1]
        return np.where(factor == 1.0, self.close, np.round(self.close * factor, 6))


def _ordinals(days: Sequence[dt.date]) -> NDArray[np.int64]:
    return np.fromiter((day.toordinal() for day in days), dtype=np.int64, count=len(days))


def _tick(price: FloatArray, instrument: Instrument) -> FloatArray:
    """Price step at each price: the exchange's spread table for Hong Kong shares, one cent elsewhere."""
    if instrument.market is Market.HK and instrument.kind is Kind.SHARE:
        steps = [(0.25, 0.001), (0.5, 0.005), (10.0, 0.01), (20.0, 0.02), (100.0, 0.05), (200.0, 0.1), (500.0, 0.2)]
        return np.select([price < limit for limit, _ in steps], [step for _, step in steps], 0.5)
    if instrument.market is Market.HK and instrument.kind is Kind.ETF:
        return np.full_like(price, 0.002)
    return np.full_like(price, 10.0 ** -price_hint(instrument))


def _to_tick(price: FloatArray, instrument: Instrument) -> FloatArray:
    step = _tick(price, instrument)
    return np.round(np.round(price / step) * step, price_hint(instrument))


def price_hint(instrument: Instrument) -> int:
    """Digits after the point in Yahoo's prices of `instrument`."""
    if instrument.kind is Kind.FX:
        return 4
    return 3 if instrument.market is Market.HK and instrument.kind is not Kind.INDEX else 2


class DemoWorld:
    """Everything the demo knows, from 2021-11-01 to 2025-02-28; series are computed on first use and kept.

    Args:
        catalog: the instruments that exist; series of others are not served.
        calendars: whose sessions the bars stand on.
    """

    def __init__(self, catalog: Catalog, calendars: SessionSource) -> None:
        self.catalog = catalog
        self.calendars = calendars
        self._bars: dict[str, Bars | None] = {}
        self._paths: dict[str, tuple[tuple[dt.date, ...], FloatArray]] = {}
        self._days: dict[str, tuple[dt.date, ...]] = {}
        self._rates: fx.Rates | None = None
        self._lock = threading.RLock()

    def days(self, market: str) -> tuple[dt.date, ...]:
        """Sessions of `market` in the demo world."""
        with self._lock:
            if market not in self._days:
                self._days[market] = tuple(self.calendars.sessions(market, anchors.WORLD_START, anchors.WORLD_END))
            return self._days[market]

    def rates(self) -> fx.Rates:
        """Euro reference rates on every working day of the demo world."""
        with self._lock:
            if self._rates is None:
                self._rates = fx.build_rates(self.days(Market.FX.value))
            return self._rates

    def bars(self, symbol: str) -> Bars | None:
        """All bars of `symbol` (a catalog symbol), or ``None`` if the demo has none."""
        with self._lock:
            if symbol not in self._bars:
                instrument = self.catalog.instruments.get(symbol)
                self._bars[symbol] = None if instrument is None else self._build(instrument)
            return self._bars[symbol]

    def _build(self, instrument: Instrument) -> Bars | None:
        if instrument.kind is Kind.FX:
            return self._fx_bars(instrument)
        days, path = self._path(instrument.symbol, instrument.market.value)
        if instrument.listing_date is not None and instrument.listing_date > days[0]:
            listed = int(np.searchsorted(_ordinals(days), instrument.listing_date.toordinal()))
            days, path = days[listed:], path[listed:]
        return self._bars_around(instrument, days, path) if days else None

    def _path(self, symbol: str, market: str) -> tuple[tuple[dt.date, ...], FloatArray]:
        """Closes before rounding; also of drivers that are not in the catalog."""
        if symbol in self._paths:
            return self._paths[symbol]
        points = {**anchors.CHOSEN_CLOSES.get(symbol, {}), **anchors.PUBLISHED_CLOSES.get(symbol, {})}
        rng = seeded(f"path {symbol}")
        days = self.days(market)
        if points:
            sigma = 0.022 if symbol.endswith(".HK") else 0.011
            path = path_through(days, points, sigma, rng, ceiling=anchors.CEILINGS.get(symbol))
        else:
            path = self._follow(symbol, market, days, rng)
        self._paths[symbol] = (days, path)
        return self._paths[symbol]

    def _follow(self, symbol: str, market: str, days: Sequence[dt.date], rng: np.random.Generator) -> FloatArray:
        profile = self._profile(symbol, market)
        driver_market = next(m for m, index in _DRIVER_MARKETS if index == profile.driver)
        driver_days, driver = self._path(profile.driver, driver_market)
        latest = np.searchsorted(_ordinals(driver_days), _ordinals(days), side="right") - 1
        moves = np.log(driver[np.maximum(latest, 0)] / driver[-1])
        own = np.zeros(len(days))
        shocks = rng.normal(0.0, profile.noise, len(days))
        for i in range(1, len(days)):  # mean-reverting, so that no share wanders off over the years
            own[i] = 0.985 * own[i - 1] + shocks[i]
        path: FloatArray = profile.last_close * np.exp(profile.beta * moves + own - own[-1])
        return path

    def _profile(self, symbol: str, market: str) -> anchors.Profile:
        known = anchors.CHOSEN_PROFILES.get(symbol)
        if known is not None:
            return known
        rng = seeded(f"profile {symbol}")
        last_close = float(np.round(np.exp(rng.uniform(np.log(8.0), np.log(200.0))), 2))
        return anchors.Profile(anchors.MARKET_DRIVERS[market], 0.8, last_close, 0.012, float(rng.uniform(5e6, 4e7)))

    def _bars_around(self, instrument: Instrument, days: tuple[dt.date, ...], path: FloatArray) -> Bars:
        symbol = instrument.symbol
        facts = anchors.PUBLISHED_CLOSES.get(symbol, {})
        rng = seeded(f"bars {symbol}")
        n = len(days)
        close = _to_tick(path, instrument)
        for i, day in enumerate(days):
            close[i] = facts.get(day, close[i])
        moves = np.abs(np.diff(np.log(close), prepend=np.log(close[0])))
        spread = np.maximum(0.004, 0.5 * np.minimum(moves, 0.06))
        before = np.concatenate(([close[0]], close[:-1]))
        opened = _to_tick(before * np.exp(rng.normal(0.0, 1.0, n) * 0.4 * spread), instrument)
        top = np.maximum(opened, close)
        bottom = np.minimum(opened, close)
        high = np.maximum(_to_tick(top * np.exp(np.abs(rng.normal(0.0, 1.0, n)) * spread), instrument), top)
        low = np.minimum(_to_tick(bottom * np.exp(-np.abs(rng.normal(0.0, 1.0, n)) * spread), instrument), bottom)
        flat = self._flat_half_days(instrument, days)
        opened, high, low = (np.where(flat, close, values) for values in (opened, high, low))
        volume = self._volume(instrument, days, moves, flat, rng)
        typical_price = 30.0 if instrument.kind is Kind.INDEX else (high + low + close) / 3
        dividends = {day: amount for day, amount in anchors.CHOSEN_DIVIDENDS.get(symbol, {}).items() if day in days}
        return Bars(
            days, opened, high, low, close, volume, np.round(volume * typical_price), dividends, price_hint(instrument)
        )

    def _flat_half_days(self, instrument: Instrument, days: Sequence[dt.date]) -> NDArray[np.bool_]:
        if instrument.market is not Market.HK or instrument.kind is Kind.INDEX:
            return np.zeros(len(days), dtype=bool)
        market = instrument.market.value
        return np.array(
            [day.year >= FLAT_HALF_DAYS_SINCE and self.calendars.session(market, day).is_half_day for day in days]
        )

    def _volume(
        self,
        instrument: Instrument,
        days: Sequence[dt.date],
        moves: FloatArray,
        flat: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> NDArray[np.int64]:
        symbol = instrument.symbol
        typical = anchors.DAILY_VOLUMES.get(symbol) or self._profile(symbol, instrument.market.value).daily_volume
        chinese = instrument.market in (Market.HK, Market.CN)
        busy = np.array([_BUSY_MONTHS.get((day.year, day.month), 1.0) if chinese else 1.0 for day in days])
        raw = typical * busy * np.exp(rng.normal(0.0, 0.25, len(days))) * (1.0 + 12.0 * np.minimum(moves, 0.08))
        lots = np.where(flat, 0, np.maximum(1, raw // 100)).astype(np.int64)
        totals = anchors.PUBLISHED_VOLUMES.get(symbol)
        if totals is None:
            return lots * 100
        # A published total is met exactly; every month without one stays below the smallest published month.
        ordinals = _ordinals(days)
        pinned = np.zeros(len(days), dtype=bool)
        for (first, last), total in totals.items():
            window = (ordinals >= first.toordinal()) & (ordinals <= last.toordinal())
            lots[window] = _scaled_to(lots[window], total // 100)
            pinned |= window
        limit = int(min(totals.values()) // 100 * 0.85)
        months = np.array([day.year * 12 + day.month for day in days])
        for month in np.unique(months[~pinned]):
            window = (months == month) & ~pinned
            if lots[window].sum() > limit:
                lots[window] = _scaled_to(lots[window], limit)
        return lots * 100

    def _fx_bars(self, instrument: Instrument) -> Bars | None:
        rates = self.rates()
        base = rates.per_euro(instrument.base_currency or "USD")
        quote = rates.per_euro(instrument.currency)
        if base is None or quote is None:
            return None
        decimals = price_hint(instrument)
        rng = seeded(f"bars {instrument.symbol}")
        n = len(rates.days)
        # The peg's band holds for the market rate as well.
        pegged = {instrument.base_currency, instrument.currency} == {"USD", "HKD"}
        wobble = 0.00005 if pegged else 0.0008
        fixing = quote / base
        close = np.round(fixing * np.exp(rng.normal(0.0, wobble, n)), decimals)
        opened = np.round(fixing * np.exp(rng.normal(0.0, 2 * wobble, n)), decimals)
        high = np.round(np.maximum(opened, close) * np.exp(np.abs(rng.normal(0.0, wobble, n))), decimals)
        low = np.round(np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0.0, wobble, n))), decimals)
        if pegged and instrument.currency == "HKD":
            opened, high, low, close = (np.clip(values, *fx.USDHKD_BAND) for values in (opened, high, low, close))
        return Bars(rates.days, opened, high, low, close, np.zeros(n, dtype=np.int64), np.zeros(n), {}, decimals)


def _scaled_to(lots: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Whole numbers in the proportions of `lots` whose sum is exactly `total`."""
    edges = np.round(np.cumsum(lots) * (total / lots.sum())).astype(np.int64)
    scaled: NDArray[np.int64] = np.diff(edges, prepend=0)
    return scaled


_DRIVER_MARKETS = (
    ("HK", "^HSI"), ("HK", "HSTECH.HK"), ("HK", "9988.HK"), ("CN", "000300.SS"), ("DE", "^GDAXI"), ("US", "^GSPC"),
    ("JP", "^N225"), ("GB", "^FTSE"),
)  # fmt: skip

_BUSY_MONTHS = {(2024, 9): 1.35, (2024, 10): 1.7, (2024, 11): 1.2, (2025, 2): 1.9}


@lru_cache(maxsize=1)
def default_world() -> DemoWorld:
    """The world of the shipped catalog; built once per process."""
    from rally_pipeline.catalog.loader import load_catalog
    from rally_pipeline.sessions import Calendars

    catalog = load_catalog()
    return DemoWorld(catalog, Calendars.from_catalog(catalog, start=dt.date(2021, 1, 1)))
