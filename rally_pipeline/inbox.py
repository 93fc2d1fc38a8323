"""The inbox: files that people drop into folders of ``RALLY_HOME/inbox``, loaded and moved away.

``notes/``, ``prices/``, ``flows/`` and ``fx/`` each hold files of one kind. A file that was loaded goes to
``processed/YYYY-MM-DD/``, one that was refused to ``rejected/YYYY-MM-DD/`` with ``NAME.reason.txt`` beside it; both
stay in the archive. A note may have a side-car ``NAME.yaml`` beside it, which moves with it.

Belongs here: which files are taken up, and where they go. Does not belong here: reading a format, loading
(`imports.py`).
"""

from __future__ import annotations

import datetime as dt
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from rally_pipeline import locks
from rally_pipeline.errors import PayloadError, UsageError
from rally_pipeline.files import fitting, sayable
from rally_pipeline.imports import (
    FileOutcome,
    ImportReport,
    ReadFile,
    flow_payload,
    fx_payload,
    import_files,
    note_payload,
    price_payload,
)
from rally_pipeline.schema import ops
from rally_pipeline.settings import Settings
from rally_pipeline.workspace import Workspace

#: Endings of a side-car file, and of the one that says why a file was refused.
SIDE_CAR, _REASON = ".yaml", ".reason.txt"
#: Folders of what was taken up.
PROCESSED, REJECTED = "processed", "rejected"
#: A file changed less than so many seconds ago may still be being written; it is left for the next time.
SETTLED_SECONDS = 2.0
#: Held by the process that takes up files.
_LOCK = ".lock"
#: Files taken up at one time; the rest waits for the next.
MAX_FILES = 10_000

KINDS: dict[str, ReadFile] = {
    "notes": lambda path, workspace: note_payload(path, workspace, source="inbox"),
    "prices": lambda path, workspace: price_payload(path, workspace, source="file", symbol=None, price_basis=None),
    "flows": lambda path, workspace: flow_payload(path, workspace, source="file", unit=None, currency=None),
    "fx": lambda path, workspace: fx_payload(path, workspace, source="ecb"),
}


@dataclass(frozen=True)
class Waiting:
    """A file in the inbox: size in bytes, time of its last change in nanoseconds. ``is_regular`` is ``False`` for links
    and devices, which are never opened.
    """

    kind: str
    path: Path
    is_regular: bool
    size: int
    changed_ns: int


def waiting(settings: Settings, kind: str, *, settled_seconds: float = SETTLED_SECONDS) -> list[Waiting]:
    """The files of a kind that can be taken up, by name. Folders, hidden files and side-cars are passed over."""
    folder = settings.inbox_dir / kind
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    latest = dt.datetime.now(dt.UTC).timestamp() - settled_seconds
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if entry.name.startswith(".") or stat.S_ISDIR(status.st_mode) or status.st_mtime > latest:
                continue
            if kind == "notes" and entry.name.endswith(SIDE_CAR) and _is_beside(folder, entry.name):
                continue
            found.append(
                Waiting(kind, folder / entry.name, stat.S_ISREG(status.st_mode), status.st_size, status.st_mtime_ns)
            )
    return sorted(found, key=lambda one: one.path.name)[:MAX_FILES]


def _is_beside(folder: Path, name: str) -> bool:
    return os.path.lexists(folder / name.removesuffix(SIDE_CAR))


def take_up(
    workspace: Workspace,
    kinds: Sequence[str] = tuple(KINDS),
    *,
    settled_seconds: float = SETTLED_SECONDS,
    refresh_marts: bool = True,
    progress: Callable[[str], None] = lambda _: None,
    run_id: str | None = None,
) -> ImportReport:
    """Loads what lies in the inbox and moves it away; a file that is refused leaves the others alone. One process at a
    time does so.

    A run that is killed between the two leaves the file where it is: taking it up again changes nothing, since its
    bytes are known.

    Raises:
        BusyError: another process takes it up, and did not come to an end in time.
    """
    lock, settings = workspace.settings.inbox_dir / _LOCK, workspace.settings
    # Looked at when it is our turn: what somebody else has taken up meanwhile is no longer there.
    with locks.only_one(
        lock,
        settings.lock_timeout_seconds,
        what=f"another process that takes up {lock.parent}",
        tell=workspace.warehouse.tell,
    ):
        todo = [one for kind in kinds for one in waiting(workspace.settings, kind, settled_seconds=settled_seconds)]
        files: list[FileOutcome] = []
        last: ImportReport | None = None
        for kind in dict.fromkeys(one.kind for one in todo):
            of_kind = [one for one in todo if one.kind == kind]
            last = import_files(
                workspace,
                [one.path for one in of_kind],
                _guarded(KINDS[kind], {one.path for one in of_kind if not one.is_regular}),
                known_at=None,
                refresh_marts=refresh_marts,
                progress=progress,
                run_id=run_id,
                done=lambda outcome, kind=kind: _move(workspace, kind, outcome),  # type: ignore[misc]
            )
            files += last.files
        return ImportReport(tuple(files), last.refreshed if last else (), last.audited if last else None)


def _guarded(read: ReadFile, irregular: set[Path]) -> ReadFile:
    def guarded(path: Path, workspace: Workspace) -> object:
        if path in irregular:
            raise PayloadError("regular_file", f"{sayable(path.name)} is a link or a device", "copy the file itself")
        return read(path, workspace)

    return guarded  # type: ignore[return-value]


def _move(workspace: Workspace, kind: str, outcome: FileOutcome) -> None:
    """Moves a file to where it belongs and writes down what became of it."""
    path = outcome.path
    if not os.path.lexists(path):
        return  # whoever took it away knows why
    now = workspace.now()
    folder = path.parent / (PROCESSED if outcome.ok else REJECTED) / f"{now:%Y-%m-%d}"
    _make_inside(path.parent, folder)
    size = path.lstat().st_size
    target = _free(folder, path.name)
    if not outcome.ok:
        # The reason first: a rejected file without one would be a riddle.
        # It is made anew, so a link that somebody put in its place is not followed.
        with _reason_path(target).open("x", encoding="utf-8") as reason:
            reason.write("\n".join(_reason(outcome, now)) + "\n")
    path.rename(target)
    side_car = path.with_name(path.name + SIDE_CAR)
    if kind == "notes" and os.path.lexists(side_car):
        side_car.rename(folder / f"{target.name}{SIDE_CAR}")
    loaded = outcome.outcome
    with workspace.warehouse.write() as connection:
        connection.execute(
            sa.insert(ops.ops_inbox_file).values(
                inbox=kind,
                file_name=sayable(path.name),
                handled_at=now,
                outcome="loaded" if outcome.ok else "refused",
                rule=outcome.rule,
                message=outcome.message,
                moved_to=sayable(target.relative_to(path.parent).as_posix()),
                byte_count=size,
                fetch_id=loaded.record.fetch_id if loaded else None,
            )
        )


def _reason(outcome: FileOutcome, now: dt.datetime) -> Iterator[str]:
    yield f"file: {outcome.name}"
    yield f"refused: {now:%Y-%m-%d %H:%M:%S} UTC"
    yield f"rule: {outcome.rule}"
    yield f"reason: {outcome.message}"
    if outcome.outcome is not None:
        yield f"archived: payload {outcome.outcome.record.payload_id}"
    yield "Correct the file, or the catalog, and drop it into the inbox again."


def _make_inside(inbox: Path, folder: Path) -> None:
    """Makes a folder below the inbox, unless a link on the way leads out of it.

    Raises:
        UsageError: it does; nothing is moved or written.
    """
    for part in (folder.parent, folder):
        if not part.is_symlink():
            part.mkdir(exist_ok=True)
        if part.is_symlink() or not part.resolve().is_relative_to(inbox.resolve()):
            raise UsageError(
                f"{part} leads out of the inbox: nothing is moved there. Fix: replace the link by a folder."
            )


def _reason_path(target: Path) -> Path:
    return target.with_name(target.name + _REASON)


def _free(folder: Path, name: str) -> Path:
    """A path in the folder that is not taken: the name as text, or one with a number, cut so that a reason's fits."""
    name = fitting(folder, sayable(name), len(_REASON) + len(f" ({MAX_FILES})"))
    target, number = folder / name, 1
    while os.path.lexists(target) or os.path.lexists(_reason_path(target)):
        number += 1
        target = folder / f"{Path(name).stem} ({number}){Path(name).suffix}"
    return target
