"""The server half of a streaming session, without I/O: what comes in, what goes out, every rule.

A rule stands under the sentence that documents it (AssemblyAI's description of the streaming
WebSocket API), beside the close code and the text that answer a breach.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from tempkit.errors import ProtocolError
from tempkit.messages import (
    CHUNK_MILLISECONDS,
    END_REASON,
    ERROR_REASON,
    Begin,
    CloseCode,
    Error,
    Json,
    Termination,
    Turn,
    Warning,  # noqa: A004 - the service's own name
    dump,
    parse_object,
)
from tempkit.parameters import (
    RULES,
    SAMPLE_WIDTH,
    U3_MODELS,
    US_MODELS,
    SessionParameters,
    check_as_service,
)
from tempkit.sandbox.ledger import Ledger, Refused
from tempkit.sandbox.pcm import PcmDecoder
from tempkit.sandbox.recognizer import Recognizer
from tempkit.sandbox.turn_messages import TurnMessages
from tempkit.sandbox.turns import TurnDetector, TurnRules

# What each model family waits for unless told otherwise.
US_DEFAULTS = TurnRules(400, 1280, 0.4, 0.4)
U3_DEFAULTS = {"u3-rt-pro": TurnRules(100, 1000, 0.3, 0.0)}
U3_NEWER_DEFAULTS = TurnRules(128, 1536, 0.2, 0.0)

# Accepted, checked, and then without effect in the sandbox: the session says so in a Warning.
WITHOUT_EFFECT = (
    *("mode", "interruption_delay", "continuous_partials", "turn_left_pad_ms"),
    *("session_heartbeat", "acknowledge_silence", "keyterms_prompt", "prompt", "agent_context"),
    *("previous_context_n_turns", "language_codes", "language_code", "language_detection"),
    *("speaker_labels", "max_speakers", "speaker_labels_revision_interval_ms", "domain"),
    *("voice_focus", "voice_focus_threshold", "filter_profanity", "redact_pii"),
    *("redact_pii_policies", "redact_pii_sub", "llm_gateway", "webhook_url"),
    *("webhook_auth_header_name", "webhook_auth_header_value"),
)
GRACE_MILLISECONDS = 1000  # audio before short messages are refused
INPUT_ERROR = "User Input Validation Error"


class Closing(NamedTuple):
    """The session closes with this code and reason; nothing follows."""

    code: int
    reason: str


Output = str | Closing


class Violation(Exception):  # noqa: N818 - it ends a session, it is not reported
    """A rule was broken: the close code and the text of the Error message."""

    def __init__(self, code: CloseCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Opening:
    """What a client came with: the query of the address, and its Authorization header."""

    query: Mapping[str, str]
    authorization: str | None = None


class ServerSession:
    """One session: feed what the client sends, pass on what comes out.

    ``clock`` gives Unix seconds. Ask ``deadline`` for the time of the next ``tick``.
    """

    def __init__(
        self,
        opening: Opening,
        ledger: Ledger,
        recognizer: Recognizer,
        clock: Callable[[], float],
        *,
        one_final: bool = False,
    ) -> None:
        self._opening = opening
        self._ledger = ledger
        self._recognizer = recognizer
        self._clock = clock
        self._one_final = one_final  # formatted US turns: one final, as newer documentation has it
        self._is_over = False
        self._begun_at = self._last_message_at = clock()
        self._audio_milliseconds = 0.0
        self._short: float | None = None  # the last message's ms, when it held too little

    def open(self) -> Iterator[Output]:
        """Begin, or the Error and the close: the service checks after the upgrade."""
        yield from self._guarded(self._open)

    def receive(self, data: str | bytes) -> Iterator[Output]:
        """What the client's next message leads to."""
        self._last_message_at = self._clock()
        if isinstance(data, bytes):
            yield from self._guarded(lambda: self._receive_audio(data))
        else:
            yield from self._guarded(lambda: self._receive_text(data))

    def tick(self) -> Iterator[Output]:
        """What time alone leads to; call it at ``deadline``."""
        yield from self._guarded(self._tick)

    def fail(self) -> Iterator[Output]:
        """The sandbox itself failed."""
        yield from self._refuse(
            Violation(CloseCode.CANCELLED, "Session Cancelled: An error occurred")
        )

    @property
    def deadline(self) -> float:
        """When, in the clock's time, the session ends unless something comes in."""
        limit = self._parameters.inactivity_timeout
        silent = float("inf") if limit is None else self._last_message_at + limit
        return min(silent, self._expires_at)

    def _guarded(self, step: Callable[[], Iterator[Output]]) -> Iterator[Output]:
        if self._is_over:
            return
        try:
            yield from step()
        except Violation as violation:
            yield from self._refuse(violation)

    def _refuse(self, violation: Violation) -> Iterator[Output]:
        # "Error: always fatal"; the close carries the same code and the fixed reason.
        self._is_over = True
        yield dump(Error(violation.code, str(violation)))
        yield Closing(violation.code, ERROR_REASON)

    def _open(self) -> Iterator[Output]:
        self._expires_at = self._begun_at + self._admit()
        self._parameters = self._read_parameters()
        self._is_u3 = self._parameters.speech_model in U3_MODELS
        self._decoder = PcmDecoder(self._parameters.sample_rate, self._parameters.encoding)
        self._turns = TurnDetector(self._recognizer.listen(), self._turn_rules())
        self._messages = TurnMessages(
            self._parameters, is_u3=self._is_u3, one_final=self._one_final
        )
        yield dump(Begin(str(uuid.uuid4()), int(self._expires_at), self._configuration()))
        given = self._parameters.query()
        for code, name in enumerate((n for n in WITHOUT_EFFECT if n in given), 1):
            yield dump(Warning(code, f"{name} has no effect in the sandbox"))

    def _admit(self) -> int:
        # 1008 - a session needs the API key in the header, or a temporary token.
        token = self._opening.query.get("token")
        try:
            return self._ledger.admit(self._begun_at, token, self._opening.authorization)
        except Refused as refusal:
            raise Violation(CloseCode.REFUSED, str(refusal)) from None

    def _read_parameters(self) -> SessionParameters:
        # 3006 - a parameter with a value that is not allowed.
        try:
            parameters = SessionParameters.from_query(self._opening.query)
        except ValueError as error:
            raise Violation(CloseCode.BAD_INPUT, f"{INPUT_ERROR}: {error}") from None
        if parameters.encoding not in SAMPLE_WIDTH:
            name, value, known = "encoding", parameters.encoding, "pcm_s16le and pcm_mulaw"
        elif parameters.speech_model not in (*US_MODELS, *U3_MODELS):
            name, value, known = "speech_model", parameters.speech_model, "the US and U3 models"
        else:
            return parameters
        text = f"Invalid '{name}': the sandbox does not emulate {value}, only {known}"
        raise Violation(CloseCode.BAD_INPUT, f"{INPUT_ERROR}: {text}")

    def _turn_rules(self) -> TurnRules:
        model = self._parameters.speech_model
        rules = U3_DEFAULTS.get(model, U3_NEWER_DEFAULTS) if self._is_u3 else US_DEFAULTS
        given = {name: getattr(self._parameters, name) for name in asdict(rules)}
        given = {name: value for name, value in given.items() if value is not None}
        if self._is_u3:
            # "end_of_turn_confidence_threshold has no effect" on U3: punctuation decides. Zero
            # would let the silence alone decide, so it is a hair above.
            given["end_of_turn_confidence_threshold"] = 1e-9
        return replace(rules, **given)

    def _configuration(self) -> dict[str, Json]:
        p = self._parameters
        return {
            "model": p.speech_model,
            "mode": p.mode,
            "api_version": "2025-05-12",
            "speaker_labels": bool(p.speaker_labels),
            "redact_pii": bool(p.redact_pii),
            "filter_profanity": bool(p.filter_profanity),
            "domain": p.domain,
            "voice_focus": p.voice_focus,
        }

    def _receive_audio(self, data: bytes) -> Iterator[Output]:
        milliseconds = self._decoder.milliseconds(data)
        _, most = CHUNK_MILLISECONDS
        # 3007 - "Each frame must hold between 50 and 1000 ms of audio." Too long is noticed at
        # once, too short after a second of audio and not for the last message before Terminate.
        if milliseconds > most:
            raise _duration_violation(milliseconds)
        if self._short is not None and self._audio_milliseconds >= GRACE_MILLISECONDS:
            raise _duration_violation(self._short)
        # 3006 - our own: half a sample means that every later one is noise.
        if len(data) % SAMPLE_WIDTH[self._parameters.encoding]:
            text = f"Invalid audio: {len(data)} bytes are no whole number of samples"
            raise Violation(CloseCode.BAD_INPUT, f"{INPUT_ERROR}: {text}")
        self._short = milliseconds if milliseconds < CHUNK_MILLISECONDS[0] else None
        self._audio_milliseconds += milliseconds
        for heard in self._turns.hear(self._decoder.decode(data)):
            yield from map(dump, self._messages.about(heard))

    def _receive_text(self, text: str) -> Iterator[Output]:
        # 3006 - a text message is a JSON object of a known type.
        try:
            message = parse_object(text)
        except ProtocolError as error:
            raise Violation(CloseCode.BAD_INPUT, f"{INPUT_ERROR}: {error}") from None
        steps: dict[object, Callable[[], Iterator[Output]]] = {
            "Terminate": self._terminate,
            "ForceEndpoint": self._force_endpoint,
            "UpdateConfiguration": lambda: self._update(message),
            "KeepAlive": lambda: iter(()),  # "resets the inactivity timeout": receive() did
        }
        name = message.get("type")
        if not isinstance(name, str) or name not in steps:
            raise Violation(CloseCode.BAD_INPUT, f"{INPUT_ERROR}: Invalid Message Type: {name}")
        yield from steps[name]()

    def _force_endpoint(self) -> Iterator[Output]:
        # "Ends the current turn now"; with nothing pending nothing is sent back.
        for heard in self._turns.end_turn():
            yield from map(dump, self._messages.about(heard))

    def _update(self, message: Mapping[str, Json]) -> Iterator[Output]:
        # "Absent fields keep their value"; an invalid value ends the session as at connect.
        given = {k: v for k, v in message.items() if k in RULES and v is not None}
        try:
            for name, value in given.items():
                check_as_service(name, value)
        except ValueError as error:
            raise Violation(CloseCode.BAD_INPUT, f"{INPUT_ERROR}: {error}") from None
        fixed = ("speech_model", "sample_rate", "encoding")  # of the whole session
        changes = {name: value for name, value in given.items() if name not in fixed}
        self._parameters = replace(self._parameters, **changes)  # type: ignore[arg-type]
        self._turns.rules = self._turn_rules()
        self._messages.parameters = self._parameters
        return iter(())

    def _terminate(self) -> Iterator[Output]:
        # "Finish the open turn, then Termination, then close 1000."
        rest = self._decoder.decode(b"", is_last=True)
        for heard in (*self._turns.hear(rest), *self._turns.finish()):
            yield from map(dump, self._messages.about(heard))
        if not self._is_u3:  # seen on the live service: an empty final with the next turn_order
            yield dump(Turn(self._messages.turn_order, False, True, "", 0.0, ()))
        self._is_over = True
        audio, session = self._audio_milliseconds / 1000, self._clock() - self._begun_at
        yield dump(Termination(int(audio), int(session)))
        yield Closing(CloseCode.ENDED, END_REASON)

    def _tick(self) -> Iterator[Output]:
        now = self._clock()
        # 3008 - "the maximum session duration of 3 hours", or the token's own.
        if now >= self._expires_at:
            text = "Session Expired: Maximum session duration exceeded"
            raise Violation(CloseCode.EXPIRED, text)
        # 3006 - inactivity_timeout seconds without any message.
        limit = self._parameters.inactivity_timeout
        if limit is not None and now >= self._last_message_at + limit:
            text = f"No messages received for {limit} seconds"
            raise Violation(CloseCode.BAD_INPUT, f"Session terminated due to inactivity: {text}")
        return iter(())


def _duration_violation(milliseconds: float) -> Violation:
    least, most = CHUNK_MILLISECONDS
    text = f"{milliseconds:.1f} ms. Expected between {least} and {most} ms"
    return Violation(CloseCode.BAD_AUDIO, f"Input Duration Error: Input Duration Violation: {text}")
