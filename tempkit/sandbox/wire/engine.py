"""Wire: the sockets of a sandbox. HTTP requests to ``routes``, WebSockets to a ServerSession."""

import json
import socket
import ssl
import threading
from collections.abc import Generator
from http import HTTPStatus
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.sync.server import Server, ServerConnection, serve

from tempkit.network import quiet_log
from tempkit.protocol.messages import CloseCode, Json
from tempkit.sandbox.journal import harmless
from tempkit.sandbox.wire import routes
from tempkit.sandbox.wire.conversation import Conversation, House, headers_of
from tempkit.sandbox.wire.listener import Listener
from tempkit.serving import listen_on

CLOSE_SECONDS = 2.0
# How long a sandbox that stops waits for clients that have not opened a session, and for all.
OPEN_SECONDS, CUT_SECONDS = 0.5, 2 * CLOSE_SECONDS
LARGEST_MESSAGE, MOST_BODY = 2**24, 2**16  # bytes
QUEUE = 4096  # messages: a file that is sent at once does not stop the pings


class RequestProtocol(ServerProtocol):
    """The library's protocol for plain requests too: it takes a body, and nothing after it."""

    body = b""
    _body_length = 0
    _is_upgrade = False

    def parse(self) -> Generator[None]:
        """Read what comes in, the head of the request through ``_head_line``."""
        self._read_line = self.reader.read_line
        self.reader.read_line = self._head_line  # type: ignore[assignment, method-assign]
        yield from super().parse()

    def _head_line(self, *limits: Any) -> Generator[None, None, bytearray]:  # noqa: ANN401
        line = yield from self._read_line(*limits)
        name, _, value = bytes(line).partition(b":")
        self._is_upgrade |= name.lower() == b"upgrade"
        if name.lower() == b"content-length" and value.strip().isdigit():
            self._body_length = int(value)
            return bytearray(b"Content-Length: 0\r\n")
        if not line.strip():
            yield from self._read_body()
        return line

    def _read_body(self) -> Generator[None]:
        self.body = bytes((yield from self.reader.read_exact(min(self._body_length, MOST_BODY))))
        if not self._is_upgrade:  # frames do not follow
            self.reader.read_exact = self._read_nothing  # type: ignore[assignment, method-assign]

    def _read_nothing(self, _: int) -> Generator[None, None, bytearray]:
        while not self.reader.eof:
            self.reader.discard()
            yield
        raise EOFError


def _connection(
    plain: socket.socket,
    _: ServerProtocol,
    server: Server,
    **options: Any,  # noqa: ANN401
) -> ServerConnection:
    protocol = RequestProtocol(max_size=LARGEST_MESSAGE, logger=quiet_log)
    return ServerConnection(plain, protocol, server, **options)


class WireEngine:
    """The library's server on a port, that can also be shut down while the program ends."""

    def __init__(self, house: House, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._house = house
        self._server: Server = serve(
            self._converse,
            sock=listen_on(host, port),
            ssl=tls,
            process_request=self._answer,
            compression=None,
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            max_size=LARGEST_MESSAGE,
            max_queue=QUEUE,
            create_connection=_connection,  # type: ignore[arg-type]
            logger=quiet_log,
            server_header=None,
        )
        self._listener = Listener(self._server.socket)
        self._server.socket = self._listener  # type: ignore[assignment]
        self.serve_forever = self._server.serve_forever
        self.port: int = self._listener.getsockname()[1]
        self._scheme = "https" if tls else "http"

    def shutdown(self) -> None:
        """Close the port and every session."""
        self._house.stopping.set()
        # Who connected and says nothing is not waited for, and who does not read sees no close.
        cuts = [
            threading.Timer(OPEN_SECONDS, self._cut_silent),
            threading.Timer(CUT_SECONDS, self._listener.cut),
        ]
        if threading.main_thread().is_alive():
            for cut in cuts:
                cut.start()
        else:  # too late for timers, and for the threads with which the library closes
            self._cut_silent()
            for connection in self._server.connections:
                connection.close(CloseCode.GOING_AWAY)
        self._server.shutdown()
        for cut in cuts:
            cut.cancel()

    def forget(self) -> None:
        """Close a forked child's copies of the sockets, without a word to the other side."""
        self._listener.forget()

    def _cut_silent(self) -> None:
        with self._server.lock:
            opened = {connection.socket for connection in self._server.all_connections}
        self._listener.cut(spared=opened)

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        body = connection.protocol.body if isinstance(connection.protocol, RequestProtocol) else b""
        peer = _peer(connection)
        asked = routes.Request(request.method, request.path, headers_of(request), peer, body)
        state = self._house.state
        if asked.path == routes.WEBSOCKET or _opens_at_root(request):
            return self._refusal(connection)
        answer = self._token_fault() if asked.path == routes.TOKEN else None
        if answer is None:
            answer = routes.answer(asked, state, f"{self._scheme}://{asked.headers['Host']}")
        if not asked.path.startswith("/sandbox"):
            name = f"{request.method} {harmless(asked.path)}"
            detail: dict[str, Json] = {"status": answer.status}
            detail |= {k: harmless(v) for k, v in asked.query.items() if k in routes.LIMITS}
            state.journal.add(state.clock(), 0, "request", name, detail)
        return _response(answer)

    def _refusal(self, connection: ServerConnection) -> Response | None:
        state = self._house.state
        if not state.armed.refuses_connection():
            return None
        status = state.faults.refuse_status
        state.journal.add(state.clock(), 0, "fault", "refused", {"status": status})
        if status is None:
            connection.close_socket()
        return _response(routes.Answer(status or 503))

    def _token_fault(self) -> routes.Answer | None:
        armed = self._house.state.armed
        self._house.stopping.wait(armed.faults.token_delay_seconds)
        status = armed.token_status()
        if status is None:
            return None
        return routes.Answer(status, json.dumps({"error": "A fault that was asked for"}).encode())

    def _converse(self, connection: ServerConnection) -> None:
        Conversation(connection, self._house).run()


def _opens_at_root(request: Request) -> bool:
    """Whether it asks for a socket as the example of the self-hosted service does, at /."""
    upgrades = [value.lower() for value in request.headers.get_all("Upgrade")]
    return request.path.partition("?")[0] == "/" and "websocket" in upgrades


def _peer(connection: ServerConnection) -> str:
    try:
        return str(connection.remote_address[0])
    except OSError:  # it is gone already
        return ""


def _response(answer: routes.Answer) -> Response:
    headers = {"Content-Length": str(len(answer.body)), "Connection": "close"}
    if answer.body:
        headers |= {"Content-Type": answer.kind, "Cache-Control": "no-store"}
    headers |= dict(answer.headers)
    known = answer.status in list(HTTPStatus)
    phrase = HTTPStatus(answer.status).phrase if known else "Unknown"
    return Response(answer.status, phrase, Headers(headers), answer.body)
