"""Cuts an English sentence into the words the rating grammar works on.

Belongs here: words with their class (verb, rating, target, number, broker, name, preposition, mark) and simple
questions about runs of them. Does not belong here: who rates what (`ratings.py`, `targets.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from rally_pipeline.notes import rating_numbers
from rally_pipeline.notes import rating_words as rw
from rally_pipeline.notes.records import Comparator, MentionKind, Passage, Quantity, QuantityKind

#: Classes of words.
VERB, RATING, TARGET, NUMBER, BROKER, AGENCY, NAME, PREP, DET, ADV, WORD, MARK, BREAK = "VRTNBGCPDAwmb"

_WORD = re.compile(
    r"[^\S\n]*(?:"
    r"(?P<word>[^\W\d_][^\W_]*(?:(?:&(?=\w)|[’'.\-‑](?=[^\W_])|/(?=[^\W\d_]))[^\W_]*)*"
    r"(?:\.(?=,|\s[a-z(\-–])|(?<=\b[A-Z])\.)?)|"
    r"(?P<digits>\d[\w,.]*(?:-[^\W\d_][\w-]*)*)|"
    r"(?P<arrow>[→➔➜⇒]|[-=]{1,2}>)|(?P<quote>[‘’'\"“”`\ufeff]+)|(?P<lines>\n\s*)|(?P<mark>.))"
)
_PLAIN_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:(?=p\b)|(?![\w%％]))")
_WIRE_PREFIX = re.compile(
    r"\s*(?:BRIEF|BUZZ|RPT|REFILE|CORRECTED|EXCLUSIVE|RESEARCH ALERT|(?:UPDATE|WRAPUP) \d)\s?[-–]\s?"
)
#: "Whirlpool  Shares of …": a heading that has lost the dash after it.
_LOST_DASH = re.compile(
    r"(?:[A-Z&][\w&.'’]*(?: (?=[A-Z&])|(?=[ \u00a0]{2}))){1,6}(?=[ \u00a0]{2,3}(?P<next>[A-Z][\w-]*|an? ))"
)
_CENTS = re.compile(r"\s?(?:cents?|c|¢|p|pence)(?![\w])")
#: The retailer, which is not a target.
_TARGET_CORP = re.compile(
    r"Target(?:[’']s)?(?=(?: shares| stock| Corp| [-–—]| (?:to|from|at) (?:an? )?(?:strong )?"
    r"(?:buy|sell|hold|neutral|over|under|equal|market|outp|in.line|sector|peer|perform|reduce|positive)))",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Words:
    """The words of one sentence as parallel lists; an index into them is called a place.

    Attributes:
        text: the whole canonical text.
        start, end: spans of the words in it.
        low: the words in small letters, possessive kept.
        kind: their classes.
        numbers: for places of class NUMBER the quantity.
        ids: for places of class BROKER the broker's catalog id, of class NAME the instrument's, if known.
    """

    text: str
    start: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    low: list[str] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    numbers: dict[int, Quantity] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.start)

    def printed(self, first: int, last: int) -> str:
        """The text from the word at `first` to the word at `last`, both included."""
        return self.text[self.start[first] : self.end[last]]

    def is_gap_plain(self, left: int, right: int) -> bool:
        """Whether only blanks stand between two neighbouring words."""
        return not self.text[self.end[left] : self.start[right]].strip()


def _fallback(text: str, start: int, end: int) -> Quantity:
    printed = text[start:end].replace(",", "")
    decimals = len(printed.partition(".")[2])
    return Quantity(
        start=start,
        end=end,
        value=float(printed),
        kind=QuantityKind.NUMBER,
        currency="",
        scale=1.0,
        tolerance=0.5 * 10.0**-decimals,
        hedge="",
        hedge_start=start,
        comparator=Comparator.EQ,
    )


def cut(passage: Passage) -> Words:
    """The words of a passage. Quotation marks are left out; names, ratings, targets and numbers are one word each."""
    text, stop = passage.text, passage.end
    numbers: dict[int, Quantity] = {}
    ids: dict[int, str] = {}
    rows: list[tuple[int, int, str, str]] = []
    add, match = rows.append, _WORD.match
    known = _known(passage)
    label_code = ""  # of "Price target (HK$) 71.00"
    position = passage.start
    prefix = _WIRE_PREFIX.match(text, position, stop)
    if prefix is not None:
        add((position, prefix.end(), "-", BREAK))
        position = prefix.end()
    is_loose = text.find("  ", position, stop) >= 0 or not text.isascii()
    heading = _LOST_DASH.match(text, position, stop) if is_loose else None
    # before a verb it is only a blank too many: "Citi  Downgrades X"
    gap = heading.end() if heading and heading["next"].lower() not in rw.VERBS else -1
    while position < stop:
        if position == gap:
            add((position, position + 1, "-", BREAK))
        found = match(text, position, stop)
        if found is None:  # blanks at the end
            break
        group = found.lastgroup or ""
        begin, after = found.span(group)
        special = known.get(begin)
        if special is None and group == "word" and text[begin] in "YBPT" and text[after - 1].isdigit():
            glued = rating_numbers.signed(text, begin, stop)
            special = (glued.end, NUMBER, glued) if glued else None
        if special is not None:
            position, kind, what = special
            if kind == NUMBER:
                if isinstance(what, Quantity) and label_code and not what.currency:
                    what = replace(what, currency=label_code, kind=QuantityKind.MONEY)
                numbers[len(rows)] = what  # type: ignore[assignment]
                add((begin, position, "", NUMBER))
            else:
                ids[len(rows)] = what  # type: ignore[assignment]
                add((begin, position, text[begin:position].lower(), kind))
            continue
        position = after
        if group == "word":
            low = text[begin:position].lower()
            if low[-1] == ".":
                low = low.rstrip(".")
            head = low.replace("‑", "-").partition("-")[0] if "-" in low or "‑" in low else low
            if head in _FIRST:
                row = _phrase(text, begin, position, stop, head, low, rows)
                if row is not None:
                    add(row)
                    position = row[1]
                    unit = rating_numbers.LABEL_UNIT.match(text, position, stop) if row[3] == TARGET else None
                    if unit is not None:
                        position, label_code = unit.end(), rating_numbers.label_code(unit)
                    continue
            if low[-1].isdigit() and _MONTH_YEAR.match(low):
                add((begin, position, low, DET))  # "our Dec-26 price target"
                continue
            klass = _KINDS.get(low)
            if text[begin].isupper():
                add((begin, position, low, NAME if klass is None or low in _NAMES_TOO else klass))
            else:
                add((begin, position, low, WORD if klass is None else klass))
        elif group == "mark":
            mark = text[begin]
            if mark in "\x96\x97":  # the dashes of Windows-1252 in a text read as Latin-1
                mark = "–"
            is_dash = mark in "-–—" and (begin == passage.start or text[begin - 1].isspace() or text[begin - 1] == mark)
            add((begin, position, mark, BREAK if is_dash or mark in ";•|" else MARK))
        elif group == "lines":
            add((begin, position, "\n", BREAK))
        elif group == "arrow":
            add((begin, position, "→", MARK))
        elif group == "digits":
            if _is_grade_number(text, begin, position, stop, rows):
                add((begin, position, text[begin:position], RATING))
                continue
            plain = _PLAIN_NUMBER.match(text, begin, position)
            if plain is not None and text[plain.end() : position] in ("", ".", ",", "p"):
                numbers[len(rows)] = _fallback(text, begin, plain.end())
                cents = _CENTS.match(text, plain.end(), stop)
                position = cents.end() if cents else plain.end()
                add((begin, position, "", NUMBER))
            else:
                low = text[begin:position].lower()
                add((begin, position, low, DET if low in rw.DETERMINERS else NAME))
    if not rows:
        return Words(text)
    starts, ends, lows, kinds = map(list, zip(*rows, strict=True))
    if "falls" in lows:
        # "Juniper Falls Brewing": a place, for what falls does not fall a name
        for k in range(1, len(lows) - 1):
            if lows[k] == "falls" and text[starts[k]] == "F" and kinds[k - 1] == NAME == kinds[k + 1]:
                kinds[k] = NAME
    words = Words(text, starts, ends, lows, kinds, numbers, ids)
    if numbers and "(" in lows:
        rating_numbers.lend_units(words)
    return words


_MONTH_YEAR = re.compile(r"(?:jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec)[a-z]{0,6}[-‑](?:20)?\d\d\Z")
_QUOTES = "‘’'\"“”"
_GRADE_LEADS = frozenset(("at", "to", "from", "of", "as"))
_MOVES = (rw.UP, rw.DOWN, rw.RAISE, rw.LOWER, rw.MOVE, rw.KEEP, rw.INIT)


def _is_grade_number(text: str, begin: int, end: int, stop: int, rows: list[tuple[int, int, str, str]]) -> bool:
    """Whether a number in quotes is a rating, as houses of Tokyo give them: 'keeps rating at "1"'."""
    if end - begin != 1 or text[begin] not in "12345" or end >= stop or text[end] not in _QUOTES:
        return False
    if text[begin - 1] not in _QUOTES or not rows or rows[-1][2] not in _GRADE_LEADS:
        return False
    near = rows[-10:]
    is_house = any(row[3] == BROKER for row in near) and any(rw.VERBS.get(row[2], ("",))[0] in _MOVES for row in near)
    return is_house or any(row[2] in ("rating", "ratings") for row in near)


def _known(passage: Passage) -> dict[int, tuple[int, str, Quantity | str]]:
    """What the layers before have found: by start its end, class, and quantity or catalog id."""
    text, stop = passage.text, passage.end
    known: dict[int, tuple[int, str, Quantity | str]] = {}
    for mention in passage.mentions:
        kind, entity, end = NAME, mention.entity_id, mention.end
        if mention.kind is MentionKind.BROKER:
            kind = AGENCY if mention.text in ("S&P", "Moody's", "Moody’s", "Fitch") else BROKER
        elif mention.kind is MentionKind.RATING_AGENCY:
            kind = AGENCY
        elif mention.kind is not MentionKind.INSTRUMENT:
            continue
        else:
            broker = next((also[7:] for also in mention.also if also.startswith("broker:")), None)
            if broker is not None:
                kind, entity = BROKER, broker
        if text[end : end + 2] in ("'s", "’s") and end + 2 <= stop:
            end += 2
        if end <= stop:
            known[mention.start] = (end, kind, entity)
    for quantity in passage.quantities:
        if quantity.end <= stop:
            quantity = rating_numbers.mended(text, quantity, stop)
            cents = None if quantity.kind is QuantityKind.MONEY else _CENTS.match(text, quantity.end, stop)
            known[quantity.start] = (cents.end() if cents else quantity.end, NUMBER, quantity)
    return known


def _phrase(
    text: str, begin: int, end: int, stop: int, head: str, low: str, rows: list[tuple[int, int, str, str]]
) -> tuple[int, int, str, str] | None:
    """The rating, target or agency that begins at `begin`, as a row."""
    if low in rw.PLAIN_RATINGS and end - begin == len(low) and text[end : min(end + 1, stop)] != "_":
        return (begin, end, low, RATING) if _is_rating(text[begin:end], rows) else None
    if head in rw.RATING_FIRST:
        hit = rw.RATING.match(text, begin, stop)
        if hit is not None and hit.end() >= end and _is_rating(hit.group(), rows):
            return begin, hit.end(), hit.group().lower(), RATING
    if head in rw.TARGET_FIRST and not _TARGET_CORP.match(text, begin, stop):
        hit = rw.TARGET.match(text, begin, stop)
        if hit is not None and (head not in rw.CAPITAL_TARGETS or text[begin : begin + 2].isupper()):
            return begin, hit.end(), hit.lastgroup or "", TARGET
    if low in rw.AGENCY_FIRST:
        hit = rw.AGENCY.match(text, begin, stop)
        if hit is not None and hit.end() >= end - 2:
            return begin, hit.end(), hit.group().lower(), AGENCY
    return None


_FIRST = rw.RATING_FIRST | rw.TARGET_FIRST | rw.AGENCY_FIRST


def _is_rating(printed: str, rows: list[tuple[int, int, str, str]]) -> bool:
    low = printed.lower()
    if low in rw.CAPITAL_RATINGS and not printed.isupper():
        return False
    # "Best Buy" is a retailer.
    return not (low == "buy" and rows and rows[-1][2] == "best")


#: Class of each function word; the later ones win.
_KINDS: dict[str, str] = (
    dict.fromkeys(rw.ALWAYS_WORDS, WORD)
    | dict.fromkeys(rw.ADVERBS, ADV)
    | dict.fromkeys(rw.DETERMINERS, DET)
    | dict.fromkeys(rw.PREPOSITIONS, PREP)
    | dict.fromkeys(rw.VERBS, VERB)
)
_NAMES_TOO = rw.DETERMINERS_IN_NAMES | rw.ADVERBS_IN_NAMES | rw.VERBS_IN_NAMES
