"""Claims that a flow was the largest, a record, or comparable to that of another stretch.

Belongs here: FLOW_COMPARISON, English and Chinese. Does not belong here: amounts (`flows.py`), records of a market's
own turnover (`volumes.py`).
"""

from __future__ import annotations

import re
from dataclasses import replace

from rally_pipeline.notes import claim_parts
from rally_pipeline.notes.claim_parts import LENGTHS, STRETCHES
from rally_pipeline.notes.clauses import clauses
from rally_pipeline.notes.dates import MONTH, month_number
from rally_pipeline.notes.flow_subjects import Flow, carried_from, flow_at
from rally_pipeline.notes.flow_words import (
    COMPARABLE,
    COMPARABLE_HINTS,
    EXTREME_FLOW,
    FLOW_NOUN,
    PACE,
    RUSH_IN,
    TRIGGER,
    ZH_COMPARABLE,
    ZH_COMPARABLE_HINTS,
    ZH_EXTREME,
    ZH_PACE,
    ZH_TRIGGER,
)
from rally_pipeline.notes.predicates import stance_before, token_at
from rally_pipeline.notes.records import Claim, ClaimType, Comparator, Direction, Passage, Window, WindowKind
from rally_pipeline.notes.stretches import latest_ended_month, month_days, month_span


def pace(passage: Passage) -> list[Claim]:
    """A likeness said of the flow of the sentences before: "The pace is comparable to September's rush"."""
    hints = ZH_COMPARABLE_HINTS if passage.is_chinese else COMPARABLE_HINTS
    if not claim_parts.says_any(passage, hints):
        return []
    carried = carried_from(passage)
    return _likenesses(passage, [], carried)


_OF_ANOTHER = re.compile(
    r"(?:%|percent|per cent|half|third|quarter|fraction) of (?:the|its|last [\w’']+) $|\b(?:short of"
    r"|below|than|from) (?:the|its|last [\w’']+) $",
    re.IGNORECASE,
)


def comparisons(passage: Passage, subjects: list[Flow], carried: list[Flow]) -> list[Claim]:
    """The comparisons of a sentence about a flow: of `subjects`, or of those `carried` over from before."""
    text = passage.text
    made: list[Claim] = []
    extreme = ZH_EXTREME if passage.is_chinese else EXTREME_FLOW
    for match in extreme.finditer(text, passage.start, passage.end):
        flow = flow_at(subjects, carried, match.end())
        if flow is None or (
            not passage.is_chinese
            and FLOW_NOUN.search(text, max(passage.start, match.start() - 120), match.end()) is None
        ):
            continue
        if not passage.is_chinese and _OF_ANOTHER.search(text, max(passage.start, match.start() - 30), match.start()):
            # "already 7% of the record booked last year": a record of another time.
            continue
        window = _length(passage, match)
        if window is None or any(one.window is window for one in made):
            continue
        first, last = min(match.start(), window.start), max(match.end(), window.end)
        groups = match.groupdict()
        is_low = bool(groups.get("low"))
        is_out = (
            bool(groups.get("out"))
            or re.search(r"outflow|sell|sold|流出|[卖賣]|沽", match.group(), re.IGNORECASE) is not None
        )
        metric = (
            "turnover"
            if re.search(r"turnover|成交", text[max(passage.start, first - 40) : last], re.IGNORECASE)
            and not re.search(r"\bnet\b|[净淨]|inflow|buying|purchas", match.group(), re.IGNORECASE)
            else "net_buy"
        )
        comparator = Comparator.LOWEST_IN_WINDOW if is_low != is_out else Comparator.HIGHEST_IN_WINDOW
        made.append(
            _comparison(
                passage,
                flow,
                (first, last),
                "extreme",
                comparator,
                window,
                metric,
                Direction.DOWN if is_out else Direction.UP,
            )
        )
    return made + _likenesses(passage, subjects, carried)


def _likenesses(passage: Passage, subjects: list[Flow], carried: list[Flow]) -> list[Claim]:
    text = passage.text
    made: list[Claim] = []
    for match in (ZH_COMPARABLE if passage.is_chinese else COMPARABLE).finditer(text, passage.start, passage.end):
        flow = flow_at(subjects, carried, match.end())
        if not subjects and not passage.is_chinese:
            flow = _flow_likened(passage, match.start()) or flow
        if flow is None:
            continue
        words = ZH_PACE if passage.is_chinese else PACE
        if not subjects and words.search(text, max(passage.start, match.start() - 60), match.end() + 16) is None:
            # "The rally is comparable to September's" is no flow.
            continue
        window = _compared_with(passage, match)
        if window is None:
            continue
        last = max(window.end, match.end())
        tail = re.compile(
            r"(?:['’]s)?(?: \w+){0,2}? (?:rush|surge|wave|spree|pace|levels?|buying|inflows?|rally|peak|highs?"
            r"|frenzy|stampede)\b|的?(?:水平|规模|規模|高峰期?|抢购潮|搶購潮|热潮|熱潮|速度|步伐|力度)?(?:相若|相当|相當|相近|媲美|看齐|看齊)|的?(?:水平|高峰|抢购潮|搶購潮|热潮|熱潮|规模|規模)",
            re.IGNORECASE,
        ).match(text, last, min(passage.end, last + 40))
        if tail is not None:
            last = tail.end()
        made.append(
            _comparison(
                passage,
                flow,
                (match.start(), last),
                "comparable",
                Comparator.COMPARABLE_TO,
                window,
                "net_buy",
                Direction.UP,
            )
        )
    return made


#: Flows with no owner, as the subject of a likeness: "Net inflows are on a par with".
_FLOW_LIKENED = re.compile(
    r"(?:^|(?<=[\s“\"]))(?P<what>(?:(?:the|net|weekly|monthly|daily|foreign|fund|equity|recent) ){0,3}(?:in|out)flows?"
    r"(?: (?:momentum|pace|total|volumes?|size))?)(?: (?:this|so far|last|in|over|into) [\w ]{1,24})? "
    r"(?:is|are|was|were|has been|have been|looks?|seems?|now)(?: (?:now|already|broadly|roughly|almost|nearly))? $",
    re.IGNORECASE,
)


def _flow_likened(passage: Passage, at: int) -> Flow | None:
    """The flow that stands as the subject directly before a likeness, if no owner of it is named."""
    begin = max(passage.start, at - 90)
    match = _FLOW_LIKENED.search(passage.text[begin:at])
    if match is None:
        return None
    return Flow(begin + match.start("what"), begin + match.end("what"), match["what"], "")


_MONTHS_OF = re.compile(
    rf" (?:the |that of |those of |what was seen in )?(?P<first>(?-i:{MONTH}))\s?(?:[-–/]|to"
    rf"|and)\s?(?P<last>(?-i:{MONTH})),? (?P<year>20\d\d)",
    re.IGNORECASE,
)


def _months_compared(passage: Passage, at: int) -> Window | None:
    """Two months of a year behind a likeness: "the September-October 2024 rush"."""
    named = _MONTHS_OF.match(passage.text, at, passage.end)
    if named is None:
        return None
    year = int(named["year"])
    first, last = month_number(named["first"]), month_number(named["last"])
    if first > last:
        return None
    begin, final = month_span(year, first)[0], month_span(year, last)[1]
    return Window(named.start("first"), named.end(), WindowKind.PERIOD, begin, begin, final)


def _compared_with(passage: Passage, match: re.Match[str]) -> Window | None:
    """The stretch a flow is likened to: a time of its own, or the month in "the rush of September"."""
    text = passage.text
    months = None if passage.is_chinese else _months_compared(passage, match.end())
    if months is not None:
        return months
    for one in passage.windows:
        if (
            one.kind in STRETCHES
            and match.start() <= one.start <= match.end() + 60
            and not re.search(r"[,;:，；]", text[match.end() : max(match.end(), one.start)])
        ):
            return one
    named = None if passage.is_chinese else RUSH_IN.match(text, match.end(), passage.end)
    if named is None:
        return None
    as_of, month = passage.context.as_of, month_number(named["month"])
    days = latest_ended_month(month, as_of) if named["last"] else month_days(as_of, month, named["year"], "")
    if days is None:
        return None
    start = named.start("last") if named["last"] else named.start("month")
    return Window(start, named.end(), WindowKind.PERIOD, days[0], days[0], days[1])


def _length(passage: Passage, match: re.Match[str]) -> Window | None:
    best: tuple[int, Window] | None = None
    for window in passage.windows:
        # "创2021年以来单日新高": inside the words of the extreme a stretch is its length.
        is_inside = match.start() <= window.start and window.end <= match.end() and window.kind is not WindowKind.DAY
        if window.kind not in LENGTHS and not is_inside:
            continue
        gap = max(window.start - match.end(), match.start() - window.end, 0)
        if gap <= 60 and (best is None or gap < best[0]):
            best = (gap, window)
    return None if best is None else best[1]


def _comparison(
    passage: Passage,
    flow: Flow,
    span: tuple[int, int],
    rule: str,
    comparator: Comparator,
    window: Window,
    metric: str,
    direction: Direction,
) -> Claim:
    text = passage.text
    first, last = span
    if (
        flow.end > flow.start
        and 0 <= first - flow.end <= 60
        and not any(flow.end <= one.start < first for one in passage.quantities)
    ):
        first = flow.start
    elif flow.end > flow.start and flow.start >= first and flow.end - last <= 40:
        last = max(last, flow.end)
    own = next(
        (one for one in passage.windows if one.kind in STRETCHES and one is not window and one.end <= first), None
    )
    if own is None and rule == "comparable":
        own = _carried_stretch(passage)
    as_of_date, basis = claim_parts.as_of(
        passage, next((one for one in passage.windows if one.kind is WindowKind.DAY and one is not window), None)
    )
    begin, end = window.start_earliest, window.last
    details: dict[str, str | float | int | bool | None] = {
        "comparison_window_start": begin.isoformat() if begin else None,
        "comparison_window_end": end.isoformat() if end else as_of_date.isoformat() if as_of_date else None,
        "comparison_window_text": text[window.start : window.end],
        "period": _period(text[first:last]),
    }
    if flow.start == flow.end:
        details["is_reference"] = True
    found = None if passage.is_chinese else clauses(passage)
    return Claim(
        claim_type=ClaimType.FLOW_COMPARISON,
        rule_id=f"flow_comparison.{'zh_' if passage.is_chinese else ''}{rule}",
        start=first,
        end=last,
        quote=text[first:last],
        subject_text=flow.text,
        subject_id=flow.flow_id,
        metric=metric,
        direction=direction,
        comparator=comparator,
        window=own if rule == "comparable" else window,
        as_of_date=as_of_date,
        as_of_basis=basis,
        stance=stance_before(found, token_at(found, first)) if found is not None and found.tokens else "asserts",
        details=details,
    )


def _carried_stretch(passage: Passage) -> Window | None:
    """The stretch that the flows of the sentence before are summed over."""
    earlier = passage.previous
    hints = ZH_TRIGGER if passage.is_chinese else TRIGGER
    if earlier is None or not claim_parts.says_any(earlier, hints):
        return None
    stretches = [one for one in earlier.windows if one.kind in STRETCHES and one.kind is not WindowKind.DAY]
    return replace(stretches[-1], is_inherited=True) if len(stretches) == 1 else None


def _period(words: str) -> str:
    if re.search(r"\b(?:weekly|week)\b|[单單]?[周週]", words, re.IGNORECASE):
        return "week"
    if re.search(r"\b(?:monthly|month)\b|[单單]月|月度", words, re.IGNORECASE):
        return "month"
    if re.search(r"\b(?:daily|day|one-day|single-day|session)\b|[单單]日|每日|全日", words, re.IGNORECASE):
        return "day"
    return ""
