"""generate_temp_token: ask the streaming service for a temporary token.

The one place that talks HTTP to the service. Source: AssemblyAI's "Generate streaming token" page.
"""

import functools
import logging
import ssl
import time
from collections import defaultdict, deque
from typing import NoReturn, Self

import httpx

from tempkit.config import URL_VARIABLE, Settings
from tempkit.errors import (
    ProtocolError,
    ServiceUnreachable,
    TempkitError,
    TokenRefused,
)
from tempkit.messages import EXPIRES_IN_SECONDS, MAX_SESSION_DURATION_SECONDS
from tempkit.parameters import check_whole_number

log = logging.getLogger(__name__)

KEEPALIVE_SECONDS = 55.0  # a quiet page should not pay a TLS handshake for each token
LARGEST_ANSWER = 64 * 1024  # bytes; a token is about 2,600

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
    last ``max_session_duration_seconds``.
    """

    expires_at: float
    expires_in_seconds: int
    max_session_duration_seconds: int
    is_spent: bool

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
        response = _ask(settings, query)
        token = _token_in(response, settings)
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


# Idle clients by base URL, the one used last on top. A client is used by one thread at a time:
# httpx's own pool costs with the square of the connections that it holds.
_idle: defaultdict[str, deque[httpx.Client]] = defaultdict(deque)


@functools.cache
def _tls() -> ssl.SSLContext:
    """The TLS set-up, made once: it takes longer than a request."""
    return httpx.create_ssl_context()


def _new_client(settings: Settings) -> httpx.Client:
    # A proxy is for the outside: a service on this machine is asked directly.
    return httpx.Client(
        verify=_tls() if settings.base_url.startswith("https") else False,
        trust_env=not settings.is_local,
        limits=httpx.Limits(keepalive_expiry=KEEPALIVE_SECONDS),
    )


def _ask(settings: Settings, query: dict[str, int]) -> httpx.Response:
    """The service's answer; once more on a fresh connection when a kept one has died."""
    key = settings.require_key()
    request = httpx.Request(
        "GET",
        f"{settings.base_url}/v3/token",
        params=query,
        headers={"Authorization": key, "User-Agent": "tempkit"},
        extensions={"timeout": httpx.Timeout(settings.timeout).as_dict()},
    )
    kept = _idle[settings.base_url]
    try:
        client, is_fresh = kept.pop(), False
    except IndexError:
        client, is_fresh = _new_client(settings), True
    while True:
        try:
            response = _send(client, request, settings)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
            client.close()
            if is_fresh:
                raise _unreachable(settings, error) from error
            client, is_fresh = _new_client(settings), True
        except httpx.HTTPError as error:
            client.close()
            raise _unreachable(settings, error) from error
        except BaseException:  # a key press in the middle must not leave a socket behind
            client.close()
            raise
        else:
            kept.append(client)
            return response


def _send(client: httpx.Client, request: httpx.Request, settings: Settings) -> httpx.Response:
    """The whole answer, within the time-out however slowly it drips in."""
    deadline = time.monotonic() + settings.timeout
    response = client.send(request, stream=True)
    try:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise ProtocolError("the token answer is far too long to be one")
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout("the answer took too long", request=request)
    finally:
        response.close()
    return httpx.Response(response.status_code, content=bytes(body))


def _unreachable(settings: Settings, error: httpx.HTTPError) -> ServiceUnreachable:
    if isinstance(error, httpx.TimeoutException):
        what = f"no answer within {settings.timeout:g} s"
    else:
        what = str(error) or type(error).__name__
    return ServiceUnreachable(
        f"the streaming service at {settings.base_url} cannot be reached: {what}; "
        f"check the network and {URL_VARIABLE}"
    )


def _token_in(response: httpx.Response, settings: Settings) -> str:
    """The token in the service's answer; raises what the answer stands for otherwise."""
    status = response.status_code
    try:
        body = response.json()
    except ValueError:
        body = None
    if status >= 400:
        advice = ADVICE.get(status, "the service is in trouble; try again in a minute")
        detail = _detail(body) or f"{response.reason_phrase or 'an error'}, without a reason"
        secret = settings.api_key or ""
        raise TokenRefused(status, detail.replace(secret, "***") if secret else detail, advice)
    if status != 200:
        raise ProtocolError(
            f"the token request was answered with HTTP {status}; check {URL_VARIABLE}"
        )
    token = body.get("token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        raise ProtocolError(
            "the service answered 200 without a token: "
            + ("not JSON" if body is None else "no such field")
            + f"; check {URL_VARIABLE}"
        )
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
