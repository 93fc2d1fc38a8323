"""Who moves: the noun phrase in front of a verb, judged as something that trades or as something else.

Belongs here: reading a noun phrase backward from a verb or forward from "in", lists of them, and deciding whether it
names an index, share, fund, sector, market, currency or commodity. Does not belong here: what it did (`moves.py`), or
what a reference back stands for (`subjects.py`, which is asked).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rally_pipeline.notes import numeric_words as words
from rally_pipeline.notes.clauses import Clauses, Token, clauses
from rally_pipeline.notes.labels import label_before
from rally_pipeline.notes.records import MentionKind, Passage, QuantityKind
from rally_pipeline.notes.subjects import resolve_subject

#: A noun phrase is read over at most so many words.
MAX_PHRASE = 14
MAX_LIST = 8

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
_STOP_KINDS: Final = frozenset(
    {"close", "open", "trade", "either", "be", "adv", "flat", "move", "light", "noun", "punct"}
)
_STOP_WORDS: Final = frozenset(
    {
        "and",
        "or",
        "to",
        "at",
        "by",
        "from",
        "nor",
        "plus",
        "then",
        "also",
        "says",
        "said",
        "see",
        "amid",
        "than",
        "its:",
    }
)
_INNER_PREPOSITIONS: Final = frozenset({"of", "in", "for", "on", "across"})
_LEADING: Final = frozenset({"from", "into", "behind", "on", "against"})
_NO_MEMBER: Final = words.PREPOSITIONS | {
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
    | {"december", "dec", "feb", "jan", "aug", "sept", "oct", "nov", "iron", "palm", "heating", "natural", "texas"}
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


def subjects_before(found: Clauses, at: int, passage: Passage) -> Found:
    """The noun phrase, or list of them, directly before token `at` in its piece.

    Returns:
        The subjects in order; `REJECT` if what stands there does not trade; ``None`` if nothing stands there, so that
        the subject of what went before holds on.
    """
    tokens, piece = found.tokens, found.piece
    here = piece[at] if at < len(tokens) else piece[-1]
    last = _skip_auxiliaries(found, at - 1, here)
    if last < 0 or piece[last] != here or tokens[last].kind == "punct":
        head = found.heads[here]
        if head in ("which", "who", "that", "whose"):
            return _before_relative(found, here, at, passage)
        if last > 1 and tokens[last].low == "," and piece[last] == here and _is_finite(tokens[last + 1], tokens[at]):
            return _around_apposition(found, last, here, passage)
        return None
    if tokens[last].low in words.BREAKS and tokens[last].kind != "sub":
        return _before_relative(found, here, at, passage) if tokens[last].low in ("which", "who", "that") else None
    first = phrase_start(found, last, here)
    if 0 < first <= last and found.heads[here] in _LEADING and tokens[first - 1].low == found.heads[here]:
        # "imports from the United States rose": what follows "from" is no subject.
        return REJECT
    return _listed(found, last, here, passage)


def _around_apposition(found: Clauses, closing: int, here: int, passage: Passage) -> Found:
    """The subject of a verb after a closing comma: what stands before the opening one, unless that is a general word
    and names stand between ("The indices, Acme 30 and Acme 50, faced declines").
    """
    tokens, piece = found.tokens, found.piece
    opening = closing - 1
    while opening > 0 and closing - opening < 30 and tokens[opening].low != ",":
        opening -= 1
    if opening <= 0 or tokens[opening].low != ",":
        return None
    start = phrase_start(found, opening - 1, piece[opening - 1])
    outer = judge(tokens[start:opening], passage) if start < opening else None
    if start and tokens[start - 1].low in words.PREPOSITIONS:
        outer = None
    if isinstance(outer, Subject) and outer.is_name:
        return [outer]
    inner = _listed(found, closing - 1, here, passage)
    if (
        isinstance(inner, list)
        and any(one.is_name for one in inner)
        and tokens[opening + 1].low not in ("the", "a", "an")
    ):
        return inner
    return [outer] if isinstance(outer, Subject) else None


def _is_finite(first: Token, verb: Token) -> bool:
    """Whether a verb after a comma can end an apposition, rather than begin ", rising 2%" or ", up 2%"."""
    return verb.kind in ("move", "close", "open", "light", "either") and not (
        verb.low.endswith("ing") or first.low.endswith("ing") or verb.low == "with"
    )


def _before_relative(found: Clauses, here: int, at: int, passage: Passage) -> Found:
    index = at - 1
    while index >= 0 and found.piece[index] == here:
        index -= 1
    if index >= 0 and found.tokens[index].low == ",":
        index -= 1
    if index < 0:
        return None
    return _listed(found, index, found.piece[index], passage)


def _skip_auxiliaries(found: Clauses, index: int, here: int) -> int:
    tokens, piece = found.tokens, found.piece
    while index >= 0 and piece[index] == here:
        token = tokens[index]
        low = token.low
        if token.low == ")":
            opening = index
            while opening >= 0 and tokens[opening].low != "(" and index - opening < 8:
                opening -= 1
            if opening < 0 or tokens[opening].low != "(":
                return index
            index = opening - 1
            continue
        if (
            token.kind in ("win", "be")
            or low in words.AUXILIARIES
            or low in words.MODALS
            or (low.endswith("ly") and token.kind == "word")
            or (token.kind == "word" and low in ("on", "in", "during", "by", "for") and tokens[index + 1].kind == "win")
        ):
            if low in words.BREAKS and not low.endswith("ly") and low not in words.MODALS and low != "on":
                return index
            index -= 1
            continue
        break
    return index


def _listed(found: Clauses, last: int, here: int, passage: Passage) -> Found:
    """A noun phrase ending at token `last` and those before it in a list: "A, B and C"."""
    tokens, piece = found.tokens, found.piece
    first = phrase_start(found, last, here)
    if first > last:
        return None
    judged = judge(tokens[first : last + 1], passage)
    if not isinstance(judged, Subject):
        return judged
    subjects = [judged]
    index = first - 1
    has_and = False
    while len(subjects) < MAX_LIST and index > 0 and piece[index] == here:
        low = tokens[index].low
        if low in ("and", "&", "or", "plus"):
            has_and = True
            index -= 1
            if index >= 0 and tokens[index].low == ",":
                index -= 1
        elif low == "," and judged.is_name:
            index -= 1
        else:
            break
        if index < 0 or piece[index] != here:
            break
        start = phrase_start(found, index, here)
        if start > index:
            break
        if start > 0 and tokens[start - 1].low in words.PREPOSITIONS and piece[start - 1] == here:
            break
        if tokens[start].low in _NO_MEMBER:
            break
        other = judge(tokens[start : index + 1], passage)
        if not isinstance(other, Subject) or not other.is_name:
            break
        if not has_and and not (judged.is_name and start + 3 >= index):
            break
        subjects.insert(0, other)
        index = start - 1
    return subjects


_PREDICATES: Final = frozenset({"move", "close", "open", "trade", "either", "be", "light", "adv", "flat"})


def _is_noun_there(tokens: list[Token], index: int) -> bool:
    """Whether a move word stands in a noun phrase: "its fifth straight weekly gain"."""
    for before in range(index - 1, max(-1, index - 6), -1):
        if tokens[before].low in ("the", "a", "an", "its", "their", "this"):
            return True
        if tokens[before].kind not in ("word", "win"):
            return False
    return False


def inherited(found: Clauses, passage: Passage, before: int) -> Found:
    """The subject that holds on at token `before`: that of the nearest verb before it, else of the label of the item,
    else what the words there point back to.
    """
    tokens = found.tokens
    for index in range(before - 1, max(-1, before - 60), -1):
        token = tokens[index]
        if token.kind in _PREDICATES and token.low not in words.BREAKS:
            if token.kind == "move" and _is_noun_there(tokens, index):
                continue
            subjects = subjects_before(found, index, passage)
            if subjects is not None:
                return subjects
    at = tokens[before].start
    label = label_before(passage, at)
    if label is not None:
        return [Subject(at, at, label[0], label[1], is_reference=True, is_name=False)]
    first = 1 if tokens[0].low == "the" else 0
    if first < before and tokens[first].kind == "sub":
        topic = judge(tokens[first : first + 1], passage)
        if isinstance(topic, Subject):
            return [topic]
    resolved = resolve_subject(passage, at)
    if resolved is None:
        return None
    return [Subject(resolved[2], resolved[3], resolved[0], resolved[1], is_reference=True, is_name=False)]


def phrase_start(found: Clauses, last: int, here: int) -> int:
    """First token of the noun phrase that ends at token `last` of piece `here`; ``last + 1`` if none does."""
    tokens, piece = found.tokens, found.piece
    index = last
    while index >= 0 and piece[index] == here and last - index < MAX_PHRASE:
        token = tokens[index]
        if token.low == ")":
            opening = index
            while opening >= 0 and tokens[opening].low != "(" and index - opening < 8:
                opening -= 1
            if opening > 0 and tokens[opening].low == "(":
                index = opening - 1
                continue
            break
        if token.kind in _STOP_KINDS and not (token.low == "light" or (token.kind == "noun" and index < last)):
            break
        if token.kind == "qty":
            quantity = token.quantity
            before = tokens[index - 1] if index > 0 else None
            if not (
                quantity is not None
                and quantity.kind is QuantityKind.NUMBER
                and before is not None
                and before.kind in ("cap", "sub")
                and quantity.value == int(quantity.value)
            ):
                break
        elif token.kind == "win":
            # "a Tuesday rally", "shares on Friday": a time ends the phrase unless an owner ("last year's") follows.
            if index == last or tokens[index + 1].kind != "poss":
                break
        elif token.kind != "sub" and (
            token.low in _STOP_WORDS or (token.low in words.BREAKS and token.low not in _INNER_PREPOSITIONS)
        ):
            break
        index -= 1
    return index + 1


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
    for at, token in enumerate(phrase):
        if at and token.low in _INNER_PREPOSITIONS and token.kind == "word" and at + 1 < len(phrase):
            return _with_complement(phrase, at, passage)
    return _plain(phrase, passage)


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
        if tail[index].low in _INNER_PREPOSITIONS and tail[index - 1].kind == "word":
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
        if is_index and not names and _ECONOMY.search(text, passage.start, passage.end):
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
    if head.kind == "cap":
        start = _run_start(phrase, len(phrase) - 1)
        name = text[start : head.end]
        if name.isupper() and len(name) > 14:
            return REJECT
        if start <= passage.start + 1 and " " not in name and name.endswith(("ies", "tions", "ments", "ers")):
            return REJECT
        symbol = words.PROXIES.get(name.lower(), "")
        return Subject(start, head.end, name, symbol, is_proxy=bool(symbol), instrument=instrument)
    if _is_company_noun(low):
        return _referring(phrase, passage)
    return REJECT


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
            return Subject(start, head.end, text[run : last.end], instrument=instrument)
    return Subject(start, head.end, printed, symbol, is_proxy=bool(symbol), instrument=instrument, is_name=has_name)


def _is_place_adjective(low: str) -> bool:
    return (
        low in words.PROXIES or low.endswith(("ese", "ian", "ean", "ish")) or low in ("asia", "kong", "europe", "china")
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
    if last == first or tokens[first].low in words.NOT_TRADED | _DETERMINERS | _NO_MEMBER | words.BREAKS:
        return ""
    if last == first + 1 and (tokens[first].low in words.SHARE_HEADS or tokens[first].low.endswith("ly")):
        return ""
    return passage.text[tokens[first].start : tokens[last - 1].end]
