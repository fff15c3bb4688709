"""What a session is opened with, read as the service reads it, and how it is refused. No I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import parse_qs

from tempkit.errors import ProtocolError
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import (
    Json,
    Warning,  # noqa: A004 - the service's own name
    parse_object,
)
from tempkit.protocol.parameters import (
    ALIASES,
    FIXED,
    RULES,
    SAMPLE_WIDTH,
    U3_MODELS,
    US_MODELS,
    SessionParameters,
    check_as_service,
)
from tempkit.sandbox.hearing.turns import TurnRules
from tempkit.sandbox.rules import Violation

# What each model family waits for unless told otherwise, ms and 0 to 1: "the mode presets" of the
# newer U3 models, and what speakers make of it.
US_DEFAULTS = TurnRules(400, 1280, 0.4, 0.4)
U3_PRO_DEFAULTS = TurnRules(100, 1000, 0.3, 0.0)
U3_MODES = {
    "min_latency": TurnRules(128, 640, 0.2, 0.0, first_partial=0),
    "balanced": TurnRules(128, 1280, 0.2, 0.0),
    "max_accuracy": TurnRules(512, 2560, 0.2, 0.0),
}
WITH_SPEAKERS = TurnRules(640, 768, 0.5, 0.0, longest=10_000)
SILENCES = ("min_turn_silence", "max_turn_silence", "vad_threshold")
TIMING = (*SILENCES, "end_of_turn_confidence_threshold")
MODE_SETS = (*SILENCES, "interruption_delay")
MIN_TURN_SILENCE = (50, 10_000)  # "clamped"
INTERRUPTION_EXTRA = 256  # ms that the service was seen to add to interruption_delay
CONTINUOUS, SPARSE = 1000, 3000  # ms between two partials of long speech on U3

# Accepted, checked, and then without effect in the sandbox, by the warning_code that says so.
WITHOUT_EFFECT = {
    1: "turn_left_pad_ms",
    2: "language_codes language_code",
    3: "keyterms_prompt prompt agent_context previous_context_n_turns",
    4: "speaker_labels max_speakers speaker_labels_revision_interval_ms",
    5: "voice_focus voice_focus_threshold domain",
    6: "filter_profanity redact_pii redact_pii_policies redact_pii_sub "
    "customer_support_audio_capture",
    7: "llm_gateway webhook_url webhook_auth_header_name webhook_auth_header_value",
}
ENGLISH_ONLY, NO_UPDATE = 8, 9  # two more warning codes
AS_THE_SANDBOX_DOES: Mapping[str, object] = {"language_code": "en", "language_codes": ["en"]}


def bad_input(text: object) -> Violation:
    """What a parameter or a message with a value that is not allowed ends in: 3006."""
    return Violation(CloseCode.BAD_INPUT, f"User Input Validation Error: {text}")


def read_message(text: str) -> dict[str, Json]:
    """The message in a text. Raises Violation."""
    # 3006 - a text message is a JSON object.
    try:
        return parse_object(text)
    except ProtocolError as error:
        raise bad_input(error) from None


def read_query(text: str) -> dict[str, str]:
    """The parameters in an address; of one that is repeated the last value counts."""
    found = parse_qs(text, keep_blank_values=True)
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


def updated(
    parameters: SessionParameters, message: Mapping[str, Json]
) -> tuple[SessionParameters, list[Warning]]:
    """The parameters after an UpdateConfiguration, and what of it has no effect.

    Raises Violation.
    """
    # "Absent fields keep their value"; an invalid value ends the session as at connect.
    given = {ALIASES.get(name, name): value for name, value in message.items()}
    given = {name: given[name] for name in given if name in RULES and given[name] is not None}
    changes = {name: value for name, value in given.items() if name not in FIXED}
    # "Updating mode applies its preset again", but for what is set beside it.
    preset = dict.fromkeys(MODE_SETS) if "mode" in changes else {}
    try:
        for name, value in given.items():
            check_as_service(name, value)
        new = replace(parameters, **{**preset, **changes})  # type: ignore[arg-type]
    except ValueError as error:
        raise bad_input(error) from None
    check_model(new)
    kept = ", ".join(name for name in FIXED if name in given)
    fixed = [Warning(NO_UPDATE, f"{kept}: fixed for the whole session")] if kept else []
    return new, [*fixed, *without_effect(changes, "")]


def turn_rules(parameters: SessionParameters) -> TurnRules:
    """What decides about turns and partials: the model's own, or what was asked for."""
    p = parameters
    given = {name: value for name in TIMING if (value := getattr(p, name)) is not None}
    if p.min_turn_silence is not None:
        low, high = MIN_TURN_SILENCE
        given["min_turn_silence"] = min(max(p.min_turn_silence, low), high)
    if p.speech_model not in U3_MODELS:
        return replace(US_DEFAULTS, **given)
    rules = U3_MODES[p.mode or "balanced"]
    if p.speaker_labels:
        rules = WITH_SPEAKERS
    elif p.mode is None and p.speech_model == "u3-rt-pro":
        rules = U3_PRO_DEFAULTS
    delay = rules.first_partial if p.interruption_delay is None else p.interruption_delay
    # "continuous_partials" is on by default, "off with speaker_labels".
    is_continuous = not p.speaker_labels if p.continuous_partials is None else p.continuous_partials
    # "end_of_turn_confidence_threshold has no effect" on U3: punctuation decides. Zero would let
    # the silence alone decide, so it is a hair above.
    given["end_of_turn_confidence_threshold"] = 1e-9
    return replace(
        rules,
        **given,
        first_partial=delay + INTERRUPTION_EXTRA,
        next_partial=CONTINUOUS if is_continuous else SPARSE,
        is_u3=True,
        acknowledges_silence=bool(p.acknowledge_silence),
    )


def without_effect(given: Mapping[str, object], model: str) -> Iterator[Warning]:
    """What the sandbox does not do though it was asked to, by cause."""
    for code, names in WITHOUT_EFFECT.items():
        asked = [name for name in names.split() if given.get(name)]
        if asked := [name for name in asked if given[name] != AS_THE_SANDBOX_DOES.get(name)]:
            verb = "has" if len(asked) == 1 else "have"
            yield Warning(code, f"{', '.join(asked)} {verb} no effect in the sandbox")
    if "multilingual" in model:
        yield Warning(ENGLISH_ONLY, f"the sandbox recognises only English, even with {model}")


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
