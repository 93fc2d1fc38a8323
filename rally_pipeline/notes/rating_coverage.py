"""Reads what houses do with coverage: start, resume or drop it, for one share or a list.

Belongs here: initiations and the end of coverage. Does not belong here: changes of a rating (`rating_actions.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_frames import (
    DROP,
    INITIATE,
    Action,
    finish,
    is_known,
    is_other_object,
    is_passive_at,
    looks_like_broker,
    passive_actor,
    ratings_after,
    spread,
    subject_left,
)
from rally_pipeline.notes.rating_parts import Name, actor_left, run_left
from rally_pipeline.notes.rating_subjects import subject_name, subjects_right
from rally_pipeline.notes.rating_tokens import DET, RATING, Words

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon


def read_coverage(words: Words, i: int, floor: int, limit: int, lexicon: Lexicon) -> list[Action]:
    """The actions of a verb or noun that starts coverage."""
    new, prior = ratings_after(words, i, rw.INIT, limit)
    covered = next((k for k in range(i + 1, min(limit, i + 12)) if words.low[k] == "coverage"), None)
    covered_left = next((k for k in range(i - 1, max(floor, i - 12) - 1, -1) if words.low[k] == "coverage"), None)
    is_pure = words.low[i] != "initiation" and words.low[i].startswith(
        ("initiat", "re-init", "reinit", "initat", "reinstat")
    )
    if not new and covered is None and covered_left is None and not is_pure:
        return []
    left = actor_left(words, i, floor, lexicon)
    if left.is_agency:
        return []
    base = Action(i, rw.INIT, INITIATE, left, limit=limit)
    if covered is None and (covered_left is not None or is_passive_at(words, i, floor, limit, left, lexicon)):
        base.actor = passive_actor(words, i, limit, lexicon)
        subject = None
        if covered_left is not None:
            names, _ = subjects_right(words, covered_left + 1, i, lexicon)
            subject = names[0] if names else None
        subject = subject or subject_left(words, i, floor, lexicon)
        if not base.actor.brokers and not new:
            return []
        if not base.actor.brokers and is_known(words, left) and subject is None:
            base.actor = left
        if subject and base.actor.brokers and subject.first == base.actor.brokers[0].first:
            subject = None
        return spread(words, base, (subject,) if subject else (), new, prior, lexicon)
    if not new and not is_known(words, left) and not (covered is not None and left.brokers) and not left.is_anaphor:
        return []
    listed = _read_listed(words, base, new, lexicon)
    if listed:
        return listed
    begin = covered + 1 if covered is not None else i + 1
    if covered is None and begin < limit and words.kind[begin] == RATING:
        begin = new[0] + 1 if new else begin
    while begin < limit and words.low[begin] in ("rating", "ratings"):
        begin += 1
    subjects, _ = subjects_right(words, begin, limit, lexicon)
    if not subjects and covered is not None and covered > i + 1:
        # "initiates Apple coverage"
        subjects, _ = subjects_right(words, i + 1, covered, lexicon)
    if not new and covered is None and not subjects:
        return []
    if not new and covered is None and is_other_object(words, i, limit):
        return []
    return spread(words, base, subjects, new, prior, lexicon)


def _read_listed(words: Words, base: Action, new: list[int], lexicon: Lexicon) -> list[Action]:
    """The actions of a list after a colon: "starts coverage on carmakers: A with Buy, B and C with Hold"."""
    colon = next((k for k in range(base.head + 1, base.limit) if words.low[k] == ":"), -1)
    if colon < 0 or not new or new[0] < colon:
        return []
    actions: list[Action] = []
    begin = colon + 1
    for r in new:
        k = r - 1
        while k > begin and (words.kind[k] == DET or words.low[k] in ("with", "at", "as", "to", "(", ":")):
            k -= 1
        names: list[Name] = []
        while k >= begin and len(names) < 12:
            first = run_left(words, k, begin)
            if first > k:
                break
            names.append(subject_name(words, first, k, lexicon))
            k = first - 1
            while k >= begin and words.low[k] in (",", "and", "&"):
                k -= 1
        for name in reversed(names):
            one = Action(base.head, base.klass, base.action, base.actor, name, limit=base.limit)
            actions.append(finish(words, one, [r], []))
        begin = r + 1
    return actions


def is_coverage_dropped(words: Words, i: int, limit: int) -> bool:
    """Whether the verb at `i` ends coverage or a rating: "drops coverage of X"."""
    klass = rw.VERBS[words.low[i]][0]
    if klass != rw.REMOVE and not words.low[i].startswith("drop"):
        return False
    return any(words.low[k] in ("coverage", "rating", "covering") for k in range(i + 1, min(limit, i + 8))) or (
        i > 1 and any(words.low[k] == "coverage" for k in range(max(0, i - 8), i))
    )


def read_dropped(words: Words, i: int, floor: int, limit: int, lexicon: Lexicon) -> list[Action]:
    """The action of a verb that ends coverage."""
    left = actor_left(words, i, floor, lexicon)
    covered = next(
        (k for k in range(max(floor, i - 8), min(limit, i + 8)) if words.low[k] in ("coverage", "rating", "covering")),
        i,
    )
    actor = left
    if covered < i:
        actor = passive_actor(words, i, limit, lexicon)
        names, _ = subjects_right(words, covered + 1, i, lexicon)
    else:
        names, _ = subjects_right(words, covered + 1, limit, lexicon)
        if not names:
            names, _ = subjects_right(words, i + 1, covered, lexicon)
    is_house = is_known(words, actor) or looks_like_broker(actor)
    # "the team stopped covering the story"
    if actor.is_agency or not (is_house or (actor.is_anaphor and words.low[covered] != "covering")):
        return []
    if words.low[covered] == "covering" and not names:
        return []  # "stops covering 12 stocks"
    base = Action(i, rw.REMOVE, DROP, actor, limit=limit)
    prior = [k for k in range(i + 1, limit) if words.kind[k] == RATING]
    return spread(words, base, names, [], prior, lexicon)
