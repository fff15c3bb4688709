"""Wire: the sockets of a sandbox. HTTP requests to ``routes``, WebSockets to a SocketSession."""

import logging
import os
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeader
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tempkit.sandbox.hearing.recognizer import Recognizer
from tempkit.sandbox.state import State
from tempkit.sandbox.wire import routes
from tempkit.sandbox.wire.socket_session import CLOSE_SECONDS, SocketSession
from tempkit.serving import HttpServer, listen_on

OPEN_SECONDS = 0.5  # how long a sandbox that stops waits for clients that have no session
REQUEST_SECONDS = 10.0  # how long one read or write may take before a session has begun
DRAIN_SECONDS = 2.0  # the same, for what follows a request that is none
LARGEST_MESSAGE = 128 * 1024  # bytes: what is longer closes the session with 1009
SHORT = re.compile("[0-9]{1,5}")  # the length of a body that is read, bytes
HEADERS = ("Authorization", "Origin", "Host", "Upgrade")  # the ones that count
# The library's own lines at DEBUG show addresses and headers, and with them tokens.
library_log = logging.getLogger("tempkit.websocket.server")
library_log.setLevel(logging.WARNING)


class Handler(BaseHTTPRequestHandler):
    """A connection: one request, and the session that it may open."""

    server: "WireEngine"
    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer the request."""
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        self.handle_one_request()

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        target = self.requestline.split()[1]  # ``path`` has lost slashes at its start
        is_plain = target.isascii() and "Transfer-Encoding" not in self.headers
        body = self.rfile.read(int(length)) if is_plain and SHORT.fullmatch(length) else b""
        if not is_plain or str(len(body)) != length:
            self.send_error(400)
            return
        # What is repeated is no credential.
        headers = {n: ", ".join(self.headers.get_all(n, ())) for n in HEADERS if n in self.headers}
        peer, state = self.client_address[0], self.server.state
        asked = routes.HttpRequest(self.command, target, headers, peer, body)
        if asked.opens_socket and not body:
            self._upgrade(asked)
            return
        if asked.path in routes.TOKENS:
            self.server.stopping.wait(state.faults.token_delay_seconds)
        self._send(routes.answer(asked, state, f"{self.server.scheme}://{headers.get('Host', '')}"))

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def _upgrade(self, asked: routes.HttpRequest) -> None:
        """Upgrade to a WebSocket, and speak on it until the session is over."""
        server, state = self.server, self.server.state
        if state.is_hit("refuse_connections"):
            status = state.faults.refuse_status
            state.journal.add(state.clock(), 0, "fault", "refused", {"status": status})
            if status is not None:
                self._send(routes.HttpAnswer(status))
            return
        protocol = ServerProtocol(max_size=LARGEST_MESSAGE, logger=library_log)
        # The library gets the request written anew: it has been read already.
        try:
            request = Request(asked.target, Headers(self.headers.items()), asked.method)
            protocol.receive_data(request.serialize())
        except (InvalidHeader, ValueError):  # such as one that goes on in another line
            self.send_error(400)
            return
        for event in protocol.events_received():
            protocol.send_response(protocol.accept(event))  # type: ignore[arg-type]
        self.wfile.write(b"".join(protocol.data_to_send()))
        if protocol.state is OPEN:
            self.connection.settimeout(None)
            self.rfile.close()  # else it would keep the socket open
            SocketSession(
                self.connection, protocol, asked, state, server.recognizer, server.stopping
            ).run()

    def _send(self, answer: routes.HttpAnswer) -> None:
        headers = {"Content-Length": str(len(answer.body)), "Connection": "close"}
        if answer.body:
            headers |= {"Content-Type": answer.kind, "Cache-Control": "no-store"}
        headers |= dict(answer.headers)
        phrase = responses.get(answer.status, "Unknown")
        body = b"" if self.command == "HEAD" else answer.body
        response = Response(answer.status, phrase, Headers(headers), body)
        self.wfile.write(response.serialize())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no request, or has a body that nothing here reads."""
        self._send(routes.NO_REQUEST._replace(status=code))
        # A reset would undo the answer: what still comes is read before the end.
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(DRAIN_SECONDS)
        until = time.monotonic() + DRAIN_SECONDS
        while self.connection.recv(65536) and time.monotonic() < until:
            pass

    def log_message(self, *_: object) -> None:
        """Write nothing: there is the journal."""


class WireEngine(HttpServer):
    """A server with a thread for each connection, which keeps track of them."""

    def __init__(
        self,
        state: State,
        recognizer: Recognizer,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.state = state
        self.recognizer = recognizer
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._left = threading.Condition()
        self.scheme = "https" if tls else "http"
        super().__init__(listen_on(host, port), tls, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Serve a connection in a thread of its own."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """Close a connection that was served."""
        super().shutdown_request(request)
        with self._left:
            self._connections.discard(request)
            self._left.notify_all()

    def shutdown(self) -> None:
        """Close the port and every session."""
        self.stopping.set()  # each session closes itself
        super().shutdown()
        # A client that says nothing, does not read or answers no close is not waited for.
        patience = CLOSE_SECONDS if self.state.open_sessions else OPEN_SECONDS
        with self._left:
            self._left.wait_for(lambda: not self._connections, patience)
            for each in self._connections:
                with suppress(OSError):
                    # Not SSLSocket's own, after which a thread may write plain text.
                    socket.socket.shutdown(each, socket.SHUT_RDWR)

    def forget(self) -> None:
        """Close a forked child's copies of the sockets, without a word to the other side."""
        for each in (self.socket, *self._connections):
            with suppress(OSError):
                os.close(each.detach())
