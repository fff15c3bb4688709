"""The server's sockets and threads against clients that nobody would call polite."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
import trustme

from tempkit import ConfigurationError, Settings, TokenServer
from tempkit.server import handler, room
from tempkit.server.guard import Guard
from tests.doubles import AnsweringService
from tests.talking import connected, everything, raw, until

PAGE = b"GET /index.html HTTP/1.1\r\nHost: localhost\r\n\r\n"
TOKEN = b"GET /token HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSING = b"GET /index.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<!doctype html><p>here")
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 40_000)  # more than sockets buffer
    return tmp_path


@pytest.fixture
def server(service: AnsweringService, folder: Path) -> Iterator[TokenServer]:
    with TokenServer(service.settings, port=0, directory=folder, guard=Guard(rate=None)) as server:
        yield server


def threads() -> int:
    return sum(thread.name == "tempkit worker" for thread in threading.enumerate())


def open_in(server: TokenServer) -> int:
    return len(server._engine._room.open)  # type: ignore[union-attr]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose time-outs are short."""
    for name in ("HEAD_SECONDS", "IDLE_SECONDS", "ANSWER_SECONDS", "DRAIN_SECONDS"):
        monkeypatch.setattr(handler, name, 1.0)  # a busy machine reads no faster
    monkeypatch.setattr(handler, "SWEEP_SECONDS", 0.05)


def test_requests_that_come_at_once_are_answered_one_after_another(server: TokenServer):
    answer = raw(server.port, PAGE * 20 + TOKEN + CLOSING + PAGE)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 22  # nothing after the one that closes
    assert answer.index(b'"token":') > answer.index(b"here")


def test_a_request_that_comes_in_single_bytes_is_answered(server: TokenServer):
    with connected(server.port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in CLOSING:
            connection.sendall(bytes([byte]))
        assert everything(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "smuggling",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Host: evil.example",
        b"X: a\nHost: evil.example",
    ],
)
def test_a_smuggling_shape_is_refused_and_what_follows_never_read(server, service, smuggling):
    answer = raw(server.port, PAGE[:-2] + smuggling + b"\r\n\r\n" + TOKEN)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert service.requests == []


def test_tls_on_the_plain_port_fails_at_once(server: TokenServer):
    began = time.monotonic()
    with connected(server.port) as connection, pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")
    assert time.monotonic() - began < 5  # not the time that a head may take


def test_an_old_client_that_asks_for_it_is_told_that_the_connection_is_kept(server: TokenServer):
    old = PAGE.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nConnection: keep-alive\r\n")
    with connected(server.port) as connection:
        for _ in range(2):
            connection.sendall(old)
            assert b"\r\nConnection: keep-alive\r\n" in connection.recv(65536)
    assert b"\r\nConnection: close\r\n" in raw(server.port, PAGE.replace(b"HTTP/1.1", b"HTTP/1.0"))


@pytest.mark.parametrize("length", [b"48", b"9" * 30])
def test_a_body_is_not_read_as_a_request(server, service, length: bytes):
    answer = raw(server.port, PAGE[:-2] + b"Content-Length: " + length + b"\r\n\r\n" + TOKEN)
    assert answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close\r\n" in answer
    assert service.requests == []


@pytest.mark.parametrize(
    "target", [b"http://localhost/token", b"https://evil.example/", b"*", b"token", b"/\xff"]
)
def test_a_target_that_is_no_path_is_refused(server: TokenServer, service, target: bytes):
    answer = raw(server.port, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert service.requests == []


@pytest.mark.parametrize(
    ("endless", "status"),
    [(b"GET /" + b"a" * 100_000, b"414"), (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000, b"431")],
)
def test_endless_heads_are_cut(server: TokenServer, endless: bytes, status: bytes):
    assert raw(server.port, endless).split(b" ")[1] == status


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("said", [b"", b"GET /index.html HTTP/1.1\r\nHost: ", PAGE])
def test_a_connection_that_says_nothing_more_is_closed(server: TokenServer, said: bytes):
    with connected(server.port) as connection:
        connection.sendall(said)
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 200 " if said == PAGE else b"")


@pytest.mark.usefixtures("impatient")
def test_a_head_that_drips_in_has_no_longer_than_one_that_does_not_come(server: TokenServer):
    began = time.monotonic()
    with connected(server.port) as connection, suppress(ConnectionError):
        connection.sendall(PAGE + b"GET /")
        connection.settimeout(0.02)
        while time.monotonic() - began < 10:
            with suppress(TimeoutError):
                if not connection.recv(65536):
                    break
            connection.sendall(b"a")
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_nobody_takes_is_given_up(server: TokenServer):
    with connected(server.port) as connection:
        connection.sendall(PAGE.replace(b"index.html", b"large.bin"))
        until(lambda: open_in(server) == 0)
    assert raw(server.port, CLOSING).startswith(b"HTTP/1.1 200 ")


def test_a_large_answer_to_a_slow_client_is_whole_and_stops_nobody(server: TokenServer):
    with connected(server.port) as slow:
        slow.sendall(CLOSING.replace(b"index.html", b"large.bin"))
        assert b" 200 " in slow.recv(100)
        assert raw(server.port, CLOSING).startswith(b"HTTP/1.1 200 ")
        assert everything(slow).endswith(bytes(range(256)) * 40_000)


def test_silent_dripping_and_slow_clients_together_keep_no_honest_request_out(
    server: TokenServer, folder: Path
):
    with (folder / "huge.bin").open("wb") as huge:
        huge.truncate(50_000_000)
    ends = threading.Event()
    with ExitStack() as held:
        silent = [held.enter_context(connected(server.port)) for _ in range(300)]
        dripping = [held.enter_context(connected(server.port)) for _ in range(300)]
        slow = [held.enter_context(connected(server.port)) for _ in range(50)]
        for connection in slow:
            with suppress(OSError):
                connection.sendall(PAGE.replace(b"index.html", b"huge.bin"))

        def drip() -> None:
            while not ends.wait(0.01):
                for connection in dripping:
                    with suppress(OSError):
                        connection.sendall(b"a")

        dripper = threading.Thread(target=drip)
        dripper.start()
        try:
            answers = [
                raw(server.port, CLOSING.replace(b"index.html", b"token")) for _ in range(100)
            ]
        finally:
            ends.set()
            dripper.join()
        assert {answer.split(b" ")[1] for answer in answers} <= {b"200", b"503"}
        assert sum(b" 200 " in answer[:20] for answer in answers) > 90
        assert threads() <= room.MOST_THREADS
        assert len(silent) == 300
        server.stop()
        assert threads() == 0 or until(lambda: threads() == 0) is None


def with_threads(
    monkeypatch: pytest.MonkeyPatch, most: int, service: AnsweringService, folder: Path
) -> TokenServer:
    """A server that has no more threads than that."""
    monkeypatch.setattr(room, "MOST_THREADS", most)
    return TokenServer(service.settings, port=0, directory=folder, guard=Guard(rate=None))


def test_the_oldest_silent_connection_makes_room(service, folder, monkeypatch):
    with with_threads(monkeypatch, 16, service, folder) as server, ExitStack() as held:
        kept = held.enter_context(connected(server.port))
        kept.sendall(PAGE)
        assert kept.recv(65536).endswith(b"here")
        silent = [held.enter_context(connected(server.port)) for _ in range(50)]
        assert raw(server.port, CLOSING).startswith(b"HTTP/1.1 200 ")
        assert everything(silent[0]) == b""
        kept.sendall(CLOSING)  # who was answered before stays longer than who never asked
        assert everything(kept).startswith(b"HTTP/1.1 200 ")
        silent[-1].sendall(CLOSING)
        assert everything(silent[-1]).startswith(b"HTTP/1.1 200 ")
        assert threads() == 16


def test_who_asked_last_stays_longest(service, folder, monkeypatch):
    with with_threads(monkeypatch, 4, service, folder) as server, ExitStack() as held:
        kept = [held.enter_context(connected(server.port)) for _ in range(4)]
        for connection in (*kept, kept[0]):
            connection.sendall(PAGE)
            assert connection.recv(65536).endswith(b"here")
        assert raw(server.port, CLOSING).startswith(b"HTTP/1.1 200 ")
        assert everything(kept[1]) == b""
        kept[0].sendall(CLOSING)
        assert everything(kept[0]).startswith(b"HTTP/1.1 200 ")


def test_who_takes_nothing_of_an_answer_makes_room_last(service, folder, monkeypatch):
    monkeypatch.setattr(room, "STALL_SECONDS", 0.0)
    with with_threads(monkeypatch, 2, service, folder) as server, ExitStack() as held:
        slow, kept = (held.enter_context(connected(server.port)) for _ in range(2))
        slow.sendall(PAGE.replace(b"index.html", b"large.bin"))
        assert slow.recv(12) == b"HTTP/1.1 200"
        kept.sendall(PAGE)
        assert kept.recv(65536).endswith(b"here")
        assert raw(server.port, CLOSING).startswith(b"HTTP/1.1 200 ")
        assert everything(kept) == b""
        service.holds.clear()
        asking = held.enter_context(connected(server.port))
        asking.sendall(TOKEN)
        until(lambda: len(service.requests) == 1)
        assert raw(server.port, CLOSING).startswith(b"HTTP/1.1 200 ")
        assert len(everything(slow)) < 256 * 40_000
        service.holds.set()
        assert asking.recv(12) == b"HTTP/1.1 200"


def test_over_the_bounds_there_is_a_fast_503(service, folder, monkeypatch):
    with with_threads(monkeypatch, 4, service, folder) as server, ExitStack() as held:
        service.holds.clear()
        asking = [held.enter_context(connected(server.port)) for _ in range(4)]
        for connection in asking:
            connection.sendall(TOKEN)
        until(lambda: len(service.requests) == 4)
        answer = raw(server.port, TOKEN)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1\r\n" in answer
        assert threads() == 4
        service.holds.set()
        for connection in asking:
            assert connection.recv(12) == b"HTTP/1.1 200"


def test_clients_that_vanish_while_the_token_is_made_leave_nothing_behind(server, service):
    service.holds.clear()
    for _ in range(5):
        with connected(server.port) as connection:
            connection.sendall(TOKEN)
    until(lambda: len(service.requests) == 5)
    service.holds.set()
    until(lambda: open_in(server) == 0)
    assert raw(server.port, CLOSING).startswith(b"HTTP/1.1 200 ")


def test_stopping_waits_for_none_of_all_this(server, service):
    with ExitStack() as held:
        service.holds.clear()
        for said in (b"", PAGE, PAGE[:-3], TOKEN, PAGE.replace(b"index.html", b"large.bin")):
            for _ in range(10):
                held.enter_context(connected(server.port)).sendall(said)
        until(lambda: len(service.requests) == 10)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5
        service.holds.set()
        until(lambda: threads() == 0)


def test_a_thread_is_used_again(server: TokenServer):
    names: set[int] = set()
    for _ in range(20):
        assert b'"token":' in raw(server.port, CLOSING.replace(b"/index.html", b"/token"))
        names.add(threads())
    assert max(names) <= 2


def test_both_loopback_families_are_served(server: TokenServer):
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        with connected(server.port, "::1") as connection:
            connection.sendall(CLOSING.replace(b"localhost", b"[::1]"))
            assert everything(connection).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def secure(service, folder, authority: trustme.CA, tmp_path: Path) -> Iterator[TokenServer]:
    certfile, keyfile = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(certfile)
    issued.private_key_pem.write_to_path(keyfile)
    with TokenServer(
        service.settings, port=0, directory=folder, certfile=certfile, keyfile=keyfile
    ) as server:
        yield server


def test_with_a_certificate_the_server_speaks_tls(secure: TokenServer, trust: ssl.SSLContext):
    assert secure.page_url == f"https://localhost:{secure.port}"
    with httpx.Client(base_url=secure.page_url, verify=trust, trust_env=False) as client:
        assert client.get("/").text.endswith("here")
        assert client.get("/token").json()["token"] == "granted"
        assert client.get("/large.bin").content == bytes(range(256)) * 40_000
        shown = client.get(f"/?access={secure.access_secret}", headers={"Host": "hub.example"})
        assert shown.headers["Set-Cookie"].endswith("; Secure")


def test_tls_neither_waits_for_a_silent_client_nor_falls_for_plain_text(
    secure: TokenServer, trust: ssl.SSLContext
):
    with ExitStack() as held:
        for said in (b"", b"\x16\x03\x01", PAGE):
            held.enter_context(connected(secure.port)).sendall(said)
        connection = http.client.HTTPSConnection("localhost", secure.port, context=trust, timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
    assert not raw(secure.port, PAGE).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("request_head", [CLOSING, b"nonsense\r\n\r\n"])
def test_the_end_of_a_tls_connection_does_not_look_like_a_cut(
    secure: TokenServer, trust: ssl.SSLContext, request_head: bytes
):
    with trust.wrap_socket(
        connected(secure.port), server_hostname="localhost", suppress_ragged_eofs=False
    ) as connection:
        connection.sendall(request_head)
        assert everything(connection).startswith(b"HTTP/1.1 ")


def test_a_certificate_that_is_none_is_an_error_before_anything_listens(
    settings: Settings, folder: Path
):
    for certfile in (folder / "missing.pem", folder / "index.html"):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            TokenServer(settings, directory=folder, certfile=str(certfile))


class Visitor(room.Connection):
    """A connection that stays until it is cut."""

    def __init__(self) -> None:
        self.request, self._other = socket.socketpair()
        self.await_browser(10)

    def serve(self) -> None:
        with suppress(OSError):  # it is closed already
            self.request.recv(1)

    def close(self) -> None:
        self.request.close()
        self._other.close()


def test_who_waited_for_a_place_has_not_been_silent_meanwhile(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "MOST_THREADS", 1)
    visitors = room.Room()
    first, second = Visitor(), Visitor()
    assert visitors.take(first)
    came = second.silent_since
    assert visitors.take(second)  # the first one has to go, after a moment
    assert visitors.open == {second}
    assert second.silent_since > came
    visitors.close()
    for visitor in (first, second):
        visitor.close()
