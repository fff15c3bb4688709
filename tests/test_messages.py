import json

import pytest

from tempkit.errors import ProtocolError
from tempkit.protocol.close_codes import CloseCode
from tempkit.protocol.messages import (
    Begin,
    Error,
    Heartbeat,
    SpeechStarted,
    Termination,
    Turn,
    Unknown,
    Warning,
    Word,
    dump,
)
from tests.doubles import load

WORDS = (Word("please", 640, 880, 0.97, True), Word("book", 880, 1120, 0.94, False))


@pytest.mark.parametrize(
    "message",
    [
        Begin("0b7a", 1790003600, {"model": "u3-rt-pro", "mode": None}),
        SpeechStarted(1984, 0.91),
        Turn(0, False, False, "please", 0.01, WORDS),
        Termination(42, 45),
        Heartbeat(15000, 15340, 0.98, 0.87),
        Warning(1, "not available"),
        Error(3006, "User Input Validation Error: no"),
    ],
    ids=lambda message: message.type,
)
def test_a_message_comes_back_as_it_was_sent(message):
    assert load(dump(message)) == message
    assert json.loads(dump(message))["type"] == message.type


def test_fields_of_a_later_version_are_passed_over_and_the_type_may_come_last():
    text = '{"timestamp": 5, "confidence": 0.5, "new": [1], "type": "SpeechStarted"}'
    assert load(text) == SpeechStarted(5, 0.5)


def test_a_message_of_an_unknown_type_is_kept_whole():
    message = load('{"type": "SpeakerRevision", "revisions": []}')
    assert message == Unknown("SpeakerRevision", {"type": "SpeakerRevision", "revisions": []})


@pytest.mark.parametrize("name", ["[]", "{}", "null", "5"])
def test_a_type_that_is_no_name_is_unknown(name: str):
    assert isinstance(load(f'{{"type": {name}}}'), Unknown)


def test_anything_with_an_error_is_an_error():
    assert load('{"error": "no"}') == Error(3005, "no")
    assert load('{"error_code": 1008, "error": "no"}') == Error(1008, "no")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{not json", "Invalid JSON"),
        ("[]", "a JSON object was expected"),
        ("[" * 100_000, "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        ('{"type": "Begin"}', "has no 'id'"),
        ('{"type": "Turn"}', "list of words"),
        ('{"type": "Turn", "words": [1]}', "list of words"),
        ('{"type": "Turn", "words": [{}]}', "has no 'text'"),
        ('{"type": "Begin", "id": 5, "expires_at": 1}', "invalid 'id'"),
        ('{"type": "Begin", "id": "5", "expires_at": true}', "invalid 'expires_at'"),
        ('{"type": "SpeechStarted", "timestamp": "5", "confidence": 1}', "invalid 'timestamp'"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_a_protocol_error(text: str | bytes, said: str):
    with pytest.raises(ProtocolError, match=said):
        load(text)


def test_a_live_view_shows_the_words_that_may_still_change():
    assert Turn(0, False, False, "please", 0.0, WORDS).text == "please book"
    assert Turn(0, False, True, "please book", 0.0, WORDS).text == "please book"
    assert Turn(0, True, False, "", 0.0, ()).text == ""


def test_every_close_code_has_advice_and_so_has_an_unknown_one():
    assert all(len(code.advice) > 10 for code in CloseCode)
    assert CloseCode(3007).advice == CloseCode.BAD_AUDIO.advice == CloseCode.advice_for(3007)
    assert "not documented" in CloseCode.advice_for(4999)


def test_the_advice_after_too_long_a_silence_is_about_sending_audio():
    reason = "Session terminated due to inactivity: No messages received for 5 seconds"
    assert CloseCode.advice_for(3006, reason).startswith("send audio")
    assert CloseCode.advice_for(3006, "Invalid value") == CloseCode.BAD_INPUT.advice
