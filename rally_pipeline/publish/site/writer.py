"""Writing the site: all pages of one view of the warehouse, aside, then in the place of what was there.

Belongs here: which pages there are and their order, the lock, the switch. Does not belong here: what a page shows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from rally_pipeline.files import folder_aside, only_one, settle, sweep, sync_folder
from rally_pipeline.publish import dictionary
from rally_pipeline.publish.site import (
    front,
    hot_money,
    leaderboard,
    lineage,
    notes,
    positioning,
    prices,
    quality,
    ratings,
    southbound,
    tables,
)
from rally_pipeline.publish.site.shell import render
from rally_pipeline.publish.site.world import World, note_page, note_title, open_world
from rally_pipeline.workspace import Workspace

#: The site's folder among what is published, and the one beside it in which it is written.
FOLDER = "site"
_ASIDE = ".site"


def write_site(workspace: Workspace, as_of: dt.date | None = None) -> Path:
    """Writes the site to ``published/site/`` and returns its front page; a reader never sees a half of it.

    Args:
        workspace: its warehouse is read, its published directory written.
        as_of: last market day that is told about; default: the last one with a session.

    Raises:
        BusyError: another process is writing it and does not come to an end.
        OSError: the folder cannot be written; what was there before still is.
    """
    published = workspace.settings.published_dir
    place, beside = published / FOLDER, published / _ASIDE
    beside.mkdir(parents=True, exist_ok=True)
    with only_one(beside / ".lock", workspace.settings.lock_timeout_seconds, workspace.warehouse.tell):
        sweep(beside)
        with folder_aside(beside) as aside:
            new = aside / "new"
            new.mkdir()
            has_report = (published / "quality" / "index.html").exists()
            with workspace.warehouse.read() as connection:
                world = open_world(workspace, connection, as_of)
                for name, text in _pages(world, has_report=has_report):
                    (new / name).write_text(text, encoding="utf-8")
                    settle(new / name)
            sync_folder(new)
            _switch(new, place, aside / "old")
        sync_folder(published)
    return place / "index.html"


def _switch(new: Path, place: Path, old: Path) -> None:
    """Puts a folder in the place of another; if that fails, the other is there again."""
    is_there = place.exists()
    if is_there:
        place.rename(old)
    try:
        new.rename(place)
    except OSError:
        if is_there:
            old.rename(place)
        raise


def _pages(world: World, *, has_report: bool) -> Iterator[tuple[str, str]]:
    """Name and HTML of every page."""
    entries = dictionary.entries()
    noted = notes.read(world)
    for file, title, values in (
        ("index.html", "How far has it run, and who is buying?", front.page(world)),
        ("leaderboard.html", "Leaderboard", leaderboard.page(world)),
        ("prices.html", "Prices", prices.page(world)),
        ("southbound.html", "Southbound flows", southbound.page(world)),
        ("hot-money.html", "Hot money", hot_money.page(world)),
        ("ratings.html", "Ratings and targets", ratings.page(world)),
        ("positioning.html", "Positioning", positioning.page(world)),
        ("notes.html", "Notes and their claims", notes.listing(world, noted)),
        ("quality.html", "Data quality", quality.page(world, has_report=has_report)),
        ("lineage.html", "Lineage", lineage.page(entries)),
        ("dictionary.html", "Dictionary", tables.page(entries)),
    ):
        yield file, render(world, file, title=title, place=file, values=values)
    yield lineage.DRAWING, lineage.drawn(world.notice)
    for row, claims in noted:
        title, values = note_title(row), notes.page(row, claims)
        yield note_page(row["note_id"]), render(world, "note.html", title=title, place="notes.html", values=values)
