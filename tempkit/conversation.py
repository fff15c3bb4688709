"""Conversation: a session kept going over one connection after another, by a thread of its own."""

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator

from tempkit.errors import (
    ProtocolError,
    ServiceUnreachable,
    SessionClosed,
    TempkitError,
)
from tempkit.link import Link, LinkClosed
from tempkit.messages import MAX_SESSION_DURATION_SECONDS, Begin, CloseCode, Termination
from tempkit.parameters import SessionParameters
from tempkit.retry import Reconnect, pause_before
from tempkit.session import ClientSession, Message, Reconnected, Reconnecting
from tempkit.watch import Watch

SHORTEST_SECONDS = 30.0  # no session is opened for less than 60
OPENINGS = 3  # how often the first connection is tried when it breaks before Begin
TICK_SECONDS = 0.1  # how often a quiet conversation looks around
TERMINATE_SECONDS = 10.0  # how long the last words may take; the service was seen to take 1.3 s
STOP_SECONDS = 3.0  # longer than closing a link takes

Dial = Callable[[SessionParameters], Link]


class Conversation:
    """Sends what ``half`` has to send, receives, and dials again when the connection is lost.

    ``policy`` None never dials again. Everything here may be called from any thread.
    """

    def __init__(
        self, half: ClientSession, dial: Dial, policy: Reconnect | None, timeout: float
    ) -> None:
        self.half = half
        self.begin = Begin("", 0)
        self._dial = dial
        self._policy = policy
        self._timeout = timeout
        self._lock = threading.Lock()  # of half, link and watch
        self._sending = threading.Lock()  # held while a piece goes out
        self._offers = 0
        self._attempt = 0
        self._closing = threading.Event()
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
            raise SessionClosed(
                CloseCode.ENDED, "the session has ended", "open a new one with connect()"
            )

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

    def _connect(self) -> Link:
        try:
            link = self._dial(self.half.parameters)
        except LinkClosed as closed:
            code = CloseCode.ABNORMAL
            raise SessionClosed(code, closed.reason, code.advice) from None
        try:
            with self._lock:
                self.half.connected(time.monotonic())
            self.begin = self._await_begin(link)
            now, wall = time.monotonic(), time.time()
            lasts = self.begin.expires_at - wall
            if lasts < SHORTEST_SECONDS:  # the two machines disagree about the time
                lasts = MAX_SESSION_DURATION_SECONDS[1]
            with self._lock:
                self._link = link
                self._watch = Watch(self._policy or Reconnect(), now, now + lasts, wall - now)
        except BaseException:
            link.close()
            raise
        return link

    def _await_begin(self, link: Link) -> Begin:
        deadline = time.monotonic() + self._timeout
        while self.half.begin is None:
            try:
                text = link.receive(max(0.0, deadline - time.monotonic()))
                self.half.receive(text)
            except TimeoutError:
                text = f"opened the connection but sent no Begin within {self._timeout:g} s"
                raise ServiceUnreachable(f"the service {text}") from None
            except LinkClosed as closed:
                raise self.half.closed(closed.code, closed.reason) or ProtocolError(
                    "the service closed the session before it began"
                ) from None
        return self.half.begin

    def _run(self) -> None:
        end: TempkitError | None = None
        try:
            while (cut := self._converse()) and not self._closing.is_set():
                if end := self._recover(cut):
                    break
        except TempkitError as error:
            end = error
        finally:
            self._closing.set()
            if self._link is not None:
                self._link.close()
            self._messages.put(end)

    def _converse(self) -> SessionClosed | None:
        """Send and receive until the connection is lost (why) or the session has ended (None)."""
        link, watch = self._link, self._watch
        assert link is not None
        assert watch is not None
        terminating_since: float | None = None
        while not self._closing.is_set():
            self._send_due()
            try:
                text = link.receive(self._tick())
            except TimeoutError:
                text = None
            except LinkClosed as closed:
                return self.half.closed(closed.code, closed.reason)
            now = time.monotonic()
            if text is not None and self._take_in(text, now, watch):
                return None
            if terminating_since is None and self.half.is_terminating:
                terminating_since = now
            if cause := self._cause(now, watch, terminating_since):
                link.close()
                return cause
        return None

    def _take_in(self, text: str | bytes, now: float, watch: Watch) -> bool:
        """Pass a message on; whether it was the last one."""
        with self._lock:
            message = self.half.receive(text)
            watch.hear(now)
        if message is None:
            return False
        if not isinstance(message, Begin):
            self._attempt = 0
        self._messages.put(message)
        return isinstance(message, Termination)

    def _cause(self, now: float, watch: Watch, since: float | None) -> SessionClosed | None:
        """Why to leave this connection now."""
        with self._lock:
            self.half.pass_time(now)
            is_between = not self.half.transcript.partial
            ahead = self.half.backlog.carried_seconds - (now - watch.began)
        if since is not None:
            # Audio that was sent ahead of time takes its own time to be heard.
            if now < since + TERMINATE_SECONDS + max(0.0, ahead):
                return None
            lost, text = CloseCode.ABNORMAL, f"no Termination within {TERMINATE_SECONDS:g} s"
            return SessionClosed(lost, text, lost.advice)
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
        why: TempkitError = cut
        with self._lock:
            self._link = None
        while self._policy is not None:
            pause = pause_before(self._attempt, why, random.random())
            gone = time.monotonic() - began
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
        return self._given_up(error, why)

    def _given_up(self, cut: SessionClosed, why: TempkitError) -> SessionClosed:
        last = why if isinstance(why, SessionClosed) else cut
        reason = last.reason if why is last else f"{last.reason or 'connection lost'}, then: {why}"
        ended = SessionClosed(
            last.code,
            reason,
            last.advice,
            transcript=str(self.half.transcript),
            seconds_not_transcribed=self.half.backlog.seconds + self.half.lost_seconds,
        )
        ended.__cause__ = why if why is not last else None
        return ended
