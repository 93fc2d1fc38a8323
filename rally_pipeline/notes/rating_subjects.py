"""Finds what a rating is about: the share or index named beside the verb, or at the head of the sentence.

Belongs here: subjects and tickers in the words of a sentence. Does not belong here: houses (`rating_parts.py`), other
sentences (`ratings.py`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_parts import Name, is_namelike, is_possessive, run_left, run_right, strip_possessive
from rally_pipeline.notes.rating_tokens import (
    ADV,
    AGENCY,
    BREAK,
    BROKER,
    DET,
    NAME,
    NUMBER,
    PREP,
    RATING,
    TARGET,
    VERB,
    WORD,
    Words,
)

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

_TICKER = re.compile(
    r"(?:(?:NYSE|NASDAQ|Nasdaq|NasdaqGS|AMEX|OTC\w*|LON|HKG|SEHK|HKEX|TSX|TSE|ASX|NSE|BSE|SGX|FRA|ETR|EPA|XETRA)"
    r"[: ]\s?)?[$#]?([A-Z][A-Z0-9.\-]{0,6}|"
    r"\d{1,6}[. ](?:HK|CH|SS|SZ|SH|TT|TW|JP|KS)\b|\d{4,6}(?:\.[A-Z]{2})?|0?\d{3,4}\.HK)"
)
_TICKER_NOISE = frozenset(("PT", "TP", "PO", "UPDATE", "UK", "US", "EU", "NEW", "Q1", "Q2", "Q3", "Q4", "ADR", "ADS"))


def subject_text(words: Words, first: int, last: int) -> str:
    """A company's name as printed, without ticker and possessive."""
    text = words.printed(first, last)
    if text.lower().rpartition(" ")[2].replace("’", "'") not in rw.POSSESSIVE_NAMES:
        is_followed = last + 1 < len(words) and (
            words.kind[last + 1] in (WORD, TARGET, RATING, NAME, NUMBER) or words.low[last + 1] in ("shares", "stock")
        )
        if is_followed or not text.endswith(("'s", "’s")):
            text = strip_possessive(text)
    return text.rstrip(",").removesuffix(" Common")


def subject_name(words: Words, first: int, last: int, lexicon: Lexicon) -> Name:
    """The share or index named at `first`..`last`."""
    text = subject_text(words, first, last)
    known = lexicon.instrument(text) or next(
        (words.ids[i] for i in range(first, last + 1) if words.kind[i] == NAME and words.ids.get(i)), ""
    )
    return Name(first, last, text, known)


_AFTER_DASH = " -\u00a0\u2009"
_ABOUT_SHARES = rw.word_set("""shares stock equities stocks markets market rating ratings coverage says said""")
_SKIP_TO_SUBJECT = rw.word_set(
    """recommendation recommendations stance call coverage rating ratings stock shares its the a an to for of on
    in their view following under reinstated up"""
)


def subjects_right(words: Words, first: int, limit: int, lexicon: Lexicon) -> tuple[tuple[Name, ...], int]:
    """What is named from `first` on (several joined by commas and 'and'), and the place after it."""
    i = first
    while i < limit and (words.low[i] in _SKIP_TO_SUBJECT or words.kind[i] in (DET, ADV)) and i - first < 6:
        is_article = words.low[i] == "the" and words.text[words.start[i]].isupper() and i + 1 < limit
        if is_article and is_namelike(words, i + 1) and words.text[words.start[first - 1]].isupper():
            break  # "Upgrades The Advisory Board"
        if words.low[i] in ("under", "post") and words.text[words.start[i]].isupper():
            break
        i += 1
    names: list[Name] = []
    place = i
    while i < limit and len(names) < 8:
        last = run_right(words, i, limit)
        if last < i or words.kind[i] == AGENCY:
            break
        after = last + 1
        is_described = not names and i > first and words.printed(i - 1, i - 1) in ("the", "a", "an")
        is_noun_next = after < len(words) and words.kind[after] == WORD and words.low[after] not in _ABOUT_SHARES
        if is_described and is_noun_next:
            break  # "upgraded the F-150 truck maker"
        is_verb_next = after < len(words) and (
            words.kind[after] == VERB or words.low[after] in rw.OTHER_VERBS or words.kind[after] == ADV
        )
        if names and (is_verb_next or words.low[i] in rw.OTHER_OBJECTS):
            break
        if after < limit and words.low[after] in ("equities", "stocks", "markets", "market", "banks", "sector"):
            last, after = after, after + 1  # "Indian equities"
        names.append(subject_name(words, i, last, lexicon))
        place = after
        if after + 1 < limit and words.low[after] == "(":
            close = next((k for k in range(after, min(after + 8, limit)) if words.low[k] == ")"), None)
            if close is None:
                break
            place = after = close + 1
        if after + 1 < limit and words.low[after] in (",", "and", "&"):
            i = after + 1
            if words.low[i] in ("and", "&"):
                i += 1
            continue
        break
    if len(names) > 1:
        # a list needs its 'and'; otherwise the comma begins something else
        between = {words.low[k] for k in range(names[0].last, names[-1].first)}
        is_rated_next = (
            place < limit and words.low[place] in ("to", "at", "as") and RATING in words.kind[place : place + 3]
        )
        if not between & {"and", "&"} and not is_rated_next:
            names = names[:1]
            place = names[0].last + 1
    return tuple(names), place


def lead_subject(words: Words, taken: set[int], until: int, lexicon: Lexicon) -> Name | None:
    """What a sentence is about when the rating itself names nothing, looked for before the place `until`.

    In this order: "Foot Locker - Shares …", "Shares of X …", the first company that does something.
    """
    lows, kinds = words.low, words.kind
    count = min(until, len(words))
    for i in range(count - 1, 0, -1):
        if kinds[i] == BREAK and lows[i] in "-–—" and words.text[words.end[i] : words.end[i] + 1] in _AFTER_DASH:
            first = _whole_left(words, i - 1)
            if first <= i - 1 and first not in taken and lows[first] not in rw.NO_SUBJECT:
                return subject_name(words, first, i - 1, lexicon)
    for i in range(count - 2):
        if lows[i] in ("shares", "stock") and lows[i + 1] in ("of", "for", "in"):
            k = i + 2
            while k < count and kinds[k] == DET:
                k += 1
            if k < count and words.text[words.start[k]].isupper() and k not in taken:
                last = run_right(words, k, len(words))
                if last >= k and not (lows[k - 1] == "the" and last + 1 < len(words) and kinds[last + 1] == WORD):
                    return subject_name(words, k, last, lexicon)
    turn = next((k for k in range(count - 1, 1, -1) if lows[k] in _TURNS and lows[k - 1] == ","), -1)
    return _company(words, taken, turn + 1, count, lexicon) or _company(words, taken, 0, count, lexicon)


#: Words with which another company comes on: "A rose, while B fell after …".
_TURNS = frozenset(("while", "whereas", "but", "and"))


def _company(words: Words, taken: set[int], i: int, count: int, lexicon: Lexicon) -> Name | None:
    """The first company from `i` on that does something, looked for before the place `count`."""
    lows, kinds = words.low, words.kind
    while i < count:
        if kinds[i] in (NAME, BROKER) and i not in taken and lows[i] not in rw.HEADLINE_PREFIXES:
            last = run_right(words, i, len(words))
            is_ticker = i > 0 and lows[i - 1] == "(" and lows[i][0].isdigit()
            if lows[i] in rw.NO_SUBJECT or lows[i] in rw.OTHER_OBJECTS or is_ticker:
                i = max(last, i) + 1
                continue
            if last >= i:
                following = lows[last + 1] if last + 1 < len(words) else ""
                is_company = (
                    following in rw.OTHER_VERBS
                    or following
                    in ("shares", "stock", "on", "hits", "-", "–", ",", "to", "also", "got", "in", "ends", ":")
                    or (last + 1 < len(words) and kinds[last + 1] in (VERB, BREAK, ADV))
                    or (i == 0 and last + 1 < len(words) and kinds[last + 1] == WORD)
                    or (following == "(" and ticker_after(words, last) != "")
                    or is_possessive(words, last)
                    or (i == 0 and _is_wide_gap(words.text, words.end[last]))
                )
                if is_company and not taken.intersection(range(i, last + 1)):
                    return subject_name(words, i, last, lexicon)
                i = last
        elif i == 0 and kinds[i] == TARGET and words.printed(0, 0) == "Target" and kinds[1:2] in ([WORD], [BREAK]):
            return Name(0, 0, words.printed(0, 0))
        i += 1
    return None


def forecast_subject(words: Words, until: int, lexicon: Lexicon) -> Name | None:
    """The company of "cut its earnings forecast for X and lowered …", before the place `until`."""
    for k in range(min(until, len(words)) - 1, 1, -1):
        if words.low[k] in ("for", "on") and words.printed(k - 1, k - 1).lower() in rw.OTHER_OBJECTS:
            names, _ = subjects_right(words, k + 1, until, lexicon)
            if names:
                return names[0]
    return None


def _is_wide_gap(text: str, end: int) -> bool:
    """Whether two blanks follow a name: a heading that has lost its dash."""
    return len(text) > end + 1 and text[end : end + 2].isspace()


def lead_list(words: Words, name: Name, until: int, lexicon: Lexicon) -> tuple[Name, ...]:
    """The companies of a heading "A, B and C - Shares …", given its last; fewer where "Shares of X" says which."""
    found = [name]
    if name.last + 1 >= len(words) or words.kind[name.last + 1] != BREAK:
        return (name,)
    k = name.first - 1
    while k > 0 and words.low[k] in (",", "and", "&") and len(found) < 8:
        first = run_left(words, k - 1, 0)
        if first > k - 1:
            break
        found.append(subject_name(words, first, k - 1, lexicon))
        k = first - 1
    if len(found) > 1:
        rest = words.text[words.end[name.last] : words.end[min(until, len(words)) - 1]]
        named = [one for one in found if one.text in rest]
        if named:
            found = named
    return tuple(sorted(found, key=lambda one: one.first))


def _whole_left(words: Words, last: int) -> int:
    """First place of the name before a dash, with a first word that is a preposition elsewhere: "Under Armour"."""
    if last == 0 and words.kind[0] in (TARGET, VERB) and words.text[words.start[0]].isupper():
        return 0  # "Target - Shares …", "Affirm - Shares …"
    first = run_left(words, last, 0)
    if first == 1 and words.kind[0] in (PREP, ADV) and words.text[words.start[0]].isupper():
        return 0
    return first


def ticker_after(words: Words, last: int) -> str:
    """A ticker in brackets right after the name that ends at `last`, or ``""``."""
    begin = words.end[last]
    gap = words.text[begin : begin + 3]
    opening = gap.find("(")
    if opening < 0 or gap[:opening].strip():
        return ""
    found = _TICKER.match(words.text, begin + opening + 1)
    if found is None or words.text[found.end() : found.end() + 1] not in (")", " ", ",", ";"):
        return ""
    return "" if found.group(1) in _TICKER_NOISE else found.group(1)
