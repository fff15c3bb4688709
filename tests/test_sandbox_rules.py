"""Rules of a session that need more than one message: time, silence, partials, the query."""

import json

import pytest

from tempkit.protocol.messages import Heartbeat, Silence, SpeechStarted, Turn, Warning
from tempkit.sandbox.hearing.recognizer import Samples, ScriptedListener
from tempkit.sandbox.rules import Switches
from tempkit.sandbox.rules.ledger import Ledger, Refused
from tempkit.sandbox.rules.opening import read_query
from tempkit.sandbox.rules.session import Note
from tempkit.sandbox.wire.inbox import PACE, PATIENCE_SECONDS, Inbox
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
    assert said(session, silence(100))[0] == Heartbeat(3000, 10_500, 0.0, 0.0)


def test_heartbeats_can_be_switched_on_later():
    clock = Clock()
    session, _ = started(clock=clock)
    clock.now += 60
    assert read(session.tick()) == []
    said(session, UPDATE | {"session_heartbeat": True})
    assert session.deadline == clock.now + 5
    said(session, *chunked(silence(2500)))
    clock.now += 5
    assert read(session.tick()) == [Heartbeat(2500, 65_000, 0.5, 0.0)]
    said(session, UPDATE | {"session_heartbeat": False})
    clock.now += 60
    assert read(session.tick()) == []


def test_the_realtime_factor_of_a_heartbeat_is_that_of_the_time_since_the_last():
    clock = Clock()
    session, _ = started(US | {"session_heartbeat": "true"}, clock=clock)
    factors = []
    for milliseconds in (5000, 1000, 10_000, 0):
        said(session, *chunked(silence(milliseconds)))
        clock.now += 5
        (beat,) = read(session.tick())
        factors.append(beat.realtime_factor)
    assert factors == [1.0, 0.2, 2.0, 0.0]


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


def test_long_speech_has_a_partial_each_second_or_every_three_on_u3():
    session, _ = started(U3)
    assert len(partials(said(session, *chunked(tone(10_000))))) == 9
    session, _ = started(U3 | {"continuous_partials": "false"})
    assert len(partials(said(session, *chunked(tone(10_000))))) == 4


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


def test_an_update_without_effect_is_noted_once_and_never_answered():
    session, _ = started()
    asked = UPDATE | {"keyterms_prompt": ["Ana Ruiz"], "vad_threshold": 0.5}
    assert said(session, asked) == [Note(3, "keyterms_prompt has no effect in the sandbox")]
    assert said(session, asked) == []


def test_what_has_no_effect_is_said_once_by_a_stable_code():
    asked = {"keyterms_prompt": '["a"]', "turn_left_pad_ms": "5", "agent_context": "Hello."}
    session, (_, *warnings) = started(U3 | asked)
    assert warnings == [
        Warning(1, "turn_left_pad_ms has no effect in the sandbox"),
        Warning(3, "keyterms_prompt, agent_context have no effect in the sandbox"),
    ]
    assert said(session, UPDATE | {"agent_context": "How can I help you?"}) == []
    _, messages = started(U3 | asked, switches=Switches(warnings=False))
    assert messages[1:] == [Note(w.warning_code, w.warning) for w in warnings]


def test_an_update_knows_older_names_and_notes_what_it_cannot_change():
    session, _ = started()
    older = {"min_end_of_turn_silence_when_confident": 3000, "max_turn_silence": 5000}
    (note,) = said(session, UPDATE | older | {"sample_rate": 8000})
    assert note == Note(9, "sample_rate: fixed for the whole session")
    assert not any(m.end_of_turn for m in said(session, *chunked(spoken(1))))
    messages = said(session, UPDATE | {"min_end_of_turn_silence_when_confident": "1"})
    assert "Invalid 'min_turn_silence'" in messages[0].error


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


class UnsureEars(ScriptedListener):
    """Ears that are half sure that a loud frame is speech."""

    def speech_probability(self, frame: Samples) -> float:
        return super().speech_probability(frame) / 2


@pytest.mark.parametrize("model", ["universal-streaming-english", "u3-rt-pro"])
def test_the_vad_threshold_says_what_counts_as_speech(model: str):
    def heard(**asked: str) -> int:
        session, _ = started(US | {"speech_model": model, **asked}, ears=UnsureEars)
        count = ends(said(session, *chunked(spoken(1))))
        said(session, UPDATE | {"vad_threshold": 0.6})
        assert ends(said(session, *chunked(spoken(1)))) == 0
        return count

    assert heard() == 1
    assert heard(vad_threshold="0.45") == 1
    assert heard(vad_threshold="0.55") == 0


def ends(messages: list) -> int:
    return sum(isinstance(m, Turn) and m.end_of_turn for m in messages)


def test_audio_far_ahead_of_real_time_is_refused_by_a_switch():
    session, _ = started(switches=Switches(most_ahead_seconds=5))
    assert read(session.check_speed(12.0, 7.0, 0.0)) == []
    text = "Audio Transmission Rate Exceeded: Received 12.1 sec. audio in 7.0 sec"
    assert refused(read(session.check_speed(12.1, 7.0, 0.0)), 3007, text)
    assert read(session.check_speed(12.1, 7.0, 0.0)) == []  # it is over
    session, _ = started(switches=Switches(realtime=False))
    assert read(session.check_speed(1e6, 0.0, 1e6)) == []


def test_more_than_five_minutes_of_audio_that_waits_are_refused_at_audio_pace():
    session, _ = started()
    assert read(session.check_speed(1000.0, 0.0, 300.0)) == []
    text = "Audio Transmission Rate Exceeded: too much audio buffered"
    assert refused(read(session.check_speed(1000.0, 0.0, 300.1)), 3007, text)


def test_new_sessions_a_minute_can_be_limited_for_each_key():
    ledger = Ledger(Switches(sessions_per_minute=2))
    token, other = ledger.issue(0.0, 600, key="key"), ledger.issue(0.0, 600, key="other")
    ledger.admit(0.0, None, "key")
    ledger.admit(30.0, None, "key")
    for credentials in ((None, "key"), (token, None)):
        with pytest.raises(Refused, match="Too many concurrent sessions"):
            ledger.admit(59.9, *credentials)
    ledger.admit(59.9, other, None)
    ledger.admit(59.9, None, "other")
    assert ledger.admit(60.0, token, None) == 10_800  # it was not spent


def test_at_audio_pace_what_came_at_once_waits_as_long_as_it_sounds():
    inbox = Inbox(realtime=True)
    inbox.put("first", 0.0, 9.0)
    assert inbox.take(9.0) == "first"
    for data in (b"one", b"two", "text"):
        inbox.put(data, 0.125 if isinstance(data, bytes) else 0.0, 10.0)
    assert inbox.take(10.0) == b"one"
    assert (inbox.take(10.05), inbox.wait(10.05)) == (None, pytest.approx(0.05))
    assert inbox.take(10.1) == b"two"
    assert inbox.take(10.1) is None
    assert inbox.take(10.2) == "text"
    assert inbox.wait(10.2) == float("inf")


def waits(arrivals: list[float]) -> list[float]:
    """How long each 100 ms of audio waits at audio pace, after it has come in."""
    inbox, found, now = Inbox(realtime=True), [], 0.0
    for at in arrivals:
        now = max(now, at)
        inbox.put(b"sound", 0.1, now)
        now += inbox.wait(now)
        assert inbox.take(now) == b"sound"
        found.append(now - at)
    return found


def test_who_speaks_in_real_time_waits_for_nothing_at_audio_pace():
    uneven = [n * 0.1 + 0.02 * (n % 3) for n in range(100)]
    assert max(waits(uneven)) < 0.021
    held_up = [max(n * 0.1, 5.0) if 30 < n < 60 else n * 0.1 for n in range(400)]
    late = waits(held_up)  # two seconds of it come in at once, late
    assert max(late[:31]) == 0
    assert 0.5 < max(late) < 2
    assert max(late[200:]) < 0.001  # it has caught up


def test_a_file_that_is_sent_at_once_is_never_heard_slower_than_it_sounds():
    late = waits([0.0] * 600)
    assert late[-1] == pytest.approx(59.9 / PACE)


def test_what_waits_is_bounded_by_its_number_and_its_size():
    for data, most in (("{}", 400_000), ("x" * 2**23, 8)):
        inbox, count = Inbox(realtime=True), 0
        while not inbox.is_full:
            inbox.put(data, 0.0, 0.0)
            count += 1
        assert count <= most


def test_five_minutes_of_audio_fit_at_the_highest_rate():
    inbox = Inbox(realtime=True)
    for _ in range(6000):
        inbox.put(bytes(9600), 0.05, 0.0)
    assert not inbox.is_full


def test_a_session_is_late_when_it_handles_slower_than_the_sound_comes():
    inbox = Inbox(realtime=False)
    for n in range(10):
        inbox.put(b"", 0.1, 20.0 + n / 10)
    assert inbox.patience(20.5) == PATIENCE_SECONDS
    assert inbox.patience(20.6) == 0  # and nothing was handled
    for _ in range(5):
        inbox.take(20.9)
    assert inbox.patience(20.9) == PATIENCE_SECONDS
    assert inbox.patience(21.1) == 0
    for _ in range(5):
        inbox.take(21.1)
    inbox.put(b"", 0.1, 30.0)
    assert inbox.patience(30.0) == PATIENCE_SECONDS


def test_what_was_sent_ahead_is_heard_in_full_however_long_it_takes():
    inbox = Inbox(realtime=False)
    for _ in range(300):
        inbox.put(b"", 0.1, 20.0)
    for now in (20.0, 21.0, 25.0, 60.0):
        assert inbox.patience(now) is None
