"""SocketSession: one WebSocket of a sandbox, its messages to a ServerSession and back."""

import json
import logging
import threading
import time
from collections.abc import Iterable

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.sync.server import ServerConnection

from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Json
from tempkit.sandbox.faults import Progress
from tempkit.sandbox.hearing.pool import CORES, Sharing
from tempkit.sandbox.hearing.recognizer import Recognizer
from tempkit.sandbox.journal import harmless, shown
from tempkit.sandbox.rules.opening import Opening, read_query
from tempkit.sandbox.rules.session import Closing, Output, ServerSession
from tempkit.sandbox.state import State
from tempkit.sandbox.wire import routes
from tempkit.sandbox.wire.inbox import Inbox

log = logging.getLogger(__name__)

# How often a quiet session looks at the clock, which may be a test's, and whether it is to stop.
LOOK_SECONDS = 0.5


class _Cut(Exception):  # noqa: N818 - asked for
    """The connection was cut by a fault."""


class SocketSession:
    """One WebSocket: what comes in to a session, what comes out of it back, faults in between."""

    def __init__(
        self,
        connection: ServerConnection,
        state: State,
        recognizer: Recognizer,
        stopping: threading.Event,
    ) -> None:
        assert connection.request is not None
        self._connection = connection
        self._state = state
        self._stopping = stopping
        self._progress = Progress(state.armed.for_session(), time.monotonic())
        self._inbox = Inbox(realtime=state.switches.realtime)
        self._too_fast: list[Output] = []  # what follows from audio that came in too fast
        self._audio = [0, 0.0]  # messages and seconds since the journal's last entry
        query = read_query(connection.request.path.partition("?")[2])
        sharing = Sharing(recognizer, CORES, lambda: self._inbox.patience(time.monotonic()))
        self._session = ServerSession(
            Opening(query, headers_of(connection.request).get("Authorization")),
            state.ledger,
            sharing,
            state.clock,
            state.switches,
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
                self._pass_on([Closing(CloseCode.GOING_AWAY, "")])
        except (ConnectionClosed, _Cut):
            raise
        except Exception:
            log.exception("a sandbox session failed")
            self._pass_on(self._session.fail())

    def _next(self) -> Iterable[Output]:
        """What the next message, or the time, leads to."""
        self._play_faults()
        self._collect(0)
        if self._too_fast:
            return self._too_fast
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
        if not self._inbox.is_empty:  # at audio pace it is not time yet
            self._collect(wait)
            return ()
        patience = max(0.0, self._session.deadline - self._state.clock())
        self._collect(min(wait, patience / self._state.clock.speed))
        return self._session.tick() if self._inbox.is_empty else ()

    def _collect(self, wait: float) -> None:
        """Take what comes in off the socket, so that its reader never waits for recognition.

        Waits for the first message only.
        """
        if self._inbox.is_full or self._too_fast:
            self._stopping.wait(wait)
        while not self._inbox.is_full and not self._too_fast:
            try:
                data = self._connection.recv(timeout=wait)
            except TimeoutError:
                break
            wait, now = 0, time.monotonic()
            inbox = self._inbox
            inbox.put(data, self._session.seconds(data), now)
            pace = inbox.received_seconds, inbox.elapsed(now), inbox.waiting_seconds
            self._too_fast = [*self._session.check_speed(*pace)]

    def _hold(self, seconds: float) -> None:
        """Keep still for so long; raises ConnectionClosed when the client goes meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
            self._collect(min(left, LOOK_SECONDS))

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


def headers_of(request: Request) -> dict[str, str]:
    """The headers that count, as one value each; what is repeated is no credential."""
    names = ("Authorization", "Origin", "Host", "Upgrade")
    found = {name: request.headers.get_all(name) for name in names}
    return {"Host": ""} | {name: ", ".join(values) for name, values in found.items() if values}
