"""How long the command line takes to say what it can do.

Belongs here: starts of the whole program. Does not belong here: what a command then does.
"""

from __future__ import annotations

import subprocess
import sys

from rally_pipeline_tests.bench.data import Bench
from rally_pipeline_tests.bench.measure import Beside, Figure, Goal, processes_side_by_side

#: What costs a second or so to import and is not needed to show a help text.
_HEAVY = ("dagster", "great_expectations", "pandas", "numpy", "pyarrow", "yfinance", "sqlalchemy", "duckdb")


def figures(bench: Bench) -> list[Figure]:
    """One row."""
    taken = processes_side_by_side(
        {"ours": [sys.executable, "-m", "rally_pipeline.cli", "--help"], "bare Python": [sys.executable, "-c", "pass"]},
        repeats=max(bench.repeats, 9),
    )
    script = f"import sys, rally_pipeline.cli; print(*(m for m in {_HEAVY!r} if m in sys.modules))"
    heavy = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    # Seconds, not a ratio: on a busy machine the processor's time says more about the program than the clock.
    beyond = taken["ours"].median_processor - taken["bare Python"].median_processor
    return [
        Figure(
            "rally-pipeline --help",
            "one start",
            taken["ours"],
            limits=(Beside("bare Python", taken["bare Python"]),),
            goals=(
                Goal("s beyond bare Python (processor)", beyond, 0.3),
                Goal("heavy imports at start", len(heavy), 0),
            ),
            note=f"heavy imports at start: {', '.join(heavy) or 'none'}",
        )
    ]
