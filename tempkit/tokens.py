"""generate_temp_token: ask the streaming service for a temporary token.

The one place that knows what to ask the service for, and what it answers. Source: AssemblyAI's
"Generate streaming token" page.
"""

import json
import logging
import time
from http.client import responses
from typing import NoReturn, Self
from urllib.parse import urlencode

from tempkit.config import HOW_TO_MAKE, Settings
from tempkit.env_file import URL_VARIABLE
from tempkit.errors import (
    BadType,
    BadValue,
    ProtocolError,
    TempkitError,
    TokenRefused,
    expect,
    unfailing,
)
from tempkit.protocol.parameters import (
    EXPIRES_IN_SECONDS,
    MAX_SESSION_DURATION_SECONDS,
    check_whole_number,
)

log = logging.getLogger(__name__)

ADVICE = {
    400: "correct the parameter that it names",
    401: "check the API key",
    402: "check the account's balance",
    403: "check that the API key may use streaming",
    404: f"check {URL_VARIABLE}: this host has no /v3/token",
    422: "correct the parameter that it names",
    429: "too many tokens in a short time; wait a minute",
}


class TemporaryToken(str):
    """A temporary token: the string itself, with its expiry; masked in the repr.

    ``expires_at`` is Unix seconds: until then it can open one session. The session itself may
    last ``max_session_duration_seconds``. ``is_spent`` says whether this process has used it;
    ``refusal`` says why the service refused it, and is usually empty.
    """

    expires_at: float
    expires_in_seconds: int
    max_session_duration_seconds: int
    is_spent: bool = False
    refusal: str = ""

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
        return self

    @unfailing
    def __repr__(self) -> str:
        """How long the token may still be used; never the token."""
        return f"<TemporaryToken, {self.seconds_left():.0f} of {self.expires_in_seconds} s left>"

    def __reduce__(self) -> NoReturn:
        """A secret is never stored."""
        raise BadType("a TemporaryToken is secret and cannot be stored; get a new one")

    def __copy__(self, memo: object = None) -> Self:
        """Itself: a string never changes."""
        return self

    __deepcopy__ = __copy__

    def spend(self) -> None:
        """Mark the token as used for a session. Raises ValueError if it was used before."""
        if self.is_spent:
            raise BadValue(
                "this temporary token has already opened a session, and each opens only one; "
                "get another with generate_temp_token()"
            )
        self.is_spent = True

    def refuse(self, reason: str) -> None:
        """Note why the service opened no session with it, in its own words."""
        self.refusal = reason.replace(str(self), "***") or "no reason given"

    def seconds_left(self, now: float | None = None) -> float:
        """Seconds for which the token can still open a session, 0.0 if it is too late."""
        return max(0.0, self.expires_at - (time.time() if now is None else now))


def generate_temp_token(
    expires_in_seconds: int = 60,
    *,
    max_session_duration_seconds: int | None = None,
    settings: Settings | None = None,
) -> TemporaryToken:
    """A new temporary token that can open one streaming session within 1 to 600 seconds.

    ``max_session_duration_seconds`` (60 to 10800) caps that session; without it, the service's own
    cap applies. ``settings`` None reads the environment and .env. Raises ValueError (range),
    ConfigurationError (key), TokenRefused, ServiceUnreachable or ProtocolError; all but the first
    are logged as well.
    """
    check_whole_number("expires_in_seconds", expires_in_seconds, EXPIRES_IN_SECONDS)
    query = {"expires_in_seconds": expires_in_seconds}
    if max_session_duration_seconds is not None:
        name, limits = "max_session_duration_seconds", MAX_SESSION_DURATION_SECONDS
        check_whole_number(name, max_session_duration_seconds, limits)
        query[name] = max_session_duration_seconds
    expect("settings", settings, Settings, None, advice=HOW_TO_MAKE)
    from tempkit.http_client import get  # here, as httpx takes long: a server listens before

    try:
        settings = settings or Settings.from_env()
        asked_at = time.time()
        target, key = f"/v3/token?{urlencode(query)}", settings.require_key()
        token = _token_in(*get(settings, target, key), settings)
        if not isinstance(token, str):
            raise token
    except TempkitError as error:
        log.error("Error generating temp token: %s", error)
        raise
    return TemporaryToken(token, expires_at=asked_at + expires_in_seconds, **query)


def _token_in(status: int, answer: bytes, settings: Settings) -> str | TempkitError:
    """The token in the service's answer, or the error that it stands for.

    That is not raised here, where frames hold an answer which may repeat the key.
    """
    try:
        body = json.loads(answer)
    except ValueError:
        body = None
    if status >= 400:
        advice = ADVICE.get(status, "the service has a problem; try again in a minute")
        detail = _detail(body) or f"{responses.get(status, 'an error')}, no reason given"
        secret = settings.api_key or ""
        return TokenRefused(status, detail.replace(secret, "***") if secret else detail, advice)
    token = body.get("token") if isinstance(body, dict) else None
    if status == 200 and isinstance(token, str) and token:
        return token
    what = f"the token request was answered with HTTP {status}"
    if status == 200:
        field = "not JSON" if body is None else "no such field"
        what = f"the service answered 200 without a token: {field}"
    return ProtocolError(f"{what}; check {URL_VARIABLE}")


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
