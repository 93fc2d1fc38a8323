"""How an archived rating history is read: actions, targets, dates, identities, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rally_pipeline.catalog import load_catalog
from rally_pipeline.errors import PayloadError
from rally_pipeline.sources import yahoo_ratings
from rally_pipeline.sources.base import RATING_ACTION_COLUMNS, Dataset, Parsed, Payload, Severity, typed_frame

CATALOG = load_catalog()
START, END = dt.date(2026, 1, 1), dt.date(2026, 8, 31)
FETCHED = dt.datetime(2026, 8, 31, 20, 0, tzinfo=dt.UTC)


def stamp(day: int, clock: str = "12:30", month: int = 8, zone: str = "UTC") -> int:
    hour, minute = map(int, clock.split(":"))
    return int(dt.datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo(zone)).timestamp())


def row(**changes: Any) -> dict[str, Any]:
    base = {
        "date": stamp(3),
        "firm": "Citigroup",
        "to_grade": "Buy",
        "from_grade": "Buy",
        "action": "main",
        "target_action": "Raises",
        "target": 180.0,
        "target_prior": 165.0,
    }
    return {**base, **changes}


def payload(rows: Any, symbol: str = "BABA", **content: Any) -> Payload:
    (request,) = yahoo_ratings.plan(CATALOG, START, END, symbols=[symbol], today=END)
    body = {"format": yahoo_ratings.FORMAT, "yfinance": "1", "asked": {"code": symbol}, "rows": rows, **content}
    return Payload(request, json.dumps(body).encode(), "application/json", 200, FETCHED)


def parsed(*rows: dict[str, Any], symbol: str = "BABA") -> Parsed:
    return yahoo_ratings.parse(payload(list(rows), symbol), CATALOG)


def rules(found: Parsed) -> list[str]:
    assert all(finding.severity is Severity.WARN for finding in found.findings)
    return [finding.rule for finding in found.findings]


def only(*rows: dict[str, Any], symbol: str = "BABA") -> dict[str, Any]:
    frame = parsed(*rows, symbol=symbol).frame
    assert len(frame) == 1
    return {str(name): value for name, value in frame.iloc[0].to_dict().items()}


def test_plan_asks_for_shares_only() -> None:
    requests = yahoo_ratings.plan(CATALOG, START, END, today=dt.date(2026, 6, 30))
    asked = [request.subject for request in requests]
    assert asked == [symbol for symbol, entry in CATALOG.instruments.items() if entry.kind == "share"]
    assert "MCHI" not in asked
    assert "^HSI" not in asked
    assert {(r.source, r.parser, r.dataset, r.start, r.end) for r in requests} == {
        ("yahoo_ratings", "yahoo_ratings", Dataset.RATING_ACTION, START, dt.date(2026, 6, 30))
    }
    assert yahoo_ratings.plan(CATALOG, END, END, today=START) == []


def test_a_full_row() -> None:
    found = parsed(row())
    assert {name: str(dtype) for name, dtype in found.frame.dtypes.items()} == RATING_ACTION_COLUMNS
    action = only(row())
    assert len(action.pop("action_id")) == 64
    assert action == {
        "note_id": "", "claim_id": "", "broker_id": "citi", "broker_text": "Citigroup", "analyst": "",
        "subject_text": "BABA", "symbol": "BABA", "action_date": pd.Timestamp(2026, 8, 3),
        "rating_action": "Reiterate", "action_text": "main; Raises", "rating": "Buy", "rating_prior": "Buy",
        "target_action": "Increase", "target_price": 180.0, "target_price_prior": 165.0, "currency": "USD",
        "is_conflict": False, "locator": "rows[0]",
    }  # fmt: skip
    assert rules(found) == ["currency_unknown"]


def test_a_truth_value_that_was_not_said_is_false() -> None:
    frame = typed_frame(Dataset.RATING_ACTION, {"action_id": ["a", "b"]})
    assert frame["is_conflict"].tolist() == [False, False]


def test_nobody_rates_it() -> None:
    found = parsed()
    assert len(found.frame) == 0
    assert {name: str(dtype) for name, dtype in found.frame.dtypes.items()} == RATING_ACTION_COLUMNS
    assert found.findings == ()


@pytest.mark.parametrize(
    ("word", "action"),
    [("up", "Upgrade"), ("down", "Downgrade"), ("main", "Reiterate"), ("reit", "Reiterate"), ("init", "Initiate")],
)
def test_actions(word: str, action: str) -> None:
    assert only(row(action=word))["rating_action"] == action


def test_an_action_never_seen_is_kept_without_a_word_for_it() -> None:
    found = parsed(row(action="susp"))
    assert found.frame["rating_action"].tolist() == [""]
    assert found.frame["action_text"].tolist() == ["susp; Raises"]
    assert "unknown_action" in rules(found)


@pytest.mark.parametrize(
    ("word", "target", "prior", "action", "is_conflict"),
    [
        ("Raises", 60, 53, "Increase", False),
        ("Raises", 53, 60, "Decrease", True),
        ("Lowers", 53, 60, "Decrease", False),
        ("Lowers", 60, 53, "Increase", True),
        ("Maintains", 60, 60, "Reiterate", False),
        ("Maintains", 60, 53, "Increase", True),
        ("Raises", 60, 60, "Reiterate", True),
        ("Adjusts", 60, 53, "Increase", False),
        ("Announces", 60, 0, "Update", False),
        ("Announces", 60, None, "Update", False),
        ("Raises", 60, 0, "Increase", False),
        ("Lowers", 60, None, "Decrease", False),
        ("maintains", 60, None, "Reiterate", False),
        ("", 0, 0, "", False),
        ("Raises", None, 53, "", False),
        (None, 60, 53, "Increase", False),
    ],
)
def test_the_numbers_decide_what_a_target_did(
    word: str | None, target: float | None, prior: float | None, action: str, is_conflict: bool
) -> None:
    got = only(row(target_action=word, target=target, target_prior=prior))
    assert (got["target_action"], got["is_conflict"]) == (action, is_conflict)
    assert (got["target_price"] == target) if target else pd.isna(got["target_price"])
    assert pd.isna(got["target_price_prior"]) == (not prior)
    assert got["currency"] == ("USD" if target or prior else "")
    assert ("target_conflict" in rules(parsed(row(target_action=word, target=target, target_prior=prior)))) == (
        is_conflict
    )


@pytest.mark.parametrize(
    ("symbol", "moment", "day"),
    [
        ("BABA", stamp(4, "02:00"), 3),  # still the evening of the 3rd in New York
        ("BABA", stamp(4, "12:30"), 4),
        ("BABA", stamp(4, "00:00"), 4),  # a bare date
        ("0700.HK", stamp(4, "18:00"), 5),
        ("0700.HK", stamp(4, "09:00", zone="Asia/Hong_Kong"), 4),
    ],
)
def test_the_day_is_the_markets(symbol: str, moment: int, day: int) -> None:
    action = only(row(date=moment), symbol=symbol)
    assert action["action_date"] == pd.Timestamp(2026, 8, day)
    assert action["currency"] == CATALOG.instruments[symbol].currency


def test_dates_outside_the_request_and_after_the_fetch() -> None:
    found = parsed(
        row(date=stamp(31, month=12) - 365 * 86_400),
        row(date=stamp(3)),
        row(date=stamp(1, month=11)),
    )
    assert found.frame["locator"].tolist() == ["rows[1]"]
    assert rules(found) == ["future_date", "currency_unknown"]


def test_unknown_houses_are_named_once() -> None:
    found = parsed(row(firm="Harbour Lane"), row(firm="Harbour Lane", date=stamp(4)), row(firm="Jefferies"))
    (finding,) = [f for f in found.findings if f.rule == "unknown_broker"]
    assert "Harbour Lane" in finding.message
    assert finding.rows == 2
    assert dict(zip(found.frame["broker_text"], found.frame["broker_id"], strict=True)) == {
        "Harbour Lane": "", "Jefferies": "jefferies",
    }  # fmt: skip


def test_agencies_are_no_brokers() -> None:
    assert only(row(firm="Moody's"))["broker_id"] == ""


def test_equal_rows_count_once_and_different_ones_are_told_apart() -> None:
    found = parsed(row(), row(), row(target=190.0))
    assert rules(found) == ["duplicate_actions", "currency_unknown"]
    assert found.frame["target_price"].tolist() == [180.0, 190.0]
    assert found.frame["action_id"].is_unique


def test_identity_is_that_of_the_action_and_not_of_the_fetch() -> None:
    one, other = row(), row(date=stamp(5), firm="UBS")
    first = parsed(one, other).frame
    second = parsed(other, one, row(date=stamp(9))).frame
    assert set(first["action_id"]) < set(second["action_id"])
    assert first["action_id"].tolist() == second["action_id"].tolist()[:2], "oldest first, whatever Yahoo's order"
    for changed in (
        row(firm="Citi"), row(date=stamp(3, "12:31")), row(action="reit"),
    ):  # fmt: skip
        assert parsed(changed).frame["action_id"][0] not in set(first["action_id"])
    assert parsed(row(), symbol="9988.HK").frame["action_id"][0] not in set(first["action_id"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"date": "2026-08-03"}, "not a date"),
        ({"date": True}, "not a date"),
        ({"date": -5}, "not a date"),
        ({"date": 10**15}, "not a date"),
        ({"date": None}, "not a date"),
        ({"firm": ""}, "without a firm"),
        ({"firm": None}, "without a firm"),
        ({"firm": 7}, "not a short text"),
        ({"to_grade": ["Buy"]}, "not a short text"),
        ({"to_grade": "x" * 201}, "not a short text"),
        ({"target": "180"}, "target is not a number"),
        ({"target": True}, "target is not a number"),
        ({"target": -1}, "plausible"),
        ({"target_prior": 1e12}, "plausible"),
        ({"target": 10**400}, "plausible"),
    ],
)
def test_a_row_that_is_none(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PayloadError, match=words) as caught:
        parsed(row(), row(**changes))
    assert (caught.value.rule, caught.value.locator) == ("readable", "rows[1]")


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"format":"yahoo-daily/1","rows":[]}', b"[" * 100_000])
def test_a_body_that_is_none(body: bytes) -> None:
    with pytest.raises(PayloadError) as caught:
        yahoo_ratings.parse(dataclasses.replace(payload([]), body=body), CATALOG)
    assert caught.value.rule == "readable"


@pytest.mark.parametrize("rows", [None, {}, ["a"], [[]]])
def test_rows_that_are_none(rows: Any) -> None:
    with pytest.raises(PayloadError, match=r"rows|not a row"):
        yahoo_ratings.parse(payload(rows), CATALOG)


def test_a_share_that_left_the_catalog() -> None:
    asked = payload([row()])
    gone = dataclasses.replace(asked, request=dataclasses.replace(asked.request, subject="GONE"))
    with pytest.raises(PayloadError) as caught:
        yahoo_ratings.parse(gone, CATALOG)
    assert caught.value.rule == "symbol_known"


_PRICE = st.one_of(st.none(), st.just(0), st.floats(0.01, 10_000), st.integers(1, 2000))
_ROWS = st.builds(
    row,
    date=st.integers(stamp(1, month=1), stamp(30)),
    firm=st.sampled_from(["UBS", "Citigroup", "Nobody Ltd", "Roth MKM"]),
    action=st.sampled_from(["up", "down", "main", "init", "reit", "odd", ""]),
    target_action=st.sampled_from(["Raises", "Lowers", "Maintains", "Announces", "", None]),
    target=_PRICE,
    target_prior=_PRICE,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_ROWS, max_size=8), st.randoms())
def test_order_does_not_matter_and_nothing_is_lost(rows: list[dict[str, Any]], random: Any) -> None:
    found = parsed(*rows).frame
    assert found["action_id"].is_unique
    assert found["action_date"].is_monotonic_increasing
    shuffled = list(rows)
    random.shuffle(shuffled)
    again = parsed(*shuffled).frame
    pd.testing.assert_frame_equal(found.drop(columns="locator"), again.drop(columns="locator"))
    for _, action in found.iterrows():
        if action["target_price"] > action["target_price_prior"]:
            assert action["target_action"] == "Increase"
