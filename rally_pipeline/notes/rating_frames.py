"""The common frame of English rating actions: the action record, and the parts every kind of action has.

Belongs here: what the readers of single verbs share (who, what, from which rating to which, passive or not). Does not
belong here: the readers themselves (`rating_actions.py`), names (`rating_parts.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_parts import (
    Actor,
    Name,
    actor_left,
    broker_right,
    is_namelike,
    is_rating_here,
    rating_role,
    run_left,
    run_right,
)
from rally_pipeline.notes.rating_subjects import lead_subject, subject_name
from rally_pipeline.notes.rating_tokens import (
    ADV,
    AGENCY,
    BREAK,
    BROKER,
    DET,
    MARK,
    NAME,
    NUMBER,
    PREP,
    RATING,
    TARGET,
    VERB,
    Words,
)

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

UPGRADE, DOWNGRADE, REITERATE, INITIATE, DROP, REVISE = (
    "Upgrade",
    "Downgrade",
    "Reiterate",
    "Initiate",
    "Drop",
    "Revise",
)
ACTION = {rw.UP: UPGRADE, rw.DOWN: DOWNGRADE, rw.KEEP: REITERATE, rw.INIT: INITIATE, rw.RAISE: UPGRADE}
ACTION |= {rw.LOWER: DOWNGRADE, rw.SET: "", rw.RATE: ""}
BY = frozenset(("by", "at"))
BY_FROM = frozenset(("by", "at", "from"))
_NO_OBJECT = frozenset((PREP, BREAK, MARK, ADV))


@dataclass(slots=True)
class Action:
    """One rating action; places are into the words of the sentence, -1 = not there.

    Attributes:
        head: place of the verb or noun.
        klass: its class (`rating_words`).
        action: RIXML word, ``""`` for a mere statement of a rating.
        actor: who acts; may be empty.
        subject: what is rated; ``None`` = named elsewhere.
        rating, prior: places of the ratings.
        places: all places of its parts.
        limit: first place after its reach.
        word: the printed verb.
    """

    head: int
    klass: str
    action: str
    actor: Actor
    subject: Name | None = None
    rating: int = -1
    prior: int = -1
    places: list[int] = field(default_factory=list)
    limit: int = 0
    word: str = ""


def is_known(words: Words, actor: Actor) -> bool:
    """Whether the actor is a house of the catalog."""
    return any(name.entity_id or words.kind[name.first] == BROKER for name in actor.brokers)


def looks_like_broker(actor: Actor) -> bool:
    """Whether a name says of itself that it is a house: "… Securities", "… Capital Markets"."""
    for name in actor.brokers:
        if name.text.lower().rpartition(" ")[2].rstrip(".,") in rw.BROKER_WORDS or " & " in name.text:
            return True
    return False


def ratings_after(words: Words, head: int, klass: str, limit: int) -> tuple[list[int], list[int]]:
    """Places of the new and the prior ratings after `head`."""
    new: list[int] = []
    prior: list[int] = []
    for r in range(head + 1, limit):
        if words.kind[r] != RATING:
            continue
        role = rating_role(words, r, head)
        if new and is_bracketed_prior(words, new[-1], r):
            prior.append(r)
            continue
        if not role and new and new[-1] == r - 2 and words.low[r - 1] == "and" and "respectively" in words.low[r:]:
            new.append(r)  # "to Buy and Hold respectively"
            continue
        if not is_rating_here(words, r, klass, role):
            continue
        (prior if role == "prior" else new).append(r)
    return new, prior


def is_bracketed_prior(words: Words, new: int, r: int) -> bool:
    """Whether the rating at `r` stands alone in brackets after the new one: "cuts to hold (buy)"."""
    return new == r - 2 and words.low[r - 1] == "(" and words.low[r + 1 : r + 2] == [")"]


def moved(now: str, then: str) -> str:
    """The RIXML word for going from one printed rating to another, ``""`` if their order is unknown."""
    new, old = rw.rank(now), rw.rank(then)
    if new is None or old is None:
        return ""
    return UPGRADE if new > old else DOWNGRADE if new < old else ""


def is_passive_at(words: Words, i: int, floor: int, limit: int, left: Actor, lexicon: Lexicon) -> bool:
    """Whether the verb at `i` says what is done *to* the share: "X is cut", "X upgraded to buy at Y"."""
    form = rw.VERBS[words.low[i]][1]
    if form not in (rw.PAST, rw.ANY):
        return False
    k = i - 1
    while k >= floor and words.kind[k] == ADV:
        k -= 1
    if k >= floor and words.low[k] in rw.BE and words.low[k] not in ("has", "had", "have"):
        return True
    k = i + 1
    while k < limit and words.kind[k] == ADV and words.low[k] != "on":
        k += 1
    if k < limit and words.kind[k] not in _NO_OBJECT and words.kind[k] not in (RATING, NUMBER, TARGET):
        return False
    if k < limit and words.kind[k] == RATING and not words.low[i + 1 :]:
        return False
    if is_known(words, left) or left.is_anaphor:
        by = broker_right(words, i + 1, limit, lexicon, BY)
        return is_known(words, by)
    return True


def passive_actor(words: Words, i: int, limit: int, lexicon: Lexicon, preps: frozenset[str] = BY) -> Actor:
    """The house after "by" or "at" (or another of `preps`) that does what the verb at `i` says."""
    return broker_right(words, i + 1, limit, lexicon, preps)


def subject_left(words: Words, i: int, floor: int, lexicon: Lexicon) -> Name | None:
    """The name before a passive verb or before "PT raised"."""
    k = i - 1
    while k >= floor and (
        words.kind[k] == ADV or words.low[k] in rw.BE or words.low[k] in ("shares", "stock", "'s", "rating", "coverage")
    ):
        k -= 1
    if k >= floor and words.low[k] == ")":
        while k >= floor and words.low[k] != "(":
            k -= 1
        k -= 1
    if k < floor or not is_namelike(words, k):
        return None
    first = run_left(words, k, floor)
    return subject_name(words, first, k, lexicon) if first <= k else None


def _has_own_name(words: Words, prior: int, after: int) -> bool:
    """Whether a prior rating after the first new one belongs to a further name: "and B from Neutral to Sell"."""
    return prior - 2 > after and words.low[prior - 1] == "from" and is_namelike(words, prior - 2)


def _list_left(words: Words, last: Name, lexicon: Lexicon) -> tuple[Name, ...]:
    """The list that ends in the name before a passive verb: "A, B and C initiated at Y"."""
    found = [last]
    k = last.first - 1
    if k <= 0 or words.low[k] not in ("and", "&"):
        return (last,)
    while k > 0 and words.low[k] in (",", "and", "&") and len(found) < 8:
        end = k - 1 if words.low[k - 1] != "," else k - 2
        first = run_left(words, end, 0) if end >= 0 else end + 1
        if first > end:
            break
        found.append(subject_name(words, first, end, lexicon))
        k = first - 1
    return tuple(reversed(found))


def finish(words: Words, action: Action, new: list[int], prior: list[int]) -> Action:
    """The action with the places of its ratings, of all its parts and its printed verb."""
    if new:
        action.rating = new[0]
    if prior:
        action.prior = prior[0]
    places = [action.head]
    for name in action.actor.brokers:
        places += [name.first, name.last]
    if action.subject is not None:
        places += [action.subject.first, action.subject.last]
    for place in (action.rating, action.prior):
        if place >= 0:
            places.append(place)
            if place + 1 < len(words) and words.low[place + 1] in ("rating", "ratings"):
                places.append(place + 1)
    action.places = places
    action.word = words.printed(action.head, action.head)
    return action


def spread(
    words: Words, base: Action, subjects: tuple[Name, ...], new: list[int], prior: list[int], lexicon: Lexicon
) -> list[Action]:
    """The actions of one verb: one for each subject of a list, and one for each "B to neutral" after the first."""
    actions = []
    listed = _first_listed(words, base, new, lexicon)
    if listed is not None:
        subjects = (listed,)
    if len(subjects) == 1 and subjects[0].last < base.head:
        subjects = _list_left(words, subjects[0], lexicon)
    for subject in subjects or (None,):
        action = Action(base.head, base.klass, base.action, base.actor, subject, limit=base.limit)
        # "cuts A to sell from hold, B to neutral": the prior before the next new one belongs to the first
        mine = [p for p in prior if len(new) < 2 or (p < new[1] and not _has_own_name(words, p, new[0]))]
        actions.append(finish(words, action, new, mine))
    if len(new) == len(actions) > 1 and "respectively" in words.low[new[-1] :]:
        # "upgrades A and B to Buy and Hold respectively"
        for action, r in zip(actions, new, strict=True):
            action.rating = r
            action.places.append(r)
        return actions
    for number, r in enumerate(new[1:], 1):
        k = r - 1
        while k > new[0] and (words.kind[k] == DET or words.low[k] in ("to", "at", "with", "as", "from") or k in prior):
            k -= 1
        first = run_left(words, k, new[number - 1] + 1) if is_namelike(words, k) else k + 1
        if first > k:
            continue
        extra = Action(base.head, base.klass, base.action, base.actor, subject_name(words, first, k, lexicon))
        extra.limit = base.limit
        until = new[number + 1] if number + 1 < len(new) else len(words)
        actions.append(finish(words, extra, [r], [p for p in prior if k < p < until]))
    return actions


def _first_listed(words: Words, base: Action, new: list[int], lexicon: Lexicon) -> Name | None:
    """The share of the first rating of a list after a colon: "downgrades carmakers: A to Hold, B to Sell"."""
    if not new or ":" not in words.low[base.head : new[0]]:
        return None
    k = new[0] - 1
    while k > base.head and (words.kind[k] == DET or words.low[k] in ("to", "at", "with", "as")):
        k -= 1
    if k == new[0] - 1 or not is_namelike(words, k):
        return None
    first = run_left(words, k, base.head + 1)
    return subject_name(words, first, k, lexicon) if words.low[first - 1] == ":" else None


def object_zone(words: Words, i: int, limit: int) -> range:
    """The places of the object after a verb: up to the first preposition, comma or break."""
    k = i + 1
    while k < limit and words.kind[k] not in (PREP, BREAK, RATING) and words.low[k] not in (",", ":"):
        if words.low[k] in rw.OTHER_VERBS and words.low[k] != "shares" and words.kind[k] != NAME:
            break
        k += 1
    return range(i + 1, k)


def is_other_object(words: Words, i: int, limit: int) -> bool:
    """Whether the object of the verb at `i` is no share: a forecast, a network, a target."""
    zone = object_zone(words, i, limit)
    if zone and words.printed(zone[0], zone[0]) in ("the", "an", "a") and TARGET not in words.kind[zone[0] : zone[-1]]:
        # "the financial services giant": the last word says what it is
        return words.low[zone[-1]] in rw.OTHER_OBJECTS
    return any(
        words.kind[k] in (TARGET, AGENCY) or (words.low[k] in rw.OTHER_OBJECTS and not is_in_name(words, k, i))
        for k in zone
    )


def is_in_name(words: Words, k: int, head: int) -> bool:
    """Whether the word at `k` is the further word of a name, as in "Downgrades Brightwater Holdings"."""
    return words.kind[k] == NAME and k - 1 > head and words.kind[k - 1] in (NAME, BROKER)


def is_credit(words: Words, i: int, limit: int) -> bool:
    """Whether words of credit stand around the verb at `i`: bonds, notches, junk."""
    return any(
        words.low[k] in ("notch", "notches", "sovereign", "idr", "cfr", "junk", "bbb", "bonds", "credit", "debt")
        for k in range(max(0, i - 4), min(limit, i + 10))
    )


def prefix_actor(words: Words, i: int, lexicon: Lexicon) -> Actor:
    """The house at the head of the sentence: "Kepler: X raised to buy", "Cowen sees weakness, downgrades X"."""
    for k in range(1, min(i, 6)):
        is_speech = words.kind[k - 1] == BROKER and (words.low[k] in rw.OTHER_VERBS or words.kind[k] == VERB)
        if words.low[k] == ":" or is_speech:
            actor = actor_left(words, k, 0, lexicon)
            return actor if is_known(words, actor) or looks_like_broker(actor) else Actor()
    return Actor()


def tail_actor(words: Words, lexicon: Lexicon, is_lenient: bool = False) -> Actor:
    """The house at the end of a headline: "…: Sharekhan", "…, says Edelweiss"; empty if it is a person's name.

    Args:
        is_lenient: whether a single unknown word will do; persons have two.
    """
    count = len(words)
    for k in range(count - 2, max(0, count - 9), -1):
        if words.low[k] in (":", "says", "say", "said", "-"):
            if words.kind[k + 1] not in (NAME, BROKER):
                return Actor()
            last = run_right(words, k + 1, count)
            if last < k + 1 or last < count - 2:
                return Actor()
            from rally_pipeline.notes.rating_parts import broker_name

            actor = Actor((broker_name(words, k + 1, last, lexicon),))
            is_house = is_known(words, actor) or looks_like_broker(actor) or (is_lenient and last == k + 1)
            return actor if is_house else Actor()
    return Actor()


def lead(words: Words, actors: list[Actor], until: int, lexicon: Lexicon) -> Name | None:
    """What the sentence is about, if its actions name nothing; looked for before the place `until`."""
    taken = {place for actor in actors for name in actor.brokers for place in range(name.first, name.last + 1)}
    for person in sorted({actor.analyst for actor in actors if actor.analyst})[:8]:
        at = words.text.find(person, words.start[0], words.end[-1]) if len(words) else -1
        taken.update(k for k, begin in enumerate(words.start) if at <= begin < at + len(person) and at >= 0)
    return lead_subject(words, taken, until, lexicon)
