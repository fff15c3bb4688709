"""Conversation: a session kept going over one connection after another, by a thread of its own."""

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator

from tempkit.errors import SessionClosed, TempkitError
from tempkit.protocol.messages import Begin, CloseCode, Error, Termination
from tempkit.protocol.messages import Warning as ServiceWarning
from tempkit.protocol.parameters import MAX_SESSION_DURATION_SECONDS
from tempkit.streaming.link import Link, LinkClosed
from tempkit.streaming.retry import Reconnect, pause_before
from tempkit.streaming.session import ClientSession, Message, Reconnected, Reconnecting
from tempkit.streaming.watch import Watch

SHORTEST_SECONDS = 30.0  # no session is opened for less than 60
OPENINGS = 3  # how often the first connection is tried when it breaks before Begin
GRACE_SECONDS = 0.1  # how long a reader may be busy with a message before others receive for it
TICK_SECONDS = 0.25  # how often a quiet conversation looks around
STEADY_SECONDS = 10.0  # a connection that lasted so long was one
NO_PROGRESS = (Begin, ServiceWarning, Error)  # messages of a connection that may be going
STOP_SECONDS = 3.0  # longer than closing a link takes

# Opens a link, says so by calling its argument, and waits until it has begun. Raises TempkitError.
Dial = Callable[[Callable[[], None]], Link]


class Conversation:
    """Sends what ``half`` has to send, receives, and dials again when the connection is lost.

    ``policy`` None never dials again. Everything here may be called from any thread.
    """

    def __init__(self, half: ClientSession, dial: Dial, policy: Reconnect | None) -> None:
        self.half = half
        self.begin = Begin("", 0)
        self._dial = dial
        self._policy = policy
        self._lock = threading.Lock()  # of half, link and watch
        self._sending = threading.Lock()  # held while a piece goes out
        self._offers = 0
        self._attempt = 0
        self._lost_at: float | None = None  # until there is progress again
        self._closing = threading.Event()
        self._baton = threading.Lock()  # held by the thread that receives
        self._helpers = 0  # threads that wait for messages, and would rather receive them
        self._helped_at = 0.0
        self._is_running = False  # a connection is there and was not found lost
        self._outcome: TempkitError | None = None  # why it was lost
        self._error: TempkitError | None = None  # what ended the session
        self._messages: queue.SimpleQueue[Message | TempkitError | None] = queue.SimpleQueue()
        self._link: Link | None = None
        self._watch: Watch | None = None
        self._thread = threading.Thread(target=self._run, name="tempkit session", daemon=True)

    def open(self) -> None:
        """Connect and wait for Begin. Raises TempkitError."""
        for attempt in range(OPENINGS):
            try:
                self._connect()
                break
            except SessionClosed as closed:
                pause = pause_before(attempt, closed, random.random()) if self._policy else None
                if pause is None or attempt + 1 == OPENINGS or self._closing.wait(pause):
                    raise
        self._thread.start()

    def close(self) -> None:
        """Close the connection and end the thread; messages that came in can still be read."""
        self._closing.set()
        with self._lock:
            link = self._link
        if link is not None:
            link.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(STOP_SECONDS)

    def abandon(self) -> None:
        """Let the thread close the connection, soon; nobody is interested any more."""
        self._closing.set()

    def check_open(self) -> None:
        """Raises SessionClosed when no more audio can be sent."""
        if self._closing.is_set() or self.half.termination or self.half.has_ended_audio:
            code, text = CloseCode.ENDED, "the session has ended"
            raise self._error or SessionClosed(code, text, "open a new one with connect()")

    def offer(self, audio: bytes) -> None:
        """Send more audio. Raises SessionClosed after the end."""
        self._change(lambda half: half.backlog.offer(audio))

    def command(self, text: str) -> None:
        """Send a message at this place of the audio. Raises SessionClosed after the end."""
        self._change(lambda half: half.backlog.command(text))

    def end_audio(self) -> None:
        """Send Terminate after all audio. Raises SessionClosed after the end."""
        self._change(ClientSession.end_audio)

    def _change(self, step: Callable[[ClientSession], None]) -> None:
        with self._lock:
            self.check_open()
            step(self.half)
            self._offers += 1
        self._send_due()

    def messages(self) -> Iterator[Message]:
        """The messages as they come, to the end. Raises SessionClosed and ProtocolError."""
        while True:
            if self._is_running and self._messages.empty():
                self._help()
                continue
            try:
                item = self._messages.get(timeout=TICK_SECONDS)
            except queue.Empty:
                continue
            if item is None or isinstance(item, Exception):
                self._messages.put(item)  # for whoever reads next
                if item is not None:
                    raise item
                return
            yield item

    def _connect(self) -> None:
        link = self._dial(self._start_over)
        now, wall = time.monotonic(), time.time()
        assert self.half.begin is not None
        self.begin = self.half.begin
        lasts = self.begin.expires_at - wall
        if lasts < SHORTEST_SECONDS:  # the two machines disagree about the time
            lasts = MAX_SESSION_DURATION_SECONDS[1]
        with self._lock:
            self._link = link
            self._watch = Watch(self._policy or Reconnect(), now, now + lasts, wall - now)
            self._outcome = None
            self._is_running = True

    def _start_over(self) -> None:
        with self._lock:
            self.half.connected(time.monotonic())

    def _run(self) -> None:
        end: TempkitError | None = None
        try:
            while (cut := self._converse()) and not self._closing.is_set():
                end = self._recover(cut) if isinstance(cut, SessionClosed) else cut
                if end:
                    break
        finally:
            self._error = end
            self._closing.set()
            if self._link is not None:
                self._link.close()
            self._messages.put(end)

    def _converse(self) -> TempkitError | None:
        """See a connection through; why it was lost, or None when the session has ended."""
        while self._is_running and not self._closing.is_set():
            if self._helpers or time.monotonic() < self._helped_at + GRACE_SECONDS:
                self._closing.wait(GRACE_SECONDS)
                continue
            with self._baton:
                self._step()
        return self._outcome

    def _help(self) -> None:
        """Receive in the thread that waits for messages: they reach it without a detour."""
        with self._lock:
            self._helpers += 1
        try:
            if self._baton.acquire(timeout=TICK_SECONDS):
                try:
                    if self._messages.empty():
                        self._step()
                finally:
                    self._baton.release()
        finally:
            with self._lock:
                self._helpers -= 1
                self._helped_at = time.monotonic()

    def _step(self) -> None:
        """Look around, send what is due, and take in a message if one comes soon."""
        link, watch = self._link, self._watch
        if link is None or watch is None or not self._is_running:
            return
        if cause := self._cause(time.monotonic(), watch):
            self._end(cause)
            link.close()
            return
        try:
            self._send_due()
            text = link.receive(self._tick())
            if self._take_in(text, time.monotonic(), watch):
                self._is_running = False
        except TimeoutError:
            return  # nothing came
        except LinkClosed as closed:
            self._end(self.half.closed(closed.code, closed.reason))
        except TempkitError as error:
            self._end(error)

    def _end(self, outcome: TempkitError | None) -> None:
        self._outcome = outcome
        self._is_running = False

    def _take_in(self, text: str | bytes, now: float, watch: Watch) -> bool:
        """Pass a message on; whether it was the last one."""
        with self._lock:
            message = self.half.receive(text)
            watch.hear(now)
        if message is None:
            return False
        if not isinstance(message, NO_PROGRESS):
            self._attempt, self._lost_at = 0, None
        self._messages.put(message)
        return isinstance(message, Termination)

    def _cause(self, now: float, watch: Watch) -> SessionClosed | None:
        """Why to leave this connection now."""
        with self._lock:
            self.half.pass_time(now)
            if self.half.is_terminating:
                ahead = self.half.backlog.carried_seconds - (now - watch.began)
                return watch.cause_at_end(now, ahead)
            is_between = not self.half.transcript.partial
        if self._policy is None:
            return None
        return watch.cause(now, time.time(), is_between_turns=is_between)

    def _tick(self) -> float:
        now = time.monotonic()
        with self._lock:
            due = self.half.backlog.due(now)
        return max(0.0, min(TICK_SECONDS, due - now)) if due > now else TICK_SECONDS

    def _send_due(self) -> None:
        """Send all that may be sent now, unless another thread is at it."""
        seen = -1
        while seen != self._offers and self._sending.acquire(blocking=False):
            try:
                seen = self._drain()
            except LinkClosed:
                return  # receiving finds out, too, and knows why
            finally:
                self._sending.release()

    def _drain(self) -> int:
        """Send until nothing is due; gives how many offers that took into account."""
        while True:
            with self._lock:
                link, watch, seen = self._link, self._watch, self._offers
                if link is None or watch is None:
                    return seen
                piece = self.half.backlog.take(time.monotonic())
                if piece is None:
                    return seen
                if isinstance(piece, bytes):
                    audio = self.half.backlog.audio
                    watch.send(piece, audio.encoding, audio.seconds(len(piece)))
            link.send(piece)

    def _recover(self, cut: SessionClosed) -> TempkitError | None:
        """Connect again; gives the error to end with when that is not to be."""
        began, error = time.monotonic(), cut
        if self._watch is not None and began - self._watch.began > STEADY_SECONDS:
            self._lost_at = None
        lost_at = self._lost_at = self._lost_at or began
        why: TempkitError = cut
        with self._lock:
            self._link = None
        while self._policy is not None:
            pause = pause_before(self._attempt, why, random.random())
            gone = time.monotonic() - lost_at
            if pause is None or gone + pause > self._policy.give_up_after_seconds:
                break
            at_risk = self.half.backlog.seconds
            self._messages.put(Reconnecting(self._attempt, pause, at_risk, str(why)))
            self._attempt += 1
            if self._closing.wait(pause):
                break
            try:
                self._connect()
            except TempkitError as failure:
                why = failure
                continue
            gap = time.monotonic() - began
            lost = self.half.lost_seconds
            self._messages.put(Reconnected(self.begin.id, gap, at_risk, lost))
            return None
        return self.half.given_up(error, why)
