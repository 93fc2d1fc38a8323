"""One table as a file for a spreadsheet: CSV or XLSX, with units in the headers and nothing that runs as a formula.

Belongs here: choosing the rows, headers, and writing such a file. Does not belong here: what a cell is in CSV
(`console.py`) or reading the past (`asof.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import sqlalchemy as sa

from rally_pipeline import __version__
from rally_pipeline.asof import condition, known_table, rows_where, selectable
from rally_pipeline.console import defused, write_csv
from rally_pipeline.errors import UsageError
from rally_pipeline.files import WRITING
from rally_pipeline.publish.manifest import notice
from rally_pipeline.schema import column_info, raw, table_info
from rally_pipeline.schema.declare import type_name
from rally_pipeline.settings import Profile
from rally_pipeline.warehouse.asof import as_of

if TYPE_CHECKING:
    from rally_pipeline.workspace import Workspace

#: In demo data every row says so, since rows are copied without the name of their file.
PROFILE_COLUMN = "data_profile"
#: Sheet of a workbook that says what the others are.
ABOUT_SHEET = "about"
_SHEET_ROWS = 1_048_576
_CELL_CHARACTERS = 32_767
_CUT = " … (cut)"

Rows = Iterator[Mapping[str, Any]]


@dataclass
class Exported:
    """What a file holds, told as its rows go by.

    Attributes:
        table: what was asked for.
        at: UTC time as of which it was read; ``None`` = as believed now.
        conditions: as written.
        rows: how many rows went by.
        first, last: first and last market date among them.
        cut: texts that were longer than a cell can be.
        known_at: since when the newest fact counts as known.
        sources: whose payloads there were.
    """

    table: sa.Table
    at: dt.datetime | None
    conditions: tuple[str, ...] = ()
    rows: int = 0
    first: dt.date | None = None
    last: dt.date | None = None
    cut: int = field(default=0)
    known_at: dt.datetime | None = None
    sources: list[str] = field(default_factory=list)

    def watch(self, rows: Rows) -> Rows:
        """The same rows, noted."""
        date_column = table_info(self.table).date_column
        for row in rows:
            self.rows += 1
            day = row[date_column] if date_column else None
            if day is not None:
                self.first = day if self.first is None else min(day, self.first)
                self.last = day if self.last is None else max(day, self.last)
            yield row


def headers(table: sa.Table) -> dict[str, str]:
    """The header of each column: its name, and its unit in brackets if it has one."""
    units = {column.name: column_info(column).unit for column in table.columns}
    return {name: f"{name} ({unit})" if unit else name for name, unit in units.items()}


def export_csv(
    workspace: Workspace, table_name: str, path: Path, at: dt.datetime | None = None, conditions: Sequence[str] = ()
) -> Exported:
    """Writes a table as CSV (UTF-8, ISO dates, times in UTC) and says what was written.

    Args:
        workspace: the warehouse to read.
        table_name: any core or mart table.
        path: the file, replaced as a whole; ``-`` is standard output.
        at: aware time as of which it is read; ``None`` = as believed now.
        conditions: ``column=value``; ``column=`` means NULL.

    Raises:
        UsageError: no such table, column or value, or the file cannot be written.
    """
    named = headers(known_table(table_name))
    with _read(workspace, table_name, at, conditions) as (told, rows):
        named |= _extra(workspace.profile)
        renamed = ({header: row[name] for name, header in named.items()} for row in rows)

        def write(stream: TextIO) -> None:
            write_csv(renamed, list(named.values()), stream)

        if str(path) == "-":
            write(sys.stdout)
        else:
            with _whole(path) as aside, aside.open("w", encoding="utf-8", newline="") as stream:
                write(stream)
    return told


def export_xlsx(
    workspace: Workspace, table_name: str, path: Path, at: dt.datetime | None = None, conditions: Sequence[str] = ()
) -> Exported:
    """Writes a table as a workbook: the rows, and a sheet that says what they are. Arguments as for `export_csv`.

    Times are in UTC, as a spreadsheet has no time zones. Rows beyond what a sheet holds go on in the next one.

    Raises:
        UsageError: no such table, column or value, or the file cannot be written.
    """
    from openpyxl import Workbook

    if str(path) == "-":
        raise UsageError("a workbook is a file. Fix: write --xlsx FILE.")
    named = headers(known_table(table_name))
    book = Workbook(write_only=True)
    with _read(workspace, table_name, at, conditions) as (told, rows):
        named |= _extra(workspace.profile)
        title = "data" if workspace.profile is Profile.LIVE else f"{workspace.profile.value} data"
        sheet: Any = None
        for number, row in enumerate(rows):
            if number % (_SHEET_ROWS - 1) == 0:
                sheet = _sheet(book, f"{title} {len(book.sheetnames) + 1}" if number else title, named)
            sheet.append([_cell(sheet, row[name], told) for name in named])
        if sheet is None:
            _sheet(book, title, named)
        _about(book, told, workspace)
    with _whole(path) as aside:
        book.save(aside)
    return told


@contextlib.contextmanager
def _read(
    workspace: Workspace, table_name: str, at: dt.datetime | None, conditions: Sequence[str]
) -> Iterator[tuple[Exported, Rows]]:
    table = known_table(table_name)
    told = Exported(table, at, tuple(conditions))
    marked = dict.fromkeys(_extra(workspace.profile), workspace.profile.value)
    where = [condition(table, text) for text in conditions]
    # What is said about the rows is of the same view as they are.
    with workspace.warehouse.read(scratch=at is not None) as connection:
        told.known_at, told.sources = _origin(connection, at)
        if at is not None:
            source = selectable(connection, table, at)
        else:
            source = as_of(table, None) if table_info(table).versioned else table
        rows = rows_where(connection, table, source, where)
        yield told, ({**row, **marked} for row in told.watch(rows))


def _extra(profile: Profile) -> dict[str, str]:
    return {} if profile is Profile.LIVE else {PROFILE_COLUMN: PROFILE_COLUMN}


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which takes its place when all is written."""
    aside = path.with_name(f"{WRITING}{os.getpid()}-{path.name}")
    try:
        yield aside
        aside.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


# --- workbooks --------------------


def _sheet(book: Any, title: str, named: Mapping[str, str]) -> Any:
    from openpyxl.utils import get_column_letter

    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    for number, header in enumerate(named.values(), start=1):
        sheet.column_dimensions[get_column_letter(number)].width = max(12, len(header) + 2)
    sheet.append(_bold(sheet, named.values()))
    return sheet


def _bold(sheet: Any, texts: Any) -> list[Any]:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    cells = [WriteOnlyCell(sheet, value=text) for text in texts]
    for cell in cells:
        cell.font = Font(bold=True)
    return cells


def _cell(sheet: Any, value: Any, told: Exported) -> Any:
    if isinstance(value, str):
        return _text_cell(sheet, value, told)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _text_cell(sheet: Any, text: str, told: Exported) -> Any:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    text = defused(ILLEGAL_CHARACTERS_RE.sub("\ufffd", text))
    if len(text) > _CELL_CHARACTERS:
        text = text[: _CELL_CHARACTERS - len(_CUT)] + _CUT
        told.cut += 1
    if not text.startswith("#"):
        return text
    # '#N/A' and its like would be taken for errors.
    cell = WriteOnlyCell(sheet, value=text)
    cell.data_type = "s"
    return cell


def _about(book: Any, told: Exported, workspace: Workspace) -> None:
    info = table_info(told.table)
    sheet = book.create_sheet(ABOUT_SHEET)
    for letter, width in (("A", 28), ("B", 20), ("C", 18), ("D", 90)):
        sheet.column_dimensions[letter].width = width

    def say(name: str, value: Any) -> None:
        sheet.append([*_bold(sheet, [name]), _cell(sheet, value, told)])

    if workspace.profile is not Profile.LIVE:
        say("DEMO DATA", notice(workspace.profile))
    say("table", told.table.name)
    say("description", info.description)
    say("one row per", info.grain)
    say("rows", told.rows)
    if told.conditions:
        say("only rows with", ", ".join(told.conditions))
    say("as known at (UTC)", dt.datetime.now(dt.UTC).replace(microsecond=0) if told.at is None else told.at)
    say("latest fact known at (UTC)", told.known_at)
    if info.date_column:
        say(f"first {info.date_column}", told.first)
        say(f"last {info.date_column}", told.last)
    say("source", f"rally_pipeline {__version__}, from payloads of {', '.join(told.sources) or 'nobody'}")
    say("profile", workspace.profile.value)
    say("texts", "Those that a spreadsheet could run as a formula have an apostrophe before them.")
    if told.cut:
        say("texts cut", told.cut)
    sheet.append([])
    sheet.append(_bold(sheet, ("column", "unit", "type", "description")))
    for column in told.table.columns:
        said = column_info(column)
        texts = (column.name, said.unit, type_name(column.type), said.description)
        sheet.append([_cell(sheet, text, told) for text in texts])


def _origin(connection: sa.Connection, at: dt.datetime | None) -> tuple[dt.datetime | None, list[str]]:
    """Since when the newest fact counts as known, and whose payloads there were, as of `at`."""
    fetch = raw.raw_fetch
    where = [] if at is None else [fetch.c.known_at <= at]
    latest = connection.scalar(sa.select(sa.func.max(fetch.c.known_at)).where(*where))
    sources = connection.scalars(sa.select(fetch.c.source).where(*where).distinct().order_by(fetch.c.source))
    return latest, list(sources)
