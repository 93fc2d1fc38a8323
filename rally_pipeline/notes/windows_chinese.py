"""The Chinese grammar of stretches of time, simplified and traditional.

Belongs here: Chinese words for time. Does not belong here: English and the order of the rules (`windows.py`), printed
dates (`dates.py`), the arithmetic of days (`stretches.py`).

One pattern holds all alternatives; at each place the first that fits wins, so the more specific stand first. 同比,
按年, 明年 and 下周 give nothing.
"""

from __future__ import annotations

import datetime as dt
import re

from rally_pipeline.notes.dates import find_dates, last_of_month
from rally_pipeline.notes.numerals import chinese_number
from rally_pipeline.notes.records import Window, WindowKind
from rally_pipeline.notes.stretches import (
    Scan,
    Span,
    back,
    event_of,
    first_months,
    half_span,
    latest_month,
    latest_weekday,
    length_of,
    lookback_span,
    month_part,
    month_span,
    previous,
    quarter_span,
    to_date,
    year_part,
    year_span,
)

_NUMBER = r"(?:\d{1,3}|[一二两兩三四五六七八九十]{1,3}|半)"
_YEAR = r"(?:(?:19|20)\d\d|二[〇零○][〇零○一二三四五六七八九]{2})"
_MONTH = r"(?:1[0-2]|[1-9]|十[一二]?|[一二三四五六七八九])"
_SINCE = r"(?:以[来來]|至今|迄今|起(?!点|點|步|码|碼|伏|来|來)|至[^\s，。]{0,3}今(?![年日天早周週]))"
_EXTREME = (
    r"(?:的?(?:盘中|盤中|收盘|收盤|收市|历史|歷史)?(?:新|最)?(?:高位|低位|高点|高點|低点|低點|新高|新低|最高"
    r"|最低|高|低)(?!于|於|开|開|走|收))"
)
_LENGTH = (
    rf"(?P<@n>{_NUMBER})(?P<@more>多)?(?P<@u>年半?|[个個]?季度?|[个個]多?月|周|週|星期|[个個]星期|[个個]?交易日"
    rf"|[天日])(?P<@more2>多)?"
)

_PATTERN = re.compile(
    "|".join(
        (
            # all time
            r"(?P<all>历史(?:新|最|性)?(?:高|低)[位点點]?|歷史(?:新|最|性)?(?:高|低)[位点點]?"
            r"|[创創](?:下)?(?:历史|歷史)?[纪紀][录錄](?:新高|新低)?|有?史以[来來]|史上|历来|歷來"
            r"|有[纪紀][录錄]以[来來]|[纪紀][录錄](?:新高|新低|高位)"
            rf"|(?:自?(?P<allyear>{_YEAR})年?(?P<allend>底|末|年底)?)?(?:上市|挂牌|掛牌|招股|成立)(?:以[来來]|至今"
            rf"|后|後)(?:的?(?:新高|新低|最高|最低|最大))?|空前)",
            # length of an extreme
            rf"(?P<lhead>逾|超过|超過|超|(?<![接逼迫贴貼靠临臨])近|约"
            rf"|約)?{_LENGTH.replace('@', 'l')}(?:[来來]|以[来來]|内"
            rf"|內)?(?:的)?(?P<lext>{_EXTREME[3:-1]})",
            rf"(?P<xhead>逾|超过|超過|超|(?<![接逼迫贴貼靠临臨])近|约"
            rf"|約)?{_LENGTH.replace('@', 'x')}(?:[来來]|以[来來]|内"
            rf"|內)(?=的?(?:首次|最|单|單|第))",
            # this year's extreme
            r"(?P<yhigh>(?:年内|年內|今年|年)(?:以[来來])?的?(?:新高|新低|高位|低位|高点|高點|低点|低點|最高|最低))",
            # events
            r"(?P<event>(?:自|从|從)?(?:农历|農曆|阴历|陰曆)?(?:春节|春節|农历新年|農曆新年|农历年|農曆年|新春"
            r"|过年|過年)(?:长|長|黄金周|黃金周)?(?:假期?|休市|长假|長假)?(?:结束|結束)?(?:之?(?:后|後)|以[来來]"
            r"|至今)(?:开市|開市|复市|復市)?(?:以[来來])?)",
            r"(?P<named>(?:自|从|從)?(?P<namedwhat>DeepSeek|刺激(?:方案|措施|政策)|座谈会"
            r"|座談會)(?:[^，。；,;]{0,6}?)(?:之?(?:后|後)|以[来來]|至今))",
            # the first months of a year
            rf"(?P<firsts>(?:(?P<flast>今年|去年|前年)|(?P<fyear>{_YEAR})年)(?:前|首|头|頭)(?P<fn>{_NUMBER})[个個]月"
            rf"|(?:首|年初头|年初頭)(?P<fn2>{_NUMBER})[个個]月)",
            # to date
            r"(?P<ytd>(?:自)?年初(?:至今|以[来來]|迄今|到现在)|(?:自)?(?:今年|本年|年)(?:以[来來]|至今|迄今"
            r"|初以[来來]|初至今|开年以来|開年以來)|(?:开年|開年|年头|年頭)以[来來]|年内|年內|今年(?:内"
            r"|內)?(?![前去\d一二三四五六七八九十第首上下初底末中的]?[\d一二三四五六七八九十季半]|[底末]))",
            r"(?P<mtd>月初至今|月初以[来來]|本月(?:以[来來]|至今|内|內|迄今)?|[当當]月|月内|月內|这个月"
            r"|這個月)(?!底|末)",
            r"(?P<qtd>季初至今|本季度?(?:以[来來]|至今)?)",
            r"(?P<wtd>(?:本周|本週|这周|這週|这一周|本星期|这星期|這星期|今周|今週)(?:以[来來]"
            r"|至今)?)(?![一二三四五六日天])",
            # low and high
            rf"(?P<slow>(?:自|从|從|由|较|較|脱离|脫離)(?:(?P<slast>去年|今年|上月|上个月|上個月)"
            rf"|(?P<syear>{_YEAR})年)?(?:(?P<smonth>{_MONTH})月(?:(?P<sday>\d{{1,2}})[日号號])?(?P<spart>初|中旬?"
            rf"|底|末)?)?的?(?:阶段|階段|近期|前期|年内|年內|最近)?(?:(?P<slowlow>低位|低点|低點|低谷|底部|谷底"
            rf"|最低)|高位|高点|高點|最高))",
            # since
            rf"(?P<since>(?P<fromword>自|从|從|由)?(?:(?P<zlast>去年|今年|上月|上个月|上個月|上周|上週|昨日|昨天)"
            rf"|(?P<zyear>{_YEAR})年)?(?P<zypart>[初底末中](?=以|至"
            rf"|起))?(?:(?P<zmonth>{_MONTH})月份?(?:(?P<zday>\d{{1,2}}|[一二三四五六七八九十]{{1,3}})[日号號]"
            rf"|(?P<zpart>初|[上]旬|中旬?|下旬|底|末))?)?(?:周|週"
            rf"|星期)?(?P<zweekday>(?<=[周週期])[一二三四五六日天])?{_SINCE})",
            # trailing
            rf"(?P<trail>(?:在)?(?:过去|過去|最近|(?<![接逼迫贴貼靠临臨])近|此前|前|连续|連續|连|連|短短|仅|僅|为期|為期)(?:这|這"
            rf"|的)?{_LENGTH.replace('@', 't')}(?:[来來]|内|內|以[来來]|间|間|里)?)",
            rf"(?P<inlen>(?<![月\d]){_LENGTH.replace('@', 'i')}(?:内|內|以[来來]|[来來]|间|間|累[计計]))",
            # days
            r"(?P<weekday>(?P<wlast>上|本|这|這|今)?(?:周|週|星期|礼拜|禮拜)(?P<wday>[一二三四五六日天])(?:收市"
            r"|收盘|收盤|早盘|早盤|午后|午後)?)",
            r"(?P<day>今[日天早]|昨[日天晚夜]|前[天日](?!低|高)|昨(?=[收升跌涨漲挫])|当[日天](?!然)"
            r"|當[日天](?!然))",
            # periods
            r"(?P<plast>(?:去年|上年|前年)(?!同期)(?![底末初中的]?[\d一二三四五六七八九十第首上下季半])|上(?:个"
            r"|個)?(?:月"
            r"|周|週|星期|季度?)(?![一二三四五六日天]))",
            rf"(?P<quarter>(?:(?P<qlast>去年|今年|前年)|(?P<qyear>{_YEAR})年)?的?(?:第?(?P<q>[一二三四1234])季度?"
            rf"|(?P<first>首季)|(?P<h>[上下])半年))",
            rf"(?P<month>(?:(?P<mlast>去年|今年|前年)"
            rf"|(?P<myear>{_YEAR})年)?(?<!\d)(?P<m>{_MONTH})月份?(?P<mpart>初|上旬|中旬?|下旬|底|末)?)(?!\d"
            rf"|[一二三四五六七八九十]{{1,2}}[日号號])",
            rf"(?P<year>(?<!\d)(?P<y>{_YEAR})年(?:全年|度)?)(?!\d|[一二三四五六七八九十]{{1,2}}月|[^\s]?季|代|期"
            rf"|底|末|初)",
        )
    )
)
_EXTREME_NEAR = re.compile(r"最[^，。；,;、]{0,12}\Z|(?:新高|新低|高位|低位|最高|最低)\Z")
_EXTREME_AFTER = re.compile(
    r"的?(?:(?:盘中|盤中|收盘|收盤|收市)?(?:新高|新低|高位|低位|最|首次|首度|第[一二三])"
    r"|[^，。；,;\s升涨漲跌降累反]{0,8}?(?:最|新高|新低))"
)
_UNITS = (
    ("季", "quarter"),
    ("月", "month"),
    ("周", "week"),
    ("週", "week"),
    ("星期", "week"),
    ("交易日", "session"),
    ("年", "year"),
)
_PARTS = {"初": "early", "上旬": "early", "中": "mid", "中旬": "mid", "下旬": "late", "底": "end", "末": "end"}
_WEEKDAYS = "一二三四五六日"


def _number(words: str) -> float:
    return 0.5 if words == "半" else float(words) if words.isdigit() else float(chinese_number(words) or 0)


def _year(words: str) -> int:
    return int(words) if words.isdigit() else chinese_number(words) or 2000


def _unit(words: str) -> str:
    return next((unit for mark, unit in _UNITS if mark in words), "day")


def _amount(match: re.Match[str], prefix: str) -> tuple[float, str]:
    words = match[f"{prefix}u"]
    amount = _number(match[f"{prefix}n"])
    return (amount + 0.5 if words == "年半" else amount), _unit(words)


def _length(scan: Scan, match: re.Match[str], prefix: str, kind: WindowKind, head: str) -> None:
    amount, unit = _amount(match, prefix)
    if amount <= 0 or (unit == "day" and amount < 2) or (unit == "year" and amount > 150):
        return
    hedge = (
        "more"
        if head in ("逾", "超过", "超過", "超")
        or match[f"{prefix}more"]
        or match[f"{prefix}more2"]
        or "多" in match[f"{prefix}u"]
        else {"近": "nearly", "约": "about", "約": "about"}.get(head, "")
    )
    if unit == "week" and amount == 52:
        amount, unit = 12, "month"
    months, days = length_of(amount, unit)
    if kind is WindowKind.TRAILING:
        first = back(scan.as_of, months, days)
        span = None if first is None else (first, first)
    else:
        span = lookback_span(scan.as_of, amount, unit, hedge)
    scan.span(match.start(), match.end(), kind, span, months=months, days=days)


def _relative_year(scan: Scan, word: str | None, year: str | None) -> int | None:
    if year:
        return _year(year)
    if word in ("今年", "去年", "前年") and scan.as_of is not None:
        return scan.as_of.year - ("今年", "去年", "前年").index(word)
    return None


def _month_days(scan: Scan, month: int, year: int | None, part: str) -> Span | None:
    if year is None:
        days = latest_month(month, scan.as_of)
        if days is None:
            return None
        year = days[0].year
    if not part:
        return month_span(year, month)
    found = month_part(part, year, month)
    if scan.as_of is not None and found[0] > scan.as_of and year == scan.as_of.year:
        found = month_part(part, year - 1, month)
    return found


def _since(scan: Scan, match: re.Match[str]) -> None:
    start, end = match.span()
    as_of = scan.as_of
    body = match["zlast"] or match["zyear"] or match["zmonth"] or match["zweekday"]
    if not body:
        return
    year = _relative_year(scan, match["zlast"], match["zyear"])
    days: Span | None = None
    if match["zmonth"]:
        month = int(_number(match["zmonth"]))
        if match["zday"]:
            dates = find_dates(scan.text, match.start(), match.end(), as_of)
            days = (dates[0][2], dates[0][2]) if dates else None
        else:
            days = _month_days(scan, month, year, _PARTS.get(match["zpart"] or "", ""))
    elif match["zweekday"]:
        day = latest_weekday(_WEEKDAYS.index(match["zweekday"].replace("天", "日")), as_of, is_before=True)
        if day is not None and match["zlast"] in ("上周", "上週"):
            day = _week_day(as_of, match["zweekday"], -1)
        days = None if day is None else (day, day)
    elif year is not None:
        part = {"初": "start", "中": "mid", "底": "end", "末": "end"}.get(match["zypart"] or "", "")
        if part == "end" and as_of is not None and year == as_of.year - 1:
            first = dt.date(as_of.year, 1, 1)
            scan.span(start, end, WindowKind.YEAR_TO_DATE, (first, first))
            return
        if not part and as_of is not None and year == as_of.year:
            first = dt.date(as_of.year, 1, 1)
            is_level = _EXTREME_AFTER.match(scan.text, end, scan.end) is not None
            scan.span(start, end, WindowKind.LOOKBACK if is_level else WindowKind.YEAR_TO_DATE, (first, first))
            return
        days = year_part(part, year) if part else year_span(year)
    elif as_of is not None and match["zlast"]:
        if match["zlast"] in ("昨日", "昨天"):
            day = as_of - dt.timedelta(days=1)
            days = (day, day)
        else:
            days = previous("month" if "月" in match["zlast"] else "week", as_of)
    if days is not None and as_of is not None and days[0] > as_of:
        return
    extreme = _EXTREME_AFTER.match(scan.text, end, scan.end)
    if extreme is not None or _EXTREME_NEAR.search(scan.text, max(scan.start, start - 14), start) is not None:
        scan.span(start, end, WindowKind.LOOKBACK, days)
    else:
        scan.span(start, end, WindowKind.SINCE_DATE, days, is_base_inclusive=None)


def _week_day(as_of: dt.date | None, weekday: str, weeks: int) -> dt.date | None:
    if as_of is None:
        return None
    monday = as_of - dt.timedelta(days=as_of.weekday())
    return monday + dt.timedelta(days=7 * weeks + _WEEKDAYS.index(weekday.replace("天", "日")))


def _low(scan: Scan, match: re.Match[str]) -> None:
    days: Span | None = None
    year = _relative_year(scan, match["slast"], match["syear"])
    if match["smonth"]:
        days = _month_days(scan, int(_number(match["smonth"])), year, _PARTS.get(match["spart"] or "", ""))
        if match["sday"]:
            dates = find_dates(scan.text, match.start(), match.end(), scan.as_of)
            days = (dates[0][2], dates[0][2]) if dates else days
    elif year is not None:
        days = year_span(year)
    elif match["slast"]:
        days = previous("month", scan.as_of)
    kind = WindowKind.SINCE_LOW if match["slowlow"] else WindowKind.SINCE_HIGH
    scan.span(match.start(), match.end(), kind, days, is_base_inclusive=True)


_DATE = rf"(?:(?:{_YEAR}|[今去前])年)?(?:1[0-2]|[1-9])月(?:3[01]|[12]\d|[1-9])[日号號]"
_RANGE = re.compile(
    rf"(?:自|从|從|由)?(?P<first>{_DATE})(?:收市|收盘|收盤)?起?(?:至|到|—|–|-)(?P<second>{_DATE}|(?:3[01]|[12]\d|[1-9])[日号號])"
    r"(?:止|期间|期間)?"
)


def _ranges(scan: Scan) -> None:
    """``自1月13日至2月14日``, ``2月10日至14日``: closed stretches."""
    for match in _RANGE.finditer(scan.text, scan.start, scan.end):
        found = find_dates(scan.text, match.start("first"), match.end("first"), scan.as_of)
        if not found:
            continue
        first = found[0][2]
        if "月" in match["second"]:
            dates = find_dates(scan.text, match.start("second"), match.end("second"), scan.as_of)
            last = dates[0][2] if dates else None
        else:
            day = int(match["second"][:-1])
            last = first.replace(day=day) if day <= last_of_month(first.year, first.month).day else None
        if last is not None and first < last:
            scan.add(Window(match.start(), match.end(), WindowKind.PERIOD, first, first, last))


def read_chinese(scan: Scan) -> None:
    """Add the Chinese windows of a scan to those it holds."""
    if "月" in scan.text:
        _ranges(scan)
    for match in _PATTERN.finditer(scan.text, scan.start, scan.end):
        start, end = match.span()
        rule = match.lastgroup
        as_of = scan.as_of
        if match["all"]:
            days = None
            if match["allyear"]:
                year = _year(match["allyear"])
                days = year_part("late", year) if match["allend"] else year_span(year)
            scan.span(start, end, WindowKind.ALL_TIME, days)
        elif match["lext"]:
            _length(scan, match, "l", WindowKind.LOOKBACK, match["lhead"] or "")
        elif match["xn"]:
            _length(scan, match, "x", WindowKind.LOOKBACK, match["xhead"] or "")
        elif match["yhigh"]:
            to_date(scan, start, end, "year", is_lookback=True)
        elif match["event"]:
            event_id, day = event_of("lunar_new_year", scan.events, as_of)
            scan.span(start, end, WindowKind.SINCE_EVENT, None if day is None else (day, day), event_id=event_id)
        elif match["named"]:
            stem = {"D": "deepseek", "刺": "stimulus", "座": "symposium"}[match["namedwhat"][0]]
            event_id, day = event_of(stem, scan.events, as_of)
            if event_id:
                scan.span(start, end, WindowKind.SINCE_EVENT, None if day is None else (day, day), event_id=event_id)
        elif match["ytd"] or match["mtd"] or match["qtd"] or match["wtd"]:
            unit = "year" if match["ytd"] else "month" if match["mtd"] else "quarter" if match["qtd"] else "week"
            to_date(
                scan,
                start,
                end,
                unit,
                is_lookback=unit == "year" and _EXTREME_AFTER.match(scan.text, end, scan.end) is not None,
            )
        elif match["slow"]:
            _low(scan, match)
        elif match["since"]:
            _since(scan, match)
        elif match["firsts"]:
            of_year = _relative_year(scan, match["flast"], match["fyear"])
            if of_year is None and as_of is not None:
                of_year = as_of.year
            count = int(_number(match["fn"] or match["fn2"]))
            if 1 <= count <= 12:
                scan.period(start, end, None if of_year is None else first_months(of_year, count))
        elif match["trail"] or match["inlen"]:
            prefix = "t" if match["trail"] else "i"
            _length(scan, match, prefix, WindowKind.TRAILING, "")
        elif match["weekday"]:
            word = match["wlast"] or ""
            if word == "上":
                scan.day(start, end, _week_day(as_of, match["wday"], -1))
            else:
                scan.day(start, end, latest_weekday(_WEEKDAYS.index(match["wday"].replace("天", "日")), as_of))
        elif match["day"]:
            ago = 1 if match["day"][0] == "昨" else 2 if match["day"][0] == "前" else 0
            if match["day"][0] not in "当當":
                scan.day(start, end, None if as_of is None else as_of - dt.timedelta(days=ago))
        elif match["plast"]:
            word = match["plast"]
            if word in ("去年", "上年", "前年"):
                scan.period(start, end, None if as_of is None else year_span(as_of.year - (2 if word == "前年" else 1)))
            else:
                scan.period(start, end, previous(_unit(word), as_of))
        elif match["quarter"]:
            _quarter(scan, match)
        elif match["month"]:
            number = _relative_year(scan, match["mlast"], match["myear"])
            part = _PARTS.get(match["mpart"] or "", "")
            days = _month_days(scan, int(_number(match["m"])), number, part)
            if days is not None and not part and as_of is not None and days[0] <= as_of <= days[1]:
                to_date(scan, start, end, "month")
            else:
                scan.period(start, end, days)
        elif match["year"]:
            year = _year(match["y"])
            if as_of is not None and year == as_of.year:
                to_date(scan, start, end, "year")
            else:
                scan.period(start, end, year_span(year))
        del rule


def _quarter(scan: Scan, match: re.Match[str]) -> None:
    year = _relative_year(scan, match["qlast"], match["qyear"])
    as_of = scan.as_of
    days: Span | None = None
    if match["h"]:
        half = 1 if match["h"] == "上" else 2
        if year is None and as_of is not None:
            year = as_of.year if half == 1 or as_of.month > 6 else as_of.year - 1
        days = None if year is None else half_span(year, half)
    else:
        quarter = 1 if match["first"] else int(_number(match["q"]))
        if year is None and as_of is not None:
            year = as_of.year if quarter * 3 - 2 <= as_of.month else as_of.year - 1
        days = None if year is None else quarter_span(year, quarter)
    scan.period(match.start(), match.end(), days)
