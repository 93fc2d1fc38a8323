"""The quality report in a browser: readable narrow and wide, light and dark, by keyboard, and silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from rally_pipeline.publish.quality_report import write_reports
from rally_pipeline_tests.unit.test_quality_report import EVIL, fill
from rally_pipeline_tests.workspaces import open_at

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    workspace = open_at(tmp_path_factory.mktemp("quality") / "home")
    fill(workspace)
    return write_reports(workspace)[-1].parent


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(params=[(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")], ids=str)
def page(browser, request, tmp_path):
    width, scheme = request.param
    opened = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    noise: list[str] = []
    opened.on("console", lambda message: noise.append(message.text))
    opened.on("pageerror", lambda error: noise.append(str(error)))
    opened.on("dialog", lambda dialog: (noise.append(dialog.message), dialog.dismiss()))
    opened.on("request", lambda r: noise.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
    yield opened
    # For whoever wants to look: pytest --basetemp says where.
    opened.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
    opened.close()
    assert noise == []


def _contrast(page, selector):
    """The least contrast of text to what is behind it, by the formula of WCAG."""
    return page.evaluate(
        """selector => {
            const rgb = text => text.match(/[\\d.]+/g).map(Number);
            const light = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255)
                .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
            const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
                if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
            return Math.min(...[...document.querySelectorAll(selector)].map(e => {
                const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
                return (a + 0.05) / (b + 0.05); }));
        }""",
        selector,
    )


@pytest.mark.parametrize("name", ["index.html", "run-r1.html"])
def test_pages_fit_and_can_be_read(folder, page, name):
    page.goto((folder / name).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert _contrast(page, ".pill, .verdict, .dim, a, dd, dt, th, td, summary, small, code") >= 4.5
    # What came from a row is text.
    assert EVIL in page.locator("body").inner_text()


def test_rows_are_reached_by_keyboard(folder, page):
    page.goto((folder / "run-r1.html").as_uri())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.locator("#quarantine").scroll_into_view_if_needed()
    row = page.locator("details[id^=q-]")
    assert row.get_attribute("open") is None
    row.locator("summary").focus()
    page.keyboard.press("Enter")
    assert row.get_attribute("open") is not None
    row.get_by_text("-1.5").wait_for()
    # From the rule's example to the row, from the summary to the run.
    page.locator("a[href^='#q-']").first.press("Enter")
    assert "#q-" in page.url
    page.get_by_role("link", name="Quality over time").press("Enter")
    page.wait_for_url("**/index.html")
    page.locator("a[href='run-r1.html']").press("Enter")
    page.wait_for_url("**/run-r1.html")
