"""The record of a number read in a sentence, and what a reader asks of its surroundings.

Belongs here: the record, and time, stance, period and base of a number. Does not belong here: pairing numbers with
verbs and subjects (`move_reader.py`), levels (`moves.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rally_pipeline.notes import numeric_words as words
from rally_pipeline.notes.clauses import MAX_PIECE, Clauses, Token, clauses
from rally_pipeline.notes.noun_phrases import Subject
from rally_pipeline.notes.records import Passage, Quantity, QuantityKind, WindowKind
from rally_pipeline.notes.stated_days import is_stated

_ON_YEAR: Final = words.word_set(
    """
    yoy y-o-y mom m-o-m wow qoq on-year on-month year-on-year month-on-month week-on-week
    """
)
_PERIOD_PHRASES: Final = {
    "week": "weekly",
    "month": "monthly",
    "quarter": "quarterly",
    "qtr": "quarterly",
    "year": "annual",
    "day": "daily",
}
_PERIOD_WORDS: Final = frozenset(
    {"weekly", "daily", "monthly", "annual", "yearly", "quarterly", "one-day", "single-day"}
)
_STREAK: Final = re.compile(
    r"\b(?:streak|rally|run|advance|slide|slump|rout|rebound|surge|sell-?off|decline|drop|gain|climb|fall|losing|winning)$",
    re.IGNORECASE,
)
_BASE_WORDS: Final = words.word_set(
    """
    high highs low lows peak peaks trough record ipo level levels earlier year bottom top price highest lowest offer
    issue listing
    """
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A number of a market report with what it says.

    Attributes:
        role: ``return`` (percent), ``change`` (points or money), ``level``.
        quantity: the number.
        subject: what it is about.
        sign: +1 up, -1 down, 0 unchanged or, for a level, not said.
        start, end: smallest stretch that says it.
        cue_start: where the verb or noun that says it begins.
        rule: which rule found it.
        at: index of the token of the number; -1 in Chinese.
        window_index: which of the passage's windows is its own time, -1 = none.
        clause_start, clause_end: the piece of the sentence it stands in.
        stance: ``asserts``, ``forecasts``, ``denies``.
        period: ``weekly``, ``daily`` … if such a word stands before the noun.
        has_base: whether it is counted from a point that is no time of the window grammar ("from its peak").
        tense: ``perfect`` ("has added"), ``present`` ("is up") or ``""``: such a move may run over a longer stretch.
        is_earlier: whether it stands in a clause about an earlier time ("after rising 2 percent").
        comparator_word: ``above``, ``below``, ``near`` before a level.
    """

    role: str
    quantity: Quantity
    subject: Subject
    sign: int
    start: int
    end: int
    cue_start: int
    rule: str
    at: int = -1
    piece: int = 0
    window_index: int = -1
    clause_start: int = 0
    clause_end: int = 0
    stance: str = "asserts"
    period: str = ""
    has_base: bool = False
    is_earlier: bool = False
    tense: str = ""
    comparator_word: str = ""


@dataclass(slots=True)
class Cue:
    """The word that says which way: index of its token, sign, kind of word, and first token of its noun phrase."""

    at: int
    sign: int
    form: str  # verb, adverb, noun, signed, list
    first: int = -1


class SentenceReader:
    """What both kinds of reader know of a sentence."""

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self.found: Clauses = clauses(passage)
        self.tokens = self.found.tokens
        self.piece = self.found.piece
        self.made: list[Reading] = []
        self.by_token: dict[int, Reading] = {}
        self.done: set[int] = set()
        self.is_rejected = False

    def _own_window(self, at: int) -> int:
        """Index of the token of the time that belongs to the number at `at`: after it, then before it in its piece."""
        tokens, here = self.tokens, self.piece[at]
        index = at + 1
        while index < min(len(tokens), at + MAX_PIECE) and self.piece[index] == here:
            token = tokens[index]
            if self._is_time_of_move(index):
                following = tokens[index + 1].low if index + 1 < len(tokens) else ""
                if following not in words.NOT_TRADED and following not in (
                    "report",
                    "data",
                    "financial",
                    "update",
                    "reports",
                ):
                    return index
            if token.low == "," and self._has_percent(index, here):
                break
            if token.kind == "qty" and token.quantity is not None and token.quantity.kind is QuantityKind.PERCENT:
                linked = any(one.low in ("or", "(") for one in tokens[at:index])
                if not linked:
                    break
            index += 1
        index = at - 1
        linked_back = (
            {one for one in range(max(0, at - 4), at) if tokens[one].kind == "qty"} if self._is_linked(at) else set()
        )
        while index >= max(0, at - MAX_PIECE) and self.piece[index] == here:
            token = tokens[index]
            if self._is_time_of_move(index):
                if tokens[index + 1].low in words.NOT_TRADED:
                    break
                return index
            if token.quantity is not None and token.quantity.kind is QuantityKind.PERCENT and index not in linked_back:
                break
            index -= 1
        # "13 percent from its January low" begins a new piece.
        if at + 2 < len(tokens) and tokens[at + 1].low in ("from", "below", "above", "off"):
            for index in range(at + 2, min(len(tokens), at + 8)):
                token = tokens[index]
                if token.kind == "win" and token.window is not None and token.window.kind.value.startswith("since"):
                    return index
        return -1

    def _is_time_of_move(self, index: int) -> bool:
        """Whether token `index` is a time over which something moves: no length of an extreme, no day it is counted
        from and none up to which the sentence speaks.
        """
        token = self.tokens[index]
        if token.kind != "win" or token.window is None or not is_stretch(token):
            return False
        if token.window.kind is WindowKind.TRAILING and self._is_streak(index):
            return False
        return not is_base_day(self.tokens, index, self.passage.text) and not is_stated(self.passage, token.window)

    def _is_streak(self, index: int) -> bool:
        """Whether a time is a run of days that is spoken of ("ending an eight-day winning streak"), and not the time of
        the move itself ("over a five-day rally", "a two-week slide of 9%").
        """
        window = self.tokens[index].window
        assert window is not None
        if _STREAK.search(self.passage.text, window.start, window.end) is None:
            return False
        if index + 1 < len(self.tokens) and self.tokens[index + 1].low == "of":
            return False
        before = [token.low for token in self.tokens[max(0, index - 3) : index]]
        while before and before[-1] in ("a", "an", "the", "its", "this", "their"):
            before.pop()
        return not before or before[-1] not in ("over", "in", "during", "through", "across")

    def _is_linked(self, at: int) -> bool:
        return any(token.low in ("or", "(") for token in self.tokens[max(0, at - 3) : at])

    def _has_percent(self, after: int, here: int) -> bool:
        """Whether a percent number with its own words follows a comma in the same piece."""
        index = after + 1
        while index < min(len(self.tokens), after + MAX_PIECE) and self.piece[index] == here:
            quantity = self.tokens[index].quantity
            if quantity is not None and quantity.kind is QuantityKind.PERCENT:
                return not any(token.low in ("or", "(") for token in self.tokens[after:index])
            index += 1
        return False

    def _window_index(self, at: int) -> int:
        index = self._own_window(at)
        if index < 0:
            return -1
        window = self.tokens[index].window
        return next(number for number, other in enumerate(self.passage.windows) if other is window)

    def _clause(self, at: int) -> tuple[int, int]:
        """Where the piece of token `at` begins and ends."""
        here = self.piece[at]
        first = last = at
        while first > 0 and self.piece[first - 1] == here and at - first < MAX_PIECE:
            first -= 1
        while last + 1 < len(self.tokens) and self.piece[last + 1] == here and last - at < MAX_PIECE:
            last += 1
        return self.tokens[first].start, self.tokens[last].end

    def _has_base(self, at: int) -> bool:
        tokens = self.tokens
        if at + 1 >= len(tokens) or tokens[at + 1].low not in ("from", "below", "above", "off", "versus"):
            return False
        return any(
            token.low in _BASE_WORDS or (token.kind == "win" and not is_stretch(token))
            for token in tokens[at + 2 : at + 9]
        )

    def _period(self, at: int) -> str:
        for index in range(max(0, at - 3), min(len(self.tokens), at + 4)):
            if self.tokens[index].low in _PERIOD_WORDS and self._is_period_of(index, at):
                return self.tokens[index].low
        # "up 0.5% on day, gains 0.4% on week"
        ahead = [token.low for token in self.tokens[at + 1 : at + 4]]
        if ahead and (ahead[0] in _ON_YEAR or (ahead[1:2] == ["on"] and ahead[:1] == ahead[2:3])):
            return "annual"
        if ahead and ahead[0] in ("on", "over", "for"):
            return _PERIOD_PHRASES.get(next((low for low in ahead[1:] if low not in ("the", "a")), ""), "")
        return ""

    def _is_period_of(self, index: int, at: int) -> bool:
        """Whether "weekly" or "quarterly" at token `index` is said of the move, and not of earnings or sales nearby."""
        following = self.tokens[index + 1] if index + 1 < len(self.tokens) else None
        is_move = following is not None and following.kind in ("noun", "move")
        if (
            following is None
            or (following.low in words.NOT_TRADED and not is_move)
            or following.low in ("report", "update", "call")
        ):
            return False
        between = self.tokens[at + 1 : index] if index > at else self.tokens[index + 1 : at]
        return not any(
            token.kind == "punct" or (token.low in words.BREAKS and token.low != "with") for token in between
        ) and (index < at or is_move or following.kind == "word")

    def _tense(self, cue: int) -> str:
        """Whether the verb at token `cue` is a perfect or a present state."""
        for token in reversed(self.tokens[max(0, cue - 4) : cue]):
            if token.low in ("has", "have", "’ve", "'ve"):
                return "perfect"
            if token.low in ("is", "are"):
                return "present"
            if token.kind not in ("word", "win", "be") or token.low in words.BREAKS:
                return ""
        return ""

    def _is_hypothetical(self, at: int) -> bool:
        head = self.found.heads[self.piece[at]]
        return head in ("if", "unless") or any(
            token.low in ("if", "unless", "assuming", "suppose", "whether")
            for token in self.tokens[max(0, at - 10) : at]
        )

    def _stance(self, first: int) -> str:
        tokens, here = self.tokens, self.piece[first]
        index = first - 1
        while index >= 0 and self.piece[index] == here and first - index < 9:
            token = tokens[index]
            low = token.low
            if low in ("set", "poised", "due"):
                if tokens[index + 1].low == "to":
                    return "forecasts"
            elif low in words.MODALS and token.kind != "sub":
                return "forecasts"
            elif low in words.DENIALS:
                return "denies"
            elif (low in (",", "and") and index < first - 1) or token.kind == "qty":
                break
            index -= 1
        return "asserts"


def can_be_noun(token: Token) -> bool:
    """Whether a move word can be a noun in its form: "a fall", but not "fell" or "falling"."""
    low = token.low
    if token.kind == "noun":
        return True
    if low in words.VERB_ONLY or low.endswith(("ed", "ing")):
        return False
    return low not in words.PAST_FORMS


def is_stretch(token: Token) -> bool:
    """Whether a token is a time over which something can rise, not the length of an extreme."""
    window = token.window
    return window is not None and window.kind.value not in ("lookback", "all_time")


def is_base_day(tokens: list[Token], index: int, text: str) -> bool:
    """Whether a day is the one a move is counted from: "up 0.2 percent from Tuesday"."""
    window = tokens[index].window
    if window is None or window.kind.value != "day":
        return False
    before = tokens[index - 1].low if index else ""
    return before in ("from", "than", "versus", "after") or text[window.start : window.end].lower().startswith(
        ("from ", "than ", "after ")
    )
