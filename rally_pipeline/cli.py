"""The command line. Thin: each command reads its arguments, calls one function and shows what came.

Exit code 0: fine; 1: the data failed; 2: wrong use. Belongs here: arguments and output. Does not belong here: work.
Everything heavy is imported by the command that needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import datetime as dt
import gc
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rally_pipeline import __version__, cli_housekeeping
from rally_pipeline.errors import RallyError

if TYPE_CHECKING:
    from rally_pipeline.quarantine import QuarantinedRow
    from rally_pipeline.settings import Profile, Settings
    from rally_pipeline.workspace import Workspace

_DATE = click.DateTime(formats=["%Y-%m-%d"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``rally-pipeline``: an error made on purpose is one line, not a traceback."""
    # The libraries make a million objects that stay; to look through them for garbage took a tenth of a run.
    gc.set_threshold(10_000, 20, 50)
    try:
        cli.main(args=arguments, prog_name="rally-pipeline", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except RallyError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rally-pipeline")
def cli() -> None:
    """How far has it run, who is buying, and is what the brokers say about it true?

    Settings are read from RALLY_* variables: RALLY_HOME (default .rally), RALLY_WAREHOUSE_URL, RALLY_PROFILE,
    RALLY_UPSTREAM_BASE and others; `rally-pipeline doctor` lists them.
    """


for _command in cli_housekeeping.COMMANDS:
    cli.add_command(_command)


@cli.command()
@click.option("--as-of", "as_of_day", type=_DATE, default="2025-02-14", show_default=True, help="Day to show.")
def demo(as_of_day: dt.datetime) -> None:
    """Run the whole pipeline offline on demo data and show the leaderboard."""
    from rally_pipeline.claims import standing_lines
    from rally_pipeline.demo.anchors import DEMO_NOTICE, WORLD_END, WORLD_START
    from rally_pipeline.demo.documents import drop
    from rally_pipeline.settings import Profile, load_settings

    settings = load_settings(profile=Profile.DEMO)
    # A warehouse of the other profile is refused before anything is dropped beside it.
    _open(settings)
    drop(settings.inbox_dir / "notes")
    click.echo(f"running the daily job over {WORLD_START} … {WORLD_END} against the offline upstream")
    is_ok = _run(settings, WORLD_START, WORLD_END, None, None)
    workspace = _open(settings)
    _show_leaderboard(workspace, as_of_day.date())
    click.echo()
    _echo(standing_lines(workspace))
    click.echo(f"\n{DEMO_NOTICE}\n")
    click.echo(f"warehouse  {workspace.warehouse.display_url}")
    click.echo(f"archive    {settings.archive_dir}")
    site = settings.published_dir / "site" / "index.html"
    click.echo(f"look next  {site.as_uri()}#{as_of_day.date()}")
    click.echo("           make ui   (Dagster on http://127.0.0.1:3000)")
    command = sys.argv[0] if sys.argv[0].endswith("rally-pipeline") else "rally-pipeline"
    click.echo(f"           {command} as-of 2100-01-01 mart_rally_scoreboard --where event_id=lunar_new_year_2025")
    sys.exit(0 if is_ok else 1)


@cli.command()
@click.option("--date", "day", type=_DATE, help="One market date.")
@click.option("--from", "start", type=_DATE, help="First market date of a range.")
@click.option("--to", "end", type=_DATE, help="Last market date of a range (default: today).")
@click.option("--sources", help="Only these sources, comma-separated (yahoo, hang_seng, eastmoney, ecb, hkex, …).")
@click.option("--markets", help="Only these markets, comma-separated (HK, CN, DE, US, JP, GB, FX, SOUTHBOUND).")
def run(
    day: dt.datetime | None,
    start: dt.datetime | None,
    end: dt.datetime | None,
    sources: str | None,
    markets: str | None,
) -> None:
    """Fetch, check, load and compute, through Dagster.

    Without dates: what is missing since the first day the warehouse is about, oldest first. Of a new warehouse that is
    the last session; RALLY_HISTORY_START or --from say how far back it goes.
    """
    from rally_pipeline.settings import load_settings

    if day is not None and (start is not None or end is not None):
        raise click.UsageError("give --date, or --from and --to, not both")
    if end is not None and start is None:
        raise click.UsageError("--to needs --from")
    settings = load_settings()
    first = (day or start).date() if (day or start) else None  # type: ignore[union-attr]
    last = (day or end).date() if (day or end) else None  # type: ignore[union-attr]
    if first is not None and last is None:
        last = _open(settings).today()
    if first is not None and last is not None and first > last:
        raise click.UsageError(f"--from {first} is after --to {last}")
    sys.exit(0 if _run(settings, first, last, _names(sources), _names(markets)) else 1)


@cli.group(name="import")
def import_() -> None:
    """Load files that were saved by hand or come from somewhere else."""


_KNOWN_AT = click.option("--known-at", help="Since when the facts count as known (ISO time; default: now).")
_NO_MARTS = click.option("--no-marts", is_flag=True, help="Do not compute the marts afterwards.")
_NO_PUBLISH = click.option("--no-publish", is_flag=True, help="Leave the published tables and the report as they are.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_FILES = click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))


@import_.command(name="prices")
@_FILES
@click.option("--symbol", help="Instrument the files are about; needed where a file does not say.")
@click.option("--source", default="file", show_default=True, help="Name of the provider, kept beside every row.")
@click.option(
    "--price-basis",
    type=click.Choice(["unadjusted", "adjusted"]),
    help="Whether prices are adjusted for dividends (default: found from the columns).",
)
@_KNOWN_AT
@_NO_MARTS
@_NO_PUBLISH
@_JSON
def import_prices(
    files: tuple[Path, ...],
    symbol: str | None,
    source: str,
    price_basis: str | None,
    known_at: str | None,
    no_marts: bool,
    no_publish: bool,
    as_json: bool,
) -> None:
    """Load daily bars from CSV files (.csv or .csv.gz), in the shapes that yfinance users save or plain."""
    from rally_pipeline.imports import price_payload

    def read(path: Path, workspace: Workspace) -> Any:
        return price_payload(path, workspace, source=source, symbol=symbol, price_basis=price_basis)

    _import(files, read, known_at, no_marts, no_publish, as_json)


@import_.command(name="fx")
@_FILES
@click.option("--source", default="ecb", show_default=True, help="Name of the provider, kept beside every row.")
@_KNOWN_AT
@_NO_MARTS
@_NO_PUBLISH
@_JSON
def import_fx(
    files: tuple[Path, ...], source: str, known_at: str | None, no_marts: bool, no_publish: bool, as_json: bool
) -> None:
    """Load exchange rates from files of the ECB (CSV, zipped CSV or XML)."""
    from rally_pipeline.imports import fx_payload

    def read(path: Path, workspace: Workspace) -> Any:
        return fx_payload(path, workspace, source=source)

    _import(files, read, known_at, no_marts, no_publish, as_json)


@import_.command(name="flows")
@_FILES
@click.option("--source", default="file", show_default=True, help="Name of the provider, kept beside every row.")
@click.option(
    "--unit",
    type=click.Choice(["abs", "thousand", "million", "100m", "billion"]),
    help="Unit of the amounts, where a daily file has no column for it.",
)
@click.option("--currency", help="Currency of the amounts, where a daily file has no column for it; must be HKD.")
@_KNOWN_AT
@_NO_MARTS
@_NO_PUBLISH
@_JSON
def import_flows(
    files: tuple[Path, ...],
    source: str,
    unit: str | None,
    currency: str | None,
    known_at: str | None,
    no_marts: bool,
    no_publish: bool,
    as_json: bool,
) -> None:
    """Load Stock Connect flows (CSV or XLSX): daily figures, a broker's long table, or the history by mutual type."""
    from rally_pipeline.imports import flow_payload

    def read(path: Path, workspace: Workspace) -> Any:
        return flow_payload(path, workspace, source=source, unit=unit, currency=currency)

    _import(files, read, known_at, no_marts, no_publish, as_json)


_BROKER = click.option("--broker", help="House that wrote it, where the document does not say.")
_WRITTEN = click.option("--date", "written", type=_DATE, help="Day it was written for, where it does not say.")
_ANALYST = click.option("--analyst", help="Author, where it does not say.")
_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@import_.command(name="notes")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", default="file", show_default=True, help="Where they came from, kept beside every row.")
@_BROKER
@_WRITTEN
@_ANALYST
@_KNOWN_AT
@_NO_MARTS
@_NO_PUBLISH
@_JSON
def import_notes(
    files: tuple[Path, ...],
    source: str,
    broker: str | None,
    written: dt.datetime | None,
    analyst: str | None,
    known_at: str | None,
    no_marts: bool,
    no_publish: bool,
    as_json: bool,
) -> None:
    """Load brokerage notes (txt, md, html, eml, pdf, docx, or csv and jsonl of headlines) and audit their claims.

    Without FILES, what lies in RALLY_HOME/inbox/notes is taken up, and moved to processed/ or rejected/.
    """
    from rally_pipeline.imports import note_payload

    declared = _declared(broker, written, analyst)
    if not files:
        if declared or known_at:
            raise click.UsageError("name the files that --broker, --date, --analyst or --known-at are about")
        _take_up(("notes",), no_marts, no_publish, as_json)

    def read(path: Path, workspace: Workspace) -> Any:
        return note_payload(path, workspace, source=source, declared=declared)

    _import(files, read, known_at, no_marts, no_publish, as_json)


def _declared(broker: str | None, written: dt.datetime | None, analyst: str | None) -> dict[str, str]:
    said = {"broker": broker, "date": written.date().isoformat() if written else None, "analyst": analyst}
    return {name: value for name, value in said.items() if value}


def _take_up(kinds: tuple[str, ...], no_marts: bool, no_publish: bool, as_json: bool) -> None:
    from rally_pipeline.console import Progress, write_json
    from rally_pipeline.inbox import take_up
    from rally_pipeline.settings import load_settings

    workspace = _open(load_settings())
    progress = Progress()
    try:
        report = take_up(workspace, kinds, refresh_marts=not no_marts, progress=progress)
        published = _renew(workspace, progress) if report.has_computed and not no_publish else []
    finally:
        progress.done()
    if as_json:
        write_json(report.rows(), sys.stdout)
    else:
        _echo([*report.lines(), *published])
        if not report.files:
            click.echo("nothing in the inbox")
    sys.exit(0 if report.ok else 1)


@cli.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--jsonl",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Texts, one JSON object a line (text; optional: id, date, source, ticker, broker); '-' = standard input.",
)
@_BROKER
@_WRITTEN
@_ANALYST
def extract(
    file: Path | None, jsonl: Path | None, broker: str | None, written: dt.datetime | None, analyst: str | None
) -> None:
    """Print the claims of a note as JSON, one a line; no warehouse is needed."""
    from rally_pipeline.catalog import load_catalog
    from rally_pipeline.claims import claim_rows, extract_file, extract_lines
    from rally_pipeline.console import write_json_lines
    from rally_pipeline.settings import load_settings

    if (file is None) == (jsonl is None):
        raise click.UsageError("give FILE or --jsonl FILE")
    catalog = load_catalog(load_settings().home)
    if file is not None:
        extractions: Any = extract_file(file, catalog, declared=_declared(broker, written, analyst))
        write_json_lines((row for one in extractions for row in claim_rows(one)), sys.stdout)
        return
    with click.open_file(str(jsonl), encoding="utf-8", errors="replace") as lines:
        extractions = extract_lines(lines, catalog)
        write_json_lines((row for one in extractions for row in claim_rows(one)), sys.stdout)


@cli.command()
@_FILE
@_BROKER
@_WRITTEN
@_ANALYST
@_JSON
def audit(file: Path, broker: str | None, written: dt.datetime | None, analyst: str | None, as_json: bool) -> None:
    """Print the claims of a note with what the warehouse says of each; nothing is stored."""
    from rally_pipeline.claims import audit_file, audit_rows, audit_table, title_of
    from rally_pipeline.console import write_json, write_table
    from rally_pipeline.settings import load_settings

    audited = audit_file(_open(load_settings()), file, declared=_declared(broker, written, analyst))
    if as_json:
        write_json(audit_rows(audited), sys.stdout)
        return
    for extraction in {id(one.extraction): one.extraction for one in audited}.values():
        click.echo(title_of(extraction))
        rows = audit_table([one for one in audited if one.extraction is extraction])
        write_table(rows, ("verdict", "claim", "type", "who", "why"), sys.stdout)
    if not audited:
        click.echo("no claim found")


@cli.command(name="as-of")
@click.argument("instant", metavar="T")
@click.argument("table")
@click.option("--where", "conditions", multiple=True, metavar="COL=VALUE", help="Only these rows; may be repeated.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows.")
@_JSON
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def as_of(
    instant: str, table: str, conditions: tuple[str, ...], limit: int | None, as_json: bool, as_csv: bool
) -> None:
    """Show a core or mart TABLE as it was known at T (a bare date means the end of that day, UTC)."""
    from rally_pipeline.asof import read_as_of
    from rally_pipeline.console import parse_instant, write_csv, write_json, write_table
    from rally_pipeline.settings import load_settings

    if as_json and as_csv:
        raise click.UsageError("give --json or --csv, not both")
    at = parse_instant(instant, end_of_day=True)
    workspace = _open(load_settings())
    with read_as_of(workspace, table, at, conditions, limit) as (columns, rows):
        if as_json:
            write_json(rows, sys.stdout)
        elif as_csv:
            write_csv(rows, columns, sys.stdout)
        else:
            write_table(rows, columns, sys.stdout)


@cli.command()
@click.argument("name", metavar="[TABLE[.COLUMN]]", required=False)
@click.option("--down", is_flag=True, help="What the column goes into, in place of what it comes from.")
@click.option("--values", is_flag=True, help="Only what goes into the value, not what decides about it.")
@click.option("--page", is_flag=True, help="Write HOME/published/lineage/index.html, which draws all of it.")
@_JSON
def lineage(name: str | None, down: bool, values: bool, page: bool, as_json: bool) -> None:
    """Show where a table or column comes from, back to the fields of payloads; no warehouse is needed.

    Without TABLE: which table comes from which.
    """
    from rally_pipeline.console import write_json
    from rally_pipeline.lineage import graph
    from rally_pipeline.settings import load_settings

    if page:
        from rally_pipeline.lineage.drawing import write_page

        if name or down or values:
            raise click.UsageError("--page draws everything; give it alone")
        path = write_page(load_settings().published_dir / "lineage")
        if as_json:
            write_json([{"path": str(path)}], sys.stdout)
        else:
            click.echo(path)
    elif as_json:
        write_json(graph.edge_rows(name, down=down, only_values=values), sys.stdout)
    else:
        _echo(graph.lines(name, down=down, only_values=values))


@cli.command()
@click.argument("table")
@click.argument("key", metavar="KEY=VALUE...", nargs=-1)
@click.option("--as-of", "instant", metavar="T", help="As known at T (a bare date means the end of that day, UTC).")
@click.option("--column", "columns", multiple=True, help="Only what decided this column; may be repeated.")
@click.option("--open", "show_lines", is_flag=True, help="Show the part of each payload in which a fact stands.")
@_JSON
def trace(
    table: str, key: tuple[str, ...], instant: str | None, columns: tuple[str, ...], show_lines: bool, as_json: bool
) -> None:
    """Follow a row of TABLE to what decided it, the facts that entered it and the archived bytes, and verify these."""
    from rally_pipeline.console import parse_instant, write_json
    from rally_pipeline.lineage.trace import trace as follow
    from rally_pipeline.lineage.trace import trace_json
    from rally_pipeline.lineage.trace_view import trace_lines
    from rally_pipeline.settings import load_settings

    at = parse_instant(instant, end_of_day=True) if instant else None
    traced = follow(_open(load_settings()), table, key, at=at, columns=columns, show_lines=show_lines)
    if as_json:
        write_json([trace_json(traced)], sys.stdout)
    else:
        _echo(trace_lines(traced))
    sys.exit(0 if traced.ok else 1)


@cli.command()
@click.option(
    "--into", required=True, metavar="URL", help="An empty database: sqlite:////path/to/file or postgresql://…."
)
@click.option(
    "--archive",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Archive to build from (default: RALLY_HOME/archive).",
)
def rebuild(into: str, directory: Path | None) -> None:
    """Build a second warehouse from the archive alone: facts with their known times, marts, audits."""
    from rally_pipeline.archive import Archive
    from rally_pipeline.console import Progress
    from rally_pipeline.rebuild import rebuild as build_again
    from rally_pipeline.settings import load_settings

    progress = Progress()
    try:
        report = build_again(
            load_settings(),
            into,
            archive=Archive(directory) if directory else None,
            tell=lambda text: click.echo(text, err=True),
            progress=progress,
        )
    finally:
        progress.done()
    _echo(report.lines())
    sys.exit(0 if report.ok else 1)


@cli.command()
@click.argument("one", metavar="URL")
@click.argument("other", metavar="URL")
@_JSON
def diff(one: str, other: str, as_json: bool) -> None:
    """Compare two warehouses table by table: facts with versions and known times, and what is computed from them."""
    from rally_pipeline.comparison import compare, comparison_lines
    from rally_pipeline.console import Progress, write_json

    progress = Progress()
    try:
        tables = list(compare(one, other, progress))
    finally:
        progress.done()
    if as_json:
        write_json((table.to_json() for table in tables), sys.stdout)
    else:
        _echo(comparison_lines(tables))
    sys.exit(0 if all(table.is_equal for table in tables) else 1)


@cli.group()
def quarantine() -> None:
    """Look at rows that were not believed, and decide about them."""


_REASON = click.option("--reason", required=True, help="Why; it is kept beside the row.")


def _selects(command: Any) -> Any:
    """The arguments that choose rows: ids, or a rule or table, or all that are open."""
    for add in (
        click.option("--all", "every", is_flag=True, help="All open rows."),
        click.option("--rule", help="Open rows that broke this rule."),
        click.option("--table", help="Open rows meant for this table."),
        click.argument("row_ids", metavar="[ROW]...", nargs=-1),
    ):
        command = add(command)
    return command


@quarantine.command(name="list")
@click.option("--table", help="Only rows meant for this table.")
@click.option("--rule", help="Only rows that broke this rule.")
@click.option("--since", help="Only rows set aside since (ISO time or date).")
@click.option(
    "--state",
    type=click.Choice(["open", "released", "discarded", "all"]),
    default="open",
    show_default=True,
    help="What became of them.",
)
@_JSON
def quarantine_list(table: str | None, rule: str | None, since: str | None, state: str, as_json: bool) -> None:
    """List rows, latest first."""
    from rally_pipeline.console import parse_instant, write_json
    from rally_pipeline.quarantine import Selection, State, select
    from rally_pipeline.quarantine_view import list_lines, row_json
    from rally_pipeline.settings import load_settings

    selection = Selection(
        table=table,
        rule=rule,
        since=parse_instant(since, end_of_day=False) if since else None,
        state=None if state == "all" else State(state),
    )
    rows = select(_open(load_settings()), selection)
    if as_json:
        write_json(map(row_json, rows), sys.stdout)
    else:
        _echo(list_lines(rows, state))


@quarantine.command(name="show")
@click.argument("row")
@_JSON
def quarantine_show(row: str, as_json: bool) -> None:
    """Show a row, its payload, what was asked, and the part of the payload where it stands."""
    _explain(row, as_json, "show_lines")


@quarantine.command(name="explain")
@click.argument("row")
@_JSON
def quarantine_explain(row: str, as_json: bool) -> None:
    """Say which rule a row broke, with what values, and what is believed instead."""
    _explain(row, as_json, "explain_lines")


@quarantine.command(name="release")
@_selects
@_REASON
@_NO_PUBLISH
@_JSON
def quarantine_release(
    row_ids: tuple[str, ...],
    table: str | None,
    rule: str | None,
    every: bool,
    reason: str,
    no_publish: bool,
    as_json: bool,
) -> None:
    """Load rows although they broke their rule, and compute the marts again."""
    _act("release", row_ids, table, rule, every, reason, no_publish, as_json)


@quarantine.command(name="replay")
@_selects
@click.option("--reason", default="", help="Why; it is kept beside the row.")
@_NO_PUBLISH
@_JSON
def quarantine_replay(
    row_ids: tuple[str, ...],
    table: str | None,
    rule: str | None,
    every: bool,
    reason: str,
    no_publish: bool,
    as_json: bool,
) -> None:
    """Parse the archived payloads again with today's code; load the rows that pass now."""
    _act("replay", row_ids, table, rule, every, reason, no_publish, as_json)


@quarantine.command(name="discard")
@_selects
@_REASON
@_JSON
def quarantine_discard(
    row_ids: tuple[str, ...], table: str | None, rule: str | None, every: bool, reason: str, as_json: bool
) -> None:
    """Mark rows as rightly kept out."""
    _act("discard", row_ids, table, rule, every, reason, False, as_json)


@cli.command(name="quality-report")
@click.option("--run", "run_id", help="Run to report on (default: the latest ones that have no page yet).")
@_JSON
def quality_report(run_id: str | None, as_json: bool) -> None:
    """Write the quality pages to HOME/published/quality: one per run, and a summary over time."""
    from rally_pipeline.console import write_json
    from rally_pipeline.publish.quality_report import write_reports
    from rally_pipeline.settings import load_settings

    paths = write_reports(_open(load_settings()), [run_id] if run_id else None, must_exist=True)
    if as_json:
        write_json([{"path": str(path)} for path in paths], sys.stdout)
    else:
        _echo(map(str, paths))


@cli.command()
@click.option("--as-of", "as_of_day", type=_DATE, help="Last market day told about (default: the last with a session).")
@_JSON
def site(as_of_day: dt.datetime | None, as_json: bool) -> None:
    """Write the report, a site that opens from disk, to HOME/published/site."""
    from rally_pipeline.console import write_json
    from rally_pipeline.publish.site import write_site
    from rally_pipeline.settings import load_settings

    path = write_site(_open(load_settings()), as_of_day.date() if as_of_day else None)
    if as_json:
        write_json([{"path": str(path)}], sys.stdout)
    else:
        click.echo(str(path))


@cli.command()
@click.option("--to", metavar="PLACE", help="Folder, or a URL that fsspec knows (s3://…); default: HOME/published.")
@_JSON
def publish(to: str | None, as_json: bool) -> None:
    """Publish marts and dictionary as Parquet files and as a DuckDB database, in place of those published before."""
    from rally_pipeline.console import Progress, write_json
    from rally_pipeline.publish.publication import publish as publish_tables
    from rally_pipeline.settings import load_settings

    progress = Progress()
    try:
        done = publish_tables(_open(load_settings()), to, progress, compute=True)
    finally:
        progress.done()
    if as_json:
        write_json([done.to_json()], sys.stdout)
    else:
        _echo(done.lines())
    if to is None and not as_json:
        _write_site(load_settings())


@cli.command()
@click.argument("table")
@click.option("--where", "conditions", multiple=True, metavar="COL=VALUE", help="Only these rows; may be repeated.")
@click.option("--as-of", "instant", metavar="T", help="As known at T (a bare date means the end of that day, UTC).")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="CSV file.")
@click.option("--xlsx", "xlsx_file", type=click.Path(dir_okay=False, path_type=Path), help="Excel workbook.")
def export(
    table: str, conditions: tuple[str, ...], instant: str | None, csv_file: Path | None, xlsx_file: Path | None
) -> None:
    """Write a mart (or core TABLE) to a CSV file ('-' = standard output) or a workbook, with units in the headers."""
    from rally_pipeline.console import parse_instant
    from rally_pipeline.publish.export import export_csv, export_xlsx
    from rally_pipeline.settings import load_settings

    path = csv_file or xlsx_file
    if path is None or (csv_file and xlsx_file):
        raise click.UsageError("give --csv FILE or --xlsx FILE")
    at = parse_instant(instant, end_of_day=True) if instant else None
    write = export_csv if csv_file else export_xlsx
    told = write(_open(load_settings()), table, path, at, conditions)
    click.echo(f"{told.rows} rows of {table} to {path}", err=True)


@cli.command()
@click.argument("table", required=False)
@_JSON
@click.option("--markdown", "as_markdown", is_flag=True, help="Print a Markdown document.")
def dictionary(table: str | None, as_json: bool, as_markdown: bool) -> None:
    """Say what the tables hold, or what the columns of TABLE are: type, unit, rules, and where they come from."""
    from rally_pipeline.console import write_json, write_table
    from rally_pipeline.publish import dictionary as view

    if as_json and as_markdown:
        raise click.UsageError("give --json or --markdown, not both")
    if as_json:
        write_json(view.entries(table), sys.stdout)
    elif as_markdown:
        _echo(view.markdown_lines(view.entries(table)))
    elif table is None:
        write_table(view.overview_rows(), ("table", "one row per", "description"), sys.stdout)
    else:
        (entry,) = view.entries(table)
        _echo(view.table_lines(entry))
        click.echo("")
        write_table(view.column_rows(entry), ("column", "type", "unit", "description", "rules", "from"), sys.stdout)


@cli.group()
def bi() -> None:
    """Write definitions for BI tools, made from the declarations of the tables; docs/bi.md says how to use them."""


_DATABASE = "URL of the warehouse, or duckdb:////path/to/rally.duckdb, as the tool reaches it (default: the warehouse)."


@bi.command(name="superset")
@click.option("--to", "path", required=True, type=click.Path(dir_okay=False, path_type=Path), help="ZIP file to write.")
@click.option("--database", metavar="URL", help=_DATABASE)
@click.option("--name", help="Name of connection and dashboard; bundles of different names live side by side.")
def bi_superset(path: Path, database: str | None, name: str | None) -> None:
    """Write a bundle that Apache Superset imports: connection, datasets, charts and a dashboard; no password in it."""
    from rally_pipeline.publish.bi.superset import write_bundle
    from rally_pipeline.settings import load_settings

    settings = load_settings()
    count = write_bundle(path, database or settings.resolved_warehouse_url, _profile(settings), name)
    click.echo(f"{count} files in {path}", err=True)


@bi.command(name="powerbi")
@click.option("--to", "folder", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder.")
@click.option("--from", "source", metavar="PLACE", help="PostgreSQL URL, or folder of published tables (the default).")
def bi_powerbi(folder: Path, source: str | None) -> None:
    """Write a data source (.pbids) and a typed Power Query for each table, for Power BI."""
    from rally_pipeline.publish.bi.powerbi import write_powerbi
    from rally_pipeline.settings import load_settings

    settings = load_settings()
    written = write_powerbi(folder, source or str(settings.published_dir), _profile(settings))
    click.echo(f"{len(written)} files in {folder}", err=True)


@bi.command(name="sql")
@click.argument("view", required=False)
@click.option("--engine", type=click.Choice(["sqlite", "postgresql", "duckdb"]), help="Default: of the warehouse.")
def bi_sql(view: str | None, engine: str | None) -> None:
    """Print the SQL of VIEW, for tools that take a query (Metabase, DBeaver, Excel); without VIEW: which there are."""
    from rally_pipeline.console import write_table
    from rally_pipeline.publish.bi import views
    from rally_pipeline.publish.bi.connections import parse
    from rally_pipeline.settings import load_settings

    if view is None:
        rows = [{"view": v.name, "one row per": v.grain, "description": v.description} for v in views.views()]
        write_table(rows, ("view", "one row per", "description"), sys.stdout)
    else:
        named = engine or parse(load_settings().resolved_warehouse_url)[0]
        click.echo(views.view(view).sql(named))


def _profile(settings: Settings) -> Profile:
    """Whose data it is: what the warehouse says, else what is set, else live."""
    from rally_pipeline.settings import Profile
    from rally_pipeline.workspace import look_at

    workspace = look_at(settings)
    return workspace.profile if workspace else settings.profile or Profile.LIVE


@cli.command()
@_JSON
def prepare(as_json: bool) -> None:
    """Make or upgrade the warehouse and Dagster's storage, and run nothing: before other processes start."""
    from rally_pipeline.console import write_json, write_table
    from rally_pipeline.orchestration.instance import open_instance
    from rally_pipeline.settings import load_settings
    from rally_pipeline.warehouse.schema_version import HEAD

    settings = load_settings()
    workspace = _open(settings)
    rows = [
        {"what": "warehouse", "where": workspace.warehouse.display_url, "state": f"{workspace.profile.value}, {HEAD}"},
        {"what": "home", "where": str(settings.home), "state": "ready"},
    ]
    with open_instance(settings) as instance:
        kind = "PostgreSQL" if settings.dagster_url else "SQLite"
        rows.append({"what": "dagster", "where": instance.root_directory, "state": kind})
    if as_json:
        write_json(rows, sys.stdout)
    else:
        write_table(rows, ["what", "where", "state"], sys.stdout)


@cli.command()
@click.option("--reader", "readers", multiple=True, metavar="NAME", help="Role of analysts; may be repeated.")
@click.option("--writer", metavar="NAME", help="Role that is to own the tables.")
@click.option(
    "--statement-timeout",
    type=click.IntRange(1, 86400),
    default=60,
    show_default=True,
    help="Longest statement of a reader, in seconds.",
)
@click.option("--sql", "as_sql", is_flag=True, help="Print the statements for an administrator; do nothing.")
@_JSON
def grant(readers: tuple[str, ...], writer: str | None, statement_timeout: int, as_sql: bool, as_json: bool) -> None:
    """Let roles of PostgreSQL read what is for analysts (marts, names behind their keys, dictionary), or write.

    Roles must exist. A reader sees nothing else, by default only reads, and is bounded in time. What is given stays
    when tables are made anew by a later version. Exit code 1 if a reader may do more by way of other roles.
    """
    from rally_pipeline.console import write_json
    from rally_pipeline.settings import load_settings
    from rally_pipeline.warehouse.engine import open_warehouse
    from rally_pipeline.warehouse.roles import Limits, give

    if not readers and writer is None:
        raise click.UsageError("name a --reader or a --writer")
    settings = load_settings()
    warehouse = open_warehouse(settings.resolved_warehouse_url, lock_timeout_seconds=settings.lock_timeout_seconds)
    grants = give(warehouse, readers, writer, Limits(statement=statement_timeout), dry=as_sql)
    if as_json:
        write_json((grant.to_json() for grant in grants), sys.stdout)
    elif as_sql:
        _echo(["BEGIN;", *(f"{statement};" for grant in grants for statement in grant.statements), "COMMIT;"])
    else:
        _echo(line for grant in grants for line in grant.lines())
    sys.exit(1 if any(grant.beyond for grant in grants) else 0)


@cli.command()
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="Verify only so many archived payloads, chosen at random (default: all).",
)
@_JSON
def doctor(sample: int | None, as_json: bool) -> None:
    """Say what is set, what is open, what is behind, what is damaged, and what needs attention."""
    from rally_pipeline.console import write_json, write_table
    from rally_pipeline.doctor import examine
    from rally_pipeline.settings import load_settings

    findings = examine(load_settings(), sample=sample)
    rows = [{"state": f.state, "what": f.what, "value": f.value} for f in findings]
    if as_json:
        write_json(rows, sys.stdout)
    else:
        write_table(rows, ["state", "what", "value"], sys.stdout)
    sys.exit(1 if any(f.state == "fail" for f in findings) else 0)


@cli.command()
@click.option("--send", is_flag=True, help="Tell what is new or gone to the targets, as the daemon does.")
@click.option("--heartbeat", is_flag=True, help="Send a sign of life now, to see that delivery works; implies --send.")
@_JSON
def alerts(send: bool, heartbeat: bool, as_json: bool) -> None:
    """List what is wrong now: runs, checks, missing sessions, stale marts, calendars, quarantine, files.

    Exit code 1 if one of the problems is an error, or if something could not be delivered.
    """
    from rally_pipeline.alerts.evaluate import evaluate_home, look_home
    from rally_pipeline.alerts.view import alert_json, alert_lines
    from rally_pipeline.console import write_json
    from rally_pipeline.settings import load_settings

    settings, is_told = load_settings(), send or heartbeat
    seen = evaluate_home(settings, heartbeat=heartbeat or None) if is_told else look_home(settings)
    if as_json:
        write_json(map(alert_json, seen.problems), sys.stdout)
    else:
        _echo(alert_lines(seen))
    if is_told:
        click.echo(seen.summary(), err=True)
    sys.exit(0 if seen.ok else 1)


@cli.command()
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Port on 127.0.0.1.")
@click.option("--read-only", is_flag=True, help="Only look: no run can be launched, and no daemon is started.")
def ui(port: int, read_only: bool) -> None:
    """Open the Dagster UI on the same home, on this machine only."""
    from rally_pipeline.orchestration.instance import exec_ui
    from rally_pipeline.settings import load_settings

    exec_ui(load_settings(), port, read_only=read_only)


def _open(settings: Settings) -> Workspace:
    from rally_pipeline.workspace import open_workspace

    return open_workspace(settings, tell=lambda text: click.echo(text, err=True))


def _names(text: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else None


def _run(
    settings: Settings,
    start: dt.date | None,
    end: dt.date | None,
    sources: tuple[str, ...] | None,
    markets: tuple[str, ...] | None,
) -> bool:
    from rally_pipeline.console import Progress
    from rally_pipeline.orchestration.runner import run_pipeline

    progress = Progress()
    try:
        report = run_pipeline(settings, start, end, sources=sources, markets=markets, progress=progress)
    finally:
        progress.done()
    for line in report.lines():
        click.echo(line)
    if report.marts:
        _write_site(settings)
    return report.ok


def _write_site(settings: Settings) -> None:
    """The report for people; that it could not be written undoes nothing of the run."""
    from rally_pipeline.publish.site import write_site

    try:
        click.echo(f"report: {write_site(_open(settings))}")
    except (OSError, RallyError) as error:
        click.echo(f"report not written: {error}", err=True)


def _import(
    files: tuple[Path, ...], read: Any, known_at: str | None, no_marts: bool, no_publish: bool, as_json: bool
) -> None:
    from rally_pipeline.console import Progress, parse_instant, write_json
    from rally_pipeline.imports import import_files
    from rally_pipeline.settings import load_settings

    instant = parse_instant(known_at, end_of_day=False) if known_at else None
    workspace = _open(load_settings())
    progress = Progress()
    try:
        report = import_files(workspace, files, read, known_at=instant, refresh_marts=not no_marts, progress=progress)
        published = _renew(workspace, progress) if report.has_computed and not no_publish else []
    finally:
        progress.done()
    if as_json:
        write_json(report.rows(), sys.stdout)
    else:
        _echo([*report.lines(), *published])
    sys.exit(0 if report.ok else 1)


def _renew(workspace: Workspace, progress: Callable[[str], None]) -> list[str]:
    from rally_pipeline.publish.renewal import renew_if_published

    return renew_if_published(workspace, progress)


def _echo(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _explain(row: str, as_json: bool, view: str) -> None:
    from rally_pipeline import quarantine_view
    from rally_pipeline.console import write_json
    from rally_pipeline.quarantine import explain
    from rally_pipeline.settings import load_settings

    explained = explain(_open(load_settings()), row)
    if as_json:
        write_json([quarantine_view.explained_json(explained)], sys.stdout)
    else:
        _echo(getattr(quarantine_view, view)(explained))


def _act(
    action: str,
    row_ids: tuple[str, ...],
    table: str | None,
    rule: str | None,
    every: bool,
    reason: str,
    no_publish: bool,
    as_json: bool,
) -> None:
    from rally_pipeline import quarantine as life
    from rally_pipeline.console import Progress, write_json
    from rally_pipeline.quarantine_view import action_lines, outcome_json
    from rally_pipeline.settings import load_settings

    if bool(row_ids) + bool(table or rule) + every != 1:
        raise click.UsageError("say which rows: ids, or --rule and --table, or --all")
    # By id a row of any state may be named; a whole rule or table means what is still undecided.
    selection = life.Selection(row_ids, table, rule, state=None if row_ids else life.State.OPEN)
    workspace = _open(load_settings())
    rows = life.select(workspace, selection)
    progress = Progress()
    try:
        if action == "discard":
            report = life.discard(workspace, rows, reason)
        else:
            report = (life.release if action == "release" else life.replay)(workspace, rows, reason, progress)
        _rewrite_pages(workspace, rows)
        published = _renew(workspace, progress) if report.refreshed and not no_publish else []
    finally:
        progress.done()
    if as_json:
        write_json(map(outcome_json, report.rows), sys.stdout)
    else:
        _echo([*action_lines(report), *published])
    sys.exit(0 if report.ok else 1)


def _rewrite_pages(workspace: Workspace, rows: Sequence[QuarantinedRow]) -> None:
    """Brings the quality pages that show these rows up to date, where there are any."""
    from rally_pipeline.publish.quality_report import IMPORTS, write_reports

    runs = {row.run_id or f"{IMPORTS}{row.first_seen_at:%Y-%m-%d}" for row in rows}
    if rows and (workspace.settings.published_dir / "quality" / "index.html").exists():
        try:
            write_reports(workspace, sorted(runs))
        except OSError as error:
            # What was decided is written down; the pages are only a view of it.
            click.echo(f"quality report not written: {error}", err=True)


def _show_leaderboard(workspace: Workspace, day: dt.date) -> None:
    from rally_pipeline.leaderboard import leaderboard_lines

    for line in leaderboard_lines(workspace, day):
        click.echo(line)


if __name__ == "__main__":
    main()
