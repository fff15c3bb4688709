"""What tests of servers need: a free port, bytes said to it, and a bounded wait."""

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_taken(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def held(port: int) -> Iterator[None]:
    """Another program that listens on a port."""
    with socket.create_server(("127.0.0.1", port)):
        yield


def connected(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A plain connection to this machine."""
    return socket.create_connection((host, port), timeout=10)


def everything(connection: socket.socket) -> bytes:
    """All that comes until the end."""
    answer = b""
    with suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            answer += piece
    return answer


def raw(port: int, said: bytes) -> bytes:
    """The bytes that answer the bytes of a request; no client library tidies them."""
    with connected(port) as connection:
        connection.sendall(said)
        return everything(connection)


def end(process: subprocess.Popen, seconds: float) -> None:
    """Tell a program to end; kill it where that takes too long."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


def until(condition: Callable[[], object]) -> None:
    """Wait for what other threads bring about."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come about within 30 s"
        threading.Event().wait(0.01)
