"""The demo's Stock Connect figures: published days exact, synthetic days around them, reproducible to the byte.

Belongs here: what mainland investors buy and sell in Hong Kong by channel and session, its northbound counterpart, the
most active shares and the turnover of the Hong Kong market. Does not belong here: the published figures and way-points
(`anchors.py`) or any upstream's format (`server.py`).

Everything is computed in whole cents of a million (HK$ or CNY 10,000), so that sums are exact.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from rally_pipeline.demo import anchors
from rally_pipeline.demo.paths import seeded

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: The two channels, and their sum.
CHANNELS = ("sse", "szse")
TOTAL = "total"

#: From this day on northbound buying and selling are not published.
NORTHBOUND_UNDISCLOSED = dt.date(2024, 8, 19)

_BN = 100_000  # cents of a million in a billion


@dataclass(frozen=True)
class DayFlow:
    """One direction of one channel in one session; southbound in HK$ million, northbound in CNY million.

    ``buy`` + ``sell`` is ``turnover`` to the cent. Counts are trades. All are rounded to two decimals.
    """

    buy: float
    sell: float
    turnover: float
    buy_count: int
    sell_count: int
    etf_turnover: float

    @property
    def net(self) -> float:
        """``buy - sell``, two decimals."""
        return round(self.buy - self.sell, 2)


@dataclass(frozen=True)
class TopStock:
    """One of the ten most active shares of a channel; amounts in whole units of the channel's currency."""

    code: str
    name: str
    buy: int
    sell: int

    @property
    def turnover(self) -> int:
        """Bought and sold."""
        return self.buy + self.sell


@dataclass(frozen=True)
class Series:
    """A direction of a channel; arrays have the length of the world's southbound sessions, amounts are cents."""

    buy: IntArray
    sell: IntArray
    buy_count: IntArray
    sell_count: IntArray
    etf: IntArray

    def __add__(self, other: Series) -> Series:
        return Series(
            self.buy + other.buy,
            self.sell + other.sell,
            self.buy_count + other.buy_count,
            self.sell_count + other.sell_count,
            self.etf + other.etf,
        )


@dataclass(frozen=True)
class Flows:
    """Stock Connect in the demo world.

    Attributes:
        days: southbound sessions, oldest first.
        southbound: ``sse``, ``szse`` and ``total`` in HK$.
        northbound: the same in CNY. The world knows buying and selling also after 2024-08-19, when the upstreams no
            longer publish it.
    """

    days: tuple[dt.date, ...]
    southbound: Mapping[str, Series]
    northbound: Mapping[str, Series]

    @cached_property
    def _positions(self) -> dict[dt.date, int]:
        return {day: i for i, day in enumerate(self.days)}

    def is_session(self, day: dt.date) -> bool:
        """Whether southbound trades on `day`."""
        return day in self._positions

    def southbound_day(self, channel: str, day: dt.date) -> DayFlow:
        """What was bought and sold in Hong Kong.

        Raises:
            KeyError: `day` is no session, or `channel` is none of ``sse``, ``szse``, ``total``.
        """
        return _day_flow(self.southbound[channel], self._positions[day])

    def northbound_day(self, channel: str, day: dt.date) -> DayFlow:
        """What was bought and sold on the mainland.

        Raises:
            KeyError: as `southbound_day`.
        """
        return _day_flow(self.northbound[channel], self._positions[day])

    def top_stocks(self, channel: str, day: dt.date) -> tuple[TopStock, ...]:
        """The ten most active southbound shares of ``sse`` or ``szse``, most active first.

        Raises:
            KeyError: as `southbound_day`.
        """
        names = [row for row in anchors.CHOSEN_TOP_STOCKS if day >= anchors.CONNECT_ENTRY.get(row[0], day)]
        return _top(f"southbound {channel} {day}", names, self.southbound_day(channel, day), 0.34)

    def northbound_top_stocks(self, channel: str, day: dt.date) -> tuple[TopStock, ...]:
        """The ten most active northbound shares of ``sse`` or ``szse``, most active first.

        Raises:
            KeyError: as `southbound_day`.
        """
        names = anchors.CHOSEN_NORTHBOUND_STOCKS[channel]
        return _top(f"northbound {channel} {day}", names, self.northbound_day(channel, day), 0.14)

    def market_turnover(self, day: dt.date) -> float:
        """Turnover of the whole Hong Kong market on `day`, each trade counted once, in whole HK$ million.

        Grows with southbound trading; on Hong Kong sessions without it, a quiet day's figure.
        """
        noise = float(seeded(f"market turnover {day}").uniform(-0.05, 0.05))
        if not self.is_session(day):
            return round(165_000 * (1 + noise))
        i = self._positions[day]
        series = self.southbound[TOTAL]
        return round((105_000 + 1.1 * float(series.buy[i] + series.sell[i]) / 100) * (1 + noise))


def _day_flow(series: Series, i: int) -> DayFlow:
    buy, sell = int(series.buy[i]), int(series.sell[i])
    return DayFlow(
        buy / 100, sell / 100, (buy + sell) / 100, int(series.buy_count[i]), int(series.sell_count[i]),
        int(series.etf[i]) / 100,
    )  # fmt: skip


def _top(seed: str, names: Sequence[tuple[str, str, float]], flow: DayFlow, part: float) -> tuple[TopStock, ...]:
    """Ten of `names`, whose turnovers make up about `part` of the channel's."""
    rng = seeded(f"top {seed}")
    weights = np.array([weight for _, _, weight in names]) * np.exp(rng.normal(0.0, 0.45, len(names)))
    ten = np.argsort(-weights, kind="stable")[:10]
    turnover = flow.turnover * 1e6 * part * rng.uniform(0.85, 1.15) * weights[ten] / weights[ten].sum()
    tilt = np.clip(flow.net / flow.turnover + rng.normal(0.0, 0.12, 10), -0.8, 0.8)
    # Prices have cents and lots have hundreds of shares: amounts are odd numbers of whole units.
    rows = [
        TopStock(names[n][0], names[n][1], round(amount * (1 + lean) / 2), round(amount * (1 - lean) / 2))
        for n, amount, lean in zip(ten.tolist(), turnover.tolist(), tilt.tolist(), strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: -row.turnover))


# -- how the days are filled -----------------------------------------------------------------------------------------

#: Sessions of a window, and about the most that one may sum up to in billions: where it touches a published figure,
#: elsewhere and just before September 2024.
_WINDOW = 8
_CEILING_NEAR_FACTS, _CEILING, _LOW_CEILING = 58.0, 45.0, 20.0
_LOW = (dt.date(2024, 8, 15), dt.date(2024, 9, 6))
#: Sessions on either side of a published best window stay below this net buy, and each one inside is above it.
_QUIET = 1.0
_NET_BOUNDS = (-7.8, 14.5)
_TURNOVER_BOUNDS = (20.5, 149.0)


@lru_cache(maxsize=4)
def build_flows(days: tuple[dt.date, ...]) -> Flows:
    """The flows on `days`, the southbound sessions of the demo world; the same object for the same days.

    Raises:
        ValueError: a published or chosen figure is not on one of `days`.
    """
    index = {day: i for i, day in enumerate(days)}
    needed = {*anchors.PUBLISHED_SOUTHBOUND, *anchors.PUBLISHED_SOUTHBOUND_TURNOVER, *anchors.PUBLISHED_BEST_WINDOWS}
    if missing := sorted(day for day in needed if day not in index):
        raise ValueError(f"not southbound sessions: {[str(day) for day in missing]}")
    turnover = _turnover(days, index)
    net = _net(days, index, turnover)
    sse, szse = _channels(days, turnover, net)
    north = [_northbound(channel, turnover, part) for channel, part in (("sse", 0.47), ("szse", 0.53))]
    return Flows(
        days,
        {"sse": sse, "szse": szse, TOTAL: sse + szse},
        {"sse": north[0], "szse": north[1], TOTAL: north[0] + north[1]},
    )


def _turnover(days: Sequence[dt.date], index: Mapping[dt.date, int]) -> FloatArray:
    """HK$ bn bought and sold in both channels."""
    points = sorted(anchors.CHOSEN_SOUTHBOUND_TURNOVER.items())
    ordinals = np.array([day.toordinal() for day in days])
    level = np.interp(ordinals, [day.toordinal() for day, _ in points], [np.log(value) for _, value in points])
    noise = np.clip(seeded("southbound turnover").normal(0.0, 0.13, len(days)), -0.28, 0.28)
    values: FloatArray = np.clip(np.exp(level + noise), *_TURNOVER_BOUNDS)
    for day, value in anchors.PUBLISHED_SOUTHBOUND_TURNOVER.items():
        values[index[day]] = value / 1000
    for day, figures in anchors.PUBLISHED_SOUTHBOUND.items():
        values[index[day]] = sum(figures) / 1000
    return values


def _net(days: Sequence[dt.date], index: Mapping[dt.date, int], turnover: FloatArray) -> FloatArray:
    """HK$ bn net bought in both channels: the published windows are the best of their time."""
    rng = seeded("southbound net")
    shocks = rng.normal(0.0, 0.062, len(days))
    lean = 0.0
    net = np.empty(len(days))
    for i in range(len(days)):
        lean = 0.35 * lean + shocks[i]
        # Of small days at most a quarter, so that both sides look like a market; bent towards the bounds, not cut,
        # which would repeat a figure.
        wanted = turnover[i] * np.clip(0.035 + lean, -0.25, 0.25)
        bound = _NET_BOUNDS[1] if wanted > 0 else -_NET_BOUNDS[0]
        net[i] = bound * np.tanh(wanted / bound)
    pinned = np.zeros(len(days), dtype=bool)
    for day, figures in anchors.PUBLISHED_SOUTHBOUND.items():
        net[index[day]] = (figures[0] - figures[1] + figures[2] - figures[3]) / 1000
        pinned[index[day]] = True
    for last, total in anchors.PUBLISHED_BEST_WINDOWS.items():
        stop = index[last] + 1
        start = stop - _WINDOW
        around = np.r_[max(0, start - _WINDOW + 1) : start, stop : min(len(days), stop + _WINDOW - 1)]
        net[around] = np.minimum(net[around], rng.uniform(-0.8, _QUIET, len(around)))
        weights = rng.uniform(0.7, 1.3, _WINDOW)
        cents = np.round(np.cumsum(weights) / weights.sum() * total * 100)
        net[start:stop] = np.diff(cents, prepend=0.0) / _BN
        pinned[start:stop] = True
    for i in range(_WINDOW - 1, len(days)):
        if pinned[i]:
            continue
        window = slice(i - _WINDOW + 1, i)
        if pinned[window].any():
            ceiling = _CEILING_NEAR_FACTS
        else:
            ceiling = _LOW_CEILING if _LOW[0] <= days[i] <= _LOW[1] else _CEILING
        room = ceiling - net[window].sum()
        if net[i] > room:  # by a margin, or else several windows would have the ceiling's very sum
            net[i] = max(room - rng.uniform(0.0, 5.0), _NET_BOUNDS[0] + rng.uniform(0.0, 1.0))
    return net


def _channels(days: Sequence[dt.date], turnover: FloatArray, net: FloatArray) -> tuple[Series, Series]:
    """The Shanghai and the Shenzhen channel, which add up to `turnover` and `net` to the cent."""
    rng = seeded("southbound channels")
    n = len(days)
    total = np.round(turnover * _BN).astype(np.int64)
    total_net = np.round(net * _BN).astype(np.int64)
    # Turnover and net have to be both even or both odd, or else buy and sell would not be whole cents. A net is part
    # of a published window and a turnover may be published itself, so it is the other one that gives way.
    odd = (total - total_net) % 2
    fixed = np.array([day in anchors.PUBLISHED_SOUTHBOUND_TURNOVER for day in days])
    total, total_net = total + np.where(fixed, 0, odd), total_net + np.where(fixed, odd, 0)
    sse_turnover = np.round(total * (0.6 + rng.normal(0.0, 0.025, n))).astype(np.int64)
    sse_net = np.round(0.6 * total_net + total * rng.normal(0.0, 0.015, n)).astype(np.int64)
    sse_net += (sse_turnover - sse_net) % 2
    buy, sell = (sse_turnover + sse_net) // 2, (sse_turnover - sse_net) // 2
    szse_turnover, szse_net = total - sse_turnover, total_net - sse_net
    other_buy, other_sell = (szse_turnover + szse_net) // 2, (szse_turnover - szse_net) // 2
    for i, day in enumerate(days):
        if day in anchors.PUBLISHED_SOUTHBOUND:
            figures = [round(value * 100) for value in anchors.PUBLISHED_SOUTHBOUND[day]]
            buy[i], sell[i], other_buy[i], other_sell[i] = figures
    return _series("southbound sse", buy, sell, 0.057), _series("southbound szse", other_buy, other_sell, 0.059)


def _northbound(channel: str, southbound: FloatArray, part: float) -> Series:
    """A channel on the mainland, CNY: busy when southbound is, net bought or sold by a few per cent."""
    rng = seeded(f"northbound {channel}")
    n = len(southbound)
    turnover = (60.0 + 1.25 * southbound) * part * np.exp(rng.normal(0.0, 0.08, n))
    lean = np.clip(rng.normal(0.0, 0.03, n), -0.09, 0.09)
    buy = np.round(turnover * (1 + lean) / 2 * _BN).astype(np.int64)
    sell = np.round(turnover * (1 - lean) / 2 * _BN).astype(np.int64)
    return _series(f"northbound {channel}", buy, sell, 0.021)


def _series(name: str, buy: IntArray, sell: IntArray, trade_mn: float) -> Series:
    """With plausible numbers of trades, of about `trade_mn` million each, and a part in exchange-traded funds."""
    rng = seeded(f"trades {name}")
    n = len(buy)
    buy_count, sell_count = (
        np.round(side / 100 / (trade_mn * np.exp(rng.normal(0.0, 0.05, n)))).astype(np.int64) for side in (buy, sell)
    )
    etf = np.round((buy + sell) * rng.uniform(0.008, 0.024, n)).astype(np.int64)
    return Series(buy, sell, buy_count, sell_count, etf)
