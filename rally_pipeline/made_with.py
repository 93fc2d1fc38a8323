"""What a run is made with: packages, catalog, calendars, Python, platform. The same again should give the same.

Belongs here: telling these. Does not belong here: writing them down (`orchestration/resources.py`).
"""

from __future__ import annotations

import hashlib
import platform
import sys
from importlib.metadata import distributions, version
from pathlib import Path

from rally_pipeline.catalog import Catalog

#: The lock file of a checkout; an installed package has none.
LOCK_FILE = Path(__file__).parents[1] / "requirements.lock"


def lock_hash(lock_file: Path = LOCK_FILE) -> str:
    """``lock:`` and the SHA-256 of the lock file; without one ``env:`` and that of all installed packages' names and
    versions, sorted, one ``name==version`` a line.
    """
    if lock_file.is_file():
        return f"lock:{hashlib.sha256(lock_file.read_bytes()).hexdigest()}"
    installed = "\n".join(sorted({f"{found.metadata['Name'].lower()}=={found.version}" for found in distributions()}))
    return f"env:{hashlib.sha256(installed.encode()).hexdigest()}"


def made_with(catalog: Catalog) -> dict[str, str]:
    """The columns of ``ops_run`` that say so."""
    return {
        "lock_hash": lock_hash(),
        "catalog_hash": catalog.content_hash,
        "calendar_version": version("exchange_calendars"),
        "python_version": platform.python_version(),
        "platform": f"{sys.platform} {platform.machine()}",
    }
