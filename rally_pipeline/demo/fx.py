"""The demo's euro reference rates: published ones exact, synthetic ones between them.

Belongs here: rates per euro by working day. Does not belong here: the ECB's file formats (`server.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rally_pipeline.demo import anchors
from rally_pipeline.demo.paths import path_through, seeded

FloatArray = NDArray[np.float64]

#: Band of the Hong Kong peg, HKD per USD.
USDHKD_BAND = (7.75, 7.85)

#: Columns of the ECB's history file in its order; some have gaps or no rate at all, as in the real one.
COLUMNS = (
    "USD", "JPY", "BGN", "CYP", "DKK", "GBP", "SEK", "CHF", "HRK", "RUB", "AUD", "CAD", "CNY", "HKD", "INR", "KRW",
    "SGD",
)  # fmt: skip

_LAST_RUB = dt.date(2022, 3, 1)
_LAST_HRK = dt.date(2022, 12, 30)
_QUIET = {"DKK": 0.0001, "CHF": 0.002, "GBP": 0.0025}


@dataclass(frozen=True)
class Rates:
    """Rates per euro, oldest first: currency -> array of the length of `days`, NaN where there is none."""

    days: tuple[dt.date, ...]
    rates: Mapping[str, FloatArray]

    def per_euro(self, currency: str) -> FloatArray | None:
        """Units of `currency` per euro on each day, or ``None`` if it is not quoted on all of them. The offshore
        renminbi (CNH) is taken to be worth what the onshore one is.
        """
        if currency == "EUR":
            return np.ones(len(self.days))
        values = self.rates.get("CNY" if currency == "CNH" else currency)
        return None if values is None or np.isnan(values).any() else values

    def until(self, end: dt.date) -> Rates:
        """The rates up to and including `end`."""
        n = sum(day <= end for day in self.days)
        return Rates(self.days[:n], {currency: values[:n] for currency, values in self.rates.items()})


def build_rates(days: Sequence[dt.date]) -> Rates:
    """Rates on `days` (TARGET working days of the demo world).

    Raises:
        ValueError: a published or chosen rate is not on one of `days`.
    """
    published = _complete(anchors.PUBLISHED_RATES)
    # Per EUR, then per USD: the peg's band holds for HKD per USD, so that is what the path is drawn in.
    points = _complete(anchors.CHOSEN_RATES) | {
        day: (usd, hkd / usd, cny / usd) for day, (usd, hkd, cny) in published.items()
    }
    eurusd, usdhkd, usdcny = (
        path_through(days, {day: values[i] for day, values in points.items()}, sigma, seeded(f"rate {currency}"))
        for i, (currency, sigma) in enumerate((("USD", 0.0045), ("HKD", 0.0003), ("CNY", 0.002)))
    )
    usd_rates = np.round(eurusd, 4)
    rates = {
        "USD": usd_rates,
        "HKD": np.round(usd_rates * np.clip(usdhkd, 7.7502, 7.8498), 4),
        "CNY": np.round(usd_rates * usdcny, 4),
    }
    for i, day in enumerate(days):
        if day in published:
            rates["USD"][i], rates["HKD"][i], rates["CNY"][i] = published[day]
    for currency, ends in anchors.CHOSEN_CROSS_RATES.items():
        rates[currency] = _between(ends, len(days), currency)
    rates["BGN"] = np.full(len(days), 1.9558)
    rates["HRK"] = np.array([7.5345 if day <= _LAST_HRK else np.nan for day in days])
    rates["RUB"] = np.where([day <= _LAST_RUB for day in days], _between((82.2, 117.2), len(days), "RUB"), np.nan)
    rates["CYP"] = np.full(len(days), np.nan)
    return Rates(tuple(days), {currency: rates[currency] for currency in COLUMNS})


def decimals(currency: str) -> int:
    """Digits after the point with which the ECB prints `currency`."""
    return 2 if currency in ("JPY", "KRW") else 5 if currency == "GBP" else 4


def _complete(
    table: Mapping[dt.date, tuple[float | None, ...]],
) -> dict[dt.date, tuple[float, float, float]]:
    complete = {}
    for day, (first, second, third) in table.items():
        if first is None or second is None or third is None:
            raise ValueError(f"rates of {day} are incomplete")
        complete[day] = (first, second, third)
    return complete


def _between(ends: tuple[float, float], n: int, currency: str) -> FloatArray:
    """A free Brownian bridge from the first to the last rate."""
    steps = np.linspace(0.0, 1.0, n)
    walk = np.cumsum(seeded(f"rate {currency}").normal(0.0, _QUIET.get(currency, 0.003), n))
    walk -= walk[0] + (walk[-1] - walk[0]) * steps
    path: FloatArray = np.exp(np.log(ends[0]) + np.log(ends[1] / ends[0]) * steps + walk)
    return np.round(path, decimals(currency))
