"""`Upstream` against a real server on the loopback interface."""

from __future__ import annotations

import datetime as dt
import email.utils
import socket
import threading
from collections.abc import Iterator

import pytest

from rally_pipeline.errors import (
    BlockedFetchError,
    PermanentFetchError,
    RateLimitedError,
    RetryableFetchError,
    UsageError,
)
from rally_pipeline.sources.http import Upstream, safe_url
from rally_pipeline_tests.upstream import Answer, Asked, FakeUpstream

HOST = "data.example.org"
URL = f"https://{HOST}/file"
NOW = dt.datetime(2026, 8, 7, 9, 0, tzinfo=dt.UTC)


@pytest.fixture
def fake() -> Iterator[FakeUpstream]:
    with FakeUpstream() as server:
        yield server


class Naps:
    """Stands in for ``time.sleep`` and ``time.monotonic``: time passes only by sleeping."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)

    def monotonic(self) -> float:
        return sum(self.taken)


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def upstream(fake: FakeUpstream, naps: Naps) -> Iterator[Upstream]:
    with Upstream(base=fake.base, timeout_seconds=5, clock=lambda: NOW, sleep=naps.sleep) as made:
        yield made


def test_whole_answer(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route(HOST, "/file", Answer("a,b\n", headers={"Content-Type": "text/csv", "X-Other": "1"}))
    answer = upstream.get(URL, {"day": "2026-08-07", "q": "a b&c"}, {"Referer": "https://example.org/"})
    assert (answer.body, answer.status, answer.media_type, answer.fetched_at) == (b"a,b\n", 200, "text/csv", NOW)
    assert answer.headers["x-other"] == "1"
    (asked,) = fake.asked(HOST, "/file")
    assert (asked.param("day"), asked.param("q")) == ("2026-08-07", "a b&c")
    assert asked.headers["referer"] == "https://example.org/"


def test_query_in_the_address_and_in_params_are_both_sent(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route(HOST, "/file", Answer("x"))
    upstream.get(f"{URL}?id=DEXHKUS", {"from": "1"})
    (asked,) = fake.asked(HOST)
    assert (asked.param("id"), asked.param("from")) == ("DEXHKUS", "1")


def test_special_characters_in_the_path_arrive(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route(HOST, "/chart/^HSI", Answer("x"))
    assert upstream.get(f"https://{HOST}/chart/%5EHSI").body == b"x"


def test_compressed_answer_is_decompressed(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route(HOST, "/file", Answer("a,b\n" * 1000, gzipped=True))
    assert upstream.get(URL).body == b"a,b\n" * 1000


def test_compression_bomb_stops_at_the_bound(fake: FakeUpstream) -> None:
    bomb = Answer(b"\0" * 50_000_000, gzipped=True)
    assert len(bomb.encoded()) < 60_000
    fake.route(HOST, "/file", bomb)
    with (
        Upstream(base=fake.base, max_bytes=100_000) as upstream,
        pytest.raises(PermanentFetchError, match="larger than 100,000 bytes"),
    ):
        upstream.get(URL)
    assert fake.count() == 1


def test_body_of_exactly_the_bound_is_accepted(fake: FakeUpstream) -> None:
    fake.route(HOST, "/file", [Answer(b"x" * 1000), Answer(b"x" * 1001)])
    with Upstream(base=fake.base, max_bytes=1000) as upstream:
        assert len(upstream.get(URL).body) == 1000
        with pytest.raises(PermanentFetchError, match="larger"):
            upstream.get(URL)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_permanent_status_is_asked_once(fake: FakeUpstream, upstream: Upstream, status: int) -> None:
    fake.route(HOST, "/file", Answer("no", status=status))
    with pytest.raises(PermanentFetchError, match=f"status {status}"):
        upstream.get(URL)
    assert fake.count() == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_retryable_status_then_success(fake: FakeUpstream, upstream: Upstream, naps: Naps, status: int) -> None:
    fake.route(HOST, "/file", [Answer("busy", status=status), Answer("busy", status=status), Answer("fine")])
    assert upstream.get(URL).body == b"fine"
    assert len(naps.taken) == 2
    assert naps.taken[0] <= 1, "full jitter: below 1 s, then below 2 s …"
    assert naps.taken[1] <= 2


def test_attempts_are_limited(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route(HOST, "/file", Answer("busy", status=503))
    with pytest.raises(RetryableFetchError, match="status 503") as raised:
        upstream.get(URL)
    assert not isinstance(raised.value, RateLimitedError)
    assert fake.count() == 4


def test_retry_after_is_respected(fake: FakeUpstream, upstream: Upstream, naps: Naps) -> None:
    later = "Fri, 07 Aug 2026 09:00:40 GMT"
    fake.route(
        HOST,
        "/file",
        [
            Answer(status=503, headers={"Retry-After": "17"}),
            Answer(status=503, headers={"Retry-After": later}),
            Answer("fine"),
        ],
    )
    assert upstream.get(URL).body == b"fine"
    assert naps.taken == [17, 40]


def test_retry_after_beyond_the_budget_is_not_waited_for(fake: FakeUpstream, upstream: Upstream, naps: Naps) -> None:
    fake.route(HOST, "/file", Answer(status=503, headers={"Retry-After": "3600"}))
    with pytest.raises(RetryableFetchError, match="503"):
        upstream.get(URL)
    assert (fake.count(), naps.taken) == (1, [])


def test_a_dead_host_spends_one_budget_over_many_requests(fake: FakeUpstream, naps: Naps) -> None:
    fake.route(HOST, "/file", Answer(status=503, headers={"Retry-After": "4"}))
    with Upstream(base=fake.base, retry_budget_seconds=10, sleep=naps.sleep) as upstream:
        for _ in range(5):
            with pytest.raises(RetryableFetchError):
                upstream.get(URL)
    assert sum(naps.taken) <= 10
    assert fake.count() == 5 + 2


def test_rate_limit_latches_the_host_and_no_other(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route(HOST, "/file", Answer("Too Many Requests", status=429, headers={"Retry-After": "60"}))
    fake.route("other.example.org", "/file", Answer("fine"))
    with pytest.raises(RateLimitedError, match="Retry-After: 60"):
        upstream.get(URL)
    with pytest.raises(RateLimitedError, match="earlier"):
        upstream.get(f"https://{HOST}/another")
    assert fake.count(HOST) == 1
    assert upstream.get("https://other.example.org/file").body == b"fine"
    assert fake.base not in str(upstream._limited)


@pytest.mark.parametrize(
    "broken",
    [
        Answer("0123456789" * 100, truncate_to=10),
        Answer("0123456789" * 5000, gzipped=True, truncate_to=20),
        Answer(hang_up=True),
        Answer(raw=b"\x16\x03\x01 this is not HTTP\r\n\r\n"),
        Answer(b"not gzip at all", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["cut_short", "cut_short_gzip", "hang_up", "garbage", "false_gzip"],
)
def test_broken_transfer_is_retried_and_never_half_read(fake: FakeUpstream, upstream: Upstream, broken: Answer) -> None:
    fake.route(HOST, "/file", [broken, Answer("fine")])
    assert upstream.get(URL).body == b"fine"
    fake.route(HOST, "/file", broken)
    with pytest.raises(RetryableFetchError):
        upstream.get(URL)


@pytest.mark.parametrize(
    "slow", [Answer("x", delay_seconds=5), Answer("x" * 500, drip_seconds=0.05)], ids=["silent", "dripping"]
)
def test_slow_server_times_out(fake: FakeUpstream, slow: Answer) -> None:
    fake.route(HOST, "/file", slow)
    with (
        Upstream(base=fake.base, timeout_seconds=0.25, attempts=1) as upstream,
        pytest.raises(RetryableFetchError, match=r"within 0\.25 s"),
    ):
        upstream.get(URL)


def test_refused_connection_is_retryable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        Upstream(base=f"http://127.0.0.1:{port}", attempts=1) as upstream,
        pytest.raises(RetryableFetchError, match="connection failed"),
    ):
        upstream.get(URL)


@pytest.mark.parametrize("form", ["/data.example.org/moved", "moved", "https://data.example.org/moved", "BASE"])
def test_redirect_on_the_same_host_is_followed_under_the_base(
    fake: FakeUpstream, upstream: Upstream, form: str
) -> None:
    location = f"{fake.base}/{HOST}/moved" if form == "BASE" else form
    fake.route(HOST, "/file", Answer(status=302, headers={"Location": location}))
    fake.route(HOST, "/moved", Answer("fine"))
    assert upstream.get(URL).body == b"fine"


@pytest.mark.parametrize(
    "location",
    ["https://elsewhere.example.com/x", "//elsewhere.example.com/x", "/elsewhere.example.com/x", "file:///etc/passwd"],
)
def test_redirect_elsewhere_is_refused(fake: FakeUpstream, upstream: Upstream, location: str) -> None:
    fake.route(HOST, "/file", Answer(status=301, headers={"Location": location}))
    fake.route("elsewhere.example.com", "/x", Answer("never"))
    with pytest.raises(PermanentFetchError):
        upstream.get(URL)
    assert fake.count() == fake.count(HOST)


def test_redirect_off_host_is_refused_without_a_base(fake: FakeUpstream) -> None:
    """Without rewriting, the loopback server itself is the host asked and another name of it is another host."""
    port = fake.base.rpartition(":")[2]
    fake.route("x", "/file", Answer(status=302, headers={"Location": f"http://localhost:{port}/x/moved"}))
    fake.route("x", "/moved", Answer("never"))
    with Upstream(pace_seconds=0) as upstream, pytest.raises(PermanentFetchError, match="another host"):
        upstream.get(f"{fake.base}/x/file")
    assert fake.count() == 1


def test_redirect_circle_ends(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route(HOST, "/file", Answer(status=302, headers={"Location": "file"}))
    with pytest.raises(PermanentFetchError, match="more than 5 redirects"):
        upstream.get(URL)
    assert fake.count() == 6


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hosts", "ftp://example.org/x", "gopher://example.org", "https://", "https://me:pw@example.org/", "x"],
)
def test_only_plain_http_addresses(url: str) -> None:
    with Upstream() as upstream, pytest.raises(PermanentFetchError) as raised:
        upstream.get(url)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize("base", ["ftp://127.0.0.1", "127.0.0.1:80", "http://me:pw@127.0.0.1"])
def test_wrong_base_is_refused(base: str) -> None:
    with pytest.raises(UsageError):
        Upstream(base=base)


def test_errors_and_safe_url_hide_secrets(fake: FakeUpstream, upstream: Upstream) -> None:
    with pytest.raises(PermanentFetchError) as raised:
        upstream.get(URL, {"apikey": "s3cret", "crumb": "cr/umb", "id": "DEXHKUS"})
    assert "id=DEXHKUS" in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert "umb=***" in str(raised.value)
    assert safe_url("https://u:p@h.org:8443/a?token=1&b=2#f") == "https://h.org:8443/a?token=***&b=2"


def test_pace_is_per_host_and_holds_across_threads(fake: FakeUpstream) -> None:
    fake.route(HOST, "/file", Answer("x"))
    fake.route("other.example.org", "/file", Answer("x"))
    waits: list[float] = []
    with Upstream(base=fake.base, pace_seconds=10, monotonic=lambda: 0.0, sleep=waits.append) as upstream:
        threads = [threading.Thread(target=upstream.get, args=(URL,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(waits) == [10, 20, 30]
        upstream.get("https://other.example.org/file")
        assert len(waits) == 3


def test_default_pace_is_one_second_except_on_loopback(fake: FakeUpstream) -> None:
    assert Upstream(base=fake.base).pace_seconds == 0
    assert Upstream(base="http://mirror.example.org").pace_seconds == 1
    assert Upstream().pace_seconds == 1


def test_base_is_asked_directly_despite_a_proxy(fake: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fake.route(HOST, "/file", Answer("fine"))
    with Upstream(base=fake.base, attempts=1) as upstream:
        assert upstream.get(URL).body == b"fine"
        assert upstream.yahoo_session().get(URL).content == b"fine"


def test_yahoo_session_shares_rewriting_and_latch(fake: FakeUpstream, upstream: Upstream) -> None:
    host, path = "query2.finance.yahoo.com", "/v8/finance/chart/X"
    fake.route(host, path, Answer("Too Many Requests", status=429))
    with pytest.raises(RateLimitedError):
        upstream.yahoo_session().get(f"https://{host}{path}", params={"a": 1})
    with pytest.raises(RateLimitedError):
        upstream.get(f"https://{host}/other")
    assert fake.count() == 1
    assert upstream.yahoo_session() is upstream.yahoo_session()


def test_function_routes_see_the_request(fake: FakeUpstream, upstream: Upstream) -> None:
    def echo(asked: Asked) -> Answer:
        return Answer({"path": asked.path, "q": asked.param("q")})

    fake.route(HOST, "/any/*", echo)
    assert upstream.get(f"https://{HOST}/any/thing", {"q": "1"}).body == b'{"path": "/any/thing", "q": "1"}'


@pytest.mark.parametrize(
    ("hours", "is_taken"), [(-20, True), (0, True), (20, True), (-30, False), (30, False), (9000, False)]
)
def test_nothing_is_taken_while_the_clock_is_wrong(
    fake: FakeUpstream, upstream: Upstream, hours: int, is_taken: bool
) -> None:
    there = email.utils.format_datetime(NOW + dt.timedelta(hours=hours), usegmt=True)
    fake.route(HOST, "/file", Answer({"a": 1}, headers={"Date": there}))
    if is_taken:
        assert upstream.get(URL).status == 200
    else:
        with pytest.raises(RetryableFetchError, match="Fix: set the clock"):
            upstream.get(URL)


def test_a_date_that_is_none_says_nothing_of_the_clock(fake: FakeUpstream, upstream: Upstream) -> None:
    fake.route(HOST, "/file", Answer({"a": 1}, headers={"Date": "yesterday"}))
    assert upstream.get(URL).status == 200


@pytest.mark.parametrize("status", [401, 403, 451])
def test_who_does_not_let_us_in_is_not_one_who_has_nothing(fake: FakeUpstream, upstream: Upstream, status: int) -> None:
    fake.route(HOST, "/file", Answer("no", status=status))
    with pytest.raises(BlockedFetchError):
        upstream.get(URL)
