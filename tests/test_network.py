"""Connections to the service: kept, bounded in time, through the proxy of the environment."""

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tempkit import ConfigurationError, ServiceUnreachable, Settings, connections
from tempkit.connections import get
from tests.conftest import KEY
from tests.doubles import AnsweringService

OUTSIDE = Settings(KEY, "http://service.example", timeout=5)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a program that treats its connections one after another with ``serve``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.parametrize(
    "start", [b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"]
)
def test_an_answer_that_drips_in_is_bounded_by_the_timeout(start: bytes):
    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        connection.settimeout(0.02)
        while True:
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return
            connection.sendall(b"a")

    with listening(drip) as port:
        began = time.monotonic()
        with pytest.raises(ServiceUnreachable, match=r"no answer within 0\.3 s"):
            get(Settings(KEY, f"http://127.0.0.1:{port}", timeout=0.3), "/v3/token", {})
        assert time.monotonic() - began < 3


def test_a_line_that_nobody_used_for_long_is_closed_and_not_used_again(
    service: AnsweringService, monkeypatch: pytest.MonkeyPatch
):
    get(service.settings, "/", {})
    monkeypatch.setattr(connections, "KEEPALIVE_SECONDS", 0.0)
    get(service.settings, "/", {})
    assert service.connections == 2
    assert len(connections._idle[service.settings.base_url]) == 1


def test_a_service_that_closes_after_each_answer_leaves_no_line(service: AnsweringService):
    def once(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    with listening(once) as port:
        settings = Settings(KEY, f"http://127.0.0.1:{port}", timeout=5)
        for _ in range(3):
            assert get(settings, "/", {}).body == b"ok"
    assert not connections._idle[settings.base_url]


def test_a_service_outside_is_asked_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
):
    requests: list[bytes] = []

    def forward(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            requests.append(request)
            connection.sendall(ANSWER)

    with listening(forward) as port:
        monkeypatch.setenv("http_proxy", f"http://ann:p%40ss@127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        for _ in range(2):
            assert get(OUTSIDE, "/v3/token?a=1", {"Authorization": KEY}).body == b"ok"
        connections._idle.pop(OUTSIDE.base_url).pop().close()
    assert requests[0].startswith(b"GET http://service.example/v3/token?a=1 HTTP/1.1\r\n")
    assert b"Basic " + base64.b64encode(b"ann:p@ss") in requests[0]
    assert len(requests) == 2


def test_a_service_outside_by_tls_is_asked_through_a_tunnel(monkeypatch: pytest.MonkeyPatch):
    requests: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        requests.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with listening(refuse) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        settings = Settings(KEY, "https://service.example", timeout=5)
        with pytest.raises(ServiceUnreachable, match="403"):
            get(settings, "/v3/token", {"Authorization": KEY})
    assert requests[0].startswith(b"CONNECT service.example:443 HTTP/1.1\r\n")
    assert KEY.encode() not in requests[0]


def test_a_service_on_this_machine_and_one_in_no_proxy_are_asked_directly(
    service: AnsweringService, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "service.example")
    assert get(service.settings, "/", {}).status == 200
    assert connections._proxy_for(OUTSIDE.base_url) is None


def test_a_proxy_of_another_kind_is_an_error_that_says_what_to_change(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("http_proxy", "socks5://:hush@127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ConfigurationError, match="NO_PROXY") as caught:
        get(OUTSIDE, "/", {})
    assert "hush" not in str(caught.value)
