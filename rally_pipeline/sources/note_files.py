"""Brokerage notes that were dropped or handed over: from the bytes of a document to notes, mentions, claims, ratings.

Belongs here: how a document is archived, and how what `notes/` finds in it becomes rows. Does not belong here: reading
formats and texts (`notes/`), moving files about (`inbox.py`).
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rally_pipeline.catalog.model import Catalog
from rally_pipeline.errors import PayloadError, PermanentFetchError
from rally_pipeline.files import sayable
from rally_pipeline.notes.records import EXTRACTOR_VERSION, AsOfBasis
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity, typed_frame

if TYPE_CHECKING:
    from rally_pipeline.notes.extract import Extraction
    from rally_pipeline.sources.http import Upstream

SOURCE = "note_files"
#: Largest side-car file.
MAX_SIDE_CAR_BYTES = 64 * 1024


def request_for(
    name: str, *, source: str = "inbox", side_car: bytes | None = None, modified_at: dt.datetime | None = None
) -> FetchRequest:
    """The request under which a document is archived: the side-car and the file's time belong to it, since what is
    read depends on them.

    Args:
        name: file name; a folder before it is dropped.
        source: where it came from, as the user names it.
        side_car: YAML beside the document that gives broker, date, analyst.
        modified_at: aware time of the file's last change: its date, if nothing else gives one.

    Raises:
        PayloadError: ``side_car_size`` or ``side_car_text``.
    """
    name = Path(name).name
    params = {"file_name": name}
    if side_car is not None:
        if len(side_car) > MAX_SIDE_CAR_BYTES:
            raise PayloadError("side_car_size", f"the side-car of {name} is larger than 64 KiB", "shorten it")
        try:
            params["side_car"] = side_car.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise PayloadError(
                "side_car_text", f"the side-car of {name} is not UTF-8: {error}", "save it so"
            ) from error
    if modified_at is not None:
        params["modified_at"] = modified_at.astimezone(dt.UTC).isoformat(timespec="seconds")
    return FetchRequest(source, SOURCE, Dataset.NOTE, name, params=params)


def payload_of(
    path: Path, fetched_at: dt.datetime, *, source: str, declared: Mapping[str, str] | None = None
) -> Payload:
    """A document with its side-car ``NAME.yaml``, where there is one.

    Args:
        path: the document.
        fetched_at: the time, aware.
        source: where it came from.
        declared: what the user says of it (``broker``, ``date``, ``analyst``); it wins over the side-car.

    Raises:
        PayloadError: as `request_for` and `read_payload`.
        OSError: a file cannot be read.
    """
    beside = path.with_name(path.name + ".yaml")
    side_car = None
    # Whether it is there at all first: that is no error where the longer name is too long for the file system.
    if os.path.lexists(beside) and beside.is_file() and not beside.is_symlink():
        with beside.open("rb") as file:
            side_car = file.read(MAX_SIDE_CAR_BYTES + 1)
    if declared:
        said = "".join(f"{name}: {json.dumps(value)}\n" for name, value in declared.items())
        names = tuple(f"{name}:".encode() for name in declared)
        kept = [line for line in (side_car or b"").splitlines(keepends=True) if not line.startswith(names)]
        side_car = said.encode() + b"".join(kept)
    modified_at = dt.datetime.fromtimestamp(path.lstat().st_mtime, dt.UTC)
    request = request_for(sayable(path.name), source=source, side_car=side_car, modified_at=modified_at)
    return read_payload(path, request, fetched_at)


def read_payload(path: Path, request: FetchRequest, fetched_at: dt.datetime) -> Payload:
    """The document's bytes as they are.

    Raises:
        PayloadError: ``size_bound``, ``not_empty``, ``regular_file``.
        OSError: the file cannot be read.
    """
    from rally_pipeline.notes.limits import MAX_DOCUMENT_BYTES

    if path.is_symlink() or not path.is_file():
        raise PayloadError("regular_file", f"{sayable(path.name)} is no regular file", "copy the document itself")
    with path.open("rb") as file:
        body = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(body) > MAX_DOCUMENT_BYTES:
        raise PayloadError(
            "size_bound",
            f"the document is larger than {MAX_DOCUMENT_BYTES // 2**20} MiB",
            "split it, or save it as text",
        )
    if not body:
        raise PayloadError("not_empty", "the file is empty", "save it again")
    return Payload(request, body, "", 200, fetched_at)


def plan(
    catalog: Catalog, start: dt.date, end: dt.date, *, symbols: Collection[str] | None = None, today: dt.date
) -> list[FetchRequest]:
    """Nothing: documents are dropped, not asked for."""
    return []


def fetch(request: FetchRequest, upstream: Upstream) -> Payload:
    """Always refuses; see `read_payload`."""
    raise PermanentFetchError(f"{request.subject} is a dropped document; it is imported, not fetched")


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """The notes of a document and all that was found in them.

    Findings (all *warn*): ``reading`` (what the reader noticed), ``date_from_file``, ``broker_not_in_catalog``.

    Raises:
        PayloadError: the document cannot be read, or not within bounds.
    """
    notes: list[dict[str, Any]] = []
    mentions: list[dict[str, Any]] = []
    claims: list[dict[str, Any]] = []
    ratings: list[dict[str, Any]] = []
    findings: list[Finding] = []
    for extraction, basis in extractions(payload, catalog):
        note_id = note_id_of(payload.payload_id, extraction.note.part)
        row = _note_row(extraction, basis, note_id, payload)
        notes.append(row)
        mentions += _mention_rows(extraction, note_id, row["as_of_date"])
        claims += _claim_rows(extraction, note_id, row)
        ratings += _rating_rows(extraction, note_id, row, catalog)
        findings += _findings(extraction, row)
    return Parsed(
        _frame(Dataset.NOTE, notes),
        tuple(findings),
        {
            Dataset.NOTE_MENTION: _frame(Dataset.NOTE_MENTION, mentions),
            Dataset.NOTE_CLAIM: _frame(Dataset.NOTE_CLAIM, claims),
            Dataset.RATING_ACTION: _frame(Dataset.RATING_ACTION, ratings),
        },
    )


def extractions(payload: Payload, catalog: Catalog) -> Iterator[tuple[Extraction, Mapping[str, str]]]:
    """Each note of a document with what was found in it, and where house, author and date were found.

    Raises:
        PayloadError: the document cannot be read, or not within bounds.
    """
    from rally_pipeline.notes.context import context_of
    from rally_pipeline.notes.extract import extract_note
    from rally_pipeline.notes.lexicon import Lexicon
    from rally_pipeline.notes.readers import read_document

    params = payload.request.params
    side_car = params["side_car"].encode() if "side_car" in params else None
    file_time = dt.datetime.fromisoformat(params["modified_at"]) if "modified_at" in params else payload.fetched_at
    lexicon = Lexicon.from_catalog(catalog)
    events = EventDates(catalog)
    for note in read_document(payload.body, params["file_name"], side_car):
        context, basis = context_of(note, file_time, lexicon)
        document = note_id_of(payload.payload_id, note.part)
        yield extract_note(note, context, lexicon, events=events, document=document), basis


def note_id_of(document_sha256: str, part: str) -> str:
    """Identity of a part of a document."""
    return hashlib.sha256(f"{document_sha256}\0{part}".encode()).hexdigest()


class EventDates(Mapping[str, dt.date]):
    """Event id → date, computed from the catalog and the calendars when the first is asked for.

    Calendars take most of a second to build, and few texts speak of events.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __getitem__(self, event_id: str) -> dt.date:
        """The date; raises KeyError for an event that the catalog does not know."""
        return _event_dates(self._catalog.content_hash, self)[event_id]

    def __iter__(self) -> Iterator[str]:
        """All event ids."""
        return iter(_event_dates(self._catalog.content_hash, self))

    def __len__(self) -> int:
        """How many."""
        return len(_event_dates(self._catalog.content_hash, self))

    def __hash__(self) -> int:
        """Equal for equal catalogs, so that dates are computed once for each."""
        return hash(self._catalog.content_hash)

    def __eq__(self, other: object) -> bool:
        """Whether it is about an equal catalog."""
        return isinstance(other, EventDates) and other._catalog.content_hash == self._catalog.content_hash

    def compute(self) -> dict[str, dt.date]:
        """All of them."""
        from rally_pipeline.sessions import Calendars, expand_events

        calendars = Calendars.from_catalog(self._catalog)
        first, last = calendars.first_day("CN").year + 1, calendars.horizon("CN").year
        expanded = expand_events(list(self._catalog.events.values()), calendars, first, last)
        return {event_id: day for event_id, _, day in expanded}


@functools.lru_cache(maxsize=8)
def _event_dates(content_hash: str, events: EventDates) -> dict[str, dt.date]:
    return events.compute()


def _note_row(extraction: Extraction, basis: Mapping[str, str], note_id: str, payload: Payload) -> dict[str, Any]:
    from rally_pipeline.notes.sentences import is_chinese
    from rally_pipeline.notes.similarity import similarity_hash

    note, context = extraction.note, extraction.context
    text = note.canonical.text
    return {
        "note_id": note_id,
        "as_of_date": context.as_of or payload.fetched_at.date(),
        "as_of_basis": (context.as_of_basis or AsOfBasis.FILE_TIME).value,
        "document_sha256": payload.payload_id,
        "part": note.part,
        "file_name": payload.request.params["file_name"],
        "file_type": note.file_type,
        "title": note.title,
        "broker_id": context.broker_id,
        "broker_text": context.broker_text,
        "broker_basis": basis.get("broker", ""),
        "analyst": context.analyst,
        "analyst_basis": basis.get("analyst", ""),
        "newspaper": context.newspaper,
        "external_id": note.declared.get("id", ""),
        "language": "zh" if is_chinese(text, 0, len(text)) else "en",
        "text_sha256": note.canonical.sha256,
        "similarity_hash": similarity_hash(text),
        "text": text,
        "page_starts": json.dumps(list(note.canonical.page_starts)),
        "warnings": json.dumps(list(note.warnings), ensure_ascii=False),
        "claim_count": len(extraction.claims),
        "extractor_version": EXTRACTOR_VERSION,
        "locator": note.part or "document",
    }


def _mention_rows(extraction: Extraction, note_id: str, as_of: dt.date) -> Iterator[dict[str, Any]]:
    for mention in extraction.mentions:
        yield {
            "note_id": note_id,
            "start_offset": mention.start,
            "end_offset": mention.end,
            "as_of_date": as_of,
            "mention_kind": mention.kind.value,
            "mention_text": mention.text,
            "entity_id": mention.entity_id,
            "other_readings": " ".join(mention.also),
            "extractor_version": EXTRACTOR_VERSION,
            "locator": f"{extraction.note.part or 'document'} @{mention.start}",
        }


#: Fields of `details` that are columns of their own.
_OWN_COLUMNS = ("statement_class", "investors", "polarity")
_SAME_NAMED = (
    *("rule_id", "subject_text", "subject_id", "metric", "value", "value_prior", "unit", "currency", "tolerance"),
    *("hedge", "is_scale_word_chinese", "timing", "broker_id", "broker_text", "speaker", "speaker_role", "stance"),
    *("rating_action", "target_action", "action_text", "rating", "rating_prior", "analyst", "is_conflict", "quote"),
)


def claim_fields(extraction: Extraction) -> Iterator[dict[str, Any]]:
    """Each claim of a note as flat fields: those of ``core_note_claim`` less what the note itself gives; dates are
    `datetime.date`, what is not known is ``None``.
    """
    text = extraction.note.canonical.text
    for one in extraction.claims:
        claim, window = one.claim, one.claim.window
        own = {name: claim.details.get(name) for name in _OWN_COLUMNS}
        details = {name: value for name, value in claim.details.items() if name not in _OWN_COLUMNS}
        yield {
            "claim_id": one.claim_id,
            "claim_type": claim.claim_type.value,
            **{name: getattr(claim, name) for name in _SAME_NAMED},
            "repeat_of": one.repeat_of,
            "direction": claim.direction.value if claim.direction else "",
            "comparator": claim.comparator.value,
            "as_of_date": claim.as_of_date,
            "as_of_basis": claim.as_of_basis.value if claim.as_of_basis else None,
            "window_kind": window.kind.value if window else "",
            "window_text": text[window.start : window.end] if window else "",
            "window_start_earliest": window.start_earliest if window else None,
            "window_start_latest": window.start_latest if window else None,
            "window_end": window.last if window else None,
            "window_event_id": window.event_id if window else "",
            "window_months": window.months if window else None,
            "window_days": window.days if window else None,
            "is_base_inclusive": window.is_base_inclusive if window else False,
            "is_window_inherited": window.is_inherited if window else False,
            "source_kind": claim.source_kind.value,
            "quote_kind": claim.quote_kind.value,
            "statement_class": own["statement_class"] or "",
            "investors": own["investors"] or "",
            "polarity": own["polarity"],
            "details": json.dumps(details, ensure_ascii=False, sort_keys=True),
            "start_offset": claim.start,
            "end_offset": claim.end,
            "prefix": one.prefix,
            "suffix": one.suffix,
            "page": one.page,
        }


def _claim_rows(extraction: Extraction, note_id: str, note: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for fields in claim_fields(extraction):
        inclusive = fields["is_base_inclusive"]
        yield {
            **fields,
            "note_id": note_id,
            "as_of_date": fields["as_of_date"] or note["as_of_date"],
            "as_of_basis": fields["as_of_basis"] or note["as_of_basis"],
            "is_base_inclusive": None if inclusive is None else float(inclusive),
            "extractor_version": EXTRACTOR_VERSION,
            "locator": f"{extraction.note.part or 'document'} @{fields['start_offset']}",
        }


def _rating_rows(
    extraction: Extraction, note_id: str, note: Mapping[str, Any], catalog: Catalog
) -> Iterator[dict[str, Any]]:
    from rally_pipeline.notes.extract import rating_records

    for record in rating_records(extraction):
        claim, rating, target = record.claim, record.rating, record.target
        ticker = str(record.details.get("ticker") or extraction.context.ticker)
        symbol = claim.subject_id or (catalog.resolve_symbol(ticker) if ticker else None) or ""
        is_price = target is not None and target.metric == "target_price"
        yield {
            "action_id": hashlib.sha256(f"{note_id}\0{record.claim_id}".encode()).hexdigest(),
            "note_id": note_id,
            "claim_id": record.claim_id,
            "broker_id": claim.broker_id,
            "broker_text": claim.broker_text,
            "analyst": claim.analyst or extraction.context.analyst,
            "subject_text": claim.subject_text,
            "symbol": symbol,
            "action_date": claim.as_of_date or note["as_of_date"],
            "rating_action": rating.rating_action if rating else "",
            "action_text": " / ".join(dict.fromkeys(c.action_text for c in (rating, target) if c and c.action_text)),
            "rating": rating.rating if rating else "",
            "rating_prior": rating.rating_prior if rating else "",
            "target_action": target.target_action if target else "",
            "target_price": target.value if target else None,
            "target_price_prior": target.value_prior if target else None,
            "currency": target.currency if target and is_price else "",
            "is_conflict": bool(target and target.is_conflict),
            "locator": f"{extraction.note.part or 'document'} @{claim.start}",
        }


def _findings(extraction: Extraction, row: Mapping[str, Any]) -> Iterator[Finding]:
    where = extraction.note.part
    for warning in extraction.note.warnings:
        yield Finding("reading", Severity.WARN, warning, where)
    if row["as_of_basis"] == AsOfBasis.FILE_TIME.value:
        yield Finding(
            "date_from_file",
            Severity.WARN,
            f"no date in the text or beside it; the file's is {row['as_of_date']}",
            where,
        )
    unknown = {c.claim.broker_text for c in extraction.claims if c.claim.broker_text and not c.claim.broker_id}
    if row["broker_text"] and not row["broker_id"]:
        unknown.add(row["broker_text"])
    if unknown:
        names = ", ".join(sorted(unknown)[:10])
        yield Finding(
            "broker_not_in_catalog", Severity.WARN, f"not in the catalog of brokers: {names}", where, len(unknown)
        )


def _frame(dataset: Dataset, rows: list[dict[str, Any]]) -> Any:
    from rally_pipeline.sources.base import COLUMNS

    columns = COLUMNS[dataset]
    return typed_frame(dataset, {name: [row[name] for row in rows] for name in columns})
