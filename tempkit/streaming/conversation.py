"""Conversation: a session kept going over one connection after another, by a thread of its own."""

import itertools
import math
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator

from tempkit.errors import SessionClosed, TempkitError
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Begin, Termination
from tempkit.protocol.parameters import MAX_SESSION_DURATION_SECONDS
from tempkit.streaming.dialer import Dialer
from tempkit.streaming.link import Link, LinkClosed
from tempkit.streaming.retry import Reconnect, is_blown, pause_before, pause_before_opening
from tempkit.streaming.session import ClientSession, Message, Reconnected, Reconnecting
from tempkit.streaming.watch import Watch

SHORTEST_SECONDS = 30.0  # no session is opened for less than 60
TICK_SECONDS = 0.25  # how often a quiet conversation looks around
STOP_SECONDS = 3.0  # longer than closing a link takes

# The clock that goes on while the machine is asleep, as the steady one does not: Linux, macOS.
BOOT_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class Conversation:
    """Sends what ``half`` has to send, receives, and dials again when the connection is lost.

    ``policy`` None never dials again. Everything here may be called from any thread.
    """

    def __init__(self, half: ClientSession, dialer: Dialer, policy: Reconnect | None) -> None:
        self.half = half
        self.begin = Begin("", 0)
        self._dialer = dialer
        self._policy = policy
        self._lock = threading.Lock()  # of half, link and watch
        self._sending = threading.Lock()  # held while a piece goes out
        self._is_due = False  # there may be more to send than was seen
        self._sessions = 0  # that have begun
        self._attempt = 0
        self._lost_at: float | None = None  # until there is progress again
        self._progress = half.progress
        self._closing = threading.Event()
        self._error: Exception | None = None  # what ended the session
        self._messages: queue.SimpleQueue[Message | Exception | None] = queue.SimpleQueue()
        self._link: Link | None = None
        self._watch: Watch  # of the latest link
        self._thread = threading.Thread(target=self._run, name="tempkit session", daemon=True)

    def open(self) -> None:
        """Connect and wait for Begin. Raises TempkitError."""
        for attempt in itertools.count():
            try:
                self._connect()
                break
            except TempkitError as failure:
                luck = random.random()
                pause = pause_before_opening(attempt, failure, luck) if self._policy else None
                if pause is None or self._closing.wait(pause):
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
        self._send_due()

    def messages(self) -> Iterator[Message]:
        """The messages as they come, to the end. Raises SessionClosed and ProtocolError."""
        while True:
            try:
                item = self._messages.get(timeout=TICK_SECONDS)
            except queue.Empty:  # on Windows Ctrl-C is heard only between two waits
                continue
            if item is None or isinstance(item, Exception):
                self._messages.put(item)  # for whoever reads next
                if item is not None:
                    raise item
                return
            yield item

    def _connect(self) -> None:
        """Open a link and wait until a session has begun on it. Raises TempkitError."""
        try:
            link = self._begin()
        except SessionClosed as refused:
            if not self._dialer.was_sent_twice(refused):
                raise
            link = self._begin()
        now = time.monotonic()
        lasts = self.begin.expires_at - time.time()
        if lasts < SHORTEST_SECONDS:  # the two machines disagree about the time
            lasts = MAX_SESSION_DURATION_SECONDS[1]
        ends = now + lasts if self._policy else math.inf
        stall_seconds = (self._policy or Reconnect()).stall_seconds
        with self._lock:
            self._sessions += 1
            self._link = link
            self._watch = Watch(stall_seconds, now, ends, asleep_seconds())

    def _begin(self) -> Link:
        link = self._dialer.open(self.half.parameters.client_query())
        with self._lock:
            self.half.connected(time.monotonic())
        self.begin = self._dialer.await_begin(link, self.half)
        return link

    def _run(self) -> None:
        end: Exception | None = None
        try:
            while (cut := self._converse()) and not self._closing.is_set():
                end = self._recover(cut) if isinstance(cut, SessionClosed) else cut
                if end:
                    break
        except Exception as error:  # a defect, which nobody would see in this thread
            end = error
        finally:
            self._error = end
            self._closing.set()
            if self._link is not None:
                self._link.close()
            self._messages.put(end)

    def _converse(self) -> TempkitError | None:
        """See a connection through; why it was lost, or None when the session has ended."""
        link, watch = self._link, self._watch
        assert link is not None
        try:
            while not self._closing.is_set():
                if cause := self._cause(time.monotonic(), watch):
                    return cause
                self._send_due()
                if isinstance(self._receive(link, watch), Termination):
                    return None
        except LinkClosed as closed:
            return self.half.closed(closed.code, closed.reason)
        except TempkitError as error:
            return error
        return None

    def _receive(self, link: Link, watch: Watch) -> Message | None:
        """Pass on the next message, if one comes soon."""
        try:
            text = link.receive(self._tick())
        except TimeoutError:
            return None
        with self._lock:
            message = self.half.receive(text)
            watch.hear(time.monotonic(), self.half.taken_ms)
            if self.half.progress != self._progress:
                self._progress = self.half.progress
                self._attempt, self._lost_at = 0, None
        if message is not None:
            self._messages.put(message)
        return message

    def _cause(self, now: float, watch: Watch) -> SessionClosed | None:
        """Why to leave this connection now."""
        with self._lock:
            self.half.pass_time(now)
            if self.half.is_terminating:
                watch.terminate(now, self.half.backlog.carried_seconds - (now - watch.began))
            is_between = not self.half.transcript.partial
            return watch.look(now, asleep_seconds(), is_between_turns=is_between)

    def _tick(self) -> float:
        now = time.monotonic()
        with self._lock:
            wait = self.half.backlog.due(now) - now
        return min(TICK_SECONDS, wait) if wait > 0 else TICK_SECONDS

    def _send_due(self) -> None:
        """Send all that may be sent now; a thread that is at it already looks once more instead."""
        self._is_due = True
        while self._is_due and self._sending.acquire(blocking=False):
            try:
                self._is_due = False
                while self._send_next():
                    pass
            except LinkClosed:
                return  # receiving finds out, too, and knows why
            finally:
                self._sending.release()

    def _send_next(self) -> bool:
        """Send the next piece; whether there was one."""
        with self._lock:
            link = self._link
            now = time.monotonic()
            piece = self.half.backlog.take(now) if link else None
            if link is None or piece is None:
                return False
            if isinstance(piece, bytes):
                self._watch.send(now)
        link.send(piece)
        return True

    def _recover(self, cut: SessionClosed) -> TempkitError | None:
        """Connect again; gives the error to end with when that is not to be."""
        began = time.monotonic()
        lost_at = self._lost_at = self._lost_at or began
        why: TempkitError = cut
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.close()
        while self._policy is not None:
            pause = pause_before(self._attempt, why, random.random())
            gone = time.monotonic() - lost_at
            if pause is None or gone + pause > self._policy.give_up_after_seconds:
                break
            heard = self.half.backlog.audio.seconds(self.half.backlog.end)
            if is_blown(self._sessions, heard):
                text = f"{self._sessions} sessions were opened for {heard:.0f} s of audio"
                why = SessionClosed(cut.code, f"{text}, the last {why}", cut.advice)
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
        return self.half.given_up(cut, why)


def asleep_seconds() -> float:
    """How long the machine has been asleep, counted from any moment.

    Where no clock says so, the wall clock does; a clock that somebody sets looks like sleep there.
    """
    boot = time.time() if BOOT_CLOCK is None else time.clock_gettime(BOOT_CLOCK)
    return boot - time.monotonic()
