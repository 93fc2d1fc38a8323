"""Ratings and price targets of shares from Yahoo Finance through yfinance: one share's whole history per request.

Belongs here: what is asked of Yahoo, the archived form of its rows, and how they are read. Does not belong here: HTTP
(`http.py`), how yfinance is handled (`yahoo.py`), names of houses (the catalog, through `notes/lexicon.py`), or any
choice between this feed and what the notes themselves say.

The archived body is canonical JSON of the rows yfinance returned: ``{"format", "yfinance", "asked", "rows"}``, each row
with ``date`` (seconds since 1970, UTC), ``firm``, ``to_grade``, ``from_grade``, ``action`` (``up`` ``down`` ``main``
``reit`` ``init``), ``target_action`` (``Raises`` ``Lowers`` ``Maintains`` ``Announces`` …), ``target`` and
``target_prior``; ``null`` = not given. Yahoo's answer does not repeat which share it is for, nor the currency.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import warnings
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rally_pipeline.catalog.model import Catalog, Instrument, Kind
from rally_pipeline.errors import PayloadError, PermanentFetchError, RateLimitedError
from rally_pipeline.notes.lexicon import Lexicon
from rally_pipeline.sources.base import Dataset, FetchRequest, Finding, Parsed, Payload, Severity, typed_frame
from rally_pipeline.sources.http import Upstream
from rally_pipeline.sources.yahoo import (
    TIMEZONES,
    canonical,
    error_reason,
    last_exchange,
    prepared_yfinance,
    raise_typed,
    yfinance_lock,
)

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "yahoo_ratings"
FORMAT = "yahoo-ratings/1"

_PATH = "/v10/finance/quoteSummary/"
_MODULE = "upgradeDowngradeHistory"
#: yfinance column -> key in the archived row.
_COLUMNS = {
    "Firm": "firm",
    "ToGrade": "to_grade",
    "FromGrade": "from_grade",
    "Action": "action",
    "priceTargetAction": "target_action",
    "currentPriceTarget": "target",
    "priorPriceTarget": "target_prior",
}
_TEXTS = ("firm", "to_grade", "from_grade", "action", "target_action")
_NUMBERS = ("target", "target_prior")
#: Yahoo's word -> RIXML's.
_RATING_ACTIONS = {"up": "Upgrade", "down": "Downgrade", "main": "Reiterate", "reit": "Reiterate", "init": "Initiate"}
#: Yahoo's word for the target -> what it says of the direction; the other words say nothing of it.
_TARGET_WORDS = {"raises": "Increase", "lowers": "Decrease", "maintains": "Reiterate"}
_DAY = 86_400


def plan(
    catalog: Catalog,
    start: dt.date,
    end: dt.date,
    *,
    symbols: Collection[str] | None = None,
    today: dt.date,
) -> list[FetchRequest]:
    """One request per share that names Yahoo among its price sources, in catalog order.

    Args:
        catalog: the instruments.
        start, end: first and last day, both inclusive, of which actions are read; Yahoo always sends the whole history.
        symbols: only these catalog symbols; ``None`` = all.
        today: the present date.
    """
    requests = []
    for symbol, instrument in catalog.instruments.items():
        if instrument.kind is not Kind.SHARE or (symbols is not None and symbol not in symbols):
            continue
        named = next((source for source in instrument.price_sources if source.source == "yahoo"), None)
        last = min(end, today)
        if named is None or start > last:
            continue
        requests.append(
            FetchRequest(
                source=SOURCE,
                parser=SOURCE,
                dataset=Dataset.RATING_ACTION,
                subject=symbol,
                params={"code": named.code or symbol, "timezone": TIMEZONES[instrument.market]},
                start=start,
                end=last,
            )
        )
    return requests


# -- fetch -------------------------------------------------------------------------------------------------------------


def fetch(request: FetchRequest, upstream: Upstream, *, cache_home: Path | None = None) -> Payload:
    """Asks Yahoo for the rating history of one share.

    A share that Yahoo knows but that nobody rates there gives a payload without rows.

    Args:
        request: from `plan`.
        upstream: where to ask.
        cache_home: as for `yahoo.fetch`.

    Raises:
        PermanentFetchError: unknown symbol, refused request, or a page instead of data.
        RetryableFetchError: connection, time-out, 5xx, or Yahoo's maintenance page.
        RateLimitedError: 429.
    """
    code = request.params.get("code", request.subject)
    session = upstream.yahoo_session()
    with yfinance_lock:
        session.exchanges.clear()
        frame: pd.DataFrame | None = None
        try:
            yf = prepared_yfinance(cache_home)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"yfinance(\.|$)")
                frame = yf.Ticker(code, session=session).upgrades_downgrades
        except RateLimitedError:
            raise
        except Exception as error:  # yfinance and curl_cffi have no common base class
            last = last_exchange(list(session.exchanges), _PATH)
            if last is None or last.status != 200 or not _is_unrated(last.body):
                reason = error_reason(last.body, "quoteSummary")[0] if last else ""
                raise_typed(code, error, last, reason)
        answer = last_exchange(list(session.exchanges), _PATH)
        session.exchanges.clear()
    if answer is None:
        raise PermanentFetchError(f"yfinance answered for {code} without asking Yahoo; its caches cannot be trusted")
    body = canonical(
        {
            "format": FORMAT,
            "yfinance": version("yfinance"),
            "asked": {"code": code},
            "rows": [] if frame is None else _rows(frame),
        }
    )
    return Payload(request, body, "application/json", 200, answer.fetched_at)


def _is_unrated(body: bytes) -> bool:
    """Whether an answer is about a share that Yahoo knows and has no history of."""
    try:
        summary = json.loads(body)["quoteSummary"]
        (result,) = summary["result"]
    except (ValueError, KeyError, TypeError):
        return False
    if summary.get("error") or not isinstance(result, dict):
        return False
    module = result.get(_MODULE)
    # yfinance makes a missing module and an empty history errors of different kinds.
    return module is None or (isinstance(module, dict) and module.get("history") == [])


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {key: frame[column].tolist() for column, key in _COLUMNS.items() if column in frame}
    seconds = [int(stamp.value // 10**9) for stamp in frame.index]
    return [
        {"date": second, **{key: _plain(values[i]) for key, values in columns.items()}}
        for i, second in enumerate(seconds)
    ]


def _plain(value: Any) -> Any:
    """A JSON text or number, or ``None`` for what is not given."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)[:200]


# -- parse -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Action:
    """One row as read; `index` is its place in the payload."""

    index: int
    stamp: int
    day: dt.date
    firm: str
    to_grade: str
    from_grade: str
    word: str
    target_word: str
    target: float | None
    target_prior: float | None

    @property
    def content(self) -> tuple[Any, ...]:
        """Everything but the place."""
        fields = (self.stamp, self.firm, self.word, self.to_grade, self.from_grade, self.target_word)
        return (*fields, self.target or 0.0, self.target_prior or 0.0)


def parse(payload: Payload, catalog: Catalog) -> Parsed:
    """Reads an archived body; pure.

    One row an action, oldest first. A target of 0 counts as not given. What a target did is decided by its two numbers
    where both are given, otherwise by Yahoo's word; `action_text` keeps Yahoo's words, and `is_conflict` says that the
    word and the numbers disagree. ``action_date`` is the date of the stamp in the zone of the share's market (a stamp
    of exactly midnight UTC is a bare date and taken as it is). ``action_id`` hashes source, firm, symbol, stamp and
    action, so that it is the same in every fetch; of several different rows with all of these alike the second and
    further ones get their number into the hash.

    Left out, each with a *warn* finding: ``future_date`` (after the fetch), ``duplicate_actions`` (equal rows counted
    once). Kept, with one: ``unknown_broker`` (the catalog knows no such house: `broker_id` is empty),
    ``unknown_action`` (`rating_action` is empty), ``target_conflict``, ``currency_unknown`` (Yahoo names none; it is
    taken to be the share's). What lies outside the dates of the request is left out without a finding, since Yahoo
    sends the whole history every time.

    Raises:
        PayloadError: rules ``readable``, ``symbol_known``.
    """
    request = payload.request
    instrument = catalog.instruments.get(request.subject)
    if instrument is None:
        raise PayloadError(
            "symbol_known",
            f"{request.subject!r} is not in the catalog",
            "add the instrument to the catalog, or parse with the catalog the payload was fetched with",
        )
    findings: list[Finding] = []

    def note(rule: str, message: str, actions: Collection[_Action]) -> None:
        locators = ", ".join(f"rows[{action.index}]" for action in list(actions)[:10])
        findings.append(Finding(rule, Severity.WARN, message, locators, len(actions)))

    actions = _read(payload.body, ZoneInfo(TIMEZONES[instrument.market]))
    future = [action for action in actions if action.stamp > payload.fetched_at.timestamp() + _DAY]
    if future:
        note("future_date", f"{len(future)} actions dated after the fetch left out, first {future[0].day}", future)
    unique: dict[tuple[Any, ...], _Action] = {}
    repeated = []
    for action in actions:
        if action in future:
            continue
        if action.content in unique:
            repeated.append(action)
        else:
            unique[action.content] = action
    if repeated:
        note("duplicate_actions", f"{len(repeated)} repeated rows counted once", repeated)
    kept = [
        unique[content]
        for content in sorted(unique)
        if not (request.start and unique[content].day < request.start)
        and not (request.end and unique[content].day > request.end)
    ]
    lexicon = Lexicon.from_catalog(catalog)
    brokers = {firm: lexicon.broker(firm) for firm in {action.firm for action in kept}}
    unknown = [action for action in kept if not brokers[action.firm]]
    if unknown:
        firms = Counter(action.firm for action in unknown)
        names = ", ".join(firm for firm, _ in firms.most_common(10))
        note("unknown_broker", f"{len(firms)} houses are not in the catalog: {names}", unknown)
    odd = [action for action in kept if action.word not in _RATING_ACTIONS]
    if odd:
        note("unknown_action", f"actions Yahoo has not used before: {sorted({a.word[:20] for a in odd})}", odd)
    conflicts = [action for action in kept if _target_action(action)[1]]
    if conflicts:
        note("target_conflict", f"{len(conflicts)} targets moved otherwise than their word says", conflicts)
    if kept and any(action.target for action in kept):
        note("currency_unknown", f"Yahoo does not name a currency; taken to be {instrument.currency}", [])
    return Parsed(_frame(kept, instrument, brokers, request.params.get("code", request.subject)), tuple(findings))


def _frame(kept: list[_Action], instrument: Instrument, brokers: dict[str, str], code: str) -> pd.DataFrame:
    targets = [_target_action(action) for action in kept]
    return typed_frame(
        Dataset.RATING_ACTION,
        {
            "action_id": _action_ids(kept, instrument.symbol),
            "note_id": [""] * len(kept),
            "claim_id": [""] * len(kept),
            "broker_id": [brokers[action.firm] for action in kept],
            "broker_text": [action.firm for action in kept],
            "analyst": [""] * len(kept),
            "subject_text": [code] * len(kept),
            "symbol": [instrument.symbol] * len(kept),
            "action_date": [dt.datetime.combine(action.day, dt.time()) for action in kept],
            "rating_action": [_RATING_ACTIONS.get(action.word, "") for action in kept],
            "action_text": ["; ".join(filter(None, (action.word, action.target_word))) for action in kept],
            "rating": [action.to_grade for action in kept],
            "rating_prior": [action.from_grade for action in kept],
            "target_action": [target for target, _ in targets],
            "target_price": [action.target for action in kept],
            "target_price_prior": [action.target_prior for action in kept],
            "currency": [instrument.currency if action.target or action.target_prior else "" for action in kept],
            "is_conflict": [is_conflict for _, is_conflict in targets],
            "locator": [f"rows[{action.index}]" for action in kept],
        },
    )


def _action_ids(kept: list[_Action], symbol: str) -> list[str]:
    seen: Counter[tuple[Any, ...]] = Counter()
    ids = []
    for action in kept:  # in order of their content, so that the numbers are the same in every fetch
        parts = (SOURCE, action.firm, symbol, str(action.stamp), action.word)
        seen[parts] += 1
        numbered = parts if seen[parts] == 1 else (*parts, str(seen[parts]))
        ids.append(hashlib.sha256("\x1f".join(numbered).encode()).hexdigest())
    return ids


def _target_action(action: _Action) -> tuple[str, bool]:
    """RIXML's word for what the target did, and whether Yahoo's word says otherwise."""
    said = _TARGET_WORDS.get(action.target_word.casefold(), "")
    if action.target is None:
        return "", False
    if action.target_prior is None:
        return said or "Update", False
    if action.target == action.target_prior:
        done = "Reiterate"
    else:
        done = "Increase" if action.target > action.target_prior else "Decrease"
    return done, bool(said) and said != done


def _read(body: bytes, zone: ZoneInfo) -> list[_Action]:
    """The archived rows, with their types checked.

    Raises:
        PayloadError: rule ``readable``.
    """

    def refuse(message: str, locator: str = "") -> PayloadError:
        return PayloadError("readable", message, "fetch it again", locator)

    try:
        content = json.loads(body.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise refuse("the body is not JSON in UTF-8") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise refuse(f"the body is not of format {FORMAT}")
    if not isinstance(content.get("rows"), list):
        raise refuse("the body lacks its rows")
    actions = []
    for i, row in enumerate(content["rows"]):
        locator = f"rows[{i}]"
        if not isinstance(row, dict):
            raise refuse("not a row", locator)
        texts = {name: "" if row.get(name) is None else row[name] for name in _TEXTS}
        if any(not isinstance(text, str) or len(text) > 200 for text in texts.values()):
            raise refuse("a firm, grade or action is not a short text", locator)
        if not texts["firm"].strip():
            raise refuse("an action without a firm", locator)
        numbers = {name: row.get(name) for name in _NUMBERS}
        for name, value in numbers.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise refuse(f"{name} is not a number: {str(value)[:40]!r}", locator)
            if value is not None and not 0 <= value < 1e9:
                raise refuse(f"{name} is not a plausible price", locator)
        stamp = row.get("date")
        # The years 1970 to 2100; also keeps out numbers no date can hold.
        if isinstance(stamp, bool) or not isinstance(stamp, int) or not 0 <= stamp < 4_102_444_800:
            raise refuse(f"not a date: {str(stamp)[:40]!r}", locator)
        actions.append(
            _Action(
                index=i,
                stamp=stamp,
                day=dt.datetime.fromtimestamp(stamp, dt.UTC if stamp % _DAY == 0 else zone).date(),
                firm=texts["firm"].strip(),
                to_grade=texts["to_grade"].strip(),
                from_grade=texts["from_grade"].strip(),
                word=texts["action"].strip(),
                target_word=texts["target_action"].strip(),
                target=float(numbers["target"]) if numbers["target"] else None,
                target_prior=float(numbers["target_prior"]) if numbers["target_prior"] else None,
            )
        )
    return actions
