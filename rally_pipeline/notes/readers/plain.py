"""Plain text and Markdown: front matter, page feeds, lines wrapped by an editor.

Belongs here: text files, and the plain bodies of e-mails. Does not belong here: their encoding (`charset.py`).

Lines that an editor or a mail program wrapped are joined by putting a space in place of the line end, so that a
sentence is on one line. Two lines are taken as wrapped only if the first word of the second would not have fitted
within the longest line of their paragraph. Markdown signs stay as they stand.
"""

from __future__ import annotations

import re

from rally_pipeline.notes import limits
from rally_pipeline.notes.readers.content import Content, clean, too_long
from rally_pipeline.notes.readers.side_car import split_front_matter

_SHORTEST_WRAP, _LONGEST_WRAP = 55, 130
_OWN_LINE = re.compile(
    r"[ \t]{4}|[ \t]*(?:[-*+•·▪■‣◦–—>|#=]|\d{1,2}[.)、]\s|[（(]?[一二三四五六七八九十\d]{1,2}[)）、]|```|~~~|$)|\S.*\t"
)
_SETEXT = re.compile(r"[ \t]*(?:=+|-+)[ \t]*$")


def read_plain(text: str) -> Content:
    """A text or Markdown file; form feeds begin pages.

    Raises:
        PayloadError: ``text_bound``, and front matter that is refused.
    """
    if len(text) > limits.MAX_NOTE_CHARACTERS:
        raise too_long()
    page_text = text.replace("\r\n", "\n").replace("\r", "\n")
    body, said = split_front_matter(page_text)
    pages = body.split("\f")
    texts = []
    warnings = list(said.warnings)
    for number, page in enumerate(pages):
        cleaned, changed = clean(page)
        warnings.extend(changed)
        end = "\n\n" if number + 1 < len(pages) and cleaned.strip() else ""
        texts.append(unwrap(cleaned).rstrip("\n") + end)
    if said.title and not has_title(texts[0], said.title):
        # The title of front matter is printed above the text wherever such a file is shown.
        texts[0] = f"{said.title.strip()}\n\n{texts[0].lstrip()}"
    title = said.title or markdown_title(texts[0])
    return Content(texts, title, said.declared, said.basis, tuple(dict.fromkeys(warnings)))


def has_title(text: str, title: str) -> bool:
    """Whether one of the first lines of a text is its title."""
    wanted = " ".join(title.split())
    lines = [line for line in text[:4000].split("\n") if line.strip()][:4]
    return any(" ".join(line.strip("#*_= \t").split()) == wanted for line in lines)


def markdown_title(text: str) -> str:
    """The first line if it is a heading of Markdown, else ``""``."""
    first = text[:2000].lstrip().partition("\n")[0]
    return first.strip("# \t") if first.startswith("# ") else ""


def unwrap(text: str) -> str:
    """A text of the same length, the line ends inside wrapped paragraphs replaced by spaces. Linear time."""
    if "\n" not in text:
        return text
    lines = text.split("\n")
    ends = ["\n"] * len(lines)
    start = 0
    fenced = False
    for number, line in enumerate([*lines, ""]):
        fence = line.lstrip()[:3] in ("```", "~~~")
        if line.strip() and not fence and number < len(lines):
            continue
        if not fenced and number - start > 1:
            _join(lines, ends, start, number)
        fenced ^= fence
        start = number + 1
    return "".join(line + end for line, end in zip(lines, ends, strict=True))[:-1]


def _join(lines: list[str], ends: list[str], start: int, stop: int) -> None:
    """Mark the line ends of one block (no empty lines) that only wrap."""
    width = max(len(line.rstrip()) for line in lines[start:stop])
    if not _SHORTEST_WRAP <= width <= _LONGEST_WRAP:
        return
    # Most lines of wrapped prose go on in lower case; those of a list of headlines do not.
    small = sum(line.lstrip()[:1].islower() for line in lines[start + 1 : stop])
    is_prose = stop - start > 2 and small * 2 >= stop - start - 1
    for number in range(start, stop - 1):
        line, following = lines[number].rstrip(), lines[number + 1]
        if _OWN_LINE.match(following) or "\t" in line or line.startswith(("|", "#", ">")) or line.endswith("|"):
            continue
        if _SETEXT.match(following) or lines[number].endswith("  "):
            continue
        word = len(following.split(maxsplit=1)[0])
        goes_on = is_prose or following.lstrip()[:1].islower()
        if goes_on and len(line) + 1 + word > width and len(line) >= _SHORTEST_WRAP - 15:
            ends[number] = " "
