"""Reads English price and index targets: which verb, whose target on what, the new number and the one before.

Belongs here: the grammar of targets on the words of one sentence, and what two numbers say of a target's direction.
Does not belong here: ratings (`rating_actions.py`), Chinese (`ratings_zh.py`), making claims (`ratings.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.rating_frames import Action, is_in_name, is_known, looks_like_broker, tail_actor
from rally_pipeline.notes.rating_parts import (
    Actor,
    Name,
    actor_left,
    broker_right,
    is_namelike,
    run_left,
    run_right,
)
from rally_pipeline.notes.rating_subjects import subject_name, subjects_right
from rally_pipeline.notes.rating_tips import goal_subject, signature
from rally_pipeline.notes.rating_tokens import (
    ADV,
    BREAK,
    BROKER,
    DET,
    MARK,
    NAME,
    NUMBER,
    PREP,
    TARGET,
    VERB,
    Words,
)
from rally_pipeline.notes.records import Quantity, QuantityKind
from rally_pipeline.notes.target_numbers import COUNTS, index_prior, is_kept, is_old, is_told_before, priors, series

if TYPE_CHECKING:
    from rally_pipeline.notes.lexicon import Lexicon

INCREASE, DECREASE, REITERATE, UPDATE = "Increase", "Decrease", "Reiterate", "Update"

#: Classes of verbs as they act on a target.
_TARGET_ACTION = {
    rw.UP: INCREASE,
    rw.RAISE: INCREASE,
    rw.DOWN: DECREASE,
    rw.LOWER: DECREASE,
    rw.KEEP: REITERATE,
    rw.SET: UPDATE,
    rw.MOVE: UPDATE,
    rw.INIT: UPDATE,
    rw.ADD: UPDATE,
    rw.REMOVE: UPDATE,
    rw.RATE: UPDATE,
    "": UPDATE,
}
#: What an index is called; a target on one is in points.
INDEX = re.compile(
    r"\b(?:index|indices|MSCI|Hang Seng|HSI|HSCEI|H-shares?|S&P 500|S&P ?500|Nifty|Sensex|CSI ?\d*|Nikkei|Topix|DAX|"
    r"Stoxx|Euro ?Stoxx|Nasdaq(?: 100| Composite)?|Dow(?: Jones)?|KOSPI|Kospi|TAIEX|Taiex|FTSE|Shanghai Composite|STI|"
    r"CAC ?40|Russell)\b|恒指|恒生|国企指[数數]|國企指數|指[数數]|[沪滬]深|上[证證]|明晟|[标標]普",
)
_STOP_WORDS = rw.word_set(
    """implying implies imply implied suggesting suggests suggest representing represents indicating indicates
    which compared upside downside while but citing says said saying after following"""
)


@dataclass(slots=True)
class Target:
    """One statement of a target; places are into the words of the sentence, -1 = not there.

    Attributes:
        place: the word for it ("price target").
        verb: the verb that acts on it.
        klass: the verb's class, ``""`` if there is none.
        actor: who acts, if named at this verb.
        is_own_actor: whether a name stands at this verb (it need not be the actor of the rating beside it).
        subject: whose target, if named here.
        new, prior: places of the numbers.
        places: places of all its parts.
    """

    place: int
    verb: int
    klass: str
    actor: Actor
    subject: Name | None
    new: int
    prior: int
    places: list[int] = field(default_factory=list)


def find_targets(words: Words, actions: list[Action], has_ticker: bool, lexicon: Lexicon) -> list[Target]:
    """All statements of a target in a sentence, in order."""
    found: list[Target] = []
    used: set[int] = set()
    for place, kind in enumerate(words.kind):
        if kind != TARGET:
            continue
        target = _read(words, place, used, lexicon)
        if _is_meant(words, target, actions, found, has_ticker, lexicon):
            for one in _respective(words, target, lexicon):
                used.update(p for p in (one.new, one.prior) if p >= 0)
                _places(words, one)
                found.append(one)
    seen = _seen_indices(words, used, lexicon)
    return sorted([*found, *seen], key=lambda target: target.place) if seen else found


def _respective(words: Words, target: Target, lexicon: Lexicon) -> list[Target]:
    """One target for each share of a list: "raises targets for A and B to HK$5 and HK$6 respectively"."""
    news = series(words, target.new)
    if len(news) < 2:
        return [target]
    names: tuple[Name, ...] = ()
    for k in range(max(target.verb, target.new - rw.REACH, 0), target.new - 1):
        is_lead = k == target.verb or (k > target.place and words.low[k] in ("for", "on", "of"))
        if is_lead and not names:
            names, _ = subjects_right(words, k + 1, target.new, lexicon)
            names = names if len(names) == len(news) else ()
    houses = target.actor.brokers
    if not names and len(houses) == len(news):
        # "A and B raised their targets on X to HK$5 and HK$6 respectively, from HK$4 and HK$5"
        olds = priors(words, target.prior, news)
        return [
            Target(target.place, target.verb, target.klass, target.actor._replace(brokers=(house,)), target.subject,
                   new, old)
            for house, new, old in zip(houses, news, olds, strict=True)
        ]  # fmt: skip
    if not names:
        return [target]
    olds = priors(words, target.prior, news)
    return [
        Target(target.place, target.verb, target.klass, target.actor, name, new, old)
        for name, new, old in zip(names, news, olds, strict=True)
    ]


_SEEN = frozenset(("sees", "see", "expects", "expect", "forecasts", "pegs", "puts"))
_REACHED = frozenset(("at", "reaching", "hitting", "touching"))


def _seen_indices(words: Words, used: set[int], lexicon: Lexicon) -> list[Target]:
    """Index targets that no word "target" names: "Citi sees Sensex at 35,000 by June"."""
    found: list[Target] = []
    if _SEEN.isdisjoint(words.low):
        return found
    for verb, low in enumerate(words.low):
        if low not in _SEEN or verb + 3 >= len(words):
            continue
        first = verb + 1
        while first < len(words) - 2 and words.kind[first] == DET:
            first += 1
        last = run_right(words, first, len(words)) if is_namelike(words, first) else first - 1
        if last < first or not INDEX.search(words.printed(first, last)):
            continue
        k = last + 1
        while k < len(words) - 1 and words.low[k] in ("index", "ending", "year", "end"):
            k += 1
        if k + 1 >= len(words) or words.low[k] not in _REACHED or words.kind[k + 1] != NUMBER or k + 1 in used:
            continue
        number = words.numbers[k + 1]
        actor = actor_left(words, verb, 0, lexicon)
        is_house = is_known(words, actor) or looks_like_broker(actor)
        if number.currency or number.kind not in COUNTS or number.value < 100 or not is_house:
            continue
        old = index_prior(words, k + 1)
        target = Target(verb, verb, rw.SET, actor, subject_name(words, first, last, lexicon), k + 1, old)
        _places(words, target)
        found.append(target)
    return found


def direction(klass: str, value: float | None, prior: float | None) -> tuple[str, bool]:
    """The RIXML word for a target change and whether verb and numbers disagree; numbers decide."""
    by_verb = _TARGET_ACTION[klass]
    if klass == rw.REMOVE or value is None or prior is None:
        return by_verb, False
    by_numbers = INCREASE if value > prior else DECREASE if value < prior else REITERATE
    return by_numbers, by_verb != by_numbers and by_verb != UPDATE


def _read(words: Words, t: int, used: set[int], lexicon: Lexicon) -> Target:
    verb = _verb_left(words, t)
    is_passive = False
    if verb < 0:
        verb = _verb_right(words, t)
        is_passive = verb >= 0
    klass = rw.VERBS[words.low[verb]][0] if verb >= 0 else ""
    new, prior = _numbers(words, t, verb if is_passive else -1, used)
    if klass == rw.REMOVE:
        new, prior = -1, prior if prior >= 0 else new
    if new >= 0 and klass != rw.REMOVE and is_kept(words, new):
        klass = rw.KEEP
    last = max(t, verb, new, prior)
    floor = _clause_start(words, verb if 0 <= verb < t else t)
    end = min(len(words), last + rw.REACH)
    limit = next((k for k in range(last + 1, end) if words.kind[k] in (BREAK, VERB, TARGET)), end)
    subject: Name | None = None
    if is_passive or verb < 0:
        actor = broker_right(words, t + 1, limit, lexicon, frozenset(("by", "at")))
        subject = _before(words, t, floor, lexicon) or _after(words, t, limit, lexicon)
        if verb < 0 and subject is not None and not actor.brokers and words.kind[subject.first] == BROKER:
            actor, subject = Actor((Name(subject.first, subject.last, subject.text, words.ids[subject.first]),)), None
    else:
        actor = actor_left(words, verb, floor, lexicon)
        if verb > floor and words.low[verb - 1] in ("a", "an", "the", "its", "with") and not actor.brokers:
            actor = Actor()
        subject = _between(words, verb, t, lexicon) or _after(words, t, limit, lexicon)
        if actor.brokers and not is_known(words, actor) and words.low[actor.brokers[-1].last + 1] == "(":
            # "X Ltd. (ABC) maintains outperform rating and $10 price target": the company stands where the house would
            name = actor.brokers[-1]
            actor, subject = Actor(), subject_name(words, name.first, name.last, lexicon)
        if not actor.brokers and not actor.is_anaphor:
            by = broker_right(words, t + 1, limit, lexicon, frozenset(("by", "at")))
            if is_known(words, by):
                actor = by
    if subject is not None and any(name.first == subject.first for name in actor.brokers):
        subject = None
    subject = subject or _implied(words, last, lexicon)
    return Target(t, verb, klass, actor, subject, new, prior)


def _implied(words: Words, last: int, lexicon: Lexicon) -> Name | None:
    """The company that a target speaks of: "… target of $25 implies X could rally"."""
    for k in range(last + 1, min(len(words) - 2, last + 10)):
        if words.kind[k] == BREAK:
            break
        if words.low[k] in _IMPLIES:
            first = k + 2 if words.low[k + 1] == "that" else k + 1
            end = run_right(words, first, len(words)) if words.text[words.start[first]].isupper() else first - 1
            if first <= end < len(words) - 1 and words.low[end + 1] in (
                "could",
                "would",
                "may",
                "might",
                "will",
                "can",
            ):
                return subject_name(words, first, end, lexicon)
            break
    return None


_IMPLIES = frozenset(("implies", "implying", "implied", "suggests", "suggesting", "means", "meaning", "indicates"))


def _places(words: Words, target: Target) -> None:
    places = [target.place]
    places += [p for p in (target.verb, target.new, target.prior) if p >= 0]
    if target.subject is not None:
        places += [target.subject.first, target.subject.last]
    for name in target.actor.brokers:
        places += [name.first, name.last]
    # a bracket that was opened belongs to it: "(from HK$65)"
    last = max(places)
    if last + 1 < len(words) and words.low[last + 1] == ")" and "(" in words.low[min(places) : last]:
        places.append(last + 1)
    target.places = places


def _clause_start(words: Words, place: int) -> int:
    k = place - 1
    while k >= 0 and words.kind[k] != BREAK and place - k < rw.REACH:
        k -= 1
    return k + 1


def _verb_left(words: Words, t: int) -> int:
    k = t
    while k > max(0, t - 14):
        k -= 1
        kind = words.kind[k]
        if words.low[k] == ")":
            while k > 0 and words.low[k] != "(":
                k -= 1
            continue
        if kind == VERB:
            if words.low[k] in ("has", "have", "had") and k + 1 < t and words.kind[k + 1] == VERB:
                continue
            return k
        low = words.low[k]
        if kind in (PREP, BREAK, TARGET) or low in (",", ":"):
            # "raised forecasts for and price target on" is rare; "price objective of" and names with "of" are not
            if low == "of" and k and is_namelike(words, k - 1):
                continue
            return -1
    return -1


def _verb_right(words: Words, t: int) -> int:
    k = t + 1
    count = len(words)
    while k < count and k - t < 14:
        kind, low = words.kind[k], words.low[k]
        if kind == VERB:
            is_state = low in ("stays", "remains", "stay", "staying")
            return k if is_state or rw.VERBS[low][1] in (rw.PAST, rw.ANY) else -1
        if low in ("on", "for", "of"):
            last = run_right(words, k + 1, count)
            while k + 1 < count and words.kind[k + 1] in (DET, ADV) and last <= k:
                k += 1
                last = run_right(words, k + 1, count)
            if last > k:
                k = last + 1
                continue
            return -1
        if kind == ADV or low in rw.BE or low in ("(", ")") or (words.kind[k - 1] == MARK and kind in (NAME, MARK)):
            k += 1
            continue
        return -1
    return -1


def _role(words: Words, n: int, t: int) -> str:
    """Role of the number at `n` after the target at `t`."""
    k = n - 1
    steps = 0
    while k > t and steps < 4:
        low, kind = words.low[k], words.kind[k]
        if low == "from":
            return "prior"
        if low in ("to", "of", "at", ":", "=", "is", "was", "as", "with"):
            if low == "as" and k - 1 > t and words.low[k - 1] in ("high", "low"):
                k -= 1
            return "new"
        if low in ("prev", "prev.", "previously", "prior", "previous", "vs", "versus", "old", "against"):
            return "prior"
        if low == "by":
            return "delta"
        if kind in (DET, ADV) or low in (
            "(",
            ".",
            "about",
            "around",
            "high",
            "nearly",
            "just",
            "now",
            "from",
            "almost",
        ):
            k -= 1
            steps += 1
            continue
        return "after_verb" if kind == VERB else ""
    return "new" if k == t else ""


def _numbers(words: Words, t: int, verb: int, used: set[int]) -> tuple[int, int]:
    """Places of the new and the prior number of the target at `t`."""
    new = prior = -1
    count = len(words)
    k = t + 1
    while k < count and k - t < 40:
        kind, low = words.kind[k], words.low[k]
        if kind in (BREAK, TARGET) or low in _STOP_WORDS or (low == "versus" and not is_told_before(words, k + 1)):
            break
        if kind == VERB and k != verb and rw.VERBS[low][0] not in (rw.SET, rw.RATE):
            break
        if low == "," and new >= 0 and (k + 1 >= count or words.low[k + 1] not in ("from", "to", "previously", "vs")):
            break
        if kind == NUMBER and k not in used:
            role = _role(words, k, t)
            if new >= 0 and words.low[k - 1] == "(" and k + 1 < count and words.low[k + 1] == ")":
                role = "prior"  # "PT to C$45 (C$40)"
            elif new >= 0 and (is_old(words, k, new) or is_told_before(words, k)):
                role = "prior"  # "PT $3.80 (was $2.60)", "at Rs 900 against Rs 740 earlier"
            if words.low[k + 1 : k + 2] == ["→"] and words.kind[k + 2 : k + 3] == [NUMBER] and new < 0:
                return k + 2, k  # "TP $58 → $64"
            if k == t + 1 and words.low[k + 1 : k + 2] == ["to"] and words.kind[k + 2 : k + 3] == [NUMBER]:
                role = "delta"  # "trims PT $1 to $44"
            if words.numbers[k].kind in (QuantityKind.PERCENT, QuantityKind.BASIS_POINT, QuantityKind.ORDINAL):
                role = ""
            if (role == "new" and new < 0) or (role == "after_verb" and new < 0):
                new = k
            elif role == "prior" and prior < 0:
                prior = k
            elif role == "delta":
                pass
            elif new >= 0:
                break
        if new >= 0 and prior >= 0:
            break
        k += 1
    if new < 0:
        # "$80.00 PT", "$10 per share price target"
        k = t - 1
        while k >= 0 and (words.kind[k] == DET or words.low[k] in ("per", "share", "a")):
            k -= 1
        if k >= 0 and words.kind[k] == NUMBER and k not in used and words.numbers[k].kind in COUNTS:
            new = k
    return new, prior


def _before(words: Words, t: int, floor: int, lexicon: Lexicon) -> Name | None:
    """The name right before the target: "X PT raised", "X (NYSE:ABC) price target raised"."""
    k = t - 1
    while k >= floor and (words.kind[k] == DET or words.low[k] in ("'s", "’s", "stock", "shares")):
        k -= 1
    if k >= floor and words.low[k] == ")":
        while k >= floor and words.low[k] != "(":
            k -= 1
        k -= 1
    if k < floor or not is_namelike(words, k):
        return None
    first = run_left(words, k, floor)
    if first - 2 >= floor and words.low[first - 1] == "(" and words.text[words.start[first]].isdigit():
        # "X Holdings (700 HK, TP HK$50)": the ticker stands in brackets after the name
        k = first - 2
        first = run_left(words, k, floor) if is_namelike(words, k) else k + 1
    return subject_name(words, first, k, lexicon) if first <= k else None


def _between(words: Words, verb: int, t: int, lexicon: Lexicon) -> Name | None:
    """The name between verb and target: "cuts Tencent TP", "raised its 12-month MSCI China target"."""
    for k in range(verb + 1, t):
        if is_namelike(words, k) and words.low[k] not in rw.MONTHS:
            last = run_right(words, k, t)
            return subject_name(words, k, max(last, k), lexicon)
    return None


def _after(words: Words, t: int, limit: int, lexicon: Lexicon) -> Name | None:
    """The name after 'on', 'for' or 'of': "PT on X", "PT to $66 on X"."""
    for k in range(t + 1, limit - 1):
        low = words.low[k]
        if words.kind[k] == BREAK or low in rw.OTHER_VERBS or (words.kind[k] == PREP and low not in _NEAR):
            break
        if low in ("on", "for", "of"):
            names, _ = subjects_right(words, k + 1, limit, lexicon)
            if names and words.low[names[0].first] not in rw.ADVERBS:
                return names[0]
    return None


_NEAR = frozenset(("to", "from", "at", "on", "for", "of", "by"))


def _is_meant(
    words: Words, target: Target, actions: list[Action], found: list[Target], has_ticker: bool, lexicon: Lexicon
) -> bool:
    """Whether it is a target of a share or an index set by a house."""
    if target.actor.is_agency or target.actor.is_crowd:
        return False
    if _CONSENSUS.intersection(words.low[max(0, target.place - 3) : target.place]):
        return False
    is_sure = words.low[target.place] == "sure"
    has_number = target.new >= 0 or target.prior >= 0
    has_actor = is_known(words, target.actor) or looks_like_broker(target.actor)
    if target.klass in (rw.UP, rw.DOWN, rw.RAISE, rw.LOWER, rw.KEEP, rw.REMOVE):
        is_plain = has_number or words.text[words.end[target.place] - 1] not in "sS" or not is_sure
    else:
        is_plain = has_number
    number = target.new if target.new >= 0 else target.prior
    if not is_plain or (has_number and words.numbers[number].scale > 1e5):
        return False  # no share costs millions: "fair value losses of HK$9.5 billion"
    if target.new >= 0 and target.new + 1 < len(words) and words.low[target.new + 1] in rw.OTHER_OBJECTS:
        return False
    if is_sure:
        if target.new >= 0 and not (actions or has_actor or target.klass or words.numbers[target.new].currency):
            return False
        is_nobody = target.klass == "" and not (actions or has_actor or target.actor.is_anaphor or found)
        if has_number and is_nobody and _is_signed(words, target, lexicon):
            return True
        if has_number and is_nobody and (words.text[words.end[target.place] - 1] in "sS" or _is_tip(words, lexicon)):
            return False
        if has_number:
            return True
        return has_actor or target.actor.is_anaphor or bool(actions) or (has_ticker and bool(target.actor.brokers))
    if not has_number:
        return bool(actions) and target.klass in (rw.RAISE, rw.LOWER) and target.verb >= target.place - 3
    is_index = target.subject is not None and INDEX.search(target.subject.text) is not None
    if words.printed(target.place, target.place).lower().startswith("forecast"):
        # everybody forecasts something; only an index is forecast like a target
        is_house = (
            has_actor or target.actor.is_anaphor or BROKER in words.kind[max(0, target.place - rw.REACH) : target.place]
        )
        return is_index and target.klass != "" and is_house
    if actions or found:
        return _is_beside(target, words)
    if is_index or _is_signed(words, target, lexicon):
        return True
    if any(
        words.low[k] in rw.OTHER_OBJECTS and not is_in_name(words, k, target.verb)
        for k in range(max(target.verb, 0), target.place)
    ):
        return False
    is_house_near = has_actor or BROKER in words.kind[max(0, target.place - rw.REACH) : target.place]
    if target.klass and is_house_near:
        index = _index_before(words, target.place, lexicon)
        if index is not None and words.numbers[target.new if target.new >= 0 else target.prior].currency == "":
            target.subject = index
            return True
    if words.numbers[number].kind is QuantityKind.MONEY and words.numbers[number].scale > 1:
        return False
    is_share = target.subject is not None and bool(target.subject.entity_id)
    is_clear = target.klass in _CLEAR and (is_house_near or (is_share and words.numbers[number].currency != ""))
    return is_clear or (has_actor and target.klass != "") or is_known(words, tail_actor(words, lexicon))


_CONSENSUS = frozenset(("median", "average", "mean", "consensus"))
_CLEAR = frozenset((rw.RAISE, rw.LOWER))


def _is_signed(words: Words, target: Target, lexicon: Lexicon) -> bool:
    """Whether a person or house signs the target at the end of the headline; it then gets its actor and subject."""
    number = target.new if target.new >= 0 else target.prior
    signed = signature(words, lexicon) if words.numbers[number].scale == 1 else None
    if signed is None or signed[1] < number or words.numbers[number].kind not in COUNTS:
        return False
    subject = target.subject or goal_subject(words, target.place, signed[1], lexicon)
    if subject is None or words.low[subject.first] in rw.OTHER_OBJECTS:
        return False
    target.actor, target.subject = signed[0], subject
    return True


def _is_tip(words: Words, lexicon: Lexicon) -> bool:
    """Whether a headline ends in a person's name: "Sell X with target price of Rs 570: Name Surname"."""
    k = next((k for k in range(len(words) - 1, 0, -1) if words.low[k] == ":"), None)
    if k is None or k + 1 >= len(words) or k < len(words) - 9:
        return False
    return is_namelike(words, k + 1) and not tail_actor(words, lexicon).brokers


def _index_before(words: Words, t: int, lexicon: Lexicon) -> Name | None:
    for k in range(t - 1, max(-1, t - rw.REACH), -1):
        if words.kind[k] == NAME and INDEX.search(words.printed(k, k)):
            first = run_left(words, k, 0)
            return subject_name(words, min(first, k), k, lexicon)
    return None


def _is_beside(target: Target, words: Words) -> bool:
    number = target.new if target.new >= 0 else target.prior
    return words.numbers[number].scale <= 1  # a penny is a hundredth


def money(words: Words, place: int, other: int) -> tuple[float, str, float]:
    """Value, ISO currency (``""`` = none printed) and tolerance of the number at `place`; `other` lends a currency."""
    quantity = words.numbers[place]
    value, tolerance, currency = quantity.value, quantity.tolerance, _currency(quantity)
    tail = words.text[quantity.end : words.end[place]].strip()
    if tail and quantity.kind is not QuantityKind.MONEY:
        # "80 cents" of whatever the other number is in
        is_pence = tail in ("p", "pence")
        value, tolerance = value / 100, tolerance / 100
        currency = "GBP" if is_pence else ""
        currency = currency or (_currency(words.numbers[other]) if other >= 0 else "") or "USD"
    if not currency and other >= 0:
        currency = _currency(words.numbers[other])
    return value, currency, tolerance


def _currency(quantity: Quantity) -> str:
    return "USD" if quantity.currency == "$" else quantity.currency
