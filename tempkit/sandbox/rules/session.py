"""The server half of a streaming session, without I/O: what comes in, what goes out, every rule.

A rule stands under the sentence that documents it (AssemblyAI's description of the streaming
WebSocket API), beside the close code and the text that answer a breach.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from tempkit.protocol import messages
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Json, ServerMessage
from tempkit.protocol.parameters import RULES
from tempkit.protocol.recording import Close
from tempkit.sandbox.hearing.pcm import PcmDecoder
from tempkit.sandbox.hearing.recognizer import Listener
from tempkit.sandbox.hearing.turns import TurnDetector
from tempkit.sandbox.rules import Switches, Violation, opening
from tempkit.sandbox.rules.ledger import Ledger
from tempkit.sandbox.rules.turn_messages import TurnMessages

GRACE_MILLISECONDS = 1000  # audio before short messages are refused
HEARTBEAT_SECONDS = 5.0
MOST_BUFFERED_SECONDS = 300.0  # of audio, at audio pace


class Note(NamedTuple):
    """Something for the sandbox's journal alone."""

    warning_code: int
    warning: str


Output = ServerMessage | Close | Note


class ServerSession:
    """One session: feed what the client sends, pass on what comes out.

    A client comes with the query of the address and its Authorization header. ``clock`` is Unix
    time, ``listen`` gives the session ears. Ask ``deadline`` for the time of the next ``tick``.
    """

    def __init__(
        self,
        query: Mapping[str, str],
        authorization: str | None,
        ledger: Ledger,
        listen: Callable[[], Listener],
        clock: Callable[[], float],
        switches: Switches = Switches(),  # noqa: B008 - it is frozen
    ) -> None:
        self._query, self._authorization = query, authorization
        self._ledger = ledger
        self._listen = listen
        self._clock = clock
        self._switches = switches
        self._has_begun = self._is_over = False
        self._begun_at = self._last_message_at = self._last_heartbeat_at = clock()
        self._audio_milliseconds = 0.0
        self._counted_milliseconds = 0.0  # what the last heartbeat acknowledged
        self._warned_of: set[int] = set()  # causes: each is said once
        self._short: float | None = None  # the last message's ms, when it held too little

    def open(self) -> Iterator[Output]:
        """Begin, or the Error and the close: the service checks after the upgrade."""
        return self._guarded(self._open())

    def receive(self, data: str | bytes) -> Iterator[Output]:
        """What the client's next message leads to."""
        self._last_message_at = self._clock()
        return self._guarded(self._receive(data))

    def tick(self) -> Iterator[Output]:
        """What time alone leads to; call it at ``deadline``."""
        return self._guarded(self._tick())

    def end(self) -> Iterator[Output]:
        """Termination and the close with 1000, whether that was asked for or not."""
        self._is_over = True
        audio, session = self._audio_milliseconds / 1000, self._clock() - self._begun_at
        yield messages.Termination(int(audio), int(session))
        yield Close(CloseCode.ENDED, messages.END_REASON)

    def fail(self) -> Iterator[Output]:
        """The sandbox itself failed, or plays that it did."""
        if not self._has_begun:
            # 1011 - "internal fault while establishing".
            self._is_over = True
            yield Close(CloseCode.INTERNAL, "")
            return
        text = "Session Cancelled: An error occurred"
        yield from self._refuse(Violation(CloseCode.CANCELLED, text))

    def check_speed(self, received: float, elapsed: float, buffered: float) -> Iterator[Output]:
        """What follows from so many seconds of audio in so many, some of them not heard yet."""
        # 3007 - "Audio Transmission Rate Exceeded" for audio faster than real time (older pages),
        # or "only when more than 5 minutes are buffered" (newer ones); short bursts were seen to be
        # taken, so the older limit is a switch.
        most_ahead, text = self._switches.most_ahead_seconds, ""
        if most_ahead is not None and received - elapsed > most_ahead:
            text = f"Received {received:.1f} sec. audio in {elapsed:.1f} sec"
        elif self._switches.realtime and buffered > MOST_BUFFERED_SECONDS:
            text = "too much audio buffered"
        if text and not self._is_over:
            text = f"Audio Transmission Rate Exceeded: {text}"
            yield from self._refuse(Violation(CloseCode.BAD_AUDIO, text))

    def seconds(self, data: str | bytes) -> float:
        """How long a message sounds; 0 for text."""
        if isinstance(data, str) or not self._has_begun:
            return 0.0
        return self._decoder.milliseconds(data) / 1000

    @property
    def deadline(self) -> float:
        """When, in the clock's time, something is due unless a message comes in."""
        if self._is_over:
            return float("inf")
        limit, beats = self._parameters.inactivity_timeout, self._parameters.session_heartbeat
        silent = self._last_message_at + (float("inf") if limit is None else limit)
        beat = self._last_heartbeat_at + (HEARTBEAT_SECONDS if beats else float("inf"))
        return min(silent, beat, self._expires_at)

    def _guarded(self, step: Iterator[Output]) -> Iterator[Output]:
        if self._is_over:
            return
        try:
            yield from step
        except Violation as violation:
            yield from self._refuse(violation)

    def _refuse(self, violation: Violation) -> Iterator[Output]:
        # "Error: always fatal"; the close carries the same code and the fixed reason.
        self._is_over = True
        yield messages.Error(violation.code, str(violation))
        yield Close(violation.code, messages.ERROR_REASON)

    def _open(self) -> Iterator[Output]:
        # 1008 - a session needs the API key in the header, or a temporary token.
        token = self._query.get("token")
        longest = self._ledger.admit(self._begun_at, token, self._authorization)
        self._expires_at = self._begun_at + longest
        self._parameters = opening.read_parameters(self._query)
        self._decoder = PcmDecoder(self._parameters.sample_rate, self._parameters.encoding)
        yield from self._begin()

    def _begin(self) -> Iterator[Output]:
        self._turns = TurnDetector(self._listen(), opening.turn_rules(self._parameters))
        self._messages = TurnMessages(self._parameters, self._switches)
        self._has_begun = True
        yield messages.Begin(
            str(uuid.uuid4()), int(self._expires_at), opening.configuration(self._parameters)
        )
        given = {name: getattr(self._parameters, name) for name in RULES}
        warnings = opening.without_effect(given, self._parameters.speech_model)
        yield from self._warn(warnings, aloud=self._switches.warnings)

    def _receive(self, data: str | bytes) -> Iterator[Output]:
        yield from self._tick()
        if isinstance(data, bytes):
            yield from self._receive_audio(data)
        else:
            yield from self._receive_text(data)

    def _receive_audio(self, data: bytes) -> Iterator[Output]:
        milliseconds = self._decoder.milliseconds(data)
        least, most = messages.CHUNK_MILLISECONDS
        # 3007 - "Each frame must hold between 50 and 1000 ms of audio." Too long is noticed at
        # once, too short after a second of audio and not for the last message before Terminate.
        if milliseconds > most:
            raise _duration_violation(milliseconds)
        if self._short is not None and self._audio_milliseconds >= GRACE_MILLISECONDS:
            raise _duration_violation(self._short)
        self._short = milliseconds if milliseconds < least else None
        self._audio_milliseconds += milliseconds
        yield from self._messages.about(self._turns.hear(self._decoder.decode(data)))

    def _receive_text(self, text: str) -> Iterator[Output]:
        message = opening.read_message(text)
        match message.get("type"):
            case "Terminate":
                yield from self._terminate()
            case "ForceEndpoint":
                # "Ends the current turn now"; with nothing pending nothing is sent back.
                yield from self._messages.about(self._turns.end_turn())
            case "UpdateConfiguration":
                yield from self._update(message)
            case "KeepAlive":
                pass  # "resets the inactivity timeout": receive() did
            case kind:
                # 3006 - a text message is of a known type.
                raise opening.bad_input(f"Invalid Message Type: {kind!s:.80}")

    def _update(self, message: Mapping[str, Json]) -> Iterator[Output]:
        new, warnings = opening.updated(self._parameters, message)
        if new.session_heartbeat and not self._parameters.session_heartbeat:
            self._last_heartbeat_at = self._clock()
            self._counted_milliseconds = self._audio_milliseconds
        self._parameters = self._messages.parameters = new
        self._turns.rules = opening.turn_rules(new)
        # "UpdateConfiguration is never answered."
        yield from self._warn(warnings, aloud=False)

    def _warn(self, warnings: Iterable[messages.Warning], *, aloud: bool) -> Iterator[Output]:
        for warning in warnings:
            if warning.warning_code not in self._warned_of:
                self._warned_of.add(warning.warning_code)
                yield warning if aloud else Note(warning.warning_code, warning.warning)

    def _terminate(self) -> Iterator[Output]:
        # "Finish the open turn, then Termination, then close 1000."
        rest = self._decoder.decode(b"", is_last=True)
        yield from self._messages.about(self._turns.finish(rest))
        # Seen on the live service, but for U3: an empty final with the next turn_order.
        if not self._messages.is_u3:
            yield messages.Turn(self._messages.turn_order, False, True, "", 0.0, ())
        yield from self.end()

    def _tick(self) -> Iterator[Output]:
        now = self._clock()
        yield from self._beat(now)
        # 3008 - "the maximum session duration of 3 hours", or the token's own.
        if now >= self._expires_at:
            text = "Session Expired: Maximum session duration exceeded"
            raise Violation(CloseCode.EXPIRED, text)
        # 3006 - inactivity_timeout seconds without any message.
        limit = self._parameters.inactivity_timeout
        if limit is not None and now >= self._last_message_at + limit:
            text = f"No messages received for {limit} seconds"
            raise Violation(CloseCode.BAD_INPUT, f"Session terminated due to inactivity: {text}")

    def _beat(self, now: float) -> Iterator[Output]:
        # "Heartbeat: about every 5 s with session_heartbeat=true".
        elapsed = now - self._last_heartbeat_at
        if not self._parameters.session_heartbeat or elapsed < HEARTBEAT_SECONDS:
            return
        # "realtime_factor": how fast audio came in since the last one, not over the session.
        new = self._audio_milliseconds - self._counted_milliseconds
        self._last_heartbeat_at, self._counted_milliseconds = now, self._audio_milliseconds
        yield messages.Heartbeat(
            total_audio_received_ms=round(self._audio_milliseconds),
            total_duration_ms=round(1000 * (now - self._begun_at)),
            realtime_factor=round(new / (1000 * elapsed), 2),
            max_speech_probability=round(self._turns.take_highest_probability(), 4),
        )


def _duration_violation(milliseconds: float) -> Violation:
    least, most = messages.CHUNK_MILLISECONDS
    text = f"{milliseconds:.1f} ms. Expected between {least} and {most} ms"
    return Violation(CloseCode.BAD_AUDIO, f"Input Duration Error: Input Duration Violation: {text}")
