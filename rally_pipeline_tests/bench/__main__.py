"""`make bench`: each thing that may take long, beside what one would use instead and beside what bounds it.

Each figure is the median of several runs, alternatives in turn. Ratios are the result; seconds depend on the machine.
Results are kept as ``RALLY_HOME/bench/TIME.json``, and what got worse since the file before is said.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

from rally_pipeline_tests.bench.data import Bench
from rally_pipeline_tests.bench.measure import Figure
from rally_pipeline_tests.bench.report import keep, print_figures, print_goals, regressions

#: Modules of this package, each with ``figures(bench: Bench) -> list[Figure]``, in the order of the table.
SUBJECTS = ("loads", "backfill", "gate", "startup", "notes", "daily", "marts", "published")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="this subject alone; may be repeated")
    parser.add_argument("--rows", type=int, default=int(os.environ.get("BENCH_ROWS", "1000000")))
    parser.add_argument("--repeats", type=int, default=int(os.environ.get("BENCH_REPEATS", "5")))
    options = parser.parse_args()
    # dlt's, where nobody is logged in
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="platformdirs")
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="rally-bench-") as folder:
        bench = Bench(options.rows, options.repeats, Path(folder))
        subjects = options.only or SUBJECTS
        for number, name in enumerate(subjects, start=1):
            print(f"{number}/{len(subjects)} {name} …", end=" ", file=sys.stderr, flush=True)
            began = time.monotonic()
            figures += importlib.import_module(f"rally_pipeline_tests.bench.{name}").figures(bench)
            print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print_figures(figures)
    print_goals(figures)
    kept_in = Path(os.environ.get("RALLY_HOME", ".rally")) / "bench"
    file = keep(figures, kept_in)
    print(f"\nkept as {file}")
    for line in regressions(figures, kept_in, before=file):
        print(f"WORSE  {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
