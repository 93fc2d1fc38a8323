"""What is said of a document beside it or at its top: side-car YAML and front matter.

Belongs here: reading a small flat YAML mapping without building any object, and whose word counts when several say
the same field. Does not belong here: finding the side-car of a file (`sources/`).

Only the events of the YAML scanner are used: scalars stay the texts they are (``language: no`` is ``no``), tags are
not obeyed, and aliases, which let a few lines unfold into gigabytes, are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rally_pipeline.errors import PayloadError
from rally_pipeline.notes import limits
from rally_pipeline.notes.readers.content import Content, checked_fields, has_special
from rally_pipeline.notes.readers.dates import iso_day

if TYPE_CHECKING:
    pass

FIELDS = ("broker", "analyst", "date", "title", "language", "source", "ticker", "id")

#: Other names under which a field is met.
ALIASES: Mapping[str, str] = {
    "author": "analyst",
    "authors": "analyst",
    "analysts": "analyst",
    "house": "broker",
    "firm": "broker",
    "published": "date",
    "publisher": "source",
    "lang": "language",
    "symbol": "ticker",
    "stock": "ticker",
}

_FIX = "write one `name: text` per line, for broker, analyst, date, title, language, source"


def read_side_car(body: bytes) -> dict[str, str]:
    """The fields that a side-car file declares.

    Raises:
        PayloadError: ``side_car_valid``, ``side_car_safe``, ``side_car_date``; its locator is ``side-car``.
    """
    if len(body) > limits.MAX_YAML_BYTES:
        raise PayloadError(
            "side_car_safe", f"it has {len(body):,} bytes; {limits.MAX_YAML_BYTES:,} is the bound", _FIX, "side-car"
        )
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PayloadError("side_car_valid", "it is not UTF-8", "save it as UTF-8", "side-car") from None
    found = flat_yaml(text, "side_car", "side-car")
    if found is None:
        raise PayloadError("side_car_valid", "it is not a mapping of names to texts", _FIX, "side-car")
    fields, warnings = known_fields(found)
    if warnings:
        raise PayloadError("side_car_date", warnings[0], "write the date as YYYY-MM-DD", "side-car")
    return checked_fields(fields, {})[0]


def known_fields(found: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The fields among names as people write them, the date in ISO; and a warning for a date that is none."""
    fields: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    for name, text in found.items():
        name = name.strip().lower()
        if name in FIELDS:
            fields[name] = text
        elif name in ALIASES:
            fields.setdefault(ALIASES[name], text)
    if given := fields.get("date", "").strip():
        fields["date"] = iso_day(given)
        if not fields["date"]:
            warnings = (f"the declared date {given[:40]!r} cannot be told for certain and is not used",)
    return {name: text for name, text in fields.items() if text.strip()}, warnings


def split_front_matter(text: str) -> tuple[str, Content]:
    r"""The text below its front matter, and what that declares (a `Content` without pages).

    Front matter is a block between two lines ``---`` at the very top. A block that is no mapping is text.

    Raises:
        PayloadError: ``front_matter_safe`` (aliases, depth, size), ``front_matter_valid``.
    """
    if not text.startswith("---\n"):
        return text, Content(())
    end = text.find("\n---\n", 3, limits.MAX_YAML_BYTES)
    if end < 0:
        last = text.rstrip()
        if len(last) > limits.MAX_YAML_BYTES or not last.endswith("\n---"):
            return text, Content(())
        end, text = len(last) - 4, last + "\n"
    block, rest = text[4:end], text[end + 5 :]
    first = block.lstrip().partition("\n")[0]
    if ":" not in first and not first.startswith("#"):
        return text, Content(())
    found = flat_yaml(block, "front_matter", "front matter")
    if found is None:
        return text, Content(())
    fields, warnings = known_fields(found)
    title = fields.get("title", "")
    return rest, Content((), title, fields, dict.fromkeys(fields, "front_matter"), warnings)


def flat_yaml(text: str, rule: str, locator: str) -> dict[str, str] | None:
    """A YAML mapping of scalars, or of lists of scalars (joined by a comma); ``None`` if it is no mapping.

    Mappings inside the mapping are left out.

    Raises:
        PayloadError: `rule` with ``_valid`` or ``_safe`` after it.
    """
    import yaml

    def refused(message: str, kind: str = "safe") -> PayloadError:
        return PayloadError(f"{rule}_{kind}", message, _FIX, locator)

    if len(text.encode("utf-8", "replace")) > limits.MAX_YAML_BYTES:
        raise refused(f"it is longer than {limits.MAX_YAML_BYTES:,} bytes")
    if has_special(text):
        # YAML allows no control characters; a grammar of fields needs none.
        text = "".join(char if char == "\n" or char.isprintable() else " " for char in text)
    try:
        return _mapping(yaml.parse(text, Loader=yaml.SafeLoader), refused)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise refused(f"it is not valid YAML{where}", "valid") from None
    except (RecursionError, ValueError, OverflowError):
        raise refused("it cannot be read as YAML", "valid") from None


def _mapping(events: object, refused: object) -> dict[str, str] | None:
    import yaml

    assert callable(refused)
    found: dict[str, str] = {}
    depth = 0
    name: str | None = None
    is_mapping = False
    for event in events:  # type: ignore[attr-defined]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise refused("it uses aliases (& and *)")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > limits.MAX_YAML_DEPTH:
                raise refused(f"it is nested deeper than {limits.MAX_YAML_DEPTH}")
            if depth == 1:
                is_mapping = isinstance(event, yaml.MappingStartEvent)
            elif isinstance(event, yaml.MappingStartEvent) or name is None:
                # what lies inside is not a field
                name = "" if name is None or depth == 2 else name
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            if depth == 1:
                name = None
        elif isinstance(event, yaml.ScalarEvent) and is_mapping:
            if depth == 1 and name is None:
                name = event.value
            elif depth == 1 and name is not None:
                found[name] = "" if event.value in ("~", "null") and not event.style else event.value
                name = None
            elif depth == 2 and name:
                found[name] = f"{found[name]}, {event.value}" if name in found else event.value
    return found if is_mapping else None
