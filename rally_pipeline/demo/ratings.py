"""The demo's rating history: invented actions on a few shares, in the shape Yahoo gives them.

Belongs here: who is said to have done what, and when. Does not belong here: the route (`server.py`) or prices
(`prices.py`). No house has ever published any of these: each row is marked ``"demo": true``, and targets follow the
demo's own closes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rally_pipeline.demo.prices import Bars


@dataclass(frozen=True)
class _Invented:
    """One invented action; the target is `multiple` times the close of the day, 0 = none given."""

    day: dt.date
    firm: str
    action: str
    to_grade: str
    from_grade: str
    target_action: str
    multiple: float


def _day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


#: Symbol -> its actions, oldest first. Among them what real histories hold: an action without a target, an initiation
#: without a grade before, a house that the catalog does not know, and a word that its numbers contradict.
_INVENTED: dict[str, tuple[_Invented, ...]] = {
    "9988.HK": (
        _Invented(_day("2024-05-16"), "Jefferies", "main", "Buy", "Buy", "Announces", 1.30),
        _Invented(_day("2024-09-27"), "Citigroup", "main", "Buy", "Buy", "Announces", 1.25),
        _Invented(_day("2024-11-18"), "Jefferies", "main", "Buy", "Buy", "Raises", 1.35),
        _Invented(_day("2025-01-28"), "Harbour Lane Research", "init", "Hold", "", "Announces", 1.05),
        _Invented(_day("2025-02-14"), "Morgan Stanley", "up", "Overweight", "Equal-Weight", "Raises", 1.22),
        _Invented(_day("2025-02-21"), "Citigroup", "main", "Buy", "Buy", "Raises", 1.20),
        _Invented(_day("2025-02-24"), "Jefferies", "reit", "Buy", "Buy", "Raises", 1.18),
    ),
    "BABA": (
        _Invented(_day("2024-08-16"), "Mizuho", "main", "Outperform", "Outperform", "Lowers", 1.20),
        _Invented(_day("2024-11-18"), "Benchmark", "reit", "Buy", "Buy", "Maintains", 1.30),
        _Invented(_day("2025-02-20"), "Benchmark", "main", "Buy", "Buy", "Raises", 1.28),
        _Invented(_day("2025-02-21"), "Mizuho", "main", "Outperform", "Outperform", "Lowers", 1.15),
    ),
    "0700.HK": (
        _Invented(_day("2024-08-15"), "UBS", "main", "Buy", "Buy", "Announces", 1.28),
        _Invented(_day("2024-11-14"), "Macquarie", "main", "Outperform", "Outperform", "Announces", 1.24),
        _Invented(_day("2025-01-08"), "UBS", "reit", "Buy", "Buy", "", 0.0),
        _Invented(_day("2025-02-19"), "UBS", "main", "Buy", "Buy", "Raises", 1.22),
    ),
    "3690.HK": (
        _Invented(_day("2024-11-29"), "Daiwa", "init", "Buy", "", "Announces", 1.20),
        _Invented(_day("2025-02-20"), "HSBC", "down", "Hold", "Buy", "Lowers", 1.05),
    ),
    "1810.HK": (
        _Invented(_day("2024-11-19"), "CLSA", "main", "Outperform", "Outperform", "Announces", 1.18),
        _Invented(_day("2025-02-18"), "CLSA", "down", "Hold", "Outperform", "Raises", 1.04),
    ),
}


def history(symbol: str, bars: Bars | None, end: dt.date) -> list[dict[str, Any]]:
    """The actions on a share up to a day, latest first, in the keys of Yahoo's ``upgradeDowngradeHistory``.

    Args:
        symbol: Yahoo's symbol.
        bars: the share's bars, for the level of the targets; ``None`` = no targets.
        end: last day of which anything is known.
    """
    rows: list[dict[str, Any]] = []
    before: dict[str, float] = {}
    for invented in _INVENTED.get(symbol, ()):
        if invented.day > end:
            break
        target = _target(invented, bars)
        row = {
            # Some time in the American morning, as in the real history; in Hong Kong it is the evening of that day.
            "epochGradeDate": int(dt.datetime.combine(invented.day, dt.time(12, 30), dt.UTC).timestamp()),
            "firm": invented.firm,
            "toGrade": invented.to_grade,
            "fromGrade": invented.from_grade,
            "action": invented.action,
            "priceTargetAction": invented.target_action,
            "currentPriceTarget": target,
            "priorPriceTarget": before.get(invented.firm, 0.0) if target else 0.0,
            "demo": True,
        }
        if target:
            before[invented.firm] = target
        rows.append(row)
    return rows[::-1]


def _target(invented: _Invented, bars: Bars | None) -> float:
    """A round price above the last close up to the day; 0 where the action gives none."""
    if bars is None or not invented.multiple:
        return 0.0
    close = _close(bars.days, bars.close.tolist(), invented.day)
    return float(round(close * invented.multiple)) if close else 0.0


def _close(days: Sequence[dt.date], closes: Sequence[float], day: dt.date) -> float:
    return next((close for known, close in zip(reversed(days), reversed(closes), strict=True) if known <= day), 0.0)
