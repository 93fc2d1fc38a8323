"""Which figures bear a stated one out.

Belongs here: bands from value, tolerance, comparator and hedge; suspicion of a slipped unit. Does not belong here: what
is measured, and over which days (`readings.py` and the module of each kind of claim).

Figures are compared in the direction of the claim: "fell more than 2 %" is a fall of at least 2. So a band is about the
size of the move, and `Band.signed` turns it back.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal

from rally_pipeline.notes.records import Claim, Comparator, Direction

#: Slack for floating point, as a part of the value.
_SLACK = 1e-9
#: "About" reaches this part of the value to either side.
ABOUT = 0.05
#: "Nearly" reaches this part of the value downwards; upwards only to the rounding of the printed number.
NEARLY = 0.10
#: A converted amount may differ by the rate that was taken.
CONVERSION = 0.002
#: A figure rounded twice (1.848 → 1.85 → 1.9) is off by this part of the tolerance more.
TWICE_ROUNDED = 0.1
#: How close the ratio of observed to stated comes to 10 or 0.1 where a unit slipped.
_TENFOLD = 0.05

_NEARLY = re.compile(
    r"\b(?:nearly|almost|close\s+to|approaching|just\s+(?:under|below|shy\s+of|short\s+of)|shy\s+of|not\s+quite|"
    r"virtually|nigh)\b|接近|[将將]近|近|[几幾]乎|逼近|不到|差不多",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\b(?:about|around|roughly|approximately|approx|some|circa|or\s+so|more\s+or\s+less)\b|~|≈|大[约約]|[约約]|左右|上下",
    re.IGNORECASE,
)
_BILLION = re.compile(r"billion|\bbn\b|\dbn\b|\db\b|[亿億]", re.IGNORECASE)
_FLIPPED = {Comparator.AT_LEAST: Comparator.AT_MOST, Comparator.AT_MOST: Comparator.AT_LEAST}


@dataclass(frozen=True, slots=True)
class Band:
    """A closed interval; ``None`` is open. ``sign`` is +1, −1, or 0 where only the size is stated."""

    low: float | None
    high: float | None
    sign: int = 1

    def directed(self, figure: float) -> float:
        """The figure in the direction of the claim."""
        return abs(figure) if self.sign == 0 else figure * self.sign

    def holds(self, figure: float) -> bool:
        """Whether a signed figure is in the band."""
        size = self.directed(figure)
        slack = _SLACK * max(abs(size), 1.0)
        return (self.low is None or size >= self.low - slack) and (self.high is None or size <= self.high + slack)

    def nearly_holds(self, figure: float, tolerance: float) -> bool:
        """Whether a signed figure misses the band by no more than rounding twice explains."""
        return self.holds(figure) or self.meets(figure - TWICE_ROUNDED * tolerance, figure + TWICE_ROUNDED * tolerance)

    def meets(self, low: float, high: float) -> bool:
        """Whether a figure between these two signed ones is in the band."""
        ends = sorted((self.directed(low), self.directed(high)))
        return (self.low is None or ends[1] >= self.low) and (self.high is None or ends[0] <= self.high)

    @property
    def signed(self) -> tuple[float | None, float | None]:
        """Low and high as signed figures."""
        if self.sign >= 0:
            return self.low, self.high
        return (None if self.high is None else -self.high), (None if self.low is None else -self.low)


def band(
    claim: Claim, *, value: float | None = None, factor: float = 1.0, truncated: bool = False, widen: float = 0.0
) -> Band | None:
    """The band of a claim's value; ``None`` if it states none or its comparator is not about a value.

    Args:
        claim: value, tolerance, comparator, hedge and direction are used.
        value: instead of the claim's.
        factor: what value and tolerance are multiplied by (basis points to per cent).
        truncated: whether the press cuts such figures off instead of rounding them (index levels): then the band
            reaches a whole unit of the last printed digit upwards.
        widen: part of the value added on both sides (conversion between currencies).
    """
    stated = claim.value if value is None else value
    if stated is None or not math.isfinite(stated):
        return None
    sign = 1
    if claim.direction is Direction.DOWN or (claim.direction is None and stated < 0):
        sign = -1
    size = abs(stated) * factor
    tolerance = (last_digit(stated) if claim.tolerance is None else abs(claim.tolerance)) * factor
    above = 2 * tolerance if truncated else tolerance
    more = size * widen
    hedge = claim.hedge
    if hedge and _NEARLY.search(hedge):
        return Band(size - max(tolerance, NEARLY * size) - more, size + tolerance + more, sign)
    comparator = claim.comparator
    if stated < 0:
        # the comparator of a signed value is that of the number line: "fell more than 2 %" is at most −2
        comparator = _FLIPPED.get(comparator, comparator)
    if comparator is Comparator.APPROX or (hedge and comparator is Comparator.EQ and _ABOUT.search(hedge)):
        reach = max(tolerance, ABOUT * size)
        return Band(size - reach - more, size + reach + more, sign)
    if comparator is Comparator.AT_LEAST:
        return Band(size - more, None, sign)
    if comparator is Comparator.AT_MOST:
        # "at most 2 %" of a fall is no rise, and a rise by rounding is none
        return Band(-tolerance, size + more, sign)
    if comparator in (Comparator.EQ, Comparator.QUALITATIVE):
        return Band(size - tolerance - more, size + above + more, sign)
    return None


def last_digit(value: float) -> float:
    """Half a unit of the last digit a number was probably printed with: 13.0 → 0.5, 13.1 → 0.05, 26.6e9 → 0.05e9."""
    digits = Decimal(repr(abs(value))).normalize()
    exponent = int(digits.as_tuple().exponent)
    return 0.5 * 10.0 ** (min(exponent, 0) if abs(value) < 1000 else exponent)


def is_tenfold(claim: Claim, observed: float | None, stated: float | None = None) -> bool:
    """Whether the figure is ten times or a tenth of the stated one, and the words are of those that get confused: a
    Chinese scale word or billion.
    """
    stated = claim.value if stated is None else stated
    if not stated or not observed:
        return False
    if not (claim.is_scale_word_chinese or _BILLION.search(claim.quote)):
        return False
    ratio = abs(observed / stated)
    return any(abs(ratio / tenfold - 1) <= _TENFOLD for tenfold in (10.0, 0.1))


def precision(claim: Claim) -> float:
    """How many different figures of its size the printed number tells apart: 26.6 bn → 532, 31 % → 62."""
    if not claim.value or not claim.tolerance:
        return 0.0
    return abs(claim.value) / claim.tolerance
