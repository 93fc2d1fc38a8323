"""Runs the code blocks of a page as a reader would: in a checkout, with a home of demo data, one after the other.

Belongs here: the checkout a page is read in, the commands it finds there, applying and running its blocks. Does not
belong here: reading Markdown (`docs_reading.py`) or which pages there are (the tests).

``rally-pipeline`` and ``.venv/bin/…`` are the interpreter under test. ``make X`` is run where X takes seconds and
looked up with ``make -n`` where it takes minutes. ``rally-pipeline ui`` starts the UI on a port of its own, asks it one
question and stops it. Nothing leaves the machine: upstreams are the demo's, on the loopback interface.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rally_pipeline_tests import docs_server
from rally_pipeline_tests.docs_reading import Block
from rally_pipeline_tests.workspaces import ROOT

#: Targets of the Makefile that take minutes or need more than the tests have; that they exist is looked up.
LONG_TARGETS = (
    *("install", "demo", "test", "test-slow", "test-deep", "test-bi", "ui", "lint", "eval", "bench", "soak", "fuzz"),
    *("audit", "lock", "clean", "readers", "docs"),
)
#: What a checkout is made of; what tools leave behind stays there.
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".rally", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"
)
_TOOLS = ("ruff", "mypy", "lint-imports", "pytest", "dagster", "dagster-webserver", "dagster-daemon")


@dataclass
class Checkout:
    """A checkout with a ``.venv`` of its own that leads to the interpreter under test, and a home in ``.rally``.

    Attributes:
        root: the checkout.
        variables: the environment in which the next block runs; blocks change it as a shell does.
        folder: where the next block runs.
    """

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    folder: Path = Path()

    @classmethod
    def make(cls, root: Path, home: Path, *, upstream: str | None = None, server: Path | None = None) -> Checkout:
        """Copies this tree to `root`, with a copy of `home`.

        Args:
            root: where to.
            home: a home that was made before.
            upstream: what a home of live data, which is any that a page chooses, asks in place of the internet.
            server: the socket of a process that does ``rally-pipeline``, with the code of this tree; default: a process
                of its own for each, with the code of the copy.
        """
        shutil.copytree(ROOT, root, ignore=_LEFT_OUT)
        shutil.copytree(home, root / ".rally")
        bin_dir = root / ".venv" / "bin"
        bin_dir.mkdir(parents=True)
        (root / ".venv" / ".installed").touch()
        python = f'exec "{sys.executable}"'
        own = f'{python} -m rally_pipeline_tests.docs_running ui "$@"'
        scripts = {
            "python": f'{python} "$@"',
            "rally-pipeline": f'[ "$1" = ui ] && {{ shift; {own}; }}\n{python} -m rally_pipeline.cli "$@"',
            "make": _make_script(),
        }
        for tool in _TOOLS:
            scripts[tool] = f'exec "{Path(sys.executable).with_name(tool)}" "$@"'
        if server is not None:
            scripts["rally-pipeline-forked"] = docs_server.script(server)
            scripts["rally-pipeline"] = f'[ "$1" = ui ] && {{ shift; {own}; }}\nexec rally-pipeline-forked "$@"'
        if upstream is not None:
            asked = f'[ "$RALLY_HOME" = "{root}/.rally" ] || export RALLY_UPSTREAM_BASE={upstream}\n'
            scripts["rally-pipeline"] = asked + scripts["rally-pipeline"]
        for name, script in scripts.items():
            text = script if script.startswith("#!") else f"#!/bin/sh\n{script}\n"
            (bin_dir / name).write_text(text, encoding="utf-8")
            (bin_dir / name).chmod(0o755)
        (root / "elsewhere").mkdir()
        kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        variables = {
            **kept,
            "PATH": os.pathsep.join((str(bin_dir), "/usr/local/bin", "/usr/bin", "/bin")),
            "PYTHONPATH": str(root),
            "HOME": str(root / "elsewhere"),
            "RALLY_HOME": str(root / ".rally"),
            "RALLY_USER": "reader",
            "COLUMNS": "120",
        }
        return cls(root, variables, root)

    @property
    def home(self) -> Path:
        """What ``RALLY_HOME`` means to the next block."""
        return self.folder / self.variables.get("RALLY_HOME", ".rally")

    def path(self, written: str) -> Path:
        """The file that ``file=`` of a block names."""
        inside = written.removeprefix("$RALLY_HOME/")
        return (self.home if inside != written else self.root) / inside

    def do(self, block: Block) -> str:
        """Does what a reader would do with a block; gives what it printed.

        Raises:
            AssertionError: it ended otherwise than the page says; the message has the block and what it printed.
        """
        if "file" in block.options:
            target = self.path(block.options["file"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.language == "diff":
            apply_diff(self.root, block)
        elif block.language == "sh":
            return self._run(block, block.text)
        elif block.language == "python":
            script = self.root / "elsewhere" / "block.py"
            script.write_text(block.text, encoding="utf-8")
            return self._run(block, f'python "{script}"')
        return ""

    def _run(self, block: Block, commands: str) -> str:
        after = self.root / "elsewhere" / "after"
        told = f'{{ pwd; env -0; }} > "{after}"'
        script = f"set -a -e -o pipefail\ntrap 'code=$?; {told}; exit $code' EXIT\n{commands}"
        done = subprocess.run(
            ["bash", "-c", script],
            env=self.variables,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == block.exit_code, (
            f"{block.where}: exit code {done.returncode}, not {block.exit_code}\n{block.text}\n"
            f"--- standard output\n{done.stdout[-6000:]}\n--- standard error\n{done.stderr[-6000:]}"
        )
        folder, _, variables = after.read_text(encoding="utf-8").partition("\n")
        self.folder = Path(folder)
        self.variables = dict(one.split("=", 1) for one in variables.split("\0") if "=" in one)
        for shells_own in ("_", "SHLVL", "PWD", "OLDPWD"):
            self.variables.pop(shells_own, None)
        return done.stdout


def _make_script() -> str:
    make = shutil.which("make") or "make"
    return (
        f'for word in "$@"; do case "$word" in {"|".join(LONG_TARGETS)})\n'
        f'  exec "{make}" -n "$@" >/dev/null;; esac; done\nexec "{make}" "$@"'
    )


def apply_diff(root: Path, block: Block) -> None:
    """Applies a block of ``diff``: each part between ``@@`` lines stands once in the file that ``+++`` names.

    Raises:
        AssertionError: it does not; the code has moved on and the page has not.
    """
    target, parts = Path(), list[tuple[Path, list[str]]]()
    for line in block.text.splitlines():
        if line.startswith("+++ "):
            target = root / line.removeprefix("+++ ").removeprefix("b/")
        elif line.startswith("@@"):
            parts.append((target, []))
        elif not line.startswith("--- "):
            parts[-1][1].append(line)
    for path, lines in parts:
        before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
        after = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{block.where}: stands {text.count(before)} times in {path.name}:\n{before}"
        path.write_text(text.replace(before, after), encoding="utf-8")


def missing_lines(expected: str, printed: str) -> str | None:
    """The first line of an exact block that is not where it should be in what was printed; ``None`` = all are."""
    lines = [line.rstrip() for line in printed.splitlines()]
    at: int | None = None
    for wanted in (line.rstrip() for line in expected.splitlines()):
        if wanted == "…":
            at = at if at is None else -at - 1 if at >= 0 else at
            continue
        if at is None:
            found = next((n for n, line in enumerate(lines) if _is(wanted, line)), None)
        elif at < 0:
            found = next((n for n in range(-at - 1, len(lines)) if _is(wanted, lines[n])), None)
        else:
            found = at if at < len(lines) and _is(wanted, lines[at]) else None
        if found is None:
            return wanted
        at = found + 1
    return None


def _is(wanted: str, line: str) -> bool:
    # How wide a column is depends on what else stands in it.
    wanted, line = (re.sub(r" +", " ", text) for text in (wanted, line))
    return line.startswith(wanted.removesuffix("…").rstrip()) if wanted.endswith("…") else wanted == line


def read_page(checkout: Checkout, blocks: Sequence[Block]) -> None:
    """Does what a page says, block by block, and compares what it says is printed.

    Raises:
        AssertionError: with page and line.
    """
    printed = ""
    for block in blocks:
        if block.language == "text":
            if "exact" in block.flags and (lacking := missing_lines(block.text, printed)) is not None:
                raise AssertionError(f"{block.where}: {lacking!r} is not printed there, but\n{printed[-6000:]}")
        elif block.not_run is None:
            printed = checkout.do(block) if block.language in ("sh", "python") else (checkout.do(block) or printed)


def _answers(arguments: Sequence[str]) -> int:
    """The UI with these arguments: started, asked, stopped; exit code 0 if it answered."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "rally_pipeline.cli", "ui", *arguments, "--port", str(port)]
    ui = subprocess.Popen(command, start_new_session=True)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until and ui.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as answer:
                    print(answer.read().decode())
                    return 0
            except OSError:
                time.sleep(0.3)
        return 1
    finally:
        ui.terminate()
        try:
            ui.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(ui.pid, 9)


#: What a small home is made of: market, its sources, first session.
_ASKED = (
    ("SOUTHBOUND", ("hkex",), dt.date(2025, 2, 5)),
    ("HK", ("yahoo", "eastmoney"), dt.date(2024, 12, 27)),
    ("DE", ("yahoo",), dt.date(2024, 12, 27)),
    ("US", ("yahoo",), dt.date(2024, 12, 27)),
    ("FX", ("ecb",), dt.date(2024, 12, 27)),
)
WORLD_END = dt.date(2025, 2, 28)


def small_home(home: Path) -> None:
    """A home of demo data with something of everything but of few sessions, in a fifth of the time of the demo."""
    from rally_pipeline.demo.documents import drop
    from rally_pipeline.inbox import take_up
    from rally_pipeline.market_run import fetch_market, load_market
    from rally_pipeline.settings import Profile, load_settings
    from rally_pipeline.workspace import open_workspace

    settings = load_settings(home=home, profile=Profile.DEMO)
    workspace = open_workspace(settings)
    for market, sources, start in _ASKED:
        days = start, WORLD_END
        fetched = fetch_market(workspace, market, *days, sources=sources, run_id="small")
        assert not fetched.failures, fetched.failures
        loaded = load_market(workspace, market, *days, run_id="small")
        # Yahoo has no history of HSTECH, and says so.
        refused = [one.message for one in loaded.outcomes if not one.is_loaded and one.rule != "not_empty"]
        assert not refused, refused
    drop(settings.inbox_dir / "notes")
    report = take_up(workspace, ("notes",), settled_seconds=0)
    assert report.ok, list(report.lines())
    workspace.warehouse.engine.dispose()


if __name__ == "__main__":
    sys.exit(_answers(sys.argv[2:]))
