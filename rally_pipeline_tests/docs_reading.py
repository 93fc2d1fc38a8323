"""What stands in the README and in docs/: code blocks with their marks, links, headings and words in code type.

Belongs here: reading Markdown as far as the documentation uses it. Does not belong here: running anything
(`docs_running.py`) or what must hold (the tests).

A fenced block says by the first word after the fence what it is. Blocks of ``sh`` are run; a ``file=PATH`` after the
language means that the reader puts the block into that file, relative to the checkout or to ``$RALLY_HOME``. A comment
of HTML directly above a block marks it::

    <!-- not run: needs a server that the tests do not have -->
    <!-- exit code 1 -->

``text exact`` below a block of ``sh`` is what that prints, as far as it goes: its lines stand there one after the
other, where ``…`` alone stands for any lines and ``…`` at the end of a line for the rest of it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rally_pipeline_tests.workspaces import ROOT

FENCE = re.compile(r"^( *)(`{3,})\s*(.*?)\s*$")
COMMENT = re.compile(r"^<!--\s*(.*?)\s*-->$")
NOT_RUN = re.compile(r"not run:\s*(.*)")
EXIT_CODE = re.compile(r"exit code (\d+)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file, relative to the checkout.
        line: number of its first line inside the fence.
        language: first word after the fence; empty if there is none.
        flags: words after it without ``=``.
        options: those with one.
        text: what stands in it, with a newline at the end.
        not_run: the reason why it is not run; ``None`` = it is.
        exit_code: what its last command ends with.
    """

    page: str
    line: int
    language: str
    text: str
    flags: frozenset[str] = frozenset()
    options: dict[str, str] = field(default_factory=dict)
    not_run: str | None = None
    exit_code: int = 0

    @property
    def where(self) -> str:
        """Page and line, as editors take it."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """The README and all of docs/, in order of name."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order.

    Raises:
        ValueError: a fence is not closed, or a mark stands above something that it cannot be about.
    """
    name = page.relative_to(ROOT).as_posix()
    found: list[Block] = []
    marks: list[str] = []
    lines = page.read_text(encoding="utf-8").split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if (comment := COMMENT.match(line.strip())) and _is_mark(comment[1]):
            marks.append(comment[1])
            continue
        fence = FENCE.match(line)
        if fence is None:
            if marks:
                raise ValueError(f"{name}:{number} {marks[-1]!r} does not stand directly above a block")
            continue
        indent, ticks, info = fence.groups()
        start = number
        while number < len(lines) and lines[number].strip() != ticks:
            number += 1
        if number == len(lines):
            raise ValueError(f"{name}:{start} the block is not closed")
        text = "\n".join(inside.removeprefix(indent) for inside in lines[start:number]) + "\n"
        number += 1
        found.append(_block(name, start + 1, info, text, marks))
        marks = []
    return found


def _is_mark(comment: str) -> bool:
    return bool(NOT_RUN.match(comment) or EXIT_CODE.fullmatch(comment))


def _block(page: str, line: int, info: str, text: str, marks: list[str]) -> Block:
    language, *rest = info.split() or [""]
    options = dict(word.split("=", 1) for word in rest if "=" in word)
    reasons = [match[1].strip() for mark in marks if (match := NOT_RUN.match(mark))]
    codes = [int(match[1]) for mark in marks if (match := EXIT_CODE.fullmatch(mark))]
    return Block(
        *(page, line, language, text),
        flags=frozenset(word for word in rest if "=" not in word),
        options=options,
        not_run=reasons[0] if reasons else None,
        exit_code=codes[0] if codes else 0,
    )


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a block of ``sh`` as words: comments, assignments and what is piped are taken apart."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("|&;"):
                while words and (re.match(r"[A-Z_]+=", words[0]) or words[0] in _BEFORE_A_COMMAND):
                    words.pop(0)
                if words:
                    yield words
                words = []
            else:
                words.append(word)


_BEFORE_A_COMMAND = {"sudo", "do", "then", "!", "nice", "exec", "time"}


def without_blocks(page: Path) -> str:
    """The text of a page with its fenced blocks and comments left out, lines kept."""
    kept, ticks = [], ""
    for line in page.read_text(encoding="utf-8").split("\n"):
        fence = FENCE.match(line)
        if ticks:
            ticks = "" if line.strip() == ticks else ticks
            kept.append("")
        elif fence:
            ticks = fence[2]
            kept.append("")
        else:
            kept.append(re.sub(r"<!--.*?-->", "", line))
    return "\n".join(kept)


def code_words(page: Path) -> Iterator[tuple[int, str]]:
    """What stands in code type within the text, with the number of its line."""
    for number, line in enumerate(without_blocks(page).split("\n"), 1):
        for match in re.finditer(r"(`+)(.+?)\1", line):
            yield number, match[2].strip()


def links(page: Path) -> Iterator[tuple[int, str]]:
    """Targets of links and images, with the number of their line."""
    for number, line in enumerate(without_blocks(page).split("\n"), 1):
        bare = re.sub(r"`[^`]*`", "", line)
        for match in re.finditer(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)", bare):
            yield number, match[1]
        for match in re.finditer(r"""(?:src|href)="([^"]+)\"""", bare):
            yield number, match[1]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for line in without_blocks(page).split("\n"):
        if heading := re.match(r"#{1,6}\s+(.*?)\s*#*$", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            numbered, again = slug, 0
            while numbered in found:
                again += 1
                numbered = f"{slug}-{again}"
            found.add(numbered)
    return found
