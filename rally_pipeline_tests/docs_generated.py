"""The parts of the documentation that are written from the code: whole pages, and tables between comments.

``python -m rally_pipeline_tests.docs_generated`` (``make docs``) writes them; a test says when they are behind. Belongs
here: how they look. Does not belong here: what they say, which is read off declarations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click

from rally_pipeline_tests.workspaces import ROOT

_BEGIN, _END = "<!-- generated: {} -->", "<!-- end of generated -->"
_SECTION = re.compile(r"(<!-- generated: ([a-z ]+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def settings_table() -> Iterator[str]:
    """Every setting, its meaning and default."""
    from pydantic import SecretStr

    from rally_pipeline.settings import Settings

    rows = []
    for name, field in Settings.model_fields.items():
        meaning = (field.description or "").rstrip(".")
        is_secret = SecretStr in getattr(field.annotation, "__args__", (field.annotation,))
        default = "unset" if field.default is None else f"`{_plain(field.default)}`"
        rows.append((f"`RALLY_{name.upper()}`", f"{meaning}{' (secret)' if is_secret else ''}", default))
    yield from _table(("variable", "meaning", "default"), rows)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def market_rules() -> Iterator[str]:
    """The rules written by hand, with what they are about."""
    from rally_pipeline.quality.rules import _MARKET_RULES
    from rally_pipeline.sources.base import Dataset

    rows = []
    for rule, datasets, severity, _, says in _MARKET_RULES:
        about = "all" if len(datasets) == len(Dataset) else ", ".join(dataset.value for dataset in datasets)
        rows.append((f"`{rule}`", severity.value, says, about))
    yield from _table(("rule", "severity", "what must hold", "data sets"), rows)


def reasons() -> Iterator[str]:
    """Why an audit says what it says."""
    from rally_pipeline.audit.verdict import REASONS

    yield from _table(("reason", "meaning"), [(f"`{reason.value}`", says) for reason, says in REASONS.items()])


def schedules() -> Iterator[str]:
    """When each market is looked at, in its own time zone."""
    from rally_pipeline.orchestration.schedules import HEALTH_AT, RATINGS_AT, RATINGS_TIMEZONE, TIMES

    rows = [
        (f"`{market.lower()}_missing`", times.timezone, ", ".join(f"`{look}`" for look in times.looks))
        for market, times in TIMES.items()
    ]
    rows.append(("`ratings_daily`", RATINGS_TIMEZONE, f"`{RATINGS_AT}`"))
    rows.append(("`health_hourly`", "UTC", f"`{HEALTH_AT}`"))
    yield from _table(("schedule", "time zone", "looks (cron)"), rows)


def alerts() -> Iterator[str]:
    """What is told, and when it is over."""
    from rally_pipeline.alerts.problems import GONE, KINDS

    rows = []
    for kind, gone in GONE.items():
        said = (KINDS[kind].__doc__ or "") if kind in KINDS else _TOLD_ELSEWHERE[kind]
        first = re.sub(r"\s+", " ", said.strip().split(". ")[0]).replace("``", "`").rstrip(".")
        rows.append((f"`{kind}`", first, gone))
    yield from _table(("kind", "what is wrong", "it is over when"), rows)


_TOLD_ELSEWHERE = {
    "lost_run": "Runs whose process or daemon is gone",
    "blind_spot": "A kind of problem that cannot be looked for",
}


def data_dictionary() -> Iterator[str]:
    """The page of that name, as ``rally-pipeline dictionary --markdown`` prints it."""
    from rally_pipeline.publish.dictionary import entries, markdown_lines

    yield from markdown_lines(entries())


def command_reference() -> Iterator[str]:
    """Every command with its arguments and options, from its help."""
    from rally_pipeline.cli import cli

    yield "# Commands"
    yield ""
    yield "Written from the help texts by `make docs`. Exit code 0: fine, 1: the data failed, 2: wrong use."
    for name, command in sorted(_commands(cli, "rally-pipeline")):
        context = click.Context(command, info_name=name)
        usage = " ".join([name, *command.collect_usage_pieces(context)])
        yield from ("", f"## {name}", "", f"`{usage}`", "")
        yield from _paragraphs(command.help or "")
        options = [one for one in command.params if isinstance(one, click.Option)]
        if options:
            yield ""
            rows = [
                (_spelling(one), (one.get_help_record(context) or ("", ""))[1].replace("\n", " ")) for one in options
            ]
            yield from _table(("option", "meaning"), rows)


def _spelling(option: click.Option) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(click.Context(click.Command('x')))}"
    return f"`{', '.join(option.opts)}{value}`"


def _commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ""
        yield re.sub(r"\s+", " ", paragraph).strip()


#: Pages that are generated as a whole.
PAGES: Mapping[str, Callable[[], Iterator[str]]] = {
    "docs/data-dictionary.md": data_dictionary,
    "docs/commands.md": command_reference,
}
#: Tables between comments.
SECTIONS: Mapping[str, Callable[[], Iterator[str]]] = {
    "settings": settings_table,
    "market rules": market_rules,
    "reasons": reasons,
    "schedules": schedules,
    "alerts": alerts,
}


def written(page: str) -> str:
    """A page as it should be: generated, or with its tables generated."""
    if page in PAGES:
        return "\n".join(PAGES[page]()) + "\n"
    text = (ROOT / page).read_text(encoding="utf-8")
    return _SECTION.sub(lambda found: f"{found[1]}\n" + "\n".join(SECTIONS[found[2]]()) + f"\n\n{found[3]}", text)


def sections_of(page: str) -> list[str]:
    """The names of the generated tables of a page."""
    return [found[2] for found in _SECTION.finditer((ROOT / page).read_text(encoding="utf-8"))]


def main() -> None:
    """Writes all of it."""
    pages = {*PAGES, *(path.relative_to(ROOT).as_posix() for path in Path(ROOT / "docs").rglob("*.md"))}
    for page in sorted(pages):
        if page in PAGES or sections_of(page):
            (ROOT / page).write_text(written(page), encoding="utf-8")
            print(page)


if __name__ == "__main__":
    main()
