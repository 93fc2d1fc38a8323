"""Which version of the schema a warehouse has, and how it becomes the current one.

Facts, provenance and operations (what cannot be computed again) are migrated by Alembic, one revision per release
that changes them. Derived and reference tables are made from their declarations: when a declaration changes, the table
is dropped, made anew and filled again. Belongs here: that decision. Does not belong here: filling (`marts/refresh.py`,
`reference.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement, SetColumnComment, SetTableComment

from rally_pipeline.errors import ProfileMismatchError, SchemaVersionError, UsageError
from rally_pipeline.schema import core, core_flows, mart_flows, metadata, ops, table_info
from rally_pipeline.settings import Profile
from rally_pipeline.warehouse.engine import Warehouse

if TYPE_CHECKING:
    from alembic.config import Config

#: The revision this code reads and writes; a test holds it equal to the newest script in ``migrations/versions``.
HEAD = "0008"

#: Statements about what reference tables, derived tables and the dictionary were made from.
FILLED_FROM = ("calendar_hash", "catalog_hash", "dictionary_hash")

_MIGRATIONS = Path(__file__).with_name("migrations")


def kept_tables() -> list[sa.Table]:
    """Tables whose rows cannot be computed again, in order of creation: Alembic owns their shape."""
    derived = set(derived_tables())
    return [t for t in metadata.sorted_tables if t not in derived]


def derived_tables() -> list[sa.Table]:
    """Tables that can be filled again from the kept ones, the catalog, the calendars and the declarations."""
    resolved = {*core.RESOLVED, *core_flows.RESOLVED, mart_flows.ops_reconciliation}
    remade = {*core.REFERENCE, *resolved, *ops.DICTIONARY}
    return [t for t in metadata.sorted_tables if t in remade or table_info(t).layer == "mart"]


def current_revision(connection: sa.Connection) -> str | None:
    """The revision the warehouse is at; ``None`` for an empty one."""
    inspector = sa.inspect(connection)
    if not inspector.has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def prepare(
    warehouse: Warehouse, profile: Profile | None, tell: Callable[[str], None] = lambda _: None
) -> tuple[Profile, list[str]]:
    """Makes or upgrades the schema, settles the profile, and lets readers see what was made anew.

    Args:
        warehouse: the opened warehouse.
        profile: the profile asked for; ``None`` = what the warehouse was made with, live for a new one.
        tell: gets one line for every change made to an existing warehouse; nothing is upgraded silently.

    Returns:
        The warehouse's profile and the names of derived tables that are new and empty.

    Raises:
        SchemaVersionError: the warehouse is of a newer version, or holds tables that are not this project's.
        ProfileMismatchError: the warehouse holds data of the other profile.
    """
    # Whoever only looks must not wait for a writer, so the lock is taken only if something is to be done.
    with warehouse.read() as connection:
        settled_before = _settled(connection, profile)
    if settled_before is not None:
        return settled_before, []
    with warehouse.write() as connection:
        return prepare_in(connection, profile, tell)


def prepare_in(
    connection: sa.Connection, profile: Profile | None, tell: Callable[[str], None] = lambda _: None
) -> tuple[Profile, list[str]]:
    """`prepare` within the caller's writing transaction."""
    _migrate(connection, tell)
    settled = _settle_profile(connection, profile)
    remade = _remake_derived(connection, tell)
    if remade:
        # In the same transaction: whoever opens it next fills them, should this process end before it does.
        held = ops.ops_warehouse
        connection.execute(sa.delete(held).where(held.c.name.in_(FILLED_FROM)))
    _write_comments(connection)
    if remade:
        from rally_pipeline.warehouse.roles import grant_again

        grant_again(connection, remade)
    return settled, remade


def upgrade_to(connection: sa.Connection, revision: str) -> None:
    """Makes the kept tables of an empty database as they were at a revision, within the caller's transaction.

    Raises:
        SchemaVersionError: this code does not know the revision.
    """
    if reason := unknown(revision):
        raise SchemaVersionError(reason)
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def check_head(connection: sa.Connection) -> None:
    """Refuses to go on with a warehouse that another version upgraded meanwhile; for `Warehouse.guard`.

    Raises:
        SchemaVersionError: it is not what it was when it was opened.
    """
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if revision != HEAD:
        raise SchemaVersionError(
            f"the warehouse was upgraded to schema version {revision} while this was running, and this rally-pipeline "
            f"knows {HEAD}: nothing more is written. Fix: do it again with the rally-pipeline that upgraded it."
        )


def _settled(connection: sa.Connection, asked: Profile | None) -> Profile | None:
    """The profile of a warehouse in which nothing is to be made or changed; ``None`` if something is."""
    if current_revision(connection) != HEAD:
        return None
    held = ops.ops_warehouse
    said: dict[str, str] = dict(connection.execute(sa.select(held.c.name, held.c.value)).all())
    dialect = connection.dialect
    if "profile" not in said or asked not in (None, said["profile"]):
        return None
    if dialect.name == "postgresql" and said.get("comments") != _digest(_comments(dialect)):
        return None
    if any(said.get(f"shape.{table.name}") != _shape(table, dialect) for table in derived_tables()):
        return None
    return Profile(said["profile"])


def _migrate(connection: sa.Connection, tell: Callable[[str], None]) -> None:
    revision = current_revision(connection)
    if revision == HEAD:
        return
    if reason := refusal(connection, revision):
        raise SchemaVersionError(reason)
    from alembic import command

    config = _config()
    if revision is not None:
        tell(f"upgrading the warehouse from schema version {revision} to {HEAD}")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def refusal(connection: sa.Connection, revision: str | None) -> str | None:
    """Why a warehouse at `revision` cannot be used; ``None`` if it can, upgraded if need be."""
    if revision == HEAD:
        return None
    if revision is None:
        present = set(sa.inspect(connection).get_table_names()) & set(metadata.tables)
        if not present:
            return None
        return (
            f"the warehouse has tables of this project ({', '.join(sorted(present)[:3])} …) but no schema version. "
            "Fix: point RALLY_WAREHOUSE_URL at an empty database, or restore alembic_version from a backup."
        )
    return unknown(revision)


def unknown(revision: str) -> str | None:
    """Why a revision cannot be used; ``None`` if this code knows it."""
    from alembic.script import ScriptDirectory

    if revision in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}:
        return None
    return (
        f"the warehouse has schema version {revision}, this code knows up to {HEAD}: it was written by a newer "
        "rally-pipeline. Fix: upgrade rally-pipeline, or use another warehouse."
    )


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _settle_profile(connection: sa.Connection, asked: Profile | None) -> Profile:
    stated = read_statement(connection, "profile")
    if stated is None:
        settled = asked or Profile.LIVE
        write_statement(connection, "profile", settled.value)
        return settled
    if asked is not None and asked.value != stated:
        raise ProfileMismatchError(
            f"this warehouse holds {stated} data and RALLY_PROFILE is {asked.value}: the two never mix. "
            f"Fix: set RALLY_PROFILE={stated}, or another RALLY_HOME or RALLY_WAREHOUSE_URL."
        )
    return Profile(stated)


def _remake_derived(connection: sa.Connection, tell: Callable[[str], None]) -> list[str]:
    remade = []
    for table in derived_tables():
        name = f"shape.{table.name}"
        shape = _shape(table, connection.dialect)
        stated = read_statement(connection, name)
        if stated == shape:
            continue
        if stated is not None:
            tell(f"{table.name} has a new definition: made anew and computed again")
        table.drop(connection, checkfirst=True)
        table.create(connection)
        write_statement(connection, name, shape)
        remade.append(table.name)
    return remade


def _shape(table: sa.Table, dialect: sa.Dialect) -> str:
    bare = table.to_metadata(sa.MetaData())  # without comments: a better description is no new shape
    bare.comment = None
    for column in bare.columns:
        column.comment = None
    parts = [str(CreateTable(bare).compile(dialect=dialect))]
    parts += sorted(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)
    return _digest(parts)


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _write_comments(connection: sa.Connection) -> None:
    """Puts the declared descriptions into the database (PostgreSQL), where BI tools show them, if they changed."""
    if connection.dialect.name != "postgresql":
        return
    digest = _digest(_comments(connection.dialect))
    if read_statement(connection, "comments") == digest:
        return
    for statement in _comment_statements():
        connection.execute(statement)
    write_statement(connection, "comments", digest)


def _comment_statements() -> Iterator[DDLElement]:
    for table in metadata.sorted_tables:
        yield SetTableComment(table)
        yield from (SetColumnComment(column) for column in table.columns)


def _comments(dialect: sa.Dialect) -> list[str]:
    return [str(statement.compile(dialect=dialect)) for statement in _comment_statements()]


def refuse_what_is_not_empty(warehouse: Warehouse) -> None:
    """Sees that nothing would be lost if the database were filled.

    Raises:
        UsageError: a table whose rows cannot be computed again has some.
    """
    with warehouse.read() as connection:
        there = set(sa.inspect(connection).get_table_names()) & set(metadata.tables)
        for table in kept_tables():
            # What it says of itself, and what it has still to compute, is there as soon as it has been opened.
            if table.name not in there or table in (ops.ops_warehouse, ops.ops_stale):
                continue
            if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
                raise UsageError(
                    f"{warehouse.display_url} is not empty: {table.name} has rows. Fix: name an empty database."
                )


def read_statement(connection: sa.Connection, name: str) -> str | None:
    """What the warehouse says about itself under `name` (table ``ops_warehouse``)."""
    table = ops.ops_warehouse
    return connection.execute(sa.select(table.c.value).where(table.c.name == name)).scalar()


def write_statement(connection: sa.Connection, name: str, value: str) -> None:
    """States `value` under `name`, in place of what was stated."""
    table = ops.ops_warehouse
    connection.execute(sa.delete(table).where(table.c.name == name))
    connection.execute(sa.insert(table).values(name=name, value=value))
