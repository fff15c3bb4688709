"""What newer pages of the service say where older ones say otherwise, a rule a test."""

import json
import socket

import httpx
import pytest

from tempkit import Clip, Sandbox, SessionParameters, generate_temp_token, transcribe
from tempkit.protocol.messages import Heartbeat, SpeechStarted, Turn, Warning, dump
from tempkit.protocol.parameters import DEFAULT_MODEL, US_MODELS
from tempkit.sandbox import Scripted
from tempkit.sandbox.rules.opening import read_parameters, turn_rules
from tests.doubles import chunked, silence, spoken, tone
from tests.raw import TERMINATE, opened, read, rest, say
from tests.test_sandbox_session import US, Clock, said, started

NEWER = US | {"speech_model": "universal-3-5-pro"}
UPDATE = {"type": "UpdateConfiguration"}


def waits(query: dict[str, str]) -> tuple[int, int, float, int]:
    """min_turn_silence, max_turn_silence, vad_threshold and interruption_delay."""
    rules = turn_rules(read_parameters(query))
    delay = rules.first_partial - 256
    return rules.min_turn_silence, rules.max_turn_silence, rules.vad_threshold, delay


def refusal(query: dict[str, str]) -> str:
    _, messages = started(query)
    assert messages[-1].code == 3006
    return messages[0].error.removeprefix("User Input Validation Error: ")


@pytest.mark.parametrize("model", ["universal-3-5-pro", "universal-3-6-pro"])
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ({}, (128, 1280, 0.2, 500)),
        ({"mode": "min_latency"}, (128, 640, 0.2, 0)),
        ({"mode": "balanced"}, (128, 1280, 0.2, 500)),
        ({"mode": "max_accuracy"}, (512, 2560, 0.2, 500)),
        ({"mode": "max_accuracy", "max_turn_silence": "700"}, (512, 700, 0.2, 500)),
    ],
)
def test_a_mode_is_a_preset_that_a_single_value_overrides(model: str, mode: dict, expected):
    assert waits(US | {"speech_model": model} | mode) == expected


def test_updating_the_mode_applies_its_preset_again():
    session, _ = started(NEWER | {"max_turn_silence": "9000"}, script=["and then"])
    said(session, *chunked(tone(1000)))
    assert not any(isinstance(m, Turn) and m.end_of_turn for m in said(session, *late(3000)))
    assert said(session, UPDATE | {"mode": "min_latency"}) == []
    assert said(session, silence(100))[-1].end_of_turn


def late(milliseconds: int) -> list[bytes]:
    return chunked(silence(milliseconds))


def test_speaker_labels_make_turns_shorter_and_partials_rarer():
    asked = NEWER | {"speaker_labels": "true"}
    assert waits(asked) == (640, 768, 0.5, 500)
    rules = turn_rules(read_parameters(asked))
    assert (rules.next_partial, rules.longest) == (3000, 10_000)


def test_a_mode_is_refused_for_a_us_model():
    for model in US_MODELS:
        text = f"Invalid 'mode': Value error, mode is for the U3 models, not for {model}"
        assert refusal(US | {"speech_model": model, "mode": "balanced"}) == text


@pytest.mark.parametrize(
    ("asked", "seconds"), [(US, 60), (NEWER, 60), (NEWER | {"speaker_labels": "true"}, 10)]
)
def test_a_turn_is_closed_after_60_seconds_and_after_10_with_speakers(asked: dict, seconds: int):
    session, _ = started(asked, script=["one two.", "three four.", "five six."])
    finals = [m for m in said(session, *chunked(tone(65_000), 32_000)) if is_final(m)]
    assert abs(finals[0].words[-1].end - 1000 * seconds) < 200
    assert len({turn.turn_order for turn in finals}) == (6 if seconds == 10 else 1)


def is_final(message: object) -> bool:
    return isinstance(message, Turn) and message.end_of_turn


def test_a_long_turn_is_heard_in_stretches_that_part_at_a_pause():
    session, _ = started(US | {"min_turn_silence": "9000"} | {"max_turn_silence": "9000"})
    sound = tone(20_000) + silence(3000) + tone(20_000) + silence(9100)
    (turn,) = [m for m in said(session, *chunked(sound)) if is_final(m)]
    assert turn.transcript == "hello there my name is ada"
    assert [word.end for word in turn.words][1] <= 20_100
    assert [word.start for word in turn.words][2] >= 22_900


@pytest.mark.parametrize(("asked", "taken"), [("1", 50), ("49", 50), ("20000", 10_000)])
def test_min_turn_silence_is_clamped_not_refused(asked: str, taken: int):
    assert waits(US | {"min_turn_silence": asked})[0] == taken
    assert SessionParameters(min_turn_silence=int(asked)).query()["min_turn_silence"] == asked


@pytest.mark.parametrize(("asked", "expected"), [("true", 1000), ("false", 3000), ("", 1000)])
def test_continuous_partials_come_about_each_second_or_every_three(asked: str, expected: int):
    query = NEWER | ({"continuous_partials": asked} if asked else {})
    assert turn_rules(read_parameters(query)).next_partial == expected


@pytest.mark.parametrize("query", [US, NEWER])
def test_there_are_no_partials_with_redact_pii_unless_asked_for(query: dict):
    def count(asked: dict) -> int:
        session, _ = started(query | asked)
        turns = [m for m in said(session, *chunked(spoken(1))) if isinstance(m, Turn)]
        return sum(not turn.end_of_turn for turn in turns)

    assert count({"redact_pii": "true"}) == 0
    assert count({"redact_pii": "true", "include_partial_turns": "true"}) > 0


@pytest.mark.parametrize("text", ["person_name,phone_number", '["person_name", "phone_number"]'])
def test_redact_pii_policies_are_a_comma_string_or_a_list(text: str):
    read = read_parameters(US | {"redact_pii_policies": text})
    assert read.redact_pii_policies == ["person_name", "phone_number"]


def test_voice_focus_threshold_is_refused_without_voice_focus():
    assert "needs voice_focus" in refusal(NEWER | {"voice_focus_threshold": "0.5"})
    _, messages = started(NEWER | {"voice_focus_threshold": "0.5", "voice_focus": "near-field"})
    assert messages[0].type == "Begin"


def test_multi_stands_alone_among_the_languages():
    assert "cannot combine multi with" in refusal(NEWER | {"language_codes": '["multi", "en"]'})
    assert started(NEWER | {"language_codes": '["multi"]'})[1][0].type == "Begin"


def test_language_detection_reports_the_language_of_finals_and_does_nothing_else():
    session, messages = started(NEWER | {"language_detection": "true"})
    assert len(messages) == 1  # no Warning
    turns = [m for m in said(session, *chunked(spoken(2))) if isinstance(m, Turn)]
    for turn in turns:
        expected = ("en", 1.0) if turn.end_of_turn else ("", 0.0)
        assert (turn.language_code, turn.language_confidence) == expected
    session, _ = started(NEWER)
    for data in chunked(spoken(1)):
        assert not any("language" in dump(output) for output in session.receive(data))


def test_nobody_is_told_apart_so_nothing_is_revised():
    session, (begin, warning) = started(NEWER | {"speaker_labels": "true", "max_speakers": "2"})
    assert begin.configuration["speaker_labels"] is True
    assert warning == Warning(4, "speaker_labels, max_speakers have no effect in the sandbox")
    found = {m.type for m in said(session, *chunked(spoken(1)), {"type": "Terminate"})[:-1]}
    assert found == {"SpeechStarted", "Turn", "Termination"}


def test_context_of_earlier_turns_may_be_given_and_has_its_range():
    assert started(NEWER | {"previous_context_n_turns": "5"})[1][1].warning_code == 3
    assert "from 0 to 100" in refusal(NEWER | {"previous_context_n_turns": "101"})


def test_heartbeats_are_switched_in_mid_session_and_say_the_rate_of_a_window():
    clock = Clock()
    session, _ = started(NEWER, clock=clock)
    said(session, *late(10_000), UPDATE | {"session_heartbeat": True}, *late(1000))
    clock.now += 5
    (beat,) = [m for m in said(session, {"type": "KeepAlive"}) if isinstance(m, Heartbeat)]
    assert (beat.total_audio_received_ms, beat.realtime_factor) == (11_000, 0.2)


@pytest.mark.parametrize(("size", "code"), [(128 * 1024, 3006), (128 * 1024 + 1, 1009)])
def test_a_message_over_128_kb_closes_the_session_with_1009(sandbox: Sandbox, size: int, code):
    with opened(sandbox) as connection:
        read(connection)
        say(connection, "x" * size)
        assert rest(connection)[1] == code


def test_who_names_no_model_gets_the_newest_that_is_called_the_default():
    _, (begin, *_) = started({"sample_rate": "16000"})
    assert begin.configuration["model"] == DEFAULT_MODEL == "universal-3-6-pro"


def test_an_update_is_never_answered(sandbox: Sandbox):
    with opened(sandbox, speech_model=DEFAULT_MODEL) as connection:
        read(connection)
        for context in ("Hello.", "What is your name?"):
            connection.send(json.dumps(UPDATE | {"agent_context": context}))
        connection.send(json.dumps(UPDATE | {"sample_rate": 8000}))
        connection.send(TERMINATE)
        messages, _, _ = rest(connection)
    assert [message["type"] for message in messages] == ["Termination"]
    notes = [entry.detail["warning_code"] for entry in sandbox.journal if entry.kind == "note"]
    assert notes == [3, 9]


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS"])
def test_other_methods_on_the_token_route_are_405(sandbox: Sandbox, method: str):
    answer = httpx.request(method, f"{sandbox.url}/v3/token", trust_env=False)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_the_newest_model_is_one_of_the_u3_models(sandbox: Sandbox):
    parameters = SessionParameters(speech_model="assemblyai-stt-3-7-realtime")
    heard = transcribe(Clip(spoken(2), 16_000), sandbox.settings, parameters, realtime=False)
    assert [turn.transcript for turn in heard.turns] == ["Hello there.", "My name is Ada."]
    session, _ = started(US | {"speech_model": "assemblyai-stt-3-7-realtime"})
    assert isinstance(said(session, *chunked(spoken(1)))[0], SpeechStarted)


@pytest.mark.parametrize("authorization", ["any", "Bearer any"])
def test_a_token_of_the_second_route_opens_many_sessions(sandbox: Sandbox, authorization: str):
    body = {"product": "streaming", "expires_in_seconds": 60, "access": {"streaming": {}}}
    headers = {"Authorization": authorization}
    answer = httpx.post(f"{sandbox.url}/v1/token", json=body, headers=headers, trust_env=False)
    assert answer.status_code == 200
    token = answer.json()["token"]
    for credentials in ({"token": token, "key": None}, {"key": token}):
        with opened(sandbox, **credentials) as connection:
            assert read(connection)["type"] == "Begin"
            connection.send(TERMINATE)
            assert rest(connection)[1] == 1000
    # The older route's tokens open one.
    once = generate_temp_token(settings=sandbox.settings)
    for expected in ("Begin", "Error"):
        with opened(sandbox, token=once, key=None) as connection:
            assert read(connection)["type"] == expected


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        ({"content": b"{}", "headers": {}}, 401, "Missing Authorization header"),
        ({"content": b"{}", "headers": {"Authorization": "two words"}}, 401, "Invalid API key"),
        ({"content": b"not JSON"}, 400, "Invalid JSON: Expecting value"),
        ({"json": {"expires_in_seconds": 601}}, 400, "from 1 to 600, not 601"),
        ({"json": {"max_session_duration_seconds": 59}}, 400, "from 60 to 10800, not 59"),
        ({"json": {"product": "tts"}}, 400, "the sandbox offers only streaming, not tts"),
    ],
)
def test_the_second_route_refuses_what_it_cannot_give(sandbox: Sandbox, request_, status, said):
    headers = {"Authorization": "any"}
    url = f"{sandbox.url}/v1/token"
    answer = httpx.post(url, **({"headers": headers} | request_), trust_env=False)
    assert answer.status_code == status
    assert said in answer.json()["error"]
    answer = httpx.get(url, headers=headers, trust_env=False)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_token_of_the_second_route_runs_out_and_has_its_cap():
    now = [1_790_000_000.0]
    with Sandbox(Scripted(["Yes."]), clock=lambda: now[0]) as sandbox:
        body = {"expires_in_seconds": 5, "max_session_duration_seconds": 60}
        headers = {"Authorization": "any"}
        answer = httpx.post(f"{sandbox.url}/v1/token", json=body, headers=headers, trust_env=False)
        token = answer.json()["token"]
        with opened(sandbox, token=token, key=None) as connection:
            assert read(connection)["expires_at"] == now[0] + 60
        now[0] += 5
        with opened(sandbox, token=token, key=None) as connection:
            assert read(connection)["error"] == "Unauthorized Connection: Signature has expired"


@pytest.mark.parametrize("size", [1, 7, 60, 10_000])
def test_a_body_may_come_in_pieces_of_any_size(sandbox: Sandbox, size: int):
    body = json.dumps({"expires_in_seconds": 60, "access": {"x": "y" * 200}}).encode()
    head = "POST /v1/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: any\r\n"
    data = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=15) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), size):
            raw.sendall(data[start : start + size])
        assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_the_old_token_route_is_gone_with_a_sentence(sandbox: Sandbox):
    answer = httpx.post(f"{sandbox.url}/v2/realtime/token", json={"expires_in": 60})
    assert answer.status_code == 404
    assert "GET /v3/token" in answer.json()["error"]
