"""Copying a publication to a place that is no folder: object stores and others that fsspec knows.

What has not changed is copied there from the version before, the rest is uploaded, the manifest comes last: a reader
that begins with ``manifest.json`` and stays below the folder it names sees one state. Belongs here: uploading and
removing old versions. Does not belong here: making anything (`publication.py`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rally_pipeline import files
from rally_pipeline.errors import PublishError, RallyError, UsageError
from rally_pipeline.publish import manifest
from rally_pipeline.publish.manifest import NAME, Manifest, PublishedFile
from rally_pipeline.publish.publication import FOLDER, LOCK, VERSION, Published, check_profile

_LOCK_SECONDS = 60.0


def upload(place: Path, made: Manifest, url: str, progress: Callable[[str], None] = lambda _: None) -> Published:
    """Puts the publication `made`, which stands in `place`, under `url`, unless it is there already.

    The version that held there until now stays for its readers; older ones are removed.

    Raises:
        UsageError: no such kind of URL, or a package for it is missing, or data of the other profile is there.
        PublishError: it could not be done; what was there before still holds.
    """
    began = time.monotonic()
    where = without_secrets(url)
    system, root = open_place(url)
    try:
        # Not removed from under the upload.
        with files.only_one(place / FOLDER / LOCK, _LOCK_SECONDS):
            held = _held(system, root, where)
            check_profile(held, made.about.profile, where)
            if held is not None and held.about.version == made.about.version:
                return Published(held, where, (), False, time.monotonic() - began)
            _copy_all(place, made, held, system, root, progress)
        _remove_old(system, root, {made.about.version, held.about.version if held else ""})
    except RallyError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise PublishError(f"nothing was published to {where}: {without_secrets(str(error) or repr(error))}") from error
    known = {} if held is None else {table.name: table for table in held.tables}
    changed = tuple(table.name for table in made.tables if known.get(table.name) != table)
    return Published(made, where, changed, True, time.monotonic() - began)


def without_secrets(text: str) -> str:
    """The text without what stands between ``://`` and ``@`` in its URLs."""
    return re.sub(r"://[^/@\s]*@", "://", text)


def open_place(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        UsageError: no such kind of URL, or a package for it is missing.
        PublishError: it cannot be opened.
    """
    from fsspec.core import url_to_fs

    try:
        system, root = url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise UsageError(f"--to {without_secrets(url)}: {without_secrets(str(error))}") from None
    except Exception as error:  # every file system has errors of its own
        raise PublishError(f"{without_secrets(url)} cannot be opened: {without_secrets(str(error))}") from error
    return system, str(root).rstrip("/")


def _held(system: Any, root: str, where: str) -> Manifest | None:
    try:
        text = system.cat_file(f"{root}/{NAME}").decode("utf-8", errors="replace")
    except FileNotFoundError:
        return None
    return manifest.read(text, f"{where}/{NAME}")


def _copy_all(
    place: Path, made: Manifest, held: Manifest | None, system: Any, root: str, progress: Callable[[str], None]
) -> None:
    there = (
        {} if held is None else {(file.path, file.sha256): f"{root}/{held.folder}/{file.path}" for file in held.files}
    )
    for file in (*made.files, made.database):
        progress(f"uploading {file.path}")
        target = f"{root}/{made.folder}/{file.path}"
        system.makedirs(target.rpartition("/")[0], exist_ok=True)
        old = there.get((file.path, file.sha256))
        if old is None or not _copied(system, old, target, file):
            system.put_file(str(place / made.folder / file.path), target)
            if system.info(target)["size"] != file.bytes:
                raise PublishError(f"{file.path} did not arrive as it was sent. Fix: publish again.")
    text = made.to_text().encode()
    system.pipe_file(f"{root}/{made.folder}/{NAME}", text)
    system.pipe_file(f"{root}/{NAME}", text)


def _copied(system: Any, old: str, target: str, file: PublishedFile) -> bool:
    """Whether the file system could copy what it has; what it has may be gone, or it may not know how."""
    try:
        system.cp_file(old, target)
        return bool(system.info(target)["size"] == file.bytes)
    except (OSError, NotImplementedError):
        return False


def _remove_old(system: Any, root: str, kept: set[str]) -> None:
    system.invalidate_cache()
    for path in system.ls(f"{root}/{FOLDER}", detail=False):
        name = str(path).rstrip("/").rpartition("/")[2]
        if VERSION.fullmatch(name) and name not in kept:
            system.rm(path, recursive=True)
