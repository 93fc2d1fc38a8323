"""What BI tools are told agrees with the declarations, holds no secret, and is the same each time."""

from __future__ import annotations

import datetime as dt
import io
import json
import uuid
import zipfile

import pytest
import sqlalchemy as sa
import sqlglot
import yaml

from rally_pipeline.errors import UsageError
from rally_pipeline.publish.bi import powerbi, superset, superset_dashboard, views
from rally_pipeline.publish.bi.connections import SUPERSET_MASK, superset_uri
from rally_pipeline.publish.bi.metrics import ADDITIVE, WARNINGS
from rally_pipeline.publish.bi.superset_charts import charts
from rally_pipeline.publish.bi.tables import bi_tables
from rally_pipeline.publish.bi.words import d3_format, label
from rally_pipeline.schema import column_info, metadata, table_info
from rally_pipeline.settings import Profile
from rally_pipeline_tests.workspaces import environment, run_cli_here

SECRET = "s3cret/word"
POSTGRES = f"postgresql+psycopg://rally_reader:{SECRET.replace('/', '%2F')}@db.example:5433/rally?sslmode=require"
URLS = {
    "sqlite": "sqlite:////srv/rally/warehouse.sqlite",
    "postgresql": POSTGRES,
    "duckdb": "duckdb:////srv/rally/published/rally.duckdb",
}
MARTS = [table for table in metadata.tables.values() if table_info(table).layer == "mart"]


def _files(engine="postgresql", profile=Profile.DEMO, name=None):
    return superset.bundle_files(URLS[engine], profile, name)


def _under(files, folder):
    return {path: content for path, content in files.items() if path.startswith(f"{folder}/")}


# --- tables, labels, formats


def test_every_mart_is_there_as_it_is_declared():
    for table in MARTS:
        made = bi_tables()[table.name]
        assert list(made.columns) == [column.name for column in table.columns]
        assert made.description.startswith(table_info(table).description)
        assert made.date_column == table_info(table).date_column
        for column in table.columns:
            assert made.columns[column.name].info == column_info(column)


@pytest.mark.parametrize(
    ("table", "name", "named", "shown"),
    [
        ("mart_index_performance_daily", "ytd_return_pct", "YTD return (%)", ",.2f"),
        ("mart_index_performance_daily", "close", "Close", ",.2f"),
        ("mart_southbound_daily", "net_buy_hkd_mn", "Net buy (HKD mn)", ",.1f"),
        ("mart_southbound_daily", "net_buy_usd_mn", "Net buy (USD mn)", ",.1f"),
        ("mart_southbound_daily", "hkd_per_usd", "HKD per USD (HKD per USD)", ",.4f"),
        ("mart_southbound_since_event", "sessions_since_event", "Sessions since event", ",d"),
        ("mart_southbound_since_event", "net_buy_szse_hkd_mn", "Net buy Shenzhen (HKD mn)", ",.1f"),
        ("mart_trading_volume_daily", "volume_shares", "Volume (shares)", ",d"),
        ("mart_hot_money_daily", "gross_to_net_ratio", "Gross to net ratio", ",.2f"),
        ("mart_rating_actions", "implied_upside_pct", "Implied upside (%)", ",.2f"),
        ("mart_claim_audit", "quote", "Quote", None),
    ],
)
def test_labels_and_formats(table, name, named, shown):
    column = metadata.tables[table].c[name]
    assert label(name, column_info(column)) == named
    assert d3_format(column.type, column_info(column)) == shown


def test_no_percentage_is_multiplied_by_a_hundred():
    """12.76 % is 12.76 here, and D3's own per-cent formats would show 1276 %."""
    for table in bi_tables().values():
        for column in table.columns.values():
            assert "%" not in (d3_format(column.type, column.info) or "")


def test_labels_are_distinct_within_a_table():
    for table in bi_tables().values():
        labels = [column.label for column in table.columns.values()]
        assert len(labels) == len(set(labels)), table.name


def test_only_what_is_additive_is_summed():
    for name, table in bi_tables().items():
        assert set(ADDITIVE.get(name, ())) <= set(table.columns)
        sums = {metric.expression for metric in table.metrics.values() if metric.expression.startswith("SUM(")}
        assert sums == {f"SUM({column})" for column in ADDITIVE.get(name, ())}
        for metric in table.metrics.values():
            words = metric.name.split("_")
            assert "rank" not in words
            if "ytd" in words or "cumulative" in words or "pct" in words:
                assert not metric.expression.startswith("SUM(")
    assert set(ADDITIVE) <= set(bi_tables())
    assert set(WARNINGS) <= set(ADDITIVE)


# --- views


@pytest.fixture(scope="module")
def empty():
    """The marts, without rows."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    metadata.create_all(engine, tables=MARTS)
    return engine


@pytest.mark.parametrize("view", views.views(), ids=lambda view: view.name)
@pytest.mark.parametrize("engine", views.ENGINES)
def test_a_view_is_one_query_over_marts(view, engine):
    dialect = "postgres" if engine == "postgresql" else engine
    (parsed,) = sqlglot.parse(view.sql(engine), dialect=dialect)
    assert parsed.key == "select"
    ctes = {cte.alias for cte in parsed.find_all(sqlglot.exp.CTE)}
    tables = {table.name for table in parsed.find_all(sqlglot.exp.Table)} - ctes
    assert tables <= {table.name for table in MARTS}, "a reader may see nothing else"
    assert parsed.named_selects == [name for name, _, _ in view.columns()]
    # Superset would take these for a template or a parameter
    assert not {"{{", "{%", "%("} & {part for part in ("{{", "{%", "%(") if part in view.sql(engine)}


@pytest.mark.parametrize("view", views.views(), ids=lambda view: view.name)
def test_a_view_runs(empty, view):
    with empty.connect() as connection:
        result = connection.execute(sa.text(view.sql("sqlite")))
        assert list(result.keys()) == [name for name, _, _ in view.columns()]


def test_the_year_begins_after_the_last_base():
    """A member that has not traded this year yet still has last year's return: not to be drawn at its beginning."""
    engine = sa.create_engine("sqlite://")
    board = metadata.tables["mart_leaderboard_daily"]
    days = [("2024-12-30", "2023-12-29", 20.0), ("2025-01-06", "2024-12-30", 1.0), ("2025-01-07", "2024-12-30", 2.0)]
    with engine.begin() as connection:
        board.create(connection)
        for day, base, value in days:
            for symbol, market_day, market_base in (("^N225", day, base), ("^HSI", day, "2024-12-31")):
                if symbol == "^HSI" and day < "2025":
                    continue
                row = {
                    "leaderboard": "world",
                    "as_of_date": dt.date(2025, 1, 2) if day < "2025" else dt.date.fromisoformat(day),
                    "symbol": symbol,
                    "name": symbol,
                    "session_date": dt.date.fromisoformat(market_day),
                    "close": 1.0,
                    "base_date": dt.date.fromisoformat(market_base),
                    "ytd_return_pct": value,
                }
                connection.execute(board.insert(), row)
        found = connection.execute(sa.text(views.view("rally_leaderboard_this_year").sql("sqlite"))).mappings().all()
        last = connection.execute(sa.text(views.view("rally_leaderboard_last_day").sql("sqlite"))).mappings().all()
    assert sorted(row["ytd_return_pct"] for row in found) == [1.0, 1.0, 2.0, 2.0]
    assert [row["as_of_date"] for row in last] == ["2025-01-07", "2025-01-07"]


# --- the Superset bundle


@pytest.mark.parametrize("engine", views.ENGINES)
def test_everything_refers_to_what_is_there(engine):
    files = _files(engine)
    (database,) = _under(files, "databases").values()
    datasets = {content["uuid"]: content for content in _under(files, "datasets").values()}
    made = {content["uuid"]: content for content in _under(files, "charts").values()}
    (dashboard,) = _under(files, "dashboards").values()
    assert {content["table_name"] for content in datasets.values()} == set(bi_tables())
    assert {content["database_uuid"] for content in datasets.values()} == {database["uuid"]}
    for chart in made.values():
        dataset = datasets[chart["dataset_uuid"]]
        columns = {column["column_name"] for column in dataset["columns"]}
        metrics = {metric["metric_name"] for metric in dataset["metrics"]}
        params = chart["params"]
        for key in ("all_columns", "groupby", "groupby_b"):
            assert set(params.get(key, ())) <= columns, chart["slice_name"]
        assert {params.get("x_axis")} - {None} <= columns
        named = [*params.get("metrics", ()), *params.get("metrics_b", ()), *filter(None, [params.get("metric")])]
        assert {name for name in named if isinstance(name, str)} <= metrics, chart["slice_name"]
        assert {one["subject"] for one in params["adhoc_filters"]} <= columns
        assert {json.loads(one)[0] for one in params.get("order_by_cols", ())} <= columns
        assert set(params.get("column_config", ())) <= columns
    placed = {one["meta"]["uuid"] for one in dashboard["position"].values() if one != "v2" and one["type"] == "CHART"}
    assert placed == set(made)
    for number, (row, _) in enumerate(superset_dashboard.ROWS):
        assert sum(width for _, width in row) == 12, number
    for one in dashboard["metadata"]["native_filter_configuration"]:
        for target in one["targets"]:
            if target:
                columns = {column["column_name"] for column in datasets[target["datasetUuid"]]["columns"]}
                assert target["column"]["name"] in columns


def test_the_same_bytes_each_time_and_names_apart():
    one = superset.bundle_bytes(_files())
    assert one == superset.bundle_bytes(_files())
    ids = {content["uuid"] for content in _files().values() if "uuid" in content}
    assert all(uuid.UUID(one) for one in ids)
    others = {content["uuid"] for content in _files(name="Rally two").values() if "uuid" in content}
    live = {content["uuid"] for content in _files(profile=Profile.LIVE).values() if "uuid" in content}
    assert not ids & others
    assert not ids & live
    # moving the warehouse to another engine changes the connection, not who is who
    assert ids == {content["uuid"] for content in _files("duckdb").values() if "uuid" in content}


def test_it_is_an_archive_of_plain_yaml():
    with zipfile.ZipFile(io.BytesIO(superset.bundle_bytes(_files()))) as archive:
        files = {name.removeprefix("rally/"): yaml.safe_load(archive.read(name)) for name in archive.namelist()}
        text = b"".join(map(archive.read, archive.namelist())).decode()
    assert files == _files()
    assert "&id" not in text
    # without a type: one with a type is taken by one of Superset's importers only
    assert files["metadata.yaml"] == {"version": "1.0.0"}


def test_there_is_no_secret_in_it():
    for text in (str(_files()), *powerbi.powerbi_files(POSTGRES, Profile.LIVE).values()):
        assert SECRET not in text
        assert SECRET.replace("/", "%2F") not in text
    assert superset_uri(POSTGRES) == (
        f"postgresql+psycopg2://rally_reader:{SUPERSET_MASK}@db.example:5433/rally?sslmode=require"
    )


def test_files_are_opened_for_reading_only():
    assert superset_uri(URLS["sqlite"]) == "sqlite:///file:/srv/rally/warehouse.sqlite?mode=ro&uri=true"
    assert superset_uri(URLS["duckdb"]) == "duckdb:////srv/rally/published/rally.duckdb?access_mode=READ_ONLY"


@pytest.mark.parametrize("url", ["mysql://u:pw@h/d", "nonsense", "sqlite://", "duckdb:///:memory:"])
def test_a_wrong_database_is_one_error_without_the_url(url):
    with pytest.raises(UsageError, match="Fix: write") as raised:
        superset_uri(url)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize("name", [None, "Mine"])
def test_demo_data_is_marked_and_live_data_is_not(name):
    for profile in Profile:
        files = _files(profile=profile, name=name)
        (dashboard,) = _under(files, "dashboards").values()
        placed = [one for one in dashboard["position"].values() if one != "v2"]
        texts = [one["meta"]["code"] for one in placed if one["type"] == "MARKDOWN"]
        is_demo = profile is Profile.DEMO
        assert bool(texts) == is_demo
        assert ("DEMO" in dashboard["dashboard_title"]) == is_demo
        for content in (*_under(files, "datasets").values(), *_under(files, "charts").values()):
            assert ("Demo data." in content["description"]) == is_demo


def test_sqlite_says_how_it_keeps_dates():
    for engine, day, time in (("sqlite", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S.%f"), ("postgresql", None, None)):
        for content in _under(_files(engine), "datasets").values():
            for column in content["columns"]:
                if column["is_dttm"]:
                    is_day = column["type"] == "DATE"
                    assert column["python_date_format"] == (day if is_day else time), column["column_name"]


def test_charts_have_names_of_their_own():
    assert len({chart.key for chart in charts()}) == len({chart.title for chart in charts()}) == len(charts())


# --- Power BI


def test_power_bi_gets_a_typed_query_of_each_table():
    files = powerbi.powerbi_files(POSTGRES, Profile.LIVE)
    opened = json.loads(files["rally.pbids"])["connections"][0]
    assert opened["details"] == {
        "protocol": "postgresql",
        "address": {"server": "db.example:5433", "database": "rally"},
    }
    assert set(files) == {"rally.pbids", *(f"queries/{name}.m" for name in bi_tables())}
    text = files["queries/mart_leaderboard_daily.m"]
    for column, type_ in (("as_of_date", "type date"), ("ytd_return_pct", "type number"), ("ytd_rank", "Int64.Type")):
        assert f'{{"{column}", {type_}}}' in text
    assert "// ytd_return_pct: Year-to-date price return at session_date. [%]" in text


def test_power_bi_reads_published_files_by_their_manifest():
    files = powerbi.powerbi_files("C:\\rally\\published", Profile.DEMO)
    assert json.loads(files["rally.pbids"])["connections"][0]["details"]["address"] == {"path": "C:\\rally\\published"}
    text = files["queries/mart_southbound_daily.m"]
    assert 'File.Contents("C:\\rally\\published\\manifest.json")' in text
    assert text.startswith("// Demo data.")
    with pytest.raises(UsageError, match="PostgreSQL"):
        powerbi.powerbi_files(URLS["duckdb"], Profile.LIVE)


# --- the command


def test_the_commands_need_no_warehouse(tmp_path):
    env = environment(tmp_path, RALLY_PROFILE="demo")
    done = run_cli_here(["bi", "superset", "--to", tmp_path / "rally.zip"], env)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    wanted = superset.bundle_files(f"sqlite:///{tmp_path / 'warehouse.sqlite'}", Profile.DEMO)
    assert (tmp_path / "rally.zip").read_bytes() == superset.bundle_bytes(wanted)
    done = run_cli_here(["bi", "powerbi", "--to", tmp_path / "powerbi"], env)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "published") in (tmp_path / "powerbi" / "rally.pbids").read_text()
    done = run_cli_here(["bi", "sql", "rally_claims"], env)
    assert done.stdout.startswith("SELECT mart_claim_audit.claim_id")
    assert run_cli_here(["bi", "sql", "nothing"], env).returncode == 2
    assert run_cli_here(["bi", "superset", "--to", tmp_path / "no" / "rally.zip"], env).returncode == 2
    assert not (tmp_path / "warehouse.sqlite").exists()
