"""SocketSession: one WebSocket of a sandbox, its messages to a ServerSession and back."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import NoReturn

from websockets.exceptions import ConnectionClosed
from websockets.sync.connection import Connection

from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Json
from tempkit.protocol.recording import Close
from tempkit.sandbox.faults import Faults, Progress
from tempkit.sandbox.hearing.pool import CORES, Sharing
from tempkit.sandbox.hearing.recognizer import Recognizer
from tempkit.sandbox.journal import harmless, shown
from tempkit.sandbox.rules.replay import ReplaySession, Score
from tempkit.sandbox.rules.session import Note, Output, ServerSession
from tempkit.sandbox.state import State
from tempkit.sandbox.wire import routes
from tempkit.sandbox.wire.inbox import Inbox

log = logging.getLogger(__name__)

# How often a quiet session looks at the clock, which may be a test's, and whether it is to stop.
LOOK_SECONDS = 0.5
POLL_SECONDS = 0.1  # for a lock that is held for an instant only


class _Over(Exception):  # noqa: N818 - asked for
    """The session has closed."""


class SocketSession:
    """One WebSocket: what comes in to a session, what comes out of it back, faults in between."""

    def __init__(
        self,
        connection: Connection,
        asked: routes.HttpRequest,
        state: State,
        recognizer: Recognizer,
        stopping: threading.Event,
    ) -> None:
        self._connection = connection
        self._state = state
        self._stopping = stopping
        faults = state.faults if state.is_hit("sessions") else Faults()
        self._progress = Progress(faults, time.monotonic())
        self._inbox = inbox = Inbox(realtime=state.switches.realtime)
        self._too_fast: list[Output] = []  # what follows from audio that came in too fast
        self._audio = [0, 0.0]  # messages and seconds since the journal's last entry

        def listen() -> Sharing:
            return Sharing(recognizer.listen(), CORES, lambda: inbox.patience(time.monotonic()))

        credentials = asked.query, asked.headers.get("Authorization")
        given = (*credentials, state.ledger, listen, state.clock, state.switches)
        scores = [Score(recording) for recording in state.recordings]
        self._session = ReplaySession(scores, *given) if scores else ServerSession(*given)
        self._fault: dict[str, Callable[[], object]] = {
            "say": lambda: connection.send(faults.message),
            "say_binary": lambda: connection.send(faults.message.encode()),
            "stall": lambda: self._hold(faults.stall_seconds),
            "cancel": lambda: self._end(self._session.fail()),
            "terminate": lambda: self._end(self._session.end()),
            "close": lambda: self._close(Close(faults.close_code, "")),
            "cut": lambda: self._close(Close(CloseCode.ABNORMAL, "")),
            "stop_reading": self._stop_reading,
        }
        self._held: threading.Lock | None = None  # so that nothing is read
        self._number = next(state.numbers)
        self._note("opened", routes.WEBSOCKET, shown(asked.query))

    def run(self) -> None:
        """Speak until one side closes."""
        self._state.open_sessions.add(self._number)
        try:
            self._speak()
        except _Over:
            pass
        except ConnectionClosed:
            self._note("closed", "connection", {"code": self._connection.close_code})
        finally:
            self._read_on()
            self._state.open_sessions.discard(self._number)

    def _speak(self) -> None:
        try:
            begin = [*self._session.open()]
            self._hold(self._progress.faults.slow_begin_seconds)
            self._pass_on(begin)
            while not self._stopping.is_set():
                self._pass_on(self._next())
            self._close(Close(CloseCode.GOING_AWAY, ""))
        except (ConnectionClosed, _Over):
            raise
        except Exception:
            log.exception("a sandbox session failed")
            self._end(self._session.fail())

    def _next(self) -> Iterable[Output]:
        """What the next message, or the time, leads to."""
        self._play_faults()
        self._collect(self._patience(time.monotonic()))
        if self._too_fast:
            refusal, self._too_fast = self._too_fast, []
            return refusal
        data = self._inbox.take(time.monotonic())
        if data is None:  # at audio pace what came in may not be due yet
            return self._session.tick() if self._inbox.is_empty else ()
        progress, seconds = self._progress, self._session.seconds(data)
        if "stop_upload" in progress.happened:
            return self._session.tick()
        progress.received += 1
        progress.audio_seconds += seconds
        if isinstance(data, bytes):
            self._audio[0] += 1
            self._audio[1] += seconds
        else:
            name = self._note_text(data)
            if "stop_answering" in progress.happened:
                return self._session.tick()
            if name == "Terminate":
                self._hold(progress.faults.slow_termination_seconds, beats=True)
        return self._session.receive(data)

    def _patience(self, now: float) -> float:
        """Seconds in which there is nothing to do, unless a message comes in."""
        waits = [LOOK_SECONDS, self._inbox.wait(now), self._progress.seconds_to_next(now)]
        if self._inbox.is_empty:
            clock = self._state.clock
            waits.append((self._session.deadline - clock()) / clock.speed)
        return max(0.0, min(waits))

    def _collect(self, wait: float) -> None:
        """Take what comes in off the socket, so that its reader never waits for recognition.

        Waits for the first message only.
        """
        if not self._is_reading:
            self._stopping.wait(wait)
        while self._is_reading:
            try:
                data = self._connection.recv(timeout=wait)
            except TimeoutError:
                break
            wait, now = 0, time.monotonic()
            self._inbox.put(data, self._session.seconds(data), now)
            self._too_fast = [*self._session.check_speed(*self._inbox.pace(now))]

    @property
    def _is_reading(self) -> bool:
        stopped = "stop_reading" in self._progress.happened
        return not (stopped or self._inbox.is_full or self._too_fast)

    def _hold(self, seconds: float, *, beats: bool = False) -> None:
        """Wait so long, with ``beats`` for what time alone leads to."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopping.is_set():
            self._collect(min(left, LOOK_SECONDS))
            if beats:
                self._play_faults()
                self._pass_on(self._session.tick())

    def _play_faults(self) -> None:
        """Let go wrong what is due; raises _Over when that ends the session."""
        for what in self._progress.due(time.monotonic()):
            self._note("fault", what, {**self._progress.faults.given()})
            if what in self._fault:
                self._fault[what]()

    def _stop_reading(self) -> None:
        # Each read takes this lock first. Where it is not to be had, the library holds it itself,
        # since more has come in than was taken: nothing is read then either.
        lock = self._connection.recv_flow_control
        self._held = lock if lock.acquire(timeout=POLL_SECONDS) else None

    def _read_on(self) -> None:
        if self._held:
            self._held.release()
            self._held = None

    def _end(self, outputs: Iterable[Output]) -> None:
        """Send these last messages and close, whatever else was to go wrong; raises _Over."""
        self._progress = Progress(Faults(), time.monotonic())
        self._pass_on(outputs)

    def _pass_on(self, outputs: Iterable[Output]) -> None:
        """Send what comes out of a session; raises _Over when it has closed."""
        for output in outputs:
            if isinstance(output, Note):
                self._note("note", "not as asked", output._asdict())
                continue
            self._play_faults()
            message = {} if isinstance(output, Close) else json.loads(output)
            kind = message.pop("type", "")
            stopped = "stop_heartbeats" if kind == "Heartbeat" else "stop_answering"
            if stopped in self._progress.happened:
                continue
            if isinstance(output, Close):
                self._close(output)
            self._connection.send(output)
            self._progress.sent += 1
            self._note("sent", kind, message)

    def _close(self, closing: Close) -> NoReturn:
        """Close, also in a way that is none of the service's; raises _Over."""
        code, reason = closing
        self._note("closed", "WebSocket", {"code": code} | ({"reason": reason} if reason else {}))
        self._read_on()
        if code == CloseCode.ABNORMAL:
            self._connection.close_socket()
        elif code == CloseCode.NO_CODE:
            with self._connection.send_context():
                self._connection.protocol.send_close()
        else:
            self._connection.close(code, reason)
        raise _Over

    def _note_text(self, text: str) -> str:
        """Write a message that came in to the journal; gives its type."""
        try:
            message = json.loads(text, parse_constant=str)  # no NaN in the journal
            name, detail = harmless(str(message["type"])), shown(message)
        except (ValueError, TypeError, LookupError, RecursionError):
            name, detail = "text", {"characters": len(text)}
        self._note("received", name, detail)
        return name

    def _note(self, kind: str, name: str, detail: dict[str, Json]) -> None:
        journal, now = self._state.journal, self._state.clock()
        if self._audio[0]:
            messages, seconds = int(self._audio[0]), round(self._audio[1], 3)
            self._audio = [0, 0.0]
            sound: dict[str, Json] = {"messages": messages, "seconds": seconds}
            journal.add(now, self._number, "received", "audio", sound)
        journal.add(now, self._number, kind, name, detail)
