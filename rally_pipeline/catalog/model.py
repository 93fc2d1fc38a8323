"""The typed records of the catalog: instruments, events, calendar overrides, brokers, people and other names.

Belongs here: what an entry may contain. Does not belong here: reading YAML (`loader.py`) or calendars (`sessions.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Entry(BaseModel):
    """Base of every catalog entry: immutable, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Market(StrEnum):
    """Where an instrument trades; each has a calendar in `sessions.py`."""

    HK = "HK"
    CN = "CN"
    DE = "DE"
    US = "US"
    JP = "JP"
    GB = "GB"
    FX = "FX"


class Kind(StrEnum):
    """What an instrument is; decides which rules of plausibility hold."""

    INDEX = "index"
    SHARE = "share"
    ETF = "etf"
    FX = "fx"


class PriceSource(Entry):
    """One upstream of an instrument's prices. ``code`` is the upstream's own name for it (default: the symbol; must be
    given for ``hang_seng``, whose codes are series names, and ``eastmoney``, whose codes are ``market.code``).
    """

    source: Literal["yahoo", "hang_seng", "eastmoney"]
    code: str | None = None

    @model_validator(mode="after")
    def _check_code(self) -> Self:
        if self.source != "yahoo" and not self.code:
            raise ValueError(f"source {self.source} has its own codes, so 'code' must be given")
        if self.source == "eastmoney" and "." not in (self.code or ""):
            raise ValueError(f"code {self.code!r} is not an Eastmoney secid of the form market.code, such as '100.HSI'")
        return self


Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Leaderboard = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]

#: A name as it stands in a text, of at least two characters.
ProseName = Annotated[str, Field(min_length=2, max_length=120, pattern=r"^[^\x00-\x1f]+$")]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


def _check_distinct(**lists: tuple[str, ...]) -> None:
    """
    Raises:
        ValueError: a list holds the same value twice; the message names the list.
    """
    for field, values in lists.items():
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"'{field}' lists {', '.join(twice)} more than once")


#: The calendars an override can correct: every market's, and the Stock Connect southbound one.
CalendarName = Market | Literal["SOUTHBOUND"]


class Instrument(Entry):
    """An index, share, fund or currency pair. ``symbol`` is in Yahoo notation; ``aliases`` are other spellings that
    files carry (stored in capitals). ``price_sources`` stand in order of trust. ``leaderboards`` rank it against their
    other members; the first is the one shown beside its performance. ``names`` are what texts call it; they are no
    spellings that a file may carry, and one that two instruments have means the first of them. For FX, ``currency`` is
    the quote currency and ``base_currency`` the one of which a unit is priced.
    """

    symbol: str = Field(min_length=1, max_length=32, pattern=r"^[\^A-Z0-9][A-Z0-9.=\-]*$")
    name: str = Field(min_length=1, max_length=120)
    market: Market
    currency: Currency
    kind: Kind
    leaderboards: tuple[Leaderboard, ...] = ()
    price_sources: tuple[PriceSource, ...] = ()
    listing_date: dt.date | None = None
    aliases: tuple[str, ...] = ()
    names: tuple[ProseName, ...] = ()
    base_currency: Currency | None = None

    @field_validator("aliases")
    @classmethod
    def _capitals(cls, aliases: tuple[str, ...]) -> tuple[str, ...]:
        if any(not alias for alias in aliases):
            raise ValueError("an alias may not be empty")
        return tuple(alias.upper() for alias in aliases)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind is Kind.FX) != (self.market is Market.FX):
            raise ValueError("kind 'fx' and market 'FX' go together: a currency pair has both, anything else neither")
        if self.kind is Kind.FX and self.base_currency is None:
            raise ValueError("a currency pair needs 'base_currency', the currency of which one unit is priced")
        if self.kind is not Kind.FX and self.base_currency is not None:
            raise ValueError("'base_currency' is for currency pairs (kind 'fx') only")
        if self.base_currency == self.currency:
            raise ValueError(f"base_currency and currency are both {self.currency}")
        _check_distinct(
            price_sources=tuple(source.source for source in self.price_sources),
            leaderboards=self.leaderboards,
            aliases=self.aliases,
            names=self.names,
        )
        return self


class Event(Entry):
    """A dated event against which moves are measured. Exactly one of ``date``, or ``rule`` which yields one event a
    year (``event_id`` then gets the year appended: ``lunar_new_year_2025``). ``names`` are what texts call it.
    """

    event_id: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)
    name: str = Field(min_length=1, max_length=120)
    date: dt.date | None = None
    rule: Literal["mainland_reopening_after_lunar_new_year"] | None = None
    names: tuple[ProseName, ...] = ()

    @model_validator(mode="after")
    def _one_of_date_and_rule(self) -> Self:
        if (self.date is None) == (self.rule is None):
            raise ValueError("give exactly one of 'date' and 'rule'")
        _check_distinct(names=self.names)
        return self


class BrokerKind(StrEnum):
    """What a house is. Agencies rate credit: what they raise or lower is never a rating of a share."""

    BANK = "bank"
    INDEPENDENT = "independent"
    RATING_AGENCY = "rating_agency"


class RatingScale(Entry):
    """The rating words of a house, each list best first; empty where the house uses the common ones."""

    positive: tuple[str, ...] = ()
    neutral: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All its words, best first."""
        return (*self.positive, *self.neutral, *self.negative)


class Broker(Entry):
    """A house whose notes and ratings are read. ``symbol`` is its own share in Yahoo notation, in the catalog or not.
    ``aliases`` are other spellings in texts; those of ``weak`` (which may repeat the name or an alias) are ordinary
    words or surnames too and count only beside a sign of a house; ``codes`` occur in structured feeds only. ``country``
    is an ISO 3166 code of two letters.
    """

    broker_id: Key
    name: ProseName
    kind: BrokerKind
    country: str = Field(pattern=r"^[A-Z]{2}$")
    symbol: str | None = Field(default=None, min_length=1, max_length=32, pattern=r"^[\^A-Z0-9][A-Z0-9.=\-]*$")
    aliases: tuple[ProseName, ...] = ()
    weak: tuple[ProseName, ...] = ()
    codes: tuple[str, ...] = ()
    rating_scale: RatingScale = RatingScale()

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_distinct(aliases=self.aliases, weak=self.weak, codes=self.codes)
        return self

    @property
    def spellings(self) -> tuple[str, ...]:
        """Name, aliases and weak names, each once."""
        return tuple(dict.fromkeys((self.name, *self.aliases, *self.weak)))


class Person(Entry):
    """Somebody whose remarks are attributed. ``broker`` is a `broker_id`, ``""`` = none of the catalog's."""

    person_id: Key
    name: ProseName
    broker: str = ""
    role: str = Field(default="", max_length=120)
    aliases: tuple[ProseName, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_distinct(aliases=self.aliases)
        return self


class OtherName(Entry):
    """Names of something that is not in the catalog but must not be mistaken for what is. ``index`` and ``company`` are
    mentioned without a catalog key; ``other`` is not mentioned at all.
    """

    name_id: Key
    kind: Literal["index", "company", "other"]
    names: tuple[ProseName, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_distinct(names=self.names)
        return self


class CalendarOverride(Entry):
    """A correction of one day of a published calendar, with the reason and, if there is one, where it was said."""

    market: CalendarName
    date: dt.date
    is_session: bool
    reason: str = Field(min_length=1)


class CalendarExtension(Entry):
    """Sessions beyond the end of a published calendar, once the exchange has announced them: every Monday to Friday up
    to and including ``known_until`` is a session except those in ``closed``. Days that the calendar package already
    knows are not touched. ``half_days`` close at the market's usual early close (or 12:00 where it has none).
    """

    market: Literal[Market.HK, Market.CN, Market.DE, Market.US, Market.JP, Market.GB]
    known_until: dt.date
    closed: tuple[dt.date, ...] = ()
    half_days: tuple[dt.date, ...] = ()
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        late = sorted(day for day in (*self.closed, *self.half_days) if day > self.known_until)
        if late:
            raise ValueError(f"{late[0]} is after known_until {self.known_until}")
        both = sorted(set(self.closed) & set(self.half_days))
        if both:
            raise ValueError(f"{both[0]} is both in 'closed' and in 'half_days'")
        return self


class Catalog(BaseModel):
    """Everything that exists, as data. ``content_hash`` is the SHA-256 over all entries in canonical form."""

    model_config = ConfigDict(frozen=True)

    instruments: dict[str, Instrument]
    events: dict[str, Event]
    calendar_overrides: tuple[CalendarOverride, ...]
    calendar_extensions: tuple[CalendarExtension, ...] = ()
    brokers: dict[str, Broker] = {}
    people: dict[str, Person] = {}
    other_names: dict[str, OtherName] = {}
    content_hash: str

    @cached_property
    def _symbols(self) -> Mapping[str, str]:
        by_alias = {
            alias.upper(): symbol for symbol, instrument in self.instruments.items() for alias in instrument.aliases
        }
        # A symbol wins over an alias of the same spelling; the loader refuses such a catalog anyway.
        return MappingProxyType(by_alias | {symbol: symbol for symbol in self.instruments})

    def market_symbols(self, market: str) -> list[str]:
        """The instruments of a market, in catalog order."""
        return [symbol for symbol, instrument in self.instruments.items() if instrument.market == market]

    def resolve_symbol(self, text: str) -> str | None:
        """The catalog symbol for a symbol or alias as written in a file (case and blanks ignored), or ``None``."""
        return self._symbols.get(text.strip().upper())

    def leaderboard(self, name: str) -> tuple[str, ...]:
        """The symbols ranked in a leaderboard, in catalog order; empty if nothing is in it."""
        return tuple(symbol for symbol, entry in self.instruments.items() if name in entry.leaderboards)
