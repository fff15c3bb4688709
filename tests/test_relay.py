"""One port: a page's WebSocket to the sandbox goes through the token server."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

import tempkit
from tempkit import Clip, Sandbox, Settings, TokenServer
from tempkit.certificates import make_certificate
from tempkit.network import trusted
from tempkit.server import PUBLIC, Guard
from tests.conftest import KEY, SCRIPT
from tests.raw import TERMINATE, read, rest
from tests.relay import Relay


@pytest.fixture
def server(settings: Settings) -> Iterator[TokenServer]:
    with TokenServer(settings, port=0) as server:
        yield server


def page_socket(url: str, token: str = "any", **options: object) -> connect:
    """The WebSocket that a page at ``url`` opens."""
    address = f"ws{url.removeprefix('http')}/v3/ws?sample_rate=16000&token={token}"
    return connect(address, compression=None, proxy=None, **options)  # type: ignore[arg-type]


def token_of(server: TokenServer) -> str:
    return str(httpx.get(f"{server.url}/token", trust_env=False).json()["token"])


def begins(socket: ClientConnection) -> bool:
    begin = read(socket)
    socket.send(TERMINATE)
    return begin["type"] == "Begin" and rest(socket)[1] == 1000


def test_a_session_through_the_port_is_the_sandboxs_own(server: TokenServer, sandbox: Sandbox):
    with page_socket(server.url, token_of(server), origin=server.url) as opened:
        assert begins(opened)
    assert sandbox.journal[-1].detail["code"] == 1000


def test_a_clip_streamed_through_the_port_is_heard_whole(server: TokenServer, sandbox: Sandbox):
    clip = Clip.read(PUBLIC / "sample.wav")
    with tempkit.connect(Settings("any", server.url), token=token_of(server)) as session:
        for _ in session.stream(clip.chunks(), realtime=False):
            pass
    heard = [turn.transcript for turn in session.transcript.turns]
    assert heard[: len(SCRIPT)] == list(SCRIPT)
    seconds = [e.detail["seconds"] for e in sandbox.journal if e.name == "audio"]
    assert sum(seconds) == pytest.approx(clip.duration, abs=0.1)


def test_the_token_comes_from_the_page_alone_and_so_does_the_socket(server: TokenServer):
    for origin in ("https://evil.example", "http://localhost:1", "null"):
        with pytest.raises(InvalidStatus) as caught, page_socket(server.url, origin=origin):
            pass
        assert caught.value.response.status_code == 403
    head = "GET /v3/ws HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 5) as browser:
        browser.sendall(head.encode())
        assert browser.recv(12) == b"HTTP/1.1 403"


def test_who_may_ask_for_a_token_from_elsewhere_may_open_the_socket(settings: Settings):
    guard = Guard(allowed_origins=frozenset({"https://app.example"}))
    with TokenServer(settings, port=0, guard=guard) as server:
        with page_socket(server.url, token_of(server), origin="https://app.example") as opened:
            assert begins(opened)
        head = (
            "GET /v3/ws?sample_rate=16000 HTTP/1.1\r\nHost: hub.example\r\nUpgrade: websocket\r\n"
            "Origin: http://hub.example\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Cookie: {server._site.guard.cookie_name}={server.access_secret}\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), 5) as browser:
            browser.sendall(head.encode())
            assert browser.recv(12) == b"HTTP/1.1 101"


def test_what_lets_a_browser_in_is_not_passed_on():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = Settings(KEY, f"http://127.0.0.1:{listener.getsockname()[1]}/prefix")
        with TokenServer(service, port=0) as server:
            head = (
                "GET /v3/ws?token=t&a=%20b HTTP/1.1\r\nHost: localhost\r\nUpgrade: WebSocket\r\n"
                f"Cookie: a=b\r\nX-Tempkit-Access: {server.access_secret}\r\nSec-A: c\r\n\r\n"
            )
            with socket.create_connection(("127.0.0.1", server.port), 5) as browser:
                browser.sendall(head.encode())
                connection, _ = listener.accept()
                with connection:
                    said = connection.recv(65536).decode()
    assert said.splitlines() == [
        "GET /prefix/v3/ws?token=t&a=%20b HTTP/1.1",
        f"Host: 127.0.0.1:{listener_port(service)}",
        "Upgrade: WebSocket",
        "Sec-A: c",
        "",
    ]


def listener_port(service: Settings) -> str:
    return service.base_url.rpartition(":")[2].partition("/")[0]


def test_bytes_pass_both_ways_at_once_and_none_is_lost():
    blob = os.urandom(5_000_000)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def echo() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                connection.sendall(head.partition(b"\r\n\r\n")[2])
                while data := connection.recv(65536):
                    connection.sendall(data)

        echoing = threading.Thread(target=echo)
        echoing.start()
        service = Settings(KEY, f"http://127.0.0.1:{listener.getsockname()[1]}")
        with TokenServer(service, port=0) as server:
            with socket.create_connection(("127.0.0.1", server.port), 10) as browser:
                head = "GET /v3/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n"
                browser.sendall(head.encode())
                sending = threading.Thread(target=browser.sendall, args=(blob,))
                sending.start()
                back = bytearray()
                while len(back) < len(blob):
                    back += browser.recv(65536)
                sending.join()
            echoing.join(10)
    assert bytes(back) == blob
    assert not echoing.is_alive()


def test_a_sandbox_that_is_gone_is_said_as_a_status(sandbox: Sandbox):
    with TokenServer(sandbox.settings, port=0) as server:
        sandbox.stop()
        with pytest.raises(InvalidStatus) as caught:
            page_socket(server.url)
    assert caught.value.response.status_code == 503


def test_there_is_no_socket_here_with_the_real_service():
    with TokenServer(Settings(KEY), port=0) as server, pytest.raises(InvalidStatus) as caught:
        page_socket(server.url)
    assert caught.value.response.status_code == 404


def test_stopping_the_server_ends_its_sockets(server: TokenServer):
    with page_socket(server.url, token_of(server)) as socket:
        assert read(socket)["type"] == "Begin"
        server.stop()
        assert rest(socket)[1] == 1006


def test_another_port_that_leads_here_is_enough(server: TokenServer):
    with Relay(server.port, []) as forwarded:
        answer = httpx.get(f"{forwarded.url}/token", trust_env=False).json()
        with page_socket(forwarded.url, answer["token"], origin=forwarded.url) as opened:
            assert begins(opened)


@pytest.mark.parametrize("is_sandbox_secure", [False, True], ids=["ws", "wss"])
def test_by_tls_the_socket_goes_through_the_same_port(
    tmp_path: Path, sandbox: Sandbox, is_sandbox_secure: bool, monkeypatch: pytest.MonkeyPatch
):
    context, authority = make_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=authority)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    trusted.cache_clear()
    service = Sandbox(sandbox._recognizer, ssl=context) if is_sandbox_secure else sandbox
    with service, TokenServer(service.settings, port=0, ssl=context) as server:
        answer = httpx.get(f"{server.page_url}/token", verify=trust, trust_env=False).json()
        with page_socket(server.page_url, answer["token"], ssl=trust) as opened:
            assert begins(opened)
