"""The Dagster UI in a browser: what the pipeline records can be seen there."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy as sa
from dagster._core.storage.runs.schema import RunsTable

from rally_pipeline.orchestration.instance import open_instance, ui_command
from rally_pipeline.orchestration.retention_job import prune_home
from rally_pipeline.orchestration.runner import run_pipeline
from rally_pipeline.settings import Profile, load_settings

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    made = load_settings(home=tmp_path_factory.mktemp("ui"), profile=Profile.DEMO)
    report = run_pipeline(made, dt.date(2025, 2, 10), dt.date(2025, 2, 14), markets=("DE", "FX"))
    assert report.ok, report.lines()
    return made


@pytest.fixture(scope="module")
def address(settings, tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _, environment = ui_command(settings, port)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    log = tmp_path_factory.mktemp("log") / "webserver.log"
    with log.open("wb") as sink:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=sink, stderr=subprocess.STDOUT)
        try:
            _wait(f"http://127.0.0.1:{port}/server_info", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=30)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the webserver did not answer:\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, tmp_path, request):
    opened = browser.new_page(viewport={"width": 1500, "height": 1100})
    opened.set_default_timeout(30_000)
    yield opened
    # For whoever wants to look: pytest --basetemp says where.
    opened.screenshot(path=tmp_path / f"{request.node.name}.png")
    opened.close()


def test_graph_shows_the_groups_and_no_dialog(address, page):
    page.goto(f"{address}/asset-groups")
    for group in ("ingest", "core", "marts", "reference"):
        page.get_by_text(group, exact=True).first.wait_for()
    page.wait_for_timeout(1000)
    assert page.locator("[role=dialog]").count() == 0
    assert page.get_by_text("newsletter").count() == 0


def test_asset_page_shows_columns_with_units_and_rules(address, page):
    page.goto(f"{address}/assets/core_price_daily/de")
    page.get_by_text("Columns", exact=True).wait_for()
    page.get_by_text("Shares traded. [shares]").wait_for()
    page.get_by_text("in core_instrument.symbol").first.wait_for()
    page.get_by_text("markets-data").first.wait_for()
    page.get_by_text("Row count").wait_for()


@pytest.mark.parametrize("asset", ["core_price_daily/de", "mart_price_extremes_daily"])
def test_materialization_shows_evidence_and_plot(address, page, asset):
    page.goto(f"{address}/assets/{asset}?view=events")
    page.get_by_text("as_of_day").first.wait_for()
    page.get_by_text("2025-02-14").first.wait_for()
    page.get_by_text("Show Markdown").first.click()
    plot = page.locator("img[src^='data:image/svg+xml;base64,']")
    plot.wait_for()
    page.wait_for_timeout(300)
    assert plot.evaluate("image => image.complete && image.naturalWidth") == 560


def test_every_partition_of_the_range_is_shown(address, page):
    page.goto(f"{address}/assets/raw_fetch/price_de?view=partitions")
    page.get_by_text("Materialized (5)").wait_for()
    page.get_by_text("Failed (0)").wait_for()


def test_every_expectation_is_a_check_with_its_result(address, page):
    page.goto(f"{address}/assets/core_price_daily/de?view=checks&checkDetail=high_is_highest")
    page.get_by_text("price_positive").first.wait_for()
    page.get_by_text("High is not below").first.wait_for()
    page.get_by_text("rows of").first.wait_for()
    page.get_by_text("unexpected_count").first.wait_for()
    assert page.get_by_text("Skipped").count() == 0
    assert page.get_by_text("Not evaluated").count() == 0


_STATUS = """{ assetNodes {
  assetKey { path }
  partitionStats { numMaterialized numFailed numMaterializing numPartitions }
  assetMaterializations(limit: 1) { runId timestamp partition }
  assetChecksOrError { ... on AssetChecks { checks {
    name executionForLatestMaterialization { status runId timestamp evaluation { success } }
  } } }
} }"""


def _status(address):
    body = json.dumps({"query": _STATUS}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        found = json.load(answer)
    assert "errors" not in found, found
    return sorted(found["data"]["assetNodes"], key=lambda node: node["assetKey"]["path"])


def test_what_is_shown_stays_when_old_runs_lose_their_logs(settings, address):
    """While the UI runs. Last, since it removes what the others look at."""
    assert run_pipeline(settings, dt.date(2025, 2, 10), dt.date(2025, 2, 14), markets=("DE", "FX")).ok
    before = _status(address)
    de = next(node for node in before if node["assetKey"]["path"] == ["core_price_daily", "de"])
    assert de["partitionStats"]["numMaterialized"] == 5
    assert all(check["executionForLatestMaterialization"] for check in de["assetChecksOrError"]["checks"])
    then = dt.datetime.now(dt.UTC) - dt.timedelta(days=100)
    with open_instance(settings) as instance, instance.run_storage.connect() as connection:
        connection.execute(
            sa.update(RunsTable).values(update_timestamp=then.replace(tzinfo=None), end_time=then.timestamp())
        )
    pruned, _ = prune_home(settings, 90)
    assert pruned.runs_removed > 0
    assert pruned.logs_removed >= pruned.runs_ended
    assert pruned.bytes_after < pruned.bytes_before / 2
    assert _status(address) == before
