"""Rules of a session that need more than one message: time, silence, partials, the query."""

import json

import pytest

from tempkit.messages import Heartbeat, Silence, SpeechStarted, Turn, Warning
from tempkit.sandbox.inbox import Inbox
from tempkit.sandbox.ledger import Ledger, Refused
from tempkit.sandbox.opening import Switches, read_query
from tests.doubles import chunked, silence, spoken, tone
from tests.test_sandbox_session import U3, US, Clock, read, refused, said, started

UPDATE = {"type": "UpdateConfiguration"}


def partials(messages: list) -> list[Turn]:
    return [m for m in messages if isinstance(m, Turn) and not m.end_of_turn]


def test_a_heartbeat_comes_every_five_seconds_when_asked_for():
    clock = Clock()
    session, _ = started(US | {"session_heartbeat": "True"}, clock=clock)
    said(session, *chunked(silence(1000) + tone(2000)))
    assert session.deadline == clock.now + 5
    clock.now += 5
    assert read(session.tick()) == [Heartbeat(3000, 5000, 0.6, 1.0)]
    assert read(session.tick()) == []
    clock.now += 5.5
    assert said(session, silence(100))[0] == Heartbeat(3000, 10_500, 0.29, 0.0)


def test_heartbeats_can_be_switched_on_later():
    clock = Clock()
    session, _ = started(clock=clock)
    clock.now += 60
    assert read(session.tick()) == []
    said(session, UPDATE | {"session_heartbeat": True})
    assert session.deadline == clock.now + 5


def test_a_session_that_is_never_quiet_reaches_its_longest_duration_too():
    clock = Clock()
    session, _ = started(clock=clock)
    clock.now += 10_800
    text = "Session Expired: Maximum session duration exceeded"
    assert refused(said(session, silence(100)), 3008, text)


def test_silence_is_acknowledged_each_second_on_u3_only():
    asked = {"acknowledge_silence": "true"}
    session, _ = started(U3 | asked)
    found = said(session, *chunked(silence(3500)))
    assert [type(m) for m in found] == [Silence] * 3
    assert all(m.end_ms - m.start_ms == 992 for m in found)
    session, _ = started(US | asked)
    assert said(session, *chunked(silence(3500))) == []


@pytest.mark.parametrize(("asked", "least"), [({}, 756), ({"interruption_delay": "0"}, 256)])
def test_the_first_partial_of_u3_waits_for_the_interruption_delay(asked: dict, least: int):
    session, _ = started(U3 | asked)
    sound, heard = chunked(tone(3000), 1600), 0
    for chunk in sound:
        heard += 50
        if messages := said(session, chunk):
            break
    assert [type(m) for m in messages] == [SpeechStarted, Turn]
    assert least <= heard <= least + 250


def test_long_speech_has_a_partial_about_every_three_seconds_on_u3():
    session, _ = started(U3)
    assert len(partials(said(session, *chunked(tone(10_000))))) == 4
    session, _ = started(U3 | {"continuous_partials": "false"})
    assert len(partials(said(session, *chunked(tone(10_000))))) == 1


def test_silence_after_an_open_sentence_brings_one_partial_on_u3_and_no_end():
    session, _ = started(U3 | {"interruption_delay": "1000"}, script=["and then"])
    said(session, *chunked(tone(1000)))
    found = said(session, *chunked(silence(600)))
    assert [m.transcript for m in partials(found)] == ["and then"]
    found = said(session, *chunked(silence(600)))
    assert [m.transcript for m in found if m.end_of_turn] == ["and then"]


def test_a_short_pause_completes_an_utterance_on_us():
    session, _ = started()
    found = said(session, *chunked(silence(300) + tone(1000) + silence(250), 1600))
    assert [m.utterance for m in found if m.utterance] == ["hello there"]
    assert not found[-1].end_of_turn
    (final,) = said(session, *chunked(silence(400)))
    assert (final.end_of_turn, final.transcript, final.utterance) == (True, "hello there", "")


def test_a_turn_without_such_a_pause_completes_it_at_its_end():
    session, _ = started(US | {"min_turn_silence": "100"})
    final = said(session, *chunked(spoken(1)))[-1]
    assert (final.utterance, final.turn_is_formatted) == ("hello there", False)


def test_us_final_words_never_change_within_a_turn():
    session, _ = started(U3 | {"speech_model": "universal-streaming-english"}, script=["a b c d e"])
    fixed: list[str] = []
    for turn in said(session, *chunked(spoken(1, milliseconds=4000))):
        now = [word.text for word in turn.words if word.word_is_final]
        assert now[: len(fixed)] == fixed
        fixed = now
    assert fixed == ["a", "b", "c", "d", "e"]


def test_a_prompt_is_for_u3_only():
    error = "prompt is only supported with the 'u3-rt-pro' speech_model. Current speech_model: "
    _, messages = started(US | {"prompt": "birds"})
    full = f"User Input Validation Error: {error}'universal-streaming-english'"
    assert refused(messages, 3006, full)
    _, messages = started(U3 | {"prompt": "x" * 1751})
    assert "prompt exceeds maximum length of 1750 characters (got 1751)" in messages[0].error
    session, _ = started()
    assert refused(said(session, UPDATE | {"prompt": "birds"}), 3006, full)


def test_an_update_without_effect_is_warned_about():
    session, _ = started()
    (warning,) = said(session, UPDATE | {"keyterms_prompt": ["Ana Ruiz"], "vad_threshold": 0.5})
    assert warning == Warning(1, "keyterms_prompt has no effect in the sandbox")


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("language_codes=en&language_codes=es", '["en","es"]'),
        ("language_codes=[%22en%22]", '["en"]'),
        ("keyterms_prompt=a&keyterms_prompt=b", "a,b"),
        ("vad_threshold=1&vad_threshold=0.5", "0.5"),
    ],
)
def test_of_a_repeated_parameter_the_last_counts_but_language_codes_are_joined(query, value):
    assert list(read_query(query).values()) == [value]


@pytest.mark.parametrize("terms", ["a,b", '["a"],["b"]', "{}", "[1]"])
def test_key_terms_that_are_no_json_list_are_refused(terms: str):
    _, messages = started(US | {"keyterms_prompt": terms})
    assert messages[-1].code == 3006
    assert "Invalid 'keyterms_prompt': Value error" in messages[0].error


def test_more_key_terms_than_100_are_refused():
    _, messages = started(US | {"keyterms_prompt": json.dumps(["x"] * 101)})
    assert messages[0].error.endswith("Invalid 'keyterms_prompt': Value error, Max 100 items")


def test_audio_far_ahead_of_real_time_is_refused_by_a_switch():
    session, _ = started(switches=Switches(most_ahead_seconds=5))
    assert read(session.check_speed(12.0, 7.0)) == []
    text = "Audio Transmission Rate Exceeded: Received 12.1 sec. audio in 7.0 sec"
    assert refused(read(session.check_speed(12.1, 7.0)), 3007, text)
    session, _ = started()
    assert read(session.check_speed(1e6, 0.0)) == []


def test_new_sessions_a_minute_can_be_limited():
    ledger = Ledger(sessions_per_minute=2)
    token = ledger.issue(0.0, 600)
    ledger.admit(0.0, None, "key")
    ledger.admit(30.0, None, "key")
    for credentials in ((None, "key"), (token, None)):
        with pytest.raises(Refused, match="Too many concurrent sessions"):
            ledger.admit(59.9, *credentials)
    assert ledger.admit(60.0, token, None) == 10_800  # it was not spent


def test_a_paced_inbox_lets_audio_out_as_fast_as_it_sounds():
    inbox = Inbox(paced=True)
    for data in (b"one", b"two", "text"):
        inbox.put(data, 0.1 if isinstance(data, bytes) else 0.0, 10.0)
    assert inbox.take(10.0) == b"one"
    assert (inbox.take(10.05), inbox.wait(10.05)) == (None, pytest.approx(0.05))
    assert inbox.take(10.1) == b"two"
    assert inbox.take(10.1) is None
    assert inbox.take(10.2) == "text"
    assert inbox.wait(10.2) == float("inf")


def test_a_session_is_late_when_it_handles_slower_than_the_sound_comes():
    inbox = Inbox(paced=False)
    for _ in range(10):
        inbox.put(b"", 0.1, 20.0)
    for _ in range(10):
        inbox.take(20.1)
    assert not inbox.is_late(21.4)  # a second of sound was handled
    assert inbox.is_late(21.6)
    inbox.put(b"", 0.1, 30.0)
    assert not inbox.is_late(30.0)
