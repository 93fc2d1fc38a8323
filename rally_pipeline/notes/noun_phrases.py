"""Who moves: a noun phrase, judged as something that trades or as something else.

Belongs here: deciding whether a phrase names an index, share, fund, sector, market, currency or commodity. Does not
belong here: finding the phrase before a verb (`subject_phrases.py`), what it did (`moves.py`), or what a reference back
stands for (`subjects.py`, which is asked).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rally_pipeline.notes import numeric_words as words
from rally_pipeline.notes.clauses import Token, clauses
from rally_pipeline.notes.labels import label_before
from rally_pipeline.notes.records import MentionKind, Passage
from rally_pipeline.notes.subjects import resolve_subject

_FUTURES: Final = re.compile(r"\b(?:futures?|e-minis?|contracts?)\b|期货|期貨|期指|夜期", re.IGNORECASE)
_ECONOMY: Final = re.compile(
    r"\b(?:PMI|CPI|PPI|ISM|survey|consumer (?:confidence|sentiment|prices)|inflation gauge|purchasing managers)\b",
    re.IGNORECASE,
)
_US_LISTED: Final = re.compile(
    r"\b(?:(?:US|U\.S\.|New York|American|NYSE|Nasdaq)[- ](?:listed|traded|depositary)|ADRs?|ADSs?"
    r"|American depositary)\b",
    re.IGNORECASE,
)
_HK_LISTED: Final = re.compile(r"\b(?:Hong Kong|HK)(?:-| )(?:listed|traded)\b", re.IGNORECASE)
_TECH: Final = re.compile(r"^(?P<place>.*?)(?:-listed|-traded)?(?:'s|’s)? (?:tech|technology)$")
_MARKET_WORDS: Final = re.compile(
    r"\b(?:stocks?|shares?|equit(?:y|ies)|market|markets|bourse)\b|Wall Street"
    r"|港股|大市|科技股|科网股|科網股|美股|德股|日股",
    re.IGNORECASE,
)

_PRICED: Final = frozenset({MentionKind.INSTRUMENT, MentionKind.BROKER})
INNER_PREPOSITIONS: Final = frozenset({"of", "in", "for", "on", "across"})
NO_MEMBER: Final = words.PREPOSITIONS | {
    "on",
    "amid",
    "like",
    "despite",
    "including",
    "also",
    "meanwhile",
    "elsewhere",
    "overall",
}
#: In front of a commodity; any other capitalised word makes a company's name of it ("Marathon Oil").
_QUALITIES: Final = frozenset(
    {
        "brent",
        "crude",
        "spot",
        "wti",
        "us",
        "u.s.",
        "nymex",
        "comex",
        "mcx",
        "london",
        "global",
        "international",
        "asian",
    }
    | {"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"}
    | {
        "december",
        "dec",
        "feb",
        "jan",
        "aug",
        "sept",
        "oct",
        "nov",
        "iron",
        "palm",
        "heating",
        "natural",
        "texas",
        "offshore",
        "onshore",
    }
)
_DETERMINERS: Final = frozenset(
    {
        "the",
        "a",
        "an",
        "its",
        "their",
        "his",
        "this",
        "that",
        "these",
        "those",
        "her",
        "our",
        "some",
        "most",
        "both",
    }
    | {"many", "all", "each", "other", "another", "local", "broader", "wider", "overall"}
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a statement is about.

    Attributes:
        start, end: the words in this sentence.
        text, symbol: name as printed (of a reference back: the name it stands for) and catalog symbol, ``""`` = none.
        is_proxy: whether `symbol` is the index that stands for a market named in words ("Hong Kong stocks").
        instrument: ``futures`` or ``""``.
        asset: ``commodity``, ``currency`` or ``""``.
        is_reference: whether the words point back.
        is_name: whether a name of its own stands in the words.
    """

    start: int
    end: int
    text: str
    symbol: str = ""
    is_proxy: bool = False
    instrument: str = ""
    asset: str = ""
    is_reference: bool = False
    is_name: bool = True


class Reject:
    """A noun phrase that is there and trades nowhere: revenue, deposits, a price index of the economy."""


REJECT: Final = Reject()
Found = list[Subject] | Reject | None


def says_price(subject: Subject) -> bool:
    """Whether the words of a subject say that it is a share, an index or a market: "the stock"."""
    heads = words.SHARE_HEADS | words.INDEX_HEADS | words.MARKET_HEADS
    return not heads.isdisjoint(subject.text.lower().split())


def judge(phrase: list[Token], passage: Passage) -> Subject | Reject | None:
    """Reads a noun phrase. ``None`` if it has no words besides articles."""
    while phrase and (
        (phrase[0].low in _DETERMINERS and phrase[0].low not in words.PRONOUNS) or phrase[0].kind == "poss"
    ):
        phrase = phrase[1:]
    if any(token.low == "(" for token in phrase):
        phrase = _outside_brackets(phrase)
    while phrase and phrase[-1].kind in ("win", "poss"):
        phrase = phrase[:-1]
    if not phrase:
        return None
    if phrase[-1].low in words.INDEX_HEADS and _is_economic(phrase):
        return REJECT
    for at, token in enumerate(phrase):
        if at and token.low in INNER_PREPOSITIONS and token.kind == "word" and at + 1 < len(phrase):
            return _with_complement(phrase, at, passage)
    return _plain(phrase, passage)


def _is_economic(phrase: list[Token]) -> bool:
    """Whether an index is one of prices, moods or output: no name of the catalog stands in it."""
    if any(token.kind == "sub" for token in phrase):
        return False
    if any(token.low in words.ECONOMIC_GAUGES for token in phrase):
        return True
    before = phrase[-2].low if len(phrase) > 1 else ""
    if before in ("price", "prices"):
        return len(phrase) < 3 or phrase[-3].low not in ("share", "stock")
    return before in words.ECONOMIC_KINDS


def _outside_brackets(phrase: list[Token]) -> list[Token]:
    kept: list[Token] = []
    depth = 0
    for token in phrase:
        depth += token.low == "("
        if not depth:
            kept.append(token)
        depth -= token.low == ")" and depth > 0
    return kept


def _with_complement(phrase: list[Token], at: int, passage: Passage) -> Subject | Reject | None:
    head, tail = phrase[at - 1], phrase[at + 1 :]
    for index in range(1, len(tail) - 1):
        # "the maker of Acme"; but "Bank of Acme" is one name.
        if tail[index].low in INNER_PREPOSITIONS and tail[index - 1].kind == "word":
            tail = tail[:index]
            break
    if phrase[at].low == "of" and (head.low in words.SHARE_HEADS or head.low in words.PRICE_HEADS):
        inner = _plain([token for token in tail if token.low not in _DETERMINERS] or tail, passage)
        if isinstance(inner, Subject):
            is_of_share = at > 1 and phrase[at - 2].low in ("share", "stock", "unit")
            if head.low in words.PRICE_HEADS and not (inner.symbol or inner.asset or inner.is_reference or is_of_share):
                return REJECT
            return _spanning(phrase, inner, passage)
        # "shares of the oil producer": the words say what kind of company, the label or sentence before which.
        if head.low in words.SHARE_HEADS and (
            _is_company_noun(tail[-1].low) or any(_is_company_noun(token.low) for token in tail[:6])
        ):
            return _referring(phrase, passage)
        return REJECT if head.low in words.PRICE_HEADS else _referring(phrase, passage)
    whole = _plain(phrase[:at], passage)
    if phrase[at].low == "on" and not (isinstance(whole, Subject) and whole.is_name):
        return REJECT
    if isinstance(whole, Subject):
        if (
            (whole.is_reference or not whole.is_name)
            and phrase[at].low in ("of", "in")
            and head.low in (words.INDEX_HEADS | words.SHARE_HEADS)
        ):
            # "a gauge of Chinese tech shares", "stocks in Hong Kong"
            text = passage.text[phrase[0].start : phrase[-1].end]
            place = passage.text[tail[0].start : tail[-1].end].lower().removeprefix("the ")
            symbol = words.PROXIES.get(place, "") if head.low in ("stocks", "shares", "equities") else ""
            return Subject(phrase[0].start, phrase[-1].end, text, symbol, is_proxy=bool(symbol))
        return _spanning(phrase, whole, passage)
    return whole


def _spanning(phrase: list[Token], inner: Subject, passage: Passage) -> Subject:
    words_here = passage.text[phrase[0].start : phrase[-1].end]
    instrument = "futures" if _is_future(words_here) else inner.instrument
    return Subject(
        start=phrase[0].start,
        end=phrase[-1].end,
        text=inner.text,
        symbol="" if instrument else _listing(inner.symbol, words_here),
        is_proxy=inner.is_proxy and not instrument,
        instrument=instrument,
        asset=inner.asset,
        is_reference=inner.is_reference,
        is_name=inner.is_name,
    )


def _listing(symbol: str, phrase: str) -> str:
    """The line meant where the words name the place of listing: the American receipts are another instrument."""
    if symbol.endswith(".HK") and _US_LISTED.search(phrase):
        return "BABA" if symbol == "9988.HK" else ""
    if symbol == "BABA" and _HK_LISTED.search(phrase):
        return "9988.HK"
    return symbol


def _plain(phrase: list[Token], passage: Passage) -> Subject | Reject | None:
    """A noun phrase without prepositions; its last word decides."""
    if not phrase:
        return None
    text = passage.text
    head = phrase[-1]
    low = head.low
    names = [token for token in phrase if token.mention is not None and token.mention.kind in _PRICED]
    printed = text[phrase[0].start : head.end]
    instrument = "futures" if _is_future(printed) else ""
    if head.kind == "sub":
        return _of_mention(head, phrase, passage)
    if head.kind == "qty" and len(phrase) > 1 and phrase[-2].kind in ("cap", "sub"):
        return Subject(
            _run_start(phrase, len(phrase) - 2), head.end, text[_run_start(phrase, len(phrase) - 2) : head.end]
        )
    is_share = low in words.SHARE_HEADS
    is_index = low in words.INDEX_HEADS
    if low in words.PRICE_HEADS and len(phrase) > 1:
        owner = phrase[-2]
        if owner.low in ("share", "stock", "unit") or owner.kind == "sub" or owner.low in words.COMMODITY_HEADS:
            is_share = True
            if owner.low in words.COMMODITY_HEADS:
                return Subject(phrase[0].start, head.end, printed, instrument=instrument, asset="commodity")
            phrase = phrase[:-1] if owner.low in ("share", "stock", "unit") else phrase
        else:
            return REJECT
    if is_share or is_index or low in words.MARKET_HEADS:
        if is_index and any(token.low in words.ECONOMIC_GAUGES for token in phrase):
            return REJECT
        if is_index and not names and _is_about_economy(passage):
            # "with the composite index dropping to 48": a survey, not a market.
            return REJECT
        if names:
            inner = _of_mention(names[-1], [names[-1]], passage)
            if isinstance(inner, Subject):
                start = min(phrase[0].start, names[-1].start)
                is_whole = low in words.INDEX_HEADS or inner.is_proxy
                return Subject(
                    start=names[-1].start if names[-1] is phrase[0] or is_index else start,
                    end=head.end,
                    text=text[names[-1].start : head.end] if is_whole else inner.text,
                    symbol="" if instrument else _listing(inner.symbol, printed),
                    is_proxy=inner.is_proxy,
                    instrument=instrument,
                )
            return inner
        return _described(phrase, head, passage, instrument, is_share=is_share)
    if low in words.PRONOUNS:
        return _referring(phrase, passage) if low == "it" else REJECT
    if low in words.CURRENCY_HEADS:
        return Subject(_modified_start(phrase), head.end, text[_modified_start(phrase) : head.end], asset="currency")
    is_firm = head.kind == "cap" and len(phrase) > 1 and phrase[-2].kind == "cap" and phrase[-2].low not in _QUALITIES
    if low in words.COMMODITY_HEADS and low not in ("lead", "gas", "tin") and not is_firm:
        return Subject(
            *(_modified_start(phrase), head.end, text[_modified_start(phrase) : head.end]),
            instrument=instrument,
            asset="commodity",
        )
    if low in words.NOT_TRADED:
        return REJECT
    if low == "tech" and len(phrase) > 1 and phrase[-2].kind == "cap" and _is_place_adjective(phrase[-2].low):
        # "Chinese tech is off 3%"
        start = phrase[-2].start
        return Subject(start, head.end, text[start : head.end])
    if head.kind == "cap":
        start = _run_start(phrase, len(phrase) - 1)
        name = text[start : head.end]
        if name.isupper() and len(name) > 14:
            return REJECT
        is_plural = start <= passage.start + 1 and " " not in name and name.endswith(("ies", "tions", "ments", "ers"))
        if is_plural and low not in words.SECTORS:
            return REJECT
        symbol = words.PROXIES.get(name.lower(), "")
        if not symbol and (whole := _as_labelled(passage, start, head.end)) is not None:
            return whole
        return Subject(start, head.end, name, symbol, is_proxy=bool(symbol), instrument=instrument)
    if _is_company_noun(low) or (
        low not in words.NOT_TRADED and head.kind == "word" and _is_behind_label(phrase, passage)
    ):
        return _referring(phrase, passage)
    return REJECT


def _is_behind_label(phrase: list[Token], passage: Passage) -> bool:
    """Whether a phrase follows a label at once, and so tells what the named one is: "Acme - The streaming service"."""
    start = phrase[0].start
    label = label_before(passage, start)
    if label is None:
        return False
    between = passage.text[max(passage.start, start - 12) : start]
    return re.search(r"(?:[-–—] ?| {2})(?:[Tt]he )?$", between) is not None and not phrase[-1].low.endswith("s")


def _is_about_economy(passage: Passage) -> bool:
    """Whether a sentence, or the one before if that names no index, speaks of a survey or of prices of the economy."""
    if _ECONOMY.search(passage.text, passage.start, passage.end):
        return True
    earlier = passage.previous
    if earlier is None or _ECONOMY.search(earlier.text, earlier.start, earlier.end) is None:
        return False
    return not any(mention.kind is MentionKind.INSTRUMENT for mention in (*passage.mentions, *earlier.mentions))


def _is_future(printed: str) -> bool:
    low = printed.lower()
    return ("future" in low or "mini" in low or "contract" in low) and _FUTURES.search(printed) is not None


def _is_company_noun(low: str) -> bool:
    return low in words.COMPANY_HEADS or (low.endswith(words.COMPANY_ENDINGS) and low not in words.NOT_TRADED)


def _run_start(phrase: list[Token], last: int) -> int:
    """Where the run of capitalised words that ends at `last` begins."""
    index = last
    while index > 0 and phrase[index - 1].kind in ("cap", "sub") and phrase[index - 1].low not in _DETERMINERS:
        index -= 1
    return phrase[index].start


def _modified_start(phrase: list[Token]) -> int:
    index = len(phrase) - 1
    while index > 0 and (phrase[index - 1].kind == "cap" or phrase[index - 1].low in _QUALITIES):
        index -= 1
    return phrase[index].start


def _of_mention(head: Token, phrase: list[Token], passage: Passage) -> Subject | Reject:
    mention = head.mention
    assert mention is not None
    printed = passage.text[phrase[0].start : head.end]
    if mention.kind is MentionKind.INSTRUMENT:
        symbol = mention.entity_id
    elif mention.kind is MentionKind.BROKER:
        # As the subject of a price a house is its own share.
        symbol = next((one.partition(":")[2] for one in mention.also if one.startswith("instrument:")), "")
    else:
        return REJECT
    is_proxy = bool(symbol) and _MARKET_WORDS.search(mention.text) is not None and "Ind" not in mention.text
    instrument = "futures" if _is_future(printed) else ""
    return Subject(
        start=mention.start,
        end=mention.end,
        text=mention.text,
        symbol="" if instrument else _listing(symbol, printed),
        is_proxy=is_proxy and not instrument,
        instrument=instrument,
    )


def _described(
    phrase: list[Token], head: Token, passage: Passage, instrument: str, *, is_share: bool
) -> Subject | Reject:
    """Shares, an index or a market without a name of the catalog: "Acme shares", "the stock"."""
    text = passage.text
    before = [token for token in phrase if token is not head and token.low not in ("share", "stock", "unit", "price")]
    if any(token.low in words.PRONOUNS for token in before) or not before:
        if head.low in ("stocks", "equities", "markets", "indices", "indexes") and not before:
            return Subject(head.start, head.end, text[head.start : head.end], instrument=instrument, is_name=False)
        return _referring(phrase, passage)
    owner = before[-2] if before[-1].kind == "poss" and len(before) > 1 else before[-1]
    if owner.kind == "word" and _is_company_noun(owner.low) and before[-1].kind == "poss":
        return _referring(phrase, passage)
    modifiers = text[before[0].start : (before[-2] if before[-1].kind == "poss" else before[-1]).end]
    low = modifiers.lower()
    low = low.removesuffix(" stock").removesuffix(" share").removesuffix(" benchmark").removeprefix("broader ")
    low = low.removesuffix("-listed").removesuffix("-traded")
    symbol = ""
    if not instrument and head.low not in ("futures", "future", "sector", "sectors", "etf", "etfs", "fund"):
        tech = _TECH.match(low)
        if tech is not None and is_share:
            symbol = "HSTECH.HK" if tech["place"] in ("hong kong", "hk") else ""
        else:
            symbol = words.PROXIES.get(low, "")
    has_name = any(token.kind == "cap" for token in before)
    if (
        has_name
        and not symbol
        and head.low in ("stock", "share", "name", "counter")
        and all(_is_place_adjective(token.low) for token in before if token.kind == "cap")
        and before[-1].kind == "word"
    ):
        # "Acme - The Chinese entertainment stock": the words say what kind of company, the label which.
        has_name = False
    if (
        not has_name
        and not symbol
        and head.low in ("index", "benchmark", "gauge", "average", "measure", "stock", "share")
    ):
        return _referring(phrase, passage)
    start = before[0].start
    printed = text[start : head.end]
    if (
        is_share
        and has_name
        and not symbol
        and before[-1].low not in ("tech", "bank", "property")
        and head.low in (*("share", "shares", "stock"),)
    ):
        # "Acme's shares", "Acme shares" are about Acme; "Chinese tech shares" about just that.
        run = _run_start(before, len(before) - 1 - (before[-1].kind == "poss"))
        last = before[-2] if before[-1].kind == "poss" else before[-1]
        if last.kind == "cap" and not _is_place_adjective(last.low):
            if (whole := _as_labelled(passage, run, last.end)) is not None:
                return whole
            return Subject(start, head.end, text[run : last.end], instrument=instrument)
    return Subject(start, head.end, printed, symbol, is_proxy=bool(symbol), instrument=instrument, is_name=has_name)


def _as_labelled(passage: Passage, start: int, end: int) -> Subject | None:
    """The name of the label where these words end the same name: "Acme's Foods - Acme's Foods rose"."""
    text = passage.text
    label = label_before(passage, start)
    if label is None or len(label[0]) <= end - start or not label[0].endswith(text[start:end]):
        return None
    first = end - len(label[0])
    if first < passage.start or text[first:end] != label[0]:
        return None
    return Subject(first, end, label[0], label[1])


_PLACES: Final = frozenset(
    {"french", "dutch", "swiss", "greek", "nordic", "thai", "hong", "asian", "us", "american", "baltic"}
)


def _is_place_adjective(low: str) -> bool:
    return (
        low in words.PROXIES
        or low.endswith(("ese", "ian", "ean", "ish"))
        or low in _PLACES
        or low in ("asia", "kong", "europe", "china")
    )


def _referring(phrase: list[Token], passage: Passage) -> Subject:
    """A phrase that points back: its name is that of the label, or what `subjects.resolve_subject` finds."""
    start, end = phrase[0].start, phrase[-1].end
    label = label_before(passage, start)
    if label is not None and phrase[-1].low not in words.INDEX_HEADS:
        return Subject(start, end, label[0], label[1], is_reference=True, is_name=False)
    found = resolve_subject(passage, end) or resolve_subject(passage, start)
    if found is not None:
        symbol = _listing(found[1], passage.text[start:end])
        return Subject(start, end, found[0], symbol, is_reference=True, is_name=False)
    if phrase[-1].low not in words.INDEX_HEADS and (name := _first_name(passage, start)):
        return Subject(start, end, name, is_reference=True, is_name=False)
    return Subject(start, end, passage.text[start:end], is_reference=True, is_name=False)


def _first_name(passage: Passage, before: int) -> str:
    """The capitalised words a sentence begins with, if they are no word of the lists: what "its shares" is about."""
    tokens = clauses(passage).tokens
    first = 1 if tokens and tokens[0].low in ("the", '"', "“") else 0
    last = first
    while last < len(tokens) and tokens[last].kind == "cap" and tokens[last].end <= before:
        last += 1
    if last == first or tokens[first].low in words.NOT_TRADED | _DETERMINERS | NO_MEMBER | words.BREAKS:
        return ""
    if last == first + 1 and (tokens[first].low in words.SHARE_HEADS or tokens[first].low.endswith("ly")):
        return ""
    return passage.text[tokens[first].start : tokens[last - 1].end]
