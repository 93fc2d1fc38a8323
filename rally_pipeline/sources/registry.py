"""Which sources there are for what, as data that costs nothing to import.

Belongs here: names. Does not belong here: what a source does (its own module) or an instrument's own order of trust
(the catalog).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

#: Sources asked for the prices of a market's instruments.
PRICE_SOURCES = ("hang_seng", "eastmoney", "yahoo")
#: Sources that belong to a market as a whole, most trusted first; they are asked besides those of its instruments.
MARKET_SOURCES: Mapping[str, tuple[str, ...]] = {
    "FX": ("ecb",),
    "SOUTHBOUND": ("hkex", "sse", "szse", "eastmoney_flow"),
}
#: Rule by which a source refuses an answer without rows: it has nothing, or nothing yet, which is no fault of it.
NOTHING = "not_empty"
#: Source of structured ratings, and the name under which its health is kept.
RATINGS_SOURCE, RATINGS = "yahoo_ratings", "RATINGS"
#: Sources whose ``plan`` is told which days are sessions.
SESSION_SOURCES = frozenset({"hang_seng", *MARKET_SOURCES["SOUTHBOUND"]})
#: Second opinions with one request per day: asked no further back than the source they check keeps its files.
SECOND_OPINIONS = frozenset({"sse", "szse"})
#: From when on a session's figures can be there, local time of the market, on half-days as well; of other sources from
#: some minutes after the close on. HKEX publishes at about 17:30, the indices' compiler from six to nine, the ECB at
#: about 16:00.
PUBLISHED_FROM: Mapping[str, dt.time] = {
    "hkex": dt.time(17, 30),
    "sse": dt.time(17, 30),
    "szse": dt.time(17, 30),
    "eastmoney_flow": dt.time(18, 0),
    "hang_seng": dt.time(18, 0),
    "ecb": dt.time(16, 15),
}
#: How many calendar days HKEX keeps its daily files for.
HKEX_KEPT_DAYS = 183
