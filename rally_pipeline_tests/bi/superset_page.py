"""A dashboard of Superset in headless Chromium: what its charts asked, what they got, and a picture.

Belongs here: logging in, opening, listening. Does not belong here: what is expected.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rally_pipeline_tests.bi.superset_server import USER, Superset

CHROMIUM = Path("/usr/bin/chromium")
WIDTH = 1440
_SECONDS = 120


@dataclass
class Seen:
    """What was seen of a dashboard.

    Attributes:
        answers: chart id → results of its queries, as the page got them.
        failures: requests for data that were answered with an error.
        text: all text on the page.
        errors: texts of charts that show an error.
    """

    answers: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    text: str = ""
    errors: list[str] = field(default_factory=list)


def look(server: Superset, slug: str, charts: int, picture: Path) -> Seen:
    """Opens the dashboard `slug`, waits until `charts` charts have their data, and takes a picture of all of it."""
    from playwright.sync_api import Response, sync_playwright

    seen = Seen()

    def listen(response: Response) -> None:
        if "/api/v1/chart/data" not in response.url or response.request.method != "POST":
            return
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(response.url).query)
        chart = json.loads(query.get("form_data", ["{}"])[0]).get("slice_id")
        if response.status != 200:
            seen.failures.append(f"chart {chart}: {response.status} {response.text()[:500]}")
        elif chart is not None:
            # charts of two queries ask for both at once, but each answer comes alone
            seen.answers.setdefault(int(chart), []).extend(response.json()["result"])

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 1000})
        page.set_default_timeout(_SECONDS * 1000)
        # nothing but the server: the page would load a picture that counts visitors
        page.route(lambda url: not url.startswith((server.base, "data:", "blob:")), lambda route: route.abort())
        page.goto(f"{server.base}/login/")
        page.fill("input#username", USER)
        page.fill("input[type=password]", server.password)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/login" not in url)
        page.wait_for_load_state("networkidle")
        page.on("response", listen)
        page.goto(f"{server.base}/superset/dashboard/{slug}/")
        page.wait_for_selector("[data-test=grid-container]")
        height = "() => document.querySelector('[data-test=grid-container]').scrollHeight"
        deadline = time.monotonic() + _SECONDS
        while len(seen.answers) < charts and not seen.failures and time.monotonic() < deadline:
            # charts ask for their data when they come into view
            page.set_viewport_size({"width": WIDTH, "height": page.evaluate(height) + 250})
            page.wait_for_timeout(500)
        page.wait_for_load_state("networkidle")
        page.set_viewport_size({"width": WIDTH, "height": page.evaluate(height) + 250})
        page.wait_for_timeout(3000)  # charts draw themselves with a little animation
        seen.text = page.inner_text("body")
        seen.errors = page.locator("[data-test=error-alert], .ant-alert-error").all_inner_texts()
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=picture)
        browser.close()
    return seen
