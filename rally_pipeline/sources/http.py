"""The one place that speaks HTTP: time-outs, size bound, retries, pacing, redirects and typed failures.

Belongs here: how an upstream is asked politely and safely, whatever it is. Does not belong here: what a particular
upstream's answer means, or the environment (``RALLY_UPSTREAM_BASE`` arrives as the argument ``base``).
"""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

import tenacity

from rally_pipeline.errors import (
    BlockedFetchError,
    PermanentFetchError,
    RateLimitedError,
    RetryableFetchError,
    UsageError,
)

if TYPE_CHECKING:
    from curl_cffi.requests import Response, Session

logger = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024 * 1024
MAX_REDIRECTS = 5
#: Longest single wait between two attempts when the upstream names none.
MAX_BACKOFF_SECONDS = 30.0

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: 408 and 425 ask for a repetition by definition; the 5xx not listed (501, 505, 511 …) will not get better.
#: A clock that differs from the upstream's by more is wrong; answers out of a cache may be some hours old.
_CLOCK_OFF = dt.timedelta(days=1)
_BLOCKING_STATUS = frozenset({401, 403, 407, 451})
_RETRYABLE_STATUS = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_SECRET_NAME = re.compile(r"key|token|secret|passw|crumb|auth|sign|session|cookie|^sig$|^ut$", re.IGNORECASE)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: libcurl: returning this from the write callback aborts the transfer.
_ABORT = 0xFFFFFFFF


@dataclass(frozen=True)
class HttpAnswer:
    """A complete answer of status 2xx.

    Attributes:
        body: the bytes after content decoding (gzip and the like undone).
        status: HTTP status.
        media_type: the ``Content-Type`` header as it came, ``""`` if there was none.
        headers: header names in lower case.
        fetched_at: aware UTC time at which the last byte had arrived.
    """

    body: bytes
    status: int
    media_type: str
    headers: dict[str, str]
    fetched_at: dt.datetime


@dataclass(frozen=True)
class Exchange:
    """One finished HTTP exchange of a `yahoo_session`, for telling afterwards what the upstream really said."""

    url: str
    status: int
    media_type: str
    body: bytes
    fetched_at: dt.datetime


class _NotReadyError(RetryableFetchError):
    """A retryable status together with the seconds the upstream asked to wait, if it named any."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def safe_url(url: str) -> str:
    """`url` without user, password, fragment and the values of parameters that look like secrets: fit for a log."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.port:
            host = f"{host}:{parts.port}"
    except ValueError:
        return "(malformed address)"
    query = "&".join(
        f"{quote(name)}={'***' if _SECRET_NAME.search(name) else quote(value, safe=':,')}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def _with_params(url: str, params: Mapping[str, Any] | None) -> str:
    if not params:
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode({k: str(v) for k, v in params.items()})}"


def _split(url: str) -> tuple[str, str]:
    """Scheme and host (with port, if any) of an http(s) address.

    Raises:
        PermanentFetchError: any other scheme, no host, user or password in the address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise PermanentFetchError(f"not a usable address: {safe_url(url)}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PermanentFetchError(f"only http and https addresses are fetched, not {safe_url(url)}")
    if parts.username or parts.password:
        raise PermanentFetchError(f"an address may not carry a user or password: {safe_url(url)}")
    return parts.scheme, f"{parts.hostname}:{port}" if port else parts.hostname


def _http_date(text: str) -> dt.datetime | None:
    """The time of a header; ``None`` if it is none."""
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=dt.UTC)


class Upstream:
    """Every upstream, asked politely. Safe to share between threads; use as a context manager or `close` it.

    Args:
        base: root under which all hosts are asked instead of on the internet: ``https://HOST/PATH`` becomes
            ``BASE/HOST/PATH``, redirects included. ``None`` = the real hosts.
        timeout_seconds: for one whole exchange, from name lookup to last byte.
        max_bytes: largest body accepted, counted after decompression.
        attempts: how often one request is tried at most, when the failure is retryable.
        pace_seconds: smallest gap between two requests to one host. ``None`` = 1 second, 0 when `base` is loopback.
        retry_budget_seconds: waiting time between attempts that one host may cost over the life of this object; when
            it is spent (or ``Retry-After`` asks for more), failures are raised without further attempts, so a dead
            host costs a run of fifty symbols minutes and not hours.
        clock, monotonic, sleep: injectable time.

    Raises:
        UsageError: `base` is not an http(s) address.

    A host that answered 429 is not asked again in the life of this object: `RateLimitedError` at once.
    """

    def __init__(
        self,
        *,
        base: str | None = None,
        timeout_seconds: float = 30.0,
        max_bytes: int = MAX_BYTES,
        attempts: int = 4,
        pace_seconds: float | None = None,
        retry_budget_seconds: float = 120.0,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base = base.rstrip("/") if base else None
        if self.base is not None:
            try:
                _split(self.base)
            except PermanentFetchError as error:
                raise UsageError(f"the upstream base must be an http(s) address: {error}") from error
        self.timeout_seconds = timeout_seconds
        self.max_bytes = max_bytes
        self.attempts = max(1, attempts)
        self.retry_budget_seconds = retry_budget_seconds
        local = self.base is not None and urlsplit(self.base).hostname in _LOOPBACK
        self.pace_seconds = (0.0 if local else 1.0) if pace_seconds is None else pace_seconds
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep
        self._lock = threading.Lock()
        self._next_slot: dict[str, float] = {}
        self._limited: dict[str, str] = {}
        self._waited: dict[str, float] = {}
        self._session: Session[Response] | None = None
        self._yahoo: Any = None

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections; idempotent."""
        with self._lock:
            sessions, self._session, self._yahoo = (self._session, self._yahoo), None, None
        for session in sessions:
            if session is not None:
                session.close()

    # -- asking ----------------------------------------------------------------------------------------------------

    def get(
        self, url: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Asks for `url` and returns the whole answer; cookies are kept between calls, as a browser would.

        Raises:
            PermanentFetchError: 4xx, too large, off-host redirect, bad certificate, not http(s).
            RetryableFetchError: connection lost, time-out, cut short, 5xx; all attempts are spent.
            RateLimitedError: the host said 429, now or earlier.
        """
        session = self._own_session()
        response, fetched_at = self.exchange(
            session.request, "GET", _with_params(url, params), headers=dict(headers or {})
        )
        names = {name.lower(): value or "" for name, value in response.headers.items()}
        return HttpAnswer(response.content, response.status_code, names.get("content-type", ""), names, fetched_at)

    def yahoo_session(self) -> Any:
        """The session to hand to yfinance: the same rewriting, pacing, bounds, retries and latch as `get`.

        A subclass of ``curl_cffi.requests.Session`` which raises this project's typed errors (yfinance lets them
        through when ``yf.config.debug.hide_exceptions`` is false) and whose ``exchanges`` hold the latest answers.
        """
        with self._lock:
            if self._yahoo is None:
                self._yahoo = _yahoo_session_class()(self)
            return self._yahoo

    def exchange(
        self,
        send: Callable[..., Response],
        method: str,
        url: str,
        *,
        repeat: bool = True,
        passing: frozenset[int] = frozenset(),
        follow_to: Callable[[str], bool] | None = None,
        **options: Any,
    ) -> tuple[Response, dt.datetime]:
        """One request with retries, for sessions built on this object; sources use `get`.

        Args:
            send: ``curl_cffi``'s ``Session.request``.
            method: HTTP method.
            url: address with its query, not yet rewritten.
            repeat: whether retryable failures are tried again.
            passing: statuses of 400 and above that are returned instead of raised.
            follow_to: says whether a redirect to another host is allowed; default: never.
            options: passed on to `send`.

        Returns:
            The response with its whole (decoded) ``content`` and the address as asked for as ``url``, and the aware
            UTC time at which it was complete.

        Raises:
            PermanentFetchError, RetryableFetchError, RateLimitedError: as for `get`.
        """
        _, host = _split(url)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda e: isinstance(e, RetryableFetchError) and not isinstance(e, RateLimitedError)
            ),
            stop=functools.partial(self._enough, host, self.attempts if repeat else 1),
            wait=self._backoff,
            before_sleep=functools.partial(self._note_retry, host),
            sleep=self._sleep,
            reraise=True,
        )
        done: tuple[Response, dt.datetime] = retrying(self._follow, send, method, url, passing, follow_to, options)
        return done

    def rewritten(self, url: str) -> str:
        """Where `url` is really asked: itself, or its place under `base`."""
        if self.base is None:
            return url
        parts = urlsplit(url)
        tail = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        return f"{self.base}/{parts.netloc}{tail}"

    # -- one exchange ----------------------------------------------------------------------------------------------

    def _follow(
        self,
        send: Callable[..., Response],
        method: str,
        url: str,
        passing: frozenset[int],
        follow_to: Callable[[str], bool] | None,
        options: dict[str, Any],
    ) -> tuple[Response, dt.datetime]:
        asked = url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._once(send, method, url, options)
            fetched_at = self._clock()
            response.url = url
            if response.status_code not in _REDIRECTS:
                self._judge(response, url, passing)
                return response, fetched_at
            url = self._redirect_target(url, response.headers.get("location") or "", follow_to)
            if response.status_code == 303 or (method == "POST" and response.status_code in (301, 302)):
                method = "GET"
                options = {name: value for name, value in options.items() if name not in ("data", "json", "content")}
        raise PermanentFetchError(f"more than {MAX_REDIRECTS} redirects from {safe_url(asked)}")

    def _once(self, send: Callable[..., Response], method: str, url: str, options: dict[str, Any]) -> Response:
        from curl_cffi.requests import exceptions as curl

        _, host = _split(url)
        self._refuse_if_limited(host)
        self._pace(host)
        # Another thread may have been told 429 while this one was waiting for its slot.
        self._refuse_if_limited(host)

        body = bytearray()
        too_large = False

        def take(chunk: bytes) -> int:
            # libcurl hands over decoded bytes, at most some kilobytes at a time: a compression bomb stops here.
            nonlocal too_large
            if len(body) + len(chunk) > self.max_bytes:
                too_large = True
                return _ABORT
            body.extend(chunk)
            return len(chunk)

        try:
            response = send(
                method,
                self.rewritten(url),
                content_callback=take,
                allow_redirects=False,
                timeout=self.timeout_seconds,
                **options,
            )
        except curl.InvalidURL as error:
            raise PermanentFetchError(f"not a usable address: {safe_url(url)}") from error
        except curl.CertificateVerifyError as error:
            raise PermanentFetchError(f"the certificate of {host} is not valid; nothing was fetched") from error
        except (curl.RequestException, OSError) as error:
            if too_large:
                raise PermanentFetchError(
                    f"the answer of {safe_url(url)} is larger than {self.max_bytes:,} bytes (decompressed)"
                ) from None
            raise RetryableFetchError(f"{self._describe(error)}: {safe_url(url)}") from error
        response.content = bytes(body)
        self._refuse_if_clock_is_off(response, host)
        return response

    def _refuse_if_clock_is_off(self, response: Response, host: str) -> None:
        """What comes is known from the time of this machine on: with a wrong one, later facts would be out of order.

        Raises:
            RetryableFetchError: the upstream says that it is another day.
        """
        there = _http_date(response.headers.get("date") or "")
        if there is not None and abs(there - (here := self._clock())) > _CLOCK_OFF:
            raise RetryableFetchError(
                f"it is {here:%Y-%m-%d %H:%M} UTC here and {there:%Y-%m-%d %H:%M} UTC at {host}: nothing is taken. "
                "Fix: set the clock of this machine"
            )

    def _describe(self, error: Exception) -> str:
        from curl_cffi.requests import exceptions as curl

        # curl's own words are not repeated: they may name a proxy with its password.
        if isinstance(error, curl.Timeout):
            return f"no complete answer within {self.timeout_seconds:g} s"
        if isinstance(error, curl.IncompleteRead):
            return "the answer was cut short"
        if isinstance(error, curl.InvalidSchema):
            # The scheme was checked before; this is libcurl on an answer that does not begin like HTTP.
            return "the answer was not HTTP"
        if isinstance(error, curl.DNSError):
            return "the host name could not be resolved"
        if isinstance(error, curl.ConnectionError):
            return "the connection failed"
        return f"the exchange failed (curl error {int(getattr(error, 'code', 0) or 0)})"

    def _judge(self, response: Response, url: str, passing: frozenset[int]) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        if status == 429:
            _, host = _split(url)
            with self._lock:
                self._limited.setdefault(host, safe_url(url))
            after = response.headers.get("retry-after")
            hint = f" (Retry-After: {after[:40]})" if after else ""
            raise RateLimitedError(f"{host} said 429 Too Many Requests{hint}; it is left alone from now on")
        if status in passing:
            return
        if status in _BLOCKING_STATUS:
            raise BlockedFetchError(f"status {status} from {safe_url(url)}")
        if status in _RETRYABLE_STATUS:
            raise _NotReadyError(f"status {status} from {safe_url(url)}", self._retry_after(response))
        raise PermanentFetchError(f"status {status} from {safe_url(url)}")

    def _redirect_target(self, url: str, location: str, follow_to: Callable[[str], bool] | None) -> str:
        """The address a redirect leads to, in terms of real hosts.

        Raises:
            PermanentFetchError: it leads to another host, or from https down to http, or nowhere.
        """
        if not location:
            raise PermanentFetchError(f"a redirect without a target from {safe_url(url)}")
        target = urljoin(url, location)
        if self.base is not None:
            # A stand-in may name its own address: BASE/HOST/PATH and /HOST/PATH both mean https://HOST/PATH.
            there = urljoin(self.rewritten(url), location)
            if there.startswith(f"{self.base}/"):
                target = f"{urlsplit(url).scheme}://{there[len(self.base) + 1 :]}"
        scheme, host = _split(url)
        next_scheme, next_host = _split(target)
        if next_host != host and not (follow_to and follow_to(next_host)):
            raise PermanentFetchError(f"{safe_url(url)} redirects to another host, {next_host}; not followed")
        if scheme == "https" and next_scheme == "http":
            raise PermanentFetchError(f"{safe_url(url)} redirects from https to http; not followed")
        return target

    # -- patience --------------------------------------------------------------------------------------------------

    def _refuse_if_limited(self, host: str) -> None:
        with self._lock:
            first = self._limited.get(host)
        if first is not None:
            raise RateLimitedError(f"{host} is left alone: it said 429 Too Many Requests earlier, to {first}")

    def _pace(self, host: str) -> None:
        """Waits for this host's next slot; slots are handed out under the lock, waited for outside it."""
        if self.pace_seconds <= 0:
            return
        with self._lock:
            now = self._monotonic()
            slot = max(now, self._next_slot.get(host, now))
            self._next_slot[host] = slot + self.pace_seconds
        if slot > now:
            self._sleep(slot - now)

    def _retry_after(self, response: Response) -> float | None:
        """Seconds the upstream asks to wait (delta or HTTP date), ``None`` if it does not say or says nonsense."""
        text = (response.headers.get("retry-after") or "").strip()
        if re.fullmatch(r"\d{1,9}", text):
            return float(text)
        when = _http_date(text)
        if when is None:
            return None
        return max(0.0, (when - self._clock()).total_seconds())

    _jitter = staticmethod(tenacity.wait_random_exponential(multiplier=1, max=MAX_BACKOFF_SECONDS))

    def _backoff(self, state: tenacity.RetryCallState) -> float:
        """Exponential backoff with full jitter, but never sooner than the upstream asked for."""
        error = state.outcome.exception() if state.outcome else None
        asked = getattr(error, "retry_after", None) or 0.0
        return max(float(self._jitter(state)), asked)

    def _enough(self, host: str, attempts: int, state: tenacity.RetryCallState) -> bool:
        """Whether to give up: all attempts made, or the next wait would overdraw the host's budget."""
        if state.attempt_number >= attempts:
            return True
        with self._lock:
            return self._waited.get(host, 0.0) + state.upcoming_sleep > self.retry_budget_seconds

    def _note_retry(self, host: str, state: tenacity.RetryCallState) -> None:
        with self._lock:
            self._waited[host] = self._waited.get(host, 0.0) + state.upcoming_sleep
        error = state.outcome.exception() if state.outcome else None
        logger.info("attempt %d: %s; again in %.1f s", state.attempt_number, error, state.upcoming_sleep)

    def _own_session(self) -> Session[Response]:
        with self._lock:
            if self._session is None:
                from curl_cffi.requests import Session

                self._session = Session(**self._session_options())
            return self._session

    def _session_options(self) -> dict[str, Any]:
        """What every curl_cffi session of this object is built with."""
        from curl_cffi import CurlOpt

        # A stand-in upstream is asked directly, never through a proxy of the surroundings.
        direct = {CurlOpt.NOPROXY: "*"} if self.base is not None else {}
        return {"impersonate": "chrome", "curl_options": direct}


#: Yahoo's cookie, crumb and consent steps. They are worth one try each and never worth failing for.
_YAHOO_AUTH = re.compile(r"^https://(fc|guce|consent|[a-z.]*consent)\.yahoo\.com(/|$)|/v1/test/getcrumb")

#: Statuses that carry Yahoo's explanation in their body (unknown symbol, no data in the range).
_FINAL_FOR_YAHOO = frozenset({400, 404, 422})


@functools.cache
def _yahoo_session_class() -> type:
    # Built on first use: importing curl_cffi costs, and replaying an archive needs no HTTP.
    from curl_cffi.requests import Response, Session
    from curl_cffi.requests.exceptions import RequestException

    class YahooSession(Session[Response]):  # type: ignore[misc]
        """See `Upstream.yahoo_session`."""

        def __init__(self, upstream: Upstream) -> None:
            super().__init__(**upstream._session_options())
            self._upstream = upstream
            self._given_up: set[str] = set()
            #: The latest answers with a status, oldest first (not those that failed below HTTP).
            self.exchanges: deque[Exchange] = deque(maxlen=8)

        def request(self, method: Any, url: str, params: Any = None, **options: Any) -> Response:
            """As in curl_cffi, except that redirects, time-out and size are the `Upstream`'s to decide.

            Raises:
                PermanentFetchError, RetryableFetchError, RateLimitedError: for data. 401 and 403 are returned, since
                    yfinance then renews its cookie and asks once more.
                curl_cffi RequestException: for the cookie and crumb steps, without which yfinance goes on.
            """
            full = _with_params(url, params)
            for name in ("timeout", "allow_redirects", "content_callback", "stream"):
                options.pop(name, None)
            step = urlsplit(url)._replace(query="", fragment="").geturl()
            is_auth = _YAHOO_AUTH.search(url) is not None
            if is_auth and step in self._given_up:
                raise RequestException(f"not asked again after a failure: {safe_url(url)}")
            try:
                response, fetched_at = self._upstream.exchange(
                    super().request,
                    method,
                    full,
                    repeat=not is_auth,
                    # Yahoo's cookie host answers 404, with the cookie, when all is well; the body of a refused
                    # getcrumb would be taken for a crumb.
                    passing=frozenset() if "getcrumb" in url else _FINAL_FOR_YAHOO | {401, 403},
                    follow_to=(lambda host: host == "yahoo.com" or host.endswith(".yahoo.com")) if is_auth else None,
                    **options,
                )
            except (PermanentFetchError, RetryableFetchError) as error:
                if not is_auth:
                    raise
                self._given_up.add(step)
                raise RequestException(str(error)) from error
            self.exchanges.append(
                Exchange(
                    safe_url(full),
                    response.status_code,
                    response.headers.get("content-type") or "",
                    response.content,
                    fetched_at,
                )
            )
            if not is_auth and response.status_code in _FINAL_FOR_YAHOO:
                # Raised here and not returned: for any status of 400 and above yfinance runs through both of its
                # cookie strategies and asks again, which is five requests to learn the same thing.
                raise PermanentFetchError(f"status {response.status_code} from {safe_url(full)}")
            return response

    return YahooSession
