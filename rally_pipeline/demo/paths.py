"""Seeded random paths: the arithmetic the demo's prices and rates share.

Belongs here: generators and bridges. Does not belong here: any figure or any market.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def seeded(name: str) -> np.random.Generator:
    """A generator whose seed depends on `name` alone; the same in every process (``hash()`` is not)."""
    digest = hashlib.sha256(f"rally_pipeline demo 1: {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def path_through(
    days: Sequence[dt.date],
    points: Mapping[dt.date, float],
    sigma: float,
    rng: np.random.Generator,
    *,
    ceiling: tuple[dt.date, float] | None = None,
) -> FloatArray:
    """A path over `days` that hits every point; between two points it stays strictly between their values.

    A Brownian bridge in log space, reflected (not cut, which would leave flat stretches) at both neighbours. Beyond
    the last point the value stays near it. `ceiling` lowers the upper bound of the segment that starts on its day.

    Raises:
        ValueError: a point is not one of `days`, or the first day has none.
    """
    index = {day: i for i, day in enumerate(days)}
    missing = sorted(day for day in points if day not in index)
    if missing or not points or min(points) != days[0]:
        raise ValueError(f"points must be sessions and start on {days[0]}: {[str(day) for day in missing]}")
    path = np.empty(len(days))
    ordered = sorted(points)
    for left, right in itertools.pairwise(ordered):
        i, j = index[left], index[right]
        start, end = np.log(points[left]), np.log(points[right])
        steps = np.arange(1, j - i)
        walk = np.cumsum(rng.normal(0.0, sigma, j - i))
        inner = start + (end - start) * steps / (j - i) + walk[:-1] - walk[-1] * steps / (j - i)
        low, high = min(start, end), max(start, end)
        if ceiling is not None and ceiling[0] == left:
            high = min(high, float(np.log(ceiling[1])))
        margin = 0.01 * (high - low)
        path[i] = points[left]
        path[i + 1 : j] = np.exp(_reflect(inner, low + margin, high - margin))
    last = index[ordered[-1]]
    tail = np.cumsum(rng.normal(0.0, sigma, len(days) - 1 - last))
    path[last] = points[ordered[-1]]
    path[last + 1 :] = points[ordered[-1]] * np.exp(tail)
    return path


def _reflect(values: FloatArray, low: float, high: float) -> FloatArray:
    if high <= low:
        return np.full_like(values, (low + high) / 2)
    position = np.mod((values - low) / (high - low), 2.0)
    return low + (high - low) * np.where(position > 1.0, 2.0 - position, position)
