"""What must hold of prices, rates and flows: for every rule written by hand, one verdict per row.

Everything is computed on whole columns; only symbols in which something stands out are walked through row by row.
A verdict is True where the rule is met or has nothing to say. Belongs here: how a rule is computed. Does not belong
here: its name, severity and description (`rules.py`), expectations (`suites.py`) or what follows (`gate.py`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from rally_pipeline.catalog.model import Catalog, Kind
from rally_pipeline.quality import notes
from rally_pipeline.quality.acceptance import SETTLING, Verdicts, closes, half_days, session_verdicts
from rally_pipeline.quality.known import LOOK_BACK_DAYS, KnownFacts
from rally_pipeline.quality.rules import DOCUMENTS
from rally_pipeline.sessions import Calendars
from rally_pipeline.sources.base import Dataset

_Floats = npt.NDArray[np.float64]

#: So many rows of a payload are looked at together: few enough for what is computed of them to stay in the caches.
_PART_ROWS = 100_000
#: Relative slack for figures that went through single-precision floats.
_ROUNDING = 1e-6
#: Opening auctions are printed by some sources with a price outside the day's range.
_OPEN_SLACK = 0.02
_JUMP = {Kind.INDEX: math.log(1.25), Kind.ETF: math.log(1.4), Kind.SHARE: math.log(4), Kind.FX: math.log(1.5)}
_LARGE = {Kind.INDEX: 0.12, Kind.ETF: 0.15, Kind.SHARE: 0.30, Kind.FX: 0.05}
_FAR = {Kind.INDEX: 0.005, Kind.ETF: 0.01, Kind.SHARE: 0.01, Kind.FX: 0.01}
_FX_JUMP = math.log(1.5)
_HUNDRED = math.log(100)
#: How far from exactly a hundred the ratio of two closes may be: the market moved as well.
_HUNDRED_SLACK = math.log(1.3)
#: A level that so many rows of a payload bear out is a new level, not a slip.
_HOLDS = 5
#: Where nothing is known from before, so large a share of the rows says which level is right.
_MAJORITY = 0.9
_SUM_SLACK_MN = 0.02 + 1e-6
_TOTAL_SLACK_MN = 0.03 + 1e-6
_UNIT_FACTOR = 30.0
_VOLUME_FACTOR = 500.0
#: Reference rates against the euro are rounded to 1e-4, so their ratio may be off by as much as this.
_PEG = (7.75 - 1e-3, 7.85 + 1e-3)


@dataclass(frozen=True)
class Batch:
    """One payload's rows of one dataset, with everything by which they are judged.

    Attributes:
        dataset: which frame it is.
        frame: columns of `rally_pipeline.sources.base`.
        catalog, calendars: what instruments and sessions there are.
        known_at: aware time at which the rows were known.
        facts: what was known before.
        start, end: days asked for; ``None`` = whatever there is.
    """

    dataset: Dataset
    frame: pd.DataFrame
    catalog: Catalog
    calendars: Calendars
    known_at: dt.datetime
    facts: KnownFacts = field(default_factory=KnownFacts)
    start: dt.date | None = None
    end: dt.date | None = None


@dataclass(frozen=True)
class Observation:
    """Whether a rule about the payload as a whole is met, and what was seen, in JSON types."""

    is_met: bool
    observed: Mapping[str, Any]


def row_verdicts(batch: Batch) -> dict[str, Verdicts]:
    """For every hand-written rule about rows of the batch's dataset, whether each row meets it."""
    return _ROWS[batch.dataset](batch)


def batch_observations(batch: Batch) -> dict[str, Observation]:
    """The rules about the payload as a whole, less those that need a comparison of weeks (`ingest.py`)."""
    found = {} if batch.dataset in DOCUMENTS else {"row_count_band": _row_count(batch)}
    if batch.dataset in (Dataset.PRICE, Dataset.SOUTHBOUND_FLOW, Dataset.TOP_STOCK, Dataset.MARKET_TURNOVER):
        found["expected_sessions_present"] = _expected_sessions(batch)
    return found


# --- prices -----------------------------------------------------------------------------------------------------------


def _price(batch: Batch) -> dict[str, Verdicts]:
    frame, catalog = batch.frame, batch.catalog
    codes, symbols = pd.factorize(frame["symbol"], use_na_sentinel=False)
    entries = [catalog.instruments.get(str(symbol)) for symbol in symbols]
    verdicts: dict[str, Verdicts] = {
        name: np.ones(len(frame), bool) for name in ("bar_on_closed_day", "session_unknown", "session_not_over")
    }
    verdicts["symbol_known"] = _of(codes, [entry is not None for entry in entries])
    currency_codes, currencies = pd.factorize(frame["currency"])
    # of each instrument whether each currency is its own; a missing one has the code -1, the last, which is nobody's
    is_own = np.zeros((len(entries), len(currencies) + 1), bool)
    for number, entry in enumerate(entries):
        is_own[number, :-1] = [entry is None or currency == entry.currency for currency in currencies]
        is_own[number, -1] = entry is None
    verdicts["currency_matches"] = is_own[codes, currency_codes]
    markets = [entry.market.value if entry else "" for entry in entries]
    is_half = np.zeros(len(frame), bool)
    for market in dict.fromkeys(markets):
        if not market:
            continue
        at = np.flatnonzero(_of(codes, [name == market for name in markets]))
        days = frame["session_date"].iloc[at]
        for name, verdict in session_verdicts(market, days, batch.calendars, batch.known_at).items():
            verdicts[name][at] = verdict
        is_half[at] = days.isin(half_days(batch.calendars, market)).to_numpy()
    kinds = [entry.kind if entry else Kind.SHARE for entry in entries]
    for part in _whole_subjects(codes):
        of_part: dict[str, Verdicts] = {}
        _price_shape(frame.iloc[part], codes[part], kinds, is_half[part], of_part)
        _price_chain(frame.iloc[part], batch.facts.previous, codes[part], symbols, kinds, of_part)
        for name, verdict in of_part.items():
            verdicts.setdefault(name, np.empty(len(frame), bool))[part] = verdict
    verdicts["far_from_other_sources"] = _near_others(batch, ["symbol", "session_date"], "close", codes, kinds)
    return verdicts


def _of(codes: npt.NDArray[np.intp], values: Sequence[bool]) -> Verdicts:
    return np.array([*values, False], bool)[codes]


def _whole_subjects(codes: npt.NDArray[np.intp]) -> list[slice]:
    """Parts of some `_PART_ROWS` rows that hold all rows of their subjects; one part where subjects are mixed."""
    if not len(codes) or (np.diff(codes) < 0).any():
        return [slice(0, len(codes))]
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    chosen = begins[np.unique(np.searchsorted(begins, np.arange(0, len(codes), _PART_ROWS)).clip(max=len(begins) - 1))]
    return [slice(int(a), int(b)) for a, b in zip(chosen, [*chosen[1:], len(codes)], strict=True)]


def _price_shape(
    frame: pd.DataFrame,
    codes: npt.NDArray[np.intp],
    kinds: Sequence[Kind],
    is_half: Verdicts,
    verdicts: dict[str, Verdicts],
) -> None:
    """High, low and open of each bar, and bars without volume."""
    volume = frame["volume"].to_numpy()
    high_ok, low_ok, open_ok = (np.ones(len(frame), bool) for _ in range(3))
    is_flat = np.zeros(len(frame), bool)
    for prefix in ("", "adj_"):
        opened, high, low, close = (frame[f"{prefix}{name}"].to_numpy() for name in ("open", "high", "low", "close"))
        if np.isnan(high).all() and np.isnan(low).all():
            continue
        above, below = high * (1 + _ROUNDING), low * (1 - _ROUNDING)
        high_ok &= ~((close > above) | (low > above) | (opened > high * (1 + _OPEN_SLACK)))
        low_ok &= ~((close < below) | (opened < low * (1 - _OPEN_SLACK)))
        open_ok &= ~((opened > above) | (opened < below))
        is_flat |= (high == low) & (close == high) & (opened == high)
    is_flat &= volume == 0
    verdicts["high_is_highest"], verdicts["low_is_lowest"], verdicts["open_within_range"] = high_ok, low_ok, open_ok
    with np.errstate(invalid="ignore"):
        verdicts["adjusted_not_above"] = ~(frame["adj_close"].to_numpy() > frame["close"].to_numpy() * (1 + 1e-3))
    verdicts["figures_complete"] = _complete(frame, codes, ("open", "high", "low", "close", "adj_close", "volume"))
    verdicts["flat_zero_volume_half_day"] = ~(is_flat & is_half)
    is_traded = _of(codes, [kind in (Kind.SHARE, Kind.ETF) for kind in kinds])
    verdicts["zero_volume_full_session"] = ~((volume == 0) & ~is_half & is_traded)


def _complete(frame: pd.DataFrame, codes: npt.NDArray[np.intp], columns: Sequence[str]) -> Verdicts:
    """Whether each row gives what nine in ten rows of its subject give."""
    met = np.ones(len(frame), bool)
    rows = np.bincount(codes)
    for name in columns:
        is_given = frame[name].notna().to_numpy()
        if is_given.all():
            continue
        expected = np.bincount(codes, weights=is_given) >= 0.9 * rows
        met &= is_given | ~expected[codes]
    return met


_CHAIN = ("open", "high", "low", "close", "adj_open", "adj_high", "adj_low", "adj_close", "volume", "dividend",
          "split_ratio")  # fmt: skip


def _price_chain(
    frame: pd.DataFrame,
    previous: pd.DataFrame,
    codes: npt.NDArray[np.intp],
    symbols: pd.Index,
    kinds: Sequence[Kind],
    verdicts: dict[str, Verdicts],
) -> None:
    """Each bar against the one before it, in the payload or known from before."""
    names = ("level_jump", "large_move", "volume_plausible", "stale_repeat", "hundredfold_error", "bad_split",
             "missing_split_adjust", "bad_dividend", "missing_dividend_adjust")  # fmt: skip
    verdicts.update({name: np.ones(len(frame), bool) for name in names})
    chain = _Chain(frame, previous, codes, symbols, "session_date", _CHAIN)
    if not len(chain.row):
        return
    close, adjusted = chain.values["close"], chain.values["adj_close"]
    dividend = np.nan_to_num(chain.values["dividend"])
    split = np.nan_to_num(chain.values["split_ratio"])
    split[split <= 0] = 1.0
    close_before = chain.before(close)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.log(close / close_before)
        step = np.where(np.isnan(step), np.log(adjusted / chain.before(adjusted)), step)
        step[chain.gap_days > LOOK_BACK_DAYS] = np.nan
        move = np.abs(step)
        # a dividend, and a split that older bars do not know of yet, are no move of the market
        at = np.flatnonzero(dividend > 0)
        move[at] = np.fmin(move[at], np.abs(np.log((close[at] + dividend[at]) / close_before[at])))
        at = np.flatnonzero((split != 1) & chain.is_before_known)
        move[at] = np.fmin(move[at], np.abs(np.log(close[at] * split[at] / close_before[at])))
    kind_of = np.array([list(Kind).index(kind) for kind in kinds] or [0])[chain.codes]
    jump = np.array([_JUMP[kind] for kind in Kind])[kind_of]
    large = np.log1p(np.array([_LARGE[kind] for kind in Kind]))[kind_of]
    chain.tell(verdicts["large_move"], ~(move > large))
    volume, volume_before = chain.values["volume"], chain.before(chain.values["volume"])
    with np.errstate(divide="ignore", invalid="ignore"):
        volumes = np.abs(np.log(volume / volume_before))
    chain.tell(verdicts["volume_plausible"], ~((volumes > math.log(_VOLUME_FACTOR)) & np.isfinite(volumes)))
    chain.tell(verdicts["stale_repeat"], ~_repeats_bar(chain, kind_of == list(Kind).index(Kind.INDEX)))
    _dividends(chain, verdicts)

    spread = _spread(chain)
    suspects = (move > np.minimum(jump, math.log(1.9))) | (split != 1) | spread
    for code in np.unique(chain.codes[suspects]):
        at = np.flatnonzero(chain.codes == code)
        if not (chain.row[at] >= 0).any():
            continue
        series = _Series(
            price=np.where(np.isnan(close[at]), adjusted[at], close[at]),
            step=np.where(np.isnan(step[at]), 0.0, np.sign(step[at]) * move[at]),
            split=split[at],
            is_known=chain.row[at] < 0,
            day=chain.day[at],
        )
        rows = chain.row[at]
        missing, bad = _splits(series)
        hundred = _hundredfold(series) | spread[at]
        named = missing | bad | hundred
        jumped = _level_jumps(series, float(jump[at][0]), named) if (move[at] > jump[at]).any() else np.zeros_like(bad)
        for name, flags in (
            ("missing_split_adjust", missing),
            ("bad_split", bad & ~missing),
            ("hundredfold_error", hundred & ~missing & ~bad),
            ("level_jump", jumped),
        ):
            verdicts[name][rows[flags & (rows >= 0)]] = False


class _Chain:
    """Rows of a payload and those known before, sorted by subject and day."""

    def __init__(
        self,
        frame: pd.DataFrame,
        previous: pd.DataFrame,
        codes: npt.NDArray[np.intp],
        subjects: pd.Index,
        date_column: str,
        columns: Sequence[str],
        previous_subjects: pd.Series[Any] | None = None,
    ) -> None:
        day = frame[date_column].to_numpy().astype("M8[D]").astype(np.int64)
        row = np.arange(len(frame))
        values = {name: frame[name].to_numpy(np.float64) for name in columns}
        if len(previous):
            named = previous["symbol"] if previous_subjects is None else previous_subjects
            old_codes = subjects.get_indexer(pd.Index(named))
            kept = np.isin(old_codes, np.unique(codes))
            codes = np.concatenate([old_codes[kept], codes])
            day = np.concatenate([previous[date_column].to_numpy().astype("M8[D]").astype(np.int64)[kept], day])
            row = np.concatenate([np.full(int(kept.sum()), -1), row])
            values = {
                name: np.concatenate([
                    previous[name].to_numpy(np.float64)[kept] if name in previous else np.full(int(kept.sum()), np.nan),
                    value,
                ])
                for name, value in values.items()
            }  # fmt: skip
        same = codes[1:] == codes[:-1]
        if not ((codes[1:] > codes[:-1]) | same & (day[1:] >= day[:-1])).all():
            order = np.lexsort((row, day, codes))
            codes, day, row = codes[order], day[order], row[order]
            values = {name: value[order] for name, value in values.items()}
            same = codes[1:] == codes[:-1]
        self.codes, self.day, self.row, self.values = codes, day, row, values
        self.is_first = np.concatenate([[True], ~same])[: len(codes)]
        self.gap_days = np.where(self.is_first, 0, np.diff(day, prepend=0))
        self.is_before_known = np.concatenate([[False], row[:-1] < 0])[: len(codes)] & ~self.is_first

    def before(self, values: _Floats) -> _Floats:
        """The value of the row before, of the same subject; NaN for the first."""
        shifted = np.empty_like(values)
        shifted[:1], shifted[1:] = np.nan, values[:-1]
        shifted[self.is_first] = np.nan
        return shifted

    def tell(self, verdict: Verdicts, is_met: Verdicts) -> None:
        """Writes verdicts on the chain's rows into those on the payload's."""
        of_payload = self.row >= 0
        verdict[self.row[of_payload]] = is_met[of_payload]


def _repeats_bar(chain: _Chain, is_index: Verdicts) -> Verdicts:
    """Bars whose figures, volume included, are those of the session before; a bar without trades says nothing."""
    at = np.flatnonzero(~chain.is_first)
    given = np.zeros(len(at), int)
    # few bars have so much as the same high: each figure is asked of those that are the same so far
    for name in ("high", "low", "open", "close", "volume", "adj_open", "adj_high", "adj_low", "adj_close"):
        value, before = chain.values[name][at], chain.values[name][at - 1]
        is_same, is_given = (value == before) | (np.isnan(value) & np.isnan(before)), ~np.isnan(value)
        if name.startswith("adj_"):
            # where unadjusted prices are given, those adjusted may have been scaled since
            is_alone = np.isnan(chain.values["close"][at])
            is_same, is_given = is_same | ~is_alone, is_given & is_alone
        at, given = at[is_same], (given + is_given)[is_same]
    volume = np.nan_to_num(chain.values["volume"][at])
    high = np.fmax(chain.values["high"][at], chain.values["adj_high"][at])
    low = np.fmin(chain.values["low"][at], chain.values["adj_low"][at])
    found = np.zeros(len(chain.row), bool)
    found[at] = (given >= 4) & ((volume > 0) | (is_index[at] & (high > low)))
    return found


def _spread(chain: _Chain) -> Verdicts:
    """Bars of which one price is a hundred times another."""
    found = np.zeros(len(chain.row), bool)
    for prefix in ("", "adj_"):
        bar = [chain.values[f"{prefix}{name}"] for name in ("open", "high", "low", "close")]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.fmax.reduce(bar) / np.fmin.reduce(bar)
        at = np.flatnonzero(ratio > 2)  # the others need no logarithm
        found[at] |= np.abs(np.log(ratio[at]) - _HUNDRED) < _HUNDRED_SLACK
    return found


@dataclass(frozen=True)
class _Series:
    """One symbol's closes in order of day; ``step`` is the log of each to the one before, explained moves taken out."""

    price: _Floats
    step: _Floats
    split: _Floats
    is_known: Verdicts
    day: npt.NDArray[np.int64]


def _splits(series: _Series) -> tuple[Verdicts, Verdicts]:
    """Rows before a split that are not adjusted for it, and rows off their neighbours by its ratio."""
    missing, bad = np.zeros(len(series.price), bool), np.zeros(len(series.price), bool)
    for at in np.flatnonzero(series.split != 1):
        size = math.log(series.split[at])
        if abs(size) < math.log(1.3):
            continue
        slack = max(0.15, 0.1 * abs(size))
        steps = np.where(np.abs(series.step - size) < slack, 1, np.where(np.abs(series.step + size) < slack, -1, 0))
        if steps[at] == 1:
            steps[at] = 0  # a fall by the ratio on the day of a consolidation is something else
        level = np.cumsum(steps)
        is_off = level != level[at]
        if steps[at] == -1:
            first = at - 1
            while first > 0 and level[first - 1] == level[at - 1]:
                first -= 1
            missing[first:at] = True
            is_off[first:at] = False
        for begin, end in _runs(is_off):
            if (begin > 0 and end < len(level)) or end - begin <= _HOLDS:
                bad[begin:end] = True
    return missing, bad


def _hundredfold(series: _Series) -> Verdicts:
    """Rows a hundred times, or a hundredth of, what is right; all of them where nobody can say which is."""
    steps = np.where(np.abs(np.abs(series.step) - _HUNDRED) < _HUNDRED_SLACK, np.sign(series.step).astype(int), 0)
    if not steps.any():
        return np.zeros(len(steps), bool)
    level = np.cumsum(steps)
    if series.is_known.any():
        right = level[np.flatnonzero(series.is_known)[-1]]
        return np.asarray(level != right, bool)
    values, counts = np.unique(level, return_counts=True)
    if counts.max() >= _MAJORITY * len(level):
        return np.asarray(level != values[counts.argmax()], bool)
    return np.ones(len(level), bool)


def _level_jumps(series: _Series, band: float, excluded: Verdicts) -> Verdicts:
    """Rows beyond the band around the last row believed. A level that holds is flagged once, where it begins."""
    flagged = np.zeros(len(series.price), bool)
    usable = np.flatnonzero(~excluded & (series.price > 0))
    last, believed = -1, 0
    for place, at in enumerate(usable.tolist()):
        if last >= 0 and series.day[at] - series.day[last] <= LOOK_BACK_DAYS:
            direct = usable[place - 1] == last if place else False
            size = (
                abs(series.step[at])
                if direct and last == at - 1
                else abs(math.log(series.price[at] / series.price[last]))
            )
            if size > band:
                following = series.price[usable[place : place + _HOLDS + 1]]
                holds = len(following) > _HOLDS and bool((np.abs(np.log(following / series.price[at])) < band).all())
                if holds and believed <= 2 and not series.is_known[:at].any():
                    flagged[usable[:place]] = True  # the odd ones are those before
                else:
                    flagged[at] = True
                    if not holds:
                        continue
        last = at
        believed += 1
    return flagged


def _runs(flags: Verdicts) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _dividends(chain: _Chain, verdicts: dict[str, Verdicts]) -> None:
    """Dividends against the step of the adjusted closes, within the payload."""
    dividend = np.nan_to_num(chain.values["dividend"])
    close, adjusted = chain.values["close"], chain.values["adj_close"]
    paid = (dividend > 0) & (chain.row >= 0) & ~chain.is_before_known & (chain.gap_days <= 10) & ~chain.is_first
    if not paid.any():
        return
    at = np.flatnonzero(paid)
    before = chain.before(close)[at]
    share = dividend[at] / before
    with np.errstate(divide="ignore", invalid="ignore"):
        applied = np.log(adjusted[at] / close[at]) - np.log(chain.before(adjusted)[at] / before)
        due = -np.log1p(-share)
    comparable = ~np.isnan(applied) & ~np.isnan(share)
    missing = comparable & (due > 0.005) & (np.abs(applied) < 0.25 * due)
    off = comparable & ~missing & (np.abs(applied - due) > np.maximum(0.25 * due, 0.004))
    fall = 1 - close[at] / before
    # half a split's worth in one dividend happens, but then the price falls with it
    implausible = (share >= 1) | (share > 0.25) & (fall < 0.3 * share)
    bad = np.nan_to_num(off | implausible).astype(bool)
    verdicts["bad_dividend"][chain.row[at[bad]]] = False
    verdicts["missing_dividend_adjust"][chain.row[at[missing & ~bad]]] = False


def _near_others(
    batch: Batch,
    key: list[str],
    column: str,
    codes: npt.NDArray[np.intp] | None = None,
    kinds: Sequence[Kind] = (),
) -> Verdicts:
    """Whether each value is near every other source's for the same key."""
    frame, others = batch.frame, batch.facts.others
    near = np.ones(len(frame), bool)
    if others.empty:
        return near
    slack = np.array([_FAR[kind] for kind in kinds] or [0.01])
    mine = frame[[*key, column]].assign(_row=np.arange(len(frame)))
    both = mine.merge(others[[*key, "value"]], on=key)
    if both.empty:
        return near
    rows = both["_row"].to_numpy()
    allowed = slack[codes[rows]] if codes is not None else slack[0]
    apart = (both[column] / both["value"] - 1).abs().to_numpy()
    near[rows[apart > allowed]] = False
    return near


# --- rates ------------------------------------------------------------------------------------------------------------


def _fx(batch: Batch) -> dict[str, Verdicts]:
    frame, previous = batch.frame, batch.facts.previous
    pair = frame["base_currency"] + "/" + frame["quote_currency"]
    codes, pairs = pd.factorize(pair, use_na_sentinel=False)
    verdicts = {
        "day_not_over": ~(frame["rate_date"] > pd.Timestamp(batch.known_at.date())).to_numpy(),
        "level_jump": np.ones(len(frame), bool),
        "stale_repeat": np.ones(len(frame), bool),
    }
    known = previous["base_currency"] + "/" + previous["quote_currency"] if len(previous) else None
    chain = _Chain(frame, previous, codes, pairs, "rate_date", ("rate",), known)
    if len(chain.row):
        rate = chain.values["rate"]
        with np.errstate(divide="ignore", invalid="ignore"):
            step = np.abs(np.log(rate / chain.before(rate)))
        step = np.where(chain.gap_days <= LOOK_BACK_DAYS, np.nan_to_num(step), 0)
        for code in np.unique(chain.codes[step > _FX_JUMP]):
            at = np.flatnonzero(chain.codes == code)
            series = _Series(rate[at], np.nan_to_num(step[at]), np.ones(len(at)), chain.row[at] < 0, chain.day[at])
            flags = _level_jumps(series, _FX_JUMP, np.zeros(len(at), bool))
            rows = chain.row[at]
            verdicts["level_jump"][rows[flags & (rows >= 0)]] = False
        is_same = rate == chain.before(rate)
        days = pd.DataFrame({"day": chain.day, "is_same": is_same, "is_given": ~chain.is_first})
        sums = days.groupby("day").sum()
        repeated = sums.index[(sums["is_given"] >= 5) & (sums["is_same"] == sums["is_given"])]
        chain.tell(verdicts["stale_repeat"], ~np.isin(chain.day, repeated.to_numpy()))
    verdicts["fx_peg_band"] = _pegged(frame)
    verdicts["far_from_other_sources"] = _near_others(batch, ["base_currency", "quote_currency", "rate_date"], "rate")
    return verdicts


def _pegged(frame: pd.DataFrame) -> Verdicts:
    met = np.ones(len(frame), bool)
    hkd = frame.loc[frame["quote_currency"] == "HKD", ["base_currency", "rate_date", "rate"]]
    if hkd.empty:
        return met
    usd = frame.loc[frame["quote_currency"] == "USD", ["base_currency", "rate_date", "rate"]]
    cross = hkd.reset_index().merge(
        usd.rename(columns={"rate": "usd"}).drop_duplicates(["base_currency", "rate_date"]),
        on=["base_currency", "rate_date"],
        how="left",
    )
    per_usd = np.where(cross["base_currency"] == "USD", cross["rate"], cross["rate"] / cross["usd"])
    off = (per_usd < _PEG[0]) | (per_usd > _PEG[1])
    met[frame.index.get_indexer(pd.Index(cross.loc[off, "index"]))] = False
    return met


# --- flows ------------------------------------------------------------------------------------------------------------


def _on_sessions(market: str, batch: Batch) -> dict[str, Verdicts]:
    return session_verdicts(market, batch.frame["session_date"], batch.calendars, batch.known_at)


def _finite(frame: pd.DataFrame) -> Verdicts:
    numbers = frame.select_dtypes("number").to_numpy(np.float64)
    finite: Verdicts = ~np.isinf(numbers).any(axis=1)
    return finite


def _southbound(batch: Batch) -> dict[str, Verdicts]:
    return _on_sessions("SOUTHBOUND", batch) | _channels(batch, "hkd_mn", ("buy_trade_count", "sell_trade_count"))


def _northbound(batch: Batch) -> dict[str, Verdicts]:
    # Northbound has trading days of its own, and no mart reads it.
    over = ~(batch.frame["session_date"] > pd.Timestamp(batch.known_at.date())).to_numpy()
    return {"day_not_over": over} | _channels(batch, "cny_mn", ("trade_count",))


def _channels(batch: Batch, unit: str, counts: Sequence[str]) -> dict[str, Verdicts]:
    frame = batch.frame
    buy, sell, net, turnover = (frame[f"{name}_{unit}"].to_numpy() for name in ("buy", "sell", "net_buy", "turnover"))
    codes, channels = pd.factorize(frame["channel"], use_na_sentinel=False)
    figures = (f"buy_{unit}", f"sell_{unit}", f"turnover_{unit}", *counts)
    # The mainland exchanges print hundreds of millions with two decimals: their sums are off by whole millions.
    in_millions = np.logical_and.reduce(
        [np.isnan(part) | (part == np.round(part)) for part in (buy, sell, net, turnover)]
    )
    slack = np.where(in_millions, 100 * _SUM_SLACK_MN, _SUM_SLACK_MN)
    return {
        "amount_finite": _finite(frame),
        "turnover_is_buy_and_sell": ~(np.abs(buy + sell - turnover) > slack),
        "net_is_buy_less_sell": ~(np.abs(buy - sell - net) > slack),
        **(
            {}
            if batch.dataset is Dataset.NORTHBOUND_TURNOVER
            else {"figures_complete": _complete(frame, codes, figures[:3])}
        ),
        "total_is_channels": _totals(frame, [f"{name}_{unit}" for name in ("buy", "sell", "net_buy", "turnover")]),
        **_flow_chain(batch, codes, channels, "channel", f"turnover_{unit}", figures),
    }


def _flow_chain(
    batch: Batch,
    codes: npt.NDArray[np.intp],
    subjects: pd.Index,
    subject: str,
    turnover: str,
    figures: Sequence[str],
) -> dict[str, Verdicts]:
    previous = batch.facts.previous
    known = previous[subject] if len(previous) else None
    chain = _Chain(batch.frame, previous, codes, subjects, "session_date", figures, known)
    stale, plausible = np.ones(len(batch.frame), bool), np.ones(len(batch.frame), bool)
    same, given = ~chain.is_first, np.zeros(len(chain.row), int)
    for name in figures:
        value, before = chain.values[name], chain.before(chain.values[name])
        # what only one of the two rows gives cannot tell them apart
        same &= (value == before) | np.isnan(value) | np.isnan(before)
        given += ~np.isnan(value) & (value == before)
    amount = chain.values[turnover]
    # one equal number can be chance where it is all that is published
    chain.tell(stale, ~(same & (amount > 0) & (given >= min(2, len(figures)))))
    medians = (
        pd.Series(amount)
        .groupby(chain.codes)
        .transform(lambda values: values.shift().rolling(20, min_periods=5).median())
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(np.log(amount / medians.to_numpy()))
    chain.tell(plausible, ~(np.where(np.isfinite(ratio), ratio, 0) > math.log(_UNIT_FACTOR)))
    return {"stale_repeat": stale, "unit_plausible": plausible}


def _totals(frame: pd.DataFrame, columns: Sequence[str]) -> Verdicts:
    """Total rows against the sum of their channels, where all three are given for the day."""
    met = np.ones(len(frame), bool)
    channel = frame["channel"].to_numpy()
    if not (channel == "total").any():
        return met
    parts = frame.loc[channel != "total"].groupby("session_date")[list(columns)]
    sums = parts.sum(min_count=2)
    total = np.flatnonzero(channel == "total")
    expected = sums.reindex(frame["session_date"].iloc[total]).to_numpy()
    apart = np.abs(frame[list(columns)].to_numpy()[total] - expected) > _TOTAL_SLACK_MN
    met[total[apart.any(axis=1)]] = False
    return met


def _top_stocks(batch: Batch) -> dict[str, Verdicts]:
    frame = batch.frame
    buy, sell, turnover = (frame[f"{name}_hkd"].to_numpy() for name in ("buy", "sell", "turnover"))
    return {
        **_on_sessions("SOUTHBOUND", batch),
        "amount_finite": _finite(frame),
        "top_turnover_is_buy_and_sell": ~(np.abs(buy + sell - turnover) > 1),
        "rank_unique": ~frame.duplicated(["channel", "session_date", "rank"], keep=False).to_numpy(),
    }


def _market_turnover(batch: Batch) -> dict[str, Verdicts]:
    frame = batch.frame
    verdicts = {
        name: np.ones(len(frame), bool) for name in ("bar_on_closed_day", "session_unknown", "session_not_over")
    }
    codes, markets = pd.factorize(frame["market"], use_na_sentinel=False)
    for code, market in enumerate(markets):
        if market not in batch.calendars.markets:
            continue
        at = np.flatnonzero(codes == code)
        days = frame["session_date"].iloc[at]
        for name, verdict in session_verdicts(str(market), days, batch.calendars, batch.known_at).items():
            verdicts[name][at] = verdict
    chain = _flow_chain(batch, codes, markets, "market", "turnover_hkd_mn", ("turnover_hkd_mn",))
    return verdicts | {"amount_finite": _finite(frame)} | chain


def _broker(batch: Batch) -> dict[str, Verdicts]:
    frame = batch.frame
    return {
        "period_not_begun": ~(frame["period_start"] > pd.Timestamp(batch.known_at.date())).to_numpy(),
        "period_ordered": ~(frame["period_end"] < frame["period_start"]).to_numpy(),
        "value_finite": np.isfinite(frame["value"].to_numpy()),
    }


# --- the payload as a whole -------------------------------------------------------------------------------------------


def _row_count(batch: Batch) -> Observation:
    counts, rows = batch.facts.row_counts, len(batch.frame)
    if len(counts) < 5:
        return Observation(True, {"rows": rows})
    median = float(np.median(counts))
    return Observation(median / 2 <= rows <= median * 2 or abs(rows - median) <= 3, {"rows": rows, "median": median})


def _expected_sessions(batch: Batch) -> Observation:
    frame = batch.frame
    subject, market_of = _EXPECTED[batch.dataset]
    known = set(batch.facts.previous[subject]) if len(batch.facts.previous) else set()
    limit = pd.Timestamp(batch.known_at).tz_convert("UTC").tz_localize(None) - SETTLING
    missing: dict[str, list[str]] = {}
    count = 0
    of_market: dict[str, tuple[npt.NDArray[np.datetime64], Verdicts]] = {}
    for name, days in frame.groupby(subject, sort=False)["session_date"]:
        market = market_of(str(name), batch)
        if market is None:
            continue
        have = days.to_numpy().astype("M8[s]")
        first, last = have.min(), have.max()
        if batch.start is not None and name in known:
            first = min(first, np.datetime64(batch.start, "s"))
        if batch.end is not None:
            last = max(last, np.datetime64(batch.end, "s"))
        if market not in of_market:
            sessions = closes(batch.calendars, market)
            of_market[market] = sessions.index.to_numpy().astype("M8[s]"), (sessions <= limit).to_numpy()
        index, over = of_market[market]
        asked = slice(np.searchsorted(index, first), np.searchsorted(index, last, side="right"))
        if np.array_equal(index[asked], have):
            continue  # every session, as nearly always: nothing to sort
        absent = np.setdiff1d(index[asked][over[asked]], have)
        if len(absent):
            count += len(absent)
            missing[str(name)] = [str(day) for day in absent[:20].astype("M8[D]")]
    if not count:
        return Observation(True, {})
    return Observation(False, {"missing_count": count, "missing": dict(list(missing.items())[:20])})


def _market_of_symbol(symbol: str, batch: Batch) -> str | None:
    entry = batch.catalog.instruments.get(symbol)
    return entry.market.value if entry else None


_EXPECTED: Mapping[Dataset, tuple[str, Callable[[str, Batch], str | None]]] = {
    Dataset.PRICE: ("symbol", _market_of_symbol),
    Dataset.SOUTHBOUND_FLOW: ("channel", lambda _, __: "SOUTHBOUND"),
    Dataset.TOP_STOCK: ("channel", lambda _, __: "SOUTHBOUND"),
    Dataset.MARKET_TURNOVER: ("market", lambda market, batch: market if market in batch.calendars.markets else None),
}

_ROWS: Mapping[Dataset, Callable[[Batch], dict[str, Verdicts]]] = {
    Dataset.PRICE: _price,
    Dataset.FX: _fx,
    Dataset.SOUTHBOUND_FLOW: _southbound,
    Dataset.NORTHBOUND_TURNOVER: _northbound,
    Dataset.TOP_STOCK: _top_stocks,
    Dataset.BROKER_FLOW: _broker,
    Dataset.MARKET_TURNOVER: _market_turnover,
    Dataset.NOTE: notes.note_verdicts,
    Dataset.NOTE_MENTION: notes.mention_verdicts,
    Dataset.NOTE_CLAIM: notes.claim_verdicts,
    Dataset.RATING_ACTION: notes.rating_verdicts,
}
