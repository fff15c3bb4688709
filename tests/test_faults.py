"""Things that go wrong on demand, seen from outside."""

import socket
import threading
from time import monotonic

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from tempkit import Sandbox, TokenRefused, generate_temp_token
from tempkit.sandbox import Faults, Scripted
from tempkit.sandbox.state import SpeedyClock
from tests.doubles import chunked, silence, tone
from tests.raw import REASON, TERMINATE, check_that_it_stops, opened, read, rest, say, types


def post(sandbox: Sandbox, path: str, **query: object) -> httpx.Response:
    return httpx.post(f"{sandbox.url}/sandbox/{path}", params=query, trust_env=False)


def events(sandbox: Sandbox) -> list[tuple[str, str]]:
    return [(entry.kind, entry.name) for entry in sandbox.journal]


def test_a_session_is_cut_after_so_many_messages_received(sandbox: Sandbox):
    sandbox.faults = Faults(cut_after_received=3)
    with opened(sandbox) as connection:
        for chunk in chunked(silence(200)):
            connection.send(chunk)
        assert read(connection)["type"] == "Begin"
        connection.send(TERMINATE)  # is read, but not answered
        assert rest(connection) == ([], 1006, "")
    assert ("fault", "cut") in events(sandbox)


def test_a_session_is_cut_after_so_many_messages_sent(sandbox: Sandbox):
    sandbox.faults = Faults(cut_after_sent=2)
    with opened(sandbox) as connection:
        connection.send(tone(1000))
        messages, code, _ = rest(connection)
        assert (types(messages), code) == (["Begin", "Turn"], 1006)


def test_a_session_is_cut_at_a_time(sandbox: Sandbox):
    sandbox.faults = Faults(cut_after_seconds=0.3)
    with opened(sandbox) as connection:
        begun = monotonic()
        messages, code, _ = rest(connection)
        assert (types(messages), code) == (["Begin"], 1006)
        assert monotonic() - begun > 0.2


def test_only_so_many_sessions_are_hit(sandbox: Sandbox):
    sandbox.faults = Faults(cut_after_sent=1, sessions=1)
    for code in (1006, 1000):
        with opened(sandbox) as connection:
            assert read(connection)["type"] == "Begin"
            if code == 1000:
                connection.send(TERMINATE)
            assert rest(connection)[1] == code


def test_a_stall_ends_when_its_time_is_over(sandbox: Sandbox):
    sandbox.faults = Faults(stall_after_received=1, stall_seconds=0.4)
    with opened(sandbox) as connection:
        read(connection)
        connection.send(silence(100))
        connection.send(TERMINATE)
        begun = monotonic()
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.2)
        assert rest(connection)[1] == 1000
        assert monotonic() - begun > 0.3


def test_stopping_a_sandbox_does_not_wait_for_a_stall():
    sandbox = Sandbox(Scripted(["Yes."]), faults=Faults(stall_after_sent=1)).start()
    with opened(sandbox) as connection:
        read(connection)
        check_that_it_stops(sandbox)
        assert rest(connection)[1] == 1001


def test_an_error_3005_comes_when_asked_for(sandbox: Sandbox):
    sandbox.faults = Faults(cancel_after_received=2)
    with opened(sandbox) as connection:
        read(connection)
        for chunk in chunked(silence(200)):
            connection.send(chunk)
        (error,), code, reason = rest(connection)
        assert (code, reason) == (3005, REASON)
        assert error["error"] == "Session Cancelled: An error occurred"


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013, 1014, 3009, 4001])
def test_a_session_is_closed_with_any_code_and_no_error(sandbox: Sandbox, code: int):
    sandbox.faults = Faults(close_after_audio_seconds=0.3, close_code=code)
    with opened(sandbox) as connection:
        say(connection, *chunked(silence(1000)))
        messages, closed, reason = rest(connection)
        assert (types(messages), closed, reason) == (["Begin"], code, "")
    assert sandbox.journal[-1].detail == {"code": code}


def test_a_close_can_come_without_a_code_or_be_none_at_all(sandbox: Sandbox):
    sandbox.faults = Faults(close_after_sent=1, close_code=1005)
    with opened(sandbox) as connection:
        read(connection)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=10)
        assert closed.value.rcvd.code == 1005
    sandbox.faults = Faults(close_after_sent=1, close_code=1006)
    with opened(sandbox) as connection:
        assert rest(connection)[1] == 1006


@pytest.mark.parametrize("code", [1004, 1015, 2000])
def test_a_code_that_no_close_can_carry_is_refused(code: int):
    with pytest.raises(ValueError, match="close_code takes 1000 to 1003, 1005 to 1014 or 3000"):
        Faults(close_code=code)


def test_a_termination_comes_that_nobody_asked_for(sandbox: Sandbox):
    sandbox.faults = Faults(terminate_after_received=5)
    with opened(sandbox) as connection:
        say(connection, *chunked(tone(500)))
        messages, code, reason = rest(connection)
        assert messages[-1]["type"] == "Termination"
        assert (code, reason) == (1000, "Session Ended")
        assert not any(message.get("end_of_turn") for message in messages)


def test_the_last_words_are_late_and_heartbeats_come_meanwhile(sandbox: Sandbox):
    sandbox.faults = Faults(slow_termination_seconds=0.6, clock_speed=20)
    with opened(sandbox, session_heartbeat=True) as connection:
        connection.send(tone(1000))
        connection.send(TERMINATE)
        messages, code, _ = rest(connection)
        assert types(messages)[-3:] == ["Turn", "Turn", "Termination"]
        assert (types(messages).count("Heartbeat") > 0, code) == (True, 1000)


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        ({"say_after_sent": 1}, "not JSON"),
        ({"say_after_sent": 1, "message": "[]"}, "[]"),
        ({"say_binary_after_sent": 1, "message": "{}"}, b"{}"),
    ],
    ids=["nonsense", "a list", "binary"],
)
def test_an_odd_message_comes_once_and_the_session_goes_on(sandbox: Sandbox, fault: dict, sent):
    sandbox.faults = Faults(**fault)
    with opened(sandbox) as connection:
        read(connection)
        assert connection.recv(timeout=10) == sent
        connection.send(TERMINATE)
        messages, code, _ = rest(connection)
        assert (types(messages), code) == (["Turn", "Termination"], 1000)


def test_faults_of_one_moment_happen_in_their_order(sandbox: Sandbox):
    error = '{"type": "Error", "error_code": 3009, "error": "Too many"}'
    crowded = {"say_after_sent": 1, "message": error, "close_after_sent": 1, "close_code": 3009}
    sandbox.faults = Faults(**crowded)
    with opened(sandbox) as connection:
        read(connection)
        (message,), code, _ = rest(connection)
        assert (message["error_code"], code) == (3009, 3009)


def test_a_session_that_answers_nothing_still_has_heartbeats(sandbox: Sandbox):
    sandbox.faults = Faults(stop_answering_after_sent=1, clock_speed=20)
    with opened(sandbox, session_heartbeat=True) as connection:
        connection.send(tone(1000))
        connection.send(TERMINATE)
        assert read(connection)["type"] == "Begin"
        for _ in range(2):
            beat = read(connection)
            assert (beat["type"], beat["total_audio_received_ms"]) == ("Heartbeat", 1000)


def test_heartbeats_stop_and_words_go_on(sandbox: Sandbox):
    sandbox.faults = Faults(stop_heartbeats_after_sent=2, clock_speed=20)
    with opened(sandbox, session_heartbeat=True) as connection:
        assert [read(connection)["type"] for _ in range(2)] == ["Begin", "Heartbeat"]
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.6)
        connection.send(tone(1000))
        connection.send(TERMINATE)
        messages, code, _ = rest(connection)
        assert (types(messages)[-1], code) == ("Termination", 1000)
        assert "Heartbeat" not in types(messages)


def test_an_upload_that_stalls_is_not_acknowledged_and_not_heard(sandbox: Sandbox):
    sandbox.faults = Faults(stop_upload_after_audio_seconds=0.5, clock_speed=20)
    with opened(sandbox, session_heartbeat=True) as connection:
        for chunk in chunked(tone(2000)):
            connection.send(chunk)
        connection.send(TERMINATE)
        beats = [m for m in (read(connection) for _ in range(4)) if m["type"] == "Heartbeat"]
        assert {beat["total_audio_received_ms"] for beat in beats} == {500}
        assert beats[-1]["realtime_factor"] == 0


def test_a_socket_that_is_not_read_answers_no_ping_but_still_speaks(sandbox: Sandbox):
    sandbox.faults = Faults(stop_reading_after_received=1, clock_speed=20)
    with opened(sandbox, session_heartbeat=True) as connection:
        read(connection)
        connection.send(silence(100))
        assert read(connection)["total_audio_received_ms"] == 100
        connection.send(silence(100))  # is read, but not taken
        assert read(connection)["total_audio_received_ms"] == 100
        pong = connection.ping()
        assert read(connection)["total_audio_received_ms"] == 100
        assert not pong.is_set()
        sandbox.stop()
        assert rest(connection)[1] == 1001


def test_begin_can_be_slow(sandbox: Sandbox):
    sandbox.faults = Faults(slow_begin_seconds=0.3)
    with opened(sandbox) as connection:
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.15)
        assert read(connection)["type"] == "Begin"


def test_connections_are_refused_by_a_cut_or_a_status(sandbox: Sandbox):
    sandbox.faults = Faults(refuse_connections=1)
    with pytest.raises(InvalidMessage), opened(sandbox):
        pass
    with opened(sandbox) as connection:
        assert read(connection)["type"] == "Begin"
    sandbox.faults = Faults(refuse_connections=1, refuse_status=503)
    with pytest.raises(InvalidStatus) as caught, opened(sandbox):
        pass
    assert caught.value.response.status_code == 503
    with opened(sandbox) as connection:
        assert read(connection)["type"] == "Begin"


def test_the_token_route_fails_so_often_then_works(sandbox: Sandbox):
    sandbox.faults = Faults(token_status=429, token_failures=1)
    with pytest.raises(TokenRefused) as caught:
        generate_temp_token(settings=sandbox.settings)
    assert caught.value.status == 429
    assert generate_temp_token(settings=sandbox.settings)


def test_the_token_route_can_be_slow(sandbox: Sandbox):
    sandbox.faults = Faults(token_delay_seconds=0.3)
    begun = monotonic()
    generate_temp_token(settings=sandbox.settings)
    assert monotonic() - begun >= 0.3


def test_a_clock_that_runs_fast_ages_tokens_and_sessions(sandbox: Sandbox):
    token = generate_temp_token(1, max_session_duration_seconds=60, settings=sandbox.settings)
    other = generate_temp_token(600, max_session_duration_seconds=60, settings=sandbox.settings)
    sandbox.faults = Faults(clock_speed=200)
    with opened(sandbox, token=other, key=None) as connection:
        assert rest(connection)[1] == 3008
    with opened(sandbox, token=token, key=None) as connection:
        (error,), code, _ = rest(connection)
    assert (error["error"], code) == ("Unauthorized Connection: Signature has expired", 1008)


def test_a_clock_whose_speed_changes_does_not_jump():
    now = [1000.0]
    clock = SpeedyClock(lambda: now[0])
    clock.run_at(10)
    now[0] += 1
    assert clock() == 1010
    clock.run_at(1)
    assert clock() == 1010
    now[0] += 1
    assert clock() == 1011


def test_faults_from_any_language_travel_in_the_address(sandbox: Sandbox):
    assert post(sandbox, "faults", cut_after_sent=1, sessions=2).json() == {
        "cut_after_sent": 1,
        "sessions": 2,
    }
    assert sandbox.faults == Faults(cut_after_sent=1, sessions=2)
    assert post(sandbox, "faults").json() == {}
    assert sandbox.faults == Faults()


@pytest.mark.parametrize("length", ["", "Content-Length: 0\r\n"], ids=["as curl", "as fetch"])
def test_a_post_says_nothing_of_a_body_or_that_it_has_none(sandbox: Sandbox, length: str):
    head = f"POST /sandbox/faults?sessions=2 HTTP/1.1\r\nHost: localhost\r\n{length}\r\n"
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=15) as raw:
        raw.sendall(head.encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert sandbox.faults == Faults(sessions=2)


@pytest.mark.parametrize(
    "body",
    [
        {"json": {"sessions": 2}},
        {"data": {"sessions": 2}},
        {"content": b"x" * 10**6},
        {"content": iter([b"sessions=2"])},
    ],
    ids=["json", "form", "long", "chunked"],
)
def test_a_body_is_refused_with_a_word_on_where_faults_go(sandbox: Sandbox, body: dict):
    url = f"{sandbox.url}/sandbox/faults?cut_after_sent=1"
    answer = httpx.post(url, **body, trust_env=False)
    assert answer.status_code == 400
    assert "in the query: POST /sandbox/faults?cut_after_received=20" in answer.json()["error"]
    assert sandbox.faults == Faults()


def test_a_status_that_has_no_name_is_answered_all_the_same(sandbox: Sandbox):
    sandbox.faults = Faults(token_status=599)
    url = f"{sandbox.url}/v3/token?expires_in_seconds=60"
    assert httpx.get(url, headers={"Authorization": "any"}, trust_env=False).status_code == 599


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"cut": 1}, "there is no fault 'cut'; use say|say_binary|stall|"),
        ({"sessions": "x"}, "sessions takes a whole number, not 'x'"),
        ({"refuse_status": 200}, "refuse_status takes a whole number from 400 to 599, not 200"),
    ],
)
def test_a_fault_that_there_is_not_is_refused(sandbox: Sandbox, query: dict, text: str):
    answer = post(sandbox, "faults", **query)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(text)
    assert sandbox.faults == Faults()


def test_a_reset_forgets_faults_journal_and_tokens(sandbox: Sandbox):
    token = generate_temp_token(settings=sandbox.settings)
    sandbox.faults = Faults(token_status=500)
    assert post(sandbox, "reset").json() == {}
    assert (len(sandbox.journal), sandbox.faults) == (0, Faults())
    with opened(sandbox, token=token, key=None) as connection:
        assert rest(connection)[1] == 1008


def test_one_sandbox_survives_the_faults_of_many_sessions_at_once(sandbox: Sandbox):
    sandbox.faults = Faults(cut_after_received=5, sessions=8)
    codes: list[int] = []

    def talk() -> None:
        with opened(sandbox) as connection:
            for chunk in chunked(silence(500)):
                connection.send(chunk)
            codes.append(rest(connection)[1])

    threads = [threading.Thread(target=talk) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert codes == [1006] * 8
    with opened(sandbox) as connection:
        connection.send(TERMINATE)
        assert rest(connection)[1] == 1000
