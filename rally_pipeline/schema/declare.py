"""How a table is declared: once, with SQLAlchemy, and with everything others derive from it.

Belongs here: the metadata object, the column types, the records in ``Table.info`` and ``Column.info``. Does not
belong here: any particular table (`raw.py`, `core.py`, `mart.py`, `ops.py`) or what is derived (DDL in `warehouse/`,
suites in `quality/`, column schema in `orchestration/`, dictionary in `warehouse/` and `publish/`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

Layer = Literal["raw", "core", "mart", "ops"]

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class UtcDateTime(sa.types.TypeDecorator[dt.datetime]):
    """An instant in UTC with microseconds: ``timestamptz`` on PostgreSQL, naive UTC text on SQLite.

    Takes and gives aware datetimes; a naive one is refused, since nobody can know what it means.
    """

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """The type of the engine at hand."""
        return dialect.type_descriptor(sa.DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """UTC on the way in; raises ValueError for a naive time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; give UTC")
        value = value.astimezone(dt.UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Aware UTC on the way out."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


@dataclass(frozen=True)
class Range:
    """A number lies between ``low`` and ``high``; ``strict_low`` excludes ``low`` itself."""

    low: float | None = None
    high: float | None = None
    strict_low: bool = False


@dataclass(frozen=True)
class OneOf:
    """A value is one of these."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Matches:
    """A text matches this regular expression from end to end."""

    regex: str


@dataclass(frozen=True)
class InTable:
    """A value stands in ``column`` of ``table`` (checked by the gate, not by a database constraint: reference tables
    are rewritten from the catalog and may lose an entry whose facts stay).
    """

    table: str
    column: str


@dataclass(frozen=True)
class NoRule:
    """Any value of the column's type is good; ``why`` says why there is nothing to check."""

    why: str


Rule = Range | OneOf | Matches | InTable | NoRule


@dataclass(frozen=True)
class TableInfo:
    """What a table is, in ``Table.info["table"]``.

    Attributes:
        description: one line.
        grain: what one row is, e.g. ``instrument × session``.
        owner: who answers for it.
        layer: raw, core, mart or ops.
        natural_key: columns that identify a fact; with ``known_from_at`` they are the primary key of a versioned table.
        date_column: the market date by which days are selected, if there is one.
        versioned: whether rows carry ``known_from_at`` and ``known_to_at``.
    """

    description: str
    grain: str
    owner: str
    layer: Layer
    natural_key: tuple[str, ...]
    date_column: str | None = None
    versioned: bool = False

    def __post_init__(self) -> None:
        if not (self.description and self.grain and self.owner):
            raise ValueError("a table needs a description, a grain and an owner")


@dataclass(frozen=True)
class ColumnInfo:
    """What a column is, in ``Column.info["column"]``: ``unit`` is ``""`` for counts, names and index levels;
    ``is_provenance`` says how a fact came here, and is no part of it: the same by another way is the same.
    """

    description: str
    unit: str
    rules: tuple[Rule, ...]
    is_provenance: bool = False


def column(
    name: str,
    type_: sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]],
    description: str,
    *rules: Rule,
    unit: str = "",
    nullable: bool = False,
    is_provenance: bool = False,
) -> sa.Column[Any]:
    """A column with its description, unit and rules. A column without a description or a rule does not exist.

    Raises:
        ValueError: no description, or no rule (say `NoRule` with the reason).
    """
    if not description or not rules:
        raise ValueError(f"column {name}: a description and at least one rule are needed")
    info = ColumnInfo(description, unit, rules, is_provenance)
    return sa.Column(name, type_, nullable=nullable, comment=description, info={"column": info})


def table(
    name: str,
    *items: sa.schema.SchemaItem,
    description: str,
    grain: str,
    key: tuple[str, ...],
    date_column: str | None = None,
    versioned: bool = False,
    owner: str = "team:markets-data",
) -> sa.Table:
    """Declares a table; ``versioned`` appends the two clocks and provenance and makes ``key`` + ``known_from_at`` its
    primary key, with at most one believed row per key held by a unique index.
    """
    layer = name.split("_", 1)[0]
    if layer not in ("raw", "core", "mart", "ops"):
        raise ValueError(f"{name}: not a layer prefix")
    if versioned:
        items = (*items, *_version_columns())
    primary = (*key, "known_from_at") if versioned else key
    info = TableInfo(description, grain, owner, layer, key, date_column, versioned)  # type: ignore[arg-type]
    made = sa.Table(
        name,
        metadata,
        *items,
        sa.PrimaryKeyConstraint(*primary),
        comment=description,
        info={"table": info},
        sqlite_with_rowid=False,
    )
    if versioned:
        current = made.c.known_to_at.is_(None)
        sa.Index(
            f"uq_{name}_current", *(made.c[k] for k in key), unique=True, sqlite_where=current, postgresql_where=current
        )
    return made


def _version_columns() -> tuple[sa.Column[Any], ...]:
    return (
        column(
            "known_from_at",
            UtcDateTime(),
            "Since when this version was known: the time at which its payload was fetched or said to be known.",
            NoRule("set by the loader, ordered by the merge"),
            unit="UTC",
        ),
        column(
            "known_to_at",
            UtcDateTime(),
            "Until when this version was believed, exclusive; NULL = still believed.",
            NoRule("set by the merge"),
            unit="UTC",
            nullable=True,
        ),
        column(
            "payload_id",
            sa.String(64),
            "SHA-256 of the archived payload that first said so; find its request in raw_fetch.",
            Matches(r"[0-9a-f]{64}"),
        ),
        column(
            "locator",
            sa.Text(),
            "Where in the payload the row stands, e.g. 'row 17'.",
            NoRule("free text of the parser"),
        ),
    )


VERSION_COLUMNS = ("known_from_at", "known_to_at", "payload_id", "locator")


def table_info(made: sa.Table) -> TableInfo:
    """The `TableInfo` of a declared table."""
    return made.info["table"]  # type: ignore[no-any-return]


def column_info(made: sa.Column[Any]) -> ColumnInfo:
    """The `ColumnInfo` of a declared column."""
    return made.info["column"]  # type: ignore[no-any-return]


def rule_text(rule: Rule) -> str:
    """A rule of a column in words; empty where there is nothing to check."""
    if isinstance(rule, Range):
        low = "" if rule.low is None else f"{rule.low:g} {'<' if rule.strict_low else '≤'} "
        high = "" if rule.high is None else f" ≤ {rule.high:g}"
        return f"{low}value{high}" if low or high else ""
    if isinstance(rule, OneOf):
        return f"one of {', '.join(rule.values)}"
    if isinstance(rule, Matches):
        return f"matches {rule.regex}"
    if isinstance(rule, InTable):
        return f"in {rule.table}.{rule.column}"
    return ""


def type_name(type_: sa.types.TypeEngine[Any]) -> str:
    """The type of a column for people, the same whatever the engine."""
    return "TIMESTAMP (UTC)" if isinstance(type_, sa.types.TypeDecorator) else str(type_)


def value_columns(made: sa.Table) -> list[sa.Column[Any]]:
    """The columns of a versioned table that hold the fact itself: neither key nor version nor provenance."""
    no_fact = {*table_info(made).natural_key, *VERSION_COLUMNS}
    return [c for c in made.columns if c.name not in no_fact and not column_info(c).is_provenance]
