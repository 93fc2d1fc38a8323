"""Finds the names of a text: houses, agencies, instruments, people, events, flows, kinds of investors.

Belongs here: matching names against the catalog, and what a name means where it stands (house or share, index or what
is derived from it). Does not belong here: the names themselves (`catalog/*.yaml`), word lists (`lexicon_words.py`), or
what is said about a name (the grammars).

Every word of a text is looked up in a dictionary of first words; only where one is found is a small pattern of the
names that begin so tried, longest first. The time is linear in the length of the text whatever it holds.
"""

from __future__ import annotations

import re

from rally_pipeline.catalog.model import Catalog, Person, RatingScale
from rally_pipeline.notes import lexicon_words as words
from rally_pipeline.notes.lexicon_spellings import (
    IS_HAN,
    Group,
    Name,
    Reading,
    all_names,
    first_words,
    key_of,
    keys_of_brokers,
    keys_of_instruments,
    look_up,
    precedence,
)
from rally_pipeline.notes.records import Mention, MentionKind

#: How far a look back for a sign reaches, in characters.
_BACK = 40

_STANDARD_SCALE = RatingScale(
    positive=("Strong Buy", "Buy", "Outperform", "Overweight"),
    neutral=("Hold", "Neutral", "Equal Weight", "Market Perform"),
    negative=("Underperform", "Underweight", "Sell", "Strong Sell"),
)


class Lexicon:
    """The names of a catalog, ready to be found. Build it with `from_catalog`; it may be shared between threads."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        spellings: dict[str, list[Reading]] = {}
        weak: set[str] = set()
        for spelling, reading, is_weak in all_names(catalog):
            readings = spellings.setdefault(spelling, [])
            if all(reading.label != other.label for other in readings):
                readings.append(reading)
            if is_weak:
                weak.add(spelling)
        self._latin: dict[str, Group] = {}
        han: dict[str, Group] = {}
        for spelling, readings in spellings.items():
            readings.sort(key=precedence)
            name = Name(spelling, tuple(readings), spelling in weak)
            if IS_HAN.match(spelling):
                han.setdefault(spelling[0], Group()).names.append(name)
            else:
                for first in first_words(name):
                    self._latin.setdefault(first, Group()).names.append(name)
        self._groups = han | self._latin
        firsts = "".join(re.escape(first) for first in han)
        self._scanner = re.compile(f"[{words.LATIN}]+" + (f"|[{firsts}]" if firsts else ""))
        self._brokers, self._agencies = keys_of_brokers(catalog.brokers)
        self._instruments = keys_of_instruments(catalog)

    @classmethod
    def from_catalog(cls, catalog: Catalog) -> Lexicon:
        """The lexicon of a catalog; the same object for the same content.

        Args:
            catalog: its `content_hash` is what decides, so a catalog put together by hand needs one of its own.
        """
        lexicon = _cache.get(catalog.content_hash)
        if lexicon is None or (lexicon.catalog is not catalog and lexicon.catalog != catalog):
            if len(_cache) >= _CACHE_SIZE:
                _cache.pop(next(iter(_cache)), None)
            lexicon = _cache[catalog.content_hash] = cls(catalog)
        return lexicon

    # -- lookups -----------------------------------------------------------------------------------------------------

    def broker(self, text: str) -> str:
        """The broker_id of a house as printed, with or without its tail (``Securities``, ``& Co.``); ``""`` if there is
        none such, or if it is a rating agency.
        """
        return look_up(self._brokers, text)

    def rating_agency(self, text: str) -> str:
        """The broker_id of a rating agency as printed; ``""`` if there is none such."""
        return look_up(self._agencies, text)

    def instrument(self, text: str) -> str:
        """The catalog symbol of an instrument as printed (name, symbol or alias); ``""`` if there is none such."""
        symbol = self.catalog.resolve_symbol(text)
        if symbol is not None:
            return symbol
        return self._instruments.get(key_of(text.strip().lstrip("$")), "")

    def broker_name(self, broker_id: str) -> str:
        """The name of a house or agency; the id itself if it is not in the catalog."""
        broker = self.catalog.brokers.get(broker_id)
        return broker.name if broker else broker_id

    def rating_scale(self, broker_id: str) -> RatingScale:
        """The rating words of a house, each class best first; the common ones where it has no words of its own."""
        broker = self.catalog.brokers.get(broker_id)
        return broker.rating_scale if broker and broker.rating_scale.words else _STANDARD_SCALE

    def person(self, person_id: str) -> Person | None:
        """Who that is: name, broker and role."""
        return self.catalog.people.get(person_id)

    # -- finding -----------------------------------------------------------------------------------------------------

    def find(self, text: str, start: int = 0, end: int | None = None) -> list[Mention]:
        """The names in ``text[start:end]``, in order, none overlapping another; of two at one place the longer.

        Args:
            text: the whole canonical text.
            start, end: where to look; a name must lie within, what stands around it may lie outside.

        Returns:
            mentions with offsets into the whole text. A name with several readings has the likelier one first and the
            others in ``also``; of what is not in the catalog the `entity_id` is empty.
        """
        end = len(text) if end is None else end
        found: list[Mention] = []
        pending: list[tuple[int, int, Name]] = []
        done = start
        latin, groups = self._latin, self._groups
        for match in self._scanner.finditer(text, start, end):
            word = match.group()
            group = groups.get(word)
            if group is None or match.start() < done:
                continue
            at = match.start()
            hit = group.pattern.match(text, at, end)
            if hit is None:
                continue
            name, stop = group.names[hit.lastindex - 1], hit.end()  # type: ignore[operator]
            if word in latin and not _is_apart(text, at, stop, name):
                continue
            if name.is_weak and not _is_house(text, at, stop, end, found):
                pending.append((at, stop, name))
                continue
            mention, done = _mention(text, at, stop, end, name)
            if mention is None:
                continue
            if pending and mention.kind is MentionKind.BROKER:
                _settle(text, pending, mention, end, found)
            found.append(mention)
        return found


_CACHE_SIZE = 8
_cache: dict[str, Lexicon] = {}


# -- what a name means where it stands ---------------------------------------------------------------------------------

_HYPHENS = "-\u2010\u2011"
_IN_WORD_BEFORE = frozenset("@_\\")
_ATTACHED = re.compile(rf"[{_HYPHENS}][a-z\u00df-\u024f]")
_PREFIXED = re.compile(rf"(?:^|[^{words.LATIN}])(?:ex|non|anti|pro|post|pre|mini|former)[{_HYPHENS}]$", re.IGNORECASE)
_DOMAIN_AFTER = re.compile(r"\.[a-z]{2}|@|_")
_TICKER_AFTER = re.compile(f"\\.[A-Z]{{1,2}}{words.NOT_LATIN_AFTER}")
_TICKER_BEFORE = re.compile(
    r"(?:\$|(?:NYSE|NASDAQ|AMEX|LSE|LON|SEHK|HKEX|HKG|TSX|OTC|ETR|EPA|SWX|SIX)\w{0,6}\s?:\s?)$", re.IGNORECASE
)
_NAMES_THINGS = (MentionKind.BROKER, MentionKind.RATING_AGENCY, MentionKind.INSTRUMENT, MentionKind.PERSON)


def _is_apart(text: str, start: int, stop: int, name: Name) -> bool:
    """Whether a Latin name is a word of its own: no part of an address, a compound ("Alibaba-backed") or a number."""
    before = text[start - 1] if start else " "
    after = text[stop] if stop < len(text) else " "
    if before in _IN_WORD_BEFORE or (before == "." and start > 1 and text[start - 2].isalnum()):
        return False
    if after in "@_." and _DOMAIN_AFTER.match(text, stop):
        return False
    if name.readings[0].kind not in _NAMES_THINGS:
        return True
    if after in _HYPHENS and _ATTACHED.match(text, stop):
        return False
    return not (before in _HYPHENS and _PREFIXED.search(text[max(0, start - 10) : start]))


def _is_house(text: str, at: int, stop: int, end: int, found: list[Mention]) -> bool:
    """Whether something beside an ordinary word says that it is meant as a house."""
    before = text[max(0, at - _BACK) : at]
    if words.HOUSE_BEFORE.search(before):
        return True
    if found and found[-1].kind is MentionKind.BROKER and words.LIST_GAP.fullmatch(text, found[-1].end, at):
        return True
    tail = words.BROKER_TAIL.match(text, stop, end)
    if tail is not None:
        return True
    # "analyst Tom Needham said": a first name before it makes it a surname.
    if _is_surname(before):
        return bool(words.HOUSE_ACTS_AFTER.match(text, stop, end)) and not words.ANALYST_BEFORE.search(before)
    if words.HOUSE_AFTER.match(text, stop, end) or words.HOUSE_OF_PERSON_AFTER.match(text, stop, end):
        return True
    after = text[stop : stop + 1]
    if after in (":", "\uff1a") or (after in (")", "\uff09") and before[-1:] in ("(", "\uff08")):
        return True
    is_last = not text[stop:end].strip(" .\n") if end - stop < 4 else False
    return is_last and before.rstrip()[-1:] in tuple("-\u2013\u2014;:|")


_FUNCTION = frozenset(
    """
    As After And But The While When Since Because If Also Now Today Why How Analyst Analysts Firm Broker Brokerage At By
    From With Here What Meanwhile Separately However Elsewhere Monday Tuesday Wednesday Thursday Friday Update Upgrade
    Downgrade Or For Research Morning Says Where Though Although That Which Both House
    """.split()  # noqa: SIM905 - read as prose it is easier to keep
)
_GIVEN_NAME = re.compile(f"(?:^|[^{words.LATIN}])([A-Z][a-z]{{1,14}}|[A-Z]\\.)\\s$")


def _is_surname(before: str) -> bool:
    """Whether what stands right before looks like a first name: a capitalised word, common headline words apart."""
    match = _GIVEN_NAME.search(before)
    return match is not None and match.group(1) not in _FUNCTION


def _settle(text: str, pending: list[tuple[int, int, Name]], mention: Mention, end: int, found: list[Mention]) -> None:
    """Takes the weak names that stand in one list before a house for houses too, the nearest first."""
    behind = mention.start
    taken: list[Mention] = []
    while pending and words.LIST_GAP.fullmatch(text, pending[-1][1], behind):
        at, stop, name = pending.pop()
        if found and found[-1].end > at:
            break
        weak, _ = _mention(text, at, stop, end, name)
        if weak is not None:
            taken.append(weak)
        behind = at
    pending.clear()
    found.extend(reversed(taken))


def _mention(text: str, start: int, stop: int, end: int, name: Name) -> tuple[Mention | None, int]:
    """The mention of a name, ``None`` if it mentions nothing, and where it ends."""
    readings = name.readings
    first = readings[0]
    if first.kind is None:
        return None, stop
    is_han = IS_HAN.match(text, stop - 1) is not None
    if first.kind in (MentionKind.BROKER, MentionKind.RATING_AGENCY):
        return _house(text, start, stop, end, readings, is_han)
    if first.kind is MentionKind.INSTRUMENT:
        return _instrument(text, start, stop, end, readings, is_han)
    if first.kind is MentionKind.FLOW:
        barred = words.NO_FLOW_AFTER_ZH if is_han else words.NO_FLOW_AFTER
        if barred.match(text, stop, end):
            return None, stop
        tail = (words.FLOW_TAIL_ZH if is_han else words.FLOW_TAIL).match(text, stop, end)
        if tail is not None:
            stop = tail.end()
    return _make(text, start, stop, readings), stop


def _make(text: str, start: int, stop: int, readings: tuple[Reading, ...]) -> Mention:
    first, *others = readings
    assert first.kind is not None
    also = tuple(reading.label for reading in others if reading.kind is not None)
    return Mention(start, stop, first.kind, text[start:stop], first.entity_id, also)


def _house(
    text: str, start: int, stop: int, end: int, readings: tuple[Reading, ...], is_han: bool
) -> tuple[Mention | None, int]:
    """A house, an agency, or the share or index that is called the same."""
    tail = (words.BROKER_TAIL_ZH if is_han else words.BROKER_TAIL).match(text, stop, end)
    if tail is not None:
        stop = tail.end()
    other = (words.NOT_BROKER_AFTER_ZH if is_han else words.NOT_BROKER_AFTER).match(text, stop, end)
    if other is not None:
        stop = other.end()
        also = tuple(reading.label for reading in readings if reading.kind is MentionKind.BROKER)
        return Mention(start, stop, MentionKind.INSTRUMENT, text[start:stop], "", also), stop
    if not is_han and (place := words.PLACE_AFTER.match(text, stop, end)) is not None:
        return None, place.end()
    share = next((reading for reading in readings if reading.kind is MentionKind.INSTRUMENT), None)
    before = text[max(0, start - _BACK) : start]
    is_ticker = bool(
        (before.rstrip().endswith(("$", ":")) and _TICKER_BEFORE.search(before)) or _TICKER_AFTER.match(text, stop, end)
    )
    if share is None:
        # A private house has no share, but Reuters' code or a cashtag of the same letters is one all the same.
        share = Reading(MentionKind.INSTRUMENT) if is_ticker else None
    if share is not None and (is_ticker or _is_instrument(text, before, stop, end, share, is_han)):
        readings = (share, *(reading for reading in readings if reading != share))
        if share.is_index:
            return _instrument(text, start, stop, end, readings, is_han)
    return _make(text, start, stop, readings), stop


def _is_instrument(text: str, before: str, stop: int, end: int, share: Reading, is_han: bool) -> bool:
    if is_han:
        if (words.INDEX_AFTER_ZH if share.is_index else words.SHARE_AFTER_ZH).match(text, stop, end):
            return True
        return bool(words.SHARE_RATED_AFTER_ZH.match(text, stop, end) and words.SHARE_RATED_BEFORE_ZH.search(before))
    if not share.is_index:
        return bool(
            words.SHARE_AFTER.match(text, stop, end)
            or words.SHARE_RATED_AFTER.match(text, stop, end)
            or (before.rstrip().lower().endswith(words.SHARE_BEFORE_LAST) and words.SHARE_BEFORE.search(before))
        )
    if words.INDEX_AFTER.match(text, stop, end) or words.DERIVED_AFTER.match(text, stop, end):
        return True
    return bool(words.THE_BEFORE.search(before)) and words.NO_INDEX_AFTER.match(text, stop, end) is None


def _instrument(
    text: str, start: int, stop: int, end: int, readings: tuple[Reading, ...], is_han: bool
) -> tuple[Mention, int]:
    """An index, a share, or what is only derived from one (futures, funds, members), which is not in the catalog."""
    first = readings[0]
    if first.is_index:
        derived = (words.DERIVED_AFTER_ZH if is_han else words.DERIVED_AFTER).match(text, stop, end)
        if derived is not None:
            return Mention(start, derived.end(), MentionKind.INSTRUMENT, text[start : derived.end()]), derived.end()
    if len(readings) > 1 and not first.is_new_york:
        new_york = next((reading for reading in readings if reading.is_new_york and not reading.is_index), None)
        if new_york is not None and (
            words.NEW_YORK_AFTER.match(text, stop, end)
            or words.NEW_YORK_BEFORE.search(text[max(0, start - _BACK) : start])
        ):
            readings = (new_york, *(reading for reading in readings if reading != new_york))
    return _make(text, start, stop, readings), stop
