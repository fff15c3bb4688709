"""Wire: the sockets of a sandbox. HTTP requests to ``routes``, WebSockets to a ServerSession."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Generator
from http.client import responses
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import CLOSED, CONNECTING, SEND_EOF
from websockets.server import ServerProtocol
from websockets.sync.server import Server, ServerConnection, serve

from tempkit.protocol.messages import Json
from tempkit.sandbox.hearing.recognizer import Recognizer
from tempkit.sandbox.journal import harmless
from tempkit.sandbox.state import State
from tempkit.sandbox.wire import routes
from tempkit.sandbox.wire.body import BodyTaken
from tempkit.sandbox.wire.listening import ListeningSocket
from tempkit.sandbox.wire.socket_session import SocketSession, headers_of
from tempkit.serving import listen_on

# How long a sandbox that stops waits for sessions to close, and for clients that have opened none.
CLOSE_SECONDS, OPEN_SECONDS = 2.0, 0.5
POLL_SECONDS = 0.02
LARGEST_MESSAGE = 128 * 1024  # bytes: what is longer closes the session with 1009
# The library's own lines at DEBUG show addresses and headers, and with them tokens.
library_log = logging.getLogger("tempkit.websocket.server")
library_log.setLevel(logging.WARNING)
QUEUE = 4096  # messages: a file that is sent at once does not stop the pings


class AnsweringProtocol(ServerProtocol):
    """The library's protocol, with an answer to what it takes for no request, as one with a body.

    The library ends such a connection without a word. The routes that need a body have it in
    ``taken``.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **options)
        self.taken = BodyTaken()

    def receive_data(self, data: bytes | bytearray) -> None:
        """Read what came in, but for the body of a request."""
        if for_library := self.taken.feed(bytes(data)):
            super().receive_data(for_library)

    def receive_eof(self) -> None:
        """Read that nothing more comes in."""
        if held := self.taken.rest():
            super().receive_data(held)
        super().receive_eof()

    def data_to_send(self) -> list[bytes]:
        """What goes out next; the client is told so when that is nothing but the end."""
        writes, cause = super().data_to_send(), getattr(self.handshake_exc, "__cause__", None)
        if writes == [SEND_EOF] and isinstance(cause, (ValueError, NotImplementedError)):
            return [_response(routes.NO_REQUEST).serialize(), SEND_EOF]
        return writes

    def fail(self, code: int, reason: str = "") -> None:
        """Close; what comes after a request is no frame and is dropped until that is answered."""
        if self.state is CONNECTING:
            self.parser = self._drop()
            next(self.parser)
        else:
            super().fail(code, reason)

    def _drop(self) -> Generator[None]:
        while not (yield from self.reader.at_eof()):
            self.reader.discard()
        self.state = CLOSED
        yield


def _connection(
    plain: socket.socket,
    _: ServerProtocol,
    server: Server,
    **options: Any,  # noqa: ANN401
) -> ServerConnection:
    protocol = AnsweringProtocol(max_size=LARGEST_MESSAGE, logger=library_log)
    return ServerConnection(plain, protocol, server, **options)


class WireEngine:
    """The library's server on a port, that can also be shut down while the program ends."""

    def __init__(
        self,
        state: State,
        recognizer: Recognizer,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._state = state
        self._recognizer = recognizer
        self._stopping = threading.Event()
        self._server: Server = serve(
            self._converse,
            sock=listen_on(host, port),
            ssl=tls,
            process_request=self._answer,
            compression=None,
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            max_queue=QUEUE,
            create_connection=_connection,  # type: ignore[arg-type]
            logger=library_log,
            server_header=None,
        )
        self._listening = ListeningSocket(self._server.socket)
        self._server.socket = self._listening  # type: ignore[assignment]
        self.serve_forever = self._server.serve_forever
        self.port: int = self._listening.getsockname()[1]
        self._scheme = "https" if tls else "http"

    def shutdown(self) -> None:
        """Close the port and every session."""
        self._stopping.set()  # each session closes itself
        self._listening.close()
        # The library waits ten seconds for who says nothing, and without end for who does not read.
        begun = time.monotonic()
        while self._server.handler_threads:
            patience = CLOSE_SECONDS if self._state.open_sessions else OPEN_SECONDS
            if time.monotonic() > begun + patience:
                break
            time.sleep(POLL_SECONDS)
        self._listening.cut()
        self._server.shutdown(close_connections=False)

    def forget(self) -> None:
        """Close a forked child's copies of the sockets, without a word to the other side."""
        self._listening.forget()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        asked = routes.HttpRequest(
            request.method,
            request.path,
            headers_of(request),
            _peer(connection),
            connection.protocol.taken.body,  # type: ignore[attr-defined]
        )
        state = self._state
        if asked.opens_socket:
            return self._refusal(connection)
        if asked.path in (routes.TOKEN, routes.UNIFIED_TOKEN):
            self._stopping.wait(state.faults.token_delay_seconds)
        answer = routes.answer(asked, state, f"{self._scheme}://{asked.headers['Host']}")
        if not asked.path.startswith("/sandbox"):
            name = f"{request.method} {harmless(asked.path)}"
            detail: dict[str, Json] = {"status": answer.status}
            detail |= {k: harmless(v) for k, v in asked.query.items() if k in routes.LIMITS}
            state.journal.add(state.clock(), 0, "request", name, detail)
        return _response(answer)

    def _refusal(self, connection: ServerConnection) -> Response | None:
        state = self._state
        if not state.armed.refuses_connection():
            return None
        status = state.faults.refuse_status
        state.journal.add(state.clock(), 0, "fault", "refused", {"status": status})
        if status is None:
            connection.close_socket()
        return _response(routes.HttpAnswer(status or 503))

    def _converse(self, connection: ServerConnection) -> None:
        SocketSession(connection, self._state, self._recognizer, self._stopping).run()


def _peer(connection: ServerConnection) -> str:
    try:
        return str(connection.remote_address[0])
    except OSError:  # it is gone already
        return ""


def _response(answer: routes.HttpAnswer) -> Response:
    headers = {"Content-Length": str(len(answer.body)), "Connection": "close"}
    if answer.body:
        headers |= {"Content-Type": answer.kind, "Cache-Control": "no-store"}
    headers |= dict(answer.headers)
    phrase = responses.get(answer.status, "Unknown")
    return Response(answer.status, phrase, Headers(headers), answer.body)
