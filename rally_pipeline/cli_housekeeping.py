"""The commands of `rally-pipeline` that keep a home in order: the archive, what Dagster remembers, backup and restore.

As `cli.py`, of which they are a part: thin, and everything heavy is imported by the command that needs it. Belongs
here: arguments and output. Does not belong here: work.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rally_pipeline.console import Progress

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def archive() -> None:
    """Look after the raw payloads: are they whole, and do old ones lie together?"""


@archive.command(name="verify")
@click.option("--sample", type=click.IntRange(min=1), help="Hash so many payloads, chosen at random.")
@click.option("--all", "every", is_flag=True, help="Hash all payloads; the default.")
@_JSON
def archive_verify(sample: int | None, every: bool, as_json: bool) -> None:
    """Say whether every payload is there and is what was stored, what nobody names, and what to do about it."""
    from rally_pipeline.archive import Archive
    from rally_pipeline.archive_care import verify
    from rally_pipeline.fetches import registered
    from rally_pipeline.settings import load_settings
    from rally_pipeline.workspace import look_at

    if sample is not None and every:
        raise click.UsageError("give --sample or --all, not both")
    settings = load_settings()
    workspace = look_at(settings)
    with _progress() as progress:
        known = None if workspace is None else registered(workspace)
        done = verify(Archive(settings.archive_dir), sample=sample, registered=known, progress=progress)
    _show(done, as_json)


@archive.command(name="compact")
@click.option(
    "--before",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    help="Only months that ended before this day (default: all but the present one).",
)
@click.option("--remove-orphans", is_flag=True, help="Remove bytes that no fetch names.")
@click.option(
    "--older-than",
    metavar="DAYS",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Of these, only those that are older than so many days.",
)
@_JSON
def archive_compact(before: dt.datetime | None, remove_orphans: bool, older_than: int, as_json: bool) -> None:
    """Put the payloads of each finished month into one ZIP file; everything reads as before."""
    from rally_pipeline.archive import Archive
    from rally_pipeline.archive_care import compact
    from rally_pipeline.settings import load_settings

    settings = load_settings()
    with _progress() as progress:
        done = compact(
            Archive(settings.archive_dir),
            before=before.date() if before else dt.datetime.now(dt.UTC).date(),
            remove_orphans_older_than=dt.timedelta(days=older_than) if remove_orphans else None,
            lock_timeout_seconds=settings.lock_timeout_seconds,
            progress=progress,
        )
    _show(done, as_json)


@click.command()
@click.option(
    "--runs-older-than",
    "days",
    metavar="DAYS",
    type=click.IntRange(min=1),
    help="Runs that ended so many days ago (default: RALLY_KEEP_RUNS_DAYS, 90).",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@_JSON
def prune(days: int | None, dry_run: bool, as_json: bool) -> None:
    """Remove logs of old runs, and pages and alerts of long ago; Dagster still knows what is materialized.

    `make ui` does it every week.
    """
    from rally_pipeline.console import write_json
    from rally_pipeline.orchestration.retention_job import prune_home
    from rally_pipeline.settings import load_settings

    settings = load_settings()
    pruned, retired = prune_home(settings, days or settings.keep_runs_days, dry_run=dry_run)
    if as_json:
        write_json([pruned.to_json() | retired.to_json()], sys.stdout)
    else:
        for line in (*pruned.lines(), *retired.lines()):
            click.echo(line)


@click.command()
@click.argument("to", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path))
@click.option("--with-dagster", is_flag=True, help="Also what Dagster knows of runs and partitions.")
@_JSON
def backup(to: Path, with_dagster: bool, as_json: bool) -> None:
    """Copy warehouse, archive and catalog to FOLDER, while the pipeline goes on.

    FOLDER may hold earlier backups of the same home: of the archive only what is new is copied.
    """
    from rally_pipeline.backup.make import make
    from rally_pipeline.settings import load_settings

    with _progress() as progress:
        done = make(load_settings(), to, with_dagster=with_dagster, progress=progress)
    _show(done, as_json)


@click.command()
@click.argument("source", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--into", metavar="HOME", type=click.Path(file_okay=False, path_type=Path), help="Home to make.")
@click.option("--force", is_flag=True, help="If there is a home already, move it aside.")
@click.option("--check", is_flag=True, help="Read and check all of it, and restore nothing.")
@_JSON
def restore(source: Path, into: Path | None, force: bool, check: bool, as_json: bool) -> None:
    """Make a home from the latest backup in FOLDER, or from the one that FOLDER is.

    The home is RALLY_HOME unless --into names another; the warehouse is RALLY_WAREHOUSE_URL, an empty database of
    either engine, or else a file of the home.
    """
    from rally_pipeline.backup.restore import restore as restore_home
    from rally_pipeline.settings import load_settings

    with _progress() as progress:
        done = restore_home(load_settings(), source, into=into, force=force, only_check=check, progress=progress)
    _show(done, as_json)


@contextmanager
def _progress() -> Iterator[Progress]:
    from rally_pipeline.console import Progress

    progress = Progress()
    try:
        yield progress
    finally:
        progress.done()


def _show(done: Any, as_json: bool) -> None:
    """Prints a report and ends with its exit code."""
    from rally_pipeline.console import write_json

    if as_json:
        write_json([done.to_json()], sys.stdout)
    else:
        for line in done.lines():
            click.echo(line)
    sys.exit(0 if done.ok else 1)


#: What `cli.py` takes in.
COMMANDS: tuple[click.Command, ...] = (archive, prune, backup, restore)
