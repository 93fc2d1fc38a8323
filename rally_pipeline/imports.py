"""Files that a person saved and hands over: archived, loaded, and the marts brought up to date.

Belongs here: the order of the steps for files, and the report of it. Does not belong here: reading a format
(`sources/price_files.py`, `sources/ecb.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rally_pipeline import ingest, load_log
from rally_pipeline.archive import FetchRecord
from rally_pipeline.audit.store import AuditReport, audit_stored
from rally_pipeline.errors import PayloadError, UsageError
from rally_pipeline.files import sayable
from rally_pipeline.marts.refresh import Refreshed, refresh
from rally_pipeline.sources import ecb, flow_files, note_files, price_files
from rally_pipeline.sources.base import Payload
from rally_pipeline.workspace import Workspace

#: So many files are archived before the first of them is loaded: small ones are judged together.
_TOGETHER = 20

ReadFile = Callable[[Path, Workspace], Payload]


@dataclass(frozen=True)
class FileOutcome:
    """What became of one file. ``refusal`` is set if it was not even archived."""

    path: Path
    outcome: load_log.LoadOutcome | None
    refusal: PayloadError | None = None

    @property
    def name(self) -> str:
        """The file's name, for people."""
        return sayable(self.path.name)

    @property
    def ok(self) -> bool:
        """Whether its rows were loaded."""
        return self.outcome is not None and self.outcome.is_loaded

    @property
    def rule(self) -> str:
        """What refused it; empty if nothing did."""
        return self.refusal.rule if self.refusal else (self.outcome.rule if self.outcome else "")

    @property
    def message(self) -> str:
        """Why; empty if it was loaded."""
        return str(self.refusal) if self.refusal else (self.outcome.message if self.outcome else "")


@dataclass(frozen=True)
class ImportReport:
    """What an import did."""

    files: tuple[FileOutcome, ...]
    refreshed: tuple[Refreshed, ...]
    audited: AuditReport | None = None

    @property
    def ok(self) -> bool:
        """Whether every file was loaded."""
        return all(file.ok for file in self.files)

    @property
    def has_computed(self) -> bool:
        """Whether something that is published has changed."""
        return bool(self.refreshed) or (self.audited is not None and self.audited.has_changed)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One dict per file, for JSON."""
        for file in self.files:
            loaded = file.outcome
            merged = loaded.merged if loaded else None
            yield {
                "file": sayable(file.path),
                "outcome": loaded.outcome if loaded else "refused",
                "rule": file.rule,
                "message": file.message,
                "payload_id": loaded.record.payload_id if loaded else None,
                "known_at": loaded.record.known_at if loaded else None,
                "rows_new": merged.new if merged else 0,
                "rows_changed": merged.changed if merged else 0,
                "rows_same": merged.same if merged else 0,
                "rows_set_aside": loaded.rows_set_aside if loaded else 0,
                "findings": [f"{f.rule}: {f.message}" for f in loaded.findings] if loaded else [],
            }

    def lines(self) -> Iterator[str]:
        """For people."""
        for file in self.files:
            loaded = file.outcome
            if loaded is None or not loaded.is_loaded:
                yield f"{sayable(file.path)}: refused, nothing loaded. {file.message}"
                continue
            merged = loaded.merged
            yield (
                f"{sayable(file.path)}: {merged.new} new, {merged.changed} changed, {merged.same} already known, "
                f"{loaded.rows_set_aside} set aside"
            )
            for finding in loaded.findings:
                yield f"  {finding.severity}: {finding.message} [rule {finding.rule}]"
        for mart in self.refreshed:
            since = f"from {mart.start}" if mart.start else "whole"
            yield f"computed {mart.table}: {mart.rows} rows, {since}"
        if self.audited is not None and self.audited.claims:
            said = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in self.audited.verdicts.items())
            yield f"audited {self.audited.audited} of {self.audited.claims} claims; they stand at: {said}"


def price_payload(
    path: Path, workspace: Workspace, *, source: str, symbol: str | None, price_basis: str | None
) -> Payload:
    """Reads a file of daily bars.

    Raises:
        UsageError: the symbol is not in the catalog, or the provider's name is no name.
        PayloadError: the file is empty or too large.
    """
    if symbol is not None:
        known = workspace.catalog.resolve_symbol(symbol)
        if known is None:
            raise UsageError(
                f"--symbol {symbol} is not in the catalog. "
                f"Fix: add it to {workspace.settings.home / 'catalog' / 'instruments.yaml'}."
            )
        symbol = known
    request = price_files.request_for(
        sayable(path.name),
        source=_provider(source),
        symbol=symbol,
        price_basis=price_basis,  # type: ignore[arg-type]
    )
    return price_files.read_payload(path, request, workspace.now())


def fx_payload(path: Path, workspace: Workspace, *, source: str) -> Payload:
    """Reads a file of ECB reference rates.

    Raises:
        UsageError: the provider's name is no name.
        PayloadError: the file is empty or too large.
    """
    request = ecb.request_for(sayable(path.name), source=_provider(source))
    return price_files.read_payload(path, request, workspace.now())


def flow_payload(path: Path, workspace: Workspace, *, source: str, unit: str | None, currency: str | None) -> Payload:
    """Reads a file of Stock Connect flows: plain daily figures, a broker's long table, or the history by mutual type.

    Raises:
        UsageError: the provider's name is no name.
        PayloadError: the file is empty or too large.
    """
    request = flow_files.request_for(sayable(path.name), source=_provider(source), unit=unit, currency=currency)
    return flow_files.read_payload(path, request, workspace.now())


def note_payload(
    path: Path, workspace: Workspace, *, source: str, declared: Mapping[str, str] | None = None
) -> Payload:
    """Reads a brokerage note, with its side-car ``NAME.yaml`` where there is one.

    Args:
        path: the document.
        workspace: gives the time.
        source: where it came from.
        declared: broker, date, analyst and title as the user gives them; they win over the side-car.

    Raises:
        UsageError: the provider's name is no name.
        PayloadError: the file is empty, too large or no regular file, or its side-car cannot be read.
    """
    return note_files.payload_of(path, workspace.now(), source=_provider(source), declared=declared)


def _provider(name: str) -> str:
    if not (0 < len(name) <= 40 and name.replace("_", "").replace("-", "").isalnum() and name.isascii()):
        raise UsageError(f"--source {name!r} is no name. Fix: letters, digits, '-' and '_', at most 40.")
    return name


def _kept(
    workspace: Workspace, path: Path, read: ReadFile, known_at: dt.datetime | None, run_id: str | None
) -> FetchRecord | PayloadError:
    """A file in the archive, or why it is not."""
    try:
        payload = read(path, workspace)
    except OSError as error:
        # Somebody may have taken it up while others were loaded.
        why = f"{sayable(path.name)} cannot be read: {error.strerror or error}"
        return PayloadError("file_readable", why, "see where it is now")
    except PayloadError as refusal:
        return refusal
    return ingest.keep(workspace, payload, known_at=known_at, run_id=run_id)


def import_files(
    workspace: Workspace,
    paths: Sequence[Path],
    read: ReadFile,
    *,
    known_at: dt.datetime | None,
    refresh_marts: bool,
    progress: Callable[[str], None] = lambda _: None,
    done: Callable[[FileOutcome], None] = lambda _: None,
    run_id: str | None = None,
) -> ImportReport:
    """Loads files one after the other, each in a transaction of its own, then computes what became stale. What was
    archived when a run is killed is loaded by the next one.

    A file that is refused leaves the others alone; it stays in the archive unless it is empty or too large.

    Raises:
        UsageError: `known_at` lies in the future: what comes until then would count as late.
    """
    if known_at is not None and known_at > workspace.now():
        raise UsageError(
            f"--known-at {known_at:%Y-%m-%dT%H:%M:%SZ} is in the future. Fix: give a time that has passed."
        )
    outcomes: list[FileOutcome] = []
    for first in range(0, len(paths), _TOGETHER):
        some = paths[first : first + _TOGETHER]
        kept: list[tuple[Path, FetchRecord | PayloadError]] = []
        for number, path in enumerate(some, start=first + 1):
            progress(f"{number} of {len(paths)}: {sayable(path.name)}")
            kept.append((path, _kept(workspace, path, read, known_at, run_id)))
        ready = ingest.read_ahead(workspace, [record for _, record in kept if not isinstance(record, PayloadError)])
        for path, record in kept:
            if isinstance(record, PayloadError):
                outcomes.append(FileOutcome(path, None, record))
            else:
                outcomes.append(FileOutcome(path, ingest.load(workspace, *next(ready))))
            done(outcomes[-1])
    refreshed: list[Refreshed] = []
    audited = None
    if refresh_marts:
        progress("computing marts")
        with workspace.warehouse.write() as connection:
            refreshed = refresh(connection, progress=lambda mart: progress(f"computed {mart.table}"))
        progress("auditing claims")
        audited = audit_stored(workspace)
    return ImportReport(tuple(outcomes), tuple(refreshed), audited)
