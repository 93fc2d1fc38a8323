"""The spellings of a catalog: every name in it with what it may mean, and the pattern that finds it.

Belongs here: collecting names, the variants of their punctuation and capitalisation, and keys by which a name that
stands alone is looked up. Does not belong here: scanning a text (`lexicon.py`) or word lists (`lexicon_words.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from rally_pipeline.catalog.model import Broker, BrokerKind, Catalog, Kind, Market
from rally_pipeline.notes import lexicon_words as words
from rally_pipeline.notes.records import MentionKind

_HAN = "\u3400-\u9fff\uf900-\ufaff"
IS_HAN = re.compile(f"[{_HAN}]")
_FIRST_WORD = re.compile(f"[{words.LATIN}]+")

#: In this order of trust where one spelling has several readings.
_PRECEDENCE = (
    MentionKind.RATING_AGENCY,
    MentionKind.BROKER,
    MentionKind.PERSON,
    MentionKind.INSTRUMENT,
    MentionKind.EVENT,
    MentionKind.FLOW,
    MentionKind.INVESTORS,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that a spelling may mean; ``kind`` ``None`` = nothing that is mentioned."""

    kind: MentionKind | None
    entity_id: str = ""
    is_index: bool = False
    is_new_york: bool = False

    @property
    def label(self) -> str:
        """As it stands among the other readings of a mention."""
        return f"{self.kind}:{self.entity_id}"


@dataclass(frozen=True, slots=True)
class Name:
    """A spelling and what it may mean, best first; ``is_weak`` = an ordinary word too."""

    text: str
    readings: tuple[Reading, ...]
    is_weak: bool


@dataclass
class Group:
    """The names that begin with one word, longest first; the pattern is compiled when the word is first met."""

    names: list[Name] = field(default_factory=list)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """One group a name, in the order of `names`."""
        self.names.sort(key=lambda name: (-len(name.text), name.text))
        return re.compile("|".join(f"({_pattern(name)})" for name in self.names))


def is_exact(name: Name) -> bool:
    """Whether the capitalisation matters: of one word, unless it is an ordinary noun (a flow, a kind of investor), and
    of every name that is made of ordinary words.
    """
    spelling, readings = name.text, name.readings
    if all(reading.kind in (MentionKind.FLOW, MentionKind.INVESTORS) for reading in readings):
        return spelling.rstrip("s").isupper()
    return name.is_weak or len(spelling.split()) == 1


def _pattern(name: Name) -> str:
    """A pattern for one spelling with the variants of its punctuation."""
    parts: list[str] = []
    text = name.text
    not_after, not_before = words.GUARDS_ZH.get(text, ("", ""))
    if not_after:
        parts.append(f"(?<![{not_after}])")
    for i, character in enumerate(text):
        before, after = text[i - 1 : i], text[i + 1 : i + 2]
        if character.isspace():
            if before == "&" or after == "&":
                continue
            parts.append(r"(?:(?<=\.)\s{0,2}|\s{1,2})" if before == "." else r"\s{1,2}")
        elif character == "&":
            is_apart = before.isspace() or after.isspace()
            parts.append(r"\s{0,2}(?:&(?:amp;)?|(?<=\s)(?i:and)(?=\s))\s{0,2}" if is_apart else r"\s?&(?:amp;)?\s?")
        elif character in "'\u2019":
            parts.append("['\u2019\u2018\u00b4`\u02bc]")
        elif character in "-\uff0d":
            parts.append(r"[-\u2010-\u2015\uff0d\s]?")
        elif character == ".":
            parts.append(r"\.?\s?" if after and not after.isspace() else r"\.?")
        elif character == ",":
            parts.append(",?")
        elif character == "/":
            parts.append(r"\s?/\s?")
        elif character in "()（）":
            parts.append("[(（]" if character in "(（" else "[)）]")
        else:
            parts.append(re.escape(character))
    body = "".join(parts)
    if not is_exact(name):
        body = f"(?i:{body})"
    elif len(text) >= 4 and not text.isupper():
        upper = text.upper()
        body = f"(?:{body}|{_pattern_of_capitals(upper)})"
    if text in words.BARE_HANG_SENG_NAMES:
        body += words.BARE_HANG_SENG_AFTER
    if not_before:
        body += f"(?![{not_before}])"
    return body if IS_HAN.match(text[-1]) else body + words.NOT_LATIN_AFTER


def _pattern_of_capitals(text: str) -> str:
    return re.escape(text).replace("'", "['\u2019]")


def first_words(name: Name) -> set[str]:
    """The forms in which the first word of a name can stand."""
    match = _FIRST_WORD.match(name.text)
    assert match is not None
    first = match.group()
    if is_exact(name):
        return {first, first.upper()} if len(name.text) >= 4 else {first}
    return {first, first.lower(), first.upper(), first.capitalize()}


def all_names(catalog: Catalog) -> Iterator[tuple[str, Reading, bool]]:
    """Every spelling with one reading of it and whether it is weak."""
    for broker in catalog.brokers.values():
        is_agency = broker.kind is BrokerKind.RATING_AGENCY
        kind = MentionKind.RATING_AGENCY if is_agency else MentionKind.BROKER
        for spelling in broker.spellings:
            yield spelling, Reading(kind, broker.broker_id), spelling in broker.weak
            if broker.symbol and not is_agency:
                symbol = broker.symbol if broker.symbol in catalog.instruments else ""
                yield spelling, Reading(MentionKind.INSTRUMENT, symbol), False
    for person in catalog.people.values():
        for spelling in (person.name, *person.aliases):
            yield spelling, Reading(MentionKind.PERSON, person.person_id), False
    for symbol, instrument in catalog.instruments.items():
        reading = Reading(MentionKind.INSTRUMENT, symbol, instrument.kind is Kind.INDEX, instrument.market is Market.US)
        for spelling in dict.fromkeys((instrument.name, *instrument.names, *_tickers(symbol, instrument.aliases))):
            yield spelling, reading, False
    for event in catalog.events.values():
        for spelling in event.names:
            yield spelling, Reading(MentionKind.EVENT, event.event_id), False
    for entity, spellings in words.FLOW_NAMES.items():
        for spelling in spellings:
            yield spelling, Reading(MentionKind.FLOW, entity), False
    for entity, spellings in words.INVESTOR_NAMES.items():
        for spelling in spellings:
            yield spelling, Reading(MentionKind.INVESTORS, entity), False
    for other in catalog.other_names.values():
        kind_of = None if other.kind == "other" else MentionKind.INSTRUMENT
        for spelling in other.names:
            yield spelling, Reading(kind_of, "", other.kind == "index"), False


def _tickers(symbol: str, aliases: Iterable[str]) -> Iterator[str]:
    """Spellings of a symbol that can be told from words and numbers: with a suffix, or of at least four letters."""
    for spelling in (symbol, *aliases):
        code, dot, suffix = spelling.partition(".")
        if dot and code.isdigit() and suffix:
            yield spelling
            if suffix == "HK":
                yield f"{code.lstrip('0')}.HK"
                yield f"{code.lstrip('0')} HK"
                yield f"{int(code):04d} HK"
        elif spelling.isalpha() and spelling.isascii() and len(spelling) >= 4:
            yield spelling


def precedence(reading: Reading) -> int:
    """Place of a reading among those of one spelling, the likeliest 0."""
    return len(_PRECEDENCE) if reading.kind is None else _PRECEDENCE.index(reading.kind)


_TAIL_WORDS = frozenset(
    """
    securities capital markets market research group holdings holding co company corp corporation inc llc llp lp ltd
    limited plc ag se sa nv partners international financial global equities equity advisors associates investment
    institutional bank and usa us asia the bhd pte
    """.split()  # noqa: SIM905 - read as prose it is easier to keep
)
_TAILS_HAN = ("证券", "證券", "国际", "國際", "集团", "集團", "资本", "資本", "研究", "公司", "银行", "銀行")
_PLAIN = str.maketrans(
    dict.fromkeys(".,'\u2019\u2018\u00b4`\u02bc()（）") | dict.fromkeys("-\u2010\u2011\u2012\u2013\u2014/\uff0d", " ")
)


def key_of(text: str) -> str:
    """A spelling without regard to case, blanks and punctuation; for comparing only, offsets do not survive it."""
    return " ".join(text.replace("&amp;", "&").replace("&", " and ").translate(_PLAIN).casefold().split())


def _without_tail(key: str) -> Iterator[str]:
    """`key` and what is left as one tail word after another is taken off."""
    yield key
    rest = key.split()
    if rest and rest[0] == "the":
        rest = rest[1:]
        yield " ".join(rest)
    while len(rest) > 1 and rest[-1] in _TAIL_WORDS:
        rest = rest[:-1]
        yield " ".join(rest)
    while key.endswith(_TAILS_HAN) and len(key) > 3:
        key = key[:-2]
        yield key


def look_up(keys: Mapping[str, str], text: str) -> str:
    """What a name stands for with or without its tail, ``""`` if nothing."""
    return next((keys[key] for key in _without_tail(key_of(text)) if key in keys), "")


def keys_of_brokers(brokers: Mapping[str, Broker]) -> tuple[dict[str, str], dict[str, str]]:
    """Keys of the houses and of the agencies; a spelling as written goes before one without its tail."""
    houses: dict[str, str] = {}
    agencies: dict[str, str] = {}
    for broker_id, broker in brokers.items():
        keys = agencies if broker.kind is BrokerKind.RATING_AGENCY else houses
        for spelling in (*broker.spellings, *broker.codes):
            keys.setdefault(key_of(spelling), broker_id)
    for broker_id, broker in brokers.items():
        keys = agencies if broker.kind is BrokerKind.RATING_AGENCY else houses
        if (squeezed := key_of(broker.name).replace(" ", "")) not in keys:
            keys[squeezed] = broker_id
    return houses, agencies


def keys_of_instruments(catalog: Catalog) -> dict[str, str]:
    """Keys of the instruments; one that two of them have is the first one's."""
    keys: dict[str, str] = {}
    for symbol, instrument in catalog.instruments.items():
        for spelling in (instrument.name, *instrument.names, *_tickers(symbol, instrument.aliases)):
            keys.setdefault(key_of(spelling), symbol)
    return keys
