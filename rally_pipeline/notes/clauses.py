"""A sentence as a row of tokens: names, numbers, times and classed words; and the pieces it falls into.

Belongs here: tokens of an English sentence, the pieces (clauses) between words that break it, and the clauses of a
Chinese one. Does not belong here: what a piece means (`moves.py`, `extremes.py`, `flows.py`).

Every grammar of numbers reads the same tokens, so those of the last sentence are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rally_pipeline.notes import numeric_words as words
from rally_pipeline.notes.records import Mention, MentionKind, Passage, Quantity, QuantityKind, Window

_TOKEN: Final = re.compile(
    r"(?P<word>[A-Za-zÀ-ÿ][\wÀ-ÿ&/-]*(?:(?:\.|['’](?!s\b))(?=\w)[\wÀ-ÿ&/-]*)*)"
    r"|(?P<poss>['’]s(?!\w)|(?<=s)['’](?=\s))"
    r"|(?P<punct> {2,}|[,;:()\[\]|\n!?\"“”–—-]|\.(?=\s|$))"
)
_ABBREVIATION: Final = re.compile(
    r"(?:Inc|Corp|Co|Ltd|Plc|St|No|Mr|Ms|Dr|vs|Dec|Jan|Feb|Aug|Sept|Oct|Nov|[A-Z])$", re.IGNORECASE
)
_CHINESE_BREAK: Final = re.compile(r"[，,。；;！？!?\n：:]")

#: Kinds of mention that a move or level can be about or that stand in its way.
_NAMES: Final = frozenset(
    {MentionKind.INSTRUMENT, MentionKind.BROKER, MentionKind.PERSON, MentionKind.FLOW, MentionKind.INVESTORS}
    | {MentionKind.RATING_AGENCY}
)


def _classes() -> dict[str, tuple[str, int]]:
    made: dict[str, tuple[str, int]] = {}
    for names, kind, sign in (
        (words.LIGHT_VERBS, "light", 0),
        (words.EITHER_MOVES, "either", 0),
        (words.TRADE_VERBS, "trade", 0),
        (words.CLOSE_VERBS, "close", 0),
        (words.OPEN_VERBS, "open", 0),
        (words.BE_WORDS, "be", 0),
        (words.UP_MOVES - words.EITHER_MOVES, "move", 1),
        (words.DOWN_MOVES, "move", -1),
        (words.UP_NOUNS, "noun", 1),
        (words.DOWN_NOUNS, "noun", -1),
        (words.FLAT_WORDS, "flat", 0),
        (words.UP_ADVERBS, "adv", 1),
        (words.DOWN_ADVERBS, "adv", -1),
    ):
        for name in names:
            made[name] = (kind, sign)
    # Also the name of a company's kind or of a thing, and hardly ever a move of its own.
    for name in ("firm", "firms", "track", "tracks", "charge", "win", "head", "run", "runs", "growth", "strength"):
        made.pop(name, None)
    made["return"] = made["returns"] = ("noun", 1)
    made["returned"] = ("move", 1)
    made["trading"] = made["trades"] = made["trade"] = made["traded"] = ("trade", 0)
    return made


_CLASS: Final = _classes()


class Token:
    """A word, mark, name, number or time. `kind`: ``sub qty win word cap poss punct`` or the class of a word: ``move
    either noun adv flat close open trade light be``; `sign` +1 or -1 where the word tells the direction.
    """

    __slots__ = ("end", "kind", "low", "mention", "quantity", "sign", "start", "window")

    def __init__(self, start: int, end: int, kind: str, low: str = "", sign: int = 0) -> None:
        self.start = start
        self.end = end
        self.kind = kind
        self.low = low
        self.sign = sign
        self.mention: Mention | None = None
        self.quantity: Quantity | None = None
        self.window: Window | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} {self.low}>"


@dataclass(frozen=True, slots=True)
class Clauses:
    """The tokens of a sentence and, for each, the number of the piece in which it stands.

    Attributes:
        tokens: in order of `start`.
        piece: for each token the number of its piece; a piece begins with the word that breaks.
        heads: for each piece the word that began it, ``""`` for the first.
    """

    tokens: list[Token]
    piece: list[int]
    heads: list[str]


#: A piece is looked at over at most so many words to either side: longer ones are no language.
MAX_PIECE: Final = 60

_PLACES: Final = words.word_set(
    """
    above below over under near around past beyond to at
    """
)

_last: tuple[Passage, Clauses] | None = None


def clauses(passage: Passage) -> Clauses:
    """The tokens and pieces of an English sentence. Kept for the grammars that follow on the same passage."""
    global _last
    kept = _last
    if kept is not None and kept[0] is passage:
        return kept[1]
    tokens = _tokens(passage)
    made = Clauses(tokens, *_pieces(tokens))
    _last = (passage, made)
    return made


def _spans(passage: Passage) -> list[tuple[int, int, Token]]:
    """Numbers, names and times that do not overlap: numbers with a unit win, then names, then times, then numbers."""
    candidates: list[tuple[int, int, int, Token]] = []
    for quantity in passage.quantities:
        # The softening words belong to the number, except those that also say where a level stands.
        begin = quantity.start if quantity.hedge.lower() in _PLACES else max(passage.start, quantity.hedge_start)
        token = Token(begin, quantity.end, "qty")
        token.quantity = quantity
        is_bare = quantity.kind in (QuantityKind.NUMBER, QuantityKind.ORDINAL)
        candidates.append((3 if is_bare else 0, begin, quantity.end, token))
    for mention in passage.mentions:
        if mention.kind in _NAMES:
            token = Token(mention.start, mention.end, "sub", mention.text)
            token.mention = mention
            candidates.append((1, mention.start, mention.end, token))
    for window in passage.windows:
        token = Token(window.start, window.end, "win")
        token.window = window
        candidates.append((2, window.start, window.end, token))
    candidates.sort(key=lambda one: (one[1], one[0]))
    kept: list[tuple[int, int, int, Token]] = []
    for one in candidates:
        while kept and one[1] < kept[-1][2] and one[0] < kept[-1][0]:
            kept.pop()
        if not kept or one[1] >= kept[-1][2]:
            kept.append(one)
    return [(start, end, token) for _, start, end, token in kept]


def _tokens(passage: Passage) -> list[Token]:
    text, position = passage.text, passage.start
    made: list[Token] = []
    for start, end, token in _spans(passage):
        if start < position:
            continue
        _words(text, position, start, made)
        made.append(token)
        position = end
    _words(text, position, passage.end, made)
    return made


def _words(text: str, start: int, end: int, made: list[Token]) -> None:
    append, classes = made.append, _CLASS
    # Two blanks part a label from its text where they stand once; in justified text they mean nothing.
    is_label = text.count("  ", start, end) == 1 and len(made) <= 2
    for match in _TOKEN.finditer(text, start, end):
        word = match.group()
        begin, final = match.span()
        first = word[0]
        if first.isalpha():
            low = word.lower()
            known = classes.get(low)
            if known is not None:
                append(Token(begin, final, known[0], low, known[1]))
            else:
                append(Token(begin, final, "cap" if first.isupper() else "word", low))
        elif first in "'’":
            append(Token(begin, final, "poss", word))
        else:
            if first == " " and not is_label:
                continue
            if first == "." and made and made[-1].end == begin:
                before = text[made[-1].start : begin]
                if len(before) <= 4 and _ABBREVIATION.match(before):
                    continue
            append(Token(begin, final, "punct", word))


_HARD_MARKS: Final = frozenset(";:|\n!?.–—")
#: "on" breaks only before a reason ("on hopes"), "from", "with", "before" not before a time or number.
_REASONS: Final = words.word_set(
    """
    back heels news prospect prospects hope hopes report announcement move
    """
)
_BASES: Final = words.word_set(
    """
    weekly monthly daily yearly annual quarterly day week month net closing
    """
)
_MAYBE: Final = words.word_set(
    """
    on from with as than against behind ahead so even due into
    """
)


def _pieces(tokens: list[Token]) -> tuple[list[int], list[str]]:
    piece: list[int] = []
    heads = [""]
    number = 0
    size = len(tokens)
    for at, token in enumerate(tokens):
        if token.kind == "punct" and token.low in _HARD_MARKS:
            number += 1
            heads.append(token.low)
        elif token.kind in ("word", "cap", "light") and token.low in words.BREAKS:
            following = tokens[at + 1] if at + 1 < size else None
            is_break = True
            if (
                token.low == "as" and following is not None and following.low in ("much", "many", "high", "low", "of")
            ) or (token.low == "than" and at and tokens[at - 1].low in ("more", "less", "fewer", "higher", "lower")):
                is_break = False
            elif token.low == "even":
                is_break = following is not None and following.low in ("as", "though", "if", "after")
            elif token.low in _MAYBE and following is not None and following.kind in ("win", "qty"):
                is_break = token.low in ("with", "against", "than")
            elif token.low == "on":
                # "on Friday", "on the day", "on track" stay with what stands before.
                beyond = tokens[at + 2].low if at + 2 < size else ""
                is_break = following is not None and (
                    following.low not in ("the", "track", "course", "a", "an", "its")
                    or (following.low == "the" and beyond in _REASONS)
                    or (following.low in ("a", "an") and beyond not in _BASES)
                )
            if is_break:
                number += 1
                heads.append(token.low)
        piece.append(number)
    return piece, heads


def chinese_clauses(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The clauses of a Chinese sentence: between commas, stops and colons; a comma inside a number does not count.

    Args:
        text: the whole text.
        start, end: the sentence in it.
    """
    made: list[tuple[int, int]] = []
    begin = start
    for match in _CHINESE_BREAK.finditer(text, start, end):
        at = match.start()
        if match.group() == "," and start < at < end - 1 and text[at - 1].isdigit() and text[at + 1].isdigit():
            continue
        if at > begin:
            made.append((begin, at))
        begin = match.end()
    if begin < end:
        made.append((begin, end))
    return made
