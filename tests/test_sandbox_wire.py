"""A sandbox seen from its socket: every close, every field of every message, and pace."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tempkit import Sandbox, generate_temp_token
from tempkit.certificates import make_certificate
from tempkit.sandbox import Faults, Scripted
from tempkit.sandbox.hearing.recognizer import ScriptedListener
from tempkit.sandbox.wire.inbox import PACE
from tests.conftest import SCRIPT
from tests.doubles import chunked, silence, spoken, tone
from tests.raw import (
    REASON,
    TERMINATE,
    UPGRADE,
    check_that_it_stops,
    no_thread_left,
    opened,
    read,
    rest,
    say,
    types,
)

INPUT = "User Input Validation Error: "
DURATION = "Input Duration Error: Input Duration Violation: "
RANGE = " ms. Expected between 50 and 1000 ms"


def fast_clock() -> Callable[[], float]:
    """A clock in which everything is over at once: each look at it is an hour later."""
    now = iter(range(1_790_000_000, 1_800_000_000, 3600))
    return lambda: float(next(now))


CLOSES: list[tuple[str, dict, dict, Sequence, int, str]] = [
    # what, switches, opening, messages, code, text of the Error ("" for none)
    ("no credentials", {}, {"key": None}, (), 1008,
     "Unauthorized Connection: Missing Authorization header"),
    ("a wrong key", {"api_keys": frozenset({"right"})}, {"key": "wrong"}, (), 1008,
     "Unauthorized Connection: Invalid API key"),
    ("Bearer", {}, {"key": "Bearer any"}, (), 1008, "Unauthorized Connection: Invalid API key"),
    ("a key as token", {}, {"token": "any", "key": None}, (), 1008,
     "Unauthorized Connection: Invalid API key"),
    ("no session left", {"sessions_per_minute": 0}, {}, (), 1008,
     "Unauthorized Connection: Too many concurrent sessions"),
    ("a failure on request", {"faults": Faults(cancel_after_sent=1)}, {}, (), 3005,
     "Session Cancelled: An error occurred"),
    ("a bad parameter", {}, {"sample_rate": "7999"}, (), 3006,
     INPUT + "Invalid 'sample_rate': Value error, sample_rate must be at least 8,000 Hz"),
    ("a bad number", {}, {"min_turn_silence": "160.0"}, (), 3006,
     INPUT + "Invalid 'min_turn_silence': Value error, "
     "invalid literal for int() with base 10: '160.0'"),
    ("a bad encoding", {}, {"encoding": "flac"}, (), 3006,
     INPUT + "Invalid 'encoding': Value error, 'flac' is not a valid Encoding"),
    ("repeated key terms", {}, {"keyterms_prompt": ["a", "b"]}, (), 3006,
     INPUT + "Invalid 'keyterms_prompt': Value error, Invalid JSON array"),
    ("no JSON", {}, {}, ("{not json",), 3006,
     INPUT + "Invalid JSON: Expecting property name enclosed in double quotes: "
     "line 1 column 2 (char 1)"),
    ("an unknown message", {}, {}, ('{"type": "Bogus"}',), 3006,
     INPUT + "Invalid Message Type: Bogus"),
    ("no object", {}, {}, ("[1]",), 3006,
     INPUT + "Invalid Message: a JSON object was expected, not [1]"),
    ("inactivity", {"faults": Faults(clock_speed=50)}, {"inactivity_timeout": 5}, (), 3006,
     "Session terminated due to inactivity: No messages received for 5 seconds"),
    ("too long a chunk", {}, {}, (silence(1200),), 3007, DURATION + "1200.0" + RANGE),
    ("short chunks", {}, {}, [silence(20)] * 60, 3007, DURATION + "20.0" + RANGE),
    ("the longest duration", {"clock": fast_clock()}, {}, (silence(100),) * 9, 3008,
     "Session Expired: Maximum session duration exceeded"),
    ("the end", {}, {}, (TERMINATE,), 1000, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("switches", "opening", "messages", "code", "text"),
    [row[1:] for row in CLOSES],
    ids=[row[0] for row in CLOSES],
)
def test_a_close_has_its_code_its_text_and_the_fixed_reason(
    switches, opening, messages, code, text
):
    sandbox = Sandbox(Scripted(SCRIPT), **{"realtime": False, **switches})
    with sandbox, opened(sandbox, **opening) as connection:
        say(connection, *messages)
        found, closed, reason = rest(connection)
    assert closed == code
    if code == 1000:
        assert (found[-1]["type"], reason) == ("Termination", "Session Ended")
        return
    assert found[-1] == {"type": "Error", "error_code": code, "error": text}
    assert reason == REASON
    assert "Termination" not in types(found)


def test_audio_too_far_ahead_is_closed_with_3007():
    with Sandbox(Scripted(SCRIPT), most_ahead_seconds=1) as sandbox:
        with opened(sandbox) as connection:
            with suppress(ConnectionClosed):  # before the last one is sent
                for _ in range(4):
                    connection.send(silence(1000))
            found, code, _ = rest(connection)
    assert code == 3007
    assert found[-1]["error"].startswith("Audio Transmission Rate Exceeded: Received ")


def test_a_spent_and_an_expired_token_are_refused():
    now = [1_790_000_000.0]
    with Sandbox(Scripted(SCRIPT), clock=lambda: now[0]) as sandbox:
        token = generate_temp_token(60, settings=sandbox.settings)
        for code in (1000, 1008):
            with opened(sandbox, token=token, key=None) as connection:
                say(connection, TERMINATE)
                assert rest(connection)[1] == code
        late = generate_temp_token(60, settings=sandbox.settings)
        now[0] += 60
        with opened(sandbox, key=late) as connection:
            (error,), code, _ = rest(connection)
    assert (error["error"], code) == ("Unauthorized Connection: Signature has expired", 1008)


class Deaf:
    """A recogniser that fails: when it is asked to listen, or later."""

    def __init__(self, *, at_once: bool) -> None:
        self.at_once = at_once

    def listen(self) -> "BrokenEars":
        if self.at_once:
            raise RuntimeError("no ears")
        return BrokenEars(Scripted(SCRIPT))


class BrokenEars(ScriptedListener):
    def recognize(self, *_: object) -> None:
        raise RuntimeError("broken ears")


@pytest.mark.parametrize(("at_once", "code"), [(True, 1011), (False, 3005)])
def test_a_failure_of_its_own_is_a_documented_close(at_once: bool, code: int):
    with Sandbox(Deaf(at_once=at_once)) as sandbox, opened(sandbox) as connection:
        say(connection, tone(1000))
        found, closed, _ = rest(connection)
    assert closed == code
    assert types(found) == ([] if at_once else ["Begin", "Error"])


def test_a_sandbox_that_stops_says_that_it_goes_away():
    sandbox = Sandbox(Scripted(SCRIPT)).start()
    with opened(sandbox) as connection:
        read(connection)
        sandbox.stop()
        assert rest(connection)[1] == 1001


@pytest.fixture(params=["http", "https"])
def wordy(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Sandbox, ssl.SSLContext | None]]:
    """A sandbox with much to say that leaves no thread behind, and what makes one trust it."""
    context = trust = None
    if request.param == "https":
        context, authority = make_certificate(tmp_path)
        trust = ssl.create_default_context(cafile=authority)
    talker = Scripted(["word " * 4000])
    with no_thread_left(), Sandbox(talker, ssl=context, realtime=False) as sandbox:
        yield sandbox, trust


def test_a_sandbox_that_stops_does_not_wait_for_clients_that_say_nothing(wordy):
    sandbox, trust = wordy
    with ExitStack() as held:
        for said in (b"", b"GET /v3/ws HTTP/1.1\r\n", b"\x16\x03\x01"):
            client = socket.create_connection(("127.0.0.1", sandbox.port))
            held.enter_context(client)
            client.sendall(said)
        # An answer to who came after them shows that they were let in.
        httpx.get(f"{sandbox.url}/sandbox", verify=trust or True, trust_env=False)
        check_that_it_stops(sandbox)


def test_a_sandbox_that_stops_does_not_wait_for_a_client_that_answers_no_close():
    with no_thread_left(), Sandbox(Scripted(SCRIPT)) as sandbox:
        with socket.create_connection(("127.0.0.1", sandbox.port)) as client:
            client.sendall(UPGRADE.format("").encode())
            assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
            check_that_it_stops(sandbox)


def test_a_sandbox_that_stops_does_not_wait_for_a_client_that_does_not_read(wordy):
    sandbox, trust = wordy
    url = f"{sandbox.settings.websocket_url}?sample_rate=16000"
    options = {"additional_headers": {"Authorization": "any"}, "compression": None, "proxy": None}
    with connect(url, ssl=trust, max_queue=1, close_timeout=0, **options) as connection:
        for chunk in chunked(spoken(20)):
            connection.send(chunk)
        said = -1
        while said < (said := len(sandbox.journal)):  # until its words do not get through
            threading.Event().wait(0.5)
        assert not any(entry.name == "Termination" for entry in sandbox.journal)
        check_that_it_stops(sandbox)


def test_a_socket_at_the_root_is_one_as_with_the_self_hosted_service(sandbox: Sandbox):
    address = sandbox.settings.websocket_url.removesuffix("v3/ws") + "?sample_rate=16000"
    headers = {"Authorization": "self-hosted"}
    with connect(address, additional_headers=headers, proxy=None) as connection:
        assert read(connection)["type"] == "Begin"
        connection.send(TERMINATE)
        assert rest(connection)[1] == 1000


def test_a_websocket_elsewhere_is_not_upgraded(sandbox: Sandbox):
    base = sandbox.settings.websocket_url.removesuffix("/v3/ws")
    for path, status in (("/v3/stream", 403), ("/v3/ws/", 403), ("/v2/realtime/ws", 410)):
        with pytest.raises(InvalidStatus) as caught, connect(base + path, proxy=None):
            pass
        assert caught.value.response.status_code == status


WORD = {"text": str, "start": int, "end": int, "confidence": float, "word_is_final": bool}
FIELDS: dict[str, dict[str, type]] = {
    "Begin": {"id": str, "expires_at": int, "configuration": dict},
    "SpeechStarted": {"timestamp": int, "confidence": float},
    "Turn": {
        "turn_order": int, "turn_is_formatted": bool, "end_of_turn": bool, "transcript": str,
        "end_of_turn_confidence": float, "words": list, "utterance": str,
    },
    "Heartbeat": {
        "total_audio_received_ms": int, "total_duration_ms": int,
        "realtime_factor": float, "max_speech_probability": float,
    },
    "Silence": {"start_ms": int, "end_ms": int},
    "Warning": {"warning_code": int, "warning": str},
    "Termination": {"audio_duration_seconds": int, "session_duration_seconds": int},
}  # fmt: skip
COMMON = {"Begin", "Turn", "Heartbeat", "Warning", "Termination"}


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        ("universal-streaming-english", COMMON),
        ("u3-rt-pro", {*COMMON, "SpeechStarted", "Silence"}),
        ("universal-3-6-pro", {*COMMON, "SpeechStarted", "Silence"}),
    ],
)
def test_every_message_has_the_documented_fields_and_types(model: str, kinds: set[str]):
    asked = {"format_turns": "True", "session_heartbeat": "True", "acknowledge_silence": "True"}
    speedy = Faults(clock_speed=1000)
    with Sandbox(Scripted(SCRIPT), faults=speedy, realtime=False) as sandbox:
        with opened(sandbox, speech_model=model, domain="medical-v1", **asked) as connection:
            first = [read(connection)]
            while first[-1]["type"] != "Heartbeat":  # a fast session is over before one is due
                first.append(read(connection))
            for chunk in chunked(spoken(3)):
                connection.send(chunk)
            connection.send(TERMINATE)
            messages, code, _ = rest(connection)
    messages = first + messages
    assert code == 1000
    assert set(types(messages)) == kinds
    for message in messages:
        check(message, FIELDS[message.pop("type")])
        for word in message.get("words", []):
            check(word, WORD)
            assert 0 <= word["confidence"] <= 1
            assert word["start"] <= word["end"]
    orders = [m["turn_order"] for m in messages if "turn_order" in m]
    assert orders == sorted(orders)
    assert set(orders) == set(range(max(orders) + 1))


def check(message: dict, shape: dict[str, type]) -> None:
    assert {name: type(value) for name, value in message.items()} == shape


def test_what_is_sent_at_once_is_heard_at_the_pace_at_which_it_sounds_and_in_order():
    with Sandbox(Scripted(SCRIPT)) as sandbox, opened(sandbox) as connection:
        begun = monotonic()
        for chunk in chunked(silence(300) + tone(1000)):
            connection.send(chunk)
        connection.send('{"type": "ForceEndpoint"}')
        for chunk in chunked(silence(200)):
            connection.send(chunk)
        connection.send(TERMINATE)
        messages, code, _ = rest(connection)
        assert monotonic() - begun >= 1.4 / PACE
    finals = [m["transcript"] for m in messages if m.get("end_of_turn")]
    assert (finals, code) == (["hello there", ""], 1000)
    assert messages[-1]["audio_duration_seconds"] == 1


@pytest.mark.parametrize("stall", [None, 0.3])
def test_more_than_five_minutes_of_audio_that_waits_are_closed_with_3007(stall: float | None):
    faults = Faults(stall_after_sent=1, stall_seconds=stall) if stall else Faults()
    with Sandbox(Scripted(SCRIPT), faults=faults) as sandbox, opened(sandbox) as connection:
        say(connection, *[silence(1000)] * 330)
        messages, code, reason = rest(connection)
    text = "Audio Transmission Rate Exceeded: too much audio buffered"
    assert (messages[-1]["error"], code, reason) == (text, 3007, REASON)


def test_at_audio_pace_a_sandbox_stops_at_once_in_the_middle_of_a_file():
    sandbox = Sandbox(Scripted(SCRIPT)).start()
    with opened(sandbox) as connection:
        for chunk in chunked(silence(60_000)):
            connection.send(chunk)
        read(connection)
        check_that_it_stops(sandbox)


class SlowEars(ScriptedListener):
    """Ears whose recognition waits until it is let go."""

    def __init__(self, script: Scripted, go: threading.Event) -> None:
        super().__init__(script)
        self._go = go

    def recognize(self, *arguments: object) -> object:
        self._go.wait(10)
        return super().recognize(*arguments)


class Slow(Scripted):
    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__(lines)
        self.go = threading.Event()

    def listen(self) -> SlowEars:
        return SlowEars(self, self.go)


@pytest.fixture
def busy() -> Iterator[tuple[Slow, ClientConnection]]:
    slow = Slow(SCRIPT)
    with Sandbox(slow) as sandbox, opened(sandbox) as connection:
        read(connection)
        yield slow, connection
        slow.go.set()


def test_pings_are_answered_while_it_recognises(busy: tuple[Slow, ClientConnection]):
    slow, connection = busy
    for chunk in chunked(tone(1000) + silence(1000)):
        connection.send(chunk)
    assert connection.ping().wait(5)
    slow.go.set()
    connection.send(json.dumps({"type": "Terminate"}))
    assert rest(connection)[1] == 1000
