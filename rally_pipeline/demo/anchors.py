"""What the demo is pinned to: published closes, rates and flows, and the freely chosen way-points between them.

Belongs here: figures and the text that says which of them are facts. Does not belong here: how the days between are
filled (`prices.py`, `fx.py`, `flows.py`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

WORLD_START = dt.date(2021, 11, 1)
WORLD_END = dt.date(2025, 2, 28)

DEMO_NOTICE = (
    "Demo data. The closes listed as anchors, the ECB rates listed by day, and Alibaba's Hong Kong share volumes of "
    "October 2024, February 2025 and 1-17 February 2025 restate published figures. Every other price, rate, volume "
    "and dividend is synthetic: computed from a fixed seed, not observed. History starts on 2021-11-01, so a 'record "
    "since listing' means since then. "
    "Southbound buying and selling of 5-18 February 2025, the best eight-session net buys of September 2024 "
    "(HK$ 26.94 bn) and to 14 November 2024 (HK$ 63.8 bn) and the turnover of 8 October 2024 (HK$ 280.3 bn) restate "
    "published figures; every other Stock Connect figure, most active share and market turnover is synthetic."
)


def _table(text: str) -> dict[dt.date, tuple[float | None, ...]]:
    """Rows ``date value value …`` as a dict; ``-`` is a closed market."""
    rows = {}
    for line in text.strip().splitlines():
        day, *values = line.split()
        rows[dt.date.fromisoformat(day)] = tuple(None if value == "-" else float(value) for value in values)
    return rows


INDEX_SYMBOLS = ("^HSI", "HSTECH.HK", "^GDAXI", "^GSPC")

_INDEX_CLOSES = _table("""
2022-02-17 24792.77 5662.28 -        4380.26
2022-03-15 18415.08 3472.42 -        4262.45
2022-06-28 22418.97 5103.89 13231.82 3821.55
2022-10-31 14687.02 2852.57 13253.74 3871.98
2023-01-27 22688.90 4813.23 15150.03 4070.56
2023-10-24 16991.53 3622.86 14879.94 4247.68
2023-12-29 17047.39 3764.29 16751.64 4769.83
2024-01-22 14961.18 3035.47 16683.36 4850.43
2024-05-20 19636.22 4135.38 18768.96 5308.13
2024-09-11 17108.71 3450.92 18330.27 5554.13
2024-09-23 18247.11 3698.27 18846.79 5718.57
2024-10-07 23099.78 5386.48 19104.10 5695.94
2024-11-29 19423.61 4353.55 19626.45 6032.38
2024-12-30 20041.42 4500.60 19909.14 5906.94
2024-12-31 20059.95 4468.11 -        5881.63
2025-01-13 18874.14 4221.92 20132.85 5836.22
2025-02-03 20217.26 4737.46 21428.24 5994.57
2025-02-07 21133.54 5150.35 21787.00 6025.99
2025-02-14 22620.33 5526.22 22513.42 6114.63
2025-02-17 22616.23 5499.26 22798.09 -
2025-02-18 22976.81 5639.05 22844.50 6129.58
2025-02-28 22941.32 5568.14 22551.43 5954.50
""")

#: Published closes: symbol -> day -> close.
PUBLISHED_CLOSES: dict[str, dict[dt.date, float]] = {
    symbol: {day: row[i] for day, row in _INDEX_CLOSES.items() if row[i] is not None}  # type: ignore[misc]
    for i, symbol in enumerate(INDEX_SYMBOLS)
}
PUBLISHED_CLOSES["9988.HK"] = {dt.date(2024, 12, 31): 82.85, dt.date(2025, 2, 14): 124.10}

#: Way-points that are not facts: they give a series its shape, and the path between two of them stays inside them.
CHOSEN_CLOSES: dict[str, dict[dt.date, float]] = {
    symbol: {dt.date.fromisoformat(day): close for day, close in points.items()}
    for symbol, points in {
        "^HSI": {"2021-11-01": 25150.0},
        "HSTECH.HK": {"2021-11-01": 6300.0},
        "^GDAXI": {"2021-11-01": 15800.0},
        "^GSPC": {"2021-11-01": 4610.0},
        "9988.HK": {
            "2021-11-01": 160.0, "2022-01-03": 118.2, "2022-02-17": 110.3, "2022-03-15": 71.25, "2022-06-28": 113.9,
            "2022-10-24": 61.5, "2023-01-27": 115.2, "2023-05-31": 77.8, "2023-07-31": 98.35, "2024-01-22": 66.2,
            "2024-05-20": 85.4, "2024-09-11": 80.3, "2024-09-23": 89.05, "2024-10-07": 113.4, "2024-11-29": 83.3,
            "2024-12-30": 82.0, "2025-01-13": 78.65, "2025-01-20": 84.0, "2025-02-03": 96.9, "2025-02-07": 103.0,
            "2025-02-17": 126.3, "2025-02-18": 124.6, "2025-02-21": 138.5, "2025-02-28": 128.9,
        },
        "000300.SS": {
            "2021-11-01": 4880.0, "2022-04-26": 3790.0, "2022-06-30": 4480.0, "2022-10-31": 3510.0,
            "2023-01-30": 4200.0, "2024-02-02": 3180.0, "2024-05-20": 3690.0, "2024-09-13": 3160.0,
            "2024-10-08": 4255.0, "2024-12-31": 3935.0, "2025-01-13": 3722.0, "2025-02-28": 3890.0,
        },
        "^N225": {
            "2021-11-01": 29640.0, "2022-03-09": 24720.0, "2022-12-30": 26095.0, "2023-06-30": 33190.0,
            "2024-03-22": 40890.0, "2024-08-05": 31460.0, "2024-12-30": 39890.0, "2025-02-28": 37160.0,
        },
        "^FTSE": {
            "2021-11-01": 7290.0, "2022-03-07": 6960.0, "2022-10-12": 6830.0, "2023-02-20": 8010.0,
            "2023-12-29": 7730.0, "2024-12-31": 8170.0, "2025-02-28": 8810.0,
        },
    }.items()
}  # fmt: skip

#: From the day after `day` to the next anchor closes stay below `level`, so that 5,526.22 on 2025-02-14 is the highest
#: since 2022-02-17: symbol -> (day, level).
CEILINGS: dict[str, tuple[dt.date, float]] = {"HSTECH.HK": (dt.date(2022, 2, 17), 5520.0)}


@dataclass(frozen=True)
class Profile:
    """How a purely synthetic series is made: it follows `driver` with `beta`, plus noise of its own.

    Attributes:
        driver: symbol of a series with way-points.
        beta: log change per log change of the driver.
        last_close: close on the last day of the world, in the instrument's currency.
        noise: daily standard deviation of its own part of the log return.
        daily_volume: typical shares per session.
    """

    driver: str
    beta: float
    last_close: float
    noise: float = 0.012
    daily_volume: float = 2.0e7


CHOSEN_PROFILES: dict[str, Profile] = {
    "^HSCE": Profile("^HSI", 1.05, 8417.0, 0.002, 2.2e9),
    "^NDX": Profile("^GSPC", 1.2, 20880.0, 0.003, 8.0e9),
    "MCHI": Profile("^HSI", 1.0, 53.1, 0.003, 4.0e6),
    "BABA": Profile("9988.HK", 1.0, 132.5, 0.006, 1.6e7),
    "0700.HK": Profile("HSTECH.HK", 0.75, 478.4, 0.007, 2.2e7),
    "3690.HK": Profile("HSTECH.HK", 1.1, 161.6, 0.012, 3.5e7),
    "1810.HK": Profile("HSTECH.HK", 0.9, 51.95, 0.015, 1.6e8),
    "9618.HK": Profile("HSTECH.HK", 1.0, 161.2, 0.012, 1.2e7),
    "1024.HK": Profile("HSTECH.HK", 1.1, 50.65, 0.014, 2.8e7),
    "0388.HK": Profile("^HSI", 1.1, 350.2, 0.008, 6.0e6),
    "0005.HK": Profile("^HSI", 0.5, 91.1, 0.008, 1.7e7),
    "1299.HK": Profile("^HSI", 0.9, 59.6, 0.009, 2.5e7),
}

#: What an instrument of the catalog without a profile follows, by market.
MARKET_DRIVERS = {
    "HK": "^HSI", "CN": "000300.SS", "DE": "^GDAXI", "US": "^GSPC", "JP": "^N225", "GB": "^FTSE",
}  # fmt: skip

#: Typical turnover of a session, in shares, of the series that have way-points.
DAILY_VOLUMES = {
    "^HSI": 2.4e9, "HSTECH.HK": 9.0e8, "^GDAXI": 6.5e7, "^GSPC": 4.1e9, "9988.HK": 5.2e7, "000300.SS": 1.3e10,
    "^N225": 1.1e9, "^FTSE": 7.5e8,
}  # fmt: skip

#: Ex-dates and amounts per share (chosen, plausible, not facts).
CHOSEN_DIVIDENDS: dict[str, dict[dt.date, float]] = {
    symbol: {dt.date.fromisoformat(day): amount for day, amount in dividends.items()}
    for symbol, dividends in {
        "9988.HK": {"2023-12-20": 0.98, "2024-06-12": 1.62},
        "BABA": {"2023-12-20": 1.0, "2024-06-13": 1.66},
        "0700.HK": {"2022-05-20": 1.6, "2023-05-19": 2.4, "2024-05-17": 3.4},
    }.items()
}

#: Share volumes as published: symbol -> (first day, last day, both inclusive) -> total in shares.
PUBLISHED_VOLUMES: dict[str, dict[tuple[dt.date, dt.date], int]] = {
    "9988.HK": {
        (dt.date(2024, 10, 1), dt.date(2024, 10, 31)): 2_023_300_000,
        (dt.date(2025, 2, 1), dt.date(2025, 2, 17)): 1_981_800_000,
        (dt.date(2025, 2, 18), dt.date(2025, 2, 28)): 3_878_900_000 - 1_981_800_000,
    }
}

ECB_CURRENCIES = ("USD", "HKD", "CNY")

#: ECB reference rates per EUR as published: day -> (USD, HKD, CNY).
PUBLISHED_RATES = _table("""
2024-12-31 1.0389 8.0686 7.5833
2025-02-03 1.0274 8.0072 7.4500
2025-02-04 1.0335 8.0489 7.4943
2025-02-05 1.0422 8.1162 7.5797
2025-02-06 1.0360 8.0668 7.5511
2025-02-07 1.0377 8.0828 7.5634
2025-02-10 1.0320 8.0400 7.5395
2025-02-11 1.0324 8.0452 7.5440
2025-02-12 1.0370 8.0769 7.5794
2025-02-13 1.0390 8.0926 7.5817
2025-02-14 1.0478 8.1554 7.6141
2025-02-17 1.0473 8.1481 7.6066
2025-02-18 1.0447 8.1235 7.6056
2025-02-28 1.0411 8.0980 7.5782
""")

#: Way-points of the rates, not facts: day -> (USD per EUR, HKD per USD, CNY per USD).
CHOSEN_RATES = _table("""
2021-11-01 1.1580 7.7820 6.3980
2022-03-14 1.0960 7.8290 6.3640
2022-05-12 1.0410 7.8490 6.7860
2022-09-28 0.9610 7.8480 7.1960
2023-02-02 1.0980 7.8420 6.7310
2023-07-18 1.1250 7.8120 7.1800
2023-10-03 1.0480 7.8310 7.3000
2024-09-25 1.1190 7.7840 7.0280
2025-01-13 1.0200 7.7890 7.3310
""")

#: The other columns of the ECB files, not facts: currency -> (first, last rate per EUR of the demo world).
CHOSEN_CROSS_RATES: dict[str, tuple[float, float]] = {
    "JPY": (132.30, 156.90), "DKK": (7.4398, 7.4586), "GBP": (0.8465, 0.8261), "CHF": (1.0590, 0.9384),
    "SEK": (9.9250, 11.1640), "AUD": (1.5410, 1.6720), "CAD": (1.4330, 1.5020), "SGD": (1.5620, 1.4050),
    "KRW": (1363.0, 1522.0), "INR": (86.70, 91.00),
}  # fmt: skip

#: Southbound as published, HK$ million: day -> (bought, sold through Shanghai; bought, sold through Shenzhen).
PUBLISHED_SOUTHBOUND: dict[dt.date, tuple[float, float, float, float]] = {
    dt.date.fromisoformat(day): figures
    for day, figures in {
        "2025-02-05": (23_911.09, 25_638.67, 14_856.94, 18_429.40),
        "2025-02-06": (28_716.99, 23_587.08, 19_879.74, 15_948.85),
        "2025-02-07": (37_009.00, 34_709.36, 23_859.03, 25_091.62),
        "2025-02-10": (40_513.29, 29_998.44, 25_528.20, 19_575.22),
        "2025-02-11": (30_666.74, 32_363.36, 17_359.20, 24_560.69),
        "2025-02-12": (40_103.30, 34_183.85, 23_666.26, 22_074.13),
        "2025-02-13": (50_908.47, 48_573.37, 28_146.86, 31_505.62),
        "2025-02-14": (49_206.90, 45_163.45, 32_507.07, 28_837.56),
        "2025-02-17": (65_198.81, 57_528.40, 40_522.70, 37_421.03),
        "2025-02-18": (53_119.40, 39_606.04, 34_791.04, 25_881.87),
    }.items()
}

#: Net buy of the eight sessions that end on the day, HK$ million, published in billions with one or two decimals: the
#: largest that ends in September 2024, and the largest of all to 2025-02-14. How it spreads over them is synthetic.
PUBLISHED_BEST_WINDOWS: dict[dt.date, float] = {dt.date(2024, 9, 23): 26_940.0, dt.date(2024, 11, 14): 63_800.0}

#: Buying and selling of both channels, HK$ million, published in billions with one decimal: the record to 2025-02-14.
PUBLISHED_SOUTHBOUND_TURNOVER: dict[dt.date, float] = {dt.date(2024, 10, 8): 280_300.0}

#: Way-points of southbound turnover, not facts, HK$ bn a session.
CHOSEN_SOUTHBOUND_TURNOVER: dict[dt.date, float] = {
    dt.date.fromisoformat(day): value
    for day, value in {
        "2021-11-01": 33.0, "2022-03-15": 46.0, "2022-07-15": 29.0, "2022-11-15": 42.0, "2023-02-01": 36.0,
        "2023-07-01": 30.0, "2023-12-29": 28.0, "2024-05-20": 46.0, "2024-08-30": 33.0, "2024-09-23": 42.0,
        "2024-09-27": 92.0, "2024-09-30": 104.0, "2024-10-10": 108.0, "2024-10-31": 84.0, "2024-11-14": 92.0,
        "2024-12-31": 64.0, "2025-01-13": 58.0, "2025-01-27": 76.0, "2025-02-19": 112.0, "2025-02-28": 108.0,
    }.items()
}  # fmt: skip

#: Eastmoney has rows without figures for a few days on which southbound did not trade; which ones is chosen.
CLOSED_DAY_ROWS = tuple(
    dt.date.fromisoformat(day)
    for day in ("2022-04-04", "2022-10-04", "2023-05-26", "2023-10-02", "2024-09-18", "2025-01-28", "2025-02-03",
                "2025-02-04")
)  # fmt: skip

#: Southbound's accumulated net buy before the world starts, HK$ million by channel, and northbound's in CNY: chosen.
CHOSEN_ACCUMULATED = {"southbound": {"sse": 1_050_000.0, "szse": 1_000_000.0},
                      "northbound": {"sse": 830_000.0, "szse": 760_000.0}}  # fmt: skip

#: Shares among which the most active southbound ones are drawn, with chosen weights: (code, name, weight).
CHOSEN_TOP_STOCKS: tuple[tuple[str, str, float], ...] = (
    ("00700", "TENCENT", 5.0), ("09988", "BABA-W", 5.5), ("03690", "MEITUAN-W", 3.6), ("01810", "XIAOMI-W", 4.0),
    ("00981", "SMIC", 3.6), ("00941", "CHINA MOBILE", 2.4), ("01024", "KUAISHOU-W", 1.7), ("00883", "CNOOC", 1.8),
    ("02800", "TRACKER FUND", 1.5), ("02015", "LI AUTO-W", 1.3), ("00939", "CCB", 1.4), ("01211", "BYD COMPANY", 1.3),
    ("00388", "HKEX", 1.2), ("01398", "ICBC", 1.1), ("02269", "WUXI BIO", 1.0), ("09868", "XPENG-W", 1.1),
    ("03033", "CSOP HS TECH", 0.9), ("00728", "CHINA TELECOM", 0.9),
)  # fmt: skip

#: First day on which a share could be traded southbound, where that lies in the demo's time.
CONNECT_ENTRY = {"09988": dt.date(2024, 9, 10)}

#: The same for northbound, by channel.
CHOSEN_NORTHBOUND_STOCKS: dict[str, tuple[tuple[str, str, float], ...]] = {
    "sse": (
        ("600519", "KWEICHOW MOUTAI", 3.5), ("601318", "PING AN INSURANCE", 2.2), ("600036", "CM BANK", 2.1),
        ("601899", "ZIJIN MINING", 1.9), ("600900", "CHINA YANGTZE POWER", 1.5), ("688981", "SMIC", 1.6),
        ("600030", "CITIC SECURITIES", 1.6), ("603259", "WUXI APPTEC", 1.3), ("600276", "HENGRUI PHARMA", 1.3),
        ("601012", "LONGI GREEN ENERGY", 1.2), ("600309", "WANHUA CHEMICAL", 1.0), ("601138", "FOXCONN IND", 1.5),
    ),
    "szse": (
        ("300750", "CATL", 3.6), ("300059", "EAST MONEY", 2.8), ("002594", "BYD", 2.3), ("000858", "WULIANGYE", 1.7),
        ("000333", "MIDEA GROUP", 1.9), ("300308", "ZHONGJI INNOLIGHT", 2.0), ("002475", "LUXSHARE", 1.6),
        ("000651", "GREE ELECTRIC", 1.3), ("300274", "SUNGROW", 1.4), ("002415", "HIKVISION", 1.1),
        ("300760", "MINDRAY", 1.2), ("000725", "BOE TECHNOLOGY", 1.2),
    ),
}  # fmt: skip


def is_published_fact(symbol: str, day: dt.date) -> bool:
    """Whether the demo's close of `symbol` (or its ECB rate, ``EURUSD``, ``EURHKD``, ``EURCNY``, or the buying and
    selling of ``southbound_sse``, ``southbound_szse`` and their sum ``southbound_total``) restates a figure that was
    published for that day; everything else is synthetic.
    """
    if symbol in ("southbound_sse", "southbound_szse", "southbound_total"):
        return day in PUBLISHED_SOUTHBOUND
    if symbol.startswith("EUR") and symbol[3:] in ECB_CURRENCIES:
        return day in PUBLISHED_RATES
    return day in PUBLISHED_CLOSES.get(symbol, {})
