"""Site: a request in, an answer out; the same for the token server and for WSGI."""

import json
import logging
import re
import threading
import time
import traceback
from collections import deque
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from tempkit.config import URL_VARIABLE, Settings
from tempkit.errors import (
    ConfigurationError,
    ProtocolError,
    ServiceUnreachable,
    TempkitError,
    TokenRefused,
)
from tempkit.files import Body, Folder, is_unchanged
from tempkit.guard import (
    IN_MEMORY,
    MASKED_PARAMETER,
    METHODS,
    SECRET_PARAMETER,
    Guard,
    Refusal,
    Request,
)
from tempkit.places import HOST, context_path, socket_path
from tempkit.rate import TokenCounter

log = logging.getLogger(__name__)

TOKEN_SECONDS = 60  # how long a token of GET /token may be used
COOKIE_SECONDS = 30 * 24 * 3600
KEPT_VISITS = 50
SHOWN = 60  # characters of a path

CODES: dict[type[TempkitError], str] = {
    ConfigurationError: "not_configured",
    TokenRefused: "refused_by_service",
    ServiceUnreachable: "service_unreachable",
    ProtocolError: "unexpected_answer",
}
UNREACHABLE = f"the streaming service cannot be reached; check the network and {URL_VARIABLE}"
# What another program wrote may hold anything: no address, nothing that could be a key or a token.
UNFIT = re.compile(r"\w[\w+.-]*://\S*|(?=\S*\d)[\w+/=.-]{20,}|[^ -~]+", re.ASCII)

Headers = tuple[tuple[str, str], ...]


class Answer(NamedTuple):
    """An HTTP answer; ``headers`` do not hold the length, nor what concerns the connection."""

    status: int
    headers: Headers
    body: Body


class Visit(NamedTuple):
    """A request that was answered, ``at`` Unix seconds."""

    at: float
    method: str
    path: str
    status: int
    milliseconds: float

    @property
    def shown_path(self) -> str:
        """The path without what could be a secret: somebody may have mistaken the place for one."""
        path = "/".join(UNFIT.sub("***", part) for part in self.path[:SHOWN].split("/"))
        return path if len(self.path) <= SHOWN else f"{path}..."


class Site:
    """The files of a folder, and tokens of a service, past a guard."""

    def __init__(self, settings: Settings, directory: Path, guard: Guard) -> None:
        self.settings = settings
        self.guard = guard
        self.visits: deque[Visit] = deque(maxlen=KEPT_VISITS)  # without the page's own files
        self._folder = Folder(directory)
        self._counter: TokenCounter | None = None
        self._warming = threading.Lock()
        if guard.rate is not None and guard.rate.storage != IN_MEMORY:
            self._ready_to_count()  # it may be one that there is not

    def warm_up(self) -> None:
        """Make ready what the first token would have to wait for."""
        from tempkit.tokens import prepare  # httpx takes long to import

        self._ready_to_count()
        prepare(self.settings)

    def _ready_to_count(self) -> None:
        with self._warming:
            if self._counter is None and self.guard.rate is not None:
                self._counter = TokenCounter(self.guard.rate)

    def answer(self, request: Request) -> Answer:
        """The answer to a request, and a line in the log about it."""
        began = time.monotonic()
        try:
            status, headers, body = self._answer(request)
        except Exception as error:
            # Its text may hold anything, a header too: kind and place are told.
            place = traceback.extract_tb(error.__traceback__)[-1]
            kind = type(error).__name__
            log.error("a request failed: %s in %s:%s", kind, place.filename, place.lineno)
            refusal = Refusal(500, "error", "the server's log says more")
            status, headers, body = self._refuse(request, refusal)
        took = (time.monotonic() - began) * 1000
        if request.path == "/token" or status >= 400:
            self.visits.append(Visit(time.time(), request.method, request.path, status, took))
        if log.isEnabledFor(logging.INFO):
            log.info(
                "%s %s %s %.0f ms %s",
                quote(request.method),
                quote(request.path, safe="/~!$&'()*+,;=:@"),
                status,
                took,
                request.client or "-",
            )
        fixed = self._fixed_behind_proxy(request) or self._fixed
        return Answer(status, headers + fixed + self._sharing(request), body)

    def is_at_hand(self, path: str) -> bool:
        """Whether an answer waits for nobody: no service, no authorisation, no Redis."""
        return path != "/token"

    def unreadable(self, status: int, client: str) -> Answer:
        """The answer to what is no request, and a line in the log about it."""
        log.info("- - %s 0 ms %s", status, client)
        answer = _text(status, HTTPStatus(status).phrase)
        return answer._replace(headers=answer.headers + self._fixed)

    def _answer(self, request: Request) -> Answer:
        if (
            request.path == "/health"
        ):  # before the guard: watchers come by address, and learn little
            return self._health()
        mints = request.path == "/token"
        if mints:
            self._ready_to_count()
        refusal = self.guard.check(request, mints=mints, counter=self._counter, now=time.time())
        if refusal is not None:
            if refusal.status == 405 and request.method == "OPTIONS" and self._is_shared(request):
                return Answer(204, (("Access-Control-Allow-Headers", "Authorization"),), b"")
            return self._refuse(request, refusal)
        if mints:
            return self._token(request)
        if self.guard.shows_secret(request):
            return self._remember(request)
        return self._file(request)

    def _token(self, request: Request) -> Answer:
        if request.method == "HEAD":  # a token is spent money; nobody would see this one
            return _json(HTTPStatus.OK, {})
        from tempkit.tokens import generate_temp_token

        try:
            token = generate_temp_token(TOKEN_SECONDS, settings=self.settings)
        except TempkitError as error:
            body: dict[str, str | int] = {
                "error": "Failed to generate token",
                "code": CODES.get(type(error), "error"),
                "hint": _hint(error),
            }
            if isinstance(error, TokenRefused):  # whether asking again may help is in its status
                body["status"] = error.status
            return _json(500, body)
        answer = {
            "token": str(token),
            "expires_in_seconds": token.expires_in_seconds,
            "websocket_url": self._socket_path(request) or self.settings.websocket_url,
            "service": "sandbox" if self.settings.is_local else "assemblyai",
        }
        return _json(HTTPStatus.OK, answer)

    def _socket_path(self, request: Request) -> str | None:
        """Where a browser behind jupyter-server-proxy finds a sandbox; else None."""
        if not self.settings.is_local:
            return None
        return socket_path(request.headers, self.settings.websocket_url)

    def _file(self, request: Request) -> Answer:
        file = self._folder.find(request.path)
        if file is None:
            return _text(HTTPStatus.NOT_FOUND, "Not Found")
        conditions = request.headers.get("if-none-match"), request.headers.get("if-modified-since")
        if is_unchanged(file, *conditions):
            return Answer(HTTPStatus.NOT_MODIFIED, file.headers[1:], b"")
        return Answer(HTTPStatus.OK, file.headers, file.body)

    def _remember(self, request: Request) -> Answer:
        """The same address without the secret, which is in a cookie from now on."""
        names = (SECRET_PARAMETER, MASKED_PARAMETER)
        rest = [p for p in request.query.split("&") if p.partition("=")[0] not in names]
        # Relative, as a proxy may have taken a prefix off the path.
        place = "./" + quote(request.path.rpartition("/")[2]) + ("?" if rest else "")
        # A hub's users share its name: their servers must not see each other's cookies.
        prefix = context_path(request.headers) or "/"
        protocol = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
        is_secure = request.is_secure or protocol == "https"
        cookie = (
            f"{self.guard.cookie_name}={self.guard.access_secret}; Path={prefix}; HttpOnly; "
            f"SameSite=Lax; Max-Age={COOKIE_SECONDS}" + ("; Secure" if is_secure else "")
        )
        answer = _text(HTTPStatus.SEE_OTHER, "See Other")
        extra = (("Location", place + "&".join(rest)), ("Set-Cookie", cookie))
        return answer._replace(headers=answer.headers + extra)

    def _health(self) -> Answer:
        if not self.settings.api_key:
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "there is no API key"})
        return _json(HTTPStatus.OK, {"status": "ok"})

    def _refuse(self, request: Request, refusal: Refusal) -> Answer:
        if request.path == "/token":
            error = "Method not allowed" if refusal.status == 405 else "Refused"
            body = {"error": error, "code": refusal.code, "hint": refusal.hint}
            answer = _json(refusal.status, body)
        else:
            answer = _text(refusal.status, refusal.hint)
        if refusal.retry_after:
            return _with(answer, "Retry-After", str(refusal.retry_after))
        if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED:
            return _with(answer, "Allow", ", ".join(METHODS))
        return answer

    def _sharing(self, request: Request) -> Headers:
        """What lets a page of a configured origin read the answer; nothing without any."""
        if not self.guard.allowed_origins:
            return ()
        if not self._is_shared(request):
            return (("Vary", "Origin"),)
        return (("Access-Control-Allow-Origin", request.headers["origin"]), ("Vary", "Origin"))

    def _is_shared(self, request: Request) -> bool:
        return request.headers.get("origin") in self.guard.allowed_origins

    @cached_property
    def _fixed(self) -> Headers:
        """The headers that every answer carries."""
        streaming = urlsplit(self.settings.websocket_url)
        return _fixed(f"{streaming.scheme}://{streaming.netloc}")

    def _fixed_behind_proxy(self, request: Request) -> Headers:
        """The same, where the sandbox's socket is a path on this page's host; else nothing."""
        if self._socket_path(request) is None:
            return ()
        host = request.headers.get("host", "")
        # Not in every browser 'self' holds for sockets.
        return _fixed(f"ws://{host} wss://{host}" if HOST.fullmatch(host) else "")


def _fixed(places: str) -> Headers:
    """The headers that keep others out; the page may speak to its own server and ``places``."""
    policy = (
        f"default-src 'self'; connect-src 'self' {places}; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
    )
    return (
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Permissions-Policy", "microphone=(self)"),
        ("Content-Security-Policy", policy),
    )


def _json(status: int, body: object) -> Answer:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Answer(status, headers, json.dumps(body).encode())


def _text(status: int, text: str) -> Answer:
    headers = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
    return Answer(status, headers, f"{int(status)} {text}\n".encode())


def _with(answer: Answer, name: str, value: str) -> Answer:
    return answer._replace(headers=(*answer.headers, (name, value)))


def _hint(error: TempkitError) -> str:
    """What people are told about a failed token: without addresses, secrets and odd signs."""
    if isinstance(error, ServiceUnreachable):
        return UNREACHABLE
    if isinstance(error, TokenRefused):
        return str(error).replace(error.detail, UNFIT.sub("***", error.detail))
    return str(error)
