"""Scores what an extractor found against labels: pure functions on plain records, no files and no extractor.

Belongs here: which finding belongs to which label, and the arithmetic of precision
and recall; headlines and quantities. Does not belong here: claims of sentences (`claim_scoring.py`), reading labels
(`gold.py`), running an extractor (`running.py`), printing.

A label may allow several answers. A field is then right if the finding is any of them; ``""`` among them means that
finding nothing is right as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rally_pipeline_tests.eval.sameness import (
    GENERIC_HOUSE,
    GENERIC_SUBJECT,
    BrokerId,
    Span,
    is_generic,
    overlaps,
    same_broker,
    same_currency,
    same_name,
    same_number,
    same_rating,
)


@dataclass
class Tally:
    """Counts of right findings, wrong or superfluous ones, and labels not found."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else float("nan")

    @property
    def recall(self) -> float:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where there was neither a label nor a finding."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else float("nan")


@dataclass(frozen=True)
class Miss:
    """One disagreement: the id of the text, the field, what the label allows and what was found."""

    id: str
    field: str
    expected: str
    found: str


@dataclass
class Score:
    """Tallies per field, whole records right of how many, confusion of actions, and every disagreement."""

    fields: dict[str, Tally] = field(default_factory=dict)
    records: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    misses: list[Miss] = field(default_factory=list)

    def add(self, id_: str, name: str, expected: Sequence[object], found: object, is_right: bool) -> bool:
        """Counts one field; `expected` = allowed answers, empty ones are ``""`` or None. Returns `is_right`."""
        tally = self.fields.setdefault(name, Tally())
        has_found = found not in ("", None)
        must_find = all(answer not in ("", None) for answer in expected)
        if is_right:
            tally.tp += has_found
            return True
        tally.fp += has_found
        tally.fn += must_find
        self.misses.append(Miss(id_, name, " | ".join(show(answer) for answer in expected), show(found)))
        return False

    def merge(self, other: Score) -> None:
        """Adds the counts of another score to this one."""
        for name, tally in other.fields.items():
            self.fields[name] = self.fields.get(name, Tally()) + tally
        self.records.update(other.records)
        self.confusion.update(other.confusion)
        self.misses += other.misses

    def micro(self, names: Iterable[str] | None = None) -> Tally:
        """Sum of the tallies of some fields (default: all)."""
        chosen = self.fields if names is None else [name for name in names if name in self.fields]
        return sum((self.fields[name] for name in chosen), Tally())

    def share(self, what: str) -> float:
        """Whole records right: ``records[what + "_right"] / records[what]``."""
        return self.records[what + "_right"] / self.records[what] if self.records[what] else float("nan")


def show(value: object) -> str:
    return "-" if value in ("", None) else f"{value:.12g}" if isinstance(value, float) else str(value)


# --- headlines -------------------------------------------------------------------------------------------------------

ACTION_FIELDS = (
    *("broker", "subject", "rating_action", "rating", "rating_prior"),
    *("target_action", "target", "target_prior", "currency"),
)


@dataclass(frozen=True)
class GoldAction:
    """A labelled action; every text field holds the allowed answers (none = nothing may be found).

    `subject` empty = the text does not name the company, then whatever words stand for it are right.
    """

    broker: tuple[str, ...] = ()
    subject: tuple[str, ...] = ()
    rating_action: tuple[str, ...] = ("",)
    rating: tuple[str, ...] = ()
    rating_prior: tuple[str, ...] = ()
    target_action: tuple[str, ...] = ("",)
    target: float | None = None
    target_prior: tuple[float | None, ...] = (None,)
    currency: str = ""


@dataclass(frozen=True)
class FoundAction:
    """An extracted action, in the same words; ``""`` and None = not found."""

    broker: str = ""
    subject: str = ""
    rating_action: str = ""
    rating: str = ""
    rating_prior: str = ""
    target_action: str = ""
    target: float | None = None
    target_prior: float | None = None
    currency: str = ""


def _judged(
    gold: GoldAction, found: FoundAction, broker_id: BrokerId
) -> list[tuple[str, Sequence[object], object, bool]]:
    """Field by field: name, allowed answers, finding, right or not. Fields that are not scored are left out."""
    broker = "" if is_generic(found.broker, GENERIC_HOUSE) else found.broker
    judged: list[tuple[str, Sequence[object], object, bool]] = [
        (
            "broker",
            gold.broker or ("",),
            broker,
            any(
                same_broker(answer, broker, broker_id) if answer and broker else answer == broker
                for answer in gold.broker or ("",)
            ),
        )
    ]
    # Without a name in the text the words that stand for the company may be given or left out: not scored.
    if gold.subject:
        right = any(
            same_name(answer, found.subject) if answer and found.subject else answer == found.subject
            for answer in gold.subject
        )
        may_be_empty = "" in gold.subject and is_generic(found.subject, GENERIC_SUBJECT)
        judged.append(("subject", gold.subject, found.subject, right or may_be_empty))
    judged.append(("rating_action", gold.rating_action, found.rating_action, found.rating_action in gold.rating_action))
    for name in ("rating", "rating_prior"):
        answers: tuple[str, ...] = getattr(gold, name) or ("",)
        text: str = getattr(found, name)
        judged.append((name, answers, text, any(same_rating(answer, text) for answer in answers)))
    judged.append(("target_action", gold.target_action, found.target_action, found.target_action in gold.target_action))
    unit = 100.0 if gold.currency == "GBX" and found.currency == "GBP" else 1.0  # pence said in pounds
    target = found.target and found.target * unit
    judged.append(("target", (gold.target,), found.target, same_number(gold.target, target)))
    prior_is_right = any(same_number(answer, found.target_prior) for answer in gold.target_prior)
    judged.append(("target_prior", gold.target_prior, found.target_prior, prior_is_right))
    if gold.currency:
        judged.append(("currency", (gold.currency,), found.currency, same_currency(gold.currency, found.currency)))
    return judged


def _agreement(gold: GoldAction, found: FoundAction, broker_id: BrokerId) -> float:
    weight = {"subject": 3.0, "broker": 2.0, "target": 2.0}
    return sum(
        weight.get(name, 1.0)
        for name, _, value, right in _judged(gold, found, broker_id)
        if right and value not in ("", None)
    )


def pair(size_gold: int, size_found: int, likeness: Callable[[int, int], float]) -> list[tuple[int, int]]:
    """One-to-one pairs of labels and findings, most alike first; pairs with likeness 0 are none."""
    ranked = sorted(((likeness(g, f), -g, -f) for g in range(size_gold) for f in range(size_found)), reverse=True)
    taken_gold: set[int] = set()
    taken_found: set[int] = set()
    pairs = []
    for alike, minus_g, minus_f in ranked:
        g, f = -minus_g, -minus_f
        if alike > 0 and g not in taken_gold and f not in taken_found:
            taken_gold.add(g)
            taken_found.add(f)
            pairs.append((g, f))
    return sorted(pairs)


def score_headline(
    id_: str, is_rating: bool | None, gold: Sequence[GoldAction], found: Sequence[FoundAction], broker_id: BrokerId
) -> Score:
    """Scores one headline. `is_rating` None = the rules leave it open: nothing is counted."""
    score = Score()
    if is_rating is None:
        return score
    right = score.add(id_, "is_rating", ("yes" if is_rating else "",), "yes" if found else "", is_rating == bool(found))
    pairs = pair(len(gold), len(found), lambda g, f: _agreement(gold[g], found[f], broker_id))
    nothing = FoundAction()
    for g, f in pairs:
        for name, answers, value, is_right in _judged(gold[g], found[f], broker_id):
            right &= score.add(id_, name, answers, value, is_right)
        # An action that a label leaves open is shown under the answer that was given.
        expected = gold[g].rating_action
        given = found[f].rating_action
        score.confusion[(given if given in expected else expected[0], given)] += 1
    for g in sorted(set(range(len(gold))) - {g for g, _ in pairs}):
        right = False
        for name, answers, value, is_right in _judged(gold[g], nothing, broker_id):
            score.add(id_, name, answers, value, is_right)
        score.confusion[(gold[g].rating_action[0], "(not found)")] += 1
    for f in sorted(set(range(len(found))) - {f for _, f in pairs}):
        right = False
        for name in ACTION_FIELDS:
            if getattr(found[f], name) not in ("", None):
                score.add(id_, name, ("",), getattr(found[f], name), is_right=False)
        score.confusion[("(no action)", found[f].rating_action)] += 1
    score.records["headline"] += 1
    score.records["headline_right"] += right
    if is_rating:
        score.records["rating"] += 1
        score.records["rating_right"] += right
    return score


# --- sentences -------------------------------------------------------------------------------------------------------

#: Kinds that have a unit; bare numbers and ordinals are not labelled.
UNIT_KINDS = frozenset({"percent", "percentage_point", "basis_point", "money", "points", "shares", "multiple"})


@dataclass(frozen=True)
class Amount:
    """A number with its unit, labelled or found."""

    span: Span
    value: float
    kind: str
    currency: str = ""
    is_optional: bool = False


def score_quantities(id_: str, gold: Sequence[Amount], found: Sequence[Amount]) -> Score:
    """Right = same span, value, kind and currency (field ``quantity``); ``quantity_value`` forgives the span."""
    score = Score()
    found = [amount for amount in found if amount.kind in UNIT_KINDS]

    def same(g: Amount, f: Amount) -> bool:
        return same_number(g.value, f.value) and g.kind == f.kind and same_currency(g.currency, f.currency)

    pairs = pair(
        len(gold),
        len(found),
        lambda g, f: (
            0.0
            if not overlaps(gold[g].span, found[f].span)
            else 1 + 2 * (gold[g].span == found[f].span) + same(gold[g], found[f])
        ),
    )
    for g, f in pairs:
        if gold[g].is_optional:
            continue
        is_same = same(gold[g], found[f])
        expected, given = _amount(gold[g]), _amount(found[f])
        score.add(id_, "quantity", (expected,), given, is_same and gold[g].span == found[f].span)
        score.add(id_, "quantity_value", (expected,), given, is_same)
    for g in set(range(len(gold))) - {g for g, _ in pairs}:
        if not gold[g].is_optional:
            score.add(id_, "quantity", (_amount(gold[g]),), "", is_right=False)
            score.add(id_, "quantity_value", (_amount(gold[g]),), "", is_right=False)
    open_ = [amount.span for amount in gold if amount.is_optional]
    for f in set(range(len(found))) - {f for _, f in pairs}:
        if not any(overlaps(found[f].span, span) for span in open_):
            score.add(id_, "quantity", ("",), _amount(found[f]), is_right=False)
            score.add(id_, "quantity_value", ("",), _amount(found[f]), is_right=False)
    return score


def _amount(amount: Amount) -> str:
    return f"{amount.value:.12g} {amount.currency or amount.kind} @{amount.span[0]}-{amount.span[1]}"


def worst(misses: Sequence[Miss], names: Sequence[str]) -> dict[str, list[Miss]]:
    """Misses by field, fields with most first, in the order they came."""
    groups: dict[str, list[Miss]] = {}
    for miss in misses:
        if miss.field in names:
            groups.setdefault(miss.field, []).append(miss)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))
