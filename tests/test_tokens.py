import base64
import copy
import json
import logging
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from tempkit import (
    ConfigurationError,
    ProtocolError,
    ServiceUnreachable,
    Settings,
    TemporaryToken,
    TokenRefused,
    generate_temp_token,
    http_client,
)
from tests.conftest import KEY
from tests.doubles import AnsweringService
from tests.listening import Listening

BODY = b'{"token": "granted"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[Settings]:
    """The way to a program that treats each of its connections with ``serve``."""

    class Program(Listening):
        def serve(self, client: socket.socket) -> None:
            with client, suppress(OSError):
                serve(client)

    with Program() as program:
        yield Settings(KEY, f"http://127.0.0.1:{program.port}", timeout=5)


def test_the_token_is_the_string_of_the_service(service: AnsweringService):
    token = generate_temp_token(settings=service.settings)
    assert token == "granted"
    assert isinstance(token, TemporaryToken)


def test_the_request_is_the_documented_one(service: AnsweringService):
    generate_temp_token(120, max_session_duration_seconds=600, settings=service.settings)
    path, headers = service.requests[0]
    assert path == "/v3/token?expires_in_seconds=120&max_session_duration_seconds=600"
    assert headers["Authorization"] == KEY


def test_a_session_cap_is_sent_only_when_asked_for(service: AnsweringService):
    generate_temp_token(settings=service.settings)
    assert service.requests[0][0] == "/v3/token?expires_in_seconds=60"


def test_one_connection_serves_one_call_after_another(service: AnsweringService):
    for _ in range(5):
        generate_temp_token(settings=service.settings)
    assert service.connections == 1
    assert len(service.requests) == 5


def test_a_kept_connection_that_died_is_replaced_once(service: AnsweringService):
    service.hang_up_after = 1
    for _ in range(3):
        assert generate_temp_token(settings=service.settings) == "granted"
    assert service.connections == 3


def test_a_fresh_connection_that_dies_is_not_tried_again(service: AnsweringService):
    service.hang_up_after = 0
    with pytest.raises(ServiceUnreachable):
        generate_temp_token(settings=service.settings)
    assert service.connections == 1


def test_a_connection_that_breaks_in_an_answer_is_not_replaced():
    starts: list[bytes] = [ANSWER, ANSWER[:-5], ANSWER]

    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            answer = starts.pop(0)
            connection.sendall(answer)
            if answer != ANSWER:
                return

    with listening(serve) as settings:
        assert generate_temp_token(settings=settings) == "granted"
        with pytest.raises(ServiceUnreachable, match="ended before the answer did"):
            generate_temp_token(settings=settings)
    assert starts == [ANSWER]


def test_a_connection_that_nobody_used_for_long_is_closed_and_not_used_again(
    service: AnsweringService,
):
    generate_temp_token(settings=service.settings)
    kept = http_client._idle[service.settings.base_url]
    kept[0].used_at -= http_client.KEEPALIVE_SECONDS
    generate_temp_token(settings=service.settings)
    assert service.connections == 2
    assert len(kept) == 1


def test_a_service_that_closes_after_each_answer_leaves_no_connection():
    def once(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    with listening(once) as settings:
        for _ in range(3):
            assert generate_temp_token(settings=settings) == "granted"
    assert not http_client._idle[settings.base_url]


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nA: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ],
    ids=["head", "body", "body without a length"],
)
def test_an_answer_that_drips_in_is_bounded_by_the_timeout(start: bytes, service: AnsweringService):
    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        connection.settimeout(0.02)
        while True:
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return
            connection.sendall(b"a")

    generate_temp_token(settings=service.settings)  # a later deadline is watched already
    with listening(drip) as settings:
        began = time.monotonic()
        with pytest.raises(ServiceUnreachable, match=r"no answer within 0\.3 s"):
            generate_temp_token(settings=replace(settings, timeout=0.3))
        assert time.monotonic() - began < 3
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("tempkit deadlines") <= 1


def test_an_interrupt_leaves_no_connection_behind():
    ended = threading.Event()

    def interrupt(connection: socket.socket) -> None:
        connection.recv(65536)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
        if connection.recv(1) == b"":
            ended.set()

    with listening(interrupt) as settings:
        with pytest.raises(KeyboardInterrupt):
            generate_temp_token(settings=settings)
        assert ended.wait(5)


FORK = """
import os, sys
from tempkit import Settings, generate_temp_token
settings = Settings({key!r}, {url!r}, timeout=5)
generate_temp_token(settings=settings)
child = os.fork()
generate_temp_token(settings=settings)
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_opens_connections_of_its_own(service: AnsweringService):
    code = FORK.format(key=KEY, url=service.settings.base_url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert service.connections == 2
    assert len(service.requests) == 3


def through_proxy(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, requests: list[bytes], times: int
) -> list[str]:
    """The tokens of a service without TLS, by a proxy that is asked for all of the address."""

    def forward(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            requests.append(request)
            connection.sendall(answer)

    outside = Settings(KEY, "http://service.invalid", timeout=5)
    with listening(forward) as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.replace("//", "//ann:p%40ss@"))
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        try:
            return [generate_temp_token(settings=outside) for _ in range(times)]
        finally:
            for line in http_client._idle.pop(outside.base_url):
                line.close()


def test_without_tls_a_proxy_passes_the_request_on(monkeypatch: pytest.MonkeyPatch):
    requests: list[bytes] = []
    assert through_proxy(monkeypatch, ANSWER, requests, 2) == ["granted"] * 2
    assert requests[0].startswith(b"GET http://service.invalid/v3/token?expires_in_seconds=60 HT")
    assert b"Basic " + base64.b64encode(b"ann:p@ss") in requests[0]
    assert len(requests) == 2


def test_without_tls_a_proxy_may_want_a_login(monkeypatch: pytest.MonkeyPatch):
    refusal = b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(ServiceUnreachable, match="check the login in http_proxy"):
        through_proxy(monkeypatch, refusal, [], 1)


def test_the_expiry_travels_with_the_token(service: AnsweringService):
    token = generate_temp_token(90, settings=service.settings)
    assert token.expires_in_seconds == 90
    assert token.max_session_duration_seconds == 10_800
    assert token.seconds_left(token.expires_at - 30) == 30
    assert token.seconds_left(token.expires_at + 1) == 0
    assert 80 < token.seconds_left() <= 90


def test_a_token_hides_in_its_repr_and_is_not_stored(service: AnsweringService):
    token = generate_temp_token(settings=service.settings)
    assert "granted" not in repr(token)
    assert "granted" not in repr([token])
    assert copy.deepcopy({"token": token}) == {"token": "granted"}
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(token)


@pytest.mark.parametrize("seconds", [0, 601, -1, True, 60.0, "60", None])
def test_an_expiry_out_of_range_is_refused_before_the_network(
    service: AnsweringService, seconds: object
):
    with pytest.raises(ValueError, match="expires_in_seconds takes a whole number from 1 to 600"):
        generate_temp_token(seconds, settings=service.settings)  # type: ignore[arg-type]
    assert service.requests == []


@pytest.mark.parametrize("seconds", [59, 10_801, True, 60.0, "60"])
def test_a_session_cap_out_of_range_is_refused_before_the_network(
    service: AnsweringService, seconds: object
):
    with pytest.raises(ValueError, match="a whole number from 60 to 10800"):
        generate_temp_token(
            max_session_duration_seconds=seconds,  # type: ignore[arg-type]
            settings=service.settings,
        )
    assert service.requests == []


@pytest.mark.parametrize(
    "key",
    [None, "", "your_api_key_here", "<YOUR_API_KEY>", "YOUR-API-KEY", "xxxxxxxx", "changeme"],
)
def test_a_missing_or_placeholder_key_says_where_to_put_it(key: str | None):
    with pytest.raises(ConfigurationError, match=r"ASSEMBLYAI_API_KEY=.*\.|ASSEMBLYAI_API_KEY"):
        generate_temp_token(settings=Settings(api_key=key))


@pytest.mark.parametrize("key", [f" {KEY}", f"{KEY}\n", f"{KEY[:9]} {KEY[9:]}"])
def test_a_key_with_spaces_or_a_line_break_is_refused(key: str):
    with pytest.raises(ConfigurationError, match="spaces or line breaks") as caught:
        generate_temp_token(settings=Settings(api_key=key))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "detail", "advice"),
    [
        (401, b'{"error": "Invalid API key"}', "Invalid API key", "check the API key"),
        (403, b'{"error": "Not allowed"}', "Not allowed", "may use streaming"),
        (404, b"Not Found", "Not Found", "ASSEMBLYAI_BASE_URL"),
        (422, None, "expires_in_seconds: too big", "correct the parameter"),
        (429, b'{"error": "Rate limit"}', "Rate limit", "wait a minute"),
        (500, b"<html>oops</html>", "Internal Server Error, no reason given", "try again"),
        (503, b'{"message": "down"}', "down", "try again"),
        (400, b'["odd"]', "Bad Request, no reason given", "correct the parameter"),
    ],
)
def test_a_refusal_carries_status_detail_and_advice(
    service: AnsweringService, status: int, body: bytes | None, detail: str, advice: str
):
    problem = {"loc": ["query", "expires_in_seconds"], "msg": "too big", "input": "601"}
    service.status = status
    service.body = json.dumps({"detail": [problem]}).encode() if body is None else body
    with pytest.raises(TokenRefused, match=advice) as caught:
        generate_temp_token(settings=service.settings)
    assert caught.value.status == status
    assert detail in caught.value.detail


def test_a_key_that_the_service_repeats_is_masked(service: AnsweringService):
    service.status, service.body = 401, json.dumps({"error": f"no such key {KEY}"}).encode()
    with pytest.raises(TokenRefused) as caught:
        generate_temp_token(settings=service.settings)
    assert KEY not in str(caught.value) + caught.value.detail
    assert "***" in caught.value.detail


@pytest.mark.parametrize(
    "body",
    [b"", b"hello", b"{}", b'{"token": ""}', b'{"token": 5}', b"[1]", b"\xff\xfe", b"9" * 70_000],
)
def test_a_success_without_a_token_is_a_protocol_error(service: AnsweringService, body: bytes):
    service.body = body
    with pytest.raises(ProtocolError):
        generate_temp_token(settings=service.settings)


def test_a_redirect_is_not_followed_with_the_key(service: AnsweringService):
    service.status = 302
    with pytest.raises(ProtocolError, match="302"):
        generate_temp_token(settings=service.settings)


def test_a_refused_connection_is_unreachable():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ServiceUnreachable, match="cannot be reached") as caught:
            generate_temp_token(settings=Settings(api_key=KEY, base_url=url))
    assert caught.value.__cause__ is not None


def test_an_unknown_name_is_unreachable():
    settings = Settings(api_key=KEY, base_url="http://nowhere.invalid", timeout=5)
    with pytest.raises(ServiceUnreachable, match=r"nowhere\.invalid"):
        generate_temp_token(settings=settings)


def test_a_service_that_does_not_answer_is_unreachable_after_the_timeout(
    service: AnsweringService,
):
    service.holds.clear()
    with pytest.raises(ServiceUnreachable, match=r"no answer within 0.2 s"):
        generate_temp_token(settings=replace(service.settings, timeout=0.2))


def test_a_failure_is_logged_in_the_published_words(
    service: AnsweringService, caplog: pytest.LogCaptureFixture
):
    service.status, service.body = 401, b'{"error": "Invalid API key"}'
    with caplog.at_level(logging.ERROR), pytest.raises(TokenRefused):
        generate_temp_token(settings=service.settings)
    assert caplog.messages[0].startswith("Error generating temp token: ")
    assert "Invalid API key" in caplog.messages[0]
    assert KEY not in caplog.text


def test_without_settings_the_environment_decides(
    service: AnsweringService, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    monkeypatch.setenv("ASSEMBLYAI_BASE_URL", service.settings.base_url)
    assert generate_temp_token() == "granted"
