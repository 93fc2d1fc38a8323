"""Mends numbers as price targets print them: split decimals, units after a bracket or in a label, rare currency signs.

Belongs here: what the sentence grammar must know of a number beside `quantities.py`, which reads numbers of all kinds.
Does not belong here: which number is the target (`targets.py`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rally_pipeline.notes.records import Comparator, Quantity, QuantityKind

if TYPE_CHECKING:
    from rally_pipeline.notes.rating_tokens import Words

#: Currencies that only price targets print so: "Y38,000", "Bt31".
_SIGNED = re.compile(r"(?P<sign>Y|Bt|Php|Tk)(?P<digits>\d[\d,]*(?:\.\d+)?)(?![\w%])")
_SIGNS = {"Y": "JPY", "Bt": "THB", "Php": "PHP", "Tk": "BDT"}
#: The decimals of "HK$ 14. 2 from …"; a sentence would go on with a word.
_SPLIT_DECIMALS = re.compile(r"\.[ \u00a0](?P<decimals>\d{1,2})(?=[;,)]|[ \u00a0](?:from|vs|versus|\()|\s*\Z)")
_UNIT_AFTER = re.compile(
    r"[)）][ \u00a0]?(?P<unit>pence|p|yen|euros?|won|baht|rupees|ringgit|dollars|crowns|kronor|francs)(?!\w)"
)
_UNITS = {
    "yen": "JPY", "euro": "EUR", "euros": "EUR", "won": "KRW", "baht": "THB", "rupees": "INR", "ringgit": "MYR",
    "dollars": "USD", "francs": "CHF", "kronor": "SEK",
}  # fmt: skip
#: "(HK$)" between a label and its number.
LABEL_UNIT = re.compile(
    r"[ \u00a0]?[(（](?P<code>HK\$|US\$|A\$|C\$|S\$|NT\$|\$|€|£|¥|HKD|USD|CNY|RMB|EUR|GBP|JPY|SGD|TWD|KRW|INR|AUD|CAD|"
    r"CHF|SEK|NOK|DKK|THB|MYR|IDR|PHP)[)）][ \u00a0:：]{0,4}(?=\d)"
)
_CODES = {
    "HK$": "HKD", "US$": "USD", "A$": "AUD", "C$": "CAD", "S$": "SGD", "NT$": "TWD", "€": "EUR", "£": "GBP",
    "¥": "JPY", "RMB": "CNY",
}  # fmt: skip


def signed(text: str, begin: int, stop: int) -> Quantity | None:
    """The amount whose currency sign is glued to it as a letter, at `begin`."""
    found = _SIGNED.match(text, begin, stop)
    if found is None:
        return None
    printed = found["digits"].replace(",", "")
    if len(printed) < 2:
        return None  # "Y2"
    tolerance = 0.5 * 10.0 ** -len(printed.partition(".")[2])
    return Quantity(
        start=begin,
        end=found.end(),
        value=float(printed),
        kind=QuantityKind.MONEY,
        currency=_SIGNS[found["sign"]],
        scale=1.0,
        tolerance=tolerance,
        hedge="",
        hedge_start=begin,
        comparator=Comparator.EQ,
    )


def mended(text: str, quantity: Quantity, stop: int) -> Quantity:
    """A sum of money with the decimals that a blank has cut off: "HK$ 14. 2 from HK$12.8"."""
    if quantity.kind is not QuantityKind.MONEY or quantity.scale != 1 or text[quantity.end : quantity.end + 1] != ".":
        return quantity
    # the decimals may have been taken for the next sentence
    found = _SPLIT_DECIMALS.match(text, quantity.end, min(len(text), stop + 8))
    if found is None or not quantity.value.is_integer():
        return quantity
    decimals = found["decimals"]
    value = quantity.value + float(f"0.{decimals}")
    return replace(quantity, end=min(stop, found.end()), value=value, tolerance=0.5 * 10.0 ** -len(decimals))


def label_code(found: re.Match[str]) -> str:
    """The currency of a match of `LABEL_UNIT`."""
    return _CODES.get(found["code"], found["code"])


def lend_units(words: Words) -> None:
    """Gives both numbers of "1,640 (2,150) pence" the unit after the bracket."""
    for k in range(len(words) - 3):
        if words.low[k + 1] != "(" or words.low[k + 3] != ")":
            continue
        pair = words.numbers.get(k), words.numbers.get(k + 2)
        unit = _UNIT_AFTER.match(words.text, words.start[k + 3]) if pair[0] and pair[1] else None
        if unit is None:
            continue
        for place, quantity in zip((k, k + 2), pair, strict=True):
            if quantity is not None and not quantity.currency and quantity.kind is QuantityKind.NUMBER:
                words.numbers[place] = _in(quantity, unit["unit"])


def _in(quantity: Quantity, unit: str) -> Quantity:
    if unit in ("p", "pence"):
        return replace(
            quantity,
            value=quantity.value / 100,
            tolerance=quantity.tolerance / 100,
            scale=0.01,
            currency="GBP",
            kind=QuantityKind.MONEY,
        )
    return replace(quantity, currency=_UNITS.get(unit, ""), kind=QuantityKind.MONEY)
