"""The noun phrase in front of a verb, lists of them, and the subject that holds on from the verb before.

Belongs here: reading backward from a verb. Does not belong here: judging a phrase (`noun_phrases.py`), or what it did
(`moves.py`).
"""

from __future__ import annotations

from typing import Final

from rally_pipeline.notes import numeric_words as words
from rally_pipeline.notes.clauses import Clauses, Token
from rally_pipeline.notes.labels import label_before
from rally_pipeline.notes.noun_phrases import INNER_PREPOSITIONS, NO_MEMBER, REJECT, Found, Reject, Subject, judge
from rally_pipeline.notes.records import Passage, QuantityKind
from rally_pipeline.notes.subjects import resolve_subject

#: A noun phrase is read over at most so many words.
MAX_PHRASE = 14
MAX_LIST = 8
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
        *("lifts", "lifted", "sends", "sent", "drives", "drags", "dragged", "boosts", "boosted", "pushes", "pushed"),
    }
)
_LEADING: Final = frozenset({"from", "into", "behind", "on", "against"})


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
    if 0 < first <= last and tokens[first].low in ("a", "an", "per") and _is_money(tokens[first - 1]):
        # "its jump to $5 a pound was": the words after a price say of how much of it.
        return None
    if 0 < first <= last and found.heads[here] in _LEADING and tokens[first - 1].low == found.heads[here]:
        # "imports from the United States rose": what follows "from" is no subject.
        return REJECT
    return _listed(found, last, here, passage)


def _is_money(token: Token) -> bool:
    return token.quantity is not None and token.quantity.kind is QuantityKind.MONEY


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
    if isinstance(outer, Reject) and tokens[opening - 1].low in words.INDEX_HEADS:
        # "the price index, the bank's preferred gauge, rose": a gauge of the economy, whatever stands between.
        return REJECT
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
        elif low == "," and subjects[0].is_name:
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
        if tokens[start].low in NO_MEMBER:
            break
        other = judge(tokens[start : index + 1], passage)
        if not isinstance(other, Subject) or not other.is_name:
            break
        if not has_and and any(token.low in ("the", "a", "an") for token in tokens[start + 1 : index]):
            # "Supporting the Dow, Acme rose"
            break
        if start and piece[start - 1] == here and _governs(tokens[start - 1], has_and=has_and):
            break
        if not has_and and not (judged.is_name and start + 3 >= index):
            break
        subjects.insert(0, other)
        index = start - 1
    return subjects


def _governs(before: Token, *, has_and: bool) -> bool:
    """Whether the word before a supposed first name of a list makes it an object: "supporting the Dow, Acme rose"."""
    if before.low.endswith("ing") and before.kind != "sub":
        return True
    return not has_and and before.kind not in ("punct", "win", "qty") and before.low not in words.BREAKS


_PREDICATES: Final = frozenset({"move", "close", "open", "trade", "either", "be", "light", "adv", "flat"})


_HOURS: Final = frozenset(
    {
        "early",
        "late",
        "morning",
        "afternoon",
        "premarket",
        "pre-market",
        "after-hours",
        "intraday",
        "midday",
        "in",
        "of",
    }
    | {"thin", "heavy", "active", "light", "volatile", "choppy", "quiet", "friday", "monday", "overnight", "extended"}
)


def _is_noun_there(tokens: list[Token], index: int) -> bool:
    """Whether a move word stands in a noun phrase: "its fifth straight weekly gain"."""
    if tokens[index].low.endswith("ed") or tokens[index].low in words.PAST_FORMS:
        return False
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
            if token.low == "trading" and index and tokens[index - 1].low in _HOURS:
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
            token.low in _STOP_WORDS or (token.low in words.BREAKS and token.low not in INNER_PREPOSITIONS)
        ):
            break
        index -= 1
    return index + 1
