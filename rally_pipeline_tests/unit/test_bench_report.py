"""The bench's own arithmetic: turns, goals, and what it calls worse than before."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rally_pipeline_tests.bench.measure import (
    Beside,
    Figure,
    Goal,
    MemoryGauge,
    Taken,
    processes_side_by_side,
    side_by_side,
)
from rally_pipeline_tests.bench.report import keep, print_figures, print_goals, regressions


def figure(ours: float, *, peak: float = 500, size: str = "10 rows") -> Figure:
    return Figure(
        "load",
        size,
        Taken((ours, ours, 9 * ours), peak),
        peers=(Beside("dlt", Taken((4.0,)), faster=2.0),),
        limits=(Beside("COPY", Taken((1.0,)), at_most=1.5),),
        goals=(Goal("peak MiB", peak, 600),),
    )


def test_goals_are_ratios_of_medians() -> None:
    met = {goal.name: (goal.value, goal.is_met) for goal in figure(1.4).all_goals}
    assert met == {
        "× COPY": (1.4, True),
        "× faster than dlt": (pytest.approx(4 / 1.4), True),
        "peak MiB": (500, True),
    }
    assert not any(goal.is_met for goal in figure(2.5, peak=700).all_goals)


def test_what_got_worse_is_named_and_nothing_else(tmp_path: Path) -> None:
    first = keep([figure(1.0), figure(1.0, size="other")], tmp_path)
    (tmp_path / "2000-01-01T000000.json").write_text('{"figures": []}')  # a run of another part, or of the old bench
    assert regressions([figure(1.1)], tmp_path) == []
    assert regressions([figure(5.0)], tmp_path, before=first) == []
    (slow_limit, slow_peer) = regressions([figure(1.2)], tmp_path)
    assert slow_limit.startswith("load, 10 rows: 1.20 × COPY, was 1.00 on ")
    assert "dlt" in slow_peer
    (fat,) = regressions([figure(1.0, peak=600)], tmp_path)
    assert "600 MiB at the peak, was 500" in fat


def test_the_table_has_a_line_for_each_thing_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures([figure(1.4)])
    print_goals([figure(2.5)])
    out = capsys.readouterr().out
    assert "load  10 rows  1.40 s  500  dlt" in out
    assert "NOT MET load, 10 rows: 2.50 × COPY (goal ≤ 1.5)" in out


def test_alternatives_run_in_turn() -> None:
    order: list[str] = []
    taken = side_by_side(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")},
        before=lambda name: order.append(f"before {name}"),
        repeats=2,
    )
    assert order == [*["before a", "a", "before b", "b"], *["before b", "b", "before a", "a"]]
    assert {name: len(one.seconds) for name, one in taken.items()} == {"a": 2, "b": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of memory")
def test_peaks_are_seen_although_the_memory_is_given_back() -> None:
    gauge = MemoryGauge()
    del [bytearray(64 * 1024 * 1024)][0]
    risen = gauge.risen_mb()
    assert risen is not None
    assert 60 < risen < 80
    taken = processes_side_by_side(
        {"small": [sys.executable, "-c", "import time; time.sleep(.2)"], "big": [sys.executable, "-c", _BIG]}, repeats=1
    )
    assert taken["big"].peak_mb - taken["small"].peak_mb > 50  # type: ignore[operator]


_BIG = "import time; x = bytearray(64 * 1024 * 1024); time.sleep(.2)"


def test_a_process_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        processes_side_by_side({"a": [sys.executable, "-c", "raise SystemExit('no such thing')"]}, repeats=1)
