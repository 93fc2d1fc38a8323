"""Scores the claims found in a sentence against labels; pure, like `scoring.py`.

Belongs here: claims and their windows. Does not belong here: ratings and quantities (`scoring.py`), reading labels.

A claim belongs to the label of its type whose words it touches and whose number it states; where a label allows several
types or words, any of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from rally_pipeline_tests.eval.sameness import (
    GENERIC_SUBJECT,
    BrokerId,
    Span,
    is_generic,
    name_words,
    overlaps,
    plain,
    same_broker,
    same_name,
    same_number,
)
from rally_pipeline_tests.eval.scoring import Score, pair, show

#: Types whose value has a direction; a level of 40,000 reached by a fall is not negative.
_SIGNED = frozenset({"performance", "flow", "flow_comparison"})
#: Types that are found by what they say, not by the words of a number: one of a type in a sentence is the one meant.
_STATEMENTS = frozenset({"positioning", "retail", "hot_money", "sentiment", "policy", "event", "flow_comparison"})
_MIRRORED = {"at_least": "at_most", "at_most": "at_least"}


@dataclass(frozen=True)
class GoldWindow:
    """A labelled window: where its words stand, its kind and, as far as the text fixes them, its dates.

    Attributes:
        spans: allowed spans of the words; not scored but used to find the claim it belongs to.
        kinds: allowed kinds; empty = any.
        start: earliest and latest first day, exact.
        start_within: earliest and latest first day must lie between these (a fuzzy "mid-January").
        day: the one day of a ``day`` window.
        last: allowed last days.
        months, days: length; compared in days with 30.44 days to the month.
    """

    spans: tuple[Span, ...] = ()
    kinds: tuple[str, ...] = ()
    start: tuple[dt.date, dt.date] | None = None
    start_within: tuple[dt.date, dt.date] | None = None
    day: dt.date | None = None
    last: tuple[dt.date, ...] = ()
    months: int | None = None
    days: int | None = None


@dataclass(frozen=True)
class FoundWindow:
    """An extracted window, see ``records.Window``."""

    span: Span
    kind: str
    start_earliest: dt.date | None = None
    start_latest: dt.date | None = None
    last: dt.date | None = None
    months: int | None = None
    days: int | None = None
    is_inherited: bool = False


def same_window(gold: GoldWindow, found: FoundWindow | None, as_of: dt.date | None) -> bool:
    """Whether a window is of an allowed kind with the labelled dates or length. A day may instead be the claim's own
    as-of day, with no window beside it.
    """
    if found is None:
        return gold.day is not None and gold.day == as_of
    if gold.kinds and found.kind not in gold.kinds:
        return False
    if gold.day is not None:
        return gold.day in (found.start_earliest, found.last) or (gold.day == as_of and found.start_earliest is None)
    if gold.start is not None and (found.start_earliest, found.start_latest) != gold.start:
        return False
    if gold.start_within is not None:
        if found.start_earliest is None or found.start_latest is None:
            return False
        if not gold.start_within[0] <= found.start_earliest <= found.start_latest <= gold.start_within[1]:
            return False
    if gold.last and found.last not in gold.last:
        return False
    if gold.months is not None or gold.days is not None:
        length = (gold.months or 0) * 30.44 + (gold.days or 0)
        return abs((found.months or 0) * 30.44 + (found.days or 0) - length) <= 2.0
    return True


@dataclass(frozen=True)
class GoldClaim:
    """A labelled claim. Fields that are None or empty are not scored, except `value` and `window`.

    Attributes:
        types: allowed claim types.
        subjects, subject_spans: allowed words for the subject; ``""`` among the words = it may be left out.
        value, unit: signed number (falls and outflows are negative) and unit.
        comparators, direction, as_of: see ``records.Claim``.
        source_kind: ``broker``, ``speaker``, ``none`` (newspaper or nobody), or ``""`` = not scored.
        source_names: allowed names.
        anchors: spans of the words that belong to the claim: subject, number, window.
    """

    types: tuple[str, ...]
    subjects: tuple[str, ...] = ()
    value: float | None = None
    unit: str = ""
    direction: str = ""
    comparators: tuple[str, ...] = ()
    as_of: dt.date | None = None
    window: GoldWindow | None = None
    source_kind: str = ""
    source_names: tuple[str, ...] = ()
    anchors: tuple[Span, ...] = ()
    is_optional: bool = False


@dataclass(frozen=True)
class FoundClaim:
    """An extracted claim, reduced to what is scored."""

    span: Span
    type: str
    subject: str = ""
    value: float | None = None
    unit: str = ""
    direction: str = ""
    comparator: str = ""
    as_of: dt.date | None = None
    window: FoundWindow | None = None
    source_kind: str = ""
    source_name: str = ""

    @property
    def signed(self) -> float | None:
        """The value of a move or flow with the sign of its direction, whichever way the extractor states it."""
        if self.value is None or self.value < 0 or self.direction != "down" or self.type not in _SIGNED:
            return self.value
        return -self.value

    @property
    def bound(self) -> str:
        """The comparator as said of the size: a fall of more than 10 % may be stated as at most -10."""
        if self.value is not None and self.value < 0:
            return _MIRRORED.get(self.comparator, self.comparator)
        return self.comparator


_UNITS = {"percent": "pct", "%": "pct", "percentage_point": "pp", "percentage_points": "pp", "USD": "$"}


def _same_unit(one: str, other: str) -> bool:
    return _UNITS.get(one, one) == _UNITS.get(other, other)


def _same_subject(claim: GoldClaim, found: str) -> bool:
    if not found or is_generic(found, GENERIC_SUBJECT):
        # "the stock" is right where the label is as generic, or leaves the subject out.
        return "" in claim.subjects or any(is_generic(answer, GENERIC_SUBJECT) for answer in claim.subjects if found)
    words = set(name_words(found))
    return any(
        same_name(answer, found) or set(name_words(answer)) <= words or plain(answer) in plain(found)
        for answer in claim.subjects
        if answer
    )


def _claim_likeness(gold: GoldClaim, found: FoundClaim) -> float:
    if found.type not in gold.types:
        return 0.0
    same_value = same_number(gold.value, found.signed)
    if gold.value is not None and found.value is not None and not same_value:
        # Another number is another claim, unless only sign, scale or unit went wrong.
        same_size = found.value and gold.value and same_number(abs(gold.value), abs(found.value))
        if not same_size:
            return 0.0
    touches = (
        not gold.anchors or found.type in _STATEMENTS or any(overlaps(found.span, anchor) for anchor in gold.anchors)
    )
    if not touches:
        return 0.0
    return (
        1.0
        + 2 * same_value
        + 2 * _same_subject(gold, found.subject)
        + 0.5 * (_same_unit(gold.unit, found.unit))
        + (0.5 if gold.comparators and found.bound in gold.comparators else 0.0)
    )


#: Fields of a claim that are scored, beside its being found at all (``claim``).
CLAIM_FIELDS = ("claim_subject", "value", "unit", "direction", "comparator", "window", "as_of", "source")


def score_claims(
    id_: str, gold: Sequence[GoldClaim], found: Sequence[FoundClaim], ignore: Sequence[Span], broker_id: BrokerId
) -> Score:
    """Scores the claims of one sentence.

    A finding that no label matches is wrong, unless at least half of it lies in an `ignore` span, or it is a move of a
    price without a number, which the rules leave open.
    """
    score = Score()
    # ``records["window"]``: labelled windows of claims that were found.
    pairs = pair(len(gold), len(found), lambda g, f: _claim_likeness(gold[g], found[f]))
    right = True
    for g, f in pairs:
        if gold[g].is_optional:
            continue
        kind = " | ".join(gold[g].types)
        score.add(id_, "claim", (kind,), found[f].type, is_right=True)
        score.records["claim_" + gold[g].types[0]] += 1
        score.records["claim_" + gold[g].types[0] + "_right"] += 1
        for name, answers, value, is_right in _claim_judged(gold[g], found[f], broker_id):
            right &= score.add(id_, name, answers, value, is_right)
            if name == "window" and gold[g].window is not None:
                score.records["window"] += 1
                score.records["window_right"] += is_right
    for g in sorted(set(range(len(gold))) - {g for g, _ in pairs}):
        if gold[g].is_optional:
            continue
        right = False
        score.add(
            id_,
            "claim",
            (f"{gold[g].types[0]} {'/'.join(gold[g].subjects)} {show(gold[g].value)}",),
            "",
            is_right=False,
        )
        score.records["claim_" + gold[g].types[0]] += 1
        if gold[g].window is not None:
            score.add(id_, "window", (_window(gold[g].window),), "", is_right=False)
    for f in sorted(set(range(len(found))) - {f for _, f in pairs}):
        if _is_left_open(found[f], ignore):
            continue
        right = False
        score.add(id_, "claim", ("",), f"{found[f].type} {found[f].subject} {show(found[f].signed)}", is_right=False)
    score.records["sentence"] += 1
    score.records["sentence_right"] += right
    return score


def _is_left_open(claim: FoundClaim, ignore: Sequence[Span]) -> bool:
    if claim.type == "performance" and claim.value is None:
        return True
    covered = sum(max(0, min(claim.span[1], end) - max(claim.span[0], start)) for start, end in ignore)
    return 2 * covered >= claim.span[1] - claim.span[0]


def _window(window: GoldWindow | FoundWindow | None) -> str:
    if window is None:
        return ""
    kind = "/".join(window.kinds) if isinstance(window, GoldWindow) else window.kind
    parts: list[object] = [kind or "any"]
    if isinstance(window, GoldWindow):
        parts += [*(window.start or ()), *(window.start_within or ()), window.day, *window.last]
    else:
        parts += [window.start_earliest, window.start_latest, window.last]
    parts += [window.months and f"{window.months}m", window.days and f"{window.days}d"]
    return " ".join(str(part) for part in parts if part)


def _claim_judged(
    gold: GoldClaim, found: FoundClaim, broker_id: BrokerId
) -> list[tuple[str, Sequence[object], object, bool]]:
    judged: list[tuple[str, Sequence[object], object, bool]] = []
    if gold.subjects:
        judged.append(("claim_subject", gold.subjects, found.subject, _same_subject(gold, found.subject)))
    if gold.value is not None:
        judged.append(("value", (gold.value,), found.signed, same_number(gold.value, found.signed)))
        if gold.unit:
            judged.append(("unit", (gold.unit,), found.unit, _same_unit(gold.unit, found.unit)))
    if gold.direction and gold.types[0] in ("performance", "flow", "positioning", "retail", "hot_money", "sentiment"):
        judged.append(("direction", (gold.direction,), found.direction, gold.direction == found.direction))
    if gold.comparators:
        judged.append(("comparator", gold.comparators, found.bound, found.bound in gold.comparators))
    if gold.window is not None:
        is_right = same_window(gold.window, found.window, found.as_of)
        judged.append(
            (
                "window",
                (_window(gold.window),),
                _window(found.window) or (is_right and str(found.as_of)) or "",
                is_right,
            )
        )
    elif found.window is not None and found.window.kind != "day" and not found.window.is_inherited:
        judged.append(("window", ("",), _window(found.window), False))
    if gold.as_of is not None:
        judged.append(("as_of", (gold.as_of,), found.as_of, gold.as_of == found.as_of))
    if gold.source_kind:
        kind = "" if found.source_kind in ("unattributed", "newspaper", "") else found.source_kind
        expected = "" if gold.source_kind == "none" else gold.source_kind
        is_right = kind == expected and (
            not expected or any(same_broker(name, found.source_name, broker_id) for name in gold.source_names)
        )
        shown = expected and f"{expected} {'/'.join(gold.source_names)}"
        judged.append(("source", (shown,), kind and f"{kind} {found.source_name}", is_right))
    return judged
