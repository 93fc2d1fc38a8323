"""A real Superset imports the bundle and shows on its dashboard what stands in the warehouse, on every engine.

Run by `make test-bi`: it needs the environment made from superset.lock, Chromium, and some minutes.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline.publish.bi import superset as bundles
from rally_pipeline.publish.bi.superset_charts import charts
from rally_pipeline.publish.bi.tables import bi_tables
from rally_pipeline.schema import metadata
from rally_pipeline.settings import Profile
from rally_pipeline.warehouse.engine import open_warehouse
from rally_pipeline_tests.bi import superset_page
from rally_pipeline_tests.bi.superset_server import ENVIRONMENT, RefusedError, running
from rally_pipeline_tests.workspaces import ROOT, environment, open_at, run_cli

ENGINES = ("sqlite", "postgresql", "duckdb")
READER, READER_PASSWORD = "rally_reader", "only for this test"
#: Of the leaderboard that the dashboard opens with.
BOARD = "world_indices"
#: Floating point sums depend on the order in which an engine adds.
NEAR = 1e-9
DAY = re.compile(r"(19|20)\d\d-\d\d-\d\d")


@dataclass(frozen=True)
class Source:
    """A database that Superset reads: its engine, URL and the name it is imported under."""

    engine: str
    url: str

    @property
    def name(self):
        return f"Rally on {self.engine}"

    @property
    def slug(self):
        return f"rally-on-{self.engine}"


@pytest.fixture(scope="session")
def homes(tmp_path_factory, postgres_url):
    """The demo on each engine of a warehouse, in a home of its own: engine → (home, URL of the warehouse or nothing).

    RALLY_BI_HOME and RALLY_BI_POSTGRES name a home and a warehouse that are there already, for those who try things.
    """
    given, made = os.environ.get("RALLY_BI_HOME"), tmp_path_factory.mktemp("bi")
    found = {
        "sqlite": (Path(given).absolute() if given else made / "sqlite", None),
        "postgresql": (made / "postgresql", os.environ.get("RALLY_BI_POSTGRES") or postgres_url()),
    }
    missing = [f for f in found.values() if not (f[0].exists() if f[1] is None else "RALLY_BI_POSTGRES" in os.environ)]
    with ThreadPoolExecutor() as pool:
        for done in pool.map(lambda one: run_cli(["demo"], environment(*one), timeout=1800), missing):
            assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return found


@pytest.fixture(scope="session")
def workspace(homes):
    return open_at(homes["sqlite"][0], profile=Profile.DEMO)


@pytest.fixture(scope="session")
def sources(homes):
    """PostgreSQL is read through a role that may see nothing but the marts and the dictionary."""
    home, url = homes["sqlite"][0], homes["postgresql"][1]
    readable = ", ".join(name for name, table in bi_tables().items() if table.view is None)
    with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        if not connection.scalar(sa.text(f"SELECT 1 FROM pg_roles WHERE rolname = '{READER}'")):
            connection.execute(sa.text(f"CREATE ROLE {READER} LOGIN PASSWORD '{READER_PASSWORD}'"))
        connection.execute(sa.text(f"GRANT SELECT ON {readable} TO {READER}"))
    reader = sa.make_url(url).set(username=READER, password=READER_PASSWORD)
    return {
        "sqlite": Source("sqlite", f"sqlite:///{home / 'warehouse.sqlite'}"),
        "postgresql": Source("postgresql", reader.render_as_string(hide_password=False)),
        "duckdb": Source("duckdb", f"duckdb:///{home / 'published' / 'rally.duckdb'}"),
    }


@pytest.fixture(scope="session")
def server(tmp_path_factory, postgres_url):
    assert (ENVIRONMENT / "bin" / "superset").exists(), f"no Superset in {ENVIRONMENT}; `make test-bi` installs it"
    url = sa.make_url(postgres_url()).set(drivername="postgresql+psycopg2")
    with running(tmp_path_factory.mktemp("superset"), url.render_as_string(hide_password=False)) as started:
        yield started


@functools.cache
def _bundle(folder, source):
    path = folder / f"{source.slug}.zip"
    bundles.write_bundle(path, source.url, Profile.DEMO, source.name)
    return path


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return functools.partial(_bundle, tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="session")
def imported(server, sources, bundle):
    """A function that gives the source of an engine, imported once."""

    @functools.cache
    def once(engine):
        source = sources[engine]
        server.import_assets(bundle(source), _passwords(source))
        return source

    return once


def _passwords(source):
    file = source.name.replace(" ", "_")
    return {f"databases/{file}.yaml": READER_PASSWORD} if source.engine == "postgresql" else {}


def _mine(server, kind, source):
    """What belongs to the source, by name; of charts, those of its datasets."""
    if kind == "dataset":
        found = (one for one in server.everything(kind) if one["database"]["database_name"] == source.name)
        return {one["table_name"]: one for one in found}
    ids = {one["id"] for one in _mine(server, "dataset", source).values()}
    return {one["slice_name"]: one for one in server.everything("chart") if one["datasource_id"] in ids}


def _inventory(server):
    return {
        kind: sorted((one["id"], str(one.get("uuid"))) for one in server.everything(kind))
        for kind in ("database", "dataset", "chart", "dashboard")
    }


# --- importing


def test_sqlite_is_refused_unless_allowed(server, sources, bundle):
    refused = server.command("import-dashboards", "-p", str(bundle(sources["sqlite"])), "-u", "admin", is_strict=True)
    assert refused.returncode == 1
    assert "cannot be used as a data source for security reasons" in refused.stderr + refused.stdout
    assert _inventory(server)["dashboard"] == []


def test_the_password_is_asked_for(server, sources, bundle):
    path = bundle(sources["postgresql"])
    with pytest.raises(RefusedError, match="Must provide a password"):
        server.import_dashboard(path)
    # the other importer refuses it as well, but does not say why
    with pytest.raises(RefusedError, match="unknown reason"):
        server.import_assets(path)
    assert _inventory(server)["database"] == []


@pytest.mark.parametrize("engine", ENGINES)
def test_import(server, imported, engine):
    source = imported(engine)
    datasets = _mine(server, "dataset", source)
    assert set(datasets) == set(bi_tables())
    for name, table in bi_tables().items():
        got = server.ask(f"dataset/{datasets[name]['id']}")["result"]
        assert got["description"].startswith(table.description)
        assert "Demo data" in got["description"]
        assert got["main_dttm_col"] == table.date_column
        columns = {column["column_name"]: column for column in got["columns"]}
        assert set(columns) == set(table.columns)
        for key, column in table.columns.items():
            assert columns[key]["description"].startswith(column.info.description)
            assert columns[key]["verbose_name"] == column.label
        metrics = {metric["metric_name"]: metric for metric in got["metrics"]}
        assert {key: one["expression"] for key, one in metrics.items()} == {
            key: one.expression for key, one in table.metrics.items()
        }
    assert set(_mine(server, "chart", source)) == {chart.title for chart in charts()}


@pytest.mark.parametrize("engine", ENGINES)
def test_importing_again_doubles_nothing(server, imported, bundle, engine):
    source, before = imported(engine), _inventory(server)
    server.import_assets(bundle(source))  # the password is known by now
    done = server.command("import-dashboards", "-p", str(bundle(source)), "-u", "admin")
    assert done.returncode == 0, done.stderr[-2000:]
    assert _inventory(server) == before


def test_what_was_changed_by_hand_is_set_right(server, imported, bundle):
    source = imported("duckdb")
    found = _mine(server, "dataset", source)["mart_leaderboard_daily"]["id"]
    other = bundles.bundle_files(source.url, Profile.DEMO, source.name)
    path = next(path for path in other if path.endswith("/mart_leaderboard_daily.yaml"))
    other[path]["description"] = "something else"
    changed = bundle(source).with_name("changed.zip")
    changed.write_bytes(bundles.bundle_bytes(other))
    server.import_assets(changed)
    assert server.ask(f"dataset/{found}")["result"]["description"] == "something else"
    server.import_assets(bundle(source))
    assert server.ask(f"dataset/{found}")["result"]["description"] != "something else"


# --- what it reads


def _day(value):
    """A date as Superset sends it: text, or milliseconds."""
    return dt.datetime.fromtimestamp(value / 1000, dt.UTC).date() if isinstance(value, int | float) else value


@pytest.mark.parametrize("engine", ENGINES)
def test_every_metric_is_what_the_warehouse_says(server, homes, imported, engine):
    # DuckDB holds what was published of the one on SQLite; each warehouse has a history of audits of its own
    home, url = homes["postgresql" if engine == "postgresql" else "sqlite"]
    warehouse = open_warehouse(url or f"sqlite:///{home / 'warehouse.sqlite'}")
    datasets = _mine(server, "dataset", imported(engine))
    for name, table in bi_tables().items():
        query = {"metrics": list(table.metrics), "columns": [], "row_limit": 10}
        asked = {"datasource": {"id": datasets[name]["id"], "type": "table"}, "queries": [query]}
        (answer,) = server.ask("chart/data", {**asked, "result_format": "json", "result_type": "full"})["result"]
        assert answer["error"] is None, name
        rows = f"({table.view.sql(warehouse.dialect)})" if table.view else name
        wanted = ", ".join(f"{metric.expression} AS {key}" for key, metric in table.metrics.items())
        with warehouse.read() as connection:
            truth = connection.execute(sa.text(f"SELECT {wanted} FROM {rows} AS t")).mappings().one()
        (got,) = answer["data"]
        for key in table.metrics:
            wanted = None if truth[key] is None else pytest.approx(float(truth[key]), rel=NEAR, abs=1e-6)
            assert got[key] == wanted, (name, key)
        assert got["rows"] > 0, name


@pytest.mark.parametrize("engine", ENGINES)
def test_every_column_can_be_read(server, imported, engine):
    datasets = _mine(server, "dataset", imported(engine))
    for name, table in bi_tables().items():
        query = {"columns": list(table.columns), "metrics": [], "row_limit": 20, "is_timeseries": False}
        asked = {"datasource": {"id": datasets[name]["id"], "type": "table"}, "queries": [query]}
        (answer,) = server.ask("chart/data", {**asked, "result_format": "json", "result_type": "full"})["result"]
        assert answer["error"] is None, name
        assert answer["colnames"] == list(table.columns)
        for key, column in table.columns.items():
            values = [row[key] for row in answer["data"] if row[key] is not None]
            if isinstance(column.type, sa.Date):
                assert all(DAY.match(str(_day(value))) for value in values), (name, key)


# --- the dashboard


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.skipif(not superset_page.CHROMIUM.exists(), reason=f"no browser at {superset_page.CHROMIUM}")
def test_dashboard(server, workspace, imported, engine):
    source = imported(engine)
    made = _mine(server, "chart", source)
    picture = ROOT / "build" / f"superset-{engine}.png"
    seen = superset_page.look(server, source.slug, len(charts()), picture)
    assert seen.failures == []
    assert seen.errors == []
    assert "DEMO DATA: not for any decision" in seen.text
    rows = {}
    for chart in charts():
        assert chart.title in seen.text
        results = seen.answers[made[chart.title]["id"]]
        assert all(result["rowcount"] > 0 for result in results), chart.key
        rows[chart.key] = [row for result in results for row in result["data"]]
    board = metadata.tables["mart_leaderboard_daily"]
    flow = metadata.tables["mart_southbound_since_event"]
    claims = metadata.tables["mart_claim_audit"]
    with workspace.warehouse.read() as connection:
        last = sa.select(sa.func.max(board.c.as_of_date)).where(board.c.leaderboard == BOARD).scalar_subquery()
        ranked = connection.execute(
            sa.select(board.c.ytd_rank, board.c.name, board.c.close, board.c.ytd_return_pct)
            .where(board.c.leaderboard == BOARD, board.c.as_of_date == last)
            .order_by(board.c.ytd_rank)
        ).all()
        summed = connection.scalars(
            sa.select(flow.c.net_buy_hkd_mn)
            .where(flow.c.event_id == "lunar_new_year_2025")
            .order_by(flow.c.session_date.desc())
        ).first()
        verdicts = dict(
            connection.execute(
                sa.select(claims.c.verdict, sa.func.count())
                .where(claims.c.is_latest.is_(True), claims.c.repeat_of == "")
                .group_by(claims.c.verdict)
            ).all()
        )
    shown = [(row["ytd_rank"], row["name"], row["close"], row["ytd_return_pct"]) for row in rows["leaderboard"]]
    assert shown == [tuple(row) for row in ranked]
    assert rows["new_year_hkd"][-1]["max_cumulative_net_buy_hkd_mn"] == pytest.approx(summed)
    counted = {name: sum(row[name] or 0 for row in rows["verdicts"]) for name in verdicts}
    assert counted == verdicts
    assert {row["Volume (mn shares)"] for row in rows["volume_by_month"]} >= {3878.9, 2023.3}
