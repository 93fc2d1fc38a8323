"""Lines with places on a page to paragraphs.

Belongs here: which lines belong together, what happens to a hyphen at a line's end, what is a running head. Does not
belong here: PDF (`pdf.py`).

Rows of a table stay lines. Other lines are one paragraph if they have the same size and weight of type, stand at the
usual distance, and the first word of the second would not have fitted at the end of the first, or the words show that
the sentence goes on. They are joined by a space, between Chinese characters by nothing. A paragraph goes on in the
next column or page if its last line does not end a sentence and the text there goes on in lower case or in Chinese.

A hyphen at a line's end is dropped (``out-`` + ``perform`` is ``outperform``) unless the document writes the word with
its hyphen elsewhere, the first part is one that makes compounds (``year-`` + ``to-date``), or a digit or capital is
next to it.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

#: The mark that `Line.text` ends with if its last character is a hyphen inside a word.
HYPHEN = "\x02"

_CHINESE = "\u2e80-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
_IS_CHINESE = re.compile(f"[{_CHINESE}]")
_ENDS = re.compile(r"[.!?:;。！？：；…][\"'”’)\]）】」』]*$")
_ENDS_SENTENCE = re.compile(r"[.!?。！？…][\"'”’)\]）】」』]*$")
_OPEN_END = re.compile(
    r"(?:,|(?:^|\s)(?:an?|the|of|in|on|at|to|by|for|from|with|and|or|but|as|is|are|was|were|be|than|that|its|their|our|"
    r"has|have|had|we|it|over|under|into|while|which|this|not|will|would|could|may))$",
    re.IGNORECASE,
)
_BULLET = re.compile(r"(?:[•·▪■□‣◦●○►▶✓➢]|[-–—*]\s)")
_NUMBERED = re.compile(r"(?:\d{1,2}[.)]|\([0-9a-z]{1,3}\)|[（(]?[一二三四五六七八九十]{1,2}[)）、.])\s*\S")
_WORD = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)+|[A-Za-z]{4,}")
_COMPOUNDS = frozenset(
    [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "multi",
        "mid",
        "non",
        "near",
        "long",
        "short",
        "medium",
        "high",
        "low",
        "year",
        "month",
        "week",
        "day",
        "half",
        "quarter",
        "single",
        "double",
        "triple",
        "first",
        "second",
        "third",
        "fourth",
        "last",
        "all",
        "well",
        "self",
        "ex",
        "pre",
        "post",
        "risk",
        "market",
        "large",
        "small",
        "cross",
        "best",
        "top",
        "net",
        "hard",
        "soft",
        "record",
        "full",
        "part",
        "real",
        "front",
        "back",
        "broad",
        "re",
        "so",
        "state",
        "price",
        "sell",
        "buy",
        "year-to",
        "month-to",
        "quarter-to",
        "week-to",
    ]
)
_PAGE_NUMBER = re.compile(
    r"(?:page|p\.|第)?\s*[-–—|]?\s*(\d{1,4})\s*(?:[-–—|]|页|頁)?\s*(?:(?:/|of|\||共)\s*\d{1,4}\s*(?:页|頁)?)?",
    re.IGNORECASE,
)

_LAST_NUMBER = re.compile(r"(?:\s*[|·–—-])?\s+(\d{1,4})$", re.ASCII)
_FIRST_NUMBER = re.compile(r"^(\d{1,4})\s+(?:[|·–—-]\s*)?", re.ASCII)

_NOWHERE = -1e9


@dataclass(frozen=True)
class Line:
    """One line of a page.

    Attributes:
        text: its characters, a tab between cells of a table, `HYPHEN` at the end for a hyphen inside a word.
        left, right, bottom, top: its box, in points, upwards.
        size: height of its type, in points.
        weight: of its type if the line has one weight throughout, else 0.
    """

    text: str
    left: float
    right: float
    bottom: float
    top: float
    size: float
    weight: int


def page_texts(pages: Sequence[Sequence[Line]]) -> tuple[list[str], int]:
    """The text of each page, with what separates it from the next at its end; and how many running lines were dropped.

    The texts put one after the other are the text of the document.
    """
    kept, running = _without_running(pages)
    words = _words(kept)
    texts: list[str] = []
    last: Line | None = None
    for lines in kept:
        if not lines:
            texts.append("")
            continue
        if last is not None:
            # what separates two pages belongs to the one before
            at = max(number for number, text in enumerate(texts) if text)
            texts[at] = _joined(texts[at], _continuation(last, lines[0]), lines[0], words)
        texts.append(_page_text(lines, words))
        last = lines[-1]
    return [text.replace(HYPHEN, "-") for text in texts], running


def _page_text(lines: Sequence[Line], words: Counter[str]) -> str:
    leading = _leading(lines)
    edges = _right_edges(lines)
    parts = [lines[0].text]
    for number in range(1, len(lines)):
        line, following = lines[number - 1], lines[number]
        parts[-1] = _joined(parts[-1], _relation(line, following, leading, edges[number - 1]), following, words)
        parts.append(following.text)
    return "".join(parts)


def _joined(text: str, relation: str, following: Line, words: Counter[str]) -> str:
    """The end of a text made ready for the line that follows."""
    if relation:
        return text + relation
    if text.endswith(HYPHEN):
        return text[:-1] + ("-" if _keeps_hyphen(text[:-1], following.text, words) else "")
    if text.endswith("-") and len(text) > 1 and not text[-2].isspace():
        return text
    if _IS_CHINESE.match(text[-1]) and _IS_CHINESE.match(following.text[0]):
        return text
    return text + " "


def _relation(line: Line, following: Line, leading: float, edge: float) -> str:
    r"""What stands between two lines: ``""`` for one paragraph, ``\n`` or ``\n\n``."""
    step = line.bottom - following.bottom
    size = max(line.size, following.size)
    if step < -0.5 * size:
        return _continuation(line, following)
    if step < 0.5 * size:
        # the same line, far apart: cells of a table
        return "\t" if following.left >= line.right - 1 else "\n"
    if abs(line.size - following.size) > 0.12 * size or step > max(1.35 * leading, 1.1 * size) or step > 3 * size:
        return "\n\n"
    if "\t" in line.text or "\t" in following.text:
        return "\n"
    if line.weight and following.weight and line.weight != following.weight:
        return "\n"
    if line.text.endswith(HYPHEN):
        return ""
    if _BULLET.match(following.text) or (_NUMBERED.match(following.text) and _ENDS.search(line.text)):
        return "\n"
    if following.left > line.right or following.right < line.left:
        return _continuation(line, following)
    width = max(line.right - line.left, 1.0) / max(len(line.text), 1)
    if following.left > line.left + 0.8 * size and not _BULLET.match(line.text):
        return (
            "\n"
            if _ENDS.search(line.text) or following.left > line.left + 4 * size
            else _fits(line, following, edge, width)
        )
    return _fits(line, following, edge, width)


def _fits(line: Line, following: Line, edge: float, width: float) -> str:
    r"""``\n`` if the next word would have fitted on the line, which was then ended on purpose."""
    if _IS_CHINESE.match(following.text):
        need = 2.2 * following.size if _ENDS.search(line.text) else 1.5 * following.size
    else:
        need = width * (len(following.text.split(maxsplit=1)[0]) + 1)
    if _goes_on(line, following) and (line.right - line.left > 0.3 * (edge - line.left) or " " in line.text):
        return ""
    # Letters differ in width, and some programs wrap by counting them.
    return "\n" if line.right + need < edge - 0.05 * (edge - line.left) else ""


def _goes_on(line: Line, following: Line) -> bool:
    """Whether the words of a line alone show that it goes on: it is no end, or the next line no beginning."""
    return not _ENDS.search(line.text) and (following.text[0].islower() or bool(_OPEN_END.search(line.text)))


def _continuation(line: Line, following: Line) -> str:
    """What stands between a line and one in the next column or on the next page."""
    if line.text.endswith(HYPHEN) and following.text[:1].islower():
        return ""
    if abs(line.size - following.size) > 0.12 * line.size or _ENDS.search(line.text) or _BULLET.match(following.text):
        return "\n\n"
    first = following.text[0]
    is_chinese = bool(_IS_CHINESE.match(first) and _IS_CHINESE.match(line.text[-1]) and len(line.text) > 15)
    return "" if first.islower() or is_chinese else "\n\n"


def _leading(lines: Sequence[Line]) -> float:
    """The usual distance of lines of running text, in points; at least the height of the type."""
    steps = [
        line.bottom - following.bottom
        for line, following in itertools.pairwise(lines)
        if abs(line.size - following.size) <= 0.12 * line.size
        and 0.5 * line.size < line.bottom - following.bottom < 2.5 * line.size
    ]
    if not steps:
        return 1.2 * lines[0].size
    # paragraphs are set apart by more than lines, so the smaller steps are those between lines
    return statistics.quantiles(steps, n=4)[0] if len(steps) > 1 else min(steps[0], 1.6 * lines[0].size)


def _right_edges(lines: Sequence[Line]) -> list[float]:
    """For each line how far right the lines of its column reach: lines around it that overlap it and look like it."""
    columns: list[list[int]] = []
    for number, line in enumerate(lines):
        if columns:
            before = lines[columns[-1][-1]]
            is_below = before.bottom - line.bottom > -0.5 * line.size
            overlaps = line.left < before.right and line.right > before.left
            if is_below and overlaps and abs(before.size - line.size) <= 0.12 * line.size:
                columns[-1].append(number)
                continue
        columns.append([number])
    edges = [0.0] * len(lines)
    for column in columns:
        edge = max(lines[number].right for number in column)
        goes_on = [_goes_on(lines[at], lines[then]) for at, then in itertools.pairwise(column)]
        for place, number in enumerate(column):
            first, last = max(place - 2, 0), place + 3
            near = goes_on[first : last - 1]
            # Prose beside a box is narrower than above and below it.
            is_prose = len(near) > 2 and sum(near) * 2 >= len(near)
            edges[number] = max(lines[at].right for at in column[first:last]) if is_prose else edge
    return edges


def _words(pages: Sequence[Sequence[Line]]) -> Counter[str]:
    """How often the document writes each longer word and each word with a hyphen, apart from line ends."""
    found: Counter[str] = Counter()
    for lines in pages:
        for line in lines:
            found.update(word.lower() for word in _WORD.findall(line.text))
    return found


def _keeps_hyphen(before: str, after: str, words: Counter[str]) -> bool:
    head = re.search(r"[^\W_]+(?:-[^\W_]+)*$", before[-60:])
    tail = re.match(r"[^\W_]+(?:-[^\W_]+)*", after[:60])
    if head is None or tail is None:
        return True
    first, second = head[0], tail[0]
    if not first.isascii() or not second.isascii():
        return False
    if first[-1].isdigit() or second[0].isdigit() or second[0].isupper():
        return True
    with_hyphen, without = words[f"{first}-{second}".lower()], words[(first + second).lower()]
    if with_hyphen != without:
        return with_hyphen > without
    return first.lower() in _COMPOUNDS or first.lower().rpartition("-")[2] in _COMPOUNDS or "-" in first


def _without_running(pages: Sequence[Sequence[Line]]) -> tuple[list[list[Line]], int]:
    """The pages without page numbers, and without lines repeated at the edges of most pages after their first time."""
    repeated = Counter(
        key for number, lines in enumerate(pages, start=1) for key in {_key(line, number) for line in _edge(lines)}
    )
    full = sum(1 for lines in pages if lines)
    dropped = 0
    seen: dict[str, float] = {}  # height at which a running line stood first
    kept: list[list[Line]] = []
    for number, lines in enumerate(pages, start=1):
        edge = {id(line) for line in _edge(lines)}
        page: list[Line] = []
        for line in lines:
            is_running = False
            if id(line) in edge and full > 1:
                key = _key(line, number)
                match = _PAGE_NUMBER.fullmatch(line.text.strip())
                is_running = bool(match and abs(int(match[1]) - number) <= 2)
                if full > 2 and repeated[key] * 2 > full:
                    is_running = is_running or abs(seen.setdefault(key, _NOWHERE) - line.bottom) < 3
                    if seen[key] == _NOWHERE:
                        seen[key] = line.bottom
            if is_running:
                dropped += 1
            else:
                page.append(line)
        kept.append(page)
    return kept, dropped


def _edge(lines: Sequence[Line]) -> list[Line]:
    """Lines that lie topmost and lowest on a page, two of each, wherever they come in the reading order."""
    if len(lines) <= 4:
        return list(lines)
    by_height = sorted(lines, key=lambda line: line.bottom)
    return [*by_height[:2], *by_height[-2:]]


def _key(line: Line, number: int) -> str:
    """A running line without the number of its page at its end or start. Other numbers are part of it."""
    text = " ".join(line.text.split())
    for pattern in (_LAST_NUMBER, _FIRST_NUMBER):
        match = pattern.search(text)
        if match and abs(int(match[1]) - number) <= 2:
            text = text[: match.start()] + text[match.end() :]
            break
    return text or line.text
