"""The table of the bench, the dated file it is kept in, and what got worse since the file before.

Belongs here: printing, keeping and comparing figures. Does not belong here: measuring.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rally_pipeline_tests.bench.measure import Beside, Figure, Goal, Taken

#: A ratio that is so much greater than in the file before is called a regression.
WORSE = 1.15
#: Peaks below this many MiB jump too much to be compared.
_SMALL_PEAK_MB = 64


def print_figures(figures: Sequence[Figure]) -> None:
    """Prints the table: one line per figure, further lines where more than one thing stands beside it."""
    header = ("what", "size", "ours", "MiB", "peer", "took", "MiB", "×", "limit", "took", "MiB", "×")
    lines: list[tuple[str, ...]] = [header]
    for figure in figures:
        own = (figure.what, figure.size, _seconds(figure.ours), _mb(figure.ours))
        for number, (peer, limit) in enumerate(zip_longest(figure.peers or (None,), figure.limits or (None,))):
            lines.append((*(own if number == 0 else ("",) * 4), *_beside(figure, peer), *_beside(figure, limit)))
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    texts = {0, 1, 4, 8}
    for line in lines:
        cells = [
            cell.ljust(width) if column in texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print("\n× is ours over the other. MiB: the peak above where the run began; of whole processes, the peak.")
    for figure in figures:
        if figure.note:
            print(f"{figure.what}: {figure.note}")


def print_goals(figures: Sequence[Figure]) -> None:
    """Prints each goal, and whether it is met."""
    lines = [(figure, goal) for figure in figures for goal in figure.all_goals]
    if not lines:
        return
    print("\ngoals")
    for figure, goal in lines:
        word = "met    " if goal.is_met else "NOT MET"
        sign = "≤" if goal.is_ceiling else "≥"
        print(f"  {word} {figure.what}, {figure.size}: {goal.value:,.2f} {goal.name} (goal {sign} {goal.bound:,g})")


def keep(figures: Sequence[Figure], folder: Path) -> Path:
    """Writes the figures to ``folder/TIME.json`` (UTC) with what they were measured on; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    now = dt.datetime.now(dt.UTC)
    target = folder / f"{now:%Y-%m-%dT%H%M%S}.json"
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    rows = [_as_record(figure) for figure in figures]
    target.write_text(json.dumps({"at": now.isoformat(), "machine": machine, "figures": rows}, indent=1) + "\n")
    return target


def regressions(figures: Sequence[Figure], folder: Path, before: Path | None = None) -> list[str]:
    """What got worse by more than 15 %, in words.

    Each figure is compared with the latest kept file that has it: a run may have measured a part only.

    Args:
        figures: as measured now.
        folder: where earlier runs are kept.
        before: the file of this very run, which is left out.
    """
    kept: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}
    for file in sorted(folder.glob("*.json")):
        if file == before:
            continue
        for row in json.loads(file.read_text())["figures"]:
            if "ratios" in row:
                kept[row["what"], row["size"]] = (row, file.stem)
    said = []
    for figure in figures:
        if (figure.what, figure.size) not in kept:
            continue
        row, name = kept[figure.what, figure.size]
        for other, ratio in figure.ratios.items():
            was = row["ratios"].get(other)
            if was and ratio > was * WORSE:
                said.append(
                    f"{figure.what}, {figure.size}: {ratio:.2f} × {other}, was {was:.2f} on {name} "
                    f"({(ratio / was - 1) * 100:+.0f} %)"
                )
        peak, peak_was = figure.ours.peak_mb, row["ours"]["peak_mb"]
        if peak and peak_was and peak > max(peak_was, _SMALL_PEAK_MB) * WORSE:
            said.append(f"{figure.what}, {figure.size}: {peak:,.0f} MiB at the peak, was {peak_was:,.0f} on {name}")
    return said


def _as_record(figure: Figure) -> dict[str, Any]:
    def taken(one: Taken) -> dict[str, Any]:
        return {"median": one.median, "seconds": list(one.seconds), "peak_mb": one.peak_mb}

    def beside(one: Beside) -> dict[str, Any]:
        return {"name": one.name, **taken(one.taken)}

    def goal(one: Goal) -> dict[str, Any]:
        bound = "at most" if one.is_ceiling else "at least"
        return {"name": one.name, "value": one.value, bound: one.bound, "met": one.is_met}

    return {
        "what": figure.what,
        "size": figure.size,
        "ours": taken(figure.ours),
        "peers": [beside(one) for one in figure.peers],
        "limits": [beside(one) for one in figure.limits],
        "ratios": figure.ratios,
        "goals": [goal(one) for one in figure.all_goals],
        "note": figure.note,
    }


def _beside(figure: Figure, other: Beside | None) -> tuple[str, str, str, str]:
    if other is None:
        return ("", "", "", "")
    return (other.name, _seconds(other.taken), _mb(other.taken), f"{figure.ours.median / other.taken.median:.2f}")


def _seconds(taken: Taken) -> str:
    seconds = taken.median
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _mb(taken: Taken) -> str:
    return "" if taken.peak_mb is None else f"{taken.peak_mb:,.0f}"
