"""Where the sentences of a note begin and end, which of them are headings, and which are Chinese.

Belongs here: lines, paragraphs, list items, table rows, sentence ends in English and Chinese. Does not belong here:
what a sentence says.

A text is first cut into blocks: a heading, a list item, a table row (it holds a tab or begins with ``|``) and a
paragraph are one block each. A line break inside a paragraph that was wrapped at a width is soft: the next line
continues the block if it begins in lower case, or if the line before is long and does not end a sentence. A block
is then cut into sentences. Marks before a block (``#``, ``-``, ``•``, ``1)``) and blanks around a sentence are in no
sentence; everything else is in exactly one.
"""

from __future__ import annotations

import re

from rally_pipeline.notes.word_sets import words

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CJK_LETTERS = re.compile(f"[{_CJK}]")
_LATIN_LETTERS = re.compile("[A-Za-z]")

# Where a sentence may end. A full stop, ! or ? counts before white space (or the end); the Chinese marks always.
# It begins with a set of characters, which makes the search for it fast. A run of marks is tried once, from its first.
_CANDIDATE = re.compile(
    r"[.!?…。！？；](?:(?<=[.!?…])(?<![.!?…].)[.!?…]*+[\"'”’)\]»]{0,3}(?=\s|$)|(?<=[。！？；])[。！？；]*[”’」』）)\"]{0,3}"
    r"|(?<=[.!?])[”\"]?(?=[A-Z][a-z]{0,9} ))"
)
_WORD_BEFORE = re.compile(r"[^\s(\[\"“‘「/—–-]{1,16}\Z")
_AFTER = re.compile(r"[\s\"'“‘「『(\[*]{0,6}")
_LOWER_WORD = re.compile(r"[a-z](?<![\w'’-].)[a-z]{3}")
_NEXT_WORD = re.compile(r"[^\W\d_]+(?:['’][a-z]+)?")

# These never end a sentence.
_TITLES = words(
    "mr mrs ms dr prof st gen sen rep gov rev hon messrs mt ft vs v cf e.g i.e eg ie viz approx est avg incl "
    "excl fig figs prev"
    " eq vol pp ed eds op al resp max min ca c adj ann nos ph tel dept assn bros col lt sgt capt"
)
# These may: it depends on the next word.
_MAYBE = words(
    "inc corp co ltd plc llc jr sr cos bhd intl u.s u.k u.n e.u u.s.a a.m p.m etc a.d b.c d.c l.p n.v s.a a.g s.p.a ex"
    " jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun no st. h.k p.r.c"
)
_MONTHS = words("jan feb mar apr jun jul aug sep sept oct nov dec")
# Words with which a sentence is much likelier to begin than a name that follows an abbreviation.
_STARTERS = words(
    "The A An It Its In On At As But And Or For From With Without This That These Those There They Their He She "
    "His Her We"
    " Our You I If While When Where Although Though However Meanwhile Shares Stocks Analysts Investors Analyst Investor"
    " Also After Before Since During Despite Earlier Later Last Now Not No So Some Such Still Then Today To Under Until"
    " What Which Who Why How Yet Both Each Many More Most Other Overall Separately Elsewhere According By Over All Any"
    " Another Because Here Just Like Moreover Nevertheless Once One Only Our Revenue Sales Profit Trading Traders"
    " Benchmark Markets Gold Oil Two Three Four Five"
)
_BULLET = re.compile(
    r"[ \t\u00a0\u3000]*(?:(?:#{1,6}|[-*+•·●▪■◆►‣–—>○◦])[ \t\u00a0]+|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)、](?=[ "
    r"\t\u00a0\u3000])"
    r"[ \t\u00a0\u3000]*(?!\d{1,3}\s?%)|[（(]?[一二三四五六七八九十]{1,2}[)）、]\s?|[•●▪■◆►‣])"
)
_FINAL = re.compile(r"[.!?。！？；;:：…][\"'”’)\]」』）]*\Z")
_BLANKS = " \t\r\f\v\u00a0\u3000\u2009\u202f\ufeff\u200b"
_LONGEST_HEADING = 140
_WRAPPED = 45  # a line of a wrapped paragraph is hardly shorter (Chinese: half of it)

_UNIT_AFTER = re.compile(
    r"[ \u00a0](\d{1,3})(?!\d)(?:\s?(?:%|％)|[\s-]?(?:per\s?cent|pct|basis|bps?|billion|million|trillion|thousand"
    r"|bn|mn|tn|mln"
    r"|bln|times|cents|points?|pts|x|[BMKT])\b)",
    re.IGNORECASE,
)
_MONEY_BEFORE = re.compile(r"[$€£¥￥＄₹]\s?\d{1,6}(?:,\d{3}){0,4}\Z")
_NUMBER_BEFORE = re.compile(r"(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,6})\Z")
_CENTS_AFTER = re.compile(
    r"[ \u00a0](?:\d\d(?!\d)(?=[,;)/]|\.\s|\s+(?:in|per|a|an|on|versus|vs|from|compared|and|to|for|of|by|at"
    r"|or|that|which"
    r"|but|as|after|when|while|with|excluding|was|is|are|were|price|target|PT)\b)|\d{1,2}\.?\s*\Z)"
)


def is_split_decimal(text: str, dot: int) -> bool:
    """Whether the full stop at `dot` is the decimal point of a number broken by a blank: ``4. 2%``, ``$1. 67 in``."""
    if dot == 0 or not text[dot - 1].isdigit() or text[dot + 1 : dot + 2] not in (" ", "\u00a0"):
        return False
    before = _NUMBER_BEFORE.search(text, max(0, dot - 20), dot)
    if before is None:
        return False
    first = before.start()
    if first and (text[first - 1].isalpha() or (text[first - 1] in ".,_-/" and text[first - 2 : first - 1].isalnum())):
        return False
    lead = text[max(0, first - 8) : first]
    if (first <= 8 or "\n" in lead) and not lead.rpartition("\n")[2].strip(_BLANKS + "(-*•"):
        return False  # "1. 10% tariffs" where a line begins: a numbered item
    whole = text[first:dot]
    is_year = len(whole) == 4 and whole[:2] in ("19", "20")
    if not is_year and _UNIT_AFTER.match(text, dot + 1) is not None:
        return True
    money = _MONEY_BEFORE.search(text, max(0, dot - 20), dot)
    return money is not None and _CENTS_AFTER.match(text, dot + 1) is not None


def _is_end(text: str, start: int, mark: int, after: int, end: int) -> bool:
    """Whether the mark at `mark` (closing quotes up to `after`) ends a sentence of the block `start`..`end`."""
    char = text[mark]
    if char in "。！？；":
        return True
    gap = _AFTER.match(text, after, end)
    follow = gap.end() if gap else after
    if follow >= end:
        return True
    first = text[follow]
    next_match = _NEXT_WORD.match(text, follow, end)
    next_word = next_match.group() if next_match else ""
    if after == follow:  # no blank behind: "end.The next"; not "Booking.Com", "U.S", "A.Name"
        return next_word in _STARTERS and text[mark - 1 : mark].islower() and text[mark - 2 : mark - 1].islower()
    if first.islower() and not (len(next_word) > 1 and next_word[1].isupper()):
        return False
    if char != ".":
        return char != "!" or text[max(start, mark - 5) : mark] != "Yahoo" or next_word in _STARTERS
    if after - mark > 1 and text[mark + 1] == ".":  # an ellipsis before a capital
        return True
    if text[mark - 1 : mark].isdigit():
        return not is_split_decimal(text, mark)
    word_match = _WORD_BEFORE.search(text, max(start, mark - 16), mark)
    if word_match is None or after - mark > 1:
        return True
    word = word_match.group()
    lower = word.lower()
    if lower in _TITLES:
        return False
    if lower == "no":
        return not first.isdigit()
    if lower in _MONTHS and first.isdigit():
        return False
    is_initial = len(word) == 1 and word.isupper()
    if is_initial and len(next_word) == 1 and next_word.isupper() and text[follow + 1 : follow + 2] == ".":
        return False  # "U. S."
    if is_initial or lower in _MAYBE or (len(word) <= 7 and "." in word and lower.replace(".", "").isalpha()):
        if next_word not in _STARTERS or (is_initial and next_word in ("I", "A")):
            return False
        # In a headline in title case every word begins like a sentence: "Target On Beta Inc. To $60".
        return _LOWER_WORD.search(text, max(start, mark - 60), min(end, after + 60)) is not None
    return True


def _split(text: str, start: int, end: int, spans: list[tuple[int, int, bool]]) -> None:
    """Append the sentences of one block of prose."""
    at = start
    for match in _CANDIDATE.finditer(text, start, end):
        if match.start() < at or not _is_end(text, at, match.start(), match.end(), end):
            continue
        _append(text, at, match.end(), False, spans)
        at = match.end()
    _append(text, at, end, False, spans)


def _append(text: str, start: int, end: int, is_heading: bool, spans: list[tuple[int, int, bool]]) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end, is_heading))


def _is_row(text: str, start: int, end: int) -> bool:
    """Whether a line is a row of a table; a tab behind a list mark alone makes none."""
    if text.startswith("|", start):
        return True
    return text.find("\t", start, end) >= 0


def _continues(text: str, line: tuple[int, int], following: tuple[int, int]) -> bool:
    """Whether the line break between two lines of prose is soft."""
    first = text[following[0]]
    if first.islower():
        return text[line[1] - 1] not in "。！？；"
    if _FINAL.search(text, max(line[0], line[1] - 4), line[1]) is not None:
        # The sentence ends here anyway, unless this is an abbreviation; then the block must go on.
        return (
            line[1] - line[0] >= _WRAPPED
            and text[line[1] - 1] == "."
            and (following[1] - following[0] >= _WRAPPED // 2 or text[following[1] - 1] == ".")
        )
    width = line[1] - line[0]
    if _CJK_LETTERS.match(text, line[1] - 1) is not None or text[line[1] - 1] in "，、,":
        return width >= _WRAPPED // 2
    return (
        width >= _WRAPPED
        and len(text[line[0] : line[1]].split()) >= 6
        and (following[1] - following[0] >= 12 or _FINAL.search(text, following[1] - 4, following[1]) is not None)
    )


def sentences(text: str) -> list[tuple[int, int, bool]]:
    """The sentences, headings, list items and table rows of a text, in order: ``(start, end, is_heading)``.

    A heading is a line of its own, at most 140 characters long, that ends without a sentence mark and is neither
    list item nor table row; a line marked ``#`` always. A text of one line without a final mark is thus one heading.
    """
    spans: list[tuple[int, int, bool]] = []
    if "\n" not in text and "\t" not in text:
        start, end = _trim(text, 0, len(text))
        if start < end:
            _block(text, [(start, end)], spans)
        return spans
    lines: list[tuple[int, int]] = []
    at = 0
    for raw in text.split("\n"):
        start, end = _trim(text, at, at + len(raw))
        at += len(raw) + 1
        if start >= end:
            if lines:
                _block(text, lines, spans)
                lines = []
            continue
        begins_new = _BULLET.match(text, start, end) is not None or _is_row(text, start, end)
        if lines and (begins_new or _is_row(text, *lines[-1]) or not _continues(text, lines[-1], (start, end))):
            _block(text, lines, spans)
            lines = []
        lines.append((start, end))
    if lines:
        _block(text, lines, spans)
    return spans


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in _BLANKS:
        start += 1
    while end > start and text[end - 1] in _BLANKS:
        end -= 1
    return start, end


def _block(text: str, lines: list[tuple[int, int]], spans: list[tuple[int, int, bool]]) -> None:
    """Append the sentences of one block of lines."""
    start, end = lines[0][0], lines[-1][1]
    marked = text[start] == "#"
    bullet = _BULLET.match(text, start, end)
    if bullet is not None:
        start = bullet.end()
    if _is_row(text, start, end):
        _append(text, start, end, False, spans)
    elif marked and bullet is not None:
        _append(text, start, end, True, spans)
    elif (
        bullet is None
        and end - start <= _LONGEST_HEADING * len(lines)
        and len(lines) <= 2
        and _FINAL.search(text, max(start, end - 4), end) is None
    ):
        before = len(spans)
        _split(text, start, end, spans)
        if len(spans) == before + 1:
            spans[-1] = (*spans[-1][:2], True)
    else:
        _split(text, start, end, spans)


def is_chinese(text: str, start: int, end: int) -> bool:
    """Whether a stretch of text is written in Chinese; a Chinese character counts as much as four Latin letters,
    because Chinese prose keeps foreign names in Latin letters.
    """
    part = text[start:end]
    if part.isascii():
        return False
    chinese = len(_CJK_LETTERS.findall(part))
    return chinese > 0 and chinese * 4 >= len(_LATIN_LETTERS.findall(part))
