"""How far investors are invested: net and gross exposure, leverage, allocation; extremes and levels of them.

Belongs here: the grammar of such claims. Does not belong here: what was bought and sold (`positioning.py`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice

from rally_pipeline.notes.records import Claim, ClaimType, Comparator, Direction, Passage, QuantityKind
from rally_pipeline.notes.statement_parts import MOST, investors_near, market_near, statement, window_near

_EXPOSURE = re.compile(
    r"\b(?P<net>net|gross)(?: and (?P<both>net|gross))?(?:[- ](?:long"
    r"|short))? (?:exposures?|leverage|positioning|allocations?|positions?)\b"
    r"|\bpositioning\b|\b(?:exposures?|leverage|allocations?|weightings?"
    r"|holdings)\b(?= (?:to|in|of|on|among|is|was|has|remain|near|at"
    r"|by))",
    re.IGNORECASE,
)
_EXPOSURE_CHINESE = re.compile(
    r"(?P<kind>净|淨|总|總|毛)?(?:多头|多頭|空头|空頭|杠杆|槓桿)?(?:风险"
    r"|風險)?(?:敞口|曝险|曝險|杠杆率?|槓桿率?|仓位|倉位|持仓|持倉|配置比例"
    r"|配置)"
)
_NEAR = (
    r"(?P<near>near(?:ly|ing)?|close to|around|almost|approaching|not far (?:from"
    r"|off|below)|just (?:below|shy of|off)|within \w+ (?:\w+ )?of)"
)
_EXTREME = re.compile(
    rf"\b(?:{_NEAR} )?(?:(?:at|to|hit|hitting|in|its|their|the|a|an|about|reached) ){{0,4}}"
    r"(?:(?P<top>highest|most|largest|biggest|heaviest|top|peak|record|highs?|maximum)"
    r"|(?P<bottom>lowest|least|smallest|lightest|lows?|trough)"
    r"|(?:\w{1,15}[- ]){1,3}(?:(?P<high>high|peak)|(?P<low>low|trough)))\b"
    r"(?: (?:levels?|readings?|points?|end|of (?:its|the|their) range|exposure|net|gross|high|low)){0,3}",
    re.IGNORECASE,
)
#: "net exposure … is in the 93rd percentile".
_PERCENTILE = re.compile(
    r"[^.;:]{0,60}?\b(?P<place>\d{1,2}(?:\.\d)?)(?:st|nd|rd|th)?[- ](?:percentile|pctl|pctile)\b", re.IGNORECASE
)
_EXTREME_CHINESE = re.compile(
    r"(?P<near>接近|逼近|临近|臨近|贴近|貼近|处于|處於)?(?:近|过去|過去)?[\u4e00-\u9fff\d]{0,8}?"
    r"(?:(?P<high>最高|新高|高位|高点|高點|峰值)|(?P<low>最低|新低|低位|低点|低點))(?:水平|水準|位|点|點|附近)*"
)
_RISE = re.compile(
    r"\b(?:rose|risen|rise[ns]?|climb(?:s|ed)?|jump(?:s|ed)?|increas(?:e"
    r"|es|ed)|grew|grown|expanded|edged up|went up|moved up"
    r"|(?P<down>fell|fallen|dropped|declined|slid|shrank|decreased|eased"
    r"|edged down|came down|contracted|halved|tumbled))\b",
    re.IGNORECASE,
)
_RISE_CHINESE = re.compile(r"(?:上升|升至|增至|提高|增加|攀升|加大|(?P<down>下降|降至|回落|减少|減少|收缩|收縮|降低))")
_LEVEL_BEFORE = re.compile(r"(?:\bto|\bat|\bof|\baround|\bstands at|至|达|達|为|為|在)\s*\Z", re.IGNORECASE)


def exposures(passage: Passage) -> list[Claim]:
    """The claims on net or gross exposure, leverage and allocation of a sentence, with extreme, level or direction."""
    text, found = passage.text, list[Claim]()
    chinese = passage.is_chinese
    matches = (_EXPOSURE_CHINESE if chinese else _EXPOSURE).finditer(text, passage.start, passage.end)
    for match in islice(matches, MOST):
        if chinese:
            metric = {"净": "net_exposure", "淨": "net_exposure", None: ""}.get(match.group("kind"), "gross_exposure")
        else:
            metric = {"net": "net_exposure", "gross": "gross_exposure", "": ""}[(match.group("net") or "").lower()]
        words = match.group().lower()
        if not metric and not ("leverage" in words or "杠杆" in words or "槓桿" in words):
            metric = "allocation"
        metric = metric or "gross_exposure"
        who = investors_near(passage, *match.span())[0]
        if metric == "allocation" and not who:
            continue
        extreme = _nearest(_EXTREME_CHINESE if chinese else _EXTREME, passage, match.start(), match.end(), 70)
        move = _nearest(_RISE_CHINESE if chinese else _RISE, passage, match.start(), match.end(), 50)
        place = None if chinese else _PERCENTILE.match(text, match.end(), min(passage.end, match.end() + 70))
        if extreme is None and (move is None or move.start() < match.end()) and place is None:
            continue
        level = level_after(passage, match.end(), 70)
        first, last = match.span()
        direction: Direction | None = None
        comparator = Comparator.QUALITATIVE
        window = None
        if extreme is not None:
            groups = extreme.groupdict()
            is_high = bool(groups.get("high") or groups.get("top"))
            near = (groups.get("near") or "").replace("处于", "").replace("處於", "")
            is_near = bool(near) or (chinese and extreme.group().endswith("附近"))
            comparator = (
                (Comparator.NEAR_HIGHEST if is_near else Comparator.HIGHEST_IN_WINDOW)
                if is_high
                else (Comparator.NEAR_LOWEST if is_near else Comparator.LOWEST_IN_WINDOW)
            )
            direction = Direction.UP if is_high else Direction.DOWN
            first, last = min(first, extreme.start()), max(last, extreme.end())
            window = window_near(passage, extreme.start(), extreme.end())
            if window is None and metric == "allocation":
                continue
            if window is not None and window.start <= last + 12:
                last = max(last, window.end)
        elif move is not None:
            direction = Direction.DOWN if move.group("down") else Direction.UP
            last = max(last, move.end())
            window = window_near(passage, first, last)
        elif place is not None:
            direction = Direction.UP if float(place["place"]) >= 50 else Direction.DOWN
            last = max(last, place.end())
            window = window_near(passage, first, last)
        polarity = -1 if direction is Direction.DOWN else 1
        claim = statement(
            passage,
            ClaimType.POSITIONING,
            "exposure",
            (first, last),
            metric=metric,
            statement_class=metric,
            polarity=polarity,
            direction=direction,
            comparator=comparator,
            window=window,
            subject=market_near(passage, first, last),
            extra={"investors": who, **({"percentile": float(place["place"])} if place is not None else {})},
        )
        if level is not None:
            quantity = passage.quantities[level]
            end = max(claim.end, quantity.end)
            claim = replace(
                claim,
                value=quantity.value,
                unit="pct" if quantity.kind is QuantityKind.PERCENT else "times",
                tolerance=quantity.tolerance,
                hedge=quantity.hedge,
                end=end,
                quote=text[claim.start : end],
                comparator=quantity.comparator if comparator is Comparator.QUALITATIVE else comparator,
            )
        found.append(claim)
        if not chinese and match.group("both"):
            other = "gross_exposure" if metric == "net_exposure" else "net_exposure"
            found.append(replace(claim, metric=other, details={**claim.details, "statement_class": other}))
        if metric == "allocation":
            break
    return found


def _nearest(pattern: re.Pattern[str], passage: Passage, start: int, end: int, reach: int) -> re.Match[str] | None:
    """The match nearest after a phrase within `reach`, else the last within `reach` before it, in the same clause."""
    text = passage.text
    after = pattern.search(text, end, min(passage.end, end + reach))
    if after is not None and not re.search(r"[;；。]|, (?:while|but)", text[end : after.start()]):
        return after
    before = None
    for match in pattern.finditer(text, max(passage.start, start - min(reach, 30)), start):
        before = match
    if before is not None and not re.search(r"[;；。,，]", text[before.end() : start]):
        return before
    return None


def level_after(passage: Passage, start: int, reach: int) -> int | None:
    """Number of the quantity that a level is said to be at or to have moved to, within `reach` of an offset."""
    for number, quantity in enumerate(passage.quantities):
        if quantity.start < start or quantity.start > start + reach:
            continue
        if quantity.kind not in (QuantityKind.PERCENT, QuantityKind.MULTIPLE):
            continue
        if _LEVEL_BEFORE.search(passage.text[max(passage.start, quantity.hedge_start - 12) : quantity.hedge_start]):
            return number
    return None


# -------------------------------------------------------------------------------------- longs against short covering
