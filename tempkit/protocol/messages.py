"""The messages of the v3 streaming protocol, for both halves of a session.

Times are whole milliseconds of the session's audio unless a name says otherwise. Source:
AssemblyAI's documentation of the streaming WebSocket API and its message sequence.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, TypeAlias, TypeVar, get_origin

from tempkit.errors import ProtocolError
from tempkit.protocol.close_codes import CloseCode

CHUNK_MILLISECONDS = (50, 1000)  # audio in one binary message, both ends included
ERROR_REASON = "See Error message for details"  # of the close behind an Error message
END_REASON = "Session Ended"

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True)
class Word:
    """A word of a turn. ``start`` and ``end`` are ms, ``confidence`` is 0 to 1."""

    text: str
    start: int
    end: int
    confidence: float
    word_is_final: bool


@dataclass(frozen=True)
class Known:
    """A message of the service; ``type`` is the name of its class."""

    type: ClassVar[str]

    def __init_subclass__(cls) -> None:
        cls.type = cls.__name__


@dataclass(frozen=True)
class Begin(Known):
    """The first message: the session ends at ``expires_at`` (Unix seconds) at the latest."""

    id: str
    expires_at: int
    configuration: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class SpeechStarted(Known):
    """U3 models: speech began ``timestamp`` ms into the audio; at least one Turn follows."""

    timestamp: int
    confidence: float


@dataclass(frozen=True)
class Turn(Known):
    """A turn's text so far; a later Turn with the same ``turn_order`` replaces it.

    ``transcript`` has only the final words on US models, the whole hypothesis on U3 models.
    """

    turn_order: int
    turn_is_formatted: bool
    end_of_turn: bool
    transcript: str
    end_of_turn_confidence: float
    words: tuple[Word, ...]
    utterance: str = ""
    language_code: str = ""  # finals only, when asked for with ``language_detection``
    language_confidence: float = 0.0  # likewise

    @property
    def text(self) -> str:
        """The transcript and the words that may still change: what a live view shows."""
        if self.end_of_turn or all(word.word_is_final for word in self.words):
            return self.transcript
        return " ".join(word.text for word in self.words)

    def __str__(self) -> str:
        return f"Turn {self.turn_order}, {'final' if self.end_of_turn else 'partial'}: {self.text}"


@dataclass(frozen=True)
class Termination(Known):
    """The last message: how many whole seconds of audio arrived, and how long the session was."""

    audio_duration_seconds: int
    session_duration_seconds: int


@dataclass(frozen=True)
class Heartbeat(Known):
    """Sent every 5 s when asked for with ``session_heartbeat``; durations in ms."""

    total_audio_received_ms: int
    total_duration_ms: int
    realtime_factor: float
    max_speech_probability: float = 0.0


@dataclass(frozen=True)
class Silence(Known):
    """U3 models, when asked for with ``acknowledge_silence``: nothing was said, in ms of audio."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Warning(Known):  # noqa: A001 - the service's own name
    """Something was not applied; the session goes on."""

    warning_code: int
    warning: str


@dataclass(frozen=True)
class Error(Known):
    """The session is over; a close with the same code follows."""

    error_code: int
    error: str


@dataclass(frozen=True)
class Unknown:
    """A message of a type that this version does not know, unchanged."""

    type: str
    payload: dict[str, Json]


ServerMessage: TypeAlias = Known | Unknown
Shape = TypeVar("Shape", bound=Known | Word)

ON_REQUEST = ("language_code", "language_confidence")  # left out when they say nothing
KNOWN = {shape.type: shape for shape in Known.__subclasses__()}


def dump(message: ServerMessage) -> str:
    """A server message as JSON text for the wire."""
    if isinstance(message, Unknown):
        return json.dumps(message.payload)
    payload = {"type": message.type, **asdict(message)}
    return json.dumps({k: v for k, v in payload.items() if v or k not in ON_REQUEST})


def load_object(payload: dict[str, Json]) -> ServerMessage:
    """The server message in a JSON object. Raises ProtocolError when a documented field lacks."""
    name = payload.get("type")
    shape = KNOWN.get(name) if isinstance(name, str) else None
    if shape is None and "error" in payload:
        # Both official SDKs take any object with an "error" key as an Error.
        code = payload.get("error_code")
        return Error(code if isinstance(code, int) else CloseCode.CANCELLED, str(payload["error"]))
    if shape is None:
        return Unknown(str(name), payload)
    if shape is not Turn:
        return _filled(shape, payload)
    words = payload.get("words")
    if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
        raise ProtocolError("a Turn message has no list of words")
    typed = tuple(_filled(Word, word) for word in words if isinstance(word, dict))
    return _filled(Turn, {**payload, "words": typed})


def parse_object(text: str | bytes) -> dict[str, Json]:
    """The JSON object in a message. Raises ProtocolError, in Python's words, when it is none."""
    try:
        payload = json.loads(text)
    except ValueError as error:  # a UnicodeDecodeError is one too
        raise ProtocolError(f"Invalid JSON: {error}") from None
    except RecursionError:
        raise ProtocolError("Invalid JSON: nested too deeply") from None
    if not isinstance(payload, dict):
        raise ProtocolError(f"Invalid Message: a JSON object was expected, not {payload!r:.40}")
    return payload


def _filled(shape: type[Shape], payload: Mapping[str, Any]) -> Shape:
    """The dataclass with those of its fields that the payload has."""
    values = {}
    for name, kinds, is_required in LAYOUT[shape.__name__]:
        if name not in payload:
            if is_required:
                raise ProtocolError(f"a {shape.__name__} message has no {name!r}")
            continue
        value = values[name] = payload[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ProtocolError(f"a {shape.__name__} message has an invalid {name!r}")
    return shape(**values)


def _layout(shape: type[Known] | type[Word]) -> tuple[tuple[str, tuple[type, ...], bool], ...]:
    """A message's fields: name, what kinds of value it takes, whether it has to be there."""
    layout = []
    for each in fields(shape):
        kind: Any = get_origin(each.type) or each.type
        is_required = each.default is MISSING and each.default_factory is MISSING
        layout.append((each.name, (int, float) if kind is float else (kind,), is_required))
    return tuple(layout)


LAYOUT = {shape.__name__: _layout(shape) for shape in (*KNOWN.values(), Word)}
