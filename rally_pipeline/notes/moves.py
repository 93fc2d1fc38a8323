"""Moves and levels of an English sentence: the walk over its numbers, and levels.

Belongs here: reading levels and the entry for both. Does not belong here: moves (`move_reader.py`), the claims made of
readings (`performance.py`, `levels.py`), Chinese (`moves_zh.py`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from rally_pipeline.notes import numeric_words as words
from rally_pipeline.notes.clauses import clauses
from rally_pipeline.notes.move_parts import Cue, Reading, is_base_day
from rally_pipeline.notes.move_reader import MoveReader
from rally_pipeline.notes.noun_phrases import Found, Subject, judge
from rally_pipeline.notes.records import MentionKind, Passage, Quantity, QuantityKind, Window
from rally_pipeline.notes.subject_phrases import inherited, phrase_start

_LEVEL_PREPOSITIONS: Final = words.word_set(
    """
    to at above below around near past over under @ beyond through
    """
)
_LEVEL_VERBS: Final = words.word_set(
    """
    hit hits hitting touched touch touching reached reach reaching breached crossed topped topping tops reclaimed
    surpassed crossing breaking broke fetching taps tapped
    """
)
_LABELLED: Final = frozenset({"index", "composite", "average", "shares", "stock"})
_PASSED: Final = words.word_set(
    """
    topped topping tops crossed crossing reclaimed surpassed breached broke breaking
    """
)
_LEVEL_CUES: Final = words.word_set(
    """
    move close open trade adv flat either be noun
    """
)
_AFTER_LEVEL: Final = words.word_set(
    """
    and as on in after while with by from for at but following amid before versus despite or respectively when per
    against during since apiece each early late level mark ahead within led although though thanks over a an to
    where which so intraday midday today yesterday overnight even having because that points
    """
)
_NOT_LEVEL_BEFORE: Final = words.word_set(
    """
    target targets objective estimate estimates forecast forecasts pt tp valuation value dividend eps revenue sales
    profit earnings coupon yield fine deal offer capital cap capitalization capitalisation worth
    """
)

#: Of a sentence at most so many numbers are read: more stand only in tables without line ends and in hostile input.
MAX_NUMBERS: Final = 60

_last: tuple[Passage, list[Reading]] | None = None


def readings(passage: Passage) -> list[Reading]:
    """All moves and levels of an English sentence, in order. Kept for the grammar that follows on the same passage."""
    global _last
    kept = _last
    if kept is not None and kept[0] is passage:
        return kept[1]
    made = _Reader(passage).read()
    _last = (passage, made)
    return made


class _Reader(MoveReader):
    """One walk over the numbers of a sentence."""

    def read(self) -> list[Reading]:
        numbers = 0
        for at, token in enumerate(self.tokens):
            if token.kind != "qty" or at in self.done:
                continue
            numbers += 1
            if numbers > MAX_NUMBERS:
                break
            quantity = token.quantity
            assert quantity is not None
            if quantity.kind is QuantityKind.PERCENT:
                self._change(at, "return")
            elif quantity.kind is QuantityKind.POINTS:
                self._level(at) or self._change(at, "change")
            elif quantity.kind is QuantityKind.NUMBER:
                self._level(at)
            elif quantity.kind is QuantityKind.MONEY and quantity.scale == 1:
                self._level(at) or self._change(at, "change")
        return self.made

    def _level(self, at: int) -> bool:
        tokens = self.tokens
        token = tokens[at]
        quantity = token.quantity
        assert quantity is not None
        if not self._can_be_level(at, quantity):
            return False
        before = tokens[at - 1] if at else None
        index = at - 1
        while before is not None and before.low in ("around", "about", "nearly", "just", "the", "a") and index > 0:
            index -= 1
            before = tokens[index]
        if before is None:
            return False
        comparator = before.low if before.low in ("above", "below", "near", "around", "past", "over", "under") else ""
        if before.low in ("at", "to") and index + 1 < at and tokens[at - 1].low in ("around", "near", "about"):
            comparator = "near"
        is_listed = False
        if before.low in _PASSED:
            comparator = "above"
        if before.low in _LEVEL_VERBS or (before.kind == "be" and quantity.kind is QuantityKind.POINTS):
            cue = index
        elif before.low in _LEVEL_PREPOSITIONS:
            own = self._elliptic_level(index)
            if own is not None:
                self._add_level(at, own, 0, own.start, "elliptic", comparator)
                return True
            cue = self._level_cue(index)
            if cue < 0 and before.low == "at":
                beside = self._beside(index)
                if beside is not None and (
                    beside[0].symbol or beside[0].asset or beside[0].text.lower().endswith("index")
                ):
                    self._add_level(at, beside[0], 0, beside[0].start, "label", comparator)
                    return True
            if comparator and cue >= 0 and tokens[index - 1].kind == "qty":
                return False
        elif before.low in (":", ",", "and") and (reading := self._listed_level(index)) is not None:
            cue, is_listed = reading, True
        elif before.low == ":":
            beside = self._beside(index)
            if beside is None or not (
                beside[0].symbol or beside[0].text.split()[-1].lower() in _LABELLED or self._is_mention(beside[0])
            ):
                return False
            self._add_level(at, beside[0], 0, beside[0].start, "label", "")
            return True
        else:
            return False
        if cue < 0:
            return False
        found = self._subject_of_level(at, cue)
        if not isinstance(found, list) or not found:
            return False
        if self._is_hypothetical(cue):
            return False
        if any(one.low in _NOT_LEVEL_BEFORE for one in tokens[max(0, cue - 2) : at]):
            return False
        if self._stance(min(cue, at)) == "forecasts":
            return False
        sign = next((one.sign for one in reversed(self.made) if one.piece == self.piece[at]), 0) or tokens[cue].sign
        if len(found) > 1:
            number = sum(1 for one in self.made if one.role == "level" and one.piece == self.piece[at])
            if number >= len(found) or not (self._says_respectively() or is_listed or self._more_levels(at)):
                return False
            found = [found[number]]
        subject = found[0]
        if quantity.kind is QuantityKind.MONEY and (subject.symbol.startswith("^") or subject.is_proxy):
            return False
        self._add_level(at, subject, sign, tokens[cue].start, tokens[cue].kind, comparator)
        return True

    def _add_level(self, at: int, subject: Subject, sign: int, cue_start: int, kind: str, comparator: str) -> None:
        self._add(at, "level", subject, sign, cue_start, f"level_{kind}")
        made = replace(self.made[-1], comparator_word=comparator)
        self.made[-1] = made
        self.by_token[at] = made

    def _is_mention(self, subject: Subject) -> bool:
        return any(
            mention.start == subject.start and mention.kind is MentionKind.INSTRUMENT
            for mention in self.passage.mentions
        )

    def _more_levels(self, at: int) -> bool:
        index = at + 1
        while index < len(self.tokens) and index - at < 6:
            if self.tokens[index].low == "and":
                return True
            index += 1
        return False

    def _listed_level(self, mark: int) -> int | None:
        """As in "closing at 76,330 (-1.4%) and 23,085": the verb of the level before in the same list."""
        if not self._says_respectively():
            return None
        previous = next((one for one in reversed(self.made) if one.role == "level"), None)
        if previous is None or previous.piece != self.piece[mark]:
            return None
        return next((at for at, token in enumerate(self.tokens) if token.start == previous.cue_start), None)

    def _elliptic_level(self, before: int) -> Subject | None:
        """As in "Tencent closed at HK$520 and Alibaba at HK$124": the name directly before "at" in a list of levels."""
        if self.tokens[before].low != "at" or not before or self.tokens[before - 1].kind not in ("sub", "cap"):
            return None
        if not any(one.role == "level" for one in self.made):
            return None
        start = phrase_start(self.found, before - 1, self.piece[before - 1])
        if start and self.tokens[start - 1].low not in (",", "and", "while", ";", "but", "with"):
            return None
        judged = judge(self.tokens[start:before], self.passage)
        return judged if isinstance(judged, Subject) and judged.is_name else None

    def _level_cue(self, before: int) -> int:
        """The verb that a "to" or "at" belongs to; -1 if none stands before it in the piece."""
        tokens = self.tokens
        index = before - 1
        here = self.piece[before]
        while index >= 0 and self.piece[index] == here and before - index < 24:
            kind = tokens[index].kind
            if kind in _LEVEL_CUES:
                return index
            if kind == "qty" and index in self.by_token and self.by_token[index].role != "level":
                start = self.by_token[index].cue_start
                return next((at for at in range(index, -1, -1) if tokens[at].start <= start), -1)
            index -= 1
        return -1

    def _subject_of_level(self, at: int, cue: int) -> Found:
        here = self.piece[at]
        between = [one for one in self.made if one.piece == here and one.at >= 0]
        if between:
            subjects: list[Subject] = []
            for one in between:
                if one.subject not in subjects:
                    subjects.append(one.subject)
            # The last move named, unless the verb of the level has a subject of its own after it.
            last = between[-1]
            if cue <= last.at or self.tokens[cue].start <= last.cue_start:
                return [last.subject] if last.rule != "verb_list" else subjects
        kind = self.tokens[cue].kind
        found = self._subject_of_verb(Cue(cue, 0, "adverb" if kind in ("adv", "flat") else "verb"), cue)
        if found is None and between:
            return [between[-1].subject]
        return inherited(self.found, self.passage, cue) if found is None else found

    def _can_be_level(self, at: int, quantity: Quantity) -> bool:
        if quantity.value <= 0:
            return False
        if quantity.kind is QuantityKind.NUMBER:
            printed = self.passage.text[quantity.start : quantity.end]
            if quantity.scale != 1 or (quantity.value < 100 and "." not in printed):
                return False
            if len(printed) == 4 and printed.isdigit() and 1900 <= quantity.value <= 2100:
                return False
            following = self.tokens[at + 1] if at + 1 < len(self.tokens) else None
            if following is not None and following.kind in ("word", "cap") and following.low not in _AFTER_LEVEL:
                return False
        return True


def is_aside(passage: Passage, window: Window) -> bool:
    """Whether a time is not that of a move in its sentence.

    It stands in a clause about something earlier ("after the bank reported on Monday"), is a day moves are counted
    from, or tells which figures of a company are meant ("first-quarter revenue").
    """
    found = clauses(passage)
    tokens = found.tokens
    for at, token in enumerate(tokens):
        if token.window is window:
            following = tokens[at + 1].low if at + 1 < len(tokens) else ""
            return (
                found.heads[found.piece[at]] in words.EARLIER_BREAKS
                or following in words.NOT_TRADED
                or is_base_day(tokens, at, passage.text)
            )
    return False


def is_of_market(passage: Passage, window: Window) -> bool:
    """Whether a time stands in a clause that says how something traded: "markets gained over the week, with the …"."""
    if passage.is_chinese:
        return False
    found = clauses(passage)
    at = next((index for index, token in enumerate(found.tokens) if token.window is window), -1)
    if at < 0:
        return False
    here = found.piece[at]
    following = found.tokens[at + 1].low if at + 1 < len(found.tokens) else ""
    if following in words.NOT_TRADED:
        return False
    return any(
        piece == here and token.kind in ("move", "close", "adv", "trade")
        for token, piece in zip(found.tokens, found.piece, strict=True)
    )
