"""The front page: the questions of the rally, answered as of any of the last days and of every event's day.

What the page shows is a text per place and day, made here once; the script of the page only swaps texts, so what is
read without it, in the page as written, is the same for the last day. Belongs here: which figure answers which
question, and how it is worded. Does not belong here: computing figures (`marts/`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rally_pipeline.publish.site import hot_money, positioning, ratings
from rally_pipeline.publish.site.formats import (
    billions,
    day,
    millions,
    money,
    month,
    number,
    ordinal,
    percent,
    plural,
    words,
)
from rally_pipeline.publish.site.notes import VERDICTS
from rally_pipeline.publish.site.southbound import rush_month
from rally_pipeline.publish.site.world import (
    HEADLINE,
    LUNAR_NEW_YEAR,
    SHARE,
    TECH,
    ByDay,
    Event,
    Row,
    World,
    by_day,
)
from rally_pipeline.schema import core_notes, mart, mart_flows, mart_notes

#: Days that can be chosen, besides those of events.
SESSIONS = 60
#: How far back an event's day can be chosen, and how far before a day its figures may stand.
_EVENT_DAYS = 3 * 365
_STALE_DAYS = 31
#: Shown in the scoreboard after the headline indices, where the catalog has them.
_BOARD = (TECH, "^HSCE", SHARE, "0700.HK", "MCHI")
_EVENTS = 3
_RECENT_DAYS = 30
_LISTED = 60
_BAR = 100.0
_NOT_YET = "no session yet"


@dataclass(frozen=True)
class _Figures:
    """The rows that answers are made of, each to be asked for as of a day."""

    headline: Mapping[dt.date, list[Row]]
    performance: Mapping[str, ByDay[Row]]
    extremes: Mapping[str, ByDay[Row]]
    volume: ByDay[Row]
    since: Mapping[tuple[str, str], ByDay[Row]]
    southbound: Mapping[str, ByDay[Row]]
    flow: ByDay[Row]
    rush: Mapping[tuple[int, dt.date], Row]
    money: ByDay[Row]
    claims: Sequence[Row]
    statements: Sequence[Row]
    opinions: Sequence[Row]
    targets: Sequence[Row]


def page(world: World) -> dict[str, Any]:
    """What the page shows: the days to choose from, and the text of every place on each of them."""
    days = chosen_days(world)
    figures = _read(world, days)
    board = _board(world)
    texts = [_texts(world, figures, board, one) for one in days]
    keys = sorted({key for one in texts for key in one})
    return {
        "days": days,
        "keys": {key: number for number, key in enumerate(keys)},
        "texts": texts[-1] if texts else {},
        "data": {
            "days": [one.isoformat() for one in days],
            "texts": [[one.get(key, "") for key in keys] for one in texts],
        },
        "events": [event for event in reversed(world.events) if event.day in set(days)][:4],
        "headline": range(1, 1 + max((len(rows) for rows in figures.headline.values()), default=0)),
        "board": board,
        "event_count": _EVENTS,
        "indicators": hot_money.INDICATORS,
        "statements": [positioning.statement(world, row) for row in figures.statements[:_LISTED]],
        "opinions": [_opinion(world, row) for row in figures.opinions[:_LISTED]],
        "targets": [ratings.action(world, row) for row in figures.targets[:_LISTED]],
        "verdicts": [v for v in VERDICTS.values() if v.code != "none"],
        "share": world.name(SHARE),
        "tech": world.name(TECH),
        "recent_days": _RECENT_DAYS,
    }


def chosen_days(world: World) -> list[dt.date]:
    """The days that can be chosen: the last sessions, and every event's day."""
    start = world.as_of - dt.timedelta(days=_EVENT_DAYS)
    return sorted({*world.days[-SESSIONS:], *(event.day for event in world.events if event.day >= start)})


def _board(world: World) -> list[str]:
    headline = [i.symbol for i in world.instruments.values() if i.leaderboard == HEADLINE]
    return sorted(headline, key=lambda s: (s != "^HSI", s)) + [
        s for s in _BOARD if s in world.instruments and s not in headline
    ]


def _read(world: World, days: Sequence[dt.date]) -> _Figures:
    symbols = _board(world)
    start, end = min(days, default=world.as_of) - dt.timedelta(days=_STALE_DAYS), world.as_of
    board, performance, extreme = (
        mart.mart_leaderboard_daily,
        mart.mart_index_performance_daily,
        mart.mart_price_extremes_daily,
    )
    volume, since = mart.mart_trading_volume_daily, mart.mart_price_since_event_daily
    flow, flow_since = mart_flows.mart_southbound_daily, mart_flows.mart_southbound_since_event
    best = mart_flows.mart_southbound_best_window_monthly

    def of(table: sa.Table) -> sa.Select[Any]:
        query = sa.select(table).where(table.c.session_date.between(start, end)).order_by(table.c.session_date)
        return query.where(table.c.symbol.in_(symbols)) if "symbol" in table.c else query

    headline: dict[dt.date, list[Row]] = {}
    query = (
        sa.select(board)
        .where(board.c.leaderboard == HEADLINE, board.c.as_of_date.between(start, end))
        .order_by(board.c.ytd_rank)
    )
    for row in world.rows(query):
        headline.setdefault(row["as_of_date"], []).append(row)
    events = [event.event_id for event in world.events]
    rushes = world.rows(sa.select(best).where(best.c.month.in_({rush_month(one) for one in days})))
    total = world.rows(of(flow).where(flow.c.channel == "total"))
    money_rows = hot_money.rows(world)
    return _Figures(
        headline=headline,
        performance=by_day(world.rows(of(performance)), lambda r: r["symbol"]),
        extremes=by_day(world.rows(of(extreme)), lambda r: r["symbol"]),
        volume=ByDay((r["session_date"], r) for r in world.rows(of(volume).where(volume.c.symbol == SHARE))),
        since=by_day(world.rows(of(since).where(since.c.event_id.in_(events))), lambda r: (r["event_id"], r["symbol"])),
        southbound=by_day(world.rows(of(flow_since)), lambda r: r["event_id"]),
        flow=ByDay((row["session_date"], row) for row in total),
        rush={(row["window_sessions"], row["month"]): row for row in rushes},
        money=ByDay((row["session_date"], row) for row in money_rows),
        claims=_claims(world),
        statements=positioning.rows(world),
        opinions=_opinions(world),
        targets=[row for row in ratings.rows(world) if row["target_price"] is not None],
    )


def _claims(world: World) -> list[Row]:
    """Verdicts that stand, of claims that are not repeats, with the day their note was written for."""
    audit, note = mart_notes.mart_claim_audit, core_notes.core_note
    return world.rows(
        sa.select(audit.c.verdict, note.c.as_of_date.label("day"))
        .join(note, sa.and_(note.c.note_id == audit.c.note_id, note.c.known_to_at.is_(None)))
        .where(audit.c.is_latest.is_(True), audit.c.repeat_of == "", note.c.as_of_date <= world.as_of)
    )


def _opinions(world: World) -> list[Row]:
    """What people say of the rally that no figure measures, newest first; repeats within a note left out."""
    claim, note = core_notes.core_note_claim, core_notes.core_note
    same = sa.and_(note.c.note_id == claim.c.note_id, note.c.extractor_version == claim.c.extractor_version)
    kinds = ("hot_money", "retail", "sentiment", "policy")
    return world.rows(
        sa.select(claim)
        .join(note, sa.and_(same, note.c.known_to_at.is_(None)))
        .where(claim.c.known_to_at.is_(None), claim.c.claim_type.in_(kinds), claim.c.repeat_of == "")
        .where(claim.c.as_of_date <= world.as_of)
        .order_by(claim.c.as_of_date.desc(), claim.c.claim_type, claim.c.claim_id)
    )


def _opinion(world: World, row: Row) -> dict[str, Any]:
    who = ", ".join(name for name in (row["speaker"], row["broker_text"]) if name)
    return {
        "day": row["as_of_date"],
        "kind": words(row["claim_type"]),
        "quote": " ".join(row["quote"].split()),
        "who": who or words(row["source_kind"]),
        "note": world.claim_link(row["note_id"], row["claim_id"]),
    }


def _texts(world: World, figures: _Figures, board: Sequence[str], on: dt.date) -> dict[str, str]:
    found: dict[str, str] = {"day": day(on)}
    found |= _headline(world, figures, on)
    found |= _tech(world, figures, on)
    found |= _flows(world, figures, on)
    found |= _money(figures, on)
    found |= _share(world, figures, on)
    found |= _scoreboard(world, figures, board, on)
    found |= _said(figures, on)
    return found


def _headline(world: World, figures: _Figures, on: dt.date) -> dict[str, str]:
    earlier = [one for one in world.days if one <= on]
    rows = figures.headline.get(earlier[-1], []) if earlier else []
    most = max((abs(row["ytd_return_pct"] or 0.0) for row in rows), default=0.0) or 1.0
    found: dict[str, str] = {}
    for place, row in enumerate(rows, start=1):
        at = figures.performance[row["symbol"]].at(on) if row["symbol"] in figures.performance else None
        base = "no base" if row["base_close"] is None else f"{number(row['base_close'])} on {day(row['base_date'])}"
        found |= {
            f"h{place}.rank": str(row["ytd_rank"] or "–"),
            f"h{place}.name": row["name"],
            f"h{place}.ytd": percent(row["ytd_return_pct"]),
            f"h{place}.tone": _tone(row["ytd_return_pct"]),
            f"h{place}.width": f"{_BAR * abs(row['ytd_return_pct'] or 0.0) / most:.1f}",
            f"h{place}.calc": f"{number(row['close'])} on {day(row['session_date'])}, from {base}",
            f"h{place}.source": at["source"] if at else "",
        }
    return found


def _tech(world: World, figures: _Figures, on: dt.date) -> dict[str, str]:
    extreme, performance = (
        rows[TECH].at(on) if TECH in rows else None for rows in (figures.extremes, figures.performance)
    )
    if extreme is None or performance is None:
        return {"t.rise": "–", "t.meta": _NOT_YET}
    unit = world.instrument(TECH).unit
    return {
        "t.rise": percent(extreme["rise_from_trough_pct"]),
        "t.tone": _tone(extreme["rise_from_trough_pct"]),
        "t.trough": (
            f"from {number(extreme['trough_close'])} on {day(extreme['trough_date'])}, its lowest close of 60 sessions"
        ),
        "t.high": _yes(extreme["is_3y_high"]),
        "t.high.tone": _yes_tone(extreme["is_3y_high"]),
        "t.since": _since(extreme["highest_since_date"]),
        "t.meta": (
            f"{number(extreme['close'])} {unit} on {day(extreme['session_date'])} · source {performance['source']}"
        ),
    }


def _flows(world: World, figures: _Figures, on: dt.date) -> dict[str, str]:
    event = next((e for e in reversed(world.events) if e.event_id.startswith(LUNAR_NEW_YEAR) and e.day <= on), None)
    row = (
        figures.southbound[event.event_id].at(on)
        if event is not None and event.event_id in figures.southbound
        else None
    )
    if event is None or row is None:
        return {"s.net": "–", "s.meta": "no southbound session since an event yet"}
    sessions, until = row["sessions_since_event"], day(row["session_date"])
    found = {
        "s.event": f"since {event.short}",
        "s.net": billions(row["net_buy_hkd_mn"], "HKD"),
        "s.tone": _tone(row["net_buy_hkd_mn"]),
        "s.usd": billions(row["net_buy_usd_mn"], "USD"),
        "s.parts": (
            f"Shanghai {billions(row['net_buy_sse_hkd_mn'], 'HKD')}, "
            f"Shenzhen {billions(row['net_buy_szse_hkd_mn'], 'HKD')}"
        ),
        "s.window": f"{plural(sessions, 'session')}, {day(row['window_start_date'])} to {until}",
        "s.rank": f"{ordinal(row['window_rank'])} of {plural(row['window_count'], 'window')} of that length",
        "s.best": (
            f"Best before: {billions(row['best_window_hkd_mn'], 'HKD')}, ended {day(row['best_window_end_date'])}"
            if row["best_window_hkd_mn"] is not None
            else "No earlier window of that length"
        ),
    }
    rush = rush_month(row["event_date"])
    best = figures.rush.get((sessions, rush))
    found["s.rush.name"] = f"Best {plural(sessions, 'session')} of {month(rush)}"
    if best is None:
        found |= {"s.rush": "–", "s.ratio": "windows are compared up to 60 sessions, within what history has"}
    else:
        ratio = row["net_buy_hkd_mn"] / best["best_net_buy_hkd_mn"] if best["best_net_buy_hkd_mn"] > 0 else None
        found["s.rush"] = billions(best["best_net_buy_hkd_mn"], "HKD")
        ended = f"ended {day(best['best_end_date'])}"
        found["s.ratio"] = f"{ended}; now {number(ratio)} times that" if ratio is not None else ended
    flow = figures.flow.at(on)
    found["s.meta"] = f"net buying, both channels, up to {until} · source {flow['source'] if flow else '–'}"
    return found


def _money(figures: _Figures, on: dt.date) -> dict[str, str]:
    row = figures.money.at(on)
    found = {f"m.{i.column}": i.text(row[i.column]) if row else "–" for i in hot_money.INDICATORS}
    found["m.meta"] = f"session of {day(row['session_date'])} · computed in mart_hot_money_daily" if row else _NOT_YET
    return found


def _share(world: World, figures: _Figures, on: dt.date) -> dict[str, str]:
    extreme, performance = (
        rows[SHARE].at(on) if SHARE in rows else None for rows in (figures.extremes, figures.performance)
    )
    if extreme is None or performance is None:
        return {"a.ytd": "–", "a.meta": _NOT_YET}
    currency = world.instrument(SHARE).currency
    base = (
        "no base"
        if performance["base_close"] is None
        else f"{money(performance['base_close'], currency)} on {day(performance['base_date'])}"
    )
    found = {
        "a.close": money(performance["close"], currency),
        "a.ytd": percent(performance["ytd_return_pct"]),
        "a.tone": _tone(performance["ytd_return_pct"]),
        "a.calc": f"this year, from {base}",
        "a.high": _yes(extreme["is_3y_high"]),
        "a.high.tone": _yes_tone(extreme["is_3y_high"]),
        "a.since": _since(extreme["highest_since_date"]),
        "a.meta": f"close of {day(performance['session_date'])} · source {performance['source']}",
    }
    volume = figures.volume.at(on)
    if volume is None or volume["mtd_volume_shares"] is None:
        return {**found, "a.volume": "–", "a.record": "no volume yet"}
    found["a.month"] = f"Volume, {month(volume['session_date'])} so far"
    found["a.volume"] = f"{millions(volume['mtd_volume_shares'])} shares"
    if volume["previous_record_volume_shares"]:
        record = f"{millions(volume['previous_record_volume_shares'])} in {month(volume['previous_record_month'])}"
        is_record = "A record month already; before" if volume["is_record_volume"] else "Not a record; the record is"
        found["a.record"] = f"{is_record} {record} (up to {day(volume['session_date'])})"
    return found


def _scoreboard(world: World, figures: _Figures, board: Sequence[str], on: dt.date) -> dict[str, str]:
    events = _events_on(world, on)
    found = {f"e{n}": event.short for n, event in enumerate(events)}
    found |= {f"e{n}.day": day(event.day) for n, event in enumerate(events)}
    for place, symbol in enumerate(board):
        performance, extreme = (
            rows[symbol].at(on) if symbol in rows else None for rows in (figures.performance, figures.extremes)
        )
        if performance is None or extreme is None:
            continue
        found |= {
            f"x{place}.close": number(performance["close"]),
            f"x{place}.day": day(performance["session_date"]),
            f"x{place}.source": performance["source"],
            f"x{place}.ytd": percent(performance["ytd_return_pct"]),
            f"x{place}.ytd.tone": _tone(performance["ytd_return_pct"]),
            f"x{place}.rise": percent(extreme["rise_from_trough_pct"]),
            f"x{place}.high": _yes(extreme["is_3y_high"]),
            f"x{place}.high.tone": _yes_tone(extreme["is_3y_high"]),
        }
        for n, event in enumerate(events):
            rows = figures.since.get((event.event_id, symbol))
            at = rows.at(on) if rows else None
            found[f"x{place}.e{n}"] = percent(at["return_pct"]) if at else "–"
            found[f"x{place}.e{n}.tone"] = _tone(at["return_pct"] if at else None)
    return found


def _events_on(world: World, on: dt.date) -> list[Event]:
    """The last events on or before a day, latest first; a yearly one until its next occurrence."""
    past = [e for e in world.events if e.day <= on and (e.until is None or e.until > on)]
    return past[::-1][:_EVENTS]


def _said(figures: _Figures, on: dt.date) -> dict[str, str]:
    start = on - dt.timedelta(days=_RECENT_DAYS)
    polarity = Counter(row["polarity"] for row in figures.statements if start < row["as_of_date"] <= on)
    actions = Counter(row["target_action"] for row in figures.targets if start < row["action_date"] <= on)
    verdicts = Counter(row["verdict"] for row in figures.claims if row["day"] <= on)
    found = {f"v.{code}": f"{verdicts[code]:,}" for code in VERDICTS if code}
    found["v.meta"] = f"{plural(sum(verdicts.values()), 'claim')} of notes written up to {day(on)}"
    found["p.meta"] = (
        f"{polarity[1]} bullish, {polarity[-1]} bearish, {polarity[None]} neutral in the 30 days up to {day(on)}"
    )
    found["r.meta"] = f"{actions['Increase']} raised, {actions['Decrease']} cut in the 30 days up to {day(on)}"
    return found


def _tone(value: float | None) -> str:
    return "" if not value else "up" if value > 0 else "down"


def _yes(value: bool | None) -> str:
    return {True: "Yes", False: "No", None: "Unknown"}[value]


def _yes_tone(value: bool | None) -> str:
    return {True: "yes", False: "no", None: ""}[value]


def _since(value: dt.date | None) -> str:
    return f"highest close since {day(value)}" if value else "highest close on record"
