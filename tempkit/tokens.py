"""generate_temp_token: ask the streaming service for a temporary token.

The one place that knows what to ask the service for, and what it answers. Source: AssemblyAI's
"Generate streaming token" page.
"""

import json
import logging
import os
import socket
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import closing, suppress
from functools import lru_cache, partial
from http.client import responses
from typing import Any, NoReturn, Self, cast
from urllib.parse import urlencode

import httpx

from tempkit.config import URL_VARIABLE, Settings
from tempkit.errors import ConfigurationError, ProtocolError, TempkitError, TokenRefused
from tempkit.network import Deadline, route_to, unreachable
from tempkit.parameters import (
    EXPIRES_IN_SECONDS,
    MAX_SESSION_DURATION_SECONDS,
    check_whole_number,
)

Details = dict[str, Any]

log = logging.getLogger(__name__)
logging.getLogger("httpcore.socks").setLevel(logging.INFO)  # at DEBUG it shows a proxy's login

KEEPALIVE_SECONDS = 55.0  # a quiet page should not pay a TLS handshake for each token
LARGEST_ANSWER = 64 * 1024  # bytes; a token is about 2,600
DEATHS = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
FIXED_HEADERS = {"User-Agent": "tempkit", "Accept": "application/json"}
URL = lru_cache(64)(httpx.URL)  # to read one takes a tenth of a request
NO_BODY = httpx.ByteStream(b"")
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # that httpx makes none: it trusts nobody

ADVICE = {
    400: "correct the parameter that the text names",
    401: "check the API key",
    402: "check the account's balance",
    403: "check that the API key may use streaming",
    404: f"check {URL_VARIABLE}: this host has no /v3/token",
    422: "correct the parameter that the text names",
    429: "too many tokens in a short time; wait a minute",
}


class TemporaryToken(str):
    """A temporary token: the string itself, with its expiry; masked in the repr.

    ``expires_at`` is Unix seconds: until then it may open a session, once. The session itself may
    last ``max_session_duration_seconds``. ``is_spent`` says that this process has used it, and
    ``refusal`` why the service would not have it, an empty string as a rule.
    """

    expires_at: float
    expires_in_seconds: int
    max_session_duration_seconds: int
    is_spent: bool
    refusal: str

    def __new__(
        cls,
        token: str,
        *,
        expires_at: float,
        expires_in_seconds: int,
        max_session_duration_seconds: int = MAX_SESSION_DURATION_SECONDS[1],
    ) -> Self:
        """The token's string with its expiry attached."""
        self = super().__new__(cls, token)
        self.expires_at = expires_at
        self.expires_in_seconds = expires_in_seconds
        self.max_session_duration_seconds = max_session_duration_seconds
        self.is_spent = False
        self.refusal = ""
        return self

    def __repr__(self) -> str:
        """How long the token may still be used; never the token."""
        return f"<TemporaryToken, {self.seconds_left():.0f} of {self.expires_in_seconds} s left>"

    def __reduce__(self) -> NoReturn:
        """A secret is never stored."""
        raise TypeError("a TemporaryToken is a secret and is not stored; take a new one")

    def __copy__(self) -> Self:
        """Itself: a string never changes."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """Itself: a string never changes."""
        return self

    def spend(self) -> None:
        """Mark the token as used for a session. Raises ValueError when it was used before."""
        if self.is_spent:
            raise ValueError(
                "this temporary token has opened a session already, and each opens one; "
                "take another with generate_temp_token()"
            )
        self.is_spent = True

    def refuse(self, reason: str) -> None:
        """Note why the service opened no session with it, in its own words."""
        self.refusal = reason.replace(str(self), "***") or "no reason given"

    def seconds_left(self, now: float | None = None) -> float:
        """Seconds until the token can open no session any more, 0.0 when it is too late."""
        return max(0.0, self.expires_at - (time.time() if now is None else now))


def generate_temp_token(
    expires_in_seconds: int = 60,
    *,
    max_session_duration_seconds: int | None = None,
    settings: Settings | None = None,
) -> TemporaryToken:
    """A new temporary token that can open one streaming session within 1 to 600 seconds.

    ``max_session_duration_seconds`` (60 to 10800) caps that session; without it the service's own
    cap holds. ``settings`` None reads the environment and .env. Raises ValueError (range),
    ConfigurationError (key), TokenRefused, ServiceUnreachable or ProtocolError; all but the first
    are logged as well.
    """
    check_whole_number("expires_in_seconds", expires_in_seconds, EXPIRES_IN_SECONDS)
    query = {"expires_in_seconds": expires_in_seconds}
    if max_session_duration_seconds is not None:
        name, limits = "max_session_duration_seconds", MAX_SESSION_DURATION_SECONDS
        check_whole_number(name, max_session_duration_seconds, limits)
        query[name] = max_session_duration_seconds
    try:
        settings = settings or Settings.from_env()
        asked_at = time.time()
        answer = _ask(settings, f"/v3/token?{urlencode(query)}", settings.require_key())
        token = _token_in(*answer, settings)
    except TempkitError as error:
        log.error("Error generating temp token: %s", error)
        raise
    return TemporaryToken(
        token,
        expires_at=asked_at + expires_in_seconds,
        expires_in_seconds=expires_in_seconds,
        max_session_duration_seconds=query.get(
            "max_session_duration_seconds", MAX_SESSION_DURATION_SECONDS[1]
        ),
    )


def _token_in(status: int, answer: bytes, settings: Settings) -> str:
    """The token in the service's answer; raises what the answer stands for otherwise."""
    try:
        body = json.loads(answer)
    except ValueError:
        body = None
    if status >= 400:
        advice = ADVICE.get(status, "the service is in trouble; try again in a minute")
        detail = _detail(body) or f"{responses.get(status, 'an error')}, without a reason"
        secret = settings.api_key or ""
        raise TokenRefused(status, detail.replace(secret, "***") if secret else detail, advice)
    if status != 200:
        text = f"the token request was answered with HTTP {status}; check {URL_VARIABLE}"
        raise ProtocolError(text)
    token = body.get("token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        what = "not JSON" if body is None else "no such field"
        text = f"the service answered 200 without a token: {what}; check {URL_VARIABLE}"
        raise ProtocolError(text)
    return token


def _detail(body: object) -> str:
    """The service's own words in an error body: ``error``, or a list of what is wrong where."""
    if not isinstance(body, dict):
        return ""
    detail = body.get("error") or body.get("detail") or body.get("message")
    if isinstance(detail, list):
        problems = [problem for problem in detail if isinstance(problem, dict)]
        return "; ".join(f"{_place(problem)}: {problem.get('msg', '?')}" for problem in problems)
    return detail[:500] if isinstance(detail, str) else ""


def _place(problem: dict[str, object]) -> str:
    place = problem.get("loc")
    return str(place[-1]) if isinstance(place, list) and place else "?"


def prepare(settings: Settings) -> None:
    """Make ready what the first token would have to wait for."""
    with suppress(ConfigurationError):  # the first token raises it
        _Line(settings).close()


# Idle lines by base URL, the one used last on top. One pool for all threads, as in an httpx.Client,
# would cost with the square of its connections.
_idle: defaultdict[str, deque["_Line"]] = defaultdict(deque)
if hasattr(os, "register_at_fork"):  # a forked child has no part in its parent's connections
    os.register_at_fork(after_in_child=_idle.clear)


def _ask(settings: Settings, target: str, key: str) -> tuple[int, bytes]:
    """The answer's status and body; asked once more when a kept line had died meanwhile."""
    kept = _idle[settings.base_url]
    with Deadline(settings.timeout) as deadline:
        line = _kept_line(kept) or _Line(settings)
        while True:
            try:
                answer = line.ask(settings.base_url + target, key, deadline)
                break
            except BaseException as error:  # Ctrl-C must leave no socket behind either
                line.close()
                if isinstance(error, TempkitError) or not isinstance(error, Exception):
                    raise
                is_late = not deadline.seconds_left or isinstance(error, httpx.TimeoutException)
                if is_late or not (line.may_have_died and isinstance(error, DEATHS)):
                    refusal = str(error) if isinstance(error, httpx.ProxyError) else None
                    raise unreachable(settings, line.route, error, is_late, refusal) from error
            line = _Line(settings)
    if line.is_open:
        kept.append(line)
    return answer


def _kept_line(kept: deque["_Line"]) -> "_Line | None":
    """The line used last; those that nobody has used for long are closed."""
    oldest = time.monotonic() - KEEPALIVE_SECONDS
    try:
        while kept[0].used_at < oldest:
            kept.popleft().close()
        return kept.pop()
    except IndexError:
        return None


class _Line:
    """One connection to the service, for one request at a time."""

    def __init__(self, settings: Settings) -> None:
        self.route = route = route_to(settings)
        self._transport = httpx.HTTPTransport(
            verify=route.tls or NO_TLS,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_SECONDS),
            proxy=httpx.Proxy(route.proxy, ssl_context=route.proxy_tls) if route.proxy else None,
        )
        self._socket: socket.socket | None = None
        self.used_at = 0.0
        self.is_open = False
        self.may_have_died = False  # it was kept, and nothing has come back yet

    def ask(self, address: str, key: str, deadline: Deadline) -> tuple[int, bytes]:
        """The whole answer, by the deadline however slowly it drips in."""
        url = URL(address)
        headers = FIXED_HEADERS | {"Host": url.netloc.decode(), "Authorization": key}
        request = httpx.Request("GET", url, headers=headers, stream=NO_BODY)
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), deadline.seconds_left)
        request.extensions = {"timeout": timeouts}
        request.extensions["trace"] = partial(self._follow, deadline, request.extensions)
        deadline.holds_for(self._socket)
        self.may_have_died = self._socket is not None
        body = bytearray()
        with closing(self._transport.handle_request(request)) as response:
            self.may_have_died = False
            for piece in cast("Iterable[bytes]", response.stream):
                body += piece
                if len(body) > LARGEST_ANSWER:
                    raise ProtocolError("the token answer is far too long to be one")
        if not deadline.seconds_left:  # what was cut may look whole
            raise httpx.ReadTimeout("the answer took too long")
        if response.status_code == 407 and self.route.proxy:  # without TLS there is no tunnel
            raise httpx.ProxyError("407")
        self.is_open = self._socket is not None and self._socket.fileno() != -1
        self.used_at = time.monotonic()
        return response.status_code, bytes(body)

    def _follow(self, deadline: Deadline, extensions: Details, event: str, info: Details) -> None:
        """Called by httpx on its way: the deadline needs the socket of a new connection."""
        if event.endswith("connect_tcp.started"):
            self.may_have_died = False
        elif self.may_have_died:
            extensions.pop("trace", None)  # nothing new here, and each call takes its time
        elif event.endswith("start_tls.started"):  # meanwhile the socket is in nobody's hands
            info["timeout"] = max(0.001, deadline.seconds_left)
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")
            deadline.holds_for(self._socket)

    def close(self) -> None:
        """Close the connection, at whatever point it is."""
        self._transport.close()
        if self._socket is not None:
            self._socket.close()
