"""What an audit computes with: closes, flows and rates of the warehouse, read once for all claims.

Belongs here: reading and looking up days. Does not belong here: what a claim means (`readings.py`) or whether it holds.

One query reads the bars of all instruments that any claim rests on, one the flows, one the rates. Days are kept as
ordinals in sorted lists, in which `bisect` finds a day in well under a microsecond.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from rally_pipeline.audit.verdict import Evidence
from rally_pipeline.catalog.model import Catalog
from rally_pipeline.marts.inputs import BASE_TOLERANCE_DAYS, RATE_TOLERANCE_DAYS
from rally_pipeline.schema import core, core_flows
from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.sessions import SOUTHBOUND, Calendars

Floats = npt.NDArray[np.float64]

CHANNELS = {"southbound": "total", "southbound_sse": "sse", "southbound_szse": "szse"}
FLOW_MEASURES = ("net_buy", "turnover", "buy", "sell")
#: Currencies in which flows are told, and through which they are converted.
_CURRENCIES = ("USD", "HKD", "CNY")
_PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Dated:
    """Rows of one subject in order of their days; arrays have the length of `days`, NaN = not given.

    Attributes:
        subject: as in `AuditResult.subjects`.
        market: calendar of its sessions.
        days: ordinals of the days with a row, ascending.
        columns: figures by name.
        known: for each day, since when the latest known row up to it is known (UTC, naive microseconds).
        table, key: where the rows stand, and the part of their key that is not the day.
    """

    subject: str
    market: str
    days: list[int]
    columns: dict[str, Floats]
    known: npt.NDArray[np.datetime64]
    table: str
    key: str
    currency: str = ""
    kind: str = ""
    listed: dt.date | None = None
    _sums: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict, compare=False, repr=False)

    def total(self, column: str, first: int, last: int) -> tuple[float, int]:
        """Sum of a column over rows, both ends included, and how many of them have it. Summed in millionths, so that it
        does not depend on where summation began.
        """
        if column not in self._sums:
            values = self.columns[column]
            known = ~np.isnan(values)
            millionths = np.round(np.where(known, values, 0.0) * 1e6).astype(np.int64)
            self._sums[column] = np.concatenate(([0], np.cumsum(millionths)))
            self._sums[f"{column} known"] = np.concatenate(([0], np.cumsum(known)))
        sums, counts = self._sums[column], self._sums[f"{column} known"]
        return float(sums[last + 1] - sums[first]) / 1e6, int(counts[last + 1] - counts[first])

    def __len__(self) -> int:
        return len(self.days)

    def at_or_before(self, day: dt.date) -> int | None:
        """Position of the last row on or before the day."""
        found = bisect_right(self.days, day.toordinal()) - 1
        return found if found >= 0 else None

    def on(self, day: dt.date) -> int | None:
        """Position of the row of the day."""
        found = self.at_or_before(day)
        return found if found is not None and self.days[found] == day.toordinal() else None

    def base(self, day: dt.date) -> int | None:
        """Position of the last row on or before the day, at most a week older: a base as the marts take it."""
        found = self.at_or_before(day)
        if found is None or day.toordinal() - self.days[found] > BASE_TOLERANCE_DAYS + 7:
            return None
        return found

    def first_from(self, day: dt.date) -> int:
        """Position of the first row on or after the day; ``len`` if there is none."""
        return bisect_left(self.days, day.toordinal())

    def day(self, at: int) -> dt.date:
        """Day of a row."""
        return dt.date.fromordinal(self.days[at])

    def value(self, at: int, column: str = "close") -> float | None:
        """Figure of a row; ``None`` if it is not given."""
        found = float(self.columns[column][at])
        return None if found != found else found

    def evidence(self, at: int, column: str = "close") -> Evidence:
        """A row as evidence."""
        return {
            "table": self.table,
            "key": f"{self.key}, session_date={self.day(at)}",
            "column": column,
            "value": self.value(at, column),
        }

    def known_until(self, day: dt.date) -> dt.datetime | None:
        """Since when the latest known row up to the day is known."""
        at = self.at_or_before(day)
        return None if at is None else self.known[at].item().replace(tzinfo=dt.UTC)


@dataclass(frozen=True)
class Rates:
    """Units of each currency per US dollar, by day; and since when the rates they are made of are known, as `Dated`."""

    days: dict[str, list[int]]
    units: dict[str, list[float]]
    known: dict[str, tuple[list[int], npt.NDArray[np.datetime64]]] = field(default_factory=dict)

    def units_per_usd(self, currency: str, day: dt.date) -> tuple[float, dt.date] | None:
        """The rate of the day or the last one before it, at most five days old, with its day."""
        if currency == "USD":
            return 1.0, day
        known = self.days.get(currency, [])
        at = bisect_right(known, day.toordinal()) - 1
        if at < 0 or day.toordinal() - known[at] > RATE_TOLERANCE_DAYS:
            return None
        return self.units[currency][at], dt.date.fromordinal(known[at])

    def known_until(self, currency: str, day: dt.date) -> dt.datetime | None:
        """Since when the latest known rate of a currency against the euro, up to the day, is known."""
        days, known = self.known.get(currency, ([], np.array([], dtype="M8[us]")))
        at = bisect_right(days, day.toordinal()) - 1
        return None if at < 0 else known[at].item().replace(tzinfo=dt.UTC)


@dataclass(frozen=True)
class Facts:
    """All of it.

    Attributes:
        prices: bars with a close, by symbol.
        volumes: bars with a volume, by symbol.
        flows: by channel ``total``, ``sse``, ``szse``; figures in HK$ mn.
        rates: for converting flows.
        events: day of each event, with and without the year of a yearly one (then of the last before the asked day).
        splits: days of share splits, by symbol.
        members: symbols of each leaderboard.
        today: last day about which the warehouse can know.
    """

    calendars: Calendars
    catalog: Catalog
    today: dt.date
    prices: dict[str, Dated] = field(default_factory=dict)
    volumes: dict[str, Dated] = field(default_factory=dict)
    flows: dict[str, Dated] = field(default_factory=dict)
    rates: Rates = field(default_factory=lambda: Rates({}, {}))
    events: dict[str, dt.date] = field(default_factory=dict)
    splits: dict[str, list[dt.date]] = field(default_factory=dict)
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def event_day(self, event_id: str, as_of: dt.date | None) -> dt.date | None:
        """Day of an event; of a yearly one named without its year, the last on or before `as_of`."""
        if event_id in self.events:
            return self.events[event_id]
        yearly = sorted(
            day
            for name, day in self.events.items()
            if name.startswith(f"{event_id}_")
            and name[len(event_id) + 1 :].isdigit()
            and (as_of is None or day <= as_of)
        )
        return yearly[-1] if yearly else None


def load(
    connection: sa.Connection,
    calendars: Calendars,
    catalog: Catalog,
    symbols: Collection[str],
    *,
    today: dt.date,
    has_flows: bool = True,
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> Facts:
    """Reads what claims about these symbols, and about flows, may need.

    Args:
        connection: of the warehouse.
        calendars, catalog: of the workspace.
        symbols: catalog symbols; others are ignored.
        today: last day about which the warehouse can know.
        has_flows: whether any claim is about flows.
        start: bars before it are not needed; ``None`` = all of history.
        end: bars after it are not needed.
    """
    facts = Facts(calendars, catalog, today)
    wanted = sorted(set(symbols) & set(catalog.instruments))
    if wanted:
        _load_prices(connection, facts, wanted, start, end)
        _load_splits(connection, facts, wanted)
    if has_flows:
        _load_flows(connection, facts, end)
        facts.rates.days.update(_load_rates(connection, facts))
    event = core.core_event
    facts.events.update({row.event_id: row.event_date for row in connection.execute(sa.select(event))})
    for name in {name for entry in catalog.instruments.values() for name in entry.leaderboards}:
        facts.members[name] = catalog.leaderboard(name)
    return facts


def _chunks(names: Sequence[str], size: int = 500) -> Iterable[Sequence[str]]:
    return (names[at : at + size] for at in range(0, len(names), size))


def _load_prices(
    connection: sa.Connection, facts: Facts, symbols: Sequence[str], start: dt.date | None, end: dt.date | None
) -> None:
    price = core.core_price_resolved_daily
    names = ("symbol", "session_date", *_PRICES, "volume_shares", "known_from_at")
    for part in _chunks(symbols):
        query = (
            sa.select(*(_plain(price.c[name]) for name in names))
            .where(price.c.symbol.in_(part))
            .order_by(price.c.symbol, price.c.session_date)
        )
        if start is not None:
            query = query.where(price.c.session_date >= start)
        if end is not None:
            query = query.where(price.c.session_date <= end)
        by_symbol: dict[str, list[tuple[object, ...]]] = {}
        for row in connection.execute(query):
            by_symbol.setdefault(row[0], []).append(tuple(row[1:]))
        for symbol, rows in by_symbol.items():
            days, known, columns = _arrays(rows, (*_PRICES, "volume_shares"))
            for target, needed in ((facts.prices, "close"), (facts.volumes, "volume_shares")):
                kept = ~np.isnan(columns[needed])
                if kept.any():
                    target[symbol] = _dated(facts, symbol, days, columns, known, kept)


def _dated(
    facts: Facts,
    symbol: str,
    days: npt.NDArray[np.int64],
    columns: dict[str, Floats],
    known: npt.NDArray[np.datetime64],
    kept: npt.NDArray[np.bool_],
) -> Dated:
    entry = facts.catalog.instruments[symbol]
    return Dated(
        subject=symbol,
        market=entry.market.value,
        days=days[kept].tolist(),
        columns={name: values[kept] for name, values in columns.items()},
        known=np.maximum.accumulate(known[kept]),
        table=core.core_price_resolved_daily.name,
        key=f"symbol={symbol}",
        currency=entry.currency,
        kind=entry.kind.value,
        listed=entry.listing_date,
    )


def _plain(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """A column without the work of making Python dates and times, where the database keeps them as text."""
    if isinstance(column.type, sa.Date | UtcDateTime):
        return sa.type_coerce(column, sa.types.NullType())
    return column


def _arrays(
    rows: Sequence[tuple[object, ...]], names: Sequence[str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.datetime64], dict[str, Floats]]:
    """Rows of day, figures and known_from_at as arrays."""
    every = list(zip(*rows, strict=True))
    days = _instants(every[0]).astype("M8[D]").astype(np.int64) + dt.date(1970, 1, 1).toordinal()
    columns = {name: np.array(values, dtype=np.float64) for name, values in zip(names, every[1:-1], strict=True)}
    return days, _instants(every[-1]), columns


def _instants(values: Sequence[object]) -> npt.NDArray[np.datetime64]:
    first = values[0]
    if isinstance(first, dt.datetime) and first.tzinfo is not None:
        values = [value.astimezone(dt.UTC).replace(tzinfo=None) for value in values]  # type: ignore[attr-defined]
    return np.array(values, dtype="M8[us]")


def _load_splits(connection: sa.Connection, facts: Facts, symbols: Sequence[str]) -> None:
    price = core.core_price_daily
    for part in _chunks(symbols):
        query = (
            sa.select(price.c.symbol, price.c.session_date)
            .where(price.c.symbol.in_(part), price.c.split_ratio.is_not(None), price.c.known_to_at.is_(None))
            .distinct()
        )
        for symbol, day in connection.execute(query):
            facts.splits.setdefault(symbol, []).append(day)


def _load_flows(connection: sa.Connection, facts: Facts, end: dt.date | None) -> None:
    flow = core_flows.core_southbound_resolved_daily
    columns = tuple(f"{name}_hkd_mn" for name in FLOW_MEASURES)
    query = sa.select(*(_plain(flow.c[n]) for n in ("channel", "session_date", *columns, "known_from_at")))
    query = query.order_by(flow.c.channel, flow.c.session_date)
    if end is not None:
        query = query.where(flow.c.session_date <= end)
    by_channel: dict[str, list[tuple[object, ...]]] = {}
    for row in connection.execute(query):
        by_channel.setdefault(row[0], []).append(tuple(row[1:]))
    for channel, rows in by_channel.items():
        days, known, figures = _arrays(rows, FLOW_MEASURES)
        facts.flows[channel] = Dated(
            subject=f"southbound:{channel}",
            market=SOUTHBOUND,
            days=days.tolist(),
            columns=figures | {f"{name}_hkd_mn": figures[name] for name in FLOW_MEASURES},
            known=np.maximum.accumulate(known),
            table=flow.name,
            key=f"channel={channel}",
            currency="HKD",
            kind="flow",
        )


def _load_rates(connection: sa.Connection, facts: Facts) -> dict[str, list[int]]:
    rate = core.core_fx_usd_daily
    query = (
        sa.select(rate.c.currency, _plain(rate.c.rate_date), rate.c.units_per_usd)
        .where(rate.c.currency.in_(("HKD", "CNY")))
        .order_by(rate.c.currency, rate.c.rate_date)
    )
    raw = core.core_fx_daily
    told = (
        sa.select(raw.c.quote_currency, _plain(raw.c.rate_date), _plain(raw.c.known_from_at))
        .where(raw.c.quote_currency.in_(_CURRENCIES), raw.c.known_to_at.is_(None))
        .order_by(raw.c.quote_currency, raw.c.rate_date)
    )
    by_currency: dict[str, list[tuple[object, ...]]] = {}
    for row in connection.execute(told):
        by_currency.setdefault(str(row[0]), []).append(tuple(row[1:]))
    for currency, times in by_currency.items():
        rate_days, known, _ = _arrays(times, ())
        facts.rates.known[currency] = (rate_days.tolist(), np.maximum.accumulate(known))
    found: dict[str, list[tuple[object, float]]] = {}
    for currency, day, units in connection.execute(query):
        found.setdefault(currency, []).append((day, units))
    days: dict[str, list[int]] = {}
    for currency, rows in found.items():
        ordinals = _instants([day for day, _ in rows]).astype("M8[D]").astype(np.int64)
        days[currency] = (ordinals + dt.date(1970, 1, 1).toordinal()).tolist()
        facts.rates.units[currency] = [units for _, units in rows]
    return days
