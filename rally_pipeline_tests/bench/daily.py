"""The daily job as it is run: all markets, flows, notes, gate, marts, report and published files, through Dagster.

Beside it stands its floor: the interpreter with the same imports, and a Dagster job of as many empty assets, in one
process. Run as a program (``python -m rally_pipeline_tests.bench.daily HOME ASSETS``) it is that floor. Belongs here:
the whole job as one figure. Does not belong here: its parts.
"""

from __future__ import annotations

import datetime as dt
import importlib
import os
import shutil
import sys
from pathlib import Path

from rally_pipeline_tests.bench.data import Bench
from rally_pipeline_tests.bench.measure import Beside, Figure, processes_side_by_side, run_process

_DAY = dt.date(2025, 2, 14)
#: The days before it are few: what a run costs by itself is measured, and each of them would cost a minute of set-up.
_HISTORY = dt.date(2025, 2, 12)
_NOTES = 20
#: A run takes the better part of a minute; more rounds than this add nothing to the ratio.
_MOST_REPEATS = 3

#: What the daily job imports, the heavy ones when it first needs them.
_IMPORTS = (
    "rally_pipeline.orchestration.runner",
    "duckdb",
    "openlineage.client",
    "vl_convert",
    "yfinance",
)


def figures(bench: Bench) -> list[Figure]:
    """One row: one day on top of a short history, each time in a copy of the same home."""
    from rally_pipeline.catalog import load_catalog

    template, home = bench.folder / "daily-template", bench.folder / "daily"
    env = _environment(template)
    before_day = str(_DAY - dt.timedelta(days=1))
    run_process([*_CLI, "run", "--from", str(_HISTORY), "--to", before_day], env)
    _drop_notes(template / "inbox" / "notes")
    job = [*_CLI, "run", "--from", str(_DAY), "--to", str(_DAY)]

    def before(_: str) -> None:
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(template, home)

    assets = _asset_count(template)
    taken = processes_side_by_side(
        {"ours": job, "floor": [sys.executable, "-m", "rally_pipeline_tests.bench.daily", str(home), str(assets)]},
        env=_environment(home),
        before=before,
        repeats=min(bench.repeats, _MOST_REPEATS),
    )
    instruments = len(load_catalog().instruments)
    return [
        Figure(
            "daily job",
            f"{instruments} instruments",
            taken["ours"],
            limits=(Beside("imports and empty assets", taken["floor"], at_most=1.5),),
            note=f"{_DAY}, all markets and southbound flows, {_NOTES} notes, gate, marts, report, published files, on "
            f"SQLite; the floor is a job of {assets} empty assets. Processor time: "
            f"{taken['ours'].median_processor:.1f} s over {taken['floor'].median_processor:.1f} s",
        )
    ]


_CLI = (sys.executable, "-W", "ignore", "-m", "rally_pipeline.cli")


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RALLY_", "DAGSTER_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "RALLY_HOME": str(home), "RALLY_PROFILE": "demo"}


def _drop_notes(inbox: Path) -> None:
    """As many different notes as a day may bring: the demo's, and short ones."""
    from rally_pipeline.demo.documents import drop

    documents = [path for path in drop(inbox) if path.suffix != ".yaml"]
    for number in range(_NOTES - len(documents)):
        text = (
            f"Example House\n{_DAY:%d %B %Y}\n\nExample House upgraded Tencent to Buy from Hold, and raised its target "
            f"price to HK${480 + number} from HK$400.\nThe Hang Seng Index has risen {number} percent this year.\n"
        )
        (inbox / f"short-{number}.txt").write_text(text, encoding="utf-8")


def _asset_count(home: Path) -> int:
    """How many assets the jobs of that home have materialized."""
    from rally_pipeline.orchestration.instance import open_instance
    from rally_pipeline.settings import load_settings

    with open_instance(load_settings(home=home)) as instance:
        return len(instance.all_asset_keys())


def floor(home: Path, assets: int) -> None:
    """Imports what the daily job imports, and materializes so many assets that do nothing, on an instance like its."""
    import dagster as dg

    from rally_pipeline.orchestration.instance import open_instance
    from rally_pipeline.quality import suites
    from rally_pipeline.settings import load_settings

    for name in _IMPORTS:
        importlib.import_module(name)
    suites.imported("great_expectations.expectations")

    def empty(number: int) -> dg.AssetsDefinition:
        @dg.asset(name=f"empty_{number}")
        def asset() -> None:
            pass

        return asset

    with open_instance(load_settings(home=home)) as instance:
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        done = dg.materialize([empty(number) for number in range(assets)], instance=instance, run_config=quiet)
    assert done.success


if __name__ == "__main__":
    floor(Path(sys.argv[1]), int(sys.argv[2]))
