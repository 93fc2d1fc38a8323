"""What is published follows what changed: the tables, then the report for people.

Used wherever marts change outside of `rally-pipeline run`, which publishes once after the last of its own runs. The
warehouse has everything either way, so a failure here is told and undoes nothing. Belongs here: when, in which order,
and what is said. Does not belong here: publishing (`publication.py`), writing the report (`site/`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rally_pipeline.errors import RallyError
from rally_pipeline.publish.publication import current_manifest, publish
from rally_pipeline.publish.site import write_site

if TYPE_CHECKING:
    from rally_pipeline.workspace import Workspace


def renew(workspace: Workspace, progress: Callable[[str], None] = lambda _: None) -> list[str]:
    """Publishes tables and report to the home; gives the lines that say so, or why not."""
    try:
        return [*publish(workspace, progress=progress).lines(), f"report: {write_site(workspace)}"]
    except (OSError, RallyError) as error:
        return [f"not published: {error}"]


def renew_if_published(workspace: Workspace, progress: Callable[[str], None] = lambda _: None) -> list[str]:
    """`renew`, where something is published that would be out of date now; else nothing is done or said."""
    try:
        is_published = current_manifest(workspace.settings.published_dir) is not None
    except (OSError, RallyError):
        is_published = True  # broken, and `renew` says how
    return renew(workspace, progress) if is_published else []
