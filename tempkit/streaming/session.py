"""The client half of a streaming session, without I/O: what goes out, what comes in, what is lost.

The service has no resumable sessions and acknowledges nothing. So the audio behind the last final
turn is kept, and when a connection is lost a new one carries it again: its messages are moved onto
the session's one clock, its turns numbered on, and what it repeats is dropped.
"""

import logging
from collections import Counter
from dataclasses import dataclass, replace

from tempkit.errors import ProtocolError, SessionClosed, TempkitError
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import (
    END_REASON,
    Begin,
    Error,
    Heartbeat,
    ServerMessage,
    SpeechStarted,
    Termination,
    Turn,
    Word,
    load_object,
    parse_object,
)
from tempkit.protocol.parameters import SessionParameters
from tempkit.sound.samples import AudioFormat
from tempkit.streaming.backlog import Backlog
from tempkit.streaming.retry import Reconnect
from tempkit.streaming.transcript import Transcript

TERMINATE = '{"type": "Terminate"}'
ROUNDING_SECONDS = 1.1  # a Termination counts whole seconds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconnecting:
    """The connection was lost; the client tries another one after ``pause_seconds``.

    ``reason`` says why, ``seconds_at_risk`` how much audio has no final text yet.
    """

    attempt: int
    pause_seconds: float
    seconds_at_risk: float
    reason: str


@dataclass(frozen=True)
class Reconnected:
    """The session continues after ``gap_seconds``; ``replayed_seconds`` of audio are resent.

    ``lost_seconds`` of audio are lost, counted from the beginning of the session.
    """

    id: str
    gap_seconds: float
    replayed_seconds: float
    lost_seconds: float


Message = ServerMessage | Reconnecting | Reconnected


class ClientSession:
    """What a client knows of its session. ``now`` is seconds of any clock that never goes back."""

    def __init__(self, parameters: SessionParameters, policy: Reconnect) -> None:
        self.parameters = parameters  # that the next connection is opened with
        self.transcript = Transcript()
        self.termination: Termination | None = None
        self.has_ended_audio = False
        audio = AudioFormat(parameters.sample_rate, parameters.encoding)
        self.backlog = Backlog(audio, limit_seconds=policy.buffer_seconds, rate=policy.replay_rate)
        self.odd: Counter[str] = Counter()  # messages that could not be read, by their type
        self._taken_until = 0  # ms: up to where some connection took the audio, by its heartbeats
        self._said_until = 0  # ms: where the last message's words end
        self.connected(0.0)

    @property
    def lost_seconds(self) -> float:
        """Audio that could not be kept for a connection to carry."""
        return self.backlog.audio.seconds(self.backlog.lost)

    @property
    def progress(self) -> tuple[int, int, int]:
        """Another one than before: more words, another turn settled, or more audio taken."""
        return self._said_until, self.transcript.settled, self._taken_until

    @property
    def is_terminating(self) -> bool:
        """Whether all audio was sent on this connection, and the Terminate behind it."""
        return self.has_ended_audio and self.backlog.is_sent

    def end_audio(self) -> None:
        """No more audio comes."""
        if not self.has_ended_audio:
            self.has_ended_audio = True
            self.backlog.command(TERMINATE)

    def connected(self, now: float) -> None:
        """A new connection is there: it carries everything that is kept."""
        self.begin: Begin | None = None
        self.taken_ms: int | None = None  # of its audio, by its last heartbeat
        self._error: Error | None = None
        self._connected_at = now
        self._first_order = self.transcript.settled  # the session's number of its turn 0
        self._heard_again = self._said_until  # ms: up to there it repeats what was said
        self.backlog.connect(now)

    def receive(self, text: str | bytes) -> ServerMessage | None:
        """The message on the session's clock; None for one that repeats, or is not for the user.

        Raises ProtocolError for a Begin that cannot be read; other odd messages are left out, as a
        session with words in it is not to be ended for them. Raises SessionClosed when the service
        says that the session is over and it is not.
        """
        kind = "not an object"
        try:
            if isinstance(text, bytes):
                raise ProtocolError("text was expected, not binary data")
            payload = parse_object(text)
            kind = str(payload.get("type"))
            message = load_object(payload)
        except ProtocolError as odd:
            if kind == Begin.type and self.begin is None:
                raise
            self.odd[kind] += 1
            if self.odd[kind] == 1:
                log.warning("ignored a message from the service: %s", odd)
            return None
        if isinstance(message, Turn):
            return self._receive_turn(message)
        if isinstance(message, SpeechStarted):
            message = replace(message, timestamp=self.backlog.own_time(message.timestamp))
            return message if message.timestamp >= self._heard_again else None
        if isinstance(message, Heartbeat):
            self.taken_ms = message.total_audio_received_ms
            self._taken_until = max(self._taken_until, self.backlog.own_time(self.taken_ms))
            return message if self.parameters.session_heartbeat else None
        if isinstance(message, Begin):
            self.begin = message
        elif isinstance(message, Error):
            self._error = message
        elif isinstance(message, Termination):
            return self._end(message)
        return message

    def pass_time(self, now: float) -> None:
        """Let go of audio that stayed without words for long."""
        if not self.transcript.partial:
            self.backlog.release_silence(now - self._connected_at)

    def closed(self, end: SessionClosed) -> SessionClosed | None:
        """What the end of the connection means: nothing after the Termination."""
        if self._error is not None:
            # The close reason says nothing, the Error before it says it all.
            code, reason = self._error.error_code, self._error.error
            return SessionClosed(code, reason, CloseCode.advice_for(code, reason))
        if self.termination is not None:
            return None
        if end.code == CloseCode.ENDED and end.reason in ("", END_REASON):
            return CloseCode.ENDED.error("closed before all text had arrived")
        return end

    def given_up(self, cut: SessionClosed, why: TempkitError) -> SessionClosed:
        """The error to end with: what cut the session off, and ``why`` it was not opened again."""
        last = why if isinstance(why, SessionClosed) else cut
        reason = last.reason if why is last else f"{last.reason or 'connection lost'}, then: {why}"
        missing = self.backlog.seconds + self.lost_seconds
        said = str(self.transcript)
        ended = SessionClosed(
            last.code, reason, last.advice, transcript=said, seconds_not_transcribed=missing
        )
        ended.__cause__ = why if why is not last else None
        return ended

    def _end(self, message: Termination) -> Termination:
        """The Termination of the whole session. Raises SessionClosed before all was said.

        "Finish the open turn, then Termination": one that nobody asked for may cross our Terminate.
        """
        heard, carried = message.audio_duration_seconds, self.backlog.carried_seconds
        is_short = heard < carried - ROUNDING_SECONDS
        if is_short or not self.is_terminating or self.transcript.partial:
            text = f"ended by the service after {heard} of {carried:.0f} s of audio"
            raise CloseCode.ENDED.error(text)
        if self._first_order or self.backlog.lost:
            total = self.backlog.audio.seconds(self.backlog.end)
            message = replace(message, audio_duration_seconds=int(total))
        self.termination = message
        return message

    def _receive_turn(self, turn: Turn) -> Turn | None:
        if self._first_order or not self.backlog.is_on_its_own_clock:
            words = tuple(self._on_own_clock(word) for word in turn.words)
            turn = replace(turn, turn_order=turn.turn_order + self._first_order, words=words)
        end = turn.words[-1].end if turn.words else 0
        is_old_news = not turn.end_of_turn and end <= self._heard_again
        if is_old_news or not self.transcript.add(turn):
            return None
        self._said_until = max(self._said_until, end)
        settled = self.transcript.settle(turn, self.parameters)
        if settled is not None:
            self.backlog.release(settled)
        return turn

    def _on_own_clock(self, word: Word) -> Word:
        own = self.backlog.own_time
        return replace(word, start=own(word.start), end=own(word.end))
