"""The README and docs/ read as a user reads them: every command is run, every file written, every diff applied.

The pages are read two at a time, each in a checkout and a home of its own that begins as a small demo.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from rally_pipeline.demo.server import DemoUpstream
from rally_pipeline.leaderboard import leaderboard_lines
from rally_pipeline_tests import docs_server
from rally_pipeline_tests.docs_reading import Block, blocks, pages
from rally_pipeline_tests.docs_running import Checkout, missing_lines, read_page, small_home
from rally_pipeline_tests.workspaces import ROOT, open_at

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BLOCKS = {page.relative_to(ROOT).as_posix(): blocks(page) for page in pages()}


def is_done(block: Block) -> bool:
    """Whether there is something to do with a block."""
    return block.not_run is None and ("file" in block.options or block.language in ("sh", "python", "diff"))


PAGES = [page for page, found in BLOCKS.items() if any(map(is_done, found))]


def changes_the_code(found: list[Block]) -> bool:
    return any(block.language == "diff" for block in found)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("docs") / "home"
    small_home(made)
    return made


@pytest.fixture(scope="module")
def read(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    folder = tmp_path_factory.mktemp("pages")

    def one(page: str, upstream: str, server: Path) -> None:
        # A page that changes the code is read with that code, and asks the upstream that this code brings.
        ways = {} if changes_the_code(BLOCKS[page]) else {"upstream": upstream, "server": server}
        read_page(Checkout.make(folder / page.replace("/", "-"), home, **ways), BLOCKS[page])

    # The long ones first, so that none is left over at the end.
    order = sorted(PAGES, key=lambda page: (not changes_the_code(BLOCKS[page]), -len(BLOCKS[page])))
    with tempfile.TemporaryDirectory() as short, DemoUpstream() as demo, ThreadPoolExecutor(2) as pool:
        server = Path(short) / "s"  # the path of a socket has a hundred letters
        with docs_server.forking(server):
            yield {page: pool.submit(one, page, demo.base_url, server) for page in order}
            pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_runs(read: dict[str, Future[None]], page: str) -> None:
    read[page].result(timeout=800)


def test_the_leaderboard_of_the_readme_is_what_the_demo_prints(home: Path) -> None:
    (shown,) = (block.text for block in BLOCKS["README.md"] if "leaderboard" in block.flags)
    workspace = open_at(home)
    printed = "\n".join(leaderboard_lines(workspace, dt.date(2025, 2, 14)))
    workspace.warehouse.engine.dispose()
    assert missing_lines(shown, printed) is None


def test_what_is_not_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = [block for found in BLOCKS.values() for block in found if block.not_run is not None]
    with capsys.disabled():
        print(f"\n{len(left_out)} of {sum(map(len, BLOCKS.values()))} blocks of the documentation are not run:")
        for block in left_out:
            print(f"  {block.where}: {block.not_run}")
    assert all(block.not_run for block in left_out)
