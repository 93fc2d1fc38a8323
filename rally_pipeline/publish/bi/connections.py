"""Where a warehouse is, in the words of a BI tool: without a password, and so that looking disturbs no run.

Belongs here: turning the URL of a warehouse or of a published DuckDB file into a tool's. Does not belong here: opening
it (`warehouse/engine.py`).
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from rally_pipeline.errors import UsageError

#: What Superset puts in place of a password: it asks for it on import, or keeps the one it has.
SUPERSET_MASK = "XXXXXXXXXX"
_ENGINES = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql", "duckdb": "duckdb"}


def parse(url: str) -> tuple[str, sa.URL]:
    """The engine (``sqlite``, ``postgresql`` or ``duckdb``) and the parsed URL.

    Raises:
        UsageError: no URL, or of another engine, or of a file that is not named.
    """
    try:
        parsed = sa.make_url(url)
        engine = _ENGINES.get(parsed.drivername.split("+")[0])
    except (sa.exc.ArgumentError, ValueError):
        engine = None
    if engine is None:
        # the URL is not repeated: it may hold a password
        raise UsageError(
            "the database must be SQLite, PostgreSQL or DuckDB. Fix: write sqlite:////path/to/file, "
            "duckdb:////path/to/rally.duckdb or postgresql://user@host/database."
        )
    if engine != "postgresql" and parsed.database in (None, "", ":memory:"):
        raise UsageError(f"a {engine} database is a file. Fix: write {engine}:////path/to/file.")
    return engine, parsed


def superset_uri(url: str) -> str:
    """The URI of a database connection in Superset.

    SQLite and DuckDB files are opened for reading only; PostgreSQL by psycopg2, which Superset brings along, with a
    mask where the URL has a password.

    Raises:
        UsageError: as `parse`.
    """
    engine, parsed = parse(url)
    if engine == "postgresql":
        named = parsed.set(drivername="postgresql+psycopg2")
        if named.password is not None:
            named = named.set(password=SUPERSET_MASK)
        return named.render_as_string(hide_password=False)
    path = str(parsed.database).removeprefix("file:")
    if engine == "duckdb":
        return f"duckdb:///{path}?access_mode=READ_ONLY"
    # not immutable: the pipeline goes on writing, and a reader that believes otherwise reads nonsense
    return f"sqlite:///file:{Path(path).as_posix()}?mode=ro&uri=true"
