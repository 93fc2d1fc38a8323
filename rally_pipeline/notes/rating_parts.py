"""Finds the parts of a rating sentence: who acts, on what, and which rating is the new one.

Belongs here: reading names and ratings around a place in the words of a sentence. Does not belong here: what counts as
an action (`ratings.py`) or a target (`targets.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_tokens import (
    ADV,
    AGENCY,
    BREAK,
    BROKER,
    DET,
    NAME,
    NUMBER,
    VERB,
    WORD,
    Words,
)

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

_MAX_NAME = 12  # words in a name


class Name(NamedTuple):
    """A name found in the words: its places (both included), text as wanted in a record, and catalog id."""

    first: int
    last: int
    text: str
    entity_id: str = ""


class Actor(NamedTuple):
    """Who acts: brokers by name (several share an action), the analyst, whether only a pronoun or noun stands there
    (`is_anaphor`), whether it is a rating agency or public body, analysts in general (`is_crowd`), or the author
    ("we", `is_self`), or a person who speaks for no house that is named (`speaker`).
    """

    brokers: tuple[Name, ...] = ()
    analyst: str = ""
    is_anaphor: bool = False
    is_agency: bool = False
    is_crowd: bool = False
    is_self: bool = False
    speaker: str = ""


def broker_name(words: Words, first: int, last: int, lexicon: Lexicon) -> Name:
    """A broker from a run of words; the catalog id from the mention in it or by its whole text."""
    text = strip_possessive(words.printed(first, last))
    is_house = words.kind[first] == BROKER  # else the id is an instrument's
    entity = (words.ids.get(first, "") if is_house else "") if first == last else lexicon.broker(text)
    if not entity and first == last:
        entity = lexicon.broker(text)
    if not entity:
        entity = next((words.ids[i] for i in range(first, last + 1) if words.kind[i] == BROKER and words.ids[i]), "")
    return Name(first, last, text, entity)


def strip_possessive(text: str) -> str:
    """A name without 's."""
    if text.endswith(("'s", "’s")):
        return text[:-2]
    return text[:-1] if text.endswith(("'", "’")) else text


def is_namelike(words: Words, i: int) -> bool:
    """Whether a word can be part of a name."""
    return words.kind[i] in (NAME, BROKER)


def run_left(words: Words, last: int, floor: int) -> int:
    """First place of the name that ends at `last`, or ``last + 1`` if no name ends there."""
    first = last + 1
    i = last
    while i >= floor and last - i < _MAX_NAME:
        low = words.low[i]
        if is_namelike(words, i):
            if first <= last and not joins(words, i, first):
                break
            is_tail = i == last and low in ("brokers", "brokerage") and i > floor and is_namelike(words, i - 1)
            if words.kind[i] == NAME and low in rw.HEADLINE_PREFIXES and not is_tail:
                break
            first = i
        elif (
            low in ("&", "of", "+", "the", "de") and first <= last and i - 1 >= floor and is_namelike(words, i - 1)
        ) or (
            low == "," and first <= last and words.low[first].rstrip(".") in ("inc", "ltd", "llc", "plc", "corp", "co")
        ):
            pass
        else:
            break
        i -= 1
    return first


def joins(words: Words, left: int, right: int) -> bool:
    """Whether two name words stand in one name: nothing but blanks, '&' or a quotation mark is between them."""
    gap = words.text[words.end[left] : words.start[right]]
    return len(gap) < 12 and "," not in gap.replace(",", "", 1 if words.low[right].rstrip(".") in _TAILS else 0)


_TAILS = frozenset(("inc", "ltd", "llc", "plc", "corp", "co", "l.p", "lp", "n.v", "s.a"))


def run_right(words: Words, first: int, limit: int) -> int:
    """Last place of the name that begins at `first`, or ``first - 1`` if none begins there."""
    last = first - 1
    i = first
    while i < limit and i - first < _MAX_NAME:
        kind, low = words.kind[i], words.low[i]
        if kind in (NAME, BROKER):
            if last >= first and is_possessive(words, last) and words.low[last] not in rw.POSSESSIVE_NAMES:
                break  # "Barrick Gold's Leverage Appears …"
            last = i
        elif low in rw.CONNECTORS and last == i - 1 and i + 1 < limit and i > first:
            if low == "and" or not (is_namelike(words, i + 1) or words.low[i + 1] in rw.CONNECTORS):
                break
        elif low == "," and i + 1 < limit and last == i - 1 and words.low[i + 1].rstrip(".") in _TAILS:
            pass
        elif i == first and low in ("under", "post") and words.text[words.start[i]].isupper():
            if not (i + 1 < limit and is_namelike(words, i + 1)):
                break
        elif i == first and low == "maybe" and words.text[words.start[i]].isupper():
            last = i
            break
        elif kind == DET and words.text[words.start[i]].isupper() and i + 1 < limit and is_namelike(words, i + 1):
            pass  # "The Advisory Board"
        elif kind == AGENCY and i == first:
            last = i
        else:
            break
        i += 1
    return last


def actor_left(words: Words, place: int, floor: int, lexicon: Lexicon) -> Actor:
    """Who stands before the verb at `place`, looking no further left than `floor`."""
    i = place - 1
    while i >= floor:
        low = words.low[i]
        is_date = low in rw.MONTHS or (words.kind[i] == NUMBER and not words.numbers[i].currency)
        if (
            words.kind[i] == ADV
            or is_date
            or low in ("has", "have", "had", "will", "would", "is", "are", "was", "be", "to")
        ):
            i -= 1
        elif low == ")":
            while i >= floor and words.low[i] != "(":
                i -= 1
            i -= 1
        else:
            break
    if i < floor:
        return Actor()
    kind, low = words.kind[i], words.low[i]
    if kind == AGENCY:
        return Actor(is_agency=True)
    if low in ("analyst", "analysts", "team", "strategists", "strategist", "desk", "economists", "agency", "rater"):
        if low in ("agency", "rater"):
            return Actor(is_agency=True)
        first = run_left(words, i - 1, floor)
        if first <= i - 1:
            return Actor(_brokers(words, first, i - 1, floor, lexicon))
        is_house = i - 1 >= floor and words.low[i - 1] in ("the", "its", "firm's", "bank's", "brokerage's", "our")
        is_house = is_house or words.low[i - 1 if i else 0].endswith(("firm’s", "bank’s"))
        return Actor(is_anaphor=is_house or low == "analyst", is_crowd=not is_house and low.endswith("s"))
    is_last_of_name = (
        words.text[words.start[i]].isupper()
        and i - 1 >= floor
        and is_namelike(words, i - 1)
        and words.low[i - 1] not in ("top", "major", "street", "big", "several")
    )
    if low in ("brokers", "brokerages", "banks", "firms") and not is_last_of_name:
        return Actor(is_crowd=True)
    if low in ("it", "they") and i - 2 >= floor and words.low[i - 1] in rw.SPEECH:
        # "Barclays said it would stay at overweight"
        return actor_left(words, i - 1, floor, lexicon)
    if low == "we":
        return Actor(is_anaphor=True, is_self=True)
    is_house_name = low in ("house", "bank", "shop") and is_last_of_name
    if low in rw.BROKER_ANAPHORS and not is_house_name:
        return Actor(is_anaphor=True)
    if kind not in (NAME, BROKER):
        return Actor()
    first = run_left(words, i, floor)
    if first > i:
        return Actor()
    if words.low[first] in rw.PUBLIC_BODIES:
        return Actor(is_agency=True)
    if words.low[first : i + 1] == ["wall", "street"]:
        return Actor(is_crowd=True)
    return _named_actor(words, first, i, floor, lexicon)


def _named_actor(words: Words, first: int, last: int, floor: int, lexicon: Lexicon) -> Actor:
    """The actor in the run of names `first`..`last` that ends before a verb; tells person from firm."""
    before = first - 1
    low_before = words.low[before] if before >= floor else ""
    if low_before == "by" and before - 1 >= floor and words.low[before - 1] == "led":
        # "strategists at Goldman Sachs led by John Smith"
        house = actor_left(words, before - 1, floor, lexicon)
        return Actor(house.brokers, words.printed(first, last), is_anaphor=not house.brokers)
    if low_before in ("analyst", "analysts"):
        # "Morgan Stanley analyst John Smith", "analyst John Smith"
        firm = run_left(words, before - 1, floor)
        person = words.printed(first, last)
        if firm <= before - 1:
            return Actor(_brokers(words, firm, before - 1, floor, lexicon), person)
        inner = [k for k in range(first, last + 1) if words.kind[k] == BROKER]
        if inner:
            return Actor((broker_name(words, inner[0], inner[-1], lexicon),), words.printed(first, inner[0] - 1))
        return Actor(analyst=person, is_anaphor=True)
    if low_before in ("of", "at", "with", "from") and before - 1 >= floor:
        # "analyst John Smith at Jefferies", "analysts at Jefferies", "John Smith of Jefferies"
        begin = run_left(words, before - 1, floor)
        if begin <= before - 1 and begin - 1 >= floor and words.low[begin - 1] in ("analyst", "analysts"):
            return Actor((broker_name(words, first, last, lexicon),), words.printed(begin, before - 1))
        inner = [k for k in range(first, last + 1) if words.kind[k] == BROKER]
        if words.low[before - 1] in ("analyst", "analysts") and inner and inner[-1] < last:
            return Actor((broker_name(words, first, inner[-1], lexicon),), words.printed(inner[-1] + 1, last))
    inner = [k for k in range(first, last + 1) if words.kind[k] == BROKER]
    if inner and inner[0] - 1 > first and words.low[inner[0] - 1] in ("of", "at", "from", "with"):
        # "John Smith of Jefferies"
        return Actor((broker_name(words, inner[0], last, lexicon),), words.printed(first, inner[0] - 2))
    if inner and inner[-1] < last and is_possessive(words, inner[-1]):
        return Actor((broker_name(words, first, inner[-1], lexicon),), words.printed(inner[-1] + 1, last))
    for k in range(first, last):
        if (
            words.low[k].endswith(("'s", "’s", "s'", "s’"))
            and words.low[k] not in rw.POSSESSIVE_NAMES
            and last - k == 2
        ):
            return Actor((broker_name(words, first, k, lexicon),), words.printed(k + 1, last))
    return Actor(_brokers(words, first, last, floor, lexicon))


def is_possessive(words: Words, i: int) -> bool:
    """Whether the word at `i` ends in 's."""
    return words.text[words.end[i] : words.end[i] + 2] in ("'s", "’s", "' ", "’ ") or words.low[i].endswith(
        ("'s", "’s")
    )


def _brokers(words: Words, first: int, last: int, floor: int, lexicon: Lexicon) -> tuple[Name, ...]:
    """The broker at `first`..`last` and those joined to it on the left by commas and 'and'."""
    found = [broker_name(words, first, last, lexicon)]
    i = first - 1
    is_and_seen = False
    while i - 1 >= floor and words.low[i] in (",", "and", "&") and len(found) < 6:
        is_and_seen = is_and_seen or words.low[i] != ","
        end = i - 1
        if words.low[end] == ",":
            end -= 1
        begin = run_left(words, end, floor) if end >= floor else end + 1
        if begin > end:
            break
        name = broker_name(words, begin, end, lexicon)
        # a lone comma joins only houses of the catalog: "X jumps, UBS upgrades" is no list
        if not name.entity_id:
            break
        found.append(name)
        i = begin - 1
    return tuple(reversed(found))


_DESCRIPTORS = rw.word_set(
    """analyst analysts research firm firms broker brokers brokerage brokerages investment bank banks house
    strategists the wall street of at equity its experts researchers both analysts'"""
)


def broker_right(words: Words, first: int, limit: int, lexicon: Lexicon, preps: frozenset[str]) -> Actor:
    """The broker named after 'by', 'at' or 'from' between `first` and `limit`."""
    for i in range(first, limit):
        if words.kind[i] == BREAK:
            break
        if words.low[i] not in preps:
            continue
        k = i + 1
        analyst = ""
        if k < limit and words.kind[k] == NAME and k + 1 < limit:
            # "by John Smith of Jefferies"
            end = run_right(words, k, limit)
            link = next((m for m in range(k, end + 2) if m < limit and words.low[m] in ("of", "at")), k)
            if link > k and link + 1 < limit and words.kind[link + 1] == BROKER:
                analyst, k = words.printed(k, link - 1), link + 1
        while k < limit and words.kind[k] != BROKER:
            if words.low[k : k + 2] == ["wall", "street"] and words.low[k + 2 : k + 3] in (
                ["firm"],
                ["firms"],
                ["bank"],
            ):
                k += 3
            elif words.low[k] in _DESCRIPTORS and words.text[words.start[k]].islower():
                k += 1
            else:
                break
        if k >= limit:
            break
        if words.kind[k] == AGENCY:
            return Actor(is_agency=True)
        if words.kind[k] not in (NAME, BROKER):
            continue
        last = run_right(words, k, limit)
        if last < k:
            continue
        names = [broker_name(words, k, last, lexicon)]
        m = last + 1
        while m + 1 < limit and words.low[m] in (",", "and", "&") and len(names) < 6:
            begin = m + 2 if words.low[m + 1] == "and" and m + 2 < limit else m + 1
            if words.kind[begin] != BROKER:
                break
            end = run_right(words, begin, limit)
            if end + 1 < len(words) and words.kind[end + 1] == VERB:
                break
            names.append(broker_name(words, begin, end, lexicon))
            m = end + 1
        if words.low[k] in ("least", "premarket"):
            continue
        if m + 1 < limit and words.low[m] == "analyst" and words.kind[m + 1] == NAME:
            analyst = words.printed(m + 1, run_right(words, m + 1, limit))
        return Actor(tuple(names), analyst)
    return Actor()


def rating_role(words: Words, place: int, floor: int) -> str:
    """Role of the rating at `place`: ``new``, ``prior``, or ``""`` if nothing beside it says that it is one."""
    i = place - 1
    while i >= floor and (words.kind[i] == DET or words.low[i] in ("(", "stock", "both")):
        if words.low[i] in ("prior", "previous", "old", "earlier"):
            return "prior"
        i -= 1
    low = words.low[i] if i >= floor else ""
    if low == "from":
        return "prior"
    if low in ("prev", "prev.", "previously", "formerly", "vs", "versus", "prior", "was", "earlier"):
        return "prior"
    if low == ":" and i - 1 >= floor and words.low[i - 1] in ("prev", "prior", "previous", "previously"):
        return "prior"
    if low in ("it", "them", "stock") and i - 1 >= floor and words.low[i - 1] in ("rating", "rated"):
        return "prior" if i - 2 >= floor and words.low[i - 2] == "previously" else "new"
    if low in ("to", "at", "with", "as", "of", ":", "in", "into", "under", "on", "=", "rated", "rating"):
        return "new"
    if i >= floor and words.kind[i] == VERB:
        return "new"
    if place + 1 < len(words) and words.low[place + 1] in rw.RATING_NOUNS:
        return "new"
    if i < place - 1 and i >= floor - 1:
        return "new" if words.low[place - 1] in ("a", "an", "its", "their", "his") else ""
    return ""


def is_rating_here(words: Words, place: int, head: str, role: str) -> bool:
    """Whether an ambiguous rating word at `place` is one, under a head verb of class `head` ("" = none)."""
    text = words.printed(place, place)
    after = words.low[place + 1] if place + 1 < len(words) else ""
    if after in rw.RATING_NOUNS:
        return True
    if after == "with" and text[0] == "i" and place + 2 < len(words):
        # "in line with the trend", but "at in line with a $40 target"
        return words.low[place + 2] in ("a", "an", "its") or words.kind[place + 2] == NUMBER
    if rw.SURE_RATING.match(text):
        return True
    if after in rw.NO_RATING_AFTER or after in rw.OTHER_OBJECTS or not role:
        return False
    before = words.low[place - 1] if place else ""
    kind_after = words.kind[place + 1] if place + 1 < len(words) else BREAK
    if text.lower() in rw.WEAK_RATINGS and kind_after in (NAME, WORD, DET) and not text[0].isupper():
        return False
    if head in (rw.UP, rw.DOWN, rw.KEEP):
        return not (before == "to" and head == rw.KEEP and kind_after in (NAME, DET))
    if head == rw.INIT:
        return before != "to" or (text[0].isupper() and kind_after == BREAK)
    if after in ("and", "but") and place + 2 < len(words) and words.kind[place + 2] == VERB:
        return True  # "cut its rating to neutral from buy and trimmed …"
    # raised, cut, moved … to buy: nothing may follow that could be bought
    return kind_after not in (NAME, DET, WORD, NUMBER, BROKER) or (text[0].isupper() and kind_after == WORD)
