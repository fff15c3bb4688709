"""The parameters of a token and of a session: names, kinds, ranges, and how they are sent.

Source: AssemblyAI's documentation of the streaming WebSocket API. The client builds its query from
``SessionParameters``; the sandbox reads it back with the same table.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Self, TypeAlias

from tempkit.errors import BadValue
from tempkit.secret import Secret

Value: TypeAlias = str | int | float | bool | Sequence[str] | Mapping[str, object]

US_MODELS = ("universal-streaming-english", "universal-streaming-multilingual")
U3_MODELS = (
    "u3-rt-pro",
    "u3-rt-pro-beta-1",
    "u3-rt-agent",
    "universal-3-5-pro",
    "universal-3-6-pro",
    "universal-3-6",
    "universal-3-7-preview",
    "assemblyai-stt-3-7-realtime",
)
SPEECH_MODELS = (*US_MODELS, "whisper-rt", *U3_MODELS)
DEFAULT_MODEL = "universal-3-6-pro"  # of a query that names none
ENCODINGS = ("pcm_s16le", "pcm_mulaw", "opus", "ogg_opus", "aac")
# The names whose values are secrets, or may hold one: no journal and no recording has them.
SECRET = ("token", "webhook_auth_header_value", "webhook_url", "llm_gateway")
EXPIRES_IN_SECONDS = (1, 600)  # how long a token may be used to open a session
MAX_SESSION_DURATION_SECONDS = (60, 10_800)  # how long that session may last
SAMPLE_RATE = (8000, 96_000)  # Hz
SAMPLE_WIDTH = {"pcm_s16le": 2, "pcm_mulaw": 1}  # bytes
FIXED = ("speech_model", "sample_rate", "encoding")  # always sent, and no update changes them

log = logging.getLogger(__name__)

# Each kind of value in words, and what its range counts.
KINDS: dict[type, tuple[str, str]] = {
    bool: ("true or false", ""),
    int: ("a whole number", ""),
    float: ("a number", ""),
    str: ("a string", " characters"),
    list: ("a list of strings", " items"),
    dict: ("a mapping", ""),
}


@dataclass(frozen=True)
class Rule:
    """What a parameter may hold: its kind and, inclusive, its range or length.

    ``known`` are the names that the documentation has. The list is not closed: a model that is
    newer than this version is a name too.
    """

    kind: type
    low: float = -math.inf
    high: float = math.inf
    known: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Raises ValueError, naming the range, unless ``value`` is allowed."""
        if not self._is_of_kind(value):
            raise BadValue(f"{name} takes {self.expected}, not {type(value).__name__}")
        if self.known and value not in self.known:
            _warn_once(name, str(value))
        measure = value if isinstance(value, (int, float)) else len(value)  # type: ignore[arg-type]
        if not self.low <= measure <= self.high:  # so that "not a number" is refused, too
            raise BadValue(f"{name} takes {self.expected}, not {measure}")

    @property
    def expected(self) -> str:
        """What the parameter takes, in words."""
        noun, unit = KINDS[self.kind]
        is_bounded = self.high < math.inf
        return f"{noun} from {self.low:g} to {self.high:g}{unit}" if is_bounded else noun

    def _is_of_kind(self, value: object) -> bool:
        if self.kind is list:
            return isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
        if self.kind is dict:
            return isinstance(value, Mapping)
        if isinstance(value, bool):
            return self.kind is bool
        return isinstance(value, (int, float) if self.kind is float else self.kind)


@cache
def _warn_once(name: str, value: str) -> None:
    log.warning("%s %.80r is unknown; sending it anyway, the service decides", name, value)


def check_whole_number(name: str, value: object, limits: tuple[int, int]) -> None:
    """Raises ValueError, naming the range, unless ``value`` is an int within ``limits``."""
    Rule(int, *limits).check(name, value)


def _parameter(
    kind: type,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    known: tuple[str, ...] = (),
    default: Value | None = None,
    is_secret: bool = False,
) -> Any:  # noqa: ANN401 - the same as dataclasses.field
    rule = Rule(kind, low, high, known)
    return field(default=default, repr=not is_secret, metadata={"rule": rule})


HOW_TO_ASK = 'use SessionParameters(speech_model="...")'


@dataclass(frozen=True, kw_only=True)
class SessionParameters:
    """The options of a session. None leaves a parameter to the service's default.

    Silences and delays are in milliseconds, ``inactivity_timeout`` in seconds, thresholds 0 to 1.
    Raises ValueError, naming the range, for a value that the service would refuse. An unknown
    name, such as that of a newer model, is sent anyway, with a warning in the log. The client
    asks for heartbeats by default; with ``session_heartbeat=True`` they are among the messages,
    with False there are none, and only a missing pong reveals a dead connection.
    """

    speech_model: str = _parameter(str, known=SPEECH_MODELS, default=US_MODELS[0])
    sample_rate: int = _parameter(int, *SAMPLE_RATE, default=16_000)
    encoding: str = _parameter(str, known=ENCODINGS, default="pcm_s16le")
    format_turns: bool | None = _parameter(bool, default=True)

    end_of_turn_confidence_threshold: float | None = _parameter(float, 0, 1)
    min_turn_silence: int | None = _parameter(int)  # the service takes 50 to 10,000 of it
    max_turn_silence: int | None = _parameter(int, 50, 10_000)
    vad_threshold: float | None = _parameter(float, 0, 1)
    mode: str | None = _parameter(str, known=("min_latency", "balanced", "max_accuracy"))
    interruption_delay: int | None = _parameter(int, 0, 1000)
    continuous_partials: bool | None = _parameter(bool)
    include_partial_turns: bool | None = _parameter(bool)
    turn_left_pad_ms: int | None = _parameter(int)
    inactivity_timeout: int | None = _parameter(int, 5, 3600)
    session_heartbeat: bool | None = _parameter(bool)
    acknowledge_silence: bool | None = _parameter(bool)

    keyterms_prompt: Sequence[str] | None = _parameter(list, 0, 100)
    prompt: str | None = _parameter(str, 0, 1750)
    agent_context: str | None = _parameter(str, 0, 1750)
    previous_context_n_turns: int | None = _parameter(int, 0, 100)
    language_codes: Sequence[str] | None = _parameter(list, 0, 10)
    language_code: str | None = _parameter(str)
    language_detection: bool | None = _parameter(bool)
    speaker_labels: bool | None = _parameter(bool)
    max_speakers: int | None = _parameter(int, 1, 10)
    speaker_labels_revision_interval_ms: int | None = _parameter(int, 0, 86_400_000)
    domain: str | None = _parameter(str, known=("medical-v1",))
    voice_focus: str | None = _parameter(str, known=("near-field", "far-field"))
    voice_focus_threshold: float | None = _parameter(float, 0, 1)
    filter_profanity: bool | None = _parameter(bool)
    redact_pii: bool | None = _parameter(bool)
    redact_pii_policies: Sequence[str] | None = _parameter(list)
    redact_pii_sub: str | None = _parameter(str, known=("hash", "entity_name"))
    llm_gateway: Mapping[str, object] | None = _parameter(dict)
    webhook_url: str | None = _parameter(str)
    webhook_auth_header_name: str | None = _parameter(str)
    webhook_auth_header_value: str | None = _parameter(str, is_secret=True)
    customer_support_audio_capture: bool | None = _parameter(bool)

    def __post_init__(self) -> None:
        """Check every value that was given."""
        for name, rule in RULES.items():
            value = getattr(self, name)
            if value is not None:
                rule.check(name, value)
            elif name in FIXED:
                raise BadValue(f"{name} cannot be None; it takes {rule.expected}")
        # What cannot be asked for together; each sentence starts with a parameter.
        if self.mode is not None and self.speech_model in US_MODELS:
            raise BadValue(f"mode is for the U3 models, not for {self.speech_model}")
        if self.voice_focus_threshold is not None and self.voice_focus is None:
            raise BadValue("voice_focus_threshold needs voice_focus")
        codes = self.language_codes or ()
        if "multi" in codes and len(codes) > 1:
            raise BadValue("language_codes cannot combine multi with other languages")

    def query(self) -> dict[str, str]:
        """The parameters that were given, as in the query of the address."""
        given = {name: getattr(self, name) for name in RULES}
        query = {name: _encoded(value) for name, value in given.items() if value is not None}
        return {name: Secret(text) if name in SECRET else text for name, text in query.items()}

    def client_query(self) -> dict[str, str]:
        """The same as tempkit's clients send it: with heartbeats, unless they were declined."""
        return {"session_heartbeat": "true"} | self.query()

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """The parameters in a query, as the service reads them: unknown names are ignored.

        Raises ValueError with the service's text, ``Invalid '<name>': ...``, for a bad value.
        """
        given: dict[str, Any] = {"format_turns": None, "speech_model": DEFAULT_MODEL}
        for sent, text in query.items():
            name = ALIASES.get(sent, sent)
            if name in RULES:
                given[name] = _decoded(name, text, RULES[name].kind)
                check_as_service(name, given[name])
        try:
            return cls(**given)
        except ValueError as error:
            raise invalid(str(error).partition(" ")[0], error) from None


RULES: dict[str, Rule] = {each.name: each.metadata["rule"] for each in fields(SessionParameters)}

# Older names that the service still reads.
ALIASES = {
    "min_end_of_turn_silence_when_confident": "min_turn_silence",
    "keyterms": "keyterms_prompt",
    "noise_suppression_model": "voice_focus",
    "noise_suppression_threshold": "voice_focus_threshold",
    "_customer_support_audio_capture": "customer_support_audio_capture",
}


def check_as_service(name: str, value: object) -> None:
    """Raises ValueError with the service's text for a bad value."""
    rule = RULES[name]
    if name == "encoding" and value not in rule.known:
        raise invalid(name, f"'{value}' is not a valid Encoding")
    if name == "sample_rate" and isinstance(value, int) and value < rule.low:
        raise invalid(name, "sample_rate must be at least 8,000 Hz")
    if name == "keyterms_prompt" and isinstance(value, Sequence) and len(value) > rule.high:
        raise invalid(name, "Max 100 items")
    if name == "prompt" and isinstance(value, str) and len(value) > rule.high:
        length = f"{rule.high} characters (got {len(value)})"
        raise invalid(name, f"prompt exceeds maximum length of {length}")
    if rule.known and isinstance(value, str) and value not in rule.known:
        raise invalid(name, f"{name} takes one of {', '.join(rule.known)}, not {value!r:.80}")
    try:
        rule.check(name, value)
    except ValueError as error:
        raise invalid(name, error) from None


def invalid(name: str, text: object) -> ValueError:
    """The service's words for a bad value."""
    return ValueError(f"Invalid '{name}': Value error, {text}")


def _encoded(value: Value) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(list(value) if isinstance(value, Sequence) else value)


def _decoded(name: str, text: str, kind: type) -> object:
    """A value of the query: strict numbers, booleans in any case, lists and mappings as JSON."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if name == "redact_pii_policies" and not text.startswith("["):
            return text.split(",")
        if kind in (list, dict):
            value = json.loads(text)
            return value if isinstance(value, kind) else json.loads("")
        return kind(text)
    except KeyError:
        raise invalid(name, f"'{text}' is not a boolean") from None
    except (ValueError, RecursionError) as error:
        raise invalid(name, "Invalid JSON array" if kind is list else error) from None
