"""Finds rating actions and target changes: who rates what how, and where the target goes.

Belongs here: making claims from what the grammars found, and what a sentence takes from its neighbours. Does not
belong here: words (`rating_words.py`), the English grammar (`rating_actions.py`, `targets.py`), Chinese
(`ratings_zh.py`), side boxes (`rating_box.py`).
"""

from __future__ import annotations

import bisect
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_box, rating_table, ratings_zh, targets
from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_actions import find_actions
from rally_pipeline.notes.rating_frames import Action, lead, tail_actor
from rally_pipeline.notes.rating_note import note_subject
from rally_pipeline.notes.rating_parts import Actor, Name, is_namelike
from rally_pipeline.notes.rating_subjects import forecast_subject, lead_list, subject_name, ticker_after
from rally_pipeline.notes.rating_tokens import BROKER, NAME, Words, cut
from rally_pipeline.notes.records import Claim, ClaimType, MentionKind, Passage, SourceKind
from rally_pipeline.notes.targets import Target

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

_NEAR = 12  # actions around a target that it may belong to
_LOOK_BACK = 3  # sentences in which the house or the share of "the firm", "the stock" is looked for


def find(passage: Passage, lexicon: Lexicon) -> list[Claim]:
    """Rating actions and target changes of one sentence.

    Returns:
        For every house and share one ``RATING_ACTION`` claim if a rating is given or changed, and one
        ``TARGET_CHANGE`` claim if a target is; both carry the same ``details['action_no']``. ``details`` also holds
        ``ticker`` and the spans of the parts (``broker_start``, ``broker_end``, ``rating_start`` …).
    """
    text, start, end = passage.text, passage.start, passage.end
    sentence = text[start:end]
    if end - start <= rating_box.LONGEST_LINE:
        if rating_table.may_be(sentence):
            listed = rating_table.find(passage, lexicon)
            if listed:
                return listed
        if ":" in sentence or "：" in sentence or "|" in sentence or "  " in sentence:
            boxed = rating_box.find(passage, lexicon)
            if boxed or rating_box.is_prior_line(passage):
                return boxed
        elif rating_box.is_alone(sentence):
            return rating_box.find_alone(passage, lexicon)
    if not sentence.isascii() and (passage.is_chinese or rw.TRIGGER_ZH.search(sentence)):
        return ratings_zh.find(passage, lexicon)
    if not rw.is_triggered(sentence):
        return []
    words = cut(passage)
    _mark_code(words, lexicon)
    has_ticker = bool(passage.context.ticker)
    actions = find_actions(words, has_ticker, lexicon)
    found = targets.find_targets(words, actions, has_ticker, lexicon)
    if not actions and not found:
        return []
    return _claims(passage, words, actions, found, lexicon)


def _mark_code(words: Words, lexicon: Lexicon) -> None:
    """Makes a house of a code that is one only in this slot: "MS on Maruti: …"."""
    if len(words) > 4 and words.low[1] == "on" and words.kind[0] == NAME and ":" in words.low[3:9]:
        code = words.printed(0, 0)
        house = lexicon.broker(code) if code.isupper() and 2 <= len(code) <= 4 else ""
        if house:
            words.kind[0], words.ids[0] = BROKER, house


def _claims(
    passage: Passage, words: Words, actions: list[Action], found: list[Target], lexicon: Lexicon
) -> list[Claim]:
    _inherit_actors(words, actions, found, lexicon)
    lists = {a.head for a, b in itertools.pairwise(actions) if a.head == b.head and a.rating != b.rating}
    linked = [_link(target, actions, lists) for target in found]
    targets_of: dict[int, list[Target]] = {}
    for target, at in zip(found, linked, strict=True):
        targets_of.setdefault(at, []).append(target)
    sentence = _Sentence(passage, words, lexicon, _fallback_subject(words, actions, found, targets_of, lexicon))
    claims: list[Claim] = []
    number = 0
    for index, action in enumerate(actions):
        mine = targets_of.get(index, [])
        for broker in action.actor.brokers or (None,):
            for subject in _subjects(sentence, action, mine):
                number += 1
                claims.append(_rating_claim(sentence, action, broker, subject, number))
                for target in mine:
                    is_others = len(action.actor.brokers) > 1 and not _is_of(target.actor, broker)
                    if not is_others:
                        analyst = action.actor.analyst
                        claims.append(_target_claim(sentence, target, broker, subject, number, analyst))
    for target in targets_of.get(-1, []):
        for broker in target.actor.brokers or (None,):
            number += 1
            claims.append(_target_claim(sentence, target, broker, target.subject, number, target.actor.analyst))
    return claims


@dataclass(frozen=True, slots=True)
class _Sentence:
    """What the claims of one sentence share; `fallback` is what it is about where a verb names nothing."""

    passage: Passage
    words: Words
    lexicon: Lexicon
    fallback: Name | None


def _is_of(actor: Actor, broker: Name | None) -> bool:
    return broker is None or not actor.brokers or any(name.text == broker.text for name in actor.brokers)


def _fallback_subject(
    words: Words, actions: list[Action], found: list[Target], targets_of: dict[int, list[Target]], lexicon: Lexicon
) -> Name | None:
    """What the sentence is about, if some action with its targets names nothing."""
    everything: list[Action | Target] = [*actions, *found]
    is_named = all(
        action.subject is not None or any(target.subject is not None for target in targets_of.get(index, ()))
        for index, action in enumerate(actions)
    )
    if is_named and all(target.subject is not None for target in targets_of.get(-1, ())):
        return None
    until = max(_position(item) for item in everything if item.subject is None)
    name = lead(words, [item.actor for item in everything], until, lexicon)
    if name is None:
        name = forecast_subject(words, until, lexicon)
    # "reiterated its buy rating on X, and Y maintained an overweight recommendation"
    other = next((item.subject for item in everything if item.subject is not None), None)
    return other if name is None or (other is not None and other.first < name.first) else name


def _subjects(sentence: _Sentence, action: Action, mine: list[Target]) -> tuple[Name | None, ...]:
    """What an action is about; several where a heading names several and the action speaks of all of them."""
    both = _both(sentence.words, action, sentence.lexicon)
    if both:
        return both
    subject = action.subject or next((t.subject for t in mine if t.subject is not None), None)
    if subject is not None or sentence.fallback is None:
        return (subject,)
    words = sentence.words
    after = words.low[action.head + 1 : action.head + 12]
    is_single = any(word in ("it", "stock", "company", "company's", "company’s", "name") for word in after)
    names = lead_list(words, sentence.fallback, action.head, sentence.lexicon)
    return names[:1] if is_single else names


def _both(words: Words, action: Action, lexicon: Lexicon) -> tuple[Name, ...]:
    """The two shares of "A, B: Y keeps add on both"; empty if "both" is not what the rating is on."""
    last = action.rating
    near = words.low[last + 1 : last + 4] if last >= 0 else []
    is_both = "both" in near and near[near.index("both") - 1] in ("on", "for", "to") if near[:1] != ["both"] else False
    colon = next((k for k in range(3, min(len(words), 16)) if words.low[k] == ":"), -1)
    if not is_both or colon < 0 or colon > action.head:
        return ()
    between = next((k for k in range(1, colon - 1) if words.low[k] in (",", "and", "&", "/")), -1)
    if between < 1 or any(words.low[k] in (",", "and", "/") for k in range(between + 1, colon)):
        return ()
    if not all(is_namelike(words, k) for k in (0, between - 1, between + 1, colon - 1)):
        return ()
    return (subject_name(words, 0, between - 1, lexicon), subject_name(words, between + 1, colon - 1, lexicon))


# --- who -------------------------------------------------------------------------------------------------------------


def _inherit_actors(words: Words, actions: list[Action], found: list[Target], lexicon: Lexicon) -> None:
    """Gives each action and target without a named house the one it means: of the sentence, its end, those before."""
    everything: list[Action | Target] = [*actions, *found]
    everything.sort(key=_position)
    subjects = {
        place
        for item in everything
        if item.subject is not None
        for place in range(item.subject.first, item.subject.last + 1)
    }
    last: Actor | None = None
    following = next((other.actor for other in everything if other.actor.brokers), None)
    before: Actor | None = None
    for item in everything:
        if before is not None and not item.actor.brokers and not item.actor.is_anaphor:
            item.actor = before  # "we maintain Buy and raise …", "Buy X with a target of …: Name Surname"
        if item.actor.is_self or item.actor.speaker:
            before = item.actor
            continue
        before = None
        if item.actor.brokers:
            last = item.actor
            continue
        position = _position(item)
        actor = last
        if actor is None:
            nearest = next(
                (
                    k
                    for k in range(position - 1, max(-1, position - rw.REACH), -1)
                    if words.kind[k] == BROKER and k not in subjects and not _is_issuer_role(words, k)
                ),
                None,
            )
            if nearest is not None:
                actor = Actor((Name(nearest, nearest, _bare(words.printed(nearest, nearest)), words.ids[nearest]),))
        if actor is None:
            actor = following or tail_actor(words, lexicon, is_lenient=isinstance(item, Action))
        if actor.brokers:
            item.actor = Actor(actor.brokers, item.actor.analyst or actor.analyst, item.actor.is_anaphor)
            item.places += [place for name in actor.brokers for place in (name.first, name.last)]
            last = item.actor


def _position(item: Action | Target) -> int:
    if isinstance(item, Action):
        return item.head
    return item.verb if 0 <= item.verb < item.place else item.place


def _is_issuer_role(words: Words, k: int) -> bool:
    """Whether the house at `k` stands there as a share: "HSBC shares", "shares of HSBC", "UBS - the lender fell"."""
    after = words.low[k + 1] if k + 1 < len(words) else ""
    before = words.low[k - 1] if k else ""
    return after in ("shares", "stock", "-", "–", "rose", "fell", "gains", "falls", "rises", "slips", "jumps") or (
        before in ("of", "in") and k >= 2 and words.low[k - 2] in ("shares", "stock")
    )


def _bare(text: str) -> str:
    return text[:-2] if text.endswith(("'s", "’s")) else text


def _broker_before(passage: Passage) -> tuple[str, str]:
    """Id and text of the house last named in the sentences before."""
    before, steps = passage.previous, 0
    while before is not None and steps < _LOOK_BACK:
        for mention in reversed(before.mentions):
            if mention.kind is MentionKind.BROKER:
                return mention.entity_id, mention.text
        before, steps = before.previous, steps + 1
    return "", ""


def _subject_before(passage: Passage, lexicon: Lexicon) -> tuple[str, str]:
    """Text and id of the share last named in the sentences before, or at the head of the note."""
    before, steps = passage.previous, 0
    while before is not None and steps < _LOOK_BACK:
        for mention in before.mentions:
            if mention.kind is MentionKind.INSTRUMENT and not mention.entity_id.startswith("^"):
                return mention.text, mention.entity_id
        words = cut(before)
        name = lead(words, [], len(words), lexicon)
        if name is not None and words.kind[name.first] != BROKER:
            return name.text, name.entity_id
        before, steps = before.previous, steps + 1
    return "", ""


# --- claims ----------------------------------------------------------------------------------------------------------


def _link(target: Target, actions: list[Action], lists: set[int]) -> int:
    """Index of the action a target belongs to, -1 if it stands alone; `lists` = verbs that give several ratings."""
    best = -1
    # of many actions only those just before and just after it
    after = bisect.bisect_left(actions, target.place, key=lambda action: action.head)
    for index in range(max(0, after - _NEAR), min(len(actions), after + _NEAR)):
        action = actions[index]
        place = action.head
        if action.head in lists:
            place = max(place, action.rating)  # of one verb's list the one whose rating stands before the target
        if target.actor.brokers and action.actor.brokers:
            mine = {name.text for name in target.actor.brokers}
            if not any(name.text in mine for name in action.actor.brokers):
                continue
        named = [name.text for name in (target.subject, action.subject) if name is not None]
        if len(named) == 2 and not _is_same(*named):
            continue
        if best < 0 or place <= target.place:
            best = index
    return best


def _is_same(one: str, other: str) -> bool:
    a, b = one.lower(), other.lower()
    return a == b or a in b or b in a


def _span(words: Words, places: list[int]) -> tuple[int, int]:
    first = min(places)
    if first < 0:
        first = min(place for place in places if place >= 0)
    return words.start[first], words.end[max(places)]


def _who(passage: Passage, words: Words, broker: Name | None, actor: Actor) -> tuple[str, str, dict[str, int]]:
    """Broker id, text and span in details.

    Named in the sentence; else, for "the firm", the house named last before it; else the house of the note; else again
    the one named before.
    """
    if broker is not None:
        first, last = words.start[broker.first], words.start[broker.first] + len(broker.text)
        return broker.entity_id, broker.text, {"broker_start": first, "broker_end": last}
    context = passage.context
    if actor.speaker:
        return "", "", {}
    if context.broker_text and (actor.is_self or not actor.is_anaphor):
        return context.broker_id, context.broker_text, {}
    entity, text = _broker_before(passage)
    return (entity, text, {}) if text else (context.broker_id, context.broker_text, {})


def _what(sentence: _Sentence, subject: Name | None, actor: Actor) -> tuple[str, str, str]:
    """Subject's text, id and ticker.

    Named in the sentence; else, where the author speaks, the share of the note's heading; else the share named last.
    """
    passage, lexicon = sentence.passage, sentence.lexicon
    name = subject or sentence.fallback
    ticker = passage.context.ticker
    is_author = actor.is_self or not (actor.brokers or actor.is_anaphor or actor.speaker)
    if subject is None and is_author and (name is None or (actor.is_self and not name.entity_id)):
        text, entity = note_subject(passage, lexicon)
        if text:
            return text, entity or (lexicon.instrument(ticker) if ticker else ""), ticker
    if name is not None:
        ticker = ticker_after(sentence.words, name.last) or ticker
        return name.text, name.entity_id or (lexicon.instrument(ticker) if ticker else ""), ticker
    text, entity = _subject_before(passage, lexicon)
    if not text:
        text, entity = note_subject(passage, lexicon)
    return text, entity or (lexicon.instrument(ticker) if ticker else ""), ticker


def _rating_claim(sentence: _Sentence, action: Action, broker: Name | None, subject: Name | None, number: int) -> Claim:
    passage, words = sentence.passage, sentence.words
    places = action.places
    if len(action.actor.brokers) > 1:
        places = [place for place in places if not _is_of_other_broker(place, action.actor, broker)]
    start, end = _span(words, places)
    broker_id, broker_text, details = _who(passage, words, broker, action.actor)
    subject_text, subject_id, ticker = _what(sentence, subject, action.actor)
    more: dict[str, str | float | int | bool | None] = {"action_no": number, **details}
    if ticker:
        more["ticker"] = ticker
    rating = rating_prior = ""
    if action.rating >= 0:
        rating = words.printed(action.rating, action.rating)
        more["rating_start"], more["rating_end"] = words.start[action.rating], words.end[action.rating]
    if action.prior >= 0:
        rating_prior = words.printed(action.prior, action.prior)
        more["rating_prior_start"], more["rating_prior_end"] = words.start[action.prior], words.end[action.prior]
    return Claim(
        claim_type=ClaimType.RATING_ACTION,
        rule_id=f"ratings.{action.klass.lower() or 'statement'}",
        start=start,
        end=end,
        quote=passage.text[start:end],
        subject_text=subject_text,
        subject_id=subject_id,
        metric="rating",
        source_kind=_kind(broker_text, action.actor),
        speaker=action.actor.speaker,
        broker_id=broker_id,
        broker_text=broker_text,
        rating_action=action.action,
        action_text=action.word if action.klass else "",
        rating=rating,
        rating_prior=rating_prior,
        analyst=action.actor.analyst or (passage.context.analyst if broker is None else ""),
        details=more,
    )


def _kind(broker_text: str, actor: Actor) -> SourceKind:
    if broker_text:
        return SourceKind.BROKER
    return SourceKind.SPEAKER if actor.speaker else SourceKind.UNATTRIBUTED


def _is_of_other_broker(place: int, actor: Actor, broker: Name | None) -> bool:
    return broker is not None and any(
        name.first <= place <= name.last for name in actor.brokers if name.first != broker.first
    )


def _target_claim(
    sentence: _Sentence, target: Target, broker: Name | None, subject: Name | None, number: int, analyst: str
) -> Claim:
    passage, words = sentence.passage, sentence.words
    places = list(target.places)
    if broker is not None:
        if len(target.actor.brokers) > 1:
            places = [place for place in places if not _is_of_other_broker(place, target.actor, broker)]
        places += [broker.first, broker.last]
    start, end = _span(words, places)
    broker_id, broker_text, details = _who(passage, words, broker, target.actor)
    subject = target.subject or subject
    subject_text, subject_id, ticker = _what(sentence, subject, target.actor)
    more: dict[str, str | float | int | bool | None] = {"action_no": number, **details}
    if ticker:
        more["ticker"] = ticker
    value = prior = tolerance = None
    currency = ""
    if target.prior >= 0:
        prior, currency, _ = targets.money(words, target.prior, target.new)
        more["target_prior_start"], more["target_prior_end"] = words.start[target.prior], words.end[target.prior]
    if target.new >= 0:
        value, currency, tolerance = targets.money(words, target.new, target.prior)
        more["target_start"], more["target_end"] = words.start[target.new], words.end[target.new]
    is_index = subject_id.startswith("^") or targets.INDEX.search(subject_text) is not None
    is_index = is_index and not currency
    if target.klass == rw.REMOVE:
        more["is_withdrawn"] = True
    action, is_conflict = targets.direction(target.klass, value, prior)
    return Claim(
        claim_type=ClaimType.TARGET_CHANGE,
        rule_id=f"ratings.target_{target.klass.lower() or 'stated'}",
        start=start,
        end=end,
        quote=passage.text[start:end],
        subject_text=subject_text,
        subject_id=subject_id,
        metric="index_target" if is_index else "target_price",
        value=value,
        value_prior=prior,
        unit="points" if is_index else currency,
        currency="" if is_index else currency,
        tolerance=tolerance,
        source_kind=_kind(broker_text, target.actor),
        speaker=target.actor.speaker,
        broker_id=broker_id,
        broker_text=broker_text,
        target_action=action,
        action_text=words.printed(target.verb, target.verb) if target.verb >= 0 else "",
        analyst=analyst or (passage.context.analyst if broker is None else ""),
        is_conflict=is_conflict,
        details=more,
    )
