"""How many short notes a second the extraction reads on one core; `make eval` says how well.

Belongs here: that figure. Does not belong here: labels and scores (`eval/`).
"""

from __future__ import annotations

import datetime as dt
import itertools

from rally_pipeline_tests.bench.data import Bench
from rally_pipeline_tests.bench.measure import Figure, Goal, MemoryGauge, Taken
from rally_pipeline_tests.eval import gold, running

_HOUSES = ("Goldman Sachs", "Morgan Stanley", "UBS", "Citi", "HSBC", "Example House", "Jefferies")
_SHARES = ("Tencent", "Alibaba", "Meituan", "NVIDIA", "Apple", "HSBC Holdings", "Xiaomi")
_SENTENCES = (
    "{house} raises {share} price target to HK$480 from HK$400, keeps Buy rating",
    "{house} downgrades {share} to Hold from Buy, citing valuation after the rally",
    "{share} shares rise 3.2% to a three-year high as southbound inflows reach HK$22.4 billion",
    "{house} initiates coverage on {share} with an Overweight rating and a target of 520",
    "Hang Seng Index up 13% this year, its best start since 1985, {house} strategists say",
)


def figures(bench: Bench) -> list[Figure]:
    """One row: recorded headlines where they are at hand, else made-up ones."""
    texts = _headlines()
    extractor = running.open_extractor()
    running.sweep(extractor, texts[:50])
    gauge = MemoryGauge()
    # processor time, which is what "on one core" means on a machine that does other things too
    taken = Taken(tuple(running.sweep(extractor, texts).seconds for _ in range(bench.repeats)), gauge.risen_mb())
    return [
        Figure(
            "extraction of short notes",
            f"{len(texts):,} notes",
            taken,
            goals=(Goal("notes/s on one core", len(texts) / min(taken.seconds), 2000, is_ceiling=False),),
            note="processor time; 60 to 150 characters each",
        )
    ]


def _headlines() -> list[tuple[str, str, dt.date | None, str]]:
    if gold.is_complete():
        rows = gold.rows_of(gold.NOTES / "ratings.jsonl")
        found = [(str(n), row.get("text") or "", None, row.get("ticker") or "") for n, row in enumerate(rows)]
        return [row for row in found if 60 <= len(row[1]) <= 150][:4000]
    filled = itertools.product(_SENTENCES, _HOUSES, _SHARES)
    day = dt.date(2025, 2, 14)
    texts = [sentence.format(house=house, share=share) for sentence, house, share in filled]
    return [(str(n), text, day, "") for n, text in enumerate(texts * 4)]
