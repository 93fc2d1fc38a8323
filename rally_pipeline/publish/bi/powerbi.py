"""Files for Power BI: a data source to open, and a typed Power Query (M) for each mart and view.

Belongs here: the two formats. Does not belong here: which tables there are (`tables.py`) or where the data is
(`connections.py`, `publication.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rally_pipeline.errors import UsageError
from rally_pipeline.publish.bi.connections import parse
from rally_pipeline.publish.bi.tables import BiTable, bi_tables
from rally_pipeline.publish.manifest import notice
from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.settings import Profile


def powerbi_files(source: str, profile: Profile) -> dict[str, str]:
    """Path → text of each file.

    Args:
        source: URL of a PostgreSQL warehouse (user and password are left out: Power BI asks for them), or the folder
            of published tables as the machine of Power BI sees it.
        profile: whose data it is; demo data is marked.

    Raises:
        UsageError: the URL is of something Power BI cannot open by itself.
    """
    if "://" in source:
        engine, url = parse(source)
        if engine != "postgresql":
            raise UsageError(
                f"Power BI opens no {engine} file by itself. Fix: give the URL of a PostgreSQL warehouse, or the "
                "folder of published tables (RALLY_HOME/published)."
            )
        server = f"{url.host or 'localhost'}:{url.port}" if url.port else url.host or "localhost"
        address: dict[str, Any] = {"server": server, "database": url.database or ""}
        details = {"protocol": "postgresql", "address": address}
        queries = {table.name: _of_database(table, server, url.database or "", profile) for table in _all()}
    else:
        details = {"protocol": "folder", "address": {"path": source}}
        queries = {table.name: _of_folder(table, source, profile) for table in _all() if table.view is None}
    connection = {"details": details, "options": {}, "mode": "Import"}
    opened = json.dumps({"version": "0.1", "connections": [connection]}, indent=2, ensure_ascii=False)
    return {"rally.pbids": opened + "\n", **{f"queries/{name}.m": text for name, text in queries.items()}}


def write_powerbi(folder: Path, source: str, profile: Profile) -> list[Path]:
    """Writes the files below `folder` and returns where they are; arguments as for `powerbi_files`.

    Raises:
        UsageError: the source cannot be used, or the files cannot be written.
    """
    files = powerbi_files(source, profile)
    try:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return [folder / path for path in files]


def _all() -> list[BiTable]:
    return list(bi_tables().values())


def _of_database(table: BiTable, server: str, database: str, profile: Profile) -> str:
    steps = [f"    Source = PostgreSQL.Database({_text(server)}, {_text(database)})"]
    if table.view is None:
        wanted = ", ".join(_text(name) for name in table.columns)
        steps.append(f'    Rows = Source{{[Schema = "public", Item = {_text(table.name)}]}}[Data]')
        steps.append(f"    Columns = Table.SelectColumns(Rows, {{{wanted}}})")
    else:
        steps.append(f"    Columns = Value.NativeQuery(Source, {_text(table.view.sql('postgresql'))})")
    return _query(table, steps, profile)


def _of_folder(table: BiTable, folder: str, profile: Profile) -> str:
    # the folder of a publication has a new name each time: the manifest says which; a table may be in several files
    separator = "\\" if "\\" in folder else "/"
    root = folder.rstrip("\\/") + separator
    file = f'{_text(root)} & Text.Replace([folder] & "/" & _, "/", {_text(separator)})'
    steps = [
        f"    Manifest = Json.Document(File.Contents({_text(root + 'manifest.json')}))",
        f"    Files = List.Select(Manifest[tables], each [name] = {_text(table.name)}){{0}}[files]",
        "    Folder = Manifest[folder]",
        f"    Read = each Parquet.Document(File.Contents({file.replace('[folder]', 'Folder')}))",
        "    Columns = Table.Combine(List.Transform(List.Transform(Files, each [path]), Read))",
    ]
    return _query(table, steps, profile)


def _query(table: BiTable, steps: list[str], profile: Profile) -> str:
    types = [f"        {{{_text(name)}, {_type(column.type)}}}" for name, column in table.columns.items()]
    about = [f"// {table.name}: {table.description}"]
    about += [f"// {one.name}: {one.info.description}{_unit(one.info.unit)}" for one in table.columns.values()]
    if notice(profile):
        about.insert(0, f"// {notice(profile)}")
    typed = "    Typed = Table.TransformColumnTypes(Columns, {\n" + ",\n".join(types) + "\n    })"
    lines = [*about, "let", ",\n".join([*steps, typed]), "in", "    Typed"]
    return "\n".join(lines) + "\n"


def _unit(unit: str) -> str:
    return f" [{unit}]" if unit else ""


def _text(text: str) -> str:
    quoted = text.replace("#(", "#(#)(").replace('"', '""').replace("\n", "#(lf)")
    return f'"{quoted}"'


_TYPES: Mapping[type[sa.types.TypeEngine[Any]], str] = {
    sa.Boolean: "type logical",
    sa.Date: "type date",
    sa.Integer: "Int64.Type",
    sa.Float: "type number",
    sa.String: "type text",
}


def _type(type_: sa.types.TypeEngine[Any]) -> str:
    if isinstance(type_, UtcDateTime):
        return "type datetimezone"
    return next((name for known, name in _TYPES.items() if isinstance(type_, known)), "type text")
