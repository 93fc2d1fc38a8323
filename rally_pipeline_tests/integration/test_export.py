"""A table in a file for a spreadsheet: the same values, units in the headers, nothing that runs."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa

from rally_pipeline.console import plain
from rally_pipeline.errors import UsageError
from rally_pipeline.publish import export
from rally_pipeline.publish.export import PROFILE_COLUMN, export_csv, export_xlsx, headers
from rally_pipeline.schema import metadata
from rally_pipeline.settings import Profile
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.published import fill, marts, shorten
from rally_pipeline_tests.workspaces import (
    deliver,
    environment,
    open_at,
    price_csv,
    price_payload,
    rows_of,
    run_cli_here,
    utc,
)

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A fact in two versions, and thirteen made-up rows in every mart."""
    url = request.getfixturevalue("postgres_url")() if request.param == "postgresql" else None
    workspace = open_at(tmp_path_factory.mktemp(request.param), url)
    for known, close in (("2025-02-14T10:00", 1.6), ("2025-02-15T10:00", 1.7)):
        body = price_csv([("2025-02-14", 1, 2, 1, close, 10)])
        deliver(workspace, price_payload(body, known_at=utc(known)))
    shorten(workspace)
    fill(workspace, 13)
    yield workspace
    workspace.warehouse.engine.dispose()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = open_at(tmp_path_factory.mktemp("demo"), profile=Profile.DEMO)
    shorten(workspace)
    fill(workspace, 2)
    return workspace


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _sheet(path: Path, name: str = "data") -> list[tuple[Any, ...]]:
    return list(openpyxl.load_workbook(path)[name].iter_rows(values_only=True))


def _text(text: str) -> str:
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def _read_by_csv(value: Any) -> str:
    return _text(value) if isinstance(value, str) else "" if plain(value) is None else str(plain(value))


def _read_by_excel(value: Any) -> Any:
    if isinstance(value, str):
        # An empty text is an empty cell; a control character cannot be in a workbook.
        return _text(value).replace("\x0b", "\ufffd").replace("\r", "\n") or None
    if isinstance(value, dt.datetime):
        # Times in a workbook are fractions of a day.
        return value.replace(tzinfo=None, microsecond=0)
    return dt.datetime(value.year, value.month, value.day) if isinstance(value, dt.date) else value  # noqa: DTZ001


@pytest.mark.parametrize("table", marts(), ids=lambda table: table.name)
def test_csv_has_every_value(full: Workspace, tmp_path: Path, table: sa.Table) -> None:
    told = export_csv(full, table.name, tmp_path / "a.csv")
    found, expected = _csv(tmp_path / "a.csv"), rows_of(full, table)
    assert told.rows == len(found) == len(expected) == 13
    named = headers(table)
    assert [{named[name]: _read_by_csv(value) for name, value in row.items()} for row in expected] == found
    assert not any(cell.startswith(_DANGEROUS) and not _is_number(cell) for row in found for cell in row.values())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("name", ["mart_claim_audit", "mart_rally_scoreboard", "mart_trading_volume_monthly"])
def test_workbook_has_every_value(full: Workspace, tmp_path: Path, name: str) -> None:
    path, table = tmp_path / "a.xlsx", metadata.tables[name]
    export_xlsx(full, name, path)
    header, *found = _sheet(path)
    assert list(header) == list(headers(table).values())
    for row, cells in zip(rows_of(full, table), found, strict=True):
        for column, cell in zip(row, cells, strict=True):
            expected = _read_by_excel(row[column])
            if isinstance(cell, dt.datetime) and isinstance(row[column], dt.datetime):
                cell = cell.replace(microsecond=0)
            if isinstance(cell, str):
                cell = cell.replace("_x000D_", "\n").replace("\r", "\n")
            if isinstance(expected, float | int):
                expected = pytest.approx(expected, rel=1e-15)  # spreadsheets have fifteen digits
            assert cell == expected, column
            assert not isinstance(row[column], bool) or isinstance(cell, bool)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["data", "about"]
    assert not any(cell.data_type in ("f", "e") for sheet in book for line in sheet.iter_rows() for cell in line)


def test_about_sheet(full: Workspace, tmp_path: Path) -> None:
    at = utc("2025-02-14T12:00")
    export_xlsx(full, "core_price_daily", tmp_path / "a.xlsx", at, ["symbol=0700.HK"])
    # Reversed, so that what is said of the table wins over a column of the same name.
    about = {row[0]: row[1:] for row in reversed(_sheet(tmp_path / "a.xlsx", "about")) if row[0]}
    assert about["table"][0] == "core_price_daily"
    assert about["rows"][0] == 1
    assert about["only rows with"][0] == "symbol=0700.HK"
    assert about["as known at (UTC)"][0] == dt.datetime(2025, 2, 14, 12)  # noqa: DTZ001
    assert about["latest fact known at (UTC)"][0] == dt.datetime(2025, 2, 14, 10)  # noqa: DTZ001
    assert about["last session_date"][0] == dt.datetime(2025, 2, 14)  # noqa: DTZ001
    assert about["source"][0].startswith("rally_pipeline ")
    assert "file" in about["source"][0]
    assert about["profile"][0] == "live"
    assert about["volume_shares"][0] == "shares"
    assert about["volume_shares"][2]


def test_as_known_at_a_past_time(full: Workspace, tmp_path: Path) -> None:
    closes = []
    for at in (utc("2025-02-14T12:00"), utc("2025-02-16T12:00"), None, utc("2025-02-13T12:00")):
        export_csv(full, "core_price_daily", tmp_path / "a.csv", at)
        closes.append([row["close (currency)"] for row in _csv(tmp_path / "a.csv")])
    assert closes == [["1.6"], ["1.7"], ["1.7"], []]


def test_demo_data_says_so(demo: Workspace, tmp_path: Path) -> None:
    export_csv(demo, "mart_rally_scoreboard", tmp_path / "a.csv")
    assert [row[PROFILE_COLUMN] for row in _csv(tmp_path / "a.csv")] == ["demo", "demo"]
    export_xlsx(demo, "mart_rally_scoreboard", tmp_path / "a.xlsx")
    assert _sheet(tmp_path / "a.xlsx", "about")[0][0] == "DEMO DATA"
    header, *found = _sheet(tmp_path / "a.xlsx", "demo data")
    assert [dict(zip(header, row, strict=True))[PROFILE_COLUMN] for row in found] == ["demo", "demo"]


def test_more_rows_than_a_sheet_and_longer_texts_than_a_cell(
    demo: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_SHEET_ROWS", 6)
    monkeypatch.setattr(export, "_CELL_CHARACTERS", 60)
    told = export_xlsx(demo, "ops_reconciliation", tmp_path / "empty.xlsx")
    assert told.rows == 0
    assert len(_sheet(tmp_path / "empty.xlsx", "demo data")) == 1
    told = export_xlsx(demo, "core_event", tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book.sheetnames[:2] == ["demo data", "demo data 2"]
    assert book.sheetnames[-1] == "about"
    assert sum(len(_sheet(tmp_path / "a.xlsx", name)) - 1 for name in book.sheetnames[:-1]) == told.rows
    assert all(sheet.max_row <= 6 for sheet in book.worksheets[:-1])
    assert max(len(str(cell)) for row in _sheet(tmp_path / "a.xlsx", "about") for cell in row) == 60


def test_a_file_is_replaced_as_a_whole(demo: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(export, "write_csv", fail)
        with pytest.raises(UsageError, match="No space left"):
            export_csv(demo, "mart_rally_scoreboard", path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.csv", "before")]
    export_csv(demo, "mart_rally_scoreboard", path)
    assert len(_csv(path)) == 2


def test_command(demo: Workspace, tmp_path: Path) -> None:
    env = environment(demo.settings.home)
    done = run_cli_here(["export", "mart_rally_scoreboard", "--csv", "-"], env)
    assert done.returncode == 0, done.stderr
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 2
    done = run_cli_here(["export", "core_event", "--where", "event_id=nothing", "--xlsx", tmp_path / "a.xlsx"], env)
    assert (done.returncode, done.stdout) == (0, "")
    assert "0 rows" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["mart_rally_scoreboard"], "--csv FILE or --xlsx FILE"),
        (["mart_rally_scoreboard", "--csv", "a", "--xlsx", "b"], "--csv FILE or --xlsx FILE"),
        (["mart_nothing", "--csv", "a"], "mart_nothing"),
        (["mart_nothing", "--xlsx", "a"], "mart_nothing"),
        (["mart_rally_scoreboard", "--csv", "a", "--where", "no=1"], "COLUMN=VALUE"),
        (["mart_rally_scoreboard", "--csv", "a", "--as-of", "yesterday"], "is not a time"),
        (["mart_rally_scoreboard", "--csv", "no/such/folder/a.csv"], "cannot be written"),
        (["mart_rally_scoreboard", "--xlsx", "no/such/folder/a.xlsx"], "cannot be written"),
    ],
)
def test_wrong_use(
    demo: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_cli_here(["export", *arguments], environment(demo.settings.home))
    assert done.returncode == 2
    assert what in done.stderr
    assert not list(tmp_path.iterdir())
