"""Reads ratings that are had, not changed: "rates X a buy", "earns an overweight rating from Y", "Y neutral on X".

Belongs here: statements of a rating, with a verb of having or without any. Does not belong here: actions
(`rating_actions.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_frames import (
    BY_FROM,
    DOWNGRADE,
    INITIATE,
    REITERATE,
    REVISE,
    UPGRADE,
    Action,
    finish,
    is_known,
    is_passive_at,
    looks_like_broker,
    moved,
    passive_actor,
    ratings_after,
    spread,
    subject_left,
    tail_actor,
)
from rally_pipeline.notes.rating_parts import (
    Actor,
    Name,
    actor_left,
    broker_right,
    is_namelike,
    run_right,
)
from rally_pipeline.notes.rating_subjects import subject_name, subjects_right
from rally_pipeline.notes.rating_tips import read_tip
from rally_pipeline.notes.rating_tokens import (
    ADV,
    BREAK,
    BROKER,
    DET,
    NUMBER,
    RATING,
    TARGET,
    Words,
)

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon


def read_rated(words: Words, i: int, klass: str, floor: int, limit: int, lexicon: Lexicon) -> list[Action]:
    """A rating that somebody has: "rates X a buy", "has a buy rating on X", "gave X an overweight rating"."""
    if (
        words.low[i] in ("rated", "rates")
        and words.low[i + 1 : i + 2] == ["new"]
        and words.kind[i + 2 : i + 3] == [RATING]
    ):
        # "X rated new buy at Y"
        actor = passive_actor(words, i, limit, lexicon)
        subject = subject_left(words, i, floor, lexicon) if words.low[i] == "rated" else None
        if not actor.brokers:
            actor = actor_left(words, i, floor, lexicon)
        base = Action(i, rw.INIT, INITIATE, actor, limit=limit)
        return spread(words, base, (subject,) if subject else (), [i + 2], [], lexicon)
    new, prior = ratings_after(words, i, klass, limit)
    if klass == rw.SET:
        new = [r for r in new if r + 1 < len(words) and words.low[r + 1] in rw.RATING_NOUNS]
    if not new:
        return []
    if i and words.low[i - 1] in ("previously", "after"):
        return []
    if (
        words.low[i] == "rated"
        and new[0] == i + 1
        and (TARGET in words.kind[max(0, i - rw.REACH) : i + rw.REACH] or i == floor)
    ):
        return [finish(words, Action(i, klass, "", Actor(), limit=limit), new[:1], prior)]
    left = actor_left(words, i, floor, lexicon)
    is_passive = is_passive_at(words, i, floor, limit, left, lexicon)
    actor = passive_actor(words, i, limit, lexicon) if is_passive else left
    is_plain = klass == rw.RATE and bool(actor.brokers) and words.text[words.start[new[0]]].isupper()
    if actor.is_agency or not (is_known(words, actor) or looks_like_broker(actor) or actor.is_anaphor or is_plain):
        return []
    base = Action(i, klass, "", actor, limit=limit)
    if is_passive:
        subject = subject_left(words, i, floor, lexicon)
        return spread(words, base, (subject,) if subject else (), new[:1], prior, lexicon)
    begin = i + 1
    if all(words.kind[k] in (DET, ADV) for k in range(begin, new[0])):
        begin = new[0] + 1
        while begin < limit and words.low[begin] in rw.RATING_NOUNS:
            begin += 1
    subjects, _ = subjects_right(words, begin, limit, lexicon)
    return spread(words, base, subjects, new[:1], prior, lexicon)


_KEPT = rw.word_set("""maintained unchanged unch unch. reiterated retained reaffirmed kept affirmed""")
_QUOTES = "‘’'\"“”"


def _bracket(words: Words, r: int) -> tuple[int, bool, int]:
    """What brackets after the rating at `r` say: place of the old one (-1), whether it is kept, the place after."""
    if words.low[r + 1 : r + 2] != ["("]:
        return -1, False, r + 1
    close = next((k for k in range(r + 2, min(len(words), r + 6)) if words.low[k] == ")"), -1)
    if close < 0:
        return -1, False, r + 1
    prior = next((k for k in range(r + 2, close) if words.kind[k] == RATING), -1)
    return prior, any(words.low[k] in _KEPT for k in range(r + 2, close)), close + 1


def read_bare(words: Words, r: int, lexicon: Lexicon) -> Action | None:
    """A rating that no verb governs: "… target to 118 euros - 'Buy'", "Y on X: Outperform call", "X – Hold (was Buy)".

    It must close a clause behind a mark, and a target with its number or a house in its slot must stand beside it.
    """
    if not r or not (words.kind[r - 1] == BREAK or words.low[r - 1] in (",", ":")):
        return None
    printed = words.printed(r, r)
    is_quoted = words.text[words.end[r] : words.end[r] + 1] in tuple(_QUOTES)
    if printed.islower() and not (is_quoted or words.kind[r - 1] == BREAK):
        return None
    if words.low[r] in rw.WEAK_RATINGS and not is_quoted and not printed[0].isupper():
        return None
    prior, is_kept, k = _bracket(words, r)
    if words.low[k : k + 1] in (["call"], ["rating"], ["stance"]):
        k += 1
    if k < len(words) and words.kind[k] != BREAK and words.low[k] not in (",", "."):
        return None
    named = _slot(words, r, k, lexicon)
    if named is None:
        is_before = _has_goal(words, max(0, r - rw.REACH), r)
        if not is_before or (k < len(words) and words.low[k] == ","):
            return None
        named = Actor(), None
    action = REITERATE if is_kept else ""
    if prior >= 0:
        action = moved(printed, words.printed(prior, prior))
    actor, subject = named
    return finish(
        words, Action(r, "", action, actor, subject, limit=len(words)), [r], [prior] if prior >= 0 else []
    )  # fmt: skip


def _read_arrow(words: Words, r: int, lexicon: Lexicon) -> Action | None:
    """A rating before and after an arrow: "X: Buy → Hold at Y", "Y moves X Hold → Buy"."""
    if BROKER not in words.kind[max(0, r - rw.REACH) : r + rw.REACH]:
        return None
    action = moved(words.printed(r + 2, r + 2), words.printed(r, r))
    actor = broker_right(words, r + 3, min(len(words), r + 10), lexicon, BY_FROM)
    k = r - 1 if r and words.low[r - 1] == ":" else r
    return finish(
        words, Action(r, "", action, actor, subject_left(words, k, 0, lexicon), limit=len(words)), [r + 2], [r]
    )


def _has_goal(words: Words, first: int, last: int) -> bool:
    """Whether a target with its number stands between two places."""
    goal = next((k for k in range(first, last) if words.kind[k] == TARGET), -1)
    return goal >= 0 and NUMBER in words.kind[goal:last]


def _slot(words: Words, r: int, after: int, lexicon: Lexicon) -> tuple[Actor, Name | None] | None:
    """House and share in the head before a bare rating: "Y on X: Buy", "Y: X (T) – Buy, PT $5"."""
    colon = next((k for k in range(1, min(r, 12)) if words.low[k] == ":"), -1)
    if colon == r - 1 and BROKER in words.kind[:colon]:
        on = next((k for k in range(1, colon) if words.low[k] == "on"), -1)
        if on < 1 or words.kind[on - 1] != BROKER:
            return None
        names, _ = subjects_right(words, on + 1, colon, lexicon)
        return (actor_left(words, on, 0, lexicon), names[0]) if names else None
    if (
        words.kind[r - 1] != BREAK
        or words.low[r - 1] not in "-–—"
        or not _has_goal(words, after, min(len(words), after + 8))
    ):
        return None
    subject = subject_left(words, r - 1, colon + 1, lexicon)
    if subject is None or subject.first != colon + 1:
        return None
    if colon < 1:
        return Actor(), subject
    actor = actor_left(words, colon, 0, lexicon)
    return (actor, subject) if actor.brokers and actor.brokers[0].first == 0 else None


def read_statement(words: Words, r: int, lexicon: Lexicon) -> Action | None:
    """A rating without a verb: "Barclays overweight on HCL Tech", "Hold X, target price Rs 900: BNP Paribas"."""
    after = words.low[r + 1] if r + 1 < len(words) else ""
    is_weak = words.low[r] in rw.WEAK_RATINGS and after != "rating"
    if r and words.low[r - 1] in ("rating", "rated") and TARGET in words.kind[max(0, r - rw.REACH) : r]:
        # "cuts X's TP to HKD 33, rating Neutral"
        return finish(words, Action(r, "", "", Actor(), limit=len(words)), [r], [])
    if after in ("rating", "ratings"):
        reviewed = _read_reviewed(words, r, lexicon)
        if reviewed is not None:
            return reviewed
    if words.low[r + 1 : r + 2] == ["→"] and words.kind[r + 2 : r + 3] == [RATING]:
        return _read_arrow(words, r, lexicon)
    bare = read_bare(words, r, lexicon)
    if bare is not None:
        return bare
    summary = _read_summary(words, r)
    if summary is not None:
        return summary
    tip = read_tip(words, r, lexicon)
    if tip is not None:
        return tip
    if r and words.kind[r - 1] == BROKER and after in ("on", "rating", "rated") and not is_weak:
        actor = actor_left(words, r, 0, lexicon)
        names, _ = subjects_right(words, r + 1, len(words), lexicon)
        if names:
            return finish(words, Action(r, "", "", actor, names[0], limit=len(words)), [r], [])
    right = broker_right(words, r + 1, min(len(words), r + 8), lexicon, BY_FROM)
    if is_known(words, right) and r >= 2:
        prior = next((k for k in range(r + 1, min(len(words), r + 5)) if words.kind[k] == RATING), -1)
        if words.low[r - 1] == "to" and prior >= 0 and is_namelike(words, r - 2):
            # "X to Neutral from Buy at UBS"
            now, then = rw.rank(words.printed(r, r)), rw.rank(words.printed(prior, prior))
            action = REVISE if now is None or then is None or now == then else UPGRADE if now > then else DOWNGRADE
            subject = subject_left(words, r - 1, 0, lexicon)
            return finish(words, Action(r, "", action, right, subject, limit=len(words)), [r], [prior])
        verb = r - 2 if words.low[r - 1] in ("a", "an", "new") else r - 1
        if not is_weak and words.low[verb] in (
            "gets",
            "receives",
            "earns",
            "given",
            "got",
            "has",
            "received",
            "earned",
        ):
            # "X (ABC) Gets a Hold from Truist"
            subject = subject_left(words, verb, 0, lexicon)
            return finish(words, Action(r, "", "", right, subject, limit=len(words)), [r], [])
    if after in ("rating", "call") and r and words.low[r - 1] in ("have", "a", "with") and r <= 3:
        names, _ = subjects_right(words, r + 2, len(words), lexicon)
        actor = tail_actor(words, lexicon)
        if names and actor.brokers:
            return finish(words, Action(r, "", "", actor, names[0], limit=len(words)), [r], [])
    if r == 0 and len(words) > 2 and is_namelike(words, 1):
        actor = tail_actor(words, lexicon)
        if actor.brokers:
            last = run_right(words, 1, len(words))
            subject = subject_name(words, 1, last, lexicon)
            return finish(words, Action(r, "", "", actor, subject, limit=len(words)), [r], [])
    return None


def _read_summary(words: Words, r: int) -> Action | None:
    """A rating set down without any verb: "Buy (from Hold), TP HK$50", "X Holdings (700 HK, Buy, TP HK$50)"."""
    low = words.low
    if r and low[r - 1] not in ("(", ",", "[", "/", ":"):
        return None
    k = r + 1
    prior = -1
    if low[k : k + 2] in (["(", "from"], ["(", "prev"], ["(", "previously"]):
        prior = next((p for p in range(k + 2, min(len(words), k + 5)) if words.kind[p] == RATING), -1)
        k = next((c + 1 for c in range(k, min(len(words), k + 7)) if low[c] == ")"), k)
    if prior >= 0:
        now, then = rw.rank(words.printed(r, r)), rw.rank(words.printed(prior, prior))
        action = "" if now is None or then is None or now == then else UPGRADE if now > then else DOWNGRADE
        return finish(words, Action(r, "", action, Actor(), limit=len(words)), [r], [prior])
    is_goal_next = low[k : k + 1] in ([","], [";"], ["/"]) and words.kind[k + 1 : k + 2] == [TARGET]
    if is_goal_next and NUMBER in words.kind[k + 2 : k + 5]:
        return finish(words, Action(r, "", "", Actor(), limit=len(words)), [r], [])
    return None


def _read_reviewed(words: Words, r: int, lexicon: Lexicon) -> Action | None:
    """A rating that may change: "Y places X's outperform rating under review", "X's buy rating put under review"."""
    review = next((k for k in range(r + 2, min(len(words), r + 16)) if words.low[k] in ("review", "watch")), -1)
    if review < 0 or words.low[review - 1] not in ("under", "on"):
        return None
    floor = max(0, r - rw.REACH)
    verb = next((k for k in range(r - 1, max(floor, r - 12) - 1, -1) if words.low[k] in _PLACED), -1)
    if verb >= 0:
        actor = actor_left(words, verb, floor, lexicon)
    else:
        actor = broker_right(words, r + 1, min(len(words), review + 8), lexicon, BY_FROM)
    if actor.is_agency or not (is_known(words, actor) or looks_like_broker(actor) or actor.is_anaphor):
        return None
    names, _ = subjects_right(words, r + 2, review - 1, lexicon)
    subject = names[0] if names else subject_left(words, r, max(floor, verb + 1), lexicon)
    action = finish(words, Action(r, "", "", actor, subject, limit=len(words)), [r], [])
    action.places.append(review)
    return action


_PLACED = rw.word_set("""places placed placing puts put putting has leaves left""")
