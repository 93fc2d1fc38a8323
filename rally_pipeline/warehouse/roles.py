"""Who may do what in a warehouse on PostgreSQL: one role that writes, and roles that read what is for analysts.

A reader may connect, and select from the published tables (`schema/published.py`); its transactions are read-only
unless it says otherwise, and bounded in time, so that a forgotten dashboard holds up nobody. The names of readers stand
in ``ops_warehouse``: tables that are made anew are granted to them again (`schema_version.py`). Belongs here: the
statements, and giving them. Does not belong here: making roles or passwords, which is the administrator's business.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rally_pipeline.errors import UsageError
from rally_pipeline.schema import metadata, ops
from rally_pipeline.schema.published import published_tables
from rally_pipeline.warehouse.engine import Warehouse
from rally_pipeline.warehouse.schema_version import read_statement

#: Under this name ``ops_warehouse`` says who reads, as a JSON list.
READERS = "readers"
_NO_PERMISSION = "42501"
_WRITES = "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"


@dataclass(frozen=True)
class Limits:
    """How long a reader may take, in seconds.

    Attributes:
        statement: for one statement.
        lock: waiting for a lock.
        idle: between two statements of an open transaction; it holds up upgrades of the schema.
    """

    statement: int = 60
    lock: int = 5
    idle: int = 30


@dataclass(frozen=True)
class Grant:
    """What a role was given.

    Attributes:
        role: its name.
        kind: ``writer`` or ``reader``.
        statements: the SQL, in order.
        beyond: what a reader may do besides, by way of other roles or of PUBLIC; empty is right.
    """

    role: str
    kind: str
    statements: tuple[str, ...]
    beyond: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "role": self.role,
            "kind": self.kind,
            "statements": list(self.statements),
            "beyond": list(self.beyond),
            "ok": not self.beyond,
        }

    def lines(self) -> list[str]:
        """The grant for people."""
        told = [f"{self.kind} {self.role}", *(f"  {statement}" for statement in self.statements)]
        told += [f"  FAILED: {self.role} may also {more}" for more in self.beyond]
        if self.beyond:
            told.append("  Fix: take that from PUBLIC, or from the roles it is a member of.")
        return told


def give(
    warehouse: Warehouse,
    readers: Sequence[str] = (),
    writer: str | None = None,
    limits: Limits | None = None,
    *,
    dry: bool = False,
) -> list[Grant]:
    """Gives the writer and the readers what they need, in one transaction; again, it changes nothing.

    Args:
        warehouse: on PostgreSQL; nothing of its schema is made or upgraded.
        readers: roles that exist, made readers.
        writer: role that exists, made the owner of the tables.
        limits: of the readers.
        dry: only say what would be done.

    Raises:
        UsageError: not PostgreSQL, no such role, nothing to read yet, a reader that owns the tables, or whoever is
            connected may not do it.
        WarehouseError: another writer did not finish in time.
    """
    if warehouse.dialect != "postgresql":
        raise UsageError(
            "SQLite has no roles. Fix: give analysts the published DuckDB database or Parquet files (rally-pipeline "
            "publish), or the file to open read-only (file:…?mode=ro); or point RALLY_WAREHOUSE_URL at PostgreSQL."
        )
    with warehouse.read() if dry else warehouse.write() as connection:
        _check_roles(connection, readers, writer)
        made = []
        try:
            if writer is not None:
                made.append(_run(connection, Grant(writer, "writer", tuple(_of_writer(connection, writer))), dry))
            if readers:
                _check_readers(connection, readers, writer)
            known = set(_stated(connection)) if readers else set()
            for reader in readers:
                known.add(reader)
                statements = (*_of_reader(connection, reader, limits or Limits()), *_stating(connection, known))
                made.append(_run(connection, Grant(reader, "reader", statements), dry))
        except sa.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _NO_PERMISSION:
                raise
            raise UsageError(
                f"{warehouse.display_url} may not do that ({' '.join(str(error.orig).split())}). "
                "Fix: have an administrator run what the same command prints with --sql."
            ) from None
        if dry:
            return made
        return [
            Grant(g.role, g.kind, g.statements, _beyond(connection, g.role)) if g.kind == "reader" else g for g in made
        ]


def grant_again(connection: sa.Connection, remade: Collection[str]) -> None:
    """Gives the readers tables that were made anew; a reader that is gone is passed over."""
    if connection.dialect.name != "postgresql":
        return
    readers = _stated(connection)
    tables = [table.name for table in published_tables() if table.name in remade]
    if not readers or not tables:
        return
    present = set(_roles(connection, readers))
    for reader in readers:
        if reader in present:
            _execute(connection, _select_on(connection, tables, reader))


# --- the statements


def _of_writer(connection: sa.Connection, name: str) -> list[str]:
    role, schema = _quoted(name), _quoted(_schema(connection))
    statements = [
        f"GRANT CONNECT, TEMPORARY ON DATABASE {_quoted(_database(connection))} TO {role}",
        f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}",
    ]
    owners = _owners(connection)
    return statements + [
        f"ALTER TABLE {schema}.{_quoted(table)} OWNER TO {role}" for table in sorted(owners) if owners[table] != name
    ]


def _of_reader(connection: sa.Connection, name: str, limits: Limits) -> list[str]:
    role, schema = _quoted(name), _quoted(_schema(connection))
    database = _quoted(_database(connection))
    present = _owners(connection)
    statements = []
    if connection.scalar(sa.select(sa.func.has_schema_privilege("public", _schema(connection), "CREATE"))):
        # The default before PostgreSQL 15.
        statements.append(f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC")
    every = ", ".join(f"{schema}.{_quoted(table)}" for table in sorted(present))
    shown = [table.name for table in published_tables() if table.name in present]
    return [
        *statements,
        f"GRANT CONNECT ON DATABASE {database} TO {role}",
        f"REVOKE ALL ON SCHEMA {schema} FROM {role}",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"REVOKE ALL ON {every} FROM {role}",
        _select_on(connection, shown, name),
        *(
            f"ALTER ROLE {role} IN DATABASE {database} SET {setting} = {value}"
            for setting, value in (
                ("default_transaction_read_only", "on"),
                ("statement_timeout", f"'{limits.statement}s'"),
                ("lock_timeout", f"'{limits.lock}s'"),
                ("idle_in_transaction_session_timeout", f"'{limits.idle}s'"),
            )
        ),
    ]


def _select_on(connection: sa.Connection, tables: Iterable[str], reader: str) -> str:
    schema = _quoted(_schema(connection))
    listed = ", ".join(f"{schema}.{_quoted(table)}" for table in tables)
    return f"GRANT SELECT ON {listed} TO {_quoted(reader)}"


def _stating(connection: sa.Connection, readers: Iterable[str]) -> list[str]:
    """Writes the readers down; as text, so that it can be printed with the rest."""
    table = f"{_quoted(_schema(connection))}.{_quoted(ops.ops_warehouse.name)}"
    value = json.dumps(sorted(readers), ensure_ascii=False).replace("'", "''")
    return [
        f"DELETE FROM {table} WHERE name = '{READERS}'",
        f"INSERT INTO {table} (name, value) VALUES ('{READERS}', '{value}')",
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _execute(connection: sa.Connection, statement: str) -> None:
    # The driver takes a per cent sign for a parameter.
    connection.exec_driver_sql(statement.replace("%", "%%"))


def _run(connection: sa.Connection, grant: Grant, dry: bool) -> Grant:
    for statement in () if dry else grant.statements:
        _execute(connection, statement)
    return grant


# --- what is there


def _stated(connection: sa.Connection) -> list[str]:
    found = read_statement(connection, READERS)
    return list(json.loads(found)) if found else []


def _database(connection: sa.Connection) -> str:
    return str(connection.scalar(sa.select(sa.func.current_database())))


def _schema(connection: sa.Connection) -> str:
    found = connection.scalar(sa.select(sa.func.current_schema()))
    if found is None:
        raise UsageError("no schema of the search path is there for this user. Fix: set search_path, or make a schema.")
    return str(found)


_pg_class = sa.table("pg_class", *map(sa.column, ("oid", "relname", "relowner", "relnamespace", "relkind")))
_pg_namespace = sa.table("pg_namespace", *map(sa.column, ("oid", "nspname")))
_pg_roles = sa.table("pg_roles", *map(sa.column, ("oid", "rolname", "rolsuper")))


def _owners(connection: sa.Connection) -> dict[str, str]:
    """The project's tables that are there, and who owns each."""
    query = (
        sa.select(_pg_class.c.relname, _pg_roles.c.rolname)
        .join(_pg_namespace, _pg_namespace.c.oid == _pg_class.c.relnamespace)
        .join(_pg_roles, _pg_roles.c.oid == _pg_class.c.relowner)
        .where(_pg_namespace.c.nspname == _schema(connection), _pg_class.c.relkind == "r")
        .where(_pg_class.c.relname.in_([*metadata.tables, "alembic_version"]))
    )
    return {row.relname: row.rolname for row in connection.execute(query)}


def _roles(connection: sa.Connection, names: Collection[str]) -> dict[str, bool]:
    """Those of the roles that are there, and whether each may do anything."""
    query = sa.select(_pg_roles.c.rolname, _pg_roles.c.rolsuper).where(_pg_roles.c.rolname.in_(list(names)))
    return {row.rolname: row.rolsuper for row in connection.execute(query)}


def _check_roles(connection: sa.Connection, readers: Sequence[str], writer: str | None) -> None:
    wanted = [*readers, *([writer] if writer is not None else [])]
    present = _roles(connection, wanted)
    for name in wanted:
        if name not in present:
            raise UsageError(
                f"there is no role {name!r}. Fix: have an administrator make it: createuser --login --pwprompt "
                f"NAME, or CREATE ROLE {_quoted(name)} LOGIN PASSWORD …."
            )
    for name in readers:
        if present[name]:
            raise UsageError(f"{name!r} is a superuser and sees everything. Fix: name a role that is none.")


def _check_readers(connection: sa.Connection, readers: Sequence[str], writer: str | None) -> None:
    owners = _owners(connection)
    if ops.ops_warehouse.name not in owners:
        raise UsageError("the warehouse has no tables yet. Fix: rally-pipeline prepare, as the role that writes.")
    for name in readers:
        for owner in sorted({*owners.values(), *([writer] if writer else [])}):
            if connection.scalar(sa.select(sa.func.pg_has_role(name, owner, "MEMBER"))):
                raise UsageError(
                    f"{name!r} is, or is a member of, {owner!r}, which owns the tables. Fix: name another role."
                )


def _beyond(connection: sa.Connection, reader: str) -> tuple[str, ...]:
    schema = _schema(connection)
    shown = {table.name for table in published_tables()}
    found = []
    if connection.scalar(sa.select(sa.func.has_schema_privilege(reader, schema, "CREATE"))):
        found.append(f"CREATE in schema {schema}")
    for table in sorted(_owners(connection)):
        name = f"{_quoted(schema)}.{_quoted(table)}"
        for privileges in (_WRITES,) if table in shown else ("SELECT", _WRITES):
            if connection.scalar(sa.select(sa.func.has_table_privilege(reader, name, privileges))):
                found.append(f"{privileges.replace(', ', ' or ')} {table}")
    return tuple(found)
