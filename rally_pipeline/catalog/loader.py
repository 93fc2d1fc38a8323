"""Reads the catalog: the shipped YAML files, then the user's own, into one checked `Catalog`.

Belongs here: reading, merging, checking and hashing of entries. Does not belong here: what an entry may contain
(`model.py`) or what follows from it (`sessions.py`, `sources/`, `marts/`).

The user's files are ``<home>/catalog/*.yaml``. Each holds any of the sections ``instruments``, ``events``,
``calendar_overrides``, ``calendar_extensions``, ``brokers``, ``people`` and ``other_names``. An entry with a new key is
added. An entry whose key is shipped is merged over the shipped one field by field: only the fields written change, a
list is replaced as a whole, ``null`` sets an optional field back to nothing, and ``remove: true`` alone takes the entry
out. The same entry in two user files is an error, because neither could be said to win.
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from rally_pipeline.catalog.model import (
    Broker,
    BrokerKind,
    CalendarExtension,
    CalendarOverride,
    Catalog,
    Entry,
    Event,
    Instrument,
    Kind,
    Market,
    OtherName,
    Person,
)
from rally_pipeline.errors import CatalogError

SHIPPED = Path(__file__).parent
SHIPPED_FILES = (
    "instruments.yaml",
    "events.yaml",
    "calendars.yaml",
    "brokers.yaml",
    "people.yaml",
    "other_names.yaml",
)
SECTIONS = (
    "instruments",
    "events",
    "calendar_overrides",
    "calendar_extensions",
    "brokers",
    "people",
    "other_names",
)

#: No catalog file comes near this; a larger one is not a catalog.
MAX_FILE_BYTES = 1024 * 1024
#: The C parser overflows its stack on deep nesting, so depth is bounded before it builds anything.
MAX_DEPTH = 20

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Model = TypeVar("_Model", bound=Entry)
_Key = str | tuple[str, dt.date]

#: What to write into a field that is wrong.
_ADVICE = {
    "symbol": 'a symbol in Yahoo notation, such as "^HSI" or "0700.HK"',
    "market": f"one of {', '.join(Market)}",
    "currency": "an ISO code in capitals, such as HKD",
    "base_currency": "an ISO code in capitals, such as USD",
    "kind": f"one of {', '.join(Kind)}",
    "name": "a text of 1 to 120 characters",
    "leaderboards": "a list of names in snake_case, such as [headline_indices]",
    "price_sources": 'a list such as [{source: yahoo}, {source: eastmoney, code: "100.HSI"}]',
    "listing_date": "a date such as 2019-11-26, unquoted",
    "aliases": 'a list of texts in quotes, such as ["HSI", ".HSI"]',
    "date": "a date such as 2025-01-20, unquoted",
    "rule": "mainland_reopening_after_lunar_new_year",
    "event_id": "a key in snake_case, such as stimulus_package",
    "is_session": "true or false",
    "reason": "a text that says why, and where it was announced",
    "known_until": "a date such as 2027-12-31, unquoted",
    "closed": "a list of dates such as [2027-01-01, 2027-02-08]",
    "half_days": "a list of dates such as [2027-02-05], or []",
    "names": "a list of texts such as [Hang Seng Index, 恒生指数], each of at least two characters",
    "broker_id": "a key in snake_case, such as goldman_sachs",
    "person_id": "a key in snake_case, such as steven_leung",
    "name_id": "a key in snake_case, such as hang_seng_bank",
    "country": "an ISO code of two capitals, such as US",
    "weak": "a list of names that are ordinary words too, such as [Needham]",
    "codes": "a list of texts such as [DB]",
    "rating_scale": "lists such as {positive: [Outperform], neutral: [Neutral], negative: [Underperform]}",
    "broker": "a key of the section brokers, or leave it out",
    "role": "a text of up to 120 characters",
}
#: Where the same field means something else in another section.
_ADVICE_OF: dict[tuple[type[Entry], str], str] = {
    (Broker, "kind"): f"one of {', '.join(BrokerKind)}",
    (OtherName, "kind"): "one of index, company, other",
    (Broker, "aliases"): "a list of names such as [JP Morgan, 摩根大通], each of at least two characters",
    (Person, "aliases"): "a list of names such as [Chris Beddor], each of at least two characters",
}
_SECTION_OF: dict[type[Entry], str] = {
    Instrument: "instruments",
    Event: "events",
    CalendarOverride: "calendar_overrides",
    CalendarExtension: "calendar_extensions",
    Broker: "brokers",
    Person: "people",
    OtherName: "other_names",
}
#: The fields of what is nested in an entry.
_NESTED = {"price_sources": ("source", "code"), "rating_scale": ("positive", "neutral", "negative")}


@dataclass(frozen=True)
class _Raw:
    """One entry as written, and where it stands."""

    file: Path
    line: int
    fields: dict[str, Any]


def load_catalog(home: Path | None = None) -> Catalog:
    """Reads the shipped catalog and, if ``home/catalog`` exists, the user's files over it (see the module's docstring).

    Args:
        home: the project's home directory (``RALLY_HOME``); ``None`` = the shipped catalog alone.

    Raises:
        CatalogError: a file or an entry is wrong; the message names the file, the line, the entry, the field, what is
            wrong and what to write.
    """
    layers = [_shipped_layer()]
    if home is not None:
        layers.append(_read_layer(_user_files(home / "catalog")))
    merged: dict[str, dict[_Key, _Raw]] = {section: {} for section in SECTIONS}
    for layer in layers:
        for section, entries in layer.items():
            for key, raw in entries.items():
                _merge(merged[section], section, key, raw)
    instruments = {str(key): _build(Instrument, "symbol", key, raw) for key, raw in merged["instruments"].items()}
    events = {str(key): _build(Event, "event_id", key, raw) for key, raw in merged["events"].items()}
    overrides = [_build(CalendarOverride, "market", key, raw) for key, raw in merged["calendar_overrides"].items()]
    extensions = [_build(CalendarExtension, "market", key, raw) for key, raw in merged["calendar_extensions"].items()]
    brokers = {str(key): _build(Broker, "broker_id", key, raw) for key, raw in merged["brokers"].items()}
    people = {str(key): _build(Person, "person_id", key, raw) for key, raw in merged["people"].items()}
    others = {str(key): _build(OtherName, "name_id", key, raw) for key, raw in merged["other_names"].items()}
    _check_instruments(instruments, merged["instruments"])
    _check_events(events, merged["events"])
    _check_brokers(brokers, merged["brokers"])
    _check_people(people, brokers, merged["people"])
    ordered_overrides = tuple(sorted(overrides, key=lambda entry: (entry.market, entry.date)))
    ordered_extensions = tuple(sorted(extensions, key=lambda entry: entry.market))
    return Catalog(
        instruments=instruments,
        events=events,
        calendar_overrides=ordered_overrides,
        calendar_extensions=ordered_extensions,
        brokers=brokers,
        people=people,
        other_names=others,
        content_hash=_content_hash(
            {
                "instruments": instruments,
                "events": events,
                "calendar_overrides": ordered_overrides,
                "calendar_extensions": ordered_extensions,
                "brokers": brokers,
                "people": people,
                "other_names": others,
            }
        ),
    )


def _content_hash(sections: Mapping[str, Mapping[str, Entry] | Sequence[Entry]]) -> str:
    """Independent of the order of entries and of how they are written, but not of the order of lists within one."""
    canonical = {
        section: {key: entry.model_dump(mode="json") for key, entry in entries.items()}
        if isinstance(entries, Mapping)
        else [entry.model_dump(mode="json") for entry in entries]
        for section, entries in sections.items()
    }
    text = json.dumps(canonical, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


# --- files ------------------------------------------------------------------------------------------------------------


def _user_files(folder: Path) -> list[Path]:
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise CatalogError(f"{folder} is not a folder. Make it a folder that holds your catalog files (*.yaml).")
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CatalogError(f"{folder} cannot be listed: {error.strerror}. Make it readable.") from error
    for path in files:
        if path.suffix.lower() == ".yml":
            raise CatalogError(f"{path} would not be read: catalog files end in .yaml. Rename it.")
    return [path for path in files if path.suffix == ".yaml"]


@functools.cache
def _shipped_layer() -> dict[str, dict[_Key, _Raw]]:
    """The shipped entries, read once a process; nobody may change what is returned."""
    return _read_layer([SHIPPED / name for name in SHIPPED_FILES])


def _read_layer(files: list[Path]) -> dict[str, dict[_Key, _Raw]]:
    layer: dict[str, dict[_Key, _Raw]] = {section: {} for section in SECTIONS}
    for path in files:
        for section, key, raw in _entries(path):
            if (earlier := layer[section].get(key)) is not None:
                raise CatalogError(
                    f"{path} line {raw.line}, {section} entry {_show(key)}: also in {earlier.file} line "
                    f"{earlier.line}. Keep one of them."
                )
            layer[section][key] = raw
    return layer


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error.strerror}. Make it a readable file or remove it.") from error
    if len(data) > MAX_FILE_BYTES:
        raise CatalogError(f"{path} is larger than {MAX_FILE_BYTES} bytes. Split it into several files.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CatalogError(f"{path} byte {error.start}: not UTF-8. Save the file as UTF-8.") from error


def _compose(path: Path) -> yaml.MappingNode | None:
    """The file's node tree, refused where YAML would be ambiguous or dangerous."""
    text = _read_text(path)
    try:
        _check_shape(path, text)
        node = yaml.compose(text, Loader=_LOADER)
        if node is not None:
            _check_keys(path, node)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1} column {mark.column + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
        raise CatalogError(
            f"{path}{where}: not YAML ({problem}). Check the indentation, and put texts that begin with a sign such as "
            "^ * & @ in quotes."
        ) from error
    if node is None or (isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null")):
        return None
    if not isinstance(node, yaml.MappingNode):
        raise CatalogError(f"{path} line 1: not a mapping. Begin it with one of {', '.join(SECTIONS)}, then a colon.")
    return node


def _check_shape(path: Path, text: str) -> None:
    depth = 0
    documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise CatalogError(f"{path} line {line}: a second document begins. Remove the line with ---.")
        elif getattr(event, "anchor", None) is not None:
            raise CatalogError(
                f"{path} line {line}: anchors and aliases (& and *) are not used in the catalog. Write the value out, "
                "or put a text that begins with & or * in quotes."
            )
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise CatalogError(f"{path} line {line}: nested deeper than {MAX_DEPTH} levels. Write it flat.")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_keys(path: Path, node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise CatalogError(f"{path} line {line}: a key must be a text or a date. Write it as one.")
            if key.value in seen:
                raise CatalogError(
                    f"{path} line {line}: {key.value} is already given in line {seen[key.value]}. Keep one of them."
                )
            seen[key.value] = line
            _check_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_keys(path, value)


def _construct(path: Path, node: yaml.Node) -> Any:
    loader = _LOADER("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: 2025-02-30 looks like a date to YAML and is none.
        problem = getattr(error, "problem", None) or str(error)
        mark = getattr(error, "problem_mark", None) or node.start_mark
        raise CatalogError(
            f"{path} line {mark.line + 1}: {problem}. Write plain texts, numbers, true or false, or dates such as "
            "2025-01-20."
        ) from error
    finally:
        loader.dispose()


def _entries(path: Path) -> Iterator[tuple[str, _Key, _Raw]]:
    """The entries of one file: section, key, and the fields as written. Overrides are keyed by market and date."""
    root = _compose(path)
    if root is None:
        return
    for section_node, entries_node in root.value:
        section = section_node.value
        if section not in SECTIONS:
            raise CatalogError(
                f"{path} line {section_node.start_mark.line + 1}: {section} is not a section of the catalog. "
                f"Write {_closest(section, SECTIONS)}."
            )
        for key_node, key, value_node in _children(path, section, entries_node):
            if not isinstance(key, str):
                raise CatalogError(
                    f"{path} line {key_node.start_mark.line + 1}, {section}: the key {key_node.value} is read as "
                    f'{key!r}, not as a text. Put it in quotes: "{key_node.value}".'
                )
            if section != "calendar_overrides":
                yield section, key, _raw(path, section, key, key_node, value_node)
                continue
            for day_node, day, override_node in _children(path, f"{section} entry {key}", value_node):
                if type(day) is not dt.date:
                    raise CatalogError(
                        f"{path} line {day_node.start_mark.line + 1}, {section} entry {key}: {day_node.value} is not a "
                        "date. Write an unquoted date such as 2023-09-01."
                    )
                yield section, (key, day), _raw(path, section, (key, day), day_node, override_node)


def _children(path: Path, what: str, node: yaml.Node) -> Iterator[tuple[yaml.Node, Any, yaml.Node]]:
    if isinstance(node, yaml.ScalarNode) and node.value in ("", "~", "null"):
        return
    if not isinstance(node, yaml.MappingNode):
        raise CatalogError(
            f"{path} line {node.start_mark.line + 1}, {what}: not a mapping. Write one key with a colon per entry."
        )
    for key_node, value_node in node.value:
        yield key_node, _construct(path, key_node), value_node


def _raw(path: Path, section: str, key: _Key, key_node: yaml.Node, node: yaml.Node) -> _Raw:
    line = key_node.start_mark.line + 1
    fields = _construct(path, node)
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise CatalogError(
            f"{path} line {line}, {section} entry {_show(key)}: has no fields. Write them below it, indented, or "
            "'remove: true' to take a shipped entry out."
        )
    return _Raw(path, line, fields)


# --- entries ----------------------------------------------------------------------------------------------------------


def _merge(entries: dict[_Key, _Raw], section: str, key: _Key, raw: _Raw) -> None:
    shipped = entries.get(key)
    if "remove" in raw.fields:
        where = f"{raw.file} line {raw.line}, {section} entry {_show(key)}, field remove"
        if raw.fields != {"remove": True}:
            raise CatalogError(f"{where}: stands alone and is true, or is left out. Write only 'remove: true'.")
        if shipped is None:
            raise CatalogError(f"{where}: there is no such entry. Remove this one, or correct its key.")
        del entries[key]
        return
    if shipped is None:
        entries[key] = raw
    else:
        entries[key] = _Raw(raw.file, raw.line, {**shipped.fields, **raw.fields})


def _build(model: type[_Model], key_field: str, key: _Key, raw: _Raw) -> _Model:
    fixed: dict[str, Any] = {"market": key[0], "date": key[1]} if isinstance(key, tuple) else {key_field: key}
    where = f"{raw.file} line {raw.line}, {_SECTION_OF[model]} entry {_show(key)}"
    for name, value in fixed.items():
        if name in raw.fields and raw.fields[name] != value:
            raise CatalogError(
                f"{where}, field {name}: is {raw.fields[name]!r} but the entry's key says {value!s}. Leave the field "
                "out."
            )
    fields = dict(raw.fields)
    for name in [name for name, value in fields.items() if value is None and _has_default(model, name)]:
        del fields[name]
    try:
        return model.model_validate({**fields, **fixed})
    except ValidationError as error:
        found = [_explain(model, problem) for problem in error.errors(include_url=False)]
        raise CatalogError(f"{where}, {' Also '.join(dict.fromkeys(found))}") from error


def _has_default(model: type[Entry], name: str) -> bool:
    return name in model.model_fields and not model.model_fields[name].is_required()


def _explain(model: type[Entry], problem: Any) -> str:
    path = [str(part) for part in problem["loc"] if not str(part).startswith(("literal[", "str-enum["))]
    field = path[0] if path else ""
    if problem["type"] == "extra_forbidden":
        names = tuple(model.model_fields) if len(path) == 1 else _NESTED.get(field, ("source", "code"))
        return f"field {path[-1]}: there is no such field. Write {_closest(path[-1], names)}, or leave it out."
    if problem["type"] == "missing":
        # A price source without a source: the advice for the list shows one.
        return f"field {'.'.join(path)}: is missing. Write {_advice(model, field)}."
    advice = _advice(model, field) + (" or SOUTHBOUND" * (model is CalendarOverride and field == "market"))
    if problem["type"] in ("enum", "literal_error"):
        return f"field {'.'.join(path)}: {problem['input']!r} is not known. Write {advice}."
    message = problem["msg"].removeprefix("Value error, ")
    if not path:
        return f"field {_named_field(model, message)}: {message}."
    seen = "" if problem["type"] == "value_error" else f" (it is {problem['input']!r})"
    return f"field {'.'.join(path)}: {message}{seen}. Write {advice}."


def _advice(model: type[Entry], field: str) -> str:
    return _ADVICE_OF.get((model, field)) or _ADVICE.get(field, "a valid value")


def _named_field(model: type[Entry], message: str) -> str:
    return next((name for name in model.model_fields if f"'{name}'" in message), "") or next(
        (name for name in model.model_fields if name in message), "(several)"
    )


def _closest(text: str, choices: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(text, choices, n=1)
    return near[0] if near else f"one of {', '.join(choices)}"


def _show(key: _Key) -> str:
    return key if isinstance(key, str) else f"{key[0]} {key[1]}"


# --- checks across entries --------------------------------------------------------------------------------------------


def _check_instruments(instruments: Mapping[str, Instrument], raws: Mapping[_Key, _Raw]) -> None:
    spellings: dict[str, str] = {symbol: symbol for symbol in instruments}
    codes: dict[tuple[str, str], str] = {}
    for symbol, instrument in instruments.items():
        where = _locator(raws, "instruments", symbol)
        for alias in instrument.aliases:
            owner = spellings.setdefault(alias, symbol)
            if owner != symbol or alias == symbol:
                how = "its own symbol" if alias == symbol else f"already a spelling of {owner}"
                raise CatalogError(f"{where('aliases')}: {alias} is {how}. Leave it out in one place.")
        for source in instrument.price_sources:
            code = source.code or symbol
            owner = codes.setdefault((source.source, code), symbol)
            if owner != symbol:
                raise CatalogError(
                    f"{where('price_sources')}: {source.source} code {code} is already {owner}. Write the code of "
                    f"{symbol}."
                )


def _check_events(events: Mapping[str, Event], raws: Mapping[_Key, _Raw]) -> None:
    for event_id in events:
        stem, _, year = event_id.rpartition("_")
        if year.isdigit() and len(year) == 4 and stem in events and events[stem].rule is not None:
            where = _locator(raws, "events", event_id)
            raise CatalogError(
                f"{where('event_id')}: the rule of event {stem} yields this key itself. Write another key."
            )


def _check_brokers(brokers: Mapping[str, Broker], raws: Mapping[_Key, _Raw]) -> None:
    """An agency may share a spelling with a broker (S&P did equity research), two brokers may not."""
    owners: dict[tuple[bool, str], str] = {}
    for broker_id, broker in brokers.items():
        is_agency = broker.kind is BrokerKind.RATING_AGENCY
        for spelling in (*broker.spellings, *broker.codes):
            owner = owners.setdefault((is_agency, spelling), broker_id)
            if owner != broker_id:
                # What the user wrote is what the user can change, even if the other entry comes later.
                mine, theirs = (owner, broker_id) if raws[broker_id].file.parent == SHIPPED else (broker_id, owner)
                where = _locator(raws, "brokers", mine)
                raise CatalogError(f"{where('aliases')}: {spelling} is already a name of {theirs}. Leave it out.")


def _check_people(people: Mapping[str, Person], brokers: Mapping[str, Broker], raws: Mapping[_Key, _Raw]) -> None:
    for person_id, person in people.items():
        if person.broker and person.broker not in brokers:
            where = _locator(raws, "people", person_id)
            raise CatalogError(
                f"{where('broker')}: {person.broker} is not a broker of the catalog. Write "
                f"{_closest(person.broker, tuple(brokers))}, or leave it out."
                if difflib.get_close_matches(person.broker, tuple(brokers), n=1)
                else f"{where('broker')}: {person.broker} is not a broker of the catalog. Add it to the section "
                "brokers, or leave it out."
            )


def _locator(raws: Mapping[_Key, _Raw], section: str, key: str) -> Callable[[str], str]:
    raw = raws[key]
    return lambda field: f"{raw.file} line {raw.line}, {section} entry {key}, field {field}"
