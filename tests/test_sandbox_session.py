import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from tempkit.protocol.messages import (
    Begin,
    Error,
    Known,
    SpeechStarted,
    Termination,
    Turn,
    Warning,
    dump,
)
from tempkit.protocol.parameters import US_MODELS
from tempkit.protocol.recording import Close
from tempkit.sandbox.hearing.recognizer import Hypothesis, Scripted, ScriptedListener, SpokenWord
from tempkit.sandbox.rules import Switches
from tempkit.sandbox.rules.ledger import Ledger
from tempkit.sandbox.rules.session import ServerSession
from tests.conftest import SCRIPT
from tests.doubles import chunked, load, silence, spoken, tone

REASON = "See Error message for details"
US = {"speech_model": US_MODELS[0], "sample_rate": "16000", "encoding": "pcm_s16le"}
U3 = US | {"speech_model": "u3-rt-pro"}


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def started(
    query: dict[str, str] = US,
    *,
    clock: Clock | None = None,
    authorization: str = "any",
    ledger: Ledger | None = None,
    ears: type[ScriptedListener] = ScriptedListener,
    script: Sequence[str] = SCRIPT,
    **options,
) -> tuple[ServerSession, list]:
    opened = query, authorization, ledger or Ledger(), partial(ears, Scripted(script))
    session = ServerSession(*opened, clock or Clock(), **options)
    return session, read(session.open())


def read(outputs: Iterable) -> list:
    return [load(dump(output)) if isinstance(output, Known) else output for output in outputs]


def said(session: ServerSession, *inputs: str | bytes | dict) -> list:
    def feed() -> Iterator:
        for data in inputs:
            yield from session.receive(json.dumps(data) if isinstance(data, dict) else data)

    return read(feed())


def turns(messages: list) -> list[tuple]:
    return [
        (m.turn_order, m.end_of_turn, m.turn_is_formatted, m.transcript)
        for m in messages
        if isinstance(m, Turn)
    ]


TERMINATE = {"type": "Terminate"}


def refused(messages: list, code: int, text: str) -> bool:
    return messages[-2:] == [Error(code, text), Close(code, REASON)]


def test_begin_has_an_id_the_expiry_in_whole_seconds_and_the_configuration():
    _, messages = started(clock=Clock())
    (begin,) = messages
    assert isinstance(begin, Begin)
    assert len(begin.id) == 36
    assert begin.expires_at == 1_790_010_800
    assert list(begin.configuration) == [
        "model", "mode", "api_version", "speaker_labels",
        "redact_pii", "filter_profanity", "domain", "voice_focus",
    ]  # fmt: skip
    assert begin.configuration["model"] == "universal-streaming-english"


def test_the_cap_of_a_token_moves_the_expiry():
    clock, ledger = Clock(), Ledger()
    token = ledger.issue(clock.now, 60, 300)
    _, (begin,) = started(US | {"token": token}, clock=clock, ledger=ledger)
    assert begin.expires_at == 1_790_000_300


@pytest.mark.parametrize(
    ("query", "authorization", "text"),
    [
        ({}, None, "Missing Authorization header"),
        ({"token": "sandbox-nonsense"}, None, "Invalid API key"),
        ({}, "Bearer key", "Invalid API key"),
    ],
)
def test_bad_credentials_are_an_error_and_a_close_without_begin(query, authorization, text):
    _, messages = started(query, authorization=authorization)
    assert messages == [
        Error(1008, f"Unauthorized Connection: {text}"),
        Close(1008, REASON),
    ]


def test_a_bad_parameter_is_an_error_and_a_close_without_begin():
    _, messages = started(US | {"min_turn_silence": "160.0"})
    text = "invalid literal for int() with base 10: '160.0'"
    full = f"User Input Validation Error: Invalid 'min_turn_silence': Value error, {text}"
    assert messages == [Error(3006, full), Close(3006, REASON)]


@pytest.mark.parametrize("query", [{"encoding": "opus"}, {"speech_model": "whisper-rt"}])
def test_what_the_sandbox_does_not_emulate_is_refused(query):
    _, messages = started(US | query)
    assert messages[-1] == Close(3006, REASON)
    assert "the sandbox does not emulate" in messages[0].error


def test_a_parameter_without_effect_is_warned_about():
    asked = {"domain": "medical-v1", "speaker_labels": "True", "filter_profanity": "false"}
    _, messages = started(US | asked)
    warnings = [message.warning for message in messages if isinstance(message, Warning)]
    assert warnings == [
        "speaker_labels has no effect in the sandbox",
        "domain has no effect in the sandbox",
    ]


def test_a_us_turn_grows_then_ends_plain_then_formatted():
    session, _ = started(US | {"format_turns": "true"})
    messages = said(session, *chunked(spoken(1, milliseconds=1600)))
    grown = [turn for turn in turns(messages) if not turn[1]]
    texts = [text for *_, text in grown]
    assert len(grown) >= 2
    assert all(later.startswith(earlier) for earlier, later in pairwise(texts))
    assert turns(messages)[-2:] == [
        (0, True, False, "hello there"),
        (0, True, True, "Hello there."),
    ]
    plain, formatted = messages[-2:]
    assert plain.utterance == ""
    assert formatted.utterance == ""
    assert [(w.start, w.end) for w in plain.words] == [(w.start, w.end) for w in formatted.words]


def test_a_us_partial_holds_final_words_and_one_or_more_that_may_change():
    session, _ = started()
    partials = [
        m for m in said(session, *chunked(tone(4000))) if isinstance(m, Turn) and not m.end_of_turn
    ]
    assert partials[-1].transcript == "hello"
    assert [word.word_is_final for word in partials[-1].words] == [True, False]
    assert partials[-1].text == "hello there"


def test_without_formatting_a_us_turn_has_one_final():
    session, _ = started()
    finals = [turn for turn in turns(said(session, *chunked(spoken(3)))) if turn[1]]
    assert finals == [
        (0, True, False, "hello there"),
        (1, True, False, "my name is ada"),
        (2, True, False, "how are you today"),
    ]


def test_formatted_from_the_first_message_with_one_final_is_a_switch():
    script, switches = ["Oh, no, not, you, again."], Switches(one_final=True)
    session, _ = started(US | {"format_turns": "true"}, script=script, switches=switches)
    found = said(session, *chunked(spoken(1, milliseconds=4000)))
    assert all(turn.turn_is_formatted for turn in found)
    assert [m.transcript for m in found if m.end_of_turn] == ["Oh, no, not, you, again."]
    assert sum(m.transcript.startswith("Oh, no,") for m in found) > 2
    assert [m.utterance for m in found if m.utterance] == ["Oh, no, not, you, again."]


class CommaEars(ScriptedListener):
    """Ears that hear only later that a word is followed by a comma."""

    def recognize(self, samples, fixed, guess) -> Hypothesis:
        heard = super().recognize(samples, fixed, guess)
        if guess is not None:
            return heard
        words = [SpokenWord(f"{word.text},", 1.0) for word in heard.words]
        return Hypothesis(tuple(words), heard.end_confidence)


def test_final_words_do_not_change_by_a_comma_either():
    query, switches = US | {"format_turns": "true"}, Switches(one_final=True)
    session, _ = started(query, ears=CommaEars, script=["So you say it."], switches=switches)
    final: list[str] = []
    for turn in said(session, *chunked(spoken(1, milliseconds=3000))):
        now = [word.text for word in turn.words if word.word_is_final]
        assert now[: len(final)] == final
        final = now
    assert (final[0], final[-1]) == ("So", "it.,")


@pytest.mark.parametrize("seen", [True, False])
def test_whether_u3_partials_are_called_formatted_is_a_switch(seen: bool):
    session, _ = started(U3, switches=Switches(formatted_partials=seen))
    for turn in said(session, *chunked(spoken(1, milliseconds=2000))):
        if isinstance(turn, Turn):
            assert turn.turn_is_formatted is (turn.end_of_turn or seen)


def test_a_u3_turn_starts_with_speech_started_and_has_one_formatted_final():
    session, _ = started(U3)
    messages = said(session, *chunked(spoken(2)))
    assert [type(m) for m in messages].count(SpeechStarted) == 2
    assert isinstance(messages[0], SpeechStarted)
    assert 200 <= messages[0].timestamp <= 400
    finals = [m for m in messages if isinstance(m, Turn) and m.end_of_turn]
    assert [m.transcript for m in finals] == ["Hello there.", "My name is Ada."]
    assert all(m.utterance == m.transcript and m.end_of_turn_confidence == 1.0 for m in finals)
    partials = [m for m in messages if isinstance(m, Turn) and not m.end_of_turn]
    assert not any(word.word_is_final for m in partials for word in m.words)


def test_partials_can_be_switched_off():
    session, _ = started(US | {"include_partial_turns": "false"})
    assert all(turn[1] for turn in turns(said(session, *chunked(spoken(1)))))


def test_word_times_lie_in_the_speech_in_order():
    session, _ = started()
    final = said(session, *chunked(spoken(1)))[-1]  # sound from 300 to 1300 ms
    times = [time for word in final.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 200 <= times[0] <= 400
    assert 1200 <= times[-1] <= 1400
    assert all(0 <= word.confidence <= 1 for word in final.words)


def test_terminate_ends_the_open_turn_then_sends_an_empty_one_then_closes_with_1000():
    clock = Clock()
    session, _ = started(clock=clock)
    said(session, *chunked(tone(1550)))
    clock.now += 7.9
    messages = said(session, TERMINATE)
    assert turns(messages) == [(0, True, False, "hello there"), (1, True, False, "")]
    assert messages[-2:] == [Termination(1, 7), Close(1000, "Session Ended")]


def test_terminate_on_u3_sends_no_empty_turn():
    session, _ = started(U3)
    said(session, *chunked(tone(1000)))
    messages = said(session, TERMINATE)
    assert [turn[3] for turn in turns(messages)] == ["Hello there."]


def test_nothing_comes_after_the_close():
    session, _ = started()
    said(session, TERMINATE)
    assert said(session, tone(100), TERMINATE, "nonsense") == []


@pytest.mark.parametrize("milliseconds", [50, 51, 1000])
def test_a_lawful_chunk_is_taken(milliseconds: int):
    session, _ = started()
    assert said(session, *[silence(milliseconds)] * 40) == []


def test_a_chunk_that_is_too_long_is_refused_at_once():
    session, _ = started()
    text = "Input Duration Violation: 1200.0 ms. Expected between 50 and 1000 ms"
    assert refused(said(session, silence(1200)), 3007, f"Input Duration Error: {text}")


def test_short_chunks_are_refused_after_a_second_of_audio():
    session, _ = started()
    assert said(session, *[silence(20)] * 50) == []
    text = "Input Duration Violation: 20.0 ms. Expected between 50 and 1000 ms"
    assert refused(said(session, silence(20)), 3007, f"Input Duration Error: {text}")


def test_a_short_last_chunk_before_terminate_passes():
    session, _ = started()
    messages = said(session, *[silence(100)] * 20, silence(20), TERMINATE)
    assert messages[-1] == Close(1000, "Session Ended")


def test_the_duration_of_a_chunk_follows_rate_and_encoding():
    session, _ = started({"sample_rate": "8000", "encoding": "pcm_mulaw"})
    assert said(session, b"\xff" * 8000) == []
    assert said(session, b"\xff" * 8001)[-1] == Close(3007, REASON)


def test_half_a_sample_at_the_end_of_a_message_belongs_to_the_next():
    # 50 ms at 22,050 Hz are 2,205 bytes.
    session, _ = started(US | {"sample_rate": "22050"})
    sound = silence(300, 22_050) + tone(1000, 22_050) + silence(1500, 22_050)
    final = said(session, *chunked(sound, 2205))[-1]
    assert final.transcript == "hello there"
    assert abs(final.words[-1].end - 1300) <= 64


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("{not json", "Invalid JSON: Expecting property name enclosed in double quotes: "
                      "line 1 column 2 (char 1)"),
        ('{"type": "Bogus"}', "Invalid Message Type: Bogus"),
        ('{"terminate_session": true}', "Invalid Message Type: None"),
        ('{"type": ["Terminate"]}', "Invalid Message Type: ['Terminate']"),
        ("[1]", "Invalid Message: a JSON object was expected, not [1]"),
    ],
)  # fmt: skip
def test_a_message_that_is_none_ends_the_session(message: str, text: str):
    session, _ = started()
    assert refused(said(session, message), 3006, f"User Input Validation Error: {text}")


def test_force_endpoint_ends_the_open_turn_and_is_silent_without_one():
    session, _ = started()
    assert said(session, {"type": "ForceEndpoint"}) == []
    said(session, *chunked(silence(300) + tone(1000)))
    assert turns(said(session, {"type": "ForceEndpoint"})) == [(0, True, False, "hello there")]
    assert said(session, {"type": "ForceEndpoint"}) == []


def test_update_configuration_applies_from_then_on():
    session, _ = started(US | {"min_turn_silence": "3000", "max_turn_silence": "5000"})
    assert said(session, *chunked(spoken(1)))[-1].end_of_turn is False
    assert said(session, {"type": "UpdateConfiguration", "min_turn_silence": 400}) == []
    assert said(session, silence(100))[-1].end_of_turn is True
    said(session, {"type": "UpdateConfiguration", "format_turns": True, "vad_threshold": None})
    assert said(session, *chunked(spoken(1)))[-1].turn_is_formatted is True


def test_an_invalid_update_ends_the_session_in_the_words_of_a_bad_query():
    session, _ = started()
    messages = said(session, {"type": "UpdateConfiguration", "vad_threshold": 2})
    assert messages[-1] == Close(3006, REASON)
    assert "Invalid 'vad_threshold': Value error" in messages[0].error


@pytest.mark.parametrize(
    ("parameters", "silence_ms"),
    [
        ({}, 400),
        ({"min_turn_silence": "160"}, 160),
        ({"end_of_turn_confidence_threshold": "1"}, 1280),
        ({"end_of_turn_confidence_threshold": "1", "max_turn_silence": "800"}, 800),
        ({"end_of_turn_confidence_threshold": "0", "min_turn_silence": "600"}, 600),
        ({"min_turn_silence": "5000", "max_turn_silence": "800"}, 800),
        ({"speech_model": "u3-rt-pro"}, 100),
        ({"speech_model": "u3-rt-pro", "min_turn_silence": "700"}, 700),
        ({"speech_model": "u3-rt-pro", "min_turn_silence": "5000"}, 1000),
    ],
)
def test_silence_and_confidence_decide_when_a_turn_ends(parameters, silence_ms: int):
    session, _ = started(US | parameters)
    said(session, *chunked(silence(300) + tone(1000)))
    ended = 0
    for _ in range(200):
        if any(turn[1] for turn in turns(said(session, silence(50)))):
            break
        ended += 50
    assert abs(ended - silence_ms) <= 100


def test_the_inactivity_timeout_counts_messages_of_any_kind():
    clock = Clock()
    session, _ = started(US | {"inactivity_timeout": "5"}, clock=clock)
    clock.now += 4.9
    assert said(session, {"type": "KeepAlive"}) == []
    clock.now += 4.9
    assert read(session.tick()) == []
    assert session.deadline == pytest.approx(clock.now + 0.1)
    clock.now += 0.1
    text = "Session terminated due to inactivity: No messages received for 5 seconds"
    assert refused(read(session.tick()), 3006, text)


def test_the_session_ends_at_its_longest_duration():
    clock = Clock()
    session, _ = started(clock=clock)
    assert session.deadline == clock.now + 10_800
    clock.now += 10_800
    text = "Session Expired: Maximum session duration exceeded"
    assert refused(read(session.tick()), 3008, text)


def test_a_failure_of_the_sandbox_is_the_documented_3005():
    session, _ = started()
    assert refused(read(session.fail()), 3005, "Session Cancelled: An error occurred")


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_every_rate_has_the_same_times(rate: int):
    session, _ = started(US | {"sample_rate": str(rate)})
    sound = silence(300, rate) + tone(1000, rate) + silence(1500, rate)
    final = said(session, *chunked(sound, rate // 10 * 2))[-1]
    assert final.transcript == "hello there"
    assert abs(final.words[0].start - 300) <= 64
    assert abs(final.words[-1].end - 1300) <= 64


def test_mulaw_is_heard_as_what_it_encodes():
    from tempkit.sandbox.hearing.pcm import MULAW

    assert MULAW[0xFF] == MULAW[0x7F] == 0
    assert MULAW[0x80] == pytest.approx(32124 / 32768)
    assert MULAW[0x00] == -MULAW[0x80]
    assert np.all(np.diff(MULAW[128:]) < 0)
