"""What the documentation names exists: commands, options, settings, targets, tables, links; what is generated is so.

That the commands work is tested by reading the pages (`e2e/test_docs_commands.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from rally_pipeline.cli import cli
from rally_pipeline.schema import metadata
from rally_pipeline.settings import Settings
from rally_pipeline_tests.docs_generated import PAGES as GENERATED
from rally_pipeline_tests.docs_generated import SECTIONS, sections_of, written
from rally_pipeline_tests.docs_reading import Block, anchors, blocks, code_words, commands, links, pages, without_blocks
from rally_pipeline_tests.docs_running import missing_lines
from rally_pipeline_tests.workspaces import ROOT

ALL = [path.relative_to(ROOT).as_posix() for path in pages()]
BLOCKS = {page: blocks(ROOT / page) for page in ALL}
#: Languages of blocks. Commands for a shell stand in ``sh``, or in ``console`` with the reason why they are not run.
SHELLS = ("sh", "console")
LANGUAGES = {
    *(*SHELLS, "text", "python", "sql", "yaml", "json", "csv", "diff", "ini", "toml", "html", "dockerfile", "nginx"),
    *("caddyfile", "xml", "mermaid"),
}
SHELL = re.compile(
    r"^\s*(\$ |(\.venv/bin/)?rally-pipeline |make [a-z]|export |pip |docker |systemctl |psql |duckdb |curl |git |sudo )"
)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
#: Read by the tests alone.
OF_TESTS = {"RALLY_FUZZ_EXAMPLES", "RALLY_SOAK"}
_VARIABLES = {f"RALLY_{name.upper()}" for name in Settings.model_fields}


def every_command(group: click.Group = cli, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, *path, name)
        else:
            yield (*path, name)


def wrong_use(words: list[str]) -> str | None:
    """Why `rally-pipeline WORDS…` cannot be meant so; ``None`` = it can. Placeholders in capitals are passed over."""
    command: click.Command = cli
    for at, word in enumerate(words):
        if not isinstance(command, click.Group):
            break
        if word.startswith("-"):
            known = {name for one in command.params for name in one.opts} | {"-h", "--help", "--version"}
            return None if word in known else f"no option {word}"
        if word not in command.commands:
            return f"no command {' '.join(words[: at + 1])}"
        command, words_left = command.commands[word], words[at + 1 :]
    else:
        return None
    options = {name: one for one in command.params if isinstance(one, click.Option) for name in one.opts}
    for word in words_left:
        name = word.partition("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", name) and name not in {*options, "-h", "--help"}:
            return f"{command.name} has no option {name}"
    return None


def shell_blocks(page: str) -> list[Block]:
    return [block for block in BLOCKS[page] if block.language in SHELLS]


def called(words: list[str]) -> str:
    return words[0].rpartition("/")[2]


@pytest.mark.parametrize("page", ALL)
def test_blocks_say_what_they_are(page: str) -> None:
    for block in BLOCKS[page]:
        assert block.language in LANGUAGES, f"{block.where}: {block.language or 'nothing'} is no language known here"
        assert block.not_run != "", f"{block.where}: not run, and no reason"
        assert block.language == "sh" or block.exit_code == 0, f"{block.where}: an exit code of what is not run"
        assert block.language != "console" or block.not_run, f"{block.where}: sh is run; why is this not?"
        # bash -e does not stop at what fails before it.
        assert block.language != "sh" or "&&" not in block.text, f"{block.where}: one command a line, without &&"
        if block.language in ("text", "ini", "json", "csv"):
            shell = [line for line in block.text.splitlines() if SHELL.match(line)]
            assert not shell, f"{block.where}: a command outside of a block of sh, where nobody runs it: {shell[0]}"


@pytest.mark.parametrize("page", ALL)
def test_commands_in_blocks_can_be_meant(page: str) -> None:
    for block in shell_blocks(page):
        for words in commands(block):
            if called(words) == "rally-pipeline":
                assert wrong_use(words[1:]) is None, f"{block.where}: {' '.join(words)}: {wrong_use(words[1:])}"
            if called(words) == "make":
                targets = {word for word in words[1:] if re.fullmatch(r"[a-z][a-z-]*", word)}
                assert targets <= TARGETS, f"{block.where}: no target {targets - TARGETS}"


@pytest.mark.parametrize("page", ALL)
def test_names_in_the_text_exist(page: str) -> None:
    here = {match for block in BLOCKS[page] for match in re.findall(r'table\(\s*"(\w+)"', block.text)}
    for number, word in code_words(ROOT / page):
        where = f"{page}:{number}: {word}"
        if word.startswith("rally-pipeline "):
            assert wrong_use(word.split()[1:]) is None, f"{where}: {wrong_use(word.split()[1:])}"
        if target := re.fullmatch(r"make ([a-z-]+)", word):
            assert target[1] in TARGETS, where
        for variable in re.findall(r"\bRALLY_[A-Z_]*[A-Z]\b", word):
            assert variable in _VARIABLES | OF_TESTS, where
        if name := re.fullmatch(r"((?:raw|core|mart|ops)_\w+)(?:\.(\w+))?", word):
            if name[2] in ("py", "md") or name[1] in here or (ROOT / f"rally_pipeline/schema/{name[1]}.py").exists():
                continue
            assert name[1] in metadata.tables, where
            assert name[2] is None or name[2] in metadata.tables[name[1]].columns, where


@pytest.mark.parametrize("page", ALL)
def test_settings_in_blocks_exist(page: str) -> None:
    for block in BLOCKS[page]:
        for variable in re.findall(r"\bRALLY_[A-Z_]*[A-Z]\b", block.text):
            assert variable in _VARIABLES | OF_TESTS, f"{block.where}: {variable}"


@pytest.mark.parametrize("page", [*ALL, "CHANGELOG.md", "SECURITY.md"])
def test_links_lead_somewhere(page: str) -> None:
    for number, target in links(ROOT / page):
        where = f"{page}:{number}: {target}"
        if re.match(r"(https?|mailto):", target):
            continue
        file, _, anchor = target.partition("#")
        found = ((ROOT / page).parent / file).resolve() if file else ROOT / page
        assert found.exists(), where
        assert found.is_relative_to(ROOT), where
        if anchor:
            assert anchor in anchors(found), f"{where}: there is {', '.join(sorted(anchors(found)))}"


@pytest.mark.parametrize("page", [page for page in ALL if page not in GENERATED])
def test_lines_fit(page: str) -> None:
    """Of text about 120 characters; tables and code do not wrap."""
    for number, line in enumerate(without_blocks(ROOT / page).split("\n"), 1):
        assert len(line) <= 130 or line.startswith("|"), f"{page}:{number} has {len(line)} characters"


def test_pictures_are_used_and_small() -> None:
    used = {(ROOT / page).parent / target for page in ALL for _, target in links(ROOT / page)}
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture in {path.resolve() for path in used}, picture.name
        assert picture.stat().st_size < 200_000, picture.name


def test_every_page_is_reached_from_the_index() -> None:
    reached = {((ROOT / "docs") / target).resolve() for _, target in links(ROOT / "docs" / "README.md")}
    assert set((ROOT / "docs").rglob("*.md")) - reached - {ROOT / "docs" / "README.md"} == set()


def test_every_command_target_and_setting_is_told_of() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages() if path.name not in _GENERATED_NAMES)
    missing = [" ".join(path) for path in every_command() if f"rally-pipeline {' '.join(path)}" not in text]
    assert not missing, f"commands that no page but the generated one has: {missing}"
    assert {name for name in _VARIABLES if f"`{name}`" not in text} == set()


_GENERATED_NAMES = {Path(page).name for page in GENERATED}


@pytest.mark.parametrize("page", sorted({*GENERATED, *(page for page in ALL if sections_of(page))}))
def test_what_is_generated_is_current(page: str) -> None:
    now = (ROOT / page).read_text(encoding="utf-8")
    assert now == written(page), f"{page} is behind the code: make docs"


def test_every_generated_table_stands_somewhere() -> None:
    assert sorted(name for page in ALL for name in sections_of(page)) == sorted(SECTIONS)


# --- the readers of pages themselves


def test_the_checks_see_what_they_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / "README.md"
    text = (
        "# A `b` [c](d.md)\n## A b c\n\n<!-- not run: because -->\n```sh\nmake nonsense && rally-pipeline runn\n```\n"
        "```text exact\nx\n```\n[away](https://a.b) [near](docs/x.md#y) `[no](z)`\n"
    )
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda p, *a, **k: text if p == page else real(p, *a, **k))
    one, two = blocks(page)
    assert (one.not_run, one.line, one.language) == ("because", 6, "sh")
    assert [*commands(one)] == [["make", "nonsense"], ["rally-pipeline", "runn"]]
    assert two.flags == {"exact"}
    assert [target for _, target in links(page)] == ["d.md", "https://a.b", "docs/x.md#y"]
    assert anchors(page) == {"a-b-c", "a-b-c-1"}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("runn", "no command runn"),
        ("quarantine lst", "no command quarantine lst"),
        ("run --form 2025-01-01", "run has no option --form"),
        ("--versoin", "no option --versoin"),
        ("run --from 2025-01-01 --to=2025-01-02", None),
        ("trace TABLE KEY=VALUE… --as-of T", None),
        ("quarantine", None),
    ],
)
def test_wrong_use_is_seen(words: str, why: str | None) -> None:
    assert wrong_use(words.split()) == why


@pytest.mark.parametrize(
    ("expected", "lacking"),
    [
        ("b\nc\n", None),
        ("a\n…\nd\n", None),
        ("b\nd\n", "d"),
        ("…\nd  1\n", "d  1"),
        ("c …\n", None),
        ("x …\n", "x …"),
        ("lon…\n", None),
        ("e  x\n", None),
        ("d\n…\nb\n", "b"),
    ],
)
def test_exact_output_is_compared(expected: str, lacking: Any) -> None:
    assert missing_lines(expected, "a\nb\nc\nd\nlong line\ne     x\n") == lacking
