"""Site: a request in, an answer out; the same for the token server and for WSGI."""

import logging
import os
import re
import threading
import time
from collections.abc import Callable
from http.client import responses
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from tempkit.config import Settings, is_loopback
from tempkit.errors import TempkitError, defect
from tempkit.places import PUBLIC
from tempkit.protocol.parameters import MAX_SESSION_DURATION_SECONDS, check_whole_number
from tempkit.server.addresses import context_path, is_remote
from tempkit.server.answers import Answer, Headers, Visits, failed_token, json_answer, text_answer
from tempkit.server.files import Folder
from tempkit.server.guard import HOST, METHODS, PARAMETERS, Guard, Rate, Refusal, Request
from tempkit.tokens import generate_temp_token

if TYPE_CHECKING:
    from tempkit.server.rate import TokenCounter

log = logging.getLogger(__name__)

TOKEN_SECONDS = 60  # how long a token of GET /token may be used
SOCKET = "v3/ws"  # where a page finds the sandbox's WebSocket on this server, relative to the token
SWITCHING = 101  # the status of an answer that hands the connection on to the sandbox
COOKIE_SECONDS = 30 * 24 * 3600
SERVICES = ("wss://streaming.assemblyai.com", "wss://streaming.eu.assemblyai.com")
FRAMES = "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"  # a notebook's is one
PRINTABLE = re.compile(r"[ -~]+")


class Site:
    """The files of a folder, and tokens of a service, past a guard.

    ``find_settings`` is called when all else is right: it may start a sandbox.
    ``max_session`` caps the sessions of its tokens, in seconds; ``relays`` says that whoever serves
    it can hand a connection on to a service on this machine. ``csp`` is the policy of the pages:
    without it the kit's own has a strict one, and others are only kept out of foreign frames.
    Raises ValueError for a cap that is out of range and a policy that is no header.
    """

    def __init__(
        self,
        find_settings: Callable[[], Settings],
        directory: Path,
        guard: Guard,
        *,
        max_session: int | None,
        csp: str | None,
        relays: bool = False,
    ) -> None:
        if csp is not None and not PRINTABLE.fullmatch(csp):
            raise ValueError("csp must be one line of printable ASCII characters")
        if max_session is not None:
            limits = MAX_SESSION_DURATION_SECONDS
            check_whole_number("max_session_duration_seconds", max_session, limits)
        self.guard, self.visits = guard, Visits()
        self._counter: TokenCounter | None = None
        self._counting = threading.Lock()
        if guard.rate is not None and guard.rate.storage != Rate.storage:
            self._ready_counter()  # now, in case there is no such storage
        self.settings = settings = find_settings()
        self.port = 0  # where it is served, once that is known
        self._max_session, self._csp = max_session, csp
        self._relays = relays and settings.is_local
        self._service = {
            "websocket_url": SOCKET if self._relays else settings.websocket_url,
            "service": "sandbox" if settings.is_local else "assemblyai",
        }
        parts = urlsplit(settings.websocket_url)
        other = () if self._relays else (f"{parts.scheme}://{parts.netloc}",)
        self._sockets = " ".join(dict.fromkeys(SERVICES + other))
        self._folder = Folder(directory)
        self._is_own_page = self._folder.directory == PUBLIC.resolve()
        if trouble := settings.key_trouble:
            log.warning("there will be no tokens: %s", trouble)

    def warm_up(self) -> None:
        """Make ready what the first token would have to wait for."""
        from tempkit.http_client import prepare  # httpx takes long to import

        self._ready_counter()
        prepare(self.settings)

    def _ready_counter(self) -> "TokenCounter | None":
        with self._counting:
            if self._counter is None and self.guard.rate is not None:
                from tempkit.server.rate import TokenCounter

                self._counter = TokenCounter(self.guard.rate)
            return self._counter

    def answer(self, request: Request) -> Answer:
        """The answer to a request, and a line in the log about it."""
        began, who = time.monotonic(), ""
        try:
            who, answer = self._answer(request)
        except Exception as error:
            log.error("a request failed: %s", defect(error))
            answer = self._refuse(request, Refusal(500, "error", "the server's log says more"))
        self.visits.add(request, answer.status, (time.monotonic() - began) * 1000, who)
        return answer.plus(*self._fixed(request))

    def unreadable(self, status: int, client: str) -> Answer:
        """The answer to what is no request, and a line in the log about it."""
        log.info("- - %s 0 ms %s", status, client)
        return text_answer(status, responses[status]).plus(*self._fixed(Request("", "")))

    def _answer(self, request: Request) -> tuple[str, Answer]:
        """Who asks, as far as ``authorize`` says, and the answer."""
        path, guard = request.path, self.guard
        if path == "/health":  # no guard: watchers come by address, and learn little
            trouble = self.settings.key_trouble
            return "", json_answer(503 if trouble else 200, {"status": trouble or "ok"})
        if self._relays and path == f"/{SOCKET}" and _opens_socket(request):
            refusal = guard.check_socket(request)
            return "", self._refuse(request, refusal) if refusal else Answer(SWITCHING)
        if refusal := guard.check(request, mints=path == "/token"):
            return "", self._refuse(request, refusal)
        if path == "/token":
            return self._token(request)
        if guard.shows_secret(request):
            return "", self._remember(request)
        if path == "/service":  # whom one will talk to, before a token is spent
            return "", json_answer(200, self._told(request))
        file = self._folder.find(path)
        if file is None:
            missing = "the served folder has no index.html" if path == "/" else "Not Found"
            return "", text_answer(404, missing)
        if file.is_unchanged(request.headers):
            return "", Answer(304, file.headers[2:])
        return "", Answer(200, file.headers, file.body)

    def _token(self, request: Request) -> tuple[str, Answer]:
        if request.method == "HEAD":  # a token is spent money; nobody would see this one
            return "", json_answer(200, {})
        who, refusal = self.guard.admit(request, self._ready_counter())
        if refusal:
            return who, self._refuse(request, refusal)
        try:
            token = generate_temp_token(
                TOKEN_SECONDS,
                max_session_duration_seconds=self._max_session,
                settings=self.settings,
            )
        except TempkitError as error:
            return who, failed_token(error)
        answer = {"token": str(token), "expires_in_seconds": token.expires_in_seconds}
        return who, json_answer(200, answer | self._told(request))

    def _told(self, request: Request) -> dict[str, str | bool]:
        """Whom a token is for, where that is, and whether the browser is surely on this machine."""
        # It is not behind a forwarded port, which a container and ssh have.
        name, _, port = request.headers.get("host", "").rpartition(":")
        is_here = self._relays and port == str(self.port) and not is_remote(os.environ)
        is_here = is_here and is_loopback(name.strip("[]")) and is_loopback(request.client)
        return {**self._service, "is_here": is_here}

    def _remember(self, request: Request) -> Answer:
        """The same address without the secret, which is in a cookie from now on."""
        pairs = request.query.split("&")
        rest = "&".join(p for p in pairs if p.partition("=")[0] not in PARAMETERS)
        # Relative, as a proxy may have taken a prefix off the path.
        place = "./" + quote(request.path.rpartition("/")[2]) + (rest and f"?{rest}")
        # A hub's users share its name: their servers must not see each other's cookies.
        prefix = context_path(request.headers) or "/"
        protocol = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
        cookie = (
            f"{self.guard.cookie_name}={self.guard.access_secret}; Path={prefix}; HttpOnly; "
            f"SameSite=Lax; Max-Age={COOKIE_SECONDS}"
        )
        if request.is_secure or protocol == "https":
            cookie += "; Secure"
        answer = text_answer(303, "See Other")
        return answer.plus(("Location", place), ("Set-Cookie", cookie))

    def _refuse(self, request: Request, refusal: Refusal) -> Answer:
        status, code, hint, retry_after = refusal
        if status == 405 and request.method == "OPTIONS" and self._is_shared(request):
            return Answer(204, (("Access-Control-Allow-Headers", "Authorization"),))
        answer = text_answer(status, hint)
        if request.path == "/token":
            error = "Method not allowed" if status == 405 else "Refused"
            answer = json_answer(status, {"error": error, "code": code, "hint": hint})
        if retry_after:
            answer = answer.plus(("Retry-After", str(retry_after)))
        return answer.plus(("Allow", ", ".join(METHODS))) if status == 405 else answer

    def _is_shared(self, request: Request) -> bool:
        return request.headers.get("origin") in self.guard.allowed_origins

    def _fixed(self, request: Request) -> Headers:
        """The headers that keep others out, but for the pages of a configured origin."""
        headers: Headers = (
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Content-Security-Policy", self._policy(request)),
        )
        if self._is_own_page:
            headers += (("Permissions-Policy", "microphone=(self)"),)
        if self.guard.allowed_origins:
            headers += (("Vary", "Origin"),)
            if self._is_shared(request):
                headers += (("Access-Control-Allow-Origin", request.headers["origin"]),)
        return headers

    def _policy(self, request: Request) -> str:
        """What a page may do; the kit's own may speak to this server and to the service.

        To a sandbox here or to a service elsewhere, whichever it is now: the server may be started
        again, with a key or without one, under a page that is open.
        """
        if self._csp is not None:
            return self._csp if "frame-ancestors" in self._csp else f"{self._csp}; {FRAMES}"
        if not self._is_own_page:  # it may have scripts and styles anywhere
            return FRAMES
        host = request.headers.get("host", "")
        # In some browsers 'self' does not cover sockets.
        own = f"ws://{host} wss://{host} " if HOST.fullmatch(host) else ""
        return (
            f"default-src 'self'; connect-src 'self' {own}{self._sockets}; "
            f"object-src 'none'; base-uri 'none'; form-action 'none'; {FRAMES}"
        )


def _opens_socket(request: Request) -> bool:
    return request.method == "GET" and request.headers.get("upgrade", "").lower() == "websocket"
