import json

import pytest

from tempkit import SessionParameters
from tempkit.protocol.parameters import RULES, SPEECH_MODELS


def test_model_rate_encoding_and_formatting_are_always_sent():
    assert SessionParameters().query() == {
        "speech_model": "universal-streaming-english",
        "sample_rate": "16000",
        "encoding": "pcm_s16le",
        "format_turns": "true",
    }


def test_values_travel_as_documented():
    query = SessionParameters(
        format_turns=False,
        vad_threshold=0.5,
        min_turn_silence=160,
        keyterms_prompt=["Ana Ruiz", "QX-9"],
        llm_gateway={"model": "m"},
    ).query()
    assert query["format_turns"] == "false"
    assert query["vad_threshold"] == "0.5"
    assert query["min_turn_silence"] == "160"
    assert json.loads(query["keyterms_prompt"]) == ["Ana Ruiz", "QX-9"]
    assert json.loads(query["llm_gateway"]) == {"model": "m"}


def test_a_query_reads_back_as_what_it_was_made_of():
    parameters = SessionParameters(
        speech_model="u3-rt-pro",
        sample_rate=8000,
        encoding="pcm_mulaw",
        prompt="names of birds",
        speaker_labels=True,
        keyterms_prompt=("a", "b"),
        end_of_turn_confidence_threshold=0.25,
    )
    read = SessionParameters.from_query(parameters.query())
    assert read.query() == parameters.query()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sample_rate", 7999, "a whole number from 8000 to 96000, not 7999"),
        ("sample_rate", 16000.0, "a whole number from 8000 to 96000, not float"),
        ("sample_rate", True, "not bool"),
        ("sample_rate", None, "cannot be None"),
        ("inactivity_timeout", 4, "from 5 to 3600"),
        ("vad_threshold", 1.01, "a number from 0 to 1"),
        ("vad_threshold", float("nan"), "a number from 0 to 1, not nan"),
        ("vad_threshold", "0.5", "a number from 0 to 1, not str"),
        ("format_turns", 1, "true or false, not int"),
        ("max_turn_silence", 49, "from 50 to 10000"),
        ("mode", "balanced", "for the U3 models, not for universal-streaming-english"),
        ("voice_focus_threshold", 0.5, "needs voice_focus"),
        ("language_codes", ["en", "multi"], "cannot combine multi with"),
        ("keyterms_prompt", ["x"] * 101, "at most|0 to 100 items"),
        ("keyterms_prompt", "x", "a list of strings"),
        ("keyterms_prompt", [1], "a list of strings"),
        ("prompt", "x" * 1751, "0 to 1750 characters"),
    ],
)
def test_what_the_service_would_refuse_is_refused_here_with_the_range(name, value, said):
    with pytest.raises(ValueError, match=f"{name} .*({said})"):
        SessionParameters(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speech_model", "a-model-of-next-year"),
        ("encoding", "flac"),
        ("domain", "legal-v1"),
        ("voice_focus", "mid-field"),
        ("redact_pii_sub", "stars"),
    ],
)
def test_a_name_that_is_not_known_here_is_sent_with_one_warning(
    name: str, value: str, caplog: pytest.LogCaptureFixture
):
    for _ in range(2):
        assert SessionParameters(**{name: value}).query()[name] == value
    said = f"{name} '{value}' is unknown; sending it anyway, the service decides"
    assert [record.getMessage() for record in caplog.records] == [said]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"sample_rate": "7000"},
         "Invalid 'sample_rate': Value error, sample_rate must be at least 8,000 Hz"),
        ({"min_turn_silence": "160.0"},
         "Invalid 'min_turn_silence': Value error, "
         "invalid literal for int() with base 10: '160.0'"),
        ({"encoding": "flac"},
         "Invalid 'encoding': Value error, 'flac' is not a valid Encoding"),
        ({"speech_model": "whisper"},
         "Invalid 'speech_model': Value error, speech_model takes one of "
         + ", ".join(SPEECH_MODELS) + ", not 'whisper'"),
        ({"voice_focus_threshold": "0.5"},
         "Invalid 'voice_focus_threshold': Value error, voice_focus_threshold needs voice_focus"),
        ({"keyterms_prompt": "a,b"},
         "Invalid 'keyterms_prompt': Value error, Invalid JSON array"),
        ({"keyterms_prompt": json.dumps(["x"] * 101)},
         "Invalid 'keyterms_prompt': Value error, Max 100 items"),
    ],
)  # fmt: skip
def test_a_bad_query_is_answered_in_the_words_of_the_service(query, text):
    with pytest.raises(ValueError, match="Invalid") as caught:
        SessionParameters.from_query(query)
    assert str(caught.value) == text


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_booleans_of_a_query_take_any_case(text: str):
    assert SessionParameters.from_query({"format_turns": text}).format_turns is True


def test_the_query_of_a_service_has_the_services_own_defaults():
    assert SessionParameters.from_query({}).format_turns is None


def test_unknown_names_are_ignored_and_old_names_are_read():
    read = SessionParameters.from_query(
        {"formatted_finals": "true", "min_end_of_turn_silence_when_confident": "240"}
    )
    assert read.format_turns is None
    assert read.min_turn_silence == 240


def test_the_secret_of_a_webhook_stays_out_of_the_repr():
    parameters = SessionParameters(webhook_auth_header_value="hush-hush")
    assert "hush-hush" not in repr(parameters)
    assert set(RULES) == set(SessionParameters.__dataclass_fields__)
