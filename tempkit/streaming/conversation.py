"""Conversation: a session kept going over one connection after another, by a thread of its own."""

import itertools
import math
import queue
import random
import threading
import time
from collections.abc import Iterator

from tempkit.config import Settings
from tempkit.errors import ServiceUnreachable, SessionClosed, TempkitError
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Begin
from tempkit.protocol.parameters import MAX_SESSION_DURATION_SECONDS, SessionParameters
from tempkit.streaming.link import Link, Recorder
from tempkit.streaming.retry import Reconnect, is_blown, pause_before, pause_before_opening
from tempkit.streaming.session import ClientSession, Message, Reconnected, Reconnecting
from tempkit.streaming.watch import Watch
from tempkit.tokens import TemporaryToken, generate_temp_token

SHORTEST_SECONDS = 30.0  # no session is opened for less than 60
TICK_SECONDS = 0.25  # how often a quiet conversation looks around
STOP_SECONDS = 3.0  # longer than closing a link takes
USED = "already been used"  # in the service's words, of a token


class Conversation:
    """Sends what ``half`` has to send, receives, and dials again when the connection is lost.

    ``token`` is for the first connection; None takes a new one there, too. ``policy`` None never
    dials again. Everything here may be called from any thread.
    """

    def __init__(
        self,
        settings: Settings,
        parameters: SessionParameters,
        token: str | None,
        policy: Reconnect | None,
        recorder: Recorder | None,
    ) -> None:
        self._rules = policy or Reconnect()
        self.half = ClientSession(parameters, self._rules)
        self.begin = Begin("", 0)
        self._settings = settings
        self._token = token
        self._policy = policy
        self._recorder = recorder
        self._lock = threading.Lock()  # of half, link and watch
        self._sending = threading.Lock()  # held while a piece goes out
        self._is_due = False  # there may be more to send than was seen
        self._sessions = 0  # that have begun
        self._attempt = 0
        self._lost_at = 0.0  # since when there was no progress
        self._progress: object = None  # what there was of it then
        self.closing = threading.Event()  # once set, the thread closes the connection, soon
        self._error: Exception | None = None  # what ended the session
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._link: Link | None = None
        self._watch: Watch  # of the latest link
        self._thread: threading.Thread

    def open(self) -> None:
        """Connect and wait for Begin. Raises TempkitError."""
        for attempt in itertools.count():
            try:
                link = self._connect()
                break
            except TempkitError as failure:
                luck = random.random()
                pause = pause_before_opening(attempt, failure, luck) if self._policy else None
                if pause is None or self.closing.wait(pause):
                    raise
        self._thread = threading.Thread(
            target=self._run, args=(link,), name="tempkit session", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Close the connection and end the thread; messages that came in can still be read."""
        self.closing.set()
        if link := self._link:
            link.close()
        if self._thread is not threading.current_thread():
            self._thread.join(STOP_SECONDS)

    def check_open(self) -> None:
        """Raises SessionClosed when no more audio can be sent."""
        if self.closing.is_set() or self.half.termination or self.half.has_ended_audio:
            raise self._error or CloseCode.ENDED.error("the session has ended")

    def send(self, data: bytes | str) -> None:
        """Send audio, or a message at this place of it. Raises SessionClosed after the end."""
        with self._lock:
            self.check_open()
            if isinstance(data, str):
                self.half.backlog.command(data)
            else:
                self.half.backlog.offer(data)
        self._send_due()

    def end_audio(self) -> None:
        """Send Terminate after all audio. Raises SessionClosed after the end."""
        with self._lock:
            self.check_open()
            self.half.end_audio()
        self._send_due()

    def messages(self) -> Iterator[Message]:
        """The messages as they come, to the end. Raises SessionClosed and ProtocolError."""
        while True:
            try:
                item = self._messages.get(timeout=TICK_SECONDS)
            except queue.Empty:  # on Windows Ctrl-C is heard only between two waits
                continue
            if item is None:
                self._messages.put(None)  # for whoever reads next
                if self._error is not None:
                    raise self._error
                return
            yield item

    def _connect(self) -> Link:
        """A link on which a session has begun. Raises TempkitError."""
        is_own = self._token is None
        try:
            link = self._dial()
        except SessionClosed as refused:
            if not (is_own and USED in refused.reason):
                raise
            link = self._dial()  # a network that sends twice has used up the token
        now = time.monotonic()
        lasts = self.begin.expires_at - time.time()
        if lasts < SHORTEST_SECONDS:  # the two machines disagree about the time
            lasts = MAX_SESSION_DURATION_SECONDS[1]
        ends = now + lasts if self._policy else math.inf
        with self._lock:
            self._sessions += 1
            self._link = link
            self._watch = Watch(self._rules.stall_seconds, now, ends, time.time() - now)
        return link

    def _dial(self) -> Link:
        """The same with the next token, whatever has become of it."""
        token, self._token = self._token or generate_temp_token(settings=self._settings), None
        if self.closing.is_set():  # nobody waits for it any more
            raise CloseCode.ENDED.error("the session has ended")
        if isinstance(token, TemporaryToken):
            token.spend()
        query = self.half.parameters.client_query()
        link = Link.open(self._settings, query, token, self._rules.pong_seconds)
        if self._recorder:
            link.tells = self._recorder.begin(query)
        with self._lock:
            self.half.connected(time.monotonic())
        try:
            self._await_begin(link, token)
        except BaseException:  # Ctrl-C, too
            link.close()
            raise
        return link

    def _await_begin(self, link: Link, token: str) -> None:
        deadline = time.monotonic() + (timeout := self._settings.timeout)
        try:
            while self.half.begin is None:
                self.half.receive(link.receive(deadline - time.monotonic()))
        except TimeoutError:
            text = f"the service opened the connection but sent no Begin within {timeout:g} s"
            raise ServiceUnreachable(text, may_pass=True) from None
        except SessionClosed as closed:
            refused = self.half.closed(closed) or closed
            if refused.code == CloseCode.REFUSED and isinstance(token, TemporaryToken):
                token.refuse(refused.reason)
            raise refused from None
        self.begin = self.half.begin

    def _run(self, link: Link) -> None:
        try:
            while (cut := self._converse(link)) and not self.closing.is_set():
                link = self._recover(cut)
        except Exception as error:  # also a defect, which nobody would see in this thread
            self._error = error
        finally:
            self.closing.set()
            if self._recorder:
                self._recorder.close()
            self._messages.put(None)

    def _converse(self, link: Link) -> SessionClosed | None:
        """See a connection through; why it was lost, or None when the session has ended."""
        try:
            while not (self.closing.is_set() or self.half.termination):
                self._look()
                self._send_due()
                self._receive(link)
        except SessionClosed as lost:
            return self.half.closed(lost)
        finally:
            with self._lock:
                self._link = None
            link.close()
        return None

    def _receive(self, link: Link) -> None:
        """Pass on the next message, if one comes before there is more to do."""
        now = time.monotonic()
        with self._lock:
            wait = self.half.backlog.due(now) - now
        try:
            text = link.receive(min(TICK_SECONDS, wait) if wait > 0 else TICK_SECONDS)
        except TimeoutError:
            return
        with self._lock:
            message = self.half.receive(text)
            self._watch.hear(time.monotonic(), self.half.taken_ms)
        if message is not None:
            self._messages.put(message)

    def _look(self) -> None:
        """See whether the connection is worth keeping. Raises SessionClosed when it is not."""
        now, watch = time.monotonic(), self._watch
        with self._lock:
            self.half.pass_time(now)
            if self.half.is_terminating:
                watch.terminate(now, self.half.backlog.carried_seconds - (now - watch.began))
            is_between = not self.half.transcript.partial
            # Asleep: the steady clock stands still, the wall clock goes on.
            if cause := watch.look(now, time.time() - now, is_between_turns=is_between):
                raise cause

    def _send_due(self) -> None:
        """Send all that may be sent now; a thread that is at it already looks once more instead."""
        self._is_due = True
        while self._is_due and self._sending.acquire(blocking=False):
            try:
                self._is_due = False
                while self._send_next():
                    pass
            except SessionClosed:
                return  # receiving finds out, too, and knows why
            finally:
                self._sending.release()

    def _send_next(self) -> bool:
        """Send the next piece; whether there was one."""
        with self._lock:
            link, now = self._link, time.monotonic()
            piece = self.half.backlog.take(now) if link else None
            if link is None or piece is None:
                return False
            if isinstance(piece, bytes):
                self._watch.send(now)
        link.send(piece)
        return True

    def _recover(self, cut: SessionClosed) -> Link:
        """Another link in the place of a lost one. Raises SessionClosed when none is to be."""
        half, began = self.half, time.monotonic()
        why: TempkitError = cut
        has_held = began - self._watch.began > self._rules.give_up_after_seconds
        # No heartbeat could tell of progress in silence.
        is_fresh = has_held and half.taken_ms is None and not half.is_terminating
        if is_fresh or half.progress != self._progress:
            self._attempt, self._lost_at, self._progress = 0, began, half.progress
        while self._policy is not None:
            pause = pause_before(self._attempt, why, random.random())
            gone = time.monotonic() - self._lost_at
            if pause is None or gone + pause > self._policy.give_up_after_seconds:
                break
            heard = half.backlog.audio.seconds(half.backlog.end)
            if is_blown(self._sessions, heard):
                text = f"{self._sessions} sessions were opened for {heard:.0f} s of audio"
                why = SessionClosed(cut.code, f"{text}, the last {why}", cut.advice)
                break
            at_risk = half.backlog.seconds
            self._messages.put(Reconnecting(self._attempt, pause, at_risk, str(why)))
            self._attempt += 1
            if self.closing.wait(pause):
                break
            try:
                link = self._connect()
            except TempkitError as failure:
                why = failure
                continue
            gap = time.monotonic() - began
            self._messages.put(Reconnected(self.begin.id, gap, at_risk, half.lost_seconds))
            return link
        raise half.given_up(cut, why)
