"""The units a number can bear: currencies, scales, per cent, points, shares, multiples, cents.

Belongs here: the words and signs of units, and reading the one behind a number. Does not belong here: finding numbers
(`quantities.py`, `quantity_words.py`) and their hedges (`quantity_hedges.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rally_pipeline.notes.records import QuantityKind

_SPACE = r"[ \t\n\u00a0\u2009\u202f]"
_SEPARATORS = {ord(char): None for char in ",，\u00a0\u2009\u202f'’"}

# ---------------------------------------------------------------- currencies
CURRENCY_SIGNS = {
    "HK$": "HKD", "HKUSD": "HKD", "HKD": "HKD", "HK＄": "HKD",
    "US$": "USD", "USUSD": "USD", "USD": "USD", "U.S.$": "USD", "U.S. $": "USD", "US＄": "USD",
    "A$": "AUD", "AU$": "AUD", "AUD": "AUD", "AUSD": "AUD", "AUUSD": "AUD",
    "C$": "CAD", "CA$": "CAD", "CAD": "CAD", "CUSD": "CAD", "CAUSD": "CAD",
    "S$": "SGD", "SG$": "SGD", "SGD": "SGD", "SUSD": "SGD", "SGUSD": "SGD",
    "NT$": "TWD", "NTD": "TWD", "TWD": "TWD", "NTUSD": "TWD", "TW$": "TWD", "T$": "TWD",
    "NZ$": "NZD", "NZD": "NZD", "NZUSD": "NZD",
    "R$": "BRL", "BRL": "BRL", "RUSD": "BRL", "MX$": "MXN", "MXUSD": "MXN", "MOP$": "MOP", "MOP": "MOP",
    "RMB": "CNY", "CNY": "CNY", "CNH": "CNY", "CN¥": "CNY", "JP¥": "JPY", "JPY": "JPY",
    "€": "EUR", "EUR": "EUR", "£": "GBP", "GBP": "GBP", "₹": "INR", "INR": "INR",
    "RS.": "INR", "RS": "INR", "RE": "INR",
    "₩": "KRW", "KRW": "KRW", "CHF": "CHF", "THB": "THB", "฿": "THB", "RM": "MYR", "MYR": "MYR",
    "IDR": "IDR", "RP": "IDR",
    "PHP": "PHP", "VND": "VND", "SEK": "SEK", "NOK": "NOK", "DKK": "DKK", "ZAR": "ZAR", "TRY": "TRY", "₺": "TRY",
    "SAR": "SAR", "AED": "AED", "ILS": "ILS", "PLN": "PLN", "MXN": "MXN",
    "¥": "¥", "￥": "¥", "$": "$", "＄": "$", "﹩": "$",
    "港元": "HKD", "港币": "HKD", "港幣": "HKD", "美元": "USD", "美金": "USD", "人民币": "CNY", "人民幣": "CNY",
    "新台币": "TWD", "新臺幣": "TWD", "台币": "TWD", "欧元": "EUR", "歐元": "EUR", "英镑": "GBP", "英鎊": "GBP",
    "日元": "JPY", "日圆": "JPY", "日圓": "JPY",
}  # fmt: skip
_SIGNS = "|".join(re.escape(sign) for sign in sorted(CURRENCY_SIGNS, key=len, reverse=True) if not sign.isalpha())
_CODES = "|".join(sorted((sign for sign in CURRENCY_SIGNS if sign.isascii() and sign.isalpha()), key=len, reverse=True))
_CODES = _CODES.replace("RS|", "").replace("|RS", "").replace("|RE", "").replace("|RP", "")
_HANZI = "|".join(sorted((s for s in CURRENCY_SIGNS if s.isalpha() and not s.isascii()), key=len, reverse=True))
CURRENCY_BEFORE = re.compile(
    rf"(?:(?<![A-Za-z$/])(?:{_CODES}|Rmb|[Rr][sS]\.?|Rp|{_SIGNS})|(?<=[A-Za-z])[€£¥]|{_HANZI}){_SPACE}?\Z"
)

_WORD_CURRENCIES = (
    (r"Hong\s?Kong\s+dollars?|HK\s+dollars?|HKD|港元|港币|港幣|港纸|港紙", "HKD"),
    (r"(?:U\.?S\.?|United\s+States|American)\s+dollars?|USD|US\$|美元|美金", "USD"),
    (r"Australian\s+dollars?|Aussie\s+dollars?|AUD|澳元", "AUD"),
    (r"Canadian\s+dollars?|CAD|加元", "CAD"),
    (r"Singapore(?:an)?\s+dollars?|SGD|新元|新加坡元|坡元", "SGD"),
    (r"(?:New\s+)?Taiwan(?:ese)?\s+dollars?|TWD|NTD|新台币|新臺幣|新台幣|台币|台幣", "TWD"),
    (r"New\s+Zealand\s+dollars?|NZD", "NZD"),
    (r"(?:Chinese\s+)?yuan|renminbi|RMB|CNY|CNH|元人民币|元人民幣|人民币|人民幣", "CNY"),
    (r"(?:Japanese\s+)?yen|JPY|日元|日圆|日圓", "JPY"),
    (r"euros?|EUR|欧元|歐元", "EUR"),
    (r"(?:British\s+)?pounds?(?:\s+sterling)?|sterling|GBP|英镑|英鎊", "GBP"),
    (r"(?:Indian\s+)?rupees?|INR|卢比|盧比", "INR"),
    (r"(?:South\s+)?(?:Korean\s+)?won|KRW|韩元|韓元|韩圆|韓圜", "KRW"),
    (r"(?:Swiss\s+)?francs?|CHF|瑞郎|瑞士法郎", "CHF"),
    (r"ringgit|MYR|林吉特|令吉", "MYR"),
    (r"baht|THB|泰铢|泰銖", "THB"),
    (r"rupiah|IDR|印尼盾", "IDR"),
    (r"reais|BRL", "BRL"),
    (r"dollars?", "$"),
    (r"元|圓|圆", "元"),
    (r"[$＄](?![\d\w])", "$"),
    (r"€(?![\d\w])", "EUR"),
    (r"£(?![\d\w])", "GBP"),
)
CURRENCY_AFTER = re.compile(
    rf"[-\s\u00a0]{{0,2}}(?:{'|'.join(f'(?P<c{n}>{words})' for n, (words, _) in enumerate(_WORD_CURRENCIES))})"
    r"(?![A-Za-z])",
    re.IGNORECASE,
)
CENTS = re.compile(
    r"[-\s\u00a0]{0,2}(?:(?P<of>US|U\.S\.|HK|Hong\s?Kong|Australian|Canadian|Singapore|euro)\s+)?(?P<cents>cents?\b|¢)"
    r"|[-\s\u00a0]{0,2}(?P<pence>pence\b|p\b(?!\.m|/))|(?P<sen>仙)",
    re.IGNORECASE,
)
CENTS_BEFORE = re.compile(r"(?<![A-Za-z])(?:US|HK|A|C|S)[ \u00a0]?\Z")
COUNTRY_CURRENCY = {"us": "USD", "u.s.": "USD", "hk": "HKD", "hongkong": "HKD", "a": "AUD", "australian": "AUD",
                     "c": "CAD", "canadian": "CAD", "s": "SGD", "singapore": "SGD", "euro": "EUR"}  # fmt: skip

# ---------------------------------------------------------------- scales and units
SCALES = {
    "trillion": 1e12, "trillions": 1e12, "trn": 1e12, "tn": 1e12, "t": 1e12, "billion": 1e9, "billions": 1e9, "bn": 1e9,
    "bln": 1e9, "bil": 1e9, "b": 1e9, "million": 1e6, "millions": 1e6, "mn": 1e6, "mln": 1e6, "mio": 1e6,
    "mil": 1e6, "mm": 1e6,
    "m": 1e6, "thousand": 1e3, "k": 1e3, "crore": 1e7, "crores": 1e7, "cr": 1e7, "lakh": 1e5, "lakhs": 1e5,
    "hundred million": 1e8, "hundred billion": 1e11, "hundred thousand": 1e5,
    "万亿": 1e12, "萬億": 1e12, "兆": 1e12, "千亿": 1e11, "千億": 1e11, "百亿": 1e10, "百億": 1e10,
    "十亿": 1e9, "十億": 1e9,
    "亿": 1e8, "億": 1e8, "千万": 1e7, "千萬": 1e7, "百万": 1e6, "百萬": 1e6, "十万": 1e5, "十萬": 1e5,
    "万": 1e4, "萬": 1e4,
    "千": 1e3,
}  # fmt: skip
SCALE = re.compile(
    r"[-\s\u00a0]{0,2}(?P<en>hundred\s(?:million|billion|thousand)|trillions?|billions?|millions?|thousand|trn"
    r"|bln|mln|mio|bil|mil"
    r"|bn|tn|mn|mm|crores?|cr|lakhs?)(?![A-Za-z])"
    r"|(?P<letter>[kKmMbBtT])(?![A-Za-z0-9&])"
    r"|\s?(?P<more>[多余餘])?(?P<zh>[万萬][亿億]|[千百十]?[亿億]|兆|[千百十]?[万萬]|千)(?P<more2>[多余餘])?",
    re.IGNORECASE,
)
_PERCENT = re.compile(
    r"\s{0,2}(?:[%％]|-?(?:per[\s-]?cent|pct)(?![A-Za-z])|pc(?![A-Za-z]))"
    r"(?P<point>[\s-]?(?:points?|pts?)(?![A-Za-z]))?"
    r"|(?P<pp>[-\s\u00a0]{0,2}(?:percentage[\s-]points?|ppts?|pps?|p\.p\.|pctg?\s?pts?)(?![A-Za-z])"
    r"|\s?[个個]?百[分]?[点點]|\s?[个個]百分[点點])",
    re.IGNORECASE,
)
_BASIS_POINTS = re.compile(r"[-\s\u00a0]{0,2}(?:basis[\s-]points?|bps?)(?![A-Za-z])|\s?[个個]?基[点點]", re.IGNORECASE)
_POINTS = re.compile(
    r"[-\s\u00a0]{0,2}(?:index[\s-])?(?:points?|pts)(?![A-Za-z])|\s?[点點](?![评評击擊心名子])", re.IGNORECASE
)
SHARES = re.compile(
    r"[-\s\u00a0]{0,2}(?:(?:[AH]|new|ordinary|common|preferred|more|additional|treasury)[\s-])?(?:shares?|ADSs?"
    r"|ADRs?)(?![A-Za-z])"
    r"|\s?股(?!份有限)",
    re.IGNORECASE,
)
_TIMES = re.compile(r"\s?[xX×](?![A-Za-z0-9])|[-\s\u00a0]{0,2}(?:times|fold)(?![A-Za-z])|\s?倍", re.IGNORECASE)
TIME_AFTER = re.compile(
    r"[-\s\u00a0]{0,2}(?:trading[\s-]|calendar[\s-]|straight[\s-]|consecutive[\s-])?(?:days?|weeks?|months?"
    r"|years?|yrs?|hours?|hrs?"
    r"|minutes?|mins?|seconds?|secs?|sessions?|quarters?|decades?|year-old|a\.m|p\.m|am|pm|GMT|HKT|EST|EDT|CET"
    r"|BST|SGT|JST|o'clock)(?![A-Za-z])"
    r"|\s?(?:[年月日号號天周週季时時分秒岁歲届屆]|[个個](?:月|季|星期|交易日|小时|小時)|星期|小时|小時|交易日)",
    re.IGNORECASE,
)
_COUNTED_TIMES = re.compile(
    r"\s+(?:as|the|its|their|that|last|earnings|book|sales|revenue|ebitda|forward|more|higher|larger|bigger"
    r"|normal|what|trailing"
    r"|oversubscribed|cash|profit|those|previous|p/[eb])\b",
    re.IGNORECASE,
)
_CLOCK_BEFORE = re.compile(r"(?:上午|下午|早上|晚上|凌晨|中午|时间|時間|截至|早|晚)\Z")
ONE_SPACE = re.compile(r"\s+")


@dataclass(slots=True)
class Raw:
    """A number under construction; `printed` is its value before the scale, `decimals` the digits behind its point."""

    start: int
    end: int
    printed: float
    decimals: int
    digits: str = ""
    kind: QuantityKind | None = None
    currency: str = ""
    scale: float = 1.0
    is_zh_scale: bool = False
    sign: int = 1
    more: str = ""
    number_end: int = 0
    is_dropped: bool = False
    is_word: bool = False


def amount(whole: str, decimals: str) -> float:
    """The value of printed digits, whatever separates their thousands."""
    kept = whole if whole.isdigit() else whole.translate(_SEPARATORS)
    return float(f"{kept or '0'}.{decimals or '0'}")


def read_scale(text: str, stop: int, raw: Raw, match: re.Match[str], whole: str, has_point: bool) -> None:
    """Put the scale that `match` found behind the digits `whole` into `raw`."""
    if match["letter"] is not None:
        # A letter alone is a scale only with money, shares or a decimal point: not "3M", "401k", "12m forward".
        if not raw.currency and not has_point and SHARES.match(text, match.end(), stop) is None:
            return
        raw.scale = SCALES[match["letter"].lower()]
    elif match["en"] is not None:
        raw.scale = SCALES[ONE_SPACE.sub(" ", match["en"].lower())]
    else:
        raw.scale = SCALES[match["zh"]]
        raw.is_zh_scale = True
        raw.more = match["more"] or match["more2"] or ""
    raw.end = match.end()


def after_code(match: re.Match[str]) -> str:
    """The currency code of a match of `CURRENCY_AFTER`."""
    return _WORD_CURRENCIES[int((match.lastgroup or "c0")[1:])][1]


def read_unit(text: str, stop: int, raw: Raw, at: int, has_point: bool) -> None:
    """Read a unit at `at`, behind number and scale."""
    percent = _PERCENT.match(text, at, stop)
    if percent is not None:
        points = percent["point"] or percent["pp"]
        raw.kind = QuantityKind.PERCENTAGE_POINT if points else QuantityKind.PERCENT
        raw.end = percent.end()
        return
    currency = CURRENCY_AFTER.match(text, at, stop)
    if currency is not None:
        raw.kind, raw.currency, raw.end = QuantityKind.MONEY, after_code(currency), currency.end()
        return
    shares = SHARES.match(text, at, stop)
    if shares is not None:
        raw.kind, raw.end = QuantityKind.SHARES, shares.end()
        return
    times = _TIMES.match(text, at, stop)
    if times is not None:
        raw.kind, raw.end = QuantityKind.MULTIPLE, times.end()
        if (
            times.group().strip().lower() == "times"
            and not has_point
            and _COUNTED_TIMES.match(text, raw.end, stop) is None
        ):
            raw.is_dropped = True
        return
    if raw.scale != 1.0:
        return
    basis = _BASIS_POINTS.match(text, at, stop)
    if basis is not None:
        raw.kind, raw.end = QuantityKind.BASIS_POINT, basis.end()
        return
    points = _POINTS.match(text, at, stop)
    if points is not None:
        is_clock = points.group().strip() in ("点", "點") and (
            _CLOCK_BEFORE.search(text, max(0, raw.start - 4), raw.start) is not None
            or text[points.end() : points.end() + 1] in tuple("半整钟鐘")
            or (text[points.end() : points.end() + 1].isdigit() and raw.printed <= 24)
        )
        if is_clock:
            raw.is_dropped = True
        else:
            raw.kind, raw.end = QuantityKind.POINTS, points.end()
        return
    cents = CENTS.match(text, at, stop)
    if cents is not None:
        raw.kind, raw.end, raw.scale = QuantityKind.MONEY, cents.end(), 0.01
        if cents["pence"] is not None:
            raw.currency = "GBP"
        elif cents["sen"] is not None:
            raw.currency = "HKD"
        elif cents["of"] is not None:
            raw.currency = COUNTRY_CURRENCY[re.sub(r"\s+", "", cents["of"].lower())]
        else:
            raw.currency = "cents"  # settled by what else is in the text
        return
    if TIME_AFTER.match(text, at, stop) is not None:
        raw.is_dropped = True
