"""HTTP for a site: the standard library's threaded server, with bounds on time and on threads."""

import io
import socket
import ssl
import threading
import time
from contextlib import suppress
from email.utils import formatdate
from functools import lru_cache, partial
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

from tempkit.server.answers import Answer
from tempkit.server.guard import Request
from tempkit.server.head import read_head
from tempkit.server.relay import dial, pass_on
from tempkit.server.room import Connection, Room
from tempkit.server.site import SWITCHING, Site
from tempkit.serving import HttpServer, listen

HEAD_SECONDS = 10.0  # from the first moment to the end of a head, however it drips in
IDLE_SECONDS = 30.0  # how long a kept connection may be silent
ANSWER_SECONDS = 120.0  # how long an answer may take, until the browser has all of it
DRAIN_SECONDS = 1.0
SWEEP_SECONDS = 0.2
BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    b"Cache-Control: no-store\r\nConnection: close\r\n\r\n"
)


class Handler(Connection, BaseHTTPRequestHandler):
    """A connection: its requests, one after another."""

    server: "Server"
    rfile: io.BufferedReader
    disable_nagle_algorithm = True
    may_say_more = False

    def __init__(self, request: socket.socket, client: tuple[Any, ...], server: "Server") -> None:
        self.request, self.client_address, self.server = request, client, server
        self.await_browser(HEAD_SECONDS)

    def serve(self) -> None:
        """Answer requests until one side has had enough, as the library's constructor does."""
        try:
            self.setup()
            try:
                self.handle()
            finally:
                self.finish()
        except Exception:
            self.server.handle_error(self.request, self.client_address)
        finally:
            self.server.room.leave(self)
            self.request.close()

    def setup(self) -> None:
        """Shake hands, where there is TLS."""
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def finish(self) -> None:
        """Say that this is the end, and take what still comes: a reset would undo the answer."""
        self.is_sending = False
        self.await_browser(DRAIN_SECONDS)
        with suppress(OSError, ValueError):
            if isinstance(self.request, ssl.SSLSocket):  # else it would look like a cut
                self.request.setblocking(False)
                with suppress(OSError):
                    self.request.unwrap()
                self.request.setblocking(True)
            if self.may_say_more:
                socket.socket.shutdown(self.request, socket.SHUT_WR)
                while socket.socket.recv(self.request, 65536):
                    pass
        super().finish()

    def handle_one_request(self) -> None:
        """Read a request's head, strictly, and answer it."""
        self.close_connection = True
        if self.rfile.peek(1) and self.was_answered:  # its time begins with its first byte
            self.await_browser(HEAD_SECONDS)
        head = read_head(self.rfile)
        if isinstance(head, int):
            self._refuse(head)
            return
        if head is None or not self.server.room.begin(self):
            return
        self.deadline = time.monotonic() + ANSWER_SECONDS
        self.close_connection, self.may_say_more = not head.keeps_alive, head.has_body
        path, _, query = head.target.partition("?")
        client, is_secure = self.client_address[0], isinstance(self.request, ssl.SSLSocket)
        request = Request(head.method, unquote(path), query, head.headers, client, is_secure)
        answer = self.server.site.answer(request)
        if answer.status == SWITCHING:
            self._relay(head.lines)
        else:
            self._send(answer, is_head=head.method == "HEAD")
        self.deadline = time.monotonic() + IDLE_SECONDS

    def _refuse(self, status: int) -> None:
        """Refuse what is no request; nothing after it is read."""
        self.close_connection = self.may_say_more = True
        self._send(self.server.site.unreadable(status, self.client_address[0]))

    def _relay(self, lines: list[bytes]) -> None:
        """Hand the connection on to the sandbox, for as long as the two have to talk."""
        self.close_connection = True
        try:
            service = dial(self.server.site.settings, lines)
        except OSError:
            self._refuse(503)
            return
        self.deadline = float("inf")
        with service:
            self.request.setblocking(False)
            early = b""
            with suppress(ssl.SSLWantReadError):
                early = self.rfile.read1() or b""
            pass_on(self.request, service, early)

    def _send(self, answer: Answer, *, is_head: bool = False) -> None:
        status, headers, body = answer
        lines = [f"HTTP/1.1 {status} {responses[status]}", *(f"{k}: {v}" for k, v in headers)]
        lines.append(f"Date: {_date(int(time.time()))}")
        # HTTP/1.0 has to be told what HTTP/1.1 takes for granted.
        lines.append(f"Connection: {'close' if self.close_connection else 'keep-alive'}\r\n\r\n")
        unsent = "\r\n".join(lines).encode("latin-1")
        # Before it is sent: whoever has the answer may ask elsewhere before this thread goes on.
        self.was_answered, self.is_sending = True, not isinstance(body, bytes)
        for piece in (b"",) if is_head else (body,) if isinstance(body, bytes) else body:
            self.silent_since = time.monotonic()
            self.wfile.write(unsent + piece)  # head and body in one go: it is one packet
            unsent = b""
        self.is_sending = False


class Server(HttpServer):
    """A server with threads from a room."""

    def __init__(
        self, site: Site, room: Room, listener: socket.socket, tls: ssl.SSLContext | None
    ) -> None:
        super().__init__(listener, tls, Handler)
        self.site, self.room = site, room
        self._next_sweep = 0.0

    def make_room(self) -> None:
        """Cut whoever has been silent for longest."""
        self.room.cut_longest_silent()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Have a connection served in a thread, or turn it away."""
        if not self.room.take(Handler(request, client_address, self)):
            with request, suppress(OSError):
                request.setblocking(False)
                request.send(BUSY)
                request.shutdown(socket.SHUT_WR)
                request.recv(65536)  # what was sent, lest a reset takes the answer back

    def service_actions(self) -> None:
        """Cut the connections whose time is over; the library calls this between two accepts."""
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            self.room.sweep(now)


class Servers:
    """A site served on a host and a port: on both families of loopback, where there are two."""

    def __init__(self, site: Site, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._room = Room()
        self._servers = [Server(site, self._room, each, tls) for each in listen(host, port)]
        self.port = self._servers[0].port

    def serve_forever(self) -> None:
        """Serve until ``shutdown``."""
        for other in self._servers[1:]:
            serve = partial(other.serve_forever, SWEEP_SECONDS)
            threading.Thread(target=serve, name="tempkit other family", daemon=True).start()
        self._servers[0].serve_forever(SWEEP_SECONDS)

    def shutdown(self) -> None:
        """Stop serving, close the port and every connection."""
        for server in self._servers:
            server.shutdown()
        self._room.close()

    def forget(self) -> None:
        """Close a forked child's copies of the sockets, without a word to the other side."""
        sockets = [server.socket for server in self._servers]
        for each in (*sockets, *(connection.request for connection in self._room.open)):
            with suppress(OSError):
                each.close()


@lru_cache(1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
