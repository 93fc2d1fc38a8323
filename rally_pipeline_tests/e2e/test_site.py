"""The site: what it says, that it holds together, and that it opens from disk in a browser, silent, quick and usable."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from pathlib import Path

import pytest

from rally_pipeline import imports
from rally_pipeline.imports import note_payload
from rally_pipeline.publish.files import PublishError, only_one
from rally_pipeline.publish.site import write_site, writer
from rally_pipeline.publish.site.shell import PLACES
from rally_pipeline.settings import Profile
from rally_pipeline_tests import audited
from rally_pipeline_tests.workspaces import open_at

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
EVIL = "</title><img src=x onerror=alert(1)><script>alert(2)</script>{{ 7*7 }} \"'&"
HOSTILE = f"# {EVIL}\n\nDate: 14 February 2025\n\nThe Hang Seng Index <b onclick=alert(3)>rose</b> 13% this year. {EVIL}\n"
NOTES = Path(imports.__file__).parent / "demo" / "notes"
PAGE_BYTES = 3_000_000
FIRST_VIEW_MS = 1000

browser_test = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = open_at(tmp_path_factory.mktemp("site") / "home", profile=Profile.DEMO)
    with made.warehouse.write() as connection:
        audited.write_demo(connection, made.catalog, made.calendars)
    hostile = tmp_path_factory.mktemp("notes") / "hostile <i>&.md"
    hostile.write_text(HOSTILE, encoding="utf-8")
    os.utime(hostile, (1_739_500_000, 1_739_500_000))
    names = ("press_summary_hong_kong_rally.md", "wrong_on_purpose.md", "southbound_weekly_zh_hans.txt")
    report = imports.import_files(
        made,
        [*(NOTES / name for name in names), hostile],
        lambda path, at: note_payload(path, at, source="file", declared={}),
        known_at=None,
        refresh_marts=True,
    )
    assert report.ok, list(report.lines())
    return made


@pytest.fixture(scope="module")
def site(workspace):
    return write_site(workspace).parent


@pytest.fixture(scope="module")
def hostile_page(site):
    return next(path for path in site.glob("note-*.html") if html.escape("<b onclick=") in path.read_text())


# --- without a browser --------------------


def test_every_page_is_there_marked_as_demo_and_small(site):
    names = {path.name for path in site.iterdir()}
    assert {place.file for place in PLACES} | {"lineage-graph.html"} <= names
    for path in site.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "Demo data" in text, path.name
        assert path.stat().st_size < PAGE_BYTES, path.name
    assert sum(path.stat().st_size for path in site.iterdir()) < PAGE_BYTES


def test_nothing_comes_from_elsewhere_and_every_link_leads_somewhere(site):
    for path in site.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<(?:script|img|iframe|object|embed)[^>]*\ssrc=", text)
        assert not re.search(r"<link(?![^>]*href=\"data:)", text)
        for href in re.findall(r"<a[^>]*\shref=\"([^\"]*)\"", text):
            file, _, anchor = html.unescape(href).partition("#")
            target = site / file if file else path
            assert target.exists(), (path.name, href)
            # The graph chooses a column by its own script.
            if anchor and target.name != "lineage-graph.html":
                assert f'id="{anchor}"' in target.read_text(encoding="utf-8"), (path.name, href)


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(site):
    for path in site.glob("*.html"):
        if path.name == "lineage-graph.html":
            continue
        text = path.read_text(encoding="utf-8")
        policy = html.unescape(re.search(r"Content-Security-Policy\" content=\"([^\"]+)\"", text)[1])
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'")
        for tag in ("style", "script"):
            found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            assert len(found) == 1
            digest = base64.b64encode(hashlib.sha256(found[0].encode()).digest()).decode()
            assert f"{tag}-src 'sha256-{digest}'" in policy
        assert not re.search(r"\s(?:style|on[a-z]+)=\"", text.split("</head>")[1]), path.name


def test_what_comes_from_a_note_is_text(site, hostile_page):
    for path in (hostile_page, site / "notes.html", site / "index.html"):
        text = path.read_text(encoding="utf-8")
        assert "<img" not in text
        assert "alert(2)</script>" not in text
        assert "49 \"" not in text


def test_a_site_of_an_earlier_day_knows_nothing_later(workspace, tmp_path):
    import dataclasses
    import datetime as dt

    settings = workspace.settings.model_copy(update={"home": tmp_path})
    page = write_site(dataclasses.replace(workspace, settings=settings), dt.date(2025, 2, 14))
    text = page.read_text(encoding="utf-8")
    assert "2025-02-14" in text
    assert "2025-02-17" not in text
    assert "+30.89\u00a0%" in text
    assert "22,616.23" not in (page.parent / "prices.html").read_text(encoding="utf-8")


def test_an_empty_warehouse_has_a_site_too(tmp_path):
    page = write_site(open_at(tmp_path / "home"))
    assert "No session is in the warehouse yet." in page.read_text(encoding="utf-8")
    assert "Demo data" not in page.read_text(encoding="utf-8")


def test_a_site_that_fails_leaves_the_one_before(site, workspace, monkeypatch):
    before = {path.name: path.read_bytes() for path in site.iterdir()}
    monkeypatch.setattr(writer.lineage, "drawn", lambda notice: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_site(workspace)
    assert {path.name: path.read_bytes() for path in site.iterdir()} == before
    assert [path.name for path in (site.parent / ".site").iterdir()] == [".lock"]
    short = workspace.settings.model_copy(update={"lock_timeout_seconds": 0.1})
    import dataclasses

    with only_one(site.parent / ".site" / ".lock", 1), pytest.raises(PublishError):
        write_site(dataclasses.replace(workspace, settings=short))


# --- in a browser --------------------


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        chromium.close()


def _open(browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.noise = []
    page.on("console", lambda message: page.noise.append(message.text))
    page.on("pageerror", lambda error: page.noise.append(str(error)))
    page.on("dialog", lambda dialog: (page.noise.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda r: page.noise.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
    return page


@pytest.fixture(params=[(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")], ids=str)
def page(browser, request):
    opened = _open(browser, *request.param)
    yield opened
    opened.close()
    assert opened.noise == []


@pytest.fixture
def wide(browser):
    opened = _open(browser, 1440, "light")
    yield opened
    opened.close()
    assert opened.noise == []


for _mark in browser_test:
    page = wide = None  # replaced below
