"""The lineage page, the command, and what Dagster is told: whole, escaped, usable by keyboard, cheap."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from rally_pipeline.cli import cli
from rally_pipeline.lineage import ColumnRef, Dependency, LineageGraph, Subtype, TableLineage, lineage_graph
from rally_pipeline.lineage.drawing import page, write_page
from rally_pipeline.orchestration.declared import LINEAGE
from rally_pipeline.orchestration.jobs import build_definitions
from rally_pipeline.settings import load_settings

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]
TARGET = "mart_southbound_daily.net_buy_usd_mn"


def _data(html: str) -> dict:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_page_holds_every_column_and_nothing_from_elsewhere():
    html = page()
    data = _data(html)
    ids = [column["id"] for box in data["boxes"] for column in box["columns"]]
    graph = lineage_graph()
    assert sorted(ids) == sorted(
        str(ColumnRef(table, column)) for table, lineage in graph.tables.items() for column in lineage.columns
    )
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)
    assert not re.search(r"https?:", html)
    policy = re.search(r"script-src '(sha256-[^']+)'", html)
    assert policy is not None
    at = ids.index(TARGET)
    sources = {ids[of] for of, _ in [c for box in data["boxes"] for c in box["columns"]][at]["from"]}
    assert "core_fx_usd_daily.units_per_usd" in sources


def test_hostile_names_stay_data():
    evil = "</script><img src=x onerror=alert(1)>\u2028&amp;"
    graph = LineageGraph(
        {
            "catalog": TableLineage("catalog", {f"f.{evil}": frozenset()}),
            "core_event": TableLineage(
                "core_event",
                {"name": frozenset({Dependency(ColumnRef("catalog", f"f.{evil}"), Subtype.IDENTITY)})},
            ),
        },
        {"catalog": "outside", "core_event": "reference"},
    )
    html = page(graph)
    assert "<img" not in html
    assert html.count("</script>") == page().count("</script>")
    assert _data(html)["boxes"][0]["columns"][0]["name"] == evil


def test_the_page_is_replaced_whole(tmp_path):
    folder = tmp_path / "published" / "lineage"
    assert write_page(folder) == folder / "index.html"
    write_page(folder)
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    assert (folder / "index.html").stat().st_mode & 0o777 == 0o644


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("RALLY_HOME", str(tmp_path))
    run = CliRunner().invoke
    assert "raw_fetch.body:fx.rate" in run(cli, ["lineage", TARGET], catch_exceptions=False).output
    assert "mart_positioning" in run(cli, ["lineage"], catch_exceptions=False).output
    rows = json.loads(run(cli, ["lineage", TARGET, "--json", "--values"], catch_exceptions=False).output)
    assert {"from_table", "from_column", "type", "subtype"} <= set(rows[0])
    written = run(cli, ["lineage", "--page"], catch_exceptions=False).output.strip()
    assert Path(written) == tmp_path / "published" / "lineage" / "index.html"
    assert Path(written).exists()
    assert run(cli, ["lineage", TARGET, "--page"]).exit_code == 2
    assert not (tmp_path / "warehouse.sqlite").exists()


def test_dagster_is_told(tmp_path):
    definitions = build_definitions(load_settings(home=tmp_path))
    graph = definitions.resolve_asset_graph()
    marts = [key for key in graph.get_all_asset_keys() if key.path[0].startswith("mart_")]
    assert marts
    for key in marts:
        node = graph.get(key)
        deps = node.metadata[LINEAGE].deps_by_column
        assert list(deps) == list(lineage_graph().tables[key.path[0]].columns)
        for dep in (dep for column in deps.values() for dep in column):
            assert dep.asset_key in node.parent_keys, f"{key} is said to come from {dep.asset_key}"
            named = {column.name for column in graph.get(dep.asset_key).metadata["dagster/column_schema"].columns}
            assert dep.column_name in named
        described = [column.description for column in node.metadata["dagster/column_schema"].columns]
        assert all(" ← " in text for text in described)
    close = graph.get(dg.AssetKey("core_price_resolved_daily")).metadata[LINEAGE].deps_by_column["close"]
    assert {dep.asset_key.path[0] for dep in close} == {"core_price_daily"}
    assert len(close) > 1
    size = max(len(str(graph.get(key).metadata[LINEAGE])) for key in marts)
    assert size < 200_000


def test_the_graph_is_made_quickly():
    lineage_graph.cache_clear()
    began = time.perf_counter()
    lineage_graph()
    assert time.perf_counter() - began < 3


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("no Chromium")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_in_a_browser(browser, tmp_path, scheme):
    path = write_page(tmp_path)
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1440, "height": 1000})
    tab = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{path.as_uri()}#{TARGET}")
    assert TARGET in tab.inner_text("#told")
    assert tab.locator("svg path.up").count() > 5
    strong = tab.locator("svg path.up:not(.weak)").count()
    assert 0 < strong < tab.locator("svg path.up").count()
    tab.check("#values")
    assert tab.locator("svg path").count() == tab.locator("svg path:not(.weak)").count() == strong

    tab.keyboard.press("Escape")
    assert tab.locator("svg path").count() == 0
    assert tab.evaluate("document.activeElement.textContent") == "net_buy_usd_mn"
    tab.keyboard.press("Enter")
    assert tab.locator("svg path.up").count() == strong

    tab.uncheck("#values")
    tab.fill("#find", "core_fx_daily.rate")
    tab.keyboard.press("Enter")
    assert tab.locator("li.self button").inner_text() == "rate"
    assert tab.locator("svg path.down").count() > 10
    tab.click("#clear")
    head = tab.locator(".box > button", has_text="core_session")
    head.focus()
    tab.keyboard.press("Enter")
    assert head.get_attribute("aria-expanded") == "true"
    assert tab.locator("li button:visible", has_text="session_no").count() == 1
    tab.goto("about:blank")
    tab.goto(f"{path.as_uri()}#mart_rally_scoreboard.return_since_event_pct")
    tab.screenshot(path=str(tmp_path / f"{scheme}.png"))
    assert said == []
    assert {url.partition("#")[0] for url in asked} - {"about:blank"} == {path.as_uri()}
    context.close()
