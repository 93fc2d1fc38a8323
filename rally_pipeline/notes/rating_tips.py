"""Reads tips that somebody signs at the end of a headline: "Sell X with a target of Rs 490: Name Surname".

Belongs here: who signs, and the forms such headlines have. Does not belong here: what houses do (`rating_actions.py`,
`rating_states.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_frames import Action, finish, is_known, looks_like_broker, subject_left
from rally_pipeline.notes.rating_parts import Actor, Name, broker_name, is_namelike, run_left, run_right
from rally_pipeline.notes.rating_subjects import subject_name, subjects_right
from rally_pipeline.notes.rating_tokens import BREAK, DET, NUMBER, TARGET, VERB, Words

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

#: Ratings with which somebody tells others what to do.
_TIPS = frozenset(("buy", "sell", "hold", "accumulate", "reduce", "add", "avoid", "strong buy", "strong sell"))
_LONGEST = 12  # words of a signature


def signature(words: Words, lexicon: Lexicon) -> tuple[Actor, int] | None:
    """Who signs a headline after its last colon or dash, and the place of that mark.

    "…: Name Surname" is a speaker, also where a firm that nobody knows follows; "…: Name Surname, Jefferies" is a house
    and its analyst, "…: Jefferies" or "…: Some Securities" a house.
    """
    count = len(words)
    for k in range(count - 2, max(0, count - _LONGEST), -1):
        if words.low[k] not in (":", "-", "–", "—"):
            continue
        if not is_namelike(words, k + 1):
            return None
        last = run_right(words, k + 1, count)
        house = Actor((broker_name(words, k + 1, last, lexicon),))
        rest = last + 1
        if rest < count - 1 and words.low[rest] in (",", "of", "at"):
            end = run_right(words, rest + 1, count)
            if end < count - 2 or end <= rest:
                return None
            firm = Actor((broker_name(words, rest + 1, end, lexicon),), words.printed(k + 1, last))
            return (firm if is_known(words, firm) else Actor(speaker=words.printed(k + 1, last))), k
        if rest < count - 1:
            return None
        if is_known(words, house) or looks_like_broker(house):
            return house, k
        # a person has a given name and a surname
        return (Actor(speaker=words.printed(k + 1, last)), k) if 1 <= last - k - 1 <= 3 else None
    return None


def read_tip(words: Words, r: int, lexicon: Lexicon) -> Action | None:
    """The tip whose rating stands at `r`, in one of these forms:

    "Buy X with a target of 120: Name Surname", "…; sell stock, target …: N.", "X; buy with a target of 170",
    "X is a 'buy' call …: N.", "have a sell rating on X: N.".
    """
    low, kinds = words.low, words.kind
    if low[r] not in _TIPS:
        return None
    before = low[r - 1] if r else ""
    is_clause = r == 0 or kinds[r - 1] == BREAK or before in (",", ":")
    goal = next((k for k in range(r + 1, min(len(words), r + 24)) if kinds[k] == TARGET), -1)
    has_goal = goal >= 0 and NUMBER in kinds[goal : goal + 6]
    signed = signature(words, lexicon)
    if is_clause and has_goal:
        k = r + 1
        while k < goal and kinds[k] == DET:
            k += 1
        is_named = is_namelike(words, k)
        if not is_named and low[k] not in ("stock", "shares", "it", "with", "for"):
            return None
        if signed is None:
            # without a name under it only the order to buy after what has been said: "…; buy with a target of 170"
            is_order = r > 1 and kinds[r - 1] == BREAK and low[k] in ("with", "for")
            if not is_order:
                return None
            signed = Actor(), len(words)
        subject: Name | None
        if is_named:
            subject = subject_name(words, k, max(k, run_right(words, k, goal)), lexicon)
        else:
            subject = _last_named(words, r - 1, lexicon)
        return finish(words, Action(r, "", "", signed[0], subject, limit=len(words)), [r], [])
    if signed is None and has_goal and low[r + 1] == "call":
        signed = Actor(), len(words)
    if signed is None or signed[1] < r:
        return None
    k = r - 1
    while k > 0 and kinds[k] == DET:
        k -= 1
    if low[k] in ("is", "remains", "are") and (k < r - 1 or low[r + 1] in ("call", "rating")):
        subject = subject_left(words, k, 0, lexicon)
        if subject is not None:
            return finish(words, Action(r, "", "", signed[0], subject, limit=len(words)), [r], [])
    if (
        low[k] in ("have", "has", "maintain")
        and low[r + 1] in ("rating", "call")
        and low[r + 2 : r + 3] in (["on"], ["for"])
    ):
        names, _ = subjects_right(words, r + 3, signed[1], lexicon)
        if names:
            return finish(words, Action(r, "", "", signed[0], names[0], limit=len(words)), [r], [])
    return None


def _last_named(words: Words, until: int, lexicon: Lexicon) -> Name | None:
    """The name that stands last before the place `until`, where no other says what is meant."""
    for k in range(until - 1, max(-1, until - rw.REACH), -1):
        if is_namelike(words, k) and words.low[k] not in rw.NO_SUBJECT:
            return subject_name(words, run_left(words, k, 0), k, lexicon)
    return None


def goal_subject(words: Words, goal: int, colon: int, lexicon: Lexicon) -> Name | None:
    """What a signed target without rating is about: "target of 700 for X: N.", "X with a target of 142: N."; ``None``
    if the words speak of other goals.
    """
    first = max(0, goal - rw.REACH)
    if any(words.low[k] in _OTHER_GOALS or words.low[k] in rw.OTHER_OBJECTS for k in range(first, goal)):
        return None
    for k in range(goal + 1, min(colon - 1, goal + rw.REACH)):
        if words.low[k] in ("on", "for"):
            names, _ = subjects_right(words, k + 1, colon, lexicon)
            if names:
                return names[0]
    k = goal - 1
    while k > 0 and words.kind[k] == DET:
        k -= 1
    if words.low[k] not in ("with", "at", "for"):
        return None
    for last in range(k - 1, max(-1, k - rw.REACH), -1):
        if is_namelike(words, last) and "/" not in words.low[last]:
            begin = run_left(words, last, 0)
            while begin < last and (words.low[begin] in _PICKS or "/" in words.low[begin]):
                begin += 1
            return subject_name(words, begin, last, lexicon)
        if words.kind[last] in (BREAK, TARGET) or (words.kind[last] == VERB and words.low[last] not in rw.BE):
            return None
    return None


_PICKS = frozenset(("pick", "buy", "sell", "short", "go", "long"))
_OTHER_GOALS = frozenset(
    ("meet", "achieve", "miss", "hit", "reach", "exceed", "govt", "government", "sets", "fiscal", "not")
)
