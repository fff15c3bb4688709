"""SocketSession: one WebSocket of a sandbox, its messages to a ServerSession and back."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NoReturn

from websockets.exceptions import ConnectionClosed
from websockets.server import ServerProtocol
from websockets.sync.connection import Connection

from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Json, dump
from tempkit.protocol.recording import Close
from tempkit.sandbox.faults import Faults, Progress
from tempkit.sandbox.hearing.recognizer import Recognizer, SharedListener
from tempkit.sandbox.rules.replay import ReplaySession
from tempkit.sandbox.rules.session import Note, Output, ServerSession
from tempkit.sandbox.state import State, harmless, shown
from tempkit.sandbox.wire import routes
from tempkit.sandbox.wire.inbox import Inbox

log = logging.getLogger(__name__)

CLOSE_SECONDS = 2.0  # how long the other side may take to answer a close
QUEUE = 4096  # messages that are read ahead: a file that is sent at once does not stop the pings
# How often a quiet session looks at the clock, which may be a test's, whether a fault is due, and
# whether it is to stop.
LOOK_SECONDS = 0.5


class _Over(Exception):  # noqa: N818 - asked for
    """The session has closed."""


class SocketSession:
    """One WebSocket: what comes in to a session, what comes out of it back, faults in between."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: ServerProtocol,
        asked: routes.HttpRequest,
        state: State,
        recognizer: Recognizer,
        stopping: threading.Event,
    ) -> None:
        self._state = state
        self._stopping = stopping
        faults = state.faults if state.is_hit("sessions") else Faults()
        self._progress = Progress(faults, time.monotonic())
        self._inbox = inbox = Inbox(realtime=state.switches.realtime)
        self._audio = [0, 0.0]  # messages and seconds since the journal's last entry

        def listen() -> SharedListener:
            return SharedListener(recognizer.listen(), lambda: inbox.patience(time.monotonic()))

        credentials = asked.query, asked.headers.get("Authorization")
        given = (*credentials, state.ledger, listen, state.clock, state.switches)
        played = state.recordings
        self._session = ReplaySession(played, *given) if played else ServerSession(*given)
        self._number = next(state.numbers)
        self._note("opened", routes.WEBSOCKET, shown(asked.query))
        # Where nothing is read ahead, the library stops reading as soon as nothing is taken.
        queue = 0 if any(name.startswith("stop_reading") for name in faults.given) else QUEUE
        self._connection = Connection(
            sock, protocol, ping_interval=None, close_timeout=CLOSE_SECONDS, max_queue=queue
        )

    def run(self) -> None:
        """Speak until one side closes."""
        self._state.open_sessions.add(self._number)
        try:
            begin = [*self._session.open()]
            self._hold(self._progress.faults.slow_begin_seconds)
            self._pass_on(begin)
            while not self._stopping.is_set():
                self._pass_on(self._next())
            self._close(Close(CloseCode.GOING_AWAY, ""))
        except _Over:
            pass
        except ConnectionClosed:
            self._note("closed", "connection", {"code": self._connection.close_code})
        except Exception:
            log.exception("a sandbox session failed")
            with suppress(_Over, ConnectionClosed):
                self._end(self._session.fail())
        finally:
            self._connection.close()
            self._state.open_sessions.discard(self._number)

    def _next(self) -> Iterable[Output]:
        """What the next message, or the time, leads to."""
        self._play_faults()
        clock = self._state.clock
        due = (self._session.deadline - clock()) / clock.speed
        self._collect(max(0.0, min(LOOK_SECONDS, due, self._inbox.wait(time.monotonic()))))
        now = time.monotonic()
        if refusal := [*self._session.check_speed(*self._inbox.pace(now))]:
            return refusal
        data = self._inbox.take(now)
        if data is None or "stop_upload" in self._progress.happened:
            return self._session.tick()
        self._progress.reached["received"] += 1
        if isinstance(data, bytes):
            seconds = self._session.seconds(data)
            self._progress.reached["audio_seconds"] += seconds
            self._audio = [self._audio[0] + 1, self._audio[1] + seconds]
            return self._session.receive(data)
        name = self._note_text(data)
        if "stop_answering" in self._progress.happened:
            return self._session.tick()
        if name == "Terminate":
            self._hold(self._progress.faults.slow_termination_seconds, beats=True)
        return self._session.receive(data)

    def _collect(self, wait: float) -> None:
        """Take what comes in off the socket; wait for the first message only."""
        while "stop_reading" not in self._progress.happened and not self._inbox.is_full:
            try:
                data = self._connection.recv(timeout=wait)
            except TimeoutError:
                return
            self._inbox.put(data, self._session.seconds(data), time.monotonic())
            wait = 0
        self._stopping.wait(wait)

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
        faults = self._progress.faults
        for what in self._progress.due(time.monotonic()):
            self._note("fault", what, faults.given)
            match what:
                case "say":
                    self._connection.send(faults.message)
                case "say_binary":
                    self._connection.send(faults.message.encode())
                case "stall":
                    self._hold(faults.stall_seconds)
                case "cancel":
                    self._end(self._session.fail())
                case "terminate":
                    self._end(self._session.end())
                case "close":
                    self._close(Close(faults.close_code, ""))
                case "cut":
                    self._close(Close(CloseCode.ABNORMAL, ""))

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
            is_beat = not isinstance(output, Close) and output.type == "Heartbeat"
            if ("stop_heartbeats" if is_beat else "stop_answering") in self._progress.happened:
                continue
            if isinstance(output, Close):
                self._close(output)
            text = dump(output)
            self._connection.send(text)
            self._progress.reached["sent"] += 1
            self._note("sent", output.type, text)

    def _close(self, closing: Close) -> NoReturn:
        """Close, also in a way that is none of the service's; raises _Over."""
        code, reason = closing
        self._note("closed", "WebSocket", {"code": code} | ({"reason": reason} if reason else {}))
        if code == CloseCode.ABNORMAL:
            self._connection.close_socket()
        else:  # the library takes None for no code
            sent = None if code == CloseCode.NO_CODE else code
            self._connection.close(sent, reason)  # type: ignore[arg-type]
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

    def _note(self, kind: str, name: str, said: Mapping[str, Json] | str) -> None:
        note, now = self._state.journal.add, self._state.clock()
        if self._audio[0]:
            sound = {"messages": self._audio[0], "seconds": round(self._audio[1], 3)}
            note(now, self._number, "received", "audio", sound)
            self._audio = [0, 0.0]
        note(now, self._number, kind, name, said)
