"""The rating history through the real yfinance: against hand-written answers, and against the demo upstream."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from rally_pipeline.catalog import load_catalog
from rally_pipeline.demo import anchors
from rally_pipeline.demo.server import DemoUpstream
from rally_pipeline.errors import PermanentFetchError, RateLimitedError, RetryableFetchError
from rally_pipeline.sources import yahoo, yahoo_ratings
from rally_pipeline.sources.base import FetchRequest, Payload
from rally_pipeline.sources.http import Upstream
from rally_pipeline_tests.upstream import Answer, FakeUpstream

CATALOG = load_catalog()
HOST = "query2.finance.yahoo.com"
PATH = "/v10/finance/quoteSummary/0700.HK"
START, END = dt.date(2026, 8, 1), dt.date(2026, 8, 31)
EVENING = dt.datetime(2026, 8, 31, 12, 0, tzinfo=dt.UTC)
NOON = int(dt.datetime(2026, 8, 5, 12, 0, tzinfo=dt.UTC).timestamp())


def action(**changes: Any) -> dict[str, Any]:
    base = {
        "epochGradeDate": NOON, "firm": "Macquarie", "toGrade": "Outperform", "fromGrade": "Neutral", "action": "up",
        "priceTargetAction": "Raises", "currentPriceTarget": 620.0, "priorPriceTarget": 0.0,
    }  # fmt: skip
    return {**base, **changes}


def summary(*history: dict[str, Any]) -> dict[str, Any]:
    module = {"history": list(history), "maxAge": 86400}
    return {"quoteSummary": {"result": [{"upgradeDowngradeHistory": module}], "error": None}}


def refusal(description: str) -> dict[str, Any]:
    return {"quoteSummary": {"result": None, "error": {"code": "Not Found", "description": description}}}


@pytest.fixture(autouse=True)
def _forgetful_yfinance() -> None:
    """The cookie and crumb of yfinance live as long as the process; each test starts without."""
    from yfinance.data import SingletonMeta

    SingletonMeta._instances.clear()


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as server:
        server.route("fc.yahoo.com", "/", Answer("", status=404))
        server.route("query1.finance.yahoo.com", "/v1/test/getcrumb", Answer("cRuMb"))
        yield server


@pytest.fixture
def upstream(fake: FakeUpstream) -> Iterator[Upstream]:
    with Upstream(base=fake.base, timeout_seconds=5, clock=lambda: EVENING, sleep=lambda _: None) as made:
        yield made


def request() -> FetchRequest:
    (made,) = yahoo_ratings.plan(CATALOG, START, END, symbols=["0700.HK"], today=END)
    return made


def fetched(fake: FakeUpstream, upstream: Upstream, answer: Any) -> Payload:
    fake.route(HOST, PATH, answer if isinstance(answer, Answer | list) else Answer(answer))
    return yahoo_ratings.fetch(request(), upstream)


def test_one_request_with_a_crumb(fake: FakeUpstream, upstream: Upstream) -> None:
    payload = fetched(fake, upstream, summary(action(), action(firm="UBS", epochGradeDate=NOON + 60)))
    (asked,) = fake.asked(HOST)
    assert (asked.param("modules"), asked.param("crumb")) == ("upgradeDowngradeHistory", "cRuMb")
    assert (payload.status, payload.fetched_at) == (200, EVENING)
    frame = yahoo_ratings.parse(payload, CATALOG).frame
    assert frame["broker_id"].tolist() == ["macquarie", "ubs"]
    assert frame["target_price"].tolist() == [620.0, 620.0]
    assert frame["target_price_prior"].isna().all()
    assert frame["currency"].tolist() == ["HKD", "HKD"]


def test_the_body_is_canonical_and_the_same_for_equal_answers(fake: FakeUpstream, upstream: Upstream) -> None:
    payload = fetched(fake, upstream, summary(action()))
    content = json.loads(payload.body)
    assert json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == payload.body
    assert content["rows"] == [
        {
            "date": NOON, "firm": "Macquarie", "to_grade": "Outperform", "from_grade": "Neutral", "action": "up",
            "target_action": "Raises", "target": 620.0, "target_prior": 0.0,
        }
    ]  # fmt: skip
    assert b"cRuMb" not in payload.body
    assert yahoo_ratings.fetch(request(), upstream).payload_id == payload.payload_id
    assert fake.count(HOST) == 2, "nothing is served from a cache"


def test_histories_from_before_targets_were_given(fake: FakeUpstream, upstream: Upstream) -> None:
    old = {"epochGradeDate": NOON, "firm": "UBS", "toGrade": "Buy", "fromGrade": "", "action": "init"}
    frame = yahoo_ratings.parse(fetched(fake, upstream, summary(old)), CATALOG).frame
    assert frame["target_action"].tolist() == [""]
    assert frame["target_price"].isna().all()
    mixed = yahoo_ratings.parse(fetched(fake, upstream, summary(action(), old)), CATALOG).frame
    assert sorted(mixed["target_price"].fillna(-1)) == [-1, 620]


@pytest.mark.parametrize(
    "answer",
    [
        summary(),
        {"quoteSummary": {"result": [{}], "error": None}},
    ],
)
def test_known_but_rated_by_nobody(fake: FakeUpstream, upstream: Upstream, answer: Any) -> None:
    payload = fetched(fake, upstream, answer)
    assert len(yahoo_ratings.parse(payload, CATALOG).frame) == 0


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(refusal("Quote not found for symbol"), status=404), PermanentFetchError, r"does not know '0700\.HK'"),
        (Answer("Too Many Requests", status=429), RateLimitedError, "429|limit"),
        (Answer(status=503), RetryableFetchError, "503"),
        (Answer(hang_up=True), RetryableFetchError, "0700"),
        (Answer("<html>consent</html>"), PermanentFetchError, "HTML page"),
        (Answer("<html>Will be right back</html>"), RetryableFetchError, "maintenance"),
        (Answer('{"quoteSummary":{"result":[{"upg'), PermanentFetchError, "not JSON"),
        (Answer(""), PermanentFetchError, "not JSON"),
        (Answer("[]"), PermanentFetchError, "could not read"),
        (Answer({"quoteSummary": {"result": [], "error": None}}), PermanentFetchError, "could not read"),
        (Answer(summary({"firm": "UBS"})), PermanentFetchError, "could not read"),
        (Answer({"finance": {"error": {"code": "Unauthorized"}}}, status=401), PermanentFetchError, "status 401"),
    ],
)
def test_failures_are_typed(
    fake: FakeUpstream, upstream: Upstream, answer: Answer, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fetched(fake, upstream, answer)


def test_a_failure_is_not_remembered(fake: FakeUpstream, upstream: Upstream) -> None:
    with pytest.raises(PermanentFetchError):
        fetched(fake, upstream, Answer("[]"))
    assert len(yahoo_ratings.parse(fetched(fake, upstream, summary(action())), CATALOG).frame) == 1


def test_the_demo_upstream_plays_it() -> None:
    first, last = anchors.WORLD_START, anchors.WORLD_END
    with DemoUpstream() as demo, Upstream(base=demo.base_url) as upstream:
        requests = yahoo_ratings.plan(CATALOG, first, last, today=last)
        parsed = {r.subject: yahoo_ratings.parse(yahoo_ratings.fetch(r, upstream), CATALOG) for r in requests}
        prices = yahoo.plan(CATALOG, dt.date(2025, 2, 3), last, symbols=["9988.HK"], today=last)
        assert len(yahoo.parse(yahoo.fetch(prices[0], upstream), CATALOG).frame), "prices and ratings share a session"
    frame = parsed["9988.HK"].frame
    assert len(frame) >= 5
    assert (frame["broker_id"] == "").sum() == 1
    assert set(frame["rating_action"]) >= {"Upgrade", "Reiterate", "Initiate"}
    assert parsed["BABA"].frame["is_conflict"].sum() == 1
    assert len(parsed["1299.HK"].frame) == 0


def test_the_demo_knows_nothing_of_the_future() -> None:
    with DemoUpstream(end=dt.date(2024, 12, 31)) as demo:
        answer = demo.answer(f"/{HOST}/v10/finance/quoteSummary/9988.HK?modules=upgradeDowngradeHistory&crumb=x")
        history = json.loads(answer.body)["quoteSummary"]["result"][0]["upgradeDowngradeHistory"]["history"]
        assert history
        assert all(row["demo"] and row["epochGradeDate"] < 1735689600 for row in history)
        assert demo.answer(f"/{HOST}/v10/finance/quoteSummary/9988.HK?modules=upgradeDowngradeHistory").status == 401
        for symbol in ("^HSI", "NOPE"):
            target = f"/{HOST}/v10/finance/quoteSummary/{symbol}?modules=upgradeDowngradeHistory&crumb=x"
            assert demo.answer(target).status == 404
