"""Sandbox: a local stand-in for the streaming service. One port, GET /v3/token and /v3/ws.

It needs the ``sandbox`` extra, and says so when it is missing; importing this module does not.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qsl, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from tempkit.config import Settings
from tempkit.errors import ConfigurationError
from tempkit.messages import EXPIRES_IN_SECONDS, MAX_SESSION_DURATION_SECONDS, CloseCode
from tempkit.sandbox.ledger import Ledger
from tempkit.serving import Service

if TYPE_CHECKING:
    from tempkit.sandbox.recognizer import Recognizer
    from tempkit.sandbox.session import Output, ServerSession

log = logging.getLogger(__name__)

# The library's own lines at DEBUG show addresses and headers, and with them tokens.
quiet_log = logging.getLogger("tempkit.sandbox.websocket")
quiet_log.setLevel(logging.WARNING)

KEY = "sandbox"  # what this process's own settings use as a key; any other is as good
INSTALL = "install it: pip install 'tempkit[sandbox]'"
CLOSE_SECONDS = 2.0
LARGEST_MESSAGE = 2**24  # bytes
QUEUE = 4096  # messages: a file that is sent at once does not stop the pings
LOOK_SECONDS = 1.0  # how often a quiet session looks at the clock, which may be a test's


class Sandbox(Service):
    """A stand-in for the streaming service on this machine: ``with Sandbox() as sandbox: ...``.

    Point anything at it with ``sandbox.settings``, or with its ``url`` and any key. ``recognizer``
    None recognises real English speech; ``Scripted([...])`` says what it is told. ``api_keys`` None
    accepts any key. ``single_use`` and ``one_final`` choose where the documentation and the live
    service disagree. Raises ConfigurationError when the extra or the model files are missing.
    """

    kind: ClassVar[str] = "sandbox"
    default_port: ClassVar[int] = 0

    def __init__(
        self,
        recognizer: "Recognizer | None" = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_keys: frozenset[str] | None = None,
        single_use: bool = True,
        one_final: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(host, port)
        self._recognizer = recognizer
        self._ledger = Ledger(api_keys, single_use)
        self._one_final = one_final
        self._clock = clock
        self._key = min(api_keys, default=KEY) if api_keys else KEY

    @property
    def settings(self) -> Settings:
        """The settings that lead to this running sandbox."""
        return Settings(api_key=self._key, base_url=self.url)

    def __repr__(self) -> str:
        """Where it listens."""
        return f"<Sandbox {self.url}>" if self.is_running else "<Sandbox, stopped>"

    def _bind(self, port: int) -> tuple["_Engine", int]:
        if self._recognizer is None:
            self._recognizer = load_recognizer()
        server = serve(
            self._converse,
            self.host,
            port,
            process_request=self._answer_http,
            compression=None,
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            max_size=LARGEST_MESSAGE,
            max_queue=QUEUE,
            logger=quiet_log,
            server_header=None,
        )
        return _Engine(server), server.socket.getsockname()[1]

    def _answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        address = urlsplit(request.path)
        if address.path == "/v3/ws":
            return None
        if address.path == "/v3/token":
            query = dict(parse_qsl(address.query, keep_blank_values=True))
            return self._answer_token(request.headers.get("Authorization"), query)
        # A wrong path is answered with 403 and nothing else.
        return Response(403, "Forbidden", Headers({"Content-Length": "0", "Connection": "close"}))

    def _answer_token(self, authorization: str | None, query: Mapping[str, str]) -> Response:
        if authorization is None:
            return _json(422, {"detail": [_problem("missing", "header", "authorization")]})
        # Unlike on the socket, "Bearer <key>" was seen to be taken here.
        if not self._ledger.accepts_key(authorization.removeprefix("Bearer ")):
            return _json(401, {"error": "Invalid API key"})
        limits = {
            "expires_in_seconds": EXPIRES_IN_SECONDS,
            "max_session_duration_seconds": MAX_SESSION_DURATION_SECONDS,
        }
        if "expires_in_seconds" not in query:
            return _json(422, {"detail": [_problem("missing", "query", "expires_in_seconds")]})
        problems = [
            problem
            for name, (low, high) in limits.items()
            if name in query and (problem := _range_problem(name, query[name], low, high))
        ]
        if problems:
            return _json(422, {"detail": problems})
        asked = [int(query[name]) for name in limits if name in query]
        token = self._ledger.issue(self._clock(), *asked)
        return _json(200, {"token": token, "expires_in_seconds": asked[0]})

    def _converse(self, connection: ServerConnection) -> None:
        from tempkit.sandbox.session import Opening, ServerSession

        assert connection.request is not None
        assert self._recognizer is not None
        query = dict(parse_qsl(urlsplit(connection.request.path).query, keep_blank_values=True))
        session = ServerSession(
            Opening(query, connection.request.headers.get("Authorization")),
            self._ledger,
            self._recognizer,
            self._clock,
            one_final=self._one_final,
        )
        try:
            is_open = _pass_on(session.open(), connection)
            while is_open:
                is_open = _pass_on(self._next(session, connection), connection)
        except ConnectionClosed:
            pass  # the client is gone, there is no one to tell
        except Exception:
            log.exception("a sandbox session failed")
            _pass_on(session.fail(), connection)

    def _next(self, session: "ServerSession", connection: ServerConnection) -> "Iterator[Output]":
        wait = min(LOOK_SECONDS, max(0.0, session.deadline - self._clock()))
        try:
            data = connection.recv(timeout=wait)
        except TimeoutError:
            return session.tick()
        return session.receive(data)


class _Engine:
    """The library's server, that can also be shut down while the program ends."""

    def __init__(self, server: Server) -> None:
        self.serve_forever = server.serve_forever
        self._server = server

    def shutdown(self) -> None:
        """Close the port and every session."""
        if not threading.main_thread().is_alive():
            # Too late for the thread pool with which the library closes its connections.
            for connection in self._server.connections:
                connection.close(CloseCode.GOING_AWAY)
        self._server.shutdown()


def load_recognizer() -> "Recognizer":
    """The real recogniser. Raises ConfigurationError that says what to install."""
    try:
        from tempkit.sandbox.moonshine import Moonshine
    except ImportError as error:
        raise ConfigurationError(f"the sandbox needs {error.name}; {INSTALL}") from None
    return Moonshine.load()


def _pass_on(outputs: "Iterator[Output]", connection: ServerConnection) -> bool:
    """Send what comes out of a session; False when it has closed."""
    for output in outputs:
        if isinstance(output, str):
            connection.send(output)
        else:
            connection.close(*output)
            return False
    return True


def _json(status: int, body: Mapping[str, object]) -> Response:
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(data))}
    headers |= {"Cache-Control": "no-store", "Connection": "close"}
    return Response(status, HTTPStatus(status).phrase, Headers(headers), data)


def _problem(kind: str, *place: str, **more: object) -> dict[str, object]:
    return {"type": kind, "loc": place, "msg": "Field required", "input": None} | more


def _range_problem(name: str, text: str, low: int, high: int) -> dict[str, object] | None:
    """What a range check says about a value of the query, None when it is fine."""
    try:
        value = int(text)
    except ValueError:
        said = "Input should be a valid integer, unable to parse string as an integer"
        return _problem("int_parsing", "query", name, msg=said, input=text)
    if value < low:
        said, bound = f"Input should be greater than or equal to {low}", {"ge": low}
        return _problem("greater_than_equal", "query", name, msg=said, input=text, ctx=bound)
    if value > high:
        said, bound = f"Input should be less than or equal to {high}", {"le": high}
        return _problem("less_than_equal", "query", name, msg=said, input=text, ctx=bound)
    return None
