"""Building a table's indexes once, behind a first load of PostgreSQL's, instead of row by row.

SQLite is no slower row by row, as long as the rows come in the order of the key: each goes behind the last.

Belongs here: taking indexes off an empty table and putting them back within one transaction. Does not belong here:
which indexes there are (`schema/`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa

#: Below this many rows the indexes may as well grow with the table.
FEWEST_ROWS = 20_000


@contextlib.contextmanager
def built_afterwards(connection: sa.Connection, table: sa.Table, rows: int) -> Iterator[None]:
    """Within this context an empty table has no index that a large load would have to keep up; behind it, all of them.

    Nothing happens on SQLite, for a small load, for a table that has rows, or where PostgreSQL would have to wait for
    somebody who reads the table, or is not asked by its owner: the load is then merely slower. Whoever asks for the
    table later waits until the transaction ends.

    After an error the caller's transaction is rolled back, and with it what was taken off.

    Raises:
        sqlalchemy.exc.IntegrityError: two of the rows have the same key.
    """
    is_worth_it = connection.dialect.name == "postgresql" and rows >= FEWEST_ROWS
    is_empty = is_worth_it and connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is None
    if not (is_empty and _taken_off(connection, table)):
        yield
        return
    yield
    preparer = connection.dialect.identifier_preparer
    columns = ", ".join(preparer.quote(column.name) for column in table.primary_key.columns)
    connection.exec_driver_sql(
        f"ALTER TABLE {preparer.format_table(table)} "
        f"ADD CONSTRAINT {preparer.format_constraint(table.primary_key)} PRIMARY KEY ({columns})"
    )
    for index in _sorted(table):
        index.create(connection)


def _taken_off(connection: sa.Connection, table: sa.Table) -> bool:
    preparer = connection.dialect.identifier_preparer
    name = preparer.format_table(table)
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE NOWAIT")
            for index in _sorted(table):
                index.drop(connection)
            constraint = preparer.format_constraint(table.primary_key)
            connection.exec_driver_sql(f"ALTER TABLE {name} DROP CONSTRAINT {constraint}")
    except sa.exc.DBAPIError as error:
        if error.connection_invalidated:
            raise
        return False
    return True


def _sorted(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))
