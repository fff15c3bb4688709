"""Wire: the sockets of a sandbox. HTTP requests to ``routes``, WebSockets to a ServerSession."""

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

from tempkit.messages import CloseCode, Json
from tempkit.sandbox import routes
from tempkit.sandbox.faults import Progress
from tempkit.sandbox.inbox import Inbox
from tempkit.sandbox.journal import harmless, shown
from tempkit.sandbox.listener import Listener
from tempkit.sandbox.opening import Opening, Switches, read_query
from tempkit.sandbox.pool import CORES, Sharing
from tempkit.sandbox.recognizer import Recognizer
from tempkit.sandbox.session import Output, ServerSession
from tempkit.sandbox.state import State

log = logging.getLogger(__name__)

# The library's own lines at DEBUG show addresses and headers, and with them tokens.
quiet_log = logging.getLogger("tempkit.sandbox.websocket")
quiet_log.setLevel(logging.WARNING)

CLOSE_SECONDS = 2.0
CUT_SECONDS = 2 * CLOSE_SECONDS  # how long a sandbox that stops waits for its clients
LARGEST_MESSAGE = 2**24  # bytes
QUEUE = 4096  # messages: a file that is sent at once does not stop the pings
LOOK_SECONDS = 1.0  # how often a quiet session looks at the clock, which may be a test's


@dataclass(frozen=True)
class House:
    """What a sandbox's connections are served with."""

    state: State
    recognizer: Recognizer
    switches: Switches
    paced: bool
    stopping: threading.Event = field(default_factory=threading.Event)


class WireEngine:
    """The library's server on a port, that can also be shut down while the program ends."""

    def __init__(self, house: House, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._house = house
        self._server: Server = serve(
            self._converse,
            sock=Listener.on(host, port),
            ssl=tls,
            process_request=self._answer,
            compression=None,
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            max_size=LARGEST_MESSAGE,
            max_queue=QUEUE,
            logger=quiet_log,
            server_header=None,
        )
        self.serve_forever = self._server.serve_forever
        self.port: int = self._server.socket.getsockname()[1]
        self._scheme = "https" if tls else "http"

    def shutdown(self) -> None:
        """Close the port and every session."""
        self._house.stopping.set()
        last_resort = threading.Timer(CUT_SECONDS, self._cut_all)
        if threading.main_thread().is_alive():
            last_resort.start()  # who does not read does not see a close either
        else:  # too late for the thread pool with which the library closes its connections
            for connection in self._server.connections:
                connection.close(CloseCode.GOING_AWAY)
        self._server.shutdown()
        last_resort.cancel()

    def _cut_all(self) -> None:
        for connection in self._server.connections:
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        asked = routes.Request(request.method, request.path, _headers(request), _peer(connection))
        state = self._house.state
        if asked.path == routes.WEBSOCKET:
            return self._refusal(connection)
        answer = self._token_fault() if asked.path == "/v3/token" else None
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
        _Conversation(connection, self._house).run()


class _Cut(Exception):  # noqa: N818 - asked for
    """The connection was cut by a fault."""


class _Conversation:
    """One WebSocket: what comes in to a session, what comes out of it back, faults in between."""

    def __init__(self, connection: ServerConnection, house: House) -> None:
        assert connection.request is not None
        self._connection = connection
        self._stopping = house.stopping
        self._state = state = house.state
        self._limits_speed = house.switches.most_ahead_seconds is not None
        self._progress = Progress(state.armed.for_session(), time.monotonic())
        self._inbox = Inbox(paced=house.paced)
        self._audio = [0, 0.0]  # messages and seconds since the journal's last entry
        query = read_query(connection.request.path.partition("?")[2])
        sharing = Sharing(house.recognizer, CORES, lambda: self._inbox.is_late(time.monotonic()))
        self._session = ServerSession(
            Opening(query, _headers(connection.request).get("Authorization")),
            state.ledger,
            sharing,
            state.clock,
            switches=house.switches,
        )
        self._number = state.enter()
        self._note("opened", routes.WEBSOCKET, shown(query))

    def run(self) -> None:
        """Speak until one side closes."""
        try:
            self._speak()
        except (ConnectionClosed, _Cut):
            # The client is gone, or was cut off: there is no one to tell.
            self._note("closed", "connection", {"code": self._connection.close_code})
        finally:
            self._state.leave()

    def _speak(self) -> None:
        try:
            begin = [*self._session.open()]
            self._hold(self._progress.faults.slow_begin_seconds)
            is_open = self._pass_on(begin)
            while is_open and not self._stopping.is_set():
                is_open = self._pass_on(self._next())
            if is_open:
                self._connection.close(CloseCode.GOING_AWAY)
        except (ConnectionClosed, _Cut):
            raise
        except Exception:
            log.exception("a sandbox session failed")
            self._pass_on(self._session.fail())

    def _next(self) -> Iterable[Output]:
        """What the next message, or the time, leads to."""
        self._play_faults()
        too_fast = self._collect(0)
        if too_fast:
            return too_fast
        now = time.monotonic()
        data = self._inbox.take(now)
        if data is None:
            return self._wait(now)
        self._progress.received += 1
        self._note_received(data)
        return self._session.receive(data)

    def _wait(self, now: float) -> Iterable[Output]:
        """What comes of waiting for the next message."""
        wait = min(LOOK_SECONDS, self._inbox.wait(now), max(0.0, self._progress.cut_at - now))
        if not self._inbox.is_empty:  # paced: it is not time yet
            return self._collect(wait)
        patience = max(0.0, self._session.deadline - self._state.clock())
        outputs = self._collect(min(wait, patience / self._state.clock.speed))
        return outputs or (self._session.tick() if self._inbox.is_empty else ())

    def _collect(self, wait: float) -> list[Output]:
        """Take what comes in off the socket, so that its reader never waits for recognition.

        Waits for the first message only. Gives what follows from audio that comes in too fast.
        """
        if self._inbox.is_full:
            self._stopping.wait(wait)
        while not self._inbox.is_full:
            try:
                data = self._connection.recv(timeout=wait)
            except TimeoutError:
                break
            wait, now = 0, time.monotonic()
            self._inbox.put(data, self._session.seconds(data), now)
            if self._limits_speed:
                received, elapsed = self._inbox.received_seconds, self._inbox.elapsed(now)
                if outputs := [*self._session.check_speed(received, elapsed)]:
                    return outputs
        return []

    def _hold(self, seconds: float) -> None:
        """Keep still for so long; raises ConnectionClosed when the client goes meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._collect(left)

    def _play_faults(self) -> None:
        progress = self._progress
        if progress.is_cut(time.monotonic()):
            self._note("fault", "cut", {})
            self._connection.close_socket()
            raise _Cut
        if progress.stalls():
            self._note("fault", "stall", {"seconds": progress.faults.stall_seconds})
            self._hold(progress.faults.stall_seconds)

    def _pass_on(self, outputs: Iterable[Output]) -> bool:
        """Send what comes out of a session; False when it has closed."""
        for output in outputs:
            if not isinstance(output, str):
                self._note("closed", "WebSocket", output._asdict())
                self._connection.close(*output)
                return False
            self._play_faults()
            self._connection.send(output)
            self._progress.sent += 1
            payload = json.loads(output)
            self._note("sent", payload.pop("type"), payload)
        if self._progress.is_cancelled():
            self._note("fault", "cancel", {})
            return self._pass_on(self._session.fail())
        return True

    def _note_received(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self._audio[0] += 1
            self._audio[1] += self._session.seconds(data)
            return
        try:
            message = json.loads(data, parse_constant=str)  # no NaN in the journal
            name, detail = harmless(str(message["type"])), shown(message)
        except (ValueError, TypeError, LookupError, RecursionError):
            name, detail = "text", {"characters": len(data)}
        self._note("received", name, detail)

    def _note(self, kind: str, name: str, detail: dict[str, Json]) -> None:
        journal, now = self._state.journal, self._state.clock()
        if self._audio[0]:
            messages, seconds = int(self._audio[0]), round(self._audio[1], 3)
            self._audio = [0, 0.0]
            sound: dict[str, Json] = {"messages": messages, "seconds": seconds}
            journal.add(now, self._number, "received", "audio", sound)
        journal.add(now, self._number, kind, name, detail)


def _headers(request: Request) -> dict[str, str]:
    """The headers that count, as one value each; what is repeated is no credential."""
    found = {name: request.headers.get_all(name) for name in ("Authorization", "Origin", "Host")}
    return {"Host": ""} | {name: ", ".join(values) for name, values in found.items() if values}


def _peer(connection: ServerConnection) -> str:
    try:
        return str(connection.remote_address[0])
    except OSError:  # it is gone already
        return ""


def _response(answer: routes.Answer) -> Response:
    headers = {"Content-Length": str(len(answer.body)), "Connection": "close"}
    if answer.body:
        headers |= {"Content-Type": answer.kind, "Cache-Control": "no-store"}
    return Response(answer.status, HTTPStatus(answer.status).phrase, Headers(headers), answer.body)
