"""Over real sockets: what a service does that it should not, and what becomes of the words."""

import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tempkit import (
    Reconnect,
    Reconnected,
    Sandbox,
    SessionClosed,
    Settings,
    connect,
)
from tempkit.sandbox import Faults
from tests.doubles import chunked
from tests.halves import ToneRecognizer, tones
from tests.listening import Listening

RUNS = int(os.environ.get("TEMPKIT_CUT_RUNS", "4"))
TURNS = ("ba ce di fo", "gu ha", "je ki lo mu na", "pe ri so", "tu va ba")
AUDIO = tones(TURNS)
SECONDS = len(AUDIO) / 32_000
WORDS = " ".join(TURNS).split()
SHORT = tones(TURNS[:3])
QUICK = Reconnect(give_up_after_seconds=2)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(ToneRecognizer(), realtime=False) as sandbox:
        yield sandbox


def heard(text: str) -> list[str]:
    return re.findall("[a-z]+", text.lower())


def sessions(sandbox: Sandbox) -> int:
    return sum(entry.name == "Begin" for entry in sandbox.journal)


def streamed(
    sandbox: Sandbox,
    faults: Faults,
    policy: Reconnect | bool = True,
    *,
    audio: bytes = AUDIO,
    realtime: bool = False,
) -> tuple[list[str], int]:
    """The words, and how often the session was connected again. Raises SessionClosed."""
    sandbox.faults = faults
    again = 0
    with connect(sandbox.settings, reconnect=policy) as session:
        for message in session.stream(chunked(audio), realtime=realtime):
            again += isinstance(message, Reconnected)
    return heard(session.transcript.text), again


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.parametrize("end", [1000, 1005, 1006, 1011, 1012, 1013, 1014, 4001, "Termination"])
def test_an_end_that_nobody_asked_for_costs_no_word(sandbox: Sandbox, end: int | str, seed: int):
    chance = random.Random(f"{end} {seed}")
    # The last second is left out: a Termination counts whole ones.
    whole = int(SECONDS) - 2
    way, most = chance.choice([("sent", 20), ("received", 10 * whole), ("audio_seconds", whole)])
    what = "terminate" if end == "Termination" else "close"
    moment = {f"{what}_after_{way}": chance.randrange(1, most)}
    code = {} if end == "Termination" else {"close_code": end}
    words, _ = streamed(sandbox, Faults(**moment, **code, sessions=1))
    assert words == WORDS


@pytest.mark.parametrize("what", ["close", "terminate"])
def test_a_session_that_always_ends_early_is_an_error_that_counts_what_is_missing(
    sandbox: Sandbox, what: str
):
    with pytest.raises(SessionClosed) as ended:
        streamed(sandbox, Faults(**{f"{what}_after_audio_seconds": 2}), QUICK)
    assert ended.value.code == 1000
    assert heard(ended.value.transcript) == WORDS[: len(heard(ended.value.transcript))]
    assert SECONDS - 3 < ended.value.seconds_not_transcribed <= SECONDS


@pytest.mark.parametrize("what", ["close", "terminate"])
def test_without_reconnect_too_an_early_end_is_an_error(sandbox: Sandbox, what: str):
    with pytest.raises(SessionClosed, match=r"1000: .+ s of audio without final text"):
        streamed(sandbox, Faults(**{f"{what}_after_audio_seconds": 2}), policy=False)


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009, 3006, 3007])
def test_a_code_that_would_come_again_ends_the_session_at_once(sandbox: Sandbox, code: int):
    begun = sessions(sandbox)
    with pytest.raises(SessionClosed) as ended:
        streamed(sandbox, Faults(close_after_audio_seconds=2, close_code=code))
    assert ended.value.code == code
    assert sessions(sandbox) == begun + 1


@pytest.mark.parametrize(
    "odd",
    ["not JSON", "[]", "null", '{"type": "Heartbeat"}', '{"type": "Warning"}', '{"type": "Turn"}'],
)
@pytest.mark.parametrize("how", ["say", "say_binary"])
def test_an_odd_message_costs_neither_word_nor_session(sandbox: Sandbox, odd: str, how: str):
    words, again = streamed(sandbox, Faults(**{f"{how}_after_sent": 3}, message=odd))
    assert (words, again) == (WORDS, 0)


def test_json_in_a_binary_frame_is_left_out_and_counted(sandbox: Sandbox):
    sandbox.faults = Faults(say_binary_after_sent=2, message='{"type": "Termination"}')
    with connect(sandbox.settings) as session:
        list(session.stream(chunked(AUDIO), realtime=False))
        assert session.odd_messages == 1
    assert heard(session.transcript.text) == WORDS


@pytest.mark.parametrize("status", [502, 503, 504])
def test_the_first_connection_is_tried_again_when_a_gateway_has_nobody(
    sandbox: Sandbox, status: int
):
    words, _ = streamed(sandbox, Faults(refuse_connections=2, refuse_status=status))
    assert words == WORDS


class SendsTwice(Listening):
    """A network on which an opening request arrives twice: the first one uses up its token."""

    def __init__(self, port: int, times: int) -> None:
        super().__init__()
        self._service = port
        self._times = times

    def serve(self, client: socket.socket) -> None:
        request = client.recv(65536)
        if b"/v3/ws" in request and self._times:
            self._times -= 1
            with socket.create_connection(("127.0.0.1", self._service)) as first:
                first.sendall(request)
                first.recv(65536)
                first.recv(65536)  # the session has begun there
        service = socket.create_connection(("127.0.0.1", self._service))
        service.sendall(request)
        self.start(pass_on, client, service)
        pass_on(service, client)


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


def test_a_token_that_the_network_used_up_is_replaced_once(sandbox: Sandbox):
    sandbox.faults = Faults()
    with SendsTwice(sandbox.port, times=1) as network:
        with connect(Settings("any", f"http://127.0.0.1:{network.port}")) as session:
            list(session.stream(chunked(AUDIO), realtime=False))
        assert heard(session.transcript.text) == WORDS
    with SendsTwice(sandbox.port, times=9) as network:
        with pytest.raises(SessionClosed, match="already been used"):
            connect(Settings("any", f"http://127.0.0.1:{network.port}"))
