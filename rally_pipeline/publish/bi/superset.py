"""A bundle for Apache Superset: database, datasets, charts and a dashboard, which its importer takes as they are.

The same declarations always make the same bytes, and every object the same UUID, so importing again updates and
doubles nothing. Belongs here: the files of the bundle. Does not belong here: which charts there are
(`superset_charts.py`) or where they stand (`superset_dashboard.py`).
"""

from __future__ import annotations

import io
import re
import uuid
import zipfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from rally_pipeline.errors import UsageError
from rally_pipeline.publish.bi import superset_dashboard
from rally_pipeline.publish.bi.connections import parse, superset_uri
from rally_pipeline.publish.bi.metrics import Metric
from rally_pipeline.publish.bi.superset_charts import Chart, charts
from rally_pipeline.publish.bi.tables import BiColumn, BiTable, bi_tables
from rally_pipeline.publish.manifest import notice
from rally_pipeline.schema.declare import UtcDateTime
from rally_pipeline.settings import Profile

_VERSION = "1.0.0"
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "rally_pipeline/superset")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ROOT = "rally"
_DEMO = "DEMO DATA"
#: How SQLite keeps dates and times, so that Superset can compare and read them; other engines have types for them.
_SQLITE_DATE, _SQLITE_TIME = "%Y-%m-%d", "%Y-%m-%d %H:%M:%S.%f"


class _Dumper(yaml.SafeDumper):
    """YAML for people who compare versions: without anchors, and SQL in lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)


def default_name(profile: Profile) -> str:
    """Name of the database connection and the dashboard if none is given."""
    return "Rally" if profile is Profile.LIVE else f"Rally ({_DEMO})"


def bundle_files(url: str, profile: Profile, name: str | None = None) -> dict[str, dict[str, Any]]:
    """The content of the bundle: path → what stands in the YAML file.

    Args:
        url: of the warehouse (SQLite, PostgreSQL) or a published DuckDB file, as Superset reaches it.
        profile: whose data it is; demo data is marked.
        name: of connection and dashboard; bundles of different names live beside each other.

    Raises:
        UsageError: the URL cannot be used.
    """
    engine, _ = parse(url)
    named = name or default_name(profile)
    # whatever it is called, whoever sees the title sees what data it is
    title = named if profile is Profile.LIVE or _DEMO in named else f"{named} ({_DEMO})"
    file = re.sub(r"\W+", "_", named).strip("_") or "rally"

    def uid(kind: str, key: str = "") -> str:
        return str(uuid.uuid5(_SPACE, f"{named}/{kind}/{key}"))

    database = uid("database")
    # without a type, so that both importers take it: that of dashboards and that of all assets
    files: dict[str, dict[str, Any]] = {
        "metadata.yaml": {"version": _VERSION},
        f"databases/{file}.yaml": _database(named, superset_uri(url), database),
    }
    datasets = {table: uid("dataset", table) for table in bi_tables()}
    for table in bi_tables().values():
        made = _dataset(table, engine, notice(profile), datasets[table.name], database)
        files[f"datasets/{file}/{table.name}.yaml"] = made
    found = {chart.key: chart for chart in charts()}
    uuids = {key: uid("chart", key) for key in found}
    for key, chart in found.items():
        files[f"charts/{key}.yaml"] = _chart(chart, uuids[key], datasets[chart.table], notice(profile))
    files["dashboards/rally.yaml"] = {
        "dashboard_title": title,
        "description": notice(profile) or "How far has it run, who is buying, and is what the brokers say true?",
        "css": "",
        "slug": re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-") or None,
        "published": True,
        "uuid": uid("dashboard"),
        "position": superset_dashboard.position(title, found, uuids, notice(profile)),
        "metadata": superset_dashboard.metadata(found, datasets),
        "version": _VERSION,
    }
    return files


def bundle_bytes(files: dict[str, dict[str, Any]]) -> bytes:
    """The files as a ZIP archive; the same files make the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
            entry = zipfile.ZipInfo(f"{_ROOT}/{path}", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode())
    return made.getvalue()


def write_bundle(path: Path, url: str, profile: Profile, name: str | None = None) -> int:
    """Writes the bundle to `path` and returns how many files are in it; arguments as for `bundle_files`.

    Raises:
        UsageError: the URL cannot be used, or the file cannot be written.
    """
    files = bundle_files(url, profile, name)
    try:
        path.write_bytes(bundle_bytes(files))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error
    return len(files)


def _database(name: str, uri: str, uid: str) -> dict[str, Any]:
    return {
        "database_name": name,
        "sqlalchemy_uri": uri,
        "cache_timeout": None,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "allow_csv_upload": False,
        "extra": {"allows_virtual_table_explore": True},
        "uuid": uid,
        "version": _VERSION,
    }


def _dataset(table: BiTable, engine: str, warning: str, uid: str, database: str) -> dict[str, Any]:
    money = "currency" if "currency" in table.columns else None
    return {
        "table_name": table.name,
        "main_dttm_col": table.date_column,
        "currency_code_column": money,
        "description": " ".join(filter(None, (table.description, warning))),
        "default_endpoint": None,
        "offset": 0,
        "cache_timeout": None,
        "schema": None,
        "catalog": None,
        "sql": table.view.sql(engine) if table.view else None,
        "params": None,
        "template_params": None,
        "filter_select_enabled": True,
        "fetch_values_predicate": None,
        "extra": None,
        "normalize_columns": False,
        "always_filter_main_dttm": False,
        "uuid": uid,
        "metrics": [_metric(metric) for metric in table.metrics.values()],
        "columns": [_column(column, engine) for column in table.columns.values()],
        "version": _VERSION,
        "database_uuid": database,
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "metric_name": metric.name,
        "verbose_name": metric.label,
        "metric_type": metric.expression.split("(")[0].lower(),
        "expression": metric.expression,
        "description": metric.description,
        "d3format": f",.{metric.digits}f" if metric.digits else ",d",
        "currency": None,
        "extra": {},
        "warning_text": metric.warning or None,
    }


def _column(column: BiColumn, engine: str) -> dict[str, Any]:
    is_time = isinstance(column.type, UtcDateTime)
    is_temporal = is_time or isinstance(column.type, sa.Date)
    written = (_SQLITE_TIME if is_time else _SQLITE_DATE) if engine == "sqlite" and is_temporal else None
    is_number = isinstance(column.type, sa.Integer | sa.Float)
    unit = f" Unit: {column.info.unit}." if column.info.unit else ""
    return {
        "column_name": column.name,
        "verbose_name": column.label,
        "is_dttm": is_temporal,
        "is_active": True,
        "type": _type(column.type, engine),
        "advanced_data_type": None,
        "groupby": not is_number,
        "filterable": True,
        "expression": None,
        "description": column.info.description + unit,
        "python_date_format": written,
        "extra": {},
    }


def _type(type_: sa.types.TypeEngine[object], engine: str) -> str:
    """The type as the engine would say it."""
    if isinstance(type_, UtcDateTime):
        return {"sqlite": "DATETIME", "postgresql": "TIMESTAMP WITH TIME ZONE", "duckdb": "TIMESTAMPTZ"}[engine]
    if isinstance(type_, sa.Double):
        return "DOUBLE" if engine == "duckdb" else "DOUBLE PRECISION"
    return str(type_)


def _chart(chart: Chart, uid: str, dataset: str, warning: str) -> dict[str, Any]:
    return {
        "slice_name": chart.title,
        "description": " ".join(filter(None, (chart.description, warning))),
        "certified_by": None,
        "certification_details": None,
        "viz_type": chart.kind,
        "params": {"viz_type": chart.kind, **chart.params},
        "query_context": None,
        "cache_timeout": None,
        "uuid": uid,
        "version": _VERSION,
        "dataset_uuid": dataset,
    }
