"""Nonsense on the wire: a documented close or a clean drop, no traceback, no one else disturbed."""

import json
import logging
import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tempkit import Sandbox
from tempkit.sandbox import Scripted
from tests.conftest import SCRIPT
from tests.doubles import chunked, silence, spoken, tone
from tests.raw import TERMINATE, UPGRADE, no_thread_left, opened, rest, say, types

DOCUMENTED = {1000, 1006, 1008, 3005, 3006, 3007, 3008}
EXAMPLES, LENGTH = 250, 40  # 10,000 messages
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
TYPES = ["ForceEndpoint", "KeepAlive", "UpdateConfiguration", "UpdateConfiguration", "Bogus"]
NAMES = ["min_turn_silence", "vad_threshold", "format_turns", "prompt", "speech_model", "x"]


def update(kind: str, name: str, value: object) -> str:
    return json.dumps({"type": kind, name: value})


# Most of it is lawful, so that a session lives to see the rest.
lawful = st.sampled_from([silence(100), tone(100), silence(50), tone(400)])
messages = st.one_of(
    *[lawful] * 12,
    st.sampled_from(['{"type": "KeepAlive"}', '{"type": "ForceEndpoint"}']),
    st.builds(update, st.sampled_from(TYPES), st.sampled_from(NAMES), JSON),
    st.binary(max_size=64),
    st.text(max_size=64),
)


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture) -> Iterator[Sandbox]:
    """A sandbox that may write nothing to the log and leaves no thread behind."""
    with no_thread_left(), Sandbox(Scripted(SCRIPT), realtime=False) as sandbox:
        yield sandbox
        check_that_it_is_well(sandbox)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


def check_that_it_is_well(sandbox: Sandbox) -> None:
    with opened(sandbox) as connection:
        for chunk in chunked(spoken(1)):
            connection.send(chunk)
        connection.send(TERMINATE)
        found, code, _ = rest(connection)
    assert code == 1000
    assert "hello there" in [message.get("transcript") for message in found]


@pytest.mark.lab
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(messages, min_size=LENGTH, max_size=LENGTH), st.booleans())
def test_ten_thousand_generated_messages(watched: Sandbox, sent: list, is_u3: bool):
    model = "u3-rt-pro" if is_u3 else "universal-streaming-english"
    with opened(watched, speech_model=model) as connection:
        say(connection, *sent, TERMINATE)
        found, code, _ = rest(connection)
    assert code in DOCUMENTED
    if code not in (1000, 1006):
        assert found[-1]["type"] == "Error"


@settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from([*NAMES, "sample_rate", "token"]), st.text(max_size=12)))
def test_generated_parameters(watched: Sandbox, query: dict[str, str]):
    with opened(watched, **query) as connection:
        say(connection, TERMINATE)
        found, code, _ = rest(connection)
    assert code in (1000, 1008, 3006)
    assert types(found)[0] in ("Begin", "Error")


def answer_to(sandbox: Sandbox, *said: bytes, ends: bool = False, until: bytes = b"") -> bytes:
    """What comes back until the end, or so far; ``ends`` closes our half first."""
    answer = b""
    with socket.create_connection(("127.0.0.1", sandbox.port)) as raw:
        raw.settimeout(15)
        with suppress(ConnectionResetError, BrokenPipeError):
            raw.sendall(b"".join(said))
            if ends:
                with suppress(OSError):  # it is closed already
                    raw.shutdown(socket.SHUT_WR)
            while not (until and until in answer) and (part := raw.recv(4096)):
                answer += part
    return answer


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_instead_of_http(watched: Sandbox, seed: int):
    answer_to(watched, random.Random(seed).randbytes(400), b"\r\n\r\n")


@pytest.mark.parametrize("target", ["//v3/ws", "//[", "/v3/ws/../token", "*", "http://[/"])
def test_an_odd_path_is_refused(watched: Sandbox, target: str):
    said = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    assert answer_to(watched, said).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_instead_of_frames(watched: Sandbox, seed: int):
    frames = random.Random(seed).randbytes(400)
    answer = answer_to(watched, UPGRADE.format("").encode(), frames, ends=True)
    assert answer.startswith(b"HTTP/1.1 101 ") or not answer


@pytest.mark.parametrize(
    "said",
    [
        b"GET /v3/ws?\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/token HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{}",
        b"GET /v3/token HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\n\r\n",
    ],
    ids=["no ASCII", "a body cut short", "an odd length"],
)
def test_what_is_no_request_is_said_so(watched: Sandbox, said: bytes):
    assert answer_to(watched, said, ends=True).startswith(b"HTTP/1.1 400 ")


def test_words_of_a_request_may_stand_apart(watched: Sandbox):
    said = b"GET\t/v3/token  HTTP/1.1\r\nHost: a\r\n\r\n"
    assert answer_to(watched, said).startswith(b"HTTP/1.1 422 ")  # no key


@pytest.mark.parametrize("length", [0, 10, 10**6])
@pytest.mark.parametrize("ends", [True, False])
def test_bytes_after_a_request_are_no_frames(watched: Sandbox, length: int, ends: bool):
    head = f"POST /sandbox/reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    answer = answer_to(watched, head.encode(), random.Random(length).randbytes(200_000), ends=ends)
    assert answer.startswith(b"HTTP/1.1 400 " if length else b"HTTP/1.1 200 ") or not answer


def test_a_header_twice_is_no_credential(watched: Sandbox):
    said, refusal = UPGRADE.format("Authorization: other\r\n").encode(), b"Invalid API key"
    assert refusal in answer_to(watched, said, until=refusal)


def test_a_header_in_two_lines_opens_no_socket(watched: Sandbox):
    said = UPGRADE.format("X-Odd: one\r\n two\r\n").encode()
    assert answer_to(watched, said).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("size", [2**20, 2**24, 2**24 + 1])
def test_a_huge_message(watched: Sandbox, size: int):
    for data in (bytes(size), "x" * size):
        with opened(watched) as connection:
            say(connection, data)
            assert rest(connection)[1] in (1006, 1009, 3006, 3007)


def test_text_before_audio_and_a_client_that_vanishes(watched: Sandbox):
    with opened(watched) as connection:
        connection.send('{"type": "ForceEndpoint"}')
        connection.send(tone(500))
        connection.socket.shutdown(socket.SHUT_RDWR)
    with opened(watched) as connection:
        connection.send(os.urandom(3200))
        connection.send(TERMINATE)
        assert rest(connection)[1] == 1000


def test_another_session_is_not_disturbed(watched: Sandbox):
    with opened(watched) as steady:
        for chunk in chunked(spoken(3)):
            steady.send(chunk)
            with opened(watched) as other:
                other.send("{")
        steady.send(TERMINATE)
        found, code, _ = rest(steady)
    finals = [m["transcript"] for m in found if m.get("end_of_turn")]
    assert (finals, code) == (["hello there", "my name is ada", "how are you today", ""], 1000)
