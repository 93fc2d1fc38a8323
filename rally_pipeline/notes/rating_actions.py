"""Reads English rating actions: which verb or noun acts, by whom, on what, to which rating.

Belongs here: the grammar of rating actions on the words of one sentence. Does not belong here: price targets
(`targets.py`), Chinese (`ratings_zh.py`), making claims (`ratings.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_coverage import is_coverage_dropped, read_coverage, read_dropped
from rally_pipeline.notes.rating_frames import (
    ACTION,
    BY_FROM,
    DOWNGRADE,
    REITERATE,
    REVISE,
    UPGRADE,
    Action,
    is_credit,
    is_in_name,
    is_known,
    is_other_object,
    is_passive_at,
    looks_like_broker,
    object_zone,
    passive_actor,
    prefix_actor,
    ratings_after,
    spread,
    subject_left,
)
from rally_pipeline.notes.rating_parts import (
    Actor,
    Name,
    actor_left,
    is_namelike,
)
from rally_pipeline.notes.rating_states import read_rated, read_statement
from rally_pipeline.notes.rating_subjects import subject_name, subjects_right
from rally_pipeline.notes.rating_tokens import (
    ADV,
    AGENCY,
    BREAK,
    BROKER,
    DET,
    MARK,
    NUMBER,
    RATING,
    TARGET,
    VERB,
    Words,
)

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

#: Verbs at which the reach of the verb before them ends.
_LIMITING = frozenset((rw.UP, rw.DOWN, rw.INIT, rw.KEEP, rw.RAISE, rw.LOWER, rw.REMOVE, rw.MOVE, rw.ADD))
_AUXILIARY = frozenset(("has", "have", "had"))
_NOUN_BEFORE = rw.word_set(
    """following after top analyst several two three four recent rating double broker multiple both a an the on of
    in with stock its despite amid from by get gets rare through major after's any another new this big biggest
    wall street post notable"""
)


def find_actions(words: Words, has_ticker: bool, lexicon: Lexicon) -> list[Action]:
    """All rating actions of a sentence, in order."""
    kinds, lows = words.kind, words.low
    heads = [
        i for i, kind in enumerate(kinds) if kind == VERB and not (lows[i] in _AUXILIARY and _is_auxiliary(words, i))
    ]
    actions: list[Action] = []
    count = len(words)
    floor = 0
    has_break = BREAK in kinds
    for number, i in enumerate(heads):
        klass = rw.VERBS[lows[i]][0]
        limit = min(count, i + rw.REACH)
        for at in range(number + 1, len(heads)):
            later = heads[at]
            if later >= limit:
                break
            if rw.VERBS[lows[later]][0] in _LIMITING and not _is_noun_use(words, later, klass):
                limit = later
                break
        if has_break:
            for k in range(i + 1, limit):
                if kinds[k] == BREAK and not _is_share_class(words, k):
                    limit = k
                    break
        floor = max(floor, i - rw.REACH)
        while has_break and floor < i and BREAK in kinds[floor:i]:
            floor += kinds[floor:i].index(BREAK) + 1
        found = _read(words, i, klass, floor, limit, has_ticker, lexicon)
        if found:
            actions += found
            floor = max(max(action.places) for action in found) + 1
    claimed = {place for action in actions for place in (action.rating, action.prior)}
    for i, kind in enumerate(kinds):
        if kind == RATING and i not in claimed:
            statement = read_statement(words, i, lexicon)
            if statement is not None:
                actions.append(statement)
                claimed.add(i)
    actions.sort(key=lambda action: action.head)
    return actions


def _is_share_class(words: Words, k: int) -> bool:
    """Whether the dash at `k` only brings in what kind of share it is: "X Inc. - Common Stock"."""
    return words.low[k] in "-–—" and k + 1 < len(words) and words.low[k + 1] in _SHARE_CLASSES


_SHARE_CLASSES = rw.word_set("""common ordinary class adr ads adrs preferred american""")


def _is_auxiliary(words: Words, i: int) -> bool:
    k = i + 1
    while k < min(len(words), i + 6) and (words.kind[k] == ADV or words.low[k] in rw.BE):
        k += 1
    return k < len(words) and words.kind[k] == VERB


def _is_noun_use(words: Words, i: int, klass: str) -> bool:
    """Whether a verb form at `i` is no verb there: "with an initiated …", "raised target price"."""
    before = words.low[i - 1] if i else ""
    return before in ("a", "an", "the", "its") and klass != rw.MOVE and words.low[i] not in ("upgrade", "downgrade")


def _read(words: Words, i: int, klass: str, floor: int, limit: int, has_ticker: bool, lexicon: Lexicon) -> list[Action]:
    if klass in (rw.UP, rw.DOWN):
        return _read_grade(words, i, klass, floor, limit, has_ticker, lexicon)
    if klass == rw.INIT:
        return read_coverage(words, i, floor, limit, lexicon)
    if klass == rw.KEEP:
        return _read_keep(words, i, floor, limit, has_ticker, lexicon)
    if klass in (rw.RAISE, rw.LOWER, rw.MOVE):
        if is_coverage_dropped(words, i, limit):
            return read_dropped(words, i, floor, limit, lexicon)
        return _read_moved(words, i, klass, floor, limit, has_ticker, lexicon)
    if klass == rw.ADD or klass == rw.REMOVE:
        if klass == rw.REMOVE and is_coverage_dropped(words, i, limit):
            return read_dropped(words, i, floor, limit, lexicon)
        return _read_list(words, i, klass, floor, limit, lexicon)
    return read_rated(words, i, klass, floor, limit, lexicon)


# --- parts -----------------------------------------------------------------------------------------------------------


# --- upgrades and downgrades -----------------------------------------------------------------------------------------


def _read_grade(
    words: Words, i: int, klass: str, floor: int, limit: int, has_ticker: bool, lexicon: Lexicon
) -> list[Action]:
    form = rw.VERBS[words.low[i]][1]
    before = words.low[i - 1] if i > floor else ""
    after = words.low[i + 1] if i + 1 < limit else ""
    is_clause_start = i == floor or words.kind[i - 1] in (BREAK,) or before in (":", ",")
    is_led_off = before in ("to", "and", "may", "could", "will") and after not in ("by", "from", "at")
    is_noun = (form == rw.BASE and not is_clause_start and not is_led_off) or (
        form == rw.THIRD
        and (_is_before_noun(words, i) or after in ("by", "from") or words.kind[i - 1] == NUMBER if i else False)
    )
    new, prior = ratings_after(words, i, klass, limit)
    if is_noun and form == rw.BASE and i + 1 < limit and is_namelike(words, i + 1):
        # "Keefe Bruyette & Woods upgrade X to …"
        is_noun = not is_known(words, actor_left(words, i, floor, lexicon))
    if is_noun:
        return _read_grade_noun(words, i, klass, floor, limit, new, prior, lexicon)
    if form == rw.THIRD and i == 0 and not new:
        return []
    left = actor_left(words, i, floor, lexicon)
    if left.is_agency:
        return []
    if before == "," and not left.brokers:
        left = prefix_actor(words, i, lexicon)
    base = Action(i, klass, ACTION[klass], left, limit=limit)
    if is_passive_at(words, i, floor, limit, left, lexicon):
        base.actor = passive_actor(words, i, limit, lexicon)
        if base.actor.is_agency or is_credit(words, i, limit):
            return []
        if not base.actor.brokers:
            base.actor = prefix_actor(words, i, lexicon)  # "Some Research: X upgraded to buy"
        subject = subject_left(words, i, floor, lexicon)
        is_named = bool(base.actor.brokers) and (looks_like_broker(base.actor) or before in ("rating", "ratings"))
        if not (new or prior or is_known(words, base.actor) or is_named):
            return []
        if not new and not prior and subject is None and i and words.low[i - 1] in rw.OTHER_OBJECTS:
            return []
        return spread(words, base, (subject,) if subject else (), new, prior, lexicon)
    zone = object_zone(words, i, limit)
    if any(words.kind[k] == TARGET for k in zone):
        return []
    if is_other_object(words, i, limit) and not new:
        return []
    if is_credit(words, i, limit):
        return []
    subjects, _ = subjects_right(words, i + 1, limit, lexicon)
    if not (new or prior):
        is_described = bool(zone) and words.printed(zone[0], zone[0]) == "the" and is_known(words, left)
        is_object_fine = (
            bool(subjects) or is_described or not zone or any(words.low[k] in rw.SUBJECT_ANAPHORS for k in zone)
        )
        is_actor_fine = is_known(words, left) or (
            bool(left.brokers) and bool(subjects) and (looks_like_broker(left) or has_ticker)
        )
        if before == "to" and subjects and BROKER in words.kind[floor:i]:
            is_actor_fine = True  # "became the latest firm to downgrade X"
        if left.is_anaphor and any(words.low[k] in ("stock", "shares") for k in zone):
            is_actor_fine = True
        if not is_object_fine or not is_actor_fine:
            return []
    return spread(words, base, subjects, new, prior, lexicon)


def _is_before_noun(words: Words, i: int) -> bool:
    """Whether the word before `i` makes a noun of it: "after downgrades", "Wall Street upgrades"; not a house."""
    before = words.low[i - 1] if i else ""
    if before == "street":
        return i > 1 and words.low[i - 2] == "wall"
    return before in _NOUN_BEFORE


_GIVEN = frozenset(("gave", "gives", "giving", "issued", "issues", "issuing", "handed"))


def _read_grade_noun(
    words: Words, i: int, klass: str, floor: int, limit: int, new: list[int], prior: list[int], lexicon: Lexicon
) -> list[Action]:
    actor = passive_actor(words, i, limit, lexicon, BY_FROM)
    if actor.is_agency or (i and words.kind[i - 1] == AGENCY) or is_credit(words, i, limit):
        return []
    subject: Name | None = None
    told = _read_told(words, i, klass, lexicon)
    if told is not None:
        return spread(words, told, (told.subject,) if told.subject else (), new, prior, lexicon)
    if not is_known(words, actor):
        left = actor_left(words, i, floor, lexicon)
        k = i - 1
        while k >= floor and words.low[k] in (
            "a",
            "an",
            "the",
            "issued",
            "double",
            "rating",
            "stock",
            "with",
            "issues",
        ):
            k -= 1
        if not left.brokers and k < i - 1 and k >= floor and is_namelike(words, k):
            left = actor_left(words, k + 1, floor, lexicon)
        given = next((k for k in range(i - 1, max(floor, i - 7), -1) if words.low[k] in _GIVEN), None)
        if not left.brokers and given is not None:
            left = actor_left(words, given, floor, lexicon)
        if left.is_agency:
            return []
        if is_known(words, left) or (left.brokers and not actor.brokers and (new or looks_like_broker(left))):
            actor = left
    if not is_known(words, actor):
        # "a wave of upgrades, with 'Buy' ratings": without a house it must say from what to what
        is_led = any(words.low[k] == "to" for r in new[:1] for k in range(max(i, r - 2), r))
        if not prior and not is_led:
            return []
    if i and not new and words.low[i - 1] in ("could", "may", "for", "set", "outlook", "forecast", "guidance"):
        return []
    if i + 1 < limit and words.low[i + 1] in ("cycle", "note", "notes", "path", "risk", "fears", "program", "of"):
        if words.low[i + 1] != "of" and not new:
            return []
        if words.low[i + 1] == "of":
            names, _ = subjects_right(words, i + 2, limit, lexicon)
            subject = names[0] if names else None
    base = Action(i, klass, ACTION[klass], actor, limit=limit)
    return spread(words, base, (subject,) if subject else (), new, prior, lexicon)


def _read_told(words: Words, i: int, klass: str, lexicon: Lexicon) -> Action | None:
    """An upgrade told of beside what is said in it: "…, Y says in upgrade", "Y cited X's plans in its upgrade note"."""
    k = i - 1
    while k > 0 and (words.kind[k] == DET or words.low[k] == "recent"):
        k -= 1
    if k < 2 or words.low[k] != "in":
        return None
    for verb in range(k - 1, max(0, i - rw.REACH), -1):
        if words.kind[verb] == BREAK:
            return None
        if words.low[verb] in rw.SPEECH:
            actor = actor_left(words, verb, 0, lexicon)
            if not is_known(words, actor):
                return None
            names, _ = subjects_right(words, verb + 1, k, lexicon)
            return Action(i, klass, ACTION[klass], actor, names[0] if names else None, limit=i + 1)
    return None


def _read_list(words: Words, i: int, klass: str, floor: int, limit: int, lexicon: Lexicon) -> list[Action]:
    listed = next(
        (k for k in range(i + 2, min(limit, i + 16)) if words.low[k] in ("list", "lists", "cl", "picks", "pick")), None
    )
    if listed is None:
        return []
    left = actor_left(words, i, floor, lexicon)
    base = Action(i, klass, REVISE, left, limit=limit)
    subjects: tuple[Name, ...]
    if i and words.low[i - 1] in ("earlier", "previously", "already"):
        return []  # told again beside the news
    if is_passive_at(words, i, floor, limit, left, lexicon):
        base.actor = passive_actor(words, i, limit, lexicon)
        if not base.actor.brokers:
            # "X added to Goldman's Conviction List"
            k = i + 1
            while k < listed and words.kind[k] != BROKER:
                k += 1
            if k == listed:
                return []
            base.actor = Actor((Name(k, k, words.printed(k, k).removesuffix("'s").removesuffix("’s"), words.ids[k]),))
        subject = subject_left(words, i, floor, lexicon)
        if subject is None:
            return []
        subjects = (subject,)
    else:
        if not (is_known(words, left) or looks_like_broker(left) or left.is_anaphor):
            return []
        subjects, _ = subjects_right(words, i + 1, limit, lexicon)
    actions = spread(words, base, subjects, [], [], lexicon)
    for action in actions:
        action.places.append(listed)
    return actions


# --- maintained, moved, stated ---------------------------------------------------------------------------------------


def _read_keep(words: Words, i: int, floor: int, limit: int, has_ticker: bool, lexicon: Lexicon) -> list[Action]:
    new, prior = ratings_after(words, i, rw.KEEP, limit)
    low = words.low[i]
    left_rating = -1
    if not new:
        # "Neutral Rating Maintained", "Buy rating reiterated at X"
        k = i - 1
        while k >= floor and (words.kind[k] == ADV or words.low[k] in rw.BE or words.low[k] in rw.RATING_NOUNS):
            k -= 1
        if k >= floor and words.kind[k] == RATING and (k < i - 1 or rw.SURE_RATING.match(words.printed(k, k))):
            left_rating = k
        else:
            rated = _rating_on(words, i, floor, lexicon)
            if rated is not None:
                # "Buy Rating on X Maintained at Y"
                actor = passive_actor(words, i, limit, lexicon)
                if actor.is_agency:
                    return []
                return spread(
                    words, Action(i, rw.KEEP, REITERATE, actor, limit=limit), (rated[1],), [rated[0]], [], lexicon
                )
    rating_word = any(words.low[k] in ("rating", "ratings", "recommendation") for k in range(i + 1, min(limit, i + 4)))
    left = actor_left(words, i, floor, lexicon)
    if left.is_agency:
        return []
    is_bare = not new and left_rating < 0
    if is_bare and (not (rating_word and is_known(words, left)) or is_credit(words, i, limit)):
        return []
    base = Action(i, rw.KEEP, REITERATE, left, limit=limit)
    if left_rating >= 0:
        base.actor = passive_actor(words, i, limit, lexicon)
        first = left_rating
        subject = subject_left(words, first, floor, lexicon)
        return spread(words, base, (subject,) if subject else (), [left_rating], [], lexicon)
    is_house = is_known(words, left) or looks_like_broker(left)
    if low in _WEAK_KEEPERS and not is_house and not left.is_self and (left.brokers or not _goes_on(words, i)):
        return []
    if is_passive_at(words, i, floor, limit, left, lexicon) and not (
        new and new[0] <= i + 3 and all(words.kind[k] in (DET, RATING) for k in range(i + 1, new[0]))
    ):
        base.actor = passive_actor(words, i, limit, lexicon)
        subject = subject_left(words, i, floor, lexicon)
        return spread(words, base, (subject,) if subject else (), new, prior, lexicon)
    begin = i + 1
    if new and all(words.kind[k] in (DET, ADV, VERB) or words.low[k] in _KEEP_FILL for k in range(begin, new[0])):
        begin = new[0] + 1
        while begin < limit and (words.low[begin] in rw.RATING_NOUNS or words.kind[begin] in (RATING, MARK)):
            begin += 1
        # "Maintains Buy on X": only after a preposition; "reiterates Buy, Raises PT On X" leaves it to the target
        if begin < limit and words.low[begin] not in ("on", "for", "of", "in"):
            subjects: tuple[Name, ...] = ()
            if is_namelike(words, begin) and begin == new[0] + 1:
                subjects, _ = subjects_right(words, begin, limit, lexicon)
        else:
            subjects, _ = subjects_right(words, begin, limit, lexicon)
    else:
        subjects, _ = subjects_right(words, begin, limit, lexicon)
    if left.brokers and not is_known(words, left) and not subjects and _is_issuer(words, left):
        # "X Ltd. (ABC) Maintains Outperform Rating": the company stands where the broker would
        name = left.brokers[0]
        base.actor = Actor()
        subjects = (subject_name(words, name.first, name.last, lexicon),)
    is_rating_said = any(words.low[r + 1 : r + 2] == ["rating"] for r in new)
    is_someone = is_house or is_rating_said or left.is_anaphor or has_ticker or bool(subjects) or not left.brokers
    if not is_someone and not any(rw.SURE_RATING.match(words.printed(r, r)) for r in new):
        return []
    return spread(words, base, subjects, new, prior, lexicon)


def _goes_on(words: Words, i: int) -> bool:
    """Whether the verb at `i` goes on with what a house did before: "Citi lifts A to Buy, cuts B to Sell"."""
    return i > 1 and words.low[i - 1] in (",", "and", "but", ";") and BROKER in words.kind[max(0, i - rw.REACH) : i - 1]


_WEAK_KEEPERS = frozenset(
    (
        "leave",
        "leaves",
        "left",
        "leaving",
        "remains",
        "stay",
        "stays",
        "staying",
        "stick",
        "sticks",
        "stuck",
        "back",
        "backs",
        "backed",
        "confirm",
        "confirms",
    )
)


def _rating_on(words: Words, i: int, floor: int, lexicon: Lexicon) -> tuple[int, Name] | None:
    """Place of the rating and the share of "Buy Rating on X" that ends before `i`."""
    subject = subject_left(words, i, floor, lexicon)
    if subject is None or subject.first - 3 < floor or words.low[subject.first - 1] not in ("on", "for", "of"):
        return None
    noun = subject.first - 2
    if words.low[noun] not in rw.RATING_NOUNS or words.kind[noun - 1] != RATING:
        return None
    return noun - 1, subject


_KEEP_FILL = rw.word_set("""with at to by the their rating investment stock on a an""")


def _is_issuer(words: Words, actor: Actor) -> bool:
    last = actor.brokers[-1].last
    return last + 1 < len(words) and words.low[last + 1] == "("


def _read_moved(
    words: Words, i: int, klass: str, floor: int, limit: int, has_ticker: bool, lexicon: Lexicon
) -> list[Action]:
    new, prior = ratings_after(words, i, klass, limit)
    if not new and not prior and i > floor and words.low[i - 1] in ("rating", "ratings"):
        # "X stock rating lowered by Y"
        by = passive_actor(words, i, limit, lexicon)
        subject = subject_left(words, i, floor, lexicon)
        if by.brokers and subject is not None and klass != rw.MOVE and not is_credit(words, i, limit):
            return spread(words, Action(i, klass, ACTION[klass], by, limit=limit), (subject,), [], [], lexicon)
    if not new:
        return []
    if any(words.kind[k] in (TARGET, NUMBER) for k in range(i + 1, new[0])):
        return []
    k = new[0] - 1
    while k > i and words.kind[k] == DET:
        k -= 1
    if words.low[k] not in ("to", "into", "at", "=", "("):
        return []
    left = actor_left(words, i, floor, lexicon)
    if left.is_agency or is_credit(words, i, limit):
        return []
    if any(words.low[k] in rw.OTHER_OBJECTS and not is_in_name(words, k, i) for k in object_zone(words, i, limit)):
        return []
    base = Action(i, klass, ACTION.get(klass, ""), left, limit=limit)
    is_passive = is_passive_at(words, i, floor, limit, left, lexicon)
    if is_passive:
        base.actor = passive_actor(words, i, limit, lexicon)
        if not base.actor.brokers:
            base.actor = prefix_actor(words, i, lexicon)
    is_sure = (
        bool(prior)
        or is_known(words, base.actor)
        or looks_like_broker(base.actor)
        or (not left.brokers and _goes_on(words, i))
        or (is_passive and bool(base.actor.brokers) and words.text[words.start[new[0]]].isupper())
        or any(words.low[k] in rw.RATING_NOUNS for k in range(i + 1, min(limit, new[0] + 2)))
        or (rw.SURE_RATING.match(words.printed(new[0], new[0])) is not None)
    )
    if not is_sure:
        return []
    if klass == rw.MOVE:
        base.action = REVISE
        if prior:
            old = rw.rank(words.printed(prior[0], prior[0]))
            now = rw.rank(words.printed(new[0], new[0]))
            if old is not None and now is not None and old != now:
                base.action = UPGRADE if now > old else DOWNGRADE
    if is_passive:
        subject = subject_left(words, i, floor, lexicon)
        return spread(words, base, (subject,) if subject else (), new, prior, lexicon)
    subjects, _ = subjects_right(words, i + 1, limit, lexicon)
    noun = new[0] + 1
    if not subjects and words.low[noun : noun + 1] == ["rating"]:
        # "moved to a hold rating on X"
        subjects, _ = subjects_right(words, noun + 1, limit, lexicon)
    return spread(words, base, subjects, new, prior, lexicon)
