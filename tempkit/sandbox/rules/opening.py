"""What a session is opened with, read as the service reads it, and how it is refused. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import Json
from tempkit.protocol.parameters import (
    ALIASES,
    SAMPLE_WIDTH,
    U3_MODELS,
    US_MODELS,
    SessionParameters,
)
from tempkit.sandbox.hearing.heard import TurnRules

# What each model family waits for unless told otherwise.
US_DEFAULTS = TurnRules(400, 1280, 0.4, 0.4)
U3_DEFAULTS = {"u3-rt-pro": TurnRules(100, 1000, 0.3, 0.0)}
U3_NEWER_DEFAULTS = TurnRules(128, 1536, 0.2, 0.0)
INTERRUPTION_DELAY = 500  # ms, unless told otherwise
INTERRUPTION_EXTRA = 256  # ms that the service was seen to add to it
CONTINUOUS_MILLISECONDS = 3000  # between two partials of long speech on U3

# Accepted, checked, and then without effect in the sandbox: the session says so in a Warning.
WITHOUT_EFFECT = (
    *("mode", "turn_left_pad_ms", "keyterms_prompt", "prompt", "agent_context"),
    *("previous_context_n_turns", "language_codes", "language_code", "language_detection"),
    *("speaker_labels", "max_speakers", "speaker_labels_revision_interval_ms", "domain"),
    *("voice_focus", "voice_focus_threshold", "filter_profanity", "redact_pii"),
    *("redact_pii_policies", "redact_pii_sub", "llm_gateway", "webhook_url"),
    *("webhook_auth_header_name", "webhook_auth_header_value", "customer_support_audio_capture"),
)

AS_THE_SANDBOX_DOES: Mapping[str, tuple[object, ...]] = {
    "mode": ("balanced",),  # the service's own default; no page gives the other presets' numbers
    "language_code": ("en",),
    "language_codes": (["en"],),
}


class Violation(Exception):  # noqa: N818 - it ends a session, it is not reported
    """A rule was broken: the close code and the text of the Error message."""

    def __init__(self, code: CloseCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def bad_input(text: object) -> Violation:
    """What a parameter or a message with a value that is not allowed ends in: 3006."""
    return Violation(CloseCode.BAD_INPUT, f"User Input Validation Error: {text}")


@dataclass(frozen=True)
class Opening:
    """What a client came with: the query of the address, and its Authorization header."""

    query: Mapping[str, str]
    authorization: str | None = None


def read_query(text: str) -> dict[str, str]:
    """The parameters in an address; of one that is repeated the last value counts."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: _one_value(ALIASES.get(name, name), values) for name, values in found.items()}


def _one_value(name: str, values: list[str]) -> str:
    if len(values) == 1 or name not in ("language_codes", "keyterms_prompt"):
        return values[-1]
    # Repeated language codes were seen to be taken, repeated key terms to be refused: joined by
    # commas the latter are no JSON.
    quoted = ",".join(f'"{value}"' for value in values)
    return f"[{quoted}]" if name == "language_codes" else ",".join(values)


def read_parameters(query: Mapping[str, str]) -> SessionParameters:
    """What the session is asked for. Raises Violation."""
    # 3006 - a parameter with a value that is not allowed.
    try:
        parameters = SessionParameters.from_query(query)
    except ValueError as error:
        raise bad_input(error) from None
    if parameters.encoding not in SAMPLE_WIDTH:
        only = f"{parameters.encoding}, only pcm_s16le and pcm_mulaw"
        raise bad_input(f"Invalid 'encoding': the sandbox does not emulate {only}")
    if parameters.speech_model not in (*US_MODELS, *U3_MODELS):
        only = f"{parameters.speech_model}, only the US and U3 models"
        raise bad_input(f"Invalid 'speech_model': the sandbox does not emulate {only}")
    check_model(parameters)
    return parameters


def check_model(parameters: SessionParameters) -> None:
    """Raises Violation for a prompt that the model does not take."""
    # 3006 - "prompt is only supported with the 'u3-rt-pro' speech_model."
    model = parameters.speech_model
    if parameters.prompt is not None and model not in U3_MODELS:
        text = "prompt is only supported with the 'u3-rt-pro' speech_model. Current speech_model: "
        raise bad_input(f"{text}'{model}'")


def turn_rules(parameters: SessionParameters) -> TurnRules:
    """What decides about turns and partials: the model's own, or what was asked for."""
    p = parameters
    is_u3 = p.speech_model in U3_MODELS
    rules = U3_DEFAULTS.get(p.speech_model, U3_NEWER_DEFAULTS) if is_u3 else US_DEFAULTS
    names = ("min_turn_silence", "max_turn_silence", "vad_threshold")
    given = {name: getattr(p, name) for name in (*names, "end_of_turn_confidence_threshold")}
    given = {name: value for name, value in given.items() if value is not None}
    if not is_u3:
        return replace(rules, **given)
    # "end_of_turn_confidence_threshold has no effect" on U3: punctuation decides. Zero would let
    # the silence alone decide, so it is a hair above.
    given["end_of_turn_confidence_threshold"] = 1e-9
    delay = INTERRUPTION_DELAY if p.interruption_delay is None else p.interruption_delay
    return replace(
        rules,
        **given,
        first_partial=delay + INTERRUPTION_EXTRA,
        next_partial=None if p.continuous_partials is False else CONTINUOUS_MILLISECONDS,
        utters_in_pauses=False,
        guesses_in_silence=True,
        acknowledges_silence=bool(p.acknowledge_silence),
    )


def without_effect(given: Mapping[str, object], model: str) -> Iterator[str]:
    """What the sandbox does not do though it was asked to, a sentence each."""
    for name in WITHOUT_EFFECT:
        if given.get(name) and given[name] not in AS_THE_SANDBOX_DOES.get(name, ()):
            yield f"{name} has no effect in the sandbox"
    if "multilingual" in model:
        yield f"the sandbox recognises English only, with {model} too"


def configuration(parameters: SessionParameters) -> dict[str, Json]:
    """What Begin repeats of the parameters."""
    p = parameters
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
