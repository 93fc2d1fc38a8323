"""What is said of a publication: its tables and files with their hashes, and as of when it is.

Belongs here: the manifest's shape, writing and reading it, and finding out as of when the warehouse is. Does not belong
here: the tables (`tables.py`) or where the files go (`publication.py`, `remote.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import sqlalchemy as sa

from rally_pipeline import __version__
from rally_pipeline.errors import PublishError
from rally_pipeline.schema import core, core_flows, raw
from rally_pipeline.settings import Profile

_Made = TypeVar("_Made")
#: Raise when readers must read manifests differently.
FORMAT = 1
NAME = "manifest.json"
DATABASE_NAME = "rally.duckdb"


@dataclass(frozen=True)
class AsOf:
    """As of when a warehouse is.

    Attributes:
        latest_known_at: UTC time since which the newest of its facts counts as known; ``None`` = it holds none.
        latest_sessions: market → market date of the last session with a believed value, as ISO text.
    """

    latest_known_at: str | None
    latest_sessions: dict[str, str]


@dataclass(frozen=True)
class PublishedFile:
    """A file: its path below the publication's folder with ``/``, its rows, bytes and SHA-256.

    ``made_from`` says what it was made from, where that is known: while it is the same, so are the rows.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    made_from: str = field(default="", compare=False)


@dataclass(frozen=True)
class PublishedTable:
    """A table: what it is, and its files in order.

    Attributes:
        name, description, grain: as declared.
        key: columns that identify a row.
        date_column: column of the market date; ``None`` = it has none.
        partitioned_by: ``year`` if the files stand in folders ``year=YYYY`` of `date_column`; ``None`` = one file.
        rows: how many.
        files: in order.
    """

    name: str
    description: str
    grain: str
    key: list[str]
    date_column: str | None
    partitioned_by: str | None
    rows: int
    files: list[PublishedFile]


@dataclass(frozen=True)
class About:
    """What holds for all tables of a publication.

    Attributes:
        version: name of the publication: when it was made, and the start of a digest of its content.
        published_at: UTC time.
        profile: demo or live.
        notice: what must be known before any number is used; empty for live data.
        code_version: version of this project.
        as_of: as of when it is.
    """

    version: str
    published_at: str
    profile: str
    notice: str
    code_version: str
    as_of: AsOf


@dataclass(frozen=True)
class Manifest:
    """A publication: `database` is the DuckDB file with the same tables; paths are below ``tables/VERSION``."""

    about: About
    tables: list[PublishedTable]
    database: PublishedFile

    @property
    def folder(self) -> str:
        """Where the files are, relative to the place of publication."""
        return f"tables/{self.about.version}"

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def files(self) -> list[PublishedFile]:
        """All files of the tables."""
        return [file for table in self.tables for file in table.files]

    def to_text(self) -> str:
        """JSON; `read` reads it back."""
        about = asdict(self.about)
        text = {
            "format": FORMAT,
            **about,
            "folder": self.folder,
            "rows": self.rows,
            "database": asdict(self.database),
            "tables": [asdict(table) for table in self.tables],
        }
        return json.dumps(text, ensure_ascii=False, indent=1) + "\n"


def read(text: str, where: str) -> Manifest:
    """The manifest that `Manifest.to_text` wrote; `where` is for messages.

    Raises:
        PublishError: it is not one, or of a newer format.
    """
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise PublishError(
                f"{where} has format {data['format']}, this code knows {FORMAT}: another rally-pipeline publishes "
                "there. Fix: upgrade rally-pipeline, or publish to another place."
            )
        about = _made(About, {**data, "as_of": _made(AsOf, data["as_of"])})
        tables = [
            _made(PublishedTable, {**table, "files": [_made(PublishedFile, file) for file in table["files"]]})
            for table in data["tables"]
        ]
        return Manifest(about, tables, _made(PublishedFile, data["database"]))
    except (ValueError, KeyError, TypeError) as error:
        raise PublishError(
            f"{where} is not a manifest of this project ({error!r}). Fix: publish to another place, or remove the file."
        ) from None


def _made(kind: Callable[..., _Made], data: dict[str, Any]) -> _Made:
    """A record from JSON; what a later version may have added is passed over."""
    return kind(**{one.name: data[one.name] for one in fields(kind) if one.name in data})  # type: ignore[arg-type]


def about_now(profile: Profile, as_of: AsOf, content: str, now: dt.datetime) -> About:
    """What holds for a publication made at `now` (aware) of tables whose content has the digest `content`."""
    now = now.astimezone(dt.UTC)
    return About(
        version=f"{now:%Y%m%dT%H%M%S}.{now:%f}Z-{content[:8]}",
        published_at=now.isoformat().replace("+00:00", "Z"),
        profile=profile.value,
        notice=notice(profile),
        code_version=__version__,
        as_of=as_of,
    )


def notice(profile: Profile) -> str:
    """What must be known before any number is used; empty for live data."""
    if profile is not Profile.DEMO:
        return ""
    from rally_pipeline.demo.anchors import DEMO_NOTICE

    return DEMO_NOTICE


def content_digest(tables: Sequence[PublishedTable], as_of: AsOf) -> str:
    """SHA-256 over all that a reader of the tables can see, apart from when they were published."""
    parts: list[Any] = [asdict(table) for table in tables]
    for file in (file for part in parts for file in part["files"]):
        del file["made_from"]
    return hashlib.sha256(json.dumps([parts, asdict(as_of)], sort_keys=True).encode()).hexdigest()


def read_as_of(connection: sa.Connection) -> AsOf:
    """As of when the warehouse is, as the connection sees it."""
    latest: dt.datetime | None = connection.scalar(sa.select(sa.func.max(raw.raw_fetch.c.known_at)))
    return AsOf(
        latest_known_at=None if latest is None else latest.isoformat().replace("+00:00", "Z"),
        latest_sessions=_latest_sessions(connection),
    )


def _latest_sessions(connection: sa.Connection) -> dict[str, str]:
    price, instrument = core.core_price_resolved_daily, core.core_instrument
    # One look into the primary key per instrument, however long the history.
    last = sa.select(sa.func.max(price.c.session_date)).where(price.c.symbol == instrument.c.symbol).scalar_subquery()
    found: dict[str, dt.date] = {}
    for market, day in connection.execute(sa.select(instrument.c.market, last)):
        if day is not None:
            found[market] = max(day, found.get(market, day))
    for market, column in (
        ("FX", core.core_fx_usd_daily.c.rate_date),
        ("SOUTHBOUND", core_flows.core_southbound_resolved_daily.c.session_date),
    ):
        day = connection.scalar(sa.select(sa.func.max(column)))
        if day is not None:
            found[market] = max(day, found.get(market, day))
    return {market: found[market].isoformat() for market in sorted(found)}
