"""What a reader hands over, and the rules by which it becomes canonical text.

Belongs here: the record `Content`, which characters may stand in a canonical text, joining of pages. Does not belong
here: any format.

Canonical text is what the eye sees. Characters that would make it differ from what a grammar sees are removed or
replaced before any offset exists, and each time with a warning:

- zero-width characters, invisible operators and tag characters are removed: ``26<ZWSP>.6`` is 26.6;
- marks that change the direction of writing are removed: the text stands in stored order;
- control characters, lone surrogates and noncharacters become U+FFFD, never nothing, so that two numbers cannot grow
  together;
- the codes U+0080 to U+009F, which are what is left of a Windows-1252 text read as Latin-1, become the quotes and
  dashes they were;
- characters that print as blank but count as letters become a space.

Soft hyphens are removed without a warning, they are typesetting. NBSP, thin and full-width spaces, full-width digits,
curly quotes stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.records import CanonicalText, ReadNote

_CONTROL = "\x00-\x08\x0e-\x1f\x7f\x81\x8d\x8f\x90\x9d\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = "\u034f\u17b4\u17b5\u180b-\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\ufeff\U000e0000-\U000e0fff"
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\u2028\u2029]")
_WINDOWS = re.compile("[\x80\x82-\x8c\x8e\x91-\x9c\x9e\x9f]")
_SPECIAL = re.compile(f"[{_CONTROL}{_BIDI}{_INVISIBLE}{_BLANK}\x80-\x9f\u00ad\r\x0b\x0c\u2028\u2029]")
_CLASSES = (
    (re.compile(f"[{_CONTROL}]"), "\ufffd", "{} control characters or broken code points replaced by U+FFFD"),
    (
        re.compile(f"[{_BIDI}]"),
        "",
        "{} marks of writing direction removed; the text may have been shown in another order",
    ),
    (re.compile(f"[{_INVISIBLE}]"), "", "{} invisible characters removed"),
    (re.compile(f"[{_BLANK}]"), " ", "{} characters that print as blank replaced by spaces"),
    (re.compile("\u00ad"), "", ""),
)
#: Tried once per run of blanks, from its first: a long one would else take the square of its length.
_TRAILING = re.compile(r"(?<![ \t])[ \t]++(?=\n)")


@dataclass(frozen=True)
class Content:
    """The text of one note as its format gives it, not yet canonical.

    Attributes:
        pages: text of each page with whatever separates it from the next at its end; one where there are no pages.
        title: see `ReadNote`.
        declared, basis: see `ReadNote`.
        warnings: see `ReadNote`.
    """

    pages: Sequence[str]
    title: str = ""
    declared: Mapping[str, str] = field(default_factory=dict)
    basis: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def clean(text: str) -> tuple[str, tuple[str, ...]]:
    """A text with only the characters that canonical text may hold, and what was changed. Linear time."""
    if _SPECIAL.search(text) is None:
        return text, ()
    text = _LINE_END.sub("\n", text)
    warnings = []
    text, count = _WINDOWS.subn(lambda match: match[0].encode("latin-1").decode("cp1252"), text)
    if count:
        warnings.append(f"{count:,} characters of Windows-1252 put right")
    for pattern, replacement, message in _CLASSES:
        text, count = pattern.subn(replacement, text)
        if count and message:
            warnings.append(message.format(f"{count:,}"))
    return text, tuple(warnings)


def clean_field(text: str) -> str:
    """A declared field on one line, without blanks around it, of bounded length."""
    return " ".join(clean(text[: 4 * limits.MAX_FIELD_CHARACTERS])[0].split())[: limits.MAX_FIELD_CHARACTERS].strip()


def canonical(pages: Iterable[str]) -> tuple[CanonicalText, tuple[str, ...]]:
    r"""The canonical text of pages, and what was changed in it.

    Lines end by ``\n`` without blanks before it; empty lines at the top and all blanks at the end are left out.

    Raises:
        PayloadError: ``text_found`` (nothing but blanks), ``text_bound``.
    """
    parts: list[str] = []
    starts: list[int] = []
    size = 0
    counted: dict[str, None] = {}
    for page in pages:
        text, warnings = clean(page)
        text = _TRAILING.sub("", text)
        if not size:
            text = text.lstrip("\n")
        counted.update(dict.fromkeys(warnings))
        starts.append(size)
        parts.append(text)
        size += len(text)
        if size > limits.MAX_NOTE_CHARACTERS:
            raise too_long()
    whole = "".join(parts).rstrip()
    if not whole.strip():
        raise PayloadError("text_found", "the document holds no text", "send the text itself, not a picture of it")
    starts[0] = 0
    return CanonicalText(whole, tuple(min(start, len(whole)) for start in starts)), tuple(counted)


def too_long() -> PayloadError:
    """The refusal of a note beyond its bound of characters."""
    return PayloadError(
        "text_bound", f"the text has more than {limits.MAX_NOTE_CHARACTERS:,} characters", "split the document"
    )


def note(content: Content, part: str, file_type: str) -> ReadNote:
    """The note that a content makes.

    Raises:
        PayloadError: see `canonical`.
    """
    text, warnings = canonical(content.pages)
    declared, basis = checked_fields(content.declared, content.basis)
    return ReadNote(
        part=part,
        canonical=text,
        file_type=file_type,
        title=clean_field(content.title),
        declared=declared,
        basis=basis,
        warnings=tuple(dict.fromkeys((*content.warnings, *warnings))),
    )


def checked_fields(declared: Mapping[str, str], basis: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Declared fields cleaned, empty ones left out, with the basis of those that stay."""
    kept = {name: text for name, value in declared.items() if (text := clean_field(value))}
    return kept, {name: basis[name] for name in kept if name in basis}


def has_special(text: str) -> bool:
    """Whether `clean` would change anything."""
    return _SPECIAL.search(text) is not None
