"""The quality report: everything escaped, nothing from outside, written whole."""

from __future__ import annotations

import datetime as dt
import html.parser
import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from rally_pipeline import quarantine
from rally_pipeline.errors import UsageError
from rally_pipeline.publish.quality_report import RunLine, page_name, write_reports
from rally_pipeline.schema import ops, raw
from rally_pipeline.workspace import Workspace
from rally_pipeline_tests.workspaces import fresh_copy, open_at, utc

EVIL = '<script>alert("1")</script><img src=x onerror=alert(2)>\'"&{{ 7*7 }}'
FETCH, PAYLOAD = "f" * 64, "a" * 64
#: Elements that run, load or send something.
ACTIVE = {"script", "iframe", "object", "embed", "form", "img", "audio", "video", "source", "base", "foreignobject"}


class Page(html.parser.HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    @property
    def links(self) -> list[str]:
        return [value or "" for name, value in self.attributes if name in {"href", "src", "action"}]


def _result(rule: str, *, severity="warn", ok=True, run="r1", fetch=FETCH, count=0, at="2025-02-14", examples=()):
    return {
        "fetch_id": fetch,
        "table_name": "core_price_daily",
        "rule": rule,
        "run_id": run,
        "severity": severity,
        "is_success": ok,
        "observed_value": json.dumps({"seen": EVIL} if not ok else {}),
        "row_count": 10,
        "unexpected_count": count,
        "examples": json.dumps(list(examples)),
        "checked_at": utc(at),
    }


def fill(workspace: Workspace) -> None:
    day = utc("2025-02-14")
    fetch = {
        "fetch_id": FETCH,
        "payload_id": PAYLOAD,
        "source": "file",
        "parser": "price_files",
        "dataset": "price",
        "subject": EVIL,
        "url": "",
        "params": "{}",
        "start_date": None,
        "end_date": None,
        "status": 200,
        "media_type": "text/csv",
        "byte_count": 1,
        "fetched_at": day,
        "known_at": day,
        "run_id": "r1",
    }
    run = {
        "run_id": "r1",
        "command": f"ingest {EVIL}",
        "started_at": day,
        "finished_at": day,
        "outcome": "ok",
        "message": EVIL,
        "code_version": "1",
    }
    load = {
        "fetch_id": FETCH,
        "loaded_at": day,
        "outcome": "refused",
        "rule": "evil",
        "message": EVIL,
        **dict.fromkeys(("rows_parsed", "rows_new", "rows_changed", "rows_same"), 0),
        "rows_set_aside": 1,
    }
    aside = {
        "fetch_id": FETCH,
        "table_name": "core_price_daily",
        "row_key": EVIL,
        "rule": "price_positive",
        "row_json": json.dumps({EVIL: EVIL, "close": -1.5, "session_date": "2025-02-13T00:00:00"}),
        "payload_id": PAYLOAD,
        "locator": "row 3",
        "first_seen_at": day,
    }
    restated = {
        "fetch_id": FETCH,
        "table_name": "core_price_daily",
        "row_key": EVIL,
        "column_name": "close",
        "subject": EVIL[:40],
        "market_date": dt.date(2025, 2, 13),
        "source": "file",
        "old_value": 10.0,
        "new_value": None,
        "change_pct": None,
        "old_payload_id": PAYLOAD,
        "new_payload_id": PAYLOAD,
        "known_at": day,
    }
    example = {"locator": "row 3", "close": -1.5, EVIL: EVIL}
    results = [
        _result("price_positive", severity="quarantine", ok=False, count=1, examples=[example]),
        _result("column_types", severity="error"),
        _result("large_move", ok=False, count=2, examples=[example] * 40),
        _result("no_longer_a_rule"),
        _result("price_positive", severity="quarantine", run=None, fetch="e" * 64, at="2025-02-15"),
    ]
    with workspace.warehouse.write() as connection:
        connection.execute(sa.insert(raw.raw_fetch), [fetch, {**fetch, "fetch_id": "e" * 64, "run_id": None}])
        connection.execute(sa.insert(ops.ops_run), [run])
        connection.execute(sa.insert(ops.ops_load), [load])
        connection.execute(sa.insert(ops.ops_quarantine), [aside])
        connection.execute(sa.insert(ops.ops_restatement), [restated])
        connection.execute(sa.insert(ops.ops_quality_result), results)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return open_at(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def pages(template: Workspace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    workspace = fresh_copy(template, tmp_path_factory.mktemp("report") / "home")
    fill(workspace)
    return {path.name: path.read_text(encoding="utf-8") for path in write_reports(workspace)}


def test_one_page_per_run_one_per_day_of_imports_and_a_summary(pages):
    assert set(pages) == {"run-r1.html", "run-imports-2025-02-15.html", "index.html"}


def test_everything_is_escaped(pages):
    for name, text in pages.items():
        page = Page(text)
        assert page.open == [], name
        assert not ACTIVE.intersection(page.tags), name
        assert not [n for n, _ in page.attributes if n.startswith("on")], name
        assert "alert(2)&gt;" in text or name.startswith("run-imports"), name
        assert "49" not in re.findall(r"\{\{.*?\}\}|\b49\b", text), name  # a template in a row is not run
        assert len(page.ids) == len(set(page.ids)), name


def test_nothing_comes_from_outside(pages):
    for name, text in pages.items():
        page = Page(text)
        for link in page.links:
            assert link == "data:," or link.startswith("#") or link in pages, (name, link)
        assert not re.search(r"url\(|@import|https?://", text), name
        assert "default-src 'none'" in text


def test_links_to_rows_and_pages_lead_somewhere(pages):
    for text in pages.values():
        page = Page(text)
        for link in page.links:
            if link.startswith("#"):
                assert link[1:] in page.ids
    row = quarantine.row_id(FETCH, "core_price_daily", EVIL, "price_positive")
    assert f'href="#q-{row}"' in pages["run-r1.html"]
    assert 'href="run-r1.html"' in pages["index.html"]
    assert 'href="index.html"' in pages["run-r1.html"]


def test_a_page_says_what_happened(pages):
    text = Page(pages["run-r1.html"]).text
    assert "Rows were set aside: 2 of 4 expectations not met." in text
    assert "2 of 4" in text
    assert "Prices are above zero" in text
    assert "2025-02-13" in text
    assert "T00:00:00" not in text
    assert "10 more examples" in text  # of forty
    assert "Every expectation was met." in Page(pages["run-imports-2025-02-15.html"]).text


def test_tables_can_be_scrolled_by_keyboard(pages):
    for text in pages.values():
        regions = re.findall(r'<div class="scroll"[^>]*>', text)
        assert all('tabindex="0"' in r and 'role="region"' in r and "aria-label=" in r for r in regions)


def test_an_empty_warehouse_has_a_summary(template, tmp_path):
    workspace = fresh_copy(template, tmp_path / "home")
    (path,) = write_reports(workspace)
    assert "Nothing has been checked yet." in path.read_text()


def test_a_run_that_checked_nothing(template, tmp_path):
    workspace = fresh_copy(template, tmp_path / "home")
    assert [path.name for path in write_reports(workspace, ["nobody"])] == ["index.html"]
    for name in ("nobody", "imports-never", "../../x"):
        with pytest.raises(UsageError, match="checked nothing"):
            write_reports(workspace, [name], must_exist=True)


def test_a_page_that_has_been_written_is_not_written_again(template, tmp_path):
    workspace = fresh_copy(template, tmp_path / "home")
    fill(workspace)
    first = write_reports(workspace)
    assert [path.name for path in write_reports(workspace)] == ["index.html"]
    assert write_reports(workspace, ["r1"])[0] in first


def test_file_names_stay_in_the_folder():
    assert page_name("../../etc/passwd") == "run-______etc_passwd.html"
    assert Path(page_name("a/b")).name == page_name("a/b")


@pytest.mark.parametrize(("met", "checked", "pct"), [(0, 0, 100.0), (9999, 10000, 99.9), (1, 1, 100.0), (1, 3, 33.3)])
def test_only_all_of_them_are_a_hundred_percent(met, checked, pct):
    line = RunLine("r", "t", utc("2025-02-14"), "ok", checked, met, 0, 0, 0, 0)
    assert line.met_pct == pct
