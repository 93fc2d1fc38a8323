"""Numbers with their units: percentages, money, points, shares, multiples, ranks and plain levels.

Belongs here: what number a text states, in which unit, how precisely and how hedged. Does not belong here: lengths of
time and dates (`windows.py`, `dates.py`), what the number is said of (the grammars).

Decisions:

- A number in figures counts if it has a unit or a currency, a decimal point, a thousands separator or three digits;
  years, dates, times of day, tickers, names of indices, fractions, telephone and section numbers do not count.
- A range (``13-15%``, ``between 3 and 5 percent``, ``HK$75-85``) gives two quantities; the unit is taken over by the
  one that lacks it and stays outside its span.
- A bare ``$`` gives the currency ``$``. ``¥`` is CNY unless the text speaks of yen or Japan. A bare ``元`` is CNY, but
  ``元`` (unsaid which) where the text is in traditional characters or speaks of Hong Kong.
- ``80 cents`` is 0.80 of the currency nearest by in the text, else of ``$``; pence are GBP.
- ``about``, ``nearly``, ``almost``, ``close to`` → APPROX; ``more than``, ``over``, ``at least`` → AT_LEAST;
  ``less than``, ``up to``, ``as much as`` → AT_MOST.
- Percentages in parentheses are negative only where the parentheses fill a cell of a table.
"""

from __future__ import annotations

import re

from rally_pipeline.notes.quantity_exclusions import is_month_after, is_month_before, is_name, masks
from rally_pipeline.notes.quantity_hedges import hedge_after, hedge_before
from rally_pipeline.notes.quantity_units import (
    CENTS,
    CENTS_BEFORE,
    COUNTRY_CURRENCY,
    CURRENCY_AFTER,
    CURRENCY_BEFORE,
    CURRENCY_SIGNS,
    SCALE,
    Raw,
    after_code,
    amount,
    read_scale,
    read_unit,
)
from rally_pipeline.notes.quantity_words import NOT_RANKED, SUPERLATIVE_AFTER, chinese_words, english_words
from rally_pipeline.notes.records import Comparator, Quantity, QuantityKind
from rally_pipeline.notes.sentences import is_split_decimal

_TRIGGER = re.compile(r"[\d零〇一二两兩三四五六七八九十百千万萬亿億]")

# A number in figures. A decimal point followed by a blank is dealt with in code.
_NUMBER = re.compile(
    r"\d(?<!\d\d)\d{0,2}(?:(?:[,，\u00a0\u2009\u202f'’]\d{3}){1,6}(?!\d)|\d{0,13}(?!\d))(?:[.．]\d{1,10}(?!\d))?"
)

_ORDINAL_TAIL = re.compile(r"(?:st|nd|rd|th)(?![A-Za-z])", re.IGNORECASE)
_SIGNS_BEFORE_MINUS = "$€£¥￥＄"
#: The characters with which a currency before a number can end.
_LAST_OF_CURRENCY = frozenset("$€£¥￥＄﹩₹₩฿₺DBYHRPFLNKMbseEpT.元币幣金镑鎊圆圓")
_GLUED = re.compile(r"[a-z]{4}\Z")
_YEAR_SPAN = re.compile(r"(?:19|20)\d\d")


def find_quantities(text: str, start: int = 0, end: int | None = None) -> list[Quantity]:
    """The quantities of ``text[start:end]`` in order of position; their spans do not overlap and lie inside.

    Offsets are into the whole `text`. See the module for what counts and `Quantity` for what the fields hold.
    """
    stop = len(text) if end is None else min(end, len(text))
    has_figures = _TRIGGER.search(text, start, stop) is not None
    raws = _figures(text, start, stop) if has_figures else []
    raws += english_words(text, start, stop)
    if has_figures and not text.isascii():
        raws += chinese_words(text, start, stop)
    if not raws:
        return []
    raws.sort(key=lambda raw: (raw.start, -raw.end))
    kept: list[Raw] = []
    for raw in raws:
        if kept and raw.start < kept[-1].end:
            if raw.kind is not None and kept[-1].kind is None:
                kept[-1] = raw
            continue
        kept.append(raw)
    if len(kept) > 1:
        _share_units(text, kept)
    found = [raw for raw in kept if not raw.is_dropped and (raw.kind is not None or _is_plain(raw))]
    _settle_currencies(text, start, stop, found)
    return [_finish(text, start, stop, raw) for raw in found]


# ---------------------------------------------------------------- numbers in figures
def _figures(text: str, start: int, stop: int) -> list[Raw]:
    hidden = masks(text, start, stop)
    at_mask = 0
    raws: list[Raw] = []
    floor = start
    for match in _NUMBER.finditer(text, start, stop):
        first, last = match.span()
        if first < floor:
            continue
        while at_mask < len(hidden) and hidden[at_mask][1] <= first:
            at_mask += 1
        if at_mask < len(hidden) and hidden[at_mask][0] < last:
            floor = max(floor, hidden[at_mask][1])
            continue
        if (
            first > floor
            and text[first - 1] == "."
            and not text[max(0, first - 2)].isalnum()
            and text[first:last].isdigit()
        ):
            first -= 1  # ".5%"
        raw = _figure(text, floor, stop, first, last)
        if raw is not None:
            raws.append(raw)
            floor = raw.end
    return raws


def _figure(text: str, floor: int, stop: int, first: int, last: int) -> Raw | None:
    """The number whose digits are ``text[first:last]``, with what belongs to it, or ``None`` if it is none."""
    before = text[first - 1] if first > 0 else " "
    if text[last - 1] in ".．":
        last -= 1
    digits = text[first:last]
    whole, point, decimals = digits.replace("．", ".").partition(".")
    # 4. 2%
    if not point and last + 1 < stop and text[last] == "." and is_split_decimal(text, last):
        fraction = re.compile(r"\d+").match(text, last + 2, stop)
        if fraction is not None:
            decimals = fraction.group()
            point = "."
            last = fraction.end()
    number_end = last
    begin = first
    currency = ""
    look = first
    last_sign = before
    if before in "-−–+" and first - 2 >= floor and text[first - 2] in _SIGNS_BEFORE_MINUS:
        look = first - 1  # "$-5"
        last_sign = text[first - 2]
    elif before in " \u00a0\u2009\u202f" and first - 2 >= floor:
        last_sign = text[first - 2]
    if last_sign in _LAST_OF_CURRENCY:
        found = CURRENCY_BEFORE.search(text, max(floor, look - 8), look)
        if found is not None and not (found.group()[-1:].isspace() and "\n" in found.group()):
            begin = found.start()
            currency = CURRENCY_SIGNS[found.group().strip().upper()]
            if look < first and before in "-−–":
                currency = currency + "-"
    sign = 1
    if currency.endswith("-"):
        currency, sign = currency[:-1], -1
    prior = text[begin - 1] if begin > floor else (text[begin - 1] if begin > 0 and begin == floor else " ")
    is_joined = False  # joined by a hyphen to a word: "COVID-19", "sub-5%"
    if begin > floor and prior in "+-−–﹣－＋":
        ahead = text[begin - 2] if begin - 2 >= 0 else " "
        if ahead.isascii() and ahead.isalpha():
            is_joined = True
        elif not (ahead.isdigit() or ahead in "%％)/$€£万萬亿億元点點" or ahead == prior):
            begin -= 1
            sign = -1 if prior not in "+＋" else 1
    if begin == first or currency == "":
        is_glued = prior.isalpha() and prior.isascii() and begin == first
        if is_glued and text[last : last + 1] == "%" and _GLUED.search(text, max(floor, first - 6), first) is not None:
            is_glued = False  # "nearly13%": a blank was lost
        if prior in "_@^\\#" or is_glued:
            return _cents_before(text, floor, stop, first, last, whole, decimals)
        if prior.isalpha() and not prior.isascii() and not ("\u3400" <= prior <= "\u9fff") and begin == first:
            return None
    raw = Raw(
        begin, last, amount(whole, decimals), len(decimals), digits, None, currency, 1.0, False, sign, "", number_end
    )
    _read_tail(text, stop, raw, whole, bool(point))
    if raw.is_dropped:
        return None
    if is_joined and raw.kind not in (QuantityKind.PERCENT, QuantityKind.MONEY, QuantityKind.BASIS_POINT):
        return None
    if raw.kind in (None, QuantityKind.NUMBER, QuantityKind.POINTS) and is_name(
        text, floor, stop, raw, whole, bool(point)
    ):
        return None
    _parentheses(text, stop, raw)
    return raw


def _cents_before(text: str, floor: int, stop: int, first: int, last: int, whole: str, decimals: str) -> Raw | None:
    """``US80 cents``: letters stuck to a number that is counted in cents."""
    before = CENTS_BEFORE.search(text, max(floor, first - 4), first)
    after = CENTS.match(text, last, stop)
    if before is None or after is None or after["cents"] is None:
        return None
    currency = COUNTRY_CURRENCY[before.group().strip().lower()]
    value, kind = amount(whole, decimals), QuantityKind.MONEY
    return Raw(
        before.start(), after.end(), value, len(decimals), text[first:last], kind, currency, 0.01, number_end=last
    )


def _read_tail(text: str, stop: int, raw: Raw, whole: str, has_point: bool) -> None:
    """Read scale, unit and currency behind the digits into `raw`."""
    at = raw.end
    if at >= stop:
        if raw.currency:
            raw.kind = QuantityKind.MONEY
        return
    char = text[at]
    if char in "%％":
        if not raw.currency:
            read_unit(text, stop, raw, at, has_point)
        return
    if char in ",;)]}\"'”’" or (char == "." and (at + 1 >= stop or not text[at + 1].isalnum())):
        if raw.currency:
            raw.kind = QuantityKind.MONEY
        return
    if char == "." and not raw.currency and text[at + 1].isalpha() and text[at + 1].isupper():
        raw.is_dropped = True  # "9988.HK"
        return
    scale = SCALE.match(text, at, stop)
    if scale is not None:
        read_scale(text, stop, raw, scale, whole, has_point)
        at = raw.end
        if at < stop and text[at] in "%％":
            return
    if raw.currency:
        raw.kind = QuantityKind.MONEY
        after = CURRENCY_AFTER.match(text, at, stop)
        if after is not None:
            code = after_code(after)
            if code in (raw.currency, "元", "$") or raw.currency in ("$", "¥"):
                raw.end = after.end()
                if raw.currency in ("$", "¥") and code not in ("元", "$"):
                    raw.currency = code
        return
    read_unit(text, stop, raw, at, has_point)
    if raw.kind is None and raw.scale != 1.0:
        raw.kind = QuantityKind.NUMBER
    if raw.kind is None and not raw.is_dropped and raw.end < stop:
        tail = text[raw.end]
        if tail.isalpha() and tail.isascii():
            ordinal = _ORDINAL_TAIL.match(text, raw.end, stop)
            if (
                ordinal is not None
                and not has_point
                and len(whole) <= 3
                and NOT_RANKED.match(text, ordinal.end(), stop) is None
                and not is_month_after(text, raw.end, stop)
                and not is_month_before(text, max(0, raw.start - 20), raw.start)
                and text[max(0, raw.start - 4) : raw.start].lower() != "the "
            ) or (ordinal is not None and SUPERLATIVE_AFTER.match(text, ordinal.end(), stop) is not None):
                raw.kind, raw.end = QuantityKind.ORDINAL, ordinal.end()
            else:
                raw.is_dropped = True
        elif tail in "_@\\^":
            raw.is_dropped = True


def _is_plain(raw: Raw) -> bool:
    """Whether a number without a unit counts: a decimal point, a thousands separator or three digits, and no year."""
    raw.kind = QuantityKind.NUMBER
    if raw.decimals or not raw.digits.isdigit():
        return True
    if len(raw.digits) == 4 and _YEAR_SPAN.fullmatch(raw.digits):
        return False
    return len(raw.digits) >= 3


def _parentheses(text: str, stop: int, raw: Raw) -> None:
    """``(2.1%)`` that fills a cell of a table is negative."""
    if raw.sign < 0 or text[raw.start - 1 : raw.start] != "(" or raw.end >= stop or text[raw.end] != ")":
        return
    left = text[max(0, raw.start - 4) : raw.start - 1].rstrip(" \u00a0")
    right = text[raw.end + 1 : raw.end + 4].lstrip(" \u00a0")
    is_left = left.endswith(("\t", "|"))
    is_right = right.startswith(("\t", "|"))
    if (is_left and (is_right or not right or right[0] == "\n")) or (is_right and (not left or left[-1] == "\n")):
        raw.start -= 1
        raw.end += 1
        raw.sign = -1


# ---------------------------------------------------------------- ranges and lists
_JOIN = re.compile(
    r"\s?(?:[-–—~～−]|to|and|or|至|到|及|和|与|與|升至|或)\s?|\s+(?:to|and|or)\s+|[,、，]\s?|\s?,\s+(?:and\s+|or\s+)?",
    re.IGNORECASE,
)
_SHARED = frozenset({QuantityKind.PERCENT, QuantityKind.PERCENTAGE_POINT, QuantityKind.BASIS_POINT, QuantityKind.MONEY,
                     QuantityKind.SHARES, QuantityKind.MULTIPLE, QuantityKind.POINTS})  # fmt: skip


def _share_units(text: str, raws: list[Raw]) -> None:
    """Give numbers of a range or list the unit that is printed only once."""
    in_list = False  # whether the number on the right took its unit over behind an "and" or a comma
    for at in range(len(raws) - 2, -1, -1):
        left, right = raws[at], raws[at + 1]
        if right.start - left.end > 8 or left.is_word:
            in_list = False
            continue
        join = _JOIN.fullmatch(text, left.end, right.start)
        if join is None:
            in_list = False
            continue
        words = join.group().strip().lower()
        is_range = words in ("-", "–", "—", "~", "～", "−", "to", "至", "到", "or", "或")
        is_year = left.kind is None and len(left.digits) == 4 and _YEAR_SPAN.fullmatch(left.digits) is not None
        if left.kind is None and right.kind in _SHARED and not left.currency and not is_year:
            if (right.start < right.end and text[right.start] in "$€£¥") or _starts_with_currency(text, right):
                continue  # "raised 75 to HK$85": the currency stands before its own number only
            if words in (",", "，") and not (in_list and left.digits.isdigit() == right.digits.isdigit()):
                continue  # "at 27,000, 12-18% above": no list
            in_list = not is_range
            left.kind, left.currency, left.scale, left.is_zh_scale = (
                right.kind,
                right.currency,
                right.scale,
                right.is_zh_scale,
            )
        elif (
            left.kind is QuantityKind.MONEY
            and left.scale == 1.0
            and is_range
            and right.scale != 1.0
            and (right.kind in (None, QuantityKind.NUMBER, QuantityKind.MONEY))
            and right.scale > 1
            and left.printed <= right.printed
            and right.currency in ("", left.currency)
        ):
            left.scale, left.is_zh_scale = right.scale, right.is_zh_scale
    for at in range(len(raws) - 1):
        left, right = raws[at], raws[at + 1]
        if (
            left.kind is QuantityKind.MONEY
            and right.kind in (None, QuantityKind.NUMBER)
            and not right.is_word
            and right.start - left.end <= 4
            and _JOIN.fullmatch(text, left.end, right.start) is not None
            and text[left.end : right.start].strip().lower() in ("-", "–", "—", "~", "～", "to", "至", "到", "升至")
            and not (len(right.digits) == 4 and _YEAR_SPAN.fullmatch(right.digits))
        ):
            right.kind, right.currency = QuantityKind.MONEY, left.currency


def _starts_with_currency(text: str, raw: Raw) -> bool:
    return bool(raw.currency) and not text[raw.start].isdigit() and text[raw.start] not in "+-−–."


# ---------------------------------------------------------------- finish
def _settle_currencies(text: str, start: int, stop: int, raws: list[Raw]) -> None:
    """Settle what a sign alone does not say: ``¥``, ``元``, cents."""
    for at, raw in enumerate(raws):
        if raw.currency == "¥":
            part = text[max(start, raw.start - 400) : min(stop, raw.end + 400)]
            raw.currency = (
                "JPY"
                if re.search(r"(?i)\byen\b|japan|nikkei|tokyo|topix|日本|日圓|日元|日经|日經|东京|東京", part)
                else "CNY"
            )
        elif raw.currency == "元":
            part = text[max(start, raw.start - 400) : min(stop, raw.end + 400)]
            raw.currency = (
                "元" if re.search("[港億萬買賣漲報創歷價標評級點個這進內來資調從當計預應與]", part) else "CNY"
            )
        elif raw.currency == "cents":
            near = [
                (abs(number - at), other.currency)
                for number, other in enumerate(raws[max(0, at - 6) : at + 7], start=max(0, at - 6))
                if other.kind is QuantityKind.MONEY and other.currency not in ("cents", "", "¥", "元")
            ]
            raw.currency = min(near)[1] if near else "$"


def _finish(text: str, start: int, stop: int, raw: Raw) -> Quantity:
    hedge, hedge_start, comparator = "", raw.start, Comparator.EQ
    before = hedge_before(text, start, raw.start) if raw.start > start else None
    if before is not None:
        hedge, hedge_start, comparator = before
    elif raw.more:
        hedge, comparator = raw.more, Comparator.AT_LEAST
    elif raw.end < stop:
        after = hedge_after(text, raw.end, stop)
        if after is not None:
            hedge, comparator = after
    kind = raw.kind or QuantityKind.NUMBER
    scale = raw.scale
    value = _scaled(raw, scale)
    tolerance = 0.0 if kind is QuantityKind.ORDINAL else 0.5 * 10.0**-raw.decimals * scale
    return Quantity(
        start=raw.start,
        end=raw.end,
        value=raw.sign * value,
        kind=kind,
        currency=raw.currency if kind is QuantityKind.MONEY else "",
        scale=scale,
        tolerance=tolerance,
        hedge=hedge,
        hedge_start=hedge_start,
        comparator=comparator,
        is_scale_word_chinese=raw.is_zh_scale,
    )


def _scaled(raw: Raw, scale: float) -> float:
    """Printed number times scale, without binary noise where the product is a whole number."""
    value = raw.printed * scale
    if scale == 0.01:
        return round(raw.printed / 100, raw.decimals + 2)
    return float(round(value)) if scale > 1 and abs(value - round(value)) < 1e-6 * max(1.0, value * 1e-9) else value
